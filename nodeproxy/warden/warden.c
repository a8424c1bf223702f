#include "nodeproxy/warden/warden.h"

#include "nodeproxy/warden/kept.h"
#include "nodeproxy/warden/node_rules.h"
#include "nodeproxy/warden/pod_net.h"
#include "nodeproxy/warden/wire.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/base/rng.h"
#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct warden {
    const struct warden_options *options;
    uint64_t generation;
    bool open, bridge;
    struct pod_net net;
    struct kept kept;
    struct ip *addresses; /* of the node's rules, piece by piece; NULL: no first
                           one yet */
    size_t n_addresses, addresses_max;
    struct wire_message in, out;
};

static int open_net(struct warden *w, char why[static PRIVILEGED_WHY_MAX])
{
    if (w->open)
        return 0;
    int r = pod_net_open(&w->net, why);
    if (r < 0)
        return r;
    w->open = true;
    if (!w->net.ipv6)
        log_info("warden", "this kernel has no IPv6: pods are captured for IPv4 alone");
    return 0;
}

/* ---- requests: descriptors that go out with the answer are lent (they stay
 * here), but sockets and namespaces, which are closed once it is on its way
 * ---- */

static struct pod_listeners given_listeners(const struct wire_message *in)
{
    return (struct pod_listeners){in->fds[1], in->fds[2], in->fds[3]};
}

static void lend_listeners(struct wire_message *out, const struct pod_listeners *l)
{
    out->fds[0] = l->outbound;
    out->fds[1] = l->inbound;
    out->fds[2] = l->hbone;
    out->n_fds = 3;
}

static int too_many(struct warden *w, char why[static PRIVILEGED_WHY_MAX])
{
    snprintf(why, PRIVILEGED_WHY_MAX, "more than %zu pods (--pods-max)", w->kept.max);
    return -ENOBUFS;
}

/* From the message into what is kept. */
static int keep_given(struct warden *w, const struct netns_id *netns,
                      char why[static PRIVILEGED_WHY_MAX])
{
    struct pod_listeners given = given_listeners(&w->in);
    int r = kept_put(&w->kept, netns, &given);
    if (r < 0)
        return too_many(w, why);
    w->in.fds[1] = w->in.fds[2] = w->in.fds[3] = -1;
    return 0;
}

static int check_given(struct warden *w, const struct netns_id *netns,
                       char why[static PRIVILEGED_WHY_MAX])
{
    struct pod_listeners given = given_listeners(&w->in);
    if (pod_net_owns(netns, &given))
        return 0;
    snprintf(why, PRIVILEGED_WHY_MAX, "these are not this pod's three listening sockets");
    return -EINVAL;
}

static int keep(struct warden *w, const struct netns_id *netns, char why[static PRIVILEGED_WHY_MAX])
{
    int r = check_given(w, netns, why);
    return r < 0 ? r : keep_given(w, netns, why);
}

static int enrol_given(struct warden *w, const struct netns_id *netns,
                       char why[static PRIVILEGED_WHY_MAX])
{
    struct pod_listeners given = given_listeners(&w->in);
    int r = check_given(w, netns, why);
    if (r == 0)
        r = pod_net_enrol(&w->net, w->in.fds[0], &given, why);
    return r < 0 ? r : keep_given(w, netns, why);
}

static int enrol(struct warden *w, const struct netns_id *netns,
                 char why[static PRIVILEGED_WHY_MAX])
{
    const struct pod_listeners *kept = kept_claim(&w->kept, netns);
    struct pod_listeners listeners = kept ? *kept : POD_LISTENERS_NONE;
    /* To look is quicker than to put, and many pods wait when a data process begins anew. */
    if (!kept || pod_net_check(&w->net, w->in.fds[0], why) < 0) {
        int r = pod_net_enrol(&w->net, w->in.fds[0], &listeners, why);
        if (r < 0)
            return r;
    }
    if (!kept) {
        if (kept_put(&w->kept, netns, &listeners) < 0) {
            (void)pod_net_release(&w->net, w->in.fds[0], why);
            pod_listeners_close(&listeners);
            return too_many(w, why);
        }
    }
    lend_listeners(&w->out, &listeners);
    return 0;
}

static int release(struct warden *w, const struct netns_id *netns,
                   char why[static PRIVILEGED_WHY_MAX])
{
    int r = pod_net_release(&w->net, w->in.fds[0], why);
    if (r == 0)
        kept_forget(&w->kept, netns);
    return r;
}

static int node_rules(struct warden *w, const struct wire_request *q,
                      char why[static PRIVILEGED_WHY_MAX])
{
    if (q->pieces & WIRE_FIRST) {
        free(w->addresses);
        w->n_addresses = 0;
        w->addresses = calloc(w->addresses_max, sizeof *w->addresses);
    }
    if (!w->addresses || w->n_addresses + q->n_addresses > w->addresses_max) {
        bool missed = !w->addresses && !(q->pieces & WIRE_FIRST);
        snprintf(why, PRIVILEGED_WHY_MAX, "%s",
                 missed ? "the list began with another warden" : "no room for so many addresses");
        return missed ? -ESTALE : -ENOBUFS;
    }
    if (q->n_addresses > 0)
        memcpy(w->addresses + w->n_addresses, q->addresses, q->n_addresses * sizeof *q->addresses);
    w->n_addresses += q->n_addresses;
    if (!(q->pieces & WIRE_LAST))
        return 0;
    int r = node_rules_put(w->net.ipv6, &w->bridge, w->addresses, w->n_addresses, why);
    free(w->addresses);
    w->addresses = NULL;
    return r;
}

static int serve(struct warden *w, const struct wire_request *q,
                 char why[static PRIVILEGED_WHY_MAX])
{
    struct netns_id netns = {0};
    int r = open_net(w, why);
    if (r == 0 && w->in.n_fds > 0)
        r = pod_net_id(&w->net, w->in.fds[0], &netns, why);
    if (r < 0)
        return r;
    switch (q->kind) {
    case WIRE_HELLO:
        kept_orphan(&w->kept, clock_monotonic_ms() + w->options->orphan_ms);
        return 0;
    case WIRE_NETNS_OPEN:
        r = pod_net_at(&w->net, q->path, &w->out.fds[0], why);
        w->out.n_fds = r == 0;
        return r;
    case WIRE_ENROL:
        return w->in.n_fds > 1 ? enrol_given(w, &netns, why) : enrol(w, &netns, why);
    case WIRE_KEEP:
        return keep(w, &netns, why);
    case WIRE_CHECK:
        return pod_net_check(&w->net, w->in.fds[0], why);
    case WIRE_RELEASE:
        return release(w, &netns, why);
    case WIRE_FORGET:
        kept_forget(&w->kept, w->in.n_fds > 0 ? &netns : NULL);
        return 0;
    case WIRE_SOCKETS:
        r = pod_net_sockets(&w->net, w->in.fds[0], q->family, w->out.fds, q->count, why);
        w->out.n_fds = r == 0 ? q->count : 0;
        return r;
    case WIRE_NODE_RULES:
        return node_rules(w, q, why);
    }
    return -EBADMSG;
}

/* ---- the loop ---- */

static void answer(struct warden *w, const struct wire_request *q)
{
    struct wire_answer a = {.id = q->id, .generation = w->generation};
    w->out.n_fds = 0;
    a.result = serve(w, q, a.why);
    w->out.len = wire_encode_answer(&a, w->out.bytes);
    int r = wire_send(w->options->channel, &w->out, true);
    if (r < 0)
        log_warn("warden", "an answer can't be sent: %s", strerror(-r));
    if (q->kind == WIRE_SOCKETS || q->kind == WIRE_NETNS_OPEN)
        wire_close_fds(&w->out);
    else if (q->kind != WIRE_HELLO && q->kind != WIRE_FORGET)
        malloc_trim(0); /* what nftables needed is needed rarely */
}

/* So that a data process that waits asks again, and gives its listeners to be
 * kept. */
static void say_hello(struct warden *w)
{
    const struct wire_answer a = {.generation = w->generation};
    w->out.n_fds = 0;
    w->out.len = wire_encode_answer(&a, w->out.bytes);
    (void)wire_send(w->options->channel, &w->out, false); /* each answer says it as well */
}

static int wait_for_request(struct warden *w)
{
    for (;;) {
        uint64_t now = clock_monotonic_ms();
        kept_tick(&w->kept, now);
        struct pollfd p = {.fd = w->options->channel, .events = POLLIN};
        int wait = w->kept.let_go_at_ms > 0 ? (int)(w->kept.let_go_at_ms - now) : -1;
        int r = poll(&p, 1, wait);
        if (r > 0)
            return 0;
        if (r < 0 && errno != EINTR)
            return -errno;
    }
}

int warden_run(const struct warden_options *o)
{
    struct rng rng;
    struct wire_request q;
    struct warden *w = calloc(1, sizeof *w);
    int r = w ? rng_seed_os(&rng) : -ENOMEM;
    if (r == 0)
        r = kept_init(&w->kept, o->pods_max);
    if (r < 0) {
        free(w);
        return r;
    }
    w->options = o;
    w->net.own_fd = -1;
    w->generation = rng_u64(&rng) | 1;
    w->bridge = true;
    w->addresses_max = o->pods_max * POD_ADDRESSES_MAX;
    say_hello(w);
    for (;;) {
        r = wait_for_request(w);
        if (r == 0)
            r = wire_receive(o->channel, &w->in, true);
        if (r < 0 && r != -EMSGSIZE)
            break;
        if (r == 0 && wire_decode_request(w->in.bytes, w->in.len, w->in.n_fds, &q) == 0)
            answer(w, &q);
        else
            log_error("warden", "the data process sent what is no request");
        wire_close_fds(&w->in);
    }
    pod_net_done(&w->net);
    kept_forget(&w->kept, NULL);
    free(w->kept.pods);
    free(w->addresses);
    free(w);
    return r;
}
