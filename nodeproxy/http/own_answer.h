/* What a client is told by us instead of by a server: which status for which ending, and how that looks. Pure. */
#ifndef NODEPROXY_HTTP_OWN_ANSWER_H
#define NODEPROXY_HTTP_OWN_ANSWER_H
#include "shared/http/http_head.h"
#include "shared/mesh/ending.h"

struct own_answer {
    unsigned status;
    struct text body; /* not copied */
    unsigned grpc_status; /* 0: as the status says */
    bool overloaded;      /* say so: Envoys that call do not try it again */
};
/* request: its method and content type are looked at. */
void own_answer_of(enum ending ending, const struct http_head *request, struct own_answer *ret);
bool own_answer_is_grpc(const struct http_head *request);
/* The head of it; *ret_end: no body follows. For gRPC the status is 200 and the trailers are the head (gRPC over HTTP/2,
 * "Trailers-Only"). -ENOMEM. */
int own_answer_head(const struct own_answer *a, const struct http_head *request,
                    struct http_head *ret, bool *ret_end);
#endif
