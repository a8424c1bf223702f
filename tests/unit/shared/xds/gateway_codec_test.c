/* A Gateway's certificates: there and back, and what is refused; nothing of a key stays. */
#include "shared/xds/gateway.h"
#include "tests/unit/shared/base/test.h"
#include <errno.h>

static const struct gateway_certificate good = {.port = 443, .host = TEXT("a.example"), .chain = TEXT("CHAIN"), .key = TEXT("\0KEY")};

static int there_and_back(const struct gateway_certificate *items, size_t n, const char *name, char why[static XDS_WHY_MAX])
{
    char *const identities[] = {(char *)"spiffe://td/ns/n/sa/s"};
    const struct gateway_certificates from = {.name = text_of(name), .items = items, .n = n, .identities = identities, .n_identities = 1};
    struct gateway_certificates back;
    struct xds_bytes bytes;
    assert_int_equal(xds_gateway_encode(&from, &bytes), 0);
    int r = xds_gateway_decode(bytes.data, bytes.len, &back, why);
    if (r == 0) {
        assert_true(text_equal(back.name, from.name));
        assert_int_equal(back.n, n);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(back.items[i].port, items[i].port);
            assert_true(text_equal(back.items[i].host, items[i].host));
            assert_true(text_equal(back.items[i].chain, items[i].chain));
            assert_true(text_equal(back.items[i].key, items[i].key));
        }
        assert_int_equal(back.n_identities, 1);
        assert_string_equal(back.identities[0], identities[0]);
        gateway_certificates_done(&back);
    }
    xds_secret_bytes_done(&bytes);
    assert_null(bytes.data);
    return r;
}

static void same_again(void **state)
{
    char why[XDS_WHY_MAX];
    struct gateway_certificate two[] = {good, good};
    (void)state;
    two[1].host = TEXT("");
    two[1].port = 65535;
    assert_int_equal(there_and_back(NULL, 0, "n/g", why), 0);
    assert_int_equal(there_and_back(two, 2, "n/g", why), 0);
}

static void what_is_refused(void **state)
{
    static char long_text[GATEWAY_CHAIN_MAX + 1];
    struct gateway_certificate many[GATEWAY_CERTIFICATES_MAX + 1];
    char why[XDS_WHY_MAX];
    (void)state;
    memset(long_text, 'x', sizeof long_text);
    for (size_t i = 0; i < ARRAY_SIZE(many); i++)
        many[i] = good;
    assert_int_equal(there_and_back(many, GATEWAY_CERTIFICATES_MAX, "n/g", why), 0);
    assert_int_equal(there_and_back(many, GATEWAY_CERTIFICATES_MAX + 1, "n/g", why), -EINVAL);
    assert_non_null(strstr(why, "too many"));
    assert_int_equal(there_and_back(&good, 1, "", why), -EINVAL);
    assert_non_null(strstr(why, "name"));
    const struct {
        struct gateway_certificate bad;
        const char *field;
    } cases[] = {
        {{.port = 0, .host = good.host, .chain = good.chain, .key = good.key}, "port"},
        {{.port = 1, .host = {long_text, GATEWAY_HOST_MAX + 1}, .chain = good.chain, .key = good.key}, "hostname"},
        {{.port = 1, .host = good.host, .chain = TEXT(""), .key = good.key}, "chain"},
        {{.port = 1, .host = good.host, .chain = {long_text, GATEWAY_CHAIN_MAX + 1}, .key = good.key}, "chain"},
        {{.port = 1, .host = good.host, .chain = good.chain, .key = TEXT("")}, "private_key"},
        {{.port = 1, .host = good.host, .chain = good.chain, .key = {long_text, GATEWAY_KEY_MAX + 1}}, "private_key"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_int_equal(there_and_back(&cases[i].bad, 1, "n/g", why), -EINVAL);
        if (!strstr(why, cases[i].field))
            fail_msg("%zu: %s", i, why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(same_again), cmocka_unit_test(what_is_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
