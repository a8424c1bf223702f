/* SHA-256 (FIPS 180-4) of bytes. Pure; any thread. */
#ifndef SHARED_TLS_DIGEST_H
#define SHARED_TLS_DIGEST_H
#include "shared/base/text.h"

enum { DIGEST_BYTES = 32 };
int digest_sha256(struct text data, uint8_t out[static DIGEST_BYTES]); /* -EIO: it failed */
#endif
