/*
 * The route tables of a Service whose ports VirtualServices speak of: one for each port, and one for
 * each namespace that another VirtualService is for. Named and made as those of gateway_table.h. What
 * no rule takes is answered 404; a client that no rule is meant for (sourceLabels, sourceNamespace) is
 * served as if there were none. Texts are the objects' where they can be: a table is not to outlive
 * them. Pure.
 */
#ifndef CONTROLLER_TRANSLATE_VIRTUAL_TABLE_H
#define CONTROLLER_TRANSLATE_VIRTUAL_TABLE_H
#include "controller/translate/gateway_table.h"

/* Is there one for everybody? */
bool virtual_has_table(const struct view *v, const struct object *service,
                       const struct kube_service_port *port);
/* Appends. What is too much is a problem of the VirtualService. -ENOMEM: a part was appended. */
int virtual_tables(const struct view *v, const struct object *service, struct gateway_tables *all,
                   struct problems *problems);
/* "outbound|PORT|SUBSET|HOST" */
void virtual_cluster_name(uint16_t port, const char *subset, const char *host,
                          char out[static GATEWAY_CLUSTER_MAX]);
#endif
