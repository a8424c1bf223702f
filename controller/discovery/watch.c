#include "controller/discovery/watch.h"
#include "shared/base/text.h"
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

enum {
    EVENTS = IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE |
             IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR,
};

static void soon(struct watch *w)
{
    if (timer_running(&w->debounce))
        return;
    w->since_ms = ring_now_ms(w->ring);
    timer_start(ring_timers(w->ring), &w->debounce, w->debounce_ms);
}

/* Watches what is not watched yet. Was a folder found that had been away? */
static bool watch_folders(struct watch *w)
{
    bool found = false, missing = false;
    for (size_t i = 0; i < w->n_folders; i++) {
        if (w->descriptors[i] >= 0)
            continue;
        w->descriptors[i] = inotify_add_watch(w->fd, w->folders[i], EVENTS);
        found = found || w->descriptors[i] >= 0;
        missing = missing || w->descriptors[i] < 0;
    }
    if (missing)
        timer_start(ring_timers(w->ring), &w->retry, WATCH_RETRY_MS);
    return found;
}

static void retry(struct timer *t)
{
    struct watch *w = container_of(t, struct watch, retry);
    if (watch_folders(w))
        soon(w);
}

static void debounced(struct timer *t)
{
    struct watch *w = container_of(t, struct watch, debounce);
    if (w->writing && ring_now_ms(w->ring) < w->since_ms + WATCH_WRITING_MS) {
        timer_start(ring_timers(w->ring), &w->debounce, w->debounce_ms);
        return;
    }
    w->writing = false;
    w->changed(w);
}

/* A folder of that name may be there again already: a descriptor stands for what was moved away,
 * too. */
static void lose(struct watch *w, int descriptor)
{
    for (size_t i = 0; i < w->n_folders; i++) {
        if (w->descriptors[i] != descriptor)
            continue;
        inotify_rm_watch(w->fd, descriptor);
        w->descriptors[i] = -1;
    }
    watch_folders(w);
}

static void polled(struct ring_op *op, int result)
{
    struct watch *w = container_of(op, struct watch, poll_op);
    union {
        struct inotify_event event;
        char bytes[16384];
    } buffer;
    ssize_t len;
    (void)result;
    while ((len = read(w->fd, &buffer, sizeof buffer)) > 0) {
        for (size_t at = 0; at < (size_t)len;) {
            const struct inotify_event *e = (const void *)(buffer.bytes + at);
            if (e->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED))
                lose(w, e->wd);
            if (e->mask & (IN_MODIFY | IN_CLOSE_WRITE))
                w->writing = !(e->mask & IN_CLOSE_WRITE);
            at += sizeof *e + e->len;
        }
        soon(w);
    }
    ring_poll(w->ring, &w->poll_op, w->fd, POLLIN, polled);
}

static void drained(struct ring_scope *scope)
{
    struct watch *w = container_of(scope, struct watch, scope);
    close(w->fd);
    for (size_t i = 0; i < w->n_folders; i++)
        free(w->folders[i]);
    if (w->closed)
        w->closed(w);
}

int watch_open(struct watch *w, struct ring *ring, const char *const *folders, size_t n,
               uint64_t debounce_ms, void (*changed)(struct watch *w))
{
    assert(n <= WATCH_FOLDERS_MAX);
    *w = (struct watch){.ring = ring, .debounce_ms = debounce_ms, .changed = changed};
    w->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (w->fd < 0)
        return -errno;
    for (size_t i = 0; i < n; i++) {
        w->folders[i] = text_dup(text_of(folders[i]));
        w->descriptors[i] = -1;
        w->n_folders++;
        if (!w->folders[i]) {
            for (size_t j = 0; j < i; j++)
                free(w->folders[j]);
            close(w->fd);
            return -ENOMEM;
        }
    }
    ring_scope_init(&w->scope, ring, drained);
    ring_op_init(&w->poll_op, &w->scope);
    timer_init(&w->debounce, debounced);
    timer_init(&w->retry, retry);
    watch_folders(w);
    ring_poll(ring, &w->poll_op, w->fd, POLLIN, polled);
    return 0;
}

void watch_close(struct watch *w, void (*closed)(struct watch *w))
{
    w->closed = closed;
    timer_stop(ring_timers(w->ring), &w->debounce);
    timer_stop(ring_timers(w->ring), &w->retry);
    ring_scope_close(&w->scope);
}
