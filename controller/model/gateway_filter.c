#include "controller/model/gateway_read.h"
#include "shared/http/http_grammar.h"
#include "shared/mesh/route_action.h"
#include <stdio.h>

/* ---- Headers -------------------------------------------------------------------------------- */

static struct gateway_texts read_puts(struct reader *r, struct gateway_flaw *f,
                                      const struct json *of, const char *name)
{
    static const char *const known[] = {"name", "value", NULL};
    json_for_each (j, read_list(r, of, name, GATEWAY_TEXTS_MAX)) {
        gateway_known(r, f, j, known);
        if (!header_may_be_edited(json_text(read_member(j, "name"))))
            gateway_flaw_add(r, f, GATEWAY_FLAW_VALUE, j, "is no header that can be changed");
        if (!http_is_field_value(json_text(read_member(j, "value"))))
            gateway_flaw_add(r, f, GATEWAY_FLAW_VALUE, j, "value can't stand in a header");
    }
    return gateway_texts_read(r, f, of, name, true);
}

static struct gateway_edits read_edits(struct reader *r, struct gateway_flaw *f,
                                       const struct json *j)
{
    static const char *const known[] = {"set", "add", "remove", NULL};
    struct gateway_edits edits = {.set = read_puts(r, f, j, "set"),
                                  .add = read_puts(r, f, j, "add"),
                                  .remove = read_strings(r, j, "remove", GATEWAY_TEXTS_MAX)};
    gateway_known(r, f, j, known);
    json_for_each (item, read_member(j, "remove"))
        if (!header_may_be_edited(json_text(item)))
            gateway_flaw_add(r, f, GATEWAY_FLAW_VALUE, item, "is no header that can be changed");
    return edits;
}

/* ---- Paths and places ----------------------------------------------------------------------- */

static struct gateway_path read_path(struct reader *r, struct gateway_flaw *f,
                                     const struct json *of)
{
    static const char *const known[] = {"type", "replaceFullPath", "replacePrefixMatch", NULL};
    const struct json *j = read_object(r, of, "path");
    struct gateway_path path = {GATEWAY_PATH_STAYS, ""};
    if (!j)
        return path;
    const char *type = read_string(r, j, "type");
    gateway_known(r, f, j, known);
    if (strcmp(type, "ReplaceFullPath") == 0)
        path = (struct gateway_path){GATEWAY_PATH_WHOLE, read_string(r, j, "replaceFullPath")};
    else if (strcmp(type, "ReplacePrefixMatch") == 0)
        path = (struct gateway_path){GATEWAY_PATH_START, read_string(r, j, "replacePrefixMatch")};
    else
        gateway_flaw_add(r, f, GATEWAY_FLAW_VALUE, j,
                         "type '%s' is not one of ReplaceFullPath, ReplacePrefixMatch", type);
    const char *given = path.value;
    bool whole = path.kind == GATEWAY_PATH_WHOLE;
    if ((whole && given[0] != '/') || (given[0] && !http_is_path(text_of(given))) ||
        strlen(given) > GATEWAY_PATH_MAX || (!whole && strchr(given, '?')) ||
        strcmp(given, "*") == 0)
        gateway_flaw_add(r, f, GATEWAY_FLAW_VALUE, j, "'%s' can't be a path", given);
    return path;
}

static const char *read_host(struct reader *r, struct gateway_flaw *f, const struct json *of)
{
    const char *host = read_string(r, of, "hostname");
    if (host[0] && name_check_subdomain(text_of(host)))
        gateway_flaw_add(r, f, GATEWAY_FLAW_VALUE, read_member(of, "hostname"),
                         "'%s' is no precise hostname", host);
    return host;
}

static const struct gateway_redirect *read_redirect(struct reader *r, struct gateway_flaw *f,
                                                    const struct json *j)
{
    static const char *const known[] = {"scheme", "hostname", "path", "port", "statusCode", NULL};
    struct gateway_redirect *redirect = read_array(r, 1, sizeof *redirect);
    if (!redirect)
        return NULL;
    gateway_known(r, f, j, known);
    *redirect =
        (struct gateway_redirect){.scheme = read_string(r, j, "scheme"),
                                  .host = read_host(r, f, j),
                                  .path = read_path(r, f, j),
                                  .port = read_port(r, j, "port"),
                                  .status = (uint16_t)gateway_number(r, j, "statusCode", 999, 302)};
    const char *scheme = redirect->scheme;
    if (scheme[0] && strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0)
        gateway_flaw_add(r, f, GATEWAY_FLAW_VALUE, read_member(j, "scheme"),
                         "'%s' is not one of http, https", scheme);
    switch (redirect->status) {
    case 301:
    case 302:
    case 303:
    case 307:
    case 308:
        break;
    default:
        gateway_flaw_add(r, f, GATEWAY_FLAW_VALUE, read_member(j, "statusCode"),
                         "%u is not one of 301, 302, 303, 307, 308", redirect->status);
    }
    return redirect;
}

static const struct gateway_rewrite *read_rewrite(struct reader *r, struct gateway_flaw *f,
                                                  const struct json *j)
{
    static const char *const known[] = {"hostname", "path", NULL};
    struct gateway_rewrite *rewrite = read_array(r, 1, sizeof *rewrite);
    if (!rewrite)
        return NULL;
    gateway_known(r, f, j, known);
    *rewrite = (struct gateway_rewrite){read_host(r, f, j), read_path(r, f, j)};
    return rewrite;
}

/* ---- Mirrors and CORS ----------------------------------------------------------------------- */

static struct gateway_mirror read_mirror(struct reader *r, struct gateway_flaw *f,
                                         const struct json *j, const char *ns)
{
    static const char *const known[] = {"backendRef", "percent", "fraction", NULL};
    static const char *const parts[] = {"numerator", "denominator", NULL};
    struct gateway_mirror mirror = {.numerator = 100, .denominator = 100};
    const struct json *ref = read_object(r, j, "backendRef"),
                      *fraction = read_object(r, j, "fraction");
    gateway_known(r, f, j, known);
    if (!ref) {
        read_fail(r, j, "backendRef is missing");
        return mirror;
    }
    mirror.ref = gateway_ref_read(r, ref, ns, "", "Service");
    if (fraction && read_member(j, "percent"))
        gateway_flaw_add(r, f, GATEWAY_FLAW_VALUE, j, "percent and fraction can't go together");
    mirror.numerator = gateway_number(r, j, "percent", 100, 100);
    if (!fraction)
        return mirror;
    gateway_known(r, f, fraction, parts);
    mirror.numerator = gateway_number(r, fraction, "numerator", INT32_MAX, 0);
    mirror.denominator = gateway_number(r, fraction, "denominator", INT32_MAX, 100);
    if (mirror.denominator == 0 || mirror.numerator > mirror.denominator)
        gateway_flaw_add(r, f, GATEWAY_FLAW_VALUE, fraction, "is more than everything");
    return mirror;
}

/* "*" alone, or with a scheme and at most one "*". */
static bool is_origin(struct text t)
{
    size_t stars = 0;
    for (size_t i = 0; i < t.len; i++) {
        if (t.data[i] <= ' ' || t.data[i] >= 0x7f)
            return false;
        stars += t.data[i] == '*';
    }
    return t.len > 0 && t.len <= GATEWAY_PATH_MAX && stars <= 1 &&
           (text_equal(t, TEXT("*")) || memmem(t.data, t.len, "://", 3) != NULL);
}

static const struct gateway_cors *read_cors(struct reader *r, struct gateway_flaw *f,
                                            const struct json *j)
{
    static const char *const known[] = {"allowOrigins",
                                        "allowCredentials",
                                        "allowMethods",
                                        "allowHeaders",
                                        "exposeHeaders",
                                        "maxAge",
                                        NULL};
    static const char *const lists[] = {"allowMethods", "allowHeaders", "exposeHeaders"};
    struct gateway_cors *cors = read_array(r, 1, sizeof *cors);
    if (!cors)
        return NULL;
    gateway_known(r, f, j, known);
    *cors = (struct gateway_cors){.origins = read_strings(r, j, "allowOrigins", GATEWAY_ITEMS_MAX),
                                  .methods = read_strings(r, j, "allowMethods", GATEWAY_ITEMS_MAX),
                                  .headers = read_strings(r, j, "allowHeaders", GATEWAY_ITEMS_MAX),
                                  .expose = read_strings(r, j, "exposeHeaders", GATEWAY_ITEMS_MAX),
                                  .max_age_s = gateway_number(r, j, "maxAge", INT32_MAX, 5),
                                  .credentials = read_bool(r, j, "allowCredentials", false)};
    json_for_each (item, read_member(j, "allowOrigins"))
        if (!is_origin(json_text(item)))
            gateway_flaw_add(r, f, GATEWAY_FLAW_VALUE, item, "is no origin");
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        json_for_each (item, read_member(j, lists[i]))
            if (!http_is_token(json_text(item))) /* "*" is one, too */
                gateway_flaw_add(r, f, GATEWAY_FLAW_VALUE, item, "is no name");
    return cors;
}

/* ---- All of them ---------------------------------------------------------------------------- */

enum filter_kind {
    FILTER_REQUEST,
    FILTER_RESPONSE,
    FILTER_REDIRECT,
    FILTER_REWRITE,
    FILTER_MIRROR,
    FILTER_CORS,
    FILTER_KINDS
};
struct filter_word {
    const char *type, *member;
    bool grpc; /* GRPCRoute has it, too */
};
static const struct filter_word words[FILTER_KINDS] = {
    [FILTER_REQUEST] = {"RequestHeaderModifier", "requestHeaderModifier", true},
    [FILTER_RESPONSE] = {"ResponseHeaderModifier", "responseHeaderModifier", true},
    [FILTER_REDIRECT] = {"RequestRedirect", "requestRedirect", false},
    [FILTER_REWRITE] = {"URLRewrite", "urlRewrite", false},
    [FILTER_MIRROR] = {"RequestMirror", "requestMirror", true},
    [FILTER_CORS] = {"CORS", "cors", false},
};

static void read_filter(struct reader *r, struct gateway_flaw *f, enum filter_kind kind,
                        const struct json *j, const char *ns, struct gateway_filters *filters,
                        struct gateway_mirror *mirrors)
{
    switch (kind) {
    case FILTER_REQUEST:
        filters->request = read_edits(r, f, j);
        break;
    case FILTER_RESPONSE:
        filters->response = read_edits(r, f, j);
        break;
    case FILTER_REDIRECT:
        filters->redirect = read_redirect(r, f, j);
        break;
    case FILTER_REWRITE:
        filters->rewrite = read_rewrite(r, f, j);
        break;
    case FILTER_MIRROR:
        mirrors[filters->n_mirrors++] = read_mirror(r, f, j, ns);
        break;
    case FILTER_CORS:
        filters->cors = read_cors(r, f, j);
        break;
    case FILTER_KINDS:
        break;
    }
}

struct gateway_filters gateway_filters_read(struct reader *r, struct gateway_flaw *f,
                                            const struct json *of, const char *ns, bool grpc)
{
    const struct json *list = read_list(r, of, "filters", GATEWAY_FILTERS_MAX);
    struct gateway_mirror *mirrors = read_array(r, json_count(list), sizeof *mirrors);
    struct gateway_filters filters = {.mirrors = mirrors};
    unsigned seen = 0;
    json_for_each (j, list) {
        const char *type = read_string(r, j, "type");
        unsigned k = 0;
        while (k < FILTER_KINDS && (strcmp(type, words[k].type) != 0 || (grpc && !words[k].grpc)))
            k++;
        if (k == FILTER_KINDS) {
            gateway_flaw_add(r, f, GATEWAY_FLAW_KIND, j, "a filter '%s' is not supported", type);
            continue;
        }
        const char *const known[] = {"type", words[k].member, NULL};
        const struct json *value = read_object(r, j, words[k].member);
        gateway_known(r, f, j, known);
        if (seen & 1U << k && k != FILTER_MIRROR)
            gateway_flaw_add(r, f, GATEWAY_FLAW_FILTERS, j, "a second %s in one rule", type);
        seen |= 1U << k;
        if (!value)
            read_fail(r, j, "%s is missing", words[k].member);
        else if (mirrors)
            read_filter(r, f, (enum filter_kind)k, value, ns, &filters, mirrors);
    }
    if (filters.redirect && filters.rewrite)
        gateway_flaw_add(r, f, GATEWAY_FLAW_FILTERS, list,
                         "RequestRedirect and URLRewrite can't go together");
    return filters;
}
