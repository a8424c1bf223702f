/*
 * Writes base 64 (RFC 4648). Pure. No table is looked up: what is written may be a secret, and tables
 * leave traces in the cache. Decoding: shared/tls/pem.h.
 */
#ifndef SHARED_BASE_BASE64_H
#define SHARED_BASE_BASE64_H
#include "shared/base/text.h"
#include <stdint.h>

#define BASE64_TEXT_MAX(bytes) (((bytes) + 2) / 3 * 4 + 1) /* of either form, with its NUL */
void base64_put(struct text_out *o, const uint8_t *data, size_t len);    /* section 4, padded */
void base64url_put(struct text_out *o, const uint8_t *data, size_t len); /* section 5, no padding */
#endif
