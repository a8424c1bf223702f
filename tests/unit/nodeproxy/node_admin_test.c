/*
 * A question that workers are still answering when the node ends. The worker is a real thread; its
 * answers come to a mailbox on a ring of their own, which runs when the test says so.
 */
#include "nodeproxy/node.h"
#include "tests/unit/shared/tls/tls_fixture.h"
#include "tests/unit/shared/transport/fixture.h"
#include <sys/socket.h>

static struct node node;
static struct ring *answers_ring;
static struct mailbox answers;
static char folder[64];
static int client;
static bool admin_gone, answers_gone;

/* ---- the node, as far as its endpoints need it ------------------------------------------ */

static void refill(struct worker *w, const char *uid, int family, int type, unsigned n, void *arg)
{
    (void)w, (void)uid, (void)family, (void)type, (void)n, (void)arg;
}
static void pod_gone(struct worker *w, const char *uid, void *arg)
{
    (void)w, (void)uid, (void)arg;
}
static void idle(struct worker *w, void *arg)
{
    (void)w, (void)arg;
}
static const struct worker_events worker_events = {refill, pod_gone, idle};

static int begin(void **state)
{
    const struct addr loopback = {.ip = {4, {127, 0, 0, 1}}};
    const char *why = NULL;
    if (bed_open(state) < 0)
        return -1;
    folder_make(folder);
    admin_gone = answers_gone = false;
    node = (struct node){.config = {.node = "node0",
                                    .cluster_id = "test",
                                    .network = "",
                                    .trust_domain = "cluster.local",
                                    .run_dir = folder,
                                    .pods_max = 8,
                                    .admin = loopback,
                                    .metrics = loopback,
                                    .ready = loopback},
                         .ring = bed.ring};
    directory_thread_register();
    assert_int_equal(directory_new(&node.directory), 0);
    assert_int_equal(bounds_new(&node.bounds, &node.config.bounds), 0);
    assert_int_equal(metrics_new(&node.metrics, 1000), 0);
    assert_int_equal(ring_open(&answers_ring, NULL, &why), 0);
    assert_int_equal(mailbox_open(&answers, answers_ring), 0);
    const struct worker_options o = {.config = &node.config,
                                     .directory = node.directory,
                                     .bounds = node.bounds,
                                     .control = &answers,
                                     .events = &worker_events};
    assert_int_equal(worker_start(&node.workers[0], &o, &why), 0);
    node.n_workers = 1;
    assert_int_equal(node_admin_open(&node), 0);
    return 0;
}

static int end(void **state)
{
    close(client);
    answers_ring = ring_free(answers_ring);
    node.metrics = metrics_free(node.metrics);
    directory_thread_unregister();
    node.directory = directory_free(node.directory);
    node.bounds = bounds_free(node.bounds);
    folder_remove(folder);
    return bed_close(state);
}

/* ---- asking and ending -------------------------------------------------------------------- */

static void ask(const char *path)
{
    char request[128];
    struct sockaddr_storage at;
    struct addr admin;
    assert_int_equal(admin_local(node.admin, 0, &admin), 0);
    client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(client >= 0);
    socklen_t at_len = addr_to_sockaddr(&admin, &at);
    assert_int_equal(connect(client, (struct sockaddr *)&at, at_len), 0);
    int n = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: node0\r\n\r\n", path);
    assert_int_equal(write(client, request, (size_t)n), n);
}

static bool worker_has_answered(void)
{
    return atomic_load(&answers.head) != NULL;
}
static void on_admin_gone(void *arg)
{
    assert_ptr_equal(arg, &node);
    admin_gone = true;
    bed_poke();
}
static bool is_admin_gone(void)
{
    return admin_gone;
}
static void on_answers_gone(struct mailbox *m)
{
    (void)m;
    answers_gone = true;
    ring_stop(answers_ring);
}

/* What node.c does when it is forced to end, in that order; the answers come last of all. */
static void node_ends(void)
{
    node.ending = true;
    worker_stop(node.workers[0]);
    directory_thread_offline();
    worker_join(node.workers[0]);
    directory_thread_online();
    node.n_workers = 0;
    admin_close(node.admin, on_admin_gone, &node);
    node.admin = NULL;
    node.pods = NULL;
    node.credentials = NULL;
}

static void answers_come(void)
{
    mailbox_close(&answers, on_answers_gone);
    assert_int_equal(ring_run(answers_ring), 0);
    assert_true(answers_gone);
}

/* Either the connection went before, or it was told that this is the end; never something else. */
static void client_has_no_answer(void)
{
    char text[4096];
    ssize_t n = recv(client, text, sizeof text - 1, 0);
    if (n <= 0)
        return;
    text[n] = '\0';
    if (strncmp(text, "HTTP/1.1 503 ", 13) != 0)
        fail_msg("answered: %s", text);
}

static void answer_after_the_end(const char *path, bool gone_first)
{
    ask(path);
    bed_run_until(worker_has_answered);
    node_ends();
    if (gone_first)
        bed_run_until(is_admin_gone);
    answers_come();
    if (!gone_first)
        bed_run_until(is_admin_gone);
    client_has_no_answer();
}

#define CASES(X)                                                                                   \
    X(metrics, "/metrics") X(connections, "/connections") X(config_dump, "/config_dump")
#define CASE(name, path)                                                                           \
    static void name##_after_admin_close(void **state)                                             \
    {                                                                                              \
        (void)state;                                                                               \
        answer_after_the_end(path, false);                                                         \
    }                                                                                              \
    static void name##_after_admin_is_gone(void **state)                                           \
    {                                                                                              \
        (void)state;                                                                               \
        answer_after_the_end(path, true);                                                          \
    }
CASES(CASE)

/* A tap that everybody tells is a stream until the client goes; one that the end finds is gone with it. */
static bool tap_is_told(void)
{
    return worker_has_answered() && node.n_taps == 1;
}
static bool tap_is_gone(void)
{
    return node.n_taps == 0;
}
static void a_tap_and_its_client(void **state)
{
    (void)state;
    ask("/tap?max=5");
    bed_run_until(tap_is_told);
    close(client);
    bed_run_until(tap_is_gone);
    ask("/tap?status=9xx"); /* is none */
    node_ends();
    bed_run_until(is_admin_gone);
    answers_come();
}
static void a_tap_and_the_end(void **state)
{
    (void)state;
    ask("/tap");
    bed_run_until(tap_is_told);
    node_ends();
    bed_run_until(is_admin_gone);
    assert_int_equal(node.n_taps, 0);
    answers_come(); /* of a worker that told that it taps, to nobody */
}

int main(void)
{
#define TEST(name, path)                                                                           \
    cmocka_unit_test_setup_teardown(name##_after_admin_close, begin, end),                         \
        cmocka_unit_test_setup_teardown(name##_after_admin_is_gone, begin, end),
    const struct CMUnitTest tests[] = {
        CASES(TEST) cmocka_unit_test_setup_teardown(a_tap_and_its_client, begin, end),
        cmocka_unit_test_setup_teardown(a_tap_and_the_end, begin, end)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
