#include "controller/serve/ads_stream.h"
#include "shared/base/log.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- Sending -------------------------------------------------------------------------------- */

/* As the client sees them. `made` are to be freed, whatever comes of it. -ENOMEM. */
static int see_all(const struct asker *asker, const struct world_answer *a,
                   struct xds_bytes *bodies, struct xds_bytes *made)
{
    for (size_t i = 0; i < a->n; i++) {
        const struct resource *r = a->items[i];
        int err = asker_differs(asker, r) ? asker_body(asker, r, &made[i]) : -EINVAL;
        if (err == -ENOMEM)
            return err;
        bodies[i] = err == 0 ? made[i] : (struct xds_bytes){r->body, r->body_len};
    }
    return 0;
}

/* 1: sent; 0: not now (memory is short, ads_tick() comes back). */
static int send_response(struct ads_stream *s, enum xds_type type, const struct world_answer *a)
{
    char nonce[24], version[24];
    struct xds_bytes bytes, *bodies = calloc(2 * a->n + 1, sizeof *bodies);
    int err = bodies ? see_all(&s->asker, a, bodies, bodies + a->n) : -ENOMEM;
    snprintf(nonce, sizeof nonce, "%" PRIu64, s->nonce + 1);
    snprintf(version, sizeof version, "%" PRIu64, s->ads->catalog->sequence);
    const struct sotw_response response = {
        .version = version,
        .type_url = (char *)xds_type_url(type),
        .nonce = nonce,
        .resources = bodies,
        .n_resources = a->n,
    };
    if (err == 0)
        err = sotw_response_encode(&response, &bytes);
    for (size_t i = 0; bodies && i < a->n; i++)
        xds_bytes_done(&bodies[a->n + i]);
    free(bodies);
    return err < 0 ? 0 : ads_stream_send(s, &s->flights[type], type, &bytes);
}

/* 1: something was sent; 0: there is nothing to say of this type now; -EAGAIN: later. */
static int send_answer(struct ads_stream *s, enum xds_type type, bool removals)
{
    struct world_answer a;
    int r = world_answer(&s->worlds[type], s->ads->catalog, removals, &a);
    if (r == 0)
        return 0;
    if (r == -EMSGSIZE) {
        ads_stream_finish(s, GRPC_RESOURCE_EXHAUSTED,
                          "all of a type is too long for one response: ask for names");
        return -EAGAIN;
    }
    if (r > 0)
        r = send_response(s, type, &a);
    if (r > 0) {
        log_debug("xds", "%s: %s: %zu resources", s->node, xds_type_url(type), a.n);
        s->ads->stats.pushes[type]++;
        s->ads->stats.resources_sent[type] += a.n;
        world_told(&s->worlds[type], s->ads->catalog, &a);
    } else
        s->ads->waiting = true;
    world_answer_done(&a);
    return r > 0 ? 1 : -EAGAIN;
}

/* What comes later in the order waits until the client has acknowledged what comes before. */
static void pump(struct ads_stream *s)
{
    for (size_t i = 0; i < ADS_STEPS; i++) {
        enum xds_type type = ads_steps[i].type;
        if (s->flights[type].nonce || !ads_stream_has_room(s))
            return;
        if (send_answer(s, type, ads_steps[i].removals) != 0)
            return;
    }
}

/* ---- Requests ------------------------------------------------------------------------------- */

/* Names count whatever response a request answers: they are what the client asks for by now, and one
 * that it let go and asks for again in the meantime must be told again. */
static void take_nonce(struct ads_stream *s, enum xds_type type, const struct sotw_request *request)
{
    struct flight *f = &s->flights[type];
    uint64_t nonce = 0;
    if (f->nonce && text_to_u64(text_of(request->nonce), UINT64_MAX, &nonce) == 0 &&
        nonce == f->nonce)
        ads_stream_landed(s, f, request->has_error ? request->error_message : NULL);
}

/* Of a type that we don't have there is nothing, and saying so lets the client go on. */
static void answer_unknown(struct ads_stream *s, const struct sotw_request *request)
{
    struct xds_bytes bytes;
    const struct sotw_response response = {
        .version = (char *)"0", .type_url = request->type_url, .nonce = (char *)"0"};
    if (request->nonce[0] || !ads_stream_has_room(s) || sotw_response_encode(&response, &bytes) < 0)
        return;
    (void)grpc_call_send(&s->call, bytes.data, bytes.len);
    xds_bytes_done(&bytes);
}

static void take_request(struct ads_stream *s, const struct sotw_request *request)
{
    enum xds_type type;
    if (!s->node[0])
        asker_read(&s->asker, request);
    ads_stream_named(s, request->node_id);
    if (s->over)
        return;
    if (ads_stream_type(s, request->type_url, &type) < 0) {
        answer_unknown(s, request);
        return;
    }
    /* An answer that says "nothing" would take protection away from who believes it. */
    if (type == XDS_ADDRESS || type == XDS_AUTHORIZATION) {
        ads_stream_finish(s, GRPC_UNIMPLEMENTED,
                          "workloads and policies are served by DeltaAggregatedResources alone");
        return;
    }
    take_nonce(s, type, request);
    int r = world_request(&s->worlds[type], s->ads->catalog, request);
    if (r < 0)
        ads_stream_fail(s, r);
}

static void sotw_request(struct ads_stream *s, const uint8_t *data, size_t len)
{
    struct sotw_request request;
    char why[XDS_WHY_MAX];
    int r = sotw_request_decode(data, len, &request, why);
    if (r < 0) {
        ads_stream_finish(s, r == -ENOMEM ? GRPC_UNAVAILABLE : GRPC_INVALID_ARGUMENT,
                          r == -ENOMEM ? "out of memory" : why);
        return;
    }
    take_request(s, &request);
    sotw_request_done(&request);
}

/* ---- The dialect ---------------------------------------------------------------------------- */

static void init(struct ads_stream *s)
{
    for (unsigned type = 0; type < XDS_TYPE_COUNT; type++) {
        world_init(&s->worlds[type], (enum xds_type)type, ads_stream_names_max(s));
        s->worlds[type].asker = &s->asker;
    }
}

static void done(struct ads_stream *s)
{
    for (unsigned type = 0; type < XDS_TYPE_COUNT; type++)
        world_done(&s->worlds[type]);
}

static uint64_t known_to(const struct ads_stream *s, enum xds_type type)
{
    return world_known_to(&s->worlds[type], s->ads->catalog);
}

static void describe(const struct ads_stream *s, enum xds_type type, struct ads_client *ret)
{
    const struct world *w = &s->worlds[type];
    ret->started[type] = w->started;
    ret->wildcard[type] = w->wildcard;
    ret->names[type] = w->names.count;
    ret->synced[type] = world_is_synced(w, s->ads->catalog);
}

const struct ads_dialect ads_sotw = {
    .name = "sotw",
    .path = {XDS_SOTW_PATH, sizeof XDS_SOTW_PATH - 1},
    .init = init,
    .done = done,
    .request = sotw_request,
    .pump = pump,
    .known_to = known_to,
    .describe = describe,
};
