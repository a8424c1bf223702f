/*
 * Envoy's resources of layer 7 <-> the nouns of shared/mesh: Listener (an API listener),
 * RouteConfiguration, Cluster, ClusterLoadAssignment. Pure; any thread. A decode answers a finished
 * noun, or -EINVAL with a text that names the field as Envoy writes its path
 * (`virtual_hosts[0].routes[2].match.headers[1].name: ...`): what can't be honoured is refused, also
 * fields that are not known here; nothing is dropped in silence, but for what the .proto files name
 * as ignored. The nouns' own bounds hold.
 */
#ifndef SHARED_XDS_ROUTING_H
#define SHARED_XDS_ROUTING_H
#include "shared/mesh/cluster.h"
#include "shared/mesh/route.h"
#include "shared/xds/xds.h"

/* Metadata: of Envoy for subsets; of ours in endpoints, key workload: its uid; and who asks, in
 * dynamic_metadata of a route's match: key namespace, and labels followed by a label's name. */
#define XDS_LB_METADATA     "envoy.lb"
#define XDS_OUR_METADATA    "weir"
#define XDS_SOURCE_METADATA "weir.source"
/* Typed, of ours (weir_traffic.proto). */
#define XDS_LOCALITY_METADATA "weir.mesh/locality"
#define XDS_SESSION_METADATA  "weir.mesh/session"
/* Names of SDS for a workload's own certificate and the mesh's roots (TLS_MESH), as in Istio. */
#define XDS_MESH_CERTIFICATE "default"
#define XDS_MESH_ROOTS       "ROOTCA"
#define XDS_FAULT_FILTER     "envoy.filters.http.fault"
#define XDS_CORS_FILTER      "envoy.filters.http.cors"
#define XDS_PREVIOUS_HOSTS   "envoy.retry_host_predicates.previous_hosts"
#define XDS_WHOLE_PATH       "^.*$" /* the pattern that stands for replacing the whole path */
#define XDS_HTTP_OPTIONS     "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

/* A message takes GRPC_MESSAGE_MAX: what can't be read ends its stream, again and again. The rest is for
 * what else is in an answer. */
enum { XDS_ROUTES_BYTES_MAX = 14 * 1024 * 1024 };

int xds_endpoints_decode(const uint8_t *data, size_t len, struct endpoints **ret,
                         char why[static XDS_WHY_MAX]);
int xds_endpoints_encode(const struct endpoints *from, struct xds_bytes *ret); /* -ENOMEM */
int xds_cluster_decode(const uint8_t *data, size_t len, struct cluster **ret,
                       char why[static XDS_WHY_MAX]);
int xds_cluster_encode(const struct cluster *from, struct xds_bytes *ret);
/* What is in a cluster of places, alone; into the arena, which is to outlive it. Not checked. */
int xds_locality_lb_decode(const uint8_t *data, size_t len, struct arena *arena,
                           struct locality_lb *ret, char why[static XDS_WHY_MAX]);
int xds_locality_lb_encode(const struct locality_lb *from, struct xds_bytes *ret);
int xds_routes_decode(const uint8_t *data, size_t len, struct route_table **ret,
                      char why[static XDS_WHY_MAX]);
/* -E2BIG: more than XDS_ROUTES_BYTES_MAX. What a table shares is written again for each route: how large
 * the table is says little of it. */
int xds_routes_encode(const struct route_table *from, struct xds_bytes *ret);

/* A listener of a proxyless client: which routes its requests take. */
struct api_listener {
    char *name, *routes; /* heap; of a RouteConfiguration that ADS serves */
};
int xds_listener_decode(const uint8_t *data, size_t len, struct api_listener *ret,
                        char why[static XDS_WHY_MAX]);
int xds_listener_encode(const struct api_listener *from, struct xds_bytes *ret);
void api_listener_done(struct api_listener *l);
#endif
