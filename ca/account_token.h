/*
 * What a Kubernetes service account's token (a JWT, RFC 7519) says of itself, before anybody has
 * been asked whether it is genuine: enough to turn away what can't be meant for us, and to know how
 * long it lives at most. Pure; nothing that it says is believed until a TokenReview said so, too.
 * Bounded by ACCOUNT_TOKEN_MAX.
 */
#ifndef CA_ACCOUNT_TOKEN_H
#define CA_ACCOUNT_TOKEN_H
#include "shared/base/text.h"

enum { ACCOUNT_TOKEN_MAX = 8192 };
/* Three parts with dots between; a token that was made for a node (attest.h) has no dot. */
bool account_token_is(struct text bearer);
/* 0 with the end of its life, Unix time. -EACCES: malformed, for another audience, without an end,
 * or over; *ret_why is for our own log. -ENOMEM. */
int account_token_read(struct text bearer, const char *audience, int64_t now_s,
                       int64_t *ret_expires_s, const char **ret_why);
#endif
