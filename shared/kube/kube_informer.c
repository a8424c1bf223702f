#include "shared/kube/kube_informer.h"
#include "shared/base/log.h"
#include <errno.h>

enum { NO_ROOM_MS = 1000, NO_STATUS = 1 };

static void ask(struct kube_informer *i);

static void wait_over(struct timer *t)
{
    ask(container_of(t, struct kube_informer, wait));
}

/* Each kind of failure once, until it goes well again. */
static void tell(struct kube_informer *i, const char *what, const struct kube_request *q,
                 uint64_t wait_ms)
{
    const struct reflector *r = &i->reflector;
    unsigned kind = q->status && q->status != 200 ? q->status : NO_STATUS;
    if (wait_ms == 0 ||
        (q->error == 0 && q->status == 200 && r->verdict == VERDICT_NONE && r->error == 0)) {
        i->told = 0;
        return;
    }
    const char *why = q->error ? q->why : r->why;
    if (i->told == kind)
        log_debug("kube", "%s: %s: %s; again in %llu ms", r->path, what, why,
                  (unsigned long long)wait_ms);
    else
        log_warn("kube", "%s: %s: %s; again in %llu ms", r->path, what, why,
                 (unsigned long long)wait_ms);
    i->told = kind;
}

/* The request is over, or what is left of it is not wanted. */
static void answered(struct kube_informer *i, struct kube_request *q)
{
    const char *what = i->reflector.question == REFLECTOR_LIST ? "list" : "watch";
    uint64_t wait_ms = reflector_answered(&i->reflector, ring_now_ms(i->ring), q->error, q->status,
                                          q->retry_after_ms);
    tell(i, what, q, wait_ms);
    timer_start(ring_timers(i->ring), &i->wait, wait_ms);
}

static void request_done(struct kube_request *q)
{
    answered(q->user, q);
}

static void request_piece(struct kube_request *q, struct text bytes)
{
    struct kube_informer *i = q->user;
    if (q->status == 200)
        i->heard_ms = ring_now_ms(i->ring);
    if (reflector_bytes(&i->reflector, q->status, bytes))
        return;
    kube_cancel(q);
    q->error = 0;
    q->retry_after_ms = 0;
    answered(i, q);
}

static void ask(struct kube_informer *i)
{
    char path[REFLECTOR_PATH_MAX];
    struct text_out out = TEXT_OUT(path);
    enum reflector_question question = reflector_ask(&i->reflector, ring_now_ms(i->ring), &out);
    const struct kube_call call = {
        .path = path,
        .accept = question == REFLECTOR_WATCH ? i->accept_watch : i->accept_list,
        .silence_ms = question == REFLECTOR_WATCH ? i->silence_ms : KUBE_LIST_SILENCE_MS,
    };
    int err = out.overflow ? -E2BIG : kube_send(i->client, &i->request, &call);
    if (err < 0) {
        (void)reflector_answered(&i->reflector, ring_now_ms(i->ring), err, 0, 0);
        timer_start(ring_timers(i->ring), &i->wait, NO_ROOM_MS);
    }
}

void kube_informer_start(struct kube_informer *i, struct kube_client *client, struct ring *ring,
                         const char *path, uint64_t silence_ms,
                         const struct reflector_events *events, void *user)
{
    *i = (struct kube_informer){.client = client,
                                .ring = ring,
                                .silence_ms = silence_ms ? silence_ms : KUBE_SILENCE_MS,
                                .request = {.piece = request_piece, .done = request_done}};
    i->request.user = i;
    reflector_init(&i->reflector, path, KUBE_PAGE, ring_rng(ring), events, user);
    timer_init(&i->wait, wait_over);
    timer_start(ring_timers(ring), &i->wait, 0);
}

void kube_informer_stop(struct kube_informer *i)
{
    timer_stop(ring_timers(i->ring), &i->wait);
    kube_cancel(&i->request);
    reflector_done(&i->reflector);
}
