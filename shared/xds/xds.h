/*
 * The wire of the mesh: messages <-> mesh nouns, checked on the way in. The only door to
 * protobuf-c. Pure; any thread. Sources: istio/ztunnel workload.proto, authorization.proto; envoy
 * discovery.proto; istio citadel.proto. A decode error is -EINVAL with a text that names the field
 * and what would be right. Unknown fields are ignored; in a DENY policy, an unknown extension makes
 * the match `unreadable` (policy.h).
 */
#ifndef SHARED_XDS_XDS_H
#define SHARED_XDS_XDS_H
#include "shared/base/why.h"
#include "shared/mesh/policy.h"
#include "shared/mesh/service.h"

enum { XDS_WHY_MAX = WHY_MAX, XDS_NAME_MAX = 1024 };
struct xds_bytes {
    uint8_t *data;
    size_t len;
}; /* heap; xds_bytes_done() */
void xds_bytes_done(struct xds_bytes *b);

enum xds_type {
    XDS_ADDRESS,
    XDS_AUTHORIZATION,
    XDS_LISTENER,
    XDS_ROUTES, /* RouteConfiguration */
    XDS_CLUSTER,
    XDS_ENDPOINTS, /* ClusterLoadAssignment */
    XDS_GATEWAY,   /* weir.workload.GatewayCertificates: gateway.h */
    XDS_TYPE_COUNT
};
const char *xds_type_url(enum xds_type type);
struct text xds_type_name(enum xds_type type); /* one word, for metrics */
int xds_type_of(struct text url, enum xds_type *ret); /* -ENOENT */

/* istio.workload.Address: exactly one of the two is returned. */
int xds_address_decode(const uint8_t *data, size_t len, struct workload **ret_workload,
                       struct service **ret_service, char why[static XDS_WHY_MAX]);
int xds_workload_encode(const struct workload *w, struct xds_bytes *ret); /* as Address */
int xds_service_encode(const struct service *s, struct xds_bytes *ret);   /* as Address */
int xds_policy_decode(const uint8_t *data, size_t len, struct policy **ret,
                      char why[static XDS_WHY_MAX]);
int xds_policy_encode(const struct policy *p, struct xds_bytes *ret);

/* istio.v1.auth.IstioCertificateService/CreateCertificate */
#define XDS_CREATE_CERTIFICATE_PATH "/istio.v1.auth.IstioCertificateService/CreateCertificate"
struct certificate_request {
    char *csr_pem, *impersonated_identity; /* owned; impersonated_identity "" = the caller's own */
    int64_t validity_s;
};
int certificate_request_decode(const uint8_t *data, size_t len, struct certificate_request *ret,
                               char why[static XDS_WHY_MAX]);
int certificate_request_encode(const struct certificate_request *r, struct xds_bytes *ret);
void certificate_request_done(struct certificate_request *r);
struct certificate_response {
    char **pems;
    size_t n;
}; /* leaf first, root bundle last */
int certificate_response_decode(const uint8_t *data, size_t len, struct certificate_response *ret,
                                char why[static XDS_WHY_MAX]);
int certificate_response_encode(const struct certificate_response *r, struct xds_bytes *ret);
void certificate_response_done(struct certificate_response *r);
#endif
