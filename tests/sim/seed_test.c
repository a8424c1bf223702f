/*
 * A program of stories that fails says at its very end which seed it was, however it failed: each way
 * in a process of its own, whose last line is looked at.
 */
#include "tests/sim/sim_seed.h"
#include "tests/sim/sim_story.h"
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TEXT_SIZE = 1 << 20 };
static const char *const expected = "WEIR_SEED=123456789012";

/* ---- the ways; each in the middle of its run ---- */

static void *volatile lost;

static void by_assertion(void)
{
    assert_int_equal(1, 2);
}
static void by_abort(void)
{
    abort();
}
static void by_signal(void)
{
    (void)raise(SIGTERM);
}
#ifndef __SANITIZE_THREAD__ /* which forbids that cmocka leaves a signal's handler by a jump */
static void by_segv(void)
{
    (void)raise(SIGSEGV);
}
#endif
/* What a failed test leaves is no leak that anybody wants to read of. */
static void by_assertion_with_a_leak(void)
{
    lost = malloc(100);
    lost = NULL;
    assert_int_equal(1, 2);
}
#ifdef __SANITIZE_ADDRESS__
static void by_use_after_free(void)
{
    char *volatile text = malloc(8);
    assert_non_null(text);
    free(text);
    *text = 'x';
}
static void by_undefined_behaviour(void)
{
    volatile int most = INT32_MAX;
    most = most + 1;
}
/* The one that fails no test: it is found when the program ends. */
static void by_leak(void)
{
    (void)story_end();
    for (int i = 0; i < 100; i++) /* one may be seen in a register */
        lost = malloc(100);
    lost = NULL;
}
#endif

/* ---- looking ---- */

static void (*way)(void);

static void story_that_fails(void **state)
{
    (void)state;
    story_seed = 123456789012;
    story_begin(story_seed);
    way();
}

static void play(int output)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(story_that_fails, story_over)};
    (void)dup2(output, STDOUT_FILENO);
    (void)dup2(output, STDERR_FILENO);
    exit(story_main(tests, ARRAY_SIZE(tests)));
}

static void last_line_is_the_seed(void (*how)(void))
{
    static char text[TEXT_SIZE];
    size_t len = 0;
    int ends[2], status;
    assert_int_equal(pipe(ends), 0);
    (void)fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        way = how;
        play(ends[1]);
    }
    close(ends[1]);
    for (ssize_t n; (n = read(ends[0], text + len, sizeof text - 1 - len)) > 0;)
        len += (size_t)n;
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_false(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    while (len > 0 && text[len - 1] == '\n')
        len--;
    text[len] = '\0';
    const char *newline = strrchr(text, '\n');
    const char *last = newline ? newline + 1 : text;
    if (strcmp(last, expected) != 0)
        fail_msg("the last line is '%s' of: %s", last, text);
}

#define WAY(name)                                                                                  \
    static void name##_tells(void **state)                                                         \
    {                                                                                              \
        (void)state;                                                                               \
        last_line_is_the_seed(name);                                                               \
    }
#ifdef __SANITIZE_ADDRESS__
#define WITH_ADDRESSES(X) X(by_use_after_free) X(by_undefined_behaviour) X(by_leak)
#else
#define WITH_ADDRESSES(X)
#endif
#ifdef __SANITIZE_THREAD__
#define WITH_JUMPS(X)
#else
#define WITH_JUMPS(X) X(by_segv)
#endif
#define WAYS(X)                                                                                    \
    X(by_assertion)                                                                                \
    X(by_abort) X(by_signal) X(by_assertion_with_a_leak) WITH_JUMPS(X) WITH_ADDRESSES(X)
WAYS(WAY)

int main(void)
{
#define TEST(name) cmocka_unit_test(name##_tells),
    const struct CMUnitTest tests[] = {WAYS(TEST)};
    unsetenv("WEIR_STORY");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
