/* The exchanges of the endpoints; see the header. */
#include "shared/service/admin_inside.h"

#include "shared/ring/socket.h"
#include "shared/tls/tls_config.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    IDLE_MS =
        60 * 1000, /* for a whole request; for a client to take STREAM_QUEUE_HIGH of an answer */
    LINGER_MS =
        2 * 1000, /* after our end: what the client still sends must not reset our answer away */
    PART = 64 * 1024,   /* of an answer, copied into the queue at once */
    IN_MAX = 64 * 1024, /* bytes of later requests that wait for the present one */
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
    tls_config_unref(a->tls);
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
    if (x->state == STREAMING)
        x->events->closed(x->events_arg);
    if (x->state != HANDLING)
        exchange_free(x);
    end_if_empty(a);
}

/* ---- answers --------------------------------------------------------------------------------- */

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

/* Takes what is queued at once, the rest of the answer is in x->body. */
static void write_out(struct admin_exchange *x, int result, struct buf *taken_out)
{
    x->state = WRITING;
    if (result < 0) {
        buf_done(taken_out);
        exchange_close(x);
        return;
    }
    stream_send(&x->conn.stream, taken_out);
    pump(x);
}

/* A small body goes with its head; a large one is copied once and then goes as the client reads. */
static void respond(struct admin_exchange *x, unsigned status, const char *content_type,
                    struct text body)
{
    struct chunk_pool *pool = ring_chunks(x->conn.ring);
    struct buf out = {0};
    int r;

    if (!x->head_only && body.len <= PART) {
        r = http1_respond(&out, pool, status, content_type, body, x->keep_alive);
    } else {
        r = http1_respond_head(&out, pool, status, content_type, body.len, x->keep_alive);
        if (!x->head_only && r == 0) {
            x->body = malloc(body.len);
            x->body_len = body.len;
            if (x->body)
                memcpy(x->body, body.data, body.len);
            else
                r = -ENOMEM;
        }
    }
    write_out(x, r, &out);
}

void admin_answer(struct admin_exchange *x, unsigned status, const char *content_type,
                  struct text body)
{
    assert(x->state == HANDLING);
    if (!x->admin) {
        exchange_free(x);
        return;
    }
    x->state = WRITING;
    if (!x->conn.closing)
        respond(x, status, content_type, body);
}

/* ---- an answer without an end ------------------------------------------------------------------ */

int admin_stream_begin(struct admin_exchange *x, const char *content_type,
                       const struct admin_stream_events *events, void *arg)
{
    assert(x->state == HANDLING && x->admin);
    char text[256];
    struct text_out head = TEXT_OUT(text);
    struct buf out = {0};

    x->keep_alive = false;
    if (x->head_only || x->conn.peer_ended) {
        admin_answer(x, 200, content_type, TEXT(""));
        return -ECANCELED;
    }
    text_printf(&head, "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nConnection: close\r\n\r\n",
                content_type);
    x->state = STREAMING;
    x->events = events;
    x->events_arg = arg;
    if (buf_append(&out, ring_chunks(x->conn.ring), head.data, head.len) < 0)
        exchange_close(x);
    else
        stream_send(&x->conn.stream, &out);
    return 0;
}

bool admin_stream_send(struct admin_exchange *x, struct text piece)
{
    struct buf out = {0};

    assert(x->state == STREAMING);
    if (x->conn.closing)
        return false;
    if (stream_queued(&x->conn.stream) >= STREAM_QUEUE_HIGH) {
        if (!x->refused)
            timer_start(timers(x), &x->timer, IDLE_MS);
        x->refused = true;
        return false;
    }
    if (buf_append(&out, ring_chunks(x->conn.ring), piece.data, piece.len) < 0) {
        buf_done(&out);
        exchange_close(x);
        return false;
    }
    stream_send(&x->conn.stream, &out);
    return true;
}

void admin_stream_end(struct admin_exchange *x)
{
    assert(x->state == STREAMING);
    x->state = FINISHING;
    if (x->conn.closing)
        return;
    timer_start(timers(x), &x->timer, IDLE_MS);
    stream_finish(&x->conn.stream);
}

/* ---- requests -------------------------------------------------------------------------------- */

static void refuse(struct admin_exchange *x, unsigned status)
{
    x->keep_alive = false;
    x->head_only = false;
    respond(x, status, NULL, TEXT("This is not a request that is served here.\n"));
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
    respond(x, 404, NULL, (struct text){t.data, t.len});
}

/* RFC 9110, 15.5.6: it must say which methods are allowed. */
static void wrong_method(struct admin_exchange *x, struct text path)
{
    const struct admin *a = x->admin;
    char allow[256], answer[1024];
    struct text_out l = TEXT_OUT(allow), t = TEXT_OUT(answer);
    struct buf out = {0};

    for (size_t i = 0; i < a->n_routes; i++) {
        if (!is_served(x, i) || !text_equal(path, text_of(a->routes[i].path)))
            continue;
        text_printf(&l, "%s%s", l.len > 0 ? ", " : "", a->routes[i].method);
        if (strcmp(a->routes[i].method, "GET") == 0)
            text_puts(&l, ", HEAD");
    }
    static const char sentence[] = "This path takes only: ";
    text_printf(&t,
                "HTTP/1.1 405 Method Not Allowed\r\nAllow: %s\r\nContent-Type: text/plain; "
                "charset=utf-8\r\n"
                "Content-Length: %zu\r\nConnection: %s\r\n\r\n",
                allow, sizeof sentence - 1 + l.len + 1, x->keep_alive ? "keep-alive" : "close");
    text_printf(&t, "%s%s\n", sentence, allow);
    write_out(x, buf_append(&out, ring_chunks(x->conn.ring), t.data, t.len), &out);
}

static void dispatch(struct admin_exchange *x)
{
    const struct admin *a = x->admin;
    const struct http1_request *q = http1_request(x->http1);
    bool path_known = false;

    x->keep_alive = q->keep_alive && !x->conn.peer_ended && !a->retired;
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
        if (http1_wants_continue(x->http1)) {
            struct buf go = {0};
            if (buf_append(&go, ring_chunks(x->conn.ring), HTTP1_CONTINUE,
                           sizeof HTTP1_CONTINUE - 1) == 0)
                stream_send(&x->conn.stream, &go);
        }
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

    if (x->state == FINISHING || x->state == LINGERING || x->state == STREAMING) {
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

    if (x->state == LINGERING || x->state == STREAMING)
        exchange_close(x);
    else if (x->state == READING)
        ring_task_ask(x->conn.ring, &x->next_task); /* after what has come before the end */
}

static void exchange_writable(struct stream *s)
{
    struct admin_exchange *x = exchange_of(s);

    if (x->state == WRITING) {
        pump(x);
    } else if (x->state == STREAMING) {
        timer_stop(timers(x), &x->timer);
        x->refused = false;
        x->events->writable(x->events_arg);
    } else if (x->state == READING && x->answered) {
        ring_task_ask(x->conn.ring, &x->next_task);
    }
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
static void exchange_secured(struct conn *c, int result)
{
    if (result < 0)
        exchange_close(container_of(c, struct admin_exchange, conn));
    else
        conn_start(c);
}

static const struct conn_events exchange_conn_events = {.secured = exchange_secured,
                                                        .drained = exchange_drained};

/* ---- sockets --------------------------------------------------------------------------------- */

void admin_accepted(struct listener *l, int taken_fd)
{
    struct admin_socket *s = l->user;
    struct admin *a = s->admin;
    struct admin_exchange *x = s->secure && !a->tls ? NULL : calloc(1, sizeof *x);
    struct addr from = {0};

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
    if (!s->path)
        (void)socket_peer(taken_fd, &from);
    x->from = from.ip;
    conn_init(&x->conn, a->ring, taken_fd, &exchange_conn_events);
    x->conn.stream.events = &exchange_stream_events;
    x->conn.stream.user = x;
    timer_start(timers(x), &x->timer, IDLE_MS);
    if (!s->secure)
        conn_start(&x->conn);
    else if (conn_secure(&x->conn, a->tls) < 0)
        exchange_close(x);
}

void admin_socket_drained(struct listener *l)
{
    struct admin_socket *s = l->user;

    s->admin->n_listening--;
    end_if_empty(s->admin);
}

const struct tls_peer *admin_peer(const struct admin_exchange *x)
{
    return x->admin ? conn_peer(&x->conn) : NULL;
}

const struct ip *admin_from(const struct admin_exchange *x)
{
    return &x->from;
}

void admin_retire(struct admin *a)
{
    a->retired = true;
    list_for_each (n, &a->sockets) {
        struct admin_socket *s = container_of(n, struct admin_socket, link);
        free(s->path);
        s->path = NULL; /* the file is somebody else's by now, or soon */
        listener_stop(&s->listener);
    }
}

int admin_new(struct admin **ret, struct ring *ring, const struct admin_route *routes,
              size_t n_routes)
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
    list_for_each (n, &a->sockets) {
        struct admin_socket *s = container_of(n, struct admin_socket, link);
        admin_remove_file(s);
        listener_close(&s->listener);
    }
    list_for_each (n, &a->exchanges)
        exchange_close(container_of(n, struct admin_exchange, link));
    end_if_empty(a);
}
