#include "controller/serve/ads_stream.h"
#include "shared/base/log.h"
#include "shared/xds/delta.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

/* ---- Sending -------------------------------------------------------------------------------- */

static struct flight *find_flight(struct ads_stream *s, uint64_t nonce)
{
    for (size_t i = 0; i < FLIGHTS_MAX; i++)
        if (s->flights[i].nonce == nonce)
            return &s->flights[i];
    return NULL;
}

/* 1: sent; 0: not now (memory is short, ads_tick() comes back). */
static int send_response(struct ads_stream *s, int type, const char *type_url,
                         struct interest_answer *a)
{
    char nonce[24], version[24];
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
    if (delta_response_encode(&response, &bytes) == 0)
        return ads_stream_send(s, find_flight(s, 0), type, &bytes);
    s->ads->waiting = true;
    return 0;
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
    return find_flight(s, 0) && ads_stream_has_room(s);
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
    if (fell_behind(s)) {
        ads_stream_finish(s, GRPC_UNAVAILABLE, "this client is too far behind: start again");
        return;
    }
    for (unsigned type = 0; type < XDS_TYPE_COUNT; type++) {
        if (interest_refresh(&s->interests[type], s->ads->catalog) < 0) {
            s->ads->waiting = true;
            return;
        }
    }
    for (size_t i = 0; i < ADS_STEPS && may_send(s);) {
        int r = send_answer(s, ads_steps[i].type, ads_steps[i].removals);
        if (r < 0)
            return;
        if (r == 0)
            i++;
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
    ads_stream_landed(s, f, request->has_error ? request->error_message : NULL);
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
    ads_stream_named(s, request->node_id);
    ads_stream_registers(s, &request->machine);
    if (s->over)
        return;
    take_ack(s, request);
    if (ads_stream_type(s, request->type_url, &type) < 0) {
        answer_unknown(s, request);
        return;
    }
    struct interest *sub = &s->interests[type];
    /* An acknowledgement alone asks for nothing, unless it is the first that we hear of the
     * type. */
    if (sub->started && request->n_subscribe == 0 && request->n_unsubscribe == 0)
        return;
    /* In Envoy's protocol a wildcard of clusters means all; a node proxy, who knows the Services themselves, needs those
     * that somebody wrote. It is one who has asked for what no consumer of Envoy's knows of, policies first. */
    if (!sub->started)
        sub->made_up = (type == XDS_CLUSTER || type == XDS_ENDPOINTS) &&
                       !s->interests[XDS_ADDRESS].started && !s->interests[XDS_AUTHORIZATION].started;
    int r = interest_request(sub, s->ads->catalog, request);
    if (r < 0)
        ads_stream_fail(s, r);
}

static void delta_request(struct ads_stream *s, const uint8_t *data, size_t len)
{
    struct delta_request request;
    char why[XDS_WHY_MAX];
    int r = delta_request_decode(data, len, &request, why);
    if (r < 0) {
        ads_stream_finish(s, r == -ENOMEM ? GRPC_UNAVAILABLE : GRPC_INVALID_ARGUMENT,
                          r == -ENOMEM ? "out of memory" : why);
        return;
    }
    take_request(s, &request);
    delta_request_done(&request);
}

/* ---- The dialect ---------------------------------------------------------------------------- */

static void init(struct ads_stream *s)
{
    for (unsigned type = 0; type < XDS_TYPE_COUNT; type++) {
        interest_init(&s->interests[type], (enum xds_type)type, ads_stream_names_max(s));
        s->interests[type].asker = &s->asker;
    }
    if (s->gateway_only)
        s->interests[XDS_GATEWAY].identity = s->peer;
}

static void done(struct ads_stream *s)
{
    for (unsigned type = 0; type < XDS_TYPE_COUNT; type++)
        interest_done(&s->interests[type]);
}

static uint64_t known_to(const struct ads_stream *s, enum xds_type type)
{
    return interest_known_to(&s->interests[type], s->ads->catalog);
}

static void describe(const struct ads_stream *s, enum xds_type type, struct ads_client *ret)
{
    const struct interest *sub = &s->interests[type];
    ret->started[type] = sub->started;
    ret->wildcard[type] = sub->wildcard;
    ret->names[type] = sub->names.count;
    ret->synced[type] = sub->started && sub->puts_at == s->ads->catalog->sequence &&
                        name_queue_empty(&sub->due) && name_queue_empty(&sub->gone);
}

const struct ads_dialect ads_delta = {
    .name = "delta",
    .path = {XDS_DELTA_PATH, sizeof XDS_DELTA_PATH - 1},
    .init = init,
    .done = done,
    .request = delta_request,
    .pump = pump,
    .known_to = known_to,
    .describe = describe,
};
