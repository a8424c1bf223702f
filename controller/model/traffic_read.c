#include "controller/model/traffic_read.h"
#include <math.h>

enum { TRAFFIC_TEXT_MAX = 4096, NAMESPACES_MAX = 64, LOCALITY_MAX = 200 };

struct text traffic_copy(struct reader *r, const struct json *string)
{
    return text_of(read_copy(r, json_text(string)));
}

struct text traffic_lower(struct reader *r, struct text t)
{
    char *copy = read_array(r, t.len + 1, 1);
    if (!copy)
        return TEXT("");
    for (size_t i = 0; i < t.len; i++)
        copy[i] = text_lower(t.data[i]);
    return (struct text){copy, t.len};
}

/* As Go writes them: each number has a unit, and a day is none. */
static bool is_duration(struct text t, uint64_t *ret_ms)
{
    char last = t.len ? t.data[t.len - 1] : '0';
    return !(last >= '0' && last <= '9') && !memchr(t.data, 'd', t.len) &&
           text_to_duration_ms(t, ret_ms) == 0 && *ret_ms <= INT32_MAX * 1000ULL;
}

uint64_t traffic_duration(struct reader *r, struct gateway_flaw *f, const struct json *of,
                          const char *name, uint64_t min_ms, uint64_t absent)
{
    const struct json *j = read_member(of, name);
    const char *text = read_string(r, of, name);
    uint64_t ms = 0;
    if (!j)
        return absent;
    if (!is_duration(text_of(text), &ms))
        traffic_flaw(r, f, j, "'%.40s' is no duration such as 10s, 1m30s or 500ms", text);
    else if (ms < min_ms)
        traffic_flaw(r, f, j, "is less than a millisecond");
    return ms;
}

double traffic_number(struct reader *r, struct gateway_flaw *f, const struct json *of,
                      const char *name, double min, double max, double absent)
{
    const struct json *j = read_member(of, name);
    double value = absent;
    json_opt_number(of, name, &value, r->error);
    if (!j || (isfinite(value) && value >= min && value <= max))
        return value;
    traffic_flaw(r, f, j, "is not from %g to %g", min, max);
    return absent;
}

bool traffic_text(struct reader *r, struct gateway_flaw *f, const struct json *j,
                  struct text_match *ret)
{
    static const char *const known[] = {"exact", "prefix", "regex", NULL};
    static const enum text_match_kind kinds[] = {TEXT_EXACT, TEXT_PREFIX, TEXT_REGEX};
    const struct json *found = NULL;
    if (!json_is(j, JSON_OBJECT)) {
        read_fail(r, j, "must be an object with exact, prefix or regex");
        return false;
    }
    gateway_known(r, f, j, known);
    for (size_t i = 0; known[i]; i++) {
        const struct json *value = read_member(j, known[i]);
        if (!value)
            continue;
        if (found)
            traffic_flaw(r, f, j, "only one of exact, prefix and regex can be asked for");
        found = value;
        read_string(r, j, known[i]);
        *ret = (struct text_match){.kind = kinds[i], .value = traffic_copy(r, value)};
    }
    if (!found || (ret->kind == TEXT_REGEX && text_equal(ret->value, TEXT("*"))))
        return false;
    if (ret->value.len > TRAFFIC_TEXT_MAX) {
        traffic_flaw(r, f, found, "is longer than %d bytes", TRAFFIC_TEXT_MAX);
        return false;
    }
    if (ret->kind == TEXT_PREFIX && ret->value.len == 0) {
        traffic_flaw(r, f, found, "is empty");
        return false;
    }
    return ret->kind != TEXT_REGEX || gateway_regex_check(r, f, found);
}

const char *traffic_host(struct reader *r, struct gateway_flaw *f, const struct json *j)
{
    struct text host = traffic_lower(r, json_text(j)), name = host;
    if (!json_is(j, JSON_STRING)) {
        if (j)
            read_fail(r, j, "must be a string");
        return "";
    }
    if (text_equal(name, TEXT("*")))
        return host.data;
    if (text_starts_with(name, TEXT("*.")))
        name = (struct text){name.data + 2, name.len - 2};
    const char *wrong = name_check_subdomain(name);
    if (wrong)
        traffic_flaw(r, f, j, "'%.60s' %s", host.data, wrong);
    return host.data;
}

struct values traffic_export(struct reader *r, struct gateway_flaw *f, const struct json *spec,
                             const char *ns)
{
    const struct json *list = read_list(r, spec, "exportTo", NAMESPACES_MAX);
    const char **items = read_array(r, json_count(list), sizeof *items);
    struct values values = {items, 0};
    bool all = false;
    json_for_each (j, list) {
        struct text t = json_text(j);
        if (!items || !json_is(j, JSON_STRING)) {
            read_fail(r, j, "must be a string");
            break;
        }
        all |= text_equal(t, TEXT("*"));
        if (text_equal(t, TEXT(".")))
            items[values.n++] = ns;
        else if (!name_check_label(t))
            items[values.n++] = read_copy(r, t);
        else if (!text_equal(t, TEXT("*")))
            traffic_flaw(r, f, j, "'%.60s' is none of '.', '*' and a namespace", t.data);
    }
    if (all)
        values.n = 0;
    return values;
}

void traffic_locality(struct reader *r, struct gateway_flaw *f, const struct json *of,
                      const char **region, const char **zone, const char **subzone)
{
    const char **parts[] = {region, zone, subzone};
    struct text head, rest = text_of(read_string(r, of, "locality"));
    *region = *zone = *subzone = "";
    if (rest.len > LOCALITY_MAX) {
        traffic_flaw(r, f, read_member(of, "locality"), "is longer than %d bytes", LOCALITY_MAX);
        return;
    }
    for (size_t i = 0; i < 3 && rest.len > 0; i++) {
        bool more = text_split(rest, '/', &head, &rest);
        *parts[i] = read_copy(r, more ? head : rest);
        if (!more)
            return;
    }
}

uint16_t traffic_port(struct reader *r, struct gateway_flaw *f, const struct json *of)
{
    static const char *const known[] = {"number", NULL};
    const struct json *j = read_object(r, of, "port");
    gateway_known(r, f, j, known);
    uint16_t port = read_port(r, j, "number");
    if (j && !port)
        traffic_flaw(r, f, j, "number is missing");
    return port;
}
