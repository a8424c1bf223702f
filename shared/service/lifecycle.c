#include "shared/service/lifecycle.h"

#include "shared/base/log.h"
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include <weir_version.h>

static void signalled(struct ring_op *op, int result);

static void force(struct lifecycle *l)
{
    if (l->forced)
        return;
    l->forced = true;
    timer_stop(ring_timers(l->ring), &l->deadline);
    l->force(l);
}

static void deadline_passed(struct timer *t)
{
    force(container_of(t, struct lifecycle, deadline));
}

void lifecycle_drain(struct lifecycle *l, const char *reason)
{
    if (l->draining)
        return;
    log_info("lifecycle", "%s: draining for at most %llu ms", reason,
             (unsigned long long)l->drain_ms);
    l->draining = true;
    timer_start(ring_timers(l->ring), &l->deadline, l->drain_ms);
    l->drain(l);
}

static void take_signal(struct lifecycle *l, const char *name)
{
    if (++l->signals > 1) {
        log_info("lifecycle", "%s again: ending now", name);
        force(l);
    } else if (l->draining) {
        log_info("lifecycle", "%s: draining already; once more to end now", name);
    } else {
        lifecycle_drain(l, name);
    }
}

static void signalled(struct ring_op *op, int result)
{
    struct lifecycle *l = container_of(op, struct lifecycle, signal_op);
    struct signalfd_siginfo info;

    /* Any of the callbacks may close the lifecycle: then no more is read, and nothing is freed
     * before the loop goes on. */
    while (result >= 0 && !l->scope.closing &&
           read(l->signal_fd, &info, sizeof info) == sizeof info)
        take_signal(l, info.ssi_signo == SIGINT ? "SIGINT" : "SIGTERM");
    if (result >= 0 && !l->scope.closing)
        ring_poll(l->ring, &l->signal_op, l->signal_fd, POLLIN, signalled);
}

static void drained(struct ring_scope *scope)
{
    struct lifecycle *l = container_of(scope, struct lifecycle, scope);

    close(l->signal_fd);
    l->signal_fd = -1;
    if (l->closed)
        l->closed(l);
}

int lifecycle_open(struct lifecycle *l, struct ring *ring, uint64_t drain_ms,
                   void (*drain)(struct lifecycle *), void (*force_now)(struct lifecycle *),
                   void *user)
{
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    int fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        return -errno;
    int r = pthread_sigmask(SIG_BLOCK, &signals, NULL);
    if (r != 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR) {
        r = r != 0 ? r : errno;
        close(fd);
        return -r;
    }
    *l = (struct lifecycle){.ring = ring,
                            .signal_fd = fd,
                            .drain_ms = drain_ms,
                            .drain = drain,
                            .force = force_now,
                            .user = user};
    timer_init(&l->deadline, deadline_passed);
    ring_scope_init(&l->scope, ring, drained);
    ring_op_init(&l->signal_op, &l->scope);
    ring_poll(ring, &l->signal_op, fd, POLLIN, signalled);
    return 0;
}

static const char **find(struct lifecycle *l, const char *condition)
{
    for (size_t i = 0; i < LIFECYCLE_CONDITIONS_MAX; i++)
        if (l->waiting[i] && strcmp(l->waiting[i], condition) == 0)
            return &l->waiting[i];
    return NULL;
}

void lifecycle_wait_for(struct lifecycle *l, const char *condition)
{
    size_t i = 0;

    if (find(l, condition))
        return;
    while (i < LIFECYCLE_CONDITIONS_MAX && l->waiting[i])
        i++;
    assert(i < LIFECYCLE_CONDITIONS_MAX);
    l->waiting[i] = condition;
}

void lifecycle_reached(struct lifecycle *l, const char *condition)
{
    const char **found = find(l, condition);

    if (!found)
        return;
    *found = NULL;
    if (lifecycle_ready(l, NULL))
        log_info("lifecycle", "ready");
}

bool lifecycle_ready(const struct lifecycle *l, struct text_out *why_not)
{
    bool ready = true;

    if (l->draining) {
        if (why_not)
            text_puts(why_not, "draining");
        return false;
    }
    for (size_t i = 0; i < LIFECYCLE_CONDITIONS_MAX; i++) {
        if (!l->waiting[i])
            continue;
        if (why_not) {
            text_puts(why_not, ready ? "waiting for " : ", ");
            text_puts(why_not, l->waiting[i]);
        }
        ready = false;
    }
    return ready;
}

void lifecycle_close(struct lifecycle *l)
{
    timer_stop(ring_timers(l->ring), &l->deadline);
    ring_scope_close(&l->scope);
}

void lifecycle_print_version(const char *program, const struct library_version *libraries, size_t n)
{
    printf("%s %s (%s)\n", program, WEIR_VERSION, WEIR_GIT_HASH);
    for (size_t i = 0; i < n; i++)
        printf("%s %s\n", libraries[i].name, libraries[i].version);
}
