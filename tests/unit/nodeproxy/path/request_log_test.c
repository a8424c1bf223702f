/* Lines of requests as Istio writes them, text and JSON, to the letter; and whatever a client says, a line is one
 * line, whole, with the fields that it should have. */
#include "nodeproxy/path/request_log.h"
#include "shared/base/log.h"
#include "shared/json/json.h"
#include "tests/unit/shared/base/test.h"
#include <fcntl.h>
#include <unistd.h>

static int ends[2];
static struct ring *ring;
static struct config config = {.access_log = true};
static struct path_env env = {.config = &config};
static struct account account;
static struct addr source, destination;
static struct http_head head;

static int begin(void **state)
{
    (void)state;
    http_head_init(&head);
    if (pipe2(ends, O_NONBLOCK) < 0 || ring_open(&ring, NULL, NULL) < 0 ||
        addr_parse(TEXT("10.1.0.1:40000"), &source) < 0 || addr_parse(TEXT("10.96.0.9:80"), &destination) < 0)
        return -1;
    env.ring = ring;
    log_set_fd(ends[1]);
    return 0;
}

static int end(void **state)
{
    (void)state;
    log_set_fd(2);
    log_configure(LOG_INFO, LOG_TEXT, 0);
    http_head_done(&head);
    ring_free(ring);
    close(ends[0]);
    close(ends[1]);
    return 0;
}

/* What was written: one line, without its end. */
static char *written(enum request_log_format format, enum reporter reporter, const struct exchange_record *r)
{
    static char got[8192];
    const struct request_log l = {&env, &account, &source, &destination, NULL, false};
    config.request_log = format;
    account.reporter = reporter;
    request_log_write(&l, r);
    ssize_t n = read(ends[0], got, sizeof got - 1);
    assert_in_range(n, 2, 4096);
    got[n] = '\0';
    assert_ptr_equal(strchr(got, '\n'), got + n - 1);
    got[n - 1] = '\0';
    return got;
}

static struct exchange_record a_record(void)
{
    struct exchange_record r = {.method = TEXT("GET"), .authority = TEXT("cart"), .path = TEXT("/a?b=1"),
                                .status = 200, .grpc_status = -1, .client = HTTP_VERSION_1, .chosen = true,
                                .why = "", .bytes_received = 3, .bytes_sent = 40, .duration_ms = 7,
                                .ending = ENDING_CLOSED, .request = &head, .server_ms = 5,
                                .cluster = TEXT("outbound|80||cart.shop.svc.cluster.local")};
    assert_int_equal(addr_parse(TEXT("10.1.0.2:8080"), &r.to), 0);
    return r;
}

static void the_lines(void **state)
{
    struct exchange_record r = a_record();
    (void)state;
    assert_int_equal(http_head_add(&head, TEXT("user-agent"), TEXT("agent/1")), 0);
    assert_int_equal(http_head_add(&head, TEXT("x-request-id"), TEXT("r-1")), 0);
    char *line = written(REQUEST_LOG_ISTIO, REPORTER_SOURCE, &r);
    assert_true(line[0] == '[' && line[11] == 'T' && line[24] == 'Z');
    assert_string_equal(line + 25,
                        "] \"GET /a?b=1 HTTP/1.1\" 200 - via_upstream - \"-\" 3 40 7 5 \"-\" \"agent/1\" \"r-1\" "
                        "\"cart\" \"10.1.0.2:8080\" outbound|80||cart.shop.svc.cluster.local - 10.96.0.9:80 "
                        "10.1.0.1:40000 - default");
    line = written(REQUEST_LOG_ISTIO_JSON, REPORTER_DESTINATION, &r);
    assert_memory_equal(line, "{\"start_time\":\"20", 17);
    assert_string_equal(
        strchr(line, ','),
        ",\"method\":\"GET\",\"path\":\"/a?b=1\",\"protocol\":\"HTTP/1.1\",\"response_code\":200,"
        "\"response_flags\":\"-\",\"response_code_details\":\"via_upstream\",\"connection_termination_details\":null,"
        "\"upstream_transport_failure_reason\":null,\"bytes_received\":3,\"bytes_sent\":40,\"duration\":7,"
        "\"upstream_service_time\":\"5\",\"x_forwarded_for\":null,\"user_agent\":\"agent/1\",\"request_id\":\"r-1\","
        "\"authority\":\"cart\",\"upstream_host\":\"10.96.0.9:80\",\"upstream_cluster\":\"inbound|80||\","
        "\"upstream_local_address\":null,\"downstream_local_address\":\"10.96.0.9:80\","
        "\"downstream_remote_address\":\"10.1.0.1:40000\",\"requested_server_name\":null,\"route_name\":\"default\"}");
    /* Nothing of it was understood. */
    r = (struct exchange_record){.status = 400, .grpc_status = -1, .own = true, .client = HTTP_VERSION_1,
                                 .ending = ENDING_BAD_REQUEST, .server_ms = -1};
    line = written(REQUEST_LOG_ISTIO, REPORTER_SOURCE, &r);
    assert_string_equal(line + 25, "] \"- - HTTP/1.1\" 400 DPE http_protocol_error - \"-\" 0 0 0 - \"-\" \"-\" \"-\" "
                                   "\"-\" \"-\" - - 10.96.0.9:80 10.1.0.1:40000 - default");
}

/* Each text that comes from outside, at its maximum and beyond, made of `bytes`. */
static struct exchange_record a_hostile_record(struct text bytes)
{
    static char longest[6000], longest_why[1000];
    struct exchange_record r = a_record();
    for (size_t i = 0; i < sizeof longest; i++)
        longest[i] = bytes.data[i % bytes.len];
    memcpy(longest_why, longest, sizeof longest_why - 1);
    const struct text all = {longest, sizeof longest};
    r.method = r.authority = r.path = r.route = r.cluster = r.notes.policy = all;
    r.why = longest_why;
    r.ending = ENDING_DENIED;
    r.own = r.retries_spent = r.delayed = true;
    r.status = 403;
    r.bytes_received = r.bytes_sent = r.duration_ms = UINT64_MAX;
    r.server_ms = INT64_MAX;
    return r;
}

static unsigned quotes_in(const char *line)
{
    unsigned n = 0;
    for (; *line; line++)
        if (*line == '\\' && line[1])
            line++;
        else
            n += *line == '"';
    return n;
}

static void is_whole(const struct exchange_record *r)
{
    static const char *const numbers[] = {"response_code", "bytes_received", "bytes_sent", "duration"};
    struct json *j;
    struct json_error e = {0};
    /* The request's line, and six texts in quotes. */
    char *line = written(REQUEST_LOG_ISTIO, REPORTER_SOURCE, r);
    assert_int_equal(quotes_in(line), 14);
    for (const char *p = line; *p; p++)
        assert_true((unsigned char)*p >= 0x20 && *p != 0x7f);
    line = written(REQUEST_LOG_ISTIO_JSON, REPORTER_SOURCE, r);
    if (json_parse(text_of(line), NULL, &j, &e) < 0)
        fail_msg("%s: %s", e.text, line);
    assert_int_equal(json_count(j), 24);
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
        assert_true(json_is(json_get(j, numbers[i]), JSON_NUMBER));
    assert_true(json_is(json_get(j, "path"), JSON_STRING));
    j = json_free(j);
    log_configure(LOG_INFO, LOG_JSON, 0);
    line = written(REQUEST_LOG_FIELDS, REPORTER_SOURCE, r);
    assert_int_equal(json_parse(text_of(line), NULL, &j, &e), 0);
    j = json_free(j);
    log_configure(LOG_INFO, LOG_TEXT, 0);
    (void)written(REQUEST_LOG_FIELDS, REPORTER_SOURCE, r);
}

static void hostile(void **state)
{
    char byte, quotes[300];
    (void)state;
    memset(quotes, '"', sizeof quotes);
    assert_int_equal(http_head_add(&head, TEXT("x-forwarded-for"), (struct text){quotes, sizeof quotes}), 0);
    assert_int_equal(http_head_add(&head, TEXT("user-agent"), (struct text){quotes, sizeof quotes}), 0);
    assert_int_equal(http_head_add(&head, TEXT("x-request-id"), (struct text){quotes, sizeof quotes}), 0);
    for (unsigned i = 1; i < 256; i++) { /* our reader takes no "\\u0000", and no head of HTTP holds it */
        byte = (char)i;
        const struct exchange_record r = a_hostile_record((struct text){&byte, 1});
        is_whole(&r);
    }
    static const char *const texts[] = {"\" 200 - via_upstream \"", "\r\n[2026-", "\\\"", "\xc3\xa9", "\xc3\"", "\",\"a\":\"",
                                        "\xe2\x80\xa8\xf0\x9f\x98\x80", "}\n{"};
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        const struct exchange_record r = a_hostile_record(text_of(texts[i]));
        is_whole(&r);
    }
    /* What fits is the same after it was read back. */
    struct exchange_record r = a_record();
    struct json *j;
    struct json_error e = {0};
    r.path = TEXT("/\"\\\n\t\x01\xc3\xa9/");
    assert_int_equal(json_parse(text_of(written(REQUEST_LOG_ISTIO_JSON, REPORTER_SOURCE, &r)), NULL, &j, &e), 0);
    is_text(json_text(json_get(j, "path")), "/\"\\\n\t\x01\xc3\xa9/");
    j = json_free(j);
}

/* Off, or not wanted at this level: nothing. A denial is a warning. */
static void silent(void **state)
{
    const struct exchange_record r = a_record();
    struct exchange_record denied = a_record();
    const struct request_log l = {&env, &account, &source, &destination, NULL, false};
    char byte;
    (void)state;
    config.access_log = false;
    request_log_write(&l, &r);
    config.access_log = true;
    log_configure(LOG_WARN, LOG_TEXT, 0);
    request_log_write(&l, &r);
    denied.ending = ENDING_DENIED;
    log_configure(LOG_ERROR, LOG_TEXT, 0);
    request_log_write(&l, &denied);
    assert_int_equal(read(ends[0], &byte, 1), -1);
    log_configure(LOG_WARN, LOG_TEXT, 0);
    (void)written(REQUEST_LOG_FIELDS, REPORTER_DESTINATION, &denied);
    (void)written(REQUEST_LOG_ISTIO, REPORTER_DESTINATION, &denied);
}

/* A workload's own flood leaves room for the line of who was refused. */
static void denials_are_not_hidden(void **state)
{
    const struct bounds_max max = {.pod = {[BOUND_LOG_LINES] = 1, [BOUND_LOG_FAILURES] = 1}};
    struct exchange_record well = a_record(), denied = a_record();
    struct bounds *node;
    char got[8192];
    (void)state;
    assert_int_equal(bounds_new(&node, &max), 0);
    const struct request_log l = {&env, &account, &source, &destination, bounds_pod(node, "uid", "shop", "cart"), false};
    assert_non_null(l.bounds);
    denied.ending = ENDING_DENIED;
    denied.own = true;
    denied.status = 403;
    config.request_log = REQUEST_LOG_ISTIO;
    for (int i = 0; i < 100; i++)
        request_log_write(&l, &well);
    request_log_write(&l, &denied);
    ssize_t n = read(ends[0], got, sizeof got - 1);
    assert_in_range(n, 2, sizeof got - 1);
    got[n] = '\0';
    assert_non_null(strstr(got, "\" 403 "));
    const char *first = strstr(got, "\" 200 "); /* of the hundred; the ring's second stands still */
    assert_non_null(first);
    assert_null(strstr(first + 1, "\" 200 "));
    pod_bounds_unref(l.bounds);
    bounds_free(node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(the_lines, begin, end),
                                       cmocka_unit_test_setup_teardown(hostile, begin, end),
                                       cmocka_unit_test_setup_teardown(silent, begin, end),
                                       cmocka_unit_test_setup_teardown(denials_are_not_hidden, begin, end)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
