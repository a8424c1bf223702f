/* Who is told of which listeners: sidecars of theirs and of those of all sidecars, everybody else of none of these. Both dialects,
 * the same story. */
#include "tests/unit/controller/serve/delta_client.h"
#include "tests/unit/controller/serve/sotw_client.h"
#include "tests/unit/shared/base/test.h"

#define FRONT "sidecar|n/front/web|virtualInbound"
#define OTHER "sidecar|n/other/web|virtualInbound"
#define EVERY "sidecar||10.96.0.1:80|web"
#define PLAIN "web:80"

static struct spiffe_id identity(const char *ns, const char *account)
{
    struct spiffe_id id;
    assert_int_equal(spiffe_id_make(TEXT("td"), text_of(ns), text_of(account), &id), 0);
    return id;
}

static void has_all(struct control *c)
{
    has(c, XDS_LISTENER, FRONT, "1");
    has(c, XDS_LISTENER, OTHER, "1");
    has(c, XDS_LISTENER, EVERY, "1");
    has(c, XDS_LISTENER, PLAIN, "1");
}

static void the_state_of_the_world(void **state)
{
    struct bench b;
    struct spiffe_id id = identity("n", "web");
    (void)state;
    bench_open(&b);
    has_all(&b.c);
    b.w.sidecar = &id;
    b.w.routes_only = true;
    consumer_done(&b.t);
    consumer_open(&b.t, &b.w);
    b.t.node_id = "sidecar~10.0.0.1~front.n~d";
    ask(&b, XDS_LISTENER, NONE);
    assert_string_equal(hear(&b, NONE), "listener: " FRONT "=1 " EVERY "=1");
    /* What others have is no news, whether it comes or goes. */
    has(&b.c, XDS_LISTENER, OTHER, "2");
    has(&b.c, XDS_LISTENER, PLAIN, "2");
    has_not(&b.c, XDS_LISTENER, OTHER);
    push(&b.c, &b.w);
    assert_string_equal(hear(&b, NONE), "");
    has(&b.c, XDS_LISTENER, EVERY, "2");
    has_not(&b.c, XDS_LISTENER, FRONT);
    push(&b.c, &b.w);
    assert_string_equal(hear(&b, NONE), "listener: " EVERY "=2");
    bench_close(&b);
}

static void the_state_of_the_world_by_name(void **state)
{
    struct bench b;
    struct spiffe_id id = identity("n", "web");
    char **names = LIST(FRONT, OTHER, PLAIN);
    (void)state;
    bench_open(&b);
    has_all(&b.c);
    /* Somebody who is no sidecar. */
    ask(&b, XDS_LISTENER, names);
    assert_string_equal(hear(&b, names), "listener: " PLAIN "=1");
    consumer_done(&b.t);
    b.w.sidecar = &id;
    consumer_open(&b.t, &b.w);
    b.t.node_id = "sidecar~10.0.0.1~front.n~d";
    ask(&b, XDS_LISTENER, names);
    assert_string_equal(hear(&b, names), "listener: " FRONT "=1");
    bench_close(&b);
}

static void delta(void **state)
{
    struct control c;
    struct wire w;
    struct talker t;
    struct spiffe_id id = identity("n", "web");
    (void)state;
    control_open(&c);
    has_all(&c);
    wire_open(&w, &c.ads);
    w.sidecar = &id;
    w.routes_only = true;
    talker_open(&t, &w);
    t.node_id = "sidecar~10.0.0.1~front.n~d";
    talker_ask(&t, XDS_LISTENER, NULL, NULL);
    assert_string_equal(talker_hear(&t), "other: +" FRONT " +" EVERY);
    /* By name, what is another one's is not there, whatever becomes of it. */
    talker_ask(&t, XDS_LISTENER, LIST(OTHER), NULL);
    assert_string_equal(talker_hear(&t), "other: -" OTHER);
    has(&c, XDS_LISTENER, OTHER, "2");
    talker_ask(&t, XDS_LISTENER, NULL, LIST(OTHER));
    talker_ask(&t, XDS_LISTENER, LIST(OTHER), NULL);
    assert_string_equal(talker_hear(&t), "other: -" OTHER);
    has(&c, XDS_LISTENER, PLAIN, "2");
    has_not(&c, XDS_LISTENER, OTHER);
    push(&c, &w);
    assert_string_equal(talker_hear(&t), "");
    has_not(&c, XDS_LISTENER, FRONT);
    push(&c, &w);
    assert_string_equal(talker_hear(&t), "other: -" FRONT);
    /* Everybody else. */
    talker_done(&t);
    w.sidecar = NULL;
    talker_open(&t, &w);
    talker_ask(&t, XDS_LISTENER, NULL, NULL);
    assert_string_equal(talker_hear(&t), "other: +" PLAIN);
    has(&c, XDS_LISTENER, FRONT, "3");
    has_not(&c, XDS_LISTENER, EVERY);
    push(&c, &w);
    assert_string_equal(talker_hear(&t), "");
    talker_done(&t);
    wire_close(&w);
    control_close(&c);
}

/* Whose pod it is, its certificate says. */
static void who_may_ask(void **state)
{
    static const struct {
        const char *ns, *account, *node_id;
        bool may;
    } cases[] = {
        {"n", "web", "sidecar~10.0.0.1~front.n~d", true},
        {"n", "web", "sidecar~10.0.0.1~other.n~d", true},
        {"n", "web", "sidecar~10.0.0.1~none.n~d", false},
        {"n", "bank", "sidecar~10.0.0.1~front.n~d", false},
        {"m", "web", "sidecar~10.0.0.1~front.n~d", false},
        {"m", "web", "sidecar~10.0.0.1~front.m~d", false},
        {"n", "web", "front", false},
        {"n", "web", "", false},
        {"n", "web", "sidecar~~~", false},
        {"n", "web", "sidecar~10.0.0.1~.n~d", false},
    };
    (void)state;
    for (size_t i = 0; i < 2 * sizeof cases / sizeof *cases; i++) {
        struct bench b;
        struct talker t;
        struct spiffe_id id = identity(cases[i / 2].ns, cases[i / 2].account);
        bench_open(&b);
        has_all(&b.c);
        b.w.sidecar = &id;
        consumer_done(&b.t);
        consumer_open(&b.t, &b.w);
        talker_open(&t, &b.w);
        b.t.node_id = t.node_id = cases[i / 2].node_id;
        if (i % 2)
            ask(&b, XDS_LISTENER, NONE);
        else
            talker_ask(&t, XDS_LISTENER, NULL, NULL);
        bool heard = (i % 2 ? b.t.n : t.n) > 0, closed = i % 2 ? b.t.closed : t.closed;
        if (heard != cases[i / 2].may || closed == heard)
            fail_msg("case %zu, dialect %zu", i / 2, i % 2);
        if (closed)
            assert_int_equal(i % 2 ? b.t.status : t.status, GRPC_PERMISSION_DENIED);
        talker_done(&t);
        bench_close(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_state_of_the_world),
        cmocka_unit_test(the_state_of_the_world_by_name),
        cmocka_unit_test(delta),
        cmocka_unit_test(who_may_ask),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
