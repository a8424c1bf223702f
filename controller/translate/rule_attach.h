/*
 * What DestinationRules say of a Service: the policy of its cluster for a port, and its subsets. Rules
 * of the Service's own namespace count, or else those of the root namespace; of several the oldest,
 * subset by subset. Borrowed; pure.
 */
#ifndef CONTROLLER_TRANSLATE_RULE_ATTACH_H
#define CONTROLLER_TRANSLATE_RULE_ATTACH_H
#include "controller/translate/traffic_host.h"

/* All that name this Service, whether they count or not; the oldest first, which counts of those that say the same. */
struct object_group rule_candidates(const struct view *v, const struct object *service);
bool rule_counts(const struct view *v, const struct object *service, const struct object *rule);
bool rule_any(const struct view *v, const struct object *service); /* does any count? */
/* NULL: there is none of this name. */
const struct rule_subset *rule_subset(const struct view *v, const struct object *service,
                                      const char *name);
/* Of a port's cluster, or (subset "": none) of a subset's: what the subset does not say is as the
 * Service has it, but what is said for the port alone is all that counts there. False: nobody says
 * anything. */
bool rule_policy(const struct view *v, const struct object *service, uint16_t port,
                 const char *subset, struct traffic_policy *ret);
/* What is worth telling of a rule. */
void rule_warn(const struct view *v, const struct object *rule, struct problems *problems);
/* Of such a policy into a cluster with its defaults; what it does not say is Istio's default. */
void rule_apply(const struct traffic_policy *p, struct cluster *c);
#endif
