#include "tests/unit/shared/dns/dns_fixture.h"
#include <errno.h>

static uint8_t query_bytes[2000];
static size_t query_len;
static struct dns_query query;

static void ask(const char *name, uint16_t type, uint16_t payload)
{
    query_len = make_query(query_bytes, 0x1234, name, type, payload);
    assert_int_equal(dns_query_read(query_bytes, query_len, &query), 0);
}

static void a_query_is_read(void **state)
{
    (void)state;
    ask("WeB.Shop.svc.Cluster.LOCAL", DNS_AAAA, 0);
    assert_string_equal(query.name, "web.shop.svc.cluster.local");
    assert_int_equal(query.id, 0x1234);
    assert_int_equal(query.type, DNS_AAAA);
    assert_int_equal(query.class, ns_c_in);
    assert_true(query.recursion && !query.edns && dns_query_is_plain(&query));
    assert_int_equal(query.payload, DNS_PLAIN_MAX);
    assert_int_equal(query.len, query_len);
    assert_memory_equal(query.bytes, query_bytes, query_len);
    ask("", DNS_A, 1400);
    assert_string_equal(query.name, "");
    assert_true(query.edns);
    assert_int_equal(query.payload, 1400);
    ask("a", DNS_A, 100); /* less than everybody takes (RFC 6891, 6.2.3) */
    assert_int_equal(query.payload, DNS_PLAIN_MAX);
}

/* A label that holds a dot is not two labels. */
static void strange_names_are_no_others(void **state)
{
    (void)state;
    query_len = make_query(query_bytes, 1, "webxshop", DNS_A, 0);
    query_bytes[DNS_HEAD_BYTES + 1 + 3] = '.';
    assert_int_equal(dns_query_read(query_bytes, query_len, &query), 0);
    assert_string_equal(query.name, "web\\.shop");
    query_bytes[DNS_HEAD_BYTES + 1 + 3] = '\0';
    assert_int_equal(dns_query_read(query_bytes, query_len, &query), 0);
    assert_string_equal(query.name, "web\\000shop");
}

static void what_is_no_query_gets_no_answer(void **state)
{
    (void)state;
    ask("a.b", DNS_A, 0);
    for (size_t len = 0; len < DNS_HEAD_BYTES; len++)
        assert_int_equal(dns_query_read(query_bytes, len, &query), -EBADMSG);
    query_bytes[2] |= 0x80; /* an answer: or two servers would answer each other for ever */
    assert_int_equal(dns_query_read(query_bytes, query_len, &query), -EBADMSG);
}

static void wrong_queries_are_told_so(void **state)
{
    struct dns_answer a;
    struct read_answer read;
    uint8_t out[DNS_PLAIN_MAX];
    (void)state;
    ask("a.b", DNS_A, 0);
    for (size_t len = DNS_HEAD_BYTES; len < query_len; len++)
        assert_int_equal(dns_query_read(query_bytes, len, &query), -EPROTO);
    query_bytes[query_len] = 0; /* something behind it */
    assert_int_equal(dns_query_read(query_bytes, query_len + 1, &query), -EPROTO);
    query_bytes[5] = 2; /* questions */
    assert_int_equal(dns_query_read(query_bytes, query_len, &query), -EPROTO);
    query_bytes[5] = 0;
    assert_int_equal(dns_query_read(query_bytes, DNS_HEAD_BYTES, &query), -EPROTO);
    assert_int_equal(query.id, 0x1234);

    dns_answer_begin(&a, out, sizeof out, &query, DNS_FORMAT_ERROR);
    size_t len = dns_answer_end(&a);
    assert_int_equal(len, DNS_HEAD_BYTES);
    read_answer(out, len, &read);
    assert_int_equal(read.id, 0x1234);
    assert_int_equal(read.code, DNS_FORMAT_ERROR);
    read_answer_done(&read);
}

/* A pointer in the question would mean something else in the answer, whose head differs. */
static void compressed_questions_are_refused(void **state)
{
    (void)state;
    ask("a.b", DNS_A, 0);
    uint8_t bytes[] = {0,    1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, /* head */
                       0xc0, 4,                               /* points at a count */
                       0,    1, 0, 1};
    assert_int_equal(dns_query_read(bytes, sizeof bytes, &query), -EPROTO);
    bytes[13] = 12; /* at itself */
    assert_int_equal(dns_query_read(bytes, sizeof bytes, &query), -EPROTO);
}

static void two_options_are_refused(void **state)
{
    (void)state;
    size_t len = make_query(query_bytes, 1, "a", DNS_A, 1400);
    memcpy(query_bytes + len, query_bytes + len - 11, 11);
    query_bytes[11] = 2;
    assert_int_equal(dns_query_read(query_bytes, len + 11, &query), -EPROTO);
    query_bytes[11] = 1;
    query_bytes[len - 5] = 1; /* EDNS version 1 */
    assert_int_equal(dns_query_read(query_bytes, len, &query), 0);
    assert_false(dns_query_is_plain(&query));
}

/* The asker may compare the letters of its question as it wrote them (0x20). */
static void letters_stay_as_they_came(void **state)
{
    struct dns_answer a;
    struct read_answer read;
    uint8_t out[DNS_PLAIN_MAX];
    const struct ip v4 = {4, {10, 96, 0, 7}}, v6 = {16, {0xfd, [15] = 7}};
    (void)state;
    ask("wEb.sHop", DNS_A, 1232);
    dns_answer_begin(&a, out, sizeof out, &query, DNS_NO_ERROR);
    assert_true(dns_answer_alias(&a, 5, "web.shop.svc.cluster.local"));
    assert_true(dns_answer_address(&a, 7, &v4));
    assert_true(dns_answer_address(&a, 7, &v6));
    assert_true(dns_answer_service(&a, 9, 8080, "pod-0.web.shop.svc.cluster.local"));
    read_answer(out, dns_answer_end(&a), &read);
    assert_string_equal(read.question, "wEb.sHop");
    assert_int_equal(read.n_answers, 4);
    assert_string_equal(read.rows[0], "wEb.sHop 5 cname web.shop.svc.cluster.local");
    assert_string_equal(read.rows[1], "web.shop.svc.cluster.local 7 a 10.96.0.7");
    assert_string_equal(read.rows[2], "web.shop.svc.cluster.local 7 aaaa fd00::7");
    assert_string_equal(read.rows[3], "web.shop.svc.cluster.local 9 srv 0 1 8080 "
                                      "pod-0.web.shop.svc.cluster.local");
    assert_true(read.authoritative && !read.truncated);
    assert_int_equal(read.payload, 1232);
    assert_int_equal(read.n_more, 1);
    read_answer_done(&read);
}

/* Of any size, with and without EDNS: never more than it, and what is missing is said. */
static void what_does_not_fit_is_cut(void **state)
{
    static uint8_t out[DNS_MESSAGE_MAX + 16];
    (void)state;
    for (size_t size = DNS_PLAIN_MAX; size <= DNS_MESSAGE_MAX; size += size < 700 ? 1 : 9973) {
        struct dns_answer a;
        struct read_answer read;
        unsigned n = 0;
        memset(out, 0xa5, sizeof out);
        ask("headless.shop.svc.cluster.local", DNS_A, size % 2 ? 1400 : 0);
        dns_answer_begin(&a, out, size, &query, DNS_NO_ERROR);
        for (uint8_t i = 1; i < 250 && n < 4500; n++, i = (uint8_t)(i == 249 ? 1 : i + 1))
            if (!dns_answer_address(&a, 5, &(struct ip){4, {10, 0, 0, i}}))
                break;
        size_t len = dns_answer_end(&a);
        assert_true(len <= size);
        for (size_t i = size; i < sizeof out && i < size + 16; i++)
            assert_int_equal(out[i], 0xa5);
        read_answer(out, len, &read);
        assert_true(read.truncated);
        assert_int_equal(read.n_answers, n);
        assert_true(size - len < 16);
        read_answer_done(&read);
    }
}

static void answers_are_compared(void **state)
{
    uint8_t answer[600];
    (void)state;
    ask("WWW.example.COM", DNS_A, 0);
    memcpy(answer, query_bytes, query_len);
    assert_false(dns_message_answers(answer, query_len, &query, 0x1234)); /* it is a query */
    answer[2] |= 0x80;
    assert_true(dns_message_answers(answer, query_len, &query, 0x1234));
    assert_false(dns_message_answers(answer, query_len, &query, 0x1235));
    assert_false(dns_message_answers(answer, query_len - 1, &query, 0x1234));
    answer[DNS_HEAD_BYTES + 1] = 'w'; /* another case */
    assert_true(dns_message_answers(answer, query_len, &query, 0x1234));
    answer[DNS_HEAD_BYTES + 1] = 'x'; /* another name */
    assert_false(dns_message_answers(answer, query_len, &query, 0x1234));
    answer[DNS_HEAD_BYTES + 1] = 'W';
    answer[query_len - 3] = DNS_AAAA; /* another type */
    assert_false(dns_message_answers(answer, query_len, &query, 0x1234));
    answer[5] = 0; /* no question: only with an error, and nothing else */
    assert_false(dns_message_answers(answer, DNS_HEAD_BYTES, &query, 0x1234));
    answer[3] |= DNS_FORMAT_ERROR;
    assert_true(dns_message_answers(answer, DNS_HEAD_BYTES, &query, 0x1234));
    assert_false(dns_message_answers(answer, query_len, &query, 0x1234));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_query_is_read),
        cmocka_unit_test(strange_names_are_no_others),
        cmocka_unit_test(what_is_no_query_gets_no_answer),
        cmocka_unit_test(wrong_queries_are_told_so),
        cmocka_unit_test(compressed_questions_are_refused),
        cmocka_unit_test(two_options_are_refused),
        cmocka_unit_test(letters_stay_as_they_came),
        cmocka_unit_test(what_does_not_fit_is_cut),
        cmocka_unit_test(answers_are_compared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
