/* The ADS machine and consumers of the state of the world. */
#include "controller/serve/world.h"
#include "tests/unit/controller/serve/sotw_client.h"
#include "tests/unit/shared/base/test.h"

static void each_response_of_a_whole_type_is_all_of_it(void **state)
{
    struct bench b;
    char **names = LIST("a", "b");
    (void)state;
    bench_open(&b);
    has(&b.c, XDS_LISTENER, "a", "1");
    has(&b.c, XDS_LISTENER, "other", "1");
    ask(&b, XDS_LISTENER, names);
    assert_string_equal(hear(&b, names), "listener: a=1");
    has(&b.c, XDS_LISTENER, "b", "1");
    push(&b.c, &b.w);
    assert_string_equal(hear(&b, names), "listener: a=1 b=1");
    has(&b.c, XDS_LISTENER, "other", "2"); /* nobody asked */
    push(&b.c, &b.w);
    assert_string_equal(hear(&b, names), "");
    has_not(&b.c, XDS_LISTENER, "a");
    push(&b.c, &b.w);
    assert_string_equal(hear(&b, names), "listener: b=1");
    /* A name that is not there is answered by its absence. */
    ask(&b, XDS_LISTENER, LIST("b", "none"));
    assert_string_equal(hear(&b, LIST("b", "none")), "listener: b=1");
    /* Less is no question. */
    ask(&b, XDS_LISTENER, LIST("b"));
    assert_string_equal(hear(&b, LIST("b")), "");
    bench_close(&b);
}

static void wildcards(void **state)
{
    struct bench b;
    (void)state;
    bench_open(&b);
    has(&b.c, XDS_CLUSTER, "a", "1");
    has(&b.c, XDS_CLUSTER, "b", "1");
    ask(&b, XDS_CLUSTER, NONE);
    assert_string_equal(hear(&b, NONE), "cluster: a=1 b=1");
    has(&b.c, XDS_CLUSTER, "c", "1");
    has_not(&b.c, XDS_CLUSTER, "a");
    push(&b.c, &b.w);
    assert_string_equal(hear(&b, NONE), "cluster: a=1 b=1 c=1");
    assert_string_equal(hear(&b, NONE), "cluster: b=1 c=1");
    /* Names end it, and then no names are none. */
    ask(&b, XDS_CLUSTER, LIST("b"));
    assert_string_equal(hear(&b, LIST("b")), "cluster: b=1");
    ask(&b, XDS_CLUSTER, NONE);
    has(&b.c, XDS_CLUSTER, "b", "2");
    push(&b.c, &b.w);
    assert_string_equal(hear(&b, NONE), "");
    ask(&b, XDS_CLUSTER, LIST("*"));
    assert_string_equal(hear(&b, LIST("*")), "cluster: b=2 c=1");
    /* Of routes and endpoints there is no wildcard. */
    has(&b.c, XDS_ROUTES, "r", "1");
    ask(&b, XDS_ROUTES, NONE);
    assert_string_equal(hear(&b, NONE), "");
    bench_close(&b);
}

static void has_long(struct bench *b, const char *name, size_t len)
{
    struct resource *r;
    struct xds_bytes body = {calloc(1, len), len};
    assert_non_null(body.data);
    assert_int_equal(resource_of_body(XDS_CLUSTER, name, &body, &r), 0);
    assert_true(catalog_put(&b->c.catalog, r) >= 0);
}

/* A response can't be a part of a whole type: who asks for too much gets none, and may ask for less. */
static void a_response_has_a_maximum(void **state)
{
    enum { HALF = WORLD_BYTES_MAX / 2 };
    struct bench b;
    (void)state;
    bench_open(&b);
    has_long(&b, "a", HALF);
    has(&b.c, XDS_CLUSTER, "b", "1");
    ask(&b, XDS_CLUSTER, LIST("b"));
    assert_string_equal(hear(&b, LIST("b")), "cluster: b=1");
    has_long(&b, "c", HALF);
    push(&b.c, &b.w);
    assert_false(b.t.closed);
    ask(&b, XDS_CLUSTER, LIST("*"));
    assert_string_equal(hear(&b, LIST("*")), "");
    assert_true(b.t.closed);
    assert_int_equal(b.t.status, GRPC_RESOURCE_EXHAUSTED);
    assert_int_equal(b.c.ads.stats.pushes[XDS_CLUSTER],
                     1); /* nothing was sent for the other to refuse */
    bench_close(&b);
}

static void other_types_come_in_parts(void **state)
{
    struct bench b;
    (void)state;
    bench_open(&b);
    has(&b.c, XDS_ENDPOINTS, "a", "1");
    has(&b.c, XDS_ENDPOINTS, "b", "1");
    ask(&b, XDS_ENDPOINTS, LIST("a", "later"));
    assert_string_equal(hear(&b, LIST("a", "later")), "endpoints: a=1");
    ask(&b, XDS_ENDPOINTS, LIST("a", "b", "later"));
    assert_string_equal(hear(&b, LIST("a", "b", "later")), "endpoints: b=1");
    has(&b.c, XDS_ENDPOINTS, "later", "1");
    push(&b.c, &b.w);
    assert_string_equal(hear(&b, LIST("a", "b", "later")), "endpoints: later=1");
    /* Who asks again has forgotten. */
    ask(&b, XDS_ENDPOINTS, LIST("b"));
    ask(&b, XDS_ENDPOINTS, LIST("a", "b"));
    assert_string_equal(hear(&b, LIST("a", "b")), "endpoints: a=1");
    has_not(&b.c, XDS_ENDPOINTS, "a");
    push(&b.c, &b.w);
    assert_string_equal(hear(&b, LIST("a", "b")), "");
    has(&b.c, XDS_ENDPOINTS, "a", "2");
    push(&b.c, &b.w);
    assert_string_equal(hear(&b, LIST("a", "b")), "endpoints: a=2");
    bench_close(&b);
}

static void nonces(void **state)
{
    struct bench b;
    const struct sotw_response *r;
    const char *url = xds_type_url(XDS_LISTENER);
    (void)state;
    bench_open(&b);
    has(&b.c, XDS_LISTENER, "a", "1");
    has(&b.c, XDS_LISTENER, "b", "1");
    ask(&b, XDS_LISTENER, LIST("a"));
    ask(&b, XDS_LISTENER, LIST("a", "b")); /* before it heard */
    assert_string_equal(consumer_hear(&b.t, &r), "listener: a=1");
    consumer_ask(&b.t, url, LIST("b"), "77", NULL);
    assert_string_equal(consumer_hear(&b.t, &(const struct sotw_response *){NULL}), "");
    consumer_ask(&b.t, url, LIST("a", "b"), r->nonce, NULL);
    assert_string_equal(consumer_hear(&b.t, &r), "listener: a=1 b=1");
    /* Until it is acknowledged no other comes. */
    has(&b.c, XDS_LISTENER, "a", "2");
    push(&b.c, &b.w);
    assert_string_equal(consumer_hear(&b.t, &(const struct sotw_response *){NULL}), "");
    consumer_ask(&b.t, url, LIST("a", "b"), r->nonce, "a: is bad");
    assert_int_equal(b.c.ads.stats.nacks[XDS_LISTENER], 1);
    assert_string_equal(consumer_hear(&b.t, &r), "listener: a=2 b=1");
    consumer_ask(&b.t, url, LIST("a", "b"), r->nonce, "a: is bad");
    assert_int_equal(b.c.ads.stats.nacks[XDS_LISTENER], 2);
    /* What was refused is not sent again; some say why they refused with each request. */
    consumer_ask(&b.t, url, LIST("b"), r->nonce, "a: is bad");
    push(&b.c, &b.w);
    assert_string_equal(consumer_hear(&b.t, &r), "");
    assert_int_equal(b.c.ads.stats.nacks[XDS_LISTENER], 2);
    bench_close(&b);
}

static void make_before_break(void **state)
{
    struct bench b;
    (void)state;
    bench_open(&b);
    has(&b.c, XDS_CLUSTER, "old", "1");
    has(&b.c, XDS_ENDPOINTS, "old", "1");
    has(&b.c, XDS_LISTENER, "l", "r");
    has(&b.c, XDS_ROUTES, "r", "old");
    ask(&b, XDS_CLUSTER, NONE);
    assert_string_equal(hear(&b, NONE), "cluster: old=1");
    ask(&b, XDS_ENDPOINTS, LIST("old", "new"));
    assert_string_equal(hear(&b, LIST("old", "new")), "endpoints: old=1");
    ask(&b, XDS_LISTENER, NONE);
    assert_string_equal(hear(&b, NONE), "listener: l=r");
    ask(&b, XDS_ROUTES, LIST("r"));
    assert_string_equal(hear(&b, LIST("r")), "routes: r=old");
    has_not(&b.c, XDS_CLUSTER, "old");
    has_not(&b.c, XDS_ENDPOINTS, "old");
    has(&b.c, XDS_ROUTES, "r", "new");
    has(&b.c, XDS_CLUSTER, "new", "1");
    has(&b.c, XDS_ENDPOINTS, "new", "1");
    push(&b.c, &b.w);
    const struct sotw_response *r;
    assert_string_equal(consumer_hear(&b.t, &r), "cluster: new=1 old=1");
    assert_string_equal(consumer_hear(&b.t, &(const struct sotw_response *){NULL}), "");
    consumer_ask(&b.t, r->type_url, NONE, r->nonce, NULL);
    assert_string_equal(hear(&b, LIST("old", "new")), "endpoints: new=1");
    assert_string_equal(hear(&b, LIST("r")), "routes: r=new");
    assert_string_equal(hear(&b, NONE), "cluster: new=1");
    assert_string_equal(hear(&b, NONE), "");
    bench_close(&b);
}

static void what_is_not_served(void **state)
{
    struct bench b;
    (void)state;
    bench_open(&b);
    consumer_ask(&b.t, "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
                 LIST("default"), "", NULL);
    assert_string_equal(hear(&b, LIST("default")), "other:");
    assert_string_equal(hear(&b, NONE), "");
    ask(&b, XDS_AUTHORIZATION, NONE);
    assert_string_equal(hear(&b, NONE), "");
    assert_true(b.t.closed);
    assert_int_equal(b.t.status, GRPC_UNIMPLEMENTED);
    bench_close(&b);
    /* On the port that anybody may ask there is no such type at all. */
    bench_open(&b);
    control_set(&b.c, POLICY("p"));
    b.w.routes_only = true;
    consumer_done(&b.t);
    consumer_open(&b.t, &b.w);
    ask(&b, XDS_AUTHORIZATION, NONE);
    assert_string_equal(hear(&b, NONE), "authorization:"); /* there is nothing */
    assert_false(b.t.closed);
    bench_close(&b);
}

static void too_long_a_name_ends_the_stream(void **state)
{
    static char name[XDS_NAME_MAX + 2];
    struct bench b;
    (void)state;
    memset(name, 'a', sizeof name - 1);
    bench_open(&b);
    ask(&b, XDS_ROUTES, LIST(name));
    assert_string_equal(hear(&b, NONE), "");
    assert_true(b.t.closed);
    assert_int_equal(b.t.status, GRPC_INVALID_ARGUMENT);
    bench_close(&b);
}

static void whom_nobody_knows_may_ask_for_less(void **state)
{
    enum { NAMES = ADS_STRANGERS_NAMES_MAX + 1, LONG = ADS_STRANGERS_REQUEST_MAX / 1000 };
    static char text[NAMES][16], *names[NAMES + 1], longer[1001], *long_names[LONG + 1];
    struct bench b;
    (void)state;
    for (unsigned i = 0; i < NAMES; i++) {
        snprintf(text[i], sizeof text[i], "%u", i);
        names[i] = text[i];
    }
    memset(longer, 'a', sizeof longer - 1);
    for (unsigned i = 0; i < LONG; i++)
        long_names[i] = longer;
    for (unsigned what = 0; what < 4; what++) {
        bench_open(&b);
        b.w.routes_only = true;
        ask(&b, XDS_ENDPOINTS,
            what == 0   ? names + 1 /* as many as may be */
            : what == 1 ? names
            : what == 2 ? long_names + 10
                        : long_names);
        assert_int_equal(b.t.closed, what % 2);
        if (what % 2)
            assert_int_equal(b.t.status, GRPC_RESOURCE_EXHAUSTED);
        bench_close(&b);
    }
}

/* ---- Whatever happens, everybody ends up with what there is --------------------------------- */

enum { NAMES = 5, STEPS = 400, ROUNDS = 300 };
static const enum xds_type types[] = {XDS_CLUSTER, XDS_ENDPOINTS, XDS_LISTENER, XDS_ROUTES};
static char *const all_names[NAMES] = {"n0", "n1", "n2", "n3", "n4"};

struct model { /* of a consumer */
    bool asked[XDS_TYPE_COUNT][NAMES], wildcard[XDS_TYPE_COUNT];
    unsigned has[XDS_TYPE_COUNT][NAMES]; /* value; 0: nothing */
    char nonce[XDS_TYPE_COUNT][24];
};

static bool is_whole(enum xds_type type)
{
    return type == XDS_LISTENER || type == XDS_CLUSTER;
}

static void model_ask(struct model *m, struct consumer *t, enum xds_type type)
{
    char *names[NAMES + 2];
    size_t n = 0;
    if (m->wildcard[type])
        names[n++] = (char *)"*";
    for (unsigned i = 0; i < NAMES; i++) {
        if (m->asked[type][i])
            names[n++] = all_names[i];
        else if (!m->wildcard[type])
            m->has[type][i] = 0; /* dropped */
    }
    names[n] = NULL;
    consumer_ask(t, xds_type_url(type), names, m->nonce[type], NULL);
}

static void model_take(struct model *m, const struct sotw_response *r)
{
    enum xds_type type;
    assert_int_equal(xds_type_of(text_of(r->type_url), &type), 0);
    if (is_whole(type))
        memset(m->has[type], 0, sizeof m->has[type]);
    for (size_t i = 0; i < r->n_resources; i++) {
        char text[32];
        snprintf(text, sizeof text, "%.*s", (int)r->resources[i].len, (char *)r->resources[i].data);
        unsigned name = (unsigned)(text[1] - '0');
        assert_true(name < NAMES);
        if (m->asked[type][name] || m->wildcard[type])
            m->has[type][name] = (unsigned)strtoul(text + 3, NULL, 10);
    }
    snprintf(m->nonce[type], sizeof m->nonce[type], "%s", r->nonce);
}

/* At each moment a route that the client has leads to a cluster that it has: value 1 + c of a route
 * names cluster c, and clusters are asked for by wildcard. */
static void check_routes(const struct model *m)
{
    for (unsigned i = 0; i < NAMES; i++) {
        unsigned value = m->has[XDS_ROUTES][i];
        if (value)
            assert_true(m->has[XDS_CLUSTER][value - 1] != 0);
    }
}

struct truth {
    unsigned is[XDS_TYPE_COUNT][NAMES];
};

static void put(struct control *c, struct truth *now, enum xds_type type, unsigned name,
                unsigned value)
{
    char text[16];
    snprintf(text, sizeof text, "%u", value);
    has(c, type, all_names[name], text);
    now->is[type][name] = value;
}

static void drop(struct control *c, struct truth *now, enum xds_type type, unsigned name)
{
    if (now->is[type][name])
        has_not(c, type, all_names[name]);
    now->is[type][name] = 0;
}

/* A change that holds together: a cluster goes only together with the routes that lead to it. In any
 * order: what is told first is not up to who changes. */
static void change(struct control *c, struct truth *now, struct rng *rng)
{
    unsigned name = (unsigned)rng_below(rng, NAMES);
    unsigned cluster = (unsigned)rng_below(rng, NAMES);
    switch (rng_below(rng, 5)) {
    case 0:
        put(c, now, XDS_LISTENER, name, 1 + (unsigned)rng_below(rng, 9));
        break;
    case 1:
        drop(c, now, rng_below(rng, 2) ? XDS_LISTENER : XDS_ENDPOINTS, name);
        break;
    case 2:
        put(c, now, XDS_ENDPOINTS, name, 1 + (unsigned)rng_below(rng, 9));
        break;
    case 3:
        put(c, now, XDS_ROUTES, name, 1 + cluster);
        if (!now->is[XDS_CLUSTER][cluster])
            put(c, now, XDS_CLUSTER, cluster, 1 + (unsigned)rng_below(rng, 9));
        break;
    default:
        drop(c, now, XDS_CLUSTER, cluster);
        for (unsigned i = 0; i < NAMES; i++) {
            if (now->is[XDS_ROUTES][i] != 1 + cluster)
                continue;
            unsigned other = (cluster + 1) % NAMES;
            put(c, now, XDS_ROUTES, i, 1 + other);
            if (!now->is[XDS_CLUSTER][other])
                put(c, now, XDS_CLUSTER, other, 1);
        }
    }
}

static bool turn(struct bench *b, struct model *m)
{
    const struct sotw_response *r;
    enum xds_type type;
    if (!consumer_hear(&b->t, &r)[0])
        return false;
    model_take(m, r);
    check_routes(m);
    assert_int_equal(xds_type_of(text_of(r->type_url), &type), 0);
    model_ask(m, &b->t, type);
    return true;
}

static void random_round(struct rng *rng)
{
    struct bench b;
    struct model m = {.wildcard = {[XDS_CLUSTER] = true}};
    struct truth now = {.is = {{0}}};
    bench_open(&b);
    model_ask(&m, &b.t, XDS_CLUSTER);
    for (unsigned step = 0; step < STEPS; step++) {
        uint64_t what = rng_below(rng, 10);
        enum xds_type type = types[1 + rng_below(rng, 3)];
        unsigned name = (unsigned)rng_below(rng, NAMES);
        if (what < 4) {
            change(&b.c, &now, rng);
            if (rng_below(rng, 2))
                push(&b.c, &b.w);
        } else if (what < 6) {
            push(&b.c, &b.w); /* what is half told must be whole again by the time it is sent */
            m.asked[type][name] = !m.asked[type][name];
            model_ask(&m, &b.t, type);
        } else {
            push(&b.c, &b.w);
            (void)turn(&b, &m);
        }
    }
    push(&b.c, &b.w);
    while (turn(&b, &m))
        ;
    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        for (unsigned name = 0; name < NAMES; name++) {
            enum xds_type type = types[i];
            bool wanted = m.asked[type][name] || m.wildcard[type];
            unsigned is = now.is[type][name];
            if (!wanted)
                assert_int_equal(m.has[type][name], 0);
            else if (is || is_whole(type)) /* of the others a client is not told that one is gone */
                assert_int_equal(m.has[type][name], is);
        }
    }
    ads_tick(&b.c.ads, 0);
    assert_int_equal(b.c.catalog.logs[XDS_CLUSTER].n_graves, 0);
    bench_close(&b);
}

static void all_ends_with_what_there_is(void **state)
{
    struct rng rng;
    (void)state;
    test_seed(&rng);
    for (unsigned i = 0; i < ROUNDS; i++)
        random_round(&rng);
}

int main(void)
{
    log_configure(LOG_ERROR, LOG_TEXT, 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_response_of_a_whole_type_is_all_of_it),
        cmocka_unit_test(wildcards),
        cmocka_unit_test(a_response_has_a_maximum),
        cmocka_unit_test(other_types_come_in_parts),
        cmocka_unit_test(nonces),
        cmocka_unit_test(make_before_break),
        cmocka_unit_test(what_is_not_served),
        cmocka_unit_test(too_long_a_name_ends_the_stream),
        cmocka_unit_test(whom_nobody_knows_may_ask_for_less),
        cmocka_unit_test(all_ends_with_what_there_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
