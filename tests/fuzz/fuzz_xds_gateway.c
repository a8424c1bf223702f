/*
 * A Gateway's certificates as the controller tells them, and the set that a node proxy makes of them.
 * covers: shared/xds/gateway_codec.c nodeproxy/path/listener_set.c
 */
#include <assert.h>
#include <string.h>

#include "nodeproxy/path/listener_set.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gateway_certificates c;
    struct listener_set *set = NULL;
    struct xds_bytes again;
    char why[XDS_WHY_MAX] = "";
    if (xds_gateway_decode(data, size, &c, why) < 0) {
        assert(why[0]);
        return 0;
    }
    assert(c.n <= GATEWAY_CERTIFICATES_MAX);
    assert(xds_gateway_encode(&c, &again) == 0);
    xds_secret_bytes_done(&again);
    if (listener_set_new(&set, &c, why) == 0)
        for (size_t i = 0; i < c.n; i++)
            assert(!memchr(c.items[i].host.data, '*', c.items[i].host.len) ||
                   c.items[i].host.data[0] == '*' || !listener_set_find(set, 0, c.items[i].host));
    listener_set_unref(set);
    gateway_certificates_done(&c);
    return 0;
}
