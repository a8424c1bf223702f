/*
 * Every access of the CA to its disk fails in turn, once, for good, because the disk is full, because
 * somebody else has it locked, or as the last thing that the process does: making the store, making the authorities, issuing, renewing
 * the intermediate, a node's token, spending a join token, forgetting. What was said to be done is there afterwards; what failed is there whole
 * or not at all; the CA goes on when the disk does, without being started again and with it.
 */
#include "tests/unit/ca/ca_fixture.h"

#include "ca/ledger.h"
#include "tests/unit/ca/failing_disk.h"

enum { ACCESSES_MAX = 2000, YEAR_S = 365 * 86400 };
static const enum disk_fault faults[] = {DISK_ERROR, DISK_FULL, DISK_BAD, DISK_TORN, DISK_LOCKED};

static uint8_t public_der[KEY_PUBLIC_MAX];
static size_t public_len;
static struct issued made;
static char why[STORE_WHY_MAX];

static void one_key(void)
{
    struct key *key;
    assert_int_equal(key_generate(&key), 0);
    assert_int_equal(key_public_der(key, public_der, sizeof public_der, &public_len), 0);
    key_unref(key);
}

static int issue_one(int64_t now_s)
{
    struct spiffe_id id = id_of(ALICE);
    const struct issue_request q = {.id = &id,
                                    .node = "node-a",
                                    .public_der = public_der,
                                    .public_len = public_len,
                                    .ttl_s = 3600};
    memset(&made, 0, sizeof made);
    return issue(&bench.root, &q, now_s, &made, why);
}

/* The certificate, and its line. */
static int64_t ledger_has(const char *serial)
{
    char sql[256];
    snprintf(sql, sizeof sql,
             "SELECT count(*) FROM issued JOIN audit ON audit.serial = issued.serial"
             " WHERE issued.serial = '%s' AND outcome = 'given'",
             serial);
    return sql_number(sql);
}

static void no_problem(const char *text, void *arg)
{
    (void)arg;
    fail_msg("%s", text);
}

static void goes_on(int64_t now_s)
{
    if (issue_one(now_s) < 0)
        fail_msg("nothing can be issued: %s", why);
    assert_int_equal(ledger_has(made.serial), 1);
}

/* The scenarios: prepare, then what may fail (0 or -errno), then what must be true. */
struct scenario {
    int64_t later_s; /* when it happens */
    void (*prepare)(void);
    int (*act)(void);
    void (*check)(int result);
};

static void nothing(void) {}

static int open_act(void)
{
    return store_open(&bench.store, bench.state, why);
}
static void open_check(int result)
{
    (void)result;
    assert_int_equal(count_issued(), 0); /* the tables are there */
}

static void with_store(void)
{
    store_must_open();
}
static int root_act(void)
{
    int r = root_open(&bench.root, bench.store, bench.now_s, why);
    bench.has_root = r == 0;
    return r;
}
static void roots_check(int result)
{
    /* Both or none. */
    int64_t roots = sql_number("SELECT count(*) FROM authority WHERE kind = 'root'");
    int64_t others = sql_number("SELECT count(*) FROM authority WHERE kind = 'intermediate'");
    assert_int_equal(roots, others);
    assert_in_range(roots, result == 0 ? 1 : 0, 1);
}

static void with_root(void)
{
    store_must_open();
    root_must_open(bench.now_s);
}
static int issue_act(void)
{
    return issue_one(bench.now_s);
}
static void issue_check(int result)
{
    if (result == 0)
        assert_int_equal(ledger_has(made.serial), 1);
    else
        assert_in_range(count_issued(), 0, 2); /* a line without its certificate does no harm */
}

static int renew_act(void)
{
    char before[X509_PEM_MAX];
    snprintf(before, sizeof before, "%s", bench.root.intermediate_pem);
    int r = root_refresh(&bench.root, bench.now_s + YEAR_S * 3 / 4, why);
    assert_int_equal(strcmp(before, bench.root.intermediate_pem) == 0, r != 0);
    return r;
}
static void renew_check(int result)
{
    int64_t n = sql_number("SELECT count(*) FROM authority WHERE kind = 'intermediate'");
    assert_in_range(n, result == 0 ? 2 : 1, 2);
}

static int token_act(void)
{
    static const uint8_t digest[DIGEST_BYTES] = {1, 2, 3};
    return store_put_token(bench.store, digest, "node-a", bench.now_s + 3600);
}
static void token_check(int result)
{
    int64_t n = sql_number("SELECT count(*) FROM token WHERE node = 'node-a'");
    assert_in_range(n, result == 0 ? 1 : 0, 1);
}

static uint8_t join_digest[DIGEST_BYTES] = {7};

static void with_join(void)
{
    with_root();
    const struct join_record j = {ALICE, "", bench.now_s, bench.now_s + 600};
    assert_int_equal(store_put_join(bench.store, join_digest, &j), 0);
}
static int join_act(void)
{
    struct ledger_entry e = {
        .audit = {bench.now_s, "given", "x", PROOF_JOIN_TOKEN, ALICE, "07", ""},
        .issued = {"07", ALICE, "x", 1, 2, 3, PROOF_JOIN_TOKEN},
        .spends = join_digest,
    }, *entry = &e;
    ledger_write(bench.store, &entry, 1);
    return e.result;
}
/* Spent, with a certificate and its line; or as before. */
static void join_check(int result)
{
    int64_t left = sql_number("SELECT count(*) FROM join_token");
    assert_in_range(left, 0, result == 0 ? 0 : 1);
    assert_int_equal(ledger_has("07"), 1 - left);
}

static void with_old_ones(void)
{
    with_root();
    for (int64_t i = 0; i < 3; i++) {
        char serial[] = {(char)('a' + i), '\0'};
        const struct issued_record r = {serial, BOB, "x", 1, 10 + i, 3, ""};
        assert_int_equal(store_put_issued(bench.store, &r), 0);
    }
    assert_int_equal(store_put_revocation(bench.store, REVOKED_SERIAL, "a", 3, ""), 0);
}
static int forget_act(void)
{
    uint64_t n = 0;
    return store_forget(bench.store, 12, 9, &n);
}
/* A certificate goes with its revocation. */
static void forget_check(int result)
{
    int64_t left = sql_number("SELECT count(*) FROM issued WHERE identity = '" BOB "'");
    assert_true(left == 1 || (result != 0 && left == 3));
    assert_int_equal(sql_number("SELECT count(*) FROM revocation"), left == 3);
}

/* The step of a rotation in which another root begins to sign. */
static void with_next_root(void)
{
    const struct rotation_by by = {"x", PROOF_COMMAND_LINE};
    with_root();
    assert_int_equal(store_begin(bench.store), 0);
    assert_int_equal(rotation_begin(bench.store, bench.now_s, &by, why), 0);
    assert_int_equal(store_commit(bench.store), 0);
}
static int rotate_act(void)
{
    static struct root next;
    int r = root_open(&next, bench.store, bench.now_s + ROTATION_NOTICE_S + 1, why);
    if (r == 0) {
        root_done(&bench.root);
        bench.root = next;
    }
    return r;
}
/* All of it, or nothing of it. */
static void rotate_check(int result)
{
    int64_t old = sql_number("SELECT count(*) FROM authority WHERE state = 'old'");
    assert_in_range(old, result == 0 ? 1 : 0, 1);
    assert_int_equal(sql_number("SELECT count(*) FROM authority WHERE state = 'next'"), 1 - old);
    assert_int_equal(
        sql_number("SELECT count(*) FROM authority WHERE kind = 'intermediate'"), 1 + old);
    assert_int_equal(sql_number("SELECT count(*) FROM audit WHERE outcome = 'rotated'"), 1 + old);
    assert_int_equal(sql_number("SELECT id FROM authority WHERE kind = 'root' AND state = 'signs'"),
                     old ? 3 : 1);
}

static const struct scenario opening = {0, nothing, open_act, open_check},
                             authorities = {0, with_store, root_act, roots_check},
                             issuing = {0, with_root, issue_act, issue_check},
                             renewing = {YEAR_S * 3 / 4, with_root, renew_act, renew_check},
                             token = {0, with_store, token_act, token_check},
                             joining = {0, with_join, join_act, join_check},
                             forgetting = {0, with_old_ones, forget_act, forget_check},
                             rotating = {0, with_next_root, rotate_act, rotate_check};

/* Whether the n-th access was reached. */
static bool play(const struct scenario *s, enum disk_fault fault, long n)
{
    void *state = NULL;
    bench_folder(&state);
    one_key();
    s->prepare();
    disk_fail_at(fault, n);
    int r = s->act();
    bool reached = disk.happened, dead = reached && fault == DISK_TORN;
    if (!dead) { /* the process goes on, and now the disk does, too */
        disk_fail_at(fault, 0);
        if (bench.store)
            s->check(r);
        if (bench.has_root)
            goes_on(bench.now_s + s->later_s);
    }
    if (bench.has_root)
        root_done(&bench.root);
    bench.has_root = false;
    bench.store = store_close(bench.store); /* the last words of a dead one don't arrive */
    disk_fail_at(fault, 0);
    store_must_open();
    s->check(r);
    root_must_open(bench.now_s + s->later_s);
    assert_int_equal(sql_number("SELECT count(*) FROM authority WHERE kind = 'root'"
                                " AND state = 'signs'"),
                     1);
    goes_on(bench.now_s + s->later_s);
    assert_int_equal(store_check(bench.store, no_problem, NULL), 0);
    bench_done(&state);
    return reached;
}

static void play_all(const char *name, const struct scenario *s)
{
    for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
        long n = 1;
        while (n < ACCESSES_MAX && play(s, faults[i], n))
            n++;
        print_message("  %-12s fault %zu: %ld accesses\n", name, i, n - 1);
        assert_in_range(n, 2, ACCESSES_MAX - 1);
    }
}

#define SCENARIOS(X) X(opening) X(authorities) X(issuing) X(renewing) X(token) X(joining) X(forgetting) \
    X(rotating)
#define FUNCTION(name)                                                                             \
    static void name##_fails(void **state)                                                         \
    {                                                                                              \
        (void)state;                                                                               \
        play_all(#name, &name);                                                                    \
    }
SCENARIOS(FUNCTION)

int main(void)
{
#define TEST(name) cmocka_unit_test(name##_fails),
    const struct CMUnitTest tests[] = {SCENARIOS(TEST)};
    disk_open();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
