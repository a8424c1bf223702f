/*
 * Sessions of requests: who says in a header which session it is of comes to the endpoint where that was, and to no other one
 * that it names; by the Service's own endpoints, or by a cluster that somebody wrote something for.
 */
#include "tests/sim/fleet_routes.h"
#include "tests/sim/sim_stories.h"

#define S2 "outbound|80||s2.shop"
#define S3 "outbound|80||s3.shop"

static char told[SESSION_TOKEN_MAX]; /* by the last answer that said something of it */
static unsigned n_told;

static void hear(const struct call *c)
{
    struct text t = http_head_get(&c->s.head, TEXT("x-session"));
    if (t.len == 0)
        return;
    assert_true(t.len < sizeof told);
    snprintf(told, sizeof told, "%.*s", (int)t.len, t.data);
    n_told++;
}

/* Both backends, half and half; with clusters for each, or without. */
static struct route_forward *sessions(uint64_t seed, uint64_t idle_ms)
{
    static struct session_policy policy;
    policy = (struct session_policy){.header = true, .name = TEXT("x-session"), .idle_ms = idle_ms};
    begin(seed, APP_HTTP11);
    fleet.answered = hear;
    told[0] = '\0';
    n_told = 0;
    if (seed % 4 < 2) {
        put_cluster(cluster(S2, BALANCE_RANDOM));
        put_endpoints(S2, 3);
        put_cluster(cluster(S3, BALANCE_ROUND_ROBIN));
        put_endpoints(S3, 12);
    }
    struct route_table *t = table(1);
    struct route_forward *f = forward(t, 0, 50, 50);
    f->session = &policy;
    retries(t, f, RETRY_5XX, 3);
    put(t);
    return f;
}

/* Of all; SERVERS: of none or of several. */
static unsigned only_server_since(const unsigned before[static SERVERS])
{
    unsigned found = SERVERS, n = 0;
    for (unsigned i = 0; i < SERVERS; i++)
        if (fleet.servers[i].n_served > before[i]) {
            found = i;
            n++;
        }
    return n == 1 ? found : SERVERS;
}

static unsigned served_where(unsigned n)
{
    unsigned before[SERVERS];
    for (unsigned i = 0; i < SERVERS; i++)
        before[i] = fleet.servers[i].n_served;
    fleet_ask(n);
    return only_server_since(before);
}

static void leaves(uint64_t seed, unsigned server)
{
    if (seed % 4 < 2) {
        put_endpoints(S2, 3 & ~(1u << server));
        put_endpoints(S3, 12 & ~(1u << server));
        return;
    }
    struct directory *d = fleet.mesh.nodes[0].directory;
    struct workload unwell = *directory_workload(d, text_of(fleet.servers[server].pod->uid));
    unwell.healthy = false;
    struct workload *w = workload_pack(&unwell);
    assert_non_null(w);
    assert_int_equal(directory_put_workload(d, w), 0);
}

static void stays_where_it_was(uint64_t seed)
{
    sessions(seed, 0);
    assert_int_equal(served_where(60), SERVERS); /* each is a new one */
    assert_int_equal(n_told, 60);
    for (unsigned round = 0; round < 4; round++) {
        fleet.session = NULL;
        unsigned first = served_where(1);
        assert_true(first < SERVERS);
        fleet.session = told;
        n_told = 0;
        assert_int_equal(served_where(20), first);
        assert_int_equal(n_told, 0); /* it is said once */
    }
    assert_int_equal(n_client_whole, 60 + 4 * 21);
    fleet_end();
}

/* Its endpoint has gone: another one, and that is its endpoint from then on. */
static void is_somewhere_else_then(uint64_t seed)
{
    sessions(seed, 0);
    unsigned first = served_where(1);
    char session[SESSION_TOKEN_MAX];
    snprintf(session, sizeof session, "%s", told);
    fleet.session = session;
    leaves(seed, first);
    unsigned next = served_where(1);
    assert_true(next < SERVERS && next != first && next / 2 == first / 2); /* of the same backend */
    snprintf(session, sizeof session, "%s", told);
    n_told = 0;
    assert_int_equal(served_where(20), next);
    assert_int_equal(n_told, 0);
    fleet_end();
}

/* It fails: the request is tried elsewhere, and the client learns where. */
static void moves_with_a_retry(uint64_t seed)
{
    sessions(seed, 0);
    unsigned first = served_where(1);
    char session[SESSION_TOKEN_MAX];
    snprintf(session, sizeof session, "%s", told);
    fleet.session = session;
    n_told = 0;
    fleet.servers[first].fails = true;
    fleet_ask(1);
    assert_int_equal(n_client_whole, 2);
    assert_int_equal(n_told, 1);
    assert_string_not_equal(told, session);
    snprintf(session, sizeof session, "%s", told);
    unsigned next = served_where(10);
    assert_true(next < SERVERS && next != first);
    fleet_end();
}

/* Nobody is reached who could not be reached anyway: an endpoint of the other backend, the client itself, no endpoint at all. */
static void is_no_way_in(uint64_t seed)
{
    struct addr named[] = {{{0}, 0}, {{0}, 0}, {{4, {127, 0, 0, 1}}, 15000}};
    sessions(seed, 0);
    named[0] = sim_pod_addr(fleet.web, PORT, false);
    named[1] = sim_pod_addr(fleet.servers[0].pod, PORT, false); /* of s2 */
    for (unsigned i = 0; i < ARRAY_SIZE(named); i++) {
        char session[SESSION_TOKEN_MAX];
        const struct session made = {UINT32_MAX, UINT32_MAX, session_backend(TEXT(S3)), named[i]};
        fleet.session = session_print(&made, session);
        unsigned before = served_by(2, 2);
        n_told = 0;
        fleet_ask(20);
        assert_int_equal(served_by(2, 2) - before, 20); /* that it is of s3 it may say */
        assert_int_equal(n_told, 20);
    }
    assert_int_equal(served_by(0, 2), 0);
    /* The right address with another port. */
    char session[SESSION_TOKEN_MAX];
    struct session made = {0, 0, session_backend(TEXT(S3)), sim_pod_addr(fleet.servers[2].pod, PORT + 1, false)};
    fleet.session = session_print(&made, session);
    fleet_ask(20);
    assert_int_equal(n_client_whole, 80);
    fleet_end();
}

/* Ends when it was not used for so long; who uses it is told that it lives on. */
static void ends_by_idling(uint64_t seed)
{
    enum { IDLE_S = 60 };
    sessions(seed, IDLE_S * 1000);
    (void)served_where(1);
    char session[SESSION_TOKEN_MAX];
    fleet.session = session;
    struct session was, is;
    for (unsigned i = 0; i < 4; i++) {
        snprintf(session, sizeof session, "%s", told);
        assert_int_equal(session_parse(text_of(session), &was), 0);
        fake_net_run_for(net, (IDLE_S - 10) * 1000);
        (void)served_where(1);
        assert_int_equal(session_parse(text_of(told), &is), 0);
        assert_true(addr_equal(&was.endpoint, &is.endpoint) && was.begun_s == is.begun_s && was.seen_s < is.seen_s);
    }
    snprintf(session, sizeof session, "%s", told);
    fake_net_run_for(net, (IDLE_S + 1) * 1000);
    (void)served_where(1);
    assert_int_equal(session_parse(text_of(told), &is), 0);
    assert_true(is.begun_s > was.begun_s);
    fleet_end();
}

#define STORIES(X)                                                                                 \
    X(stays_where_it_was, 8)                                                                       \
    X(is_somewhere_else_then, 8)                                                                   \
    X(moves_with_a_retry, 8)                                                                       \
    X(is_no_way_in, 8)                                                                             \
    X(ends_by_idling, 4)
STORIES(STORY)

int main(void)
{
    const struct CMUnitTest tests[] = {STORIES(TEST)};
    seed_watch(&story_seed);
    return seed_tell(cmocka_run_group_tests(tests, NULL, NULL));
}
