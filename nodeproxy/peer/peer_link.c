/* The story of a tunnel connection, source side: socket -> connect -> handshake -> open. */
#include "nodeproxy/peer/peer_link.h"

#include "shared/ring/socket.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const struct h2_conn_events link_h2_events;
static void link_shake(struct turn_wait *w);

static void link_set_state(struct peer_link *l, enum peer_link_state state)
{
    assert(state > l->state);
    l->state = state;
}

/* Tells the end once, from the loop. */
static void link_fail(struct peer_link *l, enum ending ending)
{
    if (l->state == PEER_LINK_OVER)
        return;
    l->ending = ending;
    link_set_state(l, PEER_LINK_OVER);
    ring_task_ask(l->options.ring, &l->end_task);
}

static void link_tell_end(struct ring_task *task)
{
    struct peer_link *l = container_of(task, struct peer_link, end_task);
    l->events->ended(l, l->ending);
}

static void link_free(struct peer_link *l)
{
    void (*drained)(struct peer_link *) = l->events->drained;
    ring_task_cancel(&l->end_task);
    if (l->options.turn)
        turn_forget(l->options.turn, &l->shake);
    proof_done(&l->proof);
    l->options.credential = credential_unref(l->options.credential);
    drained(l);
    free(l);
}

static void link_broke(struct proof *p)
{
    struct peer_link *l = container_of(p, struct peer_link, proof);
    peer_link_drain(l);
    l->events->broke(l);
}

/* ---- socket -------------------------------------------------------------- */

static void link_connect(struct peer_link *l, int taken_fd)
{
    const struct h2_conn_options options = {
        .http2 = {.server = false, .streams_max = l->options.streams_max},
        .tls = l->options.credential->client,
        .share = l->options.turn ? &l->options.turn->bytes : NULL,
        .handshake_ms = l->options.connect_ms,
        .ping_ms = l->options.ping_ms,
        .ping_timeout_ms = l->options.ping_timeout_ms,
    };
    timer_stop(ring_timers(l->options.ring), &l->socket_deadline);
    link_set_state(l, PEER_LINK_CONNECTING);
    socket_set_keepalive(taken_fd, 180);
    if (h2_conn_open_client(&l->h2, l->options.ring, taken_fd, &l->options.to, &options, &link_h2_events, l) < 0) {
        link_fail(l, ENDING_NO_MEMORY);
        return;
    }
    l->h2_made = true;
}

static void link_socket_got(struct socket_waiter *w, int taken_fd)
{
    struct peer_link *l = container_of(w, struct peer_link, socket_waiter);
    if (taken_fd < 0) {
        snprintf(l->why, sizeof l->why, "no socket in the pod's namespace");
        link_fail(l, taken_fd == -ENOMEM ? ENDING_NO_MEMORY : ENDING_LIMIT);
        return;
    }
    link_connect(l, taken_fd);
}

static void link_socket_late(struct timer *t)
{
    struct peer_link *l = container_of(t, struct peer_link, socket_deadline);
    socket_pool_forget(l->options.sockets, &l->socket_waiter);
    link_fail(l, ENDING_CONNECT_TIMEOUT);
}

int peer_link_open(struct peer_link **ret, const struct peer_link_options *o, const struct peer_link_events *events, void *user)
{
    struct peer_link *l = calloc(1, sizeof *l);
    if (!l)
        return -ENOMEM;
    *l = (struct peer_link){.events = events, .user = user, .options = *o};
    list_init(&l->link);
    credential_ref(o->credential);
    ring_task_init(&l->end_task, link_tell_end);
    proof_init(&l->proof, o->ring, link_broke);
    l->proof.trust = o->trust;
    turn_wait_init(&l->shake, TURN_HANDSHAKE, link_shake);
    timer_init(&l->socket_deadline, link_socket_late);
    socket_waiter_init(&l->socket_waiter, link_socket_got);
    *ret = l;
    int fd = socket_pool_take(o->sockets, ip_family(&o->to.ip), &l->socket_waiter);
    if (fd >= 0)
        link_connect(l, fd);
    else if (fd == -EAGAIN)
        timer_start(ring_timers(o->ring), &l->socket_deadline, o->connect_ms);
    else
        link_fail(l, ENDING_LIMIT);
    return 0;
}

/* ---- connect, handshake, open -------------------------------------------- */

static struct peer_link *of_h2(struct h2_conn *h) { return container_of(h, struct peer_link, h2); }

static void link_ready(struct h2_conn *h)
{
    struct peer_link *l = of_h2(h);
    const struct tls_peer *peer = conn_peer(&h->conn);
    struct spiffe_id id;
    /* The channel has checked the chain and the leaf's rules; who it is, is for us to say. */
    if (!peer || !peer->present || spiffe_id_parse(text_of(peer->uri), &id) < 0 || !spiffe_id_equal(&id, &l->options.expected)) {
        snprintf(l->why, sizeof l->why, "the peer is %.100s", peer && peer->present ? peer->uri : "anonymous");
        link_fail(l, ENDING_PEER_MISMATCH);
        return;
    }
    if (l->state != PEER_LINK_CONNECTING)
        return;
    if (l->options.trust && trust_revokes(*l->options.trust, id.text, peer->serial)) {
        snprintf(l->why, sizeof l->why, "certificate %s of the peer is revoked", peer->serial);
        link_fail(l, ENDING_REVOKED);
        return;
    }
    proof_take(&l->proof, peer, l->options.expected.text, l->options.keep_expired);
    link_set_state(l, PEER_LINK_OPEN);
    l->idle_since_ms = ring_now_ms(l->options.ring);
    l->opened_told = true;
    l->events->opened(l);
}

static void link_goaway(struct h2_conn *h)
{
    struct peer_link *l = of_h2(h);
    if (l->state >= PEER_LINK_DRAINING)
        return;
    link_set_state(l, PEER_LINK_DRAINING);
    l->events->slot(l); /* none here any more: who waits for one needs another link */
}

static void link_slot(struct h2_conn *h)
{
    struct peer_link *l = of_h2(h);
    if (l->state == PEER_LINK_OVER)
        return;
    l->settled = true; /* they are the first thing that the peer says */
    l->idle_since_ms = ring_now_ms(l->options.ring);
    l->events->slot(l);
}

static enum ending link_ending_of(const struct peer_link *l, int error)
{
    if (l->state == PEER_LINK_CONNECTING) {
        if (error == -ETIMEDOUT)
            return l->h2.conn.connecting ? ENDING_CONNECT_TIMEOUT : ENDING_HANDSHAKE_TIMEOUT;
        if (error == -EKEYREJECTED)
            return ENDING_PEER_UNTRUSTED;
        return l->h2.conn.tls ? ENDING_TLS_FAILED : ENDING_UNREACHABLE;
    }
    return ENDING_TUNNEL_FAILED;
}

static void link_closed(struct h2_conn *h, int error)
{
    struct peer_link *l = of_h2(h);
    if (l->state == PEER_LINK_OVER)
        return;
    snprintf(l->why, sizeof l->why, "%s", h2_conn_why(h));
    link_fail(l, link_ending_of(l, error));
}

static void link_h2_drained(struct h2_conn *h) { link_free(of_h2(h)); }

static bool link_may_shake(struct h2_conn *h)
{
    struct peer_link *l = of_h2(h);
    struct pod_turn *turn = l->options.turn;
    if (!turn || l->state == PEER_LINK_OVER || turn_take(turn, TURN_HANDSHAKE))
        return true;
    turn_wait(turn, &l->shake);
    return false;
}

static void link_shake(struct turn_wait *w) { h2_conn_shake(&container_of(w, struct peer_link, shake)->h2); }

static const struct h2_conn_events link_h2_events = {
    .may_shake = link_may_shake,
    .ready = link_ready,
    .goaway = link_goaway,
    .slot = link_slot,
    .closed = link_closed,
    .drained = link_h2_drained,
};

/* ---- questions and ends -------------------------------------------------- */

bool peer_link_usable(const struct peer_link *l) { return l->state == PEER_LINK_OPEN && http2_can_open(l->h2.http2); }

size_t peer_link_streams(const struct peer_link *l)
{
    return l->h2_made && l->h2.http2 ? http2_stream_count(l->h2.http2) : 0;
}

void peer_link_drain(struct peer_link *l)
{
    if (l->state < PEER_LINK_DRAINING) {
        link_set_state(l, PEER_LINK_DRAINING);
        if (l->h2_made)
            h2_conn_drain(&l->h2);
    }
}

void peer_link_close(struct peer_link *l)
{
    l->state = PEER_LINK_OVER;
    proof_done(&l->proof);
    ring_task_cancel(&l->end_task);
    timer_stop(ring_timers(l->options.ring), &l->socket_deadline);
    socket_pool_forget(l->options.sockets, &l->socket_waiter);
    if (l->h2_made)
        h2_conn_close(&l->h2);
    else
        link_free(l);
}
