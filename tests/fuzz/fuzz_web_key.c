/*
 * Private keys as an operator's Secret brings them: a PEM text, or (first byte 'd') DER as our own
 * controller hands it on. What is taken says the same again.
 * covers: shared/tls/web_key.c
 */
#include <assert.h>
#include <string.h>

#include "shared/tls/web_key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct web_key *k = NULL, *again = NULL;
    const char *why = NULL;
    int r = size > 0 && data[0] == 'd' ? web_key_from_der(data + 1, size - 1, &k, &why)
                                       : web_key_from_pem((struct text){(const char *)data, size}, &k, &why);
    assert((r == 0) == (why == NULL));
    if (r < 0)
        return 0;
    struct text der = web_key_der(k);
    r = web_key_from_der((const uint8_t *)der.data, der.len, &again, &why);
    assert(r == 0 && web_key_kind(again) == web_key_kind(k));
    web_key_unref(again);
    web_key_unref(k);
    return 0;
}
