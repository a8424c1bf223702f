/*
 * What the store's own files share (store.c: the file and its changes; store_rows.c and
 * store_trust.c,
 * store_audit.c: what is in it; store_copy.c: copies of it). Nobody else includes it.
 */
#ifndef CA_STORE_INSIDE_H
#define CA_STORE_INSIDE_H
#include "ca/store.h"
#include <limits.h>
#include <sqlite3.h>

struct store {
    sqlite3 *db;
    char path[PATH_MAX];
    /* By this connection: what it read lies in its pages, what it wrote in its own workspace. */
    bool key_read, key_written;
    char why[STORE_WHY_MAX];
};
int store_failed(struct store *s); /* the library's last error, as -errno and as store_why() */
int store_run(struct store *s, const char *sql);
int store_prepare(struct store *s, const char *sql, sqlite3_stmt **ret);
/* Runs it to its end; bound: the results of all binds, or'ed. */
int store_finish(struct store *s, sqlite3_stmt *q, int bound);
int store_bind(sqlite3_stmt *q, int at, const char *value); /* borrowed until it is finished */
char *store_column(sqlite3_stmt *q, int column);            /* heap; NULL: no memory */
void store_forget_keys(struct store *s);
int store_trust_changed(struct store *s); /* in the change that changes it */
/* Another connection to that file, as a result of SQLite; *ret is to be closed in any case. */
int store_connect(const char *path, sqlite3 **ret);
#endif
