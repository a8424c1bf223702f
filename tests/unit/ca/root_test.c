/*
 * Root and intermediate: made once, by however many processes; renewed at half-life; what is
 * damaged is told and left alone; no error leaves half of them behind. openssl judges them.
 */
#include "tests/unit/ca/ca_fixture.h"

enum { ROOT_DAYS = 3650, INTERMEDIATE_DAYS = 365, BACKDATE_S = 300 };

static int64_t count_authorities(const char *kind)
{
    char sql[128];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM authority WHERE kind = '%s'", kind);
    return sql_number(sql);
}

static bool same(const struct x509 *a, const struct x509 *b)
{
    return a->der_len == b->der_len && memcmp(a->der, b->der, a->der_len) == 0;
}

static int refresh(struct root *r, int64_t now_s)
{
    char why[STORE_WHY_MAX] = "";
    int e = root_refresh(r, now_s, why);
    if (e < 0)
        assert_true(why[0] != '\0');
    return e;
}

/* The middle of the intermediate's life: until here, and this second still, it is kept. */
static int64_t half_of(const struct root *r)
{
    return r->intermediate.not_before_s +
           (r->intermediate.not_after_s - r->intermediate.not_before_s) / 2;
}

/* ---- made ------------------------------------------------------------------ */

static void made_at_the_first_start(void **state)
{
    const struct root *r = &bench.root;
    char out[4096];
    (void)state;
    assert_int_equal(r->root.not_before_s, bench.now_s - BACKDATE_S);
    assert_int_equal(r->root.not_after_s, bench.now_s + (int64_t)ROOT_DAYS * DAY_S);
    assert_int_equal(r->intermediate.not_before_s, bench.now_s - BACKDATE_S);
    assert_int_equal(r->intermediate.not_after_s, bench.now_s + (int64_t)INTERMEDIATE_DAYS * DAY_S);
    assert_true(x509_has_key(&r->intermediate, r->intermediate_key));
    assert_false(x509_has_key(&r->root, r->intermediate_key));
    assert_true(r->root.serial_len >= 15 && r->intermediate.serial_len >= 15);
    assert_int_equal(r->root.uri_count, 0);
    assert_int_equal(r->intermediate.uri_count, 0);

    const char *text = openssl_text(r->root_pem);
    must_contain(text, "CA:TRUE, pathlen:1");
    must_contain(text, "Certificate Sign, CRL Sign");
    must_contain(text, "Subject: CN=Weir Root CA,O=Weir");
    must_contain(text, "Issuer: CN=Weir Root CA,O=Weir");
    text = openssl_text(r->intermediate_pem);
    must_contain(text, "CA:TRUE, pathlen:0");
    must_contain(text, "Subject: CN=Weir Issuing CA,O=Weir");
    must_not_contain(text, "Extended Key Usage");

    text_write("root.pem", r->root_pem);
    text_write("intermediate.pem", r->intermediate_pem);
    if (OPENSSL(bench.folder, out, "verify", "-x509_strict", "-check_ss_sig", "-CAfile", "root.pem",
                "intermediate.pem") != 0)
        fail_msg("openssl: %s", out);
}

static void the_same_after_a_restart(void **state)
{
    struct root again;
    char why[STORE_WHY_MAX];
    (void)state;
    assert_int_equal(root_open(&again, bench.store, bench.now_s + 60, why), 0);
    assert_true(same(&again.root, &bench.root.root));
    assert_true(same(&again.intermediate, &bench.root.intermediate));
    assert_string_equal(again.root_pem, bench.root.root_pem);
    assert_string_equal(again.intermediate_pem, bench.root.intermediate_pem);
    assert_true(x509_has_key(&again.intermediate, again.intermediate_key));
    root_done(&again);
    assert_int_equal(sql_number("SELECT count(*) FROM authority"), 2);
    /* The keys are in the store as PKCS#8, and openssl reads them. */
    assert_int_equal(sql_number("SELECT count(*) FROM authority WHERE key LIKE"
                                " '-----BEGIN PRIVATE KEY-----%'"),
                     2);
}

enum { PROCESSES = 5, ROUNDS = 4, PRINT_MAX = 2 * DIGEST_BYTES };

/* Waits for the gate and tells what it has, in one write. */
static int open_at_once(int gate, int told)
{
    static struct root r;
    uint8_t print[PRINT_MAX];
    char why[STORE_WHY_MAX], byte;
    struct store *s;
    while (read(gate, &byte, 1) > 0)
        ;
    if (store_open(&s, bench.state, why) < 0 || root_open(&r, s, bench.now_s, why) < 0) {
        fprintf(stderr, "%s\n", why);
        return 1;
    }
    if (digest_sha256(text_of(r.root_pem), print) < 0 ||
        digest_sha256(text_of(r.intermediate_pem), print + DIGEST_BYTES) < 0 ||
        write(told, print, sizeof print) != sizeof print)
        return 2;
    root_done(&r);
    store_close(s);
    return 0;
}

static void processes_that_start_at_once_agree(void **state)
{
    uint8_t first[PRINT_MAX], print[PRINT_MAX];
    int gate[2], told[2];
    pid_t pids[PROCESSES];
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        snprintf(bench.state, sizeof bench.state, "%s/s%d", bench.folder, round);
        snprintf(bench.file, sizeof bench.file, "%s/ca.db", bench.state);
        assert_int_equal(pipe2(gate, O_CLOEXEC), 0);
        assert_int_equal(pipe2(told, O_CLOEXEC), 0);
        for (size_t i = 0; i < PROCESSES; i++) {
            fflush(NULL);
            pids[i] = fork();
            assert_true(pids[i] >= 0);
            if (pids[i] == 0) {
                close(gate[1]);
                _exit(open_at_once(gate[0], told[1]));
            }
        }
        close(gate[0]);
        close(gate[1]);
        close(told[1]);
        for (size_t i = 0; i < PROCESSES; i++) {
            uint8_t *to = i == 0 ? first : print;
            assert_int_equal(read(told[0], to, PRINT_MAX), PRINT_MAX);
            assert_memory_equal(first, to, PRINT_MAX);
        }
        close(told[0]);
        for (size_t i = 0; i < PROCESSES; i++)
            assert_int_equal(child_end(pids[i]), 0);
        assert_int_equal(sql_number("SELECT count(*) FROM authority"), 2);
    }
}

/* ---- renewed --------------------------------------------------------------- */

static void renewed_at_half_life(void **state)
{
    struct root *r = &bench.root, next;
    char why[STORE_WHY_MAX];
    char *old_pem = text_dup(text_of(r->intermediate_pem));
    char *root_pem = text_dup(text_of(r->root_pem));
    int64_t half = half_of(r);
    (void)state;
    assert_int_equal(refresh(r, half), 0);
    assert_string_equal(r->intermediate_pem, old_pem);
    assert_int_equal(count_authorities("intermediate"), 1);
    assert_int_equal(refresh(r, half + 1), 0);
    assert_string_not_equal(r->intermediate_pem, old_pem);
    assert_string_equal(r->root_pem, root_pem);
    assert_int_equal(r->intermediate.not_before_s, half + 1 - BACKDATE_S);
    assert_int_equal(r->intermediate.not_after_s, half + 1 + (int64_t)INTERMEDIATE_DAYS * DAY_S);
    assert_true(x509_has_key(&r->intermediate, r->intermediate_key));
    assert_int_equal(count_authorities("intermediate"), 2);
    assert_int_equal(count_authorities("root"), 1);
    /* It is the one that a restart finds, and both lead to the root. */
    assert_int_equal(root_open(&next, bench.store, half + 2, why), 0);
    assert_true(same(&next.intermediate, &r->intermediate));
    root_done(&next);
    struct x509 old;
    const char *verify_why;
    size_t n;
    assert_int_equal(x509_from_pem(text_of(old_pem), &old, 1, &n, &verify_why), 0);
    assert_int_equal(x509_verify(&old, 1, &r->root, 1, half + 1, &verify_why), 0);
    assert_int_equal(x509_verify(&r->intermediate, 1, &r->root, 1, half + 1, &verify_why), 0);
    x509_done(&old);
    free(old_pem);
    free(root_pem);
}

/* Two that run: the second to look takes what the first has made. */
static void renewed_by_one_of_two(void **state)
{
    struct root other;
    char why[STORE_WHY_MAX];
    int64_t later = half_of(&bench.root) + 10;
    (void)state;
    assert_int_equal(root_open(&other, bench.store, bench.now_s, why), 0);
    assert_int_equal(refresh(&bench.root, later), 0);
    assert_false(same(&other.intermediate, &bench.root.intermediate));
    assert_int_equal(refresh(&other, later), 0);
    assert_true(same(&other.intermediate, &bench.root.intermediate));
    assert_int_equal(count_authorities("intermediate"), 2);
    root_done(&other);
}

/* Near the root's end an intermediate ends with it, and none is made that would live no longer. */
static void ends_with_the_root(void **state)
{
    struct root *r = &bench.root;
    int64_t end = r->root.not_after_s;
    char why[STORE_WHY_MAX];
    (void)state;
    assert_int_equal(refresh(r, end - 100 * DAY_S), 0);
    assert_int_equal(r->intermediate.not_after_s, end);
    assert_int_equal(count_authorities("intermediate"), 2);
    for (int64_t left = 99 * DAY_S; left > 0; left /= 2)
        assert_int_equal(refresh(r, end - left), 0);
    assert_int_equal(count_authorities("intermediate"), 2);
    root_done(r);
    assert_int_equal(root_open(r, bench.store, end - 1, why), 0);
    root_done(r);
    assert_int_equal(root_open(r, bench.store, end, why), -EKEYEXPIRED);
    must_contain(why, "root certificate has expired");
    assert_int_equal(sql_number("SELECT count(*) FROM authority"), 3);
}

/* A clock that was wrong when the root was made, and is right now. */
static void clock_set_back(void **state)
{
    struct root *r = &bench.root;
    const char *why;
    (void)state;
    root_done(r);
    sql_run("DELETE FROM authority WHERE kind = 'intermediate'");
    root_must_open(bench.now_s - 30 * DAY_S);
    assert_int_equal(r->intermediate.not_before_s, r->root.not_before_s);
    assert_int_equal(x509_verify(&r->intermediate, 1, &r->root, 1, bench.now_s, &why), 0);
    root_done(r);
    root_must_open(bench.now_s);
    assert_int_equal(sql_number("SELECT count(*) FROM authority"), 2);
}

/* ---- errors ---------------------------------------------------------------- */

static void expect_damaged(const char *sql, const char *what)
{
    struct root r;
    char why[STORE_WHY_MAX];
    sql_run("CREATE TABLE kept AS SELECT * FROM authority");
    sql_run(sql);
    int64_t count = sql_number("SELECT count(*) FROM authority");
    assert_int_equal(root_open(&r, bench.store, bench.now_s, why), -EBADMSG);
    must_contain(why, what);
    assert_int_equal(sql_number("SELECT count(*) FROM authority"), count); /* nothing over it */
    sql_run("DELETE FROM authority; INSERT INTO authority SELECT * FROM kept; DROP TABLE kept");
    assert_int_equal(root_open(&r, bench.store, bench.now_s, why), 0);
    assert_true(same(&r.root, &bench.root.root));
    root_done(&r);
}

static void damaged_records(void **state)
{
    (void)state;
    expect_damaged("UPDATE authority SET certificate = 'x' WHERE kind = 'root'", "the root");
    expect_damaged("UPDATE authority SET certificate = '' WHERE kind = 'intermediate'",
                   "the intermediate");
    expect_damaged("UPDATE authority SET key = 'x' WHERE kind = 'root'", "the root is damaged: no"
                                                                         " key");
    expect_damaged("UPDATE authority SET key = substr(key, 1, 100)", "no key");
    /* Another's key. */
    expect_damaged("UPDATE authority SET key = (SELECT key FROM kept WHERE kind = 'root')"
                   " WHERE kind = 'intermediate'",
                   "the intermediate");
    expect_damaged("UPDATE authority SET certificate = (SELECT certificate FROM kept WHERE kind ="
                   " 'intermediate') WHERE kind = 'root'",
                   "the root");
    /* The intermediate, with its key, in the place of the root. */
    expect_damaged(
        "INSERT INTO authority (kind, certificate, key, made) SELECT 'root', certificate,"
        " key, made FROM kept WHERE kind = 'intermediate'",
        "the root");
}

static void damaged_by_one_character(void **state)
{
    struct root r;
    char why[STORE_WHY_MAX], sql[256];
    (void)state;
    int64_t len = sql_number("SELECT length(certificate) FROM authority WHERE kind ="
                             " 'intermediate'");
    sql_run("CREATE TABLE kept AS SELECT * FROM authority");
    for (int64_t at = 28; at < len - 27; at += 3) {
        snprintf(sql, sizeof sql,
                 "UPDATE authority SET certificate = substr(certificate, 1, %lld) || iif("
                 "substr(certificate, %lld, 1) = 'A', 'B', 'A') || substr(certificate, %lld)"
                 " WHERE kind = 'intermediate'",
                 (long long)at, (long long)at + 1, (long long)at + 2);
        sql_run(sql);
        assert_int_equal(root_open(&r, bench.store, bench.now_s, why), -EBADMSG);
        sql_run("DELETE FROM authority; INSERT INTO authority SELECT * FROM kept");
    }
}

/* The renewal fails: what is there stays, and signs on. */
static void an_error_leaves_the_old_one(void **state)
{
    struct root *r = &bench.root;
    int64_t later = half_of(r) + 10;
    char *old_pem = text_dup(text_of(r->intermediate_pem));
    (void)state;
    sql_run("ALTER TABLE authority RENAME TO gone");
    assert_int_equal(refresh(r, later), -EIO);
    assert_int_equal(refresh(r, later), -EIO); /* the change was taken back */
    assert_string_equal(r->intermediate_pem, old_pem);
    assert_true(x509_has_key(&r->intermediate, r->intermediate_key));
    sql_run("ALTER TABLE gone RENAME TO authority");
    assert_int_equal(refresh(r, later), 0);
    assert_string_not_equal(r->intermediate_pem, old_pem);
    free(old_pem);
}

/* The file can't grow beyond a size: at whatever place that is, there are both or none. */
static int make_on_a_small_disk(int unused)
{
    static struct root r;
    struct store *s;
    char why[STORE_WHY_MAX];
    int failures = 0;
    (void)unused;
    for (rlim_t size = 0;; size += 512) {
        limit_files(size);
        /* A new folder each time: what was made in the last one would help. */
        snprintf(bench.state, sizeof bench.state, "%s/d%d", bench.folder, (int)size);
        int e = store_open(&s, bench.state, why);
        if (e == 0)
            e = root_open(&r, s, bench.now_s, why);
        if (e == 0) {
            root_done(&r);
            store_close(s);
            return failures > 10 ? 0 : 10;
        }
        failures++;
        limit_files(RLIM_INFINITY);
        snprintf(bench.file, sizeof bench.file, "%s/ca.db", bench.state);
        /* With room the same folder is good, while the first try still has it open. */
        struct store *again = NULL;
        if (store_open(&again, bench.state, why) < 0 ||
            root_open(&r, again, bench.now_s, why) < 0) {
            fprintf(stderr, "%d: %s\n", (int)size, why);
            return 1;
        }
        root_done(&r);
        store_close(again);
        sqlite3 *db;
        sqlite3_stmt *q;
        if (sqlite3_open(bench.file, &db) != SQLITE_OK ||
            sqlite3_prepare_v2(db, "SELECT count(*) FROM authority", -1, &q, NULL) != SQLITE_OK ||
            sqlite3_step(q) != SQLITE_ROW)
            return 2;
        int rows = sqlite3_column_int(q, 0);
        sqlite3_finalize(q);
        sqlite3_close(db);
        if (rows != 2)
            return 3;
        if (size > 1024 * 1024)
            return 4;
    }
}

static void nothing_half_on_a_full_disk(void **state)
{
    (void)state;
    assert_int_equal(child_end(child_start(make_on_a_small_disk, 0)), 0);
}

int main(void)
{
#define WITH_ROOT(f)   cmocka_unit_test_setup_teardown(f, bench_root, bench_done)
#define WITH_FOLDER(f) cmocka_unit_test_setup_teardown(f, bench_folder, bench_done)
    const struct CMUnitTest tests[] = {
        WITH_ROOT(made_at_the_first_start),
        WITH_ROOT(the_same_after_a_restart),
        WITH_FOLDER(processes_that_start_at_once_agree),
        WITH_ROOT(renewed_at_half_life),
        WITH_ROOT(renewed_by_one_of_two),
        WITH_ROOT(ends_with_the_root),
        WITH_ROOT(clock_set_back),
        WITH_ROOT(damaged_records),
        WITH_ROOT(damaged_by_one_character),
        WITH_ROOT(an_error_leaves_the_old_one),
        WITH_FOLDER(nothing_half_on_a_full_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
