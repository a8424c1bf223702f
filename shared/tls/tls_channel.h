/*
 * One TLS connection as a machine without I/O: cipher bytes in and out, plain bytes in and out. Owned by one
 * conn, used by one thread. Bounded: it keeps at most one incomplete record of input and what the caller
 * asked it to seal. No plain byte is given out before the handshake is complete and the peer's certificate
 * has passed every check of reliability (chain, leaf rules, exactly one URI SAN); whether the peer is
 * the *right* one is for the owner to decide, at the `established` moment, before the first read.
 */
#ifndef SHARED_TLS_TLS_CHANNEL_H
#define SHARED_TLS_TLS_CHANNEL_H
#include "shared/base/buf.h"
#include "shared/tls/tls_config.h"

struct tls_channel;
struct tls_peer {             /* valid once established */
    bool present;             /* false: anonymous (TLS_PEER_OPTIONAL) */
    char uri[X509_URI_MAX + 1];
    char serial[2 * X509_SERIAL_MAX + 1];
    int64_t not_after_s;
};
int tls_channel_new(struct tls_channel **ret, struct tls_config *config, struct chunk_pool *pool);
struct tls_channel *tls_channel_free(struct tls_channel *t);
/* Moves what can be used of cipher bytes in. Progress: 0 more input wanted; 1 established now (once);
 * -EPROTO, -EKEYREJECTED (peer's certificate), -ENOTCONN (ALPN not agreed): dead, see tls_channel_why(); an alert may be in out. */
int tls_channel_input(struct tls_channel *t, struct buf *cipher);
bool tls_channel_established(const struct tls_channel *t);
const struct tls_peer *tls_channel_peer(const struct tls_channel *t);
/* Opens records: appends plain bytes, at most max. 0: fine; -EPIPE: the peer closed its side (close_notify); -EPROTO; -ENOBUFS. */
int tls_channel_read(struct tls_channel *t, struct buf *plain, size_t max);
/* Seals all plain bytes into full records (several small pieces share one) appended to out. -ENOBUFS, -EPROTO. */
int tls_channel_write(struct tls_channel *t, struct buf *plain);
int tls_channel_close_notify(struct tls_channel *t);
struct buf *tls_channel_out(struct tls_channel *t); /* cipher bytes to be sent; the caller moves them away */
const char *tls_channel_why(const struct tls_channel *t); /* of the last error; never NULL */
#endif
