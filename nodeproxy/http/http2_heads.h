/* A message's head as HTTP/2 has it, with pseudo headers (RFC 9113, 8.3), and back. Pure; nothing is kept. */
#ifndef NODEPROXY_HTTP_HTTP2_HEADS_H
#define NODEPROXY_HTTP_HTTP2_HEADS_H
#include "shared/http/http_head.h"
#include "shared/http2/http2.h"

enum { HTTP2_STATUS_BYTES = 3 };
/* Of a request or an answer; `ret` is empty before, and after an error. Cookie's crumbs become one field (RFC
 * 9113, 8.2.3). -EPROTO: what HTTP/2 let through and no head may have; -E2BIG, -ENOMEM. */
int http2_head_read(const struct http2_head *from, struct http_head *ret);
int http2_trailers_read(const struct http2_head *from, struct http_head *ret);
/* Views of the head's texts (and of `digits`). -E2BIG: more fields than HTTP/2 takes at once. */
int http2_request_write(const struct http_head *head, struct http2_header ret[HTTP2_HEADERS_MAX],
                        size_t *ret_n);
int http2_answer_write(const struct http_head *head, char digits[HTTP2_STATUS_BYTES],
                       struct http2_header ret[HTTP2_HEADERS_MAX], size_t *ret_n);
int http2_trailers_write(const struct http_head *trailers,
                         struct http2_header ret[HTTP2_HEADERS_MAX], size_t *ret_n);
#endif
