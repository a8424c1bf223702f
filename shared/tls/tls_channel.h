/*
 * One TLS connection as a machine without I/O: cipher bytes in and out, plain bytes in and out.
 * Owned by one conn, used by one thread. Bounded: it keeps what it was fed and has not yet been
 * asked to open (so stop feeding when you stop reading), and what the caller asked it to seal. No
 * plain byte is given out before the handshake is complete and the peer's certificate has passed
 * every check of reliability (chain, leaf rules, exactly one URI SAN); whether the peer is the
 * *right* one is for the owner to decide, at the `established` moment, before the first read.
 */
#ifndef SHARED_TLS_TLS_CHANNEL_H
#define SHARED_TLS_TLS_CHANNEL_H
#include "shared/base/buf.h"
#include "shared/tls/tls_config.h"

struct tls_channel;
struct tls_peer {    /* valid once established, as long as the channel */
    bool present;    /* false: anonymous (TLS_PEER_OPTIONAL) */
    const char *uri; /* "" if not present */
    char serial[2 * X509_SERIAL_MAX + 1];
    int64_t not_after_s; /* of the certificate, or of a CA on its path that ends before it */
    uint8_t root[TLS_ROOT_BYTES]; /* which root it leads to: see tls_config_root_keys() */
};
/* Takes a reference to the config. A client's first message is in out at once. */
int tls_channel_new(struct tls_channel **ret, struct tls_config *config, struct chunk_pool *pool);
struct tls_channel *tls_channel_free(struct tls_channel *t);
/* Moves all cipher bytes in (none is fine: goes on after -ENOBUFS). Progress: 0 more input
 * wanted, or established before; 1 established now (once); -EPROTO, -EKEYREJECTED (peer's
 * certificate, or the peer rejects ours), -ENOTCONN (ALPN not agreed), -ENOMEM: dead, see
 * tls_channel_why(); an alert may be in out. -ENOBUFS: no chunk for what must be sent; call
 * again when there is one. */
int tls_channel_input(struct tls_channel *t, struct buf *cipher);
bool tls_channel_established(const struct tls_channel *t);
const struct tls_peer *tls_channel_peer(const struct tls_channel *t);
/* Opens records: appends plain bytes, at most max. What was appended counts, whatever the
 * result: 0: fine (fewer than max: all input is used up); -EPIPE: the peer closed its side
 * (close_notify); -EPROTO; -EKEYREJECTED: the peer rejects our certificate, which a TLS 1.3
 * client learns only here; -ENOBUFS: no chunk, call again when there is one; -ENOTCONN: not yet
 * established. */
int tls_channel_read(struct tls_channel *t, struct buf *plain, size_t max);
/* Seals all plain bytes into full records (several small pieces share one) appended to out.
 * -ENOBUFS: the rest stays in plain, call again; -EPROTO; -ENOTCONN: not yet established;
 * -EPIPE: after tls_channel_close_notify(). */
int tls_channel_write(struct tls_channel *t, struct buf *plain);
/* Says that we send nothing more; reading goes on. Fine to repeat, and on a dead channel.
 * -ENOBUFS. */
int tls_channel_close_notify(struct tls_channel *t);
/* The connection below has ended. 0: the peer had said so before (close_notify); -EPROTO: bytes
 * may be missing, somebody cut the connection. */
int tls_channel_end(struct tls_channel *t);
/* Cipher bytes to be sent; the caller moves them away. */
struct buf *tls_channel_out(struct tls_channel *t);
const char *tls_channel_why(const struct tls_channel *t); /* of the last error; never NULL */
#endif
