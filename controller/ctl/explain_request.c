#include "controller/ctl/explain_request.h"
#include "shared/http/http_path.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { PATH_MAX_BYTES = 16 * 1024 };

bool explain_cluster_split(struct text name, uint16_t *ret_port, struct text *ret_subset, struct text *ret_host)
{
    struct text kind, port, rest;
    uint64_t number;
    if (!text_split(name, '|', &kind, &rest) || !text_split(rest, '|', &port, &rest) ||
        !text_split(rest, '|', ret_subset, ret_host) || text_to_u64(port, 65535, &number) < 0)
        return false;
    *ret_port = (uint16_t)number;
    return true;
}

/* ---- The request ---------------------------------------------------------------------------- */

static int refuse(char why[static WHY_MAX], int error, const char *what, const char *value)
{
    if (error != -ENOMEM)
        snprintf(why, WHY_MAX, "'%.200s' is no %s of a request", value, what);
    return error == -ENOMEM ? error : -EINVAL;
}

static int add_header(struct http_head *h, const char *line, char why[static WHY_MAX])
{
    struct text name, value;
    if (!text_split(text_of(line), ':', &name, &value))
        return refuse(why, -EINVAL, "header (NAME: VALUE)", line);
    int err = http_head_add(h, text_trim(name), text_trim(value));
    return err < 0 ? refuse(why, err, "header (NAME: VALUE)", line) : 0;
}

static int fill(struct http_head *h, const struct explain_wish *w, const struct service *s, char why[static WHY_MAX])
{
    const char *method = w->method ? w->method : "GET", *path = w->path ? w->path : "/";
    const char *host = w->host ? w->host : s->hostname;
    int err;
    if ((err = http_head_set_method(h, text_of(method))) < 0)
        return refuse(why, err, "method", method);
    if ((err = http_head_set_scheme(h, TEXT("http"))) < 0)
        return err;
    if ((err = http_head_set_authority(h, text_of(host))) < 0)
        return refuse(why, err, "host", host);
    if (path[0] != '/' || (err = http_head_set_path(h, text_of(path))) < 0 ||
        (err = http_path_normalize(h, HTTP_PATH_BASE)) < 0)
        return refuse(why, path[0] != '/' ? -EINVAL : err, "path", path);
    for (size_t i = 0; w->headers && i < w->headers->n; i++)
        if ((err = add_header(h, w->headers->items[i], why)) < 0)
            return err;
    return 0;
}

/* ---- The route ------------------------------------------------------------------------------ */

static struct route_table *table_for(const struct directory *d, const struct service *s, uint16_t port,
                                     const struct workload *source)
{
    char name[1024];
    struct text_out out = TEXT_OUT(name);
    struct route_table *t = NULL;
    text_printf(&out, "outbound|%u||%s", port, s->hostname);
    size_t len = out.len;
    if (source) {
        text_printf(&out, "@%s", source->ns);
        t = directory_routes(d, (struct text){name, out.len});
    }
    return t ? t : directory_routes(d, (struct text){name, len});
}

static void put_backends(const struct route_forward *f, struct text_out *out)
{
    for (size_t i = 0; i < f->n_backends; i++) {
        text_puts(out, i ? ", " : "to ");
        text_put(out, f->backends[i].cluster);
        if (f->n_backends > 1)
            text_printf(out, " (%u of %llu)", f->backends[i].weight, (unsigned long long)f->total_weight);
    }
    if (f->timeout_ms)
        text_printf(out, ", within %llu ms", (unsigned long long)f->timeout_ms);
    if (f->retry && f->retry->retries_max)
        text_printf(out, ", tried again %u times", f->retry->retries_max);
    if (f->n_mirrors)
        text_puts(out, ", mirrored");
}

static void put_action(const struct explain_request *r, struct text_out *out)
{
    const struct route *route = r->choice.route;
    switch (route->action.kind) {
    case ROUTE_FORWARD:
        put_backends(&route->action.forward, out);
        break;
    case ROUTE_REDIRECT:
        text_printf(out, "answered %u: ", route->action.redirect.status);
        if (route_location(route, &r->head, out) < 0)
            text_puts(out, "(no location)");
        break;
    case ROUTE_RESPOND:
        text_printf(out, "answered %u", route->action.respond.status);
        break;
    }
    if (r->choice.fault)
        text_puts(out, "; a fault may hold it up or answer it");
}

/* As the route sends it on. */
static int edit(struct explain_request *r)
{
    char path[PATH_MAX_BYTES];
    struct text_out out = TEXT_OUT(path);
    const struct route *route = r->choice.route;
    if (r->forward->path.kind != REWRITE_NONE) {
        int err = route_rewritten_path(&r->forward->path, &route->match, r->head.path, &out);
        if (err == 0)
            err = http_head_set_path(&r->head, (struct text){out.data, out.len});
        if (err < 0)
            return err;
    }
    if (r->forward->host.kind == HOST_LITERAL) {
        int err = http_head_set_authority(&r->head, r->forward->host.value);
        if (err < 0)
            return err;
    }
    return route_edit(r->table, &r->choice, ROUTE_REQUEST, &r->head);
}

static int choose(struct explain_request *r, const struct workload *source)
{
    struct text_out out = TEXT_OUT(r->text);
    const struct route_request q = {.head = &r->head, .source_ns = text_of(source ? source->ns : "")};
    text_put(&out, r->table->name);
    text_puts(&out, ": ");
    int err = route_table_choose(r->table, &q, &r->choice);
    if (err == -ENOMEM)
        return err;
    if (err < 0) {
        text_puts(&out, "no route takes it, so it is answered 404");
        r->stopped = true;
        return 0;
    }
    text_put(&out, r->choice.route->name);
    text_puts(&out, " takes it: ");
    put_action(r, &out);
    r->stopped = r->choice.route->action.kind != ROUTE_FORWARD;
    if (r->stopped)
        return 0;
    r->forward = &r->choice.route->action.forward;
    return edit(r);
}

int explain_request_open(struct explain_request *r, const struct explain_wish *wish, const struct directory *d,
                         const struct service *s, uint16_t port, const struct workload *source, char why[static WHY_MAX])
{
    *r = (struct explain_request){0};
    http_head_init(&r->head);
    for (size_t i = 0; i < s->n_ports; i++)
        r->declared |= s->ports[i].service_port == port && app_protocol_is_http(s->ports[i].app_protocol);
    int err = fill(&r->head, wish, s, why);
    if (err == 0 && !r->declared)
        snprintf(r->text, sizeof r->text, "none: port %u is not declared HTTP (its name or appProtocol), so it is bytes to the mesh", port);
    if (err == 0 && r->declared)
        r->table = table_for(d, s, port, source);
    if (err == 0 && r->declared && !r->table)
        snprintf(r->text, sizeof r->text, "none: nobody wrote any for port %u of this Service", port);
    if (err == 0 && r->table && (err = choose(r, source)) < 0 && err != -ENOMEM) {
        snprintf(why, WHY_MAX, "what the route makes of it is no request");
        err = -EINVAL;
    }
    if (err == 0 && !r->stopped && (err = request_view_init(&r->view, &r->head)) == 0)
        r->seen = true;
    return err;
}

void explain_request_close(struct explain_request *r)
{
    if (r->seen)
        request_view_done(&r->view);
    r->seen = false;
    http_head_done(&r->head);
    r->table = route_table_unref(r->table);
}
