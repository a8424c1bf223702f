/*
 * What DestinationRules say of a Service: the policy of its cluster for a port, and its subsets. Rules
 * of the Service's own namespace count, or else those of the root namespace; of several the oldest,
 * subset by subset. Borrowed; pure.
 */
#ifndef CONTROLLER_TRANSLATE_RULE_ATTACH_H
#define CONTROLLER_TRANSLATE_RULE_ATTACH_H
#include "controller/translate/traffic_host.h"

enum {
    RULES_OF_HOST_MAX = 16,
    RULE_SUBSETS_OF_HOST_MAX = RULES_OF_HOST_MAX * RULE_SUBSETS_MAX,
    RULE_CLUSTERS_MAX = 4096 /* of subsets, of all ports of a Service */
};
/* Those that count, the oldest first: what is beyond the bound is told as refused. */
struct rules {
    const struct object *items[RULES_OF_HOST_MAX];
    size_t n;
    bool closed; /* one that counts for nothing, by a flaw, asks for TLS: then nothing may go in the clear */
};
void rules_find(const struct view *v, const struct object *service, struct rules *ret);
/* Of a name the oldest rule's; NULL: there is none of this name. */
const struct rule_subset *rules_subset(const struct rules *rules, const char *name);
/* Those that clusters are made of, each once. How many. */
size_t rules_subsets(const struct rules *rules, const struct object *service,
                     const struct rule_subset *ret[static RULE_SUBSETS_OF_HOST_MAX]);
/* Of a port's cluster, or (NULL: none) of a subset's: what the subset does not say is as the
 * Service has it, but what is said for the port alone is all that counts there. False: nobody says
 * anything. */
bool rules_policy(const struct rules *rules, uint16_t port, const struct rule_subset *subset,
                  struct traffic_policy *ret);
bool rule_any(const struct view *v, const struct object *service); /* does any count? */
/* NULL: there is none of this name. */
const struct rule_subset *rule_subset(const struct view *v, const struct object *service,
                                      const char *name);
/* What is worth telling of a rule. */
void rule_warn(const struct view *v, const struct object *rule, struct problems *problems);
/* Of such a policy into a cluster with its defaults; what it does not say is Istio's default. Borrows its texts. */
void rule_apply(const struct traffic_policy *p, struct cluster *c);
/* TLS, by which nobody but who is called `host` is spoken to, unless the policy names others. */
void rule_apply_tls(const struct traffic_policy *p, const char *host, struct cluster *c);
/* TLS that no node proxy will make: the cluster is closed. */
void rule_close(struct cluster *c);
#endif
