#include "tests/unit/shared/http2/h2_pair.h"

/* ---- One exchange, its heads and its ends */

static struct http2_head_copy {
    char text[512];
    bool end_stream;
} seen_head;

static struct http2_stream *accept_and_note(struct pair *pair, const struct http2_head *head,
                                            unsigned *ret_status)
{
    struct text_out o = TEXT_OUT(seen_head.text);
    for (size_t i = 0; i < head->n; i++)
        text_printf(&o, "%.*s=%.*s;", (int)head->headers[i].name.len, head->headers[i].name.data,
                    (int)head->headers[i].value.len, head->headers[i].value.data);
    seen_head.end_stream = head->end_stream;
    return pair_accept(pair, head, ret_status);
}

static void test_exchange(void **state)
{
    (void)state;
    struct pair p;
    struct peer c;
    pair_open(&p, NULL, NULL);
    p.request = accept_and_note;
    peer_init(&c, &p, &p.client);
    assert_true(http2_can_open(p.client.http2));
    assert_int_equal(peer_request(&c, false), 0);
    assert_int_equal(http2_stream_count(p.client.http2), 1);
    assert_int_equal(p.client.flushes, 1);
    pair_run(&p);
    assert_string_equal(seen_head.text,
                        ":method=POST;:scheme=https;:authority=a.test;:path=/p?q=1;x-first=one;");
    assert_false(seen_head.end_stream);
    struct peer *s = pair_last(&p);
    assert_int_equal(s->opened, 1);
    assert_int_equal(s->ended, 0);

    c.pattern_out = s->pattern_in = 1;
    s->pattern_out = c.pattern_in = 2;
    c.to_send = 100000;
    s->to_send = 70000;
    peer_pump(&c);
    peer_pump(s); /* before the answer's head: waits for it */
    pair_run(&p);
    assert_int_equal(s->n_in, 100000);
    assert_int_equal(c.heads, 0);
    assert_int_equal(peer_respond(s, false), 0);
    assert_int_equal(peer_respond(s, false), -EALREADY);
    pair_run(&p);
    assert_int_equal(c.heads, 1);
    assert_string_equal(c.status, "200");
    assert_int_equal(c.n_in, 70000);
    assert_int_equal(s->ended + c.ended, 0);

    assert_int_equal(peer_trailers(&c, "from client"), 0);
    assert_int_equal(peer_trailers(&c, "again"), -EPIPE);
    pair_run(&p);
    assert_int_equal(s->ended, 1);
    assert_string_equal(s->trailer, "from client");
    assert_int_equal(c.finished, 1);
    assert_int_equal(peer_trailers(s, "from server"), 0);
    pair_run(&p);
    assert_string_equal(c.trailer, "from server");
    assert_int_equal(c.closed, 1);
    assert_int_equal(c.code, 0);
    assert_int_equal(c.failed, 0);
    assert_int_equal(http2_stream_count(p.client.http2), 0);
    assert_int_equal(http2_stream_count(p.server.http2), 0);
    assert_true(p.client.slots > 0);
    assert_true(list_empty(&p.accepted));
    pair_close(&p);
}

/* Heads alone, with END_STREAM both ways. */
static void test_heads_only(void **state)
{
    (void)state;
    struct pair p;
    struct peer c;
    pair_open(&p, NULL, NULL);
    p.request = accept_and_note;
    peer_init(&c, &p, &p.client);
    assert_int_equal(peer_request(&c, true), 0);
    pair_run(&p);
    assert_true(seen_head.end_stream);
    struct peer *s = pair_last(&p);
    assert_int_equal(s->ended, 1);
    assert_int_equal(s->received, 0);
    assert_int_equal(peer_respond(s, true), 0);
    pair_run(&p);
    assert_int_equal(c.closed, 1);
    assert_int_equal(c.heads, 1);
    assert_int_equal(c.ended, 1);
    pair_close(&p);
}

static void send_1xx_then_200(struct peer *p, const char *event)
{
    static const struct http2_header early[] = {{TEXT(":status"), TEXT("103")},
                                                {TEXT("link"), TEXT("</a>")}};
    if (strcmp(event, "opened") != 0)
        return;
    assert_int_equal(http2_stream_respond(&p->s, early, 2, false), 0);
    assert_int_equal(http2_stream_respond(&p->s, early, 2, false), 0);
    assert_int_equal(peer_respond(p, false), 0);
    assert_int_equal(peer_trailers(p, "end"), 0);
}

static struct http2_stream *accept_with_1xx(struct pair *pair, const struct http2_head *head,
                                            unsigned *ret_status)
{
    struct http2_stream *s = pair_accept(pair, head, ret_status);
    pair_last(pair)->on_event = send_1xx_then_200;
    return s;
}

static void test_1xx_is_left_out(void **state)
{
    (void)state;
    struct pair p;
    struct peer c;
    pair_open(&p, NULL, NULL);
    p.request = accept_with_1xx;
    peer_init(&c, &p, &p.client);
    assert_int_equal(peer_request(&c, true), 0);
    pair_run(&p);
    assert_int_equal(c.heads, 2); /* 200 and trailers */
    assert_string_equal(c.status, "200");
    assert_string_equal(c.trailer, "end");
    assert_int_equal(c.closed, 1);
    pair_close(&p);
}

static void test_head_get(void **state)
{
    (void)state;
    struct http2_header headers[] = {
        {TEXT("a"), TEXT("1")}, {TEXT("b"), TEXT("")}, {TEXT("a"), TEXT("2")}};
    struct http2_head head = {headers, 3, false};
    assert_true(text_equal(http2_head_get(&head, TEXT("a")), TEXT("1")));
    assert_non_null(http2_head_get(&head, TEXT("b")).data);
    assert_null(http2_head_get(&head, TEXT("c")).data);
}

/* ---- What a server refuses */

struct refused {
    unsigned requests, give_status;
};
static struct http2_stream *refuse_all(struct pair *pair, const struct http2_head *head,
                                       unsigned *ret_status)
{
    (void)head;
    struct refused *r = pair->user;
    r->requests++;
    *ret_status = r->give_status;
    return NULL;
}

struct case_refused {
    struct http2_header headers[6];
    size_t n;
    bool connect_only;
    unsigned give_status;
    const char *status; /* NULL: reset with code */
    uint32_t code;
    bool asked; /* the request event ran */
};
/* clang-format off */
#define METHOD(m) {TEXT(":method"), TEXT(m)}
#define SCHEME(m) {TEXT(":scheme"), TEXT(m)}
#define AUTHORITY(m) {TEXT(":authority"), TEXT(m)}
#define PATH(m) {TEXT(":path"), TEXT(m)}
#define FIELD(a, b) {TEXT(a), TEXT(b)}

static const struct case_refused refused_cases[] = {
    /* by the owner */
    {{METHOD("GET"), SCHEME("https"), AUTHORITY("a"), PATH("/")}, 4, false, 403, "403", 0, true},
    {{METHOD("GET"), SCHEME("https"), AUTHORITY("a"), PATH("/")}, 4, false, 0, NULL, HTTP2_REFUSED_STREAM, true},
    {{METHOD("GET"), SCHEME("https"), AUTHORITY("a"), PATH("/")}, 4, false, 1, "500", 0, true},
    {{METHOD("CONNECT"), AUTHORITY("10.0.0.1:80")}, 2, true, 503, "503", 0, true},
    /* HBONE servers take CONNECT alone */
    {{METHOD("GET"), SCHEME("https"), AUTHORITY("a"), PATH("/")}, 4, true, 0, "405", 0, false},
    {{METHOD("CONNECT"), SCHEME("https"), AUTHORITY("a:1"), PATH("/")}, 4, true, 0, NULL, HTTP2_PROTOCOL_ERROR, false},
    {{METHOD("CONNECT"), AUTHORITY("a:1"), PATH("/")}, 3, true, 0, NULL, HTTP2_PROTOCOL_ERROR, false},
    {{METHOD("CONNECT")}, 1, true, 0, NULL, HTTP2_PROTOCOL_ERROR, false},
    {{METHOD("CONNECT"), AUTHORITY("a@b:1")}, 2, true, 0, "400", 0, false},
    /* who is meant? */
    {{METHOD("GET"), SCHEME("https"), AUTHORITY("a"), PATH("/"), FIELD("host", "b")}, 5, false, 0, "400", 0, false},
    {{METHOD("GET"), SCHEME("https"), AUTHORITY("u@a"), PATH("/")}, 4, false, 0, "400", 0, false},
    {{METHOD("GET"), SCHEME("https"), PATH("/")}, 3, false, 0, NULL, HTTP2_PROTOCOL_ERROR, false},
    {{METHOD("GET"), SCHEME("gopher"), AUTHORITY("a"), PATH("/")}, 4, false, 0, "400", 0, false},
    {{METHOD("CONNECT"), FIELD(":protocol", "websocket"), SCHEME("https"), AUTHORITY("a"), PATH("/")}, 5, false, 0, NULL, HTTP2_PROTOCOL_ERROR, false},
    /* what HTTP/1.1 would make of it is another request */
    {{METHOD("GET"), SCHEME("https"), AUTHORITY("a"), PATH("/ HTTP/1.1")}, 4, false, 0, NULL, HTTP2_PROTOCOL_ERROR, false},
    {{METHOD("GET"), SCHEME("https"), AUTHORITY("a"), PATH("/\r\nx: y")}, 4, false, 0, NULL, HTTP2_PROTOCOL_ERROR, false},
    {{METHOD("GE T"), SCHEME("https"), AUTHORITY("a"), PATH("/")}, 4, false, 0, NULL, HTTP2_PROTOCOL_ERROR, false},
    {{METHOD("GET"), SCHEME("https"), AUTHORITY("a"), PATH("x")}, 4, false, 0, NULL, HTTP2_PROTOCOL_ERROR, false},
    {{METHOD("GET"), SCHEME("https"), AUTHORITY("a"), PATH("/"), FIELD("transfer-encoding", "chunked")}, 5, false, 0, NULL, HTTP2_PROTOCOL_ERROR, false},
    {{METHOD("GET"), SCHEME("https"), AUTHORITY("a"), PATH("/"), FIELD("connection", "close")}, 5, false, 0, NULL, HTTP2_PROTOCOL_ERROR, false},
    {{METHOD("GET"), SCHEME("https"), AUTHORITY("a"), PATH("/"), FIELD("upgrade", "h2c")}, 5, false, 0, NULL, HTTP2_PROTOCOL_ERROR, false},
    {{METHOD("GET"), SCHEME("https"), AUTHORITY("a"), PATH("/"), FIELD("te", "gzip")}, 5, false, 0, NULL, HTTP2_PROTOCOL_ERROR, false},
    {{METHOD("GET"), SCHEME("https"), AUTHORITY("a"), PATH("/"), FIELD("content-length", "+0")}, 5, false, 0, NULL, HTTP2_PROTOCOL_ERROR, false},
    {{METHOD("GET"), SCHEME("https"), AUTHORITY("a"), PATH("/"), FIELD("content-length", "1"), FIELD("content-length", "1")}, 6, false, 0, NULL, HTTP2_PROTOCOL_ERROR, false},
    {{METHOD("GET"), SCHEME("https"), AUTHORITY("a"), PATH("/"), FIELD("x y", "a")}, 5, false, 0, NULL, HTTP2_PROTOCOL_ERROR, false},
    {{METHOD("GET"), SCHEME("https"), AUTHORITY("a"), PATH("/"), FIELD("x", "a\r\nb: c")}, 5, false, 0, NULL, HTTP2_PROTOCOL_ERROR, false},
    {{METHOD("GET"), SCHEME("https"), AUTHORITY("a"), PATH("/"), FIELD("x", "a\0b")}, 5, false, 0, NULL, HTTP2_PROTOCOL_ERROR, false},
    {{METHOD("GET"), SCHEME("https"), AUTHORITY("a"), PATH("/"), FIELD("x", " a")}, 5, false, 0, NULL, HTTP2_PROTOCOL_ERROR, false},
    {{METHOD("GET"), SCHEME("https"), AUTHORITY("a"), PATH("/"), PATH("/b")}, 5, false, 0, NULL, HTTP2_PROTOCOL_ERROR, false},
    {{METHOD("GET"), SCHEME("https"), AUTHORITY("a"), FIELD("x", "y"), PATH("/")}, 5, false, 0, NULL, HTTP2_PROTOCOL_ERROR, false},
};
/* clang-format on */

static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(refused_cases); i++) {
        const struct case_refused *t = &refused_cases[i];
        struct refused r = {.give_status = t->give_status};
        struct pair p;
        struct peer c, after;
        pair_open(&p, NULL, &(struct http2_options){.connect_only = t->connect_only});
        p.request = refuse_all;
        p.user = &r;
        peer_init(&c, &p, &p.client);
        assert_int_equal(http2_stream_request(p.client.http2, &c.s, t->headers, t->n, false), 0);
        c.to_send = 30000; /* the body of a refused request must not stall the connection */
        peer_pump(&c);
        pair_run(&p);
        print_message("case %zu: status %s code %u\n", i, c.status, c.code);
        assert_int_equal(c.closed, 1);
        assert_string_equal(c.status, t->status ? t->status : "");
        assert_int_equal(c.code, t->status ? HTTP2_NO_ERROR : t->code);
        assert_int_equal(r.requests, t->asked);
        assert_int_equal(c.failed, 1);
        assert_string_equal(http2_why(p.server.http2), "");
        /* and the next one is served */
        p.request = pair_accept;
        peer_init(&after, &p, &p.client);
        assert_int_equal(peer_connect(&after), 0);
        pair_run(&p);
        assert_int_equal(peer_respond(pair_last(&p), false), 0);
        pair_run(&p);
        assert_string_equal(after.status, "200");
        assert_int_equal(http2_stream_count(p.server.http2), 1);
        pair_close(&p);
    }
}

/* A Host that says the same as :authority is fine, and so is Host alone. */
static void test_host_alone(void **state)
{
    (void)state;
    static const struct http2_header both[] = {METHOD("GET"), SCHEME("http"), AUTHORITY("A.test"),
                                               PATH("/"), FIELD("host", "a.test")};
    static const struct http2_header alone[] = {METHOD("GET"), SCHEME("http"), PATH("/"),
                                                FIELD("host", "a.test")};
    struct pair p;
    struct peer c[2];
    pair_open(&p, NULL, NULL);
    peer_init(&c[0], &p, &p.client);
    peer_init(&c[1], &p, &p.client);
    assert_int_equal(http2_stream_request(p.client.http2, &c[0].s, both, 5, true), 0);
    assert_int_equal(http2_stream_request(p.client.http2, &c[1].s, alone, 4, true), 0);
    pair_run(&p);
    assert_int_equal(http2_stream_count(p.server.http2), 2);
    pair_close(&p);
}

/* ---- Bounds of a head */

static void request_with_fields(struct pair *p, struct peer *c, size_t n, size_t value_len)
{
    static char value[70000];
    struct http2_header headers[HTTP2_HEADERS_MAX] = {METHOD("GET"), SCHEME("http"), AUTHORITY("a"),
                                                      PATH("/")};
    memset(value, 'v', sizeof value);
    assert_true(n <= HTTP2_HEADERS_MAX);
    for (size_t i = 4; i < n; i++)
        headers[i] = (struct http2_header){TEXT("x"), {value, value_len}};
    peer_init(c, p, &p->client);
    assert_int_equal(http2_stream_request(p->client.http2, &c->s, headers, n, true), 0);
    pair_run(p);
}

static void test_head_bounds(void **state)
{
    (void)state;
    struct pair p;
    struct peer c[6];
    pair_open(&p, NULL, &(struct http2_options){.header_bytes_max = 8000});
    struct http2_header many[HTTP2_HEADERS_MAX + 1] = {{{0}, {0}}};
    peer_init(&c[0], &p, &p.client);
    assert_int_equal(http2_stream_request(p.client.http2, &c[0].s, many, ARRAY_SIZE(many), true),
                     -E2BIG);

    request_with_fields(&p, &c[0], 4 + HTTP2_FIELDS_MAX, 10);
    assert_int_equal(c[0].closed, 0);
    assert_int_equal(http2_stream_count(p.server.http2), 1);
    request_with_fields(&p, &c[5], 4 + HTTP2_FIELDS_MAX + 1, 10);
    assert_int_equal(c[5].closed, 1);
    assert_int_equal(c[5].code, HTTP2_ENHANCE_YOUR_CALM);
    /* Names and values of the pseudo fields: 7+3, 7+4, 10+1 and 5+1 bytes; and 32 for each
     * field. */
    request_with_fields(&p, &c[1], 5, 8000 - 38 - 5 * 32 - 1);
    assert_int_equal(c[1].closed, 0);
    assert_int_equal(http2_stream_count(p.server.http2), 2);
    request_with_fields(&p, &c[2], 5, 8000 - 38 - 5 * 32);
    assert_int_equal(c[2].closed, 1);
    assert_int_equal(c[2].code, HTTP2_ENHANCE_YOUR_CALM);
    request_with_fields(&p, &c[3], 20, 600);
    assert_int_equal(c[3].closed, 1);
    assert_int_equal(c[3].code, HTTP2_ENHANCE_YOUR_CALM);
    /* The connection lives, and the decoder is still in step. */
    request_with_fields(&p, &c[4], 20, 100);
    assert_int_equal(c[4].closed, 0);
    assert_int_equal(http2_stream_count(p.server.http2), 3);
    pair_close(&p);
}

/* ---- Many streams, every byte checked */

static void serve(struct peer *s, const char *event)
{
    if (strcmp(event, "opened") == 0) {
        uint64_t number = s->s.id;
        s->pattern_in = number;
        s->pattern_out = ~number;
        s->to_send = rng_below(&s->pair->rng, 3) ? rng_below(&s->pair->rng, 3000) : 200000;
        s->finish_at_end = true;
        assert_int_equal(peer_respond(s, false), 0);
        peer_pump(s);
    }
    if (strcmp(event, "received") == 0 && !s->s.paused && rng_below(&s->pair->rng, 8) == 0)
        stream_pause(&s->s.stream);
}

static struct http2_stream *accept_to_serve(struct pair *pair, const struct http2_head *head,
                                            unsigned *ret_status)
{
    struct http2_stream *s = pair_accept(pair, head, ret_status);
    pair_last(pair)->on_event = serve;
    return s;
}

static void client_open(struct peer *c, struct pair *p)
{
    peer_init(c, p, &p->client);
    assert_int_equal(peer_request(c, false), 0);
    c->pattern_out = (uint64_t)c->s.id;
    c->pattern_in = ~(uint64_t)c->s.id;
    c->to_send = rng_below(&p->rng, 3) ? rng_below(&p->rng, 3000) : 200000;
    c->finish_at_end = true;
    peer_pump(c);
}

static void resume_all(struct pair *p)
{
    list_for_each (link, &p->accepted) {
        struct peer *s = container_of(link, struct peer, link);
        if (s->s.paused)
            stream_resume(&s->s.stream);
    }
}

static void client_check(const struct peer *c)
{
    assert_int_equal(c->closed, 1);
    assert_int_equal(c->code, 0);
    assert_int_equal(c->failed, 0);
    assert_int_equal(c->ended, 1);
    assert_int_equal(c->finished, 1);
    assert_int_equal(c->n_out, c->to_send);
    assert_string_equal(c->status, "200");
}

static void many_streams(struct pair *p, size_t concurrent, size_t total)
{
    struct peer *c = calloc(concurrent, sizeof *c);
    assert_non_null(c);
    p->request = accept_to_serve;
    pair_run(p);
    size_t opened = 0, done = 0;
    for (size_t i = 0; i < concurrent; i++, opened++)
        client_open(&c[i], p);
    while (done < total) {
        bool moved = pair_step(p);
        if (!moved || rng_below(&p->rng, 10) == 0)
            resume_all(p);
        for (size_t i = 0; i < concurrent; i++) {
            if (c[i].closed != 1)
                continue;
            client_check(&c[i]);
            done++;
            c[i].closed = 2;
            if (opened < total) {
                client_open(&c[i], p);
                opened++;
            }
        }
    }
    pair_run(p);
    assert_int_equal(http2_stream_count(p->client.http2), 0);
    assert_int_equal(http2_stream_count(p->server.http2), 0);
    assert_true(list_empty(&p->accepted));
    free(c);
}

static void test_100_concurrent(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct pair p;
        struct http2_options small = {.stream_window = 20000 + 30000 * (uint32_t)i,
                                      .connection_window = 65535 * (1 + (uint32_t)i),
                                      .frame_max = 16384 + 7000 * (uint32_t)i};
        pair_open(&p, i & 1 ? &small : NULL, i & 2 ? &small : NULL);
        many_streams(&p, 100, 400);
        pair_close(&p);
    }
}

static void test_1000_in_a_row(void **state)
{
    (void)state;
    struct pair p;
    pair_open(&p, NULL, NULL);
    many_streams(&p, 1, 1000);
    pair_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exchange),        cmocka_unit_test(test_heads_only),
        cmocka_unit_test(test_1xx_is_left_out), cmocka_unit_test(test_head_get),
        cmocka_unit_test(test_refused),         cmocka_unit_test(test_host_alone),
        cmocka_unit_test(test_head_bounds),     cmocka_unit_test(test_100_concurrent),
        cmocka_unit_test(test_1000_in_a_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
