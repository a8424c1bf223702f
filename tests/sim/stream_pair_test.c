/*
 * The two ends of a stream pair, each with a user that sends a pattern, stops reading now and then, ends its direction,
 * and sometimes resets: what comes, comes whole, in order and once, and nothing comes to who has paused or reset.
 */
#include "shared/transport/stream_pair.h"
#include "tests/sim/seed_runs.h"
#include "tests/unit/shared/transport/fixture.h"

enum { SEEDS = 300, STUCK_MS = 600 * 1000 };

static struct fake_net *net;
static struct ring *ring;

struct user {
    struct stream *stream;
    unsigned seed;
    uint64_t sent, goal, got;
    bool paused, asked_end, ended, finished, failed, reset, choked;
    unsigned n_writable;
};
static struct user users[2];
static struct timer tick;
static struct stream_pair pair;

static struct user *other_of(const struct user *u)
{
    return &users[u == &users[0]];
}

static void act(struct user *u);
static void received(struct stream *s, struct buf *bytes)
{
    struct user *u = s->user;
    size_t len = bytes->len;
    assert_false(u->paused || u->ended || u->failed || u->reset);
    assert_true(len > 0);
    assert_true(pattern_take(bytes, other_of(u)->seed, u->got));
    u->got += len;
    if (one_in(4)) { /* from within the event */
        u->paused = true;
        stream_pause(s);
    }
}
static void ended(struct stream *s)
{
    struct user *u = s->user;
    assert_false(u->ended || u->failed || u->reset || u->paused);
    assert_true(other_of(u)->asked_end);
    assert_int_equal(u->got, other_of(u)->sent);
    u->ended = true;
}
static void finished(struct stream *s)
{
    struct user *u = s->user;
    assert_false(u->finished || u->failed || u->reset);
    assert_true(u->asked_end && other_of(u)->ended);
    u->finished = true;
}
static void writable(struct stream *s)
{
    struct user *u = s->user;
    assert_true(u->choked && !u->failed && !u->reset);
    assert_true(stream_queued(s) < STREAM_QUEUE_LOW);
    u->choked = false;
    u->n_writable++;
    act(u); /* from within the event: with its end, at times */
}
static void failed(struct stream *s, int error)
{
    struct user *u = s->user;
    assert_int_equal(error, -ECONNRESET);
    assert_true(other_of(u)->reset);
    assert_false(u->failed || u->reset);
    u->failed = true;
}
static const struct stream_events events = {.received = received,
                                            .ended = ended,
                                            .writable = writable,
                                            .finished = finished,
                                            .failed = failed};

static void act(struct user *u)
{
    if (u->failed || u->reset)
        return;
    if (u->paused && one_in(3)) {
        u->paused = false;
        stream_resume(u->stream);
    }
    if (!u->choked && u->sent < u->goal && one_in(2)) {
        struct buf part = {0};
        uint64_t n = 1 + rng_below(chance, one_in(3) ? 300 * 1024 : 3000);
        n = n < u->goal - u->sent ? n : u->goal - u->sent;
        pattern_append(&part, u->seed, u->sent, n);
        u->sent += n;
        stream_send(u->stream, &part);
        assert_int_equal(part.len, 0);
        u->choked = stream_queued(u->stream) > STREAM_QUEUE_HIGH;
    }
    if (u->sent == u->goal && !u->asked_end) {
        u->asked_end = true;
        stream_finish(u->stream);
    }
}

static void ticks(struct timer *t)
{
    for (unsigned i = 0; i < 2; i++)
        act(&users[i]);
    timer_start(ring_timers(ring), t, 1);
}

static bool is_over(void *arg)
{
    bool over = true;
    (void)arg;
    for (unsigned i = 0; i < 2; i++)
        over &= users[i].failed || users[i].reset || (users[i].ended && users[i].finished);
    return over;
}

static void begin(uint64_t seed)
{
    net = fake_net_new(seed);
    chance = fake_net_rng(net);
    assert_int_equal(ring_open(&ring, &(struct ring_options){0}, NULL), 0);
    bed.ring = ring;
    stream_pair_init(&pair, ring);
    for (unsigned i = 0; i < 2; i++) {
        users[i] = (struct user){.stream = &pair.ends[i].stream,
                                 .seed = i + 1,
                                 .paused = true, /* it begins so */
                                 .goal = rng_below(chance, one_in(2) ? 2000000 : 3000)};
        users[i].stream->events = &events;
        users[i].stream->user = &users[i];
    }
    timer_init(&tick, ticks);
}

static uint64_t end(void)
{
    struct ring_stats stats;
    timer_stop(ring_timers(ring), &tick);
    stream_pair_done(&pair);
    ring_stats(ring, &stats);
    assert_int_equal(stats.chunks_live, 0);
    uint64_t trace = fake_net_trace(net);
    ring_free(ring);
    net = fake_net_free(net);
    return trace;
}

static uint64_t whole_run(uint64_t seed)
{
    begin(seed);
    ticks(&tick);
    assert_true(fake_net_run_until(net, is_over, NULL, STUCK_MS));
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(users[i].got, other_of(&users[i])->goal);
    return end();
}

/* One of them ends it at some time: the other one hears of that once, and nothing else comes to either. */
static uint64_t reset_run(uint64_t seed)
{
    begin(seed);
    ticks(&tick);
    fake_net_run_for(net, rng_below(chance, 30));
    struct user *u = &users[rng_below(chance, 2)];
    if (!u->failed) {
        u->reset = true;
        stream_reset(u->stream, -ECANCELED);
    }
    fake_net_run_for(net, 100);
    assert_true(other_of(u)->failed);
    assert_true(is_over(NULL));
    return end();
}

/* Who has paused gets nothing, and who sends is told how much that is. */
static void stopped(void **state)
{
    (void)state;
    begin(1);
    struct buf part = {0};
    pattern_append(&part, users[0].seed, 0, STREAM_QUEUE_HIGH + 1);
    users[0].sent = STREAM_QUEUE_HIGH + 1;
    stream_send(users[0].stream, &part);
    users[0].choked = true;
    fake_net_run_for(net, 50);
    assert_int_equal(stream_queued(users[0].stream), STREAM_QUEUE_HIGH + 1);
    assert_int_equal(users[1].got, 0);
    users[1].paused = false;
    stream_resume(users[1].stream);
    assert_int_equal(users[1].got, 0); /* not before it returns */
    fake_net_run_for(net, 50);
    assert_int_equal(users[1].got, STREAM_QUEUE_HIGH + 1);
    assert_int_equal(users[0].n_writable, 1);
    (void)end();
}

static void whole(void **state)
{
    (void)state;
    run_seeds(whole_run, SEEDS, true);
}
static void resets(void **state)
{
    (void)state;
    run_seeds(reset_run, SEEDS, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_teardown(whole, tell_seed),
                                       cmocka_unit_test_teardown(resets, tell_seed),
                                       cmocka_unit_test(stopped)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
