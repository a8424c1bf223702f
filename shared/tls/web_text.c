#include "shared/tls/web_text.h"

#include <errno.h>

#include "shared/tls/pem.h"
#include "shared/tls/secret.h"

static int make_room(struct web_text *t, size_t size)
{
    if (size > WEB_TEXT_MAX)
        return -E2BIG;
    *t = (struct web_text){.data = secret_new(size + 1), .size = size + 1};
    return t->data ? 0 : -ENOMEM;
}

int web_text_set(struct web_text *t, struct text plain)
{
    int r = make_room(t, plain.len);
    if (r == 0) {
        memcpy(t->data, plain.data, plain.len);
        t->len = plain.len;
    }
    return r;
}

int web_text_decode(struct web_text *t, struct text base64)
{
    int r = make_room(t, base64.len);
    if (r < 0)
        return r;
    if (pem_decode(base64, (uint8_t *)t->data, t->size, &t->len) < 0) {
        web_text_done(t);
        return -EINVAL;
    }
    return 0;
}

void web_text_done(struct web_text *t)
{
    secret_free(t->data, t->size);
    *t = (struct web_text){.data = NULL};
}
