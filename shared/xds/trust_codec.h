/*
 * weir.ca.v1.TrustService/Watch: an empty question, and an answer after each change. Pure; a message
 * that is refused has the field's name in why.
 */
#ifndef SHARED_XDS_TRUST_CODEC_H
#define SHARED_XDS_TRUST_CODEC_H
#include "shared/mesh/trust.h"
#include "shared/xds/xds.h"

#define XDS_TRUST_PATH "/weir.ca.v1.TrustService/Watch"
/* All identities of the longest kind would not fit: such a list is no message, rather than one with less in it. */
enum { TRUST_MESSAGE_MAX = 2 * 1024 * 1024 };
int trust_encode(const struct trust *t, struct xds_bytes *ret); /* -ENOMEM; -E2BIG: TRUST_MESSAGE_MAX */
/* -EINVAL, -ENOMEM with why. Whether the roots are certificates is not looked at. */
int trust_decode(const uint8_t *data, size_t len, struct trust **ret, char why[static XDS_WHY_MAX]);
#endif
