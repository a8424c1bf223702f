/*
 * Who of several replicas leads, by one Lease (coordination.k8s.io/v1), as client-go's leader election
 * does it. Pure: says what to ask, is given the answer, says how long to wait. No two clocks are
 * compared: another's lease is over when it was seen unchanged for as long as it says, counted from when
 * it was first seen so. Ours counts from when its renewal was asked for, and we stop well before it is
 * over for others. Owned by kube_leader; one thread; bounded by LEASE_TEXT_MAX.
 */
#ifndef SHARED_KUBE_LEASE_H
#define SHARED_KUBE_LEASE_H
#include "shared/base/rng.h"
#include "shared/json/json.h"

enum { LEASE_TEXT_MAX = 256, LEASE_PATH_MAX = 512, LEASE_BODY_MAX = 2048 };
struct lease_options { /* strings live as long as the lease */
    const char *ns, *name, *identity;
    uint64_t duration_ms; /* for how long others wait: whole seconds */
    uint64_t renew_ms;    /* we stop leading so long after the last renewal; shorter */
    uint64_t retry_ms;    /* between two questions; a fraction of renew_ms */
};
enum lease_verb { LEASE_GET, LEASE_CREATE, LEASE_PATCH };
struct lease_question {
    enum lease_verb verb;
    char path[LEASE_PATH_MAX], body[LEASE_BODY_MAX];
};
struct lease {
    struct lease_options options;
    struct rng *rng;
    enum lease_verb next;
    bool held;                       /* by us, when we last heard; lease_leading() says more */
    uint64_t asked_ms, renewed_ms;   /* renewed_ms: valid if held */
    char holder[LEASE_TEXT_MAX];     /* as seen last; "": nobody */
    char renew_time[LEASE_TEXT_MAX]; /* of whoever holds it, in its own clock: only compared */
    char version[LEASE_TEXT_MAX];
    uint64_t observed_ms;        /* since when holder and renew_time are what they are */
    uint64_t holder_duration_ms; /* as the holder says */
    int64_t transitions;
};
void lease_init(struct lease *l, const struct lease_options *options, struct rng *rng);
/* unix_ms is only written down, for people. */
void lease_ask(struct lease *l, uint64_t now_ms, int64_t unix_ms, struct lease_question *ret);
/* error -errno or 0 with an HTTP status. Milliseconds until the next question. */
uint64_t lease_answered(struct lease *l, uint64_t now_ms, int error, unsigned status,
                        struct text body);
/* May we act as the leader now? Until lease_until_ms() nobody else may. */
bool lease_leading(const struct lease *l, uint64_t now_ms);
/* When leading ends unless it is renewed; 0: it does not lead. */
uint64_t lease_until_ms(const struct lease *l);
/* What tells others at once that we leave; from here on we do not lead. False: nothing is to be
 * told. */
bool lease_release(struct lease *l, int64_t unix_ms, struct lease_question *ret);
#endif
