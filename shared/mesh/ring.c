#include "shared/mesh/consistent.h"
#include "shared/mesh/hash64.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

enum { KEY_MAX = 300 }; /* a host's name is shorter (endpoints.h), and a number fits behind it */

static int by_hash(const void *left, const void *right)
{
    const struct ring_entry *a = left, *b = right;
    return (a->hash > b->hash) - (a->hash < b->hash);
}

static uint64_t hash_of(struct text key, uint64_t i, bool murmur)
{
    char whole[KEY_MAX];
    struct text_out o = TEXT_OUT(whole);

    text_put(&o, key);
    text_printf(&o, "_%llu", (unsigned long long)i);
    struct text t = {o.data, o.len};
    return murmur ? hash64_murmur(t) : hash64_xx(t, 0);
}

/*
 * The least host gets a whole number of hashes, so that the ring has at least size_min of them, and
 * the others in proportion. What is not whole is carried on from host to host.
 */
int ring_build(struct ring *r, const struct consistent_host *hosts, size_t n, uint64_t size_min,
               uint64_t size_max, bool murmur)
{
    double sum = 0, least = INFINITY, hashes = 0, target = 0;

    for (size_t i = 0; i < n; i++)
        sum += hosts[i].weight;
    for (size_t i = 0; i < n; i++)
        least = fmin(least, hosts[i].weight / sum);
    double scale = fmin(ceil(least * (double)size_min) / least, (double)size_max);
    size_t size = (size_t)ceil(scale) + 1;
    struct ring_entry *entries = n > 0 ? malloc(size * sizeof *entries) : NULL;
    *r = (struct ring){.entries = entries};
    if (n > 0 && !entries)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        target += scale * (hosts[i].weight / sum);
        for (uint64_t k = 0; hashes < target && r->n < size; k++, hashes++)
            entries[r->n++] = (struct ring_entry){hash_of(hosts[i].key, k, murmur), (uint32_t)i};
    }
    if (n > 0)
        qsort(entries, r->n, sizeof *entries, by_hash);
    return 0;
}

void ring_done(struct ring *r)
{
    free(r->entries);
    *r = (struct ring){0};
}

uint32_t ring_find(const struct ring *r, uint64_t hash, uint32_t attempt)
{
    size_t low = 0, high = r->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (r->entries[middle].hash < hash)
            low = middle + 1;
        else
            high = middle;
    }
    return r->entries[(low + attempt) % r->n].host;
}
