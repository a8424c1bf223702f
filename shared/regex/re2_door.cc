#include "shared/regex/re2_door.h"

#include <cerrno>
#include <cstring>
#include <re2/re2.h>

using re2::RE2;
using re2::StringPiece;

enum { GROUPS_MAX = 10 };

int re2_door_new(void **ret, const char *source, size_t len, size_t memory_max, char *error,
                 size_t error_size)
{
    try {
        RE2::Options options(RE2::Quiet);
        options.set_max_mem(static_cast<int64_t>(memory_max));
        RE2 *re = new RE2(StringPiece(source, len), options);
        if (re->ok()) {
            *ret = re;
            return 0;
        }
        strncpy(error, re->error().c_str(), error_size - 1);
        error[error_size - 1] = '\0';
        delete re;
        return -EINVAL;
    } catch (...) { /* std::bad_alloc; the rest of what a library may throw comes to the same */
        return -ENOMEM;
    }
}

void re2_door_free(void *re)
{
    delete static_cast<RE2 *>(re);
}

int re2_door_groups(const void *re)
{
    return static_cast<const RE2 *>(re)->NumberOfCapturingGroups();
}

int re2_door_match(const void *re, const char *text, size_t len, size_t at, bool whole,
                   struct re2_span *ret_groups, int n)
{
    StringPiece groups[GROUPS_MAX];

    if (n > GROUPS_MAX)
        n = GROUPS_MAX;
    try {
        if (!static_cast<const RE2 *>(re)->Match(StringPiece(text, len), at, len,
                                                 whole ? RE2::ANCHOR_BOTH : RE2::UNANCHORED,
                                                 n ? groups : nullptr, n))
            return 0;
    } catch (...) {
        return -ENOMEM;
    }
    for (int i = 0; i < n; i++)
        ret_groups[i] = {groups[i].data(), groups[i].size()};
    return 1;
}
