/*
 * The head of a message of HTTP, the same above HTTP/1.1 and HTTP/2: what a request asks or how an
 * answer is, and its header fields in order. Trailers are the same type with fields only. Nothing in
 * it belongs to one version: there is no Host, no Connection, no Transfer-Encoding (their codec
 * takes and makes them), and content-length is just a field.
 *
 * All texts lie in an arena of the head and stay where they are until it is emptied, also those
 * that were replaced: the first HTTP_HEAD_INLINE bytes and HTTP_FIELDS_INLINE fields lie in the
 * struct itself, so an ordinary head allocates nothing; what is beyond comes from the heap in
 * blocks. At the bounds (HTTP_FIELDS_MAX, HTTP_HEAD_BYTES_MAX: what a peer may send, see the codecs'
 * options, and room for our own changes) nothing is changed and the caller is told.
 *
 * Whatever comes in is checked (http_grammar.h): what a head holds can be written to anybody.
 * Owned by its exchange, one thread; it can't be moved in memory.
 */
#ifndef SHARED_HTTP_HTTP_HEAD_H
#define SHARED_HTTP_HTTP_HEAD_H
#include "shared/base/text.h"

enum {
    HTTP_FIELDS_MAX = 128, /* 100 of a peer and our own */
    HTTP_FIELDS_INLINE = 24,
    HTTP_HEAD_BYTES_MAX = 96 * 1024, /* 64 KiB of a peer and our own */
    HTTP_HEAD_INLINE = 2048,
};

struct http_field {
    struct text name, value; /* name in lower case */
};
struct http_head_block;
struct http_head {
    unsigned status; /* of an answer, 100 to 599; 0: a request, or trailers */
    /* Of a request; {NULL, 0} where it has none. */
    struct text method, scheme;
    struct text authority; /* "host" or "host:port"; none: HTTP/1.0 without Host */
    struct text path;      /* with the query: "/a?b", or "*" of OPTIONS */
    /* What a request wants to turn into, and an answer 101 turns into: "websocket"; the one element
     * of Upgrade, or :protocol of an extended CONNECT (RFC 8441). */
    struct text protocol;
    struct http_field *fields; /* [0 .. n), in the order of the message; read only */
    size_t n;

    /* The arena's own. */
    struct http_head_block *blocks;
    char *at;
    size_t left, bytes, fields_size;
    struct http_field first_fields[HTTP_FIELDS_INLINE];
    char first[HTTP_HEAD_INLINE];
};
void http_head_init(struct http_head *h);
void http_head_done(struct http_head *h); /* gives all memory back; empty and usable again */
/* A deep copy into `to`, which was empty; -ENOMEM, -E2BIG: `to` is empty. */
int http_head_copy(struct http_head *to, const struct http_head *from);

/* ---- Looking. Names are given in lower case. */

struct text http_head_get(const struct http_head *h,
                          struct text name); /* the first; or {NULL, 0} */
/* The next field of that name from index *at on, which is moved behind it; NULL: no more. */
const struct http_field *http_head_next(const struct http_head *h, struct text name, size_t *at);
/* All values of that name as one, "a, b" (cookie: "a; b"), as RFC 9110 section 5.3 joins them: where
 * there are several, made in the arena. -ENOENT, -ENOMEM, -E2BIG. */
int http_head_joined(struct http_head *h, struct text name, struct text *ret_value);

/* ---- Changing. What is given is copied, names in lower case. -EINVAL: the name is no token, or the
 * value can't stand in a field; -E2BIG: beyond a bound; -ENOMEM. After an error nothing changed. */

int http_head_add(struct http_head *h, struct text name, struct text value); /* one more field */
/* The only field of that name, where the first one was, or at the end. */
int http_head_set(struct http_head *h, struct text name, struct text value);
/* ", value" at the end of the last field of that name; where there is none, as add. */
int http_head_append(struct http_head *h, struct text name, struct text value);
size_t http_head_remove(struct http_head *h, struct text name); /* all of that name; how many */
void http_head_remove_at(struct http_head *h, size_t index);
/* Of a request; -EINVAL as above: method and protocol are tokens, the scheme "http" or "https"; the
 * authority may be empty. */
int http_head_set_method(struct http_head *h, struct text method);
int http_head_set_scheme(struct http_head *h, struct text scheme);
int http_head_set_authority(struct http_head *h, struct text authority);
int http_head_set_path(struct http_head *h, struct text path);
int http_head_set_protocol(struct http_head *h, struct text protocol);

/* ---- The arena, for codecs and those who build values in place. */

/* Memory that lives as long as the head's texts. -E2BIG, -ENOMEM. */
int http_head_alloc(struct http_head *h, size_t size, char **ret);
/* Makes *memory larger: `size` bytes that http_head_alloc() or this gave last, of which `used` are
 * kept; it may move. After -E2BIG or -ENOMEM it is as before. */
int http_head_enlarge(struct http_head *h, char **memory, size_t size, size_t used, size_t want);
/* As add, of texts that live as long as the head and are right already: nothing is copied or
 * checked. -E2BIG, -ENOMEM. */
int http_head_add_view(struct http_head *h, struct text name, struct text value);
#endif
