/* The relay between two scripted streams: each notes what is done to it, and tells what the test says. */
#include "nodeproxy/path/relay.h"
#include "tests/unit/shared/base/test.h"
#include <errno.h>

static struct chunk_pool pool;
static struct timer_wheel timers;

struct script {
    struct stream stream;
    size_t queued;   /* what stream_queued() says */
    uint64_t sent;   /* bytes that the relay gave */
    uint8_t next;    /* the bytes count up, modulo 256 */
    unsigned pauses, resumes, finishes, resets;
};
static struct script client, server;
static struct relay relay;
static struct metric_series client_count, server_count;
static unsigned n_over;
static enum ending over_ending;

static struct script *of(const struct stream *s) { return container_of((struct stream *)s, struct script, stream); }

static void op_send(struct stream *s, struct buf *bytes)
{
    struct script *x = of(s);
    uint8_t byte;
    assert_int_equal(x->finishes, 0);
    x->queued += bytes->len;
    for (; bytes->len > 0; x->sent++) {
        assert_int_equal(buf_peek(bytes, &byte, 1), 1);
        assert_int_equal(byte, x->next++);
        buf_consume(bytes, 1);
    }
    buf_done(bytes);
}
static void op_finish(struct stream *s) { of(s)->finishes++; }
static void op_pause(struct stream *s)
{
    of(s)->pauses++;
    assert_int_equal(of(s)->pauses, of(s)->resumes + 1);
}
static void op_resume(struct stream *s)
{
    of(s)->resumes++;
    assert_int_equal(of(s)->pauses, of(s)->resumes);
}
static void op_reset(struct stream *s, int error)
{
    (void)error;
    of(s)->resets++;
}
static size_t op_queued(const struct stream *s) { return of(s)->queued; }
static const struct stream_ops ops = {op_send, op_finish, op_pause, op_resume, op_reset, op_queued};

static void over(struct relay *r, enum ending ending)
{
    assert_ptr_equal(r, &relay);
    n_over++;
    over_ending = ending;
}

static void begin(uint64_t idle_ms)
{
    chunk_pool_init(&pool, 1000, 10);
    timer_wheel_init(&timers, 1000);
    client = server = (struct script){.stream.ops = &ops};
    client_count = server_count = (struct metric_series){0};
    n_over = 0;
    relay = (struct relay){.client.count = &client_count, .server.count = &server_count};
    relay_start(&relay, &client.stream, &server.stream, &timers, idle_ms, over);
}

static void end(void)
{
    relay_stop(&relay);
    assert_int_equal(timers.count, 0);
    assert_int_equal(pool.n_live, 0);
    chunk_pool_done(&pool);
}

static uint8_t said[2]; /* by client, by server: bytes count up */

static struct buf some(size_t n, bool by_client)
{
    struct buf b = {0};
    uint8_t bytes[10000];
    while (n > 0) {
        size_t part = n < sizeof bytes ? n : sizeof bytes;
        for (size_t i = 0; i < part; i++)
            bytes[i] = said[by_client]++;
        assert_int_equal(buf_append(&b, &pool, bytes, part), 0);
        n -= part;
    }
    return b;
}

static void says(struct script *x, size_t n)
{
    struct buf b = some(n, x == &client);
    x->stream.events->received(&x->stream, &b);
    assert_int_equal(b.len, 0);
}

static void fresh(uint64_t idle_ms)
{
    begin(idle_ms);
    said[0] = said[1] = 0;
}

#define TELL(x, event) ((x).stream.events->event(&(x).stream))

static void bytes_both_ways_are_counted(void **state)
{
    (void)state;
    fresh(0);
    says(&client, 10);
    says(&server, 3);
    says(&client, 50000);
    assert_int_equal(server.sent, 50010);
    assert_int_equal(client.sent, 3);
    assert_int_equal(relay.client.bytes, 50010); /* received from it */
    assert_int_equal(relay.server.bytes, 3);
    assert_int_equal(client_count.value, 50010);
    assert_int_equal(server_count.value, 3);
    assert_int_equal(n_over, 0);
    end();
}

static void a_side_is_read_as_fast_as_the_other_takes(void **state)
{
    (void)state;
    fresh(0);
    says(&client, STREAM_QUEUE_HIGH);
    assert_int_equal(client.pauses, 0);
    says(&client, 1);
    assert_int_equal(client.pauses, 1);
    says(&client, 1000); /* a rest may still come */
    assert_int_equal(client.pauses, 1);
    assert_int_equal(server.pauses, 0);
    server.queued = 10;
    TELL(server, writable);
    assert_int_equal(client.resumes, 1);
    TELL(server, writable);
    TELL(client, writable);
    assert_int_equal(client.resumes + server.resumes, 1);
    server.queued = STREAM_QUEUE_HIGH;
    says(&client, 1);
    assert_int_equal(client.pauses, 2);
    end();
}

/* Which of the four has happened, in each possible order: finished comes only after the other's end. */
static void closed_when_both_ways_have_ended_and_left(void **state)
{
    (void)state;
    for (unsigned order = 0; order < 24; order++) {
        unsigned left[] = {0, 1, 2, 3}, n = 4, code = order;
        bool ended[2] = {false, false}, possible = true;
        unsigned events[4];
        for (unsigned i = 0; i < 4; i++) {
            unsigned pick = code % n;
            code /= n;
            events[i] = left[pick];
            for (unsigned j = pick; j + 1 < n; j++)
                left[j] = left[j + 1];
            n--;
        }
        for (unsigned i = 0; i < 4; i++) {
            if (events[i] < 2)
                ended[events[i]] = true;
            else if (!ended[1 - (events[i] - 2)])
                possible = false;
        }
        if (!possible)
            continue;
        fresh(0);
        for (unsigned i = 0; i < 4; i++) {
            assert_int_equal(n_over, 0);
            switch (events[i]) {
            case 0:
                TELL(client, ended);
                assert_int_equal(server.finishes, 1);
                break;
            case 1:
                TELL(server, ended);
                assert_int_equal(client.finishes, 1);
                break;
            case 2: TELL(client, finished); break;
            default: TELL(server, finished); break;
            }
        }
        assert_int_equal(n_over, 1);
        assert_int_equal(over_ending, ENDING_CLOSED);
        assert_int_equal(client.resets + server.resets, 0);
        end();
    }
}

static void the_other_way_goes_on_after_a_half_close(void **state)
{
    (void)state;
    fresh(0);
    says(&client, 5);
    TELL(client, ended);
    TELL(server, finished);
    says(&server, 7);
    assert_int_equal(client.sent, 7);
    assert_int_equal(client.finishes, 0);
    assert_int_equal(n_over, 0);
    end();
}

static void failures_have_their_endings(void **state)
{
    static const struct {
        int error;
        enum ending of_client, of_server;
    } table[] = {
        {-ECONNRESET, ENDING_RESET_BY_CLIENT, ENDING_RESET_BY_SERVER},
        {-EPIPE, ENDING_RESET_BY_CLIENT, ENDING_RESET_BY_SERVER},
        {-ECANCELED, ENDING_RESET_BY_CLIENT, ENDING_RESET_BY_SERVER},
        {-ECONNREFUSED, ENDING_RESET_BY_CLIENT, ENDING_RESET_BY_SERVER},
        {-ECONNABORTED, ENDING_TUNNEL_FAILED, ENDING_TUNNEL_FAILED},
        {-EPROTO, ENDING_PROTOCOL, ENDING_PROTOCOL},
        {-ENOMEM, ENDING_NO_MEMORY, ENDING_NO_MEMORY},
        {-ENOBUFS, ENDING_NO_MEMORY, ENDING_NO_MEMORY},
        {-ETIMEDOUT, ENDING_IO, ENDING_IO},
        {-EHOSTUNREACH, ENDING_IO, ENDING_IO},
    };
    (void)state;
    for (size_t i = 0; i < 2 * ARRAY_SIZE(table); i++) {
        struct script *x = i % 2 ? &client : &server;
        fresh(100);
        x->stream.events->failed(&x->stream, table[i / 2].error);
        assert_int_equal(n_over, 1);
        assert_int_equal(over_ending, i % 2 ? table[i / 2].of_client : table[i / 2].of_server);
        assert_int_equal(timers.count, 0);
        /* Nothing is done any more, whatever still comes. */
        uint64_t sent = client.sent + server.sent;
        says(&client, 100);
        says(&server, 100);
        TELL(client, ended);
        TELL(server, ended);
        TELL(client, finished);
        TELL(server, finished);
        TELL(server, writable);
        x->stream.events->failed(&x->stream, -EIO);
        assert_int_equal(n_over, 1);
        assert_int_equal(client.sent + server.sent, sent);
        assert_int_equal(client.finishes + server.finishes + client.resumes + server.resumes, 0);
        end();
    }
}

static void what_came_before_is_given_first(void **state)
{
    (void)state;
    fresh(0);
    struct buf early = some(STREAM_QUEUE_HIGH + 10, true), nothing = {0};
    relay_give(&relay, &nothing, false);
    assert_int_equal(server.sent + client.pauses + server.finishes, 0);
    relay_give(&relay, &early, true);
    assert_int_equal(early.len, 0);
    assert_int_equal(server.sent, STREAM_QUEUE_HIGH + 10);
    assert_int_equal(client_count.value, STREAM_QUEUE_HIGH + 10);
    assert_int_equal(client.pauses, 1);
    assert_int_equal(server.finishes, 1);
    TELL(client, ended); /* the stream says it too, later */
    assert_int_equal(server.finishes, 1);
    end();
}

static void who_is_silent_for_long_is_idle(void **state)
{
    (void)state;
    fresh(1000);
    timer_wheel_expire(&timers, 1900);
    says(&client, 1);
    timer_wheel_expire(&timers, 2800);
    assert_int_equal(n_over, 0);
    server.queued = 1; /* it was 1 all the time */
    timer_wheel_expire(&timers, 3000);
    timer_wheel_expire(&timers, 3900);
    timer_wheel_expire(&timers, 5100);
    assert_int_equal(n_over, 1);
    assert_int_equal(over_ending, ENDING_IDLE_TIMEOUT);
    end();
    fresh(1000);
    client.queued = 100000;
    for (uint64_t now = 1500; now < 60000; now += 500) { /* somebody still reads what came long ago */
        client.queued--;
        timer_wheel_expire(&timers, now);
        assert_int_equal(n_over, 0);
    }
    timer_wheel_expire(&timers, 61000);
    timer_wheel_expire(&timers, 62100);
    assert_int_equal(n_over, 1);
    end();
    fresh(0);
    timer_wheel_expire(&timers, 1000 * 1000 * 1000);
    assert_int_equal(n_over, 0);
    end();
}

static void stop_is_fine_at_any_time(void **state)
{
    struct relay never = {0};
    (void)state;
    relay_stop(&never);
    fresh(50);
    says(&client, 10);
    relay_stop(&relay);
    says(&client, 10);
    TELL(client, ended);
    assert_int_equal(server.sent, 10);
    assert_int_equal(n_over + server.finishes, 0);
    relay_stop(&relay);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_both_ways_are_counted),
        cmocka_unit_test(a_side_is_read_as_fast_as_the_other_takes),
        cmocka_unit_test(closed_when_both_ways_have_ended_and_left),
        cmocka_unit_test(the_other_way_goes_on_after_a_half_close),
        cmocka_unit_test(failures_have_their_endings),
        cmocka_unit_test(what_came_before_is_given_first),
        cmocka_unit_test(who_is_silent_for_long_is_idle),
        cmocka_unit_test(stop_is_fine_at_any_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
