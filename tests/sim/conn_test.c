/*
 * Connections and a listener on the simulated network: short reads and writes, completions that
 * come late, resets, and owners who pause, reset and close at any moment.
 *
 *   client ring:  actor ... actor  --connect-->  server ring:  listener, actor ... actor
 */
#include "shared/transport/conn.h"
#include "tests/sim/transport_world.h"

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
             a->is_client ? "client" : "server", a->id, a->ended, a->finished,
             (unsigned long long)a->got, (unsigned long long)a->sent,
             (unsigned long long)a->to_send, stream_queued(&a->conn.stream));
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

static const struct stream_events actor_stream_events = {
    actor_received, actor_ended, actor_writable, actor_finished, actor_failed};
static const struct conn_events actor_conn_events = {
    .connected = actor_connected, .secured = actor_secured, .drained = actor_drained};

static void actor_init(struct actor *a, unsigned id, struct ring *ring, int fd)
{
    *a = (struct actor){.id = id,
                        .is_client = ring == client_ring,
                        .to_send = rng_below(chance, one_in(4) ? 900000 : 20000)};
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

static uint64_t run_pairs(uint64_t seed)
{
    memset(clients, 0, sizeof clients);
    memset(servers, 0, sizeof servers);
    world_new(seed, actor_accepted, listener_gone);
    next_client();
    assert_true(fake_net_run_until(net, world_over, NULL, 2 * STUCK_MS));
    for (unsigned i = 0; i < n_accepted; i++) {
        pair_check(&clients[i], &servers[i]);
        pair_check(&servers[i], &clients[i]);
    }
    return world_free();
}

static void plain_connections(void **state)
{
    (void)state;
    secure = false;
    run_seeds(run_pairs, SEEDS, true);
}
static void tls_connections(void **state)
{
    (void)state;
    secure = true;
    run_seeds(run_pairs, SEEDS / 10, false);
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
        cmocka_unit_test_teardown(plain_connections, tell_seed),
        cmocka_unit_test_teardown(tls_connections, tell_seed),
    };
    return cmocka_run_group_tests(tests, make_identities, identities_done);
}
