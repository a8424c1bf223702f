#include "shared/http2/http2_credit.h"

void http2_credit_init(struct http2_credit *c, uint32_t streams_max)
{
    uint32_t most = (HTTP2_CREDIT_LIMIT - HTTP2_CREDIT_BASE) / HTTP2_CREDIT_PER_STREAM;
    uint32_t streams = streams_max < most ? streams_max : most;
    c->max = HTTP2_CREDIT_BASE + (int32_t)streams * HTTP2_CREDIT_PER_STREAM;
    c->left = c->max;
    c->bytes = 0;
}

void http2_credit_give(struct http2_credit *c, int32_t points)
{
    c->left = points < c->max - c->left ? c->left + points : c->max;
}

void http2_credit_give_bytes(struct http2_credit *c, size_t bytes)
{
    size_t most = (size_t)c->max * HTTP2_BYTES_PER_POINT;
    bytes = (bytes < most ? bytes : most) + c->bytes;
    http2_credit_give(c, (int32_t)(bytes / HTTP2_BYTES_PER_POINT));
    c->bytes = (uint32_t)(bytes % HTTP2_BYTES_PER_POINT);
}

bool http2_credit_take(struct http2_credit *c, int32_t points)
{
    if (c->left < points) {
        c->left = 0;
        return false;
    }
    c->left -= points;
    return true;
}
