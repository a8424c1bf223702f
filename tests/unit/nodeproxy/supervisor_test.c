/*
 * The supervisor over children that do as they are told: each run of one is counted on a shared
 * page, and the supervisor itself is a child of the test.
 */
#include "nodeproxy/supervisor.h"

#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "tests/support/tmp.h"
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { WAIT_MS = 15000 };

enum behaviour { LIVES, EXITS_0, EXITS_1, EXITS_2, CRASHES, CRASHES_ONCE };
static struct page {
    _Atomic int warden_runs, data_runs, warden_pid, data_pid;
    _Atomic int signal; /* the last one that the data process got */
    _Atomic bool ready, captured, leaving, stays, stays_when_replaced, waits;
    _Atomic int echoed;
} * page;
static enum behaviour warden_does, data_does;
static pid_t supervisor;
static int log_to = -1; /* -1: nobody reads it */

static int behave(enum behaviour b, int runs)
{
    if (b == CRASHES || (b == CRASHES_ONCE && runs == 1))
        abort();
    return b == EXITS_0 ? 0 : b == EXITS_1 ? 1 : b == EXITS_2 ? 2 : -1;
}
/* Answers each byte with the next one. */
static int warden(int channel, void *arg)
{
    char c;
    assert_ptr_equal(arg, page);
    page->warden_pid = getpid();
    int code = behave(warden_does, ++page->warden_runs);
    while (code < 0 && recv(channel, &c, 1, 0) == 1) {
        c++;
        (void)!send(channel, &c, 1, 0);
    }
    return code;
}
static int data(int channel, void *arg)
{
    sigset_t signals;
    char c = (char)(10 * page->data_runs);
    int number;
    (void)arg;
    page->data_pid = getpid();
    if (page->ready)
        supervisor_tell(SUPERVISOR_READY);
    while (page->waits)
        (void)poll(NULL, 0, 1);
    if (page->captured)
        supervisor_tell(SUPERVISOR_CAPTURED);
    if (page->captured)
        supervisor_tell(SUPERVISOR_READY); /* which does not come back */
    if (page->leaving)
        supervisor_tell(SUPERVISOR_LEAVING);
    int code = behave(data_does, ++page->data_runs);
    if (code >= 0)
        return code;
    if (send(channel, &c, 1, 0) == 1 && recv(channel, &c, 1, 0) == 1)
        page->echoed = c;
    /* They were held back for it from the beginning. */
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    do {
        (void)sigwait(&signals, &number);
        page->signal = number;
    } while (page->stays);
    return 0;
}

static void run(enum behaviour warden_behaviour, enum behaviour data_behaviour)
{
    warden_does = warden_behaviour;
    data_does = data_behaviour;
    supervisor = fork();
    assert_true(supervisor >= 0);
    if (supervisor == 0) {
        int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        const struct supervisor_options o = {warden, data, page, page->stays_when_replaced};
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        log_set_fd(log_to >= 0 ? log_to : null);
        _exit(supervisor_run(&o));
    }
}
static int code_of_end(void)
{
    int status;
    assert_int_equal(waitpid(supervisor, &status, 0), supervisor);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}
static void wait_until(_Atomic int *what, int value)
{
    uint64_t deadline = clock_monotonic_ms() + WAIT_MS;
    while (*what < value) {
        if (clock_monotonic_ms() > deadline)
            fail_msg("it is %d, and not %d yet", *what, value);
        (void)poll(NULL, 0, 1);
    }
}
static bool lives(pid_t pid)
{
    return pid > 0 && kill(pid, 0) == 0; /* 0: it ended before it said so */
}
static void wait_until_gone(pid_t pid)
{
    uint64_t deadline = clock_monotonic_ms() + WAIT_MS;
    while (lives(pid)) {
        assert_true(clock_monotonic_ms() < deadline);
        (void)poll(NULL, 0, 1);
    }
}
static int begin(void **state)
{
    (void)state;
    page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(page != MAP_FAILED);
    page->ready = true;
    return 0;
}
static int end(void **state)
{
    (void)state;
    return munmap(page, sizeof *page);
}

/* ---- who waits for us ---- */

static int notify_fd;
static void listen_at(struct sockaddr_un *sa, socklen_t len)
{
    notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(notify_fd >= 0);
    assert_int_equal(bind(notify_fd, (struct sockaddr *)sa, len), 0);
}
static bool is_told(int wait_ms)
{
    char text[32] = "";
    struct pollfd p = {.fd = notify_fd, .events = POLLIN};
    if (poll(&p, 1, wait_ms) <= 0)
        return false;
    assert_int_equal(recv(notify_fd, text, sizeof text - 1, 0), 7);
    assert_string_equal(text, "READY=1");
    return true;
}
static void told_once_when_captured(void)
{
    page->waits = page->captured = true;
    run(LIVES, LIVES);
    wait_until(&page->warden_runs, 1);
    wait_until(&page->data_pid, 1);
    assert_false(is_told(200)); /* all is open, and nothing captured yet */
    page->waits = false;
    assert_true(is_told(WAIT_MS));
    wait_until(&page->echoed, 1);
    assert_int_equal(kill(page->data_pid, SIGKILL), 0);
    wait_until(&page->data_runs, 2);
    assert_false(is_told(200));
    assert_int_equal(kill(supervisor, SIGTERM), 0);
    (void)code_of_end();
    close(notify_fd);
    unsetenv("NOTIFY_SOCKET");
}
static void a_unit_is_started_when_all_is_captured(void **state)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    char path[80] = "@";
    (void)state;
    int n = snprintf(path + 1, sizeof path - 1, "weir-supervisor-test-%d", getpid());
    memcpy(sa.sun_path + 1, path + 1, (size_t)n);
    listen_at(&sa, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n));
    assert_int_equal(setenv("NOTIFY_SOCKET", path, 1), 0);
    told_once_when_captured();
}
static void the_socket_may_be_a_file(void **state)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    char folder[64];
    (void)state;
    assert_non_null(tmp_folder(folder, "supervisor"));
    snprintf(sa.sun_path, sizeof sa.sun_path, "%s/notify", folder);
    listen_at(&sa, sizeof sa);
    assert_int_equal(setenv("NOTIFY_SOCKET", sa.sun_path, 1), 0);
    told_once_when_captured();
    unlink(sa.sun_path);
    rmdir(folder);
}
static void nobody_listens_there(void **state)
{
    (void)state;
    page->captured = true;
    assert_int_equal(setenv("NOTIFY_SOCKET", "relative", 1), 0);
    run(LIVES, LIVES);
    wait_until(&page->echoed, 1);
    assert_int_equal(kill(supervisor, SIGTERM), 0);
    assert_int_equal(code_of_end(), 0);
    unsetenv("NOTIFY_SOCKET");
}

/* ---- ends ---- */

static void an_orderly_end_is_everybodys(void **state)
{
    (void)state;
    run(LIVES, LIVES);
    wait_until(&page->echoed, 1);
    assert_int_equal(kill(supervisor, SIGTERM), 0);
    assert_int_equal(code_of_end(), 0);
    assert_int_equal(page->signal, SIGTERM);
    assert_false(lives(page->warden_pid));
    assert_false(lives(page->data_pid));
    assert_int_equal(page->data_runs, 1);
}
static void signals_are_handed_on(void **state)
{
    (void)state;
    static const int sent[] = {SIGINT, SIGHUP}, got[] = {SIGINT, SIGTERM};
    for (int i = 0; i < 2; i++) {
        page->data_runs = page->echoed = 0;
        run(LIVES, LIVES);
        wait_until(&page->data_runs, 1); /* whatever it is doing by then */
        assert_int_equal(kill(supervisor, sent[i]), 0);
        assert_int_equal(code_of_end(), 0);
        assert_int_equal(page->signal, got[i]);
    }
}
static void a_mistake_in_the_settings_ends_all(void **state)
{
    (void)state;
    page->ready = false;
    run(LIVES, EXITS_2);
    assert_int_equal(code_of_end(), 2);
    assert_int_equal(page->data_runs, 1);
    assert_false(lives(page->warden_pid));
    run(EXITS_1, LIVES);
    assert_int_equal(code_of_end(), 1);
    assert_false(lives(page->data_pid));
}
static void who_was_leaving_is_not_started_again(void **state)
{
    (void)state;
    page->leaving = true;
    run(LIVES, CRASHES);
    assert_int_equal(code_of_end(), 128 + SIGABRT);
    assert_int_equal(page->data_runs, 1);

    page->leaving = false;
    page->stays = true;
    page->data_runs = page->echoed = 0;
    run(LIVES, LIVES);
    wait_until(&page->echoed, 1);
    assert_int_equal(kill(supervisor, SIGTERM), 0);
    wait_until(&page->signal, SIGTERM);
    assert_int_equal(kill(page->data_pid, SIGKILL), 0);
    assert_int_equal(code_of_end(), 128 + SIGKILL);
    assert_int_equal(page->data_runs, 1);
}
static void wait_for_log(int fd, const char *words)
{
    char said[2048];
    size_t len = 0;
    do {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&p, 1, WAIT_MS), 1);
        ssize_t n = read(fd, said + len, sizeof said - 1 - len);
        assert_true(n > 0); /* 0: it has ended */
        len += (size_t)n;
        said[len] = '\0';
    } while (!strstr(said, words));
}
static void who_was_replaced_waits_for_its_end(void **state)
{
    static const enum behaviour ends[] = {EXITS_0, CRASHES};
    (void)state;
    page->leaving = page->stays_when_replaced = true;
    for (int i = 0; i < 2; i++) {
        int out[2];
        page->data_runs = 0;
        assert_int_equal(pipe2(out, O_CLOEXEC), 0);
        log_to = out[1];
        run(LIVES, ends[i]);
        log_to = -1;
        close(out[1]);
        wait_for_log(out[0], "nothing is left to do");
        assert_int_equal(kill(supervisor, SIGTERM), 0);
        assert_int_equal(code_of_end(), 0);
        assert_int_equal(page->data_runs, 1);
        close(out[0]);
    }
    page->leaving = false; /* an end that nobody asked for */
    run(LIVES, EXITS_0);
    assert_int_equal(code_of_end(), 0);
}
static void nothing_outlives_a_killed_supervisor(void **state)
{
    (void)state;
    page->stays = true;
    run(LIVES, LIVES);
    wait_until(&page->echoed, 1);
    assert_int_equal(kill(supervisor, SIGKILL), 0);
    assert_int_equal(waitpid(supervisor, NULL, 0), supervisor);
    wait_until_gone(page->data_pid);
    wait_until_gone(page->warden_pid);
}

/* ---- restarts ---- */

static void whoever_dies_is_started_again_on_the_same_channel(void **state)
{
    (void)state;
    run(LIVES, LIVES);
    wait_until(&page->echoed, 1);
    assert_int_equal(kill(page->data_pid, SIGKILL), 0);
    wait_until(&page->echoed, 11); /* the second data process, by the first warden */
    assert_int_equal(page->warden_runs, 1);
    assert_int_equal(kill(page->warden_pid, SIGKILL), 0);
    wait_until(&page->warden_runs, 2);
    assert_int_equal(page->data_runs, 2);
    assert_int_equal(kill(page->data_pid, SIGKILL), 0);
    wait_until(&page->echoed, 21); /* and the third one by the second */
    assert_int_equal(kill(supervisor, SIGTERM), 0);
    assert_int_equal(code_of_end(), 0);
}
static void a_failure_after_it_was_ready_is_a_crash(void **state)
{
    (void)state;
    run(LIVES, EXITS_1);
    wait_until(&page->data_runs, 3);
    assert_int_equal(kill(supervisor, SIGTERM), 0);
    (void)code_of_end();
}
static void who_dies_again_and_again_is_started_less_and_less(void **state)
{
    (void)state;
    uint64_t start = clock_monotonic_ms();
    run(LIVES, CRASHES);
    wait_until(&page->data_runs, 2);
    wait_until(&page->data_runs, 5); /* after 0, 100, 200 and 400 ms */
    assert_true(clock_monotonic_ms() - start >= 700);
    assert_int_equal(page->warden_runs, 1);
    assert_int_equal(kill(supervisor, SIGTERM), 0); /* while it waits to start it */
    (void)code_of_end();
    assert_true(page->data_runs <= 6);
}
static void nobody_is_told_without_a_supervisor(void **state)
{
    (void)state;
    supervisor_tell(SUPERVISOR_READY);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nobody_is_told_without_a_supervisor),
        TEST(a_unit_is_started_when_all_is_captured),
        TEST(the_socket_may_be_a_file),
        TEST(nobody_listens_there),
        TEST(an_orderly_end_is_everybodys),
        TEST(signals_are_handed_on),
        TEST(a_mistake_in_the_settings_ends_all),
        TEST(who_was_leaving_is_not_started_again),
        TEST(who_was_replaced_waits_for_its_end),
        TEST(nothing_outlives_a_killed_supervisor),
        TEST(whoever_dies_is_started_again_on_the_same_channel),
        TEST(a_failure_after_it_was_ready_is_a_crash),
        TEST(who_dies_again_and_again_is_started_less_and_less),
    };
    return cmocka_run_group_tests_name("nodeproxy/supervisor", tests, NULL, NULL);
}
