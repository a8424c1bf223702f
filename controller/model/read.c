#include "controller/model/read.h"
#include <stdio.h>
#include <time.h>

bool read_failed(const struct reader *r)
{
    return r->no_memory || json_failed(r->error);
}

void *read_array(struct reader *r, size_t n, size_t len)
{
    if (n == 0)
        return NULL;
    void *items = object_arena_array(r->arena, n, len);
    if (!items)
        r->no_memory = true;
    return items;
}

const char *read_copy(struct reader *r, struct text t)
{
    if (t.len == 0)
        return "";
    const char *copy = object_arena_text(r->arena, t);
    if (!copy)
        r->no_memory = true;
    return copy ? copy : "";
}

void read_where(const struct reader *r, const struct json *node, struct text_out *out)
{
    char text[JSON_ERROR_MAX], before[JSON_ERROR_MAX];
    struct text_out all = TEXT_OUT(text), object = TEXT_OUT(before);
    json_path(node, &all);
    json_path(r->document, &object);
    struct text path = {all.data, all.len}, prefix = {object.data, object.len};
    if (prefix.len > 0 && path.len > prefix.len && text_starts_with(path, prefix) &&
        path.data[prefix.len] == '.')
        path = (struct text){path.data + prefix.len + 1, path.len - prefix.len - 1};
    text_put(out, path);
}

const struct json *read_member(const struct json *of, const char *name)
{
    const struct json *j = json_is(of, JSON_OBJECT) ? json_member(of, text_of(name)) : NULL;
    return json_is(j, JSON_NULL) ? NULL : j;
}

static bool read_is(struct reader *r, const struct json *j, enum json_kind kind)
{
    if (!j)
        return false;
    if (json_is(j, kind))
        return true;
    read_fail(r, j, "is %s and must be %s", json_kind_name(json_kind(j)), json_kind_name(kind));
    return false;
}

const struct json *read_list(struct reader *r, const struct json *of, const char *name,
                             size_t n_max)
{
    const struct json *j = read_member(of, name);
    if (!read_is(r, j, JSON_ARRAY))
        return NULL;
    if (json_count(j) <= n_max)
        return j;
    read_fail(r, j, "has %zu items; at most %zu are allowed", json_count(j), n_max);
    return NULL;
}

const struct json *read_object(struct reader *r, const struct json *of, const char *name)
{
    const struct json *j = read_member(of, name);
    return read_is(r, j, JSON_OBJECT) ? j : NULL;
}

/* A value that YAML took for something else than its author meant gets the advice to quote it. */
static bool read_is_string(struct reader *r, const struct json *j)
{
    if (json_is(j, JSON_BOOL) || json_is(j, JSON_NUMBER)) {
        read_fail(r, j, "is %s and must be a string: put it into quotes",
                  json_kind_name(json_kind(j)));
        return false;
    }
    return read_is(r, j, JSON_STRING);
}

const char *read_string(struct reader *r, const struct json *of, const char *name)
{
    const struct json *j = read_member(of, name);
    return read_is_string(r, j) ? read_copy(r, json_text(j)) : "";
}

bool read_bool(struct reader *r, const struct json *of, const char *name, bool absent)
{
    const struct json *j = read_member(of, name);
    if (json_is(j, JSON_STRING)) {
        read_fail(r, j, "is a string and must be true or false: write it without quotes");
        return absent;
    }
    bool value = absent;
    if (read_is(r, j, JSON_BOOL))
        json_read_bool(j, "", &value, r->error);
    return value;
}

uint16_t read_port(struct reader *r, const struct json *of, const char *name)
{
    const struct json *j = read_member(of, name);
    int64_t value = 0;
    if (read_is(r, j, JSON_NUMBER))
        json_read_i64(j, "", 1, 65535, &value, r->error);
    return (uint16_t)value;
}

struct values read_strings(struct reader *r, const struct json *of, const char *name, size_t n_max)
{
    const struct json *list = read_list(r, of, name, n_max);
    const char **items = read_array(r, json_count(list), sizeof *items);
    struct values values = {items, 0};
    if (!items)
        return values;
    json_for_each (j, list) {
        if (!read_is_string(r, j)) {
            if (json_is(j, JSON_NULL))
                read_fail(r, j, "is null and must be a string");
            break;
        }
        if (json_text(j).len == 0) {
            read_fail(r, j, "is empty and would match nothing: remove it, or write a value");
            break;
        }
        items[values.n++] = read_copy(r, json_text(j));
    }
    return values;
}

struct labels read_labels(struct reader *r, const struct json *of, const char *name)
{
    return read_some_labels(r, of, name, NULL);
}

static bool is_kept(const char *const *kept, struct text name)
{
    for (; kept && *kept; kept++)
        if (text_equal(text_of(*kept), name))
            return true;
    return false;
}

struct labels read_some_labels(struct reader *r, const struct json *of, const char *name,
                               const char *const *kept)
{
    const struct json *map = read_object(r, of, name);
    size_t n = 0;
    json_for_each (j, map)
        n += !kept || is_kept(kept, json_name(j));
    struct object_label *items = read_array(r, n, sizeof *items);
    struct labels labels = {items, 0};
    json_for_each (j, map) {
        if (!json_is(j, JSON_NULL) && !read_is_string(r, j))
            break;
        if (!items || (kept && !is_kept(kept, json_name(j))))
            continue;
        items[labels.n++] =
            (struct object_label){read_copy(r, json_name(j)), read_copy(r, json_text(j))};
    }
    return labels;
}

bool read_ip(struct reader *r, const struct json *node, struct ip *ret)
{
    if (!read_is_string(r, node))
        return false;
    if (ip_parse(json_text(node), ret) == 0)
        return true;
    read_fail(r, node, "'%s' is no IP address, such as 10.1.2.3 or fd00::1", json_text(node).data);
    return false;
}

int64_t read_time(struct reader *r, const struct json *of, const char *name)
{
    const struct json *j = read_member(of, name);
    if (!read_is_string(r, j))
        return 0;
    struct tm tm = {0};
    int used = 0;
    const char *s = json_text(j).data;
    bool good = sscanf(s, "%4d-%2d-%2dT%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
                       &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &used) == 6 &&
                used == 19;
    int64_t offset_s = 0;
    if (good) {
        s += used;
        if (*s == '.')
            s += 1 + strspn(s + 1, "0123456789");
        int hours = 0, minutes = 0;
        char sign = *s;
        if (strcmp(s, "Z") == 0)
            sign = '+';
        else if ((sign == '+' || sign == '-') && strlen(s) == 6 &&
                 sscanf(s + 1, "%2d:%2d", &hours, &minutes) == 2)
            offset_s = (sign == '-' ? -1 : 1) * (hours * 3600L + minutes * 60L);
        else
            good = false;
    }
    if (!good) {
        read_fail(r, j, "'%s' is no time such as 2026-01-31T12:00:00Z", json_text(j).data);
        return 0;
    }
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    return timegm(&tm) - offset_s;
}

/* How many single-letter changes are between two names; both short, so the plain way will do. */
static size_t read_distance(struct text a, struct text b)
{
    enum { LEN_MAX = 40 };
    if (a.len > LEN_MAX || b.len > LEN_MAX)
        return LEN_MAX;
    size_t row[LEN_MAX + 1];
    for (size_t j = 0; j <= b.len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            size_t change = diagonal + (a.data[i - 1] != b.data[j - 1]);
            diagonal = row[j];
            size_t best = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;
            row[j] = change < best ? change : best;
        }
    }
    return row[b.len];
}

void read_only(struct reader *r, const struct json *of, const char *const *known)
{
    json_for_each (j, of) {
        const char *nearest = NULL;
        size_t nearest_distance = 4;
        const char *const *k = known;
        for (; *k && !text_equal(json_name(j), text_of(*k)); k++) {
            size_t distance = read_distance(json_name(j), text_of(*k));
            if (distance < nearest_distance) {
                nearest = *k;
                nearest_distance = distance;
            }
        }
        if (*k)
            continue;
        if (nearest)
            read_fail(r, j, "is not known here; did you mean %s?", nearest);
        else
            read_fail(r, j, "is not known here; remove it");
        return;
    }
}

static bool name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool name_is_label(struct text t, size_t len_max)
{
    if (t.len == 0 || t.len > len_max || !name_char(t.data[0]) || !name_char(t.data[t.len - 1]))
        return false;
    for (size_t i = 0; i < t.len; i++)
        if (!name_char(t.data[i]) && t.data[i] != '-')
            return false;
    return true;
}

const char *name_check_label(struct text t)
{
    return name_is_label(t, 63) ? NULL
                                : "must be 1 to 63 of a-z, 0-9 and '-', with no '-' at either end";
}

const char *name_check_subdomain(struct text t)
{
    static const char wrong[] =
        "must be 1 to 253 of a-z, 0-9, '-' and '.', with a letter or digit around each '.'";
    if (t.len == 0 || t.len > 253)
        return wrong;
    struct text rest = t, part;
    while (text_split(rest, '.', &part, &rest))
        if (!name_is_label(part, 253))
            return wrong;
    return name_is_label(rest, 253) ? NULL : wrong;
}
