#define _GNU_SOURCE
#include "shared/tls/der.h"

#include <time.h>

bool der_take_any(struct der *in, uint8_t *ret_tag, struct der *ret_content, struct der *ret_whole)
{
    const uint8_t *p = in->data;
    size_t left = in->len, len, header = 2;

    /* High tag numbers do not occur in anything that we read. */
    if (left < 2 || (p[0] & 0x1f) == 0x1f)
        return false;
    len = p[1];
    if (len & 0x80) {
        size_t n = len & 0x7f;
        if (n == 0 || n > 3 || left < 2 + n || p[2] == 0)
            return false;
        len = 0;
        for (size_t i = 0; i < n; i++)
            len = len << 8 | p[2 + i];
        if (len < 0x80)
            return false;
        header += n;
    }
    if (len > left - header)
        return false;
    in->data += header + len;
    in->len -= header + len;
    /* Last, for a caller may go into an element by giving `in` for the content, too. */
    *ret_tag = p[0];
    *ret_whole = (struct der){p, header + len};
    *ret_content = (struct der){p + header, len};
    return true;
}

bool der_take(struct der *in, uint8_t tag, struct der *ret_content)
{
    uint8_t found;
    struct der whole;
    return der_next_is(*in, tag) && der_take_any(in, &found, ret_content, &whole);
}

bool der_take_whole(struct der *in, uint8_t tag, struct der *ret_whole)
{
    uint8_t found;
    struct der content;
    return der_next_is(*in, tag) && der_take_any(in, &found, &content, ret_whole);
}

bool der_take_integer(struct der *in, struct der *ret_bytes)
{
    struct der c;
    if (!der_take(in, DER_INTEGER, &c) || c.len == 0)
        return false;
    if (c.len > 1 &&
        ((c.data[0] == 0 && !(c.data[1] & 0x80)) || (c.data[0] == 0xff && (c.data[1] & 0x80))))
        return false;
    *ret_bytes = c;
    return true;
}

bool der_take_small(struct der *in, unsigned *ret)
{
    struct der c;
    if (!der_take_integer(in, &c) || (c.data[0] & 0x80))
        return false;
    if (c.len == 2 && c.data[0] == 0)
        *ret = c.data[1];
    else if (c.len == 1)
        *ret = c.data[0];
    else
        return false;
    return true;
}

bool der_take_boolean(struct der *in, bool *ret)
{
    struct der c;
    if (!der_take(in, DER_BOOLEAN, &c) || c.len != 1 || (c.data[0] != 0 && c.data[0] != 0xff))
        return false;
    *ret = c.data[0] != 0;
    return true;
}

bool der_take_bits(struct der *in, struct der *ret_bytes, unsigned *ret_unused)
{
    struct der c;
    if (!der_take(in, DER_BITS, &c) || c.len == 0 || c.data[0] > 7)
        return false;
    unsigned unused = c.data[0];
    if (c.len == 1 ? unused != 0 : c.data[c.len - 1] & ((1u << unused) - 1))
        return false;
    *ret_bytes = (struct der){c.data + 1, c.len - 1};
    *ret_unused = unused;
    return true;
}

bool der_take_time(struct der *in, int64_t *ret_s)
{
    uint8_t tag;
    struct der c, whole;
    int n[7]; /* century, year, month, day, hour, minute, second: two digits each */
    size_t first;

    if (!der_take_any(in, &tag, &c, &whole))
        return false;
    if (tag == DER_UTC_TIME && c.len == 13)
        first = 1;
    else if (tag == DER_GENERALIZED_TIME && c.len == 15)
        first = 0;
    else
        return false;
    if (c.data[c.len - 1] != 'Z')
        return false;
    for (size_t i = first; i < 7; i++) {
        unsigned high = c.data[2 * (i - first)] - '0', low = c.data[2 * (i - first) + 1] - '0';
        if (high > 9 || low > 9)
            return false;
        n[i] = (int)(10 * high + low);
    }
    if (first == 1)
        n[0] = n[1] >= 50 ? 19 : 20;
    struct tm tm = {.tm_year = 100 * n[0] + n[1] - 1900,
                    .tm_mon = n[2] - 1,
                    .tm_mday = n[3],
                    .tm_hour = n[4],
                    .tm_min = n[5],
                    .tm_sec = n[6]};
    struct tm given = tm;
    time_t t = timegm(&tm);
    /* timegm() carries the 31st of February over into March: then the date was none. */
    if (tm.tm_year != given.tm_year || tm.tm_mon != given.tm_mon || tm.tm_mday != given.tm_mday ||
        tm.tm_hour != given.tm_hour || tm.tm_min != given.tm_min || tm.tm_sec != given.tm_sec)
        return false;
    *ret_s = t;
    return true;
}

void der_put(struct der_out *o, const void *data, size_t len)
{
    if (o->overflow || len > o->size - o->len) {
        o->overflow = true;
        return;
    }
    o->len += len;
    if (len > 0)
        memcpy(o->data + o->size - o->len, data, len);
}

void der_wrap(struct der_out *o, size_t mark, uint8_t tag)
{
    size_t len = o->len - mark;
    uint8_t header[5] = {tag};
    size_t n = len < 0x80 ? 0 : len <= 0xff ? 1 : len <= 0xffff ? 2 : 3;

    if (len > 0xffffff) {
        o->overflow = true; /* nothing that we write is so long */
        return;
    }
    header[1] = n == 0 ? (uint8_t)len : (uint8_t)(0x80 | n);
    for (size_t i = 0; i < n; i++)
        header[2 + i] = (uint8_t)(len >> 8 * (n - 1 - i));
    der_put(o, header, 2 + n);
}

void der_wrap_extension(struct der_out *o, size_t mark, uint8_t kind, bool critical)
{
    uint8_t oid[] = {0x55, 0x1d, kind};
    der_wrap(o, mark, DER_OCTETS);
    if (critical)
        der_put_element(o, DER_BOOLEAN, &(uint8_t){0xff}, 1);
    der_put_element(o, DER_OID, oid, sizeof oid);
    der_wrap(o, mark, DER_SEQUENCE);
}

void der_put_element(struct der_out *o, uint8_t tag, const void *data, size_t len)
{
    size_t mark = o->len;
    der_put(o, data, len);
    der_wrap(o, mark, tag);
}

void der_put_small(struct der_out *o, unsigned value)
{
    uint8_t byte = (uint8_t)(value & 0x7f);
    der_put_element(o, DER_INTEGER, &byte, 1);
}

void der_put_positive(struct der_out *o, const uint8_t *big_endian, size_t len)
{
    size_t mark = o->len;

    while (len > 1 && big_endian[0] == 0) {
        big_endian++;
        len--;
    }
    der_put(o, big_endian, len);
    if (len == 0 || (big_endian[0] & 0x80))
        der_put(o, &(uint8_t){0}, 1);
    der_wrap(o, mark, DER_INTEGER);
}

static const int64_t year_1950_s = -631152000, year_2050_s = 2524608000,
                     year_10000_s = 253402300800;

bool der_time_possible(int64_t unix_s)
{
    return unix_s >= year_1950_s && unix_s < year_10000_s;
}

void der_put_time(struct der_out *o, int64_t unix_s)
{
    char text[32];
    time_t t = unix_s;
    struct tm tm;

    if (!der_time_possible(unix_s) || !gmtime_r(&t, &tm)) {
        o->overflow = true;
        return;
    }
    /* RFC 5280, 4.1.2.5: through 2049 as UTCTime, from 2050 on as GeneralizedTime. */
    size_t n = strftime(text, sizeof text, "%Y%m%d%H%M%SZ", &tm);
    if (unix_s < year_2050_s)
        der_put_element(o, DER_UTC_TIME, text + 2, n - 2);
    else
        der_put_element(o, DER_GENERALIZED_TIME, text, n);
}
