/* How a stream ends: in each order, from each side, and when its owner lets go of it. */
#include "tests/unit/shared/http2/h2_pair.h"

/* ---- The end, in every order */

static void test_half_close_both_orders(void **state)
{
    (void)state;
    for (int server_first = 0; server_first < 2; server_first++) {
        struct pair p;
        struct peer c, *s;
        pair_open(&p, NULL, NULL);
        pair_open_stream(&p, &c, &s, true);
        struct peer *first = server_first ? s : &c, *second = server_first ? &c : s;
        s->on_heap = false; /* looked at after it closed */
        peer_send_more(first, 200000);
        stream_finish(&first->s.stream);
        stream_finish(&first->s.stream); /* twice is once */
        pair_run(&p);
        assert_int_equal(first->finished, 1);
        assert_int_equal(second->ended, 1);
        assert_int_equal(second->n_in, 200000);
        assert_int_equal(first->ended + first->closed + second->closed, 0);
        /* The other direction goes on for as long as it likes. */
        peer_send_more(second, 500000);
        pair_run(&p);
        assert_int_equal(first->n_in, 500000);
        stream_finish(&second->s.stream);
        pair_run(&p);
        for (struct peer *e = first; e; e = e == first ? second : NULL) {
            assert_int_equal(e->ended, 1);
            assert_int_equal(e->finished, 1);
            assert_int_equal(e->closed, 1);
            assert_int_equal(e->code, 0);
        }
        list_remove(&s->link);
        free(s);
        pair_close(&p);
    }
}

/* How far a stream has come when somebody resets it. */
enum stage {
    REQUESTED,
    ACCEPTED,
    ANSWERED,
    FLOWING,
    PAUSED,
    CLIENT_ENDED,
    SERVER_ENDED,
    QUEUED,
    STAGES
};

static void bring_to(struct pair *p, struct peer *c, struct peer **s, enum stage stage)
{
    if (stage == REQUESTED) {
        peer_init(c, p, &p->client);
        assert_int_equal(peer_connect(c), 0);
        *s = NULL;
        return;
    }
    pair_open_stream(p, c, s, stage >= ANSWERED);
    switch (stage) {
    case FLOWING:
        peer_send_more(c, 500000);
        peer_send_more(*s, 500000);
        for (int i = 0; i < 3; i++)
            pair_step(p);
        break;
    case PAUSED:
        stream_pause(&(*s)->s.stream);
        stream_pause(&c->s.stream);
        peer_send_more(c, 5000000);
        peer_send_more(*s, 5000000);
        pair_run(p);
        break;
    case CLIENT_ENDED:
        stream_finish(&c->s.stream);
        pair_run(p);
        break;
    case SERVER_ENDED:
        stream_finish(&(*s)->s.stream);
        pair_run(p);
        break;
    case QUEUED:
        peer_send_more(c, 100000);
        stream_finish(&c->s.stream);
        assert_int_equal(peer_trailers(*s, "never sent"), 0);
        break;
    default:
        break;
    }
}

static void test_reset_in_each_stage(void **state)
{
    (void)state;
    for (int stage = 0; stage < STAGES; stage++) {
        for (int by_server = 0; by_server < 2; by_server++) {
            for (int how = 0; how < 4; how++) {
                struct pair p;
                struct peer c, *s, after, *after_s;
                if (stage == REQUESTED && by_server)
                    continue;
                pair_open(&p, NULL, NULL);
                bring_to(&p, &c, &s, (enum stage)stage);
                if (s)
                    s->on_heap = false;
                struct peer *actor = by_server ? s : &c, *victim = by_server ? &c : s;
                uint32_t code = HTTP2_CANCEL;
                if (how == 0) {
                    peer_reset(actor, HTTP2_INTERNAL_ERROR);
                    peer_reset(actor, HTTP2_CANCEL); /* too late, no effect */
                    code = HTTP2_INTERNAL_ERROR;
                } else if (how == 1) {
                    actor->mute = true;
                    stream_reset(&actor->s.stream, -ECONNRESET);
                    code = by_server ? HTTP2_CONNECT_ERROR : HTTP2_CANCEL;
                } else if (how == 2) {
                    http2_stream_detach(&actor->s);
                    http2_stream_detach(&actor->s);
                    assert_null(actor->s.http2);
                    if (by_server && stage == SERVER_ENDED)
                        code = HTTP2_NO_ERROR;
                } else { /* both at once */
                    peer_reset(actor, HTTP2_INTERNAL_ERROR);
                    code = HTTP2_INTERNAL_ERROR;
                    if (victim)
                        peer_reset(victim, HTTP2_CANCEL);
                }
                assert_int_equal(actor->closed, 0); /* operations run no event */
                assert_int_equal(stream_queued(&actor->s.stream), 0);
                /* What a user does with a stream that is over does nothing. */
                struct buf b = {0};
                assert_int_equal(buf_append(&b, &p.client.pool, "x", 1), 0);
                actor->s.finish_asked = false;
                stream_send(&actor->s.stream, &b);
                assert_int_equal(b.len, 0);
                stream_pause(&actor->s.stream);
                stream_resume(&actor->s.stream);
                stream_finish(&actor->s.stream);
                stream_reset(&actor->s.stream, -EPROTO);
                assert_int_equal(peer_trailers(actor, "no"), -EPIPE);
                assert_int_equal(peer_respond(actor, false), -EPIPE);
                pair_run(&p);
                assert_int_equal(actor->failed, 0);
                assert_int_equal(actor->closed, how != 2);
                if (how != 2)
                    assert_int_equal(actor->code, code);
                if (victim) {
                    assert_int_equal(victim->closed, 1);
                    assert_int_equal(victim->failed, how != 3);
                    assert_int_equal(victim->code, how == 3 ? HTTP2_CANCEL : code);
                }
                assert_int_equal(http2_stream_count(p.client.http2), 0);
                assert_int_equal(http2_stream_count(p.server.http2), 0);
                /* The connection is none the worse. */
                pair_open_stream(&p, &after, &after_s, true);
                peer_send_more(&after, 3000000);
                pair_run(&p);
                assert_int_equal(after_s->n_in, 3000000);
                if (s) {
                    list_remove(&s->link);
                    free(s);
                }
                pair_close(&p);
            }
        }
    }
}

/* A request that was cancelled before it left leaves no trace on the wire. */
static void test_cancelled_before_it_left(void **state)
{
    (void)state;
    struct pair p;
    struct peer c;
    pair_open(&p, NULL, NULL);
    pair_run(&p);
    size_t before = p.client.wire_bytes;
    peer_init(&c, &p, &p.client);
    assert_int_equal(peer_connect(&c), 0);
    peer_reset(&c, HTTP2_CANCEL);
    pair_run(&p);
    assert_int_equal(c.closed, 1);
    assert_int_equal(p.client.wire_bytes, before);
    assert_int_equal(http2_stream_count(p.client.http2), 0);
    pair_close(&p);
}

/* ---- An owner that lets go of its stream inside the stream's own event, and frees it */

static const char *leave_at;
static unsigned n_left;

static void leave(struct peer *p, const char *event)
{
    if (strcmp(event, leave_at) != 0 || !p->on_heap)
        return;
    n_left++;
    http2_stream_detach(&p->s);
    list_remove(&p->link);
    memset(p, 0xa5, sizeof *p);
    free(p);
}

static struct http2_stream *accept_to_leave(struct pair *pair, const struct http2_head *head,
                                            unsigned *ret_status)
{
    struct http2_stream *s = pair_accept(pair, head, ret_status);
    pair_last(pair)->on_event = leave;
    pair_last(pair)->pattern_in = 7;
    return s;
}

static void test_detach_in_own_event(void **state)
{
    (void)state;
    static const char *const events[] = {"opened", "received", "ended",
                                         "head",   "finished", "writable"};
    for (size_t i = 0; i < ARRAY_SIZE(events); i++) {
        struct pair p;
        struct peer c, after, *after_s;
        leave_at = events[i];
        n_left = 0;
        pair_open(&p, NULL, NULL);
        p.request = accept_to_leave;
        peer_init(&c, &p, &p.client);
        c.pattern_out = 7;
        assert_int_equal(peer_connect(&c), 0);
        peer_send_more(&c, 200000);
        if (strcmp(leave_at, "ended") == 0)
            stream_finish(&c.s.stream);
        if (strcmp(leave_at, "head") == 0)
            assert_int_equal(peer_trailers(&c, "x"), 0);
        pair_run(&p);
        if (!n_left) {
            struct peer *s = pair_last(&p);
            assert_int_equal(peer_respond(s, false), 0);
            stream_pause(&c.s.stream);
            s->to_send = 0;
            struct buf b = {0};
            static uint8_t data[STREAM_QUEUE_HIGH + 1000];
            c.pattern_in = 1;
            for (size_t k = 0; k < sizeof data; k++)
                data[k] = pattern_byte(1, k);
            assert_int_equal(buf_append(&b, &p.server.pool, data, sizeof data), 0);
            stream_send(&s->s.stream, &b);
            if (strcmp(leave_at, "finished") == 0)
                stream_finish(&s->s.stream);
            pair_run(&p);
        }
        assert_int_equal(n_left, 1);
        assert_int_equal(c.closed, strcmp(leave_at, "finished") == 0 || c.closed);
        p.request = pair_accept;
        pair_open_stream(&p, &after, &after_s, true);
        peer_send_more(&after, 3000000); /* the connection's window came back too */
        pair_run(&p);
        assert_int_equal(after_s->n_in, 3000000);
        assert_int_equal(http2_stream_count(p.server.http2), 1);
        pair_close(&p);
    }
}

/* Answered without a body and let go of at once: the answer leaves all the same. */
static void test_answer_and_detach(void **state)
{
    (void)state;
    for (int ended = 0; ended < 2; ended++) {
        struct pair p;
        struct peer c, *s;
        pair_open(&p, NULL, NULL);
        pair_open_stream(&p, &c, &s, false);
        if (ended)
            stream_finish(&c.s.stream);
        else
            peer_send_more(&c, 3000000);
        pair_run(&p);
        assert_int_equal(peer_respond(s, true), 0);
        http2_stream_detach(&s->s);
        list_remove(&s->link);
        memset(s, 0xa5, sizeof *s);
        free(s);
        pair_run(&p);
        assert_string_equal(c.status, "200");
        assert_int_equal(c.ended, 1);
        assert_int_equal(c.closed, 1);
        assert_int_equal(c.code, HTTP2_NO_ERROR);
        assert_int_equal(c.failed, !ended);
        assert_int_equal(http2_stream_count(p.server.http2), 0);
        pair_close(&p);
    }
}

/* Resets inside events: closed follows, and nothing before it. */
static void reset_inside(struct peer *p, const char *event)
{
    if (strcmp(event, leave_at) == 0)
        peer_reset(p, HTTP2_CANCEL);
}

static struct http2_stream *accept_to_reset(struct pair *pair, const struct http2_head *head,
                                            unsigned *ret_status)
{
    struct http2_stream *s = pair_accept(pair, head, ret_status);
    pair_last(pair)->on_event = reset_inside;
    pair_last(pair)->pattern_in = 7;
    return s;
}

static void test_reset_in_own_event(void **state)
{
    (void)state;
    static const char *const events[] = {"opened", "received", "ended", "head"};
    for (size_t i = 0; i < ARRAY_SIZE(events); i++) {
        struct pair p;
        struct peer c;
        leave_at = events[i];
        pair_open(&p, NULL, NULL);
        p.request = accept_to_reset;
        peer_init(&c, &p, &p.client);
        c.pattern_out = 7;
        assert_int_equal(peer_connect(&c), 0);
        peer_send_more(&c, 200000);
        if (strcmp(leave_at, "head") == 0)
            assert_int_equal(peer_trailers(&c, "x"), 0);
        else
            stream_finish(&c.s.stream);
        pair_run(&p);
        assert_true(list_empty(&p.accepted)); /* closed, and freed in it */
        assert_int_equal(c.closed, 1);
        assert_int_equal(c.code, HTTP2_CANCEL);
        pair_close(&p);
    }
}

/* One stream's end lets its owner end, detach and open others. */
struct chain {
    struct peer c[4];
    bool opened;
};
static void chain_event(struct peer *p, const char *event)
{
    struct chain *chain = p->pair->user;
    if (strcmp(event, "closed") != 0 || p != &chain->c[0])
        return;
    http2_stream_detach(&chain->c[1].s);
    peer_reset(&chain->c[2], HTTP2_CANCEL);
    peer_init(&chain->c[3], p->pair, &p->pair->client);
    assert_int_equal(peer_connect(&chain->c[3]), 0);
    chain->opened = true;
}
static void test_other_streams_in_an_event(void **state)
{
    (void)state;
    struct pair p;
    struct chain chain = {.opened = false};
    struct peer *s[3];
    pair_open(&p, NULL, NULL);
    p.user = &chain;
    for (int i = 0; i < 3; i++)
        pair_open_stream(&p, &chain.c[i], &s[i], true);
    chain.c[0].on_event = chain_event;
    peer_reset(s[0], HTTP2_CANCEL);
    pair_run(&p);
    assert_true(chain.opened);
    assert_int_equal(chain.c[0].closed, 1);
    assert_int_equal(chain.c[1].closed, 0);
    assert_int_equal(chain.c[2].closed, 1);
    assert_int_equal(http2_stream_count(p.server.http2), 1);
    pair_close(&p);
}

/* ---- The session goes away under its streams */

static void test_free_with_streams(void **state)
{
    (void)state;
    struct pair p;
    struct peer c[5], *s[5];
    pair_open(&p, NULL, NULL);
    for (int i = 0; i < 4; i++)
        pair_open_stream(&p, &c[i], &s[i], true);
    peer_send_more(&c[1], 500000);
    stream_pause(&s[2]->s.stream);
    peer_send_more(&c[2], 500000);
    pair_run(&p);
    peer_reset(&c[3], HTTP2_CANCEL);
    peer_init(&c[4], &p, &p.client);
    assert_int_equal(peer_connect(&c[4]), 0); /* never left */
    for (int i = 0; i < 4; i++) {
        s[i]->on_heap = false;
        list_remove(&s[i]->link);
    }
    p.client.http2 = http2_free(p.client.http2);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(c[i].closed, 1);
        assert_int_equal(c[i].failed, i != 3);
    }
    assert_int_equal(c[0].code, HTTP2_INTERNAL_ERROR);
    assert_int_equal(c[0].error, -ECONNABORTED);
    assert_int_equal(c[3].code, HTTP2_CANCEL);
    assert_int_equal(c[4].code, HTTP2_REFUSED_STREAM);
    p.server.http2 = http2_free(p.server.http2);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(s[i]->closed, 1);
        assert_int_equal(s[i]->failed, 1);
        free(s[i]);
    }
    assert_null(http2_free(NULL));
    pair_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_half_close_both_orders),
        cmocka_unit_test(test_reset_in_each_stage),
        cmocka_unit_test(test_cancelled_before_it_left),
        cmocka_unit_test(test_detach_in_own_event),
        cmocka_unit_test(test_answer_and_detach),
        cmocka_unit_test(test_reset_in_own_event),
        cmocka_unit_test(test_other_streams_in_an_event),
        cmocka_unit_test(test_free_with_streams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
