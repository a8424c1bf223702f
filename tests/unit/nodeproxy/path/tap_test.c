/* Which requests a tap wants, and that what workers write for it is bounded, counted and whole. */
#include "nodeproxy/path/tap.h"
#include "tests/unit/shared/base/test.h"
#include <errno.h>

/* ---- the filter ------------------------------------------------------------------------------- */

static struct tap_filter filter_of(const char *query)
{
    struct tap_filter f;
    char why[WHY_MAX];
    if (tap_filter_read(text_of(query), &f, why) < 0)
        fail_msg("%s: %s", query, why);
    return f;
}

static const struct tap_subject web = {.ns = {"shop", 4},
                                       .pod = {"web-7f", 6},
                                       .workload = {"web", 3},
                                       .outbound = true,
                                       .method = {"GET", 3},
                                       .path = {"/api/a?b=1", 10},
                                       .status = 503};

static void what_is_wanted(void **state)
{
    static const struct {
        const char *query;
        bool has;
    } cases[] = {
        {"", true},
        {"workload=web", true},
        {"workload=web-7f&namespace=shop", true},
        {"workload=web&namespace=bank", false},
        {"workload=we", false},
        {"direction=outbound", true},
        {"direction=inbound", false},
        {"method=GET", true},
        {"method=get", false},
        {"path=/api/", true},
        {"path=%2Fapi%2fa", true},
        {"path=/api/a%3Fb", false}, /* the query is not looked at */
        {"path=/b", false},
        {"status=503", true},
        {"status=5xx", true},
        {"status=504", false},
        {"status=4xx", false},
        {"query=true&max=3", true},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct tap_filter f = filter_of(cases[i].query);
        if (tap_filter_has(&f, &web) != cases[i].has)
            fail_msg("%s", cases[i].query);
    }
    assert_int_equal(filter_of("max=3").max, 3);
    assert_true(filter_of("query=true").query);
    assert_false(filter_of("query=false").query);
}

static void what_is_refused(void **state)
{
    static const struct {
        const char *query, *why;
    } cases[] = {
        {"colour=red", "'colour' is no filter"},
        {"status=6xx", "status: "},
        {"status=0xx", "status: "},
        {"status=99", "status: "},
        {"status=2x", "status: "},
        {"direction=both", "direction: "},
        {"path=api", "path: "},
        {"method=", "method: "},
        {"workload=a%00b", "workload: "},
        {"max=0", "max: "},
        {"max=1000001", "max: "},
        {"max=1&max=2", "max: it is there twice"},
        {"query=1", "query: "},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct tap_filter f = {.max = 77};
        char why[WHY_MAX] = "";
        assert_int_equal(tap_filter_read(text_of(cases[i].query), &f, why), -EINVAL);
        if (strncmp(why, cases[i].why, strlen(cases[i].why)) != 0)
            fail_msg("%s: %s", cases[i].query, why);
        assert_int_equal(f.max, 77);
    }
    char longest[1200] = "method=";
    memset(longest + 7, 'A', 1000);
    struct tap_filter f;
    char why[WHY_MAX];
    assert_int_equal(tap_filter_read(text_of(longest), &f, why), -EINVAL);
}

/* ---- what workers write ----------------------------------------------------------------------- */

static struct ring *ring;
static struct mailbox control;
static struct taps worker, other;
static struct tap *tap;
static struct {
    struct tap_batch *at[64];
    size_t n;
} got;

static void arrived(void *owner, struct tap_batch *taken)
{
    assert_ptr_equal(owner, &got);
    assert_true(got.n < ARRAY_SIZE(got.at));
    got.at[got.n++] = taken;
    ring_stop(ring);
}

static int begin(void **state)
{
    (void)state;
    if (ring_open(&ring, NULL, NULL) < 0 || mailbox_open(&control, ring) < 0)
        return -1;
    taps_init(&worker, ring);
    taps_init(&other, ring);
    got.n = 0;
    return 0;
}

static void take_all(void)
{
    for (size_t i = 0; i < got.n; i++)
        tap_batch_free(got.at[i]);
    got.n = 0;
}

static void stopped(struct mailbox *m)
{
    (void)m;
    ring_stop(ring);
}

static int end(void **state)
{
    (void)state;
    take_all();
    taps_done(&worker);
    taps_done(&other);
    tap->owner = NULL; /* what is on its way still is freed by the mailbox */
    mailbox_close(&control, stopped);
    if (ring_run(ring) < 0)
        return -1;
    int refs = (int)atomic_load(&tap->refs);
    tap = tap_unref(tap);
    ring_free(ring);
    return refs == 1 ? 0 : -1;
}

static void tap_is(const char *query)
{
    struct tap_filter f = filter_of(query);
    tap = tap_new(&f, &control, arrived, &got);
    assert_non_null(tap);
    taps_add(&worker, tap_ref(tap));
    taps_add(&other, tap_ref(tap));
}

static bool write_one(struct taps *t, const char *line)
{
    struct tap_batch *b = taps_room(t, 0);
    if (!b)
        return false;
    text_heap_puts(&b->lines, line);
    taps_wrote(t, 0);
    return true;
}

static void lines_of_a_turn_come_together(void **state)
{
    (void)state;
    tap_is("");
    assert_true(write_one(&worker, "a\n") && write_one(&worker, "b\n"));
    assert_int_equal(got.n, 0); /* nothing is sent from inside a request */
    assert_int_equal(ring_run(ring), 0);
    assert_int_equal(got.n, 1);
    assert_int_equal(got.at[0]->n, 2);
    assert_string_equal(got.at[0]->lines.data, "a\nb\n");
    assert_false(tap_is_done(tap));
}

static void it_ends_after_as_many_of_all_workers(void **state)
{
    (void)state;
    tap_is("max=3");
    assert_true(write_one(&worker, "a\n") && write_one(&other, "b\n") && write_one(&worker, "c\n"));
    assert_false(write_one(&worker, "d\n"));
    assert_false(write_one(&other, "e\n"));
    assert_int_equal(atomic_load(&tap->lost), 0); /* nobody wants them */
    assert_false(tap_is_done(tap));
    while (got.n < 2)
        assert_int_equal(ring_run(ring), 0);
    assert_false(tap_is_done(tap));
    take_all();
    assert_true(tap_is_done(tap));
}

static void what_nobody_takes_is_bounded_and_counted(void **state)
{
    char line[2048];
    size_t n = 0, told = 0;
    (void)state;
    memset(line, 'x', sizeof line - 2);
    line[sizeof line - 2] = '\n';
    line[sizeof line - 1] = '\0';
    tap_is("");
    while (n < 10000 && write_one(&worker, line))
        n++;
    assert_in_range(n, TAP_BATCHES_MAX, TAP_BATCHES_MAX * TAP_BATCH_FULL / 1024);
    assert_false(write_one(&worker, line));
    assert_false(write_one(&other, line));
    assert_int_equal(atomic_load(&tap->lost), 3);
    while (got.n < TAP_BATCHES_MAX)
        assert_int_equal(ring_run(ring), 0);
    for (size_t i = 0; i < got.n; i++)
        told += got.at[i]->n;
    assert_int_equal(told, n);
    take_all();
    assert_true(write_one(&worker, line)); /* there is room again */
}

static void a_line_without_memory_is_lost_and_another_comes_instead(void **state)
{
    (void)state;
    tap_is("max=1");
    struct tap_batch *b = taps_room(&worker, 0);
    assert_non_null(b);
    b->lines.failed = true;
    taps_wrote(&worker, 0);
    assert_int_equal(atomic_load(&tap->lost), 1);
    assert_true(write_one(&worker, "a\n"));
    assert_int_equal(ring_run(ring), 0);
    assert_string_equal(got.at[0]->lines.data, "a\n");
}

static void nobody_reads_any_more(void **state)
{
    (void)state;
    tap_is("");
    assert_true(write_one(&worker, "a\n"));
    atomic_store(&tap->over, true);
    taps_let_go_over(&worker);
    assert_int_equal(worker.n, 0);
    assert_int_equal(other.n, 1);
    taps_add(&other, tap_ref(tap)); /* which looks at those that it has */
    assert_int_equal(other.n, 1);
    assert_int_equal(atomic_load(&tap->refs), 2);
    assert_int_equal(atomic_load(&tap->batches), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_wanted),
        cmocka_unit_test(what_is_refused),
        cmocka_unit_test_setup_teardown(lines_of_a_turn_come_together, begin, end),
        cmocka_unit_test_setup_teardown(it_ends_after_as_many_of_all_workers, begin, end),
        cmocka_unit_test_setup_teardown(what_nobody_takes_is_bounded_and_counted, begin, end),
        cmocka_unit_test_setup_teardown(a_line_without_memory_is_lost_and_another_comes_instead,
                                        begin, end),
        cmocka_unit_test_setup_teardown(nobody_reads_any_more, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
