#define _GNU_SOURCE
#include <wolfssl/options.h>

#include <wolfssl/error-ssl.h>
#include <wolfssl/ssl.h>
#include <wolfssl/wolfcrypt/error-crypt.h>

#include "shared/tls/tls_channel.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "shared/tls/peer_check.h"
#include "shared/tls/tls_context.h"
#include "shared/tls/tls_pipe.h"

enum {
    RECORD_PLAIN_MAX = 16384,
    RECORD_GROWTH = 64,        /* header, content type, tag, and some */
    FLIGHT_BYTES = 4096,       /* what a step of the handshake usually sends */
    READ_ROOM_MIN = 2048,      /* less room in the last chunk is left unused */
    SEAL_ALONE_MIN = 8192,     /* a piece so large is sealed where it lies */
    RECORDS_PER_KEY = 1 << 20, /* AES-GCM is good for 2^24.5 (RFC 8446, 5.5) */
    ANSWERS_FREE = 64,         /* key updates that a peer may ask for without sending data */
    ANSWER_PER_BYTES = 16384,
};
_Static_assert(RECORD_PLAIN_MAX + RECORD_GROWTH <= (int)CHUNK_BYTES, "a record fits into a chunk");

struct tls_channel {
    WOLFSSL *ssl;
    struct tls_config *config;
    struct chunk_pool *pool;
    struct tls_pipe pipe;
    struct peer_check check;
    struct tls_peer peer; /* valid once established */
    const char *why;
    int dead; /* -errno of the end, 0: alive */
    bool established, peer_closed, closed;
    uint32_t records_sealed; /* with the present key */
    uint64_t answers, bytes_read;
};

static int die(struct tls_channel *t, int error, const char *why)
{
    if (t->dead == 0)
        t->dead = error;
    t->why = why;
    return t->dead;
}

/* Alerts by which a peer refuses a certificate, RFC 8446, 6.2. */
static bool is_certificate_alert(int code)
{
    enum {
        BAD_CERTIFICATE = 42,
        CERTIFICATE_UNKNOWN = 46, /* 43 unsupported, 44 revoked, 45 expired */
        UNKNOWN_CA = 48,
        ACCESS_DENIED = 49,
        CERTIFICATE_REQUIRED = 116,
    };
    return (code >= BAD_CERTIFICATE && code <= CERTIFICATE_UNKNOWN) || code == UNKNOWN_CA ||
           code == ACCESS_DENIED || code == CERTIFICATE_REQUIRED;
}

static int received_alert(const struct tls_channel *t)
{
    WOLFSSL_ALERT_HISTORY history;
    if (wolfSSL_get_alert_history(t->ssl, &history) != WOLFSSL_SUCCESS ||
        history.last_rx.level != alert_fatal)
        return -1;
    return history.last_rx.code;
}

/* The library refused the peer's certificate, or its proof to have the key, before it asked us. */
static bool is_certificate_error(int error)
{
    switch (error) {
    case ASN_ECC_KEY_E:
    case ASN_NO_SIGNER_E:
    case ASN_NAME_INVALID_E:
    case KEYUSAGE_E:
    case EXTKEYUSAGE_E:
    case ASN_PATHLEN_SIZE_E:
    case ASN_PATHLEN_INV_E:
    case ASN_SELF_SIGNED_E:
    case ASN_DEPTH_E:
    case ASN_LEN_E:
    case SIG_VERIFY_E:
    case VERIFY_CERT_ERROR:
    case VERIFY_SIGN_ERROR:
    case PEER_KEY_ERROR:
    case NO_PEER_CERT:
    case NO_PEER_VERIFY:
    case MAX_CHAIN_ERROR:
    case KEYUSE_SIGNATURE_E:
    case KEYUSE_ENCIPHER_E:
    case EXTKEYUSE_AUTH_E:
    case RSA_KEY_SIZE_E:
    case ECC_KEY_SIZE_E:
        return true;
    default:
        return error <= ASN_PARSE_E && error >= ASN_NO_PEM_HEADER;
    }
}

/* The library failed with this error: what does it mean for the channel? */
static int fail(struct tls_channel *t, int error)
{
    enum { NO_APPLICATION_PROTOCOL = 120 };
    int alert;

    if (t->check.why)
        return die(t, -EKEYREJECTED, t->check.why);
    if (!t->established && is_certificate_error(error))
        return die(t, -EKEYREJECTED,
                   error == NO_PEER_CERT || error == NO_PEER_VERIFY
                       ? "the peer sent no certificate"
                       : wolfSSL_ERR_reason_error_string((unsigned long)error));
    switch (error) {
    case MEMORY_E:
        return die(t, -ENOMEM, "out of memory");
    case UNKNOWN_ALPN_PROTOCOL_NAME_E:
        return die(t, -ENOTCONN, "the peer does not speak our protocol (ALPN)");
    case SOCKET_ERROR_E:
        return die(t, -EPROTO, t->pipe.why ? t->pipe.why : "the TLS library gave up");
    case FATAL_ERROR: /* the peer sent a fatal alert */
        alert = received_alert(t);
        if (is_certificate_alert(alert))
            return die(t, -EKEYREJECTED, "the peer does not accept our certificate");
        if (alert == NO_APPLICATION_PROTOCOL)
            return die(t, -ENOTCONN, "the peer does not speak our protocol (ALPN)");
        return die(t, -EPROTO, "the peer ended the connection with an alert");
    default:
        return die(t, -EPROTO, wolfSSL_ERR_reason_error_string((unsigned long)error));
    }
}

static const char *check_alpn(const struct tls_channel *t)
{
    char *name = NULL;
    unsigned short len = 0;
    const char *own = t->config->alpn;

    /* The library has agreed to one of ours, or was asked for none. */
    if (own[0] == '\0' || t->config->peer_auth == TLS_PEER_NOBODY)
        return NULL;
    bool said = wolfSSL_ALPN_GetProtocol(t->ssl, &name, &len) == WOLFSSL_SUCCESS && name;
    if (!said && t->config->alpn_free)
        return NULL;
    if (said && len == strlen(own) && memcmp(name, own, len) == 0)
        return NULL;
    return "the peer does not speak our protocol (ALPN)";
}

/* The handshake is complete, for the library. */
static int finish(struct tls_channel *t)
{
    const char *why = NULL;
    int error = -EPROTO;

    if (wolfSSL_version(t->ssl) != TLS1_3_VERSION)
        why = "not TLS 1.3";
    if (!why) {
        why = peer_check_finish(&t->check, t->ssl);
        error = why ? -EKEYREJECTED : error;
    }
    if (!why) {
        why = check_alpn(t);
        error = why ? -ENOTCONN : error;
    }
    if (why) {
        wolfSSL_shutdown(t->ssl);
        return die(t, error, why);
    }
    t->established = true;
    t->peer = (struct tls_peer){.present = t->check.good,
                                .uri = t->check.good ? t->check.uri : "",
                                .not_after_s = t->check.not_after_s};
    memcpy(t->peer.serial, t->check.serial, sizeof t->peer.serial);
    memcpy(t->peer.root, t->check.root, sizeof t->peer.root);
    wolfSSL_FreeHandshakeResources(t->ssl);
    return 1;
}

static int shake_hands(struct tls_channel *t)
{
    if (!tls_pipe_make_room(&t->pipe, FLIGHT_BYTES))
        return -ENOBUFS;
    int r = wolfSSL_negotiate(t->ssl);
    if (r == WOLFSSL_SUCCESS)
        return finish(t);
    int error = wolfSSL_get_error(t->ssl, r);
    if (error != WOLFSSL_ERROR_WANT_READ)
        return fail(t, error);
    return tls_pipe_settle(&t->pipe) ? 0 : -ENOBUFS;
}

int tls_channel_new(struct tls_channel **ret, struct tls_config *config, struct chunk_pool *pool)
{
    struct tls_channel *t = calloc(1, sizeof *t);

    if (!t)
        return -ENOMEM;
    t->config = tls_config_ref(config);
    t->pool = pool;
    t->why = "";
    peer_check_init(&t->check, config);
    t->ssl = wolfSSL_new(config->context);
    if (!t->ssl ||
        (config->alpn[0] && wolfSSL_UseALPN(t->ssl, config->alpn, (unsigned)strlen(config->alpn),
                                            WOLFSSL_ALPN_FAILED_ON_MISMATCH) != WOLFSSL_SUCCESS)) {
        tls_channel_free(t);
        return -ENOMEM;
    }
    tls_pipe_init(&t->pipe, pool, t->ssl);
    wolfSSL_SetCertCbCtx(t->ssl, &t->check);
    wolfSSL_SetRsaPssSignCtx(t->ssl, config);
    if (config->role == TLS_CLIENT) {
        int r = shake_hands(t);
        if (r < 0 && r != -ENOBUFS) { /* no peer is there yet that could be to blame */
            tls_channel_free(t);
            return -ENOMEM;
        }
    }
    *ret = t;
    return 0;
}

struct tls_channel *tls_channel_free(struct tls_channel *t)
{
    if (!t)
        return NULL;
    wolfSSL_free(t->ssl);
    tls_pipe_done(&t->pipe);
    peer_check_done(&t->check);
    tls_config_unref(t->config);
    free(t);
    return NULL;
}

int tls_channel_input(struct tls_channel *t, struct buf *cipher)
{
    if (t->dead)
        return t->dead;
    buf_move(&t->pipe.in, cipher);
    return t->established ? 0 : shake_hands(t);
}

bool tls_channel_established(const struct tls_channel *t)
{
    return t->established;
}

const struct tls_peer *tls_channel_peer(const struct tls_channel *t)
{
    assert(t->established);
    return &t->peer;
}

/* Only key updates make the library answer while we read. A peer that sends nothing else wants
 * our time. */
static bool answers_too_much(struct tls_channel *t, size_t out_before)
{
    if (tls_pipe_out_len(&t->pipe) != out_before)
        t->answers++;
    return t->answers > ANSWERS_FREE + t->bytes_read / ANSWER_PER_BYTES;
}

/* The room that is left in the last chunk if it is worth it, else a new chunk. */
static uint8_t *room_for(struct buf *plain, struct chunk_pool *pool, size_t max, size_t *ret_size)
{
    size_t want = max < RECORD_PLAIN_MAX ? max : RECORD_PLAIN_MAX;
    size_t left = plain->tail ? CHUNK_BYTES - plain->tail->end : 0;

    if (left < want && left >= READ_ROOM_MIN)
        want = left;
    *ret_size = want;
    return buf_reserve(plain, pool, want);
}

int tls_channel_read(struct tls_channel *t, struct buf *plain, size_t max)
{
    if (t->dead)
        return t->dead;
    if (!t->established)
        return -ENOTCONN;
    /* Without input no chunk is taken. */
    while (max > 0 && !t->peer_closed &&
           (wolfSSL_pending(t->ssl) > 0 || tls_pipe_has_input(&t->pipe))) {
        size_t size, before = tls_pipe_out_len(&t->pipe);
        uint8_t *room = room_for(plain, t->pool, max, &size);
        if (!room)
            return -ENOBUFS;
        int r = wolfSSL_read(t->ssl, room, (int)size);
        buf_commit(plain, r > 0 ? (size_t)r : 0);
        if (r > 0) {
            max -= (size_t)r;
            t->bytes_read += (size_t)r;
        }
        if (answers_too_much(t, before))
            return die(t, -EPROTO, "the peer only changes keys");
        if (r > 0)
            continue;
        int error = wolfSSL_get_error(t->ssl, r);
        if (error == WOLFSSL_ERROR_ZERO_RETURN)
            t->peer_closed = true;
        else if (error != WOLFSSL_ERROR_WANT_READ)
            return fail(t, error);
    }
    if (!tls_pipe_settle(&t->pipe))
        return -ENOBUFS;
    return t->peer_closed ? -EPIPE : 0;
}

/* The bytes of the next record: in place if they lie together or are many, else gathered into
 * staging. */
static const uint8_t *next_record(const struct buf *plain, uint8_t staging[static RECORD_PLAIN_MAX],
                                  size_t *ret_len)
{
    const struct chunk *c = plain->head;

    while (chunk_len(c) == 0)
        c = c->next;
    size_t len = chunk_len(c);
    if (len == plain->len || len >= SEAL_ALONE_MIN) {
        *ret_len = len < RECORD_PLAIN_MAX ? len : RECORD_PLAIN_MAX;
        return c->data + c->start;
    }
    *ret_len = buf_peek(plain, staging, RECORD_PLAIN_MAX);
    return staging;
}

/* The library would do this by itself, but counts to 2^40 where it means 2^24. */
static int change_keys(struct tls_channel *t)
{
    if (!tls_pipe_make_room(&t->pipe, RECORD_GROWTH))
        return -ENOBUFS;
    int r = wolfSSL_update_keys(t->ssl);
    if (r != WOLFSSL_SUCCESS)
        return fail(t, r);
    t->records_sealed = 0;
    return 0;
}

int tls_channel_write(struct tls_channel *t, struct buf *plain)
{
    static _Thread_local uint8_t staging[RECORD_PLAIN_MAX];

    if (t->dead)
        return t->dead;
    if (!t->established)
        return -ENOTCONN;
    if (t->closed)
        return -EPIPE;
    while (plain->len > 0) {
        int r = t->records_sealed < RECORDS_PER_KEY ? 0 : change_keys(t);
        if (r < 0)
            return r;
        size_t len;
        const uint8_t *data = next_record(plain, staging, &len);
        if (!tls_pipe_make_room(&t->pipe, len + RECORD_GROWTH))
            return -ENOBUFS;
        r = wolfSSL_write(t->ssl, data, (int)len);
        if (r != (int)len)
            return fail(t, wolfSSL_get_error(t->ssl, r));
        buf_consume(plain, len);
        t->records_sealed++;
    }
    return 0;
}

int tls_channel_close_notify(struct tls_channel *t)
{
    if (t->dead || t->closed)
        return 0;
    if (!tls_pipe_make_room(&t->pipe, RECORD_GROWTH))
        return -ENOBUFS;
    t->closed = true;
    wolfSSL_shutdown(t->ssl);
    return 0;
}

int tls_channel_end(struct tls_channel *t)
{
    if (t->dead)
        return t->dead;
    return t->peer_closed ? 0 : die(t, -EPROTO, "the connection was cut without close_notify");
}

struct buf *tls_channel_out(struct tls_channel *t)
{
    (void)tls_pipe_settle(&t->pipe);
    return &t->pipe.out;
}

const char *tls_channel_why(const struct tls_channel *t)
{
    return t->why ? t->why : "";
}
