/* Metrics: counting, bounds, both text formats, and a scrape while others count (under TSan:
 * without a race). */
#include "shared/service/metrics.h"
#include "tests/unit/shared/base/failing_alloc.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h> /* wants setjmp.h, stdarg.h, stddef.h and stdint.h before it */

static const char *const labels[] = {"from", "to"};
static const struct metric_family opened = {"opened_total", "Connections opened", METRIC_COUNTER,
                                            labels, 2};
static const struct metric_family alive = {"alive", "Connections \"alive\" \\ now\nall",
                                           METRIC_GAUGE, NULL, 0};
static const struct metric_family odd = {"odd", "A counter without the suffix", METRIC_COUNTER,
                                         labels, 1};

static const struct metric_family fleeting = {"fleeting", "Dropped now and then", METRIC_HISTOGRAM,
                                              labels, 2};

#define LABELS(...) ((const struct text[]){__VA_ARGS__})

static char *print(struct metrics *const *all, size_t n, bool open_metrics)
{
    struct text_heap out;

    text_heap_init(&out, 10 << 20);
    metrics_print(all, n, open_metrics, &out);
    assert_false(out.failed);
    char *copy = text_dup((struct text){out.data, out.len});
    text_heap_done(&out);
    return copy;
}

static void check(struct metrics *const *all, size_t n, bool open_metrics, const char *expected)
{
    char *got = print(all, n, open_metrics);
    assert_string_equal(got, expected);
    free(got);
}

static void one_series_per_labels(void **state)
{
    struct metrics *m = NULL;

    (void)state;
    assert_int_equal(metrics_new(&m, 100), 0);
    struct metric_series *ab = metrics_series(m, &opened, LABELS(TEXT("a"), TEXT("b")));
    assert_ptr_equal(ab, metrics_series(m, &opened, LABELS(TEXT("a"), TEXT("b"))));
    assert_ptr_not_equal(ab, metrics_series(m, &opened, LABELS(TEXT("b"), TEXT("a"))));
    assert_ptr_not_equal(metrics_series(m, &opened, LABELS(TEXT("x"), TEXT("yz"))),
                         metrics_series(m, &opened, LABELS(TEXT("xy"), TEXT("z"))));
    assert_ptr_not_equal(ab, metrics_series(m, &odd, LABELS(TEXT("a"))));
    metrics_free(m);
    assert_null(metrics_free(NULL));
}

static void sums_and_sorts(void **state)
{
    struct metrics *all[2];

    (void)state;
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(metrics_new(&all[i], 100), 0);
    metric_add(metrics_series(all[0], &opened, LABELS(TEXT("web"), TEXT("cart"))), 3);
    metric_add(metrics_series(all[1], &opened, LABELS(TEXT("web"), TEXT("cart"))), 4);
    metric_add(metrics_series(all[1], &opened, LABELS(TEXT("batch"), TEXT("orders"))), 1);
    metric_add(metrics_series(all[0], &opened, LABELS(TEXT("web"), TEXT("a\"b\\c\nd"))),
               UINT64_MAX);
    metric_set(metrics_series(all[0], &alive, NULL), 5);
    metric_set(metrics_series(all[1], &alive, NULL), -7);
    metric_add(metrics_series(all[1], &odd, LABELS(TEXT("z"))), 2);
    check(all, 2, false,
          "# HELP alive Connections \"alive\" \\\\ now\\nall\n"
          "# TYPE alive gauge\n"
          "alive -2\n"
          "# HELP odd A counter without the suffix\n"
          "# TYPE odd counter\n"
          "odd{from=\"z\"} 2\n"
          "# HELP opened_total Connections opened\n"
          "# TYPE opened_total counter\n"
          "opened_total{from=\"batch\",to=\"orders\"} 1\n"
          "opened_total{from=\"web\",to=\"a\\\"b\\\\c\\nd\"} 18446744073709551615\n"
          "opened_total{from=\"web\",to=\"cart\"} 7\n");
    check(all, 2, true,
          "# HELP alive Connections \\\"alive\\\" \\\\ now\\nall\n"
          "# TYPE alive gauge\n"
          "alive -2\n"
          "# HELP odd A counter without the suffix\n"
          "# TYPE odd counter\n"
          "odd_total{from=\"z\"} 2\n"
          "# HELP opened Connections opened\n"
          "# TYPE opened counter\n"
          "opened_total{from=\"batch\",to=\"orders\"} 1\n"
          "opened_total{from=\"web\",to=\"a\\\"b\\\\c\\nd\"} 18446744073709551615\n"
          "opened_total{from=\"web\",to=\"cart\"} 7\n"
          "# EOF\n");
    /* The order in which they came to be does not show. */
    struct metrics *swapped[2] = {all[1], all[0]};
    char *one = print(all, 2, true), *other = print(swapped, 2, true);
    assert_string_equal(one, other);
    free(one);
    free(other);
    for (size_t i = 0; i < 2; i++)
        metrics_free(all[i]);
}

/* Two threads' durations: buckets count what is shorter, in their order, then sum and count. */
static void durations(void **state)
{
    static const char *const names[] = {"from", "le"};
    static const struct metric_family took = {"took_seconds", "How long", METRIC_SECONDS, names, 2};
    struct text a[2] = {TEXT("a")}, b[2] = {TEXT("b")};
    struct metrics *m[2];

    (void)state;
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(metrics_new(&m[i], 100), 0);
    metrics_observe(m[0], &took, a, 1000);
    metrics_observe(m[1], &took, a, 1001);
    metrics_observe(m[0], &took, a, 6000000);
    metrics_observe(m[1], &took, b, 50000);
    check(m, 2, false,
          "# HELP took_seconds How long\n"
          "# TYPE took_seconds histogram\n"
          "took_seconds_bucket{from=\"a\",le=\"0.001\"} 1\n"
          "took_seconds_bucket{from=\"a\",le=\"0.005\"} 2\n"
          "took_seconds_bucket{from=\"a\",le=\"0.01\"} 2\n"
          "took_seconds_bucket{from=\"a\",le=\"0.1\"} 2\n"
          "took_seconds_bucket{from=\"a\",le=\"1.0\"} 2\n"
          "took_seconds_bucket{from=\"a\",le=\"5.0\"} 2\n"
          "took_seconds_bucket{from=\"a\",le=\"+Inf\"} 3\n"
          "took_seconds_sum{from=\"a\"} 6.002001\n"
          "took_seconds_count{from=\"a\"} 3\n"
          "took_seconds_bucket{from=\"b\",le=\"0.001\"} 0\n"
          "took_seconds_bucket{from=\"b\",le=\"0.005\"} 0\n"
          "took_seconds_bucket{from=\"b\",le=\"0.01\"} 0\n"
          "took_seconds_bucket{from=\"b\",le=\"0.1\"} 1\n"
          "took_seconds_bucket{from=\"b\",le=\"1.0\"} 1\n"
          "took_seconds_bucket{from=\"b\",le=\"5.0\"} 1\n"
          "took_seconds_bucket{from=\"b\",le=\"+Inf\"} 1\n"
          "took_seconds_sum{from=\"b\"} 0.050000\n"
          "took_seconds_count{from=\"b\"} 1\n");
    for (size_t i = 0; i < 2; i++)
        metrics_free(m[i]);
}

/* Envoy's bounds, of two threads together; whatever is at a bound is below it. */
static void sizes(void **state)
{
    static const struct metric_family size = {"size", "How much", METRIC_HISTOGRAM, labels, 2};
    static const uint64_t values[] = {0, 1, 5, 6, 3600000, 3600001};
    struct metrics *m[2];

    (void)state;
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(metrics_new(&m[i], 100), 0);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        metric_observe(metrics_series(m[i % 2], &size, LABELS(TEXT("a"), TEXT("b\""))), values[i]);
    char expected[8192];
    struct text_out out = TEXT_OUT(expected);
    static const struct {
        const char *le;
        unsigned n;
    } rows[] = {{"0.5", 1},    {"1", 2},      {"5", 3},      {"10", 4},     {"25", 4},
                {"50", 4},     {"100", 4},    {"250", 4},    {"500", 4},    {"1000", 4},
                {"2500", 4},   {"5000", 4},   {"10000", 4},  {"30000", 4},  {"60000", 4},
                {"300000", 4}, {"600000", 4}, {"1800000", 4}, {"3600000", 5}, {"+Inf", 6}};
    text_puts(&out, "# HELP size How much\n# TYPE size histogram\n");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        text_printf(&out, "size_bucket{from=\"a\",to=\"b\\\"\",le=\"%s\"} %u\n", rows[i].le,
                    rows[i].n);
    text_puts(&out, "size_sum{from=\"a\",to=\"b\\\"\"} 7200013\n"
                    "size_count{from=\"a\",to=\"b\\\"\"} 6\n");
    check(m, 2, false, expected);
    for (size_t i = 0; i < 2; i++)
        metrics_free(m[i]);
}

static bool from_is(void *user, char *const *values)
{
    return strcmp(values[0], user) == 0;
}

/* What nobody holds can be dropped, its place is another's, and what it counted is gone. */
static void dropped(void **state)
{
    static const struct metric_family size = {"size", "How much", METRIC_HISTOGRAM, labels, 2};
    struct metrics *m = NULL;
    char a[] = "a", overflow[] = "overflow";

    (void)state;
    assert_int_equal(metrics_new(&m, 2), 0);
    assert_int_equal(metrics_drop(m, &size, from_is, a), 0);
    struct metric_series *one =
        metric_hold(metrics_series(m, &size, LABELS(TEXT("a"), TEXT("1"))));
    struct metric_series *two = metrics_series(m, &size, LABELS(TEXT("a"), TEXT("2")));
    metric_observe(one, 7);
    metric_observe(two, 8);
    (void)metrics_series(m, &size, LABELS(TEXT("a"), TEXT("3"))); /* no room */
    assert_int_equal(metrics_drop(m, &size, from_is, overflow), 0); /* which stays */
    assert_int_equal(metrics_drop(m, &size, from_is, a), 1);
    char *got = print(&m, 1, false);
    assert_non_null(strstr(got, "size_sum{from=\"a\",to=\"1\"} 7\n"));
    assert_null(strstr(got, "to=\"2\""));
    free(got);
    struct metric_series *three = metrics_series(m, &size, LABELS(TEXT("a"), TEXT("3")));
    assert_ptr_equal(three, two);
    metric_observe(three, 1);
    metric_let_go(one);
    assert_int_equal(metrics_drop(m, &size, from_is, a), 2);
    struct metric_series *again = metrics_series(m, &size, LABELS(TEXT("a"), TEXT("2")));
    assert_true(again == one || again == two);
    got = print(&m, 1, false);
    assert_non_null(strstr(got, "size_sum{from=\"a\",to=\"2\"} 0\n"));
    assert_non_null(strstr(got, "size_bucket{from=\"a\",to=\"2\",le=\"+Inf\"} 0\n"));
    assert_null(strstr(got, "to=\"1\""));
    assert_null(strstr(got, "to=\"3\""));
    free(got);
    metrics_free(m);
}

static void nothing_to_say(void **state)
{
    struct metrics *m = NULL;

    (void)state;
    assert_int_equal(metrics_new(&m, 1), 0);
    check(&m, 1, true, "# EOF\n");
    struct text_heap out;
    text_heap_init(&out, 100);
    metrics_print(&m, 1, false, &out);
    assert_int_equal(out.len, 0);
    text_heap_done(&out);
    metrics_free(m);
}

static void bytes_that_are_no_text(void **state)
{
    struct metrics *m = NULL;

    (void)state;
    assert_int_equal(metrics_new(&m, 10), 0);
    metric_add(metrics_series(m, &odd, LABELS(TEXT("a\xff\"z"))), 1);
    metric_add(metrics_series(m, &odd, LABELS(TEXT("gr\xc3\xbc\xc3\x9f"))), 1);
    check(&m, 1, false,
          "# HELP odd A counter without the suffix\n# TYPE odd counter\n"
          "odd{from=\"a\xef\xbf\xbd\\\"z\"} 1\nodd{from=\"gr\xc3\xbc\xc3\x9f\"} 1\n");
    metrics_free(m);
}

static void overflow_is_one_series(void **state)
{
    struct metrics *m = NULL;
    char value[32], *huge = calloc(1, METRIC_LABEL_BYTES_MAX + 1);

    (void)state;
    assert_int_equal(metrics_new(&m, 200), 0);
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(value, sizeof value, "%u", i);
        metric_add(metrics_series(m, &odd, LABELS(text_of(value))), 1);
    }
    /* The bound is the family's own. */
    metric_add(metrics_series(m, &opened, LABELS(TEXT("a"), TEXT("b"))), 1);
    /* What was there before still counts for itself. */
    metric_add(metrics_series(m, &odd, LABELS(TEXT("7"))), 1);
    memset(huge, 'x', METRIC_LABEL_BYTES_MAX);
    metric_add(metrics_series(m, &opened, LABELS(text_of(huge), TEXT("b"))), 9);
    char *got = print(&m, 1, false);
    assert_non_null(strstr(got, "odd{from=\"overflow\"} 800\n"));
    assert_non_null(strstr(got, "odd{from=\"7\"} 2\n"));
    assert_non_null(strstr(got, "odd{from=\"199\"} 1\n"));
    assert_null(strstr(got, "odd{from=\"200\"}"));
    assert_non_null(strstr(got, "opened_total{from=\"a\",to=\"b\"} 1\n"));
    assert_non_null(strstr(got, "opened_total{from=\"overflow\",to=\"overflow\"} 9\n"));
    assert_non_null(
        strstr(got, "weir_metric_series_left_out_total{family=\"odd\"} 800\n"
                    "weir_metric_series_left_out_total{family=\"opened_total\"} 1\n"));
    free(got);
    free(huge);
    metrics_free(m);
}

/* Of what is printed as many lines there are less. */
static void histograms_are_fewer(void **state)
{
    static const struct metric_family size = {"size", "How much", METRIC_HISTOGRAM, labels, 2};
    struct metrics *m = NULL;
    char value[32];

    (void)state;
    assert_int_equal(metrics_new(&m, 2 * METRIC_HISTOGRAMS_MAX), 0);
    for (unsigned i = 0; i < METRIC_HISTOGRAMS_MAX + 5; i++) {
        snprintf(value, sizeof value, "%u", i);
        metric_observe(metrics_series(m, &size, LABELS(text_of(value), TEXT("b"))), 1);
        metric_add(metrics_series(m, &opened, LABELS(text_of(value), TEXT("b"))), 1);
    }
    char *got = print(&m, 1, false);
    assert_non_null(strstr(got, "size_count{from=\"overflow\",to=\"overflow\"} 5\n"));
    assert_non_null(strstr(got, "size_count{from=\"1999\",to=\"b\"} 1\n"));
    assert_null(strstr(got, "size_count{from=\"2000\""));
    assert_non_null(strstr(got, "opened_total{from=\"2004\",to=\"b\"} 1\n"));
    free(got);
    metrics_free(m);
}

static void too_long_is_said(void **state)
{
    struct metrics *m = NULL;
    struct text_heap out;

    (void)state;
    assert_int_equal(metrics_new(&m, 10), 0);
    metric_add(metrics_series(m, &odd, LABELS(TEXT("abc"))), 1);
    text_heap_init(&out, 20);
    metrics_print(&m, 1, false, &out);
    assert_true(out.failed);
    text_heap_done(&out);
    metrics_free(m);
}

/* Each allocation fails in turn: counting goes on, and a scrape is right or says that it failed. */
static void without_memory(void **state)
{
    bool failed = true;

    (void)state;
    for (long n = 0; failed; n++) {
        struct metrics *m = NULL;
        struct text_heap out;
        unsigned right = 0;

        assert_true(n < 1000);
        text_heap_init(&out, 1 << 20);
        alloc_fail_at(n);
        if (metrics_new(&m, 100) == 0) {
            for (unsigned i = 0; i < 3; i++) {
                metric_add(metrics_series(m, &opened, LABELS(TEXT("a"), TEXT("b"))), 1);
                metric_add(metrics_series(m, &opened, LABELS(TEXT("c"), TEXT("d"))), 1);
                metric_add(metrics_series(m, &odd, LABELS(TEXT("e"))), 1);
                metric_set(metrics_series(m, &alive, NULL), 4);
            }
            metric_observe(metrics_series(m, &fleeting, LABELS(TEXT("a"), TEXT("b"))), 1);
            (void)metrics_drop(m, &fleeting, from_is, (char[]){"a"});
            metric_observe(metrics_series(m, &fleeting, LABELS(TEXT("a"), TEXT("c"))), 1);
            metrics_print(&m, 1, true, &out);
            failed = alloc_failed();
            if (!out.failed) {
                right += strstr(out.data, "opened_total{from=\"a\",to=\"b\"} 3\n") != NULL;
                right += strstr(out.data, "opened_total{from=\"c\",to=\"d\"} 3\n") != NULL;
                right += strstr(out.data, "odd_total{from=\"e\"} 3\n") != NULL;
                right += strstr(out.data, "alive 4\n") != NULL;
                assert_non_null(strstr(out.data, "# EOF\n"));
                assert_true(right >= (failed ? 3 : 4)); /* at most one series was hit */
            } else {
                assert_true(failed);
            }
        } else {
            failed = alloc_failed();
            assert_true(failed);
        }
        text_heap_done(&out);
        metrics_free(m);
    }
}

static void accept_header(void **state)
{
    (void)state;
    assert_true(metrics_accepts_open(TEXT("application/openmetrics-text")));
    assert_true(metrics_accepts_open(
        TEXT("text/plain;q=0.5, application/OpenMetrics-Text ; version=1.0.0,*/*;q=0.1")));
    assert_false(metrics_accepts_open(TEXT("text/plain;version=0.0.4;q=0.5,*/*;q=0.1")));
    assert_false(metrics_accepts_open(TEXT("")));
    assert_false(metrics_accepts_open(TEXT("application/openmetrics-text2")));
    assert_non_null(strstr(metrics_content_type(true), "openmetrics"));
    assert_non_null(strstr(metrics_content_type(false), "version=0.0.4"));
}

/* ---- four count, one reads ------------------------------------------------------------------------- */

enum { WRITERS = 4, ROUNDS = 20000, SERIES = 500 };

static struct metrics *shards[WRITERS];
static atomic_int n_running;

static void *count(void *arg)
{
    struct metrics *m = arg;
    char value[32];

    for (unsigned i = 0; i < ROUNDS; i++) {
        int len = snprintf(value, sizeof value, "s%u", i * 7 % SERIES);
        struct text v = {value, (size_t)len};
        metric_add(metrics_series(m, &opened, LABELS(v, TEXT("x"))), 1);
        metric_set(metrics_series(m, &alive, NULL), i);
        if (i % 3 == 0)
            metric_add(metrics_series(m, &odd, LABELS(v)), 1);
        metric_observe(metrics_series(m, &fleeting, LABELS(TEXT("a"), v)), i);
        if (i % 50 == 0)
            (void)metrics_drop(m, &fleeting, from_is, (char[]){"a"});
    }
    atomic_fetch_sub(&n_running, 1);
    return NULL;
}

static uint64_t sum_of(const char *text, const char *name)
{
    uint64_t sum = 0;
    size_t len = strlen(name);

    for (const char *line = text; line && *line;
         line = strchr(line, '\n'), line = line ? line + 1 : NULL)
        if (strncmp(line, name, len) == 0 && line[len] == '{')
            sum += strtoull(strchr(line, '}') + 2, NULL, 10);
    return sum;
}

static void scrape_while_counting(void **state)
{
    pthread_t threads[WRITERS];
    uint64_t before = 0;
    unsigned scrapes = 0;

    (void)state;
    for (size_t i = 0; i < WRITERS; i++)
        assert_int_equal(metrics_new(&shards[i], 1000), 0);
    atomic_store(&n_running, WRITERS);
    for (size_t i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count, shards[i]), 0);
    do {
        char *got = print(shards, WRITERS, scrapes++ % 2);
        uint64_t now = sum_of(got, "opened_total");
        assert_true(now >= before); /* a counter never falls */
        before = now;
        free(got);
    } while (atomic_load(&n_running) > 0);
    for (size_t i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    char *got = print(shards, WRITERS, false);
    assert_int_equal(sum_of(got, "opened_total"), (uint64_t)WRITERS * ROUNDS);
    assert_int_equal(sum_of(got, "odd"), (uint64_t)WRITERS * ((ROUNDS + 2) / 3));
    assert_non_null(strstr(got, "alive 79996\n"));
    free(got);
    for (size_t i = 0; i < WRITERS; i++)
        metrics_free(shards[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_series_per_labels),  cmocka_unit_test(sums_and_sorts),
        cmocka_unit_test(durations),              cmocka_unit_test(sizes),
        cmocka_unit_test(dropped),                cmocka_unit_test(histograms_are_fewer),
        cmocka_unit_test(nothing_to_say),         cmocka_unit_test(bytes_that_are_no_text),
        cmocka_unit_test(overflow_is_one_series), cmocka_unit_test(too_long_is_said),
        cmocka_unit_test(without_memory),         cmocka_unit_test(accept_header),
        cmocka_unit_test(scrape_while_counting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
