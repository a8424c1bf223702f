/*
 * A client that sends anything: up to 32 bytes of the input decide what the server's owner does,
 * the rest are frames.
 * covers: shared/http2/http2_frames.c shared/http2/http2.c shared/http2/http2_meter.c
 */
#include "tests/fuzz/http2_owner.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char start[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
    struct owner o;
    size_t n = size < 32 ? size : 32;
    struct http2_options options = {
        .server = true,
        .streams_max = 20,
        .stream_window = 20000,
        .connection_window = 65535,
        .header_bytes_max = 2000,
        .connect_only = n > 0 && data[0] & 1,
    };
    owner_open(&o, &options, data, n);
    if (n > 0 && data[0] & 2)
        owner_feed(&o, (const uint8_t *)start, sizeof start - 1);
    owner_feed(&o, data + n, size - n);
    owner_close(&o);
    return 0;
}
