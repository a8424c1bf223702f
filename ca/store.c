/* The CA's memory; see the header. */
#include "ca/store.h"

#include "ca/store_memory.h"
#include "shared/tls/key.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUSY_MS = 10000, BUSY_STEP_MS = 20, SCHEMA_VERSION = 1 };

struct store {
    sqlite3 *db;
    char path[PATH_MAX];
    bool key_written; /* by this connection, which has a copy in its own workspace */
    char why[STORE_WHY_MAX];
};

static const char schema[] =
    "CREATE TABLE authority (id INTEGER PRIMARY KEY, kind TEXT NOT NULL,"
    " certificate TEXT NOT NULL, key TEXT NOT NULL, made INTEGER NOT NULL);"
    "CREATE TABLE token (digest BLOB NOT NULL PRIMARY KEY, node TEXT NOT NULL,"
    " expires INTEGER NOT NULL);"
    "CREATE TABLE issued (serial TEXT NOT NULL PRIMARY KEY, identity TEXT NOT NULL,"
    " node TEXT NOT NULL, not_before INTEGER NOT NULL, not_after INTEGER NOT NULL,"
    " issued INTEGER NOT NULL);"
    "PRAGMA user_version = 1;";

static int failed(struct store *s)
{
    int extended = sqlite3_extended_errcode(s->db);
    snprintf(s->why, sizeof s->why, "%s", sqlite3_errmsg(s->db));
    if (extended == SQLITE_CONSTRAINT_PRIMARYKEY || extended == SQLITE_CONSTRAINT_UNIQUE)
        return -EEXIST;
    switch (extended & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return -EBUSY;
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_READONLY:
        return -EROFS;
    default:
        return -EIO;
    }
}

static int run(struct store *s, const char *sql)
{
    return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : failed(s);
}

/* ---- opening ------------------------------------------------------------- */

static int version_of(struct store *s, int *ret)
{
    sqlite3_stmt *q;
    if (sqlite3_prepare_v2(s->db, "PRAGMA user_version", -1, &q, NULL) != SQLITE_OK)
        return failed(s);
    int r = sqlite3_step(q) == SQLITE_ROW ? 0 : failed(s);
    if (r == 0)
        *ret = sqlite3_column_int(q, 0);
    sqlite3_finalize(q);
    return r;
}

/* The pragma does not fail where it could not change anything: it tells the mode that it found. */
static int set_journal(struct store *s)
{
    sqlite3_stmt *q;
    if (sqlite3_prepare_v2(s->db, "PRAGMA journal_mode=WAL", -1, &q, NULL) != SQLITE_OK)
        return failed(s);
    int r = sqlite3_step(q) == SQLITE_ROW ? 0 : failed(s);
    if (r == 0 && strcmp((const char *)sqlite3_column_text(q, 0), "wal") != 0) {
        snprintf(s->why, sizeof s->why, "its file system can't hold a write-ahead log");
        r = -ENOTSUP;
    }
    sqlite3_finalize(q);
    return r;
}

static int prepare_schema(struct store *s)
{
    int version = 0, r = set_journal(s);
    /* Two that make the log at once don't wait for each other: SQLite is busy at once then. */
    for (int waited = 0; r == -EBUSY && waited < BUSY_MS; waited += BUSY_STEP_MS) {
        sqlite3_sleep(BUSY_STEP_MS);
        r = set_journal(s);
    }
    if (r == 0)
        r = store_begin(s);
    if (r < 0)
        return r;
    r = version_of(s, &version);
    if (r == 0 && (version < 0 || version > SCHEMA_VERSION)) {
        snprintf(s->why, sizeof s->why,
                 "its schema is version %d, this program knows %d: use a newer weir-ca", version,
                 SCHEMA_VERSION);
        r = -ENOTSUP;
    }
    if (r == 0 && version == 0)
        r = run(s, schema);
    if (r == 0)
        r = store_commit(s);
    if (r < 0)
        store_rollback(s);
    return r;
}

/* So that the folder that we made is still there after a power failure. */
static int sync_parent(const char *folder)
{
    char path[PATH_MAX];
    int len = snprintf(path, sizeof path, "%s/..", folder);
    if (len < 0 || (size_t)len >= sizeof path)
        return -ENAMETOOLONG;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int r = fsync(fd) < 0 ? -errno : 0;
    close(fd);
    return r;
}

/* The file is made by us, so that its mode is never wider, not even for a moment. One that is there
 * is not opened: closing it would take back the locks of another store of this process. */
static int prepare_file(const char *folder, char path[static PATH_MAX], const char **ret_why)
{
    struct stat st;
    int len = snprintf(path, PATH_MAX, "%s/ca.db", folder);
    if (len < 0 || len >= PATH_MAX)
        return -ENAMETOOLONG;
    int r = mkdir(folder, 0700) == 0 ? sync_parent(folder) : errno == EEXIST ? 0 : -errno;
    if (r < 0)
        return r;
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
    else if (errno != EEXIST || stat(path, &st) < 0)
        return -errno;
    else if (st.st_mode & S_IRWXO) {
        *ret_why = "ca.db holds private keys and everybody may use it: chmod it to 0600";
        return -EPERM;
    }
    return 0;
}

/* 0 or a result of SQLite; *ret is to be closed in any case. */
static int connect_to(const char *path, sqlite3 **ret)
{
    int r = sqlite3_open_v2(path, ret, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (r == SQLITE_OK)
        r = sqlite3_busy_timeout(*ret, BUSY_MS);
    return r == SQLITE_OK ? sqlite3_exec(*ret, "PRAGMA synchronous=FULL", NULL, NULL, NULL) : r;
}

/* What SQLite keeps of the file in memory holds keys, too. Its pages go, and are wiped; the space in
 * which it put a record together goes with the connection alone, so another one takes its place.
 * Where that fails the old one stays, for the next time. */
static void forget_keys(struct store *s)
{
    sqlite3 *fresh = NULL;
    (void)sqlite3_db_release_memory(s->db);
    if (!s->key_written || !sqlite3_get_autocommit(s->db))
        return;
    if (connect_to(s->path, &fresh) != SQLITE_OK) {
        sqlite3_close(fresh);
        return;
    }
    sqlite3_close(s->db);
    s->db = fresh;
    s->key_written = false;
}

static int open_file(struct store *s)
{
    int r = store_memory_wipe();
    if (r < 0) {
        snprintf(s->why, sizeof s->why, "SQLite takes no allocator");
        return r;
    }
    if (connect_to(s->path, &s->db) != SQLITE_OK)
        return s->db ? failed(s) : -ENOMEM;
    return prepare_schema(s);
}

int store_open(struct store **ret, const char *folder, char why[static STORE_WHY_MAX])
{
    const char *reason = NULL;
    struct store *s = calloc(1, sizeof *s);
    snprintf(why, STORE_WHY_MAX, "no memory");
    if (!s)
        return -ENOMEM;
    int r = prepare_file(folder, s->path, &reason);
    if (r < 0) {
        snprintf(why, STORE_WHY_MAX, "%.140s: %s", folder, reason ? reason : strerror(-r));
        free(s);
        return r;
    }
    r = open_file(s);
    if (r < 0) {
        snprintf(why, STORE_WHY_MAX, "%.100s: %.140s", s->path, s->why[0] ? s->why : strerror(-r));
        store_close(s);
        return r;
    }
    *ret = s;
    return 0;
}

int store_open_existing(struct store **ret, const char *folder, char why[static STORE_WHY_MAX])
{
    char path[PATH_MAX];
    int len = snprintf(path, sizeof path, "%s/ca.db", folder);
    int r = len < 0 || (size_t)len >= sizeof path ? -ENAMETOOLONG : 0;
    if (r == 0 && access(path, F_OK) < 0)
        r = -errno;
    if (r == 0)
        return store_open(ret, folder, why);
    if (r == -ENOENT)
        snprintf(why, STORE_WHY_MAX, "%.140s: no CA's state is there; weir-ca init makes a new one",
                 folder);
    else
        snprintf(why, STORE_WHY_MAX, "%.140s: %s", folder, strerror(-r));
    return r;
}

struct store *store_close(struct store *s)
{
    if (!s)
        return NULL;
    sqlite3_close(s->db);
    free(s);
    return NULL;
}

int store_begin(struct store *s)
{
    return run(s, "BEGIN IMMEDIATE");
}

int store_commit(struct store *s)
{
    int r = run(s, "COMMIT");
    forget_keys(s);
    return r;
}

/* Fine where SQLite has done it by itself, as after a full disk. */
void store_rollback(struct store *s)
{
    (void)sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    forget_keys(s);
}

const char *store_why(const struct store *s)
{
    return s->why;
}

const char *store_library(void)
{
    return sqlite3_libversion();
}

/* ---- statements ---------------------------------------------------------- */

static int prepare(struct store *s, const char *sql, sqlite3_stmt **ret)
{
    return sqlite3_prepare_v2(s->db, sql, -1, ret, NULL) == SQLITE_OK ? 0 : failed(s);
}

/* `bound`: the results of all binds, or'ed. */
static int finish(struct store *s, sqlite3_stmt *q, int bound)
{
    int r = bound == SQLITE_OK && sqlite3_step(q) == SQLITE_DONE ? 0 : failed(s);
    sqlite3_finalize(q);
    return r;
}

static int bind_text(sqlite3_stmt *q, int at, const char *value)
{
    return sqlite3_bind_text(q, at, value, -1, SQLITE_STATIC);
}

static int bind_digest(sqlite3_stmt *q, int at, const uint8_t digest[static DIGEST_BYTES])
{
    return sqlite3_bind_blob(q, at, digest, DIGEST_BYTES, SQLITE_STATIC);
}

int store_put_authority(struct store *s, const char *kind, const struct authority_record *a)
{
    sqlite3_stmt *q;
    int r =
        prepare(s, "INSERT INTO authority (kind, certificate, key, made) VALUES (?, ?, ?, ?)", &q);
    if (r < 0)
        return r;
    int bound = bind_text(q, 1, kind) | bind_text(q, 2, a->certificate_pem) |
                bind_text(q, 3, a->key_pem) | sqlite3_bind_int64(q, 4, a->made_s);
    s->key_written = true;
    r = finish(s, q, bound);
    forget_keys(s); /* in a change, its end does it */
    return r;
}

static char *column_dup(sqlite3_stmt *q, int column)
{
    const char *t = (const char *)sqlite3_column_text(q, column);
    return t ? text_dup(text_of(t)) : NULL;
}

int store_get_authority(struct store *s, const char *kind, struct authority_record *ret)
{
    sqlite3_stmt *q;
    struct authority_record a = {0};
    int r = prepare(
        s, "SELECT certificate, key, made FROM authority WHERE kind = ? ORDER BY id DESC LIMIT 1",
        &q);
    if (r < 0)
        return r;
    int bound = bind_text(q, 1, kind), step = bound == SQLITE_OK ? sqlite3_step(q) : bound;
    if (step == SQLITE_ROW) {
        a = (struct authority_record){column_dup(q, 0), column_dup(q, 1),
                                      sqlite3_column_int64(q, 2)};
        r = a.certificate_pem && a.key_pem ? 0 : -ENOMEM;
    } else {
        r = step == SQLITE_DONE ? -ENOENT : failed(s);
    }
    sqlite3_finalize(q);
    forget_keys(s);
    if (r < 0)
        authority_record_done(&a);
    else
        *ret = a;
    return r;
}

void authority_record_done(struct authority_record *a)
{
    if (a->key_pem)
        key_wipe(a->key_pem, strlen(a->key_pem));
    free(a->certificate_pem);
    free(a->key_pem);
    *a = (struct authority_record){0};
}

int store_put_token(struct store *s, const uint8_t digest[static DIGEST_BYTES], const char *node,
                    int64_t expires_s)
{
    sqlite3_stmt *q;
    int r = prepare(s, "INSERT INTO token (digest, node, expires) VALUES (?, ?, ?)", &q);
    if (r < 0)
        return r;
    int bound =
        bind_digest(q, 1, digest) | bind_text(q, 2, node) | sqlite3_bind_int64(q, 3, expires_s);
    return finish(s, q, bound);
}

int store_get_token(struct store *s, const uint8_t digest[static DIGEST_BYTES], char **ret_node,
                    int64_t *ret_expires_s)
{
    sqlite3_stmt *q;
    int r = prepare(s, "SELECT node, expires FROM token WHERE digest = ?", &q);
    if (r < 0)
        return r;
    int bound = bind_digest(q, 1, digest), step = bound == SQLITE_OK ? sqlite3_step(q) : bound;
    if (step == SQLITE_ROW) {
        char *node = column_dup(q, 0);
        r = node ? 0 : -ENOMEM;
        if (node) {
            *ret_node = node;
            *ret_expires_s = sqlite3_column_int64(q, 1);
        }
    } else {
        r = step == SQLITE_DONE ? -ENOENT : failed(s);
    }
    sqlite3_finalize(q);
    return r;
}

int store_put_issued(struct store *s, const struct issued_record *i)
{
    sqlite3_stmt *q;
    int r = prepare(s,
                    "INSERT INTO issued (serial, identity, node, not_before, not_after, issued) "
                    "VALUES (?, ?, ?, ?, ?, ?)",
                    &q);
    if (r < 0)
        return r;
    int bound = bind_text(q, 1, i->serial) | bind_text(q, 2, i->identity) |
                bind_text(q, 3, i->node) | sqlite3_bind_int64(q, 4, i->not_before_s) |
                sqlite3_bind_int64(q, 5, i->not_after_s) | sqlite3_bind_int64(q, 6, i->issued_s);
    return finish(s, q, bound);
}

int store_count_issued(struct store *s, uint64_t *ret)
{
    sqlite3_stmt *q;
    int r = prepare(s, "SELECT count(*) FROM issued", &q);
    if (r < 0)
        return r;
    r = sqlite3_step(q) == SQLITE_ROW ? 0 : failed(s);
    if (r == 0)
        *ret = (uint64_t)sqlite3_column_int64(q, 0);
    sqlite3_finalize(q);
    return r;
}
