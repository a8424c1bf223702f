#include "shared/mesh/hash64.h"

static const uint64_t prime[] = {0,
                                 0x9E3779B185EBCA87,
                                 0xC2B2AE3D27D4EB4F,
                                 0x165667B19E3779F9,
                                 0x85EBCA77C2B2AE63,
                                 0x27D4EB2F165667C5};

static uint64_t rotate(uint64_t x, int n)
{
    return x << n | x >> (64 - n);
}

/* n bytes, the lowest first. */
static uint64_t read_bytes(const char *at, size_t n)
{
    uint64_t value = 0;
    for (size_t i = n; i > 0; i--)
        value = value << 8 | (unsigned char)at[i - 1];
    return value;
}

static uint64_t round_of(uint64_t accumulator, uint64_t lane)
{
    return rotate(accumulator + lane * prime[2], 31) * prime[1];
}

static uint64_t stripes(const char **at, size_t *left, uint64_t seed)
{
    uint64_t a[4] = {seed + prime[1] + prime[2], seed + prime[2], seed, seed - prime[1]};

    for (; *left >= 32; *at += 32, *left -= 32) {
        for (size_t i = 0; i < 4; i++)
            a[i] = round_of(a[i], read_bytes(*at + 8 * i, 8));
    }
    uint64_t h = rotate(a[0], 1) + rotate(a[1], 7) + rotate(a[2], 12) + rotate(a[3], 18);
    for (size_t i = 0; i < 4; i++)
        h = (h ^ round_of(0, a[i])) * prime[1] + prime[4];
    return h;
}

uint64_t hash64_xx(struct text t, uint64_t seed)
{
    const char *at = t.data;
    size_t left = t.len;
    uint64_t h = left >= 32 ? stripes(&at, &left, seed) : seed + prime[5];

    h += t.len;
    for (; left >= 8; at += 8, left -= 8)
        h = rotate(h ^ round_of(0, read_bytes(at, 8)), 27) * prime[1] + prime[4];
    if (left >= 4) {
        h = rotate(h ^ read_bytes(at, 4) * prime[1], 23) * prime[2] + prime[3];
        at += 4;
        left -= 4;
    }
    for (; left > 0; at++, left--)
        h = rotate(h ^ (unsigned char)*at * prime[5], 11) * prime[1];
    h = (h ^ h >> 33) * prime[2];
    h = (h ^ h >> 29) * prime[3];
    return h ^ h >> 32;
}

uint64_t hash64_murmur(struct text t)
{
    const uint64_t m = 0xc6a4a7935bd1e995, seed = 0xc70f6907;
    const char *at = t.data;
    size_t left = t.len;
    uint64_t h = seed ^ t.len * m;

    for (; left >= 8; at += 8, left -= 8) {
        uint64_t k = read_bytes(at, 8) * m;
        h = (h ^ (k ^ k >> 47) * m) * m;
    }
    if (left > 0)
        h = (h ^ read_bytes(at, left)) * m;
    h = (h ^ h >> 47) * m;
    return h ^ h >> 47;
}
