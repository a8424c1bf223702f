/*
 * A machine's processes as one pod, whose namespace is our own: captured from the start on, whatever
 * the directory knows or says of it, so that nothing of the chosen processes goes in plain while the
 * controller is away, or because somebody wrote another WorkloadEntry: the machine's options say it.
 */
#include "nodeproxy/capture/pods_internal.h"

#include "shared/base/log.h"
#include <errno.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#define MACHINE_ID    "machine"
#define OWN_NAMESPACE "/proc/self/ns/net"
#define CGROUPS       "/sys/fs/cgroup/"

bool pods_machine_differs(const struct pods *p, const struct pod_entry *e)
{
    const struct pods_machine *m = p->machine;
    if (!m)
        return e->machine;
    bool same = e->machine && strcmp(m->ns, e->pod.ns) == 0 && strcmp(m->name, e->pod.name) == 0 &&
                m->n_addresses == e->pod.n_addresses;
    for (size_t i = 0; same && i < m->n_addresses; i++)
        same = ip_equal(&m->addresses[i], &e->pod.addresses[i]);
    return !same;
}

static int add(struct pods *p, struct pod_entry **ret, char why[static PRIVILEGED_WHY_MAX])
{
    const struct pods_machine *m = p->machine;
    struct pod_spec spec = {.container_id = TEXT(MACHINE_ID),
                            .netns_path = TEXT(OWN_NAMESPACE),
                            .name = text_of(m->name),
                            .ns = text_of(m->ns),
                            .machine = true,
                            .n_addresses = m->n_addresses};
    memcpy(spec.addresses, m->addresses, sizeof spec.addresses);
    snprintf(why, PRIVILEGED_WHY_MAX, "no memory");
    int r = pod_entry_new(p, &spec, ret, why);
    if (r < 0)
        return r;
    r = netns_id_at(OWN_NAMESPACE, &(*ret)->netns);
    if (r < 0) {
        *ret = pod_entry_free(*ret);
        return why_errno(r, why, "cannot look at the own network namespace");
    }
    (*ret)->wanted = true;
    r = pods_register(p, *ret);
    return r < 0 ? why_errno(r, why, "it can't be written into %.120s", p->state_dir) : 0;
}

bool pods_machine_missing(struct pods *p)
{
    return p->machine && p->ours && !p->retired && !pods_find(p, TEXT(MACHINE_ID));
}

/* What fails is tried again every few seconds, as pods are. */
void pods_machine_begin(struct pods *p)
{
    char why[PRIVILEGED_WHY_MAX];
    struct pod_entry *e;
    if (!pods_machine_missing(p))
        return;
    int r = add(p, &e, why);
    if (r == 0)
        r = pods_capture(p, e, false, why);
    if (r < 0)
        log_error("capture", "the machine's processes can't be captured yet: %s", why);
}

/* ---- cgroups that come and go ---- */

/* The folders above it, as far as they are there: each tells of the next one. What can't be watched is
 * looked at every few seconds. */
static void watch_above(struct pods *p, const char *path)
{
    for (size_t i = 0; path[i]; i++)
        if (path[i] == '/') {
            char folder[NETNS_PATH_MAX];
            snprintf(folder, sizeof folder, "%.*s", (int)i + 1, path);
            if (i + 1 >= sizeof CGROUPS - 1)
                (void)inotify_add_watch(p->inotify_fd, folder,
                                        IN_CREATE | IN_DELETE | IN_MOVED_TO | IN_ONLYDIR);
        }
}

static void find_cgroups(struct pods *p, uint64_t ret[static PODS_CGROUPS_MAX])
{
    for (size_t i = 0; i < p->machine->cgroups->n; i++) {
        char path[NETNS_PATH_MAX];
        struct stat s;
        snprintf(path, sizeof path, CGROUPS "%s", p->machine->cgroups->items[i]);
        watch_above(p, path); /* first, so that nothing comes between */
        ret[i] = stat(path, &s) == 0 ? s.st_ino : 0;
    }
}

void pods_machine_note_cgroups(struct pods *p)
{
    if (!p->machine || !p->machine->cgroups)
        return;
    find_cgroups(p, p->cgroups);
    for (size_t i = 0; i < p->machine->cgroups->n; i++)
        if (p->cgroups[i] == 0)
            log_warn("capture", "there is no cgroup %s%s: nothing is captured of it until it comes",
                     CGROUPS, p->machine->cgroups->items[i]);
}

static void say_changes(const struct pods *p, const uint64_t now[static PODS_CGROUPS_MAX])
{
    for (size_t i = 0; i < p->machine->cgroups->n; i++)
        if (now[i] != p->cgroups[i])
            log_info("capture", "cgroup %s is %s: the rules are made anew",
                     p->machine->cgroups->items[i],
                     now[i] == 0          ? "gone"
                     : p->cgroups[i] == 0 ? "there"
                                          : "another one");
}

void pods_machine_look(struct pods *p)
{
    uint64_t now[PODS_CGROUPS_MAX] = {0};
    char why[PRIVILEGED_WHY_MAX];
    struct pod_entry *e = p->machine && p->machine->cgroups ? pods_find(p, TEXT(MACHINE_ID)) : NULL;
    if (!e || !e->pod.captured || e->leaving || p->retired)
        return;
    find_cgroups(p, now);
    if (memcmp(now, p->cgroups, sizeof now) == 0)
        return;
    int r = privileged_enrol(p->privileged, e->pod.netns_fd, &e->pod.listeners, why);
    p->cgroups_stale = r < 0;
    if (r < 0) {
        log_error("capture",
                  "cgroups have changed and the rules can't be made anew; WHAT RUNS IN THEM GOES "
                  "IN PLAINTEXT until then: %s",
                  why);
        return;
    }
    say_changes(p, now);
    memcpy(p->cgroups, now, sizeof now);
}
