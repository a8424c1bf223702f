#include "nodeproxy/dns/dns_forward.h"

#include "shared/base/clock.h"
#include "shared/ring/datagram.h"
#include "shared/ring/socket.h"
#include "shared/transport/conn.h"
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>

enum { TICK_MS = 10000, RECEIVES_MAX = 8, PREFIX = 2 };

struct way; /* a UDP socket */
struct connection;
struct pending {
    struct list link; /* in f->pending */
    struct dns_forward *forward;
    struct dns_asker asker;
    struct dns_query query;
    uint16_t id; /* ours */
    uint64_t since_us;
    int error; /* it could not be asked */
    bool forgotten;
    struct timer deadline;
    struct socket_waiter waiter;
    struct way *way;               /* NULL: it waits for a socket, or goes over TCP */
    struct connection *connection; /* likewise */
    size_t len;
    uint8_t bytes[]; /* after room for TCP's length */
};
struct way {
    struct list link; /* in f->idle or f->busy */
    struct dns_forward *forward;
    struct ring_scope scope;
    struct ring_op poll_op;
    struct pending *pending; /* NULL: idle */
    int fd, family;
};
struct connection {
    struct list link;
    struct dns_forward *forward;
    struct conn conn;
    struct buf in;
    struct pending *pending; /* NULL: it only closes */
};

static void look_drained(struct dns_forward *f)
{
    if (!f->closing || f->closed || f->n_open > 0)
        return;
    f->closed = true;
    f->drained(f);
}

/* ---- the end of a query ---- */

static void way_rest(struct way *w);

static void end(struct pending *p, const void *bytes, size_t len, int why)
{
    struct dns_forward *f = p->forward;
    bool over_tcp = p->asker.client != NULL;
    timer_stop(ring_timers(f->ring), &p->deadline);
    socket_pool_forget(over_tcp ? f->streams : &f->datagrams, &p->waiter);
    list_remove(&p->link);
    f->n_pending--;
    bound_give(f->bounds, BOUND_DNS_FORWARDED);
    if (p->way)
        way_rest(p->way);
    if (p->connection) {
        p->connection->pending = NULL;
        conn_close(&p->connection->conn);
    }
    if (bytes)
        dns_account_time(f->account, &p->query, over_tcp, clock_monotonic_us() - p->since_us);
    else
        dns_account_count(f->account, DNS_FAILED, &p->query, over_tcp);
    if (!p->forgotten && !f->closing)
        f->answered(f, &p->asker, &p->query, bytes, len, why);
    free(p);
}

static void late(struct timer *t)
{
    struct pending *p = container_of(t, struct pending, deadline);
    end(p, NULL, 0, p->error < 0 ? p->error : -ETIMEDOUT);
}

/* To whom it came, with the id that he gave it. */
static bool deliver(struct pending *p, uint8_t *bytes, size_t len)
{
    if (!dns_message_answers(bytes, len, &p->query, p->id))
        return false;
    dns_message_set_id(bytes, p->query.id);
    end(p, bytes, len, 0);
    return true;
}

/* ---- UDP ---- */

static void way_ready(struct ring_op *op, int result);

static void way_drained(struct ring_scope *scope)
{
    struct way *w = container_of(scope, struct way, scope);
    struct dns_forward *f = w->forward;
    socket_close(w->fd);
    free(w);
    f->n_open--;
    look_drained(f);
}

static void way_close(struct way *w)
{
    list_remove(&w->link);
    ring_scope_close(&w->scope);
}

static void way_rest(struct way *w)
{
    w->pending = NULL;
    list_remove(&w->link);
    list_push_front(&w->forward->idle, &w->link);
    w->forward->n_busy--;
    (void)datagram_connect(w->fd, NULL); /* the next one gets another port */
}

static struct way *way_new(struct dns_forward *f, int taken_fd, int family)
{
    struct way *w = calloc(1, sizeof *w);
    if (!w) {
        socket_close(taken_fd);
        return NULL;
    }
    w->forward = f;
    w->fd = taken_fd;
    w->family = family;
    list_init(&w->link);
    ring_scope_init(&w->scope, f->ring, way_drained);
    ring_op_init(&w->poll_op, &w->scope);
    f->n_open++;
    ring_poll(f->ring, &w->poll_op, w->fd, POLLIN, way_ready);
    return w;
}

static int way_send(struct way *w, struct pending *p)
{
    struct dns_forward *f = w->forward;
    list_remove(&w->link);
    list_push_back(&f->busy, &w->link);
    if (++f->n_busy > f->busy_most)
        f->busy_most = f->n_busy;
    w->pending = p;
    p->way = w;
    int r = datagram_connect(w->fd, &p->asker.resolver);
    if (r == 0)
        r = datagram_send(w->fd, p->bytes + PREFIX, p->len, NULL, NULL);
    return r;
}

/* What nobody waits for is dropped here: answers that came too late, or were sent by somebody who
 * guesses. */
static void way_ready(struct ring_op *op, int result)
{
    struct way *w = container_of(op, struct way, poll_op);
    static _Thread_local uint8_t bytes[DNS_MESSAGE_MAX];
    struct addr from;
    for (unsigned i = 0; result > 0 && i < RECEIVES_MAX; i++) {
        ssize_t n = datagram_receive(w->fd, bytes, sizeof bytes, &from, NULL);
        if (n == -EAGAIN)
            break;
        if (n >= 0 && w->pending)
            (void)deliver(w->pending, bytes, (size_t)n);
        else if (n < 0 && n != -EMSGSIZE && w->pending)
            end(w->pending, NULL, 0, (int)n);
    }
    if (result < 0 && !w->scope.closing) {
        if (w->pending)
            end(w->pending, NULL, 0, result);
        way_close(w);
    }
    if (!w->scope.closing)
        ring_poll(w->forward->ring, &w->poll_op, w->fd, POLLIN, way_ready);
}

static void tick(struct timer *t)
{
    struct dns_forward *f = container_of(t, struct dns_forward, tick);
    size_t keep = f->busy_most - f->n_busy, idle = 0;
    list_for_each(n, &f->idle)
        if (idle++ >= keep)
            way_close(container_of(n, struct way, link));
    f->busy_most = f->n_busy;
    bool sockets = socket_pool_tick(&f->datagrams);
    if (sockets || f->n_pending > 0 || !list_empty(&f->idle))
        timer_start(ring_timers(f->ring), t, TICK_MS);
}

static int begin_on(struct pending *p, int taken_fd)
{
    struct way *w = way_new(p->forward, taken_fd, ip_family(&p->asker.resolver.ip));
    return w ? way_send(w, p) : -ENOMEM;
}

static void datagram_got(struct socket_waiter *waiter, int taken_fd)
{
    struct pending *p = container_of(waiter, struct pending, waiter);
    int r = taken_fd < 0 ? taken_fd : begin_on(p, taken_fd);
    if (r < 0)
        end(p, NULL, 0, r);
}

static int ask_datagram(struct dns_forward *f, struct pending *p)
{
    int family = ip_family(&p->asker.resolver.ip);
    list_for_each(n, &f->idle)
    {
        struct way *w = container_of(n, struct way, link);
        if (w->family == family)
            return way_send(w, p);
    }
    int fd = socket_pool_take(&f->datagrams, family, &p->waiter);
    return fd >= 0 ? begin_on(p, fd) : fd == -EAGAIN ? 0 : fd;
}

/* ---- TCP ---- */

static struct connection *connection_of(struct conn *c)
{
    return container_of(c, struct connection, conn);
}

static void connection_over(struct connection *c, int why)
{
    if (c->pending)
        end(c->pending, NULL, 0, why); /* closes it */
    else
        conn_close(&c->conn);
}

static void connected(struct conn *conn, int result)
{
    struct connection *c = connection_of(conn);
    struct buf out;
    buf_init(&out);
    if (result == 0 && c->pending)
        result = buf_append(&out, ring_chunks(c->forward->ring), c->pending->bytes,
                            PREFIX + c->pending->len);
    if (result < 0 || !c->pending) {
        connection_over(c, result);
        return;
    }
    conn_start(conn);
    stream_send(&conn->stream, &out);
}

/* NULL: it is not whole yet, or there is no memory (then *ret_error). The caller frees. */
static uint8_t *take_message(struct buf *in, size_t *ret_len, int *ret_error)
{
    uint8_t head[PREFIX];
    if (buf_peek(in, head, PREFIX) < PREFIX)
        return NULL;
    size_t len = (size_t)(head[0] << 8 | head[1]);
    if (in->len < PREFIX + len)
        return NULL;
    uint8_t *bytes = malloc(PREFIX + len);
    if (!bytes) {
        *ret_error = -ENOMEM;
        return NULL;
    }
    (void)buf_peek(in, bytes, PREFIX + len);
    *ret_len = len;
    return bytes;
}

static void received(struct stream *s, struct buf *bytes)
{
    struct connection *c = s->user;
    size_t len = 0;
    int error = 0;
    buf_move(&c->in, bytes);
    uint8_t *message = c->pending ? take_message(&c->in, &len, &error) : NULL;
    if (error < 0 || (message && !deliver(c->pending, message + PREFIX, len)))
        connection_over(c, error < 0 ? error : -EBADMSG);
    free(message);
}

static void ended(struct stream *s)
{
    connection_over(s->user, -ECONNRESET);
}

static void failed(struct stream *s, int error)
{
    connection_over(s->user, error);
}

static void nothing(struct stream *s)
{
    (void)s;
}

static void connection_drained(struct conn *conn)
{
    struct connection *c = connection_of(conn);
    struct dns_forward *f = c->forward;
    buf_done(&c->in);
    list_remove(&c->link);
    free(c);
    f->n_open--;
    look_drained(f);
}

static const struct stream_events stream_events = {
    .received = received, .ended = ended, .writable = nothing, .finished = nothing, .failed = failed};
static const struct conn_events conn_events = {.connected = connected,
                                               .drained = connection_drained};

static int connect_on(struct pending *p, int taken_fd)
{
    struct connection *c = calloc(1, sizeof *c);
    if (!c) {
        socket_close(taken_fd);
        return -ENOMEM;
    }
    c->forward = p->forward;
    c->pending = p;
    p->connection = c;
    buf_init(&c->in);
    p->forward->n_open++;
    list_push_back(&p->forward->connections, &c->link);
    conn_init(&c->conn, p->forward->ring, taken_fd, &conn_events);
    c->conn.stream.events = &stream_events;
    c->conn.stream.user = c;
    conn_connect(&c->conn, &p->asker.resolver);
    return 0;
}

static void stream_got(struct socket_waiter *waiter, int taken_fd)
{
    struct pending *p = container_of(waiter, struct pending, waiter);
    int r = taken_fd < 0 ? taken_fd : connect_on(p, taken_fd);
    if (r < 0)
        end(p, NULL, 0, r);
}

static int ask_stream(struct dns_forward *f, struct pending *p)
{
    int fd = socket_pool_take(f->streams, ip_family(&p->asker.resolver.ip), &p->waiter);
    return fd >= 0 ? connect_on(p, fd) : fd == -EAGAIN ? 0 : fd;
}

/* ---- both ---- */

int dns_forward(struct dns_forward *f, const struct dns_asker *asker, const struct dns_query *q,
                const void *bytes, size_t len)
{
    uint16_t id;
    bool over_tcp = asker->client != NULL;
    assert(len >= DNS_HEAD_BYTES && len <= DNS_QUERY_BYTES_MAX);
    int r = f->closing ? -ECANCELED : ip_family(&asker->resolver.ip) == AF_UNSPEC ? -EINVAL : 0;
    if (r == 0)
        r = rng_os(&id, sizeof id);
    if (r < 0)
        return r;
    if (!bound_take(f->bounds, BOUND_DNS_FORWARDED, ring_now_ms(f->ring)))
        return -ENOBUFS;
    struct pending *p = calloc(1, sizeof *p + PREFIX + len);
    if (!p) {
        bound_give(f->bounds, BOUND_DNS_FORWARDED);
        return -ENOMEM;
    }
    p->forward = f;
    p->asker = *asker;
    p->query = *q;
    p->id = id;
    p->since_us = clock_monotonic_us();
    p->len = len;
    dns_message_set_id(p->bytes, (uint16_t)len);
    memcpy(p->bytes + PREFIX, bytes, len);
    dns_message_set_id(p->bytes + PREFIX, id);
    timer_init(&p->deadline, late);
    socket_waiter_init(&p->waiter, over_tcp ? stream_got : datagram_got);
    list_push_back(&f->pending, &p->link);
    f->n_pending++;
    dns_account_count(f->account, DNS_FORWARDED, q, over_tcp);
    timer_start(ring_timers(f->ring), &p->deadline, f->wait_ms);
    if (!timer_running(&f->tick))
        timer_start(ring_timers(f->ring), &f->tick, TICK_MS);
    r = over_tcp ? ask_stream(f, p) : ask_datagram(f, p);
    if (r < 0) { /* told from the loop, as every end is */
        p->error = r;
        timer_start(ring_timers(f->ring), &p->deadline, 0);
    }
    return 0;
}

void dns_forward_forget(struct dns_forward *f, const struct dns_client *client)
{
    list_for_each(n, &f->pending)
    {
        struct pending *p = container_of(n, struct pending, link);
        if (p->asker.client == client) {
            p->forgotten = true;
            end(p, NULL, 0, -ECANCELED);
            return; /* one at a time asks */
        }
    }
}

void dns_forward_init(struct dns_forward *f,
                      void (*refill)(struct socket_pool *p, int family, unsigned n))
{
    struct list *lists[] = {&f->pending, &f->idle, &f->busy, &f->connections};
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
        list_init(lists[i]);
    timer_init(&f->tick, tick);
    socket_pool_init(&f->datagrams, refill);
}

void dns_forward_close(struct dns_forward *f)
{
    if (f->closing)
        return;
    f->closing = true;
    timer_stop(ring_timers(f->ring), &f->tick);
    while (!list_empty(&f->pending))
        end(container_of(f->pending.next, struct pending, link), NULL, 0, -ECANCELED);
    socket_pool_done(&f->datagrams);
    list_for_each(n, &f->idle)
        way_close(container_of(n, struct way, link));
    assert(list_empty(&f->busy));
    look_drained(f);
}
