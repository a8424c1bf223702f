#include "authorization.pb-c.h"
#include "shared/http/http_grammar.h"
#include "shared/xds/wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { GROWTH = 128, PARTS_MAX = 512 };
/* How a match that can't be read is told to the next one: an extension that nobody knows. */
static char unreadable_name[] = "weir.mesh/unreadable";

/* ---- Decoding ------------------------------------------------------------------------------ */

/*
 * A value that can't be read (a kind of match that is not known here) makes its match unreadable.
 * In a list of what must match, the rest of the list alone would match less, so the list goes; in a
 * list of what must not, only the value goes. Both make a DENY match more; an ALLOW with an
 * unreadable match never matches.
 */
struct list_state {
    bool paths; /* the only texts that have templates */
    bool unreadable;
};

static int check_count(const char *name, size_t n, size_t max, char why[static XDS_WHY_MAX])
{
    return n > max ? wire_refuse(why, "%s: has %zu entries, at most %zu are allowed", name, n, max)
                   : 0;
}

static int take_text(char **field, const char *value, const char *name, bool required,
                     char why[static XDS_WHY_MAX])
{
    struct text t = text_of(value);

    if (required && t.len == 0)
        return wire_refuse(why, "%s: must not be empty", name);
    if (t.len > STRING_MATCH_MAX)
        return wire_refuse(why, "%s: has %zu bytes, at most %d are allowed", name, t.len,
                           STRING_MATCH_MAX);
    char *copy = text_dup(t);
    if (!copy)
        return wire_no_memory(why);
    free(*field);
    *field = copy;
    return 0;
}

static int take_strings(struct string_matches *ret, Istio__Security__StringMatch **values, size_t n,
                        struct list_state *state, const char *name, char why[static XDS_WHY_MAX])
{
    int r = check_count(name, n, POLICY_VALUES_MAX, why);
    if (r < 0 || n == 0)
        return r;
    if (!(ret->items = calloc(n, sizeof *ret->items)))
        return wire_no_memory(why);
    for (size_t i = 0; i < n; i++) {
        const Istio__Security__StringMatch *from = values[i];
        const char *value = "";
        enum string_match_kind kind = MATCH_PRESENCE;
        if (from->match_type_case == ISTIO__SECURITY__STRING_MATCH__MATCH_TYPE__NOT_SET ||
            from->base.n_unknown_fields > 0) {
            state->unreadable = true;
            continue;
        }
        if (from->match_type_case == ISTIO__SECURITY__STRING_MATCH__MATCH_TYPE_EXACT) {
            kind = MATCH_EXACT;
            value = from->exact;
        } else if (from->match_type_case == ISTIO__SECURITY__STRING_MATCH__MATCH_TYPE_PREFIX) {
            kind = MATCH_PREFIX;
            value = from->prefix;
        } else if (from->match_type_case == ISTIO__SECURITY__STRING_MATCH__MATCH_TYPE_SUFFIX) {
            kind = MATCH_SUFFIX;
            value = from->suffix;
        } else if (from->match_type_case == ISTIO__SECURITY__STRING_MATCH__MATCH_TYPE_TEMPLATE) {
            const char *wrong = path_template_check(text_of(from->template_));
            kind = MATCH_TEMPLATE;
            value = from->template_;
            if (wrong || !state->paths)
                return wire_refuse(why, "%s.template: %s", name,
                                   wrong ? wrong : "is of paths alone");
        }
        struct string_match *to = &ret->items[ret->n++];
        to->kind = kind;
        if ((r = take_text(&to->value, value, name, false, why)) < 0)
            return r;
    }
    return 0;
}

static int take_accounts(struct account_matches *ret, Istio__Security__ServiceAccountMatch **values,
                         size_t n, struct list_state *state, const char *name,
                         char why[static XDS_WHY_MAX])
{
    int r = check_count(name, n, POLICY_VALUES_MAX, why);
    if (r < 0 || n == 0)
        return r;
    if (!(ret->items = calloc(n, sizeof *ret->items)))
        return wire_no_memory(why);
    for (size_t i = 0; i < n; i++) {
        if (values[i]->base.n_unknown_fields > 0) {
            state->unreadable = true;
            continue;
        }
        struct account_match *to = &ret->items[ret->n++];
        if ((r = take_text(&to->ns, values[i]->namespace_, name, true, why)) < 0 ||
            (r = take_text(&to->service_account, values[i]->serviceaccount, name, true, why)) < 0)
            return r;
    }
    return 0;
}

static int take_prefixes(struct prefix_matches *ret, Istio__Security__Address **values, size_t n,
                         struct list_state *state, const char *name, char why[static XDS_WHY_MAX])
{
    int r = check_count(name, n, POLICY_VALUES_MAX, why);
    if (r < 0 || n == 0)
        return r;
    if (!(ret->items = calloc(n, sizeof *ret->items)))
        return wire_no_memory(why);
    for (size_t i = 0; i < n; i++) {
        const Istio__Security__Address *from = values[i];
        char ip[IP_TEXT_MAX], both[IP_TEXT_MAX + 16];
        size_t len = from->address.len;
        if (from->base.n_unknown_fields > 0) {
            state->unreadable = true;
            continue;
        }
        if (len != 4 && len != 16)
            return wire_refuse(why, "%s.address: has %zu bytes, must be 4 or 16", name, len);
        if (from->length > len * 8)
            return wire_refuse(why, "%s.length: %u is more than %zu bits", name, from->length,
                               len * 8);
        /* As text, since there the rules for ::ffff:a.b.c.d and for host bits are. */
        if (!inet_ntop(len == 4 ? AF_INET : AF_INET6, from->address.data, ip, sizeof ip))
            return wire_refuse(why, "%s.address: not an address", name);
        (void)snprintf(both, sizeof both, "%s/%u", ip, from->length);
        if (prefix_parse(text_of(both), &ret->items[ret->n]) < 0)
            return wire_refuse(why, "%s: %s is no prefix", name, both);
        ret->n++;
    }
    return 0;
}

static int take_match_ports(struct port_matches *ret, const uint32_t *values, size_t n,
                            const char *name, char why[static XDS_WHY_MAX])
{
    int r = check_count(name, n, POLICY_VALUES_MAX, why);
    if (r < 0 || n == 0)
        return r;
    if (!(ret->items = calloc(n, sizeof *ret->items)))
        return wire_no_memory(why);
    for (size_t i = 0; i < n; i++) {
        if (values[i] == 0 || values[i] > UINT16_MAX)
            return wire_refuse(why, "%s: %u is not in 1 to 65535", name, values[i]);
        ret->items[ret->n++] = (uint16_t)values[i];
    }
    return 0;
}

static void drop_strings(struct string_matches *m)
{
    for (size_t i = 0; i < m->n; i++)
        free(m->items[i].value);
    m->n = 0;
}

static void drop_accounts(struct account_matches *m)
{
    for (size_t i = 0; i < m->n; i++) {
        free(m->items[i].ns);
        free(m->items[i].service_account);
    }
    m->n = 0;
}

#define TAKE(take, drop, ours, theirs, name)                                                       \
    do {                                                                                           \
        struct list_state state = {.paths = text_ends_with(TEXT(#theirs), TEXT("paths"))};         \
        r = take(&to->ours, m->theirs, m->n_##theirs, &state, name "." #theirs, why);              \
        if (r < 0)                                                                                 \
            return r;                                                                              \
        *ret_unreadable = *ret_unreadable || state.unreadable;                                     \
        if (state.unreadable)                                                                      \
            drop(&to->ours);                                                                       \
    } while (0)
#define DROP_PREFIXES(matches) ((matches)->n = 0)
#define KEEP(matches)          ((void)(matches))

static int take_header(struct request_header *to, const Istio__Security__HeaderMatch *m,
                       bool *ret_unreadable, char why[static XDS_WHY_MAX])
{
    int r = take_text(&to->name, m->name, "match.request.headers.name", true, why);
    if (r < 0)
        return r;
    if (!http_is_token(text_of(m->name)))
        return wire_refuse(why, "match.request.headers.name: '%s' is no header's name", m->name);
    for (char *c = to->name; *c; c++)
        *c = text_lower(*c);
    *ret_unreadable = *ret_unreadable || m->base.n_unknown_fields > 0;
    TAKE(take_strings, drop_strings, values, values, "match.request.headers");
    TAKE(take_strings, KEEP, not_values, not_values, "match.request.headers");
    return 0;
}

static int take_request(struct policy_match *match, const Istio__Security__RequestMatch *m,
                        bool *ret_unreadable, char why[static XDS_WHY_MAX])
{
    int r = check_count("match.request.headers", m->n_headers, POLICY_VALUES_MAX, why);
    if (r < 0)
        return r;
    struct request_match *to = match->request = calloc(1, sizeof *to);
    if (!to || (m->n_headers > 0 && !(to->headers = calloc(m->n_headers, sizeof *to->headers))))
        return wire_no_memory(why);
    *ret_unreadable = *ret_unreadable || m->base.n_unknown_fields > 0;
    TAKE(take_strings, drop_strings, methods, methods, "match.request");
    TAKE(take_strings, KEEP, not_methods, not_methods, "match.request");
    TAKE(take_strings, drop_strings, hosts, hosts, "match.request");
    TAKE(take_strings, KEEP, not_hosts, not_hosts, "match.request");
    TAKE(take_strings, drop_strings, paths, paths, "match.request");
    TAKE(take_strings, KEEP, not_paths, not_paths, "match.request");
    while (to->n_headers < m->n_headers) {
        const Istio__Security__HeaderMatch *from = m->headers[to->n_headers];
        if ((r = take_header(&to->headers[to->n_headers++], from, ret_unreadable, why)) < 0)
            return r;
    }
    return 0;
}

static int take_match(struct policy_match *to, const Istio__Security__Match *m,
                      char why[static XDS_WHY_MAX])
{
    bool *ret_unreadable = &to->unreadable;
    int r = 0;

    to->unreadable = m->n_extensions > 0 || m->base.n_unknown_fields > 0;
    TAKE(take_strings, drop_strings, namespaces, namespaces, "match");
    TAKE(take_strings, KEEP, not_namespaces, not_namespaces, "match");
    TAKE(take_strings, drop_strings, principals, principals, "match");
    TAKE(take_strings, KEEP, not_principals, not_principals, "match");
    TAKE(take_accounts, drop_accounts, accounts, service_accounts, "match");
    TAKE(take_accounts, KEEP, not_accounts, not_service_accounts, "match");
    TAKE(take_prefixes, DROP_PREFIXES, source_ips, source_ips, "match");
    TAKE(take_prefixes, KEEP, not_source_ips, not_source_ips, "match");
    TAKE(take_prefixes, DROP_PREFIXES, destination_ips, destination_ips, "match");
    TAKE(take_prefixes, KEEP, not_destination_ips, not_destination_ips, "match");
    if (m->request && (r = take_request(to, m->request, &to->unreadable, why)) < 0)
        return r;
    if ((r = take_match_ports(&to->destination_ports, m->destination_ports, m->n_destination_ports,
                              "match.destination_ports", why)) < 0)
        return r;
    return take_match_ports(&to->not_destination_ports, m->not_destination_ports,
                            m->n_not_destination_ports, "match.not_destination_ports", why);
}

#undef TAKE
#undef DROP_PREFIXES
#undef KEEP

/* What is not known in a clause may be one more way to match: of a DENY, a match that always
 * does. */
static int take_clause(struct policy_clause *to, const Istio__Security__Clause *m,
                       char why[static XDS_WHY_MAX])
{
    bool unknown = m->base.n_unknown_fields > 0;
    int r = check_count("clause.matches", m->n_matches, PARTS_MAX, why);
    if (r < 0)
        return r;
    if (!(to->matches = calloc(m->n_matches + 1, sizeof *to->matches)))
        return wire_no_memory(why);
    to->n = m->n_matches + unknown;
    to->matches[m->n_matches].unreadable = unknown;
    for (size_t i = 0; i < m->n_matches; i++) {
        if ((r = take_match(&to->matches[i], m->matches[i], why)) < 0)
            return r;
    }
    return 0;
}

/* What is not known in a rule may be one more condition: a clause of its own, which can't be
 * read. */
static int take_rule(struct policy_rule *to, const Istio__Security__Rule *m,
                     char why[static XDS_WHY_MAX])
{
    bool unknown = m->base.n_unknown_fields > 0;
    int r = check_count("rule.clauses", m->n_clauses, PARTS_MAX, why);
    if (r < 0)
        return r;
    if (!(to->clauses = calloc(m->n_clauses + 1, sizeof *to->clauses)))
        return wire_no_memory(why);
    to->n = m->n_clauses + unknown;
    for (size_t i = 0; i < m->n_clauses; i++) {
        if ((r = take_clause(&to->clauses[i], m->clauses[i], why)) < 0)
            return r;
    }
    if (unknown) {
        struct policy_clause *last = &to->clauses[m->n_clauses];
        if (!(last->matches = calloc(1, sizeof *last->matches)))
            return wire_no_memory(why);
        last->n = 1;
        last->matches[0].unreadable = true;
    }
    return 0;
}

static int take_rules(struct policy_rule **ret, size_t *ret_n, Istio__Security__Rule **rules,
                      size_t n, const char *name, char why[static XDS_WHY_MAX])
{
    int r = check_count(name, n, POLICY_RULES_MAX, why);
    if (r < 0 || n == 0)
        return r;
    if (!(*ret = calloc(n, sizeof **ret)))
        return wire_no_memory(why);
    *ret_n = n;
    for (size_t i = 0; i < n; i++) {
        if ((r = take_rule(&(*ret)[i], rules[i], why)) < 0)
            return r;
    }
    return 0;
}

static int take_policy(struct policy *p, const Istio__Security__Authorization *m,
                       char why[static XDS_WHY_MAX])
{
    char key[POLICY_NAME_MAX];
    struct text_out out = TEXT_OUT(key);
    int r;

    if ((r = take_text(&p->name, m->name, "authorization.name", true, why)) < 0 ||
        (r = take_text(&p->ns, m->namespace_, "authorization.namespace", true, why)) < 0)
        return r;
    text_puts(&out, p->ns);
    text_putc(&out, '/');
    text_puts(&out, p->name);
    if (out.overflow)
        return wire_refuse(why, "authorization.name: namespace/name is longer than %d bytes",
                           POLICY_NAME_MAX - 1);
    if ((r = take_text(&p->key, key, "authorization.name", true, why)) < 0)
        return r;
    if ((unsigned)m->scope > POLICY_WORKLOAD)
        return wire_refuse(why, "authorization.scope: %d is no value known here (0 to 2)",
                           (int)m->scope);
    if ((unsigned)m->action > POLICY_DENY)
        return wire_refuse(why, "authorization.action: %d is no value known here (0 to 1)",
                           (int)m->action);
    p->scope = (enum policy_scope)m->scope;
    p->action = m->audit ? POLICY_AUDIT : (enum policy_action)m->action;
    p->dry_run = m->dry_run && !m->audit;
    if ((r = take_rules(&p->rules, &p->n_rules, m->rules, m->n_rules, "authorization.rules", why)) <
        0)
        return r;
    return take_rules(&p->http_rules, &p->n_http_rules, m->http_rules, m->n_http_rules,
                      "authorization.http_rules", why);
}

int xds_policy_decode(const uint8_t *data, size_t len, struct policy **ret,
                      char why[static XDS_WHY_MAX])
{
    const ProtobufCMessage *m;
    struct policy *p = NULL;
    struct arena arena;

    arena_init(&arena, wire_space(len, GROWTH));
    int r = wire_unpack(&istio__security__authorization__descriptor, data, len, &arena, &m, why);
    if (r < 0)
        goto done;
    p = policy_new();
    r = p ? take_policy(p, (const Istio__Security__Authorization *)m, why) : wire_no_memory(why);
    if (r < 0)
        (void)policy_free(p);
    else
        *ret = p;
done:
    arena_done(&arena);
    return r;
}

/* ---- Encoding ------------------------------------------------------------------------------ */

static Istio__Security__StringMatch **give_strings(struct arena *a, const struct string_matches *m)
{
    static Google__Protobuf__Empty empty = GOOGLE__PROTOBUF__EMPTY__INIT;
    Istio__Security__StringMatch **list = arena_zero(a, m->n, sizeof *list);
    Istio__Security__StringMatch *items = arena_zero(a, m->n, sizeof *items);

    for (size_t i = 0; list && items && i < m->n; i++) {
        Istio__Security__StringMatch *to = list[i] = &items[i];
        istio__security__string_match__init(to);
        switch (m->items[i].kind) {
        case MATCH_EXACT:
            to->match_type_case = ISTIO__SECURITY__STRING_MATCH__MATCH_TYPE_EXACT;
            to->exact = m->items[i].value;
            break;
        case MATCH_PREFIX:
            to->match_type_case = ISTIO__SECURITY__STRING_MATCH__MATCH_TYPE_PREFIX;
            to->prefix = m->items[i].value;
            break;
        case MATCH_SUFFIX:
            to->match_type_case = ISTIO__SECURITY__STRING_MATCH__MATCH_TYPE_SUFFIX;
            to->suffix = m->items[i].value;
            break;
        case MATCH_PRESENCE:
            to->match_type_case = ISTIO__SECURITY__STRING_MATCH__MATCH_TYPE_PRESENCE;
            to->presence = &empty;
            break;
        case MATCH_TEMPLATE:
            to->match_type_case = ISTIO__SECURITY__STRING_MATCH__MATCH_TYPE_TEMPLATE;
            to->template_ = m->items[i].value;
            break;
        }
    }
    return items ? list : NULL;
}

static Istio__Security__ServiceAccountMatch **give_accounts(struct arena *a,
                                                            const struct account_matches *m)
{
    Istio__Security__ServiceAccountMatch **list = arena_zero(a, m->n, sizeof *list);
    Istio__Security__ServiceAccountMatch *items = arena_zero(a, m->n, sizeof *items);

    for (size_t i = 0; list && items && i < m->n; i++) {
        istio__security__service_account_match__init(&items[i]);
        items[i].namespace_ = m->items[i].ns;
        items[i].serviceaccount = m->items[i].service_account;
        list[i] = &items[i];
    }
    return items ? list : NULL;
}

static Istio__Security__Address **give_prefixes(struct arena *a, const struct prefix_matches *m)
{
    Istio__Security__Address **list = arena_zero(a, m->n, sizeof *list);
    Istio__Security__Address *items = arena_zero(a, m->n, sizeof *items);

    for (size_t i = 0; list && items && i < m->n; i++) {
        istio__security__address__init(&items[i]);
        items[i].address = (ProtobufCBinaryData){m->items[i].ip.len, m->items[i].ip.bytes};
        items[i].length = m->items[i].bits;
        list[i] = &items[i];
    }
    return items ? list : NULL;
}

static uint32_t *give_match_ports(struct arena *a, const struct port_matches *m)
{
    uint32_t *items = arena_zero(a, m->n, sizeof *items);

    for (size_t i = 0; items && i < m->n; i++)
        items[i] = m->items[i];
    return items;
}

#define GIVE(give, theirs, ours) (to->n_##theirs = m->ours.n, (to->theirs = give(a, &m->ours)))

static Istio__Security__HeaderMatch **give_headers(struct arena *a, const struct request_match *m)
{
    Istio__Security__HeaderMatch **list = arena_zero(a, m->n_headers, sizeof *list);
    Istio__Security__HeaderMatch *items = arena_zero(a, m->n_headers, sizeof *items);

    for (size_t i = 0; list && items && i < m->n_headers; i++) {
        const struct request_header *h = &m->headers[i];
        Istio__Security__HeaderMatch *to = list[i] = &items[i];
        istio__security__header_match__init(to);
        to->name = h->name;
        to->n_values = h->values.n;
        to->n_not_values = h->not_values.n;
        to->values = give_strings(a, &h->values);
        to->not_values = give_strings(a, &h->not_values);
        if (!to->values || !to->not_values)
            return NULL;
    }
    return items ? list : NULL;
}

static Istio__Security__RequestMatch *give_request(struct arena *a, const struct request_match *m)
{
    Istio__Security__RequestMatch *to = arena_zero(a, 1, sizeof *to);

    if (!to)
        return NULL;
    istio__security__request_match__init(to);
    to->n_headers = m->n_headers;
    to->headers = give_headers(a, m);
    return to->headers && GIVE(give_strings, methods, methods) &&
                   GIVE(give_strings, not_methods, not_methods) &&
                   GIVE(give_strings, hosts, hosts) && GIVE(give_strings, not_hosts, not_hosts) &&
                   GIVE(give_strings, paths, paths) && GIVE(give_strings, not_paths, not_paths)
               ? to
               : NULL;
}

static bool give_match(struct arena *a, const struct policy_match *m, Istio__Security__Match *to)
{
    static Istio__Workload__Extension unreadable = {
        PROTOBUF_C_MESSAGE_INIT(&istio__workload__extension__descriptor), unreadable_name, NULL};
    static Istio__Workload__Extension *extensions[] = {&unreadable};

    istio__security__match__init(to);
    if (m->unreadable) {
        to->n_extensions = 1;
        to->extensions = extensions;
    }
    if (m->request && !(to->request = give_request(a, m->request)))
        return false;
    return GIVE(give_strings, namespaces, namespaces) &&
           GIVE(give_strings, not_namespaces, not_namespaces) &&
           GIVE(give_strings, principals, principals) &&
           GIVE(give_strings, not_principals, not_principals) &&
           GIVE(give_accounts, service_accounts, accounts) &&
           GIVE(give_accounts, not_service_accounts, not_accounts) &&
           GIVE(give_prefixes, source_ips, source_ips) &&
           GIVE(give_prefixes, not_source_ips, not_source_ips) &&
           GIVE(give_prefixes, destination_ips, destination_ips) &&
           GIVE(give_prefixes, not_destination_ips, not_destination_ips) &&
           GIVE(give_match_ports, destination_ports, destination_ports) &&
           GIVE(give_match_ports, not_destination_ports, not_destination_ports);
}
#undef GIVE

static bool give_clause(struct arena *a, const struct policy_clause *c, Istio__Security__Clause *to)
{
    Istio__Security__Match *items = arena_zero(a, c->n, sizeof *items);

    istio__security__clause__init(to);
    to->n_matches = c->n;
    to->matches = arena_zero(a, c->n, sizeof *to->matches);
    if (!items || !to->matches)
        return false;
    for (size_t i = 0; i < c->n; i++) {
        to->matches[i] = &items[i];
        if (!give_match(a, &c->matches[i], &items[i]))
            return false;
    }
    return true;
}

static bool give_rule(struct arena *a, const struct policy_rule *r, Istio__Security__Rule *to)
{
    Istio__Security__Clause *items = arena_zero(a, r->n, sizeof *items);

    istio__security__rule__init(to);
    to->n_clauses = r->n;
    to->clauses = arena_zero(a, r->n, sizeof *to->clauses);
    if (!items || !to->clauses)
        return false;
    for (size_t i = 0; i < r->n; i++) {
        to->clauses[i] = &items[i];
        if (!give_clause(a, &r->clauses[i], &items[i]))
            return false;
    }
    return true;
}

static Istio__Security__Rule **give_rules(struct arena *a, const struct policy_rule *rules,
                                          size_t n)
{
    Istio__Security__Rule **list = arena_zero(a, n, sizeof *list);
    Istio__Security__Rule *items = arena_zero(a, n, sizeof *items);

    for (size_t i = 0; list && items && i < n; i++) {
        list[i] = &items[i];
        if (!give_rule(a, &rules[i], &items[i]))
            return NULL;
    }
    return items ? list : NULL;
}

int xds_policy_encode(const struct policy *p, struct xds_bytes *ret)
{
    Istio__Security__Authorization m = ISTIO__SECURITY__AUTHORIZATION__INIT;
    struct arena a;
    int r = -ENOMEM;

    arena_init(&a, SIZE_MAX);
    m.name = p->name;
    m.namespace_ = p->ns;
    m.scope = (Istio__Security__Scope)p->scope;
    m.audit = p->action == POLICY_AUDIT;
    m.action =
        p->action == POLICY_ALLOW ? ISTIO__SECURITY__ACTION__ALLOW : ISTIO__SECURITY__ACTION__DENY;
    m.dry_run = p->dry_run || m.audit;
    m.n_rules = p->n_rules;
    m.rules = give_rules(&a, p->rules, p->n_rules);
    m.n_http_rules = p->n_http_rules;
    m.http_rules = give_rules(&a, p->http_rules, p->n_http_rules);
    if (m.rules && m.http_rules)
        r = wire_pack(&m.base, ret);
    arena_done(&a);
    return r;
}
