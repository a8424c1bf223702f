/*
 * The floor that measurements compare with: the least that an io_uring relay can do. Accepts on a port, connects to a fixed target, moves bytes with
 * multishot receives from provided buffers and one send in flight a direction. No checks of identity, no accounting, no bounds worth the name: not a
 * product. One thread.
 *
 *   floor_relay LISTEN-PORT TARGET-ADDRESS TARGET-PORT
 */
#include "shared/base/list.h"
#include "shared/ring/ring.h"
#include "shared/ring/socket.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum { BACKLOG = 4096, STOP_READING = 512 * 1024, GO_ON_READING = 64 * 1024 };

struct pair;
struct way { /* one direction */
    struct pair *pair;
    struct ring_op recv_op;
    struct ring_send send;
    struct buf out;
    size_t sending;
    int from, to;
    bool ended, busy, paused;
};
struct pair {
    struct ring_scope scope;
    struct ring_op connect_op;
    struct way up, down;
    int client, server;
    bool closing;
};
static struct ring *ring;
static struct addr target;
static struct sockaddr_storage target_sa;
static socklen_t target_len;

static void pair_drained(struct ring_scope *scope)
{
    struct pair *p = container_of(scope, struct pair, scope);
    socket_close(p->client);
    socket_close(p->server);
    buf_done(&p->up.out);
    buf_done(&p->down.out);
    free(p);
}

static void pair_end(struct pair *p)
{
    if (!p->closing) {
        p->closing = true;
        ring_scope_close(&p->scope);
    }
}

static void way_received(struct ring_op *op, int result);

static void way_sent(struct ring_op *op, int result);

static void way_send(struct way *w)
{
    size_t bytes, n;
    if (w->busy)
        return;
    if (w->out.len == 0) {
        if (w->ended) {
            (void)socket_shutdown_send(w->to);
            if (w->pair->up.ended && w->pair->down.ended && w->pair->up.out.len == 0 && w->pair->down.out.len == 0)
                pair_end(w->pair);
        }
        return;
    }
    n = buf_iovecs(&w->out, w->send.iov, RING_IOV_MAX, &bytes);
    w->sending = bytes;
    w->busy = true;
    ring_send(ring, &w->send, w->to, (unsigned)n, way_sent);
}

static void way_sent(struct ring_op *op, int result)
{
    struct way *w = container_of(op, struct way, send.op);
    w->busy = false;
    if (result < 0) {
        pair_end(w->pair);
        return;
    }
    buf_consume(&w->out, (size_t)result);
    if (w->paused && w->out.len < GO_ON_READING && !w->recv_op.in_flight) {
        w->paused = false;
        ring_recv(ring, &w->recv_op, w->from, way_received);
    }
    way_send(w);
}

static void way_received(struct ring_op *op, int result)
{
    struct way *w = container_of(op, struct way, recv_op);
    if (result > 0) {
        struct chunk *c = op->chunk;
        op->chunk = NULL;
        buf_push(&w->out, c);
        if (w->out.len > STOP_READING && !w->paused && op->in_flight) {
            w->paused = true;
            ring_recv_stop(ring, op);
        }
    } else if (result == -ECANCELED && w->paused) {
        if (w->out.len < GO_ON_READING) {
            w->paused = false;
            ring_recv(ring, op, w->from, way_received);
        }
    } else if (result == 0) {
        w->ended = true;
    } else {
        pair_end(w->pair);
        return;
    }
    way_send(w);
}

static void way_start(struct pair *p, struct way *w, int from, int to)
{
    w->pair = p;
    w->from = from;
    w->to = to;
    ring_op_init(&w->recv_op, &p->scope);
    ring_op_init(&w->send.op, &p->scope);
    ring_recv(ring, &w->recv_op, from, way_received);
}

static void connected(struct ring_op *op, int result)
{
    struct pair *p = container_of(op, struct pair, connect_op);
    if (result < 0) {
        pair_end(p);
        return;
    }
    way_start(p, &p->up, p->client, p->server);
    way_start(p, &p->down, p->server, p->client);
}

static void accepted(struct ring_op *op, int result)
{
    (void)op;
    struct pair *p = result < 0 ? NULL : calloc(1, sizeof *p);
    if (!p || socket_open(ip_family(&target.ip), &p->server) < 0) {
        free(p);
        socket_close(result);
        return;
    }
    p->client = result;
    socket_set_nodelay(result);
    ring_scope_init(&p->scope, ring, pair_drained);
    ring_op_init(&p->connect_op, &p->scope);
    ring_connect(ring, &p->connect_op, p->server, (struct sockaddr *)&target_sa, target_len, connected);
}

int main(int argc, char **argv)
{
    static struct ring_scope scope;
    static struct ring_op accept_op;
    struct addr at = {0};
    uint64_t listen_port, port;
    const char *why = "";
    int fd;
    if (argc != 4 || text_to_u64(text_of(argv[1]), 65535, &listen_port) < 0 || ip_parse(text_of(argv[2]), &target.ip) < 0 ||
        text_to_u64(text_of(argv[3]), 65535, &port) < 0) {
        fprintf(stderr, "usage: floor_relay LISTEN-PORT TARGET-ADDRESS TARGET-PORT\n");
        return 2;
    }
    at.port = (uint16_t)listen_port;
    target.port = (uint16_t)port;
    target_len = addr_to_sockaddr(&target, &target_sa);
    signal(SIGPIPE, SIG_IGN);
    if (ring_open(&ring, NULL, &why) < 0 || socket_listen(&at, BACKLOG, false, &fd) < 0) {
        fprintf(stderr, "floor_relay: %s\n", why ? why : "can't listen");
        return 1;
    }
    ring_scope_init(&scope, ring, NULL);
    ring_op_init(&accept_op, &scope);
    ring_accept(ring, &accept_op, fd, accepted);
    return ring_run(ring) < 0;
}
