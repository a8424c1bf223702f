/*
 * The life of a program on its control ring: signals as events (SIGTERM and SIGINT: drain until a deadline, the second one: now; SIGPIPE
 * ignored), readiness with named conditions, --version text.
 */
#ifndef SHARED_SERVICE_LIFECYCLE_H
#define SHARED_SERVICE_LIFECYCLE_H
#include "shared/base/text.h"
#include "shared/ring/ring.h"

struct lifecycle {
    struct ring *ring;
    struct ring_scope scope;
    struct ring_op signal_op;
    struct timer deadline;
    int signal_fd;
    uint64_t drain_ms;
    bool draining;
    const char *waiting[8]; /* conditions not yet met; readiness is none left */
    void (*drain)(struct lifecycle *l); /* SIGTERM: stop taking new work */
    void (*force)(struct lifecycle *l); /* deadline or second signal: end now */
    void *user;
};
/* Blocks the signals: before any thread is made. */
int lifecycle_open(struct lifecycle *l, struct ring *ring, uint64_t drain_ms, void (*drain)(struct lifecycle *), void (*force)(struct lifecycle *), void *user);
void lifecycle_wait_for(struct lifecycle *l, const char *condition);
void lifecycle_reached(struct lifecycle *l, const char *condition);
bool lifecycle_ready(const struct lifecycle *l, struct text_out *why_not);
void lifecycle_close(struct lifecycle *l);
/* "weir-nodeproxy 0.1.0\nwolfSSL ... (accelerated)\nnghttp2 ...": prints name, version and the libraries in use. */
struct library_version { const char *name, *version; };
void lifecycle_print_version(const char *program, const struct library_version *libraries, size_t n);
#endif
