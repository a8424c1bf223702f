#include "nodeproxy/path/inbound_http.h"

#include "nodeproxy/http/http_front.h"
#include <errno.h>
#include <stdlib.h>

struct inbound_http {
    struct exchange_host host;
    const struct inbound_http_events *events;
    void *user;
    struct http_front front;
    struct stream *server;
    struct http_link *up; /* NULL: not yet, or closed */
    struct buf
        server_first; /* what it said (in HTTP/2 it begins as well) before the client: a received piece at most */
    struct list waiting; /* exchanges, for `up` */
    struct ring_task look;
    enum ending ending;
    bool told, closing, gone;
    bool used; /* `up` had a request */
};

static struct inbound_http *of_host(struct exchange_host *host)
{
    return container_of(host, struct inbound_http, host);
}

/* ---- declared? ------------------------------------------------------------- */

static uint8_t declared_by_service(const struct service *s, uint16_t service_port)
{
    for (size_t i = 0; s && i < s->n_ports; i++)
        if (s->ports[i].service_port == service_port)
            return s->ports[i].app_protocol;
    return 0;
}

/* The ports of an endpoint say where they lead; what is spoken there they may leave to the Service. */
bool inbound_http_declared(const struct directory *d, const struct workload *self, uint16_t port)
{
    unsigned n_http = 0, n_other = 0;
    for (size_t i = 0; i < self->n_services; i++) {
        const struct workload_service *mine = &self->services[i];
        const struct service *s = directory_service(d, text_of(mine->key));
        const struct port_pair *ports = mine->n_ports > 0 || !s ? mine->ports : s->ports;
        size_t n = mine->n_ports > 0 || !s ? mine->n_ports : s->n_ports;
        for (size_t k = 0; k < n; k++) {
            if (ports[k].target_port != port)
                continue;
            uint8_t app = ports[k].app_protocol;
            if (app_protocol_is_http(app ? app : declared_by_service(s, ports[k].service_port)))
                n_http++;
            else
                n_other++;
        }
    }
    return n_http > 0 && n_other == 0;
}

/* ---- the end --------------------------------------------------------------- */

static void end(struct inbound_http *h, enum ending ending)
{
    if (h->ending == ENDING_NONE)
        h->ending = ending;
    ring_task_ask(h->host.ring, &h->look);
}

static void look(struct ring_task *task)
{
    struct inbound_http *h = container_of(task, struct inbound_http, look);
    if (h->ending != ENDING_NONE && !h->closing && !h->told && !h->front.link && !h->up) {
        h->told = true;
        h->events->ended(h->user, h->ending);
    }
    if (!h->closing || h->gone || h->front.link || h->up || h->host.n > 0)
        return;
    h->gone = true;
    ring_task_cancel(&h->look); /* asked for again by the close */
    buf_done(&h->server_first);
    h->events->drained(h->user);
    free(h);
}

/* ---- the exchanges ----------------------------------------------------------- */

static enum ending filter(struct exchange_host *host, struct http_head *request,
                          struct exchange_notes *ret_notes)
{
    struct inbound_http *h = of_host(host);
    return h->events->asked(h->user, request, ret_notes);
}

static enum step choose(struct exchange_host *host, struct exchange *x, struct http_link **ret,
                        enum ending *ret_ending)
{
    struct inbound_http *h = of_host(host);
    *ret_ending = ENDING_RESET_BY_SERVER;
    if (!h->up)
        return STEP_END;
    if (list_empty(&h->waiting) && http_link_can_request(h->up)) {
        exchange_upstream(x)->reused = h->used;
        h->used = true;
        *ret = h->up;
        return STEP_NEXT;
    }
    list_push_back(&h->waiting, exchange_waiting(x));
    return STEP_WAIT;
}

static void forget(struct exchange_host *host, struct exchange *x)
{
    (void)host, (void)x;
}

static void over(struct exchange_host *host, const struct exchange_record *record)
{
    struct inbound_http *h = of_host(host);
    h->events->over(h->user, record);
}

static void gone(struct exchange_host *host)
{
    ring_task_ask(host->ring, &of_host(host)->look);
}

static const struct exchange_host_ops host_ops = {
    .filter = filter, .choose = choose, .forget = forget, .over = over, .gone = gone};

/* ---- the links --------------------------------------------------------------- */

static struct http_stream *asked(struct http_link *l, unsigned *ret_status)
{
    struct inbound_http *h = l->user;
    *ret_status = 503;
    return h->closing ? NULL : exchange_begin(&h->host);
}

/* What came to nothing before it was an exchange leaves its record, too. */
static void refused(struct http_link *l, unsigned status, const char *why)
{
    struct inbound_http *h = l->user;
    const struct exchange_record record = {
        .status = status,
        .grpc_status = -1,
        .own = true,
        .client = l->version,
        .ending = status == 503 || status == 0 ? ENDING_LIMIT : ENDING_BAD_REQUEST,
    };
    (void)why;
    h->events->over(h->user, &record);
}

static void down_closed(struct http_link *l, int error, const char *why)
{
    struct inbound_http *h = l->user;
    (void)why;
    h->front.link = NULL;
    end(h, http_front_ending(error));
    if (h->up)
        http_link_drain(h->up);
}

static void slot(struct http_link *l)
{
    struct inbound_http *h = l->user;
    while (!list_empty(&h->waiting) && http_link_can_request(l)) {
        struct exchange *x = exchange_of_waiting(list_pop_front(&h->waiting));
        exchange_upstream(x)->reused = true;
        exchange_chosen(x, l, ENDING_NONE);
    }
}

static void up_closed(struct http_link *l, int error, const char *why)
{
    struct inbound_http *h = l->user;
    (void)error, (void)why; /* whoever was waiting for an answer has heard of it */
    h->up = NULL;
    for (struct list *n; (n = list_pop_front(&h->waiting));)
        exchange_chosen(exchange_of_waiting(n), NULL, ENDING_RESET_BY_SERVER);
    if (h->front.link)
        http_link_drain(h->front.link);
    ring_task_ask(h->host.ring, &h->look);
}

static const struct http_link_events down_events = {
    .request = asked, .refused = refused, .closed = down_closed};
static const struct http_link_events up_events = {.slot = slot, .closed = up_closed};

/* ---- the first bytes ----------------------------------------------------------- */

static void nothing(struct stream *s)
{
    (void)s;
}
static void server_lost(struct stream *s)
{
    end(s->user, ENDING_CLOSED);
}
static void server_failed(struct stream *s, int error)
{
    (void)error;
    end(s->user, ENDING_RESET_BY_SERVER);
}
static void server_received(struct stream *s, struct buf *bytes)
{
    struct inbound_http *h = s->user;
    buf_move(&h->server_first, bytes);
    stream_pause(s);
}
static const struct stream_events server_first = {.received = server_received,
                                                  .ended = server_lost,
                                                  .writable = nothing,
                                                  .finished = nothing,
                                                  .failed = server_failed};

static int spoken(struct http_front *f, enum http_version version)
{
    struct inbound_http *h = f->user;
    const struct http_link_options o = {
        .ring = f->ring, .carrier = h->server, .idle_ms = f->idle_ms};
    if (h->ending != ENDING_NONE) /* the server has gone before */
        return -EPIPE;
    int r = version == HTTP_VERSION_2 ? http2_link_open(&h->up, &o, &up_events, h)
                                      : http1_link_open(&h->up, &o, &up_events, h);
    if (r < 0 || h->server_first.len == 0)
        return r;
    struct buf bytes = {0};
    buf_move(&bytes, &h->server_first);
    h->server->events->received(h->server, &bytes);
    stream_resume(h->server);
    return 0;
}

static void front_failed(struct http_front *f, enum ending ending)
{
    struct inbound_http *h = f->user;
    end(h, ending);
    if (h->up)
        http_link_close(h->up);
}

static const struct http_front_events front_events = {
    .spoken = spoken, .failed = front_failed, .link = &down_events};

/* ---- beginning and end --------------------------------------------------------- */

int inbound_http_open(struct inbound_http **ret, const struct inbound_http_options *o,
                      const struct inbound_http_events *events, void *user)
{
    struct inbound_http *h = calloc(1, sizeof *h);
    if (!h)
        return -ENOMEM;
    exchange_host_init(&h->host, &host_ops, o->ring, o->pool);
    h->host.hold = o->hold;
    h->host.bounds = o->bounds;
    h->host.bound = BOUND_REQUESTS_IN;
    h->host.idle_ms = o->idle_ms;
    h->host.passes_on = true;
    h->events = events;
    h->user = user;
    h->server = o->server;
    list_init(&h->waiting);
    ring_task_init(&h->look, look);
    http_front_init(&h->front, o->ring, o->client, o->idle_ms, &front_events, h);
    h->server->events = &server_first;
    h->server->user = h;
    *ret = h;
    return 0;
}

void inbound_http_give(struct inbound_http *h, struct buf *bytes, bool ended)
{
    http_front_give(&h->front, bytes, ended);
}

void inbound_http_close(struct inbound_http *h, enum ending ending)
{
    if (h->closing)
        return;
    h->closing = true;
    if (h->ending == ENDING_NONE)
        h->ending = ending;
    list_for_each (n, &h->host.exchanges)
        exchange_close(exchange_of_link(n), ending);
    http_front_close(&h->front);
    if (h->up)
        http_link_close(h->up);
    else if (h->server->events == &server_first)
        h->server->events = &stream_nobody;
    ring_task_ask(h->host.ring, &h->look);
}
