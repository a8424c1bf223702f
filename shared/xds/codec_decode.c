#include "shared/xds/codec.h"

#include <errno.h>

#define URL_PREFIX "type.googleapis.com/"

int decode_no_memory(const struct reader *r)
{
    if (r->arena->full || r->scratch->full)
        return place_refuse(NULL, r->why, "has too many parts for its size");
    return wire_no_memory(r->why);
}

int decode_list(struct reader *r, const struct place *at, size_t n, size_t max, size_t size,
                void **ret)
{
    int e = place_count(at, n, max, r->why);
    if (e < 0 || n == 0)
        return e;
    void *list = arena_zero(r->arena, n, size);
    if (!list)
        return decode_no_memory(r);
    *ret = list;
    return 0;
}

int decode_text(struct reader *r, const char *s, struct text *ret)
{
    struct text copy = arena_text(r->arena, text_of(s));
    if (!copy.data)
        return decode_no_memory(r);
    *ret = copy;
    return 0;
}

int decode_texts(struct reader *r, const struct place *at, char *const *values, size_t n,
                 size_t max, struct text **ret, size_t *ret_n)
{
    int e = decode_list(r, at, n, max, sizeof **ret, (void **)ret);
    for (size_t i = 0; i < n && e == 0; i++)
        e = decode_text(r, values[i], &(*ret)[i]);
    if (e == 0)
        *ret_n = n;
    return e;
}

int decode_duration(struct reader *r, const struct place *at, const Duration *d, uint64_t *ret_ms)
{
    enum { SECONDS_MAX = 100 * 366 * 24 * 3600U, NS_PER_MS = 1000000 };
    if (!d)
        return 0;
    if (d->seconds < 0 || d->seconds > SECONDS_MAX || d->nanos < 0 || d->nanos > 999999999)
        return place_refuse(at, r->why, "%lld s and %d ns: is negative, or over 100 years",
                            (long long)d->seconds, d->nanos);
    *ret_ms = (uint64_t)d->seconds * 1000 + (uint64_t)(d->nanos + NS_PER_MS - 1) / NS_PER_MS;
    return 0;
}

int decode_u32(struct reader *r, const struct place *at, const Google__Protobuf__UInt32Value *v,
               uint32_t max, uint32_t *ret)
{
    if (!v)
        return 0;
    if (v->value > max)
        return place_refuse(at, r->why, "is %u, at most %u may be", v->value, max);
    *ret = v->value;
    return 0;
}

int decode_enum(struct reader *r, const struct place *at, int value, int max)
{
    if (value < 0 || value > max)
        return place_refuse(at, r->why, "%d is no value known here (0 to %d)", value, max);
    return 0;
}

int decode_fraction(struct reader *r, const struct place *at, const FractionalPercent *p,
                    struct fraction *ret)
{
    static const uint32_t denominators[] = {100, 10000, 1000000};
    if (!p) {
        *ret = (struct fraction){0, 100};
        return 0;
    }
    int e = decode_enum(r, AT(at, "denominator"), (int)p->denominator, 2);
    if (e == 0)
        *ret = (struct fraction){p->numerator, denominators[p->denominator]};
    return e;
}

int decode_string_match(struct reader *r, const struct place *at, const StringMatcher *m,
                        struct text_match *ret)
{
    const char *value;
    if (!m)
        return place_refuse(at, r->why, "is missing");
    switch (m->match_pattern_case) {
    case ENVOY__TYPE__MATCHER__V3__STRING_MATCHER__MATCH_PATTERN_EXACT:
        ret->kind = TEXT_EXACT;
        value = m->exact;
        break;
    case ENVOY__TYPE__MATCHER__V3__STRING_MATCHER__MATCH_PATTERN_PREFIX:
        ret->kind = TEXT_PREFIX;
        value = m->prefix;
        break;
    case ENVOY__TYPE__MATCHER__V3__STRING_MATCHER__MATCH_PATTERN_SUFFIX:
        ret->kind = TEXT_SUFFIX;
        value = m->suffix;
        break;
    case ENVOY__TYPE__MATCHER__V3__STRING_MATCHER__MATCH_PATTERN_CONTAINS:
        ret->kind = TEXT_CONTAINS;
        value = m->contains;
        break;
    case ENVOY__TYPE__MATCHER__V3__STRING_MATCHER__MATCH_PATTERN_SAFE_REGEX:
        ret->kind = TEXT_REGEX;
        value = m->safe_regex->regex;
        break;
    default:
        return place_refuse(at, r->why, "says no pattern");
    }
    ret->ignore_case = m->ignore_case;
    return decode_text(r, value, &ret->value);
}

int decode_labels(struct reader *r, const struct place *at, const Google__Protobuf__Struct *s,
                  size_t max, struct label **ret, size_t *ret_n)
{
    if (!s)
        return 0;
    int e = decode_list(r, at, s->n_fields, max, sizeof **ret, (void **)ret);
    for (size_t i = 0; i < s->n_fields && e == 0; i++) {
        const Google__Protobuf__Struct__FieldsEntry *f = s->fields[i];
        if (!f->value || f->value->base.n_unknown_fields > 0)
            return place_refuse(AT(at, f->key), r->why, "must be a string");
        e = decode_text(r, f->key, &(*ret)[i].name);
        if (e == 0)
            e = decode_text(r, f->value->string_value, &(*ret)[i].value);
    }
    if (e == 0)
        *ret_n = s->n_fields;
    return e;
}

int decode_metadata(struct reader *r, const struct place *at, const Metadata *m, const char *filter,
                    size_t max, struct label **ret, size_t *ret_n)
{
    for (size_t i = 0; m && i < m->n_filter_metadata; i++)
        if (strcmp(m->filter_metadata[i]->key, filter) == 0)
            return decode_labels(r, AT(AT(at, "filter_metadata"), filter),
                                 m->filter_metadata[i]->value, max, ret, ret_n);
    return 0;
}

/* The bytes that digits stand for, into the scratch. */
static int decode_hex(struct reader *r, const struct place *at, struct text digits, struct text *ret)
{
    char *bytes = arena_zero(r->scratch, digits.len / 2 + 1, 1);
    if (!bytes)
        return decode_no_memory(r);
    for (size_t i = 0; i + 1 < digits.len; i += 2) {
        int high = text_hex_digit(digits.data[i]), low = text_hex_digit(digits.data[i + 1]);
        if (high < 0 || low < 0)
            return place_refuse(at, r->why, "is not written in hexadecimal digits");
        bytes[i / 2] = (char)(high << 4 | low);
    }
    if (digits.len % 2)
        return place_refuse(at, r->why, "has half a byte");
    *ret = (struct text){bytes, digits.len / 2};
    return 0;
}

static int decode_own(struct reader *r, const struct place *at, const Google__Protobuf__Struct *s,
                      const ProtobufCMessageDescriptor *type, const ProtobufCMessage **ret)
{
    struct text bytes = {NULL, 0};
    if (!s || s->n_fields != 1 || strcmp(s->fields[0]->key, type->name) != 0 || !s->fields[0]->value ||
        s->fields[0]->value->base.n_unknown_fields > 0)
        return place_refuse(at, r->why, "must be a %s", type->name);
    int e = decode_hex(r, at, text_of(s->fields[0]->value->string_value), &bytes);
    return e < 0 ? e
                 : wire_unpack_strictly(type, (const uint8_t *)bytes.data, bytes.len, r->scratch, at, ret, r->why);
}

int decode_typed_metadata(struct reader *r, const struct place *at, const Metadata *m,
                          const char *name, const ProtobufCMessageDescriptor *type,
                          const ProtobufCMessage **ret)
{
    *ret = NULL;
    for (size_t i = 0; m && i < m->n_filter_metadata; i++)
        if (strcmp(m->filter_metadata[i]->key, name) == 0)
            return decode_own(r, AT(AT(at, "filter_metadata"), name), m->filter_metadata[i]->value, type, ret);
    for (size_t i = 0; m && i < m->n_typed_filter_metadata; i++)
        if (strcmp(m->typed_filter_metadata[i]->key, name) == 0)
            return decode_any(r, AT(AT(at, "typed_filter_metadata"), name),
                              m->typed_filter_metadata[i]->value, type, ret);
    return 0;
}

bool any_is(const Google__Protobuf__Any *any, const ProtobufCMessageDescriptor *type)
{
    struct text url = text_of(any->type_url), prefix = TEXT(URL_PREFIX);
    return text_starts_with(url, prefix) && strcmp(any->type_url + prefix.len, type->name) == 0;
}

int decode_any(struct reader *r, const struct place *at, const Google__Protobuf__Any *any,
               const ProtobufCMessageDescriptor *type, const ProtobufCMessage **ret)
{
    if (!any)
        return place_refuse(at, r->why, "is missing");
    if (!any_is(any, type))
        return place_refuse(AT(at, "type_url"), r->why, "'%.100s' is not supported here",
                            any->type_url);
    return wire_unpack_strictly(type, any->value.data, any->value.len, r->scratch, at, ret, r->why);
}
