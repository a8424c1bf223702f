#include "shared/http2/http2_meter.h"
#include <nghttp2/nghttp2.h>
#include <string.h>

enum { HEADER_BYTES = 9, PADDING_MAX = 256 };

void http2_meter_init(struct http2_meter *m, bool server)
{
    *m = (struct http2_meter){.skip = server ? NGHTTP2_CLIENT_MAGIC_LEN : 0};
}

static bool charge_data(struct http2_credit *credit, uint8_t flags, size_t len)
{
    if (len == 0)
        return http2_credit_take(credit, flags & NGHTTP2_FLAG_END_STREAM ? HTTP2_COST_LAST_DATA
                                                                         : HTTP2_COST_EMPTY_DATA);
    if (flags & NGHTTP2_FLAG_PADDED && len <= PADDING_MAX)
        return http2_credit_take(credit, HTTP2_COST_EMPTY_DATA);
    http2_credit_give_bytes(credit, len);
    return true;
}

static bool charge(struct http2_credit *credit, uint8_t type, uint8_t flags, size_t len)
{
    switch (type) {
    case NGHTTP2_DATA:
        return charge_data(credit, flags, len);
    case NGHTTP2_HEADERS:
        return http2_credit_take(credit, HTTP2_COST_HEADERS);
    case NGHTTP2_RST_STREAM:
        return http2_credit_take(credit, HTTP2_COST_RST);
    case NGHTTP2_SETTINGS:
        return http2_credit_take(credit, HTTP2_COST_SETTINGS);
    case NGHTTP2_PING:
        return http2_credit_take(credit, HTTP2_COST_PING);
    case NGHTTP2_WINDOW_UPDATE:
        return http2_credit_take(credit, HTTP2_COST_WINDOW_UPDATE);
    case NGHTTP2_PRIORITY:
        return http2_credit_take(credit, HTTP2_COST_PRIORITY);
    case NGHTTP2_GOAWAY:
        return http2_credit_take(credit, HTTP2_COST_GOAWAY);
    default:
        return http2_credit_take(credit, HTTP2_COST_OTHER);
    }
}

bool http2_meter_count(struct http2_meter *m, struct http2_credit *credit, const uint8_t *data,
                       size_t len)
{
    while (len > 0) {
        if (m->skip > 0) {
            size_t n = len < m->skip ? len : m->skip;
            m->skip -= n;
            data += n;
            len -= n;
            continue;
        }
        if (m->header_len < sizeof m->header)
            m->header[m->header_len] = *data;
        m->header_len++;
        data++;
        len--;
        if (m->header_len < HEADER_BYTES)
            continue;
        m->header_len = 0;
        m->skip = (size_t)m->header[0] << 16 | (size_t)m->header[1] << 8 | m->header[2];
        if (!charge(credit, m->header[3], m->header[4], m->skip))
            return false;
    }
    return true;
}
