/*
 * Cross-origin requests (the fetch standard's CORS), as Envoy's filter answers them: preflights here, without asking anybody,
 * and what may be read by the origin is said in the answers to all others. Pure.
 */
#ifndef NODEPROXY_HTTP_REQUEST_CORS_H
#define NODEPROXY_HTTP_REQUEST_CORS_H
#include "shared/http/http_head.h"
#include "shared/mesh/route_action.h"

enum cors_kind {
    CORS_NONE,      /* no origin, or one that is not allowed: the browser finds nothing in the answer */
    CORS_ALLOWED,
    CORS_PREFLIGHT,        /* answered here, */
    CORS_PREFLIGHT_DENIED, /* also this one, without a word that allows */
};
/* policy NULL: none. *ret_origin lives as long as the request's head. */
enum cors_kind request_cors_of(const struct cors *policy, const struct http_head *request,
                               struct text *ret_origin);
int request_cors_preflight(const struct cors *policy, enum cors_kind kind, struct text origin,
                           struct http_head *ret); /* -ENOMEM, -E2BIG */
int request_cors_edit_answer(const struct cors *policy, struct text origin,
                             struct http_head *answer);
#endif
