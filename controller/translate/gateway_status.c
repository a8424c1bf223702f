#include "controller/translate/gateway_status.h"
#include "controller/translate/ingress_attach.h"
#include <errno.h>
#include <stdlib.h>

static void say_accepted(const struct view *v, const struct object *route,
                         const struct gateway_parent *parent, struct gateway_condition *c)
{
    struct text_out out = TEXT_OUT(c->message);
    const char *refused = gateway_is_service(&parent->ref)
                              ? gateway_parent_refused(v, route, parent, &out)
                              : ingress_parent_refused(v, route, parent, &out);
    c->holds = !refused;
    c->reason = refused ? refused : "Accepted";
    if (!refused)
        text_puts(&out, "told to the node proxies");
}

/* The first reference that is refused. */
static const char *refused_ref(const struct view *v, const struct object *route, bool grants,
                               struct text_out *out)
{
    for (size_t i = 0; i < route->route.n_rules; i++) {
        const struct gateway_rule *rule = &route->route.rules[i];
        const char *refused = NULL;
        if (rule->flaw.kind == GATEWAY_FLAW_KIND) { /* a reference to a filter */
            text_puts(out, rule->flaw.text);
            return "InvalidKind";
        }
        for (size_t j = 0; j < rule->n_backends && !refused; j++)
            refused = gateway_backend_refused(v, route, &rule->backends[j].ref, grants, out);
        for (size_t j = 0; j < rule->filters.n_mirrors && !refused; j++)
            refused =
                gateway_backend_refused(v, route, &rule->filters.mirrors[j].ref, grants, out);
        if (refused)
            return refused;
    }
    return NULL;
}

static void say_resolved(const struct view *v, const struct object *route,
                         const struct gateway_parent *parent, struct gateway_condition *c)
{
    struct text_out out = TEXT_OUT(c->message);
    bool grants = v->settings->grants_required || !gateway_is_service(&parent->ref);
    const char *refused = refused_ref(v, route, grants, &out);
    c->holds = !refused;
    c->reason = refused ? refused : "ResolvedRefs";
    if (!refused)
        text_puts(&out, "all backends are there");
}

/* Rules that don't count beside others that do. */
static void say_partial(const struct object *route, struct gateway_condition *c)
{
    struct text_out out = TEXT_OUT(c->message);
    c->holds = false;
    c->reason = "UnsupportedValue";
    for (size_t i = 0; i < route->route.n_rules; i++) {
        const struct gateway_flaw *flaw = &route->route.rules[i].flaw;
        if (flaw->kind != GATEWAY_FLAW_VALUE && flaw->kind != GATEWAY_FLAW_FILTERS)
            continue;
        text_printf(&out, "%s%s",
                    c->holds ? "; " : "Dropped Rule, what it takes is refused: ", flaw->text);
        c->holds = true;
    }
}

int gateway_status(const struct view *v, const struct object *route,
                   struct gateway_parent_status **ret, size_t *ret_n)
{
    const struct gateway_route *r = &route->route;
    struct gateway_parent_status *all = calloc(r->n_parents + 1, sizeof *all);
    size_t n = 0;
    if (!all)
        return -ENOMEM;
    for (size_t i = 0; i < r->n_parents; i++) {
        struct gateway_parent_status *s = &all[n];
        if (!gateway_is_service(&r->parents[i].ref) && !ingress_of_parent(v, &r->parents[i]))
            continue;
        s->parent = &r->parents[i];
        say_accepted(v, route, s->parent, &s->accepted);
        say_resolved(v, route, s->parent, &s->resolved);
        say_partial(route, &s->partial);
        s->partial.holds &= s->accepted.holds;
        n++;
    }
    if (n == 0) {
        free(all);
        all = NULL;
    }
    *ret = all;
    *ret_n = n;
    return 0;
}

int gateway_warn(const struct view *v, const struct object *route, struct problems *problems)
{
    char key[OBJECT_KEY_MAX];
    struct gateway_parent_status *all;
    size_t n;
    int err = gateway_status(v, route, &all, &n);
    if (err < 0)
        return err;
    object_key(route->kind, route->ns, route->name, key);
    for (size_t i = 0; i < n; i++) {
        const struct gateway_condition *wrong[] = {all[i].accepted.holds ? NULL : &all[i].accepted,
                                                   all[i].resolved.holds ? NULL : &all[i].resolved,
                                                   all[i].partial.holds ? &all[i].partial : NULL};
        for (size_t j = 0; j < sizeof wrong / sizeof *wrong; j++)
            if (wrong[j])
                problems_add(problems, PROBLEM_WARNING, route->file, route->line, key, "",
                             "for %s %s/%s: %s: %s", all[i].parent->ref.kind,
                             all[i].parent->ref.ns, all[i].parent->ref.name, wrong[j]->reason,
                             wrong[j]->message);
    }
    free(all);
    return 0;
}
