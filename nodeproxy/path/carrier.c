#include "nodeproxy/path/carrier.h"

#include "nodeproxy/path/inbound.h"
#include "nodeproxy/path/upstream_tls.h"
#include "shared/ring/socket.h"
#include "shared/transport/stream_pair.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

enum { LEAVE_MS = 60000 /* for an application that takes the last bytes slowly */ };

struct local { /* into another pod's inbound story, which has the second end */
    struct inbound *inbound; /* NULL: it has ended, or was abandoned */
    struct stream_pair pair;
    enum ending ending; /* before it was open */
    bool lent;          /* the inbound may still look at its end */
};
struct carrier {
    const struct carrier_events *events;
    void *user;
    struct local_pod *pod;
    struct upstream_endpoint to;
    struct ring *ring; /* the pod's, which may be gone before it: close_local() */
    uint32_t epoch; /* the pod's, when it was begun */
    bool closing, opened, conn_open;
    bool shaking; /* connected, and TLS is not there yet */
    bool told; /* `gone` */
    struct timer deadline;
    struct socket_waiter socket_waiter; /* directly */
    struct ring_task task; /* LOCAL: the end of what came to nothing at once; closing: the memory goes */
    union {
        struct conn conn;
        struct tunnel tunnel;
        struct local local;
    };
};

static void failed(struct carrier *c, enum ending ending, const char *why)
{
    timer_stop(ring_timers(c->ring), &c->deadline);
    c->events->failed(c->user, ending, why);
}

static void late(struct timer *t)
{
    struct carrier *c = container_of(t, struct carrier, deadline);
    if (!c->closing)
        failed(c, c->shaking ? ENDING_HANDSHAKE_TIMEOUT : ENDING_CONNECT_TIMEOUT, "");
    else if (c->local.inbound) /* close_local() waits for it */
        inbound_close(c->local.inbound, ENDING_IDLE_TIMEOUT);
}

static void opened(struct carrier *c, struct stream *stream)
{
    timer_stop(ring_timers(c->ring), &c->deadline);
    c->opened = true;
    c->events->opened(c->user, stream);
}

/* What a cluster says is of TCP; a tunnel's handshake comes on top of it. */
static uint64_t connect_ms(const struct local_pod *p, const struct upstream_endpoint *to)
{
    uint64_t ms = to->cluster ? to->cluster->cluster->connect_timeout_ms
                              : p->env->config->connect_ms;
    return to->way == UPSTREAM_DIRECT ? ms : 2 * ms;
}

/* ---- which way ----------------------------------------------------------- */

enum ending carrier_way(const struct path_env *env, const struct workload *there,
                        const struct addr *to, struct spiffe_id *id, struct upstream_endpoint *ret)
{
    *ret = (struct upstream_endpoint){.to = *to};
    if (!there || there->tunnel != TUNNEL_HBONE)
        return ENDING_NONE;
    if (hbone_port_is_own(to->port))
        return ENDING_OWN_PORT;
    if (spiffe_id_make(text_of(there->trust_domain), text_of(there->ns),
                       text_of(there->service_account), id) < 0)
        return ENDING_PEER_MISMATCH;
    bool local = !env->config->same_node_hbone && map_get(&env->pods, text_of(there->uid));
    ret->way = local ? UPSTREAM_LOCAL : UPSTREAM_TUNNEL;
    ret->identity = spiffe_id_text(id);
    return ENDING_NONE;
}

/* ---- by a tunnel --------------------------------------------------------- */

static void tunnel_opened(struct tunnel *t, enum ending ending, const char *why)
{
    struct carrier *c = container_of(t, struct carrier, tunnel);
    if (c->closing)
        return;
    if (ending == ENDING_NONE)
        opened(c, &t->stream.stream);
    else
        failed(c, ending, why);
}

struct addr carrier_own_address(const struct local_pod *p, int family)
{
    struct addr a = {.port = 0};
    for (size_t i = 0; i < p->n_addresses; i++)
        if (a.ip.len == 0 || ip_family(&p->addresses[i]) == family)
            a.ip = p->addresses[i];
    return a;
}

static int open_tunnel(struct carrier *c, const struct addr *source)
{
    struct local_pod *p = c->pod;
    const struct addr at = {c->to.to.ip, 15008};
    struct spiffe_id expected;
    if (spiffe_id_parse(c->to.identity, &expected) < 0)
        return -EINVAL;
    struct hbone_request *request = malloc(sizeof *request);
    if (!request)
        return -ENOMEM;
    hbone_request_make(request, &c->to.to, source, c->to.service_host,
                       directory_workload(p->env->directory, text_of(p->uid)),
                       ring_rng(p->env->ring));
    return tunnel_open(&p->peers, &c->tunnel, &at, &expected, request, tunnel_opened);
}

/* ---- within the node ----------------------------------------------------- */

static void local_begun(void *owner)
{
    struct carrier *c = owner;
    stream_resume(&c->local.pair.ends[1].stream);
    opened(c, &c->local.pair.ends[0].stream);
}

static void local_ended(void *owner, enum ending ending)
{
    struct carrier *c = owner;
    struct stream *its = &c->local.pair.ends[1].stream;
    c->local.inbound = NULL;
    its->events = &stream_nobody;
    if (!c->opened) { /* possibly while we are opening it */
        c->local.ending = ending;
        ring_task_ask(c->ring, &c->task);
    } else if (ending == ENDING_CLOSED) {
        stream_finish(its); /* after what is on its way */
    } else {
        stream_reset(its, -ECONNRESET);
    }
}

static void local_released(void *owner, const struct relay *relayed)
{
    struct carrier *c = owner;
    (void)relayed;
    c->local.lent = false;
    timer_stop(ring_timers(c->ring), &c->deadline);
    if (c->closing)
        ring_task_ask(c->ring, &c->task);
}

static const struct inbound_local_events local_events = {
    .begun = local_begun, .ended = local_ended, .released = local_released};

static int open_local(struct carrier *c, const struct addr *source)
{
    const struct path_env *env = c->pod->env;
    const struct workload *w =
        directory_workload_at(env->directory, text_of(env->config->network), &c->to.to.ip);
    struct local_pod *there = w ? map_get(&env->pods, text_of(w->uid)) : NULL;
    if (!c->pod->credential)
        return -ENOKEY;
    stream_pair_init(&c->local.pair, env->ring);
    const struct inbound_local local = {
        .credential = c->pod->credential,
        .client = &c->local.pair.ends[1].stream,
        .source = *source,
        .destination = c->to.to,
        .service_host = c->to.service_host,
        .takes_turn = true,
        .events = &local_events,
        .owner = c,
    };
    if (!there) { /* it has just gone */
        c->local.ending = ENDING_UNREACHABLE;
        ring_task_ask(env->ring, &c->task);
        return 0;
    }
    int r = inbound_open_local(there, &local, &c->local.inbound);
    if (r < 0)
        return r;
    c->local.lent = true;
    if (c->local.ending != ENDING_NONE)
        c->local.inbound = NULL;
    return 0;
}

/* Both have said all and heard it, but the application may not have been given the last of it yet: that goes on without our
 * owner, as it does without a tunnel. Nobody but the pod that is called waits for it then: the pod that called may be removed. */
static bool outlives(const struct local *l)
{
    return l->inbound && l->pair.ends[0].ended && l->pair.ends[1].ended;
}

static void close_local(struct carrier *c, bool clean)
{
    struct local *l = &c->local;
    l->pair.ends[0].stream.events = &stream_nobody;
    if (clean && outlives(l)) {
        timer_start(ring_timers(c->ring), &c->deadline, LEAVE_MS);
        ring_task_ask(c->ring, &c->task); /* `gone` */
        return;
    }
    if (l->inbound)
        inbound_abandon(l->inbound, clean ? ENDING_CLOSED : ENDING_RESET_BY_CLIENT);
    l->inbound = NULL;
    if (!l->lent)
        ring_task_ask(c->ring, &c->task);
}

/* ---- directly ------------------------------------------------------------ */

static void connected(struct conn *conn, int result)
{
    struct carrier *c = container_of(conn, struct carrier, conn);
    if (c->closing)
        return;
    if (result < 0) {
        failed(c, result == -ETIMEDOUT ? ENDING_CONNECT_TIMEOUT : ENDING_UNREACHABLE, "");
        return;
    }
    if (!c->to.tls) {
        opened(c, &conn->stream);
        return;
    }
    c->shaking = true;
    conn->eof_is_end = c->to.version == HTTP_VERSION_2;
    if (conn_secure(conn, c->to.tls) < 0)
        failed(c, ENDING_NO_MEMORY, "");
}

/* The time to connect is for this, too. */
static void secured(struct conn *conn, int result)
{
    struct carrier *c = container_of(conn, struct carrier, conn);
    c->shaking = false;
    if (c->closing)
        return;
    if (result == 0)
        opened(c, &conn->stream);
    else
        failed(c, upstream_tls_ending(result), conn_why(conn));
}

static void drained(struct conn *conn)
{
    struct carrier *c = container_of(conn, struct carrier, conn);
    ring_task_ask(c->ring, &c->task);
}
static const struct conn_events conn_events = {
    .connected = connected, .secured = secured, .drained = drained};

static void connect_on(struct carrier *c, int taken_fd)
{
    conn_init(&c->conn, c->ring, taken_fd, &conn_events);
    conn_share(&c->conn, &c->pod->turn.bytes);
    c->conn_open = true;
    timer_start(ring_timers(c->ring), &c->deadline, connect_ms(c->pod, &c->to));
    conn_connect(&c->conn, &c->to.to);
}

static void socket_came(struct socket_waiter *w, int taken_fd)
{
    struct carrier *c = container_of(w, struct carrier, socket_waiter);
    if (taken_fd < 0)
        failed(c, taken_fd == -ECANCELED ? ENDING_WORKLOAD_GONE : ENDING_LIMIT, "");
    else
        connect_on(c, taken_fd);
}

static int open_directly(struct carrier *c)
{
    int fd = socket_pool_take(&c->pod->sockets, ip_family(&c->to.to.ip), &c->socket_waiter);
    if (fd >= 0)
        connect_on(c, fd);
    else if (fd == -EAGAIN)
        timer_start(ring_timers(c->ring), &c->deadline, SOCKET_POOL_WAIT_MS);
    else
        return -ENOBUFS;
    return 0;
}

/* ---- beginning and end --------------------------------------------------- */

static void carrier_task(struct ring_task *task)
{
    struct carrier *c = container_of(task, struct carrier, task);
    const struct carrier_events *events = c->events;
    void *user = c->user;
    if (!c->closing) {
        failed(c, c->local.ending, "");
        return;
    }
    bool lent = c->to.way == UPSTREAM_LOCAL && c->local.lent, told = c->told;
    if (lent && !c->local.inbound && !told)
        return; /* it ends at once: local_released() asks again */
    c->told = true;
    if (!lent) {
        if (c->to.way == UPSTREAM_LOCAL)
            stream_pair_done(&c->local.pair);
        tls_config_unref(c->to.tls);
        free(c);
    }
    if (!told)
        events->gone(user);
}

int carrier_open(struct carrier **ret, struct local_pod *p, const struct upstream_endpoint *to,
                 const struct addr *source, const struct carrier_events *events, void *user)
{
    struct carrier *c = calloc(1, sizeof *c);
    if (!c)
        return -ENOMEM;
    c->events = events;
    c->user = user;
    c->pod = p;
    c->ring = p->env->ring;
    c->to = *to;
    assert(!to->tls || to->way == UPSTREAM_DIRECT);
    if (to->tls)
        tls_config_ref(to->tls);
    c->epoch = p->epoch;
    timer_init(&c->deadline, late);
    socket_waiter_init(&c->socket_waiter, socket_came);
    ring_task_init(&c->task, carrier_task);
    int r = to->way == UPSTREAM_TUNNEL  ? open_tunnel(c, source)
            : to->way == UPSTREAM_LOCAL ? open_local(c, source)
                                        : open_directly(c);
    if (r < 0) {
        tls_config_unref(c->to.tls);
        free(c);
        return r;
    }
    *ret = c;
    if (to->way != UPSTREAM_DIRECT) /* that has begun its own, of what it waits for */
        timer_start(ring_timers(p->env->ring), &c->deadline, connect_ms(p, to));
    return 0;
}

void carrier_start(struct carrier *c)
{
    if (c->conn_open)
        conn_start(&c->conn);
    else if (c->to.way == UPSTREAM_LOCAL)
        stream_resume(&c->local.pair.ends[0].stream);
}

void carrier_close(struct carrier *c, bool clean)
{
    assert(!c->closing);
    c->closing = true;
    timer_stop(ring_timers(c->ring), &c->deadline);
    switch (c->to.way) {
    case UPSTREAM_LOCAL:
        close_local(c, clean);
        return;
    case UPSTREAM_TUNNEL:
        if (clean)
            tunnel_close(&c->tunnel);
        else
            tunnel_reset(&c->tunnel);
        break;
    case UPSTREAM_DIRECT:
        if (c->conn_open) {
            if (!clean)
                stream_reset(&c->conn.stream, -ECONNRESET);
            conn_close(&c->conn);
            return; /* until it has drained */
        }
        socket_pool_forget(&c->pod->sockets, &c->socket_waiter);
        break;
    }
    ring_task_ask(c->ring, &c->task);
}

enum ending carrier_broken(const struct carrier *c)
{
    if (c->to.way == UPSTREAM_DIRECT) /* no identity was shown */
        return ENDING_NONE;
    if (c->epoch != c->pod->epoch)
        return ENDING_IDENTITY_CHANGED;
    return c->to.way == UPSTREAM_TUNNEL ? tunnel_broken(&c->tunnel) : ENDING_NONE;
}

bool carrier_is_leaving(const struct carrier *c)
{
    return c->to.way == UPSTREAM_TUNNEL && tunnel_is_leaving(&c->tunnel);
}
