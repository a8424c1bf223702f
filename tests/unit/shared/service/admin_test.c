/* The admin endpoint as curl sees it, and its sockets. */
#include "tests/support/tmp.h"
#include "tests/unit/shared/service/admin_bench.h"

static void gets_an_answer(void **state)
{
    struct child c;

    (void)state;
    curl(&c, "/hello?a=1", (char *[]){"-i", NULL});
    assert_int_equal(WEXITSTATUS(c.status), 0);
    assert_non_null(strstr(c.out, "HTTP/1.1 200 OK\r\n"));
    assert_non_null(strstr(c.out, "Content-Type: text/plain; charset=utf-8\r\n"));
    assert_non_null(strstr(c.out, "\r\n\r\nhello you /hello?a=1\n"));
    child_free(&c);
}

static void over_the_unix_socket(void **state)
{
    struct child c;
    struct stat st;

    (void)state;
    assert_int_equal(stat(unix_path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    curl(&c, "/secret", (char *[]){"--unix-socket", unix_path, NULL});
    assert_string_equal(c.out, "hello me /secret?\n");
    child_free(&c);
    /* By TCP it does not exist. */
    curl(&c, "/secret", (char *[]){"-i", NULL});
    assert_non_null(strstr(c.out, "HTTP/1.1 404 Not Found\r\n"));
    assert_non_null(strstr(c.out, "GET /hello\n"));
    assert_null(strstr(c.out, "/secret"));
    assert_int_equal(n_handled, 1);
    child_free(&c);
}

static void not_found_and_wrong_method(void **state)
{
    struct child c;

    (void)state;
    curl(&c, "/nothing", (char *[]){"-i", NULL});
    assert_non_null(strstr(c.out, "HTTP/1.1 404 Not Found\r\n"));
    assert_non_null(strstr(c.out, "POST /echo\n"));
    child_free(&c);
    curl(&c, "/hello", (char *[]){"-i", "-X", "PUT", NULL});
    assert_non_null(strstr(c.out, "HTTP/1.1 405 Method Not Allowed\r\n"));
    assert_non_null(strstr(c.out, "Allow: GET, HEAD, DELETE\r\n"));
    assert_non_null(strstr(c.out, "This path takes only: GET, HEAD, DELETE\n"));
    child_free(&c);
    curl(&c, "/hello", (char *[]){"-X", "DELETE", NULL});
    assert_string_equal(c.out, "hello not /hello?\n");
    child_free(&c);
    assert_int_equal(n_handled, 1);
}

static void head_has_no_body(void **state)
{
    struct child c;

    (void)state;
    curl(&c, "/dump", (char *[]){"--head", NULL});
    assert_int_equal(WEXITSTATUS(c.status), 0);
    assert_non_null(strstr(c.out, "Content-Length: 25165824\r\n"));
    assert_string_equal(c.out + c.len - 4, "\r\n\r\n");
    child_free(&c);
}

static void posts_a_body(void **state)
{
    static char body[50001];
    struct child c;

    (void)state;
    memset(body, 'b', sizeof body - 1);
    curl(&c, "/echo", (char *[]){"-H", "Expect: 100-continue", "--data-binary", body, NULL});
    assert_int_equal(c.len, sizeof body - 1);
    assert_memory_equal(c.out, body, sizeof body - 1);
    child_free(&c);
}

/* Too much is refused, and the answer arrives although not everything was read. */
static void refuses_too_much(void **state)
{
    struct child c;
    char name[TMP_PATH_MAX], argument[64];

    (void)state;
    int fd = mkstemp(tmp_path(name, "admin"));
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, 4 << 20), 0);
    close(fd);
    snprintf(argument, sizeof argument, "@%s", name);
    curl(&c, "/echo", (char *[]){"-i", "-H", "Expect:", "--data-binary", argument, NULL});
    assert_non_null(strstr(c.out, "HTTP/1.1 413 "));
    assert_int_equal(n_handled, 0);
    child_free(&c);
    unlink(name);
}

static void keeps_the_connection(void **state)
{
    struct child c;
    char url[128], at_text[ADDR_TEXT_MAX];

    (void)state;
    snprintf(url, sizeof url, "http://%s/hello?[1-20]", addr_print(&at, at_text));
    child_start(&c, (char *[]){"curl", "--silent", "--noproxy", "*", "--max-time", "30", "-w",
                               "%{num_connects} ", url, NULL});
    child_wait(&c);
    assert_int_equal(n_handled, 20);
    unsigned connects = 0;
    for (const char *p = c.out; (p = strstr(p, "\n")); p++)
        connects += p[1] == '1';
    assert_int_equal(connects, 1);
    assert_non_null(strstr(c.out, "hello you /hello?20\n"));
    child_free(&c);
}

static void streams_a_large_answer(void **state)
{
    struct child c;

    (void)state;
    bed.chunks_most = 0;
    curl(&c, "/dump", NULL);
    assert_int_equal(WEXITSTATUS(c.status), 0);
    assert_int_equal(c.len, LARGE);
    assert_memory_equal(c.out, large, LARGE);
    assert_in_range(bed.chunks_most, 1, 64); /* the ring's own, and a queue */
    child_free(&c);
}

static void crowd_of_clients(void **state)
{
    struct child c[30];
    char url[128], at_text[ADDR_TEXT_MAX];

    (void)state;
    snprintf(url, sizeof url, "http://%s/hello", addr_print(&at, at_text));
    for (size_t i = 0; i < ARRAY_SIZE(c); i++)
        child_start(&c[i], (char *[]){"curl", "--silent", "--noproxy", "*", "--max-time", "30", url,
                                      url, url, NULL});
    for (size_t i = 0; i < ARRAY_SIZE(c); i++) {
        child_wait(&c[i]);
        assert_string_equal(c[i].out, "hello you /hello?\nhello you /hello?\nhello you /hello?\n");
        child_free(&c[i]);
    }
    assert_int_equal(n_handled, 90);
}

/* No more than 64 at a time, and the others get their turn. */
static void at_most_64(void **state)
{
    int fds[64];
    struct sockaddr_storage sa;
    socklen_t len = addr_to_sockaddr(&at, &sa);
    struct child c;

    (void)state;
    for (size_t i = 0; i < 64; i++) {
        assert_int_equal(socket_open(AF_INET, &fds[i]), 0);
        assert_int_equal(connect(fds[i], (struct sockaddr *)&sa, len), 0);
    }
    /* The Unix socket has its own 64. */
    curl(&c, "/hello", (char *[]){"--unix-socket", unix_path, NULL});
    assert_string_equal(c.out, "hello you /hello?\n");
    child_free(&c);
    char url[128], at_text[ADDR_TEXT_MAX];
    snprintf(url, sizeof url, "http://%s/hello", addr_print(&at, at_text));
    child_start(&c,
                (char *[]){"curl", "--silent", "--noproxy", "*", "--max-time", "30", url, NULL});
    struct child other;
    curl(&other, "/hello", (char *[]){"--unix-socket", unix_path, NULL});
    child_free(&other);
    assert_false(c.gone);
    assert_int_equal(n_handled, 2);
    for (size_t i = 0; i < 64; i++)
        close(fds[i]);
    child_wait(&c);
    assert_string_equal(c.out, "hello you /hello?\n");
    child_free(&c);
}

static void too_many_sockets(void **state)
{
    struct addr any;

    (void)state;
    assert_int_equal(addr_parse(TEXT("127.0.0.1:0"), &any), 0);
    for (int i = 2; i < ADMIN_SOCKETS_MAX; i++)
        assert_int_equal(admin_listen_tcp(admin, &any, 1), 0);
    assert_int_equal(admin_listen_tcp(admin, &any, 1), -ENOSPC);
    assert_int_equal(admin_listen_unix(admin, "/nowhere/at/all.sock", 0600, 1), -ENOSPC);
}

static void paths_that_fail(void **state)
{
    (void)state;
    assert_true(admin_listen_unix(admin, "/nonexistent/dir/x.sock", 0600, 1) < 0);
    assert_true(admin_listen_tcp(admin, &at, 1) < 0); /* taken */
}

/* A file that another process has put in our place stays. */
static void leaves_the_successors_socket(void **state)
{
    (void)state;
    assert_int_equal(unlink(unix_path), 0);
    int fd = open(unix_path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
    admin_close(admin, on_admin_drained, &drained);
    assert_int_equal(access(unix_path, F_OK), 0);
    unlink(unix_path);
    bed_run_until(is_drained);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ADMIN(gets_an_answer),
        ADMIN(over_the_unix_socket),
        ADMIN(not_found_and_wrong_method),
        ADMIN(head_has_no_body),
        ADMIN(posts_a_body),
        ADMIN(refuses_too_much),
        ADMIN(keeps_the_connection),
        ADMIN(streams_a_large_answer),
        ADMIN(crowd_of_clients),
        ADMIN(at_most_64),
        ADMIN(too_many_sockets),
        ADMIN(paths_that_fail),
        ADMIN(leaves_the_successors_socket),
    };
    return cmocka_run_group_tests(tests, large_make, NULL);
}
