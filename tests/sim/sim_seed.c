#include "tests/sim/sim_seed.h"

#include <dlfcn.h>
#include <link.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef __SANITIZE_THREAD__
enum { RUN_S_MAX = 1200 };
#else
enum { RUN_S_MAX = 120 }; /* the slowest take 5, under asan on a busy machine */
#endif

static const uint64_t *watched;
static uint64_t first_failed;
static bool any_failed;

void seed_failed(uint64_t seed)
{
    if (!any_failed)
        first_failed = seed;
    any_failed = true;
    fprintf(stderr, "WEIR_SEED=%llu\n", (unsigned long long)seed);
}

/* Also from a signal's handler, and where there is no memory. */
static void tell(void)
{
    char line[sizeof "WEIR_SEED=\n" + 20] = "WEIR_SEED=", digits[20];
    size_t n = sizeof "WEIR_SEED=" - 1, n_digits = 0;
    uint64_t seed = any_failed ? first_failed : *watched;
    do
        digits[n_digits++] = (char)('0' + seed % 10);
    while ((seed /= 10) > 0);
    while (n_digits > 0)
        line[n++] = digits[--n_digits];
    line[n++] = '\n';
    if (write(STDERR_FILENO, line, n) < 0)
        _exit(1); /* nobody listens */
}

/* Weak: there only with a sanitizer. */
void __sanitizer_print_stack_trace(void) __attribute__((weak));

static void ended_by(int signal_number)
{
    if (signal_number == SIGALRM && __sanitizer_print_stack_trace)
        __sanitizer_print_stack_trace(); /* where a run is that does not end */
    tell();
    (void)raise(signal_number); /* it is the default's again, and comes when this returns */
}

/* Weak: there only with AddressSanitizer. */
void __lsan_disable(void) __attribute__((weak));
void __lsan_enable(void) __attribute__((weak));

/* Each sanitizer that is there has an end of its own. */
static int watch_sanitizer(struct dl_phdr_info *loaded, size_t size, void *arg)
{
    void (*set)(void (*callback)(void)) = NULL;
    (void)size, (void)arg;
    if (!strstr(loaded->dlpi_name, "san.so"))
        return 0;
    void *library = dlopen(loaded->dlpi_name, RTLD_LAZY | RTLD_NOLOAD);
    if (!library)
        return 0;
    *(void **)&set = dlsym(library, "__sanitizer_set_death_callback");
    if (set)
        set(tell);
    (void)dlclose(library);
    return 0;
}

void seed_begins(void)
{
    (void)alarm(RUN_S_MAX);
}

void seed_watch(const uint64_t *current)
{
    static const int signals[] = {SIGABRT, SIGTERM, SIGINT, SIGALRM};
    struct sigaction action = {.sa_handler = ended_by, .sa_flags = (int)SA_RESETHAND};
    watched = current;
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        (void)sigaction(signals[i], &action, NULL);
    if (__lsan_disable)
        __lsan_disable(); /* what the loader keeps for itself looks lost */
    (void)dl_iterate_phdr(watch_sanitizer, NULL);
    if (__lsan_enable)
        __lsan_enable();
}

int seed_tell(int n_failed)
{
    if (n_failed == 0)
        return 0;
    (void)fflush(NULL);
    tell();
    _exit(n_failed < 100 ? n_failed : 100);
}
