/* A machine that asks to be registered, at the ADS machine: where nobody is, where its group is missing, and where it is. */
#include "tests/support/tmp.h"
#include "tests/unit/controller/serve/delta_client.h"
#include "tests/unit/shared/base/test.h"
#include <unistd.h>

#define GROUP                                                                                      \
    "{apiVersion: networking.istio.io/v1, kind: WorkloadGroup, metadata: {name: g, namespace: a}, "  \
    "spec: {template: {serviceAccount: b}}}"

static void a_machine_that_asks(void **state)
{
    static const struct {
        bool registry, group, routes_only;
        enum grpc_status status;
    } cases[] = {{false, true, false, GRPC_UNIMPLEMENTED},
                 {true, false, false, GRPC_NOT_FOUND},
                 {true, true, true, GRPC_PERMISSION_DENIED},
                 {true, true, false, GRPC_OK}};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct control c;
        struct wire w;
        struct talker t;
        struct object_store store;
        struct registry r;
        char folder[TMP_PATH_MAX], file[TMP_PATH_MAX + 16], why[WHY_MAX];
        control_open(&c);
        wire_open(&w, &c.ads);
        w.routes_only = cases[i].routes_only;
        object_store_init(&store);
        assert_non_null(tmp_folder(folder, "ads"));
        snprintf(file, sizeof file, "%s/machines", folder);
        assert_int_equal(registry_open(&r, &store, "td", file, 1000, 0, why), 0);
        c.ads.registry = cases[i].registry ? &r : NULL;
        if (cases[i].group)
            fixture_load(&store, GROUP);
        talker_open(&t, &w);
        t.machine = (struct delta_machine){"g", "a", "g-1", "10.0.0.1"};
        talker_ask(&t, XDS_ADDRESS, NULL, NULL);
        assert_int_equal(t.closed, cases[i].status != GRPC_OK);
        if (t.closed)
            assert_int_equal(t.status, cases[i].status);
        assert_int_equal(store.objects[OBJECT_WORKLOAD_ENTRY].count, !t.closed);
        talker_done(&t);
        wire_run(&w); /* it is gone */
        assert_int_equal(registry_tick(&r, 1000), cases[i].status == GRPC_OK);
        assert_int_equal(store.objects[OBJECT_WORKLOAD_ENTRY].count, 0);
        wire_close(&w);
        control_close(&c);
        registry_done(&r);
        object_store_done(&store);
        assert_int_equal(unlink(file), 0);
        assert_int_equal(rmdir(folder), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_machine_that_asks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
