/* Route tables for people; see the header. */
#include "nodeproxy/control/routes_dump.h"

#include "shared/mesh/route.h"

enum { SUMMARY_MAX = 2048 }; /* what is longer is cut */

static void print_text(struct text_out *out, const struct text_match *m)
{
    static const char *const marks[] = {[TEXT_EXACT] = "=",
                                        [TEXT_PREFIX] = "^=",
                                        [TEXT_SUFFIX] = "$=",
                                        [TEXT_CONTAINS] = "*=",
                                        [TEXT_REGEX] = "~"};
    text_puts(out, marks[m->kind]);
    text_put(out, m->value);
}

static void print_header(struct text_out *out, const struct header_match *h)
{
    text_puts(out, h->invert ? " !" : " ");
    text_put(out, h->name);
    switch (h->kind) {
    case HEADER_TEXT:
        print_text(out, &h->text);
        break;
    case HEADER_PRESENT:
        break;
    case HEADER_ABSENT:
        text_puts(out, " absent");
        break;
    case HEADER_RANGE:
        text_printf(out, " in [%lld, %lld)", (long long)h->range_start, (long long)h->range_end);
        break;
    }
}

static void print_query(struct text_out *out, const struct query_match *q)
{
    text_puts(out, " ?");
    text_put(out, q->name);
    if (q->kind == QUERY_TEXT)
        print_text(out, &q->text);
    else if (q->kind == QUERY_ABSENT)
        text_puts(out, " absent");
}

static void print_match(struct text_out *out, const struct route_match *m)
{
    static const char *const kinds[] = {[PATH_PREFIX] = "begins with ",
                                        [PATH_EXACT] = "",
                                        [PATH_SEPARATED] = "in ",
                                        [PATH_REGEX] = "~ "};
    text_puts(out, kinds[m->path.kind]);
    text_put(out, m->path.value);
    for (size_t i = 0; i < m->n_headers; i++)
        print_header(out, &m->headers[i]);
    for (size_t i = 0; i < m->n_queries; i++)
        print_query(out, &m->queries[i]);
    if (m->source.ns.len > 0 || m->source.n_labels > 0) {
        text_puts(out, " from ");
        text_put(out, m->source.ns);
        text_printf(out, "(%zu labels)", m->source.n_labels);
    }
    if (m->grpc)
        text_puts(out, " grpc");
    if (m->some)
        text_printf(out, " %u of %u", m->fraction.numerator, m->fraction.denominator);
}

static void print_action(struct text_out *out, const struct route_action *a)
{
    switch (a->kind) {
    case ROUTE_FORWARD:
        for (size_t i = 0; i < a->forward.n_backends; i++) {
            text_puts(out, i ? ", " : "");
            text_put(out, a->forward.backends[i].cluster);
            if (a->forward.n_backends > 1)
                text_printf(out, " (%u)", a->forward.backends[i].weight);
        }
        break;
    case ROUTE_REDIRECT:
        text_printf(out, "redirect %u", a->redirect.status);
        break;
    case ROUTE_RESPOND:
        text_printf(out, "answer %u", a->respond.status);
        break;
    }
}

static void put_route(struct json_out *o, const struct route *r)
{
    char data[SUMMARY_MAX];
    struct text_out out = TEXT_OUT(data);
    json_out_object(o, NULL);
    json_out_text(o, "name", r->name);
    print_match(&out, &r->match);
    json_out_text(o, "match", (struct text){out.data, out.len});
    out = TEXT_OUT(data);
    print_action(&out, &r->action);
    json_out_text(o, "action", (struct text){out.data, out.len});
    json_out_end(o);
}

/* Of `outbound|80||cart.shop.svc.cluster.local@bank`: whose clients it is for (""), and the Service's namespace. */
static struct text clients_of(struct text name)
{
    struct text head, tail;
    return text_split(name, '@', &head, &tail) ? tail : TEXT("");
}

static struct text namespace_of(struct text name)
{
    struct text head, tail = name, ns;
    for (unsigned i = 0; i < 3; i++)
        if (!text_split(tail, '|', &head, &tail))
            return TEXT("");
    return text_split(tail, '.', &head, &tail) && text_split(tail, '.', &ns, &tail) ? ns : TEXT("");
}

static bool put_table(const struct route_table *t, void *arg)
{
    struct json_out *o = arg;
    json_out_object(o, NULL);
    json_out_text(o, "name", t->name);
    json_out_text(o, "namespace", namespace_of(t->name));
    json_out_text(o, "clients", clients_of(t->name));
    json_out_array(o, "virtualHosts");
    for (size_t i = 0; i < t->n_hosts; i++) {
        const struct virtual_host *h = &t->hosts[i];
        json_out_object(o, NULL);
        json_out_text(o, "name", h->name);
        json_out_array(o, "domains");
        for (size_t j = 0; j < h->n_domains; j++)
            json_out_text(o, NULL, h->domains[j]);
        json_out_end(o);
        json_out_array(o, "routes");
        for (size_t j = 0; j < h->n_routes; j++)
            put_route(o, &h->routes[j]);
        json_out_end(o);
        json_out_end(o);
    }
    json_out_end(o);
    json_out_end(o);
    return true;
}

void routes_dump(const struct directory *d, struct json_out *o)
{
    json_out_array(o, "routes");
    directory_each_routes(d, put_table, o);
    json_out_end(o);
}
