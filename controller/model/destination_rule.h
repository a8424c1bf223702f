/*
 * DestinationRule (networking.istio.io) as it is written, in the nouns of shared/mesh. Part of a struct
 * object: all of it lives in its arena and is immutable. A flaw, what can't be honoured by its field's
 * name, is one of all of it: it then counts for nothing, and its subsets are not there.
 */
#ifndef CONTROLLER_MODEL_DESTINATION_RULE_H
#define CONTROLLER_MODEL_DESTINATION_RULE_H
#include "controller/model/gateway_route.h"
#include "shared/mesh/cluster.h"
#include "shared/mesh/route_action.h"

enum { RULE_SUBSETS_MAX = 64, RULE_PORTS_MAX = 128, RULE_IDLE_MS = 3600 * 1000, RULE_LOCALITY_BYTES_MAX = 8192 };

struct rule_balance {
    struct balance_settings settings;
    struct hash_policy hash; /* BALANCE_RING_HASH, BALANCE_MAGLEV */
    bool hashed;             /* `hash` is one */
    struct locality_lb locality;
};
struct rule_pool { /* times 0: not said, but for idle_timeout_ms: none */
    struct breaker_limits breaker;
    uint64_t connect_timeout_ms, max_connection_ms, idle_timeout_ms;
    uint64_t keepalive_idle_ms, keepalive_interval_ms;
    uint32_t keepalive_probes, requests_per_connection_max, concurrent_streams_max;
    bool http2, as_client; /* h2UpgradePolicy: UPGRADE; useClientProtocol */
};
struct rule_budget { /* of retries at once: of requests and those that wait, but always so many */
    double percent;
    uint32_t min;
};
struct rule_outlier {
    struct outlier_settings settings;
    uint32_t panic_percent;
};
struct rule_tls {
    bool originated; /* SIMPLE; else it is the mesh's own affair */
    bool insecure;   /* insecureSkipVerify */
    struct text sni; /* "": the name of what is called */
    const struct text_match *names; /* subjectAltNames, each exactly; none: the name that is asked for */
    size_t n_names;
};
struct traffic_policy { /* NULL: not said */
    const struct rule_tls *tls;
    const struct rule_balance *balance;
    const struct rule_pool *pool;
    const struct rule_budget *budget;
    const struct rule_outlier *outlier;
};
struct traffic_port { /* what is not said here is the default's, not the whole policy's */
    uint16_t port;
    struct traffic_policy policy;
};
struct traffic_policies {
    struct traffic_policy all;
    const struct traffic_port *ports;
    size_t n_ports;
    bool said;
};
struct rule_subset {
    const char *name;
    struct labels labels;
    struct traffic_policies policies;
};
struct destination_rule {
    struct gateway_flaw flaw, note;
    bool wants_tls; /* somewhere, of SIMPLE or MUTUAL: with a flaw nothing of its host goes in the clear */
    const char *host; /* as written, lower case */
    struct traffic_policies policies;
    const struct rule_subset *subsets;
    size_t n_subsets;
};
#endif
