/*
 * Outlier detection (Envoy's OutlierDetection): endpoints that fail are left out for a while, which
 * gets longer each time. Pure: results and the clock come in, who is ejected comes out. One thread;
 * the detector's owner keeps an outlier_host per endpoint, in an array that the detector sees.
 */
#ifndef SHARED_MESH_OUTLIER_H
#define SHARED_MESH_OUTLIER_H
#include "shared/base/rng.h"
#include <stdbool.h>

/* Enforcing: percent of detections that eject; 0: only counted. */
struct outlier_settings {
    uint32_t consecutive_5xx, enforcing_consecutive_5xx;                         /* 5, 100 */
    uint32_t consecutive_gateway_failure, enforcing_consecutive_gateway_failure; /* 5, 0 */
    bool split_local_origin; /* what no server answered is counted apart: */
    uint32_t consecutive_local_origin_failure, enforcing_consecutive_local_origin; /* 5, 100 */
    uint64_t interval_ms, base_ejection_ms, max_ejection_ms, jitter_ms; /* 10 s, 30 s, 300 s, 0 */
    uint32_t max_ejection_percent;                                      /* 10 */
    bool always_eject_one;
    uint32_t enforcing_success_rate;                                     /* 100 */
    uint32_t success_rate_min_hosts, success_rate_volume;                /* 5, 100 */
    uint32_t success_rate_stdev_factor;                                  /* 1,900: thousandths */
    uint32_t failure_percentage_threshold, enforcing_failure_percentage; /* 85, 0 */
    uint32_t failure_percentage_min_hosts, failure_percentage_volume;    /* 5, 50 */
};
void outlier_settings_init(struct outlier_settings *s); /* Envoy's defaults */

struct outlier_host {
    uint32_t consecutive_5xx, consecutive_gateway, consecutive_local;
    uint64_t successes, requests; /* of this interval */
    bool ejected;
    uint64_t ejected_until_ms;
    uint32_t multiplier; /* how often the base time, the next time */
};
enum outlier_result {
    OUTLIER_SUCCESS, /* any answer below 500 */
    OUTLIER_5XX,
    OUTLIER_GATEWAY_ERROR, /* 502, 503, 504 */
    OUTLIER_LOCAL_FAILURE  /* no answer: connection refused, reset or timed out */
};
struct outlier {
    const struct outlier_settings *settings; /* borrowed */
    uint64_t next_interval_ms;
    uint32_t n_ejected;
    uint64_t ejections, unenforced; /* counted since the start */
};
void outlier_init(struct outlier *o, const struct outlier_settings *s, uint64_t now_ms);
/* true: the host is ejected now (and was not before). n_hosts: of the cluster. */
bool outlier_report(struct outlier *o, struct outlier_host *h, size_t n_hosts,
                    enum outlier_result result, uint64_t now_ms, struct rng *rng);
/* Once next_interval_ms has come: ends ejections that are over, looks at rates. true: who is
 * ejected has changed. */
bool outlier_tick(struct outlier *o, struct outlier_host *const *hosts, size_t n_hosts,
                  uint64_t now_ms, struct rng *rng);
void outlier_forget(struct outlier *o, struct outlier_host *h); /* the host goes */
#endif
