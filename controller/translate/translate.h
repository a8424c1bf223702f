/*
 * From the objects in force to all resources that are to be served. Pure: the same store gives the
 * same bytes. The pieces (from_pod, from_service, ...) each take one object, for sources that feed
 * changes one at a time.
 */
#ifndef CONTROLLER_TRANSLATE_TRANSLATE_H
#define CONTROLLER_TRANSLATE_TRANSLATE_H
#include "controller/translate/resource.h"
#include "controller/translate/view.h"

struct resources { /* owned */
    struct resource **items;
    size_t n, size;
};
/* Adds what is worth telling to problems. -ENOMEM: nothing is given out. */
int translate(const struct object_store *s, const struct translate_settings *settings,
              struct resources *ret, struct problems *problems);
void resources_done(struct resources *r);
#endif
