/*
 * The Kubernetes objects that the controller knows, as plain C structs: only the fields that
 * something is made of. Whatever source they come from, they look the same. An object is immutable
 * once it was read and reference counted: a source keeps its last good ones while the store holds
 * what is in force. One thread. Everything that an object points at lives in its arena; strings
 * are never NULL unless said.
 */
#ifndef CONTROLLER_MODEL_OBJECT_H
#define CONTROLLER_MODEL_OBJECT_H
#include "controller/model/backend_tls.h"
#include "controller/model/destination_rule.h"
#include "controller/model/gateway_route.h"
#include "controller/model/ingress.h"
#include "controller/model/object_arena.h"
#include "controller/model/policy_object.h"
#include "controller/model/secret.h"
#include "controller/model/service_entry.h"
#include "controller/model/sidecar.h"
#include "controller/model/virtual_service.h"
#include "controller/model/workload_entry.h"
#include "controller/model/workload_group.h"
#include "shared/base/addr.h"

#define MESH_GROUP "gateway.networking.x-k8s.io"
enum { OBJECT_BYTES_MAX = 4 * 1024 * 1024, OBJECT_KEY_MAX = 768 };

#define OBJECT_KINDS(X)                                                                            \
    /* name, kind as manifests write it, API group, in a namespace? */                             \
    X(NAMESPACE, "Namespace", "", false)                                                           \
    X(NODE, "Node", "", false)                                                                     \
    X(POD, "Pod", "", true)                                                                        \
    X(SERVICE, "Service", "", true)                                                                \
    X(ENDPOINT_SLICE, "EndpointSlice", "discovery.k8s.io", true)                                   \
    X(SERVICE_ACCOUNT, "ServiceAccount", "", true)                                                 \
    X(AUTHORIZATION_POLICY, "AuthorizationPolicy", "security.istio.io", true)                      \
    X(PEER_AUTHENTICATION, "PeerAuthentication", "security.istio.io", true)                        \
    X(HTTP_ROUTE, "HTTPRoute", GATEWAY_GROUP, true)                                                \
    X(GRPC_ROUTE, "GRPCRoute", GATEWAY_GROUP, true)                                                \
    X(TCP_ROUTE, "TCPRoute", GATEWAY_GROUP, true)                                                  \
    X(TLS_ROUTE, "TLSRoute", GATEWAY_GROUP, true)                                                  \
    X(INGRESS, "Gateway", GATEWAY_GROUP, true)                                                     \
    X(INGRESS_CLASS, "GatewayClass", GATEWAY_GROUP, false)                                         \
    X(MESH, "XMesh", MESH_GROUP, false)                                                            \
    X(SECRET, "Secret", "", true)                                                                  \
    X(REFERENCE_GRANT, "ReferenceGrant", GATEWAY_GROUP, true)                                      \
    X(BACKEND_TLS_POLICY, "BackendTLSPolicy", GATEWAY_GROUP, true)                                 \
    X(CONFIG_MAP, "ConfigMap", "", true)                                                           \
    X(VIRTUAL_SERVICE, "VirtualService", NETWORKING_GROUP, true)                                   \
    X(DESTINATION_RULE, "DestinationRule", NETWORKING_GROUP, true)                                 \
    X(SERVICE_ENTRY, "ServiceEntry", NETWORKING_GROUP, true)                                       \
    X(WORKLOAD_ENTRY, "WorkloadEntry", NETWORKING_GROUP, true)                                     \
    X(WORKLOAD_GROUP, "WorkloadGroup", NETWORKING_GROUP, true)                                     \
    X(SIDECAR, "Sidecar", NETWORKING_GROUP, true)
enum object_kind {
#define X(name, kind, group, namespaced) OBJECT_##name,
    OBJECT_KINDS(X)
#undef X
        OBJECT_KIND_COUNT
};
const char *object_kind_name(enum object_kind kind);

struct container_port {
    const char *name; /* "": none */
    uint16_t port;
};
struct pod {
    const struct ip *ips;
    size_t n_ips;
    const char *service_account, *node;
    const char *uid;                     /* metadata.uid; "": not said */
    const char *owner_kind, *owner_name; /* of the controlling owner; "": none */
    const struct container_port *ports;  /* TCP */
    size_t n_ports;
    bool host_network;
    bool over;    /* phase Succeeded or Failed */
    bool ready;   /* condition Ready is True or absent */
    bool alive;   /* phase Pending or Running: it may have no address yet, or none any more until its
                   * node, that was started anew, has made it again */
    /* Of one that is made (a machine; NULL, 0: its node says where it is): */
    const char *region, *zone, *subzone;
    uint32_t weight;
};

struct kube_service_port {
    const char *name;        /* "": none */
    const char *target_name; /* named target port; "": target is a number */
    uint16_t port, target;
    uint8_t app_protocol; /* istio.workload.AppProtocol */
};
#define EXPORT_ANNOTATION "networking.istio.io/exportTo" /* of a Service */
enum { EXPORTED_MAX = 64 };
enum traffic_distribution { TRAFFIC_ANY, TRAFFIC_SAME_ZONE, TRAFFIC_SAME_NODE };
struct kube_service {
    struct labels selector; /* n 0: none, its EndpointSlices say who serves it */
    const struct ip *addresses;
    size_t n_addresses;
    const struct kube_service_port *ports; /* TCP */
    size_t n_ports;
    bool headless;      /* clusterIP: None. Clients call its pods */
    bool external_name; /* only a DNS alias: nothing for the mesh */
    bool automatic;     /* its addresses are for the mesh to choose */
    struct values exported; /* the namespaces that see it; n 0: all */
    bool publish_not_ready, internal_local;
    enum traffic_distribution distribution;
    bool distribution_set; /* else the namespace's annotation counts */
    uint8_t ip_families;   /* istio.workload.IPFamilies */
    const struct health_check *health_check; /* that its annotation asks for; NULL: none */
    const char *health_flaw; /* why it can't be honoured; NULL: it can */
    const char *export_flaw; /* likewise, of a word of EXPORT_ANNOTATION, which is left out */
};

struct slice_endpoint {
    const struct ip *addresses;
    const char *const *address_texts; /* as written */
    size_t n_addresses;
    bool ready, serving, terminating; /* serving: it would be ready if it did not end */
    bool to_pod;                      /* targetRef is a pod: */
    const char *pod_ns, *pod_name;
    /* Of one that is no pod and says so (n 0, 0, NULL: not said): */
    struct labels labels;
    uint32_t weight;
    const char *region, *zone, *subzone;
    unsigned line;
};
struct slice_port {
    const char *name; /* as the Service's port; "": its only one */
    uint16_t port;
};
struct endpoint_slice {
    const char *service; /* "": for no Service */
    bool fqdn;           /* its addresses are DNS names */
    const struct slice_endpoint *endpoints;
    size_t n_endpoints;
    const struct slice_port *ports; /* TCP */
    size_t n_ports;
};

struct object {
    enum object_kind kind;
    unsigned refs;
    const char *ns; /* "" for kinds that are in none */
    const char *name;
    struct labels labels, annotations; /* of these only the ones that something reads */
    int64_t created_s;                 /* Unix time; 0: not said */
    bool deleting;                     /* metadata.deletionTimestamp is there */
    bool made;        /* a part of another object, "ENTRY/HOST", "ENTRY/machine": no source has it */
    const char *file; /* where it was read; "": not from a file */
    unsigned line;
    struct object_arena arena;
    union {
        struct pod pod;
        struct kube_service service;
        struct endpoint_slice slice;
        struct authorization_policy authorization;
        struct peer_authentication peer;
        struct gateway_route route;
        struct ingress ingress;
        struct ingress_class ingress_class;
        struct tls_secret secret;
        struct reference_grant grant;
        struct virtual_service virtual_service;
        struct destination_rule destination_rule;
        struct service_entry service_entry;
        struct workload_entry workload_entry;
        struct workload_group workload_group;
        struct backend_tls backend_tls;
        struct config_map config_map;
        struct sidecar sidecar;
    };
};
struct object *object_ref(struct object *o);
struct object *object_unref(struct object *o); /* NULL is fine; returns NULL */
/* "Pod shop/web", "Node node-a": for people, and unique among all objects. */
void object_key(enum object_kind kind, const char *ns, const char *name,
                char out[static OBJECT_KEY_MAX]);
#endif
