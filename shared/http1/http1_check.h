/*
 * What a strict reader asks of a head of HTTP/1.1 beyond its grammar, where llhttp is silent or
 * lenient: the first line letter by letter, for whom a request is, how long a body is. Each answers
 * 0 or -(the status for a request); for an answer of a server they all come to 502. Pure.
 */
#ifndef SHARED_HTTP1_HTTP1_CHECK_H
#define SHARED_HTTP1_HTTP1_CHECK_H
#include "shared/http/http_head.h"

/* "METHOD TARGET HTTP/1.x" with single blanks (RFC 9112 section 3): -400, -505. */
struct http1_request_line {
    struct text method, target;
    unsigned minor;
};
int http1_check_request_line(struct text line, struct http1_request_line *ret);

/* "HTTP/1.x NNN[ words]" (section 4), 100 to 599: -400. */
struct http1_status_line {
    unsigned minor, status;
};
int http1_check_status_line(struct text line, struct http1_status_line *ret);

/* The fields that say how a message is to be read, as they pass by: the last value of each name and
 * how many there were. */
struct http1_framing_fields {
    struct text host, content_length, transfer_encoding;
    unsigned n_hosts, n_content_lengths, n_transfer_encodings;
};

/* How long the body is, if there is one (section 6): only one field may say so, once, and in one
 * way. -400; -501: an encoding other than chunked. *ret_length is untouched without a length. */
enum http1_framing { HTTP1_UNTOLD, HTTP1_LENGTH, HTTP1_CHUNKED };
int http1_check_framing(const struct http1_framing_fields *f, unsigned minor,
                        enum http1_framing *ret, uint64_t *ret_length);

/* The four forms of a target (section 3.2) and Host, into authority and path of the head; `scheme`
 * is the connection's. -405: CONNECT; -400: the two name different ones, a host is missing in 1.1,
 * written twice, or no host, or the form is not the method's. */
int http1_check_target(struct http_head *head, struct text target, unsigned minor,
                       struct text scheme, const struct http1_framing_fields *f);

/* What a trailer must not be, since a reader that merges it would read the message otherwise (RFC
 * 9110 section 6.5.1). */
bool http1_is_trailer(struct text name);
#endif
