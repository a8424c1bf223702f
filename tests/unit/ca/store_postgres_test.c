/*
 * The store in a database that fails: connections and statements that end at any moment, a server
 * that crashes and comes back, one that is away, one that would forget. What was said to be done
 * is there afterwards with its line, what failed is there whole or not at all, and no serial twice.
 */
#include "tests/unit/ca/ca_fixture.h"

#include "ca/ledger.h"
#include <pthread.h>
#include <stdatomic.h>

enum { CHANGES = 20000, ENOUGH = 20, AT_ONCE = 4, CRASHES = 4, CHANGES_A_CRASH = 20 };
enum { STRIKE_MIN_NS = 1000000, STRIKE_MAX_NS = 256000000 }; /* between two, at random up to it */

static char why[STORE_WHY_MAX];

static void no_problem(const char *text, void *arg)
{
    (void)arg;
    fail_msg("%s", text);
}

static void digest_of(uint64_t n, uint8_t digest[static DIGEST_BYTES])
{
    memset(digest, 0, DIGEST_BYTES);
    memcpy(digest, &n, sizeof n);
}

/* AT_ONCE certificates, one of which spends the token n, which is made before. */
static int change(uint64_t n)
{
    static char serials[AT_ONCE][32];
    static uint8_t digest[DIGEST_BYTES];
    struct ledger_entry e[AT_ONCE], *all[AT_ONCE];
    const struct join_record j = {ALICE, "", 1, INT64_MAX};
    digest_of(n, digest);
    int r = store_put_join(bench.store, digest, &j);
    if (r < 0)
        return r;
    for (size_t i = 0; i < AT_ONCE; i++) {
        snprintf(serials[i], sizeof serials[i], "%llu-%zu", (unsigned long long)n, i);
        e[i] = (struct ledger_entry){
            .audit = {7, "given", "n", PROOF_JOIN_TOKEN, ALICE, serials[i], ""},
            .issued = {serials[i], ALICE, "n", 1, 2, 3, PROOF_JOIN_TOKEN},
            .spends = i == 2 ? digest : NULL};
        all[i] = &e[i];
    }
    ledger_write(bench.store, all, AT_ONCE);
    for (size_t i = 1; i < AT_ONCE; i++)
        assert_int_equal(e[i].result, e[0].result);
    if (e[0].result < 0)
        assert_true(e[0].why[0] != '\0');
    return e[0].result;
}

/* How many of a change are there; all with their lines, and the token is spent with them. */
static void change_is_whole(uint64_t n, int result)
{
    char sql[256];
    snprintf(sql, sizeof sql,
             "SELECT count(*) FROM issued JOIN audit USING (serial) WHERE serial LIKE '%llu-%%'",
             (unsigned long long)n);
    int64_t there = sql_number(sql);
    if (there != AT_ONCE && (there != 0 || result == 0))
        fail_msg("change %llu: result %d, %lld certificates", (unsigned long long)n, result,
                 (long long)there);
    snprintf(sql, sizeof sql,
             "SELECT count(*) FROM join_token WHERE digest = decode('%02x%02x', 'hex') ||"
             " decode(repeat('00', 30), 'hex')",
             (unsigned)(n & 255), (unsigned)(n >> 8));
    if (there > 0)
        assert_int_equal(sql_number(sql), 0);
}

/* ---- connections and statements that end ---------------------------------- */

static atomic_bool over;
static atomic_long strike_ns;

static void *strike(void *arg)
{
    struct rng *rng = arg;
    PGconn *c = postgres_connect();
    while (!atomic_load(&over)) {
        const struct timespec nap = {.tv_nsec = (long)rng_below(rng, (uint64_t)atomic_load(&strike_ns))};
        nanosleep(&nap, NULL); /* the moment is of no matter */
        PQclear(PQexec(c, rng_below(rng, 2)
                              ? "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                                " WHERE application_name = 'weir-ca'"
                              : "SELECT pg_cancel_backend(pid) FROM pg_stat_activity"
                                " WHERE application_name = 'weir-ca'"));
    }
    PQfinish(c);
    return NULL;
}

/* So often that about each second change is struck, however fast the machine is; where it is slow, one of many will do. */
static void strike_less(bool less)
{
    long ns = atomic_load(&strike_ns);
    if (less ? ns < STRIKE_MAX_NS : ns > STRIKE_MIN_NS)
        atomic_store(&strike_ns, less ? ns * 2 : ns / 2);
}

/* It may look for the server again, and finds it. */
static void is_back(void)
{
    const struct timespec nap = {.tv_nsec = 10000000};
    while (store_begin(bench.store) < 0) {
        strike_less(true);
        nanosleep(&nap, NULL);
    }
    store_rollback(bench.store);
}

static void struck_at_any_moment(void **state)
{
    static int results[CHANGES];
    struct rng rng;
    pthread_t thread;
    size_t done = 0, lost = 0, n;
    (void)state;
    test_seed(&rng);
    atomic_store(&over, false);
    atomic_store(&strike_ns, STRIKE_MIN_NS);
    assert_int_equal(pthread_create(&thread, NULL, strike, &rng), 0);
    for (n = 0; n < CHANGES && (done < ENOUGH || lost < ENOUGH); n++) {
        results[n] = change(n);
        done += results[n] == 0;
        lost += results[n] < 0;
        strike_less(results[n] < 0);
        is_back();
    }
    atomic_store(&over, true);
    pthread_join(thread, NULL);
    is_back();
    assert_int_equal(change(CHANGES), 0);
    for (size_t i = 0; i < n; i++)
        change_is_whole(i, results[i]);
    assert_int_equal(store_check(bench.store, no_problem, NULL), 0);
    print_message("  %zu changes done, %zu failed\n", done, lost);
    assert_true(done >= ENOUGH && lost >= ENOUGH);
}

static void a_server_that_crashes(void **state)
{
    uint64_t n = 0;
    (void)state;
    for (int crash = 0; crash < CRASHES; crash++) {
        for (int i = 0; i < CHANGES_A_CRASH; i++)
            assert_int_equal(change(n++), 0);
        assert_int_equal(store_begin(bench.store), 0);
        const struct issued_record half = {"half", ALICE, "n", 1, 2, 3, ""};
        assert_int_equal(store_put_issued(bench.store, &half), 0);
        postgres_end(SIGQUIT);
        assert_int_equal(store_commit(bench.store), -EIO);
        store_rollback(bench.store);
        assert_int_equal(store_begin(bench.store), -EIO); /* away */
        assert_true(store_why(bench.store)[0] != '\0');
        postgres_run();
        const struct timespec nap = {.tv_nsec = 10000000};
        while (store_begin(bench.store) < 0)
            nanosleep(&nap, NULL);
        store_rollback(bench.store);
        assert_int_equal(count_issued(), n * AT_ONCE);
    }
    for (uint64_t i = 0; i < n; i++)
        change_is_whole(i, 0);
    assert_int_equal(store_check(bench.store, no_problem, NULL), 0);
}

/* Nothing has failed for the one who asks: there was no change yet. */
static void a_server_that_was_started_anew(void **state)
{
    (void)state;
    assert_int_equal(change(1), 0);
    postgres_end(SIGINT);
    postgres_run();
    assert_int_equal(store_begin(bench.store), 0);
    assert_int_equal(store_commit(bench.store), 0);
    postgres_end(SIGINT);
    postgres_run();
    assert_int_equal(count_issued(), AT_ONCE);
}

/* COMMIT is answered without an error then. */
static void a_change_that_failed_is_not_done(void **state)
{
    const struct issued_record r = {"1", ALICE, "n", 1, 2, 3, ""};
    uint8_t digest[DIGEST_BYTES] = {1};
    (void)state;
    sql_run("DROP TABLE token");
    assert_int_equal(store_begin(bench.store), 0);
    assert_int_equal(store_put_issued(bench.store, &r), 0);
    assert_int_equal(store_put_token(bench.store, digest, "n", 1), -EIO);
    assert_int_equal(store_commit(bench.store), -EIO);
    must_contain(store_why(bench.store), "taken back");
    assert_int_equal(count_issued(), 0);
}

/* ---- several replicas ------------------------------------------------------ */

static void one_of_two_gets_it(void **state)
{
    struct store *other;
    uint8_t digest[DIGEST_BYTES] = {9};
    const struct join_record j = {ALICE, "", 1, INT64_MAX};
    const struct issued_record r = {"1", ALICE, "n", 1, 2, 3, ""};
    (void)state;
    assert_int_equal(store_open_existing(&other, bench.state, why), 0);
    assert_int_equal(store_put_join(bench.store, digest, &j), 0);
    assert_int_equal(store_spend_join(other, digest), 0);
    assert_int_equal(store_spend_join(bench.store, digest), -ENOENT);
    /* Those that only add go on beside each other. */
    assert_int_equal(store_begin_beside(bench.store), 0);
    assert_int_equal(store_put_issued(bench.store, &r), 0);
    assert_int_equal(store_begin_beside(other), 0);
    assert_int_equal(store_commit(bench.store), 0);
    assert_int_equal(store_put_issued(other, &r), -EEXIST);
    assert_int_equal(store_commit(other), 0);
    store_close(other);
}

static int64_t locks(const char *mode)
{
    char sql[128];
    snprintf(sql, sizeof sql,
             "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND mode = '%s'", mode);
    return sql_number(sql);
}

/* What revokes or spends waits for those that add, and they for it; until its end. */
static void who_is_alone_holds_the_lock(void **state)
{
    (void)state;
    assert_int_equal(store_begin(bench.store), 0);
    assert_int_equal(locks("ExclusiveLock"), 1);
    assert_int_equal(store_commit(bench.store), 0);
    assert_int_equal(store_begin_beside(bench.store), 0);
    assert_int_equal(locks("ExclusiveLock"), 0);
    assert_int_equal(locks("ShareLock"), 1);
    store_rollback(bench.store);
    assert_int_equal(locks("ShareLock"), 0);
}

/* ---- what it is told of ----------------------------------------------------- */

static void texts_that_are_no_utf8(void **state)
{
    const struct audit_record a = {7, "refused", "n", PROOF_NONE, "spiffe://\xff\xfe/\xc3\xa4", "", ""};
    (void)state;
    assert_int_equal(store_put_audit(bench.store, &a), 0);
    assert_int_equal(sql_number("SELECT count(*) FROM audit WHERE identity = 'spiffe://?\?/?\?'"), 1);
}

static int open_told(const char *conninfo, unsigned mode)
{
    char where[160], path[128];
    struct store *s = NULL;
    text_write("told", conninfo);
    snprintf(path, sizeof path, "%s/told", bench.folder);
    assert_int_equal(chmod(path, mode), 0);
    snprintf(where, sizeof where, "postgresql:%s", path);
    int r = store_open(&s, where, why);
    store_close(s);
    return r;
}

static void what_is_refused(void **state)
{
    char good[160];
    (void)state;
    snprintf(good, sizeof good, "host=%s user=weir dbname=postgres\n", postgres.folder);
    assert_int_equal(open_told(good, 0644), -EPERM);
    must_contain(why, "0600");
    assert_int_equal(open_told("host=x pass word=secret", 0600), -EINVAL);
    must_contain(why, "KEY=VALUE");
    must_not_contain(why, "secret");
    assert_int_equal(open_told("host=/nowhere user=weir password=secret", 0600), -EIO);
    must_contain(why, "/nowhere");
    must_not_contain(why, "secret");
    assert_true(store_open(&bench.store, "postgresql:/nowhere/told", why) == -ENOENT);
    char copy[128];
    snprintf(copy, sizeof copy, "%s/copy", bench.folder);
    store_must_open();
    assert_int_equal(store_backup(bench.store, copy, why), -ENOTSUP);
    must_contain(why, "pg_dump");
    assert_int_equal(store_restore(bench.state, copy, 1, why), -ENOTSUP);
}

static void a_server_that_would_forget(void **state)
{
    struct store *s;
    (void)state;
    postgres_do("ALTER SYSTEM SET fsync = off");
    postgres_do("ALTER SYSTEM SET synchronous_commit = off");
    postgres_do("SELECT pg_reload_conf()");
    const struct timespec nap = {.tv_nsec = 10000000};
    while (sql_number("SELECT current_setting('fsync') = 'on'"))
        nanosleep(&nap, NULL);
    assert_int_equal(store_open(&s, bench.state, why), -ENOTSUP);
    must_contain(why, "fsync");
    postgres_do("ALTER SYSTEM RESET fsync");
    postgres_do("SELECT pg_reload_conf()");
    while (!sql_number("SELECT current_setting('fsync') = 'on'"))
        nanosleep(&nap, NULL);
    store_must_open(); /* what a session may set, ours does */
    assert_int_equal(store_begin(bench.store), 0);
    assert_int_equal(store_commit(bench.store), 0);
}

int main(void)
{
#define WITH_STORE(f)  cmocka_unit_test_setup_teardown(f, bench_store, bench_done)
#define WITH_FOLDER(f) cmocka_unit_test_setup_teardown(f, bench_folder, bench_done)
    const struct CMUnitTest tests[] = {
        WITH_STORE(struck_at_any_moment),
        WITH_STORE(a_server_that_crashes),
        WITH_STORE(a_server_that_was_started_anew),
        WITH_STORE(a_change_that_failed_is_not_done),
        WITH_STORE(one_of_two_gets_it),
        WITH_STORE(who_is_alone_holds_the_lock),
        WITH_STORE(texts_that_are_no_utf8),
        WITH_FOLDER(what_is_refused),
        WITH_FOLDER(a_server_that_would_forget),
    };
    return cmocka_run_group_tests(tests, postgres_group, postgres_group_end);
}
