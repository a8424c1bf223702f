/*
 * A namespace lives as long as somebody holds it, and we hold those of captured pods. So its end is
 * seen by its path: the folders of the paths are watched, and now and then all paths are looked at,
 * because not every folder (/proc/PID/ns) tells.
 */
#include "nodeproxy/capture/pods_internal.h"

#include "shared/base/log.h"
#include <errno.h>
#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

enum { SCAN_MS = 5000 };

bool pods_gone(const struct pod_entry *e)
{
    struct netns_id now;
    if (e->process.pid != 0)
        return !pod_process_lives(&e->process);
    int r = netns_id_at(e->pod.netns_path, &now);
    if (r == 0)
        return !netns_same(&now, &e->netns);
    return r == -ENOENT || r == -ENOTDIR;
}

static void scan(struct pods *p)
{
    if (p->frozen) /* soon again */
        return;
    pods_machine_look(p);
    list_for_each (n, &p->all) {
        struct pod_entry *e = entry_of(n);
        if (e->leaving || !pods_gone(e))
            continue;
        if (p->retired) {
            pods_let_go(p, e, "its network namespace vanished");
            continue;
        }
        e->vanished = true;
        pods_remove(p, e, "its network namespace vanished");
    }
}

static void watch_changed(struct ring_op *op, int result)
{
    struct pods *p = container_of(op, struct pods, watch_op);
    char events[4096];
    if (result < 0) {
        log_error("capture", "cannot watch network namespaces: %s", strerror(-result));
        return; /* the scan goes on */
    }
    /* Which one it was does not matter: looking at all is a stat each. */
    while (read(p->inotify_fd, events, sizeof events) > 0)
        ;
    ring_poll(p->ring, &p->watch_op, p->inotify_fd, POLLIN, watch_changed);
    scan(p);
}

static void scan_due(struct timer *t)
{
    struct pods *p = container_of(t, struct pods, scan_timer);
    timer_start(ring_timers(p->ring), &p->scan_timer, SCAN_MS);
    scan(p);
    if (pods_waiting(p) > 0)
        pods_directory_changed(p);
}

int pods_watch_open(struct pods *p)
{
    p->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (p->inotify_fd < 0)
        return -errno;
    ring_scope_init(&p->scope, p->ring, NULL);
    ring_op_init(&p->watch_op, &p->scope);
    ring_poll(p->ring, &p->watch_op, p->inotify_fd, POLLIN, watch_changed);
    timer_init(&p->scan_timer, scan_due);
    timer_start(ring_timers(p->ring), &p->scan_timer, SCAN_MS);
    return 0;
}

void pods_watch_add(struct pods *p, struct pod_entry *e)
{
    char folder[NETNS_PATH_MAX + 1];
    if (e->process.pid != 0 || e->machine) /* /proc tells nobody */
        return;
    const char *slash = strrchr(e->pod.netns_path, '/');
    size_t len = slash == e->pod.netns_path ? 1 : (size_t)(slash - e->pod.netns_path);
    memcpy(folder, e->pod.netns_path, len);
    folder[len] = '\0';
    e->watch = inotify_add_watch(p->inotify_fd, folder,
                                 IN_DELETE | IN_MOVED_FROM | IN_DELETE_SELF | IN_MOVE_SELF);
    if (e->watch < 0)
        log_warn("capture", "cannot watch %s: %s; pods there are looked at every %d s", folder,
                 strerror(errno), SCAN_MS / 1000);
}

void pods_watch_remove(struct pods *p, struct pod_entry *e)
{
    int watch = e->watch;
    e->watch = -1;
    list_for_each (n, &p->all) {
        if (entry_of(n)->watch == watch)
            return;
    }
    if (watch >= 0)
        (void)inotify_rm_watch(p->inotify_fd, watch);
}
