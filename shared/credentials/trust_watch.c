/* One call that stays; see the header. */
#include "shared/credentials/trust_watch.h"

#include "shared/base/log.h"
#include "shared/xds/trust_codec.h"
#include <errno.h>

enum { BACKOFF_MIN_MS = 1000, BACKOFF_MAX_MS = 30000, UNKNOWN_MS = 600000 };

static void wait_again(struct trust_watch *w, uint64_t ms)
{
    timer_start(ring_timers(w->ring), &w->timer, rng_jitter(ring_rng(w->ring), ms, 30));
}

static void wait_over(struct timer *t)
{
    struct trust_watch *w = container_of(t, struct trust_watch, timer);
    w->again(w);
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
    if (t->incomplete)
        log_warn("credentials", "more is revoked than the CA can tell: the newest %zu identities and "
                                "%zu certificates are refused",
                 t->n_identities, t->n_serials);
    trust_unref(w->trust);
    w->trust = t;
    w->live = true;
    w->backoff_ms = BACKOFF_MIN_MS;
    w->heard(w);
}

static void watch_closed(struct grpc_call *call, enum grpc_status status, struct text message)
{
    struct trust_watch *w = call->user;
    w->open = w->live = false;
    log_debug("credentials", "the CA says no more of trust: %s %.*s", grpc_status_name(status),
              (int)message.len, message.data);
    wait_again(w, status == GRPC_UNIMPLEMENTED ? UNKNOWN_MS : w->backoff_ms);
    w->backoff_ms = w->backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : w->backoff_ms * 2;
}

void trust_watch_init(struct trust_watch *w, struct ring *ring, struct ca_link *link,
                      void (*heard)(struct trust_watch *w), void (*again)(struct trust_watch *w))
{
    *w = (struct trust_watch){
        .ring = ring, .link = link, .heard = heard, .again = again, .backoff_ms = BACKOFF_MIN_MS};
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
    w->open = w->live = false;
    timer_stop(ring_timers(w->ring), &w->timer);
    w->backoff_ms = BACKOFF_MIN_MS;
}

void trust_watch_done(struct trust_watch *w)
{
    trust_watch_stop(w);
    w->trust = trust_unref(w->trust);
}
