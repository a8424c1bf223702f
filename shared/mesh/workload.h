/*
 * A workload: one pod or machine process of the mesh, as istio.workload.Workload says it. Immutable
 * once it is in the directory; made and freed by whoever decodes or translates. Strings are owned,
 * never NULL.
 */
#ifndef SHARED_MESH_WORKLOAD_H
#define SHARED_MESH_WORKLOAD_H
#include "shared/base/addr.h"
#include "shared/mesh/label.h"

enum tunnel_protocol { TUNNEL_NONE, TUNNEL_HBONE };
enum workload_type { WORKLOAD_DEPLOYMENT, WORKLOAD_CRONJOB, WORKLOAD_POD, WORKLOAD_JOB };
enum {
    WORKLOAD_ADDRESSES_MAX = 16,
    WORKLOAD_SERVICES_MAX = 256,
    WORKLOAD_LABELS_MAX = 128,
    SERVICE_PORTS_MAX = 128,
    GATEWAY_PORTS_MAX = 64 /* a Gateway has no more listeners */
};

enum app_protocol { /* istio.workload.AppProtocol */
                    APP_UNKNOWN,
                    APP_HTTP11,
                    APP_HTTP2,
                    APP_GRPC,
                    APP_TCP,
                    APP_TLS
};
/* As istio.workload writes it; "" for APP_UNKNOWN, and for what is none. */
static inline const char *app_protocol_word(unsigned app_protocol)
{
    static const char *const words[] = {[APP_HTTP11] = "HTTP11", [APP_HTTP2] = "HTTP2",
                                        [APP_GRPC] = "GRPC",     [APP_TCP] = "TCP",
                                        [APP_TLS] = "TLS"};
    return app_protocol > APP_UNKNOWN && app_protocol <= APP_TLS ? words[app_protocol] : "";
}
static inline bool app_protocol_is_http(uint8_t app_protocol)
{
    return app_protocol >= APP_HTTP11 && app_protocol <= APP_GRPC;
}
struct port_pair {
    uint16_t service_port, target_port;
    uint8_t app_protocol; /* enum app_protocol */
};
struct workload_service { /* one service that this workload is an endpoint of */
    char *key;            /* namespace/hostname */
    struct port_pair *ports;
    size_t n_ports;
};
struct gateway_port { /* at which the Gateway has listeners, served or not */
    uint16_t port;
    bool tls; /* of HTTPS or TLS: nothing is served there in the clear */
};
struct locality {
    char *region, *zone, *subzone;
};
struct workload {
    char *uid; /* key: cluster//Pod/namespace/name */
    char *name, *ns, *hostname, *network, *trust_domain, *service_account, *node;
    char *canonical_name, *canonical_revision, *workload_name, *cluster_id;
    char *pod_uid; /* metadata.uid; "": not told, and then a running pod is not looked for */
    char *gateway; /* of its namespace, whose listeners the node proxy serves in it; "": none */
    struct gateway_port *gateway_ports; /* each once: none of them leads to an application */
    size_t n_gateway_ports;
    enum workload_type type;
    enum tunnel_protocol tunnel;
    bool native_tunnel, healthy, host_network;
    uint32_t capacity; /* weight; 1 unless said */
    struct ip *addresses;
    size_t n_addresses;
    struct workload_service *services;
    size_t n_services;
    char **policies; /* namespace/name of AuthorizationPolicies whose selector takes it */
    size_t n_policies;
    struct label *labels; /* one block with their texts; of routes that ask who calls */
    size_t n_labels;
    char **egress; /* what it sees of the mesh: egress.h; none: all of it */
    size_t n_egress;
    bool registry_only; /* what it does not see it can't connect to; else that passes */
    struct locality locality;
    bool packed; /* of workload_pack(): nothing in it may be set */
};
struct workload *workload_new(
    void); /* all strings "", healthy, capacity 1, trust domain cluster.local; NULL: no memory */
struct workload *workload_free(struct workload *w);
int workload_set(char **field, struct text value); /* replaces an owned string; -ENOMEM */
/* The port of the Gateway as which it serves; NULL: it has no listener there. */
const struct gateway_port *workload_gateway_port(const struct workload *w, uint16_t port);
int workload_set_labels(struct workload *w, const struct label *labels, size_t n); /* copied; -ENOMEM */
/* The same in one block of memory, about half as much: how a directory keeps many. NULL: no
 * memory. */
struct workload *workload_pack(const struct workload *w);
bool workload_equal(const struct workload *a,
                    const struct workload *b); /* all that is on the wire */
#endif
