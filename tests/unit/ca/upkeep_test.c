/*
 * What a running CA does by itself: its own certificate, at the start and anew; a new issuing
 * certificate; certificates that ended long ago go. The ring's thread waits for no disk meanwhile,
 * and after an error the next time tries again.
 */
#include "tests/unit/ca/ca_fixture.h"

#include "ca/upkeep.h"
#include "tests/unit/shared/transport/fixture.h"

enum { OLD = 1200, KEEP_S = 1000 };
_Static_assert(OLD > 2 * UPKEEP_FORGET_AT_ONCE, "more than at once");
static struct ledger *ledger;
static struct upkeep upkeep;
static struct spiffe_id self;
static const struct arg_list dns = {.items = {"ca.example.test"}, .n = 1};
static unsigned renewals;
static int answer;
static bool closed;

static int renewed(struct upkeep *u, const struct key *key, const struct x509 chain[static 2],
                   const char **why)
{
    assert_ptr_equal(u, &upkeep);
    assert_true(x509_has_key(&chain[0], key));
    assert_int_equal(x509_verify(chain, 2, bench.root.trusted, bench.root.n_trusted, clock_unix_s(), why), 0);
    renewals++;
    *why = "it is not wanted";
    return answer;
}

static unsigned changes;
static void has_changed(struct upkeep *u)
{
    assert_ptr_equal(u, &upkeep);
    changes++;
    bed_poke();
}

static int start(void)
{
    const struct upkeep_options o = {.ring = bed.ring,
                                     .root = &bench.root,
                                     .ledger = ledger,
                                     .self = &self,
                                     .dns = &dns,
                                     .keep_s = KEEP_S,
                                     .changed = has_changed};
    renewals = changes = 0;
    answer = 0;
    closed = false;
    return upkeep_open(&upkeep, &o, renewed);
}

static int begin_at(void **state, int64_t now_s)
{
    char why[STORE_WHY_MAX];
    bench_store(state);
    root_must_open(now_s);
    self = id_of(ALICE);
    if (bed_open(state) < 0)
        return -1;
    assert_int_equal(ledger_open(&ledger, bed.ring, bench.state, why), 0);
    return start();
}

static int begin(void **state)
{
    return begin_at(state, clock_unix_s());
}

/* So long ago that the issuing certificate is due. */
static int begin_long_ago(void **state)
{
    return begin_at(state, clock_unix_s() - 200 * (int64_t)DAY_S);
}

static void on_closed(void *arg)
{
    (void)arg;
    closed = true;
    bed_poke();
}
static bool is_closed(void)
{
    return closed;
}

static void stop(void)
{
    upkeep_stop(&upkeep);
    ledger_close(ledger, on_closed, NULL);
    bed_run_until(is_closed);
}

static int end(void **state)
{
    if (!closed)
        stop();
    bed_close(state);
    return bench_done(state);
}

static bool is_idle(void)
{
    return !upkeep.refreshes && !upkeep.renews && !upkeep.forgets;
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

/* ---- our own certificate --------------------------------------------------- */

static void ours_at_the_start_with_its_line(void **state)
{
    (void)state;
    assert_int_equal(renewals, 1);
    assert_int_equal(sql_number("SELECT count(*) FROM audit JOIN issued ON audit.serial ="
                                " issued.serial WHERE issued.identity = '" ALICE
                                "' AND outcome = 'given' AND audit.proof = 'itself'"),
                     1);
    int64_t left = upkeep.own_renew_s - clock_unix_s();
    assert_in_range(left, UPKEEP_OWN_TTL_S / 2 - 100, UPKEEP_OWN_TTL_S / 2);
    upkeep_now(&upkeep); /* is not due */
    bed_run_until(is_idle);
    assert_int_equal(renewals, 1);
    assert_int_equal(sql_number("SELECT before FROM forgotten"), 0); /* no minute writes for nothing */
}

static void ours_anew_while_the_disk_is_waited_for(void **state)
{
    sqlite3 *other = sql_open();
    (void)state;
    upkeep.own_renew_s = 0;
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    upkeep_now(&upkeep);
    upkeep_now(&upkeep); /* and not twice */
    bed_wait_ms(20);
    assert_int_equal(renewals, 1);
    assert_true(upkeep.renews);
    assert_int_equal(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
    bed_run_until(is_idle);
    upkeep_now(&upkeep); /* what it asks for comes behind all of that */
    bed_run_until(is_idle);
    assert_int_equal(renewals, 2);
    assert_int_equal(count_issued(), 2);
    assert_true(upkeep.own_renew_s > clock_unix_s());
}

static void tries_again_what_failed(void **state)
{
    (void)state;
    answer = -EINVAL;
    upkeep.own_renew_s = 0;
    upkeep_now(&upkeep);
    bed_run_until(is_idle);
    assert_int_equal(renewals, 2);
    sql_run("ALTER TABLE audit RENAME TO gone");
    upkeep_now(&upkeep);
    bed_run_until(is_idle);
    assert_int_equal(renewals, 2); /* nothing without its line */
    sql_run("ALTER TABLE gone RENAME TO audit");
    answer = 0;
    upkeep_now(&upkeep);
    bed_run_until(is_idle);
    assert_int_equal(renewals, 3);
    assert_true(upkeep.own_renew_s > clock_unix_s());
}

/* ---- the issuing certificate ------------------------------------------------ */

static void another_one_signs_when_it_is_time(void **state)
{
    char before[X509_PEM_MAX];
    (void)state;
    memcpy(before, bench.root.intermediate_pem, sizeof before);
    sql_run("ALTER TABLE authority RENAME TO gone");
    upkeep_now(&upkeep);
    bed_run_until(is_idle);
    assert_string_equal(bench.root.intermediate_pem, before); /* the old one is still good */
    sql_run("ALTER TABLE gone RENAME TO authority");
    upkeep.own_renew_s = 0; /* begins with the old one, and ends with the new one there */
    upkeep_now(&upkeep);
    bed_run_until(is_idle);
    assert_string_not_equal(bench.root.intermediate_pem, before);
    assert_ptr_equal(bench.root.store, bench.store);
    assert_int_equal(renewals, 2);
    assert_false(root_is_due(&bench.root, clock_unix_s()));
    upkeep.own_renew_s = 0;
    upkeep_now(&upkeep);
    bed_run_until(is_idle);
    assert_int_equal(renewals, 3);
    assert_int_equal(sql_number("SELECT count(*) FROM authority WHERE kind = 'intermediate'"), 2);
}

/* ---- what another process changes ------------------------------------------- */

static bool is_seen(void)
{
    return changes > 0 && is_idle();
}

static void hurry(const struct rotation_by *by)
{
    char why[STORE_WHY_MAX];
    bool done;
    assert_int_equal(store_begin(bench.store), 0);
    assert_int_equal(rotation_go_on(bench.store, clock_unix_s(), true, by, &done, why), 0);
    assert_int_equal(store_commit(bench.store), 0);
}

/* The command line rotates the root: the CA that runs sees each step, and its own certificate follows. */
static void a_rotation_is_seen(void **state)
{
    const struct rotation_by by = {"x", PROOF_COMMAND_LINE};
    char why[STORE_WHY_MAX], before[X509_PEM_MAX];
    (void)state;
    memcpy(before, bench.root.root_pem, sizeof before);
    assert_int_equal(store_begin(bench.store), 0);
    assert_int_equal(rotation_begin(bench.store, clock_unix_s(), &by, why), 0);
    assert_int_equal(store_commit(bench.store), 0);
    bed_run_until(is_seen);
    assert_int_equal(bench.root.n_trusted, 2);
    assert_int_equal(renewals, 2);
    assert_string_equal(bench.root.root_pem, before);
    changes = 0;
    hurry(&by);
    bed_run_until(is_seen);
    assert_int_equal(bench.root.n_trusted, 2);
    assert_int_equal(renewals, 3);
    assert_string_not_equal(bench.root.root_pem, before);
    changes = 0;
    hurry(&by);
    bed_run_until(is_seen);
    assert_int_equal(bench.root.n_trusted, 1);
    changes = 0;
    assert_int_equal(store_begin(bench.store), 0);
    assert_int_equal(store_put_revocation(bench.store, REVOKED_IDENTITY, BOB, 1, ""), 0);
    assert_int_equal(store_commit(bench.store), 0);
    bed_run_until(is_seen);
    assert_int_equal(renewals, 4); /* for that, nothing of ours is new */
}

/* ---- what is long over ------------------------------------------------------ */

static void put_old(size_t n, int64_t not_after_s)
{
    static struct ledger_entry entries[OLD];
    static struct ledger_entry *list[OLD];
    static char serials[OLD][32];
    for (size_t i = 0; i < n; i++) {
        snprintf(serials[i], sizeof serials[i], "%llx%zx", (unsigned long long)not_after_s, i);
        entries[i] = (struct ledger_entry){
            .audit = {not_after_s - 60, "given", "x", PROOF_NODE_TOKEN, BOB, serials[i], ""},
            .issued = {serials[i], BOB, "x", 1, not_after_s, 2, PROOF_NODE_TOKEN}};
        list[i] = &entries[i];
    }
    ledger_write(bench.store, list, n);
    assert_int_equal(entries[0].result, 0);
}

static void the_old_go_and_their_lines_stay(void **state)
{
    int64_t end_s = clock_unix_s() - KEEP_S;
    (void)state;
    put_old(OLD, end_s - 100);
    put_old(3, end_s + 100);
    assert_int_equal(store_begin(bench.store), 0);
    assert_int_equal(store_put_revocation(bench.store, REVOKED_IDENTITY, BOB, 1, ""), 0);
    assert_int_equal(store_commit(bench.store), 0);
    assert_int_equal(sql_number("SELECT count(*) FROM revocation"), OLD + 4);
    upkeep_now(&upkeep);
    bed_run_until(is_idle);
    assert_int_equal(count_issued(), 3 + 1);
    assert_int_equal(sql_number("SELECT count(*) FROM revocation"), 4); /* BOB stays revoked */
    assert_int_equal(sql_number("SELECT count(*) FROM audit WHERE identity = '" BOB "'"), OLD + 3);
    check_whole();
    sql_run("ALTER TABLE issued RENAME TO gone");
    upkeep_now(&upkeep);
    bed_run_until(is_idle); /* told, and nothing more */
    sql_run("ALTER TABLE gone RENAME TO issued");
}

/* ---- the end ------------------------------------------------------------------ */

/* Whoever used our certificate is gone by then; what was begun comes back, and nothing new begins. */
static void at_the_end_nothing_is_renewed(void **state)
{
    int64_t end_s = clock_unix_s() - KEEP_S;
    (void)state;
    put_old(OLD, end_s - 100);
    upkeep.own_renew_s = 0;
    upkeep_now(&upkeep);
    assert_true(upkeep.renews && upkeep.forgets);
    stop();
    assert_true(is_idle());
    assert_int_equal(renewals, 1);
    assert_int_equal(count_issued(), OLD - UPKEEP_FORGET_AT_ONCE + 2);
    check_whole();
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(ours_at_the_start_with_its_line),
        TEST(ours_anew_while_the_disk_is_waited_for),
        TEST(tries_again_what_failed),
        cmocka_unit_test_setup_teardown(another_one_signs_when_it_is_time, begin_long_ago, end),
        TEST(a_rotation_is_seen),
        TEST(the_old_go_and_their_lines_stay),
        TEST(at_the_end_nothing_is_renewed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
