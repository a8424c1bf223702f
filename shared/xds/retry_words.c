#include "shared/xds/retry_words.h"
#include "shared/mesh/retry_policy.h"

void retry_words(uint32_t on, char out[static RETRY_WORDS_MAX])
{
    static const struct {
        enum retry_on on;
        const char *word;
    } words[] = {
        {RETRY_5XX, "5xx"},
        {RETRY_GATEWAY_ERROR, "gateway-error"},
        {RETRY_RESET, "reset"},
        {RETRY_RESET_BEFORE_REQUEST, "reset-before-request"},
        {RETRY_CONNECT_FAILURE, "connect-failure"},
        {RETRY_RETRIABLE_4XX, "retriable-4xx"},
        {RETRY_REFUSED_STREAM, "refused-stream"},
        {RETRY_STATUS_CODES, "retriable-status-codes"},
        {RETRY_HEADERS, "retriable-headers"},
        {RETRY_ENVOY_RATELIMITED, "envoy-ratelimited"},
        {RETRY_GRPC_CANCELLED, "cancelled"},
        {RETRY_GRPC_DEADLINE_EXCEEDED, "deadline-exceeded"},
        {RETRY_GRPC_INTERNAL, "internal"},
        {RETRY_GRPC_RESOURCE_EXHAUSTED, "resource-exhausted"},
        {RETRY_GRPC_UNAVAILABLE, "unavailable"},
        {RETRY_HTTP3_POST_CONNECT_FAILURE, "http3-post-connect-failure"},
    };
    struct text_out o = {out, 0, RETRY_WORDS_MAX, false};
    out[0] = '\0';
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (on & (uint32_t)words[i].on)
            text_printf(&o, "%s%s", o.len ? "," : "", words[i].word);
}
