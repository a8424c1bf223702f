#include "tests/unit/shared/xds/xds_world.h"

static void asks_for_everything(void **state)
{
    struct world w;

    (void)state;
    open_world(&w);
    connect_again();
    assert_string_equal(w.path, XDS_DELTA_PATH);
    assert_string_equal(w.bearer, "a-token");
    assert_int_equal(w.n_requests, 2);
    assert_string_equal(w.requests[0].type_url, xds_type_url(XDS_AUTHORIZATION));
    assert_string_equal(w.requests[1].type_url, xds_type_url(XDS_ADDRESS));
    for (unsigned i = 0; i < 2; i++) {
        const struct delta_request *r = &w.requests[i];
        assert_string_equal(r->node_id, "node-id");
        assert_int_equal(r->n_subscribe + r->n_unsubscribe + r->n_initial, 0); /* wildcard */
        assert_string_equal(r->nonce, "");
        assert_false(r->has_error);
    }
    assert_false(w.client.stats.connected);
    close_world(&w);
    assert_int_equal(w.closed, 0); /* done is no end that is told */
}

static void acknowledges_what_it_applies(void **state)
{
    struct world w;

    (void)state;
    open_world(&w);
    connect_again();
    struct delta_resource two[] = {resource(XDS_ADDRESS, "a", "1", "A"),
                                   resource(XDS_ADDRESS, "b", "1", "")};
    const struct delta_request *r = respond(XDS_ADDRESS, "n1", two, 2, NULL, 0);
    assert_false(r->has_error);
    assert_string_equal(w.log, "+a +b synced ");
    assert_has(XDS_ADDRESS, "a", "A");
    assert_has(XDS_ADDRESS, "b", "");
    assert_int_equal(w.synced[XDS_ADDRESS], 1);
    assert_int_equal(w.synced[XDS_AUTHORIZATION], 0);
    assert_true(w.client.stats.connected);
    assert_int_equal(w.client.stats.messages[XDS_ADDRESS], 1);
    assert_true(w.client.stats.bytes[XDS_ADDRESS] > 100);
    assert_true(w.client.stats.synced[XDS_ADDRESS]);
    assert_false(w.client.stats.synced[XDS_AUTHORIZATION]);

    /* Nothing of a type is known now, too. */
    r = respond(XDS_AUTHORIZATION, "n2", NULL, 0, NULL, 0);
    assert_false(r->has_error);
    assert_int_equal(w.synced[XDS_AUTHORIZATION], 1);

    /* Puts come before removals; what nobody had is not removed. */
    struct delta_resource one[] = {resource(XDS_ADDRESS, "c", "1", "C")};
    char *gone[] = {(char *)"a", (char *)"never-was"};
    r = respond(XDS_ADDRESS, "n3", one, 1, gone, 2);
    assert_false(r->has_error);
    assert_string_equal(w.log, "+c -a synced ");
    assert_int_equal(w.removals, 1);
    close_world(&w);
}

static void refuses_what_is_wrong_and_keeps_the_rest(void **state)
{
    struct world w;

    (void)state;
    open_world(&w);
    connect_again();
    struct delta_resource good[] = {resource(XDS_ADDRESS, "a", "1", "old")};
    (void)respond(XDS_ADDRESS, "n1", good, 1, NULL, 0);
    w.refuse = "bad";
    struct delta_resource mixed[] = {
        resource(XDS_ADDRESS, "a", "2", "bad"),
        resource(XDS_ADDRESS, "b", "1", "B"),
        resource(XDS_ADDRESS, "c", "1", "also bad"),
        resource(XDS_AUTHORIZATION, "d", "1", "of another type"),
        resource(XDS_ADDRESS, "", "1", "no name"),
        resource(XDS_ADDRESS, "e", "1", "first"),
        resource(XDS_ADDRESS, "e", "2", "second"),
        resource(XDS_ADDRESS, "f", "1", "F"),
    };
    char *gone[] = {(char *)"f"};
    const struct delta_request *r = respond(XDS_ADDRESS, "n2", mixed, ARRAY_SIZE(mixed), gone, 1);
    assert_true(r->has_error);
    assert_int_equal(r->error_code, GRPC_INVALID_ARGUMENT);
    const char *const reasons[] = {"a: contains 'bad' ?",
                                   "c: contains 'bad' ?",
                                   "d: is of type",
                                   ": has no name",
                                   "e: is in this response more than once",
                                   "f: is both sent and removed"};
    for (size_t i = 0; i < ARRAY_SIZE(reasons); i++) {
        if (!strstr(r->error_message, reasons[i]))
            fail_msg("'%s' is not in '%s'", reasons[i], r->error_message);
    }
    assert_null(strstr(r->error_message, "b:"));
    assert_string_equal(w.log, "+b +e +f "); /* and not synced */
    assert_has(XDS_ADDRESS, "a", "old");
    assert_has(XDS_ADDRESS, "b", "B");
    assert_has(XDS_ADDRESS, "c", NULL);
    assert_has(XDS_ADDRESS, "e", "first");
    assert_has(XDS_ADDRESS, "f", "F");
    assert_int_equal(w.synced[XDS_ADDRESS], 1);
    assert_int_equal(w.client.stats.nacks[XDS_ADDRESS], 1);
    assert_non_null(strstr(w.client.stats.last_error, "bad"));
    assert_int_equal(w.client.stats.nacks[XDS_AUTHORIZATION], 0);

    /* The versions that a reconnect tells are those of what was applied. */
    xds_client_stop(&w.client);
    pair_run(&w.pair);
    forget_requests();
    connect_again();
    const struct delta_request *again = &w.requests[1];
    assert_int_equal(again->n_initial, 4);
    assert_string_equal(initial_version(again, "a"), "1");
    assert_string_equal(initial_version(again, "b"), "1");
    assert_string_equal(initial_version(again, "e"), "1");
    assert_string_equal(initial_version(again, "f"), "1");
    assert_int_equal(w.requests[0].n_initial, 0);
    close_world(&w);
}

/* What there was no memory for would not come again on this stream. */
static void asks_again_for_what_it_had_no_room_for(void **state)
{
    struct world w;
    (void)state;
    open_world(&w);
    connect_again();
    struct delta_resource two[] = {resource(XDS_ADDRESS, "a", "1", "A"),
                                   resource(XDS_ADDRESS, "b", "1", "B")};
    w.no_room = "B";
    send_response(&(struct delta_response){.type_url = (char *)xds_type_url(XDS_ADDRESS),
                                           .nonce = (char *)"n1",
                                           .resources = two,
                                           .n_resources = 2});
    assert_int_equal(w.closed, 1);
    assert_int_equal(w.status, GRPC_RESOURCE_EXHAUSTED);
    assert_int_equal(w.synced[XDS_ADDRESS], 0);
    w.no_room = NULL;
    forget_requests();
    connect_again();
    assert_int_equal(w.requests[1].n_initial, 1);
    assert_string_equal(initial_version(&w.requests[1], "a"), "1");
    close_world(&w);
}

/* One bad route must not keep a node from its work; one bad policy must. */
static void is_ready_with_a_bad_route(void **state)
{
    struct world w;
    (void)state;
    open_world(&w);
    w.client.types = XDS_MESH_AND_ROUTES;
    connect_again();
    static const enum xds_type types[] = {XDS_AUTHORIZATION, XDS_ADDRESS, XDS_CLUSTER, XDS_ENDPOINTS,
                                          XDS_ROUTES};
    w.refuse = "bad";
    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        struct delta_resource two[] = {resource(types[i], "a", "1", "bad"),
                                       resource(types[i], "b", "1", "good")};
        assert_true(respond(types[i], "n", two, 2, NULL, 0)->has_error);
        assert_int_equal(w.synced[types[i]], i >= 2);
    }
    assert_false(xds_client_synced(&w.client, XDS_MESH_AND_ROUTES));
    for (size_t i = 0; i < 2; i++) {
        struct delta_resource one[] = {resource(types[i], "a", "2", "good")};
        assert_false(respond(types[i], "m", one, 1, NULL, 0)->has_error);
    }
    assert_true(xds_client_synced(&w.client, XDS_MESH_AND_ROUTES));
    close_world(&w);
}

static void refuses_a_type_that_it_did_not_ask_for(void **state)
{
    struct delta_resource one[] = {resource(XDS_ADDRESS, "a", "1", "A")};
    struct delta_response r = {.type_url = (char *)"type.googleapis.com/envoy.Listener",
                               .nonce = (char *)"n",
                               .resources = one,
                               .n_resources = 1};
    struct world w;

    (void)state;
    open_world(&w);
    connect_again();
    forget_requests();
    send_response(&r);
    assert_int_equal(w.n_requests, 1);
    assert_true(w.requests[0].has_error);
    assert_string_equal(w.requests[0].nonce, "n");
    assert_string_equal(w.requests[0].type_url, r.type_url);
    assert_int_equal(w.puts, 0);
    assert_int_equal(w.closed, 0);
    close_world(&w);
}

/* The list of reasons has an end, and is text whatever the names are. */
static void a_long_list_of_reasons_is_cut(void **state)
{
    enum { N = 3000 };
    static struct delta_resource bad[N];
    static char names[N][16];
    struct world w;

    (void)state;
    open_world(&w);
    connect_again();
    w.refuse = "bad";
    for (unsigned i = 0; i < N; i++) {
        snprintf(names[i], sizeof names[i], "\xc3\xa4\xe2\x82\xac%u", i);
        bad[i] = resource(XDS_ADDRESS, names[i], "1", "bad");
    }
    const struct delta_request *r = respond(XDS_ADDRESS, "n", bad, N, NULL, 0);
    assert_true(r->has_error);
    assert_true(strlen(r->error_message) > 1000 && strlen(r->error_message) < 4096);
    assert_true(text_is_utf8(text_of(r->error_message)));
    close_world(&w);
}

static void comes_back_after_an_end(void **state)
{
    struct world w;

    (void)state;
    open_world(&w);
    connect_again();
    struct delta_resource two[] = {resource(XDS_ADDRESS, "a", "7", "A"),
                                   resource(XDS_ADDRESS, "b", "8", "B")};
    (void)respond(XDS_ADDRESS, "n1", two, 2, NULL, 0);
    struct delta_resource policy[] = {resource(XDS_AUTHORIZATION, "p", "9", "P")};
    (void)respond(XDS_AUTHORIZATION, "n2", policy, 1, NULL, 0);
    grpc_call_finish(&w.call, GRPC_UNAVAILABLE, "going down");
    pair_run(&w.pair);
    assert_int_equal(w.closed, 1);
    assert_int_equal(w.status, GRPC_UNAVAILABLE);
    assert_string_equal(w.message, "going down");
    assert_string_equal(w.client.stats.last_error, "going down");
    assert_int_equal(w.client.stats.terminations, 1);
    assert_false(w.client.stats.connected);
    assert_has(XDS_ADDRESS, "a", "A"); /* what was here stays */

    forget_requests();
    connect_again();
    assert_int_equal(w.n_requests, 2);
    assert_int_equal(w.requests[0].n_initial, 1);
    assert_string_equal(initial_version(&w.requests[0], "p"), "9");
    assert_int_equal(w.requests[1].n_initial, 2);
    assert_string_equal(initial_version(&w.requests[1], "a"), "7");
    assert_string_equal(initial_version(&w.requests[1], "b"), "8");
    /* A server that started anew tells what is gone by what the client said it has. */
    char *gone[] = {(char *)"a"};
    (void)respond(XDS_ADDRESS, "m1", NULL, 0, gone, 1);
    assert_has(XDS_ADDRESS, "a", NULL);
    assert_has(XDS_ADDRESS, "b", "B");
    close_world(&w);
}

static void ends_a_call_that_makes_no_sense(void **state)
{
    struct world w;

    (void)state;
    open_world(&w);
    connect_again();
    assert_int_equal(grpc_call_send(&w.call, (const uint8_t *)"\x0a\xff", 2), 0);
    assert_int_equal(grpc_call_send(&w.call, (const uint8_t *)"\x0a\xff", 2), 0);
    pair_run(&w.pair);
    assert_int_equal(w.closed, 1);
    assert_int_equal(w.status, GRPC_INTERNAL);
    assert_non_null(strstr(w.message, "system_version_info"));
    assert_false(w.calling); /* the server was told */
    assert_int_equal(w.client.stats.terminations, 1);
    forget_requests();
    connect_again();
    assert_int_equal(w.n_requests, 2);
    close_world(&w);
}

static void stops_without_a_word(void **state)
{
    struct world w;

    (void)state;
    open_world(&w);
    connect_again();
    xds_client_stop(&w.client);
    xds_client_stop(&w.client);
    pair_run(&w.pair);
    assert_int_equal(w.closed, 0);
    assert_false(w.calling);
    forget_requests();
    connect_again();
    close_world(&w);
}

/* Ten megabytes in one response, and all of their names in one request afterwards. */
static void takes_a_big_response(void **state)
{
    enum { N = 40000, BODY = 220 };
    struct delta_resource *many = calloc(N, sizeof *many);
    char(*names)[40] = calloc(N, sizeof *names);
    static char body[BODY + 1];
    struct world w;

    (void)state;
    assert_true(many && names);
    open_world(&w);
    connect_again();
    memset(body, 'x', BODY);
    for (unsigned i = 0; i < N; i++) {
        snprintf(names[i], sizeof names[i], "Kubernetes//Pod/namespace/pod-%u", i);
        many[i] = resource(XDS_ADDRESS, names[i], "1", body);
    }
    w.keep_quiet = true;
    struct delta_response r = {.type_url = (char *)xds_type_url(XDS_ADDRESS),
                               .nonce = (char *)"n",
                               .resources = many,
                               .n_resources = N};
    send_response(&r);
    w.keep_quiet = false;
    assert_int_equal(w.puts, N);
    assert_int_equal(w.synced[XDS_ADDRESS], 1);
    assert_true(w.client.stats.bytes[XDS_ADDRESS] > 10 * 1024 * 1024);
    xds_client_stop(&w.client);
    pair_run(&w.pair);
    forget_requests();
    connect_again();
    assert_int_equal(w.requests[1].n_initial, N);
    close_world(&w);
    free(many);
    free(names);
}

/* Names that together would no longer fit into one message are one too many: refused, not
 * applied. */
static void has_a_bound_for_names(void **state)
{
    enum { EACH = 1000, PER_RESPONSE = 4000 };
    struct delta_resource *many = calloc(PER_RESPONSE, sizeof *many);
    char(*names)[EACH + 1] = calloc(PER_RESPONSE, sizeof *names);
    struct world w;
    unsigned responses = 0;

    (void)state;
    assert_true(many && names);
    open_world(&w);
    connect_again();
    w.keep_quiet = true;
    while (w.client.stats.nacks[XDS_ADDRESS] == 0) {
        assert_true(responses < 10);
        for (unsigned i = 0; i < PER_RESPONSE; i++) {
            memset(names[i], 'x', EACH);
            int n = snprintf(names[i], EACH, "%u-%u-", responses, i);
            names[i][n] = 'x';
            many[i] = resource(XDS_ADDRESS, names[i], "1", "");
        }
        struct delta_response r = {.type_url = (char *)xds_type_url(XDS_ADDRESS),
                                   .nonce = (char *)"n",
                                   .resources = many,
                                   .n_resources = PER_RESPONSE};
        send_response(&r);
        responses++;
    }
    assert_non_null(strstr(w.client.stats.last_error, "x"));
    assert_int_equal(w.puts, w.have[XDS_ADDRESS].count);
    assert_true(w.puts > 3 * PER_RESPONSE && w.puts < responses * PER_RESPONSE);
    unsigned had = w.puts;
    /* All that was taken can be told in one message. */
    xds_client_stop(&w.client);
    pair_run(&w.pair);
    w.keep_quiet = false;
    forget_requests();
    connect_again();
    assert_int_equal(w.requests[1].n_initial, had);
    /* And when some went, others fit. */
    char *gone[] = {w.requests[1].initial[0].name, w.requests[1].initial[1].name};
    (void)respond(XDS_ADDRESS, "n", NULL, 0, gone, 2);
    names[0][0] = 'n';
    struct delta_resource one[] = {resource(XDS_ADDRESS, names[0], "1", "")};
    assert_false(respond(XDS_ADDRESS, "n", one, 1, NULL, 0)->has_error);
    close_world(&w);
    free(many);
    free(names);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(asks_for_everything),
        cmocka_unit_test(acknowledges_what_it_applies),
        cmocka_unit_test(refuses_what_is_wrong_and_keeps_the_rest),
        cmocka_unit_test(asks_again_for_what_it_had_no_room_for),
        cmocka_unit_test(is_ready_with_a_bad_route),
        cmocka_unit_test(refuses_a_type_that_it_did_not_ask_for),
        cmocka_unit_test(a_long_list_of_reasons_is_cut),
        cmocka_unit_test(comes_back_after_an_end),
        cmocka_unit_test(ends_a_call_that_makes_no_sense),
        cmocka_unit_test(stops_without_a_word),
        cmocka_unit_test(takes_a_big_response),
        cmocka_unit_test(has_a_bound_for_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
