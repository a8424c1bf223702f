#include "nodeproxy/trace/trace_context.h"

#include <stdio.h>

enum {
    W3C_LEN = 55, /* "00-" 32 "-" 16 "-" 2 */
    FLAG_SAMPLED = 1,
    FLAG_RANDOM = 2, /* level 2 asks to pass it on */
};

/* ---- reading ----------------------------------------------------------------------------------- */

/* Exactly these bytes; `lower`: in lower case only. */
static bool read_hex(struct text t, bool lower, uint8_t *out, size_t n)
{
    if (t.len != 2 * n)
        return false;
    for (size_t i = 0; i < n; i++) {
        int high = text_hex_digit(t.data[2 * i]), low = text_hex_digit(t.data[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    for (size_t i = 0; lower && i < t.len; i++)
        if (t.data[i] >= 'A' && t.data[i] <= 'F')
            return false;
    return true;
}

static bool is_zero(const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (bytes[i])
            return false;
    return true;
}

static struct text part(struct text t, size_t from, size_t len)
{
    return (struct text){t.data + from, len};
}

static bool only(const struct http_head *h, struct text name, struct text *ret)
{
    size_t at = 0;
    const struct http_field *f = http_head_next(h, name, &at);
    if (!f || http_head_next(h, name, &at))
        return false;
    *ret = f->value;
    return true;
}

/* https://www.w3.org/TR/trace-context/#traceparent-header-field-values: what a later version adds
 * stands behind. */
static bool read_w3c(const struct http_head *h, struct trace_context *c)
{
    uint8_t version, flags;
    struct text t;
    if (!only(h, TEXT("traceparent"), &t) || t.len < W3C_LEN || t.data[2] != '-' ||
        t.data[35] != '-' || t.data[52] != '-')
        return false;
    if (!read_hex(part(t, 0, 2), true, &version, 1) || version == 0xff ||
        (version == 0 && t.len > W3C_LEN) || (t.len > W3C_LEN && t.data[W3C_LEN] != '-'))
        return false;
    if (!read_hex(part(t, 3, 32), true, c->trace_id, TRACE_ID_BYTES) ||
        !read_hex(part(t, 36, 16), true, c->span_id, SPAN_ID_BYTES) ||
        !read_hex(part(t, 53, 2), true, &flags, 1))
        return false;
    if (is_zero(c->trace_id, TRACE_ID_BYTES) || is_zero(c->span_id, SPAN_ID_BYTES))
        return false;
    c->parent = true;
    c->flags = flags & FLAG_RANDOM;
    c->sampled = flags & FLAG_SAMPLED ? TRACE_SAMPLED : TRACE_LEFT_OUT;
    return true;
}

static bool read_b3_ids(struct text trace, struct text span, struct trace_context *c)
{
    bool is_short = trace.len == TRACE_ID_BYTES;
    size_t skip = is_short ? TRACE_ID_BYTES / 2 : 0;
    memset(c->trace_id, 0, TRACE_ID_BYTES);
    c->parent = read_hex(trace, false, c->trace_id + skip, TRACE_ID_BYTES - skip) &&
                read_hex(span, false, c->span_id, SPAN_ID_BYTES) &&
                !is_zero(c->trace_id, TRACE_ID_BYTES) && !is_zero(c->span_id, SPAN_ID_BYTES);
    c->short_id = c->parent && is_short;
    return c->parent;
}

static bool read_b3_state(struct text t, struct trace_context *c)
{
    c->debug = text_equal(t, TEXT("d"));
    if (c->debug || text_equal(t, TEXT("1")) || text_equal(t, TEXT("true")))
        c->sampled = TRACE_SAMPLED;
    else if (text_equal(t, TEXT("0")) || text_equal(t, TEXT("false")))
        c->sampled = TRACE_LEFT_OUT;
    else
        return false;
    return true;
}

/* "TRACE-SPAN", "TRACE-SPAN-STATE", "TRACE-SPAN-STATE-PARENT", or "STATE". */
static bool read_b3_single(const struct http_head *h, struct trace_context *c)
{
    struct text t, trace, span, state;
    if (!only(h, TEXT("b3"), &t))
        return false;
    if (!text_split(t, '-', &trace, &span))
        return read_b3_state(t, c);
    if (!text_split(span, '-', &span, &state))
        return read_b3_ids(trace, span, c);
    (void)text_split(state, '-', &state, &(struct text){NULL, 0});
    return read_b3_ids(trace, span, c) && read_b3_state(state, c);
}

static bool read_b3(const struct http_head *h, struct trace_context *c)
{
    struct text trace, span, state;
    bool any = false;
    if (only(h, TEXT("x-b3-traceid"), &trace) && only(h, TEXT("x-b3-spanid"), &span))
        any = read_b3_ids(trace, span, c);
    if (only(h, TEXT("x-b3-sampled"), &state))
        any |= read_b3_state(state, c);
    if (text_equal(http_head_get(h, TEXT("x-b3-flags")), TEXT("1"))) {
        c->sampled = TRACE_SAMPLED;
        any = c->debug = true;
    }
    return any;
}

static const struct {
    enum trace_format format;
    bool (*read)(const struct http_head *h, struct trace_context *c);
} formats[] = {{TRACE_W3C, read_w3c}, {TRACE_B3_SINGLE, read_b3_single}, {TRACE_B3, read_b3}};

static bool same_trace(const struct trace_context *a, const struct trace_context *b)
{
    return a->parent == b->parent &&
           (!a->parent || memcmp(a->trace_id, b->trace_id, TRACE_ID_BYTES) == 0);
}

/* Of several formats those that speak of the same trace are written again. */
void trace_context_read(const struct http_head *h, struct trace_context *ret)
{
    *ret = (struct trace_context){.parent = false};
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        struct trace_context c = {.parent = false};
        if (!formats[i].read(h, &c))
            continue;
        c.formats = formats[i].format;
        if (ret->formats == 0)
            *ret = c;
        else if (same_trace(ret, &c))
            ret->formats |= c.formats;
    }
}

/* ---- writing ----------------------------------------------------------------------------------- */

void trace_put_hex(struct text_out *o, const uint8_t *bytes, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        text_putc(o, digits[bytes[i] >> 4]);
        text_putc(o, digits[bytes[i] & 15]);
    }
}

static void put_trace_id(struct text_out *o, const struct trace_context *c)
{
    size_t skip = c->short_id ? TRACE_ID_BYTES / 2 : 0;
    trace_put_hex(o, c->trace_id + skip, TRACE_ID_BYTES - skip);
}

static struct text text_in(const struct text_out *o)
{
    return (struct text){o->data, o->len};
}

static int write_w3c(struct http_head *h, const struct trace_context *c, const uint8_t *span_id)
{
    char value[W3C_LEN + 1];
    struct text_out o = TEXT_OUT(value);
    uint8_t flags = c->flags | (c->sampled == TRACE_SAMPLED ? FLAG_SAMPLED : 0);
    text_puts(&o, "00-");
    trace_put_hex(&o, c->trace_id, TRACE_ID_BYTES);
    text_putc(&o, '-');
    trace_put_hex(&o, span_id, SPAN_ID_BYTES);
    text_putc(&o, '-');
    trace_put_hex(&o, &flags, 1);
    if (!c->parent) /* it belonged to what could not be read */
        (void)http_head_remove(h, TEXT("tracestate"));
    return http_head_set(h, TEXT("traceparent"), text_in(&o));
}

static const char *state_of(const struct trace_context *c)
{
    return c->debug ? "d" : c->sampled == TRACE_SAMPLED ? "1" : "0";
}

static int write_b3_single(struct http_head *h, const struct trace_context *c,
                           const uint8_t *span_id)
{
    char value[72];
    struct text_out o = TEXT_OUT(value);
    put_trace_id(&o, c);
    text_putc(&o, '-');
    trace_put_hex(&o, span_id, SPAN_ID_BYTES);
    text_printf(&o, "-%s", state_of(c));
    if (c->parent) {
        text_putc(&o, '-');
        trace_put_hex(&o, c->span_id, SPAN_ID_BYTES);
    }
    return http_head_set(h, TEXT("b3"), text_in(&o));
}

static int set_hex(struct http_head *h, struct text name, const uint8_t *bytes, size_t n)
{
    char value[2 * TRACE_ID_BYTES + 1];
    struct text_out o = TEXT_OUT(value);
    trace_put_hex(&o, bytes, n);
    return http_head_set(h, name, text_in(&o));
}

/* The span's id last: until it is there the fields are those of before, or those of a trace without it. */
static int write_b3(struct http_head *h, const struct trace_context *c, const uint8_t *span_id)
{
    size_t skip = c->short_id ? TRACE_ID_BYTES / 2 : 0;
    int r = set_hex(h, TEXT("x-b3-traceid"), c->trace_id + skip, TRACE_ID_BYTES - skip);
    if (r == 0 && !c->debug)
        r = http_head_set(h, TEXT("x-b3-sampled"), text_of(state_of(c)));
    if (r == 0 && c->parent)
        r = set_hex(h, TEXT("x-b3-parentspanid"), c->span_id, SPAN_ID_BYTES);
    if (r == 0)
        r = set_hex(h, TEXT("x-b3-spanid"), span_id, SPAN_ID_BYTES);
    return r;
}

int trace_context_write(struct http_head *h, const struct trace_context *c,
                        const uint8_t span_id[static SPAN_ID_BYTES])
{
    unsigned in = c->formats ? c->formats : TRACE_W3C;
    int r = 0;
    if (in & TRACE_W3C)
        r = write_w3c(h, c, span_id);
    if (r == 0 && in & TRACE_B3_SINGLE)
        r = write_b3_single(h, c, span_id);
    if (r == 0 && in & TRACE_B3)
        r = write_b3(h, c, span_id);
    return r;
}
