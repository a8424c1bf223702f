#include "shared/xds/route_codec.h"
#include "shared/xds/routing.h"

typedef Envoy__Config__Route__V3__RouteAction Action;
typedef Envoy__Config__Route__V3__WeightedCluster__ClusterWeight Weight;
typedef Envoy__Config__Route__V3__RouteAction__RequestMirrorPolicy Mirror;
typedef Envoy__Config__Route__V3__RouteAction__HashPolicy Hash;

#define CLUSTER(name) ENVOY__CONFIG__ROUTE__V3__ROUTE_ACTION__CLUSTER_SPECIFIER_##name
#define HOST(name)    ENVOY__CONFIG__ROUTE__V3__ROUTE_ACTION__HOST_REWRITE_SPECIFIER_##name
#define HASH(name)    ENVOY__CONFIG__ROUTE__V3__ROUTE_ACTION__HASH_POLICY__POLICY_SPECIFIER_##name

enum { TIMEOUT_MS = 15000 }; /* where a route says none */

/* The subset of a backend: what the route wants, and what the backend wants on top of that. */
static int merge_subset(struct reader *r, struct route_backend *b, const struct label *route,
                        size_t n_route)
{
    struct label *all;
    size_t n = b->n_subset;
    if (n_route == 0)
        return 0;
    int e = decode_list(r, NULL, n + n_route, 2 * ROUTE_MATCHES_MAX, sizeof *all, (void **)&all);
    if (e < 0)
        return e;
    for (size_t i = 0; i < n; i++)
        all[i] = b->subset[i];
    for (size_t i = 0; i < n_route; i++) {
        bool said = false;
        for (size_t j = 0; j < b->n_subset; j++)
            said = said || text_equal(b->subset[j].name, route[i].name);
        if (!said)
            all[n++] = route[i];
    }
    b->subset = all;
    b->n_subset = n;
    return 0;
}

static int decode_weight(struct reader *r, const struct place *at, const Weight *from,
                         struct route_backend *ret)
{
    int e;
    if ((e = decode_text(r, from->name, &ret->cluster)) < 0 ||
        (e = decode_text(r, from->cluster_header, &ret->cluster_header)) < 0 ||
        (e = decode_u32(r, AT(at, "weight"), from->weight, UINT32_MAX, &ret->weight)) < 0 ||
        (e = decode_metadata(r, AT(at, "metadata_match"), from->metadata_match, XDS_LB_METADATA,
                             ROUTE_MATCHES_MAX, &ret->subset, &ret->n_subset)) < 0 ||
        (e = decode_edits(r, AT(at, "request_headers_to_add"), from->request_headers_to_add,
                          from->n_request_headers_to_add, from->request_headers_to_remove,
                          from->n_request_headers_to_remove, &ret->edits.request)) < 0 ||
        (e = decode_edits(r, AT(at, "response_headers_to_add"), from->response_headers_to_add,
                          from->n_response_headers_to_add, from->response_headers_to_remove,
                          from->n_response_headers_to_remove, &ret->edits.response)) < 0)
        return e;
    return from->host_rewrite_specifier_case ==
                   ENVOY__CONFIG__ROUTE__V3__WEIGHTED_CLUSTER__CLUSTER_WEIGHT__HOST_REWRITE_SPECIFIER_HOST_REWRITE_LITERAL
               ? decode_text(r, from->host_rewrite_literal, &ret->host)
               : 0;
}

static int decode_backends(struct reader *r, const struct place *at, const Action *from,
                           struct route_forward *ret)
{
    bool weighted = from->cluster_specifier_case == CLUSTER(WEIGHTED_CLUSTERS);
    size_t n = weighted ? from->weighted_clusters->n_clusters : 1;
    struct label *subset = NULL;
    size_t n_subset = 0;
    int e;
    if (from->cluster_specifier_case == CLUSTER(_NOT_SET))
        return place_refuse(AT(at, "cluster"), r->why, "is missing");
    if ((e = decode_list(r, AT(at, "weighted_clusters.clusters"), n, ROUTE_BACKENDS_MAX,
                         sizeof *ret->backends, (void **)&ret->backends)) < 0 ||
        (e = decode_metadata(r, AT(at, "metadata_match"), from->metadata_match, XDS_LB_METADATA,
                             ROUTE_MATCHES_MAX, &subset, &n_subset)) < 0)
        return e;
    ret->n_backends = n;
    if (!weighted) {
        bool by_header = from->cluster_specifier_case == CLUSTER(CLUSTER_HEADER);
        ret->backends->weight = 1;
        e = decode_text(r, by_header ? from->cluster_header : from->cluster,
                        by_header ? &ret->backends->cluster_header : &ret->backends->cluster);
    }
    for (size_t i = 0; i < n && e == 0; i++) {
        if (weighted)
            e = decode_weight(r, AT_I(at, "weighted_clusters.clusters", i),
                              from->weighted_clusters->clusters[i], &ret->backends[i]);
        if (e == 0)
            e = merge_subset(r, &ret->backends[i], subset, n_subset);
    }
    return e;
}

static int decode_path(struct reader *r, const struct place *at, const Action *from,
                       struct path_rewrite *ret)
{
    if (from->prefix_rewrite[0] && from->regex_rewrite)
        return place_refuse(AT(at, "regex_rewrite"), r->why,
                            "is said together with prefix_rewrite");
    if (from->regex_rewrite)
        return decode_rewrite(r, AT(at, "regex_rewrite"), from->regex_rewrite, ret);
    if (!from->prefix_rewrite[0])
        return 0;
    ret->kind = REWRITE_PREFIX;
    return decode_text(r, from->prefix_rewrite, &ret->value);
}

static int decode_host(struct reader *r, const Action *from, struct host_rewrite *ret)
{
    ret->append_forwarded = from->append_x_forwarded_host;
    switch ((int)from->host_rewrite_specifier_case) {
    case HOST(HOST_REWRITE_LITERAL):
        ret->kind = HOST_LITERAL;
        return decode_text(r, from->host_rewrite_literal, &ret->value);
    case HOST(HOST_REWRITE_HEADER):
        ret->kind = HOST_OF_HEADER;
        return decode_text(r, from->host_rewrite_header, &ret->value);
    case HOST(AUTO_HOST_REWRITE):
        ret->kind = from->auto_host_rewrite->value ? HOST_OF_ENDPOINT : HOST_KEEP;
        return 0;
    default:
        return 0;
    }
}

static int decode_mirrors(struct reader *r, const struct place *at, const Action *from,
                          struct route_forward *ret)
{
    int e = decode_list(r, AT(at, "request_mirror_policies"), from->n_request_mirror_policies,
                        ROUTE_MATCHES_MAX, sizeof *ret->mirrors, (void **)&ret->mirrors);
    for (size_t i = 0; i < from->n_request_mirror_policies && e == 0; i++) {
        const Mirror *m = from->request_mirror_policies[i];
        struct route_mirror *to = &ret->mirrors[i];
        to->keep_host = m->disable_shadow_host_suffix_append;
        to->fraction = (struct fraction){100, 100};
        if ((e = decode_text(r, m->cluster, &to->cluster)) == 0 &&
            (e = decode_text(r, m->host_rewrite_literal, &to->host)) == 0 && m->runtime_fraction)
            e = decode_fraction(r, AT(AT_I(at, "request_mirror_policies", i), "runtime_fraction"),
                                m->runtime_fraction->default_value, &to->fraction);
    }
    if (e == 0)
        ret->n_mirrors = from->n_request_mirror_policies;
    return e;
}

static int decode_hash(struct reader *r, const struct place *at, const Hash *from,
                       struct hash_policy *ret)
{
    int e;
    ret->terminal = from->terminal;
    switch ((int)from->policy_specifier_case) {
    case HASH(HEADER):
        ret->source = HASH_HEADER;
        e = decode_text(r, from->header->header_name, &ret->name);
        if (e == 0 && from->header->regex_rewrite)
            e = decode_rewrite(r, AT(at, "header.regex_rewrite"), from->header->regex_rewrite,
                               &ret->regex);
        if (e == 0 && ret->regex.kind == REWRITE_WHOLE)
            e = place_refuse(AT(at, "header.regex_rewrite"), r->why,
                             "makes the same of every value");
        return e;
    case HASH(COOKIE):
        ret->source = HASH_COOKIE;
        ret->make_cookie = from->cookie->ttl != NULL;
        if ((e = decode_text(r, from->cookie->name, &ret->name)) < 0 ||
            (e = decode_text(r, from->cookie->path, &ret->cookie_path)) < 0)
            return e;
        return decode_duration(r, AT(at, "cookie.ttl"), from->cookie->ttl, &ret->cookie_ttl_ms);
    case HASH(CONNECTION_PROPERTIES):
        ret->source = HASH_SOURCE_IP;
        return from->connection_properties->source_ip
                   ? 0
                   : place_refuse(AT(at, "connection_properties.source_ip"), r->why,
                                  "must be true");
    case HASH(QUERY_PARAMETER):
        ret->source = HASH_QUERY;
        return decode_text(r, from->query_parameter->name, &ret->name);
    default:
        return place_refuse(at, r->why, "says nothing to hash");
    }
}

static int decode_hashes(struct reader *r, const struct place *at, const Action *from,
                         struct route_forward *ret)
{
    int e = decode_list(r, AT(at, "hash_policy"), from->n_hash_policy, ROUTE_MATCHES_MAX,
                        sizeof *ret->hashes, (void **)&ret->hashes);
    for (size_t i = 0; i < from->n_hash_policy && e == 0; i++)
        e = decode_hash(r, AT_I(at, "hash_policy", i), from->hash_policy[i], &ret->hashes[i]);
    if (e == 0)
        ret->n_hashes = from->n_hash_policy;
    return e;
}

static int decode_upgrades(struct reader *r, const struct place *at, const Action *from,
                           struct route_forward *ret)
{
    int e = decode_list(r, AT(at, "upgrade_configs"), from->n_upgrade_configs, ROUTE_MATCHES_MAX,
                        sizeof *ret->upgrades, (void **)&ret->upgrades);
    for (size_t i = 0; i < from->n_upgrade_configs && e == 0; i++) {
        const Envoy__Config__Route__V3__RouteAction__UpgradeConfig *m = from->upgrade_configs[i];
        if (m->enabled && !m->enabled->value)
            continue;
        struct text *to = &ret->upgrades[ret->n_upgrades++];
        e = decode_text(r, m->upgrade_type, to);
        for (size_t c = 0; e == 0 && c < to->len; c++)
            ((char *)to->data)[c] = text_lower(to->data[c]); /* our own copy */
    }
    return e;
}

static int decode_times(struct reader *r, const struct place *at, const Action *from,
                        struct route_forward *ret)
{
    const Envoy__Config__Route__V3__RouteAction__MaxStreamDuration *max = from->max_stream_duration;
    int e;
    ret->timeout_ms = TIMEOUT_MS;
    if ((e = decode_duration(r, AT(at, "timeout"), from->timeout, &ret->timeout_ms)) < 0 ||
        (e = decode_duration(r, AT(at, "idle_timeout"), from->idle_timeout,
                             &ret->idle_timeout_ms)) < 0)
        return e;
    /* The older pair, and the newer one, which counts. */
    ret->grpc_timeout = from->max_grpc_timeout || (max && max->grpc_timeout_header_max);
    if ((e = decode_duration(r, AT(at, "max_grpc_timeout"), from->max_grpc_timeout,
                             &ret->grpc_timeout_max_ms)) < 0 ||
        (e = decode_duration(r, AT(at, "grpc_timeout_offset"), from->grpc_timeout_offset,
                             &ret->grpc_timeout_offset_ms)) < 0 ||
        !max)
        return e;
    at = AT(at, "max_stream_duration");
    if ((e = decode_duration(r, AT(at, "max_stream_duration"), max->max_stream_duration,
                             &ret->max_stream_duration_ms)) < 0 ||
        (e = decode_duration(r, AT(at, "grpc_timeout_header_max"), max->grpc_timeout_header_max,
                             &ret->grpc_timeout_max_ms)) < 0)
        return e;
    return decode_duration(r, AT(at, "grpc_timeout_header_offset"), max->grpc_timeout_header_offset,
                           &ret->grpc_timeout_offset_ms);
}

int decode_action(struct reader *r, const struct place *at, const Action *from,
                  struct route_forward *ret)
{
    static const uint16_t no_cluster[] = {503, 404, 500};
    int e;
    if ((e = decode_enum(r, AT(at, "cluster_not_found_response_code"),
                         (int)from->cluster_not_found_response_code, 2)) < 0 ||
        (e = decode_enum(r, AT(at, "priority"), (int)from->priority, 1)) < 0 ||
        (e = decode_backends(r, at, from, ret)) < 0 ||
        (e = decode_path(r, at, from, &ret->path)) < 0 ||
        (e = decode_host(r, from, &ret->host)) < 0 || (e = decode_times(r, at, from, ret)) < 0 ||
        (e = decode_retry(r, AT(at, "retry_policy"), from->retry_policy, &ret->retry)) < 0 ||
        (e = decode_mirrors(r, at, from, ret)) < 0 || (e = decode_hashes(r, at, from, ret)) < 0 ||
        (e = decode_upgrades(r, at, from, ret)) < 0)
        return e;
    ret->no_cluster_status = no_cluster[from->cluster_not_found_response_code];
    ret->high_priority = from->priority == ENVOY__CONFIG__CORE__V3__ROUTING_PRIORITY__HIGH;
    return 0;
}
