/*
 * What is counted of a pod's queries: istio_dns_*, by the query's type, how it came and whose it
 * is, as ztunnel has them. The worker's thread; series are the worker's metrics.
 */
#ifndef NODEPROXY_DNS_DNS_ACCOUNT_H
#define NODEPROXY_DNS_DNS_ACCOUNT_H
#include "shared/dns/dns_message.h"
#include "shared/mesh/directory.h"
#include "shared/service/metrics.h"

struct dns_account {
    struct metrics *metrics;
    const struct directory *directory;
    struct text uid; /* of the asking workload */
};
enum dns_event { DNS_ASKED, DNS_FORWARDED, DNS_FAILED };
void dns_account_count(const struct dns_account *a, enum dns_event event, const struct dns_query *q,
                       bool over_tcp);
/* The resolver's answer came after so long. */
void dns_account_time(const struct dns_account *a, const struct dns_query *q, bool over_tcp,
                      uint64_t us);
#endif
