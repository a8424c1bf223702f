#define _GNU_SOURCE
#include "shared/tls/tls_pipe.h"

#include "tests/unit/shared/tls/channel_fixture.h"

/* What a channel does with the chunks of its pool, and without them. */

static struct party root, alice, bob;
static struct tls_config *client_config, *server_config;
static struct rng rng;

static int set_up(void **state)
{
    (void)state;
    test_seed(&rng);
    root = root_make("root");
    alice = leaf_make(ALICE, &root);
    bob = leaf_make(BOB, &root);
    client_config = config_simple(TLS_CLIENT, &alice, &root);
    server_config = config_simple(TLS_SERVER, &bob, &root);
    return 0;
}
static int tear_down(void **state)
{
    (void)state;
    tls_config_unref(client_config);
    tls_config_unref(server_config);
    party_done(&root);
    party_done(&alice);
    party_done(&bob);
    return 0;
}

static void open_established(struct pair *p)
{
    pair_open(p, client_config, server_config, &rng);
    converse(p);
    assert_true(p->client.told && p->server.told);
    assert_int_equal(p->client.result, 0);
    assert_int_equal(p->server.result, 0);
}

/* A pool that has too few chunks: everything waits with -ENOBUFS and then goes on as if nothing
 * had been. */
static void test_pool_without_chunks(void **state)
{
    (void)state;
    struct pair p;
    struct chunk_pool small;
    struct chunk *held[4];
    unsigned refused = 0;

    pair_open(&p, client_config, server_config, &rng);
    chunk_pool_init(&small, 4, 4);
    tls_channel_free(p.server.t);
    p.server.pool = &small;
    assert_int_equal(tls_channel_new(&p.server.t, server_config, &small), 0);

    /* Each step is first tried with no chunk at all. */
    for (int turn = 0; turn < 10 && !(p.client.told && p.server.told); turn++) {
        for (size_t i = 0; i < 4; i++)
            held[i] = chunk_new(&small);
        struct buf *out = tls_channel_out(p.client.t);
        int r = tls_channel_input(p.server.t, out);
        assert_int_equal(r, -ENOBUFS);
        assert_int_equal(tls_channel_out(p.server.t)->len, 0);
        refused++;
        for (size_t i = 0; i < 4; i++)
            chunk_free(held[i]);
        struct buf none = {0};
        side_take(&p.server, tls_channel_input(p.server.t, &none));
        pump(&p, &p.server, &p.client);
    }
    assert_true(p.client.told && p.server.told);
    assert_true(refused >= 2);

    /* Writing: 100 kB do not fit into four chunks. */
    struct buf plain = {0};
    static uint8_t data[100000];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i / 256 + i);
    assert_int_equal(buf_append(&plain, &p.pool, data, sizeof data), 0);
    refused = 0;
    while (plain.len > 0) {
        int r = tls_channel_write(p.server.t, &plain);
        assert_true(r == -ENOBUFS || plain.len == 0);
        refused += r == -ENOBUFS;
        pump(&p, &p.server, &p.client);
    }
    converse(&p);
    assert_true(refused >= 1);
    assert_int_equal(p.client.received.len, sizeof data);
    uint8_t *got = malloc(sizeof data);
    buf_peek(&p.client.received, got, sizeof data);
    assert_memory_equal(got, data, sizeof data);
    free(got);

    /* Reading: nothing is lost either. */
    assert_int_equal(buf_append(&plain, &p.pool, data, sizeof data), 0);
    assert_int_equal(tls_channel_write(p.client.t, &plain), 0);
    buf_move(&plain, tls_channel_out(p.client.t));
    assert_int_equal(tls_channel_input(p.server.t, &plain), 0);
    size_t total = 0;
    refused = 0;
    for (int turn = 0; turn < 100 && total < sizeof data; turn++) {
        struct buf got_plain = {0};
        for (size_t i = 0; i < 4; i++)
            held[i] = chunk_new(&small);
        assert_int_equal(tls_channel_read(p.server.t, &got_plain, 50000), -ENOBUFS);
        assert_int_equal(got_plain.len, 0);
        for (size_t i = 0; i < 4; i++)
            chunk_free(held[i]);
        struct chunk *one = chunk_new(&small);
        int r = tls_channel_read(p.server.t, &got_plain, sizeof data);
        assert_true(r == 0 || r == -ENOBUFS);
        refused += r == -ENOBUFS;
        uint8_t *bytes = malloc(got_plain.len + 1);
        buf_peek(&got_plain, bytes, got_plain.len);
        assert_memory_equal(bytes, data + total, got_plain.len);
        free(bytes);
        total += got_plain.len;
        buf_done(&got_plain);
        chunk_free(one);
    }
    assert_int_equal(total, sizeof data);
    assert_true(refused >= 1);

    /* Closing. */
    for (size_t i = 0; i < 4; i++)
        held[i] = chunk_new(&small);
    assert_int_equal(tls_channel_close_notify(p.server.t), -ENOBUFS);
    for (size_t i = 0; i < 4; i++)
        chunk_free(held[i]);
    assert_int_equal(tls_channel_close_notify(p.server.t), 0);
    converse(&p);
    assert_int_equal(p.client.result, -EPIPE);
    pair_close(&p);
    chunk_pool_done(&small);
}

/* A server whose chain of certificates is longer than all chunks of its pool: it says so, and goes
 * on where it was when the first part is sent. */
static void test_flight_larger_than_the_pool(void **state)
{
    (void)state;
    enum { DEPTH = X509_CHAIN_MAX - 1 };
    static char uri[X509_URI_MAX];
    struct party cas[DEPTH], leaf;
    struct x509 chain[DEPTH + 1];
    struct chunk_pool small;
    struct pair p;
    unsigned refused = 0;

    memset(uri, 'x', sizeof uri);
    memcpy(uri, "spiffe://", 9);
    for (size_t i = 0; i < DEPTH; i++) {
        char name[32];
        snprintf(name, sizeof name, "level %zu", i);
        struct x509_template t = ca_template(name);
        t.uri = (struct text){uri, sizeof uri};
        cas[i] = party_make(&t, i == 0 ? &root : &cas[i - 1]);
        chain[DEPTH - i] = cas[i].cert;
    }
    leaf = leaf_make(BOB, &cas[DEPTH - 1]);
    chain[0] = leaf.cert;
    struct tls_config *config =
        config_make(TLS_SERVER, TLS_PEER_SVID, &leaf, chain, DEPTH + 1, &root.cert, 1, "h2");
    pair_open(&p, client_config, config, &rng);
    tls_channel_free(p.server.t);
    chunk_pool_init(&small, 1, 1);
    p.server.pool = &small;
    assert_int_equal(tls_channel_new(&p.server.t, config, &small), 0);
    for (int turn = 0; turn < 20 && !(p.client.told && p.server.told); turn++) {
        struct buf *out = tls_channel_out(p.client.t);
        int r = tls_channel_input(p.server.t, out);
        if (r == -ENOBUFS)
            refused++;
        else
            side_take(&p.server, r);
        /* Copied, as a network does: the server gets its chunk back. */
        while (tls_channel_out(p.server.t)->len > 0) {
            uint8_t bytes[4096];
            struct buf sent = {0};
            size_t n = buf_peek(tls_channel_out(p.server.t), bytes, sizeof bytes);
            buf_consume(tls_channel_out(p.server.t), n);
            assert_int_equal(buf_append(&sent, &p.pool, bytes, n), 0);
            side_take(&p.client, tls_channel_input(p.client.t, &sent));
        }
    }
    assert_true(refused > 0);
    assert_true(p.client.told && p.server.told);
    assert_int_equal(p.client.result, 0);
    assert_int_equal(p.server.result, 0);
    say(&p, &p.client, "hello", 5);
    converse(&p);
    assert_received(&p.server, "hello");
    pair_close(&p);
    chunk_pool_done(&small);
    tls_config_unref(config);
    party_done(&leaf);
    for (size_t i = 0; i < DEPTH; i++)
        party_done(&cas[i]);
}

/* An established channel that has nothing to do holds no chunk, nor one for half a record. */
static void test_idle_holds_nothing(void **state)
{
    (void)state;
    struct pair p;
    open_established(&p);
    assert_int_equal(p.pool.n_live, 0);
    say(&p, &p.client, "x", 1);
    struct buf *out = tls_channel_out(p.client.t), piece = {0};
    assert_int_equal(buf_move_some(&piece, &p.pool, out, 7), 0);
    assert_int_equal(tls_channel_input(p.server.t, &piece), 0);
    assert_int_equal(tls_channel_read(p.server.t, &p.server.received, 100), 0);
    assert_int_equal(p.pool.n_live, 2); /* the two halves */
    converse(&p);
    assert_received(&p.server, "x");
    assert_int_equal(p.pool.n_live, 0);
    pair_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pool_without_chunks),
        cmocka_unit_test(test_flight_larger_than_the_pool),
        cmocka_unit_test(test_idle_holds_nothing),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
