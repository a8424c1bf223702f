#include "shared/kube/kube_transfer.h"
#include "shared/base/log.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { DEADLINE_MS = 30000, SILENT_PEER_MS = 45000 };

/* ---- What libcurl tells --------------------------------------------------------------------- */

static size_t take_bytes(char *data, size_t size, size_t n, void *user)
{
    struct kube_transfer *t = user;
    struct kube_request *q = t->request;
    size_t len = size * n;
    if (!q)
        return 0;
    if (t->silence_ms)
        timer_start(ring_timers(t->client->ring), &t->silence, t->silence_ms);
    if (q->piece) {
        long status = 0;
        curl_easy_getinfo(t->easy.curl, CURLINFO_RESPONSE_CODE, &status);
        q->status = (unsigned)status;
        q->piece(q, (struct text){data, len});
        return t->request ? len : 0;
    }
    text_heap_put(&t->answer, (struct text){data, len});
    return t->answer.failed ? 0 : len;
}

static size_t take_header(char *data, size_t size, size_t n, void *user)
{
    static const struct text name = {"retry-after", 11};
    struct kube_transfer *t = user;
    struct text line = {data, size * n}, head, value;
    uint64_t seconds;
    if (!t->request)
        return 0;
    if (t->silence_ms)
        timer_start(ring_timers(t->client->ring), &t->silence, t->silence_ms);
    if (text_split(line, ':', &head, &value) && text_equal_nocase(head, name)) {
        while (value.len > 0 &&
               (value.data[value.len - 1] == '\n' || value.data[value.len - 1] == '\r'))
            value.len--;
        if (text_to_u64(text_trim(value), 86400, &seconds) == 0)
            t->retry_after_ms = seconds * 1000;
    }
    return size * n;
}

/* A peer that does not even acknowledge is given up by the kernel, and with it the connection that
 * other streams share. */
static int prepare_socket(void *user, curl_socket_t fd, curlsocktype purpose)
{
    const int on = 1, idle_s = 15, between_s = 10, probes = 3;
    const unsigned silent_ms = SILENT_PEER_MS;
    (void)user;
    (void)purpose;
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &between_s, sizeof between_s);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &silent_ms, sizeof silent_ms);
    return CURL_SOCKOPT_OK;
}

/* ---- The end of one ------------------------------------------------------------------------- */

static void transfer_free(struct kube_transfer *t)
{
    struct kube_client *c = t->client;
    timer_stop(ring_timers(c->ring), &t->deadline);
    timer_stop(ring_timers(c->ring), &t->silence);
    if (t->added)
        curl_multi_remove_handle(c->multi, t->easy.curl);
    kube_easy_done(&t->easy);
    text_heap_done(&t->answer);
    if (t->request)
        t->request->transfer = NULL;
    list_remove(&t->link);
    list_remove(&t->waiting);
    c->n_transfers--;
    free(t);
}

static void transfer_finish(struct kube_transfer *t, int error)
{
    struct kube_client *c = t->client;
    struct kube_request *q = t->request;
    long status = 0;
    if (!q) {
        transfer_free(t);
        return;
    }
    curl_easy_getinfo(t->easy.curl, CURLINFO_RESPONSE_CODE, &status);
    struct text_heap answer = t->answer;
    char why[sizeof t->why];
    memcpy(why, t->why, sizeof why);
    text_heap_init(&t->answer, 0);
    q->status = (unsigned)status;
    q->error = error;
    q->retry_after_ms = t->retry_after_ms;
    q->answer = (struct text){answer.data ? answer.data : "", answer.len};
    q->why = why[0] || error == 0 ? why : strerror(-error);
    if (error == -ETIMEDOUT)
        c->distrust = true;
    else if (t->fresh && error == 0)
        c->distrust = false;
    if (status == 401)
        c->stale = true;
    transfer_free(t);
    q->done(q);
    text_heap_done(&answer);
}

static void too_late(struct kube_transfer *t, const char *what)
{
    if (!t->why[0])
        snprintf(t->why, sizeof t->why, "%s", what);
    transfer_finish(t, -ETIMEDOUT);
}

static void deadline_passed(struct timer *timer)
{
    too_late(container_of(timer, struct kube_transfer, deadline), "the answer took too long");
}

static void silent_too_long(struct timer *timer)
{
    too_late(container_of(timer, struct kube_transfer, silence), "nothing came for too long");
}

void kube_transfers_finish(struct kube_client *c)
{
    CURLMsg *m;
    int left;
    while (!c->scope.closing && (m = curl_multi_info_read(c->multi, &left))) {
        struct kube_transfer *t = NULL;
        CURLcode code = m->data.result;
        if (m->msg != CURLMSG_DONE || curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &t))
            continue;
        transfer_finish(t, kube_easy_error(code));
    }
}

void kube_transfers_drop(struct kube_client *c)
{
    list_for_each (n, &c->transfers)
        transfer_free(container_of(n, struct kube_transfer, link));
}

void kube_cancel(struct kube_request *q)
{
    struct kube_transfer *t = q->transfer;
    if (!t)
        return;
    q->transfer = NULL;
    t->request = NULL;
    if (!t->client->in_curl)
        transfer_free(t); /* else it ends by its next byte, which is now, or by its timers */
}

/* ---- The beginning of one ------------------------------------------------------------------- */

/* Sets an option; the first failure is remembered. */
#define SET(t, option, value)                                                                      \
    do {                                                                                           \
        if (ok)                                                                                    \
            ok = curl_easy_setopt((t)->easy.curl, (option), (value)) == CURLE_OK;                  \
    } while (0)

static bool set_transport(struct kube_transfer *t)
{
    bool ok = true;
    SET(t, CURLOPT_PRIVATE, t);
    SET(t, CURLOPT_ERRORBUFFER, t->why);
    SET(t, CURLOPT_QUICK_EXIT, 1L); /* a name look-up that hangs does not hold us */
    SET(t, CURLOPT_PIPEWAIT, 1L);
    SET(t, CURLOPT_SOCKOPTFUNCTION, prepare_socket);
    SET(t, CURLOPT_WRITEFUNCTION, take_bytes);
    SET(t, CURLOPT_WRITEDATA, t);
    SET(t, CURLOPT_HEADERFUNCTION, take_header);
    SET(t, CURLOPT_HEADERDATA, t);
    SET(t, CURLOPT_FRESH_CONNECT, t->fresh ? 1L : 0L);
    return ok;
}

static void start_timers(struct kube_transfer *t, const struct kube_call *call)
{
    struct timer_wheel *timers = ring_timers(t->client->ring);
    uint64_t deadline_ms = call->deadline_ms;
    if (deadline_ms == 0 && call->silence_ms == 0)
        deadline_ms = DEADLINE_MS;
    t->silence_ms = call->silence_ms;
    if (deadline_ms)
        timer_start(timers, &t->deadline, deadline_ms);
    if (t->silence_ms)
        timer_start(timers, &t->silence, t->silence_ms);
}

int kube_send(struct kube_client *c, struct kube_request *q, const struct kube_call *call)
{
    if (c->n_transfers >= KUBE_REQUESTS_MAX)
        return -ENOBUFS;
    struct kube_transfer *t = calloc(1, sizeof *t);
    if (!t)
        return -ENOMEM;
    kube_client_refresh(c);
    *t = (struct kube_transfer){.client = c, .easy = {.curl = curl_easy_init()}, .fresh = c->distrust};
    list_push_back(&c->transfers, &t->link);
    list_push_back(&c->waiting, &t->waiting);
    c->n_transfers++;
    timer_init(&t->deadline, deadline_passed);
    timer_init(&t->silence, silent_too_long);
    text_heap_init(&t->answer, call->answer_max ? call->answer_max : KUBE_ANSWER_MAX);
    if (!t->easy.curl || !set_transport(t) || kube_easy_set(&t->easy, c->config, call) < 0) {
        transfer_free(t);
        return -ENOMEM;
    }
    t->request = q;
    q->transfer = t;
    q->status = 0;
    start_timers(t, call);
    ring_task_ask(c->ring, &c->begin_task);
    return 0;
}

void kube_transfers_begin(struct ring_task *task)
{
    struct kube_client *c = container_of(task, struct kube_client, begin_task);
    struct list *n;
    while ((n = list_pop_front(&c->waiting))) {
        struct kube_transfer *t = container_of(n, struct kube_transfer, waiting);
        t->added = curl_multi_add_handle(c->multi, t->easy.curl) == CURLM_OK;
        if (!t->added)
            transfer_finish(t, -ENOMEM);
    }
}
