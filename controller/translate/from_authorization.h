/*
 * An AuthorizationPolicy as an access policy of layer 4. Pure. What layer 4 can't evaluate never
 * opens anything: an ALLOW rule with such a condition is left out; a DENY rule loses the condition
 * and so denies more. Both are told as warnings.
 */
#ifndef CONTROLLER_TRANSLATE_FROM_AUTHORIZATION_H
#define CONTROLLER_TRANSLATE_FROM_AUTHORIZATION_H
#include "controller/translate/view.h"
#include "shared/mesh/policy.h"

/* 0 with *ret NULL: nothing is to be enforced (AUDIT). -ENOMEM. */
int from_authorization(const struct view *v, const struct object *o, struct policy **ret,
                       struct problems *problems);
/* Does it go into the policy list of the workloads that it selects? */
bool authorization_selects(const struct object *o);
#endif
