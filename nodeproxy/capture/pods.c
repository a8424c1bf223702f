#include "nodeproxy/capture/pods_internal.h"

#include "shared/base/log.h"
#include "shared/ring/socket.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PODS_MAX_DEFAULT = 512, CNI_WAIT_MS = 10 * 1000 };

/* ---- entries ---- */

static bool is_name(struct text t, size_t max, const char *beside)
{
    if (t.len == 0 || t.len > max)
        return false;
    for (size_t i = 0; i < t.len; i++) {
        char c = t.data[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && (i == 0 || !strchr(beside, c) || c == '\0'))
            return false;
    }
    return true;
}

static int check_spec(const struct pod_spec *s, char why[static PRIVILEGED_WHY_MAX])
{
    const char *what = NULL;
    if (!is_name(s->container_id, CONTAINER_ID_MAX, "_.-"))
        what = "containerId: must be letters, digits, '_', '.' and '-', at most 128";
    else if (!is_name(s->name, POD_NAME_MAX, ".-"))
        what = "podName: must be the name of a pod";
    else if (!is_name(s->ns, POD_NS_MAX, "-"))
        what = "podNamespace: must be the name of a Kubernetes namespace";
    else if (s->netns_path.len == 0 || s->netns_path.len > NETNS_PATH_MAX ||
             s->netns_path.data[0] != '/' || memchr(s->netns_path.data, '\0', s->netns_path.len))
        what = "netns: must be the absolute path of a network namespace";
    if (!what)
        return 0;
    snprintf(why, PRIVILEGED_WHY_MAX, "%s", what);
    return -EINVAL;
}

static char *make_uid(const char *cluster_id, const struct pod_spec *s)
{
    char *uid = NULL;
    if (asprintf(&uid, "%s/%s/%.*s/%.*s", cluster_id,
                 s->machine ? "networking.istio.io/WorkloadEntry" : "/Pod", (int)s->ns.len,
                 s->ns.data, (int)s->name.len, s->name.data) < 0)
        return NULL;
    return uid;
}

int pod_entry_new(struct pods *p, const struct pod_spec *s, struct pod_entry **ret,
                  char why[static PRIVILEGED_WHY_MAX])
{
    int r = check_spec(s, why);
    if (r < 0)
        return r;
    struct pod_entry *e = calloc(1, sizeof *e);
    if (!e)
        return -ENOMEM;
    list_init(&e->pod.link);
    e->watch = e->pod.netns_fd = -1;
    e->pod.listeners = POD_LISTENERS_NONE;
    e->machine = s->machine;
    e->pod.name = text_dup(s->name);
    e->pod.ns = text_dup(s->ns);
    e->pod.container_id = text_dup(s->container_id);
    e->pod.netns_path = text_dup(s->netns_path);
    e->pod.uid = make_uid(p->cluster_id, s);
    if (!e->pod.name || !e->pod.ns || !e->pod.container_id || !e->pod.netns_path || !e->pod.uid) {
        pod_entry_free(e);
        return -ENOMEM;
    }
    memcpy(e->pod.addresses, s->addresses, sizeof e->pod.addresses);
    e->pod.n_addresses = s->n_addresses;
    *ret = e;
    return 0;
}

static void close_descriptors(struct pod *pod)
{
    for (size_t i = 0; i < POD_LISTENERS; i++)
        socket_close(pod->listeners.fds[i]);
    pod->listeners = POD_LISTENERS_NONE;
    if (pod->netns_fd >= 0)
        close(pod->netns_fd);
    pod->netns_fd = -1;
    pod->captured = false;
}

struct pod_entry *pod_entry_free(struct pod_entry *e)
{
    if (!e)
        return NULL;
    assert(list_empty(&e->pod.link));
    close_descriptors(&e->pod);
    free(e->pod.name);
    free(e->pod.ns);
    free(e->pod.container_id);
    free(e->pod.netns_path);
    free(e->pod.uid);
    free(e);
    return NULL;
}

struct pod_entry *pods_find(struct pods *p, struct text container_id)
{
    list_for_each (n, &p->all) {
        struct pod_entry *e = entry_of(n);
        if (!e->leaving && text_equal(text_of(e->pod.container_id), container_id))
            return e;
    }
    return NULL;
}

int pods_register(struct pods *p, struct pod_entry *taken_entry)
{
    struct pod_entry *e = taken_entry;
    int r = p->n_pods >= p->pods_max ? -ENOBUFS : pods_state_write(p, e);
    if (r < 0) {
        pod_entry_free(e);
        return r;
    }
    list_push_back(&p->all, &e->pod.link);
    p->n_pods++;
    pods_watch_add(p, e);
    return 0;
}

struct pod_entry *pods_leaving_like(struct pods *p, const struct pod_entry *e)
{
    list_for_each (n, &p->all) {
        struct pod_entry *other = entry_of(n);
        if (other->leaving &&
            (netns_same(&other->netns, &e->netns) || strcmp(other->pod.uid, e->pod.uid) == 0))
            return other;
    }
    return NULL;
}

/* ---- capture ---- */

static int put_node_rules(struct pods *p, char why[static PRIVILEGED_WHY_MAX])
{
    if (p->restoring || p->adopting) /* once, at its end */
        return 0;
    struct ip *pods = calloc(p->pods_max * POD_ADDRESSES_MAX, sizeof *pods);
    if (!pods) {
        snprintf(why, PRIVILEGED_WHY_MAX, "no memory for the node's rules");
        return -ENOMEM;
    }
    size_t n = 0;
    list_for_each (link, &p->all) {
        const struct pod *pod = &entry_of(link)->pod;
        /* A machine's own processes reach each other without us. */
        bool captured = pod->captured && !entry_of(link)->quiet && !entry_of(link)->machine;
        for (size_t i = 0; captured && i < pod->n_addresses; i++)
            pods[n++] = pod->addresses[i];
    }
    int r = privileged_node_rules(p->privileged, pods, n, why);
    free(pods);
    return r;
}

void pods_put_node_rules(struct pods *p)
{
    char why[PRIVILEGED_WHY_MAX] = "";
    if (put_node_rules(p, why) < 0)
        log_error("capture", "the node's rules for probes are out of date: %s", why);
}

static int open_namespace(struct pods *p, struct pod_entry *e, char why[static PRIVILEGED_WHY_MAX])
{
    struct netns_id id;
    int fd, r = privileged_netns_open(p->privileged, e->pod.netns_path, &fd, why);
    if (r < 0)
        return r;
    r = netns_id(fd, &id);
    if (r == 0 && !netns_same(&id, &e->netns)) {
        snprintf(why, PRIVILEGED_WHY_MAX, "%.160s leads to another namespace by now",
                 e->pod.netns_path);
        r = -ESTALE;
    }
    if (r < 0) {
        close(fd);
        return r;
    }
    e->pod.netns_fd = fd;
    return 0;
}

int pods_capture(struct pods *p, struct pod_entry *e, bool running,
                 char why[static PRIVILEGED_WHY_MAX])
{
    assert(!e->pod.captured);
    int r = e->pod.netns_fd < 0 ? open_namespace(p, e, why) : 0;
    if (r < 0)
        return r;
    e->wanted = true;
    if (e->machine)
        pods_machine_note_cgroups(p);
    int (*enrol)(struct privileged *, int, struct pod_listeners *, char *) =
        running && !e->machine ? privileged_enrol_running : privileged_enrol;
    r = enrol(p->privileged, e->pod.netns_fd, &e->pod.listeners, why);
    if (r < 0)
        goto close_again;
    e->pod.captured = true;
    r = pods_state_write(p, e);
    if (r < 0)
        snprintf(why, PRIVILEGED_WHY_MAX, "cannot write into %.160s: %s", p->state_dir,
                 strerror(-r));
    else
        r = put_node_rules(p, why);
    if (r < 0)
        goto release_again;
    log_debug("capture", "pod %s/%s is captured", e->pod.ns, e->pod.name);
    p->events->added(p, &e->pod, p->arg);
    return 0;
release_again:;
    char ignored[PRIVILEGED_WHY_MAX];
    if (p->adopting)
        privileged_forget(p->privileged, e->pod.netns_fd);
    else
        (void)privileged_release(p->privileged, e->pod.netns_fd, ignored);
close_again:
    close_descriptors(&e->pod);
    return r;
}

static void forget(struct pods *p, struct pod_entry *e)
{
    list_remove(&e->pod.link);
    p->n_pods--;
    pod_entry_free(e);
}

/* A captured one goes on until its owner has let go of it. */
static void leave(struct pods *p, struct pod_entry *e)
{
    pods_watch_remove(p, e);
    if (!e->pod.captured) {
        forget(p, e);
        return;
    }
    e->leaving = true;
    e->pod.captured = false;
    if (!p->retired)
        pods_put_node_rules(p);
    p->events->removed(p, &e->pod, p->arg);
}

/* Its rules, its file and the rest of the node's are the successor's business; ours are its
 * connections. */
void pods_let_go(struct pods *p, struct pod_entry *e, const char *reason)
{
    log_info("capture", "pod %s/%s: %s", e->pod.ns, e->pod.name, reason);
    e->vanished = true;
    leave(p, e);
}

void pods_remove(struct pods *p, struct pod_entry *e, const char *reason)
{
    log_info("capture", "pod %s/%s: %s", e->pod.ns, e->pod.name, reason);
    pods_state_remove(p, e);
    leave(p, e);
}

void pods_released(struct pods *p, struct pod *taken_pod)
{
    struct pod_entry *e = container_of(taken_pod, struct pod_entry, pod);
    char why[PRIVILEGED_WHY_MAX];
    if (e->vanished)
        privileged_forget(p->privileged, e->pod.netns_fd);
    else if (privileged_release(p->privileged, e->pod.netns_fd, why) < 0) {
        log_warn("capture", "pod %s/%s: cannot take the rules out of its namespace: %s", e->pod.ns,
                 e->pod.name, why);
        privileged_forget(p->privileged, e->pod.netns_fd);
    }
    pods_waits_released(p, e);
    forget(p, e);
    if (!p->closing)
        ring_task_ask(p->ring, &p->waits_task);
}

void pods_uncapture(struct pods *p, struct pod_entry *e)
{
    struct pod_spec spec = {.container_id = text_of(e->pod.container_id),
                            .netns_path = text_of(e->pod.netns_path),
                            .name = text_of(e->pod.name),
                            .ns = text_of(e->pod.ns),
                            .n_addresses = e->pod.n_addresses};
    memcpy(spec.addresses, e->pod.addresses, sizeof spec.addresses);
    char why[PRIVILEGED_WHY_MAX] = "no memory";
    struct pod_entry *plain;
    int r = pod_entry_new(p, &spec, &plain, why);
    if (r == 0) {
        plain->netns = e->netns;
        plain->process = e->process;
        /* The rules first: whoever connects from now on reaches the application without us. */
        r = privileged_release(p->privileged, e->pod.netns_fd, why);
    }
    if (r < 0) {
        log_error("capture", "pod %s/%s is no longer enrolled and can't be let go: %s", e->pod.ns,
                  e->pod.name, why);
        if (plain)
            pod_entry_free(plain);
        e->quiet_since_ms = ring_now_ms(p->ring);
        return;
    }
    log_info("capture", "pod %s/%s has left the mesh", e->pod.ns, e->pod.name);
    e->vanished = true;
    p->n_pods--; /* lent to its successor, so that it has room */
    if (pods_register(p, plain) < 0)
        log_warn("capture", "pod %s/%s can't be remembered", e->pod.ns, e->pod.name);
    p->n_pods++;
    leave(p, e);
}

/* ---- the directory ---- */

static void reconcile(struct pods *p, struct pod_entry *e)
{
    char why[PRIVILEGED_WHY_MAX];
    int r = 0;
    if (e->pod.captured && !e->quiet && !e->wanted)
        pods_quieten(p, e);
    else if (e->quiet && e->wanted)
        r = pods_revive(p, e, why);
    else if (!e->pod.captured && e->wanted && !pods_leaving_like(p, e))
        r = pods_capture(p, e, true, why);
    if (r < 0)
        log_error("capture", "pod %s/%s is enrolled but can't be captured: %s", e->pod.ns,
                  e->pod.name, why);
}

void pods_directory_changed(struct pods *p)
{
    if (p->closing || p->frozen)
        return;
    pods_machine_begin(p);
    list_for_each (n, &p->all) {
        struct pod_entry *e = entry_of(n);
        if (e->leaving)
            continue;
        enum pod_enrolment enrolment = p->events->enrolment(p, e->pod.uid, p->arg);
        if (p->retired) /* what lives in it may go on as long as we do */
            continue;
        if (enrolment != POD_UNKNOWN_YET && !e->machine)
            e->wanted = enrolment == POD_ENROLLED;
        reconcile(p, e);
    }
    ring_task_ask(p->ring, &p->waits_task);
}

size_t pods_waiting(struct pods *p)
{
    size_t n = pods_machine_missing(p) + p->cgroups_stale;
    list_for_each (link, &p->all) {
        const struct pod_entry *e = entry_of(link);
        n += e->wanted && !e->pod.captured && !e->leaving;
    }
    return n;
}

/* ---- restart ---- */

static void restore_one(struct pods *p, struct pod_entry *taken_entry)
{
    struct pod_entry *e = taken_entry;
    char why[PRIVILEGED_WHY_MAX];
    if (pods_gone(e)) {
        log_info("capture", "pod %s/%s is gone since the last run", e->pod.ns, e->pod.name);
        pods_state_remove(p, e);
        pod_entry_free(e);
        return;
    }
    if (pods_machine_differs(p, e)) {
        log_info("capture", "pod %s/%s is no longer this node's", e->pod.ns, e->pod.name);
        pods_state_remove(p, e);
        pod_entry_free(e);
        return;
    }
    if (pods_find(p, text_of(e->pod.container_id))) { /* of a take-over that broke off */
        pod_entry_free(e);
        return;
    }
    if (p->n_pods >= p->pods_max) {
        log_error("capture", "pod %s/%s: more than %zu pods", e->pod.ns, e->pod.name, p->pods_max);
        pod_entry_free(e);
        return;
    }
    list_push_back(&p->all, &e->pod.link);
    p->n_pods++;
    pods_watch_add(p, e);
    if (e->leftover)
        pods_quiet_clean(p, e);
    if (e->wanted && pods_capture(p, e, false, why) < 0)
        log_error("capture", "pod %s/%s can't be captured again yet: %s", e->pod.ns, e->pod.name,
                  why);
}

int pods_restore(struct pods *p)
{
    p->restoring = true;
    int r = pods_state_read(p, restore_one);
    p->restoring = false;
    p->ours = true;
    pods_machine_begin(p);
    pods_put_node_rules(p);
    return r;
}

/* ---- life ---- */

int pods_open(struct pods **ret, struct ring *ring, struct privileged *privileged,
              const struct pods_options *o, const struct pods_events *events, void *arg)
{
    struct pods *p = calloc(1, sizeof *p);
    if (!p)
        return -ENOMEM;
    p->ring = ring;
    p->privileged = privileged;
    p->events = events;
    p->arg = arg;
    p->cni_wait_ms = o->cni_wait_ms > 0 ? o->cni_wait_ms : CNI_WAIT_MS;
    p->pods_max = o->pods_max > 0 ? o->pods_max : PODS_MAX_DEFAULT;
    p->inotify_fd = -1;
    list_init(&p->all);
    list_init(&p->waits);
    ring_task_init(&p->waits_task, pods_waits_run);
    p->machine = o->machine;
    p->drain_ms = o->drain_ms;
    pods_search_init(p);
    pods_quiet_init(p);
    p->state_dir = strdup(o->state_dir);
    p->cluster_id = strdup(o->cluster_id);
    int r = p->state_dir && p->cluster_id ? 0 : -ENOMEM;
    if (r == 0 && mkdir(p->state_dir, 0700) < 0 && errno != EEXIST)
        r = -errno;
    if (r == 0)
        r = pods_watch_open(p);
    if (r < 0) {
        free(p->state_dir);
        free(p->cluster_id);
        free(p);
        return r;
    }
    *ret = p;
    return 0;
}

struct list *pods_all(struct pods *p)
{
    return &p->all;
}

struct privileged *pods_privileged(struct pods *p)
{
    return p->privileged;
}

static void free_entries(struct list *entries)
{
    for (struct list *n; (n = list_pop_front(entries));)
        pod_entry_free(entry_of(n));
}

static void drained(struct ring_scope *scope)
{
    struct pods *p = container_of(scope, struct pods, scope);
    close(p->inotify_fd);
    free(p->state_dir);
    free(p->cluster_id);
    free(p);
}

void pods_close(struct pods *p)
{
    p->closing = true;
    pods_waits_refuse(p);
    ring_task_cancel(&p->waits_task);
    free_entries(&p->all);
    timer_stop(ring_timers(p->ring), &p->scan_timer);
    timer_stop(ring_timers(p->ring), &p->quiet_timer);
    pods_search_done(p);
    p->scope.drained = drained;
    ring_scope_close(&p->scope);
}
