#include "controller/translate/gateway_action.h"
#include "controller/translate/traffic_host.h"
#include "shared/mesh/hash64.h"
#include <stdio.h>

enum { CHOICES_MAX = 5 };

void gateway_cluster_name(const struct view *v, const char *ns, const char *name, uint16_t port,
                          char out[static GATEWAY_CLUSTER_MAX])
{
    char host[VIEW_KEY_MAX];
    snprintf(out, GATEWAY_CLUSTER_MAX, "outbound|%u||%s", port,
             traffic_named_host(v, ns, name, host).data);
}

void gateway_refused_name(const struct view *v, const char *ns, const char *name, uint16_t port,
                          char out[static GATEWAY_CLUSTER_MAX])
{
    char host[VIEW_KEY_MAX];
    snprintf(out, GATEWAY_CLUSTER_MAX, "refused|%u||%s", port,
             traffic_named_host(v, ns, name, host).data);
}

/* ---- Headers -------------------------------------------------------------------------------- */

static void put(struct gateway_build *b, struct header_edits *e, enum header_edit_kind kind,
                const struct gateway_texts *texts)
{
    for (size_t i = 0; i < texts->n; i++)
        e->put[e->n_put++] =
            (struct header_edit){.kind = kind,
                                 .name = gateway_copy(b, text_of(texts->items[i].name)),
                                 .value = gateway_copy(b, text_of(texts->items[i].value))};
}

static struct text lower(struct gateway_build *b, struct text t)
{
    char *copy = gateway_take(b, t.len + 1, 1);
    for (size_t i = 0; copy && i < t.len; i++)
        copy[i] = text_lower(t.data[i]);
    return copy ? (struct text){copy, t.len} : TEXT("");
}

static struct header_edits edits(struct gateway_build *b, const struct gateway_edits *from)
{
    struct header_edits e = {
        .put = gateway_take(b, from->set.n + from->add.n, sizeof(struct header_edit)),
        .remove = gateway_take(b, from->remove.n, sizeof(struct text))};
    if (b->failed)
        return e;
    put(b, &e, HEADER_SET, &from->set);
    put(b, &e, HEADER_APPEND, &from->add);
    for (size_t i = 0; i < from->remove.n; i++)
        e.remove[e.n_remove++] = lower(b, text_of(from->remove.items[i]));
    return e;
}

static struct message_edits both_edits(struct gateway_build *b, const struct gateway_filters *f)
{
    return (struct message_edits){edits(b, &f->request), edits(b, &f->response)};
}

/* ---- Paths ---------------------------------------------------------------------------------- */

static struct text without_slash(struct text t)
{
    while (t.len > 0 && t.data[t.len - 1] == '/')
        t.len--;
    return t;
}

/* The prefix with all slashes behind it, as an expression: what it takes becomes "/". */
static struct text whole_prefix(struct gateway_build *b, struct text prefix)
{
    char text[2 * GATEWAY_PATH_MAX + 8];
    struct text_out out = TEXT_OUT(text);
    text_putc(&out, '^');
    for (size_t i = 0; i < prefix.len; i++) {
        if (strchr("\\.+*?()|[]{}^$", prefix.data[i]))
            text_putc(&out, '\\');
        text_putc(&out, prefix.data[i]);
    }
    text_puts(&out, "/*");
    return gateway_copy(b, (struct text){out.data, out.len});
}

/* Slashes at the end of either prefix don't count, and none is doubled. */
static struct path_rewrite rewrite(struct gateway_build *b, const struct gateway_path *path,
                                   const struct gateway_match *m)
{
    struct text value = text_of(path->value);
    if (path->kind == GATEWAY_PATH_STAYS)
        return (struct path_rewrite){.kind = REWRITE_NONE};
    if (path->kind == GATEWAY_PATH_WHOLE)
        return (struct path_rewrite){.kind = REWRITE_WHOLE, .value = gateway_copy(b, value)};
    struct text prefix = without_slash(text_of(m->path));
    value = without_slash(value);
    if (value.len == 0)
        return (struct path_rewrite){
            .kind = REWRITE_REGEX, .value = TEXT("/"), .pattern = whole_prefix(b, prefix)};
    if (prefix.len > 0)
        return (struct path_rewrite){.kind = REWRITE_PREFIX, .value = gateway_copy(b, value)};
    char text[GATEWAY_PATH_MAX + 2]; /* the match is "/", so the slash has to come back */
    struct text_out out = TEXT_OUT(text);
    text_put(&out, value);
    text_putc(&out, '/');
    return (struct path_rewrite){.kind = REWRITE_PREFIX,
                                 .value = gateway_copy(b, (struct text){out.data, out.len})};
}

/* ---- Redirects and refusals ----------------------------------------------------------------- */

/* The port is the one that is said, or the scheme's, or the Service's or listener's own; the location leaves it
 * out where the scheme implies it. */
static uint16_t redirect_port(const struct gateway_build *b, const struct gateway_redirect *r)
{
    if (r->port)
        return r->port;
    if (r->scheme[0])
        return strcmp(r->scheme, "https") == 0 ? 443 : 80;
    return b->scope ? b->scope->port->port : b->port;
}

static void redirect(struct gateway_build *b, const struct gateway_redirect *r,
                     const struct gateway_match *m, struct route_action *ret)
{
    ret->kind = ROUTE_REDIRECT;
    ret->redirect = (struct route_redirect){.scheme = gateway_copy(b, text_of(r->scheme)),
                                            .host = gateway_copy(b, text_of(r->host)),
                                            .port = redirect_port(b, r),
                                            .path = rewrite(b, &r->path, m),
                                            .status = r->status};
}

/* 500; a gRPC client is to see UNAVAILABLE, which is what 503 becomes. */
static uint16_t refusal(const struct gateway_entry *e)
{
    return e->route->kind == OBJECT_GRPC_ROUTE ? 503 : 500;
}

static struct text nowhere(struct gateway_build *b, const struct object *route)
{
    char name[GATEWAY_CLUSTER_MAX];
    const struct gateway_scope *s = b->scope;
    if (route->kind != OBJECT_GRPC_ROUTE || !s)
        return TEXT(GATEWAY_NO_CLUSTER);
    gateway_refused_name(b->view, s->service->ns, s->service->name, s->port->port, name);
    return gateway_copy(b, text_of(name));
}

static void respond(struct gateway_build *b, const struct gateway_entry *e,
                    struct route_action *ret)
{
    ret->kind = ROUTE_RESPOND;
    ret->respond = (struct route_respond){refusal(e), TEXT("")};
    if (e->route->kind != OBJECT_GRPC_ROUTE)
        return;
    struct route_backend *only = gateway_take(b, 1, sizeof *only);
    if (!only)
        return;
    *only = (struct route_backend){.cluster = nowhere(b, e->route), .weight = 1};
    ret->kind = ROUTE_FORWARD;
    ret->forward =
        (struct route_forward){.backends = only, .n_backends = 1, .no_cluster_status = refusal(e)};
}

/* ---- Backends ------------------------------------------------------------------------------- */

/* False: it can't be had. */
static bool cluster(struct gateway_build *b, const struct object *route,
                    const struct gateway_ref *ref, struct text *ret)
{
    char name[GATEWAY_CLUSTER_MAX], message[GATEWAY_MESSAGE_MAX];
    struct text_out out = TEXT_OUT(message);
    bool grants = b->view->settings->grants_required || !b->scope;
    if (gateway_backend_refused(b->view, route, ref, grants, &out)) {
        *ret = nowhere(b, route);
        return false;
    }
    gateway_cluster_name(b->view, ref->ns, ref->name, ref->port, name);
    *ret = gateway_copy(b, text_of(name));
    return true;
}

static uint64_t backends(struct gateway_build *b, const struct gateway_entry *e,
                         struct route_forward *f)
{
    uint64_t total = 0;
    f->backends = gateway_take(b, e->rule->n_backends, sizeof *f->backends);
    for (size_t i = 0; !b->failed && i < e->rule->n_backends; i++) {
        const struct gateway_backend *from = &e->rule->backends[i];
        struct route_backend *to = &f->backends[f->n_backends++];
        *to =
            (struct route_backend){.weight = from->weight, .edits = both_edits(b, &from->filters)};
        (void)cluster(b, e->route, &from->ref, &to->cluster);
        total += from->weight;
    }
    return total;
}

/* Shares of other denominators than Envoy's are rounded up to millionths: no share becomes none. */
static struct fraction share(uint32_t numerator, uint32_t denominator)
{
    const uint32_t millions = 1000000;
    if (denominator == 100 || denominator == 10000 || denominator == millions)
        return (struct fraction){numerator, denominator};
    uint64_t scaled = ((uint64_t)numerator * millions + denominator - 1) / denominator;
    return (struct fraction){(uint32_t)scaled, millions};
}

/* One that can't be had is left out: nobody waits for its answer. */
static void mirrors(struct gateway_build *b, const struct gateway_entry *e, struct route_forward *f)
{
    const struct gateway_filters *from = &e->rule->filters;
    f->mirrors = gateway_take(b, from->n_mirrors, sizeof *f->mirrors);
    for (size_t i = 0; !b->failed && i < from->n_mirrors; i++) {
        const struct gateway_mirror *m = &from->mirrors[i];
        struct text name;
        if (cluster(b, e->route, &m->ref, &name))
            f->mirrors[f->n_mirrors++] =
                (struct route_mirror){.cluster = name,
                                      .fraction = share(m->numerator, m->denominator),
                                      .keep_host = true};
    }
}

/* What GEP-1731 asks for: the codes, and connections that break; and the time of a try. */
static const struct retry_policy *retry(struct gateway_build *b, const struct gateway_rule *rule)
{
    const struct gateway_retry *from = rule->retry;
    if (!from && !rule->backend_timeout_ms)
        return NULL;
    struct retry_policy *p = gateway_take(b, 1, sizeof *p);
    if (!p)
        return NULL;
    *p = (struct retry_policy){.per_try_timeout_ms = rule->backend_timeout_ms,
                               .backoff_base_ms = RETRY_BACKOFF_BASE_MS};
    if (from) {
        p->on = RETRY_STATUS_CODES | RETRY_RESET | RETRY_CONNECT_FAILURE | RETRY_REFUSED_STREAM;
        p->retries_max = from->attempts;
        if (from->backoff_ms)
            p->backoff_base_ms = from->backoff_ms;
        p->status_codes = gateway_take(b, from->n_codes, sizeof *p->status_codes);
        for (size_t i = 0; p->status_codes && i < from->n_codes; i++)
            p->status_codes[p->n_status_codes++] = from->codes[i];
        p->avoid_tried = true;
        p->choices_max = CHOICES_MAX;
    }
    p->backoff_max_ms = RETRY_BACKOFF_FACTOR * p->backoff_base_ms;
    return p;
}

/* The path that a cookie is for: of an exact path or the beginning of one, that. */
static struct text cookie_path(struct gateway_build *b, const struct gateway_match *m)
{
    bool said = m && m->path_kind != GATEWAY_PATH_REGEX && !strchr(m->path, ';');
    return said ? gateway_copy(b, text_of(m->path)) : TEXT("/");
}

/* Without a name each rule has one of its own, always the same. */
static const struct session_policy *session(struct gateway_build *b, const struct gateway_entry *e)
{
    const struct gateway_session *from = e->rule->session;
    struct session_policy *s = from ? gateway_take(b, 1, sizeof *s) : NULL;
    char name[2 * OBJECT_KEY_MAX];
    struct text_out out = TEXT_OUT(name);
    if (!s)
        return NULL;
    text_printf(&out, "%s/%s/%zu", e->route->ns, e->route->name,
                (size_t)(e->rule - e->route->route.rules));
    uint64_t hash = hash64_xx((struct text){out.data, out.len}, 0);
    out = (struct text_out)TEXT_OUT(name);
    text_printf(&out, "%s%016llx", from->header ? "x-session-" : "session-",
                (unsigned long long)hash);
    *s = (struct session_policy){.header = from->header,
                                 .name = from->name[0] ? text_of(from->name)
                                                       : (struct text){out.data, out.len},
                                 .path = cookie_path(b, e->match),
                                 .permanent = from->permanent,
                                 .absolute_ms = from->absolute_ms,
                                 .idle_ms = from->idle_ms};
    s->name = from->header ? lower(b, s->name) : gateway_copy(b, s->name);
    return s;
}

static void forward(struct gateway_build *b, const struct gateway_entry *e,
                    struct route_action *ret)
{
    const struct gateway_rewrite *w = e->rule->filters.rewrite;
    struct route_forward f = {.no_cluster_status = refusal(e),
                              .timeout_ms = e->rule->timeout_ms,
                              .grpc_timeout = e->route->kind == OBJECT_GRPC_ROUTE,
                              .retry = retry(b, e->rule)};
    if (backends(b, e, &f) == 0) {
        respond(b, e, ret);
        return;
    }
    mirrors(b, e, &f);
    f.session = session(b, e);
    if (w)
        f.path = rewrite(b, &w->path, e->match);
    if (w && w->host[0])
        f.host =
            (struct host_rewrite){.kind = HOST_LITERAL, .value = gateway_copy(b, text_of(w->host))};
    f.upgrades = gateway_take(b, 1, sizeof *f.upgrades);
    if (f.upgrades && e->route->kind == OBJECT_HTTP_ROUTE)
        f.upgrades[f.n_upgrades++] = TEXT("websocket");
    ret->kind = ROUTE_FORWARD;
    ret->forward = f;
}

/* ---- CORS ----------------------------------------------------------------------------------- */

/* A "*" in an origin stands for what a host may have there. */
static struct text_match origin(struct gateway_build *b, const char *given)
{
    char text[2 * GATEWAY_PATH_MAX + 8];
    struct text_out out = TEXT_OUT(text);
    if (strcmp(given, "*") == 0)
        return (struct text_match){.kind = TEXT_REGEX, .value = TEXT(".*")};
    if (!strchr(given, '*'))
        return (struct text_match){
            .kind = TEXT_EXACT, .ignore_case = true, .value = gateway_copy(b, text_of(given))};
    text_puts(&out, "(?i)");
    for (const char *c = given; *c; c++) {
        if (*c == '*')
            text_puts(&out, "[^/]");
        else if (strchr("\\.+?()|[]{}^$", *c))
            text_putc(&out, '\\');
        text_putc(&out, *c);
    }
    return (struct text_match){.kind = TEXT_REGEX,
                               .value = gateway_copy(b, (struct text){out.data, out.len})};
}

static struct text joined(struct gateway_build *b, const struct values *values)
{
    size_t size = 1;
    for (size_t i = 0; i < values->n; i++)
        size += strlen(values->items[i]) + 2;
    char *text = gateway_take(b, size, 1);
    if (!text)
        return TEXT("");
    struct text_out out = {text, 0, size, false};
    for (size_t i = 0; i < values->n; i++)
        text_printf(&out, "%s%s", i ? ", " : "", values->items[i]);
    return (struct text){out.data, out.len};
}

static const struct cors *cors(struct gateway_build *b, const struct gateway_cors *from)
{
    char age[16];
    struct cors *c = from ? gateway_take(b, 1, sizeof *c) : NULL;
    if (!c)
        return NULL;
    snprintf(age, sizeof age, "%u", from->max_age_s);
    *c = (struct cors){.origins = gateway_take(b, from->origins.n, sizeof *c->origins),
                       .methods = joined(b, &from->methods),
                       .headers = joined(b, &from->headers),
                       .expose_headers = joined(b, &from->expose),
                       .max_age = gateway_copy(b, text_of(age)),
                       .credentials = from->credentials};
    for (size_t i = 0; c->origins && i < from->origins.n; i++)
        c->origins[c->n_origins++] = origin(b, from->origins.items[i]);
    return c;
}

void gateway_action_build(struct gateway_build *b, const struct gateway_entry *e,
                          struct route_action *ret)
{
    const struct gateway_filters *f = &e->rule->filters;
    *ret = (struct route_action){.kind = ROUTE_RESPOND};
    if (e->rule->flaw.kind != GATEWAY_NO_FLAW) {
        respond(b, e, ret);
        return;
    }
    if (f->redirect)
        redirect(b, f->redirect, e->match, ret);
    else
        forward(b, e, ret);
    ret->edits = both_edits(b, f);
    ret->cors = cors(b, f->cors);
}
