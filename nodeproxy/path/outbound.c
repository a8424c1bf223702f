/* outbound.c - the life of one connection that a local workload opened, read top to bottom. */
#include "nodeproxy/path/outbound_state.h"

#include "nodeproxy/path/request_log.h"
#include "nodeproxy/path/upstream_tls.h"
#include "shared/ring/socket.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

static enum step identify(struct outbound *c);
static enum step authorise(struct outbound *c);
static enum step hear(struct outbound *c);
static enum step route(struct outbound *c);
static enum step tunnel(struct outbound *c);
static enum step relay(struct outbound *c);

/* ---- The story ----------------------------------------------------------- */
static const struct stage {
    const char *name;
    enum step (*begin)(struct outbound *c);
} story[] = {
    {"identify", identify},   /* whose connection is this, and where to?  */
    {"authorise", authorise}, /* may it go there? (loops; egress)         */
    {"hear", hear},           /* what does the client ask for, if a route depends on it? */
    {"route", route},         /* which endpoint serves it, and which way? */
    {"tunnel", tunnel},       /* a protected way there                    */
    {"relay", relay},         /* bytes (or requests) both ways until both end */
};

static void outbound_shut(struct outbound *c);

static void outbound_continue(struct outbound *c, enum step step)
{
    c->waits = false;
    while (step == STEP_NEXT) {
        assert(c->stage < ARRAY_SIZE(story));
        step = story[c->stage++].begin(c);
    }
    if (step == STEP_END)
        outbound_shut(c);
    else
        c->waits = true;
}

/* ---- identify ------------------------------------------------------------ */

static void pod_became_ready(struct local_pod_waiter *w)
{
    struct outbound *c = container_of(w, struct outbound, pod_waiter);
    timer_stop(ring_timers(c->pod->env->ring), &c->deadline);
    c->stage = 0; /* identify again: there is something to see now */
    outbound_continue(c, STEP_NEXT);
}

static enum step identify(struct outbound *c)
{
    const struct path_env *env = c->pod->env;
    const struct workload *self;
    /* The listener's namespace says whose it is. A new pod's certificate may be on its way. */
    if (!local_pod_ready(c->pod, &self)) {
        local_pod_wait(c->pod, &c->pod_waiter);
        timer_start(ring_timers(env->ring), &c->deadline, env->config->identity_wait_ms);
        return STEP_WAIT;
    }
    c->epoch = c->pod->epoch;
    return STEP_NEXT;
}

/* ---- authorise ----------------------------------------------------------- */

/* The workload may try anything; what it may reach is decided at the destination. Here only loops are refused. */
static enum step authorise(struct outbound *c)
{
    bool own = local_pod_has_address(c->pod, &c->destination.ip) || ip_is_loopback(&c->destination.ip);
    if (own && hbone_port_is_own(c->destination.port))
        return outbound_end(c, ENDING_OWN_PORT);
    return STEP_NEXT;
}

static void start_client(struct outbound *c)
{
    c->started = true;
    conn_start(&c->client);
}

/* What is spoken is looked for, or was found to be bytes. */
static bool detects(const struct outbound *c) { return c->way == WAY_DETECT && c->detect; }

/* ---- hear: the one wait for the client, and only where somebody wrote routes by server's name ---- */

static void was_heard(void *user, enum ending ending)
{
    struct outbound *c = user;
    outbound_continue(c, ending == ENDING_NONE ? STEP_NEXT : outbound_end(c, ending));
}

static enum step hear(struct outbound *c)
{
    const struct service *s = outbound_service(c, directory_workload(c->pod->env->directory, text_of(c->pod->uid)));
    if (!s || outbound_is_for_requests(c, s))
        return STEP_NEXT;
    if (tcp_route_open(&c->tcp, c->pod, s, c->destination.port) < 0)
        return outbound_end(c, ENDING_NO_MEMORY);
    if (!c->tcp || !tcp_route_must_hear(c->tcp))
        return STEP_NEXT;
    tcp_route_hear(c->tcp, &c->client, was_heard, c);
    return STEP_WAIT;
}

/* ---- route --------------------------------------------------------------- */

static void detected(void *user, bool http);
static void detect_failed(void *user, enum ending ending, const char *why);
static void detect_drained(void *user);
static const struct outbound_detect_events detect_events = {.decided = detected, .failed = detect_failed, .drained = detect_drained};

/* Nobody has said what is spoken there: the way is opened while that is looked for. */
static enum step detect(struct outbound *c, struct outbound_candidate *to)
{
    const struct outbound_detect_options o = {
        .pod = c->pod,
        .there = to->workload,
        .to = c->target,
        .source = c->source,
        .service_host = text_of(c->service_host),
        .client = &c->client.stream,
        .tls = tcp_route_tls(c->tcp),
        .cluster = tcp_route_cluster(c->tcp),
    };
    enum ending ending = outbound_detect_open(&c->detect, &o, &detect_events, c);
    if (ending != ENDING_NONE)
        return outbound_end(c, ending);
    c->parts++;
    if (outbound_detect_identity(c->detect))
        to->id = *outbound_detect_identity(c->detect);
    return STEP_NEXT;
}

static enum step route(struct outbound *c)
{
    struct path_env *env = c->pod->env;
    struct outbound_candidate to = {.self = directory_workload(env->directory, text_of(c->pod->uid))};
    enum step step = outbound_find_target(c, &to);
    if (to.service)
        c->service_host = text_dup(text_of(to.service->hostname));
    if (c->way == WAY_DETECT)
        step = detect(c, &to);
    const struct account_subject subject = {
        .source = to.self,
        .destination = to.workload,
        .service = to.service,
        .source_id = c->pod->credential ? &c->pod->credential->id : NULL,
        .destination_id = spiffe_id_present(&to.id) ? &to.id : NULL,
        .mutual_tls = c->way == WAY_TUNNEL || (detects(c) && outbound_detect_endpoint(c->detect)->way == UPSTREAM_TUNNEL),
        .undecided = c->way == WAY_DETECT,
        .requests = c->way == WAY_REQUESTS,
        .black_hole = c->ending == ENDING_BLACK_HOLE,
    };
    account_begin(&c->account, env, REPORTER_SOURCE, &subject, &c->relay);
    return step;
}

/* ---- tunnel: the way there; one wait ------------------------------------- */

static void tunnel_opened(struct tunnel *t, enum ending ending, const char *why)
{
    struct outbound *c = container_of(t, struct outbound, tunnel);
    if (c->closing)
        return;
    if (why[0])
        c->why = text_dup(text_of(why)); /* without memory the line has the ending's meaning */
    timer_stop(ring_timers(c->pod->env->ring), &c->deadline);
    outbound_continue(c, ending == ENDING_NONE ? STEP_NEXT : outbound_end(c, ending));
}

static enum step tunnel_through(struct outbound *c)
{
    struct path_env *env = c->pod->env;
    const struct addr to = {c->target.ip, 15008};
    struct hbone_request *request = malloc(sizeof *request);
    if (!request)
        return outbound_end(c, ENDING_NO_MEMORY);
    hbone_request_make(request, &c->target, &c->source, text_of(c->service_host), directory_workload(env->directory, text_of(c->pod->uid)), ring_rng(env->ring));
    int r = tunnel_open(&c->pod->peers, &c->tunnel, &to, c->expected, request, tunnel_opened);
    if (r < 0)
        return outbound_end(c, r == -ENOKEY ? ENDING_NO_IDENTITY : r == -ENOMEM ? ENDING_NO_MEMORY : ENDING_LIMIT);
    c->tunnel_open = true;
    timer_start(ring_timers(env->ring), &c->deadline, tcp_route_connect_ms(c->tcp, 2 * env->config->connect_ms));
    return STEP_WAIT;
}

static void server_connected(struct conn *conn, int result)
{
    struct outbound *c = container_of(conn, struct direct, conn)->outbound;
    if (c->closing)
        return;
    if (result == 0 && tcp_route_tls(c->tcp)) { /* for which the same time counts */
        if (conn_secure(conn, tcp_route_tls(c->tcp)) < 0)
            outbound_continue(c, outbound_end(c, ENDING_NO_MEMORY));
        return;
    }
    timer_stop(ring_timers(c->pod->env->ring), &c->deadline);
    if (result == 0)
        outbound_continue(c, STEP_NEXT);
    else
        outbound_continue(c, outbound_end(c, result == -ETIMEDOUT ? ENDING_CONNECT_TIMEOUT : ENDING_UNREACHABLE));
}

static void server_secured(struct conn *conn, int result)
{
    struct outbound *c = container_of(conn, struct direct, conn)->outbound;
    if (c->closing)
        return;
    timer_stop(ring_timers(c->pod->env->ring), &c->deadline);
    if (result < 0)
        c->why = text_dup(text_of(conn_why(conn))); /* without memory the line has the ending's meaning */
    outbound_continue(c, result == 0 ? STEP_NEXT : outbound_end(c, upstream_tls_ending(result)));
}

static void part_drained(struct outbound *c);
static void server_drained(struct conn *conn) { part_drained(container_of(conn, struct direct, conn)->outbound); }
static void client_drained(struct conn *conn) { part_drained(container_of(conn, struct outbound, client)); }
static const struct conn_events server_events = {.connected = server_connected, .secured = server_secured, .drained = server_drained};
static const struct conn_events client_events = {.drained = client_drained};

static enum step connect_on(struct outbound *c, int taken_fd)
{
    c->direct = malloc(sizeof *c->direct);
    if (!c->direct) {
        socket_close(taken_fd);
        return outbound_end(c, ENDING_NO_MEMORY);
    }
    c->direct->outbound = c;
    conn_init(&c->direct->conn, c->pod->env->ring, taken_fd, &server_events);
    conn_share(&c->direct->conn, &c->pod->turn.bytes);
    c->server_open = true;
    c->parts++;
    timer_start(ring_timers(c->pod->env->ring), &c->deadline, tcp_route_connect_ms(c->tcp, c->pod->env->config->connect_ms));
    conn_connect(&c->direct->conn, &c->target);
    return STEP_WAIT;
}

static void socket_came(struct socket_waiter *w, int taken_fd)
{
    struct outbound *c = container_of(w, struct outbound, socket_waiter);
    if (taken_fd < 0)
        outbound_continue(c, outbound_end(c, taken_fd == -ECANCELED ? ENDING_WORKLOAD_GONE : ENDING_LIMIT));
    else
        outbound_continue(c, connect_on(c, taken_fd));
}

static enum step connect_directly(struct outbound *c)
{
    int fd = socket_pool_take(&c->pod->sockets, ip_family(&c->target.ip), &c->socket_waiter);
    if (fd >= 0)
        return connect_on(c, fd);
    if (fd != -EAGAIN)
        return outbound_end(c, ENDING_LIMIT);
    timer_start(ring_timers(c->pod->env->ring), &c->deadline, SOCKET_POOL_WAIT_MS);
    return STEP_WAIT;
}

static void take_bytes(struct outbound *c, const struct relay *relayed)
{
    c->relay.client.bytes = relayed->client.bytes;
    c->relay.server.bytes = relayed->server.bytes;
    metric_add(c->account.received, relayed->client.bytes);
    metric_add(c->account.sent, relayed->server.bytes);
}

static void local_begun(void *owner)
{
    struct outbound *c = owner;
    if (c->tcp)
        tcp_route_connected(c->tcp);
    conn_start(&c->client);
}

static void account(struct outbound *c);
static void local_released(void *owner, const struct relay *relayed)
{
    struct outbound *c = owner;
    c->lent = false;
    take_bytes(c, relayed);
    account(c);
    part_drained(c);
}

/* Our inbound half ended: it relayed, so its ending is ours, and its bytes. */
static void local_ended(void *owner, enum ending ending)
{
    struct outbound *c = owner;
    c->inbound = NULL;
    /* While the inbound story still runs on our stack (it was decided at once) the stage returns the end. */
    if (c->ending == ENDING_NONE)
        c->ending = ending;
    if (c->waits)
        outbound_continue(c, STEP_END);
}

static const struct inbound_local_events local_events = {.begun = local_begun, .ended = local_ended, .released = local_released};

static enum step hand_to_local(struct outbound *c)
{
    struct local_pod *pod = c->local_pod;
    const struct inbound_local local = {
        .credential = c->pod->credential,
        .client = &c->client.stream,
        .source = c->source,
        .destination = c->target,
        .service_host = text_of(c->service_host),
        .events = &local_events,
        .owner = c,
    };
    c->local_pod = NULL;
    if (!c->pod->credential)
        return outbound_end(c, ENDING_NO_IDENTITY);
    int r = inbound_open_local(pod, &local, &c->inbound);
    if (r < 0)
        return outbound_end(c, r == -ENOMEM ? ENDING_NO_MEMORY : ENDING_LIMIT);
    c->lent = true;
    c->parts++;
    if (c->ending != ENDING_NONE) {
        c->inbound = NULL;
        return STEP_END;
    }
    return STEP_WAIT; /* until local_ended: the relay is the inbound's */
}

static enum step tunnel(struct outbound *c)
{
    switch (c->way) {
    case WAY_TUNNEL: return tunnel_through(c);
    case WAY_LOCAL: return hand_to_local(c);
    case WAY_DIRECT: return connect_directly(c);
    case WAY_REQUESTS: return STEP_NEXT;
    case WAY_DETECT:
        start_client(c);
        return STEP_WAIT;
    case WAY_NONE: break;
    }
    return outbound_end(c, ENDING_NO_ENDPOINT);
}

static void stage_late(struct timer *t)
{
    struct outbound *c = container_of(t, struct outbound, deadline);
    const struct workload *self;
    if (!list_empty(&c->pod_waiter.link)) {
        (void)local_pod_ready(c->pod, &self);
        outbound_continue(c, outbound_end(c, self ? ENDING_NO_IDENTITY : ENDING_UNKNOWN_SOURCE));
    } else {
        bool shaking = c->server_open && c->way == WAY_DIRECT && c->direct->conn.tls;
        outbound_continue(c, outbound_end(c, shaking ? ENDING_HANDSHAKE_TIMEOUT : ENDING_CONNECT_TIMEOUT));
    }
}

/* ---- relay --------------------------------------------------------------- */

static void relay_over(struct relay *r, enum ending ending)
{
    struct outbound *c = container_of(r, struct outbound, relay);
    outbound_continue(c, outbound_end(c, ending));
}

static void request_over(void *user, const struct exchange_record *record)
{
    struct outbound *c = user;
    struct relay_side *client = &c->relay.client, *server = &c->relay.server;
    client->bytes += record->bytes_received;
    server->bytes += record->bytes_sent;
    const struct request_log log = {.env = c->pod->env, .account = &c->account, .source = &c->source, .destination = &c->destination, .bounds = c->pod->bounds};
    request_log_write(&log, record);
}

static void http_ended(void *user, enum ending ending) { outbound_continue(user, outbound_end(user, ending)); }

static void http_drained(void *user)
{
    struct outbound *c = user;
    c->http = NULL;
    account(c); /* whose names were those of its requests until now, and their bytes are its */
    part_drained(c);
}

static const struct outbound_http_events http_events = {.over = request_over, .ended = http_ended, .drained = http_drained};

/* By requests as by bytes it goes on in the story; the client's first ones are said to whoever is its reader then. */
static void detected(void *user, bool http)
{
    struct outbound *c = user;
    struct outbound_detect *d = c->detect;
    account_decide(&c->account, c->pod->env, http, &c->relay);
    if (http) {
        c->way = WAY_REQUESTS;
        c->http = NULL;
    }
    if (http && c->tcp) /* each of them chooses for itself, and counts for itself */
        tcp_route_close(c->tcp, ENDING_NONE);
    outbound_continue(c, STEP_NEXT);
    if (!c->closing)
        outbound_detect_hand_over(d, http);
    else if (http) /* else its end has closed it */
        outbound_detect_close(d, false);
}

static void detect_failed(void *user, enum ending ending, const char *why)
{
    struct outbound *c = user;
    if (why[0])
        c->why = text_dup(text_of(why));
    outbound_continue(c, outbound_end(c, ending));
}

static void detect_drained(void *user) { part_drained(user); }

static enum step relay_requests(struct outbound *c)
{
    const struct service *s = outbound_service(c, directory_workload(c->pod->env->directory, text_of(c->pod->uid)));
    if (!s || outbound_http_open(&c->http, c->pod, s, &c->destination, &c->client.stream, &http_events, c) < 0)
        return outbound_end(c, s ? ENDING_NO_MEMORY : ENDING_NO_ENDPOINT);
    c->parts++;
    if (!c->started)
        start_client(c);
    return STEP_WAIT;
}

static enum step relay(struct outbound *c)
{
    if (c->way == WAY_REQUESTS)
        return relay_requests(c);
    struct stream *server = c->way == WAY_TUNNEL   ? &c->tunnel.stream.stream
                            : c->way == WAY_DETECT ? outbound_detect_server(c->detect)
                                                   : &c->direct->conn.stream;
    if (c->tcp && !tcp_route_claim(c->tcp))
        return outbound_end(c, ENDING_OVERFLOW);
    if (c->tcp)
        tcp_route_connected(c->tcp);
    free(c->expected);
    c->expected = NULL;
    c->relay.hold = &c->pod->hold;
    relay_start(&c->relay, &c->client.stream, server, ring_timers(c->pod->env->ring), c->pod->env->config->idle_ms, relay_over);
    if (!c->started)
        start_client(c);
    if (c->way == WAY_DIRECT)
        conn_start(&c->direct->conn);
    return STEP_WAIT;
}

/* ---- account, and the end ------------------------------------------------ */

static void account(struct outbound *c)
{
    const struct account_line line = {
        .source = c->source,
        .destination = c->destination,
        .hbone = c->way == WAY_TUNNEL || c->way == WAY_LOCAL || (detects(c) && outbound_detect_identity(c->detect)) ? c->target : (struct addr){.port = 0},
        .status = c->way == WAY_TUNNEL ? c->tunnel.status : 0,
        .why = text_of(c->why),
        .ending = c->ending,
        .bounds = c->pod->bounds,
    };
    account_end(&c->account, c->pod->env, REPORTER_SOURCE, &c->relay, &line);
}

static void outbound_free(struct ring_task *task)
{
    struct outbound *c = container_of(task, struct outbound, free_task);
    struct local_pod *pod = c->pod;
    list_remove(&c->link);
    pod->n_outbounds--;
    bound_give(pod->bounds, BOUND_OUTBOUND);
    listener_release(&pod->outbound);
    if (c->server_open)
        free(c->direct);
    free(c->expected);
    free(c->service_host);
    free(c->why);
    tcp_route_free(c->tcp);
    free(c);
    local_pod_look(pod);
}

static void part_drained(struct outbound *c)
{
    assert(c->parts > 0);
    if (--c->parts == 0)
        ring_task_ask(c->pod->env->ring, &c->free_task);
}

static void outbound_shut(struct outbound *c)
{
    bool clean = c->ending == ENDING_CLOSED;
    if (c->closing)
        return;
    c->closing = true;
    assert(c->ending != ENDING_NONE);
    timer_stop(ring_timers(c->pod->env->ring), &c->deadline);
    list_remove(&c->pod_waiter.link);
    socket_pool_forget(&c->pod->sockets, &c->socket_waiter);
    relay_stop(&c->relay);
    if (c->inbound)
        inbound_abandon(c->inbound, ENDING_RESET_BY_CLIENT);
    c->inbound = NULL;
    if (c->tcp)
        tcp_route_close(c->tcp, c->ending);
    if (c->way == WAY_REQUESTS && c->http)
        outbound_http_close(c->http, c->ending);
    else if (!c->lent) /* else what passed is known once it is released */
        account(c);
    if (detects(c)) {
        outbound_detect_close(c->detect, clean);
        c->detect = NULL;
    }
    if (c->tunnel_open && clean)
        tunnel_close(&c->tunnel);
    else if (c->tunnel_open)
        tunnel_reset(&c->tunnel);
    if (c->server_open) {
        if (!clean)
            stream_reset(&c->direct->conn.stream, -ECONNRESET);
        conn_close(&c->direct->conn);
    }
    if (!clean)
        stream_reset(&c->client.stream, -ECONNRESET);
    conn_close(&c->client);
}

void outbound_drain(struct outbound *c)
{
    if (c->way == WAY_REQUESTS && c->http)
        outbound_http_drain(c->http);
}

void outbound_close(struct outbound *c, enum ending ending)
{
    if (!c->closing)
        outbound_continue(c, outbound_end(c, ending));
}

bool outbound_look_again(struct outbound *c)
{
    enum ending ending = ENDING_NONE;
    if (c->closing || c->way == WAY_NONE || c->way == WAY_DIRECT) /* no identity was shown on its way */
        return false;
    if (trust_revokes_identity(c->pod->env->trust, c->pod->identity.text))
        ending = ENDING_REVOKED;
    else if (detects(c))
        ending = outbound_detect_broken(c->detect);
    else if (c->epoch != c->pod->epoch)
        ending = ENDING_IDENTITY_CHANGED;
    else if (c->tunnel_open)
        ending = tunnel_broken(&c->tunnel);
    if (ending != ENDING_NONE)
        outbound_close(c, ending);
    return ending != ENDING_NONE;
}

/* ---- the beginning ------------------------------------------------------- */

void outbound_accept(struct local_pod *pod, int taken_fd)
{
    bool room = !pod->closing && bound_take(pod->bounds, BOUND_OUTBOUND, ring_now_ms(pod->env->ring));
    struct outbound *c = room ? calloc(1, sizeof *c) : NULL;
    if (!c) {
        if (room)
            bound_give(pod->bounds, BOUND_OUTBOUND);
        local_pod_refuse(pod, &pod->outbound, taken_fd, pod->closing ? pod->closing_ending : room ? ENDING_NO_MEMORY : ENDING_LIMIT);
        return;
    }
    c->pod = pod;
    c->account.id = ++pod->env->next_id;
    c->account.opened_ms = ring_now_ms(pod->env->ring);
    list_init(&c->pod_waiter.link);
    c->pod_waiter.ready = pod_became_ready;
    socket_waiter_init(&c->socket_waiter, socket_came);
    timer_init(&c->deadline, stage_late);
    ring_task_init(&c->free_task, outbound_free);
    list_push_back(&pod->outbounds, &c->link);
    pod->n_outbounds++;
    conn_init(&c->client, pod->env->ring, taken_fd, &client_events);
    conn_share(&c->client, &pod->turn.bytes);
    c->parts = 1;
    if (socket_peer(taken_fd, &c->source) < 0)
        return outbound_close(c, ENDING_RESET_BY_CLIENT);
    if (socket_original_dst(taken_fd, &c->destination) < 0) {
        (void)socket_local(taken_fd, &c->destination);
        return outbound_close(c, ENDING_NOT_CAPTURED);
    }
    outbound_continue(c, STEP_NEXT);
}

struct outbound *outbound_of_link(struct list *link) { return container_of(link, struct outbound, link); }

void outbound_view(const struct outbound *c, struct connection_view *ret)
{
    static const char *const protocols[] = {"TCP", "TCP", "HBONE", "LOCAL", "HTTP", "TCP"};
    const struct relay *relay = c->inbound ? inbound_relay(c->inbound) : &c->relay;
    *ret = (struct connection_view){
        .id = c->account.id,
        .opened_ms = c->account.opened_ms,
        .bytes_received = relay->client.bytes,
        .bytes_sent = relay->server.bytes,
        .direction = "Outbound",
        .protocol = protocols[c->way],
        .stage = c->stage > 0 ? story[c->stage - 1].name : "identify",
        .source = c->source,
        .destination = c->destination,
        .target = c->target,
        .peer = {"", 0},
    };
}
