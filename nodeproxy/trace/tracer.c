#include "nodeproxy/trace/tracer.h"

#include "shared/base/clock.h"
#include <errno.h>

/* A UUID, version 4, as Envoy's. Every request without one gets it, traced or not: nothing is formatted. */
static void name_request(struct http_head *request, struct rng *rng)
{
    static const uint8_t groups[] = {4, 2, 2, 2, 6};
    uint8_t uuid[16];
    char id[37];
    struct text_out o = TEXT_OUT(id);
    if (http_head_get(request, TEXT("x-request-id")).len > 0)
        return;
    for (size_t i = 0; i < sizeof uuid; i += sizeof(uint64_t))
        memcpy(uuid + i, &(uint64_t){rng_u64(rng)}, sizeof(uint64_t));
    uuid[6] = (uuid[6] & 0x0f) | 0x40;
    uuid[8] = (uuid[8] & 0x3f) | 0x80;
    for (size_t i = 0, at = 0; i < ARRAY_SIZE(groups); at += groups[i++]) {
        if (i > 0)
            text_putc(&o, '-');
        trace_put_hex(&o, uuid + at, groups[i]);
    }
    (void)http_head_set(request, TEXT("x-request-id"), (struct text){o.data, o.len});
}

static void draw(struct rng *rng, uint8_t *out, size_t n)
{
    for (size_t i = 0; i < n; i += sizeof(uint64_t)) {
        uint64_t v = rng_u64(rng) | 1; /* never all zero */
        memcpy(out + i, &v, sizeof v);
    }
}

static void decide(const struct tracer *t, struct trace_context *c, struct rng *rng)
{
    if (c->sampled == TRACE_UNDECIDED)
        c->sampled = rng_below(rng, TRACE_MILLION) < t->sampled ? TRACE_SAMPLED : TRACE_LEFT_OUT;
}

void request_trace_begin(const struct tracer *t, struct request_trace *ret, struct http_head *request,
                         struct rng *rng)
{
    struct trace_context *c = &ret->context;
    ret->recorded = false;
    if (!t)
        return;
    name_request(request, rng);
    if (!t->exporter)
        return;
    trace_context_read(request, c);
    bool undecided = c->sampled == TRACE_UNDECIDED;
    decide(t, c, rng);
    /* What was left out before goes on as it is; what we leave out is told, so that nobody after us decides anew. */
    if (c->sampled == TRACE_LEFT_OUT && !undecided)
        return;
    if (!c->parent)
        draw(rng, c->trace_id, TRACE_ID_BYTES);
    draw(rng, ret->span_id, SPAN_ID_BYTES);
    ret->began_us = clock_monotonic_us();
    int r = trace_context_write(request, c, ret->span_id);
    ret->recorded = r == 0 && c->sampled == TRACE_SAMPLED;
}

/* Digits, and perhaps a point and digits: up to four of them count. */
int tracer_parse_percent(struct text t, uint32_t *ret)
{
    struct text whole = t, rest = {NULL, 0};
    uint64_t percent, part = 0;
    (void)text_split(t, '.', &whole, &rest);
    if (text_to_u64(whole, 100, &percent) < 0)
        return -EINVAL;
    for (size_t i = 0; i < 4; i++) {
        char c = i < rest.len ? rest.data[i] : '0';
        if (c < '0' || c > '9')
            return -EINVAL;
        part = part * 10 + (uint64_t)(c - '0');
    }
    if (rest.len > 4)
        return -EINVAL;
    percent = percent * (TRACE_MILLION / 100) + part;
    if (percent > TRACE_MILLION)
        return -ERANGE;
    *ret = (uint32_t)percent;
    return 0;
}
