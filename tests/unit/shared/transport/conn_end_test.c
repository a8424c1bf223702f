/* How connections end otherwise: resets, cuts, refusals, and owners who close inside an event. */
#include "tests/unit/shared/transport/conn_pair.h"

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
    bed_wait_ms(5);
    assert_int_equal(b.events[FAILED], 1);
    assert_int_equal(b.events[ENDED], 0);
    pair_close();
}
static void plain_reset(void **state)
{
    (void)state;
    reset(false);
}
static void tls_reset(void **state)
{
    (void)state;
    reset(true);
}

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
        bed_wait_ms(1);
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
    static const char junk[] = "GET / HTTP/1.1\r\n\r\n";

    (void)state;
    pair_init(true);
    end_begin(&b);
    assert_int_equal(write(a.conn.fd, junk, sizeof junk), sizeof junk);
    run_until(&b, SECURED);
    assert_int_equal(b.error, -EPROTO);
    assert_true(strlen(conn_why(&b.conn)) > 0);
    bed_wait_ms(5);
    assert_int_equal(b.events[SECURED], 1);
    assert_int_equal(b.events[FAILED], 0);
    pair_close();
}

/* The client refuses the server's certificate; the server learns it from the alert. */
static void tls_stranger(void **state)
{
    struct authority other;

    (void)state;
    authority_make(&other);
    struct tls_config *stranger =
        identity_make(&other, TLS_SERVER, "spiffe://else/ns/a/sa/b", TEXT(""));
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
    bed_wait_ms(3);
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
        ON_RING(plain_reset),           ON_RING(tls_reset),
        ON_RING(send_to_who_left),      ON_RING(tls_truncated),
        ON_RING(tls_cut_in_handshake),  ON_RING(tls_garbage),
        ON_RING(tls_stranger),          ON_RING(connect_and_refusal),
        ON_RING(end_inside_each_event), ON_RING(close_inside_connected),
        ON_RING(close_early),           ON_RING(flush_before_close),
    };
    return cmocka_run_group_tests(tests, make_identities, identities_done);
}
