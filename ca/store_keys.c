/* The keys in the store, written anew; see store.h. */
#include "ca/store_inside.h"

#include "shared/tls/key.h"
#include <errno.h>
#include <stdlib.h>

enum { KEY_TEXT_MAX = 4096, KEYS_MAX = 100000 };

/* The next one after that row. -ENOENT: no more; *ret is heap. */
static int next_key(struct store *s, int64_t after, int64_t *ret_id, char **ret)
{
    struct store_query q;
    store_query(&q, s,
                "SELECT id, key FROM authority WHERE id > ?1 AND key <> '' ORDER BY id LIMIT 1");
    store_bind_number(&q, after);
    s->key_read = true;
    int r = store_find(&q);
    if (r == 0) {
        *ret_id = store_number(&q, 0);
        *ret = store_column(&q, 1);
        r = *ret ? 0 : -ENOMEM;
    }
    store_query_end(&q);
    return r;
}

static int put_key(struct store *s, int64_t id, const char *key)
{
    struct store_query q;
    store_query(&q, s, "UPDATE authority SET key = ?1 WHERE id = ?2");
    store_bind(&q, key);
    store_bind_number(&q, id);
    s->key_written = true;
    return store_change(&q, NULL);
}

int store_change_keys(struct store *s,
                      int (*change)(const char *key_pem, char *out, size_t size, void *arg),
                      void *arg)
{
    char fresh[KEY_TEXT_MAX];
    int64_t id = 0;
    int r = s->engine->overwrites ? s->engine->script(s, s->engine->overwrites) : 0;
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
    return s->engine->forget_log(s);
}
