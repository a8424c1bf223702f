/*
 * What the readers of HTTPRoute and GRPCRoute share. For controller/model alone; pure.
 */
#ifndef CONTROLLER_MODEL_GATEWAY_READ_H
#define CONTROLLER_MODEL_GATEWAY_READ_H
#include "controller/model/gateway_route.h"
#include "controller/model/read.h"

/* Notes a flaw at this node, unless there is one already. */
void gateway_flaw_add(struct reader *r, struct gateway_flaw *f, enum gateway_flaw_kind kind,
                      const struct json *node, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
/* A flaw for the first member of `of` that is not in `known` (ends with NULL). */
void gateway_known(struct reader *r, struct gateway_flaw *f, const struct json *of,
                   const char *const *known);
/* "spec.rules[0].backendRefs[1]" */
const char *gateway_field(struct reader *r, const struct json *node);
struct gateway_ref gateway_ref_read(struct reader *r, const struct json *j, const char *ns,
                                    const char *group, const char *kind);
/* Headers to match (lower case, as HTTP compares them) or parameters; of a name the first counts. One
 * that can't be honoured asks that it is there, or for nothing. */
struct gateway_texts gateway_texts_read(struct reader *r, struct gateway_flaw *f,
                                        const struct json *of, const char *name, bool headers);
/* Whole numbers; absent: `absent`. */
uint32_t gateway_number(struct reader *r, const struct json *of, const char *name, uint32_t max,
                        uint32_t absent);
/* A regular expression, or (false) a flaw. */
bool gateway_regex_check(struct reader *r, struct gateway_flaw *f, const struct json *node);
/* gateway_filter.c. Where: of a rule (with its kind of route), or of one of its backends. */
struct gateway_filters gateway_filters_read(struct reader *r, struct gateway_flaw *f,
                                            const struct json *of, const char *ns, bool grpc);
#endif
