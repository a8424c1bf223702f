#include "nodeproxy/trace/otlp.h"

#include <errno.h>

/* ---- protobuf ---------------------------------------------------------------------------------- */

enum wire { VARINT, FIXED64, BYTES, FIXED32 = 5 };
struct writer { /* backwards, so that what is around a message knows its length */
    uint8_t *from, *at, *end;
    bool full;
};

static void put_bytes(struct writer *w, const void *bytes, size_t n)
{
    if (w->full || (size_t)(w->at - w->from) < n) {
        w->full = true;
        return;
    }
    w->at -= n;
    if (n > 0)
        memcpy(w->at, bytes, n);
}

static size_t varint_len(uint64_t v)
{
    size_t n = 1;
    while (v >>= 7)
        n++;
    return n;
}

static size_t varint(uint64_t v, uint8_t out[static 10])
{
    size_t n = 0;
    for (; v > 0x7f; v >>= 7)
        out[n++] = (uint8_t)(v | 0x80);
    out[n++] = (uint8_t)v;
    return n;
}

static void put_varint(struct writer *w, uint64_t v)
{
    uint8_t bytes[10];
    size_t n = varint(v, bytes);
    put_bytes(w, bytes, n);
}

static void put_tag(struct writer *w, unsigned field, enum wire wire)
{
    put_varint(w, field << 3 | wire);
}

static void put_number(struct writer *w, unsigned field, uint64_t v)
{
    put_varint(w, v);
    put_tag(w, field, VARINT);
}

static void put_fixed64(struct writer *w, unsigned field, uint64_t v)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(v >> 8 * i);
    put_bytes(w, bytes, sizeof bytes);
    put_tag(w, field, FIXED64);
}

static void put_data(struct writer *w, unsigned field, const void *bytes, size_t n)
{
    put_bytes(w, bytes, n);
    put_varint(w, n);
    put_tag(w, field, BYTES);
}

/* What lies before `end` becomes a message of this field. */
static void put_around(struct writer *w, unsigned field, const uint8_t *end)
{
    if (w->full)
        return;
    put_varint(w, (uint64_t)(end - w->at));
    put_tag(w, field, BYTES);
}

/* ---- OTLP -------------------------------------------------------------------------------------- */

/* A field of a request may have any bytes, and a string of protobuf not. */
static void put_text(struct writer *w, unsigned field, struct text t)
{
    char plain[1024];
    if (text_is_utf8(t)) {
        put_data(w, field, t.data, t.len);
        return;
    }
    size_t n = t.len < sizeof plain ? t.len : sizeof plain;
    for (size_t i = 0; i < n; i++)
        plain[i] = t.data[i] & 0x80 ? '?' : t.data[i];
    put_data(w, field, plain, n);
}

static void put_attribute(struct writer *w, unsigned field, const struct otlp_attribute *a)
{
    const uint8_t *end = w->at;
    if (a->value.data)
        put_text(w, 1, a->value); /* string_value */
    else
        put_number(w, 3, (uint64_t)a->number); /* int_value */
    put_around(w, 2, end);                     /* value */
    put_data(w, 1, a->key, strlen(a->key));    /* key */
    put_around(w, field, end);
}

/* To the front, where it is wanted. */
static size_t finished(const struct writer *w, uint8_t *out)
{
    size_t len = (size_t)(w->end - w->at);
    if (w->full)
        return 0;
    memmove(out, w->at, len);
    return len;
}

void otlp_put(struct otlp_span *s, const char *key, struct text value)
{
    if (s->n_attributes < OTLP_ATTRIBUTES_MAX && value.len > 0)
        s->attributes[s->n_attributes++] = (struct otlp_attribute){key, value, 0};
}

void otlp_put_number(struct otlp_span *s, const char *key, int64_t number)
{
    if (s->n_attributes < OTLP_ATTRIBUTES_MAX)
        s->attributes[s->n_attributes++] = (struct otlp_attribute){key, {NULL, 0}, number};
}

size_t otlp_span(const struct otlp_span *s, uint8_t *out, size_t size)
{
    enum { STATUS_ERROR = 2, KIND_SERVER = 2, KIND_CLIENT = 3 };
    struct writer w = {out, out + size, out + size, false};
    if (s->failed) {
        const uint8_t *end = w.at;
        put_number(&w, 3, STATUS_ERROR);
        put_around(&w, 15, end);
    }
    for (size_t i = s->n_attributes; i-- > 0;)
        put_attribute(&w, 9, &s->attributes[i]);
    put_fixed64(&w, 8, s->end_ns);
    put_fixed64(&w, 7, s->start_ns);
    put_number(&w, 6, s->server ? KIND_SERVER : KIND_CLIENT);
    put_text(&w, 5, s->name);
    if (s->parent_id)
        put_data(&w, 4, s->parent_id, SPAN_ID_BYTES);
    if (s->state.len > 0)
        put_text(&w, 3, s->state);
    put_data(&w, 2, s->span_id, SPAN_ID_BYTES);
    put_data(&w, 1, s->trace_id, TRACE_ID_BYTES);
    return finished(&w, out);
}

size_t otlp_resource(const struct otlp_attribute *attributes, size_t n, uint8_t *out, size_t size)
{
    struct writer w = {out, out + size, out + size, false};
    for (size_t i = n; i-- > 0;)
        put_attribute(&w, 1, &attributes[i]);
    return finished(&w, out);
}

/* ---- the request ------------------------------------------------------------------------------- */

static const char scope_name[] = "weir";

static bool same_resource(const struct otlp_piece *a, const struct otlp_piece *b)
{
    return text_equal(a->resource, b->resource);
}

static size_t field_len(size_t len) /* of fields up to 15 */
{
    return 1 + varint_len(len) + len;
}

/* Of ScopeSpans with the spans of pieces [0 .. *ret_n), which have one resource. */
static size_t scope_len(const struct otlp_piece *pieces, size_t n, size_t *ret_n)
{
    size_t len = field_len(field_len(sizeof scope_name - 1)), i = 0;
    for (; i < n && same_resource(&pieces[0], &pieces[i]); i++)
        len += field_len(pieces[i].span.len);
    *ret_n = i;
    return len;
}

size_t otlp_request_size(const struct otlp_piece *pieces, size_t n)
{
    size_t size = 0;
    for (size_t i = 0, same; i < n; i += same)
        size += field_len(field_len(pieces[i].resource.len) +
                          field_len(scope_len(pieces + i, n - i, &same)));
    return size;
}

void otlp_request(const struct otlp_piece *pieces, size_t n, uint8_t *out)
{
    size_t size = otlp_request_size(pieces, n);
    struct writer w = {out, out + size, out + size, false};
    while (n > 0) {
        const struct otlp_piece *last = &pieces[n - 1];
        const uint8_t *end = w.at;
        for (; n > 0 && same_resource(last, &pieces[n - 1]); n--)
            put_data(&w, 2, pieces[n - 1].span.data, pieces[n - 1].span.len); /* spans */
        const uint8_t *scope = w.at;
        put_data(&w, 1, scope_name, sizeof scope_name - 1);
        put_around(&w, 1, scope); /* scope */
        put_around(&w, 2, end);   /* scope_spans */
        put_data(&w, 1, last->resource.data, last->resource.len);
        put_around(&w, 1, end); /* resource_spans */
    }
}

/* ---- the answer -------------------------------------------------------------------------------- */

static bool take_varint(struct text *t, uint64_t *ret)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64 && t->len > 0; shift += 7) {
        uint8_t byte = (uint8_t)*t->data++;
        t->len--;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *ret = v;
            return true;
        }
    }
    return false;
}

/* The next field; numbers in *ret_number, bytes in *ret_bytes. */
static int take_field(struct text *t, uint64_t *ret_tag, uint64_t *ret_number,
                      struct text *ret_bytes)
{
    uint64_t len = 0;
    if (!take_varint(t, ret_tag))
        return -EINVAL;
    switch (*ret_tag & 7) {
    case VARINT:
        return take_varint(t, ret_number) ? 0 : -EINVAL;
    case BYTES:
        if (!take_varint(t, &len))
            return -EINVAL;
        break;
    case FIXED64:
        len = 8;
        break;
    case FIXED32:
        len = 4;
        break;
    default:
        return -EINVAL;
    }
    if (len > t->len)
        return -EINVAL;
    *ret_bytes = (struct text){t->data, (size_t)len};
    t->data += len;
    t->len -= len;
    return 0;
}

int otlp_response(const uint8_t *data, size_t len, uint64_t *ret_rejected)
{
    struct text t = {(const char *)data, len}, inner = {NULL, 0}, bytes;
    uint64_t tag, number, rejected = 0;
    while (t.len > 0) {
        if (take_field(&t, &tag, &number, &bytes) < 0)
            return -EINVAL;
        if (tag == (1 << 3 | BYTES)) /* partial_success */
            inner = bytes;
    }
    while (inner.len > 0) {
        if (take_field(&inner, &tag, &number, &bytes) < 0)
            return -EINVAL;
        if (tag == (1 << 3 | VARINT)) /* rejected_spans */
            rejected = number;
    }
    *ret_rejected = rejected;
    return 0;
}
