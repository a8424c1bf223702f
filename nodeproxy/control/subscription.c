/* From xDS resources to the directory; see the header. */
#include "nodeproxy/control/subscription.h"

#include "shared/base/log.h"
#include "shared/xds/routing.h"

#include <errno.h>
#include <stdio.h>

enum { CLOSED_BYTES_MAX = 4096 };

/* Removals come by the resource's name, so what is put must be known by that name. */
static bool named(struct text key, struct text name, char why[static XDS_WHY_MAX])
{
    if (text_equal(name, key))
        return true;
    snprintf(why, XDS_WHY_MAX, "name: the resource is called %.80s and says that it is %.*s", name.data, key.len < 80 ? (int)key.len : 80, key.data);
    return false;
}

static int put_address(struct subscription *s, struct text name, const uint8_t *body, size_t len, char why[static XDS_WHY_MAX])
{
    struct workload *workload = NULL;
    struct service *service = NULL;
    int r = xds_address_decode(body, len, &workload, &service, why);
    if (r == 0 && !named(text_of(workload ? workload->uid : service->key), name, why)) {
        workload_free(workload);
        service_free(service);
        return -EINVAL;
    }
    bool is_workload = workload, is_service = service;
    if (r == 0 && is_workload && s->node.len > 0 && !text_equal(text_of(workload->node), s->node))
        (void)workload_set_labels(workload, NULL, 0);
    if (r == 0 && is_workload && s->workload)
        s->workload(workload, s->arg);
    if (r == 0)
        r = workload ? directory_put_workload(s->directory, workload) : directory_put_service(s->directory, service);
    /* A name is one resource's: what was known by it as the other kind is replaced. */
    if (r == 0 && is_workload)
        (void)directory_remove_service(s->directory, name);
    if (r == 0 && is_service)
        (void)directory_remove_workload(s->directory, name);
    return r;
}

static int put_policy(struct subscription *s, struct text name, const uint8_t *body, size_t len, char why[static XDS_WHY_MAX])
{
    struct policy *policy = NULL;
    int r = xds_policy_decode(body, len, &policy, why);
    if (r == 0 && !named(text_of(policy->key), name, why)) {
        policy_free(policy);
        return -EINVAL;
    }
    return r < 0 ? r : directory_put_policy(s->directory, policy);
}

static int put_routes(struct subscription *s, struct text name, const uint8_t *body, size_t len, char why[static XDS_WHY_MAX])
{
    struct route_table *table = NULL;
    int r = xds_routes_decode(body, len, &table, why);
    if (r == 0 && !named(table->name, name, why)) {
        route_table_unref(table);
        return -EINVAL;
    }
    return r < 0 ? r : directory_put_routes(s->directory, table);
}

/* Without any settings of it a Service would be spoken to as if nobody had written some: of one that might ask for TLS, in the clear. */
static int close_unknown(struct subscription *s, struct text name, const char *why)
{
    struct cluster *c = directory_cluster(s->directory, name);
    char words[WHY_MAX];
    if (c) { /* the last good one, or closed already */
        cluster_unref(c);
        return 0;
    }
    c = cluster_new(CLOSED_BYTES_MAX);
    if (!c)
        return -ENOMEM;
    c->name = arena_text(&c->arena, name);
    c->kind = CLUSTER_EDS;
    c->tls.kind = TLS_UNKNOWN;
    int r = c->name.data ? cluster_finish(c, words) : -ENOMEM;
    if (r < 0) {
        cluster_free(c);
        return r;
    }
    log_warn("xds", "cluster %.*s is closed, since it is refused and there was none before: %s", (int)name.len, name.data, why);
    return directory_put_cluster(s->directory, c);
}

static int put_cluster(struct subscription *s, struct text name, const uint8_t *body, size_t len, char why[static XDS_WHY_MAX])
{
    struct cluster *cluster = NULL;
    int r = xds_cluster_decode(body, len, &cluster, why);
    if (r == 0 && !named(cluster->name, name, why)) {
        cluster_free(cluster);
        r = -EINVAL;
    }
    if (r == 0)
        return directory_put_cluster(s->directory, cluster);
    return close_unknown(s, name, why) == -ENOMEM ? -ENOMEM : r;
}

static int put_endpoints(struct subscription *s, struct text name, const uint8_t *body, size_t len, char why[static XDS_WHY_MAX])
{
    struct endpoints *endpoints = NULL;
    int r = xds_endpoints_decode(body, len, &endpoints, why);
    if (r == 0 && !named(endpoints->name, name, why)) {
        endpoints_free(endpoints);
        return -EINVAL;
    }
    return r < 0 ? r : directory_put_endpoints(s->directory, endpoints);
}

static int put(struct xds_feed *f, enum xds_type type, struct text name, const uint8_t *body, size_t len, char why[static XDS_WHY_MAX])
{
    int r = type == XDS_ROUTES          ? put_routes(f->user, name, body, len, why)
            : type == XDS_CLUSTER       ? put_cluster(f->user, name, body, len, why)
            : type == XDS_ENDPOINTS     ? put_endpoints(f->user, name, body, len, why)
            : type == XDS_AUTHORIZATION ? put_policy(f->user, name, body, len, why)
                                        : put_address(f->user, name, body, len, why);
    if (r == -ENOMEM)
        snprintf(why, XDS_WHY_MAX, "the node proxy is out of memory");
    return r;
}

static void removed(struct xds_feed *f, enum xds_type type, struct text name)
{
    struct subscription *s = f->user;
    if (type == XDS_ROUTES)
        (void)directory_remove_routes(s->directory, name);
    else if (type == XDS_CLUSTER)
        (void)directory_remove_cluster(s->directory, name);
    else if (type == XDS_ENDPOINTS)
        (void)directory_remove_endpoints(s->directory, name);
    else if (type == XDS_AUTHORIZATION)
        (void)directory_remove_policy(s->directory, name);
    else if (!directory_remove_workload(s->directory, name))
        (void)directory_remove_service(s->directory, name);
}

static void changed(struct xds_feed *f)
{
    struct subscription *s = f->user;
    s->changed(s->arg);
}

static void synced(struct xds_feed *f)
{
    struct subscription *s = f->user;
    s->synced(s->arg);
}

static const struct xds_feed_events feed_events = {.put = put, .removed = removed, .changed = changed, .synced = synced};

void subscription_init(struct subscription *s, const struct xds_feed_options *o) { xds_feed_init(&s->feed, o, &feed_events, s); }
