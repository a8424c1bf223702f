/*
 * May this node have this certificate? The whole decision, apart from sockets: token -> node ->
 * rate -> identity -> placement -> key -> issue. One thread. Bounded: requests per node and second
 * (a bucket that holds GRANT_BURST), nodes that have a bucket. Reasons are for our log; callers get
 * opaque texts where a reason would help an attacker.
 */
#ifndef CA_GRANT_H
#define CA_GRANT_H
#include "ca/attest.h"
#include "ca/issue.h"
#include "ca/placement.h"
#include "shared/grpc/grpc.h"
#include "shared/xds/xds.h"

enum { GRANT_NODES_MAX = 100000, GRANT_BURST = 1000, GRANT_PER_SECOND = 100 };
struct grant { /* all is borrowed; the owner sets it after grant_init() */
    struct store *store;
    const struct root *root;
    const struct placement *placement;
    struct text trust_domain;
    struct spiffe_id proxy_id; /* what a node proxy with a token of ours gets for itself */
    int64_t ttl_s, ttl_max_s;  /* when nothing is asked for; the most that may be */
    struct map buckets;        /* node -> struct grant_bucket: requests left */
};
struct grant_answer {
    enum grpc_status status; /* GRPC_OK: response is filled; certificate_response_done() it */
    const char *message;     /* for the caller; static */
    char why[STORE_WHY_MAX]; /* for the log */
    char node[ATTEST_NAME_MAX + 1];    /* or whoever it is; "": the token was not accepted */
    char identity[SPIFFE_ID_TEXT_MAX]; /* what was asked for; "": it did not come to that */
    struct issued issued;
    struct certificate_response response; /* leaf, intermediate, root */
};
void grant_init(struct grant *g);
void grant_done(struct grant *g);
/* placement_known: the controller has told everything, and not too long ago. now_ms: monotonic. */
void grant_decide(struct grant *g, struct text bearer, const uint8_t *request, size_t len,
                  bool placement_known, int64_t now_s, uint64_t now_ms, struct grant_answer *ret);
/* The same for one who has proved already who it is. */
void grant_decide_for(struct grant *g, const struct attested *who, const uint8_t *request,
                      size_t len, bool placement_known, int64_t now_s, uint64_t now_ms,
                      struct grant_answer *ret);
#endif
