#include "shared/base/rng.h"

#include <assert.h>
#include <errno.h>
#include <sys/random.h>

/* splitmix64: spreads one seed over the whole state, as the authors of xoshiro advise. */
static uint64_t splitmix(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

void rng_seed(struct rng *r, uint64_t seed)
{
    for (int i = 0; i < 4; i++)
        r->s[i] = splitmix(&seed);
}

int rng_seed_os(struct rng *r)
{
    uint64_t seed;
    int e = rng_os(&seed, sizeof seed);
    if (e < 0)
        return e;
    rng_seed(r, seed);
    return 0;
}

static uint64_t rotl(uint64_t x, int k)
{
    return x << k | x >> (64 - k);
}

uint64_t rng_u64(struct rng *r)
{
    uint64_t *s = r->s;
    uint64_t result = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

/* Lemire, "Fast Random Integer Generation in an Interval": one multiplication, rarely a second
 * draw. */
uint64_t rng_below(struct rng *r, uint64_t bound)
{
    assert(bound > 0);
    unsigned __int128 product = (unsigned __int128)rng_u64(r) * bound;
    if ((uint64_t)product < bound) {
        uint64_t unfair = -bound % bound;
        while ((uint64_t)product < unfair)
            product = (unsigned __int128)rng_u64(r) * bound;
    }
    return (uint64_t)(product >> 64);
}

uint64_t rng_jitter(struct rng *r, uint64_t value, unsigned percent)
{
    if (percent > 100)
        percent = 100;
    uint64_t span = (uint64_t)((unsigned __int128)value * percent / 100);
    if (span == 0)
        return value;
    uint64_t low = value - span;
    uint64_t width = span > UINT64_MAX / 2 ? UINT64_MAX : span * 2 + 1;
    uint64_t more = rng_below(r, width);
    return more > UINT64_MAX - low ? UINT64_MAX : low + more;
}

int rng_os(void *out, size_t len)
{
    unsigned char *to = out;
    while (len > 0) {
        ssize_t n = getrandom(to, len, 0);
        if (n < 0) {
            if (errno == EINTR)
                continue;
            return -errno;
        }
        to += n;
        len -= (size_t)n;
    }
    return 0;
}
