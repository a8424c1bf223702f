/* The admin endpoint and clients that curl is not: pipelining, leaving, sending too much; and late
 * answers. */
#include "shared/transport/conn.h"
#include "tests/unit/shared/base/failing_alloc.h"
#include "tests/unit/shared/service/admin_bench.h"

struct hand {
    struct conn conn;
    char *got; /* hand_room */
    size_t len;
    bool ended, finished, failed, drained;
};
static struct hand hand;
static char hand_room[LARGE + 65536];

static void hand_received(struct stream *s, struct buf *bytes)
{
    size_t n = bytes->len;
    (void)s;
    assert_true(hand.len + n < sizeof hand_room);
    buf_peek(bytes, hand.got + hand.len, n);
    hand.len += n;
    hand.got[hand.len] = '\0';
    buf_done(bytes);
    bed_poke();
}
static void hand_ended(struct stream *s)
{
    (void)s;
    hand.ended = true;
    bed_poke();
}
static void hand_nothing(struct stream *s)
{
    (void)s;
}
static void hand_finished(struct stream *s)
{
    (void)s;
    hand.finished = true;
    bed_poke();
}
static void hand_failed(struct stream *s, int error)
{
    (void)s;
    (void)error;
    hand.failed = true;
    bed_poke();
}
static void hand_drained(struct conn *c)
{
    (void)c;
    hand.drained = true;
    bed_poke();
}
static const struct stream_events hand_stream_events = {hand_received, hand_ended, hand_nothing,
                                                        hand_finished, hand_failed};
static const struct conn_events hand_conn_events = {.drained = hand_drained};

static void hand_open(void)
{
    int fd;
    struct sockaddr_storage sa;
    socklen_t len = addr_to_sockaddr(&at, &sa);

    hand = (struct hand){.got = hand_room};
    hand_room[0] = '\0';
    assert_int_equal(socket_open(AF_INET, &fd), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, len), 0);
    conn_init(&hand.conn, bed.ring, fd, &hand_conn_events);
    hand.conn.stream.events = &hand_stream_events;
    conn_start(&hand.conn);
}

static void hand_send(const char *text)
{
    struct buf b = {0};
    assert_int_equal(buf_append(&b, ring_chunks(bed.ring), text, strlen(text)), 0);
    stream_send(&hand.conn.stream, &b);
}

static bool hand_is_drained(void)
{
    return hand.drained;
}
static void hand_close(void)
{
    conn_close(&hand.conn);
    bed_run_until(hand_is_drained);
}
static bool hand_has_sent(void)
{
    return hand.finished || hand.failed;
}
static bool hand_is_over(void)
{
    return hand.ended || hand.failed;
}
static bool is_kept(void)
{
    return kept != NULL;
}

static size_t count(const char *what)
{
    size_t n = 0;
    for (const char *p = hand.got; p && (p = strstr(p, what)); p++)
        n++;
    return n;
}
static bool three_answers(void)
{
    return count("hello you") == 3 || hand_is_over();
}

static void pipelined_in_order(void **state)
{
    (void)state;
    hand_open();
    hand_send(
        "GET /hello?1 HTTP/1.1\r\nHost: x\r\n\r\nGET /hello?2 HTTP/1.1\r\nHost: x\r\n\r\nGET /hel");
    hand_send("lo?3 HTTP/1.1\r\nHost: x\r\n\r\n");
    bed_run_until(three_answers);
    assert_int_equal(count("hello you"), 3);
    assert_true(strstr(hand.got, "?1") < strstr(hand.got, "?2") &&
                strstr(hand.got, "?2") < strstr(hand.got, "?3"));
    hand_close();
}

/* Its own half is closed, yet all is answered; then the connection ends. */
static void answers_after_the_clients_end(void **state)
{
    (void)state;
    hand_open();
    hand_send("GET /hello?1 HTTP/1.1\r\nHost: x\r\n\r\nGET /dump HTTP/1.1\r\nHost: x\r\n\r\n");
    stream_finish(&hand.conn.stream);
    bed_run_until(hand_is_over);
    assert_true(hand.ended);
    assert_int_equal(count("hello you"), 1);
    assert_int_equal(count("HTTP/1.1 200 OK"), 2);
    assert_true(hand.len > LARGE);
    assert_memory_equal(hand.got + hand.len - LARGE, large, LARGE);
    hand_close();
}

static void not_http(void **state)
{
    (void)state;
    hand_open();
    hand_send("what is this\r\n\r\n");
    bed_run_until(hand_is_over);
    assert_true(hand.ended);
    assert_non_null(strstr(hand.got, "HTTP/1.1 400 "));
    assert_non_null(strstr(hand.got, "Connection: close\r\n"));
    hand_close();
}

/* Refused at once, and much more comes: the answer is not lost in a reset. */
static void refused_and_more_comes(void **state)
{
    struct buf more = {0};

    (void)state;
    hand_open();
    stream_pause(&hand.conn.stream); /* It reads when it has said all. */
    hand_send("what is this\r\n\r\n");
    assert_int_equal(buf_append(&more, ring_chunks(bed.ring), large, LARGE), 0);
    stream_send(&hand.conn.stream, &more);
    stream_finish(&hand.conn.stream);
    bed_run_until(hand_has_sent);
    assert_true(hand.finished);
    stream_resume(&hand.conn.stream);
    bed_run_until(hand_is_over);
    assert_true(hand.ended);
    assert_int_equal(count("HTTP/1.1 400 "), 1);
    hand_close();
}

/* What comes while a request is being handled is not taken in without end. */
static void more_comes_while_handling(void **state)
{
    struct buf more = {0};

    (void)state;
    hand_open();
    hand_send("GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
    bed_run_until(is_kept);
    assert_int_equal(buf_append(&more, ring_chunks(bed.ring), large, LARGE), 0);
    stream_send(&hand.conn.stream, &more);
    bed_wait_ms(50);
    assert_in_range(stream_queued(&hand.conn.stream), LARGE / 8,
                    LARGE); /* all but what the kernel's buffers hold */
    admin_answer(kept, 200, NULL, TEXT("late\n"));
    bed_run_until(hand_is_over); /* and then it is no request */
    assert_int_equal(count("late"), 1);
    hand_close();
}

static bool two_answers(void)
{
    return count("HTTP/1.1 ") == 2 || hand_is_over();
}

static void head_of_something_small(void **state)
{
    (void)state;
    hand_open();
    hand_send("HEAD /hello HTTP/1.1\r\nHost: x\r\n\r\nGET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    bed_run_until(two_answers);
    assert_int_equal(count("HTTP/1.1 200"), 2);
    assert_int_equal(count("hello you"), 1);
    assert_int_equal(count("\r\n\r\nHTTP/1.1 200"), 1);
    hand_close();
}

static bool has_answer(void)
{
    return count("late") > 0;
}

static void answered_later(void **state)
{
    (void)state;
    hand_open();
    hand_send("GET /later HTTP/1.1\r\nHost: x\r\n\r\nGET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    bed_run_until(is_kept);
    assert_int_equal(n_handled, 1); /* the next one waits */
    admin_answer(kept, 200, NULL, TEXT("late\n"));
    bed_run_until(has_answer);
    hand_close();
}

static bool connections_gone(void)
{
    return hand.drained;
}

/* The client has left, or the admin was closed; the handler answers all the same. */
static void answered_to_nobody(void **state)
{
    (void)state;
    hand_open();
    hand_send("GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
    bed_run_until(is_kept);
    stream_reset(&hand.conn.stream, -ECANCELED);
    conn_close(&hand.conn);
    bed_run_until(connections_gone);
    /* Another client's request shows that the server has run meanwhile, with the reset before it.
     */
    struct child c;
    curl(&c, "/hello", NULL);
    assert_string_equal(c.out, "hello you /hello?\n");
    child_free(&c);
    admin_answer(kept, 200, NULL, TEXT("late\n"));
    kept = NULL;

    hand_open();
    hand_send("GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
    bed_run_until(is_kept);
    admin_close(admin, on_admin_drained, &drained);
    bed_run_until(is_drained);
    admin_answer(kept, 200, NULL, (struct text){large, LARGE});
    hand_close();
}

/* Answered between the close and its end. */
static void answered_while_closing(void **state)
{
    (void)state;
    hand_open();
    hand_send("GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
    bed_run_until(is_kept);
    admin_close(admin, on_admin_drained, &drained);
    admin_answer(kept, 200, NULL, TEXT("late\n"));
    bed_run_until(is_drained);
    hand_close();
}

static void closed_in_the_middle_of_an_answer(void **state)
{
    (void)state;
    hand_open();
    hand_send("GET /dump HTTP/1.1\r\nHost: x\r\n\r\n");
    stream_pause(&hand.conn.stream); /* It never reads. */
    struct child c;
    curl(&c, "/hello", NULL);
    child_free(&c);
    assert_int_equal(n_handled, 2);
    admin_close(admin, on_admin_drained, &drained);
    bed_run_until(is_drained);
    hand_close();
}

/* Each allocation fails in turn: the client gets its answer or an end, and the next one is served.
 */
static void without_memory(void **state)
{
    static const char *const requests[] = {
        "GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "GET /dump HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbody",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
        bool failed = true;
        for (long n = 0; failed; n++) {
            assert_true(n < 10000);
            hand_open();
            hand_send(requests[i]);
            alloc_fail_at(n);
            bed_run_until(hand_is_over);
            failed = alloc_failed();
            if (!failed)
                assert_int_equal(count("HTTP/1.1 20"), 1);
            hand_close();
            if (n == 100 && failed)
                n += 1000; /* Of the many chunks of a dump not each. */
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ADMIN(pipelined_in_order),
        ADMIN(answers_after_the_clients_end),
        ADMIN(not_http),
        ADMIN(refused_and_more_comes),
        ADMIN(more_comes_while_handling),
        ADMIN(head_of_something_small),
        ADMIN(answered_later),
        ADMIN(answered_to_nobody),
        ADMIN(answered_while_closing),
        ADMIN(closed_in_the_middle_of_an_answer),
        ADMIN(without_memory),
    };
    return cmocka_run_group_tests(tests, large_make, NULL);
}
