/* The store as a file of SQLite; see store_inside.h. */
#include "ca/store_sqlite.h"

#include "ca/store_memory.h"
#include "ca/store_schema.h"
#include "shared/base/list.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUSY_MS = 10000, BUSY_STEP_MS = 20 };

static const char *const schemas[] = {STORE_SCHEMAS(
    "INTEGER", "BLOB", "INTEGER PRIMARY KEY", "INTEGER PRIMARY KEY AUTOINCREMENT", "",
    "CREATE TRIGGER audit_stays BEFORE UPDATE ON audit"
    " BEGIN SELECT RAISE(ABORT, 'a line of the audit log is never changed'); END;"
    "CREATE TRIGGER audit_keeps BEFORE DELETE ON audit"
    " BEGIN SELECT RAISE(ABORT, 'a line of the audit log is never removed'); END;")};
_Static_assert(ARRAY_SIZE(schemas) == STORE_SCHEMA_VERSION, "each version has its text");

static sqlite3 *db_of(const struct store *s)
{
    return container_of(s, struct store_sqlite, base)->db;
}

int store_sqlite_error(int result)
{
    if (result == SQLITE_CONSTRAINT_PRIMARYKEY || result == SQLITE_CONSTRAINT_UNIQUE)
        return -EEXIST;
    switch (result & 0xff) {
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

static int failed(struct store *s)
{
    snprintf(s->why, sizeof s->why, "%s", sqlite3_errmsg(db_of(s)));
    return store_sqlite_error(sqlite3_extended_errcode(db_of(s)));
}

static int script(struct store *s, const char *sql)
{
    return sqlite3_exec(db_of(s), sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : failed(s);
}

/* ---- questions ----------------------------------------------------------- */

static int bind_all(struct store_query *q, sqlite3_stmt *statement)
{
    int r = SQLITE_OK;
    for (size_t i = 0; r == SQLITE_OK && i < q->n_values; i++) {
        const struct store_value *v = &q->values[i];
        int at = (int)i + 1;
        if (v->kind == STORE_NUMBER)
            r = sqlite3_bind_int64(statement, at, v->number);
        else if (v->kind == STORE_BYTES)
            r = sqlite3_bind_blob(statement, at, v->bytes, (int)v->len, SQLITE_STATIC);
        else
            r = sqlite3_bind_text(statement, at, v->bytes, (int)v->len, SQLITE_STATIC);
    }
    return r;
}

static int step(struct store_query *q)
{
    sqlite3_stmt *statement = q->running;
    if (!statement) {
        if (sqlite3_prepare_v2(db_of(q->store), q->sql, -1, &statement, NULL) != SQLITE_OK)
            return failed(q->store);
        q->running = statement;
        if (bind_all(q, statement) != SQLITE_OK)
            return failed(q->store);
    }
    int result = sqlite3_step(statement);
    return result == SQLITE_ROW ? 1 : result == SQLITE_DONE ? 0 : failed(q->store);
}

static const char *column(struct store_query *q, size_t i)
{
    const char *t = (const char *)sqlite3_column_text(q->running, (int)i);
    return t || sqlite3_column_type(q->running, (int)i) != SQLITE_NULL ? t : "";
}

static const char *column_name(struct store_query *q, size_t i)
{
    return sqlite3_column_name(q->running, (int)i);
}

static size_t columns(struct store_query *q)
{
    return (size_t)sqlite3_column_count(q->running);
}

static uint64_t changed(struct store_query *q)
{
    return (uint64_t)sqlite3_changes(db_of(q->store));
}

static void end(struct store_query *q)
{
    sqlite3_finalize(q->running);
}

/* ---- changes and versions ------------------------------------------------ */

static int begin(struct store *s, bool alone)
{
    (void)alone; /* there is one writer at a time anyway */
    return script(s, "BEGIN IMMEDIATE");
}

static int commit(struct store *s)
{
    return script(s, "COMMIT");
}

/* Fine where SQLite has done it by itself, as after a full disk. */
static void rollback(struct store *s)
{
    (void)sqlite3_exec(db_of(s), "ROLLBACK", NULL, NULL, NULL);
}

static int get_version(struct store *s, int *ret)
{
    struct store_query q;
    int64_t n = 0;
    store_query(&q, s, "PRAGMA user_version");
    int r = store_find_number(&q, &n);
    *ret = (int)n;
    return r;
}

static int set_version(struct store *s, int version)
{
    char sql[48];
    snprintf(sql, sizeof sql, "PRAGMA user_version = %d", version);
    return script(s, sql);
}

/* ---- opening ------------------------------------------------------------- */

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
int store_sqlite_connect(const char *path, sqlite3 **ret)
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
    struct store_sqlite *f = container_of(s, struct store_sqlite, base);
    sqlite3 *fresh = NULL;
    if (!s->key_read && !s->key_written)
        return;
    (void)sqlite3_db_release_memory(f->db);
    s->key_read = false;
    if (!s->key_written || !sqlite3_get_autocommit(f->db))
        return;
    if (store_sqlite_connect(f->path, &fresh) != SQLITE_OK) {
        sqlite3_close(fresh);
        return;
    }
    sqlite3_close(f->db);
    f->db = fresh;
    s->key_written = false;
}

static int forget_log(struct store *s)
{
    struct store_query q;
    int64_t busy = 0;
    store_query(&q, s, "PRAGMA wal_checkpoint(TRUNCATE)");
    int r = store_find_number(&q, &busy);
    if (r < 0 || !busy)
        return r;
    snprintf(s->why, sizeof s->why, "another program has the state open");
    return -EBUSY;
}

/* The pragma does not fail where it could not change anything: it tells the mode that it found. */
static int set_journal(struct store *s)
{
    struct store_query q;
    store_query(&q, s, "PRAGMA journal_mode=WAL");
    int r = store_find(&q);
    if (r == 0 && strcmp(column(&q, 0), "wal") != 0) {
        snprintf(s->why, sizeof s->why, "its file system can't hold a write-ahead log");
        r = -ENOTSUP;
    }
    store_query_end(&q);
    return r;
}

static void file_close(struct store *s)
{
    sqlite3_close(db_of(s));
    free(container_of(s, struct store_sqlite, base));
}

static const struct store_engine engine = {
    .begin = begin,
    .commit = commit,
    .rollback = rollback,
    .script = script,
    .step = step,
    .column = column,
    .column_name = column_name,
    .columns = columns,
    .changed = changed,
    .end = end,
    .get_version = get_version,
    .set_version = set_version,
    .forget_keys = forget_keys,
    .forget_log = forget_log,
    .close = file_close,
    .overwrites = "PRAGMA secure_delete=ON",
    .schemas = schemas,
    .check = "SELECT integrity_check FROM pragma_integrity_check WHERE integrity_check <> 'ok'",
};

struct store_sqlite *store_sqlite_of(struct store *s)
{
    return s->engine == &engine ? container_of(s, struct store_sqlite, base) : NULL;
}

static int open_file(struct store_sqlite *f)
{
    struct store *s = &f->base;
    int r = store_memory_wipe();
    if (r < 0) {
        snprintf(s->why, sizeof s->why, "SQLite takes no allocator");
        return r;
    }
    if (store_sqlite_connect(f->path, &f->db) != SQLITE_OK)
        return f->db ? failed(s) : -ENOMEM;
    r = set_journal(s);
    /* Two that make the log at once don't wait for each other: SQLite is busy at once then. */
    for (int waited = 0; r == -EBUSY && waited < BUSY_MS; waited += BUSY_STEP_MS) {
        sqlite3_sleep(BUSY_STEP_MS);
        r = set_journal(s);
    }
    return r;
}

int store_sqlite_open(struct store **ret, const char *folder, char why[static STORE_WHY_MAX])
{
    const char *reason = NULL;
    struct store_sqlite *f = calloc(1, sizeof *f);
    snprintf(why, STORE_WHY_MAX, "no memory");
    if (!f)
        return -ENOMEM;
    f->base.engine = &engine;
    int r = prepare_file(folder, f->path, &reason);
    if (r < 0) {
        snprintf(why, STORE_WHY_MAX, "%.140s: %s", folder, reason ? reason : strerror(-r));
        free(f);
        return r;
    }
    r = open_file(f);
    if (r < 0) {
        snprintf(why, STORE_WHY_MAX, "%.100s: %.140s", f->path,
                 f->base.why[0] ? f->base.why : strerror(-r));
        file_close(&f->base);
        return r;
    }
    *ret = &f->base;
    return 0;
}

int store_sqlite_exists(const char *folder, char why[static STORE_WHY_MAX])
{
    char path[PATH_MAX];
    int len = snprintf(path, sizeof path, "%s/ca.db", folder);
    int r = len < 0 || (size_t)len >= sizeof path ? -ENAMETOOLONG : 0;
    if (r == 0 && access(path, F_OK) < 0)
        r = -errno;
    if (r < 0 && r != -ENOENT)
        snprintf(why, STORE_WHY_MAX, "%.140s: %s", folder, strerror(-r));
    return r;
}

const char *store_library(void)
{
    return sqlite3_libversion();
}
