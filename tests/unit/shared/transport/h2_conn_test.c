/* HTTP/2 over connections: many streams, draining, keep-alive, back-pressure. */
#include "shared/base/rng.h"
#include "tests/unit/shared/transport/h2_pair.h"

static void many_streams(bool tls)
{
    struct rng rng;
    uint64_t sum = 0;

    parties_new(tls);
    rng_seed(&rng, 20261122);
    open_both();
    bed_run_until(both_ready);
    for (unsigned i = 0; i < STREAMS; i++)
        sum += request(i == 7 ? 5 << 20 : rng_below(&rng, 300000))->to_send;
    bed_run_until(all_streams_closed);
    for (unsigned i = 0; i < STREAMS; i++) {
        const struct side *s = &client->sides[i];
        assert_int_equal(s->got, s->to_send);
        assert_false(s->bad);
        assert_int_equal(s->code, 0);
        assert_int_equal(s->heads, 1);
        assert_int_equal(s->ended, 1);
        assert_int_equal(s->finished, 1);
        assert_int_equal(s->failed, 0);
        assert_int_equal(server->sides[i].failed, 0);
    }
    assert_true(client->h2.conn.bytes_in > sum);
    assert_int_equal(client->closed + server->closed, 0);
    close_both();
}
static void tls_many_streams(void **state)
{
    (void)state;
    many_streams(true);
}
static void plain_many_streams(void **state)
{
    (void)state;
    many_streams(false);
}

/* The server wants to stop: what runs is finished, nothing new, both sessions end regularly by
 * themselves. */
static void drain_from(bool from_server)
{
    parties_new(true);
    open_both();
    bed_run_until(both_ready);
    for (unsigned i = 0; i < 10; i++)
        request(2 << 20);
    struct h2_conn *h = from_server ? &server->h2 : &client->h2;
    h2_conn_drain(h);
    h2_conn_drain(h);
    bed_run_until(both_closed);
    assert_int_equal(client->error, 0);
    assert_int_equal(server->error, 0);
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(client->sides[i].got, 2 << 20);
        assert_int_equal(client->sides[i].code, 0);
    }
    if (from_server)
        assert_true(client->goaways > 0);
    close_both();
}
static void goaway_drain(void **state)
{
    (void)state;
    drain_from(true);
    drain_from(false);
}

static void drain_when_idle(void **state)
{
    (void)state;
    parties_new(true);
    open_both();
    bed_run_until(both_ready);
    h2_conn_drain(&server->h2);
    bed_run_until(both_closed);
    assert_int_equal(client->error, 0);
    assert_int_equal(server->error, 0);
    close_both();
}

/* Whoever is in the middle of a handshake with a server that is going gets through, is told, and can
 * still say what it came to say. */
static void request_at_ready(struct party *p)
{
    (void)p;
    request(300000);
}
static bool handshake_begun(void)
{
    return server->h2.http2 && !listening;
}
static void drain_in_the_handshake(void **state)
{
    (void)state;
    parties_new(true);
    open_both();
    client->on_ready = request_at_ready;
    bed_run_until(handshake_begun);
    assert_false(server->h2.ready);
    h2_conn_drain(&server->h2);
    bed_run_until(both_closed);
    assert_int_equal(client->error, 0);
    assert_int_equal(server->error, 0);
    assert_true(client->goaways > 0);
    assert_int_equal(client->sides[0].got, 300000);
    assert_int_equal(client->sides[0].code, 0);
    close_both();
}

/* A peer that does not answer the notice does not hold up the second step. */
static bool server_has_request(void)
{
    return server->n_sides > 0;
}
static bool last_word_sent(void)
{
    return server->h2.goaway_sent;
}
static void drain_without_an_answer(void **state)
{
    (void)state;
    parties_new(false);
    open_both();
    bed_run_until(both_ready);
    server->hold = true;
    request(100);
    bed_run_until(server_has_request);
    stream_pause(&client->h2.conn.stream);
    h2_conn_drain(&server->h2);
    bed_run_until(last_word_sent);
    assert_true(server->h2.pings > 0);
    stream_resume(&client->h2.conn.stream);
    assert_int_equal(server->closed, 0);
    close_both();
}

/* Pings are answered and the session lives; without streams there are none, unless asked for. */
static uint64_t server_bytes(void)
{
    return server->h2.conn.bytes_in;
}
static uint64_t bytes_before;
static bool three_pings_came(void)
{
    return server_bytes() >= bytes_before + 3 * 17;
}

static void ping_answered(void **state)
{
    (void)state;
    for (int idle = 0; idle < 2; idle++) {
        parties_new(true);
        server->hold = true;
        client_options.ping_ms = 10;
        client_options.ping_timeout_ms = 4000;
        client_options.ping_idle = idle;
        open_both();
        bed_run_until(both_ready);
        if (!idle)
            bed_wait_still(server_bytes, 60); /* six pings would have come */
        bytes_before = server_bytes() + 1000; /* more than SETTINGS and a request */
        if (!idle)
            request(100);
        bed_run_until(three_pings_came);
        assert_int_equal(client->closed, 0);
        close_both();
    }
}

static uint64_t client_bytes(void)
{
    return client->h2.conn.bytes_in;
}
static uint64_t client_left(void)
{
    return client->h2.conn.bytes_out;
}

/* The peer reads nothing at all: what waits for it stays bounded, however many streams have
 * something to say. */
static void unread_session(void **state)
{
    (void)state;
    parties_new(true);
    server_options.http2.connection_window = 256 << 20; /* HTTP/2 itself stops nobody */
    server_options.http2.stream_window = 2 << 20;
    open_both();
    bed_run_until(both_ready);
    bed_wait_still(client_bytes, 20); /* SETTINGS */
    stream_pause(&server->h2.conn.stream);
    for (unsigned i = 0; i < STREAMS; i++)
        request(1 << 20);
    bed_wait_still(client_left, 30);
    assert_in_range(stream_queued(&client->h2.conn.stream), STREAM_QUEUE_LOW,
                    STREAM_QUEUE_HIGH + 32768);
    stream_resume(&server->h2.conn.stream);
    bed_run_until(all_streams_closed);
    for (unsigned i = 0; i < STREAMS; i++) {
        assert_int_equal(client->sides[i].got, 1 << 20);
        assert_false(client->sides[i].bad);
    }
    close_both();
}

/* A reader who stops: what the session holds stays bounded, and other streams go on. */
static void held_reader(struct party *p, struct side *s)
{
    (void)p;
    if (s == &client->sides[0] && s->got > 1000000)
        stream_pause(&s->stream.stream);
}
static bool others_done(void)
{
    return client->n_closed == client->n_sides - 1;
}

static void paused_stream(void **state)
{
    (void)state;
    parties_new(true);
    client->on_received = held_reader;
    open_both();
    bed_run_until(both_ready);
    request(30 << 20);
    for (unsigned i = 0; i < 10; i++)
        request(3 << 20);
    bed_run_until(others_done);
    assert_int_equal(client->sides[0].closed, 0);
    assert_true(client->sides[0].got < 3 << 20);
    assert_true(bed.chunks_most < 6000000 / 16384 + 1000);
    client->on_received = NULL;
    stream_resume(&client->sides[0].stream.stream);
    bed_run_until(all_streams_closed);
    assert_int_equal(client->sides[0].got, 30 << 20);
    assert_false(client->sides[0].bad);
    close_both();
}

static int make_identities(void **state)
{
    (void)state;
    identities_make(TEXT("h2"));
    return 0;
}

#define ON_RING(test) cmocka_unit_test_setup_teardown(test, bed_open, bed_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_RING(tls_many_streams), ON_RING(plain_many_streams), ON_RING(goaway_drain),
        ON_RING(drain_in_the_handshake), ON_RING(drain_without_an_answer),
        ON_RING(drain_when_idle),  ON_RING(ping_answered),      ON_RING(unread_session),
        ON_RING(paused_stream),
    };
    return cmocka_run_group_tests(tests, make_identities, identities_done);
}
