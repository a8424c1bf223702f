/*
 * Objects by a key that many of them may share: an address, a node, a service, a pod. Each object
 * once per key. Embedded in a view; borrowed objects; one thread; bounded by the store.
 */
#ifndef CONTROLLER_TRANSLATE_OBJECT_INDEX_H
#define CONTROLLER_TRANSLATE_OBJECT_INDEX_H
#include "controller/model/object.h"
#include "shared/base/map.h"

struct object_group {
    const struct object **items;
    size_t n, size;
};
struct object_index {
    struct map groups; /* key -> object_group, never empty */
};
void object_index_init(struct object_index *x);
void object_index_done(struct object_index *x);
int object_index_add(struct object_index *x, struct text key, const struct object *o); /* -ENOMEM */
void object_index_remove(struct object_index *x, struct text key,
                         const struct object *o); /* fine if it is not there */
/* In no order; empty: none. Valid until the next change. */
struct object_group object_index_get(const struct object_index *x, struct text key);
#endif
