/* The CA's memory; see the header. */
#include "ca/store_inside.h"

#include "ca/store_schema.h"
#include "shared/base/list.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define POSTGRESQL "postgresql:"

/* ---- opening ------------------------------------------------------------- */

static int bring_up(struct store *s, bool makes)
{
    int version = 0, r = s->engine->get_version(s, &version);
    if (r == 0 && version == 0 && !makes)
        return -ENOENT;
    if (r == 0 && (version < 0 || version > STORE_SCHEMA_VERSION)) {
        snprintf(s->why, sizeof s->why,
                 "its schema is version %d, this program knows %d: use a newer weir-ca", version,
                 STORE_SCHEMA_VERSION);
        return -ENOTSUP;
    }
    bool is_old = version < STORE_SCHEMA_VERSION;
    while (r == 0 && version < STORE_SCHEMA_VERSION)
        r = s->engine->script(s, s->engine->schemas[version++]);
    return r == 0 && is_old ? s->engine->set_version(s, version) : r;
}

static int prepare_schema(struct store *s, bool makes)
{
    int r = store_begin(s);
    if (r < 0)
        return r;
    r = bring_up(s, makes);
    if (r == 0)
        r = store_commit(s);
    if (r < 0)
        store_rollback(s);
    return r;
}

static int no_state(const char *where, char why[static STORE_WHY_MAX])
{
    snprintf(why, STORE_WHY_MAX, "%.140s: no CA's state is there; weir-ca init makes a new one",
             where);
    return -ENOENT;
}

static int open_at(struct store **ret, const char *where, bool makes,
                   char why[static STORE_WHY_MAX])
{
    struct store *s;
    bool is_file = !store_is_shared(where);
    int r = is_file ? store_sqlite_open(&s, where, why)
                    : store_postgres_open(&s, where + strlen(POSTGRESQL), why);
    if (r < 0)
        return r;
    r = prepare_schema(s, makes || is_file);
    if (r == -ENOENT)
        (void)no_state(where, why);
    else if (r < 0)
        snprintf(why, STORE_WHY_MAX, "%.100s: %.140s", where, s->why[0] ? s->why : strerror(-r));
    if (r < 0)
        store_close(s);
    else
        *ret = s;
    return r;
}

bool store_is_shared(const char *where)
{
    return strncmp(where, POSTGRESQL, strlen(POSTGRESQL)) == 0;
}

int store_open(struct store **ret, const char *where, char why[static STORE_WHY_MAX])
{
    return open_at(ret, where, true, why);
}

int store_open_existing(struct store **ret, const char *where, char why[static STORE_WHY_MAX])
{
    int r = store_is_shared(where) ? 0 : store_sqlite_exists(where, why);
    if (r == -ENOENT)
        return no_state(where, why);
    return r < 0 ? r : open_at(ret, where, false, why);
}

struct store *store_close(struct store *s)
{
    if (s)
        s->engine->close(s);
    return NULL;
}

/* ---- changes ------------------------------------------------------------- */

int store_begin(struct store *s)
{
    return s->engine->begin(s, true);
}

int store_begin_beside(struct store *s)
{
    return s->engine->begin(s, false);
}

int store_commit(struct store *s)
{
    int r = s->engine->commit(s);
    s->engine->forget_keys(s);
    return r;
}

void store_rollback(struct store *s)
{
    s->engine->rollback(s);
    s->engine->forget_keys(s);
}

const char *store_why(const struct store *s)
{
    return s->why;
}

/* ---- questions ----------------------------------------------------------- */

void store_query(struct store_query *q, struct store *s, const char *sql)
{
    *q = (struct store_query){.store = s, .sql = sql, .row = -1};
}

static struct store_value *next_value(struct store_query *q)
{
    assert(q->n_values < STORE_VALUES_MAX);
    return &q->values[q->n_values++];
}

void store_bind(struct store_query *q, const char *text)
{
    *next_value(q) = (struct store_value){STORE_TEXT, text, strlen(text), 0};
}

void store_bind_number(struct store_query *q, int64_t number)
{
    *next_value(q) = (struct store_value){.kind = STORE_NUMBER, .number = number};
}

void store_bind_bytes(struct store_query *q, const uint8_t *bytes, size_t len)
{
    *next_value(q) = (struct store_value){STORE_BYTES, bytes, len, 0};
}

int store_step(struct store_query *q)
{
    return q->store->engine->step(q);
}

void store_query_end(struct store_query *q)
{
    q->store->engine->end(q);
    q->running = NULL;
}

char *store_column(struct store_query *q, size_t i)
{
    const char *t = q->store->engine->column(q, i);
    return t ? text_dup(text_of(t)) : NULL;
}

int64_t store_number(struct store_query *q, size_t i)
{
    const char *t = q->store->engine->column(q, i);
    return t ? strtoll(t, NULL, 10) : 0;
}

int store_change(struct store_query *q, uint64_t *ret_changed)
{
    int r;
    while ((r = store_step(q)) > 0)
        ;
    if (r == 0 && ret_changed)
        *ret_changed = q->store->engine->changed(q);
    store_query_end(q);
    return r;
}

int store_insert(struct store_query *q)
{
    uint64_t n = 0;
    int r = store_change(q, &n);
    if (r < 0 || n > 0)
        return r;
    snprintf(q->store->why, sizeof q->store->why, "it was there already");
    return -EEXIST;
}

int store_change_one(struct store_query *q)
{
    uint64_t n = 0;
    int r = store_change(q, &n);
    return r < 0 ? r : n == 1 ? 0 : -ENOENT;
}

int store_find(struct store_query *q)
{
    int r = store_step(q);
    return r < 0 ? r : r == 1 ? 0 : -ENOENT;
}

int store_find_number(struct store_query *q, int64_t *ret)
{
    int r = store_find(q);
    if (r == 0)
        *ret = store_number(q, 0);
    store_query_end(q);
    return r;
}
