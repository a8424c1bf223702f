/*
 * What is traced, the same for all workers: constant after the start, but for the exporter's counts.
 */
#ifndef NODEPROXY_TRACE_TRACER_H
#define NODEPROXY_TRACE_TRACER_H
#include "nodeproxy/trace/exporter.h"
#include "shared/base/rng.h"

enum { TRACE_MILLION = 1000000 };
struct tracer {
    struct exporter *exporter; /* NULL: no context is looked at, and none is written */
    uint32_t sampled;          /* of TRACE_MILLION traces that nobody has decided on before */
};
/* One request's part of its trace. */
struct request_trace {
    struct trace_context context; /* of whom it comes from; with a trace's id if `recorded` */
    uint8_t span_id[SPAN_ID_BYTES];
    bool recorded;
    uint64_t began_us; /* clock_monotonic_us() */
};
/* Reads what the request says, decides what it leaves open, and writes what the next one is to be told. A
 * request without x-request-id gets one. `t` NULL: nothing at all. Without memory it goes on as it came. */
void request_trace_begin(const struct tracer *t, struct request_trace *ret, struct http_head *request,
                         struct rng *rng);
/* "0.5" percent, of TRACE_MILLION. -EINVAL, -ERANGE. */
int tracer_parse_percent(struct text t, uint32_t *ret);
#endif
