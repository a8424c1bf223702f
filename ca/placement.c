/* The index of placed identities; see the header. */
#include "ca/placement.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { KEY_MAX = 256 + SPIFFE_ID_TEXT_MAX };

void placement_init(struct placement *p)
{
    map_init(&p->by_name, 0);
    map_init(&p->counts, 0);
}

void placement_done(struct placement *p)
{
    map_done(&p->by_name, free);
    map_done(&p->counts, NULL);
}

static int key_of(const char *node, const struct spiffe_id *id, char out[static KEY_MAX])
{
    int len = snprintf(out, KEY_MAX, "%s %s", node, id->text);
    return len < 0 || len >= KEY_MAX ? -EINVAL : 0;
}

static int count(struct placement *p, const char *key, int by)
{
    uintptr_t n = (uintptr_t)map_get(&p->counts, text_of(key)) + (uintptr_t)by;
    if (n == 0) {
        map_remove(&p->counts, text_of(key));
        return 0;
    }
    return map_put(&p->counts, text_of(key), (void *)n, NULL);
}

void placement_remove(struct placement *p, struct text name)
{
    char *key = map_remove(&p->by_name, name);
    if (!key)
        return;
    (void)count(p, key, -1); /* it is there, so that nothing is allocated */
    free(key);
}

int placement_put(struct placement *p, struct text name, const struct workload *w)
{
    struct spiffe_id id;
    char key[KEY_MAX];
    placement_remove(p, name);
    if (!w || w->tunnel != TUNNEL_HBONE || !w->node[0] || w->host_network)
        return 0;
    if (spiffe_id_make(text_of(w->trust_domain), text_of(w->ns), text_of(w->service_account), &id) <
            0 ||
        key_of(w->node, &id, key) < 0)
        return 0;
    char *copy = text_dup(text_of(key));
    if (!copy)
        return -ENOMEM;
    int r = map_put(&p->by_name, name, copy, NULL);
    if (r < 0) {
        free(copy);
        return r;
    }
    r = count(p, key, 1);
    if (r < 0) {
        map_remove(&p->by_name, name);
        free(copy);
    }
    return r;
}

bool placement_has(const struct placement *p, const char *node, const struct spiffe_id *id)
{
    char key[KEY_MAX];
    return key_of(node, id, key) == 0 && map_get(&p->counts, text_of(key));
}
