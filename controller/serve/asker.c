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

static struct text namespace_of(struct text node_id)
{
    struct text part, rest, pod;
    if (!text_split(node_id, '~', &part, &rest) || !text_split(rest, '~', &part, &rest) ||
        !text_split(rest, '~', &pod, &rest))
        return TEXT("");
    const char *dot = memrchr(pod.data, '.', pod.len);
    return dot ? (struct text){dot + 1, (size_t)(pod.data + pod.len - dot - 1)}
               : TEXT("");
}

void asker_read(struct asker *a, const struct sotw_request *first)
{
    struct text agent = text_of(first->user_agent ? first->user_agent : "");
    *a = (struct asker){.is_grpc = text_starts_with(agent, TEXT("gRPC")) ||
                                   text_starts_with(agent, TEXT("grpc"))};
    keep(a->ns, sizeof a->ns, namespace_of(text_of(first->node_id)));
    keep(a->region, sizeof a->region, text_of(first->region ? first->region : ""));
    keep(a->zone, sizeof a->zone, text_of(first->zone ? first->zone : ""));
    keep(a->sub_zone, sizeof a->sub_zone, text_of(first->sub_zone ? first->sub_zone : ""));
}

bool asker_differs(const struct asker *a, const struct resource *r)
{
    bool placed = a->region[0] || a->zone[0] || a->sub_zone[0];
    return (r->nearness && placed) || (r->balanced_anyhow && a->is_grpc);
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

static int endpoints_from(const struct asker *a, const struct resource *r, struct xds_bytes *ret)
{
    char why[XDS_WHY_MAX];
    struct endpoints *all, *ranked;
    const struct locality from = {(char *)a->region, (char *)a->zone, (char *)a->sub_zone};
    struct nearness n = {&from, r->nearness};
    int err = xds_endpoints_decode(r->body, r->body_len, &all, why);
    if (err < 0)
        return err;
    err = endpoints_ranked(all, &(struct endpoint_ranking){distance, &n}, &ranked);
    if (err == 0) {
        err = xds_endpoints_encode(ranked, ret);
        endpoints_free(ranked);
    }
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
