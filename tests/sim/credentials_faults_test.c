/*
 * The node proxy asks the CA for certificates, and each point of it goes wrong in turn: connecting, the
 * handshake, the request, the answer. In the end every identity has its certificate all the same, no
 * one has another's, and nothing is left. Both ends play on one simulated ring, with real
 * certificates.
 */
#include "tests/support/fake_ring.h"
#include "tests/unit/shared/credentials/credentials_fixture.h"

enum { IDENTITIES = 3, POINTS_MAX = 1000 };
static struct fake_net *net;

static int begin_simulated(void **state)
{
    net = fake_net_new(1);
    log_configure(LOG_ERROR, LOG_TEXT, 0);
    fake_net_set_weather(net, &(struct fake_weather){.socket_bytes = 65536});
    return begin(state);
}

static int end_simulated(void **state)
{
    int r = end(state);
    net = fake_net_free(net);
    return r;
}

/* Whether the n-th point was reached. */
static bool play(const struct fake_fault *f)
{
    void *state = NULL;
    assert_int_equal(begin_simulated(&state), 0);
    fake_ring_watch(bed.ring);
    fake_net_set_fault(net, f);
    for (size_t i = 0; i < IDENTITIES; i++)
        want_number(i);
    await_changes(1);
    bool reached = fake_net_points(net) >= f->nth;
    fake_net_set_fault(net, NULL);
    for (size_t i = 0; i < IDENTITIES; i++) {
        const struct credential *c = credentials_get(manager, &wishes[i].id);
        assert_non_null(c);
        assert_true(spiffe_id_equal(&c->id, &wishes[i].id));
    }
    struct wish *late = want_number(IDENTITIES); /* the next one is served */
    await_changes(1);
    assert_non_null(credentials_get(manager, &late->id));
    assert_int_equal(end_simulated(&state), 0);
    return reached;
}

/* Each point, and each error that there can be. */
static void play_all(enum fake_fault_kind kind, unsigned points)
{
    const int *errors;
    size_t n = kind == FAKE_ERROR ? fake_fault_errors(points, &errors) : 1;
    for (size_t i = 0; i < n; i++) {
        struct fake_fault f = {
            .points = points, .kind = kind, .error = kind == FAKE_ERROR ? errors[i] : 0};
        do
            f.nth++;
        while (f.nth < POINTS_MAX && play(&f));
        assert_in_range(f.nth, 2, POINTS_MAX - 1);
        if (i == 0)
            print_message("  kind %d at %2u: %llu points, %zu errors\n", kind, points,
                          (unsigned long long)f.nth - 1, n);
    }
}

static void each_point_fails(void **state)
{
    static const unsigned points[] = {FAKE_AT_ACCEPT, FAKE_AT_CONNECT, FAKE_AT_RECV, FAKE_AT_SEND};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(points); i++)
        play_all(FAKE_ERROR, points[i]);
}
static void each_point_moves_little(void **state)
{
    (void)state;
    play_all(FAKE_ONE_BYTE, FAKE_AT_RECV | FAKE_AT_SEND);
    play_all(FAKE_HALF, FAKE_AT_RECV | FAKE_AT_SEND);
}
static void each_point_is_late(void **state)
{
    (void)state;
    play_all(FAKE_LATE, FAKE_AT_ACCEPT | FAKE_AT_CONNECT | FAKE_AT_RECV | FAKE_AT_SEND);
    play_all(FAKE_STALL, FAKE_AT_ACCEPT | FAKE_AT_CONNECT | FAKE_AT_RECV | FAKE_AT_SEND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_point_fails),
        cmocka_unit_test(each_point_moves_little),
        cmocka_unit_test(each_point_is_late),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
