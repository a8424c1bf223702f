#include "nodeproxy/takeover/takeover_claim.h"

#include "shared/base/log.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>
#include <weir_version.h>

enum { SILENT_MS = 15000 };

static void heard(struct ring_op *op, int result);

static void end(struct takeover_claim *c, int taken_lock, bool gone, const char *why)
{
    if (c->over)
        return;
    c->over = true;
    timer_stop(ring_timers(c->ring), &c->deadline);
    c->events->over(c, taken_lock, gone, why);
}

/* The other one hears why, since its log is where somebody looks for it too. Once it has been told
 * that all is taken it may have let go already: then the node belongs to whoever gets the lock. */
static void give_up(struct takeover_claim *c, const char *why)
{
    (void)takeover_send_words(c->fd, TAKEOVER_REFUSE, why);
    end(c, -1, c->taken, why);
}

static void say(struct takeover_claim *c, enum takeover_kind kind)
{
    if (c->over) /* closed in its own event */
        return;
    int r = takeover_send_words(c->fd, kind, WEIR_VERSION);
    timer_start(ring_timers(c->ring), &c->deadline, c->silent_ms);
    if (r < 0 && r != -EPIPE && r != -ECONNRESET) /* those are heard as well */
        give_up(c, strerror(-r));
}

static void silent_too_long(struct timer *t)
{
    give_up(container_of(t, struct takeover_claim, deadline),
            "the running node proxy was silent for too long");
}

static int take_pod(struct takeover_claim *c, struct takeover_message *m,
                    char why[static TAKEOVER_WORDS_MAX])
{
    c->pods++;
    return c->events->pod(c, m, why);
}

static int take_all(struct takeover_claim *c, const struct takeover_message *m,
                    char why[static TAKEOVER_WORDS_MAX])
{
    if (m->pods != c->pods) {
        snprintf(why, TAKEOVER_WORDS_MAX, "it says %llu pods and gave %llu",
                 (unsigned long long)m->pods, (unsigned long long)c->pods);
        return -EINVAL;
    }
    return c->events->all(c, why);
}

static void take_item(struct takeover_claim *c, struct takeover_message *m)
{
    char why[TAKEOVER_WORDS_MAX] = "";
    int r = m->kind == TAKEOVER_SOCKET ? c->events->socket(c, m, why)
            : m->kind == TAKEOVER_POD  ? take_pod(c, m, why)
                                       : take_all(c, m, why);
    if (r < 0) {
        give_up(c, why[0] ? why : strerror(-r));
    } else if (m->kind == TAKEOVER_ALL) {
        say(c, TAKEOVER_TAKEN);
        c->taken = !c->over; /* what could not be said has not been heard */
    } else {
        say(c, TAKEOVER_NEXT);
    }
}

static void take_message(struct takeover_claim *c, struct takeover_message *m)
{
    bool item = m->kind == TAKEOVER_SOCKET || m->kind == TAKEOVER_POD || m->kind == TAKEOVER_ALL;
    if (m->kind == TAKEOVER_HELLO && !c->greeted) {
        c->greeted = true;
        timer_stop(ring_timers(c->ring), &c->deadline);
        log_info("takeover", "a node proxy of version %.60s runs here", m->words);
        if (c->ask_when_greeted)
            takeover_claim_ask(c);
    } else if (m->kind == TAKEOVER_ENDING && c->greeted) {
        c->events->hurry(c);
    } else if (item && c->asked && !c->taken) {
        take_item(c, m);
    } else if (m->kind == TAKEOVER_YOURS && c->taken) {
        int lock = m->fds[0];
        m->fds[0] = -1;
        end(c, lock, false, "");
    } else if (m->kind == TAKEOVER_REFUSE) {
        end(c, -1, false, m->words);
    } else {
        give_up(c, "that message does not belong here");
    }
}

static void heard(struct ring_op *op, int result)
{
    struct takeover_claim *c = container_of(op, struct takeover_claim, op);
    struct takeover_message m;
    char why[TAKEOVER_WORDS_MAX] = "";
    int r = result < 0 ? result : takeover_receive(c->fd, &m, why);
    if (r == -ECONNRESET) /* it left without reading all: its last word may lie behind that */
        r = takeover_receive(c->fd, &m, why);
    if (r == 0) {
        take_message(c, &m);
        takeover_message_done(&m);
    } else if (r == -ECONNRESET) {
        end(c, -1, true, "the running node proxy has left");
    } else if (r != -EAGAIN) {
        give_up(c, why[0] ? why : strerror(-r));
    }
    if (!c->over && !c->scope.closing)
        ring_poll(c->ring, &c->op, c->fd, POLLIN, heard);
}

static void drained(struct ring_scope *scope)
{
    struct takeover_claim *c = container_of(scope, struct takeover_claim, scope);
    close(c->fd);
    c->fd = -1;
    c->events->drained(c);
}

int takeover_claim_open(struct takeover_claim *c, struct ring *ring, int taken_fd,
                        const struct takeover_claim_events *events, void *user)
{
    *c = (struct takeover_claim){
        .ring = ring, .events = events, .user = user, .fd = taken_fd, .silent_ms = SILENT_MS};
    int r = takeover_socket_check(taken_fd);
    if (r == 0)
        r = takeover_send_words(taken_fd, TAKEOVER_HELLO, WEIR_VERSION);
    if (r < 0) {
        close(taken_fd);
        return r;
    }
    timer_init(&c->deadline, silent_too_long);
    ring_scope_init(&c->scope, ring, drained);
    ring_op_init(&c->op, &c->scope);
    ring_poll(ring, &c->op, taken_fd, POLLIN, heard);
    timer_start(ring_timers(ring), &c->deadline, c->silent_ms);
    return 0;
}

void takeover_claim_ask(struct takeover_claim *c)
{
    c->ask_when_greeted = true;
    if (!c->greeted || c->asked || c->over)
        return;
    c->asked = true;
    say(c, TAKEOVER_ASK);
}

void takeover_claim_close(struct takeover_claim *c)
{
    c->over = true;
    timer_stop(ring_timers(c->ring), &c->deadline);
    ring_scope_close(&c->scope);
}
