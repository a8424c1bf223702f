/*
 * What the controller knows, as JSON for people: everything that is served, who is connected, what
 * is wrong. Pure.
 */
#ifndef CONTROLLER_SERVE_DUMP_H
#define CONTROLLER_SERVE_DUMP_H
#include "controller/serve/ads.h"
#include "shared/json/json_out.h"

enum dump_part {
    DUMP_WORKLOADS = 1,
    DUMP_SERVICES = 2,
    DUMP_POLICIES = 4,
    DUMP_ROUTES = 8,
    DUMP_CLIENTS = 16,
    DUMP_ALL = 31,
    DUMP_ENROLLED = 32, /* how many workloads in the mesh each node has: what of the first a check needs */
};
/* {"workloads": [...], "services": [...], "policies": [...], "routes": [...], "clients": [...], "enrolled": [{node, pods}]},
 * of these the parts that are asked for (enum dump_part). */
void dump_config(const struct catalog *c, const struct ads *a, uint64_t now_ms, unsigned parts,
                 struct text_heap *out);
/* {"errors": [...], "warnings": [...]}, each {file, line, object, field, message} */
void dump_problems(const struct problems *const *lists, size_t n, struct text_heap *out);
#endif
