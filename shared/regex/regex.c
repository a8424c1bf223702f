#include "shared/regex/regex.h"

#include "shared/regex/re2_door.h"

#include <errno.h>
#include <stdlib.h>

enum { GROUPS = 10 }; /* \0 to \9 */

/* RE2 does not outlive every allocation of its own that fails while it compiles. So it only begins
 * where twice what it may take can be had. */
static bool has_room(void)
{
    /* volatile: an optimizer believes that what is only compared and freed can always be had. */
    void *volatile room = malloc(2 * (size_t)REGEX_MEMORY_MAX);
    bool there = room != NULL;
    free(room);
    return there;
}

/* A struct regex is RE2's object, by another name. */
int regex_new(struct regex **ret, struct text source, char why[static WHY_MAX])
{
    char refusal[WHY_MAX] = "";
    void *re;

    if (source.len > REGEX_SOURCE_MAX)
        return why_say(-EINVAL, why, "a regular expression of %zu bytes, at most %d may be",
                       source.len, REGEX_SOURCE_MAX);
    if (!has_room())
        return why_say(-ENOMEM, why, "no memory");
    int e = re2_door_new(&re, source.len ? source.data : "", source.len, REGEX_MEMORY_MAX, refusal,
                         sizeof refusal);
    if (e < 0)
        return why_say(e, why, "%s", e == -ENOMEM ? "no memory" : refusal);
    *ret = re;
    return 0;
}

struct regex *regex_free(struct regex *r)
{
    if (r)
        re2_door_free(r);
    return NULL;
}

int regex_matches(const struct regex *r, struct text t)
{
    return re2_door_match(r, t.len ? t.data : "", t.len, 0, true, NULL, 0);
}

int regex_check_substitution(const struct regex *r, struct text substitution,
                             char why[static WHY_MAX])
{
    int groups = re2_door_groups(r);

    for (size_t i = 0; i < substitution.len; i++) {
        if (substitution.data[i] != '\\')
            continue;
        char c = ++i < substitution.len ? substitution.data[i] : '\0';
        if (c == '\\')
            continue;
        if (c < '0' || c > '9')
            return why_say(-EINVAL, why, "a backslash is followed by neither a digit nor another");
        if (c - '0' > groups)
            return why_say(-EINVAL, why, "speaks of group %c, and the expression has %d", c,
                           groups);
    }
    return 0;
}

static void put_substitution(struct text_out *o, struct text s, const struct re2_span *groups,
                             int n)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] != '\\' || i + 1 == s.len) {
            text_put(o, (struct text){s.data + i, 1});
            continue;
        }
        i++;
        int group = s.data[i] - '0';
        if (group >= 0 && group < n)
            text_put(o, (struct text){groups[group].data, groups[group].len});
        else if (group < 0 || group >= GROUPS)
            text_put(o, (struct text){s.data + i, 1});
    }
}

/* How many bytes the character at the front has; 1 where it is no UTF-8. */
static size_t step(struct text t)
{
    unsigned char c = (unsigned char)t.data[0];
    size_t n = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;
    return n <= t.len && text_is_utf8((struct text){t.data, n}) ? n : 1;
}

int regex_replace(const struct regex *r, struct text t, struct text substitution,
                  struct text_out *ret)
{
    struct re2_span groups[GROUPS];
    int found = 1, n = re2_door_groups(r) + 1;
    size_t at = 0, last_end = SIZE_MAX;

    if (n > GROUPS)
        n = GROUPS;
    if (t.len == 0)
        t.data = "";
    while (at <= t.len && !ret->overflow) {
        found = re2_door_match(r, t.data, t.len, at, false, groups, n);
        if (found != 1)
            break;
        size_t begin = (size_t)(groups[0].data - t.data);
        text_put(ret, (struct text){t.data + at, begin - at});
        if (begin == last_end && groups[0].len == 0) {
            /* Not an empty match where the last one ended: one character further. */
            size_t skipped = begin < t.len ? step((struct text){t.data + begin, t.len - begin}) : 1;
            text_put(ret, (struct text){t.data + begin, begin < t.len ? skipped : 0});
            at = begin + skipped;
            continue;
        }
        put_substitution(ret, substitution, groups, n);
        at = last_end = begin + groups[0].len;
    }
    if (found < 0)
        return found;
    if (at < t.len)
        text_put(ret, (struct text){t.data + at, t.len - at});
    return ret->overflow ? -ENOBUFS : 0;
}
