/*
 * Earliest deadline first: who is taken gets a deadline 1/weight later, so that everybody is taken
 * in proportion to its weight, and as evenly as can be. Weights may change from turn to turn. Owned
 * by a balancer. Not for others than this folder.
 */
#ifndef SHARED_MESH_EDF_H
#define SHARED_MESH_EDF_H
#include <stddef.h>
#include <stdint.h>

struct edf_entry {
    double deadline;
    uint64_t order; /* of equal deadlines the older one first */
    uint32_t item;
};
struct edf {
    struct edf_entry *heap;
    size_t n;
    uint64_t orders;
};
int edf_init(struct edf *e, size_t n_max); /* -ENOMEM */
void edf_done(struct edf *e);
void edf_add(struct edf *e, uint32_t item, double deadline); /* at most n_max */
static inline uint32_t edf_first(const struct edf *e)        /* n > 0 */
{
    return e->heap[0].item;
}
void edf_taken(struct edf *e, double weight); /* the first one; weight > 0 */
#endif
