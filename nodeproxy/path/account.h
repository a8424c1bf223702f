/*
 * The stage that every story ends with: counters (Istio's TCP metrics, all labels always present) and one access log line.
 * Names are copied once per series of labels, so that a living connection holds no pointer into the directory.
 * Byte direction as Istio's: "sent" is server to client, "received" is client to server, for both reporters.
 */
#ifndef NODEPROXY_PATH_ACCOUNT_H
#define NODEPROXY_PATH_ACCOUNT_H
#include "nodeproxy/path/env.h"
#include "nodeproxy/path/relay.h"
#include "shared/base/log.h"

enum reporter { REPORTER_SOURCE, REPORTER_DESTINATION };
struct account_subject { /* who talks to whom; any may be NULL or empty = "unknown" */
    const struct workload *source, *destination;
    const struct service *service;
    const struct spiffe_id *source_id, *destination_id; /* proven or required identities; not present: none */
    bool mutual_tls;
    bool black_hole; /* refused as nothing that the source sees: Istio's name for that stands for the service's */
    bool undecided; /* until account_decide() nothing is counted */
    bool requests; /* they are what is counted (request_account.h), and not the connection or its bytes */
};
struct account {
    struct path_env *env;
    enum reporter reporter;
    uint64_t id, opened_ms;
    struct metric_series *opened, *closed, *sent, *received; /* the last three: NULL of requests */
    char **names;      /* what the line says: the series' label values, or */
    char **own_names;  /* a copy, if the series is the one of those that have no room; one block */
    bool begun, undecided;
};
/* Finds the series, counts the opening, and gives the relay its byte counters. Without a subject everything is "unknown". */
void account_begin(struct account *a, struct path_env *env, enum reporter reporter, const struct account_subject *subject, struct relay *relay);
/* Once it is known whether requests are what is counted; not undecided: nothing. One that ends undecided was of bytes. */
void account_decide(struct account *a, struct path_env *env, bool requests, struct relay *relay);
/* While it is undecided: its series are those of this other subject, and the line says on whom it was begun with. */
void account_count_as(struct account *a, struct path_env *env, enum reporter reporter, const struct account_subject *subject, struct relay *relay);
struct account_line { /* what only the story knows */
    struct addr source, destination, hbone; /* hbone: port 0 = none */
    struct addr endpoint;        /* of a Gateway's, where it went on to; port 0: nowhere */
    struct text policy, dry_run, audit, why, route;
    unsigned status;             /* of a CONNECT; 0: none */
    enum ending ending;
    struct pod_bounds *bounds;   /* of the workload whose line it is; NULL: none */
};
/* Who and whom, as the series of its connections say it, for those of its requests (request_account.h). Texts of the directory, or of the
 * account until it ends; "unknown" where there was no memory. */
enum { ACCOUNT_LABELS = 23 };
void account_labels_of(enum reporter reporter, const struct account_subject *subject, struct text ret[static ACCOUNT_LABELS]);
void account_labels(const struct account *a, struct text ret[static ACCOUNT_LABELS]);
#define ACCOUNT_LABEL_NAMES                                                                                                                      \
    "reporter", "source_workload", "source_workload_namespace", "source_principal", "source_app", "source_version", "source_cluster",            \
    "source_canonical_service", "source_canonical_revision", "destination_workload", "destination_workload_namespace", "destination_principal",   \
    "destination_app", "destination_version", "destination_cluster", "destination_service", "destination_service_name",                           \
    "destination_service_namespace", "destination_canonical_service", "destination_canonical_revision", "request_protocol", "response_flags",      \
    "connection_security_policy"
/* Where some of them stand; after a workload comes its namespace. */
enum { ACCOUNT_LABEL_SOURCE = 1, ACCOUNT_LABEL_SOURCE_ID = 3, ACCOUNT_LABEL_DESTINATION = 9, ACCOUNT_LABEL_SERVICE = 15, ACCOUNT_LABEL_PROTOCOL = 20, ACCOUNT_LABEL_FLAGS = 21 };
/* Counts the end and writes the access log line. Begins (with nothing known) if the story did not get that far. */
void account_end(struct account *a, struct path_env *env, enum reporter reporter, const struct relay *relay, const struct account_line *line);
struct text account_label(const struct account *a, unsigned label); /* for a line: "" where it is unknown */
bool account_is_failure(enum ending e);
enum log_level account_level(enum ending e); /* of the line about what ended so: what failed is a warning */
/* Whether the workload has room for a line about what ended so; it counts then. What failed has a share of its own: who was
 * refused can't hide behind what went well. */
bool account_may_log(const struct path_env *env, struct pod_bounds *bounds, enum ending ending);
/* For what came to nothing before it had a story: the same counters, the same line. */
void account_refused(struct path_env *env, enum reporter reporter, const struct account_line *line);
extern const struct metric_family account_opened, account_closed, account_sent, account_received, account_failed, account_for_requests;
#endif
