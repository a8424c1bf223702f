/*
 * A private key that somebody else encrypted. Whatever comes: it is refused with one of its errors,
 * or it is a key that can be written and read again.
 * covers: shared/tls/key_sealed.c
 */
#include "shared/tls/key_sealed.h"
#include <errno.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look_again(struct key *key)
{
    char pem[KEY_SEALED_PEM_MAX];
    struct key *again = NULL;
    size_t len;
    if (key_sealed_to_pem(key, TEXT("correct horse"), 1, pem, sizeof pem, &len) < 0 ||
        key_sealed_from_pem((struct text){pem, len}, TEXT("correct horse"), 1, &again) < 0)
        abort();
    key_unref(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct text pem = {(const char *)data, size};
    struct key *key = NULL;
    int r = key_sealed_from_pem(pem, TEXT("correct horse"), 1000, &key);
    if (r == 0) {
        if (!key_sealed_is(pem))
            abort();
        look_again(key);
    } else if (key || (r != -EINVAL && r != -ENOTSUP && r != -EKEYREJECTED)) {
        abort();
    }
    key_unref(key);
    return 0;
}
