#include "shared/xds/endpoints_codec.h"
#include "shared/xds/routing.h"

#include <errno.h>

enum { GROWTH = 64 };

typedef Envoy__Config__Endpoint__V3__ClusterLoadAssignment Assignment;
typedef Envoy__Config__Endpoint__V3__ClusterLoadAssignment__Policy Policy;
typedef Envoy__Config__Endpoint__V3__ClusterLoadAssignment__Policy__DropOverload Drop;
typedef Envoy__Config__Endpoint__V3__LocalityLbEndpoints Group;
typedef Envoy__Config__Endpoint__V3__LbEndpoint LbEndpoint;
typedef Envoy__Config__Core__V3__SocketAddress SocketAddress;

/* ---- Decoding ------------------------------------------------------------------------------- */

static int decode_address(struct reader *r, const struct place *at,
                          const Envoy__Config__Core__V3__Address *m, struct endpoint *ret)
{
    if (!m || m->address_case != ENVOY__CONFIG__CORE__V3__ADDRESS__ADDRESS_SOCKET_ADDRESS)
        return place_refuse(at, r->why, "has no socket_address");
    const SocketAddress *s = m->socket_address;
    at = AT(at, "socket_address");
    if (s->protocol != ENVOY__CONFIG__CORE__V3__SOCKET_ADDRESS__PROTOCOL__TCP)
        return place_refuse(AT(at, "protocol"), r->why, "only TCP is supported here");
    if (s->port_specifier_case !=
            ENVOY__CONFIG__CORE__V3__SOCKET_ADDRESS__PORT_SPECIFIER_PORT_VALUE ||
        s->port_value > UINT16_MAX)
        return place_refuse(AT(at, "port_value"), r->why, "is missing, or above 65535");
    ret->addr.port = (uint16_t)s->port_value;
    return ip_parse(text_of(s->address), &ret->addr.ip) == 0
               ? 0
               : decode_text(r, s->address, &ret->host);
}

static int decode_endpoint(struct reader *r, const struct place *at, const LbEndpoint *m,
                           struct endpoint *ret)
{
    struct label *ours = NULL;
    size_t n_ours = 0;
    int e;
    ret->weight = 1;
    if (m->host_identifier_case !=
        ENVOY__CONFIG__ENDPOINT__V3__LB_ENDPOINT__HOST_IDENTIFIER_ENDPOINT)
        return place_refuse(AT(at, "endpoint"), r->why, "is missing");
    if ((e = decode_address(r, AT(at, "endpoint.address"), m->endpoint->address, ret)) < 0 ||
        (e = decode_text(r, m->endpoint->hostname, &ret->hostname)) < 0 ||
        (e = decode_enum(r, AT(at, "health_status"), (int)m->health_status, HEALTH_DEGRADED)) < 0 ||
        (e = decode_u32(r, AT(at, "load_balancing_weight"), m->load_balancing_weight, UINT32_MAX,
                        &ret->weight)) < 0 ||
        (e = decode_metadata(r, AT(at, "metadata"), m->metadata, XDS_LB_METADATA,
                             ENDPOINT_LABELS_MAX, &ret->labels, &ret->n_labels)) < 0 ||
        (e = decode_metadata(r, AT(at, "metadata"), m->metadata, XDS_OUR_METADATA,
                             ENDPOINT_LABELS_MAX, &ours, &n_ours)) < 0)
        return e;
    ret->health = (enum endpoint_health)m->health_status;
    for (size_t i = 0; i < n_ours; i++)
        if (text_equal(ours[i].name, TEXT("workload")))
            ret->workload = ours[i].value;
    return 0;
}

static int decode_group(struct reader *r, const struct place *at, const Group *m,
                        struct endpoint_group *ret)
{
    int e;
    if (m->locality && ((e = decode_text(r, m->locality->region, &ret->region)) < 0 ||
                        (e = decode_text(r, m->locality->zone, &ret->zone)) < 0 ||
                        (e = decode_text(r, m->locality->sub_zone, &ret->sub_zone)) < 0))
        return e;
    ret->priority = m->priority;
    if ((e = decode_u32(r, AT(at, "load_balancing_weight"), m->load_balancing_weight, UINT32_MAX,
                        &ret->weight)) < 0 ||
        (e = decode_list(r, AT(at, "lb_endpoints"), m->n_lb_endpoints, ENDPOINTS_MAX,
                         sizeof *ret->endpoints, (void **)&ret->endpoints)) < 0)
        return e;
    ret->n_endpoints = m->n_lb_endpoints;
    for (size_t i = 0; i < m->n_lb_endpoints && e == 0; i++)
        e = decode_endpoint(r, AT_I(at, "lb_endpoints", i), m->lb_endpoints[i], &ret->endpoints[i]);
    return e;
}

static int decode_policy(struct reader *r, const struct place *at, const Policy *m,
                         struct endpoints *ret)
{
    int e;
    if (!m)
        return 0;
    if ((e = decode_u32(r, AT(at, "overprovisioning_factor"), m->overprovisioning_factor,
                        UINT32_MAX, &ret->overprovisioning_percent)) < 0 ||
        (e = decode_list(r, AT(at, "drop_overloads"), m->n_drop_overloads, ENDPOINT_DROPS_MAX,
                         sizeof *ret->drops, (void **)&ret->drops)) < 0)
        return e;
    ret->n_drops = m->n_drop_overloads;
    for (size_t i = 0; i < ret->n_drops && e == 0; i++) {
        e = decode_text(r, m->drop_overloads[i]->category, &ret->drops[i].category);
        if (e == 0)
            e = decode_fraction(r, AT(AT_I(at, "drop_overloads", i), "drop_percentage"),
                                m->drop_overloads[i]->drop_percentage, &ret->drops[i].fraction);
    }
    return e;
}

int decode_endpoints(struct reader *r, const struct place *at, const Assignment *m,
                     struct endpoints *ret)
{
    int e;
    if ((e = decode_text(r, m->cluster_name, &ret->name)) < 0 ||
        (e = decode_policy(r, AT(at, "policy"), m->policy, ret)) < 0 ||
        (e = decode_list(r, AT(at, "endpoints"), m->n_endpoints, ENDPOINT_GROUPS_MAX,
                         sizeof *ret->groups, (void **)&ret->groups)) < 0)
        return e;
    ret->n_groups = m->n_endpoints;
    for (size_t i = 0; i < ret->n_groups && e == 0; i++)
        e = decode_group(r, AT_I(at, "endpoints", i), m->endpoints[i], &ret->groups[i]);
    return e;
}

int xds_endpoints_decode(const uint8_t *data, size_t len, struct endpoints **ret,
                         char why[static XDS_WHY_MAX])
{
    const ProtobufCMessage *m;
    struct arena scratch;
    struct endpoints *made = endpoints_new(ENDPOINTS_BYTES_MAX);
    if (!made)
        return wire_no_memory(why);
    arena_init(&scratch, wire_space(len, GROWTH));
    struct reader r = {&made->arena, &scratch, why};
    int e = wire_unpack_strictly(&envoy__config__endpoint__v3__cluster_load_assignment__descriptor,
                                 data, len, &scratch, NULL, &m, why);
    if (e == 0)
        e = decode_endpoints(&r, NULL, (const Assignment *)m, made);
    if (e == 0)
        e = endpoints_finish(made, why);
    arena_done(&scratch);
    if (e < 0) {
        endpoints_free(made);
        return e;
    }
    *ret = made;
    return 0;
}

/* ---- Encoding ------------------------------------------------------------------------------- */

static LbEndpoint *encode_endpoint(struct writer *w, const struct endpoint *from)
{
    char printed[IP_TEXT_MAX];
    struct text host = from->addr.ip.len ? text_of(ip_print(&from->addr.ip, printed)) : from->host;
    const struct label workload = {TEXT("workload"), from->workload};
    LbEndpoint *m = encode_message(w, &envoy__config__endpoint__v3__lb_endpoint__descriptor);
    Envoy__Config__Endpoint__V3__Endpoint *inner =
        encode_message(w, &envoy__config__endpoint__v3__endpoint__descriptor);
    if (!m || !inner)
        return NULL;
    inner->address = encode_address(w, host, from->addr.port);
    inner->hostname = encode_text(w, from->hostname);
    m->host_identifier_case = ENVOY__CONFIG__ENDPOINT__V3__LB_ENDPOINT__HOST_IDENTIFIER_ENDPOINT;
    m->endpoint = inner;
    m->health_status = (Envoy__Config__Core__V3__HealthStatus)from->health;
    m->load_balancing_weight = encode_u32(w, from->weight);
    encode_add_metadata(w, &m->metadata, XDS_LB_METADATA, from->labels, from->n_labels);
    encode_add_metadata(w, &m->metadata, XDS_OUR_METADATA, &workload, from->workload.len > 0);
    return m;
}

static Group *encode_group(struct writer *w, const struct endpoint_group *from)
{
    Group *m = encode_message(w, &envoy__config__endpoint__v3__locality_lb_endpoints__descriptor);
    Envoy__Config__Core__V3__Locality *locality =
        encode_message(w, &envoy__config__core__v3__locality__descriptor);
    LbEndpoint **list = encode_list(w, from->n_endpoints, sizeof *list);
    if (!m || !locality || (from->n_endpoints && !list))
        return NULL;
    locality->region = encode_text(w, from->region);
    locality->zone = encode_text(w, from->zone);
    locality->sub_zone = encode_text(w, from->sub_zone);
    m->locality = locality;
    m->priority = from->priority;
    if (from->weight)
        m->load_balancing_weight = encode_u32(w, from->weight);
    for (size_t i = 0; i < from->n_endpoints; i++)
        if (!(list[i] = encode_endpoint(w, &from->endpoints[i])))
            return NULL;
    m->lb_endpoints = list;
    m->n_lb_endpoints = from->n_endpoints;
    return m;
}

static Policy *encode_policy(struct writer *w, const struct endpoints *from)
{
    Policy *m = encode_message(
        w, &envoy__config__endpoint__v3__cluster_load_assignment__policy__descriptor);
    Drop **list = encode_list(w, from->n_drops, sizeof *list);
    if (!m || (from->n_drops && !list))
        return NULL;
    if (from->overprovisioning_percent != OVERPROVISIONING_PERCENT)
        m->overprovisioning_factor = encode_u32(w, from->overprovisioning_percent);
    for (size_t i = 0; i < from->n_drops; i++) {
        list[i] = encode_message(
            w,
            &envoy__config__endpoint__v3__cluster_load_assignment__policy__drop_overload__descriptor);
        if (!list[i])
            return NULL;
        list[i]->category = encode_text(w, from->drops[i].category);
        list[i]->drop_percentage = encode_fraction(w, from->drops[i].fraction);
    }
    m->drop_overloads = list;
    m->n_drop_overloads = from->n_drops;
    return m;
}

Assignment *encode_endpoints(struct writer *w, const struct endpoints *from)
{
    Assignment *m =
        encode_message(w, &envoy__config__endpoint__v3__cluster_load_assignment__descriptor);
    Group **list = encode_list(w, from->n_groups, sizeof *list);
    if (!m || (from->n_groups && !list))
        return NULL;
    m->cluster_name = encode_text(w, from->name);
    if (from->n_drops > 0 || from->overprovisioning_percent != OVERPROVISIONING_PERCENT)
        m->policy = encode_policy(w, from);
    for (size_t i = 0; i < from->n_groups; i++)
        if (!(list[i] = encode_group(w, &from->groups[i])))
            return NULL;
    m->endpoints = list;
    m->n_endpoints = from->n_groups;
    return m;
}

int xds_endpoints_encode(const struct endpoints *from, struct xds_bytes *ret)
{
    struct arena arena;
    struct writer w = {&arena, false};
    arena_init(&arena, SIZE_MAX);
    Assignment *m = encode_endpoints(&w, from);
    return encode_done(&w, m ? &m->base : NULL, ret);
}
