/* Where there is no room: who waits for it, and what is the most. */
#include "tests/unit/nodeproxy/peer/peer_pool_fixture.h"

/* Two links of two streams: the fifth waits until one of the four ends. */
static void who_finds_no_room_waits_for_it(void **state)
{
    (void)state;
    open_users(6);
    bed_run_until(four_told);
    bed_wait_ms(100);
    assert_false(five_told());
    assert_int_equal(n_links(), 2);
    assert_int_equal(pool.n_waiting, 2);
    timer_stop(ring_timers(bed.ring), &pool.sweep); /* at once, not when somebody looks around */
    for (unsigned i = 0; i < 6; i++)
        if (users[i].n_opened) {
            tunnel_close(&users[i].tunnel);
            break;
        }
    bed_run_until(five_told);
    assert_int_equal(pool.n_waiting, 1);
    for (unsigned i = 0; i < 6; i++)
        if (!users[i].n_opened)
            tunnel_close(&users[i].tunnel); /* gives up waiting */
    assert_int_equal(pool.n_waiting, 0);
    assert_int_equal(n_links(), 2);
    close_users();
}

/* A link breaks with what it carried; who waited gets a new one. */
static void who_waits_gets_the_place_of_a_broken_link(void **state)
{
    (void)state;
    open_users(6);
    bed_run_until(four_told);
    bed_wait_ms(50);
    timer_stop(ring_timers(bed.ring), &pool.sweep);
    h2_conn_close(&world.servers[0].h2);
    bed_run_until(all_told);
    unsigned failed = 0;
    for (unsigned i = 0; i < 6; i++) {
        assert_int_equal(users[i].ending, ENDING_NONE);
        failed += users[i].n_failed;
    }
    assert_int_equal(failed, 2);
    assert_int_equal(world.n_servers, 3);
    close_users();
}

/* The peer allows fewer streams than we would open: the rest goes through other links, nothing is refused. */
static void the_peers_limit_counts(void **state)
{
    (void)state;
    enum { N = 20 };
    world.streams_max = 1;
    open_users(N);
    bed_run_until(all_told);
    for (unsigned i = 0; i < N; i++)
        assert_int_equal(users[i].ending, ENDING_NONE);
    assert_in_range(world.n_servers, N, 2 * N);
    close_users();
}

static void there_are_limits(void **state)
{
    (void)state;
    no_sockets = true;
    struct tunnel *all = calloc(PEER_WAITING_MAX + 1, sizeof *all);
    assert_non_null(all);
    for (size_t i = 0; i < PEER_WAITING_MAX; i++)
        assert_int_equal(tunnel_open(&pool, &all[i], &world.at, &server_id, request_new(), opened), 0);
    assert_int_equal(tunnel_open(&pool, &all[PEER_WAITING_MAX], &world.at, &server_id, request_new(), opened), -ENOBUFS);
    assert_in_range(n_links(), 1, 256);
    for (size_t i = 0; i < PEER_WAITING_MAX; i++)
        tunnel_close(&all[i]);
    assert_int_equal(pool.n_waiting, 0);
    free(all);
}

/* One handshake at a time: who needs another link meanwhile is refused, or waits where there is one. It counts no longer once it is over,
 * well or not. */
static void handshakes_are_bounded(void **state)
{
    const struct bounds_max max = {.pod[BOUND_OPENING] = 1};
    const struct addr nowhere = {.ip = world.at.ip, .port = 1};
    struct bound_view v;
    struct bounds *node;
    struct turns turns;
    struct pod_turn turn;
    struct tunnel other;
    (void)state;
    assert_int_equal(bounds_new(&node, &max), 0);
    turns_init(&turns, bed.ring);
    pod_turn_init(&turn, &turns);
    pool.options.bounds = bounds_pod(node, "uid", "shop", "web");
    pool.options.turn = &turn;
    open_users(1);
    assert_int_equal(tunnel_open(&pool, &other, &nowhere, &server_id, request_new(), opened), -ENOBUFS);
    bounds_view_pods(node, BOUND_OPENING, &v);
    assert_int_equal(v.reached, 1);
    bed_run_until(all_told);
    bounds_view(node, BOUND_OPENING, &v);
    assert_int_equal(v.now, 0);
    close_users();
    users[0] = (struct user){.ending = ENDING_NONE};
    assert_int_equal(tunnel_open(&pool, &users[0].tunnel, &nowhere, &server_id, request_new(), opened), 0);
    bed_run_until(all_told);
    assert_int_equal(users[0].ending, ENDING_UNREACHABLE);
    tunnel_close(&users[0].tunnel);
    peer_pool_set_credential(&pool, renewed);
    bed_run_until(links_are_gone);
    bounds_view(node, BOUND_OPENING, &v);
    assert_int_equal(v.now, 0);
    pod_bounds_unref(pool.options.bounds);
    pool.options.bounds = NULL;
    pool.options.turn = NULL;
    pod_turn_done(&turn);
    turns_done(&turns);
    bounds_free(node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        POOL_TEST_NARROW(who_finds_no_room_waits_for_it),
        POOL_TEST_NARROW(who_waits_gets_the_place_of_a_broken_link),
        POOL_TEST(the_peers_limit_counts),
        POOL_TEST(there_are_limits),
        POOL_TEST(handshakes_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
