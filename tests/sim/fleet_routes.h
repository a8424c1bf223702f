/* Routes and clusters for the requests of a fleet (http_fleet.h). Services: s0 is called, s2 is near and orders, s3 is stock and legacy. */
#ifndef TESTS_SIM_FLEET_ROUTES_H
#define TESTS_SIM_FLEET_ROUTES_H
#include "tests/sim/http_fleet.h"
#include "tests/sim/sim_seed.h"
#include "tests/unit/shared/mesh/routes.h"

static inline enum http_version from_of(uint64_t seed)
{
    return seed % 2 ? HTTP_VERSION_1 : HTTP_VERSION_2;
}

static inline void begin(uint64_t seed, uint8_t app)
{
    fleet_begin(seed, from_of(seed), app);
    fleet.plain = true;
    for (unsigned i = 0; i < SERVERS; i++) {
        fleet.servers[i].pod->services |= 1u << (i < 2 ? 2 : 3);
        sim_pod_publish(fleet.servers[i].pod);
    }
    sim_service(&fleet.mesh, 2);
    sim_service(&fleet.mesh, 3);
    fleet_call(0);
}

static inline struct route_table *table(size_t n_routes)
{
    struct route_table *t = new_table(1);
    t->name = arena_text(&t->arena, TEXT("outbound|80||s0.shop"));
    SET_HOST(t, 0, "any", n_routes, "*");
    return t;
}

static inline void put(struct route_table *t)
{
    char why[WHY_MAX] = "";
    if (route_table_finish(t, why) < 0)
        fail_msg("%s", why);
    assert_int_equal(directory_put_routes(fleet.mesh.nodes[0].directory, t), 0);
}

static inline void *of_table(struct route_table *t, size_t n, size_t size)
{
    void *p = arena_zero(&t->arena, n, size);
    assert_non_null(p);
    return p;
}

/* Route i leads to s2 and s3, by these weights. */
static inline struct route_forward *forward(struct route_table *t, size_t i, uint32_t to_s2,
                                     uint32_t to_s3)
{
    struct route_action *a = &t->hosts[0].routes[i].action;
    *a = (struct route_action){.kind = ROUTE_FORWARD};
    a->forward.backends = of_table(t, 2, sizeof *a->forward.backends);
    a->forward.n_backends = 2;
    a->forward.no_cluster_status = 500;
    a->forward.backends[0] =
        (struct route_backend){.cluster = TEXT("outbound|80||s2.shop"), .weight = to_s2};
    a->forward.backends[1] =
        (struct route_backend){.cluster = TEXT("outbound|80||s3.shop"), .weight = to_s3};
    return &a->forward;
}

/* Of the requests with these seeds alone. */
static inline void of_seeds(struct route_table *t, size_t i, int64_t from, int64_t to)
{
    struct route_match *m = &t->hosts[0].routes[i].match;
    m->headers = of_table(t, 1, sizeof *m->headers);
    m->n_headers = 1;
    m->headers[0] = (struct header_match){
        .name = TEXT("x-seed"), .kind = HEADER_RANGE, .range_start = from, .range_end = to};
}

static inline void put_edit(struct route_table *t, struct header_edits *e, const char *name,
                     const char *value)
{
    e->put = of_table(t, 1, sizeof *e->put);
    e->n_put = 1;
    e->put[0] =
        (struct header_edit){.kind = HEADER_SET, .name = text_of(name), .value = text_of(value)};
}

static inline unsigned served_by(unsigned first, unsigned n)
{
    unsigned sum = 0;
    for (unsigned i = first; i < first + n; i++)
        sum += fleet.servers[i].n_served;
    return sum;
}

static inline struct retry_policy *retries(struct route_table *t, struct route_forward *f, uint32_t on,
                                    uint32_t n)
{
    struct retry_policy *p = of_table(t, 1, sizeof *p);
    *p = (struct retry_policy){.on = on, .retries_max = n, .avoid_tried = true, .choices_max = 5};
    f->retry = p;
    return p;
}

/* ---- Clusters. */

static inline struct cluster *cluster(const char *name, enum balance_kind kind)
{
    struct cluster *c = cluster_new(CLUSTER_BYTES_MAX);
    assert_non_null(c);
    c->name = arena_text(&c->arena, text_of(name));
    c->kind = CLUSTER_EDS;
    /* As the controller says of a port that is declared so. */
    c->protocol = fleet.server_version == HTTP_VERSION_2 ? UPSTREAM_HTTP2 : UPSTREAM_HTTP1;
    c->balance.kind = kind;
    return c;
}

static inline void put_cluster(struct cluster *c)
{
    char why[WHY_MAX] = "";
    if (cluster_finish(c, why) < 0)
        fail_msg("%s", why);
    assert_int_equal(directory_put_cluster(fleet.mesh.nodes[0].directory, c), 0);
}

/* Of these servers (bits); zone i of region "r" for server i, the zone as a label, too. */
static inline void put_endpoints(const char *name, unsigned servers)
{
    static const char *const zones[] = {"a", "b", "c", "d"};
    static struct label labels[SERVERS];
    struct endpoints *e = endpoints_new(ENDPOINTS_BYTES_MAX);
    char why[WHY_MAX] = "";
    assert_non_null(e);
    e->name = arena_text(&e->arena, text_of(name));
    e->groups = arena_zero(&e->arena, SERVERS, sizeof *e->groups);
    for (unsigned i = 0; i < SERVERS; i++) {
        const struct sim_pod *p = fleet.servers[i].pod;
        if (!(servers & 1u << i))
            continue;
        struct endpoint_group *g = &e->groups[e->n_groups++];
        *g = (struct endpoint_group){.region = TEXT("r"), .zone = text_of(zones[i]), .weight = 1, .n_endpoints = 1};
        g->endpoints = arena_zero(&e->arena, 1, sizeof *g->endpoints);
        labels[i] = (struct label){TEXT("zone"), text_of(zones[i])};
        *g->endpoints = (struct endpoint){.labels = &labels[i],
                                          .n_labels = 1,
                                          .addr = sim_pod_addr(p, PORT, false),
                                          .hostname = arena_text(&e->arena, text_of(p->name)),
                                          .weight = 1,
                                          .workload = arena_text(&e->arena, text_of(p->node ? p->uid : ""))};
    }
    if (endpoints_finish(e, why) < 0)
        fail_msg("%s", why);
    assert_int_equal(directory_put_endpoints(fleet.mesh.nodes[0].directory, e), 0);
}

/* ---- The Service that is called, as a cluster of one name. */

#define CALLED "outbound|80||s0.shop"
enum { ALL = 0xf };

static inline void put_called(struct cluster *c, unsigned servers)
{
    put_cluster(c);
    put_endpoints(CALLED, servers);
}

static inline struct route_forward *forward_called(struct route_table *t)
{
    struct route_forward *f = forward(t, 0, 1, 0);
    f->backends[0].cluster = TEXT(CALLED);
    f->n_backends = 1;
    return f;
}

static inline void with_retries(uint32_t on, uint64_t try_ms)
{
    struct route_table *t = table(1);
    retries(t, forward_called(t), on, 3)->per_try_timeout_ms = try_ms;
    put(t);
}

/* The client, of region "r". */
static inline void web_is_in_zone(const char *zone)
{
    struct directory *d = fleet.mesh.nodes[0].directory;
    struct workload moved = *directory_workload(d, text_of(fleet.web->uid));
    moved.locality = (struct locality){(char *)"r", (char *)zone, (char *)""};
    struct workload *there = workload_pack(&moved);
    assert_non_null(there);
    assert_int_equal(directory_put_workload(d, there), 0);
}

static inline void put_label(const struct sim_pod *pod, const char *name, const char *value)
{
    struct directory *d = fleet.mesh.nodes[0].directory;
    struct label label = {text_of(name), text_of(value)};
    struct workload labelled = *directory_workload(d, text_of(pod->uid));
    labelled.labels = &label;
    labelled.n_labels = 1;
    struct workload *there = workload_pack(&labelled);
    assert_non_null(there);
    assert_int_equal(directory_put_workload(d, there), 0);
}
#endif
