/*
 * A CA's callers with TLS, and clients that ask: the certificates, the token and the request are made
 * once, rings and connections per run. One thread.
 */
#ifndef TESTS_UNIT_CA_CALLERS_FIXTURE_H
#define TESTS_UNIT_CA_CALLERS_FIXTURE_H
#include "ca/callers.h"
#include "tests/unit/ca/grant_fixture.h"
#include "tests/unit/shared/transport/fixture.h"

#define CA "spiffe://cluster.local/ns/weir-system/sa/weir-ca"

enum { CALLS_MAX = 80 };

static struct callers callers;
static struct addr at;
static struct tls_config *client_tls;
static struct ring *client_ring; /* the CA's, unless a test has another one */
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

static inline bool known(struct callers *c)
{
    (void)c;
    return true;
}

static inline void on_drained(struct callers *c)
{
    assert_ptr_equal(c, &callers);
    assert_false(callers_drained);
    callers_drained = true;
    bed_poke();
}

static const struct callers_events events = {.placement_known = known, .drained = on_drained};

static inline struct tls_config *tls_make(enum tls_role role, bool anonymous)
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

/* Once: what a CA has on its disk, and what a node asks it with. */
static inline void authority_begin(void **state)
{
    struct certificate_request q;
    bench_root(state);
    assert_int_equal(attest_make_token(bench.store, "node-a", bench.now_s + 3600, token), 0);
    q = (struct certificate_request){openssl_request(P256, NULL), (char *)"", 0};
    assert_int_equal(certificate_request_encode(&q, &request), 0);
}

static inline int authority_end(void **state)
{
    xds_bytes_done(&request);
    return bench_done(state);
}

/* And a run of it. */
static inline int callers_begin(void **state)
{
    if (bed_open(state) < 0)
        return -1;
    memset(calls, 0, sizeof calls);
    memset(clients, 0, sizeof clients);
    callers_drained = false;
    client_ring = bed.ring;
    grant_begin(3600, 3600);
    int fd = listen_loopback(&at);
    callers_open(&callers, bed.ring, &grant, fd, &events);
    struct tls_config *server = tls_make(TLS_SERVER, false);
    callers_set_tls(&callers, server);
    tls_config_unref(server);
    client_tls = tls_make(TLS_CLIENT, true);
    return 0;
}

static inline bool is_over(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(clients); i++)
        if (clients[i].open && !clients[i].drained)
            return false;
    return callers_drained;
}

static inline int callers_end(void **state)
{
    callers_close(&callers);
    callers_close(&callers);
    for (size_t i = 0; i < ARRAY_SIZE(clients); i++)
        if (clients[i].open && !clients[i].drained)
            h2_conn_close(&clients[i].h2);
    bed_run_until(is_over);
    tls_config_unref(client_tls);
    grant_end();
    return bed_close(state);
}

/* ---- clients ------------------------------------------------------------------ */

static inline struct client *of_h2(struct h2_conn *h)
{
    return container_of(h, struct client, h2);
}

static inline void client_ready(struct h2_conn *h)
{
    assert_string_equal(conn_peer(&h->conn)->uri, CA);
    of_h2(h)->ready = true;
    bed_poke();
}

static inline void client_closed(struct h2_conn *h, int error)
{
    (void)error;
    of_h2(h)->closed = true;
    h2_conn_close(h);
}

static inline void client_drained(struct h2_conn *h)
{
    of_h2(h)->drained = true;
    bed_poke();
}

static const struct h2_conn_events client_events = {
    .ready = client_ready, .closed = client_closed, .drained = client_drained};

static inline void client_open(size_t i, struct tls_config *tls)
{
    const struct h2_conn_options o = {.tls = tls};
    int fd;
    assert_int_equal(socket_open(AF_INET, &fd), 0);
    assert_int_equal(
        h2_conn_open_client(&clients[i].h2, client_ring, fd, &at, &o, &client_events, NULL), 0);
    clients[i].open = true;
}

static inline bool first_is_ready(void)
{
    return clients[0].ready;
}
static inline bool second_is_ready(void)
{
    return clients[1].ready;
}
static inline bool first_is_gone(void)
{
    return clients[0].drained;
}
static inline bool all_are_gone(void)
{
    return clients[0].drained && callers_drained;
}

static inline void connect_first(void)
{
    client_open(0, client_tls);
    bed_run_until(first_is_ready);
}

static inline void call_message(struct grpc_call *call, const uint8_t *data, size_t len)
{
    struct one_call *c = container_of(call, struct one_call, call);
    struct certificate_response response;
    char why[XDS_WHY_MAX];
    assert_int_equal(certificate_response_decode(data, len, &response, why), 0);
    c->n_pems = response.n;
    certificate_response_done(&response);
}

static inline void call_closed(struct grpc_call *call, enum grpc_status status, struct text message)
{
    struct one_call *c = container_of(call, struct one_call, call);
    c->closed = true;
    c->status = status;
    snprintf(c->message, sizeof c->message, "%.*s", (int)message.len, message.data);
    bed_poke();
}

static const struct grpc_call_events call_events = {.message = call_message, .closed = call_closed};

static inline void call_start(size_t i, const char *path, const char *bearer)
{
    const struct grpc_call_options o = {
        .path = text_of(path), .authority = TEXT("weir-ca"), .bearer = text_of(bearer)};
    assert_int_equal(grpc_call_start(&calls[i].call, clients[0].h2.http2, ring_chunks(client_ring), &o,
                                     &call_events, NULL),
                     0);
}

static inline void call_send(size_t i)
{
    assert_int_equal(grpc_call_send(&calls[i].call, request.data, request.len), 0);
    grpc_call_half_close(&calls[i].call);
}

static size_t n_awaited;
static inline bool calls_are_closed(void)
{
    for (size_t i = 0; i < n_awaited; i++)
        if (!calls[i].closed)
            return false;
    return true;
}

static inline void await_calls(size_t n)
{
    n_awaited = n;
    bed_run_until(calls_are_closed);
}
#endif
