/*
 * A root is rotated: who is trusted, who signs, and when, by the certificates that live; a step is
 * done once, by whoever comes first, is not done by whom it fails, and has its line. Certificates
 * that were made elsewhere: what fits together is taken, all else refused. openssl made them.
 */
#include "tests/unit/ca/ca_fixture.h"

#include "ca/given.h"

static const struct rotation_by me = {"tester", PROOF_COMMAND_LINE};
static uint8_t public_der[KEY_PUBLIC_MAX];
static size_t public_len;

static struct issued issue_at(int64_t now_s, int64_t ttl_s)
{
    struct spiffe_id id = id_of(ALICE);
    struct issued made;
    struct key *key;
    char why[STORE_WHY_MAX];
    assert_int_equal(key_generate(&key), 0);
    assert_int_equal(key_public_der(key, public_der, sizeof public_der, &public_len), 0);
    key_unref(key);
    const struct issue_request q = {
        .id = &id, .node = "n", .public_der = public_der, .public_len = public_len, .ttl_s = ttl_s};
    assert_int_equal(issue(&bench.root, &q, now_s, &made, why), 0);
    return made;
}

static int begin_at(int64_t now_s)
{
    char why[STORE_WHY_MAX];
    assert_int_equal(store_begin(bench.store), 0);
    int r = rotation_begin(bench.store, now_s, &me, why);
    if (r == 0)
        r = store_commit(bench.store);
    else
        store_rollback(bench.store);
    return r;
}

static int hurry(int64_t now_s)
{
    char why[STORE_WHY_MAX];
    bool done;
    assert_int_equal(store_begin(bench.store), 0);
    int r = rotation_go_on(bench.store, now_s, true, &me, &done, why);
    if (r == 0)
        r = store_commit(bench.store);
    else
        store_rollback(bench.store);
    return r;
}

static void reopen(int64_t now_s)
{
    root_done(&bench.root);
    bench.has_root = false;
    root_must_open(now_s);
}

static int64_t count_in(const char *state)
{
    char sql[128];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM authority WHERE kind = 'root' AND state = '%s'", state);
    return sql_number(sql);
}

static void must_stand(size_t n_trusted, enum rotation_step step)
{
    assert_int_equal(bench.root.n_trusted, n_trusted);
    assert_int_equal(bench.root.rotation.step, step);
    assert_int_equal(count_in(ROOT_SIGNS), 1);
    assert_int_equal(bench.root.trusted[0].der_len, bench.root.root.der_len);
    assert_memory_equal(bench.root.trusted[0].der, bench.root.root.der, bench.root.root.der_len);
}

static void verifies(const struct issued *leaf, const char *intermediate, const char *bundle, int64_t at_s)
{
    openssl_verifies(leaf->leaf_pem, intermediate, bundle, at_s);
}

/* ---- the way ----------------------------------------------------------------- */

static void by_the_certificates_that_live(void **state)
{
    static char first_root[X509_PEM_MAX], first_issuer[X509_PEM_MAX];
    int64_t t = bench.now_s;
    (void)state;
    memcpy(first_root, bench.root.root_pem, sizeof first_root);
    memcpy(first_issuer, bench.root.intermediate_pem, sizeof first_issuer);
    uint64_t version = bench.root.version;
    struct issued before = issue_at(t, 7200);
    assert_int_equal(begin_at(t + 10), 0);
    assert_int_equal(begin_at(t + 11), -EALREADY);
    reopen(t + 12);
    must_stand(2, ROTATION_BEGUN);
    assert_true(bench.root.version > version);
    assert_string_equal(bench.root.root_pem, first_root); /* it signs as before */
    assert_string_equal(bench.root.intermediate_pem, first_issuer);
    must_contain(bench.root.bundle_pem, first_root);
    struct issued late = issue_at(t + 20, 86400); /* by a CA that has not noticed yet */
    struct issued noticed = issue_at(t + 10 + ROTATION_NOTICE_S + 1, 10 * 86400);

    /* Not as long as one lives whose holder may not know. */
    reopen(late.not_after_s);
    must_stand(2, ROTATION_BEGUN);
    assert_int_equal(bench.root.rotation.due_s, late.not_after_s);
    assert_false(root_is_due(&bench.root, late.not_after_s));
    assert_true(root_is_due(&bench.root, late.not_after_s + 1));
    int64_t signs_s = late.not_after_s + 1;
    reopen(signs_s);
    must_stand(2, ROTATION_SIGNING);
    assert_string_not_equal(bench.root.root_pem, first_root);
    assert_string_not_equal(bench.root.intermediate_pem, first_issuer);
    assert_true(x509_has_key(&bench.root.intermediate, bench.root.intermediate_key));
    must_contain(bench.root.bundle_pem, first_root);
    struct issued after = issue_at(signs_s + ROTATION_NOTICE_S + 5, 30 * 86400);
    verifies(&after, bench.root.intermediate_pem, bench.root.bundle_pem, signs_s + 500);
    verifies(&noticed, first_issuer, bench.root.bundle_pem, signs_s + 500);
    verifies(&before, first_issuer, bench.root.bundle_pem, t + 60);

    /* The old one, not as long as one lives that it has signed. */
    reopen(noticed.not_after_s);
    must_stand(2, ROTATION_SIGNING);
    reopen(noticed.not_after_s + 1);
    must_stand(1, ROTATION_NONE);
    assert_string_equal(bench.root.bundle_pem, bench.root.root_pem);
    assert_string_not_equal(bench.root.root_pem, first_root);
    assert_int_equal(count_in(ROOT_GONE), 1);
    assert_int_equal(sql_number("SELECT length(key) FROM authority WHERE state = 'gone'"), 0);
    verifies(&after, bench.root.intermediate_pem, bench.root.bundle_pem, noticed.not_after_s + 5);
    assert_int_equal(sql_number("SELECT count(*) FROM audit WHERE outcome = 'rotated'"), 3);
    reopen(noticed.not_after_s + 400);
    must_stand(1, ROTATION_NONE);
    assert_int_equal(begin_at(noticed.not_after_s + 500), 0); /* and again */
}

static void in_a_hurry(void **state)
{
    int64_t t = bench.now_s;
    (void)state;
    (void)issue_at(t, 7200);
    assert_int_equal(hurry(t), -ENOENT);
    assert_int_equal(begin_at(t), 0);
    reopen(t);
    must_stand(2, ROTATION_BEGUN);
    assert_int_equal(hurry(t + 1), 0);
    reopen(t + 1);
    must_stand(2, ROTATION_SIGNING);
    assert_int_equal(hurry(t + 2), 0);
    reopen(t + 2);
    must_stand(1, ROTATION_NONE);
    assert_int_equal(hurry(t + 3), -ENOENT);
}

/* Nobody has a certificate: there is time for those who run beside us, and no more. */
static void with_nobody_to_wait_for(void **state)
{
    int64_t t = bench.now_s;
    (void)state;
    assert_int_equal(begin_at(t), 0);
    reopen(t + ROTATION_NOTICE_S);
    must_stand(2, ROTATION_BEGUN);
    reopen(t + ROTATION_NOTICE_S + 1);
    must_stand(2, ROTATION_SIGNING);
    reopen(t + 2 * ROTATION_NOTICE_S + 1);
    must_stand(2, ROTATION_SIGNING);
    reopen(t + 2 * ROTATION_NOTICE_S + 2);
    must_stand(1, ROTATION_NONE);
}

static void the_intermediate_alone(void **state)
{
    static char before[X509_PEM_MAX], root[X509_PEM_MAX];
    char why[STORE_WHY_MAX];
    (void)state;
    memcpy(before, bench.root.intermediate_pem, sizeof before);
    memcpy(root, bench.root.root_pem, sizeof root);
    uint64_t version = bench.root.version;
    assert_int_equal(store_begin(bench.store), 0);
    assert_int_equal(rotation_intermediate(bench.store, bench.now_s, &me, why), 0);
    assert_int_equal(store_commit(bench.store), 0);
    reopen(bench.now_s);
    must_stand(1, ROTATION_NONE);
    assert_true(bench.root.version > version);
    assert_string_equal(bench.root.root_pem, root);
    assert_string_not_equal(bench.root.intermediate_pem, before);
    struct issued leaf = issue_at(bench.now_s, 3600);
    verifies(&leaf, bench.root.intermediate_pem, root, 0);
    assert_int_equal(sql_number("SELECT count(*) FROM audit WHERE outcome = 'rotated'"), 1);
}

/* What revokes changes the number by which running CAs see it. */
static void revocations_change_the_version(void **state)
{
    uint64_t a, b, c;
    (void)state;
    assert_int_equal(store_trust_version(bench.store, &a), 0);
    assert_int_equal(store_begin(bench.store), 0);
    assert_int_equal(store_put_revocation(bench.store, REVOKED_IDENTITY, ALICE, 1, ""), 0);
    assert_int_equal(store_commit(bench.store), 0);
    assert_int_equal(store_trust_version(bench.store, &b), 0);
    assert_int_equal(store_lift_revocation(bench.store, REVOKED_IDENTITY, ALICE), 0);
    assert_int_equal(store_lift_revocation(bench.store, REVOKED_IDENTITY, ALICE), -ENOENT);
    assert_int_equal(store_trust_version(bench.store, &c), 0);
    assert_true(a < b && b < c);
}

/* ---- given ------------------------------------------------------------------- */

static void openssl_must(const char *const *args)
{
    char out[4096];
    if (openssl_run(bench.folder, args, out, sizeof out) != 0)
        fail_msg("openssl: %s", out);
}
#define MUST(...) openssl_must((const char *const[]){__VA_ARGS__, NULL})

static void make_ca(void)
{
    text_write("root.cnf", "basicConstraints=critical,CA:true\nkeyUsage=critical,keyCertSign,cRLSign\n");
    text_write("sub.cnf", "basicConstraints=critical,CA:true,pathlen:0\nkeyUsage=critical,keyCertSign\n");
    MUST("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "root.key", "-out",
         "ca.crt", "-subj", "/O=Given/CN=Root", "-days", "100", "-addext", "keyUsage=critical,keyCertSign,cRLSign");
    MUST("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "tls.key", "-out", "sub.csr",
         "-subj", "/O=Given/CN=Issuer");
    MUST("x509", "-req", "-in", "sub.csr", "-CA", "ca.crt", "-CAkey", "root.key", "-CAcreateserial", "-extfile", "sub.cnf",
         "-days", "50", "-out", "tls.crt");
    MUST("ec", "-in", "tls.key", "-out", "old.key"); /* SEC 1, as cert-manager writes it */
}

static int give(const char *root, const char *root_key, const char *sub, const char *sub_key, char why[static STORE_WHY_MAX])
{
    static char paths[4][256];
    const char *names[] = {root, root_key, sub, sub_key};
    for (size_t i = 0; i < 4; i++)
        snprintf(paths[i], sizeof paths[i], "%s/%s", bench.folder, names[i] ? names[i] : "");
    const struct given g = {NULL, root ? paths[0] : NULL, root_key ? paths[1] : NULL, sub ? paths[2] : NULL, sub_key ? paths[3] : NULL};
    return given_init(bench.store, &g, clock_unix_s(), &me, why);
}

static void refused(const char *root, const char *root_key, const char *sub, const char *sub_key, const char *word)
{
    char why[STORE_WHY_MAX];
    assert_int_equal(give(root, root_key, sub, sub_key, why), -EINVAL);
    must_contain(why, word);
    assert_int_equal(sql_number("SELECT count(*) FROM authority"), 0);
}

static void a_root_whose_key_is_elsewhere(void **state)
{
    char why[STORE_WHY_MAX];
    struct given g = {NULL};
    (void)state;
    make_ca();
    refused("ca.crt", NULL, NULL, NULL, "an intermediate must be given");
    refused("ca.crt", NULL, "tls.crt", "root.key", "with its key");
    refused("ca.crt", "tls.key", "tls.crt", "tls.key", "with its key");
    refused("tls.crt", NULL, "tls.crt", "tls.key", "tls.crt");
    refused("ca.crt", NULL, "ca.crt", "missing.key", "missing.key: No such file");
    MUST("req", "-x509", "-key", "tls.key", "-out", "other.crt", "-subj", "/O=Given/CN=Other", "-days", "9");
    refused("ca.crt", NULL, "other.crt", "tls.key", "other.crt");
    refused("root.key", NULL, "tls.crt", "tls.key", "root.key");

    assert_int_equal(give("ca.crt", NULL, "tls.crt", "old.key", why), 0);
    assert_int_equal(give("ca.crt", NULL, "tls.crt", "tls.key", why), -EEXIST);
    root_must_open(bench.now_s + 60);
    assert_false(bench.root.has_key);
    must_stand(1, ROTATION_NONE);
    must_contain(openssl_text(bench.root.intermediate_pem), "CN=Issuer");
    struct issued leaf = issue_at(bench.now_s + 60, 3600);
    verifies(&leaf, bench.root.intermediate_pem, bench.root.root_pem, bench.now_s + 60);
    /* Nobody here can make another one: it is used until it ends. */
    assert_false(root_is_due(&bench.root, bench.now_s + 49 * DAY_S));
    reopen(bench.now_s + 49 * DAY_S);
    assert_int_equal(sql_number("SELECT count(*) FROM authority"), 2);
    assert_int_equal(store_begin(bench.store), 0);
    assert_int_equal(rotation_intermediate(bench.store, bench.now_s, &me, why), -ENOKEY);
    store_rollback(bench.store);
    must_contain(why, "--intermediate-cert");
    /* But one may be given. */
    MUST("x509", "-req", "-in", "sub.csr", "-CA", "ca.crt", "-CAkey", "root.key", "-CAcreateserial", "-extfile", "sub.cnf",
         "-days", "90", "-out", "tls.crt");
    g.folder = bench.folder; /* tls.crt, tls.key, ca.crt */
    assert_int_equal(given_intermediate(bench.store, &g, bench.now_s + 60, &me, why), 0);
    reopen(bench.now_s + 60);
    assert_in_range(bench.root.intermediate.not_after_s, bench.now_s + 89 * DAY_S, bench.now_s + 91 * DAY_S);
}

static void a_root_with_its_key(void **state)
{
    char why[STORE_WHY_MAX];
    (void)state;
    make_ca();
    assert_int_equal(give("ca.crt", "root.key", NULL, NULL, why), 0);
    root_must_open(bench.now_s + 60);
    assert_true(bench.root.has_key);
    must_contain(openssl_text(bench.root.intermediate_pem), "Issuer: CN=Root,O=Given");
    struct issued leaf = issue_at(bench.now_s + 60, 3600);
    verifies(&leaf, bench.root.intermediate_pem, bench.root.root_pem, bench.now_s + 60);
    /* And away from it, as from any. */
    assert_int_equal(begin_at(bench.now_s + 60), 0);
    reopen(bench.now_s + 61);
    must_stand(2, ROTATION_BEGUN);
    must_contain(bench.root.bundle_pem, bench.root.root_pem);
}

static void a_secret_of_cert_manager(void **state)
{
    char why[STORE_WHY_MAX];
    const struct given g = {.folder = bench.folder};
    (void)state;
    make_ca();
    assert_int_equal(given_init(bench.store, &g, clock_unix_s(), &me, why), 0);
    root_must_open(bench.now_s + 60);
    assert_false(bench.root.has_key);
    struct issued leaf = issue_at(bench.now_s + 60, 3600);
    verifies(&leaf, bench.root.intermediate_pem, bench.root.root_pem, bench.now_s + 60);
}

/* tls.crt is ca.crt: an issuer of cert-manager that signed itself. */
static void a_secret_with_the_root_itself(void **state)
{
    char why[STORE_WHY_MAX];
    const struct given g = {.folder = bench.folder};
    (void)state;
    make_ca();
    text_write("tls.crt", text_read("ca.crt"));
    text_write("tls.key", text_read("root.key"));
    assert_int_equal(given_init(bench.store, &g, clock_unix_s(), &me, why), 0);
    root_must_open(bench.now_s + 60);
    assert_true(bench.root.has_key);
}

int main(void)
{
#define WITH_ROOT(f)  cmocka_unit_test_setup_teardown(f, bench_root, bench_done)
#define WITH_STORE(f) cmocka_unit_test_setup_teardown(f, bench_store, bench_done)
    const struct CMUnitTest tests[] = {
        WITH_ROOT(by_the_certificates_that_live),
        WITH_ROOT(in_a_hurry),
        WITH_ROOT(with_nobody_to_wait_for),
        WITH_ROOT(the_intermediate_alone),
        WITH_ROOT(revocations_change_the_version),
        WITH_STORE(a_root_whose_key_is_elsewhere),
        WITH_STORE(a_root_with_its_key),
        WITH_STORE(a_secret_of_cert_manager),
        WITH_STORE(a_secret_with_the_root_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
