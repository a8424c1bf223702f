/*
 * A client and the ADS machine back to back in memory, and a catalog that is made of manifests.
 */
#ifndef TESTS_UNIT_CONTROLLER_SERVE_ADS_FIXTURE_H
#define TESTS_UNIT_CONTROLLER_SERVE_ADS_FIXTURE_H
#include "controller/serve/ads.h"
#include "shared/base/log.h"
#include "tests/unit/controller/fixture.h"

enum { CHUNKS = 8192 };

/* ---- A wire: two HTTP/2 sessions ------------------------------------------------------------ */

struct wire {
    struct chunk_pool pool;
    struct http2 *client, *server;
    struct ads *ads;
    bool cut_client;  /* the client reads nothing */
    bool routes_only; /* its streams are told of routes alone */
    const struct spiffe_id *sidecar;
    const char *gateway; /* they are a Gateway's pods', with this identity; NULL: a node proxy's */
};

static inline struct http2_stream *request(struct http2 *h, const struct http2_head *head,
                                           unsigned *ret_status)
{
    struct wire *w = http2_user(h);
    struct text path, bearer;
    if (grpc_request_check(head, &path, &bearer, ret_status) < 0)
        return NULL;
    return ads_accept(w->ads, &w->pool,
                      &(struct ads_caller){.path = path,
                                           .identity = w->gateway ? w->gateway : "spiffe://td/ns/a/sa/b",
                                           .from = {4, {10, 0, 0, 1}},
                                           .gateway_only = w->gateway != NULL,
                                           .routes_only = w->routes_only,
                                           .sidecar = w->sidecar});
}

static inline void ignore(struct http2 *h)
{
    (void)h;
}

static inline void ignore_goaway(struct http2 *h, uint32_t code)
{
    (void)h;
    (void)code;
}

static const struct http2_events wire_events = {
    .request = request, .want_flush = ignore, .goaway = ignore_goaway};

static inline void wire_open(struct wire *w, struct ads *ads)
{
    *w = (struct wire){.ads = ads};
    chunk_pool_init(&w->pool, CHUNKS, 16);
    assert_int_equal(http2_new(&w->client, &(struct http2_options){0}, &wire_events, w, &w->pool),
                     0);
    assert_int_equal(
        http2_new(&w->server, &(struct http2_options){.server = true}, &wire_events, w, &w->pool),
        0);
}

static inline bool wire_move(struct http2 *from, struct http2 *to)
{
    struct buf bytes = {0};
    if (!http2_wants_output(from))
        return false;
    assert_int_equal(http2_output(from, &bytes, SIZE_MAX), 0);
    bool any = bytes.len > 0;
    assert_int_equal(http2_input(to, &bytes), 0);
    buf_done(&bytes);
    return any;
}

static inline void wire_run(struct wire *w)
{
    bool any;
    do {
        any = wire_move(w->client, w->server);
        any = (!w->cut_client && wire_move(w->server, w->client)) || any;
    } while (any);
}

static inline void wire_close(struct wire *w)
{
    w->client = http2_free(w->client);
    w->server = http2_free(w->server);
    chunk_pool_done(&w->pool);
}

/* ---- The catalog, from manifests ------------------------------------------------------------ */

struct control {
    struct catalog catalog;
    struct ads ads;
};

static inline void control_open(struct control *c)
{
    catalog_init(&c->catalog);
    ads_init(&c->ads, &c->catalog);
}

/* Nobody is told of it yet. */
static inline size_t control_change(struct control *c, const char *yaml)
{
    struct object_store store;
    struct resources resources;
    struct problems problems;
    size_t changed;
    object_store_init(&store);
    problems_init(&problems);
    fixture_load(&store, yaml);
    assert_int_equal(translate(&store, &fixture_settings, &resources, &problems), 0);
    assert_int_equal(catalog_replace(&c->catalog, &resources, &changed), 0);
    problems_done(&problems);
    object_store_done(&store);
    return changed;
}

static inline size_t control_set(struct control *c, const char *yaml)
{
    size_t changed = control_change(c, yaml);
    ads_push(&c->ads, 0);
    return changed;
}

static inline void control_close(struct control *c)
{
    ads_done(&c->ads);
    assert_int_equal(c->ads.flight_bytes, 0);
    catalog_done(&c->catalog);
}

#define POD(name, ip, labels)                                                                      \
    "{apiVersion: v1, kind: Pod, metadata: {name: " name ", namespace: n, labels: {" labels        \
    "}}, status: {podIP: " ip "}}\n---\n"
#define SERVICE(name, ip)                                                                          \
    "{apiVersion: v1, kind: Service, metadata: {name: " name                                       \
    ", namespace: n}, spec: {clusterIP: " ip ", selector: {app: " name                             \
    "}, ports: [{port: 80}]}}\n---\n"
#define POLICY(name)                                                                               \
    "{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: {name: " name         \
    ", namespace: n}}\n---\n"
#define HTTP_ROUTE(name, ns, service, rule)                                                        \
    "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: " name           \
    ", namespace: " ns "}, spec: {parentRefs: [{group: '', kind: Service, name: " service          \
    ", namespace: n}], rules: [{" rule "}]}}\n---\n"
#define UID(name) "Kubernetes//Pod/n/" name
#define LIST(...) ((char *[]){__VA_ARGS__, NULL}) /* of names */
#endif
