/*
 * Which objects a change of the store touches: those that are to be translated again, because what
 * becomes of them may be something else now. It may name too many, never too few. Collects names,
 * since objects come and go until they are translated. Owned by whoever embeds it; one thread;
 * bounded by the store. Pure.
 */
#ifndef CONTROLLER_TRANSLATE_TOUCHED_H
#define CONTROLLER_TRANSLATE_TOUCHED_H
#include "controller/translate/view.h"

struct touched_object {
    enum object_kind kind;
    const char *ns, *name;
};
struct touched {
    struct map objects; /* object_key() -> touched_object */
};
void touched_init(struct touched *t);
void touched_done(struct touched *t); /* empty and usable again */
/* The view knows the change already; old or now is NULL where nothing was or is. -ENOMEM: it is not
 * complete. */
int touched_change(struct touched *t, const struct view *v, const struct object *old,
                   const struct object *now);
/* In the order of translated_kinds, of namespace and name. On the heap; NULL: no memory, or none. */
const struct touched_object **touched_list(const struct touched *t);
#endif
