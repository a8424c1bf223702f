/*
 * The world of the transport's simulations: a client's ring, a server's ring with a listener, and
 * weather between them. One seed is one run; it is printed when a run fails, and WEIR_SEED=n runs
 * that one alone.
 */
#ifndef TESTS_SIM_TRANSPORT_WORLD_H
#define TESTS_SIM_TRANSPORT_WORLD_H
#include "shared/transport/listener.h"
#include "tests/support/fake_ring.h"
#include "tests/unit/shared/transport/fixture.h"

enum { PAIRS = 8, SEEDS = 300, STUCK_MS = 600 * 1000 };

static struct fake_net *net;
static struct rng *chance; /* the test's own */
static struct ring *client_ring, *server_ring;
static struct listener listener;
static struct addr at;
static bool listening, secure;
static unsigned n_live, n_accepted;

static inline bool one_in(unsigned n)
{
    return rng_below(chance, n) == 0;
}

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

static uint64_t running;

static inline void run_seeds(uint64_t (*run)(uint64_t seed, bool with_tls), bool with_tls,
                             unsigned seeds)
{
    const char *one = getenv("WEIR_SEED");
    uint64_t first = one ? strtoull(one, NULL, 10) : 1, last = one ? first : seeds;

    for (running = first; running <= last; running++) {
        uint64_t trace = run(running, with_tls);
        /* With TLS the keys are new each time; else a run must be repeatable. */
        if (!with_tls && running % 20 == 0 && run(running, with_tls) != trace)
            fail_msg("two runs of one seed differ");
    }
    running = 0;
}

static inline int tell_seed(void **state)
{
    (void)state;
    if (running)
        print_error("WEIR_SEED=%llu\n", (unsigned long long)running);
    running = 0;
    return 0;
}

#endif
