/*
 * What the far end of one tunnel proved, and whether that still holds: to which root its certificate leads, until when it is valid, and whether it was revoked. Embedded in
 * a peer_link or hbone_server; one worker. A proof breaks once, and then the tunnel takes no new streams, and those in it end.
 */
#ifndef NODEPROXY_PEER_PROOF_H
#define NODEPROXY_PEER_PROOF_H
#include "shared/mesh/ending.h"
#include "shared/mesh/trust.h"
#include "shared/ring/ring.h"
#include "shared/tls/tls_channel.h"

struct proof {
    struct ring *ring;
    void (*broke)(struct proof *p); /* once, from inside of whatever broke it */
    enum ending broken;             /* NONE: it holds */
    bool taken;
    struct timer expiry;
    uint64_t left_ms;               /* when the timer was started */
    int64_t not_after_s;
    uint8_t root[TLS_ROOT_BYTES];
    struct trust *const *trust;     /* the owner's, by which it is revoked; NULL: nothing is */
    const char *id;                 /* the owner's: who the far end is; valid once taken */
    char serial[2 * X509_SERIAL_MAX + 1];
};
struct proof_roots { /* of a credential: whom it trusts */
    size_t n;
    uint8_t keys[TLS_ROOTS_MAX][TLS_ROOT_BYTES];
};
void proof_init(struct proof *p, struct ring *ring, void (*broke)(struct proof *p));
/* The handshake is over; id: of the far end, lives as long as this. With `forever` the certificate's end is not the tunnel's. Breaks if
 * it is revoked. */
void proof_take(struct proof *p, const struct tls_peer *peer, const char *id, bool forever);
/* Other things are revoked now: breaks with REVOKED. */
void proof_look_revoked(struct proof *p);
void proof_break(struct proof *p, enum ending ending); /* the first ending stays */
/* Other roots are trusted now: breaks with TRUST_CHANGED if its own is not among them. */
void proof_look(struct proof *p, const struct proof_roots *roots);
void proof_done(struct proof *p); /* no event follows */
#endif
