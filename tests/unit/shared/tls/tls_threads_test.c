#define _GNU_SOURCE
#include "tests/unit/shared/tls/channel_fixture.h"

#include <pthread.h>

/* Configs and keys belong to many threads; channels and pools to one each. ThreadSanitizer
 * watches. */

enum { THREADS = 4, ROUNDS = 25 };
static struct party root, alice, bob;
static struct tls_config *client_config, *server_config;

static void *work(void *given)
{
    static const char text[] = "from one thread to itself";
    struct rng rng;
    rng_seed(&rng, (uint64_t)(uintptr_t)given);
    for (int i = 0; i < ROUNDS; i++) {
        struct tls_config *mine = tls_config_ref(client_config);
        struct pair p;
        pair_open(&p, mine, server_config, &rng);
        converse(&p);
        assert_true(p.client.told && p.server.told);
        assert_string_equal(tls_channel_peer(p.server.t)->uri, ALICE);
        say(&p, &p.client, text, strlen(text));
        converse(&p);
        assert_received(&p.server, text);
        pair_close(&p);
        tls_config_unref(mine);
        /* Keys and certificates come and go meanwhile. */
        struct party other = leaf_make(BOB, &root);
        const char *why;
        assert_int_equal(x509_verify(&other.cert, 1, &root.cert, 1, clock_unix_s(), &why), 0);
        party_done(&other);
    }
    return NULL;
}

static void test_shared_configs(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    root = root_make("root");
    alice = leaf_make(ALICE, &root);
    bob = leaf_make(BOB, &root);
    client_config = config_simple(TLS_CLIENT, &alice, &root);
    server_config = config_simple(TLS_SERVER, &bob, &root);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, (void *)(uintptr_t)(i + 1)), 0);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    tls_config_unref(client_config);
    tls_config_unref(server_config);
    party_done(&root);
    party_done(&alice);
    party_done(&bob);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_shared_configs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
