/*
 * Memory for secrets: whole pages that are locked, left out of core dumps, zero in a forked child,
 * and wiped when they are given back. Before and after them lies a page that nobody may touch: who
 * reads past the end of some other memory does not get here. Any thread; the owner gives it back.
 * Bounded by RLIMIT_MEMLOCK: beyond it secrets still work, unlocked, and the log says so.
 *
 * Not memfd_secret(2): such pages are shared with a forked child, where these are zero, and a kernel
 * may be built without it. What it would add, hiding them from the kernel, is not what we fear.
 */
#ifndef SHARED_TLS_SECRET_H
#define SHARED_TLS_SECRET_H
#include <stddef.h>

void *secret_new(size_t size);                /* all zero; NULL: no memory */
void *secret_free(void *memory, size_t size); /* NULL is fine; returns NULL */
#endif
