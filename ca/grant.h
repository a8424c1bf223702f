/*
 * May this asker have this certificate? The whole decision, apart from sockets: who -> rate ->
 * identity -> placement -> key -> signature; then the ledger has the last word. One thread.
 * Bounded: requests per node and second (rate.h). Reasons are for our log; callers get opaque
 * texts where a reason would help an attacker.
 */
#ifndef CA_GRANT_H
#define CA_GRANT_H
#include "ca/attest.h"
#include "ca/issue.h"
#include "ca/ledger.h"
#include "ca/placement.h"
#include "ca/rate.h"
#include "shared/grpc/grpc.h"
#include "shared/tls/tls_channel.h"
#include "shared/xds/xds.h"

struct grant { /* all is borrowed; the owner sets it after grant_init() */
    struct store *store;
    const struct root *root;
    const struct placement *placement;
    struct text trust_domain;
    struct spiffe_id proxy_id; /* what a node proxy with a token of ours gets for itself */
    int64_t ttl_s, ttl_max_s;  /* when nothing is asked for; the most that may be */
    struct rate rate;          /* of nodes, and of whoever else has proved who it is */
};
struct grant_ask {
    struct text bearer;         /* empty: none */
    const struct attested *who; /* who has proved already who it is, by its account; or NULL */
    const struct tls_peer *peer; /* the connection's; NULL: nobody */
    const struct ip *from;
    const uint8_t *request; /* CreateCertificate's message */
    size_t len;
    bool placement_known; /* the controller has told everything, and not too long ago */
    int64_t now_s;
    uint64_t now_ms; /* monotonic */
};
/* Stays where it is until it is settled: the entry points into it. */
struct grant_answer {
    enum grpc_status status; /* GRPC_OK: response is filled; certificate_response_done() it */
    const char *message;     /* for the caller; static */
    char why[STORE_WHY_MAX]; /* for the log */
    char node[ATTEST_NAME_MAX + 1];    /* or whoever it is; "": nothing was accepted */
    char from[IP_TEXT_MAX];
    char identity[SPIFFE_ID_TEXT_MAX]; /* what was asked for; "": it did not come to that */
    const char *proof;
    struct attested who; /* if it is_proved */
    bool is_proved;
    uint8_t digest[DIGEST_BYTES]; /* of the join token that is spent */
    bool spends;
    char renews[2 * X509_SERIAL_MAX + 1]; /* the serial of the certificate that proved it, or "" */
    struct issued issued;
    struct certificate_response response; /* leaf, intermediate, root */
    struct ledger_entry entry;            /* to be written before the answer is given */
};
void grant_init(struct grant *g);
void grant_done(struct grant *g);
/* Who asks, as far as the store knows: the part that waits for it, on any thread; the rest is
 * grant_conclude()'s, with the same q and answer. grant_decide() is both. */
void grant_prove(struct store *s, const struct spiffe_id *proxy_id, const struct grant_ask *q,
                 struct grant_answer *ret);
void grant_conclude(struct grant *g, const struct grant_ask *q, struct grant_answer *a);
void grant_decide(struct grant *g, const struct grant_ask *q, struct grant_answer *ret);
/* After grant_prove(), instead of grant_conclude(): may it watch what is trusted? Whoever may ask for
 * certificates, but by a join token: that is good once, and not for this. Then `node` is its name;
 * nothing is written down. */
void grant_watch(struct grant *g, const struct grant_ask *q, struct grant_answer *a);
/* The answer to one who could not prove who it is, for reasons from elsewhere; message is
 * static. */
void grant_refuse(const struct grant_ask *q, enum grpc_status status, const char *message,
                  const char *why, struct grant_answer *ret);
/* The entry has its result: what could not be written, or not any more, is refused. */
void grant_settle(struct grant_answer *a);
#endif
