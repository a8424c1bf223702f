/*
 * A simulated network under simulated rings: what tests/sim is made of.
 * tests/support/fake_ring.c implements shared/ring/ring.h and socket.h, so that unchanged code
 * runs on it: several rings (one per simulated process) in one thread, on one virtual clock, all
 * chance from one seed. The same seed gives the same run, completion by completion:
 * fake_net_trace() proves it.
 *
 * A ring belongs to the net that was made last. Descriptors of the net start at FAKE_FD_BASE;
 * smaller ones are the system's and can only be polled (a mailbox works, from the same thread).
 *
 * Misuse ends the program with a sentence: a socket closed with an operation in flight, two
 * sends at a time on one socket, a ring freed with operations in flight.
 */
#ifndef TESTS_SUPPORT_FAKE_RING_H
#define TESTS_SUPPORT_FAKE_RING_H
#include "shared/ring/ring.h"
#include "shared/ring/socket.h"

enum { FAKE_FD_BASE = 1000000 };

struct fake_net;
/* How unkind the net is. A new net has FAKE_WEATHER. */
struct fake_weather {
    unsigned short_percent;      /* of reads and writes move less than they could, from 1 byte up */
    unsigned delay_percent;      /* of events are noticed later */
    unsigned delay_ms_max;       /* by 1 up to this */
    unsigned resets_per_million; /* reads and writes that find their connection reset instead */
    size_t socket_bytes;         /* that a socket holds which nobody has read */
    unsigned sockets_max;        /* then there are no descriptors left; 0: no limit */
    unsigned faults_per_million; /* of points (see below) where anything goes wrong */
};
#define FAKE_WEATHER                                                                               \
    ((struct fake_weather){                                                                        \
        .short_percent = 50, .delay_percent = 20, .delay_ms_max = 20, .socket_bytes = 65536})

struct fake_net *fake_net_new(uint64_t seed);
/* Ends everything; rings must be freed before. NULL is fine. Returns NULL. */
struct fake_net *fake_net_free(struct fake_net *net);
void fake_net_set_weather(struct fake_net *net, const struct fake_weather *weather);
uint64_t fake_net_now_ms(const struct fake_net *net);
uint64_t fake_net_trace(const struct fake_net *net); /* a hash of all that has happened */
struct rng *fake_net_rng(struct fake_net *net);      /* for the test's own choices */

/* Runs all rings until something tells it to end; the clock jumps when nobody can do anything. */
enum fake_end {
    FAKE_IDLE,    /* nothing is left that could ever happen */
    FAKE_STOPPED, /* by fake_net_stop() */
    FAKE_TIRED,   /* max_steps were not enough */
};
enum fake_end fake_net_run(struct fake_net *net, uint64_t max_steps);
void fake_net_stop(struct fake_net *net);
/* Runs until `reached` says so, at most for max_ms of virtual time; false: it never came true. */
bool fake_net_run_until(struct fake_net *net, bool (*reached)(void *arg), void *arg,
                        uint64_t max_ms);
void fake_net_run_for(struct fake_net *net, uint64_t ms);
bool fake_net_runs(void); /* inside one of these: what is called now is called by a ring */
/* How much is still held: operations in flight, live chunks, asked tasks, open sockets, and
 * timers (but for idle_timers of each ring). Each is reported on standard error. 0: all clean. */
unsigned fake_net_leaks(struct fake_net *net);

/*
 * ---- faults on purpose -----------------------------------------------------------------------
 * A point is where an operation of a watched ring is about to complete, or where one of its turns
 * asks the system something by socket.h. At the n-th of the chosen points this happens instead:
 */
enum { /* which points are counted */
       FAKE_AT_ACCEPT = 1,
       FAKE_AT_CONNECT = 2,
       FAKE_AT_RECV = 4,
       FAKE_AT_SEND = 8,
       FAKE_AT_CALL = 16
};
enum fake_fault_kind {
    FAKE_ERROR,    /* it ends with `error`; what would break a connection breaks it at both ends */
    FAKE_ONE_BYTE, /* it moves one byte */
    FAKE_HALF,     /* it moves half of what it could */
    FAKE_LATE,     /* others come first: it happens FAKE_LATE_MS later */
    FAKE_STALL     /* the whole machine stood still for FAKE_STALL_MS: every deadline is over */
};
enum { FAKE_LATE_MS = 200, FAKE_STALL_MS = 25000 };
struct fake_fault {
    unsigned points;
    enum fake_fault_kind kind;
    int error;
    uint64_t nth; /* from 1; 0: never */
    bool stays;   /* and all that follow */
};
void fake_ring_watch(struct ring *ring);
void fake_net_set_fault(struct fake_net *net, const struct fake_fault *fault); /* NULL: none */
uint64_t fake_net_points(const struct fake_net *net);      /* how many were counted since then */
size_t fake_fault_errors(unsigned point, const int **ret); /* all that can happen there */

/* ---- where things are ------------------------------------------------------------------- */
/* Sockets made from now on belong to this network namespace, as after setns(2); returns the
 * previous one. */
uint32_t fake_net_enter_namespace(struct fake_net *net, uint32_t namespace_id);
void fake_socket_set_namespace(int fd, uint32_t namespace_id);
uint32_t fake_socket_namespace(int fd);
/* The address belongs to that namespace: connections to it look for listeners there alone, and
 * those that are opened there come from it (the first one of a family). -ENOSPC: too many. */
int fake_net_add_address(struct fake_net *net, uint32_t namespace_id, const struct ip *ip);

/*
 * Who answers a connect: first the route function, if there is one and it wants to. Else a
 * loopback address: in the caller's own namespace; an address that was added: in its namespace;
 * any other: a listener at exactly that address in whatever namespace, else one at any address.
 * Nobody: -ECONNREFUSED.
 */
struct fake_route {
    int listener;         /* gets the connection; -1: refused */
    struct addr original; /* what socket_original_dst() tells there; ip none: not redirected */
    struct addr source;   /* what socket_peer() tells there; ip none: the caller's own address */
    int error;            /* < 0: connect fails with it */
    bool lost;            /* connect never ends */
};
/* ret is all zero but listener = -1; false: the usual way. */
typedef bool fake_route_fn(struct fake_net *net, int fd, const struct addr *to,
                           struct fake_route *ret, void *arg);
void fake_net_set_route(struct fake_net *net, fake_route_fn *route, void *arg);

/* ---- single sockets ----------------------------------------------------------------------- */
int fake_socket_pair(struct fake_net *net, int ret_fds[2]); /* connected; -errno */
void fake_socket_set_peer(int fd, const struct addr *peer);
void fake_socket_set_original_dst(int fd, const struct addr *original);
uint32_t fake_socket_mark(int fd);
void fake_socket_reset(int fd); /* as if the network had broken the connection */
/* A program that uses no ring: what can be moved now. -EAGAIN: nothing; read 0: the end. */
ssize_t fake_socket_write(int fd, const void *data, size_t len);
ssize_t fake_socket_read(int fd, void *data, size_t len);
int fake_socket_connect(int fd, const struct addr *to);
int fake_socket_accept(int listener, int *ret_fd);
bool fake_ring_stopped(
    const struct ring *ring); /* ring_stop() was called since its last ring_run() */
#endif
