/*
 * The store as a database of PostgreSQL; see store_inside.h. One connection. What is alone holds an
 * advisory lock of the database to the end of its change, and all other changes hold it shared. No
 * answer is waited for longer than ANSWER_MS; a connection that was lost in a change takes the
 * change with it, and the next change looks for the server again.
 */
#include "ca/store_inside.h"

#include "ca/store_schema.h"
#include "shared/base/clock.h"
#include "shared/base/list.h"
#include "shared/tls/key.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CONNINFO_MAX = 4096, OPTIONS_MAX = 64, SQL_MAX = 2048 };
enum { ANSWER_MS = 15000, RETRY_MIN_MS = 100, RETRY_MAX_MS = 5000 };
enum { TYPE_BYTEA = 17, TYPE_INT8 = 20, TYPE_TEXT = 25 }; /* of the server's table pg_type */

/* An answer may take the server 10 s, as SQLite waits for a lock; who has died gives its locks
 * back. A server that was told to commit without its disk is told otherwise. */
#define SESSION                                                                                    \
    "SET client_min_messages = error; SET statement_timeout = 10000;"                              \
    "SET idle_in_transaction_session_timeout = 30000;"                                             \
    "SET default_transaction_isolation = 'read committed';"                                        \
    "SELECT set_config('synchronous_commit', 'on', false)"                                         \
    " WHERE current_setting('synchronous_commit') = 'off';"
#define LOCK_KEY "628203015" /* any number, the same for all */

static const char *const schemas[] = {STORE_SCHEMAS(
    "BIGINT", "BYTEA", "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
    "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
    ", rowid BIGINT GENERATED ALWAYS AS IDENTITY",
    "CREATE FUNCTION audit_stays() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
    " RAISE EXCEPTION 'a line of the audit log is never changed or removed'; END $$;"
    "CREATE TRIGGER audit_stays BEFORE UPDATE OR DELETE ON audit"
    " FOR EACH ROW EXECUTE FUNCTION audit_stays();"
    "CREATE TRIGGER audit_keeps BEFORE TRUNCATE ON audit"
    " FOR EACH STATEMENT EXECUTE FUNCTION audit_stays();"
    "CREATE FUNCTION hex(bytea) RETURNS text LANGUAGE sql IMMUTABLE"
    " AS 'SELECT upper(encode($1, ''hex''))';")};
_Static_assert(ARRAY_SIZE(schemas) == STORE_SCHEMA_VERSION, "each version has its text");

struct store_postgres {
    struct store base;
    PGconn *connection; /* NULL: away */
    char *conninfo;     /* heap; wiped: it may hold a password */
    bool in_change;
    uint64_t retry_ms; /* monotonic: not asked again before it */
    unsigned wait_ms;  /* the last time between two attempts */
};

static struct store_postgres *postgres_of(struct store *s)
{
    return container_of(s, struct store_postgres, base);
}

/* ---- errors -------------------------------------------------------------- */

/* One line of it, printable. */
static void say(struct store_postgres *p, const char *before, const char *message)
{
    int n = snprintf(p->base.why, sizeof p->base.why, "%s%s", before, message ? message : "");
    for (char *c = p->base.why; n > 0 && *c; c++)
        if (*c == '\n' && !c[1])
            *c = '\0';
        else if ((unsigned char)*c < ' ')
            *c = ' ';
}

static void lose(struct store_postgres *p)
{
    PQfinish(p->connection);
    p->connection = NULL;
}

static int error_of(const char *state)
{
    static const struct {
        const char *prefix;
        int error;
    } table[] = {{"57014", -EBUSY}, {"55P03", -EBUSY}, {"40", -EBUSY},     {"53100", -ENOSPC},
                 {"53", -ENOMEM},   {"25006", -EROFS}, {"23505", -EEXIST}};
    for (size_t i = 0; state && i < ARRAY_SIZE(table); i++)
        if (strncmp(state, table[i].prefix, strlen(table[i].prefix)) == 0)
            return table[i].error;
    return -EIO;
}

static int failed(struct store_postgres *p, const PGresult *result)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    int r = error_of(state);
    say(p, "", result ? PQresultErrorMessage(result) : PQerrorMessage(p->connection));
    /* The server ends, or serves readers only since another one took over. */
    if (PQstatus(p->connection) != CONNECTION_OK || r == -EROFS ||
        (state && (strncmp(state, "57P", 3) == 0 || strncmp(state, "08", 2) == 0)))
        lose(p);
    return r;
}

/* ---- one question to the server, and its answer -------------------------- */

static int wait_for(struct store_postgres *p, short events, uint64_t deadline_ms)
{
    struct pollfd fd = {.fd = PQsocket(p->connection), .events = events};
    for (;;) {
        uint64_t now_ms = clock_monotonic_ms();
        int n = now_ms >= deadline_ms ? 0 : poll(&fd, 1, (int)(deadline_ms - now_ms));
        if (n > 0)
            return 0;
        if (n < 0 && errno == EINTR)
            continue;
        say(p, "the database does not answer", "");
        lose(p);
        return -EIO;
    }
}

/* What was sent is answered: the last result, or the first error. */
static int answered(struct store_postgres *p, PGresult **ret)
{
    uint64_t deadline_ms = clock_monotonic_ms() + ANSWER_MS;
    PGresult *last = NULL, *next;
    int r = 0, unsent;
    while ((unsent = PQflush(p->connection)) > 0)
        if ((r = wait_for(p, POLLOUT | POLLIN, deadline_ms)) < 0 ||
            !PQconsumeInput(p->connection))
            return r < 0 ? r : failed(p, NULL);
    if (unsent < 0)
        return failed(p, NULL);
    for (;;) {
        while (PQisBusy(p->connection)) {
            if ((r = wait_for(p, POLLIN, deadline_ms)) == 0 && !PQconsumeInput(p->connection))
                r = failed(p, NULL);
            if (r < 0) {
                PQclear(last);
                return r;
            }
        }
        next = PQgetResult(p->connection);
        if (!next)
            break;
        if (last && PQresultStatus(last) == PGRES_FATAL_ERROR) {
            PQclear(next);
            continue;
        }
        PQclear(last);
        last = next;
    }
    ExecStatusType status = PQresultStatus(last);
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) {
        *ret = last;
        return 0;
    }
    r = failed(p, last);
    PQclear(last);
    return r;
}

static int run(struct store_postgres *p, const char *sql, PGresult **ret)
{
    return PQsendQuery(p->connection, sql) ? answered(p, ret) : failed(p, NULL);
}

static int run_only(struct store_postgres *p, const char *sql)
{
    PGresult *result;
    int r = run(p, sql, &result);
    if (r == 0)
        PQclear(result);
    return r;
}

/* ---- the connection ------------------------------------------------------ */

/* It keeps what it is told, and takes every text that we write. */
static int judge_server(struct store_postgres *p)
{
    PGresult *result;
    int r = run(p,
                "SELECT current_setting('fsync') = 'on', current_setting('server_encoding') ="
                " 'UTF8', NOT pg_is_in_recovery()",
                &result);
    if (r < 0)
        return r;
    static const char *const needs[] = {"the server must have fsync on",
                                        "the database's encoding must be UTF8",
                                        "the server takes no changes: it is a standby"};
    for (int i = 0; r == 0 && i < (int)ARRAY_SIZE(needs); i++)
        if (PQgetvalue(result, 0, i)[0] != 't') {
            say(p, needs[i], "");
            r = i == 2 ? -EROFS : -ENOTSUP;
        }
    PQclear(result);
    return r;
}

static PGconn *start_connection(const struct store_postgres *p)
{
    const char *names[OPTIONS_MAX + 8], *values[OPTIONS_MAX + 8];
    size_t n = 0;
#define OPTION(name, value) (names[n] = (name), values[n] = (value), n++)
    /* What is said later counts. Keys go over it: TLS, unless it is said otherwise. */
    if (!getenv("PGSSLMODE"))
        OPTION("sslmode", "verify-full");
    OPTION("connect_timeout", "5");
    OPTION("tcp_user_timeout", "15000");
    OPTION("keepalives_idle", "10");
    OPTION("fallback_application_name", "weir-ca");
    PQconninfoOption *given = PQconninfoParse(p->conninfo, NULL);
    for (PQconninfoOption *o = given; o && o->keyword && n < OPTIONS_MAX; o++)
        if (o->val)
            OPTION(o->keyword, o->val);
    OPTION("client_encoding", "UTF8");
    OPTION(NULL, NULL);
    PGconn *c = PQconnectdbParams(names, values, 0);
    for (PQconninfoOption *o = given; o && o->keyword; o++)
        if (o->val)
            key_wipe(o->val, strlen(o->val));
    PQconninfoFree(given);
    return c;
}

/* Errors have our own ways to be told; the library's is standard error. */
static void say_nothing(void *arg, const char *message)
{
    (void)arg;
    (void)message;
}

static int connect_now(struct store_postgres *p)
{
    p->connection = start_connection(p);
    int r = !p->connection ? -ENOMEM : 0;
    if (r == 0 && PQstatus(p->connection) != CONNECTION_OK)
        r = failed(p, NULL);
    if (r == 0)
        PQsetNoticeProcessor(p->connection, say_nothing, NULL);
    if (r == 0 && PQsetnonblocking(p->connection, 1) != 0)
        r = failed(p, NULL);
    if (r == 0)
        r = run_only(p, SESSION);
    if (r == 0)
        r = judge_server(p);
    if (r < 0)
        lose(p);
    return r;
}

/* There is a connection. */
static int need(struct store_postgres *p)
{
    uint64_t now_ms = clock_monotonic_ms();
    if (p->connection)
        return 0;
    if (p->in_change || now_ms < p->retry_ms)
        return -EIO; /* it was said why */
    int r = connect_now(p);
    p->wait_ms = r == 0 ? 0 : p->wait_ms == 0 ? RETRY_MIN_MS : p->wait_ms * 2;
    if (p->wait_ms > RETRY_MAX_MS)
        p->wait_ms = RETRY_MAX_MS;
    p->retry_ms = clock_monotonic_ms() + p->wait_ms;
    return r;
}

/* ---- changes ------------------------------------------------------------- */

static int begin(struct store *s, bool alone)
{
    const char *sql = alone ? "BEGIN; SELECT pg_advisory_xact_lock(" LOCK_KEY ")"
                            : "BEGIN; SELECT pg_advisory_xact_lock_shared(" LOCK_KEY ")";
    struct store_postgres *p = postgres_of(s);
    if (p->in_change) {
        say(p, "a change goes on already", "");
        return -EIO;
    }
    bool was_there = p->connection;
    int r = need(p);
    if (r == 0)
        r = run_only(p, sql);
    /* The server was started anew since the last change. */
    if (r < 0 && was_there && !p->connection && (r = need(p)) == 0)
        r = run_only(p, sql);
    if (r < 0 && p->connection && run_only(p, "ROLLBACK") < 0 && p->connection)
        lose(p);
    p->in_change = r == 0;
    return r;
}

/* COMMIT of a change that has failed is answered, too: by ROLLBACK. */
static int commit(struct store *s)
{
    struct store_postgres *p = postgres_of(s);
    PGresult *result;
    if (!p->in_change)
        say(p, "there is no change", "");
    if (!p->in_change || !p->connection) {
        p->in_change = false;
        return -EIO;
    }
    int r = run(p, "COMMIT", &result);
    p->in_change = false;
    if (r < 0)
        return r;
    if (strcmp(PQcmdStatus(result), "COMMIT") != 0) {
        say(p, "the change was taken back", "");
        r = -EIO;
    }
    PQclear(result);
    return r;
}

static void rollback(struct store *s)
{
    char why[STORE_WHY_MAX];
    struct store_postgres *p = postgres_of(s);
    memcpy(why, s->why, sizeof why);
    if (p->in_change && p->connection && run_only(p, "ROLLBACK") < 0 && p->connection)
        lose(p);
    memcpy(s->why, why, sizeof why); /* the first error is the one to tell */
    p->in_change = false;
}

static int script(struct store *s, const char *sql)
{
    struct store_postgres *p = postgres_of(s);
    int r = need(p);
    return r < 0 ? r : run_only(p, sql);
}

/* ---- questions ----------------------------------------------------------- */

/* The server would refuse anything else, and the whole change with it: '?' takes the place of each
 * byte that is no ASCII then. *ret: heap, or NULL: it is fine as it is. -ENOMEM. */
static int in_utf8(const char *text, size_t len, char **ret)
{
    *ret = NULL;
    if (text_is_utf8((struct text){text, len}))
        return 0;
    char *copy = malloc(len + 1);
    if (!copy)
        return -ENOMEM;
    for (size_t i = 0; i <= len; i++)
        copy[i] = (unsigned char)text[i] < 0x80 ? text[i] : '?';
    *ret = copy;
    return 0;
}

struct sent { /* a query's values, as the server takes them */
    Oid types[STORE_VALUES_MAX];
    const char *values[STORE_VALUES_MAX];
    int lengths[STORE_VALUES_MAX], formats[STORE_VALUES_MAX];
    char numbers[STORE_VALUES_MAX][24], *copies[STORE_VALUES_MAX];
};

static void sent_done(struct sent *t)
{
    for (size_t i = 0; i < STORE_VALUES_MAX; i++)
        free(t->copies[i]);
}

static int sent_fill(struct sent *t, const struct store_query *q)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < q->n_values; i++) {
        const struct store_value *v = &q->values[i];
        t->types[i] = v->kind == STORE_NUMBER  ? TYPE_INT8
                      : v->kind == STORE_BYTES ? TYPE_BYTEA
                                               : TYPE_TEXT;
        t->formats[i] = v->kind == STORE_BYTES;
        t->lengths[i] = (int)v->len;
        snprintf(t->numbers[i], sizeof t->numbers[i], "%lld", (long long)v->number);
        if (v->kind == STORE_TEXT)
            r = in_utf8(v->bytes, v->len, &t->copies[i]);
        t->values[i] = v->kind == STORE_NUMBER ? t->numbers[i]
                       : t->copies[i]          ? t->copies[i]
                                               : v->bytes;
    }
    return r;
}

/* Its numbers of values are written with another sign. */
static void translate(const char *sql, char out[static SQL_MAX])
{
    assert(strlen(sql) < SQL_MAX);
    do
        *out++ = *sql == '?' ? '$' : *sql;
    while (*sql++);
}

static int ask(struct store_postgres *p, const struct store_query *q, PGresult **ret)
{
    char sql[SQL_MAX];
    struct sent t = {0};
    translate(q->sql, sql);
    int r = sent_fill(&t, q);
    if (r < 0)
        say(p, "no memory", "");
    else
        r = PQsendQueryParams(p->connection, sql, (int)q->n_values, t.types, t.values, t.lengths,
                              t.formats, 0)
                ? answered(p, ret)
                : failed(p, NULL);
    sent_done(&t);
    return r;
}

static int step(struct store_query *q)
{
    struct store_postgres *p = postgres_of(q->store);
    PGresult *result = q->running;
    if (!result) {
        bool again = p->connection && !p->in_change && strncmp(q->sql, "SELECT", 6) == 0;
        int r = need(p);
        if (r == 0)
            r = ask(p, q, &result);
        if (r < 0 && again && !p->connection && (r = need(p)) == 0)
            r = ask(p, q, &result);
        if (r < 0)
            return r;
        q->running = result;
    }
    return ++q->row < PQntuples(result);
}

static const char *column(struct store_query *q, size_t i)
{
    return PQgetvalue(q->running, q->row, (int)i);
}

static const char *column_name(struct store_query *q, size_t i)
{
    return PQfname(q->running, (int)i);
}

static size_t columns(struct store_query *q)
{
    return (size_t)PQnfields(q->running);
}

static uint64_t changed(struct store_query *q)
{
    return strtoull(PQcmdTuples(q->running), NULL, 10);
}

/* libpq's own buffers are not ours to wipe; what it has given us is. */
static void end(struct store_query *q)
{
    PGresult *result = q->running;
    for (int row = 0; q->store->key_read && row < PQntuples(result); row++)
        for (int i = 0; i < PQnfields(result); i++)
            key_wipe(PQgetvalue(result, row, i), (size_t)PQgetlength(result, row, i));
    PQclear(result);
}

static void forget_keys(struct store *s)
{
    s->key_read = s->key_written = false;
}

/* The table in another file, without what was changed in it; not the server's log. */
static int forget_log(struct store *s)
{
    return script(s, "VACUUM FULL authority");
}

/* ---- versions ------------------------------------------------------------ */

static int get_version(struct store *s, int *ret)
{
    struct store_query q;
    int64_t n = 0;
    store_query(&q, s, "SELECT count(to_regclass('weir_ca_schema'))");
    int r = store_find_number(&q, &n);
    if (r == 0 && n > 0) {
        store_query(&q, s, "SELECT version FROM weir_ca_schema");
        r = store_find_number(&q, &n);
    }
    *ret = (int)n;
    return r;
}

static int set_version(struct store *s, int version)
{
    char sql[192];
    snprintf(sql, sizeof sql,
             "CREATE TABLE IF NOT EXISTS weir_ca_schema (version BIGINT NOT NULL);"
             "DELETE FROM weir_ca_schema; INSERT INTO weir_ca_schema VALUES (%d)",
             version);
    return script(s, sql);
}

/* ---- opening ------------------------------------------------------------- */

static void database_close(struct store *s)
{
    struct store_postgres *p = postgres_of(s);
    lose(p);
    if (p->conninfo)
        key_wipe(p->conninfo, strlen(p->conninfo));
    free(p->conninfo);
    free(p);
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
    .close = database_close,
    .schemas = schemas,
};

static int read_file(const char *file, char **ret, const char **ret_why)
{
    struct stat st;
    char *text = calloc(1, CONNINFO_MAX + 1);
    int r = 0, fd = text ? open(file, O_RDONLY | O_CLOEXEC) : -1;
    if (!text)
        return -ENOMEM;
    if (fd < 0 || fstat(fd, &st) < 0) {
        r = -errno;
    } else if (st.st_mode & S_IRWXO) {
        *ret_why = "it may hold a password and everybody may use it: chmod it to 0600";
        r = -EPERM;
    } else {
        ssize_t n = read(fd, text, CONNINFO_MAX + 1);
        r = n < 0 ? -errno : n > CONNINFO_MAX ? -E2BIG : 0;
        while (r == 0 && n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r'))
            text[--n] = '\0';
    }
    if (fd >= 0)
        close(fd);
    if (r < 0) {
        key_wipe(text, CONNINFO_MAX);
        free(text);
    } else {
        *ret = text;
    }
    return r;
}

/* libpq would repeat in its message what it can't read, which may be the password. */
static int read_conninfo(const char *file, char **ret, const char **ret_why)
{
    *ret_why = NULL;
    int r = 0;
    *ret = NULL;
    if (file[0])
        r = read_file(file, ret, ret_why);
    else if (!(*ret = text_dup(TEXT(""))))
        r = -ENOMEM;
    if (r < 0)
        return r;
    PQconninfoOption *parsed = PQconninfoParse(*ret, NULL);
    if (!parsed) {
        *ret_why = "must be one line of KEY=VALUE, or a URI, as libpq takes them";
        return -EINVAL;
    }
    for (PQconninfoOption *o = parsed; o->keyword; o++)
        if (o->val)
            key_wipe(o->val, strlen(o->val));
    PQconninfoFree(parsed);
    return 0;
}

int store_postgres_open(struct store **ret, const char *conninfo_file,
                        char why[static STORE_WHY_MAX])
{
    const char *reason;
    struct store_postgres *p = calloc(1, sizeof *p);
    snprintf(why, STORE_WHY_MAX, "no memory");
    if (!p)
        return -ENOMEM;
    p->base.engine = &engine;
    int r = read_conninfo(conninfo_file, &p->conninfo, &reason);
    if (r < 0)
        snprintf(why, STORE_WHY_MAX, "%.140s: %s", conninfo_file, reason ? reason : strerror(-r));
    else if ((r = need(p)) < 0)
        snprintf(why, STORE_WHY_MAX, "PostgreSQL: %.200s", p->base.why);
    if (r < 0)
        database_close(&p->base);
    else
        *ret = &p->base;
    return r;
}

const char *store_postgres_library(void)
{
    static char text[24];
    snprintf(text, sizeof text, "%d.%d", PQlibVersion() / 10000, PQlibVersion() % 10000);
    return text;
}
