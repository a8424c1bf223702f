/*
 * The directory's route tables for people: each table with its routes in their order, what they ask for and what they do. Pure.
 */
#ifndef NODEPROXY_CONTROL_ROUTES_DUMP_H
#define NODEPROXY_CONTROL_ROUTES_DUMP_H
#include "shared/json/json_out.h"
#include "shared/mesh/directory.h"

void routes_dump(const struct directory *d, struct json_out *o); /* a member "routes" */
#endif
