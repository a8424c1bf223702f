#include "nodeproxy/path/request_words.h"

#define RESET "upstream_reset_before_response_started"
#define NOT_CONNECTED {1u << RESPONSE_UF, RESET "{connection_failure}"}
#define CONNECTED_LATE {1u << RESPONSE_UF, RESET "{connection_timeout}"}
static const struct {
    unsigned flags;
    const char *details; /* of an answer of ours; NULL: nothing of its own */
} words[ENDING_COUNT] = {
    [ENDING_RESET_BY_CLIENT] = {1u << RESPONSE_DC, "downstream_remote_disconnect"},
    [ENDING_RESET_BY_SERVER] = {1u << RESPONSE_UC, RESET "{connection_termination}"},
    [ENDING_NO_ENDPOINT] = {1u << RESPONSE_UH, "no_healthy_upstream"},
    [ENDING_UNREACHABLE] = NOT_CONNECTED,
    [ENDING_NO_PORT] = NOT_CONNECTED,
    [ENDING_CONNECT_TIMEOUT] = CONNECTED_LATE,
    [ENDING_TUNNEL_FAILED] = NOT_CONNECTED,
    [ENDING_TUNNEL_REFUSED] = NOT_CONNECTED,
    [ENDING_TLS_FAILED] = NOT_CONNECTED,
    [ENDING_HANDSHAKE_TIMEOUT] = CONNECTED_LATE,
    [ENDING_NO_IDENTITY] = NOT_CONNECTED,
    [ENDING_UNKNOWN_SOURCE] = NOT_CONNECTED,
    [ENDING_PEER_UNTRUSTED] = NOT_CONNECTED,
    [ENDING_PEER_MISMATCH] = NOT_CONNECTED,
    [ENDING_LIMIT] = {1u << RESPONSE_UO, RESET "{overflow}"},
    [ENDING_OVERFLOW] = {1u << RESPONSE_UO, RESET "{overflow}"},
    [ENDING_NO_MEMORY] = {1u << RESPONSE_OM, "overload"},
    [ENDING_NO_ROUTE] = {1u << RESPONSE_NR, "route_not_found"},
    [ENDING_MISDIRECTED] = {1u << RESPONSE_NR, "misdirected_request"},
    [ENDING_LOOP] = {1u << RESPONSE_NR, "loop_detected"},
    [ENDING_NO_LISTENER] = {1u << RESPONSE_NR, "listener_not_served"},
    [ENDING_NOT_DONE] = {1u << RESPONSE_NR, "route_not_done"},
    [ENDING_NO_BACKEND] = {1u << RESPONSE_NC, "cluster_not_found"},
    [ENDING_FAULT] = {1u << RESPONSE_FI, "fault_filter_abort"},
    [ENDING_ANSWER_TIMEOUT] = {1u << RESPONSE_UT, "response_timeout"},
    [ENDING_DURATION] = {0, "max_duration_timeout"}, /* nor has this a flag there */
    [ENDING_IDLE_TIMEOUT] = {1u << RESPONSE_SI, "stream_idle_timeout"},
    [ENDING_BAD_REQUEST] = {1u << RESPONSE_DPE, "http_protocol_error"},
    [ENDING_BAD_ANSWER] = {1u << RESPONSE_UPE, RESET "{protocol_error}"},
    [ENDING_PROTOCOL] = {1u << RESPONSE_UPE, RESET "{protocol_error}"},
    [ENDING_DENIED] = {0, "rbac_access_denied_matched_policy"}, /* its code says it, as Envoy's does */
    [ENDING_POLICY_CHANGED] = {0, "rbac_access_denied_matched_policy"},
};

unsigned response_flags_of(const struct exchange_record *r)
{
    return words[r->ending].flags | (r->retries_spent ? 1u << RESPONSE_URX : 0) |
           (r->delayed ? 1u << RESPONSE_DI : 0);
}

struct text response_flags_text(unsigned flags, char out[static RESPONSE_FLAGS_TEXT_MAX])
{
#define X(name) #name,
    static const char *const names[] = {RESPONSE_FLAGS(X)};
#undef X
    struct text_out o = {out, 0, RESPONSE_FLAGS_TEXT_MAX, false};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (flags & 1u << i)
            text_printf(&o, "%s%s", o.len > 0 ? "," : "", names[i]);
    return o.len > 0 ? (struct text){o.data, o.len} : TEXT("-");
}

struct text response_details(const struct exchange_record *r, struct text_out *out)
{
    const char *details = words[r->ending].details;
    if (!r->own && r->status > 0 && r->ending == ENDING_CLOSED)
        return TEXT("via_upstream");
    if (r->ending == ENDING_CLOSED)
        return TEXT("direct_response"); /* of its route */
    if (r->ending == ENDING_DENIED && r->notes.policy.len > 0) {
        text_printf(out, "%s[%.*s]", details, (int)r->notes.policy.len, r->notes.policy.data);
        return (struct text){out->data, out->len};
    }
    return details ? text_of(details) : TEXT("local_reset");
}

int response_grpc_status(const struct exchange_record *r)
{
    enum { UNKNOWN = 2, LAST = 16 };
    return r->grpc_status > LAST ? UNKNOWN : r->grpc_status;
}

bool response_is_failure(const struct exchange_record *r)
{
    /* UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS */
    const unsigned grpc = 1u << 2 | 1u << 4 | 1u << 12 | 1u << 13 | 1u << 14 | 1u << 15;
    int status = response_grpc_status(r);
    return r->status == 0 || r->status >= 500 || (status >= 0 && grpc & 1u << status);
}
