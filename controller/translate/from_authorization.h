/*
 * An AuthorizationPolicy as an access policy. Pure. What can't be evaluated never opens anything: an
 * ALLOW rule with such a condition is left out; a DENY rule loses the condition and so denies more.
 * Both are told as warnings. So is what a policy says of requests for whoever sees bytes only; for
 * whoever sees requests there are its rules in whole (`http_rules`).
 */
#ifndef CONTROLLER_TRANSLATE_FROM_AUTHORIZATION_H
#define CONTROLLER_TRANSLATE_FROM_AUTHORIZATION_H
#include "controller/translate/view.h"
#include "shared/mesh/policy.h"

/* -ENOMEM. */
int from_authorization(const struct view *v, const struct object *o, struct policy **ret,
                       struct problems *problems);
/* Does it go into the policy list of the workloads that it selects? */
bool authorization_selects(const struct object *o);
#endif
