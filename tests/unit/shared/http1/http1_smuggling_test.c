/*
 * Requests by which somebody could make two readers disagree (request smuggling and its kin): each
 * has its answer here. What is refused is refused however it is cut into pieces, and nothing of it
 * is passed on; what passes is passed on in one form, which is given here byte by byte, and comes
 * out the same when it is read again.
 */
#include "shared/base/list.h"
#include "tests/support/http1_play.h"
#include "tests/unit/shared/base/test.h"

static struct chunk_pool pool;

static int begin(void **state)
{
    (void)state;
    chunk_pool_init(&pool, 2000, 8);
    return 0;
}
static int end(void **state)
{
    (void)state;
    chunk_pool_done(&pool);
    return 0;
}

struct request {
    const char *name, *bytes;
    size_t len;
    int status;          /* of the refusal; 0: it passes */
    const char *forward; /* what is passed on of the first message */
};
/* clang-format off */
#define R(name, bytes, status) {name, bytes, sizeof(bytes) - 1, status, NULL}
#define A(name, bytes, forward) {name, bytes, sizeof(bytes) - 1, 0, forward}
#define G "GET / HTTP/1.1\r\nHost: a\r\n"
#define P "POST / HTTP/1.1\r\nHost: a\r\n"
#define CHUNKED P "Transfer-Encoding: chunked\r\n\r\n"
#define SECOND "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
#define GET_ON "GET / HTTP/1.1\r\nhost: a\r\n"
#define POST_ON "POST / HTTP/1.1\r\nhost: a\r\n"
#define HELLO_ON POST_ON "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
static const struct request requests[] = {
    /* two lengths, or a length and an encoding */
    R("content-length, then encoding", P "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" SECOND, 400),
    R("encoding, then content-length", P "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" SECOND, 400),
    R("two lengths that differ", P "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", 400),
    R("two lengths that do not", P "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400),
    R("a list of lengths that differ", P "Content-Length: 5, 6\r\n\r\nhello!", 400),
    R("a list of one length", P "Content-Length: 5, 5\r\n\r\nhello", 400),
    R("length +5", P "Content-Length: +5\r\n\r\nhello", 400),
    R("length -1", P "Content-Length: -1\r\n\r\n", 400),
    R("length 0x5", P "Content-Length: 0x5\r\n\r\nhello", 400),
    R("length 5 x", P "Content-Length: 5 x\r\n\r\nhello", 400),
    R("length empty", P "Content-Length:\r\n\r\nhello", 400),
    R("length over 2^64", P "Content-Length: 18446744073709551621\r\n\r\nhello", 400),
    R("length over 2^63", P "Content-Length: 9223372036854775808\r\n\r\nhello", 400),
    R("length 1_0", P "Content-Length: 1_0\r\n\r\nhellohello", 400),
    R("length 5.0", P "Content-Length: 5.0\r\n\r\nhello", 400),
    R("length 5,", P "Content-Length: 5,\r\n\r\nhello", 400),
    A("length 005", P "Content-Length: 005\r\n\r\nhello", POST_ON "content-length: 5\r\n\r\nhello"),
    A("length 000", P "Content-Length: 000\r\n\r\n", POST_ON "content-length: 0\r\n\r\n"),
    R("blank before the colon of a length", P "Content-Length : 5\r\n\r\nhello", 400),
    R("blank before the colon of an encoding", P "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
    R("tab before the colon", P "Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n", 400),
    /* which encoding? */
    R("encoding xchunked", P "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501),
    R("encoding chunked, identity", P "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400),
    R("encoding identity, chunked", P "Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n", 501),
    R("encoding identity and a length", P "Transfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello", 400),
    R("encoding gzip, chunked", P "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
    R("encoding chunked, chunked", P "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400),
    R("two fields chunked", P "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    R("two fields chunked and x", P "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n", 400),
    R("encoding with a vertical tab", P "Transfer-Encoding: \x0b" "chunked\r\n\r\n0\r\n\r\n", 400),
    A("encoding after a tab", P "Transfer-Encoding:\tchunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", HELLO_ON),
    A("encoding before a blank", P "Transfer-Encoding: chunked \r\n\r\n5\r\nhello\r\n0\r\n\r\n", HELLO_ON),
    R("encoding before a tab", P "Transfer-Encoding: chunked\t\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 400),
    A("encoding ChUnKeD", P "Transfer-Encoding: ChUnKeD\r\n\r\n5\r\nhello\r\n0\r\n\r\n", HELLO_ON),
    R("encoding on a folded line", P "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", 400),
    R("encoding in quotes", P "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n", 501),
    R("encoding with a parameter", P "Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n", 501),
    R("encoding with NUL", P "Transfer-Encoding: chunked\0\r\n\r\n0\r\n\r\n", 400),
    R("encoding empty", P "Transfer-Encoding:\r\n\r\n0\r\n\r\n", 501),
    R("encoding in 1.0", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    /* chunks */
    R("size -1", CHUNKED "-1\r\n\r\n", 400),
    R("size 0x1", CHUNKED "0x1\r\na\r\n0\r\n\r\n", 400),
    R("size over 2^64", CHUNKED "10000000000000001\r\na\r\n0\r\n\r\n", 400),
    R("size over 2^63", CHUNKED "8000000000000000\r\na\r\n0\r\n\r\n", 400),
    R("size after a blank", CHUNKED " 1\r\na\r\n0\r\n\r\n", 400),
    R("size before a blank", CHUNKED "1 \r\na\r\n0\r\n\r\n", 400),
    R("size with an underscore", CHUNKED "1_0\r\na\r\n0\r\n\r\n", 400),
    R("size empty", CHUNKED "\r\na\r\n0\r\n\r\n", 400),
    R("size empty with an extension", CHUNKED ";a\r\na\r\n0\r\n\r\n", 400),
    R("size ended by LF", CHUNKED "1\na\r\n0\r\n\r\n", 400),
    R("size ended by CR", CHUNKED "1\ra\r\n0\r\n\r\n", 400),
    R("size with 17 digits", CHUNKED "00000000000000001\r\na\r\n0\r\n\r\n", 400),
    A("size with zeros", CHUNKED "0005\r\nhello\r\n000\r\n\r\n", HELLO_ON),
    R("data longer than its size", CHUNKED "1\r\nab\r\n0\r\n\r\n", 400),
    R("data without CR LF", CHUNKED "1\r\na0\r\n\r\n", 400),
    R("data ended by LF", CHUNKED "1\r\na\n0\r\n\r\n", 400),
    R("extension with LF", CHUNKED "1;a=\nb\r\na\r\n0\r\n\r\n", 400),
    R("extension with CR", CHUNKED "1;a=\rb\r\na\r\n0\r\n\r\n", 400),
    R("extension with NUL", CHUNKED "1;a=\0\r\na\r\n0\r\n\r\n", 400),
    A("an extension", CHUNKED "5;a=b;c=\"d\"\r\nhello\r\n0;e\r\n\r\n", HELLO_ON),
    R("end of trailers by LF", CHUNKED "0\r\n\n", 400),
    R("trailer Content-Length", CHUNKED "0\r\nContent-Length: 5\r\n\r\nhello", 400),
    R("trailer Transfer-Encoding", CHUNKED "0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    R("trailer Host", CHUNKED "0\r\nHost: b\r\n\r\n", 400),
    R("trailer Connection", CHUNKED "0\r\nConnection: close\r\n\r\n", 400),
    R("trailer on a folded line", CHUNKED "0\r\nx: y\r\n z\r\n\r\n", 400),
    R("trailer without a colon", CHUNKED "0\r\nx\r\n\r\n", 400),
    R("trailer ended by LF", CHUNKED "0\r\nx: y\n\r\n", 400),
    A("a trailer", CHUNKED "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
      POST_ON "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n"),
    /* lines */
    R("LF for CR LF", "GET / HTTP/1.1\nHost: a\n\n", 400),
    R("LF after a field", "GET / HTTP/1.1\r\nHost: a\n\r\n", 400),
    R("LF after the head", G "\n", 400),
    R("CR in a value", G "X: a\rb\r\n\r\n", 400),
    R("CR CR LF", G "X: a\r\r\n\r\n", 400),
    R("NUL in a value", G "X: a\0b\r\n\r\n", 400),
    R("NUL in a name", G "X\0: a\r\n\r\n", 400),
    R("DEL in a value", G "X: a\x7f\r\n\r\n", 400),
    R("a folded line", G "X: a\r\n b\r\n\r\n", 400),
    R("a folded line with tab", G "X: a\r\n\tb\r\n\r\n", 400),
    R("blank before the first field", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400),
    R("tab before the first field", "GET / HTTP/1.1\r\n\tX: a\r\nHost: a\r\n\r\n", 400),
    R("no colon", G "no colon\r\n\r\n", 400),
    R("empty name", G ": x\r\n\r\n", 400),
    R("blank in a name", G "a b: x\r\n\r\n", 400),
    R("bracket in a name", G "a(b: x\r\n\r\n", 400),
    R("byte over 0x7f in a name", G "a\x80: x\r\n\r\n", 400),
    A("bytes over 0x7f in a value", G "X: \x80\xff\r\n\r\n", GET_ON "x: \x80\xff\r\n\r\n"),
    /* for whom is it? */
    R("no Host", "GET / HTTP/1.1\r\n\r\n", 400),
    R("two Hosts", G "Host: b\r\n\r\n", 400),
    R("two equal Hosts", G "Host: a\r\n\r\n", 400),
    R("a list of Hosts", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400),
    R("a list of Hosts without blank", "GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", 400),
    R("Host with a user", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400),
    R("Host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
    R("Host with a query", "GET / HTTP/1.1\r\nHost: a?b\r\n\r\n", 400),
    R("Host with a fragment", "GET / HTTP/1.1\r\nHost: a#b\r\n\r\n", 400),
    R("Host with a blank", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    R("Host with a port that is none", "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", 400),
    R("Host encoded", "GET / HTTP/1.1\r\nHost: %61\r\n\r\n", 400),
    R("an absolute target of another host", "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    R("an absolute target with a user", "GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    R("an absolute target of another scheme", "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    R("an absolute https target", "GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    R("an absolute target without a host", "GET http:/// HTTP/1.1\r\nHost:\r\n\r\n", 400),
    A("an absolute target", "GET http://A/x?y HTTP/1.1\r\nHost: a\r\n\r\n", "GET /x?y HTTP/1.1\r\nhost: A\r\n\r\n"),
    A("an absolute target without a path", "GET http://a HTTP/1.1\r\nHost: a\r\n\r\n", GET_ON "\r\n"),
    A("an absolute target with only a query", "GET http://a?b/c HTTP/1.1\r\nHost: a\r\n\r\n", "GET /?b/c HTTP/1.1\r\nhost: a\r\n\r\n"),
    A("an absolute target of OPTIONS", "OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n"),
    A("an absolute target in 1.0", "GET http://a/ HTTP/1.0\r\n\r\n", GET_ON "\r\n"),
    /* the first line */
    R("a method that is no token", "G<T / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    R("a method with NUL", "G\0T / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    R("an unknown method", "FOO / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    R("a method in lower case", "get / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    R("HTTP/0.9", "GET /\r\n", 400),
    R("HTTP/0.9 by name", "GET / HTTP/0.9\r\nHost: a\r\n\r\n", 505),
    R("HTTP/1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505),
    R("HTTP/2.0", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    R("the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    R("HTTP/1.10", "GET / HTTP/1.10\r\nHost: a\r\n\r\n", 400),
    R("HTTP/01.1", "GET / HTTP/01.1\r\nHost: a\r\n\r\n", 400),
    R("HTTP/1,1", "GET / HTTP/1,1\r\nHost: a\r\n\r\n", 400),
    R("http/1.1", "GET / http/1.1\r\nHost: a\r\n\r\n", 400),
    R("another protocol", "GET / ICE/1.1\r\nHost: a\r\n\r\n", 400),
    R("two blanks before the target", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    R("two blanks after the target", "GET /  HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    R("blank at the end", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400),
    R("tab after the method", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    R("tab after the target", "GET /\tHTTP/1.1\r\nHost: a\r\n\r\n", 400),
    R("blank before the method", " GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    R("blank in the target", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    R("byte over 0x7f in the target", "GET /\x80 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    R("control character in the target", "GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    R("a fragment", "GET /#f HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    R("a target without slash", "GET x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    R("GET *", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    A("OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n"),
    R("GET of an authority", "GET a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", 400),
    R("CONNECT", "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", 405),
    R("CONNECT with a body", "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nContent-Length: 5\r\n\r\nhello", 405),
    R("TRACE with a body", "TRACE / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", 400),
    A("TRACE", "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", "TRACE / HTTP/1.1\r\nhost: a\r\n\r\n"),
    /* bodies that look like requests */
    A("GET with a body that is a request", G "Content-Length: 35\r\n\r\n" SECOND,
      GET_ON "content-length: 35\r\n\r\n" SECOND),
    A("HEAD with a body", "HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
      "HEAD / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello"),
    /* what belongs to a connection */
    A("a wish for h2c", G "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n", GET_ON "\r\n"),
    A("a wish for h2c, not named", G "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n", GET_ON "\r\n"),
    A("a wish for several protocols", G "Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n\r\n", GET_ON "\r\n"),
    A("two wishes", G "Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n\r\n", GET_ON "\r\n"),
    A("a wish that Connection does not name", G "Upgrade: websocket\r\n\r\n", GET_ON "\r\n"),
    A("a wish with a body", P "Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n\r\nhello",
      POST_ON "content-length: 5\r\n\r\nhello"),
    R("Connection names Content-Length", P "Connection: Content-Length\r\nContent-Length: 5\r\n\r\nhello", 400),
    R("Connection names Transfer-Encoding", P "Connection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    R("Connection names Host", G "Connection: close, Host\r\n\r\n", 400),
    R("Connection names who was certified", G "Connection: X-Forwarded-Client-Cert\r\nX-Forwarded-Client-Cert: Hash=1\r\n\r\n", 400),
    R("Connection names credentials", G "Connection: Authorization\r\nAuthorization: Bearer 1\r\n\r\n", 400),
    R("Connection names what is no name", G "Connection: a b\r\n\r\n", 400),
    A("Connection names another", G "Connection: X-Hop, close\r\nX-Hop: 1\r\nX: 2\r\nKeep-Alive: 5\r\nProxy-Connection: close\r\nTE: gzip\r\n\r\n", GET_ON "x: 2\r\n\r\n"),
    A("TE: trailers", G "Connection: TE\r\nTE: gzip, trailers\r\n\r\n", GET_ON "te: trailers\r\nconnection: te\r\n\r\n"),
    R("Expect: junk", G "Expect: junk\r\n\r\n", 417),
    R("Expect twice", P "Expect: 100-continue\r\nExpect: x\r\nContent-Length: 5\r\n\r\nhello", 417),
    A("Expect without a body", G "Expect: 100-continue\r\n\r\n", GET_ON "\r\n"),
    A("Expect", P "Expect: 100-Continue\r\nContent-Length: 5\r\n\r\nhello", POST_ON "expect: 100-Continue\r\ncontent-length: 5\r\n\r\nhello"),
    /* before a request */
    R("two empty lines", "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    A("an empty line", "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", GET_ON "\r\n"),
    R("LF", "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    R("CR", "\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    R("a hello of TLS", "\x16\x03\x01\x02\0\1\0\1\xfc\3\3", 400),
    /* nothing is wrong with these */
    A("GET", G "\r\n", GET_ON "\r\n"),
    A("GET in 1.0", "GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\r\nhost: \r\n\r\n"),
    A("no blank after the colon", "GET / HTTP/1.1\r\nHost:a\r\nX:\r\n\r\n", GET_ON "x: \r\n\r\n"),
    A("chunks", CHUNKED "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", NULL),
    A("cookies", G "Cookie: a=1\r\nX: y\r\nCookie: b=2\r\n\r\n", GET_ON "cookie: a=1; b=2\r\nx: y\r\n\r\n"),
    A("an empty cookie", G "Cookie:\r\nCookie: b=2\r\nCookie:\r\n\r\n", GET_ON "cookie: b=2\r\n\r\n"),
    A("POST without a body", P "\r\n", POST_ON "content-length: 0\r\n\r\n"),
};
/* clang-format on */

static const struct http1_codec_options server = {.server = true, .upgrades = true};

/* Reads it and writes it on, as a proxy does. */
static void proxy(struct http1_play *p, const struct request *q)
{
    http1_play_begin(p, &pool, &server, false);
    assert_int_equal(http1_codec_new(&p->onward, &(struct http1_codec_options){0}, &pool), 0);
    http1_play_feed_all(p, q->bytes, q->len, 0);
}

static void check_refused(const struct request *q)
{
    for (size_t cut = 0; cut < q->len; cut++) {
        struct http1_play p;
        proxy(&p, &(struct request){.bytes = q->bytes, .len = cut});
        if (p.result == 0)
            http1_play_feed(&p, q->bytes + cut, q->len - cut);
        if (p.result != -q->status || p.n_ends > 0)
            fail_msg("%s, cut at %zu: %d, not %d; %zu messages", q->name, cut, p.result, -q->status,
                     p.n_ends);
        /* For good, and nothing that comes after counts. */
        http1_play_feed(&p, SECOND, sizeof SECOND - 1);
        assert_int_equal(p.n_ends, 0);
        assert_false(http1_codec_next(p.codec));
        http1_play_done(&p);
    }
}

/* What was written is read again, and means the same. */
static void check_reread(const struct request *q, const struct http1_play *first)
{
    struct http1_play p;
    char *written = http1_play_written(first);
    http1_play_begin(&p, &pool, &server, false);
    http1_play_feed_all(&p, written, first->out.len, 0);
    if (p.result < 0 || p.n_ends != 1)
        fail_msg("%s: what is written is refused: %d\n%s", q->name, p.result, written);
    assert_string_equal(p.said.data, first->said.data);
    http1_play_done(&p);
    free(written);
}

static void check_passes(const struct request *q)
{
    char *said = NULL;
    for (size_t cut = 0; cut < q->len; cut++) {
        struct http1_play p;
        proxy(&p, &(struct request){.bytes = q->bytes, .len = cut});
        http1_play_feed(&p, q->bytes + cut, q->len - cut);
        if (p.result < 0 || p.n_ends != 1)
            fail_msg("%s, cut at %zu: %d, %zu messages", q->name, cut, p.result, p.n_ends);
        if (!said) {
            char *written = http1_play_written(&p);
            if (q->forward)
                assert_string_equal(written, q->forward);
            free(written);
            check_reread(q, &p);
            said = text_dup((struct text){p.said.data, p.said.len});
        }
        assert_string_equal(p.said.data, said);
        assert_int_equal(p.left.len, 0);
        http1_play_done(&p);
    }
    free(said);
}

static void each_request_has_its_answer(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
        if (requests[i].status)
            check_refused(&requests[i]);
        else
            check_passes(&requests[i]);
        assert_int_equal(pool.n_live, 0);
    }
    print_message("%zu requests\n", ARRAY_SIZE(requests));
}

static void byte_by_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
        struct http1_play p;
        http1_play_begin(&p, &pool, &server, false);
        http1_play_feed_all(&p, requests[i].bytes, requests[i].len, 1);
        if (p.result != -requests[i].status)
            fail_msg("%s: %d, not %d", requests[i].name, p.result, -requests[i].status);
        http1_play_done(&p);
    }
}

/* ---- Bounds: what is too large is refused before it is kept */

static void feed_repeated(struct http1_play *p, const char *text, size_t times)
{
    for (size_t i = 0; i < times && p->result == 0; i++)
        http1_play_feed(p, text, strlen(text));
}

static void too_large(void **state)
{
    (void)state;
    static const struct {
        const char *begin, *repeated;
        size_t times;
        int result;
        const char *end;
    } cases[] = {
        {G "X: ", "0123456789", 10240, -431, ""},            /* 100 KiB in one field */
        {G, "a: b\r\n", 2000, -431, "\r\n"},                 /* 2,000 fields */
        {G "X: ", "0123456789", 3000, 0, "\r\n\r\n"},        /* 30 KB are fine */
        {"GET /", "0123456789", 10240, -414, ""},            /* a target */
        {"", "A", 100000, -414, ""},                         /* a method */
        {CHUNKED "1;", "extension", 8192, -400, ""},         /* 64 KiB of extension */
        {CHUNKED, "1;a\r\nx\r\n", 10000, -400, ""},          /* many small ones */
        {CHUNKED, "5\r\nhello\r\n", 10000, 0, "0\r\n\r\n"},  /* many chunks are fine */
        {CHUNKED "0\r\nx: ", "0123456789", 10240, -431, ""}, /* trailers */
        {CHUNKED "0\r\n", "a: b\r\n", 101, -431, "\r\n"},
        {CHUNKED "0\r\n", "a: b\r\n", 100, 0, "\r\n"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct http1_play p;
        http1_play_begin(&p, &pool, &server, false);
        http1_play_feed(&p, cases[i].begin, strlen(cases[i].begin));
        feed_repeated(&p, cases[i].repeated, cases[i].times);
        feed_repeated(&p, cases[i].end, 1);
        if (p.result != cases[i].result)
            fail_msg("%zu: %d", i, p.result);
        assert_int_equal(p.n_ends, p.result == 0);
        assert_true(p.left.len <= strlen(cases[i].repeated));
        http1_play_done(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_request_has_its_answer, begin, end),
        cmocka_unit_test_setup_teardown(byte_by_byte, begin, end),
        cmocka_unit_test_setup_teardown(too_large, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
