/*
 * Input: a byte that says which, then a delta request, a delta response, a certificate request or
 * response, or a request or response of the state of the world ('s', 'S'). What decodes is written
 * again, and read again as the same bytes.
 * covers: shared/xds/delta.c shared/xds/sotw.c shared/xds/discovery.c shared/xds/certificate_codec.c
 * covers: shared/xds/wire.c
 */
#include "shared/xds/delta.h"
#include "shared/xds/sotw.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void same(struct xds_bytes *a, struct xds_bytes *b)
{
    if (a->len != b->len || memcmp(a->data, b->data, a->len) != 0)
        abort();
    xds_bytes_done(a);
    xds_bytes_done(b);
}

#define TWICE(noun)                                                                                \
    do {                                                                                           \
        struct noun first, second;                                                                 \
        struct xds_bytes a, b;                                                                     \
        if (noun##_decode(data + 1, size - 1, &first, why) < 0) {                                  \
            if (!why[0])                                                                           \
                abort();                                                                           \
            return 0;                                                                              \
        }                                                                                          \
        if (noun##_encode(&first, &a) == 0) {                                                      \
            if (noun##_decode(a.data, a.len, &second, why) < 0 || noun##_encode(&second, &b) < 0)  \
                abort();                                                                           \
            same(&a, &b);                                                                          \
            noun##_done(&second);                                                                  \
        }                                                                                          \
        noun##_done(&first);                                                                       \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char why[XDS_WHY_MAX] = "";

    if (size == 0)
        return 0;
    switch (data[0] == 's' || data[0] == 'S' ? data[0] : data[0] & 3) {
    case 's':
        TWICE(sotw_request);
        break;
    case 'S':
        TWICE(sotw_response);
        break;
    case 0:
        TWICE(delta_request);
        break;
    case 1:
        TWICE(delta_response);
        break;
    case 2:
        TWICE(certificate_request);
        break;
    default:
        TWICE(certificate_response);
    }
    return 0;
}
