#include "controller/translate/stream_hosts.h"
#include <stdlib.h>

static int by_server(const void *a, const void *b)
{
    const struct stream_route *x = a, *y = b;
    size_t len = x->server.len < y->server.len ? x->server.len : y->server.len;
    int order = memcmp(x->server.data, y->server.data, len);
    if (order == 0)
        order = (x->server.len > y->server.len) - (x->server.len < y->server.len);
    return order ? order : (x->place > y->place) - (x->place < y->place);
}

static void add_host(struct gateway_build *b, const struct stream_route *routes, size_t n,
                     struct virtual_host *h)
{
    struct text *domain = gateway_take(b, 1, sizeof *domain);
    struct route *items = gateway_take(b, 2 * n + 1, sizeof *items);
    if (b->failed)
        return;
    *domain = gateway_copy(b, routes[0].server);
    *h = (struct virtual_host){.name = *domain, .domains = domain, .n_domains = 1, .routes = items};
    for (size_t i = 0; i < n; i++)
        items[h->n_routes++] = routes[i].route;
}

void stream_hosts(struct gateway_build *b, struct stream_route *routes, size_t n,
                  struct route_table *t)
{
    b->failed |= n > STREAM_ROUTES_MAX;
    struct virtual_host *hosts = gateway_take(b, n, sizeof *hosts);
    for (size_t i = 0; i < n; i++)
        routes[i].place = i;
    if (n > 1)
        qsort(routes, n, sizeof *routes, by_server);
    t->hosts = hosts;
    for (size_t i = 0, end; i < n && !b->failed; i = end) {
        for (end = i + 1; end < n && text_equal(routes[i].server, routes[end].server);)
            end++;
        add_host(b, &routes[i], end - i, &hosts[t->n_hosts++]);
    }
}
