/* The service that a caller names by host, as the pod that is called sees it. One worker; nothing is kept. */
#ifndef NODEPROXY_PATH_CALLED_SERVICE_H
#define NODEPROXY_PATH_CALLED_SERVICE_H
#include "nodeproxy/path/local_pod.h"

/* In a CONNECT. Its key, on the heap: of the pod's own namespace first, then of the one in the name. NULL: none, or no memory. */
char *called_service_key(const struct local_pod *pod, struct text host, const struct service **ret);
/* 0: the pod is no endpoint of the service, or the service has no such port. */
uint16_t called_service_target(const struct local_pod *pod, const struct service *s, uint16_t service_port);
/* Among the pod's own; NULL: none is called so. host: in "forwarded"; may be empty. */
const struct service *called_service_among(const struct local_pod *pod, const struct workload *self, struct text host);
#endif
