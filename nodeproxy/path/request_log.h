/*
 * The line that a request leaves in the access log: with fields as those of connections, or as Istio
 * writes it, its default text or JSON (`--http-log`), so that what reads Envoy's log reads ours. What a
 * client says is escaped and cut. At most as many lines of a workload a second as of its connections.
 */
#ifndef NODEPROXY_PATH_REQUEST_LOG_H
#define NODEPROXY_PATH_REQUEST_LOG_H
#include "nodeproxy/http/exchange.h"
#include "nodeproxy/path/account.h"

struct request_log { /* of whose connection the requests are; all of it stays where it is */
    struct path_env *env;
    const struct account *account;
    const struct addr *source, *destination;
    struct pod_bounds *bounds; /* of the workload whose line it is; NULL: none */
    bool goes_on; /* to a Service, by a Gateway: there is an endpoint and a cluster, though it came in */
};
void request_log_write(const struct request_log *l, const struct exchange_record *record);
#endif
