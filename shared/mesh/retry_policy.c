#include "shared/mesh/retry_policy.h"

#include "shared/http/http_grammar.h"
#include "shared/http/http_head.h"

#include <errno.h>

static const struct {
    const char *word;
    uint32_t on;
} words_known[] = {
    {"5xx", RETRY_5XX},
    {"gateway-error", RETRY_GATEWAY_ERROR},
    {"reset", RETRY_RESET},
    {"reset-before-request", RETRY_RESET_BEFORE_REQUEST},
    {"connect-failure", RETRY_CONNECT_FAILURE},
    {"retriable-4xx", RETRY_RETRIABLE_4XX},
    {"refused-stream", RETRY_REFUSED_STREAM},
    {"retriable-status-codes", RETRY_STATUS_CODES},
    {"retriable-headers", RETRY_HEADERS},
    {"envoy-ratelimited", RETRY_ENVOY_RATELIMITED},
    {"cancelled", RETRY_GRPC_CANCELLED},
    {"deadline-exceeded", RETRY_GRPC_DEADLINE_EXCEEDED},
    {"internal", RETRY_GRPC_INTERNAL},
    {"resource-exhausted", RETRY_GRPC_RESOURCE_EXHAUSTED},
    {"unavailable", RETRY_GRPC_UNAVAILABLE},
    {"http3-post-connect-failure", RETRY_HTTP3_POST_CONNECT_FAILURE},
};

int retry_on_parse(struct text words, uint32_t *ret, char why[static WHY_MAX])
{
    struct text word;
    uint32_t on = 0;

    while (http_list_next(&words, &word)) {
        uint32_t bit = 0;
        for (size_t i = 0; i < sizeof words_known / sizeof *words_known; i++) {
            if (text_equal(word, text_of(words_known[i].word)))
                bit = words_known[i].on;
        }
        if (!bit)
            return why_say(-EINVAL, why, "there is no condition %.*s", (int)word.len, word.data);
        on |= bit;
    }
    *ret = on;
    return 0;
}

/* What can't be told is not sent again. */
static bool one_fits(const struct header_match *headers, size_t n, const struct http_head *head)
{
    for (size_t i = 0; head && i < n; i++) {
        if (header_fits(&headers[i], head) > 0)
            return true;
    }
    return false;
}

bool retry_policy_wants_request(const struct retry_policy *p, const struct http_head *request)
{
    return p->n_request_headers == 0 || one_fits(p->request_headers, p->n_request_headers, request);
}

static uint32_t condition_of_grpc(int status)
{
    switch (status) {
    case 1:
        return RETRY_GRPC_CANCELLED;
    case 4:
        return RETRY_GRPC_DEADLINE_EXCEEDED;
    case 8:
        return RETRY_GRPC_RESOURCE_EXHAUSTED;
    case 13:
        return RETRY_GRPC_INTERNAL;
    case 14:
        return RETRY_GRPC_UNAVAILABLE;
    }
    return 0;
}

static bool wants_after_answer(const struct retry_policy *p, const struct try_result *r)
{
    size_t at = 0;
    uint32_t met = condition_of_grpc(r->grpc_status);

    /* A rate limit is not to be run into again, whatever else is asked for. */
    if (r->head && http_head_next(r->head, TEXT("x-envoy-ratelimited"), &at))
        return p->on & RETRY_ENVOY_RATELIMITED;
    if (r->status >= 500)
        met |= RETRY_5XX;
    if (r->status >= 502 && r->status <= 504)
        met |= RETRY_GATEWAY_ERROR;
    if (r->status == 409)
        met |= RETRY_RETRIABLE_4XX;
    for (size_t i = 0; i < p->n_status_codes; i++) {
        if (p->status_codes[i] == r->status)
            met |= RETRY_STATUS_CODES;
    }
    if ((p->on & RETRY_HEADERS) && one_fits(p->headers, p->n_headers, r->head))
        met |= RETRY_HEADERS;
    return p->on & met;
}

bool retry_policy_wants(const struct retry_policy *p, const struct try_result *r)
{
    /* No answer at all counts for these, whatever the reason. */
    uint32_t met = RETRY_RESET | RETRY_5XX | RETRY_GATEWAY_ERROR;

    switch (r->ending) {
    case TRY_ANSWERED:
        return wants_after_answer(p, r);
    case TRY_NOT_CONNECTED:
        met |= RETRY_CONNECT_FAILURE | RETRY_RESET_BEFORE_REQUEST;
        break;
    case TRY_REFUSED_STREAM:
        met |= RETRY_REFUSED_STREAM;
        break;
    case TRY_RESET_UNSENT:
        met |= RETRY_RESET_BEFORE_REQUEST;
        break;
    case TRY_RESET:
    case TRY_TIMED_OUT:
        break;
    }
    return p->on & met;
}

uint64_t retry_policy_backoff_ms(const struct retry_policy *p, uint32_t retry, struct rng *rng)
{
    uint64_t base = p->backoff_base_ms ? p->backoff_base_ms : RETRY_BACKOFF_BASE_MS;
    uint64_t max = p->backoff_max_ms ? p->backoff_max_ms : base * RETRY_BACKOFF_FACTOR;
    uint64_t most = base < max ? base : max;

    while (retry-- > 1 && most < max)
        most = most > max / 2 ? max : most * 2;
    return rng_below(rng, most);
}
