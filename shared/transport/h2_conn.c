#include "shared/transport/h2_conn.h"

#include "shared/ring/socket.h"
#include <errno.h>
#include <stdio.h>

enum { HANDSHAKE_MS = 10000, PING_MS = 10000, PING_TIMEOUT_MS = 20000, RETRY_MS = 10 };
enum { NOTICE_MS = 1000 }; /* of a drain, until its second step comes anyhow */

static struct h2_conn *of_stream(const struct stream *s)
{
    return s->user;
}

static struct h2_conn *of_conn(const struct conn *c)
{
    return container_of(c, struct h2_conn, conn);
}

static bool is_live(const struct h2_conn *h)
{
    return h->http2 && !h->over && !h->closing;
}

/* ---- the end -------------------------------------------------------------------------------- */

/* Everything that ends the session comes here. It is told at the end of the turn, when no stream's
 * event is running. */
static void end(struct h2_conn *h, int error, const char *why)
{
    if (!is_live(h))
        return;
    h->over = true;
    h->error = error;
    if (why)
        (void)snprintf(h->why, sizeof h->why, "%s", why);
    ring_task_ask(h->conn.ring, &h->flush_task);
}

/* Gives http2's output to the connection as far as the connection wants it; its `writable` comes
 * back here. Also runs the events of streams that are due, so it is called even if there is no
 * room. */
static int output(struct h2_conn *h)
{
    struct stream *carrier = &h->conn.stream;
    struct buf bytes = {0};
    size_t waiting = stream_queued(carrier);

    if (h->finishing)
        return 0;
    int r = http2_output(h->http2, &bytes,
                         waiting < STREAM_QUEUE_HIGH ? STREAM_QUEUE_HIGH - waiting : 0);
    if (bytes.len > 0)
        stream_send(carrier, &bytes);
    buf_done(&bytes);
    return r;
}

static void tear_down(struct h2_conn *h)
{
    timer_stop(ring_timers(h->conn.ring), &h->deadline);
    timer_stop(ring_timers(h->conn.ring), &h->ping);
    timer_stop(ring_timers(h->conn.ring), &h->retry);
    timer_stop(ring_timers(h->conn.ring), &h->notice);
    stream_pause(&h->conn.stream);
    if (h->ready && !h->conn.dead) { /* The last words: why, or that it is over. */
        if (!h->over && !h->finishing)
            http2_goaway(h->http2, 0);
        (void)output(h);
        conn_flush(&h->conn);
    }
    h->http2 = http2_free(h->http2);
    if (!h->closing) {
        h->closed_told = true;
        h->events->closed(h, h->error);
    }
    if (h->closing)
        conn_close(&h->conn);
}

/* ---- keep-alive ------------------------------------------------------------------------------ */

static bool needs_ping(const struct h2_conn *h)
{
    return h->pings > 0 || h->options.ping_idle || http2_stream_count(h->http2) > 0;
}

static void ping_start(struct h2_conn *h)
{
    h->bytes_in_then = h->conn.bytes_in;
    timer_start(ring_timers(h->conn.ring), &h->ping,
                h->pings > 0 ? h->options.ping_timeout_ms : h->options.ping_ms);
}

static void ping_send(struct h2_conn *h)
{
    h->pings++;
    http2_ping(h->http2);
    ring_task_ask(h->conn.ring, &h->flush_task);
    ping_start(h);
}

static void ping_due(struct timer *t)
{
    struct h2_conn *h = container_of(t, struct h2_conn, ping);
    /* Whatever has come in meanwhile shows that the peer lives. */
    bool heard = h->conn.bytes_in != h->bytes_in_then;

    if (!is_live(h) || !needs_ping(h))
        return;
    if (!heard && h->pings > 0)
        end(h, -ETIMEDOUT, "the peer did not answer a PING");
    else if (!heard)
        ping_send(h);
    else
        ping_start(h);
}

static void retry_due(struct timer *t)
{
    struct h2_conn *h = container_of(t, struct h2_conn, retry);
    ring_task_ask(h->conn.ring, &h->flush_task);
}

static void deadline_passed(struct timer *t)
{
    struct h2_conn *h = container_of(t, struct h2_conn, deadline);

    if (h->finishing)
        end(h, 0, NULL);
    else
        end(h, -ETIMEDOUT, "connecting and the handshake took too long");
}

/* ---- draining --------------------------------------------------------------------------------- */

/* Every stream that the peer opened before it read the notice is known by now. */
static void drain_last(struct h2_conn *h)
{
    if (!h->draining || h->goaway_sent)
        return;
    h->goaway_sent = true;
    timer_stop(ring_timers(h->conn.ring), &h->notice);
    http2_goaway(h->http2, 0);
    ring_task_ask(h->conn.ring, &h->flush_task);
}

static void notice_over(struct timer *t)
{
    struct h2_conn *h = container_of(t, struct h2_conn, notice);
    if (is_live(h))
        drain_last(h);
}

static void drain_first(struct h2_conn *h)
{
    http2_shutdown_notice(h->http2);
    ping_send(h); /* Its answer shows that the notice was read. */
    timer_start(ring_timers(h->conn.ring), &h->notice, NOTICE_MS);
}

/* ---- ready, and each turn's end --------------------------------------------------------------------------- */

static void become_ready(struct h2_conn *h)
{
    timer_stop(ring_timers(h->conn.ring), &h->deadline);
    h->ready = true;
    h->events->ready(h);
    if (!is_live(h))
        return;
    conn_start(&h->conn);
    if (h->draining)
        drain_first(h);
    ring_task_ask(h->conn.ring, &h->flush_task);
}

static void flush_run(struct ring_task *task)
{
    struct h2_conn *h = container_of(task, struct h2_conn, flush_task);

    if (!h->http2)
        return;
    if (!is_live(h)) {
        tear_down(h);
        return;
    }
    if (h->starting) {
        h->starting = false;
        become_ready(h);
    }
    if (!h->ready || !is_live(h))
        return;
    int r = output(h);
    if (r == -ENOBUFS) { /* The pool is empty just now, and nothing is lost. */
        timer_start(ring_timers(h->conn.ring), &h->retry, RETRY_MS);
    } else if (r < 0) {
        end(h, r, http2_why(h->http2));
        return;
    }
    if (!timer_running(&h->ping) && needs_ping(h))
        ping_start(h);
    if (!h->finishing && http2_over(h->http2) && !http2_wants_output(h->http2)) {
        h->finishing = true;
        timer_start(ring_timers(h->conn.ring), &h->deadline, h->options.handshake_ms);
        stream_finish(&h->conn.stream);
    }
}

/* ---- events of http2 --------------------------------------------------------------------------- */

static struct http2_stream *http2_request(struct http2 *http2, const struct http2_head *head,
                                          unsigned *ret_status)
{
    struct h2_conn *h = http2_user(http2);

    if (!is_live(h)) {
        *ret_status = 0;
        return NULL;
    }
    return h->events->request(h, head, ret_status);
}

static void http2_refused(struct http2 *http2, const struct http2_refusal *refusal)
{
    struct h2_conn *h = http2_user(http2);

    if (is_live(h) && h->events->refused)
        h->events->refused(h, refusal);
}

static void http2_want_flush(struct http2 *http2)
{
    struct h2_conn *h = http2_user(http2);
    ring_task_ask(h->conn.ring, &h->flush_task);
}

static void http2_peer_goaway(struct http2 *http2, uint32_t error_code)
{
    struct h2_conn *h = http2_user(http2);

    (void)error_code; /* Either way: no new streams here. */
    ring_task_ask(h->conn.ring, &h->flush_task);
    if (is_live(h) && h->events->goaway)
        h->events->goaway(h);
}

static void http2_slot(struct http2 *http2)
{
    struct h2_conn *h = http2_user(http2);

    ring_task_ask(h->conn.ring, &h->flush_task); /* It may have been the last stream. */
    if (is_live(h) && h->events->slot)
        h->events->slot(h);
}

static void http2_ping_acked(struct http2 *http2)
{
    struct h2_conn *h = http2_user(http2);

    if (h->pings > 0)
        h->pings--;
    if (!is_live(h))
        return;
    if (h->pings == 0)
        drain_last(h);
    if (needs_ping(h))
        ping_start(h);
}

static const struct http2_events http2_events = {
    .request = http2_request,
    .refused = http2_refused,
    .want_flush = http2_want_flush,
    .goaway = http2_peer_goaway,
    .slot = http2_slot,
    .ping_acked = http2_ping_acked,
};

/* ---- events of the connection ------------------------------------------------------------------ */

static void carrier_secured(struct conn *c, int result)
{
    struct h2_conn *h = of_conn(c);

    if (!is_live(h))
        return;
    if (result < 0)
        end(h, result, NULL);
    else
        become_ready(h);
}

static void carrier_connected(struct conn *c, int result)
{
    struct h2_conn *h = of_conn(c);

    if (!is_live(h))
        return;
    if (result == 0 && h->options.tls) {
        result = conn_secure(c, h->options.tls);
        h->options.tls = tls_config_unref(h->options.tls);
        if (result == 0)
            return;
    }
    if (result < 0)
        end(h, result, NULL);
    else
        become_ready(h);
}

static void carrier_drained(struct conn *c)
{
    struct h2_conn *h = of_conn(c);

    ring_task_cancel(&h->flush_task);
    h->options.tls = tls_config_unref(h->options.tls);
    h->events->drained(h);
}

static bool carrier_may_shake(struct conn *c)
{
    struct h2_conn *h = of_conn(c);
    return !h->events->may_shake || h->events->may_shake(h);
}

void h2_conn_shake(struct h2_conn *h)
{
    conn_shake(&h->conn);
}

static const struct conn_events carrier_events = {
    .may_shake = carrier_may_shake,
    .connected = carrier_connected,
    .secured = carrier_secured,
    .drained = carrier_drained,
};

static void carrier_received(struct stream *s, struct buf *bytes)
{
    struct h2_conn *h = of_stream(s);

    if (!is_live(h)) {
        buf_done(bytes);
        return;
    }
    int r = http2_input(h->http2, bytes);
    if (r < 0)
        end(h, r, http2_why(h->http2));
    else if (is_live(h) && http2_over(h->http2))
        ring_task_ask(h->conn.ring, &h->flush_task);
}

static void carrier_ended(struct stream *s)
{
    struct h2_conn *h = of_stream(s);

    if (!is_live(h) || h->finishing)
        return;
    if (http2_stream_count(h->http2) > 0)
        end(h, -ECONNRESET, "the peer closed the connection while streams were open");
    else
        end(h, 0, NULL);
}

static void carrier_writable(struct stream *s)
{
    struct h2_conn *h = of_stream(s);
    ring_task_ask(h->conn.ring, &h->flush_task);
}

static void carrier_finished(struct stream *s)
{
    end(of_stream(s), 0, NULL);
}

static void carrier_failed(struct stream *s, int error)
{
    struct h2_conn *h = of_stream(s);
    end(h, h->finishing ? 0 : error, NULL);
}

static const struct stream_events carrier_stream_events = {
    .received = carrier_received,
    .ended = carrier_ended,
    .writable = carrier_writable,
    .finished = carrier_finished,
    .failed = carrier_failed,
};

/* ---- the beginning ----------------------------------------------------------------------------- */

static int begin(struct h2_conn *h, struct ring *ring, int taken_fd,
                 const struct h2_conn_options *o, bool server, const struct h2_conn_events *events,
                 void *user)
{
    *h = (struct h2_conn){.events = events, .options = *o, .user = user};
    h->options.http2.server = server;
    if (h->options.handshake_ms == 0)
        h->options.handshake_ms = HANDSHAKE_MS;
    if (h->options.ping_ms == 0)
        h->options.ping_ms = PING_MS;
    if (h->options.ping_timeout_ms == 0)
        h->options.ping_timeout_ms = PING_TIMEOUT_MS;
    ring_task_init(&h->flush_task, flush_run);
    timer_init(&h->deadline, deadline_passed);
    timer_init(&h->ping, ping_due);
    timer_init(&h->retry, retry_due);
    timer_init(&h->notice, notice_over);
    conn_init(&h->conn, ring, taken_fd, &carrier_events);
    conn_share(&h->conn, o->share);
    h->conn.eof_is_end = true; /* HTTP/2 says itself when it is over. */
    h->conn.stream.events = &carrier_stream_events;
    h->conn.stream.user = h;
    return http2_new(&h->http2, &h->options.http2, &http2_events, h, ring_chunks(ring));
}

/* Nothing has been given to the ring yet, so all can be taken back on the spot. */
static int give_up(struct h2_conn *h, int error)
{
    ring_task_cancel(&h->flush_task);
    h->http2 = http2_free(h->http2);
    socket_close(h->conn.fd);
    return error;
}

int h2_conn_open_server(struct h2_conn *h, struct ring *ring, int taken_fd,
                        const struct h2_conn_options *o, const struct h2_conn_events *events,
                        void *user)
{
    int r = begin(h, ring, taken_fd, o, true, events, user);
    h->options.tls = NULL;
    if (r == 0 && o->tls)
        r = conn_secure(&h->conn, o->tls);
    if (r < 0)
        return give_up(h, r);
    if (o->tls) {
        timer_start(ring_timers(ring), &h->deadline, h->options.handshake_ms);
    } else { /* Nothing to wait for, but its events come from the loop like everybody's. */
        h->starting = true;
        ring_task_ask(ring, &h->flush_task);
    }
    return 0;
}

int h2_conn_open_client(struct h2_conn *h, struct ring *ring, int taken_fd, const struct addr *to,
                        const struct h2_conn_options *o, const struct h2_conn_events *events,
                        void *user)
{
    int r = begin(h, ring, taken_fd, o, false, events, user);
    if (r < 0)
        return give_up(h, r);
    if (o->tls)
        h->options.tls = tls_config_ref(o->tls);
    timer_start(ring_timers(ring), &h->deadline, h->options.handshake_ms);
    conn_connect(&h->conn, to);
    return 0;
}

void h2_conn_drain(struct h2_conn *h)
{
    if (!is_live(h) || h->draining || h->finishing)
        return;
    h->draining = true;
    if (!h->options.http2.server && !h->ready)
        end(h, 0, NULL);
    else if (!h->options.http2.server)
        drain_last(h);
    else if (h->ready)
        drain_first(h);
}

void h2_conn_close(struct h2_conn *h)
{
    if (h->closing)
        return;
    h->closing = true;
    if (h->http2)
        ring_task_ask(h->conn.ring, &h->flush_task);
    else
        conn_close(&h->conn);
}

const char *h2_conn_why(const struct h2_conn *h)
{
    return h->why[0] ? h->why : conn_why(&h->conn);
}
