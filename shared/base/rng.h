/*
 * Pseudo-random numbers from a seed (xoshiro256**), for choices that need no secrecy: endpoints,
 * jitter, simulation. One per thread. rng_seed_os() seeds from the operating system; keys, serials
 * and tokens never come from here but from rng_os().
 */
#ifndef SHARED_BASE_RNG_H
#define SHARED_BASE_RNG_H
#include <stddef.h>
#include <stdint.h>

struct rng {
    uint64_t s[4];
};
void rng_seed(struct rng *r, uint64_t seed);
int rng_seed_os(struct rng *r);
uint64_t rng_u64(struct rng *r);
uint64_t rng_below(struct rng *r, uint64_t bound); /* 0 .. bound-1, unbiased; bound > 0 */
uint64_t rng_jitter(struct rng *r, uint64_t value, unsigned percent); /* value +- percent */
int rng_os(void *out, size_t len);                                    /* getrandom(2); -errno */
#endif
