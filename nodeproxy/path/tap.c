/* Taps, and the lines that workers write for them; see the header. */
#include "nodeproxy/path/tap.h"

#include <stdlib.h>

/* ---- one tap ---------------------------------------------------------------------------------- */

struct tap *tap_new(const struct tap_filter *f, struct mailbox *control,
                    void (*arrived)(void *owner, struct tap_batch *taken), void *owner)
{
    struct tap *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->filter = *f;
    t->control = control;
    t->arrived = arrived;
    t->owner = owner;
    atomic_init(&t->refs, 1);
    atomic_init(&t->left, f->max > 0 ? f->max : UINT64_MAX);
    return t;
}

struct tap *tap_ref(struct tap *t)
{
    atomic_fetch_add(&t->refs, 1);
    return t;
}

struct tap *tap_unref(struct tap *t)
{
    if (t && atomic_fetch_sub(&t->refs, 1) == 1)
        free(t);
    return NULL;
}

/* `left` first: a worker has its batch before it takes of that. */
bool tap_is_done(const struct tap *t)
{
    return atomic_load(&t->left) == 0 && atomic_load(&t->batches) == 0;
}

/* False: no line is wanted any more. */
static bool take_one(struct tap *t)
{
    uint64_t left = atomic_load(&t->left);
    while (left > 0)
        if (atomic_compare_exchange_weak(&t->left, &left, left - 1))
            return true;
    return false;
}

/* ---- batches ---------------------------------------------------------------------------------- */

static void deliver(struct mail *mail)
{
    struct tap_batch *b = container_of(mail, struct tap_batch, mail);
    if (b->tap->owner)
        b->tap->arrived(b->tap->owner, b);
    else
        tap_batch_free(b);
}

struct tap_batch *tap_batch_free(struct tap_batch *b)
{
    if (!b)
        return NULL;
    atomic_fetch_sub(&b->tap->batches, 1);
    tap_unref(b->tap);
    text_heap_done(&b->lines);
    free(b);
    return NULL;
}

static struct tap_batch *batch_new(struct tap *t)
{
    struct tap_batch *b = NULL;
    if (atomic_fetch_add(&t->batches, 1) < TAP_BATCHES_MAX)
        b = calloc(1, sizeof *b);
    if (!b) {
        atomic_fetch_sub(&t->batches, 1);
        return NULL;
    }
    list_init(&b->link);
    b->mail.deliver = deliver;
    b->tap = tap_ref(t);
    text_heap_init(&b->lines, TAP_BATCH_MAX);
    return b;
}

/* ---- a worker's ------------------------------------------------------------------------------- */

static void post_one(struct taps *t, unsigned i)
{
    struct tap_batch *b = t->filling[i];
    t->filling[i] = NULL;
    if (b) /* an empty one, too: the control thread looks whether it was the last */
        mailbox_post(b->tap->control, &b->mail);
}

static void post(struct ring_task *task)
{
    struct taps *t = container_of(task, struct taps, post);
    for (unsigned i = 0; i < t->n; i++)
        post_one(t, i);
}

void taps_init(struct taps *t, struct ring *ring)
{
    *t = (struct taps){.ring = ring};
    ring_task_init(&t->post, post);
}

static void let_go(struct taps *t, unsigned i)
{
    t->filling[i] = tap_batch_free(t->filling[i]);
    tap_unref(t->at[i]);
    t->n--;
    t->at[i] = t->at[t->n];
    t->filling[i] = t->filling[t->n];
    t->at[t->n] = NULL;
    t->filling[t->n] = NULL;
}

void taps_let_go_over(struct taps *t)
{
    for (unsigned i = t->n; i-- > 0;)
        if (atomic_load(&t->at[i]->over))
            let_go(t, i);
}

void taps_add(struct taps *t, struct tap *taken)
{
    taps_let_go_over(t);
    if (t->n < TAPS_MAX)
        t->at[t->n++] = taken;
    else
        tap_unref(taken);
}

void taps_done(struct taps *t)
{
    while (t->n > 0)
        let_go(t, t->n - 1);
    ring_task_cancel(&t->post);
}

struct tap_batch *taps_room(struct taps *t, unsigned i)
{
    struct tap *tap = t->at[i];
    if (atomic_load(&tap->left) == 0)
        return NULL;
    if (!t->filling[i])
        t->filling[i] = batch_new(tap);
    if (!t->filling[i]) {
        atomic_fetch_add(&tap->lost, 1);
        return NULL;
    }
    ring_task_ask(t->ring, &t->post);
    return take_one(tap) ? t->filling[i] : NULL;
}

void taps_wrote(struct taps *t, unsigned i)
{
    struct tap_batch *b = t->filling[i];
    b->n++;
    if (b->lines
            .failed) { /* what is in it is no line: they are lost, and others may come instead */
        atomic_fetch_add(&b->tap->lost, b->n);
        atomic_fetch_add(&b->tap->left, b->tap->filter.max > 0 ? b->n : 0);
        b->n = 0;
        text_heap_done(&b->lines);
        text_heap_init(&b->lines, TAP_BATCH_MAX);
    }
    if (b->lines.len >= TAP_BATCH_FULL)
        post_one(t, i);
}
