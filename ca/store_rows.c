/* Tokens and what was issued, in the store; see store.h. */
#include "ca/store_inside.h"

#include "shared/base/list.h"
#include <errno.h>
#include <stdlib.h>

/* ---- nodes' tokens -------------------------------------------------------- */

int store_put_token(struct store *s, const uint8_t digest[static DIGEST_BYTES], const char *node,
                    int64_t expires_s)
{
    struct store_query q;
    store_query(&q, s,
                "INSERT INTO token (digest, node, expires) VALUES (?1, ?2, ?3)"
                " ON CONFLICT DO NOTHING");
    store_bind_bytes(&q, digest, DIGEST_BYTES);
    store_bind(&q, node);
    store_bind_number(&q, expires_s);
    return store_insert(&q);
}

int store_get_token(struct store *s, const uint8_t digest[static DIGEST_BYTES], char **ret_node,
                    int64_t *ret_expires_s)
{
    struct store_query q;
    store_query(&q, s, "SELECT node, expires FROM token WHERE digest = ?1");
    store_bind_bytes(&q, digest, DIGEST_BYTES);
    int r = store_find(&q);
    if (r == 0) {
        char *node = store_column(&q, 0);
        r = node ? 0 : -ENOMEM;
        if (node) {
            *ret_node = node;
            *ret_expires_s = store_number(&q, 1);
        }
    }
    store_query_end(&q);
    return r;
}

/* ---- what was issued ------------------------------------------------------ */

int store_put_issued(struct store *s, const struct issued_record *i)
{
    struct store_query q;
    store_query(&q, s,
                "INSERT INTO issued (serial, identity, node, not_before, not_after, issued, proof)"
                " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING");
    store_bind(&q, i->serial);
    store_bind(&q, i->identity);
    store_bind(&q, i->node);
    store_bind_number(&q, i->not_before_s);
    store_bind_number(&q, i->not_after_s);
    store_bind_number(&q, i->issued_s);
    store_bind(&q, i->proof ? i->proof : "");
    return store_insert(&q);
}

int store_hold_key(struct store *s, const uint8_t digest[static DIGEST_BYTES], const char *identity,
                   int64_t not_after_s)
{
    struct store_query q;
    store_query(&q, s,
                "INSERT INTO key_holder (digest, identity, last_end) VALUES (?1, ?2, ?3)"
                " ON CONFLICT (digest) DO UPDATE SET last_end ="
                " CASE WHEN excluded.last_end > key_holder.last_end THEN excluded.last_end"
                " ELSE key_holder.last_end END WHERE key_holder.identity = excluded.identity");
    store_bind_bytes(&q, digest, DIGEST_BYTES);
    store_bind(&q, identity);
    store_bind_number(&q, not_after_s);
    return store_insert(&q);
}

int store_count_issued(struct store *s, uint64_t *ret)
{
    struct store_query q;
    store_query(&q, s, "SELECT count(*) FROM issued");
    int r = store_find(&q);
    if (r == 0)
        *ret = (uint64_t)store_number(&q, 0);
    store_query_end(&q);
    return r;
}

int store_get_issued(struct store *s, const char *serial, struct issued_found *ret)
{
    struct store_query q;
    store_query(&q, s, "SELECT identity, proof, not_after FROM issued WHERE serial = ?1");
    store_bind(&q, serial);
    int r = store_find(&q);
    if (r == 0) {
        struct issued_found f = {store_column(&q, 0), store_column(&q, 1), store_number(&q, 2)};
        r = f.identity && f.proof ? 0 : -ENOMEM;
        if (r == 0)
            *ret = f;
        else
            issued_found_done(&f);
    }
    store_query_end(&q);
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

int store_forget(struct store *s, int64_t before_s, uint64_t rows_max, uint64_t *ret_n)
{
    static const char *const changes[] = {
        /* For store_check(). Where nothing is as old, nothing is written. */
        "UPDATE forgotten SET before = CASE WHEN before < ?1 THEN ?1 ELSE before END"
        " WHERE EXISTS (SELECT 1 FROM issued WHERE not_after < ?1 LIMIT ?2)",
        "DELETE FROM revocation WHERE kind = 'serial' AND value" LONG_OVER,
        "DELETE FROM key_holder WHERE digest IN"
        " (SELECT digest FROM key_holder WHERE last_end < ?1 ORDER BY last_end LIMIT ?2)",
        "DELETE FROM issued WHERE serial" LONG_OVER,
    };
    uint64_t n = 0;
    int r = store_begin(s);
    if (r < 0)
        return r;
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(changes); i++) {
        struct store_query q;
        store_query(&q, s, changes[i]);
        store_bind_number(&q, before_s);
        store_bind_number(&q, (int64_t)rows_max);
        r = store_change(&q, &n);
    }
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
    struct store_query q;
    store_query(&q, s, "DELETE FROM join_token WHERE expires < ?1");
    store_bind_number(&q, j->made_s - JOIN_KEPT_S);
    int r = store_change(&q, NULL);
    if (r < 0)
        return r;
    store_query(&q, s,
                "INSERT INTO join_token (digest, identity, source, made, expires)"
                " VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING");
    store_bind_bytes(&q, digest, DIGEST_BYTES);
    store_bind(&q, j->identity);
    store_bind(&q, j->source);
    store_bind_number(&q, j->made_s);
    store_bind_number(&q, j->expires_s);
    return store_insert(&q);
}

int store_get_join(struct store *s, const uint8_t digest[static DIGEST_BYTES],
                   struct join_found *ret)
{
    struct store_query q;
    store_query(&q, s, "SELECT identity, source, expires FROM join_token WHERE digest = ?1");
    store_bind_bytes(&q, digest, DIGEST_BYTES);
    int r = store_find(&q);
    if (r == 0) {
        struct join_found f = {store_column(&q, 0), store_column(&q, 1), store_number(&q, 2)};
        r = f.identity && f.source ? 0 : -ENOMEM;
        if (r == 0)
            *ret = f;
        else
            join_found_done(&f);
    }
    store_query_end(&q);
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
    struct store_query q;
    store_query(&q, s, "DELETE FROM join_token WHERE digest = ?1");
    store_bind_bytes(&q, digest, DIGEST_BYTES);
    return store_change_one(&q);
}
