/* Signing certificates and what is trusted, in the store; see store.h. */
#include "ca/store_inside.h"

#include "shared/tls/key.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

int store_trust_changed(struct store *s)
{
    struct store_query q;
    store_query(&q, s, "UPDATE trust SET version = version + 1");
    return store_change(&q, NULL);
}

int store_raise_trust(struct store *s, int64_t now_s)
{
    struct store_query q;
    store_query(&q, s, "UPDATE trust SET version = CASE WHEN version < ?1 THEN ?1 ELSE version + 1 END");
    store_bind_number(&q, now_s);
    return store_change(&q, NULL);
}

int store_trust_version(struct store *s, uint64_t *ret)
{
    struct store_query q;
    int64_t n = 0;
    store_query(&q, s, "SELECT version FROM trust");
    int r = store_find_number(&q, &n);
    if (r == 0)
        *ret = (uint64_t)n;
    return r;
}

/* ?1: now, ?2: one more than there is room for. */
static const char identities_sql[] =
    "SELECT value FROM revocation WHERE kind = 'identity' AND ?1 IS NOT NULL"
    " ORDER BY revoked DESC LIMIT ?2";
static const char serials_sql[] =
    "SELECT value FROM revocation LEFT JOIN issued ON serial = value"
    " WHERE kind = 'serial' AND coalesce(not_after, ?1) >= ?1 AND NOT EXISTS"
    " (SELECT 1 FROM revocation AS whole WHERE whole.kind = 'identity' AND whole.value = identity)"
    " ORDER BY revoked DESC LIMIT ?2";

static int add_rows(struct store *s, const char *sql, int64_t now_s, int rows_max, struct trust *t,
                    int (*add)(struct trust *t, struct text value))
{
    struct store_query q;
    int row, r = 0;
    store_query(&q, s, sql);
    store_bind_number(&q, now_s);
    store_bind_number(&q, rows_max + 1);
    while (r == 0 && (row = store_step(&q)) != 0) {
        char *value = row > 0 ? store_column(&q, 0) : NULL;
        r = row < 0 ? row : value ? add(t, text_of(value)) : -ENOMEM;
        free(value);
    }
    store_query_end(&q);
    if (r != -ENOSPC)
        return r;
    t->incomplete = true; /* the one row too many */
    return 0;
}

int store_revoked_serials(struct store *s, int64_t not_after_s, int rows_max,
                          int (*visit)(const char *serial, int64_t revoked_s, void *arg), void *arg)
{
    struct store_query q;
    int row, r = 0;
    store_query(&q, s,
                "SELECT value, revoked FROM revocation LEFT JOIN issued ON serial = value"
                " WHERE kind = 'serial' AND coalesce(not_after, ?1) >= ?1 ORDER BY value LIMIT ?2");
    store_bind_number(&q, not_after_s);
    store_bind_number(&q, rows_max);
    while (r == 0 && (row = store_step(&q)) != 0) {
        char *value = row > 0 ? store_column(&q, 0) : NULL;
        r = row < 0 ? row : value ? visit(value, store_number(&q, 1), arg) : -ENOMEM;
        free(value);
    }
    store_query_end(&q);
    return r;
}

/* A value that is none of ours was not written by us, and hides no other. */
static int add_identity(struct trust *t, struct text value)
{
    int r = trust_add_identity(t, value);
    return r == -EINVAL ? 0 : r;
}

static int add_serial(struct trust *t, struct text value)
{
    int r = trust_add_serial(t, value);
    return r == -EINVAL ? 0 : r;
}

int store_get_trust(struct store *s, uint64_t version, const char *roots_pem, int64_t now_s,
                    struct trust **ret)
{
    struct trust *t =
        trust_new(version, text_of(roots_pem), TRUST_IDENTITIES_MAX, TRUST_SERIALS_MAX);
    int r = t ? add_rows(s, identities_sql, now_s, TRUST_IDENTITIES_MAX, t, add_identity) : -ENOMEM;
    if (r == 0)
        r = add_rows(s, serials_sql, now_s, TRUST_SERIALS_MAX, t, add_serial);
    if (r < 0) {
        trust_unref(t);
        return r;
    }
    trust_sort(t);
    *ret = t;
    return 0;
}

int store_last_end(struct store *s, int64_t issued_until_s, int64_t *ret)
{
    struct store_query q;
    store_query(&q, s, "SELECT coalesce(max(not_after), 0) FROM issued WHERE issued <= ?1");
    store_bind_number(&q, issued_until_s);
    return store_find_number(&q, ret);
}

int store_put_authority(struct store *s, const char *kind, const struct authority_record *a)
{
    struct store_query q;
    store_query(&q, s,
                "INSERT INTO authority (kind, certificate, key, made, state, since)"
                " VALUES (?1, ?2, ?3, ?4, ?5, ?4)");
    store_bind(&q, kind);
    store_bind(&q, a->certificate_pem);
    store_bind(&q, a->key_pem);
    store_bind_number(&q, a->made_s);
    store_bind(&q, a->state ? a->state : ROOT_SIGNS);
    s->key_written = true;
    int r = store_change(&q, NULL);
    if (r == 0)
        r = store_trust_changed(s);
    s->engine->forget_keys(s); /* in a change, its end does it */
    return r;
}

int store_get_authority(struct store *s, const char *kind, struct authority_record *ret)
{
    return store_get_authority_in(s, kind, ROOT_SIGNS, ret);
}

int store_get_authority_in(struct store *s, const char *kind, const char *state,
                           struct authority_record *ret)
{
    struct store_query q;
    struct authority_record a = {0};
    store_query(&q, s,
                "SELECT certificate, key, made FROM authority WHERE kind = ?1 AND state = ?2"
                " ORDER BY id DESC LIMIT 1");
    store_bind(&q, kind);
    store_bind(&q, state);
    s->key_read = true;
    int r = store_find(&q);
    if (r == 0) {
        a = (struct authority_record){store_column(&q, 0), store_column(&q, 1),
                                      store_number(&q, 2), NULL};
        r = a.certificate_pem && a.key_pem ? 0 : -ENOMEM;
    }
    store_query_end(&q);
    s->engine->forget_keys(s);
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

static int take_root(struct store_query *q, struct root_list *l)
{
    struct root_record *r = &l->roots[l->n];
    const char *state = q->store->engine->column(q, 2);
    r->id = store_number(q, 0);
    r->certificate_pem = store_column(q, 1);
    snprintf(r->state, sizeof r->state, "%s", state ? state : "");
    r->since_s = store_number(q, 3);
    l->n++;
    return r->certificate_pem ? 0 : -ENOMEM;
}

int store_list_roots(struct store *s, struct root_list *ret)
{
    struct store_query q;
    struct root_list l = {.n = 0};
    int r = 1;
    store_query(&q, s,
                "SELECT id, certificate, state, since FROM authority WHERE kind = 'root'"
                " AND state <> 'gone' ORDER BY id");
    while (l.n < ROOTS_TRUSTED_MAX && (r = store_step(&q)) > 0)
        if ((r = take_root(&q, &l)) < 0)
            break;
    store_query_end(&q);
    if (r < 0)
        root_list_done(&l);
    else
        *ret = l;
    return r < 0 ? r : 0;
}

void root_list_done(struct root_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->roots[i].certificate_pem);
    *l = (struct root_list){.n = 0};
}

int store_set_root(struct store *s, int64_t id, const char *state, int64_t now_s)
{
    struct store_query q;
    store_query(&q, s,
                "UPDATE authority SET state = ?1, since = ?2,"
                " key = CASE ?1 WHEN 'gone' THEN '' ELSE key END WHERE id = ?3");
    store_bind(&q, state);
    store_bind_number(&q, now_s);
    store_bind_number(&q, id);
    s->key_written = true;
    int r = store_change_one(&q);
    if (r == 0)
        r = store_trust_changed(s);
    s->engine->forget_keys(s);
    return r;
}
