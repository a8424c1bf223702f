#include "controller/model/object_part.h"

void *part_take(struct part_making *m, size_t n, size_t len)
{
    void *items = n > 0 ? object_arena_array(&m->part->arena, n, len) : NULL;
    m->no_memory |= n > 0 && !items;
    return items;
}

const char *part_text(struct part_making *m, const char *text)
{
    const char *made = object_arena_text(&m->part->arena, text_of(text));
    m->no_memory |= !made;
    return made ? made : "";
}

struct labels part_labels(struct part_making *m, const struct labels *from)
{
    struct object_label *items = part_take(m, from->n, sizeof *items);
    struct labels made = {items, 0};
    for (size_t i = 0; items && i < from->n; i++)
        items[made.n++] =
            (struct object_label){part_text(m, from->items[i].key), part_text(m, from->items[i].value)};
    return made;
}

struct values part_values(struct part_making *m, const struct values *from)
{
    const char **items = part_take(m, from->n, sizeof *items);
    struct values made = {items, 0};
    for (size_t i = 0; items && i < from->n; i++)
        items[made.n++] = part_text(m, from->items[i]);
    return made;
}

const struct ip *part_addresses(struct part_making *m, const struct ip *from, size_t n)
{
    struct ip *made = part_take(m, n, sizeof *made);
    if (made)
        memcpy(made, from, n * sizeof *made);
    return made;
}
