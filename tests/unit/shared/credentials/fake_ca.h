/*
 * A CA for tests: CreateCertificate over gRPC and TLS, on the test's own ring. It answers as it is
 * told: well, badly, late or not at all; it counts; it can go away and come back on the same port.
 */
#ifndef TESTS_UNIT_SHARED_CREDENTIALS_FAKE_CA_H
#define TESTS_UNIT_SHARED_CREDENTIALS_FAKE_CA_H
#include "tests/unit/shared/tls/tls_fixture.h"
#include "tests/unit/shared/transport/fixture.h"

#include "shared/grpc/grpc.h"
#include "shared/tls/csr.h"
#include "shared/transport/h2_conn.h"
#include "shared/transport/listener.h"
#include "shared/xds/trust_codec.h"
#include "shared/xds/xds.h"

#define CA_ID    "spiffe://cluster.local/ns/weir-system/sa/weir-ca"
#define SELF_ID  "spiffe://cluster.local/ns/weir-system/sa/weir-nodeproxy"
#define CA_TOKEN "token-of-this-node"

enum fake_answer {
    FAKE_GOOD,
    FAKE_REFUSED, /* PERMISSION_DENIED */
    FAKE_OTHER_IDENTITY,
    FAKE_OTHER_KEY,
    FAKE_FOREIGN, /* signed by a root that the answer does not name */
    FAKE_EXPIRED,
    FAKE_GARBAGE,          /* no protobuf */
    FAKE_NO_PEM,           /* texts that are no certificates */
    FAKE_LEAF_ONLY,        /* without a root */
    FAKE_NOTHING,          /* OK, without a message */
    FAKE_THEN_ERROR,       /* a good message, and then a status that is not OK */
    FAKE_GARBAGE_AND_STAY, /* no protobuf, and the call stays open until fake_release() */
    FAKE_SILENT,           /* until fake_release() */
    FAKE_ANSWERS
};

enum { FAKE_STARTS = 64 };
static struct fake_ca {
    struct party root, intermediate, own, foreign;
    struct tls_config *tls;
    struct listener listener;
    bool listening, closing_listener, hang_up; /* hang_up: closes what it accepted, at once */
    bool joins, spent; /* the token is good once, and whoever has a certificate needs none */
    struct addr at;
    struct list conns, calls;
    enum fake_answer answer;
    const char *answer_other; /* this identity alone gets FAKE_GOOD; NULL: all as `answer` says */
    int64_t ttl_s;
    uint32_t streams_max;
    size_t n_accepted, n_requests, n_open, n_open_most, n_good, n_self, n_bad_token, n_by_certificate;
    uint64_t accepted_ms[FAKE_STARTS];
    struct xds_bytes trust; /* told to whoever watches */
    size_t n_watches;
} fake;

struct fake_conn {
    struct list link;
    struct h2_conn h2;
};
struct fake_call {
    struct list link;
    struct grpc_call call;
    bool token_good, over, watches;
};

/* ---- certificates ---------------------------------------------------------- */

static inline char *fake_pem(const struct x509 *c)
{
    char *pem = malloc(X509_PEM_MAX);
    size_t len;
    assert_non_null(pem);
    assert_int_equal(x509_to_pem(c, pem, X509_PEM_MAX, &len), 0);
    return pem;
}

static inline void fake_sign(enum fake_answer answer, const char *identity,
                             const uint8_t *public_der, size_t len, struct x509 *ret)
{
    int64_t now = clock_unix_s();
    uint8_t other_der[KEY_PUBLIC_MAX];
    const struct party *issuer = answer == FAKE_FOREIGN ? &fake.foreign : &fake.intermediate;
    struct x509_template t =
        leaf_template(answer == FAKE_OTHER_IDENTITY ? BOB "-another" : identity);
    t.not_before_s = now - 60;
    t.not_after_s = answer == FAKE_EXPIRED ? now - 10 : now + fake.ttl_s;
    if (answer == FAKE_OTHER_KEY) {
        assert_int_equal(key_public_der(fake.own.key, other_der, sizeof other_der, &len), 0);
        public_der = other_der;
    }
    assert_int_equal(x509_make(&t, public_der, len, &issuer->cert, issuer->key, ret), 0);
}

/* ---- calls -------------------------------------------------------------------- */

static inline void fake_call_finish(struct fake_call *c, enum grpc_status status)
{
    if (c->over)
        return;
    c->over = true;
    fake.n_open--;
    list_remove(&c->link);
    grpc_call_finish(&c->call, status, status == GRPC_OK ? NULL : "as the test wants it");
}

static inline void fake_send_pems(struct fake_call *c, enum fake_answer answer,
                                  const char *identity, const uint8_t *public_der, size_t len)
{
    struct x509 leaf;
    struct xds_bytes bytes;
    fake_sign(answer, identity, public_der, len, &leaf);
    char *pems[] = {fake_pem(&leaf), fake_pem(&fake.intermediate.cert), fake_pem(&fake.root.cert)};
    struct certificate_response response = {pems, answer == FAKE_LEAF_ONLY ? 1 : 3};
    if (answer == FAKE_NO_PEM)
        for (size_t i = 0; i < 3; i++)
            pems[i][20] = '!';
    assert_int_equal(certificate_response_encode(&response, &bytes), 0);
    (void)grpc_call_send(&c->call, bytes.data, bytes.len);
    xds_bytes_done(&bytes);
    for (size_t i = 0; i < 3; i++)
        free(pems[i]);
    x509_done(&leaf);
}

static inline void fake_respond(struct fake_call *c, enum fake_answer answer, const char *identity,
                                const uint8_t *public_der, size_t len)
{
    switch (answer) {
    case FAKE_SILENT:
        return;
    case FAKE_REFUSED:
        fake_call_finish(c, GRPC_PERMISSION_DENIED);
        return;
    case FAKE_NOTHING:
        break;
    case FAKE_GARBAGE:
    case FAKE_GARBAGE_AND_STAY:
        (void)grpc_call_send(&c->call, (const uint8_t *)"\xff\xff\xff", 3);
        if (answer == FAKE_GARBAGE_AND_STAY)
            return;
        break;
    default:
        fake_send_pems(c, answer, identity, public_der, len);
    }
    fake.n_good += answer == FAKE_GOOD;
    fake_call_finish(c, answer == FAKE_THEN_ERROR ? GRPC_UNAVAILABLE : GRPC_OK);
}

static inline void fake_message(struct grpc_call *call, const uint8_t *data, size_t len)
{
    struct fake_call *c = container_of(call, struct fake_call, call);
    struct certificate_request q;
    uint8_t public_der[CSR_PUBLIC_MAX];
    size_t public_len;
    const char *csr_why;
    char why[XDS_WHY_MAX];
    if (c->watches) {
        fake.n_watches++;
        if (fake.trust.data)
            assert_int_equal(grpc_call_send(call, fake.trust.data, fake.trust.len), 0);
        bed_poke();
        return;
    }
    assert_int_equal(certificate_request_decode(data, len, &q, why), 0);
    assert_int_equal(
        csr_public_key(text_of(q.csr_pem), public_der, sizeof public_der, &public_len, &csr_why),
        0);
    const char *identity = q.impersonated_identity[0] ? q.impersonated_identity : SELF_ID;
    bool good = fake.answer_other && strcmp(fake.answer_other, identity) == 0;
    fake.n_requests++;
    fake.n_self += !q.impersonated_identity[0];
    fake.n_bad_token += !c->token_good;
    if (!c->token_good)
        fake_call_finish(c, GRPC_UNAUTHENTICATED);
    else
        fake_respond(c, good ? FAKE_GOOD : fake.answer, identity, public_der, public_len);
    certificate_request_done(&q);
    bed_poke();
}

static inline void fake_call_closed(struct grpc_call *call, enum grpc_status status,
                                    struct text message)
{
    struct fake_call *c = container_of(call, struct fake_call, call);
    (void)status;
    (void)message;
    fake.n_open -= !c->over;
    fake.n_watches -= c->watches;
    list_remove(&c->link);
    free(c);
    bed_poke();
}

static inline struct http2_stream *fake_request(struct h2_conn *h, const struct http2_head *head,
                                                unsigned *ret_status)
{
    static const struct grpc_call_events events = {.message = fake_message,
                                                   .closed = fake_call_closed};
    struct text path, bearer;
    const struct tls_peer *peer = conn_peer(&h->conn);
    assert_int_equal(grpc_request_check(head, &path, &bearer, ret_status), 0);
    struct fake_call *c = calloc(1, sizeof *c);
    assert_non_null(c);
    c->watches = text_equal(path, TEXT(XDS_TRUST_PATH));
    assert_true(c->watches || text_equal(path, TEXT(XDS_CREATE_CERTIFICATE_PATH)));
    c->token_good = text_equal(bearer, TEXT(CA_TOKEN)) && !fake.spent;
    fake.spent = fake.spent || (fake.joins && bearer.len > 0);
    if (fake.joins && bearer.len == 0 && peer && peer->present) {
        c->token_good = strcmp(peer->uri, SELF_ID) == 0;
        fake.n_by_certificate++;
    }
    grpc_call_accept(&c->call, ring_chunks(bed.ring), 1 << 20, &events, NULL);
    list_push_back(&fake.calls, &c->link);
    if (++fake.n_open > fake.n_open_most)
        fake.n_open_most = fake.n_open;
    return &c->call.stream;
}

/* What stays open ends now. */
static inline void fake_release(enum grpc_status status)
{
    list_for_each (n, &fake.calls)
        fake_call_finish(container_of(n, struct fake_call, link), status);
}

/* ---- connections ------------------------------------------------------------- */

static inline void fake_ready(struct h2_conn *h)
{
    (void)h;
}

static inline void fake_conn_closed(struct h2_conn *h, int error)
{
    (void)error;
    h2_conn_close(h);
}

static inline void fake_conn_drained(struct h2_conn *h)
{
    struct fake_conn *c = container_of(h, struct fake_conn, h2);
    list_remove(&c->link);
    listener_release(&fake.listener);
    free(c);
    bed_poke();
}

static inline void fake_accepted(struct listener *l, int taken_fd)
{
    static const struct h2_conn_events events = {.ready = fake_ready,
                                                 .request = fake_request,
                                                 .closed = fake_conn_closed,
                                                 .drained = fake_conn_drained};
    const struct h2_conn_options o = {.tls = fake.tls, .http2 = {.streams_max = fake.streams_max}};
    if (fake.n_accepted < FAKE_STARTS)
        fake.accepted_ms[fake.n_accepted] = ring_now_ms(bed.ring);
    fake.n_accepted++;
    bed_poke();
    if (fake.hang_up) {
        socket_close(taken_fd);
        listener_release(l);
        return;
    }
    struct fake_conn *c = calloc(1, sizeof *c);
    assert_non_null(c);
    assert_int_equal(h2_conn_open_server(&c->h2, bed.ring, taken_fd, &o, &events, NULL), 0);
    list_push_back(&fake.conns, &c->link);
}

/* GOAWAY for all, or the end at once. */
static inline void fake_end_conns(bool gently)
{
    list_for_each (n, &fake.conns) {
        struct fake_conn *c = container_of(n, struct fake_conn, link);
        if (gently)
            h2_conn_drain(&c->h2);
        else
            h2_conn_close(&c->h2);
    }
}

static inline void fake_listener_drained(struct listener *l)
{
    (void)l;
    fake.listening = fake.closing_listener = false;
    bed_poke();
}

static inline void fake_listen(void)
{
    int fd;
    assert_int_equal(socket_listen(&fake.at, 256, false, &fd), 0);
    assert_int_equal(socket_local(fd, &fake.at), 0);
    listener_open(&fake.listener, bed.ring, fd, 1000, fake_accepted, fake_listener_drained, NULL);
    fake.listening = true;
}

static inline bool fake_is_away(void)
{
    return !fake.listening && list_empty(&fake.conns);
}

/* Nobody listens any more, and all connections have ended. */
static inline void fake_go_away(void)
{
    if (fake.listening && !fake.closing_listener)
        listener_close(&fake.listener);
    fake.closing_listener = fake.listening;
    fake_end_conns(false);
    bed_run_until(fake_is_away);
}

static inline void fake_own_certificate(const char *identity, const struct party *issuer)
{
    const char *why;
    party_done(&fake.own);
    fake.own = leaf_make(identity, issuer);
    struct x509 chain[2] = {fake.own.cert, issuer->cert};
    const struct tls_config_options o = {.role = TLS_SERVER,
                                         .peer_auth = TLS_PEER_OPTIONAL,
                                         .key = fake.own.key,
                                         .chain = chain,
                                         .n_chain = 2,
                                         .roots = &fake.root.cert,
                                         .n_roots = 1,
                                         .alpn = TEXT("h2")};
    fake.tls = tls_config_unref(fake.tls);
    assert_int_equal(tls_config_new(&fake.tls, &o, &why), 0);
}

static inline void fake_begin(void)
{
    memset(&fake, 0, sizeof fake);
    list_init(&fake.conns);
    list_init(&fake.calls);
    fake.ttl_s = 3600;
    fake.root = root_make("test root");
    fake.intermediate = intermediate_make("test intermediate", &fake.root);
    fake.foreign = root_make("foreign root");
    fake_own_certificate(CA_ID, &fake.intermediate);
    assert_int_equal(addr_parse(TEXT("127.0.0.1:0"), &fake.at), 0);
    fake_listen();
}

static inline void fake_end(void)
{
    fake_go_away();
    fake.tls = tls_config_unref(fake.tls);
    party_done(&fake.own);
    party_done(&fake.foreign);
    party_done(&fake.intermediate);
    party_done(&fake.root);
}
#endif
