#include "shared/xds/spiffe_workload.h"

#include "shared/xds/wire.h"
#include "spiffe_workload.pb-c.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static ProtobufCBinaryData bytes_of(struct text t)
{
    return (ProtobufCBinaryData){t.len, (uint8_t *)t.data};
}

int spiffe_svid_encode(const struct spiffe_svid *s, struct xds_bytes *ret)
{
    X509SVIDResponse m = X509_SVIDRESPONSE__INIT;
    X509SVID svid = X509_SVID__INIT, *svids[] = {&svid};
    svid.spiffe_id = text_dup(s->id);
    if (!svid.spiffe_id)
        return -ENOMEM;
    svid.x509_svid = bytes_of(s->chain);
    svid.x509_svid_key = bytes_of(s->key);
    svid.bundle = bytes_of(s->bundle);
    m.svids = svids;
    m.n_svids = 1;
    int r = wire_pack(&m.base, ret);
    free(svid.spiffe_id);
    return r;
}

int spiffe_bundle_encode(struct text trust_domain, struct text bundle, struct xds_bytes *ret)
{
    X509BundlesResponse m = X509_BUNDLES_RESPONSE__INIT;
    X509BundlesResponse__BundlesEntry entry = X509_BUNDLES_RESPONSE__BUNDLES_ENTRY__INIT;
    X509BundlesResponse__BundlesEntry *entries[] = {&entry};
    if (asprintf(&entry.key, "spiffe://%.*s", (int)trust_domain.len, trust_domain.data) < 0)
        return -ENOMEM;
    entry.value = bytes_of(bundle);
    m.bundles = entries;
    m.n_bundles = 1;
    int r = wire_pack(&m.base, ret);
    free(entry.key);
    return r;
}
