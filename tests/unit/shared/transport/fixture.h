/*
 * What the tests of this folder share: a ring that runs until a condition holds (with a deadline
 * that fails the test), pairs of connected sockets, and TLS identities below one root. One thread;
 * everything is made and given back per test.
 */
#ifndef TESTS_UNIT_SHARED_TRANSPORT_FIXTURE_H
#define TESTS_UNIT_SHARED_TRANSPORT_FIXTURE_H
#include "shared/base/clock.h"
#include "shared/ring/ring.h"
#include "shared/ring/socket.h"
#include "shared/tls/tls_config.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h> /* wants setjmp.h, stdarg.h, stddef.h and stdint.h before it */

#ifdef __SANITIZE_THREAD__
enum { DEADLINE_MS = 200000 }; /* it looks at each access of memory */
#else
enum { DEADLINE_MS = 40000 };
#endif

static struct bed {
    struct ring *ring;
    struct ring_task check;
    struct timer deadline, sample;
    bool (*is_done)(void);
    bool late;
    size_t chunks_most; /* that were in use at once, as far as was seen */
} bed;

static inline void bed_count_chunks(void)
{
    struct ring_stats stats;

    ring_stats(bed.ring, &stats);
    if (stats.chunks_live > bed.chunks_most)
        bed.chunks_most = stats.chunks_live;
}

/* Every event of a test calls it: the condition is looked at when the turn is over. */
static inline void bed_poke(void)
{
    ring_task_ask(bed.ring, &bed.check);
}

/* Each millisecond, for conditions that no event tells. */
static inline void bed_sample(struct timer *t)
{
    timer_start(ring_timers(bed.ring), t, 1);
    bed_poke();
}

static inline void bed_check_run(struct ring_task *task)
{
    (void)task;
    bed_count_chunks();
    if (bed.is_done())
        ring_stop(bed.ring);
}

static inline void bed_deadline(struct timer *t)
{
    (void)t;
    bed.late = true;
    ring_stop(bed.ring);
}

static inline void bed_run_until(bool (*is_done)(void))
{
    bed.is_done = is_done;
    timer_start(ring_timers(bed.ring), &bed.deadline, DEADLINE_MS);
    timer_start(ring_timers(bed.ring), &bed.sample, 1);
    bed_poke();
    assert_int_equal(ring_run(bed.ring), 0);
    timer_stop(ring_timers(bed.ring), &bed.sample);
    timer_stop(ring_timers(bed.ring), &bed.deadline);
    ring_task_cancel(&bed.check);
    if (bed.late)
        fail_msg("the condition did not come true within %d ms", DEADLINE_MS);
}

static bool bed_time_over;

static inline void bed_time_is_over(struct timer *t)
{
    (void)t;
    bed_time_over = true;
    bed_poke();
}

static inline bool bed_is_time_over(void)
{
    return bed_time_over;
}

/* For showing that something does not happen: the ring runs for so long. */
static inline void bed_wait_ms(uint64_t ms)
{
    struct timer t;

    bed_time_over = false;
    timer_init(&t, bed_time_is_over);
    timer_start(ring_timers(bed.ring), &t, ms);
    bed_run_until(bed_is_time_over);
}

/* Until what is counted has stood still for so long: however slow the machine is just now. */
static inline void bed_wait_still(uint64_t (*count)(void), uint64_t ms)
{
    uint64_t before, since = clock_monotonic_ms();

    do {
        before = count();
        bed_wait_ms(ms);
        if (clock_monotonic_ms() - since > DEADLINE_MS)
            fail_msg("it does not come to rest within %d ms", DEADLINE_MS);
    } while (count() != before);
}

static inline int bed_open(void **state)
{
    const char *why = NULL;

    (void)state;
    memset(&bed, 0, sizeof bed);
    if (ring_open(&bed.ring, &(struct ring_options){0}, &why) < 0) {
        print_error("no ring: %s\n", why ? why : "");
        return -1;
    }
    ring_task_init(&bed.check, bed_check_run);
    timer_init(&bed.deadline, bed_deadline);
    timer_init(&bed.sample, bed_sample);
    return 0;
}

/* Asserts by itself that no operation is in flight and no chunk is out. */
static inline int bed_close(void **state)
{
    (void)state;
    bed.ring = ring_free(bed.ring);
    return 0;
}

/* A listening TCP socket on a free port of loopback. */
static inline int listen_loopback(struct addr *ret)
{
    struct addr at;
    int fd = -1;

    assert_int_equal(addr_parse(TEXT("127.0.0.1:0"), &at), 0);
    assert_int_equal(socket_listen(&at, 256, false, &fd), 0);
    assert_int_equal(socket_local(fd, ret), 0);
    return fd;
}

static inline void tcp_pair(int ret[2])
{
    struct addr at;
    struct sockaddr_storage sa;
    int listening = listen_loopback(&at);

    assert_int_equal(socket_open(AF_INET, &ret[0]), 0);
    socklen_t len = addr_to_sockaddr(&at, &sa);
    assert_int_equal(connect(ret[0], (struct sockaddr *)&sa, len), 0);
    ret[1] = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
    assert_true(ret[1] >= 0);
    socket_set_nodelay(ret[1]);
    close(listening);
}

/* ---- identities ------------------------------------------------------------------------------- */

struct authority {
    struct key *key;
    struct x509 cert;
};

static inline void public_of(const struct key *key, uint8_t *der, size_t size, size_t *ret_len)
{
    assert_int_equal(key_public_der(key, der, size, ret_len), 0);
}

static inline void authority_make(struct authority *a)
{
    uint8_t der[512];
    size_t len;
    struct x509_template t = {
        .common_name = TEXT("test root"),
        .is_ca = true,
        .path_len = -1,
        .not_before_s = clock_unix_s() - 60,
        .not_after_s = clock_unix_s() + 3600,
    };

    assert_int_equal(key_generate(&a->key), 0);
    public_of(a->key, der, sizeof der, &len);
    assert_int_equal(x509_make(&t, der, len, NULL, a->key, &a->cert), 0);
}

static inline void authority_done(struct authority *a)
{
    x509_done(&a->cert);
    a->key = key_unref(a->key);
}

static inline struct tls_config *identity_make(const struct authority *a, enum tls_role role,
                                               const char *uri, struct text alpn)
{
    struct tls_config *config = NULL;
    struct key *key = NULL;
    struct x509 leaf;
    uint8_t der[512];
    size_t len;
    const char *why = NULL;
    struct x509_template t = {
        .uri = text_of(uri),
        .path_len = -1,
        .not_before_s = clock_unix_s() - 60,
        .not_after_s = clock_unix_s() + 1800,
        .server = true,
        .client = true,
    };

    assert_int_equal(key_generate(&key), 0);
    public_of(key, der, sizeof der, &len);
    assert_int_equal(x509_make(&t, der, len, &a->cert, a->key, &leaf), 0);
    struct tls_config_options o = {
        .role = role,
        .peer_auth = TLS_PEER_SVID,
        .key = key,
        .chain = &leaf,
        .n_chain = 1,
        .roots = &a->cert,
        .n_roots = 1,
        .alpn = alpn,
    };
    if (tls_config_new(&config, &o, &why) < 0)
        fail_msg("no TLS configuration: %s", why ? why : "");
    x509_done(&leaf);
    key_unref(key);
    return config;
}

/* Those of most tests, all below one root. */
static struct authority authority;
static struct tls_config *client_tls, *server_tls;

static inline void identities_make(struct text alpn)
{
    authority_make(&authority);
    client_tls =
        identity_make(&authority, TLS_CLIENT, "spiffe://cluster.local/ns/shop/sa/client", alpn);
    server_tls =
        identity_make(&authority, TLS_SERVER, "spiffe://cluster.local/ns/shop/sa/server", alpn);
}

static inline int identities_done(void **state)
{
    (void)state;
    tls_config_unref(client_tls);
    tls_config_unref(server_tls);
    authority_done(&authority);
    return 0;
}

/* ---- bytes that can be checked on arrival ------------------------------------------------------ */

/* The byte at a place of the stream of this seed. */
static inline uint8_t pattern(unsigned seed, uint64_t at)
{
    return (uint8_t)((at * 2654435761u) >> 13 ^ at ^ seed * 97u);
}

static inline void pattern_append(struct buf *to, unsigned seed, uint64_t at, size_t len)
{
    uint8_t part[4096];

    while (len > 0) {
        size_t n = len < sizeof part ? len : sizeof part;
        for (size_t i = 0; i < n; i++)
            part[i] = pattern(seed, at + i);
        assert_int_equal(buf_append(to, ring_chunks(bed.ring), part, n), 0);
        at += n;
        len -= n;
    }
}

/* Takes all bytes; false: one of them is not what the pattern says. */
static inline bool pattern_take(struct buf *from, unsigned seed, uint64_t at)
{
    bool good = true;

    for (const struct chunk *c = from->head; c; c = c->next)
        for (uint32_t i = c->start; i < c->end; i++)
            good = good && c->data[i] == pattern(seed, at++);
    buf_done(from);
    return good;
}
#endif
