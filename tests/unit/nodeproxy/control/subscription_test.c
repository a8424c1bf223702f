/* What the controller says of routes, as far as the directory, and what people see of it. */
#include "nodeproxy/control/subscription.h"

#include "nodeproxy/control/routes_dump.h"
#include "shared/xds/routing.h"
#include "tests/unit/shared/base/failing_alloc.h"
#include "tests/unit/shared/mesh/routes.h"

#include <errno.h>

#define CART "outbound|80||cart.shop.svc.cluster.local"

static struct subscription subscription;

static int set_up(void **state)
{
    const struct xds_feed_options options = {.node_id = "n", .types = XDS_MESH_AND_ROUTES};
    (void)state;
    directory_thread_register();
    subscription = (struct subscription){0};
    subscription_init(&subscription, &options);
    return directory_new(&subscription.directory);
}

static int tear_down(void **state)
{
    (void)state;
    directory_free(subscription.directory);
    xds_client_done(&subscription.feed.xds);
    directory_thread_unregister();
    return 0;
}

/* A table with one route, whose answer is this status. */
static struct xds_bytes encoded(const char *name, uint16_t status)
{
    struct xds_bytes bytes;
    struct route_table *t = new_table(1);
    struct virtual_host *h = SET_HOST(t, 0, "all", 1, "*");
    t->name = text_of(name);
    h->routes[0].name = TEXT("r");
    h->routes[0].action.respond.status = status;
    h->routes[0].match.path = (struct path_match){.kind = PATH_PREFIX, .value = TEXT("/")};
    assert_int_equal(xds_routes_encode(t, &bytes), 0);
    route_table_unref(t);
    return bytes;
}

static int put_bytes(const char *name, const struct xds_bytes *b, char why[static XDS_WHY_MAX])
{
    why[0] = '\0';
    return subscription.feed.events->put(&subscription.feed, XDS_ROUTES, text_of(name), b->data,
                                         b->len, why);
}

static int put(const char *name, const char *named, uint16_t status, char why[static XDS_WHY_MAX])
{
    struct xds_bytes b = encoded(named, status);
    int r = put_bytes(name, &b, why);
    xds_bytes_done(&b);
    return r;
}

/* 0: there is none. */
static unsigned status_of(const char *name)
{
    struct route_table *t = directory_routes(subscription.directory, text_of(name));
    unsigned status = t ? t->hosts[0].routes[0].action.respond.status : 0;
    route_table_unref(t);
    return status;
}

static void let_go(void)
{
    directory_thread_offline();
    directory_thread_online();
}

static void tables_come_and_go(void **state)
{
    char why[XDS_WHY_MAX];
    (void)state;
    assert_int_equal(put(CART, CART, 201, why), 0);
    assert_int_equal(put(CART "@bank", CART "@bank", 202, why), 0);
    assert_int_equal(status_of(CART), 201);
    assert_int_equal(status_of(CART "@bank"), 202);
    assert_int_equal(put(CART, CART, 203, why), 0);
    assert_int_equal(status_of(CART), 203);
    subscription.feed.events->removed(&subscription.feed, XDS_ROUTES, TEXT(CART));
    assert_int_equal(status_of(CART), 0);
    assert_int_equal(status_of(CART "@bank"), 202);
}

/* Why is what the controller reads in the NACK; what was there stays. */
static void a_bad_one_is_refused(void **state)
{
    /* name: CART; virtual_hosts[0]: name "v", domains "*", routes[0] without anything. */
    static const uint8_t bad[] = "\x0a\x28" CART "\x12\x08\x0a\x01v\x12\x01*\x1a\x00";
    const struct xds_bytes b = {(uint8_t *)bad, sizeof bad - 1};
    char why[XDS_WHY_MAX];
    (void)state;
    _Static_assert(sizeof CART - 1 == 0x28, "the length in the bytes above");
    assert_int_equal(put(CART, CART, 201, why), 0);
    assert_int_equal(put_bytes(CART, &b, why), -EINVAL);
    if (strncmp(why, "virtual_hosts[0].routes[0]", 26) != 0)
        fail_msg("%s", why);
    assert_int_equal(status_of(CART), 201);
    assert_int_equal(put(CART, "another", 202, why), -EINVAL);
    assert_string_equal(why, "name: the resource is called " CART " and says that it is another");
    assert_int_equal(status_of(CART), 201);
    assert_int_equal(status_of("another"), 0);
}

static int put_one_cluster(const char *name, const char *named, bool bad)
{
    struct xds_bytes bytes;
    char why[XDS_WHY_MAX] = "";
    struct cluster *c = cluster_new(65536);
    assert_non_null(c);
    c->name = text_of(named);
    c->kind = CLUSTER_EDS;
    c->connect_timeout_ms = 7;
    assert_int_equal(cluster_finish(c, why), 0);
    assert_int_equal(xds_cluster_encode(c, &bytes), 0);
    cluster_free(c);
    int r = subscription.feed.events->put(&subscription.feed, XDS_CLUSTER, text_of(name), bytes.data, bad ? bytes.len - 1 : bytes.len, why);
    xds_bytes_done(&bytes);
    return r;
}

/* What it is said to be, by its time to connect; 0: there is none; 1: it is closed. */
static uint64_t cluster_is(const char *name)
{
    struct cluster *c = directory_cluster(subscription.directory, text_of(name));
    uint64_t is = !c ? 0 : c->tls.kind == TLS_UNKNOWN ? 1 : c->connect_timeout_ms;
    cluster_unref(c);
    return is;
}

/* Nobody knows whether it asks for TLS; until somebody says so, or takes it away. */
static void a_cluster_of_which_nothing_is_known_is_closed(void **state)
{
    (void)state;
    assert_int_equal(put_one_cluster("a", "a", true), -EINVAL);
    assert_int_equal(cluster_is("a"), 1);
    assert_int_equal(put_one_cluster("b", "another", false), -EINVAL);
    assert_int_equal(cluster_is("b"), 1);
    assert_int_equal(cluster_is("another"), 0);
    assert_int_equal(put_one_cluster("a", "a", true), -EINVAL);
    assert_int_equal(put_one_cluster("a", "a", false), 0);
    assert_int_equal(cluster_is("a"), 7);
    assert_int_equal(put_one_cluster("a", "a", true), -EINVAL);
    assert_int_equal(cluster_is("a"), 7); /* the last good one */
    subscription.feed.events->removed(&subscription.feed, XDS_CLUSTER, TEXT("b"));
    assert_int_equal(cluster_is("b"), 0);
}

/* Labels are of use at the workload's own node alone. */
static void labels_of_this_node(void **state)
{
    static const struct label app = {TEXT("app"), TEXT("web")};
    static const char *const nodes[] = {"a", "b"};
    char why[XDS_WHY_MAX] = "";
    (void)state;
    subscription.node = TEXT("a");
    for (size_t i = 0; i < 2; i++) {
        struct xds_bytes bytes;
        struct workload *w = workload_new();
        assert_non_null(w);
        assert_int_equal(workload_set(&w->uid, text_of(nodes[i])) | workload_set(&w->node, text_of(nodes[i])) |
                             workload_set_labels(w, &app, 1), 0);
        assert_int_equal(xds_workload_encode(w, &bytes), 0);
        workload_free(w);
        assert_int_equal(subscription.feed.events->put(&subscription.feed, XDS_ADDRESS, text_of(nodes[i]), bytes.data, bytes.len, why), 0);
        xds_bytes_done(&bytes);
        const struct workload *known = directory_workload(subscription.directory, text_of(nodes[i]));
        assert_non_null(known);
        assert_int_equal(known->n_labels, i == 0);
        assert_true(labels_include(known->labels, known->n_labels, &app, i == 0));
    }
}

/* Clusters and endpoints come the same way, and by their own names. */
static void clusters_come_and_go(void **state)
{
    struct directory *d = subscription.directory;
    struct xds_bytes c_bytes, e_bytes;
    char why[XDS_WHY_MAX] = "";
    struct cluster *c = cluster_new(CLUSTER_BYTES_MAX);
    struct endpoints *e = endpoints_new(ENDPOINTS_BYTES_MAX);
    (void)state;
    c->name = e->name = TEXT(CART);
    c->connect_timeout_ms = 1234;
    assert_int_equal(xds_cluster_encode(c, &c_bytes), 0);
    assert_int_equal(xds_endpoints_encode(e, &e_bytes), 0);
    cluster_free(c);
    endpoints_free(e);
    const struct xds_feed_events *events = subscription.feed.events;
    uint64_t version = directory_cluster_version(d);
    assert_int_equal(events->put(&subscription.feed, XDS_CLUSTER, TEXT(CART), c_bytes.data, c_bytes.len, why), 0);
    assert_int_equal(events->put(&subscription.feed, XDS_ENDPOINTS, TEXT(CART), e_bytes.data, e_bytes.len, why), 0);
    assert_int_equal(directory_cluster_version(d), version + 2);
    assert_int_equal(events->put(&subscription.feed, XDS_CLUSTER, TEXT("x"), c_bytes.data, c_bytes.len, why), -EINVAL);
    assert_string_equal(why, "name: the resource is called x and says that it is " CART);
    assert_int_equal(events->put(&subscription.feed, XDS_ENDPOINTS, TEXT("x"), e_bytes.data, e_bytes.len, why), -EINVAL);
    assert_int_equal(events->put(&subscription.feed, XDS_CLUSTER, TEXT(CART), (const uint8_t *)"\x0a", 1, why), -EINVAL);
    c = directory_cluster(d, TEXT(CART));
    e = directory_endpoints_of(d, TEXT(CART));
    assert_non_null(c);
    assert_non_null(e);
    assert_int_equal(cluster_is("x"), 1);
    assert_null(directory_endpoints_of(d, TEXT("x")));
    events->removed(&subscription.feed, XDS_CLUSTER, TEXT(CART));
    assert_null(directory_cluster(d, TEXT(CART)));
    events->removed(&subscription.feed, XDS_ENDPOINTS, TEXT(CART));
    assert_null(directory_endpoints_of(d, TEXT(CART)));
    assert_int_equal(directory_cluster_version(d), version + 5);
    let_go();
    assert_int_equal(c->connect_timeout_ms, 1234); /* who holds one keeps it */
    cluster_unref(c);
    endpoints_unref(e);
    xds_bytes_done(&c_bytes);
    xds_bytes_done(&e_bytes);
}

static void no_memory(void **state)
{
    char why[XDS_WHY_MAX];
    bool failed = true;
    long points = 0;
    (void)state;
    assert_int_equal(put(CART, CART, 201, why), 0);
    struct xds_bytes again = encoded(CART, 202), new = encoded("new", 203);
    for (; failed; points++) {
        alloc_fail_at(points);
        int r = put_bytes(CART, &again, why);
        bool here = alloc_failed();
        assert_int_equal(r, here ? -ENOMEM : 0);
        assert_int_equal(status_of(CART), here ? 201 : 202);
        assert_true(!here || strstr(why, "out of memory"));
        assert_int_equal(put(CART, CART, 201, why), 0);
        alloc_fail_at(points);
        r = put_bytes("new", &new, why);
        failed = alloc_failed();
        assert_int_equal(r, failed ? -ENOMEM : 0);
        assert_int_equal(status_of("new"), failed ? 0 : 203);
        let_go();
    }
    assert_true(points > 5);
    xds_bytes_done(&again);
    xds_bytes_done(&new);
}

/* Of what the routes ask for, and of what they do, in words. */
static void what_people_see(void **state)
{
    struct text_heap out;
    struct json_out o;
    char why[WHY_MAX];
    (void)state;
    struct route_table *t = new_table(1);
    struct virtual_host *h = SET_HOST(t, 0, "all", 3, "*");
    struct header_match headers[] = {
        {.name = TEXT(":method"), .text = {.value = TEXT("GET")}},
        {.name = TEXT("x-user"), .text = {.kind = TEXT_REGEX, .value = TEXT("j.*")}},
        {.name = TEXT("x-no"), .kind = HEADER_PRESENT, .invert = true}};
    struct query_match query = {.name = TEXT("q"), .text = {.value = TEXT("1")}};
    struct route_backend backends[] = {{.cluster = TEXT("a"), .weight = 3},
                                       {.cluster = TEXT("b"), .weight = 1}};
    t->name = TEXT(CART "@bank");
    h->routes[0] = (struct route){
        .name = TEXT("bank/split/0"),
        .match = {.path = {.kind = PATH_SEPARATED, .value = TEXT("/a")},
                  .headers = headers,
                  .n_headers = 3,
                  .queries = &query,
                  .n_queries = 1},
        .action = {.kind = ROUTE_FORWARD,
                   .forward = {.backends = backends, .n_backends = 2, .no_cluster_status = 500}}};
    h->routes[1].match.path = (struct path_match){.kind = PATH_EXACT, .value = TEXT("/b")};
    h->routes[1].action = (struct route_action){.kind = ROUTE_REDIRECT,
                                                .redirect = {.host = TEXT("x"), .status = 302}};
    h->routes[2].match.path = (struct path_match){.kind = PATH_PREFIX, .value = TEXT("/")};
    h->routes[2].action.respond.status = 500;
    int r = route_table_finish(t, why);
    if (r < 0)
        fail_msg("%s", why);
    assert_int_equal(directory_put_routes(subscription.directory, t), 0);
    text_heap_init(&out, 65536);
    json_out_init(&o, &out, false);
    json_out_object(&o, NULL);
    routes_dump(subscription.directory, &o);
    json_out_end(&o);
    assert_string_equal(
        out.data,
        "{\"routes\":[{\"name\":\"" CART "@bank\",\"namespace\":\"shop\",\"clients\":\"bank\","
        "\"virtualHosts\":[{\"name\":\"all\",\"domains\":[\"*\"],\"routes\":["
        "{\"name\":\"bank/split/0\",\"match\":\"in /a :method=GET x-user~j.* !x-no ?q=1\","
        "\"action\":\"a (3), b (1)\"},"
        "{\"name\":\"\",\"match\":\"/b\",\"action\":\"redirect 302\"},"
        "{\"name\":\"\",\"match\":\"begins with /\",\"action\":\"answer 500\"}]}]}]}");
    text_heap_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(tables_come_and_go, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_bad_one_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_cluster_of_which_nothing_is_known_is_closed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(labels_of_this_node, set_up, tear_down),
        cmocka_unit_test_setup_teardown(clusters_come_and_go, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_people_see, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
