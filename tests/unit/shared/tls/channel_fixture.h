/*
 * Two channels back to back: what one has to send is fed to the other in pieces, whose sizes a seed
 * decides. No sockets.
 */
#ifndef TESTS_UNIT_SHARED_TLS_CHANNEL_FIXTURE_H
#define TESTS_UNIT_SHARED_TLS_CHANNEL_FIXTURE_H
#include "tests/unit/shared/tls/tls_fixture.h"

struct side {
    struct tls_channel *t;
    struct chunk_pool *pool;
    struct buf received; /* plain bytes */
    int result;          /* the last negative one of input or read */
    bool told;           /* input said 1 */
};
struct pair {
    struct chunk_pool pool;
    struct side client, server;
    struct rng *rng;
    size_t piece_max; /* bytes fed at once: 1 .. this */
};

static inline struct tls_config *config_make(enum tls_role role, enum tls_peer_auth auth,
                                             const struct party *own, const struct x509 *chain,
                                             size_t n_chain, const struct x509 *roots,
                                             size_t n_roots, const char *alpn)
{
    struct tls_config *c = NULL;
    const char *why = NULL;
    struct tls_config_options o = {.role = role,
                                   .peer_auth = auth,
                                   .key = own ? own->key : NULL,
                                   .chain = chain,
                                   .n_chain = n_chain,
                                   .roots = roots,
                                   .n_roots = n_roots,
                                   .alpn = text_of(alpn)};
    int r = tls_config_new(&c, &o, &why);
    if (r < 0)
        fail_msg("tls_config_new: %d: %s", r, why);
    return c;
}
/* One certificate, one root, ALPN h2. */
static inline struct tls_config *config_simple(enum tls_role role, const struct party *own,
                                               const struct party *root)
{
    return config_make(role, TLS_PEER_SVID, own, own ? &own->cert : NULL, own ? 1 : 0, &root->cert,
                       1, "h2");
}

static inline void pair_open(struct pair *p, struct tls_config *client, struct tls_config *server,
                             struct rng *rng)
{
    *p = (struct pair){.rng = rng, .piece_max = 20000};
    chunk_pool_init(&p->pool, 1000, 100);
    p->client.pool = p->server.pool = &p->pool;
    assert_int_equal(tls_channel_new(&p->client.t, client, &p->pool), 0);
    assert_int_equal(tls_channel_new(&p->server.t, server, &p->pool), 0);
}
static inline void pair_close(struct pair *p)
{
    p->client.t = tls_channel_free(p->client.t);
    p->server.t = tls_channel_free(p->server.t);
    buf_done(&p->client.received);
    buf_done(&p->server.received);
    chunk_pool_done(&p->pool);
}
static inline void side_take(struct side *s, int result)
{
    if (result == 1) {
        assert_false(s->told);
        assert_true(tls_channel_established(s->t));
        s->told = true;
    } else if (result < 0) {
        s->result = result;
    }
}
/* Feeds `to` everything that `from` has to send, and lets it read. Whether anything moved. */
static inline bool pump(struct pair *p, struct side *from, struct side *to)
{
    struct buf *out = tls_channel_out(from->t), piece = {0};
    bool moved = out->len > 0;

    while (out->len > 0) {
        size_t n = 1 + rng_below(p->rng, p->piece_max);
        if (n > out->len)
            n = out->len;
        assert_int_equal(buf_move_some(&piece, &p->pool, out, n), 0);
        side_take(to, tls_channel_input(to->t, &piece));
        if (!tls_channel_established(to->t)) {
            struct buf none = {0};
            assert_true(tls_channel_read(to->t, &none, 10000) < 0);
            assert_int_equal(none.len, 0);
        } else {
            side_take(to, tls_channel_read(to->t, &to->received, 1 + rng_below(p->rng, 40000)));
        }
        buf_done(&piece); /* what a dead channel did not take */
    }
    while (tls_channel_established(to->t)) {
        size_t before = to->received.len;
        side_take(to, tls_channel_read(to->t, &to->received, 1 + rng_below(p->rng, 40000)));
        if (to->received.len == before)
            break;
        moved = true;
    }
    return moved;
}
/* Until neither has anything to say. */
static inline void converse(struct pair *p)
{
    for (bool moved = true; moved;) {
        moved = pump(p, &p->client, &p->server);
        moved |= pump(p, &p->server, &p->client);
    }
}
static inline void say(struct pair *p, struct side *s, const void *data, size_t len)
{
    struct buf b = {0};
    assert_int_equal(buf_append(&b, &p->pool, data, len), 0);
    assert_int_equal(tls_channel_write(s->t, &b), 0);
    assert_int_equal(b.len, 0);
}
static inline void assert_received(struct side *s, const char *text)
{
    char got[256];
    size_t len = strlen(text);
    assert_int_equal(s->received.len, len);
    assert_int_equal(buf_peek(&s->received, got, sizeof got), len);
    assert_memory_equal(got, text, len);
    buf_consume(&s->received, len);
}
#endif
