/*
 * HTTP/1.1 requests as a machine without I/O, server side, for the admin endpoints and the local sockets: the
 * only door to llhttp, strict mode. Bounded: target, header bytes, body. One request at a time; pipelined ones wait.
 * Refuses what is ambiguous (both Content-Length and Transfer-Encoding, two lengths, no Host in 1.1...): RFC 9112.
 */
#ifndef SHARED_HTTP1_HTTP1_H
#define SHARED_HTTP1_HTTP1_H
#include "shared/base/buf.h"
#include "shared/base/text.h"

struct http1_request { /* valid until http1_next() */
    struct text method, path, query; /* path is percent-decoded and has no ".." */
    struct text body;
    struct text host, authorization, accept, content_type;
    bool keep_alive;
};
struct http1_options {
    size_t head_max, body_max; /* bytes; 0: 16384, 65536 */
};
struct http1;
int http1_new(struct http1 **ret, const struct http1_options *options);
struct http1 *http1_free(struct http1 *h);
/* Feeds bytes (moved out as far as used). 0: more wanted; 1: a request is complete, see http1_request();
 * otherwise -(HTTP status) to answer and close: -400, -405, -413, -414, -431, -501, -505. */
int http1_input(struct http1 *h, struct buf *bytes);
const struct http1_request *http1_request(const struct http1 *h);
int http1_next(struct http1 *h); /* forget the request; as http1_input on what is left over */
/* Writes a response head (with Content-Length) and body. content_type NULL: text/plain; charset=utf-8. */
int http1_respond(struct buf *out, struct chunk_pool *pool, unsigned status, const char *content_type, struct text body, bool keep_alive);
#endif
