/*
 * Who has how many of the places for sidecars: a namespace may have as many as are left to all others, so that the first one has
 * half of them and there always are some for one that comes later, whoever holds on to what it has. Owned by the server; one
 * thread. Bounded by the places: only who has one is remembered.
 */
#ifndef CONTROLLER_SERVE_SIDECAR_PLACES_H
#define CONTROLLER_SERVE_SIDECAR_PLACES_H
#include "shared/base/map.h"

struct sidecar_places {
    struct map of; /* namespace -> how many, never 0 */
    size_t n, max;
};
void sidecar_places_init(struct sidecar_places *p, size_t max);
void sidecar_places_done(struct sidecar_places *p);
/* False: it has its share, or there is no memory. */
bool sidecar_places_take(struct sidecar_places *p, struct text ns);
void sidecar_places_give(struct sidecar_places *p, struct text ns); /* one that was taken */
#endif
