/*
 * Input: what a client says its session is. What parses is the only text of what it means.
 * covers: shared/mesh/session.c
 */
#include "shared/mesh/session.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct session_policy p = {.absolute_ms = 3600000, .idle_ms = 60000};
    char token[SESSION_TOKEN_MAX];
    struct session s;
    if (session_parse((struct text){(const char *)data, size}, &s) < 0)
        return 0;
    (void)session_lives(&s, &p, 0x69559c00);
    /* An IPv4 address within IPv6 becomes IPv4 and is said so. */
    const char *again = session_print(&s, token);
    if (strlen(again) == size && memcmp(again, data, size) != 0)
        abort();
    if (strlen(again) > size)
        abort();
    return 0;
}
