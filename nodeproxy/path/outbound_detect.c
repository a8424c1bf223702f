#include "nodeproxy/path/outbound_detect.h"

#include "nodeproxy/path/carrier.h"
#include "nodeproxy/path/protocol_detect.h"
#include <errno.h>
#include <stdlib.h>

struct outbound_detect {
    const struct outbound_detect_events *events;
    void *user;
    struct spiffe_id id; /* of the endpoint */
    struct upstream_endpoint endpoint;
    struct carrier *carrier;
    struct stream *server;          /* NULL: not open yet */
    struct protocol_detect *detect; /* NULL: handed over */
    bool bytes;                     /* decided */
};

static void decided(void *user, bool http)
{
    struct outbound_detect *d = user;
    d->bytes = !http;
    if (http || d->server)
        d->events->decided(d->user, http);
}

static void failed(void *user, enum ending ending)
{
    struct outbound_detect *d = user;
    d->events->failed(d->user, ending, "");
}

static const struct protocol_detect_events detect_events = {.decided = decided, .failed = failed};

static void opened(void *user, struct stream *stream)
{
    struct outbound_detect *d = user;
    d->server = stream;
    protocol_detect_set_server(d->detect, stream);
    carrier_start(d->carrier);
    if (d->bytes)
        d->events->decided(d->user, false);
}

static void carrier_failed(void *user, enum ending ending, const char *why)
{
    struct outbound_detect *d = user;
    d->events->failed(d->user, ending, why);
}

static void gone(void *user)
{
    struct outbound_detect *d = user;
    const struct outbound_detect_events *events = d->events;
    void *owner = d->user;
    free(d);
    events->drained(owner);
}

static const struct carrier_events carrier_events = {
    .opened = opened, .failed = carrier_failed, .gone = gone};

enum ending outbound_detect_open(struct outbound_detect **ret, const struct outbound_detect_options *o,
                                 const struct outbound_detect_events *events, void *user)
{
    const struct path_env *env = o->pod->env;
    struct outbound_detect *d = calloc(1, sizeof *d);
    if (!d)
        return ENDING_NO_MEMORY;
    d->events = events;
    d->user = user;
    enum ending ending = carrier_way(env, o->there, &o->to, &d->id, &d->endpoint);
    d->endpoint.service_host = o->service_host;
    d->endpoint.cluster = o->cluster;
    d->endpoint.tls = o->tls;
    int r = 0;
    if (ending == ENDING_NONE)
        r = protocol_detect_new(&d->detect, env->ring, o->client, env->config->idle_ms,
                                &detect_events, d);
    if (ending == ENDING_NONE && r == 0)
        r = carrier_open(&d->carrier, o->pod, &d->endpoint, &o->source, &carrier_events, d);
    d->endpoint.cluster = NULL; /* they may go before us */
    d->endpoint.tls = NULL;
    if (ending == ENDING_NONE && r == 0) {
        *ret = d;
        return ENDING_NONE;
    }
    protocol_detect_free(d->detect);
    free(d);
    return ending != ENDING_NONE ? ending
           : r == -ENOKEY        ? ENDING_NO_IDENTITY
           : r == -ENOMEM        ? ENDING_NO_MEMORY
                                 : ENDING_LIMIT;
}

const struct upstream_endpoint *outbound_detect_endpoint(const struct outbound_detect *d)
{
    return &d->endpoint;
}

const struct spiffe_id *outbound_detect_identity(const struct outbound_detect *d)
{
    return d->endpoint.way == UPSTREAM_DIRECT ? NULL : &d->id;
}

struct stream *outbound_detect_server(struct outbound_detect *d)
{
    return d->server;
}

void outbound_detect_hand_over(struct outbound_detect *d, bool http)
{
    struct protocol_detect *detect = d->detect;
    d->detect = NULL;
    if (http) {
        protocol_detect_forget_server(detect);
        carrier_close(d->carrier, true);
    }
    protocol_detect_hand_over(detect);
}

void outbound_detect_close(struct outbound_detect *d, bool clean)
{
    d->detect = protocol_detect_free(d->detect);
    carrier_close(d->carrier, clean);
}

enum ending outbound_detect_broken(const struct outbound_detect *d)
{
    return carrier_broken(d->carrier);
}
