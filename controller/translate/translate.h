/*
 * From the objects in force to the resources that are to be served. Pure: the same store gives the
 * same bytes, of one object as of all.
 */
#ifndef CONTROLLER_TRANSLATE_TRANSLATE_H
#define CONTROLLER_TRANSLATE_TRANSLATE_H
#include "controller/translate/resource.h"
#include "controller/translate/view.h"

struct resources { /* owned */
    struct resource **items;
    size_t n, size;
    size_t tables_bytes;     /* of the route tables among them that somebody wrote */
    size_t tables_elsewhere; /* and of those that others have: said by who translates a part */
    size_t short_of;         /* the smallest table that there was no room for; 0: none */
};
enum { TRANSLATED_KINDS = 17 };
/* Kinds that something is made of, or told of, in the order in which it is. */
extern const enum object_kind translated_kinds[TRANSLATED_KINDS];
/* Appends what one object becomes, and what is worth telling of it. -ENOMEM: a part was appended. */
int translate_object(const struct view *v, const struct object *o, struct resources *all,
                     struct problems *problems);
/* Appends what all PeerAuthentications have in common, and what all sidecars; nothing if there is none. */
int translate_common(const struct view *v, struct resources *all, struct problems *problems);
/* All of it. Adds what is worth telling to problems. -ENOMEM: nothing is given out. */
int translate(const struct object_store *s, const struct translate_settings *settings,
              struct resources *ret, struct problems *problems);
/* Takes the resource in every case. -ENOMEM. */
int resources_add(struct resources *all, struct resource *taken);
void resources_done(struct resources *r);
#endif
