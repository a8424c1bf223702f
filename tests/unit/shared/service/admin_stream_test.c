/* Answers without an end: told piece by piece, bounded by what the client takes, and ended by either side. */
#include "tests/unit/shared/service/admin_bench.h"
#include <poll.h>
#include <sys/socket.h>

static int client;

static bool is_told(void)
{
    return told.n_begun > 0;
}
static bool is_closed(void)
{
    return told.n_closed > 0;
}
static bool is_writable(void)
{
    return told.n_writable > 0;
}

static void ask(const char *request)
{
    struct sockaddr_storage sa;
    socklen_t len = addr_to_sockaddr(&at, &sa);
    memset(&told, 0, sizeof told);
    client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(client, (struct sockaddr *)&sa, len), 0);
    assert_int_equal(write(client, request, strlen(request)), strlen(request));
    bed_run_until(is_told);
}
#define REQUEST(method) method " /tell HTTP/1.1\r\nHost: x\r\n\r\n"

static bool client_has_something(void)
{
    struct pollfd p = {.fd = client, .events = POLLIN};
    bed_poke();
    return poll(&p, 1, 0) > 0;
}

static char got[4096];
/* All that has come, until the text is in it. */
static void client_reads(const char *until)
{
    size_t len = 0;
    while (len < sizeof got - 1 && (len == 0 || !strstr(got, until))) {
        bed_run_until(client_has_something);
        ssize_t n = recv(client, got + len, sizeof got - 1 - len, 0);
        assert_true(n > 0);
        got[len += (size_t)n] = '\0';
    }
}
static bool client_at_end(void)
{
    char byte;
    bed_run_until(client_has_something);
    return recv(client, &byte, 1, 0) == 0;
}

static void told_until_we_end(void **state)
{
    (void)state;
    ask(REQUEST("GET"));
    assert_true(admin_stream_send(told.x, TEXT("one\n")));
    client_reads("one\n");
    assert_memory_equal(got, "HTTP/1.1 200 OK\r\n", 17);
    assert_non_null(strstr(got, "Content-Type: application/x-ndjson\r\n"));
    assert_null(strstr(got, "Content-Length"));
    assert_true(admin_stream_send(told.x, TEXT("two\n")));
    client_reads("two\n");
    admin_stream_end(told.x);
    assert_true(client_at_end());
    close(client);
    assert_int_equal(told.n_closed, 0);
}

static void the_client_goes(void **state)
{
    (void)state;
    ask(REQUEST("GET"));
    close(client);
    bed_run_until(is_closed);
    assert_int_equal(told.n_closed, 1);
}

static void the_client_ends_its_side(void **state)
{
    (void)state;
    ask(REQUEST("GET"));
    assert_int_equal(shutdown(client, SHUT_WR), 0);
    bed_run_until(is_closed);
    close(client);
}

static void what_is_not_taken_is_refused_until_it_is(void **state)
{
    static char room[64 * 1024];
    size_t sent = 0, taken = 0;
    struct text piece = {room, sizeof room};
    (void)state;
    memset(room, 'x', sizeof room);
    ask(REQUEST("GET"));
    while (admin_stream_send(told.x, piece)) /* nothing runs meanwhile */
        sent += piece.len;
    assert_in_range(sent, 256 * 1024, 512 * 1024);
    assert_false(admin_stream_send(told.x, TEXT("y")));
    for (size_t looked = 0; !is_writable() || taken < sent; looked++) {
        bed_run_until(client_has_something);
        ssize_t n = recv(client, got, sizeof got, MSG_DONTWAIT);
        assert_true(n > 0 && looked < 10000);
        taken += (size_t)n;
    }
    assert_true(admin_stream_send(told.x, TEXT("z")));
    admin_stream_end(told.x);
    close(client);
}

static void head_has_no_stream(void **state)
{
    (void)state;
    ask(REQUEST("HEAD"));
    assert_int_equal(told.result, -ECANCELED);
    client_reads("\r\n\r\n");
    assert_true(client_at_end());
    close(client);
}

static void the_program_ends(void **state)
{
    (void)state;
    ask(REQUEST("GET"));
    admin_close(admin, on_admin_drained, &drained);
    assert_false(admin_stream_send(told.x, TEXT("late\n")));
    bed_run_until(is_drained);
    assert_int_equal(told.n_closed, 1);
    close(client);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_admin, close_admin)
    const struct CMUnitTest tests[] = {
        TEST(told_until_we_end),        TEST(the_client_goes),
        TEST(the_client_ends_its_side), TEST(what_is_not_taken_is_refused_until_it_is),
        TEST(head_has_no_stream),       TEST(the_program_ends)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
