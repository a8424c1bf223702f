/*
 * An admin endpoint on the bed's ring, with handlers of each kind, and curl as a client: a process
 * that the ring watches.
 */
#ifndef TESTS_UNIT_SHARED_SERVICE_ADMIN_BENCH_H
#define TESTS_UNIT_SHARED_SERVICE_ADMIN_BENCH_H
#include "shared/service/admin.h"
#include "tests/support/tmp.h"
#include "tests/unit/shared/transport/fixture.h"
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

static struct admin *admin;
static struct addr at;
static char unix_path[64];
static char large[24 << 20]; /* an answer of many MB */
enum { LARGE = sizeof large };
static unsigned n_handled;
static struct admin_exchange *kept; /* to be answered later */

/* ---- handlers ------------------------------------------------------------------------------------ */

static inline void say_hello(struct admin_exchange *x, const struct http1_request *q, void *arg)
{
    char text[200];

    n_handled++;
    int n = snprintf(text, sizeof text, "hello %s %.*s?%.*s\n", (const char *)arg, (int)q->path.len,
                     q->path.data, (int)q->query.len, q->query.data ? q->query.data : "");
    admin_answer(x, 200, NULL, (struct text){text, (size_t)n});
}

static inline void echo_body(struct admin_exchange *x, const struct http1_request *q, void *arg)
{
    (void)arg;
    n_handled++;
    admin_answer(x, 202, "application/octet-stream", q->body);
}

static inline void dump(struct admin_exchange *x, const struct http1_request *q, void *arg)
{
    (void)arg;
    (void)q;
    n_handled++;
    admin_answer(x, 200, "application/json", (struct text){large, LARGE});
}

static inline void answer_later(struct admin_exchange *x, const struct http1_request *q, void *arg)
{
    (void)arg;
    (void)q;
    n_handled++;
    assert_null(kept);
    kept = x;
    bed_poke();
}

/* An answer without an end. */
static struct {
    struct admin_exchange *x;
    unsigned n_begun, n_writable, n_closed;
    int result;
} told;
static inline void stream_writable(void *arg)
{
    (void)arg;
    told.n_writable++;
    bed_poke();
}
static inline void stream_closed(void *arg)
{
    assert_ptr_equal(arg, &told);
    told.n_closed++;
    told.x = NULL;
    bed_poke();
}
static const struct admin_stream_events told_events = {stream_writable, stream_closed};
static inline void tell(struct admin_exchange *x, const struct http1_request *q, void *arg)
{
    (void)q, (void)arg;
    told.n_begun++;
    told.result = admin_stream_begin(x, "application/x-ndjson", &told_events, &told);
    told.x = told.result == 0 ? x : NULL;
    bed_poke();
}

static const struct admin_route routes[] = {
    {"GET", "/hello", say_hello, "you"}, {"POST", "/echo", echo_body, NULL},
    {"GET", "/dump", dump, NULL},        {"GET", "/later", answer_later, NULL},
    {"GET", "/secret", say_hello, "me"}, {"DELETE", "/hello", say_hello, "not"},
    {"GET", "/tell", tell, NULL},
};
enum { SECRET = 1 << 4 };

static inline void on_admin_drained(void *arg)
{
    *(bool *)arg = true;
    bed_poke();
}

static bool drained;
static inline bool is_drained(void)
{
    return drained;
}

static inline int open_admin(void **state)
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
    int fd = mkstemp(tmp_path(unix_path, "admin"));
    assert_true(fd >= 0);
    close(fd); /* the name is ours */
    unlink(unix_path);
    assert_int_equal(admin_listen_unix(admin, unix_path, 0600, ~(uint64_t)0), 0);
    assert_int_equal(admin_local(admin, 2, &any), -ENOENT);
    return 0;
}

static inline int close_admin(void **state)
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

static inline void child_gone(struct ring_op *op, int result)
{
    struct child *c = container_of(op, struct child, op);
    assert_true(result > 0);
    c->gone = true;
    ring_scope_close(&c->scope);
}
static inline void child_drained(struct ring_scope *scope)
{
    container_of(scope, struct child, scope)->drained = true;
    bed_poke();
}

static struct child *running;
static inline bool child_is_over(void)
{
    return running->drained;
}

static inline void child_start(struct child *c, char *const argv[])
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

static inline void child_wait(struct child *c)
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
static inline void curl(struct child *c, const char *path, char *const arguments[])
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

static inline void child_free(struct child *c)
{
    free(c->out);
}

static inline int large_make(void **state)
{
    (void)state;
    for (size_t i = 0; i < LARGE; i++)
        large[i] = (char)pattern(3, i);
    return 0;
}

#define ADMIN(test) cmocka_unit_test_setup_teardown(test, open_admin, close_admin)
#endif
