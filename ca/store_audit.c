/* What was revoked, what was decided, and how people see it; see store.h. */
#include "ca/store_inside.h"

#include "shared/base/list.h"
#include <errno.h>
#include <stdio.h>

/* ---- revocation ---------------------------------------------------------- */

int store_put_revocation(struct store *s, const char *kind, const char *value, int64_t now_s,
                         const char *reason)
{
    sqlite3_stmt *q;
    int r = store_prepare(
        s, "INSERT INTO revocation (kind, value, revoked, reason) VALUES (?, ?, ?, ?)", &q);
    if (r < 0)
        return r;
    int bound = store_bind(q, 1, kind) | store_bind(q, 2, value) | sqlite3_bind_int64(q, 3, now_s) |
                store_bind(q, 4, reason);
    r = store_finish(s, q, bound);
    if (r == 0)
        r = store_trust_changed(s);
    if (r < 0 || strcmp(kind, REVOKED_IDENTITY) != 0)
        return r;
    r = store_prepare(s,
                      "INSERT OR IGNORE INTO revocation (kind, value, revoked, reason)"
                      " SELECT 'serial', serial, ?2, ?3 FROM issued"
                      " WHERE identity = ?1 AND not_after > ?2",
                      &q);
    return r < 0 ? r
                 : store_finish(s, q,
                                store_bind(q, 1, value) | sqlite3_bind_int64(q, 2, now_s) |
                                    store_bind(q, 3, reason));
}

int store_lift_revocation(struct store *s, const char *kind, const char *value)
{
    sqlite3_stmt *q;
    int r = store_prepare(s, "DELETE FROM revocation WHERE kind = ? AND value = ?", &q);
    if (r == 0)
        r = store_finish(s, q, store_bind(q, 1, kind) | store_bind(q, 2, value));
    return r < 0 ? r : sqlite3_changes(s->db) == 1 ? store_trust_changed(s) : -ENOENT;
}

int store_is_revoked(struct store *s, const char *kind, const char *value, bool *ret)
{
    sqlite3_stmt *q;
    int r = store_prepare(s, "SELECT 1 FROM revocation WHERE kind = ? AND value = ?", &q);
    if (r < 0)
        return r;
    int bound = store_bind(q, 1, kind) | store_bind(q, 2, value),
        step = bound == SQLITE_OK ? sqlite3_step(q) : bound;
    if (step == SQLITE_ROW || step == SQLITE_DONE)
        *ret = step == SQLITE_ROW;
    else
        r = store_failed(s);
    sqlite3_finalize(q);
    return r;
}

/* ---- the audit log ------------------------------------------------------- */

int store_put_audit(struct store *s, const struct audit_record *a)
{
    sqlite3_stmt *q;
    int r = store_prepare(s,
                          "INSERT INTO audit (at, outcome, asker, proof, identity, serial, reason)"
                          " VALUES (?, ?, ?, ?, ?, ?, ?)",
                          &q);
    if (r < 0)
        return r;
    int bound = sqlite3_bind_int64(q, 1, a->at_s) | store_bind(q, 2, a->outcome) |
                store_bind(q, 3, a->asker) | store_bind(q, 4, a->proof) |
                store_bind(q, 5, a->identity) | store_bind(q, 6, a->serial) |
                store_bind(q, 7, a->reason);
    return store_finish(s, q, bound);
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

static void read_row(sqlite3_stmt *q, struct store_row *row)
{
    row->n = (size_t)sqlite3_column_count(q);
    for (size_t i = 0; i < row->n; i++) {
        const char *name = sqlite3_column_name(q, (int)i);
        const char *value = (const char *)sqlite3_column_text(q, (int)i);
        size_t len = strlen(name);
        row->names[i] = name;
        row->values[i] = value ? value : "";
        row->is_time[i] = len > 2 && strcmp(name + len - 2, "_s") == 0;
    }
}

int store_list(struct store *s, enum store_list what, const char *identity, uint64_t rows_max,
               int64_t now_s, void (*each)(const struct store_row *row, void *arg), void *arg)
{
    sqlite3_stmt *q;
    struct store_row row;
    int step = SQLITE_DONE, r = store_prepare(s, lists[what], &q);
    if (r < 0)
        return r;
    if (store_bind(q, 1, identity) == SQLITE_OK &&
        sqlite3_bind_int64(q, 2, (int64_t)rows_max) == SQLITE_OK &&
        sqlite3_bind_int64(q, 3, now_s) == SQLITE_OK)
        while ((step = sqlite3_step(q)) == SQLITE_ROW) {
            read_row(q, &row);
            each(&row, arg);
        }
    else
        step = SQLITE_ERROR;
    if (step != SQLITE_DONE)
        r = store_failed(s);
    sqlite3_finalize(q);
    return r;
}

/* ---- is it whole? -------------------------------------------------------- */

/* Each row of the query is a problem. Certificates without a proof are from before the log, and
 * those that were forgotten were given before that moment. */
static const char *const checks[] = {
    "SELECT integrity_check FROM pragma_integrity_check WHERE integrity_check <> 'ok'",
    "SELECT 'certificate ' || serial || ' of ' || identity || ' has no line in the audit log'"
    " FROM issued WHERE proof <> '' AND NOT EXISTS (SELECT 1 FROM audit WHERE"
    " audit.serial = issued.serial AND outcome = 'given' AND audit.identity = issued.identity)",
    "SELECT 'line ' || id || ' tells of certificate ' || serial || ', which was never issued'"
    " FROM audit WHERE outcome = 'given' AND at >= (SELECT before FROM forgotten)"
    " AND NOT EXISTS (SELECT 1 FROM issued WHERE issued.serial = audit.serial)",
};

int store_check(struct store *s, void (*problem)(const char *text, void *arg), void *arg)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(checks); i++) {
        sqlite3_stmt *q;
        int step;
        if ((r = store_prepare(s, checks[i], &q)) < 0)
            break;
        while ((step = sqlite3_step(q)) == SQLITE_ROW)
            problem((const char *)sqlite3_column_text(q, 0), arg);
        if (step != SQLITE_DONE)
            r = store_failed(s);
        sqlite3_finalize(q);
    }
    return r;
}
