#include "nodeproxy/path/inbound_requests.h"

#include "nodeproxy/path/gateway_stream.h"
#include "nodeproxy/path/inbound_http.h"
#include "nodeproxy/path/outbound_http.h"
#include "nodeproxy/path/request_account.h"
#include "nodeproxy/path/request_log.h"
#include "nodeproxy/path/request_policy.h"
#include "nodeproxy/path/request_span.h"
#include "nodeproxy/path/request_tap.h"
#include <errno.h>
#include <stdlib.h>

struct inbound_requests {
    struct inbound_requests_options is;
    const struct inbound_requests_events *events;
    void *user;
    struct inbound_http *http;    /* to the application; NULL: */
    struct outbound_http *onward; /* a Gateway's */
    struct request_policy policy;
    struct request_account account;
};

static bool may_stream(const struct path_env *env, const struct workload *self,
                       const struct gateway_port *p)
{
    if (!p->tls)
        return gateway_stream_is_at(env, self, p->port, GATEWAY_TABLE_PLAIN);
    return gateway_stream_is_at(env, self, p->port, GATEWAY_TABLE_PASSED) ||
           gateway_stream_is_at(env, self, p->port, GATEWAY_TABLE_ENDED);
}

/* The table of a listener that is gone is told to be gone later, and it may have been one of TLS. */
static struct requests_at at_listener(const struct path_env *env, const struct workload *self,
                                      const struct gateway_port *p)
{
    struct requests_at at = {REQUESTS_NOWHERE, p->tls, may_stream(env, self, p)};
    if (outbound_http_is_gateway(env, self, p->port))
        at.expected = REQUESTS_ONWARD;
    else if (at.may_stream)
        at.expected = BYTES_ONWARD;
    return at;
}

static enum requests_expected of_application(const struct path_env *env, const struct workload *self,
                                             uint16_t port)
{
    if (!self || !env->config->parse_http)
        return REQUESTS_NONE;
    switch (inbound_http_declared(env->directory, self, port)) {
    case HTTP_DECLARED:
        return REQUESTS_SURE;
    case HTTP_DECLARED_UNTOLD:
        return env->config->detect_http ? REQUESTS_POSSIBLE : REQUESTS_NONE;
    case HTTP_DECLARED_NOT:
        break;
    }
    return REQUESTS_NONE;
}

struct requests_at inbound_requests_expected(const struct path_env *env, const struct workload *self,
                                             uint16_t port)
{
    const struct gateway_port *listener = self ? workload_gateway_port(self, port) : NULL;
    if (listener)
        return at_listener(env, self, listener);
    /* A controller of an older version says nothing of ports. */
    if (self && self->n_gateway_ports == 0 && outbound_http_is_gateway(env, self, port))
        return (struct requests_at){.expected = REQUESTS_ONWARD};
    return (struct requests_at){.expected = of_application(env, self, port)};
}

static enum ending asked(void *user, struct http_head *request, struct exchange_notes *ret_notes)
{
    struct inbound_requests *r = user;
    const struct local_pod *pod = r->is.pod;
    struct access access;
    r->events->access(r->user, &access);
    return request_policy_ask(&r->policy, pod->env->directory, text_of(pod->uid), &access, request,
                              ret_notes);
}

/* What a request leaves behind on the connection that it came by. */
static void note(struct inbound_requests *r, const struct exchange_record *record)
{
    struct relay_side *client = &r->is.relay->client, *server = &r->is.relay->server;
    client->bytes += record->bytes_received;
    server->bytes += record->bytes_sent;
    const struct request_log log = {.env = r->is.pod->env,
                                    .account = r->is.account,
                                    .source = r->is.source,
                                    .destination = r->is.target,
                                    .goes_on = r->onward != NULL,
                                    .bounds = r->is.pod->bounds};
    request_log_write(&log, record);
}

static void over(void *user, const struct exchange_record *record)
{
    struct inbound_requests *r = user;
    request_account_count(&r->account, record);
    request_span_give(r->is.pod, true, record);
    request_tap_tell(
        &(struct request_tap){r->is.pod, &r->account, &r->is.source->ip, r->is.target, false},
        record);
    note(r, record);
}

/* Counted and traced already, as what the Gateway asks of a Service. */
static void over_onward(void *user, const struct exchange_record *record)
{
    note(user, record);
}

static void ended(void *user, enum ending ending)
{
    struct inbound_requests *r = user;
    r->events->ended(r->user, ending);
}

static void drained(void *user)
{
    struct inbound_requests *r = user;
    if (r->http)
        request_account_end(&r->account);
    r->events->drained(r->user);
    free(r);
}

static void labels(void *user, const struct exchange_record *record, struct spiffe_id *memory,
                   struct text ret[static ACCOUNT_LABELS])
{
    (void)record, (void)memory;
    account_labels(((struct inbound_requests *)user)->is.account, ret);
}

static const struct inbound_http_events http_events = {
    .asked = asked, .over = over, .ended = ended, .drained = drained};

static const struct outbound_http_events onward_events = {
    .asked = asked, .over = over_onward, .ended = ended, .drained = drained};

static int open_onward(struct inbound_requests *r)
{
    const struct inbound_requests_options *o = &r->is;
    const struct path_env *env = o->pod->env;
    const struct workload *self = directory_workload(env->directory, text_of(o->pod->uid));
    const struct outbound_http_gateway gateway = {
        .self = self, .called = o->target, .source = o->source, .tls_host = o->tls_host, .of_mesh = o->of_mesh};
    return self ? outbound_http_open_gateway(&r->onward, o->pod, &gateway, o->client,
                                             &onward_events, r)
                : -ENOENT;
}

static int open_to_server(struct inbound_requests *r)
{
    const struct inbound_requests_options *o = &r->is;
    const struct path_env *env = o->pod->env;
    const struct inbound_http_options http = {
        .ring = env->ring,
        .pool = &o->pod->exchanges,
        .hold = &o->pod->hold,
        .bounds = o->pod->bounds,
        .tracer = env->tracer,
        .client = o->client,
        .server = o->server,
        .behind = o->of_mesh,
        .idle_ms = env->config->idle_ms,
        .choose_ms = 2 * env->config->connect_ms,
    };
    request_account_begin(&r->account, env->metrics, labels, r);
    return inbound_http_open(&r->http, &http, &http_events, r);
}

int inbound_requests_open(struct inbound_requests **ret, const struct inbound_requests_options *o,
                          const struct inbound_requests_events *events, void *user)
{
    struct inbound_requests *r = calloc(1, sizeof *r);
    if (!r)
        return -ENOMEM;
    r->is = *o;
    r->events = events;
    r->user = user;
    int err = o->server ? open_to_server(r) : open_onward(r);
    if (err < 0) {
        free(r);
        return err;
    }
    *ret = r;
    return 0;
}

void inbound_requests_give(struct inbound_requests *r, struct buf *bytes, bool ended_too)
{
    if (r->http)
        inbound_http_give(r->http, bytes, ended_too);
    else
        outbound_http_give(r->onward, bytes, ended_too);
}

void inbound_requests_drain(struct inbound_requests *r)
{
    if (r->onward)
        outbound_http_drain(r->onward);
}

bool inbound_requests_look_again(struct inbound_requests *r)
{
    return r->http ? inbound_http_look_again(r->http) : outbound_http_look_again(r->onward);
}

void inbound_requests_close(struct inbound_requests *r, enum ending ending)
{
    if (r->http)
        inbound_http_close(r->http, ending);
    else
        outbound_http_close(r->onward, ending);
}
