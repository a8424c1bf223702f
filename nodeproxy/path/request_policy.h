/*
 * May this request reach this local workload? Asked for each request, of the policies of now; the
 * connection it came by was allowed before, and is looked at again when they change (living.h).
 * Embedded in whoever takes requests for a workload; one worker.
 */
#ifndef NODEPROXY_PATH_REQUEST_POLICY_H
#define NODEPROXY_PATH_REQUEST_POLICY_H
#include "nodeproxy/http/exchange.h"
#include "shared/mesh/directory.h"

struct request_policy {
    /* Of the policies, none of which spoke of requests, was in dry run or an AUDIT that would be told
     * of: what the connection may, its requests may. 0: not known to be so. */
    uint64_t settled;
};
/* The access is the connection's, complete but for the request. ENDING_NONE, ENDING_DENIED,
 * ENDING_NO_MEMORY; the notes lie in the request's head, and are left out when there is no room. */
enum ending request_policy_ask(struct request_policy *p, const struct directory *d,
                               struct text workload_uid, const struct access *connection,
                               struct http_head *request, struct exchange_notes *ret_notes);
#endif
