/* Counters and the line that a connection leaves behind. */
#include "nodeproxy/path/account.h"
#include "shared/base/log.h"
#include "tests/unit/shared/base/test.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

static struct path_env env;
static struct config config;
static int log_fd;
static char said[65536]; /* the log since the last look */

static int begin(void **state)
{
    const char *why = NULL;
    (void)state;
    memset(&env, 0, sizeof env);
    config = (struct config){.access_log = true};
    env.config = &config;
    if (ring_open(&env.ring, &(struct ring_options){0}, &why) < 0 || metrics_new(&env.metrics, 100) < 0)
        return -1;
    log_fd = memfd_create("log", MFD_CLOEXEC);
    log_configure(LOG_INFO, LOG_TEXT, 0);
    log_set_fd(log_fd);
    return log_fd < 0 ? -1 : 0;
}

static int end(void **state)
{
    (void)state;
    log_set_fd(2);
    close(log_fd);
    metrics_free(env.metrics);
    env.ring = ring_free(env.ring);
    return 0;
}

static const char *line(void)
{
    ssize_t n = pread(log_fd, said, sizeof said - 1, 0);
    assert_true(n >= 0);
    said[n] = '\0';
    assert_int_equal(ftruncate(log_fd, 0), 0);
    assert_int_equal(lseek(log_fd, 0, SEEK_SET), 0);
    return said;
}

static void has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("no '%s' in: %s", part, text);
}

static void has_not(const char *text, const char *part)
{
    if (strstr(text, part))
        fail_msg("'%s' in: %s", part, text);
}

static char *scrape(void)
{
    static struct text_heap out;
    text_heap_done(&out);
    text_heap_init(&out, 1 << 20);
    metrics_print(&env.metrics, 1, false, &out);
    assert_false(out.failed);
    return out.data ? out.data : (char *)"";
}

/* The value of the only series of the metric that has this text in its labels; -1: there is none. */
static long value_of(const char *metric, const char *labels)
{
    long found = -1;
    size_t len = strlen(metric);
    for (char *at = scrape(), *next; at && *at; at = next) {
        char *end_of_line = strchr(at, '\n');
        next = end_of_line ? end_of_line + 1 : NULL;
        if (end_of_line)
            *end_of_line = '\0';
        if (strncmp(at, metric, len) != 0 || at[len] != '{' || !strstr(at, labels))
            continue;
        assert_int_equal(found, -1);
        found = strtol(strrchr(at, ' '), NULL, 10);
    }
    return found;
}

static struct addr address(const char *text)
{
    struct addr a;
    assert_int_equal(addr_parse(text_of(text), &a), 0);
    return a;
}

static struct workload *workload(const char *name, const char *revision)
{
    struct workload *w = workload_new();
    assert_non_null(w);
    assert_int_equal(workload_set(&w->workload_name, text_of(name)), 0);
    assert_int_equal(workload_set(&w->ns, TEXT("shop")), 0);
    assert_int_equal(workload_set(&w->canonical_name, text_of(name)), 0);
    assert_int_equal(workload_set(&w->canonical_revision, text_of(revision)), 0);
    assert_int_equal(workload_set(&w->cluster_id, TEXT("Kubernetes")), 0);
    return w;
}

static const char *const all_labels[] = {
    "reporter", "source_workload", "source_workload_namespace", "source_principal", "source_app", "source_version", "source_cluster",
    "source_canonical_service", "source_canonical_revision", "destination_workload", "destination_workload_namespace", "destination_principal",
    "destination_app", "destination_version", "destination_cluster", "destination_service", "destination_service_name",
    "destination_service_namespace", "destination_canonical_service", "destination_canonical_revision", "request_protocol", "response_flags",
    "connection_security_policy",
};

static const char *const families[] = {"istio_tcp_connections_opened_total", "istio_tcp_connections_closed_total", "istio_tcp_sent_bytes_total",
                                       "istio_tcp_received_bytes_total", "istio_tcp_connections_failed_total"};

/* Of every series, whatever is known: Kiali and Istio's dashboards need all of them. */
static void assert_labels_complete(void)
{
    unsigned n = 0;
    for (char *at = scrape(), *next; at && *at; at = next) {
        char *end_of_line = strchr(at, '\n');
        next = end_of_line ? end_of_line + 1 : NULL;
        if (end_of_line)
            *end_of_line = '\0';
        if (strncmp(at, "istio_tcp_", 10) != 0)
            continue;
        n++;
        for (size_t i = 0; i < ARRAY_SIZE(all_labels); i++) {
            char want[64];
            snprintf(want, sizeof want, "%c%s=\"", i == 0 ? '{' : ',', all_labels[i]);
            const char *value = strstr(at, want);
            if (!value || value[strlen(want)] == '"')
                fail_msg("%s is missing or empty in %s", all_labels[i], at);
        }
    }
    assert_true(n > 0);
}

static void everything_known(void **state)
{
    struct workload *web = workload("web", "v2"), *cart = workload("cart", "");
    struct service *s = service_new();
    struct spiffe_id from, to;
    struct relay relay = {0};
    struct account a = {.id = 1, .opened_ms = ring_now_ms(env.ring)};
    (void)state;
    assert_non_null(s);
    assert_int_equal(workload_set(&s->hostname, TEXT("cart.shop.svc.cluster.local")) | workload_set(&s->name, TEXT("cart")) | workload_set(&s->ns, TEXT("shop")), 0);
    assert_int_equal(spiffe_id_make(TEXT("cluster.local"), TEXT("shop"), TEXT("web"), &from) | spiffe_id_make(TEXT("cluster.local"), TEXT("shop"), TEXT("cart"), &to), 0);
    const struct account_subject subject = {.source = web, .destination = cart, .service = s, .source_id = &from, .destination_id = &to, .mutual_tls = true};
    account_begin(&a, &env, REPORTER_SOURCE, &subject, &relay);
    workload_free(web); /* names were copied: nothing points into the directory */
    workload_free(cart);
    service_free(s);
    const char *who = "{reporter=\"source\",source_workload=\"web\",source_workload_namespace=\"shop\",source_principal=\"spiffe://cluster.local/ns/shop/sa/web\","
                      "source_app=\"web\",source_version=\"v2\",source_cluster=\"Kubernetes\",source_canonical_service=\"web\",source_canonical_revision=\"v2\","
                      "destination_workload=\"cart\",destination_workload_namespace=\"shop\",destination_principal=\"spiffe://cluster.local/ns/shop/sa/cart\","
                      "destination_app=\"cart\",destination_version=\"unknown\",destination_cluster=\"Kubernetes\","
                      "destination_service=\"cart.shop.svc.cluster.local\",destination_service_name=\"cart\",destination_service_namespace=\"shop\","
                      "destination_canonical_service=\"cart\",destination_canonical_revision=\"latest\",request_protocol=\"tcp\",response_flags=\"-\","
                      "connection_security_policy=\"mutual_tls\"}";
    assert_int_equal(value_of(families[0], who), 1);
    assert_int_equal(value_of(families[1], who), 0);
    /* Sent is from the server to the client, received is from the client to the server. */
    metric_add(relay.client.count, 7);
    metric_add(relay.server.count, 1000);
    relay.client.bytes = 7;
    relay.server.bytes = 1000;
    assert_int_equal(value_of("istio_tcp_received_bytes_total", who), 7);
    assert_int_equal(value_of("istio_tcp_sent_bytes_total", who), 1000);
    const struct account_line l = {.source = address("10.0.0.1:5000"), .destination = address("10.96.0.1:80"), .hbone = address("10.0.0.2:8080"), .status = 200, .ending = ENDING_CLOSED};
    account_end(&a, &env, REPORTER_SOURCE, &relay, &l);
    assert_int_equal(value_of(families[1], who), 1);
    assert_int_equal(value_of(families[4], ""), -1);
    assert_int_equal(env.endings[ENDING_CLOSED], 1);
    const char *text = line();
    has(text, " info access: connection complete src.addr=10.0.0.1:5000 src.workload=web src.namespace=shop src.identity=spiffe://cluster.local/ns/shop/sa/web "
              "dst.addr=10.96.0.1:80 dst.hbone_addr=10.0.0.2:8080 dst.service=cart.shop.svc.cluster.local dst.workload=cart dst.namespace=shop "
              "dst.identity=spiffe://cluster.local/ns/shop/sa/cart direction=outbound bytes_sent=7 bytes_recv=1000 duration=");
    has(text, "ms ending=closed\n");
    has_not(text, "error=");
    has_not(text, "status=");
    assert_labels_complete();
}

/* Seen from the destination the line's directions are its own, the counters' stay the client's and the server's. */
static void directions_at_the_destination(void **state)
{
    struct relay relay = {0};
    struct account a = {0};
    (void)state;
    account_begin(&a, &env, REPORTER_DESTINATION, NULL, &relay);
    assert_ptr_equal(relay.client.count, a.received);
    assert_ptr_equal(relay.server.count, a.sent);
    relay.client.bytes = 7;
    relay.server.bytes = 1000;
    account_end(&a, &env, REPORTER_DESTINATION, &relay, &(struct account_line){.ending = ENDING_CLOSED});
    has(line(), "direction=inbound bytes_sent=1000 bytes_recv=7 ");
    assert_int_equal(value_of(families[1], "{reporter=\"destination\",source_workload=\"unknown\""), 1);
    assert_labels_complete();
}

/* Nothing is counted before it is known what is spoken; then as if it had been from the beginning. */
static void decided_later(void **state)
{
    const struct account_subject subject = {.undecided = true, .requests = true};
    const char *requests = "weir_http_connections_opened_total";
    struct relay relay = {0};
    (void)state;
    for (int kind = 0; kind < 3; kind++) {
        struct account a = {0};
        account_begin(&a, &env, REPORTER_DESTINATION, &subject, &relay);
        assert_int_equal(value_of(families[0], "reporter"), kind ? kind : -1);
        assert_int_equal(value_of(requests, "reporter"), -1);
        if (kind < 2) { /* the third one ends before */
            account_decide(&a, &env, false, &relay);
            account_decide(&a, &env, true, &relay); /* once is for all */
            assert_ptr_equal(relay.client.count, a.received);
        }
        assert_true(text_equal(account_label(&a, ACCOUNT_LABEL_PROTOCOL), TEXT("tcp")));
        account_end(&a, &env, REPORTER_DESTINATION, &relay, &(struct account_line){.ending = ENDING_CLOSED});
        assert_int_equal(value_of(families[0], "{reporter=\"destination\""), kind + 1);
        assert_int_equal(value_of(families[1], "reporter"), kind + 1);
    }
    struct account a = {0};
    account_begin(&a, &env, REPORTER_DESTINATION, &subject, &relay);
    account_decide(&a, &env, true, &relay);
    assert_null(a.received);
    account_end(&a, &env, REPORTER_DESTINATION, &relay, &(struct account_line){.ending = ENDING_CLOSED});
    assert_int_equal(value_of(families[0], "reporter"), 3);
    assert_int_equal(value_of(requests, "{reporter=\"destination\""), 1);
    assert_int_equal(value_of(requests, "request_protocol=\"http\""), 1);
}

static void nothing_known(void **state)
{
    (void)state;
    const struct account_line l = {.source = address("[fd00::1]:5000"), .ending = ENDING_HANDSHAKE_TIMEOUT, .why = TEXT("it took \"too\" long")};
    account_refused(&env, REPORTER_DESTINATION, &l);
    const char *unknown = "connection_security_policy=\"none\"}";
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(value_of(families[i], unknown), 1);
    assert_int_equal(value_of(families[4], "response_flags=\"TLS_FAILURE\""), 1);
    const char *text = line();
    has(text, " warn access: connection complete src.addr=[fd00::1]:5000 direction=inbound bytes_sent=0 bytes_recv=0 duration=0ms ending=\"handshake timeout\" "
              "error=\"it took \\\"too\\\" long\"\n");
    has_not(text, "unknown");
    assert_labels_complete();
}

/* Each ending is counted; those that are somebody's fault are failures, with their flag, and say an error. */
static void every_ending(void **state)
{
    (void)state;
    for (enum ending e = ENDING_CLOSED; e < ENDING_COUNT; e++) {
        struct account a = {0};
        struct relay relay = {0};
        const struct account_line l = {.policy = TEXT("shop/only-web"), .dry_run = TEXT("shop/later"), .status = 401, .ending = e};
        account_end(&a, &env, REPORTER_SOURCE, &relay, &l);
        assert_int_equal(env.endings[e], 1);
        const char *text = line();
        bool quiet = e == ENDING_CLOSED || e == ENDING_RESET_BY_CLIENT || e == ENDING_RESET_BY_SERVER || e == ENDING_DRAINED || e == ENDING_WORKLOAD_GONE || e == ENDING_IDLE_TIMEOUT;
        has(text, quiet ? " info " : " warn ");
        if (quiet)
            has_not(text, "error=");
        else
            has(text, ending_meaning(e));
        has(text, ending_text(e));
        has(text, " policy=shop/only-web dry_run=shop/later status=401 ending=");
    }
    long failures = 0;
    for (char *at = scrape(); (at = strstr(at, "\nistio_tcp_connections_failed_total{")); at++)
        failures += strtol(strstr(at, "} ") + 2, NULL, 10);
    assert_int_equal(failures, ENDING_COUNT - 1 - 6);
    assert_int_equal(value_of(families[4], "response_flags=\"DENY\""), 2); /* denied, policy changed */
    assert_labels_complete();
}

static void the_log_can_be_off(void **state)
{
    struct account a = {0};
    struct relay relay = {0};
    (void)state;
    config.access_log = false;
    account_end(&a, &env, REPORTER_SOURCE, &relay, &(struct account_line){.ending = ENDING_DENIED});
    assert_string_equal(line(), "");
    assert_int_equal(env.endings[ENDING_DENIED], 1);
}

/* At the bound of series everything is still counted, in one that says so. */
static void more_names_than_there_is_room_for(void **state)
{
    (void)state;
    for (int i = 0; i < 300; i++) {
        char name[16];
        snprintf(name, sizeof name, "w%d", i);
        struct workload *w = workload(name, "v1");
        struct account a = {0};
        struct relay relay = {0};
        account_begin(&a, &env, REPORTER_SOURCE, &(struct account_subject){.source = w}, &relay);
        workload_free(w);
        account_end(&a, &env, REPORTER_SOURCE, &relay, &(struct account_line){.ending = ENDING_DENIED});
        char want[32];
        snprintf(want, sizeof want, " src.workload=w%d ", i);
        const char *text = line(); /* the line knows all the same */
        has(text, want);
        has_not(text, "overflow");
    }
    long sums[2] = {0, 0};
    for (size_t i = 0; i < 2; i++)
        for (char *at = scrape(); (at = strstr(at, families[i]));) {
            at += strlen(families[i]);
            if (*at == '{')
                sums[i] += strtol(strstr(at, "} ") + 2, NULL, 10);
        }
    assert_int_equal(sums[0], 300);
    assert_int_equal(sums[1], 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(everything_known, begin, end),
        cmocka_unit_test_setup_teardown(directions_at_the_destination, begin, end),
        cmocka_unit_test_setup_teardown(decided_later, begin, end),
        cmocka_unit_test_setup_teardown(nothing_known, begin, end),
        cmocka_unit_test_setup_teardown(every_ending, begin, end),
        cmocka_unit_test_setup_teardown(the_log_can_be_off, begin, end),
        cmocka_unit_test_setup_teardown(more_names_than_there_is_room_for, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
