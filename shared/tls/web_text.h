/*
 * A text that an operator's Secret holds in base 64, such as a private key in PEM: decoded into secret
 * memory, wiped when it is given back. Pure; owned by whoever has it. Bounded: WEB_TEXT_MAX.
 */
#ifndef SHARED_TLS_WEB_TEXT_H
#define SHARED_TLS_WEB_TEXT_H
#include "shared/base/text.h"

enum { WEB_TEXT_MAX = 1024 * 1024 };
struct web_text {
    char *data; /* secret memory of `size` bytes; NULL: nothing */
    size_t len, size;
};
int web_text_set(struct web_text *t, struct text plain);  /* -E2BIG, -ENOMEM */
int web_text_decode(struct web_text *t, struct text base64); /* -EINVAL, -E2BIG, -ENOMEM */
void web_text_done(struct web_text *t);
#endif
