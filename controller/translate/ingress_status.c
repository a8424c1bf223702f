#include "controller/translate/ingress_status.h"
#include "controller/translate/ingress_attach.h"
#include <errno.h>
#include <stdlib.h>

static void say(struct gateway_condition *c, bool holds, const char *reason, const char *message)
{
    struct text_out out = TEXT_OUT(c->message);
    c->holds = holds;
    c->reason = reason;
    text_puts(&out, message);
}

/* ---- Listeners ------------------------------------------------------------------------------ */

static size_t count_routes(const struct view *v, const struct object *gateway, size_t listener)
{
    char name[VIEW_KEY_MAX];
    struct object_group routes =
        object_index_get(&v->ingress_routes, view_name(gateway->ns, gateway->name, name));
    size_t n = 0;
    for (size_t i = 0; i < routes.n; i++)
        n += ingress_attaches(v, gateway, listener, routes.items[i]);
    return n;
}

static bool is_conflict(const char *reason)
{
    return strcmp(reason, "HostnameConflict") == 0 || strcmp(reason, "ProtocolConflict") == 0;
}

/* Of allowedRoutes.kinds. */
static void say_kinds(const struct ingress_listener *l, struct gateway_condition *c)
{
    unsigned kinds = ingress_kinds(l);
    struct text_out out = TEXT_OUT(c->message);
    c->holds = false;
    c->reason = "InvalidRouteKinds";
    text_printf(&out, "allowedRoutes.kinds: to a listener of protocol %s%s can be attached:", l->protocol,
                l->passes_tls ? " (Passthrough)" : "");
    for (unsigned i = 0; i < INGRESS_KINDS; i++)
        if (kinds & 1U << i)
            text_printf(&out, " %s", ingress_kind_name(i));
}

static void judge_listener(const struct view *v, const struct object *gateway, size_t i,
                           struct ingress_listener_status *s)
{
    char said[GATEWAY_MESSAGE_MAX];
    struct text_out out = TEXT_OUT(said);
    const char *refused = ingress_listener_refused(gateway, i, &out);
    bool conflict = refused && is_conflict(refused);
    char of_secret[GATEWAY_MESSAGE_MAX];
    struct text_out secret = TEXT_OUT(of_secret);
    const char *unresolved = ingress_certificate_refused(v, gateway, i, &secret);
    s->listener = &gateway->ingress.listeners[i];
    s->n_routes = count_routes(v, gateway, i);
    say(&s->accepted, !refused, refused ? refused : "Accepted", refused ? said : "is served");
    say(&s->programmed, !refused && !unresolved, refused || unresolved ? "Invalid" : "Programmed",
        refused      ? said
        : unresolved ? of_secret
                     : "told to the node proxies");
    say(&s->conflicted, conflict, conflict ? refused : "NoConflicts",
        conflict ? said : "no other listener is in its way");
    if (unresolved)
        say(&s->resolved, false, unresolved, of_secret);
    else if (s->listener->kinds_unknown)
        say_kinds(s->listener, &s->resolved);
    else
        say(&s->resolved, true, "ResolvedRefs", "all that it speaks of is there");
}

/* ---- The whole ------------------------------------------------------------------------------ */

static bool serves(const struct object *pod, const struct object *gateway)
{
    const char *name = labels_get(&pod->labels, INGRESS_POD_LABEL);
    return name && strcmp(name, gateway->name) == 0 && pod->pod.ready && !pod->pod.over &&
           !pod->deleting && pod->pod.n_ips > 0;
}

static bool leads_to(const struct object *service, const struct object *pod)
{
    const struct labels *selector = &service->service.selector;
    return selector->n > 0 && labels_select(selector, &pod->labels);
}

static void add_addresses(const struct object *service, struct ingress_status *s)
{
    for (size_t i = 0; i < service->service.n_addresses; i++)
        if (s->n_addresses < INGRESS_ADDRESSES_MAX)
            s->addresses[s->n_addresses++] = service->service.addresses[i];
}

/* How many pods serve; the addresses of the Services that lead to one of them. */
static size_t judge_pods(const struct view *v, const struct object *gateway,
                         struct ingress_status *s)
{
    struct view_range pods = view_namespace(v, OBJECT_POD, gateway->ns);
    struct view_range services = view_namespace(v, OBJECT_SERVICE, gateway->ns);
    size_t n = 0;
    for (size_t i = 0; i < pods.n; i++)
        n += serves(pods.items[i], gateway);
    for (size_t j = 0; n > 0 && j < services.n; j++)
        for (size_t i = 0; i < pods.n; i++)
            if (serves(pods.items[i], gateway) && leads_to(services.items[j], pods.items[i])) {
                add_addresses(services.items[j], s);
                break;
            }
    return n;
}

static void judge_whole(const struct object *gateway, size_t n_pods, size_t n_refused,
                        struct ingress_status *s)
{
    const struct gateway_flaw *flaw = &gateway->ingress.flaw;
    if (flaw->kind != GATEWAY_NO_FLAW)
        say(&s->accepted, false, "Invalid", flaw->text);
    else if (n_refused > 0)
        say(&s->accepted, n_refused < s->n_listeners, "ListenersNotValid",
            "not each of its listeners is served");
    else
        say(&s->accepted, true, "Accepted", "its listeners are served");
    if (!s->accepted.holds)
        say(&s->programmed, false, "Invalid", "none of its listeners is served");
    else if (n_pods == 0)
        say(&s->programmed, false, "NoResources",
            "no ready pod of its namespace has the label " INGRESS_POD_LABEL " with its name");
    else if (s->n_addresses == 0)
        say(&s->programmed, false, "AddressNotAssigned",
            "no Service with an address selects its pods");
    else
        say(&s->programmed, true, "Programmed", "told to the node proxies");
}

int ingress_status(const struct view *v, const struct object *gateway, struct ingress_status *ret)
{
    struct ingress_status s = {.n_listeners = gateway->ingress.n_listeners};
    size_t n_refused = 0;
    s.listeners = calloc(s.n_listeners + 1, sizeof *s.listeners);
    if (!s.listeners)
        return -ENOMEM;
    for (size_t i = 0; i < s.n_listeners; i++) {
        judge_listener(v, gateway, i, &s.listeners[i]);
        n_refused += !s.listeners[i].programmed.holds;
    }
    judge_whole(gateway, judge_pods(v, gateway, &s), n_refused, &s);
    *ret = s;
    return 0;
}

int ingress_warn(const struct view *v, const struct object *gateway, struct problems *problems)
{
    char key[OBJECT_KEY_MAX];
    struct ingress_status s;
    if (!ingress_is_ours(gateway))
        return 0;
    int err = ingress_status(v, gateway, &s);
    if (err < 0)
        return err;
    object_key(gateway->kind, gateway->ns, gateway->name, key);
    for (size_t i = 0; i < s.n_listeners; i++) {
        const struct ingress_listener_status *l = &s.listeners[i];
        const struct gateway_condition *wrong[] = {l->accepted.holds ? NULL : &l->accepted,
                                                   l->resolved.holds ? NULL : &l->resolved};
        for (size_t j = 0; j < sizeof wrong / sizeof *wrong; j++)
            if (wrong[j])
                problems_add(problems, PROBLEM_WARNING, gateway->file, gateway->line, key, "",
                             "listener %s: %s: %s", l->listener->name, wrong[j]->reason,
                             wrong[j]->message);
    }
    free(s.listeners);
    return 0;
}
