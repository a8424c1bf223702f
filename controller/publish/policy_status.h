/*
 * Writes our condition on the policies of an API server, while this replica leads: only where it says
 * something else than it should, one object after another, a few in a second. An object is read right
 * before it is written, and written only if nobody wrote in between. Owned by the controller; the ring's
 * thread. Bounded by the policies there are.
 */
#ifndef CONTROLLER_PUBLISH_POLICY_STATUS_H
#define CONTROLLER_PUBLISH_POLICY_STATUS_H
#include "controller/model/object.h"
#include "controller/publish/condition.h"
#include "shared/base/map.h"
#include "shared/kube/kube_leader.h"

enum { POLICY_STATUS_LISTS = 3 };
struct policy_status {
    struct kube_client *client;
    struct ring *ring;
    const struct kube_leader *leader;
    struct map seen; /* object_key() -> what the server has */
    struct timer look, next; /* for what is to be written; the next one of it */
    struct kube_request request;
    char (*queue)[OBJECT_KEY_MAX]; /* to be written */
    size_t n_queue;
    struct condition wanted; /* of the one in hand, whose key is `key` */
    char key[OBJECT_KEY_MAX];
    bool dirty;      /* something may say something else than it should */
    uint64_t round;  /* grows when what was seen has been judged: problems() speak of it */
    unsigned told;   /* status of the failure that was logged last */
    uint64_t writes, conflicts;
    /* Problems by now. */
    size_t (*problems)(void *user, const struct problems *ret[static POLICY_STATUS_LISTS]);
    /* "/apis/GROUP/VERSION", or NULL: the server has none. */
    const char *(*api)(void *user, enum object_kind kind, char out[static LEASE_PATH_MAX]);
    void *user;
};
void policy_status_start(struct policy_status *s, struct kube_client *client, struct ring *ring,
                         const struct kube_leader *leader);
void policy_status_stop(struct policy_status *s);
/* As the server tells of a policy (`object` NULL: it is gone). Other kinds are ignored. */
void policy_status_see(struct policy_status *s, enum object_kind kind, const char *ns,
                       const char *name, const struct json *object);
/* What was seen until now has been read and translated: problems() speak of it. */
void policy_status_judged(struct policy_status *s);
void policy_status_lead_changed(struct policy_status *s);
#endif
