/*
 * HTTP/1.1 as a machine without I/O, one side of one connection: it reads what the peer sends and
 * writes what we say, message by message, as client or server. Bodies are not kept: they go through
 * as they come, uncopied. Framing belongs to it alone: what it reads has no Host, Connection,
 * Transfer-Encoding, Upgrade or other field of the connection any more, and what it writes gets its
 * own.
 *
 * One exchange at a time: what follows a request waits in the caller's bytes until http1_codec_next().
 * Whatever two readers could understand in two ways is refused (http1_check.h; RFC 9112, and where
 * it allows more than one reading, none), and the connection is over with that.
 *
 * Owned by its connection, one thread. Small between two messages. Bounds: bytes and fields of a
 * head and of trailers, length of a line of a chunk and of all their extensions, 1xx answers.
 */
#ifndef SHARED_HTTP1_HTTP1_CODEC_H
#define SHARED_HTTP1_HTTP1_CODEC_H
#include "shared/base/buf.h"
#include "shared/http/http_head.h"

struct http1_codec_options {
    bool server;
    bool upgrades;   /* server: heads say `protocol`; else a wish for another one is not heard */
    bool https;      /* the scheme of what is read; else "http" */
    size_t head_max; /* bytes on the wire; 0: 61440, at most 73728; the first line may be half */
    unsigned fields_max; /* 0: 100, at most 132 */
};
struct http1_codec;
/* -EINVAL, -ENOMEM. What is written takes its chunks from the pool. */
int http1_codec_new(struct http1_codec **ret, const struct http1_codec_options *options,
                    struct chunk_pool *pool);
struct http1_codec *http1_codec_free(struct http1_codec *c);

/* ---- Reading */

enum http1_event {
    HTTP1_MORE,     /* more bytes are wanted; or nothing is before http1_codec_next() */
    HTTP1_HEAD,     /* *head is complete. 1xx: another one follows */
    HTTP1_BODY,     /* bytes were moved to *body */
    HTTP1_TRAILERS, /* see http1_codec_trailers() */
    HTTP1_END,      /* of the message */
};
/* Reads on and returns the first thing that happened: call it again until HTTP1_MORE, and with the
 * same head until HTTP1_HEAD; it is emptied where a head begins. What was used is taken out of bytes.
 * The order is HEAD (BODY)* [TRAILERS] END. -(HTTP status): refused, for a server to answer so
 * (400, 405, 414, 417, 431, 501, 505; 503: no memory) and close, for a client to tell its own
 * client (502, 503); the same again if called again. -ENOBUFS: the pool is empty, nothing is lost.
 *
 * After a request's head with `protocol` nothing is read until the answer: with 101 what follows is
 * BODY, bytes of that protocol, else END comes. The client's side after 101 likewise. */
int http1_codec_read(struct http1_codec *c, struct buf *bytes, struct http_head *head,
                     struct buf *body);
/* The peer sends no more. HTTP1_END: that was the end of the body; HTTP1_MORE: nothing was cut off;
 * -400, -502: something was. */
int http1_codec_read_end(struct http1_codec *c);
/* After HTTP1_HEAD: HTTP1_END is what comes next, there is no body. */
bool http1_codec_ends(const struct http1_codec *c);
/* Bytes of the body that are announced and have not come, of this chunk or of all of it; 0: untold. */
uint64_t http1_codec_announced(const struct http1_codec *c);
struct http_head *http1_codec_trailers(const struct http1_codec *c); /* until _next() */

/* ---- Writing. All or nothing; -ENOBUFS: nothing was written, try again. */

/* A request, or an answer to the request that was read, also a 1xx before it (left out if the peer
 * speaks 1.0; 101 if a protocol was asked for). end: no body follows, as http1_codec_write_end().
 * Without, the body has the length of content-length, or is chunked. -EINVAL: no head to be written
 * like this (also: CONNECT, fields of the framing that contradict one another or end). */
int http1_codec_write_head(struct http1_codec *c, struct buf *out, const struct http_head *head,
                           bool end);
/* Moves all bytes. Dropped if the answer has no body (to HEAD, 204, 304). -EPROTO: more than
 * content-length said; the connection can only be closed. */
int http1_codec_write_body(struct http1_codec *c, struct buf *out, struct buf *bytes);
/* trailers may be NULL, and are left out where the body is not chunked. -EPROTO: less than
 * content-length said. */
int http1_codec_write_end(struct http1_codec *c, struct buf *out, const struct http_head *trailers);
/* Says Connection: close in the next head; no exchange after this one. */
void http1_codec_close_after(struct http1_codec *c);

/* ---- Between two exchanges */

/* Both have ended and the connection stays open, as far as is known by now. */
bool http1_codec_reusable(const struct http1_codec *c);
/* On to the next one, the rest of this one forgotten. False, and nothing but closing is left: not
 * reusable. A server that answered past this codec (nothing was written by it) may call it, too. */
bool http1_codec_next(struct http1_codec *c);
/* After HTTP1_HEAD: the peer wants the connection to stay. */
bool http1_codec_keep_alive(const struct http1_codec *c);
const char *http1_library(void); /* for --version: "llhttp 9.2.1" */
#endif
