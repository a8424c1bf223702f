/*
 * Asks the warden, and waits for its answer. An answer that is late is thrown
 * away when it comes. When a warden was replaced meanwhile (its generation
 * tells, in each answer and in the word that a new one begins with), it is
 * given the listeners of all enrolled pods again, and what was asked is asked
 * again: all requests may be repeated.
 */
#include "nodeproxy/capture/privileged.h"

#include "nodeproxy/capture/netns_id.h"
#include "nodeproxy/capture/wire_client.h"
#include "shared/base/clock.h"
#include "shared/base/list.h"
#include "shared/base/log.h"
#include "shared/base/rng.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

/* Where the last call was in vain, the next ones don't hold up the control
 * thread for as long. */
enum { WAIT_MS = 5000, WAIT_IN_VAIN_MS = 250, ENROLLED_MAX = 4096 };

struct enrolled { /* descriptors are the caller's: see the header */
    struct netns_id netns;
    int netns_fd;
    struct pod_listeners listeners;
};
struct privileged {
    int channel;
    uint64_t last_id, generation; /* generation 0: none has spoken yet */
    bool in_vain;
    bool keep_due; /* the warden is a new one and does not have all listeners yet */
    size_t n_kept; /* keep_due: it has those of so many of `enrolled`, the first ones */
    struct enrolled *enrolled;
    size_t n_enrolled, enrolled_size;
    struct packet out, in;
    unsigned char out_bytes[WIRE_BYTES_MAX], in_bytes[WIRE_BYTES_MAX];
};

/* ---- one question ---- */

static int wait_for(struct privileged *p, short events, uint64_t deadline_ms)
{
    for (;;) {
        uint64_t now = clock_monotonic_ms();
        struct pollfd poll_fd = {.fd = p->channel, .events = events};
        int r = poll(&poll_fd, 1, now < deadline_ms ? (int)(deadline_ms - now) : 0);
        if (r > 0)
            return 0;
        if (r == 0 && now >= deadline_ms)
            return -ETIMEDOUT;
        if (r < 0 && errno != EINTR)
            return -errno;
    }
}

/* The next message, whatever it is; what is none is dropped. */
static int next_answer(struct privileged *p, uint64_t deadline_ms, struct wire_answer *ret)
{
    for (;;) {
        int r = wait_for(p, POLLIN, deadline_ms);
        if (r == 0)
            r = packet_receive(p->channel, &p->in, false);
        if ((r == 0 || r == -EMFILE) && wire_client_decode(p->in.bytes, p->in.len, ret) == 0) {
            if (r == -EMFILE && ret->result == 0)
                ret->result = why_errno(r, ret->why, "what the warden gave was lost");
            return 0;
        }
        if (r == 0)
            packet_close_fds(&p->in);
        else if (r != -EAGAIN && r != -EMSGSIZE && r != -EMFILE)
            return r;
    }
}

static bool is_another(struct privileged *p, const struct wire_answer *a, bool counts)
{
    if (!counts || a->generation == p->generation)
        return false;
    p->keep_due = p->generation != 0;
    p->generation = a->generation;
    p->n_kept = 0;
    if (p->keep_due)
        log_info("capture", "there is a new warden");
    return p->keep_due;
}

/* -ERESTART: the warden is another one by now. 0: there is an answer, and its descriptors in p->in.
 * Late answers tell that the warden is there and has only been slow: then it is given its whole time,
 * or one that is always a little too slow would work for nobody, again and again. */
static int ask_once(struct privileged *p, struct wire_request *q, const int *fds, size_t n_fds,
                    uint64_t deadline_ms, struct wire_answer *ret)
{
    q->id = ++p->last_id;
    p->out.len = wire_client_encode(q, p->out.bytes);
    if (p->out.len == 0)
        return -EMSGSIZE;
    if (n_fds > 0)
        memcpy(p->out.fds, fds, n_fds * sizeof *fds);
    p->out.n_fds = n_fds;
    int r;
    do {
        r = wait_for(p, POLLOUT, deadline_ms);
        if (r == 0)
            r = packet_send(p->channel, &p->out, false);
    } while (r == -EAGAIN);
    while (r == 0) {
        r = next_answer(p, deadline_ms, ret);
        if (r < 0)
            break;
        /* An answer to a question of before may be a warden's that is no more. */
        bool other = is_another(p, ret, ret->id == q->id || ret->id == 0);
        if (ret->id == q->id && !other)
            return 0;
        packet_close_fds(&p->in);
        if (p->in_vain)
            deadline_ms = clock_monotonic_ms() + WAIT_MS;
        p->in_vain = false;
        if (other)
            return -ERESTART;
    }
    return r;
}

static size_t keep_fds(int netns_fd, const struct pod_listeners *l, int out[1 + POD_LISTENERS])
{
    out[0] = netns_fd;
    memcpy(out + 1, l->fds, sizeof l->fds);
    return 1 + POD_LISTENERS;
}

/* A warden that has no room for descriptors is asked to take the rest with the next question: each of them would wait for all
 * pods, one after the other, and in vain. */
static int keep_again(struct privileged *p, uint64_t deadline_ms)
{
    while (p->n_kept < p->n_enrolled) {
        const struct enrolled *e = &p->enrolled[p->n_kept];
        struct wire_request q = {.kind = WIRE_KEEP};
        struct wire_answer a;
        int fds[1 + POD_LISTENERS];
        size_t n = keep_fds(e->netns_fd, &e->listeners, fds);
        int r = ask_once(p, &q, fds, n, deadline_ms, &a);
        if (r < 0)
            return r;
        packet_close_fds(&p->in);
        if (a.result < 0)
            log_warn("capture", "the warden does not keep the listeners of a pod: %s", a.why);
        if (a.result == -EMFILE)
            return 0;
        p->n_kept++;
    }
    p->keep_due = false;
    return 0;
}

/* The warden's answer; its descriptors, n_ret_fds or none, are the caller's. */
static int ask(struct privileged *p, struct wire_request *q, const int *fds, size_t n_fds,
               int *ret_fds, size_t n_ret_fds, char why[static PRIVILEGED_WHY_MAX])
{
    struct wire_answer a;
    bool in_vain = p->in_vain;
    uint64_t deadline_ms = clock_monotonic_ms() + (in_vain ? WAIT_IN_VAIN_MS : WAIT_MS);
    int r;
    do {
        r = p->keep_due ? keep_again(p, deadline_ms) : 0;
        if (r == 0)
            r = ask_once(p, q, fds, n_fds, deadline_ms, &a);
        if (in_vain && !p->in_vain)
            deadline_ms = clock_monotonic_ms() + WAIT_MS;
        in_vain = p->in_vain;
    } while (r == -ERESTART);
    p->in_vain = r == -ETIMEDOUT;
    if (r < 0)
        return why_errno(r, why, "the warden can't be asked");
    if (a.result == 0 && p->in.n_fds != n_ret_fds) {
        a.result = why_say(-EBADMSG, why, "the warden's answer has %zu descriptors, and not %zu",
                           p->in.n_fds, n_ret_fds);
    } else if (a.result < 0) {
        memcpy(why, a.why, sizeof a.why);
    } else if (n_ret_fds > 0) {
        memcpy(ret_fds, p->in.fds, n_ret_fds * sizeof *ret_fds);
        p->in.n_fds = 0;
    }
    packet_close_fds(&p->in);
    return a.result;
}

void privileged_look(struct privileged *p)
{
    struct wire_answer a;
    uint64_t now = clock_monotonic_ms();
    while (next_answer(p, now, &a) == 0) {
        packet_close_fds(&p->in);
        p->in_vain = false;
        (void)is_another(p, &a, a.id == 0);
    }
    int r = -ERESTART;
    while (p->keep_due && r == -ERESTART)
        r = keep_again(p, now + WAIT_MS);
    if (p->keep_due && r < 0)
        log_warn("capture", "the warden does not know the pods' listeners yet: %s", strerror(-r));
}

int privileged_channel(const struct privileged *p)
{
    return p->channel;
}

/* ---- life ---- */

int privileged_open(struct privileged **ret, int channel, char why[static PRIVILEGED_WHY_MAX])
{
    struct wire_request hello = {.kind = WIRE_HELLO};
    struct privileged *p = calloc(1, sizeof *p);
    int r = p ? rng_os(&p->last_id, sizeof p->last_id) : -ENOMEM;
    if (r < 0) {
        free(p);
        return why_errno(r, why, "cannot open");
    }
    /* Answers to whoever was at this end before have other numbers. */
    p->last_id >>= 1;
    p->channel = channel;
    p->out = (struct packet){.bytes = p->out_bytes, .size = sizeof p->out_bytes};
    p->in = (struct packet){.bytes = p->in_bytes, .size = sizeof p->in_bytes};
    r = ask(p, &hello, NULL, 0, NULL, 0, why);
    if (r < 0)
        p = privileged_free(p);
    else
        *ret = p;
    return r;
}

struct privileged *privileged_free(struct privileged *p)
{
    if (p)
        free(p->enrolled);
    free(p);
    return NULL;
}

/* ---- what is enrolled, to be told to the next warden ---- */

static struct enrolled *find(struct privileged *p, const struct netns_id *netns)
{
    for (size_t i = 0; i < p->n_enrolled; i++)
        if (netns_same(&p->enrolled[i].netns, netns))
            return &p->enrolled[i];
    return NULL;
}

static int make_room(struct privileged *p)
{
    if (p->n_enrolled < p->enrolled_size)
        return 0;
    size_t size = p->enrolled_size ? 2 * p->enrolled_size : 16;
    struct enrolled *more = size <= ENROLLED_MAX ? realloc(p->enrolled, size * sizeof *more) : NULL;
    if (!more)
        return size <= ENROLLED_MAX ? -ENOMEM : -ENOBUFS;
    p->enrolled = more;
    p->enrolled_size = size;
    return 0;
}

static void forget(struct privileged *p, int netns_fd)
{
    struct netns_id netns;
    struct enrolled *e = netns_id(netns_fd, &netns) == 0 ? find(p, &netns) : NULL;
    if (!e)
        return;
    if (e < p->enrolled + p->n_kept) /* the last one comes here, which may not be kept */
        p->n_kept = (size_t)(e - p->enrolled);
    *e = p->enrolled[--p->n_enrolled];
}

/* ---- pods ---- */

int privileged_netns_open(struct privileged *p, const char *path, int *ret_netns_fd,
                          char why[static PRIVILEGED_WHY_MAX])
{
    struct wire_request q = {.kind = WIRE_NETNS_OPEN, .path = path};
    if (path[0] != '/' || strlen(path) >= WIRE_PATH_MAX)
        return why_say(-EINVAL, why, "%.160s is no absolute path, or too long", path);
    return ask(p, &q, NULL, 0, ret_netns_fd, 1, why);
}

/* What is given is kept first, so that it is what the pod is enrolled with. */
static int keep_given(struct privileged *p, int netns_fd, const struct pod_listeners *l,
                      char why[static PRIVILEGED_WHY_MAX])
{
    struct wire_request q = {.kind = WIRE_KEEP};
    int fds[1 + POD_LISTENERS];
    size_t n = keep_fds(netns_fd, l, fds);
    for (size_t i = 1; i < n; i++)
        if (fds[i] < 0)
            return why_say(-EINVAL, why, "these are not a pod's listening sockets");
    return ask(p, &q, fds, n, NULL, 0, why);
}

static void remember(struct privileged *p, const struct netns_id *netns, int netns_fd,
                     const struct pod_listeners *l)
{
    struct enrolled *e = find(p, netns);
    if (!e)
        e = &p->enrolled[p->n_enrolled++];
    *e = (struct enrolled){*netns, netns_fd, *l};
}

static int enrol_given(struct privileged *p, const struct netns_id *netns, int netns_fd,
                       const struct pod_listeners *given, char why[static PRIVILEGED_WHY_MAX])
{
    struct wire_request q = {.kind = WIRE_ENROL};
    struct pod_listeners same;
    int r = keep_given(p, netns_fd, given, why);
    if (r < 0)
        return r;
    remember(p, netns, netns_fd, given); /* a new warden in between is given them, too */
    r = ask(p, &q, &netns_fd, 1, same.fds, POD_LISTENERS, why);
    for (size_t i = 0; i < POD_LISTENERS && r == 0; i++)
        close(same.fds[i]);
    if (r < 0)
        privileged_forget(p, netns_fd);
    return r;
}

static int enrol(struct privileged *p, enum wire_kind kind, int netns_fd,
                 struct pod_listeners *io_listeners, char why[static PRIVILEGED_WHY_MAX])
{
    struct wire_request q = {.kind = kind};
    struct pod_listeners made;
    struct netns_id netns;
    int r = netns_id(netns_fd, &netns);
    if (r == 0)
        r = make_room(p);
    if (r < 0)
        return why_errno(r, why, "cannot enrol the pod");
    if (memcmp(io_listeners, &POD_LISTENERS_NONE, sizeof made) != 0)
        return enrol_given(p, &netns, netns_fd, io_listeners, why);
    r = ask(p, &q, &netns_fd, 1, made.fds, POD_LISTENERS, why);
    if (r < 0)
        return r;
    remember(p, &netns, netns_fd, &made);
    *io_listeners = made;
    return 0;
}

int privileged_enrol(struct privileged *p, int netns_fd, struct pod_listeners *io_listeners,
                     char why[static PRIVILEGED_WHY_MAX])
{
    return enrol(p, WIRE_ENROL, netns_fd, io_listeners, why);
}

int privileged_enrol_running(struct privileged *p, int netns_fd, struct pod_listeners *io_listeners,
                             char why[static PRIVILEGED_WHY_MAX])
{
    return enrol(p, WIRE_ENROL_RUNNING, netns_fd, io_listeners, why);
}

int privileged_quiet(struct privileged *p, int netns_fd, char why[static PRIVILEGED_WHY_MAX])
{
    struct wire_request q = {.kind = WIRE_QUIET};
    return ask(p, &q, &netns_fd, 1, NULL, 0, why);
}

int privileged_check(struct privileged *p, int netns_fd, char why[static PRIVILEGED_WHY_MAX])
{
    struct wire_request q = {.kind = WIRE_CHECK};
    return ask(p, &q, &netns_fd, 1, NULL, 0, why);
}

int privileged_release(struct privileged *p, int netns_fd, char why[static PRIVILEGED_WHY_MAX])
{
    struct wire_request q = {.kind = WIRE_RELEASE};
    int r = ask(p, &q, &netns_fd, 1, NULL, 0, why);
    if (r == 0)
        forget(p, netns_fd);
    return r;
}

void privileged_forget(struct privileged *p, int netns_fd)
{
    char why[PRIVILEGED_WHY_MAX];
    struct wire_request q = {.kind = WIRE_FORGET};
    if (netns_fd >= 0)
        forget(p, netns_fd);
    else
        p->n_enrolled = p->n_kept = 0;
    if (ask(p, &q, &netns_fd, netns_fd >= 0, NULL, 0, why) < 0)
        log_warn("capture", "the warden still keeps a pod's listeners: %s", why);
}

int privileged_sockets(struct privileged *p, int netns_fd, int family, int type, int *ret_fds,
                       size_t n)
{
    char why[PRIVILEGED_WHY_MAX];
    size_t made = 0;
    int r = 0;
    if (family != AF_INET && family != AF_INET6)
        return -EAFNOSUPPORT;
    while (made < n && r == 0) {
        size_t count = n - made < PACKET_FDS_MAX ? n - made : PACKET_FDS_MAX;
        struct wire_request q = {.kind = WIRE_SOCKETS,
                                 .family = family,
                                 .type = type,
                                 .count = (unsigned)count};
        r = ask(p, &q, &netns_fd, 1, ret_fds + made, count, why);
        if (r == 0)
            made += count;
    }
    while (r < 0 && made > 0)
        close(ret_fds[--made]);
    return r;
}

/* ---- the node ---- */

int privileged_node_rules(struct privileged *p, const struct ip *pods, size_t n_pods,
                          char why[static PRIVILEGED_WHY_MAX])
{
    size_t done = 0;
    int r;
    do {
        struct wire_request q = {.kind = WIRE_NODE_RULES, .more = done > 0};
        q.n_addresses = n_pods - done < WIRE_ADDRESSES_MAX ? n_pods - done : WIRE_ADDRESSES_MAX;
        q.addresses = pods ? pods + done : NULL;
        done += q.n_addresses;
        r = ask(p, &q, NULL, 0, NULL, 0, why);
    } while (r == 0 && done < n_pods);
    return r;
}
