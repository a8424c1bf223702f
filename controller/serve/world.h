/*
 * What one client wants to know of one type of resources, and how far it was told, where it is told
 * as the state of the world (xDS protocol, "State of the World"). Of Listener and Cluster each
 * response is everything that the client asks for, and what is missing in it is gone; of the others
 * it is what the client lacks. A machine; owned by its stream. Bounded: names, and the
 * bytes of a response.
 *
 * Of Listeners a client of a namespace with routes of its own is told its own, under the name of the one
 * for everybody.
 *
 * A Cluster that is gone is told on until removals are: by then the client was told of routes that
 * don't need it (make before break).
 */
#ifndef CONTROLLER_SERVE_WORLD_H
#define CONTROLLER_SERVE_WORLD_H
#include "controller/serve/asker.h"
#include "controller/serve/interest.h"
#include "shared/xds/sotw.h"

enum { WORLD_BYTES_MAX = 16 * 1024 * 1024 }; /* of a response; node proxies read no longer messages */
struct world {
    enum xds_type type;
    const struct asker *asker; /* whom it is; borrowed. NULL: nobody in particular */
    bool started; /* the client asked for this type */
    bool named;   /* it said names once: none any more means none */
    bool wildcard;
    bool must_answer;              /* even if nothing changed */
    bool removed;                  /* something that it was told is gone */
    uint64_t puts_at, removals_at; /* places in the log */
    struct map names;              /* asked for */
    struct name_queue due;         /* of a type that is told in parts */
};
void world_init(struct world *w, enum xds_type type, size_t names_max);
void world_done(struct world *w);
bool world_is_whole(enum xds_type type); /* each response is all there is */
/* Takes in the names that a request asks for, all of them. -ENOMEM; -ENOSPC: too many names;
 * -EINVAL: an unfit name. */
int world_request(struct world *w, const struct catalog *c, const struct sotw_request *request);
/* One response of what is to be told now. Borrows from the catalog: it is good until that changes.
 * Nothing counts as told before world_told(). */
struct world_answer {
    const struct resource **items;
    size_t n, bytes;
    size_t due; /* names taken from the queue */
    bool removals;
};
/* removals false: what is gone may be in it still. 1: there is something to send, 0: nothing;
 * -ENOMEM; -EMSGSIZE: all that the client asks for is more than WORLD_BYTES_MAX. */
int world_answer(struct world *w, const struct catalog *c, bool removals, struct world_answer *ret);
void world_told(struct world *w, const struct catalog *c, const struct world_answer *a);
void world_answer_done(struct world_answer *a);
/* The place up to which graves are of no use to this client. */
uint64_t world_known_to(const struct world *w, const struct catalog *c);
bool world_is_synced(const struct world *w, const struct catalog *c);
#endif
