#include "shared/xds/codec.h"

#include <errno.h>
#include <stdlib.h>

#define URL_PREFIX "type.googleapis.com/"

static void *keep(struct writer *w, void *made)
{
    w->failed = w->failed || !made;
    return made;
}

void *encode_message(struct writer *w, const ProtobufCMessageDescriptor *type)
{
    void *m = keep(w, arena_take(w->arena, type->sizeof_message));
    if (m)
        protobuf_c_message_init(type, m);
    return m;
}

void *encode_list(struct writer *w, size_t n, size_t size)
{
    return n ? keep(w, arena_zero(w->arena, n, size)) : NULL;
}

char *encode_text(struct writer *w, struct text t)
{
    return keep(w, (char *)arena_text(w->arena, t).data);
}

char **encode_texts(struct writer *w, const struct text *texts, size_t n)
{
    char **list = encode_list(w, n, sizeof *list);
    for (size_t i = 0; list && i < n; i++)
        list[i] = encode_text(w, texts[i]);
    return list;
}

Duration *encode_duration(struct writer *w, uint64_t ms)
{
    Duration *d = encode_message(w, &google__protobuf__duration__descriptor);
    if (d) {
        d->seconds = (int64_t)(ms / 1000);
        d->nanos = (int32_t)(ms % 1000) * 1000000;
    }
    return d;
}

Google__Protobuf__UInt32Value *encode_u32(struct writer *w, uint32_t v)
{
    Google__Protobuf__UInt32Value *m =
        encode_message(w, &google__protobuf__uint32_value__descriptor);
    if (m)
        m->value = v;
    return m;
}

Google__Protobuf__UInt64Value *encode_u64(struct writer *w, uint64_t v)
{
    Google__Protobuf__UInt64Value *m =
        encode_message(w, &google__protobuf__uint64_value__descriptor);
    if (m)
        m->value = v;
    return m;
}

Google__Protobuf__BoolValue *encode_bool(struct writer *w, bool v)
{
    Google__Protobuf__BoolValue *m = encode_message(w, &google__protobuf__bool_value__descriptor);
    if (m)
        m->value = v;
    return m;
}

FractionalPercent *encode_fraction(struct writer *w, struct fraction f)
{
    FractionalPercent *m = encode_message(w, &envoy__type__v3__fractional_percent__descriptor);
    if (m) {
        m->numerator = f.numerator;
        m->denominator = f.denominator == 1000000 ? 2 : f.denominator == 10000 ? 1 : 0;
    }
    return m;
}

static Envoy__Type__Matcher__V3__RegexMatcher *encode_regex(struct writer *w, struct text source)
{
    Envoy__Type__Matcher__V3__RegexMatcher *m =
        encode_message(w, &envoy__type__matcher__v3__regex_matcher__descriptor);
    if (m)
        m->regex = encode_text(w, source);
    return m;
}

StringMatcher *encode_string_match(struct writer *w, const struct text_match *from)
{
    StringMatcher *m = encode_message(w, &envoy__type__matcher__v3__string_matcher__descriptor);
    if (!m)
        return NULL;
    m->ignore_case = from->ignore_case;
    switch (from->kind) {
    case TEXT_EXACT:
        m->match_pattern_case = ENVOY__TYPE__MATCHER__V3__STRING_MATCHER__MATCH_PATTERN_EXACT;
        m->exact = encode_text(w, from->value);
        break;
    case TEXT_PREFIX:
        m->match_pattern_case = ENVOY__TYPE__MATCHER__V3__STRING_MATCHER__MATCH_PATTERN_PREFIX;
        m->prefix = encode_text(w, from->value);
        break;
    case TEXT_SUFFIX:
        m->match_pattern_case = ENVOY__TYPE__MATCHER__V3__STRING_MATCHER__MATCH_PATTERN_SUFFIX;
        m->suffix = encode_text(w, from->value);
        break;
    case TEXT_CONTAINS:
        m->match_pattern_case = ENVOY__TYPE__MATCHER__V3__STRING_MATCHER__MATCH_PATTERN_CONTAINS;
        m->contains = encode_text(w, from->value);
        break;
    case TEXT_REGEX:
        m->match_pattern_case = ENVOY__TYPE__MATCHER__V3__STRING_MATCHER__MATCH_PATTERN_SAFE_REGEX;
        m->safe_regex = encode_regex(w, from->value);
        break;
    }
    return m;
}

Google__Protobuf__Struct *encode_labels(struct writer *w, const struct label *labels, size_t n)
{
    Google__Protobuf__Struct *m = encode_message(w, &google__protobuf__struct__descriptor);
    Google__Protobuf__Struct__FieldsEntry **list = encode_list(w, n, sizeof *list);
    if (!m || (n && !list))
        return NULL;
    for (size_t i = 0; i < n; i++) {
        list[i] = encode_message(w, &google__protobuf__struct__fields_entry__descriptor);
        if (!list[i] || !(list[i]->value = encode_message(w, &google__protobuf__value__descriptor)))
            return NULL;
        list[i]->key = encode_text(w, labels[i].name);
        list[i]->value->string_value = encode_text(w, labels[i].value);
    }
    m->fields = list;
    m->n_fields = n;
    return m;
}

void encode_add_metadata(struct writer *w, Metadata **m, const char *filter,
                         const struct label *labels, size_t n)
{
    enum { FILTERS_MAX = 4 }; /* that anybody here writes for one message */
    if (n == 0)
        return;
    if (!*m && (*m = encode_message(w, &envoy__config__core__v3__metadata__descriptor)))
        (*m)->filter_metadata = encode_list(w, FILTERS_MAX, sizeof(void *));
    if (!*m || !(*m)->filter_metadata)
        return;
    Envoy__Config__Core__V3__Metadata__FilterMetadataEntry *e =
        encode_message(w, &envoy__config__core__v3__metadata__filter_metadata_entry__descriptor);
    if (!e || !(e->value = encode_labels(w, labels, n)))
        return;
    e->key = encode_text(w, text_of(filter));
    (*m)->filter_metadata[(*m)->n_filter_metadata++] = e;
}

Google__Protobuf__Any *encode_any(struct writer *w, const ProtobufCMessage *m)
{
    char url[256];
    Google__Protobuf__Any *any = encode_message(w, &google__protobuf__any__descriptor);
    if (w->failed || !m) /* a message that is half made can't be packed */
        return NULL;
    struct text_out out = TEXT_OUT(url);
    text_printf(&out, "%s%s", URL_PREFIX, m->descriptor->name);
    any->type_url = encode_text(w, text_of(url));
    size_t len = protobuf_c_message_get_packed_size(m);
    any->value.data = keep(w, arena_take(w->arena, len));
    if (!any->value.data)
        return NULL;
    any->value.len = protobuf_c_message_pack(m, any->value.data);
    return any;
}

Metadata *encode_typed_metadata(struct writer *w, const char *name, const ProtobufCMessage *m)
{
    static const char digits[] = "0123456789abcdef";
    Metadata *all = NULL;
    const Google__Protobuf__Any *any = m ? encode_any(w, m) : NULL;
    char *hex = any ? encode_list(w, 2 * any->value.len + 1, 1) : NULL;
    if (!hex)
        return NULL;
    for (size_t i = 0; i < any->value.len; i++) {
        hex[2 * i] = digits[any->value.data[i] >> 4];
        hex[2 * i + 1] = digits[any->value.data[i] & 15];
    }
    const struct label message = {text_of(m->descriptor->name), {hex, 2 * any->value.len}};
    encode_add_metadata(w, &all, name, &message, 1);
    return all;
}

Envoy__Config__Core__V3__ConfigSource *encode_ads(struct writer *w)
{
    Envoy__Config__Core__V3__ConfigSource *m =
        encode_message(w, &envoy__config__core__v3__config_source__descriptor);
    if (!m)
        return NULL;
    m->config_source_specifier_case =
        ENVOY__CONFIG__CORE__V3__CONFIG_SOURCE__CONFIG_SOURCE_SPECIFIER_ADS;
    m->ads = encode_message(w, &envoy__config__core__v3__aggregated_config_source__descriptor);
    m->resource_api_version = 2; /* V3; Envoy takes no other one, nor that it is not said */
    return m;
}

Envoy__Config__Core__V3__Address *encode_address(struct writer *w, struct text host, uint16_t port)
{
    Envoy__Config__Core__V3__Address *m =
        encode_message(w, &envoy__config__core__v3__address__descriptor);
    Envoy__Config__Core__V3__SocketAddress *s =
        encode_message(w, &envoy__config__core__v3__socket_address__descriptor);
    if (!m || !s)
        return NULL;
    s->address = encode_text(w, host);
    s->port_specifier_case = ENVOY__CONFIG__CORE__V3__SOCKET_ADDRESS__PORT_SPECIFIER_PORT_VALUE;
    s->port_value = port;
    m->address_case = ENVOY__CONFIG__CORE__V3__ADDRESS__ADDRESS_SOCKET_ADDRESS;
    m->socket_address = s;
    return m;
}

int encode_done(struct writer *w, const ProtobufCMessage *m, struct xds_bytes *ret)
{
    int e = w->failed || !m ? -ENOMEM : wire_pack(m, ret);
    arena_done(w->arena);
    return e;
}
