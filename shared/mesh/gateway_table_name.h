/*
 * What the route tables of a Gateway are called, by what comes to its listeners of a port: the controller
 * names them (ingress_table.h), the node proxy looks for them. Pure. Two listeners of one port that begin
 * with TLS may be of different kinds: the server that a client names says which is meant.
 */
#ifndef SHARED_MESH_GATEWAY_TABLE_NAME_H
#define SHARED_MESH_GATEWAY_TABLE_NAME_H
#include "shared/base/text.h"
#include <stdint.h>

enum gateway_table_kind {
    GATEWAY_TABLE_REQUESTS, /* HTTP, HTTPS: "gateway|PORT||NAMESPACE/NAME" */
    GATEWAY_TABLE_PLAIN,    /* TCP: "gateway-tcp|..." */
    GATEWAY_TABLE_PASSED,   /* TLS that ends at the backend: "gateway-passthrough|..." */
    GATEWAY_TABLE_ENDED     /* TLS that ends at the Gateway, and bytes in it: "gateway-tls|..." */
};
enum { GATEWAY_TABLE_NAME_MAX = 600 }; /* a namespace and a name of Kubernetes are at most half of it */
struct text gateway_table_name_of(enum gateway_table_kind kind, uint16_t port, const char *ns,
                                  const char *gateway, char out[static GATEWAY_TABLE_NAME_MAX]);
#endif
