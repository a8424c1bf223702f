#include "cluster.pb-c.h"
#include "shared/xds/endpoints_codec.h"
#include "shared/xds/locality_codec.h"
#include "shared/xds/routing.h"
#include "tls.pb-c.h"
#include "upstream_http.pb-c.h"

#include <errno.h>

typedef Envoy__Config__Cluster__V3__Cluster Cluster;
typedef Envoy__Config__Cluster__V3__OutlierDetection Outlier;
typedef Envoy__Config__Cluster__V3__CircuitBreakers Breakers;
typedef Envoy__Config__Cluster__V3__CircuitBreakers__Thresholds Thresholds;
typedef Envoy__Config__Core__V3__HealthCheck HealthCheck;
typedef Envoy__Config__Core__V3__HealthCheck__Payload Payload;
typedef Envoy__Extensions__TransportSockets__Tls__V3__CommonTlsContext CommonTls;
typedef Envoy__Extensions__TransportSockets__Tls__V3__CertificateValidationContext Validation;
typedef Envoy__Extensions__Upstreams__Http__V3__HttpProtocolOptions HttpOptions;

#define TLS(name)  envoy__extensions__transport_sockets__tls__v3__##name##__descriptor
#define CORE(name) envoy__config__core__v3__##name##__descriptor
#define CDS(name)  envoy__config__cluster__v3__##name##__descriptor

/* ---- Balancing ------------------------------------------------------------------------------ */

static Envoy__Type__V3__Percent *encode_percent(struct writer *w, double value)
{
    Envoy__Type__V3__Percent *m = encode_message(w, &envoy__type__v3__percent__descriptor);
    if (m)
        m->value = value;
    return m;
}

static Envoy__Config__Core__V3__RuntimeDouble *encode_double(struct writer *w, double value)
{
    Envoy__Config__Core__V3__RuntimeDouble *m = encode_message(w, &CORE(runtime_double));
    if (m)
        m->default_value = value;
    return m;
}

static Envoy__Config__Cluster__V3__Cluster__SlowStartConfig *
encode_slow_start(struct writer *w, const struct slow_start *from)
{
    Envoy__Config__Cluster__V3__Cluster__SlowStartConfig *m =
        from->window_ms ? encode_message(w, &CDS(cluster__slow_start_config)) : NULL;
    if (!m)
        return NULL;
    m->slow_start_window = encode_duration(w, from->window_ms);
    m->aggression = encode_double(w, from->aggression);
    m->min_weight_percent = encode_percent(w, from->min_weight_percent);
    return m;
}

static void encode_balance_settings(struct writer *w, const struct balance_settings *from,
                                    Cluster *m)
{
    switch (from->kind) {
    case BALANCE_ROUND_ROBIN:
        m->lb_policy = ENVOY__CONFIG__CLUSTER__V3__CLUSTER__LB_POLICY__ROUND_ROBIN;
        if (from->slow_start.window_ms &&
            (m->round_robin_lb_config = encode_message(w, &CDS(cluster__round_robin_lb_config)))) {
            m->lb_config_case =
                ENVOY__CONFIG__CLUSTER__V3__CLUSTER__LB_CONFIG_ROUND_ROBIN_LB_CONFIG;
            m->round_robin_lb_config->slow_start_config = encode_slow_start(w, &from->slow_start);
        }
        break;
    case BALANCE_LEAST_REQUEST:
        m->lb_policy = ENVOY__CONFIG__CLUSTER__V3__CLUSTER__LB_POLICY__LEAST_REQUEST;
        if ((m->least_request_lb_config =
                 encode_message(w, &CDS(cluster__least_request_lb_config)))) {
            m->lb_config_case =
                ENVOY__CONFIG__CLUSTER__V3__CLUSTER__LB_CONFIG_LEAST_REQUEST_LB_CONFIG;
            m->least_request_lb_config->choice_count = encode_u32(w, from->choices);
            m->least_request_lb_config->active_request_bias = encode_double(w, from->active_bias);
            m->least_request_lb_config->slow_start_config = encode_slow_start(w, &from->slow_start);
        }
        break;
    case BALANCE_RANDOM:
        m->lb_policy = ENVOY__CONFIG__CLUSTER__V3__CLUSTER__LB_POLICY__RANDOM;
        break;
    case BALANCE_RING_HASH:
        m->lb_policy = ENVOY__CONFIG__CLUSTER__V3__CLUSTER__LB_POLICY__RING_HASH;
        if ((m->ring_hash_lb_config = encode_message(w, &CDS(cluster__ring_hash_lb_config)))) {
            m->lb_config_case = ENVOY__CONFIG__CLUSTER__V3__CLUSTER__LB_CONFIG_RING_HASH_LB_CONFIG;
            m->ring_hash_lb_config->minimum_ring_size = encode_u64(w, from->ring_min);
            m->ring_hash_lb_config->maximum_ring_size = encode_u64(w, from->ring_max);
            m->ring_hash_lb_config->hash_function = from->ring_murmur;
        }
        break;
    case BALANCE_MAGLEV:
        m->lb_policy = ENVOY__CONFIG__CLUSTER__V3__CLUSTER__LB_POLICY__MAGLEV;
        if ((m->maglev_lb_config = encode_message(w, &CDS(cluster__maglev_lb_config)))) {
            m->lb_config_case = ENVOY__CONFIG__CLUSTER__V3__CLUSTER__LB_CONFIG_MAGLEV_LB_CONFIG;
            m->maglev_lb_config->table_size = encode_u64(w, from->maglev_table);
        }
        break;
    }
}

static void encode_common_balance(struct writer *w, const struct balance_settings *from, Cluster *m)
{
    Envoy__Config__Cluster__V3__Cluster__CommonLbConfig *common =
        encode_message(w, &CDS(cluster__common_lb_config));
    if (!common)
        return;
    m->common_lb_config = common;
    common->healthy_panic_threshold = encode_percent(w, from->panic_percent);
    if (from->hash_hostname || from->hash_balance_percent) {
        common->consistent_hashing_lb_config =
            encode_message(w, &CDS(cluster__common_lb_config__consistent_hashing_lb_config));
        if (common->consistent_hashing_lb_config) {
            common->consistent_hashing_lb_config->use_hostname_for_hashing = from->hash_hostname;
            if (from->hash_balance_percent)
                common->consistent_hashing_lb_config->hash_balance_factor =
                    encode_u32(w, from->hash_balance_percent);
        }
    }
    if (from->locality_weighted) {
        common->locality_config_specifier_case =
            ENVOY__CONFIG__CLUSTER__V3__CLUSTER__COMMON_LB_CONFIG__LOCALITY_CONFIG_SPECIFIER_LOCALITY_WEIGHTED_LB_CONFIG;
        common->locality_weighted_lb_config =
            encode_message(w, &CDS(cluster__common_lb_config__locality_weighted_lb_config));
    } else if (from->fail_in_panic) {
        common->locality_config_specifier_case =
            ENVOY__CONFIG__CLUSTER__V3__CLUSTER__COMMON_LB_CONFIG__LOCALITY_CONFIG_SPECIFIER_ZONE_AWARE_LB_CONFIG;
        common->zone_aware_lb_config =
            encode_message(w, &CDS(cluster__common_lb_config__zone_aware_lb_config));
        if (common->zone_aware_lb_config)
            common->zone_aware_lb_config->fail_traffic_on_panic = true;
    }
}

static void encode_subsets(struct writer *w, const struct cluster_subsets *from, Cluster *m)
{
    typedef Envoy__Config__Cluster__V3__Cluster__LbSubsetConfig__LbSubsetSelector Selector;
    Envoy__Config__Cluster__V3__Cluster__LbSubsetConfig *config =
        from->n_keys ? encode_message(w, &CDS(cluster__lb_subset_config)) : NULL;
    Selector **list = encode_list(w, from->n_keys, sizeof *list);
    if (!config || !list)
        return;
    config->fallback_policy = (int)from->fallback;
    if (from->n_otherwise)
        config->default_subset = encode_labels(w, from->otherwise, from->n_otherwise);
    for (size_t i = 0; i < from->n_keys; i++) {
        list[i] = encode_message(w, &CDS(cluster__lb_subset_config__lb_subset_selector));
        if (!list[i])
            return;
        list[i]->keys = encode_texts(w, from->keys[i].names, from->keys[i].n_names);
        list[i]->n_keys = from->keys[i].n_names;
    }
    config->subset_selectors = list;
    config->n_subset_selectors = from->n_keys;
    m->lb_subset_config = config;
}

/* ---- Resilience ----------------------------------------------------------------------------- */

static Thresholds *encode_thresholds(struct writer *w, const struct breaker_limits *from,
                                     bool high_priority)
{
    Thresholds *m = encode_message(w, &CDS(circuit_breakers__thresholds));
    if (!m)
        return NULL;
    m->priority = high_priority ? ENVOY__CONFIG__CORE__V3__ROUTING_PRIORITY__HIGH
                                : ENVOY__CONFIG__CORE__V3__ROUTING_PRIORITY__DEFAULT;
    m->max_connections = encode_u32(w, from->max[BREAKER_CONNECTIONS]);
    m->max_pending_requests = encode_u32(w, from->max[BREAKER_PENDING]);
    m->max_requests = encode_u32(w, from->max[BREAKER_REQUESTS]);
    m->max_retries = encode_u32(w, from->max[BREAKER_RETRIES]);
    if (from->budget &&
        (m->retry_budget = encode_message(w, &CDS(circuit_breakers__thresholds__retry_budget)))) {
        m->retry_budget->budget_percent = encode_percent(w, from->budget_percent);
        m->retry_budget->min_retry_concurrency = encode_u32(w, from->budget_min);
    }
    return m;
}

static Breakers *encode_breakers(struct writer *w, const struct breaker_limits limits[2])
{
    Breakers *m = encode_message(w, &CDS(circuit_breakers));
    Thresholds **list = encode_list(w, 2, sizeof *list);
    if (!m || !list || !(list[0] = encode_thresholds(w, &limits[0], false)) ||
        !(list[1] = encode_thresholds(w, &limits[1], true)))
        return NULL;
    m->thresholds = list;
    m->n_thresholds = 2;
    return m;
}

static Outlier *encode_outlier(struct writer *w, const struct outlier_settings *from)
{
    Outlier *m = encode_message(w, &CDS(outlier_detection));
    if (!m)
        return NULL;
    m->consecutive_5xx = encode_u32(w, from->consecutive_5xx);
    m->enforcing_consecutive_5xx = encode_u32(w, from->enforcing_consecutive_5xx);
    m->consecutive_gateway_failure = encode_u32(w, from->consecutive_gateway_failure);
    m->enforcing_consecutive_gateway_failure =
        encode_u32(w, from->enforcing_consecutive_gateway_failure);
    m->split_external_local_origin_errors = from->split_local_origin;
    m->consecutive_local_origin_failure = encode_u32(w, from->consecutive_local_origin_failure);
    m->enforcing_consecutive_local_origin_failure =
        encode_u32(w, from->enforcing_consecutive_local_origin);
    m->interval = encode_duration(w, from->interval_ms);
    m->base_ejection_time = encode_duration(w, from->base_ejection_ms);
    m->max_ejection_time = encode_duration(w, from->max_ejection_ms);
    m->max_ejection_time_jitter = encode_duration(w, from->jitter_ms);
    m->max_ejection_percent = encode_u32(w, from->max_ejection_percent);
    m->always_eject_one_host = encode_bool(w, from->always_eject_one);
    m->enforcing_success_rate = encode_u32(w, from->enforcing_success_rate);
    m->success_rate_minimum_hosts = encode_u32(w, from->success_rate_min_hosts);
    m->success_rate_request_volume = encode_u32(w, from->success_rate_volume);
    m->success_rate_stdev_factor = encode_u32(w, from->success_rate_stdev_factor);
    m->failure_percentage_threshold = encode_u32(w, from->failure_percentage_threshold);
    m->enforcing_failure_percentage = encode_u32(w, from->enforcing_failure_percentage);
    m->failure_percentage_minimum_hosts = encode_u32(w, from->failure_percentage_min_hosts);
    m->failure_percentage_request_volume = encode_u32(w, from->failure_percentage_volume);
    return m;
}

/* Payload.text is hexadecimal. */
static Payload *encode_payload(struct writer *w, struct text bytes)
{
    static const char digits[] = "0123456789abcdef";
    Payload *m = encode_message(w, &CORE(health_check__payload));
    char *hex = encode_list(w, 2 * bytes.len + 1, 1);
    if (!m || !hex)
        return NULL;
    for (size_t i = 0; i < bytes.len; i++) {
        hex[2 * i] = digits[(uint8_t)bytes.data[i] >> 4];
        hex[2 * i + 1] = digits[bytes.data[i] & 15];
    }
    m->payload_case = ENVOY__CONFIG__CORE__V3__HEALTH_CHECK__PAYLOAD__PAYLOAD_TEXT;
    m->text = hex;
    return m;
}

static void encode_http_check(struct writer *w, const struct health_check *from, HealthCheck *m)
{
    Envoy__Config__Core__V3__HealthCheck__HttpHealthCheck *http =
        encode_message(w, &CORE(health_check__http_health_check));
    void **headers = encode_list(w, from->n_request_headers, sizeof *headers);
    void **ranges = encode_list(w, from->n_expected, sizeof *ranges);
    if (!http || (from->n_request_headers && !headers) || (from->n_expected && !ranges))
        return;
    http->host = encode_text(w, from->host);
    http->path = encode_text(w, from->path);
    const char *name = encode_text(w, from->method);
    const ProtobufCEnumValue *method =
        name ? protobuf_c_enum_descriptor_get_value_by_name(&CORE(request_method), name) : NULL;
    http->method = method ? (Envoy__Config__Core__V3__RequestMethod)method->value : 0;
    for (size_t i = 0; i < from->n_request_headers; i++) {
        Envoy__Config__Core__V3__HeaderValueOption *option =
            encode_message(w, &CORE(header_value_option));
        if (!option || !(option->header = encode_message(w, &CORE(header_value))))
            return;
        option->header->key = encode_text(w, from->request_headers[i].name);
        option->header->value = encode_text(w, from->request_headers[i].value);
        headers[i] = option;
    }
    for (size_t i = 0; i < from->n_expected; i++) {
        Envoy__Type__V3__Int64Range *range =
            encode_message(w, &envoy__type__v3__int64_range__descriptor);
        if (!range)
            return;
        range->start = from->expected[i].start;
        range->end = from->expected[i].end;
        ranges[i] = range;
    }
    http->request_headers_to_add = (Envoy__Config__Core__V3__HeaderValueOption **)headers;
    http->n_request_headers_to_add = from->n_request_headers;
    http->expected_statuses = (Envoy__Type__V3__Int64Range **)ranges;
    http->n_expected_statuses = from->n_expected;
    m->health_checker_case =
        ENVOY__CONFIG__CORE__V3__HEALTH_CHECK__HEALTH_CHECKER_HTTP_HEALTH_CHECK;
    m->http_health_check = http;
}

static void encode_tcp_check(struct writer *w, const struct health_check *from, HealthCheck *m)
{
    Envoy__Config__Core__V3__HealthCheck__TcpHealthCheck *tcp =
        encode_message(w, &CORE(health_check__tcp_health_check));
    Payload **list = encode_list(w, from->n_receive, sizeof *list);
    if (!tcp || (from->n_receive && !list))
        return;
    if (from->send.len)
        tcp->send = encode_payload(w, from->send);
    for (size_t i = 0; i < from->n_receive; i++)
        if (!(list[i] = encode_payload(w, from->receive[i])))
            return;
    tcp->receive = list;
    tcp->n_receive = from->n_receive;
    m->health_checker_case = ENVOY__CONFIG__CORE__V3__HEALTH_CHECK__HEALTH_CHECKER_TCP_HEALTH_CHECK;
    m->tcp_health_check = tcp;
}

static void encode_grpc_check(struct writer *w, const struct health_check *from, HealthCheck *m)
{
    Envoy__Config__Core__V3__HealthCheck__GrpcHealthCheck *grpc =
        encode_message(w, &CORE(health_check__grpc_health_check));
    if (!grpc)
        return;
    grpc->service_name = encode_text(w, from->service);
    grpc->authority = encode_text(w, from->host);
    m->health_checker_case =
        ENVOY__CONFIG__CORE__V3__HEALTH_CHECK__HEALTH_CHECKER_GRPC_HEALTH_CHECK;
    m->grpc_health_check = grpc;
}

static HealthCheck *encode_health_check(struct writer *w, const struct health_check *from)
{
    HealthCheck *m = encode_message(w, &CORE(health_check));
    if (!m)
        return NULL;
    m->timeout = encode_duration(w, from->timeout_ms);
    m->interval = encode_duration(w, from->interval_ms);
    if (from->no_traffic_interval_ms)
        m->no_traffic_interval = encode_duration(w, from->no_traffic_interval_ms);
    if (from->unhealthy_interval_ms)
        m->unhealthy_interval = encode_duration(w, from->unhealthy_interval_ms);
    m->unhealthy_threshold = encode_u32(w, from->unhealthy_threshold);
    m->healthy_threshold = encode_u32(w, from->healthy_threshold);
    m->interval_jitter_percent = from->jitter_percent;
    if (from->alt_port)
        m->alt_port = encode_u32(w, from->alt_port);
    m->reuse_connection = encode_bool(w, from->reuse_connection);
    if (from->kind == CHECK_HTTP)
        encode_http_check(w, from, m);
    else if (from->kind == CHECK_TCP)
        encode_tcp_check(w, from, m);
    else
        encode_grpc_check(w, from, m);
    return m;
}

/* ---- Transport ------------------------------------------------------------------------------ */

static Envoy__Extensions__TransportSockets__Tls__V3__SdsSecretConfig *
encode_secret(struct writer *w, struct text name)
{
    Envoy__Extensions__TransportSockets__Tls__V3__SdsSecretConfig *m =
        encode_message(w, &TLS(sds_secret_config));
    if (m)
        m->name = encode_text(w, name);
    return m;
}

/* Of which kind is it? By its form: shared/tls looks for it likewise. */
static Envoy__Extensions__TransportSockets__Tls__V3__SubjectAltNameMatcher__SanType
san_type(const struct cluster_tls *tls, const struct text_match *san)
{
    struct ip ip;
    struct text scheme, rest;
    if (tls->kind == TLS_MESH ||
        (text_split(san->value, ':', &scheme, &rest) && text_starts_with(rest, TEXT("//"))))
        return ENVOY__EXTENSIONS__TRANSPORT_SOCKETS__TLS__V3__SUBJECT_ALT_NAME_MATCHER__SAN_TYPE__URI;
    if (san->kind == TEXT_EXACT && ip_parse(san->value, &ip) == 0)
        return ENVOY__EXTENSIONS__TRANSPORT_SOCKETS__TLS__V3__SUBJECT_ALT_NAME_MATCHER__SAN_TYPE__IP_ADDRESS;
    return ENVOY__EXTENSIONS__TRANSPORT_SOCKETS__TLS__V3__SUBJECT_ALT_NAME_MATCHER__SAN_TYPE__DNS;
}

static Validation *encode_validation(struct writer *w, const struct cluster_tls *from)
{
    typedef Envoy__Extensions__TransportSockets__Tls__V3__SubjectAltNameMatcher San;
    Validation *m = encode_message(w, &TLS(certificate_validation_context));
    San **list = encode_list(w, from->n_sans, sizeof *list);
    if (!m || (from->n_sans && !list))
        return NULL;
    for (size_t i = 0; i < from->n_sans; i++) {
        if (!(list[i] = encode_message(w, &TLS(subject_alt_name_matcher))))
            return NULL;
        list[i]->san_type = san_type(from, &from->sans[i]);
        list[i]->matcher = encode_string_match(w, &from->sans[i]);
    }
    m->match_typed_subject_alt_names = list;
    m->n_match_typed_subject_alt_names = from->n_sans;
    if (from->ca_pem.len && (m->trusted_ca = encode_message(w, &CORE(data_source)))) {
        m->trusted_ca->specifier_case =
            ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER_INLINE_STRING;
        m->trusted_ca->inline_string = encode_text(w, from->ca_pem);
    }
    if (from->insecure)
        m->trust_chain_verification =
            ENVOY__EXTENSIONS__TRANSPORT_SOCKETS__TLS__V3__CERTIFICATE_VALIDATION_CONTEXT__TRUST_CHAIN_VERIFICATION__ACCEPT_UNTRUSTED;
    if (from->system_roots)
        m->system_root_certs =
            encode_message(w, &TLS(certificate_validation_context__system_root_certs));
    return m;
}

static CommonTls *encode_common_tls(struct writer *w, const struct cluster_tls *from)
{
    struct text own =
        from->kind == TLS_MESH ? TEXT(XDS_MESH_CERTIFICATE) : from->certificate_secret;
    struct text roots = from->kind == TLS_MESH ? TEXT(XDS_MESH_ROOTS) : from->ca_secret;
    CommonTls *m = encode_message(w, &TLS(common_tls_context));
    if (!m)
        return NULL;
    m->alpn_protocols = encode_texts(w, from->alpn, from->n_alpn);
    m->n_alpn_protocols = from->n_alpn;
    if (own.len) {
        m->tls_certificate_sds_secret_configs = encode_list(w, 1, sizeof(void *));
        if (!m->tls_certificate_sds_secret_configs ||
            !(m->tls_certificate_sds_secret_configs[0] = encode_secret(w, own)))
            return NULL;
        m->n_tls_certificate_sds_secret_configs = 1;
    }
    if (!roots.len) {
        m->validation_context_type_case =
            ENVOY__EXTENSIONS__TRANSPORT_SOCKETS__TLS__V3__COMMON_TLS_CONTEXT__VALIDATION_CONTEXT_TYPE_VALIDATION_CONTEXT;
        m->validation_context = encode_validation(w, from);
        return m;
    }
    m->validation_context_type_case =
        ENVOY__EXTENSIONS__TRANSPORT_SOCKETS__TLS__V3__COMMON_TLS_CONTEXT__VALIDATION_CONTEXT_TYPE_COMBINED_VALIDATION_CONTEXT;
    m->combined_validation_context =
        encode_message(w, &TLS(common_tls_context__combined_certificate_validation_context));
    if (!m->combined_validation_context)
        return NULL;
    m->combined_validation_context->default_validation_context = encode_validation(w, from);
    m->combined_validation_context->validation_context_sds_secret_config = encode_secret(w, roots);
    return m;
}

static void encode_transport(struct writer *w, const struct cluster_tls *from, Cluster *m)
{
    if (from->kind == TLS_NONE)
        return;
    Envoy__Extensions__TransportSockets__Tls__V3__UpstreamTlsContext *tls =
        encode_message(w, &TLS(upstream_tls_context));
    Envoy__Config__Core__V3__TransportSocket *socket = encode_message(w, &CORE(transport_socket));
    if (!tls || !socket)
        return;
    tls->sni = encode_text(w, from->sni);
    tls->auto_host_sni = from->sni_of_host;
    tls->auto_sni_san_validation = from->sans_of_sni;
    tls->common_tls_context = encode_common_tls(w, from);
    socket->name = encode_text(w, TEXT("envoy.transport_sockets.tls"));
    socket->config_type_case = ENVOY__CONFIG__CORE__V3__TRANSPORT_SOCKET__CONFIG_TYPE_TYPED_CONFIG;
    socket->typed_config = encode_any(w, &tls->base);
    m->transport_socket = socket;
}

static Envoy__Config__Core__V3__Http2ProtocolOptions *encode_http2(struct writer *w,
                                                                   const struct cluster *from)
{
    Envoy__Config__Core__V3__Http2ProtocolOptions *m =
        encode_message(w, &CORE(http2_protocol_options));
    if (m && from->concurrent_streams_max)
        m->max_concurrent_streams = encode_u32(w, from->concurrent_streams_max);
    return m;
}

static void encode_protocol(struct writer *w, const struct cluster *from, HttpOptions *m)
{
    switch (from->protocol) {
    case UPSTREAM_HTTP1:
    case UPSTREAM_HTTP2:
        m->upstream_protocol_options_case =
            ENVOY__EXTENSIONS__UPSTREAMS__HTTP__V3__HTTP_PROTOCOL_OPTIONS__UPSTREAM_PROTOCOL_OPTIONS_EXPLICIT_HTTP_CONFIG;
        m->explicit_http_config = encode_message(
            w,
            &envoy__extensions__upstreams__http__v3__http_protocol_options__explicit_http_config__descriptor);
        if (!m->explicit_http_config)
            return;
        if (from->protocol == UPSTREAM_HTTP2) {
            m->explicit_http_config->protocol_config_case =
                ENVOY__EXTENSIONS__UPSTREAMS__HTTP__V3__HTTP_PROTOCOL_OPTIONS__EXPLICIT_HTTP_CONFIG__PROTOCOL_CONFIG_HTTP2_PROTOCOL_OPTIONS;
            m->explicit_http_config->http2_protocol_options = encode_http2(w, from);
        } else {
            m->explicit_http_config->protocol_config_case =
                ENVOY__EXTENSIONS__UPSTREAMS__HTTP__V3__HTTP_PROTOCOL_OPTIONS__EXPLICIT_HTTP_CONFIG__PROTOCOL_CONFIG_HTTP_PROTOCOL_OPTIONS;
            m->explicit_http_config->http_protocol_options =
                encode_message(w, &CORE(http1_protocol_options));
        }
        return;
    case UPSTREAM_AS_DOWNSTREAM:
        m->upstream_protocol_options_case =
            ENVOY__EXTENSIONS__UPSTREAMS__HTTP__V3__HTTP_PROTOCOL_OPTIONS__UPSTREAM_PROTOCOL_OPTIONS_USE_DOWNSTREAM_PROTOCOL_CONFIG;
        m->use_downstream_protocol_config = encode_message(
            w,
            &envoy__extensions__upstreams__http__v3__http_protocol_options__use_downstream_http_config__descriptor);
        if (m->use_downstream_protocol_config)
            m->use_downstream_protocol_config->http2_protocol_options = encode_http2(w, from);
        return;
    case UPSTREAM_BY_ALPN:
        m->upstream_protocol_options_case =
            ENVOY__EXTENSIONS__UPSTREAMS__HTTP__V3__HTTP_PROTOCOL_OPTIONS__UPSTREAM_PROTOCOL_OPTIONS_AUTO_CONFIG;
        m->auto_config = encode_message(
            w,
            &envoy__extensions__upstreams__http__v3__http_protocol_options__auto_http_config__descriptor);
        if (m->auto_config)
            m->auto_config->http2_protocol_options = encode_http2(w, from);
        return;
    }
}

static void encode_http_options(struct writer *w, const struct cluster *from, Cluster *m)
{
    HttpOptions *options = encode_message(
        w, &envoy__extensions__upstreams__http__v3__http_protocol_options__descriptor);
    Envoy__Config__Core__V3__HttpProtocolOptions *common =
        encode_message(w, &CORE(http_protocol_options));
    Envoy__Config__Cluster__V3__Cluster__TypedExtensionProtocolOptionsEntry *entry =
        encode_message(w, &CDS(cluster__typed_extension_protocol_options_entry));
    m->typed_extension_protocol_options = encode_list(w, 1, sizeof(void *));
    if (!options || !common || !entry || !m->typed_extension_protocol_options)
        return;
    common->idle_timeout = encode_duration(w, from->idle_timeout_ms); /* 0: none, as in Envoy */
    if (from->max_connection_ms)
        common->max_connection_duration = encode_duration(w, from->max_connection_ms);
    if (from->requests_per_connection_max)
        common->max_requests_per_connection = encode_u32(w, from->requests_per_connection_max);
    options->common_http_protocol_options = common;
    encode_protocol(w, from, options);
    entry->key = encode_text(w, TEXT(XDS_HTTP_OPTIONS));
    entry->value = encode_any(w, &options->base);
    m->typed_extension_protocol_options[0] = entry;
    m->n_typed_extension_protocol_options = 1;
}

static void encode_keepalive(struct writer *w, const struct cluster *from, Cluster *m)
{
    if (!from->keepalive_idle_ms && !from->keepalive_interval_ms && !from->keepalive_probes)
        return;
    m->upstream_connection_options = encode_message(w, &CDS(upstream_connection_options));
    Envoy__Config__Core__V3__TcpKeepalive *keep = encode_message(w, &CORE(tcp_keepalive));
    if (!m->upstream_connection_options || !keep)
        return;
    if (from->keepalive_probes)
        keep->keepalive_probes = encode_u32(w, from->keepalive_probes);
    if (from->keepalive_idle_ms)
        keep->keepalive_time = encode_u32(w, (uint32_t)((from->keepalive_idle_ms + 999) / 1000));
    if (from->keepalive_interval_ms)
        keep->keepalive_interval =
            encode_u32(w, (uint32_t)((from->keepalive_interval_ms + 999) / 1000));
    m->upstream_connection_options->tcp_keepalive = keep;
}

/* ---- The whole ------------------------------------------------------------------------------ */

static void encode_kind(struct writer *w, const struct cluster *from, Cluster *m)
{
    static const Envoy__Config__Cluster__V3__Cluster__DiscoveryType types[] = {
        [CLUSTER_EDS] = ENVOY__CONFIG__CLUSTER__V3__CLUSTER__DISCOVERY_TYPE__EDS,
        [CLUSTER_STATIC] = ENVOY__CONFIG__CLUSTER__V3__CLUSTER__DISCOVERY_TYPE__STATIC,
        [CLUSTER_STRICT_DNS] = ENVOY__CONFIG__CLUSTER__V3__CLUSTER__DISCOVERY_TYPE__STRICT_DNS,
        [CLUSTER_LOGICAL_DNS] = ENVOY__CONFIG__CLUSTER__V3__CLUSTER__DISCOVERY_TYPE__LOGICAL_DNS,
        [CLUSTER_ORIGINAL_DST] = ENVOY__CONFIG__CLUSTER__V3__CLUSTER__DISCOVERY_TYPE__ORIGINAL_DST,
    };
    m->cluster_discovery_type_case =
        ENVOY__CONFIG__CLUSTER__V3__CLUSTER__CLUSTER_DISCOVERY_TYPE_TYPE;
    m->type = types[from->kind];
    if (from->kind == CLUSTER_EDS &&
        (m->eds_cluster_config = encode_message(w, &CDS(cluster__eds_cluster_config)))) {
        m->eds_cluster_config->eds_config = encode_ads(w);
        m->eds_cluster_config->service_name = encode_text(w, from->eds_name);
    }
    if (from->kind == CLUSTER_ORIGINAL_DST)
        m->lb_policy = ENVOY__CONFIG__CLUSTER__V3__CLUSTER__LB_POLICY__CLUSTER_PROVIDED;
    else
        encode_balance_settings(w, &from->balance, m);
    if (from->inline_endpoints)
        m->load_assignment = encode_endpoints(w, from->inline_endpoints);
    if (from->dns_refresh_ms)
        m->dns_refresh_rate = encode_duration(w, from->dns_refresh_ms);
    m->respect_dns_ttl = from->dns_ttl;
    m->dns_lookup_family = (Envoy__Config__Cluster__V3__Cluster__DnsLookupFamily)from->dns_family;
}

static void encode_health_checks(struct writer *w, const struct cluster *from, Cluster *m)
{
    HealthCheck **list = encode_list(w, from->n_health_checks, sizeof *list);
    for (size_t i = 0; i < from->n_health_checks; i++)
        if (!list || !(list[i] = encode_health_check(w, &from->health_checks[i])))
            return;
    m->health_checks = list;
    m->n_health_checks = from->n_health_checks;
}

static Metadata *encode_locality(struct writer *w, const struct locality_lb *from)
{
    Weir__Traffic__LocalityLb *m = encode_locality_lb(w, from);
    return m ? encode_typed_metadata(w, XDS_LOCALITY_METADATA, &m->base) : NULL;
}

int xds_cluster_encode(const struct cluster *from, struct xds_bytes *ret)
{
    struct arena arena;
    struct writer w = {&arena, false};
    arena_init(&arena, SIZE_MAX);
    Cluster *m = encode_message(&w, &CDS(cluster));
    if (m) {
        m->name = encode_text(&w, from->name);
        m->alt_stat_name = encode_text(&w, from->stat_name);
        m->connect_timeout = encode_duration(&w, from->connect_timeout_ms);
        m->close_connections_on_host_health_failure = from->close_on_failure;
        encode_kind(&w, from, m);
        encode_common_balance(&w, &from->balance, m);
        encode_subsets(&w, &from->subsets, m);
        if (from->locality.said)
            m->metadata = encode_locality(&w, &from->locality);
        m->circuit_breakers = encode_breakers(&w, from->breaker);
        if (from->outlier_detection)
            m->outlier_detection = encode_outlier(&w, &from->outlier);
        encode_health_checks(&w, from, m);
        encode_transport(&w, &from->tls, m);
        encode_http_options(&w, from, m);
        encode_keepalive(&w, from, m);
    }
    return encode_done(&w, m ? &m->base : NULL, ret);
}
