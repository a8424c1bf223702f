/* Signing certificates and what is trusted, in the store; see store.h. */
#include "ca/store_inside.h"

#include "shared/tls/key.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

int store_trust_changed(struct store *s)
{
    return store_run(s, "UPDATE trust SET version = version + 1");
}

static int number(struct store *s, sqlite3_stmt *q, int bound, int64_t *ret)
{
    int r = bound == SQLITE_OK && sqlite3_step(q) == SQLITE_ROW ? 0 : store_failed(s);
    if (r == 0)
        *ret = sqlite3_column_int64(q, 0);
    sqlite3_finalize(q);
    return r;
}

int store_trust_version(struct store *s, uint64_t *ret)
{
    sqlite3_stmt *q;
    int64_t n = 0;
    int r = store_prepare(s, "SELECT version FROM trust", &q);
    if (r == 0)
        r = number(s, q, SQLITE_OK, &n);
    if (r == 0)
        *ret = (uint64_t)n;
    return r;
}

int store_last_end(struct store *s, int64_t issued_until_s, int64_t *ret)
{
    sqlite3_stmt *q;
    int r = store_prepare(s, "SELECT coalesce(max(not_after), 0) FROM issued WHERE issued <= ?", &q);
    return r < 0 ? r : number(s, q, sqlite3_bind_int64(q, 1, issued_until_s), ret);
}

int store_put_authority(struct store *s, const char *kind, const struct authority_record *a)
{
    sqlite3_stmt *q;
    int r = store_prepare(
        s,
        "INSERT INTO authority (kind, certificate, key, made, state, since)"
        " VALUES (?, ?, ?, ?4, ?, ?4)",
        &q);
    if (r < 0)
        return r;
    int bound = store_bind(q, 1, kind) | store_bind(q, 2, a->certificate_pem) |
                store_bind(q, 3, a->key_pem) | sqlite3_bind_int64(q, 4, a->made_s) |
                store_bind(q, 5, a->state ? a->state : ROOT_SIGNS);
    s->key_written = true;
    r = store_finish(s, q, bound);
    if (r == 0)
        r = store_trust_changed(s);
    store_forget_keys(s); /* in a change, its end does it */
    return r;
}

int store_get_authority(struct store *s, const char *kind, struct authority_record *ret)
{
    return store_get_authority_in(s, kind, ROOT_SIGNS, ret);
}

int store_get_authority_in(struct store *s, const char *kind, const char *state,
                           struct authority_record *ret)
{
    sqlite3_stmt *q;
    struct authority_record a = {0};
    int r = store_prepare(s,
                          "SELECT certificate, key, made FROM authority WHERE kind = ? AND state = ?"
                          " ORDER BY id DESC LIMIT 1",
                          &q);
    if (r < 0)
        return r;
    s->key_read = true;
    int bound = store_bind(q, 1, kind) | store_bind(q, 2, state),
        step = bound == SQLITE_OK ? sqlite3_step(q) : bound;
    if (step == SQLITE_ROW) {
        a = (struct authority_record){store_column(q, 0), store_column(q, 1),
                                      sqlite3_column_int64(q, 2), NULL};
        r = a.certificate_pem && a.key_pem ? 0 : -ENOMEM;
    } else {
        r = step == SQLITE_DONE ? -ENOENT : store_failed(s);
    }
    sqlite3_finalize(q);
    store_forget_keys(s);
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

/* ---- roots --------------------------------------------------------------- */

static int take_root(sqlite3_stmt *q, struct root_list *l)
{
    struct root_record *r = &l->roots[l->n];
    const char *state = (const char *)sqlite3_column_text(q, 2);
    r->id = sqlite3_column_int64(q, 0);
    r->certificate_pem = store_column(q, 1);
    snprintf(r->state, sizeof r->state, "%s", state ? state : "");
    r->since_s = sqlite3_column_int64(q, 3);
    l->n++;
    return r->certificate_pem ? 0 : -ENOMEM;
}

int store_list_roots(struct store *s, struct root_list *ret)
{
    sqlite3_stmt *q;
    struct root_list l = {.n = 0};
    int step = SQLITE_ROW,
        r = store_prepare(s,
                          "SELECT id, certificate, state, since FROM authority WHERE kind = 'root'"
                          " AND state <> 'gone' ORDER BY id",
                          &q);
    if (r < 0)
        return r;
    while (r == 0 && l.n < ROOTS_TRUSTED_MAX && (step = sqlite3_step(q)) == SQLITE_ROW)
        r = take_root(q, &l);
    if (r == 0 && step != SQLITE_ROW && step != SQLITE_DONE)
        r = store_failed(s);
    sqlite3_finalize(q);
    if (r < 0)
        root_list_done(&l);
    else
        *ret = l;
    return r;
}

void root_list_done(struct root_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->roots[i].certificate_pem);
    *l = (struct root_list){.n = 0};
}

int store_set_root(struct store *s, int64_t id, const char *state, int64_t now_s)
{
    sqlite3_stmt *q;
    int r = store_prepare(s,
                          "UPDATE authority SET state = ?1, since = ?2,"
                          " key = CASE ?1 WHEN 'gone' THEN '' ELSE key END WHERE id = ?3",
                          &q);
    if (r < 0)
        return r;
    s->key_written = true;
    r = store_finish(s, q,
                     store_bind(q, 1, state) | sqlite3_bind_int64(q, 2, now_s) |
                         sqlite3_bind_int64(q, 3, id));
    if (r == 0)
        r = sqlite3_changes(s->db) == 1 ? store_trust_changed(s) : -ENOENT;
    store_forget_keys(s);
    return r;
}
