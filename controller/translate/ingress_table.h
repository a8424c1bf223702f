/*
 * The route tables of a Gateway: one for each port that a listener of it is served at, and each kind of
 * what is spoken there, by the names of shared/mesh/gateway_table_name.h (decisions 28, 46). A host of a listener, or of a route within it, is a
 * virtual host; the most precise one that a request names has it, and of listeners likewise: what has
 * no route there is answered 404. Pure.
 */
#ifndef CONTROLLER_TRANSLATE_INGRESS_TABLE_H
#define CONTROLLER_TRANSLATE_INGRESS_TABLE_H
#include "controller/translate/gateway_table.h"

/* Appends them. A port whose routes come to more than a table may have is told as a problem, and all is
 * answered 500 there. -ENOMEM. */
int ingress_tables(const struct view *v, const struct object *gateway, struct gateway_tables *all,
                   struct problems *problems);
#endif
