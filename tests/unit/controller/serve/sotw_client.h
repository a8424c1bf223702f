/*
 * A consumer of the state of the world, which says each word itself, the catalog that it asks, and a
 * bench with both. Resources are texts `name=value`.
 */
#ifndef TESTS_UNIT_CONTROLLER_SERVE_SOTW_CLIENT_H
#define TESTS_UNIT_CONTROLLER_SERVE_SOTW_CLIENT_H
#include "shared/xds/sotw.h"
#include "tests/unit/controller/serve/ads_fixture.h"
#include <stdio.h>

enum { RESPONSES_MAX = 4096, NAMES_MAX = 16 };

struct consumer {
    struct grpc_call call;
    struct wire *wire;
    struct sotw_response *responses;
    size_t n, at;
    bool closed;
    enum grpc_status status;
    const char *node_id, *user_agent, *region; /* what it says of itself; NULL: "n", and nothing */
};

static inline void consumer_message(struct grpc_call *call, const uint8_t *data, size_t len)
{
    struct consumer *t = call->user;
    char why[XDS_WHY_MAX];
    assert_true(t->n < RESPONSES_MAX);
    assert_int_equal(sotw_response_decode(data, len, &t->responses[t->n++], why), 0);
}

static inline void consumer_closed(struct grpc_call *call, enum grpc_status status,
                                   struct text message)
{
    struct consumer *t = call->user;
    (void)message;
    t->closed = true;
    t->status = status;
}

static const struct grpc_call_events consumer_events = {.message = consumer_message,
                                                        .closed = consumer_closed};

static inline void consumer_open(struct consumer *t, struct wire *w)
{
    const struct grpc_call_options options = {.path = TEXT(XDS_SOTW_PATH), .authority = TEXT("c")};
    *t = (struct consumer){.wire = w,
                           .responses = calloc(RESPONSES_MAX, sizeof(struct sotw_response))};
    assert_non_null(t->responses);
    assert_int_equal(grpc_call_start(&t->call, w->client, &w->pool, &options, &consumer_events, t),
                     0);
}

static inline void consumer_done(struct consumer *t)
{
    for (size_t i = 0; i < t->n; i++)
        sotw_response_done(&t->responses[i]);
    free(t->responses);
    if (!t->closed)
        grpc_call_cancel(&t->call);
}

/* Names end with NULL. */
static inline void consumer_ask(struct consumer *t, const char *type_url, char *const *names,
                                const char *nonce, const char *error)
{
    struct xds_bytes bytes;
    struct sotw_request r = {.node_id = (char *)(t->node_id ? t->node_id : "n"),
                             .user_agent = (char *)t->user_agent,
                             .region = (char *)t->region,
                             .type_url = (char *)type_url,
                             .names = (char **)names,
                             .nonce = (char *)nonce,
                             .has_error = error != NULL,
                             .error_message = (char *)error};
    while (names && names[r.n_names])
        r.n_names++;
    assert_int_equal(sotw_request_encode(&r, &bytes), 0);
    assert_int_equal(grpc_call_send(&t->call, bytes.data, bytes.len), 0);
    xds_bytes_done(&bytes);
    wire_run(t->wire);
}

/* The next response as text, "" if there is none. *ret is it. */
static inline const char *consumer_hear(struct consumer *t, const struct sotw_response **ret)
{
    static char heard[4096];
    struct text_out out = TEXT_OUT(heard);
    wire_run(t->wire);
    *ret = NULL;
    if (t->at == t->n)
        return "";
    const struct sotw_response *r = *ret = &t->responses[t->at++];
    enum xds_type type;
    text_put(&out,
             xds_type_of(text_of(r->type_url), &type) == 0 ? xds_type_name(type) : TEXT("other"));
    text_putc(&out, ':');
    for (size_t i = 0; i < r->n_resources; i++) {
        text_putc(&out, ' ');
        text_put(&out, (struct text){(char *)r->resources[i].data, r->resources[i].len});
    }
    return heard;
}

/* ---- The catalog ---------------------------------------------------------------------------- */

static inline void has(struct control *c, enum xds_type type, const char *name, const char *value)
{
    char text[128];
    struct resource *r;
    snprintf(text, sizeof text, "%s=%s", name, value);
    struct xds_bytes body = {(uint8_t *)text_dup(text_of(text)), strlen(text)};
    assert_int_equal(resource_of_body(type, name, &body, &r), 0);
    assert_true(catalog_put(&c->catalog, r) >= 0);
}

static inline void has_not(struct control *c, enum xds_type type, const char *name)
{
    assert_int_equal(catalog_remove(&c->catalog, type, text_of(name)), 0);
}

static inline void push(struct control *c, struct wire *w)
{
    ads_push(&c->ads, 0);
    wire_run(w);
}

/* ---- Both ----------------------------------------------------------------------------------- */

#define NONE      ((char *[]){NULL})

struct bench {
    struct control c;
    struct wire w;
    struct consumer t;
};

static inline void bench_open(struct bench *b)
{
    control_open(&b->c);
    wire_open(&b->w, &b->c.ads);
    consumer_open(&b->t, &b->w);
}

static inline void bench_close(struct bench *b)
{
    consumer_done(&b->t);
    wire_close(&b->w);
    control_close(&b->c);
}

static inline void ask(struct bench *b, enum xds_type type, char **names)
{
    consumer_ask(&b->t, xds_type_url(type), names, "", NULL);
}

/* The next response, acknowledged, while these names are asked for. */
static inline const char *hear(struct bench *b, char **names)
{
    const struct sotw_response *r;
    const char *heard = consumer_hear(&b->t, &r);
    if (r)
        consumer_ask(&b->t, r->type_url, names, r->nonce, NULL);
    return heard;
}
#endif
