/* Envoy's resources of layer 7: what is refused names its place, what is taken is the same after a way
 * over the wire. (tests/fuzz/fuzz_xds_routing.c goes over every field.) */
#include "shared/xds/routing.h"
#include "tests/unit/shared/base/test.h"
#include <errno.h>

static void refused(const struct xds_bytes *b, enum xds_type type, const char *wanted)
{
    char why[XDS_WHY_MAX] = "";
    struct api_listener l;
    struct route_table *t;
    struct cluster *c;
    struct endpoints *e;
    int r = type == XDS_LISTENER  ? xds_listener_decode(b->data, b->len, &l, why)
            : type == XDS_ROUTES  ? xds_routes_decode(b->data, b->len, &t, why)
            : type == XDS_CLUSTER ? xds_cluster_decode(b->data, b->len, &c, why)
                                  : xds_endpoints_decode(b->data, b->len, &e, why);
    assert_int_equal(r, -EINVAL);
    assert_string_equal(why, wanted);
}

#define REFUSED(type, bytes, wanted)                                                               \
    refused(&(struct xds_bytes){(uint8_t *)(bytes), sizeof(bytes) - 1}, type, wanted)

static void what_is_refused_is_named(void **state)
{
    (void)state;
    /* Fields that nobody here knows, and one that is known and not supported. */
    REFUSED(XDS_CLUSTER,
            "\x0a\x01"
            "c\xfa\x3f\x01x",
            "field 1023: is not known here");
    REFUSED(XDS_ROUTES, "\x0a\x01r\x4a\x00", "vhds: is not supported here");
    /* The second virtual host's first route's first header has such a field. */
    REFUSED(XDS_ROUTES,
            "\x12\x03\x0a\x01"
            "a\x12\x0b\x0a\x01"
            "b\x1a\x06\x0a\x04\x32\x02\xba\x3e",
            "virtual_hosts[1].routes[0].match.headers[0].field 999: is not known here");
    REFUSED(XDS_ROUTES,
            "\x12\x05\x0a\x01"
            "a\x1a\x00",
            "virtual_hosts[0].routes[0].match: is missing");
    REFUSED(XDS_ROUTES,
            "\x32\x08\x0a\x06\x0a\x01"
            "a\x12\x01%",
            "request_headers_to_add[0].header.value: %...% is not supported here");
    REFUSED(XDS_ENDPOINTS,
            "\x0a\x01"
            "c\x12\x02\x28\x02",
            "endpoints: has priority 2 and none with priority 0");
    REFUSED(XDS_LISTENER, "\x0a\x01l", "api_listener.api_listener: is missing");
}

static void a_listener(void **state)
{
    char why[XDS_WHY_MAX];
    struct xds_bytes b;
    struct api_listener l = {(char *)"cart:80", (char *)"outbound|80||cart"}, back;
    (void)state;
    assert_int_equal(xds_listener_encode(&l, &b), 0);
    assert_int_equal(xds_listener_decode(b.data, b.len, &back, why), 0);
    assert_string_equal(back.name, l.name);
    assert_string_equal(back.routes, l.routes);
    api_listener_done(&back);
    xds_bytes_done(&b);
}

static void a_split(void **state)
{
    char why[XDS_WHY_MAX];
    struct xds_bytes b;
    struct text any = TEXT("*");
    struct header_edit edit = {HEADER_SET, TEXT("x-a"), TEXT("50%")};
    struct label subset = {TEXT("version"), TEXT("v2")};
    struct route_backend backends[2] = {{.cluster = TEXT("one"), .weight = 70},
                                        {.cluster = TEXT("two"),
                                         .weight = 30,
                                         .subset = &subset,
                                         .n_subset = 1,
                                         .edits.request = {.put = &edit, .n_put = 1}}};
    struct label web = {TEXT("app"), TEXT("web")};
    struct route route = {
        .match = {.path = {.kind = PATH_SEPARATED, .value = TEXT("/a")},
                  .source = {.ns = TEXT("shop"), .labels = &web, .n_labels = 1}},
        .action = {.kind = ROUTE_FORWARD,
                   .forward = {.backends = backends,
                               .n_backends = 2,
                               .no_cluster_status = 503,
                               .timeout_ms = 1500,
                               .path = {.kind = REWRITE_WHOLE, .value = TEXT("/a\\b")}}}};
    struct virtual_host host = {
        .name = TEXT("h"), .domains = &any, .n_domains = 1, .routes = &route, .n_routes = 1};
    const struct route_table table = {.name = TEXT("t"), .hosts = &host, .n_hosts = 1};
    struct route_table *back;
    (void)state;
    assert_int_equal(xds_routes_encode(&table, &b), 0);
    /* total_weight, since grpc-js takes its own where it is absent */
    assert_non_null(memmem(b.data, b.len, "\x1a\x02\x08\x64", 4));
    if (xds_routes_decode(b.data, b.len, &back, why) < 0)
        fail_msg("%s", why);
    const struct route *r = &back->hosts[0].routes[0];
    const struct route_forward *f = &r->action.forward;
    assert_int_equal(r->match.path.kind, PATH_SEPARATED);
    assert_true(text_equal(r->match.source.ns, TEXT("shop")));
    assert_int_equal(r->match.source.n_labels, 1);
    assert_true(text_equal(r->match.source.labels[0].value, TEXT("web")));
    assert_int_equal(f->n_backends, 2);
    assert_int_equal(f->backends[1].weight, 30);
    assert_true(text_equal(f->backends[1].subset[0].value, TEXT("v2")));
    assert_int_equal(f->backends[1].edits.request.put[0].kind, HEADER_SET);
    assert_true(text_equal(f->backends[1].edits.request.put[0].value, TEXT("50%")));
    assert_int_equal(f->timeout_ms, 1500);
    assert_int_equal(f->path.kind, REWRITE_WHOLE);
    assert_true(text_equal(f->path.value, TEXT("/a\\b")));
    route_table_unref(back);
    xds_bytes_done(&b);
}

static void a_cluster(void **state)
{
    char why[XDS_WHY_MAX];
    struct xds_bytes b;
    struct cluster *c = cluster_new(CLUSTER_BYTES_MAX), *back;
    (void)state;
    c->name = c->eds_name = TEXT("c");
    c->balance.kind = BALANCE_LEAST_REQUEST;
    c->balance.choices = 3;
    c->breaker[1].max[BREAKER_REQUESTS] = 7;
    c->outlier_detection = true;
    outlier_settings_init(&c->outlier);
    c->outlier.consecutive_5xx = 2;
    c->tls.kind = TLS_MESH;
    c->protocol = UPSTREAM_HTTP2;
    c->concurrent_streams_max = 50;
    assert_int_equal(xds_cluster_encode(c, &b), 0);
    if (xds_cluster_decode(b.data, b.len, &back, why) < 0)
        fail_msg("%s", why);
    assert_int_equal(back->kind, CLUSTER_EDS);
    assert_int_equal(back->balance.kind, BALANCE_LEAST_REQUEST);
    assert_int_equal(back->balance.choices, 3);
    assert_memory_equal(back->breaker, c->breaker, sizeof c->breaker);
    assert_memory_equal(&back->outlier, &c->outlier, sizeof c->outlier);
    assert_int_equal(back->tls.kind, TLS_MESH);
    assert_int_equal(back->protocol, UPSTREAM_HTTP2);
    assert_int_equal(back->concurrent_streams_max, 50);
    cluster_free(back);
    cluster_free(c);
    xds_bytes_done(&b);
}

/* What is ours rides along in types that everybody has: Envoy dumps nothing at all where it meets an Any of another one. */
static void ours_is_no_any(void **state)
{
    static struct locality_share to = {TEXT("r/b"), 100};
    static struct locality_distribute from = {TEXT("r/a"), &to, 1};
    static const char any[] = "type.googleapis.com/weir";
    struct cluster *c = cluster_new(CLUSTER_BYTES_MAX), *back;
    struct xds_bytes b;
    char why[XDS_WHY_MAX] = "";
    (void)state;
    assert_non_null(c);
    c->name = arena_text(&c->arena, TEXT("c"));
    c->kind = CLUSTER_EDS;
    c->locality = (struct locality_lb){.said = true, .distribute = &from, .n_distribute = 1};
    assert_int_equal(cluster_finish(c, why), 0);
    assert_int_equal(xds_cluster_encode(c, &b), 0);
    assert_null(memmem(b.data, b.len, any, sizeof any - 1));
    assert_non_null(memmem(b.data, b.len, "weir.traffic.LocalityLb", 23));
    assert_int_equal(xds_cluster_decode(b.data, b.len, &back, why), 0);
    assert_true(back->locality.said);
    assert_int_equal(back->locality.n_distribute, 1);
    assert_true(text_equal(back->locality.distribute[0].to[0].to, TEXT("r/b")));
    cluster_unref(back);
    /* A digit that is none. */
    char *digits = memmem(b.data, b.len, "LocalityLb", 10);
    assert_non_null(digits);
    digits[10 + 4 + 2] = 'x';
    assert_int_equal(xds_cluster_decode(b.data, b.len, &back, why), -EINVAL);
    assert_string_equal(why, "metadata.filter_metadata.weir.mesh/locality: is not written in hexadecimal digits");
    xds_bytes_done(&b);
    cluster_unref(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_refused_is_named),
        cmocka_unit_test(a_listener),
        cmocka_unit_test(a_split),
        cmocka_unit_test(a_cluster),
        cmocka_unit_test(ours_is_no_any),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
