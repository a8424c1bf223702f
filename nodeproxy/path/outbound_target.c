/* outbound_target.c - which endpoint serves a connection, and which way leads there: one decision, without a wait. */
#include "nodeproxy/path/outbound_state.h"

#include "shared/mesh/egress.h"
#include <errno.h>
#include <stdlib.h>

const struct service *outbound_service(const struct outbound *c, const struct workload *self)
{
    const struct path_env *env = c->pod->env;
    const struct service *s = directory_service_at(env->directory, text_of(env->config->network), &c->destination.ip);
    return s && egress_sees(self, s, c->destination.port) ? s : NULL;
}

bool outbound_is_for_requests(const struct outbound *c, const struct service *s)
{
    return c->pod->env->config->parse_http && outbound_http_declared(s, c->destination.port);
}

static enum step choose_way(struct outbound *c, struct outbound_candidate *to)
{
    struct path_env *env = c->pod->env;
    const struct workload *w = to->workload;
    if (!w || w->tunnel != TUNNEL_HBONE) {
        c->way = WAY_DIRECT;
        return STEP_NEXT;
    }
    if (hbone_port_is_own(c->target.port))
        return outbound_end(c, ENDING_OWN_PORT);
    if (spiffe_id_make(text_of(w->trust_domain), text_of(w->ns), text_of(w->service_account), &to->id) < 0)
        return outbound_end(c, ENDING_PEER_MISMATCH);
    struct local_pod *local = map_get(&env->pods, text_of(w->uid));
    if (local && !env->config->same_node_hbone) {
        c->way = WAY_LOCAL;
        c->local_pod = local;
        return STEP_NEXT;
    }
    c->way = WAY_TUNNEL;
    c->expected = malloc(sizeof *c->expected);
    if (!c->expected)
        return outbound_end(c, ENDING_NO_MEMORY);
    *c->expected = to->id;
    return STEP_NEXT;
}

/* Undeclared ports, where asked for; but who wrote routes of connections for one has said that it is bytes. */
static bool looks(const struct outbound *c, const struct service *s)
{
    const struct config *config = c->pod->env->config;
    return config->parse_http && config->detect_http && outbound_http_untold(s, c->destination.port) && !tcp_route_is_written(c->tcp);
}

static enum step choose_look_or_way(struct outbound *c, struct outbound_candidate *to)
{
    if (looks(c, to->service)) {
        c->way = WAY_DETECT;
        return STEP_NEXT;
    }
    if (c->tcp && !tcp_route_claim(c->tcp))
        return outbound_end(c, ENDING_OVERFLOW);
    return choose_way(c, to);
}

static enum step find_routed(struct outbound *c, struct outbound_candidate *to)
{
    struct tcp_target target;
    const char *why;
    enum ending ending = tcp_route_choose(c->tcp, &c->destination, &target, &why);
    if (ending != ENDING_NONE) {
        c->why = why[0] ? text_dup(text_of(why)) : NULL; /* without memory the line has the ending's meaning */
        return outbound_end(c, ending);
    }
    if (target.passes) {
        c->way = WAY_DIRECT;
        return STEP_NEXT;
    }
    to->workload = target.workload;
    c->target = target.target;
    return choose_look_or_way(c, to);
}

/* What is no Service that the workload sees: a workload that it sees, or outside of the mesh. */
static enum step find_beyond(struct outbound *c, struct outbound_candidate *to)
{
    struct path_env *env = c->pod->env;
    const struct workload *w = directory_workload_at(env->directory, text_of(env->config->network), &c->destination.ip);
    if (w && (w == to->self || egress_sees_workload(env->directory, to->self, w, c->destination.port)))
        to->workload = w;
    else if (to->self && to->self->registry_only)
        return outbound_end(c, ENDING_BLACK_HOLE);
    return choose_way(c, to);
}

/* Service address -> an endpoint; workload address -> itself; anything else is outside the mesh, and passes where it may. */
enum step outbound_find_target(struct outbound *c, struct outbound_candidate *to)
{
    struct path_env *env = c->pod->env;
    struct choice choice;
    c->target = c->destination;
    to->service = outbound_service(c, to->self);
    if (!to->service)
        return find_beyond(c, to);
    if (outbound_is_for_requests(c, to->service)) {
        c->way = WAY_REQUESTS;
        return STEP_NEXT;
    }
    if (c->tcp)
        return find_routed(c, to);
    /* The address family that the workload speaks, unless all endpoints are of the other one. */
    int r = directory_choose(env->directory, to->service, c->destination.port, to->self, ip_family(&c->destination.ip), ring_rng(env->ring), &choice);
    if (r == -EHOSTUNREACH)
        r = directory_choose(env->directory, to->service, c->destination.port, to->self, 0, ring_rng(env->ring), &choice);
    if (r < 0 && to->service->lb_mode == LB_PASSTHROUGH) {
        c->way = WAY_DIRECT;
        return STEP_NEXT;
    }
    if (r < 0)
        return outbound_end(c, ENDING_NO_ENDPOINT);
    to->workload = choice.workload;
    c->target = choice.target;
    return choose_look_or_way(c, to);
}
