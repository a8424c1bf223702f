#include "tests/unit/shared/ring/ring_fixture.h"
#include <pthread.h>

/*
 * Readers that keep their chunks for a while, on a pool that is far too small. Nobody may
 * be forgotten: every byte arrives at its reader, in order.
 */
enum { READERS = 12, EACH = 300000 };

struct reader {
    struct ring_scope scope;
    struct ring_op op;
    struct timer slow;
    struct chunk *kept;
    int fd;
    size_t n_got;
    bool ended, drained;
};
static struct reader readers[READERS];
static unsigned n_ended;

static void let_go(struct timer *t)
{
    struct reader *r = container_of(t, struct reader, slow);
    for (struct chunk *c = r->kept, *next; c; c = next) {
        next = c->next;
        chunk_free(c);
    }
    r->kept = NULL;
}
static void reader_received(struct ring_op *op, int result)
{
    struct reader *r = container_of(op, struct reader, op);
    if (result <= 0) {
        assert_int_equal(result, 0);
        r->ended = true;
        n_ended++;
        ring_stop(ring);
        return;
    }
    for (size_t i = 0; i < (size_t)result; i++)
        if (op->chunk->data[op->chunk->start + i] != pattern(r->n_got + i))
            fail_msg("reader %td: wrong byte at %zu", r - readers, r->n_got + i);
    r->n_got += (size_t)result;
    op->chunk->next = r->kept;
    r->kept = op->chunk;
    op->chunk = NULL;
    if (!timer_running(&r->slow))
        timer_start(ring_timers(ring), &r->slow, 1);
}
static void reader_drained(struct ring_scope *scope)
{
    struct reader *r = container_of(scope, struct reader, scope);
    r->drained = true;
    timer_stop(ring_timers(ring), &r->slow);
    let_go(&r->slow);
    ring_stop(ring);
}
static uint8_t data[EACH]; /* what each writer sends; written before they start */
static void *write_all(void *arg)
{
    int fd = (int)(intptr_t)arg;
    for (size_t put = 0; put < EACH;) {
        ssize_t n = send(fd, data + put, EACH - put, MSG_NOSIGNAL);
        if (n < 0)
            break;
        put += (size_t)n;
    }
    shutdown(fd, SHUT_WR);
    return NULL;
}
static void tcp_pair(int ret_fds[2])
{
    struct sockaddr_storage at;
    socklen_t len;
    int listener = listen_loopback(1, &at, &len);
    assert_int_equal(socket_open(AF_INET, &ret_fds[1]), 0);
    assert_int_equal(connect(ret_fds[1], (struct sockaddr *)&at, len), 0);
    ret_fds[0] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(ret_fds[0] >= 0);
    socket_close(listener);
}
static void starve(struct ring_options options, bool tcp)
{
    ring_begin(options);
    n_ended = 0;
    for (size_t i = 0; i < EACH; i++)
        data[i] = pattern(i);
    pthread_t writers[READERS];
    int far[READERS];
    for (int i = 0; i < READERS; i++) {
        int fds[2];
        if (tcp)
            tcp_pair(fds);
        else
            assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        far[i] = fds[1];
        readers[i] = (struct reader){.fd = fds[0]};
        timer_init(&readers[i].slow, let_go);
        ring_scope_init(&readers[i].scope, ring, reader_drained);
        ring_op_init(&readers[i].op, &readers[i].scope);
        ring_recv(ring, &readers[i].op, fds[0], reader_received);
        assert_int_equal(pthread_create(&writers[i], NULL, write_all, (void *)(intptr_t)fds[1]), 0);
    }
    RUN_UNTIL(n_ended == READERS);
    for (int i = 0; i < READERS; i++) {
        assert_int_equal(readers[i].n_got, EACH);
        ring_scope_close(&readers[i].scope);
        RUN_UNTIL(readers[i].drained);
        pthread_join(writers[i], NULL);
        close(readers[i].fd);
        close(far[i]);
    }
    struct ring_stats stats;
    ring_stats(ring, &stats);
    assert_true(stats.starved > 0); /* or this tested nothing */
    assert_int_equal(stats.chunks_live, 0);
    ring_end();
}
static void test_pool_of_two(void **state)
{
    (void)state;
    starve((struct ring_options){.buffers = 2, .chunks_max = 2}, false);
    starve((struct ring_options){.buffers = 2, .chunks_max = 2}, true);
}
static void test_pool_smaller_than_the_shelf(void **state)
{
    (void)state;
    starve((struct ring_options){.buffers = 16, .chunks_max = 5}, false);
    starve((struct ring_options){.buffers = 16, .chunks_max = 5}, true);
}
static void test_one_buffer_of_a_large_pool(void **state)
{
    (void)state;
    starve((struct ring_options){.buffers = 1, .chunks_max = 4096}, false);
    starve((struct ring_options){.buffers = 1, .chunks_max = 4096}, true);
}

/* ---- one reader has all chunks, another waits for them -------------------------- */
struct hoarder {
    struct side side;
    struct chunk *kept;
};
static void hoarder_received(struct ring_op *op, int result)
{
    struct hoarder *h = container_of(op, struct hoarder, side.recv_op);
    assert_true(result > 0);
    h->side.n_got += (size_t)result;
    op->chunk->next = h->kept;
    h->kept = op->chunk;
    op->chunk = NULL;
    ring_stop(ring);
}
static void hoard(struct hoarder *h, struct side *from, size_t bytes)
{
    static const uint8_t zeros[3 * RING_RECEIVE_BYTES];
    side_pair(from, &h->side);
    h->kept = NULL;
    ring_recv(ring, &h->side.recv_op, h->side.fd, hoarder_received);
    side_send(from, zeros, bytes);
    RUN_UNTIL(h->side.n_got == bytes);
}
static void hoarder_done(struct hoarder *h)
{
    for (struct chunk *c = h->kept, *next; c; c = next) {
        next = c->next;
        chunk_free(c);
    }
    side_done(&h->side);
}
static uint64_t n_starved(void)
{
    struct ring_stats stats;
    ring_stats(ring, &stats);
    return stats.starved;
}

static void test_starved_is_armed_when_a_chunk_comes_back(void **state)
{
    (void)state;
    ring_begin((struct ring_options){.buffers = 2, .chunks_max = 2});
    struct hoarder h;
    struct side from, a, b;
    hoard(&h, &from, 2 * RING_RECEIVE_BYTES);
    side_pair(&a, &b);
    side_read(&b);
    side_send(&a, "hello", 5);
    uint64_t before = n_starved();
    RUN_UNTIL(n_starved() > before);
    for (int i = 0; i < 3; i++)
        run_once();
    assert_int_equal(b.n_calls, 0); /* neither bytes nor an error */
    struct chunk *one = h.kept;
    h.kept = one->next;
    chunk_free(one);
    RUN_UNTIL(b.n_got == 5);
    side_done(&a);
    side_done(&b);
    side_done(&from);
    hoarder_done(&h);
    ring_end();
}

static void test_stop_and_close_while_starved(void **state)
{
    (void)state;
    ring_begin((struct ring_options){.buffers = 2, .chunks_max = 2});
    struct hoarder h;
    struct side from, a[3], b[3];
    hoard(&h, &from, 2 * RING_RECEIVE_BYTES);
    uint64_t before = n_starved();
    for (int i = 0; i < 3; i++) {
        side_pair(&a[i], &b[i]);
        side_read(&b[i]);
        side_send(&a[i], "hello", 5);
    }
    RUN_UNTIL(n_starved() >= before + 3);
    ring_recv_stop(ring, &b[0].recv_op);
    assert_int_equal(b[0].end, NOT_YET); /* never from inside a call */
    RUN_UNTIL(b[0].end != NOT_YET);
    assert_int_equal(b[0].end, -ECANCELED);
    side_done(&b[1]);
    ring_recv_stop(ring, &b[2].recv_op); /* stopped, and closed before anyone was told */
    side_done(&b[2]);
    assert_int_equal(b[1].n_calls + b[2].n_calls, 0);
    hoarder_done(&h); /* chunks come back: nobody of the dead is armed with them */
    run_once();
    side_read(&b[0]); /* the bytes of the stopped one are still there */
    RUN_UNTIL(b[0].n_got == 5);
    side_done(&b[0]);
    for (int i = 0; i < 3; i++)
        side_done(&a[i]);
    side_done(&from);
    ring_end();
}

/* The last eighth of the pool is for sending, however much comes in. */
static void test_receiving_leaves_chunks_for_sending(void **state)
{
    (void)state;
    ring_begin((struct ring_options){.buffers = 32, .chunks_max = 16});
    struct chunk *mine[3] = {chunk_new(ring_chunks(ring)), chunk_new(ring_chunks(ring)), NULL};
    assert_non_null(mine[0]);
    assert_non_null(mine[1]);
    assert_null(chunk_new(ring_chunks(ring)));
    chunk_free(mine[0]);
    run_once(); /* the shelf does not take it */
    mine[0] = chunk_new(ring_chunks(ring));
    assert_non_null(mine[0]);
    chunk_free(mine[0]);
    chunk_free(mine[1]);
    ring_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pool_of_two),
        cmocka_unit_test(test_pool_smaller_than_the_shelf),
        cmocka_unit_test(test_one_buffer_of_a_large_pool),
        cmocka_unit_test(test_starved_is_armed_when_a_chunk_comes_back),
        cmocka_unit_test(test_stop_and_close_while_starved),
        cmocka_unit_test(test_receiving_leaves_chunks_for_sending),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
