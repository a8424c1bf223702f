/*
 * What weir-cni does with one call: asks the node proxy, and prints what the CNI specification
 * wants on standard output. Pods of excluded namespaces, and containers that are no pods (no
 * K8S_POD_NAMESPACE in CNI_ARGS), pass without the proxy being asked.
 */
#ifndef NODEPROXY_CNI_CNI_H
#define NODEPROXY_CNI_CNI_H
#include "nodeproxy/cni/cni_call.h"

/* Returns the process's exit status, 0 or 1. out: the text for standard output; note: for standard
 * error, may stay empty. */
int cni_run(const struct cni_environment *env, struct text config, struct text_heap *out,
            struct text_heap *note);
/* Reads standard input to its end. -EFBIG, -EIO... */
int cni_read_config(int fd, struct text_heap *config);
#endif
