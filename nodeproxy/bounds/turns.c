/* Each pod its share of a turn; see the header. */
#include "nodeproxy/bounds/turns.h"

static uint64_t turn_now(const struct turns *t)
{
    struct ring_stats stats;
    ring_stats(t->ring, &stats);
    return stats.turns;
}

/* Whoever has something left may overdraw: what costs more than the share is done, too. */
static bool pay(struct pod_turn *p, uint64_t turn, unsigned cost)
{
    if (p->turn != turn) {
        p->turn = turn;
        p->left = ring_share_has_rival(&p->bytes) ? TURN_SHARE : TURN_SHARE_ALONE;
    }
    if (p->left == 0)
        return false;
    ring_share_use(&p->bytes);
    p->left -= cost < p->left ? cost : p->left;
    return true;
}

/* What it came to; of a pod that is alone nothing, since nobody waits for it. */
static unsigned serve(struct pod_turn *p, uint64_t turn)
{
    bool rival = ring_share_has_rival(&p->bytes);
    unsigned spent = 0;
    while (!list_empty(&p->waiting)) {
        struct turn_wait *w = container_of(p->waiting.next, struct turn_wait, link);
        if (!pay(p, turn, w->cost))
            break;
        spent += w->cost;
        turn_forget(p, w);
        w->go(w);
    }
    return rival ? spent : 0;
}

/* Each pod once, as long as there is room; the others are the first ones of the next turn. */
static void serve_all(struct turns *t, uint64_t turn)
{
    for (unsigned room = TURN_ALL; room > 0 && !list_empty(&t->waiting);) {
        struct pod_turn *p = container_of(t->waiting.next, struct pod_turn, link);
        if (p->served == turn)
            return;
        p->served = turn;
        list_remove(&p->link);
        list_push_back(&t->waiting, &p->link);
        unsigned spent = serve(p, turn); /* may take it off the list */
        room -= spent < room ? spent : room;
    }
}

/* Tasks that ask for themselves run several times in one turn; the share is for all of it. */
static void run(struct ring_task *task)
{
    struct turns *t = container_of(task, struct turns, task);
    uint64_t turn = turn_now(t);
    if (t->served != turn) {
        t->served = turn;
        serve_all(t, turn);
    }
    if (!list_empty(&t->waiting))
        ring_task_ask(t->ring, task);
}

bool turn_take(struct pod_turn *p, unsigned cost) { return list_empty(&p->waiting) && pay(p, turn_now(p->turns), cost); }

void turn_wait(struct pod_turn *p, struct turn_wait *w)
{
    list_push_back(&p->waiting, &w->link);
    p->n_waiting++;
    if (list_empty(&p->link))
        list_push_back(&p->turns->waiting, &p->link);
    ring_task_ask(p->turns->ring, &p->turns->task);
}

void pod_turn_flush(struct pod_turn *p)
{
    while (!list_empty(&p->waiting)) {
        struct turn_wait *w = container_of(p->waiting.next, struct turn_wait, link);
        turn_forget(p, w);
        w->go(w);
    }
}

void turn_wait_init(struct turn_wait *w, unsigned cost, void (*go)(struct turn_wait *w))
{
    *w = (struct turn_wait){.cost = cost, .go = go};
    list_init(&w->link);
}

void turn_forget(struct pod_turn *p, struct turn_wait *w)
{
    if (list_empty(&w->link))
        return;
    list_remove(&w->link);
    if (--p->n_waiting == 0)
        list_remove(&p->link);
}

void turns_init(struct turns *t, struct ring *ring)
{
    *t = (struct turns){.ring = ring};
    list_init(&t->waiting);
    ring_task_init(&t->task, run);
}

void turns_done(struct turns *t) { ring_task_cancel(&t->task); }

void pod_turn_init(struct pod_turn *p, struct turns *t)
{
    *p = (struct pod_turn){.turns = t, .turn = UINT64_MAX, .served = UINT64_MAX};
    ring_share_init(&p->bytes, t->ring);
    list_init(&p->link);
    list_init(&p->waiting);
}

void pod_turn_done(struct pod_turn *p)
{
    list_remove(&p->link);
    ring_share_done(&p->bytes);
}
