/* How long links live, and tunnels in them: drains, renewals, idleness, and the end in every state. */
#include "tests/unit/nodeproxy/peer/peer_pool_fixture.h"

static bool second_server_is_gone(void) { return world.n_servers >= 2 && world.servers[0].drained; }

static void a_goaway_ends_a_link_with_its_last_stream(void **state)
{
    (void)state;
    world.n_answers = 2;
    world.answers[0] = ANSWER_GOAWAY;
    world.answers[1] = ANSWER_STATUS;
    open_users(1);
    bed_run_until(all_told);
    assert_int_equal(users[0].ending, ENDING_NONE);
    bed_wait_ms(50);
    n_users = 2;
    open_one(1);
    bed_run_until(all_told);
    assert_int_equal(users[1].ending, ENDING_NONE);
    assert_int_equal(world.n_servers, 2); /* the first one takes no more */
    assert_false(world.servers[0].drained);
    tunnel_close(&users[0].tunnel);
    bed_run_until(second_server_is_gone);
    assert_int_equal(users[1].n_failed, 0);
    close_users();
}

static void a_new_certificate_makes_new_links(void **state)
{
    (void)state;
    open_users(1);
    bed_run_until(all_told);
    peer_pool_set_credential(&pool, renewed);
    n_users = 2;
    open_one(1);
    bed_run_until(all_told);
    assert_int_equal(world.n_servers, 2);
    bed_wait_ms(50);
    assert_false(world.servers[0].drained); /* it lives as long as its stream */
    tunnel_close(&users[0].tunnel);
    bed_run_until(second_server_is_gone);
    assert_int_equal(n_links(), 1);
    close_users();
}

/* Renewed while those who wait have nothing but links of the old certificate. */
static void who_waits_gets_a_link_of_the_new_certificate(void **state)
{
    (void)state;
    open_users(5);
    bed_run_until(four_told);
    bed_wait_ms(50);
    assert_false(five_told());
    pool.options.links_max = 4;
    peer_pool_set_credential(&pool, renewed);
    bed_run_until(five_told);
    assert_int_equal(world.n_servers, 3);
    close_users();
}

static void an_idle_link_ends(void **state)
{
    (void)state;
    pool.options.idle_ms = 50;
    open_users(1);
    bed_run_until(all_told);
    bed_wait_ms(100);
    timer_start(ring_timers(bed.ring), &pool.sweep, 0);
    bed_wait_ms(20);
    assert_int_equal(n_links(), 1); /* it has a stream */
    close_users();
    bed_wait_ms(100);
    timer_start(ring_timers(bed.ring), &pool.sweep, 0);
    bed_run_until(links_are_gone);
    assert_int_equal(pool.groups.count, 0);
}

/* The stream has ended both ways, the link goes, and only then does the owner let go. */
static void a_tunnel_may_outlive_its_link(void **state)
{
    (void)state;
    pool.options.idle_ms = 1;
    open_users(1);
    bed_run_until(all_told);
    stream_finish(&users[0].tunnel.stream.stream);
    bed_run_until(first_has_ended);
    bed_wait_ms(20);
    timer_start(ring_timers(bed.ring), &pool.sweep, 0);
    bed_run_until(links_are_gone);
    assert_int_equal(pool.groups.count, 1);
    close_users();
    assert_int_equal(pool.groups.count, 0);
}

/* In whatever state it is closed: no event follows, and nothing of it is left. */
static void closing_in_every_state(void **state)
{
    (void)state;
    world.n_answers = 1;
    world.answers[0] = ANSWER_NOTHING;
    for (uint64_t ms = 0; ms < 20; ms++) {
        open_users(3);
        bed_wait_ms(ms);
        close_users();
        bed_wait_ms(ms % 3);
        for (unsigned i = 0; i < 3; i++)
            assert_int_equal(users[i].n_opened, 0);
    }
    assert_true(n_links() > 0);
    assert_int_equal(pool.n_waiting, 0);
}

static void closing_the_pool_in_every_state(void **state)
{
    (void)state;
    world.n_answers = 1;
    world.answers[0] = ANSWER_NOTHING;
    for (uint64_t ms = 0; ms < 10; ms++) {
        open_users(2);
        bed_wait_ms(ms);
        close_users();
        peer_pool_close(&pool);
        assert_int_equal(try_open(&users[0]), -ENOBUFS);
        pool_gone = false;
        while (!pool_gone)
            bed_wait_ms(1);
        const struct peer_pool_options o = {.ring = bed.ring, .sockets = &sockets, .connect_ms = 3000};
        peer_pool_init(&pool, &o, pool_drained);
        peer_pool_set_credential(&pool, credential);
        pool_gone = false;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        POOL_TEST(a_goaway_ends_a_link_with_its_last_stream),
        POOL_TEST(a_new_certificate_makes_new_links),
        POOL_TEST_NARROW(who_waits_gets_a_link_of_the_new_certificate),
        POOL_TEST(an_idle_link_ends),
        POOL_TEST(a_tunnel_may_outlive_its_link),
        POOL_TEST(closing_in_every_state),
        POOL_TEST(closing_the_pool_in_every_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
