#include "nodeproxy/dns/dns_client.h"

#include "nodeproxy/dns/dns_server.h"
#include "shared/ring/socket.h"
#include <stdlib.h>

enum { IDLE_MS = 10000, PREFIX = 2 };

static struct dns_client *of_conn(struct conn *c)
{
    return container_of(c, struct dns_client, conn);
}

void dns_client_close(struct dns_client *c)
{
    timer_stop(ring_timers(c->conn.ring), &c->idle);
    if (c->asking)
        dns_forward_forget(&c->server->forward, c);
    c->asking = false;
    conn_close(&c->conn);
}

static void idle(struct timer *t)
{
    dns_client_close(container_of(t, struct dns_client, idle));
}

/* Its length, 0: it is not whole yet, or -1: it is none. */
static int next_query(struct dns_client *c, uint8_t out[static PREFIX + DNS_QUERY_BYTES_MAX])
{
    if (buf_peek(&c->in, out, PREFIX) < PREFIX)
        return 0;
    size_t len = (size_t)(out[0] << 8 | out[1]);
    if (len < DNS_HEAD_BYTES || len > DNS_QUERY_BYTES_MAX)
        return -1;
    if (c->in.len < PREFIX + len)
        return 0;
    (void)buf_peek(&c->in, out, PREFIX + len);
    buf_consume(&c->in, PREFIX + len);
    return (int)len;
}

/* One after another; while one is asked no more is read. */
static void look(struct dns_client *c)
{
    uint8_t bytes[PREFIX + DNS_QUERY_BYTES_MAX];
    int len = 0;
    if (c->looking) /* further below on the stack: it goes on there */
        return;
    c->looking = true;
    while (!c->asking && !c->conn.closing && (len = next_query(c, bytes)) > 0) {
        const struct dns_asker asker = {.client = c, .resolver = c->resolver};
        c->asking = true;
        timer_stop(ring_timers(c->conn.ring), &c->idle);
        dns_server_ask(c->server, &asker, bytes + PREFIX, (size_t)len);
    }
    c->looking = false;
    if (c->conn.closing)
        return;
    if (c->asking) {
        stream_pause(&c->conn.stream);
        return;
    }
    if (len < 0) {
        dns_client_close(c);
        return;
    }
    timer_start(ring_timers(c->conn.ring), &c->idle, IDLE_MS);
    if (c->ended)
        stream_finish(&c->conn.stream);
    else
        stream_resume(&c->conn.stream);
}

void dns_client_answer(struct dns_client *c, const void *bytes, size_t len)
{
    struct chunk_pool *chunks = ring_chunks(c->conn.ring);
    const uint8_t prefix[PREFIX] = {(uint8_t)(len >> 8), (uint8_t)len};
    struct buf out;
    buf_init(&out);
    c->asking = false;
    if (c->conn.closing)
        return;
    if (!bytes || buf_append(&out, chunks, prefix, PREFIX) < 0 ||
        buf_append(&out, chunks, bytes, len) < 0) {
        buf_done(&out);
        dns_client_close(c);
        return;
    }
    stream_send(&c->conn.stream, &out);
    look(c);
}

static void received(struct stream *s, struct buf *bytes)
{
    struct dns_client *c = s->user;
    buf_move(&c->in, bytes);
    look(c);
}

static void ended(struct stream *s)
{
    struct dns_client *c = s->user;
    c->ended = true;
    look(c);
}

static void writable(struct stream *s)
{
    (void)s;
}

static void finished(struct stream *s)
{
    dns_client_close(s->user);
}

static void failed(struct stream *s, int error)
{
    (void)error;
    dns_client_close(s->user);
}

static void drained(struct conn *conn)
{
    struct dns_client *c = of_conn(conn);
    struct dns_server *s = c->server;
    list_remove(&c->link);
    buf_done(&c->in);
    free(c);
    dns_server_client_gone(s);
}

static const struct stream_events stream_events = {.received = received,
                                                   .ended = ended,
                                                   .writable = writable,
                                                   .finished = finished,
                                                   .failed = failed};
static const struct conn_events conn_events = {.drained = drained};

void dns_client_accept(struct dns_server *s, int taken_fd)
{
    struct dns_client *c = calloc(1, sizeof *c);
    if (!c || socket_original_dst(taken_fd, &c->resolver) < 0) {
        socket_close(taken_fd);
        free(c);
        listener_release(&s->tcp);
        return;
    }
    c->server = s;
    buf_init(&c->in);
    timer_init(&c->idle, idle);
    list_push_back(&s->clients, &c->link);
    conn_init(&c->conn, s->options.ring, taken_fd, &conn_events);
    c->conn.stream.events = &stream_events;
    c->conn.stream.user = c;
    timer_start(ring_timers(s->options.ring), &c->idle, IDLE_MS);
    conn_start(&c->conn);
}
