/*
 * The store: what comes back, who may open it, that a kill in the middle leaves nothing half, that
 * errors leave it usable, and that no key stays in memory after it was closed.
 */
#include "tests/unit/ca/ca_fixture.h"

#include "ca/store_memory.h"
#include <limits.h>

static struct authority_record record(const char *certificate, const char *key, int64_t made_s)
{
    return (struct authority_record){(char *)certificate, (char *)key, made_s, NULL};
}

static struct issued_record issued(const char *serial)
{
    return (struct issued_record){serial, ALICE, "node-a", 1, 2, 3, PROOF_NODE_TOKEN};
}

static void digest_fill(uint8_t digest[static DIGEST_BYTES], uint64_t n)
{
    memset(digest, 0, DIGEST_BYTES);
    memcpy(digest, &n, sizeof n);
}

/* ---- what comes back ------------------------------------------------------ */

static void made_with_narrow_modes(void **state)
{
    struct stat st;
    char path[160];
    (void)state;
    assert_int_equal(stat(bench.state, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    /* The log beside it holds keys, too. */
    struct authority_record a = record("certificate", "key", 7);
    assert_int_equal(store_put_authority(bench.store, "root", &a), 0);
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
        snprintf(path, sizeof path, "%s%s", bench.file, suffixes[i]);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
    }
}

static void authorities_newest_first(void **state)
{
    struct authority_record a, old = record("c1", "k1", 1), new = record("c2", "k2", 2);
    (void)state;
    assert_int_equal(store_get_authority(bench.store, "root", &a), -ENOENT);
    assert_int_equal(store_put_authority(bench.store, "root", &old), 0);
    assert_int_equal(store_put_authority(bench.store, "root", &new), 0);
    assert_int_equal(store_get_authority(bench.store, "intermediate", &a), -ENOENT);
    bench.store = store_close(bench.store);
    store_must_open();
    assert_int_equal(store_get_authority(bench.store, "root", &a), 0);
    assert_string_equal(a.certificate_pem, "c2");
    assert_string_equal(a.key_pem, "k2");
    assert_int_equal(a.made_s, 2);
    authority_record_done(&a);
    assert_null(a.key_pem);
    authority_record_done(&a);
}

static void tokens_by_digest(void **state)
{
    uint8_t digest[DIGEST_BYTES];
    char *node = NULL;
    int64_t expires_s = 0;
    (void)state;
    digest_fill(digest, 1);
    assert_int_equal(store_get_token(bench.store, digest, &node, &expires_s), -ENOENT);
    assert_int_equal(store_put_token(bench.store, digest, "node-a", INT64_MAX), 0);
    assert_int_equal(store_put_token(bench.store, digest, "node-b", 5), -EEXIST);
    assert_true(store_why(bench.store)[0] != '\0');
    assert_int_equal(store_get_token(bench.store, digest, &node, &expires_s), 0);
    assert_string_equal(node, "node-a");
    assert_true(expires_s == INT64_MAX);
    free(node);
    node = NULL;
    digest_fill(digest, 2);
    assert_int_equal(store_get_token(bench.store, digest, &node, &expires_s), -ENOENT);
    assert_null(node);
}

static void no_serial_twice(void **state)
{
    struct issued_record a = issued("01"), b = issued("02");
    (void)state;
    assert_int_equal(store_put_issued(bench.store, &a), 0);
    a.identity = BOB;
    assert_int_equal(store_put_issued(bench.store, &a), -EEXIST);
    assert_int_equal(store_put_issued(bench.store, &b), 0);
    assert_int_equal(count_issued(), 2);
    assert_int_equal(sql_number("SELECT count(*) FROM issued WHERE identity = '" ALICE
                                "' AND node ="
                                " 'node-a' AND not_before = 1 AND not_after = 2 AND issued = 3"),
                     2);
}

static int note_serial(const char *serial, int64_t revoked_s, void *arg)
{
    char *seen = arg;
    snprintf(seen + strlen(seen), 64 - strlen(seen), "%s@%d ", serial, (int)revoked_s);
    return strcmp(serial, "ff") == 0 ? -EBUSY : 0;
}

/* In their order, but those of certificates that ended before; a stranger's is revoked for good. */
static void revoked_serials(void **state)
{
    static const char *const serials[] = {"03", "01", "02", "0a"};
    char seen[64] = "";
    (void)state;
    assert_int_equal(store_begin(bench.store), 0);
    for (int i = 0; i < 3; i++) {
        struct issued_record r = issued(serials[i]);
        r.not_after_s = 100 * i; /* 0, 100, 200 */
        assert_int_equal(store_put_issued(bench.store, &r), 0);
    }
    for (int i = 0; i < 4; i++)
        assert_int_equal(store_put_revocation(bench.store, REVOKED_SERIAL, serials[i], 7 + i, ""), 0);
    assert_int_equal(store_commit(bench.store), 0);
    assert_int_equal(store_revoked_serials(bench.store, 100, 9, note_serial, seen), 0);
    assert_string_equal(seen, "01@8 02@9 0a@10 ");
    seen[0] = '\0';
    assert_int_equal(store_revoked_serials(bench.store, 0, 2, note_serial, seen), 0);
    assert_string_equal(seen, "01@8 02@9 ");
    seen[0] = '\0';
    assert_int_equal(store_revoked_serials(bench.store, 201, 9, note_serial, seen), 0);
    assert_string_equal(seen, "0a@10 ");
    assert_int_equal(store_put_revocation(bench.store, REVOKED_SERIAL, "ff", 1, ""), 0);
    assert_int_equal(store_revoked_serials(bench.store, 0, 9, note_serial, seen), -EBUSY);
}

static void rollback_takes_all_back(void **state)
{
    struct authority_record a = record("c", "k", 1), none;
    struct issued_record i = issued("01");
    (void)state;
    assert_int_equal(store_begin(bench.store), 0);
    assert_int_equal(store_put_authority(bench.store, "root", &a), 0);
    assert_int_equal(store_put_issued(bench.store, &i), 0);
    store_rollback(bench.store);
    assert_int_equal(store_get_authority(bench.store, "root", &none), -ENOENT);
    assert_int_equal(count_issued(), 0);
    assert_int_equal(store_begin(bench.store), 0);
    assert_int_equal(store_put_issued(bench.store, &i), 0);
    assert_int_equal(store_commit(bench.store), 0);
    assert_int_equal(count_issued(), 1);
    store_rollback(bench.store); /* nothing to take back */
    assert_int_equal(count_issued(), 1);
}

static void keeps_a_log(void **state)
{
    (void)state;
    assert_int_equal(sql_number("SELECT journal_mode = 'wal' FROM pragma_journal_mode"), 1);
    assert_int_equal(sql_number("PRAGMA user_version"), 5);
    assert_true(strlen(store_library()) >= 5);
}

/* ---- who may open it ------------------------------------------------------ */

static void refuses_a_newer_schema(void **state)
{
    char why[STORE_WHY_MAX];
    struct issued_record i = issued("01");
    const char *get_version =
        postgres.on ? "SELECT version FROM weir_ca_schema" : "PRAGMA user_version";
    (void)state;
    assert_int_equal(store_put_issued(bench.store, &i), 0);
    bench.store = store_close(bench.store);
    sql_run(postgres.on ? "UPDATE weir_ca_schema SET version = 6" : "PRAGMA user_version = 6");
    assert_int_equal(store_open(&bench.store, bench.state, why), -ENOTSUP);
    must_contain(why, "version 6");
    must_contain(why, "newer weir-ca");
    assert_null(bench.store);
    assert_int_equal(sql_number("SELECT count(*) FROM issued"), 1);
    assert_int_equal(sql_number(get_version), 6);
    sql_run(postgres.on ? "UPDATE weir_ca_schema SET version = 5" : "PRAGMA user_version = 5");
    store_must_open();
    assert_int_equal(count_issued(), 1);
}

/* As the first release made it, with something in it. */
static const char first_schema[] =
    "PRAGMA journal_mode=WAL;"
    "CREATE TABLE authority (id INTEGER PRIMARY KEY, kind TEXT NOT NULL,"
    " certificate TEXT NOT NULL, key TEXT NOT NULL, made INTEGER NOT NULL);"
    "CREATE TABLE token (digest BLOB NOT NULL PRIMARY KEY, node TEXT NOT NULL,"
    " expires INTEGER NOT NULL);"
    "CREATE TABLE issued (serial TEXT NOT NULL PRIMARY KEY, identity TEXT NOT NULL,"
    " node TEXT NOT NULL, not_before INTEGER NOT NULL, not_after INTEGER NOT NULL,"
    " issued INTEGER NOT NULL);"
    "PRAGMA user_version = 1;"
    "INSERT INTO authority (kind, certificate, key, made) VALUES ('root', 'c', 'k', 5);"
    "INSERT INTO issued VALUES ('01', '" ALICE "', 'node-a', 1, 2, 3);";

static void no_problem(const char *text, void *arg)
{
    (void)arg;
    fail_msg("%s", text);
}

static void an_older_file_is_brought_up_to_date(void **state)
{
    struct authority_record a;
    struct issued_record i = issued("01");
    (void)state;
    assert_int_equal(mkdir(bench.state, 0700), 0);
    file_write(bench.state, "ca.db", "", 0);
    assert_int_equal(chmod(bench.file, 0600), 0);
    sql_run(first_schema);
    store_must_open();
    assert_int_equal(sql_number("PRAGMA user_version"), 5);
    assert_int_equal(store_get_authority(bench.store, "root", &a), 0);
    assert_string_equal(a.key_pem, "k");
    authority_record_done(&a);
    assert_int_equal(count_issued(), 1);
    assert_int_equal(store_put_issued(bench.store, &i), -EEXIST);
    /* What is older than the log has no line in it. */
    assert_int_equal(store_check(bench.store, no_problem, NULL), 0);
    bench.store = store_close(bench.store);
    store_must_open(); /* and only once */
    assert_int_equal(count_issued(), 1);
}

static void refuses_what_is_no_database(void **state)
{
    char why[STORE_WHY_MAX];
    (void)state;
    assert_int_equal(mkdir(bench.state, 0700), 0);
    file_write(bench.state, "ca.db", "this is a text, and long enough to be read as a head of one",
               59);
    assert_int_equal(chmod(bench.file, 0600), 0);
    assert_true(store_open(&bench.store, bench.state, why) < 0);
    must_contain(why, "not a database");
}

static void refuses_a_file_for_everybody(void **state)
{
    char why[STORE_WHY_MAX];
    (void)state;
    bench.store = store_close(bench.store);
    assert_int_equal(chmod(bench.file, 0604), 0);
    assert_int_equal(store_open(&bench.store, bench.state, why), -EPERM);
    must_contain(why, "0600");
    assert_int_equal(chmod(bench.file, 0640), 0); /* a group is the operator's choice */
    store_must_open();
}

static void refuses_bad_folders(void **state)
{
    char why[STORE_WHY_MAX], path[256], *longest = malloc(PATH_MAX + 1);
    (void)state;
    snprintf(path, sizeof path, "%s/not/there", bench.folder);
    assert_int_equal(store_open(&bench.store, path, why), -ENOENT);
    must_contain(why, "not/there");
    text_write("file", "");
    snprintf(path, sizeof path, "%s/file", bench.folder);
    assert_int_equal(store_open(&bench.store, path, why), -ENOTDIR);
    assert_non_null(longest);
    memset(longest, 'x', PATH_MAX);
    longest[PATH_MAX] = '\0';
    assert_int_equal(store_open(&bench.store, longest, why), -ENAMETOOLONG);
    assert_int_equal(store_open(&bench.store, "", why), -ENOENT);
    free(longest);
}

enum { NOBODY = 65534 };

/* As somebody for whom modes count. */
static int open_as_nobody(int expected)
{
    char why[STORE_WHY_MAX] = "";
    struct issued_record i = issued("77");
    if (geteuid() == 0 && (setgid(NOBODY) < 0 || setuid(NOBODY) < 0))
        return 100;
    int r = store_open(&bench.store, bench.state, why);
    if (r == 0)
        r = store_put_issued(bench.store, &i);
    return r == -expected && why[0] ? 0 : -r;
}

static void refuses_what_it_cannot_write(void **state)
{
    uid_t owner = geteuid() == 0 ? NOBODY : geteuid();
    (void)state;
    assert_int_equal(chmod(bench.folder, 0755), 0);
    assert_int_equal(mkdir(bench.state, 0700), 0);
    assert_int_equal(chown(bench.state, owner, (gid_t)-1), 0);
    assert_int_equal(chmod(bench.state, 0500), 0);
    assert_int_equal(child_end(child_start(open_as_nobody, EACCES)), 0); /* a new file */
    assert_int_equal(access(bench.file, F_OK), -1);
    assert_int_equal(chmod(bench.state, 0700), 0);
    store_must_open();
    bench.store = store_close(bench.store);
    assert_int_equal(chown(bench.file, owner, (gid_t)-1), 0);
    assert_int_equal(chmod(bench.file, 0400), 0);
    assert_int_equal(child_end(child_start(open_as_nobody, EROFS)), 0); /* a file to be read */
    assert_int_equal(chmod(bench.file, 0000), 0);
    assert_int_equal(child_end(child_start(open_as_nobody, EIO)), 0);
    assert_int_equal(chmod(bench.file, 0600), 0);
    assert_int_equal(chown(bench.file, geteuid(), (gid_t)-1), 0);
}

/* ---- several at once ------------------------------------------------------ */

enum { WRITERS = 4, WRITES = 60, ROUNDS = 6 };

/* Starts when the other end of the pipe is closed. Ends with 0 if all was written. */
static int write_many(int fd)
{
    char why[STORE_WHY_MAX], serial[64], byte;
    struct store *s;
    while (read(fd, &byte, 1) > 0)
        ;
    if (store_open(&s, bench.state, why) < 0) {
        fprintf(stderr, "%s\n", why);
        return 1;
    }
    for (int i = 0; i < WRITES; i++) {
        snprintf(serial, sizeof serial, "%d-%d", (int)getpid(), i);
        struct issued_record r = issued(serial);
        if (store_put_issued(s, &r) < 0) {
            fprintf(stderr, "%s\n", store_why(s));
            return 2;
        }
    }
    store_close(s);
    return 0;
}

static void several_processes_at_once(void **state)
{
    pid_t pids[WRITERS];
    int gate[2];
    (void)state;
    for (int round = 0; round < (postgres.on ? 2 : ROUNDS); round++) {
        char name[32];
        snprintf(name, sizeof name, "state-%d", round);
        bench_state(name);
        assert_int_equal(pipe2(gate, O_CLOEXEC), 0);
        for (size_t i = 0; i < WRITERS; i++) {
            fflush(NULL);
            pids[i] = fork();
            assert_true(pids[i] >= 0);
            if (pids[i] == 0) {
                close(gate[1]);
                _exit(write_many(gate[0]));
            }
        }
        close(gate[0]);
        close(gate[1]);
        for (size_t i = 0; i < WRITERS; i++)
            assert_int_equal(child_end(pids[i]), 0);
        assert_int_equal(sql_number("SELECT count(*) FROM issued"), WRITERS * WRITES);
    }
}

/* ---- killed --------------------------------------------------------------- */

enum { KILLS = 25, ROWS = 5 };

/* One change is an authority, a token and ROWS certificates; a byte tells that it is durable. */
static int change_for_ever(int fd)
{
    char why[STORE_WHY_MAX], serial[64];
    uint8_t digest[DIGEST_BYTES];
    struct store *s;
    if (store_open(&s, bench.state, why) < 0)
        return 1;
    for (uint64_t n = 0;; n++) {
        struct authority_record a = record("certificate", "key", (int64_t)n);
        digest_fill(digest, (uint64_t)getpid() << 32 | n);
        if (store_begin(s) < 0 || store_put_authority(s, "root", &a) < 0 ||
            store_put_token(s, digest, "node-a", 1) < 0)
            return 2;
        for (int i = 0; i < ROWS; i++) {
            snprintf(serial, sizeof serial, "%d-%llu-%d", (int)getpid(), (unsigned long long)n, i);
            struct issued_record r = issued(serial);
            if (store_put_issued(s, &r) < 0)
                return 3;
        }
        if (store_commit(s) < 0 || write(fd, "", 1) != 1)
            return 4;
    }
}

static void killed_in_the_middle(void **state)
{
    struct rng rng;
    uint64_t known = 0;
    int told[2];
    char byte;
    (void)state;
    test_seed(&rng);
    for (int round = 0; round < (postgres.on ? KILLS / 2 : KILLS); round++) {
        bench.store = store_close(bench.store);
        assert_int_equal(pipe2(told, O_CLOEXEC), 0);
        pid_t pid = child_start(change_for_ever, told[1]);
        close(told[1]);
        /* After some changes, and then somewhere in the next ones: the time is of no matter. */
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
        store_must_open();
        uint64_t now = (uint64_t)sql_number("SELECT count(*) FROM authority");
        /* What was told is there; at most the one that was not told yet is there, too. */
        assert_in_range(now, known + done, known + done + 1);
        assert_int_equal(sql_number("SELECT count(*) FROM token"), now);
        assert_int_equal(count_issued(), now * ROWS);
        assert_int_equal(postgres.on ? 0
                                     : sql_number("SELECT count(*) FROM pragma_integrity_check"
                                                  " WHERE integrity_check <> 'ok'"),
                         0);
        known = now;
    }
}

/* ---- errors of the disk ---------------------------------------------------- */

/* Writes until the disk is full, and then again when there is room. */
static int fill_the_disk(int unused)
{
    char why[STORE_WHY_MAX], serial[32], node[4096];
    int r = 0, n = 0, more = 0;
    uint64_t count = 0;
    (void)unused;
    if (store_open(&bench.store, bench.state, why) < 0)
        return 1;
    limit_files(256 * 1024);
    memset(node, 'n', sizeof node - 1);
    node[sizeof node - 1] = '\0';
    for (; r == 0 && n < 1000; n++) {
        snprintf(serial, sizeof serial, "%d", n);
        struct issued_record i = issued(serial);
        i.node = node;
        r = store_put_issued(bench.store, &i);
    }
    if (r == 0 || !store_why(bench.store)[0])
        return 2;
    if (r != -EIO && r != -ENOSPC)
        return 3;
    limit_files(RLIM_INFINITY);
    for (; more < 5; more++) {
        snprintf(serial, sizeof serial, "more-%d", more);
        struct issued_record i = issued(serial);
        if (store_put_issued(bench.store, &i) < 0)
            return 4;
    }
    if (store_count_issued(bench.store, &count) < 0 || count != (uint64_t)(n - 1 + more))
        return 5;
    store_close(bench.store);
    return 0;
}

static void full_disk(void **state)
{
    (void)state;
    bench.store = store_close(bench.store);
    assert_int_equal(child_end(child_start(fill_the_disk, 0)), 0);
    store_must_open();
    assert_true(count_issued() > 5);
    assert_int_equal(sql_number("SELECT count(*) FROM pragma_integrity_check"
                                " WHERE integrity_check <> 'ok'"),
                     0);
}

/* A change that can't be committed is no change. */
static int fill_in_a_change(int unused)
{
    char why[STORE_WHY_MAX], serial[32], node[4096];
    uint64_t count = 1;
    int r;
    (void)unused;
    if (store_open(&bench.store, bench.state, why) < 0)
        return 1;
    limit_files(128 * 1024);
    memset(node, 'n', sizeof node - 1);
    node[sizeof node - 1] = '\0';
    if ((r = store_begin(bench.store)) < 0)
        return 2;
    for (int n = 0; r == 0 && n < 100; n++) {
        snprintf(serial, sizeof serial, "%d", n);
        struct issued_record i = issued(serial);
        i.node = node;
        r = store_put_issued(bench.store, &i);
    }
    if (r == 0)
        r = store_commit(bench.store);
    if (r == 0)
        return 3;
    store_rollback(bench.store);
    limit_files(RLIM_INFINITY);
    if (store_count_issued(bench.store, &count) < 0 || count != 0)
        return 4;
    struct issued_record i = issued("after");
    if (store_begin(bench.store) < 0 || store_put_issued(bench.store, &i) < 0 ||
        store_commit(bench.store) < 0)
        return 5;
    store_close(bench.store);
    return 0;
}

static void full_disk_in_a_change(void **state)
{
    (void)state;
    bench.store = store_close(bench.store);
    assert_int_equal(child_end(child_start(fill_in_a_change, 0)), 0);
    store_must_open();
    assert_int_equal(count_issued(), 1);
}

static void broken_tables_are_values(void **state)
{
    struct issued_record i = issued("01");
    struct authority_record a = record("c", "k", 1);
    uint8_t digest[DIGEST_BYTES];
    char *node = NULL;
    int64_t expires_s;
    uint64_t n;
    (void)state;
    digest_fill(digest, 1);
    sql_run("DROP TABLE issued; DROP TABLE token; DROP TABLE authority");
    assert_int_equal(store_put_issued(bench.store, &i), -EIO);
    must_contain(store_why(bench.store), "issued");
    assert_int_equal(store_count_issued(bench.store, &n), -EIO);
    assert_int_equal(store_put_token(bench.store, digest, "n", 1), -EIO);
    assert_int_equal(store_get_token(bench.store, digest, &node, &expires_s), -EIO);
    assert_int_equal(store_put_authority(bench.store, "root", &a), -EIO);
    assert_int_equal(store_get_authority(bench.store, "root", &a), -EIO);
    assert_int_equal(store_commit(bench.store), -EIO); /* there is none */
}

/* ---- memory ---------------------------------------------------------------- */

enum { NEEDLE = 48, MASK = 0x5a, REGION_MAX = 256 * 1024 * 1024 };

/* Where bytes that are the masked needle lie, in this process: how often. The needle itself is
 * nowhere unmasked. */
__attribute__((no_sanitize("address", "undefined", "thread"))) static size_t
count_in_memory(const uint8_t masked[static NEEDLE])
{
    size_t found = 0;
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "re");
    if (!maps)
        return SIZE_MAX;
    while (fgets(line, sizeof line, maps)) {
        unsigned long from, to;
        char mode[5];
        if (sscanf(line, "%lx-%lx %4s", &from, &to, mode) != 3 || memcmp(mode, "rw", 2) != 0 ||
            to - from > REGION_MAX || strstr(line, "[stack]"))
            continue;
        /* The byte is at once compared, and never copied. */
        for (const volatile uint8_t *p = (void *)from; p + NEEDLE <= (uint8_t *)to; p++) {
            size_t i = 0;
            while (i < NEEDLE && (p[i] ^ MASK) == masked[i])
                i++;
            found += i == NEEDLE;
        }
    }
    fclose(maps);
    return found;
}

/* Puts a key made of the mask, and wipes its own copies. */
static void put_masked(const uint8_t masked[static NEEDLE])
{
    struct authority_record a;
    char *key = malloc(NEEDLE + 1);
    for (size_t i = 0; i < NEEDLE; i++)
        key[i] = (char)(masked[i] ^ MASK);
    key[NEEDLE] = '\0';
    a = record("certificate", key, 1);
    assert_int_equal(store_put_authority(bench.store, "root", &a), 0);
    key_wipe(key, NEEDLE);
    free(key);
}

static void put_and_get(const uint8_t masked[static NEEDLE])
{
    struct authority_record got;
    put_masked(masked);
    assert_int_equal(store_get_authority(bench.store, "root", &got), 0);
    assert_int_equal(count_in_memory(masked), 1); /* here, and not in SQLite's pages */
    authority_record_done(&got);
}

static void no_key_stays_in_memory(void **state)
{
    uint8_t masked[NEEDLE];
    struct rng rng;
    (void)state;
    test_seed(&rng);
    assert_int_equal(store_memory_wipe(), 0);
    for (size_t i = 0; i < NEEDLE; i++)
        masked[i] = (uint8_t)('a' + rng_below(&rng, 26)) ^ MASK;
    put_and_get(masked);
    assert_int_equal(count_in_memory(masked), 0);
    assert_int_equal(store_begin(bench.store), 0);
    put_masked(masked);
    assert_true(count_in_memory(masked) > 0); /* a page that is not written yet */
    assert_int_equal(store_commit(bench.store), 0);
    assert_int_equal(count_in_memory(masked), 0);
    bench.store = store_close(bench.store);
    assert_int_equal(count_in_memory(masked), 0);
    assert_int_equal(sql_number("SELECT min(length(key)) FROM authority"), NEEDLE);
}

int main(void)
{
#define WITH_STORE(f)  cmocka_unit_test_setup_teardown(f, bench_store, bench_done)
#define WITH_FOLDER(f) cmocka_unit_test_setup_teardown(f, bench_folder, bench_done)
    const struct CMUnitTest in_files[] = {
        WITH_STORE(made_with_narrow_modes),
        WITH_STORE(keeps_a_log),
        WITH_FOLDER(an_older_file_is_brought_up_to_date),
        WITH_FOLDER(refuses_what_is_no_database),
        WITH_STORE(refuses_a_file_for_everybody),
        WITH_FOLDER(refuses_bad_folders),
        WITH_FOLDER(refuses_what_it_cannot_write),
        WITH_STORE(full_disk),
        WITH_STORE(full_disk_in_a_change),
        WITH_STORE(no_key_stays_in_memory),
    };
    const struct CMUnitTest both[] = {
        WITH_STORE(authorities_newest_first),
        WITH_STORE(tokens_by_digest),
        WITH_STORE(no_serial_twice),
        WITH_STORE(revoked_serials),
        WITH_STORE(rollback_takes_all_back),
        WITH_STORE(refuses_a_newer_schema),
        WITH_FOLDER(several_processes_at_once),
        WITH_STORE(killed_in_the_middle),
        WITH_STORE(broken_tables_are_values),
    };
    return RUN_OVER_BOTH(in_files, both);
}
