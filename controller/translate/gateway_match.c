#include "controller/translate/gateway_action.h"

static struct text_match text_match(struct gateway_build *b, const struct gateway_text *t)
{
    return (struct text_match){.kind = t->kind == GATEWAY_TEXT_REGEX ? TEXT_REGEX : TEXT_EXACT,
                               .value = gateway_copy(b, text_of(t->value))};
}

static struct path_match http_path(struct gateway_build *b, const struct gateway_match *m)
{
    struct text path = text_of(m->path);
    switch (m->path_kind) {
    case GATEWAY_PATH_EXACT:
        return (struct path_match){.kind = PATH_EXACT, .value = gateway_copy(b, path)};
    case GATEWAY_PATH_REGEX:
        return (struct path_match){.kind = PATH_REGEX, .value = gateway_copy(b, path)};
    case GATEWAY_PATH_PREFIX:
        break;
    }
    while (path.len > 1 && path.data[path.len - 1] == '/')
        path.len--;
    return (struct path_match){.kind = path.len > 1 ? PATH_SEPARATED : PATH_PREFIX,
                               .value = gateway_copy(b, path)};
}

/* "/service/method"; what is not said is any element of the path. */
static struct path_match grpc_path(struct gateway_build *b, const struct gateway_match *m)
{
    char text[2 * REGEX_SOURCE_MAX + 32];
    struct text_out out = TEXT_OUT(text);
    const char *service = m->grpc_service, *method = m->grpc_method;
    enum path_match_kind kind = PATH_REGEX;
    if (!service[0] && !method[0]) {
        kind = PATH_PREFIX;
        text_puts(&out, "/");
    } else if (!m->grpc_regex && service[0]) {
        kind = method[0] ? PATH_EXACT : PATH_PREFIX;
        text_printf(&out, "/%s/%s", service, method);
    } else if (!m->grpc_regex) /* a method's name has nothing that an expression knows */
        text_printf(&out, "/[^/]+/%s", method);
    else
        text_printf(&out, "/(?:%s)/(?:%s)", service[0] ? service : "[^/]+",
                    method[0] ? method : "[^/]+");
    return (struct path_match){.kind = kind,
                               .value = gateway_copy(b, (struct text){out.data, out.len})};
}

void gateway_match_build(struct gateway_build *b, const struct gateway_entry *e,
                         struct route_match *ret)
{
    const struct gateway_match *m = e->match;
    bool grpc = e->route->kind == OBJECT_GRPC_ROUTE;
    struct header_match *headers = gateway_take(b, m->headers.n + 1, sizeof *headers);
    struct query_match *queries = gateway_take(b, m->queries.n, sizeof *queries);
    *ret = (struct route_match){.path = grpc ? grpc_path(b, m) : http_path(b, m),
                                .headers = headers,
                                .queries = queries,
                                .grpc = grpc};
    if (b->failed)
        return;
    if (m->method[0])
        headers[ret->n_headers++] =
            (struct header_match){.name = TEXT(":method"),
                                  .kind = HEADER_TEXT,
                                  .text = {.value = gateway_copy(b, text_of(m->method))}};
    for (size_t i = 0; i < m->headers.n; i++) {
        const struct gateway_text *t = &m->headers.items[i];
        bool host = strcmp(t->name, "host") == 0;
        headers[ret->n_headers++] = (struct header_match){
            .name = host ? TEXT(":authority") : gateway_copy(b, text_of(t->name)),
            .kind = t->kind == GATEWAY_TEXT_PRESENT ? HEADER_PRESENT : HEADER_TEXT,
            .text = text_match(b, t)};
    }
    for (size_t i = 0; i < m->queries.n; i++) {
        const struct gateway_text *t = &m->queries.items[i];
        queries[ret->n_queries++] = (struct query_match){
            .name = gateway_copy(b, text_of(t->name)),
            .kind = t->kind == GATEWAY_TEXT_PRESENT ? QUERY_PRESENT : QUERY_TEXT,
            .text = text_match(b, t)};
    }
}
