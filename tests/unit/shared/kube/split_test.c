/*
 * The two splitters, fed in every way in which bytes can arrive.
 */
#include "shared/kube/kube_items.h"
#include "shared/kube/kube_lines.h"
#include "tests/unit/shared/base/test.h"
#include <errno.h>

static char seen[4096];
static size_t seen_len;

static void note(struct text t)
{
    assert_true(seen_len + t.len + 1 < sizeof seen);
    memcpy(seen + seen_len, t.data, t.len);
    seen_len += t.len;
    seen[seen_len++] = '|';
    seen[seen_len] = '\0';
}

static void note_item(struct kube_items *s, struct text item)
{
    (void)s;
    note(item);
}

static void note_line(struct kube_lines *l, struct text line)
{
    (void)l;
    note(line);
}

/* In pieces of `step` bytes. */
static int split_items(const char *text, size_t step, size_t item_max, char rest[256])
{
    struct kube_items s;
    seen_len = 0;
    seen[0] = '\0';
    kube_items_init(&s, item_max, note_item);
    for (size_t at = 0, len = strlen(text); at < len; at += step)
        kube_items_put(&s, (struct text){text + at, len - at < step ? len - at : step});
    int err = kube_items_end(&s);
    snprintf(rest, 256, "%s", s.rest.data ? s.rest.data : "");
    kube_items_done(&s);
    return err;
}

static void items_come_out_whole(void **state)
{
    static const char list[] = "{\"kind\":\"items\",\"metadata\":{\"items\":[7]},\"items\" : [ "
                               "{\"a\":[1,{\"items\":[2]}]},"
                               " {\"b\":\"}],{\\\"\\\\\"}\n,\"x\",3, null ],\"other\":[{\"c\":1}]}";
    char rest[256];
    (void)state;
    for (size_t step = 1; step < sizeof list; step++) {
        assert_int_equal(split_items(list, step, 1000, rest), 0);
        assert_string_equal(
            seen, "{\"a\":[1,{\"items\":[2]}]}|{\"b\":\"}],{\\\"\\\\\"}\n|\"x\"|3|null |");
        assert_string_equal(rest, "{\"kind\":\"items\",\"metadata\":{\"items\":[7]},\"items\" : "
                                  "[],\"other\":[{\"c\":1}]}");
    }
}

static void lists_without_items(void **state)
{
    char rest[256];
    (void)state;
    assert_int_equal(split_items("{\"items\":[]}", 1, 10, rest), 0);
    assert_string_equal(seen, "");
    assert_string_equal(rest, "{\"items\":[]}");
    assert_int_equal(split_items("{\"items\":null,\"a\":[1]}", 1, 10, rest), 0);
    assert_string_equal(seen, "");
    assert_int_equal(split_items("{\"items2\":[1],\"item\":[2]}", 1, 10, rest), 0);
    assert_string_equal(seen, "");
    assert_int_equal(split_items("{\"a\":\"items\",\"b\":[1,2]}", 1, 10, rest), 0);
    assert_string_equal(seen, "");
}

static void what_is_cut_off_is_an_error(void **state)
{
    static const char list[] = "{\"items\":[{\"a\":1},{\"b\":2}],\"metadata\":{\"x\":\"y\"}}";
    char rest[256], part[sizeof list];
    (void)state;
    assert_int_equal(split_items(list, 1, 100, rest), 0);
    for (size_t len = 0; len + 1 < sizeof list; len++) {
        snprintf(part, len + 1, "%s", list);
        assert_int_equal(split_items(part, 3, 100, rest), -EINVAL);
    }
    assert_int_equal(split_items("}", 1, 100, rest), -EINVAL);
}

static void items_have_a_maximum(void **state)
{
    char rest[256];
    (void)state;
    assert_int_equal(split_items("{\"items\":[12345678,1]}", 1, 8, rest), 0);
    assert_int_equal(split_items("{\"items\":[123456789,1]}", 1, 8, rest), -E2BIG);
    assert_string_equal(seen, "");
}

static void lines_come_out_whole(void **state)
{
    static const char text[] = "one\n\r\ntwo\r\nthree";
    (void)state;
    for (size_t step = 1; step < sizeof text; step++) {
        struct kube_lines l;
        seen_len = 0;
        seen[0] = '\0';
        kube_lines_init(&l, 6, note_line);
        for (size_t at = 0; at < sizeof text - 1; at += step)
            kube_lines_put(&l, (struct text){text + at, sizeof text - 1 - at < step
                                                            ? sizeof text - 1 - at
                                                            : step});
        assert_string_equal(seen, "one|two|"); /* half a line is none */
        kube_lines_put(&l, TEXT("\n"));
        assert_string_equal(seen, "one|two|three|");
        assert_int_equal(l.error, 0);
        kube_lines_put(&l, TEXT("1234567\nx\n"));
        assert_int_equal(l.error, -E2BIG);
        assert_string_equal(seen, "one|two|three|");
        kube_lines_done(&l);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_come_out_whole),        cmocka_unit_test(lists_without_items),
        cmocka_unit_test(what_is_cut_off_is_an_error), cmocka_unit_test(items_have_a_maximum),
        cmocka_unit_test(lines_come_out_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
