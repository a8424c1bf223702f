#include "shared/service/admin.h"

#include "shared/ring/socket.h"
#include "shared/transport/conn.h"
#include "shared/transport/listener.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    CONNECTIONS_MAX = 64,   /* per socket */
    IDLE_MS = 60 * 1000,    /* for a whole request; for a client to read the next part of an answer */
    LINGER_MS = 2 * 1000,   /* after our end: what the client still sends must not reset our answer away */
    BACKLOG = 64,
    PART = 64 * 1024,       /* of an answer, copied into the queue at once */
    IN_MAX = 64 * 1024,     /* bytes of later requests that wait for the present one */
};

struct admin_socket {
    struct admin *admin;
    struct listener listener;
    uint64_t mask;
    struct list link;
    char *path; /* NULL: TCP */
    dev_t device;
    ino_t inode;
};

struct admin {
    struct ring *ring;
    const struct admin_route *routes;
    size_t n_routes;
    struct list sockets, exchanges;
    size_t n_sockets, n_listening;
    struct ring_task end_task;
    bool closing;
    void (*drained)(void *arg);
    void *drained_arg;
};

enum state {
    READING,   /* a request, or waiting for one */
    HANDLING,  /* the handler owes an answer */
    WRITING,   /* an answer's body */
    FINISHING, /* our last answer leaves */
    LINGERING, /* it has left; waiting for the client's end */
};

/* A connection and the one request on it that is being answered. Owned by the admin; an exchange that is being handled
 * when its connection ends is owned by whoever will answer it. */
struct admin_exchange {
    struct admin *admin; /* NULL: the connection is gone */
    struct admin_socket *socket;
    struct conn conn;
    struct http1 *http1;
    struct list link;
    struct timer timer;
    struct ring_task next_task;
    struct buf in;
    enum state state;
    bool keep_alive, head_only, answered;
    char *body; /* of the answer, what did not go into the queue at once */
    size_t body_len, body_sent;
};

static void socket_free(struct admin_socket *s)
{
    free(s->path);
    free(s);
}

static void exchange_free(struct admin_exchange *x)
{
    http1_free(x->http1);
    buf_done(&x->in);
    free(x->body);
    free(x);
}

static struct timer_wheel *timers(const struct admin_exchange *x)
{
    return ring_timers(x->conn.ring);
}

/* ---- the end --------------------------------------------------------------------------------- */

static void end_run(struct ring_task *task)
{
    struct admin *a = container_of(task, struct admin, end_task);
    void (*drained)(void *arg) = a->drained;
    void *arg = a->drained_arg;

    for (struct list *n; (n = list_pop_front(&a->sockets));)
        socket_free(container_of(n, struct admin_socket, link));
    free(a);
    if (drained)
        drained(arg);
}

static void end_if_empty(struct admin *a)
{
    if (a->closing && a->n_listening == 0 && list_empty(&a->exchanges))
        ring_task_ask(a->ring, &a->end_task);
}

static void exchange_close(struct admin_exchange *x)
{
    timer_stop(timers(x), &x->timer);
    ring_task_cancel(&x->next_task);
    conn_close(&x->conn);
}

static void exchange_drained(struct conn *c)
{
    struct admin_exchange *x = container_of(c, struct admin_exchange, conn);
    struct admin *a = x->admin;

    list_remove(&x->link);
    listener_release(&x->socket->listener);
    buf_done(&x->in); /* The ring's chunks may not outlive the ring; an answer may come after it. */
    x->admin = NULL;
    if (x->state != HANDLING)
        exchange_free(x);
    end_if_empty(a);
}

/* ---- answers --------------------------------------------------------------------------------- */

static const char *reason(unsigned status)
{
    static const struct {
        unsigned status;
        const char *text;
    } reasons[] = {
        {200, "OK"}, {202, "Accepted"}, {204, "No Content"}, {400, "Bad Request"}, {401, "Unauthorized"},
        {403, "Forbidden"}, {404, "Not Found"}, {405, "Method Not Allowed"}, {409, "Conflict"},
        {413, "Content Too Large"}, {414, "URI Too Long"}, {415, "Unsupported Media Type"},
        {422, "Unprocessable Content"}, {429, "Too Many Requests"}, {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"}, {501, "Not Implemented"}, {503, "Service Unavailable"},
        {505, "HTTP Version Not Supported"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(reasons); i++)
        if (reasons[i].status == status)
            return reasons[i].text;
    return "Unknown";
}

static void pump(struct admin_exchange *x)
{
    struct stream *s = &x->conn.stream;
    struct chunk_pool *pool = ring_chunks(x->conn.ring);

    while (x->body_sent < x->body_len && stream_queued(s) < STREAM_QUEUE_HIGH) {
        struct buf part = {0};
        size_t rest = x->body_len - x->body_sent, n = rest < PART ? rest : PART;
        if (buf_append(&part, pool, x->body + x->body_sent, n) < 0) {
            exchange_close(x);
            return;
        }
        x->body_sent += n;
        stream_send(s, &part);
    }
    timer_start(timers(x), &x->timer, IDLE_MS);
    if (x->body_sent < x->body_len)
        return;
    free(x->body);
    x->body = NULL;
    x->body_len = x->body_sent = 0;
    if (x->keep_alive) {
        x->state = READING;
        x->answered = true;
        if (stream_queued(s) < STREAM_QUEUE_HIGH)
            ring_task_ask(x->conn.ring, &x->next_task);
    } else {
        x->state = FINISHING;
        stream_finish(s);
    }
}

/* Head, and body as far as it is small; a large one is copied once and then goes as the client reads. */
static void respond(struct admin_exchange *x, unsigned status, const char *content_type, const char *allow,
                    struct text body)
{
    struct chunk_pool *pool = ring_chunks(x->conn.ring);
    struct buf out = {0};
    char head[1024];
    struct text_out h = TEXT_OUT(head);

    if (!x->head_only && body.len > PART) {
        x->body = malloc(body.len);
        if (!x->body) {
            status = 503;
            content_type = NULL;
            body = TEXT("No memory for this answer.\n");
            x->keep_alive = false;
        } else {
            memcpy(x->body, body.data, body.len);
            x->body_len = body.len;
        }
    }
    text_printf(&h, "HTTP/1.1 %u %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n", status, reason(status),
                content_type ? content_type : "text/plain; charset=utf-8", body.len);
    if (allow)
        text_printf(&h, "Allow: %s\r\n", allow);
    text_puts(&h, x->keep_alive ? "\r\n" : "Connection: close\r\n\r\n");
    assert(!h.overflow);

    int r = buf_append(&out, pool, h.data, h.len);
    if (r == 0 && !x->head_only && x->body_len == 0)
        r = buf_append(&out, pool, body.data, body.len);
    x->state = WRITING;
    if (r < 0) {
        buf_done(&out);
        exchange_close(x);
        return;
    }
    stream_send(&x->conn.stream, &out);
    pump(x);
}

void admin_answer(struct admin_exchange *x, unsigned status, const char *content_type, struct text body)
{
    assert(x->state == HANDLING);
    if (!x->admin) {
        exchange_free(x);
        return;
    }
    x->state = WRITING;
    if (!x->conn.closing)
        respond(x, status, content_type, NULL, body);
}

/* ---- requests -------------------------------------------------------------------------------- */

static void refuse(struct admin_exchange *x, unsigned status)
{
    char text[128];
    struct text_out t = TEXT_OUT(text);

    text_printf(&t, "%u %s\n", status, reason(status));
    x->keep_alive = false;
    x->head_only = false;
    respond(x, status, NULL, NULL, (struct text){t.data, t.len});
}

static bool is_served(const struct admin_exchange *x, size_t i)
{
    return x->socket->mask >> i & 1;
}

static void not_found(struct admin_exchange *x)
{
    const struct admin *a = x->admin;
    char text[4096];
    struct text_out t = TEXT_OUT(text);

    text_puts(&t, "There is nothing at this path. Here are:\n");
    for (size_t i = 0; i < a->n_routes; i++)
        if (is_served(x, i))
            text_printf(&t, "%s %s\n", a->routes[i].method, a->routes[i].path);
    respond(x, 404, NULL, NULL, (struct text){t.data, t.len});
}

static void wrong_method(struct admin_exchange *x, struct text path)
{
    const struct admin *a = x->admin;
    char allow[256], text[512];
    struct text_out l = TEXT_OUT(allow), t = TEXT_OUT(text);

    for (size_t i = 0; i < a->n_routes; i++) {
        if (!is_served(x, i) || !text_equal(path, text_of(a->routes[i].path)))
            continue;
        text_printf(&l, "%s%s", l.len > 0 ? ", " : "", a->routes[i].method);
        if (strcmp(a->routes[i].method, "GET") == 0)
            text_puts(&l, ", HEAD");
    }
    text_printf(&t, "This path takes %s.\n", l.data);
    respond(x, 405, NULL, l.data, (struct text){t.data, t.len});
}

static void dispatch(struct admin_exchange *x)
{
    const struct admin *a = x->admin;
    const struct http1_request *q = http1_request(x->http1);
    bool path_known = false;

    x->keep_alive = q->keep_alive && !x->conn.peer_ended;
    x->head_only = text_equal(q->method, TEXT("HEAD"));
    struct text method = x->head_only ? TEXT("GET") : q->method;
    for (size_t i = 0; i < a->n_routes; i++) {
        const struct admin_route *route = &a->routes[i];
        if (!is_served(x, i) || !text_equal(q->path, text_of(route->path)))
            continue;
        path_known = true;
        if (!text_equal(method, text_of(route->method)))
            continue;
        x->state = HANDLING;
        timer_stop(timers(x), &x->timer);
        route->handle(x, q, route->arg);
        return;
    }
    if (path_known)
        wrong_method(x, q->path);
    else
        not_found(x);
}

/* One request, if one is there. Its answer asks for the next, so that no answer calls a handler. */
static void next_run(struct ring_task *task)
{
    struct admin_exchange *x = container_of(task, struct admin_exchange, next_task);
    int r = 0;

    if (x->state != READING || x->conn.closing)
        return;
    if (x->answered) {
        x->answered = false;
        r = http1_next(x->http1);
    }
    if (r == 0 && x->in.len > 0)
        r = http1_input(x->http1, &x->in);
    if (r < 0) {
        refuse(x, (unsigned)-r);
    } else if (r > 0) {
        dispatch(x);
    } else {
        stream_resume(&x->conn.stream);
        if (x->conn.peer_ended) {
            x->state = FINISHING;
            stream_finish(&x->conn.stream);
        }
    }
}

/* ---- events of the connection ------------------------------------------------------------------ */

static struct admin_exchange *exchange_of(struct stream *s)
{
    return s->user;
}

static void exchange_received(struct stream *s, struct buf *bytes)
{
    struct admin_exchange *x = exchange_of(s);

    if (x->state == FINISHING || x->state == LINGERING) {
        buf_done(bytes);
        return;
    }
    buf_move(&x->in, bytes);
    if (x->state == READING)
        ring_task_ask(x->conn.ring, &x->next_task);
    else if (x->in.len > IN_MAX)
        stream_pause(s);
}

static void exchange_ended(struct stream *s)
{
    struct admin_exchange *x = exchange_of(s);

    if (x->state == LINGERING)
        exchange_close(x);
    else if (x->state == READING)
        ring_task_ask(x->conn.ring, &x->next_task); /* after what has come before the end */
}

static void exchange_writable(struct stream *s)
{
    struct admin_exchange *x = exchange_of(s);

    if (x->state == WRITING)
        pump(x);
    else if (x->state == READING && x->answered)
        ring_task_ask(x->conn.ring, &x->next_task);
}

static void exchange_finished(struct stream *s)
{
    struct admin_exchange *x = exchange_of(s);

    if (x->conn.peer_ended) {
        exchange_close(x);
        return;
    }
    x->state = LINGERING;
    stream_resume(s);
    timer_start(timers(x), &x->timer, LINGER_MS);
}

static void exchange_failed(struct stream *s, int error)
{
    (void)error;
    exchange_close(exchange_of(s));
}

static void exchange_idle(struct timer *t)
{
    exchange_close(container_of(t, struct admin_exchange, timer));
}

static const struct stream_events exchange_stream_events = {
    .received = exchange_received,
    .ended = exchange_ended,
    .writable = exchange_writable,
    .finished = exchange_finished,
    .failed = exchange_failed,
};
static const struct conn_events exchange_conn_events = {.drained = exchange_drained};

/* ---- sockets --------------------------------------------------------------------------------- */

static void socket_accepted(struct listener *l, int taken_fd)
{
    struct admin_socket *s = l->user;
    struct admin *a = s->admin;
    struct admin_exchange *x = calloc(1, sizeof *x);

    if (!x || http1_new(&x->http1, &(struct http1_options){0}) < 0) {
        free(x);
        socket_close(taken_fd);
        listener_release(l);
        return;
    }
    x->admin = a;
    x->socket = s;
    list_push_back(&a->exchanges, &x->link);
    timer_init(&x->timer, exchange_idle);
    ring_task_init(&x->next_task, next_run);
    conn_init(&x->conn, a->ring, taken_fd, &exchange_conn_events);
    x->conn.stream.events = &exchange_stream_events;
    x->conn.stream.user = x;
    timer_start(timers(x), &x->timer, IDLE_MS);
    conn_start(&x->conn);
}

static void socket_drained(struct listener *l)
{
    struct admin_socket *s = l->user;

    s->admin->n_listening--;
    end_if_empty(s->admin);
}

/* Takes the path, and the descriptor unless it fails. */
static int socket_add(struct admin *a, int taken_fd, char *taken_path, uint64_t mask)
{
    struct admin_socket *s = calloc(1, sizeof *s);
    struct stat file;

    if (!s) {
        free(taken_path);
        return -ENOMEM;
    }
    *s = (struct admin_socket){.admin = a, .mask = mask, .path = taken_path};
    if (taken_path && stat(taken_path, &file) == 0) {
        s->device = file.st_dev;
        s->inode = file.st_ino;
    }
    list_push_back(&a->sockets, &s->link);
    a->n_sockets++;
    a->n_listening++;
    listener_open(&s->listener, a->ring, taken_fd, CONNECTIONS_MAX, socket_accepted, socket_drained, s);
    return 0;
}

int admin_listen_tcp(struct admin *a, const struct addr *at, uint64_t mask)
{
    int fd;

    if (a->n_sockets >= ADMIN_SOCKETS_MAX)
        return -ENOSPC;
    int r = socket_listen(at, BACKLOG, false, &fd);
    if (r < 0)
        return r;
    r = socket_add(a, fd, NULL, mask);
    if (r < 0)
        socket_close(fd);
    return r;
}

/* Removes the file, unless another process has put its own socket there meanwhile. */
static void socket_remove_file(const struct admin_socket *s)
{
    struct stat file;

    if (s->path && stat(s->path, &file) == 0 && file.st_dev == s->device && file.st_ino == s->inode)
        (void)unlink(s->path);
}

int admin_listen_unix(struct admin *a, const char *path, unsigned mode, uint64_t mask)
{
    int fd;

    if (a->n_sockets >= ADMIN_SOCKETS_MAX)
        return -ENOSPC;
    char *copy = text_dup(text_of(path));
    if (!copy)
        return -ENOMEM;
    int r = socket_listen_unix(path, mode, &fd);
    if (r < 0) {
        free(copy);
        return r;
    }
    r = socket_add(a, fd, copy, mask);
    if (r < 0) {
        socket_close(fd);
        (void)unlink(path);
    }
    return r;
}

int admin_local(const struct admin *a, size_t i, struct addr *ret)
{
    list_for_each(n, &a->sockets)
        if (i-- == 0)
            return socket_local(container_of(n, struct admin_socket, link)->listener.fd, ret);
    return -ENOENT;
}

/* ---- the whole --------------------------------------------------------------------------------- */

int admin_new(struct admin **ret, struct ring *ring, const struct admin_route *routes, size_t n_routes)
{
    assert(n_routes <= ADMIN_ROUTES_MAX);
    struct admin *a = calloc(1, sizeof *a);
    if (!a)
        return -ENOMEM;
    *a = (struct admin){.ring = ring, .routes = routes, .n_routes = n_routes};
    list_init(&a->sockets);
    list_init(&a->exchanges);
    ring_task_init(&a->end_task, end_run);
    *ret = a;
    return 0;
}

void admin_close(struct admin *a, void (*drained)(void *arg), void *arg)
{
    assert(!a->closing);
    a->closing = true;
    a->drained = drained;
    a->drained_arg = arg;
    list_for_each(n, &a->sockets) {
        struct admin_socket *s = container_of(n, struct admin_socket, link);
        socket_remove_file(s);
        listener_close(&s->listener);
    }
    list_for_each(n, &a->exchanges)
        exchange_close(container_of(n, struct admin_exchange, link));
    end_if_empty(a);
}
