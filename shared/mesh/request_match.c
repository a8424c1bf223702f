#include "shared/mesh/request_match.h"

#include "shared/http/http_grammar.h"
#include "shared/http/http_path.h"
#include <errno.h>
#include <stdlib.h>

/* ---- The policy's side ---------------------------------------------------------------------- */

struct request_match *request_match_free(struct request_match *m)
{
    if (!m)
        return NULL;
    string_matches_done(&m->methods);
    string_matches_done(&m->not_methods);
    string_matches_done(&m->hosts);
    string_matches_done(&m->not_hosts);
    string_matches_done(&m->paths);
    string_matches_done(&m->not_paths);
    for (size_t i = 0; m->headers && i < m->n_headers; i++) {
        free(m->headers[i].name);
        string_matches_done(&m->headers[i].values);
        string_matches_done(&m->headers[i].not_values);
    }
    free(m->headers);
    free(m);
    return NULL;
}

bool request_match_empty(const struct request_match *m)
{
    size_t n =
        m->methods.n + m->not_methods.n + m->hosts.n + m->not_hosts.n + m->paths.n + m->not_paths.n;
    for (size_t i = 0; i < m->n_headers; i++)
        n += m->headers[i].values.n + m->headers[i].not_values.n;
    return n == 0;
}

bool request_match_equal(const struct request_match *a, const struct request_match *b)
{
    if (!a || !b)
        return a == b;
    if (!string_matches_equal(&a->methods, &b->methods) ||
        !string_matches_equal(&a->not_methods, &b->not_methods) ||
        !string_matches_equal(&a->hosts, &b->hosts) ||
        !string_matches_equal(&a->not_hosts, &b->not_hosts) ||
        !string_matches_equal(&a->paths, &b->paths) ||
        !string_matches_equal(&a->not_paths, &b->not_paths) || a->n_headers != b->n_headers)
        return false;
    for (size_t i = 0; i < a->n_headers; i++) {
        if (strcmp(a->headers[i].name, b->headers[i].name) != 0 ||
            !string_matches_equal(&a->headers[i].values, &b->headers[i].values) ||
            !string_matches_equal(&a->headers[i].not_values, &b->headers[i].not_values))
            return false;
    }
    return true;
}

/* ---- The request's side --------------------------------------------------------------------- */

/* "a.b.:80" is "a.b"; "[::1]:80" is "[::1]". */
static struct text host_alone(struct text authority)
{
    struct text host, port;
    http_authority_split(authority, &host, &port);
    while (host.len > 0 && host.data[host.len - 1] == '.')
        host.len--;
    return host;
}

/* Does nothing in it have a second reading? */
static bool is_clear(struct text path)
{
    for (size_t i = 0; i < path.len; i++) {
        char c = path.data[i];
        if (c == '%' || c == ';' || c == '\\' || (c == '/' && i > 0 && path.data[i - 1] == '/'))
            return false;
    }
    return true;
}

/* The slash that is at the front, however it is written; its length, 0: there is none. */
static size_t slash_at(struct text t)
{
    static const struct text forms[] = {{"/", 1}, {"\\", 1}, {"%2f", 3}, {"%5c", 3}};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct text head = {t.data, forms[i].len};
        if (t.len >= head.len && text_equal_nocase(head, forms[i]))
            return head.len;
    }
    return 0;
}

/*
 * Encoded slashes and '\' are slashes, several are one, and what follows ';' in a segment is not
 * there. Segments "." and ".." that come to light so may lead anywhere: whoever resolves them does so
 * before or after the rest.
 */
static size_t read_leniently(struct text path, char *out, bool *ret_unclear)
{
    size_t len = 0, segment = 0; /* where the last one begins */
    bool parameter = false;

    *ret_unclear = false;
    for (struct text rest = path;;) {
        size_t n = rest.len > 0 ? slash_at(rest) : 0;
        if (n > 0 || rest.len == 0) {
            struct text last = {out + segment, len - segment};
            if (text_equal(last, TEXT(".")) || text_equal(last, TEXT("..")))
                *ret_unclear = true;
            if (rest.len == 0)
                return len;
            if (len == 0 || out[len - 1] != '/')
                out[len++] = '/';
            segment = len;
            parameter = false;
        } else {
            parameter = parameter || rest.data[0] == ';';
            if (!parameter)
                out[len++] = rest.data[0];
            n = 1;
        }
        rest = (struct text){rest.data + n, rest.len - n};
    }
}

static size_t decode(struct text t, char *out)
{
    size_t n = 0;
    while (t.len > 0) {
        int c = text_percent_byte(t);
        size_t used = c >= 0 ? 3 : 1;
        out[n++] = c >= 0 ? (char)c : t.data[0];
        t = (struct text){t.data + used, t.len - used};
    }
    return n;
}

int request_view_init(struct request_view *v, const struct http_head *head)
{
    struct text query;

    *v = (struct request_view){.head = head, .method = head->method, .host = head->authority};
    v->host_alone = host_alone(v->host);
    http_path_split(head->path, &v->path, &query);
    v->path_lenient = v->path_meant = v->path;
    if (is_clear(v->path))
        return 0;
    v->memory = malloc(2 * v->path.len);
    if (!v->memory)
        return -ENOMEM;
    v->path_lenient.len = read_leniently(v->path, v->memory, &v->path_unclear);
    v->path_lenient.data = v->memory;
    v->path_meant.data = v->memory + v->path.len;
    v->path_meant.len = decode(v->path_lenient, v->memory + v->path.len);
    return 0;
}

void request_view_done(struct request_view *v)
{
    free(v->memory);
    v->memory = NULL;
}

/* ---- Does it hold? -------------------------------------------------------------------------- */

/* `sure`: only if it matches however it is read. */

static bool method_any(const struct string_matches *m, const struct request_view *v, bool sure)
{
    return sure ? string_matches_any(m, v->method) : string_matches_any_nocase(m, v->method);
}

/* "a.b.:080" is "a.b:80". */
static bool host_with_port_any(const struct string_matches *m, const struct request_view *v)
{
    char meant[STRING_MATCH_MAX + 1];
    struct text_out out = TEXT_OUT(meant);
    struct text host, port;
    http_authority_split(v->host, &host, &port);
    if (m->n == 0 || port.len == 0)
        return false;
    for (; port.len > 1 && port.data[0] == '0'; port.len--)
        port.data++;
    text_put(&out, v->host_alone);
    text_putc(&out, ':');
    text_put(&out, port);
    return out.overflow || string_matches_any_nocase(m, (struct text){out.data, out.len});
}

static bool host_any(const struct string_matches *m, const struct request_view *v, bool sure)
{
    /* Where it is granted, a host is compared with its port, as Istio does. */
    return string_matches_any_nocase(m, v->host) ||
           (!sure &&
            (string_matches_any_nocase(m, v->host_alone) || host_with_port_any(m, v)));
}

/* Whatever is encoded in the path and in the values. */
static bool path_meant_any(const struct string_matches *m, const struct request_view *v)
{
    for (size_t i = 0; i < m->n; i++) {
        char meant[STRING_MATCH_MAX + 1];
        struct text value = text_of(m->items[i].value);
        if (value.len > STRING_MATCH_MAX)
            return true; /* nobody gives us such a one */
        if (!v->memory && !memchr(value.data, '%', value.len))
            continue; /* it has been compared as it is said */
        meant[decode(value, meant)] = '\0';
        struct string_match one = {m->items[i].kind, meant};
        if (string_matches_any(&(struct string_matches){&one, 1}, v->path_meant))
            return true;
    }
    return false;
}

static bool path_any(const struct string_matches *m, const struct request_view *v, bool sure)
{
    if (m->n == 0)
        return false;
    if (v->path_unclear)
        return !sure;
    bool said = string_matches_any(m, v->path);
    bool lenient = v->memory ? string_matches_any(m, v->path_lenient) : said;
    return sure ? said && lenient : said || lenient || path_meant_any(m, v);
}

static bool has_presence(const struct string_matches *m)
{
    for (size_t i = 0; i < m->n; i++) {
        if (m->items[i].kind == MATCH_PRESENCE)
            return true;
    }
    return false;
}

/* There are servers (CGI, WSGI) to whom '_' is '-' in a field's name. */
static char plain(char c)
{
    return c == '_' ? '-' : c;
}

static bool name_fits(struct text have, struct text name, bool sure)
{
    if (sure || have.len != name.len)
        return text_equal(have, name);
    for (size_t i = 0; i < name.len; i++)
        if (plain(have.data[i]) != plain(name.data[i]))
            return false;
    return true;
}

/* The whole value or an element of the list that it is, as Istio does; for presence an empty one is
 * enough. */
static bool value_any(const struct string_matches *m, struct text value)
{
    struct text element;

    if (has_presence(m) || string_matches_any(m, value))
        return true;
    while (http_list_next(&value, &element)) {
        if (string_matches_any(m, element))
            return true;
    }
    return false;
}

/* Of any field of the name. Upgrade is no field of a head: what goes on of it is its protocol, whose
 * case does not matter (RFC 9110 section 7.8). */
static bool header_any(const struct string_matches *m, struct text name,
                       const struct request_view *v, bool sure)
{
    if (m->n == 0)
        return false;
    if (text_equal(name, TEXT("upgrade")))
        return string_matches_any_nocase(m, v->head->protocol);
    for (size_t i = 0; i < v->head->n; i++) {
        const struct http_field *f = &v->head->fields[i];
        if (name_fits(f->name, name, sure) && value_any(m, f->value))
            return true;
    }
    return false;
}

bool request_match_holds(const struct request_match *m, const struct request_view *v, bool grants)
{
    bool sure = grants;

    if ((m->methods.n && !method_any(&m->methods, v, sure)) ||
        (m->hosts.n && !host_any(&m->hosts, v, sure)) ||
        (m->paths.n && !path_any(&m->paths, v, sure)))
        return false;
    /* What exempts from a refusal is granted, and what takes from a grant is refused. */
    if (method_any(&m->not_methods, v, !sure) || host_any(&m->not_hosts, v, !sure) ||
        path_any(&m->not_paths, v, !sure))
        return false;
    for (size_t i = 0; i < m->n_headers; i++) {
        const struct request_header *h = &m->headers[i];
        struct text name = text_of(h->name);
        if ((h->values.n && !header_any(&h->values, name, v, sure)) ||
            header_any(&h->not_values, name, v, !sure))
            return false;
    }
    return true;
}
