/*
 * What of the mesh a workload sees: which Services are told to its namespace (exportTo), which of them its Sidecar
 * lets it see, and whether what it doesn't see passes. Pure reads; both nouns are of the directory or a decoder.
 */
#ifndef SHARED_MESH_EGRESS_H
#define SHARED_MESH_EGRESS_H
#include "shared/mesh/service.h"

struct directory;
enum { EGRESS_HOSTS_MAX = 256 };
/* "NAMESPACE/HOST", or "NAMESPACE/HOST:PORT" for that port: NAMESPACE is "*" for all, "~" for none, HOST "*",
 * "*.DOMAIN" or a name. NULL, or what one must be. */
const char *egress_host_check(struct text t);
/* Does it see the Service, called at this port? Where any of its hosts is for the port alone those say it, else the
 * ones for no port (Istio, Sidecar: egress[].port). self NULL: not known, it sees all that is told to all. */
bool egress_sees(const struct workload *self, const struct service *s, uint16_t port);
/* Is there any port at which it does? */
bool egress_sees_name(const struct workload *self, const struct service *s);
/* One that is called by its own address: by one of its Services, if that is told to self's namespace, or by its
 * namespace if all hosts there are seen. */
bool egress_sees_workload(const struct directory *d, const struct workload *self, const struct workload *to,
                          uint16_t port);
/* Is a Service told to a namespace at all? */
bool service_is_told_to(const struct service *s, struct text ns);
#endif
