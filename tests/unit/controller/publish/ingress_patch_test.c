/* What is written into a Gateway's status: it is known again when it is there, and others' conditions stay. */
#include "controller/publish/object_status.h"
#include "tests/unit/controller/publish/mesh_fixture.h"
#include "tests/unit/shared/base/failing_alloc.h"
#include "tests/unit/shared/json/parsed.h"
#include <errno.h>

#define CLASS(name, controller, more)                                                                 \
    "{apiVersion: gateway.networking.k8s.io/v1, kind: GatewayClass, metadata: {name: " name "}, spec: " \
    "{controllerName: " controller more "}}\n---\n"
static const char mesh[] =
    "{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: edge, namespace: shop}, spec: "
    "{gatewayClassName: weir, listeners: [{name: a, port: 80, protocol: HTTP}, {name: b, port: 443, protocol: UDP}]}}\n---\n"
    "{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: other, namespace: shop}, spec: "
    "{gatewayClassName: other, listeners: [{name: a, port: 80, protocol: HTTP}]}}\n---\n"
    "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: r, namespace: shop}, spec: "
    "{parentRefs: [{name: edge}]}}\n---\n"
    CLASS("weir", INGRESS_CONTROLLER, "") CLASS("other", INGRESS_CONTROLLER, "")
    CLASS("with", INGRESS_CONTROLLER, ", parametersRef: {group: '', kind: ConfigMap, name: c}")
    CLASS("theirs", "example.test/theirs", "")
    "{apiVersion: v1, kind: Service, metadata: {name: edge, namespace: shop}, spec: {clusterIP: 192.0.2.9, selector: "
    "{app: edge}, ports: [{port: 80}]}}\n---\n"
    "{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: shop, labels: {app: edge, "
    "gateway.networking.k8s.io/gateway-name: edge}}, spec: {nodeName: n}, status: {phase: Running, podIP: 10.0.0.1}}";

static int set_up(void **state)
{
    (void)state;
    return mesh_up(mesh);
}

static int judge(const char *name, int64_t generation, struct object_status *ret)
{
    const struct object_judged who = {OBJECT_INGRESS, "shop", name, generation, NULL};
    const struct problem_index nothing = {0};
    return object_status_judge(&who, &nothing, &view, ret);
}

/* The object as the server has it after the patch. */
static char *patched(const struct object_status *s, const char *status, int64_t unix_ms)
{
    char object[16384];
    struct text_heap body, all;
    snprintf(object, sizeof object, "{\"metadata\":{\"resourceVersion\":\"7\"},\"status\":%s}", status);
    struct json *tree = parsed(object);
    assert_int_equal(object_status_patch(s, tree, unix_ms, &body), 0);
    json_free(tree);
    text_heap_init(&all, sizeof object);
    text_heap_printf(&all, "{\"spec\":{\"gatewayClassName\":\"weir\"},%s", body.data + 1);
    text_heap_done(&body);
    assert_false(all.failed);
    return all.data;
}

static uint64_t there(const char *object)
{
    struct json *tree = parsed(object);
    uint64_t number = object_status_there(OBJECT_INGRESS, tree);
    json_free(tree);
    return number;
}

static void it_is_known_again(void **state)
{
    struct object_status s;
    (void)state;
    assert_int_equal(judge("edge", 3, &s), 0);
    char *object = patched(&s, "{\"conditions\":[{\"type\":\"Theirs\",\"status\":\"True\"},"
                               "{\"type\":\"Accepted\",\"status\":\"Unknown\"}]}", 1767225600000);
    uint64_t number = object_status_number(&s);
    assert_true(number > 0 && there(object) == number);
    assert_non_null(strstr(object, "{\"type\":\"Theirs\",\"status\":\"True\"}"));
    assert_null(strstr(object, "Unknown"));
    assert_non_null(strstr(object, "\"addresses\":[{\"type\":\"IPAddress\",\"value\":\"192.0.2.9\"}]"));
    assert_non_null(strstr(object, "{\"name\":\"a\",\"supportedKinds\":[{\"group\":\"gateway.networking.k8s.io\",\"kind\":"
                                   "\"HTTPRoute\"},{\"group\":\"gateway.networking.k8s.io\",\"kind\":\"GRPCRoute\"}],"
                                   "\"attachedRoutes\":1,\"conditions\":[{\"type\":\"Accepted\",\"status\":\"True\""));
    assert_non_null(strstr(object, "\"reason\":\"UnsupportedProtocol\",\"message\":\"protocol UDP is not served\""));
    /* Each of these is seen. */
    static const char *const changes[][2] = {{"192.0.2.9", "192.0.2.8"}, {"attachedRoutes\":1", "attachedRoutes\":2"},
                                             {"\"name\":\"a\"", "\"name\":\"c\""}, {"NoConflicts", "NoConflictx"},
                                             {"ListenersNotValid", "ListenersNotValix"}};
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        char *at = strstr(object, changes[i][0]);
        assert_non_null(at);
        memcpy(at, changes[i][1], strlen(changes[i][1]));
        assert_true(there(object) != number);
        memcpy(at, changes[i][0], strlen(changes[i][0]));
    }
    object_status_done(&s);
    free(object);
}

static void the_time_of_a_transition_stays(void **state)
{
    struct object_status s;
    (void)state;
    assert_int_equal(judge("edge", 3, &s), 0);
    char *first = patched(&s, "{}", 1767225600000);
    struct json *tree = parsed(first);
    struct text_heap body;
    assert_int_equal(object_status_patch(&s, tree, 1767312000000, &body), 0);
    assert_null(strstr(body.data, "2026-01-02"));
    assert_non_null(strstr(body.data, "2026-01-01"));
    text_heap_done(&body);
    json_free(tree);
    object_status_done(&s);
    free(first);
}

static void others_gateways_are_left_alone(void **state)
{
    struct object_status s;
    (void)state;
    assert_int_equal(judge("other", 3, &s), 0);
    assert_int_equal(object_status_number(&s), 0);
    assert_int_equal(there("{\"spec\":{\"gatewayClassName\":\"other\"},\"status\":{\"conditions\":[{\"type\":\"Accepted\"}]}}"), 0);
    object_status_done(&s);
    assert_string_equal(object_status_resource(OBJECT_INGRESS), "gateways");
}

/* A class is accepted if its Gateways are served; others' classes are theirs. */
static void classes(void **state)
{
    static const struct {
        const char *name, *reason;
    } cases[] = {{"weir", "Accepted"}, {"other", "Unsupported"}, {"with", "InvalidParameters"}, {"theirs", NULL}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct object_judged who = {OBJECT_INGRESS_CLASS, "", cases[i].name, 2, NULL};
        const struct problem_index nothing = {0};
        struct object_status s;
        struct text_heap body;
        char object[1024];
        assert_int_equal(object_status_judge(&who, &nothing, &view, &s), 0);
        snprintf(object, sizeof object,
                 "{\"metadata\":{\"resourceVersion\":\"7\"},\"spec\":{\"controllerName\":\"%s\"},\"status\":"
                 "{\"conditions\":[{\"type\":\"Accepted\",\"status\":\"Unknown\",\"reason\":\"Pending\"}]}}",
                 cases[i].reason ? INGRESS_CONTROLLER : "example.test/theirs");
        struct json *tree = parsed(object);
        if (!cases[i].reason) {
            assert_int_equal(object_status_number(&s), 0);
            assert_int_equal(object_status_there(OBJECT_INGRESS_CLASS, tree), 0);
        } else {
            assert_true(object_status_number(&s) != object_status_there(OBJECT_INGRESS_CLASS, tree));
            assert_int_equal(object_status_patch(&s, tree, 0, &body), 0);
            snprintf(object, sizeof object, "{\"spec\":{\"controllerName\":\"" INGRESS_CONTROLLER "\"},%s", body.data + 1);
            assert_non_null(strstr(object, cases[i].reason));
            assert_null(strstr(object, "Pending"));
            assert_true((strstr(object, "\"True\"") != NULL) == (i == 0));
            json_free(tree);
            tree = parsed(object);
            assert_true(object_status_number(&s) == object_status_there(OBJECT_INGRESS_CLASS, tree));
            text_heap_done(&body);
        }
        json_free(tree);
        object_status_done(&s);
    }
    assert_string_equal(object_status_resource(OBJECT_INGRESS_CLASS), "gatewayclasses");
}

static void without_memory_it_is_judged_again(void **state)
{
    struct object_status s;
    (void)state;
    for (long n = 0;; n++) {
        alloc_fail_at(n);
        int err = judge("edge", 3, &s);
        bool failed = alloc_failed();
        object_status_done(&s);
        if (!failed) {
            assert_int_equal(err, 0);
            assert_true(n > 0);
            break;
        }
        assert_int_equal(err, -ENOMEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_known_again),
        cmocka_unit_test(the_time_of_a_transition_stays),
        cmocka_unit_test(others_gateways_are_left_alone),
        cmocka_unit_test(classes),
        cmocka_unit_test(without_memory_it_is_judged_again),
    };
    return cmocka_run_group_tests(tests, set_up, mesh_down);
}
