#define _GNU_SOURCE
#include "tests/unit/shared/tls/channel_fixture.h"

#include <inttypes.h>

#include "shared/tls/csr.h"
#include "shared/tls/key_secret.h"

/*
 * Looks through the memory of the whole process for a private key: after it was made, had signed
 * certificates, requests and handshakes, it must lie in its slot and nowhere else, neither as its
 * bytes nor as the little-endian words that the arithmetic uses.
 */

/* The sanitizers' shadow memory is terabytes; the other builds look. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static const bool can_look = false;
#else
static const bool can_look = true;
#endif

struct region {
    const uint8_t *from, *to;
};
static size_t find_regions(struct region *ret, size_t n_max)
{
    char line[512];
    size_t n = 0;
    FILE *f = fopen("/proc/self/maps", "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        uintptr_t from, to;
        char rights[5];
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s", &from, &to, rights) != 3 ||
            memcmp(rights, "rw", 2) != 0)
            continue;
        assert_true(n < n_max);
        ret[n++] = (struct region){(const uint8_t *)from, (const uint8_t *)to};
    }
    fclose(f);
    return n;
}

/* Compares byte by byte with a mask, so that the search leaves no copy of what it looks for. */
static bool is_at(const uint8_t *p, const uint8_t *scalar, bool reversed)
{
    for (size_t i = 0; i < KEY_SCALAR_BYTES; i++)
        if (p[i] != scalar[reversed ? KEY_SCALAR_BYTES - 1 - i : i])
            return false;
    return true;
}
static size_t count_copies(const struct key *key)
{
    static struct region regions[1024];
    size_t n = find_regions(regions, 1024), copies = 0;
    uint8_t first = key->scalar[0], last = key->scalar[KEY_SCALAR_BYTES - 1];

    for (size_t r = 0; r < n; r++)
        for (const uint8_t *p = regions[r].from; p + KEY_SCALAR_BYTES <= regions[r].to; p++)
            if ((*p == first && is_at(p, key->scalar, false)) ||
                (*p == last && is_at(p, key->scalar, true)))
                copies++;
    return copies;
}

/* The dynamic linker saves registers on the stack when it looks a function up, key bytes
 * included: so everything is called once before we look. (The release build looks all functions
 * up at its start.) */
static int warm_up(void **state)
{
    struct key *key, *again;
    char pem[CSR_PEM_MAX];
    size_t len;
    (void)state;
    assert_int_equal(key_generate(&key), 0);
    assert_int_equal(key_to_pem(key, pem, sizeof pem, &len), 0);
    assert_int_equal(key_from_pem((struct text){pem, len}, &again), 0);
    assert_int_equal(csr_make(key, TEXT(ALICE), pem, sizeof pem, &len), 0);
    (void)count_copies(key);
    key_wipe(pem, sizeof pem);
    key_unref(again);
    key_unref(key);
    return 0;
}

static void test_the_search_finds_copies(void **state)
{
    (void)state;
    struct key *key;
    assert_int_equal(key_generate(&key), 0);
    assert_int_equal(count_copies(key), 1);
    uint8_t *copy = malloc(KEY_SCALAR_BYTES), *reversed = malloc(KEY_SCALAR_BYTES + 8);
    memcpy(copy, key->scalar, KEY_SCALAR_BYTES);
    for (size_t i = 0; i < KEY_SCALAR_BYTES; i++)
        reversed[i + 3] = key->scalar[KEY_SCALAR_BYTES - 1 - i];
    assert_int_equal(count_copies(key), 3);
    key_wipe(copy, KEY_SCALAR_BYTES);
    key_wipe(reversed, KEY_SCALAR_BYTES + 8);
    free(copy);
    free(reversed);
    assert_int_equal(count_copies(key), 1);
    key_unref(key);
}

static void test_a_key_in_use(void **state)
{
    (void)state;
    struct rng rng;
    struct party root = root_make("root"), alice = leaf_make(ALICE, &root),
                 bob = leaf_make(BOB, &root);
    struct tls_config *client = config_simple(TLS_CLIENT, &alice, &root),
                      *server = config_simple(TLS_SERVER, &bob, &root);
    char csr[CSR_PEM_MAX];
    size_t len;

    test_seed(&rng);
    assert_int_equal(count_copies(root.key), 1);
    assert_int_equal(csr_make(alice.key, TEXT(ALICE), csr, sizeof csr, &len), 0);
    struct pair p;
    pair_open(&p, client, server, &rng);
    converse(&p);
    assert_true(p.client.told && p.server.told);
    assert_int_equal(count_copies(alice.key), 1);
    assert_int_equal(count_copies(bob.key), 1);
    pair_close(&p);
    tls_config_unref(client);
    tls_config_unref(server);
    assert_int_equal(count_copies(alice.key), 1);
    assert_int_equal(count_copies(root.key), 1);
    party_done(&alice);
    party_done(&bob);
    party_done(&root);
}

/* To a file and back: the caller's text is the caller's, and ours are gone. */
static void test_a_key_from_a_file(void **state)
{
    (void)state;
    struct key *key, *again;
    char pem[KEY_PEM_MAX];
    size_t len;
    assert_int_equal(key_generate(&key), 0);
    assert_int_equal(key_to_pem(key, pem, sizeof pem, &len), 0);
    assert_int_equal(key_from_pem((struct text){pem, len}, &again), 0);
    key_wipe(pem, sizeof pem);
    assert_int_equal(count_copies(key), 2); /* the two slots */
    key_unref(again);
    assert_int_equal(count_copies(key), 1);
    key_unref(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_search_finds_copies),
        cmocka_unit_test(test_a_key_in_use),
        cmocka_unit_test(test_a_key_from_a_file),
    };
    return can_look ? cmocka_run_group_tests(tests, warm_up, NULL) : 0;
}
