/*
 * The life of a program on its control ring: signals as events (SIGTERM and SIGINT: drain until a
 * deadline, the second one: now; SIGPIPE ignored), readiness with named conditions, --version text.
 * Owned by the control thread; there is one in a process, since signals have one receiver.
 */
#ifndef SHARED_SERVICE_LIFECYCLE_H
#define SHARED_SERVICE_LIFECYCLE_H
#include "shared/base/text.h"
#include "shared/ring/ring.h"

enum { LIFECYCLE_CONDITIONS_MAX = 8 };
struct lifecycle {
    struct ring *ring;
    struct ring_scope scope;
    struct ring_op signal_op;
    struct timer deadline;
    int signal_fd;
    uint64_t drain_ms;
    bool draining, forced;
    unsigned signals; /* taken so far */
    const char *waiting[LIFECYCLE_CONDITIONS_MAX]; /* not yet met; readiness is none left */
    void (*drain)(struct lifecycle *l); /* first signal: stop taking new work; once */
    void (*force)(struct lifecycle *l); /* deadline or second signal: end now; once */
    void (*closed)(struct lifecycle *l); /* set it after lifecycle_open(), or leave it NULL */
    void *user;
};
/* Blocks the signals: before any thread is made. -errno. */
int lifecycle_open(struct lifecycle *l, struct ring *ring, uint64_t drain_ms,
                   void (*drain)(struct lifecycle *), void (*force)(struct lifecycle *),
                   void *user);
/* Readiness waits for this too: a static text; naming one twice is naming it once. At most
 * LIFECYCLE_CONDITIONS_MAX. */
void lifecycle_wait_for(struct lifecycle *l, const char *condition);
void lifecycle_reached(struct lifecycle *l, const char *condition); /* fine if not waited for */
/* No condition is left and the program is not draining; else why_not (may be NULL) says why not:
 * "waiting for xds, certificates". */
bool lifecycle_ready(const struct lifecycle *l, struct text_out *why_not);
/* Drains as the first signal does, for another reason (for the log). A signal that comes after it is
 * still the first one. Twice is once. */
void lifecycle_drain(struct lifecycle *l, const char *reason);
/* `closed` comes from the loop, until then l lives. The signals stay blocked. */
void lifecycle_close(struct lifecycle *l);
struct library_version {
    const char *name, *version;
};
/* "weir-nodeproxy 0.1.0 (commit)\nwolfSSL ... (accelerated)\nnghttp2 ...", to standard output. */
void lifecycle_print_version(const char *program, const struct library_version *libraries,
                             size_t n);
/* The same of a program that serves: TLS, cryptography, HTTP/2 and I/O first. */
void lifecycle_print_server_version(const char *program, const struct library_version *more,
                                    size_t n_more);
#endif
