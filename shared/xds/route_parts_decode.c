/* What stands at several places of a RouteConfiguration: edits, rewrites, retries, filters. */
#include "cors.pb-c.h"
#include "fault.pb-c.h"
#include "shared/xds/route_codec.h"
#include "shared/xds/routing.h"

typedef Envoy__Config__Core__V3__HeaderValueOption HeaderOption;
typedef Envoy__Config__Route__V3__RetryPolicy Retry;
typedef Envoy__Type__Matcher__V3__RegexMatchAndSubstitute Rewrite;
typedef Envoy__Extensions__Filters__Http__Fault__V3__HTTPFault HttpFault;
typedef Envoy__Extensions__Filters__Http__Cors__V3__CorsPolicy CorsPolicy;

/* ---- Edits ---------------------------------------------------------------------------------- */

/* A value is a format: %% is a %, and operators are not known here. */
static int decode_format(struct reader *r, const struct place *at, const char *from,
                         struct text *ret)
{
    size_t n = 0;
    char *out = arena_take(r->arena, strlen(from) + 1);
    if (!out)
        return decode_no_memory(r);
    for (const char *c = from; *c; c++) {
        if (*c == '%' && *++c != '%')
            return place_refuse(at, r->why, "%%...%% is not supported here");
        out[n++] = *c;
    }
    out[n] = '\0';
    *ret = (struct text){out, n};
    return 0;
}

static int decode_put(struct reader *r, const struct place *at, const HeaderOption *from,
                      struct header_edit *ret)
{
    if (!from->header)
        return place_refuse(AT(at, "header"), r->why, "is missing");
    if (from->header->raw_value.len > 0)
        return place_refuse(AT(at, "header.raw_value"), r->why, "is not supported here");
    int e =
        decode_enum(r, AT(at, "append_action"), (int)from->append_action, HEADER_SET_IF_PRESENT);
    if (e < 0)
        return e;
    ret->kind = (enum header_edit_kind)from->append_action;
    if (from->append && from->append_action)
        return place_refuse(AT(at, "append"), r->why, "is said together with append_action");
    if (from->append && !from->append->value)
        ret->kind = HEADER_SET;
    if (!from->header->value[0] && !from->keep_empty_value)
        return place_refuse(AT(at, "header.value"), r->why,
                            "is empty, which needs keep_empty_value here");
    e = decode_text(r, from->header->key, &ret->name);
    return e < 0 ? e : decode_format(r, AT(at, "header.value"), from->header->value, &ret->value);
}

int decode_edits(struct reader *r, const struct place *at, HeaderOption *const *put, size_t n_put,
                 char *const *removed, size_t n_removed, struct header_edits *ret)
{
    int e = decode_list(r, at, n_put, ROUTE_MATCHES_MAX, sizeof *ret->put, (void **)&ret->put);
    for (size_t i = 0; i < n_put && e == 0; i++)
        e = decode_put(r, &(const struct place){at->in, at->name, i}, put[i], &ret->put[i]);
    if (e == 0)
        e = decode_texts(r, at, removed, n_removed, ROUTE_MATCHES_MAX, &ret->remove,
                         &ret->n_remove);
    if (e == 0)
        ret->n_put = n_put;
    return e;
}

/* The opposite of writing a literal as a substitution; false: it speaks of groups. */
static bool decode_literal(struct text *t)
{
    char *out = (char *)t->data;
    size_t n = 0;
    for (size_t i = 0; i < t->len; i++)
        if (t->data[i] == '\\' && (i + 1 == t->len || t->data[++i] != '\\'))
            return false;
    for (size_t i = 0; i < t->len; i++) {
        if (t->data[i] == '\\')
            i++;
        out[n++] = t->data[i];
    }
    out[n] = '\0';
    t->len = n;
    return true;
}

int decode_rewrite(struct reader *r, const struct place *at, const Rewrite *from,
                   struct path_rewrite *ret)
{
    if (!from->pattern)
        return place_refuse(AT(at, "pattern"), r->why, "is missing");
    int e = decode_text(r, from->pattern->regex, &ret->pattern);
    if (e == 0)
        e = decode_text(r, from->substitution, &ret->value);
    if (e < 0)
        return e;
    ret->kind = REWRITE_REGEX;
    if (strcmp(from->pattern->regex, XDS_WHOLE_PATH) == 0 && decode_literal(&ret->value)) {
        ret->kind = REWRITE_WHOLE;
        ret->pattern = (struct text){NULL, 0};
    }
    return 0;
}

/* ---- Retries -------------------------------------------------------------------------------- */

static int decode_backoff(struct reader *r, const struct place *at, const Retry *from,
                          struct retry_policy *ret)
{
    if (!from->retry_back_off)
        return 0;
    at = AT(at, "retry_back_off");
    int e = decode_duration(r, AT(at, "base_interval"), from->retry_back_off->base_interval,
                            &ret->backoff_base_ms);
    if (e == 0 && ret->backoff_base_ms == 0)
        e = place_refuse(AT(at, "base_interval"), r->why, "is missing, or 0");
    return e == 0 ? decode_duration(r, AT(at, "max_interval"), from->retry_back_off->max_interval,
                                    &ret->backoff_max_ms)
                  : e;
}

static int decode_status_codes(struct reader *r, const struct place *at, const Retry *from,
                               struct retry_policy *ret)
{
    at = AT(at, "retriable_status_codes");
    int e = decode_list(r, at, from->n_retriable_status_codes, ROUTE_MATCHES_MAX,
                        sizeof *ret->status_codes, (void **)&ret->status_codes);
    for (size_t i = 0; i < from->n_retriable_status_codes && e == 0; i++) {
        uint32_t code = from->retriable_status_codes[i];
        if (code > 999)
            return place_refuse(at, r->why, "%u is no status of HTTP", code);
        ret->status_codes[i] = (uint16_t)code;
    }
    if (e == 0)
        ret->n_status_codes = from->n_retriable_status_codes;
    return e;
}

int decode_retry(struct reader *r, const struct place *at, const Retry *from,
                 const struct retry_policy **ret)
{
    enum { CHOICES_MAX = 1000 };
    int e;
    if (!from)
        return 0;
    struct retry_policy *p = arena_zero(r->arena, 1, sizeof *p);
    if (!p)
        return decode_no_memory(r);
    p->retries_max = 1;
    char why[WHY_MAX];
    if ((e = retry_on_parse(text_of(from->retry_on), &p->on, why)) < 0)
        return place_refuse(AT(at, "retry_on"), r->why, "%s", why);
    if ((e = decode_u32(r, AT(at, "num_retries"), from->num_retries, RETRIES_MAX,
                        &p->retries_max)) < 0 ||
        (e = decode_duration(r, AT(at, "per_try_timeout"), from->per_try_timeout,
                             &p->per_try_timeout_ms)) < 0 ||
        (e = decode_duration(r, AT(at, "per_try_idle_timeout"), from->per_try_idle_timeout,
                             &p->per_try_idle_timeout_ms)) < 0 ||
        (e = decode_status_codes(r, at, from, p)) < 0 || (e = decode_backoff(r, at, from, p)) < 0 ||
        (e = decode_header_matches(r, AT(at, "retriable_headers"), from->retriable_headers,
                                   from->n_retriable_headers, &p->headers, &p->n_headers)) < 0 ||
        (e = decode_header_matches(
             r, AT(at, "retriable_request_headers"), from->retriable_request_headers,
             from->n_retriable_request_headers, &p->request_headers, &p->n_request_headers)) < 0)
        return e;
    for (size_t i = 0; i < from->n_retry_host_predicate; i++) {
        if (strcmp(from->retry_host_predicate[i]->name, XDS_PREVIOUS_HOSTS) != 0)
            return place_refuse(AT_I(at, "retry_host_predicate", i), r->why,
                                "'%.100s' is not supported here",
                                from->retry_host_predicate[i]->name);
        p->avoid_tried = true;
    }
    if (from->host_selection_retry_max_attempts < 0 ||
        from->host_selection_retry_max_attempts > CHOICES_MAX)
        return place_refuse(AT(at, "host_selection_retry_max_attempts"), r->why,
                            "is not in 0 to %d", CHOICES_MAX);
    p->choices_max = (uint32_t)from->host_selection_retry_max_attempts;
    *ret = p;
    return 0;
}

/* ---- Filters -------------------------------------------------------------------------------- */

static int decode_fault(struct reader *r, const struct place *at, const HttpFault *from,
                        struct fault *ret)
{
    int e;
    if (from->delay) {
        if (from->delay->fault_delay_secifier_case !=
            ENVOY__EXTENSIONS__FILTERS__COMMON__FAULT__V3__FAULT_DELAY__FAULT_DELAY_SECIFIER_FIXED_DELAY)
            return place_refuse(AT(at, "delay.fixed_delay"), r->why, "is missing");
        if ((e = decode_duration(r, AT(at, "delay.fixed_delay"), from->delay->fixed_delay,
                                 &ret->delay_ms)) < 0 ||
            (e = decode_fraction(r, AT(at, "delay.percentage"), from->delay->percentage,
                                 &ret->delay)) < 0)
            return e;
    }
    if (from->abort) {
        bool grpc =
            from->abort->error_type_case ==
            ENVOY__EXTENSIONS__FILTERS__HTTP__FAULT__V3__FAULT_ABORT__ERROR_TYPE_GRPC_STATUS;
        uint32_t status = grpc ? from->abort->grpc_status : from->abort->http_status;
        if (from->abort->error_type_case ==
                ENVOY__EXTENSIONS__FILTERS__HTTP__FAULT__V3__FAULT_ABORT__ERROR_TYPE__NOT_SET ||
            (grpc ? status == 0 || status > UINT16_MAX : status < 200 || status > 599))
            return place_refuse(AT(at, "abort"), r->why, "has no status, or one that is none");
        *(grpc ? &ret->abort_grpc : &ret->abort_status) = (uint16_t)status;
        if ((e = decode_fraction(r, AT(at, "abort.percentage"), from->abort->percentage,
                                 &ret->abort)) < 0)
            return e;
    }
    if ((e = decode_text(r, from->upstream_cluster, &ret->cluster)) < 0 ||
        (e = decode_header_matches(r, AT(at, "headers"), from->headers, from->n_headers,
                                   &ret->headers, &ret->n_headers)) < 0)
        return e;
    return decode_u32(r, AT(at, "max_active_faults"), from->max_active_faults, UINT32_MAX,
                      &ret->active_max);
}

static bool is_all(const Envoy__Config__Core__V3__RuntimeFractionalPercent *f)
{
    static const uint32_t all[] = {100, 10000, 1000000};
    return !f || (f->default_value && f->default_value->denominator <= 2 &&
                  f->default_value->numerator >= all[f->default_value->denominator]);
}

/* Two messages of the same fields. */
#define DECODE_CORS(r, at, from, ret)                                                              \
    do {                                                                                           \
        int e;                                                                                     \
        struct cors *c = arena_zero((r)->arena, 1, sizeof *c);                                     \
        if (!c)                                                                                    \
            return decode_no_memory(r);                                                            \
        if (!is_all((from)->filter_enabled))                                                       \
            return place_refuse(AT((at), "filter_enabled"), (r)->why,                              \
                                "only 100 %% are supported here");                                 \
        const struct place *origins = AT((at), "allow_origin_string_match");                       \
        e = decode_list((r), origins, (from)->n_allow_origin_string_match, ROUTE_MATCHES_MAX,      \
                        sizeof *c->origins, (void **)&c->origins);                                 \
        c->n_origins = e == 0 ? (from)->n_allow_origin_string_match : 0;                           \
        for (size_t i = 0; i < c->n_origins && e == 0; i++)                                        \
            e = decode_string_match((r), AT_I((at), "allow_origin_string_match", i),               \
                                    (from)->allow_origin_string_match[i], &c->origins[i]);         \
        if (e < 0 || (e = decode_text((r), (from)->allow_methods, &c->methods)) < 0 ||             \
            (e = decode_text((r), (from)->allow_headers, &c->headers)) < 0 ||                      \
            (e = decode_text((r), (from)->expose_headers, &c->expose_headers)) < 0 ||              \
            (e = decode_text((r), (from)->max_age, &c->max_age)) < 0)                              \
            return e;                                                                              \
        c->credentials = (from)->allow_credentials && (from)->allow_credentials->value;            \
        c->forward_unmatched_preflights = !(from)->forward_not_matching_preflights ||              \
                                          (from)->forward_not_matching_preflights->value;          \
        *(ret) = c;                                                                                \
    } while (0)

int decode_cors(struct reader *r, const struct place *at,
                const Envoy__Config__Route__V3__CorsPolicy *from, const struct cors **ret)
{
    if (!from)
        return 0;
    if (*ret)
        return place_refuse(at, r->why, "is said twice");
    DECODE_CORS(r, at, from, ret);
    return 0;
}

static int decode_cors_filter(struct reader *r, const struct place *at, const CorsPolicy *from,
                              const struct cors **ret)
{
    DECODE_CORS(r, at, from, ret);
    return 0;
}

int decode_filter(struct reader *r, const struct place *at, const Google__Protobuf__Any *from,
                  const struct fault **ret_fault, const struct cors **ret_cors)
{
    const ProtobufCMessageDescriptor *faults =
        &envoy__extensions__filters__http__fault__v3__httpfault__descriptor;
    const ProtobufCMessage *m;
    int e;
    if (!from || !any_is(from, faults)) {
        e = decode_any(r, at, from,
                       &envoy__extensions__filters__http__cors__v3__cors_policy__descriptor, &m);
        return e < 0 ? e : decode_cors_filter(r, at, (const CorsPolicy *)m, ret_cors);
    }
    struct fault *fault = arena_zero(r->arena, 1, sizeof *fault);
    if (!fault)
        return decode_no_memory(r);
    e = decode_any(r, at, from, faults, &m);
    if (e == 0)
        e = decode_fault(r, at, (const HttpFault *)m, fault);
    if (e == 0)
        *ret_fault = fault;
    return e;
}
