#include "shared/http/http_grammar.h"
#include "shared/mesh/checks.h"
#include "shared/mesh/route.h"

#include <errno.h>

enum { BODY_MAX = 64 * 1024, UPGRADES_MAX = 8 };

static int check_rewrite(const struct checker *c, const struct place *at, struct path_rewrite *w,
                         const char *prefix, const char *regex, const char *whole)
{
    char why[WHY_MAX];

    if (w->kind == REWRITE_REGEX) {
        const struct place *place = AT(at, regex);
        int e = check_regex(c, AT(place, "pattern.regex"), w->pattern, &w->regex);
        if (e == 0 && regex_check_substitution(w->regex, w->value, why) < 0)
            e = place_refuse(AT(place, "substitution"), c->why, "%s", why);
        return e;
    }
    if (w->kind == REWRITE_NONE)
        return 0;
    const struct place *place = AT(at, w->kind == REWRITE_PREFIX ? prefix : whole);
    struct text path = w->value, query;
    if (w->kind == REWRITE_WHOLE)
        (void)text_split(path, '?', &path, &query);
    if (!http_is_path(path) || path.data[0] != '/')
        return place_refuse(place, c->why, "does not begin with /, or is no path");
    return 0;
}

static int check_authority(const struct checker *c, const struct place *at, struct text host)
{
    if (host.len > 0 && !http_is_authority(host))
        return place_refuse(at, c->why, "is no host: %.*s", (int)(host.len < 64 ? host.len : 64),
                            host.data);
    return 0;
}

static int check_backend(const struct checker *c, const struct place *at, struct route_backend *b)
{
    if ((b->cluster.len > 0) == (b->cluster_header.len > 0))
        return place_refuse(AT(at, "cluster"), c->why, "there must be a name or cluster_header");
    if (b->cluster_header.len > 0 && !http_is_token(b->cluster_header))
        return place_refuse(AT(at, "cluster_header"), c->why, "is no field name");
    int e = check_authority(c, AT(at, "host_rewrite_literal"), b->host);
    if (e == 0)
        e = check_edits(c, at, &b->edits);
    if (e == 0)
        e = check_labels(c, AT(at, "metadata_match"), b->subset, b->n_subset);
    return e;
}

static int check_backends(const struct checker *c, const struct place *at, struct route_forward *f)
{
    const struct place *weighted = AT(at, "weighted_clusters");
    int e = place_count(AT(weighted, "clusters"), f->n_backends, ROUTE_BACKENDS_MAX, c->why);

    if (f->n_backends == 0)
        return place_refuse(at, c->why, "has no cluster");
    f->total_weight = 0;
    for (size_t i = 0; e == 0 && i < f->n_backends; i++) {
        e = check_backend(c, f->n_backends > 1 ? AT_I(weighted, "clusters", i) : at,
                          &f->backends[i]);
        f->total_weight += f->backends[i].weight;
    }
    return e;
}

static int check_mirrors(const struct checker *c, const struct place *at, struct route_forward *f)
{
    const char *name = "request_mirror_policies";
    int e = place_count(AT(at, name), f->n_mirrors, ROUTE_MATCHES_MAX, c->why);

    for (size_t i = 0; e == 0 && i < f->n_mirrors; i++) {
        const struct place *mirror = AT_I(at, name, i);
        if (f->mirrors[i].cluster.len == 0)
            e = place_refuse(AT(mirror, "cluster"), c->why, "is empty");
        if (e == 0)
            e = check_fraction(c, AT(mirror, "runtime_fraction"), f->mirrors[i].fraction);
        if (e == 0)
            e = check_authority(c, AT(mirror, "host_rewrite_literal"), f->mirrors[i].host);
    }
    return e;
}

static int check_hashes(const struct checker *c, const struct place *at, struct route_forward *f)
{
    int e = place_count(AT(at, "hash_policy"), f->n_hashes, ROUTE_MATCHES_MAX, c->why);

    for (size_t i = 0; e == 0 && i < f->n_hashes; i++) {
        struct hash_policy *h = &f->hashes[i];
        const struct place *place = AT_I(at, "hash_policy", i);
        if (h->source == HASH_SOURCE_IP)
            continue;
        if (h->name.len == 0 || (h->source != HASH_QUERY && !http_is_token(h->name)))
            return place_refuse(AT(place, h->source == HASH_HEADER   ? "header.header_name"
                                          : h->source == HASH_COOKIE ? "cookie.name"
                                                                     : "query_parameter.name"),
                                c->why, "is no name");
        if (h->regex.kind == REWRITE_REGEX)
            e = check_rewrite(c, AT(place, "header"), &h->regex, "", "regex_rewrite", "");
    }
    return e;
}

static int check_session(const struct checker *c, const struct place *at,
                         const struct session_policy *s)
{
    if (s->name.len > SESSION_NAME_MAX || !http_is_token(s->name) ||
        (s->header && !header_may_be_edited(s->name)))
        return place_refuse(AT(at, "name"), c->why, "is no name");
    if (s->permanent && s->absolute_ms == 0)
        return place_refuse(AT(at, "absolute_timeout"), c->why, "is missing");
    if (s->header)
        return 0;
    if (!http_is_path(s->path) || s->path.data[0] != '/' || s->path.len > SESSION_PATH_MAX ||
        memchr(s->path.data, ';', s->path.len))
        return place_refuse(AT(at, "path"), c->why, "is no path");
    return 0;
}

static int check_forward(const struct checker *c, const struct place *at, struct route_forward *f)
{
    int e = check_backends(c, at, f);

    if (e == 0)
        e = check_rewrite(c, at, &f->path, "prefix_rewrite", "regex_rewrite", "path_rewrite");
    if (e == 0 && f->host.kind == HOST_LITERAL && f->host.value.len == 0)
        e = place_refuse(AT(at, "host_rewrite_literal"), c->why, "is empty");
    if (e == 0 && f->host.kind == HOST_LITERAL)
        e = check_authority(c, AT(at, "host_rewrite_literal"), f->host.value);
    if (e == 0 && f->host.kind == HOST_OF_HEADER && !http_is_token(f->host.value))
        e = place_refuse(AT(at, "host_rewrite_header"), c->why, "is no field name");
    if (e == 0 && f->no_cluster_status != 503 && f->no_cluster_status != 404 &&
        f->no_cluster_status != 500)
        e = place_refuse(AT(at, "cluster_not_found_response_code"), c->why,
                         "is %u; 503, 404 or 500 would be right", f->no_cluster_status);
    if (e == 0 && f->retry)
        e = check_retry(c, AT(at, "retry_policy"), f->retry);
    if (e == 0)
        e = check_mirrors(c, at, f);
    if (e == 0)
        e = check_hashes(c, at, f);
    if (e == 0 && f->session)
        e = check_session(c, AT(at, "session"), f->session);
    if (e == 0)
        e = place_count(AT(at, "upgrade_configs"), f->n_upgrades, UPGRADES_MAX, c->why);
    for (size_t i = 0; e == 0 && i < f->n_upgrades; i++) {
        if (!http_is_token(f->upgrades[i]))
            e = place_refuse(AT_I(at, "upgrade_configs", i), c->why, "has no upgrade_type");
    }
    return e;
}

static int check_redirect(const struct checker *c, const struct place *at, struct route_redirect *d)
{
    if (d->https && d->scheme.len > 0)
        return place_refuse(AT(at, "scheme_redirect"), c->why, "stands beside https_redirect");
    if (d->scheme.len > 0 && !text_equal(d->scheme, TEXT("http")) &&
        !text_equal(d->scheme, TEXT("https")))
        return place_refuse(AT(at, "scheme_redirect"), c->why, "is neither http nor https");
    if (d->status != 301 && d->status != 302 && d->status != 303 && d->status != 307 &&
        d->status != 308)
        return place_refuse(AT(at, "response_code"), c->why, "is no redirect: %u", d->status);
    int e = check_authority(c, AT(at, "host_redirect"), d->host);
    if (e == 0)
        e = check_rewrite(c, at, &d->path, "prefix_rewrite", "regex_rewrite", "path_redirect");
    return e;
}

int check_fault(const struct checker *c, const struct place *at, const struct fault *f)
{
    int e = 0;

    if (f->delay_ms > 0)
        e = check_fraction(c, AT(at, "delay.percentage"), f->delay);
    if (e == 0 && f->abort.denominator != 0) {
        e = check_fraction(c, AT(at, "abort.percentage"), f->abort);
        if (e == 0 && f->abort_status != 0 && (f->abort_status < 200 || f->abort_status > 599))
            e = place_refuse(AT(at, "abort.http_status"), c->why,
                             "is %u; 200 to 599 would be right", f->abort_status);
    }
    return e < 0 ? e : check_headers(c, at, "headers", f->headers, f->n_headers);
}

int check_cors(const struct checker *c, const struct place *at, const struct cors *p)
{
    const struct {
        const char *name;
        struct text value;
    } texts[] = {{"allow_methods", p->methods},
                 {"allow_headers", p->headers},
                 {"expose_headers", p->expose_headers},
                 {"max_age", p->max_age}};
    int e =
        place_count(AT(at, "allow_origin_string_match"), p->n_origins, ROUTE_MATCHES_MAX, c->why);

    for (size_t i = 0; e == 0 && i < p->n_origins; i++)
        e = check_text_match(c, AT_I(at, "allow_origin_string_match", i), &p->origins[i]);
    for (size_t i = 0; e == 0 && i < sizeof texts / sizeof *texts; i++) {
        if (texts[i].value.len > 0 && !http_is_field_value(texts[i].value))
            e = place_refuse(AT(at, texts[i].name), c->why, "can't stand in a header");
    }
    return e;
}

int check_action(const struct checker *c, const struct place *at, struct route_action *a)
{
    const struct place *respond = AT(at, "direct_response");
    int e = 0;

    switch (a->kind) {
    case ROUTE_FORWARD:
        e = check_forward(c, AT(at, "route"), &a->forward);
        break;
    case ROUTE_REDIRECT:
        e = check_redirect(c, AT(at, "redirect"), &a->redirect);
        break;
    case ROUTE_RESPOND:
        if (a->respond.status < 200 || a->respond.status > 599)
            return place_refuse(AT(respond, "status"), c->why, "is %u; 200 to 599 would be right",
                                a->respond.status);
        e = place_count(AT(respond, "body"), a->respond.body.len, BODY_MAX, c->why);
        break;
    }
    if (e == 0)
        e = check_edits(c, at, &a->edits);
    if (e == 0 && a->fault)
        e = check_fault(c, AT(at, "typed_per_filter_config[envoy.filters.http.fault]"), a->fault);
    if (e == 0 && a->cors)
        e = check_cors(c, AT(at, "typed_per_filter_config[envoy.filters.http.cors]"), a->cors);
    return e;
}
