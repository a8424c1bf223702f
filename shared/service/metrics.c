#include "shared/service/metrics.h"

#include "shared/base/list.h"
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

enum { BLOCK_SERIES = 64 };

/* What another thread reads is written before the pointer or the count that leads to it is stored
 * with release. */
struct block {
    _Atomic(struct block *) next;
    _Atomic size_t n;
    struct metric_series series[BLOCK_SERIES];
};
struct dropped { /* out of the map; its label values may still be being read */
    struct dropped *next;
    struct metric_series *series;
    char **label_values;
};
struct family {
    const struct metric_family *is;
    _Atomic(struct family *) next;
    _Atomic(struct block *) first;
    struct block *last; /* owner only, as what follows */
    size_t n_series;
    struct metric_series *overflow; /* NULL until it is needed */
    struct dropped *dropped, *free; /* that may still be read; that are places for new ones */
    struct map by_values;
};
struct metrics {
    size_t series_max;
    _Atomic unsigned scrapes; /* that run now */
    _Atomic(struct family *) first;
    struct family *last;
    struct map by_family; /* its key is the pointer to the declaration */
};

/* Counts into the void, where there is no memory to count. */
static _Thread_local struct metric_series nowhere;

/* ---- the counting side ------------------------------------------------------------------------ */

int metrics_new(struct metrics **ret, size_t series_max)
{
    struct metrics *m = calloc(1, sizeof *m);
    if (!m)
        return -ENOMEM;
    m->series_max = series_max;
    map_init(&m->by_family, 0);
    *ret = m;
    return 0;
}

static void dropped_free(struct dropped *d)
{
    while (d) {
        struct dropped *next = d->next;
        free(d->label_values);
        free(d);
        d = next;
    }
}

static void family_free(struct family *f)
{
    struct block *next;

    for (struct block *b = atomic_load_explicit(&f->first, memory_order_relaxed); b; b = next) {
        size_t n = atomic_load_explicit(&b->n, memory_order_relaxed);
        next = atomic_load_explicit(&b->next, memory_order_relaxed);
        for (size_t i = 0; i < n; i++) {
            free(b->series[i].label_values);
            free(b->series[i].counts);
        }
        free(b);
    }
    dropped_free(f->dropped);
    dropped_free(f->free);
    map_done(&f->by_values, NULL);
    free(f);
}

struct metrics *metrics_free(struct metrics *m)
{
    struct family *next;

    if (!m)
        return NULL;
    for (struct family *f = atomic_load_explicit(&m->first, memory_order_relaxed); f; f = next) {
        next = atomic_load_explicit(&f->next, memory_order_relaxed);
        family_free(f);
    }
    map_done(&m->by_family, NULL);
    free(m);
    return NULL;
}

static struct text family_key(const struct metric_family *const *family)
{
    return (struct text){(const char *)family, sizeof *family};
}

static struct family *family_get(struct metrics *m, const struct metric_family *is)
{
    struct family *f = map_get(&m->by_family, family_key(&is));

    if (f)
        return f;
    assert(is->n_labels <= METRIC_LABELS_MAX);
    f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    f->is = is;
    map_init(&f->by_values, 0);
    if (map_put(&m->by_family, family_key(&is), f, NULL) < 0) {
        free(f);
        return NULL;
    }
    atomic_store_explicit(m->last ? &m->last->next : &m->first, f, memory_order_release);
    m->last = f;
    return f;
}

/* A place that was somebody's, or one in the last block, which series_publish() makes seen. */
static struct metric_series *series_place(struct family *f)
{
    struct block *b = f->last;

    if (f->free)
        return f->free->series;
    if (!b || atomic_load_explicit(&b->n, memory_order_relaxed) == BLOCK_SERIES) {
        b = calloc(1, sizeof *b);
        if (!b)
            return NULL;
        atomic_store_explicit(f->last ? &f->last->next : &f->first, b, memory_order_release);
        f->last = b;
    }
    return &b->series[atomic_load_explicit(&b->n, memory_order_relaxed)];
}

static void series_publish(struct family *f, struct metric_series *s, char **label_values)
{
    struct dropped *place = f->free;

    atomic_store_explicit(&s->label_values, label_values, memory_order_release);
    if (place && place->series == s) {
        f->free = place->next;
        free(place);
        return;
    }
    size_t n = atomic_load_explicit(&f->last->n, memory_order_relaxed);
    atomic_store_explicit(&f->last->n, n + 1, memory_order_release);
}

/* The pointers and the texts in one block. */
static char **values_copy(const struct text *values, size_t n)
{
    size_t bytes = 1;
    for (size_t i = 0; i < n; i++)
        bytes += values[i].len + 1;
    char **copy = malloc(n * sizeof *copy + bytes);
    if (!copy)
        return NULL;
    char *at = (char *)(copy + n);
    for (size_t i = 0; i < n; i++) {
        copy[i] = at;
        if (values[i].len > 0)
            memcpy(at, values[i].data, values[i].len);
        at += values[i].len;
        *at++ = '\0';
    }
    return copy;
}

/* With room for what it counts; its memory stays with the place when it goes unpublished. */
static struct metric_series *series_make(struct family *f, const struct text *label_values,
                                         char ***ret_values)
{
    struct metric_series *s = series_place(f);

    if (!s)
        return NULL;
    if (f->is->kind == METRIC_HISTOGRAM && !s->counts)
        s->counts = calloc(1, sizeof *s->counts);
    if (f->is->kind == METRIC_HISTOGRAM && !s->counts)
        return NULL;
    *ret_values = values_copy(label_values, f->is->n_labels);
    return *ret_values ? s : NULL;
}

static const char *const left_out_labels[] = {"family"};
const struct metric_family metrics_left_out = {
    "weir_metric_series_left_out_total",
    "Series that were asked for and not kept, because their family has too many or memory ran out.",
    METRIC_COUNTER, left_out_labels, 1};

static struct metric_series *overflow(struct metrics *m, struct family *f)
{
    struct text values[METRIC_LABELS_MAX], name = text_of(f->is->name);
    char **copy;

    if (f->is != &metrics_left_out)
        metric_add(metrics_series(m, &metrics_left_out, &name), 1);
    if (f->overflow)
        return f->overflow;
    for (size_t i = 0; i < f->is->n_labels; i++)
        values[i] = TEXT("overflow");
    f->overflow = series_make(f, values, &copy);
    if (!f->overflow)
        return &nowhere;
    f->overflow->holders++;
    series_publish(f, f->overflow, copy);
    return f->overflow;
}

/* Each value's length goes before it, so that ("a", "bc") is not ("ab", "c"). */
static bool values_key(const struct text *values, size_t n, struct text_out *key)
{
    size_t left = METRIC_LABEL_BYTES_MAX;

    for (size_t i = 0; i < n; i++) {
        uint32_t len = (uint32_t)values[i].len;
        if (values[i].len > left)
            return false;
        left -= len;
        text_put(key, (struct text){(const char *)&len, sizeof len});
        text_put(key, values[i]);
    }
    return true;
}

static bool is_full(const struct metrics *m, const struct family *f)
{
    bool large = f->is->kind == METRIC_HISTOGRAM && m->series_max > METRIC_HISTOGRAMS_MAX;
    return f->n_series >= (large ? (size_t)METRIC_HISTOGRAMS_MAX : m->series_max);
}

struct metric_series *metrics_series(struct metrics *m, const struct metric_family *family,
                                     const struct text *label_values)
{
    char key_bytes[METRIC_LABEL_BYTES_MAX + METRIC_LABELS_MAX * sizeof(uint32_t) + 1];
    struct text_out key = {key_bytes, 0, sizeof key_bytes, false};
    struct family *f = family_get(m, family);

    if (!f)
        return &nowhere;
    if (!values_key(label_values, family->n_labels, &key))
        return overflow(m, f);
    struct text k = {key.data, key.len};
    struct metric_series *s = map_get(&f->by_values, k);
    char **copy;
    if (s)
        return s;
    if (is_full(m, f))
        return overflow(m, f);
    s = series_make(f, label_values, &copy);
    if (!s)
        return overflow(m, f);
    if (map_put(&f->by_values, k, s, NULL) < 0) {
        free(copy);
        return overflow(m, f);
    }
    f->n_series++;
    series_publish(f, s, copy);
    return s;
}

/* ---- dropping ---------------------------------------------------------------------------------- */

/* No scrape that runs now began before they were taken out, if none runs; whichever begins later
 * sees that they are. */
static void drop_for_good(const struct metrics *m, struct family *f)
{
    if (atomic_load(&m->scrapes) > 0)
        return;
    while (f->dropped) {
        struct dropped *d = f->dropped;
        struct metric_series *s = d->series;
        f->dropped = d->next;
        free(d->label_values);
        d->label_values = NULL;
        metric_set(s, 0);
        for (size_t i = 0; s->counts && i <= METRIC_BOUNDS; i++)
            atomic_store_explicit(&s->counts->between[i], 0, memory_order_relaxed);
        if (s->counts)
            atomic_store_explicit(&s->counts->sum, 0, memory_order_relaxed);
        d->next = f->free;
        f->free = d;
    }
}

static void drop_one(struct family *f, struct metric_series *s)
{
    char key_bytes[METRIC_LABEL_BYTES_MAX + METRIC_LABELS_MAX * sizeof(uint32_t) + 1];
    struct text_out key = {key_bytes, 0, sizeof key_bytes, false};
    struct text values[METRIC_LABELS_MAX];
    struct dropped *d = malloc(sizeof *d);

    if (!d)
        return; /* the next time */
    *d = (struct dropped){f->dropped, s, s->label_values};
    for (size_t i = 0; i < f->is->n_labels; i++)
        values[i] = text_of(d->label_values[i]);
    (void)values_key(values, f->is->n_labels, &key);
    (void)map_remove(&f->by_values, (struct text){key.data, key.len});
    atomic_store(&s->label_values, NULL);
    f->dropped = d;
    f->n_series--;
}

size_t metrics_drop(struct metrics *m, const struct metric_family *family,
                    bool (*gone)(void *user, char *const *label_values), void *user)
{
    struct family *f = map_get(&m->by_family, family_key(&family));
    size_t before = f ? f->n_series : 0;

    if (!f)
        return 0;
    for (struct block *b = atomic_load_explicit(&f->first, memory_order_relaxed); b;
         b = atomic_load_explicit(&b->next, memory_order_relaxed)) {
        for (size_t i = 0, n = atomic_load_explicit(&b->n, memory_order_relaxed); i < n; i++) {
            struct metric_series *s = &b->series[i];
            char **values = atomic_load_explicit(&s->label_values, memory_order_relaxed);
            if (values && s->holders == 0 && gone(user, values))
                drop_one(f, s);
        }
    }
    drop_for_good(m, f);
    return before - f->n_series;
}

/* ---- histograms -------------------------------------------------------------------------------- */

static const struct {
    const char *le;
    uint64_t at_most;
} bounds[METRIC_BOUNDS] = {
    {"0.5", 0},         {"1", 1},           {"5", 5},           {"10", 10},
    {"25", 25},         {"50", 50},         {"100", 100},       {"250", 250},
    {"500", 500},       {"1000", 1000},     {"2500", 2500},     {"5000", 5000},
    {"10000", 10000},   {"30000", 30000},   {"60000", 60000},   {"300000", 300000},
    {"600000", 600000}, {"1800000", 1800000}, {"3600000", 3600000}};

void metric_observe(struct metric_series *s, uint64_t value)
{
    size_t i = 0;

    metric_add(s, 1);
    if (!s->counts)
        return; /* nowhere */
    while (i < METRIC_BOUNDS && value > bounds[i].at_most)
        i++;
    uint64_t n = atomic_load_explicit(&s->counts->between[i], memory_order_relaxed);
    atomic_store_explicit(&s->counts->between[i], n + 1, memory_order_relaxed);
    uint64_t sum = atomic_load_explicit(&s->counts->sum, memory_order_relaxed);
    atomic_store_explicit(&s->counts->sum, sum + value, memory_order_relaxed);
}

/* A histogram's series are its buckets, then the sum in microseconds and the count: the last label
 * holds which, as a letter, so that they sort as they are printed. */
struct bucket {
    const char *letter, *le;
    uint64_t us;
};
static const struct bucket long_buckets[] = {
    {"a", "0.001", 1000},  {"b", "0.005", 5000},  {"c", "0.01", 10000},     {"d", "0.1", 100000},
    {"e", "1.0", 1000000}, {"f", "5.0", 5000000}, {"g", "+Inf", UINT64_MAX}};
static const struct bucket short_buckets[] = {
    {"a", "0.00002", 20}, {"b", "0.00005", 50}, {"c", "0.0001", 100}, {"d", "0.0002", 200},
    {"e", "0.0005", 500}, {"f", "0.001", 1000}, {"g", "0.01", 10000}, {"h", "+Inf", UINT64_MAX}};
static const char sum_letter[] = "y", count_letter[] = "z";

static bool is_of_seconds(const struct metric_family *f)
{
    return f->kind == METRIC_SECONDS || f->kind == METRIC_SHORT_SECONDS;
}

static size_t buckets_of(const struct metric_family *f, const struct bucket **ret)
{
    *ret = f->kind == METRIC_SECONDS ? long_buckets : short_buckets;
    return f->kind == METRIC_SECONDS ? ARRAY_SIZE(long_buckets) : ARRAY_SIZE(short_buckets);
}

void metrics_observe(struct metrics *m, const struct metric_family *family,
                     struct text *label_values, uint64_t us)
{
    struct text *which = &label_values[family->n_labels - 1];
    const struct bucket *buckets;

    assert(is_of_seconds(family) && family->n_labels > 0);
    for (size_t i = 0, n = buckets_of(family, &buckets); i < n; i++) {
        *which = text_of(buckets[i].letter);
        metric_add(metrics_series(m, family, label_values), us <= buckets[i].us);
    }
    *which = text_of(sum_letter);
    metric_add(metrics_series(m, family, label_values), us);
    *which = text_of(count_letter);
    metric_add(metrics_series(m, family, label_values), 1);
}

/* ---- the scrape -------------------------------------------------------------------------------- */

struct row {
    const struct metric_family *family;
    char *const *values;
    uint64_t value;
    const struct metric_counts *counts; /* of a HISTOGRAM */
};
struct rows {
    struct row *rows;
    size_t n, size;
};

static bool rows_add(struct rows *r, struct row row)
{
    if (r->n == r->size) {
        size_t size = r->size > 0 ? r->size * 2 : 256;
        struct row *rows = realloc(r->rows, size * sizeof *rows);
        if (!rows)
            return false;
        r->rows = rows;
        r->size = size;
    }
    r->rows[r->n++] = row;
    return true;
}

static bool rows_add_block(struct rows *r, const struct metric_family *family,
                           const struct block *b)
{
    size_t n = atomic_load_explicit(&b->n, memory_order_acquire);

    for (size_t i = 0; i < n; i++) {
        const struct metric_series *s = &b->series[i];
        /* In one order with drop_for_good()'s look at `scrapes`. */
        char *const *values = atomic_load(&s->label_values);
        uint64_t value = atomic_load_explicit(&s->value, memory_order_relaxed);
        if (values && !rows_add(r, (struct row){family, values, value, s->counts}))
            return false;
    }
    return true;
}

static bool rows_collect(struct rows *r, const struct metrics *m)
{
    const struct family *f = atomic_load_explicit(&m->first, memory_order_acquire);

    for (; f; f = atomic_load_explicit(&f->next, memory_order_acquire)) {
        const struct block *b = atomic_load_explicit(&f->first, memory_order_acquire);
        for (; b; b = atomic_load_explicit(&b->next, memory_order_acquire))
            if (!rows_add_block(r, f->is, b))
                return false;
    }
    return true;
}

static int row_compare(const void *left, const void *right)
{
    const struct row *a = left, *b = right;
    int c = strcmp(a->family->name, b->family->name);

    for (size_t i = 0; c == 0 && i < a->family->n_labels && i < b->family->n_labels; i++)
        c = strcmp(a->values[i], b->values[i]);
    return c;
}

/* Backslash, line feed and (in values) quotes; bytes that are no UTF-8 as U+FFFD, since the format
 * knows no others. */
static void put_escaped(struct text_heap *out, const char *s, bool quotes)
{
    struct text t = text_of(s);
    bool utf8 = text_is_utf8(t);
    size_t from = 0;

    for (size_t i = 0; i < t.len; i++) {
        const char *instead = t.data[i] == '\\'            ? "\\\\"
                              : t.data[i] == '\n'          ? "\\n"
                              : t.data[i] == '"' && quotes ? "\\\""
                              : t.data[i] & 0x80 && !utf8  ? "\xef\xbf\xbd"
                                                           : NULL;
        if (!instead)
            continue;
        text_heap_put(out, (struct text){t.data + from, i - from});
        text_heap_puts(out, instead);
        from = i + 1;
    }
    text_heap_put(out, (struct text){t.data + from, t.len - from});
}

/* The family's name; OpenMetrics keeps _total for a counter's samples. */
static struct text family_name(const struct metric_family *f, bool open_metrics)
{
    struct text name = text_of(f->name);

    if (open_metrics && f->kind == METRIC_COUNTER && text_ends_with(name, TEXT("_total")))
        name.len -= TEXT("_total").len;
    return name;
}

static void put_family(struct text_heap *out, const struct metric_family *f, bool open_metrics)
{
    struct text name = family_name(f, open_metrics);

    text_heap_printf(out, "# HELP %.*s ", (int)name.len, name.data);
    put_escaped(out, f->help, open_metrics);
    text_heap_printf(out, "\n# TYPE %.*s %s\n", (int)name.len, name.data,
                     f->kind == METRIC_COUNTER   ? "counter"
                     : f->kind == METRIC_GAUGE ? "gauge"
                                               : "histogram");
}

static bool is_sum(const struct row *row)
{
    return strcmp(row->values[row->family->n_labels - 1], sum_letter) == 0;
}

/* NULL: it is the sum or the count. What overflows is everybody's, and only counted. */
static const char *bucket_of(const struct row *row)
{
    const struct bucket *buckets;
    for (size_t i = 0, n = buckets_of(row->family, &buckets); i < n; i++)
        if (strcmp(row->values[row->family->n_labels - 1], buckets[i].letter) == 0)
            return buckets[i].le;
    return NULL;
}

static void put_row(struct text_heap *out, const struct row *row, bool open_metrics)
{
    const struct metric_family *f = row->family;

    text_heap_put(out, family_name(f, open_metrics));
    const char *le = NULL;
    size_t n = f->n_labels;

    if (open_metrics && f->kind == METRIC_COUNTER)
        text_heap_puts(out, "_total");
    if (is_of_seconds(f)) {
        le = bucket_of(row);
        n--;
        text_heap_puts(out, le ? "_bucket" : is_sum(row) ? "_sum" : "_count");
    }
    for (size_t i = 0; i < n; i++) {
        text_heap_printf(out, "%s%s=\"", i == 0 ? "{" : ",", f->labels[i]);
        put_escaped(out, row->values[i], true);
        text_heap_puts(out, "\"");
    }
    if (le)
        text_heap_printf(out, "%sle=\"%s\"", n == 0 ? "{" : ",", le);
    if (n > 0 || le)
        text_heap_puts(out, "}");
    if (is_of_seconds(f) && is_sum(row))
        text_heap_printf(out, " %" PRIu64 ".%06" PRIu64 "\n", row->value / 1000000,
                         row->value % 1000000);
    else if (f->kind == METRIC_GAUGE)
        text_heap_printf(out, " %" PRId64 "\n", (int64_t)row->value);
    else
        text_heap_printf(out, " %" PRIu64 "\n", row->value);
}

struct sums { /* of the counts of rows that are one */
    uint64_t between[METRIC_BOUNDS + 1], sum, n;
};

static void sums_add(struct sums *to, const struct metric_counts *c)
{
    for (size_t i = 0; i <= METRIC_BOUNDS; i++) {
        uint64_t n = atomic_load_explicit(&c->between[i], memory_order_relaxed);
        to->between[i] += n;
        to->n += n; /* not what was counted at another moment */
    }
    to->sum += atomic_load_explicit(&c->sum, memory_order_relaxed);
}

static void put_sample(struct text_heap *out, const struct row *row, const char *suffix,
                       const char *le, uint64_t value)
{
    const struct metric_family *f = row->family;

    text_heap_printf(out, "%s%s", f->name, suffix);
    for (size_t i = 0; i < f->n_labels; i++) {
        text_heap_printf(out, "%s%s=\"", i == 0 ? "{" : ",", f->labels[i]);
        put_escaped(out, row->values[i], true);
        text_heap_puts(out, "\"");
    }
    if (le)
        text_heap_printf(out, "%sle=\"%s\"", f->n_labels == 0 ? "{" : ",", le);
    text_heap_printf(out, "%s %" PRIu64 "\n", f->n_labels > 0 || le ? "}" : "", value);
}

static void put_histogram(struct text_heap *out, const struct row *row, const struct sums *s)
{
    uint64_t n = 0;

    for (size_t i = 0; i <= METRIC_BOUNDS; i++) {
        n += s->between[i];
        put_sample(out, row, "_bucket", i < METRIC_BOUNDS ? bounds[i].le : "+Inf", n);
    }
    put_sample(out, row, "_sum", NULL, s->sum);
    put_sample(out, row, "_count", NULL, s->n);
}

void metrics_print(struct metrics *const *all, size_t n, bool open_metrics, struct text_heap *out)
{
    struct rows r = {0};
    const struct metric_family *family = NULL;

    for (size_t i = 0; i < n; i++)
        atomic_fetch_add(&all[i]->scrapes, 1);
    for (size_t i = 0; i < n; i++) {
        if (!rows_collect(&r, all[i])) {
            out->failed = true;
            goto done;
        }
    }
    if (r.n > 0)
        qsort(r.rows, r.n, sizeof *r.rows, row_compare);
    for (size_t i = 0; i < r.n; i++) {
        struct row sum = r.rows[i];
        struct sums counts = {.n = 0};
        if (sum.counts)
            sums_add(&counts, sum.counts);
        while (i + 1 < r.n && row_compare(&sum, &r.rows[i + 1]) == 0) {
            sum.value += r.rows[++i].value;
            if (sum.counts)
                sums_add(&counts, r.rows[i].counts);
        }
        if (!family || strcmp(family->name, sum.family->name) != 0)
            put_family(out, sum.family, open_metrics);
        family = sum.family;
        if (sum.counts)
            put_histogram(out, &sum, &counts);
        else
            put_row(out, &sum, open_metrics);
    }
    if (open_metrics)
        text_heap_puts(out, "# EOF\n");
done:
    for (size_t i = 0; i < n; i++)
        atomic_fetch_sub(&all[i]->scrapes, 1);
    free(r.rows);
}

bool metrics_accepts_open(struct text accept)
{
    static const struct text type = {"application/openmetrics-text",
                                     sizeof "application/openmetrics-text" - 1};
    struct text one, rest = accept;

    while (rest.len > 0) {
        if (!text_split(rest, ',', &one, &rest)) {
            one = rest;
            rest.len = 0;
        }
        struct text name = one, parameters;
        (void)text_split(one, ';', &name, &parameters);
        if (text_equal_nocase(text_trim(name), type))
            return true;
    }
    return false;
}

const char *metrics_content_type(bool open_metrics)
{
    return open_metrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                        : "text/plain; version=0.0.4; charset=utf-8";
}
