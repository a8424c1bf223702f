/*
 * VirtualService (networking.istio.io) as it is written: its rules, in the nouns of
 * shared/mesh, as far as they don't depend on where they are used: hosts are not resolved, so that
 * backends and mirrors have destinations instead of clusters. Part of a struct object: all of it lives
 * in its arena and is immutable; expressions are checked, not compiled. What is well written and can't
 * be honoured is a flaw with its field's name: of all of it, which then counts for nothing, or of a
 * rule, which then refuses what it takes. What is left out of account without harm is noted.
 */
#ifndef CONTROLLER_MODEL_VIRTUAL_SERVICE_H
#define CONTROLLER_MODEL_VIRTUAL_SERVICE_H
#include "controller/model/gateway_route.h"
#include "shared/mesh/route_action.h"

#define NETWORKING_GROUP "networking.istio.io"
enum {
    VIRTUAL_HOSTS_WRITTEN_MAX = 256,
    VIRTUAL_RULES_MAX = 512,
    VIRTUAL_MATCHES_MAX = 64,
    VIRTUAL_BACKENDS_MAX = 64,
    VIRTUAL_MIRRORS_MAX = 16,
    VIRTUAL_ITEMS_MAX = 64, /* headers, parameters, labels, origins, names: of one place */
    VIRTUAL_BODY_MAX = 64 * 1024,
    VIRTUAL_HOST_MAX = 253
};

struct virtual_destination {
    const char *host, *subset; /* as written, lower case; "": none */
    uint16_t port;             /* 0: not said */
    const char *field;         /* "spec.http[0].route[1].destination" */
};
struct virtual_match {
    const char *name;
    uint16_t port;  /* 0: any */
    bool elsewhere; /* only for gateways that are none of the mesh's */
    struct route_match match;
    struct values servers;   /* of `tls`: the names that clients ask for, lower case, "*.example.org" */
    struct prefixes subnets; /* of `tls` and `tcp`: the address that is called is in one; n 0: any */
};
struct virtual_rule {
    const char *name;
    struct gateway_flaw flaw;
    const struct virtual_match *matches; /* n 0: everything */
    size_t n_matches;
    /* ROUTE_FORWARD: its backends and mirrors have no clusters yet; without `retries_said` what is
     * Istio's default counts. */
    struct route_action action;
    const struct virtual_destination *backends, *mirrors; /* as many as the action has */
    bool retries_said;
    bool port_of_request; /* of a redirect */
    bool tls;             /* of a stream: only connections that ask for one of the servers */
    /* Its requests are for the rules of this one, which has no hosts; name "": it says itself what to do. */
    struct virtual_delegate {
        const char *ns, *name, *field;
    } delegate;
};
struct virtual_service {
    struct gateway_flaw flaw, note;
    struct values hosts;    /* as written, lower case; n 0: for others to delegate to */
    struct values exported; /* to these namespaces; n 0: to all */
    bool elsewhere;         /* only for gateways that are none of the mesh's */
    const struct virtual_rule *rules;
    size_t n_rules;
    const struct virtual_rule *streams; /* `tls`, then `tcp`: rules for connections, not requests */
    size_t n_streams;
};
#endif
