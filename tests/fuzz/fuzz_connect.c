/*
 * A head that a peer of the mesh sends to a pod's port 15008, all the way: its HTTP/2, the pod's, the
 * story in inbound.c. Input: lines `name: value`; where none says :method, it is CONNECT. The peer may not
 * call this pod: whatever it says, it is refused, the tunnel goes on, and a line of the log tells of it.
 * covers: nodeproxy/path/inbound.c nodeproxy/peer/hbone.c nodeproxy/peer/hbone_server.c
 */
#include "tests/sim/sim_alloc.h"
#include "tests/sim/sim_story.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEADERS_MOST = 32, WAIT_MS = 60 * 1000 };

/* The mesh lives until the end, in tables where a leak sanitizer does not look. */
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}

/* No allocation fails here. */
void sim_alloc_fail_at(uint64_t n)
{
    (void)n;
}
bool sim_alloc_failed(void)
{
    return false;
}
void sim_alloc_enter(void) {}
void sim_alloc_leave(void) {}

static struct sim_foreign tunnel;
static bool closed;
static unsigned status;

static void on_head(struct http2_stream *s, const struct http2_head *head)
{
    (void)s;
    status = hbone_status(head);
}
static void on_closed(struct http2_stream *s, uint32_t code)
{
    (void)s, (void)code;
    closed = true;
}
static const struct http2_stream_events stream_events = {.head = on_head, .closed = on_closed};

static void no_bytes(struct stream *s, struct buf *bytes)
{
    (void)s;
    assert_int_equal(bytes->len, 0); /* nobody who is refused gets any */
    buf_done(bytes);
}
static void no_event(struct stream *s)
{
    (void)s;
}
static void no_error(struct stream *s, int error)
{
    (void)s, (void)error;
}
static const struct stream_events byte_events = {.received = no_bytes,
                                                 .ended = no_event,
                                                 .writable = no_event,
                                                 .finished = no_event,
                                                 .failed = no_error};

static bool is_closed(void *arg)
{
    (void)arg;
    return closed;
}

/* One request with these headers; its status, 0: none. */
static unsigned ask(const struct http2_header *headers, size_t n)
{
    static struct http2_stream stream;
    if (!tunnel.mesh || tunnel.closed) {
        if (tunnel.mesh)
            sim_foreign_close(&tunnel);
        sim_foreign_open(&tunnel, &mesh, web, orders, web->credential);
        if (!sim_foreign_ready(&tunnel))
            abort();
    }
    closed = false;
    status = 0;
    http2_stream_init(&stream, &stream_events);
    stream.stream.events = &byte_events;
    if (http2_stream_request(tunnel.h2.http2, &stream, headers, n, false) < 0)
        return 0;
    if (!fake_net_run_until(mesh.net, is_closed, NULL, WAIT_MS))
        abort();
    return status;
}

static void begin(void)
{
    static bool begun;
    if (begun)
        return;
    begun = true;
    story_begin_with(&(struct sim_mesh_options){.seed = 1, .calm = true, .quick = true});
    story_start_pods();
    sim_policy_allow(&mesh, "only-cart", orders, cart1);
    run_ms(1000);
}

static bool method_is_given(const struct http2_header *headers, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (text_equal(headers[i].name, TEXT(":method")))
            return true;
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct http2_header plain[] = {{TEXT(":method"), TEXT("CONNECT")},
                                                {TEXT(":authority"), TEXT("10.0.2.5:8080")}};
    struct http2_header headers[HEADERS_MOST + 1] = {plain[0]};
    struct text rest = {(const char *)data, size}, line;
    char text[SIM_LINE_MAX];
    size_t n = 1;

    begin();
    while (rest.len > 0 && n <= HEADERS_MOST) {
        if (!text_split(rest, '\n', &line, &rest)) {
            line = rest;
            rest.len = 0;
        }
        struct text name = line, value = {"", 0};
        const char *colon = line.len > 1 ? memchr(line.data + 1, ':', line.len - 1) : NULL;
        if (colon) {
            name.len = (size_t)(colon - line.data);
            value = text_trim((struct text){colon + 1, line.len - name.len - 1});
        }
        headers[n++] = (struct http2_header){name, value};
    }
    bool own = method_is_given(headers + 1, n - 1);
    sim_log_close();
    sim_log_open();
    unsigned answer = ask(headers + own, n - own);
    if (answer != 0 && answer != 400 && answer != 401 && answer != 405 && answer != 503)
        abort();
    if (!sim_log_next(text))
        abort();
    if (ask(plain, 2) != 401)
        abort();
    return 0;
}
