/*
 * The connection to the CA: gRPC over TLS in which the CA proves its identity and we bring a
 * token: a node's, that of our service account, or one to join with; or else the certificate that
 * joining has brought. It is made when somebody wants it and rests when
 * nobody does; after a failure it waits (50 ms doubling to 15 s, jittered). Roots and token are read
 * from their files for each connection, and the token for calls later than token_age_ms, since both
 * rotate; it lies in secret memory and is wiped when the connection ends. One thread; owned by
 * credentials.
 */
#ifndef SHARED_CREDENTIALS_CA_LINK_H
#define SHARED_CREDENTIALS_CA_LINK_H
#include "shared/credentials/credential.h"
#include "shared/transport/h2_conn.h"

enum { CA_TOKEN_MAX = 8192, CA_ROOTS_FILE_MAX = 1024 * 1024 };
struct ca_link;
struct ca_link_events {
    void (*ready)(struct ca_link *l); /* calls may be started on h2.http2 */
    /* No connection, or no more; calls in flight were closed before; it may be wanted again. */
    void (*failed)(struct ca_link *l, const char *why);
};
struct ca_link_options {
    struct ring *ring;
    struct addr ca;
    const char *roots_file, *ca_identity;
    const char *token_file; /* NULL: none, for those who have a certificate */
    uint64_t token_age_ms; /* older ones are read again */
};
struct ca_link {
    struct ca_link_options options;
    const struct ca_link_events *events;
    void *user;
    struct h2_conn h2;
    struct tls_config *tls;
    char *told_roots; /* PEM; NULL: none */
    struct credential *own; /* by which connections are made from now on; NULL: by token */
    struct timer again;
    struct ring_task failed_task; /* tells what failed before there was a connection */
    uint64_t backoff_ms;
    bool open, trusted, wanted, closing;
    bool resting; /* it ends, and that is no failure */
    char *token; /* CA_TOKEN_MAX bytes of secret memory while `open` by token; NULL else */
    uint64_t token_read_ms;
    char why[256];
    void (*drained)(void *arg);
    void *drained_arg;
};
void ca_link_init(struct ca_link *l, const struct ca_link_options *o,
                  const struct ca_link_events *events, void *user);
bool ca_link_connected(const struct ca_link *l); /* to the CA that has proved itself */
bool ca_link_ready(const struct ca_link *l);     /* and a call can be started now */
/* What the CA itself has said is trusted, beside what stands in the file, from the next connection on.
 * -ENOMEM: as before. */
int ca_link_set_roots(struct ca_link *l, const char *pem);
/* For the next connection; a reference is taken. NULL: by token. */
void ca_link_set_own(struct ca_link *l, struct credential *own);
/* While connected: the token for a call; NULL: the connection has proved already who we are. */
const char *ca_link_token(struct ca_link *l);
void ca_link_want(struct ca_link *l); /* ready or failed follows, from the loop; twice is fine */
void ca_link_rest(struct ca_link *l); /* closes it; failed does not follow */
/* No call may be in flight; drained from the loop, or at once. */
void ca_link_close(struct ca_link *l, void (*drained)(void *arg), void *arg);
#endif
