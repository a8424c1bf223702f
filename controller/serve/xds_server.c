#include "controller/serve/xds_server.h"
#include "shared/base/log.h"
#include "shared/ring/socket.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { BACKLOG = 1024, TICK_MS = 1000 };

struct xds_peer {
    struct h2_conn h2;
    struct xds_server *server;
    struct list link;
    bool allowed;
    char uri[256]; /* longer ones are not allowed anyway */
};

static struct xds_peer *of_h2(struct h2_conn *h)
{
    return container_of(h, struct xds_peer, h2);
}

/* ---- One connection ------------------------------------------------------------------------- */

static void peer_ready(struct h2_conn *h)
{
    struct xds_peer *p = of_h2(h);
    const struct tls_peer *peer = conn_peer(&h->conn);
    snprintf(p->uri, sizeof p->uri, "%s", peer && peer->present ? peer->uri : "(none)");
    for (size_t i = 0; i < p->server->n_allowed; i++)
        p->allowed =
            p->allowed || (peer && peer->present && strcmp(peer->uri, p->server->allowed[i]) == 0);
    if (!p->allowed) {
        p->server->denied++;
        log_warn("xds", "%s is not allowed to ask for configuration (--allow-client)", p->uri);
    }
}

static struct http2_stream *peer_request(struct h2_conn *h, const struct http2_head *head,
                                         unsigned *ret_status)
{
    struct xds_peer *p = of_h2(h);
    struct xds_server *s = p->server;
    struct chunk_pool *pool = ring_chunks(s->ring);
    struct text path, bearer;
    if (grpc_request_check(head, &path, &bearer, ret_status) < 0)
        return NULL;
    *ret_status = 503;
    if (!p->allowed)
        return ads_refuse(&s->ads, pool, GRPC_PERMISSION_DENIED,
                          "this identity may not ask for configuration");
    if (!text_equal(path, text_of(XDS_DELTA_PATH)))
        return ads_refuse(&s->ads, pool, GRPC_UNIMPLEMENTED,
                          "only DeltaAggregatedResources is served here");
    if (s->closing)
        return ads_refuse(&s->ads, pool, GRPC_UNAVAILABLE, "shutting down");
    return ads_accept(&s->ads, pool, p->uri, ring_now_ms(s->ring));
}

static void peer_closed(struct h2_conn *h, int error)
{
    struct xds_peer *p = of_h2(h);
    if (!h->ready) {
        p->server->handshake_failures++;
        log_warn("xds", "a connection failed before it was secured: %s",
                 h2_conn_why(h)[0] ? h2_conn_why(h) : strerror(-error));
    }
    h2_conn_close(h);
}

static void server_over(struct xds_server *s)
{
    if (!s->closing || s->listening || !list_empty(&s->clients))
        return;
    timer_stop(ring_timers(s->ring), &s->tick);
    ads_done(&s->ads);
    if (s->closed)
        s->closed(s);
}

static void peer_drained(struct h2_conn *h)
{
    struct xds_peer *p = of_h2(h);
    struct xds_server *s = p->server;
    list_remove(&p->link);
    free(p);
    listener_release(&s->listener);
    server_over(s);
}

static const struct h2_conn_events peer_events = {
    .ready = peer_ready,
    .request = peer_request,
    .closed = peer_closed,
    .drained = peer_drained,
};

static void accepted(struct listener *l, int taken_fd)
{
    struct xds_server *s = l->user;
    const struct h2_conn_options options = {
        .http2 = {.streams_max = XDS_STREAMS_MAX},
        .tls = s->certificate->config,
        .ping_idle = true, /* a client that is gone without a word must not hold a place */
    };
    struct xds_peer *p = options.tls ? calloc(1, sizeof *p) : NULL; /* without a certificate: later */
    if (!p) {
        socket_close(taken_fd);
        listener_release(l);
        return;
    }
    p->server = s;
    list_init(&p->link);
    if (h2_conn_open_server(&p->h2, s->ring, taken_fd, &options, &peer_events, p) < 0) {
        free(p);
        listener_release(l);
        return;
    }
    list_push_back(&s->clients, &p->link);
}

/* ---- The server ----------------------------------------------------------------------------- */

static void tick(struct timer *t)
{
    struct xds_server *s = container_of(t, struct xds_server, tick);
    ads_tick(&s->ads, ring_now_ms(s->ring));
    timer_start(ring_timers(s->ring), t, TICK_MS);
}

static void listener_drained(struct listener *l)
{
    struct xds_server *s = l->user;
    s->listening = false;
    server_over(s);
}

int xds_server_open(struct xds_server *s, struct ring *ring, const struct addr *at,
                    struct catalog *catalog, struct serving_cert *certificate,
                    const char *const *allowed, size_t n_allowed)
{
    int fd;
    *s = (struct xds_server){
        .ring = ring, .certificate = certificate, .allowed = allowed, .n_allowed = n_allowed};
    int err = socket_listen(at, BACKLOG, false, &fd);
    if (err == 0 && (err = socket_local(fd, &s->address)) < 0)
        socket_close(fd);
    if (err < 0)
        return err;
    list_init(&s->clients);
    ads_init(&s->ads, catalog);
    timer_init(&s->tick, tick);
    timer_start(ring_timers(ring), &s->tick, TICK_MS);
    s->listening = true;
    listener_open(&s->listener, ring, fd, XDS_CONNECTIONS_MAX, accepted, listener_drained, s);
    return 0;
}

void xds_server_push(struct xds_server *s)
{
    ads_push(&s->ads, ring_now_ms(s->ring));
}

void xds_server_drain(struct xds_server *s, void (*closed)(struct xds_server *s))
{
    if (s->closing)
        return;
    s->closing = true;
    s->closed = closed;
    listener_close(&s->listener);
    list_for_each (node, &s->clients)
        h2_conn_drain(&container_of(node, struct xds_peer, link)->h2);
    ads_finish(&s->ads, GRPC_UNAVAILABLE, "shutting down");
}

void xds_server_force(struct xds_server *s)
{
    list_for_each (node, &s->clients)
        h2_conn_close(&container_of(node, struct xds_peer, link)->h2);
}
