/*
 * TLS that a cluster asks for towards what is outside of the mesh (its UpstreamTlsContext, mode SIMPLE): the
 * configuration of its connections, made when the first of them needs it and kept with the cluster of one workload
 * and worker (upstream_cluster.h), so that connections of different settings or workloads have never one in common.
 * Where it can't be made nothing is said to the endpoint, least of all in the clear.
 */
#ifndef NODEPROXY_PATH_UPSTREAM_TLS_H
#define NODEPROXY_PATH_UPSTREAM_TLS_H
#include "nodeproxy/path/local_pod.h"

struct upstream_tls_wish {
    struct upstream_cluster *cluster; /* NULL: nobody's, and so without */
    enum upstream_way way;            /* that leads to the endpoint */
    enum upstream_speech speech;      /* what is to be spoken in it: its ALPN */
};
/* *ret: the cluster's, valid for this turn; NULL: it asks for none. NONE; else *ret_why is a static sentence: NOT_DONE
 * (settings that are not done here, or an endpoint that is a workload of the mesh), PEER_UNTRUSTED (no roots to judge
 * by), NO_MEMORY. */
enum ending upstream_tls_find(const struct path_env *env, const struct upstream_tls_wish *w,
                              struct tls_config **ret, const char **ret_why);
/* How a handshake failed, by the result that a conn told. */
enum ending upstream_tls_ending(int result);
/* Does it ask for TLS that is not the mesh's own? */
bool upstream_tls_asked(const struct cluster *c);
#endif
