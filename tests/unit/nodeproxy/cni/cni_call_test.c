/* Which calls are taken, and what is said about the others. */
#include "nodeproxy/cni/cni_call.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define PREV "\"prevResult\":{\"ips\":[]}"
#define BASE "\"cniVersion\":\"1.0.0\",\"name\":\"net\",\"type\":\"weir-cni\""
#define ARGS "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-1;K8S_POD_UID=u-1;OTHER=x"
static const struct cni_environment env_add = {"ADD", "c1", "/run/netns/x", "eth0", ARGS};

static struct cni_call call;
static struct cni_error error;

static int read_call(const struct cni_environment *env, const char *config)
{
    cni_call_done(&call);
    error = (struct cni_error){0};
    return cni_call_read(&call, env, text_of(config), &error);
}
static void refused(const struct cni_environment *env, const char *config, enum cni_code code,
                    const char *words)
{
    if (read_call(env, config) == 0)
        fail_msg("taken: %s", config);
    assert_int_equal(error.code, code);
    if (!strstr(error.msg, words) && !strstr(error.details, words))
        fail_msg("neither \"%s\" nor \"%s\" says \"%s\"", error.msg, error.details, words);
    cni_call_done(&call);
}
static void assert_text(struct text t, const char *want)
{
    if (!text_equal(t, text_of(want)))
        fail_msg("\"%.*s\" should be \"%s\"", (int)t.len, t.data, want);
}

static void a_call_is_read(void **state)
{
    (void)state;
    assert_int_equal(read_call(&env_add, "{" BASE "," PREV "}"), 0);
    assert_int_equal(call.command, CNI_ADD);
    assert_int_equal(call.version, CNI_1_0_0);
    assert_text(call.container_id, "c1");
    assert_text(call.netns, "/run/netns/x");
    assert_text(call.pod_name, "web-1");
    assert_text(call.pod_ns, "shop");
    assert_text(call.pod_uid, "u-1");
    assert_text(call.socket, "/run/weir/cni.sock");
    assert_int_equal(call.timeout_ms, 20000);
    assert_non_null(call.previous);
    assert_false(call.excluded);
    assert_int_equal(read_call(&env_add,
                               "{" BASE "," PREV ",\"socket\":\"/x.sock\",\"timeoutSeconds\":3,"
                               "\"unknown\":{\"field\":1}}"),
                     0);
    assert_text(call.socket, "/x.sock");
    assert_int_equal(call.timeout_ms, 3000);
    cni_call_done(&call);
}
static void environment_is_checked(void **state)
{
    (void)state;
    const char *ok = "{" BASE "," PREV "}";
    struct cni_environment e = env_add;
    e.command = NULL;
    refused(&e, ok, CNI_INVALID_ENVIRONMENT, "CNI_COMMAND");
    e.command = "add";
    refused(&e, ok, CNI_INVALID_ENVIRONMENT, "\"add\"");
    static const char *const ids[] = {NULL, "", "../x", "-a", ".a", "a/b", "a b"};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        e = env_add;
        e.container_id = ids[i];
        refused(&e, ok, CNI_INVALID_ENVIRONMENT, "CNI_CONTAINERID");
    }
    static const char *const names[] = {NULL, "", "..", "a/b", "a:b", "sixteencharacter", "a b"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        e = env_add;
        e.ifname = names[i];
        refused(&e, ok, CNI_INVALID_ENVIRONMENT, "CNI_IFNAME");
    }
    e = env_add;
    e.netns = "";
    refused(&e, ok, CNI_INVALID_ENVIRONMENT, "CNI_NETNS");
    e.netns = NULL;
    refused(&e, ok, CNI_INVALID_ENVIRONMENT, "CNI_NETNS is not set");
    e.command = "DEL"; /* its namespace may be gone */
    assert_int_equal(read_call(&e, "{" BASE "}"), 0);
    assert_int_equal(call.netns.len, 0);
    e = env_add;
    e.args = "K8S_POD_NAME";
    refused(&e, ok, CNI_INVALID_ENVIRONMENT, "CNI_ARGS");
    e.args = NULL;
    assert_int_equal(read_call(&e, ok), 0);
    assert_int_equal(call.pod_ns.len, 0);
    e.args = ";;K8S_POD_NAME=a=b;";
    assert_int_equal(read_call(&e, ok), 0);
    assert_text(call.pod_name, "a=b");
    cni_call_done(&call);
}
static void versions(void **state)
{
    (void)state;
    static const char *const good[] = {"0.3.1", "0.4.0", "1.0.0"};
    static const char *const bad[] = {"\"0.1.0\"", "\"0.2.0\"", "\"0.3.0\"", "\"1.1.0\"",
                                      "\"\"",      "1",         "null"};
    char config[256];
    for (unsigned i = 0; i < 3; i++) {
        struct text_out o = TEXT_OUT(config);
        text_printf(&o, "{\"cniVersion\":\"%s\",\"name\":\"n\",\"type\":\"t\"," PREV "}", good[i]);
        assert_int_equal(read_call(&env_add, config), 0);
        assert_int_equal(call.version, i);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct text_out o = TEXT_OUT(config);
        text_printf(&o, "{\"cniVersion\":%s,\"name\":\"n\",\"type\":\"t\"," PREV "}", bad[i]);
        refused(&env_add, config, CNI_INCOMPATIBLE_VERSION, "cniVersion");
    }
    refused(&env_add, "{\"name\":\"n\",\"type\":\"t\"," PREV "}", CNI_INCOMPATIBLE_VERSION,
            "0.1.0");
    struct cni_environment check = env_add;
    check.command = "CHECK";
    refused(&check, "{\"cniVersion\":\"0.3.1\",\"name\":\"n\",\"type\":\"t\"," PREV "}",
            CNI_INCOMPATIBLE_VERSION, "CHECK");
    assert_int_equal(read_call(&check, "{" BASE "," PREV "}"), 0);
}
static void version_command_takes_everything(void **state)
{
    (void)state;
    const struct cni_environment e = {.command = "VERSION"};
    assert_int_equal(read_call(&e, ""), 0);
    assert_int_equal(call.version_text.len, 0);
    assert_int_equal(read_call(&e, "no json"), 0);
    assert_int_equal(read_call(&e, "[]"), 0);
    assert_int_equal(read_call(&e, "{\"cniVersion\":\"0.4.0\"}"), 0);
    assert_text(call.version_text, "0.4.0");
    cni_call_done(&call);
}
static void configuration_is_checked(void **state)
{
    (void)state;
    refused(&env_add, "", CNI_DECODING_FAILURE, "no JSON");
    refused(&env_add, "{\n\"a\":\n}", CNI_DECODING_FAILURE, "line 3");
    refused(&env_add, "[]", CNI_DECODING_FAILURE, "an array");
    refused(&env_add, "{\"cniVersion\":\"1.0.0\",\"type\":\"t\"," PREV "}", CNI_INVALID_CONFIG,
            "name");
    refused(&env_add, "{\"cniVersion\":\"1.0.0\",\"name\":\"a b\",\"type\":\"t\"," PREV "}",
            CNI_INVALID_CONFIG, "name");
    refused(&env_add, "{\"cniVersion\":\"1.0.0\",\"name\":\"n\"," PREV "}", CNI_INVALID_CONFIG,
            "type");
    refused(&env_add, "{" BASE "}", CNI_INVALID_CONFIG, "prevResult");
    refused(&env_add, "{" BASE ",\"prevResult\":[]}", CNI_INVALID_CONFIG, "prevResult");
    refused(&env_add, "{" BASE "," PREV ",\"socket\":\"x.sock\"}", CNI_INVALID_CONFIG, "socket");
    refused(&env_add, "{" BASE "," PREV ",\"socket\":7}", CNI_INVALID_CONFIG, "socket");
    refused(&env_add, "{" BASE "," PREV ",\"timeoutSeconds\":0}", CNI_INVALID_CONFIG,
            "timeoutSeconds");
    refused(&env_add, "{" BASE "," PREV ",\"timeoutSeconds\":601}", CNI_INVALID_CONFIG,
            "timeoutSeconds");
    refused(&env_add, "{" BASE "," PREV ",\"excludeNamespaces\":\"a\"}", CNI_INVALID_CONFIG,
            "excludeNamespaces");
    refused(&env_add, "{" BASE "," PREV ",\"excludeNamespaces\":[1]}", CNI_INVALID_CONFIG,
            "excludeNamespaces[0]");
    char longer[CNI_SOCKET_MAX + 2], config[512];
    memset(longer, 'a', sizeof longer);
    longer[0] = '/';
    longer[CNI_SOCKET_MAX + 1] = '\0';
    struct text_out o = TEXT_OUT(config);
    text_printf(&o, "{" BASE "," PREV ",\"socket\":\"%s\"}", longer);
    refused(&env_add, config, CNI_INVALID_CONFIG, "socket");
}
static void namespaces_are_excluded(void **state)
{
    (void)state;
    struct cni_environment e = env_add;
    const char *ok = "{" BASE "," PREV "}",
               *list = "{" BASE "," PREV ",\"excludeNamespaces\":[\"a\",\"shop\"]}";
    e.args = "K8S_POD_NAMESPACE=kube-system";
    assert_int_equal(read_call(&e, ok), 0);
    assert_true(call.excluded);
    assert_int_equal(read_call(&e, list), 0);
    assert_false(call.excluded);
    e.args = "K8S_POD_NAMESPACE=weir-system";
    assert_int_equal(read_call(&e, ok), 0);
    assert_true(call.excluded);
    assert_int_equal(read_call(&env_add, list), 0);
    assert_true(call.excluded);
    assert_int_equal(read_call(&env_add, "{" BASE "," PREV ",\"excludeNamespaces\":[]}"), 0);
    assert_false(call.excluded);
    cni_call_done(&call);
}

/* ---- addresses ---- */

static int read_ips(const char *previous, struct ip ips[static CNI_IPS_MAX], size_t *n)
{
    char config[2048];
    struct text_out o = TEXT_OUT(config);
    text_printf(&o, "{" BASE ",\"prevResult\":%s}", previous);
    assert_false(o.overflow);
    assert_int_equal(read_call(&env_add, config), 0);
    return cni_call_ips(&call, ips, n, &error);
}
static void addresses_of_the_pod(void **state)
{
    (void)state;
    struct ip ips[CNI_IPS_MAX];
    size_t n = 9;
    char text[IP_TEXT_MAX];
    assert_int_equal(read_ips("{}", ips, &n), 0);
    assert_int_equal(n, 0);
    assert_int_equal(
        read_ips("{\"interfaces\":[{\"name\":\"br0\"},{\"name\":\"eth0\",\"sandbox\":\"/x\"}],"
                 "\"ips\":[{\"address\":\"10.0.0.1/8\",\"interface\":0},"
                 "{\"address\":\"10.0.0.2/8\",\"interface\":1},{\"address\":\"fd00::3/64\"}]}",
                 ips, &n),
        0);
    assert_int_equal(n, 2);
    assert_string_equal(ip_print(&ips[0], text), "10.0.0.2");
    assert_string_equal(ip_print(&ips[1], text), "fd00::3");
    static const char *const bad[] = {"{\"ips\":{}}", "{\"ips\":[1]}", "{\"ips\":[{}]}",
                                      "{\"ips\":[{\"address\":\"10.0.0.1\"}]}",
                                      "{\"ips\":[{\"address\":\"x/8\"}]}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        n = 9;
        assert_true(read_ips(bad[i], ips, &n) < 0);
        assert_int_equal(error.code, CNI_INVALID_CONFIG);
        assert_non_null(strstr(error.details, "ips"));
        assert_int_equal(n, 9);
    }
    char many[1024];
    struct text_out o = TEXT_OUT(many);
    text_puts(&o, "{\"ips\":[");
    for (int i = 0; i <= CNI_IPS_MAX; i++)
        text_printf(&o, "%s{\"address\":\"10.0.0.%d/8\"}", i ? "," : "", i);
    text_puts(&o, "]}");
    assert_true(read_ips(many, ips, &n) < 0);
    cni_call_done(&call);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_is_read),
        cmocka_unit_test(environment_is_checked),
        cmocka_unit_test(versions),
        cmocka_unit_test(version_command_takes_everything),
        cmocka_unit_test(configuration_is_checked),
        cmocka_unit_test(namespaces_are_excluded),
        cmocka_unit_test(addresses_of_the_pod),
    };
    return cmocka_run_group_tests_name("cni/cni_call", tests, NULL, NULL);
}
