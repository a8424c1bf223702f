/* What the two files that know SQLite share: the engine, and copies of its file. */
#ifndef CA_STORE_SQLITE_H
#define CA_STORE_SQLITE_H
#include "ca/store_inside.h"
#include <limits.h>
#include <sqlite3.h>

struct store_sqlite {
    struct store base;
    sqlite3 *db;
    char path[PATH_MAX];
};
/* NULL: the store is no file. */
struct store_sqlite *store_sqlite_of(struct store *s);
int store_sqlite_error(int result); /* an (extended) result of the library, as -errno */
/* Another connection to that file, as a result of SQLite; *ret is to be closed in any case. */
int store_sqlite_connect(const char *path, sqlite3 **ret);
#endif
