/*
 * Keeps the catalog equal to what the store's objects become. Follows the store change by change: each
 * run translates again what the changes since the last one have touched. The first run, one after a
 * lack of memory, and one after so many changes that it is cheaper, translate all. Owned by whoever
 * embeds it; one thread; bounded by the store.
 */
#ifndef CONTROLLER_SERVE_PROJECTION_H
#define CONTROLLER_SERVE_PROJECTION_H
#include "controller/model/problem_index.h"
#include "controller/serve/catalog.h"
#include "controller/translate/touched.h"

struct projection {
    struct object_store *store;
    struct catalog *catalog;
    const struct translate_settings *settings;
    struct view view; /* while it follows */
    bool following;
    struct touched touched;
    struct map pieces;        /* object_key() -> what was made of an object, if it is anything */
    struct map put;           /* names of resources that this run has put */
    struct problems problems; /* of the translation as it stands, in its order: for people */
    struct problem_index told; /* all of them, by object; the pieces' own */
    bool problems_changed;     /* since they were put together */
    size_t tables_bytes;       /* of all route tables that somebody wrote */
    size_t n_short;            /* Services and Gateways with tables that there was no room for */
    size_t n_complaining;     /* pieces with problems */
    uint64_t runs, wholes;
    size_t translated; /* objects, in the last run */
};
/* Takes the store's `changed` for itself. */
void projection_init(struct projection *p, struct object_store *store, struct catalog *catalog,
                     const struct translate_settings *settings);
void projection_done(struct projection *p);
/* *ret_changed: resources that are others. -ENOMEM: run it again; what is served is old, or partly
 * new. */
int projection_run(struct projection *p, size_t *ret_changed);
/* What is told of each object as it stands, however many others have problems; until the next run. NULL:
 * nobody knows just now. */
const struct problem_index *projection_told(struct projection *p);
#endif
