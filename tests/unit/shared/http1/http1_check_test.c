/* What is asked without llhttp, which may find some of it by itself. */
#include "shared/http1/http1_check.h"
#include "tests/unit/shared/base/test.h"

static const struct {
    unsigned n_lengths, n_encodings, minor;
    const char *length, *encoding;
    int result;
    enum http1_framing framing;
} framings[] = {
    {0, 0, 1, "", "", 0, HTTP1_UNTOLD},
    {1, 0, 1, "5", "", 0, HTTP1_LENGTH},
    {1, 0, 0, "5", "", 0, HTTP1_LENGTH},
    {0, 1, 1, "", "chunked", 0, HTTP1_CHUNKED},
    {0, 1, 1, "", "CHUNKED", 0, HTTP1_CHUNKED},
    {1, 1, 1, "5", "chunked", -400, HTTP1_UNTOLD},
    {2, 0, 1, "5", "", -400, HTTP1_UNTOLD},
    {0, 2, 1, "", "chunked", -400, HTTP1_UNTOLD},
    {0, 1, 0, "", "chunked", -400, HTTP1_UNTOLD},
    {0, 1, 1, "", "gzip, chunked", -501, HTTP1_UNTOLD},
    {0, 1, 1, "", "chunked, identity", -501, HTTP1_UNTOLD},
    {0, 1, 1, "", "", -501, HTTP1_UNTOLD},
    {1, 0, 1, "", "", -400, HTTP1_UNTOLD},
    {1, 0, 1, "5, 5", "", -400, HTTP1_UNTOLD},
    {1, 0, 1, "+5", "", -400, HTTP1_UNTOLD},
    {1, 0, 1, "9223372036854775807", "", 0, HTTP1_LENGTH},
    {1, 0, 1, "9223372036854775808", "", -400, HTTP1_UNTOLD},
};

static void framing_is_told_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(framings); i++) {
        struct http1_framing_fields f = {
            .content_length = text_of(framings[i].length),
            .transfer_encoding = text_of(framings[i].encoding),
            .n_content_lengths = framings[i].n_lengths,
            .n_transfer_encodings = framings[i].n_encodings,
        };
        enum http1_framing framing;
        uint64_t length = 77;
        int r = http1_check_framing(&f, framings[i].minor, &framing, &length);
        if (r != framings[i].result || (r == 0 && framing != framings[i].framing))
            fail_msg("%zu: %d", i, r);
        if (r == 0 && framing != HTTP1_LENGTH)
            assert_int_equal(length, 77);
    }
}

static void first_lines(void **state)
{
    (void)state;
    struct http1_request_line line;
    struct http1_status_line status;
    assert_int_equal(http1_check_request_line(TEXT("GET /a?b HTTP/1.0"), &line), 0);
    assert_true(text_equal(line.method, TEXT("GET")) && text_equal(line.target, TEXT("/a?b")));
    assert_int_equal(line.minor, 0);
    assert_int_equal(http1_check_request_line(TEXT("GET / HTTP/1.1x"), &line), -400);
    assert_int_equal(http1_check_request_line(TEXT("GET / HTTP/3.0"), &line), -505);
    assert_int_equal(http1_check_request_line(TEXT("GET HTTP/1.1"), &line), -400);
    assert_int_equal(http1_check_request_line(TEXT(" / HTTP/1.1"), &line), -400);
    assert_int_equal(http1_check_request_line(TEXT("GET  HTTP/1.1"), &line), -400);
    assert_int_equal(http1_check_request_line(TEXT(""), &line), -400);
    assert_int_equal(http1_check_status_line(TEXT("HTTP/1.1 204 No Content"), &status), 0);
    assert_int_equal(status.status, 204);
    assert_int_equal(http1_check_status_line(TEXT("HTTP/1.0 599"), &status), 0);
    assert_int_equal(status.minor, 0);
    assert_int_equal(http1_check_status_line(TEXT("HTTP/1.1 2040"), &status), -400);
    assert_int_equal(http1_check_status_line(TEXT("HTTP/1.1 20"), &status), -400);
    assert_int_equal(http1_check_status_line(TEXT("HTTP/1.1 099 x"), &status), -400);
    assert_int_equal(http1_check_status_line(TEXT("HTTP/1.1 600 x"), &status), -400);
    assert_int_equal(http1_check_status_line(TEXT("HTTP/1.1\t200 x"), &status), -400);
    assert_int_equal(http1_check_status_line(TEXT(""), &status), -400);
}

static int target(const char *method, const char *t, const char *host, unsigned minor,
                  const char *authority, const char *path)
{
    struct http_head h;
    struct http1_framing_fields f = {.host = host ? text_of(host) : (struct text){NULL, 0},
                                     .n_hosts = host ? 1 : 0};
    http_head_init(&h);
    h.method = text_of(method);
    int r = http1_check_target(&h, text_of(t), minor, TEXT("http"), &f);
    if (r == 0 && (!text_equal(h.authority, text_of(authority)) ||
                   !text_equal(h.path, text_of(path)) || !text_equal(h.scheme, TEXT("http"))))
        r = -1;
    http_head_done(&h);
    return r;
}

static void targets(void **state)
{
    (void)state;
    assert_int_equal(target("GET", "/a", "h:1", 1, "h:1", "/a"), 0);
    assert_int_equal(target("GET", "/a", "", 1, "", "/a"), 0);
    assert_int_equal(target("GET", "/a", NULL, 0, "", "/a"), 0);
    assert_int_equal(target("GET", "/a", NULL, 1, "", "/a"), -400);
    assert_int_equal(target("GET", "HTTP://h/a", "H", 1, "h", "/a"), 0);
    assert_int_equal(target("GET", "http://h?a", "h", 1, "h", "/?a"), 0);
    assert_int_equal(target("GET", "http://h", NULL, 0, "h", "/"), 0);
    assert_int_equal(target("OPTIONS", "http://h", "h", 1, "h", "*"), 0);
    assert_int_equal(target("OPTIONS", "*", "h", 1, "h", "*"), 0);
    assert_int_equal(target("GET", "*", "h", 1, "h", "*"), -400);
    assert_int_equal(target("GET", "http://h:80/", "h", 1, "", ""), -400);
    assert_int_equal(target("GET", "http://h/", "", 1, "", ""), -400);
    assert_int_equal(target("GET", "http://h,i/", "h,i", 1, "", ""), -400);
    assert_int_equal(target("GET", "http://h,i/", NULL, 0, "", ""), -400);
    assert_int_equal(target("GET", "http:/h/", "h", 1, "", ""), -400);
    assert_int_equal(target("GET", "http://h/a#b", "h", 1, "", ""), -400);
    assert_int_equal(target("GET", "h:80", "h:80", 1, "", ""), -400);
    assert_int_equal(target("CONNECT", "h:80", "h:80", 1, "", ""), -405);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(framing_is_told_once),
        cmocka_unit_test(first_lines),
        cmocka_unit_test(targets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
