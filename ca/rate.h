/*
 * How many requests one caller may make: a bucket for each, which holds RATE_BURST and gains
 * RATE_PER_SECOND. Bounded: callers that have a bucket. One thread.
 */
#ifndef CA_RATE_H
#define CA_RATE_H
#include "shared/base/map.h"

enum { RATE_CALLERS_MAX = 100000, RATE_BURST = 1000, RATE_PER_SECOND = 100 };
struct rate {
    struct map buckets; /* caller -> struct bucket */
    uint64_t swept_ms;
};
void rate_init(struct rate *r);
void rate_done(struct rate *r);
/* False: not now. now_ms is monotonic. */
bool rate_take(struct rate *r, struct text caller, uint64_t now_ms);
#endif
