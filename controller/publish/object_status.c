#include "controller/publish/object_status.h"
#include "controller/publish/mesh_patch.h"
#include "controller/translate/backend_tls_attach.h"
#include "controller/translate/gateway_table.h"
#include "controller/translate/ingress_attach.h"
#include <errno.h>
#include <stdlib.h>

static bool is_route(enum object_kind kind)
{
    return kind == OBJECT_HTTP_ROUTE || kind == OBJECT_GRPC_ROUTE || kind == OBJECT_TCP_ROUTE ||
           kind == OBJECT_TLS_ROUTE;
}

/* With an entry for each parent, or target. */
static bool has_entries(enum object_kind kind)
{
    return is_route(kind) || kind == OBJECT_BACKEND_TLS_POLICY;
}

const char *object_status_resource(enum object_kind kind)
{
    static const char *const plurals[OBJECT_KIND_COUNT] = {
        [OBJECT_AUTHORIZATION_POLICY] = "authorizationpolicies",
        [OBJECT_PEER_AUTHENTICATION] = "peerauthentications",
        [OBJECT_HTTP_ROUTE] = "httproutes",
        [OBJECT_GRPC_ROUTE] = "grpcroutes",
        [OBJECT_TCP_ROUTE] = "tcproutes",
        [OBJECT_TLS_ROUTE] = "tlsroutes",
        [OBJECT_INGRESS] = "gateways",
        [OBJECT_INGRESS_CLASS] = "gatewayclasses",
        [OBJECT_MESH] = "xmeshes",
        [OBJECT_VIRTUAL_SERVICE] = "virtualservices",
        [OBJECT_DESTINATION_RULE] = "destinationrules",
        [OBJECT_SERVICE_ENTRY] = "serviceentries",
        [OBJECT_WORKLOAD_ENTRY] = "workloadentries",
        [OBJECT_WORKLOAD_GROUP] = "workloadgroups",
        [OBJECT_BACKEND_TLS_POLICY] = "backendtlspolicies",
        [OBJECT_SIDECAR] = "sidecars"};
    return plurals[kind];
}

struct judging {
    const struct problem_index *told;
    const struct view *view;
};

static void refuse(struct gateway_parent_status *p, const char *message)
{
    struct gateway_condition *c = &p->accepted;
    struct text_out out = TEXT_OUT(c->message);
    c->holds = p->partial.holds = false;
    c->reason = "UnsupportedValue";
    text_puts(&out, message);
}

static const struct problem *problem_of(const struct judging *j, const char *object,
                                        const char *field)
{
    struct problem_group g = problem_index_get(j->told, object);
    for (size_t i = 0; i < g.n; i++)
        if (g.items[i]->severity == PROBLEM_ERROR && strcmp(g.items[i]->field, field) == 0)
            return g.items[i];
    return NULL;
}

/* A table that could not be made of all its routes refuses what each of them takes. */
static void refuse_tables(const struct judging *j, const struct object *route,
                          struct gateway_parent_status *p)
{
    const struct gateway_ref *ref = &p->parent->ref;
    const struct object *service =
        gateway_is_service(ref)
            ? object_store_get(j->view->store, OBJECT_SERVICE, ref->ns, ref->name)
            : NULL;
    char key[OBJECT_KEY_MAX], field[GATEWAY_FIELD_MAX];
    object_key(OBJECT_SERVICE, ref->ns, ref->name, key);
    for (size_t i = 0; service && i < service->service.n_ports && p->accepted.holds; i++) {
        const struct gateway_scope s = {service, &service->service.ports[i], route->ns,
                                        gateway_is_stream(route->kind)};
        if (!gateway_parent_means(p->parent, s.port, s.streams))
            continue;
        gateway_table_field(&s, field);
        const struct problem *why = problem_of(j, key, field);
        if (why && (s.streams || gateway_scope_kind(j->view, &s) == route->kind))
            refuse(p, why->message);
    }
}

static int judge_route(const struct judging *j, const struct object_judged *who,
                       struct object_status *s)
{
    const struct object *o = object_store_get(j->view->store, who->kind, who->ns, who->name);
    s->route.generation = who->generation;
    s->route.ancestors = who->kind == OBJECT_BACKEND_TLS_POLICY;
    if (!o) /* never readable: nobody knows its parents */
        return 0;
    bool route = is_route(o->kind);
    int err = route ? gateway_status(j->view, o, &s->parents, &s->route.n) : backend_tls_status(j->view, o, &s->parents, &s->route.n);
    s->route.parents = s->parents;
    for (size_t i = 0; err == 0 && i < s->route.n; i++) {
        if (route)
            refuse_tables(j, o, &s->parents[i]);
        /* What can't be read is in force as it was before: not as it is written now. */
        if (!s->condition.accepted && (route || who->unread))
            refuse(&s->parents[i], s->condition.message);
    }
    return err;
}

static int judge_ingress(const struct judging *j, const struct object_judged *who,
                         struct object_status *s)
{
    const struct object *o = object_store_get(j->view->store, who->kind, who->ns, who->name);
    s->generation = who->generation;
    if (!o || !ingress_is_ours(o))
        return 0;
    int err = ingress_status(j->view, o, &s->ingress);
    /* What can't be read is in force as it was before: not as it is written now. */
    if (err == 0 && !s->condition.accepted) {
        struct gateway_condition *c = &s->ingress.accepted;
        struct text_out out = TEXT_OUT(c->message);
        c->holds = false;
        c->reason = "Invalid";
        text_puts(&out, s->condition.message);
    }
    return err;
}

/* Of a class that says that it is ours: Gateways are served of one name alone. */
static void judge_class(const struct judging *j, const struct object_judged *who,
                        struct object_status *s)
{
    const struct object *o = object_store_get(j->view->store, who->kind, "", who->name);
    struct condition *c = &s->condition;
    struct text_out out = TEXT_OUT(c->message);
    if (!o || strcmp(o->ingress_class.controller, INGRESS_CONTROLLER) != 0) {
        s->not_ours = true;
        return;
    }
    c->accepted = strcmp(o->name, INGRESS_CLASS) == 0 && !o->ingress_class.has_parameters;
    c->reason = c->accepted                      ? "Accepted"
                : o->ingress_class.has_parameters ? "InvalidParameters"
                                                  : "Unsupported";
    text_puts(&out, c->accepted ? "Gateways of it are served by the node proxies"
                    : o->ingress_class.has_parameters
                        ? "spec.parametersRef: there are no parameters"
                        : "only Gateways of the class " INGRESS_CLASS " are served");
}

static void judge_mesh(const struct judging *j, const struct object_judged *who, struct object_status *s)
{
    const struct object *o = object_store_get(j->view->store, who->kind, "", who->name);
    struct condition *c = &s->condition;
    struct text_out out = TEXT_OUT(c->message);
    s->not_ours = !o || strcmp(o->ingress_class.controller, INGRESS_CONTROLLER) != 0;
    if (s->not_ours)
        return;
    c->accepted = !o->ingress_class.has_parameters;
    c->reason = c->accepted ? "Accepted" : "InvalidParameters";
    text_puts(&out, c->accepted ? "routes with Services as parents are served by the node proxies" : "spec.parametersRef: there are no parameters");
}

int object_status_judge(const struct object_judged *who, const struct problem_index *told,
                        const struct view *v, struct object_status *ret)
{
    const struct judging j = {told, v};
    char key[OBJECT_KEY_MAX];
    *ret = (struct object_status){.kind = who->kind};
    object_key(who->kind, who->ns, who->name, key);
    const struct problem_group unread = {&who->unread, 1};
    condition_judge(who->unread ? unread : problem_index_get(told, key), who->generation,
                    &ret->condition);
    if (who->kind == OBJECT_INGRESS)
        return judge_ingress(&j, who, ret);
    if (who->kind == OBJECT_INGRESS_CLASS)
        judge_class(&j, who, ret);
    if (who->kind == OBJECT_MESH)
        judge_mesh(&j, who, ret);
    return has_entries(who->kind) ? judge_route(&j, who, ret) : 0;
}

void object_status_done(struct object_status *s)
{
    free(s->parents);
    free(s->ingress.listeners);
    *s = (struct object_status){0};
}

uint64_t object_status_number(const struct object_status *s)
{
    if (s->kind == OBJECT_INGRESS)
        return ingress_patch_number(&s->ingress, s->generation);
    if (s->not_ours)
        return 0;
    if (s->kind == OBJECT_MESH)
        return mesh_patch_number(&s->condition);
    return has_entries(s->kind) ? route_status_number(&s->route) : condition_number(&s->condition);
}

static const char *type_of(enum object_kind kind)
{
    return kind == OBJECT_INGRESS_CLASS ? "Accepted" : CONDITION_TYPE;
}

/* What others say of a class of theirs is nothing of ours. */
static bool is_others_class(enum object_kind kind, const struct json *object)
{
    return (kind == OBJECT_INGRESS_CLASS || kind == OBJECT_MESH) &&
           !text_equal(json_text(json_get(object, "spec.controllerName")),
                       TEXT(INGRESS_CONTROLLER));
}

uint64_t object_status_there(enum object_kind kind, const struct json *object)
{
    if (is_others_class(kind, object))
        return 0;
    if (kind == OBJECT_INGRESS)
        return ingress_patch_there(object);
    if (kind == OBJECT_MESH)
        return mesh_patch_there(object);
    return has_entries(kind) ? route_status_there(object, kind == OBJECT_BACKEND_TLS_POLICY) : condition_there(object, type_of(kind));
}

int object_status_patch(const struct object_status *s, const struct json *object, int64_t unix_ms,
                        struct text_heap *ret_body)
{
    if (s->kind == OBJECT_INGRESS)
        return ingress_patch(object, &s->ingress, s->generation, unix_ms, ret_body);
    if (s->kind == OBJECT_MESH)
        return mesh_patch(object, &s->condition, unix_ms, ret_body);
    return has_entries(s->kind) ? route_status_patch(object, &s->route, unix_ms, ret_body)
                             : condition_patch(object, type_of(s->kind), &s->condition, unix_ms,
                                               ret_body);
}
