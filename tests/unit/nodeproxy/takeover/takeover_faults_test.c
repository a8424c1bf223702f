/*
 * Each call into the system fails in turn while one node proxy takes over from another, with each error: afterwards the node has
 * one owner, or its lock is free for the taker that waits; nothing leaks, and where the giver goes on, the next one gets it all.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shared/base/log.h"
#include "tests/unit/nodeproxy/takeover/takeover_stage.h"
#include <sys/syscall.h>

/* ---- calls that fail ---- */

enum call { SEND, RECEIVE, NO_NUMBERS, ACCEPT, LOOK_AT_PEER };
static struct {
    enum call call;
    int error;
    unsigned left; /* 0: none fails any more */
    bool hit;
} fault;

static bool fails(enum call call)
{
    if (call != fault.call || fault.left == 0 || --fault.left > 0)
        return false;
    fault.hit = true;
    errno = fault.error;
    return true;
}

/* These stand before the C library's, for everything that is linked into the program. */
ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
    return fails(SEND) ? -1 : syscall(SYS_sendmsg, fd, m, flags);
}
ssize_t recvmsg(int fd, struct msghdr *m, int flags)
{
    if (fails(RECEIVE))
        return -1;
    ssize_t r = syscall(SYS_recvmsg, fd, m, flags);
    struct cmsghdr *c = r > 0 ? CMSG_FIRSTHDR(m) : NULL;
    if (c && fails(NO_NUMBERS)) { /* as the kernel does where no descriptor can be had */
        for (size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++)
            close(((int *)CMSG_DATA(c))[i]);
        m->msg_controllen = 0;
        m->msg_flags |= MSG_CTRUNC;
    }
    return r;
}
int accept4(int fd, struct sockaddr *at, socklen_t *len, int flags)
{
    return fails(ACCEPT) ? -1 : (int)syscall(SYS_accept4, fd, at, len, flags);
}
int getsockopt(int fd, int level, int option, void *out, socklen_t *len)
{
    bool peer = level == SOL_SOCKET && option == SO_PEERCRED;
    return peer && fails(LOOK_AT_PEER) ? -1
                                       : (int)syscall(SYS_getsockopt, fd, level, option, out, len);
}

/* ---- one take-over, with one fault ---- */

enum { SILENT_MS = 300 };

static bool is_settled(void)
{
    return taker.drained > 0 && (giver.given > 0 ? giver.drained > 0 : offer.fd < 0);
}

static bool came(void)
{
    int fd = -1;
    taker.drained = taker.over = 0;
    taker.lock = -1;
    assert_int_equal(takeover_socket_connect(path, &fd), 0);
    if (takeover_claim_open(&claim, bed.ring, fd, &claim_events, NULL) < 0)
        return false;
    claim.silent_ms = SILENT_MS;
    takeover_claim_ask(&claim);
    return true;
}

static void judge(bool has_come)
{
    int free_lock;
    if (giver.given == 0) {
        is_owned();
        assert_int_equal(taker.lock, -1);
        /* It ends, unless it could not be told. */
        assert_true(!has_come || !taker.gone || fault.call == SEND || taker.all == 0);
    } else if (taker.lock >= 0) {
        is_owned();
        close(taker.lock);
    } else { /* it knows that it may be the owner, and finds the lock free */
        assert_true(taker.gone);
        assert_int_equal(owner_lock_take(dir, &free_lock), 0);
        close(free_lock);
    }
}

static bool play(enum call call, int error, unsigned n)
{
    unsigned before = count_descriptors();
    begin();
    offer.silent_ms = SILENT_MS;
    fault.call = call;
    fault.error = error;
    fault.left = n;
    fault.hit = false;
    bool has_come = came();
    if (has_come)
        bed_run_until(is_settled);
    bool hit = fault.hit;
    fault.left = 0;
    judge(has_come);
    if (giver.given == 0) { /* nothing is lost: the next one gets it all */
        memset(&taker, 0, sizeof taker);
        taker.fail_at = -1;
        assert_true(came());
        bed_run_until(is_settled);
        assert_int_equal(giver.given, 1);
        assert_int_equal(taker.pods, pods);
        judge(true);
    }
    finish();
    assert_int_equal(count_descriptors(), before);
    return hit;
}

static void each_call(enum call call, const char *name, const int *errors, size_t n_errors)
{
    unsigned points = 0;
    pods = 3;
    for (size_t i = 0; i < n_errors; i++)
        for (points = 0; play(call, errors[i], points + 1); points++)
            ;
    assert_true(points > 0);
    print_message("%s: %u points, %zu errors each\n", name, points, n_errors);
}
#define EACH(call, name, ...)                                                                      \
    each_call(call, name, (const int[]){__VA_ARGS__},                                              \
              sizeof((const int[]){__VA_ARGS__}) / sizeof(int))

static void sending_fails(void **state)
{
    (void)state;
    EACH(SEND, "sendmsg", EAGAIN, ENOBUFS, ENOMEM, EPIPE, ECONNRESET, EINTR, EPERM, ETOOMANYREFS);
}
static void receiving_fails(void **state)
{
    (void)state;
    EACH(RECEIVE, "recvmsg", EAGAIN, ENOBUFS, ENOMEM, ECONNRESET, EINTR, EPERM);
}
static void there_are_no_numbers(void **state)
{
    (void)state;
    EACH(NO_NUMBERS, "descriptors", EMFILE);
}
static void accepting_fails(void **state)
{
    (void)state;
    EACH(ACCEPT, "accept4", EMFILE, ENFILE, ENOMEM, ENOBUFS, ECONNABORTED, EAGAIN, EINTR, EPERM);
}
static void looking_fails(void **state)
{
    (void)state;
    EACH(LOOK_AT_PEER, "getsockopt", ENOBUFS, EPERM);
}

#define ON_RING(test) cmocka_unit_test_setup_teardown(test, bed_open, bed_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_RING(sending_fails),   ON_RING(receiving_fails), ON_RING(there_are_no_numbers),
        ON_RING(accepting_fails), ON_RING(looking_fails),
    };
    if (stage_open() < 0)
        return 1;
    log_configure(LOG_ERROR, LOG_TEXT, 1);
    int r = cmocka_run_group_tests_name("takeover/takeover_faults", tests, NULL, NULL);
    stage_close();
    return r;
}
