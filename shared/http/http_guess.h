/*
 * Whether the first bytes of a client are HTTP: the whole preface of HTTP/2 (RFC 9113 section 3.4), or HTTP/1's request
 * line with a path (RFC 9112 section 3). What a forward proxy is asked (CONNECT, a whole URL as the target) is not: it is
 * to pass as it is. Pure; looks at HTTP_GUESS_MAX bytes at most, and always decides by then.
 */
#ifndef SHARED_HTTP_HTTP_GUESS_H
#define SHARED_HTTP_HTTP_GUESS_H
#include "shared/base/text.h"

enum { HTTP_GUESS_MAX = 4096 };
enum http_guess {
    HTTP_GUESS_MORE, /* it may still become either */
    HTTP_GUESS_YES,
    HTTP_GUESS_NO
};
enum http_guess http_guess(const char *data, size_t len); /* with more bytes YES and NO stay so */
/* Of a server that speaks first: whether that is HTTP/2's own preface, a SETTINGS frame, which needs no client's. */
enum http_guess http_guess_server(const char *data, size_t len);
#endif
