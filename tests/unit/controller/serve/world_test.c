/* Each allocation of telling the state of the world fails in turn: a request that fails ends its
 * stream, so that it begins anew; what fails later is told all the same, once there is memory. */
#include "controller/serve/world.h"
#include "tests/unit/controller/serve/sotw_client.h"
#include "tests/unit/shared/base/failing_alloc.h"
#include "tests/unit/shared/base/test.h"
#include <errno.h>

enum { FAILURES_MAX = 1000 };

static int name_names(struct world *w, const struct control *c, char **names)
{
    struct sotw_request r = {.names = names};
    while (names[r.n_names])
        r.n_names++;
    return world_request(w, &c->catalog, &r);
}

/* At once, or else when it is asked again. */
static const char *answer(struct world *w, const struct control *c)
{
    static char text[256];
    struct text_out out = TEXT_OUT(text);
    struct world_answer a;
    int r = world_answer(w, &c->catalog, true, &a);
    if (r == -ENOMEM)
        r = world_answer(w, &c->catalog, true, &a);
    text[0] = '\0';
    assert_true(r >= 0);
    if (r == 0)
        return text;
    for (size_t i = 0; i < a.n; i++)
        text_printf(&out, "%s%.*s", i ? " " : "", (int)a.items[i]->body_len,
                    (char *)a.items[i]->body);
    world_told(w, &c->catalog, &a);
    world_answer_done(&a);
    return text;
}

static void requests_of(enum xds_type type)
{
    bool failed = true;
    long n = 0;
    struct control c;
    control_open(&c);
    has(&c, type, "a", "1");
    has(&c, type, "b", "1");
    for (; failed && n < FAILURES_MAX; n++) {
        char **first = LIST("a", "later"), **second = LIST("a", "b");
        struct world w;
        world_init(&w, type, INTEREST_NAMES_MAX);
        alloc_fail_at(n);
        int r = name_names(&w, &c, first);
        if (r == 0)
            r = name_names(&w, &c, second);
        if (r < 0) {
            assert_int_equal(r, -ENOMEM);
            world_done(&w);
            assert_int_equal(name_names(&w, &c, second), 0);
        }
        assert_string_equal(answer(&w, &c), "a=1 b=1");
        failed = alloc_failed();
        assert_int_equal(w.names.count, 2);
        assert_true(world_is_synced(&w, &c.catalog));
        world_done(&w);
    }
    assert_false(failed);
    assert_true(n > 5);
    control_close(&c);
}

static void requests(void **state)
{
    (void)state;
    requests_of(XDS_CLUSTER);
    requests_of(XDS_ENDPOINTS);
}

static void changes_of(enum xds_type type, const char *wanted)
{
    bool failed = true;
    long n = 0;
    for (; failed && n < FAILURES_MAX; n++) {
        struct control c;
        struct world w;
        control_open(&c);
        has(&c, type, "a", "1");
        has(&c, type, "b", "1");
        world_init(&w, type, INTEREST_NAMES_MAX);
        assert_int_equal(name_names(&w, &c, LIST("a", "b", "later")), 0);
        assert_string_equal(answer(&w, &c), "a=1 b=1");
        has(&c, type, "a", "2");
        has(&c, type, "later", "1");
        has_not(&c, type, "b");
        alloc_fail_at(n);
        assert_string_equal(answer(&w, &c), wanted);
        failed = alloc_failed();
        assert_true(world_is_synced(&w, &c.catalog));
        world_done(&w);
        control_close(&c);
    }
    assert_false(failed);
    assert_true(n > 1);
}

static void changes(void **state)
{
    (void)state;
    changes_of(XDS_CLUSTER, "a=2 later=1");
    changes_of(XDS_ENDPOINTS, "a=2 later=1");
}

/* With the encoding of responses. */
static void responses(void **state)
{
    bool failed = true;
    long n = 0;
    (void)state;
    for (; failed && n < FAILURES_MAX; n++) {
        struct bench b;
        bench_open(&b);
        has(&b.c, XDS_CLUSTER, "a", "1");
        has(&b.c, XDS_ENDPOINTS, "a", "1");
        ask(&b, XDS_CLUSTER, NONE);
        assert_string_equal(hear(&b, NONE), "cluster: a=1");
        ask(&b, XDS_ENDPOINTS, LIST("a"));
        assert_string_equal(hear(&b, LIST("a")), "endpoints: a=1");
        has(&b.c, XDS_CLUSTER, "b", "1");
        has(&b.c, XDS_ENDPOINTS, "a", "2");
        alloc_fail_at(n);
        ads_push(&b.c.ads, 0);
        failed = alloc_failed();
        ads_tick(&b.c.ads, 0);
        assert_string_equal(hear(&b, NONE), "cluster: a=1 b=1");
        assert_string_equal(hear(&b, LIST("a")), "endpoints: a=2");
        assert_string_equal(hear(&b, NONE), "");
        bench_close(&b);
    }
    assert_false(failed);
    assert_true(n > 3);
}

int main(void)
{
    log_configure(LOG_ERROR, LOG_TEXT, 0);
    const struct CMUnitTest tests[] = {cmocka_unit_test(requests), cmocka_unit_test(changes),
                                       cmocka_unit_test(responses)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
