#include "controller/translate/virtual_warn.h"
#include "controller/translate/rule_attach.h"
#include "controller/translate/virtual_attach.h"
#include "controller/translate/virtual_delegate.h"
#include "shared/mesh/workload.h"
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

static void warn_rules(const struct view *v, const struct object *o, bool streams,
                       struct problems *problems)
{
    const struct virtual_rules rules = virtual_rules(o, streams);
    for (size_t i = 0; i < rules.n; i++) {
        const struct virtual_rule *rule = &rules.items[i];
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

static bool speaks_http_only(const struct object *service)
{
    for (size_t i = 0; i < service->service.n_ports; i++)
        if (!app_protocol_is_http(service->service.ports[i].app_protocol))
            return false;
    return true;
}

static void warn_subnets(const struct object *o, const struct object *service, const char *host,
                         struct problems *problems)
{
    const struct virtual_rules rules = virtual_rules(o, true);
    char text[GATEWAY_MESSAGE_MAX];
    for (size_t i = 0; i < rules.n; i++)
        for (size_t j = 0; j < rules.items[i].n_matches; j++) {
            struct text_out out = TEXT_OUT(text);
            if (virtual_called(&rules.items[i].matches[j], service) != VIRTUAL_CALLED_BY_SOME)
                continue;
            text_printf(&out,
                        "what a rule takes is refused: %s.match[%zu].destinationSubnets: holds some "
                        "of the addresses of '%s', and not all",
                        rules.items[i].name, j, host);
            warn(o, problems, text, "");
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
    for (size_t i = 0; i < 2 * service->service.n_ports; i++) {
        const struct kube_service_port *port = &service->service.ports[i / 2];
        bool streams = i % 2 == 1;
        out.len = 0;
        if (!virtual_loses(v, service, port, streams) || !virtual_means(o, streams, port->port) ||
            (streams && app_protocol_is_http(port->app_protocol)))
            continue;
        text_printf(&out, "spec.hosts: a route of the Gateway API has port %u of '%s'", port->port,
                    host);
        warn(o, problems, text, "");
    }
    if (virtual_rules(o, true).n == 0)
        return;
    warn_subnets(o, service, host, problems);
    if (speaks_http_only(service)) {
        out.len = 0;
        text_printf(&out,
                    "spec.tls, spec.tcp: each port of '%s' is declared HTTP: only spec.http counts "
                    "there",
                    host);
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
    warn_rules(v, o, false, problems);
    warn_rules(v, o, true, problems);
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

/* Of one part. Who says nothing in it is no rival, unless it says nothing at all. */
static int warn_rivals(const struct view *v, const struct object *service, bool streams,
                       struct problems *problems)
{
    char text[GATEWAY_MESSAGE_MAX], full[VIEW_KEY_MAX];
    struct virtual_speakers all;
    struct virtual_audience *audiences = NULL;
    size_t n = 0;
    int err = virtual_speakers(v, service, streams, &all);
    if (err < 0)
        return err;
    err = all.n > 1 ? virtual_audiences(&all, &audiences, &n) : 0;
    for (size_t i = 0; all.n > 1 && i < all.n && err == 0; i++) {
        struct text_out out = TEXT_OUT(text);
        const struct virtual_speaker *s = &all.items[i];
        const struct virtual_service *said = &s->object->virtual_service;
        if (s->level > 1 || said->elsewhere || said->flaw.kind != GATEWAY_NO_FLAW ||
            (virtual_rules(s->object, streams).n == 0 &&
             (streams || virtual_rules(s->object, true).n > 0)))
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

int virtual_warn_rivals(const struct view *v, const struct object *service,
                        struct problems *problems)
{
    int err = warn_rivals(v, service, false, problems);
    return err == 0 ? warn_rivals(v, service, true, problems) : err;
}
