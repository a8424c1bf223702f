/*
 * The whole decision: what each refusal answers and what it does not tell, which requests get a
 * certificate, whose it is, and how many a node may ask for. Requests are made by openssl.
 */
#include "shared/tls/csr.h"
#include "tests/unit/ca/grant_fixture.h"

enum { TTL_S = 86400, TTL_MAX_S = 10 * 86400 };

static struct grant_answer answer;
static char token_a[ATTEST_TOKEN_TEXT_MAX], token_b[ATTEST_TOKEN_TEXT_MAX];
static char *csr; /* whose key is ALICE's, once it was asked with */
static struct {
    char token[64], identity[128], csr[2048];
} own[64];
static size_t n_own;
static uint64_t now_ms;
static bool known;
static struct tls_peer peer; /* the connection's */
static struct ip from;
static void (*before_it_is_written)(void);

static void place(const char *name, const char *node, const char *account)
{
    struct workload *w = workload_new();
    assert_non_null(w);
    assert_int_equal(workload_set(&w->node, text_of(node)), 0);
    assert_int_equal(workload_set(&w->ns, TEXT("default")), 0);
    assert_int_equal(workload_set(&w->service_account, text_of(account)), 0);
    w->tunnel = TUNNEL_HBONE;
    assert_int_equal(placement_put(&placement, text_of(name), w), 0);
    workload_free(w);
}

static int begin(void **state)
{
    bench_root(state);
    grant_begin(TTL_S, TTL_MAX_S);
    now_ms = 1000;
    n_own = 0;
    known = true;
    peer = (struct tls_peer){.uri = ""};
    before_it_is_written = NULL;
    assert_int_equal(ip_parse(TEXT("10.1.2.3"), &from), 0);
    int64_t expires_s = bench.now_s + 1000 * DAY_S;
    assert_int_equal(attest_make_token(bench.store, "node-a", expires_s, token_a), 0);
    assert_int_equal(attest_make_token(bench.store, "node-b", expires_s, token_b), 0);
    place("1", "node-a", "alice");
    place("2", "node-b", "bob");
    csr = text_dup(text_of(openssl_request(P256, NULL)));
    return 0;
}

static int end(void **state)
{
    free(csr);
    grant_end();
    return bench_done(state);
}

static void decide(struct text bearer, const uint8_t *data, size_t len)
{
    const struct grant_ask q = {.bearer = bearer,
                                .peer = &peer,
                                .from = &from,
                                .request = data,
                                .len = len,
                                .placement_known = known,
                                .now_s = bench.now_s,
                                .now_ms = now_ms};
    memset(&answer, 0xee, sizeof answer);
    grant_decide(&grant, &q, &answer);
    if (before_it_is_written)
        before_it_is_written();
    grant_write(&answer);
    if (answer.status == GRPC_OK) {
        assert_int_equal(answer.response.n, 3);
        assert_string_equal(answer.response.pems[0], answer.issued.leaf_pem);
        assert_string_equal(answer.response.pems[1], bench.root.intermediate_pem);
        assert_string_equal(answer.response.pems[2], bench.root.root_pem);
        certificate_response_done(&answer.response);
    } else {
        assert_null(answer.response.pems);
        assert_string_equal(answer.issued.leaf_pem, "");
        assert_true(answer.why[0] && answer.message[0]);
    }
}

static enum grpc_status ask_for(const char *token, const char *identity, const char *request_csr,
                                int64_t validity_s)
{
    struct certificate_request q = {(char *)request_csr, (char *)identity, validity_s};
    struct xds_bytes bytes;
    assert_int_equal(certificate_request_encode(&q, &bytes), 0);
    decide(text_of(token), bytes.data, bytes.len);
    xds_bytes_done(&bytes);
    return answer.status;
}

/* A key is one identity's: a request for each that is asked for, as whoever asks has it. */
static const char *csr_for(const char *token, const char *identity)
{
    for (size_t i = 0; i < n_own; i++)
        if (strcmp(own[i].token, token) == 0 && strcmp(own[i].identity, identity) == 0)
            return own[i].csr;
    assert_true(n_own < ARRAY_SIZE(own));
    struct key *key;
    size_t len;
    assert_int_equal(key_generate(&key), 0);
    assert_int_equal(csr_make(key, TEXT(""), own[n_own].csr, sizeof own[n_own].csr, &len), 0);
    key_unref(key);
    snprintf(own[n_own].token, sizeof own[n_own].token, "%s", token);
    snprintf(own[n_own].identity, sizeof own[n_own].identity, "%s", identity);
    return own[n_own++].csr;
}

static enum grpc_status ask(const char *token, const char *identity)
{
    return ask_for(token, identity, csr_for(token, identity), 0);
}

/* What the caller is told says nothing of why. */
static void expect_opaque(const char *message, const char *why)
{
    assert_string_equal(answer.message, message);
    must_contain(answer.why, why);
    must_not_contain(answer.message, answer.why);
}

/* ---- granted ---------------------------------------------------------------- */

static void its_own_and_what_is_placed(void **state)
{
    (void)state;
    assert_int_equal(ask(token_a, ""), GRPC_OK);
    assert_string_equal(answer.node, "node-a");
    assert_string_equal(answer.identity, PROXY);
    must_contain(openssl_text(answer.issued.leaf_pem), "URI:" PROXY "\n");
    assert_int_equal(ask(token_a, ALICE), GRPC_OK);
    assert_string_equal(answer.identity, ALICE);
    must_contain(openssl_text(answer.issued.leaf_pem), "URI:" ALICE "\n");
    openssl_verifies(answer.issued.leaf_pem, bench.root.intermediate_pem, bench.root.root_pem, 0);
    assert_int_equal(ask(token_b, BOB), GRPC_OK);
    assert_string_equal(answer.node, "node-b");
    assert_int_equal(count_issued(), 3);
    assert_int_equal(sql_number("SELECT count(*) FROM issued WHERE node = 'node-a' AND identity ="
                                " '" ALICE "'"),
                     1);
}

static void as_long_as_asked_within_limits(void **state)
{
    (void)state;
    assert_int_equal(ask_for(token_a, ALICE, csr, 0), GRPC_OK);
    assert_int_equal(answer.issued.not_after_s, bench.now_s + TTL_S);
    assert_int_equal(ask_for(token_a, ALICE, csr, 7200), GRPC_OK);
    assert_int_equal(answer.issued.not_after_s, bench.now_s + 7200);
    assert_int_equal(ask_for(token_a, ALICE, csr, 1), GRPC_OK);
    assert_int_equal(answer.issued.not_after_s, bench.now_s + ISSUE_TTL_MIN_S);
    assert_int_equal(ask_for(token_a, ALICE, csr, TTL_MAX_S + 1), GRPC_OK);
    assert_int_equal(answer.issued.not_after_s, bench.now_s + TTL_MAX_S);
    assert_int_equal(ask_for(token_a, ALICE, csr, INT64_MAX), GRPC_OK);
    assert_int_equal(answer.issued.not_after_s, bench.now_s + TTL_MAX_S);
    assert_int_equal(ask_for(token_a, ALICE, csr, -1), GRPC_INVALID_ARGUMENT);
}

/* ---- refused: who, and whose ------------------------------------------------- */

static void bad_tokens(void **state)
{
    static char huge[65536];
    (void)state;
    memset(huge, 'A', sizeof huge - 1);
    const char *const bad[] = {"", "x", huge, "Bearer", "node-a"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_int_equal(ask(bad[i], ALICE), GRPC_UNAUTHENTICATED);
        expect_opaque("the token is not accepted", "token");
        assert_string_equal(answer.node, "");
        assert_string_equal(answer.identity, ""); /* the request is not even read */
    }
    sql_run("UPDATE token SET expires = 1");
    assert_int_equal(ask(token_a, ALICE), GRPC_UNAUTHENTICATED);
    expect_opaque("the token is not accepted", "expired");
    assert_int_equal(count_issued(), 0);
    assert_int_equal(grant.rate.buckets.count, 0); /* strangers take no memory */
}

static void what_is_not_placed_there(void **state)
{
    static const char message[] = "no workload with that identity is placed on this node";
    (void)state;
    assert_int_equal(ask(token_a, BOB), GRPC_PERMISSION_DENIED);
    expect_opaque(message, "not placed");
    assert_string_equal(answer.node, "node-a");
    assert_string_equal(answer.identity, BOB);
    /* Whether it is somewhere else or nowhere makes no difference. */
    assert_int_equal(ask(token_a, "spiffe://cluster.local/ns/default/sa/nobody"),
                     GRPC_PERMISSION_DENIED);
    assert_string_equal(answer.message, message);
    /* What a node proxy gets for itself is not to be had by its name. */
    assert_int_equal(ask(token_a, PROXY), GRPC_PERMISSION_DENIED);
    assert_int_equal(ask(token_a, "spiffe://cluster.local/ns/weir-system/sa/weir-ca"),
                     GRPC_PERMISSION_DENIED);
    placement_remove(&placement, TEXT("1"));
    assert_int_equal(ask(token_a, ALICE), GRPC_PERMISSION_DENIED);
    place("1", "node-b", "alice");
    assert_int_equal(ask(token_a, ALICE), GRPC_PERMISSION_DENIED);
    assert_int_equal(ask(token_b, ALICE), GRPC_OK);
    assert_int_equal(count_issued(), 1);
}

static void nothing_while_placement_is_unknown(void **state)
{
    (void)state;
    known = false;
    assert_int_equal(ask(token_a, ALICE), GRPC_UNAVAILABLE);
    must_contain(answer.message, "try again");
    assert_int_equal(count_issued(), 0);
    /* Itself it is without any placement. */
    assert_int_equal(ask(token_a, ""), GRPC_OK);
    known = true;
    assert_int_equal(ask(token_a, ALICE), GRPC_OK);
}

static void identities_of_another_form(void **state)
{
    static const char *const malformed[] = {
        "alice",
        "spiffe://cluster.local",
        "spiffe://cluster.local/",
        "spiffe://cluster.local/ns/default",
        "spiffe://cluster.local/ns/default/sa/",
        "spiffe://cluster.local/ns/default/sa/alice/",
        "spiffe://cluster.local/ns/default/sa/alice/x",
        "spiffe://cluster.local//ns/default/sa/alice",
        "spiffe://cluster.local/ns/default/sa/..",
        "spiffe://cluster.local/ns/default/sa/al%69ce",
        "spiffe://cluster.local/ns/default/sa/alice?x",
        "spiffe://cluster.local/ns/default/sa/alice#x",
        "spiffe://cluster.local:443/ns/default/sa/alice",
        "spiffe://user@cluster.local/ns/default/sa/alice",
        "SPIFFE://cluster.local/ns/default/sa/alice",
        "spiffe://CLUSTER.local/ns/default/sa/alice",
        "spiffe://cluster.local/ns/default/sa/alice ",
        "spiffe://cluster.local/ns/default/sa/alice\n",
    };
    char longest[1400] = "spiffe://cluster.local/ns/default/sa/";
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(malformed); i++) {
        assert_int_equal(ask(token_a, malformed[i]), GRPC_INVALID_ARGUMENT);
        must_contain(answer.message, "ImpersonatedIdentity");
    }
    memset(longest + strlen(longest), 'a', 1300);
    assert_int_equal(ask(token_a, longest), GRPC_INVALID_ARGUMENT);
    assert_int_equal(ask(token_a, "spiffe://other.local/ns/default/sa/alice"),
                     GRPC_PERMISSION_DENIED);
    must_contain(answer.message, "trust domain");
    assert_int_equal(ask(token_a, "spiffe://cluster.local.other/ns/default/sa/alice"),
                     GRPC_PERMISSION_DENIED);
    assert_int_equal(count_issued(), 0);
}

/* ---- refused: the request ----------------------------------------------------- */

static void malformed_messages(void **state)
{
    struct certificate_request q = {csr, (char *)ALICE, 60};
    struct xds_bytes bytes;
    (void)state;
    decide(text_of(token_a), (const uint8_t *)"", 0); /* a message without a request for a key */
    assert_int_equal(answer.status, GRPC_INVALID_ARGUMENT);
    assert_int_equal(certificate_request_encode(&q, &bytes), 0);
    size_t granted = 0;
    for (size_t len = 1; len < bytes.len; len += 7) {
        decide(text_of(token_a), bytes.data, len);
        if (answer.status == GRPC_OK)
            granted++; /* cut where the next field would have begun */
        else
            assert_int_equal(answer.status, GRPC_INVALID_ARGUMENT);
    }
    assert_in_range(granted, 0, 2);
    memset(bytes.data, 0xff, bytes.len);
    decide(text_of(token_a), bytes.data, bytes.len);
    assert_int_equal(answer.status, GRPC_INVALID_ARGUMENT);
    expect_opaque("the request is malformed", "");
    xds_bytes_done(&bytes);
}

static void expect_csr_refused(const char *request_csr, const char *why)
{
    uint64_t before = count_issued();
    assert_int_equal(ask_for(token_a, ALICE, request_csr, 0), GRPC_INVALID_ARGUMENT);
    must_contain(answer.message, "csr: ");
    must_contain(answer.why, why);
    assert_int_equal(count_issued(), before);
}

/* Swaps one character of the base 64 of the last full line, which is in the signature. */
static char *with_another_signature(const char *pem)
{
    char *copy = text_dup(text_of(pem));
    char *end_line = strstr(copy, "\n-----END");
    assert_non_null(end_line);
    char *at = end_line - 12;
    *at = *at == 'A' ? 'B' : 'A';
    return copy;
}

static void keys_that_are_not_accepted(void **state)
{
    static const char *const others[][2] = {
        {"EC", "ec_paramgen_curve:P-384"}, {"EC", "ec_paramgen_curve:P-521"},
        {"EC", "ec_paramgen_curve:P-192"}, {"EC", "ec_paramgen_curve:secp256k1"},
        {"RSA", "rsa_keygen_bits:2048"},   {"RSA", "rsa_keygen_bits:1024"},
    };
    char out[4096];
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(others); i++)
        expect_csr_refused(openssl_request(others[i][0], others[i][1], NULL), "only ECDSA P-256");
    assert_int_equal(
        OPENSSL(bench.folder, out, "genpkey", "-algorithm", "ED25519", "-out", "key.pem"), 0);
    assert_int_equal(OPENSSL(bench.folder, out, "req", "-new", "-key", "key.pem", "-subj", "/",
                             "-out", "csr.pem"),
                     0);
    expect_csr_refused(text_read("csr.pem"), "only ECDSA P-256");
    /* Parameters written out, where the curve has a name. */
    assert_int_equal(OPENSSL(bench.folder, out, "ecparam", "-name", "prime256v1", "-genkey",
                             "-param_enc", "explicit", "-out", "key.pem"),
                     0);
    assert_int_equal(OPENSSL(bench.folder, out, "req", "-new", "-key", "key.pem", "-subj", "/",
                             "-out", "csr.pem"),
                     0);
    expect_csr_refused(text_read("csr.pem"), "");
}

static void requests_that_prove_nothing(void **state)
{
    char *other = with_another_signature(csr), *half = text_dup(text_of(csr));
    char out[4096];
    (void)state;
    expect_csr_refused(other, "");
    half[strlen(half) / 2] = '\0';
    expect_csr_refused(half, "");
    expect_csr_refused("", "");
    expect_csr_refused("x", "");
    expect_csr_refused("-----BEGIN CERTIFICATE REQUEST-----\n-----END CERTIFICATE REQUEST-----\n",
                       "");
    expect_csr_refused(bench.root.intermediate_pem, ""); /* a certificate is no request */
    /* Signed by another key than the one that is in it. */
    assert_int_equal(OPENSSL(bench.folder, out, "genpkey", "-algorithm", "EC", "-pkeyopt",
                             "ec_paramgen_curve:P-256", "-out", "other.pem"),
                     0);
    assert_int_equal(OPENSSL(bench.folder, out, "pkey", "-in", "other.pem", "-pubout", "-out",
                             "other-public.pem"),
                     0);
    assert_int_equal(OPENSSL(bench.folder, out, "x509", "-new", "-subj", "/", "-force_pubkey",
                             "other-public.pem", "-key", "key.pem", "-out", "cert.pem"),
                     0);
    expect_csr_refused(text_read("cert.pem"), "");
    char *huge = malloc(70000);
    assert_non_null(huge);
    memset(huge, 'A', 69999);
    huge[69999] = '\0';
    assert_int_equal(ask_for(token_a, ALICE, huge, 0), GRPC_INVALID_ARGUMENT);
    huge[20000] = '\0';
    expect_csr_refused(huge, "");
    free(huge);
    free(other);
    free(half);
}

/* Whatever is asked for besides: the certificate says the identity that was authenticated. */
static void wishes_are_not_heard(void **state)
{
    static const char *const wishes[] = {
        "subjectAltName=URI:" BOB,
        "subjectAltName=URI:" BOB ",URI:" PROXY,
        "subjectAltName=DNS:weir-ca,IP:10.0.0.1,email:root@example.org",
        "basicConstraints=critical,CA:TRUE",
        "keyUsage=critical,keyCertSign,cRLSign",
        "extendedKeyUsage=codeSigning,OCSPSigning",
        "nameConstraints=permitted;URI:.example.org",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(wishes); i++) {
        assert_int_equal(ask_for(token_a, ALICE, openssl_request(P256, wishes[i]), 0), GRPC_OK);
        const char *text = openssl_text(answer.issued.leaf_pem);
        must_contain(text,
                     "X509v3 Subject Alternative Name: critical\n                URI:" ALICE "\n");
        must_contain(text, "CA:FALSE");
        must_contain(text, "X509v3 Key Usage: critical\n                Digital Signature\n");
        must_contain(text, "TLS Web Server Authentication, TLS Web Client Authentication\n");
        must_contain(text, "Subject: \n");
        must_not_contain(text, "bob");
        must_not_contain(text, "DNS:");
        must_not_contain(text, "Name Constraints");
        openssl_verifies(answer.issued.leaf_pem, bench.root.intermediate_pem, bench.root.root_pem,
                         0);
    }
    assert_int_equal(count_issued(), ARRAY_SIZE(wishes));
}

/* ---- joining ---------------------------------------------------------------------- */

static char join[ATTEST_TOKEN_TEXT_MAX];
#define VM "spiffe://cluster.local/ns/vm/sa/db"

static void make_join(const char *identity, const char *source, int64_t expires_s)
{
    const struct join_record j = {identity, source, bench.now_s, expires_s};
    assert_int_equal(attest_make_join(bench.store, &j, join), 0);
}

static int64_t lines(const char *outcome, const char *proof)
{
    char sql[256];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM audit WHERE outcome = '%s' AND proof = '%s'",
             outcome, proof);
    return sql_number(sql);
}

static void one_certificate_for_a_join_token(void **state)
{
    (void)state;
    known = false; /* it is nobody's node */
    make_join(VM, "", bench.now_s + 600);
    assert_int_equal(ask(join, ""), GRPC_OK);
    assert_string_equal(answer.identity, VM);
    must_contain(openssl_text(answer.issued.leaf_pem), "URI:" VM "\n");
    assert_int_equal(ask(join, ""), GRPC_UNAUTHENTICATED);
    expect_opaque("the token is not accepted", "unknown");
    assert_int_equal(count_issued(), 1);
    assert_int_equal(lines("given", PROOF_JOIN_TOKEN), 1);
    /* Nobody else's identity, and that attempt was its only one. */
    make_join(VM, "", bench.now_s + 600);
    known = true;
    assert_int_equal(ask(join, ALICE), GRPC_PERMISSION_DENIED);
    assert_int_equal(ask(join, ""), GRPC_UNAUTHENTICATED);
    assert_int_equal(lines("refused", PROOF_JOIN_TOKEN), 1);
}

static void shown_is_spent(void **state)
{
    (void)state;
    make_join(VM, "", bench.now_s); /* over */
    assert_int_equal(ask(join, ""), GRPC_UNAUTHENTICATED);
    expect_opaque("the token is not accepted", "expired");
    make_join(VM, "10.9.0.0/16", bench.now_s + 600); /* from elsewhere */
    assert_int_equal(ask(join, ""), GRPC_UNAUTHENTICATED);
    expect_opaque("the token is not accepted", "address");
    make_join(VM, "", bench.now_s + 600); /* with a bad request */
    assert_int_equal(ask_for(join, "", "x", 0), GRPC_INVALID_ARGUMENT);
    make_join("spiffe://other.local/ns/vm/sa/db", "", bench.now_s + 600);
    assert_int_equal(ask(join, ""), GRPC_PERMISSION_DENIED);
    expect_opaque("the identity is of another trust domain", "trust domain");
    assert_int_equal(sql_number("SELECT count(*) FROM join_token"), 0);
    assert_int_equal(lines("refused", PROOF_JOIN_TOKEN), 4);
    assert_int_equal(sql_number("SELECT count(*) FROM audit WHERE asker = '10.1.2.3'"), 2);
    assert_int_equal(count_issued(), 0);
}

static void somebody_spends_it(void)
{
    assert_int_equal(store_spend_join(bench.store, answer.digest), 0);
}

/* Both have shown it, both were decided on; one is written first. */
static void two_that_show_it_at_once(void **state)
{
    (void)state;
    make_join(VM, "10.1.0.0/16", bench.now_s + 600);
    before_it_is_written = somebody_spends_it;
    assert_int_equal(ask(join, ""), GRPC_UNAUTHENTICATED);
    expect_opaque("the token is not accepted", "used before");
    assert_int_equal(count_issued(), 0);
}

static void renews_with_what_it_got(void **state)
{
    char serial[2 * X509_SERIAL_MAX + 1];
    (void)state;
    make_join(VM, "", bench.now_s + 600);
    assert_int_equal(ask(join, ""), GRPC_OK);
    peer = (struct tls_peer){.present = true, .uri = VM};
    memcpy(peer.serial, answer.issued.serial, sizeof peer.serial);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ask("", ""), GRPC_OK);
        assert_string_equal(answer.identity, VM);
        memcpy(serial, peer.serial, sizeof serial);
        memcpy(peer.serial, answer.issued.serial, sizeof peer.serial);
    }
    assert_int_equal(lines("given", PROOF_CERTIFICATE), 3);
    assert_int_equal(ask("", ALICE), GRPC_PERMISSION_DENIED);
    assert_int_equal(ask("bad", ""), GRPC_UNAUTHENTICATED); /* a token that is there counts */
    /* A certificate that somebody asked for on its behalf is not enough. */
    assert_int_equal(ask(token_a, ALICE), GRPC_OK);
    struct tls_peer joined = peer;
    peer.uri = ALICE;
    memcpy(peer.serial, answer.issued.serial, sizeof peer.serial);
    assert_int_equal(ask("", ""), GRPC_UNAUTHENTICATED);
    must_contain(answer.message, "join token");
    /* Taken back. */
    peer = joined;
    assert_int_equal(store_put_revocation(bench.store, REVOKED_SERIAL, serial, bench.now_s, ""), 0);
    assert_int_equal(ask("", ""), GRPC_OK); /* that was an older one */
    assert_int_equal(store_put_revocation(bench.store, REVOKED_IDENTITY, VM, bench.now_s, ""), 0);
    assert_int_equal(ask("", ""), GRPC_UNAUTHENTICATED);
    must_contain(answer.why, "revoked");
}

static void somebody_revokes_it(void)
{
    assert_int_equal(
        store_put_revocation(bench.store, REVOKED_SERIAL, peer.serial, bench.now_s, ""), 0);
}

/* Its renewal was decided on already. */
static void revoked_before_it_is_written(void **state)
{
    (void)state;
    make_join(VM, "", bench.now_s + 600);
    assert_int_equal(ask(join, ""), GRPC_OK);
    peer = (struct tls_peer){.present = true, .uri = VM};
    memcpy(peer.serial, answer.issued.serial, sizeof peer.serial);
    before_it_is_written = somebody_revokes_it;
    assert_int_equal(ask("", ""), GRPC_UNAUTHENTICATED);
    must_contain(answer.message, "join token");
    must_contain(answer.why, "certificate is revoked");
    assert_int_equal(count_issued(), 1);
}

static void nothing_for_a_revoked_identity(void **state)
{
    (void)state;
    assert_int_equal(store_put_revocation(bench.store, REVOKED_IDENTITY, ALICE, bench.now_s, ""),
                     0);
    assert_int_equal(ask(token_a, ALICE), GRPC_PERMISSION_DENIED);
    assert_string_equal(answer.message, "the identity is revoked");
    assert_int_equal(ask(token_a, ""), GRPC_OK);
    assert_int_equal(count_issued(), 1);
}

/* ---- refused: not now ----------------------------------------------------------- */

static void errors_of_the_store(void **state)
{
    (void)state;
    sql_run("ALTER TABLE issued RENAME TO gone");
    assert_int_equal(ask(token_a, ALICE), GRPC_UNAVAILABLE);
    expect_opaque("the CA can't issue now", "ledger");
    sql_run("ALTER TABLE gone RENAME TO issued; ALTER TABLE token RENAME TO gone");
    assert_int_equal(ask(token_a, ALICE), GRPC_UNAVAILABLE);
    expect_opaque("the CA can't look up tokens now", "looked up");
    sql_run("ALTER TABLE gone RENAME TO token");
    assert_int_equal(ask(token_a, ALICE), GRPC_OK);
    assert_int_equal(count_issued(), 1);
}

/* Requests that fail cost as much as others, so they count as well; these do so quickly. */
static uint64_t asks_until_refused(const char *token, uint64_t most)
{
    uint64_t n = 0;
    while (n < most) {
        decide(text_of(token), (const uint8_t *)"\xff", 1);
        if (answer.status == GRPC_RESOURCE_EXHAUSTED)
            break;
        assert_int_equal(answer.status, GRPC_INVALID_ARGUMENT);
        n++;
    }
    return n;
}

/* Whoever has seen a request, or shares a key, gets no certificate for it in another's name. */
static void a_key_is_one_identity_s(void **state)
{
    (void)state;
    assert_int_equal(ask_for(token_a, ALICE, csr, 0), GRPC_OK);
    assert_int_equal(ask_for(token_a, ALICE, csr, 0), GRPC_OK); /* renewed with the key that it has */
    assert_int_equal(ask_for(token_b, BOB, csr, 0), GRPC_INVALID_ARGUMENT);
    assert_string_equal(answer.message, "csr: its key is another identity's; make a new key");
    must_contain(answer.why, "the key is another identity's");
    assert_int_equal(ask_for(token_a, "", csr, 0), GRPC_INVALID_ARGUMENT);
    assert_int_equal(count_issued(), 2);
    assert_int_equal(sql_number("SELECT count(*) FROM audit WHERE outcome = 'refused' AND serial = ''"
                                " AND reason = 'the key is another identity''s'"),
                     2);
    assert_int_equal(ask(token_b, BOB), GRPC_OK);
}

static void so_many_in_a_second(void **state)
{
    (void)state;
    assert_int_equal(asks_until_refused(token_a, 2 * RATE_BURST), RATE_BURST);
    assert_int_equal(ask(token_a, ALICE), GRPC_RESOURCE_EXHAUSTED);
    expect_opaque("too many requests from this node", "rate");
    assert_int_equal(ask(token_b, BOB), GRPC_OK); /* each node has its own */
    now_ms += 9;
    assert_int_equal(asks_until_refused(token_a, 10), 0);
    now_ms += 1; /* a hundredth of a second, since the last ask counts from then */
    assert_int_equal(asks_until_refused(token_a, 10), 1);
    now_ms += 1000;
    assert_int_equal(asks_until_refused(token_a, 1000), RATE_PER_SECOND);
    now_ms += 1000ull * 86400 * 3650;
    assert_int_equal(asks_until_refused(token_a, 2 * RATE_BURST), RATE_BURST);
    assert_int_equal(grant.rate.buckets.count, 2);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(its_own_and_what_is_placed),
        TEST(as_long_as_asked_within_limits),
        TEST(bad_tokens),
        TEST(what_is_not_placed_there),
        TEST(nothing_while_placement_is_unknown),
        TEST(identities_of_another_form),
        TEST(malformed_messages),
        TEST(keys_that_are_not_accepted),
        TEST(requests_that_prove_nothing),
        TEST(wishes_are_not_heard),
        TEST(one_certificate_for_a_join_token),
        TEST(shown_is_spent),
        TEST(two_that_show_it_at_once),
        TEST(renews_with_what_it_got),
        TEST(revoked_before_it_is_written),
        TEST(nothing_for_a_revoked_identity),
        TEST(errors_of_the_store),
        TEST(a_key_is_one_identity_s),
        TEST(so_many_in_a_second),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
