/*
 * One HTTP/1.1 request to a program on this machine, over its Unix socket (or TCP): blocking, with one
 * deadline for all of it and a bounded answer. For small programs that ask and end (the CNI plugin,
 * the command line), not for anything with a ring.
 */
#ifndef SHARED_SERVICE_LOCAL_HTTP_H
#define SHARED_SERVICE_LOCAL_HTTP_H
#include "shared/base/text.h"

struct local_http_request {
    struct text socket; /* its path; or ADDR:PORT, of TCP */
    const char *method, *path;
    struct text body; /* JSON; empty: none is sent */
    uint64_t timeout_ms;
    size_t answer_max; /* bytes, with its head */
};
struct local_http_answer {
    unsigned status;       /* 200 to 599 */
    struct text_heap body; /* text_heap_done() */
};
/* -ECONNREFUSED, -ENOENT (nobody listens there), -ENAMETOOLONG, -ETIMEDOUT, -ENODATA (the
 * connection ended without an answer), -EPROTO (no whole HTTP answer), -E2BIG, -ENOMEM, ...;
 * *ret_at then says at what: "connecting". */
int local_http(const struct local_http_request *request, struct local_http_answer *ret,
               const char **ret_at);
/* The same for an answer that is told line by line, each without its end, for as long as the program tells:
 * the request's timeout is for the head alone, answer_max for one line. `line` ends it by what it returns,
 * unless that is 0. What is no 200 comes whole in *ret_refusal, at most answer_max. 0: the program ended it. */
int local_http_lines(const struct local_http_request *request,
                     int (*line)(void *arg, struct text line), void *arg, unsigned *ret_status,
                     struct text_heap *ret_refusal, const char **ret_at);
/* The parts of an answer after which the connection ended; false: it is no whole HTTP/1 response. */
bool local_http_split(struct text answer, unsigned *ret_status, struct text *ret_body);
#endif
