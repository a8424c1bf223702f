/* How bytes move: back-pressure, windows, frames and chunks. */
#include "tests/unit/shared/http2/h2_pair.h"

/* ---- Back-pressure */

/* Chunks that a queue takes at most: until it is low pieces of more than a kilobyte may each
 * have one, from then on chunks are at least half full. */
enum { QUEUE_CHUNKS = STREAM_QUEUE_LOW / 1024 + 2 * (STREAM_QUEUE_HIGH + 65536) / CHUNK_BYTES + 8 };

/* Whatever size the pieces have. */
static void test_queue_of_small_pieces(void **state)
{
    (void)state;
    for (size_t piece = 1; piece <= CHUNK_BYTES; piece = piece * 3 + 1) {
        struct pair p;
        struct peer c, *s;
        pair_open(&p, NULL, NULL);
        pair_open_stream(&p, &c, &s, true);
        while (stream_queued(&c.s.stream) <= STREAM_QUEUE_HIGH) {
            struct buf b = {0};
            uint8_t data[CHUNK_BYTES];
            for (size_t i = 0; i < piece; i++)
                data[i] = pattern_byte(c.pattern_out, c.n_out++);
            assert_int_equal(buf_append(&b, &p.client.pool, data, piece), 0);
            stream_send(&c.s.stream, &b);
        }
        assert_true(p.client.pool.n_live < QUEUE_CHUNKS);
        c.to_send = c.n_out;
        pair_run(&p);
        assert_int_equal(s->n_in, c.n_out);
        pair_close(&p);
    }
}

static void test_paused_receiver(void **state)
{
    (void)state;
    enum { TOTAL = 64 * 1024 * 1024, WINDOW = 1024 * 1024 };
    struct pair p;
    struct peer c, *s;
    pair_open(&p, NULL, NULL);
    p.whole = true;
    pair_open_stream(&p, &c, &s, true);
    stream_pause(&s->s.stream);
    peer_send_more(&c, TOTAL);
    pair_run(&p);
    assert_int_equal(s->n_in, WINDOW);                           /* and not a byte more */
    assert_true(stream_queued(&c.s.stream) >= STREAM_QUEUE_LOW); /* else writable had come */
    assert_true(stream_queued(&c.s.stream) < STREAM_QUEUE_HIGH + 65536);
    assert_true(c.n_out < WINDOW + STREAM_QUEUE_HIGH + 65536);
    /* What the receiver keeps is up to it (here: nothing); the sender holds its queue. */
    assert_true(p.client.pool.n_live < QUEUE_CHUNKS);
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
        assert_true(p.client.pool.n_live < QUEUE_CHUNKS);
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
    pair_open(&p, NULL,
              &(struct http2_options){.stream_window = WINDOW, .connection_window = 8 * WINDOW});
    for (size_t i = 0; i <= PAUSED; i++) {
        pair_open_stream(&p, &c[i], &s[i], true);
        if (i < PAUSED)
            stream_pause(&s[i]->s.stream);
        peer_send_more(&c[i], 5 * WINDOW);
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
    /* The whole connection window is there again: nothing but it stands in the way of 8 windows
     * at once. */
    for (size_t round = 0; round < 20; round++)
        peer_send_more(&c[PAUSED], 8 * WINDOW);
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
        pair_open_stream(&p, &c, &s, true);
        size_t before = p.client.wire_bytes;
        peer_send_more(&c, 500);
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
        pair_open_stream(&p, &c, &s, true);
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
    pair_open_stream(&p, &c, &s, true);
    peer_send_more(&c, STREAM_QUEUE_HIGH); /* not above it */
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

/* ---- Chunks */

/* A chunk that fills a frame travels from one user to the other without being copied, header and
 * all. */
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
        p.whole =
            true; /* the pools are the same size of thing: a chunk may end its life in the other */
        p.user = &seen;
        pair_open_stream(&p, &c, &s, true);
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
        pair_open_stream(&p, &c[i], &s[i], true);
    for (int i = 0; i < 10; i++)
        for (int k = 0; k < 10; k++)
            peer_send_more(&c[i], 50);
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
        pair_open_stream(&p, &c[i], &s[i], true);
    for (int i = 0; i < 3; i++)
        peer_send_more(&c[i], 200000);
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
        pair_open_stream(&p, &c[i], &s[i], true);
    s[0]->on_heap = false;
    peer_send_more(&c[0], 1000);
    assert_int_equal(side_flush(&p.client), 0);
    peer_send_more(&c[1],
                   10); /* so that the first stream's bytes are not the last of their chunk */
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
    peer_send_more(&c[1], 3000000);
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
    pair_open_stream(&p, &c, &s, true);
    peer_init(&opened, &p, &p.client);
    assert_int_equal(peer_connect(&opened), 0); /* a HEADERS frame too */
    peer_send_more(&c, 250000);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_queue_of_small_pieces),
        cmocka_unit_test(test_paused_receiver),
        cmocka_unit_test(test_paused_streams_hold_nobody_up),
        cmocka_unit_test(test_tiny_windows),
        cmocka_unit_test(test_writable_once_per_high),
        cmocka_unit_test(test_no_copy),
        cmocka_unit_test(test_small_pieces_share),
        cmocka_unit_test(test_output_max),
        cmocka_unit_test(test_pool_of_receiver_exhausted),
        cmocka_unit_test(test_pool_of_sender_exhausted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
