/*
 * What every request leaves behind as numbers: Istio's metrics of requests, with all their labels.
 * Embedded in whoever knows between whom requests pass: a connection, inbound or outbound. The series
 * of the endpoints and codes that were seen last are kept, so that a request formats and allocates
 * nothing; they are held until the end (metrics.h). One worker.
 *
 * Bytes are those of bodies. Messages of gRPC are counted when the request is over.
 */
#ifndef NODEPROXY_PATH_REQUEST_ACCOUNT_H
#define NODEPROXY_PATH_REQUEST_ACCOUNT_H
#include "nodeproxy/http/exchange.h"
#include "nodeproxy/path/account.h"

enum { REQUEST_ACCOUNT_KEPT = 4 };
struct request_series {
    struct metric_series *total, *duration, *received, *sent; /* total NULL: free */
    struct metric_series *messages, *answer_messages;         /* NULL: no gRPC */
    struct addr to; /* outbound: each request has its own */
    uint16_t status;
    int16_t grpc_status;
    unsigned flags;
    bool grpc;
};
/* Who and whom, as account_labels_of() says it; asked when there is no series yet. The texts are good
 * until the next wait; `memory` is for the endpoint's identity. */
typedef void request_account_labels(void *user, const struct exchange_record *record,
                                    struct spiffe_id *memory,
                                    struct text ret[static ACCOUNT_LABELS]);
struct request_account {
    struct metrics *metrics;
    request_account_labels *labels;
    void *user;
    struct request_series kept[REQUEST_ACCOUNT_KEPT];
    unsigned next; /* that makes room */
};
void request_account_begin(struct request_account *a, struct metrics *metrics,
                           request_account_labels *labels, void *user);
void request_account_count(struct request_account *a, const struct exchange_record *record);
void request_account_end(struct request_account *a); /* also of a zeroed one */
/* Drops the series of which one side has no workload any more; a look at every workload if there are
 * series that nobody holds. */
void request_account_drop_gone(struct metrics *metrics, const struct directory *directory);
extern const struct metric_family request_total, request_duration, request_received, request_sent,
    request_messages, request_answer_messages;
#endif
