#include "nodeproxy/cni/proxy_client.h"

#include "tests/unit/nodeproxy/cni/proxy_fixture.h"

static char why[PROXY_WHY_MAX];
static unsigned status;
static struct text_heap answer;

static int post(uint64_t timeout_ms)
{
    text_heap_done(&answer);
    text_heap_init(&answer, PROXY_ANSWER_MAX);
    status = 0;
    why[0] = '\0';
    return proxy_post(text_of(proxy.path), "/cni/add", TEXT("{\"a\":1}"), timeout_ms, &status,
                      &answer, why);
}
static int post_answered(const char *bytes, size_t repeats)
{
    proxy_answers(bytes, repeats);
    int r = post(10000);
    proxy_answered();
    return r;
}
static int end(void **state)
{
    text_heap_done(&answer);
    return proxy_end(state);
}

static void a_request_and_its_answer(void **state)
{
    (void)state;
    assert_int_equal(post_answered("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}\n", 1), 0);
    assert_int_equal(status, 200);
    assert_string_equal(answer.data, "{}\n");
    assert_string_equal(proxy.request, "POST /cni/add HTTP/1.1\r\nHost: weir\r\n"
                                       "Content-Type: application/json\r\nContent-Length: 7\r\n"
                                       "Connection: close\r\n\r\n{\"a\":1}");
    assert_int_equal(post_answered("HTTP/1.0 503 Later\r\n\r\nno", 1), 0);
    assert_int_equal(status, 503);
    assert_string_equal(answer.data, "no");
}
static void what_is_no_answer(void **state)
{
    (void)state;
    assert_int_equal(post_answered("", 0), -EPROTO);
    assert_non_null(strstr(why, "without an answer"));
    static const char *const bad[] = {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}",
                                      "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n{}",
                                      "HTTP/1.1 200 OK\r\n",
                                      "HTTP/2 200 OK\r\n\r\n",
                                      "HTTP/1.1 100 Continue\r\n\r\n",
                                      "HTTP/1.1 2x0 OK\r\n\r\n",
                                      "SSH-2.0-x\r\n\r\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (post_answered(bad[i], 1) != -EPROTO)
            fail_msg("taken: %s", bad[i]);
    assert_int_equal(
        post_answered("HTTP/1.1 200 OK\r\n\r\n0123456789012345678901234567890123456789",
                      PROXY_ANSWER_MAX / 40),
        -EMSGSIZE);
}
static void nobody_is_there(void **state)
{
    (void)state;
    assert_int_equal(post(1000), -ECONNREFUSED); /* bound, but nobody listens */
    assert_non_null(strstr(why, "connecting"));
    unlink(proxy.path);
    assert_int_equal(post(1000), -ENOENT);
    assert_int_equal(proxy_post(TEXT(""), "/", TEXT(""), 10, &status, &answer, why), -ENAMETOOLONG);
    char longest[200];
    memset(longest, 'a', sizeof longest);
    assert_int_equal(proxy_post((struct text){longest, sizeof longest}, "/", TEXT(""), 10, &status,
                                &answer, why),
                     -ENAMETOOLONG);
}
static void a_silent_proxy_is_not_waited_for_for_ever(void **state)
{
    (void)state;
    assert_int_equal(listen(proxy.listener, 8), 0);
    assert_int_equal(post(50), -ETIMEDOUT);
    assert_non_null(strstr(why, "waiting for the answer"));
}

#define PROXY_TEST(f) cmocka_unit_test_setup_teardown(f, proxy_begin, end)
int main(void)
{
    const struct CMUnitTest tests[] = {
        PROXY_TEST(a_request_and_its_answer),
        PROXY_TEST(what_is_no_answer),
        PROXY_TEST(nobody_is_there),
        PROXY_TEST(a_silent_proxy_is_not_waited_for_for_ever),
    };
    return cmocka_run_group_tests_name("cni/proxy_client", tests, NULL, NULL);
}
