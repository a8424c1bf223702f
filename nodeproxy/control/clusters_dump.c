/* Clusters for people; see the header. */
#include "nodeproxy/control/clusters_dump.h"

#include <stdio.h>

static const char *const breakers[BREAKER_KINDS] = {[BREAKER_CONNECTIONS] = "connections",
                                                    [BREAKER_PENDING] = "pending",
                                                    [BREAKER_REQUESTS] = "requests",
                                                    [BREAKER_RETRIES] = "retries"};

/* ---- endpoints ----------------------------------------------------------- */

static void put_locality(struct json_out *o, const struct endpoint_group *g)
{
    char data[512];
    struct text_out out = TEXT_OUT(data);
    text_put(&out, g->region);
    if (g->zone.len > 0 || g->sub_zone.len > 0) {
        text_putc(&out, '/');
        text_put(&out, g->zone);
    }
    if (g->sub_zone.len > 0) {
        text_putc(&out, '/');
        text_put(&out, g->sub_zone);
    }
    json_out_text(o, "locality", (struct text){out.data, out.len});
}

static void put_endpoint(struct json_out *o, const struct endpoint_group *g, const struct endpoint *e,
                         const struct upstream_seen_endpoint *seen)
{
    static const char *const healths[] = {[HEALTH_UNKNOWN] = "unknown",   [HEALTH_HEALTHY] = "healthy",
                                          [HEALTH_UNHEALTHY] = "unhealthy", [HEALTH_DRAINING] = "draining",
                                          [HEALTH_TIMEOUT] = "timeout",   [HEALTH_DEGRADED] = "degraded"};
    char address[ADDR_TEXT_MAX];
    json_out_object(o, NULL);
    if (e->addr.ip.len > 0)
        json_out_string(o, "address", addr_print(&e->addr, address));
    else
        json_out_text(o, "host", e->host);
    if (e->workload.len > 0)
        json_out_text(o, "workload", e->workload);
    put_locality(o, g);
    json_out_u64(o, "priority", g->priority);
    json_out_u64(o, "weight", e->weight);
    json_out_string(o, "health", healths[e->health]);
    json_out_u64(o, "requests", seen->active);
    json_out_u64(o, "users", seen->users);
    json_out_u64(o, "ejectedBy", seen->ejects);
    json_out_end(o);
}

struct dumped {
    const struct directory *directory;
    const struct upstream_seen *seen;
    struct json_out *out;
};

static void put_endpoints(const struct dumped *d, const struct cluster *c)
{
    struct endpoints *all = c->kind == CLUSTER_EDS ? directory_endpoints_of(d->directory, c->eds_name.len ? c->eds_name : c->name)
                            : c->inline_endpoints  ? endpoints_ref(c->inline_endpoints)
                                                   : NULL;
    json_out_array(d->out, "endpoints");
    for (size_t i = 0; all && i < all->n_groups; i++) {
        const struct endpoint_group *g = &all->groups[i];
        for (size_t j = 0; j < g->n_endpoints; j++) {
            struct upstream_seen_endpoint seen = upstream_seen_get(d->seen, c->name, &g->endpoints[j].addr);
            put_endpoint(d->out, g, &g->endpoints[j], &seen);
        }
    }
    json_out_end(d->out);
    endpoints_unref(all);
}

/* ---- clusters ------------------------------------------------------------ */

/* Of `outbound|80||cart.shop.svc.cluster.local` the Service's. */
static struct text namespace_of(struct text name)
{
    struct text head, tail, ns;
    struct text host = upstream_cluster_host(name);
    return text_split(host, '.', &head, &tail) && text_split(tail, '.', &ns, &tail) ? ns : TEXT("");
}

static bool put_cluster(const struct cluster *c, void *arg)
{
    static const char *const kinds[] = {[BALANCE_ROUND_ROBIN] = "round robin",
                                        [BALANCE_LEAST_REQUEST] = "least request",
                                        [BALANCE_RANDOM] = "random",
                                        [BALANCE_RING_HASH] = "ring hash",
                                        [BALANCE_MAGLEV] = "maglev"};
    const struct dumped *d = arg;
    json_out_object(d->out, NULL);
    json_out_text(d->out, "name", c->name);
    json_out_text(d->out, "namespace", namespace_of(c->name));
    json_out_string(d->out, "balancing", kinds[c->balance.kind]);
    json_out_bool(d->out, "outlierDetection", c->outlier_detection);
    json_out_object(d->out, "limits");
    for (size_t i = 0; i < BREAKER_KINDS; i++)
        json_out_u64(d->out, breakers[i], c->breaker[BREAKER_DEFAULT].max[i]);
    json_out_end(d->out);
    put_endpoints(d, c);
    json_out_end(d->out);
    return true;
}

/* ---- what workloads have in use ------------------------------------------ */

struct user {
    struct json_out *out;
    const char *ns, *name;
};

static void put_use(const struct cluster_use *u, void *arg)
{
    const struct user *who = arg;
    char workload[520];
    snprintf(workload, sizeof workload, "%s/%s", who->ns, who->name);
    json_out_object(who->out, NULL);
    json_out_string(who->out, "workload", workload);
    json_out_string(who->out, "cluster", u->name);
    for (enum breaker_kind i = 0; i < BREAKER_KINDS; i++) {
        json_out_object(who->out, breakers[i]);
        json_out_u64(who->out, "used", (uint64_t)breaker_used(&u->breakers[BREAKER_DEFAULT], i) +
                                           breaker_used(&u->breakers[BREAKER_HIGH], i));
        json_out_u64(who->out, "refused",
                     breaker_refused(&u->breakers[BREAKER_DEFAULT], i) + breaker_refused(&u->breakers[BREAKER_HIGH], i));
        json_out_end(who->out);
    }
    json_out_u64(who->out, "ejections", atomic_load_explicit(&u->ejections, memory_order_relaxed));
    json_out_u64(who->out, "ejected", atomic_load_explicit(&u->ejected, memory_order_relaxed));
    json_out_end(who->out);
}

static void put_uses(const char *ns, const char *name, struct cluster_uses *clusters, void *arg)
{
    struct user who = {arg, ns, name};
    cluster_uses_each(clusters, put_use, &who);
}

void clusters_dump(const struct directory *d, struct bounds *b, const struct upstream_seen *seen, struct json_out *o)
{
    struct dumped dumped = {d, seen, o};
    json_out_array(o, "clusters");
    directory_each_cluster(d, put_cluster, &dumped);
    json_out_end(o);
    json_out_array(o, "clusterUse");
    bounds_each_cluster(b, put_uses, o);
    json_out_end(o);
}
