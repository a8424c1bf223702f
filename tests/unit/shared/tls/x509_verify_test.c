#define _GNU_SOURCE
#include "tests/unit/shared/tls/tls_fixture.h"

#include "shared/tls/csr.h"

static struct party root, other_root, middle, leaf;
static char out[65536];

static int set_up(void **state)
{
    (void)state;
    root = root_make("root");
    other_root = root_make("other root");
    middle = intermediate_make("middle", &root);
    leaf = leaf_make(ALICE, &middle);
    return 0;
}
static int tear_down(void **state)
{
    (void)state;
    party_done(&root);
    party_done(&other_root);
    party_done(&middle);
    party_done(&leaf);
    return 0;
}

static const char *verify_at(const struct x509 *chain, size_t n, const struct x509 *roots,
                             size_t n_roots, int64_t now_s)
{
    const char *why = NULL;
    int r = x509_verify(chain, n, roots, n_roots, now_s, &why);
    assert_true(r == 0 || r == -EKEYREJECTED);
    if (r < 0)
        assert_non_null(why);
    return r == 0 ? NULL : why;
}
static const char *verify(const struct x509 *chain, size_t n, const struct x509 *anchor)
{
    return verify_at(chain, n, anchor, 1, clock_unix_s());
}
static void assert_good(const char *why)
{
    if (why)
        fail_msg("refused: %s", why);
}
static void assert_refused(const char *why, const char *expected)
{
    if (!why || strcmp(why, expected) != 0)
        fail_msg("\"%s\" instead of \"%s\"", why ? why : "accepted", expected);
}

static void test_paths(void **state)
{
    (void)state;
    const struct x509 whole[] = {leaf.cert, middle.cert},
                      with_root[] = {leaf.cert, middle.cert, root.cert},
                      disorder[] = {leaf.cert, root.cert, other_root.cert, middle.cert},
                      both[] = {other_root.cert, root.cert};
    assert_good(verify(whole, 2, &root.cert));
    assert_good(verify(with_root, 3, &root.cert));
    assert_good(verify(disorder, 4, &root.cert));
    assert_good(verify_at(whole, 2, both, 2, clock_unix_s()));
    assert_good(verify(&middle.cert, 1, &root.cert));
    assert_good(verify(&leaf.cert, 1, &middle.cert)); /* any CA that we are given is an anchor */
    assert_refused(verify(&leaf.cert, 1, &root.cert), "no path to a trusted root");
    assert_refused(verify(whole, 2, &other_root.cert), "no path to a trusted root");
    assert_refused(verify(with_root, 3, &other_root.cert), "no path to a trusted root");
    assert_refused(verify_at(whole, 2, NULL, 0, clock_unix_s()), "no path to a trusted root");
    assert_refused(verify(NULL, 0, &root.cert), "no certificate");
    const struct x509 long_chain[X509_CHAIN_MAX + 1] = {leaf.cert};
    assert_refused(verify(long_chain, X509_CHAIN_MAX + 1, &root.cert), "the chain is too long");
}

static void test_times(void **state)
{
    (void)state;
    const struct x509 whole[] = {leaf.cert, middle.cert};
    int64_t from = leaf.cert.not_before_s, to = leaf.cert.not_after_s;

    assert_good(verify_at(whole, 2, &root.cert, 1, from));
    assert_good(verify_at(whole, 2, &root.cert, 1, to));
    assert_refused(verify_at(whole, 2, &root.cert, 1, from - 1),
                   "the certificate is not yet valid");
    assert_refused(verify_at(whole, 2, &root.cert, 1, to + 1), "the certificate has expired");

    struct x509_template t = ca_template("short");
    t.not_after_s = clock_unix_s() - 10;
    t.not_before_s = t.not_after_s - 1;
    struct party late = party_make(&t, &root), late_root = party_make(&t, NULL);
    struct party below = leaf_make(ALICE, &late), below_root = leaf_make(ALICE, &late_root);
    const struct x509 chain[] = {below.cert, late.cert};
    assert_refused(verify(chain, 2, &root.cert), "a CA certificate has expired");
    assert_refused(verify(&below_root.cert, 1, &late_root.cert), "a CA certificate has expired");
    party_done(&late);
    party_done(&late_root);
    party_done(&below);
    party_done(&below_root);

    t = ca_template("early");
    t.not_before_s = clock_unix_s() + HOUR_S;
    struct party early = party_make(&t, &root);
    below = leaf_make(ALICE, &early);
    const struct x509 early_chain[] = {below.cert, early.cert};
    assert_refused(verify(early_chain, 2, &root.cert), "a CA certificate is not yet valid");
    party_done(&early);
    party_done(&below);
}

static void test_who_is_no_issuer(void **state)
{
    (void)state;
    static const struct text alice = {ALICE, sizeof ALICE - 1};
    struct forged f = {.uris = {alice}, .n_uris = 1, .subject_name = name_of(&middle.cert, 1)};
    struct party by_leaf = forge(&f, &leaf), fake_ca, below;

    /* A leaf that signs: with the leaf's own (empty) name, and with the name of a CA. */
    const struct x509 chain[] = {by_leaf.cert, leaf.cert, middle.cert};
    assert_refused(verify(chain, 3, &root.cert), "the issuer is not a CA");
    party_done(&by_leaf);

    f = (struct forged){.no_names = true,
                        .is_ca = true,
                        .key_usage = 0x80,
                        .subject_name = name_of(&other_root.cert, 1)};
    fake_ca = forge(&f, &root);
    below = leaf_make(ALICE, &other_root);
    struct forged g = {.uris = {alice}, .n_uris = 1, .issuer_name = name_of(&other_root.cert, 1)};
    struct party below_fake = forge(&g, &fake_ca);
    const struct x509 no_sign[] = {below_fake.cert, fake_ca.cert};
    assert_refused(verify(no_sign, 2, &root.cert), "the issuer must not sign certificates");
    party_done(&below_fake);
    party_done(&fake_ca);
    party_done(&below);

    /* CA:FALSE with keyCertSign. */
    f = (struct forged){
        .no_names = true, .key_usage = 0x04, .subject_name = name_of(&other_root.cert, 1)};
    fake_ca = forge(&f, &root);
    below_fake = forge(&g, &fake_ca);
    const struct x509 not_ca[] = {below_fake.cert, fake_ca.cert};
    assert_refused(verify(not_ca, 2, &root.cert), "the issuer is not a CA");
    party_done(&below_fake);
    party_done(&fake_ca);
}

static void test_path_lengths(void **state)
{
    (void)state;
    enum { DEEPEST = X509_CHAIN_MAX - 1 };
    for (int limit = -1; limit <= 3; limit++) {
        struct x509_template t = ca_template("limited");
        t.path_len = limit;
        struct party cas[DEEPEST + 1], end;
        struct x509 chain[X509_CHAIN_MAX];
        cas[0] = party_make(&t, NULL);
        for (int depth = 0; depth < DEEPEST; depth++) {
            end = leaf_make(ALICE, &cas[depth]);
            chain[0] = end.cert;
            for (int i = 0; i < depth; i++)
                chain[1 + i] = cas[depth - i].cert;
            const char *why = verify(chain, (size_t)depth + 1, &cas[0].cert);
            if (limit < 0 || depth <= limit)
                assert_good(why);
            else
                assert_refused(why, "the path is longer than a CA allows");
            party_done(&end);
            /* A CA with path length 0 refuses to make the next one: forge it. */
            char name[32];
            snprintf(name, sizeof name, "ca %d", depth);
            struct party named = root_make(name);
            struct forged f = {.no_names = true,
                               .is_ca = true,
                               .key_usage = 0x06,
                               .subject_name = name_of(&named.cert, 1)};
            cas[depth + 1] = forge(&f, &cas[depth]);
            party_done(&named);
        }
        for (int i = 0; i <= DEEPEST; i++)
            party_done(&cas[i]);
    }
}

/* CVE-2026-93302: the CA's certificate with another key and name, and the signature that the
 * CA's has. */
static void test_forged_copy_of_the_root(void **state)
{
    (void)state;
    struct forged f = {.uris = {{ALICE, sizeof ALICE - 1}},
                       .n_uris = 1,
                       .subject_name = name_of(&root.cert, 1),
                       .signature = signature_of(&root.cert)};
    struct party clone = forge(&f, &root);
    assert_refused(verify(&clone.cert, 1, &root.cert), "the signature is wrong");
    f.is_ca = true;
    f.key_usage = 0x86;
    struct party ca_clone = forge(&f, &root);
    struct party below = {0};
    assert_refused(verify(&ca_clone.cert, 1, &root.cert), "the signature is wrong");
    struct forged g = {.uris = {{ALICE, sizeof ALICE - 1}}, .n_uris = 1};
    below = forge(&g, &ca_clone);
    const struct x509 chain[] = {below.cert, ca_clone.cert};
    assert_refused(verify(chain, 2, &root.cert), "the signature is wrong");
    party_done(&below);
    party_done(&ca_clone);
    party_done(&clone);
}

/* No byte of a leaf can be changed without its signature becoming wrong, or the text unreadable. */
static void test_every_changed_byte(void **state)
{
    (void)state;
    struct party direct = leaf_make(ALICE, &root);
    for (size_t i = 0; i < direct.cert.der_len; i++) {
        struct x509 c;
        const char *why;
        direct.cert.der[i] ^= 0x01;
        if (x509_parse(direct.cert.der, direct.cert.der_len, &c, &why) == 0) {
            assert_non_null(verify(&c, 1, &root.cert));
            x509_done(&c);
        }
        direct.cert.der[i] ^= 0x01;
    }
    assert_good(verify(&direct.cert, 1, &root.cert));
    party_done(&direct);
}

/* Two CAs of one name: only the one with the right key counts, in whatever order. */
static void test_same_names(void **state)
{
    (void)state;
    struct party twin = root_make("root"), end = leaf_make(ALICE, &root);
    const struct x509 roots[] = {twin.cert, root.cert}, swapped[] = {root.cert, twin.cert};
    assert_good(verify_at(&end.cert, 1, roots, 2, clock_unix_s()));
    assert_good(verify_at(&end.cert, 1, swapped, 2, clock_unix_s()));
    assert_non_null(verify(&end.cert, 1, &twin.cert));

    /* One key, certified by two roots: the way to the trusted one is found behind the dead end. */
    uint8_t public_key[KEY_PUBLIC_MAX];
    size_t len;
    struct x509 crossed;
    struct x509_template t = ca_template("middle");
    key_public_der(middle.key, public_key, sizeof public_key, &len);
    assert_int_equal(x509_make(&t, public_key, len, &other_root.cert, other_root.key, &crossed), 0);
    const struct x509 one_way[] = {leaf.cert, crossed, middle.cert},
                      other_way[] = {leaf.cert, middle.cert, crossed};
    assert_good(verify(one_way, 3, &root.cert));
    assert_good(verify(one_way, 3, &other_root.cert));
    assert_good(verify(other_way, 3, &root.cert));
    assert_good(verify(other_way, 3, &other_root.cert));
    x509_done(&crossed);
    party_done(&twin);
    party_done(&end);
}

/* A sender that offers many issuers of one name makes us try few of them. */
static void test_many_candidates(void **state)
{
    (void)state;
    struct x509 chain[X509_CHAIN_MAX];
    struct forged f = {.no_names = true,
                       .is_ca = true,
                       .key_usage = 0x06,
                       .subject_name = name_of(&middle.cert, 1)};
    struct party self[X509_CHAIN_MAX];
    const char *why;

    /* All issue one another: same name, same key, no key identifiers. */
    self[0] = forge(&f, &middle);
    key_unref(self[0].key);
    self[0].key = key_ref(middle.key);
    for (size_t i = 1; i < X509_CHAIN_MAX; i++) {
        struct der der = forge_der(&f, middle.key, &middle.cert, middle.key);
        self[i].key = key_ref(middle.key);
        assert_int_equal(x509_parse(der.data, der.len, &self[i].cert, &why), 0);
        free((void *)der.data);
    }
    for (size_t i = 0; i < X509_CHAIN_MAX; i++)
        chain[i] = self[i].cert;
    chain[0] = leaf.cert;
    assert_refused(verify(chain, X509_CHAIN_MAX, &other_root.cert),
                   "too many candidates for an issuer");
    for (size_t i = 0; i < X509_CHAIN_MAX; i++)
        party_done(&self[i]);
}

static struct der constraints(uint8_t memory[static 256], int list, uint8_t tag, const char *base,
                              size_t len)
{
    static const uint8_t oid[] = {0x55, 0x1d, 30};
    struct der_out o = {.data = memory, .size = 256};
    der_put_element(&o, tag, base, len);
    der_wrap(&o, 0, DER_SEQUENCE);
    der_wrap(&o, 0, (uint8_t)(DER_CONTEXT_CONSTRUCTED | list));
    der_wrap(&o, 0, DER_SEQUENCE);
    der_wrap(&o, 0, DER_OCTETS);
    der_put_element(&o, DER_BOOLEAN, &(uint8_t){0xff}, 1);
    der_put_element(&o, DER_OID, oid, sizeof oid);
    der_wrap(&o, 0, DER_SEQUENCE);
    return der_out_bytes(&o);
}

static void test_name_constraints(void **state)
{
    (void)state;
    enum { PERMITTED, EXCLUDED, DNS = 0x82, URI = 0x86, EMAIL = 0x81 };
    static const struct {
        int list;
        uint8_t tag;
        const char *base, *uri, *dns;
        bool good;
    } cases[] = {
        {PERMITTED, URI, "cluster.local", ALICE, "", true},
        {PERMITTED, URI, "CLUSTER.local", ALICE, "", true},
        {PERMITTED, URI, "evil.local", ALICE, "", false},
        {PERMITTED, URI, "local", ALICE, "", false},
        {PERMITTED, URI, ".local", ALICE, "", true},
        {PERMITTED, URI, "cluster.local", "spiffe://cluster.local@evil/x", "", false},
        {PERMITTED, URI, "cluster.local", "spiffe://cluster.local:80/x", "", false},
        {PERMITTED, URI, "cluster.local", "spiffe://cluster.local", "", true},
        {PERMITTED, URI, "cluster.local", "spiffe://evil/://cluster.local/", "", false},
        {PERMITTED, URI, "cluster.local", "urn:x", "", false},
        {EXCLUDED, URI, "cluster.local", ALICE, "", false},
        {EXCLUDED, URI, "evil.local", ALICE, "", true},
        {EXCLUDED, URI, "evil.local", "spiffe://evil.local:1/x", "", false},
        {EXCLUDED, URI, "evil.local", "spiffe://good@evil.local/x", "", false},
        {PERMITTED, DNS, "example.org", ALICE, "a.example.org", true},
        {PERMITTED, DNS, "example.org", ALICE, "example.org", true},
        {PERMITTED, DNS, "example.org", ALICE, "notexample.org", false},
        {PERMITTED, DNS, "example.org", ALICE, "", true}, /* no DNS name, nothing to limit */
        {EXCLUDED, DNS, "example.org", ALICE, "a.example.org", false},
        {PERMITTED, EMAIL, "example.org", ALICE, "", true},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        uint8_t memory[256];
        struct forged f = {.no_names = true,
                           .is_ca = true,
                           .key_usage = 0x06,
                           .subject_name = name_of(&other_root.cert, 1)};
        f.more_extensions =
            constraints(memory, cases[i].list, cases[i].tag, cases[i].base, strlen(cases[i].base));
        struct party limited = forge(&f, &root);
        struct x509_template t = leaf_template(cases[i].uri);
        t.dns[0] = text_of(cases[i].dns);
        struct party end = party_make(&t, &limited);
        const struct x509 chain[] = {end.cert, limited.cert};
        const char *why = verify(chain, 2, &root.cert);
        if (cases[i].good != !why)
            fail_msg("%s %s on %s: %s", cases[i].list == PERMITTED ? "permitted" : "excluded",
                     cases[i].base, cases[i].uri, why ? why : "accepted");
        party_done(&end);
        party_done(&limited);
    }
}

/* A directory name must be below the permitted one. */
static void test_directory_constraints(void **state)
{
    (void)state;
    uint8_t memory[256];
    struct der permitted = name_of(&root.cert, 1);
    struct forged f = {.no_names = true,
                       .is_ca = true,
                       .key_usage = 0x06,
                       .subject_name = name_of(&other_root.cert, 1)};
    f.more_extensions = constraints(memory, 0, 0xa4, (const char *)permitted.data, permitted.len);
    struct party limited = forge(&f, &root);
    struct forged within = {.uris = {{ALICE, sizeof ALICE - 1}},
                            .n_uris = 1,
                            .subject_name = permitted},
                  outside = within, nameless = within;
    outside.subject_name = name_of(&middle.cert, 1);
    nameless.subject_name = (struct der){0};
    struct party a = forge(&within, &limited), b = forge(&outside, &limited),
                 c = forge(&nameless, &limited);
    assert_good(verify((struct x509[]){a.cert, limited.cert}, 2, &root.cert));
    assert_refused(verify((struct x509[]){b.cert, limited.cert}, 2, &root.cert),
                   "a name that a CA does not permit");
    assert_good(verify((struct x509[]){c.cert, limited.cert}, 2, &root.cert));
    party_done(&a);
    party_done(&b);
    party_done(&c);
    party_done(&limited);
}

static void test_unknown_critical(void **state)
{
    (void)state;
    static const uint8_t unknown[] = {0x30, 0x0b, 0x06, 0x02, 0x2a, 0x03, 0x01,
                                      0x01, 0xff, 0x04, 0x02, 0x05, 0x00};
    struct forged f = {.uris = {{ALICE, sizeof ALICE - 1}}, .n_uris = 1};
    f.more_extensions = DER_OF(unknown);
    struct party end = forge(&f, &root), plain;
    assert_refused(verify(&end.cert, 1, &root.cert), "an unknown critical extension");
    struct forged g = {.no_names = true,
                       .is_ca = true,
                       .key_usage = 0x06,
                       .subject_name = name_of(&other_root.cert, 1)};
    g.more_extensions = DER_OF(unknown);
    struct party ca = forge(&g, &root);
    plain = leaf_make(ALICE, &ca);
    const struct x509 chain[] = {plain.cert, ca.cert};
    assert_refused(verify(chain, 2, &root.cert),
                   "a CA certificate has an unknown critical extension");
    party_done(&plain);
    party_done(&ca);
    party_done(&end);
}

static void read_pem(const char *folder, const char *name, struct x509 *ret)
{
    static char data[X509_PEM_MAX];
    char path[128];
    const char *why;
    size_t n;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t len = fread(data, 1, sizeof data, f);
    fclose(f);
    if (x509_from_pem((struct text){data, len}, ret, 1, &n, &why) < 0)
        fail_msg("%s: %s", name, why);
}

/* Roots that other programs make: our leaf's request signed by openssl. */
static void test_kinds_of_signers(void **state)
{
    (void)state;
    static const struct {
        const char *name, *algorithm, *option, *digest;
        bool good;
    } cases[] = {
        {"P-256", "EC", "ec_paramgen_curve:P-256", "-sha256", true},
        {"P-384", "EC", "ec_paramgen_curve:P-384", "-sha384", true},
        {"P-521", "EC", "ec_paramgen_curve:P-521", "-sha512", true},
        {"P-256 with SHA-1", "EC", "ec_paramgen_curve:P-256", "-sha1", false},
        {"secp256k1", "EC", "ec_paramgen_curve:secp256k1", "-sha256", false},
        {"RSA 2048", "RSA", "rsa_keygen_bits:2048", "-sha256", true},
        {"RSA 4096", "RSA", "rsa_keygen_bits:4096", "-sha512", true},
        {"RSA 1024", "RSA", "rsa_keygen_bits:1024", "-sha256", false},
        {"RSA with SHA-1", "RSA", "rsa_keygen_bits:2048", "-sha1", false},
        {"Ed25519", "ED25519", NULL, "-sha256", true},
    };
    static const char extensions[] =
        "subjectAltName=critical,URI:" ALICE "\n"
        "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n";
    char folder[64], csr[CSR_PEM_MAX];
    size_t len;

    folder_make(folder);
    file_write(folder, "ext", extensions, sizeof extensions - 1);
    assert_int_equal(csr_make(leaf.key, TEXT(ALICE), csr, sizeof csr, &len), 0);
    file_write(folder, "leaf.csr", csr, len);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct x509 ca, end;
        int r = cases[i].option ? OPENSSL(folder, out, "genpkey", "-algorithm", cases[i].algorithm,
                                          "-pkeyopt", cases[i].option, "-out", "ca.key")
                                : OPENSSL(folder, out, "genpkey", "-algorithm", cases[i].algorithm,
                                          "-out", "ca.key");
        assert_int_equal(r, 0);
        if (OPENSSL(folder, out, "req", "-x509", "-new", "-key", "ca.key", cases[i].digest, "-subj",
                    "/CN=theirs", "-days", "10", "-out", "ca.pem") != 0 ||
            OPENSSL(folder, out, "x509", "-req", "-in", "leaf.csr", "-CA", "ca.pem", "-CAkey",
                    "ca.key", cases[i].digest, "-days", "1", "-extfile", "ext", "-out",
                    "leaf.pem") != 0)
            fail_msg("%s: %s", cases[i].name, out);
        read_pem(folder, "ca.pem", &ca);
        read_pem(folder, "leaf.pem", &end);
        const char *why = verify(&end, 1, &ca);
        if (cases[i].good != !why)
            fail_msg("%s: %s", cases[i].name, why ? why : "accepted");
        assert_null(x509_check_svid_leaf(&end));
        end.der[end.der_len - 1] ^= 1;
        assert_non_null(verify(&end, 1, &ca));
        x509_done(&ca);
        x509_done(&end);
    }
    folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_who_is_no_issuer),
        cmocka_unit_test(test_path_lengths),
        cmocka_unit_test(test_forged_copy_of_the_root),
        cmocka_unit_test(test_every_changed_byte),
        cmocka_unit_test(test_same_names),
        cmocka_unit_test(test_many_candidates),
        cmocka_unit_test(test_name_constraints),
        cmocka_unit_test(test_directory_constraints),
        cmocka_unit_test(test_unknown_critical),
        cmocka_unit_test(test_kinds_of_signers),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
