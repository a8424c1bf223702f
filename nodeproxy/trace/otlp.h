/*
 * The words of OTLP (opentelemetry.proto.collector.trace.v1, protobuf): a span and whose it is, and the
 * answer of a collector. Written straight into the caller's memory, on the thread whose request it was:
 * nothing is allocated, and a span that has no room is none. A request to a collector is made of pieces
 * (otlp_request_size(), otlp_request()). Pure.
 */
#ifndef NODEPROXY_TRACE_OTLP_H
#define NODEPROXY_TRACE_OTLP_H
#include "nodeproxy/trace/trace_context.h"

enum { OTLP_ATTRIBUTES_MAX = 32 };
struct otlp_attribute {
    const char *key;
    struct text value; /* data NULL: it is the number */
    int64_t number;
};
struct otlp_span {
    const uint8_t *trace_id, *span_id, *parent_id; /* parent_id NULL: the trace begins here */
    struct text state;                             /* tracestate */
    struct text name;
    bool server; /* the destination's side; else the client's */
    bool failed;
    uint64_t start_ns, end_ns; /* since 1970 */
    struct otlp_attribute attributes[OTLP_ATTRIBUTES_MAX];
    size_t n_attributes;
};
/* Beyond the maximum it is left out; so is an empty value. */
void otlp_put(struct otlp_span *s, const char *key, struct text value);
void otlp_put_number(struct otlp_span *s, const char *key, int64_t number);
/* The message Span, or Resource. Bytes written; 0: no room. */
size_t otlp_span(const struct otlp_span *s, uint8_t *out, size_t size);
size_t otlp_resource(const struct otlp_attribute *attributes, size_t n, uint8_t *out, size_t size);

struct otlp_piece {
    struct text resource, span; /* as above made them */
};
/* ExportTraceServiceRequest; pieces with equal resources stand next to each other. */
size_t otlp_request_size(const struct otlp_piece *pieces, size_t n);
void otlp_request(const struct otlp_piece *pieces, size_t n, uint8_t *out);
/* How many spans the collector did not take, of an ExportTraceServiceResponse; -EINVAL: it is none. */
int otlp_response(const uint8_t *data, size_t len, uint64_t *ret_rejected);
#endif
