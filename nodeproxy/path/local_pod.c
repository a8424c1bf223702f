/* An enrolled pod as one worker sees it; see the header. */
#include "nodeproxy/path/local_pod.h"

#include "nodeproxy/path/health_watch.h"
#include "nodeproxy/path/inbound.h"
#include "nodeproxy/path/living.h"
#include "nodeproxy/path/listener_set.h"
#include "nodeproxy/path/outbound.h"
#include "nodeproxy/path/upstream_carrier.h"
#include "shared/base/log.h"
#include "shared/ring/socket.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    SOCKETS_TICK_MS = 10000,
    PAUSE_MS = 5,
    STARVED_MS = 250,
    KEEPALIVE_S = 180,
    EXCHANGES_KEPT = 32, /* 7 KiB each */
    REFUSALS_SPARE = 1024, /* accepted to be refused: a listener that is full leaves callers without an answer */
};

/* ---- listeners ----------------------------------------------------------- */

static void tunnel_accepted(struct local_pod *p, int taken_fd);

static void begin(struct local_pod *p, struct listener *l, int taken_fd)
{
    if (l == &p->outbound)
        outbound_accept(p, taken_fd);
    else if (l == &p->inbound)
        inbound_accept_plain(p, taken_fd);
    else
        tunnel_accepted(p, taken_fd);
}

/* An accepted connection that waits for the pod's next turn. */
struct accepted {
    struct turn_wait turn;
    struct listener *listener;
    int fd;
};

static void accepted_go(struct turn_wait *w)
{
    const struct accepted a = *container_of(w, struct accepted, turn);
    free(container_of(w, struct accepted, turn));
    begin(a.listener->user, a.listener, a.fd);
}

static void accepted(struct listener *l, int taken_fd)
{
    struct local_pod *p = l->user;
    if (p->closing || turn_take(&p->turn, 1)) {
        begin(p, l, taken_fd);
        return;
    }
    struct accepted *a = calloc(1, sizeof *a);
    if (!a) {
        local_pod_refuse(p, l, taken_fd, ENDING_NO_MEMORY);
        return;
    }
    *a = (struct accepted){.listener = l, .fd = taken_fd};
    turn_wait_init(&a->turn, 1, accepted_go);
    turn_wait(&p->turn, &a->turn);
    if (p->turn.n_waiting >= TURN_WAITING_HIGH)
        listener_pause(l, PAUSE_MS);
}

static void server_ended(struct hbone_server *s, enum ending ending)
{
    struct local_pod *p = s->user;
    if (!s->trusted) { /* a tunnel that came to nothing is told here; streams tell of themselves */
        const struct account_line line = {
            .source = s->source,
            .destination = s->destination,
            .ending = ending == ENDING_CLOSED ? ENDING_RESET_BY_CLIENT : ending,
            .why = text_of(s->why),
            .bounds = p->bounds,
        };
        account_refused(p->env, REPORTER_DESTINATION, &line);
    }
    hbone_server_close(s);
}

static void server_drained(struct hbone_server *s)
{
    struct local_pod *p = s->user;
    list_remove(&s->link);
    turn_forget(&p->turn, &s->turn);
    p->n_servers--;
    if (!s->trusted)
        bound_give(p->bounds, BOUND_HANDSHAKES);
    bound_give(p->bounds, BOUND_TUNNELS_ACCEPTED);
    listener_release(&p->hbone);
    local_pod_look(p);
}

static struct http2_stream *server_stream(struct hbone_server *s, const struct http2_head *head, unsigned *ret_status)
{
    return inbound_accept_stream(s->user, s, head, ret_status);
}

/* What HTTP/2 refused by itself leaves its line too: who it was is known, where it wanted to go is not. */
static void server_refused(struct hbone_server *s, const struct http2_refusal *refusal)
{
    static const struct relay nothing;
    struct local_pod *p = s->user;
    const struct account_subject subject = {
        .destination = directory_workload(p->env->directory, text_of(p->uid)),
        .source_id = &s->peer,
        .destination_id = &s->credential->id,
        .mutual_tls = true,
    };
    const struct account_line line = {
        .source = s->source,
        .destination = s->destination,
        .hbone = s->destination,
        .status = refusal->status,
        .ending = refusal->code == HTTP2_REFUSED_STREAM ? ENDING_LIMIT : refusal->status == 400 ? ENDING_BAD_AUTHORITY : ENDING_PROTOCOL,
        .why = text_of(refusal->why),
        .bounds = p->bounds,
    };
    struct account a = {.opened_ms = ring_now_ms(p->env->ring)};
    account_begin(&a, p->env, REPORTER_DESTINATION, &subject, NULL);
    account_end(&a, p->env, REPORTER_DESTINATION, &nothing, &line);
}

static void server_broke(struct hbone_server *s) { living_tunnels(s->user); }
static void peers_leaving(struct peer_pool *peers) { living_upstreams(container_of(peers, struct local_pod, peers)); }
static void peers_broke(struct peer_pool *peers) { living_tunnels(container_of(peers, struct local_pod, peers)); }

static bool server_may_shake(struct hbone_server *s)
{
    struct local_pod *p = s->user;
    if (p->closing || turn_take(&p->turn, TURN_HANDSHAKE))
        return true;
    turn_wait(&p->turn, &s->turn);
    return false;
}

static void server_trusted(struct hbone_server *s) { bound_give(((struct local_pod *)s->user)->bounds, BOUND_HANDSHAKES); }

static const struct hbone_server_events server_events = {
    .may_shake = server_may_shake,
    .trusted = server_trusted,
    .stream = server_stream, .refused = server_refused, .ended = server_ended, .broke = server_broke, .drained = server_drained};

/* All of it or nothing. */
static bool take_tunnel(struct local_pod *p)
{
    uint64_t now = ring_now_ms(p->env->ring);
    if (!bound_tick(p->bounds, BOUND_HANDSHAKES_IN, now) || !bound_take(p->bounds, BOUND_TUNNELS_ACCEPTED, now))
        return false;
    if (bound_take(p->bounds, BOUND_HANDSHAKES, now))
        return true;
    bound_give(p->bounds, BOUND_TUNNELS_ACCEPTED);
    return false;
}

static void serve(struct local_pod *p, int taken_fd)
{
    const struct config *config = p->env->config;
    const struct hbone_server_options o = {
        .ring = p->env->ring,
        .credential = p->credential,
        .trust_domain = text_of(config->trust_domain),
        .handshake_ms = config->handshake_ms,
        .share = &p->turn.bytes,
        .keep_expired = config->keep_expired,
        .trust = &p->env->trust,
        .streams_max = (uint32_t)config->streams_max * 2, /* room for what a client opens at once */
    };
    struct hbone_server *s;
    struct addr source, destination;
    if (socket_peer(taken_fd, &source) < 0 || socket_local(taken_fd, &destination) < 0) {
        local_pod_refuse(p, &p->hbone, taken_fd, ENDING_RESET_BY_CLIENT);
        return;
    }
    if (!take_tunnel(p)) {
        local_pod_refuse(p, &p->hbone, taken_fd, ENDING_LIMIT);
        return;
    }
    if (hbone_server_open(&s, taken_fd, &source, &destination, &o, &server_events, p) < 0) {
        const struct account_line line = {.source = source, .destination = destination, .ending = ENDING_NO_MEMORY, .bounds = p->bounds};
        bound_give(p->bounds, BOUND_HANDSHAKES);
        bound_give(p->bounds, BOUND_TUNNELS_ACCEPTED);
        account_refused(p->env, REPORTER_DESTINATION, &line);
        listener_release(&p->hbone);
        return;
    }
    list_push_back(&p->servers, &s->link);
    p->n_servers++;
    if (p->env->draining) /* accepted before we stopped: it may say what it came for */
        hbone_server_drain(s);
}

/* A tunnel that comes before the pod's certificate does waits for it, a little. */
struct early_tunnel {
    struct local_pod_waiter waiter;
    struct local_pod *pod;
    struct timer deadline;
    int fd;
};

static int early_end(struct early_tunnel *e) /* the descriptor */
{
    int fd = e->fd;
    list_remove(&e->waiter.link);
    timer_stop(ring_timers(e->pod->env->ring), &e->deadline);
    free(e);
    return fd;
}

static void early_ready(struct local_pod_waiter *w)
{
    struct early_tunnel *e = container_of(w, struct early_tunnel, waiter);
    struct local_pod *p = e->pod;
    int fd = early_end(e);
    if (p->closing)
        local_pod_refuse(p, &p->hbone, fd, p->closing_ending);
    else
        serve(p, fd);
}

static void early_late(struct timer *t)
{
    struct early_tunnel *e = container_of(t, struct early_tunnel, deadline);
    struct local_pod *p = e->pod;
    int fd = early_end(e);
    local_pod_refuse(p, &p->hbone, fd, p->credential ? ENDING_UNKNOWN_SOURCE : ENDING_NO_IDENTITY);
}

static void tunnel_accepted(struct local_pod *p, int taken_fd)
{
    const struct workload *w;
    if (p->closing) {
        local_pod_refuse(p, &p->hbone, taken_fd, p->closing_ending);
        return;
    }
    if (local_pod_ready(p, &w)) {
        serve(p, taken_fd);
        return;
    }
    struct early_tunnel *e = calloc(1, sizeof *e);
    if (!e) {
        local_pod_refuse(p, &p->hbone, taken_fd, ENDING_NO_MEMORY);
        return;
    }
    *e = (struct early_tunnel){.waiter.ready = early_ready, .pod = p, .fd = taken_fd};
    timer_init(&e->deadline, early_late);
    timer_start(ring_timers(p->env->ring), &e->deadline, p->env->config->identity_wait_ms);
    local_pod_wait(p, &e->waiter);
}

void local_pod_refuse(struct local_pod *p, struct listener *l, int taken_fd, enum ending ending)
{
    struct account_line line = {.ending = ending, .bounds = p->bounds};
    (void)socket_peer(taken_fd, &line.source);
    if (socket_original_dst(taken_fd, &line.destination) < 0)
        (void)socket_local(taken_fd, &line.destination);
    account_refused(p->env, l == &p->outbound ? REPORTER_SOURCE : REPORTER_DESTINATION, &line);
    socket_set_reset_on_close(taken_fd);
    socket_close(taken_fd);
    listener_release(l);
}

static void listener_gone(struct listener *l)
{
    struct local_pod *p = l->user;
    p->listeners_open--;
    local_pod_look(p);
}

static void close_listeners(struct local_pod *p)
{
    struct listener *all[] = {&p->outbound, &p->inbound, &p->hbone};
    for (size_t i = 0; i < ARRAY_SIZE(all); i++)
        if (!all[i]->closing)
            listener_close(all[i]);
}

/* What was accepted already is served: whoever shares the sockets gets only what comes from now on. */
static void stop_listeners(struct local_pod *p)
{
    listener_stop(&p->outbound);
    listener_stop(&p->inbound);
    listener_stop(&p->hbone);
}

bool local_pod_is_idle(const struct local_pod *p)
{
    return p->listeners_open == 0 && p->n_outbounds + p->n_inbounds + p->n_servers == 0 && list_empty(&p->waiting);
}

/* ---- readiness ----------------------------------------------------------- */

bool local_pod_ready(const struct local_pod *p, const struct workload **ret_workload)
{
    const struct workload *w = directory_workload(p->env->directory, text_of(p->uid));
    struct spiffe_id id;
    *ret_workload = w;
    return w && p->credential && spiffe_id_make(text_of(w->trust_domain), text_of(w->ns), text_of(w->service_account), &id) == 0 &&
           spiffe_id_equal(&id, &p->credential->id);
}

void local_pod_wait(struct local_pod *p, struct local_pod_waiter *w) { list_push_back(&p->waiting, &w->link); }

/* Those that wait get one look each; who is still not ready waits again at the end of the list. */
static void wake(struct local_pod *p)
{
    struct list now;
    list_init(&now);
    for (struct list *n; (n = list_pop_front(&p->waiting));)
        list_push_back(&now, n);
    for (struct list *n; (n = list_pop_front(&now));) {
        struct local_pod_waiter *w = container_of(n, struct local_pod_waiter, link);
        w->ready(w);
    }
}

void local_pod_directory_changed(struct local_pod *p)
{
    const struct workload *w;
    if (!list_empty(&p->waiting) && local_pod_ready(p, &w))
        wake(p);
}

void local_pod_set_credential(struct local_pod *p, struct credential *c)
{
    struct credential *old = p->credential;
    p->credential = c ? credential_ref(c) : NULL;
    peer_pool_set_credential(&p->peers, c);
    if (c && c != old) /* as a pool's own links do: a stream that begins now shall not end with the certificate of before */
        list_for_each (n, &p->servers)
            hbone_server_drain(container_of(n, struct hbone_server, link));
    living_credential(p, old);
    credential_unref(old);
    local_pod_directory_changed(p);
}

void local_pod_set_listeners(struct local_pod *p, struct listener_set *s)
{
    struct listener_set *old = p->listeners;
    p->listeners = s ? listener_set_ref(s) : NULL;
    listener_set_unref(old);
    for (struct list *n; s && (n = list_pop_front(&p->listeners_waiting));) {
        struct local_pod_waiter *w = container_of(n, struct local_pod_waiter, link);
        w->ready(w);
    }
}

void local_pod_wait_for_listeners(struct local_pod *p, struct local_pod_waiter *w)
{
    list_push_back(&p->listeners_waiting, &w->link);
}

bool local_pod_has_address(const struct local_pod *p, const struct ip *ip)
{
    for (size_t i = 0; i < p->n_addresses; i++)
        if (ip_equal(&p->addresses[i], ip))
            return true;
    return false;
}

/* ---- beginning and end --------------------------------------------------- */

static void peers_gone(struct peer_pool *peers)
{
    struct local_pod *p = container_of(peers, struct local_pod, peers);
    p->peers_drained = true;
    local_pod_look(p);
}

static void upstreams_gone(struct upstream_pool *upstreams)
{
    struct local_pod *p = container_of(upstreams, struct local_pod, upstreams);
    p->upstreams_drained = true;
    local_pod_look(p);
}

static void mirrors_gone(struct mirrors *mirrors)
{
    struct local_pod *p = container_of(mirrors, struct local_pod, mirrors);
    p->mirrors_drained = true;
    local_pod_look(p);
}

/* Runs from the loop, so that nothing is taken away under a running story. */
static void look(struct ring_task *task)
{
    struct local_pod *p = container_of(task, struct local_pod, look_task);
    if (!p->closing)
        return;
    if (p->n_outbounds == 0 && !p->upstreams_closing) {
        p->upstreams_closing = true;
        health_watches_close(p);
        mirrors_close(&p->mirrors);
        upstream_pool_close(&p->upstreams);
    }
    if (p->n_outbounds + p->n_inbounds == 0 && p->upstreams_drained && p->mirrors_drained && p->n_probes == 0 && !p->peers_closing) {
        p->peers_closing = true;
        peer_pool_close(&p->peers);
    }
    if (!p->peers_drained || p->n_servers > 0 || p->listeners_open > 0 || p->n_outbounds + p->n_inbounds > 0)
        return;
    list_remove(&p->link);
    p->credential = credential_unref(p->credential);
    local_pod_set_listeners(p, NULL);
    hold_done(&p->hold);
    exchange_pool_done(&p->exchanges);
    p->env->mirrors_sent += p->mirrors.sent;
    p->env->mirrors_left_out += p->mirrors.left_out;
    upstream_clusters_done(&p->clusters);
    pod_turn_done(&p->turn);
    p->bounds = pod_bounds_unref(p->bounds);
    p->drained(p);
}

void local_pod_look(struct local_pod *p)
{
    if (p->closing)
        ring_task_ask(p->env->ring, &p->look_task);
}

static void tick_sockets(struct local_pod *p)
{
    if (!timer_running(&p->sockets_tick))
        timer_start(ring_timers(p->env->ring), &p->sockets_tick, SOCKETS_TICK_MS);
}

static void refill(struct socket_pool *sockets, int family, unsigned n)
{
    struct local_pod *p = container_of(sockets, struct local_pod, sockets);
    tick_sockets(p);
    p->refill(sockets, family, n);
}

void local_pod_filled(struct local_pod *p, int family, const int *taken_fds, size_t n, int error)
{
    if (!p->closing)
        tick_sockets(p);
    socket_pool_filled(&p->sockets, family, taken_fds, n, error);
}

void local_pod_starved(struct local_pod *p)
{
    listener_pause(&p->outbound, STARVED_MS);
    listener_pause(&p->inbound, STARVED_MS);
    listener_pause(&p->hbone, STARVED_MS);
}

static void sockets_tick(struct timer *t)
{
    struct local_pod *p = container_of(t, struct local_pod, sockets_tick);
    if (socket_pool_tick(&p->sockets) && !timer_running(t))
        timer_start(ring_timers(p->env->ring), t, SOCKETS_TICK_MS);
}

int local_pod_open(struct local_pod *p, struct path_env *env, const struct local_pod_options *o)
{
    const struct config *config = env->config;
    *p = (struct local_pod){.env = env, .n_addresses = o->n_addresses, .refill = o->refill, .drained = o->drained, .user = o->user};
    assert(o->n_addresses <= LOCAL_POD_ADDRESSES_MAX);
    for (size_t i = 0; i < o->n_addresses; i++)
        p->addresses[i] = o->addresses[i];
    snprintf(p->uid, sizeof p->uid, "%s", o->uid);
    snprintf(p->name, sizeof p->name, "%s", o->name);
    snprintf(p->ns, sizeof p->ns, "%s", o->ns);
    struct list *lists[] = {&p->link, &p->outbounds, &p->inbounds, &p->servers, &p->waiting, &p->listeners_waiting, &p->living, &p->watches};
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
        list_init(lists[i]);
    int r = map_get(&env->pods, text_of(p->uid)) ? -EEXIST : map_put(&env->pods, text_of(p->uid), p, NULL);
    if (r < 0)
        return r;
    if (env->bounds && !(p->bounds = bounds_pod(env->bounds, p->uid, p->ns, p->name))) {
        map_remove(&env->pods, text_of(p->uid));
        return -ENOMEM;
    }
    ring_task_init(&p->look_task, look);
    timer_init(&p->sockets_tick, sockets_tick);
    socket_pool_init(&p->sockets, refill);
    if (config->sockets_max > 0)
        socket_pool_set_max(&p->sockets, (unsigned)config->sockets_max);
    const struct peer_pool_options peers = {
        .ring = env->ring,
        .sockets = &p->sockets,
        .connect_ms = config->connect_ms,
        .idle_ms = config->tunnel_idle_ms,
        .streams_max = (uint32_t)config->streams_max,
        .keep_expired = config->keep_expired,
        .trust = &env->trust,
        .broke = peers_broke,
        .leaving = peers_leaving,
        .bounds = p->bounds,
        .turn = &p->turn,
    };
    if (!env->turns.ring)
        turns_init(&env->turns, env->ring);
    pod_turn_init(&p->turn, &env->turns);
    peer_pool_init(&p->peers, &peers, peers_gone);
    const struct upstream_pool_options upstreams = {
        .ring = env->ring,
        .idle_ms = config->http_idle_ms,
        .connections_max = config->http_connections_max,
        .waiting_max = config->http_waiting_max,
    };
    exchange_pool_init(&p->exchanges, EXCHANGES_KEPT);
    mirrors_init(&p->mirrors, env->ring, mirrors_gone);
    upstream_clusters_init(&p->clusters, env->ring, env->directory, p->uid, text_of(p->ns), pod_bounds_clusters(p->bounds));
    p->clusters.watcher = &health_watcher;
    upstream_pool_init(&p->upstreams, &upstreams, &upstream_carrier_ops, upstreams_gone);
    hold_init(&p->hold, env->ring, p->bounds, config->pod_chunks_max);
    list_push_back(&env->all_pods, &p->link);
    p->listeners_open = 3;
    socket_set_keepalive(o->taken_outbound, KEEPALIVE_S); /* what is accepted has it, too */
    socket_set_keepalive(o->taken_inbound, KEEPALIVE_S);
    socket_set_keepalive(o->taken_hbone, KEEPALIVE_S);
    size_t max = config->connections_max + (p->bounds ? REFUSALS_SPARE : 0);
    listener_open(&p->outbound, env->ring, o->taken_outbound, max, accepted, listener_gone, p);
    listener_open(&p->inbound, env->ring, o->taken_inbound, max, accepted, listener_gone, p);
    listener_open(&p->hbone, env->ring, o->taken_hbone, max, accepted, listener_gone, p);
    return 0;
}

void local_pod_drain(struct local_pod *p)
{
    stop_listeners(p);
    list_for_each(n, &p->outbounds)
        outbound_drain(outbound_of_link(n));
    list_for_each(n, &p->inbounds)
        inbound_drain(inbound_of_link(n));
    list_for_each(n, &p->servers)
        hbone_server_drain(container_of(n, struct hbone_server, link));
}

void local_pod_close(struct local_pod *p, enum ending ending)
{
    if (p->closing)
        return;
    p->closing = true;
    p->closing_ending = ending;
    living_forget(p);
    map_remove(&p->env->pods, text_of(p->uid)); /* nobody finds it any more; its successor may have the same name */
    close_listeners(p);
    list_for_each(n, &p->outbounds)
        outbound_close(outbound_of_link(n), ending);
    list_for_each(n, &p->inbounds)
        inbound_close(inbound_of_link(n), ending);
    list_for_each(n, &p->servers)
        hbone_server_close(container_of(n, struct hbone_server, link));
    pod_turn_flush(&p->turn);
    wake(p); /* only early tunnels are left: they let go of their descriptors */
    timer_stop(ring_timers(p->env->ring), &p->sockets_tick);
    socket_pool_done(&p->sockets);
    local_pod_look(p);
}
