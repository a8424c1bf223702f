/*
 * When a request is sent again, how often and how long after (Envoy's RetryPolicy), as a value and
 * its decisions. Whether it MAY be (its body is still there, it is unsent or safe) is the caller's
 * knowledge. Times in milliseconds.
 */
#ifndef SHARED_MESH_RETRY_POLICY_H
#define SHARED_MESH_RETRY_POLICY_H
#include "shared/base/rng.h"
#include "shared/mesh/route_match.h"

enum retry_on {
    RETRY_5XX = 1 << 0, /* an answer of 5xx, or none at all */
    RETRY_GATEWAY_ERROR = 1 << 1,
    RETRY_RESET = 1 << 2,
    RETRY_RESET_BEFORE_REQUEST = 1 << 3,
    RETRY_CONNECT_FAILURE = 1 << 4,
    RETRY_RETRIABLE_4XX = 1 << 5, /* 409 */
    RETRY_REFUSED_STREAM = 1 << 6,
    RETRY_STATUS_CODES = 1 << 7, /* those of the list */
    RETRY_HEADERS = 1 << 8,      /* answers that fit one of the list */
    RETRY_ENVOY_RATELIMITED = 1 << 9,
    RETRY_GRPC_CANCELLED = 1 << 10,
    RETRY_GRPC_DEADLINE_EXCEEDED = 1 << 11,
    RETRY_GRPC_INTERNAL = 1 << 12,
    RETRY_GRPC_RESOURCE_EXHAUSTED = 1 << 13,
    RETRY_GRPC_UNAVAILABLE = 1 << 14,
    RETRY_HTTP3_POST_CONNECT_FAILURE = 1 << 15 /* never happens here */
};
/* Envoy's list of words, "5xx,reset,..."; -EINVAL names the word. */
int retry_on_parse(struct text words, uint32_t *ret, char why[static WHY_MAX]);

struct retry_policy {
    uint32_t on; /* of enum retry_on */
    uint32_t retries_max;
    uint64_t per_try_timeout_ms, per_try_idle_timeout_ms; /* 0: the route's */
    uint16_t *status_codes;
    size_t n_status_codes;
    struct header_match *headers; /* of the answer; one of them is enough */
    size_t n_headers;
    struct header_match *request_headers; /* if there are any, the request must fit one */
    size_t n_request_headers;
    uint64_t backoff_base_ms, backoff_max_ms; /* 25 and 10 times the base */
    bool avoid_tried;                         /* Envoy's predicate previous_hosts, */
    uint32_t choices_max;                     /* which draws so often before it takes any */
};
enum { RETRY_BACKOFF_BASE_MS = 25, RETRY_BACKOFF_FACTOR = 10, RETRIES_MAX = 100 };

/* How a try ended. */
enum try_ending {
    TRY_ANSWERED,       /* the head of an answer came */
    TRY_NOT_CONNECTED,  /* no connection: refused, timed out, no tunnel, TLS failed */
    TRY_REFUSED_STREAM, /* HTTP/2's REFUSED_STREAM, or above GOAWAY's last stream */
    TRY_RESET_UNSENT,   /* the connection broke before anything of the request was sent */
    TRY_RESET,          /* it broke before the head of an answer */
    TRY_TIMED_OUT       /* the try's own timeout; not the request's */
};
struct try_result {
    enum try_ending ending;
    uint16_t status;              /* TRY_ANSWERED */
    int grpc_status;              /* of the answer's head (trailers only); -1: none */
    const struct http_head *head; /* TRY_ANSWERED; may be NULL if no policy asks for headers */
};
bool retry_policy_wants_request(const struct retry_policy *p, const struct http_head *request);
bool retry_policy_wants(const struct retry_policy *p, const struct try_result *r);
/* How long to wait before retry 1, 2, ...: uniform from 0 to below base, 2 * base, 4 * base, ..., at
 * most to below backoff_max_ms. */
uint64_t retry_policy_backoff_ms(const struct retry_policy *p, uint32_t retry, struct rng *rng);
#endif
