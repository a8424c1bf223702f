/*
 * How an object is made that is a part of another one: what it says is copied into its own arena, since it may
 * outlive the other. For controller/model alone.
 */
#ifndef CONTROLLER_MODEL_OBJECT_PART_H
#define CONTROLLER_MODEL_OBJECT_PART_H
#include "controller/model/object.h"

struct part_making {
    struct object *part;
    bool no_memory; /* something is missing */
};
void *part_take(struct part_making *m, size_t n, size_t len); /* zeroed; NULL: none, or no memory */
const char *part_text(struct part_making *m, const char *text); /* never NULL */
struct labels part_labels(struct part_making *m, const struct labels *from);
struct values part_values(struct part_making *m, const struct values *from);
const struct ip *part_addresses(struct part_making *m, const struct ip *from, size_t n);
#endif
