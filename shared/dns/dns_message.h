/*
 * DNS messages (RFC 1035, EDNS0: RFC 6891): a query is read, an answer is written, an answer of
 * somebody else is compared with what was asked. Bytes in and bytes out, nothing is allocated, any
 * thread. Names are taken apart and put together by libc's <arpa/nameser.h>, which only this folder
 * includes. Bounds: one question a query, NAME and MESSAGE below.
 */
#ifndef SHARED_DNS_DNS_MESSAGE_H
#define SHARED_DNS_DNS_MESSAGE_H
#include "shared/base/addr.h"

enum {
    DNS_HEAD_BYTES = 12,
    DNS_QUESTION_MAX = 255 + 4,
    DNS_NAME_TEXT_MAX = 1025, /* of 255 bytes, each escaped, and NUL */
    DNS_MESSAGE_MAX = 65535,
    DNS_PLAIN_MAX = 512,   /* over UDP, unless the query says more (RFC 1035, 4.2.1) */
    DNS_PAYLOAD_MAX = 4096 /* that we send at most, whatever the query says */
};
enum dns_type { DNS_A = 1, DNS_CNAME = 5, DNS_PTR = 12, DNS_TXT = 16, DNS_AAAA = 28, DNS_SRV = 33 };
enum dns_code { DNS_NO_ERROR = 0, DNS_FORMAT_ERROR = 1, DNS_SERVER_FAILURE = 2, DNS_REFUSED = 5 };

struct dns_query {
    uint16_t id, type, class;
    uint8_t opcode, edns_version;
    bool recursion, checking_disabled, edns;
    uint16_t payload;             /* what the asker takes over UDP: 512 or more */
    size_t len;                   /* of head and question */
    char name[DNS_NAME_TEXT_MAX]; /* in lower case, without the last dot; "" is the root */
    uint8_t bytes[DNS_HEAD_BYTES + DNS_QUESTION_MAX]; /* head and question as they came */
};
/* -EBADMSG: it is no query, nothing can be said to it. -EPROTO: it is one with an error in it; only
 * what dns_answer_begin() needs is set. */
int dns_query_read(const void *bytes, size_t len, struct dns_query *ret);
bool dns_query_is_plain(const struct dns_query *q); /* a QUERY of class IN, EDNS 0 or none */
const char *dns_type_print(uint16_t type); /* "a", "aaaa", ...; "other": what has no name here */

/* An answer in the making, in the caller's memory of `size` bytes. Begun with the query's question,
 * its letters as they came. What does not fit any more is left out, and the answer says so (TC). */
struct dns_answer {
    uint8_t *bytes;
    size_t len, size;
    uint16_t n;
    bool truncated, edns;
    char owner[DNS_NAME_TEXT_MAX]; /* of the next record */
    const uint8_t *names[8];       /* that later ones may point at; the first is the message */
};
/* size: at least DNS_PLAIN_MAX. */
void dns_answer_begin(struct dns_answer *a, void *out, size_t size, const struct dns_query *q,
                      enum dns_code code);
/* The name that was asked is another one's alias; what follows is of that one. */
bool dns_answer_alias(struct dns_answer *a, uint32_t ttl_s, const char *name);
bool dns_answer_address(struct dns_answer *a, uint32_t ttl_s, const struct ip *ip);
bool dns_answer_service(struct dns_answer *a, uint32_t ttl_s, uint16_t port, const char *target);
size_t dns_answer_end(struct dns_answer *a); /* the message's length */

uint16_t dns_message_id(const void *bytes); /* of at least two */
void dns_message_set_id(void *bytes, uint16_t id);
/* Is this the answer to q, which was sent with this id? Letters may have another case. */
bool dns_message_answers(const void *bytes, size_t len, const struct dns_query *q, uint16_t id);
#endif
