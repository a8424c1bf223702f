/* Asks the CA for the certificates of this node's identities, and again in time; see the header. */
#include "shared/credentials/credentials.h"

#include "shared/credentials/ca_link.h"
#include "shared/credentials/svid_file.h"
#include "shared/credentials/trust_watch.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/base/map.h"
#include "shared/grpc/grpc.h"
#include "shared/tls/csr.h"
#include "shared/xds/xds.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { BACKOFF_MIN_MS = 50, BACKOFF_MAX_MS = 15000, IDENTITIES_MAX = 1024, IN_FLIGHT_MAX = 16 };
enum { IDLE_MS = 30000, TOKEN_AGE_MS = 10000, REQUEST_MS = 20000, RENEWAL_MIN_MS = 500 };
/* Certificates end by the wall clock, timers run by another: so long ones look again meanwhile. */
enum { LOOK_MS = 60000 };

/* One identity: waits in the queue, is asked for, or has what it needs until a timer says so. */
struct entry {
    struct list link; /* in the queue; alone otherwise */
    struct credentials *manager;
    struct spiffe_id id;
    unsigned wants;
    struct credential *credential;
    /* The request in flight. */
    bool in_flight, answered;
    bool other_roots; /* it has not been looked at since the CA told what is trusted */
    struct grpc_call call;
    struct key *key;
    struct credential *fresh; /* what came; it counts once the call has ended well */
    char refusal[256];        /* why what came was not taken */
    /* What comes next. */
    struct timer again; /* in flight: that takes too long; else: retry or renewal */
    struct timer expire;
    int64_t renew_at_ms; /* Unix time; 0: `again` is no renewal */
    uint64_t backoff_ms;
    char error[256];
    struct ring_task tell_task; /* `changed` runs from the loop */
};

struct credentials {
    struct ring *ring;
    struct credentials_options options;
    const struct credentials_events *events;
    void *arg;
    struct map entries; /* identity -> struct entry */
    struct list queue;
    struct ring_task pump_task;
    struct ca_link link;
    struct trust_watch watch;
    struct ring_task trust_task; /* credentials get other roots */
    struct timer trust_timer;    /* they are told again */
    bool trust_told;
    struct timer idle;
    size_t n_in_flight;
    bool link_is_old; /* another proof counts now than the one that the connection was made with */
    struct credentials_stats stats;
    bool closing;
    void (*drained)(void *arg);
    void *drained_arg;
};

static void ask_pump(struct credentials *m)
{
    ring_task_ask(m->ring, &m->pump_task);
}

static void enqueue(struct entry *e)
{
    if (!e->in_flight && list_empty(&e->link))
        list_push_back(&e->manager->queue, &e->link);
    ask_pump(e->manager);
}

/* The listener may drop the entry: nothing of it is used after. */
static void entry_tell(struct ring_task *task)
{
    struct entry *e = container_of(task, struct entry, tell_task);
    struct credentials *m = e->manager;
    struct spiffe_id id = e->id;
    struct credential *c = e->credential ? credential_ref(e->credential) : NULL;
    m->events->changed(m, &id, c, m->arg);
    credential_unref(c);
}

/* ---- what is kept -------------------------------------------------------- */

static bool is_kept(const struct entry *e)
{
    const struct credentials_options *o = &e->manager->options;
    return o->keep_file && spiffe_id_equal(&e->id, &o->self);
}

/* How the CA is asked from now on. */
static void prove_by(struct credentials *m, struct credential *c)
{
    ca_link_set_own(&m->link, c);
    m->link_is_old = ca_link_connected(&m->link);
    ask_pump(m);
}

/* Before anything is done with it: the token that it was got with is spent. */
static void keep(struct entry *e, struct credential *c)
{
    struct credentials *m = e->manager;
    int r = svid_file_write(m->options.keep_file, c);
    if (r < 0)
        log_error("credentials",
                  "the certificate of %s can't be kept in %s: %s; it is lost with this process",
                  c->id.text, m->options.keep_file, strerror(-r));
    prove_by(m, c);
}

/* ---- in time ------------------------------------------------------------- */

static uint64_t ms_until(int64_t unix_ms)
{
    int64_t left = unix_ms - clock_unix_ms();
    return left > 0 ? (uint64_t)left : 0;
}

static void look_at(struct entry *e, struct timer *t, int64_t unix_ms)
{
    uint64_t left = ms_until(unix_ms);
    timer_start(ring_timers(e->manager->ring), t, left > LOOK_MS ? LOOK_MS : left);
}

static void entry_expired(struct timer *t)
{
    struct entry *e = container_of(t, struct entry, expire);
    int64_t end_ms = e->credential->not_after_s * 1000;
    if (ms_until(end_ms) > 0) {
        look_at(e, t, end_ms);
        return;
    }
    log_error(
        "credentials",
        "the certificate of %s has expired and there is no new one: its connections are refused",
        e->id.text);
    if (!e->error[0])
        snprintf(e->error, sizeof e->error, "the certificate has expired");
    e->credential = credential_unref(e->credential);
    if (is_kept(e))
        prove_by(e->manager, NULL);
    ring_task_ask(e->manager->ring, &e->tell_task);
}

static void entry_failed(struct entry *e, const char *why)
{
    struct credentials *m = e->manager;
    m->stats.failed++;
    if (strcmp(e->error, why) != 0) /* the same reason again and again is one line */
        log_warn("credentials", "no certificate for %s yet: %s", e->id.text, why);
    snprintf(e->error, sizeof e->error, "%s", why);
    snprintf(m->stats.last_error, sizeof m->stats.last_error, "%s", why);
    e->renew_at_ms = 0;
    timer_start(ring_timers(m->ring), &e->again, rng_jitter(ring_rng(m->ring), e->backoff_ms, 30));
    e->backoff_ms = e->backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : e->backoff_ms * 2;
    if (m->events->refused)
        m->events->refused(m, &e->id, why, m->arg);
}

static void entry_has(struct entry *e, struct credential *taken_credential)
{
    struct credentials *m = e->manager;
    /* Half of what is left of its life: a certificate is usually back-dated a little. */
    uint64_t life_ms = ms_until(taken_credential->not_after_s * 1000);
    uint64_t wait_ms = rng_jitter(ring_rng(m->ring), life_ms / 2, 10);
    m->stats.last_error[0] = e->error[0] = '\0';
    e->backoff_ms = BACKOFF_MIN_MS;
    credential_unref(e->credential);
    e->credential = taken_credential;
    e->renew_at_ms =
        clock_unix_ms() + (int64_t)(wait_ms > RENEWAL_MIN_MS ? wait_ms : RENEWAL_MIN_MS);
    look_at(e, &e->again, e->renew_at_ms);
    look_at(e, &e->expire, taken_credential->not_after_s * 1000);
    log_info("credentials", "%s has certificate %s", e->credential->id.text, e->credential->serial);
    ring_task_ask(m->ring, &e->tell_task);
}

static void entry_succeeded(struct entry *e, struct credential *taken_credential)
{
    e->manager->stats.issued++;
    if (is_kept(e))
        keep(e, taken_credential);
    entry_has(e, taken_credential);
}

/* What an earlier process has kept, if it is good; else it is asked for. */
static bool entry_begins_with_kept(struct entry *e)
{
    struct credentials *m = e->manager;
    char why[SVID_FILE_WHY_MAX];
    struct credential *c;
    if (!is_kept(e) || m->options.join_anew)
        return false;
    int r = svid_file_read(m->options.keep_file, &e->id, clock_unix_s(), &c, why);
    if (r < 0) {
        if (r != -ENOENT)
            log_warn("credentials", "what is kept is of no use: %s", why);
        return false;
    }
    prove_by(m, c);
    entry_has(e, c);
    return true;
}

static void request_over(struct entry *e)
{
    struct credentials *m = e->manager;
    e->in_flight = false;
    m->n_in_flight--;
    timer_stop(ring_timers(m->ring), &e->again);
    e->key = key_unref(e->key);
    if (e->other_roots)
        ring_task_ask(m->ring, &m->trust_task);
    ask_pump(m);
}

static void request_cancel(struct entry *e)
{
    grpc_call_cancel(&e->call);
    e->fresh = credential_unref(e->fresh);
    request_over(e);
}

static void entry_again(struct timer *t)
{
    struct entry *e = container_of(t, struct entry, again);
    if (e->in_flight) {
        request_cancel(e);
        entry_failed(e, "the CA did not answer in time");
    } else if (ms_until(e->renew_at_ms) > 0) {
        look_at(e, t, e->renew_at_ms);
    } else {
        enqueue(e);
    }
}

/* ---- one request --------------------------------------------------------- */

/* The CA's answer: leaf and intermediates, and the root bundle as the last string. */
static void take_answer(struct entry *e, const uint8_t *data, size_t len)
{
    char decode_why[XDS_WHY_MAX];
    const char *why = "the answer has no certificate and root";
    struct certificate_response response;
    struct text_heap chain;
    if (certificate_response_decode(data, len, &response, decode_why) < 0) {
        snprintf(e->refusal, sizeof e->refusal, "the CA's answer is malformed: %.200s", decode_why);
        return;
    }
    int r = -EINVAL;
    struct spiffe_id whose = e->id;
    text_heap_init(&chain, X509_CHAIN_MAX * X509_PEM_MAX);
    for (size_t i = 0; i + 1 < response.n; i++)
        text_heap_printf(&chain, "%s\n", response.pems[i]);
    if (chain.failed)
        why = "the chain is too long";
    else if (response.n >= 2)
        r = spiffe_id_present(&e->id)
                ? 0
                : credential_identity((struct text){chain.data, chain.len}, &whose, &why);
    if (r == 0)
        r = credential_new(&e->fresh, &whose, e->key, (struct text){chain.data, chain.len},
                           text_of(response.pems[response.n - 1]), clock_unix_s(), &why);
    text_heap_done(&chain);
    certificate_response_done(&response);
    if (r < 0)
        snprintf(e->refusal, sizeof e->refusal, "the CA's answer is refused: %s", why);
}

static void call_message(struct grpc_call *call, const uint8_t *data, size_t len)
{
    struct entry *e = call->user;
    if (e->answered)
        return;
    e->answered = true;
    take_answer(e, data, len);
}

static void call_closed(struct grpc_call *call, enum grpc_status status, struct text message)
{
    struct entry *e = call->user;
    struct credential *fresh = e->fresh;
    bool joins = is_kept(e) && !e->credential && status == GRPC_UNAUTHENTICATED;
    int cut = joins && message.len > 64 ? 64 : (int)message.len; /* what follows is of more use */
    char why[256];
    e->fresh = NULL;
    request_over(e);
    if (status == GRPC_OK && fresh) {
        entry_succeeded(e, fresh);
        return;
    }
    credential_unref(fresh);
    snprintf(why, sizeof why, "the CA answered %s%s%.*s%s", grpc_status_name(status),
             message.len > 0 ? ": " : "", cut, message.data,
             joins ? " (a token to join with is good once, until its end, from where it was made "
                     "for; `weir-ca token --identity` makes another)"
                   : "");
    entry_failed(e, status != GRPC_OK ? why : e->answered ? e->refusal : "the CA answered nothing");
}

static const struct grpc_call_events call_events = {.message = call_message, .closed = call_closed};

static int request_send(struct entry *e)
{
    struct credentials *m = e->manager;
    char csr[4096];
    size_t csr_len;
    struct xds_bytes bytes = {0};
    bool own = spiffe_id_equal(&e->id, &m->options.self);
    const char *token = ca_link_token(&m->link);
    const struct grpc_call_options o = {.path = TEXT(XDS_CREATE_CERTIFICATE_PATH),
                                        .authority = TEXT("weir-ca"),
                                        .bearer = token ? text_of(token) : TEXT(""),
                                        .message_max = 1024 * 1024};
    int r = key_generate(&e->key);
    if (r == 0)
        r = csr_make(e->key, spiffe_id_text(&e->id), csr, sizeof csr, &csr_len);
    if (r < 0)
        return r;
    char *identity = text_dup(own ? TEXT("") : spiffe_id_text(&e->id));
    struct certificate_request request = {.csr_pem = csr,
                                          .impersonated_identity = identity,
                                          .validity_s = (int64_t)m->options.validity_s};
    r = identity ? certificate_request_encode(&request, &bytes) : -ENOMEM;
    free(identity);
    if (r < 0)
        return r;
    r = grpc_call_start(&e->call, m->link.h2.http2, ring_chunks(m->ring), &o, &call_events, e);
    if (r == 0) {
        r = grpc_call_send(&e->call, bytes.data, bytes.len);
        if (r < 0)
            grpc_call_cancel(&e->call);
        else
            grpc_call_half_close(&e->call);
    }
    xds_bytes_done(&bytes);
    return r;
}

static void request_start(struct entry *e)
{
    struct credentials *m = e->manager;
    int r = request_send(e);
    if (r < 0) {
        e->key = key_unref(e->key);
        entry_failed(e,
                     r == -ENOMEM || r == -ENOBUFS ? "out of memory" : "the request can't be made");
        return;
    }
    e->in_flight = true;
    e->answered = false;
    m->n_in_flight++;
    timer_start(ring_timers(m->ring), &e->again, m->options.request_ms);
}

/* ---- all requests -------------------------------------------------------- */

/* Runs from the loop: starts what waits, as far as the connection allows; connects when there is
 * something to ask. When a call ends, it is asked for again. */
static void pump(struct ring_task *task)
{
    struct credentials *m = container_of(task, struct credentials, pump_task);
    struct list *n;
    if (m->closing)
        return;
    if (m->link_is_old && m->n_in_flight == 0) {
        m->link_is_old = false;
        trust_watch_stop(&m->watch);
        ca_link_rest(&m->link);
    }
    while (!m->link_is_old && m->n_in_flight < IN_FLIGHT_MAX && ca_link_ready(&m->link) &&
           (n = list_pop_front(&m->queue)))
        request_start(container_of(n, struct entry, link));
    if (!list_empty(&m->queue) && m->n_in_flight < IN_FLIGHT_MAX)
        ca_link_want(&m->link);
    if (m->options.watch && !m->link_is_old && trust_watch_start(&m->watch))
        ca_link_want(&m->link);
    bool idle = list_empty(&m->queue) && m->n_in_flight == 0 && !m->watch.open;
    if (!idle)
        timer_stop(ring_timers(m->ring), &m->idle);
    else if (ca_link_connected(&m->link) && !timer_running(&m->idle))
        timer_start(ring_timers(m->ring), &m->idle, m->options.idle_ms);
}

static void link_ready(struct ca_link *l)
{
    struct credentials *m = l->user;
    m->stats.reachable = true;
    ask_pump(m);
}

/* Those that wait are told, and stay in the queue for the next connection. */
static void link_failed(struct ca_link *l, const char *why)
{
    struct credentials *m = l->user;
    if (strcmp(m->stats.last_error, why) != 0)
        log_warn("credentials", "%s", why);
    m->stats.reachable = false;
    snprintf(m->stats.last_error, sizeof m->stats.last_error, "%s", why);
    list_for_each (n, &m->queue) {
        struct entry *e = container_of(n, struct entry, link);
        snprintf(e->error, sizeof e->error, "%s", why);
    }
    ask_pump(m);
}

static const struct ca_link_events link_events = {.ready = link_ready, .failed = link_failed};

static void idle_over(struct timer *t)
{
    struct credentials *m = container_of(t, struct credentials, idle);
    if (m->n_in_flight == 0 && list_empty(&m->queue) && !m->watch.open)
        ca_link_rest(&m->link);
}

/* ---- what the CA says of trust ------------------------------------------- */

enum { TRUST_AT_ONCE = 4, HASTEN_MAX_MS = 600000, TELL_AGAIN_MS = 1000 };

/* What it has is worth nothing any more: another one is asked for at once. */
static void entry_withdraw(struct entry *e, const char *why)
{
    struct credentials *m = e->manager;
    log_warn("credentials", "the certificate of %s is withdrawn: %s", e->id.text, why);
    timer_stop(ring_timers(m->ring), &e->expire);
    snprintf(e->error, sizeof e->error, "%s", why);
    e->credential = credential_unref(e->credential);
    if (is_kept(e))
        prove_by(m, NULL);
    ring_task_ask(m->ring, &e->tell_task);
    if (!e->in_flight) {
        timer_stop(ring_timers(m->ring), &e->again);
        enqueue(e);
    }
}

/* Another root signs: a new certificate, but not all of the mesh in one moment. */
static void entry_hasten(struct entry *e)
{
    uint64_t spread_ms = ms_until(e->credential->not_after_s * 1000) / 4;
    if (spread_ms > HASTEN_MAX_MS)
        spread_ms = HASTEN_MAX_MS;
    int64_t at_ms = clock_unix_ms() + (int64_t)(rng_below(ring_rng(e->manager->ring), spread_ms + 1));
    if (e->in_flight || e->renew_at_ms == 0 || e->renew_at_ms <= at_ms)
        return;
    e->renew_at_ms = at_ms;
    look_at(e, &e->again, at_ms);
}

/* Whether that was work. */
static bool entry_trust(struct entry *e)
{
    struct credentials *m = e->manager;
    const struct trust *t = m->watch.trust;
    struct credential *fresh;
    const char *why;
    bool signs = true;
    e->other_roots = e->in_flight; /* what comes may be of before */
    if (!e->credential)
        return false;
    if (trust_revokes(t, e->id.text, e->credential->serial)) {
        entry_withdraw(e, "it is revoked");
        return true;
    }
    if (strcmp(e->credential->roots_pem, t->roots_pem) == 0)
        return false;
    int r = credential_trusting(&fresh, e->credential, text_of(t->roots_pem), clock_unix_s(), &signs, &why);
    if (r == -EKEYREJECTED) {
        entry_withdraw(e, "it leads to no root that is trusted now");
    } else if (r < 0) {
        log_error("credentials", "the certificate of %s goes by the roots of before: %s", e->id.text, why);
    } else {
        credential_unref(e->credential);
        e->credential = fresh;
        if (is_kept(e))
            keep(e, fresh);
        ring_task_ask(m->ring, &e->tell_task);
        if (!signs)
            entry_hasten(e);
    }
    return true;
}

static void trust_tell(struct credentials *m)
{
    int r = ca_link_set_roots(&m->link, m->watch.trust->roots_pem);
    if (m->events->trusted) {
        int told = m->events->trusted(m, m->watch.trust, m->arg);
        r = told < 0 ? told : r;
    }
    m->trust_told = r == 0;
    if (r < 0) {
        log_error("credentials", "not everybody knows what is trusted: %s; they are told again", strerror(-r));
        timer_start(ring_timers(m->ring), &m->trust_timer, TELL_AGAIN_MS);
    }
}

static void trust_tell_again(struct timer *t)
{
    struct credentials *m = container_of(t, struct credentials, trust_timer);
    ring_task_ask(m->ring, &m->trust_task);
}

/* A few in a turn: each makes configurations of TLS anew. */
static void trust_turn(struct ring_task *task)
{
    struct credentials *m = container_of(task, struct credentials, trust_task);
    size_t i = 0, work = 0;
    if (!m->trust_told && !timer_running(&m->trust_timer))
        trust_tell(m);
    for (const struct map_entry *me; work < TRUST_AT_ONCE && (me = map_next(&m->entries, &i));) {
        struct entry *e = me->value;
        if (e->other_roots && !e->in_flight)
            work += entry_trust(e);
    }
    if (work == TRUST_AT_ONCE)
        ring_task_ask(m->ring, &m->trust_task);
}

static void trust_heard(struct trust_watch *w)
{
    struct credentials *m = container_of(w, struct credentials, watch);
    size_t i = 0;
    for (const struct map_entry *me; (me = map_next(&m->entries, &i));)
        ((struct entry *)me->value)->other_roots = true;
    m->trust_told = false;
    ring_task_ask(m->ring, &m->trust_task);
}

static void trust_again(struct trust_watch *w)
{
    ask_pump(container_of(w, struct credentials, watch));
}

/* ---- wants --------------------------------------------------------------- */

static void entry_free(struct entry *e)
{
    struct credentials *m = e->manager;
    list_remove(&e->link);
    timer_stop(ring_timers(m->ring), &e->again);
    timer_stop(ring_timers(m->ring), &e->expire);
    ring_task_cancel(&e->tell_task);
    if (e->in_flight)
        request_cancel(e);
    credential_unref(e->credential);
    free(e);
}

int credentials_want(struct credentials *m, const struct spiffe_id *id)
{
    struct entry *e = map_get(&m->entries, spiffe_id_text(id));
    if (e) {
        e->wants++;
        if (e->credential)
            ring_task_ask(m->ring, &e->tell_task);
        return 0;
    }
    e = calloc(1, sizeof *e);
    if (!e)
        return -ENOMEM;
    *e = (struct entry){.manager = m, .id = *id, .wants = 1, .backoff_ms = BACKOFF_MIN_MS};
    list_init(&e->link);
    timer_init(&e->again, entry_again);
    timer_init(&e->expire, entry_expired);
    ring_task_init(&e->tell_task, entry_tell);
    int r = map_put(&m->entries, spiffe_id_text(id), e, NULL);
    if (r < 0) {
        free(e);
        return r;
    }
    if (!entry_begins_with_kept(e))
        enqueue(e);
    return 0;
}

void credentials_unwant(struct credentials *m, const struct spiffe_id *id)
{
    struct entry *e = map_get(&m->entries, spiffe_id_text(id));
    assert(e && e->wants > 0);
    if (--e->wants > 0)
        return;
    map_remove(&m->entries, spiffe_id_text(id));
    entry_free(e);
}

struct credential *credentials_get(struct credentials *m, const struct spiffe_id *id)
{
    struct entry *e = map_get(&m->entries, spiffe_id_text(id));
    return e ? e->credential : NULL;
}

void credentials_each(struct credentials *m, credentials_visit *visit, void *arg)
{
    size_t i = 0;
    for (const struct map_entry *me; (me = map_next(&m->entries, &i));) {
        const struct entry *e = me->value;
        const char *state = e->credential ? "Available"
                            : e->error[0] ? "Unavailable"
                                          : "Initializing";
        visit(&e->id, state, e->credential, e->error, arg);
    }
}

void credentials_stats(const struct credentials *m, struct credentials_stats *ret)
{
    *ret = m->stats;
    ret->trust_unheard_ms = m->options.watch ? trust_watch_unheard_ms(&m->watch) : 0;
    ret->trust_behind = m->watch.behind;
    ret->connected = ca_link_connected(&m->link);
}

/* ---- beginning and end --------------------------------------------------- */

int credentials_open(struct credentials **ret, struct ring *ring,
                     const struct credentials_options *o, const struct credentials_events *events,
                     void *arg)
{
    struct credentials *m = calloc(1, sizeof *m);
    if (!m)
        return -ENOMEM;
    *m = (struct credentials){.ring = ring, .options = *o, .events = events, .arg = arg};
    if (m->options.request_ms == 0)
        m->options.request_ms = REQUEST_MS;
    if (m->options.token_age_ms == 0)
        m->options.token_age_ms = TOKEN_AGE_MS;
    if (m->options.idle_ms == 0)
        m->options.idle_ms = IDLE_MS;
    map_init(&m->entries, o->identities_max > 0 ? o->identities_max : IDENTITIES_MAX);
    list_init(&m->queue);
    ring_task_init(&m->pump_task, pump);
    timer_init(&m->idle, idle_over);
    const struct ca_link_options link = {.ring = ring,
                                         .ca = o->ca,
                                         .roots_file = o->roots_file,
                                         .ca_identity = o->ca_identity,
                                         .token_file = o->token_file,
                                         .token_age_ms = m->options.token_age_ms};
    ca_link_init(&m->link, &link, &link_events, m);
    trust_watch_init(&m->watch, ring, &m->link, trust_heard, trust_again);
    ring_task_init(&m->trust_task, trust_turn);
    timer_init(&m->trust_timer, trust_tell_again);
    if (o->watch)
        ask_pump(m);
    *ret = m;
    return 0;
}

static void link_gone(void *arg)
{
    struct credentials *m = arg;
    ring_task_cancel(&m->pump_task);
    map_done(&m->entries, NULL);
    void (*drained)(void *) = m->drained;
    void *drained_arg = m->drained_arg;
    free(m);
    drained(drained_arg);
}

void credentials_close(struct credentials *m, void (*drained)(void *arg), void *arg)
{
    size_t i = 0;
    m->closing = true;
    m->drained = drained;
    m->drained_arg = arg;
    timer_stop(ring_timers(m->ring), &m->idle);
    for (const struct map_entry *me; (me = map_next(&m->entries, &i));)
        entry_free(me->value);
    trust_watch_done(&m->watch);
    timer_stop(ring_timers(m->ring), &m->trust_timer);
    ring_task_cancel(&m->trust_task);
    ca_link_close(&m->link, link_gone, m);
}
