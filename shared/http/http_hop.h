/*
 * Header fields that end at a hop: those of the connection that they came by (RFC 9110 section
 * 7.6.1), and, at the edge of trust, those by which somebody could claim to be another. Names count
 * whatever their case, and at the edge '_' as '-': there are servers that take the two for one.
 * Pure.
 */
#ifndef SHARED_HTTP_HTTP_HOP_H
#define SHARED_HTTP_HTTP_HOP_H
#include "shared/http/http_head.h"

/* Takes Connection, what it names, and the other fields of a connection out; of TE stays
 * "trailers". -EINVAL: Connection names a field that is no connection's (length, host, credentials,
 * who was forwarded for: that would take from the next one what somebody before us had said), or
 * more than 16. */
int http_hop_strip(struct http_head *h);
/* Whether a field of that name is of the connection. */
bool http_hop_is(struct text name);

enum http_hop_edge {
    HTTP_HOP_IDENTITY = 1,  /* x-forwarded-client-cert, x-weir-*: who the peer is; never believed */
    HTTP_HOP_ENVOY = 2,     /* x-envoy-*, x-istio-*: orders to a proxy */
    HTTP_HOP_FORWARDED = 4, /* x-forwarded-*, forwarded, x-real-ip, via: what a proxy before says */
    HTTP_HOP_PROXY = 8,     /* proxy-*: credentials for a proxy */
    HTTP_HOP_ALL = 15,      /* from outside of the mesh */
    HTTP_HOP_TRACE = 16,    /* traceparent, tracestate, b3, x-b3-*: of which trace it is */
};
/* Takes fields of these kinds (enum http_hop_edge) out of a head or of trailers; how many. */
size_t http_hop_strip_edge(struct http_head *h, unsigned kinds);
#endif
