/*
 * Two ends of one connection, both on the bed's ring: a connects or is the TLS client, b is the
 * server. Each counts its events and asserts what must hold in every one of them.
 */
#ifndef TESTS_UNIT_SHARED_TRANSPORT_CONN_PAIR_H
#define TESTS_UNIT_SHARED_TRANSPORT_CONN_PAIR_H
#include "shared/transport/conn.h"
#include "tests/unit/shared/transport/fixture.h"

enum kind { CONNECTED, SECURED, RECEIVED, ENDED, WRITABLE, FINISHED, FAILED, N_KINDS };

/* One end. It can send a pattern of a length, check what it gets against the peer's, echo, and
 * close in an event. */
struct end {
    struct conn conn;
    unsigned events[N_KINDS], drained;
    int error;              /* of failed, secured or connected */
    unsigned seed;          /* of what it sends */
    uint64_t to_send, sent; /* and finish after it */
    uint64_t got;
    bool bad, hold_end; /* hold_end: do not finish after to_send */
    bool echo;
    uint64_t pause_each, paused_at; /* pause after so many bytes, for a millisecond */
    struct timer resume;
    int close_in, reset_in; /* a kind, or -1 */
    void (*then)(struct end *e, enum kind kind);
    struct tls_config *tls;
};

static struct end a, b; /* a connects or is a client; b is a server */

static inline void end_pump(struct end *e)
{
    struct stream *s = &e->conn.stream;

    while (e->sent < e->to_send && stream_queued(s) < STREAM_QUEUE_HIGH) {
        struct buf part = {0};
        uint64_t rest = e->to_send - e->sent;
        size_t n = rest < 65536 ? (size_t)rest : 65536;
        pattern_append(&part, e->seed, e->sent, n);
        e->sent += n;
        stream_send(s, &part);
        assert_int_equal(part.len, 0);
    }
    if (e->sent == e->to_send && !e->echo && !e->hold_end && !e->conn.finish_asked)
        stream_finish(s);
}

static inline bool over(const struct end *e)
{
    return e->conn.closing || e->conn.dead;
}

static inline void happened(struct end *e, enum kind kind)
{
    assert_int_equal(e->drained, 0);
    e->events[kind]++;
    bed_poke();
    if (e->then)
        e->then(e, kind);
    if (e->close_in == (int)kind)
        conn_close(&e->conn);
    if (e->reset_in == (int)kind)
        stream_reset(&e->conn.stream, -ECANCELED);
}

static inline struct end *end_of(struct stream *s)
{
    return s->user;
}

static inline void resume_due(struct timer *t)
{
    stream_resume(&container_of(t, struct end, resume)->conn.stream);
}

static inline void on_received(struct stream *s, struct buf *bytes)
{
    struct end *e = end_of(s);
    size_t len = bytes->len;

    assert_true(len > 0);
    assert_false(e->conn.paused);
    if (e->echo)
        stream_send(s, bytes);
    else if (!pattern_take(bytes, e == &a ? b.seed : a.seed, e->got))
        e->bad = true;
    e->got += len;
    if (e->pause_each > 0 && e->got - e->paused_at >= e->pause_each) {
        e->paused_at = e->got;
        stream_pause(s);
        timer_start(ring_timers(bed.ring), &e->resume, 1);
    }
    happened(e, RECEIVED);
}

static inline void on_ended(struct stream *s)
{
    struct end *e = end_of(s);
    happened(e, ENDED);
    if (e->echo && !over(e))
        stream_finish(s);
}

static inline void on_writable(struct stream *s)
{
    struct end *e = end_of(s);
    assert_true(stream_queued(s) < STREAM_QUEUE_LOW);
    happened(e, WRITABLE);
    if (!over(e))
        end_pump(e);
}

static inline void on_finished(struct stream *s)
{
    assert_int_equal(stream_queued(s), 0);
    happened(end_of(s), FINISHED);
}

static inline void on_failed(struct stream *s, int error)
{
    end_of(s)->error = error;
    happened(end_of(s), FAILED);
}

static inline void on_connected(struct conn *c, int result)
{
    struct end *e = container_of(c, struct end, conn);

    e->error = result;
    happened(e, CONNECTED);
    if (over(e))
        return;
    if (e->tls) {
        assert_int_equal(conn_secure(c, e->tls), 0);
    } else {
        conn_start(c);
        end_pump(e);
    }
}

static inline void on_secured(struct conn *c, int result)
{
    struct end *e = container_of(c, struct end, conn);

    e->error = result;
    happened(e, SECURED);
    if (over(e))
        return;
    conn_start(c);
    end_pump(e);
}

static inline void on_drained(struct conn *c)
{
    struct end *e = container_of(c, struct end, conn);
    assert_int_equal(c->fd, -1);
    e->drained++;
    bed_poke();
}

static const struct stream_events stream_events = {on_received, on_ended, on_writable, on_finished,
                                                   on_failed};
static const struct conn_events conn_events = {
    .connected = on_connected, .secured = on_secured, .drained = on_drained};

static inline void end_init(struct end *e, int fd, struct tls_config *tls)
{
    *e = (struct end){.seed = e == &a ? 1 : 2, .close_in = -1, .reset_in = -1, .tls = tls};
    timer_init(&e->resume, resume_due);
    conn_init(&e->conn, bed.ring, fd, &conn_events);
    e->conn.stream.events = &stream_events;
    e->conn.stream.user = e;
}

static inline void end_begin(struct end *e)
{
    if (e->tls) {
        assert_int_equal(conn_secure(&e->conn, e->tls), 0);
    } else {
        conn_start(&e->conn);
        end_pump(e);
    }
}

static inline void pair_init(bool tls)
{
    int fds[2];

    tcp_pair(fds);
    end_init(&a, fds[0], tls ? client_tls : NULL);
    end_init(&b, fds[1], tls ? server_tls : NULL);
}

static inline bool both_drained(void)
{
    return a.drained > 0 && b.drained > 0;
}

static inline void pair_close(void)
{
    timer_stop(ring_timers(bed.ring), &a.resume);
    timer_stop(ring_timers(bed.ring), &b.resume);
    conn_close(&a.conn);
    conn_close(&b.conn);
    conn_close(&b.conn);
    bed_run_until(both_drained);
    assert_int_equal(a.drained, 1);
    assert_int_equal(b.drained, 1);
}

static inline bool both_over(void)
{
    return a.events[ENDED] && a.events[FINISHED] && b.events[ENDED] && b.events[FINISHED];
}

static inline void check_regular(const struct end *e, bool tls)
{
    assert_int_equal(e->events[ENDED], 1);
    assert_int_equal(e->events[FINISHED], 1);
    assert_int_equal(e->events[FAILED], 0);
    assert_int_equal(e->events[SECURED], tls ? 1 : 0);
    assert_false(e->bad);
    assert_false(e->conn.truncated);
    assert_int_equal(e->conn.bytes_in, e->got);
}

static const struct end *watched;
static enum kind watched_kind;

static inline bool watched_happened(void)
{
    return watched->events[watched_kind] > 0;
}

static inline void run_until(const struct end *e, enum kind kind)
{
    watched = e;
    watched_kind = kind;
    bed_run_until(watched_happened);
}
#endif
