#define _GNU_SOURCE
#include <wolfssl/options.h>

#include <wolfssl/ssl.h>

#include "shared/tls/tls_pipe.h"

#include <stdlib.h>
#include <string.h>

enum {
    RECORD_HEADER = 5,
    RECORD_MAX = 16384 + 256, /* RFC 8446, 5.2 */
    SPILL_MAX = 256 * 1024,   /* a handshake's largest flight: chains of certificates */
};
enum record_state { RECORD_NONE, RECORD_WHOLE, RECORD_BAD };

/* Is there a whole record at the front of what was fed? *ret_len (with its header) only then. What
 * begins like no record (RFC 8446, 5.1) is seen at once, for it may never become long enough. */
static enum record_state next_record(const struct tls_pipe *p, size_t *ret_len)
{
    enum { TYPE_FIRST = 20, TYPE_LAST = 23, VERSION_MAJOR = 3 };
    uint8_t header[RECORD_HEADER];
    size_t n = buf_peek(&p->in, header, sizeof header);

    if ((n > 0 && (header[0] < TYPE_FIRST || header[0] > TYPE_LAST)) ||
        (n > 1 && header[1] != VERSION_MAJOR))
        return RECORD_BAD;
    if (n < sizeof header)
        return RECORD_NONE;
    size_t len = (size_t)header[3] << 8 | header[4];
    if (len > RECORD_MAX)
        return RECORD_BAD;
    if (p->in.len < RECORD_HEADER + len)
        return RECORD_NONE;
    *ret_len = RECORD_HEADER + len;
    return RECORD_WHOLE;
}

bool tls_pipe_has_input(const struct tls_pipe *p)
{
    size_t len;
    return p->record_left > 0 || next_record(p, &len) != RECORD_NONE;
}

static int receive(WOLFSSL *ssl, char *to, int size, void *owner)
{
    struct tls_pipe *p = owner;

    (void)ssl;
    if (p->record_left == 0) {
        switch (next_record(p, &p->record_left)) {
        case RECORD_NONE:
            return WOLFSSL_CBIO_ERR_WANT_READ;
        case RECORD_BAD:
            p->why = "this is not TLS, or a record is too long";
            return WOLFSSL_CBIO_ERR_GENERAL;
        case RECORD_WHOLE:
            break;
        }
    }
    size_t n = (size_t)size < p->record_left ? (size_t)size : p->record_left;
    n = buf_peek(&p->in, to, n);
    buf_consume(&p->in, n);
    p->record_left -= n;
    return (int)n;
}

static bool spill(struct tls_pipe *p, const char *data, size_t len)
{
    if (len > SPILL_MAX - p->spill_len)
        return false;
    uint8_t *larger = realloc(p->spill, p->spill_len + len);
    if (!larger)
        return false;
    memcpy(larger + p->spill_len, data, len);
    p->spill = larger;
    p->spill_len += len;
    return true;
}

bool tls_pipe_settle(struct tls_pipe *p)
{
    if (p->spill_len == 0)
        return true;
    if (buf_append(&p->out, p->pool, p->spill, p->spill_len) < 0)
        return false;
    free(p->spill);
    p->spill = NULL;
    p->spill_len = 0;
    return true;
}

bool tls_pipe_make_room(struct tls_pipe *p, size_t want)
{
    if (!tls_pipe_settle(p) || !buf_reserve(&p->out, p->pool, want))
        return false;
    buf_commit(&p->out, 0); /* a chunk that goes back to the pool here is there again in a moment */
    return true;
}

/* One record goes into one chunk: the ring sends fewer pieces then. */
static bool put(struct tls_pipe *p, const char *data, size_t len)
{
    if (len > CHUNK_BYTES)
        return buf_append(&p->out, p->pool, data, len) == 0;
    uint8_t *room = buf_reserve(&p->out, p->pool, len);
    if (!room)
        return false;
    memcpy(room, data, len);
    buf_commit(&p->out, len);
    return true;
}

static int deliver(WOLFSSL *ssl, char *data, int size, void *owner)
{
    struct tls_pipe *p = owner;

    (void)ssl;
    if ((tls_pipe_settle(p) && put(p, data, (size_t)size)) || spill(p, data, (size_t)size))
        return size;
    p->why = "out of memory";
    return WOLFSSL_CBIO_ERR_GENERAL;
}

void tls_pipe_init(struct tls_pipe *p, struct chunk_pool *pool, WOLFSSL *ssl)
{
    *p = (struct tls_pipe){.pool = pool};
    wolfSSL_SSLSetIORecv(ssl, receive);
    wolfSSL_SSLSetIOSend(ssl, deliver);
    wolfSSL_SetIOReadCtx(ssl, p);
    wolfSSL_SetIOWriteCtx(ssl, p);
}

void tls_pipe_done(struct tls_pipe *p)
{
    buf_done(&p->in);
    buf_done(&p->out);
    free(p->spill);
    *p = (struct tls_pipe){0};
}
