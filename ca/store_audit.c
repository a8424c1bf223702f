/* What was revoked, what was decided, and how people see it; see store.h. */
#include "ca/store_inside.h"

#include "shared/base/list.h"
#include <errno.h>
#include <stdio.h>

/* ---- revocation ---------------------------------------------------------- */

int store_put_revocation(struct store *s, const char *kind, const char *value, int64_t now_s,
                         const char *reason)
{
    struct store_query q;
    store_query(&q, s,
                "INSERT INTO revocation (kind, value, revoked, reason) VALUES (?1, ?2, ?3, ?4)"
                " ON CONFLICT DO NOTHING");
    store_bind(&q, kind);
    store_bind(&q, value);
    store_bind_number(&q, now_s);
    store_bind(&q, reason);
    int r = store_insert(&q);
    if (r == 0)
        r = store_trust_changed(s);
    if (r < 0 || strcmp(kind, REVOKED_IDENTITY) != 0)
        return r;
    store_query(&q, s,
                "INSERT INTO revocation (kind, value, revoked, reason)"
                " SELECT 'serial', serial, ?2, ?3 FROM issued"
                " WHERE identity = ?1 AND not_after > ?2 ON CONFLICT DO NOTHING");
    store_bind(&q, value);
    store_bind_number(&q, now_s);
    store_bind(&q, reason);
    return store_change(&q, NULL);
}

int store_lift_revocation(struct store *s, const char *kind, const char *value)
{
    struct store_query q;
    store_query(&q, s, "DELETE FROM revocation WHERE kind = ?1 AND value = ?2");
    store_bind(&q, kind);
    store_bind(&q, value);
    int r = store_change_one(&q);
    return r < 0 ? r : store_trust_changed(s);
}

int store_is_revoked(struct store *s, const char *kind, const char *value, bool *ret)
{
    struct store_query q;
    store_query(&q, s, "SELECT 1 FROM revocation WHERE kind = ?1 AND value = ?2");
    store_bind(&q, kind);
    store_bind(&q, value);
    int r = store_step(&q);
    store_query_end(&q);
    if (r >= 0)
        *ret = r == 1;
    return r < 0 ? r : 0;
}

/* ---- the audit log ------------------------------------------------------- */

int store_put_audit(struct store *s, const struct audit_record *a)
{
    struct store_query q;
    store_query(&q, s,
                "INSERT INTO audit (at, outcome, asker, proof, identity, serial, reason)"
                " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)");
    store_bind_number(&q, a->at_s);
    store_bind(&q, a->outcome);
    store_bind(&q, a->asker);
    store_bind(&q, a->proof);
    store_bind(&q, a->identity);
    store_bind(&q, a->serial);
    store_bind(&q, a->reason);
    return store_change(&q, NULL);
}

/* ---- lists --------------------------------------------------------------- */

/* Names that end with _s are times. ?1: an identity or '', ?2: the most rows, ?3: now. */
static const char *const lists[] = {
    [STORE_CERTIFICATES] =
        "SELECT serial, identity, node, proof, not_after AS not_after_s,"
        " CASE WHEN EXISTS (SELECT 1 FROM revocation WHERE kind = 'serial' AND value = serial)"
        " THEN 'revoked'"
        " WHEN not_after <= ?3 THEN 'over' ELSE 'valid' END AS state"
        " FROM issued WHERE ?1 IN ('', identity) ORDER BY issued.rowid DESC LIMIT ?2",
    [STORE_TOKENS] =
        "SELECT substr(lower(hex(digest)), 1, 12) AS token, 'join' AS kind, identity AS of,"
        " source, expires AS expires_s,"
        " CASE WHEN expires <= ?3 THEN 'over' ELSE 'valid' END AS state"
        " FROM join_token WHERE ?1 IN ('', identity)"
        " UNION ALL SELECT substr(lower(hex(digest)), 1, 12), 'node', node, '', expires,"
        " CASE WHEN expires <= ?3 THEN 'over' ELSE 'valid' END"
        " FROM token WHERE ?1 IN ('', node) ORDER BY expires_s DESC LIMIT ?2",
    [STORE_REVOCATIONS] =
        "SELECT kind, value, revoked AS revoked_s, reason FROM revocation"
        " WHERE ?1 IN ('', value) AND ?3 IS NOT NULL ORDER BY revoked DESC LIMIT ?2",
    [STORE_AUDIT] =
        "SELECT id AS line, at AS at_s, outcome, asker, proof, identity, serial, reason FROM audit"
        " WHERE ?1 IN ('', identity) AND ?3 IS NOT NULL ORDER BY id DESC LIMIT ?2",
    [STORE_AUTHORITIES] =
        "SELECT id, kind, state, since AS since_s, made AS made_s,"
        " CASE key WHEN '' THEN 'elsewhere' ELSE 'here' END AS key FROM authority"
        " WHERE ?1 = '' AND ?3 IS NOT NULL ORDER BY id DESC LIMIT ?2",
};

static void read_row(struct store_query *q, struct store_row *row)
{
    const struct store_engine *engine = q->store->engine;
    row->n = engine->columns(q);
    for (size_t i = 0; i < row->n; i++) {
        const char *name = engine->column_name(q, i), *value = engine->column(q, i);
        size_t len = strlen(name);
        row->names[i] = name;
        row->values[i] = value ? value : "";
        row->is_time[i] = len > 2 && strcmp(name + len - 2, "_s") == 0;
    }
}

int store_list(struct store *s, enum store_list what, const char *identity, uint64_t rows_max,
               int64_t now_s, void (*each)(const struct store_row *row, void *arg), void *arg)
{
    struct store_query q;
    struct store_row row;
    int r;
    store_query(&q, s, lists[what]);
    store_bind(&q, identity);
    store_bind_number(&q, (int64_t)rows_max);
    store_bind_number(&q, now_s);
    while ((r = store_step(&q)) > 0) {
        read_row(&q, &row);
        each(&row, arg);
    }
    store_query_end(&q);
    return r;
}

/* ---- is it whole? -------------------------------------------------------- */

/* Each row of the query is a problem. Certificates without a proof are from before the log, and
 * those that were forgotten were given before that moment. */
static const char *const checks[] = {
    "SELECT 'certificate ' || serial || ' of ' || identity || ' has no line in the audit log'"
    " FROM issued WHERE proof <> '' AND NOT EXISTS (SELECT 1 FROM audit WHERE"
    " audit.serial = issued.serial AND outcome = 'given' AND audit.identity = issued.identity)",
    "SELECT 'line ' || id || ' tells of certificate ' || serial || ', which was never issued'"
    " FROM audit WHERE outcome = 'given' AND at >= (SELECT before FROM forgotten)"
    " AND NOT EXISTS (SELECT 1 FROM issued WHERE issued.serial = audit.serial)",
};

static int check(struct store *s, const char *sql, void (*problem)(const char *text, void *arg),
                 void *arg)
{
    struct store_query q;
    int r;
    store_query(&q, s, sql);
    while ((r = store_step(&q)) > 0)
        problem(s->engine->column(&q, 0), arg);
    store_query_end(&q);
    return r;
}

int store_check(struct store *s, void (*problem)(const char *text, void *arg), void *arg)
{
    int r = s->engine->check ? check(s, s->engine->check, problem, arg) : 0;
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(checks); i++)
        r = check(s, checks[i], problem, arg);
    return r;
}
