/*
 * Faults on purpose: which point is the one, and what can go wrong there. What then happens is in
 * fake_loop.c (operations) and fake_ring.c (calls).
 */
#include "tests/support/fake_net.h"
#include <errno.h>

/* What io_uring, and the network below it, can answer to each. */
static const int accept_errors[] = {-ECONNABORTED, -EMFILE, -ENFILE,   -ENOBUFS, -ENOMEM,
                                    -EINTR,        -EAGAIN, -EPROTO,   -EPERM,   -ENETDOWN,
                                    -EHOSTUNREACH, -EBADF,  -ECANCELED};
static const int connect_errors[] = {-ECONNREFUSED, -ETIMEDOUT,     -ENETUNREACH, -EHOSTUNREACH,
                                     -ECONNRESET,   -EADDRNOTAVAIL, -EADDRINUSE,  -ENOBUFS,
                                     -ENOMEM,       -EPERM,         -EACCES,      -EINTR,
                                     -EAGAIN,       -ECANCELED,     -EIO};
static const int recv_errors[] = {-ECONNRESET,   -ETIMEDOUT, -EPIPE,  -ENOTCONN,
                                  -EHOSTUNREACH, -ENOBUFS,   -ENOMEM, -EINTR,
                                  -ECANCELED,    -EAGAIN,    -EIO,    -ENETDOWN};
static const int send_errors[] = {-EPIPE,   -ECONNRESET, -ETIMEDOUT, -ENOTCONN,  -EHOSTUNREACH,
                                  -ENOBUFS, -ENOMEM,     -EINTR,     -ECANCELED, -EAGAIN,
                                  -EIO,     -ENETDOWN,   -EPERM};
static const int call_errors[] = {-ENOTCONN, -ENOBUFS, -EINVAL};

size_t fake_fault_errors(unsigned point, const int **ret)
{
    switch (point) {
    case FAKE_AT_ACCEPT:
        *ret = accept_errors;
        return ARRAY_SIZE(accept_errors);
    case FAKE_AT_CONNECT:
        *ret = connect_errors;
        return ARRAY_SIZE(connect_errors);
    case FAKE_AT_RECV:
        *ret = recv_errors;
        return ARRAY_SIZE(recv_errors);
    case FAKE_AT_SEND:
        *ret = send_errors;
        return ARRAY_SIZE(send_errors);
    default:
        *ret = call_errors;
        return ARRAY_SIZE(call_errors);
    }
}

void fake_net_set_fault(struct fake_net *net, const struct fake_fault *fault)
{
    net->fault = fault ? *fault : (struct fake_fault){.points = 0};
    net->points = 0;
}

uint64_t fake_net_points(const struct fake_net *net)
{
    return net->points;
}

void fake_ring_watch(struct ring *ring)
{
    ring->watched = true;
}

/* Any of those that can happen there. */
static bool some_fault(struct fake_net *net, unsigned point, struct fake_fault *ret)
{
    const int *errors;
    if (net->weather.faults_per_million == 0 ||
        rng_below(&net->rng, 1000000) >= net->weather.faults_per_million)
        return false;
    size_t n = fake_fault_errors(point, &errors);
    *ret = (struct fake_fault){.kind = FAKE_ERROR, .error = errors[rng_below(&net->rng, n)]};
    if (point != FAKE_AT_CALL && fake_net_chance(net, 40))
        ret->kind = fake_net_chance(net, 10) ? FAKE_STALL : FAKE_LATE;
    return true;
}

bool fake_fault_at(struct ring *ring, unsigned point, struct fake_fault *ret)
{
    struct fake_net *net = ring->net;
    if (!ring->watched)
        return false;
    if (net->fault.points & point) {
        uint64_t n = ++net->points;
        if (n == net->fault.nth || (n > net->fault.nth && net->fault.stays && net->fault.nth > 0)) {
            *ret = net->fault;
            return true;
        }
    }
    return some_fault(net, point, ret);
}

int fake_fault_of_call(struct fake_net *net)
{
    struct fake_fault fault;
    if (!net->turning || !fake_fault_at(net->turning, FAKE_AT_CALL, &fault))
        return 0;
    return fault.error;
}
