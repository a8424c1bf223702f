/* cmocka.h wants these four first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "nodeproxy/bounds/bounds.h"
#include "shared/base/list.h"
#include "shared/base/log.h"
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct bounds *node;
static struct bounds_max limits;

static int setup(void **state)
{
    (void)state;
    limits = (struct bounds_max){.pod = {[BOUND_OUTBOUND] = 3, [BOUND_LOG_LINES] = 2}, .node = {[BOUND_OUTBOUND] = 4, [BOUND_LOG_LINES] = 3}};
    return bounds_new(&node, &limits);
}

static int teardown(void **state)
{
    (void)state;
    node = bounds_free(node);
    return 0;
}

static struct pod_bounds *pod(const char *name)
{
    struct pod_bounds *p = bounds_pod(node, name, "shop", name);
    assert_non_null(p);
    return p;
}

static void test_a_pod_and_the_node(void **state)
{
    (void)state;
    struct pod_bounds *a = pod("a"), *b = pod("b");
    struct bound_view v;
    for (int i = 0; i < 3; i++)
        assert_true(bound_take(a, BOUND_OUTBOUND, 1000));
    assert_false(bound_take(a, BOUND_OUTBOUND, 1000));
    assert_true(bound_take(b, BOUND_OUTBOUND, 1000));
    assert_false(bound_take(b, BOUND_OUTBOUND, 1000)); /* the node's */
    bounds_view(node, BOUND_OUTBOUND, &v);
    assert_int_equal(v.now, 4);
    assert_int_equal(v.most, 4);
    assert_int_equal(v.reached, 1);
    assert_int_equal(v.max, 4);
    bounds_view_pods(node, BOUND_OUTBOUND, &v);
    assert_int_equal(v.most, 3);
    assert_int_equal(v.reached, 1);
    bound_give(a, BOUND_OUTBOUND);
    assert_true(bound_take(b, BOUND_OUTBOUND, 1000));
    for (int i = 0; i < 2; i++) {
        bound_give(a, BOUND_OUTBOUND);
        bound_give(b, BOUND_OUTBOUND);
    }
    bounds_view(node, BOUND_OUTBOUND, &v);
    assert_int_equal(v.now, 0);
    assert_int_equal(v.most, 4);
    assert_true(bound_take(NULL, BOUND_OUTBOUND, 1000)); /* who has no record has no limit */
    bound_give(NULL, BOUND_OUTBOUND);
    pod_bounds_unref(a);
    pod_bounds_unref(b);
}

static void test_a_rate(void **state)
{
    (void)state;
    struct pod_bounds *a = pod("a"), *b = pod("b");
    assert_true(bound_tick(a, BOUND_LOG_LINES, 5000));
    assert_true(bound_tick(a, BOUND_LOG_LINES, 5999));
    assert_false(bound_tick(a, BOUND_LOG_LINES, 5999));
    assert_true(bound_tick(b, BOUND_LOG_LINES, 5999));
    assert_false(bound_tick(b, BOUND_LOG_LINES, 5999));
    assert_true(bound_tick(a, BOUND_LOG_LINES, 6000)); /* a new second */
    assert_true(bound_tick(b, BOUND_LOG_LINES, 6000));
    pod_bounds_unref(a);
    pod_bounds_unref(b);
}

struct sum {
    unsigned pods;
    uint64_t now;
};
static void add_up(const char *ns, const char *name, const struct bound_view views[static BOUND_COUNT], void *arg)
{
    struct sum *s = arg;
    assert_string_equal(ns, "shop");
    assert_int_equal(strlen(name), 1);
    s->pods++;
    s->now += views[BOUND_BUFFERED].now;
}

/* A pod's workers share its record; it lives as long as the last one. */
static void test_records(void **state)
{
    (void)state;
    struct pod_bounds *a = pod("a"), *again = pod("a"), *b = pod("b");
    struct sum s = {0};
    assert_ptr_equal(a, again);
    assert_ptr_not_equal(a, b);
    bound_add(a, BOUND_BUFFERED, 100);
    bound_add(again, BOUND_BUFFERED, -40);
    bound_add(b, BOUND_BUFFERED, 5);
    bounds_each(node, add_up, &s);
    assert_int_equal(s.pods, 2);
    assert_int_equal(s.now, 65);
    pod_bounds_unref(a);
    bound_add(again, BOUND_BUFFERED, -60);
    bound_add(b, BOUND_BUFFERED, -5);
    pod_bounds_unref(again);
    pod_bounds_unref(b);
    s = (struct sum){0};
    bounds_each(node, add_up, &s);
    assert_int_equal(s.pods, 0);
}

static size_t lines_in(int fd)
{
    char text[8192];
    ssize_t len = read(fd, text, sizeof text);
    size_t n = 0;
    for (ssize_t i = 0; i < len; i++)
        n += text[i] == '\n';
    return n;
}

/* However often a bound is reached: one line a second. */
static void test_one_line_a_second(void **state)
{
    int fds[2];
    (void)state;
    assert_int_equal(pipe(fds), 0);
    log_set_fd(fds[1]);
    struct pod_bounds *a = pod("a");
    for (int i = 0; i < 3; i++)
        assert_true(bound_take(a, BOUND_OUTBOUND, 1000));
    for (int i = 0; i < 50; i++)
        assert_false(bound_take(a, BOUND_OUTBOUND, 1500 + (unsigned)i * 40)); /* to 3460 ms */
    log_set_fd(2);
    close(fds[1]);
    assert_int_equal(lines_in(fds[0]), 3);
    close(fds[0]);
    for (int i = 0; i < 3; i++)
        bound_give(a, BOUND_OUTBOUND);
    pod_bounds_unref(a);
}

enum { THREADS = 4, TIMES = 20000 };
static _Atomic unsigned over;
static void *worker(void *arg)
{
    struct pod_bounds *p = pod("a");
    (void)arg;
    for (int i = 0; i < TIMES; i++) {
        struct bound_view v;
        if (!bound_take(p, BOUND_INBOUND, 1000))
            continue;
        bounds_view(node, BOUND_INBOUND, &v);
        if (v.most > 2)
            over++;
        bound_give(p, BOUND_INBOUND);
    }
    pod_bounds_unref(p);
    return NULL;
}

static void test_threads(void **state)
{
    pthread_t threads[THREADS];
    struct bound_view v;
    (void)state;
    node = bounds_free(node);
    limits.pod[BOUND_INBOUND] = 2;
    assert_int_equal(bounds_new(&node, &limits), 0);
    log_configure(LOG_ERROR, LOG_TEXT, 0);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, worker, NULL), 0);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    log_configure(LOG_INFO, LOG_TEXT, 0);
    assert_int_equal(over, 0);
    bounds_view(node, BOUND_INBOUND, &v);
    assert_int_equal(v.now, 0);
    assert_in_range(v.most, 1, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_pod_and_the_node, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_rate, setup, teardown),
        cmocka_unit_test_setup_teardown(test_records, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_line_a_second, setup, teardown),
        cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
