#include "shared/xds/route_codec.h"
#include "shared/xds/routing.h"
#include "weir_traffic.pb-c.h"

enum { GROWTH = 64 };

typedef Envoy__Config__Route__V3__RouteConfiguration Table;
typedef Envoy__Config__Route__V3__VirtualHost Host;
typedef Envoy__Config__Route__V3__Route Route;
typedef Envoy__Config__Route__V3__RedirectAction Redirect;
typedef Envoy__Config__Route__V3__DirectResponseAction Respond;

#define REDIRECT(name) ENVOY__CONFIG__ROUTE__V3__REDIRECT_ACTION__##name

/* Tables, hosts and routes name their edits alike. */
#define DECODE_EDITS(r, at, from, ret)                                                             \
    ((e = decode_edits((r), AT((at), "request_headers_to_add"), (from)->request_headers_to_add,    \
                       (from)->n_request_headers_to_add, (from)->request_headers_to_remove,        \
                       (from)->n_request_headers_to_remove, &(ret)->request)) < 0 ||               \
     (e = decode_edits((r), AT((at), "response_headers_to_add"), (from)->response_headers_to_add,  \
                       (from)->n_response_headers_to_add, (from)->response_headers_to_remove,      \
                       (from)->n_response_headers_to_remove, &(ret)->response)) < 0)

static int decode_redirect(struct reader *r, const struct place *at, const Redirect *from,
                           struct route_redirect *ret)
{
    static const uint16_t codes[] = {301, 302, 303, 307, 308};
    int e;
    if ((e = decode_enum(r, AT(at, "response_code"), (int)from->response_code, 4)) < 0 ||
        (e = decode_text(r, from->host_redirect, &ret->host)) < 0)
        return e;
    if (from->port_redirect > UINT16_MAX)
        return place_refuse(AT(at, "port_redirect"), r->why, "is above 65535");
    ret->status = codes[from->response_code];
    ret->port = (uint16_t)from->port_redirect;
    ret->strip_query = from->strip_query;
    if (from->scheme_rewrite_specifier_case == REDIRECT(SCHEME_REWRITE_SPECIFIER_HTTPS_REDIRECT))
        ret->https = from->https_redirect;
    else if (from->scheme_rewrite_specifier_case ==
                 REDIRECT(SCHEME_REWRITE_SPECIFIER_SCHEME_REDIRECT) &&
             (e = decode_text(r, from->scheme_redirect, &ret->scheme)) < 0)
        return e;
    switch (from->path_rewrite_specifier_case) {
    case REDIRECT(PATH_REWRITE_SPECIFIER_PATH_REDIRECT):
        ret->path.kind = REWRITE_WHOLE;
        return decode_text(r, from->path_redirect, &ret->path.value);
    case REDIRECT(PATH_REWRITE_SPECIFIER_PREFIX_REWRITE):
        ret->path.kind = REWRITE_PREFIX;
        return decode_text(r, from->prefix_rewrite, &ret->path.value);
    case REDIRECT(PATH_REWRITE_SPECIFIER_REGEX_REWRITE):
        return decode_rewrite(r, AT(at, "regex_rewrite"), from->regex_rewrite, &ret->path);
    default:
        return 0;
    }
}

static int decode_respond(struct reader *r, const struct place *at, const Respond *from,
                          struct route_respond *ret)
{
    struct text body = {"", 0};
    if (from->status < 200 || from->status > 599)
        return place_refuse(AT(at, "status"), r->why, "is not in 200 to 599");
    ret->status = (uint16_t)from->status;
    if (from->body &&
        from->body->specifier_case == ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER_INLINE_BYTES)
        body = (struct text){(const char *)from->body->inline_bytes.data,
                             from->body->inline_bytes.len};
    else if (from->body && from->body->specifier_case ==
                               ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER_INLINE_STRING)
        body = text_of(from->body->inline_string);
    ret->body = arena_text(r->arena, body);
    return ret->body.data ? 0 : decode_no_memory(r);
}

static int decode_kind(struct reader *r, const struct place *at, const Route *from,
                       struct route_action *ret)
{
    switch (from->action_case) {
    case ENVOY__CONFIG__ROUTE__V3__ROUTE__ACTION_ROUTE:
        ret->kind = ROUTE_FORWARD;
        return decode_action(r, AT(at, "route"), from->route, &ret->forward);
    case ENVOY__CONFIG__ROUTE__V3__ROUTE__ACTION_REDIRECT:
        ret->kind = ROUTE_REDIRECT;
        return decode_redirect(r, AT(at, "redirect"), from->redirect, &ret->redirect);
    case ENVOY__CONFIG__ROUTE__V3__ROUTE__ACTION_DIRECT_RESPONSE:
        ret->kind = ROUTE_RESPOND;
        return decode_respond(r, AT(at, "direct_response"), from->direct_response, &ret->respond);
    default:
        return place_refuse(at, r->why, "says no action");
    }
}

static int decode_session(struct reader *r, const struct place *at, const Metadata *from,
                          struct route_forward *ret)
{
    const ProtobufCMessage *message;
    int e = decode_typed_metadata(r, at, from, XDS_SESSION_METADATA,
                                  &weir__traffic__session__descriptor, &message);
    const Weir__Traffic__Session *m = (const Weir__Traffic__Session *)message;
    if (e < 0 || !m)
        return e;
    struct session_policy *s = arena_zero(r->arena, 1, sizeof *s);
    if (!s)
        return decode_no_memory(r);
    *s = (struct session_policy){.header = m->header,
                                 .permanent = m->permanent,
                                 .absolute_ms = m->absolute_timeout_ms,
                                 .idle_ms = m->idle_timeout_ms};
    ret->session = s;
    e = decode_text(r, m->name, &s->name);
    return e < 0 ? e : decode_text(r, m->path, &s->path);
}

static int decode_route(struct reader *r, const struct place *at, const Route *from,
                        struct route *ret)
{
    int e;
    if ((e = decode_text(r, from->name, &ret->name)) < 0 ||
        (e = decode_match(r, AT(at, "match"), from->match, &ret->match)) < 0 ||
        (e = decode_kind(r, at, from, &ret->action)) < 0 ||
        DECODE_EDITS(r, at, from, &ret->action.edits))
        return e;
    for (size_t i = 0; i < from->n_typed_per_filter_config && e == 0; i++)
        e = decode_filter(
            r, AT(AT(at, "typed_per_filter_config"), from->typed_per_filter_config[i]->key),
            from->typed_per_filter_config[i]->value, &ret->action.fault, &ret->action.cors);
    if (e == 0 && ret->action.kind == ROUTE_FORWARD)
        e = decode_cors(r, AT(at, "route.cors"), from->route->cors, &ret->action.cors);
    if (e == 0 && ret->action.kind == ROUTE_FORWARD)
        e = decode_session(r, AT(at, "metadata"), from->metadata, &ret->action.forward);
    return e;
}

static int decode_virtual_host(struct reader *r, const struct place *at, const Host *from,
                               struct virtual_host *ret)
{
    int e;
    if ((e = decode_text(r, from->name, &ret->name)) < 0 ||
        (e = decode_texts(r, AT(at, "domains"), from->domains, from->n_domains, DOMAINS_MAX,
                          &ret->domains, &ret->n_domains)) < 0 ||
        (e = decode_retry(r, AT(at, "retry_policy"), from->retry_policy, &ret->retry)) < 0 ||
        (e = decode_enum(r, AT(at, "require_tls"), (int)from->require_tls, 2)) < 0 ||
        DECODE_EDITS(r, at, from, &ret->edits) ||
        (e = decode_list(r, AT(at, "routes"), from->n_routes, ROUTES_MAX, sizeof *ret->routes,
                         (void **)&ret->routes)) < 0)
        return e;
    ret->n_routes = from->n_routes;
    for (size_t i = 0; i < from->n_routes && e == 0; i++)
        e = decode_route(r, AT_I(at, "routes", i), from->routes[i], &ret->routes[i]);
    for (size_t i = 0; i < from->n_typed_per_filter_config && e == 0; i++)
        e = decode_filter(
            r, AT(AT(at, "typed_per_filter_config"), from->typed_per_filter_config[i]->key),
            from->typed_per_filter_config[i]->value, &ret->fault, &ret->cors);
    if (e == 0)
        e = decode_cors(r, AT(at, "cors"), from->cors, &ret->cors);
    ret->require_tls =
        from->require_tls == ENVOY__CONFIG__ROUTE__V3__VIRTUAL_HOST__TLS_REQUIREMENT_TYPE__ALL
            ? TLS_ALL
        : from->require_tls ==
                ENVOY__CONFIG__ROUTE__V3__VIRTUAL_HOST__TLS_REQUIREMENT_TYPE__EXTERNAL_ONLY
            ? TLS_EXTERNAL_ONLY
            : TLS_NOT_REQUIRED;
    ret->send_attempt_count = from->include_request_attempt_count;
    ret->answer_attempt_count = from->include_attempt_count_in_response;
    return e;
}

static int decode_table(struct reader *r, const Table *from, struct route_table *ret)
{
    int e;
    if (from->validate_clusters && from->validate_clusters->value)
        return place_refuse(AT(NULL, "validate_clusters"), r->why, "is not supported here");
    if ((e = decode_text(r, from->name, &ret->name)) < 0 ||
        DECODE_EDITS(r, NULL, from, &ret->edits) ||
        (e = decode_list(r, AT(NULL, "virtual_hosts"), from->n_virtual_hosts, VIRTUAL_HOSTS_MAX,
                         sizeof *ret->hosts, (void **)&ret->hosts)) < 0)
        return e;
    ret->n_hosts = from->n_virtual_hosts;
    ret->most_specific_edits_win = from->most_specific_header_mutations_wins;
    ret->ignore_port = from->ignore_port_in_host_matching;
    for (size_t i = 0; i < ret->n_hosts && e == 0; i++)
        e = decode_virtual_host(r, AT_I(NULL, "virtual_hosts", i), from->virtual_hosts[i],
                                &ret->hosts[i]);
    return e;
}

int xds_routes_decode(const uint8_t *data, size_t len, struct route_table **ret,
                      char why[static XDS_WHY_MAX])
{
    const ProtobufCMessage *m;
    struct arena scratch;
    struct route_table *made = route_table_new(ROUTE_TABLE_BYTES_MAX);
    if (!made)
        return wire_no_memory(why);
    arena_init(&scratch, wire_space(len, GROWTH));
    struct reader r = {&made->arena, &scratch, why};
    int e = wire_unpack_strictly(&envoy__config__route__v3__route_configuration__descriptor, data,
                                 len, &scratch, NULL, &m, why);
    if (e == 0)
        e = decode_table(&r, (const Table *)m, made);
    if (e == 0)
        e = route_table_finish(made, why);
    arena_done(&scratch);
    if (e < 0) {
        route_table_unref(made);
        return e;
    }
    *ret = made;
    return 0;
}
