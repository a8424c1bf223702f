/*
 * A route table in the making: its memory, and for whom it is. Lives as long as the making; pure.
 * That memory runs out is told once, by `failed`; what was taken before stays well-formed.
 */
#ifndef CONTROLLER_TRANSLATE_GATEWAY_BUILD_H
#define CONTROLLER_TRANSLATE_GATEWAY_BUILD_H
#include "controller/translate/gateway_attach.h"
#include "shared/base/arena.h"

struct gateway_build {
    const struct view *view;
    const struct gateway_scope *scope; /* NULL: a Gateway's, of this port: */
    uint16_t port;
    struct arena *arena; /* the table's */
    bool refusing; /* a table that answers all with 500: there is always room for it */
    bool failed;
};
void *gateway_take(struct gateway_build *b, size_t n, size_t size); /* zeroed; NULL: it failed */
struct text gateway_copy(struct gateway_build *b, struct text t);   /* never without data */
#endif
