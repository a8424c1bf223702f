#define _GNU_SOURCE
#include <wolfssl/options.h>

#include <wolfssl/ssl.h>

#include "shared/tls/library.h"

#include <errno.h>
#include <pthread.h>

#include "shared/tls/tls_config.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int result;

static void start(void)
{
    result = wolfSSL_Init() == WOLFSSL_SUCCESS ? 0 : -EIO;
}

int library_ready(void)
{
    pthread_once(&once, start);
    return result;
}

/* The macros say what was compiled in; whether this processor has the instructions is asked at run time, by wolfSSL too. */
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
