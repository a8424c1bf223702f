#include "controller/translate/peer.h"
#include "controller/translate/gateway_attach.h"
#include "controller/translate/ingress_attach.h"
#include "controller/translate/policy_build.h"
#include <errno.h>
#include <stdio.h>

static bool older(const struct object *a, const struct object *than)
{
    return !than ||
           a->created_s < than->created_s; /* equal: the first by name, which comes first */
}

/* The policy of a scope: without a selector, or (labels given) with one that selects them. */
static const struct object *winner(const struct view *v, const char *ns,
                                   const struct labels *labels)
{
    struct view_range all = view_namespace(v, OBJECT_PEER_AUTHENTICATION, ns);
    const struct object *best = NULL;
    for (size_t i = 0; i < all.n; i++) {
        const struct labels *selector = &all.items[i]->peer.selector;
        bool right = labels ? selector->n > 0 && labels_select(selector, labels) : selector->n == 0;
        if (right && older(all.items[i], best))
            best = all.items[i];
    }
    return best;
}

static bool is_root(const struct view *v, const char *ns)
{
    return strcmp(ns, v->settings->root_namespace) == 0;
}

static bool strict_after(const struct object *peer, bool before)
{
    return peer && peer->peer.mode != PEER_UNSET ? peer->peer.mode == PEER_STRICT : before;
}

/* Of the mesh and the namespace, before a workload's own policy. */
static bool parent_strict(const struct view *v, const char *ns)
{
    bool strict = strict_after(winner(v, v->settings->root_namespace, NULL), false);
    return is_root(v, ns) ? strict : strict_after(winner(v, ns, NULL), strict);
}

/* Does a port differ from the rest of the workload? UNSET ports never do. */
static bool port_differs(const struct peer_port *port, bool strict)
{
    return port->mode != PEER_UNSET && (port->mode == PEER_STRICT) != strict;
}

static bool any_port_differs(const struct object *peer, bool strict)
{
    for (size_t i = 0; i < peer->peer.n_ports; i++)
        if (port_differs(&peer->peer.ports[i], strict))
            return true;
    return false;
}

void peer_compose(const struct view *v, const char *ns, const struct labels *labels,
                  struct peer_outcome *ret)
{
    bool strict = parent_strict(v, ns);
    const struct object *own = is_root(v, ns) ? NULL : winner(v, ns, labels);
    strict = strict_after(own, strict);
    if (own && any_port_differs(own, strict))
        *ret = (struct peer_outcome){.ports = own}; /* says what holds for the other ports too */
    else
        *ret = (struct peer_outcome){.strict = strict};
}

/* A rule that takes those without an identity; its match, or NULL. */
static struct policy_match *add_no_identity(struct policy *p)
{
    struct policy_rule *rule = policy_add_rule(p);
    struct policy_clause *clause = rule ? policy_add_clause(rule) : NULL;
    struct policy_match *match = clause ? policy_add_match(clause) : NULL;
    return match && match_presence(&match->not_principals) == 0 ? match : NULL;
}

/* STRICT but for some ports: one rule, which the ports that differ are taken out of. */
static int add_all_ports_but(struct policy *p, const struct peer_authentication *peer)
{
    struct policy_match *match = add_no_identity(p);
    if (!match)
        return -ENOMEM;
    for (size_t i = 0; i < peer->n_ports; i++)
        if (port_differs(&peer->ports[i], true) &&
            match_port(&match->not_destination_ports, peer->ports[i].port) < 0)
            return -ENOMEM;
    return 0;
}

/* PERMISSIVE but for some ports: a rule for each. */
static int add_each_port(struct policy *p, const struct peer_authentication *peer)
{
    for (size_t i = 0; i < peer->n_ports; i++) {
        if (!port_differs(&peer->ports[i], false))
            continue;
        struct policy_match *match = add_no_identity(p);
        if (!match || match_port(&match->destination_ports, peer->ports[i].port) < 0)
            return -ENOMEM;
    }
    return 0;
}

int peer_policy(const struct view *v, const struct object *peer, struct policy **ret)
{
    char name[POLICY_NAME_MAX];
    *ret = NULL;
    if (is_root(v, peer->ns) || peer->peer.selector.n == 0)
        return 0;
    bool strict = strict_after(peer, parent_strict(v, peer->ns));
    if (!any_port_differs(peer, strict))
        return 0;
    snprintf(name, sizeof name, PEER_CONVERTED_PREFIX "%s", peer->name);
    struct policy *p = policy_build(peer->ns, name, POLICY_WORKLOAD, POLICY_DENY);
    if (!p)
        return -ENOMEM;
    int r = strict ? add_all_ports_but(p, &peer->peer) : add_each_port(p, &peer->peer);
    if (r < 0)
        policy_free(p);
    else
        *ret = p;
    return r;
}

int peer_static_policy(const struct view *v, struct policy **ret)
{
    struct policy *p =
        policy_build(v->settings->root_namespace, PEER_STATIC_NAME, POLICY_WORKLOAD, POLICY_DENY);
    if (!p)
        return -ENOMEM;
    if (!add_no_identity(p)) {
        policy_free(p);
        return -ENOMEM;
    }
    *ret = p;
    return 0;
}

int peer_gateway_policy(const struct object *gateway, struct policy **ret)
{
    char name[POLICY_NAME_MAX], said[GATEWAY_MESSAGE_MAX];
    const struct ingress *g = &gateway->ingress;
    snprintf(name, sizeof name, PEER_GATEWAY_PREFIX "%s", gateway->name);
    struct policy *p = policy_build(gateway->ns, name, POLICY_WORKLOAD, POLICY_DENY);
    struct policy_match *match = p ? add_no_identity(p) : NULL;
    int r = match ? 0 : -ENOMEM;
    for (size_t i = 0; i < g->n_listeners && r == 0; i++) {
        struct text_out out = TEXT_OUT(said);
        if (!ingress_listener_refused(gateway, i, &out))
            r = match_port(&match->not_destination_ports, g->listeners[i].port);
    }
    if (r < 0)
        policy_free(p);
    else
        *ret = p;
    return r;
}

void peer_warn(const struct view *v, const struct object *peer, struct problems *problems)
{
    char key[OBJECT_KEY_MAX];
    object_key(peer->kind, peer->ns, peer->name, key);
    if (is_root(v, peer->ns) && peer->peer.selector.n > 0)
        problems_add(problems, PROBLEM_WARNING, peer->file, peer->line, key, "spec.selector",
                     "has no effect in the root namespace: the whole policy is ignored");
    else if (peer->peer.mode == PEER_DISABLE)
        problems_add(problems, PROBLEM_WARNING, peer->file, peer->line, key, "spec.mtls.mode",
                     "DISABLE is taken as PERMISSIVE: who is in the mesh is always called by it");
    else if (peer->peer.selector.n == 0 && peer->peer.n_ports > 0)
        problems_add(problems, PROBLEM_WARNING, peer->file, peer->line, key, "spec.portLevelMtls",
                     "has no effect without a selector");
}
