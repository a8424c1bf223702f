#include "shared/mesh/outlier.h"

#include <math.h>

enum { THOUSANDTHS = 1000 };

void outlier_settings_init(struct outlier_settings *s)
{
    *s = (struct outlier_settings){
        .consecutive_5xx = 5,
        .enforcing_consecutive_5xx = 100,
        .consecutive_gateway_failure = 5,
        .consecutive_local_origin_failure = 5,
        .enforcing_consecutive_local_origin = 100,
        .interval_ms = 10000,
        .base_ejection_ms = 30000,
        .max_ejection_ms = 300000,
        .max_ejection_percent = 10,
        .enforcing_success_rate = 100,
        .success_rate_min_hosts = 5,
        .success_rate_volume = 100,
        .success_rate_stdev_factor = 1900,
        .failure_percentage_threshold = 85,
        .failure_percentage_min_hosts = 5,
        .failure_percentage_volume = 50,
    };
}

void outlier_init(struct outlier *o, const struct outlier_settings *s, uint64_t now_ms)
{
    *o = (struct outlier){.settings = s, .next_interval_ms = now_ms + s->interval_ms};
}

static uint64_t longest(const struct outlier_settings *s)
{
    return s->max_ejection_ms > s->base_ejection_ms ? s->max_ejection_ms : s->base_ejection_ms;
}

/* The percentage is looked at before: the first one is always within it, unless it is 0. */
static bool may_eject(const struct outlier *o, size_t n_hosts)
{
    if (o->n_ejected == 0 && o->settings->always_eject_one)
        return true;
    return n_hosts > 0 &&
           (uint64_t)o->n_ejected * 100 < (uint64_t)o->settings->max_ejection_percent * n_hosts;
}

static bool eject(struct outlier *o, struct outlier_host *h, size_t n_hosts, uint32_t enforcing,
                  uint64_t now_ms, struct rng *rng)
{
    const struct outlier_settings *s = o->settings;
    uint64_t most = longest(s);

    if (h->ejected || !may_eject(o, n_hosts))
        return false;
    if (rng_below(rng, 100) >= enforcing) {
        o->unenforced++;
        return false;
    }
    if (s->base_ejection_ms * (h->multiplier + (uint64_t)1) < most + s->base_ejection_ms)
        h->multiplier++;
    uint64_t time = s->base_ejection_ms * h->multiplier;
    h->ejected = true;
    h->ejected_until_ms = now_ms + (time < most ? time : most) +
                          (s->jitter_ms ? rng_below(rng, s->jitter_ms + 1) : 0);
    o->n_ejected++;
    o->ejections++;
    return true;
}

/* Counts a failure in a row; once it is the threshold's, the count begins anew. */
static bool in_a_row(uint32_t *count, uint32_t threshold)
{
    if (threshold == 0 || ++*count < threshold)
        return false;
    *count = 0;
    return true;
}

bool outlier_report(struct outlier *o, struct outlier_host *h, size_t n_hosts,
                    enum outlier_result result, uint64_t now_ms, struct rng *rng)
{
    const struct outlier_settings *s = o->settings;
    bool ejected = false;

    if (result == OUTLIER_LOCAL_FAILURE && s->split_local_origin) {
        if (in_a_row(&h->consecutive_local, s->consecutive_local_origin_failure))
            ejected = eject(o, h, n_hosts, s->enforcing_consecutive_local_origin, now_ms, rng);
        return ejected;
    }
    h->requests++;
    h->consecutive_local = 0;
    if (result == OUTLIER_SUCCESS) {
        h->successes++;
        h->consecutive_5xx = h->consecutive_gateway = 0;
        return false;
    }
    /* Without the split, what no server answered is a 503. */
    if (result == OUTLIER_5XX)
        h->consecutive_gateway = 0;
    else if (in_a_row(&h->consecutive_gateway, s->consecutive_gateway_failure))
        ejected = eject(o, h, n_hosts, s->enforcing_consecutive_gateway_failure, now_ms, rng);
    if (in_a_row(&h->consecutive_5xx, s->consecutive_5xx))
        ejected |= eject(o, h, n_hosts, s->enforcing_consecutive_5xx, now_ms, rng);
    return ejected;
}

void outlier_forget(struct outlier *o, struct outlier_host *h)
{
    if (h->ejected)
        o->n_ejected--;
    h->ejected = false;
}

/* Who was ejected and has served its time comes back; who was well for an interval is sooner back
 * after its next ejection. */
static bool end_ejection(struct outlier *o, struct outlier_host *h, uint64_t now_ms)
{
    if (!h->ejected) {
        if (h->multiplier > 0)
            h->multiplier--;
        return false;
    }
    if (now_ms < h->ejected_until_ms)
        return false;
    h->consecutive_5xx = h->consecutive_gateway = h->consecutive_local = 0;
    outlier_forget(o, h);
    return true;
}

/* Was it asked often enough in this interval for its rate to say something? */
static bool says_something(const struct outlier_host *h, uint32_t volume)
{
    return !h->ejected && h->requests > 0 && h->requests >= volume;
}

static double success_rate(const struct outlier_host *h)
{
    return (double)h->successes / (double)h->requests;
}

static bool by_success_rate(struct outlier *o, struct outlier_host *const *hosts, size_t n_hosts,
                            uint64_t now_ms, struct rng *rng)
{
    const struct outlier_settings *s = o->settings;
    double sum = 0, squares = 0;
    size_t n = 0;
    bool changed = false;

    for (size_t i = 0; i < n_hosts; i++) {
        if (!says_something(hosts[i], s->success_rate_volume))
            continue;
        sum += success_rate(hosts[i]);
        n++;
    }
    if (n == 0 || n < s->success_rate_min_hosts)
        return false;
    double mean = sum / (double)n;
    for (size_t i = 0; i < n_hosts; i++) {
        if (!says_something(hosts[i], s->success_rate_volume))
            continue;
        double off = success_rate(hosts[i]) - mean;
        squares += off * off;
    }
    double least = mean - sqrt(squares / (double)n) * s->success_rate_stdev_factor / THOUSANDTHS;
    for (size_t i = 0; i < n_hosts; i++) {
        if (says_something(hosts[i], s->success_rate_volume) && success_rate(hosts[i]) < least)
            changed |= eject(o, hosts[i], n_hosts, s->enforcing_success_rate, now_ms, rng);
    }
    return changed;
}

static bool by_failure_percentage(struct outlier *o, struct outlier_host *const *hosts,
                                  size_t n_hosts, uint64_t now_ms, struct rng *rng)
{
    const struct outlier_settings *s = o->settings;
    size_t n = 0;
    bool changed = false;

    for (size_t i = 0; i < n_hosts; i++)
        n += says_something(hosts[i], s->failure_percentage_volume);
    if (n < s->failure_percentage_min_hosts)
        return false;
    for (size_t i = 0; i < n_hosts; i++) {
        struct outlier_host *h = hosts[i];
        if (says_something(h, s->failure_percentage_volume) &&
            (h->requests - h->successes) * 100 >= h->requests * s->failure_percentage_threshold)
            changed |= eject(o, h, n_hosts, s->enforcing_failure_percentage, now_ms, rng);
    }
    return changed;
}

bool outlier_tick(struct outlier *o, struct outlier_host *const *hosts, size_t n_hosts,
                  uint64_t now_ms, struct rng *rng)
{
    bool changed = false;

    if (now_ms < o->next_interval_ms)
        return false;
    o->next_interval_ms = now_ms + o->settings->interval_ms;
    for (size_t i = 0; i < n_hosts; i++)
        changed |= end_ejection(o, hosts[i], now_ms);
    if (o->settings->enforcing_success_rate > 0)
        changed |= by_success_rate(o, hosts, n_hosts, now_ms, rng);
    if (o->settings->enforcing_failure_percentage > 0)
        changed |= by_failure_percentage(o, hosts, n_hosts, now_ms, rng);
    for (size_t i = 0; i < n_hosts; i++)
        hosts[i]->requests = hosts[i]->successes = 0;
    return changed;
}
