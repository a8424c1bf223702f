/*
 * SHA-256 (FIPS 180-4) of bytes, and a comparison whose time does not depend on where they differ.
 * Pure; any thread.
 */
#ifndef SHARED_TLS_DIGEST_H
#define SHARED_TLS_DIGEST_H
#include "shared/base/text.h"

enum { DIGEST_BYTES = 32, DIGEST_TEXT_MAX = 2 * DIGEST_BYTES + 1 };
int digest_sha256(struct text data,
                  uint8_t out[static DIGEST_BYTES]); /* -EIO: the library failed */
void digest_print(const uint8_t digest[static DIGEST_BYTES],
                  char out[static DIGEST_TEXT_MAX]); /* hex, lower case */
bool digest_equal(const uint8_t a[static DIGEST_BYTES], const uint8_t b[static DIGEST_BYTES]);
#endif
