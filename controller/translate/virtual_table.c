#include "controller/translate/virtual_table.h"
#include "controller/translate/rule_attach.h"
#include "controller/translate/stream_hosts.h"
#include "controller/translate/virtual_attach.h"
#include "controller/translate/virtual_delegate.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { CHOICES_MAX = 5, RETRIES_DEFAULT = 2 };

void virtual_cluster_name(uint16_t port, const char *subset, const char *host,
                          char out[static GATEWAY_CLUSTER_MAX])
{
    snprintf(out, GATEWAY_CLUSTER_MAX, "outbound|%u|%s|%s", port, subset, host);
}

/* ---- Where a rule leads to ------------------------------------------------------------------ */

/* The port that is said, or the only one, or the one that the client asked for. */
static uint16_t port_of(const struct virtual_destination *d, const struct object *service,
                        uint16_t asked)
{
    if (d->port)
        return d->port;
    return service && service->service.n_ports == 1 ? service->service.ports[0].port : asked;
}

static struct text cluster_of(struct gateway_build *b, const struct object *from,
                              const struct virtual_destination *d)
{
    char host[VIEW_KEY_MAX], name[GATEWAY_CLUSTER_MAX];
    const struct object *service = traffic_service(b->view, from->ns, d->host);
    virtual_cluster_name(port_of(d, service, b->scope->port->port), d->subset,
                         traffic_full_host(b->view, from->ns, d->host, host).data, name);
    return gateway_copy(b, text_of(name));
}

/* Is its cluster one that hashes? */
static bool hash_of(const struct gateway_build *b, const struct object *from,
                    const struct virtual_destination *d, struct hash_policy *ret)
{
    struct traffic_policy p;
    struct rules rules = {.n = 0};
    const struct object *service = traffic_service(b->view, from->ns, d->host);
    if (service)
        rules_find(b->view, service, &rules);
    if (rules.n == 0 || !rules_policy(&rules, port_of(d, service, b->scope->port->port),
                                      d->subset[0] ? rules_subset(&rules, d->subset) : NULL, &p))
        return false;
    if (!p.balance || !p.balance->hashed)
        return false;
    *ret = p.balance->hash;
    return true;
}

/* ---- Actions -------------------------------------------------------------------------------- */

static const struct retry_policy *retry(struct gateway_build *b, const struct virtual_rule *rule,
                                        bool hashed)
{
    const struct retry_policy *said = rule->action.forward.retry;
    if (rule->retries_said && (!said || !hashed))
        return said;
    struct retry_policy *p = gateway_take(b, 1, sizeof *p);
    if (!p)
        return NULL;
    if (said)
        *p = *said;
    else
        *p = (struct retry_policy){.on = RETRY_CONNECT_FAILURE | RETRY_REFUSED_STREAM |
                                         RETRY_GRPC_UNAVAILABLE | RETRY_GRPC_CANCELLED |
                                         RETRY_STATUS_CODES,
                                   .retries_max = RETRIES_DEFAULT,
                                   .backoff_base_ms = RETRY_BACKOFF_BASE_MS,
                                   .backoff_max_ms = RETRY_BACKOFF_FACTOR * RETRY_BACKOFF_BASE_MS};
    p->avoid_tried = !hashed; /* the hash says where to, and that is where it goes */
    p->choices_max = hashed ? 0 : CHOICES_MAX;
    return p;
}

static void forward(struct gateway_build *b, const struct object *from,
                    const struct virtual_rule *rule, struct route_forward *f)
{
    const struct route_forward *said = &rule->action.forward;
    f->backends = gateway_take(b, said->n_backends, sizeof *f->backends);
    f->hashes = gateway_take(b, said->n_backends, sizeof *f->hashes);
    f->mirrors = gateway_take(b, said->n_mirrors, sizeof *f->mirrors);
    f->n_backends = f->n_hashes = f->n_mirrors = 0;
    for (size_t i = 0; !b->failed && i < said->n_backends; i++) {
        if (said->backends[i].weight == 0)
            continue;
        f->backends[f->n_backends] = said->backends[i];
        f->backends[f->n_backends++].cluster = cluster_of(b, from, &rule->backends[i]);
        f->n_hashes += hash_of(b, from, &rule->backends[i], &f->hashes[f->n_hashes]);
    }
    for (size_t i = 0; !b->failed && i < said->n_mirrors; i++) {
        f->mirrors[i] = said->mirrors[i];
        f->mirrors[f->n_mirrors++].cluster = cluster_of(b, from, &rule->mirrors[i]);
    }
    f->retry = retry(b, rule, f->n_hashes > 0);
    /* One backend's host counts as the route's, unless that has one. */
    if (f->n_backends == 1 && f->backends[0].host.len > 0) {
        if (f->host.kind == HOST_KEEP)
            f->host = (struct host_rewrite){.kind = HOST_LITERAL, .value = f->backends[0].host};
        f->backends[0].host = TEXT("");
    }
}

/* Expressions are compiled in place, so that they are the table's own. */
static const struct cors *cors(struct gateway_build *b, const struct cors *from)
{
    struct cors *c = from ? gateway_take(b, 1, sizeof *c) : NULL;
    if (!c)
        return NULL;
    *c = *from;
    c->origins = gateway_take(b, from->n_origins, sizeof *c->origins);
    if (c->origins && from->n_origins > 0)
        memcpy(c->origins, from->origins, from->n_origins * sizeof *c->origins);
    return c;
}

static void action(struct gateway_build *b, const struct object *from,
                   const struct virtual_rule *rule, struct route_action *ret)
{
    if (rule->flaw.kind != GATEWAY_NO_FLAW) {
        *ret = (struct route_action){.kind = ROUTE_RESPOND, .respond = {500, TEXT("")}};
        return;
    }
    *ret = rule->action;
    ret->cors = cors(b, rule->action.cors);
    if (ret->kind == ROUTE_FORWARD)
        forward(b, from, rule, &ret->forward);
    if (ret->kind == ROUTE_REDIRECT && rule->port_of_request)
        ret->redirect.port = b->scope->port->port;
}

static void match(struct gateway_build *b, const struct virtual_match *from,
                  struct route_match *ret)
{
    *ret = (struct route_match){.path = {.kind = PATH_PREFIX, .value = TEXT("/")}};
    if (!from)
        return;
    *ret = from->match;
    ret->headers = gateway_take(b, from->match.n_headers, sizeof *ret->headers);
    ret->queries = gateway_take(b, from->match.n_queries, sizeof *ret->queries);
    if (b->failed)
        return;
    for (size_t i = 0; i < ret->n_headers; i++)
        ret->headers[i] = from->match.headers[i];
    for (size_t i = 0; i < ret->n_queries; i++)
        ret->queries[i] = from->match.queries[i];
}

/* ---- Routes --------------------------------------------------------------------------------- */

/* "shop/reviews/canary.beta", "shop/reviews/0" */
static struct text route_name(struct gateway_build *b, const struct object *from, size_t i,
                              const struct virtual_match *m)
{
    char text[2 * OBJECT_KEY_MAX];
    struct text_out out = TEXT_OUT(text);
    const char *name = virtual_rules(from, b->scope->streams).items[i].name;
    text_printf(&out, "%s/%s/", from->ns, from->name);
    if (name[0])
        text_printf(&out, "%.200s", name);
    else
        text_printf(&out, "%zu", i);
    if (m && m->name[0])
        text_printf(&out, ".%.100s", m->name);
    return gateway_copy(b, (struct text){out.data, out.len});
}

static bool is_for_some(const struct source_match *s)
{
    return s->ns.len > 0 || s->n_labels > 0;
}

static void default_route(struct gateway_build *b, struct route *r)
{
    char name[GATEWAY_CLUSTER_MAX];
    const struct gateway_scope *s = b->scope;
    struct route_backend *only = gateway_take(b, 1, sizeof *only);
    if (!only)
        return;
    gateway_cluster_name(b->view, s->service->ns, s->service->name, s->port->port, name);
    *only = (struct route_backend){.cluster = gateway_copy(b, text_of(name)), .weight = 1};
    *r = (struct route){.name = TEXT("default"),
                        .match.path = {.kind = PATH_PREFIX, .value = TEXT("/")},
                        .action = {.kind = ROUTE_FORWARD,
                                   .forward = {.backends = only,
                                               .n_backends = 1,
                                               .no_cluster_status = 503,
                                               .grpc_timeout = true}}};
}

/* Where all routes are meant for some clients only: these get 404 for what none takes, and the others
 * go on as if there were no routes. */
static void add_others(struct gateway_build *b, struct virtual_host *h)
{
    size_t n = h->n_routes;
    for (size_t i = 0; i < n; i++)
        if (!is_for_some(&h->routes[i].match.source))
            return;
    for (size_t i = 0; i < n; i++)
        h->routes[h->n_routes++] =
            (struct route){.name = TEXT("unmatched"),
                           .match = {.path = {.kind = PATH_PREFIX, .value = TEXT("/")},
                                     .source = h->routes[i].match.source},
                           .action = {.kind = ROUTE_RESPOND, .respond = {404, TEXT("")}}};
    default_route(b, &h->routes[h->n_routes++]);
}

static void add_route(struct gateway_build *b, const struct object *from, size_t i,
                      const struct virtual_match *m, struct virtual_host *h)
{
    if (b->failed || !virtual_match_means(m, b->scope->port->port))
        return;
    struct route *r = &h->routes[h->n_routes++];
    r->name = route_name(b, from, i, m);
    match(b, m, &r->match);
    action(b, from, &from->virtual_service.rules[i], &r->action);
}

/* At least one: without matches it takes everything. */
static size_t n_matches(const struct virtual_rule *rule)
{
    return rule->n_matches ? rule->n_matches : 1;
}

static const struct virtual_match *match_at(const struct virtual_rule *rule, size_t i)
{
    return rule->n_matches ? &rule->matches[i] : NULL;
}

/* Whose rules stand in a rule's place; NULL: its own action does. */
static const struct object *delegate_of(const struct gateway_build *b, const struct object *from,
                                        const struct virtual_rule *rule)
{
    char text[GATEWAY_MESSAGE_MAX];
    struct text_out why = TEXT_OUT(text);
    bool delegates = rule->delegate.name[0] && rule->flaw.kind == GATEWAY_NO_FLAW;
    return delegates ? virtual_delegate(b->view, from, rule, &why) : NULL;
}

static size_t count_routes(const struct gateway_build *b, const struct object *from)
{
    const struct virtual_service *s = &from->virtual_service;
    size_t n = 0;
    for (size_t i = 0; i < s->n_rules; i++) {
        const struct object *delegate = delegate_of(b, from, &s->rules[i]);
        size_t each = delegate ? 0 : 1;
        for (size_t j = 0; delegate && j < delegate->virtual_service.n_rules; j++)
            each += n_matches(&delegate->virtual_service.rules[j]);
        n += n_matches(&s->rules[i]) * each;
    }
    return n;
}

/* In the order of the delegate's list: each of its matches within each of the rule's. */
static void add_delegated(struct gateway_build *b, const struct virtual_rule *rule,
                          const struct object *delegate, struct virtual_host *h)
{
    const struct virtual_service *s = &delegate->virtual_service;
    for (size_t i = 0; i < s->n_rules; i++)
        for (size_t j = 0; j < n_matches(&s->rules[i]); j++)
            for (size_t k = 0; k < n_matches(rule) && !b->failed; k++) {
                const struct virtual_match *root = match_at(rule, k);
                const struct virtual_match *leaf = match_at(&s->rules[i], j);
                struct virtual_match m;
                if (!virtual_match_meets(root, leaf))
                    continue;
                if (root || leaf)
                    virtual_match_both(b, root, leaf, &m);
                add_route(b, delegate, i, root || leaf ? &m : NULL, h);
            }
}

static void fill_routes(struct gateway_build *b, const struct object *from, struct virtual_host *h)
{
    const struct virtual_service *s = &from->virtual_service;
    h->routes = gateway_take(b, 2 * count_routes(b, from) + 1, sizeof *h->routes);
    for (size_t i = 0; !b->failed && i < s->n_rules; i++) {
        const struct virtual_rule *rule = &s->rules[i];
        const struct object *delegate = delegate_of(b, from, rule);
        if (delegate)
            add_delegated(b, rule, delegate, h);
        for (size_t j = 0; !delegate && j < n_matches(rule); j++)
            add_route(b, from, i, match_at(rule, j), h);
    }
    if (!b->failed)
        add_others(b, h);
}

/* ---- Routes of connections ------------------------------------------------------------------ */

struct streams { /* in the making; items NULL: they are counted */
    struct stream_route *items;
    size_t n;
};

static void add_stream(struct streams *all, struct text server, const struct route *r)
{
    if (all->items)
        all->items[all->n] = (struct stream_route){.server = server, .route = *r};
    all->n++;
}

/* A route does not know by which address the Service was called: a match that means one of several
 * only can't be honoured. */
static void add_streams(struct gateway_build *b, const struct object *from, size_t i,
                        const struct virtual_match *m, struct streams *all)
{
    const struct virtual_rule *rule = &virtual_rules(from, true).items[i];
    struct route r = {.action.kind = ROUTE_RESPOND};
    const enum virtual_called in = virtual_called(m, b->scope->service);
    if (b->failed || in == VIRTUAL_CALLED_NEVER || !virtual_match_means(m, b->scope->port->port))
        return;
    if (all->items) {
        r.name = route_name(b, from, i, m);
        if (in == VIRTUAL_CALLED_ALWAYS)
            action(b, from, rule, &r.action);
        else
            r.action.respond.status = 500;
        match(b, NULL, &r.match);
        if (m)
            r.match.source = m->match.source;
    }
    for (size_t j = 0; rule->tls && m && j < m->servers.n; j++)
        add_stream(all, text_of(m->servers.items[j]), &r);
    if (!rule->tls)
        add_stream(all, TEXT("*"), &r);
}

static void each_stream(struct gateway_build *b, const struct object *from, struct streams *all)
{
    const struct virtual_rules rules = virtual_rules(from, true);
    for (size_t i = 0; i < rules.n; i++) {
        if (rules.items[i].n_matches == 0)
            add_streams(b, from, i, NULL, all);
        for (size_t j = 0; j < rules.items[i].n_matches; j++)
            add_streams(b, from, i, &rules.items[i].matches[j], all);
    }
}

/* Where nothing of it is about the addresses of this Service, there is but the default route. */
static void fill_streams(struct gateway_build *b, const struct object *from, struct route_table *t)
{
    struct streams all = {0};
    each_stream(b, from, &all);
    b->failed |= all.n > STREAM_ROUTES_MAX;
    all.items = b->failed ? NULL : calloc(all.n + 1, sizeof *all.items);
    b->failed |= !all.items;
    all.n = 0;
    if (!b->failed)
        each_stream(b, from, &all);
    if (!b->failed && all.n == 0) {
        default_route(b, &all.items[0].route);
        all.items[all.n++].server = TEXT("*");
    }
    if (!b->failed)
        stream_hosts(b, all.items, all.n, t);
    for (size_t i = 0; !b->failed && i < t->n_hosts; i++)
        add_others(b, &t->hosts[i]);
    free(all.items);
}

/* ---- Tables --------------------------------------------------------------------------------- */

enum whole { AS_WRITTEN, REFUSED };

static int make(const struct view *v, const struct gateway_scope *s, const struct object *from,
                enum whole whole, struct gateway_tables *all, char why[static WHY_MAX])
{
    struct route_table *t = gateway_tables_new(all);
    if (!t)
        return -ENOMEM;
    struct gateway_build b = {
        .view = v, .scope = s, .arena = &t->arena, .refusing = whole == REFUSED};
    t->name = gateway_table_name(&b, s->ns);
    bool means = whole == AS_WRITTEN && virtual_means(from, s->streams, s->port->port);
    struct virtual_host *h = gateway_take(&b, 1, sizeof *h);
    struct text *any = gateway_take(&b, 1, sizeof *any);
    if (means && s->streams)
        fill_streams(&b, from, t);
    else if (!b.failed) {
        *any = TEXT("*");
        *h = (struct virtual_host){.name = t->name, .domains = any, .n_domains = 1};
        t->hosts = h;
        t->n_hosts = 1;
        if (means)
            fill_routes(&b, from, h);
        else if ((h->routes = gateway_take(&b, 1, sizeof *h->routes))) {
            default_route(&b, &h->routes[h->n_routes++]);
            if (whole == REFUSED)
                h->routes[0].action =
                    (struct route_action){.kind = ROUTE_RESPOND, .respond = {500, TEXT("")}};
        }
    }
    return gateway_tables_add(all, &b, t, why);
}

/* Closed, if it can't be made, and not as if there were none. That is told once of each. */
static int add(const struct view *v, const struct gateway_scope *s, struct virtual_speaker *speaker,
               struct gateway_tables *all, struct problems *problems)
{
    const struct object *from = speaker->object;
    char why[WHY_MAX] = "", key[OBJECT_KEY_MAX];
    int err = make(v, s, from, AS_WRITTEN, all, why);
    if (err == -EINVAL && !speaker->told) {
        speaker->told = true;
        object_key(from->kind, from->ns, from->name, key);
        problems_add(problems, PROBLEM_ERROR, from->file, from->line, key, "",
                     "its rules for port %u of Service %s/%s can't be sent to the proxies, and all "
                     "is refused there: %s",
                     s->port->port, s->service->ns, s->service->name, why);
    }
    return err == -EINVAL ? make(v, s, from, REFUSED, all, why) : err;
}

/* Does the Gateway API have the port for the clients of this namespace? */
static bool taken_for(const struct view *v, const struct gateway_scope *s)
{
    return gateway_scope_kind(v, s) != OBJECT_KIND_COUNT;
}

/* One for the clients of a namespace, if that is another than everybody's. */
static int add_for(const struct view *v, const struct object *service,
                   bool streams, struct virtual_speakers *speakers,
                   const struct virtual_audience *a, struct gateway_tables *all, struct problems *problems)
{
    struct virtual_speaker *speaker = &speakers->items[a->speaker - speakers->items];
    const struct object *theirs = speaker->object;
    const struct object *everybodys = speakers->everybodys ? speakers->everybodys->object : NULL;
    int err = 0;
    for (size_t i = 0; theirs != everybodys && i < service->service.n_ports && err == 0; i++) {
        const struct kube_service_port *port = &service->service.ports[i];
        const struct gateway_scope s = {service, port, a->ns, streams};
        bool other = virtual_means(theirs, streams, port->port) ||
                     (everybodys && virtual_means(everybodys, streams, port->port));
        if (other && !virtual_loses(v, service, port, streams) && !taken_for(v, &s))
            err = add(v, &s, speaker, all, problems);
    }
    return err;
}

/* Of one part: the rules for requests, or those for connections. */
static int part_tables(const struct view *v, const struct object *service, bool streams,
                       struct gateway_tables *all, struct problems *problems)
{
    struct virtual_speakers speakers;
    struct virtual_audience *audiences = NULL;
    size_t n = 0;
    int err = virtual_speakers(v, service, streams, &speakers);
    if (err < 0)
        return err;
    err = virtual_audiences(&speakers, &audiences, &n);
    for (size_t i = 0; speakers.everybodys && i < service->service.n_ports && err == 0; i++) {
        struct virtual_speaker *o = &speakers.items[speakers.everybodys - speakers.items];
        const struct gateway_scope s = {service, &service->service.ports[i], NULL, streams};
        if (virtual_means(o->object, streams, s.port->port) &&
            !virtual_loses(v, service, s.port, streams))
            err = add(v, &s, o, all, problems);
    }
    for (size_t i = 0; i < n && err == 0; i++)
        err = add_for(v, service, streams, &speakers, &audiences[i], all, problems);
    free(audiences);
    virtual_speakers_done(&speakers);
    return err;
}

int virtual_tables(const struct view *v, const struct object *service, struct gateway_tables *all,
                   struct problems *problems)
{
    int err = part_tables(v, service, false, all, problems);
    return err == 0 ? part_tables(v, service, true, all, problems) : err;
}

bool virtual_has_table(const struct view *v, const struct object *service,
                       const struct kube_service_port *port)
{
    const struct object *o = virtual_for_all(v, service);
    return o && virtual_means(o, false, port->port) && !virtual_loses(v, service, port, false);
}
