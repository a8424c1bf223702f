/* The node proxy's connection to the controller; see the header. */
#include "nodeproxy/control/subscription.h"

#include "shared/base/log.h"
#include "shared/ring/socket.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { BACKOFF_MIN_MS = 50, BACKOFF_MAX_MS = 15000 };

static void connect_now(struct subscription *s);

static struct subscription *of_h2(struct h2_conn *h) { return container_of(h, struct subscription, h2); }

static void come_again(struct subscription *s)
{
    uint64_t wait = rng_jitter(ring_rng(s->options.ring), s->backoff_ms, 30);
    if (s->closing)
        return;
    timer_start(ring_timers(s->options.ring), &s->again, wait);
    s->backoff_ms = s->backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : s->backoff_ms * 2;
}

static void again(struct timer *t)
{
    struct subscription *s = container_of(t, struct subscription, again);
    connect_now(s);
}

/* ---- what the controller says -------------------------------------------- */

static int put(struct xds_client *c, enum xds_type type, struct text name, const uint8_t *body, size_t len, char why[static XDS_WHY_MAX])
{
    struct subscription *s = c->user;
    struct workload *workload = NULL;
    struct service *service = NULL;
    struct policy *policy = NULL;
    int r;
    (void)name;
    if (type == XDS_AUTHORIZATION) {
        r = xds_policy_decode(body, len, &policy, why);
        if (r == 0)
            r = directory_put_policy(s->options.directory, policy);
    } else {
        r = xds_address_decode(body, len, &workload, &service, why);
        if (r == 0)
            r = workload ? directory_put_workload(s->options.directory, workload) : directory_put_service(s->options.directory, service);
    }
    if (r == -ENOMEM)
        snprintf(why, XDS_WHY_MAX, "the node proxy is out of memory");
    return r;
}

static void removed(struct xds_client *c, enum xds_type type, struct text name)
{
    struct subscription *s = c->user;
    if (type == XDS_AUTHORIZATION)
        (void)directory_remove_policy(s->options.directory, name);
    else if (!directory_remove_workload(s->options.directory, name))
        (void)directory_remove_service(s->options.directory, name);
}

static void synced(struct xds_client *c, enum xds_type type)
{
    struct subscription *s = c->user;
    (void)type;
    s->backoff_ms = BACKOFF_MIN_MS;
    s->options.changed(s->options.arg);
    if (!s->synced_told && c->stats.synced[XDS_ADDRESS] && c->stats.synced[XDS_AUTHORIZATION]) {
        s->synced_told = true;
        s->options.synced(s->options.arg);
    }
}

static void stream_closed(struct xds_client *c, enum grpc_status status, struct text message)
{
    struct subscription *s = c->user;
    snprintf(s->last_error, sizeof s->last_error, "%s: %.*s", grpc_status_name(status), (int)message.len, message.data);
    if (s->closing || !s->open)
        return;
    log_warn("xds", "the controller ended the stream: %s", s->last_error);
    s->open = false;
    h2_conn_close(&s->h2);
}

static const struct xds_client_events xds_events = {.put = put, .removed = removed, .synced = synced, .closed = stream_closed};

/* ---- the connection ------------------------------------------------------ */

static void ready(struct h2_conn *h)
{
    struct subscription *s = of_h2(h);
    const struct tls_peer *peer = conn_peer(&h->conn);
    if (!s->open)
        return;
    if (!peer || !peer->present || strcmp(peer->uri, s->options.controller_identity) != 0) {
        snprintf(s->last_error, sizeof s->last_error, "the controller proved %.120s, not %.120s", peer && peer->present ? peer->uri : "nothing", s->options.controller_identity);
        log_error("xds", "%s", s->last_error);
        s->open = false;
        h2_conn_close(h);
        return;
    }
    int r = xds_client_start(&s->xds, h->http2, ring_chunks(s->options.ring), TEXT("weir-controller"), TEXT(""));
    if (r < 0) {
        s->open = false;
        h2_conn_close(h);
        return;
    }
    s->last_error[0] = '\0';
    log_info("xds", "connected to the controller");
}

static void closed(struct h2_conn *h, int error)
{
    struct subscription *s = of_h2(h);
    if (!s->open)
        return;
    s->open = false;
    if (!s->closing) {
        snprintf(s->last_error, sizeof s->last_error, "connection: %.200s (error %d)", conn_why(&h->conn), -error);
        log_warn("xds", "the connection to the controller ended: %s", s->last_error);
    }
    h2_conn_close(h);
}

static void drained(struct h2_conn *h)
{
    struct subscription *s = of_h2(h);
    xds_client_stop(&s->xds);
    if (s->closing) {
        s->credential = credential_unref(s->credential);
        xds_client_done(&s->xds);
        s->drained(s->drained_arg);
        return;
    }
    come_again(s);
}

static const struct h2_conn_events h2_events = {.ready = ready, .closed = closed, .drained = drained};

static void connect_now(struct subscription *s)
{
    const struct h2_conn_options o = {.tls = s->credential->client, .http2 = {.stream_window = 4 * 1024 * 1024}};
    int fd;
    if (socket_open(ip_family(&s->options.controller.ip), &fd) < 0) {
        come_again(s);
        return;
    }
    s->open = true;
    if (h2_conn_open_client(&s->h2, s->options.ring, fd, &s->options.controller, &o, &h2_events, s) < 0) {
        s->open = false;
        come_again(s);
    }
}

void subscription_init(struct subscription *s, const struct subscription_options *o)
{
    *s = (struct subscription){.options = *o, .backoff_ms = BACKOFF_MIN_MS};
    timer_init(&s->again, again);
    xds_client_init(&s->xds, o->node_id, &xds_events, s);
}

void subscription_set_credential(struct subscription *s, struct credential *c)
{
    bool first = !s->credential;
    if (!c || s->closing)
        return; /* an expired one may still be tried: the controller judges */
    credential_ref(c);
    credential_unref(s->credential);
    s->credential = c;
    if (first)
        connect_now(s);
}

void subscription_close(struct subscription *s, void (*taken_drained)(void *arg), void *arg)
{
    s->closing = true;
    s->drained = taken_drained;
    s->drained_arg = arg;
    timer_stop(ring_timers(s->options.ring), &s->again);
    bool connected = s->open;
    if (connected) {
        s->open = false;
        h2_conn_close(&s->h2);
        return;
    }
    s->credential = credential_unref(s->credential);
    xds_client_done(&s->xds);
    taken_drained(arg);
}
