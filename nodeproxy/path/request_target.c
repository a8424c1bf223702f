#include "nodeproxy/path/request_target.h"

#include "nodeproxy/http/own_answer.h"
#include "nodeproxy/path/carrier.h"
#include "nodeproxy/path/cluster_target.h"
#include "nodeproxy/path/upstream_tls.h"
#include <errno.h>

enum { DRAWS_MAX = 8 /* to find an endpoint that was not tried yet */ };

struct found { /* of one choice; pointers are good until it has been made */
    struct cluster_target to;
    struct choice choice;
    bool passes; /* to where the client wanted to go */
};

/* ---- which cluster ------------------------------------------------------- */

/* What was called, where no route says something: by its address, whatever its name. */
static enum ending find_called(const struct request_target *t, struct found *ret)
{
    const struct path_env *env = t->pod->env;
    enum ending ending = cluster_target_find(t->pod, t->name, &ret->to);
    if (ret->to.cluster || ending == ENDING_NO_MEMORY || ending == ENDING_LIMIT || ending == ENDING_NO_ENDPOINT)
        return ending;
    struct cluster_target *to = &ret->to;
    to->service =
        directory_service_at(env->directory, text_of(env->config->network), &t->called->ip);
    to->port = t->called->port;
    return to->service && service_port(to->service, to->port) ? ENDING_NONE : ENDING_NO_ENDPOINT;
}

/* ---- an endpoint of a Service -------------------------------------------- */

/* x NULL: nobody was tried. */
static bool is_better(const struct request_target *t, const struct exchange *x, const struct addr *a,
                      const struct addr *b)
{
    struct upstream_clusters *all = &t->pod->clusters;
    bool tried_a = x && exchange_has_tried(x, a), tried_b = x && exchange_has_tried(x, b);
    return tried_a == tried_b ? *upstream_load(all, a) < *upstream_load(all, b) : tried_b;
}

/* The less busy one of two. */
static int draw(const struct request_target *t, const struct exchange *x, struct found *f)
{
    struct choice other;
    int r = cluster_target_draw(t->pod, &f->to, t->called, &f->choice);
    if (r == 0 && cluster_target_draw(t->pod, &f->to, t->called, &other) == 0 &&
        is_better(t, x, &other.target, &f->choice.target))
        f->choice = other;
    return r;
}

/* Where the request's session is, unless it has been tried there. */
static const struct addr *session_of(const struct exchange *x)
{
    const struct request_route *r = exchange_route(x);
    const struct addr *at =
        r->forward ? request_session_endpoint(&r->session, r->choice.backend) : NULL;
    return at && !exchange_has_tried(x, at) ? at : NULL;
}

static enum ending draw_untried(const struct request_target *t, struct exchange *x,
                                struct found *f)
{
    const struct addr *session = session_of(x);
    bool known = session && cluster_target_is_at(t->pod, &f->to, session, &f->choice);
    int r = known ? 0 : draw(t, x, f);
    for (unsigned i = 1; r == 0 && i < DRAWS_MAX && exchange_has_tried(x, &f->choice.target); i++)
        r = draw(t, x, f);
    f->passes = r < 0 && f->to.service->lb_mode == LB_PASSTHROUGH && !exchange_route(x)->forward;
    if (r == 0)
        upstream_stake_load(exchange_stake(x),
                            upstream_load(&t->pod->clusters, &f->choice.target));
    return r == 0 || f->passes ? ENDING_NONE : ENDING_NO_ENDPOINT;
}

/* ---- an endpoint of a cluster -------------------------------------------- */

static bool was_tried(void *arg, const struct addr *at)
{
    return exchange_has_tried(arg, at);
}

static enum ending take(struct upstream_stake *stake, const struct found *f,
                        const struct stake_wish *w)
{
    switch (upstream_stake_take(stake, f->to.cluster, w)) {
    case STAKE_TAKEN:
        return ENDING_NONE;
    case STAKE_OVERFLOW:
        return ENDING_OVERFLOW;
    case STAKE_NO_MEMORY:
        return ENDING_NO_MEMORY;
    case STAKE_NOBODY:
        break;
    }
    return ENDING_NO_ENDPOINT;
}

static enum ending take_for(struct exchange *x, const struct found *f)
{
    const struct request_route *r = exchange_route(x);
    const struct route_backend *b = r->forward ? r->choice.backend : NULL;
    const struct stake_wish w = {.hash = r->hash.hash,
                                 .has_hash = r->hash.any,
                                 .high = r->forward && r->forward->high_priority,
                                 .subset = b ? b->subset : NULL,
                                 .n_subset = b ? b->n_subset : 0,
                                 .prefer = session_of(x),
                                 .choices_max = r->choice.retry ? r->choice.retry->choices_max : 0,
                                 .tried = exchange_has_tried_any(x) ? was_tried : NULL,
                                 .arg = x};
    return take(exchange_stake(x), f, &w);
}

/* ---- how it is spoken to ------------------------------------------------- */

static enum upstream_protocol protocol_of(const struct found *f)
{
    if (f->to.cluster)
        return f->to.cluster->cluster->protocol;
    switch (service_port(f->to.service, f->to.port)->app_protocol) {
    case APP_HTTP2:
    case APP_GRPC:
        return UPSTREAM_HTTP2;
    case APP_HTTP11:
        return UPSTREAM_HTTP1;
    default: /* nobody declared it, and it was seen to be HTTP */
        return UPSTREAM_AS_DOWNSTREAM;
    }
}

/* As it is declared, whatever the client speaks; only HTTP/1.1 turns into another protocol, and gRPC is never HTTP/1.1: who
 * calls it by a port that is named so anyway is served by what it speaks itself. */
static enum http_version version_of(const struct request_target *t, const struct exchange *x,
                                    const struct found *f)
{
    if (exchange_request(x)->protocol.len > 0)
        return HTTP_VERSION_1;
    switch (protocol_of(f)) {
    case UPSTREAM_HTTP2:
        return HTTP_VERSION_2;
    case UPSTREAM_HTTP1:
        return own_answer_is_grpc(exchange_request(x)) ? t->version : HTTP_VERSION_1;
    case UPSTREAM_AS_DOWNSTREAM:
    case UPSTREAM_BY_ALPN: /* what is offered is what the client speaks */
        break;
    }
    return t->version;
}

static enum ending describe(const struct request_target *t, const struct exchange *x,
                            const struct found *f, struct target_endpoint *ret)
{
    const struct workload *w = f->passes ? NULL : f->choice.workload;
    const struct addr *to = f->passes ? t->called : &f->choice.target;
    struct upstream_endpoint *e = &ret->endpoint;
    enum ending ending = carrier_way(t->pod->env, w, to, &ret->id, e);
    e->version = version_of(t, x, f);
    e->cluster = f->to.cluster;
    if (e->way != UPSTREAM_DIRECT)
        e->service_host = f->to.cluster ? upstream_cluster_host(f->to.cluster->cluster->name)
                                     : text_of(f->to.service->hostname);
    const struct upstream_tls_wish tls = {e->cluster, e->way,
                                          e->version == HTTP_VERSION_2 ? UPSTREAM_SPEAKS_HTTP2 : UPSTREAM_SPEAKS_HTTP1};
    return ending != ENDING_NONE ? ending
                                 : upstream_tls_find(t->pod->env, &tls, &e->tls, &ret->why);
}

enum ending request_target_choose(const struct request_target *t, struct exchange *x,
                                  struct target_endpoint *ret)
{
    const struct request_route *r = exchange_route(x);
    struct found f = {.passes = false};
    *ret = (struct target_endpoint){.hostname = {NULL, 0}};
    enum ending ending =
        r->forward ? cluster_target_find(t->pod, request_route_cluster(r, exchange_request(x)), &f.to)
                   : find_called(t, &f);
    if (ending == ENDING_NONE)
        ending = f.to.cluster ? take_for(x, &f) : draw_untried(t, x, &f);
    if (ending == ENDING_NONE && f.to.cluster)
        ending = cluster_target_at(t->pod, exchange_stake(x)->host, &f.choice);
    if (ending != ENDING_NONE)
        return ending;
    if (f.to.cluster)
        ret->hostname = exchange_stake(x)->host->endpoint->hostname;
    else if (!f.passes)
        ret->hostname = text_of(f.choice.workload->hostname);
    return describe(t, x, &f, ret);
}

enum ending request_target_any(const struct request_target *t, const struct exchange *x,
                               struct text cluster, struct upstream_stake *ret_stake,
                               struct target_endpoint *ret)
{
    const struct stake_wish any = {.tried = NULL};
    struct found f = {.passes = false};
    *ret_stake = (struct upstream_stake){.host = NULL};
    enum ending ending = cluster_target_find(t->pod, cluster, &f.to);
    if (ending == ENDING_NONE && f.to.cluster)
        ending = take(ret_stake, &f, &any);
    else if (ending == ENDING_NONE && draw(t, NULL, &f) < 0)
        ending = ENDING_NO_ENDPOINT;
    if (ending == ENDING_NONE && f.to.cluster)
        ending = cluster_target_at(t->pod, ret_stake->host, &f.choice);
    if (ending == ENDING_NONE)
        ending = describe(t, x, &f, ret);
    if (ending != ENDING_NONE)
        upstream_stake_end(ret_stake);
    return ending;
}
