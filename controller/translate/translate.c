#include "controller/translate/backend_tls_attach.h"
#include "controller/translate/translate.h"
#include "controller/model/health_annotation.h"
#include "controller/translate/default_routes.h"
#include "controller/translate/entry_warn.h"
#include "controller/translate/from_authorization.h"
#include "controller/translate/from_pod.h"
#include "controller/translate/from_service.h"
#include "controller/translate/from_sidecar.h"
#include "controller/translate/from_slice.h"
#include "controller/translate/gateway_status.h"
#include "controller/translate/gateway_table.h"
#include "controller/translate/ingress_certificates.h"
#include "controller/translate/ingress_attach.h"
#include "controller/translate/ingress_status.h"
#include "controller/translate/ingress_table.h"
#include "controller/translate/peer.h"
#include "controller/translate/rule_attach.h"
#include "controller/translate/sidecar.h"
#include "controller/translate/virtual_table.h"
#include "controller/translate/virtual_warn.h"
#include <errno.h>
#include <stdlib.h>

void resources_done(struct resources *r)
{
    for (size_t i = 0; i < r->n; i++)
        resource_free(r->items[i]);
    free(r->items);
    *r = (struct resources){0};
}

static void annotations_warn(const struct object *o, struct problems *problems)
{
    char key[OBJECT_KEY_MAX];
    object_key(o->kind, o->ns, o->name, key);
    if (o->service.health_flaw)
        problems_add(problems, PROBLEM_ERROR, o->file, o->line, key,
                     "metadata.annotations[" HEALTH_ANNOTATION "]", "counts for nothing: %s",
                     o->service.health_flaw);
    if (o->service.export_flaw)
        problems_add(problems, PROBLEM_ERROR, o->file, o->line, key,
                     "metadata.annotations[" EXPORT_ANNOTATION "]", "%s", o->service.export_flaw);
}

/* The name as people know the object, for what can't be encoded. */
static void refuse(const struct object *o, int error, struct problems *problems)
{
    char key[OBJECT_KEY_MAX];
    object_key(o->kind, o->ns, o->name, key);
    problems_add(problems, PROBLEM_ERROR, o->file, o->line, key, "",
                 "can't be sent to the proxies: %s", strerror(-error));
}

int resources_add(struct resources *all, struct resource *taken)
{
    if (all->n == all->size) {
        size_t size = all->size ? 2 * all->size : 256;
        struct resource **items = realloc(all->items, size * sizeof(struct resource *));
        if (!items) {
            resource_free(taken);
            return -ENOMEM;
        }
        all->items = items;
        all->size = size;
    }
    all->items[all->n++] = taken;
    return 0;
}

/* Takes the noun. Only a lack of memory stops the translation. */
static int add_workload(struct resources *all, struct workload *taken, const struct object *o,
                        struct problems *problems)
{
    struct resource *r = NULL;
    int err = taken ? resource_of_workload(taken, &r) : 0;
    workload_free(taken);
    if (err < 0 && err != -ENOMEM) {
        refuse(o, err, problems);
        return 0;
    }
    return r ? resources_add(all, r) : err;
}

static int add_service(struct resources *all, struct service *taken, const struct object *o,
                       struct problems *problems)
{
    struct resource *r = NULL;
    int err = taken ? resource_of_service(taken, &r) : 0;
    service_free(taken);
    if (err < 0 && err != -ENOMEM) {
        refuse(o, err, problems);
        return 0;
    }
    return r ? resources_add(all, r) : err;
}

static int add_policy(struct resources *all, struct policy *taken, const struct object *o,
                      struct problems *problems)
{
    struct resource *r = NULL;
    int err = taken ? resource_of_policy(taken, &r) : 0;
    policy_free(taken);
    if (err < 0 && err != -ENOMEM) {
        refuse(o, err, problems);
        return 0;
    }
    return r ? resources_add(all, r) : err;
}

static int add_tables(struct resources *all, struct gateway_tables *tables)
{
    int r = 0;
    for (size_t i = 0; i < tables->n && r == 0; i++) {
        struct resource *table;
        struct gateway_told *t = &tables->items[i];
        r = resource_of_body(XDS_ROUTES, t->table->name.data, &t->body, &table);
        if (r == 0)
            r = resources_add(all, table);
    }
    all->tables_bytes += tables->body_bytes;
    if (tables->short_of && (all->short_of == 0 || tables->short_of < all->short_of))
        all->short_of = tables->short_of;
    return r;
}

static int translate_service(const struct view *v, const struct object *o, struct resources *all,
                             struct problems *problems)
{
    struct service *s;
    struct gateway_tables tables = {.elsewhere = all->tables_elsewhere + all->tables_bytes};
    int r = from_service(v, o, &s);
    if (r == 0)
        r = add_service(all, s, o, problems);
    if (r == 0)
        r = default_routes(v, o, all);
    if (r == 0)
        r = sidecar_of_service(v, o, all);
    if (r == 0)
        r = gateway_tables(v, o, &tables, problems);
    if (r == 0)
        r = virtual_tables(v, o, &tables, problems);
    if (r == 0)
        r = virtual_warn_rivals(v, o, problems);
    if (r == 0)
        r = add_tables(all, &tables);
    for (size_t i = 0; i < tables.n && r == 0; i++)
        r = own_listener(tables.items[i].table->name, all);
    gateway_tables_done(&tables);
    return r;
}

static int translate_ingress(const struct view *v, const struct object *o, struct resources *all,
                             struct problems *problems)
{
    struct gateway_tables tables = {.elsewhere = all->tables_elsewhere + all->tables_bytes};
    int r = ingress_tables(v, o, &tables, problems);
    if (r == 0)
        r = add_tables(all, &tables);
    gateway_tables_done(&tables);
    struct resource *certificates = NULL;
    if (r == 0)
        r = ingress_certificates(v, o, &certificates);
    if (r == 0 && certificates)
        r = resources_add(all, certificates);
    struct policy *strict = NULL;
    if (r == 0 && ingress_is_ours(o))
        r = peer_gateway_policy(o, &strict);
    if (r == 0)
        r = add_policy(all, strict, o, problems);
    if (r == 0)
        r = ingress_warn(v, o, problems);
    return r;
}

static int translate_pod(const struct view *v, const struct object *o, struct resources *all,
                         struct problems *problems)
{
    struct workload *w;
    int r = from_pod(v, o, &w, problems);
    if (r == 0)
        r = sidecar_of_pod(v, o, w, all, problems);
    if (r == 0)
        return add_workload(all, w, o, problems);
    workload_free(w);
    return r;
}

static int translate_slice(const struct view *v, const struct object *o, struct resources *all,
                           struct problems *problems)
{
    int r = 0;
    for (size_t i = 0; i < o->slice.n_endpoints && r == 0; i++) {
        struct workload *w;
        r = from_slice(v, o, i, &w);
        if (r == 0)
            r = add_workload(all, w, o, problems);
    }
    return r;
}

const enum object_kind translated_kinds[TRANSLATED_KINDS] = {
    OBJECT_AUTHORIZATION_POLICY,
    OBJECT_PEER_AUTHENTICATION,
    OBJECT_SERVICE,
    OBJECT_POD,
    OBJECT_ENDPOINT_SLICE,
    OBJECT_INGRESS,
    OBJECT_HTTP_ROUTE,
    OBJECT_GRPC_ROUTE,
    OBJECT_TCP_ROUTE,
    OBJECT_TLS_ROUTE,
    OBJECT_VIRTUAL_SERVICE,
    OBJECT_DESTINATION_RULE,
    OBJECT_SERVICE_ENTRY,
    OBJECT_WORKLOAD_ENTRY,
    OBJECT_WORKLOAD_GROUP,
    OBJECT_BACKEND_TLS_POLICY,
    OBJECT_SIDECAR,
};

int translate_object(const struct view *v, const struct object *o, struct resources *all,
                     struct problems *problems)
{
    struct policy *p = NULL;
    int r = 0;
    switch (o->kind) {
    case OBJECT_AUTHORIZATION_POLICY:
        r = from_authorization(v, o, &p, problems);
        return r < 0 ? r : add_policy(all, p, o, problems);
    case OBJECT_PEER_AUTHENTICATION:
        peer_warn(v, o, problems);
        r = peer_policy(v, o, &p);
        return r < 0 ? r : add_policy(all, p, o, problems);
    case OBJECT_SERVICE:
        annotations_warn(o, problems);
        return translate_service(v, o, all, problems);
    case OBJECT_POD:
        return translate_pod(v, o, all, problems);
    case OBJECT_ENDPOINT_SLICE:
        return translate_slice(v, o, all, problems);
    case OBJECT_INGRESS:
        return translate_ingress(v, o, all, problems);
    case OBJECT_HTTP_ROUTE:
    case OBJECT_GRPC_ROUTE:
    case OBJECT_TCP_ROUTE:
    case OBJECT_TLS_ROUTE:
        return gateway_warn(v, o, problems);
    case OBJECT_VIRTUAL_SERVICE:
        virtual_warn(v, o, problems);
        return 0;
    case OBJECT_DESTINATION_RULE:
        rule_warn(v, o, problems);
        return 0;
    case OBJECT_SERVICE_ENTRY:
        entry_warn(v, o, problems);
        return 0;
    case OBJECT_SIDECAR:
        sidecar_warn(v, o, problems);
        return 0;
    case OBJECT_WORKLOAD_ENTRY:
        machine_warn(v, o, problems);
        return 0;
    case OBJECT_BACKEND_TLS_POLICY:
        backend_tls_warn(v, o, problems);
        return 0;
    case OBJECT_WORKLOAD_GROUP:
        group_warn(o, problems);
        return 0;
    default:
        return 0; /* it only counts for others */
    }
}

int translate_common(const struct view *v, struct resources *all, struct problems *problems)
{
    struct view_range peers = view_all(v, OBJECT_PEER_AUTHENTICATION);
    struct policy *p = NULL;
    int r = sidecar_common(v, all);
    if (r < 0 || peers.n == 0)
        return r;
    r = peer_static_policy(v, &p);
    return r < 0 ? r : add_policy(all, p, peers.items[0], problems);
}

int translate(const struct object_store *s, const struct translate_settings *settings,
              struct resources *ret, struct problems *problems)
{
    struct view v;
    struct resources all = {0};
    int r = view_open(&v, s, settings);
    if (r < 0)
        return r;
    for (unsigned i = 0; i < TRANSLATED_KINDS && r == 0; i++) {
        struct view_range range = view_all(&v, translated_kinds[i]);
        for (size_t j = 0; j < range.n && r == 0; j++)
            r = translate_object(&v, range.items[j], &all, problems);
    }
    if (r == 0)
        r = translate_common(&v, &all, problems);
    view_close(&v);
    if (r < 0)
        resources_done(&all);
    else
        *ret = all;
    return r;
}
