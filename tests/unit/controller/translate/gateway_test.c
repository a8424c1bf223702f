/*
 * HTTPRoutes, GRPCRoutes and VirtualServices: each file *.yaml in tests/unit/controller/translate/gateway
 * and /istio is a case.
 * What its manifests become, tables and status, must be what stands in the file *.txt of its name.
 * Its comments that begin with "#?" are requests and what becomes of them:
 *     #? [NAMESPACE[/LABEL=VALUE]>]SERVICE.NAMESPACE:PORT METHOD PATH [HEADER=VALUE ...] => ANSWER
 * METHOD TCP is a connection, and PATH the server that its ClientHello names, "-" for none.
 * NAMESPACE> is the client's, with one label of its pod; the default is the Service's. ANSWER is "default" (no table), a status
 * with the location of a redirect, or the backends, with "*WEIGHT" if there are several; then, if they
 * are changed, "path PATH", "host HOST", and the headers that are there, "+HEADER=VALUE", and of the
 * answer, "<HEADER=VALUE".
 */
#include "controller/translate/rule_attach.h"
#include "shared/xds/routing.h"
#include "tests/unit/controller/fixture.h"
#include "tests/unit/controller/translate/gateway_case.h"
#include "tests/unit/shared/base/failing_alloc.h"
#include <errno.h>
#include <glob.h>
#include <stdio.h>

#define CASES "tests/unit/controller/translate/gateway/"
#define ISTIO "tests/unit/controller/translate/istio/"
enum { FILE_MAX = 256 * 1024, ANSWER_MAX = 4096 };

struct mesh {
    struct object_store store;
    struct view view;
    struct problems problems;
};

static char *read_all(const char *path)
{
    char *content = NULL;
    FILE *f = fopen(path, "re");
    if (!f)
        fail_msg("%s: %s", path, strerror(errno));
    content = calloc(1, FILE_MAX);
    assert_non_null(content);
    assert_true(fread(content, 1, FILE_MAX - 1, f) < FILE_MAX - 1);
    (void)fclose(f);
    return content;
}

static void mesh_open(struct mesh *m, const char *yaml, const struct translate_settings *settings)
{
    object_store_init(&m->store);
    fixture_load(&m->store, yaml);
    problems_init(&m->problems);
    assert_int_equal(view_open(&m->view, &m->store, settings), 0);
}

static void mesh_close(struct mesh *m)
{
    view_close(&m->view);
    object_store_done(&m->store);
    problems_done(&m->problems);
}

/* ---- Tables and status ---------------------------------------------------------------------- */

static void put_statuses(struct text_heap *h, const struct view *v, enum object_kind kind)
{
    struct view_range routes = view_all(v, kind);
    for (size_t i = 0; i < routes.n; i++) {
        struct gateway_parent_status *all;
        size_t n;
        assert_int_equal(gateway_status(v, routes.items[i], &all, &n), 0);
        put_status(h, routes.items[i], all, n);
        free(all);
    }
}

/* What a node proxy reads of it is what was made. */
static void put_told_table(struct text_heap *h, const struct route_table *t)
{
    char why[XDS_WHY_MAX];
    struct xds_bytes body = {0};
    struct route_table *told;
    struct text_heap made, read;
    text_heap_init(&made, FILE_MAX);
    text_heap_init(&read, FILE_MAX);
    put_table(&made, t);
    assert_int_equal(xds_routes_encode(t, &body), 0);
    if (xds_routes_decode(body.data, body.len, &told, why) < 0)
        fail_msg("%s: %s", t->name.data, why);
    put_table(&read, told);
    assert_string_equal(made.data, read.data);
    text_heap_puts(h, made.data);
    route_table_unref(told);
    xds_bytes_done(&body);
    text_heap_done(&made);
    text_heap_done(&read);
}

static void put_mesh(struct text_heap *h, struct mesh *m)
{
    struct view_range services = view_all(&m->view, OBJECT_SERVICE);
    for (size_t i = 0; i < services.n; i++) {
        struct gateway_tables tables = {0};
        assert_int_equal(gateway_tables(&m->view, services.items[i], &tables, &m->problems), 0);
        assert_int_equal(virtual_tables(&m->view, services.items[i], &tables, &m->problems), 0);
        for (size_t j = 0; j < tables.n; j++)
            put_told_table(h, tables.items[j].table);
        gateway_tables_done(&tables);
    }
    put_statuses(h, &m->view, OBJECT_HTTP_ROUTE);
    put_statuses(h, &m->view, OBJECT_GRPC_ROUTE);
    put_statuses(h, &m->view, OBJECT_TCP_ROUTE);
    put_statuses(h, &m->view, OBJECT_TLS_ROUTE);
    struct view_range virtuals = view_all(&m->view, OBJECT_VIRTUAL_SERVICE);
    for (size_t i = 0; i < virtuals.n; i++)
        virtual_warn(&m->view, virtuals.items[i], &m->problems);
    for (size_t i = 0; i < services.n; i++)
        assert_int_equal(virtual_warn_rivals(&m->view, services.items[i], &m->problems), 0);
    struct view_range rules = view_all(&m->view, OBJECT_DESTINATION_RULE);
    for (size_t i = 0; i < rules.n; i++)
        rule_warn(&m->view, rules.items[i], &m->problems);
    for (size_t i = 0; i < m->problems.n; i++)
        text_heap_printf(h, "problem: %s: %s%s%s\n", m->problems.items[i].object,
                         m->problems.items[i].field, m->problems.items[i].field[0] ? ": " : "",
                         m->problems.items[i].message);
}

/* ---- Requests ------------------------------------------------------------------------------- */

static struct text word(struct text *line)
{
    struct text head;
    *line = text_trim(*line);
    if (!text_split(*line, ' ', &head, line)) {
        head = *line;
        *line = TEXT("");
    }
    return head;
}

static const struct kube_service_port *port_of(const struct object *service, uint64_t number)
{
    for (size_t i = 0; i < service->service.n_ports; i++)
        if (service->service.ports[i].port == number)
            return &service->service.ports[i];
    fail_msg("no port %u", (unsigned)number);
    return NULL;
}

struct client {
    struct text ns, label, value;
};

static struct route_table *named(const struct gateway_tables *all, const char *name)
{
    for (size_t i = 0; i < all->n; i++)
        if (text_equal(all->items[i].table->name, text_of(name)))
            return route_table_ref(all->items[i].table);
    return NULL;
}

/* As a node proxy does: the client namespace's own table, or everybody's; NULL: neither. */
static struct route_table *table_for(struct mesh *m, struct text target, bool stream,
                                     struct client *client)
{
    struct text rest = target, host, name, ns, port, label;
    char texts[2][64], table[GATEWAY_CLUSTER_MAX + 64];
    uint64_t number;
    struct gateway_tables all = {0};
    struct text ours = TEXT("");
    if (text_split(target, '>', &ours, &rest))
        target = rest;
    assert_true(text_split(target, ':', &host, &port) && text_split(host, '.', &name, &ns));
    *client = (struct client){.ns = ours};
    if (text_split(ours, '/', &client->ns, &label))
        assert_true(text_split(label, '=', &client->label, &client->value));
    if (client->ns.len == 0)
        client->ns = ns;
    assert_int_equal(text_to_u64(port, 65535, &number), 0);
    snprintf(texts[0], 64, "%.*s", (int)ns.len, ns.data);
    snprintf(texts[1], 64, "%.*s", (int)name.len, name.data);
    const struct object *service = object_store_get(&m->store, OBJECT_SERVICE, texts[0], texts[1]);
    assert_non_null(service);
    gateway_cluster_name(&m->view, texts[0], texts[1], port_of(service, number)->port, table);
    if (stream) /* "tcp" for "outbound" */
        memmove(memcpy(table, "tcp", 3) + 3, strchr(table, '|'), strlen(strchr(table, '|')) + 1);
    size_t len = strlen(table);
    assert_int_equal(gateway_tables(&m->view, service, &all, &m->problems), 0);
    assert_int_equal(virtual_tables(&m->view, service, &all, &m->problems), 0);
    snprintf(table + len, 65, "@%.*s", (int)client->ns.len, client->ns.data);
    struct route_table *t = named(&all, table);
    table[len] = '\0';
    if (!t)
        t = named(&all, table);
    gateway_tables_done(&all);
    return t;
}

static void put_fields(struct text_heap *h, const char *mark, const struct http_head *head)
{
    for (size_t i = 0; i < head->n; i++)
        text_heap_printf(h, " %s%.*s=%.*s", mark, (int)head->fields[i].name.len,
                         head->fields[i].name.data, (int)head->fields[i].value.len,
                         head->fields[i].value.data);
}

static void put_taken(struct text_heap *h, const struct route_table *t,
                      const struct route_choice *c, struct http_head *head)
{
    const struct route_action *a = &c->route->action;
    char text[ANSWER_MAX];
    struct text_out out = TEXT_OUT(text);
    struct http_head answer;
    http_head_init(&answer);
    if (a->kind == ROUTE_REDIRECT) {
        assert_int_equal(route_location(c->route, head, &out), 0);
        text_heap_printf(h, "%u %s", a->redirect.status, out.data);
    } else if (a->kind == ROUTE_RESPOND) {
        text_heap_printf(h, "%u", a->respond.status);
    } else {
        const struct route_forward *f = &a->forward;
        for (size_t i = 0; i < f->n_backends; i++) {
            text_heap_puts(h, i ? "," : "");
            put_cluster(h, f->backends[i].cluster);
            if (f->n_backends > 1)
                text_heap_printf(h, "*%u", f->backends[i].weight);
        }
        assert_int_equal(route_rewritten_path(&f->path, &c->route->match, head->path, &out), 0);
        if (!text_equal((struct text){out.data, out.len}, head->path))
            text_heap_printf(h, " path %s", out.data);
        if (f->host.kind == HOST_LITERAL)
            text_heap_printf(h, " host %s", f->host.value.data);
        assert_int_equal(route_edit(t, c, ROUTE_REQUEST, head), 0);
        put_fields(h, "+", head);
    }
    assert_int_equal(route_edit(t, c, ROUTE_RESPONSE, &answer), 0);
    put_fields(h, "<", &answer);
    http_head_done(&answer);
}

static void put_answer(struct text_heap *h, const struct route_table *t,
                       const struct client *client, struct http_head *head)
{
    const struct label label = {client->label, client->value};
    const struct route_request request = {.head = head,
                                          .source_ns = client->ns,
                                          .source_labels = &label,
                                          .n_source_labels = client->label.len > 0};
    struct route_choice choice;
    if (!t)
        text_heap_puts(h, "default");
    else if (route_table_choose(t, &request, &choice) < 0)
        text_heap_puts(h, "404");
    else
        put_taken(h, t, &choice, head);
}

static void ask(struct mesh *m, const char *file, struct text line)
{
    const char *arrow = memmem(line.data, line.len, " => ", 4);
    if (!arrow)
        fail_msg("%s: no => in %.*s", file, (int)line.len, line.data);
    struct text request = {line.data, (size_t)(arrow - line.data)}, header, name, value;
    struct text wanted = text_trim((struct text){arrow + 4, line.len - request.len - 4});
    struct http_head head;
    struct text_heap answer;
    struct text target = word(&request), host, port = target;
    http_head_init(&head);
    text_heap_init(&answer, ANSWER_MAX);
    (void)text_split(target, '>', &host, &port);
    assert_int_equal(http_head_set_method(&head, word(&request)), 0);
    assert_int_equal(http_head_set_scheme(&head, TEXT("http")), 0);
    assert_true(text_split(port, '.', &host, &port)); /* as short as a client says it */
    assert_int_equal(http_head_set_authority(&head, host), 0);
    struct text path = word(&request);
    bool stream = text_equal(head.method, TEXT("TCP"));
    if (stream) {
        head.authority = text_equal(path, TEXT("-")) ? TEXT("") : path;
        path = TEXT("/");
    }
    assert_int_equal(http_head_set_path(&head, path), 0);
    while ((header = word(&request)).len > 0) {
        assert_true(text_split(header, '=', &name, &value));
        assert_int_equal(http_head_add(&head, name, value), 0);
    }
    struct client client;
    struct route_table *t = table_for(m, target, stream, &client);
    put_answer(&answer, t, &client, &head);
    if (!text_equal(wanted, (struct text){answer.data, answer.len}))
        fail_msg("%s: %.*s\nand is:  %s", file, (int)line.len, line.data, answer.data);
    route_table_unref(t);
    text_heap_done(&answer);
    http_head_done(&head);
}

static size_t ask_all(struct mesh *m, const char *file, const char *yaml)
{
    struct text rest = text_of(yaml), line;
    size_t n = 0;
    while (text_split(rest, '\n', &line, &rest))
        if (text_starts_with(line, TEXT("#?"))) {
            ask(m, file, text_trim((struct text){line.data + 2, line.len - 2}));
            n++;
        }
    return n;
}

/* ---- Cases ---------------------------------------------------------------------------------- */

static const struct translate_settings *settings_of(const char *yaml)
{
    static struct translate_settings strict;
    strict = fixture_settings;
    strict.grants_required = true;
    return strstr(yaml, "#! grants") ? &strict : &fixture_settings;
}

static size_t play(const char *file)
{
    char expected[512];
    char *yaml = read_all(file);
    struct mesh m;
    struct text_heap h;
    text_heap_init(&h, FILE_MAX);
    mesh_open(&m, yaml, settings_of(yaml));
    size_t n = ask_all(&m, file, yaml);
    put_mesh(&h, &m);
    snprintf(expected, sizeof expected, "%.*stxt", (int)(strlen(file) - 4), file);
    char *wanted = read_all(expected);
    if (strcmp(wanted, h.data ? h.data : "") != 0)
        fail_msg("%s: it is:\n%s", expected, h.data);
    free(wanted);
    free(yaml);
    text_heap_done(&h);
    mesh_close(&m);
    return n;
}

static void cases(void **state)
{
    glob_t found;
    size_t n = 0;
    (void)state;
    assert_int_equal(glob(CASES "*.yaml", 0, NULL, &found), 0);
    assert_int_equal(glob(ISTIO "*.yaml", GLOB_APPEND, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++)
        n += play(found.gl_pathv[i]);
    print_message("%zu cases, %zu requests\n", (size_t)found.gl_pathc, n);
    assert_true(found.gl_pathc >= 20 && n >= 140);
    globfree(&found);
}

/* What is refused for an expression that is none is refused whatever bytes the header has. */
static void any_value_is_refused(void **state)
{
    char *yaml = read_all(CASES "closed.yaml");
    struct mesh m;
    (void)state;
    mesh_open(&m, yaml, &fixture_settings);
    ask(&m, "no UTF-8", TEXT("echo.mesh:80 GET /regex x-user=j\xff => 500"));
    mesh_close(&m);
    free(yaml);
}

/* Each allocation of an attempt fails in turn, which is what it then answers; afterwards all is the same as
 * ever. */
static void each_fails_in_turn(const char *file, int (*attempt)(struct mesh *m))
{
    char *yaml = read_all(file);
    struct mesh m;
    struct text_heap wanted, is;
    long n = 0;
    bool failed = true;
    text_heap_init(&wanted, FILE_MAX);
    mesh_open(&m, yaml, &fixture_settings);
    put_mesh(&wanted, &m);
    for (; failed && n < 5000; n++) {
        alloc_fail_at(n);
        int err = attempt(&m);
        failed = alloc_failed();
        assert_int_equal(err, failed ? -ENOMEM : 0);
    }
    assert_false(failed);
    assert_true(n > 5);
    problems_done(&m.problems);
    text_heap_init(&is, FILE_MAX);
    put_mesh(&is, &m);
    assert_string_equal(wanted.data, is.data);
    text_heap_done(&is);
    text_heap_done(&wanted);
    mesh_close(&m);
    free(yaml);
}

static int attempt_routes(struct mesh *m)
{
    const struct object *service = object_store_get(&m->store, OBJECT_SERVICE, "mesh", "echo");
    const struct object *route = object_store_get(&m->store, OBJECT_HTTP_ROUTE, "mesh", "filters");
    struct gateway_tables tables = {0};
    struct gateway_parent_status *all = NULL;
    size_t n;
    assert_non_null(service);
    assert_non_null(route);
    int err = gateway_tables(&m->view, service, &tables, &m->problems);
    if (err == 0)
        err = gateway_status(&m->view, route, &all, &n);
    gateway_tables_done(&tables);
    free(all);
    return err;
}

static void no_memory(void **state)
{
    (void)state;
    each_fails_in_turn(CASES "filters.yaml", attempt_routes);
}

static int attempt_virtual(struct mesh *m)
{
    const struct object *service = object_store_get(&m->store, OBJECT_SERVICE, "shop", "cart");
    const struct object *o = object_store_get(&m->store, OBJECT_VIRTUAL_SERVICE, "shop", "cart");
    struct gateway_tables tables = {0};
    struct problems problems;
    assert_non_null(service);
    assert_non_null(o);
    problems_init(&problems);
    int err = virtual_tables(&m->view, service, &tables, &problems);
    if (err == 0)
        err = virtual_warn_rivals(&m->view, service, &problems);
    if (err == 0)
        virtual_warn(&m->view, o, &problems);
    if (err == 0 && problems_incomplete(&problems))
        err = -ENOMEM;
    gateway_tables_done(&tables);
    problems_done(&problems);
    return err;
}

static void no_memory_for_virtual_services(void **state)
{
    (void)state;
    each_fails_in_turn(ISTIO "actions.yaml", attempt_virtual);
}

/* What the view is told of changes is what it would see anew. */
static void changes(void **state)
{
    static const char route[] =
        "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: r, "
        "namespace: n}, spec: {parentRefs: [{group: '', kind: Service, name: s}], rules: "
        "[{backendRefs: [{name: t, port: 80}]}]}}\n";
    struct mesh m;
    char name[VIEW_KEY_MAX];
    (void)state;
    mesh_open(&m, route, &fixture_settings);
    struct object *o = object_store_get(&m.store, OBJECT_HTTP_ROUTE, "n", "r");
    assert_int_equal(object_index_get(&m.view.routes_of, view_name("n", "s", name)).n, 1);
    assert_int_equal(object_index_get(&m.view.routes_to, view_name("n", "t", name)).n, 1);
    assert_int_equal(view_change(&m.view, o, NULL), 0);
    assert_int_equal(object_index_get(&m.view.routes_of, view_name("n", "s", name)).n, 0);
    assert_int_equal(object_index_get(&m.view.routes_to, view_name("n", "t", name)).n, 0);
    mesh_close(&m);
}

/* The longest origin that may be is matched whole; a longer one is refused, and not cut. */
static void a_long_origin(void **state)
{
    static const char begin[] = "https://*.";
    (void)state;
    for (size_t len = GATEWAY_PATH_MAX; len <= GATEWAY_PATH_MAX + 1; len++) {
        char origin[GATEWAY_PATH_MAX + 2], yaml[GATEWAY_PATH_MAX + 1024];
        struct gateway_tables tables = {0};
        struct mesh m;
        memset(origin, '.', sizeof origin); /* each is two in an expression */
        memcpy(origin, begin, sizeof begin - 1);
        origin[len] = '\0';
        snprintf(yaml, sizeof yaml,
                 "{apiVersion: v1, kind: Service, metadata: {name: s, namespace: n}, spec: {ports: "
                 "[{port: 80}]}}\n---\n{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, "
                 "metadata: {name: r, namespace: n}, spec: {parentRefs: [{group: '', kind: "
                 "Service, name: s}], rules: [{filters: [{type: CORS, cors: {allowOrigins: "
                 "['%s']}}], backendRefs: [{name: s, port: 80}]}]}}\n",
                 origin);
        mesh_open(&m, yaml, &fixture_settings);
        const struct object *o = object_store_get(&m.store, OBJECT_HTTP_ROUTE, "n", "r");
        const struct object *service = object_store_get(&m.store, OBJECT_SERVICE, "n", "s");
        bool fits = len == GATEWAY_PATH_MAX;
        assert_int_equal(o->route.rules[0].flaw.kind, fits ? GATEWAY_NO_FLAW : GATEWAY_FLAW_VALUE);
        assert_int_equal(gateway_tables(&m.view, service, &tables, &m.problems), 0);
        if (fits) {
            const struct cors *cors = tables.items[0].table->hosts->routes->action.cors;
            size_t dots = len - (sizeof begin - 2);
            assert_int_equal(cors->origins[0].value.len, strlen("(?i)https://[^/]*") + 2 * dots);
        }
        gateway_tables_done(&tables);
        mesh_close(&m);
    }
}

/* Routes that come to more than a table may have: all is refused, and told. */
static void too_much(void **state)
{
    enum { RULES = 16, MATCHES = 64, ROUTES = 2 };
    struct mesh m;
    struct text_heap yaml;
    struct gateway_tables tables = {0};
    (void)state;
    _Static_assert(RULES * MATCHES * ROUTES > ROUTE_REGEXES_MAX, "too many expressions");
    text_heap_init(&yaml, 1024 * 1024);
    text_heap_puts(&yaml,
                   "{apiVersion: v1, kind: Service, metadata: {name: s, namespace: n}, spec: "
                   "{ports: [{port: 80}]}}\n");
    for (unsigned i = 0; i < ROUTES; i++) {
        text_heap_printf(
            &yaml,
            "---\n{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: "
            "{name: r%u, namespace: n}, spec: {parentRefs: [{group: '', kind: Service, "
            "name: s}], rules: [",
            i);
        for (unsigned j = 0; j < RULES; j++) {
            text_heap_puts(&yaml, "{backendRefs: [{name: s, port: 80}], matches: [");
            for (unsigned k = 0; k < MATCHES; k++)
                text_heap_puts(&yaml, "{path: {type: RegularExpression, value: /a}}, ");
            text_heap_puts(&yaml, "]}, ");
        }
        text_heap_puts(&yaml, "]}}\n");
    }
    assert_false(yaml.failed);
    mesh_open(&m, yaml.data, &fixture_settings);
    const struct object *service = object_store_get(&m.store, OBJECT_SERVICE, "n", "s");
    assert_int_equal(gateway_tables(&m.view, service, &tables, &m.problems), 0);
    assert_int_equal(tables.n, 1);
    assert_int_equal(tables.items[0].table->hosts[0].n_routes, 1);
    const struct route *r = tables.items[0].table->hosts[0].routes;
    assert_true(r->match.path.kind == PATH_PREFIX && text_equal(r->match.path.value, TEXT("/")));
    assert_int_equal(r->match.n_headers + r->match.n_queries, 0);
    assert_int_equal(r->action.kind, ROUTE_RESPOND);
    assert_int_equal(r->action.respond.status, 500);
    assert_int_equal(m.problems.n, 1);
    assert_string_equal(m.problems.items[0].object, "Service n/s");
    assert_string_equal(m.problems.items[0].field, "spec.ports[80]");
    assert_non_null(strstr(m.problems.items[0].message, "its routes for port 80 can't be sent"));
    gateway_tables_done(&tables);
    mesh_close(&m);
    text_heap_done(&yaml);
}

enum { LONG_RULES = 2, LONG_MATCHES = 54, LONG_BYTES = 7 * 1024 * 1024 /* at most */ };

/* A Service with these ports, and a route for all of them whose table is long: an action is written once
 * for each match. */
static void long_routes(struct text_heap *yaml, unsigned n_ports)
{
    enum { VALUE_MAX = 4096 };
    static char value[VALUE_MAX + 1];
    memset(value, '%', VALUE_MAX);
    text_heap_init(yaml, 1024 * 1024);
    text_heap_puts(yaml, "{apiVersion: v1, kind: Service, metadata: {name: s, namespace: n}, spec: "
                         "{ports: [");
    for (unsigned i = 0; i < n_ports; i++)
        text_heap_printf(yaml, "{port: %u, name: p%u}, ", 80 + i, i);
    text_heap_puts(yaml, "]}}\n---\n{apiVersion: "
                         "gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: r, "
                         "namespace: n}, spec: {parentRefs: [{group: '', kind: Service, name: s}], "
                         "rules: [");
    for (unsigned rule = 0; rule < LONG_RULES; rule++) {
        text_heap_puts(yaml, "{backendRefs: [{name: s, port: 80}], filters: [{type: "
                             "RequestHeaderModifier, requestHeaderModifier: {set: [");
        for (unsigned i = 0; i < GATEWAY_TEXTS_MAX; i++)
            text_heap_printf(yaml, "{name: x-%u, value: '%s'}, ", i, value);
        text_heap_puts(yaml, "]}}], matches: [");
        for (unsigned i = 0; i < LONG_MATCHES; i++)
            text_heap_printf(yaml, "{path: {value: /%u/%u}}, ", rule, i);
        text_heap_puts(yaml, "]}, ");
    }
    text_heap_puts(yaml, "]}}\n");
    assert_false(yaml->failed);
}

/* The tables of a Service have a maximum together: those that are too much refuse all. */
static void too_many_tables(void **state)
{
    enum { PORTS = 13 };
    struct mesh m;
    struct text_heap yaml;
    struct gateway_tables tables = {0};
    size_t whole = 0;
    (void)state;
    long_routes(&yaml, PORTS);
    mesh_open(&m, yaml.data, &fixture_settings);
    const struct object *service = object_store_get(&m.store, OBJECT_SERVICE, "n", "s");
    assert_int_equal(gateway_tables(&m.view, service, &tables, &m.problems), 0);
    assert_int_equal(tables.n, PORTS);
    assert_true(tables.bytes <= GATEWAY_TABLES_BYTES_MAX);
    for (size_t i = 0; i < tables.n; i++) {
        const struct virtual_host *h = &tables.items[i].table->hosts[0];
        if (h->n_routes > 1)
            whole++;
        else
            assert_int_equal(h->routes[0].action.respond.status, 500);
    }
    assert_int_equal(whole, GATEWAY_TABLES_BYTES_MAX / LONG_BYTES);
    assert_int_equal(m.problems.n, PORTS - whole);
    assert_non_null(strstr(m.problems.items[0].message, "all of the Service's take more than 64 MiB"));
    gateway_tables_done(&tables);
    mesh_close(&m);
    text_heap_done(&yaml);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(cases),
                                       cmocka_unit_test(any_value_is_refused),
                                       cmocka_unit_test(no_memory),
                                       cmocka_unit_test(no_memory_for_virtual_services),
                                       cmocka_unit_test(changes),
                                       cmocka_unit_test(a_long_origin),
                                       cmocka_unit_test(too_much),
                                       cmocka_unit_test(too_many_tables)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
