/*
 * Who decides when a step of a TLS handshake is taken (conn_events.may_shake): until it may, nothing
 * goes on and nothing more is received, and nobody is forgotten.
 */
#include "tests/unit/shared/transport/conn_pair.h"

static unsigned n_asked, n_allowed; /* how often; how many of the next ones may go on at once */

static bool may_shake(struct conn *c)
{
    assert_ptr_equal(c, &b.conn);
    n_asked++;
    bed_poke();
    if (n_allowed == 0)
        return false;
    n_allowed--;
    return true;
}

static const struct conn_events gated_events = {
    .connected = on_connected, .secured = on_secured, .may_shake = may_shake, .drained = on_drained};

/* b is the server that has to ask. */
static void gated_pair(unsigned allowed)
{
    pair_init(true);
    b.conn.events = &gated_events;
    n_asked = 0;
    n_allowed = allowed;
    a.to_send = b.to_send = 50000;
}

static bool has_asked(void)
{
    return n_asked > 0;
}
static bool waits_and_receives_no_more(void)
{
    return b.conn.shake_waits && !b.conn.receiving;
}
static uint64_t events_so_far(void)
{
    uint64_t n = n_asked;
    for (int kind = 0; kind < N_KINDS; kind++)
        n += a.events[kind] + b.events[kind];
    return n;
}
static bool waits_or_is_over(void)
{
    return b.conn.shake_waits || both_over();
}

static void nothing_goes_on_before_it_may(void **state)
{
    (void)state;
    gated_pair(0);
    end_begin(&a);
    end_begin(&b);
    bed_run_until(waits_and_receives_no_more);
    bed_wait_still(events_so_far, 30);
    assert_int_equal(n_asked, 1); /* once is enough */
    assert_int_equal(a.events[SECURED] + b.events[SECURED], 0);
    pair_close();
}

/* Each step is asked for; what is said after the handshake is not. */
static void goes_on_when_told(void **state)
{
    unsigned n_shakes = 0;
    (void)state;
    gated_pair(0);
    end_begin(&a);
    end_begin(&b);
    for (bed_run_until(waits_or_is_over); !both_over(); bed_run_until(waits_or_is_over)) {
        assert_int_equal(b.events[SECURED], 0);
        n_shakes++;
        assert_int_equal(n_asked, n_shakes);
        conn_shake(&b.conn);
        conn_shake(&b.conn); /* twice is once */
    }
    assert_in_range(n_shakes, 2, 20); /* the client's first words and its last ones */
    assert_int_equal(n_asked, n_shakes);
    check_regular(&a, true);
    check_regular(&b, true);
    assert_int_equal(a.got, 50000);
    assert_int_equal(b.got, 50000);
    pair_close();
}

/* It may begin, and the second step has to wait: the client has no answer to its last words. */
static void only_the_first_step(void **state)
{
    (void)state;
    gated_pair(1);
    end_begin(&a);
    end_begin(&b);
    bed_run_until(waits_and_receives_no_more);
    bed_wait_still(events_so_far, 30);
    assert_int_equal(n_asked, 2);
    assert_int_equal(b.events[SECURED], 0);
    assert_int_equal(b.events[RECEIVED], 0);
    conn_shake(&b.conn);
    n_allowed = UINT32_MAX;
    bed_run_until(both_over);
    check_regular(&b, true);
    pair_close();
}

static void who_may_always_never_waits(void **state)
{
    (void)state;
    gated_pair(UINT32_MAX);
    end_begin(&a);
    end_begin(&b);
    bed_run_until(both_over);
    assert_false(b.conn.shake_waits);
    assert_true(n_asked >= 2);
    check_regular(&a, true);
    check_regular(&b, true);
    pair_close();
}

/* The wait is nobody's hold on the connection. */
static void closing_while_it_waits(void **state)
{
    (void)state;
    gated_pair(0);
    end_begin(&a);
    end_begin(&b);
    bed_run_until(has_asked);
    conn_close(&b.conn);
    conn_shake(&b.conn);
    pair_close();
    assert_int_equal(b.events[SECURED] + b.events[FAILED], 0);
}

/* Its end is found when the step is taken. */
static void the_client_leaves_while_it_waits(void **state)
{
    (void)state;
    gated_pair(0);
    end_begin(&a);
    end_begin(&b);
    bed_run_until(waits_and_receives_no_more);
    socket_set_reset_on_close(a.conn.fd);
    conn_close(&a.conn);
    bed_wait_still(events_so_far, 30);
    assert_int_equal(b.events[SECURED], 0);
    n_allowed = UINT32_MAX;
    conn_shake(&b.conn);
    run_until(&b, SECURED);
    assert_true(b.error < 0);
    pair_close();
}

static int begin(void **state)
{
    identities_make(TEXT("h2"));
    return bed_open(state);
}
static int end(void **state)
{
    return bed_close(state) + identities_done(state);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(nothing_goes_on_before_it_may), TEST(goes_on_when_told),
        TEST(only_the_first_step),           TEST(who_may_always_never_waits),
        TEST(closing_while_it_waits),        TEST(the_client_leaves_while_it_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
