#include "controller/serve/name_queue.h"
#include <errno.h>
#include <stdlib.h>

static char present; /* the value of sets */

void name_queue_init(struct name_queue *q)
{
    *q = (struct name_queue){0};
    map_init(&q->set, 0);
}

void name_queue_done(struct name_queue *q)
{
    name_queue_pop(q, q->n);
    free(q->items);
    map_done(&q->set, NULL);
    name_queue_init(q);
}

int name_queue_push(struct name_queue *q, const char *name)
{
    if (map_get(&q->set, text_of(name)))
        return 0;
    if (q->n == q->size) {
        size_t size = q->size ? 2 * q->size : 16;
        char **items = realloc(q->items, size * sizeof(char *));
        if (!items)
            return -ENOMEM;
        q->items = items;
        q->size = size;
    }
    char *copy = text_dup(text_of(name));
    if (!copy)
        return -ENOMEM;
    if (map_put(&q->set, text_of(name), &present, NULL) < 0) {
        free(copy);
        return -ENOMEM;
    }
    q->items[q->n++] = copy;
    return 0;
}

void name_queue_pop(struct name_queue *q, size_t n)
{
    for (; n > 0 && q->begin < q->n; n--) {
        char *name = q->items[q->begin++];
        map_remove(&q->set, text_of(name));
        free(name);
    }
    if (q->begin == q->n)
        q->begin = q->n = 0;
}
