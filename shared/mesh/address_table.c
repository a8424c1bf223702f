#include "shared/mesh/address_table.h"

#include "shared/base/map.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

struct claim {
    void *who;
    bool shared;
};
struct entry {
    struct cds_lfht_node node;
    struct rcu_head head;
    _Atomic(void *) owner;
    struct claim *claims; /* oldest first; &one as long as that is enough */
    struct claim one;
    uint32_t n, capacity;
    struct ip ip;
    uint16_t network_len;
    char network[];
};
struct wanted {
    struct text network;
    const struct ip *ip;
};

static uint64_t hash_of(const struct address_table *t, struct text network, const struct ip *ip)
{
    return hash_bytes(t->seed, ip, sizeof *ip) * 31 +
           hash_bytes(t->seed, network.data, network.len);
}

static int matches(struct cds_lfht_node *node, const void *key)
{
    const struct wanted *w = key;

    rcu_learned(node);
    const struct entry *e = caa_container_of(node, struct entry, node);
    return ip_equal(&e->ip, w->ip) &&
           text_equal((struct text){e->network, e->network_len}, w->network);
}

static struct entry *find(const struct address_table *t, struct text network, const struct ip *ip)
{
    struct wanted w = {network, ip};
    struct cds_lfht_iter iter;

    cds_lfht_lookup(t->entries, hash_of(t, network, ip), matches, &w, &iter);
    struct cds_lfht_node *node = cds_lfht_iter_get_node(&iter);
    return node ? caa_container_of(node, struct entry, node) : NULL;
}

int address_table_init(struct address_table *t, const uint64_t seed[2])
{
    t->seed[0] = seed[0];
    t->seed[1] = seed[1];
    t->entries = rcu_table_new();
    return t->entries ? 0 : -ENOMEM;
}

void address_table_done(struct address_table *t)
{
    if (t->entries)
        (void)cds_lfht_destroy(t->entries, NULL);
    t->entries = NULL;
}

static int grow(struct entry *e)
{
    if (e->n < e->capacity)
        return 0;
    uint32_t capacity = e->capacity * 2;
    struct claim *claims = malloc(capacity * sizeof *claims);
    if (!claims)
        return -ENOMEM;
    memcpy(claims, e->claims, e->n * sizeof *claims);
    if (e->claims != &e->one)
        free(e->claims);
    e->claims = claims;
    e->capacity = capacity;
    return 0;
}

int address_reserve(struct address_table *t, struct text network, const struct ip *ip)
{
    struct entry *e = find(t, network, ip);
    if (e)
        return grow(e);
    if (network.len > UINT16_MAX)
        return -ENOMEM;
    e = calloc(1, sizeof *e + network.len);
    if (!e)
        return -ENOMEM;
    e->claims = &e->one;
    e->capacity = 1;
    e->ip = *ip;
    e->network_len = (uint16_t)network.len;
    if (network.len)
        memcpy(e->network, network.data, network.len);
    cds_lfht_node_init(&e->node);
    rcu_told(&e->node);
    cds_lfht_add(t->entries, hash_of(t, network, ip), &e->node);
    return 0;
}

static void entry_release(struct rcu_head *head)
{
    struct entry *e = caa_container_of(head, struct entry, head);

    rcu_grace_passed();
    if (e->claims != &e->one)
        free(e->claims);
    free(e);
}

static void drop_unused(struct address_table *t, struct entry *e)
{
    if (e->n > 0)
        return;
    (void)cds_lfht_del(t->entries, &e->node);
    rcu_free_later(&e->head, entry_release);
}

void address_unreserve(struct address_table *t, struct text network, const struct ip *ip)
{
    struct entry *e = find(t, network, ip);
    if (e)
        drop_unused(t, e);
}

static void settle(struct entry *e)
{
    void *owner = e->n ? e->claims[e->n - 1].who : NULL;

    for (uint32_t i = 0; i < e->n; i++) {
        if (e->claims[i].shared)
            owner = NULL;
    }
    atomic_store_explicit(&e->owner, owner, memory_order_release);
}

void address_claim(struct address_table *t, struct text network, const struct ip *ip, void *who,
                   bool shared)
{
    struct entry *e = find(t, network, ip);

    assert(e && e->n < e->capacity);
    e->claims[e->n++] = (struct claim){who, shared};
    settle(e);
}

void address_unclaim(struct address_table *t, struct text network, const struct ip *ip,
                     const void *who)
{
    struct entry *e = find(t, network, ip);
    uint32_t i = 0;

    assert(e);
    while (i < e->n && e->claims[i].who != who)
        i++;
    assert(i < e->n);
    memmove(e->claims + i, e->claims + i + 1, (e->n - i - 1) * sizeof *e->claims);
    e->n--;
    settle(e);
    drop_unused(t, e);
}

void *address_owner(const struct address_table *t, struct text network, const struct ip *ip)
{
    const struct entry *e = find(t, network, ip);
    return e ? atomic_load_explicit(&e->owner, memory_order_acquire) : NULL;
}
