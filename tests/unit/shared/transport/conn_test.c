/* Connections over the real ring, plain and TLS: the regular life, and back-pressure. */
#include "tests/unit/shared/transport/conn_pair.h"

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
static void plain_echo(void **state)
{
    (void)state;
    echo(false);
}
static void tls_echo(void **state)
{
    (void)state;
    echo(true);
}

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

/* Both ways at once, both readers stop again and again: all bytes arrive, and few are held
 * meanwhile. */
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
    /* Per end: the queue, what TLS makes of it, what arrives in one turn after a pause; all in
     * chunks. */
    assert_in_range(bed.chunks_most, 1,
                    before.chunks_live + 2 * 4 * (STREAM_QUEUE_HIGH + 65536) / 16384 + 2 * 64);
    pair_close();
}
static void plain_bulk(void **state)
{
    (void)state;
    bulk(false, 100 << 20);
}
static void tls_bulk(void **state)
{
    (void)state;
    bulk(true, 100 << 20);
}

static uint64_t sent_by_a(void)
{
    return a.sent;
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
    bed_wait_still(sent_by_a, 30); /* on_received() asserts that nothing comes meanwhile */
    assert_int_equal(b.got, got);
    assert_int_equal(b.events[RECEIVED], 1);
    assert_true(b.conn.in.len <= 4 << 20);
    assert_true(stream_queued(&a.conn.stream) >= STREAM_QUEUE_HIGH);
    assert_true(a.sent < a.to_send);
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
static void plain_pause(void **state)
{
    (void)state;
    pause_is_strict(false);
}
static void tls_pause(void **state)
{
    (void)state;
    pause_is_strict(true);
}

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
        bed_wait_ms(10);
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

static int make_identities(void **state)
{
    (void)state;
    identities_make(TEXT(""));
    return 0;
}

#define ON_RING(test) cmocka_unit_test_setup_teardown(test, bed_open, bed_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_RING(plain_echo),
        ON_RING(tls_echo),
        ON_RING(tls_tells_the_peer),
        ON_RING(said_early),
        ON_RING(plain_half_close),
        ON_RING(tls_half_close),
        ON_RING(plain_bulk),
        ON_RING(tls_bulk),
        ON_RING(plain_pause),
        ON_RING(tls_pause),
        ON_RING(pause_and_resume_at_once),
        ON_RING(paused_end_waits),
        ON_RING(one_send_per_turn),
        ON_RING(unix_sockets),
    };
    return cmocka_run_group_tests(tests, make_identities, identities_done);
}
