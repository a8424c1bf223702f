#include "shared/base/map.h"
#include "tests/unit/shared/base/failing_alloc.h"
#include "tests/unit/shared/base/test.h"

/* SipHash-c-d, written down from the paper (Aumasson and Bernstein, 2012), a byte at a time. */
static uint64_t naive_siphash(unsigned c, unsigned d, const uint64_t key[2], const uint8_t *in,
                              size_t len)
{
    uint64_t v0 = key[0] ^ 0x736f6d6570736575, v1 = key[1] ^ 0x646f72616e646f6d,
             v2 = key[0] ^ 0x6c7967656e657261, v3 = key[1] ^ 0x7465646279746573;
#define ROTL(x, n) ((x) << (n) | (x) >> (64 - (n)))
#define ROUNDS(n)                                                                                  \
    for (unsigned k = 0; k < (n); k++) {                                                           \
        v0 += v1, v2 += v3, v1 = ROTL(v1, 13), v3 = ROTL(v3, 16);                                  \
        v1 ^= v0, v3 ^= v2, v0 = ROTL(v0, 32);                                                     \
        v2 += v1, v0 += v3, v1 = ROTL(v1, 17), v3 = ROTL(v3, 21);                                  \
        v1 ^= v2, v3 ^= v0, v2 = ROTL(v2, 32);                                                     \
    }
    for (size_t at = 0; at <= len; at += 8) {
        uint64_t m = 0;
        for (size_t i = 0; i < 8; i++) {
            uint64_t byte = at + i < len ? in[at + i] : 0;
            m |= byte << 8 * i;
        }
        if (len - at < 8)
            m |= (uint64_t)(len & 255) << 56;
        v3 ^= m;
        ROUNDS(c)
        v0 ^= m;
    }
    v2 ^= 0xff;
    ROUNDS(d)
    return v0 ^ v1 ^ v2 ^ v3;
}

static void hash_is_siphash(void **state)
{
    (void)state;
    uint8_t in[300];
    uint64_t key[2];
    struct rng rng;

    for (size_t i = 0; i < sizeof in; i++)
        in[i] = (uint8_t)i;
    key[0] = 0x0706050403020100;
    key[1] = 0x0f0e0d0c0b0a0908;
    /* The reference is right: the paper's example and the first of the authors' vectors. */
    assert_true(naive_siphash(2, 4, key, in, 15) == 0xa129ca6149be45e5);
    assert_true(naive_siphash(2, 4, key, in, 0) == 0x726fdb47dd0e0e31);
    /* SipHash-1-3 of nothing, as others have it. */
    assert_true(hash_bytes(key, in, 0) == 0xabac0158050fc4dc);

    test_seed(&rng);
    for (size_t len = 0; len <= sizeof in; len++) {
        key[0] = rng_u64(&rng);
        key[1] = rng_u64(&rng);
        assert_true(hash_bytes(key, in, len) == naive_siphash(1, 3, key, in, len));
    }
    /* A view that does not begin at a word. */
    for (size_t from = 1; from < 9; from++)
        assert_true(hash_bytes(key, in + from, 20) == naive_siphash(1, 3, key, in + from, 20));
}

enum { KEYS = 300 };

/* Everything that the map says about itself agrees with the model. */
static void assert_same(const struct map *m, void *const model[KEYS], char names[KEYS][16])
{
    size_t count = 0, i = 0, n = 0;

    for (size_t k = 0; k < KEYS; k++) {
        assert_ptr_equal(map_get(m, text_of(names[k])), model[k]);
        count += model[k] != NULL;
    }
    assert_int_equal(m->count, count);
    assert_true(m->capacity == 0 || m->count < m->capacity);
    for (const struct map_entry *e; (e = map_next(m, &i)); n++) {
        assert_int_equal(strlen(e->key), e->key_len);
        assert_ptr_equal(map_get(m, (struct text){e->key, e->key_len}), e->value);
    }
    assert_int_equal(n, count);
}

static void agrees_with_a_table(void **state)
{
    (void)state;
    static char names[KEYS][16], values[1000];
    void *model[KEYS] = {NULL};
    struct rng rng;
    struct map m;

    test_seed(&rng);
    for (int k = 0; k < KEYS; k++)
        (void)snprintf(names[k], sizeof names[k], "%d", k);
    map_init(&m, 0);
    for (int step = 0; step < 60000; step++) {
        /* Grows and shrinks in turns, so that long runs form and gaps are closed in them. */
        bool growing = step / 3000 % 2 == 0;
        size_t k = rng_below(&rng, KEYS);
        if (rng_below(&rng, 4) < (growing ? 3 : 1)) {
            void *value = &values[rng_below(&rng, sizeof values)], *old = &m;
            assert_int_equal(map_put(&m, text_of(names[k]), value, &old), 0);
            assert_ptr_equal(old, model[k]);
            model[k] = value;
        } else {
            assert_ptr_equal(map_remove(&m, text_of(names[k])), model[k]);
            model[k] = NULL;
        }
        if (step % 97 == 0)
            assert_same(&m, model, names);
    }
    assert_same(&m, model, names);
    map_done(&m, NULL);
    assert_null(map_get(&m, TEXT("1")));
}

static void keys_are_bytes(void **state)
{
    (void)state;
    struct map m;
    int a, b, c;

    map_init(&m, 0);
    assert_null(map_get(&m, TEXT("")));
    assert_null(map_remove(&m, TEXT("")));
    assert_int_equal(map_put(&m, (struct text){"x\0y", 3}, &a, NULL), 0);
    assert_int_equal(map_put(&m, (struct text){"x\0z", 3}, &b, NULL), 0);
    assert_int_equal(map_put(&m, (struct text){NULL, 0}, &c, NULL), 0);
    assert_ptr_equal(map_get(&m, (struct text){"x\0y", 3}), &a);
    assert_ptr_equal(map_get(&m, (struct text){"x\0z", 3}), &b);
    assert_ptr_equal(map_get(&m, TEXT("")), &c);
    assert_null(map_get(&m, TEXT("x")));
    /* The key may be the entry's own. */
    size_t i = 0;
    const struct map_entry *e = map_next(&m, &i);
    assert_non_null(map_remove(&m, (struct text){e->key, e->key_len}));
    assert_int_equal(m.count, 2);
    map_done(&m, NULL);
}

static void has_a_maximum(void **state)
{
    (void)state;
    struct map m;
    char key[2] = "a";
    int value, other;
    void *old = NULL;

    map_init(&m, 10);
    for (; key[0] < 'a' + 10; key[0]++)
        assert_int_equal(map_put(&m, text_of(key), &value, NULL), 0);
    assert_int_equal(map_put(&m, TEXT("x"), &value, &old), -ENOSPC);
    assert_null(old);
    assert_int_equal(map_put(&m, TEXT("a"), &other, &old), 0); /* replacing is no growth */
    assert_ptr_equal(old, &value);
    assert_ptr_equal(map_remove(&m, TEXT("a")), &other);
    assert_int_equal(map_put(&m, TEXT("x"), &value, NULL), 0);
    assert_int_equal(m.count, 10);
    map_done(&m, NULL);
}

static size_t n_freed;
static void count_free(void *value)
{
    n_freed++;
    free(value);
}

static void frees_values(void **state)
{
    (void)state;
    struct map m;

    map_init(&m, 0);
    assert_int_equal(map_put(&m, TEXT("a"), malloc(1), NULL), 0);
    assert_int_equal(map_put(&m, TEXT("b"), malloc(1), NULL), 0);
    n_freed = 0;
    map_done(&m, count_free);
    assert_int_equal(n_freed, 2);
    map_done(&m, count_free); /* again is fine */
    assert_int_equal(n_freed, 2);
}

static void survives_no_memory(void **state)
{
    (void)state;
    for (long n = 0;; n++) {
        struct map m;
        char key[16];
        int value, put = 0;

        map_init(&m, 0);
        alloc_fail_at(n);
        for (int i = 0; i < 100; i++) {
            (void)snprintf(key, sizeof key, "%d", i);
            int r = map_put(&m, text_of(key), &value, NULL);
            assert_true(r == 0 || r == -ENOMEM);
            put += r == 0;
            assert_ptr_equal(map_get(&m, text_of(key)), r == 0 ? &value : NULL);
        }
        bool failed = alloc_failed();
        assert_int_equal(put, failed ? 99 : 100);
        assert_int_equal(m.count, put);
        map_done(&m, NULL);
        if (!failed) {
            assert_true(n > 100);
            break;
        }
    }
}

static void seeds_differ(void **state)
{
    (void)state;
    struct map a, b;

    map_init(&a, 0);
    map_init(&b, 0);
    assert_memory_not_equal(a.seed, b.seed, sizeof a.seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hash_is_siphash), cmocka_unit_test(agrees_with_a_table),
        cmocka_unit_test(keys_are_bytes),  cmocka_unit_test(has_a_maximum),
        cmocka_unit_test(frees_values),    cmocka_unit_test(survives_no_memory),
        cmocka_unit_test(seeds_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
