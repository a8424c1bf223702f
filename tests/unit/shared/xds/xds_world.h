/*
 * The subscriber against a server that is played here, over two HTTP/2 machines back to back. What
 * the client was told to put is kept in maps: that is the state of its owner.
 */
#ifndef TESTS_UNIT_SHARED_XDS_XDS_WORLD_H
#define TESTS_UNIT_SHARED_XDS_XDS_WORLD_H
#include "shared/xds/xds_client.h"

#include "tests/unit/shared/base/failing_alloc.h"
#include "tests/unit/shared/http2/h2_pair.h"
#include "tests/unit/shared/mesh/nouns.h"

enum { REQUESTS_MAX = 64 };
struct world {
    struct pair pair;
    struct xds_client client;
    struct map have[XDS_TYPE_COUNT]; /* name -> body as a text, of the client's owner */
    unsigned puts, removals, synced[XDS_TYPE_COUNT], closed;
    enum grpc_status status;
    char message[256], log[512]; /* log: what happened, in order */
    const char *refuse;          /* a body with this in it is refused by the owner */
    const char *no_room;         /* likewise: there is no memory for it */

    struct grpc_call call; /* the server's side */
    bool calling;
    char path[128], bearer[64];
    struct delta_request requests[REQUESTS_MAX];
    size_t n_requests;
    void (*requested)(struct world *w, const struct delta_request *r); /* may be NULL */
    bool keep_quiet;                                                   /* do not record */
};
static struct world *world;

/* ---- The owner of the client --------------------------------------------------------------- */

static inline void note(const char *format, ...) __attribute__((format(printf, 1, 2)));
static inline void note(const char *format, ...)
{
    size_t len = strlen(world->log);
    va_list arguments;

    if (world->keep_quiet)
        return;
    va_start(arguments, format);
    (void)vsnprintf(world->log + len, sizeof world->log - len, format, arguments);
    va_end(arguments);
}

static inline int put(struct xds_client *c, enum xds_type type, struct text name,
                      const uint8_t *body, size_t len, char why[static XDS_WHY_MAX])
{
    assert_ptr_equal(c, &world->client);
    assert_ptr_equal(c->user, world);
    char *copy = malloc(len + 1);
    void *old = NULL;
    if (!copy)
        return -ENOMEM; /* with nothing in why */
    if (len)
        memcpy(copy, body, len);
    copy[len] = '\0';
    if (world->refuse && strstr(copy, world->refuse)) {
        snprintf(why, XDS_WHY_MAX, "contains '%s' \xc3", world->refuse);
        free(copy);
        return -EINVAL;
    }
    if ((world->no_room && strstr(copy, world->no_room)) ||
        map_put(&world->have[type], name, copy, &old) < 0) {
        free(copy);
        return -ENOMEM;
    }
    free(old);
    world->puts++;
    note("+%.*s ", (int)name.len, name.data);
    return 0;
}

static inline void removed(struct xds_client *c, enum xds_type type, struct text name)
{
    (void)c;
    free(map_remove(&world->have[type], name));
    world->removals++;
    note("-%.*s ", (int)name.len, name.data);
}

static inline void synced(struct xds_client *c, enum xds_type type)
{
    assert_true(c->stats.synced[type]);
    world->synced[type]++;
    note("synced ");
}

static inline void client_closed(struct xds_client *c, enum grpc_status status, struct text message)
{
    assert_false(c->started);
    assert_false(c->stats.connected);
    world->closed++;
    world->status = status;
    snprintf(world->message, sizeof world->message, "%.*s", (int)message.len, message.data);
}

static const struct xds_client_events client_events = {
    .put = put, .removed = removed, .synced = synced, .closed = client_closed};

/* ---- The server ---------------------------------------------------------------------------- */

static inline void server_message(struct grpc_call *call, const uint8_t *data, size_t len)
{
    struct delta_request r;
    char why[XDS_WHY_MAX];

    (void)call;
    if (delta_request_decode(data, len, &r, why) < 0)
        fail_msg("the client wrote what can't be read: %s", why);
    if (world->requested)
        world->requested(world, &r);
    if (world->keep_quiet) {
        delta_request_done(&r);
        return;
    }
    assert_true(world->n_requests < REQUESTS_MAX);
    world->requests[world->n_requests++] = r;
}

static inline void server_closed(struct grpc_call *call, enum grpc_status status,
                                 struct text message)
{
    (void)call, (void)status, (void)message;
    world->calling = false;
}

static const struct grpc_call_events server_events = {.message = server_message,
                                                      .closed = server_closed};

static inline struct http2_stream *accept_call(struct pair *p, const struct http2_head *head,
                                               unsigned *ret_status)
{
    struct text path, bearer;

    assert_false(world->calling);
    if (grpc_request_check(head, &path, &bearer, ret_status) < 0)
        return NULL;
    snprintf(world->path, sizeof world->path, "%.*s", (int)path.len, path.data);
    snprintf(world->bearer, sizeof world->bearer, "%.*s", (int)bearer.len,
             bearer.len ? bearer.data : "");
    world->calling = true;
    grpc_call_accept(&world->call, &p->server.pool, 0, &server_events, world);
    return &world->call.stream;
}

static inline void forget_requests(void)
{
    while (world->n_requests > 0)
        delta_request_done(&world->requests[--world->n_requests]);
}

static inline void connect_again(void)
{
    assert_int_equal(xds_client_start(&world->client, world->pair.client.http2,
                                      &world->pair.client.pool, TEXT("controller"),
                                      TEXT("a-token")),
                     0);
    pair_run(&world->pair);
    assert_true(world->calling);
}

static inline void open_world(struct world *w)
{
    *w = (struct world){.closed = 0};
    world = w;
    pair_open(&w->pair, NULL, NULL);
    w->pair.whole = true; /* how bytes are cut is tested where they are joined */
    w->pair.request = accept_call;
    xds_client_init(&w->client, "node-id", XDS_MESH, &client_events, w);
    for (unsigned i = 0; i < XDS_TYPE_COUNT; i++)
        map_init(&w->have[i], 0);
}

static inline void close_world(struct world *w)
{
    xds_client_done(&w->client);
    pair_run(&w->pair);
    pair_close(&w->pair);
    forget_requests();
    for (unsigned i = 0; i < XDS_TYPE_COUNT; i++)
        map_done(&w->have[i], free);
}

static inline void send_response(const struct delta_response *r)
{
    struct xds_bytes bytes;
    assert_int_equal(delta_response_encode(r, &bytes), 0);
    assert_int_equal(grpc_call_send(&world->call, bytes.data, bytes.len), 0);
    xds_bytes_done(&bytes);
    pair_run(&world->pair);
}

static inline struct delta_resource resource(enum xds_type type, const char *name,
                                             const char *version, const char *body)
{
    return (struct delta_resource){
        .name = (char *)name,
        .version = (char *)version,
        .type_url = (char *)xds_type_url(type),
        .body = (uint8_t *)body,
        .body_len = strlen(body),
    };
}

/* Resources and a list of removed names, and runs until the client has answered. */
static inline const struct delta_request *respond(enum xds_type type, const char *nonce,
                                                  struct delta_resource *resources, size_t n,
                                                  char **gone, size_t n_gone)
{
    struct delta_response r = {.type_url = (char *)xds_type_url(type),
                               .nonce = (char *)nonce,
                               .resources = resources,
                               .n_resources = n,
                               .removed = gone,
                               .n_removed = n_gone};
    size_t before = world->n_requests;
    world->log[0] = '\0';
    send_response(&r);
    assert_int_equal(world->n_requests, before + 1);
    const struct delta_request *answer = &world->requests[before];
    assert_string_equal(answer->nonce, nonce);
    assert_string_equal(answer->type_url, xds_type_url(type));
    assert_string_equal(answer->node_id, "");
    assert_int_equal(answer->n_subscribe + answer->n_unsubscribe + answer->n_initial, 0);
    return answer;
}

static inline void assert_has(enum xds_type type, const char *name, const char *body)
{
    const char *have = map_get(&world->have[type], text_of(name));
    if (!body) {
        assert_null(have);
        return;
    }
    assert_non_null(have);
    assert_string_equal(have, body);
}

static inline const char *initial_version(const struct delta_request *r, const char *name)
{
    for (size_t i = 0; i < r->n_initial; i++) {
        if (strcmp(r->initial[i].name, name) == 0)
            return r->initial[i].version;
    }
    return NULL;
}
#endif
