/* Both sides of a take-over on one ring: the orderly way, and everything that breaks it off. */
#include "nodeproxy/takeover/owner_lock.h"
#include "nodeproxy/takeover/takeover_claim.h"
#include "nodeproxy/takeover/takeover_offer.h"
#include "tests/unit/shared/transport/fixture.h"
#include <fcntl.h>
#include <sys/stat.h>

enum { PODS = 40 };
static char dir[] = "/tmp/weir-takeover-test-XXXXXX";
static char path[64];
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

static int on_begin(struct takeover_offer *o, char why[static TAKEOVER_WORDS_MAX])
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
static int on_item(struct takeover_offer *o, size_t i, struct takeover_message *ret)
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
    if (i > PODS) {
        ret->kind = TAKEOVER_ALL;
        ret->pods = PODS;
        return 0;
    }
    ret->kind = TAKEOVER_POD;
    ret->description = TEXT("{\"a\":1}");
    if (giver.oversize && i == 3) {
        memset(large, ' ', sizeof large);
        ret->description = (struct text){large, sizeof large};
    }
    if (i % 2) {
        for (size_t k = 0; k < 4; k++)
            ret->fds[k] = a_file;
        ret->n_fds = 4;
    }
    return 0;
}
static void on_failed(struct takeover_offer *o, const char *why)
{
    (void)o;
    assert_true(why[0] != '\0');
    giver.failed++;
    bed_poke();
}
static int on_given(struct takeover_offer *o)
{
    giver.given++;
    takeover_offer_close(o);
    return giver.lock;
}
static void on_offer_drained(struct takeover_offer *o)
{
    (void)o;
    giver.drained++;
    bed_poke();
}
static const struct takeover_offer_events offer_events = {on_begin, on_item, on_failed, on_given,
                                                          on_offer_drained};

/* ---- the taker ---- */

static int step_of(void)
{
    return (int)(taker.sockets + taker.pods + taker.all) == taker.fail_at ? -ENOMEM : 0;
}
static int on_socket(struct takeover_claim *c, struct takeover_message *m,
                     char why[static TAKEOVER_WORDS_MAX])
{
    (void)c;
    (void)why;
    assert_int_equal(m->address.port, 15020);
    assert_int_equal(m->n_fds, 1);
    taker.sockets++;
    return step_of();
}
static int on_pod(struct takeover_claim *c, struct takeover_message *m,
                  char why[static TAKEOVER_WORDS_MAX])
{
    struct stat one, other;
    (void)why;
    taker.pods++;
    if (taker.pods == taker.dies_at)
        takeover_claim_close(c);
    assert_non_null(json_get(m->pod, "a"));
    assert_int_equal(m->n_fds, taker.pods % 2 ? 4 : 0);
    for (size_t i = 0; i < m->n_fds; i++) {
        assert_int_equal(fstat(m->fds[i], &one), 0);
        assert_int_equal(fstat(a_file, &other), 0);
        assert_int_equal(one.st_ino, other.st_ino);
        assert_true(fcntl(m->fds[i], F_GETFD) & FD_CLOEXEC);
    }
    return step_of();
}
static int on_all(struct takeover_claim *c, char why[static TAKEOVER_WORDS_MAX])
{
    (void)c;
    (void)why;
    taker.all++;
    return step_of();
}
static void on_hurry(struct takeover_claim *c)
{
    taker.hurried++;
    takeover_claim_ask(c);
}
static void on_over(struct takeover_claim *c, int taken_lock, bool gone, const char *why)
{
    taker.over++;
    taker.lock = taken_lock;
    taker.gone = gone;
    snprintf(taker.why, sizeof taker.why, "%s", why);
    takeover_claim_close(c);
}
static void on_claim_drained(struct takeover_claim *c)
{
    (void)c;
    taker.drained++;
    bed_poke();
}
static const struct takeover_claim_events claim_events = {on_socket, on_pod,  on_all,
                                                          on_hurry,  on_over, on_claim_drained};

/* ---- the stage ---- */

static bool taker_drained(void)
{
    return taker.drained > 0;
}
static bool giver_drained(void)
{
    return giver.drained > 0;
}
static bool giver_failed(void)
{
    return giver.failed > 0;
}
static bool both_drained(void)
{
    return taker_drained() && giver_drained();
}
static bool session_is_open(void)
{
    return offer.fd >= 0;
}
static bool session_is_over(void)
{
    return offer.fd < 0;
}

static unsigned count_descriptors(void)
{
    unsigned n = 0;
    for (int fd = 0; fd < 512; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void begin(void)
{
    memset(&giver, 0, sizeof giver);
    memset(&taker, 0, sizeof taker);
    taker.fail_at = taker.lock = -1;
    assert_int_equal(owner_lock_take(dir, &giver.lock), 0);
    a_file = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_int_equal(takeover_offer_open(&offer, bed.ring, path, &offer_events, NULL), 0);
}
static void come(void)
{
    int fd = -1;
    taker.drained = taker.over = 0;
    assert_int_equal(takeover_socket_connect(path, &fd), 0);
    assert_int_equal(takeover_claim_open(&claim, bed.ring, fd, &claim_events, NULL), 0);
}
static void finish(void)
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
static void is_owned(void)
{
    int fd;
    assert_int_equal(owner_lock_take(dir, &fd), -EAGAIN);
}

static void takes_it_all(void **state)
{
    struct stat before, after;
    int fd;
    (void)state;
    unsigned n = count_descriptors();
    begin();
    giver.again = 2; /* pods are just leaving */
    assert_int_equal(stat(path, &before), 0);
    assert_int_equal(before.st_mode & 0777, 0600);
    come();
    takeover_claim_ask(&claim); /* before it was greeted */
    takeover_claim_ask(&claim);
    bed_run_until(both_drained);
    assert_int_equal(giver.begins, 3);
    assert_int_equal(giver.given, 1);
    assert_int_equal(giver.failed, 0);
    assert_int_equal(taker.sockets, 1);
    assert_int_equal(taker.pods, PODS);
    assert_int_equal(taker.all, 1);
    assert_int_equal(taker.over, 1);
    assert_true(taker.lock >= 0);
    is_owned(); /* by what was handed over */
    /* The next offer is in the place of the last one at once. */
    assert_int_equal(takeover_socket_listen(path, &fd), 0);
    assert_int_equal(stat(path, &after), 0);
    assert_int_not_equal(before.st_ino, after.st_ino);
    close(fd);
    close(taker.lock);
    assert_int_equal(owner_lock_take(dir, &fd), 0);
    close(fd);
    finish();
    assert_int_equal(count_descriptors(), n);
}

/* It hears why, and then the session is over. */
static void is_refused(int fd)
{
    struct takeover_message m;
    char why[TAKEOVER_WORDS_MAX] = "";
    int r;
    while ((r = takeover_receive(fd, &m, why)) == -EAGAIN)
        bed_wait_ms(1);
    assert_int_equal(r, 0);
    assert_int_equal(m.kind, TAKEOVER_REFUSE);
    assert_true(m.words[0] != '\0');
    takeover_message_done(&m);
    while (!session_is_over())
        bed_wait_ms(1);
}

/* What an earlier one had begun is not a later one's. */
static void whoever_says_taken_is_refused(void)
{
    int fd;
    unsigned failed = giver.failed;
    assert_int_equal(takeover_socket_connect(path, &fd), 0);
    assert_int_equal(takeover_send_words(fd, TAKEOVER_TAKEN, ""), 0);
    is_refused(fd);
    assert_int_equal(giver.given, 0);
    assert_int_equal(giver.failed, failed);
    close(fd);
}

/* The taker fails at each step in turn: nothing is given away, and the next one gets it. */
static void taker_fails_at_each_step(void **state)
{
    (void)state;
    unsigned n = count_descriptors();
    for (int at = 1; at <= PODS + 2; at += at < 4 || at > PODS - 2 ? 1 : 7) {
        begin();
        taker.fail_at = at;
        come();
        takeover_claim_ask(&claim);
        bed_run_until(taker_drained);
        bed_run_until(giver_failed);
        assert_int_equal(taker.lock, -1);
        assert_false(taker.gone);
        assert_int_equal(giver.given, 0);
        is_owned();
        bed_run_until(session_is_over);
        whoever_says_taken_is_refused();
        memset(&taker, 0, sizeof taker);
        taker.fail_at = -1;
        come();
        takeover_claim_ask(&claim);
        bed_run_until(both_drained);
        assert_int_equal(giver.given, 1);
        close(taker.lock);
        finish();
    }
    assert_int_equal(count_descriptors(), n);
}

static void taker_dies(void **state)
{
    (void)state;
    begin();
    taker.dies_at = 5;
    come();
    takeover_claim_ask(&claim);
    bed_run_until(giver_failed);
    assert_int_equal(giver.given, 0);
    is_owned();
    if (!taker.drained)
        bed_run_until(taker_drained);
    finish();
}

static void giver_dies(void **state)
{
    (void)state;
    for (int asked = 0; asked < 2; asked++) {
        begin();
        giver.dies_at = 5;
        come();
        if (asked) {
            takeover_claim_ask(&claim);
        } else {
            bed_run_until(session_is_open);
            takeover_offer_close(&offer);
        }
        bed_run_until(both_drained);
        assert_int_equal(taker.over, 1);
        assert_true(taker.gone);
        assert_int_equal(taker.lock, -1);
        finish();
    }
}

static void giver_refuses(void **state)
{
    (void)state;
    begin();
    giver.begin_result = -EBUSY;
    come();
    takeover_claim_ask(&claim);
    bed_run_until(taker_drained);
    assert_string_equal(taker.why, "the giver does not want to");
    assert_false(taker.gone);
    finish();
    begin();
    giver.oversize = true;
    come();
    takeover_claim_ask(&claim);
    bed_run_until(taker_drained);
    assert_int_equal(giver.failed, 1);
    finish();
}

static void silence_ends_it(void **state)
{
    int fd;
    (void)state;
    begin();
    offer.silent_ms = 30;
    assert_int_equal(takeover_socket_connect(path, &fd), 0);
    assert_int_equal(takeover_send_words(fd, TAKEOVER_HELLO, "x"), 0);
    assert_int_equal(takeover_send_words(fd, TAKEOVER_ASK, ""), 0);
    bed_run_until(giver_failed);
    close(fd);
    finish();
}

static void hurries(void **state)
{
    (void)state;
    begin();
    assert_false(takeover_offer_hurry(&offer));
    come();
    bed_run_until(session_is_open);
    bed_wait_ms(20);
    assert_true(takeover_offer_hurry(&offer));
    bed_run_until(both_drained);
    assert_int_equal(taker.hurried, 1);
    assert_int_equal(giver.given, 1);
    close(taker.lock);
    finish();
}

/* Each is refused with a reason, changes nothing and takes no descriptor. */
static void nonsense_is_refused(void **state)
{
    static const char *const packets[] = {
        "garbage",
        "{}",
        "[]",
        "{\"message\":\"taken\"}",
        "{\"message\":\"next\"}",
        "{\"message\":\"yours\"}",
        "{\"message\":\"dance\"}",
        "{\"message\":\"hello\",\"protocol\":2,\"version\":\"x\"}",
        "{\"message\":\"hello\",\"protocol\":1}",
        "{\"message\":\"socket\",\"address\":\"here\"}",
        "{\"message\":\"ending\"}",
    };
    (void)state;
    begin();
    unsigned n = count_descriptors();
    for (size_t i = 0; i < ARRAY_SIZE(packets); i++) {
        int fd;
        assert_int_equal(takeover_socket_connect(path, &fd), 0);
        assert_int_equal(send(fd, packets[i], strlen(packets[i]), 0), strlen(packets[i]));
        is_refused(fd);
        close(fd);
    }
    assert_int_equal(giver.begins + giver.failed, 0);
    assert_int_equal(count_descriptors(), n);
    finish();
}

static void owner_lock_is_for_one(void **state)
{
    int one, other;
    (void)state;
    assert_int_equal(owner_lock_take(dir, &one), 0);
    assert_int_equal(owner_lock_take(dir, &other), -EAGAIN);
    int copy = dup(one);
    close(one);
    assert_int_equal(owner_lock_take(dir, &other), -EAGAIN);
    close(copy);
    assert_int_equal(owner_lock_take(dir, &other), 0);
    close(other);
    assert_int_equal(owner_lock_take("/nowhere/at/all", &other), -ENOENT);
}

#define ON_RING(test) cmocka_unit_test_setup_teardown(test, bed_open, bed_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_RING(takes_it_all),
        ON_RING(taker_fails_at_each_step),
        ON_RING(taker_dies),
        ON_RING(giver_dies),
        ON_RING(giver_refuses),
        ON_RING(silence_ends_it),
        ON_RING(hurries),
        ON_RING(nonsense_is_refused),
        cmocka_unit_test(owner_lock_is_for_one),
    };
    if (!mkdtemp(dir))
        return 1;
    snprintf(path, sizeof path, "%s/takeover.sock", dir);
    int r = cmocka_run_group_tests(tests, NULL, NULL);
    (void)unlink(path);
    char lock[64];
    snprintf(lock, sizeof lock, "%s/owner.lock", dir);
    (void)unlink(lock);
    (void)rmdir(dir);
    return r;
}
