#include "nodeproxy/http/own_answer.h"

#include "shared/http/http_grammar.h"
#include <stdio.h>

/* Envoy's status and words, so that who knows them from elsewhere finds them here. */
static const struct {
    enum ending ending;
    unsigned status;
    const char *body;
} table[] = {
    {ENDING_DENIED, 403, "RBAC: access denied"},
    {ENDING_POLICY_CHANGED, 403, "RBAC: access denied"},
    {ENDING_BAD_REQUEST, 400, "bad request"},
    {ENDING_NO_ENDPOINT, 503, "no healthy upstream"},
    {ENDING_UNREACHABLE, 503,
     "upstream connect error or disconnect/reset before headers. reset reason: connection failure"},
    {ENDING_NO_PORT, 503,
     "upstream connect error or disconnect/reset before headers. reset reason: connection failure"},
    {ENDING_CONNECT_TIMEOUT, 503,
     "upstream connect error or disconnect/reset before headers. reset reason: connection timeout"},
    {ENDING_RESET_BY_SERVER, 503,
     "upstream connect error or disconnect/reset before headers. reset reason: connection "
     "termination"},
    {ENDING_BAD_ANSWER, 502,
     "upstream connect error or disconnect/reset before headers. reset reason: protocol error"},
    {ENDING_NO_ROUTE, 404, ""},
    {ENDING_MISDIRECTED, 421, "this connection is for another host"},
    {ENDING_LOOP, 508, "the routes of Gateways lead in a circle"},
    {ENDING_NO_BACKEND, 500, "no such backend"}, /* or what its route says */
    {ENDING_NOT_DONE, 500, "the route asks for something that is not done here"},
    {ENDING_ANSWER_TIMEOUT, 504, "upstream request timeout"},
    {ENDING_IDLE_TIMEOUT, 504, "stream timeout"},
    {ENDING_OVERFLOW, 503,
     "upstream connect error or disconnect/reset before headers. reset reason: overflow"},
    {ENDING_DURATION, 408, "downstream duration timeout"},
    {ENDING_LIMIT, 503, "limit reached"},
    {ENDING_NO_MEMORY, 503, "out of memory"},
};

void own_answer_of(enum ending ending, const struct http_head *request, struct own_answer *ret)
{
    *ret = (struct own_answer){
        .status = 503, .body = TEXT("upstream connect error or disconnect/reset before headers")};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].ending == ending)
            *ret = (struct own_answer){.status = table[i].status, .body = text_of(table[i].body)};
    ret->overloaded = ending == ENDING_OVERFLOW;
    if (ending == ENDING_BAD_REQUEST && text_equal(request->method, TEXT("CONNECT")))
        *ret = (struct own_answer){.status = 405, .body = TEXT("method not allowed")};
}

bool own_answer_is_grpc(const struct http_head *request)
{
    struct text type = http_head_get(request, TEXT("content-type")), rest;
    if (!text_starts_with(type, TEXT("application/grpc")))
        return false;
    rest = (struct text){type.data + 16, type.len - 16};
    return rest.len == 0 || rest.data[0] == '+' || rest.data[0] == ';'; /* not "-web" */
}

/* https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md */
static unsigned grpc_status(unsigned status)
{
    switch (status) {
    case 400:
        return 13; /* INTERNAL */
    case 401:
        return 16; /* UNAUTHENTICATED */
    case 403:
        return 7; /* PERMISSION_DENIED */
    case 404:
        return 12; /* UNIMPLEMENTED */
    case 429:
    case 502:
    case 503:
    case 504:
        return 14; /* UNAVAILABLE */
    default:
        return 2; /* UNKNOWN */
    }
}

static struct text number(unsigned value, char out[static 12])
{
    return (struct text){out, (size_t)snprintf(out, 12, "%u", value)};
}

int own_answer_head(const struct own_answer *a, const struct http_head *request,
                    struct http_head *ret, bool *ret_end)
{
    char digits[12];
    int r;
    http_head_init(ret);
    ret->status = a->status;
    if (a->overloaded && (r = http_head_add(ret, TEXT("x-envoy-overloaded"), TEXT("true"))) < 0)
        return r;
    if (own_answer_is_grpc(request)) {
        ret->status = 200;
        *ret_end = true;
        r = http_head_add(ret, TEXT("content-type"), TEXT("application/grpc"));
        if (r == 0)
            r = http_head_add(
                ret, TEXT("grpc-status"),
                number(a->grpc_status ? a->grpc_status : grpc_status(a->status), digits));
        if (r < 0 || a->body.len == 0 || !http_is_field_value(a->body))
            return r;
        return http_head_add(ret, TEXT("grpc-message"), a->body);
    }
    *ret_end = text_equal(request->method, TEXT("HEAD")) || a->status == 204 || a->status == 304;
    if (a->status == 204 || a->status == 304) /* a route may say so: RFC 9110, 15.3.5 and 15.4.5 */
        return 0;
    r = http_head_add(ret, TEXT("content-length"), number((unsigned)a->body.len, digits));
    return r < 0 ? r : http_head_add(ret, TEXT("content-type"), TEXT("text/plain"));
}
