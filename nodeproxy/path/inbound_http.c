#include "nodeproxy/path/inbound_http.h"

#include "nodeproxy/path/client_requests.h"
#include <errno.h>
#include <stdlib.h>

struct inbound_http {
    struct client_requests client;
    const struct inbound_http_events *events;
    void *user;
    struct stream *server;
    struct http_link *up; /* NULL: not yet, or closed */
    struct buf
        server_first; /* what it said (in HTTP/2 it begins as well) before the client: a received piece at most */
    struct list waiting; /* exchanges, for `up` */
    bool used;           /* `up` had a request */
};

static struct inbound_http *of_client(const struct client_requests *c)
{
    return container_of(c, struct inbound_http, client);
}
static struct inbound_http *of_host(struct exchange_host *host)
{
    return of_client(client_requests_of(host));
}

/* ---- declared? ------------------------------------------------------------- */

static uint8_t declared_by_service(const struct service *s, uint16_t service_port)
{
    for (size_t i = 0; s && i < s->n_ports; i++)
        if (s->ports[i].service_port == service_port)
            return s->ports[i].app_protocol;
    return 0;
}

/* Another namespace's may lead to the pod, as Kubernetes lets them, and have no say in what it speaks. */
static bool is_of_namespace(const struct workload_service *s, struct text ns)
{
    struct text key_ns, host;
    return text_split(text_of(s->key), '/', &key_ns, &host) && text_equal(key_ns, ns);
}

/* The ports of an endpoint say where they lead; what is spoken there they may leave to the Service. */
enum http_declared inbound_http_declared(const struct directory *d, const struct workload *self,
                                         uint16_t port)
{
    unsigned n_http = 0, n_untold = 0;
    for (size_t i = 0; i < self->n_services; i++) {
        const struct workload_service *mine = &self->services[i];
        if (!is_of_namespace(mine, text_of(self->ns)))
            continue;
        const struct service *s = directory_service(d, text_of(mine->key));
        const struct port_pair *ports = mine->n_ports > 0 || !s ? mine->ports : s->ports;
        size_t n = mine->n_ports > 0 || !s ? mine->n_ports : s->n_ports;
        for (size_t k = 0; k < n; k++) {
            if (ports[k].target_port != port)
                continue;
            uint8_t app = ports[k].app_protocol;
            if (!app)
                app = declared_by_service(s, ports[k].service_port);
            if (app && !app_protocol_is_http(app))
                return HTTP_DECLARED_NOT;
            n_http += app != 0;
            n_untold += app == 0;
        }
    }
    return n_http > 0 && n_untold == 0 ? HTTP_DECLARED : HTTP_DECLARED_UNTOLD;
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
    (void)host;
    list_remove(exchange_waiting(x));
}

static const struct exchange_host_ops host_ops = {
    .filter = filter,
                                                  .choose = choose,
                                                  .forget = forget,
                                                  .over = client_requests_over,
                                                  .gone = client_requests_gone};

/* ---- the links --------------------------------------------------------------- */

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
    (void)why; /* whoever was waiting for an answer has heard of it */
    h->up = NULL;
    if (error == -ECANCELED) /* HTTP/1.1: what the server works on is given up: it is to notice */
        stream_reset(h->server, error);
    for (struct list *n; (n = list_pop_front(&h->waiting));)
        exchange_chosen(exchange_of_waiting(n), NULL, ENDING_RESET_BY_SERVER);
    if (h->client.front.link)
        http_link_drain_unserved(h->client.front.link);
    client_requests_look(&h->client);
}

static const struct http_link_events up_events = {.slot = slot, .closed = up_closed};

/* ---- the first bytes ----------------------------------------------------------- */

static void nothing(struct stream *s)
{
    (void)s;
}
static void server_lost(struct stream *s)
{
    client_requests_end(s->user, ENDING_CLOSED);
}
static void server_failed(struct stream *s, int error)
{
    (void)error;
    client_requests_end(s->user, ENDING_RESET_BY_SERVER);
}
static void server_received(struct stream *s, struct buf *bytes)
{
    struct inbound_http *h = of_client(s->user);
    buf_move(&h->server_first, bytes);
    stream_pause(s);
}
static const struct stream_events server_first_events = {.received = server_received,
                                                  .ended = server_lost,
                                                  .writable = nothing,
                                                  .finished = nothing,
                                                  .failed = server_failed};

static int spoken(struct client_requests *c, enum http_version version)
{
    struct inbound_http *h = of_client(c);
    const struct http_link_options o = {.ring = c->host.ring,
                                        .carrier = h->server,
                                        .streams_max = HTTP_FRONT_STREAMS_MAX,
                                        .idle_ms = c->front.idle_ms};
    if (c->ending != ENDING_NONE) /* the server has gone before */
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

/* ---- the client and its end ---------------------------------------------------- */

static void over(struct client_requests *c, const struct exchange_record *record)
{
    struct inbound_http *h = of_client(c);
    h->events->over(h->user, record);
}

static void left(struct client_requests *c)
{
    struct inbound_http *h = of_client(c);
    if (h->up)
        http_link_drain(h->up);
}

static bool rests(const struct client_requests *c)
{
    return !of_client(c)->up;
}

static void client_ended(struct client_requests *c, enum ending ending)
{
    struct inbound_http *h = of_client(c);
    h->events->ended(h->user, ending);
}

static void drained(struct client_requests *c)
{
    struct inbound_http *h = of_client(c);
    buf_done(&h->server_first);
    h->events->drained(h->user);
    free(h);
}

static const struct client_requests_ops client_ops = {.host = &host_ops,
                                                      .over = over,
                                                      .spoken = spoken,
                                                      .left = left,
                                                      .rests = rests,
                                                      .ended = client_ended,
                                                      .drained = drained};

/* ---- beginning and end --------------------------------------------------------- */

int inbound_http_open(struct inbound_http **ret, const struct inbound_http_options *o,
                      const struct inbound_http_events *events, void *user)
{
    const struct client_requests_options client = {
        .ring = o->ring,
        .pool = o->pool,
        .hold = o->hold,
        .bounds = o->bounds,
        .bound = BOUND_REQUESTS_IN,
        .client = o->client,
        .idle_ms = o->idle_ms,
        .choose_ms = o->choose_ms,
    };
    struct inbound_http *h = calloc(1, sizeof *h);
    if (!h)
        return -ENOMEM;
    client_requests_init(&h->client, &client, &client_ops);
    h->client.host.passes_on = true;
    h->client.front.behind = o->behind;
    h->client.host.tracer = o->tracer;
    h->events = events;
    h->user = user;
    h->server = o->server;
    list_init(&h->waiting);
    h->server->events = &server_first_events;
    h->server->user = &h->client;
    *ret = h;
    return 0;
}

void inbound_http_give(struct inbound_http *h, struct buf *bytes, bool ended_too)
{
    http_front_give(&h->client.front, bytes, ended_too);
}

bool inbound_http_look_again(struct inbound_http *h)
{
    return client_requests_look_again(&h->client);
}

void inbound_http_close(struct inbound_http *h, enum ending ending)
{
    if (h->client.closing)
        return;
    client_requests_close(&h->client, ending);
    if (h->up)
        http_link_close(h->up);
    else if (h->server->events == &server_first_events)
        h->server->events = &stream_nobody;
}
