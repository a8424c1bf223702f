/* Published vectors: xxHash's own, and Envoy's of its hashes, its ring and its Maglev table
 * (test/common/common/hash_test.cc, test/common/upstream/{ring_hash,maglev}_lb_test.cc). */
#include "shared/mesh/consistent.h"
#include "shared/mesh/hash64.h"

#include "tests/unit/shared/base/test.h"

#include <math.h>

static void test_hashes_are_the_published_ones(void **state)
{
    static const struct {
        const char *text;
        uint64_t xx, murmur;
    } vectors[] = {
        {"foo", 3728699739546630719U, 9631199822919835226U},
        {"bar", 5234164152756840025U, 11474628671133349555U},
        {"foo\nbar", 8917841378505826757U, 16306510975912980159U},
        {"lyft", 4400747396090729504U, 12847078931730529320U},
        {"", 17241709254077376921U, 6142509188972423790U},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
        assert_true(hash64_xx(text_of(vectors[i].text), 0) == vectors[i].xx);
        assert_true(hash64_murmur(text_of(vectors[i].text)) == vectors[i].murmur);
    }
    /* The bytes that xxhash's own sanity test makes; above 32 of them and with a seed. */
    static const struct {
        size_t len;
        uint64_t seed, hash;
    } sanity[] = {{1, 0, 0xE934A84ADB052768},   {1, 2654435761, 0x5014607643A9B4C3},
                  {14, 0, 0x8282DCC4994E35C8},  {14, 2654435761, 0xC3BD6BF63DEB6DF0},
                  {222, 0, 0xB641AE8CB691C174}, {222, 2654435761, 0x20CB8AB7AE10C14A}};
    char bytes[222];
    uint64_t generator = 2654435761;
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (char)(generator >> 56);
        generator *= 11400714785074694797U;
    }
    for (size_t i = 0; i < ARRAY_SIZE(sanity); i++)
        assert_true(hash64_xx((struct text){bytes, sanity[i].len}, sanity[i].seed) ==
                    sanity[i].hash);
}

static const struct consistent_host six[] = {{{"127.0.0.1:90", 12}, 1}, {{"127.0.0.1:91", 12}, 1},
                                             {{"127.0.0.1:92", 12}, 1}, {{"127.0.0.1:93", 12}, 1},
                                             {{"127.0.0.1:94", 12}, 1}, {{"127.0.0.1:95", 12}, 1}};

static void test_the_ring_is_envoys(void **state)
{
    static const struct ring_entry envoys[] = {
        {833437586790550860U, 4},   {928266305478181108U, 2},   {1033482794131418490U, 0},
        {3551244743356806947U, 5},  {3851675632748031481U, 3},  {5583722120771150861U, 1},
        {6311230543546372928U, 1},  {7700377290971790572U, 3},  {13144177310400110813U, 5},
        {13444792449719432967U, 2}, {15516499411664133160U, 4}, {16117243373044804889U, 0}};
    struct ring r;
    (void)state;
    assert_int_equal(ring_build(&r, six, 6, 12, 8 << 20, false), 0);
    assert_int_equal(r.n, 12);
    for (size_t i = 0; i < 12; i++) {
        assert_true(r.entries[i].hash == envoys[i].hash);
        assert_int_equal(r.entries[i].host, envoys[i].host);
    }
    assert_int_equal(ring_find(&r, 0, 0), 4);
    assert_int_equal(ring_find(&r, UINT64_MAX, 0), 4);
    assert_int_equal(ring_find(&r, 3551244743356806947U, 0), 5);
    assert_int_equal(ring_find(&r, 3551244743356806948U, 0), 3);
    assert_int_equal(ring_find(&r, 16117243373044804880U, 0), 0);
    assert_int_equal(ring_find(&r, 0, 1), 2); /* the next on the ring */
    assert_int_equal(ring_find(&r, UINT64_MAX, 2), 0);
    ring_done(&r);
}

static void count(const uint32_t *entries, size_t n, uint32_t *ret, size_t hosts)
{
    memset(ret, 0, hosts * sizeof *ret);
    for (size_t i = 0; i < n; i++)
        ret[entries[i]]++;
}

static void test_the_ring_has_weights_and_a_bound(void **state)
{
    const struct consistent_host two[] = {{{"a:1", 3}, 1}, {{"b:1", 3}, 3}};
    struct ring r;
    uint32_t of[2] = {0};
    (void)state;
    assert_int_equal(ring_build(&r, two, 2, 1024, 8 << 20, false), 0);
    for (size_t i = 0; i < r.n; i++)
        of[r.entries[i].host]++;
    assert_int_equal(of[0], 256);
    assert_int_equal(of[1], 768);
    ring_done(&r);
    assert_int_equal(ring_build(&r, two, 2, 1024, 100, true), 0);
    assert_int_equal(r.n, 100);
    ring_done(&r);
    assert_int_equal(ring_build(&r, two, 0, 1024, 100, false), 0);
    ring_done(&r);
}

static void test_the_maglev_table_is_envoys(void **state)
{
    static const uint32_t basic[] = {2, 4, 0, 1, 5, 0, 3};
    static const uint32_t weighted[] = {1, 0, 0, 1, 0, 1, 1, 0, 1, 1, 1, 1, 1, 0, 1, 0, 1};
    static const uint32_t equal[] = {1, 0, 0, 1, 0, 1, 1, 0, 0, 1, 0, 1, 0, 0, 1, 0, 1};
    static const uint32_t eight_two[] = {1, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0};
    struct consistent_host two[] = {six[0], six[1]};
    struct maglev m;
    (void)state;
    assert_int_equal(maglev_build(&m, six, 6, 7), 0);
    assert_memory_equal(m.entries, basic, sizeof basic);
    for (uint64_t h = 0; h < 21; h++)
        assert_int_equal(maglev_find(&m, h, 0), basic[h % 7]);
    maglev_done(&m);
    two[1].weight = 2;
    assert_int_equal(maglev_build(&m, two, 2, 17), 0);
    assert_memory_equal(m.entries, weighted, sizeof weighted);
    maglev_done(&m);
    two[1].weight = 1;
    assert_int_equal(maglev_build(&m, two, 2, 17), 0);
    assert_memory_equal(m.entries, equal, sizeof equal);
    maglev_done(&m);
    two[0].weight = 8;
    two[1].weight = 2;
    assert_int_equal(maglev_build(&m, two, 2, 17), 0);
    assert_memory_equal(m.entries, eight_two, sizeof eight_two);
    maglev_done(&m);
}

/* The paper's rounds as they are written, without a heap. */
static void naive_maglev(const struct consistent_host *hosts, size_t n, uint32_t table,
                         uint32_t *entries)
{
    double *weights = calloc(n, sizeof *weights), *targets = calloc(n, sizeof *targets);
    uint64_t *next = calloc(n, sizeof *next);
    double sum = 0, most = 0;
    uint32_t placed = 0;
    for (size_t i = 0; i < n; i++)
        sum += hosts[i].weight;
    for (size_t i = 0; i < n; i++) {
        weights[i] = hosts[i].weight / sum;
        most = fmax(most, weights[i]);
    }
    memset(entries, 0xff, table * sizeof *entries);
    for (uint64_t round = 1; placed < table; round++) {
        for (size_t i = 0; i < n && placed < table; i++) {
            if ((double)round * weights[i] < targets[i])
                continue;
            targets[i] += most;
            uint64_t offset = hash64_xx(hosts[i].key, 0) % table;
            uint64_t skip = hash64_xx(hosts[i].key, 1) % (table - 1) + 1, at;
            do
                at = (offset + skip * next[i]++) % table;
            while (entries[at] != UINT32_MAX);
            entries[at] = (uint32_t)i;
            placed++;
        }
    }
    free(weights);
    free(targets);
    free(next);
}

static void test_the_heap_takes_the_turns_of_the_rounds(void **state)
{
    static const uint32_t tables[] = {2, 7, 251, 1009, 4099};
    char names[60][16];
    struct consistent_host hosts[60];
    uint32_t expected[4099];
    struct rng r;
    (void)state;
    test_seed(&r);
    for (int round = 0; round < 300; round++) {
        size_t n = 1 + rng_below(&r, 60);
        uint32_t table = tables[rng_below(&r, ARRAY_SIZE(tables))];
        for (size_t i = 0; i < n; i++) {
            snprintf(names[i], sizeof names[i], "10.0.0.%u:%zu", (unsigned)rng_below(&r, 250), i);
            hosts[i].key = text_of(names[i]);
            hosts[i].weight = (double)(1 + rng_below(&r, rng_below(&r, 2) ? 4 : 1000));
        }
        struct maglev m;
        assert_int_equal(maglev_build(&m, hosts, n, table), 0);
        naive_maglev(hosts, n, table, expected);
        assert_memory_equal(m.entries, expected, table * sizeof *expected);
        maglev_done(&m);
    }
}

/* Of 1,024 hosts one with 130 thousand times the weight of each other: each has a place. */
static void test_lopsided_weights_cost_no_rounds(void **state)
{
    static char names[1024][16];
    static struct consistent_host hosts[1024];
    uint32_t of[1024];
    struct maglev m;
    (void)state;
    for (size_t i = 0; i < 1024; i++) {
        snprintf(names[i], sizeof names[i], "127.0.0.1:%zu", i);
        hosts[i] = (struct consistent_host){text_of(names[i]), i == 0 ? 127.0 * 1023 : 1};
    }
    assert_int_equal(maglev_build(&m, hosts, 1024, 65537), 0);
    count(m.entries, m.n, of, 1024);
    for (size_t i = 1; i < 1024; i++)
        assert_int_equal(of[i], 1);
    assert_int_equal(of[0], 65537 - 1023);
    maglev_done(&m);
}

/* Minimal disruption: one host of a hundred goes, and few of the others' places move. */
static void test_few_move_when_one_goes(void **state)
{
    static char names[100][16];
    static struct consistent_host hosts[100];
    struct maglev before, after;
    struct ring ring_before, ring_after;
    size_t moved = 0, ring_moved = 0, gone = 0;
    struct rng r;
    (void)state;
    rng_seed(&r, 1);
    for (size_t i = 0; i < 100; i++) {
        snprintf(names[i], sizeof names[i], "10.1.0.%zu:80", i);
        hosts[i] = (struct consistent_host){text_of(names[i]), 1};
    }
    assert_int_equal(maglev_build(&before, hosts, 100, 65537), 0);
    assert_int_equal(maglev_build(&after, hosts, 99, 65537), 0);
    assert_int_equal(ring_build(&ring_before, hosts, 100, 16384, 1 << 20, false), 0);
    assert_int_equal(ring_build(&ring_after, hosts, 99, 16230, 1 << 20, false), 0);
    for (int i = 0; i < 100000; i++) {
        uint64_t hash = rng_u64(&r);
        uint32_t was = maglev_find(&before, hash, 0), is = maglev_find(&after, hash, 0);
        gone += was == 99;
        moved += was != 99 && was != is;
        was = ring_find(&ring_before, hash, 0);
        ring_moved += was != 99 && was != ring_find(&ring_after, hash, 0);
    }
    assert_true(gone > 800 && gone < 1200);
    assert_true(moved < 3000);       /* the paper's figure 12: about 2 % at this size */
    assert_int_equal(ring_moved, 0); /* both rings have 164 places for a host */
    maglev_done(&before);
    maglev_done(&after);
    ring_done(&ring_before);
    ring_done(&ring_after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hashes_are_the_published_ones),
        cmocka_unit_test(test_the_ring_is_envoys),
        cmocka_unit_test(test_the_ring_has_weights_and_a_bound),
        cmocka_unit_test(test_the_maglev_table_is_envoys),
        cmocka_unit_test(test_the_heap_takes_the_turns_of_the_rounds),
        cmocka_unit_test(test_lopsided_weights_cost_no_rounds),
        cmocka_unit_test(test_few_move_when_one_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
