/*
 * What is served now: all resources by type and name, and the order in which they changed. That
 * order is one log per type in which each name stands once, at its latest change: a client is a
 * number in it (how far it was told), so a slow client costs nothing and gets the latest state of
 * each name only. Removed names stay as graves until every client was told of them, at most
 * GRAVES_MAX. One thread. Owns the resources.
 */
#ifndef CONTROLLER_SERVE_CATALOG_H
#define CONTROLLER_SERVE_CATALOG_H
#include "controller/translate/translate.h"
#include "shared/base/map.h"

enum { GRAVES_MAX = 100000 };
struct catalog_entry {
    struct resource *resource; /* NULL: a grave */
    /* Of a grave of a type that outlives its name for a while (XDS_CLUSTER): what it was. */
    struct resource *buried;
    char *name;
    uint64_t sequence; /* of its latest change */
    bool for_all;      /* it was one that is not told by its name only */
};
struct catalog_group { /* entries that share an alias or a service */
    struct catalog_entry **items;
    size_t n, size;
};
struct catalog_change {
    uint64_t sequence;
    struct catalog_entry *entry; /* NULL: it changed again, or its grave was forgotten */
};
struct catalog_log {
    struct catalog_change *items; /* ascending by sequence */
    size_t n, size, n_void, n_graves;
    /* graves up to here are gone: who was not told of them can't be told any more */
    uint64_t forgotten;
};
struct catalog {
    uint64_t sequence; /* of the latest change; 0: none yet */
    struct map entries[XDS_TYPE_COUNT];
    struct catalog_log logs[XDS_TYPE_COUNT];
    struct map aliases[XDS_TYPE_COUNT]; /* alias -> catalog_group */
    struct map members; /* name of a service -> catalog_group of the workloads that serve it */
};
void catalog_init(struct catalog *c);
void catalog_done(struct catalog *c);
/* Puts, if it differs from what is there. -ENOMEM: the old stays. Takes the resource in every
 * case. */
int catalog_put(struct catalog *c, struct resource *taken_resource);
int catalog_remove(struct catalog *c, enum xds_type type, struct text name); /* -ENOENT, -ENOMEM */
/* Makes the catalog hold exactly these; what is equal does not change. -ENOMEM: a part of it was
 * done; doing it again does the rest. *ret_changed counts puts and removals. Takes all of
 * `taken`. */
int catalog_replace(struct catalog *c, struct resources *taken, size_t *ret_changed);
const struct resource *catalog_get(const struct catalog *c, enum xds_type type,
                                   struct text name); /* NULL: absent */
size_t catalog_count(const struct catalog *c, enum xds_type type);
const struct catalog_group *catalog_by_alias(const struct catalog *c, enum xds_type type,
                                             struct text alias); /* NULL: none */
const struct catalog_group *catalog_members(const struct catalog *c, struct text service);
/* Changes after a sequence: an index to begin with, then one entry after the other until NULL. */
size_t catalog_after(const struct catalog *c, enum xds_type type, uint64_t sequence);
const struct catalog_entry *catalog_next(const struct catalog *c, enum xds_type type,
                                         size_t *index);
/* Every client was told of everything up to here. */
void catalog_forget(struct catalog *c, enum xds_type type, uint64_t sequence);
#endif
