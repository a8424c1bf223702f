#include "tests/unit/shared/xds/xds_world.h"

/* A server that does what the protocol says: it knows what it told, and what a client said that
 * it has. */
enum { NAMES = 12 };
struct model {
    unsigned version[XDS_TYPE_COUNT][NAMES]; /* 0: there is no such resource */
    unsigned told[XDS_TYPE_COUNT][NAMES];    /* what this client has been sent on this stream */
    bool subscribed[XDS_TYPE_COUNT];
};
static struct model model;

static void make_name(unsigned i, char out[static 16])
{
    snprintf(out, 16, "name-%u", i);
}

/*
 * Sends what the client has not, and removes what it should not have. fail_at: the allocation of
 * the client's that fails meanwhile; the message is then handed to it, so that none of the
 * connection's fails. -1: none.
 */
static bool send_differences(enum xds_type type, long fail_at)
{
    struct delta_resource sent[NAMES];
    char names[NAMES][16], versions[NAMES][16], *gone[NAMES];
    struct delta_response r = {.type_url = (char *)xds_type_url(type),
                               .nonce = (char *)"n",
                               .resources = sent,
                               .removed = gone};

    for (unsigned i = 0; i < NAMES; i++) {
        make_name(i, names[i]);
        snprintf(versions[i], sizeof versions[i], "%u", model.version[type][i]);
        if (model.told[type][i] == model.version[type][i])
            continue;
        if (model.version[type][i] == 0)
            gone[r.n_removed++] = names[i];
        else
            sent[r.n_resources++] = resource(type, names[i], versions[i], versions[i]);
        model.told[type][i] = model.version[type][i];
    }
    struct xds_bytes bytes;
    assert_int_equal(delta_response_encode(&r, &bytes), 0);
    bool failed = false;
    if (fail_at < 0) {
        (void)grpc_call_send(&world->call, bytes.data, bytes.len); /* -EPIPE: the stream is over */
    } else if (world->client.started) {
        alloc_fail_at(fail_at);
        world->client.call.events->message(&world->client.call, bytes.data, bytes.len);
        failed = alloc_failed();
    }
    xds_bytes_done(&bytes);
    return failed;
}

static void model_requested(struct world *w, const struct delta_request *r)
{
    enum xds_type type;

    (void)w;
    assert_int_equal(xds_type_of(text_of(r->type_url), &type), 0);
    if (r->nonce[0] || model.subscribed[type])
        return;
    model.subscribed[type] = true;
    memset(model.told[type], 0, sizeof model.told[type]);
    for (size_t i = 0; i < r->n_initial; i++) {
        unsigned n = (unsigned)strtoul(r->initial[i].name + 5, NULL, 10);
        unsigned version = (unsigned)strtoul(r->initial[i].version, NULL, 10);
        assert_true(n < NAMES);
        model.told[type][n] = version ? version : UINT32_MAX; /* it has something, of no version */
    }
    (void)send_differences(type, -1);
}

static void assert_equal_states(void)
{
    for (unsigned type = 0; type < XDS_TYPE_COUNT; type++) {
        size_t count = 0;
        for (unsigned i = 0; i < NAMES; i++) {
            char name[16], version[16];
            make_name(i, name);
            snprintf(version, sizeof version, "%u", model.version[type][i]);
            count += model.version[type][i] > 0;
            assert_has((enum xds_type)type, name, model.version[type][i] ? version : NULL);
        }
        assert_int_equal(world->have[type].count, count);
    }
}

/*
 * Random changes, cut streams, resources that the owner refuses for a while, and allocations that
 * fail: after a reconnect in peace the client's owner has what the server has, nothing more and
 * nothing less.
 */
static void ends_with_what_the_server_has(void **state)
{
    unsigned failed = 0, refused = 0;
    struct world w;
    struct rng rng;

    (void)state;
    open_world(&w);
    test_seed(&rng);
    memset(&model, 0, sizeof model);
    w.keep_quiet = true;
    w.requested = model_requested;
    for (unsigned round = 0; round < 3000; round++) {
        for (unsigned k = 0; k < 4; k++) {
            enum xds_type type = one_in(&rng, 2) ? XDS_ADDRESS : XDS_AUTHORIZATION;
            unsigned *version = &model.version[type][rng_below(&rng, NAMES)];
            static unsigned next = 1;
            *version = one_in(&rng, 3) ? 0 : next++;
        }
        w.refuse = one_in(&rng, 4) ? "3" : NULL;
        if (!w.client.started) {
            memset(model.subscribed, 0, sizeof model.subscribed);
            int r = xds_client_start(&w.client, w.pair.client.http2, &w.pair.client.pool,
                                     TEXT("controller"), TEXT(""));
            assert_int_equal(r, 0);
        }
        pair_run(&w.pair);
        for (unsigned type = 0; type < XDS_TYPE_COUNT; type++) {
            if (w.calling && model.subscribed[type])
                failed += send_differences((enum xds_type)type,
                                           one_in(&rng, 2) ? -1 : (long)rng_below(&rng, 40));
        }
        pair_run(&w.pair);
        if (one_in(&rng, 3)) {
            if (w.calling && one_in(&rng, 2))
                grpc_call_finish(&w.call, GRPC_UNAVAILABLE, "");
            else
                xds_client_stop(&w.client);
            pair_run(&w.pair);
        }
        if (round % 10 == 9) { /* in peace */
            refused += w.client.stats.nacks[0] > 0;
            w.refuse = NULL;
            xds_client_stop(&w.client);
            pair_run(&w.pair);
            memset(model.subscribed, 0, sizeof model.subscribed);
            assert_int_equal(xds_client_start(&w.client, w.pair.client.http2, &w.pair.client.pool,
                                              TEXT("controller"), TEXT("")),
                             0);
            pair_run(&w.pair);
            assert_true(model.subscribed[0] && model.subscribed[1]);
            assert_equal_states();
        }
    }
    assert_true(failed > 100 && refused > 10 && w.closed > 100);
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(ends_with_what_the_server_has)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
