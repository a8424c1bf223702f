#define _GNU_SOURCE
#include "tests/unit/shared/tls/channel_fixture.h"

#include <malloc.h>

#include "shared/tls/key_secret.h"

/* The certificate classes of an impostor, each as a client and as a server, against a peer that
 * is in order. */

static const struct text alice_uri = {ALICE, sizeof ALICE - 1}, bob_uri = {BOB, sizeof BOB - 1};
static struct party root, other_root, middle, honest;
static struct tls_config *honest_client, *honest_server;
static struct rng rng;

static int set_up(void **state)
{
    (void)state;
    test_seed(&rng);
    root = root_make("root");
    other_root = root_make("other root");
    middle = intermediate_make("middle", &root);
    honest = leaf_make(BOB, &root);
    honest_client = config_simple(TLS_CLIENT, &honest, &root);
    honest_server = config_simple(TLS_SERVER, &honest, &root);
    return 0;
}
static int tear_down(void **state)
{
    (void)state;
    tls_config_unref(honest_client);
    tls_config_unref(honest_server);
    party_done(&root);
    party_done(&other_root);
    party_done(&middle);
    party_done(&honest);
    return 0;
}

/* What the honest side says of a peer with that chain: NULL: accepted. */
static const char *judge(enum tls_role honest_role, const struct key *key, const struct x509 *chain,
                         size_t n_chain)
{
    static char why[256];
    struct party peer = {.key = (struct key *)key};
    struct tls_config *other =
        config_make(honest_role == TLS_CLIENT ? TLS_SERVER : TLS_CLIENT, TLS_PEER_SVID, &peer,
                    chain, n_chain, &root.cert, 1, "h2");
    struct pair p;

    pair_open(&p, honest_role == TLS_CLIENT ? honest_client : other,
              honest_role == TLS_CLIENT ? other : honest_server, &rng);
    struct side *mine = honest_role == TLS_CLIENT ? &p.client : &p.server,
                *theirs = honest_role == TLS_CLIENT ? &p.server : &p.client;
    converse(&p);
    bool accepted = mine->told;
    if (accepted) {
        assert_int_equal(mine->result, 0);
        say(&p, theirs, "hello", 5);
        converse(&p);
        assert_received(mine, "hello");
    } else {
        assert_int_equal(mine->result, -EKEYREJECTED);
        snprintf(why, sizeof why, "%s", tls_channel_why(mine->t));
        /* The peer is told. A client was already certain of success, and learns it from the
         * first read. */
        assert_true(theirs->result == -EKEYREJECTED || theirs->result == -EPROTO);
        assert_int_equal(mine->received.len, 0);
        assert_int_equal(theirs->received.len, 0);
        if (honest_role == TLS_CLIENT)
            assert_false(theirs->told);
    }
    pair_close(&p);
    tls_config_unref(other);
    return accepted ? NULL : why;
}
static void expect(const char *name, const struct key *key, const struct x509 *chain,
                   size_t n_chain, const char *for_client, const char *for_server)
{
    for (int role = TLS_CLIENT; role <= TLS_SERVER; role++) {
        const char *why = judge((enum tls_role)role, key, chain, n_chain),
                   *expected = role == TLS_CLIENT ? for_client : for_server;
        if (!why != !expected || (why && strcmp(why, expected) != 0))
            fail_msg("%s, %s: \"%s\" instead of \"%s\"", name,
                     role == TLS_CLIENT ? "a server" : "a client", why ? why : "accepted",
                     expected ? expected : "accepted");
    }
}
static void expect_same(const char *name, const struct party *p, const char *why)
{
    expect(name, p->key, &p->cert, 1, why, why);
}
static void expect_forged(const char *name, const struct forged *f, const struct party *issuer,
                          const char *why)
{
    struct party p = forge(f, issuer);
    expect_same(name, &p, why);
    party_done(&p);
}

static void test_good_ones(void **state)
{
    (void)state;
    struct party direct = leaf_make(ALICE, &root), below = leaf_make(ALICE, &middle);
    const struct x509 chain[] = {below.cert, middle.cert},
                      whole[] = {below.cert, middle.cert, root.cert};

    expect_same("direct", &direct, NULL);
    expect("with intermediate", below.key, chain, 2, NULL, NULL);
    expect("with its root", below.key, whole, 3, NULL, NULL);
    expect_forged("forged, but right", &(struct forged){.uris = {alice_uri}, .n_uris = 1}, &root,
                  NULL);
    party_done(&direct);
    party_done(&below);
}

static void test_times(void **state)
{
    (void)state;
    int64_t now = clock_unix_s();
    struct x509_template t = leaf_template(ALICE);
    t.not_before_s = now - DAY_S;
    t.not_after_s = now - 2;
    struct party expired = party_make(&t, &root);
    t.not_before_s = now + 60;
    t.not_after_s = now + DAY_S;
    struct party early = party_make(&t, &root);
    expect_same("expired", &expired, "the certificate has expired");
    expect_same("not yet valid", &early, "the certificate is not yet valid");
    party_done(&expired);
    party_done(&early);
}

static void test_strangers(void **state)
{
    (void)state;
    struct party stranger = leaf_make(ALICE, &other_root), below = leaf_make(ALICE, &middle),
                 twin_root = root_make("root"), of_twin = leaf_make(ALICE, &twin_root);
    struct forged f = {
        .uris = {alice_uri}, .n_uris = 1, .subject_name = name_of(&other_root.cert, 1)};
    struct party selfish = forge(&f, &other_root);

    expect_same("foreign root", &stranger, "no path to a trusted root");
    expect_same("missing intermediate", &below, "no path to a trusted root");
    expect_same("another root of the same name", &of_twin, "no path to a trusted root");
    const struct x509 chain[] = {of_twin.cert, twin_root.cert};
    expect("and that root itself", of_twin.key, chain, 2, "no path to a trusted root",
           "no path to a trusted root");
    expect_same("self-issued", &selfish, "the certificate is self-issued");
    party_done(&stranger);
    party_done(&below);
    party_done(&twin_root);
    party_done(&of_twin);
    party_done(&selfish);
}

static void test_leaves_that_sign(void **state)
{
    (void)state;
    struct party signer = leaf_make(BOB, &root);
    struct forged f = {.uris = {alice_uri}, .n_uris = 1};
    f.issuer_name = name_of(&signer.cert, 1); /* empty */
    f.subject_name = name_of(&middle.cert, 1);
    struct party below = forge(&f, &signer);
    const struct x509 chain[] = {below.cert, signer.cert};
    expect("leaf-signed leaf", below.key, chain, 2, "the issuer is not a CA",
           "the issuer is not a CA");
    party_done(&below);
    party_done(&signer);
}

static void test_leaf_rules(void **state)
{
    (void)state;
    expect_forged("two URIs", &(struct forged){.uris = {alice_uri, bob_uri}, .n_uris = 2}, &root,
                  "more than one URI name");
    expect_forged("no URI", &(struct forged){.n_uris = 0}, &root, "no URI name: it is not an SVID");
    expect_forged("no names", &(struct forged){.no_names = true}, &root,
                  "no URI name: it is not an SVID");
    expect_forged("another scheme",
                  &(struct forged){.uris = {{"https://cluster.local/a", 23}}, .n_uris = 1}, &root,
                  "the URI name is not a SPIFFE ID");
    expect_forged("upper case",
                  &(struct forged){.uris = {{"SPIFFE://cluster.local/a", 24}}, .n_uris = 1}, &root,
                  "the URI name is not a SPIFFE ID");
    expect_forged(
        "a CA",
        &(struct forged){.uris = {alice_uri}, .n_uris = 1, .is_ca = true, .key_usage = 0x86}, &root,
        "a CA certificate is not a leaf");
    expect_forged("a CA by its flag alone",
                  &(struct forged){.uris = {alice_uri}, .n_uris = 1, .is_ca = true}, &root,
                  "a CA certificate is not a leaf");
    expect_forged("cRLSign", &(struct forged){.uris = {alice_uri}, .n_uris = 1, .key_usage = 0x82},
                  &root, "a leaf must not be allowed to sign certificates");
    expect_forged("no key usage",
                  &(struct forged){.uris = {alice_uri}, .n_uris = 1, .key_usage = -1}, &root,
                  "the key usage lacks digitalSignature");
    expect_forged(
        "the anchor's subject",
        &(struct forged){.uris = {alice_uri}, .n_uris = 1, .subject_name = name_of(&root.cert, 1)},
        &middle, "the certificate resembles a trust anchor");
}

static void test_extended_usage(void **state)
{
    (void)state;
    struct forged f = {.uris = {alice_uri}, .n_uris = 1, .server = true};
    struct party server = forge(&f, &root);
    f.server = false;
    f.client = true;
    struct party client = forge(&f, &root);
    /* Our own library would complain first; both words mean the same. */
    for (int i = 0; i < 2; i++) {
        const struct party *p = i == 0 ? &server : &client;
        const char *as_server = judge(TLS_CLIENT, p->key, &p->cert, 1);
        assert_true(!as_server == (i == 0));
        const char *as_client = judge(TLS_SERVER, p->key, &p->cert, 1);
        assert_true(!as_client == (i == 1));
    }
    party_done(&server);
    party_done(&client);
}

/* The root itself, with its own key, as somebody's leaf. */
static void test_the_anchor_itself(void **state)
{
    (void)state;
    struct x509_template t = ca_template("anchor");
    t.uri = alice_uri;
    struct party anchor = party_make(&t, NULL);
    struct x509 roots[] = {root.cert, anchor.cert};
    struct tls_config *server = config_make(TLS_SERVER, TLS_PEER_SVID, &honest, &honest.cert, 1,
                                            roots, 2, "h2"),
                      *client = config_make(TLS_CLIENT, TLS_PEER_SVID, &anchor, &anchor.cert, 1,
                                            &root.cert, 1, "h2");
    struct pair p;
    pair_open(&p, client, server, &rng);
    converse(&p);
    assert_false(p.server.told);
    assert_int_equal(p.server.result, -EKEYREJECTED);
    pair_close(&p);
    tls_config_unref(server);
    tls_config_unref(client);
    party_done(&anchor);
}

/* CVE-2026-93302: made from the public root certificate alone: its names and signature, another
 * key, any URI. */
static void test_forged_copies_of_the_root(void **state)
{
    (void)state;
    struct forged f = {.uris = {alice_uri},
                       .n_uris = 1,
                       .subject_name = name_of(&root.cert, 1),
                       .signature = signature_of(&root.cert)};
    expect_forged("as a leaf", &f, &root, "the certificate is self-issued");
    f.is_ca = true;
    f.key_usage = 0x86;
    expect_forged("as a CA", &f, &root, "a CA certificate is not a leaf");
    f = (struct forged){.uris = {alice_uri},
                        .n_uris = 1,
                        .subject_name = name_of(&middle.cert, 1),
                        .signature = signature_of(&root.cert)};
    expect_forged("with another subject", &f, &root, "the signature is wrong");
    f.subject_name = (struct der){0};
    expect_forged("without a subject", &f, &root, "the signature is wrong");

    /* And as the issuer of one's leaf. */
    f = (struct forged){.no_names = true,
                        .is_ca = true,
                        .key_usage = 0x06,
                        .subject_name = name_of(&root.cert, 1),
                        .signature = signature_of(&root.cert)};
    struct party clone = forge(&f, &root);
    struct party below = leaf_make(ALICE, &clone);
    const struct x509 chain[] = {below.cert, clone.cert};
    const char *why = judge(TLS_SERVER, below.key, chain, 2);
    assert_non_null(why);
    assert_non_null(judge(TLS_CLIENT, below.key, chain, 2));
    party_done(&below);
    party_done(&clone);
}

/* Somebody else's certificate, without its key: the handshake's proof fails. */
static void test_a_stolen_certificate(void **state)
{
    (void)state;
    struct party victim = leaf_make(ALICE, &root), thief = leaf_make(BOB, &root);
    /* A key that pretends to belong to the certificate, or our own code would not take it. */
    memcpy(thief.key->point, victim.key->point, sizeof thief.key->point);
    assert_non_null(judge(TLS_SERVER, thief.key, &victim.cert, 1));
    assert_non_null(judge(TLS_CLIENT, thief.key, &victim.cert, 1));
    party_done(&victim);
    party_done(&thief);
}

/* An intermediate that one peer sent helps no other peer, and costs nothing afterwards. */
static void test_intermediates_do_not_stay(void **state)
{
    (void)state;
    struct party below = leaf_make(ALICE, &middle);
    const struct x509 chain[] = {below.cert, middle.cert};

    assert_null(judge(TLS_SERVER, below.key, chain, 2));
    assert_null(judge(TLS_CLIENT, below.key, chain, 2));
    assert_non_null(judge(TLS_SERVER, below.key, chain, 1));
    assert_non_null(judge(TLS_CLIENT, below.key, chain, 1));

    size_t before = 0;
    for (int i = 0; i < 40; i++) {
        char name[32];
        snprintf(name, sizeof name, "middle %d", i);
        struct party other = intermediate_make(name, &root), end = leaf_make(ALICE, &other);
        const struct x509 other_chain[] = {end.cert, other.cert};
        assert_null(judge(TLS_SERVER, end.key, other_chain, 2));
        party_done(&other);
        party_done(&end);
        if (i == 19)
            before = mallinfo2().uordblks;
    }
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    /* Twenty more: each that stayed would cost the library 9 KB. The heap's own caches waver a
     * bit. */
    assert_true(before > 0 && mallinfo2().uordblks <= before + 16 * 1024);
#endif
    (void)before;
    party_done(&below);
}

static void test_long_chains(void **state)
{
    (void)state;
    struct party cas[X509_CHAIN_MAX], end;
    struct x509 chain[X509_CHAIN_MAX];

    for (int i = 0; i < X509_CHAIN_MAX - 1; i++) {
        char name[32];
        snprintf(name, sizeof name, "level %d", i);
        cas[i] = intermediate_make(name, i == 0 ? &root : &cas[i - 1]);
        end = leaf_make(ALICE, &cas[i]);
        chain[0] = end.cert;
        for (int k = 0; k <= i; k++)
            chain[1 + k] = cas[i - k].cert;
        expect("a long chain", end.key, chain, (size_t)i + 2, NULL, NULL);
        party_done(&end);
    }
    for (int i = 0; i < X509_CHAIN_MAX - 1; i++)
        party_done(&cas[i]);
}

/* With an optional certificate, a bad one is still refused. */
static void test_optional_is_not_lenient(void **state)
{
    (void)state;
    struct party stranger = leaf_make(ALICE, &other_root);
    struct tls_config *lenient = config_make(TLS_SERVER, TLS_PEER_OPTIONAL, &honest, &honest.cert,
                                             1, &root.cert, 1, "h2"),
                      *client = config_make(TLS_CLIENT, TLS_PEER_SVID, &stranger, &stranger.cert, 1,
                                            &root.cert, 1, "h2");
    struct pair p;
    pair_open(&p, client, lenient, &rng);
    converse(&p);
    assert_false(p.server.told);
    assert_int_equal(p.server.result, -EKEYREJECTED);
    assert_int_equal(p.client.result, -EKEYREJECTED);
    pair_close(&p);
    tls_config_unref(lenient);
    tls_config_unref(client);
    party_done(&stranger);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_ones),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_strangers),
        cmocka_unit_test(test_leaves_that_sign),
        cmocka_unit_test(test_leaf_rules),
        cmocka_unit_test(test_extended_usage),
        cmocka_unit_test(test_the_anchor_itself),
        cmocka_unit_test(test_forged_copies_of_the_root),
        cmocka_unit_test(test_a_stolen_certificate),
        cmocka_unit_test(test_intermediates_do_not_stay),
        cmocka_unit_test(test_long_chains),
        cmocka_unit_test(test_optional_is_not_lenient),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
