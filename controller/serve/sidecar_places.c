#include "controller/serve/sidecar_places.h"

#include <assert.h>
#include <stdlib.h>

void sidecar_places_init(struct sidecar_places *p, size_t max)
{
    *p = (struct sidecar_places){.max = max};
    map_init(&p->of, max);
}

void sidecar_places_done(struct sidecar_places *p)
{
    map_done(&p->of, free);
}

bool sidecar_places_take(struct sidecar_places *p, struct text ns)
{
    size_t *its = map_get(&p->of, ns);
    if (p->n >= p->max || (its && *its >= p->max - p->n))
        return false;
    if (!its) {
        its = calloc(1, sizeof *its);
        if (!its || map_put(&p->of, ns, its, NULL) < 0) {
            free(its);
            return false;
        }
    }
    ++*its;
    p->n++;
    return true;
}

void sidecar_places_give(struct sidecar_places *p, struct text ns)
{
    size_t *its = map_get(&p->of, ns);
    assert(its && *its > 0 && p->n > 0);
    p->n--;
    if (--*its == 0)
        free(map_remove(&p->of, ns));
}
