/*
 * Both sides of a take-over on one ring, and what each of them saw: what the tests of this folder
 * share. One thread; all is made and given back per test.
 */
#ifndef TESTS_UNIT_NODEPROXY_TAKEOVER_TAKEOVER_STAGE_H
#define TESTS_UNIT_NODEPROXY_TAKEOVER_TAKEOVER_STAGE_H
#include "nodeproxy/takeover/owner_lock.h"
#include "nodeproxy/takeover/takeover_claim.h"
#include "nodeproxy/takeover/takeover_offer.h"
#include "tests/support/tmp.h"
#include "tests/unit/shared/transport/fixture.h"
#include <fcntl.h>
#include <sys/stat.h>

enum { PODS = 40 };
static size_t pods = PODS; /* that the giver has */
static char dir[TMP_PATH_MAX], path[96];
static struct takeover_offer offer;
static struct takeover_claim claim;
static struct {
    unsigned begins, again, failed, given, drained;
    int lock, begin_result, dies_at;
    bool oversize;
} giver;
static struct {
    unsigned sockets, pods, all, over, drained, hurried;
    int lock, fail_at;
    unsigned dies_at;
    bool gone;
    char why[TAKEOVER_WORDS_MAX];
} taker;
static int a_file;

/* ---- the giver ---- */

static inline int on_begin(struct takeover_offer *o, char why[static TAKEOVER_WORDS_MAX])
{
    (void)o;
    giver.begins++;
    if (giver.again > 0) {
        giver.again--;
        return -EAGAIN;
    }
    snprintf(why, TAKEOVER_WORDS_MAX, "the giver does not want to");
    return giver.begin_result;
}
static inline int on_item(struct takeover_offer *o, size_t i, struct takeover_message *ret)
{
    static char large[TAKEOVER_BYTES_MAX];
    if (giver.dies_at > 0 && i == (size_t)giver.dies_at)
        takeover_offer_close(o);
    if (i == 0) {
        ret->kind = TAKEOVER_SOCKET;
        ret->address = (struct addr){.port = 15020};
        ret->fds[0] = a_file;
        ret->n_fds = 1;
        return addr_parse(TEXT("[::]:15020"), &ret->address);
    }
    if (i > pods) {
        ret->kind = TAKEOVER_ALL;
        ret->pods = pods;
        return 0;
    }
    ret->kind = TAKEOVER_POD;
    ret->description = TEXT("{\"a\":1}");
    if (giver.oversize && i == 3) {
        memset(large, ' ', sizeof large);
        ret->description = (struct text){large, sizeof large};
    }
    if (i % 2) {
        for (size_t k = 0; k < TAKEOVER_FDS_MAX; k++)
            ret->fds[k] = a_file;
        ret->n_fds = TAKEOVER_FDS_MAX;
    }
    return 0;
}
static inline void on_failed(struct takeover_offer *o, const char *why)
{
    (void)o;
    assert_true(why[0] != '\0');
    giver.failed++;
    bed_poke();
}
static inline int on_given(struct takeover_offer *o)
{
    giver.given++;
    takeover_offer_close(o);
    return giver.lock;
}
static inline void on_offer_drained(struct takeover_offer *o)
{
    (void)o;
    giver.drained++;
    bed_poke();
}
static const struct takeover_offer_events offer_events = {on_begin, on_item, on_failed, on_given,
                                                          on_offer_drained};

/* ---- the taker ---- */

static inline int step_of(void)
{
    return (int)(taker.sockets + taker.pods + taker.all) == taker.fail_at ? -ENOMEM : 0;
}
static inline int on_socket(struct takeover_claim *c, struct takeover_message *m,
                     char why[static TAKEOVER_WORDS_MAX])
{
    (void)c;
    (void)why;
    assert_int_equal(m->address.port, 15020);
    assert_int_equal(m->n_fds, 1);
    taker.sockets++;
    return step_of();
}
static inline int on_pod(struct takeover_claim *c, struct takeover_message *m,
                  char why[static TAKEOVER_WORDS_MAX])
{
    struct stat one, other;
    (void)why;
    taker.pods++;
    if (taker.pods == taker.dies_at)
        takeover_claim_close(c);
    assert_non_null(json_get(m->pod, "a"));
    assert_int_equal(m->n_fds, taker.pods % 2 ? TAKEOVER_FDS_MAX : 0);
    for (size_t i = 0; i < m->n_fds; i++) {
        assert_int_equal(fstat(m->fds[i], &one), 0);
        assert_int_equal(fstat(a_file, &other), 0);
        assert_int_equal(one.st_ino, other.st_ino);
        assert_true(fcntl(m->fds[i], F_GETFD) & FD_CLOEXEC);
    }
    return step_of();
}
static inline int on_all(struct takeover_claim *c, char why[static TAKEOVER_WORDS_MAX])
{
    (void)c;
    (void)why;
    taker.all++;
    return step_of();
}
static inline void on_hurry(struct takeover_claim *c)
{
    taker.hurried++;
    takeover_claim_ask(c);
}
static inline void on_over(struct takeover_claim *c, int taken_lock, bool gone, const char *why)
{
    taker.over++;
    taker.lock = taken_lock;
    taker.gone = gone;
    snprintf(taker.why, sizeof taker.why, "%s", why);
    takeover_claim_close(c);
}
static inline void on_claim_drained(struct takeover_claim *c)
{
    (void)c;
    taker.drained++;
    bed_poke();
}
static const struct takeover_claim_events claim_events = {on_socket, on_pod,  on_all,
                                                          on_hurry,  on_over, on_claim_drained};

/* ---- the stage ---- */

static inline bool taker_drained(void)
{
    return taker.drained > 0;
}
static inline bool giver_drained(void)
{
    return giver.drained > 0;
}
static inline bool giver_failed(void)
{
    return giver.failed > 0;
}
static inline bool both_drained(void)
{
    return taker_drained() && giver_drained();
}
static inline bool session_is_open(void)
{
    return offer.fd >= 0;
}
static inline bool session_is_over(void)
{
    return offer.fd < 0;
}

static inline unsigned count_descriptors(void)
{
    unsigned n = 0;
    for (int fd = 0; fd < 512; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static inline void begin(void)
{
    memset(&giver, 0, sizeof giver);
    memset(&taker, 0, sizeof taker);
    taker.fail_at = taker.lock = -1;
    assert_int_equal(owner_lock_take(dir, &giver.lock), 0);
    a_file = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_int_equal(takeover_offer_open(&offer, bed.ring, path, &offer_events, NULL), 0);
}
static inline void come(void)
{
    int fd = -1;
    taker.drained = taker.over = 0;
    assert_int_equal(takeover_socket_connect(path, &fd), 0);
    assert_int_equal(takeover_claim_open(&claim, bed.ring, fd, &claim_events, NULL), 0);
}
static inline void finish(void)
{
    if (giver.given == 0) {
        takeover_offer_close(&offer);
        close(giver.lock);
    }
    if (giver.drained == 0)
        bed_run_until(giver_drained);
    assert_int_equal(giver.drained, 1);
    close(a_file);
}
static inline void is_owned(void)
{
    int fd;
    assert_int_equal(owner_lock_take(dir, &fd), -EAGAIN);
}

static inline int stage_open(void)
{
    if (!tmp_folder(dir, "takeover"))
        return -1;
    snprintf(path, sizeof path, "%s/takeover.sock", dir);
    return 0;
}
static inline void stage_close(void)
{
    char lock[64];
    (void)unlink(path);
    snprintf(lock, sizeof lock, "%s/owner.lock", dir);
    (void)unlink(lock);
    (void)rmdir(dir);
}
#endif
