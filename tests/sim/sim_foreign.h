/*
 * An HBONE client of another make: speaks to a pod's port 15008 with whatever certificate, authority, headers and timing the
 * story wants, over plain h2_conn. On the ring of the applications, from a pod's namespace, past its rules.
 */
#ifndef TESTS_SIM_SIM_FOREIGN_H
#define TESTS_SIM_SIM_FOREIGN_H
#include "tests/sim/sim_app.h"

struct sim_foreign_stream {
    struct http2_stream stream;
    unsigned status;
    uint64_t got;
    uint32_t code;
    bool ended, failed, closed;
};
struct sim_foreign {
    struct sim_mesh *mesh;
    struct h2_conn h2;
    bool ready, closed, drained;
    int error;
};
void sim_foreign_open(struct sim_foreign *f, struct sim_mesh *m, struct sim_pod *from,
                      const struct sim_pod *to, const struct credential *c);
/* Until it is ready (true) or has ended. */
bool sim_foreign_ready(struct sim_foreign *f);
/* eager: these bytes leave with the CONNECT, before any answer; end: and END_STREAM. method NULL: CONNECT. */
void sim_foreign_call(struct sim_foreign *f, struct sim_foreign_stream *s, const char *method,
                      const char *authority, const void *eager, size_t n, bool end);
void sim_foreign_wait(struct sim_foreign *f,
                      struct sim_foreign_stream *s); /* until the stream has closed */
unsigned sim_foreign_status(struct sim_foreign *f, const char *method,
                            const char *authority); /* one call, to its end; 0: none */
void sim_foreign_close(struct sim_foreign *f);
#endif
