/* The share of the buffers that one pod's readers may leave unread, with relays between streams whose queues the test sets. */
#include "nodeproxy/path/relay.h"
#include "tests/unit/shared/base/test.h"
#include <stdlib.h>

enum { CHUNKS = 512, BUFFERS = 16, USABLE = CHUNKS - CHUNKS / 8 - BUFFERS, RELAYS = 64 };

struct script {
    struct stream stream;
    size_t queued;
    unsigned pauses, resumes;
};
struct pair {
    struct script client, server;
    struct relay relay;
    unsigned n_over;
    enum ending ending;
};
static struct ring *ring;
static struct bounds *node;
static struct pod_bounds *bounds;
static struct hold hold;
static struct pair pairs[RELAYS];

static struct script *of(const struct stream *s) { return container_of((struct stream *)s, struct script, stream); }
static void op_send(struct stream *s, struct buf *bytes)
{
    (void)s;
    buf_done(bytes);
}
static void op_nothing(struct stream *s) { (void)s; }
static void op_pause(struct stream *s) { of(s)->pauses++; }
static void op_resume(struct stream *s) { of(s)->resumes++; }
static void op_reset(struct stream *s, int error)
{
    (void)s;
    (void)error;
}
static size_t op_queued(const struct stream *s) { return of(s)->queued; }
static const struct stream_ops ops = {op_send, op_nothing, op_pause, op_resume, op_reset, op_queued};

static void over(struct relay *r, enum ending ending)
{
    struct pair *p = container_of(r, struct pair, relay);
    p->n_over++;
    p->ending = ending;
    relay_stop(r);
}

static void begin(size_t max)
{
    const struct ring_options o = {.chunks_max = CHUNKS, .buffers = BUFFERS};
    const struct bounds_max none = {0};
    assert_int_equal(ring_open(&ring, &o, NULL), 0);
    assert_int_equal(bounds_new(&node, &none), 0);
    bounds = bounds_pod(node, "uid", "shop", "web");
    hold_init(&hold, ring, bounds, max);
    for (size_t i = 0; i < RELAYS; i++) {
        struct pair *p = &pairs[i];
        *p = (struct pair){.client.stream.ops = &ops, .server.stream.ops = &ops, .relay.hold = &hold};
        relay_start(&p->relay, &p->client.stream, &p->server.stream, ring_timers(ring), 0, over);
    }
}

static uint64_t told(void)
{
    struct bound_view v;
    bounds_view(node, BOUND_BUFFERED, &v);
    return v.now;
}

static void end(void)
{
    for (size_t i = 0; i < RELAYS; i++)
        relay_stop(&pairs[i].relay);
    assert_int_equal(hold.chunks, 0);
    assert_true(list_empty(&hold.relays));
    hold_done(&hold);
    assert_int_equal(told(), 0);
    assert_int_equal(ring_timers(ring)->count, 0);
    pod_bounds_unref(bounds);
    node = bounds_free(node);
    ring = ring_free(ring);
}

/* Bytes came from the server, and so many wait for the client now. */
static void leaves_unread(struct pair *p, size_t chunks)
{
    struct buf nothing = {0};
    p->client.queued = chunks > 0 ? chunks * CHUNK_BYTES - 1 : 0;
    p->server.stream.events->received(&p->server.stream, &nothing);
}

static void some_time(void) { timer_wheel_expire(ring_timers(ring), ring_now_ms(ring) + 10); }
static bool reads(const struct pair *p) { return p->server.pauses == p->server.resumes; }

/* Below what pauses a relay by itself. */
enum { EACH = 12, MANY = USABLE / 2 / EACH };
_Static_assert(EACH *CHUNK_BYTES < STREAM_QUEUE_HIGH && MANY + 2 < RELAYS, "only the share pauses here");

static void test_half_of_the_share_is_free(void **state)
{
    (void)state;
    begin(0);
    for (size_t i = 0; i < MANY; i++)
        leaves_unread(&pairs[i], EACH);
    for (size_t i = 0; i < MANY; i++)
        assert_true(reads(&pairs[i]));
    hold_measure(&hold);
    assert_int_equal(told(), (uint64_t)MANY * EACH * CHUNK_BYTES);
    end();
}

/* Beyond it who leaves something unread is read from again only once it is gone; who does not goes on. */
static void test_beyond_half(void **state)
{
    (void)state;
    begin(0);
    for (size_t i = 0; i < MANY; i++)
        leaves_unread(&pairs[i], EACH);
    struct pair *slow = &pairs[MANY], *quick = &pairs[MANY + 1];
    leaves_unread(slow, EACH);
    leaves_unread(quick, 1);
    assert_false(reads(slow) || reads(quick));
    some_time();
    assert_false(reads(slow) || reads(quick));
    quick->client.queued = 0; /* it has read */
    some_time();
    assert_true(reads(quick));
    assert_false(reads(slow));
    slow->client.queued = 0;
    some_time();
    assert_true(reads(slow));
    for (size_t i = 0; i < RELAYS; i++)
        assert_int_equal(pairs[i].n_over, 0);
    end();
}

/* Beyond the share the one that holds most ends, and no more than needed. */
static void test_beyond_the_share(void **state)
{
    struct bound_view v;
    (void)state;
    begin(0);
    for (size_t i = 0; i < RELAYS; i++)
        leaves_unread(&pairs[i], i == 7 ? 60 : USABLE / RELAYS);
    some_time();
    assert_int_equal(pairs[7].n_over, 1);
    assert_int_equal(pairs[7].ending, ENDING_LIMIT);
    for (size_t i = 0; i < RELAYS; i++)
        assert_int_equal(pairs[i].n_over, i == 7);
    bounds_view_pods(node, BOUND_BUFFERED, &v);
    assert_int_equal(v.reached, 1);
    end();
}

/* Where many must end the largest do, some in each look, and no more than needed. */
static void test_far_beyond_the_share(void **state)
{
    enum { LARGE = 40, LARGE_EACH = 20, SMALL_EACH = 4, ALL = LARGE * LARGE_EACH + (RELAYS - LARGE) * SMALL_EACH };
    size_t n_over = 0;
    (void)state;
    begin(0);
    for (size_t i = 0; i < RELAYS; i++)
        leaves_unread(&pairs[i], i % 8 < 5 ? LARGE_EACH : SMALL_EACH);
    for (unsigned looks = 0; looks < 3; looks++)
        some_time();
    for (size_t i = 0; i < RELAYS; i++) {
        n_over += pairs[i].n_over;
        assert_true(pairs[i].n_over == 0 || i % 8 < 5);
    }
    assert_int_equal(n_over, (ALL - USABLE + LARGE_EACH - 1) / LARGE_EACH);
    assert_true(hold.chunks <= USABLE);
    end();
}

/* Counts are old, so long as they do not matter: queues that are empty again count for nothing when they do. */
static void test_old_counts(void **state)
{
    (void)state;
    begin(0);
    for (size_t round = 0; round < 20; round++)
        for (size_t i = 0; i < RELAYS; i++) {
            leaves_unread(&pairs[i], 10);
            assert_true(reads(&pairs[i]));
            pairs[i].client.queued = 0;
        }
    assert_false(timer_running(&hold.look));
    hold_measure(&hold);
    assert_int_equal(told(), 0);
    end();
}

/* What others hold is not there to be shared, and a setting may be less. */
static void test_what_is_left(void **state)
{
    struct chunk *others[USABLE / 2];
    (void)state;
    begin(0);
    for (size_t i = 0; i < ARRAY_SIZE(others); i++)
        assert_non_null(others[i] = chunk_new(ring_chunks(ring)));
    for (size_t i = 0; i < MANY / 2; i++) {
        leaves_unread(&pairs[i], EACH);
        assert_true(reads(&pairs[i]));
    }
    leaves_unread(&pairs[MANY], EACH);
    assert_false(reads(&pairs[MANY]));
    for (size_t i = 0; i < ARRAY_SIZE(others); i++)
        chunk_free(others[i]);
    end();
    begin(40);
    leaves_unread(&pairs[0], 15);
    assert_true(reads(&pairs[0]));
    leaves_unread(&pairs[1], 6);
    assert_false(reads(&pairs[1]));
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_half_of_the_share_is_free), cmocka_unit_test(test_beyond_half), cmocka_unit_test(test_beyond_the_share),
        cmocka_unit_test(test_far_beyond_the_share),
        cmocka_unit_test(test_old_counts),                cmocka_unit_test(test_what_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
