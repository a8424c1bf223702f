/*
 * What WorkloadEntry and the template of a WorkloadGroup have in common. For controller/model alone; pure.
 */
#ifndef CONTROLLER_MODEL_WORKLOAD_FIELDS_H
#define CONTROLLER_MODEL_WORKLOAD_FIELDS_H
#include "controller/model/read.h"

/* All but address and labels; of: may be NULL. */
void workload_fields_read(struct reader *r, struct gateway_flaw *f, const struct json *of,
                          struct workload_entry *ret);
/* What stands in `of`, and what of `besides` has no label there. */
struct labels workload_labels_read(struct reader *r, const struct json *of,
                                   const struct labels *besides);
#endif
