#include "shared/mesh/spiffe_id.h"

#include <errno.h>

enum { ID_MAX = 2048, TRUST_DOMAIN_MAX = 255 };

static const struct text scheme = {"spiffe://", 9};

/* SPIFFE-ID section 2.1: lower-case letters, digits, dots, dashes and underscores. */
static bool trust_domain_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
}

static bool segment_char(char c)
{
    return trust_domain_char(c) || (c >= 'A' && c <= 'Z');
}

const char *trust_domain_check(struct text t)
{
    if (t.len == 0)
        return "the trust domain is empty";
    if (t.len > TRUST_DOMAIN_MAX)
        return "the trust domain is longer than 255 bytes";
    for (size_t i = 0; i < t.len; i++) {
        if (!trust_domain_char(t.data[i]))
            return "a trust domain has only lower-case letters, digits, '.', '-' and '_'";
    }
    return NULL;
}

/* One path segment; SPIFFE-ID section 2.2. */
static const char *segment_check(struct text t)
{
    if (t.len == 0)
        return "a path segment is empty";
    if (text_equal(t, TEXT(".")) || text_equal(t, TEXT("..")))
        return "a path segment is '.' or '..'";
    for (size_t i = 0; i < t.len; i++) {
        if (!segment_char(t.data[i]))
            return "a path has only letters, digits, '.', '-' and '_' between its slashes";
    }
    return NULL;
}

const char *spiffe_id_check(struct text t)
{
    struct text domain, path, segment;

    if (t.len > ID_MAX)
        return "a SPIFFE ID has at most 2048 bytes";
    if (!text_starts_with(t, scheme))
        return "a SPIFFE ID starts with spiffe://";
    t = (struct text){t.data + scheme.len, t.len - scheme.len};
    if (!text_split(t, '/', &domain, &path))
        return "a SPIFFE ID of a workload has a path";
    const char *why = trust_domain_check(domain);
    while (!why && text_split(path, '/', &segment, &path))
        why = segment_check(segment);
    return why ? why : segment_check(path);
}

/* Takes "/name/value" off the front of *t, as far as the next slash. */
static bool take_pair(struct text *t, struct text name, struct text *ret_value)
{
    struct text head, rest;

    if (!text_split(*t, '/', &head, &rest) || !text_equal(head, name))
        return false;
    if (!text_split(rest, '/', ret_value, t)) {
        *ret_value = rest;
        *t = (struct text){rest.data + rest.len, 0};
    }
    return true;
}

int spiffe_id_parse(struct text t, struct spiffe_id *ret)
{
    struct text domain, rest, ns, account;

    if (t.len >= SPIFFE_ID_TEXT_MAX || spiffe_id_check(t))
        return -EINVAL;
    rest = (struct text){t.data + scheme.len, t.len - scheme.len};
    (void)text_split(rest, '/', &domain, &rest);
    if (!take_pair(&rest, TEXT("ns"), &ns) || !take_pair(&rest, TEXT("sa"), &account) ||
        rest.len > 0)
        return -EINVAL;
    ret->len = (uint16_t)t.len;
    ret->td_len = (uint16_t)domain.len;
    ret->ns_at = (uint16_t)(ns.data - t.data);
    ret->ns_len = (uint16_t)ns.len;
    ret->sa_at = (uint16_t)(account.data - t.data);
    ret->sa_len = (uint16_t)account.len;
    memcpy(ret->text, t.data, t.len);
    ret->text[t.len] = '\0';
    return 0;
}

int spiffe_id_make(struct text trust_domain, struct text ns, struct text sa, struct spiffe_id *ret)
{
    char buffer[SPIFFE_ID_TEXT_MAX];
    struct text_out out = TEXT_OUT(buffer);

    /* What is checked before it is joined can't shift the parts: no slash in any of them. */
    if (trust_domain_check(trust_domain) || segment_check(ns) || segment_check(sa))
        return -EINVAL;
    text_put(&out, scheme);
    text_put(&out, trust_domain);
    text_put(&out, TEXT("/ns/"));
    text_put(&out, ns);
    text_put(&out, TEXT("/sa/"));
    text_put(&out, sa);
    return out.overflow ? -EINVAL : spiffe_id_parse((struct text){out.data, out.len}, ret);
}

bool spiffe_id_equal(const struct spiffe_id *a, const struct spiffe_id *b)
{
    return text_equal(spiffe_id_text(a), spiffe_id_text(b));
}
