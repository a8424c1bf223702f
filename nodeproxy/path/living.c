/* Looks again at what lives; see the header. */
#include "nodeproxy/path/living.h"

#include "nodeproxy/path/inbound.h"
#include "nodeproxy/path/outbound.h"

enum {
    GROUPS_PER_CONNECTION = 4, /* looking at a tunnel's destination costs less than at a connection */
    ENDINGS_PER_MS = 4,        /* at least; so up to 3,000 or so end within a second of the change */
    ENDINGS_MS = 2000,         /* in which all are through, however many */
    SAVED_MS = 5,              /* what was not used for longer than that is lost: no bursts */
};

/* Lists are walked by turning them around: those that come later are behind, and may be looked at without need. */
static void ask_now(struct local_pod *p)
{
    if (list_empty(&p->living))
        list_push_back(&p->env->recheck, &p->living);
    ring_task_ask(p->env->ring, &p->env->recheck_task);
}

static void ask(struct local_pod *p, bool inbounds, bool outbounds)
{
    if (p->closing)
        return;
    if (inbounds)
        p->look_inbounds = p->n_inbounds;
    if (outbounds)
        p->look_outbounds = p->n_outbounds;
    p->look_upstreams |= outbounds;
    ask_now(p);
}

void living_tunnels(struct local_pod *p) { ask(p, true, true); }

void living_upstreams(struct local_pod *p)
{
    if (p->closing)
        return;
    p->look_upstreams = true;
    ask_now(p);
}

void living_forget(struct local_pod *p)
{
    list_remove(&p->living);
    if (list_empty(&p->env->recheck))
        timer_stop(ring_timers(p->env->ring), &p->env->pace.timer);
}

/* ---- the pace of endings ------------------------------------------------- */

static void pace_on(struct timer *t)
{
    struct path_env *env = container_of(t, struct path_env, pace.timer);
    ring_task_ask(env->ring, &env->recheck_task);
}

/* The pace follows from the most that there were to be looked at since there was nothing. */
static size_t pace_of(const struct path_env *env)
{
    size_t n = 0, per_ms;
    for (const struct list *l = env->recheck.next; l != &env->recheck; l = l->next) {
        const struct local_pod *p = container_of(l, struct local_pod, living);
        n += p->look_inbounds + p->look_outbounds;
    }
    per_ms = n / ENDINGS_MS + 1;
    return per_ms > ENDINGS_PER_MS ? per_ms : ENDINGS_PER_MS;
}

static void pace_look(struct path_env *env)
{
    struct living_pace *pace = &env->pace;
    uint64_t now = ring_now_ms(env->ring), since = now - pace->at_ms;
    size_t per_ms = pace_of(env);
    if (per_ms > pace->per_ms)
        pace->per_ms = per_ms;
    pace->left += (size_t)(since < SAVED_MS ? since : SAVED_MS) * pace->per_ms;
    if (pace->left > SAVED_MS * pace->per_ms)
        pace->left = SAVED_MS * pace->per_ms;
    pace->at_ms = now;
}

void living_init(struct path_env *env)
{
    list_init(&env->recheck);
    timer_init(&env->pace.timer, pace_on);
}

/* ---- who the pod is ------------------------------------------------------ */

static void set_identity(struct local_pod *p, const struct spiffe_id *id)
{
    bool changed = spiffe_id_present(&p->identity) && !spiffe_id_equal(&p->identity, id);
    if (spiffe_id_present(&p->identity) && !changed)
        return;
    p->identity = *id;
    if (!changed)
        return;
    p->epoch++;
    list_for_each(n, &p->servers)
    {
        struct hbone_server *s = container_of(n, struct hbone_server, link);
        if (!spiffe_id_equal(&s->credential->id, id))
            proof_break(&s->proof, ENDING_IDENTITY_CHANGED);
    }
    ask(p, true, true);
}

static void look_at_identity(struct local_pod *p)
{
    const struct workload *w = directory_workload(p->env->directory, text_of(p->uid));
    struct spiffe_id id;
    if (w && spiffe_id_present(&p->identity) && spiffe_id_make(text_of(w->trust_domain), text_of(w->ns), text_of(w->service_account), &id) == 0)
        set_identity(p, &id);
}

/* ---- whom it trusts ------------------------------------------------------ */

static bool same_roots(const struct proof_roots *a, const struct proof_roots *b)
{
    return a->n == b->n && memcmp(a->keys, b->keys, a->n * sizeof a->keys[0]) == 0;
}

void living_credential(struct local_pod *p, const struct credential *before)
{
    const struct credential *now = p->credential;
    struct proof_roots roots, roots_before;
    if (!now)
        return; /* none can be made; those that live are their peers' to end when it expires */
    set_identity(p, &now->id);
    /* Without one before there may have been another one before that. */
    roots_before.n = before ? tls_config_root_keys(before->server, roots_before.keys) : 0;
    roots.n = tls_config_root_keys(now->server, roots.keys);
    if (same_roots(&roots, &roots_before))
        return;
    peer_pool_look(&p->peers, &roots);
    list_for_each(n, &p->servers)
    {
        struct hbone_server *s = container_of(n, struct hbone_server, link);
        if (s->proof.taken)
            proof_look(&s->proof, &roots);
        else if (s->credential != now) /* in the middle of a handshake by the roots before */
            proof_break(&s->proof, ENDING_TRUST_CHANGED);
    }
}

/* ---- what is revoked ----------------------------------------------------- */

void living_trust(struct path_env *env)
{
    list_for_each(n, &env->all_pods)
    {
        struct local_pod *p = container_of(n, struct local_pod, link);
        peer_pool_look_revoked(&p->peers);
        list_for_each(m, &p->servers)
            proof_look_revoked(&container_of(m, struct hbone_server, link)->proof);
        ask(p, true, true);
    }
}

/* ---- the directory changed ----------------------------------------------- */

void living_news(struct path_env *env)
{
    uint64_t version = directory_version(env->directory), policy_version = directory_policy_version(env->directory);
    bool policies = policy_version != env->policy_version;
    if (version == env->directory_version && !policies)
        return;
    env->directory_version = version;
    env->policy_version = policy_version;
    list_for_each(n, &env->all_pods)
    {
        struct local_pod *p = container_of(n, struct local_pod, link);
        p->look_peers = true;
        ask(p, policies, false);
    }
}

/* A workload that is gone, or whose address is nobody's, has not become another one: its connections end by themselves. */
static bool holds(const struct addr *to, const struct spiffe_id *expected, void *arg)
{
    const struct path_env *env = arg;
    const struct workload *w = directory_workload_at(env->directory, text_of(env->config->network), &to->ip);
    struct spiffe_id id;
    if (!w)
        return true;
    return spiffe_id_make(text_of(w->trust_domain), text_of(w->ns), text_of(w->service_account), &id) == 0 && spiffe_id_equal(&id, expected);
}

/* ---- slice by slice ------------------------------------------------------ */

static struct list *next_of(struct list *all)
{
    struct list *n = list_pop_front(all);
    if (n)
        list_push_back(all, n);
    return n;
}

static size_t look_at_pod(struct local_pod *p, size_t left)
{
    struct living_pace *pace = &p->env->pace;
    struct list *n;
    if (p->look_peers) {
        p->look_peers = false;
        look_at_identity(p);
        size_t cost = peer_pool_recheck(&p->peers, holds, p->env) / GROUPS_PER_CONNECTION + 1;
        left -= cost < left ? cost : left;
    }
    if (p->look_upstreams) {
        p->look_upstreams = false;
        size_t cost = p->upstreams.n_links / GROUPS_PER_CONNECTION + 1;
        upstream_pool_look(&p->upstreams);
        left -= cost < left ? cost : left;
    }
    for (; left > 0 && pace->left > 0 && p->look_inbounds > 0 && (n = next_of(&p->inbounds)); left--, p->look_inbounds--)
        pace->left -= inbound_look_again(inbound_of_link(n));
    for (; left > 0 && pace->left > 0 && p->look_outbounds > 0 && (n = next_of(&p->outbounds)); left--, p->look_outbounds--)
        pace->left -= outbound_look_again(outbound_of_link(n));
    return left;
}

bool living_look(struct path_env *env, size_t n_max)
{
    struct list *n;
    pace_look(env);
    while (n_max > 0 && env->pace.left > 0 && (n = list_pop_front(&env->recheck))) {
        struct local_pod *p = container_of(n, struct local_pod, living);
        n_max = look_at_pod(p, n_max);
        bool more = p->look_peers || p->look_upstreams || (p->look_inbounds > 0 && !list_empty(&p->inbounds)) || (p->look_outbounds > 0 && !list_empty(&p->outbounds));
        if (more && list_empty(&p->living) && !p->closing)
            list_push_back(&env->recheck, &p->living); /* behind the others: each has its share */
    }
    if (list_empty(&env->recheck)) {
        env->pace.per_ms = 0;
        return false;
    }
    if (env->pace.left > 0)
        return true;
    timer_start(ring_timers(env->ring), &env->pace.timer, 1);
    return false;
}
