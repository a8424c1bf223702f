/*
 * Which of many texts does a given text begin with? One binary search finds the longest one, the
 * others are its ancestors: of sorted texts, those that are a prefix of t are all prefixes of the
 * greatest one that is not greater than t. Each text has two lists of numbers, in rising order.
 * ASCII letters count without their case. In an arena, immutable; built by who owns that. Not for
 * others than this folder.
 */
#ifndef SHARED_MESH_PREFIX_INDEX_H
#define SHARED_MESH_PREFIX_INDEX_H
#include "shared/base/arena.h"

enum { PREFIX_LISTS = 2, PREFIX_NONE = UINT32_MAX };
struct number_list {
    const uint32_t *items;
    uint32_t n;
};
struct prefix_node {
    struct text text; /* lower case */
    uint32_t parent;  /* the longest other text that this one begins with, or PREFIX_NONE */
    struct number_list lists[PREFIX_LISTS];
};
struct prefix_index {
    struct prefix_node *nodes;
    uint32_t n;
};
struct prefix_entry {
    struct text text;
    uint32_t number;
    uint8_t list;
};
/* Sorts the entries, too. Texts are copied. -ENOMEM: the arena is full or there is no memory. */
int prefix_index_build(struct prefix_index *x, struct arena *a, struct prefix_entry *entries,
                       size_t n);
/* The longest that t begins with, or PREFIX_NONE. */
uint32_t prefix_index_find(const struct prefix_index *x, struct text t);
#endif
