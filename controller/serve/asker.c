#include "controller/serve/asker.h"
#include "shared/mesh/endpoints_rank.h"
#include "shared/xds/routing.h"
#include <errno.h>

enum { FARTHEST = 3 }; /* of endpoint_distance() */

static void keep(char *to, size_t size, struct text from)
{
    if (from.len >= size)
        return;
    memcpy(to, from.data, from.len);
    to[from.len] = '\0';
}

/* Both are empty where the node id has another form. */
static struct text namespace_of(struct text node_id, struct text *ret_pod)
{
    struct text part, rest, pod;
    *ret_pod = TEXT("");
    if (!text_split(node_id, '~', &part, &rest) || !text_split(rest, '~', &part, &rest) ||
        !text_split(rest, '~', &pod, &rest))
        return TEXT("");
    const char *dot = memrchr(pod.data, '.', pod.len);
    if (!dot)
        return TEXT("");
    *ret_pod = (struct text){pod.data, (size_t)(dot - pod.data)};
    return (struct text){dot + 1, (size_t)(pod.data + pod.len - dot - 1)};
}

void asker_read(struct asker *a, const struct sotw_request *first)
{
    struct text agent = text_of(first->user_agent ? first->user_agent : ""), pod;
    *a = (struct asker){.is_grpc = text_starts_with(agent, TEXT("gRPC")) ||
                                   text_starts_with(agent, TEXT("grpc"))};
    keep(a->ns, sizeof a->ns, namespace_of(text_of(first->node_id), &pod));
    keep(a->region, sizeof a->region, text_of(first->region ? first->region : ""));
    keep(a->zone, sizeof a->zone, text_of(first->zone ? first->zone : ""));
    keep(a->sub_zone, sizeof a->sub_zone, text_of(first->sub_zone ? first->sub_zone : ""));
}

void asker_is_sidecar(struct asker *a, const struct spiffe_id *identity, struct text node_id)
{
    struct text pod, ns = namespace_of(node_id, &pod);
    a->is_sidecar = true;
    if (pod.len && text_equal(ns, spiffe_id_namespace(identity)))
        sidecar_owner(ns, pod, spiffe_id_service_account(identity), a->owner);
}

bool asker_differs(const struct asker *a, const struct resource *r)
{
    bool placed = a->region[0] || a->zone[0] || a->sub_zone[0];
    return ((r->nearness || r->locality) && placed) || (r->balanced_anyhow && a->is_grpc);
}

/* ---- Endpoints ------------------------------------------------------------------------------ */

struct nearness {
    const struct locality *from;
    unsigned levels;
};

static int distance(void *arg, const struct endpoint_group *g, const struct endpoint *e)
{
    const struct nearness *n = arg;
    int away = endpoint_distance(n->from, g), same = FARTHEST - (int)n->levels;
    (void)e;
    return away > same ? away - same : 0;
}

/* Labels are of the pods: who is told of an assignment alone knows those of places. */
static size_t no_labels(void *arg, struct text workload, const struct label **ret)
{
    (void)arg, (void)workload;
    *ret = NULL;
    return 0;
}

/* *ret NULL: as they are. */
static int as_written(const struct resource *r, const struct locality *from,
                      const struct endpoints *all, struct endpoints **ret)
{
    char why[XDS_WHY_MAX];
    struct arena arena;
    struct locality_lb lb;
    const struct locality_client client = {.at = from, .labels_of = no_labels};
    arena_init(&arena, CLUSTER_BYTES_MAX);
    *ret = NULL;
    int err = xds_locality_lb_decode(r->locality, r->locality_len, &arena, &lb, why);
    if (err == 0)
        err = locality_lb_apply(&lb, true, &client, all, ret);
    arena_done(&arena);
    return err;
}

static int endpoints_from(const struct asker *a, const struct resource *r, struct xds_bytes *ret)
{
    char why[XDS_WHY_MAX];
    struct endpoints *all, *ranked = NULL;
    const struct locality from = {(char *)a->region, (char *)a->zone, (char *)a->sub_zone};
    struct nearness n = {&from, r->nearness};
    int err = xds_endpoints_decode(r->body, r->body_len, &all, why);
    if (err < 0)
        return err;
    if (r->locality)
        err = as_written(r, &from, all, &ranked);
    else
        err = endpoints_ranked(all, &(struct endpoint_ranking){distance, &n}, &ranked);
    if (err == 0)
        err = ranked ? xds_endpoints_encode(ranked, ret) : -EINVAL;
    endpoints_free(ranked);
    endpoints_unref(all);
    return err;
}

/* ---- Clusters ------------------------------------------------------------------------------- */

static int cluster_in_turns(const struct resource *r, struct xds_bytes *ret)
{
    char why[XDS_WHY_MAX];
    struct cluster *c;
    int err = xds_cluster_decode(r->body, r->body_len, &c, why);
    if (err < 0)
        return err;
    c->balance.kind = BALANCE_ROUND_ROBIN;
    err = xds_cluster_encode(c, ret);
    cluster_unref(c);
    return err;
}

int asker_body(const struct asker *a, const struct resource *r, struct xds_bytes *ret)
{
    return r->type == XDS_ENDPOINTS ? endpoints_from(a, r, ret) : cluster_in_turns(r, ret);
}

bool asker_own_name(const char *name, struct text *ret_listener, struct text *ret_ns)
{
    return text_split(text_of(name), '@', ret_listener, ret_ns);
}
