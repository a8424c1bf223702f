/* What is in use of each endpoint; see the header. */
#include "nodeproxy/http/upstream_seen.h"

#include <stdlib.h>

enum { KEY_MAX = 2048 };

void upstream_seen_init(struct upstream_seen *s)
{
    *s = (struct upstream_seen){0};
    map_init(&s->endpoints, UPSTREAM_SEEN_MAX);
}

void upstream_seen_done(struct upstream_seen *s)
{
    map_done(&s->endpoints, free);
}

/* A name longer than a key has room for is cut: two such clusters may be taken for one. */
static struct text key_of(struct text cluster, const struct addr *at, char out[static KEY_MAX])
{
    char address[ADDR_KEY_BYTES];
    struct text a = addr_key(at, address);
    size_t len = cluster.len < KEY_MAX - ADDR_KEY_BYTES ? cluster.len : KEY_MAX - ADDR_KEY_BYTES;
    memcpy(out, a.data, a.len);
    if (len > 0)
        memcpy(out + a.len, cluster.data, len);
    return (struct text){out, a.len + len};
}

static void add(struct upstream_seen *s, struct text key, const struct upstream_seen_endpoint *more)
{
    struct upstream_seen_endpoint *e = map_get(&s->endpoints, key);
    if (!e) {
        e = calloc(1, sizeof *e);
        if (!e || map_put(&s->endpoints, key, e, NULL) < 0) {
            free(e);
            s->failed = true;
            return;
        }
    }
    e->active += more->active;
    e->users += more->users;
    e->ejects += more->ejects;
}

void upstream_seen_add(struct upstream_seen *s, const struct upstream_clusters *of)
{
    const struct map_entry *m;
    char key[KEY_MAX];
    for (size_t i = 0; (m = map_next(&of->all, &i));) {
        const struct upstream_cluster *c = m->value;
        struct balance_host *const *hosts;
        size_t n = balancer_hosts(c->balancer, &hosts);
        for (size_t j = 0; j < n; j++) {
            const struct upstream_seen_endpoint one = {hosts[j]->active, 1, hosts[j]->outlier.ejected};
            add(s, key_of(c->cluster->name, &hosts[j]->addr, key), &one);
        }
    }
}

void upstream_seen_merge(struct upstream_seen *s, const struct upstream_seen *other)
{
    const struct map_entry *m;
    for (size_t i = 0; (m = map_next(&other->endpoints, &i));)
        add(s, (struct text){m->key, m->key_len}, m->value);
    s->failed |= other->failed;
}

struct upstream_seen_endpoint upstream_seen_get(const struct upstream_seen *s, struct text cluster, const struct addr *at)
{
    char key[KEY_MAX];
    const struct upstream_seen_endpoint *e = map_get(&s->endpoints, key_of(cluster, at, key));
    return e ? *e : (struct upstream_seen_endpoint){0};
}
