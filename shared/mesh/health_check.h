/*
 * Active health checks of a cluster's endpoints (Envoy's HealthCheck): what is asked, how often, and
 * what turns an endpoint healthy or not. Values of the cluster's arena.
 */
#ifndef SHARED_MESH_HEALTH_CHECK_H
#define SHARED_MESH_HEALTH_CHECK_H
#include "shared/mesh/text_match.h"

enum health_check_kind { CHECK_HTTP, CHECK_TCP, CHECK_GRPC };
struct status_range {
    uint16_t start, end; /* start <= status < end */
};
struct health_check {
    enum health_check_kind kind;
    uint64_t timeout_ms, interval_ms, no_traffic_interval_ms, unhealthy_interval_ms;
    uint32_t unhealthy_threshold, healthy_threshold;
    uint32_t jitter_percent;
    uint16_t alt_port; /* 0: the endpoint's */
    bool reuse_connection;
    struct text host, path, method; /* CHECK_HTTP; CHECK_GRPC: host is the authority */
    struct status_range *expected;  /* CHECK_HTTP; none: 200 */
    size_t n_expected;
    struct text service; /* CHECK_GRPC */
    struct label *request_headers;
    size_t n_request_headers;
    struct text send;     /* CHECK_TCP: bytes */
    struct text *receive; /* all of them, in this order */
    size_t n_receive;
};
#endif
