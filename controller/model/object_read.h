/*
 * One manifest document to one object, checked. Pure. An error names the line, the field and what
 * would be right, and says, as far as that can still be told, which object it was meant to be.
 */
#ifndef CONTROLLER_MODEL_OBJECT_READ_H
#define CONTROLLER_MODEL_OBJECT_READ_H
#include "controller/model/object.h"
#include "shared/json/json.h"

struct object_identity { /* what a document says it is */
    enum object_kind kind;
    char ns[64], name[254];
    bool known;         /* kind, ns and name are valid */
    char api_kind[128]; /* "apps/v1 Deployment"; "" if it does not say */
};
/* *ret has one reference. `file` is for problems. 0; -ENOENT: of a kind that is none of ours;
 * -EINVAL: see ret_error, and *ret, which is NULL or
 * what counts as long as no good state of it is known; -ENOMEM. ret_identity is filled in every case. */
int object_read(const struct json *document, const char *file, struct object **ret,
                struct object_identity *ret_identity, struct json_error *ret_error);
/* The same of a document whose kind is known, since it need not say it: the items of a list that an
 * API server answers have none. */
int object_read_as(enum object_kind kind, const struct json *document, const char *file,
                   struct object **ret, struct object_identity *ret_identity,
                   struct json_error *ret_error);
/* Is it a `kind: List` (of apiVersion v1)? Its items are documents of their own. */
bool object_is_list(const struct json *document);
#endif
