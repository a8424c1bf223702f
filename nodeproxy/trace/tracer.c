#include "nodeproxy/trace/tracer.h"

#include "shared/base/clock.h"
#include <errno.h>
#include <inttypes.h>

/* A UUID, version 4, as Envoy's. */
static void name_request(struct http_head *request, struct rng *rng)
{
    char id[37];
    struct text_out o = TEXT_OUT(id);
    uint64_t high = rng_u64(rng), low = rng_u64(rng);
    if (http_head_get(request, TEXT("x-request-id")).len > 0)
        return;
    high = (high & ~(uint64_t)0xf000) | 0x4000;
    low = (low & ~((uint64_t)3 << 62)) | (uint64_t)1 << 63;
    text_printf(&o, "%08" PRIx64 "-%04" PRIx64 "-%04" PRIx64 "-%04" PRIx64 "-%012" PRIx64, high >> 32,
                high >> 16 & 0xffff, high & 0xffff, low >> 48, low & 0xffffffffffff);
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
