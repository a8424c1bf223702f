#include "controller/discovery/kube_discovery.h"
#include "shared/base/log.h"
#include <errno.h>
#include <stdio.h>

enum { AGAIN_MIN_MS = 1000, DEADLINE_MS = 15000 };

static const struct kube_api apis[OBJECT_KIND_COUNT] = {
    [OBJECT_NAMESPACE] = {"", "namespaces", {"v1"}, NULL},
    [OBJECT_NODE] = {"", "nodes", {"v1"}, NULL},
    [OBJECT_POD] = {"", "pods", {"v1"}, NULL},
    [OBJECT_SERVICE] = {"", "services", {"v1"}, NULL},
    [OBJECT_SERVICE_ACCOUNT] = {"", "serviceaccounts", {"v1"}, NULL},
    [OBJECT_ENDPOINT_SLICE] = {"discovery.k8s.io", "endpointslices", {"v1", "v1beta1"}, NULL},
    [OBJECT_AUTHORIZATION_POLICY] = {"security.istio.io",
                                     "authorizationpolicies",
                                     {"v1", "v1beta1"},
                                     NULL},
    [OBJECT_PEER_AUTHENTICATION] = {"security.istio.io",
                                    "peerauthentications",
                                    {"v1", "v1beta1"},
                                    NULL},
    [OBJECT_HTTP_ROUTE] = {GATEWAY_GROUP, "httproutes", {"v1", "v1beta1", "v1alpha2"}, NULL},
    [OBJECT_GRPC_ROUTE] = {GATEWAY_GROUP, "grpcroutes", {"v1", "v1alpha2"}, NULL},
    [OBJECT_TCP_ROUTE] = {GATEWAY_GROUP, "tcproutes", {"v1", "v1alpha2"}, NULL},
    [OBJECT_TLS_ROUTE] = {GATEWAY_GROUP, "tlsroutes", {"v1", "v1alpha3", "v1alpha2"}, NULL},
    [OBJECT_INGRESS] = {GATEWAY_GROUP, "gateways", {"v1", "v1beta1"}, NULL},
    [OBJECT_INGRESS_CLASS] = {GATEWAY_GROUP, "gatewayclasses", {"v1", "v1beta1"}, NULL},
    [OBJECT_MESH] = {MESH_GROUP, "xmeshes", {"v1alpha1"}, NULL},
    [OBJECT_SECRET] = {"", "secrets", {NULL}, NULL}, /* each by its name: kube_secrets.h */
    [OBJECT_REFERENCE_GRANT] = {GATEWAY_GROUP,
                                "referencegrants",
                                {"v1", "v1beta1", "v1alpha2"},
                                NULL},
    [OBJECT_BACKEND_TLS_POLICY] = {GATEWAY_GROUP, "backendtlspolicies", {"v1", "v1alpha3"}, NULL},
    [OBJECT_CONFIG_MAP] = {"", "configmaps", {NULL}, NULL}, /* as Secrets */
    [OBJECT_VIRTUAL_SERVICE] = {NETWORKING_GROUP,
                                "virtualservices",
                                {"v1", "v1beta1", "v1alpha3"},
                                NULL},
    [OBJECT_DESTINATION_RULE] = {NETWORKING_GROUP,
                                 "destinationrules",
                                 {"v1", "v1beta1", "v1alpha3"},
                                 NULL},
    [OBJECT_SERVICE_ENTRY] = {NETWORKING_GROUP,
                              "serviceentries",
                              {"v1", "v1beta1", "v1alpha3"},
                              NULL},
    [OBJECT_SIDECAR] = {NETWORKING_GROUP, "sidecars", {"v1", "v1beta1", "v1alpha3"}, NULL},
    [OBJECT_WORKLOAD_ENTRY] = {NETWORKING_GROUP,
                               "workloadentries",
                               {"v1", "v1beta1", "v1alpha3"},
                               NULL},
    [OBJECT_WORKLOAD_GROUP] = {NETWORKING_GROUP,
                               "workloadgroups",
                               {"v1", "v1beta1", "v1alpha3"},
                               NULL},
};

void kube_api_path(const struct kube_api *a, struct text_out *out)
{
    if (a->group[0])
        text_printf(out, "/apis/%s/%s/%s", a->group, a->version, a->plural);
    else
        text_printf(out, "/api/%s/%s", a->version, a->plural);
}

static void plan(struct kube_discovery *d, uint64_t ms)
{
    d->asked_soon = false;
    timer_start(ring_timers(d->ring), &d->timer, ms);
}

static void round_failed(struct kube_discovery *d, const char *why)
{
    if (!d->failed)
        log_warn("kube", "the APIs of %s can't be listed: %s; it is tried again",
                 kube_client_server(d->client), why);
    d->failed = true;
    d->groups = json_free(d->groups);
    plan(d, rng_jitter(ring_rng(d->ring), d->again_ms, 30));
    d->again_ms = d->again_ms * 2 < KUBE_DISCOVERY_MS ? d->again_ms * 2 : KUBE_DISCOVERY_MS;
}

static void round_ends(struct kube_discovery *d)
{
    for (unsigned i = 0; i < OBJECT_KIND_COUNT; i++)
        d->apis[i].version = d->found[i];
    d->groups = json_free(d->groups);
    d->failed = false;
    d->again_ms = AGAIN_MIN_MS;
    plan(d, d->asked_soon ? KUBE_DISCOVERY_SOON_MS
                          : rng_jitter(ring_rng(d->ring), KUBE_DISCOVERY_MS, 10));
    d->round(d);
}

static bool has_version(const struct json *groups, const char *group, const char *version)
{
    json_for_each (g, json_member(groups, TEXT("groups"))) {
        if (!text_equal(json_text(json_member(g, TEXT("name"))), text_of(group)))
            continue;
        json_for_each (v, json_member(g, TEXT("versions")))
            if (text_equal(json_text(json_member(v, TEXT("version"))), text_of(version)))
                return true;
    }
    return false;
}

static void resources_came(struct kube_request *q);

static int ask(struct kube_discovery *d, const char *path, void (*done)(struct kube_request *q))
{
    const struct kube_call call = {.path = path, .deadline_ms = DEADLINE_MS};
    d->request = (struct kube_request){.done = done, .user = d};
    return kube_send(d->client, &d->request, &call);
}

/* Goes on to the next version that the server has, and asks whether it has the resource in it. */
static void go_on(struct kube_discovery *d)
{
    for (; d->api < OBJECT_KIND_COUNT; d->api++, d->version = 0) {
        const struct kube_api *a = &d->apis[d->api];
        if (!a->group[0])
            d->found[d->api] = a->versions[0];
        for (; !d->found[d->api] && d->version < KUBE_VERSIONS_MAX && a->versions[d->version];
             d->version++) {
            char path[160];
            if (!has_version(d->groups, a->group, a->versions[d->version]))
                continue;
            snprintf(path, sizeof path, "/apis/%s/%s", a->group, a->versions[d->version]);
            if (ask(d, path, resources_came) < 0)
                round_failed(d, strerror(ENOMEM));
            return;
        }
    }
    round_ends(d);
}

/* The answer as a tree; NULL: the round has failed. */
static struct json *read_answer(struct kube_discovery *d, const struct kube_request *q)
{
    struct json_error e = {0};
    struct json *tree = NULL;
    char why[160];
    if (q->error == 0 && q->status == 200 && json_parse(q->answer, NULL, &tree, &e) == 0)
        return tree;
    snprintf(why, sizeof why, "%s", q->error ? q->why : e.text);
    if (q->error == 0 && q->status != 200)
        snprintf(why, sizeof why, "status %u", q->status);
    round_failed(d, why);
    return NULL;
}

static void resources_came(struct kube_request *q)
{
    struct kube_discovery *d = q->user;
    const struct kube_api *a = &d->apis[d->api];
    struct json *tree = NULL;
    if (q->error < 0 || q->status != 404) { /* 404: it went between the two questions */
        tree = read_answer(d, q);
        if (!tree)
            return;
    }
    json_for_each (resource, json_member(tree, TEXT("resources")))
        if (text_equal(json_text(json_member(resource, TEXT("name"))), text_of(a->plural)))
            d->found[d->api] = a->versions[d->version];
    json_free(tree);
    d->version++;
    go_on(d);
}

static void groups_came(struct kube_request *q)
{
    struct kube_discovery *d = q->user;
    d->groups = read_answer(d, q);
    if (d->groups)
        go_on(d);
}

static void begin(struct timer *t)
{
    struct kube_discovery *d = container_of(t, struct kube_discovery, timer);
    d->api = d->version = 0;
    for (unsigned i = 0; i < OBJECT_KIND_COUNT; i++)
        d->found[i] = NULL;
    if (ask(d, "/apis", groups_came) < 0)
        round_failed(d, strerror(ENOMEM));
}

void kube_discovery_start(struct kube_discovery *d, struct kube_client *client, struct ring *ring,
                          void (*round)(struct kube_discovery *d))
{
    *d = (struct kube_discovery){
        .client = client, .ring = ring, .round = round, .again_ms = AGAIN_MIN_MS};
    memcpy(d->apis, apis, sizeof apis);
    timer_init(&d->timer, begin);
    timer_start(ring_timers(ring), &d->timer, 0);
}

void kube_discovery_soon(struct kube_discovery *d)
{
    if (d->asked_soon)
        return;
    if (!d->request.transfer)
        plan(d, KUBE_DISCOVERY_SOON_MS);
    d->asked_soon = true; /* else after the round that runs */
}

void kube_discovery_stop(struct kube_discovery *d)
{
    timer_stop(ring_timers(d->ring), &d->timer);
    kube_cancel(&d->request);
    d->groups = json_free(d->groups);
}
