#include "controller/model/ingress.h"
#include "controller/model/gateway_read.h"
#include "controller/model/object_kinds.h"

/* Expressions select by what a list of labels has no words for. */
static void read_selector(struct reader *r, const struct json *of, struct ingress_listener *l)
{
    static const char *const known[] = {"matchLabels", NULL};
    const struct json *selector = read_object(r, of, "selector");
    gateway_known(r, &l->flaw, selector, known);
    l->selector = read_labels(r, selector, "matchLabels");
    if (l->from == INGRESS_FROM_SELECTOR && !selector)
        gateway_flaw_add(r, &l->flaw, GATEWAY_FLAW_VALUE, of, "from Selector needs a selector");
}

static void read_from(struct reader *r, const struct json *of, struct ingress_listener *l)
{
    static const char *const known[] = {"from", "selector", NULL};
    static const char *const words[] = {[INGRESS_FROM_SAME] = "Same",
                                        [INGRESS_FROM_ALL] = "All",
                                        [INGRESS_FROM_SELECTOR] = "Selector",
                                        [INGRESS_FROM_NONE] = "None"};
    const struct json *j = read_object(r, of, "namespaces");
    const char *word = read_string(r, j, "from");
    gateway_known(r, &l->flaw, j, known);
    l->from = INGRESS_FROM_SAME;
    for (unsigned i = 0; word[0] && i < sizeof words / sizeof *words; i++)
        if (strcmp(word, words[i]) == 0) {
            l->from = (enum ingress_from)i;
            word = "";
        }
    if (word[0]) {
        l->from = INGRESS_FROM_NONE;
        gateway_flaw_add(r, &l->flaw, GATEWAY_FLAW_VALUE, read_member(j, "from"),
                         "'%s' is not one of Same, All, Selector, None", word);
    }
    read_selector(r, j, l);
}

const char *ingress_kind_name(unsigned i)
{
    static const char *const names[INGRESS_KINDS] = {"HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute"};
    return names[i];
}

unsigned ingress_kinds(const struct ingress_listener *l)
{
    if (strcmp(l->protocol, "HTTP") == 0 || strcmp(l->protocol, "HTTPS") == 0)
        return INGRESS_HTTP_ROUTES | INGRESS_GRPC_ROUTES;
    if (strcmp(l->protocol, "TLS") == 0)
        return INGRESS_TLS_ROUTES | (l->passes_tls ? 0 : INGRESS_TCP_ROUTES);
    return strcmp(l->protocol, "TCP") == 0 ? INGRESS_TCP_ROUTES : 0;
}

static void read_kinds(struct reader *r, const struct json *of, struct ingress_listener *l)
{
    const struct json *list = read_list(r, of, "kinds", GATEWAY_ITEMS_MAX);
    const unsigned all = ingress_kinds(l);
    l->kinds = json_count(list) > 0 ? 0 : all;
    json_for_each (j, list) {
        const char *kind = read_string(r, j, "kind"), *group = read_string(r, j, "group");
        bool ours = !read_member(j, "group") || strcmp(group, GATEWAY_GROUP) == 0;
        unsigned said = 0;
        for (unsigned i = 0; ours && i < INGRESS_KINDS; i++)
            said |= strcmp(kind, ingress_kind_name(i)) == 0 ? all & 1U << i : 0;
        l->kinds |= said;
        l->kinds_unknown |= !said;
    }
}

bool ingress_is_host(struct text t)
{
    if (text_starts_with(t, TEXT("*.")))
        t = (struct text){t.data + 2, t.len - 2};
    return !name_check_subdomain(t);
}

/* One certificate a listener; what a client is asked for beyond TLS itself is nothing that can be asked here. */
static void read_tls(struct reader *r, const struct json *of, const char *ns,
                     struct ingress_listener *l)
{
    static const char *const known[] = {"mode", "certificateRefs", NULL};
    const struct json *tls = read_object(r, of, "tls");
    const struct json *refs = read_list(r, tls, "certificateRefs", GATEWAY_ITEMS_MAX);
    const char *mode = read_string(r, tls, "mode");
    bool may_pass = strcmp(l->protocol, "TLS") == 0;
    gateway_known(r, &l->flaw, tls, known);
    l->passes_tls = may_pass && strcmp(mode, "Passthrough") == 0;
    if (l->passes_tls) /* whatever certificate is named: none is shown here */
        return;
    if (mode[0] && strcmp(mode, "Terminate") != 0)
        gateway_flaw_add(r, &l->flaw, GATEWAY_FLAW_VALUE, read_member(tls, "mode"),
                         "'%.40s' is not Terminate%s", mode,
                         may_pass ? " or Passthrough" : ", which alone goes with HTTPS");
    if (json_count(refs) != 1)
        gateway_flaw_add(r, &l->flaw, GATEWAY_FLAW_VALUE, tls ? tls : of,
                         "must name one Secret in certificateRefs, and no more");
    json_for_each (j, refs) {
        l->certificate = gateway_ref_read(r, j, ns, "", "Secret");
        l->has_certificate = true;
        return;
    }
}

static void read_listener(struct reader *r, const struct json *j, const char *ns,
                          struct ingress_listener *l)
{
    static const char *const known[] = {"name",     "hostname", "port",
                                        "protocol", "tls",      "allowedRoutes",
                                        NULL};
    static const char *const routes_known[] = {"namespaces", "kinds", NULL};
    const struct json *routes = read_object(r, j, "allowedRoutes");
    l->name = read_string(r, j, "name");
    l->hostname = read_string(r, j, "hostname");
    l->protocol = read_string(r, j, "protocol");
    l->port = read_port(r, j, "port");
    if (!l->name[0] || !l->protocol[0] || !l->port)
        read_fail(r, j, "must have a name, a port and a protocol");
    gateway_known(r, &l->flaw, j, known);
    gateway_known(r, &l->flaw, routes, routes_known);
    if (l->hostname[0] && !ingress_is_host(text_of(l->hostname)))
        gateway_flaw_add(r, &l->flaw, GATEWAY_FLAW_VALUE, read_member(j, "hostname"),
                         "'%.60s' is no host name, with or without a *. before it", l->hostname);
    bool tls = strcmp(l->protocol, "HTTPS") == 0 || strcmp(l->protocol, "TLS") == 0;
    if (!tls && read_member(j, "tls"))
        gateway_flaw_add(r, &l->flaw, GATEWAY_FLAW_VALUE, read_member(j, "tls"),
                         "can't be there with protocol %.40s", l->protocol);
    if (tls)
        read_tls(r, j, ns, l);
    if (strcmp(l->protocol, "TCP") == 0)
        l->hostname = ""; /* of whom nobody says whom it asks for */
    read_from(r, routes, l);
    read_kinds(r, routes, l);
}

void ingress_class_read(struct reader *r, const struct json *document, struct object *o)
{
    const struct json *spec = read_object(r, document, "spec");
    o->ingress_class = (struct ingress_class){
        .controller = read_string(r, spec, "controllerName"),
        .has_parameters = read_member(spec, "parametersRef") != NULL,
    };
}

void ingress_read(struct reader *r, const struct json *document, struct object *o)
{
    /* infrastructure: of what is made for a Gateway, and nothing is. */
    static const char *const known[] = {"gatewayClassName", "listeners", "infrastructure", NULL};
    const struct json *spec = read_object(r, document, "spec");
    const struct json *list = read_list(r, spec, "listeners", INGRESS_LISTENERS_MAX);
    struct ingress_listener *items = read_array(r, json_count(list), sizeof *items);
    struct ingress *g = &o->ingress;
    g->class_name = read_string(r, spec, "gatewayClassName");
    g->listeners = items;
    gateway_known(r, &g->flaw, spec, known);
    json_for_each (j, list) {
        if (!items || !json_is(j, JSON_OBJECT)) {
            read_fail(r, j, "must be an object");
            return;
        }
        struct ingress_listener *l = &items[g->n_listeners++];
        read_listener(r, j, o->ns, l);
        for (size_t i = 0; i + 1 < g->n_listeners; i++)
            if (strcmp(items[i].name, l->name) == 0)
                read_fail(r, j, "its name is there twice");
    }
}
