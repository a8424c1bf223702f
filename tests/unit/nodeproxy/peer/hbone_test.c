#include "nodeproxy/peer/hbone.h"
#include "tests/unit/shared/base/test.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static struct addr address(const char *text)
{
    struct addr a;
    assert_int_equal(addr_parse(text_of(text), &a), 0);
    return a;
}

/* ---- authority ------------------------------------------------------------------------------- */

static void authorities_that_are_addresses(void **state)
{
    static const struct {
        const char *text, *is;
    } table[] = {
        {"10.0.0.1:80", "10.0.0.1:80"},   {"10.0.0.1:65535", "10.0.0.1:65535"}, {"[::1]:1", "[::1]:1"},
        {"[fd00::2:5]:8080", "[fd00::2:5]:8080"}, {"[::ffff:10.0.0.1]:80", "10.0.0.1:80"}, {"[::FFFF:a00:1]:80", "10.0.0.1:80"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct hbone_authority a;
        struct addr is = address(table[i].is);
        assert_int_equal(hbone_authority_parse(text_of(table[i].text), &a), 0);
        assert_false(a.is_name);
        assert_true(addr_equal(&a.addr, &is));
    }
}

static void authorities_that_are_names(void **state)
{
    static const struct {
        const char *text, *host;
        uint16_t port;
    } table[] = {
        {"orders.shop.svc.cluster.local:80", "orders.shop.svc.cluster.local", 80},
        {"a:1", "a", 1},
        {"UPPER.case:443", "UPPER.case", 443},
        {"1password.com:443", "1password.com", 443},
        {"under_score-and-dash.x:65535", "under_score-and-dash.x", 65535},
    };
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct hbone_authority a;
        assert_int_equal(hbone_authority_parse(text_of(table[i].text), &a), 0);
        assert_true(a.is_name);
        assert_true(text_equal(a.host, text_of(table[i].host)));
        assert_int_equal(a.addr.port, table[i].port);
        assert_int_equal(a.addr.ip.len, 0);
    }
}

static void authorities_that_are_none(void **state)
{
    static const char *const table[] = {
        "",          ":",           ":80",         "a",           "a:",         "a:0",         "a:65536",      "a:-1",        "a: 80",        "a:80 ",
        "a:80:80",   "a b:80",      "a/b:80",      "user@a:80",   "http://a:80", "10.0.0.1",   "10.0.0.1:0",   "10.0.0.1:",   "10.0.0:80",    "10.0.0.256:80",
        "010.0.0.1:80", "1:80",     "....:80",     "::1:80",      "[::1]",      "[::1]:0",     "[::1]:80x",    "[::1",        "[::1]80",      "[fe80::1%eth0]:80",
        "[10.0.0.1]:80", "a,b:80",  "a?b:80",      "a#b:80",      "a\\b:80",    "\"a\":80",    "\xc3\xa4:80",  "a:0x50",      "a:+80",        "[]:80",
        "a:080000",  "*:80",        "a\tb:80",
    };
    char longest[300];
    struct hbone_authority a = {.is_name = true, .addr.port = 7};
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (hbone_authority_parse(text_of(table[i]), &a) != -EINVAL)
            fail_msg("'%s' was taken for an authority", table[i]);
    assert_int_equal(hbone_authority_parse((struct text){"a\0b:80", 6}, &a), -EINVAL);
    memset(longest, 'a', sizeof longest);
    memcpy(longest + 253, ":80", 4);
    assert_int_equal(hbone_authority_parse(text_of(longest), &(struct hbone_authority){0}), 0);
    memset(longest, 'a', sizeof longest);
    memcpy(longest + 254, ":80", 4);
    assert_int_equal(hbone_authority_parse(text_of(longest), &a), -EINVAL);
    assert_int_equal(a.addr.port, 7); /* untouched */
}

static void ports_of_the_proxy(void **state)
{
    (void)state;
    for (uint32_t port = 0; port < 65536; port++)
        assert_int_equal(hbone_port_is_own((uint16_t)port), port == 15001 || port == 15006 || port == 15008 || port == 15053);
}

/* ---- what we say ------------------------------------------------------------------------------- */

static struct text header(const struct hbone_request *r, const char *name)
{
    struct http2_header headers[8];
    size_t n = hbone_request_headers(r, headers, 8);
    for (size_t i = 0; i < n; i++)
        if (text_equal(headers[i].name, text_of(name)))
            return headers[i].value;
    return (struct text){NULL, 0};
}

static void assert_header(const struct hbone_request *r, const char *name, const char *value)
{
    struct text t = header(r, name);
    if (!text_equal(t, text_of(value)))
        fail_msg("%s is '%.*s', not '%s'", name, (int)t.len, t.data ? t.data : "", value);
}

static void is_hex(struct text t)
{
    for (size_t i = 0; i < t.len; i++)
        assert_true((t.data[i] >= '0' && t.data[i] <= '9') || (t.data[i] >= 'a' && t.data[i] <= 'f'));
}

static void the_request(void **state)
{
    struct hbone_request r, again;
    struct http2_header headers[8];
    struct rng rng;
    const struct addr to = address("10.0.2.5:8080"), from = address("[fd00::1]:32768"), to6 = address("[fd00::2]:9"), from4 = address("10.0.1.1:5");
    (void)state;
    rng_seed(&rng, 1);
    hbone_request_make(&r, &to, &from, TEXT(""), NULL, &rng);
    assert_header(&r, ":method", "CONNECT");
    assert_header(&r, ":authority", "10.0.2.5:8080");
    assert_header(&r, "forwarded", "for=\"[fd00::1]:32768\"");
    assert_null(header(&r, "baggage").data);
    assert_null(header(&r, ":scheme").data);
    assert_null(header(&r, ":path").data);
    struct text trace = header(&r, "traceparent"); /* W3C: 00-<32 hex>-<16 hex>-00 */
    assert_int_equal(trace.len, 55);
    assert_memory_equal(trace.data, "00-", 3);
    assert_memory_equal(trace.data + 52, "-00", 3);
    assert_int_equal(trace.data[35], '-');
    is_hex((struct text){trace.data + 3, 32});
    is_hex((struct text){trace.data + 36, 16});
    hbone_request_make(&again, &to6, &from4, TEXT("orders.shop"), NULL, &rng);
    assert_header(&again, ":authority", "[fd00::2]:9");
    assert_header(&again, "forwarded", "for=\"10.0.1.1:5\";host=orders.shop");
    assert_string_not_equal(again.traceparent, r.traceparent);
    assert_int_equal(hbone_request_headers(&r, headers, 2), 2);
    assert_true(text_equal(hbone_forwarded_host(header(&again, "forwarded")), TEXT("orders.shop")));
}

static void baggage(void **state)
{
    struct hbone_request r;
    struct rng rng;
    const struct addr a = address("10.0.0.1:1");
    struct workload *w = workload_new();
    static const struct {
        enum workload_type type;
        const char *baggage;
    } types[] = {{WORKLOAD_DEPLOYMENT, "k8s.deployment.name=cart"}, {WORKLOAD_CRONJOB, "k8s.cronjob.name=cart"}, {WORKLOAD_JOB, "k8s.job.name=cart"}, {WORKLOAD_POD, "k8s.pod.name=cart"}};
    (void)state;
    assert_non_null(w);
    rng_seed(&rng, 1);
    assert_int_equal(workload_set(&w->workload_name, TEXT("cart")), 0);
    for (size_t i = 0; i < 4; i++) {
        w->type = types[i].type;
        hbone_request_make(&r, &a, &a, TEXT(""), w, &rng);
        assert_header(&r, "baggage", types[i].baggage);
    }
    w->type = WORKLOAD_DEPLOYMENT;
    assert_int_equal(workload_set(&w->cluster_id, TEXT("Kubernetes")), 0);
    assert_int_equal(workload_set(&w->ns, TEXT("shop")), 0);
    assert_int_equal(workload_set(&w->canonical_name, TEXT("cart-app")), 0);
    assert_int_equal(workload_set(&w->canonical_revision, TEXT("v1")), 0);
    assert_int_equal(workload_set(&w->locality.region, TEXT("r1")), 0);
    assert_int_equal(workload_set(&w->locality.zone, TEXT("z1")), 0);
    hbone_request_make(&r, &a, &a, TEXT(""), w, &rng);
    assert_header(&r, "baggage", "k8s.cluster.name=Kubernetes,k8s.namespace.name=shop,k8s.deployment.name=cart,service.name=cart-app,service.version=v1,cloud.region=r1,cloud.availability_zone=z1");
    /* Nothing that would change the list's meaning gets in. */
    static const char *const evil[] = {"a,b=c", "a;p=1", "a b", "a\"", "a\\", "a%20", "\xc3\xa4", "a\nb"};
    for (size_t i = 0; i < sizeof evil / sizeof *evil; i++) {
        assert_int_equal(workload_set(&w->cluster_id, text_of(evil[i])), 0);
        hbone_request_make(&r, &a, &a, TEXT(""), w, &rng);
        assert_true(text_starts_with(header(&r, "baggage"), TEXT("k8s.namespace.name=shop,")));
    }
    workload_free(w);
}

/* However long the names are, all texts end in their memory, and what the reader gets is still well-formed. */
static void longest_names(void **state)
{
    static char name[4000];
    struct hbone_request r;
    struct rng rng;
    const struct addr a = address("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
    struct workload *w = workload_new();
    (void)state;
    assert_non_null(w);
    rng_seed(&rng, 1);
    memset(name, 'n', sizeof name - 1);
    for (size_t len = 1; len < sizeof name - 1; len += 97) {
        struct text t = {name, len};
        assert_int_equal(workload_set(&w->workload_name, t) | workload_set(&w->ns, t) | workload_set(&w->canonical_name, t), 0);
        hbone_request_make(&r, &a, &a, t, w, &rng);
        assert_true(strlen(r.forwarded) < sizeof r.forwarded && strlen(r.baggage) < sizeof r.baggage && strlen(r.authority) < sizeof r.authority);
        struct hbone_authority back;
        assert_int_equal(hbone_authority_parse(text_of(r.authority), &back), 0);
        assert_true(addr_equal(&back.addr, &a));
    }
    workload_free(w);
}

/* ---- what others say ---------------------------------------------------------------------------- */

static void forwarded_hosts(void **state)
{
    static const struct {
        const char *forwarded, *host; /* NULL: none */
    } table[] = {
        {"for=\"10.0.0.1:80\";host=orders.shop", "orders.shop"},
        {"for=\"10.0.0.1:80\";host=\"orders.shop\"", "orders.shop"},
        {"host=a", "a"},
        {" host=a ; for=b", "a"},
        {"for=a;host=", ""},
        {"for=a", NULL},
        {"", NULL},
        {";;;", NULL},
        {"for=\"host=x\"", NULL},
        {"xhost=a", NULL},
        {"host=\"", "\""},
        {"host=\"\"", ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct text host = hbone_forwarded_host(text_of(table[i].forwarded));
        if (!table[i].host)
            assert_null(host.data);
        else if (!host.data || !text_equal(host, text_of(table[i].host)))
            fail_msg("'%s' gives '%.*s'", table[i].forwarded, (int)host.len, host.data ? host.data : "");
    }
    assert_null(hbone_forwarded_host((struct text){NULL, 0}).data);
}

static void forwarded_clients(void **state)
{
    static const struct {
        const char *forwarded, *client; /* NULL: none */
    } table[] = {
        {"for=\"10.0.0.1:80\";host=orders.shop", "10.0.0.1:80"},
        {"host=orders.shop;for=\"[fd00::1]:32768\"", "[fd00::1]:32768"},
        {"for=10.0.0.1:80", "10.0.0.1:80"},
        {"for=\"10.0.0.1:0\"", NULL}, /* of nobody's connection: for requests of many */
        {"for=\"10.0.0.1\"", NULL},
        {"for=10.0.0.1:65536", NULL},
        {"for=\"10.0.0.1:80", NULL},
        {"for=unknown", NULL},
        {"for=", NULL},
        {"host=for=1", NULL},
        {"", NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct addr a = {.port = 7}, is = {.port = 7};
        if (table[i].client)
            is = address(table[i].client);
        assert_int_equal(hbone_forwarded_for(text_of(table[i].forwarded), &a), table[i].client ? 0 : -EINVAL);
        assert_true(addr_equal(&a, &is));
    }
}

static void statuses(void **state)
{
    static const struct {
        const char *text;
        unsigned status;
    } table[] = {{"200", 200}, {"503", 503}, {"099", 99}, {"20", 0}, {"2000", 0}, {"2x0", 0}, {"-20", 0}, {" 20", 0}, {"", 0}};
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const struct http2_header headers[] = {{TEXT("x"), TEXT("200")}, {TEXT(":status"), text_of(table[i].text)}};
        assert_int_equal(hbone_status(&(struct http2_head){headers, 2, false}), table[i].status);
        assert_int_equal(hbone_status(&(struct http2_head){headers, 1, false}), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(authorities_that_are_addresses),
        cmocka_unit_test(authorities_that_are_names),
        cmocka_unit_test(authorities_that_are_none),
        cmocka_unit_test(ports_of_the_proxy),
        cmocka_unit_test(the_request),
        cmocka_unit_test(baggage),
        cmocka_unit_test(longest_names),
        cmocka_unit_test(forwarded_hosts),
        cmocka_unit_test(forwarded_clients),
        cmocka_unit_test(statuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
