/* Connections over the real ring: both ends of each on one ring, plain and TLS. */
#include "tests/unit/shared/transport/fixture.h"
#include "shared/base/rng.h"
#include "shared/transport/conn.h"
#include "shared/transport/listener.h"

enum kind { CONNECTED, SECURED, RECEIVED, ENDED, WRITABLE, FINISHED, FAILED, N_KINDS };

/* One end. It can send a pattern of a length, check what it gets against the peer's, echo, and close in an event. */
struct end {
    struct conn conn;
    unsigned events[N_KINDS], drained;
    int error;              /* of failed, secured or connected */
    unsigned seed;          /* of what it sends */
    uint64_t to_send, sent; /* and finish after it */
    uint64_t got;
    bool bad, hold_end;     /* hold_end: do not finish after to_send */
    bool echo;
    uint64_t pause_each, paused_at; /* pause after so many bytes, for a millisecond */
    struct timer resume;
    int close_in, reset_in; /* a kind, or -1 */
    void (*then)(struct end *e, enum kind kind);
    struct tls_config *tls;
};

static struct end a, b; /* a connects or is a client; b is a server */
static struct authority authority;
static struct tls_config *client_tls, *server_tls;

static void end_pump(struct end *e)
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

static bool over(const struct end *e)
{
    return e->conn.closing || e->conn.dead;
}

static void happened(struct end *e, enum kind kind)
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

static struct end *end_of(struct stream *s)
{
    return s->user;
}

static void resume_due(struct timer *t)
{
    stream_resume(&container_of(t, struct end, resume)->conn.stream);
}

static void on_received(struct stream *s, struct buf *bytes)
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

static void on_ended(struct stream *s)
{
    struct end *e = end_of(s);
    happened(e, ENDED);
    if (e->echo && !over(e))
        stream_finish(s);
}

static void on_writable(struct stream *s)
{
    struct end *e = end_of(s);
    assert_true(stream_queued(s) < STREAM_QUEUE_LOW);
    happened(e, WRITABLE);
    if (!over(e))
        end_pump(e);
}

static void on_finished(struct stream *s)
{
    assert_int_equal(stream_queued(s), 0);
    happened(end_of(s), FINISHED);
}

static void on_failed(struct stream *s, int error)
{
    end_of(s)->error = error;
    happened(end_of(s), FAILED);
}

static void on_connected(struct conn *c, int result)
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

static void on_secured(struct conn *c, int result)
{
    struct end *e = container_of(c, struct end, conn);

    e->error = result;
    happened(e, SECURED);
    if (over(e))
        return;
    conn_start(c);
    end_pump(e);
}

static void on_drained(struct conn *c)
{
    struct end *e = container_of(c, struct end, conn);
    assert_int_equal(c->fd, -1);
    e->drained++;
    bed_poke();
}

static const struct stream_events stream_events = {on_received, on_ended, on_writable, on_finished, on_failed};
static const struct conn_events conn_events = {on_connected, on_secured, on_drained};

static void end_init(struct end *e, int fd, struct tls_config *tls)
{
    *e = (struct end){.seed = e == &a ? 1 : 2, .close_in = -1, .reset_in = -1, .tls = tls};
    timer_init(&e->resume, resume_due);
    conn_init(&e->conn, bed.ring, fd, &conn_events);
    e->conn.stream.events = &stream_events;
    e->conn.stream.user = e;
}

static void end_begin(struct end *e)
{
    if (e->tls) {
        assert_int_equal(conn_secure(&e->conn, e->tls), 0);
    } else {
        conn_start(&e->conn);
        end_pump(e);
    }
}

static void pair_init(bool tls)
{
    int fds[2];

    tcp_pair(fds);
    end_init(&a, fds[0], tls ? client_tls : NULL);
    end_init(&b, fds[1], tls ? server_tls : NULL);
}

static bool both_drained(void)
{
    return a.drained > 0 && b.drained > 0;
}

static void pair_close(void)
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

static bool both_over(void)
{
    return a.events[ENDED] && a.events[FINISHED] && b.events[ENDED] && b.events[FINISHED];
}

static void check_regular(const struct end *e, bool tls)
{
    assert_int_equal(e->events[ENDED], 1);
    assert_int_equal(e->events[FINISHED], 1);
    assert_int_equal(e->events[FAILED], 0);
    assert_int_equal(e->events[SECURED], tls ? 1 : 0);
    assert_false(e->bad);
    assert_false(e->conn.truncated);
    assert_int_equal(e->conn.bytes_in, e->got);
}

/* ---- the regular life --------------------------------------------------------------------------- */

static void echo(bool tls)
{
    pair_init(tls);
    a.to_send = 100000;
    a.seed = b.seed; /* What comes back is what a sent. */
    b.echo = true;
    end_begin(&a);
    end_begin(&b);
    bed_run_until(both_over);
    check_regular(&a, tls);
    check_regular(&b, tls);
    assert_int_equal(a.got, 100000);
    assert_int_equal(b.got, 100000);
    assert_int_equal(a.conn.bytes_out, 100000);
    assert_int_equal(b.conn.bytes_out, 100000);
    pair_close();
}
static void plain_echo(void **state) { (void)state; echo(false); }
static void tls_echo(void **state) { (void)state; echo(true); }

static void tls_tells_the_peer(void **state)
{
    (void)state;
    pair_init(true);
    assert_null(conn_peer(&a.conn));
    end_begin(&a);
    end_begin(&b);
    bed_run_until(both_over);
    assert_non_null(conn_peer(&a.conn));
    assert_string_equal(conn_peer(&a.conn)->uri, "spiffe://cluster.local/ns/shop/sa/server");
    assert_string_equal(conn_peer(&b.conn)->uri, "spiffe://cluster.local/ns/shop/sa/client");
    pair_close();
}

/* What is said, and that it is all, before the handshake waits for it. */
static void said_early(void **state)
{
    (void)state;
    for (uint64_t bytes = 0; bytes <= 70000; bytes += 70000) {
        pair_init(true);
        b.to_send = 3000;
        end_begin(&b);
        assert_int_equal(conn_secure(&a.conn, a.tls), 0);
        a.to_send = bytes;
        end_pump(&a);
        assert_int_equal(stream_queued(&a.conn.stream), bytes);
        bed_run_until(both_over);
        check_regular(&a, true);
        check_regular(&b, true);
        assert_int_equal(b.got, bytes);
        assert_int_equal(a.got, 3000);
        pair_close();
    }
}

static const struct end *watched;
static enum kind watched_kind;

static bool watched_happened(void)
{
    return watched->events[watched_kind] > 0;
}

static void run_until(const struct end *e, enum kind kind)
{
    watched = e;
    watched_kind = kind;
    bed_run_until(watched_happened);
}

static void half_close(bool tls, struct end *first, struct end *second)
{
    pair_init(tls);
    first->to_send = 10;
    second->hold_end = true;
    end_begin(&a);
    end_begin(&b);
    run_until(second, ENDED);
    assert_int_equal(second->events[FINISHED], 0);
    /* The other way still works. */
    second->hold_end = false;
    second->to_send = 300000;
    end_pump(second);
    bed_run_until(both_over);
    check_regular(&a, tls);
    check_regular(&b, tls);
    assert_int_equal(first->got, 300000);
    assert_int_equal(second->got, 10);
    pair_close();
}
static void plain_half_close(void **state)
{
    (void)state;
    half_close(false, &a, &b);
    half_close(false, &b, &a);
}
static void tls_half_close(void **state)
{
    (void)state;
    half_close(true, &a, &b);
    half_close(true, &b, &a);
}

/* Both ways at once, both readers stop again and again: all bytes arrive, and few are held meanwhile. */
static void bulk(bool tls, uint64_t bytes)
{
    struct ring_stats before;

    pair_init(tls);
    ring_stats(bed.ring, &before);
    a.to_send = b.to_send = bytes;
    a.pause_each = 3 << 20;
    b.pause_each = 5 << 20;
    end_begin(&a);
    end_begin(&b);
    bed_run_until(both_over);
    check_regular(&a, tls);
    check_regular(&b, tls);
    assert_int_equal(a.got, bytes);
    assert_int_equal(b.got, bytes);
    assert_true(a.events[WRITABLE] > 0);
    assert_true(b.events[WRITABLE] > 0);
    /* Per end: the queue, what TLS makes of it, what arrives in one turn after a pause; all in chunks. */
    assert_in_range(bed.chunks_most, 1, before.chunks_live + 2 * 4 * (STREAM_QUEUE_HIGH + 65536) / 16384 + 2 * 64);
    pair_close();
}
static void plain_bulk(void **state) { (void)state; bulk(false, 100 << 20); }
static void tls_bulk(void **state) { (void)state; bulk(true, 100 << 20); }

/* A reader that never resumes stops its sender, whatever that has to say. */
static bool one_ms_over;
static void ms_over(struct timer *t)
{
    (void)t;
    one_ms_over = true;
    bed_poke();
}
static bool is_ms_over(void) { return one_ms_over; }

static void wait_ms(uint64_t ms)
{
    struct timer t;

    one_ms_over = false;
    timer_init(&t, ms_over);
    timer_start(ring_timers(bed.ring), &t, ms);
    bed_run_until(is_ms_over);
}

static void pause_is_strict(bool tls)
{
    pair_init(tls);
    a.to_send = 64 << 20;
    b.pause_each = 1;
    b.hold_end = true;
    end_begin(&a);
    end_begin(&b);
    run_until(&b, RECEIVED);
    timer_stop(ring_timers(bed.ring), &b.resume);
    uint64_t got = b.got;
    wait_ms(50); /* A bounded time in which nothing may happen; on_received() asserts that nothing does. */
    assert_int_equal(b.got, got);
    assert_int_equal(b.events[RECEIVED], 1);
    assert_true(b.conn.in.len <= 4 << 20);
    assert_true(stream_queued(&a.conn.stream) >= STREAM_QUEUE_HIGH);
    uint64_t sent = a.sent;
    assert_true(sent < a.to_send);
    wait_ms(20);
    assert_int_equal(a.sent, sent);
    /* And all goes on afterwards. */
    b.pause_each = 0;
    b.hold_end = false;
    stream_resume(&b.conn.stream);
    end_pump(&b);
    bed_run_until(both_over);
    check_regular(&a, tls);
    check_regular(&b, tls);
    assert_int_equal(b.got, 64 << 20);
    pair_close();
}
static void plain_pause(void **state) { (void)state; pause_is_strict(false); }
static void tls_pause(void **state) { (void)state; pause_is_strict(true); }

/* Pause and resume within one event, and an end that waits for the resume. */
static void toggle(struct end *e, enum kind kind)
{
    if (kind != RECEIVED)
        return;
    stream_pause(&e->conn.stream);
    stream_resume(&e->conn.stream);
    stream_pause(&e->conn.stream);
    stream_resume(&e->conn.stream);
}
static void pause_and_resume_at_once(void **state)
{
    (void)state;
    for (int tls = 0; tls < 2; tls++) {
        pair_init(tls);
        a.to_send = b.to_send = 2 << 20;
        b.then = a.then = toggle;
        end_begin(&a);
        end_begin(&b);
        bed_run_until(both_over);
        check_regular(&a, tls);
        check_regular(&b, tls);
        assert_int_equal(b.got, 2 << 20);
        pair_close();
    }
}

static void paused_end_waits(void **state)
{
    (void)state;
    for (int tls = 0; tls < 2; tls++) {
        pair_init(tls);
        a.to_send = 1000;
        b.hold_end = true;
        stream_pause(&b.conn.stream); /* before its start */
        end_begin(&a);
        end_begin(&b);
        run_until(&a, FINISHED);
        wait_ms(10);
        assert_int_equal(b.events[RECEIVED] + b.events[ENDED], 0);
        stream_resume(&b.conn.stream);
        run_until(&b, ENDED);
        assert_int_equal(b.got, 1000);
        pair_close();
    }
}

/* Everything that is sent in one turn leaves as one: the peer gets it as one. */
static void one_send_per_turn(void **state)
{
    (void)state;
    pair_init(false);
    struct stream *s = &a.conn.stream;
    b.hold_end = true;
    for (unsigned i = 0; i < 500; i++) {
        struct buf part = {0};
        pattern_append(&part, a.seed, i * 20, 20);
        stream_send(s, &part);
    }
    assert_int_equal(stream_queued(s), 10000);
    a.hold_end = true;
    end_begin(&a);
    end_begin(&b);
    run_until(&b, RECEIVED);
    assert_int_equal(b.got, 10000);
    assert_int_equal(b.events[RECEIVED], 1);
    pair_close();
}

static void unix_sockets(void **state)
{
    int fds[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    end_init(&a, fds[0], NULL);
    end_init(&b, fds[1], NULL);
    a.to_send = b.to_send = 5000000;
    end_begin(&a);
    end_begin(&b);
    bed_run_until(both_over);
    check_regular(&a, false);
    check_regular(&b, false);
    assert_int_equal(a.got + b.got, 10000000);
    pair_close();
}

/* ---- the other ends ------------------------------------------------------------------------------- */

static void reset(bool tls)
{
    pair_init(tls);
    a.hold_end = b.hold_end = true;
    a.to_send = b.to_send = 100000;
    end_begin(&a);
    end_begin(&b);
    run_until(&b, RECEIVED);
    unsigned before[N_KINDS];
    memcpy(before, a.events, sizeof before);
    stream_reset(&a.conn.stream, -ECANCELED);
    conn_close(&a.conn);
    run_until(&b, FAILED);
    assert_int_equal(b.error, -ECONNRESET);
    assert_memory_equal(before, a.events, sizeof before);
    wait_ms(5);
    assert_int_equal(b.events[FAILED], 1);
    assert_int_equal(b.events[ENDED], 0);
    pair_close();
}
static void plain_reset(void **state) { (void)state; reset(false); }
static void tls_reset(void **state) { (void)state; reset(true); }

/* The peer ends properly, is gone, and gets more: that is EPIPE and not ECONNRESET. */
static void send_to_who_left(void **state)
{
    (void)state;
    pair_init(false);
    b.hold_end = true;
    end_begin(&a);
    end_begin(&b);
    run_until(&b, ENDED);
    conn_close(&a.conn);
    for (b.to_send = 1; b.events[FAILED] == 0 && b.to_send < 100; b.to_send++) {
        end_pump(&b);
        wait_ms(1);
    }
    assert_int_equal(b.error, -EPIPE);
    assert_int_equal(b.events[FAILED], 1);
    pair_close();
}

static void tls_truncated(void **state)
{
    (void)state;
    for (int end_is_fine = 0; end_is_fine < 2; end_is_fine++) {
        pair_init(true);
        a.to_send = 5000;
        a.hold_end = b.hold_end = true;
        b.conn.eof_is_end = end_is_fine;
        end_begin(&a);
        end_begin(&b);
        run_until(&b, RECEIVED);
        assert_int_equal(socket_shutdown_send(a.conn.fd), 0); /* without close_notify */
        run_until(&b, end_is_fine ? ENDED : FAILED);
        assert_int_equal(b.got, 5000);
        assert_true(b.conn.truncated);
        assert_non_null(strstr(conn_why(&b.conn), "close_notify"));
        assert_int_equal(b.events[FAILED], !end_is_fine);
        assert_int_equal(b.events[ENDED], end_is_fine);
        if (!end_is_fine)
            assert_int_equal(b.error, -ECONNRESET);
        pair_close();
    }
}

static bool both_secured(void)
{
    return a.events[SECURED] > 0 && (b.events[SECURED] > 0);
}

static void tls_cut_in_handshake(void **state)
{
    (void)state;
    pair_init(true);
    end_begin(&b);
    assert_int_equal(socket_shutdown_send(a.conn.fd), 0);
    run_until(&b, SECURED);
    assert_int_equal(b.error, -ECONNRESET);
    assert_int_equal(b.events[FAILED], 0);
    assert_non_null(strstr(conn_why(&b.conn), "handshake"));
    pair_close();
}

static void tls_garbage(void **state)
{
    static const char junk[] = "xxxxxxxxxxxxxxxx";

    (void)state;
    pair_init(true);
    end_begin(&b);
    assert_int_equal(write(a.conn.fd, junk, sizeof junk), sizeof junk);
    run_until(&b, SECURED);
    assert_int_equal(b.error, -EPROTO);
    assert_true(strlen(conn_why(&b.conn)) > 0);
    wait_ms(5);
    assert_int_equal(b.events[SECURED], 1);
    assert_int_equal(b.events[FAILED], 0);
    pair_close();
}

/* The server refuses the client's certificate; the client, which was established already, learns it from the alert. */
static void tls_stranger(void **state)
{
    struct authority other;

    (void)state;
    authority_make(&other);
    struct tls_config *stranger = identity_make(&other, TLS_SERVER, "spiffe://else/ns/a/sa/b", TEXT(""));
    pair_init(true);
    b.tls = stranger;
    end_begin(&a);
    end_begin(&b);
    bed_run_until(both_secured);
    assert_int_equal(a.error, -EKEYREJECTED);
    assert_true(b.error < 0);
    assert_int_equal(a.events[RECEIVED] + b.events[RECEIVED], 0);
    assert_int_equal(a.events[FAILED] + b.events[FAILED], 0);
    assert_true(strlen(conn_why(&a.conn)) > 0);
    pair_close();
    tls_config_unref(stranger);
    authority_done(&other);
}

static void connect_and_refusal(void **state)
{
    struct addr at;
    int fd, listening = listen_loopback(&at);

    (void)state;
    assert_int_equal(socket_open(AF_INET, &fd), 0);
    end_init(&a, fd, NULL);
    end_init(&b, -1, NULL);
    a.to_send = 100;
    conn_connect(&a.conn, &at);
    run_until(&a, FINISHED);
    assert_int_equal(a.error, 0);
    close(listening);
    conn_close(&a.conn);
    conn_close(&b.conn);
    bed_run_until(both_drained);

    assert_int_equal(socket_open(AF_INET, &fd), 0);
    end_init(&a, fd, NULL);
    end_init(&b, -1, NULL);
    conn_connect(&a.conn, &at);
    run_until(&a, CONNECTED);
    assert_int_equal(a.error, -ECONNREFUSED);
    pair_close();
    assert_int_equal(a.events[CONNECTED], 1);
    assert_int_equal(a.events[FAILED], 0);
}

/* ---- ending from inside every event ------------------------------------------------------------- */

static bool b_has_it(void)
{
    return watched_happened() && (b.drained > 0 || b.reset_in >= 0);
}

static void end_in(bool tls, enum kind kind, bool by_reset)
{
    pair_init(tls);
    a.to_send = b.to_send = kind == WRITABLE ? 8 << 20 : 100000;
    if (by_reset)
        b.reset_in = kind;
    else
        b.close_in = kind;
    a.hold_end = kind == FAILED;
    end_begin(&a);
    end_begin(&b);
    if (kind == FAILED) {
        run_until(&b, RECEIVED);
        stream_reset(&a.conn.stream, -ECANCELED);
        conn_close(&a.conn);
    }
    watched = &b;
    watched_kind = kind;
    bed_run_until(b_has_it);
    unsigned events[N_KINDS];
    memcpy(events, b.events, sizeof events);
    assert_int_equal(events[kind], 1);
    wait_ms(3);
    assert_memory_equal(events, b.events, sizeof events); /* silence */
    pair_close();
    assert_int_equal(events[kind], 1);
    assert_memory_equal(events, b.events, sizeof events);
}

static void end_inside_each_event(void **state)
{
    static const enum kind kinds[] = {SECURED, RECEIVED, ENDED, WRITABLE, FINISHED, FAILED};

    (void)state;
    for (int tls = 0; tls < 2; tls++)
        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
            for (int by_reset = 0; by_reset < 2; by_reset++)
                if (tls || kinds[i] != SECURED)
                    end_in(tls, kinds[i], by_reset);
}

static void close_inside_connected(void **state)
{
    struct addr at;
    int fd, listening = listen_loopback(&at);

    (void)state;
    for (int result = 0; result < 2; result++) {
        assert_int_equal(socket_open(AF_INET, &fd), 0);
        end_init(&a, fd, NULL);
        end_init(&b, -1, NULL);
        a.close_in = CONNECTED;
        conn_close(&b.conn);
        conn_connect(&a.conn, &at);
        bed_run_until(both_drained);
        assert_int_equal(a.events[CONNECTED], 1);
        assert_int_equal(a.error, result ? -ECONNREFUSED : 0);
        if (!result)
            close(listening); /* and the second one is refused */
    }
}

/* Closed before anything was begun, and while everything is in flight. */
static void close_early(void **state)
{
    (void)state;
    pair_init(true);
    pair_close();
    pair_init(false);
    a.to_send = 10 << 20;
    end_begin(&a);
    pair_close();
    assert_int_equal(a.events[FINISHED] + a.events[FAILED], 0);
}

/* Last words before the close reach the peer. */
static void flush_before_close(void **state)
{
    (void)state;
    pair_init(false);
    struct buf words = {0};
    b.hold_end = true;
    end_begin(&b);
    pattern_append(&words, a.seed, 0, 500);
    stream_send(&a.conn.stream, &words);
    conn_flush(&a.conn);
    conn_close(&a.conn);
    run_until(&b, ENDED);
    assert_int_equal(b.got, 500);
    assert_false(b.bad);
    pair_close();
}

/* ---- many, some of them rude (as in the sketch) ------------------------------------------------- */

enum { CROWD = 200, AT_ONCE = 50, PAYLOAD = 100000 };

/* One connection through an echo server: a client, and what the server has accepted. */
struct member {
    struct conn conn;
    bool is_client, rude, finished, ended, failed, over;
    uint64_t sent, got;
    bool bad;
};
static struct crowd {
    struct listener listener;
    struct addr at;
    unsigned n_begun, n_clients, n_servers, n_good, n_rude, n_accepted, n_server_failed;
    bool listening, tls;
} crowd;

static void member_end(struct member *m)
{
    conn_close(&m->conn);
}

static void crowd_fill(void);

static bool crowd_gone(void)
{
    return !crowd.listening && crowd.n_clients == 0 && crowd.n_servers == 0;
}

static void member_drained(struct conn *c)
{
    struct member *m = container_of(c, struct member, conn);

    if (m->is_client) {
        crowd.n_clients--;
        if (m->rude)
            crowd.n_rude++;
        else if (m->got == PAYLOAD && m->ended && !m->bad && !m->failed)
            crowd.n_good++;
        crowd_fill();
        if (crowd.n_begun == CROWD && crowd.n_clients == 0)
            listener_close(&crowd.listener);
    } else {
        crowd.n_servers--;
        crowd.n_server_failed += m->failed;
        listener_release(&crowd.listener);
    }
    free(m);
    bed_poke();
}

static void member_pump(struct member *m)
{
    struct stream *s = &m->conn.stream;

    while (m->sent < PAYLOAD && stream_queued(s) < 8192) {
        struct buf part = {0};
        pattern_append(&part, 7, m->sent, 1000);
        m->sent += 1000;
        stream_send(s, &part);
    }
    if (m->sent == PAYLOAD && !m->conn.finish_asked)
        stream_finish(s);
}

static void member_received(struct stream *s, struct buf *bytes)
{
    struct member *m = s->user;
    size_t len = bytes->len;

    if (!m->is_client) {
        stream_send(s, bytes);
        m->got += len;
        return;
    }
    m->bad = !pattern_take(bytes, 7, m->got) || m->bad;
    m->got += len;
    if (m->rude && m->got > PAYLOAD / 2) {
        stream_reset(s, -ECANCELED);
        conn_close(&m->conn);
        return;
    }
    member_pump(m);
}

static void member_both(struct member *m)
{
    if (m->ended && m->finished)
        member_end(m);
}

static void member_ended(struct stream *s)
{
    struct member *m = s->user;
    m->ended = true;
    if (!m->is_client)
        stream_finish(s);
    member_both(m);
}

static void member_finished(struct stream *s)
{
    struct member *m = s->user;
    m->finished = true;
    member_both(m);
}

static void member_writable(struct stream *s)
{
    if (((struct member *)s->user)->is_client)
        member_pump(s->user);
}

static void member_failed(struct stream *s, int error)
{
    struct member *m = s->user;
    assert_true(error == -ECONNRESET || error == -EPIPE);
    m->failed = true;
    member_end(m);
}

static void member_secured(struct conn *c, int result)
{
    struct member *m = container_of(c, struct member, conn);
    assert_int_equal(result, 0);
    conn_start(c);
    if (m->is_client)
        member_pump(m);
}

static void member_connected(struct conn *c, int result)
{
    assert_int_equal(result, 0);
    if (crowd.tls)
        assert_int_equal(conn_secure(c, client_tls), 0);
    else
        member_secured(c, 0);
}

static const struct stream_events member_stream_events = {member_received, member_ended, member_writable,
                                                          member_finished, member_failed};
static const struct conn_events member_conn_events = {member_connected, member_secured, member_drained};

static struct member *member_new(int fd, bool is_client)
{
    struct member *m = calloc(1, sizeof *m);

    assert_non_null(m);
    m->is_client = is_client;
    conn_init(&m->conn, bed.ring, fd, &member_conn_events);
    m->conn.stream.events = &member_stream_events;
    m->conn.stream.user = m;
    return m;
}

static void crowd_fill(void)
{
    while (crowd.n_clients < AT_ONCE && crowd.n_begun < CROWD) {
        int fd = -1;
        assert_int_equal(socket_open(AF_INET, &fd), 0);
        struct member *m = member_new(fd, true);
        m->rude = crowd.n_begun++ % 10 == 9;
        crowd.n_clients++;
        conn_connect(&m->conn, &crowd.at);
    }
}

static void crowd_accepted(struct listener *l, int fd)
{
    struct member *m = member_new(fd, false);

    (void)l;
    crowd.n_accepted++;
    crowd.n_servers++;
    if (crowd.tls)
        assert_int_equal(conn_secure(&m->conn, server_tls), 0);
    else
        conn_start(&m->conn);
}

static void crowd_drained(struct listener *l)
{
    (void)l;
    crowd.listening = false;
    bed_poke();
}

static void run_crowd(bool tls)
{
    crowd = (struct crowd){.listening = true, .tls = tls};
    listener_open(&crowd.listener, bed.ring, listen_loopback(&crowd.at), 2 * AT_ONCE, crowd_accepted, crowd_drained, NULL);
    crowd_fill();
    bed_run_until(crowd_gone);
    assert_int_equal(crowd.n_accepted, CROWD);
    assert_int_equal(crowd.n_rude, CROWD / 10);
    assert_int_equal(crowd.n_good, CROWD - CROWD / 10);
    assert_int_equal(crowd.n_server_failed, CROWD / 10);
}
static void plain_crowd(void **state) { (void)state; run_crowd(false); }
static void tls_crowd(void **state) { (void)state; run_crowd(true); }

/* -------------------------------------------------------------------------------------------------- */

static int identities_make(void **state)
{
    (void)state;
    authority_make(&authority);
    client_tls = identity_make(&authority, TLS_CLIENT, "spiffe://cluster.local/ns/shop/sa/client", TEXT(""));
    server_tls = identity_make(&authority, TLS_SERVER, "spiffe://cluster.local/ns/shop/sa/server", TEXT(""));
    return 0;
}

static int identities_done(void **state)
{
    (void)state;
    tls_config_unref(client_tls);
    tls_config_unref(server_tls);
    authority_done(&authority);
    return 0;
}

#define ON_RING(test) cmocka_unit_test_setup_teardown(test, bed_open, bed_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_RING(plain_echo), ON_RING(tls_echo), ON_RING(tls_tells_the_peer), ON_RING(said_early),
        ON_RING(plain_half_close), ON_RING(tls_half_close),
        ON_RING(plain_bulk), ON_RING(tls_bulk),
        ON_RING(plain_pause), ON_RING(tls_pause), ON_RING(pause_and_resume_at_once), ON_RING(paused_end_waits),
        ON_RING(one_send_per_turn), ON_RING(unix_sockets),
        ON_RING(plain_reset), ON_RING(tls_reset), ON_RING(send_to_who_left),
        ON_RING(tls_truncated), ON_RING(tls_cut_in_handshake), ON_RING(tls_garbage), ON_RING(tls_stranger),
        ON_RING(connect_and_refusal), ON_RING(end_inside_each_event), ON_RING(close_inside_connected),
        ON_RING(close_early), ON_RING(flush_before_close),
        ON_RING(plain_crowd), ON_RING(tls_crowd),
    };
    return cmocka_run_group_tests(tests, identities_make, identities_done);
}
