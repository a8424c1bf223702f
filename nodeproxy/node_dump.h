/*
 * What a node proxy knows, as JSON for people: each a member of the object that is open. From the control thread; bounded by the text that
 * it is written to.
 */
#ifndef NODEPROXY_NODE_DUMP_H
#define NODEPROXY_NODE_DUMP_H
#include "nodeproxy/node.h"
#include "shared/json/json_out.h"

void node_dump_workloads(struct node *n, struct json_out *o);
void node_dump_services(struct node *n, struct json_out *o);
void node_dump_policies(struct node *n, struct json_out *o);
void node_dump_routes(struct node *n, struct json_out *o);
void node_dump_certificates(struct node *n, struct json_out *o);
void node_dump_status(struct node *n, struct json_out *o);
void node_dump_limits(struct node *n, struct json_out *o);
#endif
