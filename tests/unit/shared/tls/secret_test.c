#define _GNU_SOURCE
#include "shared/tls/secret.h"

#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* What /proc/self/smaps says of the mapping that an address is in. */
static struct mapping {
    uintptr_t from, to;
    char rights[5], flags[256];
} mapping;
static void look_at(const void *address)
{
    char line[512];
    struct mapping m = {0}, here = {0};
    FILE *f = fopen("/proc/self/smaps", "r");
    assert_non_null(f);
    memset(&mapping, 0, sizeof mapping);
    while (!mapping.to && fgets(line, sizeof line, f)) {
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s", &here.from, &here.to, here.rights) == 3) {
            m = here;
            continue;
        }
        if (strncmp(line, "VmFlags:", 8) == 0 && (uintptr_t)address >= m.from &&
            (uintptr_t)address < m.to) {
            snprintf(m.flags, sizeof m.flags, "%.200s", line);
            mapping = m;
        }
    }
    fclose(f);
    assert_true(mapping.to > 0);
}

static void pages_between_guards(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 64, 4096, 4097, 100000};
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        uint8_t *secret = secret_new(sizes[i]);
        assert_non_null(secret);
        for (size_t k = 0; k < sizes[i]; k++)
            assert_int_equal(secret[k], 0);
        look_at(secret);
        struct mapping m = mapping;
        assert_int_equal(m.from, (uintptr_t)secret);
        assert_in_range(m.to - m.from, sizes[i], sizes[i] + page - 1);
        assert_string_equal(m.rights, "rw-p");
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* mlock() does nothing there */
        assert_non_null(strstr(m.flags, " lo"));
#endif
        assert_non_null(strstr(m.flags, " dd"));
        assert_non_null(strstr(m.flags, " wf"));
        look_at((void *)(m.from - 1));
        assert_string_equal(mapping.rights, "---p");
        look_at((void *)m.to);
        assert_string_equal(mapping.rights, "---p");
        assert_null(secret_free(secret, sizes[i]));
    }
    assert_null(secret_free(NULL, 1));
    assert_null(secret_new(0));
    assert_null(secret_new(SIZE_MAX));
    assert_null(secret_new(SIZE_MAX / 2));
}

static int in_child(int (*run)(uint8_t *secret), uint8_t *secret)
{
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        signal(SIGSEGV, SIG_DFL);
        _exit(run(secret));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}
static int first_byte(uint8_t *secret)
{
    return secret[0];
}
static int byte_before(uint8_t *secret)
{
    return ((volatile uint8_t *)secret)[-1];
}
static int page_behind(uint8_t *secret)
{
    return ((volatile uint8_t *)secret)[sysconf(_SC_PAGESIZE)];
}
static void nobody_else_sees_it(void **state)
{
    (void)state;
    uint8_t *secret = secret_new(32);
    assert_non_null(secret);
    memset(secret, 7, 32);
    int status = in_child(first_byte, secret);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0); /* it is zero there */
    assert_true(WIFSIGNALED(in_child(byte_before, secret)));
    assert_true(WIFSIGNALED(in_child(page_behind, secret)));
    assert_int_equal(secret[0], 7);
    secret_free(secret, 32);
}

/* Beyond what may be locked there are secrets all the same. */
static int without_limit(uint8_t *unused)
{
    const struct rlimit none = {0, 0};
    (void)unused;
    if (setrlimit(RLIMIT_MEMLOCK, &none) < 0 || (setuid(65534) < 0 && getuid() == 0))
        return 1;
    uint8_t *secret = secret_new(32);
    if (!secret)
        return 2;
    memset(secret, 7, 32);
    return secret_free(secret, 32) ? 3 : 0;
}
static void without_the_right_to_lock(void **state)
{
    (void)state;
    int status = in_child(without_limit, NULL);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_between_guards),
        cmocka_unit_test(nobody_else_sees_it),
        cmocka_unit_test(without_the_right_to_lock),
    };
    return cmocka_run_group_tests_name("tls/secret", tests, NULL, NULL);
}
