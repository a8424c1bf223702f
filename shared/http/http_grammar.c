#include "shared/http/http_grammar.h"
#include "shared/base/addr.h"

enum {
    TOKEN = 1,  /* RFC 9110 section 5.6.2 */
    VALUE = 2,  /* RFC 9110 section 5.5: field-vchar, SP and HTAB */
    NAME = 4,   /* RFC 3986 section 3.2.2: unreserved and sub-delims; ',' would be a list */
    TARGET = 8, /* printable ASCII but ' ' and '#' */
};

#define ALNUM(c)                                                                                   \
    (((c) >= '0' && (c) <= '9') || ((c) >= 'a' && (c) <= 'z') || ((c) >= 'A' && (c) <= 'Z'))
#define BOTH(c)                                                                                    \
    (ALNUM(c) || (c) == '!' || (c) == '$' || (c) == '&' || (c) == '\'' || (c) == '*' ||            \
     (c) == '+' || (c) == '-' || (c) == '.' || (c) == '_' || (c) == '~')
#define CLASS(c)                                                                                   \
    ((unsigned char)((BOTH(c) || (c) == '#' || (c) == '%' || (c) == '^' || (c) == '`' ||           \
                              (c) == '|'                                                           \
                          ? TOKEN                                                                  \
                          : 0) |                                                                   \
                     ((c) == '\t' || ((c) >= 0x20 && (c) != 0x7f) ? VALUE : 0) |                   \
                     (BOTH(c) || (c) == '(' || (c) == ')' || (c) == ';' || (c) == '=' ? NAME       \
                                                                                      : 0) |       \
                     ((c) > 0x20 && (c) < 0x7f && (c) != '#' ? TARGET : 0)))
#define CLASS_4(c)  CLASS(c), CLASS((c) + 1), CLASS((c) + 2), CLASS((c) + 3)
#define CLASS_16(c) CLASS_4(c), CLASS_4((c) + 4), CLASS_4((c) + 8), CLASS_4((c) + 12)
#define CLASS_64(c) CLASS_16(c), CLASS_16((c) + 16), CLASS_16((c) + 32), CLASS_16((c) + 48)
static const unsigned char classes[256] = {CLASS_64(0), CLASS_64(64), CLASS_64(128), CLASS_64(192)};

static bool all_are(struct text t, unsigned char class)
{
    for (size_t i = 0; i < t.len; i++)
        if (!(classes[(unsigned char)t.data[i]] & class))
            return false;
    return true;
}

/* Eight bytes at once: those below 0x20 and 0x7f, and what a borrow makes look like them. */
static bool has_control(uint64_t eight)
{
    const uint64_t each = 0x0101010101010101, high = each * 0x80;
    uint64_t del = eight ^ (each * 0x7f);
    return (((eight - each * 0x20) & ~eight) | ((del - each) & ~del)) & high;
}

size_t http_value_span(const char *data, size_t len)
{
    size_t n = 0;
    uint64_t eight;
    while (len - n >= sizeof eight) {
        memcpy(&eight, data + n, sizeof eight);
        if (has_control(eight))
            break;
        n += sizeof eight;
    }
    while (n < len && (classes[(unsigned char)data[n]] & VALUE))
        n++;
    return n;
}

bool http_is_token(struct text t)
{
    return t.len > 0 && all_are(t, TOKEN);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

bool http_is_field_value(struct text t)
{
    if (t.len > 0 && (is_blank(t.data[0]) || is_blank(t.data[t.len - 1])))
        return false;
    return all_are(t, VALUE);
}

bool http_is_authority(struct text t)
{
    struct text host = t, port = {NULL, 0};
    if (t.len > 0 && t.data[0] == '[') {
        struct ip ip;
        const char *end = memchr(t.data, ']', t.len);
        if (!end)
            return false;
        host = (struct text){t.data + 1, (size_t)(end - t.data) - 1};
        port = (struct text){end + 1, t.len - host.len - 2};
        if (!memchr(host.data, ':', host.len) || ip_parse(host, &ip) < 0 ||
            (port.len > 0 && port.data[0] != ':'))
            return false;
        if (port.len > 0)
            port = (struct text){port.data + 1, port.len - 1};
    } else {
        text_split(t, ':', &host, &port);
        if (host.len == 0 || !all_are(host, NAME))
            return false;
    }
    uint64_t number;
    return port.len == 0 || text_to_u64(port, UINT16_MAX, &number) == 0;
}

void http_authority_split(struct text authority, struct text *ret_host, struct text *ret_port)
{
    size_t i = authority.len;
    while (i > 0 && authority.data[i - 1] >= '0' && authority.data[i - 1] <= '9')
        i--;
    *ret_host = authority;
    *ret_port = (struct text){NULL, 0};
    if (i > 0 && authority.data[i - 1] == ':') {
        *ret_host = (struct text){authority.data, i - 1};
        *ret_port = (struct text){authority.data + i, authority.len - i};
    }
}

bool http_is_path(struct text t)
{
    if (t.len == 0 || (t.data[0] != '/' && !text_equal(t, TEXT("*"))))
        return false;
    return all_are(t, TARGET);
}

bool http_list_next(struct text *list, struct text *ret_element)
{
    while (list->len > 0) {
        struct text element = *list, rest = {NULL, 0};
        text_split(*list, ',', &element, &rest);
        *list = rest;
        element = text_trim(element);
        if (element.len > 0) {
            *ret_element = element;
            return true;
        }
    }
    return false;
}

bool http_list_has(struct text list, struct text token)
{
    struct text element;
    while (http_list_next(&list, &element))
        if (text_equal_nocase(element, token))
            return true;
    return false;
}
