/* TLS of clients from outside of the mesh; see the header. */
#include "nodeproxy/path/inbound_tls.h"

#include "nodeproxy/path/hello_wait.h"
#include "nodeproxy/path/listener_set.h"
#include "nodeproxy/path/outbound_http.h"
#include "shared/base/log.h"
#include "shared/tls/web_server.h"
#include <errno.h>
#include <stdlib.h>

struct inbound_tls {
    struct local_pod *pod;
    struct conn *client;
    uint16_t port;
    struct hello_wait hello;
    struct turn_wait turn;
    struct local_pod_waiter waiter; /* for certificates, in a proxy that has just begun */
    struct timer late;
    struct listener_set *set; /* of which `meant` is one, as long as the connection is */
    const struct listener_certificate *meant;
    bool told, stopped, passes;
    void (*over)(void *user, enum ending ending);
    void *user;
};

static void finish(struct inbound_tls *t, enum ending ending)
{
    inbound_tls_stop(t);
    t->over(t->user, ending);
}

static void late(struct timer *timer)
{
    finish(container_of(timer, struct inbound_tls, late), ENDING_HANDSHAKE_TIMEOUT);
}

static void turn_came(struct turn_wait *w)
{
    conn_shake(container_of(w, struct inbound_tls, turn)->client);
}

bool inbound_tls_may_shake(struct inbound_tls *t)
{
    struct pod_turn *turn = &t->pod->turn;
    if (t->pod->closing || turn_take(turn, TURN_HANDSHAKE))
        return true;
    turn_wait(turn, &t->turn);
    return false;
}

/* Nobody is shown a certificate that is for another name. */
static void refuse_name(struct inbound_tls *t)
{
    uint8_t alert[WEB_SERVER_ALERT_BYTES];
    struct buf bytes = {0};
    web_server_refuses_name(alert);
    if (buf_append(&bytes, ring_chunks(t->pod->env->ring), alert, sizeof alert) == 0) {
        t->told = true;
        stream_send(&t->client->stream, &bytes);
        conn_flush(t->client);
    }
    buf_done(&bytes);
    log_debug("gateway", "%s/%s: port %u has no certificate for the server '%s'", t->pod->ns,
              t->pod->name, t->port, t->hello.server);
    finish(t, ENDING_TLS_FAILED);
}

static void secure(struct inbound_tls *t)
{
    t->set = listener_set_ref(t->pod->listeners);
    t->client->eof_is_end = !t->meant->streams; /* requests say themselves where they end */
    if (conn_secure(t->client, t->meant->config) < 0)
        finish(t, ENDING_NO_MEMORY);
}

static void pass(struct inbound_tls *t)
{
    t->passes = true;
    finish(t, ENDING_NONE);
}

/* Before the certificates are there: may one of them be for whom the client means? */
static bool may_be_another(const struct inbound_tls *t, const struct workload *self, size_t passes)
{
    const struct path_env *env = t->pod->env;
    return passes < SIZE_MAX &&
           (outbound_http_is_gateway(env, self, t->port) ||
            gateway_stream_is_at(env, self, t->port, GATEWAY_TABLE_ENDED));
}

/* The most precise of the port's listeners is meant: one that shows a certificate, or one whose TLS passes. Of the same
 * host there is one. */
static void decide(struct inbound_tls *t)
{
    const struct path_env *env = t->pod->env;
    const struct workload *self = directory_workload(env->directory, text_of(t->pod->uid));
    const struct text server = text_of(t->hello.server);
    size_t passes = self ? gateway_stream_passes(env, self, t->port, server) : 0;
    if (!t->pod->listeners && self && may_be_another(t, self, passes)) {
        local_pod_wait_for_listeners(t->pod, &t->waiter);
        return;
    }
    t->meant = listener_set_find(t->pod->listeners, t->port, server);
    size_t shows = t->meant ? listener_host_fits(text_of(t->meant->host), server) : 0;
    if (passes > shows)
        pass(t);
    else if (t->meant)
        secure(t);
    else
        refuse_name(t);
}

static void certificates_came(struct local_pod_waiter *w)
{
    decide(container_of(w, struct inbound_tls, waiter));
}

static void heard(void *user, enum ending ending)
{
    struct inbound_tls *t = user;
    if (ending != ENDING_NONE)
        finish(t, ending);
    else
        decide(t);
}

void inbound_tls_secured(struct inbound_tls *t, int result)
{
    if (t->stopped)
        return;
    if (result < 0)
        log_debug("gateway", "%s/%s: port %u: a client's handshake failed: %s", t->pod->ns,
                  t->pod->name, t->port, conn_why(t->client));
    t->told = result < 0; /* by an alert of its own */
    finish(t, result == 0 ? ENDING_NONE : ENDING_TLS_FAILED);
}

int inbound_tls_open(struct inbound_tls **ret, struct local_pod *pod, struct conn *client,
                     uint16_t port, void (*over)(void *user, enum ending ending), void *user)
{
    struct inbound_tls *t = calloc(1, sizeof *t);
    if (!t)
        return -ENOMEM;
    *t = (struct inbound_tls){
        .pod = pod, .client = client, .port = port, .over = over, .user = user};
    turn_wait_init(&t->turn, TURN_HANDSHAKE, turn_came);
    list_init(&t->waiter.link);
    t->waiter.ready = certificates_came;
    timer_init(&t->late, late);
    timer_start(ring_timers(pod->env->ring), &t->late, INBOUND_TLS_MS);
    *ret = t;
    hello_wait_start(&t->hello, pod->env->ring, client, INBOUND_TLS_MS + 1000, heard, t);
    return 0;
}

const char *inbound_tls_host(const struct inbound_tls *t)
{
    return t->meant->host;
}

const char *inbound_tls_server(const struct inbound_tls *t)
{
    return t->hello.server;
}

enum gateway_table_kind inbound_tls_kind(const struct inbound_tls *t)
{
    return t->passes            ? GATEWAY_TABLE_PASSED
           : t->meant->streams  ? GATEWAY_TABLE_ENDED
                                : GATEWAY_TABLE_REQUESTS;
}

bool inbound_tls_told(const struct inbound_tls *t)
{
    return t->told;
}

void inbound_tls_stop(struct inbound_tls *t)
{
    if (!t || t->stopped)
        return;
    t->stopped = true;
    timer_stop(ring_timers(t->pod->env->ring), &t->late);
    turn_forget(&t->pod->turn, &t->turn);
    list_remove(&t->waiter.link);
    hello_wait_stop(&t->hello);
}

struct inbound_tls *inbound_tls_free(struct inbound_tls *t)
{
    if (!t)
        return NULL;
    inbound_tls_stop(t);
    listener_set_unref(t->set);
    free(t);
    return NULL;
}
