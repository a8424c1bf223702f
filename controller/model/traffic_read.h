/*
 * What the readers of VirtualService and DestinationRule share. For controller/model alone; pure.
 * Flaws are those of gateway_read.h.
 */
#ifndef CONTROLLER_MODEL_TRAFFIC_READ_H
#define CONTROLLER_MODEL_TRAFFIC_READ_H
#include "controller/model/gateway_read.h"
#include "controller/model/virtual_service.h"

#define traffic_flaw(r, f, node, ...)                                                              \
    gateway_flaw_add((r), (f), GATEWAY_FLAW_VALUE, (node), __VA_ARGS__)
struct text traffic_copy(struct reader *r, const struct json *string); /* never without data */
struct text traffic_lower(struct reader *r, struct text t);            /* likewise */
/* A string of Go's durations, at least `min_ms`; absent: `absent`. */
uint64_t traffic_duration(struct reader *r, struct gateway_flaw *f, const struct json *of,
                          const char *name, uint64_t min_ms, uint64_t absent);
/* A number, of at most millionths; absent: `absent`. */
double traffic_number(struct reader *r, struct gateway_flaw *f, const struct json *of,
                      const char *name, double min, double max, double absent);
/* {"exact": ...}, {"prefix": ...} or {"regex": ...}. False: it is empty, or {"regex": "*"}, which is
 * Istio's word for anything; or it is a flaw. */
bool traffic_text(struct reader *r, struct gateway_flaw *f, const struct json *j,
                  struct text_match *ret);
/* "*", "*.example.org", "reviews", "reviews.shop.svc.cluster.local": or a flaw. Lower case. */
const char *traffic_host(struct reader *r, struct gateway_flaw *f, const struct json *j);
/* exportTo: "." is the object's own namespace. n 0: everywhere. */
struct values traffic_export(struct reader *r, struct gateway_flaw *f, const struct json *spec,
                             const char *ns);
/* "region/zone/subzone", of which the last ones may be missing. */
void traffic_locality(struct reader *r, struct gateway_flaw *f, const struct json *of,
                      const char **region, const char **zone, const char **subzone);
/* {"number": 80} */
uint16_t traffic_port(struct reader *r, struct gateway_flaw *f, const struct json *of);
/* virtual_action.c: what a rule does. */
void virtual_action_read(struct reader *r, const struct json *j, struct virtual_rule *rule);
void virtual_stream_action_read(struct reader *r, const struct json *j, struct virtual_rule *rule);
#endif
