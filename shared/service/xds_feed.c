/* The connection to the controller; see the header. */
#include "shared/service/xds_feed.h"

#include "shared/base/log.h"
#include "shared/ring/socket.h"
#include <stdio.h>

enum { BACKOFF_MIN_MS = 50, BACKOFF_MAX_MS = 15000, BACKOFF_EXHAUSTED_MS = 5000, REST_MS = 5000, FEED_WINDOW = 4 * 1024 * 1024 };

static void connect_now(struct xds_feed *f);

static struct xds_feed *of_h2(struct h2_conn *h) { return container_of(h, struct xds_feed, h2); }

static void come_again(struct xds_feed *f)
{
    uint64_t wait = rng_jitter(ring_rng(f->options.ring), f->backoff_ms, 30);
    if (f->closing)
        return;
    timer_start(ring_timers(f->options.ring), &f->again, wait);
    f->backoff_ms = f->backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : f->backoff_ms * 2;
}

static void again(struct timer *t) { connect_now(container_of(t, struct xds_feed, again)); }

/* ---- what the controller says -------------------------------------------- */

static void hear(struct xds_feed *f)
{
    f->heard = true;
    timer_stop(ring_timers(f->options.ring), &f->old);
}

/* A stream on which nothing was said does not make what we have any younger. */
static void grow_old(struct xds_feed *f)
{
    if (f->heard && f->options.max_age_ms > 0 && !f->closing)
        timer_start(ring_timers(f->options.ring), &f->old, f->options.max_age_ms);
    f->heard = false;
}

/* A stream that has begun told the controller what we had, and would bring differences only: it begins again, with nothing. */
static void too_old(struct timer *t)
{
    struct xds_feed *f = container_of(t, struct xds_feed, old);
    log_warn("xds", "the controller is away for too long: what it said is forgotten");
    if (f->xds.started) {
        xds_client_stop(&f->xds);
        f->open = false;
        h2_conn_close(&f->h2);
    }
    xds_client_forget(&f->xds);
    f->synced_told = false;
    timer_stop(ring_timers(f->options.ring), &f->rest);
    ring_task_cancel(&f->changed_task);
    f->events->forgotten(f);
}

static void tell_changed(struct ring_task *task)
{
    struct xds_feed *f = container_of(task, struct xds_feed, changed_task);
    f->events->changed(f);
}

static int put(struct xds_client *c, enum xds_type type, struct text name, const uint8_t *body, size_t len, char why[static XDS_WHY_MAX])
{
    struct xds_feed *f = c->user;
    hear(f);
    ring_task_ask(f->options.ring, &f->changed_task);
    return f->events->put(f, type, name, body, len, why);
}

static void removed(struct xds_client *c, enum xds_type type, struct text name)
{
    struct xds_feed *f = c->user;
    hear(f);
    ring_task_ask(f->options.ring, &f->changed_task);
    f->events->removed(f, type, name);
}

static void tell_synced(struct xds_feed *f)
{
    timer_stop(ring_timers(f->options.ring), &f->rest);
    f->synced_told = true;
    f->events->synced(f);
}

static void rest_is_late(struct timer *t)
{
    struct xds_feed *f = container_of(t, struct xds_feed, rest);
    log_warn("xds", "the controller says nothing of routes: none are waited for");
    tell_synced(f);
}

static void synced(struct xds_client *c, enum xds_type type)
{
    struct xds_feed *f = c->user;
    (void)type;
    hear(f);
    f->backoff_ms = BACKOFF_MIN_MS;
    if (f->synced_told)
        return;
    if (xds_client_synced(c, f->options.types))
        tell_synced(f);
    else if (xds_client_synced(c, XDS_MESH) && !timer_running(&f->rest))
        timer_start(ring_timers(f->options.ring), &f->rest, REST_MS);
}

static void stream_closed(struct xds_client *c, enum grpc_status status, struct text message)
{
    struct xds_feed *f = c->user;
    snprintf(f->last_error, sizeof f->last_error, "%s: %.*s", grpc_status_name(status), (int)message.len, message.data);
    grow_old(f);
    if (status == GRPC_RESOURCE_EXHAUSTED && f->backoff_ms < BACKOFF_EXHAUSTED_MS)
        f->backoff_ms = BACKOFF_EXHAUSTED_MS; /* it has heard enough to begin with the shortest again, and would lack memory again */
    if (f->closing || !f->open)
        return;
    log_warn("xds", "the controller ended the stream: %s", f->last_error);
    f->open = false;
    h2_conn_close(&f->h2);
}

static const struct xds_client_events xds_events = {.put = put, .removed = removed, .synced = synced, .closed = stream_closed};

/* ---- the connection ------------------------------------------------------ */

static void give_up(struct xds_feed *f, const char *why)
{
    snprintf(f->last_error, sizeof f->last_error, "%s", why);
    log_error("xds", "%s", f->last_error);
    f->open = false;
    h2_conn_close(&f->h2);
}

static void ready(struct h2_conn *h)
{
    struct xds_feed *f = of_h2(h);
    const struct tls_peer *peer = conn_peer(&h->conn);
    char why[256];
    if (!f->open)
        return;
    if (!peer || !peer->present || strcmp(peer->uri, f->options.controller_identity) != 0) {
        snprintf(why, sizeof why, "the controller proved %.100s, not %.100s", peer && peer->present ? peer->uri : "nothing", f->options.controller_identity);
        give_up(f, why);
        return;
    }
    if (xds_client_start(&f->xds, h->http2, ring_chunks(f->options.ring), TEXT("weir-controller"), TEXT("")) < 0) {
        give_up(f, "the xDS stream can't be opened");
        return;
    }
    f->last_error[0] = '\0';
    log_info("xds", "connected to the controller");
}

static void closed(struct h2_conn *h, int error)
{
    struct xds_feed *f = of_h2(h);
    if (!f->open)
        return;
    f->open = false;
    snprintf(f->last_error, sizeof f->last_error, "connection: %.200s", h2_conn_why(h)[0] ? h2_conn_why(h) : strerror(-error));
    if (!f->closing)
        log_warn("xds", "the connection to the controller ended: %s", f->last_error);
    h2_conn_close(h);
}

static void drained(struct h2_conn *h)
{
    struct xds_feed *f = of_h2(h);
    if (!f->closing) {
        come_again(f);
        return;
    }
    xds_client_done(&f->xds);
    f->tls = tls_config_unref(f->tls);
    f->drained(f->drained_arg);
}

static const struct h2_conn_events h2_events = {.ready = ready, .closed = closed, .drained = drained};

static void connect_now(struct xds_feed *f)
{
    const struct h2_conn_options o = {.tls = f->tls, .ping_idle = true, .http2 = {.stream_window = FEED_WINDOW}};
    int fd;
    if (socket_open(ip_family(&f->options.controller.ip), &fd) < 0) {
        come_again(f);
        return;
    }
    f->open = true;
    if (h2_conn_open_client(&f->h2, f->options.ring, fd, &f->options.controller, &o, &h2_events, f) < 0) {
        f->open = false;
        come_again(f);
    }
}

void xds_feed_init(struct xds_feed *f, const struct xds_feed_options *o, const struct xds_feed_events *events, void *user)
{
    *f = (struct xds_feed){.options = *o, .events = events, .user = user, .backoff_ms = BACKOFF_MIN_MS};
    timer_init(&f->again, again);
    timer_init(&f->old, too_old);
    timer_init(&f->rest, rest_is_late);
    ring_task_init(&f->changed_task, tell_changed);
    xds_client_init(&f->xds, o->node_id, o->types, &xds_events, f);
    f->xds.machine = o->machine;
}

void xds_feed_set_tls(struct xds_feed *f, struct tls_config *client)
{
    bool first = !f->tls;
    if (!client || f->closing)
        return; /* an expired one may still be tried: the controller judges */
    tls_config_ref(client);
    tls_config_unref(f->tls);
    f->tls = client;
    if (first)
        connect_now(f);
}

void xds_feed_close(struct xds_feed *f, void (*taken_drained)(void *arg), void *arg)
{
    bool busy = f->tls && !timer_running(&f->again); /* a connection lives or drains */
    f->closing = true;
    f->drained = taken_drained;
    f->drained_arg = arg;
    timer_stop(ring_timers(f->options.ring), &f->again);
    timer_stop(ring_timers(f->options.ring), &f->old);
    timer_stop(ring_timers(f->options.ring), &f->rest);
    ring_task_cancel(&f->changed_task);
    if (f->open) {
        f->open = false;
        h2_conn_close(&f->h2);
    }
    if (busy)
        return;
    xds_client_done(&f->xds);
    f->tls = tls_config_unref(f->tls);
    taken_drained(arg);
}
