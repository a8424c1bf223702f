#include "nodeproxy/path/upstream_carrier.h"

#include "shared/ring/socket.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

struct carrier {
    struct upstream_link *link;
    struct local_pod *pod;
    uint32_t epoch; /* the pod's, when it was begun */
    bool closing, conn_open;
    struct timer deadline;
    struct socket_waiter socket_waiter; /* directly */
    struct ring_task free_task;
    union {
        struct conn conn;
        struct tunnel tunnel;
    };
};

static struct carrier *carrier_of(const struct upstream_link *l)
{
    return l->carrier;
}
static const struct upstream_endpoint *endpoint_of(const struct carrier *c)
{
    return upstream_link_endpoint(c->link);
}

static void failed(struct carrier *c, enum ending why)
{
    timer_stop(ring_timers(c->pod->env->ring), &c->deadline);
    upstream_failed(c->link, why);
}

static void late(struct timer *t)
{
    failed(container_of(t, struct carrier, deadline), ENDING_CONNECT_TIMEOUT);
}

static void opened(struct carrier *c, struct stream *stream)
{
    timer_stop(ring_timers(c->pod->env->ring), &c->deadline);
    upstream_opened(c->link, stream);
}

/* ---- by a tunnel --------------------------------------------------------- */

static void tunnel_opened(struct tunnel *t, enum ending ending, const char *why)
{
    struct carrier *c = container_of(t, struct carrier, tunnel);
    (void)why;
    if (c->closing)
        return;
    if (ending == ENDING_NONE)
        opened(c, &t->stream.stream);
    else
        failed(c, ending);
}

static struct addr own_address(const struct local_pod *p, int family)
{
    struct addr a = {.port = 0};
    for (size_t i = 0; i < p->n_addresses; i++)
        if (a.ip.len == 0 || ip_family(&p->addresses[i]) == family)
            a.ip = p->addresses[i];
    return a;
}

static int open_tunnel(struct carrier *c)
{
    const struct upstream_endpoint *e = endpoint_of(c);
    struct local_pod *p = c->pod;
    const struct addr to = {e->to.ip, 15008}, source = own_address(p, ip_family(&e->to.ip));
    struct spiffe_id expected;
    if (spiffe_id_parse(e->identity, &expected) < 0)
        return -EINVAL;
    struct hbone_request *request = malloc(sizeof *request);
    if (!request)
        return -ENOMEM;
    hbone_request_make(request, &e->to, &source, e->service_host,
                       directory_workload(p->env->directory, text_of(p->uid)),
                       ring_rng(p->env->ring));
    return tunnel_open(&p->peers, &c->tunnel, &to, &expected, request, tunnel_opened);
}

/* ---- directly ------------------------------------------------------------ */

static void free_later(struct carrier *c)
{
    ring_task_ask(c->pod->env->ring, &c->free_task);
}

static void connected(struct conn *conn, int result)
{
    struct carrier *c = container_of(conn, struct carrier, conn);
    if (c->closing)
        return;
    if (result == 0)
        opened(c, &conn->stream);
    else
        failed(c, result == -ETIMEDOUT ? ENDING_CONNECT_TIMEOUT : ENDING_UNREACHABLE);
}

static void drained(struct conn *conn)
{
    free_later(container_of(conn, struct carrier, conn));
}
static const struct conn_events conn_events = {.connected = connected, .drained = drained};

static void connect_on(struct carrier *c, int taken_fd)
{
    conn_init(&c->conn, c->pod->env->ring, taken_fd, &conn_events);
    conn_share(&c->conn, &c->pod->turn.bytes);
    c->conn_open = true;
    conn_connect(&c->conn, &endpoint_of(c)->to);
}

static void socket_came(struct socket_waiter *w, int taken_fd)
{
    struct carrier *c = container_of(w, struct carrier, socket_waiter);
    if (taken_fd < 0)
        failed(c, taken_fd == -ECANCELED ? ENDING_WORKLOAD_GONE : ENDING_LIMIT);
    else
        connect_on(c, taken_fd);
}

static int open_directly(struct carrier *c)
{
    int fd =
        socket_pool_take(&c->pod->sockets, ip_family(&endpoint_of(c)->to.ip), &c->socket_waiter);
    if (fd >= 0)
        connect_on(c, fd);
    return fd >= 0 || fd == -EAGAIN ? 0 : -ENOBUFS;
}

/* ---- for the pool -------------------------------------------------------- */

static void carrier_free(struct ring_task *task)
{
    struct carrier *c = container_of(task, struct carrier, free_task);
    struct upstream_link *l = c->link;
    free(c);
    upstream_gone(l);
}

static int carrier_open(struct upstream_link *l)
{
    struct local_pod *p = container_of(l->pool, struct local_pod, upstreams);
    bool tunnel = upstream_link_endpoint(l)->tunnel;
    struct carrier *c = calloc(1, sizeof *c);
    if (!c)
        return -ENOMEM;
    c->link = l;
    c->pod = p;
    c->epoch = p->epoch;
    timer_init(&c->deadline, late);
    socket_waiter_init(&c->socket_waiter, socket_came);
    ring_task_init(&c->free_task, carrier_free);
    int r = tunnel ? open_tunnel(c) : open_directly(c);
    if (r < 0) {
        free(c);
        return r;
    }
    l->carrier = c;
    timer_start(ring_timers(p->env->ring), &c->deadline,
                (tunnel ? 2 : 1) * p->env->config->connect_ms);
    return 0;
}

static void carrier_start(struct upstream_link *l)
{
    struct carrier *c = carrier_of(l);
    if (c->conn_open)
        conn_start(&c->conn);
}

static void carrier_close(struct upstream_link *l, bool clean)
{
    struct carrier *c = carrier_of(l);
    c->closing = true;
    timer_stop(ring_timers(c->pod->env->ring), &c->deadline);
    if (c->conn_open) {
        if (!clean)
            stream_reset(&c->conn.stream, -ECONNRESET);
        conn_close(&c->conn);
        return; /* until it has drained */
    }
    if (!endpoint_of(c)->tunnel)
        socket_pool_forget(&c->pod->sockets, &c->socket_waiter);
    else if (clean)
        tunnel_close(&c->tunnel);
    else
        tunnel_reset(&c->tunnel);
    free_later(c);
}

static enum ending carrier_broken(const struct upstream_link *l)
{
    const struct carrier *c = carrier_of(l);
    if (!upstream_link_endpoint(l)->tunnel) /* no identity was shown */
        return ENDING_NONE;
    return c->epoch != c->pod->epoch ? ENDING_IDENTITY_CHANGED : tunnel_broken(&c->tunnel);
}

static bool carrier_is_leaving(const struct upstream_link *l)
{
    return upstream_link_endpoint(l)->tunnel && tunnel_is_leaving(&carrier_of(l)->tunnel);
}

const struct upstream_pool_ops upstream_carrier_ops = {.open = carrier_open,
                                                       .start = carrier_start,
                                                       .close = carrier_close,
                                                       .broken = carrier_broken,
                                                       .leaving = carrier_is_leaving};
