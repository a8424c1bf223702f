/*
 * What the store's own files share. store.c: opening, versions, changes, questions; store_sqlite.c
 * and store_postgres.c: the two engines that carry them out; store_rows.c, store_audit.c and
 * store_trust.c: what is in the store, in SQL that both understand; store_copy.c: copies of a file. Nobody else
 * includes it.
 */
#ifndef CA_STORE_INSIDE_H
#define CA_STORE_INSIDE_H
#include "ca/store.h"

struct store_query;
struct store_engine {
    /* alone: no other change at all goes on meanwhile; else only none that is alone. */
    int (*begin)(struct store *s, bool alone);
    int (*commit)(struct store *s);
    void (*rollback)(struct store *s);
    int (*script)(struct store *s, const char *sql); /* several statements, without values */
    int (*step)(struct store_query *q);              /* as store_step() */
    const char *(*column)(struct store_query *q, size_t i); /* until the next step; "" for NULL */
    const char *(*column_name)(struct store_query *q, size_t i);
    size_t (*columns)(struct store_query *q);
    uint64_t (*changed)(struct store_query *q); /* rows, at its end */
    void (*end)(struct store_query *q);
    int (*get_version)(struct store *s, int *ret); /* 0: there is nothing yet */
    int (*set_version)(struct store *s, int version);
    void (*forget_keys)(struct store *s);
    int (*forget_log)(struct store *s); /* as store_forget_log() */
    void (*close)(struct store *s);
    const char *const *schemas; /* schemas[i] makes version i + 1 of version i */
    const char *check;          /* of the engine's own: each row is a problem; NULL: none */
    const char *overwrites;     /* from then on, what is changed leaves nothing; NULL: no such */
};
struct store { /* an engine's own struct begins with it */
    const struct store_engine *engine;
    /* By this connection, since forget_keys() did all that it can. */
    bool key_read, key_written;
    char why[STORE_WHY_MAX];
};
/* They give an open store without looking at its version; -errno with why. */
int store_sqlite_open(struct store **ret, const char *folder, char why[static STORE_WHY_MAX]);
int store_sqlite_exists(const char *folder, char why[static STORE_WHY_MAX]); /* or -ENOENT */
int store_postgres_open(struct store **ret, const char *conninfo_file,
                        char why[static STORE_WHY_MAX]);

/* ---- questions ----------------------------------------------------------- */

enum { STORE_VALUES_MAX = 8 };
struct store_value { /* borrowed until the query has ended */
    enum { STORE_TEXT, STORE_NUMBER, STORE_BYTES } kind;
    const void *bytes;
    size_t len;
    int64_t number;
};
/* One statement with values for ?1, ?2, ...; on the stack. What it was made of is borrowed. */
struct store_query {
    struct store *store;
    const char *sql;
    struct store_value values[STORE_VALUES_MAX];
    size_t n_values;
    void *running; /* the engine's; NULL: not begun, or ended */
    int row;
};
void store_query(struct store_query *q, struct store *s, const char *sql);
void store_bind(struct store_query *q, const char *text);
void store_bind_number(struct store_query *q, int64_t number);
void store_bind_bytes(struct store_query *q, const uint8_t *bytes, size_t len);
int store_step(struct store_query *q);     /* 1: a row, 0: the end, or -errno */
void store_query_end(struct store_query *q); /* always, after the first step */
char *store_column(struct store_query *q, size_t i); /* heap; NULL: no memory */
int64_t store_number(struct store_query *q, size_t i);
/* To its end, and ends it. ret_changed may be NULL. */
int store_change(struct store_query *q, uint64_t *ret_changed);
/* "INSERT ... ON CONFLICT DO NOTHING", likewise. -EEXIST: it was there. */
int store_insert(struct store_query *q);
int store_change_one(struct store_query *q); /* "DELETE" or "UPDATE". -ENOENT: it was not there */
int store_find(struct store_query *q);     /* the first row is there: 0; or -ENOENT; not ended */
int store_find_number(struct store_query *q, int64_t *ret); /* the first column of it; ends it */
int store_trust_changed(struct store *s); /* in the change that changes it */
/* The number of what is trusted is from now on above what was told before a copy was restored: the time, which is
 * ahead of it as long as less than one change a second was made. */
int store_raise_trust(struct store *s, int64_t now_s);
#endif
