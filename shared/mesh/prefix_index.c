#include "shared/mesh/prefix_index.h"

#include <errno.h>
#include <stdlib.h>

/* The length of what both begin with; b is in lower case. */
static size_t common(struct text a, struct text b)
{
    size_t most = a.len < b.len ? a.len : b.len, i = 0;
    while (i < most && text_lower(a.data[i]) == b.data[i])
        i++;
    return i;
}

/* b is in lower case; *ret_common as above. */
static int compare(struct text a, struct text b, size_t *ret_common)
{
    size_t i = *ret_common = common(a, b);
    if (i == a.len || i == b.len)
        return a.len < b.len ? -1 : a.len > b.len;
    return (unsigned char)text_lower(a.data[i]) < (unsigned char)b.data[i] ? -1 : 1;
}

static int by_text(const void *left, const void *right)
{
    const struct prefix_entry *a = left, *b = right;
    size_t same;
    int order = compare(a->text, b->text, &same);
    if (order == 0)
        order = (a->list > b->list) - (a->list < b->list);
    return order ? order : (a->number > b->number) - (a->number < b->number);
}

static bool starts_with(struct text t, struct text start)
{
    return common(t, start) == start.len;
}

static bool lower_copies(struct arena *a, struct prefix_entry *entries, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct text copy = arena_text(a, entries[i].text);
        if (!copy.data)
            return false;
        char *at = (char *)(uintptr_t)copy.data;
        for (size_t c = 0; c < copy.len; c++)
            at[c] = text_lower(at[c]);
        entries[i].text = copy;
    }
    return true;
}

int prefix_index_build(struct prefix_index *x, struct arena *a, struct prefix_entry *entries,
                       size_t n)
{
    *x = (struct prefix_index){0};
    if (n == 0)
        return 0;
    if (!lower_copies(a, entries, n))
        return -ENOMEM;
    qsort(entries, n, sizeof *entries, by_text);
    struct prefix_node *nodes = arena_zero(a, n, sizeof *nodes);
    uint32_t *numbers = arena_take(a, n * sizeof *numbers);
    if (!nodes || !numbers)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        const struct prefix_entry *e = &entries[i];
        if (x->n == 0 || !text_equal(nodes[x->n - 1].text, e->text)) {
            uint32_t up = x->n ? x->n - 1 : PREFIX_NONE;
            while (up != PREFIX_NONE && !starts_with(e->text, nodes[up].text))
                up = nodes[up].parent;
            nodes[x->n++] = (struct prefix_node){.text = e->text, .parent = up};
        }
        struct number_list *list = &nodes[x->n - 1].lists[e->list];
        numbers[i] = e->number;
        if (list->n++ == 0)
            list->items = &numbers[i];
    }
    x->nodes = nodes;
    return 0;
}

uint32_t prefix_index_find(const struct prefix_index *x, struct text t)
{
    uint32_t low = 0, high = x->n, at = PREFIX_NONE;
    size_t shared, shared_at = 0;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (compare(t, x->nodes[middle].text, &shared) < 0) {
            high = middle;
        } else {
            low = middle + 1;
            at = middle;
            shared_at = shared;
        }
    }
    while (at != PREFIX_NONE && x->nodes[at].text.len > shared_at)
        at = x->nodes[at].parent;
    return at;
}
