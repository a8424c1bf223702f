#define _GNU_SOURCE
#include "tests/unit/shared/tls/channel_fixture.h"

#include <malloc.h>

#include "shared/tls/key_secret.h"
#include "tests/unit/shared/base/failing_alloc.h"

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

/* Input and one read; -ENOBUFS is tried again, once: then there is memory. */
static int step(struct tls_channel *t, struct buf *in, struct buf *plain)
{
    struct buf none = {0};
    int r = tls_channel_input(t, in);
    if (r == -ENOBUFS)
        r = tls_channel_input(t, &none);
    assert_int_not_equal(r, -ENOBUFS);
    if (r < 0 || !tls_channel_established(t))
        return r;
    r = tls_channel_read(t, plain, 100000);
    if (r == -ENOBUFS)
        r = tls_channel_read(t, plain, 100000);
    return r;
}

/* A whole life of two channels. false: one of them died, and said so. */
static bool live(struct chunk_pool *pool, struct tls_channel *client, struct tls_channel *server)
{
    static const char text[] = "some words";
    struct buf to_client = {0}, to_server = {0}, plain = {0};
    bool said = false, heard = false, good = true;

    for (int turn = 0; turn < 12 && good && !heard; turn++) {
        if (tls_channel_established(client) && !said) {
            assert_string_equal(tls_channel_peer(client)->uri, BOB);
            struct buf b = {0};
            if (buf_append(&b, pool, text, sizeof text) < 0)
                assert_int_equal(buf_append(&b, pool, text, sizeof text), 0);
            int r = tls_channel_write(client, &b);
            if (r == -ENOBUFS)
                r = tls_channel_write(client, &b);
            good = r == 0;
            said = true;
            buf_done(&b);
        }
        buf_move(&to_server, tls_channel_out(client));
        good = good && step(server, &to_server, &plain) >= 0;
        if (plain.len > 0) {
            char got[sizeof text];
            assert_int_equal(buf_peek(&plain, got, sizeof got), sizeof text);
            assert_memory_equal(got, text, sizeof text);
            assert_string_equal(tls_channel_peer(server)->uri, ALICE);
            heard = true;
        }
        buf_move(&to_client, tls_channel_out(server));
        good = good && step(client, &to_client, &plain) >= 0;
    }
    buf_done(&to_client);
    buf_done(&to_server);
    buf_done(&plain);
    assert_true(heard || !good);
    return heard;
}

/* Each allocation of the library, of the pool and our own fails in turn. */
static void test_each_allocation(void **state)
{
    (void)state;
    size_t survived = 0;
    long n = 0;

    for (bool failed = true; failed; n++) {
        struct chunk_pool pool;
        struct tls_channel *client = NULL, *server = NULL;
        bool whole = false;
        chunk_pool_init(&pool, 100, 0);
        alloc_fail_at(n);
        int r = tls_channel_new(&client, client_config, &pool);
        assert_true(r == 0 ? !!client : r == -ENOMEM && !client);
        r = tls_channel_new(&server, server_config, &pool);
        assert_true(r == 0 ? !!server : r == -ENOMEM && !server);
        if (client && server)
            whole = live(&pool, client, server);
        failed = alloc_failed();
        survived += failed && whole;
        assert_true(failed || whole);
        tls_channel_free(client);
        tls_channel_free(server);
        chunk_pool_done(&pool);
    }
    print_message("%ld allocations, %zu of them may fail unnoticed\n", n, survived);
    assert_true(n > 100);
}

/* Whatever fails, an impostor's certificate is never taken for good: a check that could not be
 * made is not passed. */
static void test_no_memory_is_no_trust(void **state)
{
    (void)state;
    struct party other_root = root_make("other root"), stranger = leaf_make(ALICE, &other_root),
                 thief = leaf_make(BOB, &root);
    memcpy(thief.key->point, alice.key->point, sizeof thief.key->point);
    struct tls_config *impostors[] = {
        config_simple(TLS_CLIENT, &stranger, &root),
        config_simple(TLS_CLIENT, &(struct party){thief.key, alice.cert}, &root),
        config_simple(TLS_CLIENT, NULL, &root),
    };
    for (size_t i = 0; i < ARRAY_SIZE(impostors); i++) {
        long n = 0;
        for (bool failed = true; failed; n++) {
            struct chunk_pool pool;
            struct tls_channel *client = NULL, *server = NULL;
            struct buf bytes = {0}, plain = {0};
            int result = 0;
            chunk_pool_init(&pool, 100, 0);
            alloc_fail_at(n);
            (void)tls_channel_new(&client, impostors[i], &pool);
            (void)tls_channel_new(&server, server_config, &pool);
            for (int turn = 0; client && server && turn < 6; turn++) {
                buf_move(&bytes, tls_channel_out(client));
                result = step(server, &bytes, &plain);
                assert_false(tls_channel_established(server));
                buf_move(&bytes, tls_channel_out(server));
                (void)step(client, &bytes, &plain);
                buf_done(&bytes);
            }
            failed = alloc_failed();
            assert_int_equal(plain.len, 0);
            assert_true(failed || result == -EKEYREJECTED);
            tls_channel_free(client);
            tls_channel_free(server);
            chunk_pool_done(&pool);
        }
        assert_true(n > 100);
        tls_config_unref(impostors[i]);
    }
    party_done(&other_root);
    party_done(&stranger);
    party_done(&thief);
}

/* What an idle, established channel costs: printed, and bounded so that it can't grow unseen. */
static void test_idle_memory(void **state)
{
    (void)state;
    enum { N = 200, BYTES_MAX = 12 * 1024 };
    static struct tls_channel *channels[2 * N];
    struct chunk_pool pool;
    chunk_pool_init(&pool, 100, 0);
    size_t before = mallinfo2().uordblks, fresh = 0;

    for (size_t i = 0; i < N; i++)
        assert_int_equal(tls_channel_new(&channels[i], server_config, &pool), 0);
    fresh = (mallinfo2().uordblks - before) / N;
    for (size_t i = 0; i < N; i++)
        tls_channel_free(channels[i]);
    before = mallinfo2().uordblks;
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(tls_channel_new(&channels[2 * i], client_config, &pool), 0);
        assert_int_equal(tls_channel_new(&channels[2 * i + 1], server_config, &pool), 0);
        assert_true(live(&pool, channels[2 * i], channels[2 * i + 1]));
    }
    assert_int_equal(pool.n_live, 0);
    size_t idle = (mallinfo2().uordblks - before) / (2 * N);
    print_message("bytes per channel: new %zu, established and idle %zu\n", fresh, idle);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    assert_in_range(idle, 1000, BYTES_MAX);
    assert_in_range(fresh, 1000, BYTES_MAX);
#endif
    for (size_t i = 0; i < 2 * N; i++)
        tls_channel_free(channels[i]);
    chunk_pool_done(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_allocation),
        cmocka_unit_test(test_no_memory_is_no_trust),
        cmocka_unit_test(test_idle_memory),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
