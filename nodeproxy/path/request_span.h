/*
 * A request's span, given to the exporter: on the client's node one of kind client, on the destination's
 * one of kind server, with the attributes that Envoy and Istio give theirs. Made when the request is over,
 * of those that are recorded; on the stack, and never waits.
 */
#ifndef NODEPROXY_PATH_REQUEST_SPAN_H
#define NODEPROXY_PATH_REQUEST_SPAN_H
#include "nodeproxy/path/local_pod.h"

/* `server`: the pod was asked; else it asked. */
void request_span_give(const struct local_pod *pod, bool server, const struct exchange_record *record);
#endif
