/* Bytes that come to a Gateway, and go on; see the header. */
#include "nodeproxy/path/gateway_stream.h"

#include "nodeproxy/path/carrier.h"
#include "nodeproxy/path/listener_set.h"
#include "nodeproxy/path/tcp_route.h"
#include <errno.h>
#include <stdlib.h>

struct gateway_stream {
    struct local_pod *pod;
    const struct gateway_stream_events *events;
    void *user;
    struct tcp_route *route;   /* NULL: there was no table */
    struct carrier *carrier;   /* NULL: none was begun, or it has been closed */
    struct stream *server;
    struct upstream_endpoint to;
    struct spiffe_id id;       /* in which the endpoint's identity lies */
    char *service_host;        /* the Service that the route chose; NULL: none is known */
    char *why;
};

static struct route_table *table_of(const struct path_env *env, const struct workload *self,
                                    uint16_t port, enum gateway_table_kind kind)
{
    char name[GATEWAY_TABLE_NAME_MAX];
    if (!self || !self->gateway[0])
        return NULL;
    return directory_routes(env->directory,
                            gateway_table_name_of(kind, port, self->ns, self->gateway, name));
}

bool gateway_stream_is_at(const struct path_env *env, const struct workload *self, uint16_t port,
                          enum gateway_table_kind kind)
{
    struct route_table *t = table_of(env, self, port, kind);
    bool is = t != NULL;
    route_table_unref(t);
    return is;
}

size_t gateway_stream_passes(const struct path_env *env, const struct workload *self, uint16_t port,
                             struct text server)
{
    struct route_table *t = table_of(env, self, port, GATEWAY_TABLE_PASSED);
    const struct virtual_host *h = t ? route_table_host(t, server) : NULL;
    size_t how = 0;
    if (h && h->n_domains > 0)
        how = text_equal(h->domains[0], TEXT("*")) ? 1 : listener_host_fits(h->domains[0], server);
    route_table_unref(t);
    return how;
}

/* ---- The carrier ----------------------------------------------------------------------------- */

static void opened(void *user, struct stream *stream)
{
    struct gateway_stream *s = user;
    s->server = stream;
    tcp_route_connected(s->route);
    s->events->opened(s->user);
}

static void failed(void *user, enum ending ending, const char *why)
{
    struct gateway_stream *s = user;
    if (why[0])
        s->why = text_dup(text_of(why)); /* without memory the line has the ending's meaning */
    s->events->failed(s->user, ending);
}

static void gone(void *user)
{
    struct gateway_stream *s = user;
    s->events->drained(s->user);
}

static const struct carrier_events carrier_events = {
    .opened = opened, .failed = failed, .gone = gone};

/* ---- Beginning and end ------------------------------------------------------------------------ */

struct gateway_stream *gateway_stream_new(struct local_pod *pod,
                                          const struct gateway_stream_events *events, void *user)
{
    struct gateway_stream *s = calloc(1, sizeof *s);
    if (s) {
        s->pod = pod;
        s->events = events;
        s->user = user;
    }
    return s;
}

struct gateway_stream *gateway_stream_free(struct gateway_stream *s)
{
    if (!s)
        return NULL;
    tcp_route_free(s->route);
    free(s->service_host);
    free(s->why);
    free(s);
    return NULL;
}

static enum ending choose(struct gateway_stream *s, const struct addr *called)
{
    struct tcp_target target;
    const char *why;
    enum ending ending = tcp_route_choose(s->route, called, &target, &why);
    if (ending != ENDING_NONE) {
        s->why = why[0] ? text_dup(text_of(why)) : NULL;
        return ending;
    }
    if (!tcp_route_claim(s->route))
        return ENDING_OVERFLOW;
    struct text host = upstream_cluster_host(tcp_route_chosen(s->route));
    if (host.len > 0 && !(s->service_host = text_dup(host)))
        return ENDING_NO_MEMORY;
    return carrier_way(s->pod->env, target.workload, &target.target, &s->id, &s->to);
}

static enum ending carry(struct gateway_stream *s)
{
    const struct addr source = carrier_own_address(s->pod, ip_family(&s->to.to.ip));
    s->to.service_host = s->to.way == UPSTREAM_DIRECT ? TEXT("") : text_of(s->service_host);
    s->to.cluster = tcp_route_cluster(s->route);
    s->to.tls = tcp_route_tls(s->route); /* nothing of a cluster that asks for TLS goes in the clear */
    int r = carrier_open(&s->carrier, s->pod, &s->to, &source, &carrier_events, s);
    s->to.cluster = NULL; /* they may go before us */
    s->to.tls = NULL;
    return r == 0          ? ENDING_NONE
           : r == -ENOKEY  ? ENDING_NO_IDENTITY
           : r == -ENOMEM  ? ENDING_NO_MEMORY
                           : ENDING_LIMIT;
}

enum ending gateway_stream_open(struct gateway_stream *s, enum gateway_table_kind kind,
                                const struct addr *called, struct text server)
{
    const struct path_env *env = s->pod->env;
    const struct workload *self = directory_workload(env->directory, text_of(s->pod->uid));
    struct route_table *table = table_of(env, self, called->port, kind);
    if (!table)
        return ENDING_NO_LISTENER; /* it has gone meanwhile */
    if (tcp_route_open_table(&s->route, s->pod, table, server) < 0)
        return ENDING_NO_MEMORY;
    enum ending ending = choose(s, called);
    return ending == ENDING_NONE ? carry(s) : ending;
}

struct stream *gateway_stream_server(struct gateway_stream *s)
{
    return s->server;
}

void gateway_stream_start(struct gateway_stream *s)
{
    carrier_start(s->carrier);
}

void gateway_stream_subject(const struct gateway_stream *s, struct account_subject *ret)
{
    const struct path_env *env = s->pod->env;
    const struct directory *d = env->directory;
    bool direct = s->to.way == UPSTREAM_DIRECT;
    *ret = (struct account_subject){
        .source = directory_workload(d, text_of(s->pod->uid)),
        .destination = directory_workload_at(d, text_of(env->config->network), &s->to.to.ip),
        .service = s->service_host
                       ? directory_service_named(d, text_of(s->service_host), text_of(s->pod->ns))
                       : NULL,
        .source_id = &s->pod->identity,
        .destination_id = direct ? NULL : &s->id,
        .mutual_tls = s->to.way == UPSTREAM_TUNNEL,
    };
}

const struct addr *gateway_stream_endpoint(const struct gateway_stream *s)
{
    return &s->to.to;
}

struct text gateway_stream_route(const struct gateway_stream *s)
{
    return s->route ? tcp_route_taken(s->route) : (struct text){NULL, 0};
}

struct text gateway_stream_why(const struct gateway_stream *s)
{
    return text_of(s->why);
}

enum ending gateway_stream_broken(const struct gateway_stream *s)
{
    return s->carrier ? carrier_broken(s->carrier) : ENDING_NONE;
}

bool gateway_stream_close(struct gateway_stream *s, enum ending ending)
{
    struct carrier *c = s->carrier;
    s->carrier = NULL;
    s->server = NULL;
    if (s->route)
        tcp_route_close(s->route, ending);
    if (c)
        carrier_close(c, ending == ENDING_CLOSED);
    return c != NULL;
}
