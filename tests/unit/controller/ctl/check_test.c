/* What weirctl check and status make of what a cluster, and a node, say. tests/interop/weirctl_test.py has the broken set-ups one by one. */
#include "controller/ctl/ctl.h"
#include "tests/unit/shared/json/parsed.h"

/* ---- A sample of Prometheus' format --------------------------------------------------------- */

static void metrics_are_read(void **state)
{
    const struct text t = TEXT(
        "# HELP a_total x\na_total{k=\"v\"} 1\na_total{k=\"w\"} 22\nab 3\na 1.5e3\nlast 7");
    (void)state;
    assert_true(check_metric(t, "a_total", "k=\"w\"") == 22);
    assert_true(check_metric(t, "a_total", NULL) == 1);
    assert_true(check_metric(t, "a", NULL) == 1500);
    assert_true(check_metric(t, "ab", NULL) == 3);
    assert_true(check_metric(t, "last", NULL) == 7);
    assert_true(check_metric(t, "a_total", "k=\"x\"") == -1);
    assert_true(check_metric(t, "b", NULL) == -1);
    assert_true(check_metric((struct text){0}, "b", NULL) == -1);
}

/* ---- A cluster ------------------------------------------------------------------------------ */

#define READY     "{\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}}"
#define NOT_READY "{\"status\":{\"phase\":\"Pending\"}}"
#define CLIENT(node, synced)                                                                       \
    "{\"node\":\"x~weir-nodeproxy-" node ".weir-system~y\",\"unacknowledged\":1,\"types\":{"       \
    "\"type.googleapis.com/istio.workload.Address\":{\"synced\":" synced                           \
    "},\"type.googleapis.com/istio.security.Authorization\":{\"synced\":true}}}"

struct scene {
    struct json *version, *nodes, *namespaces, *pod, *absent, *dump, *problems;
    struct check_program programs[8];
    struct check_facts facts;
};

static void scene_open(struct scene *s, const char *clients)
{
    char dump[2048];
    snprintf(dump, sizeof dump,
             "{\"clients\":[%s],\"workloads\":[{\"node\":\"a\",\"protocol\":\"HBONE\"},{\"node\":"
             "\"a\",\"protocol\":\"TCP\"}]}",
             clients);
    *s = (struct scene){
        .version = parsed("{\"major\":\"1\",\"minor\":\"20\",\"gitVersion\":\"v1.20.15\"}"),
        .nodes = parsed(
            "{\"items\":[{\"metadata\":{\"name\":\"a\"},\"status\":{\"nodeInfo\":{"
            "\"kernelVersion\":\"6.1.0-44-amd64\",\"operatingSystem\":\"linux\"}}},{\"metadata\":{"
            "\"name\":\"w\"},\"status\":{\"nodeInfo\":{\"operatingSystem\":\"windows\"}}}]}"),
        .namespaces = parsed("{\"items\":[]}"),
        .pod = parsed(READY),
        .absent = parsed(NOT_READY),
        .dump = parsed(dump),
        .problems = parsed("{\"errors\":[],\"warnings\":[]}"),
    };
    const struct text controller = TEXT("weir_controller_leader 1\nistio_build{tag=\"2\"} 1\n");
    const struct text proxy = TEXT("weir_ca_connected 1\nistio_build{tag=\"2\"} 1\n"
                                   "workload_manager_active_proxy_count 1\n");
    const struct check_program programs[] = {
        {"controller", "c-1", "a", s->pod, s->dump, s->problems, controller, NULL},
        {"ca", "ca-0", "a", s->pod, NULL, NULL, {0}, NULL},
        {"nodeproxy", "p-1", "a", s->pod, NULL, NULL, proxy, NULL},
        {"cni", "i-1", "a", s->pod, NULL, NULL, {0}, NULL},
    };
    memcpy(s->programs, programs, sizeof programs);
    s->facts = (struct check_facts){.server = "https://k",
                                    .ns = "weir-system",
                                    .version = s->version,
                                    .nodes = s->nodes,
                                    .namespaces = s->namespaces,
                                    .enrol_label = "weir.mesh/enrolled",
                                    .programs = s->programs,
                                    .n_programs = 4};
}

static void scene_close(struct scene *s)
{
    struct json *const all[] = {s->version, s->nodes, s->namespaces, s->pod,
                                s->absent,  s->dump,  s->problems};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        json_free(all[i]);
}

static void prints(const struct scene *s, bool before, const char *wanted)
{
    struct check c;
    struct text_heap out;
    check_init(&c);
    text_heap_init(&out, 1 << 16);
    if (before)
        check_before(&c, &s->facts);
    else
        check_installed(&c, &s->facts);
    check_print(&c, &out);
    assert_false(out.failed);
    assert_string_equal(out.data, wanted);
    text_heap_done(&out);
    check_done(&c);
}

#define HEAD                                                                                       \
    "ok    api server      v1.20.15 at https://k\n"                                                \
    "ok    kernel          Linux 6.1 or newer on 1 of 1 nodes\n"
#define PROGRAMS                                                                                   \
    "ok    controller      1 of 1 ready\n"                                                         \
    "ok    leader          one of the controllers leads\n"                                         \
    "ok    ca              1 of 1 ready\n"                                                         \
    "ok    node proxies    1 of 1 ready\n"                                                         \
    "ok    cni             1 of 1 ready\n"
#define REST                                                                                       \
    "ok    certificates    1 of 1 proxies reach the CA\n"                                          \
    "ok    capture         1 enrolled pods, all captured\n"                                        \
    "ok    configuration   no object is refused\n"                                                 \
    "ok    versions        all programs are 2\n"

static void all_is_well(void **state)
{
    struct scene s;
    (void)state;
    scene_open(&s, CLIENT("a", "true"));
    prints(&s, false,
           HEAD PROGRAMS
           "ok    sync            1 of 1 proxies have acknowledged all\n" REST
           "0 failed, 0 warnings, 12 in order\n");
    scene_close(&s);
}

static void problems_that_are_not_listed(void **state)
{
    struct scene s;
    struct json *problems = parsed("{\"errors\":[],\"warnings\":[],\"unlisted\":12}");
    (void)state;
    scene_open(&s, CLIENT("a", "true"));
    s.programs[0].problems = problems;
    prints(&s, false,
           HEAD PROGRAMS
           "ok    sync            1 of 1 proxies have acknowledged all\n"
           "ok    certificates    1 of 1 proxies reach the CA\n"
           "ok    capture         1 enrolled pods, all captured\n"
           "warn  configuration   12 problems more are not listed\n"
           "                        -> each object's status says its own\n"
           "ok    configuration   no object is refused\n"
           "ok    versions        all programs are 2\n"
           "0 failed, 1 warning, 12 in order\n");
    scene_close(&s);
    json_free(problems);
}

static void a_proxy_is_behind_and_another_version(void **state)
{
    struct scene s;
    (void)state;
    scene_open(&s, CLIENT("ab", "true") "," CLIENT("a", "false"));
    s.programs[2].metrics = TEXT("istio_build{tag=\"1\"} 1\n");
    s.programs[2].why = "503 no endpoint";
    prints(&s, false,
           HEAD PROGRAMS
           "warn  sync            node a has not acknowledged the latest configuration\n"
           "                        -> if it stays so: the proxy's log says what it refused (NACK)\n"
           "warn  capture         no pod is enrolled yet\n"
           "                        -> weirctl enrol NAMESPACE takes a namespace in\n"
           "ok    configuration   no object is refused\n"
           "warn  versions        c-1 is 2, p-1 is 1\n"
           "                        -> an upgrade runs, or has stopped half-way: kubectl rollout "
           "status tells; neighbouring versions work together\n"
           "warn  answers         pod p-1 could not be asked: 503 no endpoint\n"
           "                        -> may you `get pods/proxy` in this namespace? Can the API "
           "server reach the pod's ports 15014 and 15020?\n"
           "0 failed, 4 warnings, 8 in order\n");
    scene_close(&s);
}

/* Kubernetes gives the end of its log, of which one line tells; the remedy is for all of it. */
static void a_program_that_ends_at_once(void **state)
{
    struct scene s;
    struct json *ended = parsed(
        "{\"status\":{\"phase\":\"Running\",\"containerStatuses\":[{\"lastState\":{\"terminated\":{"
        "\"message\":\"info starts\\nerror node: io_uring_setup was refused\\nerror supervisor: "
        "weir-data ended\\n\\n\"}}}]}}");
    struct json *waits = parsed("{\"status\":{\"containerStatuses\":[{\"state\":{\"waiting\":{"
                                "\"message\":\"one\\ntwo \\n \"}}}]}}");
    (void)state;
    scene_open(&s, CLIENT("a", "true"));
    s.programs[1].pod = waits;
    s.programs[2].pod = ended;
    prints(&s, false,
           HEAD "ok    controller      1 of 1 ready\n"
                "ok    leader          one of the controllers leads\n"
                "FAIL  ca              pod ca-0 on a is not ready: two\n"
                "                        -> kubectl -n weir-system describe pod ca-0; kubectl -n "
                "weir-system logs ca-0\n"
                "FAIL  node proxies    pod p-1 on a is not ready: error node: io_uring_setup was "
                "refused\n"
                "                        -> the container's seccomp profile forbids io_uring: use a "
                "Localhost profile that allows it (the chart installs one), or Unconfined\n"
                "ok    cni             1 of 1 ready\n" REST
                "2 failed, 0 warnings, 9 in order\n");
    json_free(ended);
    json_free(waits);
    scene_close(&s);
}

static void nothing_is_installed(void **state)
{
    struct scene s;
    (void)state;
    scene_open(&s, "");
    s.facts.n_programs = 0;
    prints(&s, true,
           HEAD "ok    other meshes    no namespace is in Istio's mesh\n"
                "ok    namespace       weir-system is free\n"
                "0 failed, 0 warnings, 4 in order\n");
    struct check c;
    check_init(&c);
    check_installed(&c, &s.facts);
    assert_int_equal(check_count(&c, CHECK_FAIL), 6);
    check_done(&c);
    s.facts.failure = "connection refused";
    prints(&s, true,
           "FAIL  api server      https://k: connection refused\n"
           "                        -> look at --kubeconfig, --context and $KUBECONFIG: does "
           "`kubectl get nodes` work?\n"
           "1 failed, 0 warnings, 0 in order\n");
    scene_close(&s);
}

static void status_says_who_follows_whom(void **state)
{
    struct scene s;
    struct table table;
    struct text_heap out;
    (void)state;
    scene_open(&s, CLIENT("a", "false") ",{\"node\":\"weir-ca\"},{\"node\":\"sidecar~10.0.0.9~web.shop~c\",\"unacknowledged\":0,"
                   "\"refused\":{\"type\":\"cluster\",\"message\":\"unsupported lb_policy: MAGLEV\"}}");
    s.programs[4] = (struct check_program){"nodeproxy", "p-2", "b", s.absent, NULL, NULL, {0}, NULL};
    status_table(s.programs, 5, &table);
    text_heap_init(&out, 1 << 16);
    table_print(&table, &out);
    assert_string_equal(
        out.data,
        "NODE   PROXY                         READY   CONTROLLER   WORKLOADS   POLICIES   UNACKED   "
        "CAPTURED   REFUSED\n"
        "-      sidecar~10.0.0.9~web.shop~c   -       c-1          -           -          0         "
        "-          cluster: unsupported lb_policy: MAGLEV\n"
        "a      p-1                           yes     c-1          STALE       synced     1         "
        "1          -\n"
        "b      p-2                           NO      NONE         -           -          -         "
        "-          -\n");
    text_heap_done(&out);
    table_done(&table);
    /* Asked alone, a controller names all that follow it. */
    status_table(s.programs, 1, &table);
    text_heap_init(&out, 1 << 16);
    table_print(&table, &out);
    assert_non_null(strstr(out.data, "-      x~weir-nodeproxy-a.weir-system~y   -       c-1 "));
    assert_non_null(strstr(out.data, "-      sidecar~10.0.0.9~web.shop~c        -       c-1 "));
    assert_null(strstr(out.data, "weir-ca"));
    text_heap_done(&out);
    table_done(&table);
    scene_close(&s);
}

/* ---- A node --------------------------------------------------------------------------------- */

static void a_node(void **state)
{
    static const char dump[] =
        "{\"status\":{\"node\":\"a\",\"version\":\"2\",\"controllerConnected\":true,"
        "\"caConnected\":false,\"caError\":\"refused\",\"pods\":[{\"captured\":true},{\"captured\":"
        "false}]},\"certificates\":[{\"identity\":\"spiffe://td/ns/n/sa/a\",\"certChain\":[{"
        "\"valid\":true}]},{\"identity\":\"spiffe://td/ns/n/sa/b\",\"error\":\"not placed\"}]}";
    struct check c;
    struct text_heap out;
    struct json *tree = parsed(dump);
    (void)state;
    check_init(&c);
    text_heap_init(&out, 1 << 16);
    check_node(&c, tree);
    check_print(&c, &out);
    assert_string_equal(
        out.data,
        "ok    node proxy      2 on node a\n"
        "ok    controller      connected\n"
        "FAIL  ca              not connected: refused\n"
        "                        -> is weir-ca running, can this node reach its port 15013, and is "
        "the node's token good? Certificates that are there stay good until they expire\n"
        "FAIL  certificates    spiffe://td/ns/n/sa/b has no valid certificate: not placed\n"
        "                        -> may the CA give this node that identity (is the pod placed "
        "here)? Is the clock right?\n"
        "FAIL  capture         1 of 2 pods of this node that asked are captured\n"
        "                        -> the proxy's log says why; a pod that is gone leaves the list by "
        "itself\n"
        "3 failed, 0 warnings, 2 in order\n");
    text_heap_done(&out);
    check_done(&c);
    json_free(tree);
}

/* Whatever a program of another version answers: lines, never a crash. */
static void answers_that_are_odd(void **state)
{
    static const char *const odd[] = {"{}", "[]", "7", "{\"items\":7}", "{\"items\":[7,{},null]}",
                                      "{\"clients\":[{\"types\":7}],\"workloads\":[7]}",
                                      "{\"errors\":[7,{}],\"warnings\":{}}"};
    (void)state;
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        struct json *j = parsed(odd[i]);
        struct check_program programs[] = {
            {"controller", "c", "a", j, j, j, TEXT("istio_build{tag=\"\nweir_ca_connected\n"), NULL},
            {"nodeproxy", "p", "a", j, j, j, TEXT("weir_ca_connected x"), NULL}};
        const struct check_facts facts = {.server = "k", .ns = "n", .version = j, .nodes = j,
                                          .namespaces = j, .enrol_label = "l",
                                          .programs = programs, .n_programs = 2};
        struct check c;
        struct table table;
        check_init(&c);
        check_before(&c, &facts);
        check_installed(&c, &facts);
        check_node(&c, j);
        assert_true(c.n > 0 && !c.failed);
        status_table(programs, 2, &table);
        table_done(&table);
        check_done(&c);
        json_free(j);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(metrics_are_read),
        cmocka_unit_test(all_is_well),
        cmocka_unit_test(problems_that_are_not_listed),
        cmocka_unit_test(a_proxy_is_behind_and_another_version),
        cmocka_unit_test(a_program_that_ends_at_once),
        cmocka_unit_test(nothing_is_installed),
        cmocka_unit_test(status_says_who_follows_whom),
        cmocka_unit_test(a_node),
        cmocka_unit_test(answers_that_are_odd),
    };
    return cmocka_run_group_tests_name("ctl/check", tests, NULL, NULL);
}
