/*
 * Connections of node proxies on a real ring, with TLS: calls are answered, strangers lose their
 * place, and at the end nobody who was being answered is cut off.
 */
#include "tests/unit/ca/callers_fixture.h"

static int begin(void **state)
{
    authority_begin(state);
    return callers_begin(state);
}

static int end(void **state)
{
    int r = callers_end(state);
    return r + authority_end(state);
}

/* As over a database: who asks is looked up elsewhere meanwhile. */
static struct ledger *lookups;
static bool lookups_closed;

static int begin_looked_up(void **state)
{
    char why[STORE_WHY_MAX];
    int r = begin(state);
    assert_int_equal(ledger_open(&lookups, bed.ring, bench.state, why), 0);
    callers.lookups = lookups;
    return r;
}

static void on_closed(void *arg)
{
    (void)arg;
    lookups_closed = true;
}

static bool lookups_are_closed(void)
{
    return lookups_closed;
}

static int end_looked_up(void **state)
{
    callers_close(&callers);
    lookups_closed = false;
    ledger_close(lookups, on_closed, NULL);
    bed_run_until(lookups_are_closed);
    return end(state);
}

/* ---- answers -------------------------------------------------------------------- */

static void calls_are_answered(void **state)
{
    (void)state;
    connect_first();
    for (size_t i = 0; i < 20; i++) {
        call_start(i, XDS_CREATE_CERTIFICATE_PATH, i % 4 == 3 ? "bad" : token);
        call_send(i);
    }
    await_calls(20);
    for (size_t i = 0; i < 20; i++) {
        assert_int_equal(calls[i].status, i % 4 == 3 ? GRPC_UNAUTHENTICATED : GRPC_OK);
        assert_int_equal(calls[i].n_pems, i % 4 == 3 ? 0 : 3);
    }
    assert_int_equal(callers.issued, 15);
    assert_int_equal(callers.refused[GRPC_UNAUTHENTICATED], 5);
    assert_int_equal(count_issued(), 15 + 2);
}

static void other_calls_are_refused(void **state)
{
    (void)state;
    connect_first();
    call_start(0, "/istio.v1.auth.IstioCertificateService/Other", token);
    call_send(0);
    call_start(1, XDS_CREATE_CERTIFICATE_PATH, token);
    grpc_call_half_close(&calls[1].call); /* without a message */
    call_start(2, XDS_CREATE_CERTIFICATE_PATH, "");
    call_send(2);
    call_start(3, XDS_CREATE_CERTIFICATE_PATH, token);
    assert_int_equal(grpc_call_send(&calls[3].call, (const uint8_t *)"\xff\xff", 2), 0);
    grpc_call_half_close(&calls[3].call);
    call_start(4, XDS_CREATE_CERTIFICATE_PATH, token);
    static uint8_t large[CALLERS_MESSAGE_MAX + 1];
    assert_int_equal(grpc_call_send(&calls[4].call, large, sizeof large), 0);
    await_calls(5);
    assert_int_equal(calls[0].status, GRPC_UNIMPLEMENTED);
    assert_int_equal(calls[1].status, GRPC_INVALID_ARGUMENT);
    assert_int_equal(calls[2].status, GRPC_UNAUTHENTICATED);
    assert_int_equal(calls[3].status, GRPC_INVALID_ARGUMENT);
    assert_int_equal(calls[4].status, GRPC_RESOURCE_EXHAUSTED);
    assert_string_equal(calls[2].message, "the token is not accepted");
    assert_int_equal(callers.issued, 0);
    /* Two messages are one request. */
    call_start(5, XDS_CREATE_CERTIFICATE_PATH, token);
    assert_int_equal(grpc_call_send(&calls[5].call, request.data, request.len), 0);
    call_send(5);
    await_calls(6);
    assert_int_equal(calls[5].status, GRPC_OK);
    assert_int_equal(callers.issued, 1);
}

static int64_t refusals_with_a_line(void)
{
    return sql_number("SELECT count(*) FROM audit WHERE outcome = 'refused'");
}

/* They have had what there is of the log today; what is given has its line all the same. */
static void strangers_do_not_fill_the_log(void **state)
{
    (void)state;
    connect_first();
    call_start(0, XDS_CREATE_CERTIFICATE_PATH, "bad");
    call_send(0);
    await_calls(1);
    int64_t before = refusals_with_a_line();
    assert_true(before > 0);
    assert_int_equal(callers.unaudited, 0);
    callers.audit_share.in_day[AUDIT_STRANGERS] = AUDIT_STRANGERS_DAY;
    call_start(1, XDS_CREATE_CERTIFICATE_PATH, "bad");
    call_send(1);
    call_start(2, XDS_CREATE_CERTIFICATE_PATH, token);
    call_send(2);
    await_calls(3);
    assert_int_equal(calls[1].status, GRPC_UNAUTHENTICATED);
    assert_int_equal(calls[2].status, GRPC_OK);
    assert_int_equal(refusals_with_a_line(), before);
    assert_int_equal(callers.unaudited, 1);
}

static void calls_that_are_given_up(void **state)
{
    (void)state;
    connect_first();
    for (size_t i = 0; i < 30; i++)
        call_start(i, XDS_CREATE_CERTIFICATE_PATH, token);
    for (size_t i = 0; i < 30; i += 3)
        call_send(i);
    for (size_t i = 0; i < 30; i += 2)
        grpc_call_cancel(&calls[i].call);
    call_start(40, XDS_CREATE_CERTIFICATE_PATH, token);
    call_send(40);
    for (size_t i = 0; i < 40; i++)
        calls[i].closed = true;
    await_calls(41);
    assert_int_equal(calls[40].status, GRPC_OK);
    /* The others are open still when the connection goes. */
    h2_conn_close(&clients[0].h2);
    bed_run_until(first_is_gone);
}

static void refused_before_there_is_a_certificate(void **state)
{
    (void)state;
    callers.tls = tls_config_unref(callers.tls);
    client_open(0, client_tls);
    bed_run_until(first_is_gone);
    assert_false(clients[0].ready);
}

/* A new certificate is for new connections; those that are there go on. */
static void certificate_renewed(void **state)
{
    (void)state;
    connect_first();
    struct tls_config *new = tls_make(TLS_SERVER, false);
    callers_set_tls(&callers, new);
    tls_config_unref(new);
    call_start(0, XDS_CREATE_CERTIFICATE_PATH, token);
    call_send(0);
    await_calls(1);
    assert_int_equal(calls[0].status, GRPC_OK);
    client_open(1, client_tls);
    bed_run_until(second_is_ready);
    assert_string_not_equal(conn_peer(&clients[0].h2.conn)->serial,
                            conn_peer(&clients[1].h2.conn)->serial);
}

/* ---- who may stay ----------------------------------------------------------------- */

static void strangers_lose_their_place(void **state)
{
    (void)state;
    callers.idle_ms = 30;
    connect_first();
    bed_run_until(first_is_gone); /* it asked for nothing */
    memset(&clients[0], 0, sizeof clients[0]);
    connect_first();
    call_start(0, XDS_CREATE_CERTIFICATE_PATH, "bad");
    call_send(0);
    bed_run_until(first_is_gone); /* what it asked was in vain */
    assert_int_equal(calls[0].status, GRPC_UNAUTHENTICATED);
    assert_int_equal(callers.listener.n_open, 0);
}

/* A call that never says anything holds its connection no longer. */
static void strangers_who_say_nothing(void **state)
{
    (void)state;
    callers.idle_ms = 30;
    connect_first();
    call_start(0, XDS_CREATE_CERTIFICATE_PATH, "bad");
    bed_run_until(first_is_gone);
    assert_true(calls[0].closed);
    assert_int_not_equal(calls[0].status, GRPC_OK);
}

static uint64_t began_ms;
static bool long_enough(void)
{
    return ring_now_ms(bed.ring) - began_ms > 300 || clients[0].drained;
}

static struct timer again;
static size_t n_started;
static void ask_again(struct timer *t)
{
    if (n_started < CALLS_MAX && !clients[0].closed) {
        call_start(n_started, XDS_CREATE_CERTIFICATE_PATH, token);
        call_send(n_started++);
    }
    timer_start(ring_timers(bed.ring), t, 10);
    bed_poke();
}

static void who_asks_stays(void **state)
{
    (void)state;
    callers.idle_ms = 100;
    connect_first();
    began_ms = ring_now_ms(bed.ring);
    n_started = 0;
    timer_init(&again, ask_again);
    timer_start(ring_timers(bed.ring), &again, 1);
    bed_run_until(long_enough);
    timer_stop(ring_timers(bed.ring), &again);
    assert_false(clients[0].drained);
    await_calls(n_started);
    bed_run_until(first_is_gone); /* and goes when it asks no more */
}

/* ---- the end ------------------------------------------------------------------------ */

static void drain_lets_calls_end(void **state)
{
    (void)state;
    connect_first();
    call_start(0, XDS_CREATE_CERTIFICATE_PATH, token);
    call_start(1, XDS_CREATE_CERTIFICATE_PATH, token);
    call_send(0);
    await_calls(1);
    callers_drain(&callers);
    callers_drain(&callers);
    call_send(1); /* it began before */
    await_calls(2);
    assert_int_equal(calls[0].status, GRPC_OK);
    assert_int_equal(calls[1].status, GRPC_OK);
    bed_run_until(all_are_gone);
}

static bool is_paused(void)
{
    return timer_running(&callers.listener.retry);
}
static bool first_has_connected(void)
{
    struct addr peer;
    return socket_peer(clients[0].h2.conn.fd, &peer) == 0;
}
static void first_into_the_backlog(void)
{
    listener_pause(&callers.listener, DEADLINE_MS);
    bed_run_until(is_paused);
    client_open(0, client_tls);
    bed_run_until(first_has_connected);
    assert_true(list_empty(&callers.all));
}

/* Whom the kernel has accepted, and we have not yet, is served like those that are here. */
static void drain_serves_the_backlog(void **state)
{
    (void)state;
    first_into_the_backlog();
    callers_drain(&callers);
    bed_run_until(first_is_ready);
    call_start(0, XDS_CREATE_CERTIFICATE_PATH, token);
    call_send(0);
    await_calls(1);
    assert_int_equal(calls[0].status, GRPC_OK);
    bed_run_until(all_are_gone);
}

static void close_refuses_the_backlog(void **state)
{
    (void)state;
    first_into_the_backlog();
    callers_drain(&callers);
    callers_close(&callers);
    bed_run_until(all_are_gone);
    assert_false(clients[0].ready);
}

static void drain_without_anybody(void **state)
{
    (void)state;
    callers_drain(&callers);
    assert_false(callers_drained);
    bed_run_until(is_over);
}

static void close_cuts_calls(void **state)
{
    (void)state;
    connect_first();
    call_start(0, XDS_CREATE_CERTIFICATE_PATH, token);
    call_start(1, XDS_CREATE_CERTIFICATE_PATH, token);
    call_send(1);
    await_calls(0);
    callers_drain(&callers);
    callers_close(&callers);
    bed_run_until(all_are_gone);
    assert_true(calls[0].closed && calls[1].closed);
    assert_int_not_equal(calls[0].status, GRPC_OK);
}

static void close_in_a_handshake(void **state)
{
    (void)state;
    client_open(0, client_tls);
    callers_close(&callers);
    bed_run_until(all_are_gone);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
#define LOOKED_UP(f) {#f " (looked up)", f, begin_looked_up, end_looked_up, NULL}
    const struct CMUnitTest tests[] = {
        TEST(calls_are_answered),
        TEST(other_calls_are_refused),
        TEST(calls_that_are_given_up),
        TEST(refused_before_there_is_a_certificate),
        TEST(certificate_renewed),
        TEST(strangers_lose_their_place),
        TEST(strangers_who_say_nothing),
        TEST(who_asks_stays),
        TEST(drain_lets_calls_end),
        TEST(drain_serves_the_backlog),
        TEST(close_refuses_the_backlog),
        TEST(drain_without_anybody),
        TEST(close_cuts_calls),
        TEST(close_in_a_handshake),
        TEST(strangers_do_not_fill_the_log),
        LOOKED_UP(calls_are_answered),
        LOOKED_UP(other_calls_are_refused),
        LOOKED_UP(calls_that_are_given_up),
        LOOKED_UP(strangers_lose_their_place),
        LOOKED_UP(who_asks_stays),
        LOOKED_UP(drain_lets_calls_end),
        LOOKED_UP(close_cuts_calls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
