/*
 * The registry of pods, asked as the CNI plugin asks it: over a real Unix socket, about real
 * namespaces. The directory is a table here. Everything lives in a mount namespace of the test's
 * own.
 */
#include "nodeproxy/capture/pods.h"

#include "shared/service/local_http.h"
#include "shared/base/log.h"
#include "tests/support/tmp.h"
#include "tests/unit/nodeproxy/capture/netns_fixture.h"
#include "tests/unit/nodeproxy/capture/warden_fixture.h"
#include <dirent.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/stat.h>

/* How long an ADD waits: longer than a test runs, however slow the machine is, or until it is over. */
enum { PATIENT_MS = 60000, IMPATIENT_MS = 50 };

static struct ring *ring;
static struct privileged *privileged;
static struct pods *pods;
static struct admin *admin;
static struct timer watchdog, soon;
static char folder[64], socket_path[96], state_dir[96], netns_path[96], why[PRIVILEGED_WHY_MAX];

/* ---- the owner of the registry: what it was told, and what it says ---- */

static enum pod_enrolment enrolment;
static char last_uid[256];
static unsigned n_added, n_removed, n_asked;
static bool release_at_once;
static struct pod *held; /* removed, not yet released */

static enum pod_enrolment is_enrolled(struct pods *p, const char *uid, void *arg)
{
    (void)p, (void)arg;
    n_asked++;
    snprintf(last_uid, sizeof last_uid, "%s", uid);
    return enrolment;
}
static void added(struct pods *p, struct pod *pod, void *arg)
{
    (void)arg;
    assert_true(pod->captured);
    assert_true(pod->netns_fd >= 0 && pod->listeners.outbound >= 0 && pod->listeners.inbound >= 0 &&
                pod->listeners.hbone >= 0);
    assert_int_equal(privileged_check(pods_privileged(p), pod->netns_fd, why), 0);
    pod->user = &held;
    n_added++;
    ring_stop(ring);
}
static void removed(struct pods *p, struct pod *pod, void *arg)
{
    (void)arg;
    assert_ptr_equal(pod->user, &held);
    n_removed++;
    if (release_at_once)
        pods_released(p, pod);
    else
        held = pod;
    ring_stop(ring);
}
static void release_held(void)
{
    assert_non_null(held);
    pods_released(pods, held);
    held = NULL;
}
static const struct pods_events events = {
    .enrolment = is_enrolled, .added = added, .removed = removed};

/* ---- the fixture ---- */

static void watchdog_fired(struct timer *t)
{
    (void)t;
    fail_msg("nothing came for too long");
}
static void soon_fired(struct timer *t)
{
    (void)t;
    ring_stop(ring);
}
#define RUN_UNTIL(condition)                                                                       \
    do {                                                                                           \
        while (!(condition)) {                                                                     \
            timer_start(ring_timers(ring), &soon, 20);                                             \
            assert_int_equal(ring_run(ring), 0);                                                   \
        }                                                                                          \
    } while (0)

static struct admin_route routes[] = {{"POST", "/cni/add", pods_handle_add, NULL},
                                      {"POST", "/cni/del", pods_handle_del, NULL},
                                      {"POST", "/cni/check", pods_handle_check, NULL}};
static void open_pods(size_t pods_max, uint64_t wait_ms)
{
    const struct pods_options o = {
        .state_dir = state_dir, .cluster_id = "Kubernetes", .cni_wait_ms = wait_ms, .pods_max = pods_max};
    assert_int_equal(pods_open(&pods, ring, privileged, &o, &events, NULL), 0);
    for (size_t i = 0; i < ARRAY_SIZE(routes); i++)
        routes[i].arg = pods;
    assert_int_equal(admin_new(&admin, ring, routes, ARRAY_SIZE(routes)), 0);
    assert_int_equal(admin_listen_unix(admin, socket_path, 0600, ~0ull), 0);
}
static void admin_gone(void *arg)
{
    *(bool *)arg = true;
}
static void close_pods(void)
{
    bool gone = false;
    admin_close(admin, admin_gone, &gone);
    RUN_UNTIL(gone);
    pods_close(pods);
    for (int i = 0; i < 3; i++) { /* the memory goes from the loop */
        ring_stop(ring);
        assert_int_equal(ring_run(ring), 0);
    }
}
/* The program ends, and its warden with it; another one begins. */
static void restart_warden(void)
{
    privileged = privileged_free(privileged);
    stop_warden();
    start_warden();
    if (privileged_open(&privileged, warden_channel[0], why) < 0)
        fail_msg("privileged_open: %s", why);
}
static void mount_netns(int ns)
{
    char from[64];
    int fd = open(netns_path, O_CREAT | O_EXCL | O_CLOEXEC | O_WRONLY, 0600);
    assert_true(fd >= 0);
    close(fd);
    snprintf(from, sizeof from, "/proc/self/fd/%d", ns);
    assert_int_equal(mount(from, netns_path, NULL, MS_BIND, NULL), 0);
}
static void unmount_netns(void)
{
    assert_int_equal(umount2(netns_path, MNT_DETACH), 0);
    assert_int_equal(unlink(netns_path), 0);
}
static int begin(void **state)
{
    const char *ring_why = "";
    struct ring_options options = {0};
    if (ring_open(&ring, &options, &ring_why) < 0)
        fail_msg("ring_open: %s", ring_why);
    timer_init(&watchdog, watchdog_fired);
    timer_init(&soon, soon_fired);
    timer_start(ring_timers(ring), &watchdog, 30000);
    start_warden();
    if (privileged_open(&privileged, warden_channel[0], why) < 0)
        fail_msg("privileged_open: %s", why);
    assert_non_null(tmp_folder(folder, "pods"));
    snprintf(socket_path, sizeof socket_path, "%s/cni.sock", folder);
    snprintf(state_dir, sizeof state_dir, "%s/pods", folder);
    snprintf(netns_path, sizeof netns_path, "%s/netns", folder);
    n_added = n_removed = n_asked = 0;
    enrolment = POD_ENROLLED;
    release_at_once = true;
    make_net(state);
    mount_netns(pod_ns);
    open_pods(4, PATIENT_MS);
    return 0;
}
static void remove_files(const char *dir)
{
    DIR *d = opendir(dir);
    if (!d)
        return;
    for (struct dirent *e; (e = readdir(d));) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        if (e->d_name[0] != '.' && unlink(path) < 0)
            rmdir(path);
    }
    closedir(d);
    rmdir(dir);
}
static int end(void **state)
{
    close_pods();
    timer_stop(ring_timers(ring), &watchdog);
    timer_stop(ring_timers(ring), &soon);
    ring = ring_free(ring);
    privileged = privileged_free(privileged);
    stop_warden();
    if (access(netns_path, F_OK) == 0)
        unmount_netns();
    remove_files(state_dir);
    remove_files(folder);
    MUST(node_ns, "sh", "-c", "nft flush ruleset");
    return drop_net(state);
}
static int become_node_with_mounts(void **state)
{
    become_node(state);
    log_configure(LOG_ERROR, LOG_TEXT, 0);
    assert_int_equal(unshare(CLONE_NEWNS), 0);
    assert_int_equal(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
    return 0;
}

/* ---- the plugin: a thread each, since it blocks ---- */

struct request {
    pthread_t thread;
    const char *path;
    char body[1024], answer[4096];
    unsigned status;
    int done_fd, result;
    bool done;
    struct ring_scope scope;
    struct ring_op op;
};
static void *request_thread(void *arg)
{
    struct request *q = arg;
    struct local_http_answer answer = {0};
    const char *ignored;
    const struct local_http_request request = {.socket = text_of(socket_path),
                                               .method = "POST",
                                               .path = q->path,
                                               .body = text_of(q->body),
                                               .timeout_ms = 20000,
                                               .answer_max = 65536};
    q->result = local_http(&request, &answer, &ignored);
    q->status = answer.status;
    snprintf(q->answer, sizeof q->answer, "%s", answer.body.data ? answer.body.data : "");
    text_heap_done(&answer.body);
    assert_int_equal(eventfd_write(q->done_fd, 1), 0);
    return NULL;
}
static void request_done(struct ring_op *op, int result)
{
    (void)result;
    container_of(op, struct request, op)->done = true;
    ring_stop(ring);
}
static void request_begin_body(struct request *q, const char *path, const char *body)
{
    *q = (struct request){.path = path, .done_fd = eventfd(0, EFD_CLOEXEC)};
    snprintf(q->body, sizeof q->body, "%s", body);
    ring_scope_init(&q->scope, ring, NULL);
    ring_op_init(&q->op, &q->scope);
    ring_poll(ring, &q->op, q->done_fd, POLLIN, request_done);
    assert_int_equal(pthread_create(&q->thread, NULL, request_thread, q), 0);
}
static void request_begin_pod(struct request *q, const char *path, const char *id,
                              const char *netns, const char *name)
{
    char body[1024];
    snprintf(
        body, sizeof body,
        "{\"containerId\":\"%s\",\"netns\":\"%s\",\"podName\":\"%s\",\"podNamespace\":\"shop\","
        "\"podUid\":\"x\",\"ips\":[\"" POD_V4 "\",\"" POD_V6 "\"]}",
        id, netns, name);
    request_begin_body(q, path, body);
}
static void request_begin(struct request *q, const char *path, const char *id)
{
    request_begin_pod(q, path, id, netns_path, "web-1");
}
static unsigned request_end(struct request *q)
{
    RUN_UNTIL(q->done);
    pthread_join(q->thread, NULL);
    close(q->done_fd);
    assert_int_equal(q->result, 0);
    if (q->status == 200)
        assert_string_equal(q->answer, "{}\n");
    else
        assert_non_null(strstr(q->answer, "\"error\":\""));
    return q->status;
}
static struct request one;
static unsigned ask(const char *path, const char *id)
{
    request_begin(&one, path, id);
    return request_end(&one);
}
static void answer_says(const char *words)
{
    if (!strstr(one.answer, words))
        fail_msg("\"%s\" does not say \"%s\"", one.answer, words);
}
static struct pod *only_pod(void)
{
    struct list *all = pods_all(pods);
    assert_false(list_empty(all));
    assert_ptr_equal(all->next, all->prev);
    return container_of(all->next, struct pod, link);
}
static void namespace_has_rules(bool wanted)
{
    int r = privileged_check(privileged, pod_ns, why);
    if ((r == 0) != wanted)
        fail_msg("rules %s: %s", wanted ? "are not there" : "are still there", why);
}
static void node_has_rules(bool wanted)
{
    int r = RUN_IN(node_ns, "sh", "-c",
                   "nft list set inet weir_node pods_v4 2>/dev/null | grep -q " POD_V4);
    assert_int_equal(r == 0, wanted);
}
static bool state_has(const char *id)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s.json", state_dir, id);
    return access(path, F_OK) == 0;
}

/* ---- tests ---- */

static void add_check_del(void **state)
{
    (void)state;
    assert_int_equal(ask("/cni/check", "c1"), 404);
    assert_int_equal(ask("/cni/add", "c1"), 200);
    assert_string_equal(last_uid, "Kubernetes//Pod/shop/web-1");
    assert_int_equal(n_added, 1);
    struct pod *pod = only_pod();
    assert_string_equal(pod->container_id, "c1");
    assert_string_equal(pod->uid, "Kubernetes//Pod/shop/web-1");
    assert_int_equal(pod->n_addresses, 2);
    namespace_has_rules(true);
    node_has_rules(true);
    assert_true(state_has("c1"));
    assert_int_equal(ask("/cni/check", "c1"), 200);
    assert_int_equal(ask("/cni/add", "c1"), 200); /* the same once more */
    assert_int_equal(n_added, 1);

    assert_int_equal(ask("/cni/del", "c1"), 200);
    assert_int_equal(n_removed, 1);
    assert_true(list_empty(pods_all(pods)));
    namespace_has_rules(false);
    node_has_rules(false);
    assert_false(state_has("c1"));
    assert_int_equal(ask("/cni/del", "c1"), 200);
    assert_int_equal(ask("/cni/add", "c1"), 200); /* the ports are free again */
}
static void check_tells_what_was_changed(void **state)
{
    (void)state;
    assert_int_equal(ask("/cni/add", "c1"), 200);
    MUST(pod_ns, "nft", "delete", "table", "inet", "weir");
    assert_int_equal(ask("/cni/check", "c1"), 409);
    answer_says("missing");
    assert_int_equal(ask("/cni/add", "c1"), 200); /* makes it whole again */
    assert_int_equal(n_added, 2);
    assert_int_equal(n_removed, 1);
    assert_int_equal(ask("/cni/check", "c1"), 200);
}
static void bad_requests(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "{",
        "[]",
        "{}",
        "{\"containerId\":1}",
        "{\"containerId\":\"../c\",\"netns\":\"/x\",\"podName\":\"a\",\"podNamespace\":\"b\"}",
        "{\"containerId\":\"c\",\"netns\":\"x\",\"podName\":\"a\",\"podNamespace\":\"b\"}",
        "{\"containerId\":\"c\",\"netns\":\"/nowhere\",\"podName\":\"a\",\"podNamespace\":\"b\"}",
        "{\"containerId\":\"c\",\"netns\":\"/etc/"
        "passwd\",\"podName\":\"a\",\"podNamespace\":\"b\"}",
        "{\"containerId\":\"c\",\"netns\":\"/proc/self/ns/"
        "net\",\"podName\":\"a\",\"podNamespace\":\"b\"}",
        "{\"containerId\":\"c\",\"netns\":\"/x\",\"podName\":\"a/b\",\"podNamespace\":\"b\"}",
        "{\"containerId\":\"c\",\"netns\":\"/"
        "x\",\"podName\":\"a\",\"podNamespace\":\"b\",\"ips\":[\"x\"]}",
        "{\"containerId\":\"c\",\"netns\":\"/"
        "x\",\"podName\":\"a\",\"podNamespace\":\"b\",\"ips\":{}}"};
    for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
        request_begin_body(&one, "/cni/add", bodies[i]);
        if (request_end(&one) != 400)
            fail_msg("%u for %s", one.status, bodies[i]);
    }
    assert_true(list_empty(pods_all(pods)));
    assert_int_equal(n_asked, 0);
}
static void add_waits_for_the_directory(void **state)
{
    (void)state;
    close_pods();
    open_pods(4, IMPATIENT_MS);
    enrolment = POD_UNKNOWN_YET;
    assert_int_equal(ask("/cni/add", "c1"), 503);
    answer_says("controller");
    assert_true(list_empty(pods_all(pods)));

    close_pods();
    open_pods(4, PATIENT_MS);
    request_begin(&one, "/cni/add", "c1");
    n_asked = 0;
    RUN_UNTIL(n_asked > 0);
    assert_false(one.done);
    enrolment = POD_ENROLLED;
    pods_directory_changed(pods);
    assert_int_equal(request_end(&one), 200);
    assert_int_equal(n_added, 1);
}
static void del_ends_an_add_that_waits(void **state)
{
    (void)state;
    static struct request waiting;
    enrolment = POD_UNKNOWN_YET;
    request_begin(&waiting, "/cni/add", "c1");
    RUN_UNTIL(n_asked > 0);
    assert_int_equal(ask("/cni/del", "c1"), 200);
    assert_int_equal(request_end(&waiting), 409);
    assert_true(list_empty(pods_all(pods)));
}
static void who_is_not_enrolled_is_left_alone_until_it_is(void **state)
{
    (void)state;
    enrolment = POD_NOT_ENROLLED;
    assert_int_equal(ask("/cni/add", "c1"), 200);
    assert_int_equal(n_added, 0);
    assert_false(only_pod()->captured);
    assert_int_equal(only_pod()->netns_fd, -1);
    namespace_has_rules(false);
    assert_int_equal(ask("/cni/check", "c1"), 200);

    enrolment = POD_ENROLLED;
    pods_directory_changed(pods);
    assert_int_equal(n_added, 1);
    namespace_has_rules(true);
    enrolment = POD_UNKNOWN_YET; /* the directory lost it: nothing changes */
    pods_directory_changed(pods);
    namespace_has_rules(true);
    enrolment = POD_NOT_ENROLLED;
    pods_directory_changed(pods);
    assert_int_equal(n_removed, 1);
    namespace_has_rules(false);
    node_has_rules(false);
    assert_false(only_pod()->captured);
    enrolment = POD_ENROLLED;
    pods_directory_changed(pods);
    assert_int_equal(n_added, 2);
    namespace_has_rules(true);
    assert_int_equal(pods_waiting(pods), 0);
}
static void a_pod_that_is_still_leaving_is_not_captured_anew(void **state)
{
    (void)state;
    assert_int_equal(ask("/cni/add", "c1"), 200);
    release_at_once = false;
    enrolment = POD_NOT_ENROLLED;
    pods_directory_changed(pods);
    assert_non_null(held);
    namespace_has_rules(false); /* whoever connects now is not refused */
    enrolment = POD_ENROLLED;
    pods_directory_changed(pods);
    assert_int_equal(n_added, 1);
    assert_int_equal(pods_waiting(pods), 1);
    release_held();
    pods_directory_changed(pods);
    assert_int_equal(n_added, 2);
    namespace_has_rules(true);
    release_at_once = true;
}
static void del_is_answered_when_the_owner_has_let_go(void **state)
{
    (void)state;
    assert_int_equal(ask("/cni/add", "c1"), 200);
    release_at_once = false;
    request_begin(&one, "/cni/del", "c1");
    RUN_UNTIL(held);
    assert_false(one.done);
    namespace_has_rules(true); /* until then nothing passes by */
    release_held();
    assert_int_equal(request_end(&one), 200);
    namespace_has_rules(false);
}
static void a_new_sandbox_of_the_pod_waits_for_the_old_one(void **state)
{
    (void)state;
    assert_int_equal(ask("/cni/add", "c1"), 200);
    release_at_once = false;
    request_begin(&one, "/cni/add", "c2");
    RUN_UNTIL(held);
    assert_int_equal(n_added, 1);
    assert_false(one.done);
    release_held();
    assert_int_equal(request_end(&one), 200);
    assert_int_equal(n_added, 2);
    assert_string_equal(only_pod()->container_id, "c2");
    assert_false(state_has("c1"));
    release_at_once = true;
}
static void a_vanished_namespace_is_let_go(void **state)
{
    (void)state;
    assert_int_equal(ask("/cni/add", "c1"), 200);
    struct stat st;
    assert_int_equal(fstat(only_pod()->netns_fd, &st), 0);
    unmount_netns();
    RUN_UNTIL(n_removed == 1);
    assert_true(list_empty(pods_all(pods)));
    assert_false(state_has("c1"));
    node_has_rules(false);
    /* No descriptor of ours is left but the test's own. */
    unsigned n_open = 0;
    for (int fd = 3; fd < 256; fd++) {
        struct stat other;
        n_open += fstat(fd, &other) == 0 && other.st_ino == st.st_ino && other.st_dev == st.st_dev;
    }
    assert_int_equal(n_open, 1);
}
static void a_path_that_leads_elsewhere_is_vanished_too(void **state)
{
    (void)state;
    assert_int_equal(ask("/cni/add", "c1"), 200);
    unmount_netns();
    mount_netns(client_ns);
    RUN_UNTIL(n_removed == 1);
    assert_int_not_equal(privileged_check(privileged, client_ns, why), 0);
}
static void a_restarted_proxy_captures_again(void **state)
{
    (void)state;
    assert_int_equal(ask("/cni/add", "c1"), 200);
    close_pods();
    restart_warden();
    namespace_has_rules(true); /* fail closed */
    int refused = begin_connect(pod_ns, NULL, CLIENT_V4, 80);
    assert_int_equal(connect_result(refused), -ECONNREFUSED);
    close(refused);

    enrolment = POD_UNKNOWN_YET; /* without a controller */
    open_pods(4, PATIENT_MS);
    assert_int_equal(pods_restore(pods), 0);
    assert_int_equal(n_added, 2);
    assert_string_equal(only_pod()->container_id, "c1");
    assert_int_equal(only_pod()->n_addresses, 2);
    assert_int_equal(ask("/cni/check", "c1"), 200);
    node_has_rules(true);

    close_pods();
    restart_warden();
    unmount_netns();
    open_pods(4, PATIENT_MS);
    assert_int_equal(pods_restore(pods), 0);
    assert_true(list_empty(pods_all(pods)));
    assert_false(state_has("c1"));
    node_has_rules(false);
}
static void a_crash_refuses_no_connection(void **state)
{
    (void)state;
    assert_int_equal(ask("/cni/add", "c1"), 200);
    close_pods(); /* without a word to the warden, as a crash */
    privileged = privileged_free(privileged);
    int waiting = must_connect(client_ns, POD_V4, 8080);
    assert_int_equal(send(waiting, "x", 1, MSG_NOSIGNAL), 1);
    assert_int_equal(privileged_open(&privileged, warden_channel[0], why), 0);
    open_pods(4, PATIENT_MS);
    assert_int_equal(pods_restore(pods), 0);
    assert_true(only_pod()->captured);
    int accepted = must_accept(only_pod()->listeners.inbound);
    assert_joined(waiting, accepted);
    close(accepted);
    close(waiting);
}
static void what_can_not_be_captured_again_is_tried_again(void **state)
{
    (void)state;
    assert_int_equal(ask("/cni/add", "c1"), 200);
    close_pods();
    restart_warden();
    int taken = listen_in(pod_ns, "0.0.0.0", PORT_INBOUND);
    open_pods(4, PATIENT_MS);
    log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC));
    assert_int_equal(pods_restore(pods), 0);
    assert_int_equal(n_added, 1);
    assert_int_equal(pods_waiting(pods), 1);
    assert_int_equal(ask("/cni/check", "c1"), 409);
    close(taken);
    RUN_UNTIL(n_added == 2);
    log_set_fd(2);
    assert_int_equal(pods_waiting(pods), 0);
}
static void bad_state_files_are_dropped(void **state)
{
    (void)state;
    static const char *const contents[] = {
        "",
        "{",
        "{}",
        "{\"containerId\":\"x\"}",
        "[1]",
        "{\"containerId\":\"x\",\"podNamespace\":\"a\",\"podName\":\"b\","
        "\"netns\":\"rel\",\"netnsDevice\":1,\"netnsInode\":1,"
        "\"captured\":true,\"ips\":[]}"};
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    log_set_fd(null);
    for (size_t i = 0; i < ARRAY_SIZE(contents); i++) {
        char path[256];
        snprintf(path, sizeof path, "%s/x.%s", state_dir, i == 0 ? "new" : "json");
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        fputs(contents[i], f);
        fclose(f);
        assert_int_equal(pods_restore(pods), 0);
        assert_int_equal(access(path, F_OK), -1);
    }
    log_set_fd(2);
    close(null);
    assert_true(list_empty(pods_all(pods)));
}
static void the_number_of_pods_is_bounded(void **state)
{
    (void)state;
    int ns[5]; /* open until all have come: a pod whose namespace has vanished makes room */
    enrolment = POD_NOT_ENROLLED;
    for (int i = 0; i < 5; i++) {
        char id[8], name[16], path[64];
        ns[i] = new_ns();
        snprintf(path, sizeof path, "/proc/%d/fd/%d", getpid(), ns[i]);
        snprintf(id, sizeof id, "c%d", i);
        snprintf(name, sizeof name, "web-%d", i);
        request_begin_pod(&one, "/cni/add", id, path, name);
        assert_int_equal(request_end(&one), i < 4 ? 200 : 503);
    }
    for (int i = 0; i < 5; i++)
        close(ns[i]);
    answer_says("as many pods");
    assert_false(state_has("c4"));
}

#define POD_TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
int main(void)
{
    const struct CMUnitTest tests[] = {
        POD_TEST(add_check_del),
        POD_TEST(check_tells_what_was_changed),
        POD_TEST(bad_requests),
        POD_TEST(add_waits_for_the_directory),
        POD_TEST(del_ends_an_add_that_waits),
        POD_TEST(who_is_not_enrolled_is_left_alone_until_it_is),
        POD_TEST(a_pod_that_is_still_leaving_is_not_captured_anew),
        POD_TEST(del_is_answered_when_the_owner_has_let_go),
        POD_TEST(a_new_sandbox_of_the_pod_waits_for_the_old_one),
        POD_TEST(a_vanished_namespace_is_let_go),
        POD_TEST(a_path_that_leads_elsewhere_is_vanished_too),
        POD_TEST(a_restarted_proxy_captures_again),
        POD_TEST(a_crash_refuses_no_connection),
        POD_TEST(what_can_not_be_captured_again_is_tried_again),
        POD_TEST(bad_state_files_are_dropped),
        POD_TEST(the_number_of_pods_is_bounded),
    };
    return cmocka_run_group_tests_name("capture/pods", tests, become_node_with_mounts, NULL);
}
