/*
 * What a TLS library believes to be its socket: cipher bytes that were fed and not yet opened, and
 * cipher bytes to be sent, as chunks. The library is given whole records only, so that it holds no
 * memory for halves. It may always send: what finds no chunk is kept on the heap (at most SPILL_MAX
 * bytes) and follows later, because the library, once refused, mixes up its answers to the peer
 * with our own data. Embedded in a tls_channel. Inside shared/tls only.
 */
#ifndef SHARED_TLS_TLS_PIPE_H
#define SHARED_TLS_TLS_PIPE_H
#include "shared/base/buf.h"

struct WOLFSSL;
struct tls_pipe {
    struct chunk_pool *pool;
    struct buf in;      /* its first record_left bytes are of a whole record */
    size_t record_left; /* of it, not yet taken by the library */
    struct buf out;
    uint8_t *spill; /* follows out; owned */
    size_t spill_len;
    const char *why; /* why the library was told that its socket is broken; NULL: it was not */
};
void tls_pipe_init(struct tls_pipe *p, struct chunk_pool *pool, struct WOLFSSL *ssl);
void tls_pipe_done(struct tls_pipe *p);
/* A whole record waits, or something that can't be one: the library has something to do. */
bool tls_pipe_has_input(const struct tls_pipe *p);
/* Moves what was spilt into out; false: there is still no chunk for it. */
bool tls_pipe_settle(struct tls_pipe *p);
/* The next `want` bytes (up to CHUNK_BYTES) will find a chunk; false: none is there. */
bool tls_pipe_make_room(struct tls_pipe *p, size_t want);
static inline size_t tls_pipe_out_len(const struct tls_pipe *p)
{
    return p->out.len + p->spill_len;
}
#endif
