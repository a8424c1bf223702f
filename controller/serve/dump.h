/*
 * What the controller knows, as JSON for people: everything that is served, who is connected, what
 * is wrong. Pure.
 */
#ifndef CONTROLLER_SERVE_DUMP_H
#define CONTROLLER_SERVE_DUMP_H
#include "controller/serve/ads.h"
#include "shared/json/json_out.h"

/* {"workloads": [...], "services": [...], "policies": [...], "routes": [...], "clients": [...]} */
void dump_config(const struct catalog *c, const struct ads *a, uint64_t now_ms,
                 struct text_heap *out);
/* {"errors": [...], "warnings": [...]}, each {file, line, object, field, message} */
void dump_problems(const struct problems *const *lists, size_t n, struct text_heap *out);
#endif
