#include "nodeproxy/takeover/takeover_offer.h"

#include "shared/base/log.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>
#include <weir_version.h>

/* The successor puts a pod's rules between two messages: on a busy node that takes a while. */
enum { SILENT_MS = 15000, AGAIN_MS = 20, PAUSE_MS = 100 };

static void heard(struct ring_op *op, int result);
static void came(struct ring_op *op, int result);

static void listen_on(struct takeover_offer *o)
{
    ring_poll(o->ring, &o->accept_op, o->listener, POLLIN, came);
}

/* ---- one successor ------------------------------------------------------------------------------ */

static void session_end(struct takeover_offer *o)
{
    timer_stop(ring_timers(o->ring), &o->deadline);
    timer_stop(ring_timers(o->ring), &o->again);
    o->asked = o->begun = false;
    if (o->fd >= 0)
        ring_scope_close(&o->session_scope);
}

static void session_gone(struct ring_scope *scope)
{
    struct takeover_offer *o = container_of(scope, struct takeover_offer, session_scope);
    close(o->fd);
    o->fd = -1;
    if (o->closing)
        ring_scope_close(&o->scope);
    else if (!o->over)
        listen_on(o);
}

static void session_fail(struct takeover_offer *o, bool tell, const char *why)
{
    bool begun = o->begun;
    if (tell)
        (void)takeover_send_words(o->fd, TAKEOVER_REFUSE, why);
    session_end(o);
    log_warn("takeover", "the successor does not take over, this node proxy goes on: %s", why);
    if (begun)
        o->events->failed(o, why);
}

static void silent_too_long(struct timer *t)
{
    session_fail(container_of(t, struct takeover_offer, deadline), true,
                 "it was silent for too long");
}

static void listen_to(struct takeover_offer *o)
{
    ring_poll(o->ring, &o->op, o->fd, POLLIN, heard);
}

static void give_next(struct takeover_offer *o)
{
    struct takeover_message m = {.fds = {-1, -1, -1, -1, -1, -1}};
    char why[TAKEOVER_WORDS_MAX];
    timer_start(ring_timers(o->ring), &o->deadline, o->silent_ms);
    int r = o->events->item(o, o->next, &m);
    if (r == 0)
        r = takeover_send(o->fd, &m);
    o->next++;
    if (r < 0) {
        snprintf(why, sizeof why, "it can't be given all: %s", strerror(-r));
        session_fail(o, true, why);
    }
}

static void try_begin(struct takeover_offer *o)
{
    char why[TAKEOVER_WORDS_MAX] = "";
    int r = o->events->begin(o, why);
    if (r == -EAGAIN) {
        timer_start(ring_timers(o->ring), &o->again, AGAIN_MS);
    } else if (r < 0) {
        session_fail(o, true, why);
    } else {
        o->begun = true;
        o->next = 0;
        give_next(o);
    }
}

static void begin_again(struct timer *t)
{
    try_begin(container_of(t, struct takeover_offer, again));
}

static void give_away(struct takeover_offer *o)
{
    struct takeover_message m = {.kind = TAKEOVER_YOURS, .n_fds = 1};
    o->over = true;
    m.fds[0] = o->events->given(o);
    int r = takeover_send(o->fd, &m);
    if (r < 0) /* it has died just now: then the lock is free for the next one */
        log_error("takeover", "the successor left at the last moment: %s", strerror(-r));
    close(m.fds[0]);
    session_end(o);
}

static void take_message(struct takeover_offer *o, const struct takeover_message *m)
{
    if (m->kind == TAKEOVER_HELLO && !o->asked) {
        log_info("takeover", "a successor is there, version %.60s", m->words);
        if (takeover_send_words(o->fd, TAKEOVER_HELLO, WEIR_VERSION) < 0)
            session_fail(o, false, "it left at once");
    } else if (m->kind == TAKEOVER_ASK && !o->asked) {
        o->asked = true;
        timer_start(ring_timers(o->ring), &o->deadline, o->silent_ms);
        try_begin(o);
    } else if (m->kind == TAKEOVER_NEXT && o->begun) {
        give_next(o);
    } else if (m->kind == TAKEOVER_TAKEN && o->begun) {
        give_away(o);
    } else if (m->kind == TAKEOVER_REFUSE) {
        session_fail(o, false, m->words);
    } else {
        session_fail(o, true, "that message does not belong here");
    }
}

static void heard(struct ring_op *op, int result)
{
    struct takeover_offer *o = container_of(op, struct takeover_offer, op);
    struct takeover_message m;
    char why[TAKEOVER_WORDS_MAX] = "";
    int r = result < 0 ? result : takeover_receive(o->fd, &m, why);
    if (r == 0) {
        take_message(o, &m);
        takeover_message_done(&m);
    } else if (r != -EAGAIN) {
        session_fail(o, true, r == -ECONNRESET ? "it left" : why[0] ? why : strerror(-r));
    }
    if (!o->session_scope.closing)
        listen_to(o);
}

/* ---- all of them -------------------------------------------------------------------------------- */

static void came(struct ring_op *op, int result)
{
    struct takeover_offer *o = container_of(op, struct takeover_offer, accept_op);
    int fd = result < 0 ? result : accept4(o->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (result < 0) {
        log_error("takeover", "no successor can come: %s", strerror(-result));
        return;
    }
    if (fd < 0) { /* without descriptors, say: it waits in the backlog, and we don't spin */
        timer_start(ring_timers(o->ring), &o->pause, PAUSE_MS);
        return;
    }
    if (takeover_socket_check(fd) < 0) {
        close(fd);
        listen_on(o);
        return;
    }
    o->fd = fd; /* whoever comes while it is there waits in the backlog */
    ring_scope_init(&o->session_scope, o->ring, session_gone);
    ring_op_init(&o->op, &o->session_scope);
    listen_to(o);
}

static void pause_over(struct timer *t)
{
    listen_on(container_of(t, struct takeover_offer, pause));
}

static void drained(struct ring_scope *scope)
{
    struct takeover_offer *o = container_of(scope, struct takeover_offer, scope);
    close(o->listener);
    o->events->drained(o);
}

int takeover_offer_open(struct takeover_offer *o, struct ring *ring, const char *path,
                        const struct takeover_offer_events *events, void *user)
{
    *o = (struct takeover_offer){
        .ring = ring, .events = events, .user = user, .fd = -1, .silent_ms = SILENT_MS};
    int r = takeover_socket_listen(path, &o->listener);
    if (r < 0)
        return r;
    timer_init(&o->deadline, silent_too_long);
    timer_init(&o->again, begin_again);
    timer_init(&o->pause, pause_over);
    ring_scope_init(&o->scope, ring, drained);
    ring_op_init(&o->accept_op, &o->scope);
    listen_on(o);
    return 0;
}

bool takeover_offer_hurry(struct takeover_offer *o)
{
    if (o->fd < 0 || o->over || o->session_scope.closing)
        return false;
    return o->asked || takeover_send_words(o->fd, TAKEOVER_ENDING, "") == 0;
}

void takeover_offer_close(struct takeover_offer *o)
{
    if (o->closing)
        return;
    o->closing = true;
    timer_stop(ring_timers(o->ring), &o->pause);
    session_end(o);
    if (o->fd < 0)
        ring_scope_close(&o->scope);
}
