/* What a Service's annotation weir.mesh/health-check makes of its clusters, and what of it is refused. */
#include "shared/xds/routing.h"
#include "tests/unit/controller/fixture.h"
#include <stdio.h>

#define SERVICE                                                                                    \
    "{apiVersion: v1, kind: Service, metadata: {name: web, namespace: n, annotations: "            \
    "{weir.mesh/health-check: '%s'}}, spec: {clusterIP: 10.96.0.1, selector: {app: web}, ports: "  \
    "[{name: http, port: 80}]}}\n"

static void put_check(struct text_out *out, const struct health_check *h)
{
    static const char *const kinds[] = {"http", "tcp", "grpc"};
    text_printf(out, "%s %llu/%llu/%llu %u/%u ~%u", kinds[h->kind], (unsigned long long)h->timeout_ms,
                (unsigned long long)h->interval_ms, (unsigned long long)h->unhealthy_interval_ms,
                h->unhealthy_threshold, h->healthy_threshold, h->jitter_percent);
    text_puts(out, h->reuse_connection ? "" : " once");
    if (h->alt_port)
        text_printf(out, " :%u", h->alt_port);
    if (h->kind == CHECK_HTTP)
        text_printf(out, " %.*s %.*s", (int)h->method.len, h->method.data, (int)h->path.len,
                    h->path.data);
    if (h->host.len > 0)
        text_printf(out, " @%.*s", (int)h->host.len, h->host.data);
    for (size_t i = 0; i < h->n_expected; i++)
        text_printf(out, " %u-%u", h->expected[i].start, h->expected[i].end);
    if (h->send.len > 0)
        text_printf(out, " >%.*s", (int)h->send.len, h->send.data);
    for (size_t i = 0; i < h->n_receive; i++)
        text_printf(out, " <%.*s", (int)h->receive[i].len, h->receive[i].data);
    if (h->service.len > 0)
        text_printf(out, " %.*s", (int)h->service.len, h->service.data);
}

static void put_cluster(struct text_out *out, const struct resource *r)
{
    char why[XDS_WHY_MAX];
    struct cluster *c;
    if (xds_cluster_decode(r->body, r->body_len, &c, why) < 0 || cluster_finish(c, why) < 0)
        fail_msg("%s: %s", r->name, why);
    assert_int_equal(r->by_name_only, c->n_health_checks == 0); /* told to those who ask for all that was written */
    if (c->n_health_checks > 0)
        assert_int_equal(c->balance.kind, BALANCE_LEAST_REQUEST); /* as without */
    for (size_t i = 0; i < c->n_health_checks; i++)
        put_check(out, &c->health_checks[i]);
    cluster_free(c);
}

/* 0; -ENOMEM. */
static int make(const char *annotation, struct text_out *out)
{
    char yaml[2048];
    struct object_store store;
    struct resources all = {0};
    struct problems problems;
    snprintf(yaml, sizeof yaml, SERVICE, annotation);
    object_store_init(&store);
    fixture_load(&store, yaml);
    problems_init(&problems);
    int e = translate(&store, &fixture_settings, &all, &problems);
    for (size_t i = 0; e == 0 && i < all.n; i++)
        if (all.items[i]->type == XDS_CLUSTER)
            put_cluster(out, all.items[i]);
    for (size_t i = 0; e == 0 && i < problems.n; i++)
        text_printf(out, "%s: %s", problems.items[i].field, problems.items[i].message);
    resources_done(&all);
    problems_done(&problems);
    object_store_done(&store);
    return e;
}

#define REFUSED "metadata.annotations[weir.mesh/health-check]: counts for nothing: "

static void as_it_is_written(void **state)
{
    static const struct {
        const char *annotation, *wanted;
    } cases[] = {
        {"{\"type\":\"HTTP\",\"http\":{\"path\":\"/healthz\"}}",
         "http 1000/3000/0 3/1 ~0 GET /healthz"},
        {"{\"type\":\"HTTP\",\"timeout\":\"250ms\",\"interval\":\"5s\",\"unhealthyInterval\":\"1m\","
         "\"unhealthyThreshold\":2,\"healthyThreshold\":4,\"jitterPercent\":10,"
         "\"reuseConnection\":false,\"port\":9090,\"http\":{\"path\":\"/a?b\",\"method\":\"HEAD\","
         "\"hostname\":\"h.example:81\",\"expectedStatuses\":[200,404]}}",
         "http 250/5000/60000 2/4 ~10 once :9090 HEAD /a?b @h.example:81 200-201 404-405"},
        {"{\"type\":\"TCP\"}", "tcp 1000/3000/0 3/1 ~0"},
        {"{\"type\":\"TCP\",\"tcp\":{\"send\":{\"text\":\"PING\"},\"receive\":{\"text\":\"PONG\"}}}",
         "tcp 1000/3000/0 3/1 ~0 >PING <PONG"},
        {"{\"type\":\"GRPC\"}", "grpc 1000/3000/0 3/1 ~0"},
        {"{\"type\":\"GRPC\",\"grpc\":{\"service\":\"shop\",\"authority\":\"a.b\"}}",
         "grpc 1000/3000/0 3/1 ~0 @a.b shop"},
        /* What can't be honoured: the Service is as it would be without. */
        {"{\"type\":\"HTTP\"}", REFUSED ": http.path is missing"},
        {"{\"type\":\"HTTP\",\"http\":{\"path\":\"healthz\"}}", REFUSED "http.path: is no path"},
        {"{\"type\":\"HTTP\",\"http\":{\"path\":\"*\"}}", REFUSED "http.path: is no path"},
        {"{\"type\":\"HTTP\",\"http\":{\"path\":\"/\",\"method\":\"CONNECT\"}}",
         REFUSED "http.method: is no method that can be asked by"},
        {"{\"type\":\"HTTP\",\"http\":{\"path\":\"/\",\"method\":\"DELETE\"}}",
         REFUSED "http.method: is no method that can be asked by"},
        {"{\"type\":\"HTTP\",\"http\":{\"path\":\"/\",\"hostname\":\"a b\"}}",
         REFUSED "http.hostname: is no host"},
        {"{\"type\":\"HTTP\",\"http\":{\"path\":\"/\",\"expectedStatuses\":[99]}}",
         REFUSED "http.expectedStatuses[0]: 99 is not in 100 to 599"},
        {"{\"type\":\"HTTP\",\"http\":{\"path\":\"/\"},\"tcp\":{}}",
         REFUSED "tcp: does not go with this type"},
        {"{\"type\":\"TCP\",\"tcp\":{\"send\":{\"text\":\"PING\"}}}",
         REFUSED "tcp: says what is sent, and not what is to be received"},
        {"{\"type\":\"TCP\",\"interval\":\"50ms\"}", REFUSED "interval: is less than 100 ms"},
        {"{\"type\":\"TCP\",\"interval\":\"61m\"}", REFUSED "interval: is more than an hour"},
        {"{\"type\":\"TCP\",\"unhealthyThreshold\":0}", REFUSED "unhealthyThreshold: is 0"},
        {"{\"type\":\"TCP\",\"port\":70000}",
         REFUSED "port: 70000 is not in 1 to 65535"},
        {"{\"type\":\"TCP\",\"passive\":{}}", REFUSED "passive: is not supported"},
        {"{\"timeout\":\"1s\"}", REFUSED ": type is missing"},
        {"{\"type\":\"UDP\"}", REFUSED "type: \"UDP\" is not one of HTTP, TCP, GRPC"},
        {"[]", REFUSED "must be an object"},
        {"/healthz", REFUSED "a value is expected"},
    };
    (void)state;
    unsigned wrong = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[1024] = "";
        struct text_out out = TEXT_OUT(text);
        assert_int_equal(make(cases[i].annotation, &out), 0);
        if (strcmp(text, cases[i].wanted) != 0) {
            print_error("%s\n  %s\n  %s\n", cases[i].annotation, text, cases[i].wanted);
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(as_it_is_written)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
