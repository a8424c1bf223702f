#include "shared/xds/delta.h"

#include "shared/xds/discovery.h"

#include <errno.h>
#include <stdlib.h>

typedef Envoy__Service__Discovery__V3__DeltaDiscoveryRequest Request;
typedef Envoy__Service__Discovery__V3__DeltaDiscoveryRequest__InitialResourceVersionsEntry Version;
#define VERSION_INIT                                                                               \
    envoy__service__discovery__v3__delta_discovery_request__initial_resource_versions_entry__init
typedef Envoy__Service__Discovery__V3__DeltaDiscoveryResponse Response;
typedef Envoy__Service__Discovery__V3__Resource Resource;

int delta_request_decode(const uint8_t *data, size_t len, struct delta_request *ret,
                         char why[static XDS_WHY_MAX])
{
    static char none[1];
    const ProtobufCMessage *unpacked;
    struct arena *arena;
    struct xds_version *initial;
    struct delta_machine machine;
    int r = discovery_unpack(&envoy__service__discovery__v3__delta_discovery_request__descriptor,
                             data, len, &arena, &unpacked, why);

    if (r < 0)
        return r;
    const Request *m = (const Request *)unpacked;
    if ((r = discovery_check_text("type_url", m->type_url, why)) < 0 ||
        (r = discovery_check_text("response_nonce", m->response_nonce, why)) < 0 ||
        (r = discovery_check_node(m->node, why)) < 0 ||
        (r = discovery_machine_read(m->node, &machine, why)) < 0 ||
        (r = discovery_check_names("resource_names_subscribe", m->resource_names_subscribe,
                                   m->n_resource_names_subscribe, why)) < 0 ||
        (r = discovery_check_names("resource_names_unsubscribe", m->resource_names_unsubscribe,
                                   m->n_resource_names_unsubscribe, why)) < 0 ||
        (r = discovery_list(arena, "initial_resource_versions", m->n_initial_resource_versions,
                            sizeof *initial, (void **)&initial, why)) < 0)
        goto failed;
    for (size_t i = 0; i < m->n_initial_resource_versions; i++) {
        const Version *v = m->initial_resource_versions[i];
        if ((r = discovery_check_text("initial_resource_versions", v->key, why)) < 0 ||
            (r = discovery_check_text("initial_resource_versions", v->value, why)) < 0)
            goto failed;
        initial[i] = (struct xds_version){v->key, v->value};
    }
    *ret = (struct delta_request){
        .node_id = m->node ? m->node->id : none,
        .node_cluster = m->node ? m->node->cluster : none,
        .machine = machine,
        .type_url = m->type_url,
        .subscribe = m->resource_names_subscribe,
        .n_subscribe = m->n_resource_names_subscribe,
        .unsubscribe = m->resource_names_unsubscribe,
        .n_unsubscribe = m->n_resource_names_unsubscribe,
        .initial = initial,
        .n_initial = m->n_initial_resource_versions,
        .nonce = m->response_nonce,
        .has_error = m->error_detail != NULL,
        .error_code = m->error_detail ? m->error_detail->code : 0,
        .error_message = m->error_detail ? m->error_detail->message : none,
        .arena = arena,
    };
    return 0;
failed:
    (void)arena_free(arena);
    return r;
}

int delta_request_encode(const struct delta_request *r, struct xds_bytes *ret)
{
    Request m = ENVOY__SERVICE__DISCOVERY__V3__DELTA_DISCOVERY_REQUEST__INIT;
    Envoy__Config__Core__V3__Node node;
    struct discovery_metadata metadata;
    Google__Rpc__Status status;
    struct arena a;
    int result = -ENOMEM;

    arena_init(&a, SIZE_MAX);
    m.node = discovery_node(&node, r->node_id, r->node_cluster);
    node.metadata = discovery_machine(&metadata, &r->machine);
    m.type_url = r->type_url;
    m.n_resource_names_subscribe = r->n_subscribe;
    m.resource_names_subscribe = r->subscribe;
    m.n_resource_names_unsubscribe = r->n_unsubscribe;
    m.resource_names_unsubscribe = r->unsubscribe;
    m.response_nonce = r->nonce;
    m.error_detail = discovery_error(&status, r->has_error, r->error_code, r->error_message);
    Version *items = arena_zero(&a, r->n_initial, sizeof *items);
    m.initial_resource_versions = arena_zero(&a, r->n_initial, sizeof(Version *));
    m.n_initial_resource_versions = r->n_initial;
    if (items && m.initial_resource_versions) {
        for (size_t i = 0; i < r->n_initial; i++) {
            VERSION_INIT(&items[i]);
            items[i].key = r->initial[i].name;
            items[i].value = r->initial[i].version;
            m.initial_resource_versions[i] = &items[i];
        }
        result = wire_pack(&m.base, ret);
    }
    arena_done(&a);
    return result;
}

static void names_free(char **names, size_t n)
{
    for (size_t i = 0; names && i < n; i++)
        free(names[i]);
    free(names);
}

void delta_request_done(struct delta_request *r)
{
    if (!r->arena) {
        free(r->node_id);
        free(r->node_cluster);
        free(r->type_url);
        names_free(r->subscribe, r->n_subscribe);
        names_free(r->unsubscribe, r->n_unsubscribe);
        for (size_t i = 0; r->initial && i < r->n_initial; i++) {
            free(r->initial[i].name);
            free(r->initial[i].version);
        }
        free(r->initial);
        free(r->nonce);
        free(r->error_message);
    }
    (void)arena_free(r->arena);
    *r = (struct delta_request){0};
}

int delta_response_decode(const uint8_t *data, size_t len, struct delta_response *ret,
                          char why[static XDS_WHY_MAX])
{
    static char none[1];
    const ProtobufCMessage *unpacked;
    struct arena *arena;
    struct delta_resource *resources;
    int r = discovery_unpack(&envoy__service__discovery__v3__delta_discovery_response__descriptor,
                             data, len, &arena, &unpacked, why);

    if (r < 0)
        return r;
    const Response *m = (const Response *)unpacked;
    if ((r = discovery_check_text("type_url", m->type_url, why)) < 0 ||
        (r = discovery_check_text("nonce", m->nonce, why)) < 0 ||
        (r = discovery_check_text("system_version_info", m->system_version_info, why)) < 0 ||
        (r = discovery_check_names("removed_resources", m->removed_resources,
                                   m->n_removed_resources, why)) < 0 ||
        (r = discovery_list(arena, "resources", m->n_resources, sizeof *resources,
                            (void **)&resources, why)) < 0)
        goto failed;
    for (size_t i = 0; i < m->n_resources; i++) {
        const Resource *from = m->resources[i];
        struct delta_resource *to = &resources[i];
        if ((r = discovery_check_text("resources.name", from->name, why)) < 0 ||
            (r = discovery_check_text("resources.version", from->version, why)) < 0 ||
            (r = discovery_check_names("resources.aliases", from->aliases, from->n_aliases, why)) < 0)
            goto failed;
        *to = (struct delta_resource){
            .name = from->name,
            .version = from->version,
            .aliases = from->aliases,
            .n_aliases = from->n_aliases,
            .type_url = from->resource ? from->resource->type_url : none,
            .body = from->resource ? from->resource->value.data : NULL,
            .body_len = from->resource ? from->resource->value.len : 0,
        };
    }
    *ret = (struct delta_response){
        .type_url = m->type_url,
        .nonce = m->nonce,
        .system_version = m->system_version_info,
        .resources = resources,
        .n_resources = m->n_resources,
        .removed = m->removed_resources,
        .n_removed = m->n_removed_resources,
        .arena = arena,
    };
    return 0;
failed:
    (void)arena_free(arena);
    return r;
}

int delta_response_encode(const struct delta_response *r, struct xds_bytes *ret)
{
    Response m = ENVOY__SERVICE__DISCOVERY__V3__DELTA_DISCOVERY_RESPONSE__INIT;
    struct arena a;
    int result = -ENOMEM;

    arena_init(&a, SIZE_MAX);
    m.type_url = r->type_url;
    m.nonce = r->nonce;
    m.system_version_info = r->system_version;
    m.n_removed_resources = r->n_removed;
    m.removed_resources = r->removed;
    m.n_resources = r->n_resources;
    m.resources = arena_zero(&a, r->n_resources, sizeof(Resource *));
    Resource *items = arena_zero(&a, r->n_resources, sizeof *items);
    Google__Protobuf__Any *bodies = arena_zero(&a, r->n_resources, sizeof *bodies);
    if (m.resources && items && bodies) {
        for (size_t i = 0; i < r->n_resources; i++) {
            const struct delta_resource *from = &r->resources[i];
            envoy__service__discovery__v3__resource__init(&items[i]);
            google__protobuf__any__init(&bodies[i]);
            items[i].name = from->name;
            items[i].version = from->version;
            items[i].aliases = from->aliases;
            items[i].n_aliases = from->n_aliases;
            bodies[i].type_url = from->type_url;
            bodies[i].value = (ProtobufCBinaryData){from->body_len, from->body};
            items[i].resource = &bodies[i];
            m.resources[i] = &items[i];
        }
        result = wire_pack(&m.base, ret);
    }
    arena_done(&a);
    return result;
}

void delta_response_done(struct delta_response *r)
{
    if (!r->arena) {
        free(r->type_url);
        free(r->nonce);
        free(r->system_version);
        for (size_t i = 0; r->resources && i < r->n_resources; i++) {
            struct delta_resource *resource = &r->resources[i];
            free(resource->name);
            free(resource->version);
            names_free(resource->aliases, resource->n_aliases);
            free(resource->type_url);
            free(resource->body);
        }
        free(r->resources);
        names_free(r->removed, r->n_removed);
    }
    (void)arena_free(r->arena);
    *r = (struct delta_response){0};
}
