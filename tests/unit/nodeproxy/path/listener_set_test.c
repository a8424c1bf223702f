/* Which listener's certificate a client is shown, and sets that are refused. */
#include "nodeproxy/path/listener_set.h"
#include "shared/tls/web_key.h"
#include "tests/unit/shared/tls/tls_fixture.h"

static struct party party;
static char chain[X509_PEM_MAX];
static struct web_key *key;

static int set_up(void **state)
{
    struct x509_template t = leaf_template(ALICE);
    char pem[KEY_PEM_MAX];
    const char *why;
    size_t len;
    (void)state;
    struct party root = root_make("root");
    party = party_make(&t, &root);
    party_done(&root);
    assert_int_equal(x509_to_pem(&party.cert, chain, sizeof chain, &len), 0);
    assert_int_equal(key_to_pem(party.key, pem, sizeof pem, &len), 0);
    assert_int_equal(web_key_from_pem((struct text){pem, len}, &key, &why), 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    web_key_unref(key);
    party_done(&party);
    return 0;
}

static struct gateway_certificate of(uint16_t port, const char *host)
{
    return (struct gateway_certificate){
        .port = port, .host = text_of(host), .chain = text_of(chain), .key = web_key_der(key)};
}

static void the_most_precise_has_it(void **state)
{
    const struct gateway_certificate items[] = {of(443, "*.example"), of(443, "Shop.example"), of(443, "*.a.example"),
                                                of(8443, ""), of(8443, "*.example")};
    const struct gateway_certificates from = {.name = TEXT("n/g"), .items = items, .n = ARRAY_SIZE(items)};
    static const struct {
        uint16_t port;
        const char *asked, *found; /* NULL: nobody */
    } cases[] = {
        {443, "shop.example", "shop.example"},
        {443, "SHOP.EXAMPLE", "shop.example"},
        {443, "other.example", "*.example"},
        {443, "x.y.example", "*.example"},
        {443, "x.a.example", "*.a.example"},
        {443, "a.example", "*.example"},
        {443, "example", NULL},
        {443, ".example", NULL},
        {443, "", NULL},
        {443, "shop.example.test", NULL},
        {8443, "", ""},
        {8443, "any.test", ""},
        {8443, "x.example", "*.example"},
        {80, "shop.example", NULL},
    };
    struct listener_set *set;
    char why[XDS_WHY_MAX];
    (void)state;
    assert_int_equal(listener_set_new(&set, &from, why), 0);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const struct listener_certificate *c = listener_set_find(set, cases[i].port, text_of(cases[i].asked));
        if (!cases[i].found != !c || (c && strcmp(c->host, cases[i].found) != 0))
            fail_msg("%u %s: %s", cases[i].port, cases[i].asked, c ? c->host : "nobody");
        assert_true(!c || c->config);
    }
    assert_null(listener_set_find(NULL, 443, TEXT("shop.example")));
    struct listener_set *again = listener_set_ref(set);
    assert_null(listener_set_unref(set));
    assert_non_null(listener_set_find(again, 443, TEXT("shop.example")));
    listener_set_unref(again);
}

static void one_that_is_bad_refuses_all(void **state)
{
    struct gateway_certificate items[] = {of(443, "a.example"), of(443, "b.example")};
    const struct gateway_certificates from = {.name = TEXT("n/g"), .items = items, .n = ARRAY_SIZE(items)};
    struct listener_set *set;
    char why[XDS_WHY_MAX];
    (void)state;
    items[1].key = TEXT("no key");
    assert_int_equal(listener_set_new(&set, &from, why), -EINVAL);
    assert_non_null(strstr(why, "b.example"));
    assert_non_null(strstr(why, "private_key"));
    items[1] = of(443, "b.example");
    items[1].chain = TEXT("no chain");
    assert_int_equal(listener_set_new(&set, &from, why), -EINVAL);
    assert_non_null(strstr(why, "chain"));
    struct web_key *other;
    struct key *fresh;
    char pem[KEY_PEM_MAX];
    const char *because;
    size_t len;
    assert_int_equal(key_generate(&fresh), 0);
    assert_int_equal(key_to_pem(fresh, pem, sizeof pem, &len), 0);
    assert_int_equal(web_key_from_pem((struct text){pem, len}, &other, &because), 0);
    items[1] = of(443, "b.example");
    items[1].key = web_key_der(other);
    assert_int_equal(listener_set_new(&set, &from, why), -EINVAL);
    assert_non_null(strstr(why, "for another key"));
    web_key_unref(other);
    key_unref(fresh);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_most_precise_has_it),
        cmocka_unit_test(one_that_is_bad_refuses_all),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
