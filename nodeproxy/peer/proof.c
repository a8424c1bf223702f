/* Does what was proven still hold? See the header. */
#include "nodeproxy/peer/proof.h"

#include "shared/base/clock.h"
#include <string.h>

enum { LOOK_MS = 3600 * 1000 }; /* farther ends are looked at again: clocks are set */

static void wait_for_expiry(struct proof *p)
{
    int64_t left_s = p->not_after_s - clock_unix_s() + 1; /* its last second is valid */
    p->left_ms = left_s > 0 ? (uint64_t)left_s * 1000 : 0;
    timer_start(ring_timers(p->ring), &p->expiry, p->left_ms < LOOK_MS ? p->left_ms : LOOK_MS);
}

static void expiry_due(struct timer *t)
{
    struct proof *p = container_of(t, struct proof, expiry);
    if (p->left_ms <= LOOK_MS)
        proof_break(p, ENDING_CERTIFICATE_EXPIRED);
    else
        wait_for_expiry(p);
}

void proof_init(struct proof *p, struct ring *ring, void (*broke)(struct proof *p))
{
    *p = (struct proof){.ring = ring, .broke = broke};
    timer_init(&p->expiry, expiry_due);
}

void proof_look_revoked(struct proof *p)
{
    if (p->taken && p->trust && trust_revokes(*p->trust, p->id, p->serial))
        proof_break(p, ENDING_REVOKED);
}

void proof_take(struct proof *p, const struct tls_peer *peer, const char *id, bool forever)
{
    p->taken = true;
    p->not_after_s = peer->not_after_s;
    p->id = id;
    memcpy(p->root, peer->root, sizeof p->root);
    memcpy(p->serial, peer->serial, sizeof p->serial);
    proof_look_revoked(p);
    if (!forever && p->broken == ENDING_NONE)
        wait_for_expiry(p);
}

void proof_break(struct proof *p, enum ending ending)
{
    if (p->broken != ENDING_NONE)
        return;
    p->broken = ending;
    timer_stop(ring_timers(p->ring), &p->expiry);
    p->broke(p);
}

void proof_look(struct proof *p, const struct proof_roots *roots)
{
    if (!p->taken)
        return;
    for (size_t i = 0; i < roots->n; i++)
        if (memcmp(p->root, roots->keys[i], sizeof p->root) == 0)
            return;
    proof_break(p, ENDING_TRUST_CHANGED);
}

void proof_done(struct proof *p) { timer_stop(ring_timers(p->ring), &p->expiry); }
