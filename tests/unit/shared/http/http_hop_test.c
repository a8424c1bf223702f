#include "shared/http/http_hop.h"
#include "tests/unit/shared/base/test.h"
#include <errno.h>

static struct http_head h;

static int end(void **state)
{
    (void)state;
    http_head_done(&h);
    return 0;
}

/* "name: value" lines. */
static void fill(const char *lines)
{
    struct text rest = text_of(lines), line, name, value;
    http_head_init(&h);
    while (text_split(rest, '\n', &line, &rest)) {
        assert_true(text_split(line, ':', &name, &value));
        assert_int_equal(http_head_add(&h, name, text_trim(value)), 0);
    }
}

static void holds(const char *expected)
{
    static char said[1000];
    struct text_out o = TEXT_OUT(said);
    for (size_t i = 0; i < h.n; i++) {
        text_put(&o, h.fields[i].name);
        text_putc(&o, '=');
        text_put(&o, h.fields[i].value);
        text_putc(&o, '|');
    }
    assert_string_equal(said, expected);
    http_head_done(&h);
}

static void the_connections_own(void **state)
{
    (void)state;
    fill(
        "Accept: x\nConnection: a, close,,B\nA: 1\nKeep-Alive: 5\nb: 2\nConnection: c\nC: 3\n"
        "Proxy-Connection: x\nUpgrade: h2c\nHTTP2-Settings: x\nD: 4\nTransfer-Encoding: chunked\n");
    assert_int_equal(http_hop_strip(&h), 0);
    holds("accept=x|d=4|");
    fill("TE: trailers, deflate;q=0.5\nX: y\n");
    assert_int_equal(http_hop_strip(&h), 0);
    holds("te=trailers|x=y|");
    fill("Connection: TE, connection\nTE: gzip\n");
    assert_int_equal(http_hop_strip(&h), 0);
    holds("");
    fill("X: y\n");
    assert_int_equal(http_hop_strip(&h), 0);
    holds("x=y|");
}

static void what_connection_must_not_name(void **state)
{
    (void)state;
    static const char *const names[] = {"content-length",
                                        "Content-Type",
                                        "Host",
                                        "HOST",
                                        "authorization",
                                        "Cookie",
                                        "set-cookie",
                                        "Transfer-Encoding",
                                        "X-Forwarded-For",
                                        "x_forwarded_client_cert",
                                        "x-envoy-anything",
                                        "X-Weir-Identity",
                                        "x-request-id",
                                        "a b",
                                        "\"a\"",
                                        ":path",
                                        "a;b"};
    static const char *const fine[] = {"close", "hosts", "authorizations", "x-forward", "x-hop"};
    char line[100];
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        snprintf(line, sizeof line, "connection: close, %s\n", names[i]);
        fill(line);
        if (http_hop_strip(&h) != -EINVAL)
            fail_msg("%s was named", names[i]);
        http_head_done(&h);
    }
    for (size_t i = 0; i < ARRAY_SIZE(fine); i++) {
        snprintf(line, sizeof line, "connection: %s\n%s: x\n", fine[i], fine[i]);
        fill(line);
        assert_int_equal(http_hop_strip(&h), 0);
        holds("");
    }
    fill("connection: a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a\n");
    assert_int_equal(http_hop_strip(&h), 0);
    http_head_done(&h);
    fill("connection: a,a,a,a,a,a,a,a\nconnection: a,a,a,a,a,a,a,a,a\n");
    assert_int_equal(http_hop_strip(&h), -EINVAL);
}

#define SAID                                                                                       \
    "A: 1\nX-Forwarded-Client-Cert: x\nx_forwarded_client_cert: x\nX-Weir-Who: x\n"                \
    "X-Envoy-Internal: x\nx-istio-attributes: x\nX-Forwarded-For: x\nX_Forwarded-Proto: x\n"       \
    "Forwarded: x\nX-Real-IP: x\nVia: x\nProxy-Authorization: x\nProxying: x\nViable: x\nX-Env: "  \
    "x\n"

static void which_are_the_connections(void **state)
{
    (void)state;
    assert_true(http_hop_is(TEXT("connection")));
    assert_true(http_hop_is(TEXT("Keep-Alive")));
    assert_false(http_hop_is(TEXT("te")));
    assert_false(http_hop_is(TEXT("connectio")));
    assert_false(http_hop_is(TEXT("connections")));
}

static void the_edge_of_trust(void **state)
{
    (void)state;
    fill(SAID);
    assert_int_equal(http_hop_strip_edge(&h, HTTP_HOP_ALL), 11);
    holds("a=1|proxying=x|viable=x|x-env=x|");
    fill(SAID);
    assert_int_equal(http_hop_strip_edge(&h, HTTP_HOP_IDENTITY), 3);
    assert_null(http_head_get(&h, TEXT("x-forwarded-client-cert")).data);
    assert_non_null(http_head_get(&h, TEXT("x-forwarded-for")).data);
    assert_int_equal(http_hop_strip_edge(&h, HTTP_HOP_ENVOY), 2);
    assert_int_equal(http_hop_strip_edge(&h, HTTP_HOP_PROXY), 1);
    assert_int_equal(http_hop_strip_edge(&h, HTTP_HOP_FORWARDED), 5);
    assert_int_equal(http_hop_strip_edge(&h, HTTP_HOP_ALL), 0);
    assert_int_equal(http_hop_strip_edge(&h, 0), 0);
    fill("traceparent: x\nTraceState: x\nb3: x\nX-B3-TraceId: x\nx_b3_sampled: x\nb32: x\ntracer: x\n");
    assert_int_equal(http_hop_strip_edge(&h, HTTP_HOP_ALL), 0);
    assert_int_equal(http_hop_strip_edge(&h, HTTP_HOP_TRACE), 5);
    holds("b32=x|tracer=x|");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(the_connections_own, end),
        cmocka_unit_test_teardown(what_connection_must_not_name, end),
        cmocka_unit_test(which_are_the_connections),
        cmocka_unit_test_teardown(the_edge_of_trust, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
