/*
 * The two ends of one HTTP/2 session, both on the bed's ring. The client sends patterns, the server
 * echoes them; each counts what happens and asserts the order that h2_conn.h promises.
 */
#ifndef TESTS_UNIT_SHARED_TRANSPORT_H2_PAIR_H
#define TESTS_UNIT_SHARED_TRANSPORT_H2_PAIR_H
#include "shared/transport/h2_conn.h"
#include "shared/transport/listener.h"
#include "tests/unit/shared/transport/fixture.h"

enum { STREAMS = 100 };

/* One end of one exchange. Clients send a pattern, servers echo it. */
struct side {
    struct http2_stream stream;
    bool is_client, in_use;
    unsigned seed;
    uint64_t to_send, sent, got;
    unsigned heads, ended, finished, failed, closed;
    uint32_t code;
    bool bad;
};

/* One end of the session. */
struct party {
    struct h2_conn h2;
    struct side sides[STREAMS];
    size_t n_sides, n_closed;
    unsigned ready, goaways, closed, drained;
    int error;
    bool closed_first; /* a stream ended after the connection had said so */
    bool hold;         /* a server that does not answer */
    void (*on_ready)(struct party *p);
    void (*on_stream_closed)(struct party *p, struct side *s);
    void (*on_received)(struct party *p, struct side *s);
    void (*on_closed)(struct party *p);
    struct http2_stream *(*on_request)(struct party *p, unsigned *ret_status);
};
static struct party *client, *server;
static bool use_tls;

static inline struct party *party_of(struct side *s)
{
    return s->is_client ? client : server;
}

/* ---- streams -------------------------------------------------------------------------------------- */

static inline void side_pump(struct side *s)
{
    struct stream *stream = &s->stream.stream;

    while (s->sent < s->to_send && stream_queued(stream) < STREAM_QUEUE_HIGH) {
        struct buf part = {0};
        uint64_t rest = s->to_send - s->sent;
        size_t n = rest < 30000 ? (size_t)rest : 30000;
        pattern_append(&part, s->seed, s->sent, n);
        s->sent += n;
        stream_send(stream, &part);
    }
    if (s->sent == s->to_send && !s->stream.finish_asked)
        stream_finish(stream);
}

static inline void on_received(struct stream *stream, struct buf *bytes)
{
    struct side *s = stream->user;
    size_t len = bytes->len;

    if (s->is_client)
        s->bad = !pattern_take(bytes, s->seed, s->got) || s->bad;
    else
        stream_send(stream, bytes);
    s->got += len;
    if (!s->is_client && stream_queued(stream) > STREAM_QUEUE_HIGH)
        stream_pause(stream);
    if (party_of(s)->on_received)
        party_of(s)->on_received(party_of(s), s);
    bed_poke();
}

static inline void on_ended(struct stream *stream)
{
    struct side *s = stream->user;
    s->ended++;
    if (!s->is_client && !party_of(s)->hold)
        stream_finish(stream);
}

static inline void on_writable(struct stream *stream)
{
    struct side *s = stream->user;
    if (s->is_client)
        side_pump(s);
    else
        stream_resume(stream);
}

static inline void on_finished(struct stream *stream)
{
    ((struct side *)stream->user)->finished++;
}

static inline void on_failed(struct stream *stream, int error)
{
    assert_true(error < 0);
    ((struct side *)stream->user)->failed++;
}

static inline void on_head(struct http2_stream *stream, const struct http2_head *head)
{
    struct side *s = container_of(stream, struct side, stream);
    s->heads++;
    assert_true(text_equal(http2_head_get(head, TEXT(":status")), TEXT("200")));
}

static inline void on_closed(struct http2_stream *stream, uint32_t code)
{
    struct side *s = container_of(stream, struct side, stream);
    struct party *p = party_of(s);

    s->closed++;
    s->code = code;
    p->n_closed++;
    p->closed_first = p->closed_first || p->closed > 0;
    assert_int_equal(p->drained, 0);
    if (p->on_stream_closed)
        p->on_stream_closed(p, s);
    bed_poke();
}

static inline void on_opened(struct http2_stream *stream)
{
    static const struct http2_header ok[] = {{{":status", 7}, {"200", 3}}};
    struct side *s = container_of(stream, struct side, stream);
    if (!party_of(s)->hold)
        assert_int_equal(http2_stream_respond(stream, ok, 1, false), 0);
}

static const struct stream_events byte_events = {on_received, on_ended, on_writable, on_finished,
                                                 on_failed};
static const struct http2_stream_events stream_events = {
    .head = on_head, .closed = on_closed, .opened = on_opened};

static inline struct side *side_new(struct party *p)
{
    assert_true(p->n_sides < STREAMS);
    struct side *s = &p->sides[p->n_sides++];
    *s = (struct side){.is_client = p == client, .in_use = true};
    http2_stream_init(&s->stream, &stream_events);
    s->stream.stream.events = &byte_events;
    s->stream.stream.user = s;
    return s;
}

static inline struct side *request(uint64_t bytes)
{
    static const struct http2_header head[] = {
        {{":method", 7}, {"POST", 4}},
        {{":scheme", 7}, {"https", 5}},
        {{":path", 5}, {"/echo", 5}},
        {{":authority", 10}, {"server", 6}},
    };
    struct side *s = side_new(client);

    s->seed = (unsigned)client->n_sides;
    s->to_send = bytes;
    assert_int_equal(
        http2_stream_request(client->h2.http2, &s->stream, head, ARRAY_SIZE(head), false), 0);
    side_pump(s);
    return s;
}

/* ---- sessions ------------------------------------------------------------------------------------- */

static inline struct party *party(struct h2_conn *h)
{
    return h->user;
}

static inline void on_ready(struct h2_conn *h)
{
    struct party *p = party(h);
    p->ready++;
    if (use_tls) {
        assert_non_null(conn_peer(&h->conn));
        assert_string_equal(conn_peer(&h->conn)->uri,
                            p == client ? "spiffe://cluster.local/ns/shop/sa/server"
                                        : "spiffe://cluster.local/ns/shop/sa/client");
    }
    if (p->on_ready)
        p->on_ready(p);
    bed_poke();
}

static inline struct http2_stream *on_request(struct h2_conn *h, const struct http2_head *head,
                                              unsigned *ret_status)
{
    struct party *p = party(h);
    assert_ptr_equal(p, server);
    assert_true(text_equal(http2_head_get(head, TEXT(":path")), TEXT("/echo")));
    if (p->on_request)
        return p->on_request(p, ret_status);
    return &side_new(p)->stream;
}

static inline void on_goaway(struct h2_conn *h)
{
    party(h)->goaways++;
    bed_poke();
}

static inline void on_session_closed(struct h2_conn *h, int error)
{
    struct party *p = party(h);
    assert_null(h->http2);
    assert_int_equal(p->n_closed, p->n_sides);
    p->closed++;
    p->error = error;
    if (p->on_closed)
        p->on_closed(p);
    bed_poke();
}

static inline void on_drained(struct h2_conn *h)
{
    party(h)->drained++;
    bed_poke();
}

static const struct h2_conn_events session_events = {.ready = on_ready,
                                                     .request = on_request,
                                                     .goaway = on_goaway,
                                                     .closed = on_session_closed,
                                                     .drained = on_drained};

/* What the next open_both() takes. */
static struct h2_conn_options client_options, server_options;

static struct listener listener;
static bool listening;

static inline void accepted(struct listener *l, int fd)
{
    server_options.tls = use_tls ? server_tls : NULL;
    assert_int_equal(
        h2_conn_open_server(&server->h2, bed.ring, fd, &server_options, &session_events, server),
        0);
    listener_close(l);
}

static inline void listener_gone(struct listener *l)
{
    (void)l;
    listening = false;
    bed_poke();
}

static inline void parties_new(bool tls)
{
    use_tls = tls;
    client = calloc(1, sizeof *client);
    server = calloc(1, sizeof *server);
    assert_true(client && server);
    client_options = server_options = (struct h2_conn_options){0};
}

static inline void open_both(void)
{
    struct addr at;
    int fd;

    listening = true;
    listener_open(&listener, bed.ring, listen_loopback(&at), 10, accepted, listener_gone, NULL);
    assert_int_equal(socket_open(AF_INET, &fd), 0);
    client_options.tls = use_tls ? client_tls : NULL;
    assert_int_equal(h2_conn_open_client(&client->h2, bed.ring, fd, &at, &client_options,
                                         &session_events, client),
                     0);
    /* Not from inside the call. */
    assert_int_equal(client->ready, 0);
}

static inline bool both_ready(void)
{
    return client->ready && server->ready && !listening;
}
static inline bool both_closed(void)
{
    return client->closed && server->closed;
}
static inline bool client_closed(void)
{
    return client->closed > 0;
}
static inline bool server_closed(void)
{
    return server->closed > 0;
}
static inline bool all_streams_closed(void)
{
    return client->n_closed == client->n_sides && server->n_closed == server->n_sides;
}
static inline bool both_drained(void)
{
    return client->drained && server->drained && !listening;
}

static inline void close_both(void)
{
    h2_conn_close(&client->h2);
    h2_conn_close(&client->h2);
    h2_conn_close(&server->h2);
    bed_run_until(both_drained);
    for (int i = 0; i < 2; i++) {
        const struct party *p = i ? client : server;
        assert_int_equal(p->drained, 1);
        assert_in_range(p->closed, 0, 1);
        assert_false(p->closed_first);
        assert_int_equal(p->n_closed, p->n_sides);
        for (size_t k = 0; k < p->n_sides; k++)
            assert_int_equal(p->sides[k].closed, 1);
    }
    free(client);
    free(server);
}

#endif
