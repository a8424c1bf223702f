#include "shared/http1/http1_codec.h"
#include "tests/support/http1_play.h"
#include "tests/unit/shared/base/failing_alloc.h"
#include "tests/unit/shared/base/test.h"

static struct chunk_pool pool;
static struct http1_codec *client, *server;
static struct http_head head;
static struct buf body, wire;

static int begin(void **state)
{
    (void)state;
    chunk_pool_init(&pool, 2000, 8);
    http_head_init(&head);
    assert_int_equal(http1_codec_new(&client, &(struct http1_codec_options){0}, &pool), 0);
    assert_int_equal(
        http1_codec_new(&server, &(struct http1_codec_options){.server = true, .upgrades = true},
                        &pool),
        0);
    return 0;
}
static int end(void **state)
{
    (void)state;
    client = http1_codec_free(client);
    server = http1_codec_free(server);
    http_head_done(&head);
    buf_done(&body);
    buf_done(&wire);
    chunk_pool_done(&pool);
    return 0;
}

static int read_text(struct http1_codec *c, const char *text)
{
    static struct buf bytes; /* what was not used stays for the next */
    assert_int_equal(buf_append(&bytes, &pool, text, strlen(text)), 0);
    int r = http1_codec_read(c, &bytes, &head, &body);
    if (r <= 0)
        buf_done(&bytes);
    return r;
}

static void is_buf(struct buf *b, const char *expected)
{
    char text[4096] = {0};
    assert_true(b->len < sizeof text);
    buf_peek(b, text, sizeof text - 1);
    assert_string_equal(text, expected);
    buf_done(b);
}

static const struct http_head *request(const char *method)
{
    static struct http_head h;
    http_head_init(&h);
    assert_int_equal(http_head_set_method(&h, text_of(method)), 0);
    h.path = TEXT("/");
    h.authority = TEXT("a");
    return &h;
}

static struct http_head *answer(unsigned status)
{
    static struct http_head h;
    http_head_init(&h);
    h.status = status;
    return &h;
}

static int write_text(struct http1_codec *c, const char *text)
{
    struct buf b = {0};
    assert_int_equal(buf_append(&b, &pool, text, strlen(text)), 0);
    int r = http1_codec_write_body(c, &wire, &b);
    buf_done(&b);
    return r;
}

/* The client has asked. */
static void ask(const char *method)
{
    assert_int_equal(http1_codec_write_head(client, &wire, request(method), true), 0);
    buf_done(&wire);
}

/* The server was asked, and has read it. */
static void be_asked(const char *text)
{
    assert_int_equal(read_text(server, text), HTTP1_HEAD);
    assert_int_equal(read_text(server, ""), HTTP1_END);
}

/* ---- Answers that are read */

struct answer {
    const char *name, *method, *bytes;
    size_t len;
    int result;       /* -502, or 0 */
    const char *said; /* with the end of the connection, if it is still open */
};
/* clang-format off */
#define N(name, method, bytes) {name, method, bytes, sizeof(bytes) - 1, -502, NULL}
#define Y(name, method, bytes, said) {name, method, bytes, sizeof(bytes) - 1, 0, said}
#define OK "HTTP/1.1 200 OK\r\n"
static const struct answer answers[] = {
    Y("a length", "GET", OK "Content-Length: 5\r\nX: y\r\n\r\nhello", "HEAD 200     |content-length=5|x=y\nBODY hello\nEND keep\n"),
    Y("no body", "GET", OK "Content-Length: 0\r\n\r\n", "HEAD 200     |content-length=0\nEND keep\n"),
    Y("chunks", "GET", OK "Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", "HEAD 200     \nBODY hello\nEND keep\n"),
    Y("trailers", "GET", OK "Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n0\r\nX-Sum: 1\r\nY:\r\n\r\n", "HEAD 200     \nBODY he\nTRAILERS|x-sum=1|y=\nEND keep\n"),
    Y("until the end", "GET", OK "\r\nhello", "HEAD 200     \nBODY hello\nEND\n"),
    Y("nothing until the end", "GET", OK "\r\n", "HEAD 200     \nEND\n"),
    Y("1.0", "GET", "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", "HEAD 200     |content-length=1\nBODY x\nEND\n"),
    Y("1.0 that stays", "GET", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx", "HEAD 200     |content-length=1\nBODY x\nEND keep\n"),
    Y("close", "GET", OK "Connection: x-y, close\r\nX-Y: 1\r\nContent-Length: 1\r\n\r\nx", "HEAD 200     |content-length=1\nBODY x\nEND\n"),
    Y("to HEAD, a length", "HEAD", OK "Content-Length: 5\r\n\r\n", "HEAD 200     |content-length=5\nEND keep\n"),
    Y("to HEAD, chunked", "HEAD", OK "Transfer-Encoding: chunked\r\n\r\n", "HEAD 200     \nEND keep\n"),
    Y("to HEAD, nothing said", "HEAD", OK "\r\n", "HEAD 200     \nEND keep\n"),
    Y("304 with a length", "GET", "HTTP/1.1 304 \r\nContent-Length: 5\r\n\r\n", "HEAD 304     |content-length=5\nEND keep\n"),
    Y("204", "GET", "HTTP/1.1 204 No Content\r\n\r\n", "HEAD 204     \nEND keep\n"),
    Y("204 with nothing", "GET", "HTTP/1.1 204\r\nContent-Length: 0\r\n\r\n", "HEAD 204     \nEND keep\n"),
    Y("204 with a length is the last", "GET", "HTTP/1.1 204\r\nContent-Length: 5\r\n\r\nhello", "HEAD 204     \nEND\n"),
    Y("204 with chunks is the last", "GET", "HTTP/1.1 204\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "HEAD 204     \nEND\n"),
    Y("1xx before it", "GET", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" OK "Content-Length: 1\r\n\r\nx",
      "HEAD 100     \nHEAD 103     |link=x\nHEAD 200     |content-length=1\nBODY x\nEND keep\n"),
    Y("no words", "GET", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "HEAD 200     |content-length=0\nEND keep\n"),
    Y("words over 0x7f", "GET", "HTTP/1.1 599 \xc3\xa9\r\nContent-Length: 0\r\n\r\n", "HEAD 599     |content-length=0\nEND keep\n"),
    Y("a length 007", "GET", OK "Content-Length: 007\r\n\r\n1234567", "HEAD 200     |content-length=7\nBODY 1234567\nEND keep\n"),
    Y("an offer of h2c", "GET", OK "Upgrade: h2,h2c\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n", "HEAD 200     |content-length=0\nEND keep\n"),
    Y("to a wish, another answer", "WISH", OK "Content-Length: 1\r\n\r\nx", "HEAD 200     |content-length=1\nBODY x\nEND keep\n"),
    Y("to a wish, yes", "WISH", "HTTP/1.1 101 Yes\r\nConnection: upgrade\r\nUpgrade: WebSocket\r\nX: y\r\n\r\n\x01\r\n\r\nHTTP", "HEAD 101     websocket|x=y\nBODY \x01\r\n\r\nHTTP\nEND\n"),

    N("two lengths", "GET", OK "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
    N("a length and chunks", "GET", OK "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    N("to HEAD, a length and chunks", "HEAD", OK "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
    N("gzip", "GET", OK "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    N("chunks in 1.0", "GET", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    N("cut off in a length", "GET", OK "Content-Length: 5\r\n\r\nhell"),
    N("cut off in a chunk", "GET", OK "Transfer-Encoding: chunked\r\n\r\n5\r\nhell"),
    N("cut off before the last chunk", "GET", OK "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"),
    N("cut off in the end of chunks", "GET", OK "Transfer-Encoding: chunked\r\n\r\n0\r\n"),
    N("cut off in trailers", "GET", OK "Transfer-Encoding: chunked\r\n\r\n0\r\nx: y\r\n"),
    N("cut off in a head", "GET", OK "Content-Length: 0\r\n"),
    N("a chunk that is none", "GET", OK "Transfer-Encoding: chunked\r\n\r\nx\r\n"),
    N("an empty line before", "GET", "\r\n" OK "Content-Length: 0\r\n\r\n"),
    N("a folded line", "GET", OK "X: y\r\n z\r\nContent-Length: 0\r\n\r\n"),
    N("LF", "GET", "HTTP/1.1 200 OK\nContent-Length: 0\n\n"),
    N("NUL", "GET", OK "X: \0\r\nContent-Length: 0\r\n\r\n"),
    N("blank before a colon", "GET", OK "Content-Length : 0\r\n\r\n"),
    N("status 099", "GET", "HTTP/1.1 099 x\r\nContent-Length: 0\r\n\r\n"),
    N("status 600", "GET", "HTTP/1.1 600 x\r\nContent-Length: 0\r\n\r\n"),
    N("status 20", "GET", "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n"),
    N("status 2000", "GET", "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n"),
    N("status 20x", "GET", "HTTP/1.1 20x OK\r\nContent-Length: 0\r\n\r\n"),
    N("two blanks", "GET", "HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n"),
    N("HTTP/2", "GET", "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"),
    N("HTTP/1.2", "GET", "HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n"),
    N("ICY", "GET", "ICY 200 OK\r\nContent-Length: 0\r\n\r\n"),
    N("a request", "GET", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    N("1xx with a length", "GET", "HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\n" OK "Content-Length: 0\r\n\r\n"),
    N("101 that nobody asked for", "GET", "HTTP/1.1 101 Yes\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"),
    N("101 to something else", "WISH", "HTTP/1.1 101 Yes\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"),
    N("101 to nothing", "WISH", "HTTP/1.1 101 Yes\r\n\r\n"),
    N("Connection names Content-Length", "GET", OK "Connection: content-length\r\nContent-Length: 0\r\n\r\n"),
    N("a trailer Content-Length", "GET", OK "Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 5\r\n\r\n"),
};
/* clang-format on */

static void asked(struct http1_play *p, const char *method)
{
    struct http_head h = *request(strcmp(method, "WISH") ? method : "GET");
    struct buf out = {0};
    http1_play_begin(p, &pool, &(struct http1_codec_options){0}, true);
    if (strcmp(method, "WISH") == 0)
        h.protocol = TEXT("websocket");
    assert_int_equal(http1_codec_write_head(p->codec, &out, &h, true), 0);
    buf_done(&out);
}

/* In one piece, and cut in two at each place. */
static void answers_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
        const struct answer *a = &answers[i];
        for (size_t cut = 0; cut < a->len; cut++) {
            struct http1_play p;
            asked(&p, a->method);
            http1_play_feed_all(&p, a->bytes, cut, 0);
            http1_play_feed_all(&p, a->bytes + cut, a->len - cut, 0);
            http1_play_end(&p);
            if (p.result != a->result)
                fail_msg("%s, cut at %zu: %d", a->name, cut, p.result);
            if (a->result == 0 && strcmp(a->said, p.said.data) != 0)
                fail_msg("%s, cut at %zu: %s", a->name, cut, p.said.data);
            http1_play_done(&p);
        }
        assert_int_equal(pool.n_live, 0);
    }
}

static void what_nobody_asked_for(void **state)
{
    (void)state;
    assert_int_equal(read_text(client, "HTTP/1.1 408 Request Timeout\r\n\r\n"), -502);
}

static void too_many_interim(void **state)
{
    (void)state;
    int n = 0;
    ask("GET");
    while (read_text(client, "HTTP/1.1 100 Continue\r\n\r\n") == HTTP1_HEAD)
        n++;
    assert_int_equal(n, 16);
}

/* ---- Heads and bodies that are written */

static void requests_are_written(void **state)
{
    (void)state;
    ask("GET");
    assert_int_equal(read_text(client, OK "Content-Length: 0\r\n\r\n"), HTTP1_HEAD);
    assert_false(http1_codec_reusable(client));
    assert_int_equal(read_text(client, ""), HTTP1_END);
    assert_true(http1_codec_next(client));

    struct http_head h = *request("PUT");
    http_head_init(&h);
    h.method = TEXT("PUT");
    h.path = TEXT("/x");
    h.authority = TEXT("b:1");
    assert_int_equal(http_head_add(&h, TEXT("X"), TEXT("y")), 0);
    /* what some other version may have brought */
    assert_int_equal(http_head_add(&h, TEXT("host"), TEXT("evil")), 0);
    assert_int_equal(http_head_add(&h, TEXT("connection"), TEXT("evil")), 0);
    assert_int_equal(http_head_add(&h, TEXT("transfer-encoding"), TEXT("evil")), 0);
    assert_int_equal(http_head_add(&h, TEXT("upgrade"), TEXT("evil")), 0);
    assert_int_equal(http_head_add(&h, TEXT("te"), TEXT("evil")), 0);
    assert_int_equal(http1_codec_write_head(client, &wire, &h, false), 0);
    is_buf(&wire, "PUT /x HTTP/1.1\r\nhost: b:1\r\nx: y\r\ntransfer-encoding: chunked\r\n\r\n");
    assert_int_equal(write_text(client, "hello"), 0);
    assert_int_equal(write_text(client, ""), 0);
    assert_int_equal(write_text(client, "0123456789abcdefg"), 0);
    struct http_head trailers;
    http_head_init(&trailers);
    assert_int_equal(http_head_add(&trailers, TEXT("x-sum"), TEXT("1")), 0);
    assert_int_equal(http_head_add(&trailers, TEXT("content-length"), TEXT("1")), 0);
    assert_int_equal(http_head_add(&trailers, TEXT("authorization"), TEXT("x")), 0);
    assert_int_equal(http1_codec_write_end(client, &wire, &trailers), 0);
    is_buf(&wire, "5\r\nhello\r\n11\r\n0123456789abcdefg\r\n0\r\nx-sum: 1\r\n\r\n");
}

static void what_is_no_request(void **state)
{
    (void)state;
    struct http_head h = *request("CONNECT");
    assert_int_equal(http1_codec_write_head(client, &wire, &h, true), -EINVAL);
    h.method = TEXT("GET");
    h.path = TEXT("");
    assert_int_equal(http1_codec_write_head(client, &wire, &h, true), -EINVAL);
    http_head_init(&h);
    h.method = TEXT("POST");
    h.path = TEXT("/");
    assert_int_equal(http_head_add(&h, TEXT("content-length"), TEXT("5")), 0);
    assert_int_equal(http1_codec_write_head(client, &wire, &h, true), -EINVAL);
    assert_int_equal(http_head_add(&h, TEXT("content-length"), TEXT("5")), 0);
    assert_int_equal(http1_codec_write_head(client, &wire, &h, false), -EINVAL);
    assert_int_equal(http_head_set(&h, TEXT("content-length"), TEXT("x")), 0);
    assert_int_equal(http1_codec_write_head(client, &wire, &h, false), -EINVAL);
    assert_int_equal(wire.len, 0);
    assert_int_equal(write_text(client, "x"), -EPROTO);
    assert_int_equal(http1_codec_write_end(client, &wire, NULL), -EPROTO);
    ask("GET");
    assert_int_equal(http1_codec_write_head(client, &wire, request("GET"), true), -EINVAL);
}

static void a_length_is_kept(void **state)
{
    (void)state;
    be_asked("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    struct http_head *h = answer(200);
    assert_int_equal(http_head_add(h, TEXT("content-length"), TEXT("5")), 0);
    assert_int_equal(http1_codec_write_head(server, &wire, h, false), 0);
    is_buf(&wire, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n");
    assert_int_equal(write_text(server, "hell"), 0);
    assert_int_equal(http1_codec_write_end(server, &wire, NULL), -EPROTO);
    assert_int_equal(write_text(server, "ox"), -EPROTO);
    assert_int_equal(write_text(server, "o"), 0);
    assert_int_equal(http1_codec_write_end(server, &wire, NULL), 0);
    is_buf(&wire, "hello");
    assert_true(http1_codec_next(server));
}

struct written {
    const char *request;
    unsigned status;
    const char *length; /* NULL: not said */
    bool end;
    const char *wire; /* with the body "hello", if there is no end */
    bool stays;
};
static void answers_are_written(void **state)
{
    (void)state;
#define GET     "GET / HTTP/1.1\r\nHost: a\r\n"
#define CHUNKED "transfer-encoding: chunked\r\n"
#define CHUNKS  "\r\n5\r\nhello\r\n0\r\n\r\n"
    static const struct written cases[] = {
        {GET "\r\n", 200, NULL, false, OK CHUNKED CHUNKS, true},
        {GET "\r\n", 200, "5", false, OK "content-length: 5\r\n\r\nhello", true},
        {GET "\r\n", 404, NULL, true, "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", true},
        {GET "\r\n", 299, NULL, true, "HTTP/1.1 299 \r\ncontent-length: 0\r\n\r\n", true},
        {GET "\r\n", 204, "5", false, "HTTP/1.1 204 No Content\r\n\r\n", true},
        {GET "\r\n", 204, NULL, true, "HTTP/1.1 204 No Content\r\n\r\n", true},
        {GET "\r\n", 304, "5", true, "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n",
         true},
        {"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", 200, "5", false, OK "content-length: 5\r\n\r\n",
         true},
        {"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", 200, NULL, true, OK "\r\n", true},
        {GET "Connection: close\r\n\r\n", 200, NULL, false,
         OK CHUNKED "connection: close\r\n" CHUNKS, false},
        {"GET / HTTP/1.0\r\n\r\n", 200, NULL, false, OK "connection: close\r\n\r\nhello", false},
        {"GET / HTTP/1.0\r\n\r\n", 200, "5", false,
         OK "content-length: 5\r\nconnection: close\r\n\r\nhello", false},
        {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", 200, "5", false,
         OK "content-length: 5\r\nconnection: keep-alive\r\n\r\nhello", true},
        {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", 200, NULL, false,
         OK "connection: close\r\n\r\nhello", false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const struct written *w = &cases[i];
        char text[1000] = {0};
        server = http1_codec_free(server);
        assert_int_equal(
            http1_codec_new(&server, &(struct http1_codec_options){.server = true}, &pool), 0);
        be_asked(w->request);
        struct http_head *h = answer(w->status);
        if (w->length)
            assert_int_equal(http_head_add(h, TEXT("content-length"), text_of(w->length)), 0);
        assert_int_equal(http1_codec_write_head(server, &wire, h, w->end), 0);
        if (!w->end) {
            assert_int_equal(write_text(server, "hello"), 0);
            assert_int_equal(http1_codec_write_end(server, &wire, NULL), 0);
        }
        buf_peek(&wire, text, sizeof text - 1);
        assert_string_equal(text, w->wire);
        buf_done(&wire);
        assert_int_equal(http1_codec_next(server), w->stays);
    }
}

/* The owner has said that this is the last. */
static void the_last_exchange(void **state)
{
    (void)state;
    be_asked(GET "\r\n");
    http1_codec_close_after(server);
    assert_int_equal(http1_codec_write_head(server, &wire, answer(200), true), 0);
    is_buf(&wire, OK "content-length: 0\r\nconnection: close\r\n\r\n");
    assert_false(http1_codec_next(server));
    http1_codec_close_after(client);
    assert_int_equal(http1_codec_write_head(client, &wire, request("GET"), true), 0);
    is_buf(&wire, "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    assert_int_equal(read_text(client, OK "Content-Length: 0\r\n\r\n"), HTTP1_HEAD);
    assert_int_equal(read_text(client, ""), HTTP1_END);
    assert_false(http1_codec_next(client));
}

/* A refusal is answered by the same door, and is the end. */
static void a_refusal_is_answered(void **state)
{
    (void)state;
    assert_int_equal(read_text(server, "GET / HTTP/1.1\r\n\r\n"), -400);
    assert_int_equal(http1_codec_write_head(server, &wire, answer(400), true), 0);
    is_buf(&wire, "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    assert_false(http1_codec_next(server));
}

static void interim_answers(void **state)
{
    (void)state;
    be_asked(GET "\r\n");
    struct http_head *h = answer(103);
    assert_int_equal(http_head_add(h, TEXT("link"), TEXT("x")), 0);
    assert_int_equal(http_head_add(h, TEXT("content-length"), TEXT("5")), 0);
    assert_int_equal(http1_codec_write_head(server, &wire, h, false), 0);
    is_buf(&wire, "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n");
    assert_int_equal(http1_codec_write_head(server, &wire, answer(100), true), -EINVAL);
    assert_int_equal(http1_codec_write_head(server, &wire, answer(99), true), -EINVAL);
    assert_int_equal(http1_codec_write_head(server, &wire, answer(600), true), -EINVAL);
    assert_int_equal(http1_codec_write_head(server, &wire, answer(101), false), -EINVAL);
    assert_int_equal(http1_codec_write_head(server, &wire, answer(200), true), 0);
    assert_true(http1_codec_next(server));
    be_asked("GET / HTTP/1.0\r\n\r\n");
    buf_done(&wire);
    assert_int_equal(http1_codec_write_head(server, &wire, answer(100), false), 0);
    assert_int_equal(wire.len, 0);
}

/* ---- Other protocols */

#define WISH GET "Connection: Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Key: 1\r\n\r\n"
static void a_wish_is_granted(void **state)
{
    (void)state;
    assert_int_equal(read_text(server, WISH), HTTP1_HEAD);
    is_text(head.protocol, "websocket");
    assert_int_equal(head.n, 1);
    struct buf bytes = {0}, more = {0};
    assert_int_equal(buf_append(&bytes, &pool, "abc", 3), 0);
    assert_int_equal(http1_codec_read(server, &bytes, &head, &more), HTTP1_MORE);
    assert_int_equal(bytes.len, 3); /* held until the answer */
    assert_false(http1_codec_ends(server));
    struct http_head *h = answer(101);
    h->protocol = TEXT("h2c");
    assert_int_equal(http1_codec_write_head(server, &wire, h, false), -EINVAL);
    h->protocol = TEXT("websocket");
    assert_int_equal(http1_codec_write_head(server, &wire, h, false), 0);
    is_buf(&wire, "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n"
                  "connection: upgrade\r\n\r\n");
    assert_int_equal(http1_codec_read(server, &bytes, &head, &more), HTTP1_BODY);
    is_buf(&more, "abc");
    assert_int_equal(write_text(server, "xyz"), 0);
    is_buf(&wire, "xyz");
    assert_int_equal(http1_codec_read_end(server), HTTP1_END);
    assert_int_equal(http1_codec_write_end(server, &wire, NULL), 0);
    assert_int_equal(wire.len, 0);
    assert_false(http1_codec_next(server));
}

static void a_wish_is_not_granted(void **state)
{
    (void)state;
    assert_int_equal(read_text(server, WISH), HTTP1_HEAD);
    assert_int_equal(http1_codec_write_head(server, &wire, answer(200), true), 0);
    is_buf(&wire, OK "content-length: 0\r\n\r\n");
    assert_int_equal(read_text(server, ""), HTTP1_END);
    assert_true(http1_codec_next(server));
    be_asked(GET "\r\n");
}

static void a_wish_is_made(void **state)
{
    (void)state;
    struct http_head h = *request("GET");
    h.protocol = TEXT("websocket");
    assert_int_equal(http1_codec_write_head(client, &wire, &h, false), 0);
    is_buf(&wire, "GET / HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n");
    assert_int_equal(write_text(client, "early"), -EPROTO);
    assert_int_equal(
        read_text(client, "HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"),
        HTTP1_HEAD);
    assert_int_equal(write_text(client, "now"), 0);
    is_buf(&wire, "now");
}

/* ---- Exchanges one after another */

static void one_at_a_time(void **state)
{
    (void)state;
    struct buf bytes = {0};
    const char two[] = GET "\r\n" GET "X: 2\r\n\r\n";
    assert_int_equal(buf_append(&bytes, &pool, two, sizeof two - 1), 0);
    assert_int_equal(http1_codec_read(server, &bytes, &head, &body), HTTP1_HEAD);
    assert_true(http1_codec_ends(server));
    assert_int_equal(http1_codec_read(server, &bytes, &head, &body), HTTP1_END);
    size_t left = bytes.len;
    assert_int_equal(http1_codec_read(server, &bytes, &head, &body), HTTP1_MORE);
    assert_int_equal(bytes.len, left);
    assert_int_equal(http1_codec_write_head(server, &wire, answer(200), false), 0);
    assert_false(http1_codec_next(server)); /* the answer goes on */
    assert_int_equal(http1_codec_write_end(server, &wire, NULL), 0);
    assert_true(http1_codec_next(server));
    assert_int_equal(http1_codec_read(server, &bytes, &head, &body), HTTP1_HEAD);
    is_text(http_head_get(&head, TEXT("x")), "2");
    assert_int_equal(bytes.len, 0);
}

/* An answer that is early does not end the request. */
static void an_early_answer(void **state)
{
    (void)state;
    assert_int_equal(http1_codec_write_head(client, &wire, request("POST"), false), 0);
    assert_int_equal(read_text(client, OK "Content-Length: 0\r\n\r\n"), HTTP1_HEAD);
    assert_int_equal(read_text(client, ""), HTTP1_END);
    assert_false(http1_codec_next(client));
    assert_int_equal(http1_codec_write_end(client, &wire, NULL), 0);
    assert_true(http1_codec_next(client));
    assert_int_equal(read_text(server, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"),
                     HTTP1_HEAD);
    assert_int_equal(http1_codec_announced(server), 5);
    assert_int_equal(http1_codec_write_head(server, &wire, answer(200), true), 0);
    assert_false(http1_codec_next(server));
    assert_int_equal(http1_codec_read_end(server), -400);
}

/* ---- Bytes and memory */

/* A body goes through in the chunks it came in. */
static void bodies_are_not_copied(void **state)
{
    (void)state;
    static char many[CHUNK_BYTES];
    struct buf bytes = {0};
    assert_int_equal(
        read_text(server, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n"),
        HTTP1_HEAD);
    for (int i = 0; i < 10; i++)
        assert_int_equal(buf_append(&bytes, &pool, many, sizeof many), 0);
    const struct chunk *first = bytes.head, *last = bytes.tail;
    size_t live = pool.n_live;
    assert_int_equal(http1_codec_read(server, &bytes, &head, &body), HTTP1_BODY);
    assert_ptr_equal(body.head, first);
    assert_ptr_equal(body.tail, last);
    assert_int_equal(http1_codec_write_head(client, &wire, request("PUT"), false), 0);
    assert_int_equal(http1_codec_write_body(client, &wire, &body), 0);
    assert_ptr_equal(wire.head->next, first);
    assert_true(pool.n_live <= live + 2); /* the head's, and CR LF after chunks that are full */
}

static void no_chunks(void **state)
{
    (void)state;
    struct buf b = {0};
    be_asked(GET "\r\n");
    assert_int_equal(http1_codec_write_head(server, &wire, answer(200), false), 0);
    assert_int_equal(buf_append(&b, &pool, "hello", 5), 0);
    buf_done(&wire);
    size_t n_max = pool.n_max;
    pool.n_max = pool.n_live;
    assert_int_equal(http1_codec_write_body(server, &wire, &b), -ENOBUFS);
    assert_int_equal(b.len, 5);
    assert_int_equal(http1_codec_write_end(server, &wire, NULL), -ENOBUFS);
    assert_int_equal(wire.len, 0);
    pool.n_max = n_max;
    assert_int_equal(http1_codec_write_body(server, &wire, &b), 0);
    assert_int_equal(http1_codec_write_end(server, &wire, NULL), 0);
    is_buf(&wire, "5\r\nhello\r\n0\r\n\r\n");
}

/* There is one for the size, and none for CR LF behind a chunk that is full. */
static void no_second_chunk(void **state)
{
    (void)state;
    static char many[CHUNK_BYTES];
    struct buf b = {0};
    be_asked(GET "\r\n");
    assert_int_equal(http1_codec_write_head(server, &wire, answer(200), false), 0);
    buf_done(&wire);
    assert_int_equal(buf_append(&b, &pool, many, sizeof many), 0);
    size_t n_max = pool.n_max, live = pool.n_live;
    pool.n_max = live + 1;
    assert_int_equal(http1_codec_write_body(server, &wire, &b), -ENOBUFS);
    assert_int_equal(b.len, sizeof many);
    assert_int_equal(pool.n_live, live);
    pool.n_max = n_max;
    assert_int_equal(http1_codec_write_body(server, &wire, &b), 0);
    assert_int_equal(wire.len, sizeof many + 4 + 2 + 2);
}

/* A body's chunk must be split, and there is none to put the rest into. */
static void no_chunk_to_split(void **state)
{
    (void)state;
    static char many[10000];
    struct buf bytes = {0};
    assert_int_equal(read_text(server, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n"),
                     HTTP1_HEAD);
    assert_int_equal(buf_append(&bytes, &pool, many, sizeof many), 0);
    size_t n_max = pool.n_max;
    pool.n_max = pool.n_live;
    assert_int_equal(http1_codec_read(server, &bytes, &head, &body), -ENOBUFS);
    assert_int_equal(bytes.len, 10000);
    pool.n_max = n_max;
    assert_int_equal(http1_codec_read(server, &bytes, &head, &body), HTTP1_BODY);
    assert_int_equal(body.len, 5000);
    assert_int_equal(http1_codec_read(server, &bytes, &head, &body), HTTP1_END);
    buf_done(&bytes);
}

/* Larger than any chunk. */
static void a_large_head(void **state)
{
    (void)state;
    static char value[40000];
    struct http_head h = *request("GET");
    memset(value, 'v', sizeof value);
    http_head_init(&h);
    h.method = TEXT("GET");
    h.path = TEXT("/");
    h.authority = TEXT("a");
    assert_int_equal(http_head_add(&h, TEXT("x"), (struct text){value, sizeof value}), 0);
    size_t n_max = pool.n_max;
    pool.n_max = 2;
    assert_int_equal(http1_codec_write_head(client, &wire, &h, true), -ENOBUFS);
    assert_int_equal(wire.len, 0);
    pool.n_max = n_max;
    assert_int_equal(http1_codec_write_head(client, &wire, &h, true), 0);
    http_head_done(&h);
    assert_int_equal(http1_codec_read(server, &wire, &head, &body), HTTP1_HEAD);
    assert_int_equal(http_head_get(&head, TEXT("x")).len, sizeof value);
}

/* Between two exchanges nothing is held, and an ordinary one takes nothing of the heap. */
static void no_allocation(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        if (i > 0)
            alloc_fail_at(0);
        be_asked(GET "Accept: */*\r\nUser-Agent: x\r\n\r\n");
        assert_int_equal(http1_codec_write_head(server, &wire, answer(200), true), 0);
        assert_true(http1_codec_next(server));
        buf_done(&wire);
        assert_false(alloc_failed());
    }
    assert_int_equal(pool.n_live, 0);
}

static void each_allocation_fails(void **state)
{
    (void)state;
    static char value[5000];
    char text[12000];
    bool failed = true;
    memset(value, 'v', sizeof value - 1);
    snprintf(text, sizeof text,
             "POST / HTTP/1.1\r\nHost: a\r\nX: %s\r\nTransfer-Encoding: chunked\r\n\r\n"
             "0\r\nX: %s\r\n\r\n",
             value, value);
    for (long n = 0; failed; n++) {
        struct http1_codec *c = NULL;
        struct buf bytes = {0};
        assert_int_equal(buf_append(&bytes, &pool, text, strlen(text)), 0);
        http_head_done(&head);
        alloc_fail_at(n);
        int r = http1_codec_new(&c, &(struct http1_codec_options){.server = true}, &pool);
        while (r >= 0 && r != HTTP1_END)
            r = http1_codec_read(c, &bytes, &head, &body);
        failed = alloc_failed();
        assert_int_equal(r, !failed ? HTTP1_END : c ? -503 : -ENOMEM);
        http1_codec_free(c);
        buf_done(&bytes);
    }
}

static void options_have_bounds(void **state)
{
    (void)state;
    struct http1_codec *c;
    assert_int_equal(http1_codec_new(&c, &(struct http1_codec_options){.head_max = 73729}, &pool),
                     -EINVAL);
    assert_int_equal(http1_codec_new(&c, &(struct http1_codec_options){.fields_max = 133}, &pool),
                     -EINVAL);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        T(answers_are_read),
        T(what_nobody_asked_for),
        T(too_many_interim),
        T(requests_are_written),
        T(what_is_no_request),
        T(a_length_is_kept),
        T(answers_are_written),
        T(the_last_exchange),
        T(a_refusal_is_answered),
        T(interim_answers),
        T(a_wish_is_granted),
        T(a_wish_is_not_granted),
        T(a_wish_is_made),
        T(one_at_a_time),
        T(an_early_answer),
        T(bodies_are_not_copied),
        T(no_chunks),
        T(no_second_chunk),
        T(no_chunk_to_split),
        T(a_large_head),
        T(no_allocation),
        T(each_allocation_fails),
        T(options_have_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
