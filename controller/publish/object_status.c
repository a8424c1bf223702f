#include "controller/publish/object_status.h"
#include <errno.h>
#include <stdlib.h>

static bool is_route(enum object_kind kind)
{
    return kind == OBJECT_HTTP_ROUTE || kind == OBJECT_GRPC_ROUTE;
}

const char *object_status_resource(enum object_kind kind)
{
    static const char *const plurals[OBJECT_KIND_COUNT] = {
        [OBJECT_AUTHORIZATION_POLICY] = "authorizationpolicies",
        [OBJECT_PEER_AUTHENTICATION] = "peerauthentications",
        [OBJECT_HTTP_ROUTE] = "httproutes",
        [OBJECT_GRPC_ROUTE] = "grpcroutes",
        [OBJECT_VIRTUAL_SERVICE] = "virtualservices",
        [OBJECT_DESTINATION_RULE] = "destinationrules",
        [OBJECT_SERVICE_ENTRY] = "serviceentries"};
    return plurals[kind];
}

/* What can't be read is in force as it was before: not as it is written now. */
static void refuse(struct object_status *s)
{
    for (size_t i = 0; !s->condition.accepted && i < s->route.n; i++) {
        struct gateway_condition *c = &s->parents[i].accepted;
        struct text_out out = TEXT_OUT(c->message);
        c->holds = s->parents[i].partial.holds = false;
        c->reason = "UnsupportedValue";
        text_puts(&out, s->condition.message);
    }
}

static int judge_route(const struct object_judged *who, const struct view *v,
                       struct object_status *s)
{
    const struct object *o = object_store_get(v->store, who->kind, who->ns, who->name);
    s->route.generation = who->generation;
    if (!o) /* never readable: nobody knows its parents */
        return 0;
    int err = gateway_status(v, o, &s->parents, &s->route.n);
    s->route.parents = s->parents;
    if (err == 0)
        refuse(s);
    return err;
}

int object_status_judge(const struct object_judged *who, const struct problems *const *lists,
                        size_t n_lists, const struct view *v, struct object_status *ret)
{
    char key[OBJECT_KEY_MAX];
    *ret = (struct object_status){.kind = who->kind};
    object_key(who->kind, who->ns, who->name, key);
    condition_judge(lists, n_lists, key, who->generation, &ret->condition);
    return is_route(who->kind) ? judge_route(who, v, ret) : 0;
}

void object_status_done(struct object_status *s)
{
    free(s->parents);
    *s = (struct object_status){0};
}

uint64_t object_status_number(const struct object_status *s)
{
    return is_route(s->kind) ? route_status_number(&s->route) : condition_number(&s->condition);
}

uint64_t object_status_there(enum object_kind kind, const struct json *object)
{
    return is_route(kind) ? route_status_there(object) : condition_there(object);
}

int object_status_patch(const struct object_status *s, const struct json *object, int64_t unix_ms,
                        struct text_heap *ret_body)
{
    return is_route(s->kind) ? route_status_patch(object, &s->route, unix_ms, ret_body)
                             : condition_patch(object, &s->condition, unix_ms, ret_body);
}
