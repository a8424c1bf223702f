/* One endpoint asked again and again; see the header. */
#include "nodeproxy/path/health_probe.h"

#include "nodeproxy/path/carrier.h"
#include "nodeproxy/path/upstream_tls.h"
#include <errno.h>
#include <stdlib.h>

enum { PUT_OFF_MS = 100, REPLY_MAX = 1024, BODY_MAX = 64 * 1024, FIRST_MS = 50, AGAIN_MAX = 3 };
enum probe_stage {
    PROBE_RESTS,
    PROBE_OPENS, /* a connection is being made, or an old one goes before */
    PROBE_ASKS
};
struct health_probe {
    struct health_probe_options o; /* the cluster and the host are counted */
    struct cluster *values;        /* in which the check lies */
    struct health_state state;
    enum probe_stage stage;
    struct timer next, late;
    struct ring_task free_task;
    struct spiffe_id id; /* in which `to` has the identity */
    struct upstream_endpoint to;
    struct carrier *carrier; /* NULL: none; its stream is the link's, or `bytes` */
    struct http_link *link;
    struct stream *bytes;
    bool carrier_goes, ended;
    bool used, reused; /* the link had a question; before this one */
    unsigned n_again;  /* this question, by another connection */
    int grpc_status;   /* -1: none was said */
    size_t n_reply, n_body; /* of the answer: kept; that came */
    char reply[REPLY_MAX]; /* the answer's first bytes: of a message of gRPC, or of TCP */
    struct http_stream stream; /* the last, for it is large */
};

static struct timer_wheel *timers_of(const struct health_probe *p)
{
    return ring_timers(p->o.pod->env->ring);
}

bool health_probe_failed(const struct health_probe *p)
{
    return p->state.failed;
}

/* ---- the connection ------------------------------------------------------ */

static void look_free(struct health_probe *p)
{
    if (p->ended && !p->carrier && !p->link)
        ring_task_ask(p->o.pod->env->ring, &p->free_task);
}

static void let_carrier_go(struct health_probe *p, bool clean)
{
    if (!p->carrier || p->carrier_goes)
        return;
    p->carrier_goes = true;
    p->bytes = NULL;
    carrier_close(p->carrier, clean);
}

/* A link takes its carrier along, when it has closed. */
static void disconnect(struct health_probe *p, bool clean)
{
    http_stream_detach(&p->stream);
    if (p->link)
        http_link_close(p->link);
    else
        let_carrier_go(p, clean);
}

/* ---- the verdict --------------------------------------------------------- */

/* Whoever wrote the check, it does not say how much the node has to do for this pod. */
static uint64_t wait_ms(const struct health_probe *p)
{
    uint64_t ms = health_state_wait_ms(&p->state, p->o.check, ring_rng(p->o.pod->env->ring));
    uint64_t pace = p->o.pod->n_probes * HEALTH_PACE_MS;
    uint64_t least = pace > HEALTH_WAIT_MIN_MS ? pace : HEALTH_WAIT_MIN_MS;
    return ms > least ? ms : least;
}

static void rest(struct health_probe *p)
{
    if (p->stage == PROBE_RESTS)
        return;
    p->stage = PROBE_RESTS;
    p->o.pod->env->health_asked--;
    p->o.pod->n_asked--;
    timer_stop(timers_of(p), &p->late);
    timer_start(timers_of(p), &p->next, wait_ms(p));
}

static void answered(struct health_probe *p, enum health_verdict v)
{
    bool before = p->state.failed;
    bool keep = v != HEALTH_NO_ANSWER && p->o.check->reuse_connection && p->link;
    health_state_see(&p->state, p->o.check, v);
    rest(p);
    if (!keep)
        disconnect(p, v == HEALTH_GOOD);
    if (before != p->state.failed)
        p->o.changed(p, p->o.user);
}

/* What was missing was ours: it says nothing about the endpoint. */
static void given_up(struct health_probe *p)
{
    rest(p);
    disconnect(p, false);
}

static void too_late(struct timer *t)
{
    answered(container_of(t, struct health_probe, late), HEALTH_NO_ANSWER);
}

/* ---- over HTTP ----------------------------------------------------------- */

static bool is_expected(const struct health_check *check, unsigned status)
{
    for (size_t i = 0; i < check->n_expected; i++)
        if (status >= check->expected[i].start && status < check->expected[i].end)
            return true;
    return check->n_expected == 0 && status == 200;
}

static void see_grpc_status(struct health_probe *p, const struct http_head *h)
{
    uint64_t number;
    struct text t = http_head_get(h, TEXT("grpc-status"));
    if (t.len > 0 && text_to_u64(t, INT32_MAX, &number) == 0)
        p->grpc_status = (int)number;
}

static void head_came(struct http_stream *s)
{
    struct health_probe *p = s->user;
    if (p->stage != PROBE_ASKS)
        return;
    if (p->o.check->kind == CHECK_HTTP)
        answered(p, is_expected(p->o.check, s->head.status) ? HEALTH_GOOD : HEALTH_BAD_ANSWER);
    else if (s->head.status != 200)
        answered(p, HEALTH_BAD_ANSWER);
    else
        see_grpc_status(p, &s->head);
}

static void informed(struct http_stream *s)
{
    (void)s;
}

static void trailers_came(struct http_stream *s, struct http_head *trailers)
{
    see_grpc_status(s->user, trailers);
}

static void go_on(struct health_probe *p);

/* It was about to be closed: that says nothing about who closed it. */
static bool is_of_connection(const struct health_probe *p, int error)
{
    bool heard = p->to.version == HTTP_VERSION_1 && p->stream.h1.heard;
    return error == -ECONNREFUSED || (error < 0 && p->reused && !heard);
}

static void exchanged(struct http_stream *s, int error)
{
    struct health_probe *p = s->user;
    if (p->stage != PROBE_ASKS)
        return;
    if (error == -ENOMEM) {
        given_up(p);
    } else if (error == 0 && p->o.check->kind == CHECK_GRPC) {
        bool good = p->grpc_status == 0 &&
                    health_grpc_serving((struct text){p->reply, p->n_reply});
        answered(p, good ? HEALTH_GOOD : HEALTH_BAD_ANSWER);
    } else if (is_of_connection(p, error) && ++p->n_again <= AGAIN_MAX) {
        p->stage = PROBE_OPENS; /* by another one, when this one has gone */
        disconnect(p, false);
    } else {
        answered(p, HEALTH_NO_ANSWER);
    }
}
static const struct http_stream_events stream_events = {
    .head = head_came, .informed = informed, .trailers = trailers_came, .closed = exchanged};

static void keep_reply(struct health_probe *p, struct buf *bytes)
{
    size_t room = REPLY_MAX - p->n_reply, n = bytes->len < room ? bytes->len : room;
    n = buf_peek(bytes, (uint8_t *)p->reply + p->n_reply, n);
    p->n_reply += n;
    p->n_body += bytes->len;
    buf_consume(bytes, bytes->len);
}

/* Also one that nobody looks at, on a connection that is kept: who never ends it loses the connection. */
static void body_came(struct stream *body, struct buf *bytes)
{
    struct health_probe *p = body->user;
    keep_reply(p, bytes);
    if (p->n_body <= BODY_MAX)
        return;
    if (p->stage == PROBE_ASKS)
        answered(p, HEALTH_BAD_ANSWER);
    disconnect(p, false);
}
static void body_event(struct stream *body)
{
    (void)body;
}
static void body_failed(struct stream *body, int error)
{
    (void)body, (void)error; /* `closed` follows */
}
static const struct stream_events body_events = {.received = body_came,
                                                 .ended = body_event,
                                                 .writable = body_event,
                                                 .finished = body_event,
                                                 .failed = body_failed};

static int make_head(const struct health_probe *p, struct http_head *h)
{
    const struct health_check *k = p->o.check;
    bool grpc = k->kind == CHECK_GRPC;
    const struct text host = upstream_cluster_host(p->values->name);
    struct text called = p->o.host->endpoint->hostname;
    struct text authority = k->host.len > 0 ? k->host : host.len > 0 ? host : p->values->name;
    if (k->host.len == 0 && called.len > 0)
        authority = called;
    int r = http_head_set_method(h, grpc ? TEXT("POST") : k->method.len ? k->method : TEXT("GET"));
    if (r == 0)
        r = http_head_set_scheme(h, TEXT("http"));
    if (r == 0)
        r = http_head_set_authority(h, authority);
    if (r == 0)
        r = http_head_set_path(h, grpc ? TEXT("/grpc.health.v1.Health/Check") : k->path);
    if (r == 0)
        r = http_head_set(h, TEXT("user-agent"), TEXT("weir-health-check"));
    if (r == 0 && grpc)
        r = http_head_set(h, TEXT("content-type"), TEXT("application/grpc"));
    if (r == 0 && grpc)
        r = http_head_set(h, TEXT("te"), TEXT("trailers"));
    for (size_t i = 0; r == 0 && i < k->n_request_headers; i++)
        r = http_head_set(h, k->request_headers[i].name, k->request_headers[i].value);
    return r;
}

/* HealthCheckRequest{service}, in its frame. */
static int make_question(const struct health_probe *p, struct buf *ret)
{
    enum { SERVICE_TAG = 1 << 3 | 2, LEN_1 = 0x80, PREFIX = 5 };
    struct chunk_pool *chunks = ring_chunks(p->o.pod->env->ring);
    struct text service = p->o.check->service;
    size_t n_len = service.len < LEN_1 ? 1 : 2;
    size_t message = service.len > 0 ? 1 + n_len + service.len : 0;
    uint8_t b[PREFIX + 3] = {0, 0, 0, (uint8_t)(message >> 8), (uint8_t)message, SERVICE_TAG};
    b[6] = (uint8_t)(n_len == 1 ? service.len : LEN_1 | (service.len & (LEN_1 - 1)));
    b[7] = (uint8_t)(service.len >> 7);
    int r = buf_append(ret, chunks, b, message > 0 ? PREFIX + 1 + n_len : PREFIX);
    return r == 0 && message > 0 ? buf_append(ret, chunks, service.data, service.len) : r;
}

static void ask(struct health_probe *p)
{
    bool grpc = p->o.check->kind == CHECK_GRPC;
    struct http_head head;
    struct buf question = {0};
    http_head_init(&head);
    http_stream_done(&p->stream);
    http_stream_init(&p->stream, &stream_events, p);
    p->stage = PROBE_ASKS;
    p->reused = p->used;
    p->used = true;
    p->n_reply = p->n_body = 0;
    p->grpc_status = -1;
    int r = make_head(p, &head);
    if (r == 0 && grpc)
        r = make_question(p, &question);
    if (r == 0)
        r = http_link_request(p->link, &p->stream, &head, !grpc);
    http_head_done(&head);
    if (r < 0) {
        buf_done(&question);
        given_up(p);
        return;
    }
    p->stream.body->events = &body_events;
    p->stream.body->user = p;
    if (grpc) {
        stream_send(p->stream.body, &question);
        stream_finish(p->stream.body);
    }
}

static void link_slot(struct http_link *l)
{
    (void)l;
}

static void link_closed(struct http_link *l, int error, const char *why)
{
    struct health_probe *p = l->user;
    (void)why;
    p->link = NULL;
    let_carrier_go(p, error == 0);
    look_free(p);
}
static const struct http_link_events link_events = {.slot = link_slot, .closed = link_closed};

static void speak_http(struct health_probe *p, struct stream *stream)
{
    const struct http_link_options o = {
        .ring = p->o.pod->env->ring, .carrier = stream, .idle_ms = UPSTREAM_CLUSTER_IDLE_MS};
    int r = p->to.version == HTTP_VERSION_2 ? http2_link_open(&p->link, &o, &link_events, p)
                                            : http1_link_open(&p->link, &o, &link_events, p);
    if (r < 0) {
        given_up(p);
        return;
    }
    p->used = false;
    carrier_start(p->carrier);
    ask(p);
}

/* ---- by bytes ------------------------------------------------------------ */

/* All of what is expected, in its order, whatever lies between. */
static bool has_all(const struct health_probe *p)
{
    const struct health_check *k = p->o.check;
    struct text left = {p->reply, p->n_reply};
    for (size_t i = 0; i < k->n_receive; i++) {
        const char *at = left.len > 0
                             ? memmem(left.data, left.len, k->receive[i].data, k->receive[i].len)
                             : NULL;
        if (!at)
            return false;
        size_t passed = (size_t)(at - left.data) + k->receive[i].len;
        left = (struct text){left.data + passed, left.len - passed};
    }
    return true;
}

static void bytes_came(struct stream *s, struct buf *bytes)
{
    struct health_probe *p = s->user;
    keep_reply(p, bytes);
    if (p->stage == PROBE_ASKS && has_all(p))
        answered(p, HEALTH_GOOD);
    else if (p->stage == PROBE_ASKS && p->n_reply == REPLY_MAX)
        answered(p, HEALTH_NO_ANSWER); /* what comes later would not be looked at */
}

static void bytes_failed(struct stream *s, int error)
{
    struct health_probe *p = s->user;
    (void)error;
    if (p->stage == PROBE_ASKS)
        answered(p, HEALTH_NO_ANSWER);
}

static void bytes_ended(struct stream *s)
{
    bytes_failed(s, 0);
}
static const struct stream_events bytes_events = {.received = bytes_came,
                                                  .ended = bytes_ended,
                                                  .writable = body_event,
                                                  .finished = body_event,
                                                  .failed = bytes_failed};

static void speak_bytes(struct health_probe *p, struct stream *stream)
{
    struct buf out = {0};
    if (p->o.check->n_receive == 0) { /* that it was accepted is all */
        answered(p, HEALTH_GOOD);
        return;
    }
    if (buf_append(&out, ring_chunks(p->o.pod->env->ring), p->o.check->send.data,
                   p->o.check->send.len) < 0) {
        buf_done(&out);
        given_up(p);
        return;
    }
    p->stage = PROBE_ASKS;
    p->n_reply = 0;
    p->bytes = stream;
    stream->events = &bytes_events;
    stream->user = p;
    carrier_start(p->carrier);
    if (out.len > 0)
        stream_send(stream, &out);
}

/* ---- the way there ------------------------------------------------------- */

static void carrier_opened(void *user, struct stream *stream)
{
    struct health_probe *p = user;
    if (p->o.check->kind == CHECK_TCP)
        speak_bytes(p, stream);
    else
        speak_http(p, stream);
}

static void carrier_failed(void *user, enum ending ending, const char *why)
{
    struct health_probe *p = user;
    (void)why;
    if (ending == ENDING_NO_MEMORY || ending == ENDING_LIMIT || ending == ENDING_NO_IDENTITY)
        given_up(p);
    else
        answered(p, HEALTH_NO_ANSWER);
}

static void carrier_gone(void *user)
{
    struct health_probe *p = user;
    p->carrier = NULL;
    p->carrier_goes = false;
    look_free(p);
    if (!p->ended && p->stage == PROBE_OPENS)
        go_on(p);
}
static const struct carrier_events carrier_events = {
    .opened = carrier_opened, .failed = carrier_failed, .gone = carrier_gone};

/* As requests are sent (request_target.c): an endpoint that is said to be a workload, and is none that we know, is nobody. */
static bool find_way(struct health_probe *p)
{
    const struct path_env *env = p->o.pod->env;
    const struct endpoint *e = p->o.host->endpoint;
    struct addr at = p->o.host->addr;
    const struct workload *w =
        e->workload.len > 0
            ? directory_workload(env->directory, e->workload)
            : directory_workload_at(env->directory, text_of(env->config->network), &at.ip);
    if (e->workload.len > 0 && !w)
        return false;
    if (p->o.check->alt_port)
        at.port = p->o.check->alt_port;
    if (carrier_way(env, w, &at, &p->id, &p->to) != ENDING_NONE)
        return false;
    bool h2 = p->o.check->kind == CHECK_GRPC || p->values->protocol == UPSTREAM_HTTP2;
    p->to.version = h2 ? HTTP_VERSION_2 : HTTP_VERSION_1;
    if (p->to.way != UPSTREAM_DIRECT)
        p->to.service_host = upstream_cluster_host(p->values->name);
    const char *why;
    const struct upstream_tls_wish tls = {p->o.cluster, p->to.way,
                                          p->o.check->kind == CHECK_TCP ? UPSTREAM_SPEAKS_BYTES
                                          : h2                          ? UPSTREAM_SPEAKS_HTTP2
                                                                        : UPSTREAM_SPEAKS_HTTP1};
    return upstream_tls_find(env, &tls, &p->to.tls, &why) == ENDING_NONE;
}

static void open_carrier(struct health_probe *p)
{
    struct carrier *c;
    if (!p->o.host->endpoint) {
        given_up(p);
        return;
    }
    if (!find_way(p)) {
        answered(p, HEALTH_NO_ANSWER);
        return;
    }
    const struct addr source = carrier_own_address(p->o.pod, ip_family(&p->to.to.ip));
    if (carrier_open(&c, p->o.pod, &p->to, &source, &carrier_events, p) < 0)
        given_up(p);
    else
        p->carrier = c;
}

static bool is_usable(const struct health_probe *p)
{
    return p->link && !p->carrier_goes && http_link_can_request(p->link) && p->o.host->endpoint &&
           carrier_broken(p->carrier) == ENDING_NONE && !carrier_is_leaving(p->carrier);
}

/* PROBE_OPENS. What is still there of the last question goes before. */
static void go_on(struct health_probe *p)
{
    http_stream_detach(&p->stream);
    if (is_usable(p))
        ask(p);
    else if (p->carrier)
        disconnect(p, true);
    else
        open_carrier(p);
}

static void next_due(struct timer *t)
{
    struct health_probe *p = container_of(t, struct health_probe, next);
    struct path_env *env = p->o.pod->env;
    p->o.look(p->o.user);
    if (p->ended)
        return;
    if (!health_has_share(p->o.pod->n_asked, env->health_asked, HEALTH_ASKED_MAX)) {
        timer_start(timers_of(p), t, PUT_OFF_MS + rng_below(ring_rng(env->ring), PUT_OFF_MS));
        return;
    }
    env->health_asked++;
    p->o.pod->n_asked++;
    p->stage = PROBE_OPENS;
    p->n_again = 0;
    timer_start(timers_of(p), &p->late, p->o.check->timeout_ms);
    go_on(p);
}

/* ---- beginning and end --------------------------------------------------- */

static void free_probe(struct ring_task *task)
{
    struct health_probe *p = container_of(task, struct health_probe, free_task);
    struct local_pod *pod = p->o.pod;
    void (*gone)(struct local_pod *) = p->o.gone;
    http_stream_done(&p->stream);
    balance_host_unref(p->o.host);
    cluster_unref(p->values);
    upstream_cluster_unref(p->o.cluster);
    free(p);
    gone(pod);
}

struct health_probe *health_probe_new(const struct health_probe_options *o)
{
    struct health_probe *p = calloc(1, sizeof *p);
    struct rng *rng = ring_rng(o->pod->env->ring);
    if (!p)
        return NULL;
    p->o = *o;
    p->values = cluster_ref(o->cluster->cluster);
    upstream_cluster_ref(o->cluster);
    o->host->refs++;
    p->state.failed = o->failed;
    timer_init(&p->next, next_due);
    timer_init(&p->late, too_late);
    ring_task_init(&p->free_task, free_probe);
    http_stream_init(&p->stream, &stream_events, p);
    timer_start(timers_of(p), &p->next, rng_below(rng, FIRST_MS));
    return p;
}

struct health_probe *health_probe_end(struct health_probe *p)
{
    if (!p)
        return NULL;
    rest(p);
    p->ended = true;
    timer_stop(timers_of(p), &p->next);
    disconnect(p, true);
    look_free(p);
    return NULL;
}
