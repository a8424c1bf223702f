/* The life of a program: real signals to this process, on the real ring. */
#include "shared/service/lifecycle.h"
#include "tests/unit/shared/transport/fixture.h"
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

static struct lifecycle l;
static unsigned n_drain, n_force, n_closed;
static bool close_in_drain;

static void on_drain(struct lifecycle *life)
{
    assert_ptr_equal(life, &l);
    assert_ptr_equal(life->user, &n_drain);
    n_drain++;
    if (close_in_drain)
        lifecycle_close(life);
    bed_poke();
}
static void on_force(struct lifecycle *life)
{
    assert_ptr_equal(life, &l);
    n_force++;
    bed_poke();
}
static void on_closed(struct lifecycle *life)
{
    assert_int_equal(life->signal_fd, -1);
    n_closed++;
    bed_poke();
}

static bool drain_begun(void)
{
    return n_drain > 0;
}
static bool is_forced(void)
{
    return n_force > 0;
}
static bool is_closed(void)
{
    return n_closed > 0;
}

static int begin(void **state)
{
    if (bed_open(state) < 0)
        return -1;
    n_drain = n_force = n_closed = 0;
    close_in_drain = false;
    return 0;
}

static void open_with(uint64_t drain_ms)
{
    assert_int_equal(lifecycle_open(&l, bed.ring, drain_ms, on_drain, on_force, &n_drain), 0);
    l.closed = on_closed;
}

static void finish(void)
{
    lifecycle_close(&l);
    bed_run_until(is_closed);
    assert_int_equal(n_closed, 1);
}

static void drains_once_then_ends(void **state)
{
    (void)state;
    for (int with_int = 0; with_int < 2; with_int++) {
        n_drain = n_force = n_closed = 0;
        open_with(100000);
        assert_int_equal(kill(getpid(), with_int ? SIGINT : SIGTERM), 0);
        bed_run_until(drain_begun);
        assert_int_equal(n_force, 0);
        assert_true(l.draining);
        assert_int_equal(kill(getpid(), with_int ? SIGTERM : SIGINT), 0);
        bed_run_until(is_forced);
        /* A third one changes nothing. */
        assert_int_equal(kill(getpid(), SIGTERM), 0);
        bed_wait_ms(10);
        assert_int_equal(n_drain, 1);
        assert_int_equal(n_force, 1);
        finish();
    }
}

/* A drain for another reason: who then sends the first signal does not mean "now". */
static void drains_without_a_signal(void **state)
{
    (void)state;
    open_with(100000);
    lifecycle_drain(&l, "somebody else does it");
    lifecycle_drain(&l, "once more");
    assert_int_equal(n_drain, 1);
    assert_false(lifecycle_ready(&l, NULL));
    assert_int_equal(kill(getpid(), SIGTERM), 0);
    bed_wait_ms(20);
    assert_int_equal(l.signals, 1);
    assert_int_equal(n_force, 0);
    assert_int_equal(kill(getpid(), SIGTERM), 0);
    bed_run_until(is_forced);
    assert_int_equal(n_drain, 1);
    finish();
}

static void deadline_ends_it(void **state)
{
    (void)state;
    open_with(20);
    assert_int_equal(kill(getpid(), SIGTERM), 0);
    bed_run_until(is_forced);
    assert_int_equal(n_drain, 1);
    /* Later signals change nothing. */
    n_closed = 0;
    assert_int_equal(kill(getpid(), SIGTERM), 0);
    finish();
    assert_int_equal(n_force, 1);
}

static void closed_in_its_own_event(void **state)
{
    (void)state;
    open_with(20);
    close_in_drain = true;
    assert_int_equal(kill(getpid(), SIGTERM), 0);
    assert_int_equal(kill(getpid(), SIGINT), 0); /* not read any more, */
    bed_run_until(is_closed);
    assert_int_equal(n_drain, 1);
    assert_int_equal(n_force, 0);
    /* so it is the next one's. */
    close_in_drain = false;
    n_drain = n_closed = 0;
    open_with(20);
    bed_run_until(drain_begun);
    finish();
}

static void pipes_may_break(void **state)
{
    int fds[2];

    (void)state;
    open_with(20);
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    close(fds[0]);
    assert_int_equal(write(fds[1], "x", 1), -1);
    assert_int_equal(errno, EPIPE);
    close(fds[1]);
    finish();
}

static void *mask_of_thread(void *arg)
{
    sigset_t *mask = arg;
    pthread_sigmask(SIG_BLOCK, NULL, mask);
    return NULL;
}

static void threads_do_not_get_the_signals(void **state)
{
    pthread_t thread;
    sigset_t mask;

    (void)state;
    open_with(20);
    assert_int_equal(pthread_create(&thread, NULL, mask_of_thread, &mask), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(sigismember(&mask, SIGTERM) && sigismember(&mask, SIGINT));
    finish();
}

static void readiness(void **state)
{
    char text[100];
    struct text_out why = TEXT_OUT(text);

    (void)state;
    open_with(20);
    assert_true(lifecycle_ready(&l, NULL));
    lifecycle_wait_for(&l, "xds");
    lifecycle_wait_for(&l, "certificates");
    lifecycle_wait_for(&l, "xds");
    assert_false(lifecycle_ready(&l, &why));
    assert_string_equal(text, "waiting for xds, certificates");
    lifecycle_reached(&l, "xds");
    lifecycle_reached(&l, "something else");
    why = TEXT_OUT(text);
    assert_false(lifecycle_ready(&l, &why));
    assert_string_equal(text, "waiting for certificates");
    lifecycle_reached(&l, "certificates");
    why = TEXT_OUT(text);
    assert_true(lifecycle_ready(&l, &why));
    assert_string_equal(text, "");
    for (int i = 0; i < LIFECYCLE_CONDITIONS_MAX; i++) {
        static const char *const names[] = {"1", "2", "3", "4", "5", "6", "7", "8"};
        lifecycle_wait_for(&l, names[i]);
    }
    assert_false(lifecycle_ready(&l, NULL));
    assert_int_equal(kill(getpid(), SIGTERM), 0);
    bed_run_until(drain_begun);
    assert_false(lifecycle_ready(&l, &why));
    assert_string_equal(text, "draining");
    finish();
}

static void version(void **state)
{
    static const struct library_version libraries[] = {{"wolfSSL", "5.7.2 (AES-NI)"},
                                                       {"nghttp2", "1.52.0"}};
    char text[400] = "";

    (void)state;
    int out = memfd_create("out", MFD_CLOEXEC), kept = dup(1);
    assert_true(out >= 0 && kept >= 0);
    fflush(stdout);
    assert_int_equal(dup2(out, 1), 1);
    lifecycle_print_version("weir-nodeproxy", libraries, 2);
    fflush(stdout);
    assert_int_equal(dup2(kept, 1), 1);
    assert_true(pread(out, text, sizeof text - 1, 0) > 0);
    close(out);
    close(kept);
    assert_non_null(strstr(text, "weir-nodeproxy 0."));
    assert_ptr_equal(strstr(text, "weir-nodeproxy 0."), text);
    assert_non_null(strstr(text, ")\nwolfSSL 5.7.2 (AES-NI)\nnghttp2 1.52.0\n"));
}

#define ON_RING(test) cmocka_unit_test_setup_teardown(test, begin, bed_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_RING(drains_once_then_ends),
        ON_RING(drains_without_a_signal),
        ON_RING(deadline_ends_it),
        ON_RING(closed_in_its_own_event),
        ON_RING(pipes_may_break),
        ON_RING(threads_do_not_get_the_signals),
        ON_RING(readiness),
        ON_RING(version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
