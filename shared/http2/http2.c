#include "shared/http2/http2_internal.h"
#include <assert.h>
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    WINDOW_MIN = 65535,
    WINDOW_MAX = INT32_MAX,
    FRAME_MIN = 16384,
    FRAME_MAX = 16777215,
    HEADER_BYTES_MAX = 16 * 1024 * 1024,
    SETTINGS_ENTRIES_MAX = 32,
    CONTINUATIONS_MAX = 8,
    OUTBOUND_ACKS_MAX = 1000,
    OUTBOUND_FRAMES_MAX = 2000, /* and four per stream */
    REFUSED_MAX = 4000,         /* streams whose REFUSED_STREAM has not left yet */
    /* nghttp2 counts all resets alike, against the clock; a node's tunnel may well carry
     * thousands of harmless ones in a second. http2_credit tells them apart, so this one is set
     * out of the way. */
    RESETS_MAX = 1 << 30,
};

/* ---- Memory that is wiped: nghttp2 copies each head's fields, and frees them as they are --------- */

static void *take(size_t size, void *user)
{
    (void)user;
    return malloc(size);
}

static void *take_zeroed(size_t n, size_t size, void *user)
{
    (void)user;
    return calloc(n, size);
}

static void give_back(void *p, void *user)
{
    (void)user;
    if (p)
        explicit_bzero(p, malloc_usable_size(p));
    free(p);
}

static void *take_anew(void *p, size_t size, void *user)
{
    void *anew = malloc(size);
    size_t had = p ? malloc_usable_size(p) : 0;
    if (!anew)
        return NULL;
    if (p)
        memcpy(anew, p, had < size ? had : size);
    give_back(p, user);
    return anew;
}
static nghttp2_mem wiping = {.malloc = take, .free = give_back, .calloc = take_zeroed, .realloc = take_anew};

static int options_check(struct http2_options *o)
{
    if (!o->streams_max)
        o->streams_max = 200;
    if (!o->stream_window)
        o->stream_window = 1024 * 1024;
    if (!o->connection_window)
        o->connection_window = 16 * 1024 * 1024;
    if (!o->frame_max)
        o->frame_max = FRAME_MIN;
    if (!o->header_bytes_max)
        o->header_bytes_max = 65536;
    if (!o->fields_max)
        o->fields_max = HTTP2_FIELDS_MAX;
    if (o->connection_window < WINDOW_MIN || o->connection_window > WINDOW_MAX ||
        o->stream_window >= o->connection_window || o->frame_max < FRAME_MIN ||
        o->frame_max > FRAME_MAX || o->header_bytes_max > HEADER_BYTES_MAX || o->fields_max > HTTP2_FIELDS_MOST)
        return -EINVAL;
    return 0;
}

static int session_new(struct http2 *h)
{
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_option *option = NULL;
    int r = http2_frames_callbacks(&callbacks);
    if (r < 0)
        return r;
    if (nghttp2_option_new(&option)) {
        r = -ENOMEM;
        goto done;
    }
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_no_closed_streams(option, 1);
    nghttp2_option_set_max_settings(option, SETTINGS_ENTRIES_MAX);
    nghttp2_option_set_max_continuations(option, CONTINUATIONS_MAX);
    nghttp2_option_set_max_outbound_ack(option, OUTBOUND_ACKS_MAX);
    nghttp2_option_set_stream_reset_rate_limit(option, RESETS_MAX, RESETS_MAX);
    nghttp2_option_set_peer_max_concurrent_streams(option, HTTP2_STREAMS_ASSUMED);
    nghttp2_mem *memory = h->options.secret ? &wiping : NULL;
    r = h->options.server ? nghttp2_session_server_new3(&h->session, callbacks, h, option, memory)
                          : nghttp2_session_client_new3(&h->session, callbacks, h, option, memory);
    if (r)
        r = -ENOMEM;
done:
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    return r;
}

/* nghttp2 ends the connection of a peer that opens more streams than it was allowed. We refuse
 * them one by one, so nghttp2 believes in a higher limit than the peer is told. */
static uint32_t streams_known(const struct http2 *h)
{
    uint32_t most = h->options.streams_max;
    return most < UINT32_MAX - REFUSED_MAX ? most + REFUSED_MAX : UINT32_MAX;
}

static int submit_settings(struct http2 *h)
{
    nghttp2_settings_entry entries[5] = {
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, h->options.stream_window},
        {NGHTTP2_SETTINGS_MAX_FRAME_SIZE, h->options.frame_max},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, h->options.header_bytes_max},
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, streams_known(h)},
    };
    size_t n = 4;
    if (!h->options.server) {
        entries[3].value = 0; /* nobody opens streams towards a client */
        entries[n++] = (nghttp2_settings_entry){NGHTTP2_SETTINGS_ENABLE_PUSH, 0};
    }
    if (nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, entries, n) ||
        nghttp2_session_set_local_window_size(h->session, NGHTTP2_FLAG_NONE, 0,
                                              (int32_t)h->options.connection_window))
        return -ENOMEM;
    return 0;
}

int http2_new(struct http2 **ret, const struct http2_options *options,
              const struct http2_events *events, void *user, struct chunk_pool *pool)
{
    struct http2 *h = calloc(1, sizeof *h);
    if (!h)
        return -ENOMEM;
    list_init(&h->live);
    list_init(&h->due);
    h->options = *options;
    h->events = events;
    h->user = user;
    h->pool = pool;
    h->why = "";
    int r = options_check(&h->options);
    if (r < 0)
        goto failed;
    http2_head_arena_init(&h->arena, h->options.header_bytes_max, h->options.fields_max);
    http2_credit_init(&h->credit, h->options.streams_max);
    http2_meter_init(&h->meter, h->options.server);
    r = session_new(h);
    if (r < 0)
        goto failed;
    r = submit_settings(h);
    if (r < 0)
        goto failed;
    *ret = h;
    return 0;
failed:
    http2_free(h);
    return r;
}

static bool run_due(struct http2 *h)
{
    bool any = false;
    for (struct list *link; (link = list_pop_front(&h->due));) {
        any = true;
        http2_stream_run_due(container_of(link, struct http2_stream, link));
    }
    if (h->slot_due && !h->freeing) {
        h->slot_due = false;
        if (h->events->slot) {
            any = true;
            h->events->slot(h);
        }
    }
    return any;
}

struct http2 *http2_free(struct http2 *h)
{
    if (!h)
        return NULL;
    assert(!h->busy);
    h->busy = h->freeing = true;
    while (!list_empty(&h->due) || !list_empty(&h->live)) {
        run_due(h);
        struct list *link = list_pop_front(&h->live);
        if (!link)
            continue;
        struct http2_stream *s = container_of(link, struct http2_stream, link);
        bool untouched = !h->options.server && !s->sent;
        http2_stream_end(s, untouched ? HTTP2_REFUSED_STREAM : HTTP2_INTERNAL_ERROR, -ECONNABORTED);
    }
    nghttp2_session_del(h->session);
    http2_head_arena_done(&h->arena);
    free(h);
    return NULL;
}

void *http2_user(const struct http2 *h)
{
    return h->user;
}

void http2_die(struct http2 *h, const char *why)
{
    if (!h->dead)
        h->why = why;
    h->dead = true;
}

void http2_owes(struct http2 *h, int error)
{
    if (error != NGHTTP2_ERR_NOMEM)
        return;
    h->forgot = h->broken = true;
    http2_die(h, nghttp2_strerror(error));
    http2_ask_flush(h);
}

void http2_ask_flush(struct http2 *h)
{
    if (h->flush_asked || h->output || h->freeing)
        return;
    h->flush_asked = true;
    h->events->want_flush(h);
}

/* The session can't go on: says so to the peer. nghttp2 still sends after it failed to receive. */
static int give_up(struct http2 *h, int error)
{
    uint32_t code = HTTP2_PROTOCOL_ERROR;
    if (h->flooded || error == NGHTTP2_ERR_FLOODED || error == NGHTTP2_ERR_TOO_MANY_CONTINUATIONS) {
        http2_die(h, "the peer floods us with frames that do nothing");
        code = HTTP2_ENHANCE_YOUR_CALM;
    } else {
        http2_die(h, nghttp2_strerror(error));
        if (error == NGHTTP2_ERR_NOMEM || error == NGHTTP2_ERR_CALLBACK_FAILURE)
            code = HTTP2_INTERNAL_ERROR;
    }
    nghttp2_session_terminate_session(h->session, code);
    return error == NGHTTP2_ERR_NOMEM ? -ENOMEM : -EPROTO;
}

/* Takes the chunk. */
static int feed(struct http2 *h, struct chunk *taken_chunk)
{
    size_t len = chunk_len(taken_chunk);
    if (!http2_meter_count(&h->meter, &h->credit, taken_chunk->data + taken_chunk->start, len)) {
        h->flooded = true;
        chunk_free(taken_chunk);
        return give_up(h, NGHTTP2_ERR_FLOODED);
    }
    h->input = taken_chunk;
    ssize_t n = nghttp2_session_mem_recv(h->session, taken_chunk->data + taken_chunk->start, len);
    if (h->input)
        h->input = chunk_free(h->input);
    if (n < 0)
        return give_up(h, (int)n);
    assert((size_t)n == len);
    size_t queued = nghttp2_session_get_outbound_queue_size(h->session);
    if (queued > OUTBOUND_FRAMES_MAX + 4 * (size_t)h->options.streams_max)
        h->flooded = true;
    return h->flooded ? give_up(h, NGHTTP2_ERR_FLOODED) : 0;
}

int http2_input(struct http2 *h, struct buf *bytes)
{
    assert(!h->busy);
    h->busy = true;
    if (bytes->len)
        http2_credit_give(&h->credit, HTTP2_GAIN_INPUT);
    int r = h->dead ? -EPROTO : 0;
    while (r == 0 && bytes->head) {
        r = feed(h, http2_pop_chunk(bytes));
        run_due(h);
    }
    buf_done(bytes);
    h->busy = false;
    if (http2_wants_output(h))
        http2_ask_flush(h);
    return r;
}

static void put_u32(uint8_t *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> (24 - 8 * i));
}

/* Our SETTINGS, with the limit that we mean. */
static int append_settings(struct http2 *h, struct buf *out)
{
    enum { ENTRY_BYTES = 6, FRAME_BYTES = HTTP2_FRAME_HEADER_BYTES + 5 * ENTRY_BYTES };
    uint8_t frame[FRAME_BYTES];

    assert(h->n_unsent <= sizeof frame && h->unsent[3] == NGHTTP2_SETTINGS);
    memcpy(frame, h->unsent, h->n_unsent);
    for (size_t at = HTTP2_FRAME_HEADER_BYTES; at < h->n_unsent; at += ENTRY_BYTES)
        if (frame[at + 1] == NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS)
            put_u32(frame + at + 2, h->options.streams_max);
    int r = buf_append(out, h->pool, frame, h->n_unsent);
    h->settings_sent = r == 0;
    return r;
}

static int append(struct http2 *h, struct buf *out)
{
    if (h->options.server && !h->settings_sent)
        return append_settings(h, out);
    return buf_append(out, h->pool, h->unsent, h->n_unsent);
}

static int pump(struct http2 *h)
{
    struct buf *out = h->output;
    while (out->len < h->output_max) {
        if (!h->n_unsent) {
            ssize_t n = nghttp2_session_mem_send(h->session, &h->unsent);
            if (n < 0) {
                h->broken = true;
                http2_die(h, nghttp2_strerror((int)n));
                return n == NGHTTP2_ERR_NOMEM ? -ENOMEM : -EPROTO;
            }
            if (n == 0)
                return h->no_room ? -ENOBUFS : 0;
            h->n_unsent = (size_t)n;
        }
        if (append(h, out) < 0)
            return -ENOBUFS;
        h->n_unsent = 0;
    }
    return 0;
}

int http2_output(struct http2 *h, struct buf *out, size_t max)
{
    assert(!h->busy);
    h->flush_asked = false;
    if (h->broken)
        return h->forgot ? -ENOMEM : -EPROTO;
    h->busy = true;
    h->output = out;
    h->output_max = max;
    h->no_room = false;
    run_due(h);
    int r = pump(h);
    /* What the events of this round sent goes with it. */
    while (run_due(h) && r == 0 && out->len < max)
        r = pump(h);
    h->output = NULL;
    h->busy = false;
    return r == 0 && h->forgot ? -ENOMEM : r;
}

bool http2_wants_output(const struct http2 *h)
{
    if (!list_empty(&h->due) || h->slot_due)
        return true;
    return !h->broken && (h->n_unsent || nghttp2_session_want_write(h->session));
}

bool http2_over(const struct http2 *h)
{
    return !http2_wants_output(h) && (h->dead || !nghttp2_session_want_read(h->session));
}

void http2_shutdown_notice(struct http2 *h)
{
    h->going_away = true;
    if (h->options.server)
        http2_owes(h, nghttp2_submit_shutdown_notice(h->session));
    http2_ask_flush(h);
}

void http2_goaway(struct http2 *h, uint32_t error_code)
{
    h->going_away = true;
    if (error_code)
        h->goaway_error_is_ours = true;
    http2_owes(h, nghttp2_submit_goaway(h->session, NGHTTP2_FLAG_NONE,
                                        nghttp2_session_get_last_proc_stream_id(h->session),
                                        error_code, NULL, 0));
    http2_ask_flush(h);
}

void http2_ping(struct http2 *h)
{
    /* Nothing is owed: one that there was no memory for is as one that was lost on the way. */
    if (nghttp2_submit_ping(h->session, NGHTTP2_FLAG_NONE, NULL) == 0)
        h->pings++;
    http2_ask_flush(h);
}

size_t http2_stream_count(const struct http2 *h)
{
    return h->n_open;
}

bool http2_can_open(const struct http2 *h)
{
    uint32_t most = HTTP2_STREAMS_ASSUMED;
    if (h->options.server || h->dead || h->freeing || h->going_away || h->goaway_seen ||
        !nghttp2_session_check_request_allowed(h->session))
        return false;
    if (h->settings_seen)
        most = nghttp2_session_get_remote_settings(h->session,
                                                   NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
    return h->n_open < most && h->n_open < h->options.streams_max;
}

const char *http2_why(const struct http2 *h)
{
    return h->why;
}

struct text http2_head_get(const struct http2_head *head, struct text name)
{
    for (size_t i = 0; i < head->n; i++)
        if (text_equal(head->headers[i].name, name))
            return head->headers[i].value;
    return (struct text){NULL, 0};
}

const char *http2_library(void)
{
    static char text[32];
    (void)snprintf(text, sizeof text, "nghttp2 %s", nghttp2_version(0)->version_str);
    return text;
}
