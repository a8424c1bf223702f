/*
 * What a route does with a request (Envoy's RouteAction, RedirectAction, DirectResponseAction and
 * the per-route configuration of the filters fault and cors). Values of a route table's arena;
 * immutable once the table is finished. Times are milliseconds, 0: none. Texts "": not said.
 */
#ifndef SHARED_MESH_ROUTE_ACTION_H
#define SHARED_MESH_ROUTE_ACTION_H
#include "shared/mesh/retry_policy.h"
#include "shared/mesh/route_match.h"
#include "shared/mesh/session.h"

/* Removals come before additions. Values are literal: what decodes them has refused Envoy's
 * operators (%...%) and made %% a %. */
enum header_edit_kind {                /* HeaderAppendAction */
                        HEADER_APPEND, /* another field of the name */
                        HEADER_ADD_IF_ABSENT,
                        HEADER_SET,
                        HEADER_SET_IF_PRESENT
};
struct header_edit {
    enum header_edit_kind kind;
    struct text name, value; /* name: lower case, may be edited */
};
/* No edit says for whom a message is, how long it is, or what belongs to a connection: that is the
 * codecs'. Whatever the name's case. */
bool header_may_be_edited(struct text name);
struct header_edits {
    struct header_edit *put;
    size_t n_put;
    struct text *remove;
    size_t n_remove;
};
struct message_edits {
    struct header_edits request, response;
};

/* At most one of the three. */
struct path_rewrite {
    enum { REWRITE_NONE, REWRITE_PREFIX, REWRITE_REGEX, REWRITE_WHOLE } kind;
    struct text value;         /* what the matched path or prefix becomes; the whole path */
    struct text pattern;       /* REWRITE_REGEX: each match of it in the path becomes `value` */
    const struct regex *regex; /* made by route_table_finish() */
};
struct host_rewrite {
    enum { HOST_KEEP, HOST_LITERAL, HOST_OF_ENDPOINT, HOST_OF_HEADER } kind;
    struct text value;     /* the host, or the header's name */
    bool append_forwarded; /* the old one goes into x-forwarded-host */
};

struct route_backend { /* one of a weighted split */
    struct text cluster;
    struct text cluster_header; /* the request's header that names the cluster instead */
    uint32_t weight;            /* 0: never */
    struct message_edits edits;
    struct text host;     /* HOST_LITERAL for this backend */
    struct label *subset; /* Envoy's metadata_match of "envoy.lb", the route's included */
    size_t n_subset;
};

struct route_mirror {
    struct text cluster;
    struct fraction fraction;
    bool keep_host; /* otherwise "-shadow" is appended to the host */
    struct text host;
};

enum hash_source { HASH_HEADER, HASH_COOKIE, HASH_SOURCE_IP, HASH_QUERY };
struct hash_policy {
    enum hash_source source;
    struct text name;       /* of the header, cookie or parameter */
    bool make_cookie;       /* where the request has none, the answer brings one */
    uint64_t cookie_ttl_ms; /* 0: a session's */
    struct text cookie_path;
    struct path_rewrite regex; /* HASH_HEADER: of the value; REWRITE_REGEX or none */
    bool terminal;             /* later ones don't count if this one gave a hash */
};

struct route_forward {
    struct route_backend *backends; /* at least one; the choice is made per request */
    size_t n_backends;
    uint64_t total_weight;      /* made by route_table_finish() */
    uint16_t no_cluster_status; /* the answer where the cluster is unknown: 503, 404 or 500 */
    bool high_priority;         /* which thresholds of the circuit breaker */
    bool grpc_timeout;          /* the header grpc-timeout counts, */
    struct path_rewrite path;
    struct host_rewrite host;
    uint64_t timeout_ms; /* of the whole request; Envoy's 15 s is said by what decodes it */
    uint64_t idle_timeout_ms, max_stream_duration_ms;
    uint64_t grpc_timeout_max_ms; /* at most this; 0: any */
    uint64_t grpc_timeout_offset_ms;
    const struct retry_policy *retry; /* NULL: the virtual host's, or else none */
    struct route_mirror *mirrors;
    size_t n_mirrors;
    struct hash_policy *hashes;
    size_t n_hashes;
    const struct session_policy *session; /* NULL: none */
    struct text *upgrades; /* lower case, as "websocket" */
    size_t n_upgrades;
};

struct route_redirect {
    bool https; /* scheme https, and the port goes if it was 80 */
    struct text scheme, host;
    uint16_t port;            /* 0: as it is */
    struct path_rewrite path; /* of REWRITE_WHOLE: may bring its own query */
    uint16_t status;          /* 301, 302, 303, 307, 308 */
    bool strip_query;
};

struct route_respond {
    uint16_t status;
    struct text body;
};

struct fault {
    uint64_t delay_ms;
    struct fraction delay;
    uint16_t abort_status; /* HTTP; 0: see abort_grpc_status */
    uint16_t abort_grpc;   /* a status of gRPC, if abort_status is 0 */
    struct fraction abort;
    struct text cluster; /* only requests that go to it */
    struct header_match *headers;
    size_t n_headers;
    uint32_t active_max; /* 0: no limit */
};

struct cors {
    struct text_match *origins;
    size_t n_origins;
    struct text methods, headers, expose_headers, max_age; /* as they stand in the answer */
    bool credentials;
    bool forward_unmatched_preflights;
};

enum route_kind { ROUTE_FORWARD, ROUTE_REDIRECT, ROUTE_RESPOND };
struct route_action {
    enum route_kind kind;
    union {
        struct route_forward forward;
        struct route_redirect redirect;
        struct route_respond respond;
    };
    struct message_edits edits;
    const struct fault *fault; /* NULL: the virtual host's; likewise cors */
    const struct cors *cors;
};
#endif
