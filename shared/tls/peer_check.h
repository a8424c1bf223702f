/*
 * Who the peer is: the judgement over its certificate, made in the middle of the handshake, before
 * anything is sent in answer to it. The library's own trust store stays empty: it would keep
 * intermediates that peers sent for all later peers, knows nothing of SPIFFE, and has been made to
 * believe forged CA copies. So it finds no signer for any certificate and asks us; the search of
 * x509_verify.c decides, with roots that nobody can add to. Every other complaint of the library is
 * final, but it leaves out some checks when it has no signer (dates, key sizes, critical
 * extensions): they are ours, too. Of a server of the web the certificate must be for one of the names
 * that its configuration has (web_client.h) instead of being an SVID. Owned by a tls_channel. Inside shared/tls only.
 */
#ifndef SHARED_TLS_PEER_CHECK_H
#define SHARED_TLS_PEER_CHECK_H
#include "shared/tls/digest.h"
#include "shared/tls/tls_context.h"

struct WOLFSSL;
struct WOLFSSL_X509_STORE_CTX;
struct peer_check {
    const struct tls_config *config;
    bool good;                  /* a leaf was judged, and may pass */
    const char *why;            /* it may not; NULL else */
    uint8_t leaf[DIGEST_BYTES]; /* SHA-256 of the leaf that was judged */
    char *uri;                  /* owned; valid if good */
    char serial[2 * X509_SERIAL_MAX + 1];
    int64_t not_after_s;        /* of the path */
    uint8_t root[DIGEST_BYTES]; /* SHA-256 of the key of the root that the path leads to */
};
void peer_check_init(struct peer_check *p, const struct tls_config *config);
void peer_check_done(struct peer_check *p);
/* The library's verify callback; its context is the struct peer_check. */
int peer_check_certificate(int library_says_good, struct WOLFSSL_X509_STORE_CTX *store);
/* After the handshake, before the first byte: NULL, or why the connection must end. The
 * certificate that the library holds as the peer's must be the one that was judged; none is only
 * good where none is needed. */
const char *peer_check_finish(const struct peer_check *p, struct WOLFSSL *ssl);
#endif
