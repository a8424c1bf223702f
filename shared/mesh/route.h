/*
 * Route tables (Envoy's RouteConfiguration): virtual hosts with their domains, and routes of which
 * the first one that matches counts. Whoever decodes or translates takes memory of the table's
 * arena, fills the fields in and finishes it; afterwards it is immutable and counted: readers in any
 * thread may use it for as long as they hold a reference. Memory: arena_max bytes, compiled
 * expressions and the index apart.
 */
#ifndef SHARED_MESH_ROUTE_H
#define SHARED_MESH_ROUTE_H
#include "shared/base/arena.h"
#include "shared/mesh/route_action.h"

#include <stdatomic.h>

enum {
    ROUTE_TABLE_BYTES_MAX = 16 * 1024 * 1024,
    VIRTUAL_HOSTS_MAX = 20000,
    DOMAINS_MAX = 1000,     /* of a virtual host */
    ROUTES_MAX = 20000,     /* of a virtual host */
    ROUTE_MATCHES_MAX = 64, /* headers or parameters of a route; edits at one place; labels */
    ROUTE_BACKENDS_MAX = 256,
    ROUTE_REGEXES_MAX = 2000 /* of a table */
};

struct route {
    struct text name;
    struct route_match match;
    struct route_action action;
};
struct virtual_host {
    struct text name;
    /* Exact, "*.example.org" and "*-x.org" (any suffix), "example.*" (any prefix), "*"; lower
     * case, with a port if the authority has one. Each domain once in a table. */
    struct text *domains;
    size_t n_domains;
    struct route *routes;
    size_t n_routes;
    struct message_edits edits;
    const struct retry_policy *retry; /* what routes without one get */
    const struct fault *fault;
    const struct cors *cors;
    enum { TLS_NOT_REQUIRED, TLS_EXTERNAL_ONLY, TLS_ALL } require_tls;
    bool send_attempt_count;         /* x-envoy-attempt-count, upstream, */
    bool answer_attempt_count;       /* and downstream */
    const struct route_index *index; /* made by route_table_finish() */
};
struct route_table {
    _Atomic unsigned refs;
    struct arena arena;
    struct text name;
    struct virtual_host *hosts;
    size_t n_hosts;
    struct message_edits edits;
    bool most_specific_edits_win; /* edits of the table come first and those of a backend last */
    bool ignore_port;             /* of the authority */
    bool finished;
    const struct domain_index *domains; /* made by route_table_finish() */
    struct kept_regex *regexes;         /* what the table frees */
};

/* With one reference; NULL: no memory. */
struct route_table *route_table_new(size_t arena_max);
/* From any thread; the last one frees. NULL is fine; unref returns NULL. */
struct route_table *route_table_ref(struct route_table *t);
struct route_table *route_table_unref(struct route_table *t);
/* Checks everything, compiles and indexes it. -EINVAL: why names the field, as in
 * `virtual_hosts[2].routes[5].match.headers[0].name: is empty`; -ENOMEM. */
int route_table_finish(struct route_table *t, char why[static WHY_MAX]);

/* What was found; pointers into the table. */
struct route_choice {
    const struct virtual_host *host;
    const struct route *route;
    const struct route_backend *backend; /* ROUTE_FORWARD; NULL: all weights are 0 */
    const struct retry_policy *retry;    /* the route's or the host's; NULL: none; likewise */
    const struct fault *fault;
    const struct cors *cors;
};
/* -ENOENT: no virtual host or no route; *ret->host tells which. -ENOMEM: whether a route takes it can't be
 * told: no later one may, which could be a broader one. */
int route_table_choose(const struct route_table *t, const struct route_request *request,
                       struct route_choice *ret);
/* Its halves. */
const struct virtual_host *route_table_host(const struct route_table *t, struct text authority);
int virtual_host_route(const struct virtual_host *h, const struct route_request *request,
                       const struct route **ret); /* -ENOENT, -ENOMEM */
const struct route_backend *route_forward_backend(const struct route_forward *f, uint64_t random);

/* What becomes of a path (with its query). A path that stays is written, too. -ENOBUFS: too long;
 * -EINVAL: it would be no path; -ENOMEM. */
int route_rewritten_path(const struct path_rewrite *w, const struct route_match *m,
                         struct text path, struct text_out *ret);
/* Where a redirect leads to, absolute. A port that the scheme implies is left out. */
int route_location(const struct route *r, const struct http_head *request, struct text_out *ret);

/* All edits that concern a request, or its answer, in Envoy's order: of the backend, the route, the
 * host and the table, or backwards if the most specific wins. Errors as http_head_set()'s. */
enum route_message { ROUTE_REQUEST, ROUTE_RESPONSE };
int route_edit(const struct route_table *t, const struct route_choice *c, enum route_message which,
               struct http_head *head);
int header_edits_apply(const struct header_edits *e, struct http_head *head);
#endif
