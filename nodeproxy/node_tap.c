/*
 * GET /tap: requests as they end, one line of JSON each, until the client goes or has as many as it
 * wanted. First comes {"tapping":WORKERS} when every worker tells; {"lost":N} says how many could not be
 * told; {"end":"..."} is the last line, and without it the answer broke off. On the control thread.
 */
#include "nodeproxy/node.h"

#include "nodeproxy/path/tap.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct reader { /* freed when its stream ends, from either side */
    struct list link;
    struct node *node;
    struct admin_exchange *exchange;
    struct tap *tap;
    struct list batches; /* that the client has no room for yet */
    uint64_t lost_told;
    unsigned waiting, workers; /* that do not tell yet; all */
    bool begun;
};

static void reader_free(struct reader *r)
{
    r->tap->owner = NULL;
    atomic_store(&r->tap->over, true);
    for (struct list *l; (l = list_pop_front(&r->batches));)
        tap_batch_free(container_of(l, struct tap_batch, link));
    tap_unref(r->tap);
    list_remove(&r->link);
    r->node->n_taps--;
    free(r);
}

static void reader_end(struct reader *r, const char *why)
{
    char line[200];
    struct text_out t = TEXT_OUT(line);
    struct admin_exchange *x = r->exchange;
    text_printf(&t, "{\"end\":\"%s\"}\n", why);
    (void)admin_stream_send(x,
                            (struct text){t.data, t.len}); /* one who reads too slowly misses it */
    reader_free(r);
    admin_stream_end(x);
}

static bool tell_lost(struct reader *r)
{
    char line[64];
    uint64_t lost = atomic_load(&r->tap->lost);
    if (lost == r->lost_told)
        return true;
    int n =
        snprintf(line, sizeof line, "{\"lost\":%llu}\n", (unsigned long long)(lost - r->lost_told));
    if (!admin_stream_send(r->exchange, (struct text){line, (size_t)n}))
        return false;
    r->lost_told = lost;
    return true;
}

static bool tell_begin(struct reader *r)
{
    char line[64];
    if (r->begun || r->waiting > 0)
        return r->begun;
    int n = snprintf(line, sizeof line, "{\"tapping\":%u}\n", r->workers);
    r->begun = admin_stream_send(r->exchange, (struct text){line, (size_t)n});
    return r->begun;
}

/* What the client has room for. */
static void tell(struct reader *r)
{
    if (!tell_begin(r))
        return;
    while (!list_empty(&r->batches)) {
        struct tap_batch *b = container_of(r->batches.next, struct tap_batch, link);
        if (b->lines.len > 0 &&
            !admin_stream_send(r->exchange, (struct text){b->lines.data, b->lines.len}))
            return;
        list_remove(&b->link);
        tap_batch_free(b);
        if (!tell_lost(r))
            return;
    }
    if (tap_is_done(r->tap))
        reader_end(r, "as many as were wanted");
}

/* ---- events ----------------------------------------------------------------------------------- */

static void arrived(void *owner, struct tap_batch *taken)
{
    struct reader *r = owner;
    list_push_back(&r->batches, &taken->link);
    tell(r);
}

static void tapped(struct tap *tap)
{
    struct reader *r = tap->owner;
    if (!r)
        return;
    r->waiting--;
    tell(r);
}

static void writable(void *arg)
{
    tell(arg);
}

static void closed(void *arg)
{
    reader_free(arg);
}

static const struct admin_stream_events events = {.writable = writable, .closed = closed};

static struct reader *reader_new(struct node *n, struct admin_exchange *x,
                                 const struct tap_filter *f)
{
    struct reader *r = calloc(1, sizeof *r);
    struct tap *tap = r ? tap_new(f, &n->mailbox, arrived, r) : NULL;
    if (!tap) {
        free(r);
        return NULL;
    }
    *r = (struct reader){.node = n, .exchange = x, .tap = tap};
    list_init(&r->batches);
    list_push_back(&n->taps, &r->link);
    n->n_taps++;
    return r;
}

void node_tap_handle(struct admin_exchange *x, const struct http1_request *q, void *node)
{
    struct node *n = node;
    struct tap_filter filter;
    char why[WHY_MAX + 1];
    if (tap_filter_read(q->query, &filter, why) < 0) {
        struct text_out t = {why, strlen(why), sizeof why, false};
        text_putc(&t, '\n');
        admin_answer(x, 400, NULL, (struct text){t.data, t.len});
        return;
    }
    if (n->n_taps >= TAPS_MAX) {
        admin_answer(x, 429, NULL,
                     TEXT("this node is tapped by as many as it allows: end another one\n"));
        return;
    }
    struct reader *r = n->ending || n->retired ? NULL : reader_new(n, x, &filter);
    if (!r) {
        admin_answer(x, 503, NULL, TEXT("the node proxy is ending, or out of memory\n"));
        return;
    }
    if (admin_stream_begin(x, "application/x-ndjson", &events, r) < 0) {
        reader_free(r);
        return;
    }
    r->workers = n->n_workers;
    for (unsigned i = 0; i < n->n_workers; i++)
        if (worker_tap(n->workers[i], r->tap, tapped) == 0)
            r->waiting++;
        else
            r->workers--;
    if (r->workers < n->n_workers)
        reader_end(r, "the node proxy is out of memory");
}

void node_tap_retire(struct node *n)
{
    list_for_each (l, &n->taps)
        reader_end(container_of(l, struct reader, link),
                   "another node proxy has taken over: tap again");
}
