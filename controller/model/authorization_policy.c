#include "controller/model/object_kinds.h"
#include "shared/http/http_grammar.h"
#include "shared/http/http_hop.h"
#include "shared/mesh/policy.h"

enum { SOURCES_MAX = 512, CONDITIONS_MAX = 128 };

/* What is longer no node would take, and a policy that none takes protects nothing. */
static struct values read_values(struct reader *r, const struct json *of, const char *name)
{
    struct values values = read_strings(r, of, name, POLICY_VALUES_MAX);
    for (size_t i = 0; i < values.n; i++)
        if (strlen(values.items[i]) > STRING_MATCH_MAX)
            read_fail(r, json_item(read_member(of, name), i),
                      "is longer than %d bytes, the most there may be", STRING_MATCH_MAX);
    return values;
}

static struct prefixes parse_prefixes(struct reader *r, const struct json *list,
                                      struct values values)
{
    struct prefix *items = read_array(r, values.n, sizeof *items);
    struct prefixes prefixes = {items, 0};
    if (!items)
        return prefixes;
    for (size_t i = 0; i < values.n; i++) {
        if (prefix_parse(text_of(values.items[i]), &items[i]) < 0) {
            read_fail(r, json_item(list, i),
                      "'%s' is neither an address nor a range such as 10.0.0.0/8", values.items[i]);
            return prefixes;
        }
        prefixes.n++;
    }
    return prefixes;
}

static struct ports parse_ports(struct reader *r, const struct json *list, struct values values)
{
    uint16_t *items = read_array(r, values.n, sizeof *items);
    struct ports ports = {items, 0};
    if (!items)
        return ports;
    for (size_t i = 0; i < values.n; i++) {
        uint64_t port;
        if (text_to_u64(text_of(values.items[i]), 65535, &port) < 0 || port == 0) {
            read_fail(r, json_item(list, i),
                      "'%s' is no port: write a number from 1 to 65535 in quotes", values.items[i]);
            return ports;
        }
        items[ports.n++] = (uint16_t)port;
    }
    return ports;
}

/* "name" or "namespace/name", no wildcards. */
static void check_accounts(struct reader *r, const struct json *list, struct values values)
{
    for (size_t i = 0; i < values.n; i++) {
        struct text ns = TEXT("default"), name = text_of(values.items[i]);
        text_split(name, '/', &ns, &name);
        if (name_check_label(ns) || name_check_subdomain(name))
            read_fail(r, json_item(list, i),
                      "'%s' is no service account: write 'name' or 'namespace/name', without '*'",
                      values.items[i]);
    }
}

/* The first of these members that holds something. */
static const char *find_filled(struct reader *r, const struct json *of, const char *const *names)
{
    for (; *names; names++)
        if (read_values(r, of, *names).n > 0)
            return *names;
    return NULL;
}

static void read_source(struct reader *r, const struct json *entry, struct policy_source *s)
{
    static const char *const entry_known[] = {"source", NULL};
    static const char *const beyond[] = {"requestPrincipals",
                                         "notRequestPrincipals",
                                         "remoteIpBlocks",
                                         "notRemoteIpBlocks",
                                         "trustDomains",
                                         "notTrustDomains",
                                         NULL};
    static const char *const known[] = {
        "principals",           "notPrincipals",      "requestPrincipals",
        "notRequestPrincipals", "namespaces",         "notNamespaces",
        "serviceAccounts",      "notServiceAccounts", "ipBlocks",
        "notIpBlocks",          "remoteIpBlocks",     "notRemoteIpBlocks",
        "trustDomains",         "notTrustDomains",    NULL};
    read_only(r, entry, entry_known);
    const struct json *j = read_object(r, entry, "source");
    if (!j) {
        read_fail(r, entry, "source is missing");
        return;
    }
    read_only(r, j, known);
    s->principals = read_values(r, j, "principals");
    s->not_principals = read_values(r, j, "notPrincipals");
    s->namespaces = read_values(r, j, "namespaces");
    s->not_namespaces = read_values(r, j, "notNamespaces");
    s->service_accounts = read_values(r, j, "serviceAccounts");
    s->not_service_accounts = read_values(r, j, "notServiceAccounts");
    check_accounts(r, read_member(j, "serviceAccounts"), s->service_accounts);
    check_accounts(r, read_member(j, "notServiceAccounts"), s->not_service_accounts);
    s->ips = parse_prefixes(r, read_member(j, "ipBlocks"), read_values(r, j, "ipBlocks"));
    s->not_ips = parse_prefixes(r, read_member(j, "notIpBlocks"), read_values(r, j, "notIpBlocks"));
    s->beyond = find_filled(r, j, beyond);
    size_t accounts = s->service_accounts.n + s->not_service_accounts.n;
    size_t others = s->principals.n + s->not_principals.n + s->namespaces.n + s->not_namespaces.n;
    if (accounts && others)
        read_fail(
            r, j,
            "serviceAccounts can't be mixed with principals or namespaces: write two sources");
    if (!accounts && !others && !s->ips.n && !s->not_ips.n && !s->beyond)
        read_fail(r, j, "is empty; to match every source leave out from");
}

/* Of a text with "{*}" or "{**}" in it, that it is a template. */
static void check_paths(struct reader *r, const struct json *list, struct values values)
{
    for (size_t i = 0; i < values.n; i++) {
        const char *wrong = strstr(values.items[i], "{*}") || strstr(values.items[i], "{**}")
                                ? path_template_check(text_of(values.items[i]))
                                : NULL;
        if (wrong)
            read_fail(r, json_item(list, i), "'%s' is no path template: %s", values.items[i],
                      wrong);
    }
}

static void read_operation(struct reader *r, const struct json *entry, struct policy_operation *o)
{
    static const char *const entry_known[] = {"operation", NULL};
    static const char *const of_request[] = {"hosts", "notHosts", "methods", "notMethods",
                                             "paths", "notPaths", NULL};
    static const char *const known[] = {"hosts",    "notHosts", "methods",  "notMethods", "paths",
                                        "notPaths", "ports",    "notPorts", NULL};
    read_only(r, entry, entry_known);
    const struct json *j = read_object(r, entry, "operation");
    if (!j) {
        read_fail(r, entry, "operation is missing");
        return;
    }
    read_only(r, j, known);
    o->ports = parse_ports(r, read_member(j, "ports"), read_values(r, j, "ports"));
    o->not_ports = parse_ports(r, read_member(j, "notPorts"), read_values(r, j, "notPorts"));
    o->hosts = read_values(r, j, "hosts");
    o->not_hosts = read_values(r, j, "notHosts");
    o->methods = read_values(r, j, "methods");
    o->not_methods = read_values(r, j, "notMethods");
    o->paths = read_values(r, j, "paths");
    o->not_paths = read_values(r, j, "notPaths");
    check_paths(r, read_member(j, "paths"), o->paths);
    check_paths(r, read_member(j, "notPaths"), o->not_paths);
    o->of_request = find_filled(r, j, of_request);
    if (!o->ports.n && !o->not_ports.n && !o->of_request)
        read_fail(r, j, "is empty; to match every operation leave out to");
}

static bool condition_key_parse(const char *word, enum condition_key *ret)
{
    static const struct {
        const char *word;
        enum condition_key key;
    } words[] = {
        {"source.ip", CONDITION_SOURCE_IP},
        {"source.namespace", CONDITION_SOURCE_NAMESPACE},
        {"source.principal", CONDITION_SOURCE_PRINCIPAL},
        {"source.serviceAccount", CONDITION_SOURCE_ACCOUNT},
        {"destination.ip", CONDITION_DESTINATION_IP},
        {"destination.port", CONDITION_DESTINATION_PORT},
        {"source.trustDomain", CONDITION_BEYOND},
        {"remote.ip", CONDITION_BEYOND},
        {"connection.sni", CONDITION_BEYOND},
    };
    static const char *const beyond[] = {"request.", "experimental.envoy.filters."};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcmp(word, words[i].word) == 0) {
            *ret = words[i].key;
            return true;
        }
    }
    *ret = CONDITION_BEYOND;
    for (size_t i = 0; i < sizeof beyond / sizeof *beyond; i++)
        if (strncmp(word, beyond[i], strlen(beyond[i])) == 0)
            return true;
    return false;
}

/* "request.headers[x]"; false: it is something else. Fields of the connection that a request came by
 * are no part of it, so nobody can evaluate them; what it wants to turn into is. */
static bool read_header_key(struct reader *r, struct policy_condition *c)
{
    struct text begin = TEXT("request.headers["), name = text_of(c->name);
    char lower[256];
    if (!text_starts_with(name, begin) || !text_ends_with(name, TEXT("]")))
        return false;
    name = (struct text){name.data + begin.len, name.len - begin.len - 1};
    if (!http_is_token(name) || name.len > sizeof lower)
        return false;
    if (http_hop_is(name) && !text_equal_nocase(name, TEXT("upgrade")))
        return false;
    for (size_t i = 0; i < name.len; i++)
        lower[i] = text_lower(name.data[i]);
    c->header = read_copy(r, (struct text){lower, name.len});
    c->key = CONDITION_REQUEST_HEADER;
    return true;
}

static void read_condition(struct reader *r, const struct json *j, struct policy_condition *c)
{
    static const char *const known[] = {"key", "values", "notValues", NULL};
    read_only(r, j, known);
    c->name = read_string(r, j, "key");
    if (!c->name[0]) {
        read_fail(r, j, "key is missing");
        return;
    }
    if (!read_header_key(r, c) && !condition_key_parse(c->name, &c->key)) {
        read_fail(r, read_member(j, "key"),
                  "'%s' is not a condition; there are source.ip, source.namespace, "
                  "source.principal, source.serviceAccount, destination.ip, destination.port, "
                  "request.headers[name]",
                  c->name);
        return;
    }
    c->values = read_values(r, j, "values");
    c->not_values = read_values(r, j, "notValues");
    if (!c->values.n && !c->not_values.n)
        read_fail(r, j, "values and notValues are both empty");
    const struct json *yes = read_member(j, "values"), *no = read_member(j, "notValues");
    if (c->key == CONDITION_SOURCE_IP || c->key == CONDITION_DESTINATION_IP) {
        c->ips = parse_prefixes(r, yes, c->values);
        c->not_ips = parse_prefixes(r, no, c->not_values);
    } else if (c->key == CONDITION_DESTINATION_PORT) {
        c->ports = parse_ports(r, yes, c->values);
        c->not_ports = parse_ports(r, no, c->not_values);
    } else if (c->key == CONDITION_SOURCE_ACCOUNT) {
        check_accounts(r, yes, c->values);
        check_accounts(r, no, c->not_values);
    }
}

/* A list that, where it is written, says something. */
static const struct json *read_some(struct reader *r, const struct json *of, const char *name,
                                    size_t n_max)
{
    const struct json *list = read_list(r, of, name, n_max);
    if (list && json_count(list) == 0)
        read_fail(r, list, "is empty; leave it out to match everything");
    json_for_each (item, list)
        if (!json_is(item, JSON_OBJECT))
            read_fail(r, item, "must be an object, and is %s", json_kind_name(json_kind(item)));
    return list;
}

static void read_rule(struct reader *r, const struct json *j, struct policy_object_rule *rule)
{
    static const char *const known[] = {"from", "to", "when", NULL};
    read_only(r, j, known);
    rule->line = json_line(j);
    const struct json *from = read_some(r, j, "from", SOURCES_MAX);
    const struct json *to = read_some(r, j, "to", SOURCES_MAX);
    const struct json *when = read_list(r, j, "when", CONDITIONS_MAX);
    struct policy_source *sources = read_array(r, json_count(from), sizeof *sources);
    struct policy_operation *operations = read_array(r, json_count(to), sizeof *operations);
    struct policy_condition *conditions = read_array(r, json_count(when), sizeof *conditions);
    if (read_failed(r))
        return;
    json_for_each (item, from)
        read_source(r, item, &sources[rule->n_from++]);
    json_for_each (item, to)
        read_operation(r, item, &operations[rule->n_to++]);
    json_for_each (item, when)
        read_condition(r, item, &conditions[rule->n_when++]);
    rule->from = sources;
    rule->to = operations;
    rule->when = conditions;
}

static void read_action(struct reader *r, const struct json *spec, struct authorization_policy *p)
{
    const char *word = read_string(r, spec, "action");
    if (!word[0] || strcmp(word, "ALLOW") == 0)
        p->action = AUTHORIZATION_ALLOW;
    else if (strcmp(word, "DENY") == 0)
        p->action = AUTHORIZATION_DENY;
    else if (strcmp(word, "AUDIT") == 0)
        p->action = AUTHORIZATION_AUDIT;
    else if (strcmp(word, "CUSTOM") == 0)
        read_fail(r, read_member(spec, "action"),
                  "CUSTOM (an external authorizer) is not supported: use ALLOW or DENY");
    else
        read_fail(r, read_member(spec, "action"), "'%s' is not one of ALLOW, DENY, AUDIT", word);
}

static void read_dry_run(struct reader *r, const struct json *document, struct object *o)
{
    const char *word = labels_get(&o->annotations, "istio.io/dry-run");
    if (!word || strcmp(word, "false") == 0)
        return;
    if (strcmp(word, "true") == 0)
        o->authorization.dry_run = true;
    else
        read_fail(r,
                  read_member(read_member(read_member(document, "metadata"), "annotations"),
                              "istio.io/dry-run"),
                  "'%s' must be 'true' or 'false'", word);
}

void authorization_policy_read(struct reader *r, const struct json *document, struct object *o)
{
    static const char *const known[] = {"selector", "targetRef", "targetRefs", "rules",
                                        "action",   "provider",  NULL};
    static const char *const targets[] = {"targetRef", "targetRefs", NULL};
    struct authorization_policy *p = &o->authorization;
    const struct json *spec = read_object(r, document, "spec");

    read_only(r, spec, known);
    for (const char *const *t = targets; *t; t++)
        if (read_member(spec, *t))
            read_fail(r, read_member(spec, *t),
                      "is not supported: attach the policy to workloads with selector, or to the "
                      "whole namespace");
    read_dry_run(r, document, o);
    read_action(r, spec, p);
    if (read_member(spec, "provider"))
        read_fail(r, read_member(spec, "provider"),
                  "goes with the action CUSTOM, which is not supported");
    p->selector = policy_selector_read(r, spec);

    const struct json *rules = read_list(r, spec, "rules", POLICY_RULES_MAX);
    struct policy_object_rule *items = read_array(r, json_count(rules), sizeof *items);
    p->rules = items;
    json_for_each (j, rules) {
        if (!json_is(j, JSON_OBJECT))
            read_fail(r, j, "must be an object; {} matches everything");
        if (read_failed(r))
            return;
        read_rule(r, j, &items[p->n_rules++]);
    }
    if (p->action == AUTHORIZATION_DENY && p->n_rules == 0)
        read_fail(r, spec ? spec : document,
                  "a DENY without rules denies nothing: add a rule ({} matches everything)");
}
