/*
 * One HTTP/1.1 request over a Unix socket, blocking, with a deadline: for small programs that ask a local one (the CNI plugin, the
 * command line), not for anything with a ring. Bounded by `size_max`.
 */
#ifndef SHARED_SERVICE_LOCAL_HTTP_H
#define SHARED_SERVICE_LOCAL_HTTP_H
#include "shared/base/text.h"

struct local_http_answer {
    unsigned status;
    struct text_heap body; /* text_heap_done() */
};
/* body empty: none is sent. -ECONNREFUSED, -ENOENT (nobody listens there), -ETIMEDOUT, -EPROTO (no HTTP answer), -E2BIG, -ENOMEM. */
int local_http(const char *socket_path, const char *method, const char *path, struct text body, uint64_t timeout_ms, size_t size_max, struct local_http_answer *ret);
#endif
