#define _GNU_SOURCE
#include "tests/unit/shared/tls/openssl_program.h"

/* One of our channels against the openssl program, over a loopback socket. */

static const struct text alice_uri = {ALICE, sizeof ALICE - 1};
static struct party root, alice, bob;
static struct tls_config *client_config, *server_config;

static int set_up(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    root = root_make("root");
    alice = leaf_make(ALICE, &root);
    bob = leaf_make(BOB, &root);
    client_config = config_simple(TLS_CLIENT, &alice, &root);
    server_config = config_simple(TLS_SERVER, &bob, &root);
    folder_make(folder);
    cert_write(folder, "root.pem", &root.cert);
    cert_write(folder, "alice.pem", &alice.cert);
    key_write(folder, "alice.key", alice.key);
    cert_write(folder, "bob.pem", &bob.cert);
    key_write(folder, "bob.key", bob.key);
    return 0;
}
static int tear_down(void **state)
{
    (void)state;
    folder_remove(folder);
    tls_config_unref(client_config);
    tls_config_unref(server_config);
    party_done(&root);
    party_done(&alice);
    party_done(&bob);
    return 0;
}

/* s_client with these arguments against our server. */
static void client_start(struct program *p, struct link *l, const char *const *more)
{
    char port[32];
    const char *arguments[38] = {
        "s_client", "-connect", NULL, "-noservername", "-verify_return_error",
        "-CAfile",  "root.pem"};
    int listener = listen_somewhere(port);
    size_t n = 7;

    arguments[2] = port;
    while (*more)
        arguments[n++] = *more++;
    program_start(p, arguments);
    struct pollfd fd = {.fd = listener, .events = POLLIN};
    assert_int_equal(poll(&fd, 1, DEADLINE_MS), 1);
    int accepted = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(accepted >= 0);
    close(listener);
    link_open(l, accepted, server_config);
}
#define CLIENT_START(p, l, ...) client_start((p), (l), (const char *const[]){__VA_ARGS__, NULL})
#define AS_ALICE                "-cert", "alice.pem", "-key", "alice.key", "-alpn", "h2"

static void test_s_client(void **state)
{
    (void)state;
    static const char *const variants[][4] = {
        {"-tls1_3", NULL},
        {"-groups", "X25519", NULL},
        {"-groups", "P-256", NULL},
        {"-groups", "P-384:X25519", NULL}, /* its key share is for another: HelloRetryRequest */
        {"-ciphersuites", "TLS_AES_256_GCM_SHA384", NULL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(variants); i++) {
        struct program p;
        struct link l;
        CLIENT_START(&p, &l, AS_ALICE, variants[i][0], variants[i][1], variants[i][2]);
        link_until_told(&l);
        if (!l.told)
            fail_msg("%s: %s", variants[i][0], tls_channel_why(l.t));
        assert_string_equal(tls_channel_peer(l.t)->uri, ALICE);
        program_wait_for(&p, "ALPN protocol: h2");
        program_wait_for(&p, "Verify return code: 0 (ok)");
        link_say(&l, "good day\n");
        program_wait_for(&p, "good day");
        program_say(&p, "hello\n");
        link_until_received(&l, "hello\n");
        close(p.in); /* then it says close_notify */
        p.in = -1;
        while (l.result == 0)
            link_turn(&l);
        assert_int_equal(l.result, -EPIPE);
        assert_int_equal(tls_channel_close_notify(l.t), 0);
        link_flush(&l);
        shutdown(l.fd, SHUT_WR);
        program_end(&p);
        assert_null(
            strstr(out, "New Session Ticket")); /* "Post-Handshake New Session Ticket arrived" */
        link_close(&l);
    }
}

/* K: I change my keys, change yours, too. k: I change mine. After handshake resources were
 * freed. */
static void test_key_updates(void **state)
{
    (void)state;
    struct program p;
    struct link l;
    CLIENT_START(&p, &l, AS_ALICE);
    link_until_told(&l);
    assert_true(l.told);
    for (int i = 0; i < 5; i++) {
        program_say(&p, i % 2 ? "k\n" : "K\n");
        program_wait_for(&p, "KEYUPDATE");
        program_say(&p, "text\n");
        link_until_received(&l, "text\n");
        char text[16];
        snprintf(text, sizeof text, "answer %d\n", i);
        link_say(&l, text);
        program_wait_for(&p, text);
    }
    close(l.fd);
    l.fd = -1;
    program_end(&p);
    link_close(&l);
}

/* A peer that only changes keys, and makes us change ours each time, is not served for ever. */
static void test_key_update_flood(void **state)
{
    (void)state;
    struct program p;
    struct link l;
    int n = 0;
    CLIENT_START(&p, &l, AS_ALICE);
    link_until_told(&l);
    assert_true(l.told);
    while (l.result == 0 && n < 200) {
        program_say(&p, "K\n");
        program_wait_for(&p, "KEYUPDATE");
        link_turn(&l);
        n++;
    }
    assert_int_equal(l.result, -EPROTO);
    assert_string_equal(tls_channel_why(l.t), "the peer only changes keys");
    assert_in_range(n, 20, 100);
    shutdown(l.fd, SHUT_RDWR);
    program_end(&p);
    link_close(&l);
}

static void expect_refused(int result, const char *const *more)
{
    struct program p;
    struct link l;
    client_start(&p, &l, more);
    while (l.result == 0)
        link_turn(&l);
    if (l.told || l.result != result)
        fail_msg("%s: %d %s", more[0], l.result, tls_channel_why(l.t));
    assert_int_equal(l.received.len, 0);
    shutdown(l.fd, SHUT_WR);
    program_end(&p);
    assert_true(WIFEXITED(p.status));
    link_close(&l);
}
#define EXPECT_REFUSED(result, ...)                                                                \
    expect_refused((result), (const char *const[]){__VA_ARGS__, NULL})

static void test_old_and_other_protocols(void **state)
{
    (void)state;
    EXPECT_REFUSED(-EPROTO, "-tls1_2", AS_ALICE);
    EXPECT_REFUSED(-EPROTO, "-tls1_1", AS_ALICE, "-cipher", "ALL:@SECLEVEL=0");
    EXPECT_REFUSED(-EPROTO, "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256", AS_ALICE);
    EXPECT_REFUSED(-EPROTO, "-groups", "P-384", AS_ALICE);
    EXPECT_REFUSED(-ENOTCONN, "-alpn", "http/1.1", "-cert", "alice.pem", "-key", "alice.key");
    EXPECT_REFUSED(-ENOTCONN, "-cert", "alice.pem", "-key", "alice.key");
    EXPECT_REFUSED(-EKEYREJECTED, "-alpn", "h2");
}

/* A certificate that our own code would not even load: a NUL inside the URI. */
static void test_nul_in_the_name(void **state)
{
    (void)state;
    struct forged f = {.uris = {{ALICE "\0.evil", sizeof ALICE + 5}}, .n_uris = 1};
    struct key *key;
    assert_int_equal(key_generate(&key), 0);
    struct der der = forge_der(&f, key, &root.cert, root.key);
    struct x509 c = {.der = (uint8_t *)der.data, .der_len = der.len};
    cert_write(folder, "nul.pem", &c);
    key_write(folder, "nul.key", key);
    EXPECT_REFUSED(-EKEYREJECTED, "-alpn", "h2", "-cert", "nul.pem", "-key", "nul.key");
    /* And usages that our library would not load. */
    f = (struct forged){.uris = {alice_uri}, .n_uris = 1, .key_usage = 0x84};
    x509_done(&c);
    der = forge_der(&f, key, &root.cert, root.key);
    c = (struct x509){.der = (uint8_t *)der.data, .der_len = der.len};
    cert_write(folder, "nul.pem", &c);
    EXPECT_REFUSED(-EKEYREJECTED, "-alpn", "h2", "-cert", "nul.pem", "-key", "nul.key");
    x509_done(&c);
    key_unref(key);
}

/* Others use RSA and P-384 for their workloads; their certificates are as good. */
static void test_other_kinds_of_leaves(void **state)
{
    (void)state;
    static const char extensions[] =
        "subjectAltName=critical,URI:" ALICE "\nbasicConstraints=critical,CA:FALSE\n"
        "keyUsage=critical,digitalSignature,keyEncipherment\nextendedKeyUsage=serverAuth,"
        "clientAuth\n";
    static const struct {
        const char *algorithm, *option;
        bool good;
    } cases[] = {
        {"RSA", "rsa_keygen_bits:2048", true},
        {"RSA", "rsa_keygen_bits:1024", false},
        {"EC", "ec_paramgen_curve:P-384", true},
        {"EC", "ec_paramgen_curve:P-521", true},
    };
    file_write(folder, "ext", extensions, sizeof extensions - 1);
    key_write(folder, "root.key", root.key);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_int_equal(OPENSSL(folder, out, "genpkey", "-algorithm", cases[i].algorithm,
                                 "-pkeyopt", cases[i].option, "-out", "x.key"),
                         0);
        assert_int_equal(
            OPENSSL(folder, out, "req", "-new", "-key", "x.key", "-subj", "/O=x", "-out", "x.csr"),
            0);
        if (OPENSSL(folder, out, "x509", "-req", "-in", "x.csr", "-CA", "root.pem", "-CAkey",
                    "root.key", "-days", "1", "-extfile", "ext", "-out", "x.pem") != 0)
            fail_msg("%s", out);
        if (cases[i].good) {
            struct program p;
            struct link l;
            CLIENT_START(&p, &l, "-alpn", "h2", "-cert", "x.pem", "-key", "x.key");
            link_until_told(&l);
            if (!l.told)
                fail_msg("%s: %s", cases[i].option, tls_channel_why(l.t));
            assert_string_equal(tls_channel_peer(l.t)->uri, ALICE);
            shutdown(l.fd, SHUT_RDWR);
            program_end(&p);
            link_close(&l);
        } else {
            EXPECT_REFUSED(-EKEYREJECTED, "-alpn", "h2", "-cert", "x.pem", "-key", "x.key",
                           "-cipher", "ALL:@SECLEVEL=0");
        }
    }
}

/* s_server sends two tickets after the handshake, which we have no use for. */
static void test_s_server(void **state)
{
    (void)state;
    struct program p;
    struct link l;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    program_start(&p, (const char *const[]){"s_server", "-accept", "127.0.0.1:0", "-tls1_3",
                                            "-cert", "bob.pem", "-key", "bob.key", "-CAfile",
                                            "root.pem", "-Verify", "1", "-verify_return_error",
                                            "-alpn", "h2", "-rev", "-naccept", "1", NULL});
    program_wait_for(&p, "ACCEPT 127.0.0.1:");
    while (!strchr(out, '\n'))
        assert_true(program_hear(&p));
    unsigned number = (unsigned)strtoul(out, NULL, 10);
    a.sin_port = htons((uint16_t)number);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    link_open(&l, fd, client_config);
    link_until_told(&l);
    if (!l.told)
        fail_msg("%s", tls_channel_why(l.t));
    assert_string_equal(tls_channel_peer(l.t)->uri, BOB);
    link_say(&l, "drawer\n");
    link_until_received(&l, "reward\n");
    assert_int_equal(tls_channel_close_notify(l.t), 0);
    link_flush(&l);
    while (l.result == 0)
        link_turn(&l);
    close(l.fd);
    l.fd = -1;
    program_end(&p);
    link_close(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_s_client),         cmocka_unit_test(test_key_updates),
        cmocka_unit_test(test_key_update_flood), cmocka_unit_test(test_old_and_other_protocols),
        cmocka_unit_test(test_nul_in_the_name),  cmocka_unit_test(test_other_kinds_of_leaves),
        cmocka_unit_test(test_s_server),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
