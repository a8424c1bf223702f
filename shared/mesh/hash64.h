/*
 * The two hashes of texts that consistent hashing is agreed upon with (Envoy, gRPC): xxHash64
 * (https://github.com/Cyan4973/xxHash, doc/xxhash_spec.md) and MurmurHash2, 64 bits. For tables that
 * others build alike, not for tables that somebody could want to fill with collisions.
 */
#ifndef SHARED_MESH_HASH64_H
#define SHARED_MESH_HASH64_H
#include "shared/base/text.h"

uint64_t hash64_xx(struct text t, uint64_t seed);
uint64_t hash64_murmur(struct text t); /* seeded as libstdc++'s std::hash, as Envoy's is */
#endif
