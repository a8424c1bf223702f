/* The control thread: pods, directory, certificates and workers joined; see the header. */
#include "nodeproxy/node.h"

#include "nodeproxy/control/gateway_feed.h"
#include "nodeproxy/machine/machine.h"
#include "nodeproxy/supervisor.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/base/map.h"
#include "shared/ring/socket.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FIRST_SOCKETS_MAX = 64 };

/* A pod as the control thread keeps it: which identity it needs, and which workers still hold it. */
struct node_pod {
    struct spiffe_id id;
    bool wanted;
    unsigned workers_left;
    struct gateway_feed *gateway; /* of its listeners' certificates; NULL: it serves none of TLS */
};

/* ---- identities ---------------------------------------------------------- */

static void give_credential(struct node *n, struct pod *pod)
{
    struct node_pod *np = pod->user;
    struct credential *c = np->wanted ? credentials_get(n->credentials, &np->id) : NULL;
    if (np->gateway && c)
        gateway_feed_set_tls(np->gateway, c->client);
    for (unsigned i = 0; i < n->n_workers; i++)
        if (worker_set_credential(n->workers[i], pod->uid, c) < 0)
            log_error("node", "no memory to tell worker %u of the certificate of %s", i, pod->uid);
}

/* ---- certificates of Gateways' listeners --------------------------------- */

static void give_listeners(struct node *n, const char *uid, struct listener_set *set)
{
    for (unsigned i = 0; i < n->n_workers; i++)
        if (worker_set_listeners(n->workers[i], uid, set) < 0)
            log_error("node", "no memory to tell worker %u of the listeners of %s", i, uid);
}

struct node_gateway { /* a feed, which may outlive its pod */
    struct gateway_feed feed;
    struct node *node;
    char uid[512];
};

static void listeners_changed(struct gateway_feed *f)
{
    struct node_gateway *g = container_of(f, struct node_gateway, feed);
    give_listeners(g->node, g->uid, f->set);
}

static void gateway_gone(struct gateway_feed *f)
{
    struct node *n = container_of(f, struct node_gateway, feed)->node;
    free(container_of(f, struct node_gateway, feed));
    n->n_gateways--;
    if (n->ending)
        node_part_gone(n);
}

static void close_gateway(struct node_pod *np)
{
    struct gateway_feed *f = np->gateway;
    np->gateway = NULL;
    if (f)
        gateway_feed_close(f);
}

static void open_gateway(struct node *n, struct pod *pod, const struct workload *w)
{
    struct node_pod *np = pod->user;
    struct node_gateway *g = calloc(1, sizeof *g);
    struct credential *c = credentials_get(n->credentials, &np->id);
    const struct gateway_feed_options o = {
        .feed = {.ring = n->ring, .controller = n->config.controller, .controller_identity = n->config.controller_identity, .node_id = n->node_id},
        .ns = w->ns, .gateway = w->gateway, .changed = listeners_changed, .drained = gateway_gone};
    if (!g) {
        log_error("node", "no memory for the listeners of %s: they are not served", pod->uid);
        return;
    }
    g->node = n;
    snprintf(g->uid, sizeof g->uid, "%s", pod->uid);
    gateway_feed_open(&g->feed, &o);
    np->gateway = &g->feed;
    n->n_gateways++;
    if (c)
        gateway_feed_set_tls(&g->feed, c->client);
}

static bool serves_tls(const struct workload *w)
{
    for (size_t i = 0; i < w->n_gateway_ports; i++)
        if (w->gateway_ports[i].tls)
            return true;
    return false;
}

static void look_at_gateway(struct node *n, struct pod *pod)
{
    struct node_pod *np = pod->user;
    const struct workload *w = directory_workload(n->directory, text_of(pod->uid));
    if (!w) /* as with its identity */
        return;
    bool wanted = np->wanted && serves_tls(w);
    if (np->gateway && (!wanted || !gateway_feed_is_of(np->gateway, w->ns, w->gateway))) {
        close_gateway(np);
        give_listeners(n, pod->uid, NULL);
    }
    if (wanted && !np->gateway)
        open_gateway(n, pod, w);
}

/* The identity is what the controller says of this workload; it may come late, and change with another service account. */
static void look_at_identity(struct node *n, struct pod *pod)
{
    struct node_pod *np = pod->user;
    struct spiffe_id id = {0};
    const struct workload *w = directory_workload(n->directory, text_of(pod->uid));
    if (w && spiffe_id_make(text_of(w->trust_domain), text_of(w->ns), text_of(w->service_account), &id) < 0)
        log_error("node", "workload %s has no valid identity: namespace '%s', service account '%s'", pod->uid, w->ns, w->service_account);
    if (!w && np->wanted)
        return; /* the controller may only have lost sight of it; its removal comes from the runtime */
    if (np->wanted && spiffe_id_equal(&np->id, &id))
        return;
    if (np->wanted)
        credentials_unwant(n->credentials, &np->id);
    close_gateway(np); /* another identity asks anew */
    np->wanted = spiffe_id_present(&id) && credentials_want(n->credentials, &id) == 0;
    np->id = id;
    workload_api_changed(&n->workload_api);
    give_credential(n, pod);
}

static void credential_changed(struct credentials *m, const struct spiffe_id *id, struct credential *c, void *arg)
{
    struct node *n = arg;
    (void)m;
    workload_api_changed(&n->workload_api);
    if (spiffe_id_equal(id, &n->self)) {
        xds_feed_set_tls(&n->subscription.feed, c ? c->client : NULL);
        if (n->tracer.exporter)
            exporter_set_tls(n->tracer.exporter, c ? c->client : NULL);
        if (!n->config.machine) /* whose processes speak with the same one */
            return;
    }
    list_for_each(link, pods_all(n->pods))
    {
        struct pod *pod = container_of(link, struct pod, link);
        struct node_pod *np = pod->user;
        if (np && np->wanted && spiffe_id_equal(&np->id, id))
            give_credential(n, pod);
    }
}

static int trust_came(struct credentials *m, struct trust *t, void *arg)
{
    struct node *n = arg;
    int r, all = 0;
    (void)m;
    log_info("node", "trust %llu: %zu identities and %zu certificates are revoked", (unsigned long long)t->version, t->n_identities, t->n_serials);
    for (unsigned i = 0; i < n->n_workers; i++)
        if ((r = worker_set_trust(n->workers[i], t)) < 0) {
            log_error("node", "no memory to tell worker %u what is revoked", i);
            all = r;
        }
    return all;
}

static const struct credentials_events credentials_events = {.changed = credential_changed, .trusted = trust_came};

/* ---- pods ---------------------------------------------------------------- */

static enum pod_enrolment enrolment(struct pods *p, const char *uid, void *arg)
{
    struct node *n = arg;
    const struct workload *w = directory_workload(n->directory, text_of(uid));
    (void)p;
    if (!w)
        return POD_UNKNOWN_YET;
    return w->tunnel == TUNNEL_HBONE && !w->host_network ? POD_ENROLLED : POD_NOT_ENROLLED;
}

/* One of this node that the mesh has: if nobody tells of it, it runs already. */
static void expect(const struct workload *w, void *arg)
{
    struct node *n = arg;
    struct pods_expected told = {.n_addresses = 0};
    if (w->tunnel != TUNNEL_HBONE || w->host_network || strcmp(w->node, n->config.node) != 0)
        return;
    const struct {
        char *to;
        size_t size;
        const char *from;
    } texts[] = {{told.uid, sizeof told.uid, w->uid}, {told.pod_uid, sizeof told.pod_uid, w->pod_uid}, {told.ns, sizeof told.ns, w->ns}, {told.name, sizeof told.name, w->name}};
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        if ((size_t)snprintf(texts[i].to, texts[i].size, "%s", texts[i].from) >= texts[i].size)
            return; /* it is no pod's */
    for (size_t i = 0; i < w->n_addresses && i < POD_ADDRESSES_MAX; i++)
        told.addresses[told.n_addresses++] = w->addresses[i];
    pods_expect(n->pods, &told);
}

struct living_count {
    const struct pod *pod;
    size_t n;
};

static void count_living(const char *ns, const char *name, const struct bound_view views[static BOUND_COUNT], void *arg)
{
    struct living_count *count = arg;
    if (strcmp(ns, count->pod->ns) == 0 && strcmp(name, count->pod->name) == 0)
        count->n += views[BOUND_OUTBOUND].now + views[BOUND_INBOUND].now;
}

static size_t living(struct pods *p, const struct pod *pod, void *arg)
{
    struct node *n = arg;
    struct living_count count = {.pod = pod};
    (void)p;
    bounds_each(n->bounds, count_living, &count);
    return count.n;
}

static int give_to_worker(struct worker *w, const struct pod *pod, bool names)
{
    struct worker_pod message = {.taken_dns_tcp = -1, .taken_dns_udp = -1, .uid = pod->uid, .name = pod->name, .ns = pod->ns, .addresses = pod->addresses, .n_addresses = pod->n_addresses};
    int r = 0;
    message.taken_outbound = fcntl(pod->listeners.outbound, F_DUPFD_CLOEXEC, 3);
    message.taken_inbound = fcntl(pod->listeners.inbound, F_DUPFD_CLOEXEC, 3);
    message.taken_hbone = fcntl(pod->listeners.hbone, F_DUPFD_CLOEXEC, 3);
    bool copied = message.taken_outbound >= 0 && message.taken_inbound >= 0 && message.taken_hbone >= 0;
    if (names) {
        message.taken_dns_tcp = fcntl(pod->listeners.dns_tcp, F_DUPFD_CLOEXEC, 3);
        message.taken_dns_udp = fcntl(pod->listeners.dns_udp, F_DUPFD_CLOEXEC, 3);
        copied = copied && message.taken_dns_tcp >= 0 && message.taken_dns_udp >= 0;
    }
    if (!copied)
        r = -EMFILE;
    else
        r = worker_add_pod(w, &message);
    if (r < 0) {
        socket_close(message.taken_outbound);
        socket_close(message.taken_inbound);
        socket_close(message.taken_hbone);
        socket_close(message.taken_dns_tcp);
        socket_close(message.taken_dns_udp);
    }
    return r;
}

/* A socket for each worker before the pod's first instruction: its first connection does not wait for the warden, which on a node that
 * starts many pods at once may not run for seconds. Without them it asks, as all later ones do. */
static void give_first_sockets(struct node *n, const struct pod *pod)
{
    int fds[FIRST_SOCKETS_MAX];
    size_t count = n->n_workers < FIRST_SOCKETS_MAX ? n->n_workers : FIRST_SOCKETS_MAX;
    unsigned families = 0;
    for (size_t a = 0; a < pod->n_addresses; a++) {
        int family = ip_family(&pod->addresses[a]);
        unsigned bit = family == AF_INET ? 1 : 2;
        if (families & bit)
            continue;
        families |= bit;
        if (privileged_sockets(n->privileged, pod->netns_fd, family, SOCK_STREAM, fds, count) < 0)
            return;
        for (size_t i = 0; i < count; i++)
            if (worker_fill(n->workers[i], pod->uid, family, SOCK_STREAM, &fds[i], 1, 0) < 0)
                log_debug("node", "worker %zu begins with no socket of pod %s/%s", i, pod->ns, pod->name);
    }
}

static void pod_added(struct pods *p, struct pod *pod, void *arg)
{
    struct node *n = arg;
    struct node_pod *np = calloc(1, sizeof *np);
    (void)p;
    pod->user = np;
    /* A pod's queries have one worker: what is counted of them needs no others. */
    unsigned names = (unsigned)(hash_bytes((const uint64_t[2]){0}, pod->uid, strlen(pod->uid)) % (n->n_workers > 0 ? n->n_workers : 1));
    for (unsigned i = 0; np && i < n->n_workers; i++) {
        int r = give_to_worker(n->workers[i], pod, n->config.dns_capture && i == names);
        if (r < 0)
            log_error("node", "worker %u can't serve pod %s/%s: error %d", i, pod->ns, pod->name, -r);
        else
            np->workers_left++;
    }
    if (!np) {
        log_error("node", "no memory for pod %s/%s: its connections will be refused", pod->ns, pod->name);
        return;
    }
    give_first_sockets(n, pod);
    log_info("node", "pod %s/%s is captured", pod->ns, pod->name);
    if (n->config.machine)
        supervisor_tell(SUPERVISOR_CAPTURED);
    look_at_identity(n, pod);
    look_at_gateway(n, pod);
}

static void pod_done(struct node *n, struct pod *pod)
{
    struct node_pod *np = pod->user;
    if (np && np->wanted)
        credentials_unwant(n->credentials, &np->id);
    if (np)
        close_gateway(np);
    free(np);
    pod->user = NULL;
    log_info("node", "pod %s/%s is released", pod->ns, pod->name);
    pods_released(n->pods, pod);
}

static void pod_removed(struct pods *p, struct pod *pod, void *arg)
{
    struct node *n = arg;
    struct node_pod *np = pod->user;
    (void)p;
    workload_api_changed(&n->workload_api);
    pod->captured = false;
    if (!np || np->workers_left == 0) {
        pod_done(n, pod);
        return;
    }
    for (unsigned i = 0; i < n->n_workers; i++)
        if (worker_remove_pod(n->workers[i], pod->uid) < 0)
            log_error("node", "no memory to take pod %s from worker %u", pod->uid, i);
}

static const struct pods_events pods_events = {.enrolment = enrolment, .added = pod_added, .removed = pod_removed, .living = living};

static struct pod *find_pod(struct node *n, const char *uid)
{
    list_for_each(link, pods_all(n->pods))
    {
        struct pod *pod = container_of(link, struct pod, link);
        if (strcmp(pod->uid, uid) == 0 && pod->user)
            return pod;
    }
    return NULL;
}

const struct spiffe_id *node_pod_identity(struct node *n, const char *uid, bool *ret_gone)
{
    const struct pod *pod = find_pod(n, uid);
    const struct node_pod *np = pod ? pod->user : NULL;
    *ret_gone = !pod || !pod->captured;
    return np && np->wanted ? &np->id : NULL;
}

/* ---- workers ------------------------------------------------------------- */

static void worker_pod_gone(struct worker *w, const char *uid, void *arg)
{
    struct node *n = arg;
    struct pod *pod = n->ending ? NULL : find_pod(n, uid);
    struct node_pod *np = pod ? pod->user : NULL;
    (void)w;
    if (np && np->workers_left > 0 && --np->workers_left == 0 && !pod->captured)
        pod_done(n, pod);
}

static void worker_refill(struct worker *w, const char *uid, int family, int type, unsigned count, void *arg)
{
    struct node *n = arg;
    int fds[SOCKET_POOL_MAX];
    if (n->ending) /* a last word of a worker that has been joined */
        return;
    struct pod *pod = find_pod(n, uid);
    if (count > SOCKET_POOL_MAX)
        count = SOCKET_POOL_MAX;
    int r = pod ? privileged_sockets(n->privileged, pod->netns_fd, family, type, fds, count) : -ENOENT;
    if (r < 0)
        log_error("node", "no sockets for pod %s: error %d", uid, -r);
    (void)worker_fill(w, uid, family, type, fds, r < 0 ? 0 : count, r);
}

static void worker_idle(struct worker *w, void *arg)
{
    struct node *n = arg;
    (void)w;
    if (++n->n_idle == n->n_workers)
        n->lifecycle.force(&n->lifecycle);
}

static const struct worker_events worker_events = {.refill = worker_refill, .pod_gone = worker_pod_gone, .idle = worker_idle};

/* ---- the directory ------------------------------------------------------- */

static void directory_changed(void *arg)
{
    struct node *n = arg;
    list_for_each(link, pods_all(n->pods))
    {
        struct pod *pod = container_of(link, struct pod, link);
        if (pod->user && pod->captured) {
            look_at_identity(n, pod);
            look_at_gateway(n, pod);
        }
    }
    pods_directory_changed(n->pods);
    for (unsigned i = 0; i < n->n_workers; i++)
        worker_directory_changed(n->workers[i]);
}

static void directory_synced(void *arg)
{
    struct node *n = arg;
    n->synced = true;
    log_info("node", "the mesh is known");
    lifecycle_reached(&n->lifecycle, "controller");
}

static void before_wait(void *arg)
{
    (void)arg;
    directory_thread_offline();
}
static void after_wait(void *arg)
{
    (void)arg;
    directory_thread_online();
}

/* ---- the end ------------------------------------------------------------- */

void node_part_gone(struct node *n)
{
    if (--n->parts_open == 0)
        ring_stop(n->ring);
}

static void part_gone(void *arg) { node_part_gone(arg); }

static void lifecycle_gone(struct lifecycle *l) { part_gone(l->user); }
static void mailbox_gone(struct mailbox *m) { part_gone(container_of(m, struct node, mailbox)); }

void node_drain(struct node *n)
{
    if (n->draining || n->ending)
        return;
    n->draining = true;
    log_info("node", "draining: no new connections; living ones have up to %llu ms", (unsigned long long)n->config.drain_ms);
    supervisor_tell(SUPERVISOR_LEAVING);
    privileged_forget(n->privileged, -1); /* what is kept is for crashes, not for an end */
    for (unsigned i = 0; i < n->n_workers; i++)
        worker_drain(n->workers[i]);
}

static void drain(struct lifecycle *l)
{
    struct node *n = l->user;
    if (n->retired || !node_takeover_hurry(n))
        node_drain(n);
}

/* The workers first: they use everything else. Their threads end quickly, so joining here is no wait to speak of. */
static void force(struct lifecycle *l)
{
    struct node *n = l->user;
    if (n->ending)
        return;
    n->ending = true;
    for (unsigned i = 0; i < n->n_workers; i++)
        worker_stop(n->workers[i]);
    directory_thread_offline();
    for (unsigned i = 0; i < n->n_workers; i++)
        worker_join(n->workers[i]);
    directory_thread_online();
    n->n_workers = 0;
    n->parts_open = 6 + (n->admin != NULL) + (n->tracer.exporter != NULL) + n->n_gateways;
    list_for_each(link, pods_all(n->pods))
    {
        struct pod *pod = container_of(link, struct pod, link);
        struct node_pod *np = pod->user;
        if (np && np->wanted)
            credentials_unwant(n->credentials, &np->id);
        if (np)
            close_gateway(np);
        free(np);
        pod->user = NULL;
    }
    n->parts_open += node_takeover_close(n);
    n->lifecycle.closed = lifecycle_gone;
    lifecycle_close(&n->lifecycle);
    if (n->admin)
        admin_close(n->admin, part_gone, n);
    n->admin = NULL;
    pods_close(n->pods); /* rules stay in the pods: no byte leaves them unprotected */
    n->pods = NULL;
    xds_feed_close(&n->subscription.feed, part_gone, n);
    workload_api_close(&n->workload_api, part_gone, n);
    credentials_close(n->credentials, part_gone, n);
    n->credentials = NULL;
    warden_watch_close(&n->warden_watch, part_gone, n);
    mailbox_close(&n->mailbox, mailbox_gone); /* delivers the workers' last words: spans among them */
    if (n->tracer.exporter)
        exporter_close(n->tracer.exporter, part_gone, n);
}

/* ---- the beginning ------------------------------------------------------- */

static int fail(const char *what, int error, const char *why)
{
    log_error("node", "%s: %s (error %d)", what, why && why[0] ? why : strerror(-error), -error);
    return error;
}

static int make_folder(const char *run_dir, const char *name, char *out, size_t size)
{
    int len = snprintf(out, size, "%s/%s", run_dir, name);
    if (len < 0 || (size_t)len >= size)
        return -ENAMETOOLONG;
    return mkdir(out, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

static void open_tracer(struct node *n)
{
    const struct exporter_options o = {.ring = n->ring, .mailbox = &n->mailbox, .collector = n->config.trace_collector, .identity = n->config.trace_identity};
    n->tracer.sampled = n->config.trace_sampled;
    if (o.collector.port == 0)
        return;
    exporter_init(&n->exporter, &o);
    n->tracer.exporter = &n->exporter;
}

static int open_workers(struct node *n)
{
    uint64_t count = n->config.workers;
    if (count == 0)
        count = (uint64_t)sysconf(_SC_NPROCESSORS_ONLN);
    if (count > NODE_WORKERS_MAX)
        count = NODE_WORKERS_MAX;
    for (unsigned i = 0; i < count; i++) {
        const char *why;
        const struct worker_options o = {
            .config = &n->config, .directory = n->directory, .bounds = n->bounds, .tracer = &n->tracer, .known = &n->synced, .control = &n->mailbox, .events = &worker_events, .arg = n, .index = i};
        int r = worker_start(&n->workers[i], &o, &why);
        if (r < 0)
            return fail("a worker can't start", r, why);
        n->n_workers++;
    }
    return 0;
}

static struct delta_machine registration(const struct config *c)
{
    struct machine *m = (struct machine *)c->machine;
    return m && m->group[0] ? (struct delta_machine){m->group, m->pod.ns, m->pod.name, m->addresses} : (struct delta_machine){0};
}

static int open_control(struct node *n)
{
    const struct config *c = &n->config;
    const struct credentials_options credentials = {
        .ca = c->ca, .roots_file = c->roots_file, .ca_identity = c->ca_identity, .token_file = c->token_file, .self = n->self, .keep_file = c->keep_file, .watch = true};
    int r = credentials_open(&n->credentials, n->ring, &credentials, &credentials_events, n);
    if (r < 0)
        return fail("certificates can't be asked for", r, NULL);
    snprintf(n->node_id, sizeof n->node_id, "ztunnel~127.0.0.1~weir-nodeproxy-%s.weir-system~weir-system.svc.cluster.local", c->node);
    const struct xds_feed_options feed = {.ring = n->ring, .controller = c->controller, .controller_identity = c->controller_identity, .node_id = n->node_id, .machine = registration(c), .types = XDS_MESH_AND_ROUTES};
    n->subscription = (struct subscription){.directory = n->directory, .node = text_of(c->node), .workload = expect, .changed = directory_changed, .synced = directory_synced, .arg = n};
    subscription_init(&n->subscription, &feed);
    return credentials_want(n->credentials, &n->self);
}

static int open_capture(struct node *n)
{
    char folder[512], why[PRIVILEGED_WHY_MAX];
    int r = privileged_open(&n->privileged, n->config.warden, why);
    if (r < 0)
        return fail("pods can't be captured", r, why);
    warden_watch_open(&n->warden_watch, n->ring, n->privileged);
    r = make_folder(n->config.run_dir, "pods", folder, sizeof folder);
    if (r < 0)
        return fail("the state folder can't be made", r, folder);
    const struct pods_options o = {.state_dir = folder, .cluster_id = n->config.cluster_id, .pods_max = n->config.pods_max, .machine = n->config.machine ? &n->config.machine->pod : NULL, .drain_ms = n->config.drain_ms};
    r = pods_open(&n->pods, n->ring, n->privileged, &o, &pods_events, n);
    if (r < 0)
        return fail("pods can't be kept", r, NULL);
    return 0;
}

int node_open(struct node *n, const struct config *config)
{
    const char *why = NULL;
    const struct ring_options ring = {.chunks_max = 8192};
    *n = (struct node){.config = *config, .started_s = clock_unix_s()};
    int r = spiffe_id_parse(text_of(config->self_identity), &n->self);
    if (r < 0)
        return fail("--identity", r, "it is no SPIFFE ID of the form spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT");
    r = mkdir(config->run_dir, 0711) < 0 && errno != EEXIST ? -errno : 0;
    if (r < 0)
        return fail("--run-dir", r, NULL);
    r = directory_new(&n->directory);
    if (r == 0)
        r = bounds_new(&n->bounds, &config->bounds);
    if (r < 0)
        return fail("the directory can't be made", r, NULL);
    r = ring_open(&n->ring, &ring, &why);
    if (r < 0)
        return fail("the control ring can't be made", r, why);
    directory_thread_register();
    ring_set_idle_hooks(n->ring, before_wait, after_wait, NULL);
    r = mailbox_open(&n->mailbox, n->ring);
    if (r < 0)
        return fail("the control mailbox can't be made", r, NULL);
    r = lifecycle_open(&n->lifecycle, n->ring, config->drain_ms, drain, force, n);
    if (r < 0)
        return fail("signals can't be taken", r, NULL);
    lifecycle_wait_for(&n->lifecycle, "controller");
    r = metrics_new(&n->metrics, 4096);
    if (r < 0)
        return fail("metrics", r, NULL);
    open_tracer(n);
    r = open_workers(n);
    if (r == 0)
        r = open_capture(n);
    if (r == 0)
        r = open_control(n);
    if (r == 0)
        r = node_takeover_begin(n);
    return r;
}

int node_run(struct node *n)
{
    int r = ring_run(n->ring);
    return r < 0 ? r : n->failure;
}

void node_free(struct node *n)
{
    n->metrics = metrics_free(n->metrics);
    n->privileged = privileged_free(n->privileged);
    n->ring = ring_free(n->ring);
    directory_thread_unregister();
    n->directory = directory_free(n->directory);
    n->bounds = bounds_free(n->bounds);
}
