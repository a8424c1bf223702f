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
