/*
 * The session of one request (shared/mesh/session.h): what its client said of one, and what the answer is to say. Embedded in a
 * request_route. Decides, and changes heads. One thread.
 */
#ifndef NODEPROXY_HTTP_REQUEST_SESSION_H
#define NODEPROXY_HTTP_REQUEST_SESSION_H
#include "shared/http/http_head.h"
#include "shared/mesh/route_action.h"

struct request_session {
    const struct session_policy *policy; /* NULL: its route keeps none */
    bool known;                          /* the request names one that lives: */
    struct session said;
    uint32_t now_s; /* Unix time, when it came */
};
void request_session_read(struct request_session *s, const struct session_policy *policy,
                          const struct http_head *request, uint32_t now_s);
/* The backend that it is of; NULL: of none that gets requests. */
const struct route_backend *request_session_backend(const struct request_session *s,
                                                    const struct route_forward *f);
/* The endpoint that it names, of this backend; NULL: none. */
const struct addr *request_session_endpoint(const struct request_session *s,
                                            const struct route_backend *b);
/* What the client is to say next time, where that is something else than it said. -ENOMEM, -E2BIG. */
int request_session_answer(const struct request_session *s, const struct route_backend *b,
                           const struct addr *served, struct http_head *answer);
#endif
