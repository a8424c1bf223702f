/*
 * Counters and gauges in Prometheus text form (0.0.4; also OpenMetrics by Accept). A metric family is
 * declared once; a series is a set of label values. Series are owned by the thread that counts in
 * them (per worker: no atomic read-modify-write); a scrape sums the workers' series of equal labels
 * by reading relaxed atomics. Bounded: series_max per family and thread, and of HISTOGRAMs, whose
 * series are printed as 22 lines each, METRIC_HISTOGRAMS_MAX; beyond it everything counts into one
 * series whose labels are all "overflow", and weir_metric_series_left_out_total says how often one
 * was asked for.
 *
 * A scrape on another thread walks the series without a lock. What metrics_drop() takes out is kept
 * until no scrape that could have seen it runs.
 */
#ifndef SHARED_SERVICE_METRICS_H
#define SHARED_SERVICE_METRICS_H
#include "shared/base/map.h"
#include <stdatomic.h>

/* SECONDS: a histogram of durations, from a millisecond on, or, SHORT, from 20 microseconds on; its
 * last label is "le", and metrics_observe() fills it. HISTOGRAM: of whole numbers, with the bounds
 * that Envoy has; metric_observe() fills it. */
enum metric_kind {
    METRIC_COUNTER,
    METRIC_GAUGE,
    METRIC_SECONDS,
    METRIC_SHORT_SECONDS,
    METRIC_HISTOGRAM,
};
enum {
    METRIC_LABELS_MAX = 32,
    METRIC_LABEL_BYTES_MAX = 8192, /* all values of a series together; longer ones are overflow */
    METRIC_BOUNDS = 19,            /* of a HISTOGRAM, without +Inf */
    METRIC_HISTOGRAMS_MAX = 2000,
};
struct metric_family {       /* static: it lives as long as any struct metrics that saw it */
    const char *name, *help; /* counters: a name that ends in _total */
    enum metric_kind kind;
    const char *const *labels;
    size_t n_labels;
};
struct metric_counts { /* of a HISTOGRAM: how many fell between two bounds, and the sum of all */
    _Atomic uint64_t between[METRIC_BOUNDS + 1], sum;
};
struct metric_series {
    _Atomic uint64_t value; /* gauges: as int64_t; histograms: how many */
    /* n_labels of the family; owned, escaped on output only. NULL: nobody's. */
    _Atomic(char **) label_values;
    struct metric_counts *counts; /* NULL: no histogram */
    uint32_t holders;             /* who keep the pointer: until they let go it is not dropped */
};
struct metrics; /* one per thread that counts */
int metrics_new(struct metrics **ret, size_t series_max);
struct metrics *metrics_free(struct metrics *m); /* no scrape may run */
/* The series of these label values (n_labels of them); never NULL (overflow, or a static one without
 * memory). The pointer lives as long as m, of a family that is dropped from as long as it is held.
 * Owner thread only. */
struct metric_series *metrics_series(struct metrics *m, const struct metric_family *family,
                                     const struct text *label_values);
static inline void metric_add(struct metric_series *s, uint64_t n)
{
    uint64_t value = atomic_load_explicit(&s->value, memory_order_relaxed);
    atomic_store_explicit(&s->value, value + n, memory_order_relaxed);
}
static inline void metric_set(struct metric_series *s, int64_t v)
{
    atomic_store_explicit(&s->value, (uint64_t)v, memory_order_relaxed);
}
void metric_observe(struct metric_series *s, uint64_t value); /* one more, for a HISTOGRAM */
static inline struct metric_series *metric_hold(struct metric_series *s)
{
    s->holders++;
    return s;
}
static inline void metric_let_go(struct metric_series *s)
{
    s->holders--;
}
/* Takes out the series of the family that nobody holds and of which `gone` says so, with what they
 * counted; how many. Owner thread only. */
size_t metrics_drop(struct metrics *m, const struct metric_family *family,
                    bool (*gone)(void *user, char *const *label_values), void *user);
extern const struct metric_family metrics_left_out;
/* One more duration, for a family of one of the SECONDS; label_values has room for the last one. Owner
 * thread only. */
void metrics_observe(struct metrics *m, const struct metric_family *family,
                     struct text *label_values, uint64_t us);
/* Sums and prints all, sorted by family and label values; any thread, while owners count. Without
 * memory out->failed is set. */
void metrics_print(struct metrics *const *all, size_t n, bool open_metrics, struct text_heap *out);
/* Does this Accept header ask for OpenMetrics? And what metrics_print() then makes. */
bool metrics_accepts_open(struct text accept);
const char *metrics_content_type(bool open_metrics);
#endif
