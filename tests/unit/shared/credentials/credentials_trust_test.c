/*
 * What the CA says of trust reaches the credentials: other roots without another certificate, an early
 * renewal where another root signs, what is revoked is withdrawn and asked for anew; what a machine
 * keeps follows; a CA that goes away is forgotten nothing of.
 */
#include "tests/unit/shared/credentials/credentials_fixture.h"

static size_t n_trusted, n_to_fail;
static bool alice_revoked, bob_revoked;
static uint64_t version;

static int trusted(struct credentials *m, struct trust *t, void *arg)
{
    assert_ptr_equal(m, manager);
    assert_ptr_equal(arg, &wishes);
    n_trusted++;
    version = t->version;
    alice_revoked = trust_revokes_identity(t, ALICE);
    bob_revoked = trust_revokes_identity(t, BOB);
    bed_poke();
    return n_to_fail > 0 && n_to_fail-- > 0 ? -ENOMEM : 0;
}

/* first, second: NULL is none. */
static void say(uint64_t number, const struct x509 *first, const struct x509 *second, const char *identity, const char *serial)
{
    char *one = fake_pem(first), *two = second ? fake_pem(second) : NULL;
    char *both = malloc(2 * X509_PEM_MAX);
    assert_non_null(both);
    snprintf(both, 2 * X509_PEM_MAX, "%s%s", one, two ? two : "");
    struct trust *t = trust_new(number, text_of(both), 1, 1);
    if (identity)
        assert_int_equal(trust_add_identity(t, text_of(identity)), 0);
    if (serial)
        assert_int_equal(trust_add_serial(t, text_of(serial)), 0);
    trust_sort(t);
    xds_bytes_done(&fake.trust);
    assert_int_equal(trust_encode(t, &fake.trust), 0);
    list_for_each (n, &fake.calls) {
        struct fake_call *c = container_of(n, struct fake_call, link);
        if (c->watches)
            assert_int_equal(grpc_call_send(&c->call, fake.trust.data, fake.trust.len), 0);
    }
    trust_unref(t);
    free(one);
    free(two);
    free(both);
}

static int begin_watching(void **state)
{
    static const struct credentials_events with_trust = {.changed = changed, .trusted = trusted};
    begin(state);
    manager_close();
    bed_run_until(is_drained);
    options.watch = true;
    options.idle_ms = 20;
    n_trusted = version = n_to_fail = 0;
    assert_int_equal(credentials_open(&manager, bed.ring, &options, &with_trust, &wishes), 0);
    manager_drained = false;
    say(1, &fake.root.cert, NULL, NULL, NULL);
    return 0;
}

static int end_watching(void **state)
{
    int r = end(state);
    xds_bytes_done(&fake.trust);
    return r;
}

static uint64_t awaited_version;
static bool is_heard(void)
{
    return version >= awaited_version;
}
static void await_version(uint64_t number)
{
    awaited_version = number;
    bed_run_until(is_heard);
}
static struct credential *of(const struct wish *w)
{
    return credentials_get(manager, &w->id);
}

static void other_roots_without_another_certificate(void **state)
{
    enum { MANY = 10 };
    char serials[MANY][2 * X509_SERIAL_MAX + 1];
    (void)state;
    for (size_t i = 0; i < MANY; i++)
        want_number(i);
    await_changes(1);
    await_version(1);
    for (size_t i = 0; i < MANY; i++)
        memcpy(serials[i], wishes[i].serial, sizeof serials[i]);
    say(2, &fake.root.cert, &fake.foreign.cert, NULL, NULL);
    await_changes(2);
    await_version(2);
    for (size_t i = 0; i < MANY; i++) {
        uint8_t keys[TLS_ROOTS_MAX][TLS_ROOT_BYTES];
        assert_string_equal(wishes[i].serial, serials[i]);
        assert_int_equal(tls_config_root_keys(of(&wishes[i])->server, keys), 2);
        assert_int_equal(tls_config_root_keys(of(&wishes[i])->client, keys), 2);
    }
    say(3, &fake.root.cert, &fake.foreign.cert, NULL, NULL); /* nothing new */
    await_version(3);
    bed_wait_ms(50);
    assert_int_equal(wishes[0].n_changed, 2);
    assert_int_equal(fake.n_requests, MANY);
    assert_int_equal(fake.n_watches, 1); /* also longer than idle_ms */
}

/* The first root signs: what another has signed is renewed, not all at once, and long before its time. */
static void early_where_another_root_signs(void **state)
{
    fake.ttl_s = 8;
    struct wish *w = want(SELF_ID);
    (void)state;
    await_changes(1);
    await_version(1);
    say(2, &fake.foreign.cert, &fake.root.cert, NULL, NULL);
    await_changes(2);
    uint64_t since = ring_now_ms(bed.ring);
    await_changes(3);
    assert_true(ring_now_ms(bed.ring) - since < 3000); /* a quarter of 8 s; the renewal would be after 3.6 */
    assert_int_equal(w->n_gone, 0);
    assert_int_equal(fake.n_requests, 2);
}

static void revoked_is_withdrawn(void **state)
{
    struct wish *alice = want(ALICE), *bob = want(BOB);
    (void)state;
    await_changes(1);
    await_version(1);
    /* One certificate: another takes its place. */
    say(2, &fake.root.cert, NULL, NULL, alice->serial);
    n_awaited = 2;
    while (alice->n_changed < 2)
        bed_wait_ms(5);
    assert_int_equal(alice->n_gone, 1);
    assert_int_equal(bob->n_changed, 1);
    assert_int_equal(bob->n_gone, 0);
    /* The identity: the CA gives none. */
    fake.answer = FAKE_REFUSED;
    say(3, &fake.root.cert, NULL, ALICE, NULL);
    while (alice->n_gone < 2)
        bed_wait_ms(5);
    assert_null(of(alice));
    assert_non_null(of(bob));
    fake.answer = FAKE_GOOD;
    say(4, &fake.root.cert, NULL, NULL, NULL);
    while (!of(alice))
        bed_wait_ms(5);
    assert_int_equal(bob->n_gone, 0);
}

static void leads_to_no_root_any_more(void **state)
{
    struct wish *w = want(ALICE);
    (void)state;
    await_changes(1);
    await_version(1);
    fake.answer = FAKE_REFUSED;
    say(2, &fake.foreign.cert, NULL, NULL, NULL);
    while (w->n_gone < 1)
        bed_wait_ms(5);
    assert_null(of(w));
}

/* What it said counts, until it says something else. */
static void the_ca_goes_and_comes(void **state)
{
    struct wish *w = want(ALICE);
    (void)state;
    await_changes(1);
    say(2, &fake.root.cert, &fake.foreign.cert, NULL, NULL);
    await_changes(2);
    fake_go_away();
    bed_wait_ms(50);
    uint8_t keys[TLS_ROOTS_MAX][TLS_ROOT_BYTES];
    assert_int_equal(tls_config_root_keys(of(w)->server, keys), 2);
    fake_listen();
    say(3, &fake.root.cert, NULL, NULL, NULL);
    await_version(3); /* by itself, though nobody needs a certificate */
    await_changes(3);
    assert_int_equal(tls_config_root_keys(of(w)->server, keys), 1);
    assert_int_equal(w->n_gone, 0);
}

static void nonsense_is_left(void **state)
{
    struct wish *w = want(ALICE);
    (void)state;
    await_changes(1);
    await_version(1);
    list_for_each (n, &fake.calls) {
        struct fake_call *c = container_of(n, struct fake_call, link);
        if (c->watches)
            assert_int_equal(grpc_call_send(&c->call, (const uint8_t *)"\xff\xff", 2), 0);
    }
    say(2, &fake.root.cert, NULL, NULL, NULL);
    await_version(2);
    assert_int_equal(w->n_changed, 1);
}

/* A CA that was cut off, or came of a copy: it revokes besides, and lifts nothing. */
static void a_lower_number_lifts_nothing(void **state)
{
    struct credentials_stats stats;
    uint8_t keys[TLS_ROOTS_MAX][TLS_ROOT_BYTES];
    struct wish *alice = want(ALICE), *carol = want(SELF_ID);
    (void)state;
    await_changes(1);
    await_version(1);
    fake.answer = FAKE_REFUSED;
    say(5, &fake.root.cert, NULL, ALICE, NULL);
    while (alice->n_gone < 1)
        bed_wait_ms(5);
    say(4, &fake.root.cert, &fake.foreign.cert, BOB, NULL);
    while (!bob_revoked)
        bed_wait_ms(5);
    assert_true(alice_revoked);
    assert_int_equal(version, 5);
    credentials_stats(manager, &stats);
    assert_true(stats.trust_behind);
    assert_int_equal(stats.trust_unheard_ms, 0);
    say(5, &fake.root.cert, NULL, NULL, NULL); /* the same number, with less: neither */
    say(6, &fake.root.cert, NULL, ALICE, NULL);
    await_version(6);
    assert_true(alice_revoked);
    assert_false(bob_revoked);
    assert_int_equal(n_trusted, 4);
    assert_int_equal(tls_config_root_keys(of(carol)->server, keys), 1);
    credentials_stats(manager, &stats);
    assert_false(stats.trust_behind);
}

static bool is_unheard(void)
{
    struct credentials_stats stats;
    credentials_stats(manager, &stats);
    return stats.trust_unheard_ms > 0;
}

static void its_silence_is_counted(void **state)
{
    (void)state;
    await_version(1);
    assert_false(is_unheard());
    fake_go_away();
    while (!is_unheard())
        bed_wait_ms(5);
    fake_listen();
    while (is_unheard())
        bed_wait_ms(5);
    assert_int_equal(n_trusted, 1); /* the same again is no news */
}

static void who_had_no_memory_is_told_again(void **state)
{
    (void)state;
    n_to_fail = 2;
    await_version(1);
    while (n_trusted < 3)
        bed_wait_ms(5);
    say(2, &fake.root.cert, NULL, NULL, NULL);
    await_version(2);
    assert_int_equal(n_trusted, 4);
}

static void roots_that_are_none(void **state)
{
    struct trust *t = trust_new(7, TEXT("PEM"), 0, 0);
    struct xds_bytes bytes;
    (void)state;
    await_version(1);
    assert_int_equal(trust_encode(t, &bytes), 0);
    list_for_each (n, &fake.calls) {
        struct fake_call *c = container_of(n, struct fake_call, link);
        if (c->watches)
            assert_int_equal(grpc_call_send(&c->call, bytes.data, bytes.len), 0);
    }
    xds_bytes_done(&bytes);
    trust_unref(t);
    say(2, &fake.root.cert, NULL, NULL, NULL);
    awaited_version = 2;
    bed_run_until(is_heard);
    assert_int_equal(version, 2);
    assert_int_equal(n_trusted, 2);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin_watching, end_watching)
    const struct CMUnitTest tests[] = {
        TEST(other_roots_without_another_certificate),
        TEST(early_where_another_root_signs),
        TEST(revoked_is_withdrawn),
        TEST(leads_to_no_root_any_more),
        TEST(the_ca_goes_and_comes),
        TEST(nonsense_is_left),
        TEST(a_lower_number_lifts_nothing),
        TEST(its_silence_is_counted),
        TEST(who_had_no_memory_is_told_again),
        TEST(roots_that_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
