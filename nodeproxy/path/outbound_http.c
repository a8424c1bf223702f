/* Requests of a local workload, each to an endpoint of its own; see the header. */
#include "nodeproxy/path/outbound_http.h"

#include "nodeproxy/path/carrier.h"
#include "nodeproxy/path/client_requests.h"
#include "nodeproxy/path/cluster_target.h"
#include "nodeproxy/path/listener_set.h"
#include "nodeproxy/path/request_account.h"
#include "nodeproxy/path/request_span.h"
#include "nodeproxy/path/request_tap.h"
#include "nodeproxy/path/request_target.h"
#include "shared/base/clock.h"
#include "shared/http/http_grammar.h"
#include "shared/http/http_hop.h"
#include "shared/mesh/gateway_table_name.h"
#include <errno.h>
#include <stdlib.h>

struct outbound_http {
    struct client_requests client;
    struct local_pod *pod;
    const struct outbound_http_events *events;
    void *user;
    struct addr called;
    struct request_account account;
    char *consumer_routes, *routes; /* names of tables: for clients of our namespace (NULL: a Gateway's), and for all */
    struct ip source;               /* whose requests they are: the workload, or a Gateway's client */
    char source_text[IP_TEXT_MAX];  /* of a Gateway's client */
    char *tls_host;                 /* of the Gateway's listener where its TLS ended; NULL: it did not */
};

static struct outbound_http *of_host(struct exchange_host *host)
{
    return container_of(client_requests_of(host), struct outbound_http, client);
}

bool outbound_http_declared(const struct service *s, uint16_t port)
{
    const struct port_pair *p = service_port(s, port);
    return p && app_protocol_is_http(p->app_protocol);
}

bool outbound_http_untold(const struct service *s, uint16_t port)
{
    const struct port_pair *p = service_port(s, port);
    return p && p->app_protocol == APP_UNKNOWN;
}

static bool is_gateway(const struct outbound_http *h)
{
    return !h->consumer_routes;
}

static struct outbound_http *of_client(struct client_requests *c)
{
    return container_of(c, struct outbound_http, client);
}

/* ---- route --------------------------------------------------------------- */

/* A certificate was shown for one listener: requests for another one's host belong to another connection (RFC 9110, 7.4). */
static bool is_misdirected(const struct outbound_http *h, const struct http_head *request)
{
    struct text name, port;
    if (!h->tls_host)
        return false;
    http_authority_split(request->authority, &name, &port);
    const struct listener_certificate *c = listener_set_find(h->pod->listeners, h->called.port, name);
    return !c || strcmp(c->host, h->tls_host) != 0;
}

static enum ending route(struct exchange_host *host, const struct http_head *request,
                         struct request_route *ret, const char **ret_why)
{
    struct outbound_http *h = of_host(host);
    struct path_env *env = h->pod->env;
    if (is_misdirected(h, request)) {
        *ret_why = "";
        return ENDING_MISDIRECTED;
    }
    struct route_table *t =
        h->consumer_routes ? directory_routes(env->directory, text_of(h->consumer_routes)) : NULL;
    if (!t)
        t = directory_routes(env->directory, text_of(h->routes));
    if (!t && is_gateway(h)) { /* the listener has gone meanwhile */
        *ret_why = "";
        return ENDING_NO_ROUTE;
    }
    const struct workload *self = directory_workload(env->directory, text_of(h->pod->uid));
    const struct route_request q = {.head = request,
                                    .source_ns = text_of(h->pod->ns),
                                    .source_labels = self ? self->labels : NULL,
                                    .n_source_labels = self ? self->n_labels : 0,
                                    .now_s = (uint32_t)clock_unix_s(),
                                    .random = rng_u64(ring_rng(env->ring))};
    enum ending ending = request_route_decide(ret, t, &q, ring_rng(env->ring), ret_why);
    if (ending == ENDING_NONE)
        request_route_take_hash(ret, request, &h->source, ring_rng(env->ring));
    return ending;
}

/* ---- choose -------------------------------------------------------------- */

static struct request_target target_of(const struct outbound_http *h)
{
    /* A workload's own HTTP/2 needs a server of it; whoever comes from outside knows nothing of that. */
    return (struct request_target){.pod = h->pod,
                                   .called = &h->called,
                                   .name = text_of(h->routes),
                                   .version =
                                       is_gateway(h) ? HTTP_VERSION_1 : h->client.front.version};
}

/* The endpoint's own name, where its route says so. */
static enum ending rename_host(struct exchange *x, const struct target_endpoint *e)
{
    const struct route_forward *f = exchange_route(x)->forward;
    if (!f || f->host.kind != HOST_OF_ENDPOINT || e->hostname.len == 0)
        return ENDING_NONE;
    int r = exchange_call_host(x, e->hostname);
    return r == 0 ? ENDING_NONE : r == -ENOMEM ? ENDING_NO_MEMORY : ENDING_BAD_REQUEST;
}

static enum step take_link(struct outbound_http *h, struct exchange *x,
                           const struct upstream_endpoint *e, struct http_link **ret,
                           enum ending *ret_ending)
{
    exchange_note_tried(x, &e->to);
    int r = upstream_take(&h->pod->upstreams, e, exchange_upstream(x), ret);
    if (r == 0 || r == -EAGAIN)
        return r == 0 ? STEP_NEXT : STEP_WAIT;
    *ret_ending = r == -ENOMEM   ? ENDING_NO_MEMORY
                  : r == -ENOKEY ? ENDING_NO_IDENTITY
                  : r == -EDQUOT ? ENDING_OVERFLOW
                                 : ENDING_LIMIT;
    return STEP_END;
}

static enum step choose(struct exchange_host *host, struct exchange *x, struct http_link **ret,
                        enum ending *ret_ending)
{
    struct outbound_http *h = of_host(host);
    const struct request_target target = target_of(h);
    struct target_endpoint e;
    *ret_ending = request_target_choose(&target, x, &e);
    if (e.why)
        exchange_explain(x, e.why);
    if (*ret_ending == ENDING_NONE)
        *ret_ending = rename_host(x, &e);
    return *ret_ending == ENDING_NONE ? take_link(h, x, &e.endpoint, ret, ret_ending) : STEP_END;
}

static void forget(struct exchange_host *host, struct exchange *x)
{
    (void)host;
    upstream_forget(exchange_upstream(x));
}

/* ---- mirrors ------------------------------------------------------------- */

/* Envoy's "-shadow", before the port. */
static struct text shadow_of(const struct route_mirror *m, struct text authority,
                             struct text_out *out)
{
    struct text host = authority, port = {NULL, 0};
    if (m->host.len > 0)
        return m->host;
    if (m->keep_host)
        return authority;
    for (size_t i = authority.len; i > 0 && authority.data[i - 1] != ']'; i--)
        if (authority.data[i - 1] == ':') {
            host.len = i - 1;
            port = (struct text){authority.data + i - 1, authority.len - i + 1};
        }
    text_put(out, host);
    text_puts(out, "-shadow");
    text_put(out, port);
    return (struct text){out->data, out->len};
}

static void mirror_to(struct outbound_http *h, const struct exchange *x,
                      const struct route_mirror *m, const struct buf *body)
{
    const struct http_head *request = exchange_request(x);
    const struct request_target target = target_of(h);
    struct upstream_stake stake;
    struct target_endpoint e;
    char data[300];
    struct text_out out = TEXT_OUT(data);
    enum ending ending = request_target_any(&target, x, m->cluster, &stake, &e);
    h->pod->mirrors.left_out += ending == ENDING_OVERFLOW;
    if (ending != ENDING_NONE)
        return;
    struct text authority = shadow_of(m, request->authority, &out);
    mirrors_send(&h->pod->mirrors, &h->pod->upstreams, &e.endpoint, &stake, request, authority, body);
}

static void mirror(struct exchange_host *host, const struct exchange *x, const struct buf *body)
{
    const struct route_forward *f = exchange_route(x)->forward;
    for (size_t i = 0; i < f->n_mirrors; i++)
        if (fraction_hits(f->mirrors[i].fraction, rng_u64(ring_rng(host->ring))))
            mirror_to(of_host(host), x, &f->mirrors[i], body);
}

/* ---- account ------------------------------------------------------------- */

/* The Service that was called, whichever a route chose for it; a Gateway's clients called none. */
static const struct service *service_of(const struct outbound_http *h,
                                        const struct exchange_record *record)
{
    const struct path_env *env = h->pod->env;
    if (!is_gateway(h))
        return directory_service_at(env->directory, text_of(env->config->network), &h->called.ip);
    struct text host = upstream_cluster_host(record->cluster);
    return host.len > 0 ? directory_service_named(env->directory, host, text_of(h->pod->ns)) : NULL;
}

static void labels(void *user, const struct exchange_record *record, struct spiffe_id *memory,
                   struct text ret[static ACCOUNT_LABELS])
{
    const struct outbound_http *h = user;
    const struct directory *d = h->pod->env->directory;
    struct text network = text_of(h->pod->env->config->network);
    const struct workload *to =
        record->to.port > 0 ? directory_workload_at(d, network, &record->to.ip) : NULL;
    struct upstream_endpoint way = {.way = UPSTREAM_DIRECT};
    (void)carrier_way(h->pod->env, to, &record->to, memory, &way);
    const struct account_subject subject = {
        .source = directory_workload(d, text_of(h->pod->uid)),
        .destination = to,
        .service = service_of(h, record),
        .source_id = &h->pod->identity,
        .destination_id = way.way == UPSTREAM_DIRECT ? NULL : memory,
        .mutual_tls = way.way == UPSTREAM_TUNNEL,
    };
    account_labels_of(REPORTER_SOURCE, &subject, ret);
}

static void over(struct client_requests *c, const struct exchange_record *record)
{
    struct outbound_http *h = of_client(c);
    struct exchange_record r = *record;
    if (r.cluster.len == 0 && !is_gateway(h))
        r.cluster = text_of(h->routes); /* they have its name */
    request_account_count(&h->account, &r);
    request_span_give(h->pod, false, &r);
    request_tap_tell(&(struct request_tap){h->pod, &h->account, &h->source, &h->called, true}, &r);
    h->events->over(h->user, &r);
}

static enum ending filter(struct exchange_host *host, struct http_head *request,
                          struct exchange_notes *ret_notes)
{
    struct outbound_http *h = of_host(host);
    return h->events->asked(h->user, request, ret_notes);
}

#define HOST_OPS                                                                                   \
    .route = route, .choose = choose, .forget = forget, .mirror = mirror,                          \
    .over = client_requests_over, .gone = client_requests_gone
static const struct exchange_host_ops host_ops = {HOST_OPS};
static const struct exchange_host_ops gateway_host_ops = {.filter = filter, HOST_OPS};

/* ---- beginning and end ----------------------------------------------------- */

static int name_routes(struct outbound_http *h, const struct service *s)
{
    char name[600];
    struct text_out out = TEXT_OUT(name);
    text_printf(&out, "outbound|%u||%s", h->called.port, s->hostname);
    h->routes = text_dup((struct text){out.data, out.len});
    text_printf(&out, "@%s", h->pod->ns);
    h->consumer_routes = text_dup((struct text){out.data, out.len});
    return h->routes && h->consumer_routes ? 0 : -ENOMEM;
}

static void ended(struct client_requests *c, enum ending ending)
{
    struct outbound_http *h = of_client(c);
    h->events->ended(h->user, ending);
}

static void drop(struct outbound_http *h)
{
    free(h->routes);
    free(h->consumer_routes);
    free(h->tls_host);
    free(h);
}

static void drained(struct client_requests *c)
{
    struct outbound_http *h = of_client(c);
    request_account_end(&h->account);
    h->events->drained(h->user);
    drop(h);
}

static const struct client_requests_ops client_ops = {
    .host = &host_ops, .over = over, .ended = ended, .drained = drained};
static const struct client_requests_ops gateway_ops = {
    .host = &gateway_host_ops, .over = over, .ended = ended, .drained = drained};

static struct outbound_http *new_http(struct local_pod *pod, const struct addr *called,
                                      const struct outbound_http_events *events, void *user)
{
    struct outbound_http *h = calloc(1, sizeof *h);
    if (!h)
        return NULL;
    h->pod = pod;
    h->called = *called;
    h->events = events;
    h->user = user;
    return h;
}

/* Its names are there. */
static void begin(struct outbound_http *h, struct stream *client, uint64_t idle_ms,
                  const struct client_requests_ops *ops)
{
    struct local_pod *pod = h->pod;
    const struct config *config = pod->env->config;
    const struct client_requests_options o = {
        .ring = pod->env->ring,
        .pool = &pod->exchanges,
        .hold = &pod->hold,
        .bounds = pod->bounds,
        .bound = BOUND_REQUESTS_OUT,
        .client = client,
        .idle_ms = idle_ms,
        .choose_ms = 2 * config->connect_ms,
    };
    client_requests_init(&h->client, &o, ops);
    h->client.host.chooses_again = true;
    h->client.drains = pod->env->draining;
    h->client.host.tracer = pod->env->tracer;
    request_account_begin(&h->account, pod->env->metrics, labels, h);
}

int outbound_http_open(struct outbound_http **ret, struct local_pod *pod, const struct service *s,
                       const struct addr *called, struct stream *client,
                       const struct outbound_http_events *events, void *user)
{
    struct outbound_http *h = new_http(pod, called, events, user);
    if (!h)
        return -ENOMEM;
    if (name_routes(h, s) < 0) {
        drop(h);
        return -ENOMEM;
    }
    h->source = pod->addresses[0];
    begin(h, client, pod->env->config->idle_ms, &client_ops);
    *ret = h;
    return 0;
}

/* ---- of a Gateway ---------------------------------------------------------- */

enum { GATEWAY_HOPS_MAX = 8 /* Gateways that a request comes through */ };

static struct text gateway_routes(const struct workload *self, uint16_t port,
                                  char out[static GATEWAY_TABLE_NAME_MAX])
{
    return gateway_table_name_of(GATEWAY_TABLE_REQUESTS, port, self->ns, self->gateway, out);
}

bool outbound_http_is_gateway(const struct path_env *env, const struct workload *self, uint16_t port)
{
    char name[GATEWAY_TABLE_NAME_MAX];
    if (!env->config->parse_http || !self->gateway[0])
        return false;
    struct route_table *t = directory_routes(env->directory, gateway_routes(self, port, name));
    if (t)
        route_table_unref(t);
    return t;
}

/* Whoever comes by the mesh has a node proxy that may have added fields, has its trace recorded by it, and may be a Gateway. */
static void trust(struct client_requests *c, const struct outbound_http_gateway *g,
                  const struct config *config)
{
    c->host.strips = HTTP_HOP_ALL;
    if (!g->of_mesh && !config->gateway_traces)
        c->host.strips |= HTTP_HOP_TRACE;
    c->host.hops_max = GATEWAY_HOPS_MAX;
    c->host.hops_believed = g->of_mesh;
    c->front.behind = g->of_mesh;
}

int outbound_http_open_gateway(struct outbound_http **ret, struct local_pod *pod,
                               const struct outbound_http_gateway *gateway, struct stream *client,
                               const struct outbound_http_events *events, void *user)
{
    char name[GATEWAY_TABLE_NAME_MAX];
    const struct addr *called = gateway->called, *source = gateway->source;
    struct outbound_http *h = new_http(pod, called, events, user);
    if (!h)
        return -ENOMEM;
    h->routes = text_dup(gateway_routes(gateway->self, called->port, name));
    if (gateway->tls_host)
        h->tls_host = text_dup(text_of(gateway->tls_host));
    if (!h->routes || (gateway->tls_host && !h->tls_host)) {
        drop(h);
        return -ENOMEM;
    }
    h->source = source->ip;
    begin(h, client, pod->env->config->http_idle_ms, &gateway_ops);
    trust(&h->client, gateway, pod->env->config);
    h->client.host.forwarded_for = text_of(ip_print(&source->ip, h->source_text));
    h->client.host.forwarded_proto = h->tls_host ? TEXT("https") : TEXT("http");
    *ret = h;
    return 0;
}

void outbound_http_give(struct outbound_http *h, struct buf *bytes, bool ended_too)
{
    http_front_give(&h->client.front, bytes, ended_too);
}

bool outbound_http_look_again(struct outbound_http *h)
{
    return client_requests_look_again(&h->client);
}

void outbound_http_drain(struct outbound_http *h)
{
    client_requests_drain(&h->client);
}

void outbound_http_close(struct outbound_http *h, enum ending ending)
{
    client_requests_close(&h->client, ending);
}
