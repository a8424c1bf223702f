/*
 * Who asks? A node proxy, by a random token that was made for its node (`weir-ca token`; only the
 * token's SHA-256 is kept), or in a cluster whoever has one of our service accounts (reviews.h).
 * One thread.
 */
#ifndef CA_ATTEST_H
#define CA_ATTEST_H
#include "ca/store.h"
#include "shared/mesh/spiffe_id.h"

enum { ATTEST_TOKEN_BYTES = 32, ATTEST_TOKEN_TEXT_MAX = 48, ATTEST_NODE_MAX = 253 };
enum { ATTEST_NAME_MAX = 320 };
enum attest_role {
    ATTEST_PROXY,   /* gets its own certificate, and those of what is placed on its node */
    ATTEST_CONTROL, /* gets its own */
};
struct attested { /* who it has proved to be */
    enum attest_role role;
    char name[ATTEST_NAME_MAX + 1]; /* a proxy's node; else NAMESPACE/POD: no node has a slash */
    struct spiffe_id id;            /* what it gets for itself */
};
/* base64url, no padding; the caller wipes it. */
int attest_make_token(struct store *s, const char *node, int64_t expires_s,
                      char out[static ATTEST_TOKEN_TEXT_MAX]);
/* 0 with the node's name (heap); -EACCES: none, unknown or expired; or an error of the store.
 * *ret_why is for our own log, not for the caller. */
int attest_node(struct store *s, struct text bearer, int64_t now_s, char **ret_node,
                const char **ret_why);
#endif
