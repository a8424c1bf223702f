/*
 * HTTPRoute, GRPCRoute, TCPRoute, TLSRoute and ReferenceGrant (gateway.networking.k8s.io) as they
 * are written. Parts of a struct object: they live in its arena. What is of a wrong type makes the object unreadable; what
 * is well written and can't be honoured is kept as a flaw, by the name of its field, so that it can
 * be told in the route's status: of the route, or of one of its rules. Strings are never NULL, times
 * milliseconds.
 */
#ifndef CONTROLLER_MODEL_GATEWAY_ROUTE_H
#define CONTROLLER_MODEL_GATEWAY_ROUTE_H
#include "controller/model/policy_object.h"

#define GATEWAY_GROUP "gateway.networking.k8s.io"
enum { /* the definitions' own */
       GATEWAY_PARENTS_MAX = 32,
       GATEWAY_RULES_MAX = 16,
       GATEWAY_HOSTNAMES_MAX = 16,
       GATEWAY_MATCHES_MAX = 64,
       GATEWAY_FILTERS_MAX = 16,
       GATEWAY_BACKENDS_MAX = 16,
       GATEWAY_TEXTS_MAX = 16, /* headers, parameters: of one list */
       GATEWAY_ITEMS_MAX = 64, /* origins, codes, names: likewise */
       GATEWAY_WEIGHT_MAX = 1000000,
       GATEWAY_PATH_MAX = 1024
};

enum gateway_flaw_kind {
    GATEWAY_NO_FLAW,
    GATEWAY_FLAW_VALUE,   /* a field or value that can't be honoured */
    GATEWAY_FLAW_FILTERS, /* filters that can't go together */
    GATEWAY_FLAW_KIND     /* a filter of a kind that is unknown */
};
struct gateway_flaw { /* the first one. A rule with one answers 500, if its route counts */
    enum gateway_flaw_kind kind;
    const char *text; /* "spec.rules[0].filters[1].type: is not supported" */
};

struct gateway_ref { /* an object that is meant; ns: the route's where none is written */
    const char *group, *kind, *ns, *name;
    const char *field; /* "spec.rules[0].backendRefs[1]" */
    uint16_t port;     /* 0: not said */
};
struct gateway_parent {
    struct gateway_ref ref;
    const char *section;
    bool ns_said;
};

enum gateway_text_kind { GATEWAY_TEXT_EXACT, GATEWAY_TEXT_REGEX, GATEWAY_TEXT_PRESENT };
struct gateway_text { /* of a header or parameter */
    const char *name, *value;
    enum gateway_text_kind kind; /* PRESENT: whatever its value */
};
struct gateway_texts {
    const struct gateway_text *items;
    size_t n;
};
enum gateway_path_kind { GATEWAY_PATH_PREFIX, GATEWAY_PATH_EXACT, GATEWAY_PATH_REGEX };
struct gateway_match {                /* of what can't be honoured in it: all that it might mean */
    enum gateway_path_kind path_kind; /* HTTPRoute: */
    const char *path;
    const char *method; /* "": any */
    struct gateway_texts headers, queries;
    const char *grpc_service, *grpc_method; /* GRPCRoute; "": any */
    bool grpc_regex;
};

struct gateway_edits {
    struct gateway_texts set, add;
    struct values remove;
};
struct gateway_path {
    enum { GATEWAY_PATH_STAYS, GATEWAY_PATH_WHOLE, GATEWAY_PATH_START } kind;
    const char *value;
};
struct gateway_redirect {
    const char *scheme, *host;
    struct gateway_path path;
    uint16_t port, status;
};
struct gateway_rewrite {
    const char *host;
    struct gateway_path path;
};
struct gateway_mirror {
    struct gateway_ref ref;
    uint32_t numerator, denominator;
};
struct gateway_cors {
    struct values origins, methods, headers, expose;
    uint32_t max_age_s;
    bool credentials;
};
struct gateway_filters { /* of a rule or of a backend; each kind once, but mirrors */
    struct gateway_edits request, response;
    const struct gateway_redirect *redirect; /* NULL: none, as the next ones */
    const struct gateway_rewrite *rewrite;
    const struct gateway_cors *cors;
    const struct gateway_mirror *mirrors;
    size_t n_mirrors;
};

struct gateway_backend {
    struct gateway_ref ref;
    uint32_t weight;
    struct gateway_filters filters;
};
struct gateway_retry {
    const uint16_t *codes;
    size_t n_codes;
    uint32_t attempts;
    uint64_t backoff_ms; /* 0: not said */
};
struct gateway_session {
    const char *name; /* "": not said */
    bool header, permanent;
    uint64_t absolute_ms, idle_ms; /* 0: not said */
};
struct gateway_rule {
    const char *name; /* "": none */
    struct gateway_flaw flaw;
    const struct gateway_match *matches; /* n 0: everything */
    size_t n_matches;
    struct gateway_filters filters;
    const struct gateway_backend *backends;
    size_t n_backends;
    uint64_t timeout_ms, backend_timeout_ms; /* 0: none */
    const struct gateway_retry *retry;       /* NULL: none */
    const struct gateway_session *session;   /* NULL: none */
};
struct gateway_route {
    struct gateway_flaw flaw; /* of the whole route: none of it counts */
    const struct gateway_parent *parents;
    size_t n_parents;
    struct values hostnames; /* TLSRoute: of servers, lower case. Else of Gateways' requests: in a mesh
                              * those don't count (GEP-1294) */
    const struct gateway_rule *rules;
    size_t n_rules;
};

struct grant_from {
    const char *group, *kind, *ns;
};
struct grant_to {
    const char *group, *kind, *name; /* "": any name */
};
struct reference_grant {
    const struct grant_from *from;
    size_t n_from;
    const struct grant_to *to;
    size_t n_to;
};
struct object;
/* May this object of another namespace speak of what is meant, which is of the grant's? */
bool reference_grant_allows(const struct reference_grant *g, const struct object *from,
                            const struct gateway_ref *ref);
#endif
