/*
 * Requests and answers of the tests: a client and a server that speak HTTP/1.1 or HTTP/2 by links of their own, above
 * connections of the simulated network, each on a ring. Requests say in their fields what the server is to do; bodies
 * are patterns that both ends check byte by byte: what looks whole is whole.
 */
#ifndef TESTS_SIM_HTTP_CALLS_H
#define TESTS_SIM_HTTP_CALLS_H
#include "nodeproxy/http/exchange.h"
#include "shared/transport/conn.h"
#include "tests/sim/seed_runs.h"
#include "tests/sim/sim_alloc.h"
#include <errno.h>
#include <stdio.h>

/* What a request asks the server for; it travels in the request's fields. */
struct wish {
    unsigned seed;
    uint64_t request_bytes, answer_bytes;
    unsigned status;
    bool trailers; /* after both bodies */
    bool early;    /* the answer is given before the request has been read; after 101 it is empty */
    bool informs;  /* 103 first */
    bool aborts;   /* the server, in the middle of its answer */
    bool upgrade;  /* to bytes that are given back; HTTP/1.1 alone */
    bool head;     /* HEAD */
    bool post; /* POST, also without a body */
    bool silent;   /* the server never answers */
    const char *origin; /* of a browser; NULL: none is said */
    const char *session; /* in x-session; NULL: none */
    bool preflight;     /* OPTIONS, of that browser */
    bool grpc;     /* by its content type; without a body the answer is "Trailers-Only" */
    bool stalls;   /* the client, in the middle of its request */
    bool last;     /* the server: nothing after this answer */
    bool too_much; /* HTTP/1.1: another answer follows, that nobody asked for */
    bool length;   /* both say their content-length */
    unsigned pauses; /* one in so many pieces makes the reader pause; 0: never */
};
enum { FROM_CLIENT = 1, FROM_SERVER = 2 };

static struct fake_net *net;
static bool
    rewritten; /* a route changes the authority */
static bool
    as_it_was; /* requests come to the server as the client said them: nobody understood them */
static struct ring *client_ring, *server_ring;

static inline uint8_t pattern_byte(unsigned seed, uint64_t at)
{
    return (uint8_t)((at * 31 + (at >> 8) * 7 + seed * 131) & 0xff);
}

static inline void pattern_put(struct buf *b, struct ring *ring, unsigned seed, uint64_t at,
                               size_t n)
{
    uint8_t part[1024];
    while (n > 0) {
        size_t k = n < sizeof part ? n : sizeof part;
        for (size_t i = 0; i < k; i++)
            part[i] = pattern_byte(seed, at + i);
        assert_int_equal(buf_append(b, ring_chunks(ring), part, k), 0);
        at += k;
        n -= k;
    }
}

static inline void pattern_check(struct buf *b, unsigned seed, uint64_t at)
{
    for (const struct chunk *c = b->head; c; c = c->next)
        for (uint32_t i = c->start; i < c->end; i++, at++)
            if (c->data[i] != pattern_byte(seed, at))
                fail_msg("byte %llu of pattern %u is wrong", (unsigned long long)at, seed);
    buf_done(b);
}

/* ---- A connection of a test, with a link above ---------------------------------------------- */

struct wire {
    struct conn conn;
    struct http_link *link; /* NULL: it has closed */
    struct ring *ring;
    bool *gone; /* told when its memory goes; may be NULL */
    void (*told_gone)(struct wire *w);
    void *user;
    int error;
};
static unsigned n_wires;

static inline void wire_drained(struct conn *c)
{
    struct wire *w = container_of(c, struct wire, conn);
    n_wires--;
    if (w->told_gone)
        w->told_gone(w);
    free(w);
}
static const struct conn_events wire_events = {.drained = wire_drained};

/* From the link's `closed`. */
static inline void wire_closed(struct wire *w, int error)
{
    w->link = NULL;
    w->error = error;
    if (error != 0 && error != -EPROTO)
        stream_reset(&w->conn.stream, error);
    conn_close(&w->conn);
}

/* NULL: out of memory, and the descriptor is closed. */
static inline struct wire *wire_new(struct ring *ring, int taken_fd, enum http_version version,
                                    bool server, const struct http_link_events *events,
                                    uint64_t idle_ms)
{
    struct wire *w = calloc(1, sizeof *w);
    if (!w) {
        socket_close(taken_fd);
        return NULL;
    }
    conn_init(&w->conn, ring, taken_fd, &wire_events);
    w->ring = ring;
    n_wires++;
    const struct http_link_options o = {
        .ring = ring, .carrier = &w->conn.stream, .server = server, .idle_ms = idle_ms};
    int r = version == HTTP_VERSION_2 ? http2_link_open(&w->link, &o, events, w)
                                      : http1_link_open(&w->link, &o, events, w);
    if (r < 0) {
        conn_close(&w->conn);
        return NULL;
    }
    conn_start(&w->conn);
    return w;
}

/* ---- One side of a message at either end ----------------------------------------------------- */

struct call {
    struct list link;
    struct http_stream s;
    struct ring *ring;
    struct timer pause;
    struct ring_task free_task;
    struct wish wish;
    bool is_client, begun, said_all, heard_all, trailers_seen, informed, paused, over, detached,
        raw;
    unsigned status; /* client: of the answer */
    bool own_answer; /* client: it is the proxy's */
    int error;
    uint64_t sent, got, to_send;
    uint64_t abort_at; /* got or sent; client */
    void (*told_over)(struct call *c);
};
static struct list calls; /* all that live */
static unsigned n_calls;

static inline void call_free(struct ring_task *task)
{
    struct call *c = container_of(task, struct call, free_task);
    list_remove(&c->link);
    timer_stop(ring_timers(c->ring), &c->pause);
    http_stream_done(&c->s);
    n_calls--;
    free(c);
}

static inline void call_over(struct call *c, int error)
{
    if (c->over)
        return;
    c->over = true;
    c->error = error;
    if (c->told_over)
        c->told_over(c);
    http_stream_detach(&c->s);
    ring_task_ask(c->ring, &c->free_task);
}

static inline void call_look(struct call *c)
{
    if (c->said_all && c->heard_all)
        call_over(c, 0);
}

static inline struct http_head *head_of_trailers(struct http_head *h, unsigned seed)
{
    char value[16];
    http_head_init(h);
    snprintf(value, sizeof value, "%u", seed);
    assert_int_equal(http_head_add(h, TEXT("x-sum"), text_of(value)), 0);
    assert_int_equal(http_head_add(h, TEXT("grpc-status"), TEXT("0")), 0);
    assert_int_equal(http_head_add(h, TEXT("x-forwarded-client-cert"), TEXT("By=me")), 0);
    return h;
}

static inline unsigned own_seed(const struct call *c)
{
    return c->wish.seed * 2 + c->is_client;
}
static inline unsigned their_seed(const struct call *c)
{
    return c->wish.seed * 2 + !c->is_client;
}

static inline void say_too_much(struct call *c)
{
    static const char more[] = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nwrong";
    struct buf bytes = {0};
    assert_int_equal(buf_append(&bytes, ring_chunks(c->ring), more, sizeof more - 1), 0);
    stream_send(c->s.link->carrier, &bytes);
}

static inline void call_finish(struct call *c)
{
    struct http_head trailers;
    if (c->wish.trailers && !c->raw) {
        int r = http_stream_trailers(&c->s, head_of_trailers(&trailers, own_seed(c)));
        assert_true(r == 0 || r == -EPIPE);
        http_head_done(&trailers);
    }
    stream_finish(c->s.body);
    if (!c->is_client && c->wish.too_much)
        say_too_much(c);
}

static inline void call_pump(struct call *c)
{
    while (c->sent < c->to_send && !c->over && stream_queued(c->s.body) < STREAM_QUEUE_HIGH) {
        struct buf part = {0};
        uint64_t n = 1 + rng_below(chance, one_in(4) ? 60000 : 3000);
        if (!c->is_client && c->wish.aborts && c->sent >= c->to_send / 2) {
            call_over(c, -ECANCELED);
            return;
        }
        uint64_t left = (c->wish.stalls ? c->to_send / 2 : c->to_send) - c->sent;
        if (left == 0)
            return;
        n = n < left ? n : left;
        pattern_put(&part, c->ring, own_seed(c), c->sent, (size_t)n);
        c->sent += n;
        stream_send(c->s.body, &part);
    }
    if (c->sent == c->to_send && !c->over)
        call_finish(c);
}

static inline void call_unpause(struct timer *t)
{
    struct call *c = container_of(t, struct call, pause);
    c->paused = false;
    if (c->s.link)
        stream_resume(c->s.body);
}

static inline void call_received(struct stream *s, struct buf *bytes)
{
    struct call *c = s->user;
    size_t len = bytes->len;
    assert_false(c->heard_all);
    if (c->over) {
        buf_done(bytes);
        return;
    }
    if (c->raw && !c->is_client && !c->wish.early) { /* an echo; its own bytes are said first */
        stream_send(c->s.body, bytes);
    } else if (c->own_answer) {
        buf_done(bytes);
    } else {
        pattern_check(bytes, c->raw && c->is_client ? own_seed(c) : their_seed(c), c->got);
    }
    c->got += len;
    if (c->is_client && c->abort_at > 0 && c->got >= c->abort_at) {
        call_over(c, -ECANCELED);
    } else if (!c->paused && one_in(c->wish.pauses)) {
        c->paused = true;
        stream_pause(s);
        timer_start(ring_timers(c->ring), &c->pause, 1 + rng_below(chance, 40));
    }
}

static inline void call_writable(struct stream *s)
{
    struct call *c = s->user;
    if (!(c->raw && !c->is_client))
        call_pump(c);
}

static inline void call_finished(struct stream *s)
{
    struct call *c = s->user;
    assert_false(c->said_all);
    c->said_all = true;
    call_look(c);
}

static inline void call_failed(struct stream *s, int error)
{
    (void)s;
    assert_true(error < 0);
}

static inline void check_trailers(struct call *c, const struct http_head *trailers)
{
    char value[16];
    if (!c->is_client && !as_it_was) /* of a client it is not believed */
        assert_null(http_head_get(trailers, TEXT("x-forwarded-client-cert")).data);
    snprintf(value, sizeof value, "%u", their_seed(c));
    assert_true(text_equal(http_head_get(trailers, TEXT("x-sum")), text_of(value)));
    assert_false(c->trailers_seen);
    c->trailers_seen = true;
}

static inline void call_trailers(struct http_stream *s, struct http_head *trailers)
{
    struct call *c = s->user;
    assert_false(c->heard_all);
    check_trailers(c, trailers);
}

static inline void call_closed(struct http_stream *s, int error)
{
    struct call *c = s->user;
    if (error == 0 && !(c->said_all && c->heard_all))
        return; /* what is due still comes */
    call_over(c, error);
}

static inline struct call *call_new(struct ring *ring, bool is_client,
                                    const struct http_stream_events *events)
{
    struct call *c = calloc(1, sizeof *c);
    assert_non_null(c);
    c->ring = ring;
    c->is_client = is_client;
    timer_init(&c->pause, call_unpause);
    ring_task_init(&c->free_task, call_free);
    list_push_back(&calls, &c->link);
    n_calls++;
    http_stream_init(&c->s, events, c);
    return c;
}

static inline void put_field(struct http_head *h, const char *name, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    assert_int_equal(http_head_add(h, text_of(name), text_of(text)), 0);
}

/* ---- The server ------------------------------------------------------------------------------ */

static inline void server_answer(struct call *c)
{
    struct http_head h;
    c->begun = true;
    http_head_init(&h);
    if (c->wish.informs) {
        h.status = 103;
        assert_int_equal(http_head_add(&h, TEXT("link"), TEXT("</a>")), 0);
        (void)http_stream_inform(&c->s, &h);
        http_head_done(&h);
    }
    if (c->wish.last)
        http_link_drain(c->s.link);
    h.status = c->wish.status;
    put_field(&h, "x-seed", c->wish.seed);
    if (c->wish.length && !c->wish.trailers && c->wish.status != 204)
        put_field(&h, "content-length", c->wish.answer_bytes);
    if (c->wish.grpc && c->wish.answer_bytes == 0)
        put_field(&h, "grpc-status", 5);
    if (c->wish.upgrade && c->s.upgrade) {
        h.status = 101;
        c->raw = true;
        http_head_remove(&h, TEXT("content-length"));
        assert_int_equal(http_head_set_protocol(&h, TEXT("echo")), 0);
    }
    bool bodyless = c->wish.head || c->wish.status == 204 || c->wish.status == 304;
    c->to_send = bodyless || c->raw ? 0 : c->wish.answer_bytes;
    bool end = !c->raw && (bodyless || (c->to_send == 0 && !c->wish.trailers));
    int r = http_stream_answer(&c->s, &h, end);
    assert_true(r == 0 || r == -EPIPE);
    http_head_done(&h);
    if (!end && !c->raw)
        call_pump(c);
    if (c->raw && c->wish.early)
        stream_finish(c->s.body);
}

static inline void server_ended(struct stream *s)
{
    struct call *c = s->user;
    assert_false(c->heard_all);
    c->heard_all = true;
    if (c->raw) {
        stream_finish(s);
    } else {
        assert_int_equal(c->got, c->wish.request_bytes);
        assert_int_equal(c->trailers_seen, c->wish.trailers && !c->wish.upgrade);
        if (!c->begun && !c->wish.silent)
            server_answer(c);
    }
    call_look(c);
}

static const struct stream_events server_body = {.received = call_received,
                                                 .ended = server_ended,
                                                 .writable = call_writable,
                                                 .finished = call_finished,
                                                 .failed = call_failed};

static inline uint64_t number_in(const struct http_head *h, const char *name)
{
    uint64_t value = 0;
    struct text t = http_head_get(h, text_of(name));
    if (t.data)
        assert_int_equal(text_to_u64(t, UINT64_MAX, &value), 0);
    return value;
}

static inline void server_opened(struct http_stream *s)
{
    struct call *c = s->user;
    const struct http_head *h = &s->head;
    unsigned bits = (unsigned)number_in(h, "x-bits");
    c->wish = (struct wish){
        .seed = (unsigned)number_in(h, "x-seed"),
        .request_bytes = number_in(h, "x-request"),
        .answer_bytes = number_in(h, "x-answer"),
        .status = (unsigned)number_in(h, "x-status"),
        .pauses = (unsigned)number_in(h, "x-pauses"),
        .trailers = bits & 1,
        .early = bits & 2,
        .informs = bits & 4,
        .aborts = bits & 8,
        .upgrade = bits & 16,
        .length = bits & 32,
        .silent = bits & 64,
        .too_much = bits & 128,
        .last = bits & 256,
        .grpc = http_head_get(h, TEXT("content-type")).data,
        .head = text_equal(h->method, TEXT("HEAD")),
    };
    assert_true(rewritten || text_equal(h->authority, TEXT("server:80")));
    if (!as_it_was) { /* the path is normal, and the query as it was */
        assert_true(text_equal(h->path, TEXT("/a/b?c=d/../e")));
        assert_null(http_head_get(h, TEXT("x-forwarded-client-cert")).data);
    }
    assert_true(text_equal(http_head_get(h, TEXT("cookie")), TEXT("a=1; b=2")));
    s->body->events = &server_body;
    s->body->user = c;
    stream_resume(s->body);
    if (c->wish.early || (c->wish.upgrade && s->upgrade))
        server_answer(c);
}

static const struct http_stream_events server_events = {
    .opened = server_opened, .trailers = call_trailers, .closed = call_closed};

static inline struct http_stream *server_asked(struct http_link *l, unsigned *ret_status)
{
    struct wire *w = l->user;
    (void)ret_status;
    return &call_new(w->ring, false, &server_events)->s;
}
static unsigned n_server_refused;
static inline void server_refused(struct http_link *l, unsigned status, const char *why)
{
    (void)l;
    n_server_refused++;
    fail_msg("the server refused what the proxy said: %u %s", status, why);
}
static inline void end_closed(struct http_link *l, int error, const char *why)
{
    (void)why;
    wire_closed(l->user, error);
}
static const struct http_link_events server_link_events = {
    .request = server_asked, .refused = server_refused, .closed = end_closed};

/* ---- The client ------------------------------------------------------------------------------ */

static struct wire *client; /* NULL: gone */
static unsigned n_client_whole, n_client_over;
static void (*client_told_slot)(void);

static inline void client_gone(struct wire *w)
{
    if (client == w)
        client = NULL;
}
static inline void client_slot(struct http_link *l)
{
    (void)l;
    if (client_told_slot)
        client_told_slot();
}
static const struct http_link_events client_link_events = {.slot = client_slot,
                                                           .closed = end_closed};

static inline void client_head(struct http_stream *s)
{
    struct call *c = s->user;
    c->status = s->head.status;
    c->own_answer = !http_head_get(&s->head, TEXT("x-seed")).data;
    if (c->wish.upgrade && c->status != 101)
        stream_finish(s->body);
    if (c->own_answer)
        return;
    assert_int_equal(number_in(&s->head, "x-seed"), c->wish.seed);
    c->raw = c->status == 101;
    if (c->raw) {
        c->to_send = c->wish.request_bytes;
        call_pump(c);
    } else {
        assert_int_equal(c->status, c->wish.status);
    }
}

static inline void client_informed(struct http_stream *s)
{
    struct call *c = s->user;
    assert_int_equal(s->head.status, 103);
    assert_true(text_equal(http_head_get(&s->head, TEXT("link")), TEXT("</a>")));
    c->informed = true;
}

static inline void client_ended(struct stream *s)
{
    struct call *c = s->user;
    bool bodyless = c->wish.head || c->wish.status == 204 || c->wish.status == 304;
    assert_false(c->heard_all);
    c->heard_all = true;
    if (c->own_answer)
        return call_look(c);
    bool echo = c->raw && !c->wish.early;
    assert_int_equal(c->got, echo                 ? c->wish.request_bytes
                             : bodyless || c->raw ? 0
                                                  : c->wish.answer_bytes);
    assert_int_equal(c->trailers_seen, c->wish.trailers && !bodyless && !c->raw);
    call_look(c);
}

static const struct stream_events client_body = {.received = call_received,
                                                 .ended = client_ended,
                                                 .writable = call_writable,
                                                 .finished = call_finished,
                                                 .failed = call_failed};
static const struct http_stream_events client_events = {.head = client_head,
                                                        .informed = client_informed,
                                                        .trailers = call_trailers,
                                                        .closed = call_closed};

static inline void client_over(struct call *c)
{
    n_client_over++;
    n_client_whole += c->error == 0 && !c->own_answer;
    if (getenv("WEIR_TELL"))
        print_error("call %u: error %d, status %u%s, sent %llu of %llu, got %llu of %llu, said %d, "
                    "heard %d\n",
                    c->wish.seed, c->error, c->status, c->own_answer ? " (the proxy's)" : "",
                    (unsigned long long)c->sent, (unsigned long long)c->to_send,
                    (unsigned long long)c->got, (unsigned long long)c->wish.answer_bytes,
                    c->said_all, c->heard_all);
}

static inline bool client_can_ask(void)
{
    return client && client->link && http_link_can_request(client->link);
}

/* NULL: it could not be sent. */
static inline struct call *ask(const struct wish *wish)
{
    struct http_head h;
    struct call *c = call_new(client_ring, true, &client_events);
    c->wish = *wish;
    c->told_over = client_over;
    http_head_init(&h);
    assert_int_equal(http_head_set_method(&h, wish->head        ? TEXT("HEAD")
                                              : wish->preflight ? TEXT("OPTIONS")
                                              : wish->post || (wish->request_bytes && !wish->upgrade)
                                                  ? TEXT("POST")
                                                  : TEXT("GET")),
                     0);
    assert_int_equal(http_head_set_scheme(&h, TEXT("http")), 0);
    assert_int_equal(http_head_set_authority(&h, TEXT("server:80")), 0);
    assert_int_equal(http_head_set_path(&h, TEXT("/x/%2e%2E/a/./b?c=d/../e")), 0);
    assert_int_equal(http_head_add(&h, TEXT("x-forwarded-client-cert"), TEXT("By=me")), 0);
    assert_int_equal(
        http_head_add(&h, TEXT("cookie"),
                      client->link->version == HTTP_VERSION_2 ? TEXT("a=1") : TEXT("a=1; b=2")),
        0);
    if (client->link->version == HTTP_VERSION_2)
        assert_int_equal(http_head_add(&h, TEXT("cookie"), TEXT("b=2")), 0);
    if (wish->session)
        assert_int_equal(http_head_add(&h, TEXT("x-session"), text_of(wish->session)), 0);
    if (wish->origin)
        assert_int_equal(http_head_add(&h, TEXT("origin"), text_of(wish->origin)), 0);
    if (wish->preflight)
        assert_int_equal(http_head_add(&h, TEXT("access-control-request-method"), TEXT("PUT")), 0);
    put_field(&h, "x-seed", wish->seed);
    put_field(&h, "x-request", wish->request_bytes);
    put_field(&h, "x-answer", wish->answer_bytes);
    put_field(&h, "x-status", wish->status);
    put_field(&h, "x-pauses", wish->pauses);
    put_field(&h, "x-bits",
              wish->trailers * 1u + wish->early * 2u + wish->informs * 4u + wish->aborts * 8u +
                  wish->upgrade * 16u + wish->length * 32u + wish->silent * 64u +
                  wish->too_much * 128u + wish->last * 256u);
    if (wish->grpc)
        assert_int_equal(http_head_add(&h, TEXT("content-type"), TEXT("application/grpc+proto")),
                         0);
    if (wish->length && !wish->trailers && !wish->upgrade && wish->request_bytes > 0)
        put_field(&h, "content-length", wish->request_bytes);
    if (wish->upgrade)
        assert_int_equal(http_head_set_protocol(&h, TEXT("echo")), 0);
    bool end = !wish->upgrade && wish->request_bytes == 0 && !wish->trailers;
    int r = http_link_request(client->link, &c->s, &h, end);
    http_head_done(&h);
    if (r < 0) {
        ring_task_ask(client_ring, &c->free_task);
        return NULL;
    }
    c->s.body->events = &client_body;
    c->s.body->user = c;
    if (!end && !wish->upgrade) {
        c->to_send = wish->request_bytes;
        call_pump(c);
    }
    return c;
}

#endif
