/*
 * The world of the transport's simulations: a client's ring, a server's ring with a listener, and
 * weather between them. One seed is one run.
 */
#ifndef TESTS_SIM_TRANSPORT_WORLD_H
#define TESTS_SIM_TRANSPORT_WORLD_H
#include "shared/transport/listener.h"
#include "tests/sim/seed_runs.h"
#include "tests/unit/shared/transport/fixture.h"

enum { PAIRS = 8, SEEDS = 300, STUCK_MS = 600 * 1000 };

static struct fake_net *net;
static struct ring *client_ring, *server_ring;
static struct listener listener;
static struct addr at;
static bool listening, secure;
static unsigned n_live, n_accepted;

static inline void world_new(uint64_t seed, void (*accepted)(struct listener *l, int fd),
                             void (*drained)(struct listener *l))
{
    net = fake_net_new(seed);
    assert_non_null(net);
    chance = fake_net_rng(net);
    struct fake_weather weather = FAKE_WEATHER;
    weather.resets_per_million = one_in(2) ? 0 : 2000;
    fake_net_set_weather(net, &weather);
    assert_int_equal(ring_open(&client_ring, &(struct ring_options){0}, NULL), 0);
    assert_int_equal(ring_open(&server_ring, &(struct ring_options){0}, NULL), 0);
    bed.ring = client_ring; /* for the patterns' chunks */
    int fd = listen_loopback(&at);
    n_live = n_accepted = 0;
    listening = true;
    listener_open(&listener, server_ring, fd, 1 + rng_below(chance, PAIRS), accepted, drained,
                  NULL);
}

static inline uint64_t world_free(void)
{
    assert_int_equal(fake_net_leaks(net), 0);
    ring_free(client_ring);
    ring_free(server_ring);
    uint64_t trace = fake_net_trace(net);
    net = fake_net_free(net);
    return trace;
}

static inline void listener_gone(struct listener *l)
{
    (void)l;
    listening = false;
}

/* Nobody is left; then the listener may go too. */
static inline bool world_over(void *arg)
{
    (void)arg;
    if (n_live == 0 && !listener.closing)
        listener_close(&listener);
    return n_live == 0 && !listening;
}

#endif
