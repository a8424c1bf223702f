/*
 * Pods on their way from one node proxy to the next. The giver freezes its registry, describes each
 * pod, and once the other one has them all it retires: then it keeps only what its living
 * connections need. The taker adopts each with the listeners that it has, so that they listen all
 * the time.
 */
#include "nodeproxy/capture/pods_internal.h"

#include "shared/base/log.h"
#include "shared/ring/socket.h"
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

enum { DESCRIPTION_MAX = 12 * 1024 };

int pods_peek(struct pods *p, void (*see)(const struct pod *pod, void *arg), void *arg)
{
    return pods_state_peek(p, see, arg);
}

/* ---- giving ---- */

int pods_freeze(struct pods *p)
{
    list_for_each (n, &p->all) {
        if (entry_of(n)
                ->leaving) /* its namespace may have a successor that waits for our release */
            return -EAGAIN;
    }
    pods_waits_refuse(p);
    p->frozen = true;
    return 0;
}

void pods_unfreeze(struct pods *p)
{
    p->frozen = false;
    pods_directory_changed(p);
}

void pods_retire(struct pods *p)
{
    p->retired = true;
    p->frozen = false;
    privileged_forget(p->privileged, -1);
    list_for_each (n, &p->all) {
        struct pod_listeners *l = &entry_of(n)->pod.listeners;
        for (size_t i = 0; i < POD_LISTENERS; i++)
            socket_close(l->fds[i]);
        *l = POD_LISTENERS_NONE;
    }
    /* What is not captured has nothing to live on for. */
    list_for_each (n, &p->all) {
        struct pod_entry *e = entry_of(n);
        if (!e->pod.captured)
            pods_let_go(p, e, "the successor knows it");
    }
}

int pods_describe(const struct pod *pod, struct text_heap *ret)
{
    text_heap_init(ret, DESCRIPTION_MAX);
    pods_state_encode(container_of(pod, struct pod_entry, pod), ret);
    return ret->failed ? -ENOMEM : 0;
}

/* ---- taking ---- */

static int check_entry(struct pods *p, const struct pod_entry *e, int netns_fd,
                       char why[static PRIVILEGED_WHY_MAX])
{
    struct netns_id now;
    if (pods_find(p, text_of(e->pod.container_id))) {
        snprintf(why, PRIVILEGED_WHY_MAX, "pod %s/%s comes twice", e->pod.ns, e->pod.name);
        return -EEXIST;
    }
    if (p->n_pods >= p->pods_max) {
        snprintf(why, PRIVILEGED_WHY_MAX, "there are more than %zu pods (--pods-max)", p->pods_max);
        return -ENOBUFS;
    }
    if (pods_gone(e) || pods_machine_differs(p, e))
        return -ESTALE;
    if (netns_fd >= 0 && (netns_id(netns_fd, &now) < 0 || !netns_same(&now, &e->netns))) {
        snprintf(why, PRIVILEGED_WHY_MAX, "pod %s/%s comes with the namespace of another one",
                 e->pod.ns, e->pod.name);
        return -EINVAL;
    }
    return 0;
}

int pods_adopt(struct pods *p, const struct json *description, int *io_netns_fd,
               struct pod_listeners *io_listeners, char why[static PRIVILEGED_WHY_MAX])
{
    struct json_error error = {0};
    struct pod_entry *e = NULL;
    int r = pods_state_decode(p, description, &e, &error);
    if (r < 0) {
        snprintf(why, PRIVILEGED_WHY_MAX, "%s", error.text);
        return r;
    }
    r = check_entry(p, e, *io_netns_fd, why);
    if (r < 0) {
        pod_entry_free(e);
        return r;
    }
    p->adopting = true;
    list_push_back(&p->all, &e->pod.link);
    p->n_pods++;
    pods_watch_add(p, e);
    if (*io_netns_fd >= 0) {
        e->pod.netns_fd = *io_netns_fd;
        e->pod.listeners = *io_listeners;
        *io_netns_fd = -1;
        *io_listeners = POD_LISTENERS_NONE;
        e->alone_at_ms = ring_now_ms(p->ring) + p->drain_ms;
        r = pods_capture(p, e, false, why);
    }
    if (r < 0) { /* it is the other one's still: only our part of it goes */
        pods_watch_remove(p, e);
        list_remove(&e->pod.link);
        p->n_pods--;
        pod_entry_free(e);
    }
    return r;
}

void pods_adopted(struct pods *p)
{
    p->adopting = false;
    p->ours = true;
    pods_machine_begin(p);
    pods_put_node_rules(p);
}
