/*
 * HTTP/2 sessions on the simulated network: every stream is closed exactly once and before its
 * connection, whoever resets, drains or closes, and whatever the weather.
 */
#include "shared/transport/h2_conn.h"
#include "tests/sim/transport_world.h"

enum { STREAMS = 12 };

struct side {
    struct http2_stream stream;
    struct party *party;
    unsigned seed;
    uint64_t to_send, sent, got;
    unsigned ended, closed;
    bool accepted; /* client: 200 */
};
struct party {
    struct h2_conn h2;
    struct timer act, stuck;
    struct side sides[STREAMS];
    unsigned n_sides, n_closed, n_whole, ready, closed, drained;
    bool is_client, gone, cut; /* cut: closed by its owner */
    int error;
};
static struct party client, server;

static struct side *side_of(struct stream *s)
{
    return s->user;
}

static void side_send(struct side *s)
{
    struct stream *stream = &s->stream.stream;

    while (s->sent < s->to_send && stream_queued(stream) < STREAM_QUEUE_HIGH) {
        struct buf part = {0};
        uint64_t rest = s->to_send - s->sent, n = 1 + rng_below(chance, 20000);
        n = n < rest ? n : rest;
        bed.ring = s->party->h2.conn.ring;
        pattern_append(&part, s->seed, s->sent, (size_t)n);
        s->sent += n;
        stream_send(stream, &part);
    }
    if (s->sent == s->to_send && !s->stream.finish_asked)
        stream_finish(stream);
}

static void party_close(struct party *p)
{
    if (p->gone)
        return;
    p->gone = true;
    p->cut = !p->closed;
    timer_stop(ring_timers(p->h2.conn.ring), &p->act);
    timer_stop(ring_timers(p->h2.conn.ring), &p->stuck);
    h2_conn_close(&p->h2);
}

static void side_received(struct stream *stream, struct buf *bytes)
{
    struct side *s = side_of(stream);
    size_t len = bytes->len;

    assert_int_equal(s->closed, 0);
    if (s->party->is_client)
        assert_true(pattern_take(bytes, s->seed, s->got));
    else
        stream_send(stream, bytes);
    s->got += len;
    if (one_in(800))
        http2_stream_reset(&s->stream, HTTP2_CANCEL);
    else if (one_in(4000))
        party_close(s->party);
}

static void side_ended(struct stream *stream)
{
    struct side *s = side_of(stream);
    assert_int_equal(s->closed + s->ended, 0);
    s->ended++;
    if (!s->party->is_client)
        stream_finish(stream);
}

static void side_writable(struct stream *stream)
{
    if (side_of(stream)->party->is_client)
        side_send(side_of(stream));
}

static void side_finished(struct stream *stream)
{
    assert_int_equal(side_of(stream)->closed, 0);
}

static void side_failed(struct stream *stream, int error)
{
    assert_int_equal(side_of(stream)->closed, 0);
    assert_true(error < 0);
}

static void side_head(struct http2_stream *stream, const struct http2_head *head)
{
    struct side *s = container_of(stream, struct side, stream);
    assert_int_equal(s->closed, 0);
    s->accepted = text_equal(http2_head_get(head, TEXT(":status")), TEXT("200"));
}

static void side_closed(struct http2_stream *stream, uint32_t code)
{
    struct side *s = container_of(stream, struct side, stream);
    struct party *p = s->party;

    assert_int_equal(p->closed + p->drained, 0);
    assert_int_equal(s->closed, 0);
    s->closed++;
    p->n_closed++;
    if (code == 0 && s->accepted) { /* a refusal is a regular end too */
        assert_int_equal(s->got, s->to_send);
        p->n_whole++;
    }
    if (one_in(60))
        party_close(p);
}

static void side_opened(struct http2_stream *stream)
{
    static const struct http2_header ok[] = {{{":status", 7}, {"200", 3}}};
    (void)http2_stream_respond(stream, ok, 1, false);
}

static const struct stream_events side_stream_events = {side_received, side_ended, side_writable,
                                                        side_finished, side_failed};
static const struct http2_stream_events side_events = {
    .head = side_head, .closed = side_closed, .opened = side_opened};

static struct side *side_new(struct party *p)
{
    struct side *s = &p->sides[p->n_sides++];
    *s = (struct side){.party = p};
    http2_stream_init(&s->stream, &side_events);
    s->stream.stream.events = &side_stream_events;
    s->stream.stream.user = s;
    return s;
}

static void party_ready(struct h2_conn *h)
{
    static const struct http2_header head[] = {{{":method", 7}, {"POST", 4}},
                                               {{":scheme", 7}, {"https", 5}},
                                               {{":path", 5}, {"/", 1}},
                                               {{":authority", 10}, {"x", 1}}};
    struct party *p = h->user;

    assert_int_equal(p->ready++, 0);
    if (one_in(30)) {
        party_close(p);
        return;
    }
    for (unsigned i = 0; p->is_client && i < STREAMS; i++) {
        struct side *s = side_new(p);
        s->seed = i;
        s->to_send = rng_below(chance, one_in(5) ? 400000 : 5000);
        assert_int_equal(http2_stream_request(h->http2, &s->stream, head, 4, false), 0);
        side_send(s);
    }
}

static struct http2_stream *party_request(struct h2_conn *h, const struct http2_head *head,
                                          unsigned *ret_status)
{
    struct party *p = h->user;

    assert_int_equal(head->n, 4);
    assert_false(p->gone);
    if (one_in(20) || p->n_sides == STREAMS) {
        *ret_status = one_in(2) ? 503 : 0;
        return NULL;
    }
    return &side_new(p)->stream;
}

static void party_closed(struct h2_conn *h, int error)
{
    struct party *p = h->user;

    assert_int_equal(p->closed++, 0);
    assert_false(p->gone);
    assert_int_equal(p->n_closed, p->n_sides);
    p->error = error;
    if (one_in(2)) /* now or later */
        party_close(p);
    else
        timer_start(ring_timers(h->conn.ring), &p->act, 5);
}

static void party_drained(struct h2_conn *h)
{
    struct party *p = h->user;

    assert_true(p->gone);
    assert_int_equal(p->drained++, 0);
    n_live--;
    if (!p->is_client)
        listener_release(&listener);
}

static const struct h2_conn_events party_events = {.ready = party_ready,
                                                   .request = party_request,
                                                   .closed = party_closed,
                                                   .drained = party_drained};

/* In the middle of everything: drain, or (after the end) close. */
static void party_act(struct timer *t)
{
    struct party *p = container_of(t, struct party, act);
    if (p->closed)
        party_close(p);
    else
        h2_conn_drain(&p->h2);
}

static void party_stuck(struct timer *t)
{
    const struct party *p = container_of(t, struct party, stuck);
    fail_msg("the %s is stuck: %u streams, %u closed, ready %u", p->is_client ? "client" : "server",
             p->n_sides, p->n_closed, p->ready);
}

static void party_init(struct party *p, struct ring *ring)
{
    *p = (struct party){.is_client = ring == client_ring};
    timer_init(&p->act, party_act);
    timer_init(&p->stuck, party_stuck);
    timer_start(ring_timers(ring), &p->act, 1 + rng_below(chance, 3000));
    timer_start(ring_timers(ring), &p->stuck, STUCK_MS);
    n_live++;
}

static void party_accepted(struct listener *l, int fd)
{
    struct h2_conn_options o = {.tls = secure ? server_tls : NULL};

    party_init(&server, server_ring);
    n_accepted++;
    assert_int_equal(h2_conn_open_server(&server.h2, server_ring, fd, &o, &party_events, &server),
                     0);
    listener_close(l);
}

static uint64_t run_session(uint64_t seed)
{
    int fd;

    memset(&server, 0, sizeof server);
    world_new(seed, party_accepted, listener_gone);
    struct h2_conn_options o = {.tls = secure ? client_tls : NULL};
    assert_int_equal(socket_open(AF_INET, &fd), 0);
    party_init(&client, client_ring);
    assert_int_equal(
        h2_conn_open_client(&client.h2, client_ring, fd, &at, &o, &party_events, &client), 0);
    assert_true(fake_net_run_until(net, world_over, NULL, 2 * STUCK_MS));
    assert_int_equal(client.n_closed, client.n_sides);
    assert_int_equal(server.n_closed, server.n_sides);
    assert_int_equal(client.closed + client.cut, 1);
    if (n_accepted > 0)
        assert_int_equal(server.closed + server.cut, 1);
    return world_free();
}

static void plain_sessions(void **state)
{
    (void)state;
    secure = false;
    run_seeds(run_session, SEEDS, true);
}
static void tls_sessions(void **state)
{
    (void)state;
    secure = true;
    run_seeds(run_session, SEEDS / 5, false);
}

static int make_identities(void **state)
{
    (void)state;
    identities_make(TEXT(""));
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(plain_sessions, tell_seed),
        cmocka_unit_test_teardown(tls_sessions, tell_seed),
    };
    return cmocka_run_group_tests(tests, make_identities, identities_done);
}
