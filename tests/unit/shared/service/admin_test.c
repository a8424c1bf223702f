/* The admin endpoint: real curl against it, and what curl does not do by hand over sockets, all on one ring. */
#include "tests/unit/shared/transport/fixture.h"
#include "shared/service/admin.h"
#include "shared/transport/conn.h"
#include "tests/unit/shared/base/failing_alloc.h"
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

extern char **environ;

static struct admin *admin;
static struct addr at;
static char unix_path[64];
static char *large; /* an answer of many MB */
enum { LARGE = 24 << 20 };
static unsigned n_handled;
static struct admin_exchange *kept; /* to be answered later */

/* ---- handlers ------------------------------------------------------------------------------------ */

static void say_hello(struct admin_exchange *x, const struct http1_request *q, void *arg)
{
    char text[200];

    n_handled++;
    int n = snprintf(text, sizeof text, "hello %s %.*s?%.*s\n", (const char *)arg, (int)q->path.len, q->path.data,
                     (int)q->query.len, q->query.data ? q->query.data : "");
    admin_answer(x, 200, NULL, (struct text){text, (size_t)n});
}

static void echo_body(struct admin_exchange *x, const struct http1_request *q, void *arg)
{
    (void)arg;
    n_handled++;
    admin_answer(x, 202, "application/octet-stream", q->body);
}

static void dump(struct admin_exchange *x, const struct http1_request *q, void *arg)
{
    (void)arg;
    (void)q;
    n_handled++;
    admin_answer(x, 200, "application/json", (struct text){large, LARGE});
}

static void answer_later(struct admin_exchange *x, const struct http1_request *q, void *arg)
{
    (void)arg;
    (void)q;
    n_handled++;
    assert_null(kept);
    kept = x;
    bed_poke();
}

static const struct admin_route routes[] = {
    {"GET", "/hello", say_hello, "you"},    {"POST", "/echo", echo_body, NULL}, {"GET", "/dump", dump, NULL},
    {"GET", "/later", answer_later, NULL}, {"GET", "/secret", say_hello, "me"}, {"DELETE", "/hello", say_hello, "not"},
};
enum { SECRET = 1 << 4 };

static void on_admin_drained(void *arg)
{
    *(bool *)arg = true;
    bed_poke();
}

static bool drained;
static bool is_drained(void) { return drained; }

static int open_admin(void **state)
{
    struct addr any;

    if (bed_open(state) < 0)
        return -1;
    n_handled = 0;
    kept = NULL;
    drained = false;
    assert_int_equal(admin_new(&admin, bed.ring, routes, ARRAY_SIZE(routes)), 0);
    assert_int_equal(addr_parse(TEXT("127.0.0.1:0"), &any), 0);
    assert_int_equal(admin_listen_tcp(admin, &any, ~(uint64_t)SECRET), 0);
    assert_int_equal(admin_local(admin, 0, &at), 0);
    snprintf(unix_path, sizeof unix_path, "/tmp/weir-admin-test-%d.sock", (int)getpid());
    assert_int_equal(admin_listen_unix(admin, unix_path, 0600, ~(uint64_t)0), 0);
    assert_int_equal(admin_local(admin, 2, &any), -ENOENT);
    return 0;
}

static int close_admin(void **state)
{
    if (!drained) {
        admin_close(admin, on_admin_drained, &drained);
        assert_false(drained); /* never from inside */
        bed_run_until(is_drained);
    }
    assert_int_equal(access(unix_path, F_OK), -1);
    return bed_close(state);
}

/* ---- a client process, watched by the ring ----------------------------------------------------------- */

struct child {
    struct ring_scope scope;
    struct ring_op op;
    pid_t pid;
    int pid_fd, out_fd, status;
    bool gone, drained;
    char *out; /* everything it printed */
    size_t len;
};

static void child_gone(struct ring_op *op, int result)
{
    struct child *c = container_of(op, struct child, op);
    assert_true(result > 0);
    c->gone = true;
    ring_scope_close(&c->scope);
}
static void child_drained(struct ring_scope *scope)
{
    container_of(scope, struct child, scope)->drained = true;
    bed_poke();
}

static struct child *running;
static bool child_is_over(void) { return running->drained; }

static void child_start(struct child *c, char *const argv[])
{
    posix_spawn_file_actions_t actions;

    *c = (struct child){0};
    c->out_fd = memfd_create("out", MFD_CLOEXEC);
    assert_true(c->out_fd >= 0);
    assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
    assert_int_equal(posix_spawn_file_actions_adddup2(&actions, c->out_fd, 1), 0);
    assert_int_equal(posix_spawnp(&c->pid, argv[0], &actions, NULL, argv, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    c->pid_fd = (int)syscall(SYS_pidfd_open, c->pid, 0);
    assert_true(c->pid_fd >= 0);
    ring_scope_init(&c->scope, bed.ring, child_drained);
    ring_op_init(&c->op, &c->scope);
    ring_poll(bed.ring, &c->op, c->pid_fd, POLLIN, child_gone);
}

static void child_wait(struct child *c)
{
    struct stat st;

    running = c;
    bed_run_until(child_is_over);
    assert_int_equal(waitpid(c->pid, &c->status, 0), c->pid);
    close(c->pid_fd);
    assert_int_equal(fstat(c->out_fd, &st), 0);
    c->len = (size_t)st.st_size;
    c->out = calloc(1, c->len + 1);
    assert_non_null(c->out);
    assert_int_equal(pread(c->out_fd, c->out, c->len, 0), c->len);
    close(c->out_fd);
}

/* Runs curl with these arguments (the last one NULL) after the common ones; its output is *c's. */
static void curl(struct child *c, const char *path, char *const arguments[])
{
    char url[128], at_text[ADDR_TEXT_MAX];
    char *argv[32] = {"curl", "--silent", "--noproxy", "*", "--max-time", "30", "--path-as-is"};
    size_t n = 7;

    for (size_t i = 0; arguments && arguments[i]; i++)
        argv[n++] = arguments[i];
    snprintf(url, sizeof url, "http://%s%s", addr_print(&at, at_text), path);
    argv[n++] = url;
    child_start(c, argv);
    child_wait(c);
    assert_true(WIFEXITED(c->status));
}

static void child_free(struct child *c) { free(c->out); }

/* ---- tests ------------------------------------------------------------------------------------------- */

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
    assert_non_null(strstr(c.out, "HTTP/1.1 404 "));
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
    assert_non_null(strstr(c.out, "HTTP/1.1 404 "));
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
    char name[] = "/tmp/weir-admin-test-XXXXXX", argument[64];

    (void)state;
    int fd = mkstemp(name);
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
    child_start(&c, (char *[]){"curl", "--silent", "--noproxy", "*", "--max-time", "30", "-w", "%{num_connects} ", url, NULL});
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
        child_start(&c[i], (char *[]){"curl", "--silent", "--noproxy", "*", "--max-time", "30", url, url, url, NULL});
    for (size_t i = 0; i < ARRAY_SIZE(c); i++) {
        child_wait(&c[i]);
        assert_string_equal(c[i].out, "hello you /hello?\nhello you /hello?\nhello you /hello?\n");
        child_free(&c[i]);
    }
    assert_int_equal(n_handled, 90);
}

/* ---- a client by hand ----------------------------------------------------------------------------------- */

struct hand {
    struct conn conn;
    char *got; /* hand_room */
    size_t len;
    bool ended, finished, failed, drained;
};
static struct hand hand;
static char hand_room[LARGE + 65536];

static void hand_received(struct stream *s, struct buf *bytes)
{
    size_t n = bytes->len;
    (void)s;
    assert_true(hand.len + n < sizeof hand_room);
    buf_peek(bytes, hand.got + hand.len, n);
    hand.len += n;
    hand.got[hand.len] = '\0';
    buf_done(bytes);
    bed_poke();
}
static void hand_ended(struct stream *s)
{
    (void)s;
    hand.ended = true;
    bed_poke();
}
static void hand_nothing(struct stream *s) { (void)s; }
static void hand_finished(struct stream *s)
{
    (void)s;
    hand.finished = true;
    bed_poke();
}
static void hand_failed(struct stream *s, int error)
{
    (void)s;
    (void)error;
    hand.failed = true;
    bed_poke();
}
static void hand_drained(struct conn *c)
{
    (void)c;
    hand.drained = true;
    bed_poke();
}
static const struct stream_events hand_stream_events = {hand_received, hand_ended, hand_nothing, hand_finished,
                                                        hand_failed};
static const struct conn_events hand_conn_events = {NULL, NULL, hand_drained};

static void hand_open(void)
{
    int fd;
    struct sockaddr_storage sa;
    socklen_t len = addr_to_sockaddr(&at, &sa);

    hand = (struct hand){.got = hand_room};
    hand_room[0] = '\0';
    assert_int_equal(socket_open(AF_INET, &fd), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, len), 0);
    conn_init(&hand.conn, bed.ring, fd, &hand_conn_events);
    hand.conn.stream.events = &hand_stream_events;
    conn_start(&hand.conn);
}

static void hand_send(const char *text)
{
    struct buf b = {0};
    assert_int_equal(buf_append(&b, ring_chunks(bed.ring), text, strlen(text)), 0);
    stream_send(&hand.conn.stream, &b);
}

static bool hand_is_drained(void) { return hand.drained; }
static void hand_close(void)
{
    conn_close(&hand.conn);
    bed_run_until(hand_is_drained);
}
static bool hand_has_sent(void) { return hand.finished || hand.failed; }
static bool hand_is_over(void) { return hand.ended || hand.failed; }
static bool is_kept(void) { return kept != NULL; }

static size_t count(const char *what)
{
    size_t n = 0;
    for (const char *p = hand.got; p && (p = strstr(p, what)); p++)
        n++;
    return n;
}
static bool three_answers(void) { return count("hello you") == 3 || hand_is_over(); }

static void pipelined_in_order(void **state)
{
    (void)state;
    hand_open();
    hand_send("GET /hello?1 HTTP/1.1\r\nHost: x\r\n\r\nGET /hello?2 HTTP/1.1\r\nHost: x\r\n\r\nGET /hel");
    hand_send("lo?3 HTTP/1.1\r\nHost: x\r\n\r\n");
    bed_run_until(three_answers);
    assert_int_equal(count("hello you"), 3);
    assert_true(strstr(hand.got, "?1") < strstr(hand.got, "?2") && strstr(hand.got, "?2") < strstr(hand.got, "?3"));
    hand_close();
}

/* Its own half is closed, yet all is answered; then the connection ends. */
static void answers_after_the_clients_end(void **state)
{
    (void)state;
    hand_open();
    hand_send("GET /hello?1 HTTP/1.1\r\nHost: x\r\n\r\nGET /dump HTTP/1.1\r\nHost: x\r\n\r\n");
    stream_finish(&hand.conn.stream);
    bed_run_until(hand_is_over);
    assert_true(hand.ended);
    assert_int_equal(count("hello you"), 1);
    assert_int_equal(count("HTTP/1.1 200 OK"), 2);
    assert_true(hand.len > LARGE);
    assert_memory_equal(hand.got + hand.len - LARGE, large, LARGE);
    hand_close();
}

static void not_http(void **state)
{
    (void)state;
    hand_open();
    hand_send("what is this\r\n\r\n");
    bed_run_until(hand_is_over);
    assert_true(hand.ended);
    assert_non_null(strstr(hand.got, "HTTP/1.1 400 "));
    assert_non_null(strstr(hand.got, "Connection: close\r\n"));
    hand_close();
}

/* Refused at once, and much more comes: the answer is not lost in a reset. */
static void refused_and_more_comes(void **state)
{
    struct buf more = {0};

    (void)state;
    hand_open();
    stream_pause(&hand.conn.stream); /* It reads when it has said all. */
    hand_send("what is this\r\n\r\n");
    assert_int_equal(buf_append(&more, ring_chunks(bed.ring), large, LARGE), 0);
    stream_send(&hand.conn.stream, &more);
    stream_finish(&hand.conn.stream);
    bed_run_until(hand_has_sent);
    assert_true(hand.finished);
    stream_resume(&hand.conn.stream);
    bed_run_until(hand_is_over);
    assert_true(hand.ended);
    assert_int_equal(count("HTTP/1.1 400 "), 1);
    hand_close();
}

/* What comes while a request is being handled is not taken in without end. */
static bool time_over;
static void time_is_over(struct timer *t)
{
    (void)t;
    time_over = true;
    bed_poke();
}
static bool is_time_over(void) { return time_over; }

static void more_comes_while_handling(void **state)
{
    struct buf more = {0};
    struct timer t;

    (void)state;
    hand_open();
    hand_send("GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
    bed_run_until(is_kept);
    assert_int_equal(buf_append(&more, ring_chunks(bed.ring), large, LARGE), 0);
    stream_send(&hand.conn.stream, &more);
    time_over = false;
    timer_init(&t, time_is_over);
    timer_start(ring_timers(bed.ring), &t, 50);
    bed_run_until(is_time_over);
    assert_in_range(stream_queued(&hand.conn.stream), LARGE / 8, LARGE); /* all but what the kernel's buffers hold */
    admin_answer(kept, 200, NULL, TEXT("late\n"));
    bed_run_until(hand_is_over); /* and then it is no request */
    assert_int_equal(count("late"), 1);
    hand_close();
}

static bool two_answers(void) { return count("HTTP/1.1 ") == 2 || hand_is_over(); }

static void head_of_something_small(void **state)
{
    (void)state;
    hand_open();
    hand_send("HEAD /hello HTTP/1.1\r\nHost: x\r\n\r\nGET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    bed_run_until(two_answers);
    assert_int_equal(count("HTTP/1.1 200"), 2);
    assert_int_equal(count("hello you"), 1);
    assert_int_equal(count("\r\n\r\nHTTP/1.1 200"), 1);
    hand_close();
}

static bool has_answer(void) { return count("late") > 0; }

static void answered_later(void **state)
{
    (void)state;
    hand_open();
    hand_send("GET /later HTTP/1.1\r\nHost: x\r\n\r\nGET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    bed_run_until(is_kept);
    assert_int_equal(n_handled, 1); /* the next one waits */
    admin_answer(kept, 200, NULL, TEXT("late\n"));
    bed_run_until(has_answer);
    hand_close();
}

static bool connections_gone(void) { return hand.drained; }

/* The client has left, or the admin was closed; the handler answers all the same. */
static void answered_to_nobody(void **state)
{
    (void)state;
    hand_open();
    hand_send("GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
    bed_run_until(is_kept);
    stream_reset(&hand.conn.stream, -ECANCELED);
    conn_close(&hand.conn);
    bed_run_until(connections_gone);
    /* Another client's request shows that the server has run meanwhile, with the reset before it. */
    struct child c;
    curl(&c, "/hello", NULL);
    assert_string_equal(c.out, "hello you /hello?\n");
    child_free(&c);
    admin_answer(kept, 200, NULL, TEXT("late\n"));
    kept = NULL;

    hand_open();
    hand_send("GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
    bed_run_until(is_kept);
    admin_close(admin, on_admin_drained, &drained);
    bed_run_until(is_drained);
    admin_answer(kept, 200, NULL, (struct text){large, LARGE});
    hand_close();
}

/* Answered between the close and its end. */
static void answered_while_closing(void **state)
{
    (void)state;
    hand_open();
    hand_send("GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
    bed_run_until(is_kept);
    admin_close(admin, on_admin_drained, &drained);
    admin_answer(kept, 200, NULL, TEXT("late\n"));
    bed_run_until(is_drained);
    hand_close();
}

static void closed_in_the_middle_of_an_answer(void **state)
{
    (void)state;
    hand_open();
    hand_send("GET /dump HTTP/1.1\r\nHost: x\r\n\r\n");
    stream_pause(&hand.conn.stream); /* It never reads. */
    struct child c;
    curl(&c, "/hello", NULL);
    child_free(&c);
    assert_int_equal(n_handled, 2);
    admin_close(admin, on_admin_drained, &drained);
    bed_run_until(is_drained);
    hand_close();
}

/* Each allocation fails in turn: the client gets its answer or an end, and the next one is served. */
static void without_memory(void **state)
{
    static const char *const requests[] = {
        "GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "GET /dump HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbody",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
        bool failed = true;
        for (long n = 0; failed; n++) {
            assert_true(n < 10000);
            hand_open();
            hand_send(requests[i]);
            alloc_fail_at(n);
            bed_run_until(hand_is_over);
            failed = alloc_failed();
            if (!failed)
                assert_int_equal(count("HTTP/1.1 20"), 1);
            hand_close();
            if (n == 100 && failed)
                n += 1000; /* Of the many chunks of a dump not each. */
        }
    }
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
    child_start(&c, (char *[]){"curl", "--silent", "--noproxy", "*", "--max-time", "30", url, NULL});
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
    assert_int_equal(admin_listen_unix(admin, "/tmp/weir-none.sock", 0600, 1), -ENOSPC);
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

static int large_make(void **state)
{
    (void)state;
    large = malloc(LARGE);
    if (!large)
        return -1;
    for (size_t i = 0; i < LARGE; i++)
        large[i] = (char)pattern(3, i);
    return 0;
}
static int large_free(void **state)
{
    (void)state;
    free(large);
    return 0;
}

#define ADMIN(test) cmocka_unit_test_setup_teardown(test, open_admin, close_admin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ADMIN(gets_an_answer), ADMIN(over_the_unix_socket), ADMIN(not_found_and_wrong_method), ADMIN(head_has_no_body),
        ADMIN(posts_a_body), ADMIN(refuses_too_much), ADMIN(keeps_the_connection), ADMIN(streams_a_large_answer),
        ADMIN(crowd_of_clients), ADMIN(pipelined_in_order), ADMIN(answers_after_the_clients_end), ADMIN(not_http),
        ADMIN(refused_and_more_comes), ADMIN(more_comes_while_handling), ADMIN(head_of_something_small),
        ADMIN(answered_later), ADMIN(answered_to_nobody), ADMIN(answered_while_closing),
        ADMIN(closed_in_the_middle_of_an_answer), ADMIN(without_memory), ADMIN(at_most_64), ADMIN(too_many_sockets), ADMIN(paths_that_fail),
        ADMIN(leaves_the_successors_socket),
    };
    return cmocka_run_group_tests(tests, large_make, large_free);
}
