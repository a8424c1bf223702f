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
    bool allowed, plain, closing, revoked;
    struct spiffe_id sidecar; /* as whose sidecar it may ask; none: it is none */
    struct ip from;           /* where it is; none: not known, or it is one without TLS */
    char uri[256];            /* longer ones are not allowed anyway */
};

static struct xds_peer *of_h2(struct h2_conn *h)
{
    return container_of(h, struct xds_peer, h2);
}

/* Whoever proves to be the pods of a Gateway may have its certificates, and nothing else. */
static bool is_gateway(const struct xds_peer *p)
{
    return !p->plain && catalog_by_alias(p->server->ads.catalog, XDS_GATEWAY, text_of(p->uri));
}

static void let_go(struct xds_peer *p)
{
    if (!p->closing)
        h2_conn_close(&p->h2);
    p->closing = true;
}

static bool is_revoked(const struct xds_peer *p)
{
    const struct tls_peer *peer = p->plain ? NULL : conn_peer(&p->h2.conn);
    return peer && peer->present && trust_revokes(p->server->certificate->trust, peer->uri, peer->serial);
}

/* ---- One connection ------------------------------------------------------------------------- */

static bool is_allowed(const struct xds_server *s, const char *uri)
{
    for (size_t i = 0; i < s->n_allowed; i++) {
        struct text allowed = text_of(s->allowed[i]);
        if (text_ends_with(allowed, TEXT("/")) ? text_starts_with(text_of(uri), allowed)
                                               : text_equal(text_of(uri), allowed))
            return true;
    }
    return false;
}

static void allow_sidecar(struct xds_peer *p)
{
    struct xds_server *s = p->server;
    if (!s->sidecars_domain || spiffe_id_parse(text_of(p->uri), &p->sidecar) < 0 ||
        !text_equal(spiffe_id_trust_domain(&p->sidecar), text_of(s->sidecars_domain)) ||
        !sidecar_places_take(&s->sidecars, spiffe_id_namespace(&p->sidecar))) {
        p->sidecar = (struct spiffe_id){0};
        return;
    }
    p->allowed = true;
}

static void peer_ready(struct h2_conn *h)
{
    struct xds_peer *p = of_h2(h);
    if (p->plain) {
        char printed[ADDR_TEXT_MAX];
        struct addr from;
        p->allowed = true;
        if (socket_peer(h->conn.fd, &from) == 0)
            snprintf(p->uri, sizeof p->uri, "%s", addr_print(&from, printed));
        return;
    }
    const struct tls_peer *peer = conn_peer(&h->conn);
    struct addr from;
    if (socket_peer(h->conn.fd, &from) == 0)
        p->from = from.ip;
    snprintf(p->uri, sizeof p->uri, "%s", peer && peer->present ? peer->uri : "(none)");
    if (is_revoked(p)) { /* not even as a Gateway, or a sidecar */
        p->revoked = true;
        p->server->denied++;
        log_warn("xds", "%s is revoked, or its certificate is", p->uri);
        return;
    }
    p->allowed = peer && peer->present && is_allowed(p->server, peer->uri);
    if (!p->allowed && !is_gateway(p))
        allow_sidecar(p);
    if (!p->allowed && !is_gateway(p)) {
        p->server->denied++;
        log_warn("xds", "%s is not allowed to ask for configuration (--allow-client, --machine-namespace)", p->uri);
    }
}

static struct http2_stream *peer_request(struct h2_conn *h, const struct http2_head *head,
                                         unsigned *ret_status)
{
    struct xds_peer *p = of_h2(h);
    struct xds_server *s = p->server;
    struct chunk_pool *pool = ring_chunks(s->ring);
    struct text path, bearer;
    bool sidecar = spiffe_id_present(&p->sidecar);
    if (grpc_request_check(head, &path, &bearer, ret_status) < 0)
        return NULL;
    *ret_status = 503;
    bool gateway_only = !p->allowed && is_gateway(p);
    if (p->revoked)
        return ads_refuse(&s->ads, pool, GRPC_PERMISSION_DENIED, "this certificate is revoked");
    if (!p->allowed && !gateway_only)
        return ads_refuse(&s->ads, pool, GRPC_PERMISSION_DENIED,
                          "this identity may not ask for configuration");
    if (s->closing)
        return ads_refuse(&s->ads, pool, GRPC_UNAVAILABLE, "shutting down");
    return ads_accept(&s->ads, pool,
                      &(struct ads_caller){.path = path,
                                           .identity = p->uri,
                                           .from = p->from,
                                           .routes_only = p->plain || sidecar,
                                           .sidecar = sidecar ? &p->sidecar : NULL,
                                           .gateway_only = gateway_only,
                                           .now_ms = ring_now_ms(s->ring)});
}

static void peer_closed(struct h2_conn *h, int error)
{
    struct xds_peer *p = of_h2(h);
    if (!h->ready) {
        p->server->handshake_failures++;
        log_warn("xds", "a connection failed before it was secured: %s",
                 h2_conn_why(h)[0] ? h2_conn_why(h) : strerror(-error));
    }
    let_go(p);
}

static void server_over(struct xds_server *s)
{
    if (!s->closing || s->listening || !list_empty(&s->clients))
        return;
    timer_stop(ring_timers(s->ring), &s->tick);
    ads_done(&s->ads);
    sidecar_places_done(&s->sidecars);
    if (s->closed)
        s->closed(s);
}

static void peer_drained(struct h2_conn *h)
{
    struct xds_peer *p = of_h2(h);
    struct xds_server *s = p->server;
    struct listener *l = p->plain ? &s->plain : &s->listener;
    list_remove(&p->link);
    if (spiffe_id_present(&p->sidecar))
        sidecar_places_give(&s->sidecars, spiffe_id_namespace(&p->sidecar));
    free(p);
    listener_release(l);
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
    bool plain = l == &s->plain;
    const struct h2_conn_options options = {
        .http2 = {.streams_max = XDS_STREAMS_MAX},
        .tls = plain ? NULL : s->certificate->config,
        .ping_idle = true, /* a client that is gone without a word must not hold a place */
    };
    /* Without a certificate: later. */
    struct xds_peer *p = options.tls || plain ? calloc(1, sizeof *p) : NULL;
    if (!p) {
        socket_close(taken_fd);
        listener_release(l);
        return;
    }
    p->server = s;
    p->plain = plain;
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
    s->listening--;
    server_over(s);
}

static int listen_at(const struct addr *at, int *ret_fd, struct addr *ret_address)
{
    char printed[ADDR_TEXT_MAX];
    int err = socket_listen(at, BACKLOG, false, ret_fd);
    if (err == 0 && (err = socket_local(*ret_fd, ret_address)) < 0)
        socket_close(*ret_fd);
    if (err < 0)
        log_error("xds", "%s: %s", addr_print(at, printed), strerror(-err));
    return err;
}

static void open_listener(struct xds_server *s, struct listener *l, int taken_fd, size_t max)
{
    s->listening++;
    listener_open(l, s->ring, taken_fd, max, accepted, listener_drained, s);
}

int xds_server_open(struct xds_server *s, struct ring *ring, const struct xds_server_options *o,
                    struct catalog *catalog)
{
    int fd, plain_fd = -1;
    *s = (struct xds_server){.ring = ring,
                             .certificate = o->certificate,
                             .allowed = o->allowed,
                             .n_allowed = o->n_allowed,
                             .sidecars_domain = o->sidecars_domain};
    int err = listen_at(&o->at, &fd, &s->address);
    if (err < 0)
        return err;
    if (o->plain_at.ip.len &&
        (err = listen_at(&o->plain_at, &plain_fd, &s->plain_address)) < 0) {
        socket_close(fd);
        return err;
    }
    list_init(&s->clients);
    ads_init(&s->ads, catalog);
    sidecar_places_init(&s->sidecars, XDS_SIDECARS_MAX);
    timer_init(&s->tick, tick);
    timer_start(ring_timers(ring), &s->tick, TICK_MS);
    open_listener(s, &s->listener, fd, XDS_CONNECTIONS_MAX);
    if (plain_fd >= 0)
        open_listener(s, &s->plain, plain_fd, XDS_STRANGERS_MAX);
    return 0;
}

void xds_server_push(struct xds_server *s)
{
    ads_push(&s->ads, ring_now_ms(s->ring));
}

void xds_server_look_revoked(struct xds_server *s)
{
    list_for_each (node, &s->clients) {
        struct xds_peer *p = container_of(node, struct xds_peer, link);
        if (!p->h2.ready || p->closing || !is_revoked(p))
            continue;
        log_warn("xds", "%s is revoked, or its certificate is: its connection ends", p->uri);
        let_go(p);
    }
}

void xds_server_drain(struct xds_server *s, void (*closed)(struct xds_server *s))
{
    if (s->closing)
        return;
    s->closing = true;
    s->closed = closed;
    listener_close(&s->listener);
    if (s->listening > 1)
        listener_close(&s->plain);
    list_for_each (node, &s->clients)
        h2_conn_drain(&container_of(node, struct xds_peer, link)->h2);
    ads_finish(&s->ads, GRPC_UNAVAILABLE, "shutting down");
}

void xds_server_force(struct xds_server *s)
{
    list_for_each (node, &s->clients)
        let_go(container_of(node, struct xds_peer, link));
}
