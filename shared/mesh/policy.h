/*
 * Access policies (istio.security.Authorization) and how they decide: a pure function.
 * Semantics (istio/api authorization_policy.proto; ztunnel rbac.rs): any matching DENY denies; if
 * ALLOW policies apply, one must match; otherwise allowed. Rules OR; clauses of a rule AND; matches
 * of a clause OR; fields of a match AND; values of a field OR; not_* = none may match. No rules:
 * never matches. A rule without clauses: always. What can't be read never weakens a DENY: an
 * unknown extension or condition in a DENY makes it match more, in an ALLOW less. A clause without
 * matches asks for nothing. An empty match is skipped in an ALLOW and counts as matching in a DENY
 * (istio#61126). Who has no identity meets no positive condition on one, and every not_ condition.
 * Dry-run policies and AUDIT never decide.
 *
 * A policy that speaks of requests has two readings: `rules`, for whoever sees bytes only (what they
 * can't see is handled as what can't be read), and `http_rules`, which are decided about requests
 * instead. Why so: docs/decisions/0020.
 */
#ifndef SHARED_MESH_POLICY_H
#define SHARED_MESH_POLICY_H
#include "shared/base/addr.h"
#include "shared/mesh/request_match.h"
#include "shared/mesh/spiffe_id.h"

enum policy_scope { POLICY_GLOBAL, POLICY_NAMESPACE, POLICY_WORKLOAD };
enum policy_action { POLICY_ALLOW, POLICY_DENY, POLICY_AUDIT /* what matches is told of */ };
enum { POLICY_RULES_MAX = 512, POLICY_VALUES_MAX = 1024, POLICY_NAME_MAX = 320 };

struct account_match {
    char *ns, *service_account;
};
struct account_matches {
    struct account_match *items;
    size_t n;
};
struct prefix_matches {
    struct prefix *items;
    size_t n;
};
struct port_matches {
    uint16_t *items;
    size_t n;
};
struct policy_match {
    struct string_matches namespaces, not_namespaces, principals, not_principals;
    struct account_matches accounts, not_accounts;
    struct prefix_matches source_ips, not_source_ips, destination_ips, not_destination_ips;
    struct port_matches destination_ports, not_destination_ports;
    struct request_match *request; /* owned; NULL: it asks for nothing of a request */
    bool unreadable;               /* carries a condition that can't be evaluated here */
};
struct policy_clause {
    struct policy_match *matches;
    size_t n;
};
struct policy_rule {
    struct policy_clause *clauses;
    size_t n;
};
struct policy {
    char *name, *ns;
    char *key; /* namespace/name */
    enum policy_scope scope;
    enum policy_action action;
    bool dry_run;
    struct policy_rule *rules, *http_rules;
    size_t n_rules, n_http_rules; /* n_http_rules 0: the rules count for requests, too */
};
struct policy *policy_new(void);
struct policy *policy_free(struct policy *p);
bool policy_equal(const struct policy *a, const struct policy *b);

/* What is asked for: bytes, a connection on which each request will be asked for by itself, or one
 * of these. A connection is refused by what would refuse whatever comes. */
enum access_form { ACCESS_BYTES, ACCESS_CONNECTION, ACCESS_REQUEST };
/* One access attempt. identity NULL: not authenticated (plaintext). */
struct access {
    const struct spiffe_id *identity;
    struct ip source, destination;
    uint16_t destination_port; /* of the workload */
    enum access_form form;
    const struct request_view *request; /* ACCESS_REQUEST */
};
struct verdict {
    bool allowed;
    bool by_request; /* one of the policies that apply speaks of requests */
    bool unmatched;  /* refused because ALLOW policies apply and none of them matches */
    /* namespace/name that decided; if unmatched, the first of those that apply; "": nothing applied. */
    char policy[POLICY_NAME_MAX];
    /* The dry-run policy because of which, were all in force, it would be otherwise; "" none. */
    char dry_run[POLICY_NAME_MAX];
    char audit[POLICY_NAME_MAX]; /* the AUDIT policy that matches; "" none */
};
bool policy_matches(const struct policy *p, const struct access *a);
void policies_decide(const struct policy *const *policies, size_t n, const struct access *a,
                     struct verdict *ret);
#endif
