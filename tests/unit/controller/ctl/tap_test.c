/* What weirctl tap asks for, and the line that it shows. */
#include "controller/ctl/tap.h"
#include "tests/unit/shared/base/test.h"
#include <errno.h>

static void targets(void **state)
{
    char target[TAP_TARGET_MAX], why[WHY_MAX];
    (void)state;
    assert_int_equal(tap_target(&(struct tap_wish){.max = 0}, target, why), 0);
    assert_string_equal(target, "/tap");
    const struct tap_wish all = {.direction = "outbound",
                                 .status = "5xx",
                                 .method = "GET",
                                 .path = "/a b&c",
                                 .workload = "shop/web",
                                 .max = 3,
                                 .query = true};
    assert_int_equal(tap_target(&all, target, why), 0);
    assert_string_equal(
        target, "/tap?namespace=shop&workload=web&direction=outbound&method=GET&path=/a%20b%26c"
                "&status=5xx&max=3&query=true");
    assert_int_equal(tap_target(&(struct tap_wish){.ns = "shop", .workload = "web"}, target, why),
                     0);
    assert_string_equal(target, "/tap?namespace=shop&workload=web");
    assert_int_equal(
        tap_target(&(struct tap_wish){.ns = "bank", .workload = "shop/web"}, target, why), -EINVAL);
    assert_int_equal(tap_target(&(struct tap_wish){.workload = "/web"}, target, why), -EINVAL);
    char longest[4000];
    memset(longest, ' ', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_int_equal(tap_target(&(struct tap_wish){.path = longest}, target, why), -EINVAL);
}

static void shown_as(const char *line, const char *expected)
{
    const struct json_limits limits = {4096, 100, 4};
    struct json *tree = NULL;
    struct json_error e = {0};
    struct text_heap out;
    assert_int_equal(json_parse(text_of(line), &limits, &tree, &e), 0);
    text_heap_init(&out, 4096);
    tap_print(tree, &out);
    assert_string_equal(out.data, expected);
    text_heap_done(&out);
    json_free(tree);
}

static void lines(void **state)
{
    (void)state;
    shown_as(
        "{\"time\":\"2026-11-23T21:44:01.123Z\",\"direction\":\"outbound\",\"source\":\"shop/web\","
        "\"sourceIdentity\":\"spiffe://t/ns/shop/sa/web\",\"sourceAddress\":\"10.0.0.1\","
        "\"destination\":\"shop/cart\",\"method\":\"GET\",\"authority\":\"cart\",\"path\":\"/a\","
        "\"status\":200,\"durationMs\":7,\"bytesReceived\":1,\"bytesSent\":2,\"flags\":\"-\","
        "\"route\":\"r\"}",
        "2026-11-23T21:44:01.123Z outbound shop/web (spiffe://t/ns/shop/sa/web) -> shop/cart GET "
        "cart /a 200 "
        "7ms received=1 sent=2 flags=- route=r\n");
    shown_as("{\"path\":\"/\\u001b[31m\\n\",\"sourceAddress\":\"10.0.0.9\"}",
             "- - 10.0.0.9 -> - - - /\\u001b[31m\\n 0 0ms received=0 sent=0\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(targets), cmocka_unit_test(lines)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
