#include "shared/xds/cluster_codec.h"
#include "shared/xds/routing.h"
#include "tls.pb-c.h"
#include "upstream_http.pb-c.h"

#include <errno.h>

typedef Envoy__Config__Cluster__V3__Cluster Cluster;
typedef Envoy__Config__Core__V3__HealthCheck HealthCheck;
typedef Envoy__Config__Core__V3__HealthCheck__Payload Payload;
typedef Envoy__Config__Core__V3__Http2ProtocolOptions Http2Options;
typedef Envoy__Extensions__TransportSockets__Tls__V3__UpstreamTlsContext Tls;
typedef Envoy__Extensions__TransportSockets__Tls__V3__CommonTlsContext CommonTls;
typedef Envoy__Extensions__TransportSockets__Tls__V3__CertificateValidationContext Validation;
typedef Envoy__Extensions__TransportSockets__Tls__V3__SubjectAltNameMatcher San;
typedef Envoy__Extensions__TransportSockets__Tls__V3__SdsSecretConfig Secret;
typedef Envoy__Extensions__Upstreams__Http__V3__HttpProtocolOptions HttpOptions;

#define VALIDATION(name)                                                                           \
    ENVOY__EXTENSIONS__TRANSPORT_SOCKETS__TLS__V3__COMMON_TLS_CONTEXT__VALIDATION_CONTEXT_TYPE_##name
#define PROTOCOL(name)                                                                             \
    ENVOY__EXTENSIONS__UPSTREAMS__HTTP__V3__HTTP_PROTOCOL_OPTIONS__UPSTREAM_PROTOCOL_OPTIONS_##name

/* ---- TLS ------------------------------------------------------------------------------------ */

static int decode_sans(struct reader *r, const struct place *at, const Validation *from,
                       struct cluster_tls *ret)
{
    size_t n = from->n_match_typed_subject_alt_names, n_old = from->n_match_subject_alt_names;
    int e = decode_list(r, AT(at, "match_typed_subject_alt_names"), n + n_old, CLUSTER_SANS_MAX,
                        sizeof *ret->sans, (void **)&ret->sans);
    for (size_t i = 0; i < n && e == 0; i++)
        e = decode_string_match(r, AT_I(at, "match_typed_subject_alt_names", i),
                                from->match_typed_subject_alt_names[i]->matcher, &ret->sans[i]);
    for (size_t i = 0; i < n_old && e == 0; i++)
        e = decode_string_match(r, AT_I(at, "match_subject_alt_names", i),
                                from->match_subject_alt_names[i], &ret->sans[n + i]);
    if (e == 0)
        ret->n_sans = n + n_old;
    return e;
}

static int decode_validation(struct reader *r, const struct place *at, const Validation *from,
                             struct cluster_tls *ret)
{
    if (!from)
        return 0;
    int e = decode_sans(r, at, from, ret);
    if (e < 0)
        return e;
    ret->system_roots = from->system_root_certs != NULL;
    ret->insecure =
        from->trust_chain_verification ==
        ENVOY__EXTENSIONS__TRANSPORT_SOCKETS__TLS__V3__CERTIFICATE_VALIDATION_CONTEXT__TRUST_CHAIN_VERIFICATION__ACCEPT_UNTRUSTED;
    if (!from->trusted_ca)
        return 0;
    bool bytes = from->trusted_ca->specifier_case ==
                 ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER_INLINE_BYTES;
    struct text pem = bytes ? (struct text){(const char *)from->trusted_ca->inline_bytes.data,
                                            from->trusted_ca->inline_bytes.len}
                            : text_of(from->trusted_ca->inline_string);
    if (!bytes && from->trusted_ca->specifier_case !=
                      ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER_INLINE_STRING)
        return place_refuse(AT(at, "trusted_ca"), r->why, "says nothing");
    ret->ca_pem = arena_text(r->arena, pem);
    return ret->ca_pem.data ? 0 : decode_no_memory(r);
}

static int decode_secret(struct reader *r, const struct place *at, const Secret *from,
                         struct text *ret)
{
    if (!from->name[0])
        return place_refuse(AT(at, "name"), r->why, "is empty");
    return decode_text(r, from->name, ret);
}

static int decode_roots(struct reader *r, const struct place *at, const CommonTls *from,
                        struct cluster_tls *ret)
{
    switch ((int)from->validation_context_type_case) {
    case VALIDATION(VALIDATION_CONTEXT):
        return decode_validation(r, AT(at, "validation_context"), from->validation_context, ret);
    case VALIDATION(VALIDATION_CONTEXT_SDS_SECRET_CONFIG):
        return decode_secret(r, AT(at, "validation_context_sds_secret_config"),
                             from->validation_context_sds_secret_config, &ret->ca_secret);
    case VALIDATION(COMBINED_VALIDATION_CONTEXT):
        at = AT(at, "combined_validation_context");
        if (!from->combined_validation_context->validation_context_sds_secret_config)
            return place_refuse(AT(at, "validation_context_sds_secret_config"), r->why,
                                "is missing");
        int e =
            decode_secret(r, AT(at, "validation_context_sds_secret_config"),
                          from->combined_validation_context->validation_context_sds_secret_config,
                          &ret->ca_secret);
        return e < 0 ? e
                     : decode_validation(
                           r, AT(at, "default_validation_context"),
                           from->combined_validation_context->default_validation_context, ret);
    default:
        return 0;
    }
}

/* The names that Istio gives to a workload's own certificate and its mesh's roots. */
static void find_kind(struct cluster_tls *t)
{
    t->kind = t->certificate_secret.len ? TLS_MUTUAL : TLS_SIMPLE;
    if (!text_equal(t->certificate_secret, TEXT(XDS_MESH_CERTIFICATE)) ||
        !text_equal(t->ca_secret, TEXT(XDS_MESH_ROOTS)))
        return;
    t->kind = TLS_MESH;
    t->certificate_secret = t->ca_secret = (struct text){NULL, 0};
}

int decode_transport(struct reader *r, const struct place *at,
                     const Envoy__Config__Core__V3__TransportSocket *from, struct cluster_tls *ret)
{
    const ProtobufCMessage *m;
    int e;
    if (!from)
        return 0;
    at = AT(at, "typed_config");
    if ((e = decode_any(
             r, at,
             from->config_type_case ==
                     ENVOY__CONFIG__CORE__V3__TRANSPORT_SOCKET__CONFIG_TYPE_TYPED_CONFIG
                 ? from->typed_config
                 : NULL,
             &envoy__extensions__transport_sockets__tls__v3__upstream_tls_context__descriptor,
             &m)) < 0)
        return e;
    const Tls *tls = (const Tls *)m;
    if ((e = decode_text(r, tls->sni, &ret->sni)) < 0)
        return e;
    ret->sni_of_host = tls->auto_host_sni;
    ret->sans_of_sni = tls->auto_sni_san_validation;
    ret->kind = TLS_SIMPLE;
    if (!tls->common_tls_context)
        return 0;
    const CommonTls *common = tls->common_tls_context;
    at = AT(at, "common_tls_context");
    if ((e = decode_texts(r, AT(at, "alpn_protocols"), common->alpn_protocols,
                          common->n_alpn_protocols, CLUSTER_SANS_MAX, &ret->alpn, &ret->n_alpn)) <
            0 ||
        (e = place_count(AT(at, "tls_certificate_sds_secret_configs"),
                         common->n_tls_certificate_sds_secret_configs, 1, r->why)) < 0 ||
        (common->n_tls_certificate_sds_secret_configs &&
         (e = decode_secret(r, AT_I(at, "tls_certificate_sds_secret_configs", 0),
                            common->tls_certificate_sds_secret_configs[0],
                            &ret->certificate_secret)) < 0) ||
        (e = decode_roots(r, at, common, ret)) < 0)
        return e;
    find_kind(ret);
    return 0;
}

/* ---- HTTP ----------------------------------------------------------------------------------- */

static int decode_common_http(struct reader *r, const struct place *at,
                              const Envoy__Config__Core__V3__HttpProtocolOptions *from,
                              struct cluster *ret)
{
    int e;
    if (!from)
        return 0;
    if ((e = decode_duration(r, AT(at, "idle_timeout"), from->idle_timeout,
                             &ret->idle_timeout_ms)) < 0 ||
        (e = decode_duration(r, AT(at, "max_connection_duration"), from->max_connection_duration,
                             &ret->max_connection_ms)) < 0)
        return e;
    return decode_u32(r, AT(at, "max_requests_per_connection"), from->max_requests_per_connection,
                      UINT32_MAX, &ret->requests_per_connection_max);
}

static int decode_http2(struct reader *r, const struct place *at, const Http2Options *from,
                        struct cluster *ret)
{
    return from ? decode_u32(r, AT(at, "http2_protocol_options.max_concurrent_streams"),
                             from->max_concurrent_streams, INT32_MAX, &ret->concurrent_streams_max)
                : 0;
}

static int decode_http_options(struct reader *r, const struct place *at, const HttpOptions *from,
                               struct cluster *ret)
{
    const Http2Options *http2 = NULL;
    int e = decode_common_http(r, AT(at, "common_http_protocol_options"),
                               from->common_http_protocol_options, ret);
    if (e < 0)
        return e;
    switch ((int)from->upstream_protocol_options_case) {
    case PROTOCOL(EXPLICIT_HTTP_CONFIG):
        at = AT(at, "explicit_http_config");
        ret->protocol = UPSTREAM_HTTP1;
        if (from->explicit_http_config->protocol_config_case ==
            ENVOY__EXTENSIONS__UPSTREAMS__HTTP__V3__HTTP_PROTOCOL_OPTIONS__EXPLICIT_HTTP_CONFIG__PROTOCOL_CONFIG_HTTP2_PROTOCOL_OPTIONS) {
            ret->protocol = UPSTREAM_HTTP2;
            http2 = from->explicit_http_config->http2_protocol_options;
        }
        return decode_http2(r, at, http2, ret);
    case PROTOCOL(USE_DOWNSTREAM_PROTOCOL_CONFIG):
        ret->protocol = UPSTREAM_AS_DOWNSTREAM;
        return decode_http2(r, AT(at, "use_downstream_protocol_config"),
                            from->use_downstream_protocol_config->http2_protocol_options, ret);
    case PROTOCOL(AUTO_CONFIG):
        ret->protocol = UPSTREAM_BY_ALPN;
        return decode_http2(r, AT(at, "auto_config"), from->auto_config->http2_protocol_options,
                            ret);
    default:
        return place_refuse(at, r->why, "says no protocol");
    }
}

int decode_protocol(struct reader *r, const Cluster *from, struct cluster *ret)
{
    const struct place *options = AT(NULL, "typed_extension_protocol_options");
    int e;
    /* The older fields. */
    if (from->http2_protocol_options) {
        ret->protocol = UPSTREAM_HTTP2;
        if ((e = decode_http2(r, NULL, from->http2_protocol_options, ret)) < 0)
            return e;
    }
    ret->idle_timeout_ms = 3600 * 1000; /* Envoy's, where nobody says one */
    if ((e = decode_common_http(r, AT(NULL, "common_http_protocol_options"),
                                from->common_http_protocol_options, ret)) < 0 ||
        (e = decode_u32(r, AT(NULL, "max_requests_per_connection"),
                        from->max_requests_per_connection, UINT32_MAX,
                        &ret->requests_per_connection_max)) < 0)
        return e;
    for (size_t i = 0; i < from->n_typed_extension_protocol_options; i++) {
        const ProtobufCMessage *m;
        const char *key = from->typed_extension_protocol_options[i]->key;
        const struct place *at = AT(options, key);
        if (strcmp(key, XDS_HTTP_OPTIONS) != 0)
            return place_refuse(at, r->why, "is not supported here");
        if ((e = decode_any(
                 r, at, from->typed_extension_protocol_options[i]->value,
                 &envoy__extensions__upstreams__http__v3__http_protocol_options__descriptor, &m)) <
                0 ||
            (e = decode_http_options(r, at, (const HttpOptions *)m, ret)) < 0)
            return e;
    }
    return 0;
}

/* ---- Health checks -------------------------------------------------------------------------- */

/* Text is hexadecimal, binary is as it is. */
static int decode_payload(struct reader *r, const struct place *at, const Payload *from,
                          struct text *ret)
{
    if (from->payload_case == ENVOY__CONFIG__CORE__V3__HEALTH_CHECK__PAYLOAD__PAYLOAD_BINARY) {
        *ret =
            arena_text(r->arena, (struct text){(const char *)from->binary.data, from->binary.len});
        return ret->data ? 0 : decode_no_memory(r);
    }
    const char *hex =
        from->payload_case == ENVOY__CONFIG__CORE__V3__HEALTH_CHECK__PAYLOAD__PAYLOAD_TEXT
            ? from->text
            : "";
    size_t n = strlen(hex);
    char *out = arena_take(r->arena, n / 2 + 1);
    if (!out)
        return decode_no_memory(r);
    for (size_t i = 0; i < n; i += 2) {
        int high = text_hex_digit(hex[i]), low = text_hex_digit(hex[i + 1]);
        if (high < 0 || low < 0) /* an odd one: the NUL is no digit */
            return place_refuse(AT(at, "text"), r->why, "is not hexadecimal");
        out[i / 2] = (char)(high << 4 | low);
    }
    out[n / 2] = '\0';
    *ret = (struct text){out, n / 2};
    return 0;
}

static int decode_http_check(struct reader *r, const struct place *at,
                             const Envoy__Config__Core__V3__HealthCheck__HttpHealthCheck *from,
                             struct health_check *ret)
{
    enum { LISTS_MAX = 64 };
    int e;
    const ProtobufCEnumValue *method = protobuf_c_enum_descriptor_get_value(
        &envoy__config__core__v3__request_method__descriptor, (int)from->method);
    if (!method)
        return place_refuse(AT(at, "method"), r->why, "%d is no method", (int)from->method);
    ret->kind = CHECK_HTTP;
    if ((e = decode_text(r, from->host, &ret->host)) < 0 ||
        (e = decode_text(r, from->path, &ret->path)) < 0 ||
        (e = decode_text(r, method->value ? method->name : "GET", &ret->method)) < 0 ||
        (e = decode_list(r, AT(at, "expected_statuses"), from->n_expected_statuses, LISTS_MAX,
                         sizeof *ret->expected, (void **)&ret->expected)) < 0 ||
        (e = decode_list(r, AT(at, "request_headers_to_add"), from->n_request_headers_to_add,
                         LISTS_MAX, sizeof *ret->request_headers, (void **)&ret->request_headers)) <
            0)
        return e;
    ret->n_expected = from->n_expected_statuses;
    for (size_t i = 0; i < ret->n_expected; i++) {
        int64_t start = from->expected_statuses[i]->start, end = from->expected_statuses[i]->end;
        if (start < 100 || end > 600 || start >= end)
            return place_refuse(AT_I(at, "expected_statuses", i), r->why,
                                "is not within 100 and 600");
        ret->expected[i] = (struct status_range){(uint16_t)start, (uint16_t)end};
    }
    ret->n_request_headers = from->n_request_headers_to_add;
    for (size_t i = 0; i < ret->n_request_headers && e == 0; i++) {
        const Envoy__Config__Core__V3__HeaderValue *header =
            from->request_headers_to_add[i]->header;
        if (!header)
            return place_refuse(AT_I(at, "request_headers_to_add", i), r->why, "has no header");
        e = decode_text(r, header->key, &ret->request_headers[i].name);
        if (e == 0)
            e = decode_text(r, header->value, &ret->request_headers[i].value);
    }
    return e;
}

static int decode_tcp_check(struct reader *r, const struct place *at,
                            const Envoy__Config__Core__V3__HealthCheck__TcpHealthCheck *from,
                            struct health_check *ret)
{
    enum { RECEIVE_MAX = 16 };
    ret->kind = CHECK_TCP;
    int e = from->send ? decode_payload(r, AT(at, "send"), from->send, &ret->send) : 0;
    if (e == 0)
        e = decode_list(r, AT(at, "receive"), from->n_receive, RECEIVE_MAX, sizeof *ret->receive,
                        (void **)&ret->receive);
    for (size_t i = 0; i < from->n_receive && e == 0; i++)
        e = decode_payload(r, AT_I(at, "receive", i), from->receive[i], &ret->receive[i]);
    ret->n_receive = e == 0 ? from->n_receive : 0;
    return e;
}

static int decode_checker(struct reader *r, const struct place *at, const HealthCheck *from,
                          struct health_check *ret)
{
    int e;
    switch ((int)from->health_checker_case) {
    case ENVOY__CONFIG__CORE__V3__HEALTH_CHECK__HEALTH_CHECKER_HTTP_HEALTH_CHECK:
        return decode_http_check(r, AT(at, "http_health_check"), from->http_health_check, ret);
    case ENVOY__CONFIG__CORE__V3__HEALTH_CHECK__HEALTH_CHECKER_TCP_HEALTH_CHECK:
        return decode_tcp_check(r, AT(at, "tcp_health_check"), from->tcp_health_check, ret);
    case ENVOY__CONFIG__CORE__V3__HEALTH_CHECK__HEALTH_CHECKER_GRPC_HEALTH_CHECK:
        ret->kind = CHECK_GRPC;
        e = decode_text(r, from->grpc_health_check->service_name, &ret->service);
        return e < 0 ? e : decode_text(r, from->grpc_health_check->authority, &ret->host);
    default:
        return place_refuse(at, r->why, "says nothing to check");
    }
}

static int decode_health_check(struct reader *r, const struct place *at, const HealthCheck *from,
                               struct health_check *ret)
{
    uint32_t alt_port = 0;
    int e;
    if (from->interval_jitter_percent > 1000)
        return place_refuse(AT(at, "interval_jitter_percent"), r->why, "is above 1000");
    ret->jitter_percent = from->interval_jitter_percent;
    ret->reuse_connection = !from->reuse_connection || from->reuse_connection->value;
    if ((e = decode_duration(r, AT(at, "timeout"), from->timeout, &ret->timeout_ms)) < 0 ||
        (e = decode_duration(r, AT(at, "interval"), from->interval, &ret->interval_ms)) < 0 ||
        (e = decode_duration(r, AT(at, "no_traffic_interval"), from->no_traffic_interval,
                             &ret->no_traffic_interval_ms)) < 0 ||
        (e = decode_duration(r, AT(at, "unhealthy_interval"), from->unhealthy_interval,
                             &ret->unhealthy_interval_ms)) < 0 ||
        (e = decode_u32(r, AT(at, "unhealthy_threshold"), from->unhealthy_threshold, UINT32_MAX,
                        &ret->unhealthy_threshold)) < 0 ||
        (e = decode_u32(r, AT(at, "healthy_threshold"), from->healthy_threshold, UINT32_MAX,
                        &ret->healthy_threshold)) < 0 ||
        (e = decode_u32(r, AT(at, "alt_port"), from->alt_port, UINT16_MAX, &alt_port)) < 0)
        return e;
    ret->alt_port = (uint16_t)alt_port;
    return decode_checker(r, at, from, ret);
}

int decode_health_checks(struct reader *r, const Cluster *from, struct cluster *ret)
{
    int e =
        decode_list(r, AT(NULL, "health_checks"), from->n_health_checks, CLUSTER_HEALTH_CHECKS_MAX,
                    sizeof *ret->health_checks, (void **)&ret->health_checks);
    for (size_t i = 0; i < from->n_health_checks && e == 0; i++)
        e = decode_health_check(r, AT_I(NULL, "health_checks", i), from->health_checks[i],
                                &ret->health_checks[i]);
    if (e == 0)
        ret->n_health_checks = from->n_health_checks;
    return e;
}
