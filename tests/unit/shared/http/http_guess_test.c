/* What the first bytes of a client say, byte by byte: nobody's answer changes with what comes later. */
#include "shared/http/http_guess.h"
#include "tests/unit/shared/base/test.h"

static const struct {
    const char *first;
    enum http_guess last;
} rows[] = {
    {"", HTTP_GUESS_MORE},
    {"G", HTTP_GUESS_MORE},
    {"GET", HTTP_GUESS_MORE},
    {"GET ", HTTP_GUESS_MORE},
    {"GET /", HTTP_GUESS_MORE},
    {"GET / ", HTTP_GUESS_MORE},
    {"GET / HTTP/1.", HTTP_GUESS_MORE},
    {"GET / HTTP/1.1", HTTP_GUESS_YES},
    {"GET / HTTP/1.0\r\n\r\n", HTTP_GUESS_YES},
    {"PATCH /a?b=%20 HTTP/1.1\r\n", HTTP_GUESS_YES},
    {"OPTIONS * HTTP/1.1\r\n", HTTP_GUESS_YES},
    {"VERY /odd/method HTTP/1.1\r\n", HTTP_GUESS_YES},
    {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", HTTP_GUESS_YES},
    {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r", HTTP_GUESS_MORE},
    {"PRI * HTTP/2.0\r\n\r\nSM\r\n\rX", HTTP_GUESS_NO},
    {"PRI * HTTP/2.1", HTTP_GUESS_NO},
    {"GET / HTTP/1.2", HTTP_GUESS_NO},
    {"GET / HTTP/2.0\r\n", HTTP_GUESS_NO},
    {"GET / http/1.1\r\n", HTTP_GUESS_NO},
    {"GET /\r\n", HTTP_GUESS_NO}, /* 0.9, or an inline command of something else */
    {"GET / \r\n", HTTP_GUESS_NO},
    {"GET  / HTTP/1.1\r\n", HTTP_GUESS_NO},
    {"GET\t/ HTTP/1.1\r\n", HTTP_GUESS_NO},
    {"get / HTTP/1.1\r\n", HTTP_GUESS_NO},
    {"GET key\r\n", HTTP_GUESS_NO},
    {"\r\nGET / HTTP/1.1\r\n", HTTP_GUESS_NO},
    {" GET / HTTP/1.1", HTTP_GUESS_NO},
    {"/ HTTP/1.1", HTTP_GUESS_NO},
    {"GET /\x80 HTTP/1.1", HTTP_GUESS_NO},
    /* For a forward proxy. */
    {"CONNECT a:443 HTTP/1.1\r\n", HTTP_GUESS_NO},
    {"GET http://a/ HTTP/1.1\r\n", HTTP_GUESS_NO},
    /* Others that speak first: SMTP's clients (too early), Redis, TLS, PostgreSQL, MQTT, AMQP, Kafka, SSH. */
    {"EHLO a.example\r\n", HTTP_GUESS_NO},
    {"QUIT\r\n", HTTP_GUESS_NO},
    {"*1\r\n$4\r\nPING\r\n", HTTP_GUESS_NO},
    {"PING\r\n", HTTP_GUESS_NO},
    {"\x16\x03\x01\x02\x00\x01", HTTP_GUESS_NO},
    {"\x10\x1a", HTTP_GUESS_NO},
    {"AMQP\x01", HTTP_GUESS_NO},
    {"SSH-2.0-x\r\n", HTTP_GUESS_NO},
    {"ABCDEFGHIJKLMNOPQRST", HTTP_GUESS_MORE},
    {"ABCDEFGHIJKLMNOPQRSTU", HTTP_GUESS_NO},
};

static void byte_by_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        size_t len = strlen(rows[i].first);
        if (http_guess(rows[i].first, len) != rows[i].last)
            fail_msg("row %zu: %d", i, (int)http_guess(rows[i].first, len));
        for (size_t n = 0; n < len; n++) {
            enum http_guess g = http_guess(rows[i].first, n);
            if (g != HTTP_GUESS_MORE && g != rows[i].last)
                fail_msg("row %zu changes after %zu bytes", i, n);
        }
    }
}

/* HTTP/2's SETTINGS, as servers send them first; and greetings that are none. */
static void servers(void **state)
{
    static const struct {
        const char *first;
        size_t len;
        enum http_guess guess;
    } said[] = {
        {"", 0, HTTP_GUESS_MORE},
        {"\0\0\0\x04\0\0\0\0\0", 9, HTTP_GUESS_YES},
        {"\0\0\x12\x04\0\0\0\0\0\0\x03", 11, HTTP_GUESS_YES},
        {"\0\0\x12\x04\0\0\0\0", 8, HTTP_GUESS_MORE},
        {"\0\0\x13\x04\0\0\0\0\0", 9, HTTP_GUESS_NO},
        {"\0\0\0\x04\x01\0\0\0\0", 9, HTTP_GUESS_NO}, /* an acknowledgement of nothing */
        {"\0\0\0\x04\0\0\0\0\x01", 9, HTTP_GUESS_NO},
        {"\x4a\0\0\0\x0a" "8.0", 8, HTTP_GUESS_NO}, /* MySQL */
        {"220 ready\r\n", 11, HTTP_GUESS_NO},
        {"HTTP/1.1 400", 12, HTTP_GUESS_NO},
        {"SSH-2.0-x", 9, HTTP_GUESS_NO},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(said); i++)
        if (http_guess_server(said[i].first, said[i].len) != said[i].guess)
            fail_msg("row %zu", i);
}

static void zero_bytes(void **state)
{
    (void)state;
    assert_int_equal(http_guess("\0\0\0\x08", 4), HTTP_GUESS_NO);
    assert_int_equal(http_guess("GET /\0 HTTP/1.1", 15), HTTP_GUESS_NO);
}

/* A path of any length is one. */
static void decides_in_the_end(void **state)
{
    char long_path[HTTP_GUESS_MAX + 100] = "GET /";
    (void)state;
    memset(long_path + 5, 'x', sizeof long_path - 5);
    assert_int_equal(http_guess(long_path, HTTP_GUESS_MAX - 1), HTTP_GUESS_MORE);
    assert_int_equal(http_guess(long_path, HTTP_GUESS_MAX), HTTP_GUESS_YES);
    assert_int_equal(http_guess(long_path, sizeof long_path), HTTP_GUESS_YES);
    long_path[HTTP_GUESS_MAX - 1] = '\n';
    assert_int_equal(http_guess(long_path, sizeof long_path), HTTP_GUESS_NO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(byte_by_byte),
        cmocka_unit_test(servers),
        cmocka_unit_test(zero_bytes),
        cmocka_unit_test(decides_in_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
