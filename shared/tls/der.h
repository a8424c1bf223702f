/*
 * DER (X.690), as much of it as certificates need, read strictly: definite and shortest lengths, no
 * trailing bytes unless the caller leaves them. A reader is a view of bytes that belong to
 * somebody else; a writer fills the caller's memory from its end to its front, because an
 * element's length comes before what it counts. Inside shared/tls only.
 */
#ifndef SHARED_TLS_DER_H
#define SHARED_TLS_DER_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    DER_BOOLEAN = 0x01,
    DER_INTEGER = 0x02,
    DER_BITS = 0x03,
    DER_OCTETS = 0x04,
    DER_NULL = 0x05,
    DER_OID = 0x06,
    DER_UTF8 = 0x0c,
    DER_UTC_TIME = 0x17,
    DER_GENERALIZED_TIME = 0x18,
    DER_SEQUENCE = 0x30,
    DER_SET = 0x31,
    DER_CONTEXT = 0x80,             /* | number: [n] IMPLICIT of a primitive type */
    DER_CONTEXT_CONSTRUCTED = 0xa0, /* | number: [n] EXPLICIT, or IMPLICIT of a constructed type */
};

struct der {
    const uint8_t *data;
    size_t len;
};
#define DER_OF(array) ((struct der){(array), sizeof(array)})

static inline bool der_equal(struct der a, struct der b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}
static inline bool der_next_is(struct der in, uint8_t tag)
{
    return in.len > 0 && in.data[0] == tag;
}
/* Each takes one element off the front of `in`; false: it isn't there or is malformed. */
bool der_take_any(struct der *in, uint8_t *ret_tag, struct der *ret_content, struct der *ret_whole);
bool der_take(struct der *in, uint8_t tag, struct der *ret_content);
bool der_take_whole(struct der *in, uint8_t tag, struct der *ret_whole);
bool der_take_integer(struct der *in, struct der *ret_bytes); /* two's complement, shortest */
bool der_take_small(struct der *in, unsigned *ret);           /* 0 .. 255 */
bool der_take_boolean(struct der *in, bool *ret);
bool der_take_bits(struct der *in, struct der *ret_bytes, unsigned *ret_unused);
/* UTCTime or GeneralizedTime in the only forms that RFC 5280 allows; Unix time. */
bool der_take_time(struct der *in, int64_t *ret_s);

struct der_out {
    uint8_t *data; /* the caller's */
    size_t size, len;
    bool overflow; /* something did not fit and was left out */
};
#define DER_OUT(array) ((struct der_out){.data = (array), .size = sizeof(array)})
/* What has been written so far. */
static inline struct der der_out_bytes(const struct der_out *o)
{
    return (struct der){o->data + o->size - o->len, o->len};
}
void der_put(struct der_out *o, const void *data, size_t len); /* before all that is there */
/* Puts tag and length before what was written since o->len was `mark`. */
void der_wrap(struct der_out *o, size_t mark, uint8_t tag);
/* The same as the inside of the extension 2.5.29.`kind` (RFC 5280, 4.2 and 5.2). */
void der_wrap_extension(struct der_out *o, size_t mark, uint8_t kind, bool critical);
void der_put_element(struct der_out *o, uint8_t tag, const void *data, size_t len);
void der_put_small(struct der_out *o, unsigned value); /* INTEGER 0 .. 127 */
void der_put_positive(struct der_out *o, const uint8_t *big_endian, size_t len); /* INTEGER */
void der_put_time(struct der_out *o, int64_t unix_s); /* UTCTime until 2049, then GeneralizedTime */
/* Years 1950 to 9999: what a certificate can say. */
bool der_time_possible(int64_t unix_s);
#endif
