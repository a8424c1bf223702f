/*
 * What would happen to a connection between two workloads, and because of which objects: the mesh's own decisions
 * (shared/mesh), asked about a directory. Pure. Names are NAMESPACE/POD, NAMESPACE/SERVICE, addresses, or a service's host name.
 */
#ifndef CONTROLLER_CTL_EXPLAIN_H
#define CONTROLLER_CTL_EXPLAIN_H
#include "controller/ctl/explain_request.h"
#include "shared/json/json_out.h"

enum { EXPLAIN_ENDPOINTS_MAX = 1000, EXPLAIN_TEXT_MAX = 1024 };
enum explain_result {
    EXPLAIN_ALLOWED,
    EXPLAIN_REFUSED,
    EXPLAIN_MIXED,       /* some endpoints allow it */
    EXPLAIN_UNREACHABLE, /* the service has no endpoint that may be used, or no such port */
    EXPLAIN_OUTSIDE,     /* the mesh does not know the destination: it passes as it is */
    EXPLAIN_ANSWERED,    /* by the route of the request, or for lack of one */
};
struct explain_endpoint {
    const struct workload *workload;
    struct addr target;
    bool usable;  /* healthy, or its service takes it all the same */
    bool tunnel;  /* from mesh to mesh: authenticated */
    bool allowed;
    char because[EXPLAIN_TEXT_MAX];
};
struct explain { /* pointers into the directory */
    const struct workload *source; /* NULL: not known to the mesh */
    const struct service *service; /* NULL: the destination is a workload, or an address */
    struct ip source_ip, destination_ip;
    uint16_t port;
    char source_identity[SPIFFE_ID_TEXT_MAX]; /* "": none */
    struct explain_endpoint *endpoints;       /* owned */
    size_t n_endpoints;
    enum explain_result result;
    char why[EXPLAIN_TEXT_MAX]; /* of the result, where no endpoint says it */
    const char *source_text, *destination_text;
    bool asks;                       /* about a request */
    struct explain_request request;  /* if it does, and the destination is a Service */
};
/* wish NULL: about a connection, and whatever is in it. port 0: the only one of the service. -EINVAL: why says what can't be understood; -ENOMEM. */
int explain_ask(const struct directory *d, const char *source, const char *destination,
                const struct explain_wish *wish, struct explain *ret);
void explain_done(struct explain *e);
void explain_print(const struct explain *e, struct text_heap *out);
void explain_json(const struct explain *e, struct json_out *o);
#endif
