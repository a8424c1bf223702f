/*
 * Operations: how each kind is given to the kernel, and what its completion means.
 */
#include "shared/ring/ring_state.h"
#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

/* ---- to the kernel --------------------------------------------------------- */
void ring_stage_clear(struct ring *ring)
{
    if (io_uring_sq_ready(&ring->uring) == 0)
        ring->stage.used = 0;
}

/* Hands over what is queued, so that there is room. If nothing goes, the kernel has no memory for
 * requests: wait, as a page fault would. */
static void hand_over(struct ring *ring)
{
    if (io_uring_submit(&ring->uring) <= 0)
        sched_yield();
    ring_stage_clear(ring);
}

struct io_uring_sqe *ring_sqe(struct ring *ring)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->uring);
    while (!sqe) {
        hand_over(ring);
        sqe = io_uring_get_sqe(&ring->uring);
    }
    ring->stats.submitted++;
    return sqe;
}

/* Room for what the next entry will point at; there is a place for that entry as well. */
static void *stage_take(struct ring *ring, size_t bytes)
{
    struct stage *s = &ring->stage;
    bytes = (bytes + 15) & ~(size_t)15;
    assert(bytes <= sizeof s->bytes);
    while (bytes > sizeof s->bytes - s->used || io_uring_sq_space_left(&ring->uring) == 0)
        hand_over(ring);
    s->used += bytes;
    return s->bytes + s->used - bytes;
}

void ring_op_init(struct ring_op *op, struct ring_scope *scope)
{
    *op = (struct ring_op){.scope = scope, .fd = -1};
    list_init(&op->link);
    list_init(&op->waiting);
}

static void begin(struct ring *ring, struct ring_op *op, uint8_t kind, int fd, ring_op_done *done)
{
    assert(!op->in_flight && !op->scope->closing && op->scope->ring == ring);
    op->done = done;
    op->kind = kind;
    op->fd = fd;
    op->stopping = op->single = op->yielding = false;
    op->in_flight = true;
    op->scope->in_flight++;
    ring->in_flight++;
    list_push_back(&op->scope->ops, &op->link);
}

static struct io_uring_sqe *sqe_for(struct ring *ring, struct ring_op *op)
{
    op->armed = true;
    return ring_sqe(ring);
}

void ring_op_arm(struct ring *ring, struct ring_op *op)
{
    struct io_uring_sqe *sqe = sqe_for(ring, op);
    if (op->kind == OP_ACCEPT) {
        io_uring_prep_multishot_accept(sqe, op->fd, NULL, NULL, SOCK_CLOEXEC);
    } else {
        assert(op->kind == OP_RECV);
        if (op->one_shot || op->single)
            io_uring_prep_recv(sqe, op->fd, NULL, 0, 0);
        else
            io_uring_prep_recv_multishot(sqe, op->fd, NULL, 0, 0);
        sqe->flags |= IOSQE_BUFFER_SELECT;
        sqe->buf_group = 0;
        if (!op->single) /* there was more to come when it was taken out of the kernel */
            sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
    }
    io_uring_sqe_set_data(sqe, op);
}

void ring_accept(struct ring *ring, struct ring_op *op, int fd, ring_op_done *done)
{
    begin(ring, op, OP_ACCEPT, fd, done);
    ring_op_arm(ring, op);
}

void ring_connect(struct ring *ring, struct ring_op *op, int fd, const struct sockaddr *to,
                  socklen_t to_len, ring_op_done *done)
{
    begin(ring, op, OP_CONNECT, fd, done);
    void *copy = memcpy(stage_take(ring, to_len), to, to_len);
    struct io_uring_sqe *sqe = sqe_for(ring, op);
    io_uring_prep_connect(sqe, fd, copy, to_len);
    io_uring_sqe_set_data(sqe, op);
}

/* A receive that the kernel does not have, or not any more. */
static void receive_on(struct ring *ring, struct ring_op *op)
{
    struct ring_share *share = op->scope->share;
    op->yielding = false;
    if (share && ring_share_is_over(share)) {
        ring_share_wait(share, op);
    } else {
        op->single = false;
        ring_op_arm(ring, op);
    }
}

/* From Linux 6.17 a multishot receive on a Unix socket may miss the end of the stream for ever,
 * if it came together with the last bytes (axboe/liburing issue 1549). Those are received one
 * shot at a time. */
static bool needs_one_shot(int fd)
{
    int domain = AF_UNSPEC;
    socklen_t len = sizeof domain;
    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0 || domain == AF_UNIX;
}

void ring_recv(struct ring *ring, struct ring_op *op, int fd, ring_op_done *done)
{
    begin(ring, op, OP_RECV, fd, done);
    op->chunk = NULL;
    op->one_shot = needs_one_shot(fd);
    receive_on(ring, op);
}

/* A message with its gather list, on the stage. */
static const struct msghdr *stage_message(struct ring *ring, const struct iovec *iov, unsigned n_iov)
{
    struct msghdr *msg = stage_take(ring, sizeof *msg + n_iov * sizeof *iov);
    *msg = (struct msghdr){.msg_iov = (struct iovec *)(void *)(msg + 1), .msg_iovlen = n_iov};
    memcpy(msg->msg_iov, iov, n_iov * sizeof *iov);
    return msg;
}

void ring_send(struct ring *ring, struct ring_op *op, int fd, const struct iovec *iov,
               unsigned n_iov, ring_op_done *done)
{
    /* MSG_WAITALL: the kernel goes on by itself after a short write, without waking us. */
    const int flags = MSG_NOSIGNAL | MSG_WAITALL;
    assert(n_iov > 0 && n_iov <= RING_IOV_MAX);
    begin(ring, op, OP_SEND, fd, done);
    const struct msghdr *msg = n_iov > 1 ? stage_message(ring, iov, n_iov) : NULL;
    struct io_uring_sqe *sqe = sqe_for(ring, op);
    if (msg)
        io_uring_prep_sendmsg(sqe, fd, msg, (unsigned)flags);
    else
        io_uring_prep_send(sqe, fd, iov->iov_base, iov->iov_len, flags);
    io_uring_sqe_set_data(sqe, op);
}

void ring_poll(struct ring *ring, struct ring_op *op, int fd, short events, ring_op_done *done)
{
    begin(ring, op, OP_POLL, fd, done);
    struct io_uring_sqe *sqe = sqe_for(ring, op);
    io_uring_prep_poll_add(sqe, fd, (unsigned)events);
    io_uring_sqe_set_data(sqe, op);
}

/* The cancel itself has no owner: its completion carries no user data and is dropped. If the
 * operation ends first, the cancel finds nothing; queue order keeps it from hitting a successor. */
void ring_op_cancel(struct ring *ring, struct ring_op *op)
{
    struct io_uring_sqe *sqe = ring_sqe(ring);
    io_uring_prep_cancel(sqe, op, 0);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data(sqe, NULL);
}

static void stop(struct ring *ring, struct ring_op *op)
{
    if (!op->in_flight || op->stopping || op->scope->closing)
        return;
    op->stopping = true;
    if (op->armed) {
        ring_op_cancel(ring, op);
    } else if (!list_empty(&op->waiting)) {
        list_remove(&op->waiting);
        list_push_back(&ring->returned, &op->waiting);
    } /* else we are inside its done, and who called it looks at `stopping` after it */
}

void ring_recv_stop(struct ring *ring, struct ring_op *op)
{
    assert(!op->in_flight || op->kind == OP_RECV);
    stop(ring, op);
}

void ring_accept_stop(struct ring *ring, struct ring_op *op)
{
    assert(!op->in_flight || op->kind == OP_ACCEPT);
    stop(ring, op);
}

/* ---- from the kernel ------------------------------------------------------- */
static void leave(struct ring_op *op)
{
    struct ring_scope *scope = op->scope;
    assert(op->in_flight && !op->armed && scope->in_flight > 0);
    op->in_flight = false;
    list_remove(&op->link);
    list_remove(&op->waiting);
    scope->in_flight--;
    scope->ring->in_flight--;
}

void ring_op_give_back(struct ring_op *op)
{
    struct ring_scope *scope = op->scope;
    leave(op);
    if (scope->closing && scope->in_flight == 0)
        ring_drained_put(scope->ring, scope);
}

void ring_op_finish(struct ring_op *op, int result)
{
    leave(op);
    op->done(op, result); /* op may be in flight again, or its scope closing */
}

/* What no time heals; accept(2) asks to go on after everything else. */
static bool cannot_accept(int result)
{
    return result == -EBADF || result == -EINVAL || result == -ENOTSOCK || result == -EOPNOTSUPP ||
           result == -ECANCELED;
}

static void accepted(struct ring *ring, struct ring_op *op, int result)
{
    if (cannot_accept(result)) {
        ring_op_finish(op, result);
        return;
    }
    /* A peer that gave up before we came is its own business; the rest takes time to pass. */
    if (result < 0 && result != -ECONNABORTED && !op->stopping) {
        list_push_back(&ring->pausing, &op->waiting);
        if (!timer_running(&ring->pause))
            timer_start(&ring->timers, &ring->pause, PAUSE_MS);
        return;
    }
    if (result >= 0)
        op->done(op, result);
    if (!op->in_flight || op->armed)
        return;
    if (op->stopping)
        ring_op_finish(op, -ECANCELED);
    else /* the multishot has ended, and we have not */
        ring_op_arm(ring, op);
}

/* One that the kernel would go on with. */
static void yield(struct ring *ring, struct ring_op *op)
{
    if (op->yielding || op->stopping || op->scope->closing)
        return;
    op->yielding = true;
    ring_op_cancel(ring, op);
}

static void received(struct ring *ring, struct ring_op *op, int result)
{
    struct ring_share *share = op->scope->share;
    bool over = share && result > 0 && ring_share_pay(share, (size_t)result);
    if (result == -ENOBUFS && !op->stopping) {
        op->yielding = false;
        op->single = share && ring_share_is_over(share);
        list_push_back(&ring->starved, &op->waiting);
        ring->stats.starved++;
        return;
    }
    if (result == -ECANCELED && op->yielding && !op->stopping) {
        receive_on(ring, op);
        return;
    }
    if (result <= 0) {
        ring_op_finish(op, result == -ENOBUFS ? -ECANCELED : result);
        return;
    }
    op->got = (uint16_t)result;
    op->done(op, result);
    if (op->chunk)
        op->chunk = chunk_free(op->chunk);
    if (!op->in_flight)
        return;
    if (op->armed && over)
        yield(ring, op);
    else if (!op->armed && op->stopping)
        ring_op_finish(op, -ECANCELED);
    else if (!op->armed)
        receive_on(ring, op);
}

static void swallow(struct ring_op *op, int result)
{
    if (op->kind == OP_ACCEPT && result >= 0)
        close(result);
    if (!op->armed)
        ring_op_give_back(op);
}

void ring_op_complete(struct ring *ring, const struct io_uring_cqe *cqe)
{
    struct ring_op *op = io_uring_cqe_get_data(cqe);
    struct chunk *chunk = NULL;
    if (cqe->flags & IORING_CQE_F_BUFFER)
        chunk = supply_take(ring, cqe->flags >> IORING_CQE_BUFFER_SHIFT, cqe->res);
    if (!op)
        return;
    assert(op->in_flight && op->armed);
    op->armed = cqe->flags & IORING_CQE_F_MORE;
    if (op->scope->closing || cqe->res <= 0)
        chunk = chunk ? chunk_free(chunk) : NULL;
    if (op->scope->closing) {
        swallow(op, cqe->res);
    } else if (op->kind == OP_ACCEPT) {
        accepted(ring, op, cqe->res);
    } else if (op->kind == OP_RECV) {
        op->chunk = chunk;
        received(ring, op, cqe->res);
    } else {
        ring_op_finish(op, cqe->res);
    }
}
