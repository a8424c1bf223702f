/*
 * A seccomp filter does not see what a ring is asked for, so the ring itself refuses what it was
 * not made for: whoever took the process over opens no file with it.
 */
#include "shared/base/list.h"
#include "shared/ring/ring_state.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static int result_of(struct ring *ring, void (*prepare)(struct io_uring_sqe *sqe))
{
    struct io_uring_cqe *cqe;
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->uring);
    assert_non_null(sqe);
    prepare(sqe);
    assert_int_equal(io_uring_submit_and_wait(&ring->uring, 1), 1);
    assert_int_equal(io_uring_peek_cqe(&ring->uring, &cqe), 0);
    int r = cqe->res;
    io_uring_cqe_seen(&ring->uring, cqe);
    return r;
}
static void open_file(struct io_uring_sqe *sqe)
{
    io_uring_prep_openat(sqe, AT_FDCWD, "/etc/passwd", O_RDONLY, 0);
}
static void read_file(struct io_uring_sqe *sqe)
{
    static char c;
    io_uring_prep_read(sqe, 0, &c, 1, 0);
}
static void unlink_file(struct io_uring_sqe *sqe)
{
    io_uring_prep_unlinkat(sqe, AT_FDCWD, "/nowhere", 0);
}
static void make_socket(struct io_uring_sqe *sqe)
{
    io_uring_prep_socket(sqe, AF_INET, SOCK_RAW, IPPROTO_TCP, 0);
}
static void poll_nothing(struct io_uring_sqe *sqe)
{
    io_uring_prep_poll_add(sqe, -1, POLLIN);
}

static void other_operations_are_refused(void **state)
{
    (void)state;
    static void (*const others[])(struct io_uring_sqe * sqe) = {open_file, read_file, unlink_file,
                                                                make_socket, io_uring_prep_nop};
    struct ring *ring;
    const char *why = "";
    if (ring_open(&ring, NULL, &why) < 0)
        fail_msg("ring_open: %s", why);
    for (size_t i = 0; i < ARRAY_SIZE(others); i++)
        assert_int_equal(result_of(ring, others[i]), -EACCES);
    assert_int_equal(result_of(ring, poll_nothing), -EBADF); /* what it is for is tried */
    ring_free(ring);
}
static void the_restrictions_stay(void **state)
{
    (void)state;
    struct ring *ring;
    char byte;
    struct iovec buffer = {&byte, 1};
    assert_int_equal(ring_open(&ring, NULL, NULL), 0);
    struct io_uring_restriction all = {.opcode = IORING_RESTRICTION_SQE_OP,
                                       .sqe_op = IORING_OP_OPENAT};
    assert_true(io_uring_register_restrictions(&ring->uring, &all, 1) < 0);
    assert_int_equal(io_uring_register_buffers(&ring->uring, &buffer, 1), -EACCES);
    assert_int_equal(result_of(ring, open_file), -EACCES);
    ring_free(ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(other_operations_are_refused),
        cmocka_unit_test(the_restrictions_stay),
    };
    return cmocka_run_group_tests_name("ring/restrict", tests, NULL, NULL);
}
