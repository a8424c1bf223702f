#define _GNU_SOURCE
#include <wolfssl/options.h>

#include <wolfssl/ssl.h>
#include <wolfssl/wolfcrypt/aes.h>
#include <wolfssl/wolfcrypt/hash.h>

#include "shared/tls/library.h"

#include <errno.h>
#include <pthread.h>

#include "shared/tls/tls_config.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int result;

/* The library looks up what the processor can do when an algorithm is first used, without a
 * lock: two threads that begin together could see one half of the answer. So each is used once,
 * here. */
static int use_each_once(void)
{
    static const enum wc_HashType hashes[] = {WC_HASH_TYPE_SHA256, WC_HASH_TYPE_SHA384,
                                              WC_HASH_TYPE_SHA512};
    uint8_t key[AES_128_KEY_SIZE] = {0}, iv[GCM_NONCE_MID_SZ] = {0}, tag[AES_BLOCK_SIZE], byte = 0;
    uint8_t digest[WC_MAX_DIGEST_SIZE];
    Aes aes;

    for (size_t i = 0; i < sizeof hashes / sizeof *hashes; i++)
        if (wc_Hash(hashes[i], &byte, 1, digest, (word32)wc_HashGetDigestSize(hashes[i])) != 0)
            return -EIO;
    if (wc_AesInit(&aes, NULL, INVALID_DEVID) != 0)
        return -EIO;
    int r = wc_AesGcmSetKey(&aes, key, sizeof key);
    if (r == 0)
        r = wc_AesGcmEncrypt(&aes, &byte, &byte, 1, iv, sizeof iv, tag, sizeof tag, NULL, 0);
    wc_AesFree(&aes);
    return r == 0 ? 0 : -EIO;
}

static void start(void)
{
    result = wolfSSL_Init() == WOLFSSL_SUCCESS ? use_each_once() : -EIO;
}

int library_ready(void)
{
    pthread_once(&once, start);
    return result;
}

/* The macros say what was compiled in; whether this processor has the instructions is asked at
 * run time, by wolfSSL too. */
#if defined(WOLFSSL_AESNI) && defined(USE_INTEL_SPEEDUP)
#define CIPHER_NAME "AES-NI"
static bool cipher_in_hardware(void)
{
    return __builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul");
}
#elif defined(WOLFSSL_ARMASM)
#include <sys/auxv.h>
#define CIPHER_NAME "ARMv8 AES"
static bool cipher_in_hardware(void)
{
    unsigned long aes = 1ul << 3, pmull = 1ul << 4; /* HWCAP_AES, HWCAP_PMULL of arm64 */
    return (getauxval(AT_HWCAP) & (aes | pmull)) == (aes | pmull);
}
#else
#define CIPHER_NAME "AES in software"
static bool cipher_in_hardware(void)
{
    return false;
}
#endif

#if defined(WOLFSSL_SP_ASM)
#define CURVE_NAME "SP-ASM"
#else
#define CURVE_NAME "P-256 in C"
#endif

const char *tls_library(bool *ret_accelerated)
{
    bool fast = cipher_in_hardware();
    if (ret_accelerated)
        *ret_accelerated = fast;
    return fast ? "wolfSSL " LIBWOLFSSL_VERSION_STRING " (" CIPHER_NAME ", " CURVE_NAME ")"
                : "wolfSSL " LIBWOLFSSL_VERSION_STRING " (AES in software, " CURVE_NAME ")";
}
