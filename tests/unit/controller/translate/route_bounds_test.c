/*
 * How many routes a Service may have: what is told is what a node can read, beside others in a message; what
 * is more is closed, and told as a problem.
 */
#include "controller/serve/interest.h"
#include "controller/translate/gateway_table.h"
#include "shared/base/text.h"
#include "shared/grpc/grpc.h"
#include "shared/xds/routing.h"
#include "tests/unit/controller/fixture.h"
#include <stdio.h>

enum { YAML_MAX = 16 * 1024 * 1024 };
#define SERVICE                                                                                    \
    "{apiVersion: v1, kind: Service, metadata: {name: s, namespace: n}, spec: {ports: [{port: "    \
    "80}]}}\n"

static void route_begins(struct text_heap *yaml, unsigned i)
{
    text_heap_printf(yaml,
                     "---\n{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: "
                     "{name: r%u, namespace: n}, spec: {parentRefs: [{group: '', kind: Service, "
                     "name: s}], rules: [",
                     i);
}

/* As a node reads the table of the Service; what is told of it. One that is closed has one route. */
static size_t routes_at_the_node(struct text_heap *yaml, size_t *ret_len, char told[static 512])
{
    struct object_store store;
    struct resources all = {0};
    struct problems problems;
    struct route_table *t = NULL;
    char why[XDS_WHY_MAX];
    assert_false(yaml->failed);
    object_store_init(&store);
    problems_init(&problems);
    fixture_load(&store, yaml->data);
    assert_int_equal(translate(&store, &fixture_settings, &all, &problems), 0);
    for (size_t i = 0; i < all.n; i++)
        if (all.items[i]->type == XDS_ROUTES && !all.items[i]->by_name_only) {
            assert_null(t);
            *ret_len = all.items[i]->body_len;
            assert_int_equal(xds_routes_decode(all.items[i]->body, *ret_len, &t, why), 0);
        }
    assert_non_null(t);
    assert_true(*ret_len + ANSWER_BYTES_MAX < GRPC_MESSAGE_MAX);
    snprintf(told, 512, "%s", problems.n ? problems.items[0].message : "");
    assert_true(problems.n <= 1);
    size_t n = t->hosts[0].n_routes;
    if (problems.n) {
        assert_int_equal(n, 1);
        assert_int_equal(t->hosts[0].routes[0].action.kind, ROUTE_RESPOND);
        assert_int_equal(t->hosts[0].routes[0].action.respond.status, 500);
        assert_true(text_equal(t->hosts[0].routes[0].match.path.value, TEXT("/")));
    }
    route_table_unref(t);
    resources_done(&all);
    problems_done(&problems);
    object_store_done(&store);
    text_heap_done(yaml);
    return n;
}

static void ten_thousand(void **state)
{
    enum { N = 10000, RULES = 16, MATCHES = 8 };
    struct text_heap yaml;
    size_t len;
    char told[512];
    (void)state;
    text_heap_init(&yaml, YAML_MAX);
    text_heap_puts(&yaml, SERVICE);
    for (unsigned i = 0; i < N; i++) {
        if (i % (RULES * MATCHES) == 0)
            route_begins(&yaml, i);
        if (i % MATCHES == 0)
            text_heap_puts(&yaml, "{backendRefs: [{name: s, port: 80}], matches: [");
        text_heap_printf(&yaml,
                         "{path: {type: Exact, value: /service-%u/part-%u}, headers: "
                         "[{name: x-version, value: v1}]}, ",
                         i, i % 7);
        if (i % MATCHES == MATCHES - 1 || i == N - 1)
            text_heap_puts(&yaml, "]}, ");
        if (i % (RULES * MATCHES) == RULES * MATCHES - 1 || i == N - 1)
            text_heap_puts(&yaml, "]}}\n");
    }
    assert_int_equal(routes_at_the_node(&yaml, &len, told), N);
    assert_string_equal(told, "");
}

/* An action is written once for each match, and these values take twice their bytes on the wire. */
static void what_is_doubled(void **state)
{
    enum { FITS = 54, TOO_MANY = 57, RULES = 2, VALUE_MAX = 4096 };
    static char value[VALUE_MAX + 1];
    (void)state;
    memset(value, '%', VALUE_MAX);
    for (unsigned n = FITS; n <= TOO_MANY; n += TOO_MANY - FITS) {
        struct text_heap yaml;
        size_t len;
        char told[512];
        text_heap_init(&yaml, YAML_MAX);
        text_heap_puts(&yaml, SERVICE);
        route_begins(&yaml, 0);
        for (unsigned rule = 0; rule < RULES; rule++) {
            text_heap_puts(&yaml, "{backendRefs: [{name: s, port: 80}], filters: [{type: "
                                  "RequestHeaderModifier, requestHeaderModifier: {set: [");
            for (unsigned i = 0; i < GATEWAY_TEXTS_MAX; i++)
                text_heap_printf(&yaml, "{name: x-%u, value: '%s'}, ", i, value);
            text_heap_puts(&yaml, "]}}], matches: [");
            for (unsigned i = 0; i < n; i++)
                text_heap_printf(&yaml, "{path: {value: /%u/%u}}, ", rule, i);
            text_heap_puts(&yaml, "]}, ");
        }
        text_heap_puts(&yaml, "]}}\n");
        assert_int_equal(routes_at_the_node(&yaml, &len, told), n == FITS ? RULES * n : 1);
        assert_true((n == FITS) == (len > XDS_ROUTES_BYTES_MAX / 10 * 9));
        assert_true((n == FITS) == (told[0] == '\0'));
    }
}

/* In memory the matches of a rule share its answer; on the wire each has its own. */
static void what_is_shared(void **state)
{
    enum { BODY = 64 * 1024, MATCHES = 64, FITS = 3, TOO_MANY = 4, FAR_TOO_MANY = 20 };
    static const unsigned rules[] = {FITS, TOO_MANY, FAR_TOO_MANY};
    static char body[BODY + 1];
    (void)state;
    memset(body, 'x', BODY);
    for (size_t k = 0; k < sizeof rules / sizeof *rules; k++) {
        struct text_heap yaml;
        size_t len;
        char told[512];
        text_heap_init(&yaml, YAML_MAX);
        text_heap_puts(&yaml, SERVICE
                       "---\n{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: "
                       "{name: v, namespace: n}, spec: {hosts: [s], http: [");
        for (unsigned rule = 0; rule < rules[k]; rule++) {
            text_heap_printf(&yaml, "{directResponse: {status: 200, body: {string: %s}}, match: [",
                             body);
            for (unsigned i = 0; i < MATCHES; i++)
                text_heap_printf(&yaml, "{uri: {exact: /%u/%u}}, ", rule, i);
            text_heap_puts(&yaml, "]}, ");
        }
        text_heap_puts(&yaml, "]}}\n");
        assert_int_equal(routes_at_the_node(&yaml, &len, told),
                         rules[k] == FITS ? FITS * MATCHES : 1);
        if (rules[k] != FITS)
            assert_string_equal(told, "its rules for port 80 of Service n/s can't be sent to the "
                                      "proxies, and all is refused there: they take more than 14 "
                                      "MiB when they are sent");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(ten_thousand),
                                       cmocka_unit_test(what_is_doubled),
                                       cmocka_unit_test(what_is_shared)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
