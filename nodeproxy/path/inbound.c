/* inbound.c - the life of one stream that arrives for a local workload, read top to bottom. */
#include "nodeproxy/path/inbound_state.h"

#include "nodeproxy/path/called_service.h"
#include "nodeproxy/peer/hbone.h"
#include "shared/ring/socket.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

static enum step identify(struct inbound *in);
static enum step await_turn(struct inbound *in);
static enum step authorise(struct inbound *in);
static enum step route(struct inbound *in);
static enum step take_socket(struct inbound *in);
static enum step relay(struct inbound *in);

/* ---- The story ----------------------------------------------------------- */
static const struct stage {
    const char *name;
    enum step (*begin)(struct inbound *in);
} story[] = {
    {"identify", identify},        /* who calls, and what does it want?    */
    {"turn", await_turn},          /* are others of the pod before it?     */
    {"authorise", authorise},      /* may it? access policy, here, always  */
    {"route", route},              /* how is the application reached?      */
    {"connect", take_socket},      /* from the pod's own namespace         */
    {"relay", relay},              /* bytes both ways until both end       */
};

static void inbound_shut(struct inbound *in);

void inbound_continue(struct inbound *in, enum step step)
{
    in->waits = false;
    while (step == STEP_NEXT) {
        assert(in->stage < ARRAY_SIZE(story));
        step = story[in->stage++].begin(in);
    }
    if (step == STEP_END)
        inbound_shut(in);
    else
        in->waits = true;
}

static enum step inbound_end(struct inbound *in, enum ending ending)
{
    if (in->ending == ENDING_NONE)
        in->ending = ending;
    return STEP_END;
}

static uint64_t connect_deadline(const struct inbound *in) { return in->pod->env->config->connect_ms; }

/* ---- identify ------------------------------------------------------------ */

static bool named_by(const struct workload *w, const struct spiffe_id *id)
{
    return text_equal(text_of(w->ns), spiffe_id_namespace(id)) && text_equal(text_of(w->service_account), spiffe_id_service_account(id)) &&
           text_equal(text_of(w->trust_domain), spiffe_id_trust_domain(id));
}

/* Names for logs and metrics: the directory's, if the address and the proven identity agree. */
static const struct workload *source_workload(const struct inbound *in)
{
    const struct path_env *env = in->pod->env;
    const struct workload *w = directory_workload_at(env->directory, text_of(env->config->network), &in->source.ip);
    return w && (!in->peer || named_by(w, in->peer)) ? w : NULL;
}

static void pod_became_ready(struct local_pod_waiter *w)
{
    struct inbound *in = container_of(w, struct inbound, pod_waiter);
    timer_stop(ring_timers(in->pod->env->ring), &in->deadline);
    in->stage = 0; /* identify again: there is something to see now */
    inbound_continue(in, STEP_NEXT);
}

static enum step identify(struct inbound *in)
{
    const struct path_env *env = in->pod->env;
    const struct workload *self;
    if (!local_pod_ready(in->pod, &self)) {
        if (in->kind == INBOUND_HBONE) /* the handshake needed a credential: the workload has just gone */
            return inbound_end(in, ENDING_UNKNOWN_SOURCE);
        local_pod_wait(in->pod, &in->pod_waiter);
        timer_start(ring_timers(env->ring), &in->deadline, env->config->identity_wait_ms);
        return STEP_WAIT;
    }
    in->epoch = in->pod->epoch;
    const struct requests_at at = inbound_requests_expected(env, self, in->target.port);
    in->expected = (uint8_t)at.expected;
    if (in->kind == INBOUND_PLAIN)
        plain_of(in)->secured = at.secured;
    else if (at.secured) /* TLS ends where a connection does, not in a tunnel */
        in->expected = REQUESTS_NOWHERE;
    const struct account_subject subject = {
        .source = source_workload(in),
        .destination = self,
        .service = in->service_key ? directory_service(env->directory, text_of(in->service_key)) : called_service_among(in->pod, self, in->forwarded_host),
        .source_id = in->peer,
        .destination_id = in->pod->credential ? &in->pod->credential->id : NULL,
        .mutual_tls = in->kind == INBOUND_HBONE, .requests = in->expected != REQUESTS_NONE && in->expected != REQUESTS_NOWHERE && in->expected != BYTES_ONWARD,
        .undecided = in->expected == REQUESTS_POSSIBLE || in->expected == BYTES_ONWARD || at.may_stream,
    };
    account_begin(&in->account, in->pod->env, REPORTER_DESTINATION, &subject, &in->relay);
    return STEP_NEXT;
}

/* ---- turn ---------------------------------------------------------------- */

static void turn_came(struct turn_wait *w)
{
    struct inbound *in = container_of(w, struct inbound, turn);
    timer_stop(ring_timers(in->pod->env->ring), &in->deadline);
    inbound_continue(in, STEP_NEXT);
}

/* Streams come as many as a tunnel may have, all in one turn, to be refused or not; connections took theirs when they were accepted. */
static enum step await_turn(struct inbound *in)
{
    struct pod_turn *turn = &in->pod->turn;
    bool takes = in->kind == INBOUND_HBONE || (in->kind == INBOUND_LOCAL && in->local.takes_turn);
    if (!takes || turn_take(turn, 1))
        return STEP_NEXT;
    turn_wait(turn, &in->turn);
    timer_start(ring_timers(in->pod->env->ring), &in->deadline, connect_deadline(in));
    return STEP_WAIT;
}

/* ---- authorise ----------------------------------------------------------- */

static void access_of(void *user, struct access *ret)
{
    const struct inbound *in = user;
    *ret = (struct access){.identity = in->peer, .source = in->source.ip, .destination = in->target.ip, .destination_port = in->target.port,
                           .form = in->expected == REQUESTS_NONE || in->expected == BYTES_ONWARD ? ACCESS_BYTES : ACCESS_CONNECTION};
}

static bool allowed(struct inbound *in, struct verdict *ret)
{
    const struct path_env *env = in->pod->env;
    const struct workload *self = directory_workload(env->directory, text_of(in->pod->uid));
    struct access access;
    access_of(in, &access);
    *ret = (struct verdict){0};
    if (!self)
        return false;
    directory_authorise(env->directory, self, &access, ret);
    return ret->allowed;
}

/* The policy, the dry run and the audit, one after the other; without memory the decision stands, nameless. */
static char *verdict_names(const struct verdict *v)
{
    const char *const names[] = {v->policy, v->dry_run, v->audit};
    size_t len = 0;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        len += strlen(names[i]) + 1;
    char *all = len > ARRAY_SIZE(names) ? malloc(len) : NULL, *at = all;
    for (size_t i = 0; all && i < ARRAY_SIZE(names); at += strlen(names[i++]) + 1)
        memcpy(at, names[i], strlen(names[i]) + 1);
    return all;
}

static struct text verdict_name(const char *names, unsigned i)
{
    for (; names && i > 0; i--)
        names += strlen(names) + 1;
    return text_of(names);
}

/* A Gateway whose route leads to itself would ask itself for ever. Requests count the Gateways that they came through; in bytes
 * there is no room for that, so that one Gateway's never go on from another. */
static bool calls_itself(const struct inbound *in)
{
    const struct workload *source = in->expected == BYTES_ONWARD ? source_workload(in) : NULL;
    if (source && source->gateway[0])
        return true;
    return (in->expected == REQUESTS_ONWARD || in->expected == BYTES_ONWARD) && in->peer && spiffe_id_equal(in->peer, &in->pod->identity);
}

static bool ask_policy(struct inbound *in)
{
    struct verdict verdict;
    bool yes = allowed(in, &verdict);
    free(in->policies);
    in->policies = verdict_names(&verdict);
    return yes;
}

/* Either end. The far end of a tunnel is its proof's to judge; the caller of the same node is judged here, as a tunnel would be. */
static bool is_revoked(const struct inbound *in)
{
    const struct trust *t = in->pod->env->trust;
    if (!t)
        return false;
    return trust_revokes_identity(t, in->pod->identity.text) || (in->peer && trust_revokes_identity(t, in->peer->text)) ||
           (in->kind == INBOUND_LOCAL && trust_revokes_serial(t, in->local.credential->serial));
}

static enum step authorise(struct inbound *in)
{
    if (is_revoked(in))
        return inbound_end(in, ENDING_REVOKED);
    if (in->target.port == 0)
        return inbound_end(in, ENDING_BAD_AUTHORITY);
    if (hbone_port_is_own(in->target.port) || calls_itself(in))
        return inbound_end(in, ENDING_OWN_PORT);
    if (in->expected == REQUESTS_NOWHERE)
        return inbound_end(in, ENDING_NO_LISTENER);
    return ask_policy(in) ? STEP_NEXT : inbound_end(in, ENDING_DENIED);
}

static enum ending broken(struct inbound *in, struct verdict *ret)
{
    *ret = (struct verdict){0};
    if (in->kind != INBOUND_PLAIN && in->epoch != in->pod->epoch)
        return ENDING_IDENTITY_CHANGED;
    if (in->server && in->server->proof.broken != ENDING_NONE)
        return in->server->proof.broken;
    if (is_revoked(in))
        return ENDING_REVOKED;
    if (allowed(in, ret))
        return ENDING_NONE;
    bool known = directory_workload(in->pod->env->directory, text_of(in->pod->uid));
    return known ? ENDING_POLICY_CHANGED : ENDING_WORKLOAD_GONE; /* nothing says any more who may come */
}

bool inbound_look_again(struct inbound *in)
{
    struct verdict verdict;
    if (in->closing || in->stage < 2) /* what has not been authorised yet will be; one that waits for its turn may be, ahead of it */
        return false;
    enum ending ending = broken(in, &verdict);
    if (ending == ENDING_NONE && inbound_onward(in))
        ending = gateway_stream_broken(in->onward);
    if (ending == ENDING_NONE)
        return in->requests && inbound_requests_look_again(in->requests);
    if (ending == ENDING_POLICY_CHANGED) {
        free(in->policies);
        in->policies = verdict_names(&verdict);
    }
    inbound_close(in, ending);
    return true;
}

/* ---- route --------------------------------------------------------------- */

/* Always to the pod itself. The application sees who really calls; not for a pod that calls itself: both ends would be one
 * address. */
static enum step route(struct inbound *in)
{
    const struct ip *source = &in->source.ip, *target = &in->target.ip;
    in->as_client = ip_family(source) == ip_family(target) && !ip_equal(source, target) && !ip_is_loopback(source);
    return STEP_NEXT;
}

/* ---- connect ------------------------------------------------------------- */

static enum ending why_not_connected(int error)
{
    return error == -ETIMEDOUT ? ENDING_CONNECT_TIMEOUT : error == -EADDRNOTAVAIL ? ENDING_NO_PORT : ENDING_UNREACHABLE;
}

static void upstream_connected(struct conn *c, int result)
{
    struct inbound *in = container_of(c, struct inbound, upstream);
    if (in->closing)
        return;
    timer_stop(ring_timers(in->pod->env->ring), &in->deadline);
    inbound_continue(in, result == 0 ? STEP_NEXT : inbound_end(in, why_not_connected(result)));
}

static bool upstream_without_port(struct conn *c)
{
    struct inbound *in = container_of(c, struct inbound, upstream);
    if (!in->as_client || !client_port_again(&in->client_port, c->fd, &in->source.ip, ring_rng(in->pod->env->ring)))
        return false;
    conn_connect(c, &in->target);
    return true;
}

static void upstream_drained(struct conn *c) { inbound_part_drained(container_of(c, struct inbound, upstream)); }
static const struct conn_events upstream_events = {
    .connected = upstream_connected, .without_port = upstream_without_port, .drained = upstream_drained};

static enum step connect_on(struct inbound *in, int taken_fd)
{
    /* Whom the application sees is what it may decide by: never the node instead of the client. */
    if (in->as_client && client_port_bind(&in->client_port, taken_fd, &in->source.ip, ring_rng(in->pod->env->ring)) < 0) {
        socket_close(taken_fd);
        return inbound_end(in, ENDING_UNREACHABLE);
    }
    conn_init(&in->upstream, in->pod->env->ring, taken_fd, &upstream_events);
    conn_share(&in->upstream, &in->pod->turn.bytes);
    in->upstream_open = true;
    in->parts++;
    timer_start(ring_timers(in->pod->env->ring), &in->deadline, connect_deadline(in));
    conn_connect(&in->upstream, &in->target);
    return STEP_WAIT;
}

static void socket_came(struct socket_waiter *w, int taken_fd)
{
    struct inbound *in = container_of(w, struct inbound, socket_waiter);
    if (taken_fd < 0)
        inbound_continue(in, inbound_end(in, taken_fd == -ECANCELED ? ENDING_WORKLOAD_GONE : ENDING_LIMIT));
    else
        inbound_continue(in, connect_on(in, taken_fd));
}

static void go_on(struct ring_task *task) { inbound_continue(container_of(task, struct inbound, go_on), STEP_NEXT); }

static bool is_secured(struct inbound *in) { return in->kind == INBOUND_PLAIN && plain_of(in)->secured; }

/* ---- onward: bytes that a Gateway's listener takes ---- */

static void onward_opened(void *user) { inbound_continue(user, STEP_NEXT); }
static void onward_failed(void *user, enum ending ending) { inbound_continue(user, inbound_end(user, ending)); }
static void onward_drained(void *user) { inbound_part_drained(user); }
static const struct gateway_stream_events onward_events = {.opened = onward_opened, .failed = onward_failed, .drained = onward_drained};

/* What was let in as perhaps requests is asked about again: policies about requests deny more of bytes, and allow less. */
static enum step go_onward(struct inbound *in, enum gateway_table_kind kind, struct text server)
{
    struct account_subject subject;
    bool asked = in->expected == BYTES_ONWARD;
    in->expected = BYTES_ONWARD;
    if (!asked && !ask_policy(in))
        return inbound_end(in, ENDING_DENIED);
    in->onward = gateway_stream_new(in->pod, &onward_events, in);
    enum ending ending = in->onward ? gateway_stream_open(in->onward, kind, &in->target, server) : ENDING_NO_MEMORY;
    if (ending != ENDING_NONE)
        return inbound_end(in, ending);
    gateway_stream_subject(in->onward, &subject);
    account_count_as(&in->account, in->pod->env, REPORTER_SOURCE, &subject, &in->relay);
    return STEP_WAIT;
}

static void tls_over(void *user, enum ending ending)
{
    struct inbound *in = user;
    const struct inbound_tls *tls = plain_of(in)->tls;
    if (ending != ENDING_NONE)
        inbound_continue(in, inbound_end(in, ending));
    else if (inbound_tls_kind(tls) != GATEWAY_TABLE_REQUESTS)
        inbound_continue(in, go_onward(in, inbound_tls_kind(tls), text_of(inbound_tls_server(tls))));
    else {
        account_decide(&in->account, in->pod->env, true, &in->relay);
        inbound_continue(in, STEP_NEXT);
    }
}

static enum step take_socket(struct inbound *in)
{
    if (is_secured(in)) {
        int r = inbound_tls_open(&plain_of(in)->tls, in->pod, plain_conn(in), in->target.port, tls_over, in);
        return r < 0 ? inbound_end(in, ENDING_NO_MEMORY) : STEP_WAIT;
    }
    if (in->expected == BYTES_ONWARD)
        return go_onward(in, GATEWAY_TABLE_PLAIN, TEXT(""));
    if (in->expected == REQUESTS_ONWARD) {
        ring_task_ask(in->pod->env->ring, &in->go_on);
        return STEP_WAIT;
    }
    int fd = socket_pool_take(&in->pod->sockets, ip_family(&in->target.ip), &in->socket_waiter);
    if (fd >= 0)
        return connect_on(in, fd);
    if (fd != -EAGAIN)
        return inbound_end(in, ENDING_LIMIT);
    timer_start(ring_timers(in->pod->env->ring), &in->deadline, SOCKET_POOL_WAIT_MS);
    return STEP_WAIT;
}

static void stage_late(struct timer *t)
{
    struct inbound *in = container_of(t, struct inbound, deadline);
    bool identity = !list_empty(&in->pod_waiter.link);
    inbound_continue(in, inbound_end(in, identity ? ENDING_UNKNOWN_SOURCE : ENDING_CONNECT_TIMEOUT));
}

/* ---- relay --------------------------------------------------------------- */

static void relay_over(struct relay *r, enum ending ending)
{
    struct inbound *in = container_of(r, struct inbound, relay);
    if (ending == ENDING_TUNNEL_FAILED && in->server && hbone_server_was_reset(in->server))
        ending = ENDING_RESET_BY_CLIENT;
    inbound_continue(in, inbound_end(in, ending));
}

static void requests_ended(void *user, enum ending ending) { inbound_continue(user, inbound_end(user, ending)); }

static void account(struct inbound *in);
static void requests_drained(void *user)
{
    struct inbound *in = user;
    in->requests = NULL;
    account(in); /* whose names were those of its requests until now, and their bytes are its */
    inbound_part_drained(in);
}

static const struct inbound_requests_events requests_events = {.access = access_of, .ended = requests_ended, .drained = requests_drained};

static int requests_begin(struct inbound *in)
{
    const struct inbound_requests_options o = {
        .pod = in->pod,
        .client = in->downstream,
        .server = in->expected == REQUESTS_ONWARD ? NULL : &in->upstream.stream,
        .tls_host = is_secured(in) ? inbound_tls_host(plain_of(in)->tls) : NULL,
        .of_mesh = in->kind != INBOUND_PLAIN,
        .account = &in->account,
        .source = &in->source,
        .target = &in->target,
        .relay = &in->relay,
    };
    int r = inbound_requests_open(&in->requests, &o, &requests_events, in);
    if (r == 0)
        in->parts++;
    return r;
}

static void relay_bytes(struct inbound *in)
{
    struct stream *server = inbound_onward(in) ? gateway_stream_server(in->onward) : &in->upstream.stream;
    relay_start(&in->relay, in->downstream, server, ring_timers(in->pod->env->ring), in->pod->env->config->idle_ms, relay_over);
}

/* Nobody has declared what is spoken here, and now it is known. As one of requests it was let in already; bytes have to be
 * allowed as bytes, where rules about requests deny more and allow less: none has passed yet. */
static void detected(void *user, bool http)
{
    struct inbound *in = user;
    struct protocol_detect *d = in->detect;
    enum ending ending = ENDING_NONE;
    in->detect = NULL;
    in->expected = http ? REQUESTS_SURE : REQUESTS_NONE;
    account_decide(&in->account, in->pod->env, http, &in->relay);
    if (http)
        ending = requests_begin(in) < 0 ? ENDING_NO_MEMORY : ENDING_NONE;
    else if (!ask_policy(in))
        ending = ENDING_DENIED;
    else
        relay_bytes(in);
    if (ending == ENDING_NONE) {
        protocol_detect_hand_over(d);
        return;
    }
    protocol_detect_free(d);
    inbound_close(in, ending);
}

static void detect_failed(void *user, enum ending ending) { inbound_close(user, ending); }

static const struct protocol_detect_events detect_events = {.decided = detected, .failed = detect_failed};

static int detect_begin(struct inbound *in)
{
    int r = protocol_detect_new(&in->detect, in->pod->env->ring, in->downstream, in->pod->env->config->idle_ms, &detect_events, in);
    if (r == 0)
        protocol_detect_set_server(in->detect, &in->upstream.stream);
    return r;
}

static enum step relay(struct inbound *in)
{
    static const struct http2_header ok[] = {{TEXT(":status"), TEXT("200")}};
    bool bytes = in->expected == REQUESTS_NONE || inbound_onward(in);
    int r = bytes ? 0 : in->expected == REQUESTS_POSSIBLE ? detect_begin(in) : requests_begin(in);
    if (r < 0)
        return inbound_end(in, r == -ENOENT ? ENDING_WORKLOAD_GONE : ENDING_NO_MEMORY);
    in->answered = true;
    if (in->kind == INBOUND_HBONE && http2_stream_respond(&in->tunnel, ok, 1, false) < 0)
        return inbound_end(in, ENDING_NO_MEMORY);
    in->relay.hold = &in->pod->hold;
    if (bytes)
        relay_bytes(in);
    if (inbound_onward(in))
        gateway_stream_start(in->onward);
    if (in->upstream_open)
        conn_start(&in->upstream);
    if (in->kind == INBOUND_PLAIN)
        conn_start(plain_conn(in));
    else if (in->kind == INBOUND_LOCAL)
        in->local.events->begun(in->local.owner);
    else
        stream_resume(in->downstream);
    if (in->detect)
        protocol_detect_give(in->detect, &in->early, in->early_end);
    else if (in->requests)
        inbound_requests_give(in->requests, &in->early, in->early_end);
    else
        relay_give(&in->relay, &in->early, in->early_end);
    return STEP_WAIT;
}

/* ---- account, and the end ------------------------------------------------ */

static void release_local(struct inbound *in)
{
    credential_unref(in->local.credential);
    in->local.events->released(in->local.owner, &in->relay);
}

static void inbound_free(struct ring_task *task)
{
    struct inbound *in = container_of(task, struct inbound, free_task);
    struct local_pod *pod = in->pod;
    list_remove(&in->link);
    pod->n_inbounds--;
    bound_give(pod->bounds, BOUND_INBOUND);
    if (in->kind == INBOUND_PLAIN) {
        plain_of(in)->tls = inbound_tls_free(plain_of(in)->tls);
        listener_release(&pod->inbound);
    } else if (in->kind == INBOUND_LOCAL)
        release_local(in);
    free(in->peer_copy);
    free(in->service_key);
    free(in->policies);
    gateway_stream_free(inbound_onward(in));
    free(in);
    local_pod_look(pod);
}

void inbound_part_drained(struct inbound *in)
{
    assert(in->parts > 0);
    if (--in->parts == 0)
        ring_task_ask(in->pod->env->ring, &in->free_task);
}

static void account(struct inbound *in)
{
    const struct gateway_stream *onward = inbound_onward(in);
    const struct account_line line = {
        .source = in->source,
        .destination = in->target,
        .policy = verdict_name(in->policies, 0),
        .dry_run = verdict_name(in->policies, 1),
        .audit = verdict_name(in->policies, 2),
        .why = onward ? gateway_stream_why(onward) : (struct text){NULL, 0},
        .route = onward ? gateway_stream_route(onward) : (struct text){NULL, 0},
        .endpoint = onward ? *gateway_stream_endpoint(onward) : (struct addr){.port = 0},
        .ending = in->ending,
        .bounds = in->pod->bounds,
        .hbone = in->kind == INBOUND_HBONE ? in->destination : (struct addr){.port = 0},
        .status = in->kind == INBOUND_HBONE && !in->answered ? ending_hbone_status(in->ending) : 0,
    };
    account_end(&in->account, in->pod->env, REPORTER_DESTINATION, &in->relay, &line);
}

/* What the other side is told: an HTTP status while it still waits for one, a reset later; a clean end if it was clean. */
static void tell_downstream(struct inbound *in)
{
    bool clean = in->ending == ENDING_CLOSED;
    if (in->kind == INBOUND_HBONE) {
        unsigned status = ending_hbone_status(in->ending);
        if (!in->answered && status != 0 && in->tunnel.http2) {
            char digits[4] = {(char)('0' + status / 100), (char)('0' + status / 10 % 10), (char)('0' + status % 10), 0};
            const struct http2_header refusal[] = {{TEXT(":status"), {digits, 3}}};
            (void)http2_stream_respond(&in->tunnel, refusal, 1, true); /* leaves also after we have let go */
        }
        /* A CANCEL, which letting go of it would say, is the end of the stream to some (ztunnel): half an answer would look whole. */
        if (in->answered && !clean)
            http2_stream_reset(&in->tunnel, HTTP2_CONNECT_ERROR);
        http2_stream_detach(&in->tunnel);
    } else if (in->kind == INBOUND_PLAIN) {
        if (!clean && !(plain_of(in)->tls && inbound_tls_told(plain_of(in)->tls)))
            stream_reset(&plain_conn(in)->stream, -ECONNRESET);
        conn_close(plain_conn(in));
    }
}

static void inbound_shut(struct inbound *in)
{
    if (in->closing)
        return;
    in->closing = true;
    assert(in->ending != ENDING_NONE);
    timer_stop(ring_timers(in->pod->env->ring), &in->deadline);
    list_remove(&in->pod_waiter.link);
    socket_pool_forget(&in->pod->sockets, &in->socket_waiter);
    if (!in->upstream_open) {
        turn_forget(&in->pod->turn, &in->turn);
        ring_task_cancel(&in->go_on);
    }
    in->detect = protocol_detect_free(in->detect);
    relay_stop(&in->relay);
    if (in->kind == INBOUND_PLAIN)
        inbound_tls_stop(plain_of(in)->tls);
    if (in->requests)
        inbound_requests_close(in->requests, in->ending);
    else
        account(in);
    in->parts++; /* held until both sides have been told */
    if (inbound_onward(in))
        in->parts += gateway_stream_close(in->onward, in->ending);
    tell_downstream(in);
    buf_done(&in->early);
    in->peer = NULL;
    in->server = NULL;
    if (in->upstream_open) {
        if (in->ending != ENDING_CLOSED)
            stream_reset(&in->upstream.stream, -ECONNRESET);
        conn_close(&in->upstream);
    }
    if (in->kind == INBOUND_LOCAL && !in->abandoned)
        in->local.events->ended(in->local.owner, in->ending);
    inbound_part_drained(in);
}

void inbound_close(struct inbound *in, enum ending ending)
{
    if (!in->closing)
        inbound_continue(in, inbound_end(in, ending));
}

void inbound_drain(struct inbound *in)
{
    if (in->requests && !in->closing)
        inbound_requests_drain(in->requests);
}

void inbound_abandon(struct inbound *in, enum ending ending)
{
    in->abandoned = true;
    inbound_close(in, ending);
}

const struct relay *inbound_relay(const struct inbound *in) { return &in->relay; }

/* ---- the beginning ------------------------------------------------------- */

struct inbound *inbound_new(struct local_pod *pod, enum inbound_kind kind, enum ending *ret_why)
{
    *ret_why = pod->closing ? pod->closing_ending : ENDING_LIMIT;
    if (pod->closing || (kind != INBOUND_PLAIN && pod->n_inbounds >= pod->env->config->connections_max))
        return NULL;
    if (!bound_take(pod->bounds, BOUND_INBOUND, ring_now_ms(pod->env->ring)))
        return NULL;
    struct inbound *in = calloc(1, kind == INBOUND_PLAIN ? sizeof(struct plain) : sizeof *in);
    *ret_why = ENDING_NO_MEMORY;
    if (!in) {
        bound_give(pod->bounds, BOUND_INBOUND);
        return NULL;
    }
    in->pod = pod;
    in->kind = kind;
    in->account.id = ++pod->env->next_id;
    in->account.opened_ms = ring_now_ms(pod->env->ring);
    list_init(&in->pod_waiter.link);
    in->pod_waiter.ready = pod_became_ready;
    socket_waiter_init(&in->socket_waiter, socket_came);
    turn_wait_init(&in->turn, 1, turn_came);
    ring_task_init(&in->go_on, go_on);
    timer_init(&in->deadline, stage_late);
    ring_task_init(&in->free_task, inbound_free);
    list_push_back(&pod->inbounds, &in->link);
    pod->n_inbounds++;
    return in;
}

struct inbound *inbound_of_link(struct list *link) { return container_of(link, struct inbound, link); }

void inbound_view(const struct inbound *in, struct connection_view *ret)
{
    static const char *const protocols[] = {"HBONE", "TCP", "LOCAL"};
    *ret = (struct connection_view){
        .id = in->account.id,
        .opened_ms = in->account.opened_ms,
        .bytes_received = in->relay.client.bytes,
        .bytes_sent = in->relay.server.bytes,
        .direction = "Inbound",
        .protocol = protocols[in->kind],
        .stage = in->stage > 0 ? story[in->stage - 1].name : "identify",
        .source = in->source,
        .destination = in->destination,
        .target = in->target,
        .peer = in->peer ? spiffe_id_text(in->peer) : (struct text){"", 0},
    };
}
