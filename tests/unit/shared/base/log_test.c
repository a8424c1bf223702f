#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/json/json.h"
#include "tests/unit/shared/base/test.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

/* A pipe in place of standard error, and what has come out of it. */
static int ends[2] = {-1, -1};
static char got[65536];

static int pipe_open(void **state)
{
    (void)state;
    if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) < 0)
        return -1;
    log_set_fd(ends[1]);
    log_configure(LOG_INFO, LOG_TEXT, 0);
    return 0;
}

static int pipe_close(void **state)
{
    (void)state;
    log_set_fd(2);
    close(ends[0]);
    close(ends[1]);
    return 0;
}

/* All that is in the pipe; a log line is there as soon as its function has returned. */
static char *read_all(void)
{
    size_t len = 0;
    ssize_t n;
    while ((n = read(ends[0], got + len, sizeof got - 1 - len)) > 0)
        len += (size_t)n;
    got[len] = '\0';
    return got;
}

/* The line without its time, which is checked. */
static const char *read_line(void)
{
    char *line = read_all();
    assert_true(strlen(line) > 25);
    assert_true(line[4] == '-' && line[10] == 'T' && line[19] == '.' && line[23] == 'Z');
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
    return line + 25;
}

static void writes_text(void **state)
{
    (void)state;
    log_info("xds", "connected to %s, attempt %d", "10.0.0.1:15012", 3);
    assert_string_equal(read_line(), "info xds: connected to 10.0.0.1:15012, attempt 3\n");
    log_error("tls", "bad \"name\"\n\x1b[31mfake \xff");
    assert_string_equal(read_line(), "error tls: bad \"name\"\\n\\u001b[31mfake \\ufffd\n");
}

static void writes_text_fields(void **state)
{
    (void)state;
    struct log_line l;

    log_line_begin(&l, LOG_WARN, "access", "connection ended");
    log_line_text(&l, "plain", TEXT("10.0.0.1:80"));
    log_line_text(&l, "empty", TEXT(""));
    log_line_text(&l, "blank", TEXT("a b"));
    log_line_text(&l, "tricky", TEXT("x=\"y\"\nlevel=error"));
    log_line_u64(&l, "bytes", UINT64_MAX);
    log_line_end(&l);
    assert_string_equal(read_line(),
                        "warn access: connection ended plain=10.0.0.1:80 blank=\"a b\" "
                        "tricky=\"x=\\\"y\\\"\\nlevel=error\" "
                        "bytes=18446744073709551615\n");
    log_line_end(&l); /* twice writes once */
    assert_string_equal(read_all(), "");
}

static struct json *read_json(void)
{
    struct json_error e;
    struct json *j = NULL;

    read_all();
    if (json_parse(text_of(got), NULL, &j, &e) < 0)
        fail_msg("line %u: %s: %s", e.line, e.text, got);
    return j;
}

static void assert_member(const struct json *j, const char *name, struct text expected)
{
    struct text t = json_text(json_get(j, name));
    assert_int_equal(t.len, expected.len);
    assert_memory_equal(t.data, expected.data, t.len);
}

static void writes_json(void **state)
{
    (void)state;
    struct log_line l;
    struct json_error e = {0};
    int64_t bytes = 0;

    log_configure(LOG_INFO, LOG_JSON, 0);
    log_line_begin(&l, LOG_INFO, "access", "a \"message\"\n\xff\x01");
    log_line_text(&l, "path", TEXT("/\"\\\r\n\t\x7f\xc3\xa4"));
    log_line_u64(&l, "bytes", 12345);
    log_line_end(&l);
    struct json *j = read_json();
    assert_member(j, "level", TEXT("info"));
    assert_member(j, "scope", TEXT("access"));
    assert_member(j, "message", TEXT("a \"message\"\n\xef\xbf\xbd\x01"));
    assert_member(j, "path", TEXT("/\"\\\r\n\t\x7f\xc3\xa4"));
    assert_int_equal(json_read_i64(j, "bytes", 0, INT64_MAX, &bytes, &e), 0);
    assert_int_equal(bytes, 12345);
    assert_int_equal(json_count(j), 6);
    json_free(j);
}

/* Any bytes make one line that is whole JSON, however long they are. */
static void any_bytes_make_one_line(void **state)
{
    (void)state;
    static char value[6000];
    struct log_line l;
    struct rng rng;

    test_seed(&rng);
    log_configure(LOG_INFO, LOG_JSON, 0);
    for (int i = 0; i < 3000; i++) {
        size_t len = rng_below(&rng, rng_below(&rng, 2) ? 40 : sizeof value);
        for (size_t k = 0; k < len; k++)
            value[k] = (char)(rng_below(&rng, 3) ? 32 + rng_below(&rng, 95) : rng_u64(&rng));
        value[len] = '\0';
        log_line_begin(&l, LOG_INFO, "fuzz", i % 2 ? value : "message");
        for (int k = 0; k < 5; k++)
            log_line_text(&l, "field", (struct text){value + len / 2, len - len / 2});
        /* Names twice are fine here: only the form is looked at. */
        bool cut = l.out.overflow;
        log_line_end(&l);
        read_all();
        assert_ptr_equal(strchr(got, '\n'), got + strlen(got) - 1);
        assert_true(strlen(got) < 4096);
        assert_true(len > 40 || !cut);
    }
    for (int i = 0; i < 3000; i++) {
        size_t len = rng_below(&rng, sizeof value);
        for (size_t k = 0; k < len;
             k++) /* no NUL: a text from outside may have one, JSON refuses it */
            value[k] = (char)(1 + rng_below(&rng, 255));
        value[len] = '\0';
        size_t half = len / 2;
        log_line_begin(&l, LOG_INFO, "fuzz", value + half);
        log_line_text(&l, "a", (struct text){value, half});
        log_line_text(&l, "b", TEXT("short"));
        log_line_end(&l);
        struct json *j = read_json();
        bool all = json_get(j, "b") && json_count(j) == (half > 0 ? 6 : 5);
        assert_true(all || json_is(json_get(j, "truncated"), JSON_BOOL));
        json_free(j);
    }
}

static void levels_hold_back(void **state)
{
    (void)state;
    enum log_level level = LOG_INFO;

    log_configure(LOG_WARN, LOG_TEXT, 0);
    assert_true(log_enabled(LOG_ERROR) && log_enabled(LOG_WARN) && !log_enabled(LOG_INFO));
    log_info("a", "not this");
    log_debug("a", "nor this");
    struct log_line l;
    log_line_begin(&l, LOG_INFO, "a", "nor this");
    log_line_text(&l, "key", TEXT("value"));
    log_line_u64(&l, "key", 1);
    log_line_end(&l);
    assert_string_equal(read_all(), "");
    assert_int_equal(log_level_parse(TEXT("Debug"), &level), 0);
    assert_int_equal(level, LOG_DEBUG);
    assert_int_equal(log_level_parse(TEXT("loud"), &level), -EINVAL);
    log_configure(level, LOG_TEXT, 0);
    log_debug("a", "this");
    assert_string_equal(read_line(), "debug a: this\n");
}

static size_t count_lines(const char *s)
{
    size_t n = 0;
    for (; *s; s++)
        n += *s == '\n';
    return n;
}

static void limits_lines_per_scope(void **state)
{
    (void)state;
    uint64_t deadline_ms = clock_monotonic_ms() + 5000;
    size_t written = 0, passed = 0;

    log_configure(LOG_INFO, LOG_TEXT, 5);
    for (; written < 1000; written++)
        log_info("noisy", "line");
    log_info("quiet", "line");
    log_warn("noisy", "look here");
    log_warn("ooisy", "and here"); /* one bit from "noisy", as a warning is from what is none */
    passed = count_lines(read_all());
    /* Five, another scope's one and the warnings; ten if a second ended in between. */
    assert_true(passed == 8 || passed == 13);
    assert_non_null(strstr(got, "quiet: line\n"));
    assert_non_null(strstr(got, "noisy: look here\n"));
    assert_non_null(strstr(got, "ooisy: and here\n"));
    passed -= 3;
    /* The next line that passes says how many did not. */
    uint64_t told = 0;
    char *dropped = strstr(got, "dropped=");
    if (dropped)
        told = strtoull(dropped + strlen("dropped="), NULL, 10);
    for (read_all(); got[0] == '\0'; read_all()) {
        assert_true(clock_monotonic_ms() < deadline_ms);
        log_info("noisy", "line");
        written++;
        poll(&(struct pollfd){.fd = ends[0], .events = POLLIN}, 1, 10);
    }
    passed += count_lines(got);
    dropped = strstr(got, "dropped=");
    assert_non_null(dropped);
    told += strtoull(dropped + strlen("dropped="), NULL, 10);
    assert_int_equal(told + passed, written);
}

enum { WRITERS = 4, LINES_EACH = 2000 };

static void *write_many(void *argument)
{
    const char *name = argument;
    for (int i = 0; i < LINES_EACH; i++)
        log_info(name, "%d %0*d", i, 1 + i % 500, 7);
    return NULL;
}

/* Lines of several threads are never mixed, and each thread's are in order. */
static void threads_do_not_mix(void **state)
{
    (void)state;
    static char names[WRITERS][4] = {"t0", "t1", "t2", "t3"};
    static char all[WRITERS * LINES_EACH * 600];
    pthread_t threads[WRITERS];
    int next[WRITERS] = {0};
    size_t len = 0, lines = 0;

    log_configure(LOG_INFO, LOG_TEXT, 0);
    /* Writers wait for room, as on a real standard error. */
    assert_int_equal(fcntl(ends[1], F_SETFL, 0), 0);
    for (int i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_many, names[i]), 0);
    while (lines < WRITERS * LINES_EACH) {
        struct pollfd p = {.fd = ends[0], .events = POLLIN};
        assert_int_equal(poll(&p, 1, 10000), 1);
        ssize_t n = read(ends[0], all + len, sizeof all - 1 - len);
        assert_true(n > 0);
        for (size_t i = len; i < len + (size_t)n; i++)
            lines += all[i] == '\n';
        len += (size_t)n;
    }
    for (int i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    all[len] = '\0';

    struct text rest = {all, len}, line;
    while (text_split(rest, '\n', &line, &rest)) {
        char expected[700];
        assert_true(line.len > 35 && line.data[31] >= '0' && line.data[31] < '0' + WRITERS);
        int who = line.data[31] - '0', i = next[who]++;
        int n = snprintf(expected, sizeof expected, "info t%d: %d %0*d", who, i, 1 + i % 500, 7);
        assert_int_equal(line.len - 25, n);
        assert_memory_equal(line.data + 25, expected, (size_t)n);
    }
}

/* Nobody reads: each line returns at once, and the first that has room again says how many had none. */
static void nobody_waits_at(int reader, int writer)
{
    enum { LINES = 4000 }; /* some 800 kB */
    size_t passed = 0;
    ssize_t n;

    log_set_fd(writer);
    assert_int_equal(log_never_wait(), 0);
    alarm(20); /* a line that waits is the end of the test */
    for (int i = 0; i < LINES; i++)
        log_info("crowd", "%0*d", 150, i);
    alarm(0);
    /* Others that have this description wait as before. */
    assert_int_equal(fcntl(writer, F_GETFL) & O_NONBLOCK, 0);
    assert_true(fcntl(reader, F_SETFL, O_NONBLOCK) == 0);
    while ((n = read(reader, got, sizeof got - 1)) > 0) {
        got[n] = '\0';
        passed += count_lines(got);
    }
    assert_true(passed > 0 && passed < LINES);
    log_info("crowd", "there is room");
    n = read(reader, got, sizeof got - 1);
    assert_true(n > 0);
    got[n] = '\0';
    const char *told = strstr(got, " dropped=");
    assert_non_null(told);
    assert_int_equal(strtoull(told + strlen(" dropped="), NULL, 10), LINES - passed);
    log_info("crowd", "there is room");
    n = read(reader, got, sizeof got - 1);
    assert_true(n > 0);
    got[n] = '\0';
    assert_null(strstr(got, "dropped="));
}

static void nobody_waits_for_the_reader(void **state)
{
    (void)state;
    int pipe_ends[2], sockets[2];

    assert_int_equal(pipe2(pipe_ends, O_CLOEXEC), 0);
    nobody_waits_at(pipe_ends[0], pipe_ends[1]);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
    nobody_waits_at(sockets[0], sockets[1]);
    for (int i = 0; i < 2; i++) {
        close(pipe_ends[i]);
        close(sockets[i]);
    }
    log_set_fd(-1);
    assert_int_equal(log_never_wait(), -EBADF);
}

static void leaves_errno_alone(void **state)
{
    (void)state;
    errno = EPIPE;
    log_info("a", "failed: %m");
    assert_int_equal(errno, EPIPE);
    assert_string_equal(read_line(), "info a: failed: Broken pipe\n");
    log_set_fd(-1); /* nowhere to write: nothing happens */
    errno = EPIPE;
    log_info("a", "lost");
    assert_int_equal(errno, EPIPE);
}

#define log_test(function) cmocka_unit_test_setup_teardown(function, pipe_open, pipe_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        log_test(writes_text),        log_test(writes_text_fields),
        log_test(writes_json),        log_test(any_bytes_make_one_line),
        log_test(levels_hold_back),   log_test(limits_lines_per_scope),
        log_test(threads_do_not_mix), log_test(nobody_waits_for_the_reader),
        log_test(leaves_errno_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
