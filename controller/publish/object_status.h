/*
 * What is to be said in the status of a policy (one condition of our own type) or of a route (an entry
 * for each parent). Pure; owned by whoever judged it.
 */
#ifndef CONTROLLER_PUBLISH_OBJECT_STATUS_H
#define CONTROLLER_PUBLISH_OBJECT_STATUS_H
#include "controller/publish/ingress_patch.h"
#include "controller/publish/route_status.h"

struct object_status {
    enum object_kind kind;
    struct condition condition;            /* of a policy, a GatewayClass or an XMesh */
    bool not_ours;                         /* a GatewayClass, an XMesh: nothing is to be there */
    struct route_status route;             /* of a route, */
    struct gateway_parent_status *parents; /* and what it owns */
    struct ingress_status ingress;         /* of a Gateway, which owns its listeners */
    int64_t generation;                    /* of it, as it was judged */
};
/* The resource of a kind whose status we write, "authorizationpolicies"; NULL: others'. */
const char *object_status_resource(enum object_kind kind);
/* Who is judged: as the server has it, by its name. */
struct object_judged {
    enum object_kind kind;
    const char *ns, *name;
    int64_t generation;
    const struct problem *unread; /* why it can't be read as it is now; NULL: it is read */
};
/* By what is known of it: what is told of the translation (sorted), and for routes the view. -ENOMEM. */
int object_status_judge(const struct object_judged *who, const struct problem_index *told,
                        const struct view *v, struct object_status *ret);
void object_status_done(struct object_status *s);
/* As condition_number() and its neighbours. */
uint64_t object_status_number(const struct object_status *s);
uint64_t object_status_there(enum object_kind kind, const struct json *object);
int object_status_patch(const struct object_status *s, const struct json *object, int64_t unix_ms,
                        struct text_heap *ret_body);
#endif
