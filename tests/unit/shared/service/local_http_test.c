#include "shared/service/local_http.h"

#include "tests/unit/shared/service/local_http_fixture.h"

enum { ANSWER_MAX = 65536, LINE_MAX_TAKEN = 300 };
static const char *at;
static struct local_http_answer answer;

static int ask_at(struct text socket, const char *method, struct text body, uint64_t timeout_ms)
{
    const struct local_http_request q = {.socket = socket,
                                         .method = method,
                                         .path = "/cni/add",
                                         .body = body,
                                         .timeout_ms = timeout_ms,
                                         .answer_max = ANSWER_MAX};
    text_heap_done(&answer.body);
    answer = (struct local_http_answer){0};
    return local_http(&q, &answer, &at);
}
static int post(uint64_t timeout_ms)
{
    return ask_at(text_of(proxy.path), "POST", TEXT("{\"a\":1}"), timeout_ms);
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
    text_heap_done(&answer.body);
    return proxy_end(state);
}

static void a_request_and_its_answer(void **state)
{
    (void)state;
    assert_int_equal(post_answered("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}\n", 1), 0);
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.body.data, "{}\n");
    assert_string_equal(proxy.request, "POST /cni/add HTTP/1.1\r\nHost: localhost\r\n"
                                       "Content-Type: application/json\r\nContent-Length: 7\r\n"
                                       "Connection: close\r\n\r\n{\"a\":1}");
    assert_int_equal(post_answered("HTTP/1.0 503 Later\r\n\r\nno", 1), 0);
    assert_int_equal(answer.status, 503);
    assert_string_equal(answer.body.data, "no");
}
static void a_request_without_a_body(void **state)
{
    (void)state;
    proxy_answers("HTTP/1.1 204 No Content\r\ncontent-length:0\r\n\r\n", 1);
    assert_int_equal(ask_at(text_of(proxy.path), "GET", TEXT(""), 10000), 0);
    proxy_answered();
    assert_int_equal(answer.status, 204);
    assert_int_equal(answer.body.len, 0);
    assert_string_equal(proxy.request, "GET /cni/add HTTP/1.1\r\nHost: localhost\r\n"
                                       "Connection: close\r\n\r\n");
}
/* Who refuses early closes while we are still sending: what it said counts. */
static void an_answer_before_the_request_is_over(void **state)
{
    (void)state;
    enum { MUCH = 4 * 1024 * 1024 };
    char *much = malloc(MUCH);
    assert_non_null(much);
    memset(much, ' ', MUCH);
    much[0] = '{';
    proxy_answers("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno", 1);
    assert_int_equal(ask_at(text_of(proxy.path), "POST", (struct text){much, MUCH}, 10000), 0);
    proxy_answered();
    assert_int_equal(answer.status, 413);
    assert_string_equal(answer.body.data, "no");
    free(much);
}
/* The end of a listener's queue is waited for, up to the deadline. */
static void a_full_queue(void **state)
{
    (void)state;
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    int fds[2];
    memcpy(sa.sun_path, proxy.path, sizeof proxy.path);
    assert_int_equal(listen(proxy.listener, 0), 0);
    for (size_t i = 0; i < 2; i++) {
        fds[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (connect(fds[i], (struct sockaddr *)&sa, sizeof sa) < 0)
            assert_int_equal(errno, EAGAIN);
    }
    assert_int_equal(post(100), -ETIMEDOUT);
    assert_string_equal(at, "connecting");
    close(fds[0]);
    close(fds[1]);
}
static void what_is_no_answer(void **state)
{
    (void)state;
    assert_int_equal(post_answered("", 0), -ENODATA);
    assert_string_equal(at, "waiting for the answer");
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
                      ANSWER_MAX / 40),
        -E2BIG);
}
static void nobody_is_there(void **state)
{
    (void)state;
    assert_int_equal(post(1000), -ECONNREFUSED); /* bound, but nobody listens */
    assert_string_equal(at, "connecting");
    unlink(proxy.path);
    assert_int_equal(post(1000), -ENOENT);
    assert_int_equal(ask_at(TEXT(""), "GET", TEXT(""), 10), -ENAMETOOLONG);
    char longest[200];
    memset(longest, 'a', sizeof longest);
    assert_int_equal(ask_at((struct text){longest, sizeof longest}, "GET", TEXT(""), 10),
                     -ENAMETOOLONG);
}
static void a_silent_proxy_is_not_waited_for_for_ever(void **state)
{
    (void)state;
    assert_int_equal(listen(proxy.listener, 8), 0);
    assert_int_equal(post(50), -ETIMEDOUT);
    assert_string_equal(at, "waiting for the answer");
}

/* ---- line by line ---- */

static char lines[400];
static int keep_line(void *arg, struct text line)
{
    assert_ptr_equal(arg, lines);
    size_t len = strlen(lines);
    snprintf(lines + len, sizeof lines - len, "%.*s|", (int)line.len, line.data);
    return text_equal(line, TEXT("stop")) ? 7 : 0;
}
static int lines_of(const char *text, size_t repeats, unsigned *ret_status,
                    struct text_heap *ret_refusal)
{
    const struct local_http_request q = {.socket = text_of(proxy.path),
                                         .method = "GET",
                                         .path = "/tap",
                                         .timeout_ms = 10000,
                                         .answer_max = LINE_MAX_TAKEN};
    lines[0] = '\0';
    *ret_status = 0;
    proxy_answers(text, repeats);
    int r = local_http_lines(&q, keep_line, lines, ret_status, ret_refusal, &at);
    proxy_answered();
    return r;
}
static void line_by_line(void **state)
{
    struct text_heap refusal;
    unsigned status;
    (void)state;
    assert_int_equal(
        lines_of("HTTP/1.1 200 OK\r\nA: b\r\n\r\none\ntwo\n\nhalf", 1, &status, &refusal), 0);
    assert_string_equal(lines, "one|two||"); /* what has no end is no line */
    assert_int_equal(status, 200);
    text_heap_done(&refusal);
    assert_int_equal(lines_of("HTTP/1.1 200 OK\r\n\r\none\nstop\nthree\n", 1, &status, &refusal),
                     7);
    assert_string_equal(lines, "one|stop|");
    text_heap_done(&refusal);
    assert_int_equal(lines_of("HTTP/1.1 429 Too Many Requests\r\nContent-Length: 4\r\n\r\nno 200",
                              1, &status, &refusal),
                     -EPROTO);
    assert_int_equal(lines_of("HTTP/1.1 429 Too Many Requests\r\nContent-Length: 6\r\n\r\nno 200",
                              1, &status, &refusal),
                     0);
    assert_int_equal(status, 429);
    assert_string_equal(lines, "");
    assert_memory_equal(refusal.data, "no 200", refusal.len);
    assert_int_equal(refusal.len, 6);
    text_heap_done(&refusal);
    assert_int_equal(lines_of("", 1, &status, &refusal), -EPROTO);
}
/* The bound is one line's, however many come at once; a refusal's and a head's is theirs. */
static void lines_are_bounded_each(void **state)
{
    struct text_heap refusal;
    unsigned status;
    (void)state;
    char answer_text[600];
    struct text_out out = TEXT_OUT(answer_text);
    text_puts(&out, "HTTP/1.1 200 OK\r\n\r\n");
    for (size_t i = 0; i < 70; i++)
        text_puts(&out, "abcd\n");
    assert_int_equal(lines_of(answer_text, 1, &status, &refusal), 0);
    assert_int_equal(strlen(lines), 70 * 5);
    text_heap_done(&refusal);
    static const struct {
        const char *head;
        size_t rest; /* bytes after it */
        int r;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\n\r\n", LINE_MAX_TAKEN, 0}, /* never ended, so none */
        {"HTTP/1.1 200 OK\r\n\r\n", LINE_MAX_TAKEN + 1, -E2BIG},
        {"HTTP/1.1 429 Too Many Requests\r\n\r\n", LINE_MAX_TAKEN - 34, 0},
        {"HTTP/1.1 429 Too Many Requests\r\n\r\n", LINE_MAX_TAKEN - 33, -E2BIG},
        {"HTTP/1.1 200 OK\r\nA: ", LINE_MAX_TAKEN, -E2BIG},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        out = TEXT_OUT(answer_text);
        text_puts(&out, cases[i].head);
        for (size_t k = 0; k < cases[i].rest; k++)
            text_puts(&out, "x");
        int r = lines_of(answer_text, 1, &status, &refusal);
        if (r != cases[i].r)
            fail_msg("case %zu: %d", i, r);
        if (r == 0)
            text_heap_done(&refusal);
    }
}

#define PROXY_TEST(f) cmocka_unit_test_setup_teardown(f, proxy_begin, end)
int main(void)
{
    const struct CMUnitTest tests[] = {
        PROXY_TEST(a_request_and_its_answer),
        PROXY_TEST(a_request_without_a_body),
        PROXY_TEST(an_answer_before_the_request_is_over),
        PROXY_TEST(a_full_queue),
        PROXY_TEST(what_is_no_answer),
        PROXY_TEST(line_by_line),
        PROXY_TEST(lines_are_bounded_each),
        PROXY_TEST(nobody_is_there),
        PROXY_TEST(a_silent_proxy_is_not_waited_for_for_ever),
    };
    return cmocka_run_group_tests_name("service/local_http", tests, NULL, NULL);
}
