/* One call that stays; see the header. */
#include "shared/credentials/trust_watch.h"

#include "shared/base/log.h"
#include "shared/tls/tls_config.h"
#include "shared/tls/x509.h"
#include "shared/xds/trust_codec.h"
#include <errno.h>

enum { BACKOFF_MIN_MS = 1000, BACKOFF_MAX_MS = 30000, UNKNOWN_MS = 600000, SAY_MS = 60000 };

static void wait_again(struct trust_watch *w, uint64_t ms)
{
    timer_start(ring_timers(w->ring), &w->timer, rng_jitter(ring_rng(w->ring), ms, 30));
}

static void wait_over(struct timer *t)
{
    struct trust_watch *w = container_of(t, struct trust_watch, timer);
    w->again(w);
}

/* NULL: they are certificates; else why not. */
static const char *roots_wrong(const struct trust *t)
{
    struct x509 roots[TLS_ROOTS_MAX];
    const char *why = "more than there may be";
    size_t n = 0;
    if (x509_from_pem(text_of(t->roots_pem), roots, TLS_ROOTS_MAX, &n, &why) < 0)
        return why;
    for (size_t i = 0; i < n; i++)
        x509_done(&roots[i]);
    return NULL;
}

static void take(struct trust_watch *w, struct trust *taken)
{
    trust_unref(w->trust);
    w->trust = taken;
    w->heard(w);
}

/* Nothing is lifted by it: who lifts raises the number. */
static void take_besides(struct trust_watch *w, const struct trust *older)
{
    struct trust *both;
    int r = trust_with(w->trust, older, &both);
    w->behind = older->version < w->trust->version;
    if (w->behind)
        log_warn("credentials", "the CA says trust %llu, and said %llu before: what was revoked stays "
                                "revoked (is it cut off from its database, or was that restored?)",
                 (unsigned long long)older->version, (unsigned long long)w->trust->version);
    if (r < 0)
        log_error("credentials", "what the CA revokes besides is not taken: %s",
                  r == -ENOSPC ? "too much is revoked" : "no memory");
    else if (both)
        take(w, both);
}

static void watch_message(struct grpc_call *call, const uint8_t *data, size_t len)
{
    struct trust_watch *w = call->user;
    char why[XDS_WHY_MAX];
    struct trust *t;
    if (trust_decode(data, len, &t, why) < 0) {
        log_warn("credentials", "what the CA says of trust is refused, and what it said before stays: %s",
                 why);
        return;
    }
    const char *wrong = roots_wrong(t);
    if (wrong) {
        log_warn("credentials", "what the CA says of trust is refused, and what it said before stays: roots: %s",
                 wrong);
        trust_unref(t);
        return;
    }
    if (t->incomplete)
        log_warn("credentials", "more is revoked than the CA can tell: the newest %zu identities and "
                                "%zu certificates are refused",
                 t->n_identities, t->n_serials);
    w->live = true;
    w->backoff_ms = BACKOFF_MIN_MS;
    if (!w->trust || t->version > w->trust->version) {
        w->behind = false;
        take(w, t);
        return;
    }
    take_besides(w, t);
    trust_unref(t);
}

static void unheard(struct trust_watch *w)
{
    if (w->live)
        w->unheard_since_ms = ring_now_ms(w->ring);
    w->open = w->live = false;
}

uint64_t trust_watch_unheard_ms(const struct trust_watch *w)
{
    return w->live ? 0 : ring_now_ms(w->ring) - w->unheard_since_ms;
}

static void watch_closed(struct grpc_call *call, enum grpc_status status, struct text message)
{
    struct trust_watch *w = call->user;
    uint64_t now_ms = ring_now_ms(w->ring);
    bool again = w->said_ms > 0 && now_ms - w->said_ms < SAY_MS;
    unheard(w);
    log_write(again ? LOG_DEBUG : LOG_WARN, "credentials", "the CA says no more of trust, what it said stays: %s %.*s",
           grpc_status_name(status), (int)message.len, message.data);
    if (!again)
        w->said_ms = now_ms;
    wait_again(w, status == GRPC_UNIMPLEMENTED ? UNKNOWN_MS : w->backoff_ms);
    w->backoff_ms = w->backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : w->backoff_ms * 2;
}

void trust_watch_init(struct trust_watch *w, struct ring *ring, struct ca_link *link,
                      void (*heard)(struct trust_watch *w), void (*again)(struct trust_watch *w))
{
    *w = (struct trust_watch){
        .ring = ring, .link = link, .heard = heard, .again = again, .backoff_ms = BACKOFF_MIN_MS};
    w->unheard_since_ms = ring_now_ms(ring);
    timer_init(&w->timer, wait_over);
}

bool trust_watch_start(struct trust_watch *w)
{
    static const struct grpc_call_events events = {.message = watch_message, .closed = watch_closed};
    if (w->open || timer_running(&w->timer))
        return false;
    if (!ca_link_ready(w->link))
        return true;
    const char *token = ca_link_token(w->link);
    const struct grpc_call_options o = {.path = TEXT(XDS_TRUST_PATH),
                                        .authority = TEXT("weir-ca"),
                                        .bearer = token ? text_of(token) : TEXT(""),
                                        .message_max = TRUST_MESSAGE_MAX};
    int r = grpc_call_start(&w->call, w->link->h2.http2, ring_chunks(w->ring), &o, &events, w);
    if (r == 0) {
        r = grpc_call_send(&w->call, (const uint8_t *)"", 0);
        if (r < 0)
            grpc_call_cancel(&w->call);
        else
            grpc_call_half_close(&w->call);
    }
    w->open = r == 0;
    if (r < 0)
        wait_again(w, w->backoff_ms);
    return false;
}

void trust_watch_stop(struct trust_watch *w)
{
    if (w->open)
        grpc_call_cancel(&w->call);
    unheard(w);
    timer_stop(ring_timers(w->ring), &w->timer);
    w->backoff_ms = BACKOFF_MIN_MS;
}

void trust_watch_done(struct trust_watch *w)
{
    trust_watch_stop(w);
    w->trust = trust_unref(w->trust);
}
