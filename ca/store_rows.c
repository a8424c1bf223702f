/* Tokens and what was issued, in the store; see store.h. */
#include "ca/store_inside.h"

#include "shared/base/list.h"
#include <errno.h>
#include <stdlib.h>

/* ---- statements ---------------------------------------------------------- */

int store_prepare(struct store *s, const char *sql, sqlite3_stmt **ret)
{
    return sqlite3_prepare_v2(s->db, sql, -1, ret, NULL) == SQLITE_OK ? 0 : store_failed(s);
}

int store_finish(struct store *s, sqlite3_stmt *q, int bound)
{
    int r = bound == SQLITE_OK && sqlite3_step(q) == SQLITE_DONE ? 0 : store_failed(s);
    sqlite3_finalize(q);
    return r;
}

int store_bind(sqlite3_stmt *q, int at, const char *value)
{
    return sqlite3_bind_text(q, at, value, -1, SQLITE_STATIC);
}

static int bind_digest(sqlite3_stmt *q, int at, const uint8_t digest[static DIGEST_BYTES])
{
    return sqlite3_bind_blob(q, at, digest, DIGEST_BYTES, SQLITE_STATIC);
}

char *store_column(sqlite3_stmt *q, int column)
{
    const char *t = (const char *)sqlite3_column_text(q, column);
    return t ? text_dup(text_of(t)) : NULL;
}

int store_put_token(struct store *s, const uint8_t digest[static DIGEST_BYTES], const char *node,
                    int64_t expires_s)
{
    sqlite3_stmt *q;
    int r = store_prepare(s, "INSERT INTO token (digest, node, expires) VALUES (?, ?, ?)", &q);
    if (r < 0)
        return r;
    int bound =
        bind_digest(q, 1, digest) | store_bind(q, 2, node) | sqlite3_bind_int64(q, 3, expires_s);
    return store_finish(s, q, bound);
}

int store_get_token(struct store *s, const uint8_t digest[static DIGEST_BYTES], char **ret_node,
                    int64_t *ret_expires_s)
{
    sqlite3_stmt *q;
    int r = store_prepare(s, "SELECT node, expires FROM token WHERE digest = ?", &q);
    if (r < 0)
        return r;
    int bound = bind_digest(q, 1, digest), step = bound == SQLITE_OK ? sqlite3_step(q) : bound;
    if (step == SQLITE_ROW) {
        char *node = store_column(q, 0);
        r = node ? 0 : -ENOMEM;
        if (node) {
            *ret_node = node;
            *ret_expires_s = sqlite3_column_int64(q, 1);
        }
    } else {
        r = step == SQLITE_DONE ? -ENOENT : store_failed(s);
    }
    sqlite3_finalize(q);
    return r;
}

int store_put_issued(struct store *s, const struct issued_record *i)
{
    sqlite3_stmt *q;
    int r =
        store_prepare(s,
                      "INSERT INTO issued (serial, identity, node, not_before, not_after, issued,"
                      " proof) VALUES (?, ?, ?, ?, ?, ?, ?)",
                      &q);
    if (r < 0)
        return r;
    int bound = store_bind(q, 1, i->serial) | store_bind(q, 2, i->identity) |
                store_bind(q, 3, i->node) | sqlite3_bind_int64(q, 4, i->not_before_s) |
                sqlite3_bind_int64(q, 5, i->not_after_s) | sqlite3_bind_int64(q, 6, i->issued_s) |
                store_bind(q, 7, i->proof ? i->proof : "");
    return store_finish(s, q, bound);
}

int store_count_issued(struct store *s, uint64_t *ret)
{
    sqlite3_stmt *q;
    int r = store_prepare(s, "SELECT count(*) FROM issued", &q);
    if (r < 0)
        return r;
    r = sqlite3_step(q) == SQLITE_ROW ? 0 : store_failed(s);
    if (r == 0)
        *ret = (uint64_t)sqlite3_column_int64(q, 0);
    sqlite3_finalize(q);
    return r;
}

int store_get_issued(struct store *s, const char *serial, struct issued_found *ret)
{
    sqlite3_stmt *q;
    int r = store_prepare(s, "SELECT identity, proof, not_after FROM issued WHERE serial = ?", &q);
    if (r < 0)
        return r;
    int bound = store_bind(q, 1, serial), step = bound == SQLITE_OK ? sqlite3_step(q) : bound;
    if (step == SQLITE_ROW) {
        struct issued_found f = {store_column(q, 0), store_column(q, 1),
                                 sqlite3_column_int64(q, 2)};
        r = f.identity && f.proof ? 0 : -ENOMEM;
        if (r == 0)
            *ret = f;
        else
            issued_found_done(&f);
    } else {
        r = step == SQLITE_DONE ? -ENOENT : store_failed(s);
    }
    sqlite3_finalize(q);
    return r;
}

void issued_found_done(struct issued_found *f)
{
    free(f->identity);
    free(f->proof);
    *f = (struct issued_found){0};
}

/* ?1: ended before that, ?2: so many. */
#define LONG_OVER                                                                                  \
    " IN (SELECT serial FROM issued WHERE not_after < ?1 ORDER BY not_after, serial LIMIT ?2)"

static int forget_by(struct store *s, const char *sql, int64_t before_s, uint64_t rows_max)
{
    sqlite3_stmt *q;
    int r = store_prepare(s, sql, &q);
    return r < 0 ? r
                 : store_finish(s, q,
                                sqlite3_bind_int64(q, 1, before_s) |
                                    sqlite3_bind_int64(q, 2, (int64_t)rows_max));
}

int store_forget(struct store *s, int64_t before_s, uint64_t rows_max, uint64_t *ret_n)
{
    static const char *const changes[] = {
        /* For store_check(). Where nothing is as old, nothing is written. */
        "UPDATE forgotten SET before = max(before, ?1)"
        " WHERE EXISTS (SELECT 1 FROM issued WHERE not_after < ?1 LIMIT ?2)",
        "DELETE FROM revocation WHERE kind = 'serial' AND value" LONG_OVER,
        "DELETE FROM issued WHERE serial" LONG_OVER,
    };
    int r = store_begin(s);
    if (r < 0)
        return r;
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(changes); i++)
        r = forget_by(s, changes[i], before_s, rows_max);
    uint64_t n = (uint64_t)sqlite3_changes(s->db);
    if (r == 0)
        r = store_commit(s);
    if (r < 0)
        store_rollback(s);
    else
        *ret_n = n;
    return r;
}

/* ---- join tokens --------------------------------------------------------- */

enum { JOIN_KEPT_S = 86400 }; /* after its end, so that it is told from one that never was */

int store_put_join(struct store *s, const uint8_t digest[static DIGEST_BYTES],
                   const struct join_record *j)
{
    sqlite3_stmt *q;
    int r = store_prepare(s, "DELETE FROM join_token WHERE expires < ?", &q);
    if (r == 0)
        r = store_finish(s, q, sqlite3_bind_int64(q, 1, j->made_s - JOIN_KEPT_S));
    if (r == 0)
        r = store_prepare(s,
                          "INSERT INTO join_token (digest, identity, source, made, expires)"
                          " VALUES (?, ?, ?, ?, ?)",
                          &q);
    if (r < 0)
        return r;
    int bound = bind_digest(q, 1, digest) | store_bind(q, 2, j->identity) |
                store_bind(q, 3, j->source) | sqlite3_bind_int64(q, 4, j->made_s) |
                sqlite3_bind_int64(q, 5, j->expires_s);
    return store_finish(s, q, bound);
}

int store_get_join(struct store *s, const uint8_t digest[static DIGEST_BYTES],
                   struct join_found *ret)
{
    sqlite3_stmt *q;
    int r =
        store_prepare(s, "SELECT identity, source, expires FROM join_token WHERE digest = ?", &q);
    if (r < 0)
        return r;
    int bound = bind_digest(q, 1, digest), step = bound == SQLITE_OK ? sqlite3_step(q) : bound;
    if (step == SQLITE_ROW) {
        struct join_found f = {store_column(q, 0), store_column(q, 1), sqlite3_column_int64(q, 2)};
        r = f.identity && f.source ? 0 : -ENOMEM;
        if (r == 0)
            *ret = f;
        else
            join_found_done(&f);
    } else {
        r = step == SQLITE_DONE ? -ENOENT : store_failed(s);
    }
    sqlite3_finalize(q);
    return r;
}

void join_found_done(struct join_found *f)
{
    free(f->identity);
    free(f->source);
    *f = (struct join_found){0};
}

int store_spend_join(struct store *s, const uint8_t digest[static DIGEST_BYTES])
{
    sqlite3_stmt *q;
    int r = store_prepare(s, "DELETE FROM join_token WHERE digest = ?", &q);
    if (r == 0)
        r = store_finish(s, q, bind_digest(q, 1, digest));
    return r < 0 ? r : sqlite3_changes(s->db) == 1 ? 0 : -ENOENT;
}
