/*
 * What the tests of DNS share: queries written by hand, and answers read by libc's own parser, record
 * by record as text ("name ttl TYPE data"). Whatever is read must be a whole message.
 */
#ifndef TESTS_UNIT_SHARED_DNS_DNS_FIXTURE_H
#define TESTS_UNIT_SHARED_DNS_DNS_FIXTURE_H
#include "shared/dns/dns_message.h"
#include "tests/unit/shared/base/test.h"
#include <arpa/inet.h>
#include <arpa/nameser.h>

enum { FLAGS_RECURSION = 0x0100, ROW_MAX = 2300, ROWS_MAX = 5000 };

static inline size_t put_name(uint8_t *out, const char *name)
{
    size_t at = 0;
    for (const char *label = name; *label;) {
        size_t len = strcspn(label, ".");
        out[at++] = (uint8_t)len;
        memcpy(out + at, label, len);
        at += len;
        label += len + (label[len] == '.');
    }
    out[at++] = 0;
    return at;
}

/* payload 0: without EDNS. */
static inline size_t make_query(uint8_t *out, uint16_t id, const char *name, uint16_t type,
                                uint16_t payload)
{
    size_t at = DNS_HEAD_BYTES;
    memset(out, 0, DNS_HEAD_BYTES);
    ns_put16(id, out);
    ns_put16(FLAGS_RECURSION, out + 2);
    ns_put16(1, out + 4);
    at += put_name(out + at, name);
    ns_put16(type, out + at);
    ns_put16(ns_c_in, out + at + 2);
    at += 4;
    if (payload == 0)
        return at;
    ns_put16(1, out + 10);
    memset(out + at, 0, 11);
    ns_put16(ns_t_opt, out + at + 1);
    ns_put16(payload, out + at + 3);
    return at + 11;
}

struct read_answer {
    unsigned id, code, n_answers, n_more, payload; /* payload: of EDNS; 0: none */
    bool truncated, authoritative;
    char question[NS_MAXDNAME];
    char (*rows)[ROW_MAX]; /* of the answer section */
};

static inline void read_row(const ns_msg *message, const ns_rr *record, char row[static ROW_MAX])
{
    char data[NS_MAXDNAME] = "?", name[NS_MAXDNAME];
    const uint8_t *d = ns_rr_rdata(*record);
    const char *type = dns_type_print(record->type);
    if (record->type == DNS_A)
        assert_non_null(inet_ntop(AF_INET, d, data, sizeof data));
    else if (record->type == DNS_AAAA)
        assert_non_null(inet_ntop(AF_INET6, d, data, sizeof data));
    else if (record->type == DNS_CNAME)
        assert_true(ns_name_uncompress(ns_msg_base(*message), ns_msg_end(*message), d, data,
                                       sizeof data) > 0);
    else if (record->type == DNS_SRV) {
        assert_true(ns_name_uncompress(ns_msg_base(*message), ns_msg_end(*message), d + 6, name,
                                       sizeof name) > 0);
        snprintf(data, sizeof data, "%u %u %u %s", ns_get16(d), ns_get16(d + 2), ns_get16(d + 4),
                 name);
    }
    snprintf(row, ROW_MAX, "%s %u %s %s", ns_rr_name(*record), (unsigned)ns_rr_ttl(*record), type,
             data);
}

static inline void read_answer(const void *bytes, size_t len, struct read_answer *ret)
{
    ns_msg message;
    ns_rr record;
    *ret = (struct read_answer){0};
    assert_int_equal(ns_initparse(bytes, (int)len, &message), 0);
    assert_int_equal(ns_msg_getflag(message, ns_f_qr), 1);
    ret->id = ns_msg_id(message);
    ret->code = (unsigned)ns_msg_getflag(message, ns_f_rcode);
    ret->truncated = ns_msg_getflag(message, ns_f_tc);
    ret->authoritative = ns_msg_getflag(message, ns_f_aa);
    if (ns_msg_count(message, ns_s_qd) > 0) {
        assert_int_equal(ns_parserr(&message, ns_s_qd, 0, &record), 0);
        snprintf(ret->question, sizeof ret->question, "%s", ns_rr_name(record));
    }
    ret->n_answers = ns_msg_count(message, ns_s_an);
    assert_true(ret->n_answers <= ROWS_MAX);
    ret->rows = calloc(ret->n_answers + 1, sizeof *ret->rows);
    assert_non_null(ret->rows);
    for (unsigned i = 0; i < ret->n_answers; i++) {
        assert_int_equal(ns_parserr(&message, ns_s_an, (int)i, &record), 0);
        read_row(&message, &record, ret->rows[i]);
    }
    ret->n_more = ns_msg_count(message, ns_s_ar);
    for (unsigned i = 0; i < ret->n_more; i++) {
        assert_int_equal(ns_parserr(&message, ns_s_ar, (int)i, &record), 0);
        if (record.type == ns_t_opt)
            ret->payload = record.rr_class;
    }
}

static inline void read_answer_done(struct read_answer *a)
{
    free(a->rows);
    a->rows = NULL;
}
#endif
