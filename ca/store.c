/* The CA's memory; see the header. */
#include "ca/store.h"

#include "shared/tls/key.h"
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUSY_MS = 10000, SCHEMA_VERSION = 1 };

struct store {
    sqlite3 *db;
    char why[STORE_WHY_MAX];
};

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS authority (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, certificate TEXT NOT NULL, key TEXT NOT NULL, made INTEGER NOT NULL);"
    "CREATE TABLE IF NOT EXISTS token (digest BLOB PRIMARY KEY, node TEXT NOT NULL, expires INTEGER NOT NULL);"
    "CREATE TABLE IF NOT EXISTS issued (serial TEXT PRIMARY KEY, identity TEXT NOT NULL, node TEXT NOT NULL, not_before INTEGER NOT NULL,"
    " not_after INTEGER NOT NULL, issued INTEGER NOT NULL);"
    "PRAGMA user_version = 1;";

static int failed(struct store *s)
{
    int code = sqlite3_errcode(s->db), extended = sqlite3_extended_errcode(s->db);
    snprintf(s->why, sizeof s->why, "%s", sqlite3_errmsg(s->db));
    if (extended == SQLITE_CONSTRAINT_PRIMARYKEY || extended == SQLITE_CONSTRAINT_UNIQUE)
        return -EEXIST;
    switch (code) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return -EBUSY;
    case SQLITE_NOMEM: return -ENOMEM;
    case SQLITE_FULL: return -ENOSPC;
    case SQLITE_READONLY: return -EROFS;
    default: return -EIO;
    }
}

static int run(struct store *s, const char *sql) { return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : failed(s); }

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

static int prepare_schema(struct store *s)
{
    int version = 0, r = run(s, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON");
    if (r == 0)
        r = store_begin(s);
    if (r < 0)
        return r;
    r = version_of(s, &version);
    if (r == 0 && version > SCHEMA_VERSION) {
        snprintf(s->why, sizeof s->why, "its schema is version %d, this program knows %d: use a newer weir-ca", version, SCHEMA_VERSION);
        r = -ENOTSUP;
    }
    if (r == 0 && version == 0)
        r = run(s, schema);
    if (r == 0)
        return store_commit(s);
    store_rollback(s);
    return r;
}

int store_open(struct store **ret, const char *folder, char why[static STORE_WHY_MAX])
{
    char path[4096];
    struct store *s = calloc(1, sizeof *s);
    snprintf(why, STORE_WHY_MAX, "no memory");
    if (!s)
        return -ENOMEM;
    int r = mkdir(folder, 0700) < 0 && errno != EEXIST ? -errno : 0;
    int len = snprintf(path, sizeof path, "%s/ca.db", folder);
    if (r == 0 && (len < 0 || (size_t)len >= sizeof path))
        r = -ENAMETOOLONG;
    /* Made by us first, so that its mode is never wider, not even for a moment. */
    int fd = r == 0 ? open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;
    if (r == 0 && fd < 0)
        r = -errno;
    if (r < 0) {
        snprintf(why, STORE_WHY_MAX, "%.180s: %s", folder, strerror(-r));
        free(s);
        return r;
    }
    close(fd);
    if (sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
        r = s->db ? failed(s) : -ENOMEM;
    if (r == 0) {
        sqlite3_busy_timeout(s->db, BUSY_MS);
        sqlite3_extended_result_codes(s->db, 1);
        r = prepare_schema(s);
    }
    if (r < 0) {
        snprintf(why, STORE_WHY_MAX, "%.100s: %.140s", path, s->why);
        store_close(s);
        return r;
    }
    *ret = s;
    return 0;
}

struct store *store_close(struct store *s)
{
    if (!s)
        return NULL;
    sqlite3_close(s->db);
    free(s);
    return NULL;
}

int store_begin(struct store *s) { return run(s, "BEGIN IMMEDIATE"); }
int store_commit(struct store *s) { return run(s, "COMMIT"); }
void store_rollback(struct store *s) { (void)sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL); }
const char *store_why(const struct store *s) { return s->why; }
const char *store_library(void) { return sqlite3_libversion(); }

/* ---- statements ---------------------------------------------------------- */

static int prepare(struct store *s, const char *sql, sqlite3_stmt **ret)
{
    return sqlite3_prepare_v2(s->db, sql, -1, ret, NULL) == SQLITE_OK ? 0 : failed(s);
}

static int finish(struct store *s, sqlite3_stmt *q)
{
    int r = sqlite3_step(q) == SQLITE_DONE ? 0 : failed(s);
    sqlite3_finalize(q);
    return r;
}

int store_put_authority(struct store *s, const char *kind, const struct authority_record *a)
{
    sqlite3_stmt *q;
    int r = prepare(s, "INSERT INTO authority (kind, certificate, key, made) VALUES (?, ?, ?, ?)", &q);
    if (r < 0)
        return r;
    sqlite3_bind_text(q, 1, kind, -1, SQLITE_STATIC);
    sqlite3_bind_text(q, 2, a->certificate_pem, -1, SQLITE_STATIC);
    sqlite3_bind_text(q, 3, a->key_pem, -1, SQLITE_STATIC);
    sqlite3_bind_int64(q, 4, a->made_s);
    return finish(s, q);
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
    int r = prepare(s, "SELECT certificate, key, made FROM authority WHERE kind = ? ORDER BY id DESC LIMIT 1", &q);
    if (r < 0)
        return r;
    sqlite3_bind_text(q, 1, kind, -1, SQLITE_STATIC);
    int step = sqlite3_step(q);
    if (step == SQLITE_ROW) {
        a = (struct authority_record){column_dup(q, 0), column_dup(q, 1), sqlite3_column_int64(q, 2)};
        r = a.certificate_pem && a.key_pem ? 0 : -ENOMEM;
    } else {
        r = step == SQLITE_DONE ? -ENOENT : failed(s);
    }
    sqlite3_finalize(q);
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

int store_put_token(struct store *s, const uint8_t digest[static DIGEST_BYTES], const char *node, int64_t expires_s)
{
    sqlite3_stmt *q;
    int r = prepare(s, "INSERT INTO token (digest, node, expires) VALUES (?, ?, ?)", &q);
    if (r < 0)
        return r;
    sqlite3_bind_blob(q, 1, digest, DIGEST_BYTES, SQLITE_STATIC);
    sqlite3_bind_text(q, 2, node, -1, SQLITE_STATIC);
    sqlite3_bind_int64(q, 3, expires_s);
    return finish(s, q);
}

int store_get_token(struct store *s, const uint8_t digest[static DIGEST_BYTES], char **ret_node, int64_t *ret_expires_s)
{
    sqlite3_stmt *q;
    int r = prepare(s, "SELECT node, expires FROM token WHERE digest = ?", &q);
    if (r < 0)
        return r;
    sqlite3_bind_blob(q, 1, digest, DIGEST_BYTES, SQLITE_STATIC);
    int step = sqlite3_step(q);
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
    int r = prepare(s, "INSERT INTO issued (serial, identity, node, not_before, not_after, issued) VALUES (?, ?, ?, ?, ?, ?)", &q);
    if (r < 0)
        return r;
    sqlite3_bind_text(q, 1, i->serial, -1, SQLITE_STATIC);
    sqlite3_bind_text(q, 2, i->identity, -1, SQLITE_STATIC);
    sqlite3_bind_text(q, 3, i->node, -1, SQLITE_STATIC);
    sqlite3_bind_int64(q, 4, i->not_before_s);
    sqlite3_bind_int64(q, 5, i->not_after_s);
    sqlite3_bind_int64(q, 6, i->issued_s);
    return finish(s, q);
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
