/* The kernel's list of TCP sockets: lines as it prints them, and connections of this process in it. */
#include "shared/base/proc_tcp.h"

#include "tests/unit/shared/base/test.h"
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

static void lines(void **state)
{
    struct proc_tcp t;
    char text[ADDR_TEXT_MAX];
    (void)state;
    if (*(const uint8_t *)&(const uint16_t){1} == 1) { /* as a little-endian machine prints them */
        assert_true(
            proc_tcp_read("   1: 0100007F:1F90 0200000A:C350 01 00000000:00000000 00:0 0", &t));
        assert_string_equal(addr_print(&t.local, text), "127.0.0.1:8080");
        assert_string_equal(addr_print(&t.remote, text), "10.0.0.2:50000");
        assert_true(t.joined);
        assert_true(proc_tcp_read("  10: 000000FD000000000000000001000000:0050 "
                                  "0000000000000000FFFF00000300000A:0051 08 0",
                                  &t));
        assert_string_equal(addr_print(&t.local, text), "[fd00::1]:80");
        assert_string_equal(addr_print(&t.remote, text),
                            "10.0.0.3:81"); /* of IPv4, on IPv6's socket */
    }
    static const struct {
        const char *state;
        bool joined;
    } states[] = {{"01", true}, {"02", false}, {"03", true},  {"04", true},
                  {"05", true}, {"06", false}, {"07", false}, {"08", true},
                  {"09", true}, {"0A", false}, {"0B", true},  {"0C", false}};
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        char line[128];
        snprintf(line, sizeof line, " 0: 0100007F:0001 0100007F:0002 %s 0", states[i].state);
        assert_true(proc_tcp_read(line, &t));
        if (t.joined != states[i].joined)
            fail_msg("state %s", states[i].state);
    }
    static const char *const none[] = {
        "  sl  local_address rem_address   st tx_queue rx_queue",
        "",
        " 0: 0100007F:0001 0100007F:0002 FF",
        " 0: 0100007F00:0001 0100007F:0002 01",
        " 0: 0100007F:0001 0100007F 01",
    };
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        if (proc_tcp_read(none[i], &t))
            fail_msg("\"%s\" is a socket", none[i]);
}

struct wanted {
    struct addr a, b;
    int found;
};

static bool see(const struct proc_tcp *t, void *arg)
{
    struct wanted *w = arg;
    w->found += t->joined && ((addr_equal(&t->local, &w->a) && addr_equal(&t->remote, &w->b)) ||
                              (addr_equal(&t->local, &w->b) && addr_equal(&t->remote, &w->a)));
    return true;
}

static void own_connections(void **state)
{
    (void)state;
    struct sockaddr_in6 at = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT}, from;
    socklen_t len = sizeof at;
    int listener = socket(AF_INET6, SOCK_STREAM, 0), client = socket(AF_INET6, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &len), 0);
    assert_int_equal(connect(client, (struct sockaddr *)&at, sizeof at), 0);
    int server = accept(listener, NULL, NULL);
    len = sizeof from;
    assert_int_equal(getsockname(client, (struct sockaddr *)&from, &len), 0);
    struct wanted w = {.found = 0};
    addr_from_sockaddr((struct sockaddr *)&at, &w.a);
    addr_from_sockaddr((struct sockaddr *)&from, &w.b);
    proc_tcp_each(see, &w);
    assert_int_equal(w.found, 2); /* both of its ends */
    close(server);
    close(client);
    close(listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(lines), cmocka_unit_test(own_connections)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
