#include "nodeproxy/http/request_route.h"

#include "nodeproxy/http/own_answer.h"
#include <errno.h>

enum { LOCATION_MAX = 8192, PATH_MAX_WRITTEN = 16384 };

/* ---- what is not done ---------------------------------------------------- */

/* A route that asks for it answers 500: to leave it out in silence would be to do something else than what was written. */
static const char *not_done(const struct request_route *r)
{
    if (r->choice.host->require_tls != TLS_NOT_REQUIRED)
        return "TLS can't be required here";
    if (r->choice.fault && r->choice.fault->active_max > 0)
        return "faults are not counted here";
    if (r->choice.host->send_attempt_count || r->choice.host->answer_attempt_count)
        return "tries are not told here";
    return NULL;
}

/* ---- times --------------------------------------------------------------- */

/* https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md: at most eight digits and a unit. 0: none, or none that is
 * understood. */
static uint64_t grpc_timeout_ms(const struct http_head *request)
{
    static const struct {
        char unit;
        uint64_t of_ms, per_ms;
    } units[] = {{'H', 3600000, 1}, {'M', 60000, 1}, {'S', 1000, 1},
                 {'m', 1, 1},       {'u', 1, 1000},  {'n', 1, 1000000}};
    struct text t = http_head_get(request, TEXT("grpc-timeout"));
    uint64_t value;
    if (t.len < 2 || t.len > 9 ||
        text_to_u64((struct text){t.data, t.len - 1}, 99999999, &value) < 0)
        return 0;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (units[i].unit == t.data[t.len - 1])
            return value * units[i].of_ms / units[i].per_ms + 1; /* never sooner than it says */
    return 0;
}

static void take_times(struct request_route *r, const struct http_head *request)
{
    const struct route_forward *f = r->forward;
    uint64_t said = f->grpc_timeout ? grpc_timeout_ms(request) : 0;
    r->timeout_ms = f->timeout_ms;
    r->idle_ms = f->idle_timeout_ms;
    r->duration_ms = f->max_stream_duration_ms;
    if (said > 0) {
        if (f->grpc_timeout_max_ms > 0 && said > f->grpc_timeout_max_ms)
            said = f->grpc_timeout_max_ms;
        r->timeout_ms = said > f->grpc_timeout_offset_ms ? said - f->grpc_timeout_offset_ms : said;
    }
    if (r->choice.retry) {
        r->try_ms = r->choice.retry->per_try_timeout_ms;
        r->try_idle_ms = r->choice.retry->per_try_idle_timeout_ms;
    }
}

/* ---- faults -------------------------------------------------------------- */

/* -ENOMEM: nobody knows whether it is meant. */
static int draw_fault(struct request_route *r, const struct http_head *request, struct rng *rng)
{
    const struct fault *f = r->choice.fault;
    int fits = f != NULL;
    for (size_t i = 0; fits > 0 && i < f->n_headers; i++)
        fits = header_fits(&f->headers[i], request);
    if (fits <= 0)
        return fits;
    if (f->cluster.len > 0 &&
        !(r->choice.backend && text_equal(request_route_cluster(r, request), f->cluster)))
        return 0;
    if (fraction_hits(f->delay, rng_u64(rng)))
        r->delay_ms = f->delay_ms;
    r->abort = (f->abort_status > 0 || f->abort_grpc > 0) && fraction_hits(f->abort, rng_u64(rng));
    return 0;
}

static bool is_preflight(const struct request_route *r)
{
    return r->cors == CORS_PREFLIGHT || r->cors == CORS_PREFLIGHT_DENIED;
}

/* A session that lives is where it was, whatever the weights say. */
static void keep_session(struct request_route *r, const struct route_request *request)
{
    request_session_read(&r->session, r->forward->session, request->head, request->now_s);
    const struct route_backend *b = request_session_backend(&r->session, r->forward);
    if (b)
        r->choice.backend = b;
}

/* ---- the decision -------------------------------------------------------- */

enum ending request_route_decide(struct request_route *r, struct route_table *taken_table,
                                 const struct route_request *request, struct rng *rng,
                                 const char **ret_why)
{
    *r = (struct request_route){.table = taken_table};
    *ret_why = "";
    if (!r->table)
        return ENDING_NONE;
    int e = route_table_choose(r->table, request, &r->choice);
    if (e < 0)
        return e == -ENOMEM ? ENDING_NO_MEMORY : ENDING_NO_ROUTE;
    const struct route_action *action = &r->choice.route->action;
    r->forward = action->kind == ROUTE_FORWARD ? &action->forward : NULL;
    const char *why = not_done(r);
    if (r->forward)
        keep_session(r, request);
    if (why) {
        *ret_why = why;
        return ENDING_NOT_DONE;
    }
    r->cors = request_cors_of(r->choice.cors, request->head, &r->origin);
    if (is_preflight(r))
        return ENDING_NONE;
    if (r->forward && !r->choice.backend)
        return ENDING_NO_BACKEND;
    if (r->forward)
        take_times(r, request->head);
    return draw_fault(r, request->head, rng) < 0 ? ENDING_NO_MEMORY : ENDING_NONE;
}

void request_route_done(struct request_route *r)
{
    if (r->table)
        route_table_unref(r->table);
    r->table = NULL;
}

void request_route_take_hash(struct request_route *r, const struct http_head *request,
                             const struct ip *source, struct rng *rng)
{
    if (r->forward && r->forward->n_hashes > 0)
        r->hash = route_hash_of(r->forward, request, source, rng_u64(rng));
}

struct text request_route_cluster(const struct request_route *r, const struct http_head *request)
{
    const struct route_backend *b = r->choice.backend;
    return b->cluster_header.len > 0 ? http_head_get(request, b->cluster_header) : b->cluster;
}

/* ---- answered here ------------------------------------------------------- */

bool request_route_answers(const struct request_route *r)
{
    return r->table && (is_preflight(r) || r->abort || !r->forward);
}

static int answer_fault(const struct fault *f, const struct http_head *request,
                        struct http_head *ret, struct text *ret_body, bool *ret_end)
{
    const struct own_answer a = {.status = f->abort_status ? f->abort_status : 200,
                                 .body = TEXT("fault filter abort"),
                                 .grpc_status = f->abort_status ? 0 : f->abort_grpc};
    *ret_body = a.body;
    return own_answer_head(&a, request, ret, ret_end);
}

static int answer_redirect(const struct request_route *r, const struct http_head *request,
                           struct http_head *ret)
{
    char data[LOCATION_MAX];
    struct text_out out = TEXT_OUT(data);
    int e = route_location(r->choice.route, request, &out);
    if (e == 0 && out.overflow)
        e = -ENOBUFS;
    if (e == 0)
        e = http_head_add(ret, TEXT("location"), (struct text){out.data, out.len});
    return e == 0 ? http_head_add(ret, TEXT("content-length"), TEXT("0")) : e;
}

int request_route_answer(const struct request_route *r, const struct http_head *request,
                         struct http_head *ret, struct text *ret_body, bool *ret_end)
{
    const struct route_action *action = &r->choice.route->action;
    int e;
    if (is_preflight(r)) {
        *ret_body = (struct text){NULL, 0};
        *ret_end = true;
        return request_cors_preflight(r->choice.cors, r->cors, r->origin, ret);
    }
    if (r->abort)
        return answer_fault(r->choice.fault, request, ret, ret_body, ret_end);
    if (action->kind == ROUTE_RESPOND) {
        const struct own_answer a = {.status = action->respond.status,
                                     .body = action->respond.body};
        *ret_body = a.body;
        e = own_answer_head(&a, request, ret, ret_end);
        *ret_end = *ret_end || a.body.len == 0;
    } else {
        http_head_init(ret);
        ret->status = action->redirect.status;
        *ret_body = (struct text){NULL, 0};
        *ret_end = true;
        e = answer_redirect(r, request, ret);
    }
    return e < 0 ? e : request_route_edit_answer(r, NULL, ret);
}

/* ---- changes ------------------------------------------------------------- */

static int edit_path(const struct request_route *r, struct http_head *request)
{
    char data[PATH_MAX_WRITTEN];
    struct text_out out = TEXT_OUT(data);
    if (r->forward->path.kind == REWRITE_NONE)
        return 0;
    int e = route_rewritten_path(&r->forward->path, &r->choice.route->match, request->path, &out);
    if (e == 0 && out.overflow)
        e = -ENOBUFS;
    return e < 0 ? e : http_head_set_path(request, (struct text){out.data, out.len});
}

static struct text new_host(const struct request_route *r, const struct http_head *request)
{
    const struct host_rewrite *h = &r->forward->host;
    if (r->choice.backend->host.len > 0)
        return r->choice.backend->host;
    if (h->kind == HOST_LITERAL)
        return h->value;
    return h->kind == HOST_OF_HEADER ? http_head_get(request, h->value) : (struct text){NULL, 0};
}

static int edit_host(const struct request_route *r, struct http_head *request)
{
    struct text host = new_host(r, request);
    int e = 0;
    if (host.len == 0)
        return 0;
    if (r->forward->host.append_forwarded)
        e = http_head_append(request, TEXT("x-forwarded-host"), request->authority);
    return e < 0 ? e : http_head_set_authority(request, host);
}

int request_route_edit(const struct request_route *r, struct http_head *request)
{
    if (!r->forward)
        return 0;
    int e = edit_host(r, request);
    if (e == 0)
        e = edit_path(r, request);
    return e < 0 ? e : route_edit(r->table, &r->choice, ROUTE_REQUEST, request);
}

/* Envoy's form of it. */
static int set_cookie(const struct route_hash *h, struct http_head *answer)
{
    const struct hash_policy *p = h->make_cookie;
    char data[1024];
    struct text_out out = TEXT_OUT(data);
    text_put(&out, p->name);
    text_printf(&out, "=\"%s\"", h->cookie);
    if (p->cookie_ttl_ms > 0)
        text_printf(&out, "; Max-Age=%llu", (unsigned long long)(p->cookie_ttl_ms / 1000));
    if (p->cookie_path.len > 0) {
        text_puts(&out, "; Path=");
        text_put(&out, p->cookie_path);
    }
    text_puts(&out, "; HttpOnly");
    return out.overflow
               ? -E2BIG
               : http_head_add(answer, TEXT("set-cookie"), (struct text){out.data, out.len});
}

int request_route_edit_answer(const struct request_route *r, const struct addr *served,
                              struct http_head *answer)
{
    int e = 0;
    if (!r->table || !r->choice.route)
        return 0;
    if (r->cors == CORS_ALLOWED)
        e = request_cors_edit_answer(r->choice.cors, r->origin, answer);
    if (e == 0 && r->hash.make_cookie)
        e = set_cookie(&r->hash, answer);
    if (e == 0 && r->session.policy && served)
        e = request_session_answer(&r->session, r->choice.backend, served, answer);
    return e < 0 ? e : route_edit(r->table, &r->choice, ROUTE_RESPONSE, answer);
}
