#include "controller/model/object_kinds.h"
#include "controller/model/traffic_read.h"
#include "shared/http/http_grammar.h"
#include <stdio.h>

/* ---- Matches -------------------------------------------------------------------------------- */

/* A part of a match that can't be honoured asks for nothing, so that the rule, which then refuses what
 * it takes, leaves nothing of that to a broader one. */

static void read_uri(struct reader *r, struct gateway_flaw *f, const struct json *of,
                     struct path_match *ret)
{
    static const enum path_match_kind kinds[] = {
        [TEXT_EXACT] = PATH_EXACT, [TEXT_PREFIX] = PATH_PREFIX, [TEXT_REGEX] = PATH_REGEX};
    const struct json *j = read_member(of, "uri");
    struct text_match text;
    *ret = (struct path_match){.kind = PATH_PREFIX, .value = TEXT("/")};
    bool ignore_case = read_bool(r, of, "ignoreUriCase", false);
    if (!j || !traffic_text(r, f, j, &text))
        return;
    if (text.kind != TEXT_REGEX && (text.value.len == 0 || text.value.data[0] != '/')) {
        traffic_flaw(r, f, j, "'%.60s' does not begin with /", text.value.data);
        return;
    }
    ret->kind = kinds[text.kind];
    ret->value = text.value;
    ret->ignore_case = ignore_case && text.kind != TEXT_REGEX;
}

static struct header_match header(struct reader *r, struct gateway_flaw *f, struct text name,
                                  const struct json *j)
{
    struct header_match m = {.name = name, .kind = HEADER_PRESENT};
    if (traffic_text(r, f, j, &m.text))
        m.kind = HEADER_TEXT;
    return m;
}

/* Pseudo headers: :method, :authority and :scheme. */
static void read_word(struct reader *r, struct gateway_flaw *f, const struct json *of,
                      const char *name, struct text field, struct header_match *list, size_t *n)
{
    const struct json *j = read_member(of, name);
    if (!j)
        return;
    struct header_match m = header(r, f, field, j);
    if (m.kind == HEADER_TEXT)
        list[(*n)++] = m;
}

static void read_headers(struct reader *r, struct gateway_flaw *f, const struct json *map,
                         bool without, struct header_match *list, size_t *n)
{
    json_for_each (j, map) {
        struct text name = traffic_lower(r, json_name(j));
        if (text_starts_with(name, TEXT("@request."))) {
            traffic_flaw(r, f, j, "claims of a token can't be matched");
            continue;
        }
        if (!http_is_token(name)) {
            traffic_flaw(r, f, j, "is no header's name");
            continue;
        }
        if (text_equal(name, TEXT("host")))
            name = TEXT(":authority");
        struct header_match m = {.name = name, .kind = HEADER_PRESENT};
        bool before = f->kind != GATEWAY_NO_FLAW;
        if (!json_is(j, JSON_NULL))
            m = header(r, f, name, j);
        if (!before && f->kind != GATEWAY_NO_FLAW && without)
            continue; /* that it is absent would be less than what was meant */
        m.invert = without;
        m.missing_is_empty = without && m.kind == HEADER_TEXT;
        list[(*n)++] = m;
    }
}

static void read_queries(struct reader *r, struct gateway_flaw *f, const struct json *map,
                         struct route_match *m)
{
    struct query_match *list = read_array(r, json_count(map), sizeof *list);
    m->queries = list;
    json_for_each (j, map) {
        struct query_match q = {.name = text_of(read_copy(r, json_name(j))), .kind = QUERY_PRESENT};
        if (!list)
            return;
        if (q.name.len == 0)
            traffic_flaw(r, f, j, "is no parameter's name");
        else {
            if (!json_is(j, JSON_NULL) && traffic_text(r, f, j, &q.text))
                q.kind = QUERY_TEXT;
            list[m->n_queries++] = q;
        }
    }
}

static void read_source(struct reader *r, struct gateway_flaw *f, const struct json *j,
                        struct source_match *ret)
{
    const struct labels labels = read_labels(r, j, "sourceLabels");
    if (labels.n > VIRTUAL_ITEMS_MAX) {
        traffic_flaw(r, f, read_member(j, "sourceLabels"), "has more than %d", VIRTUAL_ITEMS_MAX);
        return;
    }
    ret->ns = text_of(read_string(r, j, "sourceNamespace"));
    ret->labels = read_array(r, labels.n, sizeof *ret->labels);
    for (size_t i = 0; ret->labels && i < labels.n; i++)
        ret->labels[ret->n_labels++] =
            (struct label){text_of(labels.items[i].key), text_of(labels.items[i].value)};
}

/* Said, and the mesh is not among them. */
static bool elsewhere(struct reader *r, const struct json *of)
{
    const struct values gateways = read_strings(r, of, "gateways", VIRTUAL_ITEMS_MAX);
    for (size_t i = 0; i < gateways.n; i++)
        if (strcmp(gateways.items[i], "mesh") == 0)
            return false;
    return gateways.n > 0;
}

static void read_match(struct reader *r, struct gateway_flaw *f, const struct json *j,
                       struct virtual_match *m)
{
    static const char *const known[] = {"name",
                                        "uri",
                                        "scheme",
                                        "method",
                                        "authority",
                                        "headers",
                                        "port",
                                        "sourceLabels",
                                        "gateways",
                                        "queryParams",
                                        "ignoreUriCase",
                                        "withoutHeaders",
                                        "sourceNamespace",
                                        NULL};
    const struct json *headers = read_object(r, j, "headers");
    const struct json *without = read_object(r, j, "withoutHeaders");
    const struct json *queries = read_object(r, j, "queryParams");
    gateway_known(r, f, j, known);
    m->name = read_string(r, j, "name");
    m->port = read_port(r, j, "port");
    m->elsewhere = elsewhere(r, j);
    if (json_count(headers) + json_count(without) > VIRTUAL_ITEMS_MAX - 3 ||
        json_count(queries) > VIRTUAL_ITEMS_MAX) {
        traffic_flaw(r, f, j, "has more than %d headers or parameters", VIRTUAL_ITEMS_MAX - 3);
        headers = without = queries = NULL;
    }
    struct route_match *to = &m->match;
    to->headers = read_array(r, json_count(headers) + json_count(without) + 3, sizeof *to->headers);
    read_uri(r, f, j, &to->path);
    if (!to->headers)
        return;
    read_headers(r, f, headers, false, to->headers, &to->n_headers);
    read_headers(r, f, without, true, to->headers, &to->n_headers);
    read_word(r, f, j, "method", TEXT(":method"), to->headers, &to->n_headers);
    read_word(r, f, j, "authority", TEXT(":authority"), to->headers, &to->n_headers);
    read_word(r, f, j, "scheme", TEXT(":scheme"), to->headers, &to->n_headers);
    read_queries(r, f, queries, to);
    read_source(r, f, j, &to->source);
}

/* ---- Rules ---------------------------------------------------------------------------------- */

static void read_rule(struct reader *r, const struct json *of_spec, const struct json *j,
                      const char *ns, struct virtual_rule *rule)
{
    const struct json *matches = read_list(r, j, "match", VIRTUAL_MATCHES_MAX);
    struct virtual_match *items = read_array(r, json_count(matches), sizeof *items);
    rule->name = read_string(r, j, "name");
    rule->delegate = (struct virtual_delegate){ns, "", ""};
    rule->matches = items;
    json_for_each (m, matches) {
        if (!items || !json_is(m, JSON_OBJECT)) {
            read_fail(r, m, "must be an object");
            return;
        }
        read_match(r, &rule->flaw, m, &items[rule->n_matches++]);
    }
    virtual_action_read(r, j, rule);
    if (rule->delegate.name[0] && json_count(read_member(of_spec, "hosts")) == 0)
        traffic_flaw(r, &rule->flaw, read_member(j, "delegate"),
                     "what is delegated to can't delegate on");
}

static void read_hosts(struct reader *r, const struct json *spec, struct virtual_service *s)
{
    const struct json *list = read_list(r, spec, "hosts", VIRTUAL_HOSTS_WRITTEN_MAX);
    const char **items = read_array(r, json_count(list), sizeof *items);
    s->hosts.items = items;
    json_for_each (j, list)
        if (items)
            items[s->hosts.n++] = traffic_host(r, &s->flaw, j);
}

/* ---- Rules for connections ------------------------------------------------------------------ */

static struct prefixes read_subnets(struct reader *r, struct gateway_flaw *f, const struct json *of)
{
    const struct json *list = read_list(r, of, "destinationSubnets", VIRTUAL_ITEMS_MAX);
    struct prefix *items = read_array(r, json_count(list), sizeof *items);
    struct prefixes all = {items, 0};
    json_for_each (j, list) {
        if (!items)
            break;
        if (prefix_parse(json_text(j), &items[all.n]) == 0)
            all.n++;
        else
            traffic_flaw(r, f, j, "is no network such as 10.0.0.0/8");
    }
    return all;
}

static struct values read_servers(struct reader *r, struct gateway_flaw *f, const struct json *of)
{
    const struct json *list = read_list(r, of, "sniHosts", VIRTUAL_ITEMS_MAX);
    const char **items = read_array(r, json_count(list), sizeof *items);
    struct values all = {items, 0};
    json_for_each (j, list) {
        struct text name = traffic_lower(r, json_text(j)), rest = name;
        if (text_starts_with(name, TEXT("*.")))
            rest = (struct text){name.data + 2, name.len - 2};
        if (name_check_subdomain(rest))
            traffic_flaw(r, f, j, "is no name of a server");
        else if (items)
            items[all.n++] = name.data;
    }
    if (all.n == 0)
        traffic_flaw(r, f, of, "has no sniHosts");
    return all;
}

static void read_stream_match(struct reader *r, const struct json *j, struct virtual_rule *rule,
                              struct virtual_match *m)
{
    static const char *const tcp_known[] = {"destinationSubnets", "port",     "sourceNamespace",
                                            "sourceLabels",       "gateways", NULL};
    static const char *const tls_known[] = {"destinationSubnets", "port",     "sourceNamespace",
                                            "sourceLabels",       "gateways", "sniHosts",
                                            NULL};
    struct gateway_flaw *f = &rule->flaw;
    gateway_known(r, f, j, rule->tls ? tls_known : tcp_known);
    m->name = "";
    m->port = read_port(r, j, "port");
    m->elsewhere = elsewhere(r, j);
    read_source(r, f, j, &m->match.source);
    m->subnets = read_subnets(r, f, j);
    if (rule->tls)
        m->servers = read_servers(r, f, j);
}

static void read_stream_rule(struct reader *r, const struct json *j, bool tls, size_t place,
                             struct virtual_rule *rule)
{
    char name[32];
    const struct json *matches = read_list(r, j, "match", VIRTUAL_MATCHES_MAX);
    struct virtual_match *items = read_array(r, json_count(matches), sizeof *items);
    snprintf(name, sizeof name, "%s.%zu", tls ? "tls" : "tcp", place);
    rule->name = read_copy(r, text_of(name));
    rule->tls = tls;
    rule->matches = items;
    json_for_each (m, matches) {
        if (!items || !json_is(m, JSON_OBJECT)) {
            read_fail(r, m, "must be an object");
            return;
        }
        read_stream_match(r, m, rule, &items[rule->n_matches++]);
    }
    virtual_stream_action_read(r, j, rule);
}

static void read_streams(struct reader *r, const struct json *spec, struct virtual_service *s)
{
    const struct json *lists[] = {read_list(r, spec, "tls", VIRTUAL_RULES_MAX),
                                  read_list(r, spec, "tcp", VIRTUAL_RULES_MAX)};
    struct virtual_rule *items =
        read_array(r, json_count(lists[0]) + json_count(lists[1]), sizeof *items);
    s->streams = items;
    for (size_t i = 0; i < 2; i++) {
        size_t place = 0;
        json_for_each (j, lists[i]) {
            if (!items || !json_is(j, JSON_OBJECT)) {
                read_fail(r, j, "must be an object");
                return;
            }
            if (i == 0 && json_count(read_member(j, "match")) == 0) {
                traffic_flaw(r, &s->note, j, "has no match, and takes nothing");
                place++;
                continue;
            }
            read_stream_rule(r, j, i == 0, place++, &items[s->n_streams++]);
        }
    }
}

/* ---- All of it ------------------------------------------------------------------------------ */

void virtual_service_read(struct reader *r, const struct json *document, struct object *o)
{
    static const char *const known[] = {"hosts", "gateways", "http", "tls",
                                        "tcp",   "exportTo", NULL};
    struct virtual_service *s = &o->virtual_service;
    const struct json *spec = read_object(r, document, "spec");
    const struct json *rules = read_list(r, spec, "http", VIRTUAL_RULES_MAX);
    struct virtual_rule *items = read_array(r, json_count(rules), sizeof *items);
    if (!spec) {
        read_fail(r, document, "spec is missing");
        return;
    }
    gateway_known(r, &s->flaw, spec, known);
    read_hosts(r, spec, s);
    s->exported = traffic_export(r, &s->flaw, spec, o->ns);
    s->elsewhere = elsewhere(r, spec);
    s->rules = items;
    json_for_each (j, rules) {
        if (!items || !json_is(j, JSON_OBJECT)) {
            read_fail(r, j, "must be an object");
            return;
        }
        read_rule(r, spec, j, o->ns, &items[s->n_rules++]);
    }
    read_streams(r, spec, s);
    if (s->hosts.n == 0 && s->n_streams > 0)
        traffic_flaw(r, &s->note, spec, "has no hosts: of what is delegated only http counts");
    json_for_each (j, read_member(spec, "gateways"))
        if (!text_equal(json_text(j), TEXT("mesh")))
            traffic_flaw(r, &s->note, j, "'%.60s' is not served: only the mesh is",
                         json_text(j).len ? json_text(j).data : "");
}
