/* Opening tunnels: one link for many, and each way in which none comes. */
#include "tests/unit/nodeproxy/peer/peer_pool_fixture.h"

static void one_tunnel_carries_many(void **state)
{
    (void)state;
    open_users(20);
    bed_run_until(all_told);
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(users[i].n_opened, 1);
        assert_int_equal(users[i].ending, ENDING_NONE);
        assert_int_equal(users[i].tunnel.status, 200);
    }
    assert_int_equal(world.n_servers, 1);
    assert_int_equal(n_links(), 1);
    assert_string_equal(world.servers[0].peer, CLIENT_ID);
    assert_string_equal(world.authority, "10.0.0.1:8080");
    struct buf bytes = {0};
    assert_int_equal(buf_append(&bytes, ring_chunks(bed.ring), "hello", 5), 0);
    stream_send(&users[0].tunnel.stream.stream, &bytes);
    stream_finish(&users[0].tunnel.stream.stream);
    bed_run_until(first_has_ended);
    assert_int_equal(users[0].got, 5);
    assert_int_equal(users[0].n_failed, 0);
    assert_int_equal(pool.stats.streams_opened, 20);
    assert_int_equal(pool.stats.links_opened, 1);
    close_users();
}

static void refusals_have_their_endings(void **state)
{
    static const struct {
        unsigned status;
        enum ending ending;
    } table[] = {{401, ENDING_DENIED}, {503, ENDING_TUNNEL_REFUSED}, {400, ENDING_TUNNEL_REFUSED}, {404, ENDING_TUNNEL_REFUSED}, {302, ENDING_TUNNEL_REFUSED}, {204, ENDING_TUNNEL_REFUSED}};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        world.status = table[i].status;
        open_users(1);
        bed_run_until(all_told);
        assert_int_equal(users[0].ending, table[i].ending);
        assert_int_equal(users[0].tunnel.status, table[i].status);
        close_users();
    }
    assert_int_equal(world.n_servers, 1); /* the link is none the worse */
    assert_int_equal(world.n_calls, ARRAY_SIZE(table)); /* an answer is an answer: not tried again */
    assert_int_equal(pool.stats.streams_failed, ARRAY_SIZE(table));
}

static bool all_calls_closed(void)
{
    for (unsigned i = 0; i < world.n_calls; i++)
        if (!world.calls[i].closed)
            return false;
    return world.n_calls > 0;
}

/* What the far end sees when the owner lets go, or its side breaks. */
static void letting_go_and_breaking_look_different(void **state)
{
    (void)state;
    open_users(2);
    bed_run_until(all_told);
    tunnel_close(&users[0].tunnel);
    tunnel_reset(&users[1].tunnel);
    bed_run_until(all_calls_closed);
    assert_int_equal(world.calls[0].code, HTTP2_CANCEL);
    assert_int_equal(world.calls[1].code, HTTP2_CONNECT_ERROR);
    assert_int_equal(users[0].n_failed + users[1].n_failed, 0); /* no event follows */
    tunnel_close(&users[0].tunnel); /* twice is once */
    tunnel_reset(&users[1].tunnel);
}

/* What was refused was surely not done, so it may be tried more often. */
static void no_answer_is_tried_again(void **state)
{
    static const enum answer bad[] = {ANSWER_CLOSE, ANSWER_REFUSE};
    static const unsigned tries[] = {2, 8};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        world.n_calls = 0;
        world.n_answers = 2;
        world.answers[0] = bad[i];
        world.answers[1] = ANSWER_STATUS;
        open_users(1);
        bed_run_until(all_told);
        assert_int_equal(users[0].ending, ENDING_NONE);
        assert_int_equal(world.n_calls, 2);
        close_users();
        world.n_calls = 0;
        world.n_answers = 1;
        open_users(1);
        bed_run_until(all_told);
        assert_int_equal(users[0].ending, ENDING_TUNNEL_FAILED);
        assert_true(users[0].why[0]);
        assert_int_equal(world.n_calls, tries[i]);
        close_users();
    }
}

static void a_peer_of_another_identity_is_told_to_all_at_once(void **state)
{
    (void)state;
    assert_int_equal(spiffe_id_parse(TEXT("spiffe://cluster.local/ns/shop/sa/somebody"), &server_id), 0);
    uint64_t start_ms = clock_monotonic_ms();
    open_users(5);
    bed_run_until(all_told);
    assert_true(clock_monotonic_ms() - start_ms < 2500); /* before any deadline */
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(users[i].ending, ENDING_PEER_MISMATCH);
        assert_string_equal(users[i].why, "the peer is " SERVER_ID);
    }
    assert_int_equal(world.n_calls, 0); /* not a byte of ours */
    assert_int_equal(pool.stats.links_failed, 1);
    /* And again, while the others still hold on. */
    n_users = 6;
    open_one(5);
    bed_run_until(all_told);
    assert_int_equal(users[5].ending, ENDING_PEER_MISMATCH);
    assert_int_equal(pool.stats.links_failed, 2);
    close_users();
}

static void nobody_there(void **state)
{
    (void)state;
    world.at.port = 1;
    open_users(3);
    users[1].close_when_told = true;
    bed_run_until(all_told);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(users[i].ending, ENDING_UNREACHABLE);
    close_users();
}

static void without_sockets_there_is_a_deadline(void **state)
{
    (void)state;
    no_sockets = true;
    pool.options.connect_ms = 100;
    open_users(2);
    bed_run_until(all_told);
    assert_int_equal(users[0].ending, ENDING_CONNECT_TIMEOUT);
    close_users();
    bed_run_until(links_are_gone);
    socket_pool_filled(&sockets, AF_INET, NULL, 0, -EMFILE); /* late: nobody waits */
    open_users(1);
    socket_pool_filled(&sockets, AF_INET, NULL, 0, -EMFILE);
    bed_run_until(all_told);
    assert_int_equal(users[0].ending, ENDING_LIMIT);
    close_users();
}

static void without_certificate_nothing_begins(void **state)
{
    (void)state;
    peer_pool_set_credential(&pool, NULL);
    assert_int_equal(try_open(&users[0]), -ENOKEY);
    tunnel_close(&users[0].tunnel); /* fine */
    assert_int_equal(users[0].n_opened + n_links(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        POOL_TEST(one_tunnel_carries_many),
        POOL_TEST(refusals_have_their_endings),
        POOL_TEST(letting_go_and_breaking_look_different),
        POOL_TEST(no_answer_is_tried_again),
        POOL_TEST(a_peer_of_another_identity_is_told_to_all_at_once),
        POOL_TEST(nobody_there),
        POOL_TEST(without_sockets_there_is_a_deadline),
        POOL_TEST(without_certificate_nothing_begins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
