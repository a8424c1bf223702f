/* How sessions end and how many streams they take: GOAWAY, limits, slots, PING. */
#include "tests/unit/shared/http2/h2_pair.h"

static struct peer *open_stream(struct pair *p, struct peer *c)
{
    peer_init(c, p, &p->client);
    assert_int_equal(peer_connect(c), 0);
    pair_run(p);
    struct peer *s = pair_last(p);
    assert_int_equal(peer_respond(s, false), 0);
    pair_run(p);
    c->pattern_out = s->pattern_in = 3;
    return s;
}

/* Notice, GOAWAY, and the streams that live go on until they end. */
static void test_server_drains(void **state)
{
    (void)state;
    struct pair p;
    struct peer c, refused;
    pair_open(&p, NULL, NULL);
    struct peer *s = open_stream(&p, &c);
    http2_shutdown_notice(p.server.http2);
    pair_run(&p);
    assert_int_equal(p.client.goaways, 1);
    assert_int_equal(p.client.goaway_code, 0);
    assert_false(http2_can_open(p.client.http2));
    assert_int_equal(c.closed, 0);
    http2_goaway(p.server.http2, 0);
    pair_run(&p);
    assert_int_equal(p.client.goaways, 2);
    peer_init(&refused, &p, &p.client);
    assert_int_equal(peer_connect(&refused), -EAGAIN);
    assert_false(http2_over(p.server.http2));
    assert_false(http2_over(p.client.http2));
    c.to_send = 200000;
    peer_pump(&c);
    pair_run(&p);
    assert_int_equal(s->n_in, 200000);
    stream_finish(&c.s.stream);
    stream_finish(&s->s.stream);
    pair_run(&p);
    assert_int_equal(c.closed, 1);
    assert_int_equal(c.code, 0);
    assert_true(http2_over(p.server.http2));
    assert_true(http2_over(p.client.http2));
    assert_string_equal(http2_why(p.client.http2), "");
    pair_close(&p);
}

/* A request that crosses the GOAWAY is closed with REFUSED_STREAM: its owner may try it
 * elsewhere. */
static void test_goaway_crosses_a_request(void **state)
{
    (void)state;
    struct pair p;
    struct peer c, crossed, unsent;
    pair_open(&p, NULL, NULL);
    struct peer *s = open_stream(&p, &c);
    http2_goaway(p.server.http2, 0);
    assert_int_equal(side_flush(&p.server), 0);
    peer_init(&crossed, &p, &p.client);
    assert_int_equal(peer_connect(&crossed), 0);
    assert_int_equal(side_flush(&p.client), 0); /* it is on its way */
    peer_init(&unsent, &p, &p.client);
    assert_int_equal(peer_connect(&unsent), 0); /* and this one is not */
    pair_run(&p);
    assert_int_equal(crossed.closed, 1);
    assert_int_equal(crossed.code, HTTP2_REFUSED_STREAM);
    assert_int_equal(crossed.failed, 1);
    assert_int_equal(crossed.error, -ECONNREFUSED);
    assert_int_equal(unsent.closed, 1);
    assert_int_equal(unsent.code, HTTP2_REFUSED_STREAM);
    assert_int_equal(c.closed, 0);
    assert_int_equal(http2_stream_count(p.server.http2), 1);
    assert_int_equal(s->closed, 0);
    pair_close(&p);
}

static void test_client_goes_away(void **state)
{
    (void)state;
    struct pair p;
    struct peer c, late;
    pair_open(&p, NULL, NULL);
    struct peer *s = open_stream(&p, &c);
    http2_shutdown_notice(p.client.http2); /* says nothing yet, opens nothing more */
    assert_false(http2_can_open(p.client.http2));
    http2_goaway(p.client.http2, HTTP2_ENHANCE_YOUR_CALM);
    peer_init(&late, &p, &p.client);
    assert_int_equal(peer_connect(&late), -EAGAIN);
    pair_run(&p);
    assert_int_equal(p.server.goaways, 1);
    assert_int_equal(p.server.goaway_code, HTTP2_ENHANCE_YOUR_CALM);
    assert_string_equal(http2_why(p.client.http2), ""); /* asked for, not died of */
    stream_finish(&c.s.stream);
    stream_finish(&s->s.stream);
    pair_run(&p);
    assert_int_equal(c.closed, 1);
    assert_int_equal(c.code, 0);
    assert_true(http2_over(p.server.http2));
    assert_true(http2_over(p.client.http2));
    pair_close(&p);
}

static void test_idle_session_ends_at_goaway(void **state)
{
    (void)state;
    struct pair p;
    pair_open(&p, NULL, NULL);
    pair_run(&p);
    assert_false(http2_over(p.client.http2));
    http2_goaway(p.server.http2, 0);
    pair_run(&p);
    assert_true(http2_over(p.client.http2));
    assert_true(http2_over(p.server.http2));
    pair_close(&p);
}

/* ---- How many streams */

static void fill(struct pair *p, struct peer *c, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        peer_init(&c[i], p, &p->client);
        assert_true(http2_can_open(p->client.http2));
        assert_int_equal(peer_connect(&c[i]), 0);
    }
    peer_init(&c[n], p, &p->client);
    assert_false(http2_can_open(p->client.http2));
    assert_int_equal(peer_connect(&c[n]), -EAGAIN);
}

static void test_peers_limit(void **state)
{
    (void)state;
    struct pair p;
    struct peer c[8];
    pair_open(&p, NULL, &(struct http2_options){.streams_max = 5});
    pair_run(&p);
    fill(&p, c, 5);
    pair_run(&p);
    assert_int_equal(http2_stream_count(p.server.http2), 5);
    unsigned slots = p.client.slots;
    peer_reset(pair_last(&p), HTTP2_CANCEL);
    pair_run(&p);
    assert_true(p.client.slots > slots);
    assert_true(http2_can_open(p.client.http2));
    assert_int_equal(peer_connect(&c[5]), 0);
    assert_false(http2_can_open(p.client.http2));
    pair_run(&p);
    assert_int_equal(http2_stream_count(p.server.http2), 5);
    pair_close(&p);
}

static void test_own_limit(void **state)
{
    (void)state;
    struct pair p;
    struct peer c[8];
    pair_open(&p, &(struct http2_options){.streams_max = 3}, NULL);
    pair_run(&p);
    fill(&p, c, 3);
    pair_run(&p);
    assert_int_equal(http2_stream_count(p.server.http2), 3);
    pair_close(&p);
}

/* Before the server's SETTINGS 100 are assumed; what is too much then waits or is refused, and
 * is not lost. */
static void test_limit_not_known_yet(void **state)
{
    (void)state;
    static struct peer c[101];
    struct pair p;
    pair_open(&p, NULL, &(struct http2_options){.streams_max = 10});
    fill(&p, c, 100);
    pair_run(&p);
    unsigned refused = 0, waiting = 0;
    for (int i = 0; i < 100; i++) {
        refused += c[i].closed && c[i].code == HTTP2_REFUSED_STREAM;
        waiting += !c[i].closed;
    }
    assert_int_equal(refused + waiting, 100);
    assert_true(waiting >= 10);
    assert_int_equal(http2_stream_count(p.server.http2), 10);
    assert_string_equal(http2_why(p.server.http2), "");
    assert_false(http2_can_open(p.client.http2));
    pair_close(&p);
}

/* A limit that the peer raises is a slot. (Ours never change it; a raw SETTINGS does.) */
static void test_raised_limit(void **state)
{
    (void)state;
    static const uint8_t settings[] = {0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 7};
    struct pair p;
    struct peer c[8];
    struct buf b = {0};
    pair_open(&p, NULL, &(struct http2_options){.streams_max = 2});
    pair_run(&p);
    fill(&p, c, 2);
    unsigned slots = p.client.slots;
    assert_int_equal(buf_append(&b, &p.client.pool, settings, sizeof settings), 0);
    assert_int_equal(http2_input(p.client.http2, &b), 0);
    assert_int_equal(p.client.slots, slots + 1);
    fill(&p, c + 2, 5);
    side_close(&p.client);
    pair_close(&p);
}

/* ---- PING, and what the options refuse */

static void test_ping(void **state)
{
    (void)state;
    struct pair p;
    pair_open(&p, NULL, NULL);
    for (unsigned i = 1; i <= 5000; i++) { /* more than a flood has, but each in its own packet */
        http2_ping(p.client.http2);
        http2_ping(p.server.http2);
        p.whole = true;
        pair_run(&p);
        assert_int_equal(p.client.pongs, i);
        assert_int_equal(p.server.pongs, i);
    }
    pair_close(&p);
}

static void test_want_flush(void **state)
{
    (void)state;
    struct pair p;
    struct peer c;
    pair_open(&p, NULL, NULL);
    assert_true(http2_wants_output(p.client.http2)); /* the preface, without being asked */
    assert_int_equal(p.client.flushes, 0);
    http2_ping(p.client.http2);
    http2_ping(p.client.http2);
    assert_int_equal(p.client.flushes, 1); /* asked once until http2_output() */
    assert_int_equal(side_flush(&p.client), 0);
    assert_false(http2_wants_output(p.client.http2));
    peer_init(&c, &p, &p.client);
    assert_int_equal(peer_connect(&c), 0);
    assert_int_equal(p.client.flushes, 2);
    pair_run(&p);
    assert_true(p.server.flushes > 0);
    unsigned before = p.client.flushes;
    c.to_send = 10;
    peer_pump(&c);
    assert_int_equal(p.client.flushes, before + 1);
    pair_run(&p);
    /* A paused stream that goes on asks when there is a window to return. */
    struct peer *s = pair_last(&p);
    stream_pause(&s->s.stream);
    s->pattern_in = c.pattern_out;
    s->n_in = c.n_out;
    c.to_send += 1024 * 1024;
    peer_pump(&c);
    pair_run(&p);
    before = p.server.flushes;
    stream_resume(&s->s.stream);
    assert_int_equal(p.server.flushes, before + 1);
    pair_run(&p);
    pair_close(&p);
}

static void test_options(void **state)
{
    (void)state;
    static const struct http2_options bad[] = {
        {.connection_window = 65534, .stream_window = 1000},
        {.connection_window = 0x80000000u},
        {.connection_window = 1024 * 1024, .stream_window = 1024 * 1024},
        {.frame_max = 16383},
        {.frame_max = 16777216},
        {.header_bytes_max = 64 * 1024 * 1024},
        {.fields_max = HTTP2_FIELDS_MOST + 1},
    };
    struct chunk_pool pool;
    chunk_pool_init(&pool, 1, 0);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct http2 *h = NULL;
        assert_int_equal(http2_new(&h, &bad[i], &side_events, NULL, &pool), -EINVAL);
        assert_null(h);
    }
    chunk_pool_done(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_server_drains),
        cmocka_unit_test(test_goaway_crosses_a_request),
        cmocka_unit_test(test_client_goes_away),
        cmocka_unit_test(test_idle_session_ends_at_goaway),
        cmocka_unit_test(test_peers_limit),
        cmocka_unit_test(test_own_limit),
        cmocka_unit_test(test_limit_not_known_yet),
        cmocka_unit_test(test_raised_limit),
        cmocka_unit_test(test_ping),
        cmocka_unit_test(test_want_flush),
        cmocka_unit_test(test_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
