#include "shared/mesh/text_match.h"

#include <string.h>
#include <strings.h>

static bool same_bytes(const char *a, const char *b, size_t len, bool ignore_case)
{
    struct text left = {a, len}, right = {b, len};
    return ignore_case ? text_equal_nocase(left, right) : text_equal(left, right);
}

static bool contains(struct text t, struct text part, bool ignore_case)
{
    if (part.len == 0 || t.len < part.len)
        return part.len == 0;
    if (!ignore_case)
        return memmem(t.data, t.len, part.data, part.len) != NULL;
    for (size_t at = 0; at + part.len <= t.len; at++) {
        if (same_bytes(t.data + at, part.data, part.len, true))
            return true;
    }
    return false;
}

int text_matches(const struct text_match *m, struct text t)
{
    struct text v = m->value;

    switch (m->kind) {
    case TEXT_EXACT:
        return t.len == v.len && same_bytes(t.data, v.data, v.len, m->ignore_case);
    case TEXT_PREFIX:
        return t.len >= v.len && same_bytes(t.data, v.data, v.len, m->ignore_case);
    case TEXT_SUFFIX:
        return t.len >= v.len &&
               same_bytes(t.data + (t.len - v.len), v.data, v.len, m->ignore_case);
    case TEXT_CONTAINS:
        return contains(t, v, m->ignore_case);
    case TEXT_REGEX:
        return regex_matches(m->regex, t);
    }
    return 0;
}

bool labels_include(const struct label *labels, size_t n, const struct label *wanted,
                    size_t n_wanted)
{
    for (size_t w = 0; w < n_wanted; w++) {
        bool found = false;
        for (size_t i = 0; i < n && !found; i++)
            found = text_equal(labels[i].name, wanted[w].name) &&
                    text_equal(labels[i].value, wanted[w].value);
        if (!found)
            return false;
    }
    return true;
}
