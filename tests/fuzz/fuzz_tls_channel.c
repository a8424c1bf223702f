/*
 * Two channels, and somebody between them. The input is what that one does: deliver, hold back,
 * change, repeat, invent; and what the two say meanwhile. Whatever it is: who is established knows
 * the other's true name, and what one reads is the beginning of what the other wrote.
 * covers: shared/tls/tls_channel.c shared/tls/tls_pipe.c shared/tls/peer_check.c
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/clock.h"
#include "shared/tls/tls_channel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ALICE "spiffe://cluster.local/ns/a/sa/alice"
#define BOB   "spiffe://cluster.local/ns/b/sa/bob"

static struct tls_config *configs[2]; /* Alice's as a client, Bob's as a server */

static struct x509 make(const struct x509_template *t, const struct key *key,
                        const struct x509 *issuer, const struct key *issuer_key)
{
    uint8_t public_key[KEY_PUBLIC_MAX];
    struct x509 c;
    size_t len;
    int r = key_public_der(key, public_key, sizeof public_key, &len);
    if (r == 0)
        r = x509_make(t, public_key, len, issuer, issuer_key, &c);
    if (r < 0)
        abort();
    return c;
}

static void make_configs(void)
{
    struct key *root_key, *key;
    const char *why;
    int64_t now = clock_unix_s();
    struct x509_template t = {.common_name = TEXT("root"),
                              .is_ca = true,
                              .path_len = -1,
                              .not_before_s = now - 60,
                              .not_after_s = now + 100000};
    if (key_generate(&root_key) < 0)
        abort();
    struct x509 root = make(&t, root_key, NULL, root_key);
    t = (struct x509_template){.path_len = -1,
                               .not_before_s = now - 60,
                               .not_after_s = now + 100000,
                               .server = true,
                               .client = true};
    for (int i = 0; i < 2; i++) {
        t.uri = text_of(i == 0 ? ALICE : BOB);
        if (key_generate(&key) < 0)
            abort();
        struct x509 leaf = make(&t, key, &root, root_key);
        struct tls_config_options o = {.role = i == 0 ? TLS_CLIENT : TLS_SERVER,
                                       .key = key,
                                       .chain = &leaf,
                                       .n_chain = 1,
                                       .roots = &root,
                                       .n_roots = 1,
                                       .alpn = TEXT("h2")};
        if (tls_config_new(&configs[i], &o, &why) < 0)
            abort();
        x509_done(&leaf);
        key_unref(key);
    }
    x509_done(&root);
    key_unref(root_key);
}

enum { SENT_MAX = 1 << 20 };
struct side {
    struct tls_channel *t;
    size_t n_written, n_read; /* the n-th byte that a side writes is a function of n and the side */
    uint8_t last[512];        /* what was fed to it last */
    size_t n_last;
};
static uint8_t byte_of(int side, size_t n)
{
    return (uint8_t)(n * 31 + n / 256 + (unsigned)side * 101);
}

static void feed(struct side *sides, int to, struct chunk_pool *pool, struct buf *bytes)
{
    struct side *s = &sides[to];
    struct buf plain = {0};
    uint8_t got[1024];

    s->n_last = buf_peek(bytes, s->last, sizeof s->last);
    int r = tls_channel_input(s->t, bytes);
    buf_done(bytes);
    assert(r != 1 || tls_channel_established(s->t));
    if (r < 0)
        assert(tls_channel_why(s->t));
    r = tls_channel_read(s->t, &plain, 1 << 20);
    if (!tls_channel_established(s->t))
        assert(r < 0 && plain.len == 0);
    else
        assert(strcmp(tls_channel_peer(s->t)->uri, to == 0 ? BOB : ALICE) == 0);
    while (plain.len > 0) {
        size_t n = buf_peek(&plain, got, sizeof got);
        for (size_t i = 0; i < n; i++)
            assert(got[i] == byte_of(1 - to, s->n_read++));
        buf_consume(&plain, n);
    }
    assert(s->n_read <= sides[1 - to].n_written);
    (void)pool;
}

static void say(struct side *s, int side, struct chunk_pool *pool, size_t len)
{
    struct buf plain = {0};
    uint8_t text[512];

    if (s->n_written + len > SENT_MAX || !tls_channel_established(s->t))
        return;
    for (size_t done = 0; done < len;) {
        size_t n = len - done < sizeof text ? len - done : sizeof text;
        for (size_t i = 0; i < n; i++)
            text[i] = byte_of(side, s->n_written + done + i);
        if (buf_append(&plain, pool, text, n) < 0)
            abort();
        done += n;
    }
    if (tls_channel_write(s->t, &plain) == 0)
        s->n_written += len;
    buf_done(&plain);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct chunk_pool pool;
    struct side sides[2] = {0};
    const uint8_t *end = data + size;

    if (!configs[0])
        make_configs();
    chunk_pool_init(&pool, 4096, 0);
    for (int i = 0; i < 2; i++)
        if (tls_channel_new(&sides[i].t, configs[i], &pool) < 0)
            abort();
    while (end - data >= 3) {
        enum { DELIVER, PART, CHANGE, REPEAT, INVENT, SAY, SAY_MUCH, CLOSE, END };
        int from = data[0] & 1, to = 1 - from, what = (data[0] >> 1) % (END + 1);
        size_t a = data[1], b = data[2];
        struct buf *out = tls_channel_out(sides[from].t), bytes = {0};
        data += 3;
        switch (what) {
        case DELIVER:
            buf_move(&bytes, out);
            break;
        case PART:
            if (buf_move_some(&bytes, &pool, out, a + 1) < 0)
                abort();
            break;
        case CHANGE: {
            uint8_t first[512];
            size_t n = buf_peek(out, first, sizeof first);
            buf_consume(out, n);
            if (n > 0)
                first[a * 2 % n] ^= (uint8_t)(b | 1);
            if (buf_append(&bytes, &pool, first, n) < 0)
                abort();
            buf_move(&bytes, out);
            break;
        }
        case REPEAT:
            if (buf_append(&bytes, &pool, sides[to].last, sides[to].n_last) < 0)
                abort();
            break;
        case INVENT: {
            size_t n = a < (size_t)(end - data) ? a : (size_t)(end - data);
            if (buf_append(&bytes, &pool, data, n) < 0)
                abort();
            data += n;
            break;
        }
        case SAY:
            say(&sides[from], from, &pool, a);
            continue;
        case SAY_MUCH:
            say(&sides[from], from, &pool, a * 256 + b);
            continue;
        case CLOSE:
            (void)tls_channel_close_notify(sides[from].t);
            continue;
        default:
            (void)tls_channel_end(sides[to].t);
            continue;
        }
        feed(sides, to, &pool, &bytes);
    }
    for (int i = 0; i < 2; i++)
        tls_channel_free(sides[i].t);
    chunk_pool_done(&pool);
    return 0;
}
