#include "controller/controller.h"
#include "shared/base/rng.h"
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define LEASE_NAME "weir-controller"
enum { RENEW_PERCENT = 66, RETRY_PERCENT = 13 }; /* of the lease: client-go's 15, 10 and 2 s */

/* As client-go does it: a pod that starts anew is another one. */
static void make_name(struct controller *c)
{
    uint32_t word = 0;
    char host[128] = "";
    (void)gethostname(host, sizeof host - 1);
    (void)rng_os(&word, sizeof word);
    if (c->options->replica_name)
        snprintf(c->replica_name, sizeof c->replica_name, "%s", c->options->replica_name);
    else
        snprintf(c->replica_name, sizeof c->replica_name, "%s_%08x", host, word);
}

static void lead_changed(struct kube_leader *l)
{
    struct controller *c = l->user;
    status_writer_lead_changed(&c->status);
}

static void seen(struct kube_source *s, enum object_kind kind, const char *ns, const char *name,
                 const struct json *object)
{
    struct controller *c = s->user;
    status_writer_see(&c->status, kind, ns, name, object);
}

static int judge(void *user, const struct object_judged *who, struct object_status *ret)
{
    struct controller *c = user;
    const struct problem_index *told = projection_told(&c->projection);
    struct object_judged judged = *who;
    struct problem unread;
    if (kube_source_unread(&c->kube, who->kind, who->ns, who->name, &unread))
        judged.unread = &unread;
    return told ? object_status_judge(&judged, told, &c->projection.view, ret) : -EAGAIN;
}

static const char *api(void *user, enum object_kind kind, char out[static LEASE_PATH_MAX])
{
    const struct controller *c = user;
    const struct kube_api *a = &c->kube.discovery.apis[kind];
    if (!a->version)
        return NULL;
    snprintf(out, LEASE_PATH_MAX, "/apis/%s/%s", a->group, a->version);
    return out;
}

void controller_lead(struct controller *c)
{
    const struct controller_options *o = c->options;
    make_name(c);
    const struct lease_options lease = {
        .ns = c->kube_namespace[0] ? c->kube_namespace : o->translate.root_namespace,
        .name = LEASE_NAME,
        .identity = c->replica_name,
        .duration_ms = o->lease_ms / 1000 * 1000,
        .renew_ms = o->lease_ms / 100 * RENEW_PERCENT,
        .retry_ms = o->lease_ms / 100 * RETRY_PERCENT,
    };
    c->status = (struct status_writer){.judge = judge, .api = api, .user = c};
    c->kube.seen = seen;
    status_writer_start(&c->status, c->kube.client, c->ring, &c->leader);
    kube_leader_init(&c->leader, c->kube.client, c->ring, &lease, lead_changed, c);
    if (o->lead == LEAD_ELECTED)
        kube_leader_start(&c->leader);
    else if (o->lead == LEAD_ALWAYS)
        kube_leader_alone(&c->leader);
}

void controller_lead_changed(struct controller *c)
{
    status_writer_judged(&c->status);
}

void controller_lead_end(struct controller *c, void (*left)(struct kube_leader *l))
{
    c->kube.seen = NULL;
    status_writer_stop(&c->status);
    kube_leader_leave(&c->leader, left);
}
