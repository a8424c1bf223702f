#include "tests/unit/shared/http2/h2_pair.h"

/* A client's stream that was accepted, in *ret_server. */
static void open_stream(struct pair *p, struct peer *c, struct peer **ret_server, bool respond)
{
    peer_init(c, p, &p->client);
    assert_int_equal(peer_connect(c), 0);
    pair_run(p);
    *ret_server = pair_last(p);
    c->pattern_out = (*ret_server)->pattern_in = (uint64_t)c->s.id;
    c->pattern_in = (*ret_server)->pattern_out = ~(uint64_t)c->s.id;
    if (respond) {
        assert_int_equal(peer_respond(*ret_server, false), 0);
        pair_run(p);
        assert_int_equal(c->heads, 1);
    }
}

static void send_more(struct peer *p, size_t n)
{
    p->to_send += n;
    peer_pump(p);
}

/* ---- Back-pressure */

static void test_paused_receiver(void **state)
{
    (void)state;
    enum { TOTAL = 64 * 1024 * 1024, WINDOW = 1024 * 1024 };
    struct pair p;
    struct peer c, *s;
    pair_open(&p, NULL, NULL);
    p.whole = true;
    open_stream(&p, &c, &s, true);
    stream_pause(&s->s.stream);
    send_more(&c, TOTAL);
    pair_run(&p);
    assert_int_equal(s->n_in, WINDOW); /* and not a byte more */
    assert_true(stream_queued(&c.s.stream) > STREAM_QUEUE_HIGH);
    assert_true(stream_queued(&c.s.stream) < STREAM_QUEUE_HIGH + 65536);
    assert_true(c.n_out < WINDOW + STREAM_QUEUE_HIGH + 65536);
    /* What the receiver keeps is up to it (here: nothing); the sender holds its queue. */
    assert_true(p.client.pool.n_live < 2 * (STREAM_QUEUE_HIGH + 65536) / CHUNK_BYTES + 8);
    assert_int_equal(p.server.pool.n_live, 0);

    unsigned rounds = 0;
    while (s->n_in < TOTAL) {
        size_t before = s->n_in;
        stream_resume(&s->s.stream);
        pair_step(&p);
        pair_step(&p);
        stream_pause(&s->s.stream);
        pair_run(&p);
        assert_true(s->n_in > before);
        assert_true(s->n_in - before <= 4 * WINDOW);
        assert_true(p.client.pool.n_live < 200);
        rounds++;
    }
    assert_int_equal(c.n_out, TOTAL);
    assert_true(rounds >= TOTAL / (4 * WINDOW));
    assert_true(c.writable > 10);
    stream_resume(&s->s.stream);
    stream_finish(&c.s.stream);
    stream_finish(&s->s.stream);
    pair_run(&p);
    assert_int_equal(c.closed, 1);
    assert_int_equal(c.code, 0);
    pair_close(&p);
}

/* More paused streams than the connection's window has room for: the others still move. */
static void test_paused_streams_hold_nobody_up(void **state)
{
    (void)state;
    enum { PAUSED = 40, WINDOW = 100 * 1000 };
    struct pair p;
    struct peer c[PAUSED + 1], *s[PAUSED + 1];
    pair_open(&p, NULL, &(struct http2_options){.stream_window = WINDOW, .connection_window = 8 * WINDOW});
    for (size_t i = 0; i <= PAUSED; i++) {
        open_stream(&p, &c[i], &s[i], true);
        if (i < PAUSED)
            stream_pause(&s[i]->s.stream);
        send_more(&c[i], 5 * WINDOW);
    }
    pair_run(&p);
    for (size_t i = 0; i < PAUSED; i++)
        assert_int_equal(s[i]->n_in, WINDOW);
    assert_int_equal(s[PAUSED]->n_in, 5 * WINDOW);
    /* Ends of every kind give back what was held. */
    for (size_t i = 0; i < PAUSED; i++) {
        switch (i % 4) {
        case 0:
            stream_resume(&s[i]->s.stream);
            break;
        case 1:
            peer_reset(s[i], HTTP2_CANCEL);
            break;
        case 2:
            peer_reset(&c[i], HTTP2_CANCEL);
            break;
        default:
            http2_stream_detach(&s[i]->s);
            list_remove(&s[i]->link);
            free(s[i]);
            break;
        }
    }
    pair_run(&p);
    for (size_t i = 0; i < PAUSED; i += 4)
        assert_int_equal(s[i]->n_in, 5 * WINDOW);
    /* The whole connection window is there again: nothing but it stands in the way of 8 windows at once. */
    for (size_t round = 0; round < 20; round++)
        send_more(&c[PAUSED], 8 * WINDOW);
    pair_run(&p);
    assert_int_equal(s[PAUSED]->n_in, (5 + 20 * 8) * WINDOW);
    pair_close(&p);
}

/* Windows of a few bytes, and what is left of larger ones: no frame is empty. */
static void test_tiny_windows(void **state)
{
    (void)state;
    for (uint32_t window = 1; window < 40; window += window < 4 ? 1 : 9) {
        struct pair p;
        struct peer c, *s;
        pair_open(&p, NULL, &(struct http2_options){.stream_window = window});
        p.whole = true;
        pair_run(&p); /* the client knows the window */
        open_stream(&p, &c, &s, true);
        size_t before = p.client.wire_bytes;
        send_more(&c, 500);
        stream_finish(&c.s.stream);
        pair_run(&p);
        assert_int_equal(s->n_in, 500);
        assert_int_equal(s->ended, 1);
        assert_true(p.client.wire_bytes - before <= 500 * 10);
        pair_close(&p);
    }
    /* Chunks larger than what is left of the window, down to its last byte */
    for (uint32_t rest = 0; rest < 4; rest++) {
        struct pair p;
        struct peer c, *s;
        pair_open(&p, NULL, &(struct http2_options){.stream_window = 2 * 16375 + rest});
        p.whole = true;
        pair_run(&p);
        open_stream(&p, &c, &s, true);
        stream_pause(&s->s.stream);
        struct buf b = {0};
        for (int i = 0; i < 5; i++) {
            struct chunk *chunk = chunk_new(&p.client.pool);
            assert_non_null(chunk);
            chunk->end = 16375;
            for (size_t k = 0; k < 16375; k++)
                chunk->data[k] = pattern_byte(c.pattern_out, c.n_out++);
            struct buf one = {chunk, chunk, 16375};
            buf_move(&b, &one);
        }
        size_t before = p.client.wire_bytes;
        stream_send(&c.s.stream, &b);
        pair_run(&p);
        assert_int_equal(s->n_in, 2 * 16375 + rest);
        assert_int_equal(p.client.wire_bytes - before, s->n_in + 9 * (2 + (rest > 0)));
        stream_resume(&s->s.stream);
        pair_run(&p);
        assert_int_equal(s->n_in, 5 * 16375);
        pair_close(&p);
    }
}

static void test_writable_once_per_high(void **state)
{
    (void)state;
    struct pair p;
    struct peer c, *s;
    pair_open(&p, NULL, NULL);
    open_stream(&p, &c, &s, true);
    send_more(&c, STREAM_QUEUE_HIGH); /* not above it */
    pair_run(&p);
    assert_int_equal(c.writable, 0);
    c.to_send = c.n_out; /* so that writable sends nothing more */
    struct buf b = {0};
    static uint8_t data[STREAM_QUEUE_HIGH + 1];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = pattern_byte(c.pattern_out, c.n_out + i);
    assert_int_equal(buf_append(&b, &p.client.pool, data, sizeof data), 0);
    stream_send(&c.s.stream, &b);
    assert_int_equal(stream_queued(&c.s.stream), sizeof data);
    pair_run(&p);
    assert_int_equal(c.writable, 1);
    assert_int_equal(s->n_in, STREAM_QUEUE_HIGH + sizeof data);
    pair_close(&p);
}

/* ---- The end, in every order */

static void test_half_close_both_orders(void **state)
{
    (void)state;
    for (int server_first = 0; server_first < 2; server_first++) {
        struct pair p;
        struct peer c, *s;
        pair_open(&p, NULL, NULL);
        open_stream(&p, &c, &s, true);
        struct peer *first = server_first ? s : &c, *second = server_first ? &c : s;
        s->on_heap = false; /* looked at after it closed */
        send_more(first, 200000);
        stream_finish(&first->s.stream);
        stream_finish(&first->s.stream); /* twice is once */
        pair_run(&p);
        assert_int_equal(first->finished, 1);
        assert_int_equal(second->ended, 1);
        assert_int_equal(second->n_in, 200000);
        assert_int_equal(first->ended + first->closed + second->closed, 0);
        /* The other direction goes on for as long as it likes. */
        send_more(second, 500000);
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
enum stage { REQUESTED, ACCEPTED, ANSWERED, FLOWING, PAUSED, CLIENT_ENDED, SERVER_ENDED, QUEUED, STAGES };

static void bring_to(struct pair *p, struct peer *c, struct peer **s, enum stage stage)
{
    if (stage == REQUESTED) {
        peer_init(c, p, &p->client);
        assert_int_equal(peer_connect(c), 0);
        *s = NULL;
        return;
    }
    open_stream(p, c, s, stage >= ANSWERED);
    switch (stage) {
    case FLOWING:
        send_more(c, 500000);
        send_more(*s, 500000);
        for (int i = 0; i < 3; i++)
            pair_step(p);
        break;
    case PAUSED:
        stream_pause(&(*s)->s.stream);
        stream_pause(&c->s.stream);
        send_more(c, 5000000);
        send_more(*s, 5000000);
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
        send_more(c, 100000);
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
                open_stream(&p, &after, &after_s, true);
                send_more(&after, 3000000);
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
    static const char *const events[] = {"opened", "received", "ended", "head", "finished", "writable"};
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
        send_more(&c, 200000);
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
        open_stream(&p, &after, &after_s, true);
        send_more(&after, 3000000); /* the connection's window came back too */
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
        open_stream(&p, &c, &s, false);
        if (ended)
            stream_finish(&c.s.stream);
        else
            send_more(&c, 3000000);
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
        send_more(&c, 200000);
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
        open_stream(&p, &chain.c[i], &s[i], true);
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

/* ---- Chunks */

/* A chunk that fills a frame travels from one user to the other without being copied, header and all. */
struct seen_chunk {
    const uint8_t *at;
    size_t len;
};
static void note_chunk(struct stream *stream, struct buf *bytes)
{
    struct peer *p = stream->user;
    struct seen_chunk *seen = p->pair->user;
    if (bytes->len > seen->len)
        *seen = (struct seen_chunk){bytes->head->data + bytes->head->start, chunk_len(bytes->head)};
    buf_done(bytes);
}
static void test_no_copy(void **state)
{
    (void)state;
    static const struct stream_events events = {.received = note_chunk};
    for (uint32_t start = 0; start < 20; start += 9) {
        struct seen_chunk seen = {NULL, 0};
        struct pair p;
        struct peer c, *s;
        pair_open(&p, NULL, NULL);
        p.whole = true; /* the pools are the same size of thing: a chunk may end its life in the other */
        p.user = &seen;
        open_stream(&p, &c, &s, true);
        s->s.stream.events = &events;
        struct chunk *chunk = chunk_new(&p.client.pool);
        assert_non_null(chunk);
        chunk->start = start;
        chunk->end = start + 16375;
        memset(chunk->data, 'x', CHUNK_BYTES);
        struct buf b = {chunk, chunk, 16375};
        const uint8_t *at = chunk->data + start;
        stream_send(&c.s.stream, &b);
        size_t before = p.client.wire_bytes;
        pair_run(&p);
        assert_int_equal(seen.len, 16375);
        assert_ptr_equal(seen.at, at);
        assert_int_equal(p.client.wire_bytes - before, 16384);
        s->s.stream.events = &peer_stream_events;
        pair_close(&p);
    }
}

/* Several small pieces of several streams share frames and chunks. */
static void test_small_pieces_share(void **state)
{
    (void)state;
    struct pair p;
    struct peer c[10], *s[10];
    pair_open(&p, NULL, NULL);
    for (int i = 0; i < 10; i++)
        open_stream(&p, &c[i], &s[i], true);
    for (int i = 0; i < 10; i++)
        for (int k = 0; k < 10; k++)
            send_more(&c[i], 50);
    for (int i = 0; i < 10; i++)
        assert_int_equal(stream_queued(&c[i].s.stream), 500);
    assert_int_equal(side_flush(&p.client), 0);
    assert_int_equal(p.client.wire.len, 10 * (500 + 9));
    assert_ptr_equal(p.client.wire.head, p.client.wire.tail);
    pair_run(&p);
    for (int i = 0; i < 10; i++)
        assert_int_equal(s[i]->n_in, 500);
    pair_close(&p);
}

static void test_output_max(void **state)
{
    (void)state;
    struct pair p;
    struct peer c[3], *s[3];
    pair_open(&p, NULL, NULL);
    for (int i = 0; i < 3; i++)
        open_stream(&p, &c[i], &s[i], true);
    for (int i = 0; i < 3; i++)
        send_more(&c[i], 200000);
    p.client.output_max = 0;
    assert_int_equal(side_flush(&p.client), 0);
    assert_int_equal(p.client.wire.len, 0);
    assert_true(http2_wants_output(p.client.http2));
    p.client.output_max = 20000;
    assert_int_equal(side_flush(&p.client), 0);
    assert_true(p.client.wire.len >= 20000 && p.client.wire.len < 20000 + 16384 + 9);
    p.client.output_max = 100000;
    assert_int_equal(side_flush(&p.client), 0);
    /* Fair: after 120 KB none of the three is far ahead. */
    for (int i = 0; i < 3; i++) {
        size_t left = stream_queued(&c[i].s.stream);
        assert_true(left > 200000 - 65536 && left < 200000 - 16384);
    }
    p.client.output_max = 256 * 1024;
    pair_run(&p);
    for (int i = 0; i < 3; i++)
        assert_int_equal(s[i]->n_in, 200000);
    pair_close(&p);
}

/* The receiver has no chunk left: this stream is reset, the others and the window live on. */
static void test_pool_of_receiver_exhausted(void **state)
{
    (void)state;
    struct pair p;
    struct peer c[2], *s[2];
    pair_open(&p, NULL, NULL);
    for (int i = 0; i < 2; i++)
        open_stream(&p, &c[i], &s[i], true);
    s[0]->on_heap = false;
    send_more(&c[0], 1000);
    assert_int_equal(side_flush(&p.client), 0);
    send_more(&c[1], 10); /* so that the first stream's bytes are not the last of their chunk */
    assert_int_equal(side_flush(&p.client), 0);
    struct buf piece = {0};
    p.whole = true;
    take_piece(&p, &p.client, &p.server, &piece);
    size_t max = p.server.pool.n_max;
    p.server.pool.n_max = 0;
    assert_int_equal(http2_input(p.server.http2, &piece), 0);
    p.server.pool.n_max = max;
    assert_int_equal(s[0]->failed, 1);
    assert_int_equal(s[0]->error, -ENOBUFS);
    assert_int_equal(s[0]->closed, 1);
    assert_int_equal(s[1]->n_in, 10); /* went with its chunk */
    pair_run(&p);
    assert_int_equal(c[0].closed, 1);
    assert_int_equal(c[0].code, HTTP2_ENHANCE_YOUR_CALM);
    send_more(&c[1], 3000000);
    pair_run(&p);
    assert_int_equal(s[1]->n_in, 3000010);
    list_remove(&s[0]->link);
    free(s[0]);
    pair_close(&p);
}

/* The sender has no chunk left: http2_output() says so, loses nothing, and goes on later. */
static void test_pool_of_sender_exhausted(void **state)
{
    (void)state;
    struct pair p;
    struct peer c, opened, *s;
    unsigned refusals = 0;
    pair_open(&p, NULL, NULL);
    open_stream(&p, &c, &s, true);
    peer_init(&opened, &p, &p.client);
    assert_int_equal(peer_connect(&opened), 0); /* a HEADERS frame too */
    send_more(&c, 250000);
    stream_finish(&c.s.stream);
    http2_ping(p.client.http2);
    size_t max = p.client.pool.n_max;
    while (http2_wants_output(p.client.http2)) {
        p.client.pool.n_max = p.client.pool.n_live;
        int r = side_flush(&p.client);
        if (r < 0) {
            assert_int_equal(r, -ENOBUFS);
            assert_true(http2_wants_output(p.client.http2));
            refusals++;
            p.client.pool.n_max = p.client.pool.n_live + 1;
            r = side_flush(&p.client);
            assert_true(r == 0 || r == -ENOBUFS);
        }
    }
    assert_true(refusals > 0);
    p.client.pool.n_max = max;
    pair_run(&p);
    assert_int_equal(s->n_in, 250000);
    assert_int_equal(s->ended, 1);
    assert_int_equal(p.client.pongs, 1);
    assert_int_equal(http2_stream_count(p.server.http2), 2);
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
        open_stream(&p, &c[i], &s[i], true);
    send_more(&c[1], 500000);
    stream_pause(&s[2]->s.stream);
    send_more(&c[2], 500000);
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
        cmocka_unit_test(test_paused_receiver),
        cmocka_unit_test(test_paused_streams_hold_nobody_up),
        cmocka_unit_test(test_tiny_windows),
        cmocka_unit_test(test_writable_once_per_high),
        cmocka_unit_test(test_half_close_both_orders),
        cmocka_unit_test(test_reset_in_each_stage),
        cmocka_unit_test(test_cancelled_before_it_left),
        cmocka_unit_test(test_detach_in_own_event),
        cmocka_unit_test(test_answer_and_detach),
        cmocka_unit_test(test_reset_in_own_event),
        cmocka_unit_test(test_other_streams_in_an_event),
        cmocka_unit_test(test_no_copy),
        cmocka_unit_test(test_small_pieces_share),
        cmocka_unit_test(test_output_max),
        cmocka_unit_test(test_pool_of_receiver_exhausted),
        cmocka_unit_test(test_pool_of_sender_exhausted),
        cmocka_unit_test(test_free_with_streams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
