/*
 * Reads the headers of the frames that come in, and nothing else of them, to charge a peer's credit
 * for each: nghttp2 does not show the frames that it ignores. Owned by a session; fed all its
 * input, before nghttp2 is.
 */
#ifndef SHARED_HTTP2_HTTP2_METER_H
#define SHARED_HTTP2_HTTP2_METER_H
#include "shared/http2/http2_credit.h"

struct http2_meter {
    size_t skip; /* bytes until the next frame header: of a payload, or of the client's preface */
    uint8_t header[5];  /* length, type, flags */
    uint8_t header_len; /* bytes of the 9 seen */
};
void http2_meter_init(struct http2_meter *m, bool server);
/* False: the credit is used up. */
bool http2_meter_count(struct http2_meter *m, struct http2_credit *credit, const uint8_t *data,
                       size_t len);
#endif
