/* The ADS machine and a client that says each word itself: names on demand, nonces, other types,
 * the end. */
#include "tests/unit/controller/serve/delta_client.h"
#include <stdio.h>

static void on_demand(void **state)
{
    struct control c;
    struct wire w;
    struct talker t;
    (void)state;
    control_open(&c);
    control_set(&c, POD("a", "10.0.0.1", "app: web") POD("b", "10.0.0.2", "app: other")
                        SERVICE("web", "10.96.0.1"));
    wire_open(&w, &c.ads);
    talker_open(&t, &w);
    talker_ask(&t, XDS_ADDRESS, LIST("*"), LIST("*")); /* nothing, please: and that is answered */
    assert_string_equal(talker_hear(&t), "address:");
    assert_string_equal(talker_hear(&t), "");
    talker_ask(&t, XDS_ADDRESS, LIST("net1/10.0.0.2"), NULL);
    assert_string_equal(talker_hear(&t), "address: +" UID("b") "=net1/10.0.0.2");
    talker_ask(&t, XDS_ADDRESS, LIST("net1/10.0.0.99"), NULL); /* absent: that is an answer too */
    assert_string_equal(talker_hear(&t), "address: -net1/10.0.0.99");
    talker_ask(&t, XDS_ADDRESS, LIST(UID("b"), "n/none.n.svc.cluster.local"), NULL);
    assert_string_equal(talker_hear(&t),
                        "address: +" UID("b") "=net1/10.0.0.2 -n/none.n.svc.cluster.local");
    /* A service comes with its endpoints, and with those that it gets later. */
    talker_ask(&t, XDS_ADDRESS, LIST("net1/10.96.0.1"), NULL);
    assert_string_equal(
        talker_hear(&t), "address: +n/web.n.svc.cluster.local=net1/10.96.0.1 +" UID("a") "=net1/10.0.0.1");
    control_set(&c, POD("a", "10.0.0.1", "app: web") POD("b", "10.0.0.2", "app: other")
                        POD("x", "10.0.0.3", "app: web") POD("y", "10.0.0.4", "app: no")
                            SERVICE("web", "10.96.0.1"));
    wire_run(&w);
    assert_string_equal(talker_hear(&t),
                        "address: +" UID("x") "=net1/10.0.0.3"); /* y is nobody's business */
    /* What was absent appears; what was given goes. */
    control_set(&c, POD("a", "10.0.0.1", "app: web") POD("z", "10.0.0.99", "")
                        SERVICE("web", "10.96.0.1"));
    wire_run(&w);
    assert_string_equal(talker_hear(&t), "address: +" UID("z") "=net1/10.0.0.99 -" UID("b") " -" UID("x"));
    /* Unsubscribed: silence. */
    talker_ask(&t, XDS_ADDRESS, NULL, LIST("net1/10.0.0.99"));
    control_set(&c, POD("a", "10.0.0.1", "app: web") SERVICE("web", "10.96.0.1"));
    wire_run(&w);
    assert_string_equal(talker_hear(&t), "");
    assert_int_equal(c.ads.flight_bytes, 0);
    talker_done(&t);
    wire_close(&w);
    control_close(&c);
}

static void on_demand_after_a_reconnect(void **state)
{
    struct control c;
    struct wire w;
    struct talker t;
    (void)state;
    control_open(&c);
    control_set(&c, POD("a", "10.0.0.1", "") POD("b", "10.0.0.2", ""));
    const struct resource *a = catalog_get(&c.catalog, XDS_ADDRESS, TEXT(UID("a")));
    wire_open(&w, &c.ads);
    talker_open(&t, &w);
    struct xds_version had[] = {
        {UID("a"), (char *)a->version}, {UID("b"), "old"}, {UID("gone"), "1"}};
    struct delta_request r = {.node_id = "n",
                              .type_url = (char *)xds_type_url(XDS_ADDRESS),
                              .nonce = "",
                              .initial = had,
                              .n_initial = 3};
    r.subscribe = LIST("*", "net1/10.0.0.7");
    r.n_subscribe = 2;
    r.unsubscribe = LIST("*");
    r.n_unsubscribe = 1;
    talker_say(&t, &r);
    assert_string_equal(talker_hear(&t),
                        "address: +" UID("b") "=net1/10.0.0.2 -" UID("gone") " -net1/10.0.0.7");
    /* What it has it goes on being told of. */
    control_set(&c, POD("b", "10.0.0.2", ""));
    wire_run(&w);
    assert_string_equal(talker_hear(&t), "address: -" UID("a"));
    talker_done(&t);
    wire_close(&w);
    control_close(&c);
}

static void nonces(void **state)
{
    struct control c;
    struct wire w;
    struct talker t;
    (void)state;
    control_open(&c);
    wire_open(&w, &c.ads);
    talker_open(&t, &w);
    talker_ask(&t, XDS_ADDRESS, NULL, NULL);
    assert_string_equal(talker_hear(&t), "address:");
    control_set(&c, POD("a", "10.0.0.1", ""));
    control_set(&c, POD("a", "10.0.0.2", ""));
    control_set(&c, POD("a", "10.0.0.3", ""));
    wire_run(&w);
    assert_int_equal(t.n, 3); /* two are in flight, the third waits */
    char *url = t.responses[1].type_url;
    talker_say(&t, &(struct delta_request){.type_url = url, .nonce = "77"});
    talker_say(&t, &(struct delta_request){.type_url = url, .nonce = "x"});
    talker_say(&t, &(struct delta_request){.type_url = (char *)xds_type_url(XDS_AUTHORIZATION),
                                    .nonce = t.responses[2].nonce});
    size_t n_address = 0;
    for (size_t i = 0; i < t.n; i++)
        n_address += strcmp(t.responses[i].type_url, url) == 0;
    assert_int_equal(n_address, 3); /* none of these acknowledges anything */
    talker_say(&t, &(struct delta_request){.type_url = url,
                                    .nonce = t.responses[1].nonce,
                                    .has_error = true,
                                    .error_code = 3,
                                    .error_message = "bad"});
    assert_int_equal(c.ads.stats.nacks[XDS_ADDRESS], 1);
    assert_string_equal(
        t.responses[3].type_url,
        xds_type_url(XDS_AUTHORIZATION)); /* it was asked for above, and goes first */
    talker_say(&t, &(struct delta_request){.type_url = t.responses[3].type_url,
                                    .nonce = t.responses[3].nonce});
    assert_int_equal(t.n, 5);
    assert_string_equal(t.responses[4].resources[0].aliases[0], "net1/10.0.0.3");
    talker_done(&t);
    wire_close(&w);
    control_close(&c);
}

/* By its name there is always a table of a Service: the one that is made up, or what somebody wrote. */
static void routes_by_name(void **state)
{
#define TABLE "outbound|80||web.n.svc.cluster.local"
    struct control c;
    struct wire w;
    struct talker t;
    (void)state;
    control_open(&c);
    control_set(&c, SERVICE("web", "10.96.0.1") SERVICE("other", "10.96.0.2"));
    wire_open(&w, &c.ads);
    talker_open(&t, &w);
    talker_ask(&t, XDS_ROUTES, LIST(TABLE, TABLE "@bank"), NULL);
    assert_string_equal(talker_hear(&t), "other: +" TABLE " -" TABLE "@bank");
    control_set(&c, SERVICE("web", "10.96.0.1")
                        HTTP_ROUTE("r", "n", "web", "backendRefs: [{name: other, port: 80}]"));
    wire_run(&w);
    assert_string_equal(talker_hear(&t), "other: +" TABLE);
    control_set(&c, SERVICE("web", "10.96.0.1"));
    wire_run(&w);
    assert_string_equal(talker_hear(&t), "other: +" TABLE); /* not taken away */
    /* All that was written, and besides what is asked for by its name. */
    control_set(&c, SERVICE("web", "10.96.0.1") SERVICE("other", "10.96.0.2")
                        HTTP_ROUTE("r", "n", "other", "backendRefs: [{name: web, port: 80}]"));
    wire_run(&w);
    assert_string_equal(talker_hear(&t), "");
    talker_ask(&t, XDS_ROUTES, LIST("*"), NULL);
    assert_string_equal(talker_hear(&t), "other: +" TABLE " +outbound|80||other.n.svc.cluster.local");
    control_set(&c, SERVICE("web", "10.96.0.1") SERVICE("other", "10.96.0.2"));
    wire_run(&w);
    assert_string_equal(talker_hear(&t), "other: -outbound|80||other.n.svc.cluster.local");
    control_set(&c, "");
    wire_run(&w);
    assert_string_equal(talker_hear(&t), "other: -outbound|80||other.n.svc.cluster.local -" TABLE);
    talker_done(&t);
    wire_close(&w);
    control_close(&c);
}

static void of_other_types_there_is_nothing(void **state)
{
    struct control c;
    struct wire w;
    struct talker t;
    (void)state;
    control_open(&c);
    wire_open(&w, &c.ads);
    talker_open(&t, &w);
    struct delta_request r = {.type_url = "type.googleapis.com/x.Y",
                              .nonce = "",
                              .subscribe = LIST("a"),
                              .n_subscribe = 1};
    talker_say(&t, &r);
    assert_string_equal(talker_hear(&t), "other: -a"); /* and the acknowledgement is not answered again */
    assert_string_equal(talker_hear(&t), "");
    assert_int_equal(c.ads.flight_bytes, 0);
    assert_int_equal(grpc_call_send(&t.call, (const uint8_t *)"\xff\xff", 2), 0);
    wire_run(&w);
    assert_true(t.closed);
    assert_int_equal(t.status, GRPC_INVALID_ARGUMENT);
    talker_done(&t);
    wire_close(&w);
    control_close(&c);
}

static void half_close_and_finish(void **state)
{
    struct control c;
    struct wire w;
    struct talker t, u;
    (void)state;
    control_open(&c);
    wire_open(&w, &c.ads);
    talker_open(&t, &w);
    talker_open(&u, &w);
    talker_ask(&t, XDS_ADDRESS, NULL, NULL);
    talker_ask(&u, XDS_ADDRESS, NULL, NULL);
    assert_int_equal(c.ads.stats.clients, 2);
    grpc_call_half_close(&t.call);
    wire_run(&w);
    assert_true(t.closed);
    assert_int_equal(t.status, GRPC_OK);
    ads_finish(&c.ads, GRPC_UNAVAILABLE, "bye");
    wire_run(&w);
    assert_true(u.closed);
    assert_int_equal(u.status, GRPC_UNAVAILABLE);
    assert_int_equal(c.ads.stats.clients, 0);
    talker_done(&t);
    talker_done(&u);
    wire_close(&w);
    control_close(&c);
}

/* ---- Bounds of names ------------------------------------------------------------------------ */

enum { NAMES = ADS_STRANGERS_NAMES_MAX + 1 };

/* NAMES of them and NULL; those of another round are others. */
static char **names_make(char text[static NAMES][16], char *list[static NAMES + 1], unsigned round)
{
    for (unsigned i = 0; i < NAMES; i++) {
        snprintf(text[i], 16, "%u-%u", round, i);
        list[i] = text[i];
    }
    list[NAMES] = NULL;
    return list;
}

static void whom_nobody_knows_may_ask_for_less(void **state)
{
    static char text[NAMES][16], *names[NAMES + 1];
    (void)state;
    names_make(text, names, 0);
    for (unsigned strangers = 0; strangers < 2; strangers++) {
        struct control c;
        struct wire w;
        struct talker t;
        control_open(&c);
        wire_open(&w, &c.ads);
        w.routes_only = strangers;
        talker_open(&t, &w);
        talker_ask(&t, XDS_ENDPOINTS, names + 1, NULL);
        assert_false(t.closed);
        talker_ask(&t, XDS_ENDPOINTS, LIST(names[0]), NULL);
        assert_int_equal(t.closed, strangers);
        if (strangers)
            assert_int_equal(t.status, GRPC_RESOURCE_EXHAUSTED);
        talker_done(&t);
        wire_close(&w);
        control_close(&c);
    }
}

/* Who lets go what it asked for, and acknowledges nothing, does not let it pile up. */
static void absent_names_do_not_pile_up(void **state)
{
    static char text[2][NAMES][16], *names[2][NAMES + 1];
    unsigned round = 0;
    struct control c;
    struct wire w;
    struct talker t;
    (void)state;
    control_open(&c);
    wire_open(&w, &c.ads);
    w.routes_only = true;
    talker_open(&t, &w);
    for (; round < 8 && !t.closed; round++) {
        char **now = names_make(text[round % 2], names[round % 2], round) + 1;
        talker_ask(&t, XDS_ENDPOINTS, now, round ? names[(round + 1) % 2] + 1 : NULL);
    }
    assert_true(t.closed);
    assert_int_equal(t.status, GRPC_RESOURCE_EXHAUSTED);
    assert_int_equal(round, 4); /* the first is told, and two more may wait */
    talker_done(&t);
    wire_close(&w);
    control_close(&c);
}

int main(void)
{
    log_configure(LOG_ERROR, LOG_TEXT, 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(on_demand),
        cmocka_unit_test(on_demand_after_a_reconnect),
        cmocka_unit_test(nonces),
        cmocka_unit_test(routes_by_name),
        cmocka_unit_test(of_other_types_there_is_nothing),
        cmocka_unit_test(half_close_and_finish),
        cmocka_unit_test(whom_nobody_knows_may_ask_for_less),
        cmocka_unit_test(absent_names_do_not_pile_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
