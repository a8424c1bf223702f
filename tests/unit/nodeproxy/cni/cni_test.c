/* Whole calls of the plugin: what is printed, and what the node proxy is asked. */
#include "nodeproxy/cni/cni.h"

#include "tests/unit/shared/service/local_http_fixture.h"

#define ARGS "K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-1"
#define PREV                                                                                       \
    "{\"cniVersion\":\"0.4.0\",\"interfaces\":[{\"name\":\"eth0\",\"sandbox\":\"/x\"}],"           \
    "\"ips\":[{\"version\":\"4\",\"address\":\"10.0.0.2/"                                          \
    "24\",\"gateway\":\"10.0.0.1\",\"interface\":0},"                                              \
    "{\"address\":\"fd00::2/64\",\"interface\":0}],\"routes\":[{\"dst\":\"0.0.0.0/"                \
    "0\"}],\"dns\":{}}"
#define OK "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}\n"

static struct text_heap out, note;
static struct json *printed;

static int run(const char *command, const char *version, const char *args)
{
    const struct cni_environment env = {command, "c1", "/run/netns/x", "eth0", args};
    char config[2048];
    struct text_out o = TEXT_OUT(config);
    text_printf(&o,
                "{\"cniVersion\":\"%s\",\"name\":\"n\",\"type\":\"weir-cni\",\"socket\":\"%s\","
                "\"timeoutSeconds\":10,\"prevResult\":" PREV "}",
                version, proxy.path);
    assert_false(o.overflow);
    text_heap_done(&out);
    text_heap_done(&note);
    text_heap_init(&out, 65536);
    text_heap_init(&note, 65536);
    printed = json_free(printed);
    int status = cni_run(&env, (struct text){config, o.len}, &out, &note);
    struct json_error e = {0};
    if (out.len > 0)
        assert_int_equal(json_parse((struct text){out.data, out.len}, NULL, &printed, &e), 0);
    return status;
}
static int run_answered(const char *command, const char *answer)
{
    proxy_answers(answer, 1);
    int status = run(command, "1.0.0", ARGS);
    proxy_answered();
    return status;
}
static int end(void **state)
{
    text_heap_done(&out);
    text_heap_done(&note);
    printed = json_free(printed);
    return proxy_end(state);
}
static void printed_text(const char *path, const char *want)
{
    struct text t = json_text(json_get(printed, path));
    if (!text_equal(t, text_of(want)))
        fail_msg("%s is \"%.*s\", and should be \"%s\"", path, (int)t.len, t.data, want);
}
static void printed_error(int64_t code, const char *words)
{
    struct json_error e = {0};
    int64_t got = 0;
    assert_int_equal(json_read_i64(printed, "code", 0, 1000, &got, &e), 0);
    assert_int_equal(got, code);
    assert_true(json_text(json_get(printed, "msg")).len > 0);
    assert_true(json_text(json_get(printed, "cniVersion")).len > 0);
    const char *details = json_text(json_get(printed, "details")).data;
    if (!strstr(details, words))
        fail_msg("\"%s\" does not say \"%s\"", details, words);
}

static void add_asks_and_passes_the_result_on(void **state)
{
    (void)state;
    assert_int_equal(run_answered("ADD", OK), 0);
    assert_non_null(strstr(proxy.request, "POST /cni/add "));
    assert_non_null(strstr(proxy.request,
                           "{\"containerId\":\"c1\",\"netns\":\"/run/netns/x\","
                           "\"podName\":\"web-1\",\"podNamespace\":\"shop\",\"podUid\":\"\","
                           "\"ips\":[\"10.0.0.2\",\"fd00::2\"]}"));
    printed_text("cniVersion", "1.0.0");
    assert_int_equal(json_count(json_get(printed, "ips")), 2);
    assert_null(json_get(printed, "ips[0].version"));
    printed_text("ips[0].address", "10.0.0.2/24");
    printed_text("ips[0].gateway", "10.0.0.1");
    printed_text("routes[0].dst", "0.0.0.0/0");
    printed_text("interfaces[0].sandbox", "/x");
    assert_int_equal(note.len, 0);
}
static void older_versions_say_which_family_an_address_has(void **state)
{
    (void)state;
    static const char *const versions[] = {"0.3.1", "0.4.0"};
    for (int i = 0; i < 2; i++) {
        proxy_answers(OK, 1);
        assert_int_equal(run("ADD", versions[i], ARGS), 0);
        proxy_answered();
        printed_text("cniVersion", versions[i]);
        printed_text("ips[0].version", "4");
        printed_text("ips[1].version", "6");
        assert_int_equal(json_count(json_get(printed, "ips[0]")), 4);
    }
}
static void who_is_not_ours_passes_unasked(void **state)
{
    (void)state;
    /* Nobody listens: asking would fail. */
    assert_int_equal(run("ADD", "1.0.0", "K8S_POD_NAMESPACE=kube-system;K8S_POD_NAME=a"), 0);
    printed_text("ips[0].address", "10.0.0.2/24");
    assert_int_equal(run("ADD", "1.0.0", "K8S_POD_NAME=podman-1;IgnoreUnknown=1"), 0);
    assert_int_equal(run("ADD", "1.0.0", NULL), 0);
    assert_int_equal(run("CHECK", "1.0.0", NULL), 0);
    assert_int_equal(out.len, 0);
}
static void without_the_proxy_add_is_tried_again_and_del_goes_on(void **state)
{
    (void)state;
    assert_int_equal(run("ADD", "1.0.0", ARGS), 1);
    printed_error(11, proxy.path);
    assert_int_equal(run("CHECK", "1.0.0", ARGS), 1);
    printed_error(11, "weir-nodeproxy");
    assert_int_equal(run("DEL", "1.0.0", ARGS), 0);
    assert_int_equal(out.len, 0);
    assert_true(note.len > 0);
}
static void the_proxys_words_are_passed_on(void **state)
{
    (void)state;
    assert_int_equal(run_answered("ADD", "HTTP/1.1 503 x\r\n\r\n{\"error\":\"wait a bit\"}"), 1);
    printed_error(11, "wait a bit");
    assert_int_equal(run_answered("ADD", "HTTP/1.1 400 x\r\n\r\n{\"error\":\"bad\"}"), 1);
    printed_error(100, "bad");
    assert_int_equal(run_answered("CHECK", "HTTP/1.1 404 x\r\n\r\n{\"error\":\"who?\"}"), 1);
    printed_error(3, "who?");
    assert_int_equal(run_answered("CHECK", "HTTP/1.1 409 x\r\n\r\n{\"error\":\"changed\"}"), 1);
    printed_error(101, "changed");
    assert_int_equal(run_answered("ADD", "HTTP/1.1 500 x\r\n\r\nno json"), 1);
    printed_error(100, "500");
}
static void del_and_check_print_nothing(void **state)
{
    (void)state;
    assert_int_equal(run_answered("DEL", OK), 0);
    assert_int_equal(out.len, 0);
    assert_non_null(strstr(proxy.request, "POST /cni/del "));
    assert_int_equal(run_answered("CHECK", OK), 0);
    assert_int_equal(out.len, 0);
    assert_non_null(strstr(proxy.request, "POST /cni/check "));
}
static void version(void **state)
{
    (void)state;
    assert_int_equal(run("VERSION", "0.4.0", NULL), 0);
    printed_text("cniVersion", "0.4.0");
    assert_int_equal(json_count(json_get(printed, "supportedVersions")), 3);
    printed_text("supportedVersions[2]", "1.0.0");
}
static void errors_before_the_configuration_is_read(void **state)
{
    (void)state;
    assert_int_equal(run("GC", "1.0.0", ARGS), 1);
    printed_error(4, "CNI_COMMAND");
    assert_int_equal(run("ADD", "9.0.0", ARGS), 1);
    printed_error(1, "9.0.0");
    printed_text("cniVersion", "1.0.0");
}
static void configuration_is_read_to_its_end(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(write(fds[1], "{\"a\":1}", 7), 7);
    close(fds[1]);
    struct text_heap config;
    text_heap_init(&config, 100);
    assert_int_equal(cni_read_config(fds[0], &config), 0);
    assert_string_equal(config.data, "{\"a\":1}");
    text_heap_done(&config);
    close(fds[0]);
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(write(fds[1], "{\"a\":1}", 7), 7);
    close(fds[1]);
    text_heap_init(&config, 6);
    assert_int_equal(cni_read_config(fds[0], &config), -EFBIG);
    text_heap_done(&config);
    close(fds[0]);
    assert_int_equal(cni_read_config(-1, &config), -EBADF);
}

#define PROXY_TEST(f) cmocka_unit_test_setup_teardown(f, proxy_begin, end)
int main(void)
{
    const struct CMUnitTest tests[] = {
        PROXY_TEST(add_asks_and_passes_the_result_on),
        PROXY_TEST(older_versions_say_which_family_an_address_has),
        PROXY_TEST(who_is_not_ours_passes_unasked),
        PROXY_TEST(without_the_proxy_add_is_tried_again_and_del_goes_on),
        PROXY_TEST(the_proxys_words_are_passed_on),
        PROXY_TEST(del_and_check_print_nothing),
        PROXY_TEST(version),
        PROXY_TEST(errors_before_the_configuration_is_read),
        PROXY_TEST(configuration_is_read_to_its_end),
    };
    return cmocka_run_group_tests_name("cni/cni", tests, NULL, NULL);
}
