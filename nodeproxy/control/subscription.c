/* From xDS resources to the directory; see the header. */
#include "nodeproxy/control/subscription.h"

#include <errno.h>
#include <stdio.h>

/* Removals come by the resource's name, so what is put must be known by that name. */
static bool named(const struct workload *w, const struct service *s, const struct policy *p, struct text name, char why[static XDS_WHY_MAX])
{
    const char *key = w ? w->uid : s ? s->key : p->key;
    if (text_equal(name, text_of(key)))
        return true;
    snprintf(why, XDS_WHY_MAX, "name: the resource is called %.80s and says that it is %.80s", name.data, key);
    return false;
}

static int put(struct xds_feed *f, enum xds_type type, struct text name, const uint8_t *body, size_t len, char why[static XDS_WHY_MAX])
{
    struct subscription *s = f->user;
    struct workload *workload = NULL;
    struct service *service = NULL;
    struct policy *policy = NULL;
    int r = type == XDS_AUTHORIZATION ? xds_policy_decode(body, len, &policy, why) : xds_address_decode(body, len, &workload, &service, why);
    if (r == 0 && !named(workload, service, policy, name, why)) {
        workload_free(workload);
        service_free(service);
        policy_free(policy);
        return -EINVAL;
    }
    bool is_workload = workload, is_service = service;
    if (r == 0 && is_workload && s->workload)
        s->workload(workload, s->arg);
    if (r == 0)
        r = policy     ? directory_put_policy(s->directory, policy)
            : workload ? directory_put_workload(s->directory, workload)
                       : directory_put_service(s->directory, service);
    /* A name is one resource's: what was known by it as the other kind is replaced. */
    if (r == 0 && is_workload)
        (void)directory_remove_service(s->directory, name);
    if (r == 0 && is_service)
        (void)directory_remove_workload(s->directory, name);
    if (r == -ENOMEM)
        snprintf(why, XDS_WHY_MAX, "the node proxy is out of memory");
    return r;
}

static void removed(struct xds_feed *f, enum xds_type type, struct text name)
{
    struct subscription *s = f->user;
    if (type == XDS_AUTHORIZATION)
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
