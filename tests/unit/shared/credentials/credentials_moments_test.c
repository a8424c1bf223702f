/*
 * Nothing of the manager of credentials is lost or left, at whatever moment the CA, its connections
 * or the wishes go away: one moment after another, and then all of them at random.
 */
#include "tests/unit/shared/credentials/credentials_fixture.h"

/* ---- at any moment ---------------------------------------------------------- */

static void unwanted_in_flight(void **state)
{
    (void)state;
    fake.answer = FAKE_SILENT;
    for (size_t i = 0; i < 20; i++)
        want_number(i);
    await_requests(16); /* all that may be in flight at once */
    fake.answer = FAKE_GOOD;
    for (size_t i = 0; i < 16; i++)
        unwant(&wishes[i]);
    /* Their places are free for those that waited. */
    for (size_t i = 0; i < 16; i++)
        wishes[i].n_changed = 1;
    await_changes(1);
    for (size_t i = 0; i < 20; i++)
        assert_int_equal(credentials_get(manager, &wishes[i].id) != NULL, i >= 16);
    assert_int_equal(stats().failed, 0);
    fake_release(GRPC_OK);
    run_for(50);
    for (size_t i = 0; i < 20; i++)
        assert_int_equal(wishes[i].n_changed, 1);
}

static void wanted_again_at_once(void **state)
{
    (void)state;
    fake.answer = FAKE_SILENT;
    struct wish *w = want(ALICE);
    await_requests(1);
    unwant(w);
    fake.answer = FAKE_GOOD;
    assert_int_equal(credentials_want(manager, &w->id), 0);
    unwant(w);
    assert_int_equal(credentials_want(manager, &w->id), 0);
    await_changes(1);
    assert_int_equal(w->n_changed, 1);
    assert_int_equal(fake.n_requests, 2);
}

static void dropped_inside_the_event(void **state)
{
    (void)state;
    for (size_t i = 0; i < 10; i++)
        want_number(i)->unwant_at_change = true;
    await_changes(1);
    for (size_t i = 0; i < 10; i++)
        assert_null(credentials_get(manager, &wishes[i].id));
}

static void closed_inside_the_event(void **state)
{
    (void)state;
    close_at_change = true;
    for (size_t i = 0; i < 10; i++)
        want_number(i);
    bed_run_until(is_drained);
}

static void closed_in_flight(void **state)
{
    (void)state;
    fake.answer = FAKE_SILENT;
    for (size_t i = 0; i < 20; i++)
        want_number(i);
    await_requests(16);
    manager_close();
    bed_run_until(is_drained);
    fake_release(GRPC_OK);
    for (size_t i = 0; i < 20; i++)
        assert_int_equal(wishes[i].n_changed, 0);
}

static void closed_at_once(void **state)
{
    (void)state;
    manager_close(); /* before it did anything */
    bed_run_until(is_drained);
    manager_open();
    want(ALICE);
    manager_close(); /* before it is asked for */
    bed_run_until(is_drained);
    for (uint64_t ms = 0; ms < 12; ms++) { /* in all states of a handshake */
        manager_open();
        assert_int_equal(credentials_want(manager, &wishes[0].id), 0);
        run_for(ms);
        manager_close();
        bed_run_until(is_drained);
    }
}

static void closed_while_the_ca_is_away(void **state)
{
    (void)state;
    fake_go_away();
    want(ALICE);
    look_until(has_an_error);
    manager_close();
    bed_run_until(is_drained);
    manager_open();
    assert_int_equal(unlink(token_file), 0);
    assert_int_equal(credentials_want(manager, &wishes[0].id), 0);
    run_for(1);
    manager_close();
    bed_run_until(is_drained);
}

static void ca_ends_connections(void **state)
{
    (void)state;
    fake.answer = FAKE_SILENT;
    for (size_t i = 0; i < 8; i++)
        want_number(i);
    await_requests(8);
    fake.answer = FAKE_GOOD;
    fake_end_conns(false); /* with calls in flight: they are asked again */
    await_changes(1);
    assert_int_equal(fake.n_accepted, 2);
    /* Gently: what is in flight ends well, what is new goes to another connection. */
    fake.answer = FAKE_SILENT;
    want_number(8);
    await_requests(fake.n_requests + 1);
    fake_end_conns(true);
    fake.answer = FAKE_GOOD;
    run_for(50);
    want_number(9);
    run_for(50);
    fake.ttl_s = 3600;
    struct wish *waiting = &wishes[8];
    assert_int_equal(waiting->n_changed, 0);
    fake_release(GRPC_UNAVAILABLE);
    await_changes(1);
    assert_int_equal(fake.n_accepted, 3);
}

/* ---- all of it, at random --------------------------------------------------- */

enum { CHAOS_STEPS = 300, CHAOS_IDENTITIES = 24 };

static void chaos_step(struct rng *rng, bool wanted[static CHAOS_IDENTITIES])
{
    size_t i = rng_below(rng, CHAOS_IDENTITIES);
    switch (rng_below(rng, 8)) {
    case 0:
        fake.answer = (enum fake_answer)rng_below(rng, FAKE_ANSWERS);
        break;
    case 1:
        fake_release(rng_below(rng, 2) ? GRPC_OK : GRPC_INTERNAL);
        break;
    case 2:
        fake_end_conns(rng_below(rng, 2));
        break;
    case 3:
        fake.hang_up = rng_below(rng, 3) == 0;
        break;
    case 4:
        if (rng_below(rng, 4) == 0) {
            fake_go_away();
            run_for(rng_below(rng, 30));
            fake_listen();
        }
        break;
    default:
        if (wanted[i])
            unwant(&wishes[i]);
        else
            assert_int_equal(credentials_want(manager, &wishes[i].id), 0);
        wanted[i] = !wanted[i];
    }
    run_for(rng_below(rng, 12));
}

static void at_random(void **state)
{
    bool wanted[CHAOS_IDENTITIES];
    struct rng rng;
    (void)state;
    test_seed(&rng);
    manager_close();
    bed_run_until(is_drained);
    options.request_ms = 300;
    options.idle_ms = 20;
    manager_open();
    for (size_t i = 0; i < CHAOS_IDENTITIES; i++) {
        want_number(i);
        wanted[i] = true;
    }
    fake.ttl_s = 2; /* renewals and expiries as well */
    for (int step = 0; step < CHAOS_STEPS; step++)
        chaos_step(&rng, wanted);
    /* When all is well again, everybody has what they want. */
    fake.answer = FAKE_GOOD;
    fake.hang_up = false;
    fake.ttl_s = 3600;
    fake_release(GRPC_UNAVAILABLE);
    for (size_t i = 0; i < CHAOS_IDENTITIES; i++) {
        if (!wanted[i])
            assert_int_equal(credentials_want(manager, &wishes[i].id), 0);
        wishes[i].n_changed = 0;
        wishes[i].n_gone = 0;
    }
    await_changes(1);
    for (size_t i = 0; i < CHAOS_IDENTITIES; i++)
        assert_non_null(credentials_get(manager, &wishes[i].id));
}

int main(void)
{
    log_configure(LOG_ERROR, LOG_TEXT, 0);
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(unwanted_in_flight),
        TEST(wanted_again_at_once),
        TEST(dropped_inside_the_event),
        TEST(closed_inside_the_event),
        TEST(closed_in_flight),
        TEST(closed_at_once),
        TEST(closed_while_the_ca_is_away),
        TEST(ca_ends_connections),
        TEST(at_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
