/*
 * Writes what is to be said into the status of an API server's policies and routes, while this replica
 * leads: only where it says something else than it should, one object after another, a few in a second. An object is read right
 * before it is written, and written only if nobody wrote in between. Owned by the controller; the ring's
 * thread. Bounded by the policies and routes there are.
 */
#ifndef CONTROLLER_PUBLISH_STATUS_WRITER_H
#define CONTROLLER_PUBLISH_STATUS_WRITER_H
#include "controller/publish/object_status.h"
#include "shared/base/map.h"
#include "shared/kube/kube_leader.h"

struct status_writer {
    struct kube_client *client;
    struct ring *ring;
    const struct kube_leader *leader;
    struct map seen;         /* object_key() -> what the server has */
    struct timer look, next; /* for what is to be written; the next one of it */
    struct kube_request request;
    char (*queue)[OBJECT_KEY_MAX]; /* to be written */
    size_t n_queue;
    char key[OBJECT_KEY_MAX]; /* of the one in hand */
    bool dirty;               /* something may say something else than it should */
    uint64_t round;           /* grows when what was seen has been judged: judge() speaks of it */
    unsigned told;            /* status of the failure that was logged last */
    uint64_t writes, conflicts;
    /* What is to be said by now. -EAGAIN: nobody knows just now; -ENOMEM. */
    int (*judge)(void *user, const struct object_judged *who, struct object_status *ret);
    /* "/apis/GROUP/VERSION", or NULL: the server has none. */
    const char *(*api)(void *user, enum object_kind kind, char out[static LEASE_PATH_MAX]);
    void *user;
};
void status_writer_start(struct status_writer *s, struct kube_client *client, struct ring *ring,
                         const struct kube_leader *leader);
void status_writer_stop(struct status_writer *s);
/* As the server tells of an object (`object` NULL: it is gone). Other kinds are ignored. */
void status_writer_see(struct status_writer *s, enum object_kind kind, const char *ns,
                       const char *name, const struct json *object);
/* What was seen until now has been read and translated: judge() speaks of it. */
void status_writer_judged(struct status_writer *s);
void status_writer_lead_changed(struct status_writer *s);
#endif
