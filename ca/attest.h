/*
 * Who asks? In this cut: a node proxy, by a random token that was made for its node
 * (`weir-ca token`). Only the token's SHA-256 is kept. One thread.
 */
#ifndef CA_ATTEST_H
#define CA_ATTEST_H
#include "ca/store.h"

enum { ATTEST_TOKEN_BYTES = 32, ATTEST_TOKEN_TEXT_MAX = 48, ATTEST_NODE_MAX = 253 };
/* base64url, no padding; the caller wipes it. */
int attest_make_token(struct store *s, const char *node, int64_t expires_s,
                      char out[static ATTEST_TOKEN_TEXT_MAX]);
/* 0 with the node's name (heap); -EACCES: none, unknown or expired; or an error of the store.
 * *ret_why is for our own log, not for the caller. */
int attest_node(struct store *s, struct text bearer, int64_t now_s, char **ret_node,
                const char **ret_why);
#endif
