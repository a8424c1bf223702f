#include "nodeproxy/warden/warden.h"

#include "nodeproxy/warden/kept.h"
#include "nodeproxy/warden/netns.h"
#include "nodeproxy/warden/node_rules.h"
#include "nodeproxy/warden/pod_listeners.h"
#include "nodeproxy/warden/pod_net.h"
#include "nodeproxy/warden/wire.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/base/rng.h"
#include "shared/ring/socket.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>

struct warden {
    const struct warden_options *options;
    uint64_t generation;
    bool open, bridge;
    struct pod_net net;
    struct kept kept;
    size_t n_addresses; /* of the node's rules */
    /* Of the request that is being served: */
    struct wire_request asked;
    struct netns_id netns; /* of the pod that it is about */
    struct packet in, out;
    _Alignas(8) unsigned char in_bytes[WIRE_BYTES_MAX];
    _Alignas(8) unsigned char out_bytes[WIRE_BYTES_MAX];
};

/* ---- pods ---- */

/* The listeners come with the request. */
static int keep(struct warden *w, char why[static WHY_MAX])
{
    struct pod_listeners given;
    memcpy(given.fds, w->in.fds + 1, sizeof given.fds);
    if (!pod_listeners_are_of(&w->netns, &given))
        return why_say(-EINVAL, why, "these are not this pod's listening sockets");
    int r = kept_put(&w->kept, &w->netns, &given, why);
    if (r == 0)
        w->in.n_fds = 1; /* the others are no longer the packet's */
    return r;
}

static int make_listeners(struct warden *w, struct pod_listeners *ret_lent,
                          char why[static WHY_MAX])
{
    int r = pod_listeners_open(ret_lent, why);
    if (r < 0)
        return r;
    r = kept_put(&w->kept, &w->netns, ret_lent, why);
    if (r < 0)
        pod_listeners_close(ret_lent);
    return r;
}

static int enrol(struct warden *w, char why[static WHY_MAX])
{
    struct pod_listeners l;
    bool kept = kept_claim(&w->kept, &w->netns, &l);
    int r = kept ? 0 : make_listeners(w, &l, why);
    if (r < 0)
        return r;
    /* To look is quicker than to put, and many pods wait when a data process begins anew. Of a machine
     * they are put: which cgroups there are by now is seen by that alone. */
    if (!kept || w->options->machine[true] || pod_net_check(&w->net, why) < 0)
        r = pod_net_put(&w->net, w->asked.kind == WIRE_ENROL_RUNNING, why);
    if (r < 0 && !kept)
        kept_forget(&w->kept, &w->netns);
    if (r < 0)
        return r;
    memcpy(w->out.fds, l.fds, sizeof l.fds);
    w->out.n_fds = POD_LISTENERS;
    return 0;
}

static int check(struct warden *w, char why[static WHY_MAX])
{
    return pod_net_check(&w->net, why);
}

static int quiet(struct warden *w, char why[static WHY_MAX])
{
    return pod_net_quiet(&w->net, why);
}

static int release(struct warden *w, char why[static WHY_MAX])
{
    int r = pod_net_remove(&w->net, why);
    if (r == 0)
        kept_forget(&w->kept, &w->netns);
    return r;
}

static int forget(struct warden *w, char why[static WHY_MAX])
{
    (void)why;
    kept_forget(&w->kept, w->in.n_fds > 0 ? &w->netns : NULL);
    return 0;
}

static int sockets(struct warden *w, char why[static WHY_MAX])
{
    const struct wire_request *q = &w->asked;
    for (; w->out.n_fds < q->count; w->out.n_fds++) {
        int r = socket_open_transparent(q->family, q->type, MARK_PROXY,
                                        &w->out.fds[w->out.n_fds]);
        if (r < 0) {
            packet_close_fds(&w->out);
            return why_errno(r, why, "cannot make a socket in the pod");
        }
    }
    return 0;
}

static int netns_at(struct warden *w, char why[static WHY_MAX])
{
    int r = netns_open(w->asked.path, &w->out.fds[0], why);
    if (r < 0)
        return r;
    w->out.n_fds = 1;
    r = pod_net_id(&w->net, w->out.fds[0], &w->netns, why);
    if (r < 0)
        packet_close_fds(&w->out);
    return r;
}

/* ---- the node ---- */

static int hello(struct warden *w, char why[static WHY_MAX])
{
    (void)why;
    kept_orphan(&w->kept, clock_monotonic_ms() + w->options->orphan_ms);
    return 0;
}

static int node_rules(struct warden *w, char why[static WHY_MAX])
{
    const struct wire_request *q = &w->asked;
    size_t before = q->more ? w->n_addresses : 0, most = w->kept.max * POD_ADDRESSES_MAX;
    if (q->n_addresses > most - before)
        return why_say(-ENOBUFS, why, "more than %zu addresses", most);
    w->n_addresses = before + q->n_addresses;
    return node_rules_put(w->net.ipv6, &w->bridge, q->more, q->addresses, q->n_addresses, why);
}

/* ---- requests ---- */

static const struct request {
    int (*serve)(struct warden *w, char why[static WHY_MAX]);
    bool inside; /* of the pod's namespace */
    bool gives;  /* what goes out with the answer is not lent: it is closed when it is on its way */
} requests[WIRE_KINDS] = {
    [WIRE_HELLO] = {.serve = hello},
    [WIRE_NETNS_OPEN] = {.serve = netns_at, .gives = true},
    [WIRE_ENROL] = {.serve = enrol, .inside = true},
    [WIRE_ENROL_RUNNING] = {.serve = enrol, .inside = true},
    [WIRE_QUIET] = {.serve = quiet, .inside = true},
    [WIRE_KEEP] = {.serve = keep},
    [WIRE_CHECK] = {.serve = check, .inside = true},
    [WIRE_RELEASE] = {.serve = release, .inside = true},
    [WIRE_FORGET] = {.serve = forget},
    [WIRE_SOCKETS] = {.serve = sockets, .inside = true, .gives = true},
    [WIRE_NODE_RULES] = {.serve = node_rules},
};

static int serve(struct warden *w, const struct request *request, char why[static WHY_MAX])
{
    int r = w->open ? 0 : pod_net_open(&w->net, w->options->dns, w->options->machine, why);
    w->open = r == 0;
    if (r == 0 && w->in.n_fds > 0)
        r = pod_net_id(&w->net, w->in.fds[0], &w->netns, why);
    if (r == 0 && request->inside)
        r = netns_enter(w->in.fds[0], why);
    if (r < 0)
        return r;
    r = request->serve(w, why);
    if (request->inside)
        netns_leave(w->net.own_fd);
    return r;
}

static int say(struct warden *w, const struct wire_answer *a, bool wait)
{
    w->out.len = wire_encode_answer(a, w->out.bytes);
    return packet_send(w->options->channel, &w->out, wait);
}

static void answer(struct warden *w)
{
    struct wire_answer a = {.id = w->asked.id, .generation = w->generation};
    const struct request *request = &requests[w->asked.kind];
    w->out.n_fds = 0;
    a.result = serve(w, request, a.why);
    int r = say(w, &a, true);
    if (r < 0)
        log_warn("warden", "an answer can't be sent: %s", strerror(-r));
    if (request->gives)
        packet_close_fds(&w->out);
}

/* Its descriptors found no number here, and whoever asks need not wait for an answer. */
static void refuse(struct warden *w)
{
    struct wire_answer a = {.id = wire_request_id(w->in.bytes, w->in.len),
                            .generation = w->generation};
    a.result = why_errno(-EMFILE, a.why, "the warden has lost what came with the request");
    w->out.n_fds = 0;
    log_warn("warden", "a request is refused: no descriptors are left");
    if (a.id != 0)
        (void)say(w, &a, true);
}

/* ---- the loop ---- */

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

static int serve_all(struct warden *w)
{
    for (;;) {
        int r = wait_for_request(w);
        if (r == 0)
            r = packet_receive(w->options->channel, &w->in, true);
        if (r < 0 && r != -EMSGSIZE && r != -EMFILE)
            return r;
        if (r == -EMFILE)
            refuse(w);
        else if (r == 0 && wire_decode_request(w->in.bytes, w->in.len, w->in.n_fds, &w->asked) == 0)
            answer(w);
        else
            log_error("warden", "the data process sent what is no request");
        packet_close_fds(&w->in);
    }
}

int warden_run(const struct warden_options *o)
{
    struct warden *w = calloc(1, sizeof *w);
    int r = w ? rng_os(&w->generation, sizeof w->generation) : -ENOMEM;
    if (r == 0) {
        w->options = o;
        w->kept.max = o->pods_max < KEPT_MAX ? o->pods_max : KEPT_MAX;
        w->net.own_fd = -1;
        w->generation |= 1;
        w->bridge = true;
        w->in = (struct packet){.bytes = w->in_bytes, .size = sizeof w->in_bytes};
        w->out = (struct packet){.bytes = w->out_bytes, .size = sizeof w->out_bytes};
        /* So that a data process that waits asks again, and gives its listeners to be kept. Each
         * answer says it as well. */
        (void)say(w, &(struct wire_answer){.generation = w->generation}, false);
        r = serve_all(w);
        pod_net_done(&w->net);
        kept_forget(&w->kept, NULL);
    }
    free(w);
    return r;
}
