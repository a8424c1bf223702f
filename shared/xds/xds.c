#include "shared/xds/xds.h"

#include <assert.h>
#include <errno.h>

static const char *const urls[XDS_TYPE_COUNT] = {
    [XDS_ADDRESS] = "type.googleapis.com/istio.workload.Address",
    [XDS_AUTHORIZATION] = "type.googleapis.com/istio.security.Authorization",
};

const char *xds_type_url(enum xds_type type)
{
    assert(type < XDS_TYPE_COUNT);
    return urls[type];
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
