/* Connections of node proxies and their calls; see the header. */
#include "ca/callers.h"

#include "ca/account_token.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/ring/socket.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { LEAVE_MS = 5000 };

struct caller { /* one connection; owned by `all`, freed when it has drained */
    struct list link;
    struct callers *callers;
    struct h2_conn h2;
    struct ip from;
    struct timer idle; /* and, when it has been told to go, how long that may take */
    unsigned n_watches;
    bool leaving;
};
struct request { /* one call; freed in its closed event */
    struct grpc_call call;
    struct caller *caller;
    char *bearer;
    struct review review;
    uint8_t *waiting; /* the message, while the token is reviewed; else NULL */
    size_t waiting_len;
    struct deed *deed; /* that is being written; else NULL */
    struct watcher watcher;
    bool watch;        /* it asks for that, and not for a certificate */
    bool answered;     /* or: it watches */
};
struct deed { /* a decision, until it is written: longer than its call, if that has gone */
    struct grant_answer answer;
    struct request *request; /* NULL: it has gone */
    struct callers *callers;
    bool watch; /* that is asked for, and nothing is written */
    /* While somebody else looks up who asks; what `ask` points at is in the rest, then. */
    struct ledger_entry lookup;
    struct grant_ask ask;
    struct tls_peer peer;
    struct ip from;
    char *bearer, *uri; /* heap */
    uint8_t *message;
};

/* ---- requests ------------------------------------------------------------ */

void callers_log(const struct grant_answer *a)
{
    if (a->status == GRPC_OK)
        log_info("issue", "node=%s identity=%s serial=%s proof=%s", a->node, a->identity,
                 a->issued.serial, a->proof);
    else
        log_warn(a->node[0] ? "issue" : "attest",
                 "refused: node=%s identity=%s status=%s reason=%s",
                 a->node[0] ? a->node : "unknown", a->identity[0] ? a->identity : "unknown",
                 grpc_status_name(a->status), a->why);
}

static void refuse(struct request *q, enum grpc_status status, const char *message)
{
    q->answered = true;
    q->caller->callers->refused[status]++;
    grpc_call_finish(&q->call, status, message);
}

static void answer(struct request *q, const struct grant_answer *a)
{
    struct xds_bytes bytes;
    if (a->status != GRPC_OK) {
        refuse(q, a->status, a->message);
        return;
    }
    if (certificate_response_encode(&a->response, &bytes) < 0) {
        refuse(q, GRPC_RESOURCE_EXHAUSTED, "the CA is out of memory");
        return;
    }
    int r = grpc_call_send(&q->call, bytes.data, bytes.len);
    xds_bytes_done(&bytes);
    if (r < 0) {
        refuse(q, GRPC_RESOURCE_EXHAUSTED, "the CA is out of memory");
        return;
    }
    q->answered = true;
    q->caller->callers->issued++;
    grpc_call_finish(&q->call, GRPC_OK, NULL);
}

static void stay(struct caller *c)
{
    if (!c->leaving)
        timer_start(ring_timers(c->callers->ring), &c->idle, c->callers->idle_ms);
}

static void deed_free(struct deed *d)
{
    if (d->bearer)
        key_wipe(d->bearer, strlen(d->bearer));
    free(d->bearer);
    free(d->uri);
    free(d->message);
    free(d);
}

static void deed_done(struct deed *d)
{
    struct grant_answer *a = &d->answer;
    struct request *q = d->request;
    grant_settle(a);
    callers_log(a);
    if (q) {
        q->deed = NULL;
        if (a->node[0])
            stay(q->caller);
        answer(q, a); /* the call may be gone after that */
    }
    if (a->status == GRPC_OK)
        certificate_response_done(&a->response);
    deed_free(d);
}

static void deed_written(struct ledger_entry *e)
{
    deed_done(container_of(container_of(e, struct grant_answer, entry), struct deed, answer));
}

bool callers_audit(struct callers *c, const struct grant_answer *a)
{
    if (a->status == GRPC_OK || a->spends)
        return true;
    if (audit_share_take(&c->audit_share, a->node[0] ? AUDIT_KNOWN : AUDIT_STRANGERS,
                         ring_now_ms(c->ring)))
        return true;
    c->unaudited++;
    return false;
}

static void write_deed(struct callers *c, struct deed *d)
{
    struct ledger_entry *e = &d->answer.entry;
    if (!callers_audit(c, &d->answer)) {
        deed_done(d);
        return;
    }
    e->written = deed_written;
    if (!c->ledger) {
        ledger_write(c->grant->store, &e, 1);
        deed_done(d);
    } else if (ledger_put(c->ledger, e) < 0) {
        e->result = -EAGAIN;
        snprintf(e->why, sizeof e->why, "the ledger is full");
        deed_done(d);
    }
}

static void forget_bearer(struct request *q)
{
    if (q->bearer)
        key_wipe(q->bearer, strlen(q->bearer));
    free(q->bearer);
    q->bearer = NULL;
}

/* A watch lives as long as its connection: what proved who asks does not. */
static void watch(struct request *q, const struct grant_answer *a)
{
    struct callers *c = q->caller->callers;
    const char *message = a->message;
    enum grpc_status status = a->status;
    if (status == GRPC_OK && c->leaving) {
        status = GRPC_UNAVAILABLE;
        message = "the CA ends";
    }
    if (status == GRPC_OK)
        status = watchers_add(&c->watchers, &q->watcher, &q->call, a->node, &message);
    log_debug("watch", "node=%s status=%s reason=%s", a->node, grpc_status_name(status),
              a->why[0] ? a->why : message);
    if (status != GRPC_OK) {
        refuse(q, status, message);
        return;
    }
    q->answered = true;
    forget_bearer(q);
    q->caller->n_watches++;
}

static void deed_watches(struct deed *d)
{
    struct request *q = d->request;
    if (q) {
        q->deed = NULL;
        watch(q, &d->answer); /* the call may be gone after that */
    }
    deed_free(d);
}

static void look_up(struct store *s, struct ledger_entry *e)
{
    struct deed *d = container_of(e, struct deed, lookup);
    grant_prove(s, &d->callers->grant->proxy_id, &d->ask, &d->answer);
}

static void looked_up(struct ledger_entry *e)
{
    struct deed *d = container_of(e, struct deed, lookup);
    if (d->watch) {
        grant_watch(d->callers->grant, &d->ask, &d->answer);
        deed_watches(d);
        return;
    }
    d->ask.placement_known = d->callers->events->placement_known(d->callers);
    grant_conclude(d->callers->grant, &d->ask, &d->answer);
    write_deed(d->callers, d);
}

/* The call may go meanwhile, and all that is its own. -errno: nobody looks. */
static int start_lookup(struct deed *d, const struct grant_ask *ask)
{
    d->ask = *ask;
    d->bearer = text_dup(ask->bearer);
    d->uri = text_dup(text_of(ask->peer && ask->peer->uri ? ask->peer->uri : ""));
    d->message = malloc(ask->len ? ask->len : 1);
    if (!d->bearer || !d->uri || !d->message)
        return -ENOMEM;
    if (ask->len > 0)
        memcpy(d->message, ask->request, ask->len);
    if (ask->peer)
        d->peer = *ask->peer;
    d->peer.uri = d->uri;
    d->from = *ask->from;
    d->ask.bearer = text_of(d->bearer);
    d->ask.peer = ask->peer ? &d->peer : NULL;
    d->ask.from = &d->from;
    d->ask.request = d->message;
    d->lookup = (struct ledger_entry){.work = look_up, .written = looked_up};
    return ledger_put(d->callers->lookups, &d->lookup);
}

/* review NULL: nobody has reviewed the token, if there is one. */
static void decide(struct request *q, const struct review_answer *review, const uint8_t *data,
                   size_t len)
{
    struct callers *c = q->caller->callers;
    struct deed *d = calloc(1, sizeof *d); /* large */
    if (!d) {
        refuse(q, GRPC_RESOURCE_EXHAUSTED, "the CA is out of memory");
        return;
    }
    const struct grant_ask ask = {
        .bearer = text_of(q->bearer),
        .who = review && review->status == GRPC_OK ? &review->who : NULL,
        .peer = conn_peer(&q->caller->h2.conn),
        .from = &q->caller->from,
        .request = data,
        .len = len,
        .placement_known = c->events->placement_known(c),
        .now_s = clock_unix_s(),
        .now_ms = ring_now_ms(c->ring),
    };
    d->request = q;
    d->callers = c;
    d->watch = q->watch;
    q->deed = d;
    if (review && review->status != GRPC_OK)
        grant_refuse(&ask, review->status, review->message, review->why, &d->answer);
    else if ((!c->lookups || ask.who) && d->watch) {
        grant_prove(c->grant->store, &c->grant->proxy_id, &ask, &d->answer);
        grant_watch(c->grant, &ask, &d->answer);
    } else if (!c->lookups || ask.who)
        grant_decide(c->grant, &ask, &d->answer);
    else if (start_lookup(d, &ask) == 0)
        return;
    else
        grant_refuse(&ask, GRPC_UNAVAILABLE, "the CA can't look up tokens now",
                     "too many are looked up", &d->answer);
    if (d->watch)
        deed_watches(d);
    else
        write_deed(c, d);
}

static void reviewed(struct review *r, const struct review_answer *a)
{
    struct request *q = container_of(r, struct request, review);
    uint8_t *data = q->waiting;
    q->waiting = NULL;
    decide(q, a, data, q->waiting_len); /* the call may be gone after that */
    free(data);
}

static void review(struct request *q, const uint8_t *data, size_t len)
{
    struct review_answer a;
    q->review.done = reviewed;
    q->waiting = malloc(len ? len : 1);
    if (!q->waiting) {
        refuse(q, GRPC_RESOURCE_EXHAUSTED, "the CA is out of memory");
        return;
    }
    if (len > 0)
        memcpy(q->waiting, data, len);
    q->waiting_len = len;
    if (reviews_ask(q->caller->callers->reviews, &q->review, text_of(q->bearer), &q->caller->from,
                    &a) == 0)
        reviewed(&q->review, &a);
}

static void call_message(struct grpc_call *call, const uint8_t *data, size_t len)
{
    struct request *q = call->user;
    if (q->answered || q->waiting || q->deed)
        return;
    if (q->caller->callers->reviews && account_token_is(text_of(q->bearer)))
        review(q, data, len);
    else
        decide(q, NULL, data, len);
}

static void call_half_closed(struct grpc_call *call)
{
    struct request *q = call->user;
    if (!q->answered && !q->waiting && !q->deed)
        refuse(q, GRPC_INVALID_ARGUMENT, "a request message is needed");
}

static void call_closed(struct grpc_call *call, enum grpc_status status, struct text message)
{
    struct request *q = call->user;
    (void)status;
    (void)message;
    review_cancel(&q->review);
    if (q->watcher.watchers) {
        watcher_gone(&q->watcher);
        if (--q->caller->n_watches == 0)
            stay(q->caller);
    }
    if (q->deed)
        q->deed->request = NULL;
    free(q->waiting);
    forget_bearer(q);
    free(q);
}

static const struct grpc_call_events call_events = {
    .message = call_message, .half_closed = call_half_closed, .closed = call_closed};

static struct http2_stream *caller_request(struct h2_conn *h, const struct http2_head *head,
                                           unsigned *ret_status)
{
    struct caller *c = container_of(h, struct caller, h2);
    struct text path, bearer;
    if (grpc_request_check(head, &path, &bearer, ret_status) < 0)
        return NULL;
    struct request *q = calloc(1, sizeof *q);
    char *copy = q ? text_dup(bearer) : NULL;
    if (!copy) {
        free(q);
        *ret_status = 503;
        return NULL;
    }
    q->caller = c;
    q->bearer = copy;
    grpc_call_accept(&q->call, ring_chunks(c->callers->ring), CALLERS_MESSAGE_MAX, &call_events, q);
    q->watch = text_equal(path, TEXT(XDS_TRUST_PATH));
    if (!q->watch && !text_equal(path, TEXT(XDS_CREATE_CERTIFICATE_PATH)))
        refuse(q, GRPC_UNIMPLEMENTED, "the CA serves " XDS_CREATE_CERTIFICATE_PATH);
    return &q->call.stream;
}

/* ---- connections --------------------------------------------------------- */

static void look_drained(struct callers *c)
{
    if (!c->leaving || !c->listener_gone || !list_empty(&c->all) || c->told)
        return;
    c->told = true;
    c->tls = tls_config_unref(c->tls);
    watchers_done(&c->watchers);
    c->events->drained(c);
}

static void caller_ready(struct h2_conn *h)
{
    (void)h;
}

static void caller_closed(struct h2_conn *h, int error)
{
    if (error < 0)
        log_debug("ca", "a connection ended: %s (error %d)", h2_conn_why(h), -error);
    h2_conn_close(h);
}

static void caller_drained(struct h2_conn *h)
{
    struct caller *caller = container_of(h, struct caller, h2);
    struct callers *c = caller->callers;
    timer_stop(ring_timers(c->ring), &caller->idle);
    list_remove(&caller->link);
    free(caller);
    listener_release(&c->listener);
    look_drained(c);
}

static const struct h2_conn_events caller_events = {.ready = caller_ready,
                                                    .request = caller_request,
                                                    .closed = caller_closed,
                                                    .drained = caller_drained};

static void leave(struct caller *caller)
{
    caller->leaving = true;
    timer_start(ring_timers(caller->callers->ring), &caller->idle, LEAVE_MS);
    h2_conn_drain(&caller->h2);
}

static void idle_over(struct timer *t)
{
    struct caller *caller = container_of(t, struct caller, idle);
    if (caller->leaving)
        h2_conn_close(&caller->h2);
    else if (caller->n_watches == 0)
        leave(caller);
}

static void accepted(struct listener *l, int taken_fd)
{
    struct callers *c = l->user;
    const struct h2_conn_options o = {
        .tls = c->tls, .ping_idle = true, .http2 = {.streams_max = CALLERS_CALLS_MAX, .secret = true}};
    struct caller *caller = c->closing || !c->tls ? NULL : calloc(1, sizeof *caller);
    if (!caller) {
        socket_close(taken_fd);
        listener_release(l);
        return;
    }
    struct addr from = {0};
    (void)socket_peer(taken_fd, &from);
    caller->from = from.ip;
    caller->callers = c;
    timer_init(&caller->idle, idle_over);
    if (h2_conn_open_server(&caller->h2, c->ring, taken_fd, &o, &caller_events, caller) < 0) {
        free(caller);
        listener_release(l);
        return;
    }
    list_push_back(&c->all, &caller->link);
    if (c->leaving) /* it was in the backlog: it is served, and told to go */
        leave(caller);
    else
        stay(caller);
}

/* ---- beginning and end --------------------------------------------------- */

static void listener_drained(struct listener *l)
{
    struct callers *c = l->user;
    c->listener_gone = true;
    look_drained(c);
}

void callers_open(struct callers *c, struct ring *ring, struct grant *grant, int taken_fd,
                  const struct callers_events *events)
{
    *c = (struct callers){
        .ring = ring, .grant = grant, .events = events, .idle_ms = CALLERS_IDLE_MS};
    list_init(&c->all);
    watchers_init(&c->watchers);
    listener_open(&c->listener, ring, taken_fd, CALLERS_MAX, accepted, listener_drained, c);
}

void callers_set_tls(struct callers *c, struct tls_config *server)
{
    tls_config_ref(server);
    tls_config_unref(c->tls);
    c->tls = server;
}

void callers_set_trust(struct callers *c, const struct trust *t)
{
    int r = c->closing ? 0 : watchers_tell(&c->watchers, t);
    if (r < 0)
        log_error("ca", "%s: those who watch know what they knew",
                  r == -E2BIG ? "more is revoked than a message holds (lift what needs it no more)"
                              : "no memory to tell what is trusted");
}

void callers_drain(struct callers *c)
{
    if (c->leaving)
        return;
    c->leaving = true;
    listener_stop(&c->listener);
    watchers_end(&c->watchers);
    list_for_each (n, &c->all) {
        struct caller *caller = container_of(n, struct caller, link);
        if (!caller->leaving)
            leave(caller);
    }
}

void callers_close(struct callers *c)
{
    c->closing = true;
    callers_drain(c);
    list_for_each (n, &c->all)
        h2_conn_close(&container_of(n, struct caller, link)->h2);
}
