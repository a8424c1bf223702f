/* A worker thread and the messages to and from it; see the header. */
#include "nodeproxy/worker.h"

#include "nodeproxy/bounds/turn_watch.h"
#include "nodeproxy/path/inbound.h"
#include "nodeproxy/path/listener_set.h"
#include "nodeproxy/path/living.h"
#include "nodeproxy/path/outbound.h"
#include "nodeproxy/path/request_account.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/ring/socket.h"
#include <assert.h>
#include <errno.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { LOOK_STEP = 16, LOOK_US = 300 }; /* of what lives, in each turn */

enum { IDLE_LOOK_MS = 100 }; /* while it drains */
enum { SERIES_LOOK_MS = 5 * 60 * 1000 };

struct worker {
    struct worker_options options;
    struct path_env env;
    struct mailbox mailbox;
    struct metrics *metrics;
    struct turn_watch turn_watch;
    pthread_t thread;
    sem_t started;
    int start_result;
    const char *start_why;
    struct mail directory_mail;
    _Atomic bool directory_posted;
    struct ring_task idle_task;
    unsigned n_served;
    struct timer idle_timer;
    struct timer series_timer; /* metrics of workloads that have gone are dropped */
    bool stopping, idle_told, mailbox_closing;
};

/* ---- messages ------------------------------------------------------------ */

enum message_kind { ADD_POD, REMOVE_POD, SET_CREDENTIAL, SET_LISTENERS, SET_TRUST, FILL, DRAIN, STOP, DUMP, DUMPED, TAP, TAPPED, REFILL, POD_GONE, IDLE };
struct message {
    struct mail mail;
    struct worker *worker; /* to the control thread: perhaps joined and freed when it arrives, never looked into */
    const struct worker_events *events; /* whom the control thread tells, with events_arg */
    void *events_arg;
    enum message_kind kind;
    char *uid, *name, *ns;
    struct ip addresses[LOCAL_POD_ADDRESSES_MAX];
    size_t n_addresses;
    int fds[SOCKET_POOL_MAX];
    size_t n_fds;
    int family, type, error;
    unsigned n;
    struct credential *credential;
    struct listener_set *listeners;
    struct tap *tap;
    void (*tapped)(struct tap *tap);
    struct trust *trust;
    unsigned parts; /* of a dump */
    struct worker_dump *dump;
    void (*dumped)(struct worker_dump *dump, void *arg);
    void *arg;
};

static void message_free(struct message *m)
{
    if (!m)
        return;
    free(m->uid);
    free(m->name);
    free(m->ns);
    credential_unref(m->credential);
    listener_set_unref(m->listeners);
    tap_unref(m->tap);
    trust_unref(m->trust);
    free(m);
}

static struct message *message_new(struct worker *w, enum message_kind kind, const char *uid, void (*deliver)(struct mail *))
{
    struct message *m = calloc(1, sizeof *m);
    if (!m)
        return NULL;
    m->mail.deliver = deliver;
    m->worker = w;
    m->events = w->options.events;
    m->events_arg = w->options.arg;
    m->kind = kind;
    if (uid && !(m->uid = text_dup(text_of(uid)))) {
        free(m);
        return NULL;
    }
    return m;
}

/* ---- to the control thread ----------------------------------------------- */

static void deliver_to_control(struct mail *mail)
{
    struct message *m = container_of(mail, struct message, mail);
    switch (m->kind) {
    case REFILL: m->events->refill(m->worker, m->uid, m->family, m->type, m->n, m->events_arg); break;
    case POD_GONE: m->events->pod_gone(m->worker, m->uid, m->events_arg); break;
    case IDLE: m->events->idle(m->worker, m->events_arg); break;
    case TAPPED:
        m->tapped(m->tap);
        break;
    case DUMPED:
        m->dumped(m->dump, m->arg);
        text_heap_done(&m->dump->connections);
        upstream_seen_done(&m->dump->endpoints);
        free(m->dump);
        break;
    default: assert(0 && "not a message to the control thread");
    }
    message_free(m);
}

static int to_control(struct worker *w, enum message_kind kind, const char *uid)
{
    struct message *m = message_new(w, kind, uid, deliver_to_control);
    if (!m)
        return -ENOMEM;
    mailbox_post(w->options.control, &m->mail);
    return 0;
}

/* A pod and, on one of the workers, the name server for it. */
struct served {
    struct local_pod pod;
    struct dns_server dns;
    bool names;     /* it is this worker */
    unsigned parts; /* that are not gone yet */
};

static struct served *served_of(struct list *link) { return container_of(link, struct served, pod.link); }
static struct worker *of_pod(const struct local_pod *p) { return p->user; }

static void ask_sockets(struct local_pod *p, struct socket_pool *pool, int family, int type, unsigned n)
{
    struct message *m = message_new(of_pod(p), REFILL, p->uid, deliver_to_control);
    if (!m) {
        /* The waiters run into their deadlines, and the next take asks again. */
        struct socket_shelf *s = family == AF_INET ? &pool->v4 : &pool->v6;
        s->asked = false;
        return;
    }
    m->family = family;
    m->type = type;
    m->n = n;
    mailbox_post(m->worker->options.control, &m->mail);
}

static void pod_refill(struct socket_pool *pool, int family, unsigned n)
{
    ask_sockets(container_of(pool, struct local_pod, sockets), pool, family, SOCK_STREAM, n);
}

static void dns_refill(struct socket_pool *pool, int family, unsigned n)
{
    ask_sockets(&container_of(pool, struct served, dns.forward.datagrams)->pod, pool, family, SOCK_DGRAM, n);
}

static void mailbox_gone(struct mailbox *m) { ring_stop(container_of(m, struct worker, mailbox)->env.ring); }

static void look_idle(struct ring_task *task)
{
    struct worker *w = container_of(task, struct worker, idle_task);
    size_t living = 0;
    list_for_each(n, &w->env.all_pods)
        living += !local_pod_is_idle(container_of(n, struct local_pod, link)) || (served_of(n)->names && !dns_server_is_idle(&served_of(n)->dns));
    if (w->env.draining && living == 0 && !w->idle_told) {
        w->idle_told = true;
        (void)to_control(w, IDLE, NULL);
    }
    if (w->stopping && !w->mailbox_closing && w->n_served == 0) {
        w->mailbox_closing = true;
        mailbox_close(&w->mailbox, mailbox_gone);
    }
}

static void part_gone(struct served *v)
{
    struct worker *w = of_pod(&v->pod);
    if (--v->parts > 0)
        return;
    if (!w->stopping)
        (void)to_control(w, POD_GONE, v->pod.uid);
    free(v);
    w->n_served--;
    ring_task_ask(w->env.ring, &w->idle_task);
}

static void pod_drained(struct local_pod *p) { part_gone(container_of(p, struct served, pod)); }

static void dns_drained(struct dns_server *s)
{
    pod_bounds_unref(s->options.bounds);
    part_gone(container_of(s, struct served, dns));
}

/* ---- on the worker's thread ---------------------------------------------- */

static void serve_names(struct worker *w, struct served *v, const struct message *m)
{
    const struct config *c = w->options.config;
    const struct dns_server_options o = {
        .ring = w->env.ring,
        .mesh = {.directory = w->options.directory, .network = text_of(c->network), .domain = text_of(c->cluster_domain), .uid = text_of(v->pod.uid), .ttl_s = (uint32_t)(c->dns_ttl_ms / 1000)},
        .known = w->options.known,
        .metrics = w->metrics,
        .bounds = w->options.bounds ? bounds_pod(w->options.bounds, m->uid, m->ns, m->name) : NULL,
        .uid = text_of(v->pod.uid),
        .ns = text_of(v->pod.ns),
        .addresses = v->pod.addresses,
        .n_addresses = v->pod.n_addresses,
        .wait_ms = c->dns_wait_ms,
        .port = 53,
        .taken_tcp = m->fds[3],
        .taken_udp = m->fds[4],
        .streams = &v->pod.sockets,
        .refill = dns_refill,
        .drained = dns_drained,
    };
    v->names = true;
    v->parts++;
    dns_server_open(&v->dns, &o);
}

static void add_pod(struct worker *w, struct message *m)
{
    struct served *v = calloc(1, sizeof *v);
    const struct local_pod_options o = {
        .uid = m->uid,
        .name = m->name,
        .ns = m->ns,
        .addresses = m->addresses,
        .n_addresses = m->n_addresses,
        .taken_outbound = m->fds[0],
        .taken_inbound = m->fds[1],
        .taken_hbone = m->fds[2],
        .refill = pod_refill,
        .drained = pod_drained,
        .user = w,
    };
    if (v && !w->stopping && !w->env.draining && local_pod_open(&v->pod, &w->env, &o) == 0) {
        w->n_served++;
        v->parts = 1;
        if (m->n_fds > 3)
            serve_names(w, v, m);
        return;
    }
    log_error("worker", "pod %s can't be served by worker %u", m->uid, w->options.index);
    free(v);
    for (size_t i = 0; i < m->n_fds; i++)
        socket_close(m->fds[i]);
    (void)to_control(w, POD_GONE, m->uid);
}

static void fill(struct worker *w, struct message *m)
{
    struct local_pod *p = map_get(&w->env.pods, text_of(m->uid));
    struct served *v = p ? container_of(p, struct served, pod) : NULL;
    if (v && (m->type == SOCK_STREAM || v->names)) {
        if (m->type == SOCK_STREAM)
            local_pod_filled(p, m->family, m->fds, m->n_fds, m->error);
        else
            socket_pool_filled(&v->dns.forward.datagrams, m->family, m->fds, m->n_fds, m->error);
        if (m->error == -EMFILE || m->error == -ENFILE)
            local_pod_starved(p);
        return;
    }
    for (size_t i = 0; i < m->n_fds; i++)
        socket_close(m->fds[i]);
}

static void put_view(struct text_heap *out, const struct local_pod *p, const struct connection_view *v, uint64_t now_ms)
{
    char source[ADDR_TEXT_MAX], destination[ADDR_TEXT_MAX], target[ADDR_TEXT_MAX];
    text_heap_printf(out,
                     "%s{\"id\":%llu,\"workload\":\"%s/%s\",\"direction\":\"%s\",\"protocol\":\"%s\",\"stage\":\"%s\",\"source\":\"%s\","
                     "\"destination\":\"%s\",\"target\":\"%s\",\"peer\":\"%.*s\",\"bytesReceived\":%llu,\"bytesSent\":%llu,\"ageMs\":%llu}",
                     out->len > 0 ? "," : "", (unsigned long long)v->id, p->ns, p->name, v->direction, v->protocol, v->stage,
                     addr_print(&v->source, source), addr_print(&v->destination, destination), addr_print(&v->target, target), (int)v->peer.len,
                     v->peer.data, (unsigned long long)v->bytes_received, (unsigned long long)v->bytes_sent, (unsigned long long)(now_ms - v->opened_ms));
}

static void count_link(const struct peer_link *l, void *arg)
{
    struct worker_dump *d = arg;
    d->n_tunnels++;
    d->tunnel_streams += peer_link_streams(l);
}

static void dump(struct worker *w, struct message *m)
{
    struct worker_dump *d = m->dump;
    struct connection_view v;
    ring_stats(w->env.ring, &d->ring);
    for (size_t i = 0; i < ENDING_COUNT; i++)
        d->endings[i] = w->env.endings[i];
    d->mirrors_sent = w->env.mirrors_sent;
    d->mirrors_left_out = w->env.mirrors_left_out;
    list_for_each(n, &w->env.all_pods)
    {
        struct local_pod *p = container_of(n, struct local_pod, link);
        d->n_outbounds += p->n_outbounds;
        d->n_inbounds += p->n_inbounds;
        d->mirrors_sent += p->mirrors.sent;
        d->mirrors_left_out += p->mirrors.left_out;
        d->n_tunnel_servers += p->n_servers;
        hold_measure(&p->hold);
        peer_pool_each_link(&p->peers, count_link, d);
        if (m->parts & WORKER_ENDPOINTS)
            upstream_seen_add(&d->endpoints, &p->clusters);
        if (!(m->parts & WORKER_CONNECTIONS))
            continue;
        list_for_each(c, &p->outbounds)
        {
            outbound_view(outbound_of_link(c), &v);
            put_view(&d->connections, p, &v, ring_now_ms(w->env.ring));
        }
        list_for_each(c, &p->inbounds)
        {
            inbound_view(inbound_of_link(c), &v);
            put_view(&d->connections, p, &v, ring_now_ms(w->env.ring));
        }
    }
}

static void idle_due(struct timer *t)
{
    struct worker *w = container_of(t, struct worker, idle_timer);
    ring_task_ask(w->env.ring, &w->idle_task);
    if (!w->idle_told && !w->stopping)
        timer_start(ring_timers(w->env.ring), t, IDLE_LOOK_MS);
}

static void series_due(struct timer *t)
{
    struct worker *w = container_of(t, struct worker, series_timer);
    request_account_drop_gone(w->metrics, w->env.directory);
    timer_start(ring_timers(w->env.ring), t, SERIES_LOOK_MS);
}

static void drain(struct worker *w)
{
    w->env.draining = true;
    timer_start(ring_timers(w->env.ring), &w->idle_timer, IDLE_LOOK_MS);
    list_for_each(n, &w->env.all_pods)
    {
        local_pod_drain(&served_of(n)->pod);
        if (served_of(n)->names)
            dns_server_stop(&served_of(n)->dns);
    }
    ring_task_ask(w->env.ring, &w->idle_task);
}

/* The name server first: it stands on the pod's sockets. */
static void close_served(struct served *v, enum ending ending)
{
    if (v->names)
        dns_server_close(&v->dns);
    local_pod_close(&v->pod, ending);
}

static void stop(struct worker *w)
{
    w->stopping = true;
    list_for_each(n, &w->env.all_pods)
        close_served(served_of(n), ENDING_DRAINED);
    ring_task_ask(w->env.ring, &w->idle_task);
}

static void deliver_to_worker(struct mail *mail)
{
    struct message *m = container_of(mail, struct message, mail);
    struct worker *w = m->worker;
    struct local_pod *p = m->uid ? map_get(&w->env.pods, text_of(m->uid)) : NULL;
    switch (m->kind) {
    case ADD_POD: add_pod(w, m); break;
    case REMOVE_POD:
        if (p)
            close_served(container_of(p, struct served, pod), ENDING_WORKLOAD_GONE);
        break;
    case SET_CREDENTIAL:
        if (p)
            local_pod_set_credential(p, m->credential);
        break;
    case SET_LISTENERS:
        if (p)
            local_pod_set_listeners(p, m->listeners);
        break;
    case SET_TRUST:
        trust_unref(w->env.trust);
        w->env.trust = m->trust;
        m->trust = NULL;
        living_trust(&w->env);
        break;
    case FILL: fill(w, m); break;
    case DRAIN: drain(w); break;
    case STOP: stop(w); break;
    case TAP:
        taps_add(&w->env.taps, tap_ref(m->tap));
        m->kind = TAPPED;
        m->mail.deliver = deliver_to_control;
        mailbox_post(w->options.control, &m->mail);
        return;
    case DUMP:
        dump(w, m);
        m->kind = DUMPED;
        m->mail.deliver = deliver_to_control;
        mailbox_post(w->options.control, &m->mail);
        return;
    default: assert(0 && "not a message to a worker");
    }
    if (w->env.draining)
        ring_task_ask(w->env.ring, &w->idle_task);
    message_free(m);
}

/* One slice a turn: tasks that ask for themselves run several times in one. */
static void recheck(struct ring_task *task)
{
    struct path_env *env = container_of(task, struct path_env, recheck_task);
    uint64_t until_us = clock_monotonic_us() + LOOK_US;
    bool more = true;
    if (env->looked_turn != env->turn)
        do
            more = living_look(env, LOOK_STEP);
        while (more && clock_monotonic_us() < until_us);
    env->looked_turn = env->turn;
    if (more)
        ring_task_ask(env->ring, &env->recheck_task);
}

static void directory_news(struct mail *mail)
{
    struct worker *w = container_of(mail, struct worker, directory_mail);
    atomic_store(&w->directory_posted, false);
    list_for_each(n, &w->env.all_pods)
        local_pod_directory_changed(container_of(n, struct local_pod, link));
    living_news(&w->env);
}

/* ---- the thread ---------------------------------------------------------- */

static void before_wait(void *arg)
{
    struct worker *w = arg;
    turn_watch_look(&w->turn_watch, clock_thread_us);
    directory_thread_offline();
}
static void after_wait(void *arg)
{
    struct worker *w = arg;
    w->env.turn++;
    directory_thread_online();
}

static int worker_prepare(struct worker *w)
{
    const struct ring_options options = {.chunks_max = w->options.config->chunks_max};
    int r = ring_open(&w->env.ring, &options, &w->start_why);
    if (r < 0)
        return r;
    r = mailbox_open(&w->mailbox, w->env.ring);
    if (r < 0) {
        w->start_why = "the worker's mailbox can't be made";
        w->env.ring = ring_free(w->env.ring);
        return r;
    }
    map_init(&w->env.pods, w->options.config->pods_max);
    list_init(&w->env.all_pods);
    living_init(&w->env);
    taps_init(&w->env.taps, w->env.ring);
    ring_task_init(&w->env.recheck_task, recheck);
    ring_task_init(&w->idle_task, look_idle);
    timer_init(&w->idle_timer, idle_due);
    timer_init(&w->series_timer, series_due);
    timer_start(ring_timers(w->env.ring), &w->series_timer, SERIES_LOOK_MS);
    ring_set_idle_hooks(w->env.ring, before_wait, after_wait, w);
    return 0;
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    w->start_result = worker_prepare(w);
    if (w->start_result < 0) {
        sem_post(&w->started);
        return NULL;
    }
    directory_thread_register();
    sem_post(&w->started);
    int r = ring_run(w->env.ring);
    if (r < 0)
        log_error("worker", "worker %u: the ring failed: error %d", w->options.index, -r);
    directory_thread_unregister();
    taps_done(&w->env.taps);
    map_done(&w->env.pods, NULL);
    w->env.trust = trust_unref(w->env.trust);
    w->env.ring = ring_free(w->env.ring);
    return NULL;
}

int worker_start(struct worker **ret, const struct worker_options *o, const char **ret_why)
{
    struct worker *w = calloc(1, sizeof *w);
    int r = -ENOMEM;
    *ret_why = "no memory";
    if (!w)
        return r;
    w->options = *o;
    w->directory_mail.deliver = directory_news;
    sem_init(&w->started, 0, 0);
    r = metrics_new(&w->metrics, 20000);
    if (r < 0)
        goto fail;
    w->env.config = o->config;
    w->env.directory = o->directory;
    w->env.bounds = o->bounds;
    w->env.tracer = o->tracer;
    w->env.metrics = w->metrics;
    turn_watch_init(&w->turn_watch, w->metrics);
    r = -pthread_create(&w->thread, NULL, worker_main, w);
    if (r < 0) {
        *ret_why = "a thread can't be made";
        goto fail;
    }
    while (sem_wait(&w->started) < 0)
        assert(errno == EINTR);
    if (w->start_result == 0) {
        *ret = w;
        return 0;
    }
    pthread_join(w->thread, NULL);
    r = w->start_result;
    *ret_why = w->start_why ? w->start_why : "the ring can't be made";
fail:
    metrics_free(w->metrics);
    sem_destroy(&w->started);
    free(w);
    return r;
}

struct metrics *worker_metrics(const struct worker *w) { return w->metrics; }
unsigned worker_index(const struct worker *w) { return w->options.index; }

void worker_join(struct worker *w)
{
    pthread_join(w->thread, NULL);
    metrics_free(w->metrics);
    sem_destroy(&w->started);
    free(w);
}

/* ---- from the control thread --------------------------------------------- */

static int to_worker(struct worker *w, struct message *m)
{
    mailbox_post(&w->mailbox, &m->mail);
    return 0;
}

int worker_add_pod(struct worker *w, const struct worker_pod *pod)
{
    struct message *m = message_new(w, ADD_POD, pod->uid, deliver_to_worker);
    if (!m)
        return -ENOMEM;
    m->name = text_dup(text_of(pod->name));
    m->ns = text_dup(text_of(pod->ns));
    if (!m->name || !m->ns) {
        message_free(m);
        return -ENOMEM;
    }
    for (size_t i = 0; i < pod->n_addresses && i < LOCAL_POD_ADDRESSES_MAX; i++)
        m->addresses[m->n_addresses++] = pod->addresses[i];
    m->fds[0] = pod->taken_outbound;
    m->fds[1] = pod->taken_inbound;
    m->fds[2] = pod->taken_hbone;
    m->n_fds = 3;
    if (pod->taken_dns_udp >= 0) {
        m->fds[3] = pod->taken_dns_tcp;
        m->fds[4] = pod->taken_dns_udp;
        m->n_fds = 5;
    }
    return to_worker(w, m);
}

static int simple(struct worker *w, enum message_kind kind, const char *uid)
{
    struct message *m = message_new(w, kind, uid, deliver_to_worker);
    return m ? to_worker(w, m) : -ENOMEM;
}

int worker_remove_pod(struct worker *w, const char *uid) { return simple(w, REMOVE_POD, uid); }

int worker_set_credential(struct worker *w, const char *uid, struct credential *c)
{
    struct message *m = message_new(w, SET_CREDENTIAL, uid, deliver_to_worker);
    if (!m)
        return -ENOMEM;
    m->credential = c ? credential_ref(c) : NULL;
    return to_worker(w, m);
}

int worker_set_listeners(struct worker *w, const char *uid, struct listener_set *s)
{
    struct message *m = message_new(w, SET_LISTENERS, uid, deliver_to_worker);
    if (!m)
        return -ENOMEM;
    m->listeners = s ? listener_set_ref(s) : NULL;
    return to_worker(w, m);
}

int worker_set_trust(struct worker *w, struct trust *t)
{
    struct message *m = message_new(w, SET_TRUST, NULL, deliver_to_worker);
    if (!m)
        return -ENOMEM;
    m->trust = trust_ref(t);
    return to_worker(w, m);
}

int worker_fill(struct worker *w, const char *uid, int family, int type, const int *taken_fds, size_t n, int error)
{
    struct message *m = message_new(w, FILL, uid, deliver_to_worker);
    if (!m || n > SOCKET_POOL_MAX) {
        message_free(m);
        for (size_t i = 0; i < n; i++)
            socket_close(taken_fds[i]);
        return -ENOMEM;
    }
    for (size_t i = 0; i < n; i++)
        m->fds[i] = taken_fds[i];
    m->n_fds = n;
    m->family = family;
    m->type = type;
    m->error = error;
    return to_worker(w, m);
}

void worker_directory_changed(struct worker *w)
{
    if (!atomic_exchange(&w->directory_posted, true))
        mailbox_post(&w->mailbox, &w->directory_mail);
}

void worker_drain(struct worker *w) { (void)simple(w, DRAIN, NULL); }

void worker_stop(struct worker *w)
{
    while (simple(w, STOP, NULL) < 0) /* nothing else can be done; memory comes back as connections end */
        sched_yield();
}

int worker_tap(struct worker *w, struct tap *tap, void (*done)(struct tap *tap))
{
    struct message *m = message_new(w, TAP, NULL, deliver_to_worker);
    if (!m)
        return -ENOMEM;
    m->tap = tap_ref(tap);
    m->tapped = done;
    return to_worker(w, m);
}

int worker_dump(struct worker *w, unsigned parts, void (*done)(struct worker_dump *dump, void *arg), void *arg)
{
    struct message *m = message_new(w, DUMP, NULL, deliver_to_worker);
    struct worker_dump *d = calloc(1, sizeof *d);
    if (!m || !d) {
        message_free(m);
        free(d);
        return -ENOMEM;
    }
    text_heap_init(&d->connections, 64u * 1024 * 1024);
    upstream_seen_init(&d->endpoints);
    m->dump = d;
    m->parts = parts;
    m->dumped = done;
    m->arg = arg;
    return to_worker(w, m);
}
