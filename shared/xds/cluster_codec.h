/*
 * The parts of a Cluster that stand in messages of their own: how its connections are secured, which
 * HTTP they speak, and health checks. For files of this folder alone.
 */
#ifndef SHARED_XDS_CLUSTER_CODEC_H
#define SHARED_XDS_CLUSTER_CODEC_H
#include "cluster.pb-c.h"
#include "shared/mesh/cluster.h"
#include "shared/xds/codec.h"

int decode_transport(struct reader *r, const struct place *at,
                     const Envoy__Config__Core__V3__TransportSocket *from, struct cluster_tls *ret);
int decode_protocol(struct reader *r, const Envoy__Config__Cluster__V3__Cluster *from,
                    struct cluster *ret);
int decode_health_checks(struct reader *r, const Envoy__Config__Cluster__V3__Cluster *from,
                         struct cluster *ret);
#endif
