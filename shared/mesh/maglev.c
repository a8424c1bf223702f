#include "shared/mesh/consistent.h"
#include "shared/mesh/hash64.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

enum { FREE = UINT32_MAX };

/*
 * The paper goes round and round through all hosts, and a host of a third of the greatest weight
 * has its turn in each third round. Here each host knows its next round, and a heap the host that is
 * next: the same turns, and rounds in which few have one cost nothing.
 */
struct turn {
    uint64_t round;
    uint32_t host;
    uint32_t at, skip; /* where it looks for a place, and how far it goes if there is none */
    double weight, target;
};

static bool sooner(const struct turn *a, const struct turn *b)
{
    return a->round != b->round ? a->round < b->round : a->host < b->host;
}

static void sink(struct turn *heap, size_t n, size_t i)
{
    for (;;) {
        size_t least = i, left = 2 * i + 1;
        for (size_t child = left; child < n && child <= left + 1; child++) {
            if (sooner(&heap[child], &heap[least]))
                least = child;
        }
        if (least == i)
            return;
        struct turn t = heap[i];
        heap[i] = heap[least];
        heap[least] = t;
        i = least;
    }
}

/* The first round after this one in which round * weight has come up to the target. */
static uint64_t next_round(const struct turn *t)
{
    uint64_t round = (uint64_t)(t->target / t->weight);

    round = round > t->round + 1 ? round - 1 : t->round + 1;
    while ((double)round * t->weight < t->target)
        round++;
    return round;
}

static void take_place(struct maglev *m, struct turn *t)
{
    while (m->entries[t->at] != FREE)
        t->at = (uint32_t)(((uint64_t)t->at + t->skip) % m->n);
    m->entries[t->at] = t->host;
}

int maglev_build(struct maglev *m, const struct consistent_host *hosts, size_t n, uint32_t table)
{
    struct turn *heap = calloc(n + 1, sizeof *heap);
    uint32_t *entries = malloc(table * sizeof *entries);
    double sum = 0, most = 0;

    *m = (struct maglev){.entries = entries, .n = n > 0 ? table : 0};
    if (!heap || !entries) {
        free(heap);
        maglev_done(m);
        return -ENOMEM;
    }
    for (size_t i = 0; i < n; i++)
        sum += hosts[i].weight;
    for (size_t i = 0; i < n; i++) {
        double weight = hosts[i].weight / sum;
        most = fmax(most, weight);
        heap[i] = (struct turn){
            .round = 1,
            .host = (uint32_t)i,
            .at = (uint32_t)(hash64_xx(hosts[i].key, 0) % table),
            .skip = (uint32_t)(hash64_xx(hosts[i].key, 1) % (table - 1)) + 1,
            .weight = weight,
        };
    }
    memset(entries, 0xff, table * sizeof *entries);
    for (uint32_t placed = 0; placed < m->n; placed++) {
        take_place(m, &heap[0]);
        heap[0].target += most;
        heap[0].round = next_round(&heap[0]);
        sink(heap, n, 0);
    }
    free(heap);
    return 0;
}

void maglev_done(struct maglev *m)
{
    free(m->entries);
    *m = (struct maglev){0};
}

uint32_t maglev_find(const struct maglev *m, uint64_t hash, uint32_t attempt)
{
    if (attempt > 0)
        hash ^= ~(uint64_t)0 - attempt + 1;
    return m->entries[hash % m->n];
}
