/*
 * Machines that register themselves: the WorkloadEntries that are made of WorkloadGroups, for as long as
 * whoever asked for one is connected, and a lease longer. They are in the store beside those that a source
 * has written, and in a file, so that a controller that starts anew knows them before it is asked; what is
 * written by hand comes first. Pure but for the file. One thread.
 *
 * Who asks must prove to be of the group's namespace and of its template's serviceAccount, and come from an
 * address that it says is its own: that is the entry's, so nobody registers an address that he does not have.
 * A machine whose group goes, or becomes another account's, has no entry until it is right again.
 * Bounded: REGISTRY_MAX.
 */
#ifndef CONTROLLER_SERVE_REGISTRY_H
#define CONTROLLER_SERVE_REGISTRY_H
#include "controller/model/object_store.h"
#include "shared/base/list.h"
#include "shared/base/why.h"
#include "shared/mesh/spiffe_id.h"
#include "shared/xds/delta.h"

enum { REGISTRY_MAX = 10000, REGISTRY_FILE_MAX = 16 * 1024 * 1024 };
struct registration {
    struct list link;
    char ns[64], group[254], name[254];
    struct ip address;
    char identity[SPIFFE_ID_TEXT_MAX]; /* who registered it */
    int64_t created_s;
    unsigned streams; /* that say it */
    uint64_t left_ms; /* since when none does */
    struct object *entry, *made_of; /* a reference each: what we put into the store, and its group; NULL: nothing */
};
struct registry {
    struct object_store *store;
    const char *trust_domain, *file; /* borrowed */
    uint64_t lease_ms;
    struct map named; /* "NAMESPACE/NAME" -> registration */
    struct list all;
    bool unsaved;
    /* The store is not what it was, or registry_save() has something to do; never from within a call of
     * registry_refresh() or registry_tick(), which answer it. */
    void (*changed)(void *arg);
    void *changed_arg;
};
/* What the file says is registered as of now. -EINVAL, -errno: it can't be read, and nothing was opened. */
int registry_open(struct registry *r, struct object_store *store, const char *trust_domain,
                  const char *file, uint64_t lease_ms, uint64_t now_ms, char why[static WHY_MAX]);
void registry_done(struct registry *r); /* the store keeps what is in it */

struct registry_claim {
    const char *identity; /* proven */
    struct ip from;       /* where the connection comes from */
    struct delta_machine machine;
    int64_t now_s;
};
/* -EINVAL: not as it must be; -ENOENT: there is no such group; -EACCES: it is not for this caller; -EEXIST: the
 * name is taken; -ENOSPC, -ENOMEM. Else registry_leave() follows. */
int registry_enter(struct registry *r, const struct registry_claim *claim,
                   struct registration **ret, char why[static WHY_MAX]);
void registry_leave(struct registry *r, struct registration *m, uint64_t now_ms);

/* Entries as the groups are now, after a source changed the store. True: the store is not what it was. -ENOMEM is
 * tried again by the next one. */
bool registry_refresh(struct registry *r);
bool registry_tick(struct registry *r, uint64_t now_ms); /* once a second: leases end. Likewise */
/* Writes the file, if it has to be. -errno: another call tries it again. */
int registry_save(struct registry *r);
#endif
