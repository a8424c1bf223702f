/*
 * Objects by a key that many of them may share: an address, a node, a service, a pod. Each object
 * once per key; those of a key in the order of object_index_order(). Embedded in a view; borrowed
 * objects; one thread; bounded by the store.
 */
#ifndef CONTROLLER_TRANSLATE_OBJECT_INDEX_H
#define CONTROLLER_TRANSLATE_OBJECT_INDEX_H
#include "controller/model/object.h"
#include "shared/base/map.h"

struct object_group {
    const struct object **items; /* in order */
    size_t n, size;
};
struct object_index {
    struct map groups; /* key -> object_group, never empty */
};
/* Those that sources have before those that are made of others; the older ones first (one that does not
 * say when it was made is the youngest), then by namespace, name and kind. */
int object_index_order(const struct object *a, const struct object *b);
void object_index_init(struct object_index *x);
void object_index_done(struct object_index *x);
int object_index_add(struct object_index *x, struct text key, const struct object *o); /* -ENOMEM */
void object_index_remove(struct object_index *x, struct text key,
                         const struct object *o); /* fine if it is not there */
/* Empty: none. Valid until the next change. */
struct object_group object_index_get(const struct object_index *x, struct text key);
#endif
