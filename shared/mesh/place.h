/*
 * Where in a value something is, so that a checker can name it: `virtual_hosts[2].domains[0]`. A
 * chain on the stack, from the field to what it is in. For this folder, and for what decodes its values.
 */
#ifndef SHARED_MESH_PLACE_H
#define SHARED_MESH_PLACE_H
#include "shared/base/text.h"
#include "shared/base/why.h"

struct place {
    const struct place *in; /* NULL: the value itself */
    const char *name;
    size_t index; /* PLACE_SINGLE: not of a list */
};
#define PLACE_SINGLE      SIZE_MAX
#define AT(in, name)      (&(const struct place){(in), (name), PLACE_SINGLE})
#define AT_I(in, name, i) (&(const struct place){(in), (name), (i)})

/* Writes the place and the sentence; -EINVAL, for `return place_refuse(...)`. */
int place_refuse(const struct place *p, char why[static WHY_MAX], const char *format, ...)
    __attribute__((format(printf, 3, 4)));
int place_no_memory(char why[static WHY_MAX]); /* -ENOMEM */
/* -EINVAL if there are more than max. */
int place_count(const struct place *p, size_t n, size_t max, char why[static WHY_MAX]);
#endif
