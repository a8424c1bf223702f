/*
 * What a client is told by us: each status as gRPC has it (the mapping of its documents, doc/http-grpc-status-mapping.md), and its form.
 */
#include "nodeproxy/http/own_answer.h"

#include "tests/unit/shared/mesh/routes.h"

static void head_of(const struct own_answer *a, const char *type, struct http_head *ret, bool *ret_end)
{
    struct http_head request;
    set_head(&request, "POST", "shop", "/");
    if (type)
        assert_int_equal(http_head_add(&request, TEXT("content-type"), text_of(type)), 0);
    assert_int_equal(own_answer_head(a, &request, ret, ret_end), 0);
    http_head_done(&request);
}

static void statuses_of_grpc(void **state)
{
    static const struct {
        unsigned status, said;
        const char *grpc;
    } cases[] = {{400, 0, "13"}, {401, 0, "16"}, {403, 0, "7"}, {404, 0, "12"}, {429, 0, "14"}, {500, 0, "2"},
                 {502, 0, "14"}, {503, 0, "14"}, {504, 0, "14"}, {504, 4, "4"}, {418, 0, "2"}};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const struct own_answer a = {.status = cases[i].status, .grpc_status = cases[i].said, .body = TEXT("why"), .overloaded = i % 2};
        struct http_head head;
        bool end = false;
        head_of(&a, "application/grpc+proto", &head, &end);
        assert_true(end);
        assert_int_equal(head.status, 200);
        assert_true(text_equal(http_head_get(&head, TEXT("grpc-status")), text_of(cases[i].grpc)));
        assert_true(text_equal(http_head_get(&head, TEXT("grpc-message")), TEXT("why")));
        assert_true(text_equal(http_head_get(&head, TEXT("x-envoy-overloaded")), i % 2 ? TEXT("true") : TEXT("")));
        http_head_done(&head);
        head_of(&a, NULL, &head, &end);
        assert_false(end);
        assert_int_equal(head.status, cases[i].status);
        assert_int_equal(http_head_get(&head, TEXT("grpc-status")).len, 0);
        assert_true(text_equal(http_head_get(&head, TEXT("content-length")), TEXT("3")));
        http_head_done(&head);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(statuses_of_grpc)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
