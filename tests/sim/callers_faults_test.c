/*
 * The CA's server, and each point of it goes wrong in turn: accepting, receiving and sending, with each
 * error that there can be. A client whose connection broke asks again and is answered, so is the next one, a
 * drain ends, and nothing is left. Only the CA's ring is one where things fail.
 */
#include "shared/base/log.h"
#include "tests/support/fake_ring.h"
#include "tests/unit/ca/callers_fixture.h"

enum { POINTS_MAX = 1000, TRIES = 4 };
static struct fake_net *net;

static bool ready_or_gone(void)
{
    return clients[0].ready || clients[0].drained;
}
static bool call_is_over(void)
{
    return calls[0].closed || clients[0].drained;
}

/* One client, one call; whether it was answered. */
static bool asks_once(void)
{
    memset(&clients[0], 0, sizeof clients[0]);
    memset(&calls[0], 0, sizeof calls[0]);
    client_open(0, client_tls);
    bed_run_until(ready_or_gone);
    if (clients[0].ready && !clients[0].closed) {
        call_start(0, XDS_CREATE_CERTIFICATE_PATH, token);
        call_send(0);
        bed_run_until(call_is_over);
    }
    if (!clients[0].drained)
        h2_conn_close(&clients[0].h2);
    bed_run_until(first_is_gone);
    if (!calls[0].closed || calls[0].status != GRPC_OK)
        return false;
    assert_int_equal(calls[0].n_pems, 3);
    return true;
}

/* One fault: one client may lose its connection by it, or a few if they come before the pause of an accept is over. */
static void asks(void)
{
    unsigned tries = 1;
    while (!asks_once())
        assert_true(++tries <= TRIES);
}

static void nothing(void) {}

static void begins_a_call(void)
{
    connect_first();
    call_start(0, XDS_CREATE_CERTIFICATE_PATH, token);
    bed_wait_ms(100);
}

/* A call that had begun before the drain; the fault may break it, and must not hold up the end. */
static void drains(void)
{
    callers_drain(&callers);
    if (!clients[0].closed)
        call_send(0);
    bed_run_until(all_are_gone);
    assert_true(calls[0].closed);
}

struct scenario {
    void (*prepare)(void); /* nothing fails yet */
    void (*act)(void);
    bool serves_on;
};
static const struct scenario serving = {nothing, asks, true},
                             draining = {begins_a_call, drains, false};

/* Whether the n-th point was reached. */
static bool play(const struct scenario *s, const struct fake_fault *f)
{
    void *state = NULL;
    struct ring *clients_own;
    net = fake_net_new(1);
    fake_net_set_weather(net, &(struct fake_weather){.socket_bytes = 65536});
    assert_int_equal(callers_begin(&state), 0);
    assert_int_equal(ring_open(&clients_own, NULL, NULL), 0);
    client_ring = clients_own;
    fake_ring_watch(bed.ring);
    s->prepare();
    fake_net_set_fault(net, f);
    s->act();
    bool reached = fake_net_points(net) >= f->nth;
    fake_net_set_fault(net, NULL);
    if (s->serves_on)
        assert_true(asks_once());
    assert_int_equal(callers_end(&state), 0);
    ring_free(clients_own);
    assert_int_equal(fake_net_leaks(net), 0);
    net = fake_net_free(net);
    return reached;
}

static void play_all(const struct scenario *s, enum fake_fault_kind kind, unsigned points)
{
    const int *errors;
    size_t n = kind == FAKE_ERROR ? fake_fault_errors(points, &errors) : 1;
    for (size_t i = 0; i < n; i++) {
        struct fake_fault f = {
            .points = points, .kind = kind, .error = kind == FAKE_ERROR ? errors[i] : 0};
        do
            f.nth++;
        while (f.nth < POINTS_MAX && play(s, &f));
        assert_in_range(f.nth, 2, POINTS_MAX - 1);
        if (i == 0)
            print_message("  kind %d at %2u: %llu points, %zu errors\n", kind, points,
                          (unsigned long long)f.nth - 1, n);
    }
}

static void each_accept_fails(void **state)
{
    (void)state;
    play_all(&serving, FAKE_ERROR, FAKE_AT_ACCEPT);
}
static void each_receive_fails(void **state)
{
    (void)state;
    play_all(&serving, FAKE_ERROR, FAKE_AT_RECV);
}
static void each_send_fails(void **state)
{
    (void)state;
    play_all(&serving, FAKE_ERROR, FAKE_AT_SEND);
}
static void each_point_moves_little(void **state)
{
    (void)state;
    play_all(&serving, FAKE_ONE_BYTE, FAKE_AT_RECV | FAKE_AT_SEND);
    play_all(&serving, FAKE_HALF, FAKE_AT_RECV | FAKE_AT_SEND);
}
static void each_point_is_late(void **state)
{
    (void)state;
    play_all(&serving, FAKE_LATE, FAKE_AT_ACCEPT | FAKE_AT_RECV | FAKE_AT_SEND);
    play_all(&serving, FAKE_STALL, FAKE_AT_ACCEPT | FAKE_AT_RECV | FAKE_AT_SEND);
}
static void each_point_of_a_drain(void **state)
{
    (void)state;
    play_all(&draining, FAKE_ERROR, FAKE_AT_RECV);
    play_all(&draining, FAKE_ERROR, FAKE_AT_SEND);
    play_all(&draining, FAKE_STALL, FAKE_AT_RECV | FAKE_AT_SEND);
}

static int begin_all(void **state)
{
    log_configure(LOG_ERROR, LOG_TEXT, 0);
    authority_begin(state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_accept_fails),       cmocka_unit_test(each_receive_fails),
        cmocka_unit_test(each_send_fails),         cmocka_unit_test(each_point_moves_little),
        cmocka_unit_test(each_point_is_late),      cmocka_unit_test(each_point_of_a_drain),
    };
    return cmocka_run_group_tests(tests, begin_all, authority_end);
}
