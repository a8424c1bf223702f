/*
 * The warden and who asks it, over their channel: what it refuses, what it keeps, and what becomes
 * of a question when one of the two dies. What it does to a namespace is
 * capture/privileged_test.c's.
 */
#include "nodeproxy/warden/warden.h"

#include "nodeproxy/capture/netns_id.h"
#include "nodeproxy/capture/wire_client.h"
#include "shared/base/clock.h"
#include "shared/base/list.h"
#include "shared/base/log.h"
#include "tests/unit/nodeproxy/capture/netns_fixture.h"
#include "tests/unit/nodeproxy/capture/warden_fixture.h"
#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <sys/resource.h>

static struct privileged *privileged;
static struct pod_listeners listeners;
static unsigned char out_bytes[WIRE_BYTES_MAX], in_bytes[WIRE_BYTES_MAX];
static struct packet out = {.bytes = out_bytes, .size = sizeof out_bytes};
static struct packet in = {.bytes = in_bytes, .size = sizeof in_bytes};
static char why[PRIVILEGED_WHY_MAX];

static void open_client(void)
{
    if (privileged_open(&privileged, warden_channel[0], why) < 0)
        fail_msg("privileged_open: %s", why);
}
static int begin(void **state)
{
    listeners = POD_LISTENERS_NONE;
    make_net(state);
    start_warden();
    open_client();
    return 0;
}
static void close_listeners(void)
{
    for (size_t i = 0; i < POD_LISTENERS; i++)
        if (listeners.fds[i] >= 0)
            close(listeners.fds[i]);
    listeners = POD_LISTENERS_NONE;
}
static int end(void **state)
{
    privileged = privileged_free(privileged);
    close_listeners();
    stop_warden();
    warden_orphan_ms = 60000;
    return drop_net(state);
}
static void enrol(void)
{
    if (privileged_enrol(privileged, pod_ns, &listeners, why) < 0)
        fail_msg("privileged_enrol: %s", why);
}
/* As the kernel does it to a process that is killed. */
static void data_process_dies(void)
{
    privileged = privileged_free(privileged);
    close_listeners();
}
static void assert_refused(void)
{
    int fd = begin_connect(client_ns, NULL, POD_V4, 8080);
    assert_int_equal(connect_result(fd), -ECONNREFUSED);
    close(fd);
}
/* A connection that waits in the backlog is given out by these listeners. */
static void assert_waits_for(int waiting)
{
    int accepted = must_accept(listeners.inbound);
    assert_joined(waiting, accepted);
    close(accepted);
    close(waiting);
}

/* ---- what it does not believe ---- */

/* Any bytes and descriptors, as a data process could send them that was taken over. */
static int ask_raw(const struct wire_request *q, const int *fds, size_t n_fds)
{
    struct wire_answer a = {0};
    out.len = wire_client_encode(q, out.bytes);
    if (n_fds > 0)
        memcpy(out.fds, fds, n_fds * sizeof *fds);
    out.n_fds = n_fds;
    assert_int_equal(packet_send(warden_channel[0], &out, true), 0);
    while (a.id != q->id) {
        assert_true(is_ready(warden_channel[0], POLLIN, NET_WAIT_MS));
        assert_int_equal(packet_receive(warden_channel[0], &in, true), 0);
        assert_int_equal(wire_client_decode(in.bytes, in.len, &a), 0);
        packet_close_fds(&in);
    }
    memcpy(why, a.why, sizeof why);
    return a.result;
}
static void descriptors_must_be_a_pods_namespace(void **state)
{
    (void)state;
    static const enum wire_kind kinds[] = {WIRE_ENROL, WIRE_CHECK, WIRE_RELEASE, WIRE_FORGET};
    int null = open("/dev/null", O_RDWR | O_CLOEXEC), mounts = open("/proc/self/ns/mnt", O_RDONLY);
    const int bad[] = {null, mounts, node_ns, warden_channel[0]};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        for (size_t k = 0; k < ARRAY_SIZE(kinds); k++)
            assert_int_equal(ask_raw(&(struct wire_request){.id = 1, .kind = kinds[k]}, &bad[i], 1),
                             -EINVAL);
        assert_int_equal(ask_raw(
                             &(struct wire_request){
                                 .id = 2, .kind = WIRE_SOCKETS, .family = AF_INET, .type = SOCK_STREAM, .count = 1},
                             &bad[i], 1),
                         -EINVAL);
    }
    close(null);
    close(mounts);
    MUST(node_ns, "sh", "-c", "! nft list ruleset | grep -q weir");
}
static void listeners_must_be_this_pods(void **state)
{
    (void)state;
    enrol();
    privileged_forget(privileged, pod_ns);
    int fds[1 + POD_LISTENERS] = {pod_ns};
    int elsewhere = listen_in(client_ns, CLIENT_V4, PORT_INBOUND);
    int other_port = listen_in(pod_ns, POD_V4, 80);
    int connected = must_connect(client_ns, POD_V4, 8080);
    int accepted =
        must_accept(listeners.inbound); /* its local port is ours, and it does not listen */
    const int bad[] = {elsewhere, other_port, accepted, listeners.hbone, pod_ns, warden_channel[0]};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        for (size_t k = 2; k <= POD_LISTENERS; k += POD_LISTENERS - 2) { /* for inbound, for DNS */
            memcpy(fds + 1, listeners.fds, sizeof listeners.fds);
            fds[k] = bad[i];
            assert_int_equal(ask_raw(&(struct wire_request){.id = 3, .kind = WIRE_KEEP}, fds,
                                     1 + POD_LISTENERS),
                             -EINVAL);
            assert_non_null(strstr(why, "listening sockets"));
        }
    }
    memcpy(fds + 1, listeners.fds, sizeof listeners.fds);
    assert_int_equal(
        ask_raw(&(struct wire_request){.id = 4, .kind = WIRE_KEEP}, fds, 1 + POD_LISTENERS), 0);
    close(elsewhere);
    close(other_port);
    close(connected);
    close(accepted);
}
static unsigned wardens_descriptors(void)
{
    char path[64];
    unsigned n = 0;
    snprintf(path, sizeof path, "/proc/%d/fd", warden_pid);
    DIR *folder = opendir(path);
    assert_non_null(folder);
    while (readdir(folder))
        n++;
    closedir(folder);
    return n;
}
static void nonsense_has_no_answer_and_does_no_harm(void **state)
{
    (void)state;
    assert_int_equal(ask_raw(&(struct wire_request){.id = 5, .kind = WIRE_HELLO}, NULL, 0), 0);
    unsigned before = wardens_descriptors();
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    for (unsigned i = 0; i < 200; i++) {
        out.len = 1 + (i * 37) % 400;
        for (size_t k = 0; k < out.len; k++)
            out.bytes[k] = (unsigned char)(i * k + i);
        out.n_fds = i % 7;
        for (size_t k = 0; k < out.n_fds; k++)
            out.fds[k] = null;
        assert_int_equal(packet_send(warden_channel[0], &out, true), 0);
    }
    close(null);
    assert_int_equal(ask_raw(&(struct wire_request){.id = 5, .kind = WIRE_HELLO}, NULL, 0), 0);
    assert_int_equal(wardens_descriptors(), before); /* none of them is left */
}
static void lists_have_an_end(void **state)
{
    (void)state;
    static struct ip many[WIRE_ADDRESSES_MAX];
    struct wire_request q = {
        .id = 7, .kind = WIRE_NODE_RULES, .addresses = many, .n_addresses = WIRE_ADDRESSES_MAX};
    for (size_t i = 0; i < WIRE_ADDRESSES_MAX; i++)
        many[i] = (struct ip){.len = 4, .bytes = {10, 7, (uint8_t)(i >> 8), (uint8_t)i}};
    assert_int_equal(ask_raw(&q, NULL, 0), 0);
    q.more = true;
    assert_int_equal(ask_raw(&q, NULL, 0), 0); /* 512 pods, 8 addresses each */
    assert_int_equal(ask_raw(&q, NULL, 0), -ENOBUFS);
    q.more = false;
    assert_int_equal(ask_raw(&q, NULL, 0), 0); /* a new list */
    assert_int_equal(ask_raw(&(struct wire_request){.id = 8, .kind = WIRE_NODE_RULES}, NULL, 0), 0);
    q.more = true;
    assert_int_equal(ask_raw(&q, NULL, 0), -ENOENT); /* more of what is not there */
}

/* ---- longer than a message ---- */

static void many_sockets(int type);
static void many_addresses_and_many_sockets(void **state)
{
    (void)state;
    static struct ip many[2 * WIRE_ADDRESSES_MAX];
    for (size_t i = 0; i < ARRAY_SIZE(many); i++)
        many[i] = (struct ip){.len = 4, .bytes = {10, 8, (uint8_t)(i >> 8), (uint8_t)i}};
    assert_int_equal(privileged_node_rules(privileged, many, ARRAY_SIZE(many), why), 0);
    MUST(node_ns, "sh", "-c", "nft list set inet weir_node pods_v4 | grep -q '10.8.15.255'");
    MUST(node_ns, "sh", "-c", "nft list set inet weir_node pods_v4 | grep -q '10.8.0.0'");
    assert_int_equal(privileged_node_rules(privileged, NULL, 0, why), 0);

    many_sockets(SOCK_STREAM);
    many_sockets(SOCK_DGRAM);
}
static void many_sockets(int type)
{
    int fds[300];
    assert_int_equal(privileged_sockets(privileged, pod_ns, AF_INET6, type, fds, ARRAY_SIZE(fds)),
                     0);
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
        int mark = 0, transparent = 0, is = 0;
        socklen_t len = sizeof mark;
        assert_int_equal(getsockopt(fds[i], SOL_SOCKET, SO_TYPE, &is, &len), 0);
        assert_int_equal(is, type);
        assert_int_equal(getsockopt(fds[i], SOL_SOCKET, SO_MARK, &mark, &len), 0);
        assert_int_equal(mark, MARK_PROXY);
        assert_int_equal(getsockopt(fds[i], IPPROTO_IPV6, IPV6_TRANSPARENT, &transparent, &len), 0);
        assert_int_equal(transparent, 1);
        close(fds[i]);
    }
}

/* ---- one of the two dies ---- */

static void a_dead_data_process_refuses_nobody(void **state)
{
    (void)state;
    enrol();
    data_process_dies();
    int waiting = must_connect(client_ns, POD_V4, 8080);
    MUST(pod_ns, "sh", "-c", "nft list table inet weir | grep -q 15006");
    open_client();
    enrol();
    assert_waits_for(waiting);
    assert_int_equal(privileged_check(privileged, pod_ns, why), 0);
}
static void changed_rules_are_put_again(void **state)
{
    (void)state;
    enrol();
    data_process_dies();
    MUST(pod_ns, "nft", "delete", "table", "inet", "weir");
    open_client();
    enrol();
    assert_int_equal(privileged_check(privileged, pod_ns, why), 0);
}
static void what_is_released_or_forgotten_is_not_kept(void **state)
{
    (void)state;
    enrol();
    privileged_forget(privileged, pod_ns);
    data_process_dies();
    assert_refused();
    open_client();
    enrol();
    privileged_forget(privileged, -1);
    data_process_dies();
    assert_refused();
    open_client();
    enrol();
    assert_int_equal(privileged_release(privileged, pod_ns, why), 0);
    data_process_dies();
    assert_refused();
}
static void listeners_that_were_given_are_kept(void **state)
{
    (void)state;
    enrol();
    privileged_forget(privileged, -1);
    enrol(); /* they are given this time */
    data_process_dies();
    int waiting = must_connect(client_ns, POD_V4, 8080);
    open_client();
    enrol();
    assert_waits_for(waiting);
}
static void listeners_that_no_longer_listen_are_replaced(void **state)
{
    (void)state;
    enrol();
    assert_int_equal(shutdown(listeners.inbound, SHUT_RDWR), 0);
    data_process_dies();
    open_client();
    enrol();
    assert_waits_for(must_connect(client_ns, POD_V4, 8080));
}
static bool is_refused(void)
{
    int fd = begin_connect(client_ns, NULL, POD_V4, 8080);
    bool refused = connect_result(fd) == -ECONNREFUSED;
    close(fd);
    return refused;
}
/* They hold a namespace that may be gone from the node: it ends, if nobody asks. */
static void orphans_are_let_go(void **state)
{
    (void)state;
    stop_warden();
    warden_orphan_ms = 1;
    privileged = privileged_free(privileged);
    start_warden();
    open_client();
    enrol();
    data_process_dies();
    assert_false(is_refused());
    open_client(); /* and does not ask for them */
    uint64_t deadline = clock_monotonic_ms() + NET_WAIT_MS;
    while (!is_refused())
        assert_true(clock_monotonic_ms() < deadline);
}
static void a_new_warden_is_told_what_to_keep(void **state)
{
    (void)state;
    enrol();
    kill_warden();
    start_warden();
    assert_int_equal(privileged_check(privileged, pod_ns, why), 0); /* by the next request */
    data_process_dies();
    int waiting = must_connect(client_ns, POD_V4, 8080);
    open_client();
    enrol();
    assert_waits_for(waiting);

    kill_warden();
    start_warden();
    assert_true(is_ready(warden_channel[0], POLLIN, NET_WAIT_MS));
    privileged_look(privileged); /* or when it says that it is there */
    data_process_dies();
    waiting = must_connect(client_ns, POD_V4, 8080);
    open_client();
    enrol();
    assert_waits_for(waiting);
}
static void *start_later(void *arg)
{
    /* Until the question has been asked: it lies at the warden's end. */
    assert_true(is_ready(warden_channel[1], POLLIN, NET_WAIT_MS));
    start_warden();
    assert_true(is_ready(*(int *)arg, POLLIN, NET_WAIT_MS)); /* the warden ends with this thread */
    return NULL;
}
static void a_question_waits_for_the_next_warden(void **state)
{
    (void)state;
    pthread_t thread;
    int over[2];
    enrol();
    kill_warden();
    assert_int_equal(pipe(over), 0);
    assert_int_equal(pthread_create(&thread, NULL, start_later, &over[0]), 0);
    assert_int_equal(privileged_check(privileged, pod_ns, why), 0);
    assert_int_equal(write(over[1], "", 1), 1);
    assert_int_equal(pthread_join(thread, NULL), 0);
    close(over[0]);
    close(over[1]);
}
static void without_a_warden_a_question_ends(void **state)
{
    (void)state;
    int fds[2] = {-1, -1};
    kill_warden();
    uint64_t start = clock_monotonic_ms();
    assert_int_equal(privileged_check(privileged, pod_ns, why), -ETIMEDOUT);
    assert_non_null(strstr(why, "warden"));
    assert_true(clock_monotonic_ms() - start >= 4000);
    start = clock_monotonic_ms();
    assert_int_equal(privileged_sockets(privileged, pod_ns, AF_INET, SOCK_STREAM, fds, 2), -ETIMEDOUT);
    assert_true(clock_monotonic_ms() - start < 4000); /* not as long, the second time */
    assert_int_equal(fds[0], -1);
    start_warden();
    enrol(); /* answers to the questions of before are not taken for this one's */
    assert_int_equal(privileged_check(privileged, pod_ns, why), 0);
}
static void answers_to_a_dead_data_process_are_dropped(void **state)
{
    (void)state;
    struct wire_request q = {.kind = WIRE_SOCKETS, .family = AF_INET, .type = SOCK_STREAM, .count = 3};
    int before = 0;
    for (unsigned i = 1; i <= 3; i++) {
        q.id = i;
        out.len = wire_client_encode(&q, out.bytes);
        out.fds[0] = pod_ns;
        out.n_fds = 1;
        assert_int_equal(packet_send(warden_channel[0], &out, true), 0);
    }
    before = open("/dev/null", O_RDONLY | O_CLOEXEC);
    close(before);
    data_process_dies();
    open_client();
    enrol();
    assert_int_equal(privileged_check(privileged, pod_ns, why), 0);
    close_listeners();
    int after = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_int_equal(after, before); /* their sockets are closed */
    close(after);
}

/* A warden that needs longer than is waited for after a question in vain: it works all the same, slowly. */
struct slow_warden {
    int fd, over;
    unsigned answered;
    struct netns_id netns; /* the first descriptor that came with the last question, if one did */
};
static bool next_question(struct slow_warden *s, struct packet *p, struct wire_request *ret)
{
    struct pollfd fds[] = {{.fd = s->fd, .events = POLLIN}, {.fd = s->over, .events = POLLIN}};
    assert_true(poll(fds, 2, -1) > 0);
    if (fds[1].revents)
        return false;
    assert_int_equal(packet_receive(s->fd, p, true), 0);
    assert_int_equal(wire_decode_request(p->bytes, p->len, p->n_fds, ret), 0);
    if (p->n_fds > 0)
        assert_int_equal(netns_id(p->fds[0], &s->netns), 0);
    packet_close_fds(p);
    return true;
}
static void *answer_late(void *arg)
{
    struct slow_warden *s = arg;
    static unsigned char bytes[WIRE_BYTES_MAX];
    struct packet p = {.bytes = bytes, .size = sizeof bytes};
    struct wire_request q, before = {0};
    while (next_question(s, &p, &q)) {
        struct wire_answer a = {.id = before.id, .generation = 7};
        if (q.kind != WIRE_HELLO &&
            before.kind == WIRE_HELLO) { /* the first one has no answer until the next */
            before = q;
            continue;
        }
        if (before.id && before.kind != WIRE_HELLO) {
            p.len = wire_encode_answer(&a, p.bytes);
            assert_int_equal(packet_send(s->fd, &p, true), 0);
        }
        if (q.kind != WIRE_HELLO) /* 0.4 s, unless all is over */
            (void)is_ready(s->over, POLLIN, 400);
        a.id = q.id;
        p.len = wire_encode_answer(&a, p.bytes);
        assert_int_equal(packet_send(s->fd, &p, true), 0);
        before = q;
        s->answered++;
    }
    return NULL;
}
static void a_slow_warden_is_not_given_up(void **state)
{
    (void)state;
    int pair[2], over[2];
    pthread_t thread;
    struct privileged *p = NULL;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(pipe(over), 0);
    struct slow_warden slow = {.fd = pair[1], .over = over[0]};
    assert_int_equal(pthread_create(&thread, NULL, answer_late, &slow), 0);
    assert_int_equal(privileged_open(&p, pair[0], why), 0);
    assert_int_equal(privileged_check(p, pod_ns, why), -ETIMEDOUT);
    int r = -ETIMEDOUT;
    for (int i = 0; i < 5 && r < 0; i++) /* a busy machine may let the late answer be too late */
        r = privileged_check(p, pod_ns, why);
    assert_int_equal(r, 0);
    assert_int_equal(privileged_check(p, pod_ns, why), 0);
    assert_int_equal(write(over[1], "", 1), 1);
    assert_int_equal(pthread_join(thread, NULL), 0);
    p = privileged_free(p);
    for (int i = 0; i < 2; i++) {
        close(pair[i]);
        close(over[i]);
    }
}
/* Descriptors that find no number are lost: the question ends at once, and the next one is not held up. */
static void without_numbers_for_descriptors_a_question_ends(void **state)
{
    (void)state;
    struct rlimit before, none;
    int fds[8];
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int lowest = open("/dev/null", O_RDONLY | O_CLOEXEC);
    none = (struct rlimit){(rlim_t)lowest + 3, before.rlim_max}; /* three fit, but not eight */
    close(lowest);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    uint64_t start = clock_monotonic_ms();
    int r = privileged_sockets(privileged, pod_ns, AF_INET, SOCK_STREAM, fds, ARRAY_SIZE(fds));
    uint64_t took_ms = clock_monotonic_ms() - start;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(r, -EMFILE);
    assert_true(took_ms < 4000);
    int again = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_int_equal(again, lowest); /* none of those that did fit is left */
    close(again);
    assert_int_equal(privileged_sockets(privileged, pod_ns, AF_INET, SOCK_STREAM, fds, ARRAY_SIZE(fds)), 0);
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        close(fds[i]);
}

/* The same on the other side: what it can't take in it refuses at once. */
static void refused_without_numbers(void)
{
    struct rlimit before, none;
    assert_int_equal(prlimit(warden_pid, RLIMIT_NOFILE, NULL, &before), 0);
    none = (struct rlimit){1, before.rlim_max}; /* poll() itself wants one */
    assert_int_equal(prlimit(warden_pid, RLIMIT_NOFILE, &none, NULL), 0);
    uint64_t start = clock_monotonic_ms();
    int r = privileged_check(privileged, pod_ns, why);
    uint64_t took_ms = clock_monotonic_ms() - start;
    assert_int_equal(prlimit(warden_pid, RLIMIT_NOFILE, &before, NULL), 0);
    assert_int_equal(r, -EMFILE);
    assert_non_null(strstr(why, "the warden has lost"));
    assert_true(took_ms < 4000);
}
/* It has served all before, and holds nothing of it any more. */
static unsigned wardens_descriptors_at_rest(void)
{
    assert_int_equal(ask_raw(&(struct wire_request){.id = ~0ull, .kind = WIRE_HELLO}, NULL, 0), 0);
    return wardens_descriptors();
}
static void a_warden_without_numbers_says_so(void **state)
{
    (void)state;
    enrol();
    unsigned had = wardens_descriptors_at_rest();
    refused_without_numbers();
    assert_int_equal(privileged_check(privileged, pod_ns, why), 0);
    assert_int_equal(wardens_descriptors_at_rest(), had);

    /* A new one, which could not take what it is to keep: it is told again. */
    kill_warden();
    start_warden();
    assert_true(is_ready(warden_channel[0], POLLIN, NET_WAIT_MS));
    refused_without_numbers();
    assert_int_equal(privileged_check(privileged, pod_ns, why), 0);
    data_process_dies();
    int waiting = must_connect(client_ns, POD_V4, 8080);
    open_client();
    enrol();
    assert_waits_for(waiting);
}

/* A warden that has room for so many pods' listeners; a new one from one question to the next. */
struct full_warden {
    int fd, over;
    struct netns_id pods[3];
    _Atomic unsigned generation, room, keeps, kept; /* kept: a bit for each of pods */
};
static int keep_one(struct full_warden *f, const struct netns_id *netns)
{
    f->keeps++;
    if (f->room == 0)
        return -EMFILE;
    f->room--;
    for (size_t i = 0; i < ARRAY_SIZE(f->pods); i++)
        f->kept |= (unsigned)netns_same(&f->pods[i], netns) << i;
    return 0;
}
static void *answer_full(void *arg)
{
    struct full_warden *f = arg;
    static unsigned char bytes[WIRE_BYTES_MAX];
    struct slow_warden questions = {.fd = f->fd, .over = f->over};
    struct packet p = {.bytes = bytes, .size = sizeof bytes};
    struct wire_request q;
    while (next_question(&questions, &p, &q)) {
        struct wire_answer a = {.id = q.id, .generation = f->generation};
        a.result = q.kind == WIRE_KEEP ? keep_one(f, &questions.netns) : 0;
        p.n_fds = q.kind == WIRE_ENROL ? POD_LISTENERS : 0;
        for (size_t i = 0; i < p.n_fds; i++)
            p.fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
        p.len = wire_encode_answer(&a, p.bytes);
        assert_int_equal(packet_send(f->fd, &p, true), 0);
        packet_close_fds(&p);
    }
    return NULL;
}
/* It is asked once with each question, not once for each pod; and when there is room, for what it lacks. */
static void a_full_warden_is_not_asked_for_every_pod(void **state)
{
    (void)state;
    int pair[2], over[2], pods[] = {pod_ns, client_ns, node_ns};
    pthread_t thread;
    struct privileged *p = NULL;
    struct pod_listeners three[3];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(pipe(over), 0);
    struct full_warden full = {.fd = pair[1], .over = over[0], .generation = 7};
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(netns_id(pods[i], &full.pods[i]), 0);
    assert_int_equal(pthread_create(&thread, NULL, answer_full, &full), 0);
    assert_int_equal(privileged_open(&p, pair[0], why), 0);
    for (int i = 0; i < 3; i++) {
        three[i] = POD_LISTENERS_NONE;
        assert_int_equal(privileged_enrol(p, pods[i], &three[i], why), 0);
    }
    full.generation = 8;
    for (unsigned i = 1; i <= 3; i++) {
        assert_int_equal(privileged_check(p, pod_ns, why), 0);
        assert_int_equal(full.keeps, i);
    }
    full.room = 1;
    assert_int_equal(privileged_check(p, pod_ns, why), 0);
    assert_int_equal(full.keeps, 3 + 2);
    assert_int_equal(full.kept, 1);
    privileged_forget(p, pods[0]); /* the one that it has */
    assert_int_equal(full.keeps, 5 + 1);
    full.room = 99;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(privileged_check(p, pod_ns, why), 0);
        assert_int_equal(full.keeps, 6 + 2); /* and then it has them */
        assert_int_equal(full.kept, 1 + 2 + 4);
    }
    full.generation = 9; /* the next one has nothing */
    full.kept = 0;
    assert_int_equal(privileged_check(p, pod_ns, why), 0);
    assert_int_equal(full.keeps, 8 + 2);
    assert_int_equal(full.kept, 2 + 4);
    assert_int_equal(write(over[1], "", 1), 1);
    assert_int_equal(pthread_join(thread, NULL), 0);
    p = privileged_free(p);
    for (int i = 0; i < 3; i++)
        for (size_t k = 0; k < POD_LISTENERS; k++)
            close(three[i].fds[k]);
    for (int i = 0; i < 2; i++) {
        close(pair[i]);
        close(over[i]);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(descriptors_must_be_a_pods_namespace),
        TEST(listeners_must_be_this_pods),
        TEST(nonsense_has_no_answer_and_does_no_harm),
        TEST(lists_have_an_end),
        TEST(many_addresses_and_many_sockets),
        TEST(a_dead_data_process_refuses_nobody),
        TEST(changed_rules_are_put_again),
        TEST(what_is_released_or_forgotten_is_not_kept),
        TEST(listeners_that_were_given_are_kept),
        TEST(listeners_that_no_longer_listen_are_replaced),
        TEST(orphans_are_let_go),
        TEST(a_new_warden_is_told_what_to_keep),
        TEST(a_question_waits_for_the_next_warden),
        TEST(without_a_warden_a_question_ends),
        TEST(answers_to_a_dead_data_process_are_dropped),
        TEST(a_slow_warden_is_not_given_up),
        TEST(without_numbers_for_descriptors_a_question_ends),
        TEST(a_warden_without_numbers_says_so),
        TEST(a_full_warden_is_not_asked_for_every_pod),
    };
    log_configure(LOG_ERROR, LOG_TEXT, 1);
    return cmocka_run_group_tests_name("warden/warden", tests, become_node, NULL);
}
