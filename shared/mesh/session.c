#include "shared/mesh/session.h"

#include "shared/mesh/hash64.h"

#include <errno.h>

/* A version, then: begun, seen, backend, port, address; all of a fixed width but the last. */
enum { VERSION = '1', TIME_DIGITS = 8, BACKEND_DIGITS = 16, PORT_DIGITS = 4 };

uint64_t session_backend(struct text cluster)
{
    return hash64_xx(cluster, 0);
}

const char *session_print(const struct session *s, char out[static SESSION_TOKEN_MAX])
{
    struct text_out o = {out, 0, SESSION_TOKEN_MAX, false};
    text_putc(&o, VERSION);
    text_printf(&o, "%08x%08x%016llx%04x", s->begun_s, s->seen_s, (unsigned long long)s->backend,
                s->endpoint.port);
    for (size_t i = 0; i < s->endpoint.ip.len; i++)
        text_printf(&o, "%02x", s->endpoint.ip.bytes[i]);
    return out;
}

/* The digits at the front of `t`, which they leave. */
static bool take_number(struct text *t, size_t digits, uint64_t *ret)
{
    uint64_t value = 0;
    if (t->len < digits)
        return false;
    for (size_t i = 0; i < digits; i++) {
        char c = t->data[i];
        unsigned digit = c >= '0' && c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a' + 10);
        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
            return false;
        value = value << 4 | digit;
    }
    *t = (struct text){t->data + digits, t->len - digits};
    *ret = value;
    return true;
}

static bool take_address(struct text *t, struct ip *ret)
{
    uint8_t bytes[16];
    size_t n = t->len / 2;
    uint64_t byte;
    if (t->len != 8 && t->len != 32)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!take_number(t, 2, &byte))
            return false;
        bytes[i] = (uint8_t)byte;
    }
    return ip_from_bytes(bytes, n, ret) == 0;
}

int session_parse(struct text token, struct session *ret)
{
    uint64_t begun, seen, backend, port;
    struct session s;
    if (token.len == 0 || token.data[0] != VERSION)
        return -EINVAL;
    struct text rest = {token.data + 1, token.len - 1};
    if (!take_number(&rest, TIME_DIGITS, &begun) || !take_number(&rest, TIME_DIGITS, &seen) ||
        !take_number(&rest, BACKEND_DIGITS, &backend) || !take_number(&rest, PORT_DIGITS, &port) ||
        !take_address(&rest, &s.endpoint.ip))
        return -EINVAL;
    s.begun_s = (uint32_t)begun;
    s.seen_s = (uint32_t)seen;
    s.backend = backend;
    s.endpoint.port = (uint16_t)port;
    *ret = s;
    return 0;
}

/* One that begins in the future is as old as nothing: clocks of nodes differ. */
static bool is_over(uint32_t since_s, uint64_t after_ms, uint32_t now_s)
{
    return after_ms > 0 && now_s > since_s && (uint64_t)(now_s - since_s) * 1000 >= after_ms;
}

bool session_lives(const struct session *s, const struct session_policy *p, uint32_t now_s)
{
    return !is_over(s->begun_s, p->absolute_ms, now_s) && !is_over(s->seen_s, p->idle_ms, now_s);
}
