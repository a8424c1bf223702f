/*
 * Where spans go: a collector that speaks OTLP over gRPC (one call a batch), plain or by mutual TLS as the
 * node proxy's own identity. Any thread gives spans, and never waits: what has no room is dropped and
 * counted. Embedded in its owner; runs on one ring, whose mailbox it gets spans by.
 *
 * Bounded: bytes that wait or are on their way (TRACE_QUEUED_MAX), a batch (TRACE_BATCH_SPANS,
 * TRACE_BATCH_BYTES), the collector's answer (TRACE_ANSWER_MAX), one call at a time, ten seconds each; a
 * batch that was not taken is tried TRACE_TRIES times where OTLP allows it, after a wait (100 ms doubling to 15 s, jittered).
 */
#ifndef NODEPROXY_TRACE_EXPORTER_H
#define NODEPROXY_TRACE_EXPORTER_H
#include "nodeproxy/trace/otlp.h"
#include "shared/base/list.h"
#include "shared/grpc/grpc.h"
#include "shared/ring/mailbox.h"
#include "shared/transport/h2_conn.h"
#include <stdatomic.h>

enum {
    TRACE_QUEUED_MAX = 8 * 1024 * 1024,
    TRACE_BATCH_SPANS = 512,
    TRACE_BATCH_BYTES = 1024 * 1024,
    TRACE_ANSWER_MAX = 64 * 1024,
    TRACE_TRIES = 5,
};
struct exporter_options {
    struct ring *ring;
    struct mailbox *mailbox; /* of the ring's thread */
    struct addr collector;
    const char *identity; /* SPIFFE ID that it must prove; NULL: plain, nobody proves anything */
    uint64_t flush_ms;    /* a span waits so long for others; 0: 1 s */
};
struct exporter {
    struct exporter_options options;
    struct list waiting, batch; /* of spans; the batch is on its way, or to be tried again */
    size_t n_waiting, n_batch;
    struct h2_conn h2;
    struct grpc_call call;
    struct tls_config *tls;
    struct timer flush, late, again;
    struct ring_task hang_up_task; /* a connection is not closed under its own call's event */
    uint64_t backoff_ms;
    unsigned tries; /* of the batch */
    bool open, ready, calling, closing;
    bool stale;  /* the connection was made with another certificate than the one we have */
    bool ending; /* no more retries: what waits goes out at once, or not at all */
    struct timer last;
    bool due;     /* what waits has waited long enough */
    bool failing; /* it was said */
    _Atomic uint64_t queued_bytes;
    _Atomic uint64_t exported, dropped; /* spans */
    void (*drained)(void *arg);
    void *drained_arg;
};
void exporter_init(struct exporter *e, const struct exporter_options *o);
/* Our own certificate came or was renewed: what is said from now on is said by it. */
void exporter_set_tls(struct exporter *e, struct tls_config *client);
/* Of resource and span as otlp.h makes them, copied; any thread, until the mailbox closes. */
void exporter_give(struct exporter *e, struct text resource, struct text span);
void exporter_drop(struct exporter *e); /* one could not be made */
/* What waits is sent, if that takes no longer than a second, each batch once; the rest is dropped. Drained from the loop,
 * or at once. Spans may be given until the mailbox has closed; those that come after this was drained are dropped. */
void exporter_close(struct exporter *e, void (*drained)(void *arg), void *arg);
#endif
