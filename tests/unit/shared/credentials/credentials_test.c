/*
 * The manager of credentials against a CA in the same process, over the real ring with TLS: what
 * comes, what is renewed in time, what is refused, and whom it takes for the CA.
 */
#include "tests/unit/shared/credentials/credentials_fixture.h"

/* ---- what comes -------------------------------------------------------------------- */

static void several_identities(void **state)
{
    (void)state;
    struct wish *self = want(SELF_ID);
    for (size_t i = 0; i < 40; i++)
        want_number(i);
    expect_shown("Initializing", "");
    await_changes(1);
    for (size_t i = 0; i < n_wishes; i++) {
        const struct credential *c = credentials_get(manager, &wishes[i].id);
        assert_non_null(c);
        assert_true(spiffe_id_equal(&c->id, &wishes[i].id));
        assert_int_equal(wishes[i].n_changed, 1);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(wishes[i].serial, wishes[k].serial);
    }
    assert_int_equal(fake.n_requests, 41);
    assert_int_equal(fake.n_self, 1); /* the rest is asked for by name */
    assert_int_equal(self->n_changed, 1);
    assert_int_equal(fake.n_accepted, 1); /* one connection */
    assert_in_range(fake.n_open_most, 2, 16);
    expect_shown("Available", "");
    assert_int_equal(stats().issued, 41);
    assert_int_equal(stats().failed, 0);
    assert_true(stats().connected);
}

/* A CA that takes few calls at once: the others wait for a place. */
static void few_at_once(void **state)
{
    (void)state;
    fake.streams_max = 2;
    want_number(0);
    await_changes(1); /* the CA's settings are known from here */
    for (size_t i = 1; i < 30; i++)
        want_number(i);
    await_changes(1);
    assert_int_equal(fake.n_open_most, 2);
    assert_int_equal(fake.n_accepted, 1);
    assert_int_equal(stats().failed, 0);
}

static void wanted_by_several(void **state)
{
    (void)state;
    struct wish *w = want(ALICE);
    assert_int_equal(credentials_want(manager, &w->id), 0);
    await_changes(1);
    assert_int_equal(fake.n_requests, 1);
    assert_int_equal(credentials_want(manager, &w->id), 0); /* is told at once, from the loop */
    assert_int_equal(w->n_changed, 1);
    await_changes(2);
    unwant(w);
    unwant(w);
    assert_non_null(credentials_get(manager, &w->id));
    unwant(w);
    assert_null(credentials_get(manager, &w->id));
    assert_int_equal(credentials_want(manager, &w->id), 0);
    await_changes(3);
    assert_int_equal(fake.n_requests, 2);
}

static void no_more_than_the_maximum(void **state)
{
    struct spiffe_id id;
    (void)state;
    manager_close();
    bed_run_until(is_drained);
    options.identities_max = 3;
    manager_open();
    for (size_t i = 0; i < 3; i++)
        want_number(i);
    assert_int_equal(spiffe_id_parse(TEXT(ALICE), &id), 0);
    assert_int_equal(credentials_want(manager, &id), -ENOSPC);
    assert_int_equal(credentials_want(manager, &wishes[0].id), 0);
    await_changes(1);
    unwant(&wishes[1]);
    assert_int_equal(credentials_want(manager, &wishes[1].id), 0);
    await_changes(1);
}

/* ---- in time -------------------------------------------------------------------------- */

static void renewed_in_time(void **state)
{
    char first[2 * X509_SERIAL_MAX + 1];
    (void)state;
    fake.ttl_s = 3;
    struct wish *w = want(ALICE);
    want(BOB);
    await_changes(1);
    memcpy(first, w->serial, sizeof first);
    struct credential *held = credential_ref(credentials_get(manager, &w->id));
    uint64_t then = ring_now_ms(bed.ring);
    await_changes(3);
    /* Two renewals, each at half of what was left: 2 to 3 seconds, give or take the jitter. */
    assert_in_range(ring_now_ms(bed.ring) - then, 1500, 10000);
    assert_string_not_equal(first, w->serial);
    assert_string_equal(held->serial, first); /* who has the old one keeps it */
    assert_int_equal(w->n_gone, 0);
    assert_int_equal(fake.n_requests, 6);
    credential_unref(held);
}

static bool first_is_gone(void)
{
    return wishes[0].n_gone > 0;
}

static void expired_is_withdrawn(void **state)
{
    (void)state;
    fake.ttl_s = 2;
    struct wish *w = want(ALICE);
    await_changes(1);
    fake_go_away();
    look_until(first_is_gone);
    assert_null(credentials_get(manager, &w->id));
    assert_int_equal(w->n_gone, 1);
    expect_shown("Unavailable", "CA");
    fake.ttl_s = 3600;
    fake_listen();
    await_changes(2);
    expect_shown("Available", "");
}

static void ca_away_and_back(void **state)
{
    (void)state;
    fake_go_away();
    struct wish *w = want(ALICE);
    look_until(has_an_error);
    expect_shown("Unavailable", "the connection to the CA ended");
    assert_false(stats().connected);
    assert_false(stats().reachable);
    fake_listen();
    await_changes(1);
    assert_int_equal(stats().last_error[0], '\0');
    /* Away again: what is valid stays, and what is new waits. */
    fake_go_away();
    want(BOB);
    run_for(200);
    assert_non_null(credentials_get(manager, &w->id));
    assert_int_equal(w->n_gone, 0);
    fake_listen();
    await_changes(1);
}

/* A CA that hangs up: tries are ever further apart, and as the header says. */
static void backs_off(void **state)
{
    (void)state;
    fake.hang_up = true;
    want(ALICE);
    await_accepted(6);
    for (size_t i = 1; i < 6; i++) {
        uint64_t gap = fake.accepted_ms[i] - fake.accepted_ms[i - 1];
        uint64_t expected = 50ull << (i - 1);
        assert_in_range(gap, expected * 7 / 10 - 2, expected * 13 / 10 + 1500);
    }
    fake.hang_up = false;
    await_changes(1);
}

/* Refused again and again: requests, too, are ever further apart, over one connection. */
static void refusals_back_off(void **state)
{
    (void)state;
    fake.answer = FAKE_REFUSED;
    want(ALICE);
    await_requests(2);
    uint64_t then = ring_now_ms(bed.ring);
    await_requests(6); /* 100 + 200 + 400 + 800 ms, 30 % more or less */
    assert_in_range(ring_now_ms(bed.ring) - then, 1000, 8000);
    expect_shown("Unavailable", "PERMISSION_DENIED: as the test wants it");
    assert_int_equal(fake.n_accepted, 1);
    fake.answer = FAKE_GOOD;
    await_changes(1);
}

static void requests_have_a_deadline(void **state)
{
    (void)state;
    manager_close();
    bed_run_until(is_drained);
    options.request_ms = 60;
    manager_open();
    fake.answer = FAKE_SILENT;
    want(ALICE);
    await_requests(3);
    expect_shown("Unavailable", "in time");
    fake.answer = FAKE_GOOD;
    await_changes(1);
    assert_int_equal(fake.n_open, 0); /* those that were given up are gone */
}

static bool is_disconnected(void)
{
    return !stats().connected && list_empty(&fake.conns);
}

static void connection_rests(void **state)
{
    (void)state;
    manager_close();
    bed_run_until(is_drained);
    options.idle_ms = 40;
    manager_open();
    want(ALICE);
    await_changes(1);
    look_until(is_disconnected);
    assert_int_equal(stats().failed, 0);
    assert_true(stats().reachable); /* it is away because nobody needs it */
    assert_string_equal(stats().last_error, "");
    want(BOB);
    await_changes(1);
    assert_int_equal(fake.n_accepted, 2);
    look_until(is_disconnected);
    run_for(100);
    assert_int_equal(fake.n_accepted, 2); /* nobody asks, so it stays away */
}

/* ---- what is refused -------------------------------------------------------------------- */

static void bad_answers(void **state)
{
    static const struct {
        enum fake_answer answer;
        const char *error;
    } cases[] = {
        {FAKE_REFUSED, "PERMISSION_DENIED"},
        {FAKE_OTHER_IDENTITY, "another identity"},
        {FAKE_OTHER_KEY, "another key"},
        {FAKE_FOREIGN, "refused"},
        {FAKE_EXPIRED, "expired"},
        {FAKE_GARBAGE, "malformed"},
        {FAKE_NO_PEM, "refused"},
        {FAKE_LEAF_ONLY, "no certificate and root"},
        {FAKE_NOTHING, "answered nothing"},
        {FAKE_THEN_ERROR, "UNAVAILABLE"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        uint64_t failed = stats().failed;
        fake.answer = cases[i].answer;
        n_wishes = 0;
        memset(wishes, 0, sizeof wishes);
        struct wish *w = want(ALICE);
        n_awaited = failed + 2; /* once, and once again */
        look_until(has_failed);
        expect_shown("Unavailable", cases[i].error);
        assert_null(credentials_get(manager, &w->id));
        assert_int_equal(w->n_changed + w->n_gone, 0);
        fake.answer = FAKE_GOOD;
        await_changes(1);
        unwant(w);
    }
    assert_int_equal(fake.n_accepted, 1);
}

/* A bad answer to a renewal changes nothing about what is valid. */
static void bad_renewals(void **state)
{
    (void)state;
    fake.ttl_s = 4;
    struct wish *w = want(ALICE);
    await_changes(1);
    fake.answer = FAKE_OTHER_IDENTITY;
    fake.ttl_s = 3600;
    n_awaited = 2;
    look_until(has_failed);
    expect_shown("Available", "another identity");
    assert_int_equal(w->n_changed, 1);
    fake.answer = FAKE_GOOD;
    await_changes(2);
    assert_int_equal(w->n_gone, 0);
}

/* The next try comes due while the call of the last one is open still. */
static void answers_whose_call_stays_open(void **state)
{
    (void)state;
    fake.answer = FAKE_GARBAGE_AND_STAY;
    want(ALICE);
    await_requests(1);
    run_for(300);
    assert_int_equal(fake.n_requests, 1);
    fake.answer = FAKE_GOOD;
    fake_release(GRPC_OK);
    await_changes(1);
}

static void one_bad_among_good_ones(void **state)
{
    (void)state;
    struct wish *bad = want(ALICE);
    fake.answer = FAKE_REFUSED;
    fake.answer_other = BOB;
    struct wish *good = want(BOB);
    n_awaited = 3;
    look_until(has_failed);
    assert_int_equal(good->n_changed, 1);
    assert_int_equal(bad->n_changed, 0);
    fake.answer = FAKE_GOOD;
    await_changes(1);
}

/* ---- who the CA is ------------------------------------------------------------------------- */

static void another_than_the_ca(void **state)
{
    (void)state;
    fake_own_certificate(ALICE, &fake.intermediate);
    want(BOB);
    look_until(has_an_error);
    expect_shown("Unavailable", "proved to be " ALICE);
    run_for(150);
    assert_int_equal(fake.n_requests, 0); /* so it has not seen the token */
    fake_own_certificate(CA_ID, &fake.foreign);
    run_for(300);
    assert_int_equal(fake.n_requests, 0);
    assert_true(has_an_error());
    fake_own_certificate(CA_ID, &fake.intermediate);
    await_changes(1);
}

/* Both files are read for each connection. */
static const char *awaited_error;
static bool error_is_shown(void)
{
    shown = (struct shown){0};
    credentials_each(manager, show, NULL);
    return strstr(shown.error, awaited_error) != NULL;
}
static void await_error(const char *error) /* tries come at their own time */
{
    awaited_error = error;
    look_until(error_is_shown);
    expect_shown("Unavailable", error);
}

static void files_come_and_change(void **state)
{
    (void)state;
    assert_int_equal(unlink(token_file), 0);
    want(ALICE);
    look_until(has_an_error);
    expect_shown("Unavailable", "--token-file");
    file_write(folder, "token", " \n", 2);
    await_error("no token in it");
    assert_int_equal(fake.n_accepted, 0);
    file_write(folder, "token", "another", 7);
    n_awaited = 1;
    look_until(has_failed);
    expect_shown("Unavailable", "UNAUTHENTICATED");
    assert_int_equal(fake.n_bad_token, fake.n_requests);
    file_write(folder, "token", CA_TOKEN, sizeof CA_TOKEN - 1);
    fake_go_away();
    fake_listen();
    await_changes(1);
    unwant(&wishes[0]);
    n_wishes = 0;
    memset(wishes, 0, sizeof wishes);
    static char large[CA_TOKEN_MAX];
    memset(large, 'x', sizeof large);
    file_write(folder, "token", large, sizeof large);
    fake_go_away();
    fake_listen();
    want(ALICE);
    await_error("too large");
    file_write(folder, "token", CA_TOKEN, sizeof CA_TOKEN - 1);
    file_write(folder, "roots.pem", "no certificate", 14);
    await_error("--roots");
    cert_write(folder, "roots.pem", &fake.foreign.cert);
    await_error("the connection to the CA ended");
    cert_write(folder, "roots.pem", &fake.root.cert);
    await_changes(1);
}

/* A token that rotates is read again on a living connection; one that can't be read stays. */
static void token_rotates(void **state)
{
    (void)state;
    manager_close();
    bed_run_until(is_drained);
    options.token_age_ms = 1;
    manager_open();
    want(ALICE);
    await_changes(1);
    file_write(folder, "token", "of yesterday", 12);
    run_for(5);
    want(BOB);
    n_awaited = 1;
    look_until(has_failed);
    assert_true(fake.n_bad_token > 0);
    file_write(folder, "token", CA_TOKEN, sizeof CA_TOKEN - 1);
    await_changes(1);
    assert_int_equal(unlink(token_file), 0);
    run_for(5);
    want_number(7);
    await_changes(1);
    assert_int_equal(fake.n_accepted, 1);
}

int main(void)
{
    log_configure(LOG_ERROR, LOG_TEXT, 0);
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(several_identities),
        TEST(few_at_once),
        TEST(wanted_by_several),
        TEST(no_more_than_the_maximum),
        TEST(renewed_in_time),
        TEST(expired_is_withdrawn),
        TEST(ca_away_and_back),
        TEST(backs_off),
        TEST(refusals_back_off),
        TEST(requests_have_a_deadline),
        TEST(connection_rests),
        TEST(bad_answers),
        TEST(bad_renewals),
        TEST(answers_whose_call_stays_open),
        TEST(one_bad_among_good_ones),
        TEST(another_than_the_ca),
        TEST(files_come_and_change),
        TEST(token_rotates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
