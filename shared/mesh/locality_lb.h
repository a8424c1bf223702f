/*
 * What somebody wrote of places for a cluster (Istio's localityLbSetting): which share of requests from one place goes to
 * which, or where they go when nobody near is left. Part of a struct cluster, in its arena, immutable once that is finished.
 * Who chooses applies it for the place that it is in: the endpoints become priorities, or localities with weights. Pure.
 */
#ifndef SHARED_MESH_LOCALITY_LB_H
#define SHARED_MESH_LOCALITY_LB_H
#include "shared/mesh/endpoints_rank.h"

struct place;

enum {
    LOCALITY_RULES_MAX = 64,  /* of `distribute` and `failover` */
    LOCALITY_SHARES_MAX = 64, /* of one `from` */
    LOCALITY_LABELS_MAX = 16
};

/* Places are patterns: "region", "region/zone" or "region/zone/sub-zone"; a last part "*" is any, as what is not said. */
struct locality_share {
    struct text to;
    uint32_t percent; /* 1 to 100, all together 100 */
};
struct locality_distribute {
    struct text from;
    struct locality_share *to;
    size_t n_to;
};
struct locality_failover { /* regions */
    struct text from, to;
};
struct locality_priority { /* whoever has the client's value of the label, or this one, comes first */
    struct label label;
    bool own; /* the client's; the label has no value here */
};
struct locality_lb {
    bool said;
    bool off; /* no place counts */
    struct locality_distribute *distribute;
    size_t n_distribute;
    struct locality_failover *failover;
    size_t n_failover;
    struct locality_priority *priorities;
    size_t n_priorities;
};
int locality_lb_check(const struct place *at, const struct locality_lb *lb,
                      char why[static WHY_MAX]); /* -EINVAL: the field */
/* Is there more than whether places count at all? */
static inline bool locality_lb_has_rules(const struct locality_lb *lb)
{
    return !lb->off && lb->n_distribute + lb->n_failover + lb->n_priorities > 0;
}
bool locality_fits(struct text pattern, struct text region, struct text zone, struct text sub_zone);

struct locality_client { /* who asks */
    const struct locality *at;
    const struct label *labels;
    size_t n_labels;
    /* The labels of an endpoint's workload (endpoint.workload); it may have none. */
    size_t (*labels_of)(void *arg, struct text workload, const struct label **ret);
    void *arg;
};
/* The endpoints as the client is to see them; NULL: as they are. `leaves`: outliers are left out, which alone is a reason to go
 * further away. -ENOMEM. */
int locality_lb_apply(const struct locality_lb *lb, bool leaves, const struct locality_client *client,
                      const struct endpoints *e, struct endpoints **ret);
#endif
