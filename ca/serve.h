/*
 * The running CA: istio.v1.auth.IstioCertificateService/CreateCertificate over gRPC and TLS. Callers are node proxies that bring their node's
 * token; they get their own identity, or that of a workload which is placed on their node (impersonation as Istio's). One
 * thread, one ring. Bounded: connections, calls per connection, message size, requests per node and second.
 */
#ifndef CA_SERVE_H
#define CA_SERVE_H
#include "ca/issue.h"
#include "shared/base/addr.h"

struct serve_options {
    const char *state_dir, *trust_domain, *controller_identity, *proxy_identity;
    struct addr listen, admin, controller; /* admin port 0: none */
    uint64_t ttl_ms, ttl_max_ms, placement_max_age_ms, drain_ms;
};
int serve(const struct serve_options *o); /* until SIGTERM; 0 or -errno, told on the log */
#endif
