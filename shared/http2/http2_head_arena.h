/*
 * The header fields of the one head that is being received on a session (header blocks never
 * interleave, RFC 9113 section 4.3), copied out of the decoder. Owned by the session. Bounded:
 * the fields (pseudo headers apart), and bytes counted as RFC 9113 section 6.5.2 does (32 more per field).
 * Memory is taken at the first head and grows to the bound at most.
 */
#ifndef SHARED_HTTP2_HTTP2_HEAD_ARENA_H
#define SHARED_HTTP2_HTTP2_HEAD_ARENA_H
#include "shared/http2/http2.h"

struct http2_head_arena {
    char *data;
    size_t len, size;
    size_t counted, max, fields_max;
    size_t n, n_pseudo;
    bool secret; /* there is an authorization among the fields: it is wiped with them */
    struct {
        uint32_t start, name_len, value_len;
    } fields[HTTP2_FIELDS_MOST + HTTP2_PSEUDO_MAX];
};
/* fields_max: at most HTTP2_FIELDS_MOST. */
void http2_head_arena_init(struct http2_head_arena *a, size_t bytes_max, size_t fields_max);
void http2_head_arena_done(struct http2_head_arena *a);
void http2_head_arena_reset(struct http2_head_arena *a);
/* -E2BIG: beyond a bound; -ENOMEM. */
int http2_head_arena_add(struct http2_head_arena *a, struct text name, struct text value);
/* Views of all fields; valid until the next reset or add. Returns how many. */
size_t http2_head_arena_view(const struct http2_head_arena *a,
                             struct http2_header ret[HTTP2_HEADERS_MAX]);
#endif
