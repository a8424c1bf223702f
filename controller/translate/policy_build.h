/*
 * Helpers to put a struct policy together. Each returns NULL or -ENOMEM when memory runs out; what
 * was built so far stays well-formed, so that policy_free() takes it.
 */
#ifndef CONTROLLER_TRANSLATE_POLICY_BUILD_H
#define CONTROLLER_TRANSLATE_POLICY_BUILD_H
#include "controller/model/policy_object.h"
#include "shared/mesh/policy.h"

struct policy *policy_build(const char *ns, const char *name, enum policy_scope scope,
                            enum policy_action action);
struct policy_rule *policy_add_rule(struct policy *p);
struct policy_rule *policy_add_http_rule(struct policy *p);
struct policy_clause *policy_add_clause(struct policy_rule *r);
struct policy_match *policy_add_match(struct policy_clause *c);
int match_strings(struct string_matches *m, const struct values *v); /* "a", "a*", "*a", "*" */
int match_accounts(struct account_matches *m, const struct values *v,
                   const char *ns); /* ns: where none is written */
int match_prefixes(struct prefix_matches *m, const struct prefixes *p);
int match_ports(struct port_matches *m, const struct ports *p);
int match_port(struct port_matches *m, uint16_t port);
int match_presence(struct string_matches *m);                      /* "*" */
int match_paths(struct string_matches *m, const struct values *v); /* and templates, "{*}" */
struct request_match *match_request(struct policy_match *m);       /* what it has, or a new one */
struct request_header *match_header(struct policy_match *m, const char *name); /* one more */
#endif
