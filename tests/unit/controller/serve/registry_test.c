/*
 * Machines that register themselves: who may, what becomes of it, for how long, and what a restart finds.
 */
#include "controller/serve/registry.h"
#include "tests/support/tmp.h"
#include "tests/unit/controller/fixture.h"
#include "tests/unit/shared/base/test.h"
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define ID "spiffe://td/ns/vms/sa/db"
#define GROUP(account, more)                                                                       \
    "{apiVersion: networking.istio.io/v1, kind: WorkloadGroup, metadata: {name: dbs, namespace: "   \
    "vms}, spec: {metadata: {labels: {app: no, v: '1'}}, template: {serviceAccount: " account        \
    ", labels: {app: db}, ports: {pg: 5432}, locality: r/z/s, weight: 3" more "}}}"
#define ENTRY                                                                                      \
    "{apiVersion: networking.istio.io/v1, kind: WorkloadEntry, metadata: {name: dbs-a, namespace: " \
    "vms}, spec: {address: 192.0.2.9}}"

enum { LEASE_MS = 60000 };
struct bench {
    struct object_store store;
    struct registry r;
    char folder[TMP_PATH_MAX], file[TMP_PATH_MAX + 16];
    unsigned told;
};

static void changed(void *arg)
{
    ((struct bench *)arg)->told++;
}

static void registry_opens(struct bench *b, uint64_t now_ms)
{
    char why[WHY_MAX] = "";
    if (registry_open(&b->r, &b->store, "td", b->file, LEASE_MS, now_ms, why) < 0)
        fail_msg("%s", why);
    b->r.changed = changed;
    b->r.changed_arg = b;
}

static void bench_open(struct bench *b)
{
    *b = (struct bench){.told = 0};
    assert_non_null(tmp_folder(b->folder, "registry"));
    snprintf(b->file, sizeof b->file, "%s/machines.json", b->folder);
    object_store_init(&b->store);
    fixture_load(&b->store, GROUP("db", ""));
    registry_opens(b, 0);
}

static void bench_close(struct bench *b)
{
    registry_done(&b->r);
    object_store_done(&b->store);
    (void)unlink(b->file);
    assert_int_equal(rmdir(b->folder), 0);
}

static struct registry_claim claim(const char *name, const char *from)
{
    struct registry_claim c = {
        .identity = ID,
        .machine = {"dbs", "vms", (char *)name, "2001:db8::1,192.0.2.7,192.0.2.8"},
        .now_s = 1000};
    assert_int_equal(ip_parse(text_of(from), &c.from), 0);
    return c;
}

static struct registration *enters(struct bench *b, const char *name, const char *from)
{
    struct registry_claim c = claim(name, from);
    struct registration *m = NULL;
    char why[WHY_MAX] = "";
    if (registry_enter(&b->r, &c, &m, why) < 0)
        fail_msg("%s", why);
    return m;
}

static void is_refused(struct bench *b, struct registry_claim c, int error, const char *words)
{
    struct registration *m = NULL;
    char why[WHY_MAX] = "";
    assert_int_equal(registry_enter(&b->r, &c, &m, why), error);
    if (!strstr(why, words))
        fail_msg("'%s' does not say '%s'", why, words);
}

static const struct object *entry(const struct bench *b, const char *name)
{
    return object_store_get(&b->store, OBJECT_WORKLOAD_ENTRY, "vms", name);
}

static void is_at(const struct bench *b, const char *name, const char *address)
{
    char printed[IP_TEXT_MAX];
    const struct object *o = entry(b, name);
    assert_non_null(o);
    assert_string_equal(ip_print(o->workload_entry.address, printed), address);
    char part[MACHINE_NAME_MAX];
    assert_non_null(object_store_get(&b->store, OBJECT_POD, "vms", workload_entry_part_name(name, part)));
}

/* As if somebody had written it. */
static void an_entry_is_made_of_the_group(void **state)
{
    struct bench b;
    (void)state;
    bench_open(&b);
    enters(&b, "dbs-a", "192.0.2.7");
    assert_int_equal(b.told, 1);
    is_at(&b, "dbs-a", "192.0.2.7");
    const struct object *o = entry(&b, "dbs-a");
    assert_string_equal(o->workload_entry.service_account, "db");
    assert_string_equal(o->workload_entry.subzone, "s");
    assert_int_equal(o->workload_entry.weight, 3);
    assert_int_equal(o->workload_entry.n_targets, 1);
    assert_string_equal(o->workload_entry.targets[0].name, "pg");
    assert_int_equal(o->workload_entry.targets[0].port, 5432);
    assert_int_equal(o->labels.n, 3);
    assert_string_equal(labels_get(&o->labels, "app"), "db");
    assert_string_equal(labels_get(&o->labels, "v"), "1");
    assert_string_equal(labels_get(&o->labels, MACHINE_TUNNEL_LABEL), "http");
    assert_int_equal(o->created_s, 1000);
    /* A second stream of it, as at a take-over, changes nothing. */
    enters(&b, "dbs-a", "192.0.2.7");
    assert_int_equal(b.told, 1);
    assert_ptr_equal(entry(&b, "dbs-a"), o);
    bench_close(&b);
}

static void who_may_not(void **state)
{
    struct bench b;
    struct registry_claim c;
    (void)state;
    bench_open(&b);
    fixture_load(&b.store, ENTRY);
    is_refused(&b, claim("dbs-a", "192.0.2.7"), -EEXIST, "start this machine with --workload");
    is_refused(&b, claim("dbs", "192.0.2.7"), -EINVAL, "a dash and a name");
    is_refused(&b, claim("dbs-", "192.0.2.7"), -EINVAL, "must");
    is_refused(&b, claim("other-a", "192.0.2.7"), -EINVAL, "a dash and a name");
    is_refused(&b, claim("dbs-A_", "192.0.2.7"), -EINVAL, "the name must");
    is_refused(&b, claim("dbs-b", "192.0.2.1"), -EACCES, "comes from 192.0.2.1");
    c = claim("dbs-b", "192.0.2.7");
    c.machine.ns = "other";
    is_refused(&b, c, -EACCES, "must have joined as one of its accounts");
    c = claim("x-b", "192.0.2.7");
    c.machine.group = "x";
    is_refused(&b, c, -ENOENT, "no WorkloadGroup vms/x");
    static const char *const others[] = {"spiffe://td/ns/vms/sa/web", "spiffe://other/ns/vms/sa/db"};
    for (unsigned i = 0; i < 2; i++) {
        c = claim("dbs-b", "192.0.2.7");
        c.identity = others[i];
        is_refused(&b, c, -EACCES, "account 'db'");
    }
    c = claim("dbs-b", "192.0.2.7");
    c.identity = "192.0.2.7:4711"; /* of a port without TLS */
    is_refused(&b, c, -EACCES, "must have joined");
    fixture_load(&b.store, GROUP("db", ", address: 192.0.2.1"));
    is_refused(&b, claim("dbs-b", "192.0.2.7"), -ENOENT, "spec.template.address: must not be said");
    assert_null(entry(&b, "dbs-b"));
    assert_int_equal(b.told, 0);
    bench_close(&b);
}

/* What is connected keeps its name and place; what is gone keeps them for a while. */
static void a_lease(void **state)
{
    struct bench b;
    (void)state;
    bench_open(&b);
    struct registration *m = enters(&b, "dbs-a", "192.0.2.7");
    assert_ptr_equal(enters(&b, "dbs-a", "192.0.2.7"), m);
    registry_leave(&b.r, m, 1000);
    assert_false(registry_tick(&b.r, 1000 + 2 * LEASE_MS)); /* the other one is there */
    is_refused(&b, claim("dbs-a", "192.0.2.8"), -EEXIST, "a machine at 192.0.2.7");
    registry_leave(&b.r, m, 1000);
    assert_false(registry_tick(&b.r, 1000 + LEASE_MS - 1));
    is_at(&b, "dbs-a", "192.0.2.7");
    is_refused(&b, claim("dbs-a", "192.0.2.8"), -EEXIST, "until its lease is over");
    assert_ptr_equal(enters(&b, "dbs-a", "192.0.2.7"), m);
    assert_false(registry_tick(&b.r, 1000 + 2 * LEASE_MS));
    registry_leave(&b.r, m, 5000);
    assert_true(registry_tick(&b.r, 5000 + LEASE_MS));
    assert_null(entry(&b, "dbs-a"));
    assert_int_equal(b.store.objects[OBJECT_POD].count, 0);
    /* It may have another address now. */
    enters(&b, "dbs-a", "192.0.2.8");
    is_at(&b, "dbs-a", "192.0.2.8");
    bench_close(&b);
}

static void a_group_changes(void **state)
{
    struct bench b;
    (void)state;
    bench_open(&b);
    enters(&b, "dbs-a", "192.0.2.7");
    assert_false(registry_refresh(&b.r));
    fixture_load(&b.store, GROUP("db", ", network: n"));
    assert_true(registry_refresh(&b.r));
    assert_string_equal(entry(&b, "dbs-a")->workload_entry.network, "n");
    fixture_load(&b.store, GROUP("web", ""));
    assert_true(registry_refresh(&b.r));
    assert_null(entry(&b, "dbs-a"));
    assert_false(registry_refresh(&b.r));
    fixture_load(&b.store, GROUP("db", ""));
    assert_true(registry_refresh(&b.r));
    is_at(&b, "dbs-a", "192.0.2.7");
    assert_true(object_store_remove(&b.store, OBJECT_WORKLOAD_GROUP, "vms", "dbs"));
    assert_true(registry_refresh(&b.r));
    assert_null(entry(&b, "dbs-a"));
    bench_close(&b);
}

static void what_is_written_comes_first(void **state)
{
    struct bench b;
    (void)state;
    bench_open(&b);
    struct registration *m = enters(&b, "dbs-a", "192.0.2.7");
    fixture_load(&b.store, ENTRY);
    assert_false(registry_refresh(&b.r));
    is_at(&b, "dbs-a", "192.0.2.9");
    registry_leave(&b.r, m, 0);
    assert_ptr_equal(enters(&b, "dbs-a", "192.0.2.7"), m);
    is_at(&b, "dbs-a", "192.0.2.9");
    assert_true(object_store_remove(&b.store, OBJECT_WORKLOAD_ENTRY, "vms", "dbs-a"));
    assert_true(registry_refresh(&b.r));
    is_at(&b, "dbs-a", "192.0.2.7");
    fixture_load(&b.store, ENTRY);
    registry_leave(&b.r, m, 0);
    assert_false(registry_tick(&b.r, LEASE_MS));
    is_at(&b, "dbs-a", "192.0.2.9");
    bench_close(&b);
}

static void a_restart(void **state)
{
    struct bench b;
    (void)state;
    bench_open(&b);
    enters(&b, "dbs-a", "192.0.2.7");
    registry_leave(&b.r, enters(&b, "dbs-b", "192.0.2.8"), 0);
    assert_int_equal(registry_save(&b.r), 0);
    registry_done(&b.r);
    object_store_done(&b.store);
    object_store_init(&b.store);
    fixture_load(&b.store, GROUP("db", ""));
    registry_opens(&b, 7000);
    assert_null(entry(&b, "dbs-a"));
    assert_true(registry_refresh(&b.r));
    is_at(&b, "dbs-a", "192.0.2.7");
    is_at(&b, "dbs-b", "192.0.2.8");
    assert_int_equal(entry(&b, "dbs-a")->created_s, 1000);
    enters(&b, "dbs-a", "192.0.2.7");
    assert_false(registry_tick(&b.r, 7000 + LEASE_MS - 1));
    assert_true(registry_tick(&b.r, 7000 + LEASE_MS));
    assert_non_null(entry(&b, "dbs-a"));
    assert_null(entry(&b, "dbs-b"));
    bench_close(&b);
}

static void bad_files(void **state)
{
#define MACHINE(name, address, identity)                                                           \
    "{\"namespace\":\"vms\",\"group\":\"dbs\",\"name\":\"" name "\",\"address\":\"" address          \
    "\",\"identity\":\"" identity "\",\"registered\":5}"
    static const struct {
        const char *content, *words;
    } cases[] = {
        {"", "machines.json:1: "},
        {"{}", "machines"},
        {"{\"machines\": [{}]}", "machines[0].namespace"},
        {"{\"machines\": [" MACHINE("x", "192.0.2.7", ID) "]}", "'x' must be"},
        {"{\"machines\": [" MACHINE("dbs-a", "host", ID) "]}", "an address that is none"},
        {"{\"machines\": [" MACHINE("dbs-a", "192.0.2.7", "me") "]}", "an identity that is none"},
        {"{\"machines\": [\n" MACHINE("dbs-a", "192.0.2.7", ID) ",\n" MACHINE("dbs-a", "192.0.2.8", ID) "]}", "json:3: machines[1]: 'dbs-a' is there twice"},
    };
    struct bench b;
    (void)state;
    bench_open(&b);
    registry_done(&b.r);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char why[WHY_MAX] = "";
        FILE *f = fopen(b.file, "w");
        assert_non_null(f);
        fputs(cases[i].content, f);
        assert_int_equal(fclose(f), 0);
        assert_int_equal(registry_open(&b.r, &b.store, "td", b.file, LEASE_MS, 0, why), -EINVAL);
        if (!strstr(why, cases[i].words))
            fail_msg("'%s' does not say '%s'", why, cases[i].words);
    }
    char why[WHY_MAX] = "";
    assert_int_equal(registry_open(&b.r, &b.store, "td", "/nowhere/x", LEASE_MS, 0, why), -ENOENT);
    assert_string_equal(why, "/nowhere/x: No such file or directory");
    assert_int_equal(unlink(b.file), 0);
    registry_opens(&b, 0);
    assert_int_equal(access(b.file, F_OK), 0); /* a place that can't be written is told of at once */
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_entry_is_made_of_the_group),
        cmocka_unit_test(who_may_not),
        cmocka_unit_test(a_lease),
        cmocka_unit_test(a_group_changes),
        cmocka_unit_test(what_is_written_comes_first),
        cmocka_unit_test(a_restart),
        cmocka_unit_test(bad_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
