/*
 * The first bytes of a client of TLS. A name is one that may be written anywhere: letters, digits, dots
 * between them. Byte by byte comes to the same as at once: what wants more wants it within the bound,
 * and what was decided stays so, whatever follows.
 * covers: shared/tls/client_hello.c
 */
#include "shared/tls/client_hello.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_name(const char *name)
{
    size_t len = strlen(name);
    assert(len > 0 && len <= CLIENT_HELLO_NAME_MAX && name[0] != '.' && name[len - 1] != '.');
    assert(strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == len && !strstr(name, ".."));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char name[CLIENT_HELLO_NAME_MAX + 1], first[CLIENT_HELLO_NAME_MAX + 1];
    size_t want = 0, looked = 0;
    enum client_hello r = CLIENT_HELLO_MORE;
    for (size_t len = 0; len <= size && r == CLIENT_HELLO_MORE; len = want) {
        uint8_t *exact = malloc(len + 1);
        if (!exact)
            abort();
        if (len > 0)
            memcpy(exact, data, len);
        r = client_hello_read(exact, len, first, &want);
        free(exact);
        looked = len;
        assert(r != CLIENT_HELLO_MORE || (want > len && want <= CLIENT_HELLO_BYTES_MAX));
    }
    if (r == CLIENT_HELLO_NAMED)
        check_name(first);
    else
        assert(first[0] == '\0');
    if (size < looked)
        return 0;
    enum client_hello all = client_hello_read(data, size, name, &want);
    assert(r == CLIENT_HELLO_MORE || (all == r && strcmp(name, first) == 0));
    return 0;
}
