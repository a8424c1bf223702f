#include "nodeproxy/dns/dns_account.h"


enum { L_TYPE, L_PROTOCOL, L_SERVICE, L_REVISION, L_COUNT };
static const char *const labels[L_COUNT + 1] = {"request_query_type", "request_protocol",
                                                "source_canonical_service",
                                                "source_canonical_revision", "le"};
static const struct metric_family counters[] = {
    [DNS_ASKED] = {"istio_dns_requests_total", "DNS queries of workloads.", METRIC_COUNTER, labels,
                   L_COUNT},
    [DNS_FORWARDED] = {"istio_dns_upstream_requests_total",
                       "DNS queries that the workload's own resolver was asked.", METRIC_COUNTER,
                       labels, L_COUNT},
    [DNS_FAILED] = {"istio_dns_upstream_failures_total",
                    "DNS queries that its resolver did not answer.", METRIC_COUNTER, labels,
                    L_COUNT},
};
static const struct metric_family duration = {"istio_dns_upstream_request_duration_seconds",
                                              "How long its resolver took to answer.",
                                              METRIC_SECONDS, labels, L_COUNT + 1};

static void put_labels(const struct dns_account *a, const struct dns_query *q, bool over_tcp,
                       struct text values[static L_COUNT + 1])
{
    const struct workload *w = directory_workload(a->directory, a->uid);
    values[L_TYPE] = text_of(dns_type_print(q->type));
    values[L_PROTOCOL] = over_tcp ? TEXT("tcp") : TEXT("udp");
    values[L_SERVICE] = w && w->canonical_name[0] ? text_of(w->canonical_name) : TEXT("unknown");
    values[L_REVISION] =
        w && w->canonical_revision[0] ? text_of(w->canonical_revision) : TEXT("latest");
}

void dns_account_count(const struct dns_account *a, enum dns_event event, const struct dns_query *q,
                       bool over_tcp)
{
    struct text values[L_COUNT + 1];
    put_labels(a, q, over_tcp, values);
    metric_add(metrics_series(a->metrics, &counters[event], values), 1);
}

void dns_account_time(const struct dns_account *a, const struct dns_query *q, bool over_tcp,
                      uint64_t us)
{
    struct text values[L_COUNT + 1];
    put_labels(a, q, over_tcp, values);
    metrics_observe(a->metrics, &duration, values, us);
}
