/*
 * What the CNI plugin asks for. An ADD is answered when the pod's listeners exist, or when it is
 * known that it needs none; a DEL when nothing of ours is left in the namespace. Until then they
 * wait, with a deadline each.
 */
#include "nodeproxy/capture/pods_internal.h"

#include "shared/base/log.h"
#include "shared/json/json.h"
#include "shared/json/json_out.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { DEL_WAIT_MS = 5000, REQUEST_DEPTH_MAX = 8, REQUEST_NODES_MAX = 64 };

/* ---- answers ---- */

static void answer_ok(struct admin_exchange *x)
{
    admin_answer(x, 200, "application/json", TEXT("{}\n"));
}

static void answer_error(struct admin_exchange *x, unsigned status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void answer_error(struct admin_exchange *x, unsigned status, const char *format, ...)
{
    char words[512];
    va_list args;
    va_start(args, format);
    vsnprintf(words, sizeof words, format, args);
    va_end(args);
    struct text_heap body;
    struct json_out o;
    text_heap_init(&body, 8192);
    json_out_init(&o, &body, false);
    json_out_object(&o, NULL);
    json_out_string(&o, "error", words);
    json_out_end(&o);
    text_heap_puts(&body, "\n");
    admin_answer(x, status, "application/json",
                 body.failed ? TEXT("{}\n") : (struct text){body.data, body.len});
    text_heap_done(&body);
}

static void wait_free(struct cni_wait *w)
{
    timer_stop(ring_timers(w->pods->ring), &w->deadline);
    list_remove(&w->link);
    w->pods->n_waits--;
    if (w->kind == WAIT_ADD)
        pod_entry_free(w->entry);
    free(w);
}

/* Those that wait when it begins are answered by pods_waits_refuse(). */
static bool is_handed_over(const struct pods *p, struct admin_exchange *x)
{
    if (p->frozen || p->retired)
        answer_error(x, 503, "another node proxy is just taking over this node; try again");
    return p->frozen || p->retired;
}

/* ---- requests ---- */

static bool read_request(struct admin_exchange *x, const struct http1_request *request,
                         struct json **ret)
{
    static const struct json_limits limits = {64 * 1024, REQUEST_NODES_MAX, REQUEST_DEPTH_MAX};
    struct json_error error = {0};
    int r = json_parse(request->body, &limits, ret, &error);
    if (r < 0)
        answer_error(x, r == -ENOMEM ? 503 : 400, "request: %s", error.text);
    return r == 0;
}

static int decode_spec(const struct json *root, struct pod_spec *s, struct json_error *error)
{
    const struct json *ips = NULL;
    json_read_text(root, "containerId", &s->container_id, error);
    json_read_text(root, "netns", &s->netns_path, error);
    json_read_text(root, "podName", &s->name, error);
    json_read_text(root, "podNamespace", &s->ns, error);
    json_opt_node(root, "ips", JSON_ARRAY, &ips, error);
    json_for_each (item, ips) {
        if (s->n_addresses == POD_ADDRESSES_MAX)
            return json_fail(error, item, "more than %d addresses", POD_ADDRESSES_MAX);
        if (ip_parse(json_text(item), &s->addresses[s->n_addresses++]) < 0)
            return json_fail(error, item, "must be an IP address");
    }
    return json_failed(error) ? -EINVAL : 0;
}

/* ---- ADD ---- */

/* Whom this one replaces: an older sandbox of the same pod, or who had its namespace. */
static struct pod_entry *predecessor(struct pods *p, const struct pod_entry *e)
{
    list_for_each (n, &p->all) {
        struct pod_entry *other = entry_of(n);
        if (!other->leaving && (netns_same(&other->netns, &e->netns) ||
                                strcmp(other->pod.container_id, e->pod.container_id) == 0 ||
                                strcmp(other->pod.uid, e->pod.uid) == 0))
            return other;
    }
    return NULL;
}

static void finish_add(struct cni_wait *w, bool capture)
{
    struct pods *p = w->pods;
    struct pod_entry *e = w->entry;
    struct admin_exchange *x = w->exchange;
    char why[PRIVILEGED_WHY_MAX] = "";
    w->entry = NULL;
    wait_free(w);
    int r = pods_register(p, e);
    if (r < 0) {
        answer_error(x, 503,
                     r == -ENOBUFS ? "this node has as many pods as the node proxy takes (%zu)"
                                   : "cannot note the pod in the state folder (of %zu at most)",
                     p->pods_max);
        return;
    }
    if (capture && pods_capture(p, e, false, why) < 0) {
        answer_error(x, 503, "pod %s/%s can't be captured: %s", e->pod.ns, e->pod.name, why);
        pods_remove(p, e, "it could not be captured");
        return;
    }
    answer_ok(x);
}

static void try_add(struct cni_wait *w)
{
    struct pods *p = w->pods;
    struct pod_entry *other;
    while ((other = predecessor(p, w->entry)))
        pods_remove(p, other, "it was added anew");
    if (pods_leaving_like(p, w->entry))
        return;
    enum pod_enrolment enrolment = p->events->enrolment(p, w->entry->pod.uid, p->arg);
    if (enrolment != POD_UNKNOWN_YET)
        finish_add(w, enrolment == POD_ENROLLED);
}

void pods_waits_run(struct ring_task *task)
{
    struct pods *p = container_of(task, struct pods, waits_task);
    list_for_each (n, &p->waits) {
        struct cni_wait *w = container_of(n, struct cni_wait, link);
        if (w->kind == WAIT_ADD) {
            try_add(w);
        } else if (!w->entry) {
            answer_ok(w->exchange);
            wait_free(w);
        }
    }
}

static void wait_over(struct timer *t)
{
    struct cni_wait *w = container_of(t, struct cni_wait, deadline);
    const struct pod *pod = w->entry ? &w->entry->pod : NULL;
    if (w->kind == WAIT_DEL) {
        if (pod)
            log_warn("capture", "pod %s/%s: its connections are slow to end", pod->ns, pod->name);
        answer_ok(w->exchange);
    } else if (pods_leaving_like(w->pods, w->entry)) {
        answer_error(w->exchange, 503, "an earlier sandbox of pod %s/%s is still ending", pod->ns,
                     pod->name);
    } else {
        answer_error(
            w->exchange, 503,
            "the controller has not told the node proxy about pod %s/%s, for %llu ms: is it "
            "running, and does it know this pod (%s)?",
            pod->ns, pod->name, (unsigned long long)w->pods->cni_wait_ms, pod->uid);
    }
    wait_free(w);
}

static struct cni_wait *wait_new(struct pods *p, enum wait_kind kind, struct pod_entry *e,
                                 struct admin_exchange *x, uint64_t wait_ms)
{
    struct cni_wait *w = p->n_waits < p->pods_max ? calloc(1, sizeof *w) : NULL;
    if (!w)
        return NULL;
    *w = (struct cni_wait){.pods = p, .kind = kind, .entry = e, .exchange = x};
    list_push_back(&p->waits, &w->link);
    p->n_waits++;
    timer_init(&w->deadline, wait_over);
    timer_start(ring_timers(p->ring), &w->deadline, wait_ms);
    return w;
}

/* The same ADD a second time, and all is well: then there is nothing to do. */
static bool is_captured_already(struct pods *p, const struct pod_entry *e)
{
    char why[PRIVILEGED_WHY_MAX];
    const struct pod_entry *there = pods_find(p, text_of(e->pod.container_id));
    return there && there->pod.captured && !there->quiet && netns_same(&there->netns, &e->netns) &&
           strcmp(there->pod.uid, e->pod.uid) == 0 &&
           privileged_check(p->privileged, there->pod.netns_fd, why) == 0;
}

static void add(struct pods *p, struct admin_exchange *x, const struct json *root)
{
    struct pod_spec spec = {0};
    struct json_error error = {0};
    struct pod_entry *e = NULL;
    char why[PRIVILEGED_WHY_MAX] = "no memory";
    if (decode_spec(root, &spec, &error) < 0) {
        answer_error(x, 400, "%s", error.text);
        return;
    }
    int r = pod_entry_new(p, &spec, &e, why);
    if (r == 0) {
        int fd;
        r = privileged_netns_open(p->privileged, e->pod.netns_path, &fd, why);
        if (r == 0) {
            r = netns_id(fd, &e->netns);
            close(fd);
        }
    }
    if (r < 0) {
        answer_error(x, r == -ENOMEM ? 503 : 400, "%s", why);
        pod_entry_free(e);
        return;
    }
    if (is_captured_already(p, e)) {
        pod_entry_free(e);
        answer_ok(x);
        return;
    }
    struct cni_wait *w = wait_new(p, WAIT_ADD, e, x, p->cni_wait_ms);
    if (!w) {
        pod_entry_free(e);
        answer_error(x, 503, "too many requests wait");
        return;
    }
    ring_task_ask(p->ring, &p->waits_task);
}

void pods_handle_add(struct admin_exchange *x, const struct http1_request *request, void *arg)
{
    struct json *root;
    if (is_handed_over(arg, x) || !read_request(x, request, &root))
        return;
    add(arg, x, root);
    json_free(root);
}

/* ---- DEL, CHECK ---- */

static bool read_container_id(struct admin_exchange *x, const struct json *root, struct text *ret)
{
    struct json_error error = {0};
    if (json_read_text(root, "containerId", ret, &error) == 0)
        return true;
    answer_error(x, 400, "%s", error.text);
    return false;
}

/* The container's pod; or, as we were never told the container of one that ran before us, the one
 * in its namespace. */
static struct pod_entry *find_named(struct pods *p, const struct json *root,
                                    struct text container_id)
{
    struct text path = json_text(json_get(root, "netns")); /* NUL-terminated; may be empty */
    struct netns_id netns;
    struct pod_entry *e = pods_find(p, container_id);
    if (e || path.len == 0 || path.data[0] != '/' || netns_id_at(path.data, &netns) < 0)
        return e;
    list_for_each (n, &p->all) {
        e = entry_of(n);
        if (!e->leaving && e->process.pid != 0 && netns_same(&e->netns, &netns))
            return e;
    }
    return NULL;
}

static void del(struct pods *p, struct admin_exchange *x, const struct json *root,
                struct text container_id)
{
    list_for_each (n, &p->waits) {
        struct cni_wait *w = container_of(n, struct cni_wait, link);
        if (w->kind != WAIT_ADD || !text_equal(text_of(w->entry->pod.container_id), container_id))
            continue;
        answer_error(w->exchange, 409, "the pod was deleted before it could be captured");
        wait_free(w);
        break;
    }
    struct pod_entry *e = find_named(p, root, container_id);
    if (e && e->pod.captured && wait_new(p, WAIT_DEL, e, x, DEL_WAIT_MS)) {
        pods_remove(p, e, "it was deleted"); /* answered when it has been released */
        return;
    }
    if (e)
        pods_remove(p, e, "it was deleted");
    answer_ok(x);
}

void pods_waits_released(struct pods *p, const struct pod_entry *e)
{
    list_for_each (n, &p->waits) {
        struct cni_wait *w = container_of(n, struct cni_wait, link);
        if (w->kind == WAIT_DEL && w->entry == e)
            w->entry = NULL; /* answered by the task, which the caller asks for */
    }
}

void pods_handle_del(struct admin_exchange *x, const struct http1_request *request, void *arg)
{
    struct json *root;
    struct text container_id;
    if (is_handed_over(arg, x) || !read_request(x, request, &root))
        return;
    if (read_container_id(x, root, &container_id))
        del(arg, x, root, container_id);
    json_free(root);
}

static void check(struct pods *p, struct admin_exchange *x, const struct json *root,
                  struct text container_id)
{
    char why[PRIVILEGED_WHY_MAX] = "";
    const struct pod_entry *e = find_named(p, root, container_id);
    if (!e)
        answer_error(x, 404, "the node proxy knows no container %.*s", (int)container_id.len,
                     container_id.data);
    else if (e->wanted && !e->pod.captured)
        answer_error(x, 409, "pod %s/%s is enrolled but not captured", e->pod.ns, e->pod.name);
    else if (e->pod.captured && !e->quiet && privileged_check(p->privileged, e->pod.netns_fd, why) < 0)
        answer_error(x, 409, "pod %s/%s: %s", e->pod.ns, e->pod.name, why);
    else
        answer_ok(x);
}

void pods_handle_check(struct admin_exchange *x, const struct http1_request *request, void *arg)
{
    struct json *root;
    struct text container_id;
    if (is_handed_over(arg, x) || !read_request(x, request, &root))
        return;
    if (read_container_id(x, root, &container_id))
        check(arg, x, root, container_id);
    json_free(root);
}

void pods_waits_refuse(struct pods *p)
{
    list_for_each (n, &p->waits) {
        struct cni_wait *w = container_of(n, struct cni_wait, link);
        if (w->kind == WAIT_DEL)
            answer_ok(w->exchange);
        else
            answer_error(w->exchange, 503,
                         "the node proxy is ending, or handing over to another one; try again");
        wait_free(w);
    }
}
