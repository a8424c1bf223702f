/*
 * Signing keys under a passphrase: what lies in the store is no key without it, openssl reads it with
 * it and writes what we read; every wrong or missing passphrase is told by its reason; nothing of a
 * key that was not encrypted is left in the file once it is.
 */
#include "ca/given.h"
#include "ca/seal.h"
#include "tests/unit/ca/ca_fixture.h"

enum { FEW = 1000 }; /* iterations */
static char path[128];

static void passphrase_is(const char *text)
{
    seal_forget();
    text_write("passphrase", text);
    snprintf(path, sizeof path, "%s/passphrase", bench.folder);
    seal_file = path;
}

static void no_passphrase(void)
{
    seal_forget();
    seal_file = NULL;
}

static int sealed_done(void **state)
{
    no_passphrase();
    unsetenv("CREDENTIALS_DIRECTORY");
    return bench_done(state);
}

static struct key *a_key(void)
{
    struct key *key;
    assert_int_equal(key_generate(&key), 0);
    return key;
}

static void assert_same(const struct key *a, const struct key *b)
{
    char one[KEY_PEM_MAX], two[KEY_PEM_MAX];
    size_t n;
    assert_int_equal(key_to_pem(a, one, sizeof one, &n), 0);
    assert_int_equal(key_to_pem(b, two, sizeof two, &n), 0);
    assert_string_equal(one, two);
}

/* ---- the format ------------------------------------------------------------ */

static void openssl_reads_ours(void **state)
{
    char pem[KEY_SEALED_PEM_MAX], plain[KEY_PEM_MAX], out[4096];
    size_t len;
    struct key *key = a_key(), *again;
    (void)state;
    assert_int_equal(key_sealed_to_pem(key, TEXT("correct horse"), FEW, pem, sizeof pem, &len), 0);
    assert_true(key_sealed_is(text_of(pem)));
    text_write("sealed.pem", pem);
    assert_int_equal(OPENSSL(bench.folder, out, "pkey", "-in", "sealed.pem", "-passin",
                             "pass:correct horse", "-out", "plain.pem"),
                     0);
    assert_int_equal(key_to_pem(key, plain, sizeof plain, &len), 0);
    assert_int_equal(key_from_pem(text_of(text_read("plain.pem")), &again), 0);
    assert_same(key, again);
    key_unref(again);
    assert_int_not_equal(OPENSSL(bench.folder, out, "pkey", "-in", "sealed.pem", "-passin",
                                 "pass:wrong horse", "-noout"),
                         0);
    assert_int_equal(OPENSSL(bench.folder, out, "asn1parse", "-in", "sealed.pem"), 0);
    must_contain(out, "aes-256-cbc");
    must_contain(out, "hmacWithSHA256");
    key_unref(key);
}

static void ours_reads_openssl(void **state)
{
    static const struct {
        const char *cipher, *prf;
        int expected;
    } all[] = {
        {"aes-256-cbc", "hmacWithSHA256", 0},        {"aes-256-cbc", "hmacWithSHA512", 0},
        {"aes-256-cbc", "hmacWithSHA1", -ENOTSUP},   {"aes-128-cbc", "hmacWithSHA256", -ENOTSUP},
        {"des-ede3-cbc", "hmacWithSHA256", -ENOTSUP},
    };
    char out[4096];
    struct key *key;
    (void)state;
    openssl_request(P256, NULL);
    for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
        if (OPENSSL(bench.folder, out, "pkcs8", "-topk8", "-in", "key.pem", "-v2", all[i].cipher,
                    "-v2prf", all[i].prf, "-passout", "pass:correct horse", "-out", "sealed.pem"))
            fail_msg("openssl: %s", out);
        struct text pem = text_of(text_read("sealed.pem"));
        int r = key_sealed_from_pem(pem, TEXT("correct horse"), KEY_SEALED_ITERATIONS_MAX, &key);
        if (r != all[i].expected)
            fail_msg("%s %s: %d", all[i].cipher, all[i].prf, r);
        if (r == 0)
            key_unref(key);
    }
}

static void each_wrong_passphrase_is_refused(void **state)
{
    char pem[KEY_SEALED_PEM_MAX], wrong[16];
    size_t len;
    struct key *key = a_key(), *none = NULL;
    (void)state;
    assert_int_equal(key_sealed_to_pem(key, TEXT("correct horse"), FEW, pem, sizeof pem, &len), 0);
    for (int i = 0; i < 600; i++) { /* one in 256 looks well padded */
        snprintf(wrong, sizeof wrong, "wrong %d", i);
        assert_int_equal(key_sealed_from_pem(text_of(pem), text_of(wrong), FEW, &none), -EKEYREJECTED);
        assert_null(none);
    }
    assert_int_equal(key_sealed_from_pem(text_of(pem), TEXT(""), FEW, &none), -EKEYREJECTED);
    assert_int_equal(key_sealed_from_pem(text_of(pem), TEXT("correct horse"), FEW - 1, &none),
                     -EINVAL);
    assert_int_equal(key_sealed_to_pem(key, TEXT(""), FEW, pem, sizeof pem, &len), -EINVAL);
    assert_int_equal(key_sealed_to_pem(key, TEXT("x"), 0, pem, sizeof pem, &len), -EINVAL);
    key_unref(key);
}

/* ---- the state ------------------------------------------------------------- */

static int open_again(char why[static STORE_WHY_MAX])
{
    struct root r;
    int e = root_open(&r, bench.store, bench.now_s, why);
    if (e == 0)
        root_done(&r);
    return e;
}

static void the_state_needs_its_passphrase(void **state)
{
    char why[STORE_WHY_MAX] = "";
    (void)state;
    passphrase_is("correct horse\n");
    root_must_open(bench.now_s);
    assert_int_equal(sql_number("SELECT count(*) FROM authority WHERE key LIKE "
                                "'-----BEGIN ENCRYPTED PRIVATE KEY-----%'"),
                     2);
    seal_forget();
    assert_int_equal(open_again(why), 0);

    no_passphrase();
    assert_int_equal(open_again(why), -ENOKEY);
    must_contain(why, "the root: the key is encrypted: say --key-passphrase-file");
    assert_int_equal(root_check(bench.store, bench.now_s, why), -ENOKEY);

    passphrase_is("another horse");
    assert_int_equal(open_again(why), -EKEYREJECTED);
    must_contain(why, "under another passphrase");
    assert_int_equal(sql_number("SELECT count(*) FROM authority"), 2); /* nothing new was made */
}

static void a_systemd_credential(void **state)
{
    char why[STORE_WHY_MAX] = "";
    (void)state;
    text_write("weir-ca-key-passphrase", "correct horse");
    setenv("CREDENTIALS_DIRECTORY", bench.folder, 1);
    root_must_open(bench.now_s);
    unsetenv("CREDENTIALS_DIRECTORY");
    seal_forget();
    assert_int_equal(open_again(why), -ENOKEY);
    passphrase_is("correct horse");
    assert_int_equal(open_again(why), 0);
}

static void keys_in_the_clear_are_not_taken_for_encrypted(void **state)
{
    char why[STORE_WHY_MAX] = "";
    (void)state;
    root_must_open(bench.now_s);
    passphrase_is("correct horse");
    assert_int_equal(open_again(why), -ENOKEY);
    must_contain(why, "weir-ca passphrase encrypts it");
}

static void passphrase_files(void **state)
{
    static const struct {
        const char *text, *why;
    } all[] = {{"", "less than 12 bytes"}, {"short", "less than 12 bytes"},
               {"elevenchars\n", "less than 12 bytes"}};
    static char long_text[KEY_SEALED_PASSPHRASE_MAX + 10];
    char why[STORE_WHY_MAX] = "";
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
        passphrase_is(all[i].text);
        assert_true(open_again(why) < 0);
        must_contain(why, all[i].why);
    }
    memset(long_text, 'x', sizeof long_text - 1);
    passphrase_is(long_text);
    assert_true(open_again(why) < 0);
    must_contain(why, "longer than 1,023 bytes");
    passphrase_is("correct horse");
    snprintf(path, sizeof path, "%s/nowhere", bench.folder);
    assert_true(open_again(why) < 0);
    must_contain(why, "is not there");
    assert_int_equal(sql_number("SELECT count(*) FROM authority"), 0);
}

/* A key that was given is kept as all others are, and may come encrypted under that passphrase. */
static void given_keys_are_sealed_too(void **state)
{
    struct given g = {0};
    const struct rotation_by by = {"test", PROOF_COMMAND_LINE};
    char why[STORE_WHY_MAX] = "", cert[160], key[160], sealed[KEY_SEALED_PEM_MAX];
    struct key *k;
    size_t len;
    (void)state;
    passphrase_is("correct horse");
    char out[4096];
    if (OPENSSL(bench.folder, out, "req", "-x509", "-newkey", "ec", "-pkeyopt",
                "ec_paramgen_curve:P-256", "-nodes", "-keyout", "root.key", "-out", "root.pem",
                "-subj", "/CN=given", "-days", "400", "-addext",
                "keyUsage=critical,keyCertSign,cRLSign"))
        fail_msg("openssl: %s", out);
    assert_int_equal(key_from_pem(text_of(text_read("root.key")), &k), 0);
    assert_int_equal(
        key_sealed_to_pem(k, TEXT("correct horse"), FEW, sealed, sizeof sealed, &len), 0);
    key_unref(k);
    text_write("root.key", sealed);
    snprintf(cert, sizeof cert, "%s/root.pem", bench.folder);
    snprintf(key, sizeof key, "%s/root.key", bench.folder);
    g.root_cert = cert;
    g.root_key = key;
    if (given_init(bench.store, &g, bench.now_s, &by, why) < 0)
        fail_msg("%s", why);
    assert_int_equal(sql_number("SELECT count(*) FROM authority WHERE key NOT LIKE "
                                "'-----BEGIN ENCRYPTED PRIVATE KEY-----%'"),
                     0);
    assert_int_equal(open_again(why), 0);
}

/* ---- made different --------------------------------------------------------- */

static int seal_one(const char *key_pem, char *out, size_t size, void *arg)
{
    struct key *key;
    size_t len;
    int *left = arg;
    if ((*left)-- == 0)
        return -EIO;
    int r = key_from_pem(text_of(key_pem), &key);
    if (r == 0) {
        r = key_sealed_to_pem(key, TEXT("correct horse"), FEW, out, size, &len);
        key_unref(key);
    }
    return r;
}

static bool file_holds(const char *file, const char *part, size_t len)
{
    static char data[1 << 20];
    FILE *f = fopen(file, "rb");
    size_t n = f ? fread(data, 1, sizeof data, f) : 0;
    if (f)
        fclose(f);
    return memmem(data, n, part, len) != NULL;
}

static void nothing_of_a_plain_key_is_left(void **state)
{
    struct authority_record a;
    char log[140], part[41], why[STORE_WHY_MAX];
    int left = 1;
    (void)state;
    root_must_open(bench.now_s);
    assert_int_equal(store_get_authority(bench.store, "intermediate", &a), 0);
    memcpy(part, strchr(a.key_pem, '\n') + 20, 40); /* of its scalar's base 64 */
    authority_record_done(&a);
    snprintf(log, sizeof log, "%s-wal", bench.file);
    assert_true(file_holds(bench.file, part, 40) || file_holds(log, part, 40));

    assert_int_equal(store_begin(bench.store), 0); /* the second fails: all stay as they are */
    assert_int_equal(store_change_keys(bench.store, seal_one, &left), -EIO);
    store_rollback(bench.store);
    assert_int_equal(open_again(why), 0);

    left = 100;
    assert_int_equal(store_begin(bench.store), 0);
    assert_int_equal(store_change_keys(bench.store, seal_one, &left), 0);
    assert_int_equal(left, 98);
    assert_int_equal(store_commit(bench.store), 0);
    assert_int_equal(store_forget_log(bench.store), 0);
    assert_false(file_holds(bench.file, part, 40));
    assert_false(file_holds(log, part, 40));
    passphrase_is("correct horse");
    assert_int_equal(open_again(why), 0);
}

int main(void)
{
#define SEALED(f) cmocka_unit_test_setup_teardown(f, bench_store, sealed_done)
    const struct CMUnitTest tests[] = {
        SEALED(openssl_reads_ours),
        SEALED(ours_reads_openssl),
        SEALED(each_wrong_passphrase_is_refused),
        SEALED(the_state_needs_its_passphrase),
        SEALED(a_systemd_credential),
        SEALED(keys_in_the_clear_are_not_taken_for_encrypted),
        SEALED(passphrase_files),
        SEALED(given_keys_are_sealed_too),
        SEALED(nothing_of_a_plain_key_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
