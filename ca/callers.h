/*
 * The node proxies that are connected: accepts them (TLS, HTTP/2), takes their CreateCertificate
 * calls (istio.v1.auth, gRPC) to grant_decide(), has the decision written down and brings back
 * the answers. A service account's token is reviewed first, and its call waits for that. One
 * thread, one ring; embedded. Bounded: connections, calls per connection, message size, and the
 * time that a connection may stay without a request whose token was accepted (idle_ms): a
 * stranger holds no place for long. Whoever watches has his.
 */
#ifndef CA_CALLERS_H
#define CA_CALLERS_H
#include "ca/audit_share.h"
#include "ca/grant.h"
#include "ca/reviews.h"
#include "ca/watchers.h"
#include "shared/transport/h2_conn.h"
#include "shared/transport/listener.h"

enum { CALLERS_MAX = 4096, CALLERS_CALLS_MAX = 64, CALLERS_MESSAGE_MAX = 64 * 1024 };
enum { CALLERS_IDLE_MS = 60000 };
struct callers;
struct callers_events {
    bool (*placement_known)(struct callers *c);
    void (*drained)(
        struct callers *c); /* after callers_drain() or callers_close(), from the loop */
};
struct callers {
    struct ring *ring;
    struct grant *grant; /* borrowed */
    struct ledger *ledger; /* borrowed; NULL: decisions are written here and now */
    struct ledger *lookups; /* borrowed; looks up who asks; NULL: that is done here and now */
    struct reviews *reviews; /* borrowed; NULL: service accounts' tokens are no tokens here */
    const struct callers_events *events;
    struct tls_config *tls; /* for connections from now on */
    struct listener listener;
    struct list all;  /* of struct caller */
    uint64_t idle_ms; /* CALLERS_IDLE_MS, unless changed after callers_open() */
    uint64_t issued, refused[GRPC_UNAUTHENTICATED + 1];
    struct audit_share audit_share;
    struct watchers watchers;
    uint64_t unaudited; /* refusals beyond it: told on standard error alone */
    bool leaving, closing, listener_gone, told;
};
/* For whoever decides elsewhere (api.h). Is a line to be written in the audit log? What spends a token
 * or gives something away always has one; of refusals, as many as their share is. */
bool callers_audit(struct callers *c, const struct grant_answer *a);
void callers_log(const struct grant_answer *a); /* a settled one, on standard error */
/* Takes the listening fd. */
void callers_open(struct callers *c, struct ring *ring, struct grant *grant, int taken_fd,
                  const struct callers_events *events);
/* Our certificate, the first or a new one; before it comes, connections are refused. */
void callers_set_tls(struct callers *c, struct tls_config *server);
/* What is trusted: all who watch are told. */
void callers_set_trust(struct callers *c, const struct trust *t);
/* Nobody new but those that the kernel has accepted already; all end when their calls have. */
void callers_drain(struct callers *c);
void callers_close(struct callers *c); /* nobody new, and those that are here end now */
#endif
