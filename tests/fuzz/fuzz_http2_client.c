/*
 * A server that answers anything: up to 32 bytes of the input decide what the client's owner
 * does, the rest are frames.
 * covers: shared/http2/http2_frames.c shared/http2/http2_stream.c
 */
#include "tests/fuzz/http2_owner.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct http2_header headers[] = {{TEXT(":method"), TEXT("CONNECT")},
                                                  {TEXT(":authority"), TEXT("a:1")}};
    struct owner o;
    size_t n = size < 32 ? size : 32;
    struct http2_options options = {
        .stream_window = 20000,
        .connection_window = 65535,
        .header_bytes_max = 2000,
    };
    owner_open(&o, &options, data, n);
    for (int i = 0; i < 4; i++) {
        struct owned *s = owned_new(&o);
        if (http2_stream_request(o.http2, &s->s, headers, 2, i == 3) < 0)
            owned_free(s);
    }
    owner_feed(&o, (const uint8_t *)"\0\0\0\4\0\0\0\0\0", 9);
    owner_feed(&o, data + n, size - n);
    owner_close(&o);
    return 0;
}
