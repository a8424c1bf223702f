#include "shared/base/addr.h"
#include "tests/unit/shared/base/test.h"

#include <errno.h>

static struct ip ip_of(const char *s)
{
    struct ip ip;
    assert_int_equal(ip_parse(text_of(s), &ip), 0);
    return ip;
}

static void reads_and_prints(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out; /* out NULL: refused */
    } cases[] = {
        {"10.1.2.3", "10.1.2.3"},
        {"0.0.0.0", "0.0.0.0"},
        {"255.255.255.255", "255.255.255.255"},
        {"::", "::"},
        {"::1", "::1"},
        {"2001:DB8:0:0:0:0:0:1", "2001:db8::1"},
        {"::ffff:10.1.2.3", "10.1.2.3"},
        {"::ffff:0a01:0203", "10.1.2.3"},
        {"64:ff9b::10.1.2.3", "64:ff9b::a01:203"},
        {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
        {"", NULL},
        {"10.1.2", NULL},
        {"10.1.2.256", NULL},
        {"10.1.2.3.4", NULL},
        {"10.1.2.3 ", NULL},
        {"010.1.2.3", NULL},
        {"0x0a.1.2.3", NULL},
        {"[::1]", NULL},
        {"fe80::1%eth0", NULL},
        {":::", NULL},
        {"localhost", NULL},
        {"1111:2222:3333:4444:5555:6666:7777:8888:9999:0000:1111", NULL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char out[IP_TEXT_MAX];
        struct ip ip = {.len = 77};
        print_message("  \"%s\"\n", cases[i].in);
        int r = ip_parse(text_of(cases[i].in), &ip);
        assert_int_equal(r, cases[i].out ? 0 : -EINVAL);
        if (r == 0)
            assert_string_equal(ip_print(&ip, out), cases[i].out);
        else
            assert_int_equal(ip.len, 77);
    }
    struct ip ip;
    assert_int_equal(ip_parse((struct text){"10.0.0.1\0", 9}, &ip), -EINVAL);
    assert_int_equal(ip_parse((struct text){"10.0.0.19", 8}, &ip), 0); /* not a byte too far */
    assert_int_equal(ip.bytes[3], 1);
    char out[IP_TEXT_MAX];
    assert_string_equal(ip_print(&(struct ip){0}, out), "");
}

static void reads_endpoints(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"1.2.3.4:5", "1.2.3.4:5"},
        {"1.2.3.4:65535", "1.2.3.4:65535"},
        {"[::1]:80", "[::1]:80"},
        {"[::ffff:1.2.3.4]:80", "1.2.3.4:80"},
        {"[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
         "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"},
        {"1.2.3.4:65536", NULL},
        {"1.2.3.4:", NULL},
        {"1.2.3.4", NULL},
        {"::1:80", NULL},
        {"[::1]", NULL},
        {"[::1]80", NULL},
        {"[::1:80", NULL},
        {"[1.2.3.4]:80", NULL},
        {":80", NULL},
        {"", NULL},
        {"[", NULL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char out[ADDR_TEXT_MAX];
        struct addr a;
        print_message("  \"%s\"\n", cases[i].in);
        int r = addr_parse(text_of(cases[i].in), &a);
        assert_int_equal(r, cases[i].out ? 0 : -EINVAL);
        if (r == 0)
            assert_string_equal(addr_print(&a, out), cases[i].out);
    }
}

static void goes_through_sockaddr(void **state)
{
    (void)state;
    static const char *const texts[] = {"10.1.2.3:80", "[2001:db8::1]:15008"};

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct sockaddr_storage ss;
        struct addr a, b;
        assert_int_equal(addr_parse(text_of(texts[i]), &a), 0);
        socklen_t len = addr_to_sockaddr(&a, &ss);
        assert_int_equal(len, i == 0 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
        assert_int_equal(ss.ss_family, ip_family(&a.ip));
        addr_from_sockaddr((const struct sockaddr *)&ss, &b);
        assert_true(addr_equal(&a, &b));
    }
    /* A dual-stack listener sees IPv4 peers as mapped ones. */
    struct sockaddr_in6 mapped = {.sin6_family = AF_INET6, .sin6_port = htons(7)};
    static const uint8_t bytes[16] = {[10] = 0xff, 0xff, 10, 1, 2, 3};
    memcpy(&mapped.sin6_addr, bytes, 16);
    struct addr a, expected;
    addr_from_sockaddr((const struct sockaddr *)&mapped, &a);
    assert_int_equal(addr_parse(TEXT("10.1.2.3:7"), &expected), 0);
    assert_true(addr_equal(&a, &expected));

    struct sockaddr other = {.sa_family = AF_UNIX};
    addr_from_sockaddr(&other, &a);
    assert_int_equal(a.ip.len, 0);
    struct sockaddr_storage ss;
    assert_int_equal(addr_to_sockaddr(&a, &ss), 0);
}

static void keys_are_the_same_for_equal_ones(void **state)
{
    (void)state;
    static const char *const texts[] = {"10.0.0.1:80",   "10.0.0.2:80",         "10.0.0.1:81",
                                        "10.0.0.1:336",  "[a00:1::]:80",        "[a00:1::]:81",
                                        "[a00:1::1]:80", "[::ffff:10.0.0.1]:80"};
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        for (size_t k = 0; k < ARRAY_SIZE(texts); k++) {
            char keys[2][ADDR_KEY_BYTES];
            struct addr a, b;
            assert_int_equal(addr_parse(text_of(texts[i]), &a), 0);
            assert_int_equal(addr_parse(text_of(texts[k]), &b), 0);
            assert_int_equal(text_equal(addr_key(&a, keys[0]), addr_key(&b, keys[1])),
                             addr_equal(&a, &b));
        }
    }
}

static void knows_special_addresses(void **state)
{
    (void)state;
    struct ip any4 = ip_of("0.0.0.0"), any6 = ip_of("::"), lo4 = ip_of("127.9.9.9"),
              lo6 = ip_of("::1"), other = ip_of("128.0.0.1"), none = {0};

    assert_true(ip_is_any(&any4) && ip_is_any(&any6));
    assert_false(ip_is_any(&lo6) || ip_is_any(&none));
    assert_true(ip_is_loopback(&lo4) && ip_is_loopback(&lo6));
    assert_false(ip_is_loopback(&other) || ip_is_loopback(&any6) || ip_is_loopback(&none));
    assert_false(ip_equal(&any4, &any6));
    assert_int_equal(ip_from_bytes("12345", 5, &other), -EINVAL);
}

static void reads_prefixes(void **state)
{
    (void)state;
    static const struct {
        const char *in, *network;
        unsigned bits;
    } cases[] = {
        {"10.0.0.0/8", "10.0.0.0", 8},
        {"10.1.2.3/8", "10.0.0.0", 8},
        {"10.255.255.255/9", "10.128.0.0", 9},
        {"10.1.2.3", "10.1.2.3", 32},
        {"0.0.0.0/0", "0.0.0.0", 0},
        {"::/0", "::", 0},
        {"2001:db8::1/33", "2001:db8::", 33},
        {"::1", "::1", 128},
        {"::ffff:10.0.0.0/104", "10.0.0.0", 8},
        {"::ffff:0.0.0.0/96", "0.0.0.0", 0},
        {"::ffff:10.0.0.0/95", NULL, 0},
        {"10.0.0.0/33", NULL, 0},
        {"::/129", NULL, 0},
        {"10.0.0.0/", NULL, 0},
        {"10.0.0.0/-1", NULL, 0},
        {"/8", NULL, 0},
        {"10.0.0.0/8/8", NULL, 0},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct prefix p;
        print_message("  \"%s\"\n", cases[i].in);
        int r = prefix_parse(text_of(cases[i].in), &p);
        assert_int_equal(r, cases[i].network ? 0 : -EINVAL);
        if (r < 0)
            continue;
        struct ip network = ip_of(cases[i].network);
        assert_true(ip_equal(&p.ip, &network));
        assert_int_equal(p.bits, cases[i].bits);
    }
}

/* Bit by bit. */
static bool naive_contains(const uint8_t *network, unsigned bits, const uint8_t *ip)
{
    for (unsigned i = 0; i < bits; i++) {
        unsigned a = network[i / 8] >> (7 - i % 8) & 1u, b = ip[i / 8] >> (7 - i % 8) & 1u;
        if (a != b)
            return false;
    }
    return true;
}

static void contains_as_bit_by_bit(void **state)
{
    (void)state;
    struct rng rng;
    size_t n_inside = 0;

    test_seed(&rng);
    for (int i = 0; i < 20000; i++) {
        size_t len = rng_below(&rng, 2) ? 4 : 16;
        uint8_t network[16], ip[16];
        char text[ADDR_TEXT_MAX + 8], out[IP_TEXT_MAX];
        for (size_t k = 0; k < len; k++)
            network[k] = ip[k] = (uint8_t)rng_u64(&rng);
        size_t flip = rng_below(&rng, len * 8); /* one bit differs */
        ip[flip / 8] ^= (uint8_t)(0x80u >> flip % 8);
        unsigned bits = (unsigned)rng_below(&rng, len * 8 + 1);

        struct ip a, b;
        struct prefix p;
        assert_int_equal(ip_from_bytes(network, len, &a), 0);
        assert_int_equal(ip_from_bytes(ip, len, &b), 0);
        (void)snprintf(text, sizeof text, "%s/%u", ip_print(&a, out), bits);
        assert_int_equal(prefix_parse(text_of(text), &p), 0);
        assert_true(prefix_contains(&p, &a));
        bool inside = naive_contains(network, bits, ip);
        assert_int_equal(prefix_contains(&p, &b), inside);
        n_inside += inside;
    }
    assert_true(n_inside > 1000 && n_inside < 19000);

    struct prefix p;
    struct ip six = ip_of("::1"), none = {0};
    assert_int_equal(prefix_parse(TEXT("0.0.0.0/0"), &p), 0);
    assert_false(prefix_contains(&p, &six) || prefix_contains(&p, &none));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_and_prints),
        cmocka_unit_test(reads_endpoints),
        cmocka_unit_test(goes_through_sockaddr),
        cmocka_unit_test(keys_are_the_same_for_equal_ones),
        cmocka_unit_test(knows_special_addresses),
        cmocka_unit_test(reads_prefixes),
        cmocka_unit_test(contains_as_bit_by_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
