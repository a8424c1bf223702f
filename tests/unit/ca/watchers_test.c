/*
 * Who watches what is trusted, over TLS on a real ring: told at the beginning and after each change,
 * as many as there are places, and of one name as many as one may have; idle is not who watches; at
 * the end all are let go. And what there is to tell, out of the store.
 */
#include "tests/unit/ca/callers_fixture.h"

static struct told {
    struct grpc_call call;
    unsigned n;
    uint64_t version;
    bool alice, serial, closed, incomplete;
    enum grpc_status status;
    char message[128];
} told[WATCHERS_OF_ONE_MAX + 2];
#define SERIAL "0123456789abcdef"

static void watch_message(struct grpc_call *call, const uint8_t *data, size_t len)
{
    struct told *w = container_of(call, struct told, call);
    char why[XDS_WHY_MAX];
    struct trust *t;
    assert_int_equal(trust_decode(data, len, &t, why), 0);
    assert_string_equal(t->roots_pem, bench.root.bundle_pem);
    w->n++;
    w->version = t->version;
    w->alice = trust_revokes_identity(t, ALICE);
    w->serial = trust_revokes_serial(t, SERIAL);
    w->incomplete = t->incomplete;
    trust_unref(t);
    bed_poke();
}

static void watch_closed(struct grpc_call *call, enum grpc_status status, struct text message)
{
    struct told *w = container_of(call, struct told, call);
    w->closed = true;
    w->status = status;
    snprintf(w->message, sizeof w->message, "%.*s", (int)message.len, message.data);
    bed_poke();
}

static void watch(size_t i, const char *bearer)
{
    static const struct grpc_call_events watch_events = {.message = watch_message,
                                                         .closed = watch_closed};
    const struct grpc_call_options o = {
        .path = TEXT(XDS_TRUST_PATH), .authority = TEXT("weir-ca"), .bearer = text_of(bearer)};
    told[i] = (struct told){.n = 0};
    assert_int_equal(grpc_call_start(&told[i].call, clients[0].h2.http2, ring_chunks(client_ring),
                                     &o, &watch_events, NULL),
                     0);
    assert_int_equal(grpc_call_send(&told[i].call, (const uint8_t *)"", 0), 0);
    grpc_call_half_close(&told[i].call);
}

static size_t looked_at;
static unsigned awaited;
static bool is_told(void)
{
    return told[looked_at].n >= awaited || told[looked_at].closed;
}
static void await(size_t i, unsigned n)
{
    looked_at = i;
    awaited = n;
    bed_run_until(is_told);
}
static bool is_closed(void)
{
    return told[looked_at].closed;
}
static void await_closed(size_t i)
{
    looked_at = i;
    bed_run_until(is_closed);
}

static int begin(void **state)
{
    authority_begin(state);
    int r = callers_begin(state);
    callers_set_trust(&callers, bench.root.trust);
    return r;
}

static int end(void **state)
{
    int r = callers_end(state);
    return r + authority_end(state);
}

static void take_back(const char *kind, const char *value)
{
    struct root fresh;
    char why[STORE_WHY_MAX];
    assert_int_equal(store_begin(bench.store), 0);
    assert_int_equal(store_put_revocation(bench.store, kind, value, bench.now_s, ""), 0);
    assert_int_equal(store_commit(bench.store), 0);
    assert_int_equal(root_open(&fresh, bench.store, bench.now_s, why), 0);
    root_done(&bench.root);
    bench.root = fresh;
    callers_set_trust(&callers, bench.root.trust);
}

static void told_at_once_and_after_each_change(void **state)
{
    (void)state;
    connect_first();
    watch(0, token);
    await(0, 1);
    assert_int_equal(told[0].version, bench.root.version);
    assert_false(told[0].alice || told[0].serial || told[0].closed);
    take_back(REVOKED_IDENTITY, ALICE);
    await(0, 2);
    assert_true(told[0].alice && !told[0].serial);
    take_back(REVOKED_SERIAL, SERIAL);
    watch(1, token);
    await(0, 3);
    await(1, 1);
    assert_true(told[0].alice && told[0].serial && told[1].alice && told[1].serial);
    assert_int_equal(told[0].version, told[1].version);
    grpc_call_cancel(&told[0].call);
    grpc_call_cancel(&told[1].call);
}

static void who_may(void **state)
{
    char join[ATTEST_TOKEN_TEXT_MAX];
    const struct join_record j = {ALICE, "", bench.now_s, bench.now_s + 600};
    (void)state;
    assert_int_equal(attest_make_join(bench.store, &j, join), 0);
    connect_first();
    watch(0, "");
    watch(1, "bad");
    watch(2, join); /* it is good once, and not for this */
    for (size_t i = 0; i < 3; i++) {
        await_closed(i);
        assert_int_equal(told[i].status, GRPC_UNAUTHENTICATED);
        assert_int_equal(told[i].n, 0);
    }
    assert_int_equal(sql_number("SELECT count(*) FROM join_token"), 1);
    assert_int_equal(callers.watchers.n, 0);
}

static void one_name_has_its_places(void **state)
{
    (void)state;
    connect_first();
    for (size_t i = 0; i < WATCHERS_OF_ONE_MAX; i++)
        watch(i, token);
    watch(WATCHERS_OF_ONE_MAX, token);
    await_closed(WATCHERS_OF_ONE_MAX);
    assert_int_equal(told[WATCHERS_OF_ONE_MAX].status, GRPC_RESOURCE_EXHAUSTED);
    assert_string_equal(told[WATCHERS_OF_ONE_MAX].message, "too many of this name watch");
    await(0, 1);
    grpc_call_cancel(&told[0].call); /* its place is another's */
    do {
        watch(0, token);
        await(0, 1);
    } while (told[0].closed);
    for (size_t i = 0; i < WATCHERS_OF_ONE_MAX; i++)
        grpc_call_cancel(&told[i].call);
}

static void all_places(void **state)
{
    (void)state;
    connect_first();
    callers.watchers.n += WATCHERS_MAX;
    watch(0, token);
    await_closed(0);
    assert_int_equal(told[0].status, GRPC_RESOURCE_EXHAUSTED);
    callers.watchers.n -= WATCHERS_MAX;
}

static void not_idle_while_it_watches(void **state)
{
    (void)state;
    callers.idle_ms = 30;
    connect_first();
    watch(0, token);
    await(0, 1);
    bed_wait_ms(120);
    assert_false(clients[0].closed);
    take_back(REVOKED_IDENTITY, ALICE);
    await(0, 2);
    assert_true(told[0].alice);
    grpc_call_cancel(&told[0].call);
    bed_run_until(first_is_gone); /* and then it is */
}

static void let_go_at_the_end(void **state)
{
    (void)state;
    connect_first();
    watch(0, token);
    await(0, 1);
    callers_drain(&callers);
    await_closed(0);
    assert_int_equal(told[0].status, GRPC_UNAVAILABLE);
    bed_run_until(all_are_gone);
}

/* ---- what there is to tell ------------------------------------------------------------ */

static void put(const char *serial, const char *identity, int64_t not_after_s)
{
    const struct issued_record r = {serial, identity, "", 1, not_after_s, 2, ""};
    assert_int_equal(store_put_issued(bench.store, &r), 0);
}

static void out_of_the_store(void **state)
{
    struct trust *t;
    (void)state;
    put("01", ALICE, 100);
    put("02", ALICE, 300);
    put("03", BOB, 300);
    put("04", BOB, 100);
    assert_int_equal(store_put_revocation(bench.store, REVOKED_IDENTITY, ALICE, 50, ""), 0);
    assert_int_equal(store_put_revocation(bench.store, REVOKED_SERIAL, "03", 50, ""), 0);
    assert_int_equal(store_put_revocation(bench.store, REVOKED_SERIAL, "04", 50, ""), 0);
    assert_int_equal(store_get_trust(bench.store, 9, "PEM", 200, &t), 0);
    assert_int_equal(t->version, 9);
    assert_true(t->n_identities == 1 && trust_revokes_identity(t, ALICE));
    assert_true(t->n_serials == 1 && trust_revokes_serial(t, "03")); /* 04 has ended */
    trust_unref(t);
    /* The identity may have new ones; those of before stay revoked. */
    assert_int_equal(store_lift_revocation(bench.store, REVOKED_IDENTITY, ALICE), 0);
    assert_int_equal(store_get_trust(bench.store, 10, "PEM", 200, &t), 0);
    assert_true(t->n_identities == 0 && t->n_serials == 2);
    assert_true(trust_revokes_serial(t, "02") && trust_revokes_serial(t, "03"));
    assert_false(t->incomplete);
    trust_unref(t);
}

static void more_than_there_is_room_for(void **state)
{
    char sql[512];
    struct trust *t;
    (void)state;
    snprintf(sql, sizeof sql,
             "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) INSERT"
             " INTO revocation SELECT 'serial', printf('%%06x', i), i, '' FROM n",
             TRUST_SERIALS_MAX + 5);
    sql_run(sql);
    assert_int_equal(store_get_trust(bench.store, 1, "PEM", 200, &t), 0);
    assert_int_equal(t->n_serials, TRUST_SERIALS_MAX);
    assert_true(t->incomplete);
    snprintf(sql, sizeof sql, "%06x", TRUST_SERIALS_MAX + 5); /* the newest is there */
    assert_true(trust_revokes_serial(t, sql));
    assert_false(trust_revokes_serial(t, "000001"));
    trust_unref(t);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
#define WITH_STORE(f) cmocka_unit_test_setup_teardown(f, bench_store, bench_done)
    const struct CMUnitTest tests[] = {
        TEST(told_at_once_and_after_each_change),
        TEST(who_may),
        TEST(one_name_has_its_places),
        TEST(all_places),
        TEST(not_idle_while_it_watches),
        TEST(let_go_at_the_end),
        WITH_STORE(out_of_the_store),
        WITH_STORE(more_than_there_is_room_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
