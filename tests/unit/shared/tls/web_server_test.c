#define _GNU_SOURCE
#include "tests/unit/shared/tls/openssl_program.h"

#include "shared/tls/secret.h"
#include "shared/tls/web_key_sign.h"
#include "shared/tls/web_server.h"
#include "shared/tls/web_text.h"

/* Keys and certificates as operators bring them, made by the openssl program, which is the client, too. */

static char pem[16384];

static struct text file_read(const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t n = fread(pem, 1, sizeof pem, f);
    assert_int_equal(fclose(f), 0);
    return (struct text){pem, n};
}

static void made(int status)
{
    if (status != 0)
        fail_msg("%s", out);
}

/* x.key in PKCS#8, old.key as it was written before that, x.pem for it. */
static void make_key(const char *algorithm, const char *option)
{
    made(OPENSSL(folder, out, "genpkey", "-algorithm", algorithm, "-pkeyopt", option, "-out", "x.key"));
    if (strcmp(algorithm, "RSA") == 0)
        made(OPENSSL(folder, out, "rsa", "-in", "x.key", "-traditional", "-out", "old.key"));
    else
        made(OPENSSL(folder, out, "ec", "-in", "x.key", "-out", "old.key"));
    made(OPENSSL(folder, out, "req", "-x509", "-new", "-key", "x.key", "-subj", "/CN=shop.example", "-addext",
                 "subjectAltName=DNS:shop.example", "-addext", "basicConstraints=critical,CA:FALSE", "-days", "1",
                 "-out", "x.pem"));
}

static struct web_key *key_of(const char *name)
{
    struct web_key *k = NULL;
    const char *why = NULL;
    if (web_key_from_pem(file_read(name), &k, &why) < 0)
        fail_msg("%s: %s", name, why);
    assert_null(why);
    return k;
}

static struct x509 cert_of(const char *name)
{
    struct x509 c;
    const char *why;
    size_t n;
    assert_int_equal(x509_from_pem(file_read(name), &c, 1, &n, &why), 0);
    return c;
}

static struct tls_config *server_of(struct web_key *key, const struct x509 *cert, const char *protocols)
{
    struct tls_config *c = NULL;
    const char *why = NULL;
    const struct web_server_options o = {.chain = cert, .n_chain = 1, .key = key, .protocols = protocols};
    int r = web_server_new(&c, &o, &why);
    if (r < 0)
        fail_msg("%d: %s", r, why);
    return c;
}

/* s_client with these arguments against the server; how it went is in l and p. */
static void ask(struct tls_config *server, struct program *p, struct link *l, const char *const *more)
{
    char port[32];
    const char *arguments[38] = {"s_client",         "-connect", NULL,           "-servername", "shop.example", "-CAfile",
                                 "x.pem", "-verify_return_error", "-verify_hostname", "shop.example"};
    int listener = listen_somewhere(port);
    size_t n = 10;
    arguments[2] = port;
    while (*more)
        arguments[n++] = *more++;
    program_start(p, arguments);
    struct pollfd fd = {.fd = listener, .events = POLLIN};
    assert_int_equal(poll(&fd, 1, DEADLINE_MS), 1);
    int accepted = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(accepted >= 0);
    close(listener);
    link_open(l, accepted, server);
    while (!l->told && l->result == 0)
        link_turn(l);
}
#define ASK(server, p, l, ...) ask((server), (p), (l), (const char *const[]){__VA_ARGS__, NULL})

static void good(struct tls_config *server, const char *alpn, const char *wanted)
{
    struct program p;
    struct link l;
    if (alpn)
        ASK(server, &p, &l, "-alpn", alpn);
    else
        ASK(server, &p, &l, "-tls1_3");
    if (!l.told)
        fail_msg("%s; openssl: %s", tls_channel_why(l.t), out);
    assert_false(tls_channel_peer(l.t)->present);
    program_wait_for(&p, wanted);
    program_wait_for(&p, "Verify return code: 0 (ok)");
    link_say(&l, "good day\n");
    program_wait_for(&p, "good day");
    program_say(&p, "hello\n");
    link_until_received(&l, "hello\n");
    shutdown(l.fd, SHUT_WR);
    program_end(&p);
    link_close(&l);
}

static void refused(struct tls_config *server, int result, const char *option, const char *value)
{
    struct program p;
    struct link l;
    ASK(server, &p, &l, option, value);
    assert_false(l.told);
    assert_int_equal(l.result, result);
    shutdown(l.fd, SHUT_WR);
    program_end(&p);
    link_close(&l);
}

static const struct {
    const char *algorithm, *option;
    enum web_key_kind kind;
} kinds[] = {
    {"EC", "ec_paramgen_curve:P-256", WEB_KEY_P256},
    {"EC", "ec_paramgen_curve:P-384", WEB_KEY_P384},
    {"RSA", "rsa_keygen_bits:2048", WEB_KEY_RSA},
    {"RSA", "rsa_keygen_bits:3072", WEB_KEY_RSA},
};

/* Each kind of key, in each form; openssl believes its certificate and signature. */
static void openssl_believes_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        make_key(kinds[i].algorithm, kinds[i].option);
        struct x509 cert = cert_of("x.pem");
        struct web_key *key = key_of("x.key"), *old = key_of("old.key"), *again = NULL;
        const char *why;
        assert_int_equal(web_key_kind(key), kinds[i].kind);
        assert_int_equal(web_key_kind(old), kinds[i].kind);
        struct text der = web_key_der(old);
        assert_int_equal(web_key_from_der((const uint8_t *)der.data, der.len, &again, &why), 0);
        assert_true(web_key_fits(key, &cert) && web_key_fits(old, &cert) && web_key_fits(again, &cert));
        web_key_unref(key);
        web_key_unref(old);
        struct tls_config *server = server_of(again, &cert, "h2,http/1.1");
        web_key_unref(again); /* the configuration has it */
        good(server, "h2,http/1.1", "ALPN protocol: h2");
        good(server, "http/1.1", "ALPN protocol: http/1.1");
        good(server, NULL, "No ALPN negotiated");
        refused(server, -ENOTCONN, "-alpn", "spdy/3");
        tls_config_unref(server);
        x509_done(&cert);
    }
}

static void older_protocols_are_refused(void **state)
{
    (void)state;
    make_key("EC", "ec_paramgen_curve:P-256");
    struct x509 cert = cert_of("x.pem");
    struct web_key *key = key_of("x.key");
    struct tls_config *server = server_of(key, &cert, "");
    good(server, "spdy/3", "No ALPN negotiated");
    refused(server, -EPROTO, "-tls1_2", NULL);
    tls_config_unref(server);
    web_key_unref(key);
    x509_done(&cert);
}

static void what_is_no_key(void **state)
{
    static char long_text[WEB_KEY_PEM_MAX + 1];
    struct web_key *k;
    const char *why;
    (void)state;
    assert_int_equal(web_key_from_pem(TEXT(""), &k, &why), -EINVAL);
    assert_string_equal(why, "no private key in PEM");
    memset(long_text, '\n', sizeof long_text);
    assert_int_equal(web_key_from_pem((struct text){long_text, sizeof long_text}, &k, &why), -EINVAL);
    assert_int_equal(web_key_from_der((const uint8_t *)long_text, sizeof long_text, &k, &why), -EINVAL);
    assert_int_equal(web_key_from_der((const uint8_t *)"", 0, &k, &why), -EINVAL);
    make_key("EC", "ec_paramgen_curve:P-521");
    assert_int_equal(web_key_from_pem(file_read("x.key"), &k, &why), -EINVAL);
    assert_string_equal(why, "an elliptic curve other than P-256 and P-384");
    made(OPENSSL(folder, out, "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024", "-out", "x.key"));
    assert_int_equal(web_key_from_pem(file_read("x.key"), &k, &why), -EINVAL);
    made(OPENSSL(folder, out, "genpkey", "-algorithm", "ED25519", "-out", "x.key"));
    assert_int_equal(web_key_from_pem(file_read("x.key"), &k, &why), -EINVAL);
    assert_string_equal(why, "no private key of RSA, P-256 or P-384");
    made(OPENSSL(folder, out, "pkcs8", "-topk8", "-in", "x.key", "-passout", "pass:x", "-out", "y.key"));
    assert_int_equal(web_key_from_pem(file_read("y.key"), &k, &why), -EINVAL);
    assert_string_equal(why, "an encrypted private key");
    /* Each cut of a good one, and it with each byte broken: refused, or a key that fits nothing else. */
    make_key("EC", "ec_paramgen_curve:P-256");
    struct web_key *whole = key_of("x.key");
    struct text der = web_key_der(whole);
    uint8_t bytes[WEB_KEY_DER_MAX];
    for (size_t n = 0; n < der.len; n++) {
        memcpy(bytes, der.data, der.len);
        bytes[n] ^= 1;
        if (web_key_from_der(bytes, der.len, &k, &why) == 0)
            web_key_unref(k);
        if (web_key_from_der(bytes, n, &k, &why) == 0)
            fail_msg("a key of %zu of %zu bytes", n, der.len);
        assert_non_null(why);
    }
    web_key_unref(whole);
}

static void what_does_not_fit_together(void **state)
{
    struct tls_config *c;
    const char *why;
    (void)state;
    make_key("EC", "ec_paramgen_curve:P-256");
    struct x509 cert = cert_of("x.pem");
    struct web_key *key = key_of("x.key");
    make_key("EC", "ec_paramgen_curve:P-256");
    struct web_key *other = key_of("x.key");
    assert_null(web_server_check(&cert, 1, key));
    assert_string_equal(web_server_check(&cert, 0, key), "no certificate");
    assert_string_equal(web_server_check(&cert, 1, other), "the certificate is for another key");
    const struct web_server_options o = {.chain = &cert, .n_chain = 1, .key = other, .protocols = "h2"};
    assert_int_equal(web_server_new(&c, &o, &why), -EINVAL);
    struct party root = root_make("root"), client;
    struct x509_template t = leaf_template(ALICE);
    t.server = false;
    client = party_make(&t, &root);
    char text[KEY_PEM_MAX];
    size_t len;
    for (unsigned i = 0; i < 2; i++) {
        struct party *p = i ? &client : &root;
        struct web_key *k;
        assert_int_equal(key_to_pem(p->key, text, sizeof text, &len), 0);
        assert_int_equal(web_key_from_pem((struct text){text, len}, &k, &why), 0);
        assert_string_equal(web_server_check(&p->cert, 1, k), i ? "the certificate's extended key usage is not for servers"
                                                                : "the certificate is a CA's");
        web_key_unref(k);
    }
    party_done(&root);
    party_done(&client);
    web_key_unref(key);
    web_key_unref(other);
    x509_done(&cert);
}

/* Of another kind of key, or of no digest. */
static void what_is_not_signed(void **state)
{
    uint8_t digest[64] = {0}, signature[1024];
    size_t len;
    (void)state;
    make_key("EC", "ec_paramgen_curve:P-256");
    struct web_key *ec = key_of("x.key");
    make_key("RSA", "rsa_keygen_bits:2048");
    struct web_key *rsa = key_of("x.key");
    len = sizeof signature;
    assert_int_equal(web_key_sign_pss(ec, digest, 32, NULL, signature, &len), -EINVAL);
    assert_int_equal(web_key_sign_ecdsa(rsa, digest, 32, NULL, signature, &len), -EINVAL);
    assert_int_equal(web_key_sign_pss(rsa, digest, 33, NULL, signature, &len), -EINVAL);
    web_key_unref(ec);
    web_key_unref(rsa);
}

static void texts_in_base_64(void **state)
{
    struct web_text t;
    char *much = calloc(1, WEB_TEXT_MAX + 1);
    (void)state;
    assert_non_null(much);
    assert_int_equal(web_text_decode(&t, TEXT("aGVs\nbG8=")), 0);
    assert_int_equal(t.len, 5);
    assert_memory_equal(t.data, "hello", 5);
    web_text_done(&t);
    assert_null(t.data);
    assert_int_equal(web_text_decode(&t, TEXT("aGVsbG8")), -EINVAL);
    assert_int_equal(web_text_decode(&t, TEXT("a GVsb*8=")), -EINVAL);
    assert_int_equal(web_text_decode(&t, (struct text){much, WEB_TEXT_MAX + 1}), -E2BIG);
    assert_int_equal(web_text_set(&t, TEXT("plain")), 0);
    assert_memory_equal(t.data, "plain", t.len);
    web_text_done(&t);
    free(much);
}

static int set_up(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    folder_make(folder);
    return 0;
}
static int tear_down(void **state)
{
    (void)state;
    folder_remove(folder);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(openssl_believes_it),      cmocka_unit_test(older_protocols_are_refused),
        cmocka_unit_test(what_is_no_key),           cmocka_unit_test(what_does_not_fit_together),
        cmocka_unit_test(what_is_not_signed),       cmocka_unit_test(texts_in_base_64),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
