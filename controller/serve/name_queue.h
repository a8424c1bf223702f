/*
 * Names that are due to be told to a client, in the order in which they became due. It never holds a
 * name twice. Owned by one interest; bounded by the names that its owner lets in.
 */
#ifndef CONTROLLER_SERVE_NAME_QUEUE_H
#define CONTROLLER_SERVE_NAME_QUEUE_H
#include "shared/base/map.h"

struct name_queue {
    char **items; /* owned; from `begin` up to `n` */
    size_t begin, n, size;
    struct map set;
};
void name_queue_init(struct name_queue *q);
void name_queue_done(struct name_queue *q);
int name_queue_push(struct name_queue *q, const char *name); /* -ENOMEM */
void name_queue_pop(struct name_queue *q, size_t n);         /* the oldest */
static inline bool name_queue_empty(const struct name_queue *q)
{
    return q->begin == q->n;
}
#endif
