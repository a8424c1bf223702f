#include "shared/base/buf.h"
#include "tests/unit/shared/base/failing_alloc.h"
#include "tests/unit/shared/base/test.h"

enum { MODEL_MAX = 600 * 1024 };

/* The model of a buf: its bytes in a row. */
struct model {
    uint8_t bytes[MODEL_MAX];
    size_t len;
};

static struct chunk_pool pool;

static void model_append(struct model *m, const void *data, size_t len)
{
    assert_true(m->len + len <= MODEL_MAX);
    memcpy(m->bytes + m->len, data, len);
    m->len += len;
}

static void model_consume(struct model *m, size_t len)
{
    m->len -= len;
    memmove(m->bytes, m->bytes + len, m->len);
}

static size_t count_chunks(const struct buf *b)
{
    size_t n = 0, len = 0;
    const struct chunk *last = NULL;

    for (const struct chunk *c = b->head; c; c = c->next) {
        assert_true(c->start <= c->end && c->end <= CHUNK_BYTES);
        len += chunk_len(c);
        last = c;
        n++;
    }
    assert_ptr_equal(b->tail, last);
    assert_int_equal(b->len, len);
    return n;
}

/* The same bytes by all three ways of looking. */
static void assert_same(const struct buf *b, const struct model *m)
{
    static uint8_t out[MODEL_MAX];
    struct iovec iov[256];
    size_t bytes = 0, at = 0;

    (void)count_chunks(b);
    assert_int_equal(b->len, m->len);
    assert_int_equal(buf_peek(b, out, sizeof out), m->len);
    assert_memory_equal(out, m->bytes, m->len);
    size_t n = buf_iovecs(b, iov, ARRAY_SIZE(iov), &bytes);
    assert_int_equal(bytes, m->len);
    for (size_t i = 0; i < n; i++) {
        assert_true(iov[i].iov_len > 0);
        assert_memory_equal(iov[i].iov_base, m->bytes + at, iov[i].iov_len);
        at += iov[i].iov_len;
    }
    assert_int_equal(at, m->len);
}

static const uint8_t *some_bytes(struct rng *rng, size_t len)
{
    static uint8_t data[3 * CHUNK_BYTES];
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)rng_u64(rng);
    return data;
}

/* Small, about the size up to which is copied, about a chunk, or several chunks. */
static size_t some_len(struct rng *rng)
{
    switch (rng_below(rng, 6)) {
    case 0:
        return rng_below(rng, 3);
    case 1:
        return 1020 + rng_below(rng, 10);
    case 2:
        return CHUNK_BYTES - 3 + rng_below(rng, 6);
    case 3:
        return rng_below(rng, 3 * CHUNK_BYTES);
    default:
        return rng_below(rng, 2000);
    }
}

struct pair {
    struct buf buf;
    struct model model;
};

static void push_one(struct pair *p, struct rng *rng)
{
    size_t len = some_len(rng);
    struct chunk *c = chunk_new(&pool);

    if (!c)
        return;
    /* Received bytes need not begin at the chunk's begin. */
    c->start = (uint32_t)rng_below(rng, 100);
    len = len > CHUNK_BYTES - c->start ? CHUNK_BYTES - c->start : len;
    c->end = c->start + (uint32_t)len;
    memcpy(c->data + c->start, some_bytes(rng, len), len);
    model_append(&p->model, c->data + c->start, len);
    buf_push(&p->buf, c);
}

static void append_some(struct pair *p, struct rng *rng)
{
    size_t len = some_len(rng), before = pool.n_live;
    const uint8_t *data = some_bytes(rng, len);
    int r = buf_append(&p->buf, &pool, data, len);

    if (r == 0)
        model_append(&p->model, data, len);
    else
        assert_true(r == -ENOBUFS && pool.n_live == before);
}

static void reserve_some(struct pair *p, struct rng *rng)
{
    size_t want = some_len(rng) % (CHUNK_BYTES + 1);
    uint8_t *room = buf_reserve(&p->buf, &pool, want);

    if (!room) {
        assert_int_equal(pool.n_live, pool.n_max);
        return;
    }
    size_t used = rng_below(rng, 3) ? rng_below(rng, want + 1) : 0;
    if (used > 0)
        memcpy(room, some_bytes(rng, used), used);
    model_append(&p->model, room, used);
    buf_commit(&p->buf, used);
}

static void move_some(struct pair *to, struct pair *from, struct rng *rng)
{
    size_t len = rng_below(rng, 8) ? rng_below(rng, from->buf.len + 1) : SIZE_MAX;
    size_t live = pool.n_live;
    int r = buf_move_some(&to->buf, &pool, &from->buf, len);

    if (r < 0) {
        assert_int_equal(r, -ENOBUFS);
        assert_int_equal(live, pool.n_max);
        return;
    }
    assert_true(pool.n_live <= live + 1); /* at most one chunk is split */
    len = len < from->model.len ? len : from->model.len;
    model_append(&to->model, from->model.bytes, len);
    model_consume(&from->model, len);
}

static void agrees_with_a_row_of_bytes(void **state)
{
    (void)state;
    static struct pair pairs[3];
    struct rng rng;
    size_t refusals = 0;

    test_seed(&rng);
    chunk_pool_init(&pool, 16, 4);
    for (int step = 0; step < 12000; step++) {
        struct pair *p = &pairs[rng_below(&rng, 3)], *q = &pairs[rng_below(&rng, 3)];
        switch (rng_below(&rng, 8)) {
        case 0:
            push_one(p, &rng);
            break;
        case 1:
            append_some(p, &rng);
            break;
        case 2:
            reserve_some(p, &rng);
            break;
        case 3:
        case 4:
            if (p != q)
                move_some(p, q, &rng);
            break;
        case 5:
            if (p != q) {
                buf_move(&p->buf, &q->buf);
                model_append(&p->model, q->model.bytes, q->model.len);
                q->model.len = 0;
                assert_null(q->buf.head);
            }
            break;
        default: {
            size_t len = rng_below(&rng, p->buf.len / 2 + 2) % (p->buf.len + 1);
            buf_consume(&p->buf, len);
            model_consume(&p->model, len);
            break;
        }
        }
        assert_same(&p->buf, &p->model);
        assert_same(&q->buf, &q->model);
        size_t chunks = 0;
        for (size_t i = 0; i < 3; i++) {
            chunks += count_chunks(&pairs[i].buf);
            if (pairs[i].buf.len == 0)
                assert_null(pairs[i].buf.head); /* what holds nothing holds no memory */
        }
        assert_int_equal(chunks, pool.n_live);
        assert_true(pool.n_live <= pool.n_max && pool.n_free <= pool.n_keep);
        refusals += pool.refused;
    }
    assert_true(refusals > 0);
    for (size_t i = 0; i < 3; i++)
        buf_done(&pairs[i].buf);
    assert_int_equal(pool.n_live, 0);
    chunk_pool_done(&pool);
}

static struct chunk *filled(size_t len, int byte)
{
    struct chunk *c = chunk_new(&pool);
    assert_non_null(c);
    memset(c->data, byte, len);
    c->end = (uint32_t)len;
    return c;
}

static void small_pushes_are_copied(void **state)
{
    (void)state;
    struct buf b;

    chunk_pool_init(&pool, 10, 10);
    buf_init(&b);
    for (int i = 0; i < 16; i++)
        buf_push(&b, filled(1024, 'a' + i));
    assert_int_equal(pool.n_live, 1); /* sixteen of 1 KiB lie in one chunk */
    assert_int_equal(b.len, 16 * 1024);
    buf_push(&b, filled(1024, 'x')); /* no room: 512 bytes are left */
    assert_int_equal(pool.n_live, 2);
    struct chunk *large = filled(1025, 'y');
    buf_push(&b, large); /* too large to be copied */
    assert_ptr_equal(b.tail, large);
    assert_int_equal(pool.n_live, 3);
    buf_push(&b, filled(0, 0));
    assert_int_equal(pool.n_live, 3);
    buf_done(&b);
    assert_int_equal(pool.n_live, 0);
    chunk_pool_done(&pool);
}

/* What a send in flight points at must not move when more is queued behind it. */
static void queued_bytes_stay_where_they_are(void **state)
{
    (void)state;
    struct buf b, more;
    struct iovec before[4], after[4];

    chunk_pool_init(&pool, 10, 0);
    buf_init(&b);
    buf_init(&more);
    assert_int_equal(buf_append(&b, &pool, "first", 5), 0);
    buf_push(&b, filled(2000, 'b'));
    size_t n = buf_iovecs(&b, before, 4, NULL);
    assert_int_equal(n, 2);
    buf_push(&b, filled(10, 'c'));
    assert_int_equal(buf_append(&b, &pool, "more", 4), 0);
    assert_int_equal(buf_append(&more, &pool, "and more", 8), 0);
    buf_move(&b, &more);
    assert_int_equal(buf_iovecs(&b, after, 4, NULL), 2);
    for (size_t i = 0; i < n; i++) {
        assert_ptr_equal(before[i].iov_base, after[i].iov_base);
        assert_true(after[i].iov_len >= before[i].iov_len);
    }
    assert_int_equal(buf_iovecs(&b, after, 1, &n), 1);
    assert_int_equal(n, 5);
    buf_done(&b);
    chunk_pool_done(&pool);
}

static void append_is_all_or_nothing(void **state)
{
    (void)state;
    static uint8_t data[4 * CHUNK_BYTES];
    struct buf b;

    chunk_pool_init(&pool, 3, 0);
    buf_init(&b);
    assert_int_equal(buf_append(&b, &pool, data, 100), 0);
    assert_int_equal(buf_append(&b, &pool, data, 3 * CHUNK_BYTES - 99), -ENOBUFS);
    assert_int_equal(b.len, 100);
    assert_int_equal(pool.n_live, 1);
    assert_int_equal(buf_append(&b, &pool, data, 3 * CHUNK_BYTES - 100), 0);
    assert_int_equal(pool.n_live, 3);
    assert_int_equal(buf_append(&b, &pool, NULL, 0), 0);
    assert_int_equal(buf_append(&b, &pool, data, 1), -ENOBUFS);
    assert_null(buf_reserve(&b, &pool, 1));
    buf_consume(&b, b.len);
    assert_int_equal(pool.n_live, 0);
    chunk_pool_done(&pool);
}

static void split_that_is_refused_moves_nothing(void **state)
{
    (void)state;
    struct buf a, b;

    chunk_pool_init(&pool, 2, 0);
    buf_init(&a);
    buf_init(&b);
    buf_push(&a, filled(5000, 'a'));
    buf_push(&a, filled(5000, 'b'));
    assert_int_equal(buf_move_some(&b, &pool, &a, 1000), -ENOBUFS);
    assert_int_equal(a.len, 10000);
    assert_int_equal(b.len, 0);
    assert_int_equal(buf_move_some(&b, &pool, &a, 5000), 0); /* at a border no chunk is needed */
    assert_int_equal(b.len, 5000);
    assert_int_equal(buf_move_some(&b, &pool, &a, 1000), 0); /* nor where the tail has room */
    assert_int_equal(b.len, 6000);
    assert_int_equal(a.len, 4000);
    buf_done(&a);
    buf_done(&b);
    chunk_pool_done(&pool);
}

/* The smaller part is copied, the larger one stays in its chunk. */
static void splits_copy_little(void **state)
{
    (void)state;
    for (size_t moved = 2000; moved <= 8000; moved += 6000) {
        struct buf a, b;
        chunk_pool_init(&pool, 2, 0);
        buf_init(&a);
        buf_init(&b);
        struct chunk *c = filled(10000, 'a');
        buf_push(&a, c);
        assert_int_equal(buf_move_some(&b, &pool, &a, moved), 0);
        assert_ptr_equal(moved > 5000 ? b.head : a.head, c);
        buf_done(&a);
        buf_done(&b);
        chunk_pool_done(&pool);
    }
}

static size_t n_told;
static void told(struct chunk_pool *p)
{
    assert_ptr_equal(p->freed_owner, &n_told);
    n_told++;
}

static void pool_has_a_maximum_and_tells(void **state)
{
    (void)state;
    struct chunk *c[4];

    chunk_pool_init(&pool, 3, 2);
    pool.freed = told;
    pool.freed_owner = &n_told;
    n_told = 0;
    for (int i = 0; i < 3; i++) {
        c[i] = chunk_new(&pool);
        assert_non_null(c[i]);
        assert_int_equal((uintptr_t)c[i] % 64, 0);
        assert_int_equal(chunk_len(c[i]), 0);
    }
    assert_null(chunk_new(&pool));
    assert_null(chunk_free(c[0]));
    assert_int_equal(n_told, 1);
    chunk_free(c[1]);
    assert_int_equal(n_told, 1); /* nobody was refused since */
    assert_int_equal(pool.n_free, 2);
    /* The warm one comes back first. */
    assert_ptr_equal(chunk_new(&pool), c[1]);
    assert_ptr_equal(chunk_new(&pool), c[0]);
    chunk_free(c[0]);
    chunk_free(c[1]);
    chunk_free(c[2]);
    assert_int_equal(pool.n_free, 2); /* the third went back to the heap */
    assert_null(chunk_free(NULL));
    chunk_pool_done(&pool);
    assert_int_equal(pool.n_free, 0);
}

static void survives_no_memory(void **state)
{
    (void)state;
    static uint8_t data[3 * CHUNK_BYTES];

    for (long n = 0;; n++) {
        struct buf b, to;
        buf_init(&b);
        buf_init(&to);
        chunk_pool_init(&pool, 100, 1);
        alloc_fail_at(n);
        int r = buf_append(&b, &pool, data, sizeof data);
        int s = buf_move_some(&to, &pool, &b, b.len / 2);
        uint8_t *room = buf_reserve(&b, &pool, CHUNK_BYTES);
        bool failed = alloc_failed();
        assert_int_equal(r < 0 || s < 0 || !room, failed);
        assert_int_equal(b.len + to.len, r == 0 ? sizeof data : 0);
        buf_done(&b);
        buf_done(&to);
        chunk_pool_done(&pool);
        if (!failed) {
            assert_true(n >= 4);
            break;
        }
    }
}

static void use(size_t n)
{
    struct chunk *chunks[100];
    for (size_t i = 0; i < n; i++)
        assert_non_null(chunks[i] = chunk_new(&pool));
    for (size_t i = 0; i < n; i++)
        chunk_free(chunks[i]);
}
static void trim_takes_what_is_not_needed(void **state)
{
    (void)state;
    chunk_pool_init(&pool, 200, 200);
    use(100);
    assert_int_equal(chunk_pool_trim(&pool, 10), 0); /* all of them have just been needed */
    use(60);
    assert_int_equal(chunk_pool_trim(&pool, 10), 40);
    assert_int_equal(pool.n_free, 60);
    assert_int_equal(chunk_pool_trim(&pool, 10), 50); /* nobody came */
    assert_int_equal(chunk_pool_trim(&pool, 10), 0);
    use(5);
    assert_int_equal(chunk_pool_trim(&pool, 10), 0);
    assert_int_equal(pool.n_free, 10);
    assert_int_equal(pool.n_live, 0);
    use(20); /* the list is whole */
    assert_int_equal(pool.n_free, 20);
    chunk_pool_done(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_a_row_of_bytes),
        cmocka_unit_test(small_pushes_are_copied),
        cmocka_unit_test(queued_bytes_stay_where_they_are),
        cmocka_unit_test(append_is_all_or_nothing),
        cmocka_unit_test(split_that_is_refused_moves_nothing),
        cmocka_unit_test(splits_copy_little),
        cmocka_unit_test(pool_has_a_maximum_and_tells),
        cmocka_unit_test(trim_takes_what_is_not_needed),
        cmocka_unit_test(survives_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
