/*
 * The active health check that a Service asks for by its annotation weir.mesh/health-check: JSON, in the words of Envoy
 * Gateway's BackendTrafficPolicy (healthCheck.active), in the noun of shared/mesh. Lives in the object's arena; pure.
 */
#ifndef CONTROLLER_MODEL_HEALTH_ANNOTATION_H
#define CONTROLLER_MODEL_HEALTH_ANNOTATION_H
#include "controller/model/read.h"
#include "shared/mesh/health_check.h"

#define HEALTH_ANNOTATION "weir.mesh/health-check"
enum { HEALTH_INTERVAL_MIN_MS = 100, HEALTH_TIMES_MAX_MS = 3600 * 1000 };
/* NULL: none, or one that can't be honoured; then *ret_flaw says why ("interval: ..."), else it is NULL. */
const struct health_check *health_annotation_read(struct reader *r, const struct object *o,
                                                  const char **ret_flaw);
#endif
