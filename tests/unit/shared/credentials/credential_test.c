/* One credential: made only of what the CA was asked for, and then good for both ends. */
#include "shared/credentials/credential.h"
#include "tests/unit/shared/tls/channel_fixture.h"

static struct party root, intermediate, foreign, leaf;
static struct spiffe_id alice;
static int64_t now_s;

static int begin(void **state)
{
    (void)state;
    now_s = clock_unix_s();
    root = root_make("root");
    intermediate = intermediate_make("intermediate", &root);
    foreign = root_make("foreign");
    leaf = leaf_make(ALICE, &intermediate);
    assert_int_equal(spiffe_id_parse(TEXT(ALICE), &alice), 0);
    return 0;
}

static int end(void **state)
{
    (void)state;
    party_done(&leaf);
    party_done(&foreign);
    party_done(&intermediate);
    party_done(&root);
    return 0;
}

/* The certificates one after another, as PEM. */
static struct text pem_of(const struct x509 *a, const struct x509 *b)
{
    static char pems[4][2 * X509_PEM_MAX];
    static size_t next;
    char *pem = pems[next++ % ARRAY_SIZE(pems)];
    size_t len, more = 0;
    assert_int_equal(x509_to_pem(a, pem, X509_PEM_MAX, &len), 0);
    if (b)
        assert_int_equal(x509_to_pem(b, pem + len, X509_PEM_MAX, &more), 0);
    return (struct text){pem, len + more};
}

static int make(struct credential **ret, const struct party *p, struct text chain,
                struct text roots, const char **why)
{
    return credential_new(ret, &alice, p->key, chain, roots, now_s, why);
}

static void expect_refused(const struct party *p, struct text chain, struct text roots,
                           const char *expected)
{
    struct credential *c = NULL;
    const char *why = NULL;
    assert_true(make(&c, p, chain, roots, &why) < 0);
    assert_null(c);
    if (!strstr(why, expected))
        fail_msg("not '%s': %s", expected, why);
}

static void good_for_both_ends(void **state)
{
    struct credential *a = NULL, *b = NULL;
    struct party other = leaf_make(BOB, &intermediate);
    struct spiffe_id bob;
    const char *why;
    struct rng rng;
    struct pair p;
    (void)state;
    test_seed(&rng);
    assert_int_equal(spiffe_id_parse(TEXT(BOB), &bob), 0);
    struct text roots = pem_of(&root.cert, NULL);
    assert_int_equal(make(&a, &leaf, pem_of(&leaf.cert, &intermediate.cert), roots, &why), 0);
    assert_int_equal(credential_new(&b, &bob, other.key, pem_of(&other.cert, &intermediate.cert),
                                    roots, now_s, &why),
                     0);
    assert_true(spiffe_id_equal(&a->id, &alice));
    assert_int_equal(a->not_before_s, leaf.cert.not_before_s);
    assert_int_equal(a->not_after_s, leaf.cert.not_after_s);
    char serial[2 * X509_SERIAL_MAX + 1];
    x509_serial_text(&leaf.cert, serial);
    assert_string_equal(a->serial, serial);
    assert_non_null(strstr(a->chain_pem, "BEGIN CERTIFICATE"));
    assert_null(strstr(a->chain_pem, "PRIVATE"));
    assert_memory_equal(a->roots_pem, roots.data, roots.len);
    /* Connections hold a reference of their own; the owner's may go. */
    struct credential *held = credential_ref(a);
    assert_null(credential_unref(a));
    pair_open(&p, held->client, b->server, &rng);
    assert_null(credential_unref(held));
    assert_null(credential_unref(b));
    converse(&p);
    assert_true(tls_channel_established(p.client.t) && tls_channel_established(p.server.t));
    assert_string_equal(tls_channel_peer(p.client.t)->uri, BOB);
    assert_string_equal(tls_channel_peer(p.server.t)->uri, ALICE);
    pair_close(&p);
    party_done(&other);
}

static void not_what_was_asked_for(void **state)
{
    struct text roots = pem_of(&root.cert, NULL);
    struct party other = leaf_make(BOB, &intermediate), strange = leaf_make(ALICE, &foreign);
    (void)state;
    expect_refused(&other, pem_of(&other.cert, &intermediate.cert), roots, "another identity");
    expect_refused(&other, pem_of(&leaf.cert, &intermediate.cert), roots, "another key");
    expect_refused(&strange, pem_of(&strange.cert, &foreign.cert), roots, "");
    expect_refused(&leaf, pem_of(&leaf.cert, NULL), roots, ""); /* no way to the root */
    expect_refused(&leaf, pem_of(&intermediate.cert, &leaf.cert), roots, "");
    expect_refused(&leaf, pem_of(&leaf.cert, &intermediate.cert), pem_of(&foreign.cert, NULL), "");
    expect_refused(&leaf, TEXT(""), roots, "no certificate");
    expect_refused(&leaf, TEXT("x"), roots, "no certificate");
    expect_refused(&leaf, pem_of(&leaf.cert, &intermediate.cert), TEXT(""), "no certificate");
    party_done(&other);
    party_done(&strange);
}

static void not_in_time(void **state)
{
    struct text roots = pem_of(&root.cert, NULL);
    (void)state;
    now_s = leaf.cert.not_after_s + 1;
    expect_refused(&leaf, pem_of(&leaf.cert, &intermediate.cert), roots, "expired");
    now_s = leaf.cert.not_before_s - 1;
    expect_refused(&leaf, pem_of(&leaf.cert, &intermediate.cert), roots, "not yet valid");
}

static void no_leaf_for_authentication(void **state)
{
    struct forged with_two = {
        .uris = {TEXT(ALICE), TEXT(BOB)}, .n_uris = 2, .server = true, .client = true};
    struct forged is_ca = {.uris = {TEXT(ALICE)}, .n_uris = 1, .is_ca = true, .key_usage = 0x84};
    struct forged for_servers = {.uris = {TEXT(ALICE)}, .n_uris = 1, .server = true};
    const struct forged *const all[] = {&with_two, &is_ca, &for_servers};
    struct text roots = pem_of(&root.cert, NULL);
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
        struct party p = forge(all[i], &intermediate);
        expect_refused(&p, pem_of(&p.cert, &intermediate.cert), roots, "");
        party_done(&p);
    }
}

static void too_many(void **state)
{
    struct text one = pem_of(&intermediate.cert, NULL), roots = pem_of(&root.cert, NULL);
    char *many = malloc(one.len * 20 + 1);
    (void)state;
    assert_non_null(many);
    for (size_t i = 0; i < 20; i++)
        memcpy(many + i * one.len, one.data, one.len);
    expect_refused(&leaf, (struct text){many, 9 * one.len}, roots, "too many");
    expect_refused(&leaf, pem_of(&leaf.cert, &intermediate.cert), (struct text){many, 17 * one.len},
                   "too many");
    free(many);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(good_for_both_ends), TEST(not_what_was_asked_for),
        TEST(not_in_time),        TEST(no_leaf_for_authentication),
        TEST(too_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
