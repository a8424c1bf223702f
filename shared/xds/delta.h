/*
 * The messages of delta xDS
 * (envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources), decoded and
 * encoded. A decoded message owns its memory until delta_*_done(). Bounds: XDS_RESOURCES_MAX of
 * each kind per message.
 *
 * A message that is made to be encoded may borrow all that it points at (then it needs no done), or
 * own it on the heap, piece by piece (then done frees the pieces). A NULL text is an empty one.
 * `arena` stays NULL in both.
 */
#ifndef SHARED_XDS_DELTA_H
#define SHARED_XDS_DELTA_H
#include "shared/xds/xds.h"

struct arena;

#define XDS_DELTA_PATH                                                                             \
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
enum { XDS_RESOURCES_MAX = 200000 };

struct xds_version {
    char *name, *version;
};
/* A machine that asks to be registered, by the words of Istio's agents in its node's metadata. Absent: "". */
struct delta_machine {
    char *group;     /* AUTO_REGISTER_GROUP: its WorkloadGroup; "": it does not ask */
    char *ns;        /* NAMESPACE: of both */
    char *name;      /* NAME: of its WorkloadEntry */
    char *addresses; /* INSTANCE_IPS: its own, separated by commas */
};
struct delta_request {
    char *node_id, *node_cluster; /* "" after the first message */
    struct delta_machine machine; /* likewise; encoded: NULL is "" */
    char *type_url;
    char **subscribe, **unsubscribe;
    size_t n_subscribe, n_unsubscribe;
    struct xds_version *initial; /* what the client has */
    size_t n_initial;
    char *nonce;
    bool has_error; /* NACK */
    int32_t error_code;
    char *error_message;
    struct arena *arena; /* of a decoded message: everything lives in it */
};
int delta_request_decode(const uint8_t *data, size_t len, struct delta_request *ret,
                         char why[static XDS_WHY_MAX]);
int delta_request_encode(const struct delta_request *r, struct xds_bytes *ret);
void delta_request_done(struct delta_request *r);

struct delta_resource {
    char *name, *version;
    char **aliases;
    size_t n_aliases;
    char *type_url; /* of the Any */
    uint8_t *body;
    size_t body_len;
};
struct delta_response {
    char *type_url, *nonce, *system_version;
    struct delta_resource *resources;
    size_t n_resources;
    char **removed;
    size_t n_removed;
    struct arena *arena; /* of a decoded message: everything lives in it */
};
int delta_response_decode(const uint8_t *data, size_t len, struct delta_response *ret,
                          char why[static XDS_WHY_MAX]);
int delta_response_encode(const struct delta_response *r, struct xds_bytes *ret);
void delta_response_done(struct delta_response *r);
#endif
