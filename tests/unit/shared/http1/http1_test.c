#include "shared/http1/http1.h"
#include "tests/unit/shared/base/failing_alloc.h"
#include "tests/unit/shared/base/test.h"
#include <errno.h>

static struct chunk_pool pool;
static struct http1 *h;

static int begin(void **state)
{
    (void)state;
    chunk_pool_init(&pool, 2000, 8);
    assert_int_equal(http1_new(&h, &(struct http1_options){0}), 0);
    return 0;
}
static int end(void **state)
{
    (void)state;
    h = http1_free(h);
    chunk_pool_done(&pool);
    return 0;
}
static void renew(const struct http1_options *o)
{
    h = http1_free(h);
    assert_int_equal(http1_new(&h, o ? o : &(struct http1_options){0}), 0);
}
static int feed(const char *bytes, size_t len)
{
    struct buf b = {0};
    assert_int_equal(buf_append(&b, &pool, bytes, len), 0);
    int r = http1_input(h, &b);
    if (r != 1)
        assert_int_equal(b.len, 0);
    buf_done(&b);
    return r;
}
static int feed_text(const char *text)
{
    return feed(text, strlen(text));
}

/* ---- Requests that are taken */

struct taken {
    const char *bytes, *method, *path, *query, *body;
    bool close;
};
/* clang-format off */
static const struct taken taken[] = {
    {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/", "", "", false},
    {"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/", "", "", false},
    {"GET / HTTP/1.0\r\n\r\n", "GET", "/", "", "", true},
    {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "GET", "/", "", "", false},
    {"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "GET", "/", "", "", true},
    {"GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n", "GET", "/", "", "", true},
    {"GET /a%20b/%C3%A9?x=%2f&y HTTP/1.1\r\nhOST:\ta:80 \r\n\r\n", "GET", "/a b/\xc3\xa9", "x=%2f&y", "", false},
    {"GET /a..b/...?.. HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/a..b/...", "..", "", false},
    {"GET http://a/x?y HTTP/1.1\r\nHost: A\r\n\r\n", "GET", "/x", "y", "", false},
    {"GET http://a HTTP/1.1\r\nHost: A\r\n\r\n", "GET", "/", "", "", false},
    {"GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "GET", "/", "", "", false},
    {"GET / HTTP/1.1\r\nHost:\r\n\r\n", "GET", "/", "", "", false},
    {"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", "HEAD", "/", "", "", false},
    {"OPTIONS /x HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS", "/x", "", "", false},
    {"DELETE /x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "DELETE", "/x", "", "", false},
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", "POST", "/", "", "hello", false},
    {"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 05\r\n\r\nhello", "PUT", "/", "", "hello", false},
    {"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 18\r\n\r\nGET /x HTTP/1.1\r\n\r", "GET", "/", "", "GET /x HTTP/1.1\r\n\r", false},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "POST", "/", "", "hello", false},
    {"PATCH / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked \r\n\r\n1;a=b\r\nh\r\n4\r\nello\r\n000\r\n\r\n", "PATCH", "/", "", "hello", false},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "POST", "/", "", "", false},
    /* asking for another protocol is asking in vain */
    {"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", "GET", "/", "", "", false},
    {"POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 5\r\n\r\nhello", "POST", "/", "", "hello", false},
    {"GET / HTTP/1.1\r\nHost: a\r\nX: \x80\xff\r\nY:\r\n\r\n", "GET", "/", "", "", false},
};
/* clang-format on */

static void check_taken(const struct taken *t)
{
    const struct http1_request *r = http1_request(h);
    is_text(r->method, t->method);
    is_text(r->path, t->path);
    is_text(r->query, t->query);
    is_text(r->body, t->body);
    assert_int_equal(r->keep_alive, !t->close);
}

/* In one piece, byte by byte, and cut in two at each place. */
static void test_taken(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(taken); i++) {
        const struct taken *t = &taken[i];
        size_t len = strlen(t->bytes);
        print_message("taken %zu\n", i);
        renew(NULL);
        assert_int_equal(feed(t->bytes, len), 1);
        check_taken(t);
        assert_int_equal(http1_next(h), 0);
        renew(NULL);
        for (size_t k = 0; k < len; k++)
            assert_int_equal(feed(t->bytes + k, 1), k == len - 1);
        check_taken(t);
        for (size_t cut = 1; cut < len; cut++) {
            renew(NULL);
            assert_int_equal(feed(t->bytes, cut), 0);
            assert_int_equal(feed(t->bytes + cut, len - cut), 1);
            check_taken(t);
        }
    }
}

static void test_fields(void **state)
{
    (void)state;
    assert_int_equal(feed_text("POST /x HTTP/1.1\r\nHost: h:1\r\nAuthorization: Bearer abc\r\n"
                               "Accept: a/b\r\nContent-Type:text/x \r\nContent-Length: 1\r\n\r\n!"),
                     1);
    const struct http1_request *r = http1_request(h);
    is_text(r->host, "h:1");
    is_text(r->authorization, "Bearer abc");
    is_text(r->accept, "a/b");
    is_text(r->content_type, "text/x");
    assert_int_equal(http1_next(h), 0);
    assert_int_equal(feed_text("GET / HTTP/1.1\r\nHost: h\r\n\r\n"), 1);
    r = http1_request(h);
    assert_null(r->authorization.data); /* nothing stays from the request before */
    assert_null(r->accept.data);
    assert_null(r->content_type.data);
    assert_int_equal(r->body.len, 0);
}

/* All the good ones in a row, in random pieces. */
static void test_pipeline(void **state)
{
    (void)state;
    struct rng rng;
    test_seed(&rng);
    for (int round = 0; round < 200; round++) {
        struct buf b = {0};
        size_t order[40], done = 0;
        renew(NULL);
        for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
            do
                order[i] = rng_below(&rng, ARRAY_SIZE(taken));
            while (taken[order[i]].close);
            assert_int_equal(
                buf_append(&b, &pool, taken[order[i]].bytes, strlen(taken[order[i]].bytes)), 0);
        }
        int r = 0;
        while (done < ARRAY_SIZE(order)) {
            if (r == 1) {
                check_taken(&taken[order[done++]]);
                r = http1_next(h);
                continue;
            }
            assert_int_equal(r, 0);
            struct buf piece = {0};
            size_t n = 1 + rng_below(&rng, round & 1 ? 30 : 4000);
            assert_int_equal(buf_move_some(&piece, &pool, &b, n < b.len ? n : b.len), 0);
            r = http1_input(h, &piece);
            assert_int_equal(piece.len, 0);
        }
        assert_int_equal(r, 0);
        assert_int_equal(b.len, 0);
    }
}

/* While a request is complete nothing more is taken: who sends on is held up, not buffered. */
static void test_complete_takes_nothing(void **state)
{
    (void)state;
    struct buf b = {0};
    assert_int_equal(feed_text("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"), 1);
    assert_int_equal(buf_append(&b, &pool, "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n", 28), 0);
    assert_int_equal(http1_input(h, &b), 1);
    assert_int_equal(b.len, 28);
    is_text(http1_request(h)->path, "/1");
    assert_int_equal(http1_next(h), 0);
    assert_int_equal(http1_input(h, &b), 1);
    is_text(http1_request(h)->path, "/2");
}

static void test_nothing_after_close(void **state)
{
    (void)state;
    assert_int_equal(feed_text("GET /1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
                               "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n"),
                     1);
    assert_int_equal(http1_next(h), 0);
    assert_int_equal(feed_text("GET /3 HTTP/1.1\r\nHost: a\r\n\r\n"), 0);
    assert_int_equal(pool.n_live, 0);
}

static void test_continue(void **state)
{
    (void)state;
    static const char head[] =
        "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n";
    assert_false(http1_wants_continue(h));
    assert_int_equal(feed_text(head), 0);
    assert_true(http1_wants_continue(h));
    assert_false(http1_wants_continue(h));
    assert_int_equal(feed_text("ab"), 1);
    assert_int_equal(http1_next(h), 0);
    assert_int_equal(feed_text(head), 0);
    assert_int_equal(feed_text("a"), 0);
    assert_false(http1_wants_continue(h)); /* it came by itself */
    assert_int_equal(feed_text("b"), 1);
    assert_int_equal(http1_next(h), 0);
    assert_int_equal(feed_text("GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n"), 1);
    assert_false(http1_wants_continue(h));
}

/* ---- Requests that are refused */

struct refused {
    const char *bytes;
    size_t len;
    int status;
};
/* clang-format off */
#define R(s, status) {s, sizeof(s) - 1, status}
#define G "GET / HTTP/1.1\r\nHost: a\r\n"
#define P "POST / HTTP/1.1\r\nHost: a\r\n"
#define CHUNKED P "Transfer-Encoding: chunked\r\n\r\n"
static const struct refused refused[] = {
    /* how long is the body? */
    R(P "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    R(P "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400),
    R(P "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", 400),
    R(P "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400),
    R(P "Content-Length: 5, 6\r\n\r\nhello!", 400),
    R(P "Content-Length: 5, 5\r\n\r\nhello", 400),
    R(P "Content-Length: +5\r\n\r\nhello", 400),
    R(P "Content-Length: -1\r\n\r\n", 400),
    R(P "Content-Length: 0x5\r\n\r\nhello", 400),
    R(P "Content-Length: 5 x\r\n\r\nhello", 400),
    R(P "Content-Length: 1 2\r\n\r\nhello", 400),
    R(P "Content-Length:\r\n\r\n", 400),
    R(P "Content-Length: 18446744073709551621\r\n\r\nhello", 400),
    R(P "Content-Length: 1_0\r\n\r\n", 400),
    R(P "Content-Length: 5.0\r\n\r\nhello", 400),
    R(P "Content-Length : 5\r\n\r\nhello", 400),
    R(P "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
    R(P "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501),
    R(P "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400),
    R(P "Transfer-Encoding: identity\r\n\r\n", 501),
    R(P "Transfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello", 400),
    R(P "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
    R(P "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    R(P "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n", 400),
    R(P "Transfer-Encoding: \x0b" "chunked\r\n\r\n0\r\n\r\n", 400),
    R(P "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", 400),
    R(P "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n", 501),
    R(P "Transfer-Encoding: chunked\0\r\n\r\n0\r\n\r\n", 400),
    R(P "Transfer-Encoding:\r\n\r\n0\r\n\r\n", 501),
    R("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    /* chunks */
    R(CHUNKED "-1\r\n\r\n", 400),
    R(CHUNKED "0x1\r\na\r\n0\r\n\r\n", 400),
    R(CHUNKED "ffffffffffffffffff\r\n", 400),
    R(CHUNKED "fffff\r\n", 413),
    R(CHUNKED " 1\r\na\r\n0\r\n\r\n", 400),
    R(CHUNKED "\r\na\r\n", 400),
    R(CHUNKED "1\na\r\n0\r\n\r\n", 400),
    R(CHUNKED "1 \r\na\r\n0\r\n\r\n", 400),
    R(CHUNKED "1\r\nab\r\n0\r\n\r\n", 400),
    R(CHUNKED "1\r\na0\r\n\r\n", 400),
    R(CHUNKED "1;a=\nb\r\na\r\n0\r\n\r\n", 400),
    R(CHUNKED "1;a=\rb\r\na\r\n0\r\n\r\n", 400),
    R(CHUNKED "0\r\nContent-Length: 5\r\n\r\n", 400),
    R(CHUNKED "0\r\nX: y\r\n\r\n", 400),
    R(CHUNKED "0\r\n\n", 400),
    /* lines */
    R("GET / HTTP/1.1\nHost: a\n\n", 400),
    R("GET / HTTP/1.1\r\nHost: a\n\r\n", 400),
    R(G "X: a\rb\r\n\r\n", 400),
    R(G "X: a\0b\r\n\r\n", 400),
    R(G "X\0: a\r\n\r\n", 400),
    R(G "X: a\x01\r\n\r\n", 400),
    R(G "X: a\x7f\r\n\r\n", 400),
    R(G "X: a\r\n b\r\n\r\n", 400),
    R(G "X: a\r\n\tb\r\n\r\n", 400),
    R("GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400),
    R(G "no colon\r\n\r\n", 400),
    R(G ": x\r\n\r\n", 400),
    R(G "a b: x\r\n\r\n", 400),
    R(G "a(b: x\r\n\r\n", 400),
    R("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    R("\n", 400),
    R("\rG", 400),
    /* who is meant? */
    R("GET / HTTP/1.1\r\n\r\n", 400),
    R(G "Host: a\r\n\r\n", 400),
    R(G "Host: b\r\n\r\n", 400),
    R("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400),
    R("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400),
    R("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
    R("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    R("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    R("GET http://b@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    R("GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    R("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    /* the request line */
    R("G<T / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    R("FOO / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    R("get / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    R("PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    R("SOURCE / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    R("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", 405),
    R("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nContent-Length: 5\r\n\r\nhello", 405),
    R("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 405),
    R("GET /\r\n", 400),
    R("GET /\r\n\r\n", 400),
    R("GET / HTTP/0.9\r\n\r\n", 505),
    R("GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505),
    R("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    R("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    R("GET / HTTP/1.10\r\nHost: a\r\n\r\n", 400),
    R("GET / HTTP/1,1\r\nHost: a\r\n\r\n", 400),
    R("GET / http/1.1\r\nHost: a\r\n\r\n", 400),
    R("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400),
    R("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    R("GET /  HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    R("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    R(" GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    R("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    R("GET /\x80 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    R("GET /#f HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    R("GET x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    R("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    R("GET / HTTP/1.1\r\nHost: a\r\nExpect: junk\r\n\r\n", 417),
    /* which path? */
    R("GET /../x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    R("GET /x/.. HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    R("GET /./x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    R("GET /%2e%2e/x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    R("GET /.%2E/x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    R("GET /x%2f..%2fy HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    R("GET /x%2Fy HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    R("GET /..\\x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    R("GET /%5cx HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    R("GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    R("GET /%0d%0a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    R("GET /% HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    R("GET /%4 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    R("GET /%4x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    R("GET /%252e%252e/x\\ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    /* not HTTP */
    R("\x16\x03\x01\x02\0\1\0\1\xfc\3\3", 400),
};
/* clang-format on */

static void check_refused(const struct refused *t, int r)
{
    assert_int_equal(r, -t->status);
    assert_int_equal(feed_text("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), r); /* and for good */
    assert_int_equal(pool.n_live, 0);
}

static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
        const struct refused *t = &refused[i];
        renew(NULL);
        int r = feed(t->bytes, t->len);
        print_message("refused %zu: %d\n", i, r);
        check_refused(t, r);
        renew(NULL);
        r = 0;
        for (size_t k = 0; k < t->len && r == 0; k++)
            r = feed(t->bytes + k, 1);
        check_refused(t, r);
    }
}

/* ---- Bounds */

static int feed_repeated(const char *text, size_t times)
{
    int r = 0;
    for (size_t i = 0; i < times && r == 0; i++)
        r = feed_text(text);
    return r;
}

static void test_head_bounds(void **state)
{
    (void)state;
    assert_int_equal(feed_text("GET /"), 0);
    assert_int_equal(feed_repeated("a", 100000), -414);
    renew(NULL);
    assert_int_equal(feed_text("GET /"), 0);
    assert_int_equal(feed_repeated("a", 8192 - 5 - 11), 0);
    assert_int_equal(feed_text(" HTTP/1.1\r\nHost: a\r\n\r\n"), 1); /* 8,192 bytes with its CR LF */
    renew(NULL);
    assert_int_equal(feed_text(G "X: "), 0);
    assert_int_equal(feed_repeated("0123456789", 10240), -431); /* 100 KiB */
    renew(NULL);
    assert_int_equal(feed_text(G), 0);
    assert_int_equal(feed_repeated("a: b\r\n", 99), 0);
    assert_int_equal(feed_text("\r\n"), 1);
    renew(NULL);
    assert_int_equal(feed_text(G), 0);
    assert_int_equal(feed_repeated("a: b\r\n", 100), 0);
    assert_int_equal(feed_text("\r\n"), -431);
    renew(&(struct http1_options){.head_max = 100});
    assert_int_equal(feed_text(G), 0);
    assert_int_equal(feed_repeated("a: b\r\n", 12), 0);
    assert_int_equal(feed_text("\r\n"), 1);
    renew(&(struct http1_options){.head_max = 100});
    assert_int_equal(feed_text(G), 0);
    assert_int_equal(feed_repeated("a: b\r\n", 13), -431);
}

static void test_body_bounds(void **state)
{
    (void)state;
    assert_int_equal(feed_text(P "Content-Length: 65536\r\n\r\n"), 0);
    assert_int_equal(feed_repeated("0123456789abcdef", 4096), 1);
    assert_int_equal(http1_request(h)->body.len, 65536);
    renew(NULL);
    assert_int_equal(feed_text(P "Content-Length: 65537\r\n\r\n"), -413);
    renew(&(struct http1_options){.body_max = 20});
    assert_int_equal(feed_text(CHUNKED), 0);
    assert_int_equal(feed_text("10\r\n0123456789abcdef\r\n4\r\n"), 0);
    assert_int_equal(feed_text("0123\r\n0\r\n\r\n"), 1);
    renew(&(struct http1_options){.body_max = 20});
    assert_int_equal(feed_text(CHUNKED), 0);
    assert_int_equal(feed_text("10\r\n0123456789abcdef\r\n5\r\n01234"), -413);
    renew(NULL);
    assert_int_equal(feed_text(CHUNKED "1;"), 0);
    assert_int_equal(feed_repeated("extension", 10000), -400);
    renew(NULL);
    assert_int_equal(feed_text(CHUNKED), 0);
    assert_int_equal(feed_repeated("1;a\r\nx\r\n", 10000), -400); /* many small ones too */
    renew(NULL);
    assert_int_equal(feed_text(CHUNKED "1"), 0);
    assert_true(feed_repeated("0", 10000) < 0);
    assert_int_equal(pool.n_live, 0);
}

/* ---- Answers */

static void answer(char *out, size_t size, unsigned status, const char *type, const char *body,
                   bool keep)
{
    struct buf b = {0};
    assert_int_equal(http1_respond(&b, &pool, status, type, text_of(body), keep), 0);
    size_t n = buf_peek(&b, out, size - 1);
    assert_int_equal(n, b.len);
    out[n] = '\0';
    buf_done(&b);
}

static void test_respond(void **state)
{
    (void)state;
    char out[1000];
    answer(out, sizeof out, 200, NULL, "hello", true);
    assert_string_equal(
        out, "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 5\r\n"
             "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
             "Connection: keep-alive\r\n\r\nhello");
    answer(out, sizeof out, 404, "application/json", "{}", false);
    assert_non_null(strstr(
        out, "HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"));
    assert_non_null(strstr(out, "Connection: close\r\n\r\n{}"));
    answer(out, sizeof out, 204, NULL, "", true);
    assert_null(strstr(out, "Content-"
                            "Length"));
    struct buf b = {0};
    assert_int_equal(http1_respond_head(&b, &pool, 200, NULL, 12345, true), 0);
    size_t n = buf_peek(&b, out, sizeof out - 1);
    out[n] = '\0';
    assert_non_null(strstr(out, "Content-Length: 12345\r\n"));
    assert_string_equal(out + n - 4, "\r\n\r\n");
    buf_done(&b);
}

static void test_respond_without_chunks(void **state)
{
    (void)state;
    static char big[50000];
    struct buf b = {0};
    pool.n_max = 2;
    assert_int_equal(http1_respond(&b, &pool, 200, NULL, (struct text){big, sizeof big}, true),
                     -ENOBUFS);
    assert_int_equal(b.len, 0);
    assert_int_equal(pool.n_live, 0);
    pool.n_max = 2000;
}

/* ---- Memory */

static void test_each_allocation_fails(void **state)
{
    (void)state;
    struct http1 *mine;
    int refusals = 0;
    long n = 0;
    for (bool failed = true; failed; n++) {
        struct buf b = {0};
        int r;
        assert_int_equal(
            buf_append(&b, &pool, P "Content-Length: 30000\r\n\r\n", sizeof(P) - 1 + 25), 0);
        static char body[30000];
        assert_int_equal(buf_append(&b, &pool, body, sizeof body), 0);
        alloc_fail_at(n);
        r = http1_new(&mine, &(struct http1_options){0});
        if (r == 0) {
            r = http1_input(mine, &b);
            failed = alloc_failed();
            assert_true(r == 1 || r == -503);
            refusals += r == -503;
            http1_free(mine);
        } else {
            assert_int_equal(r, -ENOMEM);
            failed = alloc_failed();
        }
        buf_done(&b);
        assert_int_equal(pool.n_live, 0);
    }
    assert_true(refusals >= 1);
    assert_true(n > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_taken, begin, end),
        cmocka_unit_test_setup_teardown(test_fields, begin, end),
        cmocka_unit_test_setup_teardown(test_pipeline, begin, end),
        cmocka_unit_test_setup_teardown(test_complete_takes_nothing, begin, end),
        cmocka_unit_test_setup_teardown(test_nothing_after_close, begin, end),
        cmocka_unit_test_setup_teardown(test_continue, begin, end),
        cmocka_unit_test_setup_teardown(test_refused, begin, end),
        cmocka_unit_test_setup_teardown(test_head_bounds, begin, end),
        cmocka_unit_test_setup_teardown(test_body_bounds, begin, end),
        cmocka_unit_test_setup_teardown(test_respond, begin, end),
        cmocka_unit_test_setup_teardown(test_respond_without_chunks, begin, end),
        cmocka_unit_test_setup_teardown(test_each_allocation_fails, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
