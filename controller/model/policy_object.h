/*
 * AuthorizationPolicy and PeerAuthentication (security.istio.io) as they are written, and labels,
 * which select what they are for. Parts of a struct object: they live in its arena.
 */
#ifndef CONTROLLER_MODEL_POLICY_OBJECT_H
#define CONTROLLER_MODEL_POLICY_OBJECT_H
#include "shared/base/addr.h"

struct object_label {
    const char *key, *value;
};
struct labels {
    const struct object_label *items;
    size_t n;
};
const char *labels_get(const struct labels *l, const char *key); /* NULL: absent */
bool labels_select(const struct labels *selector,
                   const struct labels *l); /* all of selector's are in l */

struct values { /* "not said" and "empty list" are the same: n 0 */
    const char *const *items;
    size_t n;
};
struct prefixes {
    const struct prefix *items;
    size_t n;
};
struct ports {
    const uint16_t *items;
    size_t n;
};
struct policy_source {
    struct values principals, not_principals, namespaces, not_namespaces;
    struct values service_accounts, not_service_accounts; /* "name" or "namespace/name" */
    struct prefixes ips, not_ips;
    const char *beyond; /* a field that can't be evaluated; NULL: none */
};
struct policy_operation {
    struct ports ports, not_ports;
    struct values hosts, not_hosts, methods, not_methods, paths, not_paths;
    const char *of_request; /* the first field that only a request has; NULL: none */
};
enum condition_key {
    CONDITION_SOURCE_IP,
    CONDITION_SOURCE_NAMESPACE,
    CONDITION_SOURCE_PRINCIPAL,
    CONDITION_SOURCE_ACCOUNT,
    CONDITION_DESTINATION_IP,
    CONDITION_DESTINATION_PORT,
    CONDITION_REQUEST_HEADER,
    CONDITION_BEYOND, /* can't be evaluated */
};
struct policy_condition {
    enum condition_key key;
    const char *name;                 /* the key as written */
    const char *header;               /* of request.headers[x]: "x", in lower case */
    struct values values, not_values; /* of namespaces, principals, accounts, headers */
    struct prefixes ips, not_ips;
    struct ports ports, not_ports;
};
struct policy_object_rule {
    const struct policy_source *from;
    size_t n_from;
    const struct policy_operation *to;
    size_t n_to;
    const struct policy_condition *when;
    size_t n_when;
    unsigned line;
};
enum authorization_action { AUTHORIZATION_ALLOW, AUTHORIZATION_DENY, AUTHORIZATION_AUDIT };
struct authorization_policy {
    struct labels selector; /* n 0: all workloads of the namespace (root namespace: of the mesh) */
    enum authorization_action action;
    bool dry_run;
    const struct policy_object_rule *rules;
    size_t n_rules;
};

enum peer_mode { PEER_UNSET, PEER_DISABLE, PEER_PERMISSIVE, PEER_STRICT };
struct peer_port {
    uint16_t port;
    enum peer_mode mode;
};
struct peer_authentication {
    struct labels selector; /* n 0: the namespace (root namespace: the mesh) */
    enum peer_mode mode;
    const struct peer_port *ports; /* ascending */
    size_t n_ports;
};
#endif
