/*
 * Who asks? A node proxy, by a random token that was made for its node (`weir-ca token --node`), or
 * whoever has a token that is good once for one identity (`--identity`), and then renews with the
 * certificate that it got; of tokens only the SHA-256 is kept. In a cluster also whoever has one of
 * our service accounts (reviews.h). One thread.
 */
#ifndef CA_ATTEST_H
#define CA_ATTEST_H
#include "ca/store.h"
#include "shared/base/addr.h"
#include "shared/mesh/spiffe_id.h"

enum { ATTEST_TOKEN_BYTES = 32, ATTEST_TOKEN_TEXT_MAX = 48, ATTEST_NODE_MAX = 253 };
enum { ATTEST_NAME_MAX = 320 };
enum attest_role {
    ATTEST_PROXY,   /* gets its own certificate, and those of what is placed on its node */
    ATTEST_CONTROL, /* gets its own */
    ATTEST_JOINED   /* likewise */
};
struct attested { /* who it has proved to be */
    enum attest_role role;
    /* A proxy's node; else NAMESPACE/POD, or the identity as far as there is room: no node has a
     * slash. */
    char name[ATTEST_NAME_MAX + 1];
    struct spiffe_id id;            /* what it gets for itself */
};
/* base64url, no padding; the caller wipes it. */
int attest_make_token(struct store *s, const char *node, int64_t expires_s,
                      char out[static ATTEST_TOKEN_TEXT_MAX]);
/* 0 with the node's name (heap); -EACCES: none, unknown or expired; or an error of the store.
 * *ret_why is for our own log, not for the caller. */
int attest_node(struct store *s, struct text bearer, int64_t now_s, char **ret_node,
                const char **ret_why);
/* A token that whoever has it may use once, from `source` (a prefix; "": from everywhere). */
int attest_make_join(struct store *s, const struct join_record *j,
                     char out[static ATTEST_TOKEN_TEXT_MAX]);
/* As attest_node(), by a join token. *ret_spends: there is such a token, which the caller has to
 * spend (ledger.h) whatever comes of it, before anything is answered. */
int attest_join(struct store *s, struct text bearer, const struct ip *from, int64_t now_s,
                struct attested *ret, uint8_t ret_digest[static DIGEST_BYTES], bool *ret_spends,
                const char **ret_why);
/* By the certificate that the connection was made with. It must have come from a join token, or
 * from the renewal of one that did: all others have somebody who asks for them. */
int attest_certificate(struct store *s, const char *uri, const char *serial, int64_t now_s,
                       struct attested *ret, const char **ret_why);
#endif
