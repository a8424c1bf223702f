/*
 * What the SPIFFE Workload API answers (standards/SPIFFE_Workload_API.md of github.com/spiffe/spiffe):
 * certificates as DER one after another. Its requests are empty. Pure.
 */
#ifndef SHARED_XDS_SPIFFE_WORKLOAD_H
#define SHARED_XDS_SPIFFE_WORKLOAD_H
#include "shared/xds/xds.h"

#define SPIFFE_WORKLOAD_SERVICE "/SpiffeWorkloadAPI/"
struct spiffe_svid { /* borrowed */
    struct text id;
    struct text chain, key, bundle;
};
/* X509SVIDResponse. It holds the key: the caller wipes it. -ENOMEM. */
int spiffe_svid_encode(const struct spiffe_svid *s, struct xds_bytes *ret);
/* X509BundlesResponse: the roots of the trust domain, spiffe://NAME. -ENOMEM. */
int spiffe_bundle_encode(struct text trust_domain, struct text bundle, struct xds_bytes *ret);
#endif
