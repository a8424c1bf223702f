/*
 * The running CA: callers (callers.h), a cluster (cluster.h) where it serves one, placement from the controller (an xDS feed), our own
 * certificate, metrics, and the end. One thread, one ring.
 */
#ifndef CA_SERVE_H
#define CA_SERVE_H
#include "ca/cluster.h"
#include "ca/issue.h"
#include "shared/base/args.h"
#include "shared/base/addr.h"

struct serve_options {
    const char *state_dir, *trust_domain, *identity, *controller_identity, *proxy_identity;
    struct arg_list dns; /* names in its own certificate, up to ISSUE_DNS_MAX */
    struct addr listen, admin, controller, api; /* admin, api: port 0: none */
    struct arg_list api_admins;
    uint64_t ttl_ms, ttl_max_ms, keep_ms, placement_max_age_ms, drain_ms;
    bool kubernetes;                /* --attest kubernetes */
    struct cluster_options cluster; /* then; without roots_pem */
};
int serve(const struct serve_options *o); /* until SIGTERM; 0 or -errno, told on the log */
#endif
