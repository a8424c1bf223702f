/* Routes of connections; see the header. */
#include "nodeproxy/path/tcp_route.h"

#include "nodeproxy/path/carrier.h"
#include "nodeproxy/path/cluster_target.h"
#include "nodeproxy/path/hello_wait.h"
#include "nodeproxy/path/upstream_tls.h"
#include "shared/http/http_head.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct tcp_route {
    struct local_pod *pod;
    struct route_table *table; /* NULL: only its cluster was written */
    char *cluster;             /* "outbound|PORT||HOST", where no route says otherwise; NULL: a Gateway's */
    struct text chosen, route; /* the cluster and the route that were chosen: of the table, while it is held */
    struct hello_wait hello;
    struct upstream_stake stake;
    struct tls_config *tls; /* NULL: none */
    bool connection; /* counted in the stake's cluster */
    bool reported;
    char why[CLIENT_HELLO_NAME_MAX + 64];
};

/* ---- What was written ---------------------------------------------------- */

static struct route_table *table_of(const struct local_pod *pod, const struct service *s,
                                    uint16_t port)
{
    const struct directory *d = pod->env->directory;
    char name[900];
    struct text_out out = TEXT_OUT(name);
    text_printf(&out, "tcp|%u||%s", port, s->hostname);
    const struct text everybodys = {out.data, out.len};
    text_printf(&out, "@%s", pod->ns);
    struct route_table *t = directory_routes(d, (struct text){out.data, out.len});
    return t ? t : directory_routes(d, everybodys);
}

static bool has_cluster(const struct local_pod *pod, struct text name)
{
    struct cluster *c = directory_cluster(pod->env->directory, name);
    cluster_unref(c);
    return c != NULL;
}

int tcp_route_open(struct tcp_route **ret, struct local_pod *pod, const struct service *s,
                   uint16_t port)
{
    char name[600];
    struct text_out out = TEXT_OUT(name);
    struct route_table *table = table_of(pod, s, port);
    text_printf(&out, "outbound|%u||%s", port, s->hostname);
    *ret = NULL;
    if (!table && !has_cluster(pod, (struct text){out.data, out.len}))
        return 0;
    struct tcp_route *r = calloc(1, sizeof *r);
    if (r)
        r->cluster = text_dup((struct text){out.data, out.len});
    if (!r || !r->cluster) {
        free(r);
        route_table_unref(table);
        return -ENOMEM;
    }
    r->pod = pod;
    r->table = table;
    *ret = r;
    return 0;
}

int tcp_route_open_table(struct tcp_route **ret, struct local_pod *pod, struct route_table *taken,
                         struct text server)
{
    struct tcp_route *r = calloc(1, sizeof *r);
    if (!r) {
        route_table_unref(taken);
        return -ENOMEM;
    }
    struct text_out out = TEXT_OUT(r->hello.server);
    text_put(&out, server);
    r->pod = pod;
    r->table = taken;
    *ret = r;
    return 0;
}

struct tcp_route *tcp_route_free(struct tcp_route *r)
{
    if (!r)
        return NULL;
    tls_config_unref(r->tls);
    free(r->cluster);
    free(r);
    return NULL;
}

/* ---- Hearing ------------------------------------------------------------- */

bool tcp_route_is_written(const struct tcp_route *r)
{
    return r && r->table;
}

bool tcp_route_must_hear(const struct tcp_route *r)
{
    if (!r->table)
        return false;
    for (size_t i = 0; i < r->table->n_hosts; i++)
        for (size_t j = 0; j < r->table->hosts[i].n_domains; j++)
            if (!text_equal(r->table->hosts[i].domains[j], TEXT("*")))
                return true;
    return false;
}

void tcp_route_hear(struct tcp_route *r, struct conn *client,
                    void (*heard)(void *user, enum ending ending), void *user)
{
    hello_wait_start(&r->hello, r->pod->env->ring, client, TCP_ROUTE_HEAR_MS, heard, user);
}

/* ---- Choosing ------------------------------------------------------------ */

/* Of a table for connections a route asks for nothing of a request but its authority, the server. */
static enum ending choose_backend(struct tcp_route *r, const struct route_backend **ret)
{
    struct rng *rng = ring_rng(r->pod->env->ring);
    struct http_head head = {.path = TEXT("/"), .authority = text_of(r->hello.server)};
    struct route_request q = {
        .head = &head, .source_ns = text_of(r->pod->ns), .random = rng_u64(rng)};
    const struct workload *self =
        directory_workload(r->pod->env->directory, text_of(r->pod->uid));
    struct route_choice choice;
    if (self) {
        q.source_labels = self->labels;
        q.n_source_labels = self->n_labels;
    }
    if (route_table_choose(r->table, &q, &choice) < 0) {
        snprintf(r->why, sizeof r->why, "no route is for %s%s", r->hello.server[0] ? "the server " : "",
                 r->hello.server[0] ? r->hello.server : "a connection that names no server");
        return ENDING_NO_ROUTE;
    }
    if (choice.route->action.kind != ROUTE_FORWARD) {
        const struct text name = choice.route->name;
        snprintf(r->why, sizeof r->why, "its route refuses what it takes (%.*s)",
                 name.len < 200 ? (int)name.len : 200, name.len > 0 ? name.data : "");
        return choice.route->action.kind == ROUTE_RESPOND &&
                       choice.route->action.respond.status == 404
                   ? ENDING_NO_ROUTE
                   : ENDING_NOT_DONE;
    }
    *ret = choice.backend;
    r->route = choice.route->name;
    r->chosen = choice.backend ? choice.backend->cluster : (struct text){NULL, 0};
    return choice.backend ? ENDING_NONE : ENDING_NO_BACKEND;
}

/* By TLS of its own, where its cluster asks for that. */
static enum ending find_tls(struct tcp_route *r, struct upstream_cluster *cluster, const struct choice *to)
{
    struct spiffe_id id;
    struct upstream_endpoint e;
    const char *why = "";
    struct tls_config *tls = NULL;
    enum ending ending = carrier_way(r->pod->env, to->workload, &to->target, &id, &e);
    const struct upstream_tls_wish w = {cluster, e.way, UPSTREAM_SPEAKS_BYTES};
    if (ending == ENDING_NONE)
        ending = upstream_tls_find(r->pod->env, &w, &tls, &why);
    if (ending == ENDING_NONE && tls)
        r->tls = tls_config_ref(tls);
    snprintf(r->why, sizeof r->why, "%s", why);
    return ending;
}

static enum ending take_endpoint(struct tcp_route *r, struct upstream_cluster *cluster,
                                 const struct route_backend *b, struct tcp_target *ret)
{
    const struct stake_wish w = {.connection = true, .subset = b ? b->subset : NULL, .n_subset = b ? b->n_subset : 0};
    struct choice choice;
    switch (upstream_stake_take(&r->stake, cluster, &w)) {
    case STAKE_TAKEN:
        break;
    case STAKE_OVERFLOW:
        return ENDING_OVERFLOW;
    case STAKE_NO_MEMORY:
        return ENDING_NO_MEMORY;
    case STAKE_NOBODY:
        return ENDING_NO_ENDPOINT;
    }
    enum ending ending = cluster_target_at(r->pod, r->stake.host, &choice);
    *ret = (struct tcp_target){.workload = choice.workload, .target = choice.target};
    return ending == ENDING_NONE && upstream_tls_asked(cluster->cluster) ? find_tls(r, cluster, &choice)
                                                                         : ending;
}

enum ending tcp_route_choose(struct tcp_route *r, const struct addr *called,
                             struct tcp_target *ret, const char **ret_why)
{
    const struct route_backend *b = NULL;
    struct cluster_target to = {.cluster = NULL};
    struct choice choice;
    enum ending ending = r->table ? choose_backend(r, &b) : ENDING_NONE;
    *ret_why = r->why;
    if (ending == ENDING_NONE)
        ending = cluster_target_find(r->pod, b ? b->cluster : text_of(r->cluster), &to);
    if (ending != ENDING_NONE)
        return ending;
    if (to.cluster)
        return take_endpoint(r, to.cluster, b, ret);
    if (cluster_target_draw(r->pod, &to, called, &choice) < 0) {
        *ret = (struct tcp_target){.passes = !r->table && to.service->lb_mode == LB_PASSTHROUGH};
        return ret->passes ? ENDING_NONE : ENDING_NO_ENDPOINT;
    }
    *ret = (struct tcp_target){.workload = choice.workload, .target = choice.target};
    return ENDING_NONE;
}

/* ---- In use, and the end ------------------------------------------------- */

bool tcp_route_claim(struct tcp_route *r)
{
    if (r->stake.cluster && !r->connection)
        r->connection = upstream_cluster_connect(r->stake.cluster, false);
    return !r->stake.cluster || r->connection;
}

struct tls_config *tcp_route_tls(const struct tcp_route *r)
{
    return r ? r->tls : NULL;
}

struct upstream_cluster *tcp_route_cluster(const struct tcp_route *r)
{
    return r ? r->stake.cluster : NULL;
}

struct text tcp_route_chosen(const struct tcp_route *r)
{
    return r->chosen;
}

struct text tcp_route_taken(const struct tcp_route *r)
{
    return r->route;
}

uint64_t tcp_route_connect_ms(const struct tcp_route *r, uint64_t otherwise)
{
    const struct upstream_cluster *c = tcp_route_cluster(r);
    return c && c->cluster->connect_timeout_ms > 0 ? c->cluster->connect_timeout_ms : otherwise;
}

static void report(struct tcp_route *r, enum outlier_result result)
{
    if (!r->reported)
        upstream_stake_report(&r->stake, result);
    r->reported = true;
}

void tcp_route_connected(struct tcp_route *r)
{
    report(r, OUTLIER_SUCCESS);
}

/* What an endpoint that does not serve makes of a connection; a policy that denies it is none. */
static bool is_its_failure(enum ending e)
{
    return e == ENDING_UNREACHABLE || e == ENDING_CONNECT_TIMEOUT || e == ENDING_TUNNEL_FAILED ||
           e == ENDING_TUNNEL_REFUSED || e == ENDING_TLS_FAILED || e == ENDING_HANDSHAKE_TIMEOUT;
}

void tcp_route_close(struct tcp_route *r, enum ending ending)
{
    hello_wait_stop(&r->hello);
    if (is_its_failure(ending))
        report(r, OUTLIER_LOCAL_FAILURE);
    if (r->connection)
        upstream_cluster_disconnected(r->stake.cluster);
    r->connection = false;
    upstream_stake_end(&r->stake);
    r->table = route_table_unref(r->table);
    r->chosen = r->route = (struct text){NULL, 0};
}
