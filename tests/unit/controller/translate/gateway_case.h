/*
 * Route tables, what becomes of a request, and status as text, for the cases in
 * tests/unit/controller/translate/gateway.
 */
#ifndef TESTS_UNIT_CONTROLLER_TRANSLATE_GATEWAY_CASE_H
#define TESTS_UNIT_CONTROLLER_TRANSLATE_GATEWAY_CASE_H
#include "controller/translate/gateway_status.h"
#include "controller/translate/gateway_table.h"
#include "controller/translate/virtual_table.h"
#include "controller/translate/virtual_warn.h"
#include "shared/http/http_head.h"

static inline const char *case_text(struct text t)
{
    return t.len > 0 ? t.data : "";
}

/* "outbound|80||echo.mesh.svc.cluster.local" is "echo.mesh:80", and of a subset "echo.mesh:80/v1". */
static inline void put_cluster(struct text_heap *h, struct text name)
{
    struct text front, port, host;
    if (!text_split(name, '|', &front, &port) || !text_equal(front, TEXT("outbound")) ||
        !text_split(port, '|', &port, &host)) {
        text_heap_put(h, name);
        return;
    }
    struct text subset = TEXT("");
    (void)text_split(host, '|', &subset, &host);
    const char *end = memmem(host.data, host.len, ".svc.", 5);
    text_heap_put(h, (struct text){host.data, end ? (size_t)(end - host.data) : host.len});
    text_heap_printf(h, ":%.*s%s%.*s", (int)port.len, port.data, subset.len ? "/" : "",
                     (int)subset.len, subset.data);
}

static inline void put_edits(struct text_heap *h, const char *what, const struct header_edits *e)
{
    for (size_t i = 0; i < e->n_remove; i++)
        text_heap_printf(h, " %s-%s", what, e->remove[i].data);
    for (size_t i = 0; i < e->n_put; i++)
        text_heap_printf(h, " %s%s%s:%s", what, e->put[i].kind == HEADER_SET ? "=" : "+",
                         e->put[i].name.data, e->put[i].value.data);
}

static inline void put_text(struct text_heap *h, char by, struct text name,
                            const struct text_match *m)
{
    static const char *const kinds[] = {[TEXT_EXACT] = "=",
                                        [TEXT_PREFIX] = "^=",
                                        [TEXT_SUFFIX] = "$=",
                                        [TEXT_CONTAINS] = "*=",
                                        [TEXT_REGEX] = "~"};
    text_heap_printf(h, " %c%s%s%s", by, name.data, kinds[m->kind], m->value.data);
}

static inline void put_header(struct text_heap *h, const struct header_match *m)
{
    text_heap_puts(h, m->invert ? " not" : "");
    text_heap_puts(h, m->missing_is_empty ? " (or none)" : "");
    if (m->kind == HEADER_TEXT)
        put_text(h, ' ', m->name, &m->text);
    else
        text_heap_printf(h, "  %s present", m->name.data);
}

static inline void put_source(struct text_heap *h, const struct source_match *s)
{
    if (s->ns.len > 0)
        text_heap_printf(h, " from %s", s->ns.data);
    for (size_t i = 0; i < s->n_labels; i++)
        text_heap_printf(h, " from %s=%s", s->labels[i].name.data, s->labels[i].value.data);
}

static inline void put_match(struct text_heap *h, const struct route_match *m)
{
    static const char *const kinds[] = {"prefix", "exact", "below", "regex"};
    text_heap_printf(h, "%s%s %s", m->grpc ? "grpc " : "", kinds[m->path.kind], m->path.value.data);
    for (size_t i = 0; i < m->n_headers; i++)
        put_header(h, &m->headers[i]);
    for (size_t i = 0; i < m->n_queries; i++)
        if (m->queries[i].kind == QUERY_TEXT)
            put_text(h, '?', m->queries[i].name, &m->queries[i].text);
        else
            text_heap_printf(h, " ?%s present", m->queries[i].name.data);
    put_source(h, &m->source);
    text_heap_puts(h, m->path.ignore_case ? " whatever its case" : "");
}

static inline void put_path(struct text_heap *h, const struct path_rewrite *w)
{
    static const char *const kinds[] = {"", " prefix-to ", " regex-to ", " path-to "};
    text_heap_printf(h, "%s%s%s%s", kinds[w->kind], w->kind == REWRITE_REGEX ? w->pattern.data : "",
                     w->kind == REWRITE_REGEX ? " " : "", w->kind ? w->value.data : "");
}

static inline void put_hashes(struct text_heap *h, const struct route_forward *f)
{
    static const char *const sources[] = {"header", "cookie", "source", "parameter"};
    for (size_t i = 0; i < f->n_hashes; i++) {
        const struct hash_policy *p = &f->hashes[i];
        text_heap_printf(h, " by %s %s", sources[p->source], case_text(p->name));
        if (p->make_cookie)
            text_heap_printf(h, " made for %llums", (unsigned long long)p->cookie_ttl_ms);
    }
}

static inline void put_session(struct text_heap *h, const struct session_policy *s)
{
    text_heap_printf(h, " session %s %s", s->header ? "header" : "cookie", s->name.data);
    if (!s->header)
        text_heap_printf(h, " of %s", s->path.data);
    text_heap_printf(h, "%s for %llums idle %llums", s->permanent ? " permanent" : "",
                     (unsigned long long)s->absolute_ms, (unsigned long long)s->idle_ms);
}

static inline void put_fault(struct text_heap *h, const struct fault *f)
{
    if (f->delay_ms)
        text_heap_printf(h, " delay %llums %u/%u", (unsigned long long)f->delay_ms,
                         f->delay.numerator, f->delay.denominator);
    if (f->abort.denominator)
        text_heap_printf(h, " abort %u grpc %u %u/%u", f->abort_status, f->abort_grpc,
                         f->abort.numerator, f->abort.denominator);
}

static inline void put_forward(struct text_heap *h, const struct route_forward *f)
{
    for (size_t i = 0; i < f->n_backends; i++) {
        const struct route_backend *b = &f->backends[i];
        text_heap_puts(h, i ? ", " : " ");
        put_cluster(h, b->cluster);
        if (f->n_backends > 1 || b->weight != 1)
            text_heap_printf(h, "*%u", b->weight);
        put_edits(h, "request", &b->edits.request);
        put_edits(h, "response", &b->edits.response);
        if (b->host.len > 0)
            text_heap_printf(h, " host-to %s", b->host.data);
    }
    put_hashes(h, f);
    if (f->session)
        put_session(h, f->session);
    text_heap_printf(h, " else %u", f->no_cluster_status);
    put_path(h, &f->path);
    if (f->host.kind == HOST_LITERAL)
        text_heap_printf(h, " host-to %s", f->host.value.data);
    if (f->timeout_ms)
        text_heap_printf(h, " timeout %llums", (unsigned long long)f->timeout_ms);
    if (f->retry)
        text_heap_printf(h, " retry %u on %#x backoff %llums try %llums", f->retry->retries_max,
                         f->retry->on, (unsigned long long)f->retry->backoff_base_ms,
                         (unsigned long long)f->retry->per_try_timeout_ms);
    if (f->retry && f->retry->retries_max > 0 && !f->retry->avoid_tried)
        text_heap_puts(h, " anywhere");
    if (f->grpc_timeout && f->grpc_timeout_max_ms > 0)
        text_heap_printf(h, " grpc-timeout %llums", (unsigned long long)f->grpc_timeout_max_ms);
    for (size_t i = 0; f->retry && i < f->retry->n_status_codes; i++)
        text_heap_printf(h, " %u", f->retry->status_codes[i]);
    for (size_t i = 0; i < f->n_mirrors; i++) {
        text_heap_puts(h, " mirror ");
        put_cluster(h, f->mirrors[i].cluster);
        text_heap_printf(h, " %u/%u", f->mirrors[i].fraction.numerator,
                         f->mirrors[i].fraction.denominator);
    }
}

static inline void put_action(struct text_heap *h, const struct route_action *a)
{
    if (a->kind == ROUTE_FORWARD)
        put_forward(h, &a->forward);
    else if (a->kind == ROUTE_REDIRECT) {
        const struct route_redirect *r = &a->redirect;
        text_heap_printf(h, " redirect %u %s://%s:%u", r->status, case_text(r->scheme),
                         case_text(r->host), r->port);
        put_path(h, &r->path);
    } else
        text_heap_printf(h, " answer %u%s%s", a->respond.status, a->respond.body.len ? " " : "",
                         case_text(a->respond.body));
    if (a->fault)
        put_fault(h, a->fault);
    put_edits(h, "request", &a->edits.request);
    put_edits(h, "response", &a->edits.response);
    for (size_t i = 0; a->cors && i < a->cors->n_origins; i++)
        put_text(h, ' ', TEXT("origin"), &a->cors->origins[i]);
    if (a->cors)
        text_heap_printf(h, " methods(%s) headers(%s) expose(%s) age %s%s",
                         case_text(a->cors->methods), case_text(a->cors->headers),
                         case_text(a->cors->expose_headers), case_text(a->cors->max_age),
                         a->cors->credentials ? " credentials" : "");
    if (a->cors && a->cors->forward_unmatched_preflights)
        text_heap_puts(h, " others-pass");
}

static inline void put_routes(struct text_heap *h, const struct virtual_host *host)
{
    for (size_t i = 0; i < host->n_routes; i++) {
        const struct route *r = &host->routes[i];
        text_heap_printf(h, "  %s: ", r->name.data);
        put_match(h, &r->match);
        text_heap_puts(h, " ->");
        put_action(h, &r->action);
        text_heap_puts(h, "\n");
    }
}

static inline void put_table(struct text_heap *h, const struct route_table *t)
{
    text_heap_printf(h, "table %s\n", t->name.data);
    for (size_t i = 0; i < t->n_hosts; i++) {
        const struct virtual_host *host = &t->hosts[i];
        if (!text_equal(host->domains[0], TEXT("*")))
            text_heap_printf(h, " server %s\n", host->domains[0].data);
        put_routes(h, host);
    }
}

static inline void put_condition(struct text_heap *h, const char *type,
                                 const struct gateway_condition *c)
{
    text_heap_printf(h, "    %s=%s %s: %s\n", type, c->holds ? "True" : "False", c->reason,
                     c->message);
}

static inline void put_status(struct text_heap *h, const struct object *o,
                              const struct gateway_parent_status *all, size_t n)
{
    text_heap_printf(h, "%s %s/%s\n", object_kind_name(o->kind), o->ns, o->name);
    for (size_t i = 0; i < n; i++) {
        text_heap_printf(h, "  %s/%s:%u\n", all[i].parent->ref.ns, all[i].parent->ref.name,
                         all[i].parent->ref.port);
        put_condition(h, "Accepted", &all[i].accepted);
        put_condition(h, "ResolvedRefs", &all[i].resolved);
        if (all[i].partial.holds)
            put_condition(h, "PartiallyInvalid", &all[i].partial);
    }
}
#endif
