/* Sockets of a pod, kept ready; see the header. */
#include "nodeproxy/capture/socket_pool.h"

#include "shared/ring/socket.h"
#include <assert.h>
#include <errno.h>
#include <sys/socket.h>

static struct socket_shelf *shelf_of(struct socket_pool *p, int family)
{
    assert(family == AF_INET || family == AF_INET6);
    return family == AF_INET ? &p->v4 : &p->v6;
}

static void shelf_init(struct socket_shelf *s)
{
    *s = (struct socket_shelf){.target = SOCKET_POOL_MIN};
    list_init(&s->waiting);
}

void socket_pool_init(struct socket_pool *p, void (*refill)(struct socket_pool *p, int family, unsigned n))
{
    *p = (struct socket_pool){.refill = refill, .max = SOCKET_POOL_MAX};
    shelf_init(&p->v4);
    shelf_init(&p->v6);
}

void socket_pool_set_max(struct socket_pool *p, unsigned max)
{
    p->max = max < SOCKET_POOL_MAX ? max : SOCKET_POOL_MAX;
    if (p->v4.target > p->max)
        p->v4.target = p->v6.target = p->max;
}

void socket_waiter_init(struct socket_waiter *w, void (*got)(struct socket_waiter *w, int taken_fd))
{
    list_init(&w->link);
    w->got = got;
}

static void ask(struct socket_pool *p, int family)
{
    struct socket_shelf *s = shelf_of(p, family);
    if (s->asked)
        return;
    size_t want = s->n_waiting + s->target - s->n;
    if (want > SOCKET_POOL_PIECE)
        want = SOCKET_POOL_PIECE;
    s->asked = true;
    s->late = false;
    p->refill(p, family, (unsigned)want);
}

int socket_pool_take(struct socket_pool *p, int family, struct socket_waiter *w)
{
    struct socket_shelf *s = shelf_of(p, family);
    if (p->closed)
        return -ECANCELED;
    if (s->n == 0) {
        if (s->n_waiting == SOCKET_POOL_WAITERS_MAX)
            return -ENOBUFS;
        /* Demand was higher than the shelf: make it larger, so that the next burst need not wait. */
        if (s->target < p->max)
            s->target = 2 * s->target < p->max ? 2 * s->target : p->max;
        s->taken++;
        list_push_back(&s->waiting, &w->link);
        s->n_waiting++;
        ask(p, family);
        return -EAGAIN;
    }
    int fd = s->fds[--s->n];
    s->taken++;
    if (s->n < s->target / 2)
        ask(p, family);
    return fd;
}

void socket_pool_forget(struct socket_pool *p, struct socket_waiter *w)
{
    if (list_empty(&w->link))
        return;
    /* Which shelf it waits on is known by looking: waiting lists are short and this is rare. */
    struct socket_shelf *both[] = {&p->v4, &p->v6};
    for (size_t i = 0; i < ARRAY_SIZE(both); i++)
        list_for_each(n, &both[i]->waiting)
        {
            if (n == &w->link) {
                list_remove(&w->link);
                both[i]->n_waiting--;
                return;
            }
        }
}

static struct socket_waiter *next_waiter(struct socket_shelf *s)
{
    struct list *n = list_pop_front(&s->waiting);
    if (!n)
        return NULL;
    s->n_waiting--;
    return container_of(n, struct socket_waiter, link);
}

void socket_pool_filled(struct socket_pool *p, int family, const int *taken_fds, size_t n, int error)
{
    struct socket_shelf *s = shelf_of(p, family);
    s->asked = false;
    for (size_t i = 0; i < n; i++) {
        struct socket_waiter *w = next_waiter(s);
        if (w)
            w->got(w, taken_fds[i]);
        else if (!p->closed && s->n < p->max)
            s->fds[s->n++] = taken_fds[i];
        else
            socket_close(taken_fds[i]);
    }
    if (n == 0 && error != -ETIMEDOUT) {
        struct socket_waiter *w;
        for (size_t left = s->n_waiting; left > 0 && (w = next_waiter(s)); left--)
            w->got(w, error < 0 ? error : -EIO);
        return;
    }
    if (s->n_waiting > 0)
        ask(p, family);
}

static bool shelf_tick(struct socket_pool *p, struct socket_shelf *s, int family)
{
    if (s->asked && s->late) { /* who should answer has lost it */
        s->asked = false;
        if (s->n_waiting > 0)
            ask(p, family);
    } else if (s->asked) {
        s->late = true;
    } else if (s->taken == 0) {
        for (unsigned keep = s->n / 2; s->n > keep;)
            socket_close(s->fds[--s->n]);
        if (s->target > SOCKET_POOL_MIN)
            s->target /= 2;
    }
    s->taken = 0;
    return s->n > 0 || s->asked || s->n_waiting > 0;
}

bool socket_pool_tick(struct socket_pool *p)
{
    bool v4 = shelf_tick(p, &p->v4, AF_INET), v6 = shelf_tick(p, &p->v6, AF_INET6);
    return v4 || v6;
}

void socket_pool_done(struct socket_pool *p)
{
    p->closed = true;
    struct socket_shelf *both[] = {&p->v4, &p->v6};
    for (size_t i = 0; i < ARRAY_SIZE(both); i++) {
        while (both[i]->n > 0)
            socket_close(both[i]->fds[--both[i]->n]);
        for (struct socket_waiter *w; (w = next_waiter(both[i]));)
            w->got(w, -ECANCELED);
    }
}
