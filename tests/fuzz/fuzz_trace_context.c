/*
 * What a client says of its trace, in every format at once: the input is lines, "name: value". What is
 * read is written, and what was written is read as the same trace with our span. The answer of a
 * collector, which is the whole input once more: no byte beyond it is looked at.
 * covers: nodeproxy/trace/trace_context.c nodeproxy/trace/otlp.c
 */
#include "nodeproxy/trace/otlp.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t ours[SPAN_ID_BYTES] = {1, 2, 3, 4, 5, 6, 7, 8};
    struct text rest = {(const char *)data, size}, line, name, value;
    struct trace_context c, again;
    struct http_head h;
    uint64_t rejected;
    http_head_init(&h);
    (void)otlp_response(data, size, &rejected);
    while (text_split(rest, '\n', &line, &rest))
        if (text_split(line, ':', &name, &value))
            (void)http_head_add(&h, name, text_trim(value));
    trace_context_read(&h, &c);
    assert(!c.parent || c.formats != 0);
    if (!c.parent)
        memset(c.trace_id, 9, sizeof c.trace_id);
    if (c.sampled == TRACE_UNDECIDED)
        c.sampled = TRACE_LEFT_OUT;
    if (trace_context_write(&h, &c, ours) == 0) {
        trace_context_read(&h, &again);
        assert(again.parent && again.sampled == c.sampled);
        assert(memcmp(again.trace_id, c.trace_id, sizeof c.trace_id) == 0);
        assert(memcmp(again.span_id, ours, sizeof ours) == 0);
    }
    http_head_done(&h);
    return 0;
}
