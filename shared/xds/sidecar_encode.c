#include "listener.pb-c.h"
#include "original_dst.pb-c.h"
#include "shared/xds/listener_codec.h"
#include "shared/xds/sidecar.h"
#include "tcp_proxy.pb-c.h"

/* In the .proto files the mark says what is refused where it is read. */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

#define LDS(name)   envoy__config__listener__v3__##name##__descriptor
#define HCM(name)   envoy__extensions__filters__network__http_connection_manager__v3__##name##__descriptor
#define RDS(name)   envoy__config__route__v3__##name##__descriptor
#define PROXY(name) envoy__extensions__filters__network__tcp_proxy__v3__##name##__descriptor

typedef Envoy__Config__Listener__V3__Listener Listener;
typedef Envoy__Config__Listener__V3__FilterChain FilterChain;
typedef Envoy__Config__Listener__V3__Filter Filter;
typedef Envoy__Config__Route__V3__RouteConfiguration RouteConfiguration;
typedef Envoy__Config__Route__V3__Route Route;

/* ---- Where connections go ------------------------------------------------------------------- */

static Route *encode_route(struct writer *w, const char *cluster)
{
    Route *m = encode_message(w, &RDS(route));
    if (!m || !(m->match = encode_message(w, &RDS(route_match))) ||
        !(m->route = encode_message(w, &RDS(route_action))))
        return NULL;
    m->name = encode_text(w, TEXT("default"));
    m->match->path_specifier_case = ENVOY__CONFIG__ROUTE__V3__ROUTE_MATCH__PATH_SPECIFIER_PREFIX;
    m->match->prefix = encode_text(w, TEXT("/"));
    m->action_case = ENVOY__CONFIG__ROUTE__V3__ROUTE__ACTION_ROUTE;
    m->route->cluster_specifier_case =
        ENVOY__CONFIG__ROUTE__V3__ROUTE_ACTION__CLUSTER_SPECIFIER_CLUSTER;
    m->route->cluster = encode_text(w, text_of(cluster));
    m->route->timeout = encode_duration(w, 0); /* not said, it were 15 s */
    return m;
}

/* All requests to one cluster. */
static RouteConfiguration *encode_one_way(struct writer *w, const struct sidecar_chain *from)
{
    RouteConfiguration *m = encode_message(w, &RDS(route_configuration));
    Envoy__Config__Route__V3__VirtualHost *host = encode_message(w, &RDS(virtual_host));
    const struct text any = TEXT("*");
    if (!m || !host || !(host->routes = encode_list(w, 1, sizeof *host->routes)) ||
        !(m->virtual_hosts = encode_list(w, 1, sizeof *m->virtual_hosts)))
        return NULL;
    m->name = encode_text(w, text_of(from->name));
    m->virtual_hosts[m->n_virtual_hosts++] = host;
    host->name = encode_text(w, text_of(from->name));
    host->domains = encode_texts(w, &any, 1);
    host->n_domains = 1;
    host->routes[host->n_routes++] = encode_route(w, from->cluster);
    return m;
}

static const ProtobufCMessage *encode_requests(struct writer *w, const struct sidecar_chain *from)
{
    Manager *m = encode_manager(w, from->name, from->routes);
    if (!m || !(m->upgrade_configs = encode_list(w, 1, sizeof *m->upgrade_configs)) ||
        !(m->upgrade_configs[0] = encode_message(w, &HCM(http_connection_manager__upgrade_config))))
        return NULL;
    m->n_upgrade_configs = 1;
    m->upgrade_configs[0]->upgrade_type = encode_text(w, TEXT("websocket"));
    m->stream_idle_timeout = encode_duration(w, 0); /* as node proxies; not said, it were 5 minutes */
    m->normalize_path = encode_bool(w, true);
    if (!from->routes) {
        m->route_specifier_case =
            ENVOY__EXTENSIONS__FILTERS__NETWORK__HTTP_CONNECTION_MANAGER__V3__HTTP_CONNECTION_MANAGER__ROUTE_SPECIFIER_ROUTE_CONFIG;
        m->route_config = encode_one_way(w, from);
    }
    return &m->base;
}

static const ProtobufCMessage *encode_bytes(struct writer *w, const struct sidecar_chain *from)
{
    Envoy__Extensions__Filters__Network__TcpProxy__V3__TcpProxy *m =
        encode_message(w, &PROXY(tcp_proxy));
    if (!m)
        return NULL;
    m->stat_prefix = encode_text(w, text_of(from->name));
    m->cluster_specifier_case =
        ENVOY__EXTENSIONS__FILTERS__NETWORK__TCP_PROXY__V3__TCP_PROXY__CLUSTER_SPECIFIER_CLUSTER;
    m->cluster = encode_text(w, text_of(from->cluster));
    m->idle_timeout = encode_duration(w, 0); /* not said, it were an hour */
    return &m->base;
}

static FilterChain *encode_chain(struct writer *w, const struct sidecar_chain *from)
{
    FilterChain *m = encode_message(w, &LDS(filter_chain));
    Filter *filter = encode_message(w, &LDS(filter));
    if (!m || !filter || !(m->filters = encode_list(w, 1, sizeof *m->filters)))
        return NULL;
    m->name = encode_text(w, text_of(from->name));
    if (from->port && (m->filter_chain_match = encode_message(w, &LDS(filter_chain_match))))
        m->filter_chain_match->destination_port = encode_u32(w, from->port);
    filter->name = encode_text(w, from->http ? TEXT("envoy.filters.network.http_connection_manager")
                                             : TEXT("envoy.filters.network.tcp_proxy"));
    filter->config_type_case = ENVOY__CONFIG__LISTENER__V3__FILTER__CONFIG_TYPE_TYPED_CONFIG;
    filter->typed_config =
        encode_any(w, from->http ? encode_requests(w, from) : encode_bytes(w, from));
    m->filters[m->n_filters++] = filter;
    return m;
}

/* ---- Which connections ---------------------------------------------------------------------- */

static Envoy__Config__Core__V3__Address *encode_at(struct writer *w, const struct addr *at)
{
    char printed[IP_TEXT_MAX];
    return encode_address(w, text_of(ip_print(&at->ip, printed)), at->port);
}

static void encode_addresses(struct writer *w, const struct sidecar_listener *from, Listener *m)
{
    m->address = encode_at(w, &from->at[0]);
    m->additional_addresses = encode_list(w, from->n_at - 1, sizeof(void *));
    for (size_t i = 1; m->additional_addresses && i < from->n_at; i++) {
        Envoy__Config__Listener__V3__AdditionalAddress *more =
            encode_message(w, &LDS(additional_address));
        if (!more)
            return;
        more->address = encode_at(w, &from->at[i]);
        m->additional_addresses[m->n_additional_addresses++] = more;
    }
}

/* Chains are chosen by the port that the client wanted, which is not the listener's own. */
static void encode_original_dst(struct writer *w, Listener *m)
{
    Envoy__Config__Listener__V3__ListenerFilter *filter = encode_message(w, &LDS(listener_filter));
    m->listener_filters = encode_list(w, 1, sizeof *m->listener_filters);
    if (!filter || !m->listener_filters)
        return;
    filter->name = encode_text(w, TEXT("envoy.filters.listener.original_dst"));
    filter->config_type_case =
        ENVOY__CONFIG__LISTENER__V3__LISTENER_FILTER__CONFIG_TYPE_TYPED_CONFIG;
    filter->typed_config = encode_any(
        w,
        encode_message(
            w,
            &envoy__extensions__filters__listener__original_dst__v3__original_dst__descriptor));
    m->listener_filters[m->n_listener_filters++] = filter;
}

static void encode_role(struct writer *w, const struct sidecar_listener *from, Listener *m)
{
    m->traffic_direction = from->role == SIDECAR_INBOUND
                               ? ENVOY__CONFIG__CORE__V3__TRAFFIC_DIRECTION__INBOUND
                               : ENVOY__CONFIG__CORE__V3__TRAFFIC_DIRECTION__OUTBOUND;
    if (from->role == SIDECAR_SERVICE)
        m->bind_to_port = encode_bool(w, false);
    if (from->role == SIDECAR_OUTBOUND) /* it has this filter by itself */
        m->use_original_dst = encode_bool(w, true);
    if (from->role == SIDECAR_INBOUND)
        encode_original_dst(w, m);
}

int xds_sidecar_listener_encode(const struct sidecar_listener *from, struct xds_bytes *ret)
{
    struct arena arena;
    struct writer w = {&arena, false};
    arena_init(&arena, SIZE_MAX);
    Listener *m = encode_message(&w, &LDS(listener));
    FilterChain **chains = encode_list(&w, from->n_chains, sizeof *chains);
    if (m && chains) {
        m->name = encode_text(&w, text_of(from->name));
        encode_addresses(&w, from, m);
        encode_role(&w, from, m);
        for (size_t i = 0; i < from->n_chains && !w.failed; i++)
            chains[i] = encode_chain(&w, &from->chains[i]);
        m->filter_chains = chains;
        m->n_filter_chains = from->n_chains;
    }
    return encode_done(&w, m ? &m->base : NULL, ret);
}
