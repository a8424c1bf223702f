/* The keys in the store, written anew; see store.h. */
#include "ca/store_inside.h"

#include "shared/tls/key.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { KEY_TEXT_MAX = 4096, KEYS_MAX = 100000 };

/* The next one after that row. -ENOENT: no more; *ret is heap. */
static int next_key(struct store *s, int64_t after, int64_t *ret_id, char **ret)
{
    sqlite3_stmt *q;
    int r = store_prepare(
        s, "SELECT id, key FROM authority WHERE id > ? AND key <> '' ORDER BY id LIMIT 1", &q);
    if (r < 0)
        return r;
    s->key_read = true;
    int step = sqlite3_bind_int64(q, 1, after);
    if (step == SQLITE_OK)
        step = sqlite3_step(q);
    if (step == SQLITE_ROW) {
        *ret_id = sqlite3_column_int64(q, 0);
        *ret = store_column(q, 1);
        r = *ret ? 0 : -ENOMEM;
    } else {
        r = step == SQLITE_DONE ? -ENOENT : store_failed(s);
    }
    sqlite3_finalize(q);
    return r;
}

static int put_key(struct store *s, int64_t id, const char *key)
{
    sqlite3_stmt *q;
    int r = store_prepare(s, "UPDATE authority SET key = ? WHERE id = ?", &q);
    if (r < 0)
        return r;
    s->key_written = true;
    return store_finish(s, q, store_bind(q, 1, key) | sqlite3_bind_int64(q, 2, id));
}

int store_change_keys(struct store *s,
                      int (*change)(const char *key_pem, char *out, size_t size, void *arg),
                      void *arg)
{
    char fresh[KEY_TEXT_MAX];
    int64_t id = 0;
    int r = store_run(s, "PRAGMA secure_delete=ON"); /* what was there is overwritten */
    for (size_t i = 0; r == 0 && i < KEYS_MAX; i++) {
        char *key = NULL;
        r = next_key(s, id, &id, &key);
        if (r == 0) {
            r = change(key, fresh, sizeof fresh, arg);
            key_wipe(key, strlen(key));
            free(key);
        }
        if (r == 0)
            r = put_key(s, id, fresh);
    }
    key_wipe(fresh, sizeof fresh);
    return r == -ENOENT ? 0 : r;
}

int store_forget_log(struct store *s)
{
    sqlite3_stmt *q;
    int r = store_prepare(s, "PRAGMA wal_checkpoint(TRUNCATE)", &q);
    if (r < 0)
        return r;
    r = sqlite3_step(q) != SQLITE_ROW ? store_failed(s) : sqlite3_column_int(q, 0) ? -EBUSY : 0;
    sqlite3_finalize(q);
    if (r == -EBUSY)
        snprintf(s->why, sizeof s->why, "another program has the state open");
    return r;
}
