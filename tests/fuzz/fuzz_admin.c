/*
 * The admin endpoint, whole: the bytes come as a client's over a real socket, in pieces, and then
 * the client's end. Whatever they are: what is answered are HTTP/1.1 answers, each request is
 * handled once, and the server then ends the connection by itself. First byte: the size of the
 * pieces.
 * covers: shared/service/admin.c shared/http1/http1.c
 */
#include "shared/ring/socket.h"
#include "shared/service/admin.h"
#include "shared/transport/conn.h"
#include "tests/support/tmp.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

enum { DEADLINE_MS = 10000, ANSWERS_MAX = 1 << 20 };

static struct ring *ring;
static struct admin *admin;
static struct sockaddr_un server = {.sun_family = AF_UNIX};
static struct admin_exchange *later[8];
static size_t n_later, n_handled, n_answered;
static struct ring_task later_task;

static struct client {
    struct conn conn;
    const uint8_t *data;
    size_t size, piece;
    struct ring_task send_task;
    struct timer deadline;
    char *got;
    size_t n_got;
} client;

static void answer(struct admin_exchange *x, struct text body)
{
    n_answered++;
    admin_answer(x, 200, NULL, body);
}

static void at_once(struct admin_exchange *x, const struct http1_request *q, void *arg)
{
    (void)arg;
    n_handled++;
    answer(x, q->query);
}

static void with_body(struct admin_exchange *x, const struct http1_request *q, void *arg)
{
    (void)arg;
    n_handled++;
    answer(x, q->body);
}

static void answer_later(struct ring_task *task)
{
    (void)task;
    while (n_later > 0)
        answer(later[--n_later], TEXT("later\n"));
}

static void wait_a_turn(struct admin_exchange *x, const struct http1_request *q, void *arg)
{
    (void)arg;
    (void)q;
    n_handled++;
    assert(n_later < ARRAY_SIZE(later));
    later[n_later++] = x;
    ring_task_ask(ring, &later_task);
}

static const struct admin_route routes[] = {
    {"GET", "/", at_once, NULL}, {"POST", "/b", with_body, NULL}, {"GET", "/l", wait_a_turn, NULL}};

static void send_piece(struct ring_task *task)
{
    struct buf bytes = {0};
    size_t n = client.size < client.piece ? client.size : client.piece;

    (void)task;
    if (n == 0) {
        stream_finish(&client.conn.stream);
        return;
    }
    if (buf_append(&bytes, ring_chunks(ring), client.data, n) < 0)
        abort();
    client.data += n;
    client.size -= n;
    stream_send(&client.conn.stream, &bytes);
    ring_task_ask(ring, &client.send_task);
}

static void received(struct stream *s, struct buf *bytes)
{
    (void)s;
    client.n_got += buf_peek(bytes, client.got + client.n_got, ANSWERS_MAX - client.n_got);
    buf_done(bytes);
}

static void over(struct stream *s)
{
    (void)s;
    ring_task_cancel(&client.send_task);
    conn_close(&client.conn);
}
static void failed(struct stream *s, int error)
{
    (void)error;
    over(s);
}
static void nothing(struct stream *s)
{
    (void)s;
}

static void drained(struct conn *c)
{
    (void)c;
    ring_stop(ring);
}

static void deadline(struct timer *t)
{
    (void)t;
    (void)fprintf(stderr, "the server does not end: %zu handled, %zu answered\n", n_handled,
                  n_answered);
    abort();
}

static const struct stream_events stream_events = {received, over, nothing, nothing, failed};
static const struct conn_events conn_events = {.drained = drained};

static void at_exit(void)
{
    (void)unlink(server.sun_path);
}

static void set_up(void)
{
    int fd = mkstemp(tmp_path(server.sun_path, "fuzz-admin"));
    if (fd < 0)
        abort();
    close(fd); /* the name is ours */
    unlink(server.sun_path);
    if (ring_open(&ring, &(struct ring_options){0}, NULL) < 0 ||
        admin_new(&admin, ring, routes, ARRAY_SIZE(routes)) < 0 ||
        admin_listen_unix(admin, server.sun_path, 0600, 7) < 0)
        abort();
    client.got = malloc(ANSWERS_MAX);
    if (!client.got || atexit(at_exit) != 0)
        abort();
    ring_task_init(&later_task, answer_later);
    ring_task_init(&client.send_task, send_piece);
    timer_init(&client.deadline, deadline);
}

static void check_answers(void)
{
    static const char start[] = "HTTP/1.1 ";

    if (client.n_got == 0)
        return;
    assert(client.n_got > sizeof start + 3 && memcmp(client.got, start, sizeof start - 1) == 0);
    const char *status = client.got + sizeof start - 1;
    for (int i = 0; i < 3; i++)
        assert(status[i] >= '0' && status[i] <= '9');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!ring)
        set_up();
    if (size < 1 || size > 65536)
        return 0;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&server, sizeof server) < 0)
        abort();
    client.piece = 1 + data[0] * (size_t)data[0];
    client.data = data + 1;
    client.size = size - 1;
    client.n_got = 0;
    n_handled = n_answered = 0;
    conn_init(&client.conn, ring, fd, &conn_events);
    client.conn.stream.events = &stream_events;
    conn_start(&client.conn);
    ring_task_ask(ring, &client.send_task);
    timer_start(ring_timers(ring), &client.deadline, DEADLINE_MS);
    if (ring_run(ring) < 0)
        abort();
    timer_stop(ring_timers(ring), &client.deadline);
    check_answers();
    assert(n_handled == n_answered);
    return 0;
}
