/*
 * A service: a name with virtual addresses and ports, as istio.workload.Service says it. Immutable
 * once in the directory.
 */
#ifndef SHARED_MESH_SERVICE_H
#define SHARED_MESH_SERVICE_H
#include "shared/mesh/workload.h"

enum lb_scope {
    LB_UNSPECIFIED_SCOPE,
    LB_REGION,
    LB_ZONE,
    LB_SUBZONE,
    LB_NODE,
    LB_CLUSTER,
    LB_NETWORK
};
enum lb_mode { LB_UNSPECIFIED_MODE, LB_STRICT, LB_FAILOVER, LB_PASSTHROUGH };
enum { SERVICE_ADDRESSES_MAX = 64, LB_SCOPES_MAX = 8, SERVICE_EXPORTED_MAX = 64 };

struct service_address {
    char *network;
    struct ip ip;
};
struct service {
    char *name, *ns, *hostname;
    char *key; /* namespace/hostname */
    struct service_address *addresses;
    size_t n_addresses;
    struct port_pair *ports;
    size_t n_ports;
    char **subject_alt_names;
    size_t n_subject_alt_names;
    char **exported; /* the namespaces whose workloads see it; none: all do */
    size_t n_exported;
    enum lb_scope scopes[LB_SCOPES_MAX]; /* routing preference, most important first */
    size_t n_scopes;
    enum lb_mode lb_mode;
    bool allow_unhealthy;
    uint8_t ip_families; /* istio.workload.IPFamilies */
    bool canonical;
};
struct service *service_new(void);
struct service *service_free(struct service *s);
bool service_equal(const struct service *a, const struct service *b);
#endif
