/* What requests say of their trace, the examples of both specifications among it, and what the next one
 * is told. */
#include "nodeproxy/trace/tracer.h"
#include "tests/unit/shared/base/test.h"
#include <errno.h>

#define TRACE "0af7651916cd43dd8448eb211c80319c"
#define SPAN  "b7ad6b7169203331"
#define OURS  "0102030405060708"

static const uint8_t ours[SPAN_ID_BYTES] = {1, 2, 3, 4, 5, 6, 7, 8};
static struct http_head h;
static struct trace_context c;

static int end(void **state)
{
    (void)state;
    http_head_done(&h);
    return 0;
}

/* "name: value" lines. */
static void read(const char *lines)
{
    struct text rest = text_of(lines), line, name, value;
    http_head_done(&h);
    http_head_init(&h);
    while (text_split(rest, '\n', &line, &rest)) {
        assert_true(text_split(line, ':', &name, &value));
        assert_int_equal(http_head_add(&h, name, text_trim(value)), 0);
    }
    trace_context_read(&h, &c);
}

static void is_parent(const char *trace, const char *span)
{
    char hex[64];
    struct text_out o = TEXT_OUT(hex);
    assert_true(c.parent);
    for (size_t i = 0; i < TRACE_ID_BYTES; i++)
        text_printf(&o, "%02x", c.trace_id[i]);
    text_putc(&o, ' ');
    for (size_t i = 0; i < SPAN_ID_BYTES; i++)
        text_printf(&o, "%02x", c.span_id[i]);
    assert_memory_equal(hex, trace, 32);
    assert_string_equal(hex + 33, span);
}

static void says(const char *name, const char *value)
{
    struct text t = http_head_get(&h, text_of(name));
    assert_int_equal(t.len, strlen(value));
    assert_memory_equal(t.data, value, t.len);
}

static void w3c(void **state)
{
    (void)state;
    read("traceparent: 00-" TRACE "-" SPAN "-01\ntracestate: a=1\n");
    is_parent(TRACE, SPAN);
    assert_int_equal(c.formats, TRACE_W3C);
    assert_int_equal(c.sampled, TRACE_SAMPLED);
    assert_int_equal(trace_context_write(&h, &c, ours), 0);
    says("traceparent", "00-" TRACE "-" OURS "-01");
    says("tracestate", "a=1");
    read("traceparent: 00-" TRACE "-" SPAN "-02\n");
    assert_int_equal(c.sampled, TRACE_LEFT_OUT);
    assert_int_equal(trace_context_write(&h, &c, ours), 0);
    says("traceparent", "00-" TRACE "-" OURS "-02"); /* level 2's "random" goes on */
    read("traceparent: cc-" TRACE "-" SPAN "-09-what the future will be like\n");
    is_parent(TRACE, SPAN);
    assert_int_equal(c.sampled, TRACE_SAMPLED);
    assert_int_equal(trace_context_write(&h, &c, ours), 0);
    says("traceparent", "00-" TRACE "-" OURS "-01");
}

static void malformed(void **state)
{
    static const char *const values[] = {
        "",
        "00",
        "00-" TRACE "-" SPAN,
        "00-" TRACE "-" SPAN "-",
        "00-" TRACE "-" SPAN "-1",
        "00-" TRACE "-" SPAN "-0x",
        "00-" TRACE "-" SPAN "-01-",
        "00-" TRACE "-" SPAN "-01.",
        "01-" TRACE "-" SPAN "-01x",
        "ff-" TRACE "-" SPAN "-01",
        "00_" TRACE "-" SPAN "-01",
        "00-" TRACE "_" SPAN "-01",
        "00-" TRACE "-" SPAN "_01",
        "00-0AF7651916CD43DD8448EB211C80319C-" SPAN "-01",
        "00-" TRACE "-B7ad6b7169203331-01",
        "00-00000000000000000000000000000000-" SPAN "-01",
        "00-" TRACE "-0000000000000000-01",
    };
    char line[200];
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
        snprintf(line, sizeof line, "traceparent: %s\n", values[i]);
        read(line);
        assert_false(c.parent);
        assert_int_equal(c.formats, 0);
        assert_int_equal(c.sampled, TRACE_UNDECIDED);
    }
    read("traceparent: 00-" TRACE "-" SPAN "-01\ntraceparent: 00-" TRACE "-" SPAN "-01\n");
    assert_int_equal(c.formats, 0);
    read("traceparent: 00-" TRACE "-" SPAN "\nb3: " TRACE "-" SPAN "-1\n");
    is_parent(TRACE, SPAN); /* the other one makes up for it, and it stays as it is */
    assert_int_equal(c.formats, TRACE_B3_SINGLE);
    assert_int_equal(trace_context_write(&h, &c, ours), 0);
    says("traceparent", "00-" TRACE "-" SPAN);
}

static void b3(void **state)
{
    (void)state;
    read("b3: 80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1-05e3ac9a4f6e3b90\n");
    is_parent("80f198ee56343ba864fe8b2a57d3eff7", "e457b5a2e4d86bd1");
    assert_int_equal(c.sampled, TRACE_SAMPLED);
    assert_int_equal(trace_context_write(&h, &c, ours), 0);
    says("b3", "80f198ee56343ba864fe8b2a57d3eff7-" OURS "-1-e457b5a2e4d86bd1");
    says("traceparent", "");
    read("b3: 64fe8b2a57d3eff7-e457b5a2e4d86bd1-d\n");
    is_parent("000000000000000064fe8b2a57d3eff7", "e457b5a2e4d86bd1");
    assert_int_equal(trace_context_write(&h, &c, ours), 0);
    says("b3", "64fe8b2a57d3eff7-" OURS "-d-e457b5a2e4d86bd1");
    read("b3: 0\n");
    assert_false(c.parent);
    assert_int_equal(c.sampled, TRACE_LEFT_OUT);
    read("b3: 80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1\n");
    assert_int_equal(c.sampled, TRACE_UNDECIDED);
    read("b3: 80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-2\n");
    assert_int_equal(c.formats, 0);
    read("x-b3-traceid: " TRACE "\nx-b3-spanid: " SPAN "\nx-b3-parentspanid: 05e3ac9a4f6e3b90\n"
         "x-b3-sampled: 1\n");
    is_parent(TRACE, SPAN);
    assert_int_equal(c.formats, TRACE_B3);
    assert_int_equal(trace_context_write(&h, &c, ours), 0);
    says("x-b3-traceid", TRACE);
    says("x-b3-spanid", OURS);
    says("x-b3-parentspanid", SPAN);
    says("x-b3-sampled", "1");
    read("x-b3-flags: 1\n");
    assert_false(c.parent);
    assert_true(c.debug);
    assert_int_equal(c.sampled, TRACE_SAMPLED);
    read("x-b3-sampled: 0\n");
    assert_int_equal(c.sampled, TRACE_LEFT_OUT);
    /* An id of 64 bits that is none says nothing of how long the new trace's is. */
    read("x-b3-traceid: 0000000000000000\nx-b3-spanid: " SPAN "\nx-b3-sampled: 1\n");
    assert_false(c.parent);
    memset(c.trace_id, 0xab, sizeof c.trace_id);
    assert_int_equal(trace_context_write(&h, &c, ours), 0);
    says("x-b3-traceid", "abababababababababababababababab");
}

static void several(void **state)
{
    (void)state;
    read("traceparent: 00-" TRACE "-" SPAN "-01\nb3: " TRACE "-" SPAN "-1\nx-b3-traceid: "
         "80f198ee56343ba864fe8b2a57d3eff7\nx-b3-spanid: " SPAN "\n");
    assert_int_equal(c.formats, TRACE_W3C | TRACE_B3_SINGLE);
    assert_int_equal(trace_context_write(&h, &c, ours), 0);
    says("traceparent", "00-" TRACE "-" OURS "-01");
    says("b3", TRACE "-" OURS "-1-" SPAN);
    says("x-b3-traceid", "80f198ee56343ba864fe8b2a57d3eff7"); /* somebody else's */
    says("x-b3-spanid", SPAN);
}

/* ---- what is decided --------------------------------------------------------------------------- */

static struct exporter exporter;
static struct rng rng;
static struct request_trace trace;

static void begin_with(const struct tracer *t, const char *lines)
{
    read(lines);
    memset(&trace, 0xee, sizeof trace);
    request_trace_begin(t, &trace, &h, &rng);
}

static void decided(void **state)
{
    const struct tracer all = {&exporter, TRACE_MILLION}, none = {&exporter, 0}, off = {NULL, TRACE_MILLION};
    (void)state;
    rng_seed(&rng, 7);
    begin_with(&all, "");
    assert_true(trace.recorded);
    assert_int_equal(http_head_get(&h, TEXT("traceparent")).len, 55);
    assert_true(text_ends_with(http_head_get(&h, TEXT("traceparent")), TEXT("-01")));
    begin_with(&all, "tracestate: old=1\ntraceparent: 00-broken\n");
    assert_true(trace.recorded);
    assert_null(http_head_get(&h, TEXT("tracestate")).data);
    begin_with(&none, "");
    assert_false(trace.recorded); /* and whoever is next is told so */
    assert_true(text_ends_with(http_head_get(&h, TEXT("traceparent")), TEXT("-00")));
    begin_with(&none, "traceparent: 00-" TRACE "-" SPAN "-01\n");
    assert_true(trace.recorded); /* as the parent */
    begin_with(&all, "traceparent: 00-" TRACE "-" SPAN "-00\ntracestate: a=1\n");
    assert_false(trace.recorded);
    says("traceparent", "00-" TRACE "-" SPAN "-00");
    says("tracestate", "a=1");
    begin_with(&off, "traceparent: 00-" TRACE "-" SPAN "-01\n");
    assert_false(trace.recorded);
    says("traceparent", "00-" TRACE "-" SPAN "-01");
    begin_with(NULL, "");
    assert_false(trace.recorded);
    assert_int_equal(h.n, 0);
}

static void request_ids(void **state)
{
    const struct tracer t = {NULL, 0};
    (void)state;
    begin_with(&t, "");
    struct text id = http_head_get(&h, TEXT("x-request-id"));
    assert_int_equal(id.len, 36);
    for (size_t i = 0; i < id.len; i++)
        if (i == 8 || i == 13 || i == 18 || i == 23)
            assert_int_equal(id.data[i], '-');
        else
            assert_true(text_hex_digit(id.data[i]) >= 0);
    assert_int_equal(id.data[14], '4');
    assert_non_null(memchr("89ab", id.data[19], 4));
    begin_with(&t, "x-request-id: mine\n");
    says("x-request-id", "mine");
}

static void a_part(void **state)
{
    const struct tracer t = {&exporter, 250000};
    unsigned n = 0;
    (void)state;
    for (size_t i = 0; i < 4000; i++) {
        begin_with(&t, "");
        n += trace.recorded;
    }
    assert_in_range(n, 860, 1140); /* 5 deviations */
}

static void percents(void **state)
{
    uint32_t n;
    (void)state;
    assert_int_equal(tracer_parse_percent(TEXT("100"), &n), 0);
    assert_int_equal(n, TRACE_MILLION);
    assert_int_equal(tracer_parse_percent(TEXT("0.0001"), &n), 0);
    assert_int_equal(n, 1);
    assert_int_equal(tracer_parse_percent(TEXT("1.5"), &n), 0);
    assert_int_equal(n, 15000);
    static const char *const wrong[] = {"", ".5", "-1", "101", "100.1", "1.00001", "1,5", "1.x"};
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
        assert_true(tracer_parse_percent(text_of(wrong[i]), &n) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(w3c, end),     cmocka_unit_test_teardown(malformed, end),
        cmocka_unit_test_teardown(b3, end),      cmocka_unit_test_teardown(several, end),
        cmocka_unit_test_teardown(decided, end), cmocka_unit_test_teardown(request_ids, end),
        cmocka_unit_test_teardown(a_part, end),  cmocka_unit_test(percents),
    };
    http_head_init(&h);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
