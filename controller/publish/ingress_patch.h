/*
 * The status of a Gateway of ours: its conditions, its addresses, and of each listener its conditions and
 * how many routes are attached. Pure, as route_status.h; conditions of other types stay as they are.
 */
#ifndef CONTROLLER_PUBLISH_INGRESS_PATCH_H
#define CONTROLLER_PUBLISH_INGRESS_PATCH_H
#include "controller/publish/condition.h"
#include "controller/translate/ingress_status.h"

/* generation: of the object that was judged. listeners NULL: it is none of ours, nothing is to be there. */
uint64_t ingress_patch_number(const struct ingress_status *s, int64_t generation);
uint64_t ingress_patch_there(const struct json *object); /* 0: nothing of ours */
/* As route_status_patch(). */
int ingress_patch(const struct json *object, const struct ingress_status *s, int64_t generation,
                  int64_t unix_ms, struct text_heap *ret_body);
#endif
