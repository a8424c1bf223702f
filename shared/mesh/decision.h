/*
 * How several policies decide together: one is added after the other, then the verdict is made. Of
 * this folder; policies_decide() and directory_authorise() stand on it. Lives on a stack, allocates
 * nothing.
 */
#ifndef SHARED_MESH_DECISION_H
#define SHARED_MESH_DECISION_H
#include "shared/mesh/policy.h"

struct decision {
    const struct access *access;
    /* First match of each kind, [1] of dry-run policies; an ALLOW policy that applies, whether
     * it matches or not. */
    const struct policy *deny[2], *allow[2], *allow_applies[2];
    const struct policy *audit;
    bool by_request; /* http_rules were among them */
};
static inline void decision_init(struct decision *d, const struct access *a)
{
    *d = (struct decision){.access = a};
}
void decision_add(struct decision *d, const struct policy *p);
void decision_make(const struct decision *d, struct verdict *ret);
#endif
