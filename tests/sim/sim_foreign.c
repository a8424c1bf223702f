#include "tests/sim/sim_foreign.h"

#include "nodeproxy/peer/hbone.h"

enum { WAIT_MS = 60 * 1000 };

/* ---- the connection ---------------------------------------------------------------------------------------- */

static struct sim_foreign *of(struct h2_conn *h)
{
    return h->user;
}
static void is_ready(struct h2_conn *h)
{
    of(h)->ready = true;
}
static void has_closed(struct h2_conn *h, int error)
{
    of(h)->closed = true;
    of(h)->error = error;
}
static void has_drained(struct h2_conn *h)
{
    of(h)->drained = true;
}
static const struct h2_conn_events events = {
    .ready = is_ready, .closed = has_closed, .drained = has_drained};

void sim_foreign_open(struct sim_foreign *f, struct sim_mesh *m, struct sim_pod *from,
                      const struct sim_pod *to, const struct credential *c)
{
    const struct addr at = sim_pod_addr(to, 15008, false);
    const struct h2_conn_options o = {.tls = c ? c->client : NULL};
    int fd;
    *f = (struct sim_foreign){.mesh = m};
    uint32_t before = fake_net_enter_namespace(m->net, from->namespace_id);
    assert_int_equal(socket_open(AF_INET, &fd), 0);
    (void)socket_set_mark(fd, SIM_MARK);
    fake_net_enter_namespace(m->net, before);
    assert_int_equal(h2_conn_open_client(&f->h2, m->apps, fd, &at, &o, &events, f), 0);
}

static bool ready_or_not(void *arg)
{
    const struct sim_foreign *f = arg;
    return f->ready || f->closed;
}

bool sim_foreign_ready(struct sim_foreign *f)
{
    assert_true(fake_net_run_until(f->mesh->net, ready_or_not, f, WAIT_MS));
    return f->ready;
}

static bool drained(void *arg)
{
    return ((const struct sim_foreign *)arg)->drained;
}

void sim_foreign_close(struct sim_foreign *f)
{
    h2_conn_close(&f->h2);
    assert_true(fake_net_run_until(f->mesh->net, drained, f, WAIT_MS));
}

/* ---- streams ----------------------------------------------------------------------------------------------------- */

static struct sim_foreign_stream *of_stream(struct stream *s)
{
    return s->user;
}
static void got_head(struct http2_stream *s, const struct http2_head *head)
{
    of_stream(&s->stream)->status = hbone_status(head);
}
static void got_closed(struct http2_stream *s, uint32_t code)
{
    of_stream(&s->stream)->closed = true;
    of_stream(&s->stream)->code = code;
}
static const struct http2_stream_events stream_events = {.head = got_head, .closed = got_closed};

static void got_bytes(struct stream *s, struct buf *bytes)
{
    of_stream(s)->got += bytes->len;
    buf_done(bytes);
}
static void got_end(struct stream *s)
{
    of_stream(s)->ended = true;
}
static void nothing(struct stream *s)
{
    (void)s;
}
static void got_failure(struct stream *s, int error)
{
    (void)error;
    of_stream(s)->failed = true;
}
static const struct stream_events byte_events = {.received = got_bytes,
                                                 .ended = got_end,
                                                 .writable = nothing,
                                                 .finished = nothing,
                                                 .failed = got_failure};

void sim_foreign_call(struct sim_foreign *f, struct sim_foreign_stream *s, const char *method,
                      const char *authority, const void *eager, size_t n, bool end)
{
    const struct http2_header headers[] = {{TEXT(":method"), text_of(method ? method : "CONNECT")},
                                           {TEXT(":authority"), text_of(authority)},
                                           {TEXT(":scheme"), TEXT("https")},
                                           {TEXT(":path"), TEXT("/")}};
    struct buf bytes = {0};
    *s = (struct sim_foreign_stream){.status = 0};
    http2_stream_init(&s->stream, &stream_events);
    s->stream.stream.events = &byte_events;
    s->stream.stream.user = s;
    assert_int_equal(http2_stream_request(f->h2.http2, &s->stream, headers, method ? 4 : 2, false),
                     0);
    if (n > 0) {
        assert_int_equal(buf_append(&bytes, ring_chunks(f->mesh->apps), eager, n), 0);
        stream_send(&s->stream.stream, &bytes);
    }
    if (end)
        stream_finish(&s->stream.stream);
}

static bool stream_closed(void *arg)
{
    return ((const struct sim_foreign_stream *)arg)->closed;
}

void sim_foreign_wait(struct sim_foreign *f, struct sim_foreign_stream *s)
{
    if (!fake_net_run_until(f->mesh->net, stream_closed, s, WAIT_MS))
        fail_msg("the stream goes on: status %u, got %llu, ended %d", s->status,
                 (unsigned long long)s->got, s->ended);
}

unsigned sim_foreign_status(struct sim_foreign *f, const char *method, const char *authority)
{
    struct sim_foreign_stream s;
    sim_foreign_call(f, &s, method, authority, NULL, 0, false);
    sim_foreign_wait(f, &s);
    /* A refusal is a whole answer, and no error of the stream. */
    if (s.status >= 300)
        assert_true(s.ended && s.code == HTTP2_NO_ERROR);
    return s.status;
}
