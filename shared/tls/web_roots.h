/*
 * Whom a client of the web trusts: the CA certificates of a bundle in PEM, such as a system's. What of it
 * is no certificate that can be an issuer here (malformed, no CA) is left out and counted: bundles of
 * systems hold a few. Made once and shared by all configurations that use it: immutable, counted
 * (atomic). Bounded: WEB_ROOTS_MAX certificates, WEB_ROOTS_BYTES_MAX of text.
 */
#ifndef SHARED_TLS_WEB_ROOTS_H
#define SHARED_TLS_WEB_ROOTS_H
#include "shared/base/text.h"

enum { WEB_ROOTS_MAX = 1024, WEB_ROOTS_BYTES_MAX = 4 * 1024 * 1024 };
struct x509_view;
struct web_roots;
/* *ret_left_out may be NULL. -EINVAL with *ret_why (a static sentence): none is one, a block without an
 * end, too many; -E2BIG; -ENOMEM. */
int web_roots_from_pem(struct text pem, struct web_roots **ret, size_t *ret_left_out,
                       const char **ret_why);
/* Of a file; besides: -errno of reading it. */
int web_roots_read(const char *path, struct web_roots **ret, size_t *ret_left_out,
                   const char **ret_why);
struct web_roots *web_roots_ref(struct web_roots *r);
struct web_roots *web_roots_unref(struct web_roots *r); /* NULL is fine; returns NULL */
size_t web_roots_views(const struct web_roots *r, const struct x509_view **ret); /* how many */
#endif
