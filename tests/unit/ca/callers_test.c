/*
 * Connections of node proxies on a real ring, with TLS: calls are answered, strangers lose their
 * place, and at the end nobody who was being answered is cut off.
 */
#include "ca/callers.h"
#include "tests/unit/ca/ca_fixture.h"
#include "tests/unit/shared/transport/fixture.h"

#define PROXY "spiffe://cluster.local/ns/weir-system/sa/weir-nodeproxy"
#define CA    "spiffe://cluster.local/ns/weir-system/sa/weir-ca"

enum { CALLS_MAX = 80 };

static struct callers callers;
static struct grant grant;
static struct placement placement;
static struct addr at;
static struct tls_config *client_tls;
static char token[ATTEST_TOKEN_TEXT_MAX];
static struct xds_bytes request;
static bool callers_drained;

static struct one_call {
    struct grpc_call call;
    bool closed;
    enum grpc_status status;
    char message[128];
    size_t n_pems;
} calls[CALLS_MAX];

static struct client {
    struct h2_conn h2;
    bool open, ready, closed, drained;
} clients[2];

/* ---- the CA's side ----------------------------------------------------------- */

static bool known(struct callers *c)
{
    (void)c;
    return true;
}

static void on_drained(struct callers *c)
{
    assert_ptr_equal(c, &callers);
    assert_false(callers_drained);
    callers_drained = true;
    bed_poke();
}

static const struct callers_events events = {.placement_known = known, .drained = on_drained};

static struct tls_config *tls_make(enum tls_role role, bool anonymous)
{
    static struct issued made;
    struct tls_config *config = NULL;
    struct spiffe_id id = id_of(CA);
    struct key *key;
    struct x509 chain[2];
    uint8_t public_der[KEY_PUBLIC_MAX];
    size_t len, n;
    const char *why;
    char issue_why[STORE_WHY_MAX];

    assert_int_equal(key_generate(&key), 0);
    assert_int_equal(key_public_der(key, public_der, sizeof public_der, &len), 0);
    const struct issue_request q = {
        .id = &id, .node = "", .public_der = public_der, .public_len = len, .ttl_s = 3600};
    assert_int_equal(issue(&bench.root, &q, bench.now_s, &made, issue_why), 0);
    assert_int_equal(x509_from_pem(text_of(made.leaf_pem), &chain[0], 1, &n, &why), 0);
    assert_int_equal(x509_from_pem(text_of(bench.root.intermediate_pem), &chain[1], 1, &n, &why),
                     0);
    const struct tls_config_options o = {
        .role = role,
        .peer_auth = role == TLS_SERVER ? TLS_PEER_OPTIONAL : TLS_PEER_SVID,
        .key = anonymous ? NULL : key,
        .chain = chain,
        .n_chain = anonymous ? 0 : 2,
        .roots = &bench.root.root,
        .n_roots = 1,
        .alpn = TEXT("h2"),
    };
    if (tls_config_new(&config, &o, &why) < 0)
        fail_msg("no TLS configuration: %s", why);
    x509_done(&chain[0]);
    x509_done(&chain[1]);
    key_unref(key);
    return config;
}

static int begin(void **state)
{
    struct certificate_request q;
    bench_root(state);
    if (bed_open(state) < 0)
        return -1;
    memset(calls, 0, sizeof calls);
    memset(clients, 0, sizeof clients);
    callers_drained = false;
    placement_init(&placement);
    grant_init(&grant);
    grant.store = bench.store;
    grant.root = &bench.root;
    grant.placement = &placement;
    grant.trust_domain = TEXT("cluster.local");
    grant.proxy_id = id_of(PROXY);
    grant.ttl_s = grant.ttl_max_s = 3600;
    assert_int_equal(attest_make_token(bench.store, "node-a", bench.now_s + 3600, token), 0);
    q = (struct certificate_request){openssl_request(P256, NULL), (char *)"", 0};
    assert_int_equal(certificate_request_encode(&q, &request), 0);
    int fd = listen_loopback(&at);
    callers_open(&callers, bed.ring, &grant, fd, &events);
    struct tls_config *server = tls_make(TLS_SERVER, false);
    callers_set_tls(&callers, server);
    tls_config_unref(server);
    client_tls = tls_make(TLS_CLIENT, true);
    return 0;
}

static bool is_over(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(clients); i++)
        if (clients[i].open && !clients[i].drained)
            return false;
    return callers_drained;
}

static int end(void **state)
{
    callers_close(&callers);
    callers_close(&callers);
    for (size_t i = 0; i < ARRAY_SIZE(clients); i++)
        if (clients[i].open && !clients[i].drained)
            h2_conn_close(&clients[i].h2);
    bed_run_until(is_over);
    tls_config_unref(client_tls);
    xds_bytes_done(&request);
    grant_done(&grant);
    placement_done(&placement);
    bed_close(state);
    return bench_done(state);
}

/* ---- clients ------------------------------------------------------------------ */

static struct client *of_h2(struct h2_conn *h)
{
    return container_of(h, struct client, h2);
}

static void client_ready(struct h2_conn *h)
{
    assert_string_equal(conn_peer(&h->conn)->uri, CA);
    of_h2(h)->ready = true;
    bed_poke();
}

static void client_closed(struct h2_conn *h, int error)
{
    (void)error;
    of_h2(h)->closed = true;
    h2_conn_close(h);
}

static void client_drained(struct h2_conn *h)
{
    of_h2(h)->drained = true;
    bed_poke();
}

static const struct h2_conn_events client_events = {
    .ready = client_ready, .closed = client_closed, .drained = client_drained};

static void client_open(size_t i, struct tls_config *tls)
{
    const struct h2_conn_options o = {.tls = tls};
    int fd;
    assert_int_equal(socket_open(AF_INET, &fd), 0);
    assert_int_equal(
        h2_conn_open_client(&clients[i].h2, bed.ring, fd, &at, &o, &client_events, NULL), 0);
    clients[i].open = true;
}

static bool first_is_ready(void)
{
    return clients[0].ready;
}
static bool second_is_ready(void)
{
    return clients[1].ready;
}
static bool first_is_gone(void)
{
    return clients[0].drained;
}
static bool all_are_gone(void)
{
    return clients[0].drained && callers_drained;
}

static void connect_first(void)
{
    client_open(0, client_tls);
    bed_run_until(first_is_ready);
}

static void call_message(struct grpc_call *call, const uint8_t *data, size_t len)
{
    struct one_call *c = container_of(call, struct one_call, call);
    struct certificate_response response;
    char why[XDS_WHY_MAX];
    assert_int_equal(certificate_response_decode(data, len, &response, why), 0);
    c->n_pems = response.n;
    certificate_response_done(&response);
}

static void call_closed(struct grpc_call *call, enum grpc_status status, struct text message)
{
    struct one_call *c = container_of(call, struct one_call, call);
    c->closed = true;
    c->status = status;
    snprintf(c->message, sizeof c->message, "%.*s", (int)message.len, message.data);
    bed_poke();
}

static const struct grpc_call_events call_events = {.message = call_message, .closed = call_closed};

static void call_start(size_t i, const char *path, const char *bearer)
{
    const struct grpc_call_options o = {
        .path = text_of(path), .authority = TEXT("weir-ca"), .bearer = text_of(bearer)};
    assert_int_equal(grpc_call_start(&calls[i].call, clients[0].h2.http2, ring_chunks(bed.ring), &o,
                                     &call_events, NULL),
                     0);
}

static void call_send(size_t i)
{
    assert_int_equal(grpc_call_send(&calls[i].call, request.data, request.len), 0);
    grpc_call_half_close(&calls[i].call);
}

static size_t n_awaited;
static bool calls_are_closed(void)
{
    for (size_t i = 0; i < n_awaited; i++)
        if (!calls[i].closed)
            return false;
    return true;
}

static void await_calls(size_t n)
{
    n_awaited = n;
    bed_run_until(calls_are_closed);
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
    const struct CMUnitTest tests[] = {
        TEST(calls_are_answered),        TEST(other_calls_are_refused),
        TEST(calls_that_are_given_up),   TEST(refused_before_there_is_a_certificate),
        TEST(certificate_renewed),       TEST(strangers_lose_their_place),
        TEST(strangers_who_say_nothing), TEST(who_asks_stays),
        TEST(drain_lets_calls_end),      TEST(drain_without_anybody),
        TEST(close_cuts_calls),          TEST(close_in_a_handshake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
