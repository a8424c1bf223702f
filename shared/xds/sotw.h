/*
 * The messages of xDS told as the state of the world
 * (envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources), decoded and
 * encoded. Memory and bounds are those of delta.h. In a response each resource is of the response's
 * type and says its name itself.
 */
#ifndef SHARED_XDS_SOTW_H
#define SHARED_XDS_SOTW_H
#include "shared/xds/xds.h"

struct arena;

#define XDS_SOTW_PATH                                                                              \
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"

struct sotw_request {
    char *node_id, *node_cluster; /* "" after the first message, as what follows is */
    char *user_agent;             /* the name of the client's program */
    char *region, *zone, *sub_zone;
    char *version;                /* of the last response that was accepted; "" before */
    char *type_url;
    char **names; /* all that are asked for now */
    size_t n_names;
    char *nonce;
    bool has_error; /* NACK */
    int32_t error_code;
    char *error_message;
    struct arena *arena; /* of a decoded message: everything lives in it */
};
int sotw_request_decode(const uint8_t *data, size_t len, struct sotw_request *ret,
                        char why[static XDS_WHY_MAX]);
int sotw_request_encode(const struct sotw_request *r, struct xds_bytes *ret);
void sotw_request_done(struct sotw_request *r);

struct sotw_response {
    char *version, *type_url, *nonce;
    struct xds_bytes *resources; /* bodies: what is in the Any */
    size_t n_resources;
    struct arena *arena; /* of a decoded message: everything lives in it */
};
int sotw_response_decode(const uint8_t *data, size_t len, struct sotw_response *ret,
                         char why[static XDS_WHY_MAX]);
int sotw_response_encode(const struct sotw_response *r, struct xds_bytes *ret);
void sotw_response_done(struct sotw_response *r);
#endif
