/* What of the mesh a workload sees. */
#include "shared/mesh/directory.h"
#include "shared/mesh/egress.h"
#include "tests/unit/shared/base/test.h"
#include <stdio.h>
#include <stdlib.h>

enum { HOSTS_MAX = 4 };
struct seeing {
    const char *hosts[HOSTS_MAX]; /* of its Sidecar; all NULL: none */
    const char *service;          /* NAMESPACE/HOST */
    uint16_t port;
    bool seen;
};

static void what_a_sidecar_lets_see(void **state)
{
    static const struct seeing cases[] = {
        {{NULL}, "b/x.b", 80, true},
        {{"*/*"}, "b/x.b", 80, true},
        {{"a/*"}, "b/x.b", 80, false},
        {{"b/*"}, "b/x.b", 80, true},
        {{"bb/*"}, "b/x.b", 80, false},
        {{"~/*"}, "b/x.b", 80, false},
        {{"*/x.b"}, "b/x.b", 80, true},
        {{"*/y.b"}, "b/x.b", 80, false},
        {{"*/*.b"}, "b/x.b", 80, true},
        {{"*/*.b"}, "b/b", 80, false},
        {{"*/*.b"}, "b/xb", 80, false},
        {{"*/*.x.b"}, "b/x.b", 80, false},
        {{"a/*", "b/x.b"}, "b/x.b", 80, true},
        /* Where hosts are for the port alone, those say it. */
        {{"b/x.b:80"}, "b/x.b", 80, true},
        {{"b/x.b:80"}, "b/x.b", 81, false},
        {{"*/*", "b/y.b:80"}, "b/x.b", 80, false},
        {{"*/*", "b/y.b:80"}, "b/x.b", 81, true},
        {{"*/*", "b/y.b:80"}, "b/y.b", 80, true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct seeing *c = &cases[i];
        char *hosts[HOSTS_MAX], ns[] = "own", key[64];
        struct text service_ns, host;
        size_t n = 0;
        bool any_port = false;
        for (; n < HOSTS_MAX && c->hosts[n]; n++) {
            assert_null(egress_host_check(text_of(c->hosts[n])));
            hosts[n] = (char *)c->hosts[n];
        }
        assert_true(text_split(text_of(c->service), '/', &service_ns, &host));
        snprintf(key, sizeof key, "%.*s", (int)service_ns.len, service_ns.data);
        const struct workload w = {.ns = ns, .egress = hosts, .n_egress = n};
        const struct service s = {.ns = key, .hostname = (char *)host.data};
        if (egress_sees(&w, &s, c->port) != c->seen)
            fail_msg("case %zu: %s:%u", i, c->service, c->port);
        for (uint32_t port = 1; port <= UINT16_MAX && !any_port; port++)
            any_port = egress_sees(&w, &s, (uint16_t)port);
        assert_int_equal(egress_sees_name(&w, &s), any_port);
    }
}

static void who_is_told(void **state)
{
    char a[] = "a", b[] = "b", c[] = "c", host[] = "h.c", all[] = "*/*", none[] = "~/*";
    char *to[] = {a, b}, *sees_all[] = {all}, *sees_none[] = {none};
    const struct service s = {.ns = c, .hostname = host, .exported = to, .n_exported = 2};
    const struct service told = {.ns = c, .hostname = host};
    struct workload in_a = {.ns = a}, in_c = {.ns = c};
    (void)state;
    assert_true(service_is_told_to(&s, TEXT("a")));
    assert_true(service_is_told_to(&s, TEXT("b")));
    assert_false(service_is_told_to(&s, TEXT("c")));
    assert_true(service_is_told_to(&told, TEXT("c")));
    assert_true(egress_sees(&in_a, &s, 80));
    assert_false(egress_sees(&in_c, &s, 80));
    in_c.egress = sees_all;
    in_c.n_egress = 1;
    assert_false(egress_sees(&in_c, &s, 80));
    in_a.egress = sees_none;
    in_a.n_egress = 1;
    assert_false(egress_sees(&in_a, &s, 80));
    /* Who asks is not known: what is for all. */
    assert_false(egress_sees(NULL, &s, 80));
    assert_true(egress_sees(NULL, &told, 80));
}

/* told: to this namespace; NULL: to all. */
static void put_service(struct directory *d, const char *key, const char *told)
{
    struct service *s = service_new();
    assert_non_null(s);
    assert_int_equal(workload_set(&s->key, text_of(key)), 0);
    if (told) {
        s->exported = calloc(1, sizeof *s->exported);
        assert_non_null(s->exported);
        assert_non_null(s->exported[0] = text_dup(text_of(told)));
        s->n_exported = 1;
    }
    assert_int_equal(directory_put_service(d, s), 0);
}

static void workloads_by_their_addresses(void **state)
{
    char a[] = "a", b[] = "b", key[] = "c/x.c", all_b[] = "b/*", one_b[] = "b/x.b", x[] = "c/x.c";
    char none_80[] = "~/*:80", *of_port[] = {x, none_80};
    char other[] = "c/y.c", *of_other[] = {other};
    char *of_ns[] = {all_b}, *of_host[] = {one_b}, *of_service[] = {x};
    struct workload_service service = {.key = key};
    const struct workload to = {.ns = b, .services = &service, .n_services = 1};
    struct workload self = {.ns = a};
    struct directory *d;
    (void)state;
    assert_int_equal(directory_new(&d), 0);
    put_service(d, key, NULL);
    assert_true(egress_sees_workload(d, &self, &to, 80));
    assert_true(egress_sees_workload(d, NULL, &to, 80));
    self.n_egress = 1;
    self.egress = of_ns;
    assert_true(egress_sees_workload(d, &self, &to, 80));
    self.egress = of_host;
    assert_false(egress_sees_workload(d, &self, &to, 80));
    self.egress = of_other;
    assert_false(egress_sees_workload(d, &self, &to, 80));
    self.egress = of_service;
    assert_true(egress_sees_workload(d, &self, &to, 80));
    self.egress = of_port;
    self.n_egress = 2;
    assert_true(egress_sees_workload(d, &self, &to, 81));
    assert_false(egress_sees_workload(d, &self, &to, 80));
    /* By a Service that is told to others alone nobody is seen. */
    self.egress = of_service;
    self.n_egress = 1;
    put_service(d, key, "b");
    assert_false(egress_sees_workload(d, &self, &to, 80));
    put_service(d, key, "a");
    assert_true(egress_sees_workload(d, &self, &to, 80));
    assert_true(directory_remove_service(d, text_of(key)));
    assert_false(egress_sees_workload(d, &self, &to, 80));
    assert_null(directory_free(d));
}

static void hosts_that_are_none(void **state)
{
    static const char *const bad[] = {"",      "a",      "/",      "a/",      "/h",      "a/h:",
                                      "a/h:0", "a/h:65536", "a/h:x", "a/:80", "a/h:1:2", "a/h:000080"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (!egress_host_check(text_of(bad[i])))
            fail_msg("'%s'", bad[i]);
}

static int register_thread(void **state)
{
    (void)state;
    directory_thread_register();
    return 0;
}

static int unregister_thread(void **state)
{
    (void)state;
    directory_thread_unregister();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_sidecar_lets_see),
        cmocka_unit_test(who_is_told),
        cmocka_unit_test(workloads_by_their_addresses),
        cmocka_unit_test(hosts_that_are_none),
    };
    return cmocka_run_group_tests(tests, register_thread, unregister_thread);
}
