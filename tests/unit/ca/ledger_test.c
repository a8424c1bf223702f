/*
 * The ledger: what is told to be written is there, with its line; what comes together costs one
 * write; the store's last words on tokens and revocations; errors that leave nothing half; the end.
 */
#include "tests/unit/ca/ca_fixture.h"

#include "ca/ledger.h"
#include "tests/unit/ca/failing_disk.h"
#include "tests/unit/shared/transport/fixture.h"

enum { ENTRIES = 300 };
static struct ledger *ledger;
static struct entry {
    struct ledger_entry e;
    char serial[32];
    bool told;
} entries[LEDGER_MAX + 1];
static size_t n_told, n_wanted;
static bool closed;

static void on_closed(void *arg)
{
    assert_null(arg);
    closed = true;
    bed_poke();
}
static bool is_closed(void)
{
    return closed;
}
static bool all_are_told(void)
{
    return n_told >= n_wanted;
}

static int begin(void **state)
{
    char why[STORE_WHY_MAX];
    bench_store(state);
    if (bed_open(state) < 0)
        return -1;
    memset(entries, 0, sizeof entries);
    n_told = 0;
    closed = false;
    assert_int_equal(ledger_open(&ledger, bed.ring, bench.state, why), 0);
    return 0;
}

static int end(void **state)
{
    if (ledger) {
        ledger_close(ledger, on_closed, NULL);
        ledger = NULL;
        bed_run_until(is_closed);
    }
    bed_close(state);
    return bench_done(state);
}

static void on_written(struct ledger_entry *e)
{
    struct entry *entry = container_of(e, struct entry, e);
    assert_false(entry->told);
    entry->told = true;
    n_told++;
    bed_poke();
}

static struct ledger_entry *given(size_t i, const char *identity)
{
    struct entry *n = &entries[i];
    snprintf(n->serial, sizeof n->serial, "%zx", i);
    n->e = (struct ledger_entry){
        .audit = {7, "given", "node-a", PROOF_NODE_TOKEN, identity, n->serial, ""},
        .issued = {n->serial, identity, "node-a", 1, 2000, 3, PROOF_NODE_TOKEN},
        .result = 1,
        .written = on_written};
    return &n->e;
}

static struct ledger_entry *refused(size_t i)
{
    entries[i].e = (struct ledger_entry){
        .audit = {7, "refused", "10.0.0.1", PROOF_NONE, "", "", "the token is unknown"},
        .result = 1,
        .written = on_written};
    return &entries[i].e;
}

static void await(size_t n)
{
    n_wanted = n;
    bed_run_until(all_are_told);
    assert_int_equal(n_told, n);
}

static void no_problem(const char *text, void *arg)
{
    (void)arg;
    fail_msg("%s", text);
}

static void check_whole(void)
{
    assert_int_equal(store_check(bench.store, no_problem, NULL), 0);
}

static void put_join(const char *text, uint8_t digest[static DIGEST_BYTES])
{
    const struct join_record j = {ALICE, "", 1, 1000};
    assert_int_equal(digest_sha256(text_of(text), digest), 0);
    assert_int_equal(store_put_join(bench.store, digest, &j), 0);
}

/* ---- what is written ------------------------------------------------------ */

static void each_with_its_line(void **state)
{
    (void)state;
    assert_int_equal(ledger_put(ledger, given(0, ALICE)), 0);
    assert_int_equal(ledger_put(ledger, refused(1)), 0);
    assert_false(entries[0].told); /* never before the ring turns */
    await(2);
    assert_int_equal(entries[0].e.result, 0);
    assert_int_equal(entries[1].e.result, 0);
    assert_int_equal(count_issued(), 1);
    assert_int_equal(sql_number("SELECT count(*) FROM audit WHERE at = 7 AND outcome = 'given'"
                                " AND serial = '0' AND asker = 'node-a' AND identity = '" ALICE
                                "' AND proof = 'node-token'"),
                     1);
    assert_int_equal(sql_number("SELECT count(*) FROM audit WHERE outcome = 'refused'"
                                " AND asker = '10.0.0.1' AND reason = 'the token is unknown'"),
                     1);
    check_whole();
}

/* Somebody else writes for a while: all that comes meanwhile is written at once. */
static void what_comes_together_costs_one_write(void **state)
{
    sqlite3 *other = sql_open();
    (void)state;
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    for (size_t i = 0; i < ENTRIES; i++)
        assert_int_equal(ledger_put(ledger, given(i, ALICE)), 0);
    long before = disk.syncs;
    assert_int_equal(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
    await(ENTRIES);
    assert_in_range(disk.syncs - before, 1, 8);
    assert_int_equal(count_issued(), ENTRIES);
    /* In the order in which they were decided. */
    assert_int_equal(sql_number("SELECT count(*) FROM audit a JOIN audit b ON b.id = a.id + 1"
                                " WHERE length(a.serial) > length(b.serial) OR"
                                " (length(a.serial) = length(b.serial) AND a.serial >= b.serial)"),
                     0);
    check_whole();
}

static void no_more_than_there_may_be(void **state)
{
    sqlite3 *other = sql_open();
    (void)state;
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    for (size_t i = 0; i < LEDGER_MAX; i++)
        assert_int_equal(ledger_put(ledger, refused(i)), 0);
    assert_int_equal(ledger_put(ledger, refused(LEDGER_MAX)), -EAGAIN);
    assert_int_equal(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
    await(LEDGER_MAX);
    assert_int_equal(ledger_put(ledger, refused(LEDGER_MAX)), 0);
    await(LEDGER_MAX + 1);
}

/* ---- the last word --------------------------------------------------------- */

static int64_t refusals(const char *reason)
{
    char sql[256];
    snprintf(sql, sizeof sql,
             "SELECT count(*) FROM audit WHERE outcome = 'refused' AND serial = ''"
             " AND reason = '%s'",
             reason);
    return sql_number(sql);
}

static struct ledger_entry *with_key(size_t i, const char *identity, const uint8_t *key)
{
    struct ledger_entry *e = given(i, identity);
    e->key = key;
    return e;
}

static int write_one(struct ledger_entry *e)
{
    ledger_write(bench.store, &e, 1);
    return e->result;
}

/* Also of those that are written at once; until nothing of it is remembered. */
static void a_key_is_held_by_one(void **state)
{
    static const uint8_t keys[][DIGEST_BYTES] = {{9}, {1}};
    static const int results[] = {0, 0, -ENOTUNIQ, 0, 0};
    uint64_t n;
    (void)state;
    struct ledger_entry *e[] = {with_key(0, ALICE, keys[0]), with_key(1, BOB, keys[1]),
                                with_key(2, BOB, keys[0]), with_key(3, ALICE, keys[0]),
                                given(4, BOB)};
    ledger_write(bench.store, e, ARRAY_SIZE(e));
    for (size_t i = 0; i < ARRAY_SIZE(results); i++)
        assert_int_equal(e[i]->result, results[i]);
    assert_string_equal(e[2]->why, "the key is another identity's");
    assert_int_equal(write_one(with_key(5, ALICE, keys[1])), -ENOTUNIQ);
    assert_int_equal(refusals("the key is another identity''s"), 2);
    assert_int_equal(count_issued(), 4);
    check_whole();
    /* They ended at 2000, but for one of them. */
    struct ledger_entry *longer = with_key(6, BOB, keys[1]);
    longer->issued.not_after_s = 3000;
    assert_int_equal(write_one(longer), 0);
    assert_int_equal(write_one(with_key(7, BOB, keys[1])), 0);
    assert_int_equal(store_forget(bench.store, 2000, 100, &n), 0);
    assert_int_equal(n, 0);
    assert_int_equal(write_one(with_key(8, BOB, keys[0])), -ENOTUNIQ);
    assert_int_equal(store_forget(bench.store, 2001, 100, &n), 0);
    assert_int_equal(n, 5);
    assert_int_equal(write_one(with_key(9, BOB, keys[0])), 0);
    assert_int_equal(write_one(with_key(10, ALICE, keys[1])), -ENOTUNIQ);
}

static void a_token_is_spent_once(void **state)
{
    struct ledger_entry *both[] = {given(0, ALICE), given(1, ALICE)}, *late = given(2, ALICE);
    uint8_t digest[DIGEST_BYTES];
    (void)state;
    put_join("token", digest);
    both[0]->spends = both[1]->spends = late->spends = digest;
    ledger_write(bench.store, both, 2); /* in the same change */
    assert_int_equal(both[0]->result, 0);
    assert_int_equal(both[1]->result, -ENOENT);
    must_contain(both[1]->why, "used before");
    assert_int_equal(ledger_put(ledger, late), 0);
    await(1);
    assert_int_equal(late->result, -ENOENT);
    assert_int_equal(count_issued(), 1);
    assert_int_equal(refusals("the join token was used before"), 2);
    /* One that is refused spends it, too. */
    put_join("other", digest);
    both[0] = refused(3);
    both[0]->spends = digest;
    ledger_write(bench.store, both, 1);
    assert_int_equal(both[0]->result, 0);
    assert_int_equal(sql_number("SELECT count(*) FROM join_token"), 0);
    check_whole();
}

static void nothing_for_the_revoked(void **state)
{
    struct ledger_entry *e[] = {given(0, ALICE), given(1, BOB)};
    bool revoked = false;
    (void)state;
    ledger_write(bench.store, e, 2);
    assert_int_equal(store_put_revocation(bench.store, REVOKED_IDENTITY, ALICE, 100, "stolen"), 0);
    assert_int_equal(store_put_revocation(bench.store, REVOKED_IDENTITY, ALICE, 100, ""), -EEXIST);
    assert_int_equal(store_is_revoked(bench.store, REVOKED_SERIAL, "0", &revoked), 0);
    assert_true(revoked);
    assert_int_equal(store_is_revoked(bench.store, REVOKED_SERIAL, "1", &revoked), 0);
    assert_false(revoked);
    e[0] = given(2, ALICE);
    e[1] = given(3, BOB);
    ledger_write(bench.store, e, 2);
    assert_int_equal(e[0]->result, -EKEYREVOKED);
    assert_int_equal(e[1]->result, 0);
    assert_int_equal(count_issued(), 3);
    assert_int_equal(refusals("the identity is revoked"), 1);
    /* Allowed again: but what was revoked stays so. */
    assert_int_equal(store_lift_revocation(bench.store, REVOKED_IDENTITY, ALICE), 0);
    assert_int_equal(store_lift_revocation(bench.store, REVOKED_IDENTITY, ALICE), -ENOENT);
    e[0] = given(4, ALICE);
    ledger_write(bench.store, e, 1);
    assert_int_equal(e[0]->result, 0);
    assert_int_equal(store_is_revoked(bench.store, REVOKED_SERIAL, "0", &revoked), 0);
    assert_true(revoked);
    assert_int_equal(store_is_revoked(bench.store, REVOKED_SERIAL, "4", &revoked), 0);
    assert_false(revoked);
    check_whole();
}

/* It may have been revoked after its renewal was decided. */
static void nothing_for_a_certificate_that_is_revoked(void **state)
{
    struct ledger_entry *e[] = {given(0, ALICE), given(1, ALICE)};
    (void)state;
    ledger_write(bench.store, e, 2);
    assert_int_equal(store_put_revocation(bench.store, REVOKED_SERIAL, "0", 100, "lost"), 0);
    e[0] = given(2, ALICE);
    e[0]->renews = "0";
    e[1] = given(3, ALICE);
    e[1]->renews = "1";
    ledger_write(bench.store, e, 2);
    assert_int_equal(e[0]->result, -EKEYREJECTED);
    must_contain(e[0]->why, "certificate is revoked");
    assert_int_equal(e[1]->result, 0);
    assert_int_equal(count_issued(), 3);
    assert_int_equal(refusals("the certificate is revoked"), 1);
    check_whole();
}

static void no_serial_twice(void **state)
{
    struct ledger_entry *e[] = {given(0, ALICE), given(1, ALICE)};
    (void)state;
    e[1]->issued.serial = e[1]->audit.serial = e[0]->issued.serial;
    ledger_write(bench.store, e, 2);
    assert_int_equal(e[0]->result, 0);
    assert_int_equal(e[1]->result, -EEXIST);
    assert_int_equal(count_issued(), 1);
    assert_int_equal(refusals("the serial was used before"), 1);
    check_whole();
}

/* ---- lines stay ------------------------------------------------------------- */

static void a_line_is_for_good(void **state)
{
    const char *const attempts[] = {"DELETE FROM audit", "UPDATE audit SET reason = 'x'",
                                    postgres.on ? "TRUNCATE audit" : "UPDATE audit SET id = 100"};
    struct ledger_entry *e = refused(0);
    (void)state;
    ledger_write(bench.store, &e, 1);
    for (size_t i = 0; i < ARRAY_SIZE(attempts); i++) {
        must_contain(sql_error(attempts[i]), "audit log");
    }
    assert_int_equal(sql_number("SELECT count(*) FROM audit WHERE id = 1"), 1);
}

static size_t n_problems;
static char problem[256];
static void take_problem(const char *text, void *arg)
{
    (void)arg;
    n_problems++;
    snprintf(problem, sizeof problem, "%s", text);
}

static void a_missing_line_is_found(void **state)
{
    struct ledger_entry *e = given(0, ALICE);
    (void)state;
    ledger_write(bench.store, &e, 1);
    sql_run(postgres.on ? "DROP TRIGGER audit_stays ON audit; DELETE FROM audit"
                        : "DROP TRIGGER audit_keeps; DELETE FROM audit");
    n_problems = 0;
    assert_int_equal(store_check(bench.store, take_problem, NULL), 0);
    assert_int_equal(n_problems, 1);
    must_contain(problem, "certificate 0 of " ALICE " has no line");
    sql_run("INSERT INTO audit (at, outcome, asker, proof, identity, serial, reason)"
            " VALUES (1, 'given', '', '', '" ALICE "', '0', ''),"
            " (1, 'given', '', '', '" ALICE "', 'ff', '')");
    assert_int_equal(store_check(bench.store, take_problem, NULL), 0);
    assert_int_equal(n_problems, 2);
    must_contain(problem, "certificate ff, which was never issued");
}

/* Whoever can't find a certificate that was forgotten finds nothing wrong; one of later, he does. */
static void what_is_forgotten_is_no_problem(void **state)
{
    struct ledger_entry *e[] = {given(0, ALICE), given(1, ALICE), given(2, ALICE)};
    uint64_t n = 0;
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        e[i]->audit.at_s = 10 * ((int64_t)i + 1) - 5;
        e[i]->issued.not_after_s = 10 * ((int64_t)i + 1);
    }
    ledger_write(bench.store, e, 3);
    assert_int_equal(store_forget(bench.store, 10, 7, &n), 0); /* ends at 10: is not before */
    assert_int_equal(n, 0);
    assert_int_equal(store_forget(bench.store, 21, 1, &n), 0);
    assert_int_equal(n, 1);
    assert_int_equal(store_forget(bench.store, 21, 7, &n), 0);
    assert_int_equal(n, 1);
    assert_int_equal(sql_number("SELECT min(not_after) FROM issued"), 30);
    check_whole();
    assert_int_equal(store_forget(bench.store, 1, 7, &n), 0); /* a clock that was set back */
    check_whole();
    sql_run("DELETE FROM issued");
    n_problems = 0;
    assert_int_equal(store_check(bench.store, take_problem, NULL), 0);
    assert_int_equal(n_problems, 1);
    must_contain(problem, "certificate 2, which was never issued");
}

/* ---- errors ------------------------------------------------------------------ */

static void all_of_a_change_or_nothing(void **state)
{
    (void)state;
    sql_run("ALTER TABLE audit RENAME TO gone");
    struct ledger_entry *e[] = {given(0, ALICE), given(1, ALICE), given(2, ALICE)};
    ledger_write(bench.store, e, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(e[i]->result, -EIO);
        must_contain(e[i]->why, "ledger can't be written");
    }
    assert_int_equal(count_issued(), 0);
    assert_int_equal(ledger_put(ledger, given(3, ALICE)), 0);
    await(1);
    assert_int_equal(entries[3].e.result, -EIO);
    sql_run("ALTER TABLE gone RENAME TO audit");
    assert_int_equal(ledger_put(ledger, given(4, ALICE)), 0);
    await(2);
    assert_int_equal(entries[4].e.result, 0);
    assert_int_equal(count_issued(), 1);
    check_whole();
}

static void at_the_end_all_are_told(void **state)
{
    (void)state;
    for (size_t i = 0; i < 50; i++)
        assert_int_equal(ledger_put(ledger, given(i, ALICE)), 0);
    ledger_close(ledger, on_closed, NULL);
    assert_int_equal(ledger_put(ledger, given(50, ALICE)), -EAGAIN); /* nobody would tell of it */
    ledger = NULL;
    bed_run_until(is_closed);
    assert_int_equal(n_told, 50);
    assert_int_equal(count_issued(), 50);
    ledger_close(NULL, on_closed, NULL);
}

static void needs_a_state(void **state)
{
    struct ledger *other;
    char why[STORE_WHY_MAX];
    (void)state;
    bench_state("none");
    assert_int_equal(ledger_open(&other, bed.ring, bench.state, why), -ENOENT);
    must_contain(why, bench.state);
    must_contain(why, "no CA's state");
}

/* ---- killed ------------------------------------------------------------------- */

enum { KILLS = 25, AT_ONCE = 7 };

/* Changes of AT_ONCE certificates, one of which spends a token; a byte tells of each. */
static int write_for_ever(int fd)
{
    char why[STORE_WHY_MAX], serials[AT_ONCE][32];
    struct ledger_entry e[AT_ONCE], *all[AT_ONCE];
    uint8_t digest[DIGEST_BYTES];
    struct store *s;
    if (store_open(&s, bench.state, why) < 0)
        return 1;
    for (uint64_t n = 0;; n++) {
        const struct join_record j = {ALICE, "", 1, INT64_MAX};
        memset(digest, 0, sizeof digest);
        memcpy(digest, &n, sizeof n);
        memcpy(digest + 8, &(pid_t){getpid()}, sizeof(pid_t));
        if (store_put_join(s, digest, &j) < 0)
            return 2;
        for (size_t i = 0; i < AT_ONCE; i++) {
            snprintf(serials[i], sizeof serials[i], "%d-%llu-%zu", (int)getpid(),
                     (unsigned long long)n, i);
            e[i] = (struct ledger_entry){
                .audit = {7, "given", "n", PROOF_JOIN_TOKEN, ALICE, serials[i], ""},
                .issued = {serials[i], ALICE, "n", 1, 2, 3, PROOF_JOIN_TOKEN},
                .spends = i == 3 ? digest : NULL};
            all[i] = &e[i];
        }
        ledger_write(s, all, AT_ONCE);
        for (size_t i = 0; i < AT_ONCE; i++)
            if (e[i].result != 0)
                return 3;
        if (write(fd, "", 1) != 1)
            return 4;
    }
}

static void killed_at_any_moment(void **state)
{
    struct rng rng;
    uint64_t known = 0;
    int64_t unspent = 0;
    int told[2];
    char byte;
    (void)state;
    test_seed(&rng);
    for (int round = 0; round < (postgres.on ? KILLS / 2 : KILLS); round++) {
        assert_int_equal(pipe2(told, O_CLOEXEC), 0);
        pid_t pid = child_start(write_for_ever, told[1]);
        close(told[1]);
        uint64_t done = 0, wanted = 1 + rng_below(&rng, 8);
        while (done < wanted && read(told[0], &byte, 1) == 1)
            done++;
        assert_int_equal(done, wanted);
        for (uint64_t spin = rng_below(&rng, 3000000); spin > 0; spin--)
            __asm__ volatile("");
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(child_end(pid), 1000 + SIGKILL);
        while (read(told[0], &byte, 1) == 1)
            done++;
        close(told[0]);
        bench_settle();
        uint64_t now = count_issued() / AT_ONCE;
        assert_int_equal(count_issued() % AT_ONCE, 0);
        assert_in_range(now, known + done, known + done + 1);
        known = now;
        /* Killed between the making of a token and its use, at most. */
        int64_t left = sql_number("SELECT count(*) FROM join_token");
        assert_in_range(left, unspent, unspent + 1);
        unspent = left;
        check_whole();
    }
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest in_files[] = {
        TEST(what_comes_together_costs_one_write),
        TEST(no_more_than_there_may_be),
    };
    const struct CMUnitTest both[] = {
        cmocka_unit_test_setup_teardown(killed_at_any_moment, bench_store, bench_done),
        TEST(each_with_its_line),
        TEST(a_token_is_spent_once),
        TEST(a_key_is_held_by_one),
        TEST(nothing_for_the_revoked),
        TEST(nothing_for_a_certificate_that_is_revoked),
        TEST(no_serial_twice),
        TEST(a_line_is_for_good),
        TEST(a_missing_line_is_found),
        TEST(what_is_forgotten_is_no_problem),
        TEST(all_of_a_change_or_nothing),
        TEST(at_the_end_all_are_told),
        TEST(needs_a_state),
    };
    disk_open();
    return RUN_OVER_BOTH(in_files, both);
}
