/* How a stream for a local workload comes to be; what becomes of it then, inbound.c tells. */
#include "nodeproxy/path/inbound_state.h"

#include "nodeproxy/path/called_service.h"
#include "nodeproxy/peer/hbone.h"
#include "shared/ring/socket.h"
#include <errno.h>

static void tunnel_head(struct http2_stream *s, const struct http2_head *head)
{
    (void)s; /* trailers on a CONNECT mean nothing to us */
    (void)head;
}

/* Both directions may have ended in the tunnel while the last bytes are still on their way to the application: then the relay
 * goes on without the tunnel, which may be gone before it. */
static void outlive_tunnel(struct inbound *in)
{
    in->peer_copy = malloc(sizeof *in->peer_copy);
    if (!in->peer_copy) {
        inbound_close(in, ENDING_NO_MEMORY);
        return;
    }
    *in->peer_copy = *in->peer;
    in->peer = in->peer_copy;
    in->server = NULL;
}

static void tunnel_closed(struct http2_stream *s, uint32_t code)
{
    struct inbound *in = container_of(s, struct inbound, tunnel);
    if (in->closing)
        return;
    if (code == 0 && (in->requests || (in->relay.client.ended && in->relay.client.finished)))
        outlive_tunnel(in);
    else
        inbound_close(in, ENDING_RESET_BY_CLIENT);
}

static const struct http2_stream_events tunnel_events = {.head = tunnel_head, .closed = tunnel_closed};

/* Until the relay begins the stream is paused: of what comes with the CONNECT no more than its window does, and waits here. */
static void early_received(struct stream *s, struct buf *bytes)
{
    struct inbound *in = s->user;
    if (in->closing)
        buf_done(bytes);
    else
        buf_move(&in->early, bytes);
}
static void early_ended(struct stream *s) { ((struct inbound *)s->user)->early_end = true; }
static void early_nothing(struct stream *s) { (void)s; }
static void early_failed(struct stream *s, int error)
{
    (void)error;
    inbound_close(s->user, ENDING_RESET_BY_CLIENT);
}
static const struct stream_events early_events = {
    .received = early_received, .ended = early_ended, .writable = early_nothing, .finished = early_nothing, .failed = early_failed};

/* Where a CONNECT leads: only ever to this pod. target.port stays 0 when the authority can't be honoured. */
static void read_authority(struct inbound *in, struct text text)
{
    struct hbone_authority a;
    const struct service *s;
    in->target.ip = in->server->destination.ip;
    if (hbone_authority_parse(text, &a) < 0)
        return;
    if (!a.is_name) {
        in->destination = a.addr;
        if (!local_pod_has_address(in->pod, &a.addr.ip))
            return;
        in->target = a.addr;
        return;
    }
    in->destination = (struct addr){in->server->destination.ip, a.addr.port};
    in->service_key = called_service_key(in->pod, a.host, &s);
    if (in->service_key)
        in->target.port = called_service_target(in->pod, s, a.addr.port);
}

/* Of for= the port alone is believed, as a wish: the address is where the tunnel comes from. */
static void read_forwarded(struct inbound *in, struct text forwarded)
{
    struct addr client;
    in->forwarded_host = hbone_forwarded_host(forwarded);
    if (hbone_forwarded_for(forwarded, &client) == 0 && ip_equal(&client.ip, &in->source.ip))
        in->client_port.own = client.port;
}

struct http2_stream *inbound_accept_stream(struct local_pod *pod, struct hbone_server *server, const struct http2_head *head, unsigned *ret_status)
{
    enum ending why;
    struct inbound *in = inbound_new(pod, INBOUND_HBONE, &why);
    if (!in) {
        const struct account_line line = {
            .source = server->source,
            .destination = server->destination,
            .status = 503,
            .ending = why,
            .bounds = pod->bounds,
        };
        account_refused(pod->env, REPORTER_DESTINATION, &line);
        *ret_status = line.status;
        return NULL;
    }
    http2_stream_init(&in->tunnel, &tunnel_events);
    in->tunnel.stream.events = &early_events;
    in->tunnel.stream.user = in;
    in->tunnel.paused = true;
    in->downstream = &in->tunnel.stream;
    in->server = server;
    in->peer = &server->peer;
    in->source = server->source;
    read_forwarded(in, http2_head_get(head, TEXT("forwarded")));
    read_authority(in, http2_head_get(head, TEXT(":authority")));
    inbound_continue(in, STEP_NEXT);
    in->forwarded_host = (struct text){NULL, 0};
    if (in->closing) { /* decided at once: the library sends the status */
        *ret_status = ending_hbone_status(in->ending);
        return NULL;
    }
    return &in->tunnel;
}

static void plain_secured(struct conn *c, int result) { inbound_tls_secured(container_of(c, struct plain, conn)->tls, result); }
static bool plain_may_shake(struct conn *c) { return inbound_tls_may_shake(container_of(c, struct plain, conn)->tls); }
static void plain_drained(struct conn *c) { inbound_part_drained(&container_of(c, struct plain, conn)->in); }
static const struct conn_events plain_events = {.secured = plain_secured, .may_shake = plain_may_shake, .drained = plain_drained};

void inbound_accept_plain(struct local_pod *pod, int taken_fd)
{
    enum ending why;
    struct inbound *in = inbound_new(pod, INBOUND_PLAIN, &why);
    if (!in) {
        local_pod_refuse(pod, &pod->inbound, taken_fd, why);
        return;
    }
    conn_init(plain_conn(in), pod->env->ring, taken_fd, &plain_events);
    conn_share(plain_conn(in), &pod->turn.bytes);
    in->parts++;
    in->downstream = &plain_conn(in)->stream;
    if (socket_peer(taken_fd, &in->source) < 0)
        return inbound_close(in, ENDING_RESET_BY_CLIENT);
    if (socket_original_dst(taken_fd, &in->destination) < 0) {
        (void)socket_local(taken_fd, &in->destination);
        return inbound_close(in, ENDING_NOT_CAPTURED);
    }
    in->target = in->destination;
    in->client_port.own = in->source.port;
    inbound_continue(in, STEP_NEXT);
}

int inbound_open_local(struct local_pod *pod, const struct inbound_local *local, struct inbound **ret)
{
    enum ending why;
    struct inbound *in = inbound_new(pod, INBOUND_LOCAL, &why);
    if (!in)
        return why == ENDING_NO_MEMORY ? -ENOMEM : -ENOBUFS;
    *ret = in;
    in->local = *local;
    credential_ref(local->credential);
    in->peer = &local->credential->id;
    in->downstream = local->client;
    in->source = local->source;
    in->client_port.own = local->source.port;
    in->destination = in->target = local->destination;
    in->forwarded_host = local->service_host;
    inbound_continue(in, STEP_NEXT);
    in->forwarded_host = (struct text){NULL, 0};
    return 0;
}
