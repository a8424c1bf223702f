/*
 * Short ways to write route tables and requests down. Texts are literals; what a table's parts point
 * at is taken of its arena.
 */
#ifndef TESTS_UNIT_SHARED_MESH_ROUTES_H
#define TESTS_UNIT_SHARED_MESH_ROUTES_H
#include "tests/unit/shared/base/test.h"

#include "shared/http/http_head.h"
#include "shared/mesh/route.h"

static inline struct route_table *new_table(size_t n_hosts)
{
    struct route_table *t = route_table_new(ROUTE_TABLE_BYTES_MAX);
    assert_non_null(t);
    t->n_hosts = n_hosts;
    t->hosts = arena_zero(&t->arena, n_hosts, sizeof *t->hosts);
    assert_non_null(t->hosts);
    return t;
}

static inline struct virtual_host *set_host(struct route_table *t, size_t i, const char *name,
                                            size_t n_routes, size_t n_domains,
                                            const char *const *domains)
{
    struct virtual_host *h = &t->hosts[i];
    h->name = arena_text(&t->arena, text_of(name));
    h->n_domains = n_domains;
    h->domains = arena_zero(&t->arena, n_domains, sizeof *h->domains);
    for (size_t d = 0; d < n_domains; d++)
        h->domains[d] = arena_text(&t->arena, text_of(domains[d]));
    h->n_routes = n_routes;
    h->routes = arena_zero(&t->arena, n_routes, sizeof *h->routes);
    for (size_t r = 0; r < n_routes; r++)
        h->routes[r].action =
            (struct route_action){.kind = ROUTE_RESPOND, .respond = {.status = 200}};
    return h;
}
#define SET_HOST(t, i, name, n_routes, ...)                                                        \
    set_host((t), (i), (name), (n_routes),                                                         \
             sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *),                          \
             (const char *const[]){__VA_ARGS__})

static inline void set_head(struct http_head *h, const char *method, const char *authority,
                            const char *path)
{
    http_head_init(h);
    assert_int_equal(http_head_set_method(h, text_of(method)), 0);
    assert_int_equal(http_head_set_scheme(h, TEXT("http")), 0);
    assert_int_equal(http_head_set_authority(h, text_of(authority)), 0);
    assert_int_equal(http_head_set_path(h, text_of(path)), 0);
}
#endif
