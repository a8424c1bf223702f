#define _GNU_SOURCE
#include "shared/tls/tls_channel.h"

#include "tests/unit/shared/tls/channel_fixture.h"

static struct party root, alice, bob;
static struct tls_config *client_config, *server_config;
static struct rng rng;

static int set_up(void **state)
{
    (void)state;
    test_seed(&rng);
    root = root_make("root");
    alice = leaf_make(ALICE, &root);
    bob = leaf_make(BOB, &root);
    client_config = config_simple(TLS_CLIENT, &alice, &root);
    server_config = config_simple(TLS_SERVER, &bob, &root);
    return 0;
}
static int tear_down(void **state)
{
    (void)state;
    tls_config_unref(client_config);
    tls_config_unref(server_config);
    party_done(&root);
    party_done(&alice);
    party_done(&bob);
    return 0;
}

static void open_established(struct pair *p)
{
    pair_open(p, client_config, server_config, &rng);
    converse(p);
    assert_true(p->client.told && p->server.told);
    assert_int_equal(p->client.result, 0);
    assert_int_equal(p->server.result, 0);
}

static void test_each_knows_the_other(void **state)
{
    (void)state;
    static const size_t pieces[] = {1, 2, 5, 100, 20000};
    char serial[2 * X509_SERIAL_MAX + 1];

    for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
        struct pair p;
        pair_open(&p, client_config, server_config, &rng);
        p.piece_max = pieces[i];
        assert_false(tls_channel_established(p.client.t));
        converse(&p);
        assert_true(p.client.told && p.server.told);
        const struct tls_peer *of_client = tls_channel_peer(p.client.t),
                              *of_server = tls_channel_peer(p.server.t);
        assert_true(of_client->present && of_server->present);
        assert_string_equal(of_client->uri, BOB);
        assert_string_equal(of_server->uri, ALICE);
        x509_serial_text(&alice.cert, serial);
        assert_string_equal(of_server->serial, serial);
        assert_int_equal(of_server->not_after_s, alice.cert.not_after_s);
        uint8_t roots[TLS_ROOTS_MAX][TLS_ROOT_BYTES];
        assert_int_equal(tls_config_root_keys(server_config, roots), 1);
        assert_memory_equal(of_server->root, roots[0], TLS_ROOT_BYTES);
        say(&p, &p.client, "hello", 5);
        say(&p, &p.server, "good day", 8);
        converse(&p);
        assert_received(&p.server, "hello");
        assert_received(&p.client, "good day");
        pair_close(&p);
    }
}

/* Extensions of a ClientHello (RFC 8446, 4.1.2): which are there, and what some of them say. */
static void test_what_a_client_offers(void **state)
{
    (void)state;
    enum {
        SERVER_NAME = 0,
        GROUPS = 10,
        ALPN = 16,
        TICKET = 35,
        PSK = 41,
        EARLY_DATA = 42,
        VERSIONS = 43,
        COOKIE = 44,
        PSK_MODES = 45,
        POST_AUTH = 49
    };
    uint8_t hello[2048];
    struct pair p;
    unsigned seen = 0;

    pair_open(&p, client_config, server_config, &rng);
    size_t len = buf_peek(tls_channel_out(p.client.t), hello, sizeof hello);
    assert_int_equal(hello[0], 22);
    assert_int_equal(hello[5], 1);
    size_t at = 5 + 4 + 2 + 32;
    at += 1 + hello[at]; /* session id */
    static const uint8_t suites[] = {0, 4, 0x13, 0x01, 0x13, 0x02, 1, 0};
    assert_memory_equal(hello + at, suites, sizeof suites);
    at += sizeof suites;
    assert_int_equal((size_t)hello[at] << 8 | hello[at + 1], len - at - 2);
    for (at += 2; at < len;) {
        unsigned kind = (unsigned)hello[at] << 8 | hello[at + 1];
        size_t n = (size_t)hello[at + 2] << 8 | hello[at + 3];
        const uint8_t *inside = hello + at + 4;
        assert_true(kind != SERVER_NAME && kind != TICKET && kind != PSK && kind != EARLY_DATA &&
                    kind != PSK_MODES && kind != POST_AUTH && kind != COOKIE);
        if (kind == GROUPS) {
            assert_int_equal(n, 6);
            assert_memory_equal(inside, "\0\4\0\x17\0\x1d", 6); /* P-256, X25519 */
            seen |= 1;
        } else if (kind == VERSIONS) {
            assert_int_equal(n, 3);
            assert_memory_equal(inside, "\2\3\4", 3); /* TLS 1.3 */
            seen |= 2;
        } else if (kind == ALPN) {
            assert_memory_equal(inside, "\0\3\2h2", n);
            seen |= 4;
        }
        at += 4 + n;
    }
    assert_int_equal(at, len);
    assert_int_equal(seen, 7);
    /* And a server, once established, has nothing more to say: no tickets. */
    while (!p.server.told) {
        pump(&p, &p.client, &p.server);
        if (p.server.told)
            break;
        pump(&p, &p.server, &p.client);
    }
    assert_int_equal(tls_channel_out(p.server.t)->len, 0);
    pair_close(&p);
}

static void test_nothing_before_established(void **state)
{
    (void)state;
    struct pair p;
    struct buf plain = {0};

    pair_open(&p, client_config, server_config, &rng);
    assert_int_equal(buf_append(&plain, &p.pool, "early", 5), 0);
    assert_int_equal(tls_channel_write(p.client.t, &plain), -ENOTCONN);
    assert_int_equal(tls_channel_write(p.server.t, &plain), -ENOTCONN);
    assert_int_equal(plain.len, 5);
    assert_int_equal(tls_channel_read(p.client.t, &plain, 100), -ENOTCONN);
    assert_int_equal(tls_channel_read(p.server.t, &plain, 100), -ENOTCONN);
    assert_int_equal(plain.len, 5);
    buf_done(&plain);
    converse(&p); /* no harm was done */
    assert_true(p.client.told && p.server.told);
    pair_close(&p);
}

/* Random sizes, cut randomly, both ways at once; what comes out is what went in. */
static void test_large_transfers(void **state)
{
    (void)state;
    enum { TOTAL = 10 * 1000 * 1000 };
    struct pair p;
    struct rng sent[2], wanted[2];
    size_t n_sent[2] = {0}, n_received[2] = {0};

    open_established(&p);
    for (uint64_t i = 0; i < 2; i++) {
        rng_seed(&sent[i], i);
        rng_seed(&wanted[i], i);
    }
    struct side *sides[] = {&p.client, &p.server};
    while (n_received[0] < TOTAL || n_received[1] < TOTAL) {
        for (size_t i = 0; i < 2; i++) {
            struct buf plain = {0};
            for (uint64_t pieces = rng_below(&rng, 6); pieces > 0 && n_sent[i] < TOTAL; pieces--) {
                static uint64_t data[50000 / 8 + 1];
                size_t words = 1 + rng_below(&rng, rng_below(&rng, 2) ? 20 : 50000 / 8);
                for (size_t k = 0; k < words; k++)
                    data[k] = rng_u64(&sent[i]);
                n_sent[i] += 8 * words;
                /* In chunks of their own, or together. */
                struct buf piece = {0};
                assert_int_equal(buf_append(&piece, &p.pool, data, 8 * words), 0);
                if (rng_below(&rng, 2))
                    buf_move(&plain, &piece);
                else
                    while (piece.len > 0) {
                        struct chunk *c = chunk_new(&p.pool);
                        size_t n = 1 + rng_below(&rng, 8000);
                        n = buf_peek(&piece, c->data, n);
                        buf_consume(&piece, n);
                        c->end = (uint32_t)n;
                        buf_push(&plain, c);
                    }
            }
            assert_int_equal(tls_channel_write(sides[i]->t, &plain), 0);
            assert_int_equal(plain.len, 0);
        }
        pump(&p, &p.client, &p.server);
        pump(&p, &p.server, &p.client);
        for (size_t i = 0; i < 2; i++) {
            struct buf *received = &sides[1 - i]->received;
            while (received->len >= 8) {
                uint64_t got;
                buf_peek(received, &got, sizeof got);
                assert_true(got == rng_u64(&wanted[i]));
                buf_consume(received, 8);
                n_received[i] += 8;
            }
        }
    }
    converse(&p);
    assert_int_equal(n_received[0], n_sent[0]);
    assert_int_equal(n_received[1], n_sent[1]);
    assert_int_equal(p.client.result, 0);
    assert_int_equal(p.server.result, 0);
    pair_close(&p);
}

/* Long before AES-GCM wears out, the sender changes its keys, and the receiver changes its own. */
static void test_keys_are_changed(void **state)
{
    (void)state;
    enum { RECORDS = (1 << 20) + 10, PLAIN_RECORD = 5 + 1 + 1 + 16 };
    struct pair p;
    unsigned changes = 0, answers = 0;

    open_established(&p);
    for (uint32_t i = 0; i < RECORDS; i++) {
        uint8_t byte = (uint8_t)(i * 7), got = (uint8_t)~byte;
        struct buf plain = {0};
        assert_int_equal(buf_append(&plain, &p.pool, &byte, 1), 0);
        if (tls_channel_write(p.client.t, &plain) < 0)
            fail_msg("%u: %s", i, tls_channel_why(p.client.t));
        struct buf *out = tls_channel_out(p.client.t);
        changes += out->len > PLAIN_RECORD;
        if (tls_channel_input(p.server.t, out) < 0 ||
            tls_channel_read(p.server.t, &p.server.received, 10) < 0)
            fail_msg("%u: %s", i, tls_channel_why(p.server.t));
        assert_int_equal(buf_peek(&p.server.received, &got, 1), 1);
        assert_int_equal(got, byte);
        buf_consume(&p.server.received, 1);
        out = tls_channel_out(p.server.t);
        answers += out->len > 0;
        if (out->len > 0)
            pump(&p, &p.server, &p.client);
    }
    assert_int_equal(changes, 1);
    assert_int_equal(answers, 1);
    say(&p, &p.server, "and back", 8);
    converse(&p);
    assert_received(&p.client, "and back");
    pair_close(&p);
}

static size_t count_records(const struct buf *out)
{
    uint8_t *bytes = malloc(out->len + 1);
    size_t n = 0, at = 0;
    assert_non_null(bytes);
    assert_int_equal(buf_peek(out, bytes, out->len), out->len);
    for (; at + 5 <= out->len; n++)
        at += 5 + ((size_t)bytes[at + 3] << 8 | bytes[at + 4]);
    assert_int_equal(at, out->len);
    free(bytes);
    return n;
}

static void test_small_pieces_share_a_record(void **state)
{
    (void)state;
    struct pair p;
    struct buf plain = {0};

    open_established(&p);
    for (int i = 0; i < 20; i++) { /* each in a chunk of its own */
        struct chunk *c = chunk_new(&p.pool);
        struct buf one = {.head = c, .tail = c, .len = 1100};
        memset(c->data, i, 1100);
        c->end = 1100;
        buf_move(&plain, &one);
    }
    assert_int_equal(tls_channel_write(p.client.t, &plain), 0);
    /* 22,000 bytes are one full record and one more. */
    assert_int_equal(count_records(tls_channel_out(p.client.t)), 2);
    converse(&p);
    assert_int_equal(p.server.received.len, 22000);
    pair_close(&p);
}

static void test_close_notify(void **state)
{
    (void)state;
    struct pair p;
    struct buf plain = {0};

    open_established(&p);
    say(&p, &p.client, "last", 4);
    assert_int_equal(tls_channel_close_notify(p.client.t), 0);
    assert_int_equal(tls_channel_close_notify(p.client.t), 0);
    assert_int_equal(buf_append(&plain, &p.pool, "more", 4), 0);
    assert_int_equal(tls_channel_write(p.client.t, &plain), -EPIPE);
    buf_done(&plain);
    converse(&p);
    assert_received(&p.server, "last");
    assert_int_equal(p.server.result, -EPIPE);
    assert_int_equal(tls_channel_end(p.server.t), 0);
    /* The other direction still goes. */
    say(&p, &p.server, "answer", 6);
    converse(&p);
    assert_received(&p.client, "answer");
    assert_int_equal(p.client.result, 0);
    assert_int_equal(tls_channel_close_notify(p.server.t), 0);
    converse(&p);
    assert_int_equal(p.client.result, -EPIPE);
    assert_int_equal(tls_channel_end(p.client.t), 0);
    assert_int_equal(tls_channel_read(p.client.t, &p.client.received, 10), -EPIPE);
    pair_close(&p);
}

static void test_truncation_is_no_clean_end(void **state)
{
    (void)state;
    struct pair p;

    open_established(&p);
    say(&p, &p.client, "all of it", 9);
    struct buf *out = tls_channel_out(p.client.t), piece = {0};
    assert_int_equal(buf_move_some(&piece, &p.pool, out, out->len - 1), 0);
    assert_int_equal(tls_channel_input(p.server.t, &piece), 0);
    assert_int_equal(tls_channel_read(p.server.t, &p.server.received, 100), 0);
    assert_int_equal(p.server.received.len, 0);
    assert_int_equal(tls_channel_end(p.server.t), -EPROTO);
    assert_string_not_equal(tls_channel_why(p.server.t), "");
    /* At a record's border it is just as unclean. */
    assert_int_equal(tls_channel_end(p.client.t), -EPROTO);
    assert_int_equal(tls_channel_read(p.client.t, &p.client.received, 100), -EPROTO);
    pair_close(&p);
}

/* Whichever byte of a record changes on the way, nothing of it comes out, and the channel is
 * dead. */
static void test_changed_bytes(void **state)
{
    (void)state;
    for (size_t at = 0; at < 5 + 20 + 17; at++) {
        struct pair p;
        uint8_t record[256];
        struct buf in = {0};

        open_established(&p);
        say(&p, &p.client, "twenty bytes of text", 20);
        struct buf *out = tls_channel_out(p.client.t);
        assert_int_equal(out->len, 5 + 20 + 17);
        size_t n = buf_peek(out, record, sizeof record);
        buf_consume(out, n);
        record[at] ^= (uint8_t)(1u << rng_below(&rng, 8));
        assert_int_equal(buf_append(&in, &p.pool, record, n), 0);
        /* A length that grew waits for more, until the end of the connection. */
        int r = tls_channel_input(p.server.t, &in);
        if (r == 0)
            r = tls_channel_read(p.server.t, &p.server.received, 100);
        if (r == 0 && (at == 3 || at == 4))
            r = tls_channel_end(p.server.t);
        assert_int_equal(r, -EPROTO);
        assert_string_not_equal(tls_channel_why(p.server.t), "");
        assert_int_equal(p.server.received.len, 0);
        assert_int_equal(tls_channel_read(p.server.t, &p.server.received, 100), -EPROTO);
        assert_int_equal(tls_channel_input(p.server.t, &in), -EPROTO);
        assert_int_equal(tls_channel_close_notify(p.server.t), 0);
        pair_close(&p);
    }
}

static void test_replay_and_reorder(void **state)
{
    (void)state;
    for (int swap = 0; swap < 2; swap++) {
        struct pair p;
        struct buf first = {0}, again = {0};
        uint8_t record[256];

        open_established(&p);
        say(&p, &p.client, "one", 3);
        size_t n = buf_peek(tls_channel_out(p.client.t), record, sizeof record);
        buf_move(&first, tls_channel_out(p.client.t));
        if (swap) {
            say(&p, &p.client, "two", 3);
            buf_done(&first);
            buf_move(&first, tls_channel_out(p.client.t));
            assert_int_equal(tls_channel_input(p.server.t, &first), 0);
            assert_int_equal(tls_channel_read(p.server.t, &p.server.received, 100), -EPROTO);
            assert_int_equal(p.server.received.len, 0);
        } else {
            assert_int_equal(buf_append(&again, &p.pool, record, n), 0);
            assert_int_equal(tls_channel_input(p.server.t, &first), 0);
            assert_int_equal(tls_channel_input(p.server.t, &again), 0);
            assert_int_equal(tls_channel_read(p.server.t, &p.server.received, 100), -EPROTO);
            assert_received(&p.server, "one");
        }
        pair_close(&p);
    }
}

static void test_what_is_not_tls(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "\x16\x03\x01\xff\xff",
        "\x17\x03\x03\x01\x01 and more than enough bytes to make up the whole record, whose length "
        "is "
        "said to be 257, so that here follow some more words, and then still some more, until "
        "there "
        "are enough of them; this may take a line or two, but then nobody has to read them; and "
        "still they are not enough, but now, at last, they are",
    };
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct pair p;
        struct buf in = {0};
        pair_open(&p, client_config, server_config, &rng);
        assert_int_equal(buf_append(&in, &p.pool, texts[i], strlen(texts[i])), 0);
        assert_int_equal(tls_channel_input(p.server.t, &in), -EPROTO);
        assert_string_not_equal(tls_channel_why(p.server.t), "");
        assert_int_equal(buf_append(&in, &p.pool, texts[i], strlen(texts[i])), 0);
        assert_int_equal(tls_channel_input(p.client.t, &in), -EPROTO);
        pair_close(&p);
    }
}

static void test_alpn(void **state)
{
    (void)state;
    static const char *const cases[][2] = {{"h2", "h2"}, {"", ""},           {"h2", ""},
                                           {"", "h2"},   {"h2", "http/1.1"}, {"h2", "h2c"}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct tls_config *c = config_make(TLS_CLIENT, TLS_PEER_SVID, &alice, &alice.cert, 1,
                                           &root.cert, 1, cases[i][0]),
                          *s = config_make(TLS_SERVER, TLS_PEER_SVID, &bob, &bob.cert, 1,
                                           &root.cert, 1, cases[i][1]);
        struct pair p;
        pair_open(&p, c, s, &rng);
        converse(&p);
        if (strcmp(cases[i][0], cases[i][1]) == 0) {
            assert_true(p.client.told && p.server.told);
        } else {
            /* Whoever asked for a protocol and did not get it says so; the other learns that it
             * ended. */
            if (cases[i][1][0])
                assert_int_equal(p.server.result, -ENOTCONN);
            if (cases[i][0][0])
                assert_int_equal(p.client.result, -ENOTCONN);
            assert_true(p.client.result < 0 && p.server.result < 0);
        }
        pair_close(&p);
        tls_config_unref(c);
        tls_config_unref(s);
    }
}

static void test_anonymous_clients(void **state)
{
    (void)state;
    struct tls_config *anonymous = config_simple(TLS_CLIENT, NULL, &root),
                      *lenient = config_make(TLS_SERVER, TLS_PEER_OPTIONAL, &bob, &bob.cert, 1,
                                             &root.cert, 1, "h2");
    struct pair p;

    pair_open(&p, anonymous, lenient, &rng);
    converse(&p);
    assert_true(p.client.told && p.server.told);
    assert_false(tls_channel_peer(p.server.t)->present);
    assert_string_equal(tls_channel_peer(p.server.t)->uri, "");
    assert_string_equal(tls_channel_peer(p.server.t)->serial, "");
    assert_string_equal(tls_channel_peer(p.client.t)->uri, BOB);
    say(&p, &p.client, "token", 5);
    converse(&p);
    assert_received(&p.server, "token");
    pair_close(&p);

    pair_open(&p, client_config, lenient, &rng);
    converse(&p);
    assert_string_equal(tls_channel_peer(p.server.t)->uri, ALICE);
    pair_close(&p);

    /* Where one is required: the client thinks that it is connected (TLS 1.3), until it reads. */
    pair_open(&p, anonymous, server_config, &rng);
    converse(&p);
    assert_false(p.server.told);
    assert_int_equal(p.server.result, -EKEYREJECTED);
    assert_int_equal(p.client.result, -EKEYREJECTED);
    assert_int_equal(p.client.received.len, 0);
    assert_string_equal(tls_channel_why(p.server.t), "the peer sent no certificate");
    assert_string_equal(tls_channel_why(p.client.t), "the peer does not accept our certificate");
    pair_close(&p);
    tls_config_unref(anonymous);
    tls_config_unref(lenient);
}

static void test_read_is_limited(void **state)
{
    (void)state;
    struct pair p;
    struct buf got = {0};
    open_established(&p);
    say(&p, &p.client, "0123456789", 10);
    struct buf piece = {0};
    buf_move(&piece, tls_channel_out(p.client.t));
    assert_int_equal(tls_channel_input(p.server.t, &piece), 0);
    assert_int_equal(tls_channel_read(p.server.t, &got, 0), 0);
    assert_int_equal(got.len, 0);
    for (size_t i = 1; i <= 3; i++) {
        assert_int_equal(tls_channel_read(p.server.t, &got, 3), 0);
        assert_int_equal(got.len, 3 * i);
    }
    assert_int_equal(tls_channel_read(p.server.t, &got, 3), 0);
    assert_int_equal(got.len, 10);
    buf_done(&got);
    pair_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_knows_the_other),
        cmocka_unit_test(test_what_a_client_offers),
        cmocka_unit_test(test_nothing_before_established),
        cmocka_unit_test(test_large_transfers),
        cmocka_unit_test(test_keys_are_changed),
        cmocka_unit_test(test_small_pieces_share_a_record),
        cmocka_unit_test(test_close_notify),
        cmocka_unit_test(test_truncation_is_no_clean_end),
        cmocka_unit_test(test_changed_bytes),
        cmocka_unit_test(test_replay_and_reorder),
        cmocka_unit_test(test_what_is_not_tls),
        cmocka_unit_test(test_alpn),
        cmocka_unit_test(test_anonymous_clients),
        cmocka_unit_test(test_read_is_limited),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
