/*
 * Whose service account's token is it? Asked of the Kubernetes API server by TokenReview, never
 * waiting: the answer comes from the loop, or at once where it is known still. A good one counts
 * for cache_ms, and never longer than the token; a refusal for some seconds. Only two kinds of
 * accounts are accepted, and only tokens that are bound to a living pod; a proxy's node is that
 * pod's node: told by the review itself, or else by the pod, whose uid must be the token's.
 *
 * One thread; embedded. Bounded: questions in flight, askers that wait, answers that are kept, and
 * what one address may have asked in vain: whoever sends bad tokens does not reach the API server
 * more than some times a second, and those who have an accepted token do not notice.
 */
#ifndef CA_REVIEWS_H
#define CA_REVIEWS_H
#include "ca/attest.h"
#include "shared/base/addr.h"
#include "shared/base/args.h"
#include "shared/base/map.h"
#include "shared/grpc/grpc.h"
#include "shared/kube/kube_client.h"

enum { REVIEW_WHY_MAX = 256 };
struct review_answer {
    enum grpc_status status; /* GRPC_OK: who is filled */
    const char *message;     /* for the caller; static */
    char why[REVIEW_WHY_MAX]; /* for our log */
    struct attested who;
};
struct review { /* embedded in the asker; all zero before */
    struct list link;
    struct reviews *reviews; /* NULL: does not wait */
    void (*done)(struct review *r, const struct review_answer *a); /* from the loop */
};
struct reviews_options { /* borrowed while it is open */
    const char *audience, *trust_domain;
    const struct arg_list *proxies, *controls; /* "NAMESPACE/ACCOUNT" */
    uint64_t cache_ms;
};
struct reviews {
    struct ring *ring;
    struct kube_client *client; /* borrowed */
    struct reviews_options options;
    struct map known;     /* SHA-256 of a token -> answer */
    struct map questions; /* in flight, by the same */
    struct map strangers; /* address -> what it may still ask in vain */
    size_t n_waiting;
    uint64_t asked, accepted, refused, failed; /* TokenReviews, and how they ended */
};
void reviews_open(struct reviews *s, struct ring *ring, struct kube_client *client,
                  const struct reviews_options *o);
void reviews_close(struct reviews *s); /* nobody may be waiting */
/* 0: *ret is the answer. -EINPROGRESS: done() brings it. */
int reviews_ask(struct reviews *s, struct review *r, struct text token, const struct ip *from,
                struct review_answer *ret);
void review_cancel(struct review *r); /* done does not come; fine if it does not wait */
#endif
