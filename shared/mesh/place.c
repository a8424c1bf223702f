#include "shared/mesh/place.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

static void put(struct text_out *o, const struct place *p)
{
    if (!p)
        return;
    put(o, p->in);
    text_printf(o, "%s%s", p->in ? "." : "", p->name);
    if (p->index != PLACE_SINGLE)
        text_printf(o, "[%zu]", p->index);
}

int place_refuse(const struct place *p, char why[static WHY_MAX], const char *format, ...)
{
    struct text_out o = {why, 0, WHY_MAX, false};
    char sentence[WHY_MAX];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    why[0] = '\0';
    put(&o, p);
    text_printf(&o, "%s%s", p ? ": " : "", sentence);
    return -EINVAL;
}

int place_no_memory(char why[static WHY_MAX])
{
    return why_say(-ENOMEM, why, "no memory");
}

int place_count(const struct place *p, size_t n, size_t max, char why[static WHY_MAX])
{
    if (n > max)
        return place_refuse(p, why, "there are %zu, at most %zu may be", n, max);
    return 0;
}
