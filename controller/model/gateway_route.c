#include "controller/model/object_kinds.h"
#include "controller/model/traffic_read.h"
#include "shared/http/http_grammar.h"
#include "shared/mesh/route_action.h"

/* ---- Matches -------------------------------------------------------------------------------- */

/* A part of a match that can't be honoured becomes all that its author may have meant, so that
 * nothing of that is taken by a broader rule. Narrower ones go first: of a path that can't be read
 * there is left what they don't take. */

static bool is_clean_path(struct text path)
{
    static const char *const wrong[] = {"//", "/./", "/../", "%2f", "%2F", "?"};
    if (path.len == 0 || path.data[0] != '/' || path.len > GATEWAY_PATH_MAX || !http_is_path(path))
        return false;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (memmem(path.data, path.len, wrong[i], strlen(wrong[i])))
            return false;
    return !text_ends_with(path, TEXT("/..")) && !text_ends_with(path, TEXT("/."));
}

/* The elements that it begins with, up to the first that no path of a request has. */
static const char *clean_beginning(struct reader *r, struct text path)
{
    while (path.len > 0 && !is_clean_path(path)) {
        path.len--;
        while (path.len > 0 && path.data[path.len - 1] != '/')
            path.len--;
        path.len -= path.len > 1; /* its slash; "/" itself stays */
    }
    return path.len > 0 ? read_copy(r, path) : "/";
}

static void read_path(struct reader *r, struct gateway_flaw *f, const struct json *of,
                      struct gateway_match *m)
{
    static const char *const known[] = {"type", "value", NULL};
    const struct json *j = read_object(r, of, "path"), *value = read_member(j, "value");
    const char *type = read_string(r, j, "type");
    gateway_known(r, f, j, known);
    m->path_kind = GATEWAY_PATH_PREFIX;
    m->path = value ? read_string(r, j, "value") : "/";
    if (strcmp(type, "RegularExpression") == 0) {
        if (!value || gateway_regex_check(r, f, value))
            m->path_kind = GATEWAY_PATH_REGEX;
        else
            m->path = "/";
    } else if (type[0] && strcmp(type, "PathPrefix") != 0 && strcmp(type, "Exact") != 0) {
        gateway_flaw_add(r, f, GATEWAY_FLAW_VALUE, read_member(j, "type"),
                         "'%s' is not one of Exact, PathPrefix, RegularExpression", type);
        m->path = "/";
    } else if (!is_clean_path(text_of(m->path))) {
        gateway_flaw_add(r, f, GATEWAY_FLAW_VALUE, value,
                         "'%s' must be a path from / on, with no // and no dot segments", m->path);
        m->path = clean_beginning(r, text_of(m->path));
    } else if (strcmp(type, "Exact") == 0)
        m->path_kind = GATEWAY_PATH_EXACT;
}

static void read_http_match(struct reader *r, struct gateway_flaw *f, const struct json *j,
                            struct gateway_match *m)
{
    static const char *const known[] = {"path", "method", "headers", "queryParams", NULL};
    static const char *const methods[] = {"GET",     "HEAD",    "POST",  "PUT",  "DELETE",
                                          "CONNECT", "OPTIONS", "TRACE", "PATCH"};
    size_t i = 0;
    gateway_known(r, f, j, known);
    read_path(r, f, j, m);
    m->method = read_string(r, j, "method");
    while (i < sizeof methods / sizeof *methods && strcmp(methods[i], m->method) != 0)
        i++;
    if (m->method[0] && i == sizeof methods / sizeof *methods) {
        gateway_flaw_add(r, f, GATEWAY_FLAW_VALUE, read_member(j, "method"),
                         "'%s' is no method that routes know", m->method);
        m->method = "";
    }
    m->headers = gateway_texts_read(r, f, j, "headers", true);
    m->queries = gateway_texts_read(r, f, j, "queryParams", false);
    m->grpc_service = m->grpc_method = "";
}

static bool is_grpc_name(struct text t)
{
    for (size_t i = 0; i < t.len; i++) {
        char c = text_lower(t.data[i]);
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '_' && c != '.')
            return false;
    }
    return true;
}

/* Of an expression in a GRPCRoute's method; absent is fine. */
static bool is_regex(struct reader *r, struct gateway_flaw *f, const struct json *method,
                     const char *name)
{
    const struct json *j = read_member(method, name);
    return !j || gateway_regex_check(r, f, j);
}

static bool read_grpc_method(struct reader *r, struct gateway_flaw *f, const struct json *j,
                             struct gateway_match *m)
{
    const char *type = read_string(r, j, "type");
    m->grpc_service = read_string(r, j, "service");
    m->grpc_method = read_string(r, j, "method");
    m->grpc_regex = strcmp(type, "RegularExpression") == 0;
    if (type[0] && !m->grpc_regex && strcmp(type, "Exact") != 0)
        gateway_flaw_add(r, f, GATEWAY_FLAW_VALUE, read_member(j, "type"),
                         "'%s' is not one of Exact, RegularExpression", type);
    else if (!m->grpc_regex &&
             (!is_grpc_name(text_of(m->grpc_service)) || !is_grpc_name(text_of(m->grpc_method))))
        gateway_flaw_add(r, f, GATEWAY_FLAW_VALUE, j, "is no service or method of gRPC");
    else if (strlen(m->grpc_service) > GATEWAY_PATH_MAX ||
             strlen(m->grpc_method) > GATEWAY_PATH_MAX)
        gateway_flaw_add(r, f, GATEWAY_FLAW_VALUE, j, "is too long");
    else if (j && !m->grpc_service[0] && !m->grpc_method[0])
        gateway_flaw_add(r, f, GATEWAY_FLAW_VALUE, j, "has neither service nor method");
    else
        return !m->grpc_regex || (is_regex(r, f, j, "service") && is_regex(r, f, j, "method"));
    return false;
}

static void read_grpc_match(struct reader *r, struct gateway_flaw *f, const struct json *j,
                            struct gateway_match *m)
{
    static const char *const known[] = {"method", "headers", NULL};
    static const char *const parts[] = {"type", "service", "method", NULL};
    const struct json *method = read_object(r, j, "method");
    gateway_known(r, f, j, known);
    gateway_known(r, f, method, parts);
    m->path = "/";
    m->method = "";
    m->headers = gateway_texts_read(r, f, j, "headers", true);
    if (!read_grpc_method(r, f, method, m)) {
        m->grpc_service = m->grpc_method = "";
        m->grpc_regex = false;
    }
}

/* ---- Times ---------------------------------------------------------------------------------- */

/* Up to four of 1 to 5 digits and h, m, s or ms (GEP-2257). */
static bool is_duration(struct text t)
{
    size_t i = 0;
    for (unsigned parts = 0; parts < 4 && i < t.len; parts++) {
        size_t begin = i;
        while (i < t.len && t.data[i] >= '0' && t.data[i] <= '9')
            i++;
        if (i == begin || i - begin > 5 || i == t.len || !strchr("hms", t.data[i]))
            return false;
        i += t.data[i] == 'm' && i + 1 < t.len && t.data[i + 1] == 's' ? 2 : 1;
    }
    return t.len > 0 && i == t.len;
}

static uint64_t read_duration(struct reader *r, struct gateway_flaw *f, const struct json *of,
                              const char *name)
{
    const char *text = read_string(r, of, name);
    uint64_t ms = 0;
    if (text[0] && (!is_duration(text_of(text)) || text_to_duration_ms(text_of(text), &ms) < 0))
        gateway_flaw_add(r, f, GATEWAY_FLAW_VALUE, read_member(of, name),
                         "'%s' is no duration such as 10s, 1m30s or 500ms", text);
    return ms;
}

static void read_timeouts(struct reader *r, const struct json *of, struct gateway_rule *rule)
{
    static const char *const known[] = {"request", "backendRequest", NULL};
    const struct json *j = read_object(r, of, "timeouts");
    gateway_known(r, &rule->flaw, j, known);
    rule->timeout_ms = read_duration(r, &rule->flaw, j, "request");
    rule->backend_timeout_ms = read_duration(r, &rule->flaw, j, "backendRequest");
    if (rule->timeout_ms && rule->backend_timeout_ms > rule->timeout_ms)
        gateway_flaw_add(r, &rule->flaw, GATEWAY_FLAW_VALUE, read_member(j, "backendRequest"),
                         "is longer than request");
}

static const struct gateway_retry *read_retry(struct reader *r, const struct json *of,
                                              struct gateway_flaw *f)
{
    static const char *const known[] = {"codes", "attempts", "backoff", NULL};
    enum { ATTEMPTS_MAX = 100 };
    const struct json *j = read_object(r, of, "retry"),
                      *codes = read_list(r, j, "codes", GATEWAY_ITEMS_MAX);
    struct gateway_retry *retry = j ? read_array(r, 1, sizeof *retry) : NULL;
    uint16_t *items = read_array(r, json_count(codes), sizeof *items);
    if (!retry)
        return NULL;
    gateway_known(r, f, j, known);
    retry->codes = items;
    retry->attempts = gateway_number(r, j, "attempts", ATTEMPTS_MAX, 1);
    retry->backoff_ms = read_duration(r, f, j, "backoff");
    json_for_each (code, codes) {
        int64_t value = 0;
        if (json_read_i64(code, "", 400, 599, &value, r->error) < 0 || !items)
            break;
        items[retry->n_codes++] = (uint16_t)value;
    }
    return retry;
}

/* ---- Sessions (GEP-1619) --------------------------------------------------------------------- */

static void check_session(struct reader *r, struct gateway_flaw *f, const struct json *j,
                          const struct gateway_session *s)
{
    struct text name = text_of(s->name);
    if (name.len > SESSION_NAME_MAX || (name.len > 0 && !http_is_token(name)))
        gateway_flaw_add(r, f, GATEWAY_FLAW_VALUE, read_member(j, "sessionName"),
                         "is no name of a %s", s->header ? "header" : "cookie");
    else if (s->header && name.len > 0 && !header_may_be_edited(name))
        gateway_flaw_add(r, f, GATEWAY_FLAW_VALUE, read_member(j, "sessionName"),
                         "'%s' belongs to the connection or the framing", s->name);
    else if (s->header && read_member(j, "cookieConfig"))
        gateway_flaw_add(r, f, GATEWAY_FLAW_VALUE, read_member(j, "cookieConfig"),
                         "can only be set with type Cookie");
    else if (s->permanent && s->absolute_ms == 0)
        gateway_flaw_add(r, f, GATEWAY_FLAW_VALUE, j,
                         "absoluteTimeout must be specified when cookie lifetimeType is Permanent");
}

static const struct gateway_session *read_session(struct reader *r, struct gateway_flaw *f,
                                                  const struct json *of)
{
    static const char *const known[] = {"sessionName", "absoluteTimeout", "idleTimeout",
                                        "type",        "cookieConfig",    NULL};
    static const char *const cookie_known[] = {"lifetimeType", NULL};
    static const char *const types[] = {"Cookie", "Header", NULL};
    static const char *const lifetimes[] = {"Session", "Permanent", NULL};
    const struct json *j = read_object(r, of, "sessionPersistence");
    const struct json *cookie = read_object(r, j, "cookieConfig");
    struct gateway_session *s = j ? read_array(r, 1, sizeof *s) : NULL;
    unsigned type = 0, lifetime = 0;
    gateway_known(r, f, j, known);
    gateway_known(r, f, cookie, cookie_known);
    if (!s)
        return NULL;
    json_opt_choice(j, "type", types, &type, r->error);
    json_opt_choice(cookie, "lifetimeType", lifetimes, &lifetime, r->error);
    *s = (struct gateway_session){.name = read_string(r, j, "sessionName"),
                                  .header = type == 1,
                                  .permanent = lifetime == 1,
                                  .absolute_ms = read_duration(r, f, j, "absoluteTimeout"),
                                  .idle_ms = read_duration(r, f, j, "idleTimeout")};
    check_session(r, f, j, s);
    return s;
}

/* ---- Rules ---------------------------------------------------------------------------------- */

static void read_backends(struct reader *r, const struct json *of, const char *ns, bool grpc,
                          struct gateway_rule *rule)
{
    static const char *const known[] = {"group", "kind",   "namespace", "name",
                                        "port",  "weight", "filters",   NULL};
    const struct json *list = read_list(r, of, "backendRefs", GATEWAY_BACKENDS_MAX);
    struct gateway_backend *items = read_array(r, json_count(list), sizeof *items);
    rule->backends = items;
    json_for_each (j, list) {
        if (!items)
            return;
        struct gateway_backend *b = &items[rule->n_backends++];
        gateway_known(r, &rule->flaw, j, known);
        b->ref = gateway_ref_read(r, j, ns, "", "Service");
        b->weight = gateway_number(r, j, "weight", GATEWAY_WEIGHT_MAX, 1);
        b->filters = gateway_filters_read(r, &rule->flaw, j, ns, grpc);
        const struct gateway_filters *f = &b->filters;
        if (f->redirect || f->rewrite || f->cors || f->n_mirrors > 0)
            gateway_flaw_add(r, &rule->flaw, GATEWAY_FLAW_VALUE, read_member(j, "filters"),
                             "at a backend only RequestHeaderModifier and ResponseHeaderModifier "
                             "are supported");
    }
}

/* What begins a path can only be replaced where one prefix is asked for. */
static void check_prefix(struct reader *r, const struct json *j, struct gateway_rule *rule)
{
    const struct gateway_filters *f = &rule->filters;
    bool start = (f->redirect && f->redirect->path.kind == GATEWAY_PATH_START) ||
                 (f->rewrite && f->rewrite->path.kind == GATEWAY_PATH_START);
    bool one = rule->n_matches == 0 ||
               (rule->n_matches == 1 && rule->matches[0].path_kind == GATEWAY_PATH_PREFIX);
    if (start && !one)
        gateway_flaw_add(r, &rule->flaw, GATEWAY_FLAW_VALUE, read_member(j, "filters"),
                         "ReplacePrefixMatch needs exactly one match, of type PathPrefix");
    if (f->redirect && rule->n_backends > 0)
        gateway_flaw_add(r, &rule->flaw, GATEWAY_FLAW_FILTERS, read_member(j, "filters"),
                         "RequestRedirect and backendRefs can't go together");
}

static void read_rule(struct reader *r, const struct json *j, const char *ns, bool grpc,
                      struct gateway_rule *rule)
{
    static const char *const http_known[] = {"name",     "matches", "filters", "backendRefs",
                                             "timeouts", "retry",   "sessionPersistence", NULL};
    static const char *const grpc_known[] = {"name",        "matches",            "filters",
                                             "backendRefs", "sessionPersistence", NULL};
    const struct json *matches = read_list(r, j, "matches", GATEWAY_MATCHES_MAX);
    struct gateway_match *items = read_array(r, json_count(matches), sizeof *items);
    rule->matches = items;
    rule->name = read_string(r, j, "name");
    json_for_each (m, matches) {
        if (!items || !json_is(m, JSON_OBJECT)) {
            read_fail(r, m, "must be an object");
            return;
        }
        if (grpc)
            read_grpc_match(r, &rule->flaw, m, &items[rule->n_matches++]);
        else
            read_http_match(r, &rule->flaw, m, &items[rule->n_matches++]);
    }
    rule->filters = gateway_filters_read(r, &rule->flaw, j, ns, grpc);
    gateway_known(r, &rule->flaw, j, grpc ? grpc_known : http_known);
    read_backends(r, j, ns, grpc, rule);
    rule->session = read_session(r, &rule->flaw, j);
    if (!grpc) {
        read_timeouts(r, j, rule);
        rule->retry = read_retry(r, j, &rule->flaw);
    }
    check_prefix(r, j, rule);
}

static void read_parents(struct reader *r, const struct json *spec, const char *ns,
                         struct gateway_route *route)
{
    static const char *const known[] = {"group", "kind",        "namespace", "name",
                                        "port",  "sectionName", NULL};
    const struct json *list = read_list(r, spec, "parentRefs", GATEWAY_PARENTS_MAX);
    struct gateway_parent *items = read_array(r, json_count(list), sizeof *items);
    route->parents = items;
    json_for_each (j, list) {
        if (!items)
            return;
        gateway_known(r, &route->flaw, j, known);
        items[route->n_parents++] =
            (struct gateway_parent){.ref = gateway_ref_read(r, j, ns, GATEWAY_GROUP, "Gateway"),
                                    .section = read_string(r, j, "sectionName"),
                                    .ns_said = read_member(j, "namespace") != NULL};
    }
}

static void route_read(struct reader *r, const struct json *document, struct object *o, bool grpc)
{
    /* useDefaultGateways speaks of Gateways only; hostnames don't count in a mesh (GEP-1294). */
    static const char *const known[] = {"parentRefs", "hostnames", "rules", "useDefaultGateways",
                                        NULL};
    struct gateway_route *route = &o->route;
    const struct json *spec = read_object(r, document, "spec");
    const struct json *rules = read_list(r, spec, "rules", GATEWAY_RULES_MAX);
    struct gateway_rule *items = read_array(r, rules ? json_count(rules) : !grpc, sizeof *items);
    gateway_known(r, &route->flaw, spec, known);
    read_parents(r, spec, o->ns, route);
    route->hostnames = read_strings(r, spec, "hostnames", GATEWAY_HOSTNAMES_MAX);
    route->rules = items;
    if (!rules && items) { /* the default of HTTPRoute: one rule, for everything */
        *items = (struct gateway_rule){.name = ""};
        route->n_rules = 1;
    }
    json_for_each (j, rules) {
        if (!items || !json_is(j, JSON_OBJECT)) {
            read_fail(r, j, "must be an object");
            return;
        }
        read_rule(r, j, o->ns, grpc, &items[route->n_rules++]);
    }
}

void http_route_read(struct reader *r, const struct json *document, struct object *o)
{
    route_read(r, document, o, false);
}

void grpc_route_read(struct reader *r, const struct json *document, struct object *o)
{
    route_read(r, document, o, true);
}

/* ---- Routes of connections ------------------------------------------------------------------- */

static void read_stream_rule(struct reader *r, const struct json *j, const char *ns, size_t before,
                             struct gateway_rule *rule)
{
    static const char *const known[] = {"name", "backendRefs", NULL};
    rule->name = read_string(r, j, "name");
    gateway_known(r, &rule->flaw, j, known);
    read_backends(r, j, ns, false, rule);
    json_for_each (b, read_member(j, "backendRefs"))
        if (read_member(b, "filters"))
            gateway_flaw_add(r, &rule->flaw, GATEWAY_FLAW_VALUE, read_member(b, "filters"),
                             "there are none for connections");
    if (before > 0)
        gateway_flaw_add(r, &rule->flaw, GATEWAY_FLAW_VALUE, j,
                         "no connection comes to another rule than the first");
}

/* Of TLSRoute: the name that a client asks for, or with "*." in front all below it. */
static void read_hostnames(struct reader *r, const struct json *spec, struct gateway_route *route)
{
    const struct json *list = read_list(r, spec, "hostnames", GATEWAY_ITEMS_MAX);
    const char **items = read_array(r, json_count(list), sizeof *items);
    route->hostnames.items = items;
    json_for_each (j, list) {
        struct text name = traffic_lower(r, json_text(j)), rest = name;
        if (text_starts_with(name, TEXT("*.")))
            rest = (struct text){name.data + 2, name.len - 2};
        if (name_check_subdomain(rest))
            gateway_flaw_add(r, &route->flaw, GATEWAY_FLAW_VALUE, j, "is no name of a server");
        else if (items)
            items[route->hostnames.n++] = name.data;
    }
    if (json_count(list) == 0)
        gateway_flaw_add(r, &route->flaw, GATEWAY_FLAW_VALUE, spec,
                         "has no hostnames: which connections it means is not said");
}

static void stream_route_read(struct reader *r, const struct json *document, struct object *o,
                              bool tls)
{
    static const char *const tcp_known[] = {"parentRefs", "rules", "useDefaultGateways", NULL};
    static const char *const tls_known[] = {"parentRefs", "rules", "useDefaultGateways",
                                            "hostnames", NULL};
    struct gateway_route *route = &o->route;
    const struct json *spec = read_object(r, document, "spec");
    const struct json *rules = read_list(r, spec, "rules", GATEWAY_RULES_MAX);
    struct gateway_rule *items = read_array(r, json_count(rules), sizeof *items);
    gateway_known(r, &route->flaw, spec, tls ? tls_known : tcp_known);
    read_parents(r, spec, o->ns, route);
    if (tls)
        read_hostnames(r, spec, route);
    if (json_count(rules) == 0)
        gateway_flaw_add(r, &route->flaw, GATEWAY_FLAW_VALUE, spec, "has no rules");
    route->rules = items;
    json_for_each (j, rules) {
        if (!items || !json_is(j, JSON_OBJECT)) {
            read_fail(r, j, "must be an object");
            return;
        }
        size_t before = route->n_rules++;
        read_stream_rule(r, j, o->ns, before, &items[before]);
    }
}

void tcp_route_read(struct reader *r, const struct json *document, struct object *o)
{
    stream_route_read(r, document, o, false);
}

void tls_route_read(struct reader *r, const struct json *document, struct object *o)
{
    stream_route_read(r, document, o, true);
}

/* ---- Grants --------------------------------------------------------------------------------- */

void reference_grant_read(struct reader *r, const struct json *document, struct object *o)
{
    static const char *const known[] = {"from", "to", NULL};
    static const char *const from_known[] = {"group", "kind", "namespace", NULL};
    static const char *const to_known[] = {"group", "kind", "name", NULL};
    const struct json *spec = read_object(r, document, "spec");
    const struct json *from = read_list(r, spec, "from", GATEWAY_ITEMS_MAX);
    const struct json *to = read_list(r, spec, "to", GATEWAY_ITEMS_MAX);
    struct grant_from *froms = read_array(r, json_count(from), sizeof *froms);
    struct grant_to *tos = read_array(r, json_count(to), sizeof *tos);
    read_only(r, spec, known);
    o->grant.from = froms;
    o->grant.to = tos;
    if (read_failed(r))
        return;
    json_for_each (j, from) {
        read_only(r, j, from_known);
        froms[o->grant.n_from++] = (struct grant_from){
            read_string(r, j, "group"), read_string(r, j, "kind"), read_string(r, j, "namespace")};
    }
    json_for_each (j, to) {
        read_only(r, j, to_known);
        tos[o->grant.n_to++] = (struct grant_to){
            read_string(r, j, "group"), read_string(r, j, "kind"), read_string(r, j, "name")};
    }
}

bool reference_grant_allows(const struct reference_grant *g, const struct object *from,
                            const struct gateway_ref *ref)
{
    bool by = false, to = false;
    for (size_t i = 0; i < g->n_from; i++)
        by |= strcmp(g->from[i].group, GATEWAY_GROUP) == 0 &&
              strcmp(g->from[i].kind, object_kind_name(from->kind)) == 0 &&
              strcmp(g->from[i].ns, from->ns) == 0;
    for (size_t i = 0; i < g->n_to; i++)
        to |= strcmp(g->to[i].group, ref->group) == 0 && strcmp(g->to[i].kind, ref->kind) == 0 &&
              (!g->to[i].name[0] || strcmp(g->to[i].name, ref->name) == 0);
    return by && to;
}
