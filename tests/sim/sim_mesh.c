#include "tests/sim/sim_mesh.h"

#include "tests/sim/sim_alloc.h"
#include "tests/sim/sim_chance.h"

enum { NEWS_MS_MAX = 20, SETTLE_MS = 120 * 1000 };

bool sim_one_in(struct sim_mesh *m, unsigned n)
{
    return rng_below(m->rng, n) == 0;
}
bool sim_roll(struct sim_mesh *m, unsigned percent)
{
    return percent > 0 && rng_below(m->rng, 100) < percent;
}

/* ---- the control threads: what is known --------------------------------------------------------------------- */

/* Small slices with time between them, in which connections may end. */
static void recheck(struct timer *t)
{
    struct sim_node *n = container_of(t, struct sim_node, recheck);
    if (living_look(&n->env, 1 + rng_below(n->mesh->rng, 3)))
        timer_start(ring_timers(n->env.ring), t, rng_below(n->mesh->rng, 3));
}

static void recheck_asked(struct ring_task *task)
{
    struct sim_node *n = container_of(task, struct sim_node, env.recheck_task);
    if (!timer_running(&n->recheck))
        timer_start(ring_timers(n->env.ring), &n->recheck, 0);
}

static void news_come(struct timer *t)
{
    struct sim_node *n = container_of(t, struct sim_node, news);
    list_for_each (l, &n->env.all_pods)
        local_pod_directory_changed(container_of(l, struct local_pod, link));
    living_news(&n->env);
}

void sim_news(struct sim_mesh *m)
{
    for (unsigned i = 0; i < SIM_NODES; i++)
        if (!timer_running(&m->nodes[i].news))
            timer_start(ring_timers(m->nodes[i].env.ring), &m->nodes[i].news,
                        rng_below(m->rng, NEWS_MS_MAX));
}

/* ---- who answers a connect ------------------------------------------------------------------------------------- */

struct sim_pod *sim_pod_at(struct sim_mesh *m, const struct ip *ip)
{
    for (unsigned i = 0; i < m->n_pods; i++)
        if (ip_equal(&m->pods[i].v4, ip) || ip_equal(&m->pods[i].v6, ip))
            return &m->pods[i];
    return NULL;
}

static struct sim_pod *pod_of_namespace(struct sim_mesh *m, uint32_t namespace_id)
{
    for (unsigned i = 0; i < m->n_pods; i++)
        if (m->pods[i].namespace_id == namespace_id)
            return &m->pods[i];
    return NULL;
}

static int application_at(const struct sim_mesh *m, uint32_t namespace_id, uint16_t port)
{
    for (unsigned i = 0; i < m->n_listeners; i++)
        if (m->listeners[i].namespace_id == namespace_id && m->listeners[i].port == port)
            return m->listeners[i].fd;
    return -1;
}

static void trouble(struct sim_mesh *m, struct fake_route *ret, unsigned refused, unsigned lost)
{
    if (sim_roll(m, refused))
        ret->listener = -1;
    else if (sim_roll(m, lost))
        ret->lost = true;
}

/* What the rules in the pods do (capture/redirect.c), and the network between them. */
static bool route(struct fake_net *net, int fd, const struct addr *to, struct fake_route *ret,
                  void *arg)
{
    struct sim_mesh *m = arg;
    struct sim_pod *from = pod_of_namespace(m, fake_socket_namespace(fd)),
                   *pod = sim_pod_at(m, &to->ip);
    bool proxy = fake_socket_mark(fd) == SIM_MARK;
    (void)net;
    if (m->plain_ports && (to->port == 15001 || to->port == 15006)) {
        ret->listener = to->port == 15001 ? pod->outbound_fd : pod->inbound_fd;
        return true;
    }
    if ((from && from->closed && !proxy) || (pod && pod->closed && !(proxy && from == pod)))
        return true; /* refused */
    if (from && from->captured && !proxy) {
        ret->listener = from->outbound_fd;
        ret->original = *to;
        return true;
    }
    if (!pod)
        return true; /* nobody there: refused */
    if (pod->captured && !(proxy && from == pod)) {
        bool hbone = to->port == 15008;
        ret->listener = hbone ? pod->hbone_fd : pod->inbound_fd;
        if (!hbone)
            ret->original = *to;
        m->hbone_connects += hbone;
        if (hbone)
            trouble(m, ret, m->troubles.hbone_refused, m->troubles.hbone_lost);
        return true;
    }
    ret->listener = application_at(m, pod->namespace_id, to->port);
    trouble(m, ret, m->troubles.app_refused, m->troubles.app_lost);
    return true;
}

/* ---- troubles ------------------------------------------------------------------------------------------------------ */

struct breaking {
    struct sim_mesh *m;
    unsigned percent, n;
};

static void break_link(const struct peer_link *l, void *arg)
{
    struct breaking *b = arg;
    if (l->h2_made && !l->h2.conn.closing && sim_roll(b->m, b->percent)) {
        fake_socket_reset(l->h2.conn.fd);
        b->n++;
    }
}

unsigned sim_break_tunnels(struct sim_mesh *m, unsigned percent)
{
    struct breaking b = {m, percent, 0};
    for (unsigned i = 0; i < m->n_pods; i++)
        if (m->pods[i].captured)
            peer_pool_each_link(&m->pods[i].local.peers, break_link, &b);
    return b.n;
}

/* ---- looking --------------------------------------------------------------------------------------------------------- */

size_t sim_living(const struct sim_mesh *m)
{
    size_t n = 0;
    for (unsigned i = 0; i < m->n_pods; i++)
        if (m->pods[i].captured)
            n += m->pods[i].local.n_outbounds + m->pods[i].local.n_inbounds;
    return n;
}

static void tell(const struct connection_view *v)
{
    char a[ADDR_TEXT_MAX], b[ADDR_TEXT_MAX], c[ADDR_TEXT_MAX];
    print_error("  %s %s at %s: %s to %s (%s), %llu in, %llu out\n", v->direction, v->protocol,
                v->stage, addr_print(&v->source, a), addr_print(&v->destination, b),
                addr_print(&v->target, c), (unsigned long long)v->bytes_received,
                (unsigned long long)v->bytes_sent);
}

void sim_tell_living(const struct sim_mesh *m)
{
    struct connection_view v;
    for (unsigned i = 0; i < m->n_pods; i++) {
        const struct sim_pod *p = &m->pods[i];
        if (!p->node || p->drained || !p->local.env)
            continue;
        print_error("pod %s: %zu outbounds, %zu inbounds, %zu servers, %zu tunnels%s\n", p->name,
                    p->local.n_outbounds, p->local.n_inbounds, p->local.n_servers,
                    p->local.peers.n_links, p->captured ? "" : ", closing");
        for (struct list *n = p->local.outbounds.next; n != &p->local.outbounds; n = n->next) {
            outbound_view(outbound_of_link(n), &v);
            tell(&v);
        }
        for (struct list *n = p->local.inbounds.next; n != &p->local.inbounds; n = n->next) {
            inbound_view(inbound_of_link(n), &v);
            tell(&v);
        }
    }
}

uint64_t sim_ending_count(const struct sim_mesh *m, enum ending e)
{
    return m->nodes[0].env.endings[e] + m->nodes[1].env.endings[e];
}

static void sample(struct timer *t)
{
    struct sim_node *n = container_of(t, struct sim_node, sample);
    sim_alloc_leave();
    struct ring_stats stats;
    ring_stats(n->env.ring, &stats);
    if (stats.chunks_live > n->chunks_most)
        n->chunks_most = stats.chunks_live;
    timer_start(ring_timers(n->env.ring), t, 5);
}

/* ---- beginning and end ------------------------------------------------------------------------------------------------- */

static void offline(void *arg)
{
    (void)arg;
    sim_alloc_leave();
    directory_thread_offline();
}
static void online(void *arg)
{
    (void)arg;
    directory_thread_online();
    sim_alloc_enter();
}

static void node_open(struct sim_mesh *m, unsigned index, const struct sim_mesh_options *o)
{
    struct sim_node *n = &m->nodes[index];
    *n = (struct sim_node){.mesh = m, .index = index};
    n->config = (struct config){
        .node = index == 0 ? "node0" : "node1",
        .cluster_id = "sim",
        .network = "",
        .trust_domain = "cluster.local",
        .connect_ms = 10000,
        .identity_wait_ms = 10000,
        .tunnel_idle_ms = 300000,
        .handshake_ms = 10000,
        .connections_max = o->connections_max ? o->connections_max : 1000,
        .streams_max = o->streams_max ? o->streams_max : 100,
        .access_log = true,
        .same_node_hbone = o->same_node_hbone,
        .parse_http = o->http || o->detect,
        .detect_http = o->detect,
    };
    const struct ring_options ring = {.chunks_max = o->chunks_max};
    assert_int_equal(ring_open(&n->env.ring, &ring, NULL), 0);
    ring_set_idle_hooks(n->env.ring, offline, online, NULL);
    fake_ring_watch(n->env.ring);
    assert_int_equal(directory_new(&n->directory), 0);
    assert_int_equal(metrics_new(&n->env.metrics, 20000), 0);
    n->env.config = &n->config;
    n->env.directory = n->directory;
    map_init(&n->env.pods, 0);
    list_init(&n->env.all_pods);
    living_init(&n->env);
    ring_task_init(&n->env.recheck_task, recheck_asked);
    timer_init(&n->recheck, recheck);
    timer_init(&n->news, news_come);
    timer_init(&n->sample, sample);
    timer_start(ring_timers(n->env.ring), &n->sample, 1);
}

/* What the TLS library asks for once in a process must not count as this run's chance. */
static void warm_up(void)
{
    static bool warm;
    struct key *key;
    if (warm)
        return;
    warm = true;
    sim_chance_seed(0);
    assert_int_equal(key_generate(&key), 0);
    key_unref(key);
}

void sim_mesh_open(struct sim_mesh *m, const struct sim_mesh_options *o)
{
    warm_up();
    sim_chance_seed(o->seed);
    *m = (struct sim_mesh){.seed = o->seed, .net = fake_net_new(o->seed)};
    m->rng = fake_net_rng(m->net);
    list_init(&m->refills);
    if (o->calm)
        fake_net_set_weather(m->net, &(struct fake_weather){.socket_bytes = 65536});
    directory_thread_register();
    m->quick = o->quick;
    sim_ca_open(m);
    assert_int_equal(ring_open(&m->apps, NULL, NULL), 0);
    for (unsigned i = 0; i < SIM_NODES; i++)
        node_open(m, i, o);
    fake_net_set_route(m->net, route, m);
}

static bool removed_are_drained(void *arg)
{
    const struct sim_mesh *m = arg;
    for (unsigned i = 0; i < m->n_pods; i++)
        if (m->pods[i].local.env && !m->pods[i].captured && !m->pods[i].drained)
            return false;
    return true;
}

void sim_pods_drained(struct sim_mesh *m)
{
    if (fake_net_run_until(m->net, removed_are_drained, m, SETTLE_MS))
        return;
    sim_tell_living(m);
    fail_msg("pods do not drain");
}

uint64_t sim_mesh_close(struct sim_mesh *m)
{
    for (unsigned i = 0; i < m->n_pods; i++)
        sim_pod_remove(&m->pods[i], ENDING_DRAINED);
    sim_pods_drained(m);
    while (m->n_listeners > 0)
        sim_unlisten(m, m->listeners[0].fd);
    for (unsigned i = 0; i < SIM_NODES; i++) {
        struct sim_node *n = &m->nodes[i];
        timer_stop(ring_timers(n->env.ring), &n->news);
        timer_stop(ring_timers(n->env.ring), &n->recheck);
        timer_stop(ring_timers(n->env.ring), &n->sample);
        assert_true(list_empty(&n->env.recheck) && list_empty(&n->env.all_pods));
        assert_int_equal(n->env.pods.count, 0);
    }
    fake_net_run_for(m->net, 1); /* tasks that were asked last */
    assert_int_equal(fake_net_leaks(m->net), 0);
    for (unsigned i = 0; i < SIM_NODES; i++) {
        struct sim_node *n = &m->nodes[i];
        map_done(&n->env.pods, NULL);
        n->env.ring = ring_free(n->env.ring);
        n->env.metrics = metrics_free(n->env.metrics);
    }
    ring_free(m->apps);
    for (unsigned i = 0; i < m->n_pods; i++) {
        struct credential *c = m->pods[i].credential;
        if (c)
            assert_int_equal(atomic_load(&c->refs), sim_credential_refs(m, c));
        m->pods[i].credential = credential_unref(c);
    }
    sim_ca_close(m);
    uint64_t trace = fake_net_trace(m->net);
    fake_net_free(m->net);
    directory_thread_offline();
    directory_thread_unregister();
    for (unsigned i = 0; i < SIM_NODES; i++)
        directory_free(m->nodes[i].directory);
    return trace;
}
