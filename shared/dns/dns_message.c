#include "shared/dns/dns_message.h"

#include <arpa/nameser.h>
#include <errno.h>

enum {
    FLAG_ANSWER = 0x8000,
    FLAG_AUTHORITATIVE = 0x0400,
    FLAG_TRUNCATED = 0x0200,
    FLAG_RECURSION = 0x0100,
    FLAG_RECURSES = 0x0080,
    FLAG_CHECKING_DISABLED = 0x0010,
    OPT_BYTES = 11,
    PAYLOAD_OURS = 1232, /* what we take: below any path's MTU */
};

_Static_assert(DNS_HEAD_BYTES == NS_HFIXEDSZ && DNS_NAME_TEXT_MAX == NS_MAXDNAME,
               "as libc has them");

static uint16_t get_16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static void put_16(uint8_t *at, unsigned value)
{
    ns_put16(value, at);
}

uint16_t dns_message_id(const void *bytes)
{
    return get_16(bytes);
}

void dns_message_set_id(void *bytes, uint16_t id)
{
    put_16(bytes, id);
}

/* ---- queries ---- */

/* The only question, its name not compressed: there is nothing before it that it could point at. */
static int read_question(const uint8_t *bytes, size_t len, struct dns_query *q)
{
    uint8_t wire[NS_MAXCDNAME];
    char name[NS_MAXDNAME];
    const uint8_t *end = wire;
    int used = ns_name_unpack(bytes, bytes + len, bytes + DNS_HEAD_BYTES, wire, sizeof wire);
    if (used < 0 || ns_name_skip(&end, wire + sizeof wire) < 0 || end - wire != used ||
        ns_name_ntop(wire, name, sizeof name) < 0)
        return -EPROTO;
    size_t name_end = DNS_HEAD_BYTES + (size_t)used;
    if (len - name_end < NS_QFIXEDSZ)
        return -EPROTO;
    q->type = get_16(bytes + name_end);
    q->class = get_16(bytes + name_end + 2);
    q->len = name_end + NS_QFIXEDSZ;
    memcpy(q->bytes, bytes, q->len);
    size_t i = 0;
    for (; name[i] != '\0' && strcmp(name, ".") != 0; i++)
        q->name[i] = text_lower(name[i]);
    q->name[i] = '\0';
    return 0;
}

/* A pseudo-record among the additional ones, at most one (RFC 6891, 6.1.1). */
static int read_edns(ns_msg *message, struct dns_query *q)
{
    ns_rr record;
    for (int i = 0; i < ns_msg_count(*message, ns_s_ar); i++) {
        if (ns_parserr(message, ns_s_ar, i, &record) < 0)
            return -EPROTO;
        if (ns_rr_type(record) != ns_t_opt)
            continue;
        if (q->edns)
            return -EPROTO;
        q->edns = true;
        q->edns_version = (uint8_t)(ns_rr_ttl(record) >> 16);
        if (record.rr_class > DNS_PLAIN_MAX)
            q->payload = record.rr_class;
    }
    return 0;
}

int dns_query_read(const void *bytes, size_t len, struct dns_query *ret)
{
    const uint8_t *b = bytes;
    ns_msg message;
    if (len < DNS_HEAD_BYTES || len > DNS_MESSAGE_MAX || get_16(b + 2) & FLAG_ANSWER)
        return -EBADMSG;
    uint16_t flags = get_16(b + 2);
    *ret = (struct dns_query){.id = get_16(b),
                              .opcode = (uint8_t)(flags >> 11 & 0xf),
                              .recursion = flags & FLAG_RECURSION,
                              .checking_disabled = flags & FLAG_CHECKING_DISABLED,
                              .payload = DNS_PLAIN_MAX,
                              .len = DNS_HEAD_BYTES};
    memcpy(ret->bytes, b, DNS_HEAD_BYTES);
    if (get_16(b + 4) != 1 || ns_initparse(b, (int)len, &message) < 0)
        return -EPROTO;
    struct dns_query q = *ret;
    int r = read_question(b, len, &q);
    if (r == 0)
        r = read_edns(&message, &q);
    if (r == 0)
        *ret = q;
    return r;
}

bool dns_query_is_plain(const struct dns_query *q)
{
    return q->opcode == ns_o_query && q->class == ns_c_in && (!q->edns || q->edns_version == 0);
}

const char *dns_type_print(uint16_t type)
{
    static const struct {
        uint16_t type;
        const char *name;
    } known[] = {{DNS_A, "a"},           {DNS_AAAA, "aaaa"}, {DNS_CNAME, "cname"},
                 {DNS_PTR, "ptr"},       {DNS_SRV, "srv"},   {DNS_TXT, "txt"},
                 {ns_t_ns, "ns"},        {ns_t_soa, "soa"},  {ns_t_mx, "mx"},
                 {ns_t_naptr, "naptr"},  {64, "svcb"},       {65, "https"},
                 {ns_t_any, "any"}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].type == type)
            return known[i].name;
    return "other";
}

/* ---- answers ---- */

void dns_answer_begin(struct dns_answer *a, void *out, size_t size, const struct dns_query *q,
                      enum dns_code code)
{
    bool question = q->len > DNS_HEAD_BYTES;
    *a = (struct dns_answer){.bytes = out, .len = q->len, .size = size, .edns = q->edns};
    memset(out, 0, DNS_HEAD_BYTES);
    memcpy(out, q->bytes, q->len);
    put_16(a->bytes + 2, (unsigned)(FLAG_ANSWER | q->opcode << 11 | FLAG_RECURSES | code) |
                             (code == DNS_NO_ERROR ? FLAG_AUTHORITATIVE : 0) |
                             (q->recursion ? FLAG_RECURSION : 0) |
                             (q->checking_disabled ? FLAG_CHECKING_DISABLED : 0));
    put_16(a->bytes + 4, question);
    put_16(a->bytes + 6, 0);
    put_16(a->bytes + 8, 0);
    put_16(a->bytes + 10, 0);
    if (a->edns)
        a->size -= OPT_BYTES;
    if (!question)
        return;
    a->names[0] = a->bytes;
    a->names[1] = a->bytes + DNS_HEAD_BYTES;
    (void)ns_name_uncompress(a->bytes, a->bytes + a->len, a->names[1], a->owner, sizeof a->owner);
}

static int put_name(struct dns_answer *a, size_t at, const char *name)
{
    if (at >= a->size)
        return -1;
    return ns_name_compress(name, a->bytes + at, a->size - at, a->names,
                            a->names + sizeof a->names / sizeof *a->names);
}

/* Where the record's data goes, or 0: there is no room. `data` is the least that it takes. */
static size_t begin_record(struct dns_answer *a, uint16_t type, uint32_t ttl_s, size_t data)
{
    int name = a->truncated ? -1 : put_name(a, a->len, a->owner);
    if (name < 0 || a->size - a->len < (size_t)name + NS_RRFIXEDSZ + data) {
        a->truncated = true;
        return 0;
    }
    size_t at = a->len + (size_t)name;
    put_16(a->bytes + at, type);
    put_16(a->bytes + at + 2, ns_c_in);
    ns_put32(ttl_s, a->bytes + at + 4);
    return at + NS_RRFIXEDSZ;
}

static bool end_record(struct dns_answer *a, size_t data, size_t len)
{
    put_16(a->bytes + data - 2, (unsigned)len);
    a->len = data + len;
    a->n++;
    return true;
}

/* Data that ends with a name, `before` bytes into it. */
static bool end_with_name(struct dns_answer *a, size_t data, size_t before, const char *name)
{
    const uint8_t *kept[sizeof a->names / sizeof *a->names];
    memcpy(kept, a->names, sizeof kept);
    int len = put_name(a, data + before, name);
    if (len >= 0)
        return end_record(a, data, before + (size_t)len);
    memcpy(a->names, kept, sizeof kept);
    a->truncated = true;
    return false;
}

bool dns_answer_alias(struct dns_answer *a, uint32_t ttl_s, const char *name)
{
    size_t data = begin_record(a, DNS_CNAME, ttl_s, 1);
    if (data == 0 || !end_with_name(a, data, 0, name))
        return false;
    struct text_out owner = TEXT_OUT(a->owner);
    text_puts(&owner, name);
    return true;
}

bool dns_answer_address(struct dns_answer *a, uint32_t ttl_s, const struct ip *ip)
{
    size_t data = begin_record(a, ip->len == 4 ? DNS_A : DNS_AAAA, ttl_s, ip->len);
    if (data == 0)
        return false;
    memcpy(a->bytes + data, ip->bytes, ip->len);
    return end_record(a, data, ip->len);
}

bool dns_answer_service(struct dns_answer *a, uint32_t ttl_s, uint16_t port, const char *target)
{
    size_t data = begin_record(a, DNS_SRV, ttl_s, 3 * sizeof port + 1);
    if (data == 0)
        return false;
    put_16(a->bytes + data, 0);     /* priority */
    put_16(a->bytes + data + 2, 1); /* weight: all alike */
    put_16(a->bytes + data + 4, port);
    return end_with_name(a, data, 3 * sizeof port, target);
}

size_t dns_answer_end(struct dns_answer *a)
{
    put_16(a->bytes + 6, a->n);
    if (a->truncated)
        a->bytes[2] |= FLAG_TRUNCATED >> 8;
    if (a->edns) { /* the root's name, and no options */
        uint8_t *at = a->bytes + a->len;
        memset(at, 0, OPT_BYTES);
        put_16(at + 1, ns_t_opt);
        put_16(at + 3, PAYLOAD_OURS);
        put_16(a->bytes + 10, 1);
        a->len += OPT_BYTES;
    }
    return a->len;
}

/* ---- somebody else's answers ---- */

bool dns_message_answers(const void *bytes, size_t len, const struct dns_query *q, uint16_t id)
{
    const uint8_t *b = bytes;
    if (len < DNS_HEAD_BYTES || get_16(b) != id || !(get_16(b + 2) & FLAG_ANSWER) ||
        (get_16(b + 2) >> 11 & 0xf) != q->opcode)
        return false;
    /* A server that did not understand it may leave the question out (RFC 1035, 4.1.1). */
    if (get_16(b + 4) == 0)
        return (b[3] & 0xf) != DNS_NO_ERROR && len == DNS_HEAD_BYTES;
    if (get_16(b + 4) != 1 || len < q->len)
        return false;
    for (size_t i = DNS_HEAD_BYTES; i < q->len - NS_QFIXEDSZ; i++)
        if (text_lower((char)b[i]) != text_lower((char)q->bytes[i]))
            return false;
    return memcmp(b + q->len - NS_QFIXEDSZ, q->bytes + q->len - NS_QFIXEDSZ, NS_QFIXEDSZ) == 0;
}
