/* SHA-256; see the header. */
#include <wolfssl/options.h>

#include <wolfssl/wolfcrypt/hash.h>

#include "shared/tls/digest.h"

#include <errno.h>

#include "shared/tls/library.h"

int digest_sha256(struct text data, uint8_t out[static DIGEST_BYTES])
{
    if (data.len > UINT32_MAX || library_ready() < 0)
        return -EIO;
    return wc_Sha256Hash((const byte *)data.data, (word32)data.len, out) == 0 ? 0 : -EIO;
}

void digest_print(const uint8_t digest[static DIGEST_BYTES], char out[static DIGEST_TEXT_MAX])
{
    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0; i < DIGEST_BYTES; i++) {
        out[2 * i] = hex[digest[i] >> 4];
        out[2 * i + 1] = hex[digest[i] & 15];
    }
    out[2 * DIGEST_BYTES] = '\0';
}

bool digest_equal(const uint8_t a[static DIGEST_BYTES], const uint8_t b[static DIGEST_BYTES])
{
    uint8_t difference = 0;
    for (size_t i = 0; i < DIGEST_BYTES; i++)
        difference |= (uint8_t)(a[i] ^ b[i]);
    return difference == 0;
}
