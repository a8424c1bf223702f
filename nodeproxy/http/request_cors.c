#include "nodeproxy/http/request_cors.h"

/* Not if it can't be told. */
static bool is_allowed(const struct cors *policy, struct text origin)
{
    for (size_t i = 0; i < policy->n_origins; i++)
        if (text_matches(&policy->origins[i], origin) > 0)
            return true;
    return false;
}

enum cors_kind request_cors_of(const struct cors *policy, const struct http_head *request,
                               struct text *ret_origin)
{
    struct text origin = http_head_get(request, TEXT("origin"));
    *ret_origin = origin;
    if (!policy || origin.len == 0)
        return CORS_NONE;
    bool preflight = text_equal(request->method, TEXT("OPTIONS")) &&
                     http_head_get(request, TEXT("access-control-request-method")).len > 0;
    if (is_allowed(policy, origin))
        return preflight ? CORS_PREFLIGHT : CORS_ALLOWED;
    return preflight && !policy->forward_unmatched_preflights ? CORS_PREFLIGHT_DENIED : CORS_NONE;
}

static int say(struct http_head *head, const char *name, struct text value, int r)
{
    return r < 0 || value.len == 0 ? r : http_head_set(head, text_of(name), value);
}

static int say_who(const struct cors *policy, struct text origin, struct http_head *head)
{
    int r = say(head, "access-control-allow-origin", origin, 0);
    return say(head, "access-control-allow-credentials",
               policy->credentials ? TEXT("true") : (struct text){NULL, 0}, r);
}

int request_cors_preflight(const struct cors *policy, enum cors_kind kind, struct text origin,
                           struct http_head *ret)
{
    http_head_init(ret);
    ret->status = 200;
    int r = say(ret, "content-length", TEXT("0"), 0);
    if (kind == CORS_PREFLIGHT_DENIED || r < 0)
        return r;
    r = say_who(policy, origin, ret);
    r = say(ret, "access-control-allow-methods", policy->methods, r);
    r = say(ret, "access-control-allow-headers", policy->headers, r);
    return say(ret, "access-control-max-age", policy->max_age, r);
}

int request_cors_edit_answer(const struct cors *policy, struct text origin,
                             struct http_head *answer)
{
    int r = say_who(policy, origin, answer);
    return say(answer, "access-control-expose-headers", policy->expose_headers, r);
}
