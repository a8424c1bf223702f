#include "cluster.pb-c.h"
#include "shared/xds/cluster_codec.h"
#include "shared/xds/endpoints_codec.h"
#include "shared/xds/locality_codec.h"
#include "shared/xds/routing.h"

#include <errno.h>
#include <math.h>

enum { GROWTH = 64 };

typedef Envoy__Config__Cluster__V3__Cluster Cluster;
typedef Envoy__Config__Cluster__V3__OutlierDetection Outlier;
typedef Envoy__Config__Cluster__V3__CircuitBreakers__Thresholds Thresholds;
typedef Envoy__Config__Cluster__V3__Cluster__SlowStartConfig SlowStart;
typedef Envoy__Config__Cluster__V3__Cluster__CommonLbConfig CommonLb;

#define POLICY(name) ENVOY__CONFIG__CLUSTER__V3__CLUSTER__LB_POLICY__##name
#define CONFIG(name) ENVOY__CONFIG__CLUSTER__V3__CLUSTER__LB_CONFIG_##name##_LB_CONFIG
#define TYPE(name)   ENVOY__CONFIG__CLUSTER__V3__CLUSTER__DISCOVERY_TYPE__##name

/* ---- Balancing ------------------------------------------------------------------------------ */

static int decode_double(struct reader *r, const struct place *at, double value, double *ret)
{
    if (!isfinite(value) || value < 0)
        return place_refuse(at, r->why, "is negative, or no number");
    *ret = value;
    return 0;
}

/* Whole percents are what is kept: 0.5 counts as 1. */
static int decode_percent(struct reader *r, const struct place *at,
                          const Envoy__Type__V3__Percent *from, uint32_t *ret)
{
    if (!from)
        return 0;
    if (!(from->value >= 0 && from->value <= 100))
        return place_refuse(at, r->why, "is not in 0 to 100");
    *ret = (uint32_t)ceil(from->value);
    return 0;
}

static int decode_slow_start(struct reader *r, const struct place *at, const SlowStart *from,
                             struct slow_start *ret)
{
    int e;
    if (!from)
        return 0;
    at = AT(at, "slow_start_config");
    if ((e = decode_duration(r, AT(at, "slow_start_window"), from->slow_start_window,
                             &ret->window_ms)) < 0 ||
        (from->aggression &&
         (e = decode_double(r, AT(at, "aggression"), from->aggression->default_value,
                            &ret->aggression)) < 0))
        return e;
    return decode_percent(r, AT(at, "min_weight_percent"), from->min_weight_percent,
                          &ret->min_weight_percent);
}

static int decode_least_request(struct reader *r, const Cluster *from, struct balance_settings *ret)
{
    const struct place *at = AT(NULL, "least_request_lb_config");
    const Envoy__Config__Cluster__V3__Cluster__LeastRequestLbConfig *m =
        from->least_request_lb_config;
    int e;
    ret->kind = BALANCE_LEAST_REQUEST;
    if (from->lb_config_case != CONFIG(LEAST_REQUEST))
        return 0;
    if ((e = decode_u32(r, AT(at, "choice_count"), m->choice_count, UINT32_MAX, &ret->choices)) <
            0 ||
        (m->active_request_bias &&
         (e = decode_double(r, AT(at, "active_request_bias"), m->active_request_bias->default_value,
                            &ret->active_bias)) < 0))
        return e;
    return decode_slow_start(r, at, m->slow_start_config, &ret->slow_start);
}

static int decode_hashing(struct reader *r, const Cluster *from, struct balance_settings *ret)
{
    if (from->lb_policy == POLICY(RING_HASH)) {
        ret->kind = BALANCE_RING_HASH;
        if (from->lb_config_case != CONFIG(RING_HASH))
            return 0;
        const Envoy__Config__Cluster__V3__Cluster__RingHashLbConfig *m = from->ring_hash_lb_config;
        ret->ring_min = m->minimum_ring_size ? m->minimum_ring_size->value : ret->ring_min;
        ret->ring_max = m->maximum_ring_size ? m->maximum_ring_size->value : ret->ring_max;
        ret->ring_murmur = m->hash_function == 1;
        return decode_enum(r, AT(NULL, "ring_hash_lb_config.hash_function"), (int)m->hash_function,
                           1);
    }
    ret->kind = BALANCE_MAGLEV;
    if (from->lb_config_case != CONFIG(MAGLEV) || !from->maglev_lb_config->table_size)
        return 0;
    uint64_t size = from->maglev_lb_config->table_size->value;
    if (size > UINT32_MAX)
        return place_refuse(AT(NULL, "maglev_lb_config.table_size"), r->why, "is too big");
    ret->maglev_table = (uint32_t)size;
    return 0;
}

static int decode_balance(struct reader *r, const Cluster *from, struct cluster *ret)
{
    switch ((int)from->lb_policy) {
    case POLICY(ROUND_ROBIN):
        ret->balance.kind = BALANCE_ROUND_ROBIN;
        return from->lb_config_case == CONFIG(ROUND_ROBIN)
                   ? decode_slow_start(r, AT(NULL, "round_robin_lb_config"),
                                       from->round_robin_lb_config->slow_start_config,
                                       &ret->balance.slow_start)
                   : 0;
    case POLICY(LEAST_REQUEST):
        return decode_least_request(r, from, &ret->balance);
    case POLICY(RANDOM):
        ret->balance.kind = BALANCE_RANDOM;
        return 0;
    case POLICY(RING_HASH):
    case POLICY(MAGLEV):
        return decode_hashing(r, from, &ret->balance);
    case POLICY(CLUSTER_PROVIDED):
        if (ret->kind == CLUSTER_ORIGINAL_DST)
            return 0;
        __attribute__((fallthrough));
    default:
        return place_refuse(AT(NULL, "lb_policy"), r->why, "%d is not supported here",
                            (int)from->lb_policy);
    }
}

static int decode_common_balance(struct reader *r, const CommonLb *from,
                                 struct balance_settings *ret)
{
    const struct place *at = AT(NULL, "common_lb_config");
    int e;
    if (!from)
        return 0;
    if ((e = decode_percent(r, AT(at, "healthy_panic_threshold"), from->healthy_panic_threshold,
                            &ret->panic_percent)) < 0)
        return e;
    ret->locality_weighted =
        from->locality_config_specifier_case ==
        ENVOY__CONFIG__CLUSTER__V3__CLUSTER__COMMON_LB_CONFIG__LOCALITY_CONFIG_SPECIFIER_LOCALITY_WEIGHTED_LB_CONFIG;
    ret->fail_in_panic =
        from->locality_config_specifier_case ==
            ENVOY__CONFIG__CLUSTER__V3__CLUSTER__COMMON_LB_CONFIG__LOCALITY_CONFIG_SPECIFIER_ZONE_AWARE_LB_CONFIG &&
        from->zone_aware_lb_config->fail_traffic_on_panic;
    if (!from->consistent_hashing_lb_config)
        return 0;
    ret->hash_hostname = from->consistent_hashing_lb_config->use_hostname_for_hashing;
    return decode_u32(r, AT(at, "consistent_hashing_lb_config.hash_balance_factor"),
                      from->consistent_hashing_lb_config->hash_balance_factor, UINT32_MAX,
                      &ret->hash_balance_percent);
}

static int decode_subsets(struct reader *r, const Cluster *from, struct cluster_subsets *ret)
{
    const struct place *at = AT(NULL, "lb_subset_config");
    const Envoy__Config__Cluster__V3__Cluster__LbSubsetConfig *m = from->lb_subset_config;
    int e;
    if (!m)
        return 0;
    if ((e = decode_enum(r, AT(at, "fallback_policy"), (int)m->fallback_policy, SUBSET_DEFAULT)) <
            0 ||
        (e = decode_labels(r, AT(at, "default_subset"), m->default_subset, CLUSTER_SUBSETS_MAX,
                           &ret->otherwise, &ret->n_otherwise)) < 0 ||
        (e = decode_list(r, AT(at, "subset_selectors"), m->n_subset_selectors, CLUSTER_SUBSETS_MAX,
                         sizeof *ret->keys, (void **)&ret->keys)) < 0)
        return e;
    ret->fallback = (enum subset_fallback)m->fallback_policy;
    ret->n_keys = m->n_subset_selectors;
    for (size_t i = 0; i < ret->n_keys && e == 0; i++)
        e = decode_texts(r, AT(AT_I(at, "subset_selectors", i), "keys"),
                         m->subset_selectors[i]->keys, m->subset_selectors[i]->n_keys,
                         CLUSTER_SUBSETS_MAX, &ret->keys[i].names, &ret->keys[i].n_names);
    return e;
}

/* ---- Resilience ----------------------------------------------------------------------------- */

static int decode_thresholds(struct reader *r, const struct place *at, const Thresholds *from,
                             struct cluster *ret)
{
    int e = decode_enum(r, AT(at, "priority"), (int)from->priority, 1);
    if (e < 0)
        return e;
    struct breaker_limits *to = &ret->breaker[from->priority];
    const struct {
        const char *name;
        const Google__Protobuf__UInt32Value *value;
        enum breaker_kind kind;
    } limits[] = {{"max_connections", from->max_connections, BREAKER_CONNECTIONS},
                  {"max_pending_requests", from->max_pending_requests, BREAKER_PENDING},
                  {"max_requests", from->max_requests, BREAKER_REQUESTS},
                  {"max_retries", from->max_retries, BREAKER_RETRIES}};
    for (size_t i = 0; i < sizeof limits / sizeof *limits && e == 0; i++)
        e = decode_u32(r, AT(at, limits[i].name), limits[i].value, UINT32_MAX,
                       &to->max[limits[i].kind]);
    if (e < 0 || !from->retry_budget)
        return e;
    at = AT(at, "retry_budget");
    to->budget = true;
    if (from->retry_budget->budget_percent &&
        (e = decode_double(r, AT(at, "budget_percent"), from->retry_budget->budget_percent->value,
                           &to->budget_percent)) < 0)
        return e;
    return decode_u32(r, AT(at, "min_retry_concurrency"), from->retry_budget->min_retry_concurrency,
                      UINT32_MAX, &to->budget_min);
}

static int decode_outlier(struct reader *r, const Outlier *from, struct cluster *ret)
{
    const struct place *at = AT(NULL, "outlier_detection");
    struct outlier_settings *to = &ret->outlier;
    int e = 0;
    if (!from)
        return 0;
    ret->outlier_detection = true;
    outlier_settings_init(to);
    const struct {
        const char *name;
        const Google__Protobuf__UInt32Value *value;
        uint32_t max, *to;
    } numbers[] = {
        {"consecutive_5xx", from->consecutive_5xx, UINT32_MAX, &to->consecutive_5xx},
        {"enforcing_consecutive_5xx", from->enforcing_consecutive_5xx, 100,
         &to->enforcing_consecutive_5xx},
        {"consecutive_gateway_failure", from->consecutive_gateway_failure, UINT32_MAX,
         &to->consecutive_gateway_failure},
        {"enforcing_consecutive_gateway_failure", from->enforcing_consecutive_gateway_failure, 100,
         &to->enforcing_consecutive_gateway_failure},
        {"consecutive_local_origin_failure", from->consecutive_local_origin_failure, UINT32_MAX,
         &to->consecutive_local_origin_failure},
        {"enforcing_consecutive_local_origin_failure",
         from->enforcing_consecutive_local_origin_failure, 100,
         &to->enforcing_consecutive_local_origin},
        {"max_ejection_percent", from->max_ejection_percent, 100, &to->max_ejection_percent},
        {"enforcing_success_rate", from->enforcing_success_rate, 100, &to->enforcing_success_rate},
        {"success_rate_minimum_hosts", from->success_rate_minimum_hosts, UINT32_MAX,
         &to->success_rate_min_hosts},
        {"success_rate_request_volume", from->success_rate_request_volume, UINT32_MAX,
         &to->success_rate_volume},
        {"success_rate_stdev_factor", from->success_rate_stdev_factor, UINT32_MAX,
         &to->success_rate_stdev_factor},
        {"failure_percentage_threshold", from->failure_percentage_threshold, 100,
         &to->failure_percentage_threshold},
        {"enforcing_failure_percentage", from->enforcing_failure_percentage, 100,
         &to->enforcing_failure_percentage},
        {"failure_percentage_minimum_hosts", from->failure_percentage_minimum_hosts, UINT32_MAX,
         &to->failure_percentage_min_hosts},
        {"failure_percentage_request_volume", from->failure_percentage_request_volume, UINT32_MAX,
         &to->failure_percentage_volume},
    };
    const struct {
        const char *name;
        const Duration *value;
        uint64_t *to;
    } times[] = {
        {"interval", from->interval, &to->interval_ms},
        {"base_ejection_time", from->base_ejection_time, &to->base_ejection_ms},
        {"max_ejection_time", from->max_ejection_time, &to->max_ejection_ms},
        {"max_ejection_time_jitter", from->max_ejection_time_jitter, &to->jitter_ms},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers && e == 0; i++)
        e = decode_u32(r, AT(at, numbers[i].name), numbers[i].value, numbers[i].max, numbers[i].to);
    for (size_t i = 0; i < sizeof times / sizeof *times && e == 0; i++)
        e = decode_duration(r, AT(at, times[i].name), times[i].value, times[i].to);
    to->split_local_origin = from->split_external_local_origin_errors;
    to->always_eject_one = from->always_eject_one_host && from->always_eject_one_host->value;
    return e;
}

/* ---- The whole ------------------------------------------------------------------------------ */

static int decode_kind(struct reader *r, const Cluster *from, struct cluster *ret)
{
    static const enum cluster_kind kinds[] = {[TYPE(STATIC)] = CLUSTER_STATIC,
                                              [TYPE(STRICT_DNS)] = CLUSTER_STRICT_DNS,
                                              [TYPE(LOGICAL_DNS)] = CLUSTER_LOGICAL_DNS,
                                              [TYPE(EDS)] = CLUSTER_EDS,
                                              [TYPE(ORIGINAL_DST)] = CLUSTER_ORIGINAL_DST};
    int e;
    if (from->cluster_discovery_type_case ==
            ENVOY__CONFIG__CLUSTER__V3__CLUSTER__CLUSTER_DISCOVERY_TYPE_TYPE &&
        (e = decode_enum(r, AT(NULL, "type"), (int)from->type, TYPE(ORIGINAL_DST))) < 0)
        return e;
    /* Not said, it is the first of the enumeration. */
    ret->kind = kinds[from->type];
    if (ret->kind == CLUSTER_EDS) {
        if (!from->eds_cluster_config || !from->eds_cluster_config->eds_config ||
            from->eds_cluster_config->eds_config->config_source_specifier_case ==
                ENVOY__CONFIG__CORE__V3__CONFIG_SOURCE__CONFIG_SOURCE_SPECIFIER__NOT_SET)
            return place_refuse(AT(NULL, "eds_cluster_config.eds_config"), r->why, "must be ads");
        if ((e = decode_text(r, from->eds_cluster_config->service_name, &ret->eds_name)) < 0)
            return e;
    }
    if (!from->load_assignment)
        return 0;
    ret->inline_endpoints = endpoints_new(ENDPOINTS_BYTES_MAX);
    if (!ret->inline_endpoints)
        return wire_no_memory(r->why);
    struct reader inner = {&ret->inline_endpoints->arena, r->scratch, r->why};
    return decode_endpoints(&inner, AT(NULL, "load_assignment"), from->load_assignment,
                            ret->inline_endpoints);
}

static int decode_dns(struct reader *r, const Cluster *from, struct cluster *ret)
{
    int e = decode_enum(r, AT(NULL, "dns_lookup_family"), (int)from->dns_lookup_family, DNS_ALL);
    if (e < 0)
        return e;
    ret->dns_family = (__typeof__(ret->dns_family))from->dns_lookup_family;
    ret->dns_ttl = from->respect_dns_ttl;
    return decode_duration(r, AT(NULL, "dns_refresh_rate"), from->dns_refresh_rate,
                           &ret->dns_refresh_ms);
}

static int decode_keepalive(struct reader *r, const Cluster *from, struct cluster *ret)
{
    const struct place *at = AT(NULL, "upstream_connection_options.tcp_keepalive");
    enum { SECONDS_MAX = 32767 };
    uint32_t idle_s = 0, interval_s = 0;
    int e;
    if (!from->upstream_connection_options || !from->upstream_connection_options->tcp_keepalive)
        return 0;
    const Envoy__Config__Core__V3__TcpKeepalive *m =
        from->upstream_connection_options->tcp_keepalive;
    if ((e = decode_u32(r, AT(at, "keepalive_probes"), m->keepalive_probes, 127,
                        &ret->keepalive_probes)) < 0 ||
        (e = decode_u32(r, AT(at, "keepalive_time"), m->keepalive_time, SECONDS_MAX, &idle_s)) <
            0 ||
        (e = decode_u32(r, AT(at, "keepalive_interval"), m->keepalive_interval, SECONDS_MAX,
                        &interval_s)) < 0)
        return e;
    ret->keepalive_idle_ms = idle_s * 1000ull;
    ret->keepalive_interval_ms = interval_s * 1000ull;
    return 0;
}

static int decode_locality(struct reader *r, const Cluster *from, struct locality_lb *ret)
{
    const struct place *at = AT(NULL, "metadata");
    const ProtobufCMessage *m;
    int e = decode_typed_metadata(r, at, from->metadata, XDS_LOCALITY_METADATA,
                                  &weir__traffic__locality_lb__descriptor, &m);
    if (e < 0 || !m)
        return e;
    return decode_locality_lb(r, AT(at, XDS_LOCALITY_METADATA),
                              (const Weir__Traffic__LocalityLb *)m, ret);
}

static int decode_cluster(struct reader *r, const Cluster *from, struct cluster *ret)
{
    int e;
    if ((e = decode_text(r, from->name, &ret->name)) < 0 ||
        (e = decode_text(r, from->alt_stat_name, &ret->stat_name)) < 0 ||
        (e = decode_duration(r, AT(NULL, "connect_timeout"), from->connect_timeout,
                             &ret->connect_timeout_ms)) < 0 ||
        (e = decode_kind(r, from, ret)) < 0 || (e = decode_dns(r, from, ret)) < 0 ||
        (e = decode_balance(r, from, ret)) < 0 ||
        (e = decode_common_balance(r, from->common_lb_config, &ret->balance)) < 0 ||
        (e = decode_subsets(r, from, &ret->subsets)) < 0 ||
        (e = decode_locality(r, from, &ret->locality)) < 0 ||
        (e = decode_outlier(r, from->outlier_detection, ret)) < 0 ||
        (e = decode_keepalive(r, from, ret)) < 0 ||
        (e = decode_transport(r, AT(NULL, "transport_socket"), from->transport_socket, &ret->tls)) <
            0 ||
        (e = decode_protocol(r, from, ret)) < 0 || (e = decode_health_checks(r, from, ret)) < 0)
        return e;
    for (size_t i = 0; from->circuit_breakers && i < from->circuit_breakers->n_thresholds && e == 0;
         i++)
        e = decode_thresholds(r, AT_I(AT(NULL, "circuit_breakers"), "thresholds", i),
                              from->circuit_breakers->thresholds[i], ret);
    ret->close_on_failure = from->close_connections_on_host_health_failure;
    return e;
}

int xds_cluster_decode(const uint8_t *data, size_t len, struct cluster **ret,
                       char why[static XDS_WHY_MAX])
{
    const ProtobufCMessage *m;
    struct arena scratch;
    struct cluster *made = cluster_new(CLUSTER_BYTES_MAX);
    if (!made)
        return wire_no_memory(why);
    arena_init(&scratch, wire_space(len, GROWTH));
    struct reader r = {&made->arena, &scratch, why};
    int e = wire_unpack_strictly(&envoy__config__cluster__v3__cluster__descriptor, data, len,
                                 &scratch, NULL, &m, why);
    if (e == 0)
        e = decode_cluster(&r, (const Cluster *)m, made);
    if (e == 0)
        e = cluster_finish(made, why);
    arena_done(&scratch);
    if (e < 0) {
        cluster_free(made);
        return e;
    }
    *ret = made;
    return 0;
}
