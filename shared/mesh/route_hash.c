#include "shared/mesh/route_hash.h"

#include "shared/http/http_head.h"
#include "shared/mesh/hash64.h"
#include "shared/mesh/route_index.h"

#include <stdlib.h>

enum { VALUES_MAX = 128, REWRITTEN_MAX = 4096 };

static int by_bytes(const void *left, const void *right)
{
    const struct text *a = left, *b = right;
    size_t both = a->len < b->len ? a->len : b->len;
    int order = both ? memcmp(a->data, b->data, both) : 0;
    return order ? order : (a->len > b->len) - (a->len < b->len);
}

/* All fields of the name, sorted, so that their order does not matter. A value that the expression
 * makes too long counts as it was. */
static bool of_header(const struct hash_policy *p, const struct http_head *head, uint64_t *ret)
{
    struct text values[VALUES_MAX];
    char rewritten[REWRITTEN_MAX];
    size_t n = 0, at = 0;
    const struct http_field *f;
    uint64_t hash = 0;

    while (n < VALUES_MAX && (f = http_head_next(head, p->name, &at)))
        values[n++] = f->value;
    qsort(values, n, sizeof *values, by_bytes);
    for (size_t i = 0; i < n; i++) {
        struct text_out o = TEXT_OUT(rewritten);
        if (p->regex.kind == REWRITE_REGEX &&
            regex_replace(p->regex.regex, values[i], p->regex.value, &o) == 0)
            hash = hash64_xx((struct text){o.data, o.len}, hash);
        else
            hash = hash64_xx(values[i], hash);
    }
    *ret = hash;
    return n > 0;
}

bool route_cookie(const struct http_head *head, struct text name, struct text *ret)
{
    const struct http_field *f;
    size_t at = 0;

    while ((f = http_head_next(head, TEXT("cookie"), &at))) {
        struct text rest = f->value, pair, key, value;
        for (bool more = true; more;) {
            more = text_split(rest, ';', &pair, &rest);
            if (!more)
                pair = rest;
            if (!text_split(text_trim(pair), '=', &key, &value) || !text_equal(key, name))
                continue;
            if (value.len >= 2 && value.data[0] == '"' && value.data[value.len - 1] == '"')
                value = (struct text){value.data + 1, value.len - 2};
            *ret = value;
            return true;
        }
    }
    return false;
}

static bool of_cookie(const struct hash_policy *p, const struct http_head *head, uint64_t random,
                      struct route_hash *h, uint64_t *ret)
{
    struct text value;

    if (!route_cookie(head, p->name, &value) || value.len == 0) {
        if (!p->make_cookie || h->make_cookie)
            return false;
        struct text_out o = TEXT_OUT(h->cookie);
        text_printf(&o, "%016llx", (unsigned long long)random);
        h->make_cookie = p;
        value = (struct text){o.data, o.len};
    }
    *ret = hash64_xx(value, 0);
    return true;
}

static bool of_policy(const struct hash_policy *p, const struct http_head *head,
                      const struct ip *source, uint64_t random, struct route_hash *h, uint64_t *ret)
{
    char text[IP_TEXT_MAX];
    struct text value;

    switch (p->source) {
    case HASH_HEADER:
        return of_header(p, head, ret);
    case HASH_COOKIE:
        return of_cookie(p, head, random, h, ret);
    case HASH_SOURCE_IP:
        if (source->len == 0)
            return false;
        *ret = hash64_xx(text_of(ip_print(source, text)), 0);
        return true;
    case HASH_QUERY:
        if (!query_get(route_path_of(head).query, p->name, &value))
            return false;
        *ret = hash64_xx(value, 0);
        return true;
    }
    return false;
}

struct route_hash route_hash_of(const struct route_forward *f, const struct http_head *request,
                                const struct ip *source, uint64_t random)
{
    struct route_hash h = {.any = false};
    uint64_t one;

    for (size_t i = 0; i < f->n_hashes; i++) {
        if (of_policy(&f->hashes[i], request, source, random, &h, &one)) {
            /* Turned by a bit, so that two that are the same do not cancel each other out. */
            h.hash = (h.hash << 1 | h.hash >> 63) ^ one;
            h.any = true;
        }
        if (f->hashes[i].terminal && h.any)
            break;
    }
    return h;
}
