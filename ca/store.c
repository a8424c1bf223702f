/* The CA's memory; see the header. */
#include "ca/store_inside.h"

#include "ca/store_memory.h"
#include "shared/base/list.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUSY_MS = 10000, BUSY_STEP_MS = 20 };

/* What makes version i + 1 of version i. Never changed once it was released. */
static const char *const migrations[] = {
    "CREATE TABLE authority (id INTEGER PRIMARY KEY, kind TEXT NOT NULL,"
    " certificate TEXT NOT NULL, key TEXT NOT NULL, made INTEGER NOT NULL);"
    "CREATE TABLE token (digest BLOB NOT NULL PRIMARY KEY, node TEXT NOT NULL,"
    " expires INTEGER NOT NULL);"
    "CREATE TABLE issued (serial TEXT NOT NULL PRIMARY KEY, identity TEXT NOT NULL,"
    " node TEXT NOT NULL, not_before INTEGER NOT NULL, not_after INTEGER NOT NULL,"
    " issued INTEGER NOT NULL);"
    "PRAGMA user_version = 1;",

    "ALTER TABLE issued ADD COLUMN proof TEXT NOT NULL DEFAULT '';"
    "CREATE INDEX issued_of ON issued (identity);"
    "CREATE TABLE join_token (digest BLOB NOT NULL PRIMARY KEY, identity TEXT NOT NULL,"
    " source TEXT NOT NULL, made INTEGER NOT NULL, expires INTEGER NOT NULL);"
    "CREATE TABLE revocation (kind TEXT NOT NULL, value TEXT NOT NULL, revoked INTEGER NOT NULL,"
    " reason TEXT NOT NULL, PRIMARY KEY (kind, value));"
    "CREATE TABLE audit (id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL,"
    " outcome TEXT NOT NULL, asker TEXT NOT NULL, proof TEXT NOT NULL, identity TEXT NOT NULL,"
    " serial TEXT NOT NULL, reason TEXT NOT NULL);"
    "CREATE INDEX audit_of ON audit (serial);"
    "CREATE TRIGGER audit_stays BEFORE UPDATE ON audit"
    " BEGIN SELECT RAISE(ABORT, 'a line of the audit log is never changed'); END;"
    "CREATE TRIGGER audit_keeps BEFORE DELETE ON audit"
    " BEGIN SELECT RAISE(ABORT, 'a line of the audit log is never removed'); END;"
    "PRAGMA user_version = 2;",

    "CREATE INDEX issued_until ON issued (not_after, serial);"
    "CREATE TABLE forgotten (before INTEGER NOT NULL);"
    "INSERT INTO forgotten VALUES (0);"
    "PRAGMA user_version = 3;",

    "ALTER TABLE authority ADD COLUMN state TEXT NOT NULL DEFAULT 'signs';"
    "ALTER TABLE authority ADD COLUMN since INTEGER NOT NULL DEFAULT 0;"
    "CREATE TABLE trust (version INTEGER NOT NULL);"
    "INSERT INTO trust VALUES (1);"
    "CREATE INDEX issued_at ON issued (issued);"
    "PRAGMA user_version = 4;",
};
enum { SCHEMA_VERSION = ARRAY_SIZE(migrations) };

int store_failed(struct store *s)
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

int store_run(struct store *s, const char *sql)
{
    return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : store_failed(s);
}

/* ---- opening ------------------------------------------------------------- */

static int version_of(struct store *s, int *ret)
{
    sqlite3_stmt *q;
    if (sqlite3_prepare_v2(s->db, "PRAGMA user_version", -1, &q, NULL) != SQLITE_OK)
        return store_failed(s);
    int r = sqlite3_step(q) == SQLITE_ROW ? 0 : store_failed(s);
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
        return store_failed(s);
    int r = sqlite3_step(q) == SQLITE_ROW ? 0 : store_failed(s);
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
    while (r == 0 && version < SCHEMA_VERSION)
        r = store_run(s, migrations[version++]);
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
int store_connect(const char *path, sqlite3 **ret)
{
    int r = sqlite3_open_v2(path, ret, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (r == SQLITE_OK)
        r = sqlite3_busy_timeout(*ret, BUSY_MS);
    return r == SQLITE_OK ? sqlite3_exec(*ret, "PRAGMA synchronous=FULL", NULL, NULL, NULL) : r;
}

/* What SQLite keeps of the file in memory holds keys, too. Its pages go, and are wiped; the space in
 * which it put a record together goes with the connection alone, so another one takes its place.
 * Where that fails the old one stays, for the next time. */
void store_forget_keys(struct store *s)
{
    sqlite3 *fresh = NULL;
    if (!s->key_read && !s->key_written)
        return;
    (void)sqlite3_db_release_memory(s->db);
    s->key_read = false;
    if (!s->key_written || !sqlite3_get_autocommit(s->db))
        return;
    if (store_connect(s->path, &fresh) != SQLITE_OK) {
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
    if (store_connect(s->path, &s->db) != SQLITE_OK)
        return s->db ? store_failed(s) : -ENOMEM;
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
    return store_run(s, "BEGIN IMMEDIATE");
}

int store_commit(struct store *s)
{
    int r = store_run(s, "COMMIT");
    store_forget_keys(s);
    return r;
}

/* Fine where SQLite has done it by itself, as after a full disk. */
void store_rollback(struct store *s)
{
    (void)sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    store_forget_keys(s);
}

const char *store_why(const struct store *s)
{
    return s->why;
}

const char *store_library(void)
{
    return sqlite3_libversion();
}
