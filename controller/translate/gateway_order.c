#include "controller/translate/gateway_order.h"
#include <stdlib.h>

/* > 0: `a` is more. */
static int more(size_t a, size_t b)
{
    return (a > b) - (a < b);
}

/* A slash at the end of a prefix means nothing. */
static size_t path_len(const struct gateway_match *m)
{
    size_t len = strlen(m->path);
    while (m->path_kind == GATEWAY_PATH_PREFIX && len > 1 && m->path[len - 1] == '/')
        len--;
    return len;
}

static int by_match(const struct gateway_match *a, const struct gateway_match *b)
{
    static const size_t ranks[] = {
        [GATEWAY_PATH_PREFIX] = 0, [GATEWAY_PATH_REGEX] = 1, [GATEWAY_PATH_EXACT] = 2};
    const int criteria[] = {
        more(ranks[a->path_kind], ranks[b->path_kind]),
        a->path_kind == GATEWAY_PATH_EXACT ? 0 : more(path_len(a), path_len(b)),
        more(strlen(a->grpc_service), strlen(b->grpc_service)),
        more(strlen(a->grpc_method), strlen(b->grpc_method)),
        more(a->method[0] != '\0', b->method[0] != '\0'),
        more(a->headers.n, b->headers.n),
        more(a->queries.n, b->queries.n),
    };
    for (size_t i = 0; i < sizeof criteria / sizeof *criteria; i++)
        if (criteria[i])
            return -criteria[i];
    return 0;
}

static int entry_order(const void *x, const void *y)
{
    const struct gateway_entry *a = x, *b = y;
    int order = by_match(a->match, b->match);
    if (order)
        return order;
    /* A route that does not say when it was made is taken for the youngest. */
    uint64_t at_a = a->route->created_s ? (uint64_t)a->route->created_s : UINT64_MAX;
    uint64_t at_b = b->route->created_s ? (uint64_t)b->route->created_s : UINT64_MAX;
    if (at_a != at_b)
        return at_a < at_b ? -1 : 1;
    order = strcmp(a->route->ns, b->route->ns);
    if (order == 0)
        order = strcmp(a->route->name, b->route->name);
    if (order == 0)
        order = more((uintptr_t)a->rule, (uintptr_t)b->rule); /* of one array, as the next */
    return order ? order : more((uintptr_t)a->match, (uintptr_t)b->match);
}

void gateway_order(struct gateway_entry *entries, size_t n)
{
    if (n > 1)
        qsort(entries, n, sizeof *entries, entry_order);
}
