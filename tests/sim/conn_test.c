/*
 * Connections, listeners and HTTP/2 sessions on the simulated network: short reads and writes, completions that come
 * late, resets, and owners who pause, reset and close at any moment. One seed is one run; it is printed when a run fails,
 * and WEIR_SEED=n runs that one alone.
 *
 *   client ring:  actor ... actor  --connect-->  server ring:  listener, actor ... actor
 */
#include "tests/unit/shared/transport/fixture.h"
#include "shared/transport/conn.h"
#include "shared/transport/h2_conn.h"
#include "shared/transport/listener.h"
#include "tests/support/fake_ring.h"

enum { PAIRS = 8, STREAMS = 12, SEEDS = 300, STUCK_MS = 600 * 1000 };

static struct fake_net *net;
static struct rng *chance; /* the test's own */
static struct ring *client_ring, *server_ring;
static struct listener listener;
static struct addr at;
static bool listening, secure;
static unsigned n_live, n_accepted;
static struct authority authority;
static struct tls_config *client_tls, *server_tls;

static bool one_in(unsigned n)
{
    return rng_below(chance, n) == 0;
}

static void world_new(uint64_t seed, void (*accepted)(struct listener *l, int fd), void (*drained)(struct listener *l))
{
    net = fake_net_new(seed);
    assert_non_null(net);
    chance = fake_net_rng(net);
    struct fake_weather weather = FAKE_WEATHER;
    weather.resets_per_million = one_in(2) ? 0 : 2000;
    fake_net_set_weather(net, &weather);
    assert_int_equal(ring_open(&client_ring, &(struct ring_options){0}, NULL), 0);
    assert_int_equal(ring_open(&server_ring, &(struct ring_options){0}, NULL), 0);
    bed.ring = client_ring; /* for the patterns' chunks */
    int fd = listen_loopback(&at);
    n_live = n_accepted = 0;
    listening = true;
    listener_open(&listener, server_ring, fd, 1 + rng_below(chance, PAIRS), accepted, drained, NULL);
}

static uint64_t world_free(void)
{
    assert_int_equal(fake_net_leaks(net), 0);
    ring_free(client_ring);
    ring_free(server_ring);
    uint64_t trace = fake_net_trace(net);
    net = fake_net_free(net);
    return trace;
}

static void listener_gone(struct listener *l)
{
    (void)l;
    listening = false;
}

/* ---- connections ------------------------------------------------------------------------------------ */

/* Sends a pattern, checks what it gets, and does what owners do. */
struct actor {
    struct conn conn;
    struct timer resume, stuck;
    unsigned id;
    bool is_client;
    uint64_t to_send, sent, got;
    unsigned ended, finished, failed, secured;
    bool gone;    /* closed or reset: no event may come */
    bool drained; /* the memory stays for the comparison at the end */
    bool gave_up; /* ended otherwise than by both half-closes */
};
static struct actor clients[PAIRS], servers[PAIRS];

static unsigned seed_of(const struct actor *a)
{
    return a->id * 2 + a->is_client;
}

static void actor_end(struct actor *a, bool gave_up)
{
    a->gone = true;
    a->gave_up = gave_up;
    timer_stop(ring_timers(a->conn.ring), &a->resume);
    timer_stop(ring_timers(a->conn.ring), &a->stuck);
    if (gave_up && one_in(2))
        stream_reset(&a->conn.stream, -ECANCELED);
    conn_close(&a->conn);
    if (one_in(4))
        conn_close(&a->conn);
}

/* What an owner may do in any event. true: it has ended. */
static bool whim(struct actor *a)
{
    if (one_in(400)) {
        actor_end(a, true);
        return true;
    }
    if (one_in(10)) {
        stream_pause(&a->conn.stream);
        timer_start(ring_timers(a->conn.ring), &a->resume, rng_below(chance, 50));
    }
    if (one_in(20) && a->conn.paused)
        stream_resume(&a->conn.stream);
    if (one_in(10))
        conn_flush(&a->conn);
    return false;
}

static void actor_send(struct actor *a)
{
    struct stream *s = &a->conn.stream;

    while (a->sent < a->to_send && stream_queued(s) < STREAM_QUEUE_HIGH) {
        struct buf part = {0};
        uint64_t rest = a->to_send - a->sent, n = 1 + rng_below(chance, one_in(3) ? 60000 : 700);
        n = n < rest ? n : rest;
        bed.ring = a->conn.ring;
        pattern_append(&part, seed_of(a), a->sent, (size_t)n);
        a->sent += n;
        stream_send(s, &part);
    }
    if (a->sent == a->to_send && !a->conn.finish_asked)
        stream_finish(s);
}

static void actor_received(struct stream *s, struct buf *bytes)
{
    struct actor *a = s->user, *other = a->is_client ? &servers[a->id] : &clients[a->id];
    size_t len = bytes->len;

    assert_false(a->gone || a->failed || a->ended || a->conn.paused);
    assert_true(len > 0);
    assert_true(pattern_take(bytes, seed_of(other), a->got));
    a->got += len;
    if (!whim(a))
        actor_send(a);
}

static void actor_perhaps_done(struct actor *a)
{
    if (a->ended && a->finished)
        actor_end(a, false);
    else
        (void)whim(a);
}

static void actor_ended(struct stream *s)
{
    struct actor *a = s->user;
    assert_false(a->gone || a->failed || a->ended || a->conn.paused);
    a->ended++;
    actor_perhaps_done(a);
}

static void actor_finished(struct stream *s)
{
    struct actor *a = s->user;
    assert_false(a->gone || a->failed || a->finished);
    assert_int_equal(stream_queued(s), 0);
    a->finished++;
    actor_perhaps_done(a);
}

static void actor_writable(struct stream *s)
{
    struct actor *a = s->user;
    assert_false(a->gone || a->failed || a->finished);
    assert_true(stream_queued(s) < STREAM_QUEUE_LOW);
    if (!whim(a))
        actor_send(a);
}

static void actor_failed(struct stream *s, int error)
{
    struct actor *a = s->user;
    assert_false(a->gone || a->failed);
    assert_true(error == -ECONNRESET || error == -EPIPE || error == -EKEYREJECTED);
    a->failed++;
    actor_end(a, true);
}

static void actor_resume(struct timer *t)
{
    struct actor *a = container_of(t, struct actor, resume);
    assert_false(a->gone);
    stream_resume(&a->conn.stream);
}

static void actor_stuck(struct timer *t)
{
    const struct actor *a = container_of(t, struct actor, stuck);
    fail_msg("%s %u is stuck: ended %u, finished %u, got %llu, sent %llu of %llu, queued %zu",
             a->is_client ? "client" : "server", a->id, a->ended, a->finished, (unsigned long long)a->got,
             (unsigned long long)a->sent, (unsigned long long)a->to_send, stream_queued(&a->conn.stream));
}

static void actor_secured(struct conn *c, int result)
{
    struct actor *a = container_of(c, struct actor, conn);

    assert_false(a->gone || a->secured);
    a->secured++;
    if (result < 0 || one_in(30)) {
        actor_end(a, true);
        return;
    }
    conn_start(c);
    actor_send(a);
}

static void actor_connected(struct conn *c, int result)
{
    struct actor *a = container_of(c, struct actor, conn);

    assert_false(a->gone);
    if (result < 0 || one_in(30)) {
        actor_end(a, true);
    } else if (secure) {
        assert_int_equal(conn_secure(c, client_tls), 0);
    } else {
        conn_start(c);
        actor_send(a);
    }
}

static void actor_drained(struct conn *c)
{
    struct actor *a = container_of(c, struct actor, conn);

    assert_true(a->gone && !a->drained);
    a->drained = true;
    n_live--;
    if (!a->is_client)
        listener_release(&listener);
}

static const struct stream_events actor_stream_events = {actor_received, actor_ended, actor_writable, actor_finished,
                                                         actor_failed};
static const struct conn_events actor_conn_events = {actor_connected, actor_secured, actor_drained};

static void actor_init(struct actor *a, unsigned id, struct ring *ring, int fd)
{
    *a = (struct actor){.id = id, .is_client = ring == client_ring, .to_send = rng_below(chance, one_in(4) ? 900000 : 20000)};
    timer_init(&a->resume, actor_resume);
    timer_init(&a->stuck, actor_stuck);
    conn_init(&a->conn, ring, fd, &actor_conn_events);
    a->conn.stream.events = &actor_stream_events;
    a->conn.stream.user = a;
    timer_start(ring_timers(ring), &a->stuck, STUCK_MS);
    n_live++;
}

/* Which client it is shows from the order: one connects after the other was accepted. */
static void next_client(void)
{
    int fd;

    if (n_accepted == PAIRS) {
        if (!listener.closing)
            listener_close(&listener);
        return;
    }
    assert_int_equal(socket_open(AF_INET, &fd), 0);
    actor_init(&clients[n_accepted], n_accepted, client_ring, fd);
    conn_connect(&clients[n_accepted].conn, &at);
}

static void actor_accepted(struct listener *l, int fd)
{
    struct actor *a = &servers[n_accepted];

    assert_in_range(l->n_open, 1, l->connections_max);
    actor_init(a, n_accepted, server_ring, fd);
    if (secure) {
        assert_int_equal(conn_secure(&a->conn, server_tls), 0);
    } else {
        conn_start(&a->conn);
        actor_send(a);
    }
    n_accepted++;
    next_client();
}

/* The connect of a client may fail, or it ends before it was accepted: then there is no server for it. */
static bool pairs_over(void *arg)
{
    (void)arg;
    if (n_live == 0 && !listener.closing)
        listener_close(&listener);
    return n_live == 0 && !listening;
}

static void pair_check(const struct actor *a, const struct actor *b)
{
    /* A regular end on both sides: everything has arrived. */
    if (a->drained && b->drained && !a->gave_up && !b->gave_up)
        assert_int_equal(a->got, b->to_send);
    if (a->drained && b->drained && a->ended && b->finished)
        assert_int_equal(a->got, b->to_send);
    if (b->drained)
        assert_true(a->got <= b->sent);
}

static uint64_t run_pairs(uint64_t seed, bool with_tls)
{
    secure = with_tls;
    memset(clients, 0, sizeof clients);
    memset(servers, 0, sizeof servers);
    world_new(seed, actor_accepted, listener_gone);
    next_client();
    assert_true(fake_net_run_until(net, pairs_over, NULL, 2 * STUCK_MS));
    for (unsigned i = 0; i < n_accepted; i++) {
        pair_check(&clients[i], &servers[i]);
        pair_check(&servers[i], &clients[i]);
    }
    return world_free();
}

/* ---- HTTP/2 ------------------------------------------------------------------------------------------- */

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

static struct side *side_of(struct stream *s) { return s->user; }

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

static const struct stream_events side_stream_events = {side_received, side_ended, side_writable, side_finished,
                                                        side_failed};
static const struct http2_stream_events side_events = {side_head, side_closed, side_opened};

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

static struct http2_stream *party_request(struct h2_conn *h, const struct http2_head *head, unsigned *ret_status)
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

static const struct h2_conn_events party_events = {party_ready, party_request, NULL, NULL, party_closed, party_drained};

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
    fail_msg("the %s is stuck: %u streams, %u closed, ready %u", p->is_client ? "client" : "server", p->n_sides,
             p->n_closed, p->ready);
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
    assert_int_equal(h2_conn_open_server(&server.h2, server_ring, fd, &o, &party_events, &server), 0);
    listener_close(l);
}

static uint64_t run_session(uint64_t seed, bool with_tls)
{
    int fd;

    secure = with_tls;
    memset(&server, 0, sizeof server);
    world_new(seed, party_accepted, listener_gone);
    struct h2_conn_options o = {.tls = secure ? client_tls : NULL};
    assert_int_equal(socket_open(AF_INET, &fd), 0);
    party_init(&client, client_ring);
    assert_int_equal(h2_conn_open_client(&client.h2, client_ring, fd, &at, &o, &party_events, &client), 0);
    assert_true(fake_net_run_until(net, pairs_over, NULL, 2 * STUCK_MS));
    assert_int_equal(client.n_closed, client.n_sides);
    assert_int_equal(server.n_closed, server.n_sides);
    assert_int_equal(client.closed + client.cut, 1);
    if (n_accepted > 0)
        assert_int_equal(server.closed + server.cut, 1);
    return world_free();
}

/* ---- seeds ---------------------------------------------------------------------------------------------- */

static uint64_t running;

static void run_seeds(uint64_t (*run)(uint64_t seed, bool with_tls), bool with_tls, unsigned seeds)
{
    const char *one = getenv("WEIR_SEED");
    uint64_t first = one ? strtoull(one, NULL, 10) : 1, last = one ? first : seeds;

    for (running = first; running <= last; running++) {
        uint64_t trace = run(running, with_tls);
        /* With TLS the keys are new each time; else a run must be repeatable. */
        if (!with_tls && running % 20 == 0 && run(running, with_tls) != trace)
            fail_msg("two runs of one seed differ");
    }
    running = 0;
}

static int tell_seed(void **state)
{
    (void)state;
    if (running)
        print_error("WEIR_SEED=%llu\n", (unsigned long long)running);
    running = 0;
    return 0;
}

static void plain_connections(void **state) { (void)state; run_seeds(run_pairs, false, SEEDS); }
static void tls_connections(void **state) { (void)state; run_seeds(run_pairs, true, SEEDS / 10); }
static void plain_sessions(void **state) { (void)state; run_seeds(run_session, false, SEEDS); }
static void tls_sessions(void **state) { (void)state; run_seeds(run_session, true, SEEDS / 5); }

static int identities_make(void **state)
{
    (void)state;
    authority_make(&authority);
    client_tls = identity_make(&authority, TLS_CLIENT, "spiffe://cluster.local/ns/shop/sa/client", TEXT(""));
    server_tls = identity_make(&authority, TLS_SERVER, "spiffe://cluster.local/ns/shop/sa/server", TEXT(""));
    return 0;
}

static int identities_done(void **state)
{
    (void)state;
    tls_config_unref(client_tls);
    tls_config_unref(server_tls);
    authority_done(&authority);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(plain_connections, tell_seed),
        cmocka_unit_test_teardown(tls_connections, tell_seed),
        cmocka_unit_test_teardown(plain_sessions, tell_seed),
        cmocka_unit_test_teardown(tls_sessions, tell_seed),
    };
    return cmocka_run_group_tests(tests, identities_make, identities_done);
}
