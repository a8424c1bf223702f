/*
 * shared/ring/ring.h and socket.h over the simulated network: what is asked of a ring or a
 * socket. What then happens is in fake_loop.c. All of these two headers must be here: a
 * simulation links this file before the library ring, and takes nothing of that but the mailbox.
 */
#include "tests/support/fake_net.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { TASK_ROUNDS_MAX = 16, CHUNKS_DEFAULT = 16384 };

struct fake_way *fake_way_of(const struct ring_op *op)
{
    struct fake_socket *s = fake_socket_of(op->fd);
    return s ? &s->ways[op->kind == OP_CONNECT || op->kind == OP_SEND ? FAKE_WRITE : FAKE_READ]
             : NULL;
}

void fake_op_wake(struct ring_op *op)
{
    struct fake_way *way = fake_way_of(op);
    fake_way_wake(way->socket, (int)(way - way->socket->ways));
}

/* ---- open, free ----------------------------------------------------------------------- */
static void pause_ended(struct timer *t)
{
    struct ring *ring = container_of(t, struct ring, pause);
    for (struct list *n; (n = list_pop_front(&ring->pausing));)
        fake_op_wake(container_of(n, struct ring_op, waiting));
}

static void chunk_came_back(struct chunk_pool *pool)
{
    struct ring *ring = pool->freed_owner;
    ring->chunks_came_back = true;
}

int ring_open(struct ring **ret, const struct ring_options *options, const char **ret_why)
{
    struct fake_net *net = fake_net_current;
    if (!net)
        fake_net_misuse("ring_open() before fake_net_new()");
    struct ring *ring = calloc(1, sizeof *ring);
    if (!ring) {
        if (ret_why)
            *ret_why = "no memory";
        return -ENOMEM;
    }
    size_t chunks_max = options && options->chunks_max ? options->chunks_max : CHUNKS_DEFAULT;
    ring->net = net;
    ring->id = net->n_rings++;
    chunk_pool_init(&ring->pool, chunks_max, chunks_max < 64 ? chunks_max : 64);
    ring->pool.freed = chunk_came_back;
    ring->pool.freed_owner = ring;
    timer_wheel_init(&ring->timers, net->now_ms);
    timer_init(&ring->pause, pause_ended);
    rng_seed(&ring->rng, rng_u64(&net->rng));
    list_init(&ring->tasks);
    list_init(&ring->put_off);
    list_init(&ring->starved);
    list_init(&ring->pausing);
    list_init(&ring->polls);
    ring->drained_end = &ring->drained_first;
    list_push_back(&net->rings, &ring->link);
    *ret = ring;
    return 0;
}

void fake_drained_run(struct ring *ring)
{
    for (struct ring_scope *scope; (scope = ring->drained_first);) {
        ring->drained_first = scope->next_drained;
        if (!ring->drained_first)
            ring->drained_end = &ring->drained_first;
        scope->drained(scope);
    }
}

struct ring *ring_free(struct ring *ring)
{
    if (!ring)
        return NULL;
    fake_drained_run(ring);
    if (ring->in_flight > 0)
        fake_net_misuse("ring %u is freed with %u operations in flight", ring->id, ring->in_flight);
    list_remove(&ring->link);
    chunk_pool_done(&ring->pool);
    free(ring->ready);
    free(ring);
    return NULL;
}

/* ---- operations ------------------------------------------------------------------------ */
void ring_op_init(struct ring_op *op, struct ring_scope *scope)
{
    *op = (struct ring_op){.scope = scope, .fd = -1};
    list_init(&op->link);
    list_init(&op->waiting);
}

static void enter_flight(struct ring *ring, struct ring_op *op, uint8_t kind, int fd,
                         ring_op_done *done)
{
    assert(!op->in_flight && !op->scope->closing && op->scope->ring == ring);
    op->done = done;
    op->kind = kind;
    op->fd = fd;
    op->chunk = NULL;
    op->stopping = false;
    op->in_flight = op->armed = true;
    op->scope->in_flight++;
    ring->in_flight++;
    ring->stats.submitted++;
    list_push_back(&op->scope->ops, &op->link);
}

static struct fake_way *begin(struct ring *ring, struct ring_op *op, uint8_t kind, int fd,
                              ring_op_done *done)
{
    enter_flight(ring, op, kind, fd, done);
    struct fake_way *way = fake_way_of(op);
    if (!way)
        fake_net_misuse("an operation (kind %d) on %d, which is no open descriptor", kind, fd);
    if (way->op)
        fake_net_misuse(
            "an operation (kind %d) on %d, where one (kind %d) is in flight the same way", kind, fd,
            way->op->kind);
    way->op = op;
    fake_op_wake(op);
    return way;
}

void ring_accept(struct ring *ring, struct ring_op *op, int fd, ring_op_done *done)
{
    begin(ring, op, OP_ACCEPT, fd, done);
}
void ring_connect(struct ring *ring, struct ring_op *op, int fd, const struct sockaddr *to,
                  socklen_t to_len, ring_op_done *done)
{
    memcpy(&begin(ring, op, OP_CONNECT, fd, done)->to, to, to_len);
}
void ring_recv(struct ring *ring, struct ring_op *op, int fd, ring_op_done *done)
{
    begin(ring, op, OP_RECV, fd, done);
}
void ring_send(struct ring *ring, struct ring_op *op, int fd, const struct iovec *iov,
               unsigned n_iov, ring_op_done *done)
{
    assert(n_iov > 0 && n_iov <= RING_IOV_MAX);
    struct fake_way *way = begin(ring, op, OP_SEND, fd, done);
    memcpy(way->iov, iov, n_iov * sizeof *iov);
    way->n_iov = n_iov;
}
void ring_poll(struct ring *ring, struct ring_op *op, int fd, short events, ring_op_done *done)
{
    if (fd >= FAKE_FD_BASE)
        fake_net_misuse("ring_poll() is for what is no socket");
    enter_flight(ring, op, OP_POLL, fd, done);
    op->chunk =
        (struct chunk *)(uintptr_t)(unsigned short)events; /* unused by a poll: keeps them */
    list_push_back(&ring->polls, &op->waiting);
}

static void stop(struct ring_op *op)
{
    if (!op->in_flight || op->stopping || op->scope->closing)
        return;
    op->stopping = true;
    list_remove(&op->waiting); /* it may be starved, or pausing */
    fake_op_wake(op);
}
void ring_recv_stop(struct ring *ring, struct ring_op *op)
{
    (void)ring;
    assert(!op->in_flight || op->kind == OP_RECV);
    stop(op);
}
void ring_accept_stop(struct ring *ring, struct ring_op *op)
{
    (void)ring;
    assert(!op->in_flight || op->kind == OP_ACCEPT);
    stop(op);
}

/* ---- scopes and tasks -------------------------------------------------------------------- */
void ring_scope_init(struct ring_scope *scope, struct ring *ring,
                     void (*drained)(struct ring_scope *))
{
    *scope = (struct ring_scope){.ring = ring, .drained = drained};
    list_init(&scope->ops);
}

void fake_drained_put(struct ring_scope *scope)
{
    if (!scope->drained)
        return;
    scope->next_drained = NULL;
    *scope->ring->drained_end = scope;
    scope->ring->drained_end = &scope->next_drained;
}

void ring_scope_close(struct ring_scope *scope)
{
    if (scope->closing)
        return;
    scope->closing = true;
    if (scope->in_flight == 0)
        fake_drained_put(scope);
    list_for_each (n, &scope->ops) {
        struct ring_op *op = container_of(n, struct ring_op, link);
        if (op->kind == OP_POLL)
            continue; /* the next turn looks through all polls */
        list_remove(&op->waiting);
        fake_op_wake(op);
    }
}

/* Nobody needs one here: each event of the net is a turn of its own. */
void ring_share_init(struct ring_share *s, struct ring *ring)
{
    *s = (struct ring_share){.ring = ring};
    list_init(&s->link);
    list_init(&s->waiting);
}
void ring_share_done(struct ring_share *s)
{
    assert(list_empty(&s->waiting));
}
void ring_share_use(struct ring_share *s)
{
    (void)s;
}
bool ring_share_has_rival(const struct ring_share *s)
{
    (void)s;
    return false;
}

void ring_task_init(struct ring_task *task, void (*run)(struct ring_task *task))
{
    task->run = run;
    list_init(&task->link);
}
void ring_task_ask(struct ring *ring, struct ring_task *task)
{
    if (list_empty(&task->link))
        list_push_back(&ring->tasks, &task->link);
}
/* One of many: in this turn or in the next one, as it falls. */
void ring_task_ask_shared(struct ring *ring, struct ring_task *task, struct ring_share *share)
{
    if (share && list_empty(&task->link) && rng_below(&ring->net->rng, 4) == 0)
        list_push_back(&ring->put_off, &task->link);
    else
        ring_task_ask(ring, task);
}
void ring_task_cancel(struct ring_task *task)
{
    list_remove(&task->link);
}

void fake_tasks_run(struct ring *ring)
{
    for (int round = 0; round < TASK_ROUNDS_MAX && !list_empty(&ring->tasks); round++) {
        struct list last;
        list_push_back(&ring->tasks, &last);
        for (struct list *n; (n = list_pop_front(&ring->tasks)) != &last;) {
            struct ring_task *task = container_of(n, struct ring_task, link);
            task->run(task);
        }
    }
}

/* ---- the loop ------------------------------------------------------------------------------ */
int ring_run(struct ring *ring)
{
    if (ring->stop) /* asked for before: one turn, as the real one */
        (void)fake_turn(ring);
    while (!ring->stop) {
        if (!fake_step(ring->net, UINT64_MAX)) {
            fprintf(stderr, "fake ring: nothing can happen any more, and ring %u was not stopped\n",
                    ring->id);
            return -EDEADLK;
        }
    }
    ring->stop = false;
    return 0;
}
void ring_stop(struct ring *ring)
{
    ring->stop = true;
}
bool fake_ring_stopped(const struct ring *ring)
{
    return ring->stop;
}

struct chunk_pool *ring_chunks(struct ring *ring)
{
    return &ring->pool;
}
struct timer_wheel *ring_timers(struct ring *ring)
{
    return &ring->timers;
}
struct rng *ring_rng(struct ring *ring)
{
    return &ring->rng;
}
uint64_t ring_now_ms(const struct ring *ring)
{
    return ring->timers.now_ms;
}
void ring_set_idle_hooks(struct ring *ring, void (*before)(void *arg), void (*after)(void *arg),
                         void *arg)
{
    ring->idle_before = before;
    ring->idle_after = after;
    ring->idle_arg = arg;
}
void ring_stats(const struct ring *ring, struct ring_stats *ret)
{
    *ret = ring->stats;
    ret->chunks_live = ring->pool.n_live;
    ret->timers = ring->timers.count;
}

/* ---- the net
 * ------------------------------------------------------------------------------------- */
struct fake_net *fake_net_new(uint64_t seed)
{
    struct fake_net *net = calloc(1, sizeof *net);
    if (!net)
        fake_net_misuse("no memory");
    rng_seed(&net->rng, seed);
    net->weather = FAKE_WEATHER;
    net->now_ms = 1000000;
    net->trace = 14695981039346656037u;
    timer_wheel_init(&net->delays, net->now_ms);
    list_init(&net->rings);
    fake_net_current = net;
    return net;
}

struct fake_net *fake_net_free(struct fake_net *net)
{
    if (!net)
        return NULL;
    if (!list_empty(&net->rings))
        fake_net_misuse("the net is freed before its rings");
    for (size_t i = 0; i < net->sockets_size; i++)
        if (net->sockets[i])
            fake_socket_free(net->sockets[i]);
    free(net->sockets);
    if (fake_net_current == net)
        fake_net_current = NULL;
    free(net);
    return NULL;
}

void fake_net_set_weather(struct fake_net *net, const struct fake_weather *weather)
{
    if (weather->socket_bytes == 0)
        fake_net_misuse("sockets must hold at least a byte");
    net->weather = *weather;
}
uint64_t fake_net_now_ms(const struct fake_net *net)
{
    return net->now_ms;
}
uint64_t fake_net_trace(const struct fake_net *net)
{
    return net->trace;
}
struct rng *fake_net_rng(struct fake_net *net)
{
    return &net->rng;
}
unsigned fake_net_leaks(struct fake_net *net)
{
    unsigned n = 0;
    list_for_each (l, &net->rings) {
        struct ring *ring = container_of(l, struct ring, link);
        struct {
            size_t count;
            const char *what;
        } held[] = {{ring->in_flight, "operations in flight"},
                    {ring->pool.n_live, "live chunks"},
                    {ring->timers.count - timer_running(&ring->pause), "running timers"},
                    {!list_empty(&ring->tasks) || !list_empty(&ring->put_off), "asked tasks"},
                    {ring->drained_first != NULL, "scopes to drain"}};
        for (size_t i = 0; i < ARRAY_SIZE(held); i++) {
            if (held[i].count == 0)
                continue;
            fprintf(stderr, "fake ring: ring %u still has %zu %s\n", ring->id, held[i].count,
                    held[i].what);
            n++;
        }
    }
    for (size_t i = 0; i < net->sockets_size; i++) {
        struct fake_socket *s = net->sockets[i];
        if (!s)
            continue;
        char local[ADDR_TEXT_MAX], peer[ADDR_TEXT_MAX];
        fprintf(stderr,
                "fake ring: descriptor %d is still open: %s, local %s, peer %s, namespace %u\n",
                s->fd, s->state == FAKE_LISTENING ? "a listener" : "a connection",
                addr_print(&s->local, local), addr_print(&s->peer, peer), s->namespace_id);
        n++;
    }
    return n;
}

/* ---- socket.h
 * --------------------------------------------------------------------------------------- */
static int open_at(int family, struct fake_socket **ret)
{
    struct fake_net *net = fake_net_current;
    if (!net)
        fake_net_misuse("a socket before fake_net_new()");
    int r = fake_socket_new(net, family, ret);
    if (r < 0)
        return r;
    r = fake_socket_give_fd(*ret);
    if (r < 0)
        fake_socket_free(*ret);
    return r;
}

int socket_open(int family, int *ret_fd)
{
    struct fake_socket *s;
    int r = open_at(family, &s);
    if (r == 0)
        *ret_fd = s->fd;
    return r;
}

static int listen_at(const struct addr *at, const char *path, int backlog, int *ret_fd)
{
    struct fake_net *net = fake_net_current;
    struct addr local = at ? *at : (struct addr){0};
    struct fake_socket *s;
    if (at && local.port == 0)
        do
            local.port = (uint16_t)(20000 + rng_below(&net->rng, 10000));
        while (fake_socket_listener_at(net, net->namespace_id, &local, NULL));
    if (fake_socket_listener_at(net, net->namespace_id, &local, path))
        return -EADDRINUSE;
    int r = open_at(path ? AF_UNIX : local.ip.len == 4 ? AF_INET : AF_INET6, &s);
    if (r < 0)
        return r;
    s->state = FAKE_LISTENING;
    s->local = local;
    s->backlog_max = backlog > 0 ? (unsigned)backlog : 1;
    if (path)
        memcpy(s->path, path, strlen(path) + 1);
    *ret_fd = s->fd;
    return 0;
}

int socket_listen(const struct addr *at, int backlog, bool reuse_port, int *ret_fd)
{
    (void)reuse_port;
    return listen_at(at, NULL, backlog, ret_fd);
}

int socket_listen_unix(const char *path, unsigned mode, int *ret_fd)
{
    (void)mode;
    if (*path == '\0' || strlen(path) >= FAKE_PATH_MAX)
        return -ENAMETOOLONG;
    return listen_at(NULL, path, 128, ret_fd);
}

static int call_on(const struct fake_socket *s)
{
    return s ? fake_fault_of_call(s->net) : -EBADF;
}

int socket_accept_now(int listener, int *ret_fd)
{
    return fake_socket_accept(listener, ret_fd);
}

int socket_local(int fd, struct addr *ret)
{
    const struct fake_socket *s = fake_socket_of(fd);
    int r = call_on(s);
    if (r < 0)
        return r;
    *ret = s->local;
    return 0;
}

int socket_peer(int fd, struct addr *ret)
{
    const struct fake_socket *s = fake_socket_of(fd);
    int r = call_on(s);
    if (r < 0)
        return r;
    if (s->state != FAKE_CONNECTED)
        return -ENOTCONN;
    *ret = s->peer;
    return 0;
}

int socket_original_dst(int fd, struct addr *ret)
{
    const struct fake_socket *s = fake_socket_of(fd);
    int r = call_on(s);
    if (r < 0)
        return r;
    if (s->original.ip.len == 0)
        return -ENOENT;
    *ret = s->original;
    return 0;
}

int socket_bind_transparent(int fd, const struct ip *source)
{
    struct fake_socket *s = fake_socket_of(fd);
    if (!s)
        return -EBADF;
    int r = call_on(s);
    if (r < 0)
        return r;
    if (s->state != FAKE_NEW || ip_family(source) != s->family)
        return -EINVAL;
    s->local.ip = *source;
    return 0;
}

/* All of a port's connections are to be told apart by where they go to; none is ever taken here, but for faults. */
int socket_limit_ports(int fd, uint16_t first, uint16_t last)
{
    struct fake_socket *s = fake_socket_of(fd);
    int r = call_on(s);
    if (r < 0)
        return r;
    s->local.port = first == last ? first : 0;
    return 0;
}

int socket_bind_port(int fd, const struct addr *source)
{
    struct fake_socket *s = fake_socket_of(fd);
    int r = call_on(s);
    if (r < 0)
        return r;
    s->local = *source;
    return 0;
}

int socket_set_mark(int fd, uint32_t mark)
{
    struct fake_socket *s = fake_socket_of(fd);
    if (!s)
        return -EBADF;
    s->mark = mark;
    return 0;
}

void socket_set_keepalive(int fd, unsigned idle_s)
{
    (void)fd;
    (void)idle_s;
}
void socket_set_nodelay(int fd)
{
    (void)fd;
}

int socket_shutdown_send(int fd)
{
    struct fake_socket *s = fake_socket_of(fd);
    if (!s || s->state != FAKE_CONNECTED || s->broken)
        return s ? -ENOTCONN : -EBADF;
    if (fake_fault_of_call(s->net) < 0) { /* it can fail only so */
        fake_socket_break(s);
        return -ENOTCONN;
    }
    fake_socket_finish(s);
    return 0;
}

void socket_set_reset_on_close(int fd)
{
    struct fake_socket *s = fake_socket_of(fd);
    if (s)
        s->reset_on_close = true;
}

void socket_close(int fd)
{
    struct fake_socket *s = fake_socket_of(fd);
    if (s)
        fake_socket_free(s);
    else if (fd >= 0)
        fake_net_misuse("descriptor %d is closed, but not open", fd);
}
