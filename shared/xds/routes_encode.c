#include "cors.pb-c.h"
#include "fault.pb-c.h"
#include "shared/xds/retry_words.h"
#include "shared/xds/route_codec.h"
#include "shared/xds/routing.h"
#include "weir_traffic.pb-c.h"

#include <errno.h>

typedef Envoy__Config__Route__V3__RouteConfiguration Table;
typedef Envoy__Config__Route__V3__VirtualHost Host;
typedef Envoy__Config__Route__V3__Route Route;
typedef Envoy__Config__Route__V3__RouteAction Action;
typedef Envoy__Config__Route__V3__RetryPolicy Retry;
typedef Envoy__Config__Core__V3__HeaderValueOption HeaderOption;
typedef Envoy__Type__Matcher__V3__RegexMatchAndSubstitute Rewrite;

#define RDS(name)   envoy__config__route__v3__##name##__descriptor
#define CORE(name)  envoy__config__core__v3__##name##__descriptor
#define MATCH(name) envoy__type__matcher__v3__##name##__descriptor

/* ---- Edits ---------------------------------------------------------------------------------- */

/* Where this character means more than itself unless it stands twice. */
static char *encode_doubled(struct writer *w, struct text value, char c)
{
    size_t n = 0;
    char *out = encode_list(w, 2 * value.len + 1, 1);
    for (size_t i = 0; out && i < value.len; i++) {
        if (value.data[i] == c)
            out[n++] = c;
        out[n++] = value.data[i];
    }
    return out;
}

static HeaderOption **encode_puts(struct writer *w, const struct header_edits *from)
{
    HeaderOption **list = encode_list(w, from->n_put, sizeof *list);
    for (size_t i = 0; list && i < from->n_put; i++) {
        if (!(list[i] = encode_message(w, &CORE(header_value_option))) ||
            !(list[i]->header = encode_message(w, &CORE(header_value))))
            return NULL;
        list[i]->header->key = encode_text(w, from->put[i].name);
        list[i]->header->value = encode_doubled(w, from->put[i].value, '%'); /* a format */
        list[i]->append_action = (int)from->put[i].kind;
        list[i]->keep_empty_value = from->put[i].value.len == 0;
    }
    return list;
}

#define ENCODE_EDITS(w, edits, m)                                                                  \
    do {                                                                                           \
        (m)->request_headers_to_add = encode_puts((w), &(edits)->request);                         \
        (m)->n_request_headers_to_add = (edits)->request.n_put;                                    \
        (m)->request_headers_to_remove =                                                           \
            encode_texts((w), (edits)->request.remove, (edits)->request.n_remove);                 \
        (m)->n_request_headers_to_remove = (edits)->request.n_remove;                              \
        (m)->response_headers_to_add = encode_puts((w), &(edits)->response);                       \
        (m)->n_response_headers_to_add = (edits)->response.n_put;                                  \
        (m)->response_headers_to_remove =                                                          \
            encode_texts((w), (edits)->response.remove, (edits)->response.n_remove);               \
        (m)->n_response_headers_to_remove = (edits)->response.n_remove;                            \
    } while (0)

/* ---- Forwarding ----------------------------------------------------------------------------- */

static Rewrite *encode_rewrite(struct writer *w, struct text pattern, char *substitution)
{
    Rewrite *m = encode_message(w, &MATCH(regex_match_and_substitute));
    if (!m)
        return NULL;
    m->pattern = encode_regex(w, pattern);
    m->substitution = substitution;
    return m;
}

static void encode_path(struct writer *w, const struct path_rewrite *from, Action *m)
{
    if (from->kind == REWRITE_PREFIX)
        m->prefix_rewrite = encode_text(w, from->value);
    else if (from->kind == REWRITE_REGEX)
        m->regex_rewrite = encode_rewrite(w, from->pattern, encode_text(w, from->value));
    else if (from->kind == REWRITE_WHOLE)
        m->regex_rewrite =
            encode_rewrite(w, TEXT(XDS_WHOLE_PATH), encode_doubled(w, from->value, '\\'));
}

static void encode_host(struct writer *w, const struct host_rewrite *from, Action *m)
{
    switch (from->kind) {
    case HOST_KEEP:
        break;
    case HOST_LITERAL:
        m->host_rewrite_specifier_case =
            ENVOY__CONFIG__ROUTE__V3__ROUTE_ACTION__HOST_REWRITE_SPECIFIER_HOST_REWRITE_LITERAL;
        m->host_rewrite_literal = encode_text(w, from->value);
        break;
    case HOST_OF_ENDPOINT:
        m->host_rewrite_specifier_case =
            ENVOY__CONFIG__ROUTE__V3__ROUTE_ACTION__HOST_REWRITE_SPECIFIER_AUTO_HOST_REWRITE;
        m->auto_host_rewrite = encode_bool(w, true);
        break;
    case HOST_OF_HEADER:
        m->host_rewrite_specifier_case =
            ENVOY__CONFIG__ROUTE__V3__ROUTE_ACTION__HOST_REWRITE_SPECIFIER_HOST_REWRITE_HEADER;
        m->host_rewrite_header = encode_text(w, from->value);
        break;
    }
    m->append_x_forwarded_host = from->append_forwarded;
}

static bool has_edits(const struct message_edits *e)
{
    return e->request.n_put + e->request.n_remove + e->response.n_put + e->response.n_remove > 0;
}

static void encode_weighted(struct writer *w, const struct route_forward *from, Action *m)
{
    typedef Envoy__Config__Route__V3__WeightedCluster__ClusterWeight Weight;
    Envoy__Config__Route__V3__WeightedCluster *split = encode_message(w, &RDS(weighted_cluster));
    Weight **list = encode_list(w, from->n_backends, sizeof *list);
    uint64_t total = 0;
    if (!split || !list)
        return;
    for (size_t i = 0; i < from->n_backends; i++) {
        const struct route_backend *b = &from->backends[i];
        if (!(list[i] = encode_message(w, &RDS(weighted_cluster__cluster_weight))))
            return;
        list[i]->name = encode_text(w, b->cluster);
        list[i]->cluster_header = encode_text(w, b->cluster_header);
        list[i]->weight = encode_u32(w, b->weight);
        total += b->weight;
        encode_add_metadata(w, &list[i]->metadata_match, XDS_LB_METADATA, b->subset, b->n_subset);
        ENCODE_EDITS(w, &b->edits, list[i]);
        if (b->host.len) {
            list[i]->host_rewrite_specifier_case =
                ENVOY__CONFIG__ROUTE__V3__WEIGHTED_CLUSTER__CLUSTER_WEIGHT__HOST_REWRITE_SPECIFIER_HOST_REWRITE_LITERAL;
            list[i]->host_rewrite_literal = encode_text(w, b->host);
        }
    }
    split->clusters = list;
    split->n_clusters = from->n_backends;
    if (total <= UINT32_MAX) /* by Envoy's rules it can't be more */
        split->total_weight = encode_u32(w, (uint32_t)total);
    m->cluster_specifier_case =
        ENVOY__CONFIG__ROUTE__V3__ROUTE_ACTION__CLUSTER_SPECIFIER_WEIGHTED_CLUSTERS;
    m->weighted_clusters = split;
}

/* One backend with nothing of its own is said without weights. */
static void encode_backends(struct writer *w, const struct route_forward *from, Action *m)
{
    const struct route_backend *b = from->backends;
    if (from->n_backends != 1 || b->weight != 1 || b->host.len || has_edits(&b->edits)) {
        encode_weighted(w, from, m);
        return;
    }
    encode_add_metadata(w, &m->metadata_match, XDS_LB_METADATA, b->subset, b->n_subset);
    if (b->cluster_header.len) {
        m->cluster_specifier_case =
            ENVOY__CONFIG__ROUTE__V3__ROUTE_ACTION__CLUSTER_SPECIFIER_CLUSTER_HEADER;
        m->cluster_header = encode_text(w, b->cluster_header);
        return;
    }
    m->cluster_specifier_case = ENVOY__CONFIG__ROUTE__V3__ROUTE_ACTION__CLUSTER_SPECIFIER_CLUSTER;
    m->cluster = encode_text(w, b->cluster);
}

static Retry *encode_retry(struct writer *w, const struct retry_policy *from)
{
    char words[RETRY_WORDS_MAX];
    Retry *m = from ? encode_message(w, &RDS(retry_policy)) : NULL;
    uint32_t *codes = from ? encode_list(w, from->n_status_codes, sizeof *codes) : NULL;
    if (!m || (from->n_status_codes && !codes))
        return NULL;
    retry_words(from->on, words);
    m->retry_on = encode_text(w, text_of(words));
    m->num_retries = encode_u32(w, from->retries_max);
    if (from->per_try_timeout_ms)
        m->per_try_timeout = encode_duration(w, from->per_try_timeout_ms);
    if (from->per_try_idle_timeout_ms)
        m->per_try_idle_timeout = encode_duration(w, from->per_try_idle_timeout_ms);
    for (size_t i = 0; i < from->n_status_codes; i++)
        codes[i] = from->status_codes[i];
    m->retriable_status_codes = codes;
    m->n_retriable_status_codes = from->n_status_codes;
    m->retriable_headers = encode_header_matches(w, from->headers, from->n_headers);
    m->n_retriable_headers = from->n_headers;
    m->retriable_request_headers =
        encode_header_matches(w, from->request_headers, from->n_request_headers);
    m->n_retriable_request_headers = from->n_request_headers;
    if (from->backoff_base_ms &&
        (m->retry_back_off = encode_message(w, &RDS(retry_policy__retry_back_off)))) {
        m->retry_back_off->base_interval = encode_duration(w, from->backoff_base_ms);
        if (from->backoff_max_ms)
            m->retry_back_off->max_interval = encode_duration(w, from->backoff_max_ms);
    }
    m->host_selection_retry_max_attempts = from->choices_max;
    if (!from->avoid_tried)
        return m;
    m->retry_host_predicate = encode_list(w, 1, sizeof(void *));
    if (!m->retry_host_predicate ||
        !(m->retry_host_predicate[0] = encode_message(w, &RDS(retry_policy__retry_host_predicate))))
        return NULL;
    m->n_retry_host_predicate = 1;
    m->retry_host_predicate[0]->name = encode_text(w, TEXT(XDS_PREVIOUS_HOSTS));
    return m;
}

static void encode_mirrors(struct writer *w, const struct route_forward *from, Action *m)
{
    typedef Envoy__Config__Route__V3__RouteAction__RequestMirrorPolicy Mirror;
    Mirror **list = encode_list(w, from->n_mirrors, sizeof *list);
    for (size_t i = 0; list && i < from->n_mirrors; i++) {
        if (!(list[i] = encode_message(w, &RDS(route_action__request_mirror_policy))) ||
            !(list[i]->runtime_fraction = encode_message(w, &CORE(runtime_fractional_percent))))
            return;
        list[i]->cluster = encode_text(w, from->mirrors[i].cluster);
        list[i]->runtime_fraction->default_value = encode_fraction(w, from->mirrors[i].fraction);
        list[i]->disable_shadow_host_suffix_append = from->mirrors[i].keep_host;
        list[i]->host_rewrite_literal = encode_text(w, from->mirrors[i].host);
    }
    m->request_mirror_policies = list;
    m->n_request_mirror_policies = list ? from->n_mirrors : 0;
}

typedef Envoy__Config__Route__V3__RouteAction__HashPolicy Hash;

static Hash *encode_hash(struct writer *w, const struct hash_policy *from)
{
    Hash *m = encode_message(w, &RDS(route_action__hash_policy));
    if (!m)
        return NULL;
    m->terminal = from->terminal;
    switch (from->source) {
    case HASH_HEADER:
        m->policy_specifier_case =
            ENVOY__CONFIG__ROUTE__V3__ROUTE_ACTION__HASH_POLICY__POLICY_SPECIFIER_HEADER;
        if (!(m->header = encode_message(w, &RDS(route_action__hash_policy__header))))
            return NULL;
        m->header->header_name = encode_text(w, from->name);
        if (from->regex.kind == REWRITE_REGEX)
            m->header->regex_rewrite =
                encode_rewrite(w, from->regex.pattern, encode_text(w, from->regex.value));
        break;
    case HASH_COOKIE:
        m->policy_specifier_case =
            ENVOY__CONFIG__ROUTE__V3__ROUTE_ACTION__HASH_POLICY__POLICY_SPECIFIER_COOKIE;
        if (!(m->cookie = encode_message(w, &RDS(route_action__hash_policy__cookie))))
            return NULL;
        m->cookie->name = encode_text(w, from->name);
        m->cookie->path = encode_text(w, from->cookie_path);
        if (from->make_cookie)
            m->cookie->ttl = encode_duration(w, from->cookie_ttl_ms);
        break;
    case HASH_SOURCE_IP:
        m->policy_specifier_case =
            ENVOY__CONFIG__ROUTE__V3__ROUTE_ACTION__HASH_POLICY__POLICY_SPECIFIER_CONNECTION_PROPERTIES;
        if (!(m->connection_properties =
                  encode_message(w, &RDS(route_action__hash_policy__connection_properties))))
            return NULL;
        m->connection_properties->source_ip = true;
        break;
    case HASH_QUERY:
        m->policy_specifier_case =
            ENVOY__CONFIG__ROUTE__V3__ROUTE_ACTION__HASH_POLICY__POLICY_SPECIFIER_QUERY_PARAMETER;
        if (!(m->query_parameter =
                  encode_message(w, &RDS(route_action__hash_policy__query_parameter))))
            return NULL;
        m->query_parameter->name = encode_text(w, from->name);
        break;
    }
    return m;
}

static void encode_hashes(struct writer *w, const struct route_forward *from, Action *m)
{
    Hash **list = encode_list(w, from->n_hashes, sizeof *list);
    for (size_t i = 0; list && i < from->n_hashes; i++)
        if (!(list[i] = encode_hash(w, &from->hashes[i])))
            return;
    m->hash_policy = list;
    m->n_hash_policy = list ? from->n_hashes : 0;
}

static void encode_upgrades(struct writer *w, const struct route_forward *from, Action *m)
{
    Envoy__Config__Route__V3__RouteAction__UpgradeConfig **list =
        encode_list(w, from->n_upgrades, sizeof *list);
    for (size_t i = 0; list && i < from->n_upgrades; i++) {
        if (!(list[i] = encode_message(w, &RDS(route_action__upgrade_config))))
            return;
        list[i]->upgrade_type = encode_text(w, from->upgrades[i]);
    }
    m->upgrade_configs = list;
    m->n_upgrade_configs = list ? from->n_upgrades : 0;
}

static void encode_times(struct writer *w, const struct route_forward *from, Action *m)
{
    m->timeout = encode_duration(w, from->timeout_ms); /* not said, it were 15 s */
    if (from->idle_timeout_ms)
        m->idle_timeout = encode_duration(w, from->idle_timeout_ms);
    if (!from->max_stream_duration_ms && !from->grpc_timeout)
        return;
    m->max_stream_duration = encode_message(w, &RDS(route_action__max_stream_duration));
    if (!m->max_stream_duration)
        return;
    if (from->max_stream_duration_ms)
        m->max_stream_duration->max_stream_duration =
            encode_duration(w, from->max_stream_duration_ms);
    if (!from->grpc_timeout)
        return;
    m->max_stream_duration->grpc_timeout_header_max = encode_duration(w, from->grpc_timeout_max_ms);
    if (from->grpc_timeout_offset_ms)
        m->max_stream_duration->grpc_timeout_header_offset =
            encode_duration(w, from->grpc_timeout_offset_ms);
}

static Action *encode_forward(struct writer *w, const struct route_forward *from)
{
    Action *m = encode_message(w, &RDS(route_action));
    if (!m)
        return NULL;
    encode_backends(w, from, m);
    m->cluster_not_found_response_code = from->no_cluster_status == 404   ? 1
                                         : from->no_cluster_status == 500 ? 2
                                                                          : 0;
    encode_path(w, &from->path, m);
    encode_host(w, &from->host, m);
    encode_times(w, from, m);
    m->retry_policy = encode_retry(w, from->retry);
    encode_mirrors(w, from, m);
    encode_hashes(w, from, m);
    encode_upgrades(w, from, m);
    m->priority = from->high_priority ? ENVOY__CONFIG__CORE__V3__ROUTING_PRIORITY__HIGH
                                      : ENVOY__CONFIG__CORE__V3__ROUTING_PRIORITY__DEFAULT;
    return m;
}

/* ---- Answers of our own --------------------------------------------------------------------- */

static Envoy__Config__Route__V3__RedirectAction *encode_redirect(struct writer *w,
                                                                 const struct route_redirect *from)
{
    Envoy__Config__Route__V3__RedirectAction *m = encode_message(w, &RDS(redirect_action));
    if (!m)
        return NULL;
    if (from->https) {
        m->scheme_rewrite_specifier_case =
            ENVOY__CONFIG__ROUTE__V3__REDIRECT_ACTION__SCHEME_REWRITE_SPECIFIER_HTTPS_REDIRECT;
        m->https_redirect = true;
    } else if (from->scheme.len) {
        m->scheme_rewrite_specifier_case =
            ENVOY__CONFIG__ROUTE__V3__REDIRECT_ACTION__SCHEME_REWRITE_SPECIFIER_SCHEME_REDIRECT;
        m->scheme_redirect = encode_text(w, from->scheme);
    }
    m->host_redirect = encode_text(w, from->host);
    m->port_redirect = from->port;
    m->strip_query = from->strip_query;
    m->response_code = from->status == 302   ? 1
                       : from->status == 303 ? 2
                       : from->status == 307 ? 3
                       : from->status == 308 ? 4
                                             : 0;
    switch (from->path.kind) {
    case REWRITE_NONE:
        break;
    case REWRITE_WHOLE:
        m->path_rewrite_specifier_case =
            ENVOY__CONFIG__ROUTE__V3__REDIRECT_ACTION__PATH_REWRITE_SPECIFIER_PATH_REDIRECT;
        m->path_redirect = encode_text(w, from->path.value);
        break;
    case REWRITE_PREFIX:
        m->path_rewrite_specifier_case =
            ENVOY__CONFIG__ROUTE__V3__REDIRECT_ACTION__PATH_REWRITE_SPECIFIER_PREFIX_REWRITE;
        m->prefix_rewrite = encode_text(w, from->path.value);
        break;
    case REWRITE_REGEX:
        m->path_rewrite_specifier_case =
            ENVOY__CONFIG__ROUTE__V3__REDIRECT_ACTION__PATH_REWRITE_SPECIFIER_REGEX_REWRITE;
        m->regex_rewrite = encode_rewrite(w, from->path.pattern, encode_text(w, from->path.value));
        break;
    }
    return m;
}

static Envoy__Config__Route__V3__DirectResponseAction *
encode_respond(struct writer *w, const struct route_respond *from)
{
    Envoy__Config__Route__V3__DirectResponseAction *m =
        encode_message(w, &RDS(direct_response_action));
    if (!m)
        return NULL;
    m->status = from->status;
    if (from->body.len && (m->body = encode_message(w, &CORE(data_source)))) {
        m->body->specifier_case = ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER_INLINE_BYTES;
        m->body->inline_bytes.data = (uint8_t *)encode_text(w, from->body);
        m->body->inline_bytes.len = from->body.len;
    }
    return m;
}

/* ---- Filters -------------------------------------------------------------------------------- */

static Google__Protobuf__Any *encode_fault(struct writer *w, const struct fault *from)
{
    Envoy__Extensions__Filters__Http__Fault__V3__HTTPFault *m =
        encode_message(w, &envoy__extensions__filters__http__fault__v3__httpfault__descriptor);
    if (!m)
        return NULL;
    if (from->delay_ms &&
        (m->delay = encode_message(
             w, &envoy__extensions__filters__common__fault__v3__fault_delay__descriptor))) {
        m->delay->fault_delay_secifier_case =
            ENVOY__EXTENSIONS__FILTERS__COMMON__FAULT__V3__FAULT_DELAY__FAULT_DELAY_SECIFIER_FIXED_DELAY;
        m->delay->fixed_delay = encode_duration(w, from->delay_ms);
        m->delay->percentage = encode_fraction(w, from->delay);
    }
    if ((from->abort_status || from->abort_grpc) &&
        (m->abort = encode_message(
             w, &envoy__extensions__filters__http__fault__v3__fault_abort__descriptor))) {
        m->abort->percentage = encode_fraction(w, from->abort);
        if (from->abort_status) {
            m->abort->error_type_case =
                ENVOY__EXTENSIONS__FILTERS__HTTP__FAULT__V3__FAULT_ABORT__ERROR_TYPE_HTTP_STATUS;
            m->abort->http_status = from->abort_status;
        } else {
            m->abort->error_type_case =
                ENVOY__EXTENSIONS__FILTERS__HTTP__FAULT__V3__FAULT_ABORT__ERROR_TYPE_GRPC_STATUS;
            m->abort->grpc_status = from->abort_grpc;
        }
    }
    m->upstream_cluster = encode_text(w, from->cluster);
    m->headers = encode_header_matches(w, from->headers, from->n_headers);
    m->n_headers = from->n_headers;
    if (from->active_max)
        m->max_active_faults = encode_u32(w, from->active_max);
    return encode_any(w, &m->base);
}

static Google__Protobuf__Any *encode_cors(struct writer *w, const struct cors *from)
{
    Envoy__Extensions__Filters__Http__Cors__V3__CorsPolicy *m =
        encode_message(w, &envoy__extensions__filters__http__cors__v3__cors_policy__descriptor);
    StringMatcher **origins = encode_list(w, from->n_origins, sizeof *origins);
    if (!m || (from->n_origins && !origins))
        return NULL;
    for (size_t i = 0; i < from->n_origins; i++)
        if (!(origins[i] = encode_string_match(w, &from->origins[i])))
            return NULL;
    m->allow_origin_string_match = origins;
    m->n_allow_origin_string_match = from->n_origins;
    m->allow_methods = encode_text(w, from->methods);
    m->allow_headers = encode_text(w, from->headers);
    m->expose_headers = encode_text(w, from->expose_headers);
    m->max_age = encode_text(w, from->max_age);
    m->allow_credentials = encode_bool(w, from->credentials);
    m->forward_not_matching_preflights = encode_bool(w, from->forward_unmatched_preflights);
    return encode_any(w, &m->base);
}

/* Both messages' entries of typed_per_filter_config have the same shape, and not the same type. */
#define ENCODE_FILTERS(w, fault, cors, m, Entry, type)                                             \
    do {                                                                                           \
        Entry **entries = encode_list((w), 2, sizeof *entries);                                    \
        if (entries && (fault) &&                                                                  \
            (entries[(m)->n_typed_per_filter_config] = encode_message((w), (type)))) {             \
            Entry *e = entries[(m)->n_typed_per_filter_config++];                                  \
            e->key = encode_text((w), TEXT(XDS_FAULT_FILTER));                                     \
            e->value = encode_fault((w), (fault));                                                 \
        }                                                                                          \
        if (entries && (cors) &&                                                                   \
            (entries[(m)->n_typed_per_filter_config] = encode_message((w), (type)))) {             \
            Entry *e = entries[(m)->n_typed_per_filter_config++];                                  \
            e->key = encode_text((w), TEXT(XDS_CORS_FILTER));                                      \
            e->value = encode_cors((w), (cors));                                                   \
        }                                                                                          \
        (m)->typed_per_filter_config = entries;                                                    \
    } while (0)

/* ---- The whole ------------------------------------------------------------------------------ */

static Metadata *encode_session(struct writer *w, const struct session_policy *from)
{
    Weir__Traffic__Session *m = encode_message(w, &weir__traffic__session__descriptor);
    if (!m)
        return NULL;
    m->header = from->header;
    m->name = encode_text(w, from->name);
    m->path = encode_text(w, from->path);
    m->permanent = from->permanent;
    m->absolute_timeout_ms = from->absolute_ms;
    m->idle_timeout_ms = from->idle_ms;
    return encode_typed_metadata(w, XDS_SESSION_METADATA, &m->base);
}

static Route *encode_route(struct writer *w, const struct route *from)
{
    Route *m = encode_message(w, &RDS(route));
    if (!m)
        return NULL;
    m->name = encode_text(w, from->name);
    m->match = encode_match(w, &from->match);
    switch (from->action.kind) {
    case ROUTE_FORWARD:
        m->action_case = ENVOY__CONFIG__ROUTE__V3__ROUTE__ACTION_ROUTE;
        m->route = encode_forward(w, &from->action.forward);
        if (from->action.forward.session)
            m->metadata = encode_session(w, from->action.forward.session);
        break;
    case ROUTE_REDIRECT:
        m->action_case = ENVOY__CONFIG__ROUTE__V3__ROUTE__ACTION_REDIRECT;
        m->redirect = encode_redirect(w, &from->action.redirect);
        break;
    case ROUTE_RESPOND:
        m->action_case = ENVOY__CONFIG__ROUTE__V3__ROUTE__ACTION_DIRECT_RESPONSE;
        m->direct_response = encode_respond(w, &from->action.respond);
        break;
    }
    ENCODE_EDITS(w, &from->action.edits, m);
    if (from->action.fault || from->action.cors)
        ENCODE_FILTERS(w, from->action.fault, from->action.cors, m,
                       Envoy__Config__Route__V3__Route__TypedPerFilterConfigEntry,
                       &RDS(route__typed_per_filter_config_entry));
    return m;
}

static Host *encode_virtual_host(struct writer *w, const struct virtual_host *from)
{
    Host *m = encode_message(w, &RDS(virtual_host));
    Route **list = encode_list(w, from->n_routes, sizeof *list);
    if (!m || (from->n_routes && !list))
        return NULL;
    m->name = encode_text(w, from->name);
    m->domains = encode_texts(w, from->domains, from->n_domains);
    m->n_domains = from->n_domains;
    for (size_t i = 0; i < from->n_routes; i++)
        if (!(list[i] = encode_route(w, &from->routes[i])))
            return NULL;
    m->routes = list;
    m->n_routes = from->n_routes;
    ENCODE_EDITS(w, &from->edits, m);
    m->retry_policy = encode_retry(w, from->retry);
    if (from->fault || from->cors)
        ENCODE_FILTERS(w, from->fault, from->cors, m,
                       Envoy__Config__Route__V3__VirtualHost__TypedPerFilterConfigEntry,
                       &RDS(virtual_host__typed_per_filter_config_entry));
    m->require_tls =
        from->require_tls == TLS_EXTERNAL_ONLY
            ? ENVOY__CONFIG__ROUTE__V3__VIRTUAL_HOST__TLS_REQUIREMENT_TYPE__EXTERNAL_ONLY
        : from->require_tls == TLS_ALL
            ? ENVOY__CONFIG__ROUTE__V3__VIRTUAL_HOST__TLS_REQUIREMENT_TYPE__ALL
            : ENVOY__CONFIG__ROUTE__V3__VIRTUAL_HOST__TLS_REQUIREMENT_TYPE__NONE;
    m->include_request_attempt_count = from->send_attempt_count;
    m->include_attempt_count_in_response = from->answer_attempt_count;
    return m;
}

static Table *encode_table(struct writer *w, const struct route_table *from)
{
    Table *m = encode_message(w, &RDS(route_configuration));
    Host **list = encode_list(w, from->n_hosts, sizeof *list);
    if (!m || (from->n_hosts && !list))
        return NULL;
    m->name = encode_text(w, from->name);
    for (size_t i = 0; i < from->n_hosts; i++)
        if (!(list[i] = encode_virtual_host(w, &from->hosts[i])))
            return NULL;
    m->virtual_hosts = list;
    m->n_virtual_hosts = from->n_hosts;
    ENCODE_EDITS(w, &from->edits, m);
    m->most_specific_header_mutations_wins = from->most_specific_edits_win;
    m->ignore_port_in_host_matching = from->ignore_port;
    return m;
}

int xds_routes_encode(const struct route_table *from, struct xds_bytes *ret)
{
    enum { SPACE_MAX = 64 * 1024 * 1024 };
    struct arena arena;
    struct writer w = {&arena, false};
    struct xds_bytes made;
    arena_init(&arena, SPACE_MAX);
    Table *m = encode_table(&w, from);
    int e = arena.full ? -E2BIG : 0;
    int r = encode_done(&w, m ? &m->base : NULL, &made);
    if (r < 0)
        return e ? e : r;
    if (made.len > XDS_ROUTES_BYTES_MAX) {
        xds_bytes_done(&made);
        return -E2BIG;
    }
    *ret = made;
    return 0;
}
