/*
 * A process that holds secrets leaves no core dump, and nobody but root traces it or reads its
 * memory. Called first of all in main(), before there is anything to be seen; a forked child keeps
 * both, an executed program only the limit.
 */
#ifndef SHARED_SERVICE_CORE_DUMP_H
#define SHARED_SERVICE_CORE_DUMP_H

/* RLIMIT_CORE 0 and PR_SET_DUMPABLE 0; -errno: the system refused one of them. Built with a
 * sanitizer the process stays dumpable: it looks for leaks by tracing itself. */
int core_dump_forbid(void);
#endif
