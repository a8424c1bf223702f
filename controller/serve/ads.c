#include "controller/serve/ads.h"
#include "shared/base/log.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct flight {     /* a response that is not acknowledged yet */
    uint64_t nonce; /* 0: none */
    size_t bytes;
    int type; /* enum xds_type, or XDS_TYPE_COUNT: of a type that we don't have */
    uint64_t sent_ms;
};
struct ads_stream {
    struct grpc_call call;
    struct ads *ads;
    struct list link;
    struct interest interests[XDS_TYPE_COUNT];
    struct flight flights[FLIGHTS_MAX];
    uint64_t nonce, now_ms, connected_ms;
    bool refused, over; /* over: finished by us, its end is on the way */
    char node[256], peer[256];
};

static struct ads_stream *of_call(struct grpc_call *c)
{
    return container_of(c, struct ads_stream, call);
}

/* ---- Flights -------------------------------------------------------------------------------- */

static struct flight *find_flight(struct ads_stream *s, uint64_t nonce)
{
    for (size_t i = 0; i < FLIGHTS_MAX; i++)
        if (s->flights[i].nonce == nonce)
            return &s->flights[i];
    return NULL;
}

static void land(struct ads_stream *s, struct flight *f)
{
    s->ads->flight_bytes -= f->bytes;
    *f = (struct flight){0};
}

static void land_all(struct ads_stream *s)
{
    for (size_t i = 0; i < FLIGHTS_MAX; i++)
        if (s->flights[i].nonce)
            land(s, &s->flights[i]);
}

static void finish(struct ads_stream *s, enum grpc_status status, const char *message)
{
    if (s->over)
        return;
    s->over = true;
    land_all(s);
    grpc_call_finish(&s->call, status, message);
}

/* ---- Sending -------------------------------------------------------------------------------- */

/* 1: sent; 0: not now (memory is short, ads_tick() comes back). */
static int send_response(struct ads_stream *s, int type, const char *type_url,
                         struct interest_answer *a)
{
    char nonce[24], version[24];
    struct flight *f = find_flight(s, 0);
    snprintf(nonce, sizeof nonce, "%" PRIu64, s->nonce + 1);
    snprintf(version, sizeof version, "%" PRIu64, s->ads->catalog->sequence);
    const struct delta_response response = {
        .type_url = (char *)type_url,
        .nonce = nonce,
        .system_version = version,
        .resources = a->resources,
        .n_resources = a->n_resources,
        .removed = a->removed,
        .n_removed = a->n_removed,
    };
    struct xds_bytes bytes;
    int err = delta_response_encode(&response, &bytes);
    if (err == 0) {
        err = grpc_call_send(&s->call, bytes.data, bytes.len);
        if (err == 0) {
            *f = (struct flight){++s->nonce, bytes.len, type, s->now_ms};
            s->ads->flight_bytes += bytes.len;
        }
        xds_bytes_done(&bytes);
    }
    if (err < 0 && err != -EPIPE)
        s->ads->waiting = true;
    return err == 0;
}

/* 1: something was sent; 0: there is nothing to say of this type now; -EAGAIN: later. */
static int send_answer(struct ads_stream *s, enum xds_type type, bool removals)
{
    struct interest *sub = &s->interests[type];
    struct interest_answer a;
    int r = interest_answer(sub, s->ads->catalog, removals, &a);
    if (r == 0)
        return 0;
    if (r > 0)
        r = send_response(s, type, xds_type_url(type), &a);
    if (r > 0) {
        log_debug("xds", "%s: %s: %zu resources, %zu removed", s->node, xds_type_url(type),
                  a.n_resources, a.n_removed);
        s->ads->stats.pushes[type]++;
        s->ads->stats.resources_sent[type] += a.n_resources;
        interest_told(sub, s->ads->catalog, &a);
    } else
        s->ads->waiting = true;
    interest_answer_done(&a);
    return r > 0 ? 1 : -EAGAIN;
}

static bool may_send(struct ads_stream *s)
{
    if (s->over || !find_flight(s, 0) || grpc_call_queued(&s->call) > STREAM_QUEUE_HIGH)
        return false;
    bool first = s->flights[0].nonce == 0 && s->flights[1].nonce == 0;
    if (s->ads->flight_bytes <= ADS_FLIGHT_BYTES_MAX - (first ? 0 : ANSWER_BYTES_MAX))
        return true;
    s->ads->waiting = true;
    return false;
}

/* Too many names were removed while the client was behind: only a fresh start tells it all of
 * them. */
static bool fell_behind(const struct ads_stream *s)
{
    for (unsigned type = 0; type < XDS_TYPE_COUNT; type++) {
        const struct interest *sub = &s->interests[type];
        if (sub->started && sub->wildcard &&
            sub->removals_at < s->ads->catalog->logs[type].forgotten)
            return true;
    }
    return false;
}

static void pump(struct ads_stream *s)
{
    static const struct {
        enum xds_type type;
        bool removals;
    } order[] = {{XDS_AUTHORIZATION, false}, {XDS_ADDRESS, true}, {XDS_AUTHORIZATION, true}};

    if (s->refused || s->over)
        return;
    if (fell_behind(s)) {
        finish(s, GRPC_UNAVAILABLE, "this client is too far behind: start again");
        return;
    }
    for (unsigned type = 0; type < XDS_TYPE_COUNT; type++) {
        if (interest_refresh(&s->interests[type], s->ads->catalog) < 0) {
            s->ads->waiting = true;
            return;
        }
    }
    for (size_t i = 0; i < ARRAY_SIZE(order) && may_send(s);) {
        int r = send_answer(s, order[i].type, order[i].removals);
        if (r < 0)
            return;
        if (r == 0)
            i++;
    }
}

/* Graves that nobody needs any more. */
static void forget(struct ads *a)
{
    for (unsigned type = 0; type < XDS_TYPE_COUNT; type++) {
        uint64_t told = a->catalog->sequence;
        list_for_each (node, &a->streams) {
            struct ads_stream *s = container_of(node, struct ads_stream, link);
            uint64_t t =
                s->refused || s->over ? told : interest_known_to(&s->interests[type], a->catalog);
            told = t < told ? t : told;
        }
        catalog_forget(a->catalog, (enum xds_type)type, told);
    }
}

/* ---- Requests ------------------------------------------------------------------------------- */

static void take_ack(struct ads_stream *s, const struct delta_request *request)
{
    uint64_t nonce = 0;
    if (text_to_u64(text_of(request->nonce), UINT64_MAX, &nonce) < 0 || nonce == 0)
        return;
    struct flight *f = find_flight(s, nonce);
    if (!f || (f->type < XDS_TYPE_COUNT &&
               strcmp(request->type_url, xds_type_url((enum xds_type)f->type)) != 0)) {
        log_debug("xds", "%s: nonce %s of %s is none that waits", s->node, request->nonce,
                  request->type_url);
        return;
    }
    if (request->has_error) {
        if (f->type < XDS_TYPE_COUNT)
            s->ads->stats.nacks[f->type]++;
        log_warn("xds", "%s (%s) refuses a part of %s: %s", s->node, s->peer, request->type_url,
                 request->error_message);
    }
    land(s, f);
}

/* Of a type that we don't have there is nothing, and saying so lets the client go on. */
static void answer_unknown(struct ads_stream *s, const struct delta_request *request)
{
    struct interest_answer a = {.removed = request->subscribe, .n_removed = request->n_subscribe};
    if (request->nonce[0] && request->n_subscribe == 0)
        return;
    if (may_send(s))
        (void)send_response(s, XDS_TYPE_COUNT, request->type_url, &a);
}

static void take_request(struct ads_stream *s, const struct delta_request *request)
{
    enum xds_type type;
    if (!s->node[0]) {
        snprintf(s->node, sizeof s->node, "%s",
                 request->node_id[0] ? request->node_id : "(no node id)");
        log_info("xds", "%s (%s) is connected", s->node, s->peer);
    }
    take_ack(s, request);
    if (xds_type_of(text_of(request->type_url), &type) < 0) {
        answer_unknown(s, request);
        return;
    }
    struct interest *sub = &s->interests[type];
    /* An acknowledgement alone asks for nothing, unless it is the first that we hear of the
     * type. */
    if (sub->started && request->n_subscribe == 0 && request->n_unsubscribe == 0)
        return;
    int r = interest_request(sub, s->ads->catalog, request);
    if (r == -EINVAL)
        finish(s, GRPC_INVALID_ARGUMENT, "a resource name is too long");
    else if (r == -ENOSPC)
        finish(s, GRPC_RESOURCE_EXHAUSTED, "too many resource names on one stream");
    else if (r < 0)
        finish(s, GRPC_UNAVAILABLE, "out of memory");
}

static void call_message(struct grpc_call *c, const uint8_t *data, size_t len)
{
    struct ads_stream *s = of_call(c);
    struct delta_request request;
    char why[XDS_WHY_MAX];
    if (s->over)
        return;
    int r = delta_request_decode(data, len, &request, why);
    if (r < 0) {
        finish(s, r == -ENOMEM ? GRPC_UNAVAILABLE : GRPC_INVALID_ARGUMENT,
               r == -ENOMEM ? "out of memory" : why);
        return;
    }
    take_request(s, &request);
    delta_request_done(&request);
    pump(s);
}

static void call_half_closed(struct grpc_call *c)
{
    finish(of_call(c), GRPC_OK, NULL);
}

static void stream_free(struct ads_stream *s)
{
    land_all(s);
    list_remove(&s->link);
    for (unsigned type = 0; type < XDS_TYPE_COUNT; type++)
        interest_done(&s->interests[type]);
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

static struct ads_stream *stream_new(struct ads *a, struct chunk_pool *pool, const char *peer,
                                     uint64_t now_ms)
{
    struct ads_stream *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->ads = a;
    s->now_ms = s->connected_ms = now_ms;
    snprintf(s->peer, sizeof s->peer, "%s", peer);
    for (unsigned type = 0; type < XDS_TYPE_COUNT; type++)
        interest_init(&s->interests[type], (enum xds_type)type);
    list_push_back(&a->streams, &s->link);
    grpc_call_accept(&s->call, pool, ADS_REQUEST_MAX, &call_events, s);
    return s;
}

struct http2_stream *ads_accept(struct ads *a, struct chunk_pool *pool, const char *peer,
                                uint64_t now_ms)
{
    struct ads_stream *s = stream_new(a, pool, peer, now_ms);
    if (!s)
        return NULL;
    a->stats.clients++;
    return &s->call.stream;
}

struct http2_stream *ads_refuse(struct ads *a, struct chunk_pool *pool, enum grpc_status status,
                                const char *message)
{
    struct ads_stream *s = stream_new(a, pool, "", 0);
    if (!s)
        return NULL;
    s->refused = true;
    a->stats.refused++;
    finish(s, status, message);
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
    for (size_t i = 0; i < FLIGHTS_MAX; i++)
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
            finish(s, GRPC_DEADLINE_EXCEEDED, "responses were not acknowledged");
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
        finish(container_of(node, struct ads_stream, link), status, message);
}

void ads_each(const struct ads *a, void (*visit)(const struct ads_client *client, void *arg),
              void *arg)
{
    list_for_each (node, &a->streams) {
        const struct ads_stream *s = container_of(node, struct ads_stream, link);
        if (s->refused)
            continue;
        struct ads_client client = {
            .peer = s->peer, .node = s->node, .connected_ms = s->connected_ms};
        for (size_t i = 0; i < FLIGHTS_MAX; i++)
            client.unacknowledged += s->flights[i].nonce != 0;
        for (unsigned type = 0; type < XDS_TYPE_COUNT; type++) {
            const struct interest *sub = &s->interests[type];
            client.started[type] = sub->started;
            client.wildcard[type] = sub->wildcard;
            client.names[type] = sub->names.count;
            client.synced[type] =
                sub->started && sub->puts_at == a->catalog->sequence && sub->due.n == 0;
        }
        visit(&client, arg);
    }
}
