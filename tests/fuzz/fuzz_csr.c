/*
 * Certificate signing requests and keys. The first byte says what the rest is: 'p' a request in
 * PEM, 'P' a key in PEM, 'k' a PKCS#8 key and 's' a SEC1 key in DER, else a request in DER. DER
 * becomes PEM here.
 * covers: shared/tls/csr.c shared/tls/pem.c
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "shared/tls/csr.h"
#include "shared/tls/pem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void judge(struct text pem)
{
    uint8_t public_key[CSR_PUBLIC_MAX];
    const char *why = NULL;
    size_t len = 0;

    int r = csr_public_key(pem, public_key, sizeof public_key, &len, &why);
    assert(r == 0 || r == -EINVAL || r == -EKEYREJECTED || r == -ENOTSUP);
    assert(r < 0 ? !!why : len == KEY_PUBLIC_MAX);
}

static void read_key(struct text pem)
{
    struct key *key = NULL;
    if (key_from_pem(pem, &key) == 0) {
        char again[KEY_PEM_MAX];
        size_t len;
        assert(key_to_pem(key, again, sizeof again, &len) == 0);
        key_unref(key);
    } else {
        assert(!key);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char pem[CSR_PEM_MAX + 1];
    size_t len;

    if (size < 1)
        return 0;
    struct text rest = {(const char *)data + 1, size - 1};
    const char *label = data[0] == 'k'   ? "PRIVATE KEY"
                        : data[0] == 's' ? "EC PRIVATE KEY"
                                         : "CERTIFICATE REQUEST";
    if (data[0] == 'p' || data[0] == 'P')
        (data[0] == 'p' ? judge : read_key)(rest);
    else if (pem_encode(label, data + 1, size - 1, pem, sizeof pem, &len) == 0)
        (data[0] == 'k' || data[0] == 's' ? read_key : judge)((struct text){pem, len});
    return 0;
}
