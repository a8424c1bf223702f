/*
 * The part of a route table that is about connections and not about requests ("tcp|PORT||HOST"): a
 * virtual host for each server that clients ask for in their ClientHello, as domain, and "*" for
 * all other connections; in each the routes in their order, which ask for nothing but who calls. A
 * route that refuses (ROUTE_RESPOND) ends what it takes. Pure.
 */
#ifndef CONTROLLER_TRANSLATE_STREAM_HOSTS_H
#define CONTROLLER_TRANSLATE_STREAM_HOSTS_H
#include "controller/translate/gateway_build.h"
#include "shared/mesh/route.h"

enum { STREAM_ROUTES_MAX = 20000 }; /* of a table; more fail as if they took too much memory */
struct stream_route {
    struct text server; /* "db.example.org", "*.example.org", "*"; copied */
    struct route route;
    size_t place;       /* its own, of those for that server: set by stream_hosts() */
};
/* Makes t->hosts of them; sorts them. There is room for as many routes again, and one, in each host. */
void stream_hosts(struct gateway_build *b, struct stream_route *routes, size_t n,
                  struct route_table *t);
#endif
