#include "tests/sim/sim_mesh.h"

#include "shared/tls/x509.h"
#include "tests/sim/sim_alloc.h"
#include "tests/sim/sim_chance.h"

enum { NEWS_MS_MAX = 20, SETTLE_MS = 120 * 1000 };

bool sim_one_in(struct sim_mesh *m, unsigned n) { return rng_below(m->rng, n) == 0; }
bool sim_roll(struct sim_mesh *m, unsigned percent) { return percent > 0 && rng_below(m->rng, 100) < percent; }

static char *format_text(const char *format, ...) __attribute__((format(printf, 1, 2)));
static char *format_text(const char *format, ...)
{
    char *text;
    va_list args;
    va_start(args, format);
    int r = vasprintf(&text, format, args);
    va_end(args);
    assert_true(r >= 0);
    return text;
}

static void set(char **field, char *taken)
{
    free(*field);
    *field = taken;
}

static void *zeroed(size_t n, size_t size)
{
    void *p = calloc(n, size);
    assert_non_null(p);
    return p;
}

/* ---- certificates -------------------------------------------------------------------------------------- */

/* Fixed dates, so that a certificate of a seed is the same on every day. */
enum { NOT_BEFORE_S = 1577836800 };
static const int64_t not_after_s = 2493072000;

static void ca_make(struct key **ret_key, struct x509 *ret)
{
    const struct x509_template t = {
        .common_name = TEXT("simulation"), .is_ca = true, .path_len = -1, .not_before_s = NOT_BEFORE_S, .not_after_s = not_after_s};
    uint8_t public_key[KEY_PUBLIC_MAX];
    size_t len;
    assert_int_equal(key_generate(ret_key), 0);
    assert_int_equal(key_public_der(*ret_key, public_key, sizeof public_key, &len), 0);
    assert_int_equal(x509_make(&t, public_key, len, NULL, *ret_key, ret), 0);
}

static struct credential *credential_make(const char *uri, const struct x509 *ca, const struct key *ca_key)
{
    const struct x509_template t = {.uri = text_of(uri),
                                    .path_len = -1,
                                    .not_before_s = NOT_BEFORE_S,
                                    .not_after_s = not_after_s,
                                    .server = true,
                                    .client = true};
    uint8_t public_key[KEY_PUBLIC_MAX];
    char *pem = zeroed(1, X509_PEM_MAX), *ca_pem = zeroed(1, X509_PEM_MAX);
    struct spiffe_id id;
    struct credential *c;
    struct x509 leaf;
    struct key *key;
    const char *why = "";
    size_t len;
    assert_int_equal(key_generate(&key), 0);
    assert_int_equal(key_public_der(key, public_key, sizeof public_key, &len), 0);
    assert_int_equal(x509_make(&t, public_key, len, ca, ca_key, &leaf), 0);
    assert_int_equal(x509_to_pem(&leaf, pem, X509_PEM_MAX, &len), 0);
    assert_int_equal(x509_to_pem(ca, ca_pem, X509_PEM_MAX, &len), 0);
    assert_int_equal(spiffe_id_parse(text_of(uri), &id), 0);
    int r = credential_new(&c, &id, key, text_of(pem), text_of(ca_pem), NOT_BEFORE_S + 3600, &why);
    if (r < 0)
        fail_msg("no credential: %s", why);
    x509_done(&leaf);
    key_unref(key);
    free(pem);
    free(ca_pem);
    return c;
}

struct credential *sim_credential(struct sim_mesh *m, const char *uri, bool other_ca)
{
    struct key *key;
    struct x509 ca;
    if (!other_ca)
        return credential_make(uri, &m->ca, m->ca_key);
    ca_make(&key, &ca);
    struct credential *c = credential_make(uri, &ca, key);
    x509_done(&ca);
    key_unref(key);
    return c;
}

void sim_pod_certify(struct sim_pod *p)
{
    credential_unref(p->credential);
    p->credential = sim_credential(p->mesh, p->id.text, false);
    if (p->captured)
        local_pod_set_credential(&p->local, p->credential);
}

/* ---- the control threads: sockets for pods ------------------------------------------------------------------ */

struct refill {
    struct list link;
    struct timer timer;
    struct sim_pod *pod;
    int family;
    unsigned n;
};

static void refill_free(struct refill *r)
{
    timer_stop(ring_timers(r->pod->node->env.ring), &r->timer);
    list_remove(&r->link);
    free(r);
}

static void refill_answer(struct timer *t)
{
    struct refill *r = container_of(t, struct refill, timer);
    struct sim_pod *p = r->pod;
    struct sim_mesh *m = p->mesh;
    int fds[SOCKET_POOL_MAX], family = r->family;
    unsigned n = 0, want = r->n;
    sim_alloc_leave();
    refill_free(r);
    if (!p->captured)
        return;
    uint32_t before = fake_net_enter_namespace(m->net, p->namespace_id);
    while (!sim_roll(m, m->troubles.refill_fails) && n < want && socket_open(family, &fds[n]) == 0)
        (void)socket_set_mark(fds[n++], SIM_MARK);
    fake_net_enter_namespace(m->net, before);
    socket_pool_filled(&p->local.sockets, family, fds, n, n == 0 ? -EMFILE : 0);
}

static void refill(struct socket_pool *pool, int family, unsigned n)
{
    struct sim_pod *p = container_of(pool, struct local_pod, sockets)->user;
    struct sim_mesh *m = p->mesh;
    assert_in_range(n, 1, SOCKET_POOL_MAX);
    if (sim_roll(m, m->troubles.refill_lost))
        return;
    sim_alloc_leave();
    struct refill *r = zeroed(1, sizeof *r);
    sim_alloc_enter();
    *r = (struct refill){.pod = p, .family = family, .n = n};
    timer_init(&r->timer, refill_answer);
    list_init(&r->link);
    list_push_back(&m->refills, &r->link);
    timer_start(ring_timers(p->node->env.ring), &r->timer, rng_below(m->rng, m->troubles.refill_ms_max + 1));
}

/* ---- the control threads: what is known --------------------------------------------------------------------- */

/* Small slices with time between them, in which connections may end. */
static void recheck(struct timer *t)
{
    struct sim_node *n = container_of(t, struct sim_node, recheck);
    if (inbound_recheck_some(&n->env, 1 + rng_below(n->mesh->rng, 3)))
        timer_start(ring_timers(n->env.ring), t, rng_below(n->mesh->rng, 3));
}

static void news_come(struct timer *t)
{
    struct sim_node *n = container_of(t, struct sim_node, news);
    list_for_each (l, &n->env.all_pods)
        local_pod_directory_changed(container_of(l, struct local_pod, link));
    uint64_t version = directory_policy_version(n->directory);
    if (version == n->env.policy_version)
        return;
    n->env.policy_version = version;
    inbound_recheck_begin(&n->env);
    timer_start(ring_timers(n->env.ring), &n->recheck, 0);
}

void sim_news(struct sim_mesh *m)
{
    for (unsigned i = 0; i < SIM_NODES; i++)
        if (!timer_running(&m->nodes[i].news))
            timer_start(ring_timers(m->nodes[i].env.ring), &m->nodes[i].news, rng_below(m->rng, NEWS_MS_MAX));
}

static struct port_pair *service_ports(void)
{
    struct port_pair *p = zeroed(1, sizeof *p);
    *p = (struct port_pair){.service_port = SIM_SERVICE_PORT, .target_port = SIM_PORT};
    return p;
}

static struct workload *workload_make(const struct sim_pod *p)
{
    struct workload *w = workload_new();
    assert_non_null(w);
    set(&w->uid, format_text("%s", p->uid));
    set(&w->name, format_text("%s", p->name));
    set(&w->workload_name, format_text("%s", p->name));
    set(&w->canonical_name, format_text("%s", p->name));
    set(&w->ns, format_text("shop"));
    set(&w->service_account, format_text("%s", p->account));
    set(&w->node, format_text("node%d", p->node ? (int)p->node->index : -1));
    w->tunnel = p->node ? TUNNEL_HBONE : TUNNEL_NONE;
    w->addresses = zeroed(2, sizeof *w->addresses);
    if (!p->no_v4)
        w->addresses[w->n_addresses++] = p->v4;
    w->addresses[w->n_addresses++] = p->v6;
    w->services = zeroed(SIM_SERVICES_MAX, sizeof *w->services);
    for (unsigned i = 0; i < SIM_SERVICES_MAX; i++)
        if (p->services & 1u << i)
            w->services[w->n_services++] = (struct workload_service){.key = format_text("shop/s%u.shop", i), .ports = service_ports(), .n_ports = 1};
    return w;
}

void sim_pod_publish_to(struct sim_pod *p, unsigned node)
{
    assert_int_equal(directory_put_workload(p->mesh->nodes[node].directory, workload_make(p)), 0);
    sim_news(p->mesh);
}

void sim_pod_publish(struct sim_pod *p)
{
    for (unsigned i = 0; i < SIM_NODES; i++)
        sim_pod_publish_to(p, i);
}

struct addr sim_service_addr(unsigned number, bool v6)
{
    struct addr a = {.ip = {4, {10, 96, 0, (uint8_t)(1 + number)}}, .port = SIM_SERVICE_PORT};
    if (v6)
        a.ip = (struct ip){16, {0xfd, 0x96, [15] = (uint8_t)(1 + number)}};
    return a;
}

static struct service *service_make(unsigned number)
{
    struct service *s = service_new();
    assert_non_null(s);
    set(&s->name, format_text("s%u", number));
    set(&s->ns, format_text("shop"));
    set(&s->hostname, format_text("s%u.shop", number));
    set(&s->key, format_text("shop/s%u.shop", number));
    s->addresses = zeroed(2, sizeof *s->addresses);
    for (unsigned i = 0; i < 2; i++)
        s->addresses[s->n_addresses++] = (struct service_address){.network = format_text("%s", ""), .ip = sim_service_addr(number, i == 1).ip};
    s->ports = service_ports();
    s->n_ports = 1;
    return s;
}

void sim_service(struct sim_mesh *m, unsigned number)
{
    for (unsigned i = 0; i < SIM_NODES; i++)
        assert_int_equal(directory_put_service(m->nodes[i].directory, service_make(number)), 0);
    sim_news(m);
}

/* ---- policies -------------------------------------------------------------------------------------------------- */

static struct string_match *put_match(struct string_matches *all, enum string_match_kind kind, char *taken_value)
{
    all->items = zeroed(1, sizeof *all->items);
    all->items[0] = (struct string_match){.kind = kind, .value = taken_value};
    all->n = 1;
    return all->items;
}

/* One rule with one clause with one match. */
static struct policy *policy_make(const char *name, enum policy_action action, struct policy_match **ret_match)
{
    struct policy *p = policy_new();
    assert_non_null(p);
    set(&p->name, format_text("%s", name));
    set(&p->ns, format_text("shop"));
    set(&p->key, format_text("shop/%s", name));
    p->scope = POLICY_NAMESPACE;
    p->action = action;
    p->rules = zeroed(1, sizeof *p->rules);
    p->n_rules = 1;
    p->rules[0].clauses = zeroed(1, sizeof *p->rules[0].clauses);
    p->rules[0].n = 1;
    p->rules[0].clauses[0].matches = zeroed(1, sizeof **ret_match);
    p->rules[0].clauses[0].n = 1;
    *ret_match = &p->rules[0].clauses[0].matches[0];
    return p;
}

static void policy_put(struct sim_mesh *m, struct policy *(*make)(const char *name, const void *a), const char *name, const void *a)
{
    for (unsigned i = 0; i < SIM_NODES; i++)
        assert_int_equal(directory_put_policy(m->nodes[i].directory, make(name, a)), 0);
    sim_news(m);
}

struct access_pair {
    const struct sim_pod *to, *from;
};

/* DENY to `to` from everybody else: the namespace's other pods stay as open as they were. */
static struct policy *only_from(const char *name, const void *a)
{
    const struct access_pair *pair = a;
    struct policy_match *match;
    struct policy *p = policy_make(name, POLICY_DENY, &match);
    struct policy_rule *rule = &p->rules[0];
    if (pair->from)
        put_match(&match->not_principals, MATCH_EXACT, format_text("%s", pair->from->id.text + 9));
    else
        put_match(&match->not_principals, MATCH_EXACT, format_text("nobody"));
    /* and: at these addresses */
    struct policy_clause *clauses = zeroed(2, sizeof *clauses);
    clauses[0] = rule->clauses[0];
    clauses[1].matches = zeroed(1, sizeof *match);
    clauses[1].n = 1;
    free(rule->clauses);
    rule->clauses = clauses;
    rule->n = 2;
    struct prefix_matches *at = &clauses[1].matches[0].destination_ips;
    at->items = zeroed(2, sizeof *at->items);
    at->items[at->n++] = (struct prefix){pair->to->v4, 32};
    at->items[at->n++] = (struct prefix){pair->to->v6, 128};
    return p;
}

void sim_policy_allow(struct sim_mesh *m, const char *name, const struct sim_pod *to, const struct sim_pod *from)
{
    policy_put(m, only_from, name, &(struct access_pair){to, from});
}

/* What the controller makes of a STRICT PeerAuthentication. */
static struct policy *strict(const char *name, const void *a)
{
    struct policy_match *match;
    struct policy *p = policy_make(name, POLICY_DENY, &match);
    (void)a;
    put_match(&match->not_principals, MATCH_PRESENCE, format_text("%s", ""));
    return p;
}

void sim_policy_strict(struct sim_mesh *m, const char *name) { policy_put(m, strict, name, NULL); }

void sim_policy_remove(struct sim_mesh *m, const char *name)
{
    char key[64];
    snprintf(key, sizeof key, "shop/%s", name);
    for (unsigned i = 0; i < SIM_NODES; i++)
        assert_true(directory_remove_policy(m->nodes[i].directory, text_of(key)));
    sim_news(m);
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
static bool route(struct fake_net *net, int fd, const struct addr *to, struct fake_route *ret, void *arg)
{
    struct sim_mesh *m = arg;
    struct sim_pod *from = pod_of_namespace(m, fake_socket_namespace(fd)), *pod = sim_pod_at(m, &to->ip);
    bool proxy = fake_socket_mark(fd) == SIM_MARK;
    (void)net;
    if (m->plain_ports && (to->port == 15001 || to->port == 15006)) {
        ret->listener = to->port == 15001 ? pod->outbound_fd : pod->inbound_fd;
        return true;
    }
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

/* ---- pods ------------------------------------------------------------------------------------------------------- */

struct sim_pod *sim_pod_add(struct sim_mesh *m, int node, const char *name, const char *account)
{
    assert_true(m->n_pods < SIM_PODS_MAX);
    unsigned i = m->n_pods++;
    struct sim_pod *p = &m->pods[i];
    *p = (struct sim_pod){.mesh = m, .node = node < 0 ? NULL : &m->nodes[node], .namespace_id = 100 + i};
    p->v4 = (struct ip){4, {10, 0, (uint8_t)(node + 1), (uint8_t)(i + 1)}};
    p->v6 = (struct ip){16, {0xfd, [13] = (uint8_t)(node + 1), [15] = (uint8_t)(i + 1)}};
    snprintf(p->name, sizeof p->name, "%s", name);
    snprintf(p->account, sizeof p->account, "%s", account);
    snprintf(p->uid, sizeof p->uid, "sim//Pod/shop/%s", name);
    assert_int_equal(spiffe_id_make(TEXT("cluster.local"), TEXT("shop"), text_of(account), &p->id), 0);
    assert_int_equal(fake_net_add_address(m->net, p->namespace_id, &p->v4), 0);
    assert_int_equal(fake_net_add_address(m->net, p->namespace_id, &p->v6), 0);
    return p;
}

static void pod_drained(struct local_pod *local)
{
    struct sim_pod *p = local->user;
    p->drained = true;
}

static int listen_in(struct sim_pod *p, uint16_t port)
{
    int fd = -1;
    uint32_t before = fake_net_enter_namespace(p->mesh->net, p->namespace_id);
    assert_int_equal(socket_listen(&(struct addr){.port = port}, 64, false, &fd), 0);
    fake_net_enter_namespace(p->mesh->net, before);
    return fd;
}

void sim_pod_capture(struct sim_pod *p)
{
    const struct ip addresses[] = {p->v4, p->v6};
    p->outbound_fd = listen_in(p, 15001);
    p->inbound_fd = listen_in(p, 15006);
    p->hbone_fd = listen_in(p, 15008);
    const struct local_pod_options o = {
        .uid = p->uid,
        .name = p->name,
        .ns = "shop",
        .addresses = addresses,
        .n_addresses = 2,
        .taken_outbound = p->outbound_fd,
        .taken_inbound = p->inbound_fd,
        .taken_hbone = p->hbone_fd,
        .refill = refill,
        .drained = pod_drained,
        .user = p,
    };
    assert_int_equal(local_pod_open(&p->local, &p->node->env, &o), 0);
    p->captured = true;
    p->drained = false;
}

void sim_pod_start(struct sim_pod *p)
{
    sim_pod_publish(p);
    if (!p->node)
        return;
    sim_pod_capture(p);
    sim_pod_certify(p);
}

void sim_pod_remove(struct sim_pod *p, enum ending ending)
{
    if (!p->captured)
        return;
    p->captured = false;
    list_for_each (n, &p->mesh->refills) {
        struct refill *r = container_of(n, struct refill, link);
        if (r->pod == p)
            refill_free(r);
    }
    local_pod_close(&p->local, ending);
}

void sim_node_drain(struct sim_node *n)
{
    n->env.draining = true;
    list_for_each (l, &n->env.all_pods)
        local_pod_drain(container_of(l, struct local_pod, link));
    /* What is not captured any more would reach the applications past the proxy: the rules stay, and connects are refused. */
    for (unsigned i = 0; i < n->mesh->n_pods; i++)
        if (n->mesh->pods[i].node == n)
            n->mesh->pods[i].outbound_fd = n->mesh->pods[i].inbound_fd = n->mesh->pods[i].hbone_fd = -1;
}

struct addr sim_pod_addr(const struct sim_pod *p, uint16_t port, bool v6) { return (struct addr){v6 ? p->v6 : p->v4, port}; }

int sim_listen(struct sim_mesh *m, struct sim_pod *p, uint16_t port)
{
    assert_true(m->n_listeners < SIM_LISTENERS_MAX);
    int fd = listen_in(p, port);
    m->listeners[m->n_listeners++] = (struct sim_listener){p->namespace_id, port, fd};
    return fd;
}

void sim_unlisten(struct sim_mesh *m, int fd)
{
    for (unsigned i = 0; i < m->n_listeners; i++)
        if (m->listeners[i].fd == fd) {
            m->listeners[i] = m->listeners[--m->n_listeners];
            socket_close(fd);
            return;
        }
    fail_msg("%d does not listen", fd);
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
    print_error("  %s %s at %s: %s to %s (%s), %llu in, %llu out\n", v->direction, v->protocol, v->stage, addr_print(&v->source, a),
                addr_print(&v->destination, b), addr_print(&v->target, c), (unsigned long long)v->bytes_received,
                (unsigned long long)v->bytes_sent);
}

void sim_tell_living(const struct sim_mesh *m)
{
    struct connection_view v;
    for (unsigned i = 0; i < m->n_pods; i++) {
        const struct sim_pod *p = &m->pods[i];
        if (!p->node || p->drained || !p->local.env)
            continue;
        print_error("pod %s: %zu outbounds, %zu inbounds, %zu servers, %zu tunnels%s\n", p->name, p->local.n_outbounds, p->local.n_inbounds,
                    p->local.n_servers, p->local.peers.n_links, p->captured ? "" : ", closing");
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

uint64_t sim_ending_count(const struct sim_mesh *m, enum ending e) { return m->nodes[0].env.endings[e] + m->nodes[1].env.endings[e]; }

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
    };
    const struct ring_options ring = {.chunks_max = o->chunks_max};
    assert_int_equal(ring_open(&n->env.ring, &ring, NULL), 0);
    ring_set_idle_hooks(n->env.ring, offline, online, NULL);
    assert_int_equal(directory_new(&n->directory), 0);
    assert_int_equal(metrics_new(&n->env.metrics, 20000), 0);
    n->env.config = &n->config;
    n->env.directory = n->directory;
    map_init(&n->env.pods, 0);
    list_init(&n->env.all_pods);
    list_init(&n->env.recheck);
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
    ca_make(&m->ca_key, &m->ca);
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
            assert_int_equal(atomic_load(&c->refs), 1);
        credential_unref(c);
    }
    x509_done(&m->ca);
    key_unref(m->ca_key);
    uint64_t trace = fake_net_trace(m->net);
    fake_net_free(m->net);
    directory_thread_offline();
    directory_thread_unregister();
    for (unsigned i = 0; i < SIM_NODES; i++)
        directory_free(m->nodes[i].directory);
    return trace;
}
