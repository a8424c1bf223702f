/*
 * What is read of a service account's token before anybody has vouched for it. Whatever comes: it
 * is turned away with a reason, or it has three parts, an end that is still to come, and says that
 * it is for us.
 * covers: ca/account_token.c
 */
#include "ca/account_token.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct text token = {(const char *)data, size};
    const char *why = NULL;
    int64_t expires_s = 0;
    int r = account_token_read(token, "weir-ca", 1800000000, &expires_s, &why);
    if (r < 0 ? !why || expires_s != 0 : !account_token_is(token) || expires_s <= 1800000000)
        abort();
    return 0;
}
