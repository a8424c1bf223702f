#include "shared/mesh/kept_regex.h"

#include <errno.h>

int kept_regex_add(struct kept_regex **list, struct arena *a, struct text source, size_t n_max,
                   const struct regex **ret, char why[static WHY_MAX])
{
    if (*ret)
        return 0;
    if (*list && (*list)->n >= n_max)
        return why_say(-EINVAL, why, "more than %zu regular expressions", n_max);
    struct kept_regex *k = arena_take(a, sizeof *k);
    if (!k)
        return why_say(-ENOMEM, why, "no memory");
    int e = regex_new(&k->regex, source, why);
    if (e < 0)
        return e;
    k->next = *list;
    k->n = *list ? (*list)->n + 1 : 1;
    *list = k;
    *ret = k->regex;
    return 0;
}

void kept_regex_done(struct kept_regex **list)
{
    for (struct kept_regex *k = *list; k; k = k->next)
        regex_free(k->regex);
    *list = NULL;
}
