#include "shared/kube/kube_client.h"
#include "shared/base/log.h"
#include "shared/kube/kube_transfer.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { REFRESH_MS = 30000, EVENTS = 32 };

/* ---- libcurl's sockets and timer, on the ring ------------------------------------------------ */

/* All sockets are in one epoll, and the ring waits for that: libcurl changes its mind about a socket
 * more often than a ring operation can. */
static int watch_socket(CURL *easy, curl_socket_t fd, int what, void *user, void *of_socket)
{
    struct kube_client *c = user;
    struct epoll_event e = {.data.fd = fd};
    (void)easy;
    (void)of_socket;
    if (what == CURL_POLL_REMOVE) {
        (void)epoll_ctl(c->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
        return 0;
    }
    e.events = (what & CURL_POLL_IN ? EPOLLIN : 0u) | (what & CURL_POLL_OUT ? EPOLLOUT : 0u);
    if (epoll_ctl(c->epoll_fd, EPOLL_CTL_MOD, fd, &e) == 0)
        return 0;
    return epoll_ctl(c->epoll_fd, EPOLL_CTL_ADD, fd, &e) == 0 ? 0 : -1;
}

static int watch_time(CURLM *multi, long ms, void *user)
{
    struct kube_client *c = user;
    (void)multi;
    if (ms < 0)
        timer_stop(ring_timers(c->ring), &c->curl_timer);
    else
        timer_start(ring_timers(c->ring), &c->curl_timer, (uint64_t)ms);
    return 0;
}

static void drive(struct kube_client *c, curl_socket_t fd, int events)
{
    int running;
    c->in_curl = true;
    (void)curl_multi_socket_action(c->multi, fd, events, &running);
    c->in_curl = false;
}

static void curl_time(struct timer *t)
{
    struct kube_client *c = container_of(t, struct kube_client, curl_timer);
    drive(c, CURL_SOCKET_TIMEOUT, 0);
    kube_transfers_finish(c);
}

static void readable(struct ring_op *op, int result)
{
    struct kube_client *c = container_of(op, struct kube_client, poll_op);
    struct epoll_event events[EVENTS];
    (void)result;
    int n = epoll_wait(c->epoll_fd, events, EVENTS, 0);
    for (int i = 0; i < n; i++) {
        uint32_t e = events[i].events;
        drive(c, events[i].data.fd,
              (e & EPOLLIN ? CURL_CSELECT_IN : 0) | (e & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                  (e & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0));
    }
    ring_poll(c->ring, &c->poll_op, c->epoll_fd, POLLIN, readable);
    kube_transfers_finish(c);
}

/* ---- Credentials ---------------------------------------------------------------------------- */

void kube_client_refresh(struct kube_client *c)
{
    char why[KUBE_WHY_MAX];
    uint64_t now_ms = ring_now_ms(c->ring);
    if (!c->stale && now_ms - c->refreshed_ms < REFRESH_MS)
        return;
    c->stale = false;
    c->refreshed_ms = now_ms;
    int err = kube_config_refresh(c->config, why);
    if (err < 0 && !c->refresh_failed)
        log_warn("kube", "%s; what was read before stays in use", why);
    c->refresh_failed = err < 0;
}

/* ---- Life ----------------------------------------------------------------------------------- */

static void client_free(struct kube_client *c)
{
    if (c->multi)
        curl_multi_cleanup(c->multi); /* it may ask for the timer once more */
    timer_stop(ring_timers(c->ring), &c->curl_timer);
    if (c->epoll_fd >= 0)
        close(c->epoll_fd);
    kube_config_free(c->config);
    free(c);
}

static void drained(struct ring_scope *scope)
{
    struct kube_client *c = container_of(scope, struct kube_client, scope);
    void (*closed)(void *arg) = c->closed;
    void *arg = c->closed_arg;
    client_free(c);
    if (closed)
        closed(arg);
}

static int multi_open(struct kube_client *c)
{
    c->multi = curl_multi_init();
    if (!c->multi || curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, watch_socket) ||
        curl_multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c) ||
        curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, watch_time) ||
        curl_multi_setopt(c->multi, CURLMOPT_TIMERDATA, c) ||
        curl_multi_setopt(c->multi, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX))
        return -ENOMEM;
    return 0;
}

int kube_client_open(struct kube_client **ret, struct ring *ring, struct kube_config *taken_config)
{
    static bool initialized;
    if (!initialized && curl_global_init(CURL_GLOBAL_DEFAULT) != 0) {
        kube_config_free(taken_config);
        return -ENOMEM;
    }
    initialized = true;
    struct kube_client *c = calloc(1, sizeof *c);
    if (!c) {
        kube_config_free(taken_config);
        return -ENOMEM;
    }
    c->ring = ring;
    c->config = taken_config;
    c->refreshed_ms = ring_now_ms(ring);
    list_init(&c->transfers);
    list_init(&c->waiting);
    timer_init(&c->curl_timer, curl_time);
    ring_task_init(&c->begin_task, kube_transfers_begin);
    c->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    int err = c->epoll_fd < 0 ? -errno : multi_open(c);
    if (err < 0) {
        client_free(c);
        return err;
    }
    ring_scope_init(&c->scope, ring, drained);
    ring_op_init(&c->poll_op, &c->scope);
    ring_poll(ring, &c->poll_op, c->epoll_fd, POLLIN, readable);
    *ret = c;
    return 0;
}

void kube_client_close(struct kube_client *c, void (*closed)(void *arg), void *arg)
{
    c->closed = closed;
    c->closed_arg = arg;
    ring_task_cancel(&c->begin_task);
    kube_transfers_drop(c);
    ring_scope_close(&c->scope);
}

const char *kube_client_server(const struct kube_client *c)
{
    return c->config->server;
}

const char *kube_library(void)
{
    static char text[32];
    struct text_out out = TEXT_OUT(text);
    text_printf(&out, "libcurl %s", curl_version_info(CURLVERSION_NOW)->version);
    return text;
}
