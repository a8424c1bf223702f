/*
 * Who asks as the state of the world, as far as it decides what is told: its namespace, whose clients
 * may have routes of their own; its place, from which endpoints are near or far; and whether it is a
 * proxyless gRPC client. The client says it of itself and is believed, since no policy depends on it.
 * Owned by its stream; one thread.
 */
#ifndef CONTROLLER_SERVE_ASKER_H
#define CONTROLLER_SERVE_ASKER_H
#include "controller/translate/resource.h"
#include "shared/xds/sotw.h"

enum { ASKER_NAMESPACE_MAX = 64, ASKER_PLACE_MAX = 128 };
struct asker {
    char ns[ASKER_NAMESPACE_MAX]; /* "": not said */
    char region[ASKER_PLACE_MAX], zone[ASKER_PLACE_MAX], sub_zone[ASKER_PLACE_MAX];
    bool is_grpc;
};
/* The namespace of a node id of Istio's form, TYPE~ADDRESS~POD.NAMESPACE~DOMAIN. What is too long is
 * as if it was not said. */
void asker_read(struct asker *a, const struct sotw_request *first);
/* Does it see this resource otherwise than it was made? */
bool asker_differs(const struct asker *a, const struct resource *r);
/* The body that it sees: endpoints by nearness, as priorities; a cluster whose balancing no gRPC client
 * has, and in which no endpoint is promised to anybody, in turns. -ENOMEM; -EINVAL, -E2BIG: it can't be
 * made, and the resource stands. */
int asker_body(const struct asker *a, const struct resource *r, struct xds_bytes *ret);
/* Listeners by namespace: is `name` one (LISTENER@NAMESPACE), and of whom? */
bool asker_own_name(const char *name, struct text *ret_listener, struct text *ret_ns);
#endif
