/*
 * The client against a real HTTPS server that echoes (echo_server.py): what each kind of request looks like on the wire, and how
 * requests end that do not end well. And what a TokenReview says, without a server.
 */
#include "shared/kube/kube_api.h"
#include "tests/support/tmp.h"
#include "tests/unit/shared/ring/ring_fixture.h"
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>

static struct {
    char folder[64];
    pid_t pid;
    int in;
    struct kube_client *client;
    bool closed;
} world;

struct asked {
    struct kube_request q;
    bool done;
    int error;
    unsigned status;
    uint64_t retry_after_ms;
    struct json *answer;
    char why[256];
};

static void start_server(void)
{
    char *const arguments[] = {"/usr/bin/python3", "tests/unit/shared/kube/echo_server.py",
                               world.folder, NULL};
    int in[2], out[2];
    char line[16] = "";
    extern char **environ;
    posix_spawn_file_actions_t actions;
    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in[0], 0);
    posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    assert_int_equal(posix_spawn(&world.pid, arguments[0], &actions, NULL, arguments, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(in[0]);
    close(out[1]);
    for (size_t len = 0; !strchr(line, '\n'); len++) /* it may come in pieces */
        assert_int_equal(read(out[0], line + len, 1), 1);
    assert_string_equal(line, "ready\n");
    close(out[0]);
    world.in = in[1];
}

static int world_begin(void **state)
{
    char path[96], why[KUBE_WHY_MAX] = "";
    struct kube_config *config = NULL;
    (void)state;
    assert_non_null(tmp_folder(world.folder, "kube-client"));
    start_server();
    ring_begin((struct ring_options){0});
    snprintf(path, sizeof path, "%s/kubeconfig", world.folder);
    if (kube_config_from_file(path, NULL, false, &config, why) < 0)
        fail_msg("%s", why);
    assert_int_equal(kube_client_open(&world.client, ring, config), 0);
    return 0;
}

static void client_closed(void *arg)
{
    (void)arg;
    world.closed = true;
    ring_stop(ring);
}

static int world_end(void **state)
{
    static const char *const files[] = {"key.pem", "cert.pem", "kubeconfig"};
    char path[96];
    (void)state;
    if (world.client)
        kube_client_close(world.client, client_closed, NULL);
    RUN_UNTIL(world.closed);
    ring_end();
    close(world.in);
    assert_int_equal(waitpid(world.pid, NULL, 0), world.pid);
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        snprintf(path, sizeof path, "%s/%s", world.folder, files[i]);
        unlink(path);
    }
    return rmdir(world.folder);
}

static void asked_done(struct kube_request *q)
{
    struct asked *a = q->user;
    struct json_error e = {0};
    assert_false(a->done);
    assert_null(q->transfer);
    a->done = true;
    a->error = q->error;
    a->status = q->status;
    a->retry_after_ms = q->retry_after_ms;
    snprintf(a->why, sizeof a->why, "%s", q->why ? q->why : "");
    if (q->answer.len)
        assert_int_equal(json_parse(q->answer, NULL, &a->answer, &e), 0);
    ring_stop(ring);
}

static void asked_init(struct asked *a)
{
    *a = (struct asked){.q = {.done = asked_done}};
    a->q.user = a;
}

static void check(struct asked *a, const char *method, const char *path, const char *type,
                  const char *body)
{
    RUN_UNTIL(a->done);
    assert_int_equal(a->error, 0);
    assert_int_equal(a->status, 200);
    assert_string_equal(json_text(json_get(a->answer, "method")).data, method);
    assert_string_equal(json_text(json_get(a->answer, "path")).data, path);
    assert_string_equal(json_text(json_get(a->answer, "token")).data, "Bearer t0k");
    if (type)
        assert_string_equal(json_text(json_get(a->answer, "type")).data, type);
    if (body)
        assert_string_equal(json_text(json_get(a->answer, "body")).data, body);
    a->answer = json_free(a->answer);
}

static void requests_as_the_api_wants_them(void **state)
{
    struct asked a;
    (void)state;
    asked_init(&a);
    assert_int_equal(kube_get(world.client, &a.q, "/api/v1/nodes/n"), 0);
    check(&a, "GET", "/api/v1/nodes/n", NULL, "");
    asked_init(&a);
    assert_int_equal(
        kube_create(world.client, &a.q, "/api/v1/namespaces/n/configmaps", TEXT("{1}"), "weir"), 0);
    check(&a, "POST", "/api/v1/namespaces/n/configmaps?fieldManager=weir", "application/json",
          "{1}");
    asked_init(&a);
    assert_int_equal(kube_patch(world.client, &a.q, "/apis/g/v1/x/y/status", KUBE_PATCH_APPLY,
                                TEXT("{2}"), "weir", true),
                     0);
    check(&a, "PATCH", "/apis/g/v1/x/y/status?fieldManager=weir&force=true",
          "application/apply-patch+yaml", "{2}");
    asked_init(&a);
    assert_int_equal(
        kube_patch(world.client, &a.q, "/api/v1/x", KUBE_PATCH_MERGE, TEXT("{3}"), "weir", true),
        0);
    check(&a, "PATCH", "/api/v1/x?fieldManager=weir", "application/merge-patch+json", "{3}");
    asked_init(&a);
    assert_int_equal(kube_token_review(world.client, &a.q, TEXT("a\"b"), "weir-ca"), 0);
    check(&a, "POST", "/apis/authentication.k8s.io/v1/tokenreviews", "application/json",
          "{\"apiVersion\":\"authentication.k8s.io/v1\",\"kind\":\"TokenReview\",\"spec\":{"
          "\"token\":\"a\\\"b\",\"audiences\":[\"weir-ca\"]}}");
}

static void bad_ends(void **state)
{
    struct asked busy, big, silent;
    (void)state;
    asked_init(&busy);
    assert_int_equal(kube_get(world.client, &busy.q, "/busy"), 0);
    asked_init(&big);
    const struct kube_call too_big = {.path = "/big", .answer_max = 1000};
    assert_int_equal(kube_send(world.client, &big.q, &too_big), 0);
    asked_init(&silent);
    const struct kube_call no_answer = {.path = "/silent", .deadline_ms = 200};
    assert_int_equal(kube_send(world.client, &silent.q, &no_answer), 0);
    RUN_UNTIL(busy.done && big.done && silent.done);
    assert_int_equal(busy.status, 429);
    assert_int_equal(busy.retry_after_ms, 7000);
    busy.answer = json_free(busy.answer);
    assert_int_equal(big.error, -E2BIG);
    assert_int_equal(silent.error, -ETIMEDOUT);
    assert_string_equal(silent.why, "the answer took too long");
}

static void piece_cancels(struct kube_request *q, struct text bytes)
{
    struct asked *a = q->user;
    assert_true(bytes.len > 0);
    assert_int_equal(q->status, 200);
    kube_cancel(q);
    assert_null(q->transfer);
    a->status = 1;
    ring_stop(ring);
}

static void cancelled_ones_say_nothing(void **state)
{
    struct asked before, within, after;
    (void)state;
    asked_init(&before);
    assert_int_equal(kube_get(world.client, &before.q, "/silent"), 0);
    kube_cancel(&before.q);
    asked_init(&within);
    within.q.piece = piece_cancels;
    assert_int_equal(kube_get(world.client, &within.q, "/big"), 0);
    RUN_UNTIL(within.status == 1);
    asked_init(&after);
    assert_int_equal(kube_get(world.client, &after.q, "/x"), 0);
    check(&after, "GET", "/x", NULL, NULL);
    assert_false(before.done || within.done);
    kube_cancel(&before.q);
}

static void there_is_a_maximum(void **state)
{
    static struct asked all[KUBE_REQUESTS_MAX + 1];
    (void)state;
    for (unsigned i = 0; i < KUBE_REQUESTS_MAX; i++) {
        asked_init(&all[i]);
        assert_int_equal(kube_get(world.client, &all[i].q, "/silent"), 0);
    }
    asked_init(&all[KUBE_REQUESTS_MAX]);
    assert_int_equal(kube_get(world.client, &all[KUBE_REQUESTS_MAX].q, "/x"), -ENOBUFS);
    kube_client_close(world.client, client_closed, NULL); /* with all of them in flight */
    world.client = NULL;
    RUN_UNTIL(world.closed);
    for (unsigned i = 0; i < KUBE_REQUESTS_MAX; i++)
        assert_false(all[i].done || all[i].q.transfer);
}

#define REVIEW(audience, user, good)                                                               \
    "{\"status\":{\"authenticated\":" good ",\"audiences\":[\"" audience                           \
    "\"],\"user\":{\"username\":\"" user "\",\"extra\":{"                                          \
    "\"authentication.kubernetes.io/pod-name\":[\"p-1\"],"                                         \
    "\"authentication.kubernetes.io/pod-uid\":[\"u-1\"]}}}}"

static int read_review(const char *text, struct kube_token *ret, struct json **ret_tree)
{
    struct json_error e = {0};
    assert_int_equal(json_parse(text_of(text), NULL, ret_tree, &e), 0);
    return kube_token_read(*ret_tree, "weir-ca", ret);
}

static void tokens_are_believed_with_care(void **state)
{
    static const struct {
        const char *review;
        int err;
    } bad[] = {
        {REVIEW("weir-ca", "system:serviceaccount:n:a", "false"), -EACCES},
        {REVIEW("other", "system:serviceaccount:n:a", "true"), -EACCES},
        {REVIEW("weir-ca", "system:node:a", "true"), -EACCES},
        {REVIEW("weir-ca", "system:serviceaccount:n", "true"), -EACCES},
        {REVIEW("weir-ca", "system:serviceaccount:n:a:b", "true"), -EACCES},
        {REVIEW("weir-ca", "system:serviceaccount::a", "true"), -EACCES},
        {"{\"status\":{\"authenticated\":true,\"user\":{\"username\":"
         "\"system:serviceaccount:n:a\"}}}",
         -EACCES},
        {"{\"status\":{\"authenticated\":\"true\"}}", -EINVAL},
        {"{\"kind\":\"Status\",\"status\":\"Failure\"}", -EINVAL},
    };
    struct kube_token t = {0};
    struct json *tree;
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_int_equal(read_review(bad[i].review, &t, &tree), bad[i].err);
        json_free(tree);
    }
    assert_int_equal(read_review(REVIEW("weir-ca", "system:serviceaccount:n:a", "true"), &t, &tree),
                     0);
    assert_true(text_equal(t.ns, TEXT("n")) && text_equal(t.account, TEXT("a")));
    assert_true(text_equal(t.pod, TEXT("p-1")) && text_equal(t.pod_uid, TEXT("u-1")));
    assert_int_equal(t.node.len, 0);
    json_free(tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_are_believed_with_care),
        cmocka_unit_test(requests_as_the_api_wants_them),
        cmocka_unit_test(bad_ends),
        cmocka_unit_test(cancelled_ones_say_nothing),
        cmocka_unit_test(there_is_a_maximum),
    };
    return cmocka_run_group_tests(tests, world_begin, world_end);
}
