#include "shared/base/clock.h"

#include <stdio.h>
#include <time.h>

static struct timespec read_clock(clockid_t id)
{
    struct timespec ts = {0};
    (void)clock_gettime(id, &ts); /* fails only for a clock that does not exist */
    return ts;
}

static uint64_t read_us(clockid_t id)
{
    struct timespec ts = read_clock(id);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

uint64_t clock_monotonic_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

uint64_t clock_thread_us(void)
{
    return read_us(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t clock_monotonic_ms(void)
{
    return clock_monotonic_us() / 1000;
}

int64_t clock_unix_s(void)
{
    return read_clock(CLOCK_REALTIME).tv_sec;
}

int64_t clock_unix_ms(void)
{
    struct timespec ts = read_clock(CLOCK_REALTIME);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

uint64_t clock_unix_us(void)
{
    return read_us(CLOCK_REALTIME);
}

const char *clock_print(int64_t unix_ms, int with_ms, char out[static CLOCK_TEXT_MAX])
{
    /* RFC 3339 has four digits for the year: 0001-01-01 to 9999-12-31. */
    const int64_t first = -62135596800000, last = 253402300799999;
    struct tm tm;

    if (unix_ms < first)
        unix_ms = first;
    if (unix_ms > last)
        unix_ms = last;
    int64_t ms = unix_ms % 1000;
    if (ms < 0)
        ms += 1000;
    time_t s = (time_t)((unix_ms - ms) / 1000);
    if (!gmtime_r(&s, &tm)) {
        out[0] = '\0';
        return out;
    }
    size_t n = strftime(out, CLOCK_TEXT_MAX, "%Y-%m-%dT%H:%M:%S", &tm);
    /* glibc's %Y does not pad; years below 1000 come from nowhere but damaged input. */
    if (with_ms)
        (void)snprintf(out + n, CLOCK_TEXT_MAX - n, ".%03dZ", (int)ms);
    else
        (void)snprintf(out + n, CLOCK_TEXT_MAX - n, "Z");
    return out;
}
