/*
 * Any bytes as a file of manifests, as YAML and as JSON, and all the way to what is served: read,
 * translated, encoded, and decoded again as a node proxy does. What the controller sends must be
 * what a client accepts.
 * covers: controller/discovery/manifest.c controller/model/read.c
 * covers: controller/model/authorization_policy.c controller/model/pod.c
 * covers: controller/model/kube_service.c controller/translate/from_authorization.c
 * covers: controller/model/gateway_read.c controller/model/gateway_route.c
 * covers: controller/model/gateway_filter.c controller/translate/gateway_action.c
 * covers: controller/translate/gateway_match.c
 * covers: controller/model/traffic_read.c controller/model/virtual_service.c
 * covers: controller/model/virtual_action.c controller/model/destination_rule.c
 * covers: controller/translate/virtual_table.c
 * covers: controller/model/health_annotation.c
 */
#include "controller/discovery/manifest.h"
#include "controller/model/object_store.h"
#include "controller/translate/gateway_table.h"
#include "controller/translate/translate.h"
#include "controller/translate/virtual_table.h"
#include "shared/xds/routing.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct translate_settings settings = {
    .cluster_id = "Kubernetes",
    .network = "",
    .trust_domain = "cluster.local",
    .cluster_domain = "cluster.local",
    .root_namespace = "weir-system",
    .enrol_label = "weir.mesh/enrolled",
};

static void check(const struct resource *r)
{
    char why[XDS_WHY_MAX];
    struct workload *w = NULL;
    struct service *s = NULL;
    struct policy *p = NULL;
    struct api_listener l = {0};
    struct route_table *t = NULL;
    struct endpoints *e = NULL;
    struct cluster *c = NULL;
    int err = 0;
    switch (r->type) {
    case XDS_ADDRESS:
        err = xds_address_decode(r->body, r->body_len, &w, &s, why);
        break;
    case XDS_AUTHORIZATION:
        err = xds_policy_decode(r->body, r->body_len, &p, why);
        break;
    case XDS_LISTENER:
        err = xds_listener_decode(r->body, r->body_len, &l, why);
        break;
    case XDS_ROUTES:
        err = xds_routes_decode(r->body, r->body_len, &t, why);
        break;
    case XDS_ENDPOINTS:
        err = xds_endpoints_decode(r->body, r->body_len, &e, why);
        break;
    case XDS_CLUSTER:
        err = xds_cluster_decode(r->body, r->body_len, &c, why);
        break;
    default:
        break;
    }
    if (err < 0)
        abort();
    api_listener_done(&l);
    route_table_unref(t);
    endpoints_free(e);
    cluster_free(c);
    workload_free(w);
    service_free(s);
    policy_free(p);
}

/* What was read without a flaw is a table that is right. */
static void make_tables(const struct object_store *store)
{
    struct view v;
    struct problems problems;
    if (view_open(&v, store, &settings) < 0)
        return;
    problems_init(&problems);
    struct view_range services = view_all(&v, OBJECT_SERVICE);
    for (size_t i = 0; i < services.n; i++) {
        struct gateway_tables tables = {0};
        (void)gateway_tables(&v, services.items[i], &tables, &problems);
        (void)virtual_tables(&v, services.items[i], &tables, &problems);
        gateway_tables_done(&tables);
    }
    if (problems.n > 0)
        abort();
    problems_done(&problems);
    view_close(&v);
}

static void run(const char *file, struct text content)
{
    struct manifest m;
    struct problems problems;
    struct object_store store;
    struct resources resources;
    problems_init(&problems);
    if (manifest_read(file, content, &m, &problems) == 0) {
        object_store_init(&store);
        for (size_t i = 0; i < m.n_objects; i++)
            if (object_store_put(&store, m.objects[i]) < 0)
                abort();
        manifest_done(&m);
        if (translate(&store, &settings, &resources, &problems) == 0) {
            for (size_t i = 0; i < resources.n; i++)
                check(resources.items[i]);
            resources_done(&resources);
        }
        make_tables(&store);
        object_store_done(&store);
    }
    problems_done(&problems);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct text content = {(const char *)data, size};
    run("a.yaml", content);
    run("a.json", content);
    return 0;
}
