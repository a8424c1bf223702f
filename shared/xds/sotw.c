#include "shared/xds/sotw.h"

#include "shared/xds/discovery.h"

#include <errno.h>

typedef Envoy__Service__Discovery__V3__DiscoveryRequest Request;
typedef Envoy__Service__Discovery__V3__DiscoveryResponse Response;

int sotw_request_decode(const uint8_t *data, size_t len, struct sotw_request *ret,
                        char why[static XDS_WHY_MAX])
{
    static char none[1];
    const ProtobufCMessage *unpacked;
    struct arena *arena;
    int r = discovery_unpack(&envoy__service__discovery__v3__discovery_request__descriptor, data,
                             len, &arena, &unpacked, why);

    if (r < 0)
        return r;
    const Request *m = (const Request *)unpacked;
    const Envoy__Config__Core__V3__Locality *at = m->node ? m->node->locality : NULL;
    if ((r = discovery_check_text("type_url", m->type_url, why)) < 0 ||
        (r = discovery_check_text("version_info", m->version_info, why)) < 0 ||
        (r = discovery_check_text("response_nonce", m->response_nonce, why)) < 0 ||
        (r = discovery_check_node(m->node, why)) < 0 ||
        (r = discovery_check_names("resource_names", m->resource_names, m->n_resource_names,
                                   why)) < 0) {
        (void)arena_free(arena);
        return r;
    }
    *ret = (struct sotw_request){
        .node_id = m->node ? m->node->id : none,
        .node_cluster = m->node ? m->node->cluster : none,
        .user_agent = m->node ? m->node->user_agent_name : none,
        .region = at ? at->region : none,
        .zone = at ? at->zone : none,
        .sub_zone = at ? at->sub_zone : none,
        .version = m->version_info,
        .type_url = m->type_url,
        .names = m->resource_names,
        .n_names = m->n_resource_names,
        .nonce = m->response_nonce,
        .has_error = m->error_detail != NULL,
        .error_code = m->error_detail ? m->error_detail->code : 0,
        .error_message = m->error_detail ? m->error_detail->message : none,
        .arena = arena,
    };
    return 0;
}

int sotw_request_encode(const struct sotw_request *r, struct xds_bytes *ret)
{
    Request m = ENVOY__SERVICE__DISCOVERY__V3__DISCOVERY_REQUEST__INIT;
    Envoy__Config__Core__V3__Node node;
    Envoy__Config__Core__V3__Locality at = ENVOY__CONFIG__CORE__V3__LOCALITY__INIT;
    Google__Rpc__Status status;

    m.node = discovery_node(&node, r->node_id, r->node_cluster);
    at.region = r->region;
    at.zone = r->zone;
    at.sub_zone = r->sub_zone;
    if (m.node && ((at.region && *at.region) || (at.zone && *at.zone) || (at.sub_zone && *at.sub_zone)))
        node.locality = &at;
    if (m.node)
        node.user_agent_name = r->user_agent;
    m.version_info = r->version;
    m.type_url = r->type_url;
    m.n_resource_names = r->n_names;
    m.resource_names = r->names;
    m.response_nonce = r->nonce;
    m.error_detail = discovery_error(&status, r->has_error, r->error_code, r->error_message);
    return wire_pack(&m.base, ret);
}

void sotw_request_done(struct sotw_request *r)
{
    (void)arena_free(r->arena);
    *r = (struct sotw_request){0};
}

int sotw_response_decode(const uint8_t *data, size_t len, struct sotw_response *ret,
                         char why[static XDS_WHY_MAX])
{
    const ProtobufCMessage *unpacked;
    struct arena *arena;
    struct xds_bytes *resources;
    int r = discovery_unpack(&envoy__service__discovery__v3__discovery_response__descriptor, data,
                             len, &arena, &unpacked, why);

    if (r < 0)
        return r;
    const Response *m = (const Response *)unpacked;
    if ((r = discovery_check_text("type_url", m->type_url, why)) < 0 ||
        (r = discovery_check_text("version_info", m->version_info, why)) < 0 ||
        (r = discovery_check_text("nonce", m->nonce, why)) < 0 ||
        (r = discovery_list(arena, "resources", m->n_resources, sizeof *resources,
                            (void **)&resources, why)) < 0)
        goto failed;
    for (size_t i = 0; i < m->n_resources; i++) {
        if (strcmp(m->resources[i]->type_url, m->type_url) != 0) {
            r = wire_refuse(why, "resources[%zu]: is of another type than the response", i);
            goto failed;
        }
        resources[i] = (struct xds_bytes){m->resources[i]->value.data, m->resources[i]->value.len};
    }
    *ret = (struct sotw_response){
        .version = m->version_info,
        .type_url = m->type_url,
        .nonce = m->nonce,
        .resources = resources,
        .n_resources = m->n_resources,
        .arena = arena,
    };
    return 0;
failed:
    (void)arena_free(arena);
    return r;
}

int sotw_response_encode(const struct sotw_response *r, struct xds_bytes *ret)
{
    Response m = ENVOY__SERVICE__DISCOVERY__V3__DISCOVERY_RESPONSE__INIT;
    struct arena a;
    int result = -ENOMEM;

    arena_init(&a, SIZE_MAX);
    m.version_info = r->version;
    m.type_url = r->type_url;
    m.nonce = r->nonce;
    m.n_resources = r->n_resources;
    m.resources = arena_zero(&a, r->n_resources, sizeof(Google__Protobuf__Any *));
    Google__Protobuf__Any *bodies = arena_zero(&a, r->n_resources, sizeof *bodies);
    if (m.resources && bodies) {
        for (size_t i = 0; i < r->n_resources; i++) {
            google__protobuf__any__init(&bodies[i]);
            bodies[i].type_url = r->type_url;
            bodies[i].value = (ProtobufCBinaryData){r->resources[i].len, r->resources[i].data};
            m.resources[i] = &bodies[i];
        }
        result = wire_pack(&m.base, ret);
    }
    arena_done(&a);
    return result;
}

void sotw_response_done(struct sotw_response *r)
{
    (void)arena_free(r->arena);
    *r = (struct sotw_response){0};
}
