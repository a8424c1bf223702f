/* Packets arrive whole, with their descriptors, or not at all; and nothing leaks. */
#include "shared/ring/packet.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { ROOM = 32768 };

static int n_open(void)
{
    int n = 0;
    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}
static void packets_carry_descriptors(void **state)
{
    (void)state;
    static unsigned char out_bytes[ROOM], in_bytes[ROOM];
    struct packet out = {.bytes = out_bytes, .size = ROOM}, in = {.bytes = in_bytes, .size = ROOM};
    int channel[2], before = n_open();
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel), 0);
    assert_int_equal(packet_receive(channel[1], &in, false), -EAGAIN);
    for (size_t n = 0; n <= PACKET_FDS_MAX; n += PACKET_FDS_MAX) {
        out.len = n ? ROOM : 1;
        memset(out.bytes, 'm', out.len);
        for (size_t i = 0; i < n; i++)
            out.fds[i] = channel[i % 2];
        out.n_fds = n;
        assert_int_equal(packet_send(channel[0], &out, false), 0);
        assert_int_equal(packet_receive(channel[1], &in, true), 0);
        assert_int_equal(in.len, out.len);
        assert_memory_equal(in.bytes, out.bytes, out.len);
        assert_int_equal(in.n_fds, n);
        for (size_t i = 0; i < n; i++) {
            struct stat a, b;
            assert_int_equal(fstat(in.fds[i], &a) + fstat(out.fds[i], &b), 0);
            assert_true(a.st_ino == b.st_ino);
            assert_int_equal(fcntl(in.fds[i], F_GETFD), FD_CLOEXEC);
        }
        packet_close_fds(&in);
        assert_int_equal(in.n_fds, 0);
    }
    /* Too long: dropped, with what came along. */
    char *huge = calloc(1, 2 * ROOM);
    assert_non_null(huge);
    assert_int_equal(send(channel[0], huge, ROOM + 1, 0), ROOM + 1);
    assert_int_equal(packet_receive(channel[1], &in, false), -EMSGSIZE);
    free(huge);
    close(channel[0]);
    out.n_fds = 0;
    assert_int_equal(packet_receive(channel[1], &in, true), -EPIPE);
    assert_int_equal(packet_send(channel[1], &out, true), -EPIPE);
    close(channel[1]);
    assert_int_equal(n_open(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(packets_carry_descriptors)};
    return cmocka_run_group_tests_name("ring/packet", tests, NULL, NULL);
}
