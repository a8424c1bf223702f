#include "controller/translate/virtual_warn.h"
#include "controller/translate/rule_attach.h"
#include "controller/translate/virtual_attach.h"
#include "controller/translate/virtual_delegate.h"
#include <stdlib.h>

static void warn(const struct object *o, struct problems *problems, const char *text,
                 const char *before)
{
    char key[OBJECT_KEY_MAX];
    object_key(o->kind, o->ns, o->name, key);
    problems_add(problems, PROBLEM_WARNING, o->file, o->line, key, "", "%s%s", before, text);
}

static void warn_destination(const struct view *v, const struct object *o,
                             const struct virtual_destination *d, struct problems *problems)
{
    char text[GATEWAY_MESSAGE_MAX];
    struct text_out out = TEXT_OUT(text);
    const struct object *service = traffic_service(v, o->ns, d->host);
    bool has_port = !d->port;
    for (size_t i = 0; service && i < service->service.n_ports; i++)
        has_port |= service->service.ports[i].port == d->port;
    if (!service)
        text_printf(&out, "%s.host: there is no Service '%s': answered 503", d->field, d->host);
    else if (!has_port)
        text_printf(&out, "%s.port: the Service has no port %u: answered 503", d->field, d->port);
    else if (d->subset[0] && !rule_subset(v, service, d->subset))
        text_printf(&out,
                    "%s.subset: no DestinationRule that counts has a subset '%s': answered 503",
                    d->field, d->subset);
    else
        return;
    warn(o, problems, text, "");
}

static void warn_rules(const struct view *v, const struct object *o, struct problems *problems)
{
    const struct virtual_service *s = &o->virtual_service;
    for (size_t i = 0; i < s->n_rules; i++) {
        const struct virtual_rule *rule = &s->rules[i];
        if (rule->flaw.kind != GATEWAY_NO_FLAW) {
            warn(o, problems, rule->flaw.text, "what a rule takes is refused: ");
            continue;
        }
        if (rule->action.kind != ROUTE_FORWARD)
            continue;
        for (size_t j = 0; j < rule->action.forward.n_backends; j++)
            warn_destination(v, o, &rule->backends[j], problems);
        for (size_t j = 0; j < rule->action.forward.n_mirrors; j++)
            warn_destination(v, o, &rule->mirrors[j], problems);
    }
}

/* Of a precise host. */
static void warn_host(const struct view *v, const struct object *o, const char *host,
                      struct problems *problems)
{
    char text[GATEWAY_MESSAGE_MAX];
    struct text_out out = TEXT_OUT(text);
    const struct object *service = traffic_service(v, o->ns, host);
    if (!service) {
        text_printf(&out, "spec.hosts: there is no Service '%s'", host);
        warn(o, problems, text, "");
        return;
    }
    for (size_t i = 0; i < service->service.n_ports; i++) {
        out.len = 0;
        if (!virtual_loses(v, service, &service->service.ports[i]) ||
            !virtual_means(o, service->service.ports[i].port))
            continue;
        text_printf(&out, "spec.hosts: a route of the Gateway API has port %u of '%s'",
                    service->service.ports[i].port, host);
        warn(o, problems, text, "");
    }
}

static void warn_unused(const struct view *v, const struct object *o, struct problems *problems)
{
    char name[VIEW_KEY_MAX];
    if (object_index_get(&v->delegating, view_name(o->ns, o->name, name)).n == 0)
        warn(o, problems, "spec: has no hosts, and no VirtualService delegates to it", "");
}

void virtual_warn(const struct view *v, const struct object *o, struct problems *problems)
{
    const struct virtual_service *s = &o->virtual_service;
    char key[OBJECT_KEY_MAX];
    if (s->note.kind != GATEWAY_NO_FLAW)
        warn(o, problems, s->note.text, "");
    if (s->elsewhere)
        return;
    if (s->flaw.kind != GATEWAY_NO_FLAW) {
        object_key(o->kind, o->ns, o->name, key);
        problems_add(problems, PROBLEM_ERROR, o->file, o->line, key, "", "counts for nothing: %s",
                     s->flaw.text);
        return;
    }
    for (size_t i = 0; i < s->hosts.n; i++)
        if (s->hosts.items[i][0] != '*')
            warn_host(v, o, s->hosts.items[i], problems);
    if (s->hosts.n == 0)
        warn_unused(v, o, problems);
    warn_rules(v, o, problems);
    virtual_delegates_warn(v, o, problems);
}

/* ---- Of a Service --------------------------------------------------------------------------- */

static int by_namespace(const void *ns, const void *audience)
{
    return strcmp(ns, ((const struct virtual_audience *)audience)->ns);
}

static const struct virtual_speaker *heard_in(const struct virtual_speakers *all,
                                              const struct virtual_audience *audiences, size_t n,
                                              const char *ns)
{
    const struct virtual_audience *a =
        n > 0 ? bsearch(ns, audiences, n, sizeof *audiences, by_namespace) : NULL;
    return a ? a->speaker : all->everybodys;
}

/* Who is heard instead of it; NULL: it is heard itself, by some at least. */
static const struct virtual_speaker *instead_of(const struct virtual_speaker *s,
                                                const struct virtual_speakers *all,
                                                const struct virtual_audience *audiences, size_t n)
{
    const struct values *to = &s->object->virtual_service.exported;
    const struct virtual_speaker *heard = all->everybodys;
    for (size_t i = 0; i < to->n; i++) {
        heard = heard_in(all, audiences, n, to->items[i]);
        if (heard == s)
            break;
    }
    return heard == s ? NULL : heard;
}

static const char *as_written(const struct view *v, const struct object *o, struct text full)
{
    char host[VIEW_KEY_MAX];
    const struct values *hosts = &o->virtual_service.hosts;
    for (size_t i = 0; i < hosts->n; i++)
        if (text_equal(traffic_full_host(v, o->ns, hosts->items[i], host), full))
            return hosts->items[i];
    return "";
}

int virtual_warn_rivals(const struct view *v, const struct object *service,
                        struct problems *problems)
{
    char text[GATEWAY_MESSAGE_MAX], full[VIEW_KEY_MAX];
    struct virtual_speakers all;
    struct virtual_audience *audiences = NULL;
    size_t n = 0;
    int err = virtual_speakers(v, service, &all);
    if (err < 0)
        return err;
    err = all.n > 1 ? virtual_audiences(&all, &audiences, &n) : 0;
    for (size_t i = 0; all.n > 1 && i < all.n && err == 0; i++) {
        struct text_out out = TEXT_OUT(text);
        const struct virtual_speaker *s = &all.items[i];
        const struct virtual_service *said = &s->object->virtual_service;
        if (s->level > 1 || said->elsewhere || said->flaw.kind != GATEWAY_NO_FLAW)
            continue;
        const struct virtual_speaker *other = instead_of(s, &all, audiences, n);
        if (!other)
            continue;
        text_printf(&out, "spec.hosts: for '%s' VirtualService %s/%s counts, and not this one",
                    as_written(v, s->object, traffic_service_host(v, service, full)),
                    other->object->ns, other->object->name);
        warn(s->object, problems, text, "");
    }
    free(audiences);
    virtual_speakers_done(&all);
    return err;
}
