#include "shared/mesh/edf.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

static bool sooner(const struct edf_entry *a, const struct edf_entry *b)
{
    return a->deadline != b->deadline ? a->deadline < b->deadline : a->order < b->order;
}

static void swap(struct edf_entry *a, struct edf_entry *b)
{
    struct edf_entry t = *a;
    *a = *b;
    *b = t;
}

int edf_init(struct edf *e, size_t n_max)
{
    *e = (struct edf){.heap = malloc((n_max + 1) * sizeof *e->heap)};
    return e->heap ? 0 : -ENOMEM;
}

void edf_done(struct edf *e)
{
    free(e->heap);
    *e = (struct edf){0};
}

void edf_add(struct edf *e, uint32_t item, double deadline)
{
    size_t i = e->n++;

    e->heap[i] = (struct edf_entry){deadline, e->orders++, item};
    for (; i > 0 && sooner(&e->heap[i], &e->heap[(i - 1) / 2]); i = (i - 1) / 2)
        swap(&e->heap[i], &e->heap[(i - 1) / 2]);
}

void edf_taken(struct edf *e, double weight)
{
    size_t i = 0;

    e->heap[0].deadline += 1 / weight;
    e->heap[0].order = e->orders++;
    for (;;) {
        size_t least = i, left = 2 * i + 1;
        for (size_t child = left; child < e->n && child <= left + 1; child++) {
            if (sooner(&e->heap[child], &e->heap[least]))
                least = child;
        }
        if (least == i)
            return;
        swap(&e->heap[i], &e->heap[least]);
        i = least;
    }
}
