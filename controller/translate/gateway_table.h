/*
 * The route tables of a Service whose ports HTTPRoutes and GRPCRoutes speak of: one for each port,
 * and one for each other namespace with routes of its own for its clients. A port without a table is
 * delivered as if there were no routes. A table has one virtual host for every authority, since a
 * client chose the Service by its address; what no route takes is answered 404, and what a rule takes
 * that can't be honoured 500: nothing falls to a broader rule for that. TCPRoutes and TLSRoutes have
 * tables of their own, of a host for each server (stream_hosts.h). Pure.
 */
#ifndef CONTROLLER_TRANSLATE_GATEWAY_TABLE_H
#define CONTROLLER_TRANSLATE_GATEWAY_TABLE_H
#include "controller/translate/gateway_action.h"
#include "shared/xds/routing.h"

/* In memory: 10,000 ordinary routes are less. A node has ROUTE_TABLE_BYTES_MAX, but shares nothing. What
 * the wire takes is bounded for itself (XDS_ROUTES_BYTES_MAX). */
enum {
    GATEWAY_TABLE_BYTES_MAX = 12 * 1024 * 1024, /* of one table */
    GATEWAY_TABLES_BYTES_MAX =
        64 * 1024 * 1024 /* of those of a Service; the last ones are refused */
};
/* What the tables of all Services take on the wire, and thus of the controller's memory, where the settings
 * don't say otherwise. */
#define MESH_TABLES_BYTES_MAX (256UL * 1024 * 1024)
uint64_t gateway_tables_max(const struct translate_settings *s);
struct gateway_told {
    struct route_table *table;
    struct xds_bytes body; /* as it is told */
};
struct gateway_tables { /* owned; zeroed: none yet */
    struct gateway_told *items;
    size_t n, size;
    size_t bytes;      /* of all of them */
    size_t body_bytes; /* likewise on the wire, but for those that refuse all; */
    size_t elsewhere;  /* and of other Services: said by who makes them */
    size_t short_of;   /* the smallest that there was no room for any more; 0: none */
};
/* Appends the table of a port, if any route counts there. Its name is that of the cluster
 * "outbound|80||cart.shop.svc.cluster.local", with "@NAMESPACE" behind it for the clients of one
 * namespace. What its routes come to may be too much: that is told as a problem, and then all is
 * answered 500. -ENOMEM. */
int gateway_table(const struct view *v, const struct gateway_scope *s, struct gateway_tables *all,
                  struct problems *problems);
/* The field of that problem, which is one of the Service: "spec.ports[80]", "spec.ports[80]@NAMESPACE". */
enum { GATEWAY_FIELD_MAX = 96 };
void gateway_table_field(const struct gateway_scope *s, char out[static GATEWAY_FIELD_MAX]);
/* Appends all of a Service, by name. -ENOMEM: a part was appended. */
int gateway_tables(const struct view *v, const struct object *service, struct gateway_tables *all,
                   struct problems *problems);
/* "outbound|PORT||HOST", of connections "tcp|PORT||HOST"; ns: "@NAMESPACE" behind it, NULL: none. */
struct text gateway_table_name(struct gateway_build *b, const char *ns);
/* The matches of a route's rules, appended (ret NULL: only counted); how many. */
size_t gateway_entries(const struct object *route, struct gateway_entry *ret);
void gateway_route_build(struct gateway_build *b, const struct gateway_entry *e, struct route *ret);
/* One that takes everything, and answers 500: of an object whose routes can't be sent. */
void gateway_route_refuse(struct gateway_build *b, const struct object *of, struct route *ret);
/* An empty one, for as much as there is room yet. NULL: no memory. */
struct route_table *gateway_tables_new(const struct gateway_tables *all);
/* After that: 0, -ENOMEM, or -EINVAL and why, if it is too much. Takes the table in any case. */
int gateway_tables_add(struct gateway_tables *all, struct gateway_build *b,
                       struct route_table *taken, char why[static WHY_MAX]);
void gateway_tables_done(struct gateway_tables *t);
#endif
