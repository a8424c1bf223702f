/*
 * Many problems, many VirtualServices, many tables: one tenant's don't hide another's, and all of it together
 * has bounds.
 */
#include "controller/publish/object_status.h"
#include "controller/serve/dump.h"
#include "controller/serve/projection.h"
#include "controller/translate/gateway_table.h"
#include "shared/base/log.h"
#include "tests/unit/controller/fixture.h"
#include "tests/unit/shared/base/failing_alloc.h"
#include <stdio.h>
#include <time.h>

enum { YAML_MAX = 64 * 1024 * 1024, MANY = 10000, FILE_OBJECTS = 500 };
#define ISTIO(kind) "{apiVersion: networking.istio.io/v1, kind: " kind ", metadata: "
#define SERVICE(name)                                                                              \
    "{apiVersion: v1, kind: Service, metadata: {name: " name ", namespace: n}, spec: {ports: "     \
    "[{port: 80}]}}\n---\n"

struct world {
    struct object_store store;
    struct catalog catalog;
    struct projection projection;
    struct translate_settings settings;
};

static void world_open(struct world *w)
{
    *w = (struct world){.settings = fixture_settings};
    object_store_init(&w->store);
    catalog_init(&w->catalog);
    projection_init(&w->projection, &w->store, &w->catalog, &w->settings);
}

static void world_close(struct world *w)
{
    projection_done(&w->projection);
    catalog_done(&w->catalog);
    object_store_done(&w->store);
}

static void run(struct world *w)
{
    size_t changed;
    assert_int_equal(projection_run(&w->projection, &changed), 0);
}

static void load(struct world *w, struct text_heap *yaml)
{
    assert_false(yaml->failed);
    fixture_load(&w->store, yaml->data);
    text_heap_done(yaml);
}

static void judge(struct world *w, enum object_kind kind, const char *ns, const char *name,
                  struct condition *ret)
{
    const struct object_judged who = {kind, ns, name, 1, NULL};
    struct object_status s;
    const struct problem_index *told = projection_told(&w->projection);
    assert_non_null(told);
    assert_int_equal(object_status_judge(&who, told, &w->projection.view, &s), 0);
    *ret = s.condition;
    object_status_done(&s);
}

/* ---- Whose problems are told ---------------------------------------------------------------- */

static size_t told_of(const struct problems *all, const char *ns)
{
    char part[80];
    size_t n = 0;
    snprintf(part, sizeof part, " %s/", ns);
    for (size_t i = 0; i < all->n; i++)
        n += strstr(all->items[i].object, part) != NULL;
    return n;
}

static void a_noisy_namespace_hides_nobody(void **state)
{
    enum { NOISY = 2 * PROBLEMS_MAX };
    struct world w;
    struct text_heap yaml;
    struct condition c;
    (void)state;
    world_open(&w);
    text_heap_init(&yaml, YAML_MAX);
    for (unsigned i = 0; i < NOISY; i++)
        text_heap_printf(&yaml,
                         ISTIO("DestinationRule") "{name: d%u, namespace: noisy}, spec: {host: "
                                                  "'*'}}\n---\n",
                         i);
    text_heap_puts(&yaml, ISTIO("DestinationRule") "{name: bad, namespace: quiet}, spec: {host: "
                                                   "'*'}}\n---\n" ISTIO(
                                                       "DestinationRule") "{name: lost, namespace: "
                                                                          "quiet}, spec: {host: "
                                                                          "x}}\n");
    load(&w, &yaml);
    run(&w);
    judge(&w, OBJECT_DESTINATION_RULE, "quiet", "bad", &c);
    assert_false(c.accepted);
    assert_non_null(strstr(c.message, "is no precise name"));
    judge(&w, OBJECT_DESTINATION_RULE, "quiet", "lost", &c);
    assert_true(c.accepted);
    assert_string_equal(c.reason, "AppliedInPart");
    judge(&w, OBJECT_DESTINATION_RULE, "noisy", "d1999", &c);
    assert_false(c.accepted);
    /* And people see something of both. */
    assert_true(w.projection.problems.n <= PROBLEMS_MAX);
    assert_true(told_of(&w.projection.problems, "quiet") >= 1);
    assert_true(told_of(&w.projection.problems, "noisy") > PROBLEMS_MAX / 2);
    assert_int_equal(w.projection.problems.dropped,
                     NOISY + 2 - w.projection.problems.n);
    world_close(&w);
}

/* One object's many warnings leave room for what is wrong with it. */
static void warnings_hide_no_error(void **state)
{
    struct problems p;
    (void)state;
    problems_init(&p);
    for (unsigned i = 0; i < 2 * PROBLEMS_MAX; i++)
        problems_add(&p, PROBLEM_WARNING, "", 0, "Pod n/a", "", "%u", i);
    assert_int_equal(p.n, PROBLEMS_MAX - PROBLEMS_MAX / 4);
    problems_add(&p, PROBLEM_ERROR, "", 0, "Pod n/a", "", "wrong");
    assert_int_equal(p.n, PROBLEMS_MAX - PROBLEMS_MAX / 4 + 1);
    assert_false(problems_incomplete(&p));
    problems_done(&p);
}

/* What no list has is said by its number. */
static void what_is_not_listed_is_counted(void **state)
{
    struct problems some = {.dropped = 3}, others = {.dropped = 4};
    const struct problems *lists[] = {&some, &others};
    struct text_heap out;
    (void)state;
    text_heap_init(&out, 4096);
    dump_problems(lists, 2, &out);
    assert_false(out.failed);
    assert_non_null(strstr(out.data, "\"unlisted\": 7"));
    text_heap_done(&out);
}

static void shares(void **state)
{
    static const struct {
        const char *ns;
        unsigned has, gets;
    } cases[] = {{"a", 3, 3}, {"b", 40, 8}, {"c", 1, 1}, {"d", 9, 8}};
    struct problems all, some;
    struct problem_index x = {0};
    (void)state;
    problems_init(&all);
    problems_init(&some);
    some.max = 20;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (unsigned j = 0; j < cases[i].has; j++) {
            char object[32];
            snprintf(object, sizeof object, "Pod %s/p", cases[i].ns);
            problems_add(&all, PROBLEM_ERROR, "", 0, object, "", "%u", j);
        }
    assert_int_equal(problem_index_add(&x, &all), 0);
    problem_index_share(&x, &some);
    assert_int_equal(some.n, 20);
    assert_int_equal(some.dropped, 33);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(told_of(&some, cases[i].ns), cases[i].gets);
    for (bool failed = true; failed;) {
        static long at;
        problems_done(&some);
        alloc_fail_at(at++);
        problem_index_share(&x, &some);
        int err = problem_index_sort(&x);
        failed = alloc_failed();
        assert_int_equal(failed, err < 0 || problems_incomplete(&some));
    }
    assert_int_equal(problem_index_get(&x, "Pod b/p").n, 40);
    assert_string_equal(problem_index_get(&x, "Pod b/p").items[39]->message, "39");
    assert_int_equal(problem_index_get(&x, "Pod e/p").n, 0);
    problem_index_done(&x);
    problems_done(&some);
    problems_done(&all);
}

/* More namespaces than room: not one less is told than there is room for. */
static void shares_of_less_than_one(void **state)
{
    enum { NAMESPACES = 30, ROOM = 20 };
    struct problems all, some;
    struct problem_index x = {0};
    (void)state;
    problems_init(&all);
    problems_init(&some);
    some.max = ROOM;
    for (unsigned i = 0; i < 2 * NAMESPACES; i++) {
        char object[32];
        snprintf(object, sizeof object, "Pod n%u/p", i % NAMESPACES);
        problems_add(&all, PROBLEM_ERROR, "", 0, object, "", "%u", i);
    }
    assert_int_equal(problem_index_add(&x, &all), 0);
    problem_index_share(&x, &some);
    assert_int_equal(some.n, ROOM);
    assert_int_equal(some.dropped, 2 * NAMESPACES - ROOM);
    for (unsigned i = 0; i < NAMESPACES; i++) {
        char ns[16];
        snprintf(ns, sizeof ns, "n%u", i);
        assert_int_equal(told_of(&some, ns), i < ROOM);
    }
    problem_index_done(&x);
    problems_done(&some);
    problems_done(&all);
}

/* ---- Memory of all tables ------------------------------------------------------------------- */

static bool refuses(const struct world *w, const char *name)
{
    struct route_table *t;
    char why[XDS_WHY_MAX];
    const struct resource *r = catalog_get(&w->catalog, XDS_ROUTES, text_of(name));
    assert_non_null(r);
    assert_int_equal(xds_routes_decode(r->body, r->body_len, &t, why), 0);
    const struct route *first = &t->hosts[0].routes[0];
    bool all = first->action.kind == ROUTE_RESPOND && first->action.respond.status == 500;
    route_table_unref(t);
    return all;
}

#define BIG(name, hosts)                                                                           \
    ISTIO("VirtualService")                                                                        \
    "{name: " name ", namespace: n}, spec: {hosts: [" hosts "], http: [{directResponse: {status: " \
    "200, body: {string: %s}}}]}}\n---\n"

static void all_tables_have_a_bound(void **state)
{
    enum { BODY = 16 * 1024 };
    static char body[BODY + 1];
    struct world w;
    struct text_heap yaml;
    struct condition c;
    (void)state;
    world_open(&w);
    w.settings.tables_bytes_max = 3 * BODY;
    memset(body, 'x', BODY);
    text_heap_init(&yaml, YAML_MAX);
    text_heap_puts(&yaml, SERVICE("a") SERVICE("b") SERVICE("c"));
    text_heap_printf(&yaml, BIG("va", "a"), body);
    text_heap_printf(&yaml, BIG("vb", "b"), body);
    load(&w, &yaml);
    run(&w);
    assert_int_equal(w.projection.n_short, 0);
    text_heap_init(&yaml, YAML_MAX);
    text_heap_printf(&yaml, BIG("vc", "c"), body);
    load(&w, &yaml);
    run(&w);
    assert_true(refuses(&w, "outbound|80||c.n.svc.cluster.local"));
    assert_false(refuses(&w, "outbound|80||a.n.svc.cluster.local"));
    judge(&w, OBJECT_VIRTUAL_SERVICE, "n", "vc", &c);
    assert_false(c.accepted);
    assert_non_null(strstr(c.message, "with the tables of all Services they take more than 48 KiB"));
    judge(&w, OBJECT_VIRTUAL_SERVICE, "n", "va", &c);
    assert_true(c.accepted);
    assert_true(w.projection.tables_bytes <= 3 * BODY);
    /* As soon as there is room it is served. */
    (void)object_store_remove(&w.store, OBJECT_VIRTUAL_SERVICE, "n", "va");
    run(&w);
    assert_false(refuses(&w, "outbound|80||c.n.svc.cluster.local"));
    judge(&w, OBJECT_VIRTUAL_SERVICE, "n", "vc", &c);
    assert_true(c.accepted);
    /* One for all Services is a word about all of them, and said once of each. */
    text_heap_init(&yaml, YAML_MAX);
    text_heap_printf(&yaml, BIG("all", "'*'"), body);
    load(&w, &yaml);
    run(&w);
    assert_int_equal(w.projection.n_short, 1);
    judge(&w, OBJECT_VIRTUAL_SERVICE, "n", "all", &c);
    assert_false(c.accepted);
    assert_int_equal(w.projection.wholes, 1);
    world_close(&w);
}

/* What one gives back in the run in which another one took it is given to whom it was refused between the two. */
static void room_of_the_same_run_is_filled(void **state)
{
    enum { KIB = 1024 };
    static const struct {
        const char *name;
        size_t before, after;
    } services[] = {{"a", 1 * KIB, 21 * KIB}, {"b", 0, 20 * KIB}, {"c", 20 * KIB, 2 * KIB}};
    struct world w;
    (void)state;
    world_open(&w);
    w.settings.tables_bytes_max = 48 * KIB;
    for (unsigned round = 0; round < 2; round++) {
        static char body[32 * KIB];
        struct text_heap yaml;
        text_heap_init(&yaml, YAML_MAX);
        for (size_t i = 0; i < sizeof services / sizeof *services; i++) {
            const char *name = services[i].name;
            size_t len = round == 0 ? services[i].before : services[i].after;
            text_heap_printf(&yaml, SERVICE("%s"), name);
            if (len == 0)
                continue;
            memset(body, 'x', len);
            body[len] = '\0';
            text_heap_printf(&yaml, BIG("v%s", "%s"), name, name, body);
        }
        load(&w, &yaml);
        run(&w);
    }
    assert_int_equal(w.projection.wholes, 1);
    assert_int_equal(w.projection.n_short, 0);
    assert_false(refuses(&w, "outbound|80||b.n.svc.cluster.local"));
    world_close(&w);
}

/* ---- Cost ----------------------------------------------------------------------------------- */

/* What the first run takes of a processor. */
static double cost(const char *what, void (*put)(struct text_heap *yaml, unsigned i))
{
    struct world w;
    struct text_heap yaml;
    world_open(&w);
    for (unsigned i = 0; i < MANY; i++) {
        if (i % FILE_OBJECTS == 0)
            text_heap_init(&yaml, YAML_MAX);
        put(&yaml, i);
        if (i % FILE_OBJECTS == FILE_OBJECTS - 1)
            load(&w, &yaml);
    }
    clock_t begun = clock();
    run(&w);
    double s = (double)(clock() - begun) / CLOCKS_PER_SEC;
    print_message("%u VirtualServices %s: %.2f s\n", MANY, what, s);
    world_close(&w);
    return s;
}

static void put_one_host(struct text_heap *yaml, unsigned i)
{
    if (i == 0)
        text_heap_puts(yaml, SERVICE("s"));
    text_heap_printf(yaml,
                     ISTIO("VirtualService") "{name: v%u, namespace: n}, spec: {hosts: [s], http: "
                                             "[{redirect: {uri: /}}]}}\n---\n",
                     i);
}

static void put_namespaces(struct text_heap *yaml, unsigned i)
{
    if (i == 0)
        text_heap_puts(yaml, SERVICE("s"));
    text_heap_printf(yaml,
                     ISTIO("VirtualService") "{name: v, namespace: n%u}, spec: {hosts: "
                                             "[s.n.svc.cluster.local], exportTo: ['.'], http: "
                                             "[{redirect: {uri: /}}]}}\n---\n",
                     i);
}

static void put_hosts(struct text_heap *yaml, unsigned i)
{
    text_heap_printf(yaml,
                     "{apiVersion: v1, kind: Service, metadata: {name: s%u, namespace: n}, spec: "
                     "{ports: [{port: 80}]}}\n---\n" ISTIO(
                         "VirtualService") "{name: v%u, namespace: n}, spec: {hosts: [s%u], http: "
                                           "[{redirect: {uri: /}}]}}\n---\n",
                     i, i, i);
}

static void put_addresses(struct text_heap *yaml, unsigned i)
{
    text_heap_printf(yaml,
                     ISTIO("ServiceEntry") "{name: e%u, namespace: n}, spec: {hosts: [e%u.example], "
                                           "addresses: [192.0.2.1], resolution: STATIC, ports: "
                                           "[{number: 80, name: http}]}}\n---\n",
                     i, i);
}

static void ten_thousand_take_two_seconds(void **state)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    const double most = 20;
#else
    const double most = 2;
#endif
    (void)state;
    assert_true(cost("of one host", put_one_host) < most);
    assert_true(cost("for a namespace each", put_namespaces) < most);
    assert_true(cost("of a host each", put_hosts) < most);
    assert_true(cost("(entries, of one address)", put_addresses) < most);
}

int main(void)
{
    log_configure(LOG_ERROR, LOG_TEXT, 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_noisy_namespace_hides_nobody),
        cmocka_unit_test(warnings_hide_no_error),
        cmocka_unit_test(what_is_not_listed_is_counted),
        cmocka_unit_test(shares),
        cmocka_unit_test(shares_of_less_than_one),
        cmocka_unit_test(all_tables_have_a_bound),
        cmocka_unit_test(room_of_the_same_run_is_filled),
        cmocka_unit_test(ten_thousand_take_two_seconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
