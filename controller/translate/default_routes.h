/*
 * What consumers of Envoy's resources get of a Service where nobody says otherwise, for each of its
 * ports and with Istio's names: a listener `HOST:PORT` for proxyless clients, a RouteConfiguration,
 * a Cluster and a ClusterLoadAssignment `outbound|PORT||HOST`. Endpoints are those that the
 * Service's workloads are, by locality. Where somebody wrote routes for a port, the
 * RouteConfiguration of this name is made of these (gateway_table.h). Pure.
 */
#ifndef CONTROLLER_TRANSLATE_DEFAULT_ROUTES_H
#define CONTROLLER_TRANSLATE_DEFAULT_ROUTES_H
#include "controller/translate/translate.h"

enum { ROUTES_NAME_MAX = 600 };
void routes_name(const char *host, uint16_t port, char out[static ROUTES_NAME_MAX]);
/* The listener for the clients of the namespace whose table this is (a name that ends in "@NAMESPACE"): HOST:PORT,
 * told under that name instead of the one for everybody, kept as HOST:PORT@NAMESPACE. Nothing for other tables. */
int own_listener(struct text table, struct resources *all);
/* Appends; nothing for what is only a DNS alias. -ENOMEM: a part was appended. */
int default_routes(const struct view *v, const struct object *service, struct resources *all);
#endif
