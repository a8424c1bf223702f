#include "shared/tls/web_name.h"

#include <errno.h>
#include <stdlib.h>

#include "shared/tls/der.h"

enum {
    DNS_NAME_MAX = 253,
    LABEL_MAX = 63,
    TAG_DNS = DER_CONTEXT | 2,
    TAG_URI = DER_CONTEXT | 6,
    TAG_IP = DER_CONTEXT | 7
};

static bool is_label_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '-' || c == '_';
}

static struct text without_last_dot(struct text t)
{
    return t.len > 1 && t.data[t.len - 1] == '.' ? (struct text){t.data, t.len - 1} : t;
}

static const char *check_dns(struct text name)
{
    size_t label = 0;
    if (name.len == 0 || name.len > DNS_NAME_MAX)
        return "a name of no, or of too many bytes";
    for (size_t i = 0; i < name.len; i++) {
        if (name.data[i] != '.' && !is_label_char(name.data[i]))
            return "is neither the name of a host, nor an address, nor a URI";
        label = name.data[i] == '.' ? 0 : label + 1;
        if (label > LABEL_MAX || (label == 0 && (i == 0 || i + 1 == name.len ||
                                                 name.data[i - 1] == '.')))
            return "a name with a label of no, or of too many bytes";
    }
    return NULL;
}

static bool is_uri(struct text name)
{
    struct text scheme, rest;
    return text_split(name, ':', &scheme, &rest) && scheme.len > 0 &&
           text_starts_with(rest, TEXT("//"));
}

const char *web_name_check(struct text name, enum web_name_kind *ret)
{
    struct ip ip;
    const char *why = NULL;
    enum web_name_kind kind = WEB_NAME_DNS;
    if (is_uri(name)) {
        kind = WEB_NAME_URI;
        for (size_t i = 0; i < name.len && !why; i++)
            if (name.data[i] <= ' ' || name.data[i] > '~')
                why = "a URI that isn't text";
        if (name.len > WEB_NAME_MAX)
            why = "a URI of too many bytes";
    } else if (ip_parse(name, &ip) == 0) {
        kind = WEB_NAME_IP;
    } else {
        why = check_dns(without_last_dot(name));
    }
    if (!why)
        *ret = kind;
    return why;
}

int web_name_set(struct web_name *n, struct text name)
{
    *n = (struct web_name){.kind = WEB_NAME_DNS};
    if (web_name_check(name, &n->kind))
        return -EINVAL;
    if (n->kind == WEB_NAME_IP)
        return ip_parse(name, &n->ip);
    if (n->kind == WEB_NAME_DNS)
        name = without_last_dot(name);
    const char *copy = text_dup(name);
    if (!copy)
        return -ENOMEM;
    n->text = (struct text){copy, name.len};
    return 0;
}

void web_names_free(struct web_name *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free((char *)names[i].text.data);
    free(names);
}

/* The rest of a name behind its first label; "": it has but one. */
static struct text above(struct text name)
{
    struct text first, rest;
    return text_split(name, '.', &first, &rest) ? rest : (struct text){name.data, 0};
}

static bool dns_fits(struct text wanted, struct text found)
{
    if (text_equal_nocase(wanted, found))
        return true;
    if (!text_starts_with(found, TEXT("*.")))
        return false;
    struct text domain = {found.data + 2, found.len - 2};
    return domain.len > 0 && memchr(domain.data, '.', domain.len) &&
           text_equal_nocase(above(wanted), domain);
}

static bool fits(const struct web_name *n, uint8_t tag, struct der content)
{
    const struct text found = {(const char *)content.data, content.len};
    switch (n->kind) {
    case WEB_NAME_DNS:
        return tag == TAG_DNS && dns_fits(n->text, found);
    case WEB_NAME_IP:
        return tag == TAG_IP && content.len == n->ip.len &&
               memcmp(content.data, n->ip.bytes, content.len) == 0;
    case WEB_NAME_URI:
        return tag == TAG_URI && text_equal(n->text, found);
    }
    return false;
}

bool web_name_fits(const struct web_name *n, const uint8_t *alternative_names, size_t len)
{
    struct der in = {alternative_names, len}, content, whole;
    uint8_t tag;
    while (in.len > 0) {
        if (!der_take_any(&in, &tag, &content, &whole))
            return false;
        if (fits(n, tag, content))
            return true;
    }
    return false;
}
