/*
 * Which trace a request belongs to, as it says itself: W3C Trace Context (traceparent, tracestate) and
 * Zipkin's B3 (github.com/openzipkin/b3-propagation), in several fields or in one; the first of these
 * that is well formed counts. What can't be read counts as not said. A value: no memory, no I/O.
 *
 * Where nothing is recorded nothing is written: an application's context stays as it is.
 */
#ifndef NODEPROXY_TRACE_TRACE_CONTEXT_H
#define NODEPROXY_TRACE_TRACE_CONTEXT_H
#include "shared/http/http_head.h"

enum { TRACE_ID_BYTES = 16, SPAN_ID_BYTES = 8 };
enum trace_format { TRACE_W3C = 1, TRACE_B3_SINGLE = 2, TRACE_B3 = 4 };
enum trace_sampled { TRACE_UNDECIDED, TRACE_LEFT_OUT, TRACE_SAMPLED };
struct trace_context {
    uint8_t trace_id[TRACE_ID_BYTES]; /* these two only if `parent` */
    uint8_t span_id[SPAN_ID_BYTES];   /* of the span that the request comes from */
    bool parent;
    bool short_id; /* only if `parent`: the trace's id has 64 bits, and goes on so */
    bool debug;    /* B3's: recorded, whoever decides */
    uint8_t flags; /* of a traceparent, but for `sampled` */
    unsigned formats; /* in which it was said; 0: in none */
    enum trace_sampled sampled;
};
void trace_context_read(const struct http_head *head, struct trace_context *ret);
/* Says that span `span_id` of this context's trace is where the request comes from, in the formats that
 * it was said in, or W3C's. The context has a trace's id, and is decided. -ENOMEM, -E2BIG: some of it
 * may be written; no format says two things. */
int trace_context_write(struct http_head *head, const struct trace_context *c,
                        const uint8_t span_id[static SPAN_ID_BYTES]);
/* As ids are written: two digits a byte, in lower case. */
void trace_put_hex(struct text_out *o, const uint8_t *bytes, size_t n);
#endif
