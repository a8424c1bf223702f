#define _GNU_SOURCE
#include "shared/tls/name_constraints.h"

enum {
    TAG_DNS = DER_CONTEXT | 2,
    TAG_DIRECTORY = DER_CONTEXT_CONSTRUCTED | 4,
    TAG_URI = DER_CONTEXT | 6
};
enum verdict { MATCHES, DIFFERS, UNKNOWN };

static struct text as_text(struct der d)
{
    return (struct text){(const char *)d.data, d.len};
}

static bool ends_with_nocase(struct text t, struct text end)
{
    return t.len >= end.len &&
           text_equal_nocase((struct text){t.data + t.len - end.len, end.len}, end);
}

/* "example.org" is itself and all below it; ".example.org" only what is below it. */
static bool dns_matches(struct text name, struct text base)
{
    if (base.len == 0 || text_equal_nocase(name, base))
        return true;
    if (base.data[0] == '.')
        return name.len > base.len && ends_with_nocase(name, base);
    return name.len > base.len && name.data[name.len - base.len - 1] == '.' &&
           ends_with_nocase(name, base);
}

/* The host of scheme://host/...; with a user or a port it could be read in two ways, and is
 * refused. */
static bool host_of(struct text uri, struct text *ret)
{
    struct text rest = uri, head, tail;

    do {
        if (!text_split(rest, ':', &head, &rest))
            return false;
    } while (!text_starts_with(rest, TEXT("//")));
    rest = (struct text){rest.data + 2, rest.len - 2};
    if (text_split(rest, '/', &head, &tail))
        rest = head;
    *ret = rest;
    return rest.len > 0 && !memchr(rest.data, '@', rest.len) && !memchr(rest.data, ':', rest.len) &&
           !memchr(rest.data, '?', rest.len) && !memchr(rest.data, '#', rest.len);
}

/* For URIs, "host" is that host alone and ".host" what is below it. */
static bool uri_matches(struct text uri, struct text base)
{
    struct text host;
    if (!host_of(uri, &host))
        return false;
    if (base.len > 0 && base.data[0] == '.')
        return host.len > base.len && ends_with_nocase(host, base);
    return text_equal_nocase(host, base);
}

/* A directory name is within another if it begins with all its parts. Both are whole Names. */
static bool directory_matches(struct der name, struct der base)
{
    return der_take(&name, DER_SEQUENCE, &name) && der_take(&base, DER_SEQUENCE, &base) &&
           name.len >= base.len && memcmp(name.data, base.data, base.len) == 0;
}

static enum verdict compare(uint8_t tag, struct der name, struct der base)
{
    switch (tag) {
    case TAG_DNS:
        return dns_matches(as_text(name), as_text(base)) ? MATCHES : DIFFERS;
    case TAG_URI:
        return uri_matches(as_text(name), as_text(base)) ? MATCHES : DIFFERS;
    case TAG_DIRECTORY:
        return directory_matches(name, base) ? MATCHES : DIFFERS;
    default:
        return UNKNOWN;
    }
}

/* One name against one list of subtrees. *ret_any: the list has an entry of the name's form. */
static const char *search(struct der subtrees, uint8_t tag, struct der name, bool *ret_any,
                          bool *ret_found)
{
    struct der subtree, base, whole;
    uint8_t base_tag;

    *ret_any = *ret_found = false;
    while (subtrees.len > 0) {
        if (!der_take(&subtrees, DER_SEQUENCE, &subtree) ||
            !der_take_any(&subtree, &base_tag, &base, &whole) || subtree.len != 0)
            return "malformed name constraints";
        if (base_tag != tag)
            continue;
        enum verdict v = compare(tag, name, base);
        if (v == UNKNOWN)
            return "a name constraint of a form that is not judged";
        *ret_any = true;
        *ret_found |= v == MATCHES;
    }
    return NULL;
}

static const char *check_name(struct der permitted, struct der excluded, uint8_t tag,
                              struct der name)
{
    bool any, found;
    struct text host;
    const char *why = search(permitted, tag, name, &any, &found);

    if (why)
        return why;
    if (any && !found)
        return "a name that a CA does not permit";
    why = search(excluded, tag, name, &any, &found);
    if (why)
        return why;
    /* What has no host can't be shown to be outside of what is excluded. */
    if (found || (any && tag == TAG_URI && !host_of(as_text(name), &host)))
        return "a name that a CA excludes";
    return NULL;
}

const char *name_constraints_check(const struct x509_view *ca, const struct x509_view *c,
                                   bool is_leaf)
{
    struct der in = ca->name_constraints, permitted = {0}, excluded = {0};
    struct der names = c->alternative_names, name, whole, subject = c->subject, parts = c->subject;
    const char *why;
    uint8_t tag;

    if ((der_next_is(in, DER_CONTEXT_CONSTRUCTED | 0) &&
         !der_take(&in, DER_CONTEXT_CONSTRUCTED | 0, &permitted)) ||
        (der_next_is(in, DER_CONTEXT_CONSTRUCTED | 1) &&
         !der_take(&in, DER_CONTEXT_CONSTRUCTED | 1, &excluded)) ||
        in.len != 0)
        return "malformed name constraints";
    /* A self-issued CA certificate is the CA under another key, RFC 5280, 6.1.4 (b). */
    if (!is_leaf && der_equal(c->subject, c->issuer))
        return NULL;
    if (der_take(&parts, DER_SEQUENCE, &parts) && parts.len > 0) {
        why = check_name(permitted, excluded, TAG_DIRECTORY, subject);
        if (why)
            return why;
    }
    while (names.len > 0) {
        if (!der_take_any(&names, &tag, &name, &whole))
            return "malformed names";
        why = check_name(permitted, excluded, tag, name);
        if (why)
            return why;
    }
    return NULL;
}
