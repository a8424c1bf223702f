/*
 * What happens on the simulated network: a turn of a ring completes a few of the operations that
 * could go on, in random order, then runs tasks and drained scopes, as the real one does; when
 * no ring can do anything the clock jumps to the next timer.
 */
#include "tests/support/fake_net.h"
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>

enum { PAUSE_MS = 100, POLLS_MAX = 256, BATCH_MAX = 8, RINGS_MAX = 256 };

/* ---- which operations may go on ------------------------------------------------------ */
void fake_ring_ready(struct fake_way *way)
{
    struct ring *ring = way->op->scope->ring;
    if (way->ready >= 0 || !list_empty(&way->op->waiting))
        return;
    if (ring->n_ready == ring->ready_size) {
        ring->ready_size = ring->ready_size ? 2 * ring->ready_size : 64;
        ring->ready =
            fake_net_memory(ring->net, ring->ready, ring->ready_size * sizeof(struct fake_way *));
    }
    way->ready = (long)ring->n_ready;
    ring->ready[ring->n_ready++] = way;
}

void fake_ring_unready(struct fake_way *way)
{
    if (way->ready < 0)
        return;
    struct ring *ring = way->op->scope->ring;
    struct fake_way *last = ring->ready[--ring->n_ready];
    ring->ready[way->ready] = last;
    last->ready = way->ready;
    way->ready = -1;
}

/* ---- completions --------------------------------------------------------------------------- */
static void note(struct ring_op *op, int result)
{
    struct ring *ring = op->scope->ring;
    ring->stats.completed++;
    fake_net_note(ring->net, ring->net->now_ms);
    fake_net_note(ring->net,
                  (uint64_t)ring->id << 48 | (uint64_t)op->kind << 40 | (uint32_t)op->fd);
    fake_net_note(ring->net, (uint64_t)(int64_t)result);
}

static void leave(struct ring_op *op)
{
    struct ring_scope *scope = op->scope;
    assert(op->in_flight && scope->in_flight > 0);
    if (op->kind != OP_POLL)
        fake_way_leave(fake_way_of(op));
    else
        op->chunk = NULL;
    op->in_flight = op->armed = false;
    list_remove(&op->link);
    list_remove(&op->waiting);
    scope->in_flight--;
    scope->ring->in_flight--;
}

static void finish(struct ring_op *op, int result)
{
    note(op, result);
    leave(op);
    op->done(op, result);
}

static struct chunk *fresh_chunk(struct ring *ring)
{
    struct chunk_pool *pool = &ring->pool;
    if (pool->n_live < pool->n_max - pool->n_max / 8)
        return chunk_new(pool);
    pool->refused = true;
    return NULL;
}

static void try_recv(struct ring_op *op, struct fake_socket *s)
{
    struct ring *ring = op->scope->ring;
    if (op->stopping && (s->len == 0 || fake_net_chance(s->net, 50))) {
        finish(op, -ECANCELED);
    } else if (s->len > 0) {
        struct chunk *c = fresh_chunk(ring);
        if (!c && op->stopping)
            return finish(op, -ECANCELED);
        if (!c) {
            list_push_back(&ring->starved, &op->waiting);
            ring->stats.starved++;
            return;
        }
        c->end = (uint32_t)fake_socket_take(s, c->data, sizeof c->data);
        op->chunk = c;
        note(op, (int)c->end);
        op->done(op, (int)c->end);
        if (op->chunk)
            op->chunk = chunk_free(op->chunk);
        fake_way_wake(s, FAKE_READ); /* there may be more, or the end */
    } else if (s->error) {
        int r = -s->error;
        s->error = 0;
        finish(op, r);
    } else if (s->ended || s->broken) {
        finish(op, 0);
    } else if (s->state != FAKE_CONNECTED) {
        finish(op, -ENOTCONN);
    }
}

/* The peer gets some bytes of what op gathers; how many. */
static size_t move_bytes(struct ring_op *op, struct fake_socket *to)
{
    const struct fake_way *way = fake_way_of(op);
    size_t sum = 0;
    for (size_t i = 0; i < way->n_iov; i++) {
        size_t len = way->iov[i].iov_len;
        size_t n = to ? fake_socket_put(to, way->iov[i].iov_base, len) : len;
        sum += n;
        if (n < len)
            break;
    }
    return sum;
}

static void try_send(struct ring_op *op, struct fake_socket *s)
{
    int r = fake_socket_send_error(s);
    if (r < 0)
        return finish(op, r);
    bool lost = !s->other;
    size_t n = move_bytes(op, s->other);
    if (lost)
        fake_socket_lose(s);
    if (n > 0)
        finish(op, (int)n);
}

static void try_accept(struct ring_op *op, struct fake_socket *s)
{
    struct ring *ring = op->scope->ring;
    if (s->state != FAKE_LISTENING)
        return finish(op, -EINVAL);
    if (op->stopping && (list_empty(&s->backlog) || fake_net_chance(s->net, 50)))
        return finish(op, -ECANCELED);
    /* What the kernel has accepted before it heard of the stop still comes. */
    if (op->stopping && (list_empty(&s->backlog) || fake_net_chance(s->net, 50)))
        return finish(op, -ECANCELED);
    if (list_empty(&s->backlog))
        return;
    if (s->net->weather.sockets_max && s->net->n_sockets >= s->net->weather.sockets_max) {
        if (op->stopping)
            return finish(op, -ECANCELED);
        list_push_back(&ring->pausing, &op->waiting);
        if (!timer_running(&ring->pause))
            timer_start(&ring->timers, &ring->pause, PAUSE_MS);
        return;
    }
    int fd;
    if (fake_socket_accept(s->fd, &fd) < 0)
        return;
    note(op, fd);
    op->done(op, fd);
    fake_way_wake(s, FAKE_READ);
}

/* In a closing scope the cancel may come too late: the kernel has done something, but nobody
 * hears of it. */
static void swallow(struct ring_op *op, struct fake_socket *s)
{
    struct ring_scope *scope = op->scope;
    struct fake_socket *caller;
    uint8_t lost[64];
    if (op->kind == OP_ACCEPT && fake_net_chance(s->net, 50) &&
        (caller = fake_socket_pop_backlog(s)))
        fake_socket_free(caller);
    else if (op->kind == OP_RECV && fake_net_chance(s->net, 50))
        (void)fake_socket_take(s, lost, sizeof lost);
    else if (op->kind == OP_SEND && s->other && fake_net_chance(s->net, 50))
        (void)move_bytes(op, s->other);
    note(op, -ECANCELED);
    leave(op);
    if (scope->in_flight == 0)
        fake_drained_put(scope);
}

/* ---- faults ---- */

/* Whether the operation would go on now. */
static bool is_due(const struct ring_op *op, const struct fake_socket *s)
{
    switch (op->kind) {
    case OP_ACCEPT:
        return !list_empty(&s->backlog);
    case OP_RECV:
        return s->len > 0 || s->error || s->ended || s->broken;
    case OP_SEND:
        return s->error || s->broken || !s->other || s->other->len < s->other->size ||
               !s->other->bytes;
    default:
        return true;
    }
}

/* What the ring does with an accept's error (shared/ring/op.c). */
static void fail_accept(struct ring_op *op, struct fake_socket *s, int error)
{
    struct ring *ring = op->scope->ring;
    struct fake_socket *caller;
    if (error == -EBADF || error == -ECANCELED)
        return finish(op, error);
    note(op, error);
    if (error == -ECONNABORTED) {
        if ((caller = fake_socket_pop_backlog(s))) {
            caller->reset_on_close = true;
            fake_socket_free(caller);
        }
        return fake_way_wake(s, FAKE_READ);
    }
    if (op->stopping)
        return finish(op, -ECANCELED);
    list_push_back(&ring->pausing, &op->waiting);
    if (!timer_running(&ring->pause))
        timer_start(&ring->timers, &ring->pause, PAUSE_MS);
}

static bool breaks_the_connection(int error)
{
    return error == -ECONNRESET || error == -EPIPE || error == -ETIMEDOUT || error == -ENOTCONN ||
           error == -EHOSTUNREACH || error == -ENETDOWN;
}

static void fail_op(struct ring_op *op, struct fake_socket *s, int error)
{
    struct ring *ring = op->scope->ring;
    if (op->kind == OP_ACCEPT)
        return fail_accept(op, s, error);
    if (op->kind == OP_RECV && error == -ENOBUFS) { /* no chunk; there is one in the next turn */
        if (op->stopping)
            return finish(op, -ECANCELED);
        note(op, error);
        list_push_back(&ring->starved, &op->waiting);
        ring->stats.starved++;
        ring->chunks_came_back = true;
        return;
    }
    if (op->kind != OP_CONNECT && breaks_the_connection(error)) {
        fake_socket_break(s);
        s->error = 0; /* told here */
    }
    finish(op, error);
}

static void advance(struct fake_net *net, uint64_t to_ms);

/* Whether that was all for now. */
static bool goes_wrong(struct fake_way *way)
{
    struct ring_op *op = way->op;
    struct fake_socket *s = way->socket;
    struct fake_net *net = s->net;
    struct fake_fault fault;
    if (!is_due(op, s) || !fake_fault_at(op->scope->ring, 1u << (op->kind - OP_ACCEPT), &fault))
        return false;
    switch (fault.kind) {
    case FAKE_ERROR:
        fail_op(op, s, fault.error);
        return true;
    case FAKE_LATE:
        timer_start(&net->delays, &way->delay, FAKE_LATE_MS);
        return true;
    case FAKE_STALL:
        net->turning = NULL; /* timers are nobody's turn */
        advance(net, net->now_ms + FAKE_STALL_MS);
        net->turning = op->scope->ring;
        if (way->op)
            fake_way_wake(s, (int)(way - s->ways));
        return true;
    default:
        net->moving = fault.kind;
        return false;
    }
}

static void try_op(struct fake_way *way)
{
    struct ring_op *op = way->op;
    struct fake_socket *s = way->socket;
    struct fake_net *net = s->net;
    if (op->scope->closing)
        return swallow(op, s);
    if ((op->kind == OP_RECV || op->kind == OP_SEND) && s->state == FAKE_CONNECTED && s->other &&
        rng_below(&net->rng, 1000000) < net->weather.resets_per_million)
        fake_socket_break(s);
    if (goes_wrong(way))
        return;
    if (op->kind == OP_ACCEPT) {
        try_accept(op, s);
    } else if (op->kind == OP_CONNECT) {
        int r = fake_socket_try_connect(s, (const struct sockaddr *)&way->to);
        if (r != -EAGAIN)
            finish(op, r);
    } else if (op->kind == OP_RECV) {
        try_recv(op, s);
    } else {
        try_send(op, s);
    }
    net->moving = FAKE_ERROR;
}

/* ---- polls of real descriptors
 * ---------------------------------------------------------------- */
static bool polls_run(struct ring *ring)
{
    struct ring_op *ops[POLLS_MAX];
    struct pollfd fds[POLLS_MAX];
    nfds_t n = 0;
    bool did = false;
    list_for_each (l, &ring->polls) {
        struct ring_op *op = container_of(l, struct ring_op, waiting);
        if (op->scope->closing) {
            struct ring_scope *scope = op->scope;
            leave(op);
            if (scope->in_flight == 0)
                fake_drained_put(scope);
            did = true;
        } else if (n < POLLS_MAX) {
            fds[n] = (struct pollfd){.fd = op->fd, .events = (short)(uintptr_t)op->chunk};
            ops[n++] = op;
        }
    }
    if (n == 0 || poll(fds, n, 0) <= 0)
        return did;
    for (nfds_t i = 0; i < n; i++) {
        /* One that was done before may have closed the scope of this one; the next turn sees to
         * it. */
        if (fds[i].revents == 0 || ops[i]->scope->closing)
            continue;
        finish(ops[i], fds[i].revents);
        did = true;
    }
    return did;
}

/* ---- turns
 * ------------------------------------------------------------------------------------- */
bool fake_turn(struct ring *ring)
{
    struct fake_net *net = ring->net;
    net->turning = ring;
    if (ring->idle_before)
        ring->idle_before(ring->idle_arg);
    if (ring->idle_after)
        ring->idle_after(ring->idle_arg);
    if (ring->chunks_came_back) {
        ring->chunks_came_back = false;
        for (struct list *n; (n = list_pop_front(&ring->starved));)
            fake_op_wake(container_of(n, struct ring_op, waiting));
    }
    bool did = polls_run(ring);
    list_splice(&ring->tasks, &ring->put_off);
    uint64_t batch = ring->n_ready > 0 ? 1 + rng_below(&net->rng, BATCH_MAX) : 0;
    for (; batch > 0 && ring->n_ready > 0; batch--) {
        struct fake_way *way = ring->ready[rng_below(&net->rng, ring->n_ready)];
        fake_ring_unready(way);
        try_op(way);
        did = true;
    }
    did = did || !list_empty(&ring->tasks) || ring->drained_first;
    fake_tasks_run(ring);
    fake_drained_run(ring);
    net->turning = NULL;
    if (did)
        ring->stats.turns++;
    return did;
}

static void advance(struct fake_net *net, uint64_t to_ms)
{
    net->now_ms = to_ms;
    timer_wheel_expire(&net->delays, to_ms);
    list_for_each (n, &net->rings)
        timer_wheel_expire(&container_of(n, struct ring, link)->timers, to_ms);
}

static uint64_t due(const struct timer_wheel *w)
{
    uint64_t next = timer_wheel_next_ms(w);
    return next == UINT64_MAX ? UINT64_MAX : w->now_ms + next;
}

static bool any_turn(struct fake_net *net)
{
    struct ring *rings[RINGS_MAX];
    size_t n = 0;
    list_for_each (l, &net->rings) {
        if (n == ARRAY_SIZE(rings))
            fake_net_misuse("more than %zu rings", n);
        rings[n++] = container_of(l, struct ring, link);
    }
    size_t first = n > 0 ? rng_below(&net->rng, n) : 0;
    for (size_t i = 0; i < n; i++)
        if (fake_turn(rings[(first + i) % n]))
            return true;
    return false;
}

bool fake_net_runs(void)
{
    return fake_net_current && fake_net_current->runs;
}

static bool step(struct fake_net *net, uint64_t limit_ms)
{
    net->steps++;
    if (rng_below(&net->rng, 16) == 0) { /* time goes on for the busy, too, and so it comes to its end */
        if (net->now_ms >= limit_ms)
            return false;
        advance(net, net->now_ms + 1);
    }
    if (any_turn(net))
        return true;
    uint64_t next = due(&net->delays);
    list_for_each (n, &net->rings) {
        uint64_t at = due(&container_of(n, struct ring, link)->timers);
        next = at < next ? at : next;
    }
    if (next == UINT64_MAX || next > limit_ms)
        return false;
    advance(net, next > net->now_ms ? next : net->now_ms);
    return true;
}

bool fake_step(struct fake_net *net, uint64_t limit_ms)
{
    net->runs = true;
    bool went_on = step(net, limit_ms);
    net->runs = false;
    return went_on;
}

/* ---- running ------------------------------------------------------------------------------- */
void fake_net_stop(struct fake_net *net)
{
    net->stop = true;
}

enum fake_end fake_net_run(struct fake_net *net, uint64_t max_steps)
{
    for (; max_steps > 0; max_steps--) {
        bool went_on = fake_step(net, UINT64_MAX);
        if (net->stop) {
            net->stop = false;
            return FAKE_STOPPED;
        }
        if (!went_on)
            return FAKE_IDLE;
    }
    return FAKE_TIRED;
}

bool fake_net_run_until(struct fake_net *net, bool (*reached)(void *arg), void *arg,
                        uint64_t max_ms)
{
    uint64_t limit = net->now_ms + max_ms;
    while (!reached(arg)) {
        if (!fake_step(net, limit) || net->now_ms > limit)
            return reached(arg);
    }
    return true;
}

void fake_net_run_for(struct fake_net *net, uint64_t ms)
{
    uint64_t limit = net->now_ms + ms;
    while (net->now_ms < limit)
        if (!fake_step(net, limit))
            advance(net, limit);
}
