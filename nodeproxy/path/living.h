/*
 * Policy on the living: whatever was decided about a connection is decided again when what it was decided by has changed: policies, who a
 * workload is, whom it trusts, a peer's certificate. Those that may no longer live end with an ending that says so. A change marks the pods that
 * it concerns; they are looked at in slices, a little in each turn of the loop, so that traffic goes on meanwhile. One worker.
 *
 * An ending costs far more than a look, and most of that elsewhere: closes and resets in the kernel, the far node's half, the two applications. So
 * endings have a pace of their own: some thousand a second, and as many more as it takes to be through with all that is to be looked at in two seconds.
 *
 *   change                              what is looked at again
 *   a policy, or what selects it        inbound connections and streams, and each request that lives in one
 *   an identity in the directory        that workload's own connections (both ways), and tunnels that lead to it
 *   the pod's trusted roots             its tunnels, both ways, and the streams in them
 *   a peer's certificate expires        that tunnel
 *   what is revoked                     all tunnels, and connections of the same node; those of a pod that is revoked itself
 */
#ifndef NODEPROXY_PATH_LIVING_H
#define NODEPROXY_PATH_LIVING_H
#include "nodeproxy/path/local_pod.h"

void living_init(struct path_env *env); /* env->recheck_task is the owner's to make */
/* The directory changed. What follows is done by living_look(), which env->recheck_task must call until it has nothing left. */
void living_news(struct path_env *env);
/* What is revoked is another, env->trust. As with living_news(). */
void living_trust(struct path_env *env);
/* The pod got another certificate, which is its current one now; before: the one before, may be NULL. */
void living_credential(struct local_pod *p, const struct credential *before);
void living_tunnels(struct local_pod *p); /* some tunnel's proof broke */
void living_upstreams(struct local_pod *p); /* some tunnel's peer is going: what idles in one ends */
void living_forget(struct local_pod *p);  /* it is closing */
/* Looks at about n_max of them; true: there are more. When no more may end now it returns false, and asks for env->recheck_task once they may. */
bool living_look(struct path_env *env, size_t n_max);
#endif
