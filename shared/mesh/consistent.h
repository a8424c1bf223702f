/*
 * Consistent hashing: tables from a hash to one of n hosts, of which few entries change when a host
 * comes or goes. The two that Envoy has, made entry by entry as Envoy makes them. Immutable once
 * built; owned by a balancer. Not for others than this folder.
 */
#ifndef SHARED_MESH_CONSISTENT_H
#define SHARED_MESH_CONSISTENT_H
#include "shared/base/text.h"

struct consistent_host {
    struct text key; /* "1.2.3.4:80", or the host's name; not empty */
    double weight;   /* above 0; only how they are to one another counts */
};
/* A ring (ketama): each host stands on it at hashes of "key_0", "key_1", ... */
struct ring_entry {
    uint64_t hash;
    uint32_t host;
};
struct ring {
    struct ring_entry *entries; /* in order of the hash */
    size_t n;
};
int ring_build(struct ring *r, const struct consistent_host *hosts, size_t n, uint64_t size_min,
               uint64_t size_max, bool murmur); /* -ENOMEM */
void ring_done(struct ring *r);
/* n > 0. attempt: 0, 1, ... where the host before it would not do. */
uint32_t ring_find(const struct ring *r, uint64_t hash, uint32_t attempt);

/* Maglev (Eisenbud et al., NSDI 2016, listing 1, with weights). */
struct maglev {
    uint32_t *entries;
    uint32_t n; /* a prime */
};
int maglev_build(struct maglev *m, const struct consistent_host *hosts, size_t n,
                 uint32_t table); /* -ENOMEM */
void maglev_done(struct maglev *m);
uint32_t maglev_find(const struct maglev *m, uint64_t hash, uint32_t attempt);
#endif
