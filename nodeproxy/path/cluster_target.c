#include "nodeproxy/path/cluster_target.h"

#include "nodeproxy/path/upstream_tls.h"
#include <errno.h>

const struct port_pair *service_port(const struct service *s, uint16_t port)
{
    for (size_t i = 0; i < s->n_ports; i++)
        if (s->ports[i].service_port == port)
            return &s->ports[i];
    return NULL;
}

/* "outbound|PORT|SUBSET|HOST", of which only a whole Service needs no cluster. */
static enum ending find_service(const struct local_pod *pod, struct text name,
                                struct cluster_target *ret)
{
    struct text kind, port, subset, host, rest;
    uint64_t number;
    if (!text_split(name, '|', &kind, &rest) || !text_equal(kind, TEXT("outbound")) ||
        !text_split(rest, '|', &port, &rest) || text_to_u64(port, 65535, &number) < 0 ||
        !text_split(rest, '|', &subset, &host) || subset.len > 0)
        return ENDING_NO_BACKEND;
    ret->service = directory_service_named(pod->env->directory, host, text_of(pod->ns));
    ret->port = (uint16_t)number;
    return ret->service && service_port(ret->service, ret->port) ? ENDING_NONE : ENDING_NO_BACKEND;
}

/* Of a cluster whose endpoints are not told yet the Service's would do, but not in the clear where TLS is asked for. */
static bool asks_for_tls(const struct local_pod *pod, struct text name)
{
    struct cluster *c = directory_cluster(pod->env->directory, name);
    bool asks = c && upstream_tls_asked(c);
    cluster_unref(c);
    return asks;
}

enum ending cluster_target_find(struct local_pod *pod, struct text name,
                                struct cluster_target *ret)
{
    int r = upstream_clusters_get(&pod->clusters, name, &ret->cluster);
    if (r < 0)
        return r == -ENOMEM ? ENDING_NO_MEMORY : ENDING_LIMIT;
    if (ret->cluster)
        return ENDING_NONE;
    return asks_for_tls(pod, name) ? ENDING_NO_ENDPOINT : find_service(pod, name, ret);
}

int cluster_target_draw(const struct local_pod *pod, const struct cluster_target *t,
                        const struct addr *called, struct choice *ret)
{
    const struct path_env *env = pod->env;
    const struct workload *self = directory_workload(env->directory, text_of(pod->uid));
    struct rng *rng = ring_rng(env->ring);
    int r = directory_choose(env->directory, t->service, t->port, self, ip_family(&called->ip), rng,
                             ret);
    return r == -EHOSTUNREACH
               ? directory_choose(env->directory, t->service, t->port, self, 0, rng, ret)
               : r;
}

bool cluster_target_is_at(const struct local_pod *pod, const struct cluster_target *t,
                          const struct addr *at, struct choice *ret)
{
    const struct path_env *env = pod->env;
    const struct workload *self = directory_workload(env->directory, text_of(pod->uid));
    return directory_serves(env->directory, t->service, t->port, self, text_of(env->config->network),
                          at, ret) == 0;
}

/* An endpoint that is said to be a workload and is none that we know must not be spoken to as if it
 * were nobody's. */
enum ending cluster_target_at(const struct local_pod *pod, const struct balance_host *host,
                              struct choice *ret)
{
    const struct path_env *env = pod->env;
    const struct text uid = host->endpoint->workload;
    ret->target = host->addr;
    ret->workload = uid.len > 0 ? directory_workload(env->directory, uid)
                                : directory_workload_at(env->directory,
                                                        text_of(env->config->network),
                                                        &host->addr.ip);
    return uid.len > 0 && !ret->workload ? ENDING_NO_ENDPOINT : ENDING_NONE;
}
