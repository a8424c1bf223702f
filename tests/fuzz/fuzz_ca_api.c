/*
 * What callers of the CA's JSON API send. Whatever comes: it is refused with a message, or it keeps
 * the limits of what it asks for.
 * covers: ca/api_read.c
 */
#include "ca/api_read.h"
#include <errno.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool good)
{
    if (!good)
        abort();
}

static void judge(int r, const struct api_body *b, const struct api_error *e)
{
    must(r == 0 ? b->tree != NULL : r == -EINVAL && e->message[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct text all = {(const char *)data, size};
    struct api_query q;
    struct api_body b;
    struct api_error e = {.field = ""};
    struct text token;
    const char *field;
    int r = api_read_issue(all, &b, &e);
    judge(r, &b, &e);
    must(r < 0 || (b.csr[0] && b.ttl_s >= 0 && strlen(b.impersonate) < SPIFFE_ID_TEXT_MAX));
    api_body_done(&b);
    r = api_read_token(all, &b, &e);
    judge(r, &b, &e);
    must(r < 0 || (!b.token.node != !b.token.identity && !change_token_check(&b.token, &field)));
    api_body_done(&b);
    r = api_read_revocation(all, &b, &e);
    judge(r, &b, &e);
    must(r < 0 || !b.revocation.identity != !b.revocation.serial);
    api_body_done(&b);
    r = api_read_query(all, &q, &e);
    must(r < 0 ? e.message[0] : q.rows_max >= 1 && q.rows_max <= API_ROWS_MAX);
    must(!api_read_bearer(all, &token) || !memchr(token.data, ' ', token.len));
    return 0;
}
