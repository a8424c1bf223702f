/*
 * Input: a byte that says which, then a Listener, a RouteConfiguration, a Cluster or a
 * ClusterLoadAssignment. What decodes is written again, and read and written again as the same bytes.
 * covers: shared/xds/listener_codec.c shared/xds/routes_decode.c shared/xds/route_match_decode.c
 * covers: shared/xds/route_action_decode.c shared/xds/route_parts_decode.c shared/xds/cluster_decode.c
 * covers: shared/xds/cluster_parts_decode.c shared/xds/endpoints_codec.c
 */
#include "shared/xds/routing.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TWICE(type, decode, encode, done)                                                          \
    do {                                                                                           \
        type first = {0}, second = {0};                                                            \
        struct xds_bytes a, b;                                                                     \
        if (decode(data + 1, size - 1, &first, why) < 0) {                                         \
            if (!why[0])                                                                           \
                abort();                                                                           \
            return 0;                                                                              \
        }                                                                                          \
        if (encode(HELD(first), &a) == 0) {                                                        \
            if (decode(a.data, a.len, &second, why) < 0 || encode(HELD(second), &b) < 0)           \
                abort();                                                                           \
            if (a.len != b.len || memcmp(a.data, b.data, a.len) != 0)                              \
                abort();                                                                           \
            xds_bytes_done(&a);                                                                    \
            xds_bytes_done(&b);                                                                    \
            done(HELD(second));                                                                    \
        }                                                                                          \
        done(HELD(first));                                                                         \
    } while (0)

struct table {
    struct route_table *is;
};
struct one_cluster {
    struct cluster *is;
};
struct some_endpoints {
    struct endpoints *is;
};

static int decode_routes(const uint8_t *data, size_t len, struct table *ret, char *why)
{
    return xds_routes_decode(data, len, &ret->is, why);
}

static int decode_cluster(const uint8_t *data, size_t len, struct one_cluster *ret, char *why)
{
    return xds_cluster_decode(data, len, &ret->is, why);
}

static int decode_endpoints(const uint8_t *data, size_t len, struct some_endpoints *ret, char *why)
{
    return xds_endpoints_decode(data, len, &ret->is, why);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char why[XDS_WHY_MAX] = "";

    if (size == 0)
        return 0;
#define HELD(x) (&(x))
    if ((data[0] & 3) == 0)
        TWICE(struct api_listener, xds_listener_decode, xds_listener_encode, api_listener_done);
#undef HELD
#define HELD(x) ((x).is)
    if ((data[0] & 3) == 1)
        TWICE(struct table, decode_routes, xds_routes_encode, (void)route_table_unref);
    if ((data[0] & 3) == 2)
        TWICE(struct one_cluster, decode_cluster, xds_cluster_encode, (void)cluster_free);
    if ((data[0] & 3) == 3)
        TWICE(struct some_endpoints, decode_endpoints, xds_endpoints_encode, (void)endpoints_free);
    return 0;
}
