/*
 * HTTP/1.1 requests as a machine without I/O, server side, for the admin endpoints and the local
 * sockets: whole requests in memory, on top of http1_codec.h. Bounded: target, header bytes and
 * fields, body. One request at a time; pipelined ones wait. Owned by its connection, one thread.
 *
 * Refuses what the codec refuses, what we have no use for (trailers, CONNECT and TRACE; an Upgrade
 * is ignored) and paths that could mean another one ("..", "%2f", backslash, control characters).
 */
#ifndef SHARED_HTTP1_HTTP1_H
#define SHARED_HTTP1_HTTP1_H
#include "shared/base/buf.h"
#include "shared/base/text.h"

struct http1_request {               /* valid until http1_next() */
    struct text method, path, query; /* path is percent-decoded and has no ".."; query as sent */
    struct text body;
    struct text host, authorization, accept, content_type; /* {NULL, 0}: absent */
    bool keep_alive;
};
struct http1_options {
    size_t head_max; /* bytes; 0: 16384; the request line may be half of it */
    size_t body_max; /* bytes; 0: 65536 */
};
struct http1;
int http1_new(struct http1 **ret, const struct http1_options *options);
struct http1 *http1_free(struct http1 *h);
/* Feeds bytes (moved out as far as used: none while a request is complete). 0: more wanted; 1: a
 * request is complete, see http1_request(); otherwise -(HTTP status) to answer and close: -400,
 * -405, -413, -414, -417, -431, -501, -503 (no memory), -505. The same again if called again. */
int http1_input(struct http1 *h, struct buf *bytes);
/* The client waits for "100 Continue" before it sends the body (HTTP1_CONTINUE); true once per
 * request, after a 0. */
bool http1_wants_continue(struct http1 *h);
#define HTTP1_CONTINUE "HTTP/1.1 100 Continue\r\n\r\n"
const struct http1_request *http1_request(const struct http1 *h);
/* Forget the request; as http1_input on what is left over. After a request without keep_alive all
 * that follows is dropped. */
int http1_next(struct http1 *h);
/* Writes a response head (with Content-Length) and body. content_type NULL: text/plain;
 * charset=utf-8. -ENOBUFS: nothing was written. */
int http1_respond(struct buf *out, struct chunk_pool *pool, unsigned status,
                  const char *content_type, struct text body, bool keep_alive);
/* The head alone, for HEAD: as if a body of this length followed. */
int http1_respond_head(struct buf *out, struct chunk_pool *pool, unsigned status,
                       const char *content_type, size_t body_len, bool keep_alive);
#endif
