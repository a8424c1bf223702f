#include "shared/http/http_hop.h"
#include "shared/base/list.h"
#include "shared/http/http_grammar.h"
#include <errno.h>

enum {
    NAMED_MAX = 16
}; /* by Connection: more is nobody's use, and each is compared with each field */

/* Each is the only way to say something between two neighbours, and means nothing to the next. */
static const struct text of_connection[] = {
    {"connection", 10},        {"keep-alive", 10}, {"proxy-connection", 16},
    {"transfer-encoding", 17}, {"upgrade", 7},     {"http2-settings", 14},
};

/* Beginnings of names that Connection must not name. */
static const struct text not_of_connection[] = {
    {"content-", 8},      {"host", 4},        {"authorization", 13},
    {"cookie", 6},        {"set-cookie", 10}, {"transfer-encoding", 17},
    {"x-forwarded-", 12}, {"forwarded", 9},   {"x-envoy-", 8},
    {"x-istio-", 8},      {"x-weir-", 7},     {"x-real-ip", 9},
    {"x-request-id", 12}, {":", 1},
};

static const struct {
    struct text beginning;
    unsigned kind;
} edge[] = {
    {{"x-forwarded-client-cert", 23}, HTTP_HOP_IDENTITY},
    {{"x-weir-", 7}, HTTP_HOP_IDENTITY},
    {{"x-envoy-", 8}, HTTP_HOP_ENVOY},
    {{"x-istio-", 8}, HTTP_HOP_ENVOY},
    {{"x-forwarded-", 12}, HTTP_HOP_FORWARDED},
    {{"forwarded", 9}, HTTP_HOP_FORWARDED},
    {{"x-real-ip", 9}, HTTP_HOP_FORWARDED},
    {{"via", 3}, HTTP_HOP_FORWARDED},
    {{"proxy-", 6}, HTTP_HOP_PROXY},
    {{"traceparent", 11}, HTTP_HOP_TRACE},
    {{"tracestate", 10}, HTTP_HOP_TRACE},
    {{"b3", 2}, HTTP_HOP_TRACE},
    {{"x-b3-", 5}, HTTP_HOP_TRACE},
};

static char plain(char c)
{
    return c == '_' ? '-' : text_lower(c);
}

/* A beginning that is a whole name does not begin another one's. */
static bool begins(struct text name, struct text beginning)
{
    char last = beginning.data[beginning.len - 1];
    if (name.len < beginning.len || (last != '-' && last != ':' && name.len != beginning.len))
        return false;
    for (size_t i = 0; i < beginning.len; i++)
        if (plain(name.data[i]) != beginning.data[i])
            return false;
    return true;
}

bool http_hop_is(struct text name)
{
    for (size_t i = 0; i < ARRAY_SIZE(of_connection); i++)
        if (text_equal_nocase(name, of_connection[i]))
            return true;
    return false;
}

static bool may_be_named(struct text name)
{
    for (size_t i = 0; i < ARRAY_SIZE(not_of_connection); i++)
        if (begins(name, not_of_connection[i]))
            return false;
    return true;
}

/* Marked by an empty name, which no field has, and swept out together after. */
static void mark_named(struct http_head *h, struct text name)
{
    for (size_t i = 0; i < h->n; i++)
        if (text_equal_nocase(h->fields[i].name, name))
            h->fields[i].name.len = 0;
}

static int check_named(const struct http_head *h)
{
    const struct http_field *f;
    size_t n = 0;
    for (size_t at = 0; (f = http_head_next(h, TEXT("connection"), &at));) {
        struct text list = f->value, name;
        while (http_list_next(&list, &name))
            if (!http_is_token(name) || !may_be_named(name) || ++n > NAMED_MAX)
                return -EINVAL;
    }
    return 0;
}

int http_hop_strip(struct http_head *h)
{
    int r = check_named(h);
    if (r < 0)
        return r;
    for (size_t i = 0; i < h->n; i++) {
        struct http_field *f = &h->fields[i];
        struct text list = f->value, name;
        if (text_equal(f->name, TEXT("te"))) {
            if (http_list_has(f->value, TEXT("trailers")))
                f->value = TEXT("trailers");
            else
                f->name.len = 0;
        } else if (text_equal(f->name, TEXT("connection"))) {
            while (http_list_next(&list, &name))
                if (!text_equal_nocase(name, TEXT("te")) &&
                    !text_equal_nocase(name, TEXT("connection")))
                    mark_named(h, name);
        }
    }
    size_t kept = 0;
    for (size_t i = 0; i < h->n; i++)
        if (h->fields[i].name.len > 0 && !http_hop_is(h->fields[i].name))
            h->fields[kept++] = h->fields[i];
    h->n = kept;
    return 0;
}

size_t http_hop_strip_edge(struct http_head *h, unsigned kinds)
{
    size_t kept = 0, n = h->n;
    for (size_t i = 0; i < n; i++) {
        bool goes = false;
        for (size_t k = 0; k < ARRAY_SIZE(edge) && !goes; k++)
            goes = (edge[k].kind & kinds) && begins(h->fields[i].name, edge[k].beginning);
        if (!goes)
            h->fields[kept++] = h->fields[i];
    }
    h->n = kept;
    return n - kept;
}
