/* Numbers that a request leaves behind: labels to the letter, nothing allocated for a code that was
 * seen before, and nothing left of workloads that have gone. */
#include "nodeproxy/path/request_account.h"
#include "tests/unit/shared/base/failing_alloc.h"
#include "tests/unit/shared/mesh/nouns.h"

static struct directory *directory;
static struct metrics *metrics;
static unsigned n_asked;

static int begin(void **state)
{
    (void)state;
    n_asked = 0;
    directory_thread_register();
    return directory_new(&directory) < 0 || metrics_new(&metrics, 9) < 0 ? -1 : 0;
}

static int end(void **state)
{
    (void)state;
    metrics_free(metrics);
    directory = directory_free(directory);
    directory_thread_unregister();
    return 0;
}

static void put_workload(const char *name)
{
    struct workload *w = workload_new();
    assert_non_null(w);
    put_text(&w->uid, heap_text("uid-%s", name));
    put_text(&w->name, heap_text("%s-1", name));
    put_text(&w->ns, heap_text("shop"));
    put_text(&w->workload_name, heap_text("%s", name));
    put_text(&w->canonical_name, heap_text("%s", name));
    assert_int_equal(directory_put_workload(directory, w), 0);
}

static void labels(void *user, const struct exchange_record *record, struct spiffe_id *memory,
                   struct text ret[static ACCOUNT_LABELS])
{
    (void)record, (void)memory;
    const char *const *names = user;
    char uid[64];
    n_asked++;
    struct account_subject subject = {.mutual_tls = true};
    snprintf(uid, sizeof uid, "uid-%s", names[0]);
    subject.source = directory_workload(directory, text_of(uid));
    snprintf(uid, sizeof uid, "uid-%s", names[1]);
    subject.destination = directory_workload(directory, text_of(uid));
    account_labels_of(REPORTER_DESTINATION, &subject, ret);
}

static char *scrape(void)
{
    static struct text_heap out;
    text_heap_done(&out);
    text_heap_init(&out, 1 << 20);
    metrics_print(&metrics, 1, false, &out);
    assert_false(out.failed);
    return out.data ? out.data : (char *)"";
}

static void has(const char *line)
{
    const char *text = scrape();
    if (!strstr(text, line))
        fail_msg("no '%s' in: %s", line, text);
}

static void has_not(const char *line)
{
    const char *text = scrape();
    if (strstr(text, line))
        fail_msg("'%s' in: %s", line, text);
}

static const struct exchange_record fine = {.status = 200,
                                            .grpc_status = -1,
                                            .bytes_received = 3,
                                            .bytes_sent = 30,
                                            .duration_ms = 7,
                                            .ending = ENDING_CLOSED};

#define WHO                                                                                        \
    "reporter=\"destination\",source_workload=\"web\",source_workload_namespace=\"shop\","         \
    "source_principal=\"unknown\",source_app=\"web\",source_version=\"unknown\","                  \
    "source_cluster=\"unknown\",source_canonical_service=\"web\","                                 \
    "source_canonical_revision=\"latest\",destination_workload=\"orders\","                        \
    "destination_workload_namespace=\"shop\",destination_principal=\"unknown\","                   \
    "destination_app=\"orders\",destination_version=\"unknown\",destination_cluster=\"unknown\","  \
    "destination_service=\"unknown\",destination_service_name=\"unknown\","                        \
    "destination_service_namespace=\"unknown\",destination_canonical_service=\"orders\","          \
    "destination_canonical_revision=\"latest\","
#define WHAT(protocol, flags, code, grpc)                                                          \
    "{" WHO "request_protocol=\"" protocol "\",response_flags=\"" flags                            \
    "\",connection_security_policy=\"mutual_tls\",response_code=\"" code                           \
    "\",grpc_response_status=\"" grpc "\""

static void the_lines(void **state)
{
    const char *who[] = {"web", "orders"};
    struct request_account a;

    (void)state;
    put_workload("web");
    put_workload("orders");
    request_account_begin(&a, metrics, labels, who);
    request_account_count(&a, &fine);
    request_account_count(&a, &fine);
    has("istio_requests_total" WHAT("http", "-", "200", "") "} 2\n");
    has("istio_request_duration_milliseconds_bucket" WHAT("http", "-", "200", "") ",le=\"5\"} 0\n");
    has("istio_request_duration_milliseconds_bucket" WHAT("http", "-", "200",
                                                          "") ",le=\"10\"} 2\n");
    has("istio_request_duration_milliseconds_sum" WHAT("http", "-", "200", "") "} 14\n");
    has("istio_request_bytes_sum" WHAT("http", "-", "200", "") "} 6\n");
    has("istio_response_bytes_sum" WHAT("http", "-", "200", "") "} 60\n");
    has("istio_response_bytes_count" WHAT("http", "-", "200", "") "} 2\n");
    struct exchange_record r = fine;
    r.grpc = true;
    r.grpc_status = 7;
    request_account_count(&a, &r);
    has("istio_requests_total" WHAT("grpc", "-", "200", "7") "} 1\n");
    r.grpc_status = 999; /* no status of gRPC: UNKNOWN, and one series whatever a server makes up */
    r.messages_received = 2;
    r.messages_sent = 40;
    request_account_count(&a, &r);
    r.grpc_status = 17;
    request_account_count(&a, &r);
    has("istio_requests_total" WHAT("grpc", "-", "200", "2") "} 2\n");
    has("istio_request_messages_total" WHAT("grpc", "-", "200", "2") "} 4\n");
    has("istio_response_messages_total" WHAT("grpc", "-", "200", "2") "} 80\n");
    r = fine;
    r.status = 403;
    r.ending = ENDING_DENIED;
    request_account_count(&a, &r);
    has("istio_requests_total" WHAT("http", "-", "403", "") "} 1\n");
    r.status = 0;
    r.ending = ENDING_RESET_BY_CLIENT;
    request_account_count(&a, &r);
    has("istio_requests_total" WHAT("http", "DC", "0", "") "} 1\n");
    r.status = 503;
    r.ending = ENDING_RESET_BY_SERVER;
    request_account_count(&a, &r);
    has("istio_requests_total" WHAT("http", "UC", "503", "") "} 1\n");
    r.ending = ENDING_NO_ENDPOINT; /* the same code for another reason */
    request_account_count(&a, &r);
    has("istio_requests_total" WHAT("http", "UC", "503", "") "} 1\n");
    has("istio_requests_total" WHAT("http", "UH", "503", "") "} 1\n");
    r.status = 504;
    r.ending = ENDING_ANSWER_TIMEOUT;
    request_account_count(&a, &r);
    has("istio_requests_total" WHAT("http", "UT", "504", "") "} 1\n");
    request_account_end(&a);
}

/* The last few codes are kept: no look for a series, no memory. */
static void codes_are_kept(void **state)
{
    const char *who[] = {"web", "orders"};
    struct request_account a;
    struct exchange_record r = fine;

    (void)state;
    put_workload("web");
    put_workload("orders");
    request_account_begin(&a, metrics, labels, who);
    for (unsigned i = 0; i < REQUEST_ACCOUNT_KEPT; i++) {
        r.status = 200 + i;
        request_account_count(&a, &r);
    }
    assert_int_equal(n_asked, REQUEST_ACCOUNT_KEPT);
    alloc_fail_at(0);
    for (unsigned i = 0; i < 10 * REQUEST_ACCOUNT_KEPT; i++) {
        r.status = 200 + i % REQUEST_ACCOUNT_KEPT;
        request_account_count(&a, &r);
    }
    assert_false(alloc_failed());
    assert_int_equal(n_asked, REQUEST_ACCOUNT_KEPT);
    has("istio_requests_total" WHAT("http", "-", "201", "") "} 11\n");
    /* One more makes room, and is not mistaken for another. */
    r.status = 300;
    request_account_count(&a, &r);
    r.status = 200;
    request_account_count(&a, &r);
    assert_int_equal(n_asked, REQUEST_ACCOUNT_KEPT + 2);
    has("istio_requests_total" WHAT("http", "-", "300", "") "} 1\n");
    has("istio_requests_total" WHAT("http", "-", "200", "") "} 12\n");
    r.to.port = 80; /* another endpoint is another series */
    request_account_count(&a, &r);
    assert_int_equal(n_asked, REQUEST_ACCOUNT_KEPT + 3);
    request_account_end(&a);
}

static void what_has_gone_is_dropped(void **state)
{
    const char *living[] = {"web", "orders"}, *leaving[] = {"batch", "orders"};
    const char *nobody[] = {"who", "orders"};
    struct request_account a, b, c;

    (void)state;
    put_workload("web");
    put_workload("orders");
    put_workload("batch");
    request_account_begin(&a, metrics, labels, living);
    request_account_begin(&b, metrics, labels, leaving);
    request_account_begin(&c, metrics, labels, nobody);
    request_account_count(&a, &fine);
    request_account_count(&b, &fine);
    request_account_count(&c, &fine); /* an unknown side is nobody that could go */
    request_account_end(&a);
    request_account_end(&c);
    assert_true(directory_remove_workload(directory, TEXT("uid-batch")));
    request_account_drop_gone(metrics, directory);
    has("source_workload=\"batch\""); /* somebody counts in it */
    request_account_end(&b);
    request_account_drop_gone(metrics, directory);
    has_not("source_workload=\"batch\"");
    has("istio_requests_total" WHAT("http", "-", "200", "") "} 1\n");
    has("source_workload=\"unknown\"");
    assert_true(directory_remove_workload(directory, TEXT("uid-orders")));
    request_account_drop_gone(metrics, directory);
    has_not("destination_workload=\"orders\"");
}

/* Of too many, the rest counts together, and is told of. */
static void bounded(void **state)
{
    const char *who[] = {"web", "orders"};
    struct request_account a;
    struct exchange_record r = fine;

    (void)state;
    put_workload("web");
    request_account_begin(&a, metrics, labels, who);
    for (r.status = 200; r.status < 220; r.status++)
        request_account_count(&a, &r);
    has("response_code=\"overflow\",grpc_response_status=\"overflow\"} 11\n");
    has("weir_metric_series_left_out_total{family=\"istio_requests_total\"} 11\n");
    request_account_end(&a);
    request_account_drop_gone(metrics, directory);
    has("response_code=\"overflow\",grpc_response_status=\"overflow\"} 11\n");
}

static void without_memory(void **state)
{
    const char *who[] = {"web", "orders"};
    bool failed = true;

    (void)state;
    put_workload("web");
    put_workload("orders");
    for (long n = 0; failed; n++) {
        struct request_account a;
        struct metrics *m = NULL;
        assert_int_equal(metrics_new(&m, 8), 0);
        request_account_begin(&a, m, labels, who);
        alloc_fail_at(n);
        request_account_count(&a, &fine);
        request_account_count(&a, &fine);
        request_account_end(&a);
        request_account_drop_gone(m, directory);
        failed = alloc_failed();
        metrics_free(m);
        assert_true(n < 200);
    }
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(the_lines), TEST(codes_are_kept), TEST(what_has_gone_is_dropped),
        TEST(bounded),   TEST(without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
