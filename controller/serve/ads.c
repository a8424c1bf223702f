#include "controller/serve/ads_stream.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/xds/gateway.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const struct ads_dialect *const dialects[] = {&ads_delta, &ads_sotw};

/* Who knows a Service knows by then what is wanted of connections to it: policies, and whether its cluster asks for TLS. */
const struct ads_step ads_steps[ADS_STEPS] = {
    {XDS_AUTHORIZATION, false}, {XDS_CLUSTER, false},   {XDS_ENDPOINTS, false},
    {XDS_ADDRESS, true},        {XDS_AUTHORIZATION, true}, {XDS_LISTENER, true},
    {XDS_ROUTES, true},         {XDS_CLUSTER, true},    {XDS_ENDPOINTS, true},
    {XDS_GATEWAY, true},
};

static struct ads_stream *of_call(struct grpc_call *c)
{
    return container_of(c, struct ads_stream, call);
}

/* ---- Flights -------------------------------------------------------------------------------- */

static void land(struct ads_stream *s, struct flight *f)
{
    s->ads->flight_bytes -= f->bytes;
    *f = (struct flight){0};
}

static void land_all(struct ads_stream *s)
{
    for (size_t i = 0; i < ARRAY_SIZE(s->flights); i++)
        if (s->flights[i].nonce)
            land(s, &s->flights[i]);
}

/* A client's words, as they can be shown. */
static void keep_words(char *to, size_t size, const char *words)
{
    snprintf(to, size, "%s", words);
    for (char *c = to; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = ' ';
}

void ads_stream_landed(struct ads_stream *s, struct flight *f, const char *error)
{
    const char *url =
        f->type < XDS_TYPE_COUNT ? xds_type_url((enum xds_type)f->type) : "what it has";
    if (error) {
        if (f->type < XDS_TYPE_COUNT)
            s->ads->stats.nacks[f->type]++;
        log_warn("xds", "%s (%s) refuses a part of %s: %s", s->node, s->peer, url, error);
    }
    if (f->type < XDS_TYPE_COUNT && (error || s->nack_type == (enum xds_type)f->type)) {
        keep_words(s->nack, sizeof s->nack, error ? error[0] ? error : "(no reason)" : "");
        s->nack_type = (enum xds_type)f->type;
    }
    land(s, f);
}

/* ---- For the dialects ------------------------------------------------------------------------ */

void ads_stream_finish(struct ads_stream *s, enum grpc_status status, const char *message)
{
    if (s->over)
        return;
    s->over = true;
    land_all(s);
    grpc_call_finish(&s->call, status, message);
}

void ads_stream_fail(struct ads_stream *s, int error)
{
    if (error == -EINVAL)
        ads_stream_finish(s, GRPC_INVALID_ARGUMENT, "a resource name is too long");
    else if (error == -ENOSPC)
        ads_stream_finish(s, GRPC_RESOURCE_EXHAUSTED, "too many resource names on one stream");
    else
        ads_stream_finish(s, GRPC_UNAVAILABLE, "out of memory");
}

void ads_stream_named(struct ads_stream *s, const char *node_id)
{
    if (s->node[0])
        return;
    keep_words(s->node, sizeof s->node, node_id[0] ? node_id : "(no node id)");
    log_info("xds", "%s (%s) is connected", s->node, s->peer);
    if (!spiffe_id_present(&s->sidecar))
        return;
    char own[XDS_NAME_MAX];
    asker_is_sidecar(&s->asker, &s->sidecar, text_of(node_id));
    if (!s->asker.owner[0] ||
        !catalog_get(s->ads->catalog, XDS_LISTENER, sidecar_own_name(s->asker.owner, own)))
        ads_stream_finish(s, GRPC_PERMISSION_DENIED,
                          "the node id names no pod with a sidecar (weir.mesh/sidecar: envoy) that is "
                          "this identity");
}

static enum grpc_status registry_status(int error)
{
    switch (error) {
    case -EACCES:
        return GRPC_PERMISSION_DENIED;
    case -ENOENT:
        return GRPC_NOT_FOUND;
    case -EEXIST:
        return GRPC_ALREADY_EXISTS;
    case -EINVAL:
        return GRPC_INVALID_ARGUMENT;
    default:
        return GRPC_RESOURCE_EXHAUSTED;
    }
}

void ads_stream_registers(struct ads_stream *s, const struct delta_machine *machine)
{
    char why[WHY_MAX] = "";
    if (s->machine || s->over || !machine->group[0])
        return;
    if (!s->ads->registry) {
        ads_stream_finish(s, GRPC_UNIMPLEMENTED,
                          "machines don't register themselves here (--registrations FILE)");
        return;
    }
    const struct registry_claim claim = {s->peer, s->from, *machine, clock_unix_s()};
    int err = s->routes_only || s->gateway_only
                  ? why_say(-EACCES, why, "only a machine registers itself")
                  : registry_enter(s->ads->registry, &claim, &s->machine, why);
    if (err < 0) {
        log_warn("registry", "%s (%s) is not registered: %s", s->node, s->peer, why);
        ads_stream_finish(s, registry_status(err), why);
    }
}

bool ads_stream_has_room(struct ads_stream *s)
{
    bool first = true;
    if (s->over || grpc_call_queued(&s->call) > STREAM_QUEUE_HIGH)
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(s->flights); i++)
        first = first && s->flights[i].nonce == 0;
    /* Strangers that acknowledge nothing must not keep node proxies waiting. */
    size_t max = s->routes_only || s->gateway_only ? ADS_FLIGHT_BYTES_MAX / 2 : ADS_FLIGHT_BYTES_MAX;
    if (s->ads->flight_bytes <= max - (first ? 0 : ANSWER_BYTES_MAX))
        return true;
    s->ads->waiting = true;
    return false;
}

int ads_stream_send(struct ads_stream *s, struct flight *f, int type, struct xds_bytes *taken)
{
    assert(f->nonce == 0);
    int err = grpc_call_send(&s->call, taken->data, taken->len);
    if (err == 0) {
        *f = (struct flight){++s->nonce, taken->len, type, s->now_ms};
        s->ads->flight_bytes += taken->len;
    }
    if (type == XDS_GATEWAY)
        xds_secret_bytes_done(taken);
    else
        xds_bytes_done(taken);
    if (err < 0 && err != -EPIPE)
        s->ads->waiting = true;
    return err == 0;
}

int ads_stream_type(const struct ads_stream *s, const char *url, enum xds_type *ret)
{
    enum xds_type type;
    if (xds_type_of(text_of(url), &type) < 0)
        return -ENOENT;
    if ((s->routes_only && (type == XDS_ADDRESS || type == XDS_AUTHORIZATION)) ||
        s->gateway_only != (type == XDS_GATEWAY))
        return -ENOENT;
    *ret = type;
    return 0;
}

static void pump(struct ads_stream *s)
{
    if (!s->refused && !s->over)
        s->dialect->pump(s);
}

/* Graves that nobody needs any more. */
static void forget(struct ads *a)
{
    for (unsigned type = 0; type < XDS_TYPE_COUNT; type++) {
        uint64_t told = a->catalog->sequence;
        list_for_each (node, &a->streams) {
            struct ads_stream *s = container_of(node, struct ads_stream, link);
            uint64_t t =
                s->refused || s->over ? told : s->dialect->known_to(s, (enum xds_type)type);
            told = t < told ? t : told;
        }
        catalog_forget(a->catalog, (enum xds_type)type, told);
    }
}

/* ---- Requests ------------------------------------------------------------------------------- */

static void call_message(struct grpc_call *c, const uint8_t *data, size_t len)
{
    struct ads_stream *s = of_call(c);
    if (s->over)
        return;
    s->dialect->request(s, data, len);
    pump(s);
}

static void call_half_closed(struct grpc_call *c)
{
    ads_stream_finish(of_call(c), GRPC_OK, NULL);
}

static void stream_free(struct ads_stream *s)
{
    land_all(s);
    list_remove(&s->link);
    s->dialect->done(s);
    if (s->machine)
        registry_leave(s->ads->registry, s->machine, s->now_ms);
    if (!s->refused)
        s->ads->stats.clients--;
    free(s);
}

static void call_closed(struct grpc_call *c, enum grpc_status status, struct text message)
{
    struct ads_stream *s = of_call(c);
    if (s->node[0])
        log_info("xds", "%s (%s) is gone: %s%s%.*s", s->node, s->peer, grpc_status_name(status),
                 message.len ? ": " : "", (int)message.len, message.data);
    struct ads *a = s->ads;
    stream_free(s);
    forget(a);
}

static void call_writable(struct grpc_call *c)
{
    pump(of_call(c));
}

static const struct grpc_call_events call_events = {
    .message = call_message,
    .half_closed = call_half_closed,
    .closed = call_closed,
    .writable = call_writable,
};

/* ---- The service ---------------------------------------------------------------------------- */

void ads_init(struct ads *a, struct catalog *catalog)
{
    *a = (struct ads){.catalog = catalog};
    list_init(&a->streams);
}

void ads_done(struct ads *a)
{
    list_for_each (node, &a->streams) {
        struct ads_stream *s = container_of(node, struct ads_stream, link);
        grpc_call_cancel(&s->call);
        stream_free(s);
    }
}

static struct ads_stream *stream_new(struct ads *a, struct chunk_pool *pool,
                                     const struct ads_dialect *dialect,
                                     const struct ads_caller *caller)
{
    struct ads_stream *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->ads = a;
    s->dialect = dialect;
    s->now_ms = s->connected_ms = caller->now_ms;
    s->routes_only = caller->routes_only;
    if (caller->sidecar)
        s->sidecar = *caller->sidecar;
    s->gateway_only = caller->gateway_only;
    s->from = caller->from;
    snprintf(s->peer, sizeof s->peer, "%s", caller->identity);
    dialect->init(s);
    list_push_back(&a->streams, &s->link);
    grpc_call_accept(&s->call, pool,
                     s->routes_only ? ADS_STRANGERS_REQUEST_MAX : ADS_REQUEST_MAX, &call_events, s);
    return s;
}

struct http2_stream *ads_accept(struct ads *a, struct chunk_pool *pool,
                                const struct ads_caller *caller)
{
    for (size_t i = 0; i < ARRAY_SIZE(dialects); i++) {
        if (!text_equal(caller->path, dialects[i]->path) ||
            (caller->gateway_only && dialects[i] != &ads_delta))
            continue;
        struct ads_stream *s = stream_new(a, pool, dialects[i], caller);
        if (!s)
            return NULL;
        a->stats.clients++;
        return &s->call.stream;
    }
    return ads_refuse(
        a, pool, GRPC_UNIMPLEMENTED,
        "only DeltaAggregatedResources and StreamAggregatedResources are served here");
}

struct http2_stream *ads_refuse(struct ads *a, struct chunk_pool *pool, enum grpc_status status,
                                const char *message)
{
    struct ads_stream *s = stream_new(a, pool, &ads_delta, &(struct ads_caller){.identity = ""});
    if (!s)
        return NULL;
    s->refused = true;
    a->stats.refused++;
    ads_stream_finish(s, status, message);
    return &s->call.stream;
}

void ads_push(struct ads *a, uint64_t now_ms)
{
    a->waiting = false;
    list_for_each (node, &a->streams) {
        struct ads_stream *s = container_of(node, struct ads_stream, link);
        s->now_ms = now_ms;
        pump(s);
    }
    forget(a);
}

static bool is_stuck(const struct ads_stream *s, uint64_t now_ms)
{
    for (size_t i = 0; i < ARRAY_SIZE(s->flights); i++)
        if (s->flights[i].nonce && now_ms > s->flights[i].sent_ms + ADS_ACK_MS)
            return true;
    return false;
}

void ads_tick(struct ads *a, uint64_t now_ms)
{
    list_for_each (node, &a->streams) {
        struct ads_stream *s = container_of(node, struct ads_stream, link);
        s->now_ms = now_ms;
        if (!s->over && is_stuck(s, now_ms)) {
            log_warn("xds", "%s (%s) does not acknowledge: cut off", s->node, s->peer);
            ads_stream_finish(s, GRPC_DEADLINE_EXCEEDED, "responses were not acknowledged");
            http2_stream_reset(&s->call.stream,
                               HTTP2_CANCEL); /* it may not read our status either */
        }
    }
    if (a->waiting)
        ads_push(a, now_ms);
    else
        forget(a);
}

void ads_finish(struct ads *a, enum grpc_status status, const char *message)
{
    list_for_each (node, &a->streams)
        ads_stream_finish(container_of(node, struct ads_stream, link), status, message);
}

void ads_each(const struct ads *a, void (*visit)(const struct ads_client *client, void *arg),
              void *arg)
{
    list_for_each (node, &a->streams) {
        const struct ads_stream *s = container_of(node, struct ads_stream, link);
        if (s->refused)
            continue;
        struct ads_client client = {.peer = s->peer,
                                    .node = s->node,
                                    .dialect = s->dialect->name,
                                    .connected_ms = s->connected_ms,
                                    .nack = s->nack,
                                    .nack_type = s->nack_type};
        for (size_t i = 0; i < ARRAY_SIZE(s->flights); i++)
            client.unacknowledged += s->flights[i].nonce != 0;
        for (unsigned type = 0; type < XDS_TYPE_COUNT; type++)
            s->dialect->describe(s, (enum xds_type)type, &client);
        visit(&client, arg);
    }
}
