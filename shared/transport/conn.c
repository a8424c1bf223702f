#include "shared/transport/conn.h"

#include "shared/ring/socket.h"
#include <assert.h>
#include <errno.h>

enum {
    OPEN_MAX = 64 * 1024,         /* plain bytes of one `received` with TLS */
    SEAL_MAX = STREAM_QUEUE_HIGH, /* plain bytes sealed in one flush */
    /* What a peer can make TLS itself say (answers to key updates) while it reads nothing. */
    OUT_MAX = 4 * STREAM_QUEUE_HIGH,
};

static void conn_received(struct ring_op *op, int result);
static void conn_sent(struct ring_op *op, int result);

static struct conn *conn_of(const struct stream *s)
{
    return container_of(s, struct conn, stream);
}

static bool is_over(const struct conn *c)
{
    return c->dead || c->closing;
}

static bool is_handshaking(const struct conn *c)
{
    return c->tls && !c->established;
}

static bool may_deliver(const struct conn *c)
{
    return c->started && !c->paused && !is_over(c);
}

static void ask_flush(struct conn *c)
{
    ring_task_ask_shared(c->ring, &c->flush_task, c->scope.share);
}

/* ---- the failure ---------------------------------------------------------------------------- */

/* What may be sealed and sent at once: less while others are served, or one turn would be long. */
static size_t portion(const struct conn *c)
{
    const struct ring_share *share = c->scope.share;
    return share && ring_share_has_rival(share) ? RING_SHARE_BYTES : SEAL_MAX;
}

static void send_out(struct conn *c)
{
    if (c->sending || c->connecting || c->closing || c->out.len == 0)
        return;
    struct iovec iov[RING_IOV_MAX];
    size_t n_all = buf_iovecs(&c->out, iov, RING_IOV_MAX, NULL), n = 1;
    for (size_t left = portion(c); n < n_all && iov[n - 1].iov_len < left; n++)
        left -= iov[n - 1].iov_len;
    c->sending = true;
    ring_send(c->ring, &c->send_op, c->fd, iov, (unsigned)n, conn_sent);
}

static void die(struct conn *c)
{
    c->dead = true;
    ring_task_cancel(&c->flush_task);
    if (c->receiving)
        ring_recv_stop(c->ring, &c->recv_op);
}

static void fail(struct conn *c, int error)
{
    bool handshaking = is_handshaking(c);

    die(c);
    /* If it was TLS that failed then its alert is waiting: the peer shall know why, if it can be
     * told at once. */
    if (c->tls)
        send_out(c);
    if (handshaking)
        c->events->secured(c, error);
    else
        c->stream.events->failed(&c->stream, error);
}

/* ---- in ------------------------------------------------------------------------------------- */

static void receive(struct conn *c)
{
    if (c->receiving || c->socket_ended || is_over(c) || c->shake_waits || !(is_handshaking(c) || may_deliver(c)))
        return;
    c->receiving = true;
    ring_recv(c->ring, &c->recv_op, c->fd, conn_received);
}

static void deliver(struct conn *c, struct buf *bytes)
{
    c->bytes_in += bytes->len;
    c->stream.events->received(&c->stream, bytes);
    buf_done(bytes);
}

/* Everything that TLS wants to say leaves in its order, whoever caused it. */
static void take_cipher(struct conn *c)
{
    struct buf *cipher = tls_channel_out(c->tls);
    if (cipher->len == 0)
        return;
    buf_move(&c->out, cipher);
    ask_flush(c);
}

static void become_established(struct conn *c)
{
    c->established = true;
    c->events->secured(c, 0);
    if (is_over(c))
        return;
    if (c->out_plain.len > 0 || c->finish_asked)
        ask_flush(c);
    if (!may_deliver(c) && c->receiving)
        ring_recv_stop(c->ring, &c->recv_op);
}

/* One step of TLS: true: there may be more to do. */
static bool open_some(struct conn *c)
{
    size_t before = c->in.len;
    struct buf plain = {0};

    int r = tls_channel_input(c->tls, &c->in);
    take_cipher(c);
    if (r >= 0 && c->out.len > OUT_MAX)
        r = -ENOBUFS;
    if (r < 0) {
        fail(c, r);
        return false;
    }
    if (r == 1)
        become_established(c);
    if (is_handshaking(c))
        return c->in.len > 0 && c->in.len < before;
    if (!may_deliver(c))
        return false;

    r = tls_channel_read(c->tls, &plain, OPEN_MAX);
    take_cipher(c);
    bool progress = plain.len > 0 || c->in.len < before;
    if (r == -EPIPE)
        c->input_ended = true;
    if (plain.len > 0)
        deliver(c, &plain);
    if (is_over(c))
        return false;
    if (r < 0 && r != -EPIPE) {
        fail(c, r);
        return false;
    }
    return progress && !c->input_ended && may_deliver(c);
}

/* The socket's end where TLS has not said its own. */
static void tls_cut_off(struct conn *c)
{
    c->truncated = true;
    if (is_handshaking(c)) {
        c->why = "the peer closed the connection during the TLS handshake";
        fail(c, -ECONNRESET);
        return;
    }
    c->why = "the peer closed the connection without a TLS close_notify";
    if (c->eof_is_end)
        c->input_ended = true;
    else
        fail(c, -ECONNRESET);
}

/* While a handshake waits for its turn nothing more is received for it. */
static bool must_wait(struct conn *c)
{
    if (!c->shake_waits && !c->shaking && is_handshaking(c) && c->in.len > 0 &&
        c->events->may_shake && !c->events->may_shake(c)) {
        c->shake_waits = true;
        if (c->receiving)
            ring_recv_stop(c->ring, &c->recv_op);
    }
    return c->shake_waits;
}

/* Gives on what has come in, as far as the owner wants it, and then the end. From the loop only. */
static void input(struct conn *c)
{
    if (must_wait(c))
        return;
    if (c->tls && !c->input_ended) {
        while (open_some(c))
            ;
        if (c->socket_ended && !c->input_ended && !is_over(c) &&
            (is_handshaking(c) || may_deliver(c)))
            tls_cut_off(c);
    } else if (!c->tls && c->in.len > 0 && may_deliver(c)) {
        struct buf bytes = c->in;
        buf_init(&c->in);
        deliver(c, &bytes);
    }
    if (c->input_ended && !c->peer_ended && may_deliver(c)) {
        c->peer_ended = true;
        c->stream.events->ended(&c->stream);
    }
}

static void take_chunk(struct conn *c, struct chunk *taken_chunk)
{
    if (!c->tls && c->in.len == 0 && may_deliver(c)) {
        struct buf bytes = {0};
        buf_push(&bytes, taken_chunk);
        deliver(c, &bytes);
        return;
    }
    if (c->input_ended) { /* After close_notify nothing counts (RFC 8446, 6.1). */
        chunk_free(taken_chunk);
        ring_recv_stop(c->ring, &c->recv_op);
        return;
    }
    buf_push(&c->in, taken_chunk);
    if (is_handshaking(c) || may_deliver(c))
        input(c);
}

static void conn_received(struct ring_op *op, int result)
{
    struct conn *c = container_of(op, struct conn, recv_op);

    if (result > 0) {
        struct chunk *chunk = op->chunk;
        if (is_over(c))
            return;
        op->chunk = NULL;
        take_chunk(c, chunk);
        return;
    }
    c->receiving = false;
    if (is_over(c))
        return;
    if (result == -ECANCELED && !c->input_ended) {
        receive(c); /* It was paused, and resumed before the kernel knew. */
    } else if (result == 0) {
        c->socket_ended = true;
        if (!c->tls)
            c->input_ended = true;
        input(c);
    } else if (result != -ECANCELED) {
        fail(c, result);
    }
}

/* ---- out ------------------------------------------------------------------------------------ */

static size_t queued(const struct conn *c)
{
    return c->out.len + c->out_plain.len;
}

static int seal(struct conn *c)
{
    size_t most = portion(c);
    if (!c->tls || !c->established || c->out.len >= most)
        return 0;
    if (c->out_plain.len > 0) {
        struct buf part = {0};
        int r = buf_move_some(&part, ring_chunks(c->ring), &c->out_plain, most);
        if (r == 0)
            r = tls_channel_write(c->tls, &part);
        buf_done(&part);
        if (r < 0)
            return r;
    }
    if (c->finish_asked && !c->notify_sent && c->out_plain.len == 0) {
        int r = tls_channel_close_notify(c->tls);
        if (r < 0)
            return r;
        c->notify_sent = true;
    }
    struct buf *cipher = tls_channel_out(c->tls);
    buf_move(&c->out, cipher);
    return 0;
}

/* Seals and sends what can go. While a send is in flight nothing is sealed: it becomes fewer,
 * fuller records. */
static int push(struct conn *c)
{
    if (c->sending || c->connecting)
        return 0;
    int r = seal(c);
    if (r == 0)
        send_out(c);
    return r;
}

static void finish_if_empty(struct conn *c)
{
    if (!c->finish_asked || c->finish_sent || c->sending || c->connecting || queued(c) > 0)
        return;
    if (c->tls && !c->notify_sent)
        return;
    c->finish_sent = true;
    /* It fails only if the connection is broken already. Where the peer had ended before, nobody
     * reads any more who could tell. */
    if (socket_shutdown_send(c->fd) < 0 && !c->eof_is_end)
        fail(c, -ECONNRESET);
    else
        c->stream.events->finished(&c->stream);
}

static void flush_run(struct ring_task *task)
{
    struct conn *c = container_of(task, struct conn, flush_task);

    if (is_over(c))
        return;
    if (c->input_waiting) {
        c->input_waiting = false;
        input(c);
        if (is_over(c))
            return;
    }
    int r = push(c);
    if (r < 0)
        fail(c, r);
    else
        finish_if_empty(c);
}

static void conn_sent(struct ring_op *op, int result)
{
    struct conn *c = container_of(op, struct conn, send_op);

    c->sending = false;
    if (is_over(c))
        return;
    if (result < 0) {
        fail(c, result);
        return;
    }
    buf_consume(&c->out, (size_t)result);
    if (queued(c) > 0 || (c->finish_asked && !c->finish_sent))
        ask_flush(c);
    if (c->was_high && queued(c) < STREAM_QUEUE_LOW) {
        c->was_high = false;
        c->stream.events->writable(&c->stream);
    }
}

void conn_shake(struct conn *c)
{
    if (is_over(c) || !c->shake_waits)
        return;
    c->shake_waits = false;
    c->shaking = true;
    input(c);
    c->shaking = false;
    receive(c);
}

void conn_flush(struct conn *c)
{
    if (!is_over(c))
        (void)push(c);
}

/* ---- the stream ------------------------------------------------------------------------------ */

static void stream_op_send(struct stream *s, struct buf *bytes)
{
    struct conn *c = conn_of(s);

    assert(!c->finish_asked);
    if (is_over(c)) {
        buf_done(bytes);
        return;
    }
    c->bytes_out += bytes->len;
    buf_move(c->tls ? &c->out_plain : &c->out, bytes);
    if (queued(c) >= STREAM_QUEUE_HIGH)
        c->was_high = true;
    if (!c->sending)
        ask_flush(c);
}

static void stream_op_finish(struct stream *s)
{
    struct conn *c = conn_of(s);

    if (is_over(c) || c->finish_asked)
        return;
    c->finish_asked = true;
    if (!c->sending)
        ask_flush(c);
}

static void stream_op_pause(struct stream *s)
{
    struct conn *c = conn_of(s);

    if (c->paused)
        return;
    c->paused = true;
    if (c->receiving && !is_handshaking(c))
        ring_recv_stop(c->ring, &c->recv_op);
}

/* Looks at what was held back, at the end of the turn, and receives again. */
static void go_on(struct conn *c)
{
    if (!may_deliver(c))
        return;
    if (c->tls || c->in.len > 0 || c->input_ended) {
        c->input_waiting = true;
        ask_flush(c);
    }
    if (!c->input_ended)
        receive(c);
}

static void stream_op_resume(struct stream *s)
{
    struct conn *c = conn_of(s);

    if (!c->paused)
        return;
    c->paused = false;
    go_on(c);
}

static void stream_op_reset(struct stream *s, int error)
{
    struct conn *c = conn_of(s);

    (void)error; /* TCP's RST carries no reason. */
    if (c->closing)
        return;
    if (!c->dead)
        die(c);
    socket_set_reset_on_close(c->fd);
}

static size_t stream_op_queued(const struct stream *s)
{
    return queued(conn_of(s));
}

static const struct stream_ops conn_stream_ops = {
    .send = stream_op_send,
    .finish = stream_op_finish,
    .pause = stream_op_pause,
    .resume = stream_op_resume,
    .reset = stream_op_reset,
    .queued = stream_op_queued,
};

/* ---- the beginning and the end --------------------------------------------------------------- */

static void conn_drained(struct ring_scope *scope)
{
    struct conn *c = container_of(scope, struct conn, scope);

    socket_close(c->fd);
    c->fd = -1;
    buf_done(&c->in);
    buf_done(&c->out);
    buf_done(&c->out_plain);
    c->tls = tls_channel_free(c->tls);
    c->events->drained(c);
}

void conn_init(struct conn *c, struct ring *ring, int taken_fd, const struct conn_events *events)
{
    *c = (struct conn){
        .stream.ops = &conn_stream_ops, .events = events, .ring = ring, .fd = taken_fd};
    ring_scope_init(&c->scope, ring, conn_drained);
    ring_op_init(&c->recv_op, &c->scope);
    ring_op_init(&c->send_op, &c->scope);
    ring_task_init(&c->flush_task, flush_run);
}

void conn_share(struct conn *c, struct ring_share *share)
{
    c->scope.share = share;
}

static void conn_connected(struct ring_op *op, int result)
{
    struct conn *c = container_of(op, struct conn, send_op);

    c->connecting = false;
    if (is_over(c))
        return;
    if (result == -EADDRNOTAVAIL && c->events->without_port && c->events->without_port(c))
        return;
    if (result < 0)
        die(c);
    else if (queued(c) > 0 || c->finish_asked)
        ask_flush(c);
    c->events->connected(c, result);
}

void conn_connect(struct conn *c, const struct addr *to)
{
    struct sockaddr_storage sa;
    socklen_t len = addr_to_sockaddr(to, &sa);

    c->connecting = true;
    ring_connect(c->ring, &c->send_op, c->fd, (const struct sockaddr *)&sa, len, conn_connected);
}

int conn_secure(struct conn *c, struct tls_config *config)
{
    assert(!c->tls && !c->started && !c->closing && !c->connecting);
    int r = tls_channel_new(&c->tls, config, ring_chunks(c->ring));
    if (r < 0)
        return r;
    buf_move(&c->out_plain, &c->out);
    c->input_waiting = true; /* A client speaks first. */
    ask_flush(c);
    receive(c);
    return 0;
}

void conn_start(struct conn *c)
{
    assert(!c->started && !is_handshaking(c));
    c->started = true;
    go_on(c);
}

void conn_stop(struct conn *c, struct buf *taken_unread)
{
    struct buf rest = c->in;
    assert(c->started && !c->tls);
    c->started = false;
    c->bytes_in -= taken_unread->len;
    c->in = (struct buf){0};
    buf_move(&c->in, taken_unread);
    buf_move(&c->in, &rest);
    c->peer_ended = false; /* it is told again */
    if (c->receiving && !is_over(c))
        ring_recv_stop(c->ring, &c->recv_op);
}

const struct tls_peer *conn_peer(const struct conn *c)
{
    return c->tls && c->established ? tls_channel_peer(c->tls) : NULL;
}

const char *conn_why(const struct conn *c)
{
    if (c->why)
        return c->why;
    return c->tls ? tls_channel_why(c->tls) : "";
}

void conn_close(struct conn *c)
{
    if (c->closing)
        return;
    c->closing = true;
    ring_task_cancel(&c->flush_task);
    ring_scope_close(&c->scope);
}
