/* What is expected at the ports of a Gateway's pod, in each order in which the controller may tell of them. */
#include "nodeproxy/path/gateway_stream.h"
#include "nodeproxy/path/inbound_requests.h"

#include "nodeproxy/path/local_pod.h"
#include "tests/unit/shared/mesh/nouns.h"
#include "tests/unit/shared/mesh/routes.h"

static struct directory *directory;
static struct config config;
static struct path_env env;

static int begin(void **state)
{
    (void)state;
    directory_thread_register();
    config = (struct config){.parse_http = true};
    if (directory_new(&directory) < 0)
        return -1;
    env = (struct path_env){.config = &config, .directory = directory};
    return 0;
}

static int end(void **state)
{
    (void)state;
    directory = directory_free(directory);
    directory_thread_unregister();
    return 0;
}

static void put_pod(const struct gateway_port *ports, size_t n)
{
    struct workload *w = workload_new();
    assert_non_null(w);
    put_text(&w->uid, heap_text("uid"));
    put_text(&w->ns, heap_text("shop"));
    put_text(&w->gateway, heap_text("edge"));
    w->gateway_ports = calloc(n + 1, sizeof *ports);
    assert_non_null(w->gateway_ports);
    for (; w->n_gateway_ports < n; w->n_gateway_ports++)
        w->gateway_ports[w->n_gateway_ports] = ports[w->n_gateway_ports];
    assert_int_equal(directory_put_workload(directory, w), 0);
}

static void put_table(const char *name)
{
    char why[WHY_MAX];
    struct route_table *t = new_table(1);
    struct virtual_host *h = SET_HOST(t, 0, "all", 1, "*");
    t->name = arena_text(&t->arena, text_of(name));
    h->routes[0].action.respond.status = 200;
    h->routes[0].match.path = (struct path_match){.kind = PATH_PREFIX, .value = TEXT("/")};
    assert_int_equal(route_table_finish(t, why), 0);
    assert_int_equal(directory_put_routes(directory, t), 0);
}

static struct requests_at listener(uint16_t port)
{
    return inbound_requests_expected(&env, directory_workload(directory, TEXT("uid")), port);
}

static enum requests_expected at(uint16_t port)
{
    return listener(port).expected;
}

static void a_listener_and_its_table(void **state)
{
    static const struct gateway_port both[] = {{80, false}, {443, true}};
    (void)state;
    put_pod(both, 2);
    assert_int_equal(at(443), REQUESTS_NOWHERE);
    put_table("gateway|443||shop/edge");
    assert_int_equal(at(443), REQUESTS_ONWARD);
    assert_true(listener(443).secured);
    assert_int_equal(at(80), REQUESTS_NOWHERE);
    assert_int_equal(at(8080), REQUESTS_NONE);
    config.parse_http = false;
    assert_int_equal(at(443), REQUESTS_NOWHERE);
}

/* That it was one of TLS nobody knows any more: its table is not served in the clear. */
static void a_table_without_its_listener(void **state)
{
    static const struct gateway_port both[] = {{80, false}, {443, true}};
    (void)state;
    put_pod(both, 2);
    put_table("gateway|443||shop/edge");
    put_pod(both, 1);
    assert_int_equal(at(443), REQUESTS_NONE);
}

/* Of a controller that does not say which ports they are. */
static void a_table_alone(void **state)
{
    (void)state;
    put_pod(NULL, 0);
    put_table("gateway|80||shop/edge");
    assert_int_equal(at(80), REQUESTS_ONWARD);
    assert_false(listener(80).secured);
}

/* Of bytes: each by a table of its own kind, and none that is for TLS where the port is in the clear. */
static void listeners_of_bytes(void **state)
{
    static const struct gateway_port both[] = {{80, false}, {443, true}};
    (void)state;
    put_pod(both, 2);
    put_table("gateway-tls|80||shop/edge");
    put_table("gateway-passthrough|80||shop/edge");
    put_table("gateway-tcp|443||shop/edge");
    assert_int_equal(at(80), REQUESTS_NOWHERE);
    assert_int_equal(at(443), REQUESTS_NOWHERE);
    put_table("gateway-tcp|80||shop/edge");
    assert_int_equal(at(80), BYTES_ONWARD);
    assert_false(listener(80).secured);
    put_table("gateway-passthrough|443||shop/edge");
    assert_int_equal(at(443), BYTES_ONWARD);
    assert_true(listener(443).secured);
    put_table("gateway|443||shop/edge");
    assert_int_equal(at(443), REQUESTS_ONWARD);
    assert_true(listener(443).may_stream);
    config.parse_http = false;
    assert_int_equal(at(443), BYTES_ONWARD);
    assert_int_equal(at(8080), REQUESTS_NONE);
}

/* The most precise host, as certificates are compared with it. */
static void how_precisely_tls_passes(void **state)
{
    static const struct gateway_port tls[] = {{443, true}};
    const struct workload *self;
    char why[WHY_MAX];
    (void)state;
    put_pod(tls, 1);
    self = directory_workload(directory, TEXT("uid"));
    assert_int_equal(gateway_stream_passes(&env, self, 443, TEXT("a.example")), 0);
    struct route_table *t = new_table(3);
    t->name = arena_text(&t->arena, TEXT("gateway-passthrough|443||shop/edge"));
    (void)SET_HOST(t, 0, "a", 0, "a.example");
    (void)SET_HOST(t, 1, "b", 0, "*.example");
    (void)SET_HOST(t, 2, "c", 0, "*");
    assert_int_equal(route_table_finish(t, why), 0);
    assert_int_equal(directory_put_routes(directory, t), 0);
    assert_true(gateway_stream_passes(&env, self, 443, TEXT("a.example")) == SIZE_MAX);
    assert_int_equal(gateway_stream_passes(&env, self, 443, TEXT("b.example")), 1 + strlen(".example"));
    assert_int_equal(gateway_stream_passes(&env, self, 443, TEXT("b.test")), 1);
    assert_int_equal(gateway_stream_passes(&env, self, 443, TEXT("")), 1);
    assert_int_equal(gateway_stream_passes(&env, self, 80, TEXT("a.example")), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_listener_and_its_table, begin, end),
        cmocka_unit_test_setup_teardown(a_table_without_its_listener, begin, end),
        cmocka_unit_test_setup_teardown(a_table_alone, begin, end),
        cmocka_unit_test_setup_teardown(listeners_of_bytes, begin, end),
        cmocka_unit_test_setup_teardown(how_precisely_tls_passes, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
