#include "shared/http/http_grammar.h"
#include "shared/http/http_head.h"
#include "shared/mesh/route_index.h"

#include <errno.h>

static bool is_path(const struct text_out *o, size_t from)
{
    return http_is_path((struct text){o->data + from, o->len - from});
}

int route_rewritten_path(const struct path_rewrite *w, const struct route_match *m,
                         struct text path, struct text_out *ret)
{
    struct text query = {0}, rest;
    size_t from = ret->len;
    int e = 0;

    if (text_split(path, '?', &rest, &query)) {
        query = (struct text){query.data - 1, query.len + 1};
        path = rest;
    }
    switch (w->kind) {
    case REWRITE_NONE:
        text_put(ret, path);
        break;
    case REWRITE_PREFIX:
        text_put(ret, w->value);
        if ((m->path.kind == PATH_PREFIX || m->path.kind == PATH_SEPARATED) &&
            path.len > m->path.value.len)
            text_put(ret,
                     (struct text){path.data + m->path.value.len, path.len - m->path.value.len});
        break;
    case REWRITE_REGEX:
        e = regex_replace(w->regex, path, w->value, ret);
        break;
    case REWRITE_WHOLE:
        text_put(ret, w->value);
        break;
    }
    if (e < 0)
        return e;
    text_put(ret, query);
    if (ret->overflow)
        return -ENOBUFS;
    return is_path(ret, from) ? 0 : -EINVAL;
}

static bool default_port(struct text scheme, struct text port)
{
    return (text_equal(scheme, TEXT("http")) && text_equal(port, TEXT("80"))) ||
           (text_equal(scheme, TEXT("https")) && text_equal(port, TEXT("443")));
}

static void put_authority(const struct route_redirect *d, const struct http_head *request,
                          struct text scheme, struct text_out *ret)
{
    char digits[8];
    struct text_out given = TEXT_OUT(digits);
    struct text host, port;

    http_authority_split(request->authority, &host, &port);
    if (d->host.len > 0) {
        host = d->host; /* which may bring a port */
        port = (struct text){0};
    }
    if (d->port != 0) {
        text_printf(&given, "%u", d->port);
        port = (struct text){given.data, given.len};
    } else if (!text_equal(scheme, request->scheme) && default_port(request->scheme, port)) {
        port = (struct text){0};
    }
    text_put(ret, host);
    if (port.len > 0 && !(d->port != 0 && default_port(scheme, port))) {
        text_putc(ret, ':');
        text_put(ret, port);
    }
}

int route_location(const struct route *r, const struct http_head *request, struct text_out *ret)
{
    const struct route_redirect *d = &r->action.redirect;
    struct text scheme = d->https ? TEXT("https") : d->scheme.len ? d->scheme : request->scheme;
    struct text path = request->path, head, query;
    bool own_query = d->path.kind == REWRITE_WHOLE && text_split(d->path.value, '?', &head, &query);

    if (scheme.len == 0)
        scheme = TEXT("http");
    text_put(ret, scheme);
    text_puts(ret, "://");
    put_authority(d, request, scheme, ret);
    if ((d->strip_query || own_query) && text_split(path, '?', &head, &query))
        path = head;
    return route_rewritten_path(&d->path, &r->match, path, ret);
}
