/*
 * Who asks, as far as it decides what is told: its namespace, whose clients
 * may have routes of their own; its place, from which endpoints are near or far; and whether it is a
 * proxyless gRPC client. The client says it of itself and is believed, since no policy depends on it, and
 * only the state of the world is told by it. Which pod's sidecar it is, is proven by its certificate, and
 * counts for both dialects. Owned by its stream; one thread.
 */
#ifndef CONTROLLER_SERVE_ASKER_H
#define CONTROLLER_SERVE_ASKER_H
#include "controller/translate/sidecar.h"
#include "shared/mesh/spiffe_id.h"
#include "shared/xds/sotw.h"

enum { ASKER_NAMESPACE_MAX = 64, ASKER_PLACE_MAX = 128 };
struct asker {
    bool is_sidecar;               /* proven: of the pod that is its owner */
    char owner[SIDECAR_OWNER_MAX]; /* of its own listeners; "": of none */
    char ns[ASKER_NAMESPACE_MAX]; /* "": not said */
    char region[ASKER_PLACE_MAX], zone[ASKER_PLACE_MAX], sub_zone[ASKER_PLACE_MAX];
    bool is_grpc;
};
/* The namespace of a node id of Istio's form, TYPE~ADDRESS~POD.NAMESPACE~DOMAIN. What is too long is
 * as if it was not said. */
void asker_read(struct asker *a, const struct sotw_request *first);
/* The sidecar of the pod that the node id names, as one of this identity. */
void asker_is_sidecar(struct asker *a, const struct spiffe_id *identity, struct text node_id);
/* May it be told of this name? NULL: nobody in particular. */
static inline bool asker_may_see(const struct asker *a, enum xds_type type, struct text name)
{
    return type != XDS_LISTENER || sidecar_may_see(name, a && a->is_sidecar ? a->owner : NULL);
}
/* Does it see this resource otherwise than it was made? */
bool asker_differs(const struct asker *a, const struct resource *r);
/* The body that it sees: endpoints by nearness, as priorities; a cluster whose balancing no gRPC client
 * has, and in which no endpoint is promised to anybody, in turns. -ENOMEM; -EINVAL, -E2BIG: it can't be
 * made, and the resource stands. */
int asker_body(const struct asker *a, const struct resource *r, struct xds_bytes *ret);
/* Listeners by namespace: is `name` one (LISTENER@NAMESPACE), and of whom? */
bool asker_own_name(const char *name, struct text *ret_listener, struct text *ret_ns);
#endif
