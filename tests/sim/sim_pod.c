/* Pods of a simulated mesh: certificates, sockets, listeners. */
#include "tests/sim/sim_mesh.h"

#include "tests/sim/sim_alloc.h"
#include "tests/sim/sim_chance.h"

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
    const struct x509_template t = {.common_name = TEXT("simulation"),
                                    .is_ca = true,
                                    .path_len = -1,
                                    .not_before_s = NOT_BEFORE_S,
                                    .not_after_s = not_after_s};
    uint8_t public_key[KEY_PUBLIC_MAX];
    size_t len;
    assert_int_equal(key_generate(ret_key), 0);
    assert_int_equal(key_public_der(*ret_key, public_key, sizeof public_key, &len), 0);
    assert_int_equal(x509_make(&t, public_key, len, NULL, *ret_key, ret), 0);
}

static struct credential *credential_make(const char *uri, const struct x509 *ca,
                                          const struct key *ca_key)
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

/* ---- of earlier runs ---- */

enum { KEPT_MAX = 32 };
static struct key *kept_ca_key;
static struct x509 kept_ca;
static struct credential *kept[KEPT_MAX];
static unsigned n_kept;

/* Each run sees the same one, whether it was made just now or long ago. */
static struct credential *kept_credential(const char *uri)
{
    for (unsigned i = 0; i < n_kept; i++)
        if (strcmp(kept[i]->id.text, uri) == 0)
            return credential_ref(kept[i]);
    struct rng own, before;
    rng_seed(&own, 1000 + n_kept);
    before = sim_chance_swap(own);
    assert_true(n_kept < KEPT_MAX);
    kept[n_kept] = credential_make(uri, &kept_ca, kept_ca_key);
    (void)sim_chance_swap(before);
    return credential_ref(kept[n_kept++]);
}

void sim_ca_open(struct sim_mesh *m)
{
    if (!m->quick) {
        ca_make(&m->ca_key, &m->ca);
    } else if (!kept_ca_key) {
        struct rng own, before;
        rng_seed(&own, 999);
        before = sim_chance_swap(own);
        ca_make(&kept_ca_key, &kept_ca);
        (void)sim_chance_swap(before);
    }
}

void sim_ca_close(struct sim_mesh *m)
{
    if (m->quick)
        return;
    x509_done(&m->ca);
    key_unref(m->ca_key);
}

struct credential *sim_credential(struct sim_mesh *m, const char *uri, bool other_ca)
{
    struct key *key;
    struct x509 ca;
    if (!other_ca)
        return m->quick ? kept_credential(uri) : credential_make(uri, &m->ca, m->ca_key);
    ca_make(&key, &ca);
    struct credential *c = credential_make(uri, &ca, key);
    x509_done(&ca);
    key_unref(key);
    return c;
}

unsigned sim_credential_refs(const struct sim_mesh *m, const struct credential *c)
{
    unsigned n = 0;
    for (unsigned i = 0; i < n_kept; i++)
        n += kept[i] == c;
    for (unsigned i = 0; i < m->n_pods; i++)
        n += m->pods[i].credential == c;
    return n;
}

void sim_pod_certify(struct sim_pod *p)
{
    const struct sim_mesh *m = p->mesh;
    bool renewal = p->credential; /* which is another one */
    p->credential = credential_unref(p->credential);
    p->credential = m->quick && renewal ? credential_make(p->id.text, &kept_ca, kept_ca_key)
                                        : sim_credential(p->mesh, p->id.text, false);
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
    timer_start(ring_timers(p->node->env.ring), &r->timer,
                rng_below(m->rng, m->troubles.refill_ms_max + 1));
}

/* ---- pods ------------------------------------------------------------------------------------------------------- */

struct sim_pod *sim_pod_add(struct sim_mesh *m, int node, const char *name, const char *account)
{
    assert_true(m->n_pods < SIM_PODS_MAX);
    unsigned i = m->n_pods++;
    struct sim_pod *p = &m->pods[i];
    *p = (struct sim_pod){
        .mesh = m, .node = node < 0 ? NULL : &m->nodes[node], .namespace_id = 100 + i};
    p->v4 = (struct ip){4, {10, 0, (uint8_t)(node + 1), (uint8_t)(i + 1)}};
    p->v6 = (struct ip){16, {0xfd, [13] = (uint8_t)(node + 1), [15] = (uint8_t)(i + 1)}};
    snprintf(p->name, sizeof p->name, "%s", name);
    snprintf(p->account, sizeof p->account, "%s", account);
    snprintf(p->uid, sizeof p->uid, "sim//Pod/shop/%s", name);
    assert_int_equal(spiffe_id_make(TEXT("cluster.local"), TEXT("shop"), text_of(account), &p->id),
                     0);
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
            n->mesh->pods[i].outbound_fd = n->mesh->pods[i].inbound_fd = n->mesh->pods[i].hbone_fd =
                -1;
}

void sim_node_stop(struct sim_node *n)
{
    for (unsigned i = 0; i < n->mesh->n_pods; i++) {
        struct sim_pod *p = &n->mesh->pods[i];
        if (p->node == n && p->captured) {
            sim_pod_remove(p, ENDING_DRAINED);
            p->closed = true;
        }
    }
}

void sim_node_start(struct sim_node *n)
{
    sim_pods_drained(n->mesh);
    n->env.draining = false;
    for (unsigned i = 0; i < n->mesh->n_pods; i++) {
        struct sim_pod *p = &n->mesh->pods[i];
        if (p->node != n || !p->closed)
            continue;
        p->closed = false;
        sim_pod_capture(p);
        sim_pod_certify(p);
    }
}

struct addr sim_pod_addr(const struct sim_pod *p, uint16_t port, bool v6)
{
    return (struct addr){v6 ? p->v6 : p->v4, port};
}

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
