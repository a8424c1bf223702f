/* Each allocation of an exchange fails in turn: nothing leaks, hangs, or is told twice. */
#include "tests/unit/shared/base/failing_alloc.h"
#include "tests/unit/shared/http2/h2_pair.h"

static struct peer server_peer;
static bool server_peer_used;

static struct http2_stream *accept_static(struct pair *pair, const struct http2_head *head,
                                          unsigned *ret_status)
{
    (void)head;
    if (server_peer_used) {
        *ret_status = 503;
        return NULL;
    }
    peer_init(&server_peer, pair, &pair->server);
    server_peer.pattern_in = 9;
    server_peer_used = true;
    return &server_peer.s;
}

/* Gives to a stream without help from the heap but for its chunks; false: there was none. */
static bool give(struct peer *p, size_t n)
{
    struct buf b = {0};
    uint8_t data[1000];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = pattern_byte(p->pattern_out, p->n_out + i);
    while (b.len < n)
        if (buf_append(&b, &p->side->pool, data, 0) < 0 ||
            buf_append(&b, &p->side->pool, data, sizeof data) < 0) {
            buf_done(&b);
            return false;
        } else {
            p->n_out += sizeof data;
            for (size_t i = 0; i < sizeof data; i++)
                data[i] = pattern_byte(p->pattern_out, p->n_out + i);
        }
    stream_send(&p->s.stream, &b);
    return true;
}

/* Moves bytes until nothing moves, whatever fails; false: a session died. */
static bool run(struct pair *p)
{
    struct side *sides[] = {&p->client, &p->server};
    for (int idle = 0; idle < 3; idle++)
        for (size_t i = 0; i < 2; i++) {
            struct side *from = sides[i], *to = sides[1 - i];
            int r = http2_output(from->http2, &from->wire, from->wire.len + 1024 * 1024);
            if (r < 0 && r != -ENOBUFS)
                return false;
            if (!from->wire.len)
                continue;
            idle = 0;
            if (http2_input(to->http2, &from->wire) < 0)
                return false;
        }
    return true;
}

static struct peer c;

/* One whole story; every step may fail. Afterwards everything must be given back. */
static void story(struct pair *p)
{
    bool ok = true;
    struct http2_options client = {.server = false}, server = {.server = true};
    server_peer_used = false;
    peer_init(&c, p, &p->client);
    if (http2_new(&p->client.http2, &client, &side_events, p, &p->client.pool) < 0 ||
        http2_new(&p->server.http2, &server, &side_events, p, &p->server.pool) < 0)
        return;
    ok = run(p) && peer_request(&c, false) == 0;
    c.pattern_out = 9;
    ok = ok && give(&c, 100000) && run(p);
    if (ok && server_peer_used && server_peer.s.http2) {
        server_peer.pattern_out = c.pattern_in = 10;
        ok = peer_respond(&server_peer, false) == 0 && give(&server_peer, 50000) &&
             peer_trailers(&server_peer, "end") == 0;
        if (ok)
            stream_finish(&c.s.stream);
    }
    http2_ping(p->client.http2);
    ok = ok && run(p);
    if (ok && c.closed && c.code == 0) {
        assert_int_equal(c.n_in, 50000);
        assert_int_equal(server_peer.n_in, 100000);
        assert_string_equal(c.trailer, "end");
    }
    http2_goaway(p->client.http2, 0);
    if (ok)
        run(p);
}

/* A reset that there is no memory for is never said: the session ends, or the peer would wait forever. */
static void test_reset_without_memory(void **state)
{
    (void)state;
    struct pair p;
    struct peer client, *server;
    pair_open(&p, &(struct http2_options){0}, &(struct http2_options){.server = true});
    pair_open_stream(&p, &client, &server, true);
    alloc_fail_at(0);
    http2_stream_reset(&server->s, HTTP2_CONNECT_ERROR);
    assert_true(alloc_failed());
    for (int i = 0; i < 2; i++)
        assert_int_equal(http2_output(p.server.http2, &p.server.wire, 1024 * 1024), -ENOMEM);
    assert_string_equal(http2_why(p.server.http2), "Out of memory");
    pair_close(&p);
}

static void test_each_allocation_fails(void **state)
{
    (void)state;
    long n = 0;
    for (bool failed = true; failed; n++) {
        struct pair p = {.request = accept_static};
        list_init(&p.accepted);
        chunk_pool_init(&p.client.pool, POOL_CHUNKS, 0);
        chunk_pool_init(&p.server.pool, POOL_CHUNKS, 0);
        alloc_fail_at(n);
        story(&p);
        failed = alloc_failed();
        bool bound = c.s.http2 || c.closed;
        p.client.http2 = http2_free(p.client.http2);
        p.server.http2 = http2_free(p.server.http2);
        assert_int_equal(c.closed, bound);
        if (server_peer_used)
            assert_int_equal(server_peer.closed, 1);
        buf_done(&p.client.wire);
        buf_done(&p.server.wire);
        chunk_pool_done(&p.client.pool);
        chunk_pool_done(&p.server.pool);
    }
    print_message("%ld allocations\n", n - 1);
    assert_true(n > 60);
    assert_int_equal(c.code, 0); /* the last round had no failure */
    assert_int_equal(c.n_in, 50000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reset_without_memory),
        cmocka_unit_test(test_each_allocation_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
