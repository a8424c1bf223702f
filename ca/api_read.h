/*
 * What callers of the JSON API send, taken apart: bodies, the query of a list, the Authorization
 * field. Strict: an unknown member is an error. Pure. Bounded: API_BODY_MAX, and few values.
 */
#ifndef CA_API_READ_H
#define CA_API_READ_H
#include "ca/change.h"
#include "shared/json/json.h"

enum { API_BODY_MAX = 64 * 1024, API_ROWS_MAX = 1000, API_ROWS = 100, API_REASON_MAX = 256 };
struct api_error { /* the first one */
    char field[64]; /* "": of the whole request */
    char message[JSON_ERROR_MAX];
};
struct api_body { /* texts point into the tree; api_body_done() */
    struct json *tree;
    const char *csr, *impersonate; /* impersonate "": the caller's own */
    int64_t ttl_s;                 /* 0: as usual */
    struct change_token token;
    struct change_revocation revocation;
};
/* 0, -EINVAL with the error, -ENOMEM. */
int api_read_issue(struct text body, struct api_body *ret, struct api_error *e);
int api_read_token(struct text body, struct api_body *ret, struct api_error *e);
int api_read_revocation(struct text body, struct api_body *ret, struct api_error *e);
void api_body_done(struct api_body *b);

struct api_query {
    char identity[SPIFFE_ID_TEXT_MAX]; /* "": all */
    uint64_t rows_max;
};
int api_read_query(struct text query, struct api_query *ret, struct api_error *e);
/* The token of `Authorization: Bearer TOKEN` (RFC 6750, 2.1); empty: there is no such field. False:
 * another scheme, or malformed. */
bool api_read_bearer(struct text authorization, struct text *ret);
#endif
