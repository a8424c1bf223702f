/*
 * In which order matches of HTTPRoutes and GRPCRoutes are looked at (the Gateway API's "precedence",
 * over all rules of all routes together): exact path, expression (where the specification leaves it
 * open: an expression before a prefix, the longer one first), the longest prefix; a method; more
 * headers; more parameters; the older route; its namespace and name; its order. Of gRPC: the longer
 * service, the longer method, more headers, and so on. Pure.
 */
#ifndef CONTROLLER_TRANSLATE_GATEWAY_ORDER_H
#define CONTROLLER_TRANSLATE_GATEWAY_ORDER_H
#include "controller/model/object.h"

struct gateway_entry { /* one match of one rule */
    const struct object *route;
    const struct gateway_rule *rule;
    const struct gateway_match *match;
};
void gateway_order(struct gateway_entry *entries, size_t n);
#endif
