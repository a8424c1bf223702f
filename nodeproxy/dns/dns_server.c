#include "nodeproxy/dns/dns_server.h"

#include "nodeproxy/dns/dns_client.h"
#include "shared/base/log.h"
#include "shared/ring/datagram.h"
#include "shared/ring/socket.h"
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>

enum {
    RECEIVES_MAX = 32, /* in one turn: others are to have theirs */
    PAUSE_MS = 10,
    BURST_PER = 10, /* of a second's queries, but at least BURST_MIN */
    BURST_MIN = 64,
};

static void look(struct ring_task *task)
{
    struct dns_server *s = container_of(task, struct dns_server, look_task);
    if (!s->udp_gone || !s->tcp_gone || !s->forward_gone || !list_empty(&s->clients) || s->told)
        return;
    s->told = true;
    socket_close(s->options.taken_udp);
    s->options.drained(s);
}

static void look_drained(struct dns_server *s)
{
    if (s->closing)
        ring_task_ask(s->options.ring, &s->look_task);
}

/* ---- answers ---- */

static void answer(struct dns_server *s, const struct dns_asker *asker, const void *bytes,
                   size_t len)
{
    if (asker->client)
        dns_client_answer(asker->client, bytes, len);
    else if (bytes) /* a full queue loses it, as any network would */
        (void)datagram_send(s->options.taken_udp, bytes, len, &asker->from, &asker->resolver.ip);
}

static void answer_code(struct dns_server *s, const struct dns_asker *asker,
                        const struct dns_query *q, enum dns_code code)
{
    uint8_t bytes[DNS_PLAIN_MAX];
    struct dns_answer a;
    dns_answer_begin(&a, bytes, sizeof bytes, q, code);
    answer(s, asker, bytes, dns_answer_end(&a));
}

static void forwarded(struct dns_forward *f, const struct dns_asker *asker,
                      const struct dns_query *q, const void *bytes, size_t len, int why)
{
    struct dns_server *s = container_of(f, struct dns_server, forward);
    char resolver[ADDR_TEXT_MAX];
    if (bytes) {
        answer(s, asker, bytes, len);
        return;
    }
    log_debug("dns", "pod %s: the resolver %s gives no answer: %s", s->options.uid.data,
              addr_print(&asker->resolver, resolver), strerror(-why));
    answer_code(s, asker, q, DNS_SERVER_FAILURE);
}

/* ---- queries ---- */

/* What was answered from here, or false. */
static bool answer_known(struct dns_server *s, const struct dns_asker *asker,
                         const struct dns_query *q)
{
    static _Thread_local uint8_t bytes[DNS_MESSAGE_MAX];
    size_t size = sizeof bytes;
    if (!atomic_load_explicit(s->options.known, memory_order_acquire))
        return false;
    if (!asker->client)
        size = q->payload < DNS_PAYLOAD_MAX ? q->payload : DNS_PAYLOAD_MAX;
    size_t len = dns_names_answer(&s->options.mesh, s->options.ns, q, ring_rng(s->options.ring),
                                  bytes, size);
    if (len > 0)
        answer(s, asker, bytes, len);
    return len > 0;
}

void dns_server_ask(struct dns_server *s, const struct dns_asker *asker, const void *bytes,
                    size_t len)
{
    struct dns_query q;
    int r = dns_query_read(bytes, len, &q);
    if (r == -EBADMSG) {
        answer(s, asker, NULL, 0);
        return;
    }
    dns_account_count(&s->account, DNS_ASKED, &q, asker->client != NULL);
    if (r < 0)
        answer_code(s, asker, &q, DNS_FORMAT_ERROR);
    else if (!answer_known(s, asker, &q) && dns_forward(&s->forward, asker, &q, bytes, len) < 0)
        answer_code(s, asker, &q, DNS_SERVER_FAILURE);
}

/* ---- UDP ---- */

static void udp_ready(struct ring_op *op, int result);

static void udp_listen(struct dns_server *s)
{
    if (!s->scope.closing)
        ring_poll(s->options.ring, &s->udp_op, s->options.taken_udp, POLLIN, udp_ready);
}

static void pause_over(struct timer *t)
{
    udp_listen(container_of(t, struct dns_server, pause));
}

static bool may_ask(struct dns_server *s)
{
    uint64_t now = ring_now_ms(s->options.ring);
    uint64_t rate = pod_bounds_max(s->options.bounds, BOUND_DNS_QUERIES);
    uint64_t burst = rate / BURST_PER > BURST_MIN ? rate / BURST_PER : BURST_MIN;
    if (rate == 0)
        return true;
    uint64_t level = s->level + (now - s->level_ms) * rate;
    s->level_ms = now;
    s->level = level < burst * 1000 ? level : burst * 1000;
    if (s->level < 1000)
        return false;
    s->level -= 1000;
    return true;
}

/* Only what was led here has somebody else's address as its destination. */
static bool is_ours(const struct dns_server *s, const struct ip *to)
{
    if (to->len == 0 || ip_is_loopback(to))
        return false;
    for (size_t i = 0; i < s->options.n_addresses; i++)
        if (ip_equal(&s->options.addresses[i], to))
            return false;
    return true;
}

static void udp_ready(struct ring_op *op, int result)
{
    struct dns_server *s = container_of(op, struct dns_server, udp_op);
    uint8_t bytes[DNS_QUERY_BYTES_MAX];
    for (unsigned i = 0; result >= 0 && i < RECEIVES_MAX && !s->scope.closing; i++) {
        if (!may_ask(s)) {
            bound_hit(s->options.bounds, BOUND_DNS_QUERIES, ring_now_ms(s->options.ring));
            timer_start(ring_timers(s->options.ring), &s->pause, PAUSE_MS);
            return;
        }
        struct dns_asker asker = {.resolver.port = s->options.port};
        ssize_t n = datagram_receive(s->options.taken_udp, bytes, sizeof bytes, &asker.from,
                                     &asker.resolver.ip);
        if (n == -EAGAIN)
            break;
        if (n > 0 && is_ours(s, &asker.resolver.ip))
            dns_server_ask(s, &asker, bytes, (size_t)n);
    }
    if (result >= 0)
        udp_listen(s);
    else if (!s->scope.closing)
        log_error("dns", "pod %s: its queries can't be read: %s", s->options.uid.data,
                  strerror(-result));
}

/* ---- life ---- */

static void accepted(struct listener *l, int taken_fd)
{
    dns_client_accept(l->user, taken_fd);
}

static void tcp_gone(struct listener *l)
{
    struct dns_server *s = l->user;
    s->tcp_gone = true;
    look_drained(s);
}

static void udp_gone(struct ring_scope *scope)
{
    struct dns_server *s = container_of(scope, struct dns_server, scope);
    s->udp_gone = true;
    look_drained(s);
}

static void forward_gone(struct dns_forward *f)
{
    struct dns_server *s = container_of(f, struct dns_server, forward);
    s->forward_gone = true;
    look_drained(s);
}

void dns_server_client_gone(struct dns_server *s)
{
    listener_release(&s->tcp);
    look_drained(s);
}

void dns_server_open(struct dns_server *s, const struct dns_server_options *o)
{
    *s = (struct dns_server){
        .options = *o,
        .account = {.metrics = o->metrics, .directory = o->mesh.directory, .uid = o->uid},
        .forward = {.ring = o->ring,
                    .account = &s->account,
                    .bounds = o->bounds,
                    .streams = o->streams,
                    .wait_ms = o->wait_ms,
                    .answered = forwarded,
                    .drained = forward_gone},
        .level_ms = ring_now_ms(o->ring),
        .level = BURST_MIN * 1000,
    };
    list_init(&s->clients);
    timer_init(&s->pause, pause_over);
    ring_task_init(&s->look_task, look);
    dns_forward_init(&s->forward, o->refill);
    ring_scope_init(&s->scope, o->ring, udp_gone);
    ring_op_init(&s->udp_op, &s->scope);
    udp_listen(s);
    listener_open(&s->tcp, o->ring, o->taken_tcp, DNS_CLIENTS_MAX, accepted, tcp_gone, s);
}

void dns_server_stop(struct dns_server *s)
{
    if (s->stopped)
        return;
    s->stopped = true;
    timer_stop(ring_timers(s->options.ring), &s->pause);
    ring_scope_close(&s->scope);
    listener_stop(&s->tcp);
}

bool dns_server_is_idle(const struct dns_server *s)
{
    return s->stopped && s->udp_gone && s->forward.n_pending == 0 && list_empty(&s->clients);
}

void dns_server_close(struct dns_server *s)
{
    if (s->closing)
        return;
    s->closing = true;
    dns_server_stop(s);
    if (!s->tcp.closing)
        listener_close(&s->tcp);
    list_for_each(n, &s->clients)
        dns_client_close(container_of(n, struct dns_client, link));
    dns_forward_close(&s->forward);
    look_drained(s);
}
