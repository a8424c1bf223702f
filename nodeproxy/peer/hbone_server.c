/* The accepting end of a tunnel connection; see the header. */
#include "nodeproxy/peer/hbone_server.h"

#include "shared/ring/socket.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static struct hbone_server *of_h2(struct h2_conn *h) { return container_of(h, struct hbone_server, h2); }

static void server_end(struct hbone_server *s, enum ending ending)
{
    if (s->over)
        return;
    s->over = true;
    s->ending = ending;
    ring_task_ask(s->h2.conn.ring, &s->end_task);
}

static void server_tell_end(struct ring_task *task)
{
    struct hbone_server *s = container_of(task, struct hbone_server, end_task);
    s->events->ended(s, s->ending);
}

/* The channel has checked chain and leaf; the trust domain is ours to check (SPIFFE X.509-SVID, 5). */
static void server_ready(struct h2_conn *h)
{
    struct hbone_server *s = of_h2(h);
    const struct tls_peer *peer = conn_peer(&h->conn);
    if (!peer || !peer->present || spiffe_id_parse(text_of(peer->uri), &s->peer) < 0 ||
        !text_equal(spiffe_id_trust_domain(&s->peer), s->trust_domain)) {
        snprintf(s->why, sizeof s->why, "the peer is %.100s", peer && peer->present ? peer->uri : "anonymous");
        server_end(s, ENDING_PEER_UNTRUSTED);
        return;
    }
    snprintf(s->peer_serial, sizeof s->peer_serial, "%s", peer->serial);
    proof_take(&s->proof, peer, s->peer.text, s->keep_expired);
    if (s->proof.broken != ENDING_NONE) { /* while the handshake ran */
        server_end(s, s->proof.broken);
        return;
    }
    s->trusted = true;
    if (s->events->trusted)
        s->events->trusted(s);
}

static struct http2_stream *server_request(struct h2_conn *h, const struct http2_head *head, unsigned *ret_status)
{
    struct hbone_server *s = of_h2(h);
    if (!s->trusted || s->over || s->proof.broken != ENDING_NONE) {
        *ret_status = 0;
        return NULL;
    }
    return s->events->stream(s, head, ret_status);
}

static void server_refused(struct h2_conn *h, const struct http2_refusal *refusal)
{
    struct hbone_server *s = of_h2(h);
    if (s->trusted && !s->over)
        s->events->refused(s, refusal);
}

static void server_closed(struct h2_conn *h, int error)
{
    struct hbone_server *s = of_h2(h);
    enum ending ending = ENDING_CLOSED;
    if (error != 0 && !s->trusted)
        ending = error == -EKEYREJECTED ? ENDING_PEER_UNTRUSTED : error == -ETIMEDOUT ? ENDING_HANDSHAKE_TIMEOUT : ENDING_TLS_FAILED;
    else if (error == -EPROTO)
        ending = ENDING_PROTOCOL;
    else if (error != 0)
        ending = ENDING_IO;
    if (error != 0 && !s->why[0])
        snprintf(s->why, sizeof s->why, "%s", h2_conn_why(h));
    server_end(s, ending);
}

static void server_drained(struct h2_conn *h)
{
    struct hbone_server *s = of_h2(h);
    s->credential = credential_unref(s->credential);
    proof_done(&s->proof);
    ring_task_cancel(&s->end_task);
    s->events->drained(s);
    free(s);
}

static void server_broke(struct proof *p)
{
    struct hbone_server *s = container_of(p, struct hbone_server, proof);
    if (!s->trusted)
        return; /* told when the handshake is over */
    hbone_server_drain(s);
    if (s->events->broke)
        s->events->broke(s);
}

static bool server_may_shake(struct h2_conn *h)
{
    struct hbone_server *s = of_h2(h);
    return !s->events->may_shake || s->events->may_shake(s);
}

static void server_shake(struct turn_wait *w) { h2_conn_shake(&container_of(w, struct hbone_server, turn)->h2); }

static const struct h2_conn_events server_events = {.may_shake = server_may_shake, .ready = server_ready, .request = server_request, .refused = server_refused, .closed = server_closed, .drained = server_drained};

int hbone_server_open(struct hbone_server **ret, int taken_fd, const struct addr *source, const struct addr *destination, const struct hbone_server_options *o,
                      const struct hbone_server_events *events, void *user)
{
    const struct h2_conn_options options = {
        .http2 = {.server = true, .connect_only = true, .streams_max = o->streams_max},
        .tls = o->credential->server,
        .share = o->share,
        .handshake_ms = o->handshake_ms,
        .ping_ms = o->ping_ms,
        .ping_timeout_ms = o->ping_timeout_ms,
    };
    struct hbone_server *s = calloc(1, sizeof *s);
    if (!s) {
        socket_close(taken_fd);
        return -ENOMEM;
    }
    *s = (struct hbone_server){.events = events, .user = user, .source = *source, .destination = *destination, .trust_domain = o->trust_domain, .keep_expired = o->keep_expired};
    list_init(&s->link);
    ring_task_init(&s->end_task, server_tell_end);
    proof_init(&s->proof, o->ring, server_broke);
    s->proof.trust = o->trust;
    turn_wait_init(&s->turn, TURN_HANDSHAKE, server_shake);
    s->credential = credential_ref(o->credential);
    int r = h2_conn_open_server(&s->h2, o->ring, taken_fd, &options, &server_events, s);
    if (r < 0) {
        credential_unref(s->credential);
        free(s);
        return r;
    }
    *ret = s;
    return 0;
}

bool hbone_server_was_reset(const struct hbone_server *s)
{
    int error = s->h2.error;
    return s->h2.over && (error == 0 || error == -ECONNRESET || error == -EPIPE);
}

void hbone_server_drain(struct hbone_server *s)
{
    if (!s->over)
        h2_conn_drain(&s->h2);
}

void hbone_server_close(struct hbone_server *s)
{
    if (s->closing)
        return;
    s->closing = true;
    s->over = true;
    proof_done(&s->proof);
    ring_task_cancel(&s->end_task);
    h2_conn_close(&s->h2);
}
