/*
 * How each kind's own fields are read into an object whose metadata is there already; for
 * object_read.c alone.
 */
#ifndef CONTROLLER_MODEL_OBJECT_KINDS_H
#define CONTROLLER_MODEL_OBJECT_KINDS_H
#include "controller/model/read.h"

void pod_read(struct reader *r, const struct json *document, struct object *o);
void kube_service_read(struct reader *r, const struct json *document, struct object *o);
void endpoint_slice_read(struct reader *r, const struct json *document, struct object *o);
void authorization_policy_read(struct reader *r, const struct json *document, struct object *o);
void peer_authentication_read(struct reader *r, const struct json *document, struct object *o);
void http_route_read(struct reader *r, const struct json *document, struct object *o);
void grpc_route_read(struct reader *r, const struct json *document, struct object *o);
void tcp_route_read(struct reader *r, const struct json *document, struct object *o);
void tls_route_read(struct reader *r, const struct json *document, struct object *o);
void ingress_class_read(struct reader *r, const struct json *document, struct object *o);
void secret_read(struct reader *r, const struct json *document, struct object *o);
void ingress_read(struct reader *r, const struct json *document, struct object *o);
void reference_grant_read(struct reader *r, const struct json *document, struct object *o);
void virtual_service_read(struct reader *r, const struct json *document, struct object *o);
void destination_rule_read(struct reader *r, const struct json *document, struct object *o);
/* Of one that can't be read: a flaw, and that it wants TLS. False: it does not, or its host can't be read either. */
bool destination_rule_read_closed(struct object_arena *arena, const struct json *document, struct object *o);
void workload_entry_read(struct reader *r, const struct json *document, struct object *o);
void backend_tls_read(struct reader *r, const struct json *document, struct object *o);
/* Of one that can't be read: a flaw, and its Services. False: they can't be read either. */
bool backend_tls_read_closed(struct object_arena *arena, const struct json *document, struct object *o);
void config_map_read(struct reader *r, const struct json *document, struct object *o);
void workload_group_read(struct reader *r, const struct json *document, struct object *o);
void sidecar_read(struct reader *r, const struct json *document, struct object *o);
/* Of one that can't be read what holds back at least as much: REGISTRY_ONLY, and of its hosts those that can be read. */
void sidecar_read_closed(struct object_arena *arena, const struct json *document, struct object *o);
void service_entry_read(struct reader *r, const struct json *document, struct object *o);
/* The protocol of a port, as it is declared, or by its name or number: enum app_protocol. */
uint8_t service_protocol(const char *declared, const char *name, uint16_t port);
/* spec.selector.matchLabels of the two policies */
struct labels policy_selector_read(struct reader *r, const struct json *spec);
/* Spread of traffic as a field or an annotation says it; false: not a known word. */
bool traffic_distribution_parse(const char *word, enum traffic_distribution *ret);
#endif
