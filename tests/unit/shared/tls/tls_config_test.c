#define _GNU_SOURCE
#include "shared/tls/tls_config.h"

#include "tests/unit/shared/base/failing_alloc.h"
#include "tests/unit/shared/tls/tls_fixture.h"

static struct party root, leaf;

static int set_up(void **state)
{
    (void)state;
    root = root_make("root");
    leaf = leaf_make(ALICE, &root);
    return 0;
}
static int tear_down(void **state)
{
    (void)state;
    party_done(&root);
    party_done(&leaf);
    return 0;
}

static struct tls_config_options good(void)
{
    return (struct tls_config_options){.role = TLS_SERVER,
                                       .key = leaf.key,
                                       .chain = &leaf.cert,
                                       .n_chain = 1,
                                       .roots = &root.cert,
                                       .n_roots = 1,
                                       .alpn = TEXT("h2")};
}

static void expect(int result, const struct tls_config_options *o)
{
    struct tls_config *c = NULL;
    const char *why = "unset";
    assert_int_equal(tls_config_new(&c, o, &why), result);
    if (result == 0) {
        assert_non_null(c);
        assert_null(tls_config_unref(c));
    } else {
        assert_null(c);
        assert_non_null(why);
    }
}

static void test_what_does_not_fit(void **state)
{
    (void)state;
    static struct x509 many[TLS_ROOTS_MAX + 1];
    struct tls_config_options o = good();
    struct party other = leaf_make(BOB, &root);

    expect(0, &o);
    o.role = TLS_CLIENT;
    expect(0, &o);
    o.key = NULL;
    o.n_chain = 0;
    expect(0, &o);
    o.peer_auth = TLS_PEER_OPTIONAL;
    expect(-EINVAL, &o);
#define EXPECT(result, ...)                                                                        \
    do {                                                                                           \
        o = good();                                                                                \
        __VA_ARGS__;                                                                               \
        expect((result), &o);                                                                      \
    } while (0)
    EXPECT(0, o.peer_auth = TLS_PEER_OPTIONAL);
    EXPECT(-EINVAL, o.key = NULL; o.n_chain = 0);
    EXPECT(-EINVAL, o.key = NULL);
    EXPECT(-EINVAL, o.n_chain = 0);
    EXPECT(-EINVAL, o.key = other.key);
    EXPECT(-EINVAL, o.n_roots = 0);
    EXPECT(-EINVAL, o.roots = &leaf.cert);
    EXPECT(-EINVAL, o.alpn = TEXT("h2,http/1.1"));
    EXPECT(-EINVAL, o.alpn = TEXT("a name that is longer than all of them"));
    EXPECT(0, o.alpn = TEXT(""));
    for (size_t i = 0; i < ARRAY_SIZE(many); i++)
        many[i] = root.cert;
    EXPECT(0, o.roots = many; o.n_roots = TLS_ROOTS_MAX);
    EXPECT(-EINVAL, o.roots = many; o.n_roots = TLS_ROOTS_MAX + 1);
    EXPECT(-EINVAL, o.n_chain = X509_CHAIN_MAX + 1);
#undef EXPECT
    party_done(&other);
}

/* The config's copies are its own: what it was made of may go. */
static void test_owns_what_it_needs(void **state)
{
    (void)state;
    struct party r = root_make("root"), l = leaf_make(ALICE, &r);
    struct tls_config_options o = good();
    struct tls_config *c = NULL;
    struct tls_channel *t;
    struct chunk_pool pool;
    const char *why;

    o.key = l.key;
    o.chain = &l.cert;
    o.roots = &r.cert;
    assert_int_equal(tls_config_new(&c, &o, &why), 0);
    party_done(&l);
    party_done(&r);
    chunk_pool_init(&pool, 10, 0);
    assert_int_equal(tls_channel_new(&t, c, &pool), 0);
    assert_null(tls_config_unref(tls_config_ref(c)));
    assert_null(tls_config_unref(c)); /* the channel has one, too */
    assert_null(tls_channel_free(t));
    assert_null(tls_channel_free(NULL));
    assert_null(tls_config_unref(NULL));
    chunk_pool_done(&pool);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct tls_config_options o = good();
    struct tls_config *c = NULL;
    const char *why;
    long n = 0;
    int r;

    for (;; n++) {
        alloc_fail_at(n);
        r = tls_config_new(&c, &o, &why);
        if (!alloc_failed())
            break;
        /* The library survives the loss of some of its allocations, and says no more than "no"
         * to others. */
        if (r == 0)
            c = tls_config_unref(c);
        else
            assert_true(r == -ENOMEM || r == -EINVAL);
        assert_null(c);
    }
    assert_int_equal(r, 0);
    assert_true(n > 10);
    tls_config_unref(c);
}

static void test_library(void **state)
{
    (void)state;
    bool fast = false;
    const char *name = tls_library(&fast);
    assert_int_equal(strncmp(name, "wolfSSL 5.", 10), 0);
    assert_true(fast == !strstr(name, "software"));
    assert_string_equal(tls_library(NULL), name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_does_not_fit),
        cmocka_unit_test(test_owns_what_it_needs),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_library),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
