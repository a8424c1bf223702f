/*
 * How a route table finds a virtual host and its routes without looking at each. Built by
 * route_table_finish(). Not for others than this folder.
 */
#ifndef SHARED_MESH_ROUTE_INDEX_H
#define SHARED_MESH_ROUTE_INDEX_H
#include "shared/mesh/prefix_index.h"
#include "shared/mesh/route.h"

enum { INDEX_PATH_EXACT, INDEX_PATH_PREFIX }; /* lists of route_index.paths; numbers: of routes */
struct route_index {
    struct prefix_index paths;
    struct number_list others; /* routes whose path is an expression */
};
enum { INDEX_HOST_EXACT, INDEX_HOST_PREFIX }; /* lists of domain_index.starts; numbers: of hosts */
enum { DOMAIN_ENDING_MAX = 300 };
struct domain_index {
    struct prefix_index starts;
    struct prefix_index endings; /* backwards; list 0 */
    uint32_t any;                /* the host of "*", or PREFIX_NONE */
};
/* -EINVAL: a domain twice, and why; -ENOMEM. */
int domain_index_build(struct route_table *t, char why[static WHY_MAX]);
int route_index_build(struct arena *a, struct virtual_host *h); /* -ENOMEM */

/* A request's path and query. */
struct route_path {
    struct text path, query;
};
struct route_path route_path_of(const struct http_head *head);
/* The first parameter of the name. */
bool query_get(struct text query, struct text name, struct text *ret);
/* 1, 0, -ENOMEM. */
int route_fits(const struct route_match *m, const struct route_request *request,
               struct route_path path);
#endif
