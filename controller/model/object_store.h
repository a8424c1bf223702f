/*
 * The objects that are in force, by kind, namespace and name, whatever source they came from. Owns
 * a reference of each. One thread. Bounded by OBJECTS_MAX: beyond it object_store_put() answers
 * -ENOSPC and keeps what it has.
 */
#ifndef CONTROLLER_MODEL_OBJECT_STORE_H
#define CONTROLLER_MODEL_OBJECT_STORE_H
#include "controller/model/object.h"
#include "shared/base/map.h"

enum { OBJECTS_MAX = 2000000 };
struct object_store {
    struct map objects[OBJECT_KIND_COUNT]; /* by object_key() */
    /* After each change but object_store_done(): `now` is there instead of `old` (NULL: nothing),
     * which lives until it returns. May be NULL; set it after the init. */
    void (*changed)(void *arg, const struct object *old, struct object *now);
    void *changed_arg;
};
void object_store_init(struct object_store *s);
void object_store_done(struct object_store *s);
int object_store_put(struct object_store *s,
                     struct object *o); /* takes a reference of its own; -ENOMEM, -ENOSPC */
bool object_store_remove(struct object_store *s, enum object_kind kind, const char *ns,
                         const char *name);
struct object *object_store_get(const struct object_store *s, enum object_kind kind, const char *ns,
                                const char *name);
/* All of a kind, ordered by namespace and name. *ret is on the heap (NULL if there are none):
 * the caller frees it; the objects are borrowed. -ENOMEM. */
int object_store_list(const struct object_store *s, enum object_kind kind, struct object ***ret,
                      size_t *ret_n);
#endif
