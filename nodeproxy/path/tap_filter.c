/* Which requests a tap wants; see the header. */
#include "nodeproxy/path/tap_filter.h"

#include "shared/base/list.h"
#include "shared/http/http_path.h"
#include <errno.h>
#include <stdio.h>

/* ---- reading ---------------------------------------------------------------------------------- */

static int take_text(struct text value, char *out, size_t size, const char *name,
                     char why[static WHY_MAX])
{
    if (value.len == 0 || value.len >= size || memchr(value.data, '\0', value.len))
        return why_say(-EINVAL, why, "%s: it has 1 to %zu characters", name, size - 1);
    memcpy(out, value.data, value.len);
    out[value.len] = '\0';
    return 0;
}

static int take_namespace(struct tap_filter *f, struct text value, char why[static WHY_MAX])
{
    return take_text(value, f->ns, sizeof f->ns, "namespace", why);
}

static int take_workload(struct tap_filter *f, struct text value, char why[static WHY_MAX])
{
    return take_text(value, f->workload, sizeof f->workload, "workload", why);
}

static int take_method(struct tap_filter *f, struct text value, char why[static WHY_MAX])
{
    return take_text(value, f->method, sizeof f->method, "method", why);
}

static int take_path(struct tap_filter *f, struct text value, char why[static WHY_MAX])
{
    if (!text_starts_with(value, TEXT("/")))
        return why_say(-EINVAL, why, "path: what it begins with begins with '/', as /api/");
    return take_text(value, f->path, sizeof f->path, "path", why);
}

static int take_status(struct tap_filter *f, struct text value, char why[static WHY_MAX])
{
    uint64_t number;
    bool is_class = value.len == 3 && text_ends_with(value, TEXT("xx"));
    struct text digits = {value.data, is_class ? 1 : value.len};
    if (text_to_u64(digits, 999, &number) < 0 ||
        (is_class ? number < 1 || number > 5 : number < 100))
        return why_say(-EINVAL, why, "status: a code or a class of them is wanted, as 404 or 5xx");
    f->status_min = (unsigned)number * (is_class ? 100 : 1);
    f->status_max = f->status_min + (is_class ? 99 : 0);
    return 0;
}

static int take_direction(struct tap_filter *f, struct text value, char why[static WHY_MAX])
{
    if (text_equal(value, TEXT("inbound")))
        f->direction = TAP_INBOUND;
    else if (text_equal(value, TEXT("outbound")))
        f->direction = TAP_OUTBOUND;
    else
        return why_say(-EINVAL, why, "direction: it is inbound or outbound");
    return 0;
}

static int take_query(struct tap_filter *f, struct text value, char why[static WHY_MAX])
{
    f->query = text_equal(value, TEXT("true"));
    if (!f->query && !text_equal(value, TEXT("false")))
        return why_say(-EINVAL, why, "query: it is true or false");
    return 0;
}

static int take_max(struct tap_filter *f, struct text value, char why[static WHY_MAX])
{
    if (text_to_u64(value, TAP_MAX_MAX, &f->max) < 0 || f->max == 0)
        return why_say(-EINVAL, why, "max: a number from 1 to %d is wanted", TAP_MAX_MAX);
    return 0;
}

static const struct {
    const char *name;
    int (*take)(struct tap_filter *f, struct text value, char why[static WHY_MAX]);
} parameters[] = {
    {"namespace", take_namespace}, {"workload", take_workload}, {"method", take_method},
    {"path", take_path},           {"status", take_status},     {"direction", take_direction},
    {"query", take_query},         {"max", take_max},
};

static int take(struct tap_filter *f, struct text name, struct text value, unsigned *seen,
                char why[static WHY_MAX])
{
    char decoded[3 * TAP_PATH_MAX];
    for (size_t i = 0; i < ARRAY_SIZE(parameters); i++) {
        if (!text_equal(name, text_of(parameters[i].name)))
            continue;
        if (*seen >> i & 1)
            return why_say(-EINVAL, why, "%s: it is there twice", parameters[i].name);
        if (value.len > sizeof decoded)
            return why_say(-EINVAL, why, "%s: it is too long", parameters[i].name);
        *seen |= 1u << i;
        return parameters[i].take(f, (struct text){decoded, http_query_decode(value, decoded)},
                                  why);
    }
    return why_say(-EINVAL, why,
                   "'%.*s' is no filter: there are namespace, workload, direction, method, path, "
                   "status, query and max",
                   (int)(name.len < 40 ? name.len : 40), name.data);
}

int tap_filter_read(struct text query, struct tap_filter *ret, char why[static WHY_MAX])
{
    struct tap_filter f = {.direction = TAP_BOTH};
    struct text name, value;
    unsigned seen = 0;
    int r = 0;
    while (r == 0 && http_query_next(&query, &name, &value))
        r = take(&f, name, value, &seen, why);
    if (r == 0)
        *ret = f;
    return r;
}

/* ---- matching --------------------------------------------------------------------------------- */

static bool is_or_any(const char *wanted, struct text t)
{
    return !wanted[0] || text_equal(text_of(wanted), t);
}

bool tap_filter_has(const struct tap_filter *f, const struct tap_subject *s)
{
    struct text path, query;
    if (f->direction != TAP_BOTH && (f->direction == TAP_OUTBOUND) != s->outbound)
        return false;
    if (f->status_max > 0 && (s->status < f->status_min || s->status > f->status_max))
        return false;
    if (!is_or_any(f->ns, s->ns) || !is_or_any(f->method, s->method))
        return false;
    if (!is_or_any(f->workload, s->pod) && !is_or_any(f->workload, s->workload))
        return false;
    http_path_split(s->path, &path, &query);
    return text_starts_with(path, text_of(f->path));
}
