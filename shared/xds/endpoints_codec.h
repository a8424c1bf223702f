/*
 * A ClusterLoadAssignment as a part of another message: a Cluster may bring its own. For files of
 * this folder alone.
 */
#ifndef SHARED_XDS_ENDPOINTS_CODEC_H
#define SHARED_XDS_ENDPOINTS_CODEC_H
#include "endpoint.pb-c.h"
#include "shared/mesh/endpoints.h"
#include "shared/xds/codec.h"

/* The reader's arena is that of *ret, which is to be finished then. */
int decode_endpoints(struct reader *r, const struct place *at,
                     const Envoy__Config__Endpoint__V3__ClusterLoadAssignment *m,
                     struct endpoints *ret);
Envoy__Config__Endpoint__V3__ClusterLoadAssignment *encode_endpoints(struct writer *w,
                                                                     const struct endpoints *from);
#endif
