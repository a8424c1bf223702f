#include "shared/base/map.h"
#include "shared/base/clock.h"
#include "shared/base/rng.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>

enum { CAPACITY_MIN = 16 }; /* a power of two, as every capacity is */

static uint64_t rotl(uint64_t x, int k)
{
    return x << k | x >> (64 - k);
}

static void sip_round(uint64_t v[static 4])
{
    v[0] += v[1];
    v[1] = rotl(v[1], 13) ^ v[0];
    v[0] = rotl(v[0], 32);
    v[2] += v[3];
    v[3] = rotl(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotl(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotl(v[1], 17) ^ v[2];
    v[2] = rotl(v[2], 32);
}

/* Little-endian, whatever the machine; len up to 8. */
static uint64_t load_le(const uint8_t *p, size_t len)
{
    uint64_t word = 0;
    if (len > 0)
        memcpy(&word, p, len);
    return le64toh(word);
}

uint64_t hash_bytes(const uint64_t seed[2], const void *data, size_t len)
{
    const uint8_t *p = data;
    uint64_t v[4] = {seed[0] ^ 0x736f6d6570736575, seed[1] ^ 0x646f72616e646f6d,
                     seed[0] ^ 0x6c7967656e657261, seed[1] ^ 0x7465646279746573};
    size_t left = len;

    for (; left >= 8; left -= 8, p += 8) {
        uint64_t word = load_le(p, 8);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    uint64_t last = load_le(p, left) | (uint64_t)len << 56;
    v[3] ^= last;
    sip_round(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void map_init(struct map *m, size_t entries_max)
{
    *m = (struct map){.entries_max = entries_max};
    /* A kernel that gives no randomness leaves us a weaker seed, not a dead program. */
    if (rng_os(m->seed, sizeof m->seed) < 0) {
        m->seed[0] = clock_monotonic_us() * 0x9e3779b97f4a7c15;
        m->seed[1] = (uint64_t)clock_unix_ms() ^ (uint64_t)(uintptr_t)m;
    }
}

void map_done(struct map *m, void (*free_value)(void *value))
{
    for (size_t i = 0; i < m->capacity; i++) {
        if (!m->entries[i].key)
            continue;
        if (free_value)
            free_value(m->entries[i].value);
        free(m->entries[i].key);
    }
    free(m->entries);
    m->entries = NULL;
    m->count = m->capacity = 0;
}

/* The entry of this key, or the free one where it would go. There is always a free one. */
static struct map_entry *find(const struct map *m, struct text key, uint64_t hash)
{
    size_t mask = m->capacity - 1;
    for (size_t i = hash & mask;; i = (i + 1) & mask) {
        struct map_entry *e = &m->entries[i];
        if (!e->key || (e->hash == hash && text_equal((struct text){e->key, e->key_len}, key)))
            return e;
    }
}

void *map_get(const struct map *m, struct text key)
{
    if (m->count == 0)
        return NULL;
    const struct map_entry *e = find(m, key, hash_bytes(m->seed, key.data, key.len));
    return e->key ? e->value : NULL;
}

static int grow(struct map *m)
{
    size_t capacity = m->capacity > 0 ? m->capacity * 2 : CAPACITY_MIN;
    struct map_entry *entries = calloc(capacity, sizeof *entries);

    if (!entries)
        return -ENOMEM;
    for (size_t i = 0; i < m->capacity; i++) {
        if (!m->entries[i].key)
            continue;
        size_t to = m->entries[i].hash & (capacity - 1);
        while (entries[to].key)
            to = (to + 1) & (capacity - 1);
        entries[to] = m->entries[i];
    }
    free(m->entries);
    m->entries = entries;
    m->capacity = capacity;
    return 0;
}

int map_put(struct map *m, struct text key, void *value, void **ret_old)
{
    uint64_t hash = hash_bytes(m->seed, key.data, key.len);
    struct map_entry *e = m->capacity > 0 ? find(m, key, hash) : NULL;

    if (e && e->key) {
        if (ret_old)
            *ret_old = e->value;
        e->value = value;
        return 0;
    }
    if (m->entries_max > 0 && m->count >= m->entries_max)
        return -ENOSPC;
    char *copy = text_dup(key);
    if (!copy)
        return -ENOMEM;
    if ((m->count + 1) * 4 > m->capacity * 3) {
        int r = grow(m);
        if (r < 0) {
            free(copy);
            return r;
        }
        e = find(m, key, hash);
    }
    *e = (struct map_entry){copy, key.len, value, hash};
    m->count++;
    if (ret_old)
        *ret_old = NULL;
    return 0;
}

/* Closes the gap at `hole`: entries that probed past it move back, so that no tombstone is
 * needed. */
static void shift_back(struct map *m, size_t hole)
{
    size_t mask = m->capacity - 1;
    for (size_t i = (hole + 1) & mask; m->entries[i].key; i = (i + 1) & mask) {
        size_t home = m->entries[i].hash & mask;
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            m->entries[hole] = m->entries[i];
            hole = i;
        }
    }
    m->entries[hole] = (struct map_entry){0};
}

void *map_remove(struct map *m, struct text key)
{
    if (m->count == 0)
        return NULL;
    struct map_entry *e = find(m, key, hash_bytes(m->seed, key.data, key.len));
    if (!e->key)
        return NULL;
    void *value = e->value;
    /* `key` may be the entry's own copy: it is not read after this. */
    free(e->key);
    shift_back(m, (size_t)(e - m->entries));
    m->count--;
    return value;
}

const struct map_entry *map_next(const struct map *m, size_t *i)
{
    while (*i < m->capacity) {
        const struct map_entry *e = &m->entries[(*i)++];
        if (e->key)
            return e;
    }
    return NULL;
}
