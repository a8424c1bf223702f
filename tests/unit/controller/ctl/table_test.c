#include "controller/ctl/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/shared/base/failing_alloc.h"

static const char *const titles[] = {"NAME", "N", "NOTE"};
static struct table table;
static struct text_heap out;

static int begin(void **state)
{
    (void)state;
    table_init(&table, titles, 3);
    text_heap_init(&out, 1 << 20);
    return 0;
}
static int end(void **state)
{
    (void)state;
    table_done(&table);
    text_heap_done(&out);
    return 0;
}
static void row(const char *name, const char *n, const char *note)
{
    table_cell(&table, 0, text_of(name));
    table_cell(&table, 1, text_of(n));
    if (note)
        table_cell(&table, 2, text_of(note));
}

/* Columns as wide as their widest cell, nothing behind the last one; what is empty is a dash. */
static void columns_are_aligned(void **state)
{
    (void)state;
    row("a", "1", "short");
    row("a-long-name", "", NULL);
    table_print(&table, &out);
    assert_string_equal(out.data, "NAME          N   NOTE\n"
                                  "a             1   short\n"
                                  "a-long-name   -   -\n");
    assert_false(out.failed);
}
static void titles_alone(void **state)
{
    (void)state;
    table_sort(&table);
    table_print(&table, &out);
    assert_string_equal(out.data, "NAME   N   NOTE\n");
}
/* By the first column, then the next; the titles stay on top, also where they sort behind. */
static void rows_are_sorted(void **state)
{
    (void)state;
    row("b", "2", "x");
    row("B", "1", "x");
    row("b", "1", "y");
    row("b", "1", "x");
    table_sort(&table);
    table_print(&table, &out);
    assert_string_equal(out.data, "NAME   N   NOTE\n"
                                  "B      1   x\n"
                                  "b      1   x\n"
                                  "b      1   y\n"
                                  "b      2   x\n");
}
static void many_rows(void **state)
{
    (void)state;
    char name[16];
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "%04u", 999 - i);
        row(name, "1", "x");
    }
    table_sort(&table);
    table_print(&table, &out);
    assert_int_equal(table.n_rows, 1001);
    const char *at = out.data;
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "\n%04u ", i);
        at = strstr(at, name);
        assert_non_null(at);
    }
}
/* Each allocation fails in turn: then the output says so, or it is whole. */
static void no_memory(void **state)
{
    (void)state;
    static const char line[] = "a      b   c\n";
    const size_t whole = strlen("NAME   N   NOTE\n") + 70 * strlen(line);
    for (long n = 0;; n++) {
        end(state);
        alloc_fail_at(n);
        begin(state);
        for (unsigned i = 0; i < 70; i++)
            row("a", "b", "c");
        table_sort(&table);
        table_print(&table, &out);
        if (!alloc_failed())
            break;
        assert_true(out.failed || out.len == whole);
    }
    assert_false(out.failed);
    assert_int_equal(out.len, whole);
}

#define TABLE_TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TABLE_TEST(columns_are_aligned), TABLE_TEST(titles_alone), TABLE_TEST(rows_are_sorted),
        TABLE_TEST(many_rows),           TABLE_TEST(no_memory),
    };
    return cmocka_run_group_tests_name("ctl/table", tests, NULL, NULL);
}
