#include "shared/xds/xds.h"

#include "tests/unit/shared/base/failing_alloc.h"
#include "tests/unit/shared/mesh/nouns.h"
#include "tests/unit/shared/xds/wire_writer.h"

#include <errno.h>

/* Decodes what must be a workload, or must be a service. */
static struct workload *decode_workload(const uint8_t *data, size_t len)
{
    struct workload *w = NULL;
    struct service *s = NULL;
    char why[XDS_WHY_MAX] = "";

    int r = xds_address_decode(data, len, &w, &s, why);
    if (r < 0)
        fail_msg("%s", why);
    assert_non_null(w);
    assert_null(s);
    return w;
}

static struct service *decode_service(const uint8_t *data, size_t len)
{
    struct workload *w = NULL;
    struct service *s = NULL;
    char why[XDS_WHY_MAX] = "";

    int r = xds_address_decode(data, len, &w, &s, why);
    if (r < 0)
        fail_msg("%s", why);
    assert_non_null(s);
    assert_null(w);
    return s;
}

/* -EINVAL, and the reason speaks of `field`; nothing is returned. */
static void refused(const uint8_t *data, size_t len, const char *field)
{
    struct workload *w = (void *)&len;
    struct service *s = (void *)&len;
    char why[XDS_WHY_MAX] = "";
    uint8_t *copy = exact_copy(data, len);

    assert_int_equal(xds_address_decode(copy, len, &w, &s, why), -EINVAL);
    assert_ptr_equal(w, &len);
    assert_ptr_equal(s, &len);
    if (!strstr(why, field))
        fail_msg("the reason '%s' does not speak of '%s'", why, field);
    free(copy);
}

static void there_and_back(void **state)
{
    struct rng rng;

    (void)state;
    test_seed(&rng);
    for (unsigned i = 0; i < 20000; i++) {
        struct xds_bytes bytes;
        struct workload *w = random_workload(&rng, i, 50, 8), *w_back;
        struct service *s = random_service(&rng, i, 50), *s_back;
        assert_int_equal(xds_workload_encode(w, &bytes), 0);
        w_back = decode_workload(bytes.data, bytes.len);
        assert_true(workload_equal(w, w_back));
        xds_bytes_done(&bytes);
        assert_null(bytes.data);
        assert_int_equal(xds_service_encode(s, &bytes), 0);
        s_back = decode_service(bytes.data, bytes.len);
        assert_true(service_equal(s, s_back));
        xds_bytes_done(&bytes);
        (void)workload_free(w);
        (void)workload_free(w_back);
        (void)service_free(s);
        (void)service_free(s_back);
    }
}

/* Field by field from the public table of numbers, as another encoder writes it. */
static void reads_what_others_write(void **state)
{
    struct wire_writer w = {0}, inner = {0}, port = {0}, list = {0}, entry = {0}, sub = {0};
    static const uint8_t v6[16] = {0xfd, [15] = 7}, v4[4] = {10, 0, 0, 7};
    static const uint8_t mapped[16] = {[10] = 0xff, [11] = 0xff, 10, 0, 0, 8};

    (void)state;
    field_text(&w, 1, "web");
    field_text(&w, 2, "shop");
    field_bytes(&w, 3, v4, 4);
    field_bytes(&w, 3, v6, 16);
    field_bytes(&w, 3, mapped, 16);
    field_text(&w, 4, "n");
    field_number(&w, 5, 1);
    field_text(&w, 6, "td");
    field_text(&w, 7, "sa");
    field_text(&w, 9, "node-a");
    field_text(&w, 10, "canonical");
    field_text(&w, 11, "v1");
    field_number(&w, 12, 2);
    field_text(&w, 13, "deployment");
    field_number(&w, 14, 1);
    field_text(&w, 16, "shop/p");
    field_number(&w, 17, 1);
    field_text(&w, 18, "cluster");
    field_text(&w, 20, "uid");
    field_text(&w, 21, "host");
    field_number(&port, 1, 80);
    field_number(&port, 2, 8080);
    field_number(&port, 3, 1);
    field_message(&list, 1, &port);
    field_text(&entry, 1, "shop/cart.shop");
    field_message(&entry, 2, &list);
    field_message(&w, 22, &entry);
    field_text(&sub, 1, "r");
    field_text(&sub, 2, "z");
    field_text(&sub, 3, "s");
    field_message(&w, 24, &sub);
    field_number(&w, 25, 1);
    sub.len = 0;
    field_number(&sub, 1, 3);
    field_message(&w, 27, &sub);
    unknown_fields(&w);
    field_message(&inner, 1, &w);
    unknown_fields(&inner);

    struct workload *got = decode_workload(inner.data, inner.len);
    assert_string_equal(got->name, "web");
    assert_string_equal(got->ns, "shop");
    assert_int_equal(got->n_addresses, 3);
    assert_memory_equal(got->addresses[0].bytes, v4, 4);
    assert_int_equal(got->addresses[1].len, 16);
    assert_memory_equal(got->addresses[1].bytes, v6, 16);
    assert_int_equal(got->addresses[2].len, 4); /* ::ffff:10.0.0.8 is 10.0.0.8 */
    assert_int_equal(got->addresses[2].bytes[3], 8);
    assert_string_equal(got->network, "n");
    assert_int_equal(got->tunnel, TUNNEL_HBONE);
    assert_string_equal(got->trust_domain, "td");
    assert_string_equal(got->service_account, "sa");
    assert_string_equal(got->node, "node-a");
    assert_string_equal(got->canonical_name, "canonical");
    assert_string_equal(got->canonical_revision, "v1");
    assert_int_equal(got->type, WORKLOAD_POD);
    assert_string_equal(got->workload_name, "deployment");
    assert_true(got->native_tunnel);
    assert_int_equal(got->n_policies, 1);
    assert_string_equal(got->policies[0], "shop/p");
    assert_false(got->healthy);
    assert_string_equal(got->cluster_id, "cluster");
    assert_string_equal(got->uid, "uid");
    assert_string_equal(got->hostname, "host");
    assert_int_equal(got->n_services, 1);
    assert_string_equal(got->services[0].key, "shop/cart.shop");
    assert_int_equal(got->services[0].n_ports, 1);
    assert_int_equal(got->services[0].ports[0].service_port, 80);
    assert_int_equal(got->services[0].ports[0].target_port, 8080);
    assert_int_equal(got->services[0].ports[0].app_protocol, 1);
    assert_string_equal(got->locality.region, "r");
    assert_string_equal(got->locality.zone, "z");
    assert_string_equal(got->locality.subzone, "s");
    assert_true(got->host_network);
    assert_int_equal(got->capacity, 3);
    (void)workload_free(got);
}

static void reads_a_service_of_others(void **state)
{
    struct wire_writer s = {0}, address = {0}, port = {0}, lb = {0}, range = {0}, outer = {0};
    static const uint8_t ip[4] = {10, 96, 0, 1}, net[4] = {10, 97, 0, 0};

    (void)state;
    field_text(&s, 1, "cart");
    field_text(&s, 2, "shop");
    field_text(&s, 3, "cart.shop.svc.cluster.local");
    field_text(&address, 1, "net");
    field_bytes(&address, 2, ip, 4);
    field_number(&address, 3, 32);
    field_message(&s, 4, &address);
    field_bytes(&range, 2, net, 4);
    field_number(&range, 3, 16); /* a range: left out */
    field_message(&s, 4, &range);
    field_number(&port, 1, 80);
    field_number(&port, 2, 8080);
    field_message(&s, 5, &port);
    field_text(&s, 6, "spiffe://td/ns/shop/sa/cart");
    /* routing_preference packed, as proto3 writes it, and once more by itself */
    static const uint8_t packed[] = {6, 1};
    field_bytes(&lb, 1, packed, 2);
    field_number(&lb, 1, 2);
    field_number(&lb, 2, 2);
    field_number(&lb, 3, 1);
    field_message(&s, 8, &lb);
    field_number(&s, 9, 3);
    field_number(&s, 11, 1);
    unknown_fields(&s);
    field_message(&outer, 2, &s);

    struct service *got = decode_service(outer.data, outer.len);
    assert_string_equal(got->name, "cart");
    assert_string_equal(got->key, "shop/cart.shop.svc.cluster.local");
    assert_int_equal(got->n_addresses, 1);
    assert_string_equal(got->addresses[0].network, "net");
    assert_memory_equal(got->addresses[0].ip.bytes, ip, 4);
    assert_int_equal(got->n_ports, 1);
    assert_int_equal(got->ports[0].target_port, 8080);
    assert_int_equal(got->n_subject_alt_names, 1);
    assert_string_equal(got->subject_alt_names[0], "spiffe://td/ns/shop/sa/cart");
    assert_int_equal(got->n_scopes, 3);
    assert_int_equal(got->scopes[0], LB_NETWORK);
    assert_int_equal(got->scopes[1], LB_REGION);
    assert_int_equal(got->scopes[2], LB_ZONE);
    assert_int_equal(got->lb_mode, LB_FAILOVER);
    assert_true(got->allow_unhealthy);
    assert_int_equal(got->ip_families, 3);
    assert_true(got->canonical);
    (void)service_free(got);
}

/* And what we write is, byte for byte, what the table says. */
static void writes_what_others_read(void **state)
{
    static const uint8_t expected[] = {
        0x0a, 0x39,                               /* Address.workload = 1 */
        0x0a, 0x03, 'w',  'e',  'b',              /* name = 1 */
        0x12, 0x04, 's',  'h',  'o',  'p',        /* namespace = 2 */
        0x1a, 0x04, 10,   0,    0,    7,          /* addresses = 3 */
        0x28, 0x01,                               /* tunnel_protocol = 5: HBONE */
        0x3a, 0x02, 's',  'a',                    /* service_account = 7 */
        0x82, 0x01, 0x03, 'a',  '/',  'b',        /* authorization_policies = 16 */
        0xa2, 0x01, 0x01, 'u',                    /* uid = 20 */
        0xb2, 0x01, 0x10,                         /* services = 22 */
        0x0a, 0x03, 'n',  '/',  's',              /* key */
        0x12, 0x09, 0x0a, 0x07,                   /* value, ports */
        0x08, 0x50, 0x10, 0x90, 0x3f, 0x18, 0x04, /* 80, 8080, TCP */
        0xda, 0x01, 0x02, 0x08, 0x02,             /* capacity = 27 */
    };
    struct workload *w = workload_new();
    struct xds_bytes bytes;

    (void)state;
    assert_non_null(w);
    put_text(&w->name, heap_text("web"));
    put_text(&w->ns, heap_text("shop"));
    put_text(&w->service_account, heap_text("sa"));
    put_text(&w->uid, heap_text("u"));
    w->tunnel = TUNNEL_HBONE;
    w->capacity = 2;
    w->addresses = calloc(1, sizeof *w->addresses);
    w->services = calloc(1, sizeof *w->services);
    w->policies = calloc(1, sizeof *w->policies);
    assert_true(w->addresses && w->services && w->policies);
    w->n_addresses = w->n_services = w->n_policies = 1;
    w->addresses[0] = (struct ip){4, {10, 0, 0, 7}};
    w->policies[0] = heap_text("a/b");
    w->services[0].key = heap_text("n/s");
    w->services[0].ports = calloc(1, sizeof *w->services[0].ports);
    assert_non_null(w->services[0].ports);
    w->services[0].n_ports = 1;
    w->services[0].ports[0] = (struct port_pair){80, 8080, 4};
    assert_int_equal(xds_workload_encode(w, &bytes), 0);
    assert_int_equal(bytes.len, sizeof expected);
    assert_memory_equal(bytes.data, expected, sizeof expected);
    xds_bytes_done(&bytes);
    (void)workload_free(w);
}

/* ---- What is wrong is refused by name ------------------------------------------------------ */

static void begin(struct wire_writer *w)
{
    *w = (struct wire_writer){.len = 0};
    field_text(w, 20, "uid");
}

static void refused_workload(const struct wire_writer *w, const char *field)
{
    struct wire_writer outer = {0};
    field_message(&outer, 1, w);
    refused(outer.data, outer.len, field);
}

static void bad_workloads(void **state)
{
    struct wire_writer w = {0}, sub = {0}, list = {0}, port = {0};
    char long_name[XDS_NAME_MAX + 2];
    static const uint8_t five[5] = {1, 2, 3, 4, 5};

    (void)state;
    refused(NULL, 0, "Address");
    refused_workload(&w, "uid");
    memset(long_name, 'x', sizeof long_name);
    long_name[sizeof long_name - 1] = '\0';
    begin(&w);
    field_text(&w, 1, long_name);
    refused_workload(&w, "workload.name");
    begin(&w);
    field_bytes(&w, 2, "a\0b", 3);
    refused_workload(&w, "namespace");
    begin(&w);
    field_bytes(&w, 2, "\xc3\x28", 2);
    refused_workload(&w, "UTF-8");
    begin(&w);
    field_bytes(&w, 3, five, 5);
    refused_workload(&w, "workload.addresses");
    begin(&w);
    field_bytes(&w, 3, five, 0);
    refused_workload(&w, "workload.addresses");
    begin(&w);
    for (unsigned i = 0; i <= WORKLOAD_ADDRESSES_MAX; i++)
        field_bytes(&w, 3, five, 4);
    refused_workload(&w, "workload.addresses");
    static const struct {
        unsigned field;
        uint64_t value;
        const char *name;
    } enums[] = {{5, 2, "tunnel_protocol"}, {5, 77, "tunnel_protocol"}, {12, 4, "workload_type"},
                 {17, 2, "status"},         {25, 2, "network_mode"},    {17, UINT64_MAX, "status"}};
    for (size_t i = 0; i < ARRAY_SIZE(enums); i++) {
        begin(&w);
        field_number(&w, enums[i].field, enums[i].value);
        refused_workload(&w, enums[i].name);
    }
    begin(&w);
    field_text(&w, 6, "Upper.Case");
    refused_workload(&w, "trust_domain");
    begin(&w);
    field_number(&w, 1, 5); /* name as a number */
    refused_workload(&w, "name");
    begin(&w);
    field_text(&w, 16, "");
    refused_workload(&w, "authorization_policies");
    begin(&w);
    field_text(&sub, 1, "no-slash");
    field_message(&w, 22, &sub);
    refused_workload(&w, "namespace/hostname");
    static const uint64_t bad_ports[][2] = {{0, 80}, {65536, 80}, {80, 65536}, {1ull << 32, 80}};
    for (size_t i = 0; i < ARRAY_SIZE(bad_ports); i++) {
        sub.len = list.len = port.len = 0;
        begin(&w);
        field_number(&port, 1, bad_ports[i][0]);
        field_number(&port, 2, bad_ports[i][1]);
        field_message(&list, 1, &port);
        field_text(&sub, 1, "a/b");
        field_message(&sub, 2, &list);
        field_message(&w, 22, &sub);
        refused_workload(&w, "workload.services.ports");
    }
    begin(&w);
    for (unsigned i = 0; i <= WORKLOAD_SERVICES_MAX; i++) {
        sub.len = 0;
        field_text(&sub, 1, "a/b");
        field_message(&w, 22, &sub);
    }
    refused_workload(&w, "workload.services");
    begin(&w);
    put_varint(&w, 1003 << 3 | 3); /* a group */
    refused_workload(&w, "protobuf");
    begin(&w);
    put_varint(&w, 0); /* field 0 */
    refused_workload(&w, "protobuf");
}

static void refused_service(const struct wire_writer *s, const char *field)
{
    struct wire_writer outer = {0};
    field_message(&outer, 2, s);
    refused(outer.data, outer.len, field);
}

/* In our extension. */
static void labels_have_bounds(void **state)
{
    static char long_text[XDS_NAME_MAX + 1];
    struct label labels[WORKLOAD_LABELS_MAX + 1];
    (void)state;
    memset(long_text, 'x', sizeof long_text);
    for (size_t i = 0; i < ARRAY_SIZE(labels); i++)
        labels[i] = (struct label){TEXT("name"), {long_text, XDS_NAME_MAX}};
    const struct text too_long = {long_text, sizeof long_text};
    const struct label long_name = {too_long, TEXT("v")}, long_value = {TEXT("n"), too_long};
    const struct {
        const struct label *labels;
        size_t n;
        bool taken;
    } cases[] = {{labels, WORKLOAD_LABELS_MAX, true},
                 {labels, WORKLOAD_LABELS_MAX + 1, false},
                 {&long_name, 1, false},
                 {&long_value, 1, false}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct workload *w = workload_new();
        struct xds_bytes bytes;
        assert_non_null(w);
        assert_int_equal(workload_set(&w->uid, TEXT("uid")), 0);
        assert_int_equal(workload_set_labels(w, cases[i].labels, cases[i].n), 0);
        assert_int_equal(xds_workload_encode(w, &bytes), 0);
        (void)workload_free(w);
        if (cases[i].taken) {
            w = decode_workload(bytes.data, bytes.len);
            assert_int_equal(w->n_labels, cases[i].n);
            (void)workload_free(w);
        } else {
            refused(bytes.data, bytes.len, "Pod.labels");
        }
        xds_bytes_done(&bytes);
    }
}

static void ports_of_a_gateway_have_bounds(void **state)
{
    (void)state;
    for (unsigned n = GATEWAY_PORTS_MAX; n <= GATEWAY_PORTS_MAX + 3; n++) {
        struct workload *w = workload_new();
        struct xds_bytes bytes;
        assert_non_null(w);
        assert_int_equal(workload_set(&w->uid, TEXT("uid")), 0);
        assert_int_equal(workload_set(&w->gateway, TEXT("edge")), 0);
        w->gateway_ports = calloc(GATEWAY_PORTS_MAX + 1, sizeof *w->gateway_ports);
        assert_non_null(w->gateway_ports);
        /* All there may be; one more; one that is none; one twice. */
        w->n_gateway_ports = n <= GATEWAY_PORTS_MAX + 1 ? n : 2;
        for (size_t i = 0; i < w->n_gateway_ports; i++)
            w->gateway_ports[i] = (struct gateway_port){.port = (uint16_t)(i + 1), .tls = i % 2};
        if (n > GATEWAY_PORTS_MAX + 1)
            w->gateway_ports[1].port = n == GATEWAY_PORTS_MAX + 2 ? 0 : 1;
        assert_int_equal(xds_workload_encode(w, &bytes), 0);
        if (n == GATEWAY_PORTS_MAX) {
            struct workload *again = decode_workload(bytes.data, bytes.len);
            assert_int_equal(again->n_gateway_ports, n);
            assert_memory_equal(again->gateway_ports, w->gateway_ports, n * sizeof *w->gateway_ports);
            (void)workload_free(again);
        } else
            refused(bytes.data, bytes.len, "Pod.gateway_ports");
        (void)workload_free(w);
        xds_bytes_done(&bytes);
    }
}

static void bad_services(void **state)
{
    struct wire_writer s = {0}, sub = {0};
    static const struct {
        const char *ns, *host, *field;
    } names[] = {{"", "h", "namespace"}, {"n", "", "hostname"}, {"n/x", "h", "namespace"}};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        s.len = 0;
        field_text(&s, 2, names[i].ns);
        field_text(&s, 3, names[i].host);
        refused_service(&s, names[i].field);
    }
    s.len = 0;
    field_text(&s, 2, "n");
    field_text(&s, 3, "h");
    size_t start = s.len;
    field_bytes(&sub, 2, "abc", 3);
    field_message(&s, 4, &sub);
    refused_service(&s, "service.addresses");
    static const struct {
        unsigned field;
        uint64_t value;
        const char *name;
    } balance[] = {{1, 7, "routing_preference"}, {2, 4, "mode"}, {3, 2, "health_policy"}};
    for (size_t i = 0; i < ARRAY_SIZE(balance); i++) {
        s.len = start;
        sub.len = 0;
        field_number(&sub, balance[i].field, balance[i].value);
        field_message(&s, 8, &sub);
        refused_service(&s, balance[i].name);
    }
    s.len = start;
    sub.len = 0;
    for (unsigned i = 0; i <= LB_SCOPES_MAX; i++)
        field_number(&sub, 1, 1);
    field_message(&s, 8, &sub);
    refused_service(&s, "routing_preference");
    s.len = start;
    field_number(&s, 9, 4);
    refused_service(&s, "ip_families");
    s.len = start;
    sub.len = 0;
    field_number(&sub, 1, 70000);
    field_message(&s, 5, &sub);
    refused_service(&s, "service.ports");
}

static void the_last_of_a_oneof_counts(void **state)
{
    struct wire_writer w = {0}, s = {0}, outer = {0};

    (void)state;
    field_text(&w, 20, "uid");
    field_text(&s, 2, "n");
    field_text(&s, 3, "h");
    field_message(&outer, 1, &w);
    field_message(&outer, 2, &s);
    (void)service_free(decode_service(outer.data, outer.len));
    outer.len = 0;
    field_message(&outer, 2, &s);
    field_message(&outer, 1, &w);
    (void)workload_free(decode_workload(outer.data, outer.len));
}

static void what_is_left_out_is_usual(void **state)
{
    struct wire_writer w = {0}, outer = {0}, first = {0}, again = {0}, list = {0}, port = {0};

    (void)state;
    begin(&w);
    field_message(&outer, 1, &w);
    struct workload *got = decode_workload(outer.data, outer.len);
    assert_string_equal(got->trust_domain, "cluster.local");
    assert_string_equal(got->service_account, "default");
    assert_int_equal(got->capacity, 1);
    assert_true(got->healthy);
    assert_int_equal(got->tunnel, TUNNEL_NONE);
    (void)workload_free(got);

    /* A capacity of nought is said, not left out; a map's key that comes again replaces. */
    outer.len = 0;
    field_message(&w, 27, &first); /* UInt32Value{} */
    field_text(&first, 1, "a/b");
    field_number(&port, 1, 80);
    field_message(&list, 1, &port);
    field_text(&again, 1, "a/b");
    field_message(&again, 2, &list);
    field_message(&w, 22, &first);
    field_message(&w, 22, &again);
    field_message(&outer, 1, &w);
    got = decode_workload(outer.data, outer.len);
    assert_int_equal(got->capacity, 0);
    assert_int_equal(got->n_services, 1);
    assert_int_equal(got->services[0].n_ports, 1);
    (void)workload_free(got);
}

static void every_truncation_is_refused(void **state)
{
    struct rng rng;

    (void)state;
    test_seed(&rng);
    for (unsigned i = 0; i < 60; i++) {
        struct workload *w = random_workload(&rng, i, 50, 8);
        struct service *s = random_service(&rng, i, 50);
        struct xds_bytes both[2];
        assert_int_equal(xds_workload_encode(w, &both[0]), 0);
        assert_int_equal(xds_service_encode(s, &both[1]), 0);
        for (unsigned k = 0; k < 2; k++) {
            for (size_t len = 0; len < both[k].len; len++)
                refused(both[k].data, len, "Address");
            xds_bytes_done(&both[k]);
        }
        (void)workload_free(w);
        (void)service_free(s);
    }
}

static void no_garbage_breaks_it(void **state)
{
    unsigned decoded = 0;
    struct rng rng;

    (void)state;
    test_seed(&rng);
    for (unsigned i = 0; i < 30000; i++) {
        struct workload *w = random_workload(&rng, i, 50, 8), *got = NULL;
        struct service *s = NULL;
        struct xds_bytes bytes;
        char why[XDS_WHY_MAX] = "";
        assert_int_equal(xds_workload_encode(w, &bytes), 0);
        for (unsigned k = (unsigned)rng_below(&rng, 6); k > 0; k--)
            bytes.data[rng_below(&rng, bytes.len)] ^= (uint8_t)(1u << rng_below(&rng, 8));
        int r = xds_address_decode(bytes.data, bytes.len, &got, &s, why);
        assert_true(r == 0 || (r == -EINVAL && why[0] && strlen(why) < XDS_WHY_MAX));
        decoded += r == 0;
        if (r == 0) {
            assert_true(!got != !s);
            (void)workload_free(got);
            (void)service_free(s);
        }
        xds_bytes_done(&bytes);
        (void)workload_free(w);
    }
    assert_true(decoded > 1000 && decoded < 29000);
}

/* A small message that would unpack to a big one is refused before it does. */
static void has_a_bound_for_what_it_unpacks(void **state)
{
    size_t len = 8 * 1024 * 1024;
    uint8_t *data = malloc(len);

    (void)state;
    assert_non_null(data);
    data[0] = 0x0a; /* Address.workload, all the rest of it */
    data[1] = 0xfb;
    data[2] = 0xff;
    data[3] = 0xff;
    data[4] = 0x03;
    assert_int_equal((len - 5) & 0x7f, 0x7b);
    for (size_t i = 5; i < len; i++)
        data[i] = i % 2 ? 0x1a : 0; /* addresses, empty, four million times */
    struct workload *w;
    struct service *s;
    char why[XDS_WHY_MAX] = "";
    assert_int_equal(xds_address_decode(data, len, &w, &s, why), -EINVAL);
    assert_non_null(strstr(why, "addresses"));
    free(data);
}

static void without_memory(void **state)
{
    struct rng rng;
    unsigned failures = 0;

    (void)state;
    test_seed(&rng);
    for (unsigned i = 0; i < 60; i++) {
        struct workload *w = random_workload(&rng, i, 50, 8), *got;
        struct service *s = random_service(&rng, i, 50), *s_got;
        struct xds_bytes bytes[2];
        char why[XDS_WHY_MAX];
        for (unsigned k = 0; k < 2; k++) {
            bool failed = true;
            for (long n = 0; failed; n++) {
                alloc_fail_at(n);
                int r = k ? xds_service_encode(s, &bytes[k]) : xds_workload_encode(w, &bytes[k]);
                failed = alloc_failed();
                assert_int_equal(r, failed ? -ENOMEM : 0);
                failures += failed;
            }
            failed = true;
            for (long n = 0; failed; n++) {
                alloc_fail_at(n);
                int r = xds_address_decode(bytes[k].data, bytes[k].len, &got, &s_got, why);
                failed = alloc_failed();
                assert_int_equal(r, failed ? -ENOMEM : 0);
                failures += failed;
            }
            (void)workload_free(got);
            (void)service_free(s_got);
            xds_bytes_done(&bytes[k]);
        }
        (void)workload_free(w);
        (void)service_free(s);
    }
    assert_true(failures > 1000);
}

static void types_have_their_urls(void **state)
{
    enum xds_type type;

    (void)state;
    assert_string_equal(xds_type_url(XDS_ADDRESS), "type.googleapis.com/istio.workload.Address");
    assert_string_equal(xds_type_url(XDS_AUTHORIZATION),
                        "type.googleapis.com/istio.security.Authorization");
    for (unsigned i = 0; i < XDS_TYPE_COUNT; i++) {
        assert_int_equal(xds_type_of(text_of(xds_type_url((enum xds_type)i)), &type), 0);
        assert_int_equal(type, i);
    }
    assert_int_equal(xds_type_of(TEXT("istio.workload.Address"), &type), -ENOENT);
    assert_int_equal(xds_type_of(TEXT(""), &type), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(reads_what_others_write),
        cmocka_unit_test(reads_a_service_of_others),
        cmocka_unit_test(writes_what_others_read),
        cmocka_unit_test(bad_workloads),
        cmocka_unit_test(labels_have_bounds),
        cmocka_unit_test(ports_of_a_gateway_have_bounds),
        cmocka_unit_test(bad_services),
        cmocka_unit_test(the_last_of_a_oneof_counts),
        cmocka_unit_test(what_is_left_out_is_usual),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(no_garbage_breaks_it),
        cmocka_unit_test(has_a_bound_for_what_it_unpacks),
        cmocka_unit_test(without_memory),
        cmocka_unit_test(types_have_their_urls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
