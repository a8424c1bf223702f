/*
 * What the files of the simulated network know of each other; tests include fake_ring.h. Streams
 * are byte queues; nothing here calls back: it wakes ways (a socket's reading or writing side),
 * and the ring whose operation waits there looks again.
 */
#ifndef TESTS_SUPPORT_FAKE_NET_H
#define TESTS_SUPPORT_FAKE_NET_H
#include "tests/support/fake_ring.h"

enum { FAKE_SOCKETS_MAX = 65536, FAKE_ADDRESSES_MAX = 1024, FAKE_PATH_MAX = 108 };
enum fake_state { FAKE_NEW, FAKE_CONNECTING, FAKE_CONNECTED, FAKE_LISTENING };
enum { FAKE_READ, FAKE_WRITE, FAKE_WAYS };

struct fake_socket;
struct fake_way {
    struct fake_socket *socket;
    struct ring_op *op;             /* NULL: nobody waits here */
    struct sockaddr_storage to;     /* of a connect */
    struct iovec iov[RING_IOV_MAX]; /* of a send, n_iov of them */
    unsigned n_iov;
    struct timer delay;
    long ready; /* place among the ring's ready ones; -1: not there */
};
struct fake_socket {
    struct fake_net *net;
    int fd; /* -1: not accepted yet */
    int family;
    enum fake_state state;
    uint32_t namespace_id, mark;
    struct addr local, peer, original;
    char path[FAKE_PATH_MAX];
    struct fake_socket *other; /* NULL: there is none, or it was closed */
    uint8_t *bytes;            /* `size` of them, a ring; `len` from `start` were not read yet */
    size_t size, start, len;
    int error; /* told once */
    bool ended, send_shut, broken, reset_on_close;
    struct list backlog, link; /* connections that wait for an accept */
    unsigned n_backlog, backlog_max;
    struct fake_way ways[FAKE_WAYS];
};
struct fake_net {
    struct rng rng;
    struct fake_weather weather;
    uint64_t now_ms, trace, steps;
    struct timer_wheel delays;
    struct list rings;
    unsigned n_rings, n_sockets;
    bool stop, runs;
    struct fake_socket **sockets; /* by fd - FAKE_FD_BASE */
    size_t sockets_size;
    uint16_t next_port;
    uint32_t namespace_id;
    struct {
        uint32_t namespace_id;
        struct ip ip;
    } addresses[FAKE_ADDRESSES_MAX];
    size_t n_addresses;
    fake_route_fn *route;
    void *route_arg;
    struct fake_fault fault;
    uint64_t points;             /* counted since it was set */
    enum fake_fault_kind moving; /* FAKE_ONE_BYTE, FAKE_HALF: for the operation that goes on now */
    struct ring *turning;        /* whose turn it is */
};
struct ring {
    struct fake_net *net;
    struct list link; /* net->rings */
    unsigned id;
    struct chunk_pool pool;
    struct timer_wheel timers;
    struct rng rng;
    struct list tasks, put_off, starved, pausing, polls;
    struct timer pause;
    struct ring_scope *drained_first, **drained_end;
    struct fake_way **ready; /* n_ready of ready_size */
    size_t n_ready, ready_size;
    void (*idle_before)(void *arg), (*idle_after)(void *arg);
    void *idle_arg;
    unsigned in_flight;
    bool stop, chunks_came_back, watched;
    struct ring_stats stats;
};
enum { OP_ACCEPT = 1, OP_CONNECT, OP_RECV, OP_SEND, OP_POLL };
extern struct fake_net *fake_net_current;

__attribute__((noreturn, format(printf, 1, 2))) void fake_net_misuse(const char *format, ...);
/* The network's own: whoever counts allocations of those that run does not count it. */
void *fake_net_memory(struct fake_net *net, void *old, size_t size);
bool fake_net_chance(struct fake_net *net, unsigned percent);
void fake_net_note(struct fake_net *net, uint64_t what); /* into the trace */

struct fake_socket *fake_socket_of(int fd); /* NULL: no such socket */
int fake_socket_new(struct fake_net *net, int family, struct fake_socket **ret);
int fake_socket_give_fd(struct fake_socket *s);              /* -EMFILE */
struct fake_socket *fake_socket_free(struct fake_socket *s); /* what happens at close(2) */
struct fake_socket *fake_socket_listener_at(struct fake_net *net, uint32_t namespace_id,
                                            const struct addr *at, const char *path);
/* 0: connected; -EAGAIN: nobody has answered yet; else an error. */
int fake_socket_try_connect(struct fake_socket *s, const struct sockaddr *to);
/* The oldest connection that waits, without a descriptor; NULL: none. */
struct fake_socket *fake_socket_pop_backlog(struct fake_socket *listener);
size_t fake_socket_put(struct fake_socket *to, const void *data,
                       size_t len); /* what there is room for */
size_t fake_socket_take(struct fake_socket *s, void *data, size_t len);
void fake_socket_lose(struct fake_socket *s);  /* bytes were sent to a peer that has closed */
void fake_socket_break(struct fake_socket *s); /* a reset, seen by both ends */
/* 0: may send; else the error that a send gets. Tells an error once. */
int fake_socket_send_error(struct fake_socket *s);
void fake_socket_finish(struct fake_socket *s); /* nothing is sent any more */
void fake_way_wake(struct fake_socket *s, int way);
void fake_way_leave(struct fake_way *way); /* its operation has ended */

/* fake_fault.c */
/* Whether something goes wrong at this point, and what. */
bool fake_fault_at(struct ring *ring, unsigned point, struct fake_fault *ret);
int fake_fault_of_call(struct fake_net *net); /* 0, or -errno */
/* fake_loop.c */
void fake_ring_ready(struct fake_way *way); /* its operation may go on now */
void fake_ring_unready(struct fake_way *way);
bool fake_turn(struct ring *ring); /* whether anything happened */
/* One ring does something, or the clock goes on; false: nothing can happen any more, or not
 * before limit_ms. */
bool fake_step(struct fake_net *net, uint64_t limit_ms);
/* fake_ring.c */
struct fake_way *fake_way_of(const struct ring_op *op); /* NULL: no such descriptor */
void fake_op_wake(struct ring_op *op);
void fake_drained_put(struct ring_scope *scope);
void fake_drained_run(struct ring *ring);
void fake_tasks_run(struct ring *ring);
#endif
