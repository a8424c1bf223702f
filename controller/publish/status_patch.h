/*
 * A merge patch for /status that replaces one list in it, with the object's resourceVersion as the
 * condition of its own: it is refused if somebody wrote in between. Whoever opened it puts the list's
 * entries, and closes. Pure.
 */
#ifndef CONTROLLER_PUBLISH_STATUS_PATCH_H
#define CONTROLLER_PUBLISH_STATUS_PATCH_H
#include "shared/json/json_out.h"

enum { STATUS_PATCH_MAX = 256 * 1024 };
/* *ret_list is the list as it is (NULL: none). -EINVAL: the object has no version, or the list is
 * none. */
int status_patch_open(const struct json *object, const char *list, struct json_out *o,
                      struct text_heap *body, const struct json **ret_list);
int status_patch_close(struct json_out *o, struct text_heap *body); /* -ENOMEM: it is done with */
/* A number of all that was chained, in its order; never 0. */
uint64_t status_chain(uint64_t so_far, struct text t);
uint64_t status_chain_number(uint64_t so_far, uint64_t number);
/* Of a list of conditions, the one of this type; NULL: none. */
const struct json *status_condition(const struct json *conditions, const char *type);
#endif
