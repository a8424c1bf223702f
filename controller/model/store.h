/*
 * The objects that are in force, by kind, namespace and name, whatever source they came from. Owns a reference of
 * each. One thread. Bounded by OBJECTS_MAX: beyond it store_put() answers -ENOSPC and keeps what it has.
 */
#ifndef CONTROLLER_MODEL_STORE_H
#define CONTROLLER_MODEL_STORE_H
#include "controller/model/object.h"
#include "shared/base/map.h"

enum { OBJECTS_MAX = 2000000 };
struct store {
    struct map objects[OBJECT_KIND_COUNT]; /* by object_key() */
};
void store_init(struct store *s);
void store_done(struct store *s);
int store_put(struct store *s, struct object *o); /* takes a reference of its own; -ENOMEM, -ENOSPC */
bool store_remove(struct store *s, enum object_kind kind, const char *ns, const char *name);
struct object *store_get(const struct store *s, enum object_kind kind, const char *ns, const char *name);
/* All of a kind, ordered by namespace and name. *ret is on the heap (NULL if there are none): the caller frees
 * it; the objects are borrowed. -ENOMEM. */
int store_list(const struct store *s, enum object_kind kind, struct object ***ret, size_t *ret_n);
#endif
