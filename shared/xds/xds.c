#include "shared/xds/xds.h"

#include <assert.h>
#include <errno.h>

static const char *const urls[XDS_TYPE_COUNT] = {
    [XDS_ADDRESS] = "type.googleapis.com/istio.workload.Address",
    [XDS_AUTHORIZATION] = "type.googleapis.com/istio.security.Authorization",
    [XDS_LISTENER] = "type.googleapis.com/envoy.config.listener.v3.Listener",
    [XDS_ROUTES] = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
    [XDS_CLUSTER] = "type.googleapis.com/envoy.config.cluster.v3.Cluster",
    [XDS_ENDPOINTS] = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
    [XDS_GATEWAY] = "type.googleapis.com/weir.workload.GatewayCertificates",
};

const char *xds_type_url(enum xds_type type)
{
    assert(type < XDS_TYPE_COUNT);
    return urls[type];
}

struct text xds_type_name(enum xds_type type)
{
    static const char *const names[XDS_TYPE_COUNT] = {
        [XDS_ADDRESS] = "address", [XDS_AUTHORIZATION] = "authorization",
        [XDS_LISTENER] = "listener", [XDS_ROUTES] = "routes",
        [XDS_CLUSTER] = "cluster", [XDS_ENDPOINTS] = "endpoints",
        [XDS_GATEWAY] = "gateway",
    };
    assert(type < XDS_TYPE_COUNT);
    return text_of(names[type]);
}

int xds_type_of(struct text url, enum xds_type *ret)
{
    for (unsigned i = 0; i < XDS_TYPE_COUNT; i++) {
        if (text_equal(url, text_of(urls[i]))) {
            *ret = (enum xds_type)i;
            return 0;
        }
    }
    return -ENOENT;
}
