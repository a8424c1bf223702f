/* Who is told of a Gateway's certificates: whoever proves to be one of its pods, and nobody else; and that one of nothing else. */
#include "shared/xds/gateway.h"
#include "shared/xds/xds_client.h"
#include "tests/unit/controller/serve/ads_fixture.h"
#include <errno.h>
#include <stdio.h>

#define FRONT "spiffe://td/ns/shop/sa/front"
#define OTHER "spiffe://td/ns/shop/sa/other"
struct client {
    struct xds_client xds;
    char story[512];
    struct text_out out;
    unsigned closed;
};

static int put(struct xds_client *c, enum xds_type type, struct text name, const uint8_t *body, size_t len,
               char why[static XDS_WHY_MAX])
{
    struct client *f = c->user;
    struct gateway_certificates got = {.n = 0};
    if (type == XDS_GATEWAY)
        assert_int_equal(xds_gateway_decode(body, len, &got, why), 0);
    text_printf(&f->out, "+%.*s:%.*s ", (int)name.len, name.data, got.n ? (int)got.items[0].key.len : 0,
                got.n ? got.items[0].key.data : "");
    gateway_certificates_done(&got);
    return 0;
}

static void removed(struct xds_client *c, enum xds_type type, struct text name)
{
    struct client *f = c->user;
    (void)type;
    text_printf(&f->out, "-%.*s ", (int)name.len, name.data);
}

static void synced(struct xds_client *c, enum xds_type type)
{
    (void)c, (void)type;
}

static void closed(struct xds_client *c, enum grpc_status status, struct text message)
{
    struct client *f = c->user;
    (void)status, (void)message;
    f->closed++;
}

static const struct xds_client_events events = {put, removed, synced, closed};

static void client_open(struct client *f, struct wire *w, unsigned types)
{
    *f = (struct client){.closed = 0};
    f->out = TEXT_OUT(f->story);
    xds_client_init(&f->xds, "node-a", types, &events, f);
    assert_int_equal(xds_client_start(&f->xds, w->client, &w->pool, TEXT("controller"), TEXT("")), 0);
    wire_run(w);
}

static void told(struct client *f, const char *wanted)
{
    assert_string_equal(f->story, wanted);
    f->out = TEXT_OUT(f->story);
}

static void set_certificates(struct control *c, const char *name, const char *identity, const char *key)
{
    char *identities[] = {(char *)identity};
    const struct gateway_certificate item = {.port = 443, .host = TEXT(""), .chain = TEXT("chain"), .key = text_of(key)};
    const struct gateway_certificates from = {.name = text_of(name), .items = &item, .n = 1, .identities = identities, .n_identities = 1};
    struct xds_bytes body;
    struct resource *r;
    assert_int_equal(xds_gateway_encode(&from, &body), 0);
    assert_int_equal(resource_of_gateway(from.name, identities, 1, &body, &r), 0);
    assert_null(body.data);
    assert_true(catalog_put(&c->catalog, r) >= 0);
}

static void only_its_pods(void **state)
{
    static const char *const who[] = {FRONT, OTHER, NULL};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct control c;
        struct wire w;
        struct client f;
        control_open(&c);
        set_certificates(&c, "shop/front", FRONT, "one");
        wire_open(&w, &c.ads);
        w.gateway = who[i];
        client_open(&f, &w, 1 << XDS_GATEWAY);
        told(&f, i == 0 ? "+shop/front:one " : "");
        set_certificates(&c, "shop/front", FRONT, "two");
        ads_push(&c.ads, 1);
        wire_run(&w);
        told(&f, i == 0 ? "+shop/front:two " : "");
        /* Now it is another one's. */
        set_certificates(&c, "shop/front", OTHER, "three");
        ads_push(&c.ads, 1);
        wire_run(&w);
        told(&f, i == 0 ? "-shop/front " : i == 1 ? "+shop/front:three " : "");
        assert_int_equal(f.closed, 0);
        xds_client_done(&f.xds);
        wire_close(&w);
        control_close(&c);
    }
}

/* What they leave unacknowledged keeps no node proxy waiting: half of the room is for these alone. */
static void they_wait_for_node_proxies(void **state)
{
    struct control c;
    struct wire w;
    struct client f;
    (void)state;
    control_open(&c);
    set_certificates(&c, "shop/front", FRONT, "one");
    wire_open(&w, &c.ads);
    w.gateway = FRONT;
    c.ads.flight_bytes = ADS_FLIGHT_BYTES_MAX / 2 + 1;
    client_open(&f, &w, 1 << XDS_GATEWAY);
    told(&f, "");
    c.ads.flight_bytes = ADS_FLIGHT_BYTES_MAX / 2;
    ads_tick(&c.ads, 1);
    wire_run(&w);
    told(&f, "+shop/front:one ");
    c.ads.flight_bytes = 0;
    xds_client_done(&f.xds);
    wire_close(&w);
    control_close(&c);
}

/* Not by the name that it has, either, nor by that of its identity. */
static void nobody_by_its_name(void **state)
{
    static const char *const names[] = {"shop/front", FRONT, "*"};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct catalog catalog;
        struct interest s;
        struct interest_answer a;
        struct control c;
        control_open(&c);
        set_certificates(&c, "shop/front", FRONT, "one");
        catalog = c.catalog;
        for (unsigned own = 0; own < 2; own++) {
            char *subscribe[] = {(char *)names[i]};
            const struct delta_request q = {.subscribe = subscribe, .n_subscribe = 1};
            interest_init(&s, XDS_GATEWAY, 10);
            s.identity = own ? FRONT : OTHER;
            assert_int_equal(interest_request(&s, &catalog, &q), 0);
            assert_true(interest_answer(&s, &catalog, true, &a) >= 0);
            assert_int_equal(a.n_resources, own);
            interest_answer_done(&a);
            interest_done(&s);
        }
        control_close(&c);
    }
}

static void its_pods_are_told_of_nothing_else(void **state)
{
    struct control c;
    struct wire w;
    struct client f;
    (void)state;
    control_open(&c);
    control_change(&c, "{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: shop}, spec: {nodeName: n}, status: {podIP: 10.0.0.1, phase: Running}}");
    set_certificates(&c, "shop/front", FRONT, "one");
    wire_open(&w, &c.ads);
    w.gateway = FRONT;
    client_open(&f, &w, XDS_MESH_AND_ROUTES | 1 << XDS_GATEWAY);
    told(&f, "+shop/front:one ");
    xds_client_done(&f.xds);
    wire_close(&w);
    control_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_its_pods),
        cmocka_unit_test(they_wait_for_node_proxies),
        cmocka_unit_test(nobody_by_its_name),
        cmocka_unit_test(its_pods_are_told_of_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
