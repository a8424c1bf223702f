/*
 * A cluster (Envoy's Cluster): how requests for one destination are spread, secured, checked and
 * limited. Filled by whoever decodes or translates, in its own arena, then finished, immutable and
 * counted; any thread. Times in milliseconds.
 */
#ifndef SHARED_MESH_CLUSTER_H
#define SHARED_MESH_CLUSTER_H
#include "shared/mesh/breaker.h"
#include "shared/mesh/endpoints.h"
#include "shared/mesh/health_check.h"
#include "shared/mesh/locality_lb.h"
#include "shared/mesh/outlier.h"

#include <stdatomic.h>

enum {
    CLUSTER_BYTES_MAX = 16 * 1024 * 1024,
    CLUSTER_SUBSETS_MAX = 64,
    CLUSTER_SANS_MAX = 256,
    CLUSTER_HEALTH_CHECKS_MAX = 8,
    RING_SIZE_MAX = 8 * 1024 * 1024,
    RING_SIZE_MIN = 1024,
    RING_ENTRIES_MAX = 64 * 1024, /* of a ring of ours, whatever ring_max says */
    MAGLEV_TABLE = 65537,
    BALANCE_CHOICES_MAX = 100, /* each is a draw, for each request */
    CONNECT_TIMEOUT_MS = 5000
};

enum cluster_kind {
    CLUSTER_EDS,
    CLUSTER_STATIC,
    CLUSTER_STRICT_DNS,
    CLUSTER_LOGICAL_DNS,
    CLUSTER_ORIGINAL_DST /* to where the client wanted to go */
};
enum balance_kind {
    BALANCE_ROUND_ROBIN,
    BALANCE_LEAST_REQUEST,
    BALANCE_RANDOM,
    BALANCE_RING_HASH,
    BALANCE_MAGLEV
};
struct slow_start {
    uint64_t window_ms;          /* 0: none */
    double aggression;           /* 1: linear */
    uint32_t min_weight_percent; /* 10 */
};
struct balance_settings {
    enum balance_kind kind;
    uint32_t choices;              /* BALANCE_LEAST_REQUEST: 2 */
    double active_bias;            /* with weights: weight / (active + 1)^bias; 1 */
    uint64_t ring_min, ring_max;   /* BALANCE_RING_HASH: 1,024 and 8 Mi */
    bool ring_murmur;              /* MURMUR_HASH_2 instead of XX_HASH */
    uint32_t maglev_table;         /* 65,537; a prime */
    bool hash_hostname;            /* the hostname instead of the address */
    uint32_t hash_balance_percent; /* 0 or > 100: no endpoint above its share by more than this */
    struct slow_start slow_start;
    uint32_t panic_percent; /* 50; 0: never */
    bool fail_in_panic;
    bool locality_weighted;
};
enum subset_fallback { SUBSET_NO_FALLBACK, SUBSET_ANY_ENDPOINT, SUBSET_DEFAULT };
struct subset_keys {
    struct text *names;
    size_t n_names;
};
struct cluster_subsets {
    struct subset_keys *keys; /* for which sets of label names there are subsets */
    size_t n_keys;
    enum subset_fallback fallback;
    struct label *otherwise; /* SUBSET_DEFAULT */
    size_t n_otherwise;
};
struct cluster_tls {
    /* TLS_MESH: the workload's own. TLS_UNKNOWN: all that was ever said of the cluster was refused */
    enum { TLS_NONE, TLS_SIMPLE, TLS_MUTUAL, TLS_MESH, TLS_UNKNOWN } kind;
    struct text sni;
    bool sni_of_host, sans_of_sni;
    struct text_match *sans; /* one must fit, if there are any */
    size_t n_sans;
    struct text ca_secret, certificate_secret; /* names for SDS */
    struct text ca_pem;
    bool system_roots;
    bool insecure; /* any certificate will do: said so, and then no roots are */
    struct text *alpn;
    size_t n_alpn;
};
enum upstream_protocol { UPSTREAM_HTTP1, UPSTREAM_HTTP2, UPSTREAM_AS_DOWNSTREAM, UPSTREAM_BY_ALPN };
struct cluster {
    _Atomic unsigned refs;
    struct arena arena;
    struct text name, stat_name;
    enum cluster_kind kind;
    struct text eds_name;               /* "": name */
    struct endpoints *inline_endpoints; /* owned; NULL unless STATIC or DNS */
    uint64_t connect_timeout_ms;
    struct balance_settings balance;
    struct cluster_subsets subsets;
    struct locality_lb locality;
    struct breaker_limits breaker[2]; /* default and high priority */
    bool outlier_detection;
    struct outlier_settings outlier;
    struct health_check *health_checks;
    size_t n_health_checks;
    bool close_on_failure; /* of a health check: connections to the endpoint */
    struct cluster_tls tls;
    enum upstream_protocol protocol;
    uint32_t requests_per_connection_max;        /* 0: no limit */
    uint32_t concurrent_streams_max;             /* HTTP/2; 0: the peer's */
    uint64_t idle_timeout_ms, max_connection_ms; /* 0: none */
    uint64_t dns_refresh_ms;
    bool dns_ttl; /* its TTL counts */
    enum { DNS_AUTO, DNS_V4_ONLY, DNS_V6_ONLY, DNS_V4_PREFERRED, DNS_ALL } dns_family;
    uint64_t keepalive_idle_ms, keepalive_interval_ms; /* TCP; 0: the system's */
    uint32_t keepalive_probes;
    bool finished;
    struct kept_regex *regexes; /* what the cluster frees */
};
/* Envoy's defaults, one reference; NULL: no memory */
struct cluster *cluster_new(size_t arena_max);
struct cluster *cluster_free(struct cluster *c); /* by who alone has it */
struct cluster *cluster_ref(struct cluster *c);  /* from any thread; the last one frees */
struct cluster *cluster_unref(struct cluster *c);
int cluster_finish(struct cluster *c, char why[static WHY_MAX]); /* -EINVAL: the field; -ENOMEM */
#endif
