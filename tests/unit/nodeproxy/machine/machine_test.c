/*
 * A machine's options and rules: whose connections are led through the node proxy and whose are not,
 * with real packets. The test's own process stands for the machine, in a namespace of its own; the
 * client's namespace is somebody else's.
 */
#include "nodeproxy/machine/machine.h"

#include "shared/base/log.h"
#include "shared/ring/socket.h"
#include "tests/support/tmp.h"
#include "tests/unit/nodeproxy/capture/netns_fixture.h"
#include "tests/unit/nodeproxy/capture/warden_fixture.h"
#include <sys/fsuid.h>
#include <sys/stat.h>

#define MACHINE_V4 "10.9.1.1"
#define MACHINE_V6 "fd09:1::1"
enum { CHOSEN = 4001, OTHER = 4002, SHORT_MS = 200 };

static struct machine machine;
static struct privileged *privileged;
static struct pod_listeners listeners;
static char why[PRIVILEGED_WHY_MAX];

/* ---- options ---- */

static struct machine_options good_options(void)
{
    return (struct machine_options){.workload = "shop/db-1",
                                    .users = {{"4001"}, 1},
                                    .ports = {{"8080"}, 1},
                                    .excluded = {{"10.9.1.7", "fd09:1::7"}, 2},
                                    .excluded_ports = {{"9999"}, 1},
                                    .addresses = {{MACHINE_V4, MACHINE_V6, MACHINE_V4}, 3}};
}

static const struct addr *own_of_proxy(void)
{
    static struct addr own[2];
    own[0] = address(CLIENT_V4, 15012);
    own[1] = address(CLIENT_V6, 15012);
    return own;
}

static void read_good(void)
{
    static struct machine_options o; /* borrowed by the machine */
    o = good_options();
    if (machine_read(&machine, &o, own_of_proxy(), 2, true, why) < 0)
        fail_msg("%s", why);
}

static void what_is_read(void **state)
{
    (void)state;
    read_good();
    assert_string_equal(machine.pod.ns, "shop");
    assert_string_equal(machine.pod.name, "db-1");
    assert_int_equal(machine.pod.n_addresses, 2); /* one was there twice */
    struct machine_options o = good_options();
    o.users = (struct arg_list){{"root"}, 1};
    o.addresses.n = 0;
    assert_int_equal(machine_read(&machine, &o, NULL, 0, false, why), 0);
    assert_int_equal(machine.scope.users[0], 0);
    assert_true(machine.pod.n_addresses >= 2); /* of the interfaces, and not the loopback's */
    for (size_t i = 0; i < machine.pod.n_addresses; i++)
        assert_false(ip_is_loopback(&machine.pod.addresses[i]));
    assert_null(strstr(machine.rules[1], "output_dns"));
}

static void what_is_refused(void **state)
{
    static const struct {
        size_t at; /* of the list, or of the workload */
        const char *value, *option;
    } bad[] = {
#define AT(member) offsetof(struct machine_options, member)
        {AT(workload), "db-1", "--workload"},
        {AT(workload), "/db-1", "--workload"},
        {AT(workload), "shop/", "--workload"},
        {AT(users), "nobody-of-this-name", "--capture-user"},
        {AT(users), "4294967295", "--capture-user"},
        {AT(cgroups), "", "--capture-cgroup"},
        {AT(cgroups), "/a", "--capture-cgroup"},
        {AT(cgroups), "a/../b", "--capture-cgroup"},
        {AT(cgroups), "a\" accept", "--capture-cgroup"},
        {AT(cgroups), "a//b", "--capture-cgroup"},
        {AT(ports), "0", "--inbound-port"},
        {AT(ports), "65536", "--inbound-port"},
        {AT(ports), "http", "--inbound-port"},
        {AT(excluded), "10.0.0.0/33", "--exclude:"},
        {AT(excluded_ports), "1-2", "--exclude-port"},
        {AT(addresses), "db.example", "--address"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct machine_options o = good_options();
        if (bad[i].at == AT(workload))
            o.workload = bad[i].value;
        else
            *(struct arg_list *)((char *)&o + bad[i].at) = (struct arg_list){{bad[i].value}, 1};
        assert_int_equal(machine_read(&machine, &o, NULL, 0, true, why), -EINVAL);
        if (!strstr(why, bad[i].option))
            fail_msg("not of %s '%s': %s", bad[i].option, bad[i].value, why);
    }
}

/* The longest lists fit, and what does not is an error and no cut text. */
static void long_lists(void **state)
{
    static char paths[32][256];
    struct machine_options o = good_options();
    (void)state;
    for (size_t i = 0; i < 32; i++) {
        o.users.items[i] = "4294967294";
        o.ports.items[i] = o.excluded_ports.items[i] = "65535";
        o.excluded.items[i] = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127";
        memset(paths[i], 'a', sizeof paths[i] - 1);
        o.cgroups.items[i] = paths[i];
    }
    o.users.n = o.ports.n = o.excluded_ports.n = o.excluded.n = 32;
    assert_int_equal(machine_read(&machine, &o, NULL, 0, true, why), 0);
    o.cgroups.n = 32;
    assert_int_equal(machine_read(&machine, &o, NULL, 0, true, why), -EMSGSIZE);
}

static void by_cgroup(void **state)
{
    struct machine_options o = good_options();
    (void)state;
    o.cgroups = (struct arg_list){{"system.slice/shop.service"}, 1};
    assert_int_equal(machine_read(&machine, &o, NULL, 0, true, why), 0);
    assert_non_null(strstr(machine.rules[1], "socket cgroupv2 level 2 \"system.slice/shop.service\" "
                                             "meta l4proto tcp redirect to :15001"));
    assert_null(strstr(machine.rules[0], "redirect to :"));
    const struct {
        uid_t uid;
        const char *cgroups;
        bool has;
    } cases[] = {
        {CHOSEN, "0::/\n", true},
        {0, "0::/\n", true},
        {OTHER, "0::/\n", false},
        {OTHER, "0::/system.slice/shop.service\n", true},
        {OTHER, "12:cpu:/x\n0::/system.slice/shop.service/worker\n", true},
        {OTHER, "0::/system.slice/shop.service2\n", false},
        {OTHER, "0::/a/system.slice/shop.service\n", false},
        {OTHER, "1:name=systemd:/system.slice/shop.service\n0::/\n", false},
        {OTHER, "", false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        if (machine_has(&machine.scope, cases[i].uid, text_of(cases[i].cgroups)) != cases[i].has)
            fail_msg("case %zu", i);
}

/* ---- packets ---- */

static int begin(void **state)
{
    listeners = POD_LISTENERS_NONE;
    make_net(state);
    read_good();
    warden_machine[0] = machine.rules[0];
    warden_machine[1] = machine.rules[1];
    start_warden();
    if (privileged_open(&privileged, warden_channel[0], why) < 0)
        fail_msg("privileged_open: %s", why);
    if (privileged_enrol(privileged, node_ns, &listeners, why) < 0)
        fail_msg("privileged_enrol: %s", why);
    return 0;
}

static int end(void **state)
{
    assert_int_equal(privileged_release(privileged, node_ns, why), 0);
    assert_int_equal(privileged_check(privileged, node_ns, why), -ENOENT);
    privileged = privileged_free(privileged);
    for (size_t i = 0; i < POD_LISTENERS; i++)
        close(listeners.fds[i]);
    stop_warden();
    warden_machine[0] = warden_machine[1] = NULL;
    return drop_net(state);
}

/* A process of this user connects from the machine. */
static int connect_as(uid_t uid, const char *ip, uint16_t port)
{
    (void)setfsuid(uid); /* whose a socket is */
    int fd = begin_connect(node_ns, NULL, ip, port);
    (void)setfsuid(0);
    return fd;
}

static void expect_there(int fd, int listener)
{
    assert_int_equal(connect_result(fd), 0);
    int accepted = must_accept(listener);
    assert_joined(fd, accepted);
    close(accepted);
    close(fd);
}

static void chosen_users_go_through(void **state)
{
    static const char *const families[][2] = {{CLIENT_V4, MACHINE_V4}, {CLIENT_V6, MACHINE_V6}};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        const char *there = families[i][0], *here = families[i][1];
        int server = listen_in(client_ns, there, 8000), other = listen_in(client_ns, there, 9999);
        int control = listen_in(client_ns, there, 15012), at_home = listen_in(node_ns, here, 8000);
        expect_there(connect_as(CHOSEN, there, 8000), listeners.outbound);
        expect_there(connect_as(OTHER, there, 8000), server);
        expect_there(connect_as(0, there, 8000), server);
        expect_there(connect_as(CHOSEN, there, 9999), other);    /* --exclude-port */
        expect_there(connect_as(CHOSEN, there, 15012), control); /* the proxy's own controller */
        expect_there(connect_as(CHOSEN, here, 8000), at_home);   /* within the machine */
        int fd = -1;
        assert_int_equal(privileged_sockets(privileged, node_ns, i ? AF_INET6 : AF_INET,
                                            SOCK_STREAM, &fd, 1),
                         0);
        struct sockaddr_storage sa;
        struct addr to = address(there, 8000);
        socklen_t len = addr_to_sockaddr(&to, &sa);
        assert_int_equal(connect(fd, (struct sockaddr *)&sa, len), 0); /* the proxy's own */
        expect_there(fd, server);
        close(server);
        close(other);
        close(control);
        close(at_home);
    }
}

static void excluded_places(void **state)
{
    (void)state;
    MUST(client_ns, "ip", "addr", "add", "10.9.1.7/24", "dev", "eth0");
    int server = listen_in(client_ns, "10.9.1.7", 8000);
    expect_there(connect_as(CHOSEN, "10.9.1.7", 8000), server);
    close(server);
}

static void listed_ports_come_through(void **state)
{
    (void)state;
    int app = listen_in(node_ns, MACHINE_V4, 8080), plain = listen_in(node_ns, MACHINE_V4, 8081);
    expect_there(must_connect(client_ns, MACHINE_V4, 8080), listeners.inbound);
    expect_there(must_connect(client_ns, MACHINE_V4, 8081), plain);
    expect_there(must_connect(client_ns, MACHINE_V4, PORT_HBONE), listeners.hbone);
    expect_there(connect_as(OTHER, MACHINE_V4, 8080), app);
    /* What is for redirected connections alone is nobody's from outside. */
    for (size_t i = 0; i < 3; i++) {
        int fd = begin_connect(client_ns, NULL, MACHINE_V4,
                               (uint16_t[]){PORT_OUTBOUND, PORT_INBOUND, PORT_DNS}[i]);
        assert_false(is_ready(fd, POLLOUT, SHORT_MS));
        close(fd);
    }
    close(app);
    close(plain);
}

/* What the proxy opens to the application from the client's address: its answers come back. */
static void answers_find_back(void **state)
{
    struct sockaddr_storage sa;
    struct ip client = address(CLIENT_V4, 0).ip;
    struct addr to = address(MACHINE_V4, 8080), peer;
    int fd = -1, app = listen_in(node_ns, MACHINE_V4, 8080);
    (void)state;
    assert_int_equal(privileged_sockets(privileged, node_ns, AF_INET, SOCK_STREAM, &fd, 1), 0);
    assert_int_equal(socket_bind_transparent(fd, &client), 0);
    socklen_t len = addr_to_sockaddr(&to, &sa);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, len), 0);
    int accepted = must_accept(app);
    assert_int_equal(socket_peer(accepted, &peer), 0);
    assert_address(&peer, CLIENT_V4, -1);
    assert_joined(fd, accepted);
    close(accepted);
    close(fd);
    close(app);
}

static void quietly(void **state)
{
    (void)state;
    int server = listen_in(client_ns, CLIENT_V4, 8000), app = listen_in(node_ns, MACHINE_V4, 8080);
    assert_int_equal(privileged_check(privileged, node_ns, why), 0);
    assert_int_equal(privileged_quiet(privileged, node_ns, why), 0);
    expect_there(connect_as(CHOSEN, CLIENT_V4, 8000), server);
    expect_there(must_connect(client_ns, MACHINE_V4, 8080), app);
    assert_int_equal(privileged_check(privileged, node_ns, why), -EBADMSG);
    assert_int_equal(privileged_enrol(privileged, node_ns, &listeners, why), 0);
    expect_there(connect_as(CHOSEN, CLIENT_V4, 8000), listeners.outbound);
    close(server);
    close(app);
}

/* It is asked by a process that it does not trust: a machine's warden captures no pods. */
static void no_other_namespace(void **state)
{
    struct pod_listeners none = POD_LISTENERS_NONE;
    int fd;
    (void)state;
    assert_int_equal(privileged_enrol(privileged, pod_ns, &none, why), -EINVAL);
    assert_int_equal(privileged_sockets(privileged, pod_ns, AF_INET, SOCK_STREAM, &fd, 1), -EINVAL);
}

/* ---- its one pod ---- */

static enum pod_enrolment said;
static unsigned n_added, n_removed;

static enum pod_enrolment enrolment(struct pods *p, const char *uid, void *arg)
{
    (void)p, (void)arg;
    assert_string_equal(uid, "Kubernetes/networking.istio.io/WorkloadEntry/shop/db-1");
    return said;
}
static void added(struct pods *p, struct pod *pod, void *arg)
{
    (void)p, (void)pod, (void)arg;
    n_added++;
}
static void removed(struct pods *p, struct pod *pod, void *arg)
{
    (void)arg;
    n_removed++;
    pods_released(p, pod);
}
static size_t living(struct pods *p, const struct pod *pod, void *arg)
{
    (void)p, (void)pod, (void)arg;
    return 0;
}

/* While it can't be written down it is not captured, which is told and tried again; then it stays
 * captured, whatever the directory says of it. */
static void captured_for_good(void **state)
{
    static const struct pods_events events = {enrolment, added, removed, living};
    char folder[TMP_PATH_MAX], state_dir[TMP_PATH_MAX + 8], in_the_way[TMP_PATH_MAX + 24];
    char file[TMP_PATH_MAX + 24];
    const char *ring_why = "";
    struct ring *ring;
    struct pods *pods;
    (void)state;
    assert_int_equal(ring_open(&ring, &(struct ring_options){0}, &ring_why), 0);
    assert_non_null(tmp_folder(folder, "machine"));
    snprintf(state_dir, sizeof state_dir, "%s/pods", folder);
    snprintf(file, sizeof file, "%s/machine.json", state_dir);
    snprintf(in_the_way, sizeof in_the_way, "%s/machine.new", state_dir);
    const struct pods_options o = {.state_dir = state_dir,
                                   .cluster_id = "Kubernetes",
                                   .pods_max = 4,
                                   .machine = &machine.pod};
    assert_int_equal(pods_open(&pods, ring, privileged, &o, &events, NULL), 0);
    n_added = n_removed = 0;
    said = POD_UNKNOWN_YET;
    assert_int_equal(mkdir(in_the_way, 0700), 0);
    assert_int_equal(pods_restore(pods), 0);
    assert_int_equal(n_added, 0);
    assert_int_equal(pods_waiting(pods), 1);
    assert_int_equal(rmdir(in_the_way), 0);
    pods_directory_changed(pods);
    assert_int_equal(n_added, 1);
    assert_int_equal(pods_waiting(pods), 0);
    said = POD_NOT_ENROLLED;
    pods_directory_changed(pods);
    assert_int_equal(privileged_check(privileged, node_ns, why), 0);
    int server = listen_in(client_ns, CLIENT_V4, 8000);
    expect_there(connect_as(CHOSEN, CLIENT_V4, 8000), listeners.outbound);
    close(server);
    assert_int_equal(n_added, 1);
    assert_int_equal(n_removed, 0);
    pods_close(pods);
    for (int i = 0; i < 3; i++) { /* the memory goes from the loop */
        ring_stop(ring);
        assert_int_equal(ring_run(ring), 0);
    }
    ring_free(ring);
    assert_int_equal(unlink(file), 0);
    assert_int_equal(rmdir(state_dir), 0);
    assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
    log_configure(LOG_ERROR, LOG_TEXT, 0);
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest options[] = {
        cmocka_unit_test_setup_teardown(what_is_read, make_net, drop_net),
        cmocka_unit_test(what_is_refused),
        cmocka_unit_test(long_lists),
        cmocka_unit_test(by_cgroup),
        TEST(chosen_users_go_through),
        TEST(excluded_places),
        TEST(listed_ports_come_through),
        TEST(answers_find_back),
        TEST(quietly),
        TEST(no_other_namespace),
        TEST(captured_for_good),
    };
    return cmocka_run_group_tests(options, become_node, NULL);
}
