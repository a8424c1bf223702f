#include "nodeproxy/spiffe/workload_api.h"

#include "shared/base/log.h"
#include "shared/grpc/grpc.h"
#include "shared/ring/socket.h"
#include "shared/tls/digest.h"
#include "shared/xds/spiffe_workload.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif
#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

enum { CHAIN_DER_MAX = X509_CHAIN_MAX * X509_DER_MAX, ROOTS_MAX = 16, KEY_DER_MAX = 256 };

/* Who shares a bound before it is known who they are: a pod's processes, or one user's of the node. */
struct crowd {
    uint64_t netns; /* the kernel's number of the namespace that was called from */
    uid_t uid;      /* of this process's own namespace; elsewhere 0 */
};
struct api_conn { /* owned by `all`, freed when it has drained */
    struct list link;
    struct workload_api *api;
    struct h2_conn h2;
    struct list calls;
    struct crowd crowd;
    char holder[WORKLOAD_API_HOLDER_MAX]; /* "": nobody's process */
};
enum api_kind { API_SVID, API_BUNDLES };
struct api_call { /* one stream; freed in its closed event */
    struct list link;
    struct grpc_call call;
    struct api_conn *conn;
    enum api_kind kind;
    bool asked, finished;
    struct told { /* what was sent last; all zero: nothing yet */
        char serial[2 * X509_SERIAL_MAX + 1]; /* "" where bundles are asked for */
        uint8_t roots[DIGEST_BYTES];
    } told;
};

/* ---- answers ---- */

static void finish(struct api_call *c, enum grpc_status status, const char *message)
{
    if (c->finished)
        return;
    c->finished = true;
    c->conn->api->refusals += status != GRPC_OK;
    grpc_call_finish(&c->call, status, message);
}

/* DER one after another; -EMSGSIZE. */
static int put_all(const char *pem, size_t n_max, uint8_t *out, size_t size, size_t *ret_len)
{
    struct x509 *all = calloc(n_max, sizeof *all);
    size_t n = 0, len = 0;
    const char *why;
    if (!all)
        return -ENOMEM;
    int r = x509_from_pem(text_of(pem), all, n_max, &n, &why);
    for (size_t i = 0; r == 0 && i < n; i++) {
        if (all[i].der_len > size - len) {
            r = -EMSGSIZE;
            break;
        }
        memcpy(out + len, all[i].der, all[i].der_len);
        len += all[i].der_len;
    }
    for (size_t i = 0; i < n; i++)
        x509_done(&all[i]);
    free(all);
    *ret_len = len;
    return r;
}

static int encode(enum api_kind kind, const struct credential *c, uint8_t *room, struct xds_bytes *ret)
{
    size_t roots_len, chain_len = 0, key_len = 0;
    uint8_t *roots = room, *chain, key[KEY_DER_MAX];
    int r = put_all(c->roots_pem, ROOTS_MAX, roots, CHAIN_DER_MAX, &roots_len);
    if (r < 0)
        return r;
    const struct text bundle = {(const char *)roots, roots_len};
    if (kind == API_BUNDLES)
        return spiffe_bundle_encode(spiffe_id_trust_domain(&c->id), bundle, ret);
    chain = room + CHAIN_DER_MAX;
    r = put_all(c->chain_pem, X509_CHAIN_MAX, chain, CHAIN_DER_MAX, &chain_len);
    if (r == 0)
        r = key_to_der(c->key, key, sizeof key, &key_len);
    if (r == 0) {
        const struct spiffe_svid svid = {.id = spiffe_id_text(&c->id),
                                         .chain = {(const char *)chain, chain_len},
                                         .key = {(const char *)key, key_len},
                                         .bundle = bundle};
        r = spiffe_svid_encode(&svid, ret);
    }
    key_wipe(key, sizeof key);
    return r;
}

static int send_credential(struct api_call *c, const struct credential *credential)
{
    struct xds_bytes bytes = {0};
    uint8_t *room = malloc(2 * CHAIN_DER_MAX);
    int r = room ? encode(c->kind, credential, room, &bytes) : -ENOMEM;
    free(room);
    if (r < 0)
        return r;
    r = grpc_call_send(&c->call, bytes.data, bytes.len);
    key_wipe(bytes.data, bytes.len);
    xds_bytes_done(&bytes);
    return r;
}

/* What that would tell: roots change without another certificate, and certificates without other roots. */
static int what_is_told(enum api_kind kind, const struct credential *credential, struct told *ret)
{
    struct told t = {0};
    if (kind == API_SVID)
        snprintf(t.serial, sizeof t.serial, "%s", credential->serial);
    int r = digest_sha256(text_of(credential->roots_pem), t.roots);
    *ret = t;
    return r;
}

static void look_at(struct api_call *c)
{
    struct workload_api *w = c->conn->api;
    bool gone = false;
    if (!c->asked || c->finished || w->closing)
        return;
    const struct credential *credential = w->events->credential(w->arg, c->conn->holder, &gone);
    if (gone) {
        finish(c, GRPC_PERMISSION_DENIED, "no identity is issued to this process any more");
        return;
    }
    /* A reader that does not read has what it was sent before; the newest comes when it has. */
    if (!credential || grpc_call_queued(&c->call) > STREAM_QUEUE_HIGH)
        return;
    struct told now;
    int r = what_is_told(c->kind, credential, &now);
    if (r == 0 && memcmp(&now, &c->told, sizeof now) == 0)
        return;
    if (r < 0 || send_credential(c, credential) < 0) {
        finish(c, GRPC_RESOURCE_EXHAUSTED, "the node proxy is out of memory");
        return;
    }
    c->told = now;
    w->answers++;
}

static void look(struct ring_task *task)
{
    struct workload_api *w = container_of(task, struct workload_api, look);
    list_for_each (n, &w->all) {
        struct api_conn *conn = container_of(n, struct api_conn, link);
        list_for_each (m, &conn->calls)
            look_at(container_of(m, struct api_call, link));
    }
}

/* ---- calls ---- */

static void call_message(struct grpc_call *call, const uint8_t *data, size_t len)
{
    struct api_call *c = call->user;
    (void)data; /* nothing is asked for but what the path says */
    (void)len;
    if (c->asked)
        return;
    c->asked = true;
    look_at(c);
}

static void call_half_closed(struct grpc_call *call)
{
    struct api_call *c = call->user;
    if (!c->asked)
        finish(c, GRPC_INVALID_ARGUMENT, "a request message is needed");
}

static void call_writable(struct grpc_call *call)
{
    look_at(call->user);
}

static void call_closed(struct grpc_call *call, enum grpc_status status, struct text message)
{
    struct api_call *c = call->user;
    (void)status;
    (void)message;
    list_remove(&c->link);
    free(c);
}

static const struct grpc_call_events call_events = {.message = call_message,
                                                    .half_closed = call_half_closed,
                                                    .writable = call_writable,
                                                    .closed = call_closed};

static void judge(struct api_call *c, struct text path, struct text header)
{
    static const struct {
        struct text path;
        enum api_kind kind;
    } served[] = {{{SPIFFE_WORKLOAD_SERVICE "FetchX509SVID", 32}, API_SVID},
                  {{SPIFFE_WORKLOAD_SERVICE "FetchX509Bundles", 35}, API_BUNDLES}};
    if (!text_equal(header, TEXT("true"))) {
        finish(c, GRPC_INVALID_ARGUMENT, "the metadata workload.spiffe.io: true is needed");
        return;
    }
    for (size_t i = 0; i < ARRAY_SIZE(served); i++) {
        if (!text_equal(path, served[i].path))
            continue;
        c->kind = served[i].kind;
        if (!c->conn->holder[0])
            finish(c, GRPC_PERMISSION_DENIED, "no identity is issued to this process");
        return;
    }
    finish(c, GRPC_UNIMPLEMENTED, "only FetchX509SVID and FetchX509Bundles are served");
}

static struct http2_stream *conn_request(struct h2_conn *h, const struct http2_head *head,
                                         unsigned *ret_status)
{
    struct api_conn *conn = container_of(h, struct api_conn, h2);
    struct text path, bearer;
    if (grpc_request_check(head, &path, &bearer, ret_status) < 0)
        return NULL;
    struct api_call *c = calloc(1, sizeof *c);
    if (!c) {
        *ret_status = 503;
        return NULL;
    }
    c->conn = conn;
    list_push_back(&conn->calls, &c->link);
    grpc_call_accept(&c->call, ring_chunks(conn->api->ring), 4096, &call_events, c);
    judge(c, path, http2_head_get(head, TEXT("workload.spiffe.io")));
    return &c->call.stream;
}

/* ---- connections ---- */

static void look_drained(struct workload_api *w)
{
    if (!w->closing || !w->listener_gone || !list_empty(&w->all) || !w->drained)
        return;
    void (*drained)(void *) = w->drained;
    w->drained = NULL;
    free(w->path);
    w->path = NULL;
    drained(w->drained_arg);
}

static void conn_ready(struct h2_conn *h)
{
    (void)h;
}

static void conn_closed(struct h2_conn *h, int error)
{
    (void)error;
    h2_conn_close(h);
}

static void conn_drained(struct h2_conn *h)
{
    struct api_conn *conn = container_of(h, struct api_conn, h2);
    struct workload_api *w = conn->api;
    list_remove(&conn->link);
    free(conn);
    listener_release(&w->listener);
    look_drained(w);
}

static const struct h2_conn_events conn_events = {.ready = conn_ready,
                                                  .request = conn_request,
                                                  .closed = conn_closed,
                                                  .drained = conn_drained};

/* The process that connected is held by its descriptor, where the kernel gives one (Linux 6.5): it is
 * the same one after it was looked at. A kernel that has none does not know the option, and only then
 * the number is believed, which may be another's by now, in theory: of a process that has ended
 * already there is no descriptor either (EINVAL, ESRCH), and it is nobody. */
static int find_holder(struct workload_api *w, int fd, char ret[static WORKLOAD_API_HOLDER_MAX])
{
    struct ucred of = {0};
    socklen_t len = sizeof of;
    int pidfd = -1;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &of, &len) < 0 || of.pid <= 0)
        return -EACCES;
    len = sizeof pidfd;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &len) < 0) {
        if (errno != ENOPROTOOPT)
            return -EACCES;
        pidfd = -1;
    }
    const struct workload_api_caller caller = {of.pid, of.uid};
    int r = w->events->holder(w->arg, &caller, ret);
    struct pollfd ended = {.fd = pidfd, .events = POLLIN};
    if (r == 0 && pidfd >= 0 && poll(&ended, 1, 0) != 0)
        r = -EACCES;
    if (pidfd >= 0)
        close(pidfd);
    return r;
}

/* By what the kernel says of the connection alone: that costs nothing, and decides nothing but which
 * bound it is under. Before Linux 5.14 there are users alone. */
static struct crowd crowd_of(const struct workload_api *w, int fd)
{
    struct crowd c = {0};
    struct ucred of = {0};
    socklen_t len = sizeof c.netns;
    if (getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &c.netns, &len) < 0)
        c.netns = 0;
    len = sizeof of;
    if (c.netns == w->netns && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &of, &len) == 0)
        c.uid = of.uid;
    return c;
}

static size_t count_in(const struct workload_api *w, struct crowd c)
{
    size_t n = 0;
    list_for_each (link, &w->all) {
        const struct crowd *other = &container_of(link, struct api_conn, link)->crowd;
        n += other->netns == c.netns && other->uid == c.uid;
    }
    return n;
}

static size_t count_of(const struct workload_api *w, const char *holder)
{
    size_t n = 0;
    list_for_each (link, &w->all)
        n += strcmp(container_of(link, struct api_conn, link)->holder, holder) == 0;
    return n;
}

static void accepted(struct listener *l, int taken_fd)
{
    struct workload_api *w = l->user;
    const struct h2_conn_options o = {
        .ping_idle = true, .http2 = {.streams_max = WORKLOAD_API_CALLS_MAX}};
    const struct crowd crowd = crowd_of(w, taken_fd);
    /* First the bound that costs nothing: whose process it is the warden is asked, and waited for. */
    bool full = w->closing || count_in(w, crowd) >= WORKLOAD_API_OF_ONE_MAX;
    struct api_conn *conn = full ? NULL : calloc(1, sizeof *conn);
    if (conn && find_holder(w, taken_fd, conn->holder) < 0)
        conn->holder[0] = '\0';
    if (!conn || count_of(w, conn->holder) >= WORKLOAD_API_OF_ONE_MAX) {
        socket_close(taken_fd);
        listener_release(l);
        free(conn);
        return;
    }
    conn->api = w;
    conn->crowd = crowd;
    list_init(&conn->calls);
    if (h2_conn_open_server(&conn->h2, w->ring, taken_fd, &o, &conn_events, conn) < 0) {
        free(conn);
        listener_release(l);
        return;
    }
    list_push_back(&w->all, &conn->link);
}

/* ---- beginning and end ---- */

static void listener_drained(struct listener *l)
{
    struct workload_api *w = l->user;
    w->listener_gone = true;
    look_drained(w);
}

static int listen_beside(const char *path, unsigned mode, int *ret_fd)
{
    char *beside = NULL;
    int fd;
    if (asprintf(&beside, "%s.new", path) < 0)
        return -ENOMEM;
    int r = socket_listen_unix(beside, mode, &fd);
    if (r == 0 && rename(beside, path) < 0) {
        r = -errno;
        (void)unlink(beside);
        socket_close(fd);
    }
    free(beside);
    if (r == 0)
        *ret_fd = fd;
    return r;
}

int workload_api_open(struct workload_api *w, struct ring *ring, const char *path, unsigned mode,
                      const struct workload_api_events *events, void *arg)
{
    int fd = -1;
    *w = (struct workload_api){.ring = ring, .events = events, .arg = arg};
    list_init(&w->all);
    ring_task_init(&w->look, look);
    w->path = text_dup(text_of(path));
    int r = w->path ? listen_beside(path, mode, &fd) : -ENOMEM;
    if (r < 0) {
        free(w->path);
        w->path = NULL;
        return r;
    }
    w->open = true;
    socklen_t len = sizeof w->netns;
    if (getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &w->netns, &len) < 0)
        w->netns = 0;
    listener_open(&w->listener, ring, fd, WORKLOAD_API_MAX, accepted, listener_drained, w);
    return 0;
}

void workload_api_changed(struct workload_api *w)
{
    if (w->open && !w->closing)
        ring_task_ask(w->ring, &w->look);
}

void workload_api_retire(struct workload_api *w)
{
    if (!w->open || w->retired || w->closing)
        return;
    w->retired = true;
    listener_stop(&w->listener);
    list_for_each (n, &w->all)
        h2_conn_drain(&container_of(n, struct api_conn, link)->h2);
}

void workload_api_close(struct workload_api *w, void (*drained)(void *arg), void *arg)
{
    if (!w->open) {
        drained(arg);
        return;
    }
    w->closing = true;
    w->drained = drained;
    w->drained_arg = arg;
    ring_task_cancel(&w->look);
    if (!w->retired)
        (void)unlink(w->path);
    listener_close(&w->listener);
    list_for_each (n, &w->all)
        h2_conn_close(&container_of(n, struct api_conn, link)->h2);
    look_drained(w);
}
