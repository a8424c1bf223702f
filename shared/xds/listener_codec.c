#include "cors.pb-c.h"
#include "fault.pb-c.h"
#include "listener.pb-c.h"
#include "router.pb-c.h"
#include "shared/xds/listener_codec.h"
#include "shared/xds/routing.h"

#include <errno.h>
#include <stdlib.h>

enum { GROWTH = 24 };

typedef Envoy__Config__Listener__V3__Listener Listener;
typedef Envoy__Extensions__Filters__Network__HttpConnectionManager__V3__HttpFilter HttpFilter;

/* Filters that a route's own configuration may speak to; the router comes last. */
static const struct {
    const char *name;
    const ProtobufCMessageDescriptor *type;
} filters[] = {
    {"envoy.filters.http.fault",
     &envoy__extensions__filters__http__fault__v3__httpfault__descriptor},
    {"envoy.filters.http.cors", &envoy__extensions__filters__http__cors__v3__cors__descriptor},
    {"envoy.filters.http.router",
     &envoy__extensions__filters__http__router__v3__router__descriptor},
};
enum { FILTERS = sizeof filters / sizeof *filters, ROUTER = FILTERS - 1 };

/* ---- Decoding ------------------------------------------------------------------------------- */

static int decode_filters(struct reader *r, const struct place *at, const Manager *m)
{
    for (size_t i = 0; i < m->n_http_filters; i++) {
        const HttpFilter *f = m->http_filters[i];
        const struct place *here = AT_I(at, "http_filters", i);
        const ProtobufCMessage *config;
        size_t kind = 0;
        if (f->config_type_case !=
            ENVOY__EXTENSIONS__FILTERS__NETWORK__HTTP_CONNECTION_MANAGER__V3__HTTP_FILTER__CONFIG_TYPE_TYPED_CONFIG)
            return place_refuse(AT(here, "typed_config"), r->why, "is missing");
        while (kind < FILTERS && !any_is(f->typed_config, filters[kind].type))
            kind++;
        if (kind == FILTERS && f->is_optional)
            continue;
        if (kind == FILTERS)
            return place_refuse(AT(here, "typed_config"), r->why, "'%.100s' is not supported here",
                                f->typed_config->type_url);
        if ((kind == ROUTER) != (i + 1 == m->n_http_filters))
            return place_refuse(here, r->why, "the router must be the last filter");
        int e =
            decode_any(r, AT(here, "typed_config"), f->typed_config, filters[kind].type, &config);
        if (e < 0)
            return e;
    }
    return m->n_http_filters ? 0 : place_refuse(AT(at, "http_filters"), r->why, "has no router");
}

static int decode_manager(struct reader *r, const struct place *at, const Manager *m,
                          const char **ret_routes)
{
    int e = decode_filters(r, at, m);
    if (e < 0)
        return e;
    if (m->route_specifier_case !=
        ENVOY__EXTENSIONS__FILTERS__NETWORK__HTTP_CONNECTION_MANAGER__V3__HTTP_CONNECTION_MANAGER__ROUTE_SPECIFIER_RDS)
        return place_refuse(AT(at, "rds"), r->why, "is missing");
    const Envoy__Config__Core__V3__ConfigSource *source = m->rds->config_source;
    if (!source || source->config_source_specifier_case ==
                       ENVOY__CONFIG__CORE__V3__CONFIG_SOURCE__CONFIG_SOURCE_SPECIFIER__NOT_SET)
        return place_refuse(AT(at, "rds.config_source"), r->why, "must be ads");
    if (!m->rds->route_config_name[0])
        return place_refuse(AT(at, "rds.route_config_name"), r->why, "is empty");
    *ret_routes = m->rds->route_config_name;
    return 0;
}

static int decode_listener(struct reader *r, const Listener *m, struct api_listener *ret)
{
    const struct place *at = AT(NULL, "api_listener.api_listener");
    const ProtobufCMessage *manager;
    const char *routes = "";
    if (!m->name[0])
        return place_refuse(AT(NULL, "name"), r->why, "is empty");
    if (!m->api_listener)
        return place_refuse(at, r->why, "is missing");
    int e = decode_any(
        r, at, m->api_listener->api_listener,
        &envoy__extensions__filters__network__http_connection_manager__v3__http_connection_manager__descriptor,
        &manager);
    if (e == 0)
        e = decode_manager(r, at, (const Manager *)manager, &routes);
    if (e < 0)
        return e;
    *ret = (struct api_listener){text_dup(text_of(m->name)), text_dup(text_of(routes))};
    if (ret->name && ret->routes)
        return 0;
    api_listener_done(ret);
    return wire_no_memory(r->why);
}

int xds_listener_decode(const uint8_t *data, size_t len, struct api_listener *ret,
                        char why[static XDS_WHY_MAX])
{
    const ProtobufCMessage *m;
    struct arena scratch;
    struct reader r = {&scratch, &scratch, why};
    arena_init(&scratch, wire_space(len, GROWTH));
    int e = wire_unpack_strictly(&envoy__config__listener__v3__listener__descriptor, data, len,
                                 &scratch, NULL, &m, why);
    if (e == 0)
        e = decode_listener(&r, (const Listener *)m, ret);
    arena_done(&scratch);
    return e;
}

void api_listener_done(struct api_listener *l)
{
    free(l->name);
    free(l->routes);
    *l = (struct api_listener){0};
}

/* ---- Encoding ------------------------------------------------------------------------------- */

static Envoy__Extensions__Filters__Network__HttpConnectionManager__V3__Rds *
encode_rds(struct writer *w, const char *routes)
{
    Envoy__Extensions__Filters__Network__HttpConnectionManager__V3__Rds *m = encode_message(
        w, &envoy__extensions__filters__network__http_connection_manager__v3__rds__descriptor);
    if (m) {
        m->config_source = encode_ads(w);
        m->route_config_name = encode_text(w, text_of(routes));
    }
    return m;
}

Manager *encode_manager(struct writer *w, const char *stat_prefix, const char *routes)
{
    Manager *m = encode_message(
        w,
        &envoy__extensions__filters__network__http_connection_manager__v3__http_connection_manager__descriptor);
    HttpFilter **list = encode_list(w, FILTERS, sizeof *list);
    if (!m || !list)
        return NULL;
    m->stat_prefix = encode_text(w, text_of(stat_prefix));
    if (routes) {
        m->route_specifier_case =
            ENVOY__EXTENSIONS__FILTERS__NETWORK__HTTP_CONNECTION_MANAGER__V3__HTTP_CONNECTION_MANAGER__ROUTE_SPECIFIER_RDS;
        m->rds = encode_rds(w, routes);
    }
    for (size_t i = 0; i < FILTERS; i++) {
        list[i] = encode_message(
            w,
            &envoy__extensions__filters__network__http_connection_manager__v3__http_filter__descriptor);
        if (!list[i])
            return NULL;
        list[i]->name = encode_text(w, text_of(filters[i].name));
        list[i]->config_type_case =
            ENVOY__EXTENSIONS__FILTERS__NETWORK__HTTP_CONNECTION_MANAGER__V3__HTTP_FILTER__CONFIG_TYPE_TYPED_CONFIG;
        list[i]->typed_config = encode_any(w, encode_message(w, filters[i].type));
        /* A consumer that doesn't know it does without, but for the router. */
        list[i]->is_optional = i != ROUTER;
    }
    m->http_filters = list;
    m->n_http_filters = FILTERS;
    return m;
}

int xds_listener_encode(const struct api_listener *from, struct xds_bytes *ret)
{
    struct arena arena;
    struct writer w = {&arena, false};
    arena_init(&arena, SIZE_MAX);
    Listener *m = encode_message(&w, &envoy__config__listener__v3__listener__descriptor);
    Envoy__Config__Listener__V3__ApiListener *api =
        encode_message(&w, &envoy__config__listener__v3__api_listener__descriptor);
    if (m && api) {
        Manager *manager = encode_manager(&w, from->name, from->routes);
        api->api_listener = encode_any(&w, manager ? &manager->base : NULL);
        m->name = encode_text(&w, text_of(from->name));
        m->api_listener = api;
    }
    return encode_done(&w, m ? &m->base : NULL, ret);
}
