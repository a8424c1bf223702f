/*
 * Gets and renews the certificates of the identities that this node needs, from the CA by
 * CreateCertificate (istio.v1.auth) over gRPC/TLS, authenticated by the node's token; one
 * connection, several requests. Renewal at half-life with jitter; while the CA is away or refuses
 * it, it retries with jittered backoff (50 ms doubling to 15 s) and what is valid stays in use. An
 * expired credential is withdrawn: fail closed. With `watch` it also listens to what the CA says of
 * trust: credentials get other roots without a renewal, a few in each turn of the loop; those that
 * lead to none of them, or are revoked, are withdrawn and asked for anew; those that the root before
 * has signed are renewed early, spread over a quarter of their life, ten minutes at most. A machine that joins (keep_file) keeps its own
 * certificate and renews it by that. Control thread. Bounded: identities_max, requests
 * in flight, and the time that one may take.
 */
#ifndef SHARED_CREDENTIALS_CREDENTIALS_H
#define SHARED_CREDENTIALS_CREDENTIALS_H
#include "shared/credentials/credential.h"
#include "shared/base/addr.h"
#include "shared/mesh/trust.h"
#include "shared/ring/ring.h"

enum { CREDENTIALS_WHY_MAX = 256 };
struct credentials;
struct credentials_options { /* the texts are borrowed until it is closed */
    struct addr ca;
    const char *roots_file;  /* PEM: what the CA's own certificate must lead to; read again at each
                                connection */
    const char *ca_identity; /* SPIFFE ID that the CA must prove */
    const char *token_file;  /* read again at each connection, and when it is old; NULL: none */
    struct spiffe_id self;   /* the node proxy's own identity; requested without impersonation */
    /* NULL: nothing is kept. Else self's key and certificate (svid_file.h), which prove who we are as
     * long as they are valid. The token is then one to join with, good once, and is not needed
     * afterwards; and self may be absent until somebody has joined: whoever the token is for. */
    const char *keep_file;
    bool join_anew; /* what is kept is not looked at, and replaced */
    uint64_t validity_s;     /* asked for; 0: the CA's default */
    size_t identities_max;   /* 0: 1024 */
    uint64_t request_ms;     /* how long a request may take; 0: 20 s */
    uint64_t token_age_ms;   /* that is old; 0: 10 s */
    bool watch;              /* listen to what is trusted, on a connection that then stays */
    uint64_t idle_ms;        /* how long the connection stays when nobody asks; 0: 30 s */
};
struct credentials_events {
    /* A credential came, was renewed, or (NULL) expired without a successor. From the loop;
     * anything may be called from it. */
    void (*changed)(struct credentials *m, const struct spiffe_id *id,
                    struct credential *credential, void *arg);
    /* A request was answered, and not with a certificate; it will be tried again. May be NULL. From
     * inside a call's events: nothing of this may be called. */
    void (*refused)(struct credentials *m, const struct spiffe_id *id, const char *why, void *arg);
    /* With `watch`: what is trusted now, borrowed; from the loop. < 0: not all know it, and it is told
     * again in a second. May be NULL. */
    int (*trusted)(struct credentials *m, struct trust *t, void *arg);
};
struct credentials_stats {
    uint64_t issued, failed;
    bool connected;
    bool reachable; /* the last connection was good: one that nobody needs for now is closed */
    uint64_t trust_unheard_ms; /* since the CA could last have told of trust; 0: it can */
    bool trust_behind;         /* it tells less than it told before */
    char last_error[CREDENTIALS_WHY_MAX];
};
int credentials_open(struct credentials **ret, struct ring *ring,
                     const struct credentials_options *o, const struct credentials_events *events,
                     void *arg);
/* Counted: as many unwants as wants; the last one forgets key and certificate. `changed` follows,
 * from the loop. -ENOMEM, -ENOSPC: identities_max. */
int credentials_want(struct credentials *m, const struct spiffe_id *id);
void credentials_unwant(struct credentials *m, const struct spiffe_id *id);
/* Borrowed; NULL: none valid. */
struct credential *credentials_get(struct credentials *m, const struct spiffe_id *id);
/* For dumps, of each wanted identity. state: "Available", "Initializing", "Unavailable". */
typedef void credentials_visit(const struct spiffe_id *id, const char *state,
                               const struct credential *credential, const char *error, void *arg);
void credentials_each(struct credentials *m, credentials_visit *visit, void *arg);
void credentials_stats(const struct credentials *m, struct credentials_stats *ret);
/* Nothing is told any more; drained from the loop, or at once. */
void credentials_close(struct credentials *m, void (*drained)(void *arg), void *arg);
#endif
