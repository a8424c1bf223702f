/* What an enrolled namespace does with connections, on a real kernel; the picture is in
 * netns_fixture.h. */
#include "nodeproxy/capture/privileged.h"

#include "nodeproxy/warden/redirect.h"
#include "shared/ring/datagram.h"
#include "shared/ring/socket.h"
#include "tests/support/tmp.h"
#include "tests/unit/nodeproxy/capture/netns_fixture.h"
#include "tests/unit/nodeproxy/capture/warden_fixture.h"
#include <sys/stat.h>

static struct privileged *privileged;
static struct pod_listeners listeners = {.fds = {-1, -1, -1, -1, -1}};
static char why[PRIVILEGED_WHY_MAX];

static int open_all(void **state)
{
    become_node(state);
    start_warden();
    int r = privileged_open(&privileged, warden_channel[0], why);
    if (r < 0)
        fail_msg("privileged_open: %s", why);
    return 0;
}
static int close_all(void **state)
{
    (void)state;
    privileged = privileged_free(privileged);
    stop_warden();
    close(node_ns);
    return 0;
}
static void enrol(void)
{
    if (privileged_enrol(privileged, pod_ns, &listeners, why) < 0)
        fail_msg("privileged_enrol: %s", why);
}
static void close_listeners(void)
{
    for (size_t i = 0; i < POD_LISTENERS; i++)
        close(listeners.fds[i]);
    listeners = POD_LISTENERS_NONE;
    privileged_forget(privileged, pod_ns);
}
static void check_fails(int error, const char *words)
{
    assert_int_equal(privileged_check(privileged, pod_ns, why), error);
    if (!strstr(why, words))
        fail_msg("\"%s\" does not say \"%s\"", why, words);
}
static void assert_home(void)
{
    struct stat here, node;
    assert_int_equal(stat("/proc/thread-self/ns/net", &here), 0);
    assert_int_equal(fstat(node_ns, &node), 0);
    assert_true(here.st_ino == node.st_ino);
}

/* ---- opening ---- */

static void netns_open_takes_only_other_network_namespaces(void **state)
{
    (void)state;
    char folder[TMP_PATH_MAX], path[64];
    int fd = -1;
    assert_non_null(tmp_folder(folder, "netns"));
    snprintf(path, sizeof path, "%s/x", folder);
    assert_int_equal(privileged_netns_open(privileged, path, &fd, why), -ENOENT);
    assert_non_null(strstr(why, path));
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(privileged_netns_open(privileged, path, &fd, why), -EINVAL);
    unlink(path);
    rmdir(folder);
    assert_int_equal(privileged_netns_open(privileged, "/etc/passwd", &fd, why), -EINVAL);
    assert_int_equal(privileged_netns_open(privileged, "/proc/self/ns/mnt", &fd, why), -EINVAL);
    assert_non_null(strstr(why, "not a network namespace"));
    assert_int_equal(privileged_netns_open(privileged, "/proc/self/ns/net", &fd, why), -EINVAL);
    assert_non_null(strstr(why, "node's own"));
    assert_int_equal(fd, -1);

    snprintf(path, sizeof path, "/proc/%d/fd/%d", getpid(), pod_ns); /* the warden's eyes */
    assert_int_equal(privileged_netns_open(privileged, path, &fd, why), 0);
    assert_true(fd >= 0);
    close(fd);
}
static void the_nodes_own_namespace_is_never_enrolled(void **state)
{
    (void)state;
    assert_int_equal(privileged_enrol(privileged, node_ns, &listeners, why), -EINVAL);
    int not_a_namespace = open("/dev/null", O_RDONLY);
    assert_true(privileged_enrol(privileged, not_a_namespace, &listeners, why) < 0);
    close(not_a_namespace);
    assert_home();
}

/* ---- rules come and go ---- */

static void enrol_check_release(void **state)
{
    (void)state;
    check_fails(-ENOENT, "missing");
    enrol();
    assert_home();
    assert_int_equal(privileged_check(privileged, pod_ns, why), 0);

    /* A node proxy that was started again: the old listeners are gone, the rules are put anew. */
    close_listeners();
    enrol();
    assert_int_equal(privileged_check(privileged, pod_ns, why), 0);
    struct addr at;
    assert_int_equal(socket_local(listeners.outbound, &at), 0);
    assert_int_equal(at.port, PORT_OUTBOUND);
    assert_int_equal(socket_local(listeners.inbound, &at), 0);
    assert_int_equal(at.port, PORT_INBOUND);
    assert_int_equal(socket_local(listeners.hbone, &at), 0);
    assert_int_equal(at.port, PORT_HBONE);
    assert_int_equal(socket_local(listeners.dns_tcp, &at), 0);
    assert_int_equal(at.port, PORT_DNS);
    assert_int_equal(socket_local(listeners.dns_udp, &at), 0);
    assert_int_equal(at.port, PORT_DNS);
    close_listeners();

    assert_int_equal(privileged_release(privileged, pod_ns, why), 0);
    check_fails(-ENOENT, "missing");
    assert_int_equal(privileged_release(privileged, pod_ns, why), 0);
    assert_int_not_equal(RUN_IN(pod_ns, "sh", "-c", "ip rule | grep -q 32764"), 0);
    assert_int_not_equal(RUN_IN(pod_ns, "sh", "-c", "ip -6 rule | grep -q 32764"), 0);
    assert_int_not_equal(RUN_IN(pod_ns, "sh", "-c", "ip route show table 100 | grep -q ."), 0);
    assert_int_not_equal(RUN_IN(pod_ns, "sh", "-c", "nft list ruleset | grep -q ."), 0);
}
static void rules_stay_single_when_put_again(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        enrol();
        close_listeners();
    }
    MUST(pod_ns, "sh", "-c", "test $(ip rule | grep -c 'fwmark 0x111/0xfff lookup 100') = 1");
    MUST(pod_ns, "sh", "-c", "test $(ip -6 rule | grep -c 'fwmark 0x111/0xfff lookup 100') = 1");
    MUST(pod_ns, "sh", "-c", "test $(nft list ruleset | grep -c 'redirect to :15001') = 1");
    MUST(pod_ns, "sh", "-c", "test $(ip -6 route show table 100 | grep -c local) = 1");
}
static void check_sees_every_change(void **state)
{
    (void)state;
    enrol();
    close_listeners();
    MUST(pod_ns, "nft", "insert", "rule", "inet", "weir", "output_redirect", "accept");
    check_fails(-EBADMSG, "changed");
    enrol();
    close_listeners();
    MUST(pod_ns, "ip", "rule", "del", "pref", "32764");
    check_fails(-ENOENT, "rule for answers (IPv4)");
    enrol();
    close_listeners();
    MUST(pod_ns, "ip", "-6", "route", "flush", "table", "100");
    check_fails(-ENOENT, "route for answers (IPv6)");
    enrol();
    close_listeners();
    assert_int_equal(privileged_check(privileged, pod_ns, why), 0);
}
static void a_port_that_is_taken_leaves_nothing_behind(void **state)
{
    (void)state;
    int taken = listen_in(pod_ns, "0.0.0.0", PORT_HBONE);
    assert_int_equal(privileged_enrol(privileged, pod_ns, &listeners, why), -EADDRINUSE);
    assert_non_null(strstr(why, "15008"));
    assert_home();
    check_fails(-ENOENT, "missing");
    close(taken);
    enrol(); /* the listeners that did open were closed again */
    close_listeners();
}
static void listeners_that_exist_are_used(void **state)
{
    (void)state;
    enrol();
    struct pod_listeners given = listeners;
    assert_int_equal(privileged_release(privileged, pod_ns, why), 0);
    assert_int_equal(privileged_enrol(privileged, pod_ns, &given, why), 0);
    assert_memory_equal(&given, &listeners, sizeof given);
    assert_int_equal(privileged_check(privileged, pod_ns, why), 0);

    struct pod_listeners wrong = listeners;
    wrong.inbound = -1;
    assert_int_equal(privileged_enrol(privileged, pod_ns, &wrong, why), -EINVAL);
    for (size_t i = 1; i < POD_LISTENERS; i++) { /* each in the place of the one before it */
        wrong = listeners;
        wrong.fds[i - 1] = listeners.fds[i];
        wrong.fds[i] = listeners.fds[i - 1];
        assert_int_equal(privileged_enrol(privileged, pod_ns, &wrong, why), -EINVAL);
    }
    assert_non_null(strstr(why, "listening sockets"));
    close(must_connect(client_ns, POD_V4, 8080)); /* they still listen */
    close(must_accept(listeners.inbound));
    close_listeners();
}
static void a_loopback_that_is_down_is_brought_up(void **state)
{
    (void)state;
    MUST(pod_ns, "ip", "link", "set", "lo", "down");
    enrol();
    close_listeners();
    MUST(pod_ns, "sh", "-c", "ip link show lo | grep -q ',UP'");
}
static void ipv6_switched_off_is_no_obstacle(void **state)
{
    (void)state;
    MUST(pod_ns, "sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6");
    enrol();
    assert_int_equal(privileged_check(privileged, pod_ns, why), 0);
    int client = must_connect(client_ns, POD_V4, 8080);
    int proxy = must_accept(listeners.inbound);
    assert_joined(client, proxy);
    close(client);
    close(proxy);
    close_listeners();
    assert_int_equal(privileged_release(privileged, pod_ns, why), 0);
}

/* ---- connections ---- */

static void redirected(int from_ns, const char *source, const char *to, uint16_t port, int listener)
{
    struct addr original, peer;
    int client = must_connect(from_ns, to, port);
    int proxy = must_accept(listener);
    assert_int_equal(socket_original_dst(proxy, &original), 0);
    assert_address(&original, to, port);
    assert_int_equal(socket_peer(proxy, &peer), 0);
    assert_address(&peer, source, -1);
    assert_joined(client, proxy);
    close(client);
    close(proxy);
}
/* A query to anybody's port 53 comes to us with the address that was asked, and its answer comes from
 * there; ours pass, and so do those to the pod itself. */
static void ask_anybody(const char *resolver)
{
    struct addr to, from;
    struct ip asked;
    char bytes[100];
    int fd, home = open_own();
    assert_int_equal(addr_parse(text_of(resolver), &to), 0);
    enter_ns(pod_ns);
    assert_int_equal(datagram_open(ip_family(&to.ip), &fd), 0);
    enter_ns(home);
    close(home);
    assert_int_equal(datagram_connect(fd, &to), 0);
    assert_int_equal(datagram_send(fd, "query", 5, NULL, NULL), 0);
    assert_true(is_ready(listeners.dns_udp, POLLIN, NET_WAIT_MS));
    assert_int_equal(datagram_receive(listeners.dns_udp, bytes, sizeof bytes, &from, &asked), 5);
    assert_true(ip_equal(&asked, &to.ip));
    assert_int_equal(datagram_send(listeners.dns_udp, "answer", 6, &from, &asked), 0);
    assert_true(is_ready(fd, POLLIN, NET_WAIT_MS));
    assert_int_equal(datagram_receive(fd, bytes, sizeof bytes, &from, NULL), 6);
    assert_true(addr_equal(&from, &to));

    assert_int_equal(socket_set_mark(fd, MARK_PROXY), 0);
    assert_int_equal(datagram_send(fd, "ours", 4, NULL, NULL), 0);
    assert_false(is_ready(listeners.dns_udp, POLLIN, 50));
    close(fd);
}
static void queries_are_led_to_us(void **state)
{
    struct addr to = {.port = PORT_DNS}, from;
    char bytes[100];
    int fd;
    (void)state;
    enrol();
    ask_anybody("10.96.0.10:53");
    ask_anybody("[fd00:96::a]:53");
    ask_anybody(CLIENT_V4 ":53");
    redirected(pod_ns, POD_V4, "10.96.0.10", 53, listeners.dns_tcp);
    redirected(pod_ns, POD_V6, "fd00:96::a", 53, listeners.dns_tcp);

    /* From outside nobody gets there. */
    int home = open_own();
    enter_ns(client_ns);
    assert_int_equal(datagram_open(AF_INET6, &fd), 0);
    enter_ns(home);
    assert_int_equal(ip_parse(TEXT(POD_V6), &to.ip), 0);
    assert_int_equal(datagram_send(fd, "outside", 7, &to, NULL), 0);
    assert_int_equal(ip_parse(TEXT(POD_V4), &to.ip), 0);
    assert_int_equal(datagram_send(fd, "outside", 7, &to, NULL), 0);
    assert_false(is_ready(listeners.dns_udp, POLLIN, 50));
    close(fd);

    /* Its own name server is the pod's business. */
    int own;
    enter_ns(pod_ns);
    assert_int_equal(ip_parse(TEXT("127.0.0.1"), &to.ip), 0);
    to.port = 53;
    assert_int_equal(datagram_bind(&to, &own), 0);
    assert_int_equal(datagram_open(AF_INET, &fd), 0);
    enter_ns(home);
    close(home);
    assert_int_equal(datagram_send(fd, "own", 3, &to, NULL), 0);
    assert_true(is_ready(own, POLLIN, NET_WAIT_MS));
    assert_int_equal(datagram_receive(own, bytes, sizeof bytes, &from, NULL), 3);
    close(fd);
    close(own);
    MUST(pod_ns, "nft", "flush", "chain", "inet", "weir", "output_dns");
    check_fails(-EBADMSG, "changed");
    close_listeners();
}
static void what_leaves_a_pod_is_redirected(void **state)
{
    (void)state;
    enrol();
    redirected(pod_ns, POD_V4, CLIENT_V4, 80, listeners.outbound);
    redirected(pod_ns, POD_V6, CLIENT_V6, 80, listeners.outbound);
    redirected(pod_ns, POD_V4, "10.9.1.1", 15008, listeners.outbound);
    redirected(pod_ns, POD_V4, "169.254.169.254", 80, listeners.outbound);
    close_listeners();
}
static void what_comes_to_a_pod_is_redirected(void **state)
{
    (void)state;
    enrol();
    redirected(client_ns, CLIENT_V4, POD_V4, 8080, listeners.inbound);
    redirected(client_ns, CLIENT_V6, POD_V6, 8080, listeners.inbound);
    redirected(client_ns, CLIENT_V4, POD_V4, PORT_OUTBOUND, listeners.inbound);
    struct addr original;
    const char *pods[] = {POD_V4, POD_V6};
    for (int i = 0; i < 2; i++) {
        int client = must_connect(client_ns, pods[i], PORT_HBONE);
        int proxy = must_accept(listeners.hbone);
        assert_int_equal(socket_original_dst(proxy, &original), -ENOENT);
        assert_joined(client, proxy);
        close(client);
        close(proxy);
    }
    close_listeners();
}
static void a_pod_reaches_itself_directly(void **state)
{
    (void)state;
    static const char *const own[] = {"127.0.0.1", POD_V4, "::1", POD_V6, "127.9.9.9"};
    enrol();
    int v4 = listen_in(pod_ns, "0.0.0.0", 8080), v6 = listen_in(pod_ns, "::1", 8080);
    int v6_own = listen_in(pod_ns, POD_V6, 8080);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        int client = must_connect(pod_ns, own[i], 8080);
        int app = must_accept(i == 2 ? v6 : i == 3 ? v6_own : v4);
        assert_joined(client, app);
        close(client);
        close(app);
    }
    assert_false(is_ready(listeners.outbound, POLLIN, 0));
    assert_false(is_ready(listeners.inbound, POLLIN, 0));
    close(v4);
    close(v6);
    close(v6_own);
    close_listeners();
}
static void without_a_listener_connections_are_refused(void **state)
{
    (void)state;
    enrol();
    close_listeners(); /* the node proxy died: its rules stay */
    int app = listen_in(pod_ns, "0.0.0.0", 8080), server = listen_in(client_ns, "0.0.0.0", 80);
    int in = begin_connect(client_ns, NULL, POD_V4, 8080);
    int out = begin_connect(pod_ns, NULL, CLIENT_V4, 80);
    assert_int_equal(connect_result(in), -ECONNREFUSED);
    assert_int_equal(connect_result(out), -ECONNREFUSED);
    assert_false(is_ready(app, POLLIN, 0));
    assert_false(is_ready(server, POLLIN, 0));
    close(in);
    close(out);
    close(app);
    close(server);
}
/* A connection from before enrolment must not go on outside of the mesh. */
static void living_connections_are_reset_at_enrolment(void **state)
{
    (void)state;
    int server = listen_in(client_ns, "0.0.0.0", 80);
    int client = must_connect(pod_ns, CLIENT_V4, 80), app = must_accept(server);
    assert_joined(client, app);
    enrol();
    assert_int_equal(send(client, "z", 1, MSG_NOSIGNAL), 1);
    assert_true(is_ready(client, POLLIN, NET_WAIT_MS));
    char c;
    assert_int_equal(recv(client, &c, 1, 0), -1);
    assert_int_equal(errno, ECONNRESET);
    assert_int_equal(recv(app, &c, 1, MSG_DONTWAIT), -1);
    close(client);
    close(app);
    close(server);
    close_listeners();
}

/* ---- the proxy's own sockets ---- */

static void the_application_sees_the_client(const char *client_ip, const char *pod_ip, int family)
{
    struct addr client = address(client_ip, 0), pod = address(pod_ip, 8080), peer;
    struct sockaddr_storage sa;
    socklen_t len = addr_to_sockaddr(&pod, &sa);
    int app = listen_in(pod_ns, pod_ip, 8080), fds[3] = {-1, -1, -1};
    assert_int_equal(privileged_sockets(privileged, pod_ns, family, SOCK_STREAM, fds, 3), 0);
    assert_home();
    assert_int_equal(socket_bind_transparent(fds[0], &client.ip), 0);
    assert_int_equal(connect(fds[0], (struct sockaddr *)&sa, len), 0);
    int accepted = must_accept(app);
    assert_int_equal(socket_peer(accepted, &peer), 0);
    assert_address(&peer, client_ip, -1);
    for (int i = 0; i < 10; i++)
        assert_joined(fds[0], accepted);
    /* The end arrives as well, both ways. */
    char c;
    assert_int_equal(shutdown(fds[0], SHUT_WR), 0);
    assert_true(is_ready(accepted, POLLIN, NET_WAIT_MS));
    assert_int_equal(recv(accepted, &c, 1, 0), 0);
    close(accepted);
    assert_true(is_ready(fds[0], POLLIN, NET_WAIT_MS));
    assert_int_equal(recv(fds[0], &c, 1, 0), 0);
    close(app);
    for (int i = 0; i < 3; i++)
        close(fds[i]);
}
static void original_source(void **state)
{
    (void)state;
    enrol();
    the_application_sees_the_client(CLIENT_V4, POD_V4, AF_INET);
    the_application_sees_the_client(CLIENT_V6, POD_V6, AF_INET6);
    the_application_sees_the_client("203.0.113.77", POD_V4, AF_INET);
    assert_false(is_ready(listeners.inbound, POLLIN, 0));
    close_listeners();
}
static void the_proxys_own_connections_leave(void **state)
{
    (void)state;
    static const struct {
        const char *to, *from;
        int family;
    } cases[] = {{CLIENT_V4, POD_V4, AF_INET}, {CLIENT_V6, POD_V6, AF_INET6}};
    enrol();
    for (size_t i = 0; i < 2; i++) {
        struct addr to = address(cases[i].to, 80), peer;
        struct sockaddr_storage sa;
        socklen_t len = addr_to_sockaddr(&to, &sa);
        int server = listen_in(client_ns, cases[i].to, 80), fd = -1;
        assert_int_equal(privileged_sockets(privileged, pod_ns, cases[i].family, SOCK_STREAM, &fd, 1), 0);
        assert_int_equal(connect(fd, (struct sockaddr *)&sa, len), 0);
        int app = must_accept(server);
        assert_int_equal(socket_peer(app, &peer), 0);
        assert_address(&peer, cases[i].from, -1);
        assert_joined(fd, app);
        close(fd);
        close(app);
        close(server);
    }
    assert_int_equal(privileged_sockets(privileged, pod_ns, AF_UNIX, SOCK_STREAM, NULL, 0), -EAFNOSUPPORT);
    close_listeners();
}

/* ---- the node ---- */

static void put_node_rules(void)
{
    struct ip pods[] = {address(POD_V4, 0).ip, address(POD_V6, 0).ip};
    if (privileged_node_rules(privileged, pods, 2, why) < 0)
        fail_msg("privileged_node_rules: %s", why);
}
static void the_nodes_probes_reach_the_application(void **state)
{
    (void)state;
    static const char *const pods[] = {POD_V4, POD_V6};
    static const char *const sources[] = {PROBE_SOURCE_V4, PROBE_SOURCE_V6};
    enrol();
    redirected(node_ns, "10.9.2.1", POD_V4, 8080, listeners.inbound); /* so they need it */
    put_node_rules();
    for (int i = 0; i < 2; i++) {
        struct addr peer;
        int app = listen_in(pod_ns, pods[i], 8080);
        int probe = must_connect(node_ns, pods[i], 8080), accepted = must_accept(app);
        assert_int_equal(socket_peer(accepted, &peer), 0);
        assert_address(&peer, sources[i], -1);
        assert_joined(probe, accepted);
        close(probe);
        close(accepted);
        close(app);
    }
    /* What the node only forwards is not a probe. */
    redirected(client_ns, CLIENT_V4, POD_V4, 8080, listeners.inbound);
    redirected(client_ns, CLIENT_V6, POD_V6, 8080, listeners.inbound);
    close_listeners();
    assert_int_equal(privileged_node_rules(privileged, NULL, 0, why), 0);
    assert_int_not_equal(RUN_IN(node_ns, "sh", "-c", "nft list ruleset | grep -q weir"), 0);
}
/* A client that has the probe's address: with the node's rules it gets nowhere. */
static void nobody_else_has_the_probes_address(void **state)
{
    (void)state;
    static const struct {
        const char *pod, *source, *prefix;
    } cases[] = {{POD_V4, PROBE_SOURCE_V4, PROBE_SOURCE_V4 "/32"},
                 {POD_V6, PROBE_SOURCE_V6, PROBE_SOURCE_V6 "/128"}};
    enrol();
    for (int i = 0; i < 2; i++) {
        int app = listen_in(pod_ns, cases[i].pod, 8080);
        if (i == 0)
            MUST(client_ns, "ip", "addr", "add", cases[i].prefix, "dev", "eth0");
        else
            MUST(client_ns, "ip", "addr", "add", cases[i].prefix, "dev", "eth0", "nodad");
        MUST(node_ns, "ip", "route", "add", cases[i].prefix, "dev", "client0");
        int client = begin_connect(client_ns, cases[i].source, cases[i].pod, 8080);
        assert_int_equal(connect_result(client), 0); /* so the rules are needed */
        close(must_accept(app));
        close(client);

        put_node_rules();
        client = begin_connect(client_ns, cases[i].source, cases[i].pod, 8080);
        /* What is sent after it on the same way arrives; so it would have, too. */
        int later = must_connect(client_ns, cases[i].pod, 8080);
        close(must_accept(listeners.inbound));
        assert_false(is_ready(client, POLLOUT, 0));
        assert_false(is_ready(app, POLLIN, 0));
        close(client);
        close(later);
        close(app);
        assert_int_equal(privileged_node_rules(privileged, NULL, 0, why), 0);
    }
    close_listeners();
}
static void node_rules_are_replaced(void **state)
{
    (void)state;
    struct ip many[600];
    for (unsigned i = 0; i < 600; i++)
        many[i] =
            (struct ip){.len = 4, .bytes = {10, 9, (uint8_t)(100 + i / 200), (uint8_t)(i % 200)}};
    assert_int_equal(privileged_node_rules(privileged, many, 600, why), 0);
    MUST(node_ns, "sh", "-c", "nft list set inet weir_node pods_v4 | grep -q 10.9.102.199");
    put_node_rules();
    MUST(node_ns, "sh", "-c", "! nft list set inet weir_node pods_v4 | grep -q 10.9.102.199");
    MUST(node_ns, "sh", "-c", "nft list set inet weir_node pods_v6 | grep -q '" POD_V6 "'");
    MUST(node_ns, "sh", "-c", "nft list table bridge weir_node | grep -q '169.254.7.127 drop'");
    assert_int_equal(privileged_node_rules(privileged, NULL, 0, why), 0);
    assert_int_equal(privileged_node_rules(privileged, NULL, 0, why), 0);
}

#define NET_TEST(f) cmocka_unit_test_setup_teardown(f, make_net, drop_net)
int main(void)
{
    const struct CMUnitTest tests[] = {
        NET_TEST(netns_open_takes_only_other_network_namespaces),
        NET_TEST(the_nodes_own_namespace_is_never_enrolled),
        NET_TEST(enrol_check_release),
        NET_TEST(rules_stay_single_when_put_again),
        NET_TEST(check_sees_every_change),
        NET_TEST(a_port_that_is_taken_leaves_nothing_behind),
        NET_TEST(queries_are_led_to_us),
        NET_TEST(listeners_that_exist_are_used),
        NET_TEST(a_loopback_that_is_down_is_brought_up),
        NET_TEST(ipv6_switched_off_is_no_obstacle),
        NET_TEST(what_leaves_a_pod_is_redirected),
        NET_TEST(what_comes_to_a_pod_is_redirected),
        NET_TEST(a_pod_reaches_itself_directly),
        NET_TEST(without_a_listener_connections_are_refused),
        NET_TEST(living_connections_are_reset_at_enrolment),
        NET_TEST(original_source),
        NET_TEST(the_proxys_own_connections_leave),
        NET_TEST(the_nodes_probes_reach_the_application),
        NET_TEST(nobody_else_has_the_probes_address),
        NET_TEST(node_rules_are_replaced),
    };
    return cmocka_run_group_tests_name("capture/privileged", tests, open_all, close_all);
}
