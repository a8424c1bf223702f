/*
 * Pods that ran before anybody told us: the label was set on their namespace, or the plugin came to
 * this node after them. The directory says that they are enrolled, no request of the plugin came,
 * so their namespace is looked for among the node's processes: that of the pod's oldest process,
 * the sandbox's own, since a later one may have made itself another. /proc is walked a piece a
 * turn, for all of them at once, and again later for those that were not found.
 */
#include "nodeproxy/capture/pods_internal.h"

#include "shared/base/log.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PIECE = 64, PIECE_MS = 1, SOON_MS = 20, AGAIN_MS = 500, AGAIN_MS_MAX = 30000 };

struct sought {
    struct list link; /* in pods->search.all */
    struct pods_expected told;
    bool looking;
    struct pod_process oldest; /* while looking; pid 0: none yet */
    uint64_t due_ms, wait_ms;
};

static struct sought *sought_of(struct list *link)
{
    return container_of(link, struct sought, link);
}

static struct pods *pods_of(struct pods_search *s)
{
    return container_of(s, struct pods, search);
}

static void forget(struct pods *p, struct sought *w)
{
    list_remove(&w->link);
    p->search.n--;
    free(w);
}

static bool is_known(struct pods *p, const char *uid)
{
    list_for_each (n, &p->all)
        if (strcmp(entry_of(n)->pod.uid, uid) == 0)
            return true;
    list_for_each (n, &p->waits) {
        const struct cni_wait *w = container_of(n, struct cni_wait, link);
        if (w->kind == WAIT_ADD && strcmp(w->entry->pod.uid, uid) == 0)
            return true;
    }
    return false;
}

/* ---- found ---- */

static int make_entry(struct pods *p, const struct sought *w, struct pod_entry **ret,
                      char why[static PRIVILEGED_WHY_MAX])
{
    char path[64], id[POD_UID_LEN + 8];
    snprintf(path, sizeof path, "/proc/%d/ns/net", (int)w->oldest.pid);
    snprintf(id, sizeof id, "pod-%s", w->told.pod_uid);
    struct pod_spec spec = {.container_id = text_of(id),
                            .netns_path = text_of(path),
                            .name = text_of(w->told.name),
                            .ns = text_of(w->told.ns),
                            .n_addresses = w->told.n_addresses};
    memcpy(spec.addresses, w->told.addresses, sizeof spec.addresses);
    int r = pod_entry_new(p, &spec, ret, why);
    if (r == 0)
        (*ret)->process = w->oldest;
    return r;
}

/* The number may have become another process's before the namespace was opened; not after. */
static int open_namespace(struct pods *p, struct pod_entry *e, const struct sought *w,
                          char why[static PRIVILEGED_WHY_MAX])
{
    struct pod_process now;
    char uid[POD_UID_LEN + 1];
    int r = privileged_netns_open(p->privileged, e->pod.netns_path, &e->pod.netns_fd, why);
    if (r < 0)
        return r;
    r = netns_id(e->pod.netns_fd, &e->netns);
    if (r == 0)
        r = pod_process_look(w->oldest.pid, &now, uid);
    if (r < 0 || now.start != w->oldest.start || strcmp(uid, w->told.pod_uid) != 0) {
        snprintf(why, PRIVILEGED_WHY_MAX, "its process ended just now");
        return -ESRCH;
    }
    list_for_each (n, &p->all) {
        const struct pod_entry *other = entry_of(n);
        if (!netns_same(&other->netns, &e->netns))
            continue;
        snprintf(why, PRIVILEGED_WHY_MAX, "it is in the network namespace of pod %.60s/%.120s",
                 other->pod.ns, other->pod.name);
        return -EEXIST;
    }
    return 0;
}

static int take(struct pods *p, const struct sought *w)
{
    char why[PRIVILEGED_WHY_MAX] = "no memory";
    struct pod_entry *e = NULL;
    int r = make_entry(p, w, &e, why);
    if (r == 0)
        r = open_namespace(p, e, w, why);
    if (r == 0) {
        struct pod_entry *taken = e;
        e = NULL;
        r = pods_register(p, taken);
        if (r < 0)
            snprintf(why, sizeof why, "%s", r == -ENOBUFS ? "too many pods" : strerror(-r));
        else if (pods_capture(p, taken, true, why) == 0)
            log_info("capture", "pod %s/%s ran already: found by its process %d", w->told.ns,
                     w->told.name, (int)w->oldest.pid);
        else /* as any other that is known and not captured: tried again every few seconds */
            log_error("capture", "pod %s/%s runs already and can't be captured yet: %s", w->told.ns,
                      w->told.name, why);
    }
    pod_entry_free(e);
    if (r < 0)
        log_error("capture", "pod %s/%s runs already and can't be taken: %s", w->told.ns,
                  w->told.name, why);
    return r;
}

/* ---- the walk ---- */

static void later(struct pods *p, struct sought *w)
{
    w->looking = false;
    w->wait_ms = w->wait_ms ? w->wait_ms * 2 : AGAIN_MS;
    if (w->wait_ms > AGAIN_MS_MAX)
        w->wait_ms = AGAIN_MS_MAX;
    w->due_ms = ring_now_ms(p->ring) + w->wait_ms;
}

static void walk_over(struct pods *p)
{
    uint64_t now = ring_now_ms(p->ring), next = AGAIN_MS_MAX;
    closedir(p->search.proc);
    p->search.proc = NULL;
    list_for_each (n, &p->search.all) {
        struct sought *w = sought_of(n);
        bool found = w->looking && w->oldest.pid != 0;
        if (found && !p->frozen && !p->retired && !is_known(p, w->told.uid) && take(p, w) == 0) {
            forget(p, w);
            continue;
        }
        if (w->looking)
            later(p, w);
        if (w->due_ms <= now)
            next = 0;
        else if (w->due_ms - now < next)
            next = w->due_ms - now;
    }
    if (p->search.n > 0)
        timer_start(ring_timers(p->ring), &p->search.timer, next > SOON_MS ? next : SOON_MS);
}

static void see(struct pods *p, pid_t pid)
{
    struct pod_process found;
    char uid[POD_UID_LEN + 1];
    if (pod_process_look(pid, &found, uid) < 0)
        return;
    list_for_each (n, &p->search.all) {
        struct sought *w = sought_of(n);
        bool older = w->oldest.pid == 0 || found.start < w->oldest.start ||
                     (found.start == w->oldest.start && found.pid < w->oldest.pid);
        if (w->looking && older && strcmp(w->told.pod_uid, uid) == 0)
            w->oldest = found;
    }
}

static void walk_on(struct pods *p)
{
    for (unsigned i = 0; i < PIECE; i++) {
        uint64_t pid;
        const struct dirent *d = readdir(p->search.proc);
        if (!d) {
            walk_over(p);
            return;
        }
        if (text_to_u64(text_of(d->d_name), INT32_MAX, &pid) == 0)
            see(p, (pid_t)pid);
    }
    timer_start(ring_timers(p->ring), &p->search.timer, PIECE_MS);
}

/* Those that are still to be found; false: none is now. */
static bool choose(struct pods *p)
{
    uint64_t now = ring_now_ms(p->ring);
    bool any = false;
    list_for_each (n, &p->search.all) {
        struct sought *w = sought_of(n);
        if (is_known(p, w->told.uid) ||
            p->events->enrolment(p, w->told.uid, p->arg) != POD_ENROLLED) {
            forget(p, w);
            continue;
        }
        w->looking = w->due_ms <= now;
        w->oldest = (struct pod_process){0};
        any = any || w->looking;
    }
    return any;
}

static void walk(struct timer *t)
{
    struct pods *p = pods_of(container_of(t, struct pods_search, timer));
    if (p->search.proc) {
        walk_on(p);
        return;
    }
    if (!p->ours || p->frozen) {
        timer_start(ring_timers(p->ring), t, AGAIN_MS);
        return;
    }
    bool any = !p->retired && choose(p);
    p->search.proc = any ? opendir("/proc") : NULL;
    if (p->search.proc)
        walk_on(p);
    else if (!p->retired && p->search.n > 0)
        timer_start(ring_timers(p->ring), t, AGAIN_MS);
}

/* ---- from outside ---- */

void pods_expect(struct pods *p, const struct pods_expected *told)
{
    if (p->closing || p->retired || told->n_addresses == 0 || !pod_uid_is(text_of(told->pod_uid)) ||
        is_known(p, told->uid))
        return;
    list_for_each (n, &p->search.all) {
        struct sought *w = sought_of(n);
        if (strcmp(w->told.uid, told->uid) == 0) { /* perhaps another pod of the same name */
            w->told = *told;
            w->oldest = (struct pod_process){0};
            return;
        }
    }
    struct sought *w = p->search.n < p->pods_max ? calloc(1, sizeof *w) : NULL;
    if (!w) {
        log_error("capture", "pod %s is enrolled, and there is no room to look for it", told->uid);
        return;
    }
    w->told = *told;
    list_push_back(&p->search.all, &w->link);
    p->search.n++;
    w->due_ms =
        ring_now_ms(p->ring) + SOON_MS; /* others come with it, and a request of the plugin */
    if (!p->search.proc)
        timer_start(ring_timers(p->ring), &p->search.timer, SOON_MS);
}

void pods_search_init(struct pods *p)
{
    list_init(&p->search.all);
    timer_init(&p->search.timer, walk);
}

void pods_search_done(struct pods *p)
{
    timer_stop(ring_timers(p->ring), &p->search.timer);
    if (p->search.proc)
        closedir(p->search.proc);
    p->search.proc = NULL;
    list_for_each (n, &p->search.all)
        forget(p, sought_of(n));
}
