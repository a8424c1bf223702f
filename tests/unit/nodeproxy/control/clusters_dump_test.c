/* Clusters as JSON: what workers know of endpoints is put together, what workloads have in use is told. */
#include "nodeproxy/control/clusters_dump.h"
#include "tests/unit/shared/base/failing_alloc.h"
#include "tests/unit/shared/base/test.h"

#define CLUSTER "outbound|80||cart.shop.svc.cluster.local"

static struct endpoint items[] = {
    {.addr = {{4, {10, 0, 0, 1}}, 80}, .weight = 1, .health = HEALTH_HEALTHY, .workload = TEXT("u1")},
    {.addr = {{4, {10, 0, 0, 2}}, 80}, .weight = 2, .health = HEALTH_DRAINING}};
static struct endpoint_group groups[] = {
    {.region = TEXT("r"), .zone = TEXT("z"), .priority = 0, .endpoints = &items[0], .n_endpoints = 1},
    {.region = TEXT("r"), .sub_zone = TEXT("s"), .priority = 1, .endpoints = &items[1], .n_endpoints = 1}};

static struct cluster *new_cluster(void)
{
    char why[WHY_MAX];
    struct cluster *c = cluster_new(CLUSTER_BYTES_MAX);
    assert_non_null(c);
    c->name = TEXT(CLUSTER);
    c->kind = CLUSTER_EDS;
    c->balance.kind = BALANCE_RANDOM;
    assert_int_equal(cluster_finish(c, why), 0);
    return c;
}

static struct endpoints *new_endpoints(void)
{
    char why[WHY_MAX];
    struct endpoints *e = endpoints_new(ENDPOINTS_BYTES_MAX);
    assert_non_null(e);
    e->name = TEXT(CLUSTER);
    e->groups = groups;
    e->n_groups = 2;
    assert_int_equal(endpoints_finish(e, why), 0);
    return e;
}

/* One worker's cluster of one workload: the second endpoint has these requests, and may be left out. */
struct side {
    struct upstream_clusters all;
    struct upstream_cluster one;
};

static void side_open(struct side *s, struct cluster *c, struct endpoints *e, uint32_t active, bool ejected)
{
    struct balance_host *const *hosts;
    *s = (struct side){.one.cluster = c};
    map_init(&s->all.all, 10);
    assert_int_equal(balancer_new(&s->one.balancer, c, e, NULL, 0), 0);
    assert_int_equal(balancer_hosts(s->one.balancer, &hosts), 2);
    for (size_t i = 0; i < 2; i++)
        if (hosts[i]->addr.ip.bytes[3] == 2) {
            hosts[i]->active = active;
            hosts[i]->outlier.ejected = ejected;
        }
    assert_int_equal(map_put(&s->all.all, c->name, &s->one, NULL), 0);
}

static void side_close(struct side *s)
{
    balancer_free(s->one.balancer);
    map_done(&s->all.all, NULL);
}

static void dumps(const struct directory *d, struct bounds *b, const struct upstream_seen *seen, const char *wanted)
{
    struct text_heap out;
    struct json_out o;
    text_heap_init(&out, 1 << 16);
    json_out_init(&o, &out, false);
    json_out_object(&o, NULL);
    clusters_dump(d, b, seen, &o);
    json_out_end(&o);
    assert_false(out.failed);
    assert_string_equal(out.data, wanted);
    text_heap_done(&out);
}

#define HEAD                                                                                       \
    "{\"clusters\":[{\"name\":\"" CLUSTER "\",\"namespace\":\"shop\",\"balancing\":\"random\",\"outlierDetection\":false,"      \
    "\"limits\":{\"connections\":1024,\"pending\":1024,\"requests\":1024,\"retries\":3},\"endpoints\":["
#define FIRST(in_use)                                                                              \
    "{\"address\":\"10.0.0.1:80\",\"workload\":\"u1\",\"locality\":\"r/z\",\"priority\":0,\"weight\":1,\"health\":\"healthy\"," in_use "},"
#define SECOND(in_use)                                                                             \
    "{\"address\":\"10.0.0.2:80\",\"locality\":\"r//s\",\"priority\":1,\"weight\":2,\"health\":\"draining\"," in_use "}]}]"

static void all_that_is_known(void **state)
{
    struct directory *d;
    struct bounds *b;
    struct upstream_seen seen, other;
    struct side first, second;
    struct cluster *c = new_cluster();
    struct endpoints *e = new_endpoints();
    (void)state;
    directory_thread_register();
    assert_int_equal(directory_new(&d), 0);
    assert_int_equal(bounds_new(&b, &(struct bounds_max){0}), 0);
    struct pod_bounds *pod = bounds_pod(b, "uid", "shop", "web");
    upstream_seen_init(&seen);
    upstream_seen_init(&other);
    dumps(d, b, &seen, "{\"clusters\":[],\"clusterUse\":[]}");

    assert_int_equal(directory_put_cluster(d, cluster_ref(c)), 0);
    dumps(d, b, &seen,
          "{\"clusters\":[{\"name\":\"" CLUSTER "\",\"namespace\":\"shop\",\"balancing\":\"random\",\"outlierDetection\":false,"
          "\"limits\":{\"connections\":1024,\"pending\":1024,\"requests\":1024,\"retries\":3},\"endpoints\":[]}],\"clusterUse\":[]}");
    assert_int_equal(directory_put_endpoints(d, endpoints_ref(e)), 0);
    dumps(d, b, &seen,
          HEAD FIRST("\"requests\":0,\"users\":0,\"ejectedBy\":0") SECOND("\"requests\":0,\"users\":0,\"ejectedBy\":0") ",\"clusterUse\":[]}");

    side_open(&first, c, e, 3, true);
    side_open(&second, c, e, 4, false);
    upstream_seen_add(&seen, &first.all);
    upstream_seen_add(&other, &second.all);
    upstream_seen_merge(&seen, &other);
    assert_false(seen.failed);
    struct cluster_use *u = cluster_use_get(pod_bounds_clusters(pod), TEXT(CLUSTER));
    breaker_take_anyway(&u->breakers[BREAKER_DEFAULT], BREAKER_REQUESTS);
    breaker_take_anyway(&u->breakers[BREAKER_HIGH], BREAKER_REQUESTS);
    const struct breaker_limits none = {.max = {0}};
    assert_false(breaker_take(&u->breakers[BREAKER_HIGH], &none, BREAKER_PENDING));
    u->ejections = 5;
    u->ejected = 1;
    dumps(d, b, &seen,
          HEAD FIRST("\"requests\":0,\"users\":2,\"ejectedBy\":0") SECOND("\"requests\":7,\"users\":2,\"ejectedBy\":1")
              ",\"clusterUse\":[{\"workload\":\"shop/web\",\"cluster\":\"" CLUSTER "\",\"connections\":{\"used\":0,\"refused\":0},"
              "\"pending\":{\"used\":0,\"refused\":1},\"requests\":{\"used\":2,\"refused\":0},\"retries\":{\"used\":0,\"refused\":0},"
              "\"ejections\":5,\"ejected\":1}]}");
    cluster_use_unref(u);
    side_close(&first);
    side_close(&second);
    upstream_seen_done(&seen);
    upstream_seen_done(&other);
    pod_bounds_unref(pod);
    bounds_free(b);
    directory_free(d);
    directory_thread_unregister();
    endpoints_unref(e);
    cluster_unref(c);
}

static void no_memory_shows(void **state)
{
    bool failed = true;
    struct cluster *c = new_cluster();
    struct endpoints *e = new_endpoints();
    struct side side;
    (void)state;
    side_open(&side, c, e, 1, false);
    for (long n = 0; failed && n < 100; n++) {
        struct upstream_seen seen;
        upstream_seen_init(&seen);
        alloc_fail_at(n);
        upstream_seen_add(&seen, &side.all);
        failed = alloc_failed();
        assert_int_equal(seen.failed, failed);
        struct upstream_seen_endpoint at = upstream_seen_get(&seen, c->name, &items[1].addr);
        assert_true(failed || at.active == 1);
        upstream_seen_done(&seen);
    }
    assert_false(failed);
    side_close(&side);
    endpoints_unref(e);
    cluster_unref(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(all_that_is_known), cmocka_unit_test(no_memory_shows)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
