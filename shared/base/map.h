/*
 * A hash map from bytes to pointers, keys copied in. Open addressing; keyed hash (a random seed per
 * map), so that names from outside cannot be made to collide. Owned by one thread; grows by
 * doubling up to entries_max (0: no limit but memory), then map_put answers -ENOSPC.
 */
#ifndef SHARED_BASE_MAP_H
#define SHARED_BASE_MAP_H
#include "shared/base/text.h"

struct map_entry {
    char *key; /* NUL-terminated copy */
    size_t key_len;
    void *value;
    uint64_t hash;
};
struct map {
    struct map_entry *entries; /* capacity of them; key NULL: free */
    size_t count, capacity, entries_max;
    uint64_t seed[2];
};
void map_init(struct map *m, size_t entries_max);
void map_done(struct map *m, void (*free_value)(void *value)); /* free_value may be NULL */
void *map_get(const struct map *m, struct text key);           /* NULL: absent */
/* Puts or replaces; *ret_old (may be NULL) gets the value that was there. -ENOMEM, -ENOSPC. */
int map_put(struct map *m, struct text key, void *value, void **ret_old);
void *map_remove(struct map *m, struct text key); /* the value that was there, or NULL */
/* Iteration: start with i = 0; NULL at the end. The map must not change meanwhile. */
const struct map_entry *map_next(const struct map *m, size_t *i);
uint64_t hash_bytes(const uint64_t seed[2], const void *data, size_t len); /* SipHash-1-3 */
#endif
