/*
 * The settings of one node proxy, filled by main from the command line and constant afterwards.
 * Durations in milliseconds; 0 means the documented default where one is named.
 */
#ifndef NODEPROXY_CONFIG_H
#define NODEPROXY_CONFIG_H
#include "nodeproxy/bounds/bounds.h"
#include "shared/base/addr.h"
#include <stdbool.h>

enum request_log_format { REQUEST_LOG_FIELDS, REQUEST_LOG_ISTIO, REQUEST_LOG_ISTIO_JSON };
struct machine;
struct web_roots;
struct config {
    const char *node, *cluster_id, *network, *trust_domain, *cluster_domain;
    const char *run_dir, *roots_file, *token_file;
    const char *keep_file;        /* of a machine that joined: its key and certificate; NULL: a cluster's node */
    struct web_roots *system_roots; /* that servers outside of the mesh must lead to, unless their rule says others; NULL: none */
    const char *controller_identity, *ca_identity, *self_identity;
    struct addr controller, ca;
    struct addr admin, metrics, ready;
    int warden;                   /* this process's end of the channel to it */
    uint64_t workers;             /* 0: one per core */
    uint64_t connect_ms;          /* to a destination; 10 s */
    uint64_t identity_wait_ms;    /* a new pod's connections wait for its certificate; 10 s */
    uint64_t idle_ms;             /* of a connection; 0: never */
    uint64_t tunnel_idle_ms;      /* a tunnel without streams; 5 min */
    uint64_t takeover_wait_ms;    /* a successor waits this long for what it needs; 0: until it is there */
    uint64_t drain_ms;            /* at SIGTERM; 25 s */
    uint64_t handshake_ms;        /* inbound TLS; 10 s */
    uint64_t connections_max;     /* per pod and direction */
    struct bounds_max bounds;     /* of all else that is counted over the workers */
    uint64_t pod_chunks_max;      /* of them, what one pod may hold; 0: as much as is left to the others */
    uint64_t sockets_max;         /* kept ready for a pod: per worker and family */
    uint64_t streams_max;         /* per tunnel */
    uint64_t chunks_max;          /* buffers per worker, 16.5 KiB each */
    uint64_t pods_max;
    uint64_t dns_ttl_ms;          /* of names of the mesh; whole seconds */
    uint64_t dns_wait_ms;         /* for a pod's resolver */
    uint64_t http_idle_ms;        /* of a connection between requests; 60 s */
    uint64_t http_connections_max; /* per endpoint, for requests of one pod: per worker */
    uint64_t http_waiting_max;    /* requests of a pod that wait for one: per worker */
    const struct machine *machine; /* processes of our own namespace instead of pods; NULL: a node */
    const char *workload_api;     /* path of its socket; "": it is not served */
    bool dns_capture;             /* pods' queries to port 53 come here */
    bool keep_expired;            /* --expired-peers keep: a tunnel may outlive its peer's certificate */
    bool access_log;
    struct addr trace_collector;  /* port 0: nothing is traced */
    const char *trace_identity;   /* that it must prove, by mutual TLS; NULL: plain */
    uint32_t trace_sampled;       /* of a million */
    enum request_log_format request_log; /* of its lines of requests */
    bool parse_http;              /* --http on: ports that a Service declares HTTP are spoken to as such */
    bool gateway_traces;          /* --gateway-traces on: strangers at a Gateway may say of which trace they are */
    bool detect_http;             /* --http-detect on: ports that nobody declares are spoken to as what is spoken there */
    bool same_node_hbone;         /* --same-node hbone: tunnel even within the node */
};
#endif
