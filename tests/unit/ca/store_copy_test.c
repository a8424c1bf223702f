/*
 * Copies of the store: whole, while somebody writes, for their owner alone; a store of a copy; and
 * each access of the disk that fails meanwhile leaves no copy and no state.
 */
#include "tests/unit/ca/ca_fixture.h"

#include "tests/unit/ca/failing_disk.h"

static char copy[128], other[128], why[STORE_WHY_MAX];

static int begin(void **state)
{
    bench_root(state);
    snprintf(copy, sizeof copy, "%s/copy", bench.folder);
    snprintf(other, sizeof other, "%s/other", bench.folder);
    return 0;
}

static void issue_one(void)
{
    static struct issued made;
    struct spiffe_id id = id_of(ALICE);
    uint8_t public_der[KEY_PUBLIC_MAX];
    struct key *key;
    size_t len;
    assert_int_equal(key_generate(&key), 0);
    assert_int_equal(key_public_der(key, public_der, sizeof public_der, &len), 0);
    key_unref(key);
    const struct issue_request q = {
        .id = &id, .node = "n", .public_der = public_der, .public_len = len, .ttl_s = 3600};
    assert_int_equal(issue(&bench.root, &q, bench.now_s, &made, why), 0);
}

static int count_files(const char *name)
{
    char path[160];
    snprintf(path, sizeof path, "%s/%s", bench.folder, name);
    return access(path, F_OK) == 0;
}

/* From here on the bench is the other state. */
static void go_to_other(void)
{
    root_done(&bench.root);
    bench.has_root = false;
    bench.store = store_close(bench.store);
    snprintf(bench.state, sizeof bench.state, "%.90s", other);
    snprintf(bench.file, sizeof bench.file, "%s/ca.db", bench.state);
    store_must_open();
}

static void a_state_of_a_copy(void **state)
{
    static char root_pem[X509_PEM_MAX];
    struct stat st;
    const struct join_record j = {ALICE, "", 1, INT64_MAX};
    uint8_t digest[DIGEST_BYTES] = {9};
    (void)state;
    issue_one();
    assert_int_equal(store_put_token(bench.store, digest, "node-a", 77), 0);
    assert_int_equal(store_put_join(bench.store, digest, &j), 0);
    assert_int_equal(store_put_revocation(bench.store, REVOKED_IDENTITY, BOB, 1, ""), 0);
    assert_int_equal(store_backup(bench.store, copy, why), 0);
    assert_int_equal(stat(copy, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    issue_one(); /* after it: not in the copy */
    memcpy(root_pem, bench.root.root_pem, sizeof root_pem);
    assert_int_equal(store_restore(other, copy, bench.now_s, why), 0);
    go_to_other();
    root_must_open(bench.now_s);
    assert_string_equal(bench.root.root_pem, root_pem);
    assert_int_equal(count_issued(), 1);
    assert_int_equal(sql_number("SELECT count(*) FROM token"), 1);
    assert_int_equal(sql_number("SELECT count(*) FROM revocation"), 1);
    assert_true(sql_number("SELECT version FROM trust") >= bench.now_s); /* above what was told after the copy */
    assert_int_equal(sql_number("SELECT count(*) FROM join_token"), 0); /* it may be spent */
    assert_int_equal(sql_number("SELECT count(*) FROM audit WHERE outcome = 'restored'"), 1);
    assert_int_equal(stat(bench.file, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(st.st_nlink, 1);
    issue_one();
}

static void nothing_is_written_over(void **state)
{
    (void)state;
    text_write("copy", "mine");
    assert_int_equal(store_backup(bench.store, copy, why), -EEXIST);
    assert_string_equal(text_read("copy"), "mine");
    assert_int_equal(unlink(copy), 0);
    assert_int_equal(store_backup(bench.store, copy, why), 0);
    issue_one();
    assert_int_equal(store_restore(bench.state, copy, bench.now_s, why), -EEXIST);
    must_contain(why, "move it away");
    assert_int_equal(count_issued(), 1);
}

/* As after a kill: what is in the log would come into the state. */
static void a_log_without_its_state(void **state)
{
    static const char *const names[] = {"other/ca.db-wal", "other/ca.db-journal"};
    char path[160];
    (void)state;
    assert_int_equal(store_backup(bench.store, copy, why), 0);
    assert_int_equal(mkdir(other, 0700), 0);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        text_write(names[i], "frames");
        assert_int_equal(store_restore(other, copy, bench.now_s, why), -EEXIST);
        must_contain(why, names[i]);
        must_contain(why, "move it away");
        assert_int_equal(count_files("other/ca.db"), 0);
        assert_int_equal(count_files("other/ca.db.new"), 0);
        snprintf(path, sizeof path, "%s/%s", bench.folder, names[i]);
        assert_int_equal(unlink(path), 0);
    }
    assert_int_equal(store_restore(other, copy, bench.now_s, why), 0);
}

static void what_is_no_copy(void **state)
{
    (void)state;
    assert_int_equal(store_restore(other, copy, bench.now_s, why), -ENOENT);
    text_write("copy", "this is a text, and long enough to be read as a head of one.....");
    assert_true(store_restore(other, copy, bench.now_s, why) < 0);
    text_write("copy", ""); /* SQLite takes it for a database without anything in it */
    assert_int_equal(store_restore(other, copy, bench.now_s, why), -EBADMSG);
    must_contain(why, "no copy");
    assert_int_equal(access(other, F_OK), -1);
    /* A page of a real one is damaged. */
    assert_int_equal(unlink(copy), 0);
    assert_int_equal(store_backup(bench.store, copy, why), 0);
    FILE *f = fopen(copy, "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, 4096 + 8, SEEK_SET), 0);
    for (int i = 0; i < 4000; i++)
        fputc(0x5a, f);
    fclose(f);
    assert_true(store_restore(other, copy, bench.now_s, why) < 0);
    assert_int_equal(access(other, F_OK), -1);
}

enum { ROWS = 15000 };

/* Some megabytes. */
static void fill(void)
{
    assert_int_equal(store_begin(bench.store), 0);
    for (int i = 0; i < ROWS; i++) {
        char serial[32];
        snprintf(serial, sizeof serial, "x%d", i);
        const struct issued_record r = {serial, ALICE, "n", 1, 2, 3, ""};
        assert_int_equal(store_put_issued(bench.store, &r), 0);
    }
    assert_int_equal(store_commit(bench.store), 0);
}

static void put_another(void)
{
    sql_run("INSERT INTO issued VALUES ('late', '" ALICE "', 'n', 1, 2, 3, '')");
}

/* What is written meanwhile is not in it, and does not make it begin anew. */
static void as_it_was_when_it_began(void **state)
{
    struct store *s;
    (void)state;
    fill();
    assert_int_equal(store_open_existing(&s, bench.state, why), 0); /* that has read nothing yet */
    disk.other = put_another;
    disk_fail_at(DISK_OTHER, 100);
    assert_int_equal(store_backup(s, copy, why), 0);
    assert_true(disk.happened);
    disk_fail_at(DISK_OTHER, 0);
    store_close(s);
    assert_int_equal(count_issued(), ROWS + 1);
    assert_int_equal(store_restore(other, copy, bench.now_s, why), 0);
    go_to_other();
    assert_int_equal(count_issued(), ROWS);
}

/* Writes for ever; tells when it has begun. */
static int write_for_ever(int fd)
{
    struct store *s;
    char serial[32];
    if (store_open(&s, bench.state, why) < 0)
        return 1;
    for (int i = 0;; i++) {
        snprintf(serial, sizeof serial, "%d", i);
        const struct issued_record r = {serial, ALICE, "n", 1, 2, 3, ""};
        if (store_put_issued(s, &r) < 0)
            return 2;
        if (i == 20 && write(fd, "", 1) != 1)
            return 3;
    }
}

static void while_somebody_writes(void **state)
{
    int told[2];
    char byte;
    (void)state;
    fill();
    assert_int_equal(pipe2(told, O_CLOEXEC), 0);
    pid_t pid = child_start(write_for_ever, told[1]);
    close(told[1]);
    assert_int_equal(read(told[0], &byte, 1), 1);
    int r = store_backup(bench.store, copy, why);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(child_end(pid), 1000 + SIGKILL);
    close(told[0]);
    if (r < 0)
        fail_msg("%s", why);
    assert_int_equal(store_restore(other, copy, bench.now_s, why), 0);
    go_to_other();
    assert_true(count_issued() >= ROWS + 20);
}

static void each_access_fails_in_turn(void **state)
{
    long n = 1;
    (void)state;
    for (;; n++) {
        assert_in_range(n, 1, 500);
        disk_fail_at(DISK_BAD, n);
        int r = store_backup(bench.store, copy, why);
        bool reached = disk.happened;
        disk_fail_at(DISK_BAD, 0);
        assert_int_equal(count_files("copy"), r == 0);
        assert_int_equal(count_files("copy-journal"), 0);
        if (r == 0 && reached)
            assert_int_equal(unlink(copy), 0); /* it did not matter */
        if (!reached)
            break;
    }
    assert_true(n > 5);
    for (n = 1;; n++) {
        assert_in_range(n, 1, 500);
        disk_fail_at(DISK_BAD, n);
        int r = store_restore(other, copy, bench.now_s, why);
        bool reached = disk.happened;
        disk_fail_at(DISK_BAD, 0);
        assert_int_equal(count_files("other/ca.db.new"), 0);
        if (r < 0 && count_files("other/ca.db")) { /* all but its line in the log */
            assert_true(reached);
            must_contain(why, "line in the log");
        }
        if (!reached) {
            assert_int_equal(r, 0);
            break;
        }
        static const char *const names[] = {"ca.db", "ca.db-wal", "ca.db-shm", "ca.db-journal"};
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
            char path[256];
            snprintf(path, sizeof path, "%s/%s", other, names[i]);
            (void)unlink(path);
        }
    }
    assert_true(n > 10);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, bench_done)
    const struct CMUnitTest tests[] = {
        TEST(a_state_of_a_copy),         TEST(nothing_is_written_over),
        TEST(a_log_without_its_state),   TEST(what_is_no_copy),
        TEST(as_it_was_when_it_began),   TEST(while_somebody_writes),
        TEST(each_access_fails_in_turn),
    };
    disk_open();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
