/*
 * What one client wants to know of one type of resources, and how far it was told: the state of
 * one type on one delta stream. Wildcard clients are a place in the catalog's log; they hear of all but
 * of what is told by its name only (unless they know no Services, of which they could make it). Clients on
 * demand have the names that they asked for, those that they were given because of that, and a
 * queue of names that are due. A machine; owned by its stream. Bounded: names; what is due never
 * holds a name twice, and of names that are absent no more than twice as many as may be asked for.
 */
#ifndef CONTROLLER_SERVE_INTEREST_H
#define CONTROLLER_SERVE_INTEREST_H
#include "controller/serve/asker.h"
#include "controller/serve/catalog.h"
#include "controller/serve/name_queue.h"
#include "shared/xds/delta.h"

enum {
    INTEREST_NAMES_MAX = 200000, /* of a client that we know */
    ANSWER_BYTES_MAX =
        1024 * 1024, /* a response has at least one resource, and no more once it is that big */
    ANSWER_RESOURCES_MAX = 5000,
};
struct interest {
    enum xds_type type;
    const struct asker *asker; /* whom it is; borrowed. NULL: nobody in particular */
    bool started; /* the client asked for this type */
    bool wildcard;
    const char *identity;          /* whose stream it is, proven; borrowed. NULL: nobody's */
    bool made_up;                  /* by wildcard also what is told by its name only */
    bool must_answer;              /* even if there is nothing to say */
    uint64_t puts_at, removals_at; /* places in the log; on demand: puts_at alone */
    struct map names;              /* asked for: uid, ns/hostname, network/address */
    struct map given;              /* on demand: what the client has from us */
    struct map initial; /* name -> version that the client brought along; until it has all else */
    struct name_queue due;
    struct name_queue gone; /* was due, and is to be told as removed */
};
void interest_init(struct interest *s, enum xds_type type, size_t names_max);
void interest_done(struct interest *s);
/* Takes in what a request says about subscribing. -ENOMEM; -ENOSPC: too many names; -EINVAL: an
 * unfit name. */
int interest_request(struct interest *s, const struct catalog *c,
                     const struct delta_request *request);
/* The catalog has changed: what concerns a client on demand becomes due. -ENOMEM: ask again. */
int interest_refresh(struct interest *s, const struct catalog *c);

/* One response of what is to be told now. Borrows from the catalog and the interest: it is good
 * until either changes. Nothing counts as told before interest_told(). */
struct interest_answer {
    struct delta_resource *resources;
    char **removed;
    size_t n_resources, n_removed, bytes;
    uint64_t puts_at, removals_at;
    size_t due, gone; /* names taken from the queues */
    bool removals;    /* they were asked for */
};
/* removals false: only what is to be put. 1: there is something to send, 0: nothing; -ENOMEM. */
int interest_answer(struct interest *s, const struct catalog *c, bool removals,
                    struct interest_answer *ret);
void interest_told(struct interest *s, const struct catalog *c, const struct interest_answer *a);
void interest_answer_done(struct interest_answer *a);
/* The place up to which graves are of no use to this client. */
uint64_t interest_known_to(const struct interest *s, const struct catalog *c);
#endif
