/*
 * Exchanges on the simulated network, in all four pairings of HTTP/1.1 and HTTP/2: whoever resets, is slow, answers early or
 * goes away, what looks whole is whole, and every exchange has one record.
 */
#include "tests/sim/http_world.h"
#include "tests/sim/sim_alloc.h"

static enum http_version client_version, server_version;
static unsigned n_left, n_asked, seed_base;
static bool rough; /* anything may break */

static struct wish random_wish(void)
{
    static const unsigned statuses[] = {200, 200, 200, 200, 204, 304, 404, 500};
    bool h1 = client_version == HTTP_VERSION_1 && server_version == HTTP_VERSION_1;
    struct wish w = {
        .seed = seed_base + n_asked,
        .request_bytes = one_in(3) ? 0 : rng_below(chance, one_in(6) ? 700000 : 5000),
        .answer_bytes = one_in(4) ? 0 : rng_below(chance, one_in(6) ? 700000 : 5000),
        .status = statuses[rng_below(chance, 8)],
        .trailers = one_in(5),
        .informs = one_in(6),
        .length = one_in(2),
        .pauses = one_in(4) ? 3 + (unsigned)rng_below(chance, 30) : 0,
        .head = one_in(10),
    };
    if (w.head)
        w.request_bytes = 0, w.trailers = false;
    if (w.status == 204 || w.status == 304)
        w.trailers = false;
    w.upgrade = h1 && !w.head && one_in(8);
    if (w.upgrade)
        w.trailers = w.informs = false;
    w.early = !w.upgrade && !w.informs && one_in(8);
    if (rough)
        w.aborts = one_in(10) && !w.upgrade;
    return w;
}

static void ask_more(void)
{
    while (n_left > 0 && client_can_ask()) {
        struct wish w = random_wish();
        struct call *c = ask(&w);
        if (!c)
            return;
        n_left--;
        n_asked++;
        if (rough && one_in(8))
            c->abort_at = 1 + rng_below(chance, 5000);
        if (client_version == HTTP_VERSION_2 && one_in(3))
            return; /* the others later */
    }
}

static void act(struct timer *t)
{
    if (rough && one_in(150) && client && client->link)
        http_link_close(client->link);
    if (rough && one_in(150) && client && client->link)
        http_link_drain(client->link);
    if (rough && one_in(100)) {
        struct wire *w = proxy.upstreams[rng_below(chance, UPSTREAMS_MAX)];
        if (w && w->link && one_in(2))
            http_link_close(w->link);
        else if (w && w->link)
            http_link_drain(w->link);
    }
    if (rough && one_in(100) && !list_empty(&proxy.host.exchanges))
        exchange_close(exchange_of_link(proxy.host.exchanges.next), ENDING_POLICY_CHANGED);
    if (!client || !client->link ||
        (client_version == HTTP_VERSION_1 && one_in(50) && n_calls == 0)) {
        if (client && client->link)
            http_link_drain(client->link);
        else if (!client && n_left > 0)
            client_connect(client_version);
    }
    ask_more();
    if (n_left > 0)
        timer_start(ring_timers(client_ring), t, 1 + rng_below(chance, 30));
}

static bool all_asked(void *arg)
{
    (void)arg;
    return n_left == 0 && n_calls == 0 && proxy.host.n == 0;
}

static uint64_t run_exchanges(uint64_t seed)
{
    struct timer acting;
    struct fake_weather weather = FAKE_WEATHER;
    if (rough)
        weather.resets_per_million = seed % 3 == 0 ? 0 : 1500;
    world_new(seed, &weather, server_version);
    proxy.choose_late = one_in(2) ? 3 : 0;
    n_asked = 0;
    n_left = 1 + (unsigned)rng_below(chance, 25);
    seed_base = (unsigned)rng_below(chance, 1000) * 100;
    client = NULL;
    client_told_slot = ask_more;
    timer_init(&acting, act);
    timer_start(ring_timers(client_ring), &acting, 1);
    if (!fake_net_run_until(net, all_asked, NULL, WORLD_STUCK_MS))
        tell_stuck();
    timer_stop(ring_timers(client_ring), &acting);
    assert_int_equal(n_client_over, n_asked);
    if (!rough) {
        assert_int_equal(n_client_whole, n_asked);
        assert_int_equal(proxy.n_whole, n_asked);
    }
    return world_free();
}

static void pairing(enum http_version from, enum http_version to, bool is_rough, unsigned seeds)
{
    client_version = from;
    server_version = to;
    rough = is_rough;
    run_seeds(run_exchanges, seeds, true);
}

#define PAIRING(from, to)                                                                          \
    static void h##from##_to_h##to(void **state)                                                   \
    {                                                                                              \
        (void)state, pairing(HTTP_VERSION_##from, HTTP_VERSION_##to, false, 100);                  \
    }                                                                                              \
    static void h##from##_to_h##to##_rough(void **state)                                           \
    {                                                                                              \
        (void)state, pairing(HTTP_VERSION_##from, HTTP_VERSION_##to, true, 200);                   \
    }
#define PAIRING_TESTS(from, to)                                                                    \
    cmocka_unit_test_teardown(h##from##_to_h##to, tell_seed),                                      \
        cmocka_unit_test_teardown(h##from##_to_h##to##_rough, tell_seed),
PAIRING(1, 1)
PAIRING(1, 2)
PAIRING(2, 1)
PAIRING(2, 2)

int main(void)
{
    const struct CMUnitTest tests[] = {PAIRING_TESTS(1, 1) PAIRING_TESTS(1, 2) PAIRING_TESTS(2, 1)
                                           PAIRING_TESTS(2, 2)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
