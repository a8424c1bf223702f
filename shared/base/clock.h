/*
 * Time as a value. Code that decides by time gets it from its ring (ring_now_ms) or as a parameter,
 * so that tests can own it; only the programs and the real ring call these.
 */
#ifndef SHARED_BASE_CLOCK_H
#define SHARED_BASE_CLOCK_H
#include <stddef.h>
#include <stdint.h>

uint64_t clock_monotonic_ms(void);
uint64_t clock_monotonic_us(void);
uint64_t clock_thread_us(void); /* processor time of this thread; a system call */
int64_t clock_unix_s(void);
int64_t clock_unix_ms(void);
uint64_t clock_unix_us(void);
enum { CLOCK_TEXT_MAX = 32 };
/* RFC 3339 in UTC: 2026-11-22T18:45:00Z (with_ms: .123Z). Returns out. */
const char *clock_print(int64_t unix_ms, int with_ms, char out[static CLOCK_TEXT_MAX]);
#endif
