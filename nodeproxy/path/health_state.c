/* What answers to health checks mean; see health_probe.h. */
#include "nodeproxy/path/health_probe.h"

/* Envoy's rules: what can't be reached has to fail some times in a row, what says no is believed at once; the first answer of
 * all is believed, too, if it is a good one. */
void health_state_see(struct health_state *s, const struct health_check *check,
                      enum health_verdict v)
{
    if (v == HEALTH_GOOD) {
        s->n_bad = 0;
        s->n_good += s->failed;
        if (s->n_good >= check->healthy_threshold || !s->judged)
            s->failed = false;
    } else {
        s->n_good = 0;
        s->n_bad += !s->failed;
        if (v == HEALTH_BAD_ANSWER || s->n_bad >= check->unhealthy_threshold)
            s->failed = true;
    }
    if (!s->failed)
        s->n_good = 0;
    s->judged = true;
}

uint64_t health_state_wait_ms(const struct health_state *s, const struct health_check *check,
                              struct rng *rng)
{
    uint64_t ms = s->failed && check->unhealthy_interval_ms ? check->unhealthy_interval_ms
                                                            : check->interval_ms;
    uint64_t jitter = ms / 100 * check->jitter_percent + ms % 100 * check->jitter_percent / 100;
    return jitter > 0 ? ms + rng_below(rng, jitter + 1) : ms;
}

bool health_has_share(size_t its, size_t all, size_t max)
{
    enum { PART = 8 };
    return all < max && its * PART < max - (all - its);
}

/* A length-prefixed message that is not compressed; of it the field 1, a varint (grpc/health/v1/health.proto). What else may
 * stand in it, and a value of more than one byte, is no status that we know. */
bool health_grpc_serving(struct text frame)
{
    enum { PREFIX = 5, STATUS_TAG = 1 << 3, SERVING = 1 };
    const uint8_t *b = (const uint8_t *)frame.data;
    if (frame.len < PREFIX + 2 || b[0] != 0)
        return false;
    size_t len = (size_t)b[1] << 24 | (size_t)b[2] << 16 | (size_t)b[3] << 8 | b[4];
    return len == 2 && b[PREFIX] == STATUS_TAG && b[PREFIX + 1] == SERVING;
}
