#include "controller/model/traffic_read.h"
#include "shared/http/http_grammar.h"
#include <math.h>
#include <stdio.h>

enum { MILLIONS = 1000000, CHOICES_MAX = 5, SPLIT_WEIGHT_MAX = INT32_MAX };

/* ---- Headers -------------------------------------------------------------------------------- */

/* Envoy's operators are not ours: "%%" is a "%", and one alone is refused. */
static struct text literal(struct reader *r, struct gateway_flaw *f, const struct json *j)
{
    struct text t = json_text(j);
    char *copy = read_array(r, t.len + 1, 1);
    size_t n = 0;
    for (size_t i = 0; copy && i < t.len; i++) {
        if (t.data[i] == '%' && (i + 1 == t.len || t.data[++i] != '%')) {
            traffic_flaw(r, f, j, "has a '%%': Envoy's operators are not supported; a %% is %%%%");
            return TEXT("");
        }
        copy[n++] = t.data[i];
    }
    if (!http_is_field_value(t))
        traffic_flaw(r, f, j, "can't stand in a header");
    return copy ? (struct text){copy, n} : TEXT("");
}

static bool is_authority(struct text name)
{
    return text_equal_nocase(name, TEXT("host")) || text_equal(name, TEXT(":authority"));
}

/* `authority` is where a host that is set goes; NULL: of an answer, which has none. */
static void read_puts(struct reader *r, struct gateway_flaw *f, const struct json *map,
                      enum header_edit_kind kind, struct header_edits *e, struct text *authority)
{
    json_for_each (j, map) {
        struct text name = traffic_lower(r, json_name(j));
        if (!json_is(j, JSON_STRING)) {
            read_fail(r, j, "must be a string");
            return;
        }
        if (authority && is_authority(name)) {
            if (kind == HEADER_SET || authority->len == 0)
                *authority = literal(r, f, j);
        } else if (!header_may_be_edited(name))
            traffic_flaw(r, f, j, "is no header that can be changed");
        else
            e->put[e->n_put++] = (struct header_edit){kind, name, literal(r, f, j)};
    }
}

static void read_edits(struct reader *r, struct gateway_flaw *f, const struct json *of,
                       const char *name, struct header_edits *e, struct text *authority)
{
    static const char *const known[] = {"set", "add", "remove", NULL};
    const struct json *j = read_object(r, of, name);
    const struct json *set = read_object(r, j, "set"), *add = read_object(r, j, "add");
    const struct json *remove = read_list(r, j, "remove", VIRTUAL_ITEMS_MAX);
    gateway_known(r, f, j, known);
    if (json_count(set) + json_count(add) > VIRTUAL_ITEMS_MAX) {
        traffic_flaw(r, f, j, "has more than %d headers", VIRTUAL_ITEMS_MAX);
        return;
    }
    *e = (struct header_edits){.put =
                                   read_array(r, json_count(set) + json_count(add), sizeof *e->put),
                               .remove = read_array(r, json_count(remove), sizeof *e->remove)};
    if (r->no_memory)
        return;
    if (authority)
        *authority = TEXT("");
    read_puts(r, f, set, HEADER_SET, e, authority);
    struct text added = authority ? *authority : TEXT("");
    read_puts(r, f, add, HEADER_APPEND, e, authority ? &added : NULL);
    if (authority && authority->len == 0)
        *authority = added;
    json_for_each (item, remove) {
        struct text field = traffic_lower(r, json_text(item));
        if (!header_may_be_edited(field))
            traffic_flaw(r, f, item, "is no header that can be changed");
        else
            e->remove[e->n_remove++] = field;
    }
}

static struct message_edits read_headers(struct reader *r, struct gateway_flaw *f,
                                         const struct json *of, struct text *authority)
{
    static const char *const known[] = {"request", "response", NULL};
    const struct json *j = read_object(r, of, "headers");
    struct message_edits edits = {0};
    gateway_known(r, f, j, known);
    *authority = TEXT("");
    read_edits(r, f, j, "request", &edits.request, authority);
    read_edits(r, f, j, "response", &edits.response, NULL);
    if (authority->len > 0 && !http_is_authority(*authority))
        traffic_flaw(r, f, j, "'%.60s' is no host", authority->data);
    return edits;
}

/* ---- Destinations --------------------------------------------------------------------------- */

static struct virtual_destination read_destination(struct reader *r, struct gateway_flaw *f,
                                                   const struct json *j)
{
    static const char *const known[] = {"host", "subset", "port", NULL};
    gateway_known(r, f, j, known);
    struct virtual_destination d = {.host = traffic_host(r, f, read_member(j, "host")),
                                    .subset = read_string(r, j, "subset"),
                                    .port = traffic_port(r, f, j),
                                    .field = gateway_field(r, j)};
    if (d.subset[0] && name_check_subdomain(text_of(d.subset)))
        traffic_flaw(r, f, read_member(j, "subset"), "'%.60s' is no name", d.subset);
    if (!d.host[0] || d.host[0] == '*')
        traffic_flaw(r, f, j, "host is missing or no precise name");
    return d;
}

static void read_backends(struct reader *r, const struct json *list, struct virtual_rule *rule)
{
    static const char *const known[] = {"destination", "weight", "headers", NULL};
    struct route_forward *forward = &rule->action.forward;
    size_t n = json_count(list);
    struct route_backend *items = read_array(r, n, sizeof *items);
    struct virtual_destination *to = read_array(r, n, sizeof *to);
    uint64_t total = 0;
    forward->backends = items;
    rule->backends = to;
    if (!items || !to)
        return;
    json_for_each (j, list) {
        const struct json *destination = read_object(r, j, "destination");
        if (!destination) {
            read_fail(r, j, "destination is missing");
            return;
        }
        gateway_known(r, &rule->flaw, j, known);
        struct route_backend *b = &items[forward->n_backends];
        to[forward->n_backends++] = read_destination(r, &rule->flaw, destination);
        uint32_t weight = gateway_number(r, j, "weight", SPLIT_WEIGHT_MAX, 0);
        b->weight = n == 1 ? 1 : weight;
        b->edits = read_headers(r, &rule->flaw, j, &b->host);
        total += b->weight;
    }
    if (total == 0 || total > UINT32_MAX)
        traffic_flaw(r, &rule->flaw, list, "the weights come to %llu", (unsigned long long)total);
}

static struct fraction millionths(double percent)
{
    return (struct fraction){(uint32_t)(percent * (MILLIONS / 100) + 1e-6), MILLIONS};
}

/* {"value": 12.5}; absent: `absent` percent */
static struct fraction read_percentage(struct reader *r, struct gateway_flaw *f,
                                       const struct json *of, const char *name, double absent)
{
    static const char *const known[] = {"value", NULL};
    const struct json *j = read_object(r, of, name);
    gateway_known(r, f, j, known);
    return millionths(j ? traffic_number(r, f, j, "value", 0, 100, 0) : absent);
}

static void add_mirror(struct virtual_rule *rule, struct virtual_destination *to,
                       struct virtual_destination destination, struct fraction fraction)
{
    struct route_forward *forward = &rule->action.forward;
    if (fraction.numerator == 0)
        return;
    to[forward->n_mirrors] = destination;
    forward->mirrors[forward->n_mirrors++] = (struct route_mirror){.fraction = fraction};
}

static void read_mirrors(struct reader *r, const struct json *j, struct virtual_rule *rule)
{
    static const char *const known[] = {"destination", "percentage", NULL};
    struct route_forward *forward = &rule->action.forward;
    const struct json *one = read_object(r, j, "mirror");
    const struct json *list = read_list(r, j, "mirrors", VIRTUAL_MIRRORS_MAX);
    size_t n = json_count(list) + (one != NULL);
    struct virtual_destination *to = read_array(r, n, sizeof *to);
    forward->mirrors = read_array(r, n, sizeof *forward->mirrors);
    rule->mirrors = to;
    double whole = gateway_number(r, j, "mirrorPercent", 100, 100);
    whole = gateway_number(r, j, "mirror_percent", 100, (uint32_t)whole);
    struct fraction share = read_percentage(r, &rule->flaw, j, "mirrorPercentage", whole);
    if (!to || !forward->mirrors)
        return;
    if (one)
        add_mirror(rule, to, read_destination(r, &rule->flaw, one), share);
    json_for_each (item, list) {
        const struct json *destination = read_object(r, item, "destination");
        gateway_known(r, &rule->flaw, item, known);
        if (!destination) {
            read_fail(r, item, "destination is missing");
            return;
        }
        add_mirror(rule, to, read_destination(r, &rule->flaw, destination),
                   read_percentage(r, &rule->flaw, item, "percentage", 100));
    }
}

/* ---- Redirect, answer, rewrite -------------------------------------------------------------- */

static void check_path(struct reader *r, struct gateway_flaw *f, const struct json *j,
                       struct text path)
{
    if (path.len > GATEWAY_PATH_MAX || (path.len > 0 && !http_is_path(path)) ||
        text_equal(path, TEXT("*")))
        traffic_flaw(r, f, j, "'%.60s' can't be a path", path.data);
}

static void read_redirect(struct reader *r, const struct json *j, struct virtual_rule *rule)
{
    static const char *const known[] = {"uri",    "authority",    "port", "derivePort",
                                        "scheme", "redirectCode", NULL};
    static const char *const ports[] = {"FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT", NULL};
    struct gateway_flaw *f = &rule->flaw;
    unsigned derive = 0;
    gateway_known(r, f, j, known);
    json_opt_choice(j, "derivePort", ports, &derive, r->error);
    struct route_redirect d = {.scheme = text_of(read_string(r, j, "scheme")),
                               .host = text_of(read_string(r, j, "authority")),
                               .port = read_port(r, j, "port"),
                               .path.value = text_of(read_string(r, j, "uri")),
                               .status = (uint16_t)gateway_number(r, j, "redirectCode", 999, 301)};
    d.path.kind = d.path.value.len > 0 ? REWRITE_WHOLE : REWRITE_NONE;
    d.status = d.status == 0 ? 301 : d.status;
    rule->port_of_request = derive == 1 && d.port == 0;
    check_path(r, f, read_member(j, "uri"), d.path.value);
    if (d.scheme.len > 0 && !text_equal(d.scheme, TEXT("http")) &&
        !text_equal(d.scheme, TEXT("https")))
        traffic_flaw(r, f, read_member(j, "scheme"), "'%.60s' is not one of http, https",
                     d.scheme.data);
    if (d.host.len > 0 && !http_is_authority(d.host))
        traffic_flaw(r, f, read_member(j, "authority"), "'%.60s' is no host", d.host.data);
    if ((d.status < 301 || d.status > 303) && d.status != 307 && d.status != 308)
        traffic_flaw(r, f, read_member(j, "redirectCode"),
                     "%u is not one of 301, 302, 303, 307, 308", d.status);
    rule->action.kind = ROUTE_REDIRECT;
    rule->action.redirect = d;
}

static void read_response(struct reader *r, const struct json *j, struct virtual_rule *rule)
{
    static const char *const known[] = {"status", "body", NULL};
    static const char *const kinds[] = {"string", NULL};
    const struct json *body = read_object(r, j, "body");
    gateway_known(r, &rule->flaw, j, known);
    gateway_known(r, &rule->flaw, body, kinds);
    rule->action.kind = ROUTE_RESPOND;
    rule->action.respond =
        (struct route_respond){.status = (uint16_t)gateway_number(r, j, "status", 999, 0),
                               .body = text_of(read_string(r, body, "string"))};
    if (rule->action.respond.status < 200 || rule->action.respond.status > 599)
        traffic_flaw(r, &rule->flaw, j, "status must be from 200 to 599");
    if (rule->action.respond.body.len > VIRTUAL_BODY_MAX)
        traffic_flaw(r, &rule->flaw, body, "is longer than %d bytes", VIRTUAL_BODY_MAX);
}

static void read_rewrite(struct reader *r, const struct json *j, struct virtual_rule *rule,
                         struct text authority)
{
    static const char *const known[] = {"uri", "authority", "uriRegexRewrite", NULL};
    static const char *const parts[] = {"match", "rewrite", NULL};
    struct gateway_flaw *f = &rule->flaw;
    struct route_forward *forward = &rule->action.forward;
    const struct json *regex = read_object(r, j, "uriRegexRewrite");
    struct text uri = text_of(read_string(r, j, "uri"));
    gateway_known(r, f, j, known);
    gateway_known(r, f, regex, parts);
    check_path(r, f, read_member(j, "uri"), uri);
    if (regex && uri.len > 0)
        traffic_flaw(r, f, j, "uri and uriRegexRewrite can't go together");
    if (regex) {
        forward->path = (struct path_rewrite){.kind = REWRITE_REGEX,
                                              .value = text_of(read_string(r, regex, "rewrite")),
                                              .pattern = text_of(read_string(r, regex, "match"))};
        if (read_member(regex, "match"))
            gateway_regex_check(r, f, read_member(regex, "match"));
        else
            traffic_flaw(r, f, regex, "match is missing");
    } else if (uri.len > 0)
        forward->path = (struct path_rewrite){.kind = REWRITE_PREFIX, .value = uri};
    if (read_member(j, "authority"))
        authority = text_of(read_string(r, j, "authority"));
    if (authority.len > 0 && !http_is_authority(authority))
        traffic_flaw(r, f, read_member(j, "authority"), "'%.60s' is no host", authority.data);
    if (authority.len > 0)
        forward->host = (struct host_rewrite){.kind = HOST_LITERAL, .value = authority};
}

/* ---- Retries -------------------------------------------------------------------------------- */

/* Numbers among the words are statuses. */
static void read_conditions(struct reader *r, struct gateway_flaw *f, const struct json *of,
                            struct retry_policy *p)
{
    char words[GATEWAY_PATH_MAX], why[WHY_MAX];
    struct text_out out = TEXT_OUT(words);
    const struct json *j = read_member(of, "retryOn");
    struct text rest = text_of(read_string(r, of, "retryOn")), word;
    if (rest.len == 0)
        return;
    p->status_codes = read_array(r, VIRTUAL_ITEMS_MAX, sizeof *p->status_codes);
    for (bool more = true; more && p->status_codes;) {
        uint64_t status;
        more = text_split(rest, ',', &word, &rest);
        word = text_trim(more ? word : rest);
        if (word.len == 0)
            continue;
        if (text_to_u64(word, 599, &status) < 0)
            text_printf(&out, "%s%.*s", out.len ? "," : "", (int)word.len, word.data);
        else if (status < 100 || p->n_status_codes == VIRTUAL_ITEMS_MAX)
            traffic_flaw(r, f, j, "has a status below 100, or too many");
        else
            p->status_codes[p->n_status_codes++] = (uint16_t)status;
    }
    p->on = 0;
    if (out.overflow ||
        (out.len > 0 && retry_on_parse((struct text){out.data, out.len}, &p->on, why) < 0))
        traffic_flaw(r, f, j, "%s", out.overflow ? "is too long" : why);
    if (p->n_status_codes > 0)
        p->on |= RETRY_STATUS_CODES;
}

static void read_retries(struct reader *r, const struct json *of, struct virtual_rule *rule)
{
    static const char *const known[] = {"attempts",
                                        "perTryTimeout",
                                        "retryOn",
                                        "retryRemoteLocalities",
                                        "retryIgnorePreviousHosts",
                                        "backoff",
                                        NULL};
    struct gateway_flaw *f = &rule->flaw;
    const struct json *j = read_object(r, of, "retries");
    struct retry_policy *p = j ? read_array(r, 1, sizeof *p) : NULL;
    gateway_known(r, f, j, known);
    rule->retries_said = j != NULL;
    if (!p)
        return;
    uint32_t attempts = gateway_number(r, j, "attempts", RETRIES_MAX, 0);
    *p = (struct retry_policy){
        .on = RETRY_CONNECT_FAILURE | RETRY_REFUSED_STREAM | RETRY_GRPC_UNAVAILABLE |
              RETRY_GRPC_CANCELLED | RETRY_STATUS_CODES,
        .retries_max = attempts,
        .per_try_timeout_ms = traffic_duration(r, f, j, "perTryTimeout", 1, 0),
        .backoff_base_ms = traffic_duration(r, f, j, "backoff", 1, RETRY_BACKOFF_BASE_MS),
        .avoid_tried = read_bool(r, j, "retryIgnorePreviousHosts", true)};
    p->choices_max = p->avoid_tried ? CHOICES_MAX : 0;
    p->backoff_max_ms = RETRY_BACKOFF_FACTOR * p->backoff_base_ms;
    read_conditions(r, f, j, p);
    if (read_bool(r, j, "retryRemoteLocalities", false))
        traffic_flaw(r, f, read_member(j, "retryRemoteLocalities"), "is not supported");
    rule->action.forward.retry = attempts > 0 ? p : NULL;
}

/* ---- Faults and CORS ------------------------------------------------------------------------ */

static void read_abort(struct reader *r, struct gateway_flaw *f, const struct json *j,
                       struct fault *fault)
{
    static const char *const known[] = {"httpStatus", "grpcStatus", "percentage", NULL};
    static const char *const statuses[] = {"OK",
                                           "CANCELLED",
                                           "UNKNOWN",
                                           "INVALID_ARGUMENT",
                                           "DEADLINE_EXCEEDED",
                                           "NOT_FOUND",
                                           "ALREADY_EXISTS",
                                           "PERMISSION_DENIED",
                                           "RESOURCE_EXHAUSTED",
                                           "FAILED_PRECONDITION",
                                           "ABORTED",
                                           "OUT_OF_RANGE",
                                           "UNIMPLEMENTED",
                                           "INTERNAL",
                                           "UNAVAILABLE",
                                           "DATA_LOSS",
                                           "UNAUTHENTICATED",
                                           NULL};
    const struct json *http = read_member(j, "httpStatus"), *grpc = read_member(j, "grpcStatus");
    unsigned status = 0;
    gateway_known(r, f, j, known);
    fault->abort = read_percentage(r, f, j, "percentage", 0);
    fault->abort_status = (uint16_t)gateway_number(r, j, "httpStatus", 999, 0);
    json_opt_choice(j, "grpcStatus", statuses, &status, r->error);
    fault->abort_grpc = (uint16_t)status;
    if (!http == !grpc)
        traffic_flaw(r, f, j, "must have one of httpStatus and grpcStatus");
    if (http && (fault->abort_status < 200 || fault->abort_status > 599))
        traffic_flaw(r, f, http, "must be from 200 to 599");
}

static const struct fault *read_fault(struct reader *r, struct gateway_flaw *f,
                                      const struct json *of)
{
    static const char *const known[] = {"delay", "abort", NULL};
    static const char *const delays[] = {"fixedDelay", "percentage", "percent", NULL};
    const struct json *j = read_object(r, of, "fault");
    const struct json *delay = read_object(r, j, "delay"), *abort = read_object(r, j, "abort");
    struct fault *fault = j ? read_array(r, 1, sizeof *fault) : NULL;
    gateway_known(r, f, j, known);
    gateway_known(r, f, delay, delays);
    if (!fault)
        return NULL;
    if (delay) {
        double whole = gateway_number(r, delay, "percent", 100, 0);
        fault->delay_ms = traffic_duration(r, f, delay, "fixedDelay", 1, 0);
        fault->delay = read_percentage(r, f, delay, "percentage", whole);
        if (!read_member(delay, "fixedDelay"))
            traffic_flaw(r, f, delay, "fixedDelay is missing");
    }
    if (abort)
        read_abort(r, f, abort, fault);
    if (!delay && !abort)
        traffic_flaw(r, f, j, "has neither delay nor abort");
    return fault;
}

static struct text read_names(struct reader *r, struct gateway_flaw *f, const struct json *of,
                              const char *name)
{
    char joined[GATEWAY_PATH_MAX * 4];
    struct text_out out = TEXT_OUT(joined);
    const struct values names = read_strings(r, of, name, VIRTUAL_ITEMS_MAX);
    for (size_t i = 0; i < names.n; i++) {
        if (!http_is_token(text_of(names.items[i]))) /* "*" is one, too */
            traffic_flaw(r, f, read_member(of, name), "'%.60s' is no name", names.items[i]);
        text_printf(&out, "%s%s", i ? "," : "", names.items[i]);
    }
    if (out.overflow)
        traffic_flaw(r, f, read_member(of, name), "is too long");
    return text_of(read_copy(r, (struct text){out.data, out.len}));
}

static void read_origins(struct reader *r, struct gateway_flaw *f, const struct json *j,
                         struct cors *c)
{
    const struct json *list = read_list(r, j, "allowOrigins", VIRTUAL_ITEMS_MAX);
    const struct values old = read_strings(r, j, "allowOrigin", VIRTUAL_ITEMS_MAX);
    c->origins = read_array(r, list ? json_count(list) : old.n, sizeof *c->origins);
    if (!c->origins)
        return;
    json_for_each (item, list) {
        struct text_match m = {.kind = TEXT_REGEX, .value = TEXT(".*")};
        if (traffic_text(r, f, item, &m))
            c->origins[c->n_origins++] = m;
        else
            traffic_flaw(r, f, item, "must be one of exact, prefix and regex");
    }
    for (size_t i = 0; !list && i < old.n; i++) {
        bool any = strcmp(old.items[i], "*") == 0;
        c->origins[c->n_origins++] =
            (struct text_match){.kind = any ? TEXT_REGEX : TEXT_EXACT,
                                .value = any ? TEXT(".*") : text_of(old.items[i])};
    }
}

static const struct cors *read_cors(struct reader *r, struct gateway_flaw *f, const struct json *of)
{
    static const char *const known[] = {"allowOrigin",      "allowOrigins",        "allowMethods",
                                        "allowHeaders",     "exposeHeaders",       "maxAge",
                                        "allowCredentials", "unmatchedPreflights", NULL};
    static const char *const unmatched[] = {"UNSPECIFIED", "FORWARD", "IGNORE", NULL};
    const struct json *j = read_object(r, of, "corsPolicy");
    struct cors *c = j ? read_array(r, 1, sizeof *c) : NULL;
    char age[24];
    unsigned preflights = 0;
    gateway_known(r, f, j, known);
    if (!c)
        return NULL;
    json_opt_choice(j, "unmatchedPreflights", unmatched, &preflights, r->error);
    *c = (struct cors){.methods = read_names(r, f, j, "allowMethods"),
                       .headers = read_names(r, f, j, "allowHeaders"),
                       .expose_headers = read_names(r, f, j, "exposeHeaders"),
                       .max_age = TEXT(""),
                       .credentials = read_bool(r, j, "allowCredentials", false),
                       .forward_unmatched_preflights = preflights != 2};
    read_origins(r, f, j, c);
    uint64_t ms = traffic_duration(r, f, j, "maxAge", 0, 0);
    if (read_member(j, "maxAge")) {
        snprintf(age, sizeof age, "%llu", (unsigned long long)(ms / 1000));
        c->max_age = text_of(read_copy(r, text_of(age)));
    }
    return c;
}

/* ---- All of it ------------------------------------------------------------------------------ */

static void read_forward(struct reader *r, const struct json *j, const struct json *routes,
                         struct text authority, struct virtual_rule *rule)
{
    struct route_forward *forward = &rule->action.forward;
    uint64_t timeout_ms = traffic_duration(r, &rule->flaw, j, "timeout", 0, 0);
    rule->action.kind = ROUTE_FORWARD;
    *forward = (struct route_forward){.no_cluster_status = 503,
                                      .timeout_ms = timeout_ms,
                                      .grpc_timeout = true,
                                      .grpc_timeout_max_ms = timeout_ms,
                                      .upgrades = read_array(r, 1, sizeof *forward->upgrades)};
    if (forward->upgrades)
        forward->upgrades[forward->n_upgrades++] = TEXT("websocket");
    if (routes)
        read_backends(r, routes, rule);
    else
        traffic_flaw(r, &rule->flaw, j, "has none of route, redirect and directResponse");
    read_mirrors(r, j, rule);
    read_rewrite(r, read_object(r, j, "rewrite"), rule, authority);
    read_retries(r, j, rule);
}

/* What the delegate's rules do is all that is done. */
static void read_delegate(struct reader *r, const struct json *j, struct virtual_rule *rule)
{
    static const char *const beside[] = {"name", "match", "delegate", NULL};
    static const char *const known[] = {"name", "namespace", NULL};
    const struct json *d = read_object(r, j, "delegate");
    const char *ns = read_string(r, d, "namespace");
    const char *name = read_string(r, d, "name");
    gateway_known(r, &rule->flaw, j, beside);
    gateway_known(r, &rule->flaw, d, known);
    if (name_check_subdomain(text_of(name)))
        traffic_flaw(r, &rule->flaw, d, "name '%.60s' is none", name);
    if (ns[0] && name_check_label(text_of(ns)))
        traffic_flaw(r, &rule->flaw, d, "namespace '%.60s' is none", ns);
    rule->delegate.name = name;
    rule->delegate.field = gateway_field(r, d);
    if (ns[0])
        rule->delegate.ns = ns;
    rule->action.kind = ROUTE_RESPOND; /* should nobody be there */
    rule->action.respond = (struct route_respond){500, TEXT("")};
}

void virtual_action_read(struct reader *r, const struct json *j, struct virtual_rule *rule)
{
    static const char *const known[] = {"name",
                                        "match",
                                        "route",
                                        "redirect",
                                        "directResponse",
                                        "rewrite",
                                        "timeout",
                                        "retries",
                                        "fault",
                                        "mirror",
                                        "mirrorPercent",
                                        "mirrors",
                                        "mirror_percent",
                                        "mirrorPercentage",
                                        "corsPolicy",
                                        "headers",
                                        NULL};
    const struct json *routes = read_list(r, j, "route", VIRTUAL_BACKENDS_MAX);
    const struct json *redirect = read_object(r, j, "redirect");
    const struct json *response = read_object(r, j, "directResponse");
    struct text authority;
    if (read_object(r, j, "delegate")) {
        read_delegate(r, j, rule);
        return;
    }
    gateway_known(r, &rule->flaw, j, known);
    struct message_edits edits = read_headers(r, &rule->flaw, j, &authority);
    unsigned kinds = (routes != NULL) + (redirect != NULL) + (response != NULL);
    if (kinds > 1)
        traffic_flaw(r, &rule->flaw, j, "route, redirect and directResponse can't go together");
    if ((redirect || response) && read_member(j, "rewrite"))
        traffic_flaw(r, &rule->flaw, read_member(j, "rewrite"), "needs a route");
    if (redirect)
        read_redirect(r, redirect, rule);
    else if (response)
        read_response(r, response, rule);
    else
        read_forward(r, j, routes, authority, rule);
    rule->action.edits = edits;
    rule->action.fault = read_fault(r, &rule->flaw, j);
    rule->action.cors = read_cors(r, &rule->flaw, j);
}

void virtual_stream_action_read(struct reader *r, const struct json *j, struct virtual_rule *rule)
{
    static const char *const known[] = {"match", "route", NULL};
    const struct json *routes = read_list(r, j, "route", VIRTUAL_BACKENDS_MAX);
    gateway_known(r, &rule->flaw, j, known);
    rule->retries_said = true;
    rule->delegate = (struct virtual_delegate){.ns = "", .name = "", .field = ""};
    rule->action.kind = ROUTE_FORWARD;
    rule->action.forward = (struct route_forward){.no_cluster_status = 503};
    if (json_count(routes) == 0)
        traffic_flaw(r, &rule->flaw, j, "has no route");
    else
        read_backends(r, routes, rule);
    json_for_each (b, routes)
        if (read_member(b, "headers"))
            traffic_flaw(r, &rule->flaw, read_member(b, "headers"), "a connection has none");
}
