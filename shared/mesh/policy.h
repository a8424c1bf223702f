/*
 * Access policies at layer 4 (istio.security.Authorization) and how they decide: a pure function.
 * Semantics (istio/api authorization_policy.proto; ztunnel rbac.rs): any matching DENY denies; if
 * ALLOW policies apply, one must match; otherwise allowed. Rules OR; clauses of a rule AND; matches
 * of a clause OR; fields of a match AND; values of a field OR; not_* = none may match. No rules:
 * never matches. A rule without clauses: always. What can't be read never weakens a DENY: an
 * unknown extension or condition in a DENY makes it match more, in an ALLOW less. A clause without
 * matches asks for nothing. An empty match is skipped in an ALLOW and counts as matching in a DENY
 * (istio#61126). Who has no identity meets no positive condition on one, and every not_ condition.
 * Dry-run policies never decide.
 */
#ifndef SHARED_MESH_POLICY_H
#define SHARED_MESH_POLICY_H
#include "shared/base/addr.h"
#include "shared/mesh/spiffe_id.h"

enum policy_scope { POLICY_GLOBAL, POLICY_NAMESPACE, POLICY_WORKLOAD };
enum policy_action { POLICY_ALLOW, POLICY_DENY };
enum string_match_kind { MATCH_EXACT, MATCH_PREFIX, MATCH_SUFFIX, MATCH_PRESENCE };
enum { POLICY_RULES_MAX = 512, POLICY_VALUES_MAX = 1024, POLICY_NAME_MAX = 320 };

struct string_match {
    enum string_match_kind kind;
    char *value; /* owned; "" for presence */
};
struct account_match {
    char *ns, *service_account;
};
struct string_matches {
    struct string_match *items;
    size_t n;
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
    bool unreadable; /* carries a condition that layer 4 can't evaluate */
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
    struct policy_rule *rules;
    size_t n_rules;
};
struct policy *policy_new(void);
struct policy *policy_free(struct policy *p);
bool policy_equal(const struct policy *a, const struct policy *b);

/* One access attempt. identity NULL: not authenticated (plaintext). */
struct access {
    const struct spiffe_id *identity;
    struct ip source, destination;
    uint16_t destination_port; /* of the workload */
};
struct verdict {
    bool allowed;
    bool unmatched; /* refused because ALLOW policies apply and none of them matches */
    /* namespace/name that decided; if unmatched, the first of those that apply; "": nothing applied. */
    char policy[POLICY_NAME_MAX];
    /* The dry-run policy because of which, were all in force, it would be otherwise; "" none. */
    char dry_run[POLICY_NAME_MAX];
};
bool policy_matches(const struct policy *p, const struct access *a);
void policies_decide(const struct policy *const *policies, size_t n, const struct access *a,
                     struct verdict *ret);
#endif
