/*
 * A delta client that says each word itself, for tests of the ADS machine.
 */
#ifndef TESTS_UNIT_CONTROLLER_SERVE_DELTA_CLIENT_H
#define TESTS_UNIT_CONTROLLER_SERVE_DELTA_CLIENT_H
#include "shared/xds/delta.h"
#include "tests/unit/controller/serve/ads_fixture.h"

enum { TALKER_RESPONSES_MAX = 64 };

struct talker {
    struct grpc_call call;
    struct wire *wire;
    struct delta_response responses[TALKER_RESPONSES_MAX];
    size_t n, at;
    bool closed;
    enum grpc_status status;
    const char *node_id; /* NULL: "n" */
    struct delta_machine machine;
};

static inline void talker_message(struct grpc_call *call, const uint8_t *data, size_t len)
{
    struct talker *t = call->user;
    char why[XDS_WHY_MAX];
    assert_true(t->n < TALKER_RESPONSES_MAX);
    assert_int_equal(delta_response_decode(data, len, &t->responses[t->n++], why), 0);
}

static inline void talker_closed(struct grpc_call *call, enum grpc_status status, struct text message)
{
    struct talker *t = call->user;
    (void)message;
    t->closed = true;
    t->status = status;
}

static const struct grpc_call_events talker_events = {.message = talker_message,
                                                      .closed = talker_closed};

static inline void talker_open(struct talker *t, struct wire *w)
{
    const struct grpc_call_options options = {.path = TEXT(XDS_DELTA_PATH), .authority = TEXT("c")};
    *t = (struct talker){.wire = w};
    assert_int_equal(grpc_call_start(&t->call, w->client, &w->pool, &options, &talker_events, t),
                     0);
}

static inline void talker_done(struct talker *t)
{
    for (size_t i = 0; i < t->n; i++)
        delta_response_done(&t->responses[i]);
    if (!t->closed)
        grpc_call_cancel(&t->call);
}

static inline void talker_say(struct talker *t, const struct delta_request *request)
{
    struct xds_bytes bytes;
    assert_int_equal(delta_request_encode(request, &bytes), 0);
    assert_int_equal(grpc_call_send(&t->call, bytes.data, bytes.len), 0);
    xds_bytes_done(&bytes);
    wire_run(t->wire);
}

/* Lists end with NULL. */
static inline void talker_ask(struct talker *t, enum xds_type type, char **subscribe, char **unsubscribe)
{
    struct delta_request r = {.node_id = (char *)(t->node_id ? t->node_id : "n"),
                              .machine = t->machine,
                              .type_url = (char *)xds_type_url(type),
                              .subscribe = subscribe,
                              .unsubscribe = unsubscribe,
                              .nonce = ""};
    while (subscribe && subscribe[r.n_subscribe])
        r.n_subscribe++;
    while (unsubscribe && unsubscribe[r.n_unsubscribe])
        r.n_unsubscribe++;
    talker_say(t, &r);
}

/* The next response, as text, acknowledged; "" if there is none. */
static inline const char *talker_hear(struct talker *t)
{
    static char heard[4096];
    struct text_out out = TEXT_OUT(heard);
    if (t->at == t->n)
        return "";
    const struct delta_response *r = &t->responses[t->at++];
    text_puts(&out, strcmp(r->type_url, xds_type_url(XDS_ADDRESS)) == 0 ? "address:" : "other:");
    for (size_t i = 0; i < r->n_resources; i++) {
        text_printf(&out, " +%s", r->resources[i].name);
        assert_true(r->resources[i].version[0]);
        for (size_t j = 0; j < r->resources[i].n_aliases; j++)
            text_printf(&out, "=%s", r->resources[i].aliases[j]);
    }
    for (size_t i = 0; i < r->n_removed; i++)
        text_printf(&out, " -%s", r->removed[i]);
    talker_say(t, &(struct delta_request){.type_url = r->type_url, .nonce = r->nonce});
    return heard;
}
#endif
