/*
 * How a node comes to belong to this process, and how it goes to the next one. Whoever holds the run
 * folder's lock owns the node. A process that starts and finds it held gets itself ready (its
 * certificate, the mesh, the certificates of the pods in the state folder), takes everything over
 * from the owner, and only then lets it go; see nodeproxy/takeover and docs/decisions/0011.
 */
#include "nodeproxy/node.h"
#include "nodeproxy/supervisor.h"

#include "nodeproxy/takeover/owner_lock.h"
#include "shared/base/log.h"
#include "shared/ring/socket.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { LOOK_MS = 50, SAY_MS = 10000, HURRY_MS = 5000, GONE_MS = 15000 };

static struct node *of_claim(struct takeover_claim *c)
{
    return c->user;
}
static struct node *of_offer(struct takeover_offer *o)
{
    return o->user;
}

/* What came to nothing ends the process: the other one goes on. */
static void give_up(struct node *n, const char *why)
{
    log_error("takeover", "this node proxy can't take over, and ends: %s", why);
    n->failure = -EBUSY;
    supervisor_tell(SUPERVISOR_LEAVING); /* not to be tried again and again */
    n->lifecycle.force(&n->lifecycle);
}

static void socket_path(const struct node *n, char out[static 108])
{
    snprintf(out, 108, "%s/takeover.sock", n->config.run_dir);
}

/* ---- giving: the owner's side ------------------------------------------------------------------- */

static int offer_begin(struct takeover_offer *o, char why[static TAKEOVER_WORDS_MAX])
{
    struct node *n = of_offer(o);
    if (n->draining || n->ending) {
        snprintf(why, TAKEOVER_WORDS_MAX, "the running node proxy is ending; start again after it");
        return -EBUSY;
    }
    return pods_freeze(n->pods);
}

static const struct pod *pod_at(struct node *n, size_t index)
{
    list_for_each (link, pods_all(n->pods))
        if (index-- == 0)
            return container_of(link, struct pod, link);
    return NULL;
}

static int offer_item(struct takeover_offer *o, size_t i, struct takeover_message *ret)
{
    struct node *n = of_offer(o);
    struct node_takeover *t = &n->takeover;
    size_t n_sockets = 0;
    int ignored;
    struct addr at;
    while (admin_tcp_socket(n->admin, n_sockets, &at, &ignored) == 0)
        n_sockets++;
    text_heap_done(&t->description);
    if (i < n_sockets) {
        ret->kind = TAKEOVER_SOCKET;
        ret->n_fds = 1;
        return admin_tcp_socket(n->admin, i, &ret->address, &ret->fds[0]);
    }
    const struct pod *pod = pod_at(n, i - n_sockets);
    if (!pod) {
        ret->kind = TAKEOVER_ALL;
        ret->pods = i - n_sockets;
        return 0;
    }
    ret->kind = TAKEOVER_POD;
    if (pod->captured) {
        memcpy(ret->fds, pod->listeners.fds, sizeof pod->listeners.fds);
        ret->fds[POD_LISTENERS] = pod->netns_fd;
        ret->n_fds = POD_LISTENERS + 1;
    }
    int r = pods_describe(pod, &t->description);
    ret->description = (struct text){t->description.data, t->description.len};
    return r;
}

static void offer_failed(struct takeover_offer *o, const char *why)
{
    struct node *n = of_offer(o);
    (void)why;
    pods_unfreeze(n->pods);
    if (n->lifecycle.draining)
        node_drain(n);
}

static int offer_given(struct takeover_offer *o)
{
    struct node *n = of_offer(o);
    int lock = n->takeover.lock;
    n->takeover.lock = -1;
    n->retired = true;
    log_info("takeover", "the successor serves this node's pods now");
    pods_retire(n->pods);
    node_tap_retire(n);
    admin_retire(n->admin);
    workload_api_retire(&n->workload_api);
    takeover_offer_close(o);
    if (n->lifecycle.draining)
        node_drain(n);
    else
        lifecycle_drain(&n->lifecycle, "another node proxy has taken over");
    return lock;
}

static void offer_drained(struct takeover_offer *o)
{
    struct node *n = of_offer(o);
    n->takeover.offering = false;
    text_heap_done(&n->takeover.description);
    if (n->ending)
        node_part_gone(n);
}

static const struct takeover_offer_events offer_events = {.begin = offer_begin,
                                                          .item = offer_item,
                                                          .failed = offer_failed,
                                                          .given = offer_given,
                                                          .drained = offer_drained};

static int offer(struct node *n)
{
    char path[108];
    socket_path(n, path);
    int r = takeover_offer_open(&n->takeover.offer, n->ring, path, &offer_events, n);
    if (r < 0)
        log_error("takeover", "nobody can take over from this node proxy: %s: %s", path,
                  strerror(-r));
    else
        n->takeover.offering = true;
    return r;
}

static void hurry_over(struct timer *timer)
{
    struct node *n = container_of(timer, struct node, takeover.tick);
    if (!n->draining)
        node_drain(n);
}

bool node_takeover_hurry(struct node *n)
{
    struct node_takeover *t = &n->takeover;
    if (!t->offering || !takeover_offer_hurry(&t->offer))
        return false;
    log_info("takeover", "asked to end: the successor that waits is to take over first");
    timer_init(&t->tick, hurry_over);
    timer_start(ring_timers(n->ring), &t->tick, HURRY_MS);
    return true;
}

/* ---- owning ------------------------------------------------------------------------------------- */

/* Of sockets that were handed over and that no setting names, and of identities wanted early. */
static void forget_preparations(struct node *n)
{
    struct node_takeover *t = &n->takeover;
    for (size_t i = 0; i < t->n_inherited; i++)
        socket_close(t->inherited[i].fd);
    t->n_inherited = 0;
    for (size_t i = 0; i < t->n_warm; i++)
        credentials_unwant(n->credentials, &t->warm[i]);
    free(t->warm);
    t->warm = NULL;
    t->n_warm = 0;
}

/* Without a predecessor, or with one that has just gone. */
static int own(struct node *n, int taken_lock)
{
    struct node_takeover *t = &n->takeover;
    t->lock = taken_lock;
    t->waiting = false;
    int r = pods_restore(n->pods); /* those captured before a restart: before anything new */
    if (r == 0 && !n->admin)
        r = node_admin_open(n);
    if (r == 0)
        r = admin_publish(n->admin);
    if (r == 0)
        r = node_workload_api_open(n);
    if (r == 0)
        r = offer(n);
    forget_preparations(n);
    return r;
}

static bool same_address(const struct addr *a, const struct addr *b)
{
    bool any_a = a->ip.len == 0 || ip_is_any(&a->ip), any_b = b->ip.len == 0 || ip_is_any(&b->ip);
    return a->port != 0 && a->port == b->port &&
           (any_a ? any_b && (a->ip.len == 4) == (b->ip.len == 4) : ip_equal(&a->ip, &b->ip));
}

int node_takeover_inherited(struct node *n, const struct addr *at)
{
    struct node_takeover *t = &n->takeover;
    for (size_t i = 0; i < t->n_inherited; i++)
        if (t->inherited[i].fd >= 0 && same_address(&t->inherited[i].at, at)) {
            int fd = t->inherited[i].fd;
            t->inherited[i].fd = -1;
            return fd;
        }
    return -1;
}

/* ---- taking: the successor's side --------------------------------------------------------------- */

static int claim_socket(struct takeover_claim *c, struct takeover_message *m,
                        char why[static TAKEOVER_WORDS_MAX])
{
    struct node_takeover *t = &of_claim(c)->takeover;
    (void)why;
    if (t->n_inherited < ARRAY_SIZE(t->inherited)) {
        t->inherited[t->n_inherited++] = (struct node_inherited){m->address, m->fds[0]};
        m->fds[0] = -1;
    }
    return 0;
}

static int claim_pod(struct takeover_claim *c, struct takeover_message *m,
                     char why[static TAKEOVER_WORDS_MAX])
{
    struct node *n = of_claim(c);
    _Static_assert((int)TAKEOVER_FDS_MAX == POD_LISTENERS + 1, "all of a pod's");
    _Static_assert((int)TAKEOVER_WORDS_MAX >= (int)PRIVILEGED_WHY_MAX, "room for the reason");
    bool captured = m->n_fds > 0;
    struct pod_listeners l = POD_LISTENERS_NONE;
    if (captured)
        memcpy(l.fds, m->fds, sizeof l.fds);
    int netns_fd = captured ? m->fds[POD_LISTENERS] : -1;
    int r = pods_adopt(n->pods, m->pod, &netns_fd, &l, why);
    if (captured && netns_fd < 0)
        m->n_fds = 0; /* taken */
    return r == -ESTALE ? 0 : r;
}

static int claim_all(struct takeover_claim *c, char why[static TAKEOVER_WORDS_MAX])
{
    struct node *n = of_claim(c);
    pods_adopted(n->pods);
    int r = node_admin_open(n);
    if (r < 0)
        snprintf(why, TAKEOVER_WORDS_MAX, "its own sockets can't be opened: %s", strerror(-r));
    return r;
}

static void claim_hurry(struct takeover_claim *c)
{
    log_info("takeover", "the running node proxy is about to end: taking over at once");
    takeover_claim_ask(c);
}

static void claim_over(struct takeover_claim *c, int taken_lock, bool gone, const char *why)
{
    struct node *n = of_claim(c);
    struct node_takeover *t = &n->takeover;
    takeover_claim_close(c);
    if (taken_lock < 0 && gone) {
        log_info("takeover", "%s; this one waits for the node to be free", why);
        t->waiting = true;
        t->gone_at_ms = ring_now_ms(n->ring);
        return;
    }
    if (taken_lock < 0) {
        give_up(n, why);
        return;
    }
    t->lock = taken_lock;
    int r = admin_publish(n->admin);
    if (r == 0)
        r = node_workload_api_open(n);
    if (r == 0)
        r = offer(n);
    if (r < 0) /* it is ours all the same; a restart would only lose connections */
        log_error("takeover", "sockets in %s: %s", n->config.run_dir, strerror(-r));
    forget_preparations(n);
    pods_directory_changed(n->pods);
    log_info("takeover", "this node proxy has taken over");
}

static void claim_drained(struct takeover_claim *c)
{
    struct node *n = of_claim(c);
    n->takeover.claiming = false;
    if (n->ending)
        node_part_gone(n);
}

static const struct takeover_claim_events claim_events = {.socket = claim_socket,
                                                          .pod = claim_pod,
                                                          .all = claim_all,
                                                          .hurry = claim_hurry,
                                                          .over = claim_over,
                                                          .drained = claim_drained};

/* ---- getting ready ------------------------------------------------------------------------------ */

struct readiness {
    struct node *node;
    size_t missing;
};

/* Asks for the certificate of a pod that will come, and counts it while it is not there. */
static void warm_pod(const struct pod *pod, void *arg)
{
    struct readiness *ready = arg;
    struct node *n = ready->node;
    struct node_takeover *t = &n->takeover;
    const struct workload *w = directory_workload(n->directory, text_of(pod->uid));
    struct spiffe_id id;
    if (!w || spiffe_id_make(text_of(w->trust_domain), text_of(w->ns), text_of(w->service_account),
                             &id) < 0)
        return; /* nothing is known of it: there is nothing to wait for */
    size_t i = 0;
    while (i < t->n_warm && !spiffe_id_equal(&t->warm[i], &id))
        i++;
    if (i == t->n_warm && t->n_warm < n->config.pods_max) {
        if (!t->warm)
            t->warm = calloc(n->config.pods_max, sizeof *t->warm);
        if (t->warm && credentials_want(n->credentials, &id) == 0)
            t->warm[t->n_warm++] = id;
    }
    ready->missing += !credentials_get(n->credentials, &id);
}

/* Everything that connections will need is there. */
static bool is_prepared(struct node *n, struct text_out *why_not)
{
    struct readiness ready = {.node = n};
    if (!n->synced) {
        text_puts(why_not, "the mesh (the controller)");
        return false;
    }
    if (!credentials_get(n->credentials, &n->self)) {
        text_puts(why_not, "its own certificate (the CA)");
        return false;
    }
    if (pods_peek(n->pods, warm_pod, &ready) < 0)
        return true;
    text_printf(why_not, "the certificates of %zu pods (the CA)", ready.missing);
    return ready.missing == 0;
}

static void prepare(struct node *n, uint64_t waited_ms)
{
    char words[128];
    struct text_out why_not = TEXT_OUT(words);
    struct node_takeover *t = &n->takeover;
    if (t->claim.asked || t->claim.over)
        return;
    bool late = n->config.takeover_wait_ms > 0 && waited_ms >= n->config.takeover_wait_ms;
    if (is_prepared(n, &why_not) || late) {
        takeover_claim_ask(&t->claim);
    } else if (waited_ms >= t->say_at_ms) {
        log_info("takeover", "before it takes over, this node proxy waits for %s", words);
        t->say_at_ms = waited_ms + SAY_MS;
    }
}

/* Free: it is ours. Held: its owner is asked for it. Held by one that does not answer: later. */
static void try_to_own(struct node *n)
{
    char path[108];
    struct node_takeover *t = &n->takeover;
    int fd, r = owner_lock_take(n->config.run_dir, &fd);
    if (r == 0) {
        r = own(n, fd);
        if (r < 0)
            give_up(n, "it can't begin");
        return;
    }
    socket_path(n, path);
    if (r == -EAGAIN && !list_empty(pods_all(n->pods))) { /* its pods are here, and it is not gone */
        t->waiting = ring_now_ms(n->ring) - t->gone_at_ms < GONE_MS;
        if (!t->waiting)
            give_up(n, "the running node proxy goes on after all");
        return;
    }
    if (r != -EAGAIN || takeover_socket_connect(path, &fd) < 0)
        return;
    r = takeover_claim_open(&t->claim, n->ring, fd, &claim_events, n);
    t->claiming = r == 0;
    t->waiting = r < 0;
}

static void tick(struct timer *timer)
{
    struct node *n = container_of(timer, struct node, takeover.tick);
    struct node_takeover *t = &n->takeover;
    uint64_t waited_ms = ring_now_ms(n->ring) - t->since_ms;
    if (t->waiting && !t->claiming)
        try_to_own(n);
    else if (t->claiming)
        prepare(n, waited_ms);
    if (!n->ending && (t->waiting || t->claiming))
        timer_start(ring_timers(n->ring), &t->tick, LOOK_MS);
}

int node_takeover_begin(struct node *n)
{
    struct node_takeover *t = &n->takeover;
    int fd, r = owner_lock_take(n->config.run_dir, &fd);
    text_heap_init(&t->description, 1);
    timer_init(&t->tick, tick);
    t->lock = -1;
    if (r == 0)
        return own(n, fd);
    if (r != -EAGAIN) {
        log_error("takeover", "%s/owner.lock: %s", n->config.run_dir, strerror(-r));
        return r;
    }
    log_info("takeover", "another node proxy serves this node (%s): this one is to take over",
             n->config.run_dir);
    t->waiting = true;
    t->since_ms = ring_now_ms(n->ring);
    t->say_at_ms = SAY_MS;
    timer_start(ring_timers(n->ring), &t->tick, 0);
    return 0;
}

unsigned node_takeover_close(struct node *n)
{
    struct node_takeover *t = &n->takeover;
    forget_preparations(n);
    timer_stop(ring_timers(n->ring), &t->tick);
    if (t->claiming)
        takeover_claim_close(&t->claim);
    if (t->offering)
        takeover_offer_close(&t->offer);
    if (t->lock >= 0)
        close(t->lock);
    t->lock = -1;
    return (unsigned)t->claiming + t->offering;
}
