#include "nodeproxy/http/request_session.h"

#include "shared/mesh/route_hash.h"
#include <errno.h>

void request_session_read(struct request_session *s, const struct session_policy *policy,
                          const struct http_head *request, uint32_t now_s)
{
    struct text token = {NULL, 0};
    *s = (struct request_session){.policy = policy, .now_s = now_s};
    if (!policy)
        return;
    if (policy->header)
        token = http_head_get(request, policy->name);
    else
        (void)route_cookie(request, policy->name, &token);
    s->known = session_parse(token, &s->said) == 0 && session_lives(&s->said, policy, now_s);
}

const struct route_backend *request_session_backend(const struct request_session *s,
                                                    const struct route_forward *f)
{
    for (size_t i = 0; s->known && i < f->n_backends; i++)
        if (f->backends[i].weight > 0 && session_backend(f->backends[i].cluster) == s->said.backend)
            return &f->backends[i];
    return NULL;
}

const struct addr *request_session_endpoint(const struct request_session *s,
                                            const struct route_backend *b)
{
    return s->known && session_backend(b->cluster) == s->said.backend ? &s->said.endpoint : NULL;
}

/* Max-Age: until the session's end, which later answers do not move. */
static int set_cookie(const struct session_policy *p, const char *token, uint32_t left_s,
                      struct http_head *answer)
{
    char data[SESSION_NAME_MAX + SESSION_TOKEN_MAX + SESSION_PATH_MAX + 64];
    struct text_out out = TEXT_OUT(data);
    text_put(&out, p->name);
    text_printf(&out, "=%s", token);
    if (p->permanent)
        text_printf(&out, "; Max-Age=%u", left_s);
    text_puts(&out, "; Path=");
    text_put(&out, p->path);
    text_puts(&out, "; HttpOnly");
    return out.overflow
               ? -E2BIG
               : http_head_add(answer, TEXT("set-cookie"), (struct text){out.data, out.len});
}

/* Whole seconds, at least one: 0 would end it at once. */
static uint32_t left_s(const struct session *s, const struct session_policy *p, uint32_t now_s)
{
    uint64_t all = (p->absolute_ms + 999) / 1000, gone = now_s > s->begun_s ? now_s - s->begun_s : 0;
    uint64_t left = all > gone ? all - gone : 1;
    return left < UINT32_MAX ? (uint32_t)left : UINT32_MAX;
}

int request_session_answer(const struct request_session *s, const struct route_backend *b,
                           const struct addr *served, struct http_head *answer)
{
    char token[SESSION_TOKEN_MAX];
    const struct session_policy *p = s->policy;
    struct session now = {s->now_s, s->now_s, session_backend(b->cluster), *served};
    bool same = s->known && now.backend == s->said.backend && addr_equal(served, &s->said.endpoint);
    if (same && (p->idle_ms == 0 || s->now_s <= s->said.seen_s))
        return 0;
    if (same)
        now.begun_s = s->said.begun_s;
    (void)session_print(&now, token);
    return p->header ? http_head_set(answer, p->name, text_of(token))
                     : set_cookie(p, token, left_s(&now, p, s->now_s), answer);
}
