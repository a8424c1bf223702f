/*
 * The date of a simulation: as long as there is a simulated network, the time of day goes with its clock, from the same day on
 * in each run. So a certificate that a story makes for half a minute has the same bytes tomorrow, and is over when the
 * story says so. Never linked into anything but a simulation.
 */
#include "tests/support/fake_net.h"

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { FIRST_DAY_S = 1767225600 /* 2026-01-01 */ };

/* These stand before the C library's, for everything that is linked into the program. */
int clock_gettime(clockid_t id, struct timespec *ret)
{
    if (id != CLOCK_REALTIME || !fake_net_current)
        return (int)syscall(SYS_clock_gettime, id, ret);
    uint64_t ms = fake_net_now_ms(fake_net_current);
    ret->tv_sec = FIRST_DAY_S + (time_t)(ms / 1000);
    ret->tv_nsec = (long)(ms % 1000) * 1000000;
    return 0;
}

time_t time(time_t *ret)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (ret)
        *ret = now.tv_sec;
    return now.tv_sec;
}
