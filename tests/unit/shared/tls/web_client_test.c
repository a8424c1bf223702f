#define _GNU_SOURCE
#include "tests/unit/shared/tls/channel_fixture.h"

#include "shared/tls/client_hello.h"
#include "shared/tls/web_client.h"
#include "shared/tls/web_server.h"

/* ---- Names ------------------------------------------------------------------------------------ */

static void names_are_checked(void **state)
{
    static const struct {
        const char *name;
        int kind; /* -1: none */
    } rows[] = {
        {"shop.example", WEB_NAME_DNS},
        {"shop.example.", WEB_NAME_DNS},
        {"a_b-c.9", WEB_NAME_DNS},
        {"192.0.2.7", WEB_NAME_IP},
        {"2001:db8::1", WEB_NAME_IP},
        {"spiffe://a/b", WEB_NAME_URI},
        {"", -1},
        {".", -1},
        {"..", -1},
        {"a..b", -1},
        {".a", -1},
        {"*.example", -1},
        {"shop example", -1},
        {"sh\303\266p.example", -1},
        {"spiffe://a b", -1},
        {"://x", -1},
        {"shop.example:443", -1},
        {"0123456789012345678901234567890123456789012345678901234567890123.example", -1},
    };
    enum web_name_kind kind;
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const char *why = web_name_check(text_of(rows[i].name), &kind);
        if (!why != (rows[i].kind >= 0) || (!why && (int)kind != rows[i].kind))
            fail_msg("'%s': %s", rows[i].name, why ? why : "is one");
    }
}

static bool fits(const char *wanted, uint8_t tag, const char *found, size_t len)
{
    uint8_t names[300] = {DER_CONTEXT | 1, 1, 'x', tag, (uint8_t)len};
    struct web_name *n = calloc(1, sizeof *n);
    assert_non_null(n);
    memcpy(names + 5, found, len);
    assert_int_equal(web_name_set(n, text_of(wanted)), 0);
    bool r = web_name_fits(n, names, 5 + len);
    web_names_free(n, 1);
    return r;
}

static void names_fit(void **state)
{
    enum { DNS = DER_CONTEXT | 2, URI = DER_CONTEXT | 6, IP = DER_CONTEXT | 7 };
    static const struct {
        const char *wanted;
        uint8_t tag;
        const char *found;
        bool fits;
    } rows[] = {
        {"shop.example", DNS, "shop.example", true},
        {"shop.example.", DNS, "SHOP.example", true},
        {"shop.example", DNS, "shop.example.org", false},
        {"shop.example", DNS, "op.example", false},
        {"shop.example", URI, "shop.example", false},
        {"a.shop.example", DNS, "*.shop.example", true},
        {"A.shop.example", DNS, "*.Shop.example", true},
        {"a.b.shop.example", DNS, "*.shop.example", false},
        {"shop.example", DNS, "*.shop.example", false},
        {"shop.example", DNS, "*.example", false}, /* a wildcard of a whole top level */
        {"shop.example", DNS, "*", false},
        {"shop.example", DNS, "sh*.example", false},
        {"a.shop.example", DNS, "a*.shop.example", false},
        {"a.shop.example", DNS, "*.*.example", false},
        {"a.shop.example", DNS, "a.*.example", false},
        {"a.shop.example", DNS, "*..example", false},
        {"192.0.2.7", IP, "\300\000\002\007", true},
        {"192.0.2.7", IP, "\300\000\002\010", false},
        {"192.0.2.7", DNS, "192.0.2.7", false},
        {"spiffe://a/b", URI, "spiffe://a/b", true},
        {"spiffe://a/b", URI, "spiffe://a/B", false},
        {"spiffe://a/b", DNS, "spiffe://a/b", false},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        size_t len = rows[i].tag == IP ? 4 : strlen(rows[i].found);
        if (fits(rows[i].wanted, rows[i].tag, rows[i].found, len) != rows[i].fits)
            fail_msg("row %zu: %s and %s", i, rows[i].wanted, rows[i].found);
    }
    assert_false(fits("shop.example", DNS, "shop.example\0.evil", 18));
    assert_false(fits("192.0.2.7", IP, "\300\000\002\007\377\377\377\377", 8)); /* a range */
}

/* ---- Roots ------------------------------------------------------------------------------------ */

static char bundle[4 * X509_PEM_MAX];

static struct text pem_of(const struct x509 *const *certs, size_t n)
{
    size_t len = 0, one;
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(x509_to_pem(certs[i], bundle + len, sizeof bundle - len, &one), 0);
        len += one;
    }
    return (struct text){bundle, len};
}

static struct web_roots *roots_of(const struct x509 *c)
{
    struct web_roots *r = NULL;
    const char *why;
    assert_int_equal(web_roots_from_pem(pem_of(&c, 1), &r, NULL, &why), 0);
    return r;
}

static void bundles_are_read(void **state)
{
    struct party root = root_make("root"), leaf = leaf_make(ALICE, &root);
    const struct x509 *both[] = {&leaf.cert, &root.cert};
    struct web_roots *r = NULL;
    const char *why;
    size_t left_out = 9;
    (void)state;
    assert_int_equal(web_roots_from_pem(pem_of(both, 2), &r, &left_out, &why), 0);
    assert_int_equal(left_out, 1); /* the leaf, nobody's issuer */
    web_roots_unref(r);
    r = NULL;
    assert_int_equal(web_roots_from_pem(pem_of(both, 1), &r, NULL, &why), -EINVAL);
    assert_string_equal(why, "no CA certificate");
    assert_int_equal(web_roots_from_pem(TEXT("roots"), &r, NULL, &why), -EINVAL);
    assert_string_equal(why, "no certificate in PEM");
    assert_int_equal(web_roots_from_pem(TEXT("-----BEGIN CERTIFICATE-----\nMIIB"), &r, NULL, &why), -EINVAL);
    assert_string_equal(why, "a PEM block has no end");
    assert_int_equal(web_roots_read("/nowhere/roots.pem", &r, NULL, &why), -ENOENT);
    assert_null(r);
    party_done(&leaf);
    party_done(&root);
}

/* ---- Handshakes ------------------------------------------------------------------------------- */

struct shop { /* a server, and who issued its certificate */
    struct party root, leaf;
    struct tls_config *config;
    struct web_roots *roots;
};

static struct shop shop_open(const char *dns, int64_t ends_in_s, const char *protocols)
{
    struct shop s = {.root = root_make("web root")};
    struct x509_template t = leaf_template("");
    struct web_key *key = NULL;
    const char *why;
    char pem[KEY_PEM_MAX];
    size_t len;
    t.dns[0] = text_of(dns);
    t.not_before_s -= 2 * DAY_S;
    t.not_after_s = clock_unix_s() + ends_in_s;
    s.leaf = party_make(&t, &s.root);
    assert_int_equal(key_to_pem(s.leaf.key, pem, sizeof pem, &len), 0);
    assert_int_equal(web_key_from_pem((struct text){pem, len}, &key, &why), 0);
    const struct web_server_options o = {.chain = &s.leaf.cert, .n_chain = 1, .key = key, .protocols = protocols};
    assert_int_equal(web_server_new(&s.config, &o, &why), 0);
    web_key_unref(key);
    s.roots = roots_of(&s.root.cert);
    return s;
}
static void shop_close(struct shop *s)
{
    web_roots_unref(s->roots);
    tls_config_unref(s->config);
    party_done(&s->leaf);
    party_done(&s->root);
}

static struct tls_config *client_of(const struct web_client_options *o)
{
    struct tls_config *c = NULL;
    const char *why = NULL;
    if (web_client_new(&c, o, &why) < 0)
        fail_msg("%s", why);
    return c;
}

/* How it went for the client: 0, or the error, with why it says. */
static int meet(const struct shop *s, const struct web_client_options *o, char why[static 100])
{
    struct rng rng;
    struct pair p;
    struct tls_config *client = client_of(o);
    test_seed(&rng);
    pair_open(&p, client, s->config, &rng);
    converse(&p);
    int r = p.client.result;
    snprintf(why, 100, "%s", tls_channel_why(p.client.t));
    if (r == 0) {
        assert_true(p.client.told && p.server.told);
        say(&p, &p.client, "hello", 5);
        converse(&p);
        assert_received(&p.server, "hello");
    } else {
        assert_false(p.client.told);
    }
    pair_close(&p);
    tls_config_unref(client);
    return r;
}

static void servers_are_judged(void **state)
{
    struct shop s = shop_open("shop.example", HOUR_S, "h2,http/1.1");
    struct shop old = shop_open("shop.example", -HOUR_S, "h2");
    const struct text right = TEXT("shop.example"), names[] = {TEXT("other.example"), right};
    struct web_client_options o = {.server_name = right, .names = &right, .n_names = 1, .roots = s.roots};
    char why[100];
    (void)state;
    assert_int_equal(meet(&s, &o, why), 0);
    o.names = names;
    assert_int_equal(meet(&s, &o, why), -EKEYREJECTED);
    assert_string_equal(why, "the certificate is for another name");
    o.n_names = 2;
    assert_int_equal(meet(&s, &o, why), 0); /* one is enough */
    o.roots = old.roots;
    assert_int_equal(meet(&s, &o, why), -EKEYREJECTED);
    assert_string_equal(why, "no path to a trusted root");
    assert_int_equal(meet(&old, &o, why), -EKEYREJECTED);
    assert_string_equal(why, "the certificate has expired");
    const struct web_client_options any = {.server_name = right, .insecure = true};
    assert_int_equal(meet(&s, &any, why), 0);
    assert_int_equal(meet(&old, &any, why), 0);
    shop_close(&old);
    shop_close(&s);
}

static void protocols_are_agreed(void **state)
{
    struct shop both = shop_open("shop.example", HOUR_S, "h2,http/1.1");
    struct shop none = shop_open("shop.example", HOUR_S, "");
    const struct text name = TEXT("shop.example");
    struct web_client_options o = {.names = &name, .n_names = 1, .protocol = TEXT("h2"), .protocol_needed = true};
    char why[100];
    (void)state;
    o.roots = both.roots;
    assert_int_equal(meet(&both, &o, why), 0);
    o.roots = none.roots;
    assert_int_equal(meet(&none, &o, why), -ENOTCONN);
    assert_string_equal(why, "the peer does not speak our protocol (ALPN)");
    o.protocol = TEXT("http/1.1");
    o.protocol_needed = false;
    assert_int_equal(meet(&none, &o, why), 0);
    o.roots = both.roots;
    o.protocol = TEXT("spdy/1");
    assert_int_equal(meet(&both, &o, why), -ENOTCONN);
    shop_close(&none);
    shop_close(&both);
}

static void the_name_is_said(void **state)
{
    static const struct {
        const char *name, *said;
    } rows[] = {{"shop.example", "shop.example"}, {"shop.example.", "shop.example"}, {"192.0.2.7", ""}, {"", ""}};
    struct chunk_pool pool;
    uint8_t bytes[2048];
    (void)state;
    chunk_pool_init(&pool, 10, 1);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct web_client_options o = {.server_name = text_of(rows[i].name), .insecure = true, .protocol = TEXT("h2")};
        struct tls_config *c = client_of(&o);
        struct tls_channel *t;
        char said[CLIENT_HELLO_NAME_MAX + 1] = "";
        size_t want;
        assert_int_equal(tls_channel_new(&t, c, &pool), 0);
        size_t n = buf_peek(tls_channel_out(t), bytes, sizeof bytes);
        assert_int_equal(client_hello_read(bytes, n, said, &want),
                         rows[i].said[0] ? CLIENT_HELLO_NAMED : CLIENT_HELLO_UNNAMED);
        assert_string_equal(said, rows[i].said);
        tls_channel_free(t);
        tls_config_unref(c);
    }
    chunk_pool_done(&pool);
}

static void what_can_not_be_is_refused(void **state)
{
    struct shop s = shop_open("shop.example", HOUR_S, "");
    const struct text name = TEXT("shop.example"), wild = TEXT("*.example");
    const struct {
        struct web_client_options o;
        const char *why;
    } rows[] = {
        {{.names = &name, .n_names = 1}, "no roots to trust"},
        {{.roots = s.roots}, "no name for which the certificate is to be"},
        {{.names = &wild, .n_names = 1, .roots = s.roots}, "is neither the name of a host, nor an address, nor a URI"},
        {{.names = &name, .n_names = 1, .roots = s.roots, .insecure = true}, "names and roots that nobody looks at"},
        {{.names = &name, .n_names = 1, .roots = s.roots, .protocol = TEXT("h2,http/1.1")}, "an impossible ALPN name"},
        {{.names = &name, .n_names = 1, .roots = s.roots, .server_name = TEXT("a b")}, "the server's name is none"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct tls_config *c = NULL;
        const char *why;
        assert_int_equal(web_client_new(&c, &rows[i].o, &why), -EINVAL);
        assert_string_equal(why, rows[i].why);
        assert_null(c);
    }
    shop_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_checked),   cmocka_unit_test(names_fit),
        cmocka_unit_test(bundles_are_read),    cmocka_unit_test(servers_are_judged),
        cmocka_unit_test(protocols_are_agreed), cmocka_unit_test(the_name_is_said),
        cmocka_unit_test(what_can_not_be_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
