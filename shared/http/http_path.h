/*
 * The path of a request in the one form in which it is matched, decided on and forwarded (RFC 3986
 * section 6; the modes are those of Istio's pathNormalization and mean what they mean there), and
 * its query. Pure.
 */
#ifndef SHARED_HTTP_HTTP_PATH_H
#define SHARED_HTTP_HTTP_PATH_H
#include "shared/http/http_head.h"

enum http_path_mode {
    HTTP_PATH_NONE, /* as it came */
    /* "." and ".." are resolved, also written as %2e; what needn't be encoded is decoded ("%41" is
     * "A"); '\' is '/'. Istio's default. */
    HTTP_PATH_BASE,
    HTTP_PATH_MERGE_SLASHES,            /* and "//" is "/" */
    HTTP_PATH_DECODE_AND_MERGE_SLASHES, /* and before all that, %2f and %5c are '/' and '\' */
    HTTP_PATH_STRICT, /* as MERGE_SLASHES; %2f, %5c and '\' and segments "..;x" are refused */
};
/* Brings h->path into that form; the query stays as it is. In all modes but NONE refused with
 * -EINVAL: "%" without two hexadecimal digits, %00 and other control characters. -ENOMEM, -E2BIG.
 * After an error the path is as it was. "*" is left alone. */
int http_path_normalize(struct http_head *h, enum http_path_mode mode);

/* "/a?b" into "/a" and "b"; {NULL, 0}: there is no '?'. */
void http_path_split(struct text path, struct text *ret_path, struct text *ret_query);
/* The next "name=value" off the front of *query, as sent; empty ones are left out, without '=' the
 * value is empty. False: no more. */
bool http_query_next(struct text *query, struct text *ret_name, struct text *ret_value);
/* What the sender of a query meant: percent and '+' decoded, to `out`, which has room for t.len
 * bytes; a '%' that begins nothing stands for itself. Returns the length. */
size_t http_query_decode(struct text t, char *out);
#endif
