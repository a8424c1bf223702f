/* Envoy's words, and messages of gRPC counted however their bytes are cut. */
#include "nodeproxy/http/grpc_count.h"
#include "nodeproxy/path/request_words.h"
#include "tests/unit/shared/base/test.h"

static const char *flags(const struct exchange_record *r)
{
    static char said[RESPONSE_FLAGS_TEXT_MAX + 1];
    char out[RESPONSE_FLAGS_TEXT_MAX];
    struct text t = response_flags_text(response_flags_of(r), out);
    memcpy(said, t.data, t.len);
    said[t.len] = '\0';
    return said;
}

static void the_flags(void **state)
{
    static const struct {
        enum ending ending;
        const char *flags;
    } cases[] = {
        {ENDING_CLOSED, "-"},           {ENDING_DENIED, "-"},         {ENDING_NO_ENDPOINT, "UH"},
        {ENDING_UNREACHABLE, "UF"},     {ENDING_TLS_FAILED, "UF"},    {ENDING_LIMIT, "UO"},
        {ENDING_NO_ROUTE, "NR"},        {ENDING_NO_BACKEND, "NC"},    {ENDING_RESET_BY_CLIENT, "DC"},
        {ENDING_RESET_BY_SERVER, "UC"}, {ENDING_ANSWER_TIMEOUT, "UT"}, {ENDING_FAULT, "FI"},
        {ENDING_IDLE_TIMEOUT, "SI"},    {ENDING_BAD_REQUEST, "DPE"},  {ENDING_BAD_ANSWER, "UPE"},
        {ENDING_NO_MEMORY, "OM"},       {ENDING_OVERFLOW, "UO"},     {ENDING_NO_LISTENER, "NR"},   {ENDING_LOOP, "NR"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_string_equal(flags(&(struct exchange_record){.ending = cases[i].ending}), cases[i].flags);
    assert_string_equal(flags(&(struct exchange_record){.ending = ENDING_UNREACHABLE, .retries_spent = true}),
                        "UF,URX");
    assert_string_equal(flags(&(struct exchange_record){.ending = ENDING_FAULT, .delayed = true}), "DI,FI");
    char out[RESPONSE_FLAGS_TEXT_MAX];
    struct text all = response_flags_text(~0u, out); /* there is room for whatever may come together */
    assert_true(text_ends_with(all, TEXT(",UPE")));
}

static void the_details(void **state)
{
    char data[200];
    struct text_out o = TEXT_OUT(data);
    (void)state;
    is_text(response_details(&(struct exchange_record){.status = 200, .ending = ENDING_CLOSED}, &o), "via_upstream");
    is_text(response_details(&(struct exchange_record){.status = 302, .own = true, .ending = ENDING_CLOSED}, &o),
            "direct_response");
    is_text(response_details(&(struct exchange_record){.status = 503, .own = true, .ending = ENDING_NO_ENDPOINT}, &o),
            "no_healthy_upstream");
    is_text(response_details(&(struct exchange_record){.status = 403, .own = true, .ending = ENDING_DENIED,
                                                       .notes.policy = TEXT("shop/cart")}, &o),
            "rbac_access_denied_matched_policy[shop/cart]");
    is_text(response_details(&(struct exchange_record){.status = 503, .own = true, .ending = ENDING_OVERFLOW}, &o),
            "upstream_reset_before_response_started{overflow}");
    is_text(response_details(&(struct exchange_record){.ending = ENDING_DRAINED}, &o), "local_reset");
    is_text(response_details(&(struct exchange_record){.ending = ENDING_DURATION}, &o), "max_duration_timeout");
}

static void failures(void **state)
{
    (void)state;
    assert_false(response_is_failure(&(struct exchange_record){.status = 404, .grpc_status = -1}));
    assert_true(response_is_failure(&(struct exchange_record){.status = 500, .grpc_status = -1}));
    assert_true(response_is_failure(&(struct exchange_record){.status = 0, .grpc_status = -1}));
    assert_true(response_is_failure(&(struct exchange_record){.status = 200, .grpc_status = 14}));
    assert_false(response_is_failure(&(struct exchange_record){.status = 200, .grpc_status = 5}));
    assert_int_equal(response_grpc_status(&(struct exchange_record){.grpc_status = -1}), -1);
    assert_int_equal(response_grpc_status(&(struct exchange_record){.grpc_status = 16}), 16);
    assert_int_equal(response_grpc_status(&(struct exchange_record){.grpc_status = 17}), 2);
    assert_int_equal(response_grpc_status(&(struct exchange_record){.grpc_status = 1000}), 2);
}

/* Three messages, of 3, 0 and 300 bytes; each cut of them into two, and byte by byte. */
static void messages(void **state)
{
    static uint8_t all[5 + 3 + 5 + 5 + 300] = {0, 0, 0, 0, 3, 'a', 'b', 'c', 1, 0, 0, 0, 0, 0, 0, 0, 1, 44};
    struct chunk_pool pool;
    (void)state;
    chunk_pool_init(&pool, 16, 0);
    for (size_t cut = 0; cut <= sizeof all; cut++) {
        struct grpc_count c = {.messages = 0};
        const size_t pieces[] = {cut, sizeof all - cut};
        for (size_t i = 0, at = 0; i < 2; at += pieces[i++]) {
            struct buf b = {0};
            assert_int_equal(buf_append(&b, &pool, all + at, pieces[i]), 0);
            grpc_count_see(&c, &b);
            buf_done(&b);
        }
        assert_int_equal(c.messages, 3);
        assert_int_equal(c.left, 0);
        assert_int_equal(c.n_prefix, 0);
    }
    chunk_pool_done(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_flags), cmocka_unit_test(the_details),
                                       cmocka_unit_test(failures), cmocka_unit_test(messages)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
