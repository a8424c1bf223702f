/* A bucket for each caller; see the header. */
#include "ca/rate.h"

#include <stdlib.h>

enum { SWEEP_MS = 1000 };
struct bucket {
    uint64_t tokens_milli, filled_ms; /* a thousandth of a request is the unit */
};

void rate_init(struct rate *r)
{
    map_init(&r->buckets, RATE_CALLERS_MAX);
    r->swept_ms = 0;
}

void rate_done(struct rate *r)
{
    map_done(&r->buckets, free);
}

static void fill(struct bucket *b, uint64_t now_ms)
{
    uint64_t tokens = b->tokens_milli + (now_ms - b->filled_ms) * RATE_PER_SECOND;
    b->tokens_milli = tokens > RATE_BURST * 1000 ? RATE_BURST * 1000 : tokens;
    b->filled_ms = now_ms;
}

/* Full buckets say nothing that a new one wouldn't. At most once a second: it looks at all. */
static void sweep(struct rate *r, uint64_t now_ms)
{
    struct map kept;
    const struct map_entry *e;
    if (r->buckets.count < RATE_CALLERS_MAX || now_ms - r->swept_ms < SWEEP_MS)
        return;
    r->swept_ms = now_ms;
    map_init(&kept, RATE_CALLERS_MAX);
    for (size_t i = 0; (e = map_next(&r->buckets, &i));) {
        struct bucket *b = e->value;
        fill(b, now_ms);
        if (b->tokens_milli == RATE_BURST * 1000 ||
            map_put(&kept, (struct text){e->key, e->key_len}, b, NULL) < 0)
            free(b);
    }
    map_done(&r->buckets, NULL);
    r->buckets = kept;
}

static struct bucket *bucket_new(struct rate *r, struct text caller, uint64_t now_ms)
{
    sweep(r, now_ms);
    struct bucket *b = malloc(sizeof *b);
    if (!b)
        return NULL;
    *b = (struct bucket){RATE_BURST * 1000, now_ms};
    if (map_put(&r->buckets, caller, b, NULL) < 0) {
        free(b);
        return NULL;
    }
    return b;
}

bool rate_take(struct rate *r, struct text caller, uint64_t now_ms)
{
    struct bucket *b = map_get(&r->buckets, caller);
    if (!b && !(b = bucket_new(r, caller, now_ms)))
        return false;
    fill(b, now_ms);
    if (b->tokens_milli < 1000)
        return false;
    b->tokens_milli -= 1000;
    return true;
}
