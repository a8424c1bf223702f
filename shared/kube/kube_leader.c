#include "shared/kube/kube_leader.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include <errno.h>

enum { LEAVE_MS = 2000, NO_STATUS = 1 };

static void judge(struct kube_leader *l)
{
    uint64_t now_ms = ring_now_ms(l->ring);
    bool leading = lease_leading(&l->lease, now_ms);
    if (leading)
        timer_start(ring_timers(l->ring), &l->end, lease_until_ms(&l->lease) - now_ms);
    else
        timer_stop(ring_timers(l->ring), &l->end);
    if (leading == l->leading)
        return;
    l->leading = leading;
    l->terms += leading;
    log_info("leader", leading ? "this replica leads (lease %s/%s)"
                               : "this replica does not lead any more (lease %s/%s)",
             l->lease.options.ns, l->lease.options.name);
    l->changed(l);
}

static void end(struct timer *t)
{
    struct kube_leader *l = container_of(t, struct kube_leader, end);
    if (!lease_leading(&l->lease, ring_now_ms(l->ring)))
        log_warn("leader", "the lease could not be renewed in time");
    judge(l);
}

/* ---- Questions ------------------------------------------------------------------------------ */

static int send_question(struct kube_leader *l, const struct lease_question *q, uint64_t deadline_ms)
{
    static const char *const methods[] = {
        [LEASE_GET] = NULL, [LEASE_CREATE] = "POST", [LEASE_PATCH] = "PATCH"};
    const struct kube_call call = {
        .method = methods[q->verb],
        .path = q->path,
        .type = q->verb == LEASE_PATCH ? "application/merge-patch+json" : NULL,
        .body = q->verb == LEASE_GET ? (struct text){0} : text_of(q->body),
        .deadline_ms = deadline_ms,
    };
    return kube_send(l->client, &l->request, &call);
}

static void tell(struct kube_leader *l, const struct kube_request *q)
{
    unsigned kind = q->error < 0 ? NO_STATUS : q->status;
    bool good = q->error == 0 && (q->status < 300 || q->status == 404 || q->status == 409);
    if (!good && kind != l->told)
        log_warn("leader", "lease %s/%s: %s%.*s", l->lease.options.ns, l->lease.options.name,
                 q->error < 0 ? q->why : "the API server answered ",
                 q->error < 0 ? 0 : 200, q->error < 0 ? "" : q->answer.data);
    l->told = good ? 0 : kind;
}

static void answered(struct kube_request *q)
{
    struct kube_leader *l = q->user;
    tell(l, q);
    uint64_t wait_ms =
        lease_answered(&l->lease, ring_now_ms(l->ring), q->error, q->status, q->answer);
    timer_start(ring_timers(l->ring), &l->wait, wait_ms);
    judge(l);
}

static void ask(struct timer *t)
{
    struct kube_leader *l = container_of(t, struct kube_leader, wait);
    struct lease_question question;
    uint64_t now_ms = ring_now_ms(l->ring);
    lease_ask(&l->lease, now_ms, clock_unix_ms(), &question);
    int err = send_question(l, &question, l->lease.options.renew_ms / 2);
    if (err < 0)
        timer_start(ring_timers(l->ring), &l->wait,
                    lease_answered(&l->lease, now_ms, err, 0, (struct text){0}));
}

/* ---- Life ----------------------------------------------------------------------------------- */

void kube_leader_init(struct kube_leader *l, struct kube_client *client, struct ring *ring,
                      const struct lease_options *options,
                      void (*changed)(struct kube_leader *l), void *user)
{
    *l = (struct kube_leader){.client = client,
                              .ring = ring,
                              .changed = changed,
                              .user = user,
                              .request = {.done = answered}};
    l->request.user = l;
    lease_init(&l->lease, options, ring_rng(ring));
    timer_init(&l->wait, ask);
    timer_init(&l->end, end);
}

void kube_leader_start(struct kube_leader *l)
{
    timer_start(ring_timers(l->ring), &l->wait, 0);
}

void kube_leader_alone(struct kube_leader *l)
{
    l->alone = l->leading = true;
    l->terms++;
    l->changed(l);
}

uint64_t kube_leader_left_ms(const struct kube_leader *l)
{
    uint64_t now_ms = ring_now_ms(l->ring);
    if (l->alone)
        return l->lease.options.renew_ms;
    return lease_leading(&l->lease, now_ms) ? lease_until_ms(&l->lease) - now_ms : 0;
}

void kube_leader_stop(struct kube_leader *l)
{
    timer_stop(ring_timers(l->ring), &l->wait);
    timer_stop(ring_timers(l->ring), &l->end);
    kube_cancel(&l->request);
}

static void released(struct kube_request *q)
{
    struct kube_leader *l = q->user;
    l->left(l);
}

void kube_leader_leave(struct kube_leader *l, void (*left)(struct kube_leader *l))
{
    struct lease_question question;
    kube_leader_stop(l);
    l->alone = false;
    l->left = left;
    bool tells = lease_release(&l->lease, clock_unix_ms(), &question);
    if (l->leading)
        judge(l);
    l->request.done = released;
    if (!tells || send_question(l, &question, LEAVE_MS) < 0)
        left(l);
}
