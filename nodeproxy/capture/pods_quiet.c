/*
 * A pod that leaves the mesh and lives on. Its new connections go past us at once; those that are
 * inside the proxy go on until they end, and need from its namespace that addresses are still
 * translated and answers find back, and from us the listeners: callers that have not heard of the
 * change yet still come by tunnel. So the pod stays captured, quietly, until nothing lives in it; if
 * it is enrolled again meanwhile, nothing but the rules has to come back.
 */
#include "nodeproxy/capture/pods_internal.h"

#include "shared/base/log.h"
#include "shared/ring/socket.h"

enum { QUIET_MIN_MS = 3000, LOOK_MS = 500 };

static size_t living(struct pods *p, const struct pod_entry *e)
{
    return p->events->living ? p->events->living(p, &e->pod, p->arg) : 0;
}

void pods_quieten(struct pods *p, struct pod_entry *e)
{
    char why[PRIVILEGED_WHY_MAX];
    if (!p->events->living) {
        pods_uncapture(p, e);
        return;
    }
    if (privileged_quiet(p->privileged, e->pod.netns_fd, why) < 0) {
        log_error("capture", "pod %s/%s is no longer enrolled and can't be let go: %s", e->pod.ns,
                  e->pod.name, why);
        return; /* it is looked at again with the next news */
    }
    e->quiet = true;
    e->quiet_since_ms = ring_now_ms(p->ring);
    if (pods_state_write(p, e) < 0)
        log_warn("capture", "pod %s/%s: its release can't be written down", e->pod.ns, e->pod.name);
    pods_put_node_rules(p);
    log_info("capture", "pod %s/%s is no longer enrolled: %zu connections go on", e->pod.ns,
             e->pod.name, living(p, e));
    if (!timer_running(&p->quiet_timer))
        timer_start(ring_timers(p->ring), &p->quiet_timer, LOOK_MS);
}

int pods_revive(struct pods *p, struct pod_entry *e, char why[static PRIVILEGED_WHY_MAX])
{
    int r = privileged_enrol(p->privileged, e->pod.netns_fd, &e->pod.listeners, why);
    if (r < 0)
        return r;
    e->quiet = false;
    if (pods_state_write(p, e) < 0)
        log_warn("capture", "pod %s/%s can't be written down", e->pod.ns, e->pod.name);
    pods_put_node_rules(p);
    log_info("capture", "pod %s/%s is enrolled again", e->pod.ns, e->pod.name);
    return 0;
}

/* One that was taken over may have connections in the process before, which ends with its drain. */
static bool is_over(struct pods *p, const struct pod_entry *e)
{
    uint64_t now = ring_now_ms(p->ring);
    return now - e->quiet_since_ms >= QUIET_MIN_MS && now >= e->alone_at_ms && living(p, e) == 0;
}

static void look(struct timer *t)
{
    struct pods *p = container_of(t, struct pods, quiet_timer);
    bool more = false;
    if (p->retired)
        return;
    list_for_each (n, &p->all) {
        struct pod_entry *e = entry_of(n);
        if (!e->quiet || e->leaving)
            continue;
        if (p->frozen || !is_over(p, e))
            more = true;
        else
            pods_uncapture(p, e);
    }
    if (more)
        timer_start(ring_timers(p->ring), t, LOOK_MS);
}

void pods_quiet_init(struct pods *p)
{
    timer_init(&p->quiet_timer, look);
}

/* A process ended with connections of a pod that had left the mesh: they have ended, too. */
void pods_quiet_clean(struct pods *p, struct pod_entry *e)
{
    char why[PRIVILEGED_WHY_MAX];
    int fd, r = privileged_netns_open(p->privileged, e->pod.netns_path, &fd, why);
    struct netns_id id;
    if (r < 0)
        return;
    if (netns_id(fd, &id) == 0 && netns_same(&id, &e->netns) &&
        privileged_release(p->privileged, fd, why) < 0)
        log_warn("capture", "pod %s/%s: cannot take the rules out of its namespace: %s", e->pod.ns,
                 e->pod.name, why);
    socket_close(fd);
}
