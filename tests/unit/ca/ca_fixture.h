/*
 * What the tests of ca/ start from: a folder with a store and its authorities, a way to look into
 * and to break the file behind the store's back, requests made by the openssl program, and children
 * that do something and are judged by how they end.
 */
#ifndef TESTS_UNIT_CA_CA_FIXTURE_H
#define TESTS_UNIT_CA_CA_FIXTURE_H
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "ca/issue.h"
#include "ca/root.h"
#include "ca/store.h"
#include "tests/unit/shared/tls/tls_fixture.h"

#include "tests/unit/ca/postgres.h"

static struct bench { /* one test's */
    char folder[64], state[96], file[128];
    struct store *store;
    struct root root;
    int64_t now_s;
    bool has_root;
} bench;

static inline void store_must_open(void)
{
    char why[STORE_WHY_MAX];
    if (store_open(&bench.store, bench.state, why) < 0)
        fail_msg("no store: %s", why);
}

/* A state that is not there yet: a folder of that name, or one in the database. */
static inline void bench_state(const char *name)
{
    if (postgres.on) {
        postgres_state(bench.state);
        return;
    }
    snprintf(bench.state, sizeof bench.state, "%s/%s", bench.folder, name);
    snprintf(bench.file, sizeof bench.file, "%s/ca.db", bench.state);
}

static inline int bench_folder(void **state)
{
    (void)state;
    memset(&bench, 0, sizeof bench);
    bench.now_s = clock_unix_s();
    folder_make(bench.folder);
    bench_state("state");
    return 0;
}

static inline int bench_store(void **state)
{
    bench_folder(state);
    store_must_open();
    return 0;
}

static inline void root_must_open(int64_t now_s)
{
    char why[STORE_WHY_MAX];
    if (root_open(&bench.root, bench.store, now_s, why) < 0)
        fail_msg("no root: %s", why);
    bench.has_root = true;
}

/* As the running CA does it: 0 where it is not time. After an error r is as it was. */
static inline int root_refresh(struct root *r, int64_t now_s, char why[static STORE_WHY_MAX])
{
    struct root fresh;
    if (!root_is_due(r, now_s))
        return 0;
    int e = root_open(&fresh, r->store, now_s, why);
    if (e < 0)
        return e;
    root_done(r);
    *r = fresh;
    return 0;
}

static inline int bench_root(void **state)
{
    bench_store(state);
    root_must_open(bench.now_s);
    return 0;
}

static inline int bench_done(void **state)
{
    (void)state;
    if (bench.has_root)
        root_done(&bench.root);
    bench.store = store_close(bench.store);
    folder_remove(bench.folder);
    return 0;
}

/* ---- behind the store's back --------------------------------------------- */

static inline sqlite3 *sql_open(void)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open_v2(bench.file, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    sqlite3_busy_timeout(db, 20000);
    return db;
}

static inline void sql_run(const char *sql)
{
    if (postgres.on) {
        (void)postgres_number(sql);
        return;
    }
    sqlite3 *db = sql_open();
    char *message = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s: %s", sql, message);
    sqlite3_close(db);
}

/* What the engine says to it. */
static inline const char *sql_error(const char *sql)
{
    static char said[256];
    said[0] = '\0';
    if (postgres.on) {
        PGconn *c = postgres_here();
        PGresult *r = PQexec(c, sql);
        snprintf(said, sizeof said, "%s", PQresultErrorMessage(r));
        PQclear(r);
        PQfinish(c);
        return said;
    }
    sqlite3 *db = sql_open();
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        snprintf(said, sizeof said, "%s", sqlite3_errmsg(db));
    sqlite3_close(db);
    return said;
}

static inline int64_t sql_number(const char *sql)
{
    if (postgres.on)
        return postgres_number(sql);
    sqlite3 *db = sql_open();
    sqlite3_stmt *q;
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &q, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(q), SQLITE_ROW);
    int64_t n = sqlite3_column_int64(q, 0);
    sqlite3_finalize(q);
    sqlite3_close(db);
    return n;
}

/* Who was killed may have left a statement behind, which the server ends by itself. */
static inline void bench_settle(void)
{
    const struct timespec nap = {.tv_nsec = 5000000};
    while (postgres.on && sql_number("SELECT count(*) FROM pg_stat_activity WHERE application_name"
                                     " = 'weir-ca'") > (bench.store != NULL))
        nanosleep(&nap, NULL);
}

/* The tests of the group in files, and those of both in a database as well. */
#define RUN_OVER_BOTH(in_files, both)                                                              \
    (cmocka_run_group_tests(in_files, NULL, NULL) | cmocka_run_group_tests(both, NULL, NULL) |     \
     cmocka_run_group_tests_name(#both " in PostgreSQL", both, postgres_group, postgres_group_end))
static inline int postgres_group(void **state)
{
    (void)state;
    postgres_start();
    postgres.on = true;
    return 0;
}
static inline int postgres_group_end(void **state)
{
    (void)state;
    postgres_stop();
    postgres.on = false;
    return 0;
}

static inline uint64_t count_issued(void)
{
    uint64_t n;
    assert_int_equal(store_count_issued(bench.store, &n), 0);
    return n;
}

/* ---- children ------------------------------------------------------------- */

/* Runs it in a child, which ends with what it returns; asserts must not be used in it. */
static inline pid_t child_start(int (*run)(int fd), int fd)
{
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(run(fd));
    return pid;
}

static inline int child_end(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/* In a child: writes beyond this many bytes of a file fail, as on a full disk. */
static inline void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    signal(SIGXFSZ, SIG_IGN);
    (void)getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = bytes;
    (void)setrlimit(RLIMIT_FSIZE, &limit);
}

/* ---- identities, certificates, requests ----------------------------------- */

static inline struct spiffe_id id_of(const char *text)
{
    struct spiffe_id id;
    assert_int_equal(spiffe_id_parse(text_of(text), &id), 0);
    return id;
}

static inline void text_write(const char *name, const char *text)
{
    file_write(bench.folder, name, text, strlen(text));
}

static inline char *text_read(const char *name)
{
    static char text[65536];
    char path[128];
    snprintf(path, sizeof path, "%s/%s", bench.folder, name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t len = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[len] = '\0';
    return text;
}

/* openssl finds that the leaf leads to the root at that time (0: now), and is for both sides. */
static inline void openssl_verifies(const char *leaf, const char *intermediate, const char *root,
                                    int64_t at_s)
{
    static const char *const purposes[] = {"sslserver", "sslclient"};
    char out[4096], at[32];
    text_write("leaf.pem", leaf);
    text_write("intermediate.pem", intermediate);
    text_write("root.pem", root);
    snprintf(at, sizeof at, "%lld", (long long)(at_s ? at_s : bench.now_s));
    for (size_t i = 0; i < ARRAY_SIZE(purposes); i++)
        if (OPENSSL(bench.folder, out, "verify", "-x509_strict", "-check_ss_sig", "-attime", at,
                    "-purpose", purposes[i], "-CAfile", "root.pem", "-untrusted",
                    "intermediate.pem", "leaf.pem") != 0)
            fail_msg("openssl: %s", out);
}

/* What openssl reads in a certificate. */
static inline const char *openssl_text(const char *pem)
{
    static char out[16384];
    text_write("text.pem", pem);
    assert_int_equal(OPENSSL(bench.folder, out, "x509", "-noout", "-text", "-nameopt", "RFC2253",
                             "-in", "text.pem"),
                     0);
    return out;
}

static inline void must_contain(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("no '%s' in: %s", part, text);
}

static inline void must_not_contain(const char *text, const char *part)
{
    if (strstr(text, part))
        fail_msg("'%s' in: %s", part, text);
}

/* A request for that key, as openssl makes it; extension NULL: none. */
static inline char *openssl_request(const char *algorithm, const char *option,
                                    const char *extension)
{
    char out[4096];
    assert_int_equal(OPENSSL(bench.folder, out, "genpkey", "-algorithm", algorithm, "-pkeyopt",
                             option, "-out", "key.pem"),
                     0);
    const char *const with[] = {"req",     "-new",    "-key", "key.pem", "-subj", "/",
                                "-addext", extension, "-out", "csr.pem", NULL};
    const char *const without[] = {"req", "-new", "-key",    "key.pem", "-subj",
                                   "/",   "-out", "csr.pem", NULL};
    if (openssl_run(bench.folder, extension ? with : without, out, sizeof out) != 0)
        fail_msg("openssl: %s", out);
    return text_read("csr.pem");
}
#define P256 "EC", "ec_paramgen_curve:P-256"
#endif
