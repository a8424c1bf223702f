/*
 * The stage that every story ends with: counters (Istio's TCP metrics, all labels always present) and one access log line.
 * Names are copied once per series of labels, so that a living connection holds no pointer into the directory.
 * Byte direction as Istio's: "sent" is server to client, "received" is client to server, for both reporters.
 */
#ifndef NODEPROXY_PATH_ACCOUNT_H
#define NODEPROXY_PATH_ACCOUNT_H
#include "nodeproxy/path/env.h"
#include "nodeproxy/path/relay.h"

enum reporter { REPORTER_SOURCE, REPORTER_DESTINATION };
struct account_subject { /* who talks to whom; any may be NULL or empty = "unknown" */
    const struct workload *source, *destination;
    const struct service *service;
    const struct spiffe_id *source_id, *destination_id; /* proven or required identities; not present: none */
    bool mutual_tls;
};
struct account {
    struct path_env *env;
    enum reporter reporter;
    uint64_t id, opened_ms;
    struct metric_series *opened, *closed, *sent, *received;
    char **names;      /* what the line says: the series' label values, or */
    char **own_names;  /* a copy, if the series is the one of those that have no room; one block */
    bool begun;
};
/* Finds the series, counts the opening, and gives the relay its byte counters. Without a subject everything is "unknown". */
void account_begin(struct account *a, struct path_env *env, enum reporter reporter, const struct account_subject *subject, struct relay *relay);
struct account_line { /* what only the story knows */
    struct addr source, destination, hbone; /* hbone: port 0 = none */
    struct text policy, dry_run, why;
    unsigned status;             /* of a CONNECT; 0: none */
    enum ending ending;
    struct pod_bounds *bounds;   /* of the workload whose line it is; NULL: none */
};
/* Counts the end and writes the access log line. Begins (with nothing known) if the story did not get that far. */
void account_end(struct account *a, struct path_env *env, enum reporter reporter, const struct relay *relay, const struct account_line *line);
/* One line of a request of this connection, as `account_end` writes one of the connection. */
struct exchange_record;
void account_request(const struct account *a, struct path_env *env, const struct exchange_record *record, const struct addr *source,
                     const struct addr *destination, struct pod_bounds *bounds);
/* For what came to nothing before it had a story: the same counters, the same line. */
void account_refused(struct path_env *env, enum reporter reporter, const struct account_line *line);
extern const struct metric_family account_opened, account_closed, account_sent, account_received, account_failed;
#endif
