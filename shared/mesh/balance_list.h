/*
 * Some hosts, and how one of them is taken by the cluster's policy. Owned by a pool. Not for others
 * than this folder.
 */
#ifndef SHARED_MESH_BALANCE_LIST_H
#define SHARED_MESH_BALANCE_LIST_H
#include "shared/mesh/balance.h"
#include "shared/mesh/consistent.h"
#include "shared/mesh/edf.h"

struct balance_list {
    struct balance_host **hosts; /* heap */
    size_t n;
    double weight;    /* of a locality among others; 0: it gets nothing */
    bool same_weight; /* all hosts have the same */
    bool built;       /* what the policy needs is there: */
    struct edf edf;
    struct ring ring;
    struct maglev maglev;
};
/* Before it is chosen from. -ENOMEM. */
int balance_list_prepare(struct balance_list *l, const struct cluster *c, const struct endpoints *e,
                         const struct balance_request *r);
void balance_list_done(struct balance_list *l);
/* NULL: it is empty. attempt: as in consistent.h. */
struct balance_host *balance_list_choose(struct balance_list *l, const struct cluster *c,
                                         const struct balance_request *r, uint32_t attempt);
#endif
