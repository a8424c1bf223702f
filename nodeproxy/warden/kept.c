#include "nodeproxy/warden/kept.h"

#include "nodeproxy/warden/pod_listeners.h"
#include <errno.h>

static struct kept_pod *find(struct kept *k, const struct netns_id *netns)
{
    for (size_t i = 0; i < k->n; i++)
        if (netns_same(&k->pods[i].netns, netns))
            return &k->pods[i];
    return NULL;
}

static void let_go(struct kept *k, struct kept_pod *pod)
{
    pod_listeners_close(&pod->listeners);
    *pod = k->pods[--k->n];
}

bool kept_claim(struct kept *k, const struct netns_id *netns, struct pod_listeners *ret_lent)
{
    struct kept_pod *pod = find(k, netns);
    if (!pod)
        return false;
    /* Whoever has them can end their listening: then they are of no use to anybody. */
    if (!pod_listeners_are_of(netns, &pod->listeners)) {
        let_go(k, pod);
        return false;
    }
    pod->orphan = false;
    *ret_lent = pod->listeners;
    return true;
}

int kept_put(struct kept *k, const struct netns_id *netns, const struct pod_listeners *taken,
             char why[static WHY_MAX])
{
    kept_forget(k, netns);
    if (k->n == k->max)
        kept_tick(k, UINT64_MAX);
    if (k->n == k->max)
        return why_say(-ENOBUFS, why, "more than %zu pods (--pods-max)", k->max);
    k->pods[k->n++] = (struct kept_pod){.netns = *netns, .listeners = *taken};
    return 0;
}

void kept_forget(struct kept *k, const struct netns_id *netns)
{
    struct kept_pod *pod = netns ? find(k, netns) : NULL;
    if (pod)
        let_go(k, pod);
    while (!netns && k->n > 0)
        let_go(k, &k->pods[k->n - 1]);
}

void kept_orphan(struct kept *k, uint64_t let_go_at_ms)
{
    for (size_t i = 0; i < k->n; i++)
        k->pods[i].orphan = true;
    k->let_go_at_ms = k->n > 0 ? let_go_at_ms : 0;
}

void kept_tick(struct kept *k, uint64_t now_ms)
{
    if (k->let_go_at_ms == 0 || now_ms < k->let_go_at_ms)
        return;
    for (size_t i = k->n; i-- > 0;)
        if (k->pods[i].orphan)
            let_go(k, &k->pods[i]);
    k->let_go_at_ms = 0;
}
